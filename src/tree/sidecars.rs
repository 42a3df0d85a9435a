//! Sidecars in the folders where their items are listed: what their names lead to, and which of them a listing shows.
//!
//! A name is a sidecar's if it begins with the name of an item that is shown in its folder, or with the stem of one and
//! goes on as sidecars of programs do. What programs wrote through the drive is in `library::sidecars`; before the first
//! write a known one that lies beside the item's own file on trusted storage stands for it, and is read there. Nothing of
//! all this is kept by the kernel but lists of folders of the library, which it is told to drop.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mediafs_platform::drive::{Attributes, Cursor, DriveError, Entry, Listed, NodeId, NodeKind};
use mediafs_platform::{files, names};

use super::attributes::place_node;
use super::list::Sink;
use super::node::{Door, Node};
use super::takes::{changed_at, of_storage};
use super::view::View;
use super::{MediaDrive, failed};
use crate::catalog::{FolderNo, ItemRow, PlaceRow, Reader};
use crate::library::sidecars::{ItemKey, Sidecars, State, scope_folder};
use crate::model::{Behind, SidecarName, begins_as_sidecar, is_sidecar};

/// How often a name is looked up that leads elsewhere each time.
const TRIES: usize = 8;

/// What a sidecar's name leads to.
pub(super) enum Beside {
    /// One that a program wrote.
    Kept { owner: Owner, number: u32 },
    /// One on disk.
    Disk { owner: Owner, place: Box<PlaceRow> },
}

/// Whose sidecar a name is.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) item: ItemRow,
    pub(super) key: ItemKey,
    pub(super) name: SidecarName,
}

impl MediaDrive {
    /// The folder of an item's sidecars.
    fn key_of(&self, reader: &Reader, item: &ItemRow) -> Result<ItemKey, DriveError> {
        let Some(base) = item.project else {
            return Ok(ItemKey::new(None, &item.media_id));
        };
        let known = self.scopes.lock().get(&base).cloned();
        let scope = match known {
            Some(scope) => scope,
            None => {
                let row = reader.base(base).map_err(failed)?;
                let project = row.and_then(|row| row.project).ok_or(DriveError::Stale)?;
                let scope: Arc<str> = scope_folder(Some(&project)).into();
                self.scopes.lock().insert(base, Arc::clone(&scope));
                scope
            }
        };
        Ok(ItemKey::in_scope(&scope, &item.media_id))
    }

    /// Goes through the items that a sidecar of this name may be of, the one with the longest name first, those of which
    /// it has the stem last; only through those for which `is_wanted` of what is behind.
    fn owners<T>(
        &self,
        reader: &Reader,
        view: View,
        name: &[u8],
        is_wanted: &dyn Fn(Behind, &[u8]) -> bool,
        mut take: impl FnMut(Owner) -> Result<Option<T>, DriveError>,
    ) -> Result<Option<T>, DriveError> {
        let mut offer = |item: ItemRow, name: SidecarName| {
            let key = self.key_of(reader, &item)?;
            take(Owner { item, key, name })
        };
        for at in (1..name.len()).rev() {
            let (before, suffix) = name.split_at(at);
            if is_wanted(Behind::Name, suffix)
                && let Some(item) = view.named(reader, before)?
                && let Some(taken) = offer(item, SidecarName::behind_name(suffix))?
            {
                return Ok(Some(taken));
            }
        }
        for at in (1..name.len()).rev().filter(|at| name[*at] == b'.') {
            let (before, suffix) = name.split_at(at);
            if !begins_as_sidecar(suffix) || !is_wanted(Behind::Stem, suffix) {
                continue;
            }
            for item in view.of_stem(reader, before)? {
                if let Some(taken) = offer(item, SidecarName::behind_stem(suffix))? {
                    return Ok(Some(taken));
                }
            }
        }
        Ok(None)
    }

    /// The sidecar that a name leads to. Whether something else has the name is to be looked at before.
    pub(super) fn beside(
        &self,
        reader: &Reader,
        view: View,
        name: &OsStr,
    ) -> Result<Option<Beside>, DriveError> {
        let Some(sidecars) = self.sidecars.get() else {
            return Ok(None);
        };
        let name = name.as_encoded_bytes();
        let may_be_on_disk = is_sidecar(name);
        let is_wanted = |behind, suffix: &[u8]| {
            sidecars.may_have(behind, suffix) || (may_be_on_disk && is_whole_suffix(suffix))
        };
        self.owners(reader, view, name, &is_wanted, |owner| {
            match sidecars.state(&owner.key, &owner.name) {
                State::Kept(number) => Ok(Some(Beside::Kept { owner, number })),
                State::Hidden => Ok(None),
                State::Unknown => {
                    let place = self.on_disk(reader, &owner.item, &owner.name)?;
                    Ok(place.map(|place| Beside::Disk { owner, place }))
                }
            }
        })
    }

    /// Whose sidecar a new file of this name is.
    pub(super) fn owner_of(
        &self,
        reader: &Reader,
        view: View,
        name: &OsStr,
    ) -> Result<Option<Owner>, DriveError> {
        self.owners(
            reader,
            view,
            name.as_encoded_bytes(),
            &|_, _| true,
            |owner| Ok(Some(owner)),
        )
    }

    /// The file beside the item's own that is this sidecar of it: a known one, on trusted storage, as the last scan saw it.
    pub(super) fn on_disk(
        &self,
        reader: &Reader,
        item: &ItemRow,
        name: &SidecarName,
    ) -> Result<Option<Box<PlaceRow>>, DriveError> {
        let found = reader.sidecar_on_disk(item, name).map_err(failed)?;
        Ok(found.map(Box::new))
    }

    /// Something else than a sidecar has this name in a view.
    pub(super) fn is_taken(
        &self,
        reader: &Reader,
        view: View,
        name: &OsStr,
    ) -> Result<Option<Taken>, DriveError> {
        if let View::Folder(folder) = view {
            let child = reader.child_place(folder, name).map_err(failed)?;
            if let Some((_, item)) = child.filter(|(place, item)| {
                place.present && (item.is_some() || !is_sidecar(place.name.as_encoded_bytes()))
            }) {
                return Ok(Some(
                    item.map_or(Taken::ByOther, |item| Taken::ByItem(Box::new(item))),
                ));
            }
            let folder = reader.child_folder(folder, name).map_err(failed)?;
            return Ok(folder.map(|_| Taken::ByOther));
        }
        let item = view.named(reader, name.as_encoded_bytes())?;
        Ok(item.map(|item| Taken::ByItem(Box::new(item))))
    }

    /// What a name that is nothing else's leads to.
    pub(super) fn look_up_beside(
        &self,
        parent: Node,
        door: Door,
        name: &OsStr,
    ) -> Result<Entry, DriveError> {
        let view = View::of(parent).ok_or(DriveError::NotFound)?;
        let reader = self.reader()?;
        for _ in 0..TRIES {
            match self.beside(&reader, view, name)? {
                Some(Beside::Kept { number, .. }) => match self.sidecar_entry(number, door) {
                    // Another one got its name just now.
                    Err(DriveError::NotFound) => {}
                    answer => return answer,
                },
                Some(Beside::Disk { place, .. }) => {
                    return Ok(self.answer_place(&place, door, parent.id(door), name));
                }
                None => return Err(DriveError::NotFound),
            }
        }
        Err(DriveError::NotFound)
    }

    /// Whether a file that lies in a folder of the library is hidden there: a program has written, or removed, this
    /// sidecar through the drive.
    pub(super) fn is_masked(
        &self,
        reader: &Reader,
        folder: FolderNo,
        place: &PlaceRow,
    ) -> Result<bool, DriveError> {
        if self.sidecars.get().is_none() || !is_sidecar(place.name.as_encoded_bytes()) {
            return Ok(false);
        }
        let view = View::Folder(folder);
        match self.beside(reader, view, &place.name)? {
            Some(Beside::Kept { .. }) => Ok(true),
            Some(Beside::Disk { .. }) => Ok(false),
            None => self.is_hidden(reader, view, &place.name),
        }
    }

    /// A library shows a file of this name that is neither an item nor hidden.
    pub(super) fn is_shown_as_it_is(
        &self,
        reader: &Reader,
        view: View,
        name: &OsStr,
    ) -> Result<bool, DriveError> {
        let View::Folder(folder) = view else {
            return Ok(false);
        };
        let child = reader.child_place(folder, name).map_err(failed)?;
        Ok(child.is_some_and(|(place, _)| place.present) && !self.is_hidden(reader, view, name)?)
    }

    fn is_hidden(&self, reader: &Reader, view: View, name: &OsStr) -> Result<bool, DriveError> {
        let Some(sidecars) = self.sidecars.get() else {
            return Ok(false);
        };
        let whole = |_, suffix: &[u8]| is_whole_suffix(suffix);
        let found = self.owners(reader, view, name.as_encoded_bytes(), &whole, |owner| {
            let state = sidecars.state(&owner.key, &owner.name);
            Ok((state == State::Hidden).then_some(()))
        })?;
        Ok(found.is_some())
    }

    pub(super) fn sidecar_entry(&self, number: u32, door: Door) -> Result<Entry, DriveError> {
        let sidecars = self.sidecars()?;
        let found = match sidecars.opened(number) {
            Some(file) => file.metadata(),
            None => sidecars
                .path_of(number)
                .ok_or(DriveError::NotFound)?
                .symlink_metadata(),
        };
        let found = found.map_err(|error| super::drop_box::named(&error))?;
        sidecars.looked_up(number);
        Ok(self.sidecar_entry_as(number, door, &found))
    }

    pub(super) fn sidecar_entry_as(&self, number: u32, door: Door, found: &Metadata) -> Entry {
        Entry {
            node: Node::Sidecar(number).id(door),
            attributes: self.sidecar_attributes_as(number, door, found),
            entry_ttl: Duration::ZERO,
            attribute_ttl: Duration::ZERO,
        }
    }

    pub(super) fn sidecar_attributes_as(
        &self,
        number: u32,
        door: Door,
        found: &Metadata,
    ) -> Attributes {
        let modified = found.modified().unwrap_or(self.started);
        Attributes {
            inode: Node::Sidecar(number).id(door).0,
            kind: NodeKind::File,
            size: found.len(),
            modified,
            changed: changed_at(found),
            born: found.created().unwrap_or(modified),
            permissions: files::permissions(found),
            uid: self.owner.uid,
            gid: self.owner.gid,
        }
    }

    pub(super) fn sidecar_attributes(
        &self,
        number: u32,
        door: Door,
    ) -> Result<Attributes, DriveError> {
        let sidecars = self.sidecars()?;
        // What is open may have no name any more.
        let found = match sidecars.opened(number) {
            Some(file) => file.metadata(),
            None => sidecars
                .path_of(number)
                .ok_or(DriveError::Stale)?
                .symlink_metadata(),
        };
        let found = found.map_err(|error| of_storage(&error))?;
        Ok(self.sidecar_attributes_as(number, door, &found))
    }

    pub(super) fn sidecars(&self) -> Result<&Arc<Sidecars>, DriveError> {
        self.sidecars.get().ok_or(DriveError::ReadOnly)
    }

    /// Gives the sidecars of an item that is shown as `shown`, behind the one at `after`; `false` when the listing is full.
    pub(super) fn give_beside(
        &self,
        item: &ItemRow,
        shown: &OsStr,
        listing: &Listing,
        sink: &mut Sink<'_>,
    ) -> Result<bool, DriveError> {
        let Some(sidecars) = self.sidecars.get() else {
            return Ok(true);
        };
        let reader = &self.reader()?;
        let key = self.key_of(reader, item)?;
        let mut found: Vec<(u32, u64, SidecarName)> = Vec::new();
        for (number, name) in sidecars.of_item(&key) {
            let inode = Node::Sidecar(number).id(listing.door).0;
            found.push((number & WITHIN, inode, name));
        }
        // In a library they are there as the files that they are.
        if !matches!(listing.view, View::Folder(_)) {
            for (name, place) in reader.sidecars_on_disk(item).map_err(failed)? {
                if sidecars.state(&key, &name) == State::Unknown {
                    let inode = place_node(&place).id(listing.door).0;
                    found.push((place.row.0 & WITHIN | ON_DISK, inode, name));
                }
            }
        }
        for (at, inode, name) in found {
            if at <= listing.after {
                continue;
            }
            let Some(name) = name.beside(shown.as_encoded_bytes()) else {
                continue;
            };
            let name = names::lossy(name);
            if !self.leads_to(reader, listing, &name, inode)? {
                continue;
            }
            let listed = Listed {
                name,
                cursor: Cursor(u64::from(at) << AT | listing.at.0),
                inode,
                kind: NodeKind::File,
                entry: None,
            };
            if !sink(listed) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Several items may have a sidecar of the same name in a folder, or something else has it: the one that a look-up
    /// gives is listed.
    fn leads_to(
        &self,
        reader: &Reader,
        listing: &Listing,
        name: &OsStr,
        inode: u64,
    ) -> Result<bool, DriveError> {
        if self.is_taken(reader, listing.view, name)?.is_some() {
            return Ok(false);
        }
        let node = match self.beside(reader, listing.view, name)? {
            Some(Beside::Kept { number, .. }) => Node::Sidecar(number),
            Some(Beside::Disk { place, .. }) => place_node(&place),
            None => return Ok(false),
        };
        Ok(node.id(listing.door) == NodeId(inode))
    }

    /// The sidecars of an item have changed: lists that the kernel keeps are dropped. Gives who is to be told, and of what,
    /// for when the change is made.
    pub(super) fn lists_with(
        &self,
        reader: &Reader,
        item: &ItemRow,
    ) -> impl FnOnce() + Send + use<> {
        let folders = [item.place, item.home]
            .into_iter()
            .flatten()
            .filter_map(|place| reader.place(place).ok().flatten()?.folder);
        let nodes: Vec<NodeId> = folders
            .flat_map(|folder| {
                self.used_doors()
                    .map(move |door| Node::Folder(folder).id(door))
            })
            .collect();
        let kernel = self.kernel.get().cloned();
        let lists_changed = Arc::clone(&self.lists_changed);
        move || {
            *lists_changed.lock() = SystemTime::now();
            if let Some(kernel) = kernel {
                for node in nodes {
                    kernel.listing(node);
                }
            }
        }
    }
}

/// What else has a name.
pub(super) enum Taken {
    ByItem(Box<ItemRow>),
    ByOther,
}

/// Where a listing is.
pub(super) struct Listing {
    pub(super) view: View,
    pub(super) door: Door,
    /// Of the item.
    pub(super) at: Cursor,
    /// The sidecar behind which it goes on.
    pub(super) after: u32,
}

/// Where a cursor has the sidecar that it is behind; 0: behind the item itself.
pub(super) const AT: u32 = 34;
/// Numbers of sidecars among those of their sort.
const WITHIN: u32 = (1 << 28) - 1;
/// Those on disk come last.
const ON_DISK: u32 = 1 << 28;

fn is_whole_suffix(suffix: &[u8]) -> bool {
    SidecarName::behind_name(suffix).is_known()
}

//! Making, opening, changing, renaming and removing sidecars; and what becomes of those who would write into a sound.
//!
//! All of it asks the home's disk, so none of it is done on the threads that answer the kernel.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mediafs_platform::drive::{
    Answer, AttributeChange, Attributes, Content, DriveError, Entry, HandleId, Making, NodeId,
    OpenMode, Opened, Replacing, Requester,
};

use mediafs_platform::files;

use super::MediaDrive;
use super::attributes::place_node;
use super::drop_box::{named, stale_if_gone};
use super::handles::Shown;
use super::known::Subject;
use super::node::{Door, Node, generation_bits};
use super::sidecars::{Beside, Owner, Taken};
use super::source::Source;
use super::takes::{apply, of_storage};
use super::view::View;
use crate::catalog::{PlaceNo, PlaceRow, Reader};
use crate::library::sidecars::{MOST_BYTES, SidecarHandle};
use crate::model::is_sidecar;

impl MediaDrive {
    pub(super) fn open_sidecar(&self, number: u32, door: Door, mode: OpenMode) -> Answer<Opened> {
        self.work(move |drive| {
            let write = mode.write || mode.truncate;
            let handle = SidecarHandle::open(drive.sidecars()?, number, write, mode.truncate)
                .map_err(|error| stale_if_gone(&error))?;
            drive.opened_sidecar(number, door, handle)
        })
    }

    fn opened_sidecar(
        &self,
        number: u32,
        door: Door,
        handle: SidecarHandle,
    ) -> Result<Opened, DriveError> {
        let found = handle.file().metadata().map_err(|e| of_storage(&e))?;
        let attributes = self.sidecar_attributes_as(number, door, &found);
        let node = Node::Sidecar(number).id(door);
        let shown = Shown::Sidecar(Arc::new(handle));
        Ok(Opened {
            handle: self.handles.open(node, attributes, shown),
            // Not passed through: the kernel would write past the largest that one may be.
            content: Content::Written,
        })
    }

    /// Makes a sidecar in a folder where its item is listed.
    pub(super) fn create_sidecar(
        &self,
        view: View,
        door: Door,
        name: &OsStr,
        making: Making,
        by: &Requester,
    ) -> Answer<(Entry, Opened)> {
        let (name, by) = (name.to_owned(), *by);
        self.work(move |drive| drive.created_sidecar(view, door, &name, making, &by))
    }

    fn created_sidecar(
        &self,
        view: View,
        door: Door,
        name: &OsStr,
        making: Making,
        by: &Requester,
    ) -> Result<(Entry, Opened), DriveError> {
        let reader = self.reader()?;
        let owner = match self.target(&reader, view, name, by)? {
            Target::New(owner) | Target::Old(Beside::Kept { owner, .. }) => owner,
            Target::Old(Beside::Disk { .. }) if making.exclusive => {
                return Err(DriveError::AlreadyExists);
            }
            Target::Old(Beside::Disk { owner, place }) => {
                self.take_over(&reader, &owner, &place)?;
                owner
            }
        };
        let sidecars = self.sidecars()?;
        let told = self.lists_with(&reader, &owner.item);
        let (number, handle) = SidecarHandle::create(
            sidecars,
            &owner.key,
            &owner.name,
            making.permissions,
            making.exclusive,
            making.mode.truncate,
        )
        .map_err(|error| named(&error))?;
        told();
        let found = handle.file().metadata().map_err(|e| of_storage(&e))?;
        sidecars.looked_up(number);
        let entry = self.sidecar_entry_as(number, door, &found);
        Ok((entry, self.opened_sidecar(number, door, handle)?))
    }

    /// What a new name may take the place of. `ReadOnly` where it would be no sidecar.
    fn target(
        &self,
        reader: &Reader,
        view: View,
        name: &OsStr,
        by: &Requester,
    ) -> Result<Target, DriveError> {
        self.sidecars()?;
        match self.is_taken(reader, view, name)? {
            Some(Taken::ByItem(item)) => return Err(self.refuse_into(item.row, by)),
            Some(Taken::ByOther) => return Err(DriveError::ReadOnly),
            None => {}
        }
        if let Some(old) = self.beside(reader, view, name)? {
            return Ok(Target::Old(old));
        }
        let owner = self.owner_of(reader, view, name)?;
        owner.map(Target::New).ok_or(DriveError::ReadOnly)
    }

    /// The sidecar that is to be renamed or removed.
    fn present(
        &self,
        reader: &Reader,
        view: View,
        name: &OsStr,
        by: &Requester,
    ) -> Result<Beside, DriveError> {
        match self.is_taken(reader, view, name)? {
            Some(Taken::ByItem(item)) => return Err(self.refuse_into(item.row, by)),
            Some(Taken::ByOther) => return Err(DriveError::ReadOnly),
            None => {}
        }
        match self.beside(reader, view, name)? {
            Some(found) => Ok(found),
            // Nothing can be made under this name, whether or not it is there.
            None if self.owner_of(reader, view, name)?.is_none() => Err(DriveError::ReadOnly),
            // One that can't be read from here, so that it is left alone: a link, or on storage that is not trusted.
            None if self.is_shown_as_it_is(reader, view, name)? => Err(DriveError::ReadOnly),
            None => Err(DriveError::NotFound),
        }
    }

    pub(super) fn remove_sidecar(&self, view: View, name: &OsStr, by: &Requester) -> Answer<()> {
        let (name, by) = (name.to_owned(), *by);
        self.work(move |drive| drive.removed_sidecar(view, &name, &by))
    }

    fn removed_sidecar(&self, view: View, name: &OsStr, by: &Requester) -> Result<(), DriveError> {
        let reader = self.reader()?;
        let found = self.present(&reader, view, name, by)?;
        let (owner, on_disk) = self.with_disk(&reader, found)?;
        let told = self.lists_with(&reader, &owner.item);
        let removed = self
            .sidecars()?
            .remove(&owner.key, &owner.name, on_disk.is_some());
        removed.map_err(|error| named(&error))?;
        self.forget_place(on_disk.as_deref());
        told();
        Ok(())
    }

    /// Whose it is, and the one on disk that it stands before, or is.
    fn with_disk(
        &self,
        reader: &Reader,
        found: Beside,
    ) -> Result<(Owner, Option<Box<PlaceRow>>), DriveError> {
        Ok(match found {
            Beside::Disk { owner, place } => (owner, Some(place)),
            Beside::Kept { owner, .. } => {
                let place = self.on_disk(reader, &owner.item, &owner.name)?;
                (owner, place)
            }
        })
    }

    fn forget_place(&self, place: Option<&PlaceRow>) {
        if let Some(place) = place {
            self.forget_names_of(Subject::Place(place.row.0));
        }
    }

    pub(super) fn rename_sidecar(
        &self,
        from: (View, &OsStr),
        to: (View, &OsStr),
        replacing: Replacing,
        by: &Requester,
    ) -> Answer<()> {
        let (old, new, by) = (from.1.to_owned(), to.1.to_owned(), *by);
        self.work(move |drive| drive.renamed_sidecar((from.0, &old), (to.0, &new), replacing, &by))
    }

    fn renamed_sidecar(
        &self,
        from: (View, &OsStr),
        to: (View, &OsStr),
        replacing: Replacing,
        by: &Requester,
    ) -> Result<(), DriveError> {
        let reader = self.reader()?;
        let found = self.present(&reader, from.0, from.1, by)?;
        let target = self.target(&reader, to.0, to.1, by)?;
        let replace = match (replacing, &target) {
            (Replacing::Exchange, _) => return Err(DriveError::Invalid),
            (Replacing::Keep, Target::Old(_)) => return Err(DriveError::AlreadyExists),
            (Replacing::Keep, _) => false,
            (Replacing::Replace, _) => true,
        };
        if let Beside::Disk { owner, place } = &found {
            self.take_over(&reader, owner, place)?;
        }
        let (old, old_disk) = self.with_disk(&reader, found)?;
        let (new, new_disk) = match target {
            Target::New(owner) => (owner, None),
            Target::Old(found) => self.with_disk(&reader, found)?,
        };
        let told = [
            self.lists_with(&reader, &old.item),
            self.lists_with(&reader, &new.item),
        ];
        let is_same = (&old.key, &old.name) == (&new.key, &new.name);
        let renamed = self.sidecars()?.rename(
            (&old.key, &old.name),
            (&new.key, &new.name),
            replace,
            old_disk.is_some() && !is_same,
        );
        renamed.map_err(|error| named(&error))?;
        for place in [old_disk, new_disk] {
            self.forget_place(place.as_deref());
        }
        for told in told {
            told();
        }
        Ok(())
    }

    /// What who would move a sidecar into the drop box is answered with: programs copy it then.
    pub(super) fn refuse_to_move(&self, view: View, name: &OsStr, by: &Requester) -> DriveError {
        let found = self
            .reader()
            .and_then(|reader| self.present(&reader, view, name, by));
        match found {
            Ok(_) => DriveError::Elsewhere,
            Err(error) => error,
        }
    }

    /// Copies a sidecar from beside its sound's file into the home.
    fn take_over(
        &self,
        reader: &Reader,
        owner: &Owner,
        place: &PlaceRow,
    ) -> Result<(), DriveError> {
        if place.evidence.size > MOST_BYTES {
            return Err(DriveError::TooLarge);
        }
        let generation = generation_bits(place.generation);
        let attributes = self.place_attributes(place, Door::Plain);
        let source = Source::of(reader, place, generation, attributes)?;
        let source = source.ok_or(DriveError::ReadOnly)?;
        let file = self
            .roots
            .open(&source, || self.reader(), &|path| {
                self.reconcile.is_trusted(path)
            })
            // The next scan sees what it is now.
            .map_err(|_| DriveError::Busy)?;
        let adopted = self.sidecars()?.adopt(&owner.key, &owner.name, &file);
        adopted.map_err(|error| named(&error))
    }

    /// A file in a folder of the library whose name is a sidecar's, and what that name leads to.
    fn beside_place(
        &self,
        reader: &Reader,
        place: PlaceNo,
        generation: u16,
    ) -> Result<Option<(Box<PlaceRow>, Beside)>, DriveError> {
        if self.sidecars.get().is_none() {
            return Ok(None);
        }
        let row = self.place_of(place, generation)?;
        let Some(folder) = row
            .folder
            .filter(|_| is_sidecar(row.name.as_encoded_bytes()))
        else {
            return Ok(None);
        };
        let found = self.beside(reader, View::Folder(folder), &row.name)?;
        Ok(found.map(|found| (Box::new(row), found)))
    }

    /// The sidecar that a file in a folder of the library is, as long as that is what its name leads to.
    fn sidecar_at(
        &self,
        reader: &Reader,
        place: PlaceNo,
        generation: u16,
    ) -> Result<Option<(Owner, Box<PlaceRow>)>, DriveError> {
        match self.beside_place(reader, place, generation)? {
            Some((row, Beside::Disk { owner, place }))
                if place_node(&place) == place_node(&row) =>
            {
                Ok(Some((owner, place)))
            }
            // Written to already: the name leads there.
            Some((_, Beside::Kept { .. })) => Err(DriveError::Stale),
            _ => Ok(None),
        }
    }

    /// The sidecar that was made of such a file.
    pub(super) fn taken_over(&self, place: PlaceNo, generation: u16, door: Door) -> Option<NodeId> {
        let reader = self.reader().ok()?;
        match self.beside_place(&reader, place, generation).ok()?? {
            (_, Beside::Kept { number, .. }) => Some(Node::Sidecar(number).id(door)),
            (_, Beside::Disk { .. }) => None,
        }
    }

    /// Whether a file in a folder of the library is a sidecar, of which who writes to it gets a copy.
    pub(super) fn may_take_over(&self, place: PlaceNo, generation: u16) -> bool {
        let found = self
            .reader()
            .and_then(|reader| self.sidecar_at(&reader, place, generation));
        matches!(found, Ok(Some(_)) | Err(DriveError::Stale))
    }

    /// A program is about to write to such a file: it gets a copy. The answer is always an error, `Stale` if all is well:
    /// the name leads to the copy, and the kernel looks it up again.
    pub(super) fn take_over_place<T: Send + 'static>(
        &self,
        place: PlaceNo,
        generation: u16,
    ) -> Answer<T> {
        self.work(move |drive| {
            let reader = drive.reader()?;
            let found = drive.sidecar_at(&reader, place, generation)?;
            let (owner, place) = found.ok_or(DriveError::ReadOnly)?;
            let told = drive.lists_with(&reader, &owner.item);
            let names = drive.known.swapped(Subject::Place(place.row.0));
            drive.take_over(&reader, &owner, &place)?;
            told();
            if let Some(kernel) = drive.kernel.get() {
                for (parent, name) in names {
                    kernel.entry(parent, &name);
                }
            }
            Err(DriveError::Stale)
        })
    }

    pub(super) fn change_sidecar(
        &self,
        number: u32,
        door: Door,
        handle: Option<HandleId>,
        change: AttributeChange,
    ) -> Answer<(Attributes, Duration)> {
        if self.changes_owner(&change) {
            return Answer::Now(Err(DriveError::NotOwner));
        }
        if change.size.is_some_and(|size| size > MOST_BYTES) {
            return Answer::Now(Err(DriveError::TooLarge));
        }
        let open = handle.and_then(|handle| match self.handles.shown(handle) {
            Ok(Shown::Sidecar(open)) if open.writes() => Some(open),
            _ => None,
        });
        self.work(move |drive| {
            let handle = match open {
                Some(open) => open,
                None => Arc::new(
                    SidecarHandle::open(drive.sidecars()?, number, true, false)
                        .map_err(|error| stale_if_gone(&error))?,
                ),
            };
            let found = handle.file().metadata().map_err(|e| of_storage(&e))?;
            let before = drive.sidecar_attributes_as(number, door, &found);
            let after = changed(&handle, change, before).map_err(|error| of_storage(&error))?;
            Ok((after, Duration::ZERO))
        })
    }

    /// What who would write into a sound is answered with, once it is noted who that was.
    pub(super) fn refuse_into(&self, item: crate::catalog::ItemNo, by: &Requester) -> DriveError {
        self.refused.note(item, || self.requesters.process_of(by));
        DriveError::ReadOnly
    }
}

/// What a new name may take the place of.
enum Target {
    New(Owner),
    Old(Beside),
}

fn changed(
    handle: &SidecarHandle,
    change: AttributeChange,
    before: Attributes,
) -> io::Result<Attributes> {
    let file = handle.file();
    if let Some(permissions) = change.permissions {
        files::set_permissions(file, permissions & 0o777 | 0o600)?;
    }
    let found = apply(file, change)?;
    Ok(Attributes {
        size: found.len(),
        modified: found.modified().unwrap_or(before.modified),
        changed: super::takes::changed_at(&found),
        permissions: files::permissions(&found),
        ..before
    })
}

//! Listings: streamed in pages by row number, never a whole library at once.

use std::ffi::OsString;
use std::time::Duration;

use mediafs_platform::drive::{Cursor, DriveError, Listed, NodeKind};

use super::attributes::{at_hand, item_node};
use super::known::Subject;
use super::node::{Door, Face, Node, Uses};
use super::sidecars::{AT, Listing};
use super::takes::take_listed;
use super::texts::Text;
use super::view::View;
use super::{MediaDrive, failed};
use crate::catalog::{BaseKind, BaseNo, FolderNo, ItemRow, PlaceRow, Section};
use crate::model::{is_sidecar, shown_name};

/// Rows read at first: what a kernel's buffer of 32 KiB holds of entries with names of usual length. More would be read
/// in vain at each of its requests.
pub(super) const FIRST_PAGE: u32 = 192;
/// Rows read from then on: names may be short, or the buffer larger.
pub(super) const NEXT_PAGE: u32 = 64;

/// A cursor is the row in its lower half, and above it the sort of the row, and which of the sidecars of the item there
/// it is behind.
const FOLDERS: u64 = 1;
const PLACES: u64 = 2;
pub(super) const FIXED: u64 = 3;
/// The bits that the sort has; above them is where in an item's sidecars the cursor is.
const SORT: u64 = 3;

pub(super) fn cursor(sort: u64, row: u32) -> Cursor {
    Cursor(sort << 32 | u64::from(row))
}

/// The row to go on behind, for rows of `sort`; `None` if the listing is past them.
pub(super) fn resume(after: Cursor, sort: u64) -> Option<u32> {
    match (after.0 >> 32 & SORT).cmp(&sort) {
        std::cmp::Ordering::Less => Some(0),
        std::cmp::Ordering::Equal => u32::try_from(after.0 & 0xFFFF_FFFF).ok(),
        std::cmp::Ordering::Greater => None,
    }
}

/// The sidecar to go on behind, of the item in the cursor's row; 0: behind the item.
fn resume_beside(after: Cursor) -> u32 {
    u32::try_from(after.0 >> AT).unwrap_or(u32::MAX)
}

/// Where a listing goes on that shows sidecars behind their items.
pub(super) struct Resumed {
    /// Rows above this one are read.
    pub(super) behind: u32,
    /// The item of this row was given, and its sidecars up to that one.
    within: Option<(u32, u32)>,
}

impl Resumed {
    /// Behind `row`, or in its sidecars; 0: at the beginning.
    pub(super) fn at(row: u32, after: Cursor) -> Self {
        Self {
            behind: row.saturating_sub(1),
            within: (row > 0).then(|| (row, resume_beside(after))),
        }
    }

    /// Behind which sidecar of the item in this row; `None`: with the item itself.
    fn beside(&self, row: u32) -> Option<u32> {
        self.within
            .and_then(|(at, beside)| (at == row).then_some(beside))
    }
}

/// How a listing is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    door: Door,
    /// With the entries of look-ups.
    entries: bool,
    /// Changes pushed before the catalog was asked.
    pushes: u64,
}

/// Where a listing's entries go; `false` when it is full.
pub(super) type Sink<'a> = dyn FnMut(Listed) -> bool + 'a;

impl MediaDrive {
    pub(super) fn list_folder(
        &self,
        node: Node,
        door: Door,
        after: Cursor,
        entries: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let asked = Asked {
            door,
            entries,
            pushes: self.pushes(),
        };
        match node {
            Node::Root => {
                let folders = [
                    ("by-id", Node::ById),
                    ("library", Node::Library),
                    ("projects", Node::Projects),
                    ("record", Node::Record),
                    ("import", Node::DropBox),
                ];
                self.list_fixed(&folders, true, door, after, sink)
            }
            Node::Doors => {
                for (at, (name, inner)) in (1u32..).zip(Door::NAMED) {
                    if resume(after, FIXED).is_some_and(|row| at > row)
                        && !sink(folder_listed(name, Node::Root, inner, at))
                    {
                        break;
                    }
                }
                Ok(())
            }
            Node::Project(project) => {
                let mut folders = Section::SHOWN
                    .map(|(name, section)| (name, Node::Section(project, section)))
                    .to_vec();
                folders.push(("by-id", Node::ProjectById(project)));
                folders.extend(Uses::SHOWN.map(|(name, uses)| (name, Node::Uses(project, uses))));
                self.list_fixed(&folders, false, door, after, sink)
            }
            Node::Library => self.list_bases(BaseKind::Library, door, after, sink),
            Node::Projects => self.list_bases(BaseKind::Project, door, after, sink),
            Node::ById => self.list_ids(None, door, after, sink),
            Node::ProjectById(project) => self.list_ids(Some(project), door, after, sink),
            Node::ItemFolder(item) | Node::ProjectItemFolder(item) => {
                let row = self
                    .reader()?
                    .item(item)
                    .map_err(failed)?
                    .ok_or(DriveError::NotFound)?;
                let Some(at) = resume(after, FIXED) else {
                    return Ok(());
                };
                let resumed = Resumed::at(at, after);
                let name = OsString::from(shown_name(&row.name));
                self.give_whole(&row, name, (FIXED, 1), node, &resumed, asked, sink)?;
                Ok(())
            }
            Node::Section(project, section) => {
                self.list_section(project, section, after, asked, sink)
            }
            Node::Uses(project, uses) => self.list_uses(project, uses, after, door, sink),
            Node::UsageFolder(folder) => self.list_used(folder, after, asked, sink),
            Node::Folder(folder) => self.list_library_folder(folder, after, asked, sink),
            Node::Record => self.list_record(door, after, sink),
            Node::DropBox | Node::Dropped(_) => self.list_drop_box(node, door, after, sink),
            Node::Events => {
                if resume(after, FIXED) == Some(0) {
                    let no_log = Text::NoLog;
                    let listed = folder_listed(no_log.name(), Node::Text(no_log), door, 1);
                    sink(Listed {
                        kind: NodeKind::File,
                        ..listed
                    });
                }
                Ok(())
            }
            Node::Text(_)
            | Node::Take { .. }
            | Node::Sidecar(_)
            | Node::Item { .. }
            | Node::Place { .. }
            | Node::Link { .. } => Err(DriveError::NotFolder),
        }
    }

    fn list_fixed(
        &self,
        folders: &[(&str, Node)],
        readme: bool,
        door: Door,
        after: Cursor,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Some(behind) = resume(after, FIXED) else {
            return Ok(());
        };
        for (at, (name, node)) in (1u32..).zip(folders) {
            if at > behind && !sink(folder_listed(name, *node, door, at)) {
                return Ok(());
            }
        }
        let last = 1 + u32::try_from(folders.len()).unwrap_or(u32::MAX - 1);
        if readme && last > behind {
            let listed = folder_listed(Text::ReadMe.name(), Node::Text(Text::ReadMe), door, last);
            sink(Listed {
                kind: NodeKind::File,
                ..listed
            });
        }
        Ok(())
    }

    fn list_bases(
        &self,
        kind: BaseKind,
        door: Door,
        after: Cursor,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Some(behind) = resume(after, FIXED) else {
            return Ok(());
        };
        let mut bases = self.reader()?.bases().map_err(failed)?;
        bases.retain(|base| base.kind == kind && base.active && base.row.0 > behind);
        bases.sort_by_key(|base| base.row);
        for base in bases {
            let node = if kind == BaseKind::Library {
                Node::Folder(base.top)
            } else {
                Node::Project(base.row)
            };
            if !sink(folder_listed(&base.name, node, door, base.row.0)) {
                break;
            }
        }
        Ok(())
    }

    fn list_ids(
        &self,
        project: Option<BaseNo>,
        door: Door,
        after: Cursor,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Some(mut behind) = resume(after, FIXED) else {
            return Ok(());
        };
        let mut rows = FIRST_PAGE;
        loop {
            let reader = self.reader()?;
            let page = match project {
                None => reader.list_open_items(behind, rows),
                Some(project) => reader.list_project_items(project, behind, rows),
            };
            let page = page.map_err(failed)?;
            rows = NEXT_PAGE;
            let Some(last) = page.last() else {
                return Ok(());
            };
            behind = last.row.0;
            for item in &page {
                let node = match project {
                    None => Node::ItemFolder(item.row),
                    Some(_) => Node::ProjectItemFolder(item.row),
                };
                if !sink(folder_listed(
                    item.media_id.as_str(),
                    node,
                    door,
                    item.row.0,
                )) {
                    return Ok(());
                }
            }
        }
    }

    fn list_section(
        &self,
        project: BaseNo,
        section: Section,
        after: Cursor,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Some(behind) = resume(after, FIXED) else {
            return Ok(());
        };
        let resumed = Resumed::at(behind, after);
        let mut behind = resumed.behind;
        let mut rows = FIRST_PAGE;
        loop {
            let page = self
                .reader()?
                .list_shown(project, section, behind, rows)
                .map_err(failed)?;
            rows = NEXT_PAGE;
            let Some((last, _, _)) = page.last() else {
                return Ok(());
            };
            behind = *last;
            for (row, name, item) in page {
                let parent = Node::Section(project, section);
                let name = name.into();
                if !self.give_whole(&item, name, (FIXED, row), parent, &resumed, asked, sink)? {
                    return Ok(());
                }
            }
        }
    }

    fn list_library_folder(
        &self,
        folder: FolderNo,
        after: Cursor,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Asked { door, entries, .. } = asked;
        let reader = self.reader()?;
        let mut behind = resume(after, FOLDERS);
        while let Some(row) = behind {
            let page = reader
                .list_folders(folder, row, FIRST_PAGE)
                .map_err(failed)?;
            for child in &page {
                let entry = entries.then(|| self.library_folder_entry(child, door));
                let listed = Listed {
                    name: child.name.clone(),
                    cursor: cursor(FOLDERS, child.row.0),
                    inode: Node::Folder(child.row).id(door).0,
                    kind: NodeKind::Folder,
                    entry,
                };
                if !sink(listed) {
                    return Ok(());
                }
            }
            behind = page.last().map(|child| child.row.0);
        }
        let resumed = resume(after, PLACES).map(|row| Resumed::at(row, after));
        let mut behind = resumed.as_ref().map(|resumed| resumed.behind);
        let mut rows = FIRST_PAGE;
        while let Some(row) = behind {
            let page = reader.list_places(folder, row, rows).map_err(failed)?;
            rows = NEXT_PAGE;
            behind = page.last().map(|(place, _)| place.row.0);
            for (place, item) in page {
                let at = place.row.0;
                let Some(resumed) = &resumed else { break };
                let taken = match item {
                    Some(item) => {
                        let parent = Node::Folder(folder);
                        let at = (PLACES, at);
                        self.give_whole(&item, place.name, at, parent, resumed, asked, sink)?
                    }
                    None if resumed.beside(at).is_some() => true,
                    None if self.is_masked(&reader, folder, &place)? => true,
                    None => self.give_place(place, cursor(PLACES, at), folder, asked, sink),
                };
                if !taken {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Gives an item to the listing, and its sidecars.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn give_whole(
        &self,
        item: &ItemRow,
        name: OsString,
        (sort, row): (u64, u32),
        parent: Node,
        resumed: &Resumed,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> Result<bool, DriveError> {
        let at = cursor(sort, row);
        let after = resumed.beside(row);
        if after.is_none() && !self.give_item(item, name.clone(), at, parent, asked, sink) {
            return Ok(false);
        }
        let Some(view) = View::of(parent) else {
            return Ok(true);
        };
        let listing = Listing {
            view,
            door: asked.door,
            at,
            after: after.unwrap_or(0),
        };
        self.give_beside(item, &name, &listing, sink)
    }

    /// Gives an item to the listing, with its entry where that is the same for every requester.
    fn give_item(
        &self,
        item: &ItemRow,
        name: OsString,
        at: Cursor,
        parent: Node,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> bool {
        if !item.is_final() {
            return sink(take_listed(item, name, at, asked.door));
        }
        let entry = (asked.entries && at_hand(item))
            .then(|| self.item_entry(item, Face::Bytes, asked.door, None));
        let listed = Listed {
            name,
            cursor: at,
            inode: item_node(item, Face::Bytes, 0).id(asked.door).0,
            kind: NodeKind::File,
            entry,
        };
        self.give(Subject::Item(item.row.0), listed, parent, asked, sink)
    }

    fn give_place(
        &self,
        place: PlaceRow,
        at: Cursor,
        folder: FolderNo,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> bool {
        let attributes = self.place_attributes(&place, asked.door);
        let listed = Listed {
            // A sidecar's name leads elsewhere once a program writes to it.
            entry: (asked.entries && !is_sidecar(place.name.as_encoded_bytes()))
                .then(|| self.place_entry(&place, asked.door)),
            name: place.name,
            cursor: at,
            inode: attributes.inode,
            kind: attributes.kind,
        };
        let subject = Subject::Place(place.row.0);
        self.give(subject, listed, Node::Folder(folder), asked, sink)
    }

    /// Gives a file to the listing. Its name is remembered first: a change from then on is pushed for it, and what
    /// changed before is seen by the count of pushes.
    fn give(
        &self,
        subject: Subject,
        mut listed: Listed,
        parent: Node,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> bool {
        let Some(entry) = &mut listed.entry else {
            return sink(listed);
        };
        let node = entry.node;
        self.known
            .answered(subject, node, parent.id(asked.door), &listed.name);
        if self.pushes() != asked.pushes {
            entry.entry_ttl = Duration::ZERO;
            entry.attribute_ttl = Duration::ZERO;
        }
        let taken = sink(listed);
        if !taken {
            self.known.forget(subject, node, 1);
        }
        taken
    }
}

/// A folder in a listing. Without its entry: the kernel looks it up when somebody goes there.
pub(super) fn folder_listed(name: &str, node: Node, door: Door, row: u32) -> Listed {
    Listed {
        name: name.into(),
        cursor: cursor(FIXED, row),
        inode: node.id(door).0,
        kind: NodeKind::Folder,
        entry: None,
    }
}

//! Listings: streamed in pages by row number, never a whole library at once.

use std::ffi::OsString;

use mediafs_platform::drive::{Cursor, DriveError, Listed, NodeKind};

use super::attributes::{at_hand, item_node};
use super::known::Subject;
use super::lookup::SECTIONS;
use super::node::{Door, Face, Node};
use super::{MediaDrive, failed};
use crate::catalog::{BaseKind, BaseNo, FolderNo, ItemRow, PlaceRow, Section};
use crate::model::safe_name;

/// Rows read at first: what a kernel's buffer of 32 KiB holds of entries with names of usual length. More would be read
/// in vain at each of its requests.
const FIRST_PAGE: u32 = 192;
/// Rows read from then on: names may be short, or the buffer larger.
const NEXT_PAGE: u32 = 64;

/// A cursor is the sort of the row in its upper half, the row in its lower.
const FOLDERS: u64 = 1;
const PLACES: u64 = 2;
const FIXED: u64 = 3;

fn cursor(sort: u64, row: u32) -> Cursor {
    Cursor(sort << 32 | u64::from(row))
}

/// The row to go on behind, for rows of `sort`; `None` if the listing is past them.
fn resume(after: Cursor, sort: u64) -> Option<u32> {
    match (after.0 >> 32).cmp(&sort) {
        std::cmp::Ordering::Less => Some(0),
        std::cmp::Ordering::Equal => u32::try_from(after.0 & 0xFFFF_FFFF).ok(),
        std::cmp::Ordering::Greater => None,
    }
}

/// Where a listing's entries go; `false` when it is full.
type Sink<'a> = dyn FnMut(Listed) -> bool + 'a;

impl MediaDrive {
    pub(super) fn list_folder(
        &self,
        node: Node,
        door: Door,
        after: Cursor,
        entries: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        match node {
            Node::Root => {
                let folders = [
                    ("by-id", Node::ById),
                    ("library", Node::Library),
                    ("projects", Node::Projects),
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
                let mut folders = SECTIONS
                    .map(|(name, section)| (name, Node::Section(project, section)))
                    .to_vec();
                folders.push(("by-id", Node::ProjectById(project)));
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
                if resume(after, FIXED) == Some(0) {
                    let name = OsString::from(safe_name(row.name.as_bytes()));
                    self.give_item(&row, name, cursor(FIXED, 1), node, door, entries, sink);
                }
                Ok(())
            }
            Node::Section(project, section) => {
                self.list_section(project, section, door, after, entries, sink)
            }
            Node::Folder(folder) => self.list_library_folder(folder, door, after, entries, sink),
            Node::ReadMe | Node::Item { .. } | Node::Place { .. } | Node::Link { .. } => {
                Err(DriveError::NotFolder)
            }
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
            let listed = folder_listed("README.txt", Node::ReadMe, door, last);
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
        door: Door,
        after: Cursor,
        entries: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Some(mut behind) = resume(after, FIXED) else {
            return Ok(());
        };
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
                if !self.give_item(
                    &item,
                    name.into(),
                    cursor(FIXED, row),
                    parent,
                    door,
                    entries,
                    sink,
                ) {
                    return Ok(());
                }
            }
        }
    }

    fn list_library_folder(
        &self,
        folder: FolderNo,
        door: Door,
        after: Cursor,
        entries: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
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
        let mut behind = resume(after, PLACES);
        let mut rows = FIRST_PAGE;
        while let Some(row) = behind {
            let page = reader.list_places(folder, row, rows).map_err(failed)?;
            rows = NEXT_PAGE;
            behind = page.last().map(|(place, _)| place.row.0);
            for (place, item) in page {
                let at = cursor(PLACES, place.row.0);
                let taken = match item {
                    Some(item) => self.give_item(
                        &item,
                        place.name,
                        at,
                        Node::Folder(folder),
                        door,
                        entries,
                        sink,
                    ),
                    None => self.give_place(place, at, folder, door, entries, sink),
                };
                if !taken {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Gives an item to the listing, with its entry where that is the same for every requester.
    #[allow(clippy::too_many_arguments)]
    fn give_item(
        &self,
        item: &ItemRow,
        name: OsString,
        at: Cursor,
        parent: Node,
        door: Door,
        entries: bool,
        sink: &mut Sink<'_>,
    ) -> bool {
        let entry = (entries && at_hand(item)).then(|| self.item_entry(item, Face::Bytes, door));
        let known = entry.map(|entry| (entry.node, name.clone()));
        let inode = item_node(item, Face::Bytes).id(door).0;
        let taken = sink(Listed {
            name,
            cursor: at,
            inode,
            kind: NodeKind::File,
            entry,
        });
        if let (true, Some((node, name))) = (taken, known) {
            self.known
                .answered(Subject::Item(item.row.0), node, parent.id(door), &name);
        }
        taken
    }

    fn give_place(
        &self,
        place: PlaceRow,
        at: Cursor,
        folder: FolderNo,
        door: Door,
        entries: bool,
        sink: &mut Sink<'_>,
    ) -> bool {
        let attributes = self.place_attributes(&place, door);
        let entry = entries.then(|| self.place_entry(&place, door));
        let known = entry.map(|entry| (entry.node, place.name.clone()));
        let taken = sink(Listed {
            name: place.name,
            cursor: at,
            inode: attributes.inode,
            kind: attributes.kind,
            entry,
        });
        if let (true, Some((node, name))) = (taken, known) {
            self.known.answered(
                Subject::Place(place.row.0),
                node,
                Node::Folder(folder).id(door),
                &name,
            );
        }
        taken
    }
}

/// A folder in a listing. Without its entry: the kernel looks it up when somebody goes there.
fn folder_listed(name: &str, node: Node, door: Door, row: u32) -> Listed {
    Listed {
        name: name.into(),
        cursor: cursor(FIXED, row),
        inode: node.id(door).0,
        kind: NodeKind::Folder,
        entry: None,
    }
}

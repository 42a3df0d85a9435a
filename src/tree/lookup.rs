//! What a name in a folder leads to.

use std::ffi::OsStr;
use std::time::Duration;

use mediafs_platform::drive::{DriveError, Entry, NodeId, Requester};

use super::attributes::{face_for, place_node};
use super::known::Subject;
use super::node::{Door, Node, Uses};
use super::texts::{EVENTS, Text};
use super::{MediaDrive, failed};
use crate::catalog::{BaseKind, BaseNo, FolderNo, ItemNo, ItemRow, PlaceRow, Reader, Section};
use crate::model::{MediaId, compared, is_sidecar, shown_name, split_extension};

/// Extensions that a host may put behind the name of a sound it knows under another.
const MEDIA_EXTENSIONS: [&str; 30] = [
    "wav", "wave", "rf64", "bwf", "w64", "aif", "aiff", "aifc", "caf", "flac", "mp3", "mp2", "ogg",
    "oga", "opus", "m4a", "mp4", "m4v", "mov", "aac", "alac", "mid", "midi", "smf", "mkv", "mka",
    "webm", "avi", "wma", "mpga",
];

impl MediaDrive {
    pub(super) fn look_up(
        &self,
        parent: Node,
        door: Door,
        name: &OsStr,
        by: &Requester,
    ) -> Result<Entry, DriveError> {
        let parent_id = parent.id(door);
        match parent {
            Node::Root => self.look_up_top(door, name),
            Node::Doors => {
                let (_, inner) = Door::NAMED
                    .into_iter()
                    .find(|(shown, _)| OsStr::new(shown) == name)
                    .ok_or(DriveError::NotFound)?;
                self.mark_used(inner);
                Ok(self.folder_entry(Node::Root, inner, self.started))
            }
            Node::ById => {
                let reader = self.reader()?;
                self.look_up_id(
                    &reader,
                    door,
                    name,
                    by,
                    |id| reader.item_by_id(id).map_err(failed),
                    Node::ItemFolder,
                    parent,
                )
            }
            Node::ProjectById(project) => {
                let reader = self.reader()?;
                let of_project = |id: &MediaId| {
                    let items = reader.items_with_id(id).map_err(failed)?;
                    Ok(items.into_iter().find(|item| item.project == Some(project)))
                };
                self.look_up_id(
                    &reader,
                    door,
                    name,
                    by,
                    of_project,
                    Node::ProjectItemFolder,
                    parent,
                )
            }
            Node::ItemFolder(item) | Node::ProjectItemFolder(item) => {
                let reader = self.reader()?;
                let row = reader
                    .item(item)
                    .map_err(failed)?
                    .ok_or(DriveError::NotFound)?;
                if !has_name(&reader, &row, name)? {
                    return self.look_up_beside(parent, door, name);
                }
                Ok(self.answer_item(&row, door, parent_id, name, by, true))
            }
            Node::Projects => {
                let name = name.to_str().ok_or(DriveError::NotFound)?;
                let base = self
                    .reader()?
                    .base_named(BaseKind::Project, name)
                    .map_err(failed)?
                    .ok_or(DriveError::NotFound)?;
                Ok(self.folder_entry(Node::Project(base.row), door, self.started))
            }
            Node::Project(project) => self.look_up_section(project, door, name),
            Node::Section(project, section) => {
                let shown = |text| self.reader()?.shown(project, section, text).map_err(failed);
                match name.to_str().map(shown).transpose()?.flatten() {
                    Some(row) => Ok(self.answer_item(&row, door, parent_id, name, by, false)),
                    None => self.look_up_beside(parent, door, name),
                }
            }
            Node::Uses(project, uses) => self.look_up_uses(project, uses, door, name),
            Node::UsageFolder(folder) => match self.used_item(folder, name) {
                Ok(item) => Ok(self.answer_item(&item, door, parent_id, name, by, false)),
                Err(DriveError::NotFound) => self.look_up_beside(parent, door, name),
                Err(error) => Err(error),
            },
            Node::Library => {
                let name = name.to_str().ok_or(DriveError::NotFound)?;
                let reader = self.reader()?;
                let base = reader.base_named(BaseKind::Library, name).map_err(failed)?;
                let base = base
                    .filter(|base| base.active)
                    .ok_or(DriveError::NotFound)?;
                let top = reader
                    .folder(base.top)
                    .map_err(failed)?
                    .ok_or(DriveError::NotFound)?;
                Ok(self.library_folder_entry(&top, door))
            }
            Node::Folder(folder) => self.look_up_in_library(folder, door, name, by),
            Node::Record => self.look_up_take(door, name, by),
            Node::DropBox | Node::Dropped(_) => self.look_up_dropped(parent, door, name),
            Node::Events if name == Text::NoLog.name() => Ok(self.text_entry(Text::NoLog, door)),
            Node::Events => Err(DriveError::NotFound),
            Node::Text(_)
            | Node::Take { .. }
            | Node::Sidecar(_)
            | Node::Item { .. }
            | Node::Place { .. }
            | Node::Link { .. } => Err(DriveError::NotFolder),
        }
    }

    fn look_up_top(&self, door: Door, name: &OsStr) -> Result<Entry, DriveError> {
        let node = match name.to_str() {
            Some("by-id") => Node::ById,
            Some("projects") => Node::Projects,
            Some("library") => Node::Library,
            Some("record") => Node::Record,
            Some("import") => return Ok(self.drop_box_entry(door)),
            Some(".as") if door == Door::Plain => Node::Doors,
            Some(EVENTS) => Node::Events,
            name => {
                let text = name.and_then(Text::at_top).ok_or(DriveError::NotFound)?;
                return Ok(self.text_entry(text, door));
            }
        };
        Ok(self.folder_entry(node, door, self.started))
    }

    fn look_up_section(
        &self,
        project: BaseNo,
        door: Door,
        name: &OsStr,
    ) -> Result<Entry, DriveError> {
        if name == OsStr::new("by-id") {
            return Ok(self.folder_entry(Node::ProjectById(project), door, self.started));
        }
        if let Some(uses) = name.to_str().and_then(Uses::shown_as) {
            return Ok(self.folder_entry(Node::Uses(project, uses), door, self.started));
        }
        let section = name
            .to_str()
            .and_then(Section::shown_as)
            .ok_or(DriveError::NotFound)?;
        Ok(self.folder_entry(Node::Section(project, section), door, self.started))
    }

    /// `<mediaId>` is the item's folder, `<mediaId>.<ext>` the item itself.
    #[allow(clippy::too_many_arguments)]
    fn look_up_id(
        &self,
        reader: &Reader,
        door: Door,
        name: &OsStr,
        by: &Requester,
        find: impl Fn(&MediaId) -> Result<Option<ItemRow>, DriveError>,
        folder: impl Fn(ItemNo) -> Node,
        parent: Node,
    ) -> Result<Entry, DriveError> {
        let text = name.to_str().ok_or(DriveError::NotFound)?;
        let (id, extension) = match text.split_once('.') {
            Some((id, extension)) => (id, Some(extension)),
            None => (text, None),
        };
        let id: MediaId = id.parse().map_err(|_| DriveError::NotFound)?;
        let item = find(&id)?.ok_or(DriveError::NotFound)?;
        match extension {
            None => {
                let modified = item.modified.into();
                let mut entry = self.folder_entry(folder(item.row), door, modified);
                // Which scope's item the bare id leads to depends on what is open, so it is asked each time.
                if parent == Node::ById && reader.items_with_id(&id).map_err(failed)?.len() > 1 {
                    entry.entry_ttl = std::time::Duration::ZERO;
                }
                Ok(entry)
            }
            Some(extension) => {
                if !is_media_extension(extension) && !has_extension(reader, &item, extension)? {
                    return Err(DriveError::NotFound);
                }
                Ok(self.answer_item(&item, door, parent.id(door), name, by, true))
            }
        }
    }

    fn look_up_in_library(
        &self,
        folder: FolderNo,
        door: Door,
        name: &OsStr,
        by: &Requester,
    ) -> Result<Entry, DriveError> {
        let reader = self.reader()?;
        if let Some((place, item)) = reader
            .child_place(folder, name)
            .map_err(failed)?
            .filter(|(place, _)| place.present)
        {
            let parent = Node::Folder(folder).id(door);
            return match item {
                Some(item) => Ok(self.answer_item(&item, door, parent, name, by, false)),
                None if self.is_masked(&reader, folder, &place)? => {
                    self.look_up_beside(Node::Folder(folder), door, name)
                }
                None => Ok(self.answer_place(&place, door, parent, name)),
            };
        }
        match reader.child_folder(folder, name).map_err(failed)? {
            Some(child) => Ok(self.library_folder_entry(&child, door)),
            None => self.look_up_beside(Node::Folder(folder), door, name),
        }
    }

    /// Answers with the face that the requester gets, and remembers the name for when the content is swapped.
    pub(super) fn answer_item(
        &self,
        item: &ItemRow,
        door: Door,
        parent: NodeId,
        name: &OsStr,
        by: &Requester,
        players_door: bool,
    ) -> Entry {
        if !item.is_final() {
            return self.answer_take(item, door, parent, name, false);
        }
        // Asked only where it matters.
        let mut class = None;
        let face = face_for(item, || *class.insert(self.class(door, by, players_door)));
        let entry = self.item_entry(item, face, door, class);
        self.known
            .answered(Subject::Item(item.row.0), entry.node, parent, name);
        entry
    }

    pub(super) fn answer_place(
        &self,
        place: &PlaceRow,
        door: Door,
        parent: NodeId,
        name: &OsStr,
    ) -> Entry {
        debug_assert_eq!(
            place_node(place).id(door).0,
            self.place_attributes(place, door).inode
        );
        let mut entry = self.place_entry(place, door);
        if is_sidecar(place.name.as_encoded_bytes()) {
            // It leads elsewhere once a program writes to it.
            entry.entry_ttl = Duration::ZERO;
        }
        self.known
            .answered(Subject::Place(place.row.0), entry.node, parent, name);
        entry
    }

    pub(super) fn parent_of(&self, folder: Node, door: Door) -> Result<NodeId, DriveError> {
        let parent = match folder {
            Node::Root => {
                return Ok(if door == Door::Plain {
                    NodeId::ROOT
                } else {
                    Node::Doors.id(Door::Plain)
                });
            }
            Node::Doors
            | Node::ById
            | Node::Projects
            | Node::Library
            | Node::Record
            | Node::DropBox
            | Node::Events
            | Node::Text(_) => Node::Root,
            Node::ItemFolder(_) => Node::ById,
            Node::Project(_) => Node::Projects,
            Node::Section(project, _) | Node::ProjectById(project) | Node::Uses(project, _) => {
                Node::Project(project)
            }
            Node::UsageFolder(folder) => self.uses_of(folder)?,
            Node::ProjectItemFolder(item) => {
                let row = self
                    .reader()?
                    .item(item)
                    .map_err(failed)?
                    .ok_or(DriveError::Stale)?;
                row.project.map_or(Node::ById, Node::ProjectById)
            }
            Node::Folder(folder) => {
                let row = self
                    .reader()?
                    .folder(folder)
                    .map_err(failed)?
                    .ok_or(DriveError::Stale)?;
                row.parent.map_or(Node::Library, Node::Folder)
            }
            Node::Dropped(number) => self.parent_of_dropped(number)?,
            Node::Take { .. }
            | Node::Sidecar(_)
            | Node::Item { .. }
            | Node::Place { .. }
            | Node::Link { .. } => return Err(DriveError::NotFolder),
        };
        Ok(parent.id(door))
    }
}

pub(super) fn is_media_extension(extension: &str) -> bool {
    MEDIA_EXTENSIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension))
}

fn has_extension(reader: &Reader, item: &ItemRow, extension: &str) -> Result<bool, DriveError> {
    let names = reader.names(item.row).map_err(failed)?;
    Ok(names.iter().any(|name| {
        split_extension(&shown_name(name))
            .1
            .eq_ignore_ascii_case(extension)
    }))
}

/// The form in which names inside an item's folder are compared: they lead to one thing only, so case does not matter.
pub(super) fn folded(name: &str) -> Vec<u8> {
    compared(name.to_lowercase().as_bytes())
}

/// Does this name, in the item's own folder, mean the item? Its present name does, any it ever had, and each of them
/// with another known extension, or none.
fn has_name(reader: &Reader, item: &ItemRow, name: &OsStr) -> Result<bool, DriveError> {
    let Some(asked) = name.to_str() else {
        return Ok(false);
    };
    if shown_name(&item.name) == asked {
        return Ok(true);
    }
    let (stem, extension) = split_extension(asked);
    let asked_stem = is_media_extension(extension).then(|| folded(stem));
    let asked = folded(asked);
    let names = reader.names(item.row).map_err(failed)?;
    Ok(names.iter().any(|known| {
        let known = shown_name(known);
        let known_stem = folded(split_extension(&known).0);
        folded(&known) == asked || known_stem == asked || asked_stem.as_ref() == Some(&known_stem)
    }))
}

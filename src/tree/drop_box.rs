//! `import/`: the drop box. Files and folders are made, written, renamed and removed there as anywhere, and become items
//! when they are whole. Nothing of it is kept by the kernel, as files leave it by themselves. Its disk may take its time with
//! whatever changes something there, so none of that is done on the threads that answer the kernel.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mediafs_platform::drive::{
    Answer, AttributeChange, Attributes, Content, Cursor, DriveError, Entry, HandleId, Listed,
    Making, NodeId, NodeKind, OpenMode, Opened, Replacing, Requester,
};
use mediafs_platform::process::is_being_killed;
use mediafs_platform::{files, names};

use super::MediaDrive;
use super::handles::Shown;
use super::list::{FIXED, Sink, cursor, resume};
use super::node::{Door, Node};
use super::takes::{apply, at_time, changed_at, of_storage};
use crate::library::drop_box::{At, BoxHandle, Cut, DropBox, inside};

impl MediaDrive {
    fn drop_box(&self) -> Result<&Arc<DropBox>, DriveError> {
        self.drop_box.get().ok_or(DriveError::ReadOnly)
    }

    /// The path of a folder of the drop box, below its top.
    fn box_folder(&self, node: Node) -> Result<PathBuf, DriveError> {
        match node {
            Node::DropBox => Ok(PathBuf::new()),
            Node::Dropped(number) => self.box_path(number),
            _ => Err(DriveError::ReadOnly),
        }
    }

    /// The same as the number of the folder; `None` is the top.
    fn box_number(node: Node) -> Result<Option<u32>, DriveError> {
        match node {
            Node::DropBox => Ok(None),
            Node::Dropped(number) => Ok(Some(number)),
            _ => Err(DriveError::ReadOnly),
        }
    }

    fn box_path(&self, number: u32) -> Result<PathBuf, DriveError> {
        self.drop_box()?.path_of(number).ok_or(DriveError::Stale)
    }

    pub(super) fn look_up_dropped(
        &self,
        folder: Node,
        door: Door,
        name: &OsStr,
    ) -> Result<Entry, DriveError> {
        let drop_box = self.drop_box().map_err(|_| DriveError::NotFound)?;
        if !names::is_single(name) {
            return Err(DriveError::NotFound);
        }
        let path = inside(&self.box_folder(folder)?, name);
        let found = self.box_found(&drop_box.absolute(&path))?;
        // Its disk may take one name for another. What is written under the other would not be known to be, and be taken
        // for whole.
        match files::is_called(&drop_box.absolute(&path)) {
            Ok(true) => {}
            Ok(false) => return Err(DriveError::NotFound),
            Err(error) => return Err(named(&error)),
        }
        let number = drop_box.number(&path, true);
        Ok(self.box_entry(number, &found, door))
    }

    fn box_found(&self, path: &Path) -> Result<Metadata, DriveError> {
        let found = path.symlink_metadata().map_err(|error| named(&error))?;
        // Nothing else can be made here.
        if found.is_file() || found.is_dir() {
            Ok(found)
        } else {
            Err(DriveError::NotFound)
        }
    }

    fn box_entry(&self, number: u32, found: &Metadata, door: Door) -> Entry {
        let node = Node::Dropped(number).id(door);
        Entry {
            node,
            attributes: self.box_attributes_as(number, node, found),
            entry_ttl: Duration::ZERO,
            attribute_ttl: Duration::ZERO,
        }
    }

    fn box_attributes_as(&self, number: u32, node: NodeId, found: &Metadata) -> Attributes {
        let modified = found.modified().unwrap_or(self.started);
        Attributes {
            inode: node.0,
            kind: if found.is_dir() {
                NodeKind::Folder
            } else {
                NodeKind::File
            },
            size: if found.is_dir() { 0 } else { found.len() },
            modified,
            changed: self.drop_box.get().map_or_else(
                || changed_at(found),
                |drop_box| at_time(drop_box.changed_at(number, found)),
            ),
            born: found.created().unwrap_or(modified),
            permissions: files::permissions(found),
            uid: self.owner.uid,
            gid: self.owner.gid,
        }
    }

    pub(super) fn dropped_attributes(
        &self,
        number: u32,
        door: Door,
    ) -> Result<Attributes, DriveError> {
        let drop_box = self.drop_box()?;
        let node = Node::Dropped(number).id(door);
        // What is open may have no name any more, or have become an item.
        if let Some(file) = drop_box.opened(number) {
            let found = file.metadata().map_err(|error| of_storage(&error))?;
            return Ok(self.box_attributes_as(number, node, &found));
        }
        let found = self.box_found(&drop_box.absolute(&self.box_path(number)?));
        found
            .map(|found| self.box_attributes_as(number, node, &found))
            .map_err(|error| match error {
                DriveError::NotFound => DriveError::Stale,
                other => other,
            })
    }

    pub(super) fn list_drop_box(
        &self,
        folder: Node,
        door: Door,
        after: Cursor,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let (Ok(drop_box), Some(behind)) = (self.drop_box(), resume(after, FIXED)) else {
            return Ok(());
        };
        let path = self.box_folder(folder)?;
        let entries = std::fs::read_dir(drop_box.absolute(&path)).map_err(|e| named(&e))?;
        let mut listed = Vec::new();
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let kind = match () {
                () if kind.is_dir() => NodeKind::Folder,
                () if kind.is_file() => NodeKind::File,
                () => continue,
            };
            let name = entry.file_name();
            let number = drop_box.number(&inside(&path, &name), false);
            listed.push((number, name, kind));
        }
        // Numbers only grow, so that a listing goes on where it was, whatever came and went.
        listed.sort_unstable_by_key(|(number, ..)| *number);
        for (number, name, kind) in listed {
            let entry = Listed {
                name,
                cursor: cursor(FIXED, number),
                inode: Node::Dropped(number).id(door).0,
                kind,
                entry: None,
            };
            if number > behind && !sink(entry) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn open_dropped(&self, number: u32, door: Door, mode: OpenMode) -> Answer<Opened> {
        self.work(move |drive| {
            let write = mode.write || mode.truncate;
            let handle = BoxHandle::open(drive.drop_box()?, number, write, mode.truncate)
                .map_err(|error| stale_if_gone(&error))?;
            drive.opened_dropped(number, door, handle)
        })
    }

    fn opened_dropped(
        &self,
        number: u32,
        door: Door,
        handle: BoxHandle,
    ) -> Result<Opened, DriveError> {
        let found = handle.file().metadata().map_err(|e| of_storage(&e))?;
        if found.is_dir() {
            return Err(DriveError::IsFolder);
        }
        let node = Node::Dropped(number).id(door);
        let attributes = self.box_attributes_as(number, node, &found);
        Ok(Opened {
            handle: self
                .handles
                .open(node, attributes, Shown::Dropped(Arc::new(handle))),
            content: Content::Written,
        })
    }

    pub(super) fn create_dropped(
        &self,
        folder: Node,
        door: Door,
        name: &OsStr,
        making: Making,
    ) -> Answer<(Entry, Opened)> {
        self.box_change(folder, name, move |drive, at| {
            let Making {
                permissions,
                mode,
                exclusive,
            } = making;
            let drop_box = drive.drop_box()?;
            let made = BoxHandle::create(drop_box, at, permissions, exclusive, mode.truncate);
            let (number, handle) = made.map_err(|error| named(&error))?;
            let found = handle.file().metadata().map_err(|e| of_storage(&e))?;
            let entry = drive.box_entry(number, &found, door);
            Ok((entry, drive.opened_dropped(number, door, handle)?))
        })
    }

    pub(super) fn make_dropped_folder(
        &self,
        folder: Node,
        door: Door,
        name: &OsStr,
        permissions: u16,
    ) -> Answer<Entry> {
        self.box_change(folder, name, move |drive, at| {
            let made = drive.drop_box()?.make_folder(at, permissions);
            let (number, found) = made.map_err(|error| named(&error))?;
            Ok(drive.box_entry(number, &found, door))
        })
    }

    pub(super) fn remove_dropped(&self, parent: Node, name: &OsStr, folder: bool) -> Answer<()> {
        self.box_change(parent, name, move |drive, at| {
            let removed = drive.drop_box()?.remove(at, folder);
            removed.map_err(|error| named(&error))
        })
    }

    /// What was named in a folder stays named, also if the power fails.
    pub(super) fn sync_dropped(&self, folder: Node) -> Answer<()> {
        let folder = match Self::box_number(folder) {
            Ok(folder) => folder,
            Err(error) => return Answer::Now(Err(error)),
        };
        self.work(move |drive| {
            let synced = drive.drop_box()?.sync_folder(folder);
            synced.map_err(|error| named(&error))
        })
    }

    /// Changes something at a name.
    fn box_change<T>(
        &self,
        folder: Node,
        name: &OsStr,
        change: impl FnOnce(&Self, At<'_>) -> Result<T, DriveError> + Send + 'static,
    ) -> Answer<T> {
        let folder = match Self::box_number(folder) {
            Ok(folder) => folder,
            Err(error) => return Answer::Now(Err(error)),
        };
        let name = name.to_owned();
        self.work(move |drive| {
            let at = At {
                folder,
                name: &name,
            };
            change(drive, at)
        })
    }

    pub(super) fn rename_dropped(
        &self,
        from: (Node, &OsStr),
        to: (Node, &OsStr),
        replacing: Replacing,
    ) -> Answer<()> {
        let to_folder = match (Self::box_number(from.0), Self::box_number(to.0)) {
            (Err(error), _) => return Answer::Now(Err(error)),
            (Ok(_), Err(_)) => return Answer::Now(Err(DriveError::Elsewhere)),
            (Ok(_), Ok(folder)) => folder,
        };
        let new = to.1.to_owned();
        self.box_change(from.0, from.1, move |drive, at| {
            let to = At {
                folder: to_folder,
                name: &new,
            };
            let renamed = drive.drop_box()?.rename(at, to, replacing);
            renamed.map_err(|error| named(&error))
        })
    }

    pub(super) fn change_dropped(
        &self,
        number: u32,
        door: Door,
        handle: Option<HandleId>,
        change: AttributeChange,
    ) -> Answer<(Attributes, Duration)> {
        if self.changes_owner(&change) {
            return Answer::Now(Err(DriveError::NotOwner));
        }
        let open = handle.and_then(|handle| match self.handles.shown(handle) {
            Ok(Shown::Dropped(open)) if open.writes() => Some(open),
            _ => None,
        });
        self.work(move |drive| {
            let mut change = change;
            let for_this;
            let file = match &open {
                Some(open) if change.size == Some(0) => {
                    open.empty().map_err(|error| of_storage(&error))?;
                    change.size = None;
                    open.file()
                }
                Some(open) => open.file(),
                // Folders, and what only has other times or permissions, are not open for writing.
                None => {
                    let write = change.size.is_some();
                    for_this = BoxHandle::open(drive.drop_box()?, number, write, false)
                        .map_err(|error| stale_if_gone(&error))?;
                    for_this.file()
                }
            };
            if let Some(permissions) = change.permissions {
                files::set_permissions(file, permissions & 0o777 | 0o600)
                    .map_err(|error| of_storage(&error))?;
            }
            let found = apply(file, change).map_err(|error| of_storage(&error))?;
            let node = Node::Dropped(number).id(door);
            Ok((
                drive.box_attributes_as(number, node, &found),
                Duration::ZERO,
            ))
        })
    }

    /// A program closes a file that it may have written to.
    pub(super) fn closed_dropped(&self, handle: HandleId, by: &Requester) {
        if let Ok(Shown::Dropped(handle)) = self.handles.shown(handle)
            && handle.writes()
            && by.thread.is_some_and(is_being_killed)
        {
            handle.cut(Cut::Ended);
        }
    }

    pub(super) fn parent_of_dropped(&self, number: u32) -> Result<Node, DriveError> {
        let path = self.box_path(number)?;
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                Ok(Node::Dropped(self.drop_box()?.number(parent, false)))
            }
            _ => Ok(Node::DropBox),
        }
    }
}

/// What is said of a name.
pub(super) fn named(error: &io::Error) -> DriveError {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => DriveError::NotFound,
        ErrorKind::AlreadyExists => DriveError::AlreadyExists,
        ErrorKind::DirectoryNotEmpty => DriveError::NotEmpty,
        ErrorKind::NotADirectory => DriveError::NotFolder,
        ErrorKind::IsADirectory => DriveError::IsFolder,
        ErrorKind::ResourceBusy => DriveError::Busy,
        ErrorKind::InvalidFilename => DriveError::NameTooLong,
        ErrorKind::StaleNetworkFileHandle => DriveError::Stale,
        _ => of_storage(error),
    }
}

/// What is said of a node that was looked up a moment ago.
pub(super) fn stale_if_gone(error: &io::Error) -> DriveError {
    match named(error) {
        DriveError::NotFound => DriveError::Stale,
        other => other,
    }
}

//! `record/`: takes that are not final yet. The one part of the drive that is written to.
//!
//! A take's node shows its file as it is at each moment, so nothing of it is kept by the kernel: its size and times are
//! asked for each time, its bytes are read and written by the kernel in the file itself where it can, else here. Only the
//! node in `record/` is written to; the one in `by-id/` and in the project's views is another, which is only read. When
//! the take is final, its names lead to the item's own node.

use std::ffi::{OsStr, OsString};
use std::fs::{File, FileTimes, Metadata};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mediafs_platform::drive::{
    Allocation, Answer, AttributeChange, Attributes, Content, Cursor, DriveError, Entry, HandleId,
    Listed, NewTime, NodeId, NodeKind, OpenMode, Opened, Requester,
};
use mediafs_platform::failure::Failure;
use mediafs_platform::files::{self, Positioned as _};

use super::handles::Shown;
use super::known::Subject;
use super::list::{FIXED, Sink, cursor, resume};
use super::node::{Door, Face, Node};
use super::{MediaDrive, failed};
use crate::catalog::{ItemNo, ItemRow, Nanoseconds, Reader, TakeRow};
use crate::library::drop_box::Cut;
use crate::library::sidecars::MOST_BYTES;
use crate::model::{MediaId, shown_name};
use crate::project::takes::{NotOpened, TakeHandle};

/// Takes read at once.
const PAGE: u32 = 64;

fn node_of(item: ItemNo, writable: bool) -> Node {
    Node::Take { item, writable }
}

/// A take in a listing of a project or of its own folder. Without its entry: its size is asked for each time.
pub(super) fn take_listed(item: &ItemRow, name: OsString, at: Cursor, door: Door) -> Listed {
    Listed {
        name,
        cursor: at,
        inode: node_of(item.row, true).id(door).0,
        kind: NodeKind::File,
        entry: None,
    }
}

/// What a failing disk is to a program.
pub(super) fn of_storage(error: &io::Error) -> DriveError {
    match Failure::of(error) {
        Failure::NotFound => DriveError::Missing,
        Failure::NoSpace => DriveError::NoSpace,
        Failure::TooManyOpen => DriveError::TooManyOpen,
        Failure::ReadOnly => DriveError::ReadOnly,
        Failure::NotPermitted => DriveError::NotPermitted,
        Failure::Invalid => DriveError::Invalid,
        Failure::NotSupported => DriveError::NotSupported,
        Failure::TooLarge => DriveError::TooLarge,
        Failure::NotHere => DriveError::Busy,
        Failure::Storage | Failure::InUse | Failure::Other => DriveError::Io,
    }
}

impl MediaDrive {
    /// By its name, or by its id with the extension or without.
    pub(super) fn look_up_take(
        &self,
        door: Door,
        name: &OsStr,
        by: &Requester,
    ) -> Result<Entry, DriveError> {
        let text = name.to_str().ok_or(DriveError::NotFound)?;
        let reader = self.reader()?;
        let take = match reader.take_named(text).map_err(failed)? {
            Some(take) => take,
            None => take_by_id(&reader, text)?.ok_or(DriveError::NotFound)?,
        };
        let item = reader.item(take.item).map_err(failed)?;
        let item = item.ok_or(DriveError::NotFound)?;
        let parent = Node::Record.id(door);
        if !item.is_final() {
            return Ok(self.answer_take(&item, door, parent, name, true));
        }
        let mut entry = self.answer_item(&item, door, parent, name, by, true);
        // Nobody tells when its project is closed.
        entry.entry_ttl = Duration::ZERO;
        Ok(entry)
    }

    /// Answers with the node of a take, and remembers the name for when it becomes final.
    pub(super) fn answer_take(
        &self,
        item: &ItemRow,
        door: Door,
        parent: NodeId,
        name: &OsStr,
        writable: bool,
    ) -> Entry {
        let node = node_of(item.row, writable).id(door);
        self.known
            .answered(Subject::Item(item.row.0), node, parent, name);
        let found = self
            .reader()
            .and_then(|reader| self.found(&reader, item.row))
            .ok()
            .flatten();
        Entry {
            node,
            attributes: self.attributes_as(item, found.as_ref(), writable, door),
            entry_ttl: Duration::ZERO,
            attribute_ttl: Duration::ZERO,
        }
    }

    pub(super) fn take_attributes(
        &self,
        item: ItemNo,
        writable: bool,
        door: Door,
    ) -> Result<Attributes, DriveError> {
        let reader = self.reader()?;
        let row = reader.item(item).map_err(failed)?;
        let row = row.ok_or(DriveError::Stale)?;
        // What has it open goes on with the same file, wherever that is by now.
        if let Some(file) = self.takes.get().and_then(|takes| takes.opened(item)) {
            let found = file.metadata().map_err(|error| of_storage(&error))?;
            return Ok(self.attributes_as(&row, Some(&found), writable, door));
        }
        if row.is_final() {
            return Err(DriveError::Stale);
        }
        let found = self.found(&reader, item)?;
        Ok(self.attributes_as(&row, found.as_ref(), writable, door))
    }

    /// Whether a take's file is there.
    pub(super) fn has_file(&self, item: ItemNo) -> Result<(), DriveError> {
        let is_open = self.takes.get().is_some_and(|t| t.opened(item).is_some());
        match is_open || self.found(&self.reader()?, item)?.is_some() {
            true => Ok(()),
            false => Err(DriveError::Missing),
        }
    }

    /// What the disk says of a take's file.
    fn found(&self, reader: &Reader, item: ItemNo) -> Result<Option<Metadata>, DriveError> {
        let path = self.take_path(reader, item)?;
        Ok(path.and_then(|path| path.symlink_metadata().ok()))
    }

    fn take_path(&self, reader: &Reader, item: ItemNo) -> Result<Option<PathBuf>, DriveError> {
        let (Some(take), Some(takes)) = (reader.take(item).map_err(failed)?, self.takes.get())
        else {
            return Ok(None);
        };
        let path = takes.path_of(reader, &take).map_err(failed)?;
        // Something that only couriers touch may be mounted there by now.
        Ok(path.filter(|path| {
            path.parent()
                .is_some_and(|folder| self.reconcile.is_trusted(folder))
        }))
    }

    fn attributes_as(
        &self,
        item: &ItemRow,
        found: Option<&Metadata>,
        writable: bool,
        door: Door,
    ) -> Attributes {
        let time = |told: io::Result<SystemTime>| told.ok();
        let recorded = SystemTime::from(item.modified);
        let modified = found
            .and_then(|found| time(found.modified()))
            .unwrap_or(recorded);
        let changed = found.map_or(modified, changed_at);
        Attributes {
            inode: node_of(item.row, true).id(door).0,
            kind: NodeKind::File,
            size: found.map_or(0, Metadata::len),
            modified,
            changed,
            born: item.born.map_or(recorded, SystemTime::from),
            permissions: if writable { 0o644 } else { 0o444 },
            uid: self.owner.uid,
            gid: self.owner.gid,
        }
    }

    pub(super) fn open_take(
        &self,
        item: ItemNo,
        writable: bool,
        door: Door,
        mode: OpenMode,
    ) -> Answer<Opened> {
        // A disk may take its time until it has emptied a file, or says who else writes to it.
        if mode.write || mode.truncate {
            self.work(move |drive| drive.open_take_now(item, writable, door, mode))
        } else {
            Answer::Now(self.open_take_now(item, writable, door, mode))
        }
    }

    fn open_take_now(
        &self,
        item: ItemNo,
        writable: bool,
        door: Door,
        mode: OpenMode,
    ) -> Result<Opened, DriveError> {
        let reader = self.reader()?;
        let row = reader.item(item).map_err(failed)?;
        let row = row.filter(|row| !row.is_final()).ok_or(DriveError::Stale)?;
        let takes = self.takes.get().ok_or(DriveError::ReadOnly)?;
        let path = self.take_path(&reader, item)?.ok_or(DriveError::Missing)?;
        let write = mode.write || mode.truncate;
        // What was given up is kept for a while, and not written to.
        if write && row.lifecycle == crate::model::Lifecycle::Abandoned {
            return Err(DriveError::ReadOnly);
        }
        let handle = takes
            .open(item, &path, write)
            .map_err(|error| match error {
                NotOpened::Sealed => DriveError::Busy,
                NotOpened::Failed(error) => of_storage(&error),
            })?;
        if let Some(writer) = handle.writer().filter(|_| mode.truncate) {
            writer.set_len(0).map_err(|error| of_storage(&error))?;
        }
        let found = handle.file().metadata().ok();
        let attributes = self.attributes_as(&row, found.as_ref(), writable, door);
        let file = Arc::clone(handle.file());
        let id = node_of(item, writable).id(door);
        Ok(Opened {
            handle: self
                .handles
                .open(id, attributes, Shown::Take(Arc::new(handle))),
            content: Content::Growing(file),
        })
    }

    /// The file of a handle in `record/` or in `import/`.
    fn written_file(&self, handle: HandleId) -> Option<Arc<File>> {
        match self.handles.shown(handle) {
            Ok(Shown::Take(take)) => Some(Arc::clone(take.file())),
            Ok(Shown::Dropped(dropped)) => Some(Arc::clone(dropped.file())),
            _ => None,
        }
    }

    /// The file of a handle that is open for writing, and how long it may become.
    fn writer_of(&self, handle: HandleId) -> Result<(Arc<File>, u64), DriveError> {
        written_by(&self.handles.shown(handle)?)
    }

    pub(super) fn write_take(&self, handle: HandleId, offset: u64, data: Bytes) -> Answer<u32> {
        let shown = match self.handles.shown(handle) {
            Ok(shown) => shown,
            Err(error) => return Answer::Now(Err(error)),
        };
        let writer = match written_by(&shown) {
            Ok((_, most)) if end_of(offset, data.len() as u64) > most => {
                return Answer::Now(Err(DriveError::TooLarge));
            }
            Ok((writer, _)) => writer,
            Err(error) => return Answer::Now(Err(error)),
        };
        Answer::work(move || {
            let written = writer.write_all_at(&data, offset);
            whole_or_cut(&shown, written.map_err(|error| of_storage(&error)))?;
            u32::try_from(data.len()).map_err(|_| DriveError::Invalid)
        })
    }

    pub(super) fn sync_take(&self, handle: HandleId, data_only: bool) -> Answer<()> {
        if let Ok(Shown::Sidecar(sidecar)) = self.handles.shown(handle) {
            return Answer::work(move || sidecar.sync().map_err(|error| of_storage(&error)));
        }
        // By what was written through, where there is such: Windows has no other way. Nothing else is ever written.
        let file = match self.writer_of(handle) {
            Ok((writer, _)) => Some(writer),
            Err(_) => self.written_file(handle),
        };
        let (Ok(shown), Some(file)) = (self.handles.shown(handle), file) else {
            return Answer::Now(Ok(()));
        };
        Answer::work(move || {
            let synced = if data_only {
                file.sync_data()
            } else {
                files::sync(&file)
            };
            whole_or_cut(&shown, synced.map_err(|error| of_storage(&error)))
        })
    }

    pub(super) fn allocate_take(&self, handle: HandleId, allocation: Allocation) -> Answer<()> {
        let writer = match self.writer_of(handle) {
            Ok((_, most)) if end_of(allocation.offset, allocation.length) > most => {
                return Answer::Now(Err(DriveError::TooLarge));
            }
            Ok((writer, _)) => writer,
            Err(error) => return Answer::Now(Err(error)),
        };
        Answer::work(move || {
            files::allocate(&writer, allocation).map_err(|error| of_storage(&error))
        })
    }

    pub(super) fn change_take(
        &self,
        item: ItemNo,
        door: Door,
        handle: Option<HandleId>,
        change: AttributeChange,
    ) -> Answer<(Attributes, Duration)> {
        // The permissions and the owner are the drive's to choose; what asks for those it has is content.
        if self.changes_owner(&change)
            || change
                .permissions
                .is_some_and(|asked| asked & 0o777 != 0o644)
        {
            return Answer::Now(Err(DriveError::NotOwner));
        }
        let open = handle.and_then(|handle| self.writer_of(handle).ok());
        self.work(move |drive| {
            let row = drive.reader()?.item(item).map_err(failed)?;
            let row = row.ok_or(DriveError::Stale)?;
            let open = open.map(|(file, _)| file);
            let writer = drive.writer_for_change(&row, open)?;
            let file = match &writer {
                Writing::Open(file) => file,
                Writing::ForThis(take) => take.writer().ok_or(DriveError::ReadOnly)?,
            };
            let found = apply(file, change).map_err(|error| of_storage(&error))?;
            let changed = drive.attributes_as(&row, Some(&found), true, door);
            Ok((changed, Duration::ZERO))
        })
    }

    /// All of the drive belongs to whom the daemon works for.
    pub(super) fn changes_owner(&self, change: &AttributeChange) -> bool {
        change.uid.is_some_and(|uid| uid != self.owner.uid)
            || change.gid.is_some_and(|gid| gid != self.owner.gid)
    }

    fn writer_for_change(
        &self,
        row: &ItemRow,
        open: Option<Arc<File>>,
    ) -> Result<Writing, DriveError> {
        if let Some(open) = open {
            return Ok(Writing::Open(open));
        }
        if row.lifecycle != crate::model::Lifecycle::Pending {
            return Err(DriveError::ReadOnly);
        }
        let takes = self.takes.get().ok_or(DriveError::ReadOnly)?;
        let path = self.take_path(&self.reader()?, row.row)?;
        let path = path.ok_or(DriveError::Missing)?;
        match takes.open(row.row, &path, true) {
            Ok(take) => Ok(Writing::ForThis(take)),
            Err(NotOpened::Sealed) => Err(DriveError::Busy),
            Err(NotOpened::Failed(error)) => Err(of_storage(&error)),
        }
    }

    pub(super) fn list_record(
        &self,
        door: Door,
        after: Cursor,
        sink: &mut Sink<'_>,
    ) -> Result<(), DriveError> {
        let Some(mut behind) = resume(after, FIXED) else {
            return Ok(());
        };
        loop {
            let reader = self.reader()?;
            let page = reader.list_takes(behind, PAGE).map_err(failed)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            behind = last.item.0;
            for take in page {
                let Some(item) = reader.item(take.item).map_err(failed)? else {
                    continue;
                };
                if take.given_up.is_some() {
                    continue;
                }
                let at = cursor(FIXED, take.item.0);
                let mut listed = take_listed(&item, take.name.into(), at, door);
                if item.is_final() {
                    let node = super::attributes::item_node(&item, Face::Bytes, 0);
                    listed.inode = node.id(door).0;
                }
                if !sink(listed) {
                    return Ok(());
                }
            }
        }
    }
}

/// A file of the drop box that the disk did not take all of is not whole, whether its program tells anybody or not.
fn whole_or_cut(shown: &Shown, done: Result<(), DriveError>) -> Result<(), DriveError> {
    if let (Err(error), Shown::Dropped(dropped)) = (&done, shown) {
        dropped.cut(match error {
            DriveError::NoSpace => Cut::NoSpace,
            _ => Cut::Failed,
        });
    }
    done
}

/// What a handle in `record/` or in `import/`, or of a sidecar, writes to, and how long it may become.
fn written_by(shown: &Shown) -> Result<(Arc<File>, u64), DriveError> {
    let (writer, most) = match shown {
        Shown::Take(take) => (take.writer(), u64::MAX),
        Shown::Dropped(dropped) => (dropped.writes().then(|| dropped.file()), u64::MAX),
        Shown::Sidecar(sidecar) => (sidecar.writes().then(|| sidecar.file()), MOST_BYTES),
        _ => (None, 0),
    };
    let writer = writer.ok_or(DriveError::ReadOnly)?;
    Ok((Arc::clone(writer), most))
}

fn end_of(offset: u64, length: u64) -> u64 {
    offset.saturating_add(length)
}

/// Through what a take is changed.
enum Writing {
    /// A handle that a program has.
    Open(Arc<File>),
    /// One that is closed again.
    ForThis(TakeHandle),
}

fn take_by_id(reader: &Reader, text: &str) -> Result<Option<TakeRow>, DriveError> {
    let (id, extension) = match text.split_once('.') {
        Some((id, extension)) => (id, Some(extension)),
        None => (text, None),
    };
    let Ok(id) = id.parse::<MediaId>() else {
        return Ok(None);
    };
    let Some(item) = reader.item_by_id(&id).map_err(failed)? else {
        return Ok(None);
    };
    let own = shown_name(&item.name);
    let own = crate::model::split_extension(&own).1;
    if extension.is_some_and(|asked| !asked.eq_ignore_ascii_case(own)) {
        return Ok(None);
    }
    reader.take(item.row).map_err(failed)
}

pub(super) fn changed_at(found: &Metadata) -> SystemTime {
    at_time(files::changed_at(found))
}

/// Of seconds and nanoseconds since 1970.
pub(super) fn at_time((seconds, nanoseconds): (i64, i64)) -> SystemTime {
    let all = seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds);
    Nanoseconds(all).into()
}

pub(super) fn apply(file: &File, change: AttributeChange) -> io::Result<Metadata> {
    if let Some(size) = change.size {
        file.set_len(size)?;
    }
    let time = |new: NewTime| match new {
        NewTime::Now => SystemTime::now(),
        NewTime::At(time) => time,
    };
    if change.accessed.is_some() || change.modified.is_some() {
        let mut times = FileTimes::new();
        if let Some(accessed) = change.accessed {
            times = times.set_accessed(time(accessed));
        }
        if let Some(modified) = change.modified {
            times = times.set_modified(time(modified));
        }
        file.set_times(times)?;
    }
    file.metadata()
}

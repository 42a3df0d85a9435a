//! The drive as Windows asks for it: paths, rights and handles where [`Drive`] has nodes. What changes something is in
//! `changing.rs`, how a path is walked in `walk.rs`, what is open in `opens.rs`.
//!
//! [`Drive`]: crate::drive::Drive

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::super::asking::Asking;
use super::changes::{Change, Changes};
use super::info::Info;
use super::known::Known;
use super::names;
use super::opens::{Open, Opens};
use super::status::Status;
use super::walk::Step;
use crate::drive::{
    Attributes, Cursor, Drive, DriveError, Listed, NodeId, NodeKind, Requester, Room,
};

/// Entries taken of a folder at a time.
const PAGE: usize = 512;
/// An attribute that is `1` while a player would get silence.
const PLACEHOLDER: &str = "user.mediafs.placeholder";

const FILE_ACTION_ADDED: u32 = 1;
const FILE_ACTION_REMOVED: u32 = 2;
const FILE_ACTION_MODIFIED: u32 = 3;
const FILE_NOTIFY_CHANGE_FILE_NAME: u32 = 0x1;
const FILE_NOTIFY_CHANGE_DIR_NAME: u32 = 0x2;
const FILE_NOTIFY_CHANGE_ATTRIBUTES: u32 = 0x4;
const FILE_NOTIFY_CHANGE_SIZE: u32 = 0x8;
const FILE_NOTIFY_CHANGE_LAST_WRITE: u32 = 0x10;

/// The drive behind WinFsp.
pub(super) struct Adapter {
    pub(super) asking: Asking,
    pub(super) known: Mutex<Known>,
    pub(super) changes: Arc<Changes>,
    pub(super) opens: Opens,
    /// What nobody asks for in particular, such as what has changed.
    nobody: Requester,
}

/// Who may do what with something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Rights {
    pub(super) is_folder: bool,
    /// Its bytes may be changed.
    pub(super) is_writable: bool,
}

/// Something that Windows is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Notice {
    pub(super) path: Vec<u16>,
    pub(super) filter: u32,
    pub(super) action: u32,
}

/// The requester of a process; number 0 is one that is not known.
pub(super) fn requester(process: u32) -> Requester {
    Requester {
        thread: (process != 0).then_some(process),
        uid: 0,
        gid: 0,
    }
}

impl Adapter {
    /// `ending` turns `true` when the mount ends: whoever still waits is answered.
    pub(super) fn new(
        drive: Arc<dyn Drive>,
        runtime: tokio::runtime::Handle,
        ending: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        Ok(Self {
            asking: Asking::new(drive, runtime, ending)?,
            known: Mutex::new(Known::new()),
            changes: Arc::new(Changes::new()),
            opens: Opens::default(),
            nobody: requester(0),
        })
    }

    pub(super) fn may_write(&self, node: NodeId, by: &Requester) -> bool {
        self.asking
            .ask(|drive| Ok(drive.may_write(node, by)))
            .unwrap_or(false)
    }

    pub(super) fn refusal(&self, question: impl FnOnce(&dyn Drive) -> DriveError) -> DriveError {
        self.asking
            .ask(|drive| Ok(question(drive)))
            .unwrap_or_else(|error| error)
    }

    /// What Windows knows of a node. What looks the same to everybody is here.
    pub(super) fn info_of(&self, node: NodeId, attributes: &Attributes, is_settled: bool) -> Info {
        let is_away = !is_settled
            && attributes.kind == NodeKind::File
            && self
                .asking
                .ask(|drive| drive.xattr(node, OsStr::new(PLACEHOLDER)))
                .is_ok_and(|value| value == b"1");
        Info::new(attributes, is_away)
    }

    /// What a path leads to, and who may do what there. Who `means_to_write` into a sound is answered by the drive, which
    /// warns of it, before WinFsp finds that there is no right to.
    pub(super) fn look(
        &self,
        path: &[u16],
        by: &Requester,
        means_to_write: bool,
    ) -> Result<(Info, Rights), Status> {
        let found = self.walk(path, by)?;
        let rights = Rights {
            is_folder: found.is_folder(),
            is_writable: self.may_write(found.node, by),
        };
        if means_to_write && !rights.is_folder && !rights.is_writable {
            let refused = self.refusal(|drive| drive.refuse_write(found.node, by));
            return Err(refused.into());
        }
        let info = self.info_of(found.node, &found.attributes, found.is_settled);
        Ok((info, rights))
    }

    pub(super) fn rights(&self, open: &Open) -> Rights {
        Rights {
            is_folder: open.is_folder,
            is_writable: self.may_write(open.node(), &open.by),
        }
    }

    pub(super) fn info(&self, open: &Open) -> Result<Info, Status> {
        let node = open.node();
        let (attributes, ttl) = self.asking.ask(|drive| drive.attributes(node))?;
        Ok(self.info_of(node, &attributes, !ttl.is_zero()))
    }

    /// Up to `length` bytes at `offset`, at least one.
    pub(super) async fn read(
        &self,
        open: &Open,
        offset: u64,
        length: u32,
    ) -> Result<Bytes, Status> {
        let _pending = open.begins();
        let handle = open.handle().await?;
        let answer = self
            .asking
            .settle(|drive| drive.read(handle, offset, length, &open.by));
        let mut bytes = answer.await?;
        bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        match bytes.is_empty() && length > 0 {
            true => Err(Status::END_OF_FILE),
            false => Ok(bytes),
        }
    }

    /// Gives each entry of a folder, by its shown name.
    pub(super) fn list(
        &self,
        folder: &Open,
        mut each: impl FnMut(&[u16], &Info) -> Result<(), Status>,
    ) -> Result<(), Status> {
        let node = folder.node();
        let own = self.info(folder)?;
        // The root is in no other folder.
        if node != NodeId::ROOT {
            let dot = u16::from(b'.');
            each(&[dot], &own)?;
            let above = self.asking.ask(|drive| {
                let (attributes, _) = drive.attributes(drive.parent(node)?)?;
                Ok(Info::new(&attributes, false))
            });
            each(&[dot, dot], &above.unwrap_or(own))?;
        }
        let mut after = Cursor::default();
        loop {
            let (page, is_full) = self.page(node, after, &folder.by)?;
            self.known.lock().used(node);
            for listed in page {
                after = listed.cursor;
                let Some(name) = names::shown(&listed.name) else {
                    tracing::debug!(name = ?listed.name, "a name that Windows cannot show");
                    continue;
                };
                if let Some(info) = self.listed(folder, &listed, &name) {
                    each(&name, &info)?;
                }
            }
            if !is_full {
                return Ok(());
            }
        }
    }

    fn page(
        &self,
        folder: NodeId,
        after: Cursor,
        by: &Requester,
    ) -> Result<(Vec<Listed>, bool), DriveError> {
        let mut page = Vec::new();
        let mut is_full = false;
        self.asking.ask(|drive| {
            drive.list(folder, after, true, by, &mut |listed| {
                is_full = page.len() == PAGE;
                if !is_full {
                    page.push(listed);
                }
                !is_full
            })
        })?;
        Ok((page, is_full))
    }

    /// What an entry of a list leads to; `None` if it is gone since, or a link that leads nowhere.
    fn listed(&self, folder: &Open, listed: &Listed, name: &[u16]) -> Option<Info> {
        if let Some(entry) = &listed.entry {
            self.looked_up(entry, folder.node(), name);
        }
        if listed.kind == NodeKind::Symlink {
            let target = self.walk(&names::joined(&folder.path(), name), &folder.by);
            let target = target.ok()?;
            return Some(self.info_of(target.node, &target.attributes, target.is_settled));
        }
        let entry = match listed.entry {
            Some(entry) => entry,
            // What it leads to depends on who asks.
            None => self
                .look_up(folder.node(), &listed.name, name, &folder.by)
                .ok()?,
        };
        let is_settled = !entry.entry_ttl.is_zero();
        Some(self.info_of(entry.node, &entry.attributes, is_settled))
    }

    /// One entry of a folder, and its name as it is listed.
    pub(super) fn entry(&self, folder: &Open, name: &[u16]) -> Result<(Vec<u16>, Info), Status> {
        let Step { entry, shown, .. } = self.step(folder.node(), name, &folder.by)?;
        if entry.attributes.kind == NodeKind::Symlink {
            let target = self.walk(&names::joined(&folder.path(), name), &folder.by)?;
            let info = self.info_of(target.node, &target.attributes, target.is_settled);
            return Ok((shown, info));
        }
        let is_settled = !entry.entry_ttl.is_zero();
        let info = self.info_of(entry.node, &entry.attributes, is_settled);
        Ok((shown, info))
    }

    pub(super) fn room(&self) -> Result<Room, Status> {
        Ok(self.asking.ask(|drive| Ok(drive.room()))?)
    }

    /// Is there something to tell Windows?
    pub(super) fn has_news(&self) -> bool {
        if self.changes.holds() {
            self.changes.let_go(&self.opens.busy());
        }
        !self.changes.is_empty()
    }

    /// What to tell Windows of what has changed. A path of which a read or a write is not answered is told of later: telling
    /// waits for the lock that WinFsp keeps the file by until then, with all renames waiting behind it, and behind those all opens
    /// of the drive. One that begins between this and the telling is not known here.
    pub(super) fn notices(&self, changes: Vec<Change>) -> Vec<Notice> {
        let named: Vec<(Change, Vec<u16>)> = changes
            .into_iter()
            .filter_map(|change| {
                let shown = match change.name.as_deref() {
                    Some(name) => names::shown(name)?,
                    None => Vec::new(),
                };
                Some((change, shown))
            })
            .collect();
        let known = self.known.lock();
        let told = known.told(
            named
                .iter()
                .filter(|(change, _)| change.name.is_some())
                .map(|(change, shown)| (change.folder, &**shown)),
        );
        let was_told: Vec<bool> = named
            .iter()
            .map(|(change, shown)| told.contains(&(change.folder, &**shown)))
            .collect();
        drop(told);
        let placed: Vec<_> = named
            .into_iter()
            .zip(was_told)
            .filter_map(|((change, shown), was_told)| {
                let folder = known.path_of(change.folder)?;
                let path = match change.name {
                    Some(_) => names::joined(&folder, &shown),
                    None if change.folder == NodeId::ROOT => return None,
                    None => folder,
                };
                Some((change, path, was_told))
            })
            .collect();
        drop(known);
        // The drive is asked with nothing locked.
        let notices: Vec<(Change, Notice)> = placed
            .into_iter()
            .map(|(change, path, was_told)| {
                let notice = match change.name.as_deref() {
                    Some(name) => self.notice(change.folder, name, path, was_told),
                    None => Notice {
                        path,
                        filter: FILE_NOTIFY_CHANGE_LAST_WRITE,
                        action: FILE_ACTION_MODIFIED,
                    },
                };
                (change, notice)
            })
            .collect();
        // As late as can be.
        let busy = self.opens.busy();
        notices
            .into_iter()
            .filter_map(|(change, notice)| {
                let folded = names::folded(&notice.path);
                if busy.contains(&folded) {
                    self.changes.hold(folded, change);
                    return None;
                }
                Some(notice)
            })
            .collect()
    }

    fn notice(&self, folder: NodeId, name: &OsStr, path: Vec<u16>, was_told: bool) -> Notice {
        let found = self
            .asking
            .ask(|drive| drive.lookup(folder, name, &self.nobody));
        if let Ok(entry) = &found {
            let shown = names::split(&path).map_or(&[][..], |(_, name)| name);
            self.looked_up(entry, folder, shown);
        }
        let names = FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME;
        let (action, filter) = match (found, was_told) {
            (Err(_), _) => (FILE_ACTION_REMOVED, names),
            (Ok(_), true) => (
                FILE_ACTION_MODIFIED,
                FILE_NOTIFY_CHANGE_ATTRIBUTES
                    | FILE_NOTIFY_CHANGE_SIZE
                    | FILE_NOTIFY_CHANGE_LAST_WRITE,
            ),
            (Ok(entry), false) if entry.attributes.kind == NodeKind::Folder => {
                (FILE_ACTION_ADDED, FILE_NOTIFY_CHANGE_DIR_NAME)
            }
            (Ok(_), false) => (FILE_ACTION_ADDED, FILE_NOTIFY_CHANGE_FILE_NAME),
        };
        Notice {
            path,
            filter,
            action,
        }
    }
}

//! What is open: from a program's `CreateFile` to the close of the last thing that holds it.
//!
//! Windows has an open answered before it lets anybody change a name, so the drive's `open` is waited for a moment only.
//! Where that takes longer (a sampler that waits for a sound to wake up), the program gets its handle, and its first read
//! waits, which keeps nobody else.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::adapter::Adapter;
use super::info::{Info, Wanted, goes_on_close, mode};
use super::names;
use super::status::Status;
use super::walk::Found;
use crate::drive::{
    Answer, Content, DriveError, Entry, HandleId, Making, NodeId, OpenMode, Opened, Requester,
};

/// How long an open keeps the thread it came by.
const MOMENT: Duration = Duration::from_millis(100);
/// How often what has become stale is looked up again.
pub(super) const ATTEMPTS: usize = 4;
/// What is made without anybody saying who may do what.
const FILE_PERMISSIONS: u16 = 0o644;
const FOLDER_PERMISSIONS: u16 = 0o755;

/// A handle of the drive.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) handle: HandleId,
    pub(super) node: NodeId,
    /// The drive wants to hear of each close.
    is_told: bool,
}

impl Held {
    fn new(node: NodeId, opened: &Opened) -> Self {
        Self {
            handle: opened.handle,
            node,
            is_told: matches!(opened.content, Content::Written),
        }
    }
}

type Opening = watch::Receiver<Option<Result<Held, DriveError>>>;

/// A file or folder that a program has open.
pub(super) struct Open {
    number: u64,
    /// What was found when it was opened.
    node: NodeId,
    pub(super) is_folder: bool,
    /// Who opened it: who reads later is not told.
    pub(super) by: Requester,
    /// The drive's handle comes here; `None` where no byte is read or written.
    opening: Option<Opening>,
    pub(super) writes: bool,
    was_told: AtomicBool,
    /// How many of its reads and writes are not answered.
    pending: AtomicUsize,
    /// Its path now.
    place: Mutex<Located>,
}

/// The path of something open.
#[derive(Clone)]
struct Located {
    path: Vec<u16>,
    /// What WinFsp knows it by: the same for all cases, and as long.
    folded: Vec<u16>,
}

impl Located {
    fn new(path: Vec<u16>) -> Self {
        let folded = names::folded(&path);
        Self { path, folded }
    }

    /// What it is called once `from`, as it is for all cases, is called `to`; `None` if it is neither that nor below it.
    fn renamed(&self, from: &[u16], to: &[u16]) -> Option<Self> {
        let below = self.folded.strip_prefix(from)?;
        if !matches!(below.first(), None | Some(&names::SEPARATOR)) {
            return None;
        }
        let below = self.path.get(from.len()..)?;
        Some(Self::new([to, below].concat()))
    }
}

/// A read or a write, until it is answered.
pub(super) struct Pending<'a>(&'a AtomicUsize);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Open {
    fn new(
        number: u64,
        (node, is_folder, path): (NodeId, bool, Vec<u16>),
        by: Requester,
        (opening, writes): (Option<Opening>, bool),
    ) -> Self {
        Self {
            number,
            node,
            is_folder,
            place: Mutex::new(Located::new(path)),
            by,
            opening,
            writes,
            was_told: AtomicBool::new(false),
            pending: AtomicUsize::new(0),
        }
    }

    /// Its path, also after it was renamed, in the case that it was opened or renamed in.
    pub(super) fn path(&self) -> Vec<u16> {
        self.place.lock().path.clone()
    }

    /// A read or a write begins, and lasts as long as what this gives.
    pub(super) fn begins(&self) -> Pending<'_> {
        self.pending.fetch_add(1, Ordering::AcqRel);
        Pending(&self.pending)
    }

    /// The handle, if it has come already.
    fn held(&self) -> Option<Held> {
        let opening = self.opening.as_ref()?;
        let told = *opening.borrow();
        told?.ok()
    }

    /// What it shows.
    pub(super) fn node(&self) -> NodeId {
        self.held().map_or(self.node, |held| held.node)
    }

    /// The handle, when it has come.
    pub(super) async fn handle(&self) -> Result<HandleId, DriveError> {
        // Opened for attributes only; the kernel has seen to it that nothing else is asked.
        let mut opening = self.opening.clone().ok_or(DriveError::NotPermitted)?;
        match opening.wait_for(Option::is_some).await.map(|told| *told) {
            Ok(Some(Ok(held))) => Ok(held.handle),
            Ok(Some(Err(error))) => Err(error),
            Ok(None) | Err(_) => Err(DriveError::Io),
        }
    }
}

/// All that is open.
#[derive(Default)]
pub(super) struct Opens {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Arc<Open>>,
}

impl Opens {
    fn add(&self, open: impl FnOnce(u64) -> Open) -> Arc<Open> {
        let mut table = self.table.lock();
        table.last += 1;
        let number = table.last;
        let open = Arc::new(open(number));
        table.open.insert(number, Arc::clone(&open));
        open
    }

    /// Takes it out; `false` where that was done before.
    fn remove(&self, open: &Open) -> bool {
        self.table.lock().open.remove(&open.number).is_some()
    }

    /// How many files are open to be read or written.
    pub(super) fn files(&self) -> usize {
        let table = self.table.lock();
        let files = table.open.values().filter(|open| open.opening.is_some());
        files.count()
    }

    /// The paths, as they are for all cases, of which a read or a write is not answered.
    pub(super) fn busy(&self) -> HashSet<Vec<u16>> {
        let table = self.table.lock();
        table
            .open
            .values()
            .filter(|open| open.pending.load(Ordering::Acquire) > 0)
            .map(|open| open.place.lock().folded.clone())
            .collect()
    }

    /// What has this path, or is below it, has another one now.
    pub(super) fn renamed(&self, from: &[u16], to: &[u16]) {
        let from = names::folded(from);
        for open in self.table.lock().open.values() {
            let mut place = open.place.lock();
            if let Some(renamed) = place.renamed(&from, to) {
                *place = renamed;
            }
        }
    }

    fn all(&self) -> Vec<Arc<Open>> {
        self.table.lock().open.values().cloned().collect()
    }
}

impl Adapter {
    /// Opens what is there, with the rights that were granted.
    pub(super) fn open(
        self: &Arc<Self>,
        path: &[u16],
        create_options: u32,
        granted: u32,
        by: Requester,
    ) -> Result<(Arc<Open>, Info), Status> {
        let found = self.walk(path, &by)?;
        match (Wanted::of(create_options), found.is_folder()) {
            (Wanted::Folder, false) => return Err(Status::NOT_A_DIRECTORY),
            (Wanted::File, true) => return Err(Status::FILE_IS_A_DIRECTORY),
            _ => {}
        }
        // Of this nobody asks again, at the close either.
        if goes_on_close(create_options) {
            self.may_go(found.node, found.is_folder(), &by)
                .map_err(|refused| match refused {
                    Status::DIRECTORY_NOT_EMPTY => refused,
                    _ => Status::CANNOT_DELETE,
                })?;
        }
        let info = self.info_of(found.node, &found.attributes, found.is_settled);
        let mode = mode(granted).filter(|_| !found.is_folder());
        let opening = match mode {
            Some(mode) => Some(self.open_on_drive(&found, mode, by)?),
            None => None,
        };
        let writes = mode.is_some_and(|mode| mode.write);
        let found = (found.node, found.is_folder(), found.path);
        let open = self
            .opens
            .add(|number| Open::new(number, found, by, (opening, writes)));
        // It may be another one by the time it was opened.
        let info = match open.node() == open.node {
            true => info,
            false => self.info(&open).unwrap_or(info),
        };
        Ok((open, info))
    }

    fn open_on_drive(
        self: &Arc<Self>,
        found: &Found,
        mode: OpenMode,
        by: Requester,
    ) -> Result<Opening, DriveError> {
        if mode.write && !self.may_write(found.node, &by) {
            return Err(self.refusal(|drive| drive.refuse_write(found.node, &by)));
        }
        let adapter = Arc::clone(self);
        let (node, path) = (found.node, found.path.clone());
        let mut opening = Box::pin(async move { adapter.opened(node, &path, mode, by).await });
        let first = match self.asking.begin(&mut opening) {
            Poll::Ready(result) => Some(Ok(result?)),
            Poll::Pending => None,
        };
        let (told, mut telling) = watch::channel(first);
        if first.is_none() {
            self.asking.runtime.spawn(async move {
                let result = opening.await;
                told.send_replace(Some(result));
            });
            self.asking.runtime.block_on(async {
                // What comes later is waited for by who reads.
                let _ = tokio::time::timeout(MOMENT, telling.wait_for(Option::is_some)).await;
            });
            let now = *telling.borrow();
            if let Some(Err(error)) = now {
                return Err(error);
            }
        }
        Ok(telling)
    }

    /// Opens a node, or the one that the path leads to by then.
    async fn opened(
        &self,
        mut node: NodeId,
        path: &[u16],
        mode: OpenMode,
        by: Requester,
    ) -> Result<Held, DriveError> {
        for _ in 0..ATTEMPTS {
            let answer = self.asking.settle(|drive| drive.open(node, mode, &by));
            match answer.await {
                Ok(opened) => return Ok(Held::new(node, &opened)),
                Err(DriveError::Stale) => {}
                Err(error) => return Err(error),
            }
            node = match self.walk(path, &by) {
                Ok(found) => found.node,
                Err(Status::OBJECT_NAME_NOT_FOUND | Status::OBJECT_PATH_NOT_FOUND) => {
                    return Err(DriveError::NotFound);
                }
                Err(_) => return Err(DriveError::Stale),
            };
        }
        Err(DriveError::Stale)
    }

    /// Makes a file or a folder, which is not there yet, and opens it.
    pub(super) fn create(
        self: &Arc<Self>,
        path: &[u16],
        wanted: Wanted,
        granted: u32,
        by: Requester,
    ) -> Result<(Arc<Open>, Info), Status> {
        let (folder, shown) = names::split(path).ok_or(Status::OBJECT_NAME_COLLISION)?;
        let folder = self.walk(folder, &by).map_err(|status| match status {
            Status::OBJECT_NAME_NOT_FOUND => Status::OBJECT_PATH_NOT_FOUND,
            other => other,
        })?;
        if !folder.is_folder() {
            return Err(Status::OBJECT_PATH_NOT_FOUND);
        }
        if shown.len() > names::LONGEST_NAME {
            return Err(Status::NAME_TOO_LONG);
        }
        // To the drive, the same name in another case is another.
        match self.step(folder.node, shown, &by) {
            Ok(_) => return Err(Status::OBJECT_NAME_COLLISION),
            Err(DriveError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        let made = self.made(folder.node, shown, wanted, granted, by);
        let (shown, (entry, opening, writes)) = match made {
            Err(refused @ Status::MEDIA_WRITE_PROTECTED) => {
                let shown = self.in_case_of_neighbour(folder.node, shown, &by);
                let shown = shown.ok_or(refused)?;
                let made = self.made(folder.node, &shown, wanted, granted, by)?;
                (Cow::Owned(shown), made)
            }
            made => (Cow::Borrowed(shown), made?),
        };
        let shown = &*shown;
        self.looked_up(&entry, folder.node, shown);
        self.changes.cases.lock().changed(folder.node);
        let at = match folder.node {
            NodeId::ROOT => &[][..],
            _ => &folder.path,
        };
        let is_folder = wanted == Wanted::Folder;
        let made = (entry.node, is_folder, names::joined(at, shown));
        let open = self
            .opens
            .add(|number| Open::new(number, made, by, (opening, writes)));
        let info = self.info_of(entry.node, &entry.attributes, true);
        Ok((open, info))
    }

    /// Makes it under the name that is shown so: the very same wherever there is leave for any, as disks of Windows have no other.
    /// Beside a sound it has the name that goes with the sound's.
    fn made(
        &self,
        folder: NodeId,
        shown: &[u16],
        wanted: Wanted,
        granted: u32,
        by: Requester,
    ) -> Result<(Entry, Option<Opening>, bool), Status> {
        let mut made = Err(Status::OBJECT_NAME_INVALID);
        for name in names::meant(shown) {
            made = self.made_as(folder, &name, wanted, granted, by);
            if !matches!(made, Err(Status::MEDIA_WRITE_PROTECTED)) {
                break;
            }
        }
        made
    }

    fn made_as(
        &self,
        folder: NodeId,
        name: &OsStr,
        wanted: Wanted,
        granted: u32,
        by: Requester,
    ) -> Result<(Entry, Option<Opening>, bool), Status> {
        Ok(match wanted {
            Wanted::Folder => {
                let made = |drive: &dyn crate::drive::Drive| {
                    drive.make_folder(folder, name, FOLDER_PERMISSIONS, &by)
                };
                (self.asking.wait(made)?, None, false)
            }
            Wanted::File | Wanted::Any => {
                let mode = mode(granted);
                let making = Making {
                    permissions: FILE_PERMISSIONS,
                    mode: mode.unwrap_or(OpenMode {
                        read: true,
                        ..OpenMode::default()
                    }),
                    exclusive: true,
                };
                let (entry, opened) = self
                    .asking
                    .wait(|drive| drive.create(folder, name, making, &by))?;
                let held = Held::new(entry.node, &opened);
                let (_, opening) = watch::channel(Some(Ok(held)));
                (entry, Some(opening), making.mode.write)
            }
        })
    }

    /// A program has closed its last handle of it; mappings may go on.
    pub(super) fn closed(&self, open: &Open) {
        if let Some(held) = open.held()
            && held.is_told
            && !open.was_told.swap(true, Ordering::AcqRel)
        {
            let _ = self.asking.ask(|drive| {
                drive.closed(held.handle, &open.by);
                Ok(())
            });
        }
    }

    /// Nothing holds it any more.
    pub(super) fn close(&self, open: &Arc<Open>) {
        if !self.opens.remove(open) {
            return;
        }
        let Some(mut opening) = open.opening.clone() else {
            return;
        };
        if opening.borrow().is_some() {
            self.closed(open);
            if let Some(held) = open.held() {
                self.asking.leave(|drive| drive.release(held.handle));
            }
            return;
        }
        // It is on its way still.
        let drive = Arc::clone(&self.asking.drive);
        self.asking.runtime.spawn(async move {
            let told = opening.wait_for(Option::is_some).await.map(|told| *told);
            if let Ok(Some(Ok(held))) = told {
                match drive.release(held.handle) {
                    Answer::Now(_) => {}
                    Answer::Later(answer) => drop(answer.await),
                    Answer::Work(work) => {
                        let _ = tokio::task::spawn_blocking(work).await;
                    }
                }
            }
        });
    }

    /// The mount has ended, and with it what was open.
    pub(super) fn close_all(&self) {
        for open in self.opens.all() {
            self.close(&open);
        }
    }
}

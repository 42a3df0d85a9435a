//! Requests of NFS clients as calls on [`Drive`].

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;

use super::super::adapter::LONGEST_NAME;
use super::super::asking::Asking;
use super::super::cases::{self, Cases};
use super::convert::Status;
use super::copies::{Copies, Original};
use super::handles::{Closing, Handles, Idle, InUse};
use super::hidden::{Hidden, is_hidden_name};
use super::known::Known;
use super::secret::Secret;
use super::told::Told;
use super::{EXPORT_NAME, Mounts, Sharing};
use crate::drive::{
    Answer, AttributeChange, Attributes, Cursor, Drive, DriveError, Entry, Listed, Making, NodeId,
    NodeKind, OpenMode, Opened, Replacing, Requester, Room,
};

/// How often files are looked for that nobody uses any more.
const SWEEP: Duration = Duration::from_millis(250);
/// Files made exclusively whose calls are known when they come a second time.
const MADE_ONCE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// How long a file handle is: a secret and the number of a node.
pub(super) const HANDLE: usize = 24;

type Result<T> = std::result::Result<T, Status>;

/// The drive, for clients.
pub(super) struct Export {
    asking: Asking,
    handles: Arc<Handles>,
    hidden: Hidden,
    copies: Copies,
    known: Mutex<Known>,
    told: Arc<Told>,
    by: Requester,
    /// Names to be found in another case; `None` where case matters.
    cases: Option<Arc<Mutex<Cases>>>,
    made_once: Mutex<MadeOnce>,
    /// What clients are told with what they have written: another number when that may have been lost.
    verifier: AtomicU64,
    secrets: Secrets,
    sharing: Sharing,
    mounted: AtomicBool,
}

/// By folder and name, by what clients know their calls again.
type MadeOnce = LruCache<(NodeId, Box<[u8]>), u64>;

pub(super) struct Secrets {
    /// What a client has to name to get the root.
    pub(super) name: Secret,
    /// What each file handle begins with.
    pub(super) key: Secret,
}

/// What is done where a file is made that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HowToMake {
    /// It is the one.
    OrFind,
    /// It is an error.
    New,
    /// It is an error, unless it was made by this very call, which comes a second time.
    Once { known_by: u64 },
}

/// What is read of a file.
pub(super) struct Read {
    pub(super) bytes: Bytes,
    pub(super) is_end: bool,
}

impl Export {
    pub(super) fn new(
        asking: Asking,
        told: Arc<Told>,
        cases: Option<Arc<Mutex<Cases>>>,
        secrets: Secrets,
        sharing: Sharing,
    ) -> Self {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            asking,
            handles: Arc::default(),
            hidden: Hidden::default(),
            copies: Copies::new(),
            known: Mutex::new(Known::new()),
            told,
            by: Requester {
                // No process is known: a copier, as the drive takes it.
                thread: None,
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
            },
            cases,
            made_once: Mutex::new(LruCache::new(MADE_ONCE)),
            verifier: AtomicU64::new(begun.map_or(0, |begun| begun.as_nanos() as u64)),
            secrets,
            sharing,
            mounted: AtomicBool::new(false),
        }
    }

    /// Closes what nobody uses any more, until the export ends, and then the rest.
    pub(super) async fn sweep(self: Arc<Self>) {
        let mut ending = self.asking.ending();
        loop {
            // The sender goes with the export, so an error is the end as well.
            let ended = tokio::time::timeout(SWEEP, ending.wait_for(|ending| *ending))
                .await
                .is_ok();
            let closing = match ended {
                true => {
                    self.hidden.clear();
                    self.handles.unused()
                }
                false => {
                    let Idle { closing, unsure } = self.handles.idle(Instant::now());
                    for open in unsure {
                        let export = Arc::clone(&self);
                        // It changes what clients are told where that fails, and they write it once more.
                        tokio::spawn(async move { export.make_sure(&open).await });
                    }
                    closing
                }
            };
            for one in closing {
                self.close(one);
            }
            if ended {
                return;
            }
        }
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&dyn Drive) -> std::result::Result<T, DriveError>,
    ) -> Result<T> {
        self.asking.ask(question).map_err(Status::from)
    }

    /// Asks, and waits for the answer without keeping a thread.
    async fn settle<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Answer<T> + Send,
    ) -> Result<T> {
        self.asking.settle(question).await.map_err(Status::from)
    }

    /// Nobody waits for it.
    fn close(&self, closing: Closing) {
        let Closing { handle, is_told } = closing;
        if is_told {
            let _ = self.ask(|drive| {
                drive.closed(handle, &self.by);
                Ok(())
            });
        }
        self.asking.leave(|drive| drive.release(handle));
    }

    /// The handle of a node.
    pub(super) fn handle_of(&self, node: NodeId) -> [u8; HANDLE] {
        let node = self.copies.original(node).map_or(node, |known| known.node);
        let mut handle = [0; HANDLE];
        let (key, number) = handle.split_at_mut(HANDLE - 8);
        key.copy_from_slice(self.secrets.key.as_bytes());
        number.copy_from_slice(&node.0.to_le_bytes());
        handle
    }

    /// The node of a handle.
    pub(super) fn node(&self, handle: &[u8]) -> Result<NodeId> {
        let (key, number) = handle.split_last_chunk::<8>().ok_or(Status::BadHandle)?;
        // One of an export that has ended is not known here, or not any more: a connection may outlive the mount.
        if self.secrets.key.is(key) && !*self.asking.ending().borrow() {
            Ok(self.copies.lead(NodeId(u64::from_le_bytes(*number))))
        } else {
            Err(Status::Stale)
        }
    }

    /// Whether this user gets answers: through what is mounted here the owner of the drive alone, and root, unless others are
    /// let in. Where a program asks by itself, it knows the secret, and may say that it is whoever it likes.
    pub(super) fn lets_in(&self, user: Option<u32>) -> bool {
        self.sharing.mounts == Mounts::Many
            || self.sharing.with_others
            || user.is_some_and(|user| user == 0 || user == self.by.uid)
    }

    pub(super) fn any_case(&self) -> bool {
        self.cases.is_some()
    }

    pub(super) fn verifier(&self) -> u64 {
        self.verifier.load(Ordering::SeqCst)
    }

    /// Where a client begins that says this name. A folder of the drive may be mounted as well.
    pub(super) fn mounted(&self, path: &[u8]) -> Result<NodeId> {
        let mut parts = path
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty());
        let named = parts.next().unwrap_or_default();
        let named = named
            .strip_prefix(EXPORT_NAME.as_bytes())
            .unwrap_or_default();
        if !self.secrets.name.is(&from_hex(named).unwrap_or_default()) {
            return Err(Status::NotFound);
        }
        let was_mounted = self.mounted.swap(true, Ordering::SeqCst);
        if was_mounted && self.sharing.mounts == Mounts::Once {
            return Err(Status::NotFound);
        }
        parts.try_fold(NodeId::ROOT, |node, part| {
            Ok(self.look_up(node, part)?.node)
        })
    }

    /// A node was answered as what a name leads to.
    pub(super) fn looked_up(&self, node: NodeId) {
        self.known
            .lock()
            .looked_up(node, self.asking.drive.as_ref());
    }

    /// What a client is told of a node.
    pub(super) fn told(&self, node: NodeId, of: Attributes) -> Attributes {
        let inode = match self.copies.original(node) {
            Some(known) => known.inode,
            None => of.inode,
        };
        Attributes {
            inode,
            ..self.told.of(node, of)
        }
    }

    /// The number of an inode that is listed, as a client is told it.
    pub(super) fn listed(&self, inode: u64) -> u64 {
        let known = self.copies.original(NodeId(inode));
        known.map_or(inode, |known| known.inode)
    }

    pub(super) fn attributes(&self, node: NodeId) -> Result<Attributes> {
        let (attributes, _) = self.ask(|drive| drive.attributes(node))?;
        Ok(self.told(node, attributes))
    }

    pub(super) fn parent(&self, folder: NodeId) -> Result<NodeId> {
        self.ask(|drive| drive.parent(folder))
    }

    /// What a name leads to, with the attributes that a client is told.
    pub(super) fn look_up(&self, folder: NodeId, name: &[u8]) -> Result<Entry> {
        let entry = match name {
            b"." | b".." => {
                let node = match name {
                    b"." => folder,
                    _ => self.parent(folder)?,
                };
                self.there(node)?
            }
            _ => match self.hidden.get(folder, name) {
                Some(node) => self.there(node)?,
                None => {
                    let name = named(name)?;
                    let entry = self.ask(|drive| {
                        cases::look_up(self.cases.as_deref(), drive, folder, name, &self.by)
                    })?;
                    self.looked_up(entry.node);
                    entry
                }
            },
        };
        Ok(self.entry(entry))
    }

    /// A node as an entry that was not looked up.
    fn there(&self, node: NodeId) -> Result<Entry> {
        Ok(Entry {
            node,
            attributes: self.attributes(node)?,
            entry_ttl: Duration::ZERO,
            attribute_ttl: Duration::ZERO,
        })
    }

    fn entry(&self, entry: Entry) -> Entry {
        self.copies.is_itself(entry.node);
        Entry {
            attributes: self.told(entry.node, entry.attributes),
            ..entry
        }
    }

    pub(super) fn list(
        &self,
        folder: NodeId,
        behind: Cursor,
        entries: bool,
        sink: &mut dyn FnMut(Listed) -> bool,
    ) -> Result<()> {
        self.ask(|drive| drive.list(folder, behind, entries, &self.by, sink))
    }

    pub(super) fn read_link(&self, node: NodeId) -> Result<Vec<u8>> {
        let target = self.ask(|drive| drive.read_link(node))?;
        Ok(target.as_bytes().to_vec())
    }

    pub(super) fn room(&self) -> Result<Room> {
        self.ask(|drive| Ok(drive.room()))
    }

    pub(super) fn may_write(&self, node: NodeId) -> Result<bool> {
        self.ask(|drive| Ok(drive.may_write(node, &self.by)))
    }

    /// A handle of a node, the one that it has or a new one; of a node that was copied when it was written to, one of the
    /// copy.
    async fn open(&self, node: NodeId, write: bool) -> Result<InUse> {
        match self.open_itself(node, write).await {
            Err(Status::Stale) => match self.copied(node)? {
                Some(copy) => self.open_itself(copy, write).await,
                None => Err(Status::Stale),
            },
            answer => answer,
        }
    }

    async fn open_itself(&self, node: NodeId, write: bool) -> Result<InUse> {
        self.known.lock().used(node);
        if let Some(open) = self.handles.get((node, write)) {
            return Ok(open);
        }
        // It is not opened any more: it has no name.
        if self.hidden.has(node)
            && let Some(open) = self.handles.get((node, true))
        {
            return Ok(open);
        }
        let mode = OpenMode {
            read: true,
            write,
            ..OpenMode::default()
        };
        let by = self.by;
        let opened = self
            .settle(move |drive| drive.open(node, mode, &by))
            .await?;
        Ok(self.keep(node, write, opened))
    }

    /// The copy that was made of a node, which clients take for that node from now on.
    fn copied(&self, node: NodeId) -> Result<Option<NodeId>> {
        let Some(copy) = self.ask(|drive| Ok(drive.copy_of(node)))? else {
            return Ok(None);
        };
        let inode = self.attributes(node)?.inode;
        self.looked_up(copy);
        self.copies.add(Original { node, inode }, copy);
        Ok(Some(copy))
    }

    fn keep(&self, node: NodeId, write: bool, opened: Opened) -> InUse {
        let (in_use, closing) = self.handles.opened((node, write), opened);
        if let Some(closing) = closing {
            self.close(closing);
        }
        in_use
    }

    pub(super) async fn read(&self, node: NodeId, offset: u64, length: u32) -> Result<Read> {
        let open = self.open(node, false).await?;
        let (handle, by) = (open.handle, self.by);
        let mut bytes = self
            .settle(move |drive| drive.read(handle, offset, length, &by))
            .await?;
        bytes.truncate(length as usize);
        let is_end = match bytes.len() < length as usize {
            true => true,
            false => {
                let size = self.attributes(node)?.size;
                offset.saturating_add(bytes.len() as u64) >= size
            }
        };
        Ok(Read { bytes, is_end })
    }

    /// With `is_sure` it is on the disk once it is answered.
    pub(super) async fn write(
        &self,
        node: NodeId,
        offset: u64,
        data: Bytes,
        is_sure: bool,
    ) -> Result<()> {
        if !self.may_write(node)? {
            return Err(self.refusal(|drive| drive.refuse_write(node, &self.by)));
        }
        let open = self.open(node, true).await?;
        let (handle, by) = (open.handle, self.by);
        let (mut left, mut at) = (data, offset);
        while !left.is_empty() {
            let part = left.clone();
            let written = self
                .settle(move |drive| drive.write(handle, at, part, &by))
                .await?;
            if written == 0 {
                return Err(Status::Io);
            }
            let _ = left.split_to((written as usize).min(left.len()));
            at = at.saturating_add(u64::from(written));
            open.written();
        }
        match is_sure {
            true => self.make_sure(&open).await,
            false => Ok(()),
        }
    }

    /// All that was written is on the disk once this is answered. What is closed was so before.
    pub(super) async fn commit(&self, node: NodeId) -> Result<()> {
        match self.handles.get((node, true)) {
            Some(open) => self.make_sure(&open).await,
            None => Ok(()),
        }
    }

    async fn make_sure(&self, open: &InUse) -> Result<()> {
        let handle = open.handle;
        open.is_being_made_sure();
        let made_sure = self.settle(move |drive| drive.sync(handle, true)).await;
        if made_sure.is_err() {
            // A system says so once, and to one of those who wait for it.
            self.verifier.fetch_add(1, Ordering::SeqCst);
        }
        made_sure
    }

    pub(super) async fn create(
        &self,
        folder: NodeId,
        name: &[u8],
        permissions: u16,
        how: HowToMake,
    ) -> Result<Entry> {
        let made_as = (folder, Box::from(name));
        let making = Making {
            permissions,
            mode: OpenMode {
                read: true,
                write: true,
                ..OpenMode::default()
            },
            exclusive: how != HowToMake::OrFind,
        };
        let (new, by) = (named(name)?.to_owned(), self.by);
        let made = self
            .settle(move |drive| drive.create(folder, &new, making, &by))
            .await;
        let (entry, opened) = match (made, how) {
            (Err(Status::Exists), HowToMake::Once { known_by })
                if self.made_once.lock().peek(&made_as) == Some(&known_by) =>
            {
                return self.look_up(folder, name);
            }
            (made, _) => made?,
        };
        if let HowToMake::Once { known_by } = how {
            self.made_once.lock().push(made_as, known_by);
        }
        self.looked_up(entry.node);
        drop(self.keep(entry.node, true, opened));
        self.make_sure_of(folder).await?;
        Ok(self.entry(entry))
    }

    pub(super) async fn make_folder(
        &self,
        folder: NodeId,
        name: &[u8],
        permissions: u16,
    ) -> Result<Entry> {
        let (name, by) = (named(name)?.to_owned(), self.by);
        let entry = self
            .settle(move |drive| drive.make_folder(folder, &name, permissions, &by))
            .await?;
        self.looked_up(entry.node);
        self.make_sure_of(folder).await?;
        Ok(self.entry(entry))
    }

    pub(super) async fn change(&self, node: NodeId, change: AttributeChange) -> Result<Attributes> {
        let by = self.by;
        if !self.may_write(node)? {
            return Err(self.refusal(|drive| match change.size {
                Some(_) => drive.refuse_write(node, &by),
                None => drive.refuse_change(node, &by),
            }));
        }
        let in_use = match change.size {
            // As a write, it is on the disk before it is answered: no client asks for that once more.
            Some(_) => Some(self.open(node, true).await?),
            None => self.handles.get((node, true)),
        };
        let handle = in_use.as_ref().map(|open| open.handle);
        let set = async |node| {
            let set = self.settle(move |drive| drive.set_attributes(node, handle, change, &by));
            set.await
        };
        let node = self.copies.lead(node);
        let (node, (attributes, _)) = match set(node).await {
            Err(Status::Stale) => match self.copied(node)? {
                Some(copy) => (copy, set(copy).await?),
                None => return Err(Status::Stale),
            },
            answer => (node, answer?),
        };
        if let (Some(_), Some(open)) = (change.size, &in_use) {
            self.make_sure(open).await?;
        }
        Ok(self.told(node, attributes))
    }

    pub(super) async fn remove(&self, folder: NodeId, name: &[u8], is_folder: bool) -> Result<()> {
        if let Some(node) = self.hidden.take(folder, name) {
            for closing in self.handles.of(node) {
                self.close(closing);
            }
            self.known.lock().forget(node, self.asking.drive.as_ref());
            return Ok(());
        }
        // What is not there is not there, also where nothing may be removed.
        self.look_up(folder, name)?;
        let (name, by) = (named(name)?.to_owned(), self.by);
        self.settle(move |drive| drive.remove(folder, &name, is_folder, &by))
            .await?;
        self.make_sure_of(folder).await
    }

    pub(super) async fn rename(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8])) -> Result<()> {
        if is_hidden_name(to.1) {
            return self.hide(from, to).await;
        }
        let (old, new) = (named(from.1)?.to_owned(), named(to.1)?.to_owned());
        let (from, to, by) = (from.0, to.0, self.by);
        self.settle(move |drive| drive.rename((from, &old), (to, &new), Replacing::Replace, &by))
            .await?;
        self.make_sure_of(to).await?;
        match from == to {
            true => Ok(()),
            false => self.make_sure_of(from).await,
        }
    }

    /// A client removes a file that a program has open (see [`super::hidden`]).
    async fn hide(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8])) -> Result<()> {
        let (folder, name) = from;
        if folder != to.0 {
            return Err(Status::Elsewhere);
        }
        if !self.hidden.has_room() {
            return Err(Status::from(DriveError::TooManyOpen));
        }
        let entry = self.look_up(folder, name)?;
        if entry.attributes.kind != NodeKind::File {
            return Err(Status::Invalid);
        }
        let node = entry.node;
        let write = self.may_write(node)? && self.handles.get((node, true)).is_some();
        let open = self.open(node, write).await?;
        self.remove(folder, name, false).await?;
        self.hidden.keep(folder, to.1, node, open);
        Ok(())
    }

    /// The names in a folder outlast a loss of power: whoever syncs a folder does not ask the server, as each change of a
    /// name is to be on the disk before it is answered.
    async fn make_sure_of(&self, folder: NodeId) -> Result<()> {
        self.settle(move |drive| drive.sync_folder(folder)).await
    }

    /// Why nothing else is made there: links and devices.
    pub(super) fn refuse_making(&self, folder: NodeId) -> Status {
        self.refusal(|drive| drive.refuse_change(folder, &self.by))
    }

    fn refusal(&self, question: impl FnOnce(&dyn Drive) -> DriveError) -> Status {
        self.ask(|drive| Ok(question(drive)))
            .map_or_else(|error| error, Status::from)
    }
}

/// A name that something can have.
fn named(bytes: &[u8]) -> Result<&OsStr> {
    if bytes.len() > LONGEST_NAME {
        return Err(Status::NameTooLong);
    }
    match bytes {
        b"" | b"." | b".." => Err(Status::Invalid),
        _ if bytes.iter().any(|byte| matches!(byte, 0 | b'/')) => Err(Status::Invalid),
        _ => Ok(OsStr::from_bytes(bytes)),
    }
}

/// The bytes that are written in these digits.
fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digits = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.is_ascii())?;
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

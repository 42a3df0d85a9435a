//! Requests of NFS clients as calls on [`Drive`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::super::adapter::LONGEST_NAME;
use super::super::asking::Asking;
use super::super::cases::{self, Cases};
use super::convert::Status;
use super::copies::Copies;
use super::handles::{Closing, Handles, Idle};
use super::hidden::Hidden;
use super::known::Known;
use super::names::{MADE_ONCE, MadeOnce};
use super::secret::Secret;
use super::told::Told;
use super::{EXPORT_NAME, Mounts, Sharing};
use crate::drive::{
    Answer, Attributes, Cursor, Drive, DriveError, Entry, Listed, NodeId, NodeKind, Requester, Room,
};

/// How often files are looked for that nobody uses any more.
const SWEEP: Duration = Duration::from_millis(250);
/// How long a file handle is: a secret and the number of a node.
pub(super) const HANDLE: usize = 24;

pub(super) type Result<T> = std::result::Result<T, Status>;

/// The drive, for clients.
pub(super) struct Export {
    pub(super) asking: Asking,
    pub(super) handles: Arc<Handles>,
    pub(super) hidden: Hidden,
    pub(super) copies: Copies,
    pub(super) known: Mutex<Known>,
    told: Arc<Told>,
    pub(super) by: Requester,
    /// Names to be found in another case; `None` where case matters.
    cases: Option<Arc<Mutex<Cases>>>,
    pub(super) made_once: Mutex<MadeOnce>,
    /// What clients are told with what they have written: another number when that may have been lost.
    pub(super) verifier: AtomicU64,
    secrets: Secrets,
    sharing: Sharing,
    mounted: AtomicBool,
}

pub(super) struct Secrets {
    /// What a client has to name to get the root.
    pub(super) name: Secret,
    /// What each file handle begins with.
    pub(super) key: Secret,
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
            made_once: Mutex::new(MadeOnce::new(MADE_ONCE)),
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

    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&dyn Drive) -> std::result::Result<T, DriveError>,
    ) -> Result<T> {
        self.asking.ask(question).map_err(Status::from)
    }

    /// Asks, and waits for the answer without keeping a thread.
    pub(super) async fn settle<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Answer<T> + Send,
    ) -> Result<T> {
        self.asking.settle(question).await.map_err(Status::from)
    }

    /// Nobody waits for it.
    pub(super) fn close(&self, closing: Closing) {
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
        let mut told = Attributes {
            inode,
            ..self.told.of(node, of)
        };
        let drive = &self.asking.drive;
        if told.kind == NodeKind::Folder && !drive.keeps_listing(node) {
            let changed = drive.lists_changed();
            told.changed = told.changed.max(changed);
            told.modified = told.modified.max(changed);
        }
        told
    }

    /// The number of an inode that is listed, as a client is told it.
    pub(super) fn listed(&self, inode: u64) -> u64 {
        let known = self.copies.original(NodeId(inode));
        known.map_or(inode, |known| known.inode)
    }

    pub(super) fn attributes(&self, node: NodeId) -> Result<Attributes> {
        let (attributes, _) = self.ask(|drive| drive.attributes(node))?;
        self.is_true(node, &attributes)?;
        Ok(self.told(node, attributes))
    }

    /// No client reads a file that it was told is empty.
    pub(super) fn is_true(&self, node: NodeId, of: &Attributes) -> Result<()> {
        match of.kind == NodeKind::File && of.size == 0 {
            true => self.ask(|drive| drive.is_empty(node)),
            false => Ok(()),
        }
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
                    self.is_true(entry.node, &entry.attributes)?;
                    entry
                }
            },
        };
        Ok(self.entry(entry))
    }

    /// A node as an entry that was not looked up.
    pub(super) fn there(&self, node: NodeId) -> Result<Entry> {
        Ok(Entry {
            node,
            attributes: self.attributes(node)?,
            entry_ttl: Duration::ZERO,
            attribute_ttl: Duration::ZERO,
        })
    }

    pub(super) fn entry(&self, entry: Entry) -> Entry {
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

    /// Why nothing else is made there: links and devices.
    pub(super) fn refuse_making(&self, folder: NodeId) -> Status {
        self.refusal(|drive| drive.refuse_change(folder, &self.by))
    }

    pub(super) fn refusal(&self, question: impl FnOnce(&dyn Drive) -> DriveError) -> Status {
        self.ask(|drive| Ok(question(drive)))
            .map_or_else(|error| error, Status::from)
    }
}

/// A name that something can have.
pub(super) fn named(bytes: &[u8]) -> Result<&OsStr> {
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

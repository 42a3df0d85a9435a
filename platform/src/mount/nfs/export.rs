//! Requests of NFS clients as calls on [`Drive`].

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use nfsserve::nfs::{fattr3, fileid3, filename3, nfs_fh3, nfspath3, nfsstat3, sattr3};
use nfsserve::vfs::{DirEntry, NFSFileSystem, ReadDirResult, VFSCapabilities};
use parking_lot::Mutex;

use super::super::asking::Asking;
use super::handles::{Closing, Handles, InUse};
use super::known::Known;
use super::secret::Secret;
use super::told::Told;
use super::{EXPORT_NAME, Mounts, convert};
use crate::drive::{
    Answer, Attributes, Cursor, Drive, DriveError, Entry, Making, NodeId, NodeKind, OpenMode,
    Replacing, Requester,
};

/// The longest name that programs can handle.
const LONGEST_NAME: usize = 255;
/// Most entries of a page of a listing: some 100 KB of answer.
const PAGE: usize = 512;
/// How often files are looked for that nobody uses any more.
const SWEEP: Duration = Duration::from_millis(250);
/// What a file is made with where the client says nothing.
const FILE_PERMISSIONS: u16 = 0o644;
const FOLDER_PERMISSIONS: u16 = 0o755;

type Result<T> = std::result::Result<T, nfsstat3>;

/// The drive behind the library's trait.
pub(super) struct Export {
    shared: Arc<Shared>,
    /// What a client has to name to get the root.
    name: Secret,
    /// What each file handle begins with.
    key: Secret,
    mounts: Mounts,
    mounted: AtomicBool,
}

struct Shared {
    asking: Asking,
    handles: Arc<Handles>,
    known: Mutex<Known>,
    told: Arc<Told>,
    by: Requester,
}

impl Export {
    pub(super) fn new(
        asking: Asking,
        told: Arc<Told>,
        name: Secret,
        key: Secret,
        mounts: Mounts,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                asking,
                handles: Arc::default(),
                known: Mutex::new(Known::new()),
                told,
                by: Requester {
                    // No process is known: a copier, as the drive takes it.
                    thread: None,
                    uid: rustix::process::geteuid().as_raw(),
                    gid: rustix::process::getegid().as_raw(),
                },
            }),
            name,
            key,
            mounts,
            mounted: AtomicBool::new(false),
        }
    }

    /// Closes what nobody uses any more, until the export ends, and then the rest.
    pub(super) fn sweep(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            let mut ending = shared.asking.ending();
            loop {
                // The sender goes with the export, so an error is the end as well.
                let ended = tokio::time::timeout(SWEEP, ending.wait_for(|ending| *ending))
                    .await
                    .is_ok();
                let closing = match ended {
                    true => shared.handles.unused(),
                    false => shared.handles.idle(Instant::now()),
                };
                for one in closing {
                    shared.close(one);
                }
                if ended {
                    return;
                }
            }
        }
    }
}

impl Shared {
    fn ask<T>(
        &self,
        question: impl FnOnce(&dyn Drive) -> std::result::Result<T, DriveError>,
    ) -> Result<T> {
        self.asking.ask(question).map_err(convert::status)
    }

    /// Asks, and waits for the answer without keeping a thread.
    async fn settle<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Answer<T> + Send,
    ) -> Result<T> {
        self.asking.settle(question).await.map_err(convert::status)
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

    /// What a client is told of a node.
    fn attributes(&self, node: NodeId, of: Attributes) -> fattr3 {
        convert::attributes(&self.told.of(node, of))
    }

    /// A node was answered as what a name leads to.
    fn looked_up(&self, entry: &Entry) {
        self.known
            .lock()
            .looked_up(entry.node, self.asking.drive.as_ref());
    }

    fn look_up(&self, folder: NodeId, name: &OsStr) -> Result<Entry> {
        let entry = self.ask(|drive| drive.lookup(folder, name, &self.by))?;
        self.looked_up(&entry);
        Ok(entry)
    }

    /// A handle of a node, the one that it has or a new one.
    async fn handle(&self, node: NodeId, write: bool) -> Result<InUse> {
        self.known.lock().used(node);
        if let Some(open) = self.handles.get((node, write)) {
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

    fn keep(&self, node: NodeId, write: bool, opened: crate::drive::Opened) -> InUse {
        let (in_use, closing) = self.handles.opened((node, write), opened);
        if let Some(closing) = closing {
            self.close(closing);
        }
        in_use
    }

    async fn create(
        &self,
        folder: NodeId,
        name: &filename3,
        permissions: u16,
        exclusive: bool,
    ) -> Result<Entry> {
        let making = Making {
            permissions,
            mode: OpenMode {
                read: true,
                write: true,
                ..OpenMode::default()
            },
            exclusive,
        };
        let (name, by) = (named(name)?.to_owned(), self.by);
        let (entry, opened) = self
            .settle(move |drive| drive.create(folder, &name, making, &by))
            .await?;
        self.looked_up(&entry);
        drop(self.keep(entry.node, true, opened));
        Ok(entry)
    }

    async fn change(&self, node: NodeId, wanted: &sattr3) -> Result<fattr3> {
        let change = convert::change(wanted);
        let by = self.by;
        if !self.ask(|drive| Ok(drive.may_write(node, &by)))? {
            return Err(self.refusal(|drive| match change.size {
                Some(_) => drive.refuse_write(node, &by),
                None => drive.refuse_change(node, &by),
            }));
        }
        let in_use = self.handles.get((node, true));
        let handle = in_use.as_ref().map(|open| open.handle);
        let (attributes, _) = self
            .settle(move |drive| drive.set_attributes(node, handle, change, &by))
            .await?;
        Ok(self.attributes(node, attributes))
    }

    fn refusal(&self, question: impl FnOnce(&dyn Drive) -> DriveError) -> nfsstat3 {
        self.ask(|drive| Ok(question(drive)))
            .map_or_else(|error| error, convert::status)
    }

    /// A page of a listing, with the attributes of each entry.
    fn page(&self, folder: NodeId, after: fileid3, most: usize) -> Result<ReadDirResult> {
        let cursor = match after {
            0 => {
                self.known.lock().begun(folder);
                Cursor::default()
            }
            entry => self.cursor(folder, NodeId(entry))?,
        };
        let most = most.clamp(1, PAGE);
        let mut page = Vec::new();
        let mut is_full = false;
        self.ask(|drive| {
            drive.list(folder, cursor, true, &self.by, &mut |listed| {
                is_full = page.len() == most;
                if !is_full {
                    page.push(listed);
                }
                !is_full
            })
        })?;
        let mut entries = Vec::with_capacity(page.len());
        for listed in page {
            let entry = match listed.entry {
                Some(entry) => {
                    self.looked_up(&entry);
                    entry
                }
                // What it leads to depends on who asks; or it is gone since.
                None => match self.look_up(folder, &listed.name) {
                    Ok(entry) => entry,
                    Err(_) => continue,
                },
            };
            let mut known = self.known.lock();
            known.listed(folder, entry.node, listed.cursor);
            drop(known);
            entries.push(DirEntry {
                fileid: entry.node.0,
                name: listed.name.into_vec().into(),
                attr: self.attributes(entry.node, entry.attributes),
            });
        }
        Ok(ReadDirResult {
            entries,
            end: !is_full,
        })
    }

    /// The position behind an entry that a page ended with. One that is not known any more is looked for.
    fn cursor(&self, folder: NodeId, entry: NodeId) -> Result<Cursor> {
        if let Some(cursor) = self.known.lock().behind(folder, entry) {
            return Ok(cursor);
        }
        let mut found = None;
        let mut names = Vec::new();
        self.ask(|drive| {
            drive.list(folder, Cursor::default(), false, &self.by, &mut |listed| {
                names.push((listed.name, listed.cursor));
                true
            })
        })?;
        for (name, cursor) in names {
            if self.look_up(folder, &name).is_ok_and(|it| it.node == entry) {
                found = Some(cursor);
            }
        }
        found.ok_or(nfsstat3::NFS3ERR_BAD_COOKIE)
    }
}

/// A name that something can have.
fn named(name: &filename3) -> Result<&OsStr> {
    let bytes: &[u8] = name.as_ref();
    if bytes.len() > LONGEST_NAME {
        return Err(nfsstat3::NFS3ERR_NAMETOOLONG);
    }
    match bytes {
        b"" | b"." | b".." => Err(nfsstat3::NFS3ERR_INVAL),
        _ if bytes.iter().any(|byte| matches!(byte, 0 | b'/')) => Err(nfsstat3::NFS3ERR_INVAL),
        _ => Ok(OsStr::from_bytes(bytes)),
    }
}

#[async_trait]
impl NFSFileSystem for Export {
    fn capabilities(&self) -> VFSCapabilities {
        VFSCapabilities::ReadWrite
    }

    fn root_dir(&self) -> fileid3 {
        NodeId::ROOT.0
    }

    async fn lookup(&self, dirid: fileid3, filename: &filename3) -> Result<fileid3> {
        let folder = NodeId(dirid);
        let bytes: &[u8] = filename.as_ref();
        match bytes {
            b"." => Ok(dirid),
            b".." => Ok(self.shared.ask(|drive| drive.parent(folder))?.0),
            _ => Ok(self.shared.look_up(folder, named(filename)?)?.node.0),
        }
    }

    async fn getattr(&self, id: fileid3) -> Result<fattr3> {
        let node = NodeId(id);
        let (attributes, _) = self.shared.ask(|drive| drive.attributes(node))?;
        Ok(self.shared.attributes(node, attributes))
    }

    async fn setattr(&self, id: fileid3, setattr: sattr3) -> Result<fattr3> {
        self.shared.change(NodeId(id), &setattr).await
    }

    async fn read(&self, id: fileid3, offset: u64, count: u32) -> Result<(Vec<u8>, bool)> {
        let shared = &self.shared;
        let open = shared.handle(NodeId(id), false).await?;
        let (handle, by) = (open.handle, shared.by);
        let bytes = shared
            .settle(move |drive| drive.read(handle, offset, count, &by))
            .await?;
        let read = bytes.len().min(count as usize);
        let is_end = match read < count as usize {
            true => true,
            false => {
                let (attributes, _) = shared.ask(|drive| drive.attributes(NodeId(id)))?;
                offset.saturating_add(read as u64) >= attributes.size
            }
        };
        Ok((bytes[..read].to_vec(), is_end))
    }

    async fn write(&self, id: fileid3, offset: u64, data: &[u8]) -> Result<fattr3> {
        let shared = &self.shared;
        let (node, by) = (NodeId(id), shared.by);
        if !shared.ask(|drive| Ok(drive.may_write(node, &by)))? {
            return Err(shared.refusal(|drive| drive.refuse_write(node, &by)));
        }
        let open = shared.handle(node, true).await?;
        let handle = open.handle;
        let mut left = Bytes::copy_from_slice(data);
        let mut at = offset;
        while !left.is_empty() {
            let part = left.clone();
            let written = shared
                .settle(move |drive| drive.write(handle, at, part, &by))
                .await?;
            if written == 0 {
                return Err(nfsstat3::NFS3ERR_IO);
            }
            let _ = left.split_to((written as usize).min(left.len()));
            at = at.saturating_add(u64::from(written));
        }
        // The answer says that it is on the disk: clients don't ask for that once more.
        shared.settle(move |drive| drive.sync(handle, true)).await?;
        self.getattr(id).await
    }

    async fn create(
        &self,
        dirid: fileid3,
        filename: &filename3,
        attr: sattr3,
    ) -> Result<(fileid3, fattr3)> {
        let permissions = convert::change(&attr).permissions;
        let permissions = permissions.unwrap_or(FILE_PERMISSIONS);
        let folder = NodeId(dirid);
        let entry = self
            .shared
            .create(folder, filename, permissions, false)
            .await?;
        // One that was there is emptied so; of a new one it says how large it is to be.
        let size_alone = sattr3 {
            size: attr.size,
            ..sattr3::default()
        };
        let attributes = match convert::change(&size_alone).size {
            Some(_) => self.shared.change(entry.node, &size_alone).await?,
            None => self.shared.attributes(entry.node, entry.attributes),
        };
        Ok((entry.node.0, attributes))
    }

    async fn create_exclusive(&self, dirid: fileid3, filename: &filename3) -> Result<fileid3> {
        let made = self
            .shared
            .create(NodeId(dirid), filename, FILE_PERMISSIONS, true);
        Ok(made.await?.node.0)
    }

    async fn mkdir(&self, dirid: fileid3, dirname: &filename3) -> Result<(fileid3, fattr3)> {
        let shared = &self.shared;
        let (folder, name, by) = (NodeId(dirid), named(dirname)?.to_owned(), shared.by);
        let entry = shared
            .settle(move |drive| drive.make_folder(folder, &name, FOLDER_PERMISSIONS, &by))
            .await?;
        shared.looked_up(&entry);
        let attributes = shared.attributes(entry.node, entry.attributes);
        Ok((entry.node.0, attributes))
    }

    async fn remove(&self, dirid: fileid3, filename: &filename3) -> Result<()> {
        let shared = &self.shared;
        let (folder, name, by) = (NodeId(dirid), named(filename)?.to_owned(), shared.by);
        // The library does not say which of REMOVE and RMDIR it is.
        let kind = shared.look_up(folder, &name)?.attributes.kind;
        let is_folder = kind == NodeKind::Folder;
        shared
            .settle(move |drive| drive.remove(folder, &name, is_folder, &by))
            .await
    }

    async fn rename(
        &self,
        from_dirid: fileid3,
        from_filename: &filename3,
        to_dirid: fileid3,
        to_filename: &filename3,
    ) -> Result<()> {
        let (from, to) = (NodeId(from_dirid), NodeId(to_dirid));
        let old = named(from_filename)?.to_owned();
        let new = named(to_filename)?.to_owned();
        let by = self.shared.by;
        self.shared
            .settle(move |drive| drive.rename((from, &old), (to, &new), Replacing::Replace, &by))
            .await
    }

    async fn readdir(
        &self,
        dirid: fileid3,
        start_after: fileid3,
        max_entries: usize,
    ) -> Result<ReadDirResult> {
        self.shared.page(NodeId(dirid), start_after, max_entries)
    }

    async fn symlink(
        &self,
        dirid: fileid3,
        _linkname: &filename3,
        _symlink: &nfspath3,
        _attr: &sattr3,
    ) -> Result<(fileid3, fattr3)> {
        let by = self.shared.by;
        Err(self
            .shared
            .refusal(|drive| drive.refuse_change(NodeId(dirid), &by)))
    }

    async fn readlink(&self, id: fileid3) -> Result<nfspath3> {
        let target = self.shared.ask(|drive| drive.read_link(NodeId(id)))?;
        Ok(target.into_vec().into())
    }

    fn id_to_fh(&self, id: fileid3) -> nfs_fh3 {
        let mut data = self.key.as_bytes().to_vec();
        data.extend_from_slice(&id.to_le_bytes());
        nfs_fh3 { data }
    }

    fn fh_to_id(&self, handle: &nfs_fh3) -> Result<fileid3> {
        let (key, id) = handle
            .data
            .split_last_chunk::<8>()
            .ok_or(nfsstat3::NFS3ERR_BADHANDLE)?;
        // One of an export that has ended is not known here, or not any more: a connection may outlive the mount.
        if self.key.is(key) && !*self.shared.asking.ending().borrow() {
            Ok(fileid3::from_le_bytes(*id))
        } else {
            Err(nfsstat3::NFS3ERR_STALE)
        }
    }

    async fn path_to_id(&self, path: &[u8]) -> Result<fileid3> {
        let mut parts = path
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty());
        let named = parts.next().unwrap_or_default();
        let named = named
            .strip_prefix(EXPORT_NAME.as_bytes())
            .unwrap_or_default();
        if !self.name.is(&from_hex(named).unwrap_or_default()) {
            return Err(nfsstat3::NFS3ERR_NOENT);
        }
        let was_mounted = self.mounted.swap(true, Ordering::SeqCst);
        if was_mounted && self.mounts == Mounts::Once {
            return Err(nfsstat3::NFS3ERR_NOENT);
        }
        // A folder of the drive may be mounted as well.
        let mut node = NodeId::ROOT.0;
        for part in parts {
            node = self.lookup(node, &part.into()).await?;
        }
        Ok(node)
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

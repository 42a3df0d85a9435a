//! A small drive in memory, and mounts of it that are cleaned up whatever a test does.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

#[cfg(target_os = "linux")]
pub mod disks;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mediafs_platform::drive::{
    Answer, Attributes, Content, Cursor, Drive, DriveError, Entry, HandleId, Invalidate, Listed,
    NodeId, NodeKind, OpenMode, Opened, Requester, Room,
};
use mediafs_platform::mount::{MountOptions, Mounted, mount};
use parking_lot::Mutex;

/// How long the kernel may keep what never changes.
pub const LONG: Duration = Duration::from_secs(3600);

/// What a node of the test drive holds.
#[derive(Clone)]
pub enum Body {
    Folder(BTreeMap<OsString, NodeId>),
    /// Served from a file, as the kernel likes.
    File(Arc<File>),
    /// Served by `read` alone.
    Direct(Bytes),
    /// Served by `read`, later.
    Slow(Bytes, Duration),
    /// `read` never answers.
    Hung,
    Symlink(OsString),
    /// `open` gives this error.
    Failing(DriveError),
    /// `read` gives this error.
    Unreadable(DriveError),
    /// `read` panics.
    Panicking,
}

#[derive(Clone)]
pub struct Node {
    pub body: Body,
    pub inode: u64,
    pub size: u64,
    /// How long the kernel may keep the name and the attributes.
    pub ttl: Duration,
    /// Listed with its entry.
    pub listed_whole: bool,
    pub stale: bool,
    pub parent: NodeId,
}

#[derive(Default)]
pub struct State {
    pub nodes: HashMap<NodeId, Node>,
    pub handles: HashMap<HandleId, NodeId>,
    /// Look-ups answered less those forgotten.
    pub known: HashMap<NodeId, i64>,
    pub xattrs: HashMap<NodeId, BTreeMap<OsString, Vec<u8>>>,
    pub requesters: Vec<Requester>,
}

#[derive(Default)]
pub struct Counts {
    pub lookups: AtomicU64,
    pub opens: AtomicU64,
    pub reads: AtomicU64,
    pub xattrs: AtomicU64,
    pub lists: AtomicU64,
    pub releases: AtomicU64,
    pub refusals: AtomicU64,
}

pub struct MemoryDrive {
    pub state: Mutex<State>,
    pub counts: Counts,
    pub kernel: Mutex<Option<Arc<dyn Invalidate>>>,
    pub refusal: Mutex<DriveError>,
    next_node: AtomicU64,
    next_handle: AtomicU64,
}

impl MemoryDrive {
    pub fn new() -> Arc<Self> {
        let drive = Self {
            state: Mutex::default(),
            counts: Counts::default(),
            kernel: Mutex::new(None),
            refusal: Mutex::new(DriveError::ReadOnly),
            next_node: AtomicU64::new(100),
            next_handle: AtomicU64::new(1),
        };
        drive.insert(
            NodeId::ROOT,
            Node {
                body: Body::Folder(BTreeMap::new()),
                inode: 1,
                size: 0,
                ttl: LONG,
                listed_whole: true,
                stale: false,
                parent: NodeId::ROOT,
            },
        );
        Arc::new(drive)
    }

    pub fn insert(&self, id: NodeId, node: Node) {
        self.state.lock().nodes.insert(id, node);
    }

    /// A node that no name leads to yet.
    pub fn node(&self, body: Body) -> NodeId {
        let id = NodeId(self.next_node.fetch_add(1, Ordering::Relaxed));
        let size = match &body {
            Body::File(file) => file.metadata().unwrap().len(),
            Body::Direct(bytes) | Body::Slow(bytes, _) => bytes.len() as u64,
            Body::Symlink(target) => target.len() as u64,
            Body::Hung | Body::Failing(_) | Body::Unreadable(_) | Body::Panicking => 4096,
            Body::Folder(_) => 0,
        };
        self.insert(
            id,
            Node {
                body,
                inode: id.0,
                size,
                ttl: LONG,
                listed_whole: true,
                stale: false,
                parent: NodeId::ROOT,
            },
        );
        id
    }

    pub fn change(&self, id: NodeId, change: impl FnOnce(&mut Node)) {
        change(self.state.lock().nodes.get_mut(&id).unwrap());
    }

    /// Lets `name` in `parent` lead to `node`.
    pub fn link(&self, parent: NodeId, name: impl Into<OsString>, node: NodeId) {
        let mut state = self.state.lock();
        state.nodes.get_mut(&node).unwrap().parent = parent;
        match &mut state.nodes.get_mut(&parent).unwrap().body {
            Body::Folder(children) => children.insert(name.into(), node),
            _ => panic!("not a folder"),
        };
    }

    pub fn add(&self, parent: NodeId, name: impl Into<OsString>, body: Body) -> NodeId {
        let node = self.node(body);
        self.link(parent, name, node);
        node
    }

    pub fn folder(&self, parent: NodeId, name: impl Into<OsString>) -> NodeId {
        self.add(parent, name, Body::Folder(BTreeMap::new()))
    }

    /// Look-ups of the node that the kernel still remembers.
    pub fn known(&self, node: NodeId) -> i64 {
        self.state.lock().known.get(&node).copied().unwrap_or(0)
    }

    pub fn count(&self, of: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        of(&self.counts).load(Ordering::SeqCst)
    }

    fn attributes_of(node: &Node) -> Attributes {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
        Attributes {
            inode: node.inode,
            kind: match node.body {
                Body::Folder(_) => NodeKind::Folder,
                Body::Symlink(_) => NodeKind::Symlink,
                _ => NodeKind::File,
            },
            size: node.size,
            modified: time,
            changed: time + Duration::from_secs(1),
            born: time,
            permissions: if matches!(node.body, Body::Folder(_)) {
                0o755
            } else {
                0o644
            },
            uid: owner().0,
            gid: owner().1,
        }
    }

    fn entry(id: NodeId, node: &Node) -> Entry {
        let attributes = Self::attributes_of(node);
        Entry {
            node: id,
            attributes,
            entry_ttl: node.ttl,
            attribute_ttl: node.ttl,
        }
    }

    fn seen(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drive for MemoryDrive {
    fn mounted(&self, kernel: Arc<dyn Invalidate>) {
        *self.kernel.lock() = Some(kernel);
    }

    fn lookup(&self, parent: NodeId, name: &OsStr, by: &Requester) -> Result<Entry, DriveError> {
        Self::seen(&self.counts.lookups);
        let mut state = self.state.lock();
        state.requesters.push(*by);
        let Body::Folder(children) = &state.nodes.get(&parent).ok_or(DriveError::NotFound)?.body
        else {
            return Err(DriveError::NotFolder);
        };
        if name == "panic" {
            drop(state);
            panic!("asked to");
        }
        let id = *children.get(name).ok_or(DriveError::NotFound)?;
        let entry = Self::entry(id, &state.nodes[&id]);
        *state.known.entry(id).or_default() += 1;
        Ok(entry)
    }

    fn forget(&self, node: NodeId, count: u64) {
        *self.state.lock().known.entry(node).or_default() -= i64::try_from(count).unwrap();
    }

    fn attributes(&self, node: NodeId) -> Result<(Attributes, Duration), DriveError> {
        let state = self.state.lock();
        let node = state.nodes.get(&node).ok_or(DriveError::NotFound)?;
        Ok((Self::attributes_of(node), node.ttl))
    }

    fn read_link(&self, node: NodeId) -> Result<OsString, DriveError> {
        match &self
            .state
            .lock()
            .nodes
            .get(&node)
            .ok_or(DriveError::NotFound)?
            .body
        {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(DriveError::Invalid),
        }
    }

    fn list(
        &self,
        folder: NodeId,
        after: Cursor,
        entries: bool,
        _by: &Requester,
        sink: &mut dyn FnMut(Listed) -> bool,
    ) -> Result<(), DriveError> {
        Self::seen(&self.counts.lists);
        let children = match &self
            .state
            .lock()
            .nodes
            .get(&folder)
            .ok_or(DriveError::NotFound)?
            .body
        {
            Body::Folder(children) => children.clone(),
            _ => return Err(DriveError::NotFolder),
        };
        for (index, (name, id)) in children
            .into_iter()
            .enumerate()
            .skip(usize::try_from(after.0).unwrap())
        {
            let node = self.state.lock().nodes[&id].clone();
            let whole = entries && node.listed_whole;
            let attributes = Self::attributes_of(&node);
            let listed = Listed {
                name,
                cursor: Cursor(index as u64 + 1),
                inode: node.inode,
                kind: attributes.kind,
                entry: whole.then(|| Self::entry(id, &node)),
            };
            if whole {
                *self.state.lock().known.entry(id).or_default() += 1;
            }
            if !sink(listed) {
                if whole {
                    *self.state.lock().known.entry(id).or_default() -= 1;
                }
                break;
            }
        }
        Ok(())
    }

    fn parent(&self, folder: NodeId) -> Result<NodeId, DriveError> {
        Ok(self
            .state
            .lock()
            .nodes
            .get(&folder)
            .ok_or(DriveError::NotFound)?
            .parent)
    }

    fn open(&self, node: NodeId, mode: OpenMode, by: &Requester) -> Answer<Opened> {
        Self::seen(&self.counts.opens);
        assert!(
            mode.read && !mode.write && !mode.truncate,
            "the adapter refuses the rest"
        );
        let mut state = self.state.lock();
        state.requesters.push(*by);
        let Some(found) = state.nodes.get(&node) else {
            return Answer::Now(Err(DriveError::NotFound));
        };
        if found.stale {
            return Answer::Now(Err(DriveError::Stale));
        }
        let content = match &found.body {
            Body::Failing(error) => return Answer::Now(Err(*error)),
            Body::Folder(_) => return Answer::Now(Err(DriveError::IsFolder)),
            Body::File(file) => Content::File(Arc::clone(file)),
            _ => Content::Direct { again: false },
        };
        let handle = HandleId(self.next_handle.fetch_add(1, Ordering::Relaxed));
        state.handles.insert(handle, node);
        let opened = Opened { handle, content };
        if matches!(state.nodes[&node].body, Body::Slow(..)) {
            return Answer::Later(Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(opened)
            }));
        }
        Answer::Now(Ok(opened))
    }

    fn read(&self, handle: HandleId, offset: u64, length: u32, _by: &Requester) -> Answer<Bytes> {
        Self::seen(&self.counts.reads);
        let state = self.state.lock();
        let Some(node) = state.handles.get(&handle) else {
            return Answer::Now(Err(DriveError::NotFound));
        };
        let part = |bytes: &Bytes| {
            let start = usize::try_from(offset).unwrap().min(bytes.len());
            bytes.slice(start..(start + length as usize).min(bytes.len()))
        };
        match &state.nodes[node].body {
            Body::File(file) => {
                let mut bytes = vec![0; length as usize];
                let mut filled = 0;
                while filled < bytes.len() {
                    match read_at(file, &mut bytes[filled..], offset + filled as u64) {
                        Ok(0) => break,
                        Ok(more) => filled += more,
                        Err(_) => return Answer::Now(Err(DriveError::Io)),
                    }
                }
                bytes.truncate(filled);
                Answer::Now(Ok(bytes.into()))
            }
            Body::Direct(bytes) => Answer::Now(Ok(part(bytes))),
            Body::Slow(bytes, delay) => {
                let (bytes, delay) = (part(bytes), *delay);
                Answer::Later(Box::pin(async move {
                    tokio::time::sleep(delay).await;
                    Ok(bytes)
                }))
            }
            Body::Hung => Answer::Later(Box::pin(std::future::pending())),
            Body::Unreadable(error) => Answer::Now(Err(*error)),
            Body::Panicking => Answer::Later(Box::pin(async { panic!("asked to") })),
            _ => Answer::Now(Err(DriveError::IsFolder)),
        }
    }

    fn release(&self, handle: HandleId) -> Answer<()> {
        Self::seen(&self.counts.releases);
        self.state.lock().handles.remove(&handle);
        Answer::Now(Ok(()))
    }

    fn room(&self) -> Room {
        Room {
            total: 10 << 30,
            free: 4 << 30,
            files: 77,
        }
    }

    fn xattr(&self, node: NodeId, name: &OsStr) -> Result<Vec<u8>, DriveError> {
        Self::seen(&self.counts.xattrs);
        let state = self.state.lock();
        state
            .xattrs
            .get(&node)
            .and_then(|kept| kept.get(name))
            .cloned()
            .ok_or(DriveError::NoAttribute)
    }

    fn xattrs(&self, node: NodeId) -> Result<Vec<OsString>, DriveError> {
        let state = self.state.lock();
        Ok(state
            .xattrs
            .get(&node)
            .map(|kept| kept.keys().cloned().collect())
            .unwrap_or_default())
    }

    fn refuse_change(&self, _node: NodeId, _by: &Requester) -> DriveError {
        Self::seen(&self.counts.refusals);
        *self.refusal.lock()
    }
}

#[cfg(unix)]
fn owner() -> (u32, u32) {
    use rustix::process::{getgid, getuid};
    (getuid().as_raw(), getgid().as_raw())
}

#[cfg(windows)]
fn owner() -> (u32, u32) {
    (0, 0)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}

/// A file with this content that no name leads to.
pub fn backing(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

/// Bytes that differ at every place.
pub fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// May tests with FUSE mounts run here? Fails loudly where they can't, unless told otherwise.
#[cfg(unix)]
pub fn fuse_available() -> bool {
    let here = Path::new("/dev/fuse").exists()
        && (rustix::process::geteuid().is_root() || which("fusermount3"));
    if here {
        return true;
    }
    assert!(
        std::env::var_os("MEDIAFS_TEST_WITHOUT_FUSE").is_some(),
        "this test needs /dev/fuse, and root or fusermount3; set MEDIAFS_TEST_WITHOUT_FUSE=1 to go without"
    );
    eprintln!("NOT RUN: no FUSE here");
    false
}

/// May tests run here that need root? Fails loudly where they can't, unless told otherwise.
#[cfg(unix)]
pub fn root_available() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var_os("MEDIAFS_TEST_WITHOUT_FUSE").is_some(),
        "this test needs root; set MEDIAFS_TEST_WITHOUT_FUSE=1 to go without"
    );
    eprintln!("NOT RUN: not root");
    false
}

#[cfg(unix)]
fn which(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    })
}

/// A drive that is mounted, on a runtime of its own.
pub struct Rig {
    pub drive: Arc<MemoryDrive>,
    pub mounted: Option<Mounted>,
    pub runtime: tokio::runtime::Runtime,
    pub home: tempfile::TempDir,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(options: impl FnOnce(&mut MountOptions)) -> Self {
        Self::of(MemoryDrive::new(), options)
    }

    pub fn of(drive: Arc<MemoryDrive>, change: impl FnOnce(&mut MountOptions)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let mut options = MountOptions::new(home.path().join("Media"));
        // As systems other than Linux have it: `scripts/one-thread`. Passthrough is each test's to say.
        if std::env::var_os("MEDIAFS_TEST_ONE_THREAD").is_some() {
            options.threads = 1;
        }
        change(&mut options);
        let mounted = mount(drive.clone(), &options, runtime.handle().clone()).unwrap();
        Self {
            drive,
            mounted: Some(mounted),
            runtime,
            home,
        }
    }

    pub fn mounted(&self) -> &Mounted {
        self.mounted.as_ref().unwrap()
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.mounted().path().join(below)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.mounted = None;
    }
}

/// Waits until `condition` holds; fails after ten seconds.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "never happened: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Mounts are by NFS here: see `scripts/nfs-kernel`.
pub fn by_nfs() -> bool {
    std::env::var_os("MEDIAFS_TEST_TRANSPORT").is_some_and(|word| word == "nfs")
}

/// Waits until what was told of shows to everybody: at once, but by NFS, whose client asks again after a second.
pub fn settle() {
    if by_nfs() {
        std::thread::sleep(Duration::from_millis(1200));
    }
}

/// The errno of a failed call.
pub fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

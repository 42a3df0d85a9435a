//! A simulated cloud: a FUSE file system of the test's own process, with files that the test makes, which counts every
//! request, can show files that are not here yet, and misbehaves on command. The daemon under test is another process.
//!
//! Nothing that hangs here keeps the test from ending: at the end the kernel is told to answer all its requests with
//! errors, and the mount is taken away.

mod contents;
mod fault;
mod serve;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fuser::{Config, Session, SessionACL};
use parking_lot::{Condvar, Mutex};
use rustix::mount::{MountFlags, UnmountFlags, unmount};
use tempfile::TempDir;

use super::janitor::Janitor;
use super::wait_until;
use contents::{Body, Contents, Sort};
use fault::Live;
use serve::{Server, Shared, State};

pub use contents::{Counts, Mark};
pub use fault::{Fault, Op, Rule};

/// How long threads may take to end once the kernel has cut the connection.
const THREADS_END: Duration = Duration::from_secs(5);

/// How a cloud is mounted.
#[derive(Clone, Debug)]
pub struct CloudOptions {
    kind: String,
    source: String,
    kept_by_kernel: bool,
    at: Option<PathBuf>,
}

impl CloudOptions {
    /// The mount table's kind of it: `rclone` for `fuse.rclone`.
    pub fn kind(mut self, kind: &str) -> Self {
        self.kind = kind.to_owned();
        self
    }

    /// What the mount table says is mounted.
    pub fn source(mut self, source: &str) -> Self {
        self.source = source.to_owned();
        self
    }

    /// Lets the kernel keep names, attributes and bytes; otherwise it keeps nothing, and the counts are true.
    pub fn kept_by_kernel(mut self) -> Self {
        self.kept_by_kernel = true;
        self
    }

    /// Mounts at a folder of the test's choice.
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.at = Some(path.as_ref().to_owned());
        self
    }

    pub fn mount(self) -> Cloud {
        Cloud::mount(self)
    }
}

/// A rule in force, to lift it or to ask after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Injected(usize);

/// A mounted cloud; gone when dropped. Paths are relative to it. Only the test changes what is in it.
pub struct Cloud {
    shared: Arc<Shared>,
    mount_point: PathBuf,
    threads: Option<std::thread::JoinHandle<std::io::Result<()>>>,
    // Dropped in this order, after the mount is taken away.
    _janitor: Janitor,
    _folder: TempDir,
}

impl Cloud {
    /// An empty one of kind `fuse.simcloud`.
    pub fn new() -> Self {
        Self::options().mount()
    }

    pub fn options() -> CloudOptions {
        CloudOptions {
            kind: "simcloud".to_owned(),
            source: "simcloud:".to_owned(),
            kept_by_kernel: false,
            at: None,
        }
    }

    fn mount(options: CloudOptions) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mediafs-test-cloud-")
            .tempdir()
            .unwrap();
        let mount_point = options
            .at
            .clone()
            .unwrap_or_else(|| folder.path().join("cloud"));
        std::fs::create_dir_all(&mount_point).unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                contents: Contents::new(),
                rules: Vec::new(),
                waiting: 0,
                ended: false,
            }),
            changed: Condvar::new(),
            kept_by_kernel: options.kept_by_kernel,
        });
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .expect("/dev/fuse is needed for this test");
        let data = CString::new(format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,subtype={},allow_other",
            device.as_raw_fd(),
            options.kind
        ))
        .unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        let mut janitor = Janitor::new();
        janitor.remove(folder.path());
        janitor.unmount(&mount_point);
        rustix::mount::mount(
            options.source.as_str(),
            &mount_point,
            "fuse",
            flags,
            data.as_c_str(),
        )
        .expect("root is needed to mount the simulated cloud");
        let mut config = Config::default();
        config.acl = SessionACL::All;
        config.n_threads = Some(2);
        let server = Server(Arc::clone(&shared));
        let session = Session::from_fd(server, device.into(), SessionACL::All, config);
        let background = session.and_then(Session::spawn).unwrap_or_else(|error| {
            force_away(&mount_point);
            panic!("the simulated cloud does not start: {error}")
        });
        Self {
            shared,
            mount_point,
            threads: Some(background.guard),
            _janitor: janitor,
            _folder: folder,
        }
    }

    /// Where a file of the cloud is for everybody.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.mount_point.join(path)
    }

    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    fn contents<T>(&self, with: impl FnOnce(&mut Contents) -> T) -> T {
        with(&mut self.shared.state.lock().contents)
    }

    /// Makes a folder, with those above it.
    pub fn folder(&self, path: impl AsRef<Path>) {
        self.contents(|contents| contents.make_folders(path.as_ref()));
    }

    /// Puts a file there that is here at once; one of that name is replaced by it, as by a rename.
    pub fn put(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        self.add(path.as_ref(), Body::Memory(Arc::new(bytes.into())));
    }

    /// Puts a file there that is not here until somebody downloads it.
    pub fn put_online(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>, mark: Mark) {
        self.put(path.as_ref(), bytes);
        self.dehydrate(path, mark);
    }

    /// Puts a file there that shows one of the test's own disk, and can be written.
    pub fn put_disk_file(&self, path: impl AsRef<Path>, file: std::fs::File) {
        self.add(path.as_ref(), Body::Disk(Arc::new(file)));
    }

    fn add(&self, path: &Path, body: Body) {
        let name = path.file_name().expect("a file's path");
        self.contents(|contents| {
            let parent = contents.make_folders(path.parent().expect("a file's path"));
            contents.add(parent, name, Sort::File(body, None));
        });
    }

    /// Overwrites a file in place: same number, new bytes, and modified now.
    pub fn overwrite(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        let bytes = Arc::new(bytes.into());
        self.with_node(path.as_ref(), |contents, number| {
            let node = contents.node_mut(number).unwrap();
            node.modified = SystemTime::now();
            match &mut node.sort {
                Sort::File(body, _) => *body = Body::Memory(bytes),
                Sort::Folder(_) => panic!("a folder has no bytes"),
            }
        });
    }

    pub fn set_modified(&self, path: impl AsRef<Path>, time: SystemTime) {
        self.with_node(path.as_ref(), |contents, number| {
            contents.node_mut(number).unwrap().modified = time;
        });
    }

    /// Takes a file or folder away, as its owner would elsewhere. Handles read on.
    pub fn remove(&self, path: impl AsRef<Path>) {
        self.with_node(path.as_ref(), |contents, number| {
            let parent = contents.node(number).unwrap().parent;
            contents.entries(parent).retain(|_, entry| *entry != number);
        });
    }

    /// Moves a file or folder, as its owner would elsewhere. It keeps its number.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        let to = to.as_ref();
        self.with_node(from.as_ref(), |contents, number| {
            let parent = contents.node(number).unwrap().parent;
            contents.entries(parent).retain(|_, entry| *entry != number);
            let parent = contents.make_folders(to.parent().expect("a new path"));
            let name = to.file_name().expect("a new path");
            contents.entries(parent).insert(name.to_owned(), number);
            contents.node_mut(number).unwrap().parent = parent;
        });
    }

    /// Makes a file one that is not here.
    pub fn dehydrate(&self, path: impl AsRef<Path>, mark: Mark) {
        self.with_node(path.as_ref(), |contents, number| {
            contents.set_mark(number, Some(mark));
        });
    }

    /// Brings a file here as the client would by itself: no download that a requester caused.
    pub fn hydrate(&self, path: impl AsRef<Path>) {
        self.with_node(path.as_ref(), |contents, number| {
            contents.set_mark(number, None);
        });
    }

    /// Is a file here?
    pub fn is_resident(&self, path: impl AsRef<Path>) -> bool {
        self.with_node(path.as_ref(), |contents, number| {
            contents.node(number).unwrap().mark().is_none()
        })
    }

    fn with_node<T>(&self, path: &Path, with: impl FnOnce(&mut Contents, u64) -> T) -> T {
        self.contents(|contents| {
            let number = contents
                .find(path)
                .unwrap_or_else(|| panic!("no {} in the cloud", path.display()));
            with(contents, number)
        })
    }

    /// What has been asked so far, of all together.
    pub fn counts(&self) -> Counts {
        self.contents(|contents| contents.total)
    }

    /// What has been asked of one file or folder so far.
    pub fn counts_of(&self, path: impl AsRef<Path>) -> Counts {
        self.with_node(path.as_ref(), |contents, number| {
            contents.node(number).unwrap().counts
        })
    }

    /// What was asked since `before`, as [`Cloud::counts`] gave it.
    pub fn since(&self, before: Counts) -> Counts {
        self.counts() - before
    }

    /// Nothing may be opened, read or downloaded during `block`.
    pub fn untouched_during<T>(&self, block: impl FnOnce() -> T) -> T {
        let before = self.counts();
        let result = block();
        let asked = self.since(before);
        assert!(asked.untouched(), "the cloud was touched: {asked:?}");
        result
    }

    /// Lets something go wrong from now on.
    pub fn inject(&self, rule: impl Into<Rule>) -> Injected {
        let rule = rule.into();
        let mut state = self.shared.state.lock();
        let node = rule.path.as_ref().map(|path| {
            let found = state.contents.find(path);
            found.unwrap_or_else(|| panic!("no {} in the cloud", path.display()))
        });
        state.rules.push(Live::new(rule, node));
        Injected(state.rules.len() - 1)
    }

    /// Ends one fault. What it held goes on, and what vanished by it is back.
    pub fn lift(&self, injected: Injected) {
        self.lift_if(|id| id == injected.0);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.lift_if(|_| true);
    }

    fn lift_if(&self, chosen: impl Fn(usize) -> bool) {
        let mut state = self.shared.state.lock();
        for (id, live) in state.rules.iter_mut().enumerate() {
            live.lifted |= chosen(id);
        }
        for node in state.contents.nodes_mut() {
            if node.gone.is_some_and(&chosen) {
                node.gone = None;
            }
        }
        self.shared.changed.notify_all();
    }

    /// How many requests a fault has befallen: a test of a fault shows that there was one.
    pub fn hits(&self, injected: Injected) -> u64 {
        self.shared.state.lock().rules[injected.0].hits
    }

    /// Requests that wait right now, held or slow.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().waiting
    }

    /// Waits until a fault has befallen somebody.
    pub fn wait_for_hit(&self, injected: Injected) {
        wait_until(Duration::from_secs(10), "the fault to be met", || {
            self.hits(injected) > 0
        });
    }

    /// Each file by its path, and whether it is here, for messages and whole-tree assertions.
    pub fn residency(&self) -> BTreeMap<PathBuf, bool> {
        fn walk(contents: &Contents, number: u64, at: &Path, into: &mut BTreeMap<PathBuf, bool>) {
            let Some(node) = contents.node(number) else {
                return;
            };
            match &node.sort {
                Sort::File(_, mark) => {
                    into.insert(at.to_owned(), mark.is_none());
                }
                Sort::Folder(children) => {
                    for (name, child) in children {
                        walk(contents, *child, &at.join(name), into);
                    }
                }
            }
        }
        let mut files = BTreeMap::new();
        self.contents(|contents| walk(contents, contents::ROOT, Path::new(""), &mut files));
        files
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        force_away(&self.mount_point);
        self.shared.state.lock().ended = true;
        self.shared.changed.notify_all();
        // They end as the connection is cut; were they not to, the end of the process ends them.
        let Some(threads) = self.threads.take() else {
            return;
        };
        let begun = Instant::now();
        while !threads.is_finished() && begun.elapsed() < THREADS_END {
            std::thread::sleep(Duration::from_millis(2));
        }
        if threads.is_finished() {
            let _ = threads.join();
        }
    }
}

/// Takes a FUSE mount away. By force first: the kernel then answers all its requests with errors, those that a server
/// has in hand as well, and no new one ever waits.
fn force_away(mount_point: &Path) {
    let _ = unmount(mount_point, UnmountFlags::FORCE | UnmountFlags::NOFOLLOW);
    let _ = unmount(mount_point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
}

//! A mount from its beginning to its end: started, waited for, taken away within a bounded time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fuser::{BackgroundSession, Config, Session, SessionACL};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::adapter::{Adapter, Agreed};
use super::asking::Asking;
use super::attach::{Detach, detach};
use super::cases::{Cases, Kept};
use super::left;
use super::notifier::KernelCache;
use super::open_files::OpenFiles;
use super::point::{self, Point};
use super::{Ended, MountError, MountOptions, Passthrough, Unmounted, registering};
use crate::drive::{Drive, Invalidate};
#[cfg(target_os = "linux")]
use crate::volume::{DeviceNumber, MountEntry, MountId, MountTable};

/// How long dispatch threads may take to end once nothing holds them.
const THREADS_END: Duration = Duration::from_secs(1);
/// How long a detached mount may take to end by itself.
const DETACHED_ENDS: Duration = Duration::from_millis(200);
/// Readahead of the mount, in KiB; the kernel starts FUSE mounts with 128.
#[cfg(target_os = "linux")]
const READAHEAD_KIB: u32 = 1024;

/// A mounted drive. Dropping it unmounts at once.
pub(super) struct Mounted {
    shared: Arc<Shared>,
    passthrough: Passthrough,
    open_files: Arc<OpenFiles>,
    kernel: Arc<KernelCache>,
}

struct Shared {
    path: PathBuf,
    #[cfg(target_os = "linux")]
    place: Option<Place>,
    ended: Mutex<Option<Ended>>,
    changed: Condvar,
    ended_async: watch::Sender<Option<Ended>>,
    ending: watch::Sender<bool>,
}

/// Our line of the mount table.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
struct Place {
    id: MountId,
    device: DeviceNumber,
}

/// Where our mount is now.
enum Attached {
    /// Visible at this path.
    Top(PathBuf),
    /// Somebody has mounted something over it.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Covered,
    /// Not in the tree any more.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Gone,
}

/// Mounts `drive`. `runtime` is where answers that come later are waited for; it must outlive the mount.
///
/// # Errors
/// See [`MountError`]. Nothing stays mounted then.
pub(super) fn mount(
    drive: Arc<dyn Drive>,
    options: &MountOptions,
    runtime: tokio::runtime::Handle,
) -> Result<Mounted, MountError> {
    let point = point::prepare(
        &options.mountpoint,
        &options.unmounted_note,
        point::Maker::Mounting,
    )?;
    // Looked for before anything is mounted: nobody answers a look into the mount point until the threads run.
    let helper = options
        .passthrough
        .then(|| registering::find_helper(options))
        .flatten();
    let open_files = Arc::new(OpenFiles::new(options.passthrough));
    let agreed = Arc::new(Agreed::default());
    let cases = options.any_case.then(|| Arc::new(Mutex::new(Cases::new())));
    let (ending, watch_ending) = watch::channel(false);
    let asking = Asking::new(Arc::clone(&drive), runtime, watch_ending).map_err(|source| {
        MountError::Start {
            path: point.path.clone(),
            source,
        }
    })?;

    let mut config = Config::default();
    config.acl = if options.allow_other {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    config.n_threads = Some(if cfg!(target_os = "linux") {
        options.threads.max(1)
    } else {
        1
    });

    let (session, device) = open_session(&point, options, config, |device| Adapter {
        asking,
        open_files: Arc::clone(&open_files),
        agreed: Arc::clone(&agreed),
        cases: cases.clone(),
        ask_for_passthrough: options.passthrough,
        device,
    })?;
    let passthrough = if !options.passthrough {
        Passthrough::NotAsked
    } else if !agreed.passthrough.load(Ordering::Acquire) {
        Passthrough::NotOffered
    } else {
        registering::settle(&device, helper.as_deref(), &open_files)
    };
    if !passthrough.is_in_force() {
        open_files.give_up_passthrough();
    }
    drop(device);

    let shared = Arc::new(Shared {
        #[cfg(target_os = "linux")]
        place: Place::find(&point.path),
        path: point.path.clone(),
        ended: Mutex::new(None),
        changed: Condvar::new(),
        ended_async: watch::Sender::new(None),
        ending,
    });
    #[cfg(target_os = "linux")]
    shared.raise_readahead();

    let start = || -> io::Result<Arc<KernelCache>> {
        let kernel = KernelCache::start(session.notifier())?;
        let told = Arc::clone(&kernel) as Arc<dyn Invalidate>;
        drive.mounted(match cases {
            Some(cases) => Arc::new(Kept { cases, next: told }),
            None => told,
        });
        let background = session.spawn()?;
        let supervised = Arc::clone(&shared);
        let notifier = Arc::clone(&kernel);
        let files = Arc::clone(&open_files);
        std::thread::Builder::new()
            .name("mediafs-mount".to_owned())
            .spawn(move || supervised.see_it_end(background, &notifier, &files))?;
        Ok(kernel)
    };
    match start() {
        Ok(kernel) => {
            tracing::info!(path = %shared.path.display(), %passthrough, "mounted");
            Ok(Mounted {
                shared,
                passthrough,
                open_files,
                kernel,
            })
        }
        Err(source) => {
            let path = point.path.clone();
            let _ = detach(&path, Detach::ByForce);
            open_files.end();
            Err(MountError::Start { path, source })
        }
    }
}

/// Attaches and shakes hands. Hands out a second descriptor of the device.
fn open_session(
    point: &Point,
    options: &MountOptions,
    config: Config,
    adapter: impl FnOnce(std::os::fd::OwnedFd) -> Adapter,
) -> Result<(Session<Adapter>, std::os::fd::OwnedFd), MountError> {
    let device = super::attach::attach(&point.path, options)?;
    let started = || -> io::Result<_> {
        let (second, third) = (device.try_clone()?, device.try_clone()?);
        let acl = config.acl;
        Ok((
            Session::from_fd(adapter(second), device, acl, config)?,
            third,
        ))
    };
    started().map_err(|source| {
        let _ = detach(&point.path, Detach::ByForce);
        MountError::Start {
            path: point.path.clone(),
            source,
        }
    })
}

impl Mounted {
    /// Where the drive is, absolute and without symbolic links.
    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Is passthrough used, and if not, why. While the mount lives this changes only if the helper is lost.
    pub(super) fn passthrough(&self) -> Passthrough {
        match self.passthrough {
            Passthrough::ByHelper
                if !self.open_files.tries_passthrough() && self.has_ended().is_none() =>
            {
                Passthrough::HelperLost
            }
            told => told,
        }
    }

    /// Why the mount has ended; `None` while it lives.
    pub(super) fn has_ended(&self) -> Option<Ended> {
        self.shared.ended.lock().clone()
    }

    /// Waits until the mount has ended, whoever ended it.
    pub(super) async fn ended(&self) -> Ended {
        let mut watched = self.shared.ended_async.subscribe();
        match watched
            .wait_for(Option::is_some)
            .await
            .map(|ended| ended.clone())
        {
            Ok(Some(ended)) => ended,
            // The sender lives as long as `self`.
            Ok(None) | Err(_) => Ended::Unmounted,
        }
    }

    /// Waits until the mount has ended, on this thread.
    pub(super) fn wait(&self) -> Ended {
        let mut ended = self.shared.ended.lock();
        loop {
            if let Some(ended) = ended.as_ref() {
                return ended.clone();
            }
            self.shared.changed.wait(&mut ended);
        }
    }

    /// Waits on this thread until the mount has ended, but no longer than `patience`.
    pub(super) fn wait_for(&self, patience: Duration) -> Option<Ended> {
        self.shared.wait_for(patience)
    }

    /// Unmounts within `grace` and two seconds more (without root as long as `fusermount3` takes as well), whatever
    /// programs and storage do. Blocks this thread.
    ///
    /// For `grace` programs may close their files. After it requests that still wait are answered with an
    /// error, the mount leaves the tree, and if files are still open the connection is cut.
    pub(super) fn unmount(&self, grace: Duration) -> Unmounted {
        if self.has_ended().is_some() {
            return Unmounted::Already;
        }
        self.kernel.stop();
        let outcome = self.shared.take_away(grace);
        tracing::info!(path = %self.shared.path.display(), ?outcome, "unmounted");
        outcome
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.unmount(Duration::ZERO);
    }
}

impl std::fmt::Debug for Mounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mounted")
            .field("path", &self.shared.path)
            .field("passthrough", &self.passthrough)
            .field("ended", &self.has_ended())
            .finish()
    }
}

impl Shared {
    /// Runs on a thread of its own: waits for the dispatch threads and tells everybody.
    fn see_it_end(&self, session: BackgroundSession, kernel: &KernelCache, files: &OpenFiles) {
        let result = session.join();
        kernel.stop();
        files.end();
        self.ending.send_replace(true);
        self.remove_remains();
        let ended = match result {
            Ok(()) => Ended::Unmounted,
            Err(error) => Ended::Failed(error.to_string()),
        };
        *self.ended.lock() = Some(ended.clone());
        self.changed.notify_all();
        self.ended_async.send_replace(Some(ended));
    }

    fn wait_for(&self, patience: Duration) -> Option<Ended> {
        let deadline = Instant::now() + patience;
        let mut ended = self.ended.lock();
        while ended.is_none() && !self.changed.wait_until(&mut ended, deadline).timed_out() {}
        ended.clone()
    }

    fn take_away(&self, grace: Duration) -> Unmounted {
        let deadline = Instant::now() + grace;
        let mut pause = Duration::from_millis(10);
        // Once it is out of the tree its numbers may already be those of a new mount: never detach twice.
        let mut in_tree = true;
        loop {
            in_tree = in_tree && !self.detach_unused();
            let now = Instant::now();
            let patience = if in_tree {
                pause.min(deadline.saturating_duration_since(now))
            } else {
                THREADS_END
            };
            // Also ends the wait when somebody else unmounts.
            if self.wait_for(patience).is_some() {
                return Unmounted::Clean;
            }
            if now >= deadline {
                break;
            }
            pause = (pause * 2).min(Duration::from_millis(250));
        }
        self.ending.send_replace(true);
        let by_force = !self.can_abort();
        if in_tree && let Attached::Top(path) = self.attached() {
            let how = if by_force {
                Detach::ByForce
            } else {
                Detach::Lazily
            };
            if let Err(error) = detach(&path, how) {
                tracing::warn!(path = %path.display(), %error, "the mount could not be detached");
            }
        }
        if self.wait_for(DETACHED_ENDS).is_some() {
            return if by_force && cfg!(target_os = "linux") {
                Unmounted::Aborted
            } else {
                Unmounted::Detached
            };
        }
        self.abort();
        if self.wait_for(THREADS_END).is_some() {
            Unmounted::Aborted
        } else {
            Unmounted::LeftBehind
        }
    }

    /// Unmounts if nobody uses the mount; true if it is out of the tree.
    fn detach_unused(&self) -> bool {
        match self.attached() {
            Attached::Top(path) => detach(&path, Detach::IfUnused).is_ok(),
            Attached::Covered => false,
            Attached::Gone => true,
        }
    }

    /// A connection that was cut leaves a dead mount in the tree. What is at our place by now may also be a new
    /// mount with our old numbers, so only a dead one is removed.
    #[cfg(target_os = "linux")]
    fn remove_remains(&self) {
        if let Attached::Top(path) = self.attached()
            && left::is_dead(&path)
            && let Err(error) = detach(&path, Detach::Lazily)
        {
            tracing::debug!(path = %path.display(), %error, "the ended mount could not be removed");
        }
    }

    /// macFUSE may give a daemon up by itself; its mount stays then.
    #[cfg(not(target_os = "linux"))]
    fn remove_remains(&self) {
        if left::is_dead(&self.path)
            && let Err(error) = detach(&self.path, Detach::ByForce)
        {
            tracing::debug!(path = %self.path.display(), %error, "the ended mount could not be removed");
        }
    }

    #[cfg(target_os = "linux")]
    fn attached(&self) -> Attached {
        let (Some(place), Ok(table)) = (self.place, MountTable::read()) else {
            return Attached::Top(self.path.clone());
        };
        let ours = |entry: &&MountEntry| {
            entry.device == place.device
                && entry.fs_type == super::FS_TYPE
                && entry.mount_point == self.path
        };
        match table.by_id(place.id).filter(ours) {
            None => Attached::Gone,
            Some(_) if table.at(&self.path).is_some_and(|top| top.id == place.id) => {
                Attached::Top(self.path.clone())
            }
            Some(_) => Attached::Covered,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn attached(&self) -> Attached {
        Attached::Top(self.path.clone())
    }

    /// The file that cuts the connection, where the kernel's control file system is mounted.
    #[cfg(target_os = "linux")]
    fn abort_file(&self) -> Option<PathBuf> {
        let minor = self.place?.device.minor;
        Some(PathBuf::from(format!(
            "/sys/fs/fuse/connections/{minor}/abort"
        )))
    }

    #[cfg(target_os = "linux")]
    fn can_abort(&self) -> bool {
        self.abort_file()
            .is_some_and(|file| rustix::fs::access(&file, rustix::fs::Access::WRITE_OK).is_ok())
    }

    #[cfg(target_os = "linux")]
    fn abort(&self) {
        if let Some(file) = self.abort_file()
            && let Err(error) = std::fs::write(&file, "1")
        {
            tracing::debug!(file = %file.display(), %error, "the connection could not be cut");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn can_abort(&self) -> bool {
        false
    }

    #[cfg(not(target_os = "linux"))]
    fn abort(&self) {}

    #[cfg(target_os = "linux")]
    fn raise_readahead(&self) {
        let Some(place) = self.place else { return };
        let file = format!("/sys/class/bdi/{}/read_ahead_kb", place.device);
        if let Err(error) = std::fs::write(&file, READAHEAD_KIB.to_string()) {
            tracing::debug!(%file, %error, "readahead stays as the kernel has it");
        }
    }
}

#[cfg(target_os = "linux")]
impl Place {
    fn find(path: &Path) -> Option<Self> {
        let table = MountTable::read().ok()?;
        let entry = table.at(path)?;
        (entry.fs_type == super::FS_TYPE).then_some(Self {
            id: entry.id,
            device: entry.device,
        })
    }
}

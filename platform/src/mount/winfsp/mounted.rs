//! A mount by WinFsp from its beginning to its end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::super::{
    Clear, Ended, Lacking, MountError, MountOptions, Passthrough, Present, Transport, Unmounted,
    WINFSP_NOTICE,
};
use super::adapter::Adapter;
use super::context::{self, Context, Host, Refused, Volume};
use super::descriptor::Descriptors;
use super::library::{self, NotLoaded};
use super::point::Point;
use super::status::Status;
use super::versions;
use crate::drive::{Drive, Invalidate, NodeId};
use crate::rights::User;
use crate::ticks;

/// Threads that WinFsp asks on. What opens or changes something is waited for on them.
const THREADS: u32 = 32;
/// How often it is looked whether programs have closed their files.
const LOOK: Duration = Duration::from_millis(50);
/// How long WinFsp may take to stop once nothing waits any more.
const STOPS: Duration = Duration::from_secs(2);

/// A mounted drive. Dropping it unmounts at once.
pub struct Mounted {
    shared: Arc<Shared>,
    /// Turns `true` when the mount ends.
    ending: watch::Sender<bool>,
    adapter: Arc<Adapter>,
    point: Point,
    note: String,
    /// Taken at the end.
    host: Mutex<Option<Host>>,
}

/// What whoever waits for the end looks at.
struct Shared {
    path: PathBuf,
    ended: Mutex<Option<Ended>>,
    changed: Condvar,
    ended_async: watch::Sender<Option<Ended>>,
}

/// Mounts `drive`. `runtime` is where answers that come later are waited for; it must outlive the mount.
///
/// # Errors
/// See [`MountError`]. Nothing stays mounted then.
pub fn mount(
    drive: Arc<dyn Drive>,
    options: &MountOptions,
    runtime: tokio::runtime::Handle,
) -> Result<Mounted, MountError> {
    mount_with(&library::KEYS, drive, options, runtime)
}

/// The same, with WinFsp looked for under these keys of the registry.
pub(super) fn mount_with(
    keys: &[&str],
    drive: Arc<dyn Drive>,
    options: &MountOptions,
    runtime: tokio::runtime::Handle,
) -> Result<Mounted, MountError> {
    let point = Point::of(&options.mountpoint)?;
    let path = point.path();
    let refused = |source| MountError::Refused {
        path: path.clone(),
        source,
    };
    if options.transport != Transport::Fuse {
        return Err(refused(io::Error::new(
            io::ErrorKind::Unsupported,
            "on Windows the drive is mounted by WinFsp only; leave `--transport` away",
        )));
    }
    library::load(keys).map_err(|error| match error {
        NotLoaded::NotInstalled => MountError::NoFuse,
        NotLoaded::Unusable { dll, source } => refused(io::Error::new(
            source.kind(),
            format!("{} cannot be loaded ({source})", dll.display()),
        )),
    })?;
    let started = |source| MountError::Start {
        path: path.clone(),
        source,
    };
    let descriptors = Descriptors::of_this_user(options.allow_other).map_err(started)?;
    let (ending, watched) = watch::channel(false);
    let adapter = Adapter::new(Arc::clone(&drive), runtime, watched).map_err(started)?;
    let adapter = Arc::new(adapter);
    let shared = Arc::new(Shared {
        path: path.clone(),
        ended: Mutex::new(None),
        changed: Condvar::new(),
        ended_async: watch::Sender::new(None),
    });
    let user = User::of_this_process().and_then(|user| user.text());
    let user = user.map_err(started)?;
    let label = point.label(&options.name);
    let network_name = point.network_name(&label, &user);
    let root = adapter
        .asking
        .ask(|drive| drive.attributes(NodeId::ROOT))
        .map_err(|error| started(io::Error::other(error)))?;
    let volume = Volume {
        serial: point.serial(&user, &options.identity),
        born: ticks::of(root.0.born),
        network_name: network_name.as_deref(),
    };
    let told = Arc::clone(&shared);
    let context = Context {
        adapter: Arc::clone(&adapter),
        descriptors,
        label: label.clone(),
        stopped: Box::new(move |normally| {
            if !normally {
                told.end(Ended::Failed("WinFsp's driver has stopped".to_owned()));
            }
        }),
    };
    point.prepare()?;
    let threads = u32::try_from(options.threads)
        .unwrap_or(THREADS)
        .max(THREADS);
    let host = Host::new(context, &volume, point.as_told());
    let host = host.and_then(|mut host| {
        drive.mounted(Arc::clone(&adapter.changes) as Arc<dyn Invalidate>);
        host.start(threads)?;
        Ok(host)
    });
    let host = host.map_err(|refused| {
        point.restore(&options.unmounted_note);
        not_started(path.clone(), network_name.as_deref(), refused)
    })?;
    tracing::info!(path = %path.display(), network_name, "mounted by WinFsp");
    Ok(Mounted {
        shared,
        ending,
        adapter,
        point,
        note: options.unmounted_note.clone(),
        host: Mutex::new(Some(host)),
    })
}

const NO_DRIVER: &str = "WinFsp is installed, but its driver does not run";
const ANEW: &str = "restart the computer, and if that does not help install WinFsp anew from https://winfsp.dev/rel/";

/// Is WinFsp there, with its driver? What there is, and what is known to be wrong with it; nothing is mounted.
///
/// # Errors
/// What is missing, and what to do.
pub fn check() -> Result<Present, Lacking> {
    check_with(&library::KEYS)
}

/// The same, with WinFsp looked for under these keys of the registry.
pub(super) fn check_with(keys: &[&str]) -> Result<Present, Lacking> {
    let lacking = |message: String, remedy: &str| Lacking {
        message,
        remedy: format!("{remedy} ({WINFSP_NOTICE})"),
    };
    library::load(keys).map_err(|error| match error {
        NotLoaded::NotInstalled => lacking(
            "WinFsp is not installed, and without it there are no drives on Windows".to_owned(),
            "install it from https://winfsp.dev/rel/",
        ),
        NotLoaded::Unusable { dll, source } => lacking(
            format!("{} cannot be loaded ({source})", dll.display()),
            "install WinFsp anew from https://winfsp.dev/rel/",
        ),
    })?;
    let version = context::version();
    let is_old = version.is_ok_and(versions::is_old);
    let version = match version {
        Ok((major, minor)) => format!("{major}.{minor}"),
        Err(Status(number)) => {
            format!(
                "of an unknown version (status {:#x})",
                number.cast_unsigned()
            )
        }
    };
    if let Err(Status(number)) = context::driver() {
        let status = number.cast_unsigned();
        return Err(lacking(
            format!("{NO_DRIVER} (version {version}, status {status:#x})"),
            ANEW,
        ));
    }
    Ok(Present {
        message: format!("WinFsp {version} ({WINFSP_NOTICE})"),
        flaw: is_old.then(|| lacking(versions::MAY_STOP.to_owned(), versions::NEWER)),
    })
}

/// What stands in the way when WinFsp refuses.
fn not_started(path: PathBuf, network_name: Option<&str>, refused: Refused) -> MountError {
    let status = match (refused, network_name) {
        (Refused::Point(Status::OBJECT_NAME_COLLISION), _) => return super::point::taken(path),
        (Refused::Drive(Status::OBJECT_NAME_COLLISION), Some(name)) => {
            let name = name.to_owned();
            return MountError::NameTaken { path, name };
        }
        (Refused::Drive(status) | Refused::Point(status), _) => status,
    };
    // "No such device", "object name not found": the driver does not run.
    let words = match status {
        Status::NO_SUCH_DEVICE | Status::OBJECT_NAME_NOT_FOUND | Status::OBJECT_PATH_NOT_FOUND => {
            return MountError::Refused {
                path,
                source: io::Error::other(format!("{NO_DRIVER}; {ANEW}")),
            };
        }
        Status::ACCESS_DENIED => "this user may not mount there",
        _ => "WinFsp refuses",
    };
    let Status(number) = status;
    MountError::Refused {
        path,
        source: io::Error::other(format!("{words} (status {:#x})", number.cast_unsigned())),
    }
}

/// WinFsp takes a mount away with the daemon that it belongs to, so nothing can have been left.
///
/// # Errors
/// None.
pub fn clear(_point: &Path, _what: Clear) -> Result<bool, MountError> {
    Ok(false)
}

impl Mounted {
    /// Where the drive is, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// How it gets to the system.
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport::Fuse
    }

    /// Where a program finds it, where this system cannot mount it.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        None
    }

    /// Is passthrough used, and if not, why.
    #[must_use]
    pub fn passthrough(&self) -> Passthrough {
        Passthrough::NotOfTransport
    }

    /// Why the mount has ended; `None` while it lives.
    #[must_use]
    pub fn has_ended(&self) -> Option<Ended> {
        self.shared.ended.lock().clone()
    }

    /// Waits until the mount has ended, whoever ended it.
    pub async fn ended(&self) -> Ended {
        let mut watched = self.shared.ended_async.subscribe();
        let ended = watched.wait_for(Option::is_some).await;
        match ended.map(|ended| ended.clone()) {
            Ok(Some(ended)) => ended,
            // The sender lives as long as `self`.
            Ok(None) | Err(_) => Ended::Unmounted,
        }
    }

    /// Waits until the mount has ended, on this thread.
    pub fn wait(&self) -> Ended {
        let mut ended = self.shared.ended.lock();
        loop {
            if let Some(ended) = ended.as_ref() {
                return ended.clone();
            }
            self.shared.changed.wait(&mut ended);
        }
    }

    /// Waits on this thread until the mount has ended, but no longer than `patience`.
    #[must_use]
    pub fn wait_for(&self, patience: Duration) -> Option<Ended> {
        let until = Instant::now() + patience;
        let mut ended = self.shared.ended.lock();
        while ended.is_none()
            && !self
                .shared
                .changed
                .wait_until(&mut ended, until)
                .timed_out()
        {}
        ended.clone()
    }

    /// Unmounts within `grace` and two seconds more, whatever programs and storage do. Blocks this thread.
    ///
    /// For `grace` programs may close their files, which they no longer find by their paths. After it requests that still
    /// wait are answered with an error, and what is open is cut off.
    pub fn unmount(&self, grace: Duration) -> Unmounted {
        let Some(mut host) = self.host.lock().take() else {
            return Unmounted::Already;
        };
        let had_ended = self.has_ended().is_some();
        host.hide();
        let until = Instant::now() + grace;
        while self.adapter.opens.files() > 0 && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let are_open = self.adapter.opens.files() > 0;
        // Whoever waits is answered, so that WinFsp can stop.
        self.ending.send_replace(true);
        let (stopped, stopping) = std::sync::mpsc::channel();
        let stop = move || {
            drop(host);
            // Whoever unmounts may have gone on.
            let _ = stopped.send(());
        };
        let thread = std::thread::Builder::new().name("mediafs-mount".to_owned());
        let is_stopped = match thread.spawn(stop) {
            Ok(_) => stopping.recv_timeout(STOPS).is_ok(),
            // The host went with the closure.
            Err(_) => true,
        };
        self.adapter.close_all();
        self.point.restore(&self.note);
        self.shared.end(Ended::Unmounted);
        let outcome = match (is_stopped, are_open) {
            _ if had_ended => Unmounted::Already,
            (false, _) => Unmounted::LeftBehind,
            (true, true) => Unmounted::Aborted,
            (true, false) => Unmounted::Clean,
        };
        tracing::info!(path = %self.shared.path.display(), ?outcome, "unmounted");
        outcome
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.unmount(Duration::ZERO);
    }
}

impl Shared {
    fn end(&self, how: Ended) {
        let mut ended = self.ended.lock();
        if ended.is_none() {
            *ended = Some(how.clone());
            self.changed.notify_all();
            self.ended_async.send_replace(Some(how));
        }
    }
}

impl std::fmt::Debug for Mounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mounted")
            .field("path", &self.shared.path)
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}

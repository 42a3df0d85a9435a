//! An export from its beginning to its end: mounted by the system's client where there is one, else only served.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::super::{Ended, MountError, MountOptions, Unmounted, point};
use super::{Mounts, NfsExport, Sharing, kernel};
use crate::drive::Drive;
use crate::volume::MountTable;

/// How often it is looked whether somebody else has unmounted it.
const LOOK: Duration = Duration::from_secs(2);
/// How often unmounting is tried again while programs have files open.
const AGAIN: Duration = Duration::from_millis(100);

/// A drive that is exported, and mounted where that can be done. Dropping it unmounts at once.
pub(in crate::mount) struct NfsMounted {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// Taken at the end.
    export: Mutex<Option<NfsExport>>,
    /// Where a program finds it that speaks NFS; `None` where it is mounted.
    url: Option<String>,
    ended: Mutex<Option<Ended>>,
    changed: Condvar,
    ended_async: watch::Sender<Option<Ended>>,
}

/// Exports `drive`, and mounts it if the system has a client.
///
/// # Errors
/// See [`MountError`]. Nothing stays mounted then.
pub(in crate::mount) fn mount(
    drive: Arc<dyn Drive>,
    options: &MountOptions,
    runtime: &tokio::runtime::Handle,
) -> Result<NfsMounted, MountError> {
    let is_mounted = kernel::has_client();
    if is_mounted && !kernel::may_mount() {
        return Err(MountError::NotRoot);
    }
    let point = match is_mounted {
        true => Some(point::prepare(
            &options.mountpoint,
            &options.unmounted_note,
            point::Maker::Nobody,
        )?),
        false => None,
    };
    let path = match &point {
        Some(point) => point.path.clone(),
        None => options.mountpoint.clone(),
    };
    let mounts = match is_mounted {
        true => Mounts::Once,
        false => Mounts::Many,
    };
    let failed = |source| MountError::Start {
        path: path.clone(),
        source,
    };
    let sharing = Sharing {
        mounts,
        with_others: options.allow_other,
        any_case: options.any_case,
    };
    let export = NfsExport::start(drive, sharing, runtime).map_err(failed)?;
    if is_mounted {
        kernel::mount(&export, &path).map_err(|source| MountError::Refused {
            path: path.clone(),
            source,
        })?;
    }
    drop(point);
    let shared = Arc::new(Shared {
        url: (!is_mounted).then(|| export.url()),
        path,
        export: Mutex::new(Some(export)),
        ended: Mutex::new(None),
        changed: Condvar::new(),
        ended_async: watch::Sender::new(None),
    });
    if is_mounted {
        let watched = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("mediafs-mount".to_owned())
            .spawn(move || {
                while let Some(shared) = watched.upgrade() {
                    if shared.ended.lock().is_some() {
                        return;
                    }
                    if !is_mount_point(&shared.path) {
                        shared.end();
                        return;
                    }
                    drop(shared);
                    std::thread::sleep(LOOK);
                }
            })
            .map_err(|source| MountError::Start {
                path: shared.path.clone(),
                source,
            })?;
    }
    tracing::info!(path = %shared.path.display(), is_mounted, "exported by NFS");
    Ok(NfsMounted { shared })
}

/// Something is mounted there: it is on another device than the folder that it is in.
fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| rustix::fs::stat(path).map(|found| found.st_dev);
    match (device(path), path.parent().map(device)) {
        (Ok(here), Some(Ok(above))) => here != above,
        // A mount that does not answer is one.
        (Err(error), _) => error != rustix::io::Errno::NOENT,
        _ => true,
    }
}

impl NfsMounted {
    pub(in crate::mount) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Where a program finds it that speaks NFS, where this system does not mount it.
    pub(in crate::mount) fn url(&self) -> Option<&str> {
        self.shared.url.as_deref()
    }

    pub(in crate::mount) fn has_ended(&self) -> Option<Ended> {
        self.shared.ended.lock().clone()
    }

    pub(in crate::mount) async fn ended(&self) -> Ended {
        let mut watched = self.shared.ended_async.subscribe();
        let ended = watched.wait_for(Option::is_some).await;
        match ended.map(|ended| ended.clone()) {
            Ok(Some(ended)) => ended,
            // The sender lives as long as `self`.
            Ok(None) | Err(_) => Ended::Unmounted,
        }
    }

    pub(in crate::mount) fn wait_for(&self, patience: Option<Duration>) -> Option<Ended> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut ended = self.shared.ended.lock();
        loop {
            if let Some(ended) = ended.as_ref() {
                return Some(ended.clone());
            }
            match until {
                None => self.shared.changed.wait(&mut ended),
                Some(until) => {
                    if self
                        .shared
                        .changed
                        .wait_until(&mut ended, until)
                        .timed_out()
                    {
                        return ended.clone();
                    }
                }
            }
        }
    }

    pub(in crate::mount) fn unmount(&self, grace: Duration) -> Unmounted {
        if self.has_ended().is_some() {
            return Unmounted::Already;
        }
        let outcome = match self.shared.url {
            Some(_) => Unmounted::Clean,
            None => self.shared.take_away(grace),
        };
        // Who looks at what was left behind gets answers for as long as there is somebody to give them.
        if outcome != Unmounted::LeftBehind {
            self.shared.end();
        }
        tracing::info!(path = %self.shared.path.display(), ?outcome, "unmounted");
        outcome
    }
}

impl Drop for NfsMounted {
    fn drop(&mut self) {
        self.unmount(Duration::ZERO);
        self.shared.end();
    }
}

impl Shared {
    fn take_away(&self, grace: Duration) -> Unmounted {
        let until = Instant::now() + grace;
        let unmount = |by_force| -> io::Result<()> {
            if self.is_covered() {
                return Err(io::Error::other("something else is mounted over it"));
            }
            kernel::unmount(&self.path, by_force)
        };
        loop {
            if unmount(false).is_ok() {
                return Unmounted::Clean;
            }
            if Instant::now() >= until {
                break;
            }
            std::thread::sleep(AGAIN);
        }
        match unmount(true) {
            Ok(()) => Unmounted::Aborted,
            // What was asked for before was done late.
            Err(_) if self.is_gone() => Unmounted::Clean,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "it cannot be unmounted");
                Unmounted::LeftBehind
            }
        }
    }

    /// Is the topmost mount there another's? It is not ours to take away.
    fn is_covered(&self) -> bool {
        self.is_on_top() == Some(false)
    }

    /// Is nothing mounted there any more?
    fn is_gone(&self) -> bool {
        MountTable::read().is_ok_and(|table| table.at(&self.path).is_none())
    }

    /// Whether the topmost mount there is this one; `None` where there is none, or nobody can tell.
    fn is_on_top(&self) -> Option<bool> {
        let export = self.export.lock();
        let source = kernel::source(export.as_ref()?);
        let table = MountTable::read().ok()?;
        let top = table.at(&self.path)?;
        Some(top.source.as_os_str() == source.as_str())
    }

    fn end(&self) {
        drop(self.export.lock().take());
        let mut ended = self.ended.lock();
        if ended.is_none() {
            *ended = Some(Ended::Unmounted);
            self.changed.notify_all();
            self.ended_async.send_replace(Some(Ended::Unmounted));
        }
    }
}

impl std::fmt::Debug for NfsMounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NfsMounted")
            .field("path", &self.shared.path)
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}

//! The system's word on what changes in watched folders (inotify on Linux), gathered for the watch loop.
//!
//! Each folder is watched by itself, when a sweep is about to list it: so another file system mounted within a root is
//! never touched, and nothing can happen in a folder between its listing and its watch.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::{ErrorKind, RecursiveMode, Watcher as _};
use parking_lot::{Condvar, Mutex};

use crate::catalog::BaseNo;

use super::dirty::{Dirty, Ready};
use super::engine::WatchFolder;

/// Why a base is not watched, so that it is looked at from time to time instead.
const NO_MORE_WATCHES: &str =
    "the system's limit of watched folders is reached (fs.inotify.max_user_watches)";

/// Watches folders and gathers what is told.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    system: Mutex<Option<notify::RecommendedWatcher>>,
}

#[derive(Default)]
struct Shared {
    dirty: Mutex<Dirty>,
    woken: Condvar,
    /// Bases that can't be watched (whole), with the reason.
    unwatched: Mutex<HashMap<BaseNo, String>>,
}

impl Watcher {
    /// A watcher that watches nothing yet; one that can't watch says so for each base.
    pub(super) fn new() -> Self {
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        let handler = move |event: notify::Result<notify::Event>| told.take(event);
        let config = notify::Config::default().with_follow_symlinks(false);
        let system = match notify::RecommendedWatcher::new(handler, config) {
            Ok(system) => Some(system),
            Err(error) => {
                tracing::warn!(%error, "folders can't be watched; they are looked at every minute");
                None
            }
        };
        Self {
            shared,
            system: Mutex::new(system),
        }
    }

    /// Notes that `path` is to be looked at soon, whole if it is a folder.
    pub(super) fn touch(&self, path: &Path) {
        let mut dirty = self.shared.dirty.lock();
        dirty.touch(path, Instant::now(), true, true);
        self.shared.woken.notify_all();
    }

    /// Ends a wait.
    pub(super) fn wake(&self) {
        let _held = self.shared.dirty.lock();
        self.shared.woken.notify_all();
    }

    /// What is to be looked at now; waits for at most `patience` where there is nothing.
    pub(super) fn ready(&self, patience: Duration) -> Ready {
        let mut dirty = self.shared.dirty.lock();
        if !dirty.waits() {
            self.shared.woken.wait_for(&mut dirty, patience);
        }
        dirty.ready(Instant::now())
    }

    /// Why a base is not watched, if so.
    pub(super) fn unwatched(&self, base: BaseNo) -> Option<String> {
        self.shared.unwatched.lock().get(&base).cloned()
    }

    /// Watches a folder no more.
    pub(super) fn forget(&self, folder: &Path) {
        if let Some(system) = self.system.lock().as_mut() {
            // One that was not watched, or went, is watched no more already.
            let _ = system.unwatch(folder);
        }
    }

    /// Tries again to watch a base, whose folders are about to be listed.
    pub(super) fn try_again(&self, base: BaseNo) {
        self.shared.unwatched.lock().remove(&base);
    }

    /// Whether changes wait for their writers.
    pub(super) fn waits(&self) -> bool {
        self.shared.dirty.lock().waits()
    }
}

impl WatchFolder for Watcher {
    fn look_soon(&self, path: &Path) {
        self.touch(path);
    }

    fn watch(&self, base: BaseNo, folder: &Path) {
        if self.unwatched(base).is_some() {
            return;
        }
        // Also where there is a watch of that path: the folder may have been replaced since.
        let result = match self.system.lock().as_mut() {
            Some(system) => system.watch(folder, RecursiveMode::NonRecursive),
            None => Err(notify::Error::generic("folders can't be watched")),
        };
        match result {
            Ok(()) => {}
            // It went: the sweep finds out.
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => {
                let reason = match error.kind {
                    ErrorKind::MaxFilesWatch => NO_MORE_WATCHES.to_owned(),
                    _ => error.to_string(),
                };
                tracing::warn!(folder = %folder.display(), %reason, "not watched");
                self.shared.unwatched.lock().insert(base, reason);
            }
        }
    }
}

fn is_gone(error: &notify::Error) -> bool {
    matches!(&error.kind, ErrorKind::Io(io) if io.kind() == std::io::ErrorKind::NotFound)
}

impl Shared {
    fn take(&self, event: notify::Result<notify::Event>) {
        let mut dirty = self.dirty.lock();
        let due = match event {
            Ok(event) => dirty.take(&event, Instant::now()),
            Err(error) => {
                tracing::warn!(%error, "the watcher failed; everything is looked at");
                let lost = notify::Event::new(notify::EventKind::Other);
                dirty.take(&lost.set_flag(notify::event::Flag::Rescan), Instant::now())
            }
        };
        if due {
            self.woken.notify_all();
        }
    }
}

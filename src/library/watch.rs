//! The system's word on what changes in watched folders, gathered for the watch loop.
//!
//! Where a watch is of one folder (Linux), each is watched by itself, when a sweep is about to list it: so another file system
//! mounted within a root is never touched, and nothing can happen in a folder between its listing and its watch. Where a
//! watch is of a whole tree, the root is watched when a sweep begins with it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs_platform::watch::{Event, Reach, WatchError, Watcher as SystemWatcher, reach};
use parking_lot::{Condvar, Mutex};

use crate::catalog::{BaseKind, BaseNo, BaseRow};

use super::dirty::{Dirty, Ready};
use super::engine::WatchFolder;

/// Why files that are referenced where they lie are not watched where a watch is of a whole tree.
const SCATTERED: &str = "this system watches whole trees, and these files lie anywhere";

/// Watches folders and gathers what is told.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    system: Mutex<Option<SystemWatcher>>,
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
        let system = match SystemWatcher::new(move |event| told.take(&event)) {
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
            system.forget(folder);
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

    fn watch(&self, base: &BaseRow, folder: &Path) {
        if self.unwatched(base.row).is_some() {
            return;
        }
        if reach() == Reach::Tree {
            if base.kind == BaseKind::Computer {
                self.is_unwatched(base, folder, SCATTERED.to_owned());
                return;
            }
            // What is below it is watched with it.
            if folder != base.path {
                return;
            }
        }
        let result = match self.system.lock().as_mut() {
            Some(system) => system.watch(folder),
            None => Err(WatchError::Other("folders can't be watched".to_owned())),
        };
        match result {
            // It went: the sweep finds out.
            Ok(()) | Err(WatchError::Gone) => {}
            Err(error) => self.is_unwatched(base, folder, error.to_string()),
        }
    }
}

impl Watcher {
    fn is_unwatched(&self, base: &BaseRow, folder: &Path, reason: String) {
        tracing::warn!(folder = %folder.display(), %reason, "not watched");
        self.shared.unwatched.lock().insert(base.row, reason);
    }
}

impl Shared {
    fn take(&self, event: &Event) {
        if self.dirty.lock().take(event, Instant::now()) {
            self.woken.notify_all();
        }
    }
}

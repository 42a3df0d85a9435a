//! What changes in folders, as the system tells it.
//!
//! Linux watches folder by folder, by inotify: what is mounted within a folder is not touched. macOS (FSEvents) and Windows
//! (`ReadDirectoryChangesW`) watch a folder with all that is below it, by one handle or none: a handle for every folder would
//! keep people on Windows from renaming what is above it, and FSEvents starts anew with every folder that is added.
//! [`reach`] says which. Events are those of the crate `notify`, whose backends for Linux and macOS do the work. That for
//! Windows does not tell when the system lost events, and does not say which halves make one rename: that one is our own.

use std::fmt;
use std::path::Path;

use thiserror::Error;

pub use notify::{Event, event};

#[cfg(unix)]
mod told;
#[cfg(unix)]
use told as system;
#[cfg(any(windows, test))]
mod records;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as system;

/// How far one watch reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// One folder, without what is in the folders below it.
    Folder,
    /// A folder and all that is below it.
    Tree,
}

/// How far a watch reaches on this system.
#[must_use]
pub fn reach() -> Reach {
    system::reach()
}

/// Why a folder is not watched.
#[derive(Debug, Error)]
pub enum WatchError {
    /// It is not there (any more).
    #[error("there is no such folder")]
    Gone,
    /// The system watches no more folders for this user.
    #[error("the system's limit of watched folders is reached (fs.inotify.max_user_watches)")]
    TooMany,
    /// The system says so.
    #[error("{0}")]
    Other(String),
}

/// Watches folders until it is dropped.
pub struct Watcher(system::Watcher);

impl Watcher {
    /// Tells what changes to `tell`, on a thread of its own, one event at a time. An event that needs a rescan
    /// ([`Event::need_rescan`]) says that others were lost.
    ///
    /// # Errors
    /// Where the system can't watch anything.
    pub fn new(tell: impl FnMut(Event) + Send + 'static) -> Result<Self, WatchError> {
        system::Watcher::new(tell).map(Self)
    }

    /// Watches a folder from the return of this call on. One that is watched already is so still; one that took the
    /// place of a watched one is watched in its stead.
    ///
    /// # Errors
    /// Where it can't be watched; then one that was watched at that path is no more.
    pub fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.0.watch(folder)
    }

    /// Watches a folder no more. Does nothing where it is not watched.
    pub fn forget(&mut self, folder: &Path) {
        self.0.forget(folder);
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

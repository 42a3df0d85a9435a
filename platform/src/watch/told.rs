//! Linux and macOS: by the crate `notify`.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use notify::event::{EventKind, Flag};
use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{Reach, WatchError};

/// Of inotify, and of FSEvents.
pub(super) fn reach() -> Reach {
    if cfg!(target_os = "macos") {
        Reach::Tree
    } else {
        Reach::Folder
    }
}

pub(super) struct Watcher {
    system: RecommendedWatcher,
    /// Trees that are watched: each that is added makes FSEvents start anew.
    trees: HashSet<PathBuf>,
}

impl Watcher {
    pub(super) fn new(mut tell: impl FnMut(Event) + Send + 'static) -> Result<Self, WatchError> {
        let told = move |event: notify::Result<Event>| {
            tell(event.unwrap_or_else(|error| {
                tracing::warn!(%error, "the watcher failed; everything is looked at");
                Event::new(EventKind::Other).set_flag(Flag::Rescan)
            }));
        };
        let config = Config::default().with_follow_symlinks(false);
        let system = RecommendedWatcher::new(told, config).map_err(why)?;
        Ok(Self {
            system,
            trees: HashSet::new(),
        })
    }

    pub(super) fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        match reach() {
            // Also where there is a watch of that path: the folder may have been replaced since.
            Reach::Folder => self
                .system
                .watch(folder, RecursiveMode::NonRecursive)
                .map_err(why),
            // FSEvents goes by paths.
            Reach::Tree if self.trees.contains(folder) => Ok(()),
            Reach::Tree => {
                self.system
                    .watch(folder, RecursiveMode::Recursive)
                    .map_err(why)?;
                self.trees.insert(folder.to_owned());
                Ok(())
            }
        }
    }

    pub(super) fn forget(&mut self, folder: &Path) {
        if reach() == Reach::Folder || self.trees.remove(folder) {
            // One that was not watched, or went, is watched no more already.
            let _ = self.system.unwatch(folder);
        }
    }
}

fn why(error: notify::Error) -> WatchError {
    match &error.kind {
        ErrorKind::PathNotFound => WatchError::Gone,
        ErrorKind::Io(io) if io.kind() == io::ErrorKind::NotFound => WatchError::Gone,
        ErrorKind::MaxFilesWatch => WatchError::TooMany,
        _ => WatchError::Other(error.to_string()),
    }
}

//! Readers' connections, kept for the next call; and the paths of folders, kept in memory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::capsules::Capsules;
use super::db::Db;
use super::error::Result;
use super::rows::{BaseNo, FolderNo};
use super::sources::Sources;

/// Connections kept while nobody uses them. More than dispatch threads usually are; more are opened when needed.
const IDLE_CONNECTIONS: usize = 6;
/// Folders whose path is remembered; the memory is emptied when there are more.
const REMEMBERED_FOLDERS: usize = 4096;

/// What readers share.
pub(super) struct Shared {
    path: Arc<Path>,
    idle: Mutex<Vec<Db>>,
    /// The file of capsules.
    pub(super) capsules: Capsules,
    /// Paths of folders.
    pub(super) paths: FolderPaths,
    /// How the sources are.
    pub(super) sources: Sources,
}

impl Shared {
    /// For the catalog at `path`.
    pub(super) fn new(path: Arc<Path>, capsules: Capsules) -> Self {
        Self {
            path,
            idle: Mutex::new(Vec::new()),
            capsules,
            paths: FolderPaths::default(),
            sources: Sources::default(),
        }
    }

    /// A connection, kept or new.
    pub(super) fn take(&self) -> Result<Db> {
        let kept = self.idle.lock().pop();
        match kept {
            Some(db) => Ok(db),
            None => Db::open_reader(&self.path),
        }
    }

    /// Lets idle connections go of the pages that they keep; the system's page cache still has them.
    pub(super) fn release_memory(&self) {
        let idle = self.idle.lock().len();
        for _ in 0..idle {
            // One at a time, so that whoever needs one meanwhile finds one.
            let Some(db) = self.take_idle_longest() else {
                return;
            };
            if let Err(error) = db.command("letting go of memory", "PRAGMA shrink_memory") {
                tracing::debug!(%error, "a reader keeps its memory");
            }
            self.give_back(db);
        }
    }

    fn take_idle_longest(&self) -> Option<Db> {
        let mut idle = self.idle.lock();
        (!idle.is_empty()).then(|| idle.remove(0))
    }

    /// Takes a connection back.
    pub(super) fn give_back(&self, db: Db) {
        // One that is still inside a transaction (its user panicked) is closed.
        if !db.idle() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(db);
        }
    }
}

/// Paths of folders, relative to their base's path. Forgotten whenever a folder moves.
#[derive(Default)]
pub(super) struct FolderPaths {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// Counts the times that everything was forgotten, so that a path read before is not remembered after.
    turn: u64,
    paths: HashMap<FolderNo, (BaseNo, Arc<Path>)>,
}

impl FolderPaths {
    /// The path, if it is remembered; else the turn to hand to [`FolderPaths::remember`].
    pub(super) fn get(&self, folder: FolderNo) -> std::result::Result<(BaseNo, PathBuf), u64> {
        let known = self.known.read();
        match known.paths.get(&folder) {
            Some((base, path)) => Ok((*base, path.to_path_buf())),
            None => Err(known.turn),
        }
    }

    /// Remembers a path that was read from the catalog since `turn` was given.
    pub(super) fn remember(&self, turn: u64, folder: FolderNo, base: BaseNo, path: &Path) {
        let mut known = self.known.write();
        if known.turn != turn {
            return;
        }
        if known.paths.len() >= REMEMBERED_FOLDERS {
            known.paths = HashMap::new();
        }
        known.paths.insert(folder, (base, Arc::from(path)));
    }

    /// Forgets all, as a commit moved folders.
    pub(super) fn forget(&self) {
        let mut known = self.known.write();
        known.turn += 1;
        known.paths = HashMap::new();
    }
}

/// A path from its names, the last one first.
pub(super) fn path_from(reversed: Vec<OsString>) -> PathBuf {
    reversed.into_iter().rev().collect()
}

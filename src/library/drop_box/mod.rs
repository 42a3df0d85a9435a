//! The drop box: files that programs put into `import/` of the drive, until they are items.
//!
//! They lie in a folder of the home as they are in `import/`. [`DropBox`] knows which number of a node is which of them,
//! who writes to which ([`BoxHandle`]), and which has not been touched for a while ([`due`]); the tree asks and tells it, and
//! the daemon takes what is whole into the library (`import::dropped`). What a program was writing when it was killed, or
//! when the daemon died, is not whole, nor is what there was no space for: that is noted in memory, and on the file itself
//! while it is open for writing.
//!
//! The disk may take its time with whatever changes something, and the tree asks for the table while it answers others. So
//! the table is locked for moments only; what keeps changes apart from each other is a lock of its own, which may be waited
//! for wherever the disk may.

mod apple_double;
mod changing;
mod due;
mod handle;
mod litter;
mod names;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mediafs_platform::files;
use parking_lot::{Mutex, RwLock};

pub(crate) use changing::{At, inside};
pub(crate) use due::Cut;
use due::Touched;
pub(crate) use handle::BoxHandle;

/// The folder in the home.
const FOLDER: &str = "Import";
/// A folder that was empty and not touched for so long goes.
const EMPTY: Duration = Duration::from_secs(60);
/// On a file that is open for writing, and on one whose writer did not come to its end.
const WRITING: &str = "user.mediafs.writing";
/// Files looked at when a daemon starts; further ones wait until they are touched.
const MOST: usize = 100_000;

/// The drop box of a home.
pub(crate) struct DropBox {
    top: PathBuf,
    /// Held while the disk is asked, before the table: shared by what makes or opens something, alone by what takes a name, or
    /// decides by who writes. Never by who answers at once.
    changing: RwLock<()>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u32,
    nodes: HashMap<u32, Dropped>,
    numbers: HashMap<PathBuf, u32>,
    /// What happened to files since they were last dealt with, by path.
    touched: HashMap<PathBuf, Touched>,
    last_touch: u64,
    /// These become items just now.
    sealed: HashSet<u32>,
    /// These became items, or were folders that went, not long ago.
    taken: HashMap<PathBuf, Instant>,
}

/// A file or folder that the kernel knows.
struct Dropped {
    /// Below the top; `None` once it is removed.
    path: Option<PathBuf>,
    lookups: u64,
    handles: usize,
    writers: usize,
    /// How often it was begun anew.
    content: u64,
    /// Held, after `changing`, while the file is noted as being written, or as not any more.
    noting: Arc<Mutex<()>>,
    /// What the last such note did to its time.
    note: Option<Note>,
    /// While a handle is open.
    file: Weak<File>,
}

/// A note on a file changes when it was changed, which is nobody's business but ours.
#[derive(Clone, Copy)]
struct Note {
    /// What is told instead.
    told: ChangedAt,
    /// What the disk says since the note; `None` while it is made.
    since: Option<ChangedAt>,
}

/// Seconds and nanoseconds since 1970.
type ChangedAt = (i64, i64);

fn changed_at(found: &Metadata) -> ChangedAt {
    files::changed_at(found)
}

impl Note {
    fn told(note: Option<Self>, found: ChangedAt) -> ChangedAt {
        match note {
            Some(note) if note.since.is_none_or(|since| since == found) => note.told,
            _ => found,
        }
    }
}

impl DropBox {
    /// Of the home whose folder for data this is.
    pub(crate) fn open(home: &Path) -> io::Result<Arc<Self>> {
        let top = home.join(FOLDER);
        std::fs::create_dir_all(&top)?;
        let this = Self {
            top,
            changing: RwLock::default(),
            table: Mutex::default(),
        };
        this.find_what_is_there();
        Ok(Arc::new(this))
    }

    fn find_what_is_there(&self) {
        let mut folders = vec![PathBuf::new()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(self.top.join(&folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                count += 1;
                let path = folder.join(entry.file_name());
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(kind) if kind.is_file() && count < MOST => {
                        let cut = is_marked(&self.absolute(&path)).then_some(Cut::Ended);
                        self.table.lock().touch(&path, cut);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Where something of the drop box is on disk.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.top.join(path)
    }

    /// The path of a node, below the top; `None` once it is removed.
    pub(crate) fn path_of(&self, number: u32) -> Option<PathBuf> {
        let table = self.table.lock();
        table.nodes.get(&number)?.path.clone()
    }

    /// The number of what is at this path. Each counts as a look-up if `looked_up`.
    pub(crate) fn number(&self, path: &Path, looked_up: bool) -> u32 {
        let mut table = self.table.lock();
        let number = table.number(path);
        if let Some(node) = table.nodes.get_mut(&number) {
            node.lookups += u64::from(looked_up);
        }
        number
    }

    /// The kernel has forgotten look-ups of a node.
    pub(crate) fn forget(&self, number: u32, count: u64) {
        let mut table = self.table.lock();
        if let Some(node) = table.nodes.get_mut(&number) {
            node.lookups = node.lookups.saturating_sub(count);
        }
        table.drop_unused(number);
    }

    /// A file that is open, whether or not it has a name.
    pub(crate) fn opened(&self, number: u32) -> Option<Arc<File>> {
        self.table.lock().nodes.get(&number)?.file.upgrade()
    }

    /// When a node was changed, in seconds and nanoseconds since 1970, by what the disk says of it: as if nothing were
    /// ever noted on files.
    pub(crate) fn changed_at(&self, number: u32, found: &Metadata) -> (i64, i64) {
        let table = self.table.lock();
        let note = table.nodes.get(&number).and_then(|node| node.note);
        Note::told(note, changed_at(found))
    }

    /// Does something to the note on a file, unseen by who asks when it was changed.
    fn noted(&self, number: u32, file: &File, change: impl FnOnce(&File)) {
        let looked = || file.metadata().ok().map(|found| changed_at(&found));
        let set = |note: Option<Note>| {
            if let Some(node) = self.table.lock().nodes.get_mut(&number) {
                node.note = note;
            }
        };
        let before = looked();
        let told = before.map(|before| {
            let table = self.table.lock();
            Note::told(table.nodes.get(&number).and_then(|node| node.note), before)
        });
        set(told.map(|told| Note { told, since: None }));
        change(file);
        let note = told.zip(looked());
        set(note.map(|(told, since)| Note {
            told,
            since: Some(since),
        }));
    }

    /// Removes folders that were left empty, or with litter only.
    pub(crate) fn remove_empty_folders(&self) {
        let mut folders = vec![PathBuf::new()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(self.top.join(&folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(folder.join(entry.file_name()));
                }
            }
            if !folder.as_os_str().is_empty() {
                found.push(folder);
            }
        }
        for folder in found.into_iter().rev() {
            let absolute = self.top.join(&folder);
            let is_old = absolute
                .metadata()
                .and_then(|found| found.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > EMPTY));
            if !is_old {
                continue;
            }
            let _alone = self.changing.write();
            // Only an empty one can be removed so.
            let removed = self.emptied(&folder, EMPTY, || std::fs::remove_dir(&absolute));
            if removed.is_ok() {
                let mut table = self.table.lock();
                table.unname(&folder);
                table.took(&folder);
            }
        }
    }
}

impl Table {
    /// The number of what is at this path.
    fn number(&mut self, path: &Path) -> u32 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        self.last = self.last.wrapping_add(1).max(1);
        let node = Dropped {
            path: Some(path.to_owned()),
            lookups: 0,
            handles: 0,
            writers: 0,
            content: 0,
            noting: Arc::default(),
            note: None,
            file: Weak::new(),
        };
        self.numbers.insert(path.to_owned(), self.last);
        self.nodes.insert(self.last, node);
        self.last
    }

    fn unname(&mut self, path: &Path) {
        if let Some(number) = self.numbers.remove(path) {
            if let Some(node) = self.nodes.get_mut(&number) {
                node.path = None;
            }
            self.drop_unused(number);
        }
    }

    fn drop_unused(&mut self, number: u32) {
        let is_unused = self
            .nodes
            .get(&number)
            .is_some_and(|node| node.lookups == 0 && node.handles == 0);
        if is_unused
            && !self.sealed.contains(&number)
            && let Some(Dropped {
                path: Some(path), ..
            }) = self.nodes.remove(&number)
        {
            self.numbers.remove(&path);
        }
    }
}

/// Is there a note on a file that somebody writes to it?
fn is_marked(path: &Path) -> bool {
    files::is_marked(path, WRITING)
}

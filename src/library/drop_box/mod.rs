//! The drop box: files that programs put into `import/` of the drive, until they are items.
//!
//! They lie in a folder of the home as they are in `import/`. [`DropBox`] knows which number of a node is which of them,
//! who writes to which, and which has not been touched for a while; the tree asks and tells it, and the daemon takes what
//! is whole into the library (`import::dropped`). What a program was writing when it was killed, or when the daemon died,
//! is not whole: that is noted in memory, and on the file itself while it is open for writing.

mod handle;
mod names;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub(crate) use handle::BoxHandle;
use names::is_temporary;

/// The folder in the home.
const FOLDER: &str = "Import";
/// A file that was not touched for so long is whole.
const QUIET: Duration = Duration::from_secs(1);
/// A folder that was empty and not touched for so long goes.
const EMPTY: Duration = Duration::from_secs(60);
/// On a file that is open for writing.
const WRITING: &str = "user.mediafs.writing";
/// Files looked at when a daemon starts; further ones wait until they are touched.
const MOST: usize = 100_000;

/// The drop box of a home.
pub(crate) struct DropBox {
    top: PathBuf,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u32,
    nodes: HashMap<u32, Dropped>,
    numbers: HashMap<PathBuf, u32>,
    /// What happened to files since they were last dealt with, by path.
    touched: HashMap<PathBuf, Touched>,
    /// These become items just now.
    sealed: HashSet<u32>,
}

/// A file or folder that the kernel knows.
struct Dropped {
    /// Below the top; `None` once it is removed.
    path: Option<PathBuf>,
    lookups: u64,
    handles: usize,
    writers: usize,
    /// While a handle is open.
    file: Weak<File>,
}

#[derive(Clone, Copy)]
struct Touched {
    at: Instant,
    /// Its writer did not come to its end.
    cut_off: bool,
    /// It was dealt with, and stays.
    settled: bool,
}

/// A file that was not touched for a while.
pub(crate) struct Quiet {
    /// Below the top.
    pub(crate) path: PathBuf,
    /// Its writer did not come to its end.
    pub(crate) cut_off: bool,
}

impl DropBox {
    /// Of the home whose folder for data this is.
    pub(crate) fn open(home: &Path) -> io::Result<Arc<Self>> {
        let top = home.join(FOLDER);
        std::fs::create_dir_all(&top)?;
        let this = Self {
            top,
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
                        let cut_off = is_marked(&self.absolute(&path));
                        let touched = Touched {
                            at: Instant::now(),
                            cut_off,
                            settled: false,
                        };
                        self.table.lock().touched.insert(path, touched);
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
        let number = match table.numbers.get(path) {
            Some(number) => *number,
            None => {
                table.last = table.last.wrapping_add(1).max(1);
                let number = table.last;
                table.numbers.insert(path.to_owned(), number);
                table.nodes.insert(
                    number,
                    Dropped {
                        path: Some(path.to_owned()),
                        lookups: 0,
                        handles: 0,
                        writers: 0,
                        file: Weak::new(),
                    },
                );
                number
            }
        };
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

    /// Something was removed.
    pub(crate) fn removed(&self, path: &Path) {
        let mut table = self.table.lock();
        table.touched.remove(path);
        table.unname(path);
    }

    /// Something has another name, with everything below it; what had that name is gone.
    pub(crate) fn renamed(&self, from: &Path, to: &Path) {
        let mut table = self.table.lock();
        table.touched.remove(to);
        table.unname(to);
        let below = |path: &Path| path.strip_prefix(from).ok().map(|rest| joined(to, rest));
        let moved: Vec<(PathBuf, u32)> = table
            .numbers
            .iter()
            .filter(|(path, _)| path.starts_with(from))
            .map(|(path, number)| (path.clone(), *number))
            .collect();
        for (old, number) in moved {
            let Some(new) = below(&old) else { continue };
            table.numbers.remove(&old);
            table.numbers.insert(new.clone(), number);
            if let Some(node) = table.nodes.get_mut(&number) {
                node.path = Some(new);
            }
        }
        let touched: Vec<PathBuf> = table
            .touched
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        let now = Instant::now();
        for old in touched {
            if let (Some(state), Some(new)) = (table.touched.remove(&old), below(&old)) {
                let state = Touched {
                    at: now,
                    settled: false,
                    ..state
                };
                table.touched.insert(new, state);
            }
        }
        // One that had been dealt with may be another thing under its new name.
        if self.top.join(to).is_file() {
            table.touched.entry(to.to_owned()).or_insert(Touched {
                at: now,
                cut_off: false,
                settled: false,
            });
        }
    }

    /// Two have each other's name.
    pub(crate) fn exchanged(&self, one: &Path, other: &Path) {
        let aside = Path::new("\u{0}exchanged");
        self.renamed(one, aside);
        self.renamed(other, one);
        self.renamed(aside, other);
    }

    /// What was not touched for a while, and is neither written nor something that programs put down for a moment only.
    pub(crate) fn quiet(&self) -> Vec<Quiet> {
        let table = self.table.lock();
        let is_written = |path: &Path| {
            let node = table.numbers.get(path).and_then(|n| table.nodes.get(n));
            node.is_some_and(|node| node.writers > 0)
        };
        let due = |(path, state): (&PathBuf, &Touched)| {
            let is_due = !state.settled
                && state.at.elapsed() >= QUIET
                && !is_written(path)
                && path.iter().all(|part| !is_temporary(part));
            is_due.then(|| Quiet {
                path: path.clone(),
                cut_off: state.cut_off,
            })
        };
        table.touched.iter().filter_map(due).collect()
    }

    /// Nobody writes to a file from now on until [`DropBox::settled`]; `false` if somebody does.
    pub(crate) fn seal(&self, path: &Path) -> bool {
        let number = self.number(path, false);
        let mut table = self.table.lock();
        if table.nodes.get(&number).is_none_or(|node| node.writers > 0) {
            return false;
        }
        table.sealed.insert(number);
        true
    }

    /// Whether this, or something in it, becomes a sound just now: then it keeps its name.
    pub(crate) fn is_sealed(&self, path: &Path) -> bool {
        let table = self.table.lock();
        let mut sealed = table
            .sealed
            .iter()
            .filter_map(|number| table.nodes.get(number));
        sealed.any(|node| {
            node.path
                .as_ref()
                .is_some_and(|sealed| sealed.starts_with(path))
        })
    }

    /// A file was dealt with: it is gone from here, or stays until it is touched again.
    pub(crate) fn settled(&self, path: &Path, gone: bool) {
        let mut table = self.table.lock();
        if let Some(number) = table.numbers.get(path).copied() {
            table.sealed.remove(&number);
        }
        if gone {
            table.touched.remove(path);
            table.unname(path);
        } else if let Some(state) = table.touched.get_mut(path) {
            state.settled = true;
        }
    }

    /// Removes folders that were left empty.
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
            // Only an empty one can be removed so.
            if is_old && std::fs::remove_dir(&absolute).is_ok() {
                self.removed(&folder);
            }
        }
    }

    fn touch(&self, table: &mut Table, path: &Path, cut_off: bool) {
        let state = Touched {
            at: Instant::now(),
            cut_off,
            settled: false,
        };
        table.touched.insert(path.to_owned(), state);
    }
}

impl Table {
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

/// The path with nothing behind it, where nothing is to be.
fn joined(to: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        to.to_owned()
    } else {
        to.join(rest)
    }
}

/// Is there a note on a file that somebody writes to it?
fn is_marked(path: &Path) -> bool {
    rustix::fs::lgetxattr(path, WRITING, &mut [0_u8; 8][..]).is_ok()
}

/// The name of something in a folder of the drop box.
pub(crate) fn inside(folder: &Path, name: &OsStr) -> PathBuf {
    folder.join(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_renames_and_are_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let there = DropBox::open(home.path()).unwrap();
        let number = |path: &str| there.number(Path::new(path), true);
        let (folder, file, other) = (number("a"), number("a/x.wav"), number("ab"));
        there.renamed(Path::new("a"), Path::new("b"));
        assert_eq!(there.path_of(file), Some("b/x.wav".into()));
        assert_eq!(there.path_of(other), Some("ab".into()));
        assert_eq!(number("b"), folder);
        there.exchanged(Path::new("b"), Path::new("ab"));
        assert_eq!(there.path_of(folder), Some("ab".into()));
        assert_eq!(there.path_of(file), Some("ab/x.wav".into()));
        assert_eq!(there.path_of(other), Some("b".into()));
        there.removed(Path::new("ab/x.wav"));
        assert_eq!(there.path_of(file), None);
        assert_ne!(number("ab/x.wav"), file, "another file is another node");
        there.forget(folder, 2);
        assert_eq!(there.path_of(folder), None);
    }

    #[test]
    fn only_what_is_left_alone_is_due() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(FOLDER)).unwrap();
        for name in ["x.wav", ".x.wav.AbC123", "y.part"] {
            std::fs::write(home.path().join(FOLDER).join(name), "x").unwrap();
        }
        let there = DropBox::open(home.path()).unwrap();
        assert!(there.quiet().is_empty());
        std::thread::sleep(QUIET);
        let due: Vec<_> = there.quiet().into_iter().map(|quiet| quiet.path).collect();
        assert_eq!(due, [Path::new("x.wav")]);
        let path = Path::new("x.wav");
        let writer = BoxHandle::open(&there, there.number(path, true), true, false).unwrap();
        assert!(there.quiet().is_empty() && !there.seal(path));
        writer.cut_off();
        drop(writer);
        std::thread::sleep(QUIET);
        let due = there.quiet();
        assert!(due[0].cut_off);
        assert!(!there.is_sealed(path) && there.seal(path));
        assert!(there.is_sealed(path) && there.is_sealed(Path::new("")));
        assert!(!there.is_sealed(Path::new("x.wa")));
        assert!(BoxHandle::open(&there, there.number(path, true), true, false).is_err());
        there.settled(path, false);
        assert!(!there.is_sealed(path));
        assert!(there.quiet().is_empty());
    }

    #[test]
    fn what_was_being_written_when_the_daemon_died_is_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let there = DropBox::open(home.path()).unwrap();
        std::fs::write(there.absolute(Path::new("x.wav")), "x").unwrap();
        let number = there.number(Path::new("x.wav"), true);
        let writer = BoxHandle::open(&there, number, true, false).unwrap();
        if !is_marked(&there.absolute(Path::new("x.wav"))) {
            // A file system without such attributes.
            return;
        }
        // It is never dropped.
        std::mem::forget(writer);
        let again = DropBox::open(home.path()).unwrap();
        std::thread::sleep(QUIET);
        assert!(again.quiet()[0].cut_off);
    }
}

//! What a look at the disk could not take in, with the reason: unreadable folders, pipes, links that lead out.
//!
//! Files that promise media and can't be read are the catalog's to list; this is for what is no file there. Filled by
//! sweeps, emptied when the same place is looked at again, read by `status`. Lives as long as the process: each start
//! begins with a scan.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// More are counted, not kept.
const MOST: usize = 10_000;

/// The list.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    by_folder: BTreeMap<PathBuf, BTreeMap<OsString, String>>,
    kept: usize,
}

impl Problems {
    /// Notes `reason` for `name` in `folder` (`name` empty: the folder itself).
    pub(super) fn put(&self, folder: &Path, name: &OsStr, reason: String) {
        let mut list = self.list.lock();
        if list.kept >= MOST {
            tracing::warn!(path = %folder.join(name).display(), %reason, "a problem beyond those listed");
            return;
        }
        let names = list.by_folder.entry(folder.to_owned()).or_default();
        if names.insert(name.to_owned(), reason).is_none() {
            list.kept += 1;
        }
    }

    /// Forgets what was noted for `folder` itself and what lies directly in it: it is looked at anew.
    pub(super) fn clear_folder(&self, folder: &Path) {
        let mut list = self.list.lock();
        if let Some(names) = list.by_folder.remove(folder) {
            list.kept -= names.len();
        }
    }

    /// Forgets what was noted for one name.
    pub(super) fn clear(&self, folder: &Path, name: &OsStr) {
        let mut list = self.list.lock();
        let Some(names) = list.by_folder.get_mut(folder) else {
            return;
        };
        if names.remove(name).is_some() {
            let empty = names.is_empty();
            list.kept -= 1;
            if empty {
                list.by_folder.remove(folder);
            }
        }
    }

    /// Forgets all below `folder` and itself: it is gone.
    pub(super) fn clear_below(&self, folder: &Path) {
        let mut list = self.list.lock();
        let below: Vec<PathBuf> = list
            .by_folder
            .range(folder.to_owned()..)
            .take_while(|(path, _)| path.starts_with(folder))
            .map(|(path, _)| path.clone())
            .collect();
        for path in below {
            if let Some(names) = list.by_folder.remove(&path) {
                list.kept -= names.len();
            }
        }
    }

    /// Up to `limit` of them, by path, without the first `known`.
    pub(super) fn all(&self, known: usize, limit: usize) -> Vec<(PathBuf, String)> {
        let list = self.list.lock();
        let each = list.by_folder.iter().flat_map(|(folder, names)| {
            names.iter().map(move |(name, reason)| {
                let path = if name.is_empty() {
                    folder.clone()
                } else {
                    folder.join(name)
                };
                (path, reason.clone())
            })
        });
        each.skip(known).take(limit).collect()
    }

    /// What was noted for the file or folder `path`.
    pub(super) fn at(&self, path: &Path) -> Option<String> {
        let list = self.list.lock();
        let of = |folder: &Path, name: &OsStr| list.by_folder.get(folder)?.get(name);
        let named = path
            .parent()
            .zip(path.file_name())
            .and_then(|(folder, name)| of(folder, name));
        named.or_else(|| of(path, OsStr::new(""))).cloned()
    }

    /// How many are kept.
    pub(super) fn count(&self) -> usize {
        self.list.lock().kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cured_is_forgotten() {
        let problems = Problems::default();
        problems.put(Path::new("/a"), OsStr::new("x"), "pipe".to_owned());
        problems.put(Path::new("/a/b"), OsStr::new("y"), "pipe".to_owned());
        problems.put(Path::new("/ab"), OsStr::new(""), "denied".to_owned());
        assert_eq!(problems.count(), 3);
        problems.clear_folder(Path::new("/a"));
        assert_eq!(problems.count(), 2);
        problems.put(Path::new("/a"), OsStr::new("x"), "pipe".to_owned());
        problems.clear_below(Path::new("/a"));
        assert_eq!(
            problems.all(0, 10),
            [(PathBuf::from("/ab"), "denied".to_owned())]
        );
        problems.clear(Path::new("/ab"), OsStr::new(""));
        assert_eq!(problems.count(), 0);
    }
}

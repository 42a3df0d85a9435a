//! One look at a base, or at parts of it, compared with the catalog: what is new, changed, back or gone.
//!
//! A folder's known files are read from the catalog *before* the folder is listed, and whatever is written was looked
//! at again under the writer's lock: so the catalog never goes back to what another sweep has overtaken. Files that
//! are as they were cost a look at their name, and none at what is in them. What is gone is settled at the end, when all of the sweep is known:
//! only "there is nothing of that name" in a folder that could be read counts, never an error, and never the absence
//! from a folder over which another file system lies.
//!
//! What appeared goes to `identity`, then to `probing`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{
    BaseKind, BaseRow, CatalogError, FolderNo, FolderRow, PlaceNo, PlaceRow, Reader,
};
use crate::storage::SourceKey;

use super::disk::{Entry, NoFolder};
use super::engine::{Engine, MEDIA_FOLDER, exact_child, no_folder_reason};
use super::folder::{Folder, RootFolder};
use super::progress::Progress;
use super::rearranged::Replaced;
use super::vanish::Vanished;

/// A sweep under way.
pub(super) struct Sweep<'e> {
    pub(super) engine: &'e Engine,
    pub(super) base: BaseRow,
    pub(super) root: RootFolder<'e>,
    pub(super) progress: &'e Progress,
    cancel: &'e AtomicBool,
    /// First seen at their places in this sweep.
    pub(super) appeared: Vec<PlaceNo>,
    /// With another content than before.
    pub(super) changed: Vec<PlaceNo>,
    pub(super) vanished: Vec<Vanished>,
    /// Known names that have other files than before, not recorded yet.
    pub(super) replaced: Vec<Replaced>,
}

/// A folder to be looked into.
pub(super) struct Next {
    pub(super) path: PathBuf,
    pub(super) folder: FolderNo,
}

/// `relative` below `top`, without a trailing separator.
pub(super) fn below(top: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() {
        top.to_owned()
    } else {
        top.join(relative)
    }
}

impl<'e> Sweep<'e> {
    /// Begins a sweep of a base whose root is there.
    pub(super) fn new(
        engine: &'e Engine,
        base: BaseRow,
        root: RootFolder<'e>,
        progress: &'e Progress,
        cancel: &'e AtomicBool,
    ) -> Self {
        Self {
            engine,
            base,
            root,
            progress,
            cancel,
            appeared: Vec::new(),
            changed: Vec::new(),
            vanished: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Whether it is to end at once.
    pub(super) fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed) || self.engine.stopping() || self.root.is_lost()
    }

    /// Looks at the folder `path` and everything below it.
    pub(super) fn tree(&mut self, path: &Path, folder: FolderNo) -> Result<(), CatalogError> {
        let mut stack = vec![Next {
            path: path.to_owned(),
            folder,
        }];
        while let Some(next) = stack.pop() {
            if self.cancelled() {
                return Ok(());
            }
            self.folder(&next, &mut stack)?;
        }
        Ok(())
    }

    /// Looks at some names in the folder `path`; what they lead to, if folders, is looked at whole where `whole`
    /// says so or the folder is new.
    pub(super) fn names(
        &mut self,
        path: &Path,
        names: &[(OsString, bool)],
    ) -> Result<(), CatalogError> {
        // The longest known part of the way; below it everything is new.
        let reader = self.engine.catalog.reader()?;
        let mut known = self.base.top;
        let mut at = PathBuf::new();
        for part in path {
            match exact_child(&reader, known, part)? {
                Some(child) => known = child,
                None => {
                    let name = part.to_owned();
                    return self.some(&at, known, &[(name, true)]);
                }
            }
            at.push(part);
        }
        drop(reader);
        self.some(&at, known, names)
    }

    fn some(
        &mut self,
        path: &Path,
        folder: FolderNo,
        names: &[(OsString, bool)],
    ) -> Result<(), CatalogError> {
        let Some(handle) = self.open(path) else {
            return Ok(());
        };
        let absolute = below(&self.base.path, path);
        let reader = self.engine.catalog.reader()?;
        let mut entries = Vec::with_capacity(names.len());
        let (mut places, mut folders) = (HashMap::new(), HashMap::new());
        for (name, _) in names {
            self.engine.problems.clear(&absolute, name);
            if let Some((row, _)) = reader.child_place(folder, name)?
                && row.name == *name
            {
                places.insert(name.clone(), row);
            }
            if let Some(row) = reader.child_folder(folder, name)?
                && row.name == *name
            {
                folders.insert(name.clone(), row);
            }
            match handle.look(name) {
                Ok(Some(seen)) => entries.push((name.clone(), Some(seen.entry))),
                Ok(None) => {}
                Err(error) => {
                    self.problem(&absolute, name, &error);
                    places.remove(name);
                    folders.remove(name);
                }
            }
        }
        drop(reader);
        if !Engine::takes_new(&self.base, path) {
            entries.retain(|(name, _)| {
                places.contains_key(name)
                    || folders.contains_key(name)
                    || Engine::takes_new(&self.base, &path.join(name))
            });
        }
        let mut known = Vec::new();
        let difference = self.compare(path, &handle, entries, places, folders, folder, &mut known);
        known.retain(|next| {
            let name = next.path.file_name();
            names
                .iter()
                .any(|(n, whole)| *whole && Some(n.as_os_str()) == name)
        });
        self.write(path, folder, &handle, &difference, &mut known)?;
        self.touch(folder, &handle)?;
        for next in known {
            self.tree(&next.path, next.folder)?;
        }
        Ok(())
    }

    fn folder(&mut self, next: &Next, stack: &mut Vec<Next>) -> Result<(), CatalogError> {
        let absolute = below(&self.base.path, &next.path);
        let reader = self.engine.catalog.reader()?;
        let places: HashMap<OsString, PlaceRow> = reader
            .places_of_folder(next.folder)?
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect();
        let folders = known_folders(&reader, next.folder)?;
        drop(reader);
        self.engine.problems.clear_folder(&absolute);
        let Some(handle) = self.open(&next.path) else {
            return Ok(());
        };
        // From here on nothing that changes in the folder can be missed: it is listed after this. And not before it was
        // opened: a watch touches what is at a path, which may not be trusted.
        // (Folders on the way to a file that is referenced by its absolute path are none of ours; what couriers look at
        // is polled.)
        let ours = self.base.kind != BaseKind::Computer || !places.is_empty();
        if ours && !self.root.is_there() {
            self.engine.watch(&self.base, &absolute);
        }
        let entries = if Engine::takes_new(&self.base, &next.path) {
            handle.entries()
        } else {
            self.known_entries(&next.path, &handle, &places, &folders)
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(&absolute, OsStr::new(""), &error);
                return Ok(());
            }
        };
        let difference = self.compare(
            &next.path,
            &handle,
            entries,
            places,
            folders,
            next.folder,
            stack,
        );
        self.write(&next.path, next.folder, &handle, &difference, stack)?;
        self.touch(next.folder, &handle)
    }

    /// Where only known names count: those of them that are there.
    fn known_entries(
        &self,
        path: &Path,
        handle: &Folder,
        places: &HashMap<OsString, PlaceRow>,
        folders: &HashMap<OsString, FolderRow>,
    ) -> io::Result<Vec<(OsString, Option<Entry>)>> {
        let media = OsStr::new(MEDIA_FOLDER);
        let also_media = Engine::takes_new(&self.base, &path.join(media))
            && !folders.contains_key(media)
            && !places.contains_key(media);
        let names = places
            .keys()
            .chain(folders.keys())
            .map(OsString::as_os_str)
            .chain(also_media.then_some(media));
        let mut entries = Vec::new();
        for name in names {
            if let Some(seen) = handle.look(name)? {
                entries.push((name.to_owned(), Some(seen.entry)));
            }
        }
        Ok(entries)
    }

    /// Opens the folder `path`, also where another trusted file system is mounted; else notes why not.
    pub(super) fn open(&self, path: &Path) -> Option<Folder> {
        let absolute = below(&self.base.path, path);
        if self.engine.excluded(&absolute).is_some() {
            return None;
        }
        let reason = match self.root.folder_here(path) {
            Ok(folder) => return Some(folder),
            Err(NoFolder::OtherFileSystem) => match self.cross(path, &absolute) {
                Ok(folder) => return Some(folder),
                Err(reason) => reason,
            },
            // It went while we walked: its parent is looked at again.
            Err(NoFolder::Absent) => return None,
            Err(other) => no_folder_reason(&other),
        };
        // What is referenced on storage that is not trusted is looked at by a sweep of its own.
        if self.base.kind == BaseKind::Computer && self.engine.source(&absolute).is_some() {
            return None;
        }
        // One that does not answer is no fault of the folder that was asked for.
        let at = if self.root.is_lost() {
            &self.base.path
        } else {
            &absolute
        };
        self.engine.problems.put(at, OsStr::new(""), reason);
        None
    }

    fn cross(&self, path: &Path, absolute: &Path) -> Result<Folder, String> {
        let words = |reason: NoFolder| no_folder_reason(&reason);
        if self.root.is_there() {
            return Err(words(NoFolder::OtherFileSystem));
        }
        // First of all, and of all mounts on the way: none may be touched that is not trusted.
        let mount = SourceKey::holding(absolute);
        match self.engine.untrusted_now(mount.root()) {
            Some(untrusted) => Err(untrusted.reason),
            None => self.root.folder(path).map_err(words),
        }
    }

    pub(super) fn problem(&self, folder: &Path, name: &OsStr, error: &io::Error) {
        let reason = error.to_string();
        self.progress.add_failed();
        self.engine.problems.put(folder, name, reason);
    }
}

/// The present folders in a folder.
pub(super) fn known_folders(
    reader: &Reader,
    folder: FolderNo,
) -> Result<HashMap<OsString, FolderRow>, CatalogError> {
    const PAGE: u32 = 1000;
    let mut known = HashMap::new();
    let mut after = 0;
    loop {
        let page = reader.list_folders(folder, after, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(known);
        };
        after = last.row.0;
        known.extend(page.into_iter().map(|row| (row.name.clone(), row)));
    }
}

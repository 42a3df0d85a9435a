//! Library roots: registered, found, forgotten, and registered again with all they had.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use mediafs_platform::volume::MountTable;

use crate::catalog::{
    BaseKind, BaseRow, CatalogError, Durability, FolderNo, Nanoseconds, OperationDraft, PlaceRow,
    Writer,
};
use crate::control::rpc::one_line;
use crate::model::display_name;
use crate::storage::{CourierError, Kind, Reply, SourceKey};

use super::engine::Engine;
use super::error::LibraryError;
use super::moved_disk::moved_with_its_disk;
use super::owner::{Library, Which, real};
use super::progress::Phase;
use super::remote;
use super::sweep::{below, known_folders};
use super::watching::{active_bases, base_of};

impl Library {
    /// Registers a folder as a library root, named after it, and begins to scan it. A folder that is registered stays
    /// what it is.
    ///
    /// # Errors
    /// [`LibraryError`], where the folder can't be one.
    pub fn add_root(&self, path: &Path) -> Result<BaseRow, LibraryError> {
        let base = self.register_root(path)?;
        self.scan(&Which::One(base.row));
        Ok(base)
    }

    /// As [`Library::add_root`], but does not scan it.
    ///
    /// # Errors
    /// As there.
    pub fn register_root(&self, path: &Path) -> Result<BaseRow, LibraryError> {
        self.register_noted(path, None)
    }

    /// As [`Library::register_root`], recorded as a part of an operation, if it is one.
    pub(super) fn register_noted(
        &self,
        path: &Path,
        draft: Option<&mut OperationDraft>,
    ) -> Result<BaseRow, LibraryError> {
        let failed = |source| LibraryError::Folder {
            path: path.to_owned(),
            source,
        };
        let absolute = std::path::absolute(path).map_err(failed)?;
        if let Some(known) = self.known_apart(&absolute)? {
            return Ok(known);
        }
        let path = self.resolve_folder(&absolute)?;
        if let Some(reason) = self.engine.excluded(&path) {
            let reason = reason.to_owned();
            return Err(LibraryError::Excluded { path, reason });
        }
        let on = self.engine.sources.of_path(&path);
        let on = on.map_err(|error| LibraryError::Untrusted {
            path: path.clone(),
            reason: one_line(&error),
        })?;
        let source = on.as_ref().map(|on| (on.source.row, on.inside.as_path()));
        let bases = self.engine.catalog.reader()?.bases()?;
        // What was at this path on other storage is another library, which is not here now.
        let roots = bases.into_iter().filter(|base| {
            let same_storage = base.source == source.map(|(source, _)| source);
            base.kind == BaseKind::Library && base.active && same_storage
        });
        for base in roots {
            if base.path == path {
                return Ok(base);
            }
            let copies = self.engine.copies();
            // The folder of copies may lie below, as the home may: a scan leaves both out.
            if path.starts_with(&base.path) || (base.path.starts_with(&path) && base.path != copies)
            {
                return Err(LibraryError::Nested {
                    path,
                    root: base.path,
                });
            }
        }
        if let Some(on) = &on
            && let Some(same) = moved_with_its_disk(&self.engine, &path, &on.source)?
        {
            return Ok(self
                .engine
                .write(Durability::Full, |writer| {
                    noted(writer, draft, |writer| {
                        writer.set_base_source(same.row, source)?;
                        writer.set_active(same.row, true, false)?;
                        writer.reader().base(same.row)
                    })
                })?
                .unwrap_or(same));
        }
        let name = path.file_name().unwrap_or_else(|| "Computer".as_ref());
        let name = display_name(name.as_encoded_bytes());
        Ok(self.engine.write(Durability::Full, |writer| {
            noted(writer, draft, |writer| {
                let root = writer.add_library_on(&name, &path, source)?;
                adopt(writer, &root)?;
                Ok(root)
            })
        })?)
    }

    /// The library root or project whose folder has the absolute path `path`: an active one, else one that was.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn base_at(&self, path: &Path) -> Result<Option<BaseRow>, LibraryError> {
        let bases = self.engine.catalog.reader()?.bases()?.into_iter();
        let bases: Vec<BaseRow> = bases
            .filter(|base| base.kind != BaseKind::Computer)
            .collect();
        let real = match self.engine.untrusted_now(path) {
            // Where it is one as it is written, nobody need be asked.
            Some(_) if bases.iter().any(|base| base.path == path) => path.to_owned(),
            Some(_) => self
                .resolve_folder(path)
                .unwrap_or_else(|_| path.to_owned()),
            None => real_parent(path),
        };
        let found = bases
            .into_iter()
            .filter(|base| base.path == path || base.path == real);
        Ok(found.max_by_key(|base| (base.active, self.engine.is_at_its_path(base))))
    }

    /// Forgets a library root: it is not scanned, watched or shown any more until it is registered again. Its items
    /// stay as they are, under their ids.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn forget_root(&self, root: &BaseRow) -> Result<(), LibraryError> {
        let summary = format!("took the library {} off", root.name);
        self.forget_noted(root, &mut OperationDraft::new("forgetLibrary", summary))
    }

    /// As [`Library::forget_root`], as an operation that the caller has drafted.
    ///
    /// # Errors
    /// As there.
    pub fn forget_noted(
        &self,
        root: &BaseRow,
        draft: &mut OperationDraft,
    ) -> Result<(), LibraryError> {
        self.engine.write(Durability::Full, |writer| {
            writer.operate(draft, |writer| writer.set_active(root.row, false, false))
        })?;
        self.root_is_off(root)
    }

    /// A root was taken off: it is not watched any more.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn root_is_off(&self, root: &BaseRow) -> Result<(), LibraryError> {
        self.engine.problems.clear_below(&root.path);
        if let Some(watcher) = self.watcher() {
            let reader = self.engine.catalog.reader()?;
            let mut folders = vec![root.top];
            while let Some(folder) = folders.pop() {
                if let Some((_, path)) = reader.folder_path(folder)? {
                    watcher.forget(&below(&root.path, &path));
                }
                folders.extend(
                    known_folders(&reader, folder)?
                        .into_values()
                        .map(|row| row.row),
                );
            }
        }
        if self.progress().phase != Phase::Idle {
            // It may be of this root.
            self.engine.scan_anew.store(true, Ordering::SeqCst);
            self.engine.break_off_apart();
            self.scan(&Which::All);
            return Ok(());
        }
        // What else has files in these folders watches them again.
        for base in active_bases(&self.engine)? {
            if base.path.starts_with(&root.path) || root.path.starts_with(&base.path) {
                self.scan(&Which::One(base.row));
            }
        }
        Ok(())
    }

    /// The root that is, or holds, the folder `path`; registered if there is none.
    pub(super) fn root_of(
        &self,
        path: &Path,
        draft: &mut OperationDraft,
    ) -> Result<BaseRow, LibraryError> {
        let bases = self.engine.catalog.reader()?.bases()?;
        let roots: Vec<BaseRow> = bases
            .into_iter()
            .filter(|base| base.kind == BaseKind::Library && base.active)
            .filter(|base| base.source.is_none() || self.engine.is_at_its_path(base))
            .collect();
        match base_of(&roots, path) {
            Some((base, _)) => Ok(base.clone()),
            None => self.register_noted(path, Some(draft)),
        }
    }

    /// The active root that has this very path, on storage that is not trusted, and whose source is there: nobody waits for
    /// what may hang, only to be told what is known. What else is there is another library.
    fn known_apart(&self, path: &Path) -> Result<Option<BaseRow>, CatalogError> {
        if self.engine.untrusted_now(path).is_none() {
            return Ok(None);
        }
        let mut bases = self.engine.catalog.reader()?.bases()?.into_iter();
        Ok(bases.find(|base| {
            let of_path = base.kind == BaseKind::Library && base.active && base.path == path;
            of_path && base.source.is_some() && self.engine.is_at_its_path(base)
        }))
    }

    /// The folder at the absolute path `path`, without links; asked of its courier where only that may look.
    pub(super) fn resolve_folder(&self, path: &Path) -> Result<PathBuf, LibraryError> {
        let failed = |source| LibraryError::Folder {
            path: path.to_owned(),
            source,
        };
        // Before anything touches it: what may hang is told by the tables of the system.
        if let Some(untrusted) = self.engine.untrusted_now(path) {
            return self.resolve_there(path, &untrusted.source);
        }
        let real = mediafs_platform::files::canonical(path).map_err(failed)?;
        if let Some(untrusted) = self.engine.untrusted_now(&real) {
            return self.resolve_there(&real, &untrusted.source);
        }
        if std::fs::metadata(&real).map_err(failed)?.is_dir() {
            Ok(real)
        } else {
            Err(LibraryError::NotAFolder { path: real })
        }
    }

    fn resolve_there(&self, path: &Path, source: &SourceKey) -> Result<PathBuf, LibraryError> {
        let engine = &*self.engine;
        let failed = |source| LibraryError::Folder {
            path: path.to_owned(),
            source,
        };
        let asked = remote::resolve(engine, source, path, &engine.stopping);
        self.end_couriers();
        match asked {
            Ok(Reply::Resolved { path, kind }) => {
                let path = PathBuf::from(path);
                if let Some(reason) = no_storage(&path) {
                    return Err(LibraryError::Untrusted { path, reason });
                }
                match kind {
                    Kind::Folder if path.is_absolute() => Ok(path),
                    _ => Err(LibraryError::NotAFolder { path }),
                }
            }
            Ok(Reply::NotFound) => Err(failed(std::io::ErrorKind::NotFound.into())),
            Ok(Reply::OnlineOnly) => Err(failed(std::io::Error::other(remote::NOT_COMING))),
            Ok(Reply::Failed(why)) => Err(failed(std::io::Error::other(why))),
            Ok(_) => Err(failed(std::io::Error::other(CourierError::Ended))),
            Err(error) => Err(failed(std::io::Error::other(error))),
        }
    }
}

/// Why the file system at `path` holds no files of the user's, if so, by the system's table.
fn no_storage(path: &Path) -> Option<String> {
    const NONE: &[&str] = &[
        "proc",
        "sysfs",
        "devpts",
        "devtmpfs",
        "cgroup",
        "cgroup2",
        "securityfs",
        "debugfs",
        "tracefs",
        "mqueue",
        "hugetlbfs",
        "bpf",
        "configfs",
        "nsfs",
        "fusectl",
        "pstore",
        "efivarfs",
        "binfmt_misc",
    ];
    let table = MountTable::read().ok()?;
    let mount = table.holding(path)?;
    let kind = &mount.fs_type;
    if mount.is_our_drive() {
        return Some("on a drive of mediafs".to_owned());
    }
    NONE.contains(&kind.as_str())
        .then(|| format!("on a file system of the system's own ({kind})"))
}

/// What forgotten roots above or below this one know of its folder is this one's, and so are files in it that were
/// referenced where they are: files keep their ids, however the folders are divided now.
fn adopt(writer: &mut Writer, root: &BaseRow) -> Result<(), CatalogError> {
    let others = writer.reader().bases()?.into_iter().filter(|base| {
        let forgotten = base.kind == BaseKind::Library && !base.active;
        let of_all = matches!(base.kind, BaseKind::Computer | BaseKind::Source);
        // Only what lies on the same storage can be the same files.
        base.source == root.source && ((forgotten && base.path != root.path) || of_all)
    });
    for other in others {
        if let Ok(inside) = root.path.strip_prefix(&other.path) {
            if let Some(from) = Engine::find_folder(writer.reader(), &other, inside)? {
                hand_over(writer, from, root.top)?;
            }
        } else if let Ok(inside) = other.path.strip_prefix(&root.path) {
            let mut into = root.top;
            for part in inside {
                // The scan that follows tells when its list was changed.
                into = writer.folder(into, part, Nanoseconds(0))?;
            }
            hand_over(writer, other.top, into)?;
        }
    }
    Ok(())
}

/// Moves what is known in one folder to another one. Files that are gone stay, and are known again by what they were
/// should they come back.
fn hand_over(writer: &mut Writer, from: FolderNo, into: FolderNo) -> Result<(), CatalogError> {
    for folder in known_folders(writer.reader(), from)?.into_values() {
        writer.move_folder(folder.row, into, &folder.name)?;
    }
    let places = writer.reader().places_of_folder(from)?;
    for place in places.into_iter().filter(PlaceRow::is_here) {
        writer.move_place(place.row, into, &place.name, &place.evidence)?;
    }
    Ok(())
}

/// The path without links; where it is not there, that of its folder.
/// Does it as a part of an operation, if it is one.
fn noted<T>(
    writer: &mut Writer,
    draft: Option<&mut OperationDraft>,
    work: impl FnOnce(&mut Writer) -> Result<T, CatalogError>,
) -> Result<T, CatalogError> {
    match draft {
        Some(draft) => writer.operate(draft, work),
        None => work(writer),
    }
}

fn real_parent(path: &Path) -> PathBuf {
    mediafs_platform::files::canonical(path).unwrap_or_else(|_| {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => real(parent).join(name),
            _ => path.to_owned(),
        }
    })
}

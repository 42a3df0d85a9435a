//! What a sweep did not find any more: believed only after a second look, and only where it can be believed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::catalog::{
    BaseKind, BaseRow, CatalogError, Durability, Evidence, FolderNo, FolderRow, PlaceNo, PlaceRow,
    Reader,
};
use crate::model::SourceState;
use crate::storage::SourceKey;

use super::disk::{Entry, LocalRoot, NoFolder, Seen};
use super::engine::{BATCH, Engine, exact_child, no_folder_reason};
use super::folder::{Folder, RootFolder};
use super::remote::RemoteRoot;
use super::sweep::{Sweep, below};

/// A known name that was not in its folder.
pub(super) struct Vanished {
    path: PathBuf,
    folder: FolderNo,
    name: OsString,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    File { device: u64 },
    Folder(FolderNo),
}

impl Vanished {
    pub(super) fn file(path: &Path, folder: FolderNo, row: PlaceRow) -> Self {
        let what = What::File {
            device: row.evidence.device,
        };
        Self {
            path: path.to_owned(),
            folder,
            name: row.name,
            what,
        }
    }

    pub(super) fn folder(path: &Path, folder: FolderNo, row: FolderRow) -> Self {
        Self {
            path: path.to_owned(),
            folder,
            name: row.name,
            what: What::Folder(row.row),
        }
    }
}

/// Folders that are read from the catalog at once.
const PAGE_OF_FOLDERS: u32 = 1000;

/// What the user is told where absence is not believed.
const COVERED: &str = "its files were last seen on another file system that is not here now; they are kept as they \
    were: is its disk mounted?";

const AWAY: &str = "the folder is not there; what was in it is shown as it was last known";

impl Sweep<'_> {
    /// Marks what vanished as gone, where that is certain.
    pub(super) fn settle(&mut self) -> Result<(), CatalogError> {
        let vanished = std::mem::take(&mut self.vanished);
        let mut rest = vanished.as_slice();
        while let Some(first) = rest.first() {
            if self.cancelled() {
                return Ok(());
            }
            let together = rest
                .iter()
                .take(BATCH)
                .take_while(|v| v.folder == first.folder)
                .count();
            let (batch, others) = rest.split_at(together);
            rest = others;
            // A folder that can't be opened tells nothing of what was in it.
            let Ok(handle) = self.root.folder(&first.path) else {
                continue;
            };
            let Ok(evidence) = handle.evidence() else {
                continue;
            };
            self.settle_batch(batch, &handle, evidence.device)?;
        }
        Ok(())
    }

    fn settle_batch(
        &self,
        batch: &[Vanished],
        handle: &Folder,
        device: u64,
    ) -> Result<(), CatalogError> {
        let engine = self.engine;
        engine.write(Durability::Normal, |writer| {
            // All of one folder.
            let Some(first) = batch.first() else {
                return Ok(());
            };
            if !self.is_current(writer, &first.path, first.folder)? {
                return Ok(());
            }
            for vanished in batch {
                let now = match handle.look(&vanished.name) {
                    Ok(now) => now.map(|seen| seen.entry),
                    Err(_) => continue,
                };
                let absolute = below(&self.base.path, &vanished.path);
                match vanished.what {
                    What::File { device: file } => {
                        if matches!(now, Some(Entry::File | Entry::Link)) {
                            continue;
                        }
                        let away = !engine.comparable(file, device);
                        if away {
                            engine
                                .problems
                                .put(&absolute, OsStr::new(""), COVERED.to_owned());
                        }
                        match present_place(writer.reader(), vanished)? {
                            Some(place) if away => writer.place_away(place)?,
                            Some(place) => writer.place_gone(place)?,
                            None => {}
                        }
                    }
                    What::Folder(number) => {
                        if matches!(now, Some(Entry::Folder)) {
                            continue;
                        }
                        let file = device_below(writer.reader(), number)?;
                        let away = file.is_some_and(|file| !engine.comparable(file, device));
                        if away {
                            engine
                                .problems
                                .put(&absolute, &vanished.name, COVERED.to_owned());
                        }
                        let still = exact_child(writer.reader(), vanished.folder, &vanished.name)?;
                        if still == Some(number) && away {
                            writer.folder_away(number)?;
                        } else if still == Some(number) {
                            writer.folder_gone(number)?;
                            engine.problems.clear_below(&absolute.join(&vanished.name));
                        }
                    }
                }
            }
            Ok(())
        })
    }
}

fn present_place(reader: &Reader, vanished: &Vanished) -> Result<Option<PlaceNo>, CatalogError> {
    let found = reader.child_place(vanished.folder, &vanished.name)?;
    Ok(found
        .map(|(row, _)| row)
        .filter(|row| row.present && row.name == vanished.name)
        .map(|row| row.row))
}

/// The device on which the first known file below `folder` was last seen.
fn device_below(reader: &Reader, folder: FolderNo) -> Result<Option<u64>, CatalogError> {
    let mut stack = vec![folder];
    while let Some(folder) = stack.pop() {
        if let Some((row, _)) = reader.list_places(folder, 0, 1)?.first() {
            return Ok(Some(row.evidence.device));
        }
        let folders = reader.list_folders(folder, 0, 1000)?;
        stack.extend(folders.iter().map(|row| row.row));
    }
    Ok(None)
}

/// Whether a file that was seen before is where it was.
pub(super) enum Presence {
    /// A file is there.
    There(Evidence),
    /// There is nothing of that name, for certain.
    Gone,
    /// Its storage is not there, or can't be read now.
    Unreachable,
}

/// Looks for the file at `relative`, last seen on `device`.
pub(super) fn presence(engine: &Engine, base: &BaseRow, relative: &Path, device: u64) -> Presence {
    // What lies in the folder where its volume used to be mounted is not it.
    if base.source.is_some() || engine.untrusted_file(&base.path.join(relative)).is_some() {
        return Presence::Unreachable;
    }
    let absence = |on: Option<u64>| match on {
        Some(on) if engine.comparable(device, on) => Presence::Gone,
        _ => Presence::Unreachable,
    };
    let root = match engine.root_above(&base.path, relative) {
        Ok(root) => root,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return absence(device_above(engine, &base.path));
        }
        Err(_) => return Presence::Unreachable,
    };
    let (Some(parent), Some(name)) = (relative.parent(), relative.file_name()) else {
        return Presence::Unreachable;
    };
    match root.folder(parent) {
        Ok(folder) => match folder.look(name) {
            Ok(Some(Seen {
                entry: Entry::File,
                evidence,
                ..
            })) => Presence::There(evidence),
            Ok(_) => absence(folder.evidence().ok().map(|e| e.device)),
            Err(_) => Presence::Unreachable,
        },
        // The nearest folder that is there tells on which file system the rest should be.
        Err(NoFolder::Absent | NoFolder::NotAFolder) => {
            absence(parent.ancestors().skip(1).find_map(|above| {
                let folder = root.folder(above).ok()?;
                folder.evidence().ok().map(|e| e.device)
            }))
        }
        Err(_) => Presence::Unreachable,
    }
}

/// On what the nearest folder above `path` lies that can be opened.
fn device_above(engine: &Engine, path: &Path) -> Option<u64> {
    path.ancestors().skip(1).find_map(|above| {
        let folder = engine.root_here(above).ok()?;
        folder.evidence().ok().map(|e| e.device)
    })
}

/// What became of a base's root.
pub(super) enum Root<'e> {
    /// It is there.
    There(RootFolder<'e>),
    /// It is not there, or can't be used. What is known of it was kept.
    Away,
}

/// Opens the root of a base. Where it is not there, whatever the reason, everything in it is away: it may come back,
/// and until then what was last known of it goes on being shown.
///
/// Where its source does not answer, nothing is known: what is known stays as it is. Of the computer's base that part is
/// meant that is on `source`.
pub(super) fn open_root<'e>(
    engine: &'e Engine,
    base: &BaseRow,
    source: Option<&SourceKey>,
    cancel: &'e AtomicBool,
) -> Result<Root<'e>, CatalogError> {
    if let (BaseKind::Computer, Some(source)) = (base.kind, source) {
        let root = RemoteRoot::of_computer(engine, source.clone(), &base.path, cancel);
        return Ok(Root::There(RootFolder::There(root)));
    }
    engine.problems.clear(&base.path, OsStr::new(""));
    let note = |reason: String| engine.problems.put(&base.path, OsStr::new(""), reason);
    // The computer's base is no storage of its own: each of its folders is judged by itself.
    let judged = base.kind != BaseKind::Computer;
    let untrusted = engine.untrusted_now(&base.path).filter(|_| judged);
    if let Some(source) = base.source {
        // What hangs at its path is its own source, or nothing at all is known of it.
        let Some(row) = engine.catalog.reader()?.source(source)? else {
            return Ok(Root::Away);
        };
        if !engine.catalog.source_state(source).is_online() {
            // It may be back; where nobody is told of mounts, that is not known yet.
            engine.sources.look();
        }
        let state = engine.catalog.source_state(source);
        // One that did not answer may do so again: who asks finds out, or is told at once that it is too early.
        if matches!(state, SourceState::Absent | SourceState::Ejected) {
            // Where another library is at its path, that has no such problem.
            if !has_another_at_its_path(engine, base)? {
                note(format!("it is on {}, which is {}", row.name, state.words()));
            }
            return Ok(Root::Away);
        }
        // Since the base was read its source may have gone elsewhere, and another one come to its old path.
        let Some(stamp) = engine.sources.stamp_over(source, &base.path) else {
            note(format!("{} is not there now, or elsewhere", row.name));
            return Ok(Root::Away);
        };
        let Some(key) = engine.source_key(source)? else {
            return Ok(Root::Away);
        };
        let root = RemoteRoot::new(engine, key, &base.path, cancel).of(source, stamp);
        return match root.check() {
            Ok(()) => Ok(Root::There(RootFolder::There(root))),
            Err(reason) => {
                note(no_folder_reason(&reason));
                Ok(Root::Away)
            }
        };
    }
    // A base on trusted storage, over which something else is mounted now: its own files can't be seen.
    if untrusted.is_some() {
        note(COVERED.to_owned());
        all_away(engine, base)?;
        return Ok(Root::Away);
    }
    // The computer's own root is the one that is there whatever it lies on.
    let error = match LocalRoot::open(&base.path) {
        Ok(root) => return Ok(Root::There(RootFolder::Here(root))),
        Err(error) => error,
    };
    if error.kind() != std::io::ErrorKind::NotFound {
        note(format!("the folder cannot be opened: {error}"));
        return Ok(Root::Away);
    }
    let parent = device_above(engine, &base.path);
    let file = device_below(&engine.catalog.reader()?, base.top)?;
    note(match (parent, file) {
        (Some(parent), Some(file)) if !engine.comparable(file, parent) => COVERED.to_owned(),
        _ => AWAY.to_owned(),
    });
    all_away(engine, base)?;
    Ok(Root::Away)
}

fn has_another_at_its_path(engine: &Engine, base: &BaseRow) -> Result<bool, CatalogError> {
    let bases = engine.catalog.reader()?.bases()?;
    let mut others = bases
        .iter()
        .filter(|other| other.active && other.row != base.row && other.path == base.path);
    Ok(others.any(|other| other.source.is_some() && engine.is_at_its_path(other)))
}

/// In many short transactions, as a root may hold any number of files; ends early where it is back.
fn all_away(engine: &Engine, base: &BaseRow) -> Result<(), CatalogError> {
    let mut folders = vec![base.top];
    while let Some(folder) = folders.pop() {
        let mut after = 0;
        loop {
            let page = engine
                .catalog
                .reader()?
                .list_folders(folder, after, PAGE_OF_FOLDERS)?;
            let Some(last) = page.last() else { break };
            after = last.row.0;
            folders.extend(page.iter().map(|row| row.row));
        }
        let mut more = true;
        while more {
            more = engine.write(Durability::Normal, |writer| {
                // Once more, under the lock.
                let away = engine.untrusted(&base.path).is_some() || !base.path.exists();
                if away {
                    writer.files_away(folder, BATCH)
                } else {
                    folders.clear();
                    Ok(false)
                }
            })?;
        }
    }
    Ok(())
}

//! One folder of a sweep: its list against what the catalog knows of it, and what follows for the catalog.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::catalog::{
    CatalogError, Durability, FolderNo, FolderRow, Observation, Observed, PlaceKind, PlaceNo,
    PlaceRow, Writer,
};

use super::disk::{Entry, NoFolder, Seen, stays_inside};
use super::engine::{BATCH, TEMPORARY, modified_of};
use super::folder::Folder;
use super::rearranged::Replaced;
use super::residency::Residency;
use super::sweep::{Next, Sweep, below};
use super::vanish::Vanished;
use crate::project::takes::FOLDER_OF_TAKES;

/// What a folder's list says, beside what is as it was.
#[derive(Default)]
pub(super) struct Difference {
    fresh_folders: Vec<OsString>,
    looks: Vec<OsString>,
}

impl Sweep<'_> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn compare(
        &mut self,
        path: &Path,
        handle: &Folder,
        entries: Vec<(OsString, Option<Entry>)>,
        mut places: HashMap<OsString, PlaceRow>,
        mut folders: HashMap<OsString, FolderRow>,
        folder: FolderNo,
        known: &mut Vec<Next>,
    ) -> Difference {
        let absolute = below(&self.base.path, path);
        let device = handle.evidence().map_or(0, |e| e.device);
        let mut difference = Difference::default();
        for (name, entry) in entries {
            // Copies under way become files of the library when they are whole.
            // So do takes, when they are final.
            if name.as_encoded_bytes().starts_with(TEMPORARY) || name == FOLDER_OF_TAKES {
                continue;
            }
            let seen = match entry {
                Some(Entry::Folder | Entry::Other(_)) => None,
                _ => match handle.look(&name) {
                    Ok(Some(seen)) => Some(seen),
                    Ok(None) => continue,
                    Err(error) => {
                        self.problem(&absolute, &name, &error);
                        places.remove(&name);
                        folders.remove(&name);
                        continue;
                    }
                },
            };
            match seen.as_ref().map(|s| &s.entry).or(entry.as_ref()) {
                Some(Entry::Folder) => match folders.remove(&name) {
                    Some(row) => known.push(Next {
                        path: path.join(&name),
                        folder: row.row,
                    }),
                    None => difference.fresh_folders.push(name),
                },
                Some(Entry::Other(what)) => {
                    let reason = format!("{what}, not a file");
                    self.engine.problems.put(&absolute, &name, reason);
                }
                _ => {
                    let row = places.remove(&name);
                    self.progress.add_seen(1);
                    if let (Some(row), Some(seen)) = (&row, &seen) {
                        let same_bytes = row.evidence.size == seen.evidence.size
                            && row.evidence.modified == seen.evidence.modified;
                        if same_bytes {
                            self.engine.met(row.evidence.device, device);
                        }
                        let stand_in = handle.is_stand_in(&name);
                        if as_it_was(row, seen, stand_in) {
                            self.note_residency(row.row, handle, &name);
                            continue;
                        }
                    }
                    if let Some(seen) = &seen {
                        self.engine.met(seen.evidence.device, device);
                    }
                    match (row, seen) {
                        // (Nobody can look at both names at once where couriers look.)
                        (Some(row), Some(seen))
                            if !self.root.is_there() && is_another_file(&row, &seen) =>
                        {
                            self.replaced.push(Replaced {
                                path: path.to_owned(),
                                folder,
                                row,
                                seen: seen.evidence,
                            });
                        }
                        _ => difference.looks.push(name),
                    }
                }
            }
        }
        let gone_places = places.into_values().filter(|row| row.present);
        self.vanished
            .extend(gone_places.map(|row| Vanished::file(path, folder, row)));
        self.vanished.extend(
            folders
                .into_values()
                .map(|row| Vanished::folder(path, folder, row)),
        );
        difference
    }

    pub(super) fn write(
        &mut self,
        path: &Path,
        folder: FolderNo,
        handle: &Folder,
        difference: &Difference,
        known: &mut Vec<Next>,
    ) -> Result<(), CatalogError> {
        let absolute = below(&self.base.path, path);
        let mut fresh = Vec::new();
        for name in &difference.fresh_folders {
            let inside = path.join(name);
            // Its own problem is noted by `open`; a folder that can't be read is shown, empty, unless another
            // file system makes it unreadable.
            if self.engine.excluded(&absolute.join(name)).is_some() {
                continue;
            }
            match handle.inner_modified(name) {
                Ok(modified) => fresh.push((name, modified)),
                Err(NoFolder::OtherFileSystem) => {
                    if let Some(found) = self.open(&inside) {
                        fresh.push((name, modified_of(&found)));
                    }
                }
                Err(NoFolder::Failed(error)) => self.problem(&absolute, name, &error),
                Err(NoFolder::Absent | NoFolder::NotAFolder) => {}
            }
        }
        for batch in fresh.chunks(BATCH) {
            let numbers = self.engine.write(Durability::Normal, |writer| {
                let mut numbers = Vec::with_capacity(batch.len());
                if !self.is_current(writer, path, folder)? {
                    return Ok(numbers);
                }
                for (name, modified) in batch {
                    numbers.push(writer.folder(folder, name, *modified)?);
                }
                Ok(numbers)
            })?;
            for ((name, _), number) in batch.iter().zip(numbers) {
                known.push(Next {
                    path: path.join(name),
                    folder: number,
                });
            }
        }
        for batch in difference.looks.chunks(BATCH) {
            if self.cancelled() {
                return Ok(());
            }
            self.look_again(path, folder, handle, batch)?;
        }
        Ok(())
    }

    /// Records the names whose content was changed by another file that is no known one.
    pub(super) fn record_replaced(&mut self) -> Result<(), CatalogError> {
        let mut folders: HashMap<(PathBuf, FolderNo), Vec<OsString>> = HashMap::new();
        for replaced in self.replaced.drain(..) {
            let names = folders.entry((replaced.path, replaced.folder)).or_default();
            names.push(replaced.row.name);
        }
        for ((path, folder), names) in folders {
            let Some(handle) = self.open(&path) else {
                continue;
            };
            for batch in names.chunks(BATCH) {
                self.look_again(&path, folder, &handle, batch)?;
            }
        }
        Ok(())
    }

    /// Looks at files under the writer's lock and records what they are now.
    fn look_again(
        &mut self,
        path: &Path,
        folder: FolderNo,
        handle: &Folder,
        names: &[OsString],
    ) -> Result<(), CatalogError> {
        let engine = self.engine;
        let absolute = below(&self.base.path, path);
        let observed = engine.write(Durability::Normal, |writer| {
            let mut observed = Vec::with_capacity(names.len());
            if !self.is_current(writer, path, folder)? {
                return Ok(observed);
            }
            for name in names {
                let seen = match handle.look(name) {
                    Ok(Some(seen)) => seen,
                    // Gone again already: the next event or sweep tells.
                    Ok(None) => continue,
                    // What can't be looked at may still be what it was.
                    Err(error) => {
                        engine.problems.put(&absolute, name, error.to_string());
                        continue;
                    }
                };
                match kind_of(path, handle, name, &seen) {
                    Ok(kind) => {
                        let seen = Observation {
                            kind,
                            evidence: seen.evidence,
                        };
                        observed.push((
                            name.clone(),
                            if handle.is_stand_in(name) {
                                writer.observe_stand_in(folder, name, &seen)?
                            } else {
                                writer.observe(folder, name, &seen)?
                            },
                        ));
                    }
                    Err(reason) => {
                        engine.problems.put(&absolute, name, reason);
                        let known = writer.reader().child_place(folder, name)?;
                        let Some(row) = known.map(|(row, _)| row).filter(|row| row.name == *name)
                        else {
                            continue;
                        };
                        // What has its name is not it; unless its own disk is not mounted there now.
                        if engine.comparable(row.evidence.device, seen.evidence.device) {
                            writer.place_gone(row.row)?;
                        } else {
                            writer.place_away(row.row)?;
                        }
                    }
                }
            }
            Ok(observed)
        })?;
        for (name, what) in observed {
            let (Observed::New(place)
            | Observed::Changed(place)
            | Observed::Unchanged(place)
            | Observed::Returned(place)) = what;
            // Only now: what is seen of a file that was online-only is judged by that.
            let has_come = self.note_residency(place, handle, &name);
            match what {
                Observed::New(place) => self.appeared.push(place),
                Observed::Changed(place) => self.changed.push(place),
                Observed::Unchanged(place) | Observed::Returned(place) if has_come => {
                    self.changed.push(place);
                }
                Observed::Unchanged(_) | Observed::Returned(_) => {}
            }
        }
        Ok(())
    }

    /// Says whether its bytes were online-only and are here now.
    fn note_residency(&self, place: PlaceNo, handle: &Folder, name: &OsStr) -> bool {
        let residency = if handle.is_online_only(name) {
            Residency::OnlineOnly
        } else {
            Residency::Here
        };
        self.engine.record_residency(place, residency)
    }

    /// Whether the folder has this path still. Asked under the writer's lock: the watcher may have moved it since it
    /// was opened, and what is under its old name is something else then.
    pub(super) fn is_current(
        &self,
        writer: &Writer,
        path: &Path,
        folder: FolderNo,
    ) -> Result<bool, CatalogError> {
        let now = writer.reader().folder_path(folder)?;
        let current = now.is_some_and(|(base, now)| base == self.base.row && now == path);
        if !current {
            self.engine.look_soon(&below(&self.base.path, path));
        }
        Ok(current)
    }

    /// Records when the list of a folder was last changed.
    pub(super) fn touch(&self, folder: FolderNo, handle: &Folder) -> Result<(), CatalogError> {
        let modified = modified_of(handle);
        let row = self.engine.catalog.reader()?.folder(folder)?;
        if row.is_none_or(|row| row.parent.is_none() || row.modified == modified) {
            return Ok(());
        }
        self.engine.write(Durability::Normal, |writer| {
            match writer.reader().folder(folder)? {
                Some(FolderRow {
                    parent: Some(parent),
                    name,
                    ..
                }) => writer.folder(parent, &name, modified).map(drop),
                _ => Ok(()),
            }
        })
    }
}

/// Whether a look at the disk, at the file or at what stands for it, says what the catalog says.
fn as_it_was(row: &PlaceRow, seen: &Seen, stand_in: bool) -> bool {
    let same_kind = matches!(
        (&row.kind, &seen.entry),
        (PlaceKind::File, Entry::File) | (PlaceKind::Link(_), Entry::Link)
    );
    let same_content = if stand_in {
        row.is_stood_for_by(&seen.evidence)
    } else {
        row.evidence == seen.evidence
    };
    row.is_here() && same_kind && same_content
}

/// Whether a name that had a file has another one now.
fn is_another_file(row: &PlaceRow, seen: &Seen) -> bool {
    let files = row.kind == PlaceKind::File && seen.entry == Entry::File;
    // (0: it was on storage whose numbers say nothing.)
    files && row.evidence.inode != 0 && row.evidence.inode != seen.evidence.inode
}

/// What a file or link is to the catalog, or why it is nothing.
fn kind_of(path: &Path, handle: &Folder, name: &OsStr, seen: &Seen) -> Result<PlaceKind, String> {
    match &seen.entry {
        Entry::File => Ok(PlaceKind::File),
        Entry::Link => {
            let target = handle.link(name).map_err(|e| e.to_string())?;
            if stays_inside(path, &target) {
                Ok(PlaceKind::Link(target))
            } else if Path::new(&target).is_absolute() {
                Err("an absolute link; only relative ones are followed".to_owned())
            } else {
                Err("a link that leads outside the library".to_owned())
            }
        }
        Entry::Other(what) => Err(format!("{what}, not a file")),
        Entry::Folder => Err("a folder now".to_owned()),
    }
}

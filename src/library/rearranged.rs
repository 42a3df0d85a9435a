//! Known names that have other files than before: which of them were only given each other's names.
//!
//! While nobody watched, files may have been renamed in a ring or a row, so that each has a name that another one had.
//! A sweep keeps such names back (`Sweep::replaced`); here every file that is found under a known name is looked for
//! among those that are known by what the disk says of them (`OnDisk`), and the items go with the files. A name whose
//! new file is not known, or whose old file is nowhere, is one whose content was changed.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{
    BaseNo, CatalogError, Durability, Evidence, FolderNo, PlaceNo, PlaceRow, Reader,
};

use super::engine::Engine;
use super::identity::{Area, OnDisk, areas, is_gone};
use super::renames::{is_set_aside, may_be_set_aside};
use super::sweep::{Sweep, below};

/// A known name that has another file than before.
pub(super) struct Replaced {
    /// Its folder, below the base.
    pub(super) path: PathBuf,
    pub(super) folder: FolderNo,
    /// What was known.
    pub(super) row: PlaceRow,
    /// What the disk says now.
    pub(super) seen: Evidence,
}

/// A name at which a file was found.
#[derive(Clone)]
struct Name {
    /// What the catalog has there.
    place: PlaceNo,
    base: BaseNo,
    folder: FolderNo,
    name: OsString,
    evidence: Evidence,
}

/// Moves the items of files that were given other known files' names; gives what is to be read. What is left of
/// `replaced` are names whose content was changed.
pub(super) fn rearrange(
    engine: &Engine,
    sweeps: &mut [Sweep<'_>],
    came: &[PlaceNo],
) -> Result<Vec<PlaceNo>, CatalogError> {
    if sweeps.iter().all(|sweep| sweep.replaced.is_empty()) {
        return Ok(Vec::new());
    }
    let _one_at_a_time = engine.matching.lock();
    let reader = engine.catalog.reader()?;
    let names = names_found(&reader, sweeps, came)?;
    let moving = moving(engine, &reader, sweeps, &names)?;
    drop(reader);
    if moving.is_empty() {
        return Ok(Vec::new());
    }
    let probe = write(engine, &moving)?;
    let done: HashSet<PlaceNo> = moving.iter().map(|(_, name)| name.place).collect();
    for sweep in sweeps {
        if probe.is_none() {
            // One of them has moved on: what is known stays as it was, and all of them are looked at again.
            for replaced in &sweep.replaced {
                if done.contains(&replaced.row.row) {
                    let name = replaced.path.join(&replaced.row.name);
                    engine.look_soon(&below(&sweep.base.path, &name));
                }
            }
        }
        sweep
            .replaced
            .retain(|replaced| !done.contains(&replaced.row.row));
    }
    Ok(probe.unwrap_or_default())
}

/// By file: the one known or new name at which it was found.
fn names_found(
    reader: &Reader,
    sweeps: &[Sweep<'_>],
    came: &[PlaceNo],
) -> Result<HashMap<OnDisk, Name>, CatalogError> {
    let mut found: HashMap<OnDisk, Vec<Name>> = HashMap::new();
    for sweep in sweeps {
        for replaced in &sweep.replaced {
            let Some(file) = OnDisk::of(&replaced.seen) else {
                continue;
            };
            found.entry(file).or_default().push(Name {
                place: replaced.row.row,
                base: sweep.base.row,
                folder: replaced.folder,
                name: replaced.row.name.clone(),
                evidence: replaced.seen,
            });
        }
    }
    for place in came {
        let Some(row) = reader.place(*place)?.filter(PlaceRow::is_here) else {
            continue;
        };
        if let Some(folder) = row.folder
            && let Some(file) = OnDisk::of(&row.evidence)
            && reader.items_of(row.row)?.is_empty()
        {
            found.entry(file).or_default().push(Name {
                place: row.row,
                base: row.base,
                folder,
                name: row.name,
                evidence: row.evidence,
            });
        }
    }
    // Links to one file are no move.
    Ok(found
        .into_iter()
        .filter_map(|(file, mut names)| match names.len() {
            1 => names.pop().map(|name| (file, name)),
            _ => None,
        })
        .collect())
}

/// Files with items, each with the name at which it is now, where all of that fits together.
fn moving(
    engine: &Engine,
    reader: &Reader,
    sweeps: &[Sweep<'_>],
    names: &HashMap<OnDisk, Name>,
) -> Result<Vec<(PlaceRow, Name)>, CatalogError> {
    let areas = areas(reader)?;
    let area = |base: BaseNo| -> Option<Area> { areas.get(&base).copied() };
    let replaced: HashMap<PlaceNo, OnDisk> = sweeps
        .iter()
        .flat_map(|sweep| &sweep.replaced)
        .filter_map(|replaced| Some((replaced.row.row, OnDisk::of(&replaced.seen)?)))
        .collect();
    let mut standing = HashSet::new();
    for place in replaced.keys() {
        if !reader.items_of(*place)?.is_empty() {
            standing.insert(*place);
        }
    }
    let mut moving: HashMap<PlaceNo, (PlaceRow, Name)> = HashMap::new();
    for (file, name) in names {
        let mut known = Vec::new();
        for row in reader.places_of_inode(name.evidence.inode)? {
            let other = row.row != name.place && OnDisk::of(&row.evidence) == Some(*file);
            if other
                && area(row.base).is_some()
                && area(row.base) == area(name.base)
                && !reader.items_of(row.row)?.is_empty()
                && (replaced.contains_key(&row.row) || is_gone(engine, reader, &row)?)
                && !is_backup(reader, &row, name)?
            {
                known.push(row);
            }
        }
        if let [row] = known.as_slice() {
            moving.insert(row.row, (row.clone(), name.clone()));
        }
    }
    // Who stays where another one wants to be, or whose name has an unknown file, keeps others from moving.
    loop {
        let taken: HashSet<OnDisk> = moving
            .values()
            .filter_map(|(row, _)| OnDisk::of(&row.evidence))
            .collect();
        let before = moving.len();
        let stay: Vec<PlaceNo> = moving
            .iter()
            .filter(|(place, (_, name))| {
                let unknown_file = replaced
                    .get(place)
                    .is_some_and(|file| !taken.contains(file));
                let occupied = standing.contains(&name.place) && !moving.contains_key(&name.place);
                unknown_file || occupied
            })
            .map(|(place, _)| *place)
            .collect();
        for place in stay {
            moving.remove(&place);
        }
        if moving.len() == before {
            return Ok(moving.into_values().collect());
        }
    }
}

/// The file was set aside when it was saved: its name stands for the new one.
fn is_backup(reader: &Reader, row: &PlaceRow, now: &Name) -> Result<bool, CatalogError> {
    let from = reader.place_path(row.row)?;
    let to = reader.folder_path(now.folder)?;
    Ok(match (from, to) {
        (Some((base, from)), Some((other, folder))) => {
            base == other && is_set_aside(&from, &folder.join(&now.name))
        }
        _ => false,
    })
}

/// Writes all moves at once; `None`, and nothing, where the disk says otherwise meanwhile.
fn write(
    engine: &Engine,
    moving: &[(PlaceRow, Name)],
) -> Result<Option<Vec<PlaceNo>>, CatalogError> {
    engine.write(Durability::Full, |writer| {
        for (_, name) in moving {
            let Some((number, folder)) = writer.reader().folder_path(name.folder)? else {
                return Ok(None);
            };
            let Some(base) = writer.reader().base(number)? else {
                return Ok(None);
            };
            let now = engine
                .root_above(&base.path, &folder.join(&name.name))
                .and_then(|root| root.file(&folder.join(&name.name)))
                .map(|(_, evidence)| evidence);
            if !now.is_ok_and(|now| now.same_bytes(&name.evidence)) {
                return Ok(None);
            }
        }
        let places: Vec<PlaceNo> = moving.iter().map(|(row, _)| row.row).collect();
        writer.without_names(&places)?;
        let mut probe = Vec::new();
        for (row, name) in moving {
            let seen = writer.move_place(row.row, name.folder, &name.name, &name.evidence)?;
            probe.extend(seen.to_probe());
        }
        Ok(Some(probe))
    })
}

/// After a crash nobody remembers what was set aside: where a new file has a name that a sound of the same folder had
/// before its file, which is gone now, got the name of a backup, the sound stands for the new file.
pub(super) fn undo_lost(
    engine: &Engine,
    came: &[PlaceNo],
    cancel: &AtomicBool,
) -> Result<Vec<PlaceNo>, CatalogError> {
    let reader = engine.catalog.reader()?;
    let mut gone: HashMap<FolderNo, Vec<PlaceRow>> = HashMap::new();
    let mut back = Vec::new();
    for place in came {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        let Some(row) = reader.place(*place)?.filter(PlaceRow::is_here) else {
            continue;
        };
        let Some(folder) = row.folder else { continue };
        let gone = match gone.entry(folder) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let places = reader.places_of_folder(folder)?.into_iter();
                let aside = |place: &PlaceRow| !place.present && may_be_set_aside(&place.name);
                vacant.insert(places.filter(aside).collect())
            }
        };
        for old in gone {
            let aside = is_set_aside(row.name.as_ref(), old.name.as_ref());
            if aside && had_name(&reader, old, &row)? && reader.items_of(row.row)?.is_empty() {
                back.push((old.row, row.row));
                break;
            }
        }
    }
    drop(reader);
    let mut probe = Vec::new();
    for (old, new) in back {
        probe.append(&mut engine.write(Durability::Full, |writer| writer.move_back(old, new))?);
    }
    Ok(probe)
}

fn had_name(reader: &Reader, old: &PlaceRow, new: &PlaceRow) -> Result<bool, CatalogError> {
    let name = crate::model::display_name(new.name.as_encoded_bytes());
    for item in reader.items_of(old.row)? {
        if reader.names(item.row)?.contains(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}

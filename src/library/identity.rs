//! Which files that came are files that went: a move keeps the item, whoever missed to tell of it.
//!
//! In this order: (b) the same device, inode, size, times of change and birth, the old place being gone; (c) the same
//! size and the same BLAKE3 of the whole, the old place being gone, exactly one candidate on each side. Whatever
//! matches neither is a new item, and the old one stays missing. (The watcher's own word, (a), is applied before.)
//!
//! Runs after a sweep has found both what came and what went; writes the moves to the catalog.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::hash::Hash;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{
    BaseKind, BaseNo, CatalogError, Durability, Evidence, Nanoseconds, PlaceKind, PlaceNo,
    PlaceRow, Reader,
};
use crate::model::ObjectHash;

use super::disk::evidence_of;
use super::engine::{BATCH, Engine};
use super::vanish::{Presence, presence};

/// What stays the same of a file that is renamed on its file system.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct OnDisk {
    device: u64,
    inode: u64,
    size: u64,
    modified: Nanoseconds,
    born: Option<Nanoseconds>,
}

impl OnDisk {
    /// `None` on file systems that number their files anew at each mount: there nothing says that two are the same.
    pub(super) fn of(evidence: &Evidence) -> Option<Self> {
        (evidence.inode != 0).then_some(Self {
            device: evidence.device,
            inode: evidence.inode,
            size: evidence.size,
            modified: evidence.modified,
            born: evidence.born,
        })
    }
}

/// How two files may be known for the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// What the disk says of them.
    Disk,
    /// That, else their content: only when all that went is known to be gone, or one of several candidates could be
    /// taken for the only one.
    DiskOrContent,
}

/// Gives what appeared the items of what went, where it is the same; says whether another look, by content, may find
/// more: something of the same size is gone.
pub(super) fn match_moved(
    engine: &Engine,
    appeared: &[PlaceNo],
    by: By,
    cancel: &AtomicBool,
) -> Result<bool, CatalogError> {
    if appeared.is_empty() {
        return Ok(false);
    }
    let _one_at_a_time = engine.matching.lock();
    let reader = engine.catalog.reader()?;
    let areas = areas(&reader)?;
    let mut came: BTreeMap<(u64, Area), Vec<PlaceRow>> = BTreeMap::new();
    for place in appeared {
        let Some(row) = reader.place(*place)? else {
            continue;
        };
        let file = row.kind == PlaceKind::File && row.evidence.size > 0;
        let settled = row.folder.is_some() && row.is_here();
        if let Some(area) = areas.get(&row.base)
            && file
            && settled
            && reader.items_of(row.row)?.is_empty()
        {
            came.entry((row.evidence.size, *area))
                .or_default()
                .push(row);
        }
    }
    let mut moves = Vec::new();
    let mut more = false;
    for ((size, area), mut came) in came {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        let mut went = candidates(engine, &reader, size, &came, |base| {
            areas.get(&base) == Some(&area)
        })?;
        if went.is_empty() {
            continue;
        }
        drop_left(engine, &reader, &mut came)?;
        let mut pairs = pair(&went, &came, |row| OnDisk::of(&row.evidence), true);
        more |= went.len() > pairs.len();
        if by == By::DiskOrContent {
            drop_paired(&pairs, &mut went, &mut came);
            pairs.extend(by_content(engine, &reader, &went, &came, cancel)?);
        }
        moves.extend(pairs);
    }
    drop(reader);
    for batch in moves.chunks(BATCH) {
        apply(engine, batch)?;
    }
    Ok(more)
}

/// Places of this size whose file may be one that came: by its inode, or because it is gone. "Gone" must be true now,
/// whatever the catalog says: another sweep, or the watcher, may just be about to find out.
fn candidates(
    engine: &Engine,
    reader: &Reader,
    size: u64,
    came: &[PlaceRow],
    in_area: impl Fn(BaseNo) -> bool,
) -> Result<Vec<PlaceRow>, CatalogError> {
    let mut found: BTreeMap<PlaceNo, PlaceRow> = BTreeMap::new();
    for row in reader.gone_places_of_size(size)? {
        found.insert(row.row, row);
    }
    for row in came.iter().filter(|row| row.evidence.inode != 0) {
        for same in reader.places_of_inode(row.evidence.inode)? {
            found.insert(same.row, same);
        }
    }
    let came: HashSet<PlaceNo> = came.iter().map(|row| row.row).collect();
    let mut candidates = Vec::new();
    for row in found.into_values() {
        let possible = row.evidence.size == size && in_area(row.base) && !came.contains(&row.row);
        if possible && !reader.items_of(row.row)?.is_empty() && is_gone(engine, reader, &row)? {
            candidates.push(row);
        }
    }
    Ok(candidates)
}

/// Whether a file without items is, by what the disk says of it, one with items that has left its name.
pub(super) fn was_elsewhere(
    engine: &Engine,
    reader: &Reader,
    row: &PlaceRow,
) -> Result<bool, CatalogError> {
    Ok(reader.items_of(row.row)?.is_empty()
        && is_of_another(reader, row.row, &row.evidence, |other| {
            is_gone(engine, reader, other)
        })?)
}

/// Whether a file that was found at one name is, by what the disk says of it, that of items of another name, be that
/// free now or another file's.
pub(super) fn was_known(
    engine: &Engine,
    reader: &Reader,
    at: PlaceNo,
    seen: &Evidence,
) -> Result<bool, CatalogError> {
    is_of_another(reader, at, seen, |other| {
        Ok(match whereabouts(engine, reader, other)? {
            None | Some(Presence::Gone) => true,
            Some(Presence::There(now)) => now.inode != other.evidence.inode,
            Some(Presence::Unreachable) => false,
        })
    })
}

/// Whether another place than `at` has items and had this very file, and has lost it.
fn is_of_another(
    reader: &Reader,
    at: PlaceNo,
    file: &Evidence,
    has_lost: impl Fn(&PlaceRow) -> Result<bool, CatalogError>,
) -> Result<bool, CatalogError> {
    let Some(on_disk) = OnDisk::of(file) else {
        return Ok(false);
    };
    for other in reader.places_of_inode(file.inode)? {
        if other.row != at
            && OnDisk::of(&other.evidence) == Some(on_disk)
            && !reader.items_of(other.row)?.is_empty()
            && has_lost(&other)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Of several names at which one file was seen, those that it has left meanwhile do not count.
fn drop_left(
    engine: &Engine,
    reader: &Reader,
    came: &mut Vec<PlaceRow>,
) -> Result<(), CatalogError> {
    let mut seen: HashMap<OnDisk, u32> = HashMap::new();
    for file in came.iter().filter_map(|row| OnDisk::of(&row.evidence)) {
        *seen.entry(file).or_default() += 1;
    }
    let mut kept = Vec::with_capacity(came.len());
    for row in came.drain(..) {
        let file = OnDisk::of(&row.evidence);
        let alone = file.is_none_or(|file| seen.get(&file) == Some(&1));
        if alone || !is_gone(engine, reader, &row)? {
            kept.push(row);
        }
    }
    *came = kept;
    Ok(())
}

pub(super) fn is_gone(
    engine: &Engine,
    reader: &Reader,
    row: &PlaceRow,
) -> Result<bool, CatalogError> {
    // Where nobody but a courier can look, what its last look settled counts: this is asked under the catalog's lock.
    if let Some((base, relative)) = engine.locate(reader, row.row)?
        && engine.untrusted_file(&base.path.join(relative)).is_some()
    {
        return Ok(!row.present);
    }
    let found = whereabouts(engine, reader, row)?;
    Ok(matches!(found, None | Some(Presence::Gone)))
}

/// What is at a place's name now; `None` where another file has taken the name.
fn whereabouts(
    engine: &Engine,
    reader: &Reader,
    row: &PlaceRow,
) -> Result<Option<Presence>, CatalogError> {
    let located = engine.locate(reader, row.row)?;
    Ok(located.map(|(base, relative)| presence(engine, &base, &relative, row.evidence.device)))
}

/// Bases between which a move keeps the item: all of the library's are one, each project is one of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Area {
    Library,
    Project(u32),
}

pub(super) fn areas(reader: &Reader) -> Result<HashMap<BaseNo, Area>, CatalogError> {
    let bases = reader.bases()?.into_iter();
    Ok(bases
        .filter_map(|base| match base.kind {
            BaseKind::Library => Some((base.row, Area::Library)),
            BaseKind::Project => Some((base.row, Area::Project(base.row.0))),
            // Files referenced where they are belong to no folder of ours: another path is another place.
            BaseKind::Computer | BaseKind::Source => None,
        })
        .collect())
}

/// (went, came) of one key each; of several with one key, those whose name is the same and alone, if `by_name`.
fn pair<K: Eq + Hash + Clone>(
    went: &[PlaceRow],
    came: &[PlaceRow],
    key: impl Fn(&PlaceRow) -> Option<K>,
    by_name: bool,
) -> Vec<(PlaceNo, PlaceNo)> {
    let grouped = |rows: &[PlaceRow]| {
        let mut groups: HashMap<K, Vec<(OsString, PlaceNo)>> = HashMap::new();
        for row in rows {
            if let Some(key) = key(row) {
                let group = groups.entry(key).or_default();
                group.push((row.name.clone(), row.row));
            }
        }
        groups
    };
    let went = grouped(went);
    let mut pairs = Vec::new();
    for (key, news) in grouped(came) {
        let Some(olds) = went.get(&key) else { continue };
        if let ([(_, old)], [(_, new)]) = (olds.as_slice(), news.as_slice()) {
            pairs.push((*old, *new));
        } else if by_name {
            let only = |of: &[(OsString, PlaceNo)], name: &OsString| {
                let mut named = of.iter().filter(|(n, _)| n == name);
                named.next().filter(|_| named.next().is_none()).map(|f| f.1)
            };
            for (name, _) in olds {
                if let (Some(old), Some(new)) = (only(olds, name), only(&news, name)) {
                    pairs.push((old, new));
                }
            }
        }
    }
    pairs
}

fn drop_paired(pairs: &[(PlaceNo, PlaceNo)], went: &mut Vec<PlaceRow>, came: &mut Vec<PlaceRow>) {
    let paired: HashSet<PlaceNo> = pairs.iter().flat_map(|(old, new)| [*old, *new]).collect();
    went.retain(|row| !paired.contains(&row.row));
    came.retain(|row| !paired.contains(&row.row));
}

fn by_content(
    engine: &Engine,
    reader: &Reader,
    went: &[PlaceRow],
    came: &[PlaceRow],
    cancel: &AtomicBool,
) -> Result<Vec<(PlaceNo, PlaceNo)>, CatalogError> {
    let mut hashes: HashMap<PlaceNo, ObjectHash> = HashMap::new();
    for row in went {
        for item in reader.items_of(row.row)? {
            if let Some(hash) = reader.blake3(item.row)? {
                hashes.insert(row.row, hash);
            }
        }
    }
    if hashes.is_empty() {
        return Ok(Vec::new());
    }
    for row in came {
        if let Some(hash) = hash_place(engine, reader, row, cancel)? {
            hashes.insert(row.row, hash);
        }
    }
    Ok(pair(went, came, |row| hashes.get(&row.row).copied(), false))
}

/// The hash of what is at a place, if it is still what the catalog saw; `None` where it can't be read.
fn hash_place(
    engine: &Engine,
    reader: &Reader,
    row: &PlaceRow,
    cancel: &AtomicBool,
) -> Result<Option<ObjectHash>, CatalogError> {
    let Some((base, relative)) = engine.locate(reader, row.row)? else {
        return Ok(None);
    };
    let opened = engine
        .root_above(&base.path, &relative)
        .and_then(|root| root.file(&relative));
    let Ok((mut file, evidence)) = opened else {
        return Ok(None);
    };
    if evidence != row.evidence {
        return Ok(None);
    }
    let hash = hash_of(&mut file, || cancel.load(Ordering::Relaxed));
    let after = evidence_of(&file).ok();
    Ok(hash.ok().flatten().filter(|_| after == Some(evidence)))
}

/// BLAKE3 of all that `file` holds from where it stands; `None` when `stop` said so.
pub(super) fn hash_of(
    file: &mut impl Read,
    mut stop: impl FnMut() -> bool,
) -> std::io::Result<Option<ObjectHash>> {
    const FIRST: usize = 16 * 1024;
    const NEXT: usize = 256 * 1024;
    let mut hasher = blake3::Hasher::new();
    // Most samples are small, and there are many of them.
    let mut buffer = vec![0; FIRST];
    loop {
        if stop() {
            return Ok(None);
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(ObjectHash(*hasher.finalize().as_bytes()))),
            Ok(length) => {
                hasher.update(&buffer[..length]);
                if length == FIRST {
                    buffer.resize(NEXT, 0);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn apply(engine: &Engine, moves: &[(PlaceNo, PlaceNo)]) -> Result<(), CatalogError> {
    engine.write(Durability::Full, |writer| {
        for (old, new) in moves {
            let (Some(went), Some(came)) =
                (writer.reader().place(*old)?, writer.reader().place(*new)?)
            else {
                continue;
            };
            let Some(folder) = came.folder else { continue };
            // Whatever happened since the match wins.
            let back = went.present && !is_gone(engine, writer.reader(), &went)?;
            if back || !came.is_here() || !writer.reader().items_of(*new)?.is_empty() {
                continue;
            }
            writer.move_place(*old, folder, &came.name, &came.evidence)?;
        }
        Ok(())
    })
}

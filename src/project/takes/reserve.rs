//! Reserving a take: an id, an empty file on trusted storage, a name in `record/`; and whether there is room for it.

use std::io;
use std::path::{Path, PathBuf};

use mediafs_platform::files::identity_behind;
use mediafs_platform::volume::free_space;

use super::open::is_written;
use super::{Takes, staging};
use crate::catalog::{
    BaseRow, Catalog, CatalogError, Durability, ItemNo, Nanoseconds, NewTake, Reader, TakeRow,
};
use crate::model::{Kind, MediaId, Origin};

/// What is left free on a disk whatever is recorded, in bytes: the catalog and others need some.
const KEPT_FREE: u64 = 64 << 20;
/// Names of a file that are tried.
const TRIES: u32 = 100;

/// What is to be reserved.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The host's own id, or a new one.
    pub(crate) media_id: MediaId,
    /// The project; `None`: the library.
    pub(crate) project: Option<BaseRow>,
    /// The project's folder is on trusted storage.
    pub(crate) in_project: bool,
    /// What it is to be.
    pub(crate) kind: Kind,
    /// With extension.
    pub(crate) name: String,
    /// How it comes to be.
    pub(crate) origin: Origin,
    /// Bytes a second.
    pub(crate) rate: u64,
    /// Seconds.
    pub(crate) expected: Option<u64>,
}

/// Why nothing was reserved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReserveError {
    /// It would not fit.
    #[error(
        "{} s at {rate} bytes a second need {} MiB, and on the disk of {} there are {} MiB for that", 
        expected, needed >> 20, folder.display(), free >> 20
    )]
    NoRoom {
        /// Where it would be.
        folder: PathBuf,
        /// Seconds.
        expected: u64,
        /// Bytes a second.
        rate: u64,
        /// In bytes.
        needed: u64,
        /// In bytes, without what is left free and what other takes will need.
        free: u64,
    },
    /// The file can't be made.
    #[error("no file can be made in {}", folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The catalog says no.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Reserves a take. Its file, its id and its name are on the disk when this returns.
pub(crate) fn reserve(
    catalog: &Catalog,
    takes: &Takes,
    wanted: &Wanted,
) -> Result<(ItemNo, TakeRow), ReserveError> {
    let base = wanted.project.as_ref().filter(|_| wanted.in_project);
    let folder = takes.folder(base);
    let project = wanted.project.as_ref().map(|base| base.row);
    let reader = catalog.reader()?;
    // Before a file is made in vain.
    if let Some(same) = reader.item_in_scope(&wanted.media_id, project)? {
        let media_id = wanted.media_id.clone();
        let name = same.name;
        return Err(CatalogError::IdTaken { media_id, name }.into());
    }
    fits(&reader, takes, &folder, wanted)?;
    drop(reader);
    let failed = |source| ReserveError::Folder {
        folder: folder.clone(),
        source,
    };
    let file = make_file(&folder, &wanted.media_id, &wanted.name).map_err(failed)?;
    let reserved = catalog.write(Durability::Full, |writer| {
        let item = writer.reserve_take(&NewTake {
            media_id: wanted.media_id.clone(),
            project,
            kind: wanted.kind.clone(),
            name: wanted.name.clone(),
            origin: wanted.origin.clone(),
            base: base.map(|base| base.row),
            file: file.clone(),
            rate: wanted.rate,
            expected: wanted.expected,
            reserved: now(),
            recovered: false,
        })?;
        let take = writer.reader().take(item)?;
        let none = CatalogError::Unknown {
            what: "take",
            number: item.0,
        };
        Ok::<_, CatalogError>((item, take.ok_or(none)?))
    });
    if reserved.is_err() {
        // Nobody has written to it.
        let _ = std::fs::remove_file(folder.join(&file));
    }
    Ok(reserved?)
}

fn make_file(folder: &Path, id: &MediaId, name: &str) -> io::Result<String> {
    let plain = staging::file_name(id, name);
    for n in 1..=TRIES {
        // Another scope may have a take of the same id there.
        let file = match plain.split_once(' ') {
            Some((id, rest)) if n > 1 => format!("{id} {n} {rest}"),
            _ => plain.clone(),
        };
        match staging::create(folder, &file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(file),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The time of the machine.
pub(crate) fn now() -> Nanoseconds {
    std::time::SystemTime::now().into()
}

fn fits(
    reader: &Reader,
    takes: &Takes,
    folder: &Path,
    wanted: &Wanted,
) -> Result<(), ReserveError> {
    let Ok((device, free)) = disk_of(folder) else {
        // Making the file will say what is the matter.
        return Ok(());
    };
    let mut promised = 0_u64;
    for take in reader.list_takes(0, u32::MAX)? {
        let is_pending = reader.item(take.item)?.is_some_and(|item| !item.is_final());
        if is_pending
            && take.given_up.is_none()
            && let Some(path) = takes.path_of(reader, &take)?
            && let Some(parent) = path.parent()
            && disk_of(parent).is_ok_and(|(other, _)| other == device)
        {
            let size = std::fs::symlink_metadata(&path).map_or(0, |found| found.len());
            let whole = take.rate.saturating_mul(take.expected.unwrap_or(0));
            promised = promised.saturating_add(whole.saturating_sub(size));
        }
    }
    let free = free.saturating_sub(KEPT_FREE).saturating_sub(promised);
    let expected = wanted.expected.unwrap_or(0);
    let needed = wanted.rate.saturating_mul(expected);
    if needed > free || free == 0 {
        return Err(ReserveError::NoRoom {
            folder: folder.to_owned(),
            expected,
            rate: wanted.rate,
            needed,
            free,
        });
    }
    Ok(())
}

/// The disk that holds a folder for takes, which may not be there yet: its device and what is free on it.
fn disk_of(folder: &Path) -> io::Result<(u64, u64)> {
    let there = match std::fs::metadata(folder) {
        Ok(_) => folder,
        Err(_) => folder.parent().unwrap_or(folder),
    };
    let device = identity_behind(there)?.device;
    Ok((device, free_space(there)?.available))
}

/// A disk that takes are written to.
#[derive(Debug)]
pub(crate) struct Disk {
    /// A folder on it.
    pub(crate) folder: PathBuf,
    /// In bytes.
    pub(crate) free: u64,
    /// Bytes a second of all its takes.
    pub(crate) rate: u64,
    /// Which ones.
    pub(crate) items: Vec<ItemNo>,
}

/// The disks that takes are written to, and how fast they fill. `measured` tells how fast a take that has so many bytes
/// grew lately.
pub(crate) fn room_for_takes(
    reader: &Reader,
    takes: &Takes,
    measured: &mut dyn FnMut(ItemNo, u64) -> u64,
) -> Result<Vec<Disk>, CatalogError> {
    let mut disks: Vec<(u64, Disk)> = Vec::new();
    for take in reader.list_takes(0, u32::MAX)? {
        let is_pending = reader.item(take.item)?.is_some_and(|item| !item.is_final());
        if !is_pending || take.given_up.is_some() {
            continue;
        }
        let Some(path) = takes.path_of(reader, &take)? else {
            continue;
        };
        let Ok(found) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        let grew = measured(take.item, found.len());
        // One that was left behind takes no more room, unless its program still writes.
        let is_under_way = !take.recovered || is_written(&path);
        let rate = match is_under_way {
            true => take.rate.max(grew),
            false => 0,
        };
        let Some(folder) = path.parent() else {
            continue;
        };
        let Ok((device, free)) = disk_of(folder) else {
            continue;
        };
        match disks.iter_mut().find(|(known, _)| *known == device) {
            Some((_, disk)) => {
                disk.rate = disk.rate.saturating_add(rate);
                disk.items.push(take.item);
            }
            None => disks.push((
                device,
                Disk {
                    folder: folder.to_owned(),
                    free,
                    rate,
                    items: vec![take.item],
                },
            )),
        }
    }
    Ok(disks.into_iter().map(|(_, disk)| disk).collect())
}

/// The rate of a take of which nothing else is known, in bytes a second.
pub(crate) fn usual_rate(kind: &Kind) -> u64 {
    match kind {
        // 48 kHz, two channels, 24 bits.
        Kind::Audio => 48_000 * 2 * 3,
        Kind::Video => 3_000_000,
        _ => 4_000,
    }
}

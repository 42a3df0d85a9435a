//! BLAKE3 of every item.
//!
//! Files are read to their end one after the other, and what was found of many is recorded together: each commit of
//! the catalog empties the memory of all who read it. A hash is recorded for the generation that was read, if the file
//! was the same before and after. Where a placeholder needs the whole file, its capsule is made on the way.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mediafs_platform::wanted::Wanted;

use crate::catalog::{CatalogError, Durability, ItemNo, ItemRow, PlaceNo, PlaceRow, Reader};
use crate::model::{Format, ObjectHash};
use crate::silence::{Capsule, whole_file_capsule};

use super::disk::evidence_of;
use super::engine::Engine;
use super::identity::hash_of;
use super::pace::Pace;

/// Items asked for at once.
const PAGE: u32 = 500;
/// Most hashes of one transaction, so that the writer's lock is held for milliseconds only.
const BATCH: usize = 500;
/// How long a hash waits for others before it is recorded.
const PATIENCE: Duration = Duration::from_millis(200);
/// Capsules that wait to be recorded, in bytes.
const CAPSULE_BYTES: usize = 4 << 20;

/// What became of a page of items.
pub(super) struct Page {
    /// The last one's number.
    pub(super) last: u32,
    pub(super) looked_at: u64,
    pub(super) hashed: u64,
}

/// Hashes items after number `after` that are not hashed yet, until `stop` says so; `None` where there are no more.
pub(super) fn hash_page(
    engine: &Engine,
    after: u32,
    pace: &mut Pace<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Page>, CatalogError> {
    let items = engine.catalog.reader()?.unhashed(after, PAGE)?;
    let Some(last) = items.last() else {
        return Ok(None);
    };
    let mut page = Page {
        last: last.row.0,
        looked_at: 0,
        hashed: 0,
    };
    let mut batch = Batch::default();
    for item in &items {
        if pace.must_wait() {
            batch.record(engine)?;
            pace.wait_for_others();
        }
        if stop() || engine.stopping() {
            break;
        }
        page.looked_at += 1;
        if let Some(hashed) = read_item(engine, item, pace, stop)? {
            page.hashed += 1;
            batch.add(hashed);
        }
        if batch.is_due() {
            batch.record(engine)?;
        }
        pace.breathe();
    }
    batch.record(engine)?;
    Ok(Some(page))
}

/// Hashes all that was not hashed yet, without pauses; how many were.
pub(super) fn hash_all(engine: &Engine, cancel: &AtomicBool) -> Result<u64, CatalogError> {
    let stop = || cancel.load(Ordering::Relaxed);
    let (mut after, mut hashed) = (0, 0);
    let mut pace = Pace::urgent(engine);
    while let Some(page) = hash_page(engine, after, &mut pace, &stop)? {
        hashed += page.hashed;
        after = page.last;
        if stop() || engine.stopping() {
            break;
        }
    }
    Ok(hashed)
}

/// Hashes these items now, whatever else is to be hashed; how many were.
pub(super) fn hash_these(engine: &Engine, items: &[ItemRow]) -> Result<usize, CatalogError> {
    let mut pace = Pace::urgent(engine);
    let mut batch = Batch::default();
    let mut hashed = 0;
    for item in items {
        if let Some(read) = read_item(engine, item, &mut pace, &|| false)? {
            hashed += 1;
            batch.add(read);
        }
        if batch.is_due() {
            batch.record(engine)?;
        }
    }
    batch.record(engine)?;
    Ok(hashed)
}

/// What reading one item's file gave.
struct Hashed {
    item: ItemNo,
    generation: u32,
    place: PlaceNo,
    hash: ObjectHash,
    capsule: Option<Capsule>,
}

/// What waits to be recorded.
#[derive(Default)]
struct Batch {
    hashed: Vec<Hashed>,
    since: Option<Instant>,
    capsule_bytes: usize,
}

impl Batch {
    fn add(&mut self, hashed: Hashed) {
        self.since.get_or_insert_with(Instant::now);
        self.capsule_bytes += hashed.capsule.as_ref().map_or(0, |c| c.bytes.len());
        self.hashed.push(hashed);
    }

    fn is_due(&self) -> bool {
        self.hashed.len() >= BATCH
            || self.capsule_bytes >= CAPSULE_BYTES
            || self.since.is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    fn record(&mut self, engine: &Engine) -> Result<(), CatalogError> {
        let batch = std::mem::take(self).hashed;
        if batch.is_empty() {
            return Ok(());
        }
        engine.write(Durability::Normal, |writer| {
            for hashed in &batch {
                // The item may have its bytes from elsewhere since: this is no hash of those.
                let item = writer.reader().item(hashed.item)?;
                let place = writer.reader().place(hashed.place)?;
                let there = item.is_some_and(|item| item.place == Some(hashed.place))
                    && place.is_some_and(|place| place.is_here());
                if !there {
                    continue;
                }
                writer.record_hash(
                    hashed.item,
                    hashed.generation,
                    hashed.hash,
                    hashed.capsule.as_ref(),
                )?;
                // The hash of what was thought to be as it was may show that it is not.
                let now = writer.reader().item(hashed.item)?;
                if now.is_some_and(|now| now.generation != hashed.generation) {
                    engine.probe_soon(hashed.place);
                }
            }
            Ok(())
        })
    }
}

/// Reads one item's file, and makes the capsule that needs all of it; `None` where it can't be read now.
fn read_item(
    engine: &Engine,
    item: &ItemRow,
    pace: &mut Pace<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Hashed>, CatalogError> {
    let reader = engine.catalog.reader()?;
    let Some(place) = item
        .place
        .map(|place| reader.place(place))
        .transpose()?
        .flatten()
    else {
        return Ok(None);
    };
    // It takes long, and nobody who saves the file is to be kept from that meanwhile. The file is named last, so that it is closed
    // first.
    let opened = open_as_recorded(engine, &reader, &place)?;
    let Some((wanted, mut file)) = opened.map(|file| (Wanted::of(&file), file)) else {
        return Ok(None);
    };
    let hash = hash_of(&mut file, || {
        pace.breathe();
        stop() || engine.stopping() || wanted.is_wanted()
    });
    let hash = match hash {
        Ok(Some(hash)) => hash,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::warn!(item = item.media_id.as_str(), %error, "not hashed");
            return Ok(None);
        }
    };
    let capsule = whole_capsule(engine, &reader, item.row, &mut file)?;
    if evidence_of(&file).ok() != Some(place.evidence) {
        return Ok(None);
    }
    Ok(Some(Hashed {
        item: item.row,
        generation: item.generation,
        place: place.row,
        hash,
        capsule,
    }))
}

/// Opens the file of a place on trusted storage, if it is what the catalog says; else asks for a look at it.
pub(super) fn open_as_recorded(
    engine: &Engine,
    reader: &Reader,
    place: &PlaceRow,
) -> Result<Option<File>, CatalogError> {
    let Some((base, relative)) = engine.locate(reader, place.row)? else {
        return Ok(None);
    };
    let path = base.path.join(&relative);
    if engine.untrusted_file(&path).is_some() {
        return Ok(None);
    }
    let opened = engine
        .root_above(&base.path, &relative)
        .and_then(|root| root.file(&relative));
    match opened {
        Ok((file, evidence)) if evidence == place.evidence => Ok(Some(file)),
        Ok(_) => {
            // Of a new link to a file the system tells nobody who watches the folder of the old one.
            engine.look_soon(&path);
            Ok(None)
        }
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "not read in the background");
            Ok(None)
        }
    }
}

/// The capsule of a file whose headers alone did not give one.
fn whole_capsule(
    engine: &Engine,
    reader: &Reader,
    item: ItemNo,
    file: &mut File,
) -> Result<Option<Capsule>, CatalogError> {
    if reader.has_capsule(item)? {
        return Ok(None);
    }
    let Some(format) = reader.format(item)? else {
        return Ok(None);
    };
    if engine.stopping() || file.seek(SeekFrom::Start(0)).is_err() {
        return Ok(None);
    }
    Ok(capsule_of_whole(&format, file))
}

/// The one place that asks for a capsule made of a whole file; `None` where none is needed or can be made.
pub(super) fn capsule_of_whole(format: &Format, file: &mut File) -> Option<Capsule> {
    match whole_file_capsule(format, file) {
        Ok(capsule) => capsule,
        Err(error) => {
            tracing::debug!(%error, "no capsule of a whole file");
            None
        }
    }
}

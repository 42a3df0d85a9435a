//! BLAKE3 of every item.
//!
//! Files are read to their end one after the other, and what was found of many is recorded together: each commit of
//! the catalog empties the memory of all who read it. A hash is recorded for the generation that was read, if the file
//! was the same before and after. Where a placeholder needs the whole file, its capsule is made on the way.

use std::fs::File;
use std::io::{self, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mediafs_platform::wanted::{GivesWay, Until};

use crate::catalog::{CatalogError, Durability, ItemNo, ItemRow, PlaceNo, PlaceRow, Reader};
use crate::model::{Format, ObjectHash};
use crate::silence::{Capsule, whole_file_capsule};

use super::disk::evidence_of;
use super::engine::Engine;
use super::identity::hash_of;
use super::pace::Pace;
use super::probe::Source;

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
    let Some(file) = open_as_recorded(engine, &reader, &place)? else {
        return Ok(None);
    };
    let format = match reader.has_capsule(item.row)? {
        true => None,
        false => reader.format(item.row)?,
    };
    drop(reader);
    // It takes long, and nobody who saves the file is to be kept from that meanwhile.
    let mut reading = GivesWay::new(file);
    let GivesWay { file, wanted } = &mut reading;
    let is_wanted = || wanted.is_wanted();
    let read = read_whole(file, format.as_ref(), &is_wanted, || {
        pace.breathe_unless(&is_wanted);
        stop() || engine.stopping()
    });
    let (hash, capsule) = match read {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::warn!(item = item.media_id.as_str(), %error, "not hashed");
            return Ok(None);
        }
    };
    if evidence_of(file).ok() != Some(place.evidence) {
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

/// The hash of all of a file, and its capsule where the headers alone did not give the one that its format has; `None`
/// where that was stopped, or somebody wanted the file: then it is read another time.
fn read_whole(
    file: &mut impl Source,
    format: Option<&Format>,
    is_wanted: &dyn Fn() -> bool,
    mut stop: impl FnMut() -> bool,
) -> io::Result<Option<(ObjectHash, Option<Capsule>)>> {
    // Looked at before a pause, which it ends, and after it.
    let hash = hash_of(file, || stop() || is_wanted())?;
    let Some(hash) = hash.filter(|_| !stop()) else {
        return Ok(None);
    };
    let capsule = match format {
        Some(format) if file.seek(SeekFrom::Start(0)).is_ok() => {
            capsule_of_whole(format, &mut Until::new(file, is_wanted))
        }
        _ => None,
    };
    // Nobody reads what is hashed for its capsule again, so none must be missing for want of reading.
    Ok((!is_wanted()).then_some((hash, capsule)))
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

/// The one place that asks for a capsule made of a whole file; `None` where none is needed or can be made.
pub(super) fn capsule_of_whole(format: &Format, file: &mut dyn Source) -> Option<Capsule> {
    match whole_file_capsule(format, file) {
        Ok(capsule) => capsule,
        Err(error) => {
            tracing::debug!(%error, "no capsule of a whole file");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;
    use std::io::Cursor;

    use super::*;
    use crate::model::Container;

    /// A stream of frames that needs a capsule of the whole, of 200 KiB.
    fn frames() -> Vec<u8> {
        let mut frame = vec![0x21; 512];
        frame[..7].copy_from_slice(&[0xff, 0xf1, 0x50, 0x80, 0x40, 0x1f, 0xfc]);
        frame.repeat(400)
    }

    #[test]
    fn what_is_wanted_while_it_is_read_is_read_another_time() {
        let format = Format::of(Container::Aac);
        let whole = |is_wanted: &dyn Fn() -> bool| {
            let mut file = Cursor::new(frames());
            read_whole(&mut file, Some(&format), is_wanted, || false).unwrap()
        };
        let asked = Cell::new(0);
        let count = || {
            asked.set(asked.get() + 1);
            false
        };
        let (hash, capsule) = whole(&count).unwrap();
        assert_eq!(hash, ObjectHash(*blake3::hash(&frames()).as_bytes()));
        assert!(capsule.is_some());
        // However far it has come.
        let looks = asked.get();
        assert!(looks > 4, "{looks}");
        for patience in 0..looks {
            let left = Cell::new(patience);
            let is_wanted = || match left.get() {
                0 => true,
                more => {
                    left.set(more - 1);
                    false
                }
            };
            assert!(whole(&is_wanted).is_none(), "{patience} of {looks}");
        }
    }

    #[test]
    fn nobody_who_is_stopped_makes_a_capsule() {
        let stopped = Cell::new(0);
        let mut file = Cursor::new(b"bytes".to_vec());
        let stop = || {
            stopped.set(stopped.get() + 1);
            stopped.get() > 2
        };
        let read = read_whole(&mut file, None, &|| false, stop).unwrap();
        assert!(read.is_none());
    }
}

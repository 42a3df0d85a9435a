//! Reading files for their facts, by a few threads, and recording what they are in batches.
//!
//! A file is opened beneath its base's root, must be what the catalog saw (size, times, inode) before and after it is
//! read, and is recorded for that generation only.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::catalog::{CatalogError, Durability, Observation, PlaceKind, PlaceNo, ProbeRecord};

use super::disk::{RootFolder, evidence_of, lower_priority};
use super::engine::{BATCH, Engine};
use super::identity::{By, match_moved, was_elsewhere};
use super::probe::{Probe, ProbeError};
use super::progress::Progress;

/// How long a result waits for others before it is recorded.
const PATIENCE: Duration = Duration::from_millis(100);
/// How much of each end of a file its fingerprint covers, in bytes.
const FINGERPRINT_PART: u64 = 64 * 1024;
/// How often a file that changes while it is read is tried again at once; after that its next event counts.
const TRIES: usize = 3;

/// What reading one file gave.
pub(super) struct Probed {
    pub(super) place: PlaceNo,
    pub(super) generation: u32,
    pub(super) record: ProbeRecord,
    size: u64,
}

/// Reads the files at `places` and records what they are. Places that are gone, taken, or links are passed over.
pub(super) fn probe_places(
    engine: &Engine,
    places: &[PlaceNo],
    background: bool,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<(), CatalogError> {
    let threads = match places.len() {
        0 => return Ok(()),
        1..8 => 1,
        _ => 2,
    };
    let next = AtomicUsize::new(0);
    let stop = || cancel.load(Ordering::Relaxed) || engine.stopping();
    let (sender, receiver) = bounded(BATCH);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            let next = &next;
            scope.spawn(move || {
                if background {
                    lower_priority();
                }
                while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop() {
                        return;
                    }
                    let result = probe_place(engine, *place);
                    if let Some(result) = result.transpose()
                        && sender.send(result).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(sender);
        record(engine, &receiver, progress)
    })
}

/// Takes results until the threads end; a failing catalog ends the threads, as nobody receives any more.
fn record(
    engine: &Engine,
    receiver: &Receiver<Result<Probed, CatalogError>>,
    progress: &Progress,
) -> Result<(), CatalogError> {
    let mut batch: Vec<Probed> = Vec::new();
    let mut since = Instant::now();
    loop {
        let ended = match receiver.recv_timeout(PATIENCE) {
            Ok(result) => {
                if batch.is_empty() {
                    since = Instant::now();
                }
                batch.push(result?);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if ended || batch.len() >= BATCH || (since.elapsed() >= PATIENCE && !batch.is_empty()) {
            record_batch(engine, &batch)?;
            for probed in batch.drain(..) {
                match probed.record {
                    ProbeRecord::Problem(_) => progress.add_failed(),
                    _ => progress.add_done(probed.size),
                }
            }
        }
        if ended {
            return Ok(());
        }
    }
}

/// Records a batch. A file that was moved may be read before the one look that sees where it went has matched it with
/// where it was: it is matched here then, so that it never becomes another item.
fn record_batch(engine: &Engine, batch: &[Probed]) -> Result<(), CatalogError> {
    let all: Vec<&Probed> = batch.iter().collect();
    let moved = write_batch(engine, &all, true)?;
    if moved.is_empty() {
        return Ok(());
    }
    let places: Vec<PlaceNo> = moved.iter().map(|probed| probed.place).collect();
    match_moved(engine, &places, By::Disk, &engine.stopping)?;
    write_batch(engine, &moved, false).map(drop)
}

/// Writes what was read; gives those that seem to be files with items that were elsewhere before, if `but_moved`.
fn write_batch<'b>(
    engine: &Engine,
    batch: &[&'b Probed],
    but_moved: bool,
) -> Result<Vec<&'b Probed>, CatalogError> {
    let mut moved = Vec::new();
    if batch.is_empty() {
        return Ok(moved);
    }
    let media = |probed: &Probed| matches!(probed.record, ProbeRecord::Media { .. });
    // Only media becomes items with ids of their own.
    let durability = if batch.iter().any(|probed| media(probed)) {
        Durability::Full
    } else {
        Durability::Normal
    };
    engine.write(durability, |writer| {
        for probed in batch {
            let now = writer.reader().place(probed.place)?.filter(|row| {
                row.generation == probed.generation && row.is_here() && row.folder.is_some()
            });
            let Some(now) = now else { continue };
            if but_moved && media(probed) && was_elsewhere(engine, writer.reader(), &now)? {
                moved.push(*probed);
            } else {
                writer.record_probe(probed.place, probed.generation, &probed.record)?;
            }
        }
        Ok(moved)
    })
}

/// Reads what is at a place; `None` where there is nothing to be read.
pub(super) fn probe_place(engine: &Engine, place: PlaceNo) -> Result<Option<Probed>, CatalogError> {
    for _ in 0..TRIES {
        let reader = engine.catalog.reader()?;
        let Some(row) = reader.place(place)? else {
            return Ok(None);
        };
        let Some(folder) = row
            .folder
            .filter(|_| row.is_here() && row.kind == PlaceKind::File)
        else {
            return Ok(None);
        };
        let Some((base, relative)) = engine.locate(&reader, place)? else {
            return Ok(None);
        };
        drop(reader);
        let probed = |record| {
            Some(Probed {
                place,
                generation: row.generation,
                record,
                size: row.evidence.size,
            })
        };
        let opened = RootFolder::open(&base.path).and_then(|root| root.file(&relative));
        let (mut file, evidence) = match opened {
            Ok(opened) => opened,
            // The sweep that is due finds out what became of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let reason = format!("the file cannot be opened: {error}");
                return Ok(probed(ProbeRecord::Problem(reason)));
            }
        };
        if evidence == row.evidence {
            let record = read_facts(&mut file, row.name.as_encoded_bytes());
            match evidence_of(&file) {
                Ok(after) if after == evidence => return Ok(probed(record)),
                _ => {}
            }
        }
        // It is another one than the catalog saw: say so, then read that.
        let root = RootFolder::open(&base.path);
        engine.write(Durability::Normal, |writer| {
            let Some((_, evidence)) = root.and_then(|root| root.file(&relative)).ok() else {
                return Ok(());
            };
            let seen = Observation {
                kind: PlaceKind::File,
                evidence,
            };
            let now = writer.reader().place(place)?;
            if now.is_some_and(|now| now.folder == Some(folder) && now.name == row.name) {
                writer.observe(folder, &row.name, &seen)?;
            }
            Ok(())
        })?;
    }
    Ok(None)
}

/// What the open file is, as the catalog takes it.
pub(super) fn read_facts(file: &mut File, name: &[u8]) -> ProbeRecord {
    let probed = facts(file, name).and_then(|probe| Ok((probe, fingerprint(file)?)));
    match probed {
        Ok((probe, fingerprint)) => ProbeRecord::Media {
            kind: probe.kind,
            format: probe.format,
            attributes: probe.attributes,
            notes: probe.notes,
            capsule: probe.capsule,
            fingerprint,
        },
        Err(ProbeError::NotMedia) => ProbeRecord::NotMedia,
        Err(damaged @ ProbeError::Damaged { .. }) => ProbeRecord::Problem(damaged.to_string()),
        Err(ProbeError::Io(error)) => ProbeRecord::Problem(format!("reading failed: {error}")),
    }
}

fn facts(file: &mut File, name: &[u8]) -> Result<Probe, ProbeError> {
    super::probe::probe(file, name)
}

/// BLAKE3 of the size and of both ends of a file.
fn fingerprint(file: &mut File) -> io::Result<[u8; 32]> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes());
    let mut part = Vec::new();
    let last = size.saturating_sub(FINGERPRINT_PART);
    for start in [0, last] {
        file.seek(SeekFrom::Start(start))?;
        part.clear();
        file.by_ref()
            .take(FINGERPRINT_PART)
            .read_to_end(&mut part)?;
        hasher.update(&part);
    }
    Ok(*hasher.finalize().as_bytes())
}

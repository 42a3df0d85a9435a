//! Reading files for their facts, by a few threads, and recording what they are in batches.
//!
//! A file is opened beneath its base's root, must be what the catalog saw (size, times, inode) before and after it is
//! read, and is recorded for that generation only. On storage that is not trusted the source's courier reads it: a file
//! over which that breaks down twice, the second time while nothing else is read, has a problem; one whose storage does
//! not answer, or fails, is left for the next scan: only what was read says something of the content.

use std::collections::HashMap;
use std::io::{self, Read, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use mediafs_platform::failure::Failure;
use mediafs_platform::wanted::{GivesWay, Until};
use parking_lot::Mutex;

use crate::catalog::{
    BaseRow, CatalogError, Durability, Evidence, Observation, PlaceKind, PlaceNo, ProbeRecord,
};
use crate::model::SourceNo;
use crate::storage::{CourierError, SourceKey, Stamp};

use super::disk::{evidence_of, lower_priority};
use super::engine::{BATCH, Engine};
use super::identity::{By, match_moved, was_elsewhere};
use super::probe::{Probe, ProbeError, Source};
use super::progress::Progress;
use super::remote::{self, Facts};
use super::residency::Residency;

/// How long a result waits for others before it is recorded.
const PATIENCE: Duration = Duration::from_millis(100);
/// How much of each end of a file its fingerprint covers, in bytes.
const FINGERPRINT_PART: u64 = 64 * 1024;
/// How often a file that changes while it is read is tried again at once; after that its next event counts.
const TRIES: usize = 3;

/// After so many files in a row over which their storage failed, it is the storage and not the files.
const MOST_UNREADABLE: usize = 1000;

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
    let again = pass(engine, places, threads, background, progress, cancel)?;
    // Which of those that were read at the same time was too much for the courier is found out one by one.
    if !again.is_empty() {
        pass(engine, &again, 0, background, progress, cancel)?;
    }
    Ok(())
}

/// Reads the files at `places` with so many threads; 0: each alone. Gives those over which a courier ended, among others.
fn pass(
    engine: &Engine,
    places: &[PlaceNo],
    threads: usize,
    background: bool,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Vec<PlaceNo>, CatalogError> {
    let next = AtomicUsize::new(0);
    let lost = AtomicBool::new(false);
    let again = Mutex::new(Vec::new());
    let stamps = Mutex::new(Stamps::new());
    let unreadable = AtomicUsize::new(0);
    let stop =
        || cancel.load(Ordering::Relaxed) || engine.stopping() || lost.load(Ordering::Relaxed);
    let (sender, receiver) = bounded(BATCH);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let sender = sender.clone();
            let (next, lost, again, stamps) = (&next, &lost, &again, &stamps);
            let unreadable = &unreadable;
            scope.spawn(move || {
                if background {
                    lower_priority();
                }
                while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop() {
                        return;
                    }
                    let result = match probe_place(engine, *place, stamps, threads == 0, cancel) {
                        Ok(Probing::Nothing) => continue,
                        Ok(Probing::Again) => {
                            again.lock().push(*place);
                            continue;
                        }
                        Ok(Probing::Unreadable) => {
                            progress.add_failed();
                            if unreadable.fetch_add(1, Ordering::Relaxed) >= MOST_UNREADABLE {
                                lost.store(true, Ordering::Relaxed);
                            }
                            continue;
                        }
                        Ok(Probing::Lost) => {
                            lost.store(true, Ordering::Relaxed);
                            return;
                        }
                        Ok(Probing::Read(probed)) => {
                            unreadable.store(0, Ordering::Relaxed);
                            Ok(*probed)
                        }
                        Err(error) => Err(error),
                    };
                    if sender.send(result).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        record(engine, &receiver, progress)
    })?;
    Ok(again.into_inner())
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

/// What became of reading one file.
enum Probing {
    /// There is nothing to be read.
    Nothing,
    /// This.
    Read(Box<Probed>),
    /// Its courier ended over it, or over another one.
    Again,
    /// Its storage failed over it.
    Unreadable,
    /// Its storage does not answer.
    Lost,
}

/// What one try to read a file gave.
enum Try {
    /// It was this before and after.
    Read(Evidence, Box<ProbeRecord>),
    /// It changed meanwhile.
    Changed,
    /// Another program waits for it.
    Wanted,
    /// The sweep that is due finds out what became of it.
    Nothing,
    /// Its storage failed over it, for this reason.
    Unreadable(String),
    /// See [`Probing`].
    Again,
    Lost,
}

/// Where the sources were when the first of their files was read; `None` of one that was not there.
type Stamps = HashMap<SourceNo, Option<Stamp>>;

/// Reads what is at a place. A file of a source counts only while that is where it was: what else is mounted at its path,
/// or lies in the empty mount point, has nothing to do with the place.
fn probe_place(
    engine: &Engine,
    place: PlaceNo,
    stamps: &Mutex<Stamps>,
    alone: bool,
    cancel: &AtomicBool,
) -> Result<Probing, CatalogError> {
    for _ in 0..TRIES {
        let reader = engine.catalog.reader()?;
        let Some(row) = reader.place(place)? else {
            return Ok(Probing::Nothing);
        };
        let Some(folder) = row
            .folder
            .filter(|_| row.is_here() && row.kind == PlaceKind::File)
        else {
            return Ok(Probing::Nothing);
        };
        let Some((base, relative)) = engine.locate(&reader, place)? else {
            return Ok(Probing::Nothing);
        };
        drop(reader);
        let path = base.path.join(&relative);
        let stamp = base.source.map(|source| {
            let mut stamps = stamps.lock();
            let stamp = stamps
                .entry(source)
                .or_insert_with(|| engine.sources.stamp(source));
            (source, stamp.clone())
        });
        if matches!(stamp, Some((_, None))) {
            return Ok(Probing::Nothing);
        }
        let source = engine.reader_of(&base, path.parent().unwrap_or(&path))?;
        let there = source.is_some();
        let tried = match source {
            None => read_here(engine, &base, &relative, row.name.as_encoded_bytes()),
            Some(source) if engine.residency(place) == Residency::Here => {
                read_there(engine, &source, &path, place, alone, cancel)
            }
            Some(_) => Try::Nothing,
        };
        if let Some((source, stamp)) = &stamp
            && engine.sources.stamp_over(*source, &path) != *stamp
        {
            // It may be there still, with another one over some of it.
            let covered = engine.sources.stamp(*source) == *stamp;
            return Ok(if covered {
                Probing::Nothing
            } else {
                Probing::Lost
            });
        }
        let (evidence, record) = match tried {
            Try::Read(evidence, record) => (evidence, *record),
            Try::Changed => continue,
            // Whoever waited has it first; a scan finds what is not read by then.
            Try::Wanted => {
                engine.probe_soon(place);
                return Ok(Probing::Nothing);
            }
            Try::Nothing => return Ok(Probing::Nothing),
            Try::Unreadable(why) => {
                let folder = path.parent().unwrap_or(&path);
                engine.problems.put(folder, &row.name, why);
                return Ok(Probing::Unreadable);
            }
            Try::Again => return Ok(Probing::Again),
            Try::Lost => return Ok(Probing::Lost),
        };
        // What can't be opened says nothing of itself.
        if evidence == row.evidence || evidence == Evidence::NONE {
            return Ok(Probing::Read(Box::new(Probed {
                place,
                generation: row.generation,
                record,
                size: row.evidence.size,
            })));
        }
        // It is another one than the catalog saw: say so, then read that.
        engine.write(Durability::Normal, |writer| {
            let now = if there {
                Some(evidence)
            } else {
                let root = engine.root_above(&base.path, &relative);
                let now = root.and_then(|root| root.file(&relative));
                now.ok().map(|(_, evidence)| evidence)
            };
            let Some(evidence) = now else { return Ok(()) };
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
    Ok(Probing::Nothing)
}

fn read_here(engine: &Engine, base: &BaseRow, relative: &Path, name: &[u8]) -> Try {
    let opened = engine
        .root_above(&base.path, relative)
        .and_then(|root| root.file(relative));
    let (file, evidence) = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Try::Nothing,
        Err(error) if is_of_storage(&error) => return Try::Unreadable(error.to_string()),
        Err(error) => return cannot_open(&error),
    };
    let mut reading = GivesWay::new(file);
    let GivesWay { file, wanted } = &mut reading;
    let record = match read_unless(file, name, &|| wanted.is_wanted()) {
        Ok(Some(record)) => record,
        Ok(None) => return Try::Wanted,
        Err(error) => return Try::Unreadable(error.to_string()),
    };
    match evidence_of(file) {
        Ok(after) if after == evidence => Try::Read(evidence, Box::new(record)),
        _ => Try::Changed,
    }
}

fn read_there(
    engine: &Engine,
    source: &SourceKey,
    path: &Path,
    place: PlaceNo,
    alone: bool,
    cancel: &AtomicBool,
) -> Try {
    match remote::facts(engine, source, path, cancel) {
        Ok(Facts::Read(evidence, record)) => Try::Read(evidence, record),
        Ok(Facts::Changed) => Try::Changed,
        Ok(Facts::NotFound) => Try::Nothing,
        Ok(Facts::OnlineOnly) => {
            engine.record_residency(place, Residency::OnlineOnly);
            Try::Nothing
        }
        Ok(Facts::NotRead(why)) => Try::Unreadable(why),
        Ok(Facts::Failed(why)) => cannot_open(&io::Error::other(why)),
        Err(CourierError::TooLong) => {
            cannot("it took too long to read, so it was given up".to_owned())
        }
        Err(CourierError::Ended) if alone => {
            cannot("the process that read it broke down over it".to_owned())
        }
        Err(CourierError::Ended) => Try::Again,
        Err(_) => Try::Lost,
    }
}

fn cannot_open(error: &io::Error) -> Try {
    cannot(format!("the file cannot be opened: {error}"))
}

fn cannot(reason: String) -> Try {
    Try::Read(Evidence::NONE, Box::new(ProbeRecord::Problem(reason)))
}

/// Whether an error says that storage failed or has gone, that the bytes are with a cloud provider, or that another program
/// keeps everybody from them: nothing of what is in the file.
fn is_of_storage(error: &io::Error) -> bool {
    matches!(
        Failure::of(error),
        Failure::Storage | Failure::NotHere | Failure::InUse
    )
}

/// As [`read_facts`], of a file that others may want; `None` where somebody does: what was made of it says nothing then.
///
/// # Errors
/// As [`read_facts`].
pub(super) fn read_unless(
    file: &mut impl Source,
    name: &[u8],
    is_wanted: &dyn Fn() -> bool,
) -> io::Result<Option<ProbeRecord>> {
    let read = read_facts(&mut Until::new(file, is_wanted), name);
    match is_wanted() {
        true => Ok(None),
        false => read.map(Some),
    }
}

/// What the open file is, as the catalog takes it.
///
/// # Errors
/// Where its storage failed, or has it no more: nothing is known of its content then.
pub(super) fn read_facts(file: &mut dyn Source, name: &[u8]) -> io::Result<ProbeRecord> {
    let probed = facts(file, name).and_then(|probe| Ok((probe, fingerprint(file)?)));
    Ok(match probed {
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
        Err(ProbeError::Io(error)) if is_of_storage(&error) => return Err(error),
        Err(ProbeError::Io(error)) => ProbeRecord::Problem(format!("reading failed: {error}")),
    })
}

fn facts(file: &mut dyn Source, name: &[u8]) -> Result<Probe, ProbeError> {
    super::probe::probe(file, name)
}

/// BLAKE3 of the size and of both ends of a file.
pub(super) fn fingerprint(file: &mut dyn Source) -> io::Result<[u8; 32]> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes());
    let mut part = Vec::new();
    let last = size.saturating_sub(FINGERPRINT_PART);
    for start in [0, last] {
        file.seek(SeekFrom::Start(start))?;
        part.clear();
        (&mut *file).take(FINGERPRINT_PART).read_to_end(&mut part)?;
        hasher.update(&part);
    }
    Ok(*hasher.finalize().as_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use super::*;

    /// A sound of fifty frames.
    pub(crate) fn wav() -> Vec<u8> {
        let mut file = b"RIFF\x88\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        file.extend_from_slice(&44_100_u32.to_le_bytes());
        file.extend_from_slice(&88_200_u32.to_le_bytes());
        file.extend_from_slice(b"\x02\0\x10\0data\x64\0\0\0");
        file.resize(144, 1);
        file
    }

    #[test]
    fn what_is_wanted_while_it_is_read_says_nothing_of_itself() {
        let read = |is_wanted: &dyn Fn() -> bool| {
            let mut file = io::Cursor::new(wav());
            read_unless(&mut file, b"kick.wav", is_wanted).unwrap()
        };
        let asked = Cell::new(0_u32);
        let count = || {
            asked.set(asked.get() + 1);
            false
        };
        let record = read(&count);
        assert!(matches!(record, Some(ProbeRecord::Media { .. })));
        let looks = asked.get();
        assert!(looks > 4, "{looks}");
        // Neither that it is no media, nor that it is damaged, however far it has come.
        for patience in 0..looks {
            let left = Cell::new(patience);
            let is_wanted = || {
                let more = left.get();
                left.set(more.saturating_sub(1));
                more == 0
            };
            assert!(read(&is_wanted).is_none(), "{patience} of {looks}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn errors_of_storage_are_told_from_those_of_files() {
        use rustix::io::Errno;
        for of_storage in [Errno::IO, Errno::NODEV, Errno::STALE, Errno::NOTCONN] {
            assert!(is_of_storage(&of_storage.into()), "{of_storage}");
        }
        for of_file in [Errno::ACCESS, Errno::INVAL, Errno::LOOP] {
            assert!(!is_of_storage(&of_file.into()), "{of_file}");
        }
        assert!(!is_of_storage(&io::ErrorKind::UnexpectedEof.into()));
        // A file that its provider has taken back meanwhile; on Linux an error of locks.
        assert_eq!(
            is_of_storage(&Errno::DEADLK.into()),
            cfg!(target_os = "macos")
        );
    }
}

//! Relink by search: the files of items are looked for in folders, as they may be under other names or at other places.
//!
//! In this order: the same bytes (only files of the same size are hashed); the same frames, rate, channels and name; the
//! name alone, which is only told. Of several files of one rank with other bytes nobody guesses. Files on storage that is
//! not trusted are read by its courier; those whose bytes are with a cloud provider only are passed over, not downloaded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{ItemNo, ItemRow, ProbeRecord};
use crate::library::engine::Engine;
use crate::library::error::LibraryError;
use crate::library::owner::Library;
use crate::library::progress::{Phase, Progress};
use crate::model::{ObjectHash, compared, display_name};

use super::gather::{Source, Task, Through, gather};
use super::record::read_facts_of;
use super::relink::facts;
use super::{ImportMode, ImportOptions, Outcome};

/// Files that are told of one item.
const MOST_TOLD: usize = 20;
/// Up to this size the fingerprint is that of all bytes.
const FINGERPRINT_IS_WHOLE: u64 = 128 << 10;

/// Why a file may be an item; the surest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// The same bytes.
    Bytes,
    /// The same frames, rate, channels and name.
    Facts,
    /// The name.
    Name,
}

/// What was found for an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Which.
    pub item: ItemNo,
    /// The best that there is.
    pub rank: Rank,
    /// Files of that rank, by name.
    pub paths: Vec<PathBuf>,
    /// They have other bytes, each of them.
    pub is_ambiguous: bool,
}

/// What a search found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SearchReport {
    /// In the order of the items.
    pub found: Vec<Found>,
    /// Folders that were not looked into, and files that may be some item's and could not be read, with the reason.
    pub refused: Vec<(PathBuf, String)>,
    /// Files that were looked at.
    pub files: u64,
}

/// What an item is known by.
struct Sought {
    item: ItemRow,
    hash: Option<ObjectHash>,
    fingerprint: Option<[u8; 32]>,
    facts: Option<(u64, u32, u16)>,
    names: BTreeSet<Vec<u8>>,
    /// Where it is now.
    own: Option<PathBuf>,
    hits: BTreeMap<Rank, BTreeMap<PathBuf, Source>>,
}

/// The form in which names of files are compared.
fn folded(name: &str) -> Vec<u8> {
    compared(name.to_lowercase().as_bytes())
}

impl Library {
    /// Looks for the files of items below folders; changes nothing.
    ///
    /// # Errors
    /// [`LibraryError::Catalog`] when the catalog fails. What is wrong with single folders is told with the folder.
    pub fn search_for(
        &self,
        items: &[ItemNo],
        folders: &[PathBuf],
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<SearchReport, LibraryError> {
        let engine = &*self.engine;
        let _busy = engine.busy();
        progress.restart();
        progress.enter(Phase::Looking);
        let mut sought = sought(engine, items)?;
        let mut report = SearchReport::default();
        let files = self.files_below(folders, &mut report, progress, cancel)?;
        progress.add_expected(u64::try_from(files.len()).unwrap_or(u64::MAX));
        progress.enter(Phase::Probing);
        let mut by_size: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut by_name: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (at, one) in sought.iter().enumerate() {
            by_size.entry(one.item.size).or_default().push(at);
            for name in &one.names {
                by_name.entry(name.clone()).or_default().push(at);
            }
        }
        let mut hashes: HashMap<PathBuf, Option<ObjectHash>> = HashMap::new();
        for file in files {
            if cancel.load(Ordering::Relaxed) {
                break;
            }
            report.files += 1;
            let judged = self.judge(&file, &mut sought, &by_size, &by_name, &mut hashes, cancel);
            if let Err(reason) = judged
                && !cancel.load(Ordering::Relaxed)
            {
                report.refused.push((file.source, reason));
            }
            progress.add_done(0);
        }
        for one in sought {
            let Some((rank, paths)) = one.hits.into_iter().next() else {
                continue;
            };
            let mut contents = BTreeSet::new();
            if rank == Rank::Facts && paths.len() > 1 {
                for (path, file) in &paths {
                    let hash = hashes
                        .entry(path.clone())
                        .or_insert_with(|| self.hash_of_file(file, cancel));
                    contents.insert(hash.map(|hash| hash.0));
                }
            }
            report.found.push(Found {
                item: one.item.row,
                rank,
                // What could not be hashed is nobody's twin.
                is_ambiguous: contents.len() > 1 || contents.contains(&None),
                paths: paths.into_keys().take(MOST_TOLD).collect(),
            });
        }
        progress.enter(Phase::Idle);
        Ok(report)
    }

    fn files_below(
        &self,
        folders: &[PathBuf],
        report: &mut SearchReport,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Vec<Source>, LibraryError> {
        // So that folders are gone through, and do not become roots.
        let options = ImportOptions {
            mode: ImportMode::Copy,
            ..ImportOptions::default()
        };
        let mut files = Vec::new();
        for task in gather(&self.engine, folders, &options, progress, cancel)? {
            match task {
                Task::File(file) => files.push(file),
                Task::Answered(answer) => {
                    if let Outcome::Failed(reason) = answer.outcome {
                        report.refused.push((answer.source, reason));
                    }
                }
                Task::Root(_) => {}
            }
        }
        Ok(files)
    }

    /// Sets a file beside the items that it may be; says why one that may be some item's could not be read.
    fn judge(
        &self,
        file: &Source,
        sought: &mut [Sought],
        by_size: &HashMap<u64, Vec<usize>>,
        by_name: &HashMap<Vec<u8>, Vec<usize>>,
        hashes: &mut HashMap<PathBuf, Option<ObjectHash>>,
        cancel: &AtomicBool,
    ) -> Result<(), String> {
        let Some(name) = file.source.file_name() else {
            return Ok(());
        };
        let name = folded(&display_name(name.as_encoded_bytes()));
        let size = match file.through {
            Through::Here => std::fs::symlink_metadata(&file.source)
                .ok()
                .map(|found| found.len()),
            Through::Courier(_) => file.size,
        };
        let same_size = size.and_then(|size| by_size.get(&size));
        let same_size = same_size.map_or(&[][..], Vec::as_slice);
        let same_name = by_name.get(&name).map_or(&[][..], Vec::as_slice);
        let maybe: BTreeSet<usize> = same_size.iter().chain(same_name).copied().collect();
        if maybe.is_empty() {
            return Ok(());
        }
        let (evidence, record) = match read_facts_of(&self.engine, file, cancel) {
            Ok(read) => read,
            Err(Outcome::Failed(reason)) => return Err(reason),
            Err(_) => return Ok(()),
        };
        let ProbeRecord::Media {
            kind,
            format,
            fingerprint,
            ..
        } = record
        else {
            return Ok(());
        };
        for at in maybe {
            let Some(one) = sought.get_mut(at) else {
                continue;
            };
            if one.item.kind != kind || one.own.as_deref() == Some(file.source.as_path()) {
                continue;
            }
            let same_name = one.names.contains(&name);
            let same_ends = one.item.size == evidence.size && one.fingerprint == Some(fingerprint);
            let same_bytes = match one.hash {
                Some(hash) if one.item.size == evidence.size => {
                    let own = hashes
                        .entry(file.source.clone())
                        .or_insert_with(|| self.hash_of_file(file, cancel));
                    *own == Some(hash)
                }
                Some(_) => false,
                None => same_ends && evidence.size <= FINGERPRINT_IS_WHOLE,
            };
            let same_facts = one.facts.is_some() && one.facts == facts(&format);
            let rank = match (same_bytes, same_facts, same_name) {
                (true, ..) => Rank::Bytes,
                (_, true, true) => Rank::Facts,
                // Nobody has hashed it, but its ends are the same.
                (_, true, false) if one.hash.is_none() && same_ends => Rank::Facts,
                (_, _, true) => Rank::Name,
                _ => continue,
            };
            one.hits
                .entry(rank)
                .or_default()
                .insert(file.source.clone(), file.clone());
        }
        Ok(())
    }
}

fn sought(engine: &Engine, items: &[ItemNo]) -> Result<Vec<Sought>, LibraryError> {
    let reader = engine.catalog.reader()?;
    let mut sought = Vec::with_capacity(items.len());
    for number in items {
        let Some(item) = reader.item(*number)? else {
            continue;
        };
        let mut names = BTreeSet::from([folded(&item.name)]);
        let place = match item.place_of_record() {
            Some(place) => reader.place(place)?,
            None => None,
        };
        let mut own = None;
        let mut fingerprint = None;
        if let Some(place) = &place {
            names.insert(folded(&display_name(place.name.as_encoded_bytes())));
            fingerprint = reader.fingerprint(place.row)?;
            if place.is_here() {
                own = engine
                    .locate(&reader, place.row)?
                    .map(|(base, path)| base.path.join(path));
            }
        }
        sought.push(Sought {
            hash: reader.blake3(item.row)?,
            facts: reader.format(item.row)?.as_ref().and_then(facts),
            fingerprint,
            names,
            own: own.as_deref().map(Path::to_owned),
            hits: BTreeMap::new(),
            item,
        });
    }
    Ok(sought)
}

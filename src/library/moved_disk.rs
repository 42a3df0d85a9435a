//! A library whose disk was built into this computer and is in a case of its own now: the same folder, on a source.
//!
//! Told by its files, as nobody has noted which disk it was: where a sample of those that are known are there, with the
//! same size and time, it is that library, and its items keep their ids.

use std::path::{Path, PathBuf};

use crate::catalog::{BaseKind, BaseRow, CatalogError, Evidence, PlaceKind, SourceRow};
use crate::storage::{Question, Reply, SourceKey};

use super::engine::Engine;
use super::sweep::{below, known_folders};

/// How many files are looked at.
const SAMPLE: usize = 16;
/// Of one folder, so that they come from several.
const OF_A_FOLDER: u32 = 4;

/// The library at `path`, known on trusted storage, if its files are on this source now, as far as a sample tells. May
/// wait for the source.
pub(super) fn moved_with_its_disk(
    engine: &Engine,
    path: &Path,
    source: &SourceRow,
) -> Result<Option<BaseRow>, CatalogError> {
    let bases = engine.catalog.reader()?.bases()?.into_iter();
    let at_path = bases.filter(|base| {
        base.kind == BaseKind::Library && base.source.is_none() && base.path == path
    });
    let source = SourceKey::at(source.path.clone());
    for base in at_path {
        if is_there(engine, &base, &source)? {
            return Ok(Some(base));
        }
    }
    Ok(None)
}

/// Whether more of the base's files than not are there as they are known. An empty one is the same anywhere.
fn is_there(engine: &Engine, base: &BaseRow, source: &SourceKey) -> Result<bool, CatalogError> {
    let sample = sample(engine, base)?;
    let (mut same, mut other) = (0, 0);
    for (path, known) in &sample {
        let question = Question::Look(below(&base.path, path).as_path().into());
        match engine.couriers.ask(source, &question, &engine.stopping) {
            Ok((Reply::Seen(seen), _)) => {
                let seen = Evidence::from(seen);
                if (seen.size, seen.modified) == (known.size, known.modified) {
                    same += 1;
                } else {
                    other += 1;
                }
            }
            Ok(_) => other += 1,
            // Nobody knows, then.
            Err(_) => return Ok(false),
        }
    }
    Ok(same > other || sample.is_empty())
}

/// Some files that are known, with what is known of them.
fn sample(engine: &Engine, base: &BaseRow) -> Result<Vec<(PathBuf, Evidence)>, CatalogError> {
    let reader = engine.catalog.reader()?;
    let mut sample = Vec::new();
    let mut folders = vec![(PathBuf::new(), base.top)];
    while let Some((path, folder)) = folders.pop() {
        for (place, _) in reader.list_places(folder, 0, OF_A_FOLDER)? {
            if place.kind == PlaceKind::File {
                sample.push((path.join(&place.name), place.evidence));
            }
        }
        if sample.len() >= SAMPLE {
            break;
        }
        let inner = known_folders(&reader, folder)?.into_iter();
        folders.extend(inner.map(|(name, row)| (path.join(name), row.row)));
    }
    Ok(sample)
}

//! BLAKE3 of every item, in the background, when nothing else is to be done.
//!
//! One file at a time, read to its end by one thread that yields to everything else; recorded for the generation that
//! was read, if the file was the same before and after. Where a placeholder needs the whole file, its capsule is made
//! on the way.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::catalog::{CatalogError, Durability, ItemNo, ItemRow};
use crate::model::Format;
use crate::silence::{Capsule, whole_file_capsule};

use super::disk::{RootFolder, evidence_of, lower_priority};
use super::engine::Engine;
use super::identity::hash_of;

/// Between two looks for work.
const IDLE: Duration = Duration::from_secs(2);
/// Between two files, so that a disk that is in use by others is left to them.
const BREATH: Duration = Duration::from_millis(5);
/// Items asked for at once.
const PAGE: u32 = 200;

/// Hashes until everything is to end.
pub(super) fn run(engine: &Arc<Engine>) {
    lower_priority();
    let mut after = 0;
    while !engine.stopping() {
        match page(engine, after) {
            Ok(Some(last)) => after = last,
            Ok(None) => {
                after = 0;
                rest(engine, IDLE);
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "hashing in the background stopped for a while"
                );
                rest(engine, IDLE * 30);
            }
        }
    }
}

fn rest(engine: &Engine, time: Duration) {
    let step = Duration::from_millis(50);
    let mut left = time;
    while !left.is_zero() && !engine.stopping() {
        std::thread::sleep(step);
        left = left.saturating_sub(step);
    }
}

/// Hashes some items after number `after`; the last number looked at, or `None` where there are no more.
fn page(engine: &Engine, after: u32) -> Result<Option<u32>, CatalogError> {
    let items = engine.catalog.reader()?.unhashed(after, PAGE)?;
    let mut last = None;
    for item in items {
        while engine.is_busy() && !engine.stopping() {
            rest(engine, IDLE / 4);
        }
        if engine.stopping() {
            return Ok(last);
        }
        hash_item(engine, &item)?;
        last = Some(item.row.0);
        std::thread::sleep(BREATH);
    }
    Ok(last)
}

/// Hashes all that was not hashed yet, without pauses; how many were.
pub(super) fn hash_all(engine: &Engine, cancel: &AtomicBool) -> Result<u64, CatalogError> {
    let (mut after, mut hashed) = (0, 0);
    loop {
        let items = engine.catalog.reader()?.unhashed(after, PAGE)?;
        let Some(last) = items.last() else {
            return Ok(hashed);
        };
        after = last.row.0;
        for item in &items {
            if cancel.load(Ordering::Relaxed) {
                return Ok(hashed);
            }
            hashed += u64::from(hash_item(engine, item)?);
        }
    }
}

/// Hashes one item's file, and makes the capsule that needs all of it; `false` where it can't be read now.
pub(super) fn hash_item(engine: &Engine, item: &ItemRow) -> Result<bool, CatalogError> {
    let reader = engine.catalog.reader()?;
    let Some(place) = item
        .place
        .map(|place| reader.place(place))
        .transpose()?
        .flatten()
    else {
        return Ok(false);
    };
    let Some((base, relative)) = engine.locate(&reader, place.row)? else {
        return Ok(false);
    };
    if engine.untrusted_file(&base.path.join(&relative)).is_some() {
        return Ok(false);
    }
    let opened = RootFolder::open(&base.path).and_then(|root| root.file(&relative));
    let (mut file, before) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tracing::debug!(path = %base.path.join(&relative).display(), %error, "not hashed");
            return Ok(false);
        }
    };
    if before != place.evidence {
        return Ok(false);
    }
    let hash = match hash_of(&mut file, || engine.stopping()) {
        Ok(Some(hash)) => hash,
        Ok(None) => return Ok(false),
        Err(error) => {
            tracing::warn!(path = %base.path.join(&relative).display(), %error, "not hashed");
            return Ok(false);
        }
    };
    let capsule = whole_capsule(engine, &reader, item.row, &mut file)?;
    if evidence_of(&file).ok() != Some(before) {
        return Ok(false);
    }
    drop(reader);
    let place = place.row;
    engine.write(Durability::Normal, |writer| {
        writer.record_hash(item.row, item.generation, hash, capsule.as_ref())?;
        // The hash of what was thought to be as it was may show that it is not.
        let now = writer.reader().item(item.row)?;
        if now.is_some_and(|now| now.generation != item.generation) {
            engine.probe_soon(place);
        }
        Ok(())
    })?;
    Ok(true)
}

/// The capsule of a file whose headers alone did not give one.
fn whole_capsule(
    engine: &Engine,
    reader: &crate::catalog::Reader,
    item: ItemNo,
    file: &mut File,
) -> Result<Option<Capsule>, CatalogError> {
    if reader.capsule(item)?.is_some() {
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

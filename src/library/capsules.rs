//! Makes capsules anew after their file was lost or damaged, so that placeholders are exact again.
//!
//! Each sound whose capsule should be there and is not is read again: its headers, or the whole of it where the
//! container needs that. A capsule is recorded for the content it was made of, if the file was the same before and
//! after.

use std::fs::File;

use crate::catalog::{CatalogError, Durability, PlaceNo, PlaceRow, ProbeRecord};
use crate::silence::Capsule;

use super::disk::evidence_of;
use super::engine::Engine;
use super::hash::{capsule_of_whole, open_as_recorded};
use super::pace::Pace;
use super::probing::read_facts;

/// Contents that are looked at in one reading of the catalog, and recorded together.
const PAGE: u32 = 200;

/// Looks for lost capsules, and makes those whose files can be read.
pub(super) fn make_anew(engine: &Engine, pace: &mut Pace<'_>) -> Result<(), CatalogError> {
    let mut after = 0;
    let mut made = 0;
    while !engine.stopping() {
        pace.wait_for_others();
        let page = engine.catalog.reader()?.lost_capsules(after, PAGE)?;
        let Some(last) = page.last else { break };
        after = last.0;
        let mut found: Vec<(PlaceNo, u32, Option<Capsule>)> = Vec::new();
        for place in &page.lost {
            if engine.stopping() {
                break;
            }
            if let Some(capsule) = read_again(engine, place)? {
                found.push((place.row, place.generation, capsule));
            }
            pace.breathe();
        }
        if !found.is_empty() {
            made += found
                .iter()
                .filter(|(.., capsule)| capsule.is_some())
                .count();
            engine.write(Durability::Normal, |writer| {
                for (place, generation, capsule) in &found {
                    writer.record_capsule(*place, *generation, capsule.as_ref())?;
                }
                Ok(())
            })?;
        }
        pace.breathe();
    }
    if made > 0 {
        tracing::info!(made, "lost capsules were made anew");
    }
    Ok(())
}

/// The capsule of what is at a place; `None` where it can't be read now, `Some(None)` where it gives none any more.
fn read_again(engine: &Engine, place: &PlaceRow) -> Result<Option<Option<Capsule>>, CatalogError> {
    let reader = engine.catalog.reader()?;
    let Some(mut file) = open_as_recorded(engine, &reader, place)? else {
        return Ok(None);
    };
    drop(reader);
    let Some(capsule) = capsule_of(&mut file, place.name.as_encoded_bytes()) else {
        return Ok(None);
    };
    Ok((evidence_of(&file).ok() == Some(place.evidence)).then_some(capsule))
}

fn capsule_of(file: &mut File, name: &[u8]) -> Option<Option<Capsule>> {
    use std::io::{Seek, SeekFrom};
    match read_facts(file, name).ok()? {
        ProbeRecord::Media {
            capsule: Some(capsule),
            ..
        } => Some(Some(capsule)),
        ProbeRecord::Media { format, .. } => {
            file.seek(SeekFrom::Start(0)).ok()?;
            Some(capsule_of_whole(&format, file))
        }
        ProbeRecord::NotMedia => Some(None),
        // It may be readable another time.
        ProbeRecord::Problem(_) => None,
    }
}

//! Makes capsules anew after their file was lost or damaged, so that placeholders are exact again.
//!
//! Each sound whose capsule should be there and is not is read again: its headers, or the whole of it where the
//! container needs that. A capsule is recorded for the content it was made of, if the file was the same before and
//! after.

use std::io::{Seek, SeekFrom};

use mediafs_platform::wanted::{GivesWay, Until};

use crate::catalog::{CatalogError, Durability, PlaceNo, PlaceRow, ProbeRecord};
use crate::silence::Capsule;

use super::disk::evidence_of;
use super::engine::Engine;
use super::hash::{capsule_of_whole, open_as_recorded};
use super::pace::Pace;
use super::probing::read_unless;

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
    let Some(file) = open_as_recorded(engine, &reader, place)? else {
        return Ok(None);
    };
    drop(reader);
    let mut reading = GivesWay::new(file);
    let Some(capsule) = capsule_of(&mut reading, place.name.as_encoded_bytes()) else {
        return Ok(None);
    };
    let is_it = evidence_of(&reading.file).ok() == Some(place.evidence);
    Ok(is_it.then_some(capsule))
}

/// `None` where it can't be read now, or somebody waits for the file.
fn capsule_of(reading: &mut GivesWay, name: &[u8]) -> Option<Option<Capsule>> {
    let GivesWay { file, wanted } = reading;
    let is_wanted = || wanted.is_wanted();
    let capsule = match read_unless(file, name, &is_wanted).ok()?? {
        ProbeRecord::Media {
            capsule: Some(capsule),
            ..
        } => Some(capsule),
        ProbeRecord::Media { format, .. } => {
            file.seek(SeekFrom::Start(0)).ok()?;
            capsule_of_whole(&format, &mut Until::new(file, &is_wanted))
        }
        ProbeRecord::NotMedia => None,
        // It may be readable another time.
        ProbeRecord::Problem(_) => return None,
    };
    (!is_wanted()).then_some(capsule)
}

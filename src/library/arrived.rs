//! Bytes of a source that have come into the cache: what was not known of them before is read from there, which touches no
//! source. What it finds goes to the catalog.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use crate::catalog::{Catalog, CatalogError, Durability, PlaceNo, ProbeRecord};
use crate::model::ObjectHash;

use super::hash::capsule_of_whole;
use super::probing::read_facts;

/// Takes in what has arrived of a place's content (of generation `generation` of the place): `file` is the object of the
/// cache. False if the place has another content by now.
///
/// # Errors
/// When the catalog fails. A file that can't be read or understood is recorded as such.
pub fn take_in(
    catalog: &Catalog,
    place: PlaceNo,
    generation: u32,
    hash: ObjectHash,
    mut file: File,
) -> Result<bool, CatalogError> {
    let reader = catalog.reader()?;
    let Some(row) = reader
        .place(place)?
        .filter(|row| row.generation == generation)
    else {
        return Ok(false);
    };
    let known = reader.format_of_place(place)?;
    drop(reader);
    // What was online only was never read.
    let record = if known.is_none() {
        let record = read_facts(&mut file, row.name.as_encoded_bytes()).ok();
        let _ = file.seek(SeekFrom::Start(0));
        record
    } else {
        None
    };
    let read = match &record {
        Some(ProbeRecord::Media { format, .. }) => Some(format.clone()),
        _ => None,
    };
    let capsule = known
        .or(read)
        .and_then(|format| capsule_of_whole(&format, &mut file));
    catalog.write(Durability::Full, |writer| {
        if let Some(record) = &record {
            writer.record_probe(place, generation, record)?;
        }
        writer.record_arrival(place, generation, hash, capsule.as_ref())
    })
}

//! Bytes of a source that have come into the cache: what was not known of them before is read from there, which touches no
//! source. What it finds goes to the catalog.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use crate::catalog::{Catalog, CatalogError, Durability, ProbeRecord};
use crate::hydrate::Wanted;
use crate::model::ObjectHash;

use super::hash::capsule_of_whole;
use super::probing::{fingerprint, read_facts};

/// Takes in what was wanted and has arrived: `file` is the object of the cache. False if the place has, or may have, another
/// content by now, or had when it was looked at: then it is to be looked at again.
///
/// # Errors
/// When the catalog fails. A file that can't be read or understood is recorded as such.
pub fn take_in(
    catalog: &Catalog,
    wanted: &Wanted,
    hash: ObjectHash,
    mut file: File,
) -> Result<bool, CatalogError> {
    let (place, generation) = (wanted.place, wanted.generation);
    let reader = catalog.reader()?;
    let Some(row) = reader.place(place)?.filter(|row| wanted.is_of(row)) else {
        return Ok(false);
    };
    let known = reader.format_of_place(place)?;
    let looked = reader.fingerprint(place)?;
    drop(reader);
    // What was recorded of it is then of other bytes: a file system may not tell two writes within two seconds.
    let is_other = looked.is_some_and(|looked| {
        let arrived = fingerprint(&mut file);
        let _ = file.seek(SeekFrom::Start(0));
        arrived.is_ok_and(|arrived| arrived != looked)
    });
    if is_other {
        catalog.write(Durability::Full, |writer| {
            writer.record_other_content(place, generation)
        })?;
        return Ok(false);
    }
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
        let now = writer.reader().place(place)?;
        if !now.is_some_and(|row| wanted.is_of(&row)) {
            return Ok(false);
        }
        if let Some(record) = &record {
            writer.record_probe(place, generation, record)?;
        }
        writer.record_arrival(place, generation, hash, capsule.as_ref())
    })
}

//! Relink: the bytes of an item are in another file from now on.
//!
//! Only a file with the same sound is taken: the same bytes, or the same number of frames at the same rate in the same
//! channels. Anything else would be another sound under an id that projects rely on.

use std::path::{Path, PathBuf};

use crate::catalog::{BaseKind, CatalogError, Durability, ItemNo, ItemRow, ProbeRecord};
use crate::library::identity::hash_of;
use crate::library::owner::Library;
use crate::model::Format;

use super::Outcome;
use super::drive::item_on_drive;
use super::gather::{Source, Through};
use super::record::{Prepared, Refusal, Way, prepare_reference, see_reference};

/// Why an item was not relinked. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelinkError {
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The file can't be used.
    #[error("{} cannot be relinked to: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is another sound.
    #[error("{} is another sound than {name:?}: {difference}; import it as a sound of its own", path.display())]
    OtherSound {
        /// The file.
        path: PathBuf,
        /// The item's name.
        name: String,
        /// What differs.
        difference: String,
    },
}

impl Library {
    /// Points an item to the file at `path`, which stays where it is.
    ///
    /// # Errors
    /// [`RelinkError`]; nothing was changed then.
    pub fn relink(&self, item: ItemNo, path: &Path) -> Result<(), RelinkError> {
        let engine = &*self.engine;
        let unusable = |reason: String| RelinkError::Unusable {
            path: path.to_owned(),
            reason,
        };
        let trusted = |path: &Path| match engine.untrusted(path) {
            Some(reason) => Err(unusable(format!(
                "it is {reason}; a sound can be pointed to a file on trusted local storage only"
            ))),
            None => Ok(()),
        };
        let absolute = std::path::absolute(path).map_err(|error| unusable(error.to_string()))?;
        if item_on_drive(engine, &absolute)?.is_some() {
            return Err(unusable(
                "it is on the drive itself; name the file on disk".to_owned(),
            ));
        }
        trusted(&absolute)?;
        let source =
            std::fs::canonicalize(&absolute).map_err(|error| unusable(error.to_string()))?;
        trusted(&source)?;
        let source = Source {
            source,
            below: PathBuf::new(),
            named: true,
            through: Through::Here,
        };
        let prepared =
            prepare_reference(engine, &source, &engine.stopping).map_err(
                |outcome| match outcome {
                    Outcome::Failed(reason) | Outcome::Skipped(reason) => unusable(reason),
                    Outcome::Imported | Outcome::Already => {
                        unusable("it cannot be read".to_owned())
                    }
                },
            )?;
        let row = engine
            .catalog
            .reader()?
            .item(item)?
            .ok_or(CatalogError::Unknown {
                what: "item",
                number: item.0,
            })?;
        if let Some(difference) = self.difference(&row, &prepared)? {
            return Err(RelinkError::OtherSound {
                path: path.to_owned(),
                name: row.name,
                difference,
            });
        }
        let Way::Reference(relative) = &prepared.way else {
            return Err(unusable("it cannot be read".to_owned()));
        };
        let refused = |refusal| match refusal {
            Refusal::This(reason) => unusable(reason),
            Refusal::Catalog(error) => error.into(),
        };
        let left = engine.catalog.write(Durability::Full, |writer| {
            let place = see_reference(engine, writer, &prepared, relative).map_err(refused)?;
            let generation = match writer.reader().place(place)? {
                Some(row) => row.generation,
                None => return Err(unusable("it was gone at once".to_owned())),
            };
            writer.record_content(place, generation, &prepared.record)?;
            Ok(writer.relink(item, place)?)
        })?;
        if let Some(left) = left {
            engine.probe_soon(left);
        }
        if prepared.base.kind == BaseKind::Computer
            && let Some(parent) = relative.parent()
        {
            engine.watch(prepared.base.row, &prepared.base.path.join(parent));
        }
        Ok(())
    }

    /// What makes the file another sound than the item; `None` if it is the same.
    fn difference(&self, item: &ItemRow, new: &Prepared) -> Result<Option<String>, CatalogError> {
        let ProbeRecord::Media {
            kind,
            format,
            fingerprint,
            ..
        } = &new.record
        else {
            return Ok(Some("it is no media file".to_owned()));
        };
        if *kind != item.kind {
            return Ok(Some(format!("it is {kind}, not {}", item.kind)));
        }
        let reader = self.engine.catalog.reader()?;
        let known_fingerprint = match item.place {
            Some(place) => reader.fingerprint(place)?,
            None => None,
        };
        if item.size == new.evidence.size && known_fingerprint.as_ref() == Some(fingerprint) {
            return Ok(None);
        }
        let known = reader.format(item.row)?;
        // Of one that nobody has ever read, and that a manifest tells no more of, the size is all there is.
        let is_unknown =
            known.is_none() && known_fingerprint.is_none() && reader.blake3(item.row)?.is_none();
        if is_unknown && item.size == new.evidence.size {
            return Ok(None);
        }
        let facts = known.as_ref().and_then(facts);
        if facts.is_some() && facts == self::facts(format) {
            return Ok(None);
        }
        if let Some(hash) = reader.blake3(item.row)? {
            let opened = new
                .source
                .parent()
                .zip(new.source.file_name())
                .map(|(parent, name)| self.engine.root_here(parent)?.file(Path::new(name)));
            if let Some(Ok((mut file, _))) = opened
                && hash_of(&mut file, || self.engine.stopping()).ok().flatten() == Some(hash)
            {
                return Ok(None);
            }
        }
        Ok(Some(match known.as_ref().and_then(self::facts) {
            Some(facts) => format!(
                "the sound has {}, the file {}",
                words(facts),
                self::facts(format).map_or_else(|| "no known length".to_owned(), words)
            ),
            None => "its bytes are not the same".to_owned(),
        }))
    }
}

/// Frames, rate, channels: all three, or nothing to compare by.
fn facts(format: &Format) -> Option<(u64, u32, u16)> {
    Some((format.frames?, format.sample_rate?, format.channels?))
}

fn words((frames, rate, channels): (u64, u32, u16)) -> String {
    let channels = match channels {
        1 => "1 channel".to_owned(),
        n => format!("{n} channels"),
    };
    format!("{frames} frames at {rate} Hz in {channels}")
}

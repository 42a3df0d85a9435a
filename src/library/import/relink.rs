//! Relink: the bytes of an item are in another file from now on.
//!
//! Only a file with the same sound is taken: the same bytes, or the same number of frames at the same rate in the same
//! channels. Anything else would be another sound under an id that projects rely on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{
    BaseKind, CatalogError, Durability, ItemNo, ItemRow, OperationDraft, PlaceNo, ProbeRecord,
};
use crate::library::identity::hash_of;
use crate::library::owner::Library;
use crate::model::{Format, Kind, ObjectHash};
use crate::storage::{Kind as FileKind, SourceKey};

use super::Outcome;
use super::drive::item_on_drive;
use super::gather::{Source, Through};
use super::reading::{Reading, tries};
use super::record::{Prepared, Refusal, Way, prepare_reference, see_reference};
use super::remote::{Resolved, resolve};

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
    #[error("{} is another sound than {name:?}: {difference}; import it as a sound of its own, or replace the sound with it", path.display())]
    OtherSound {
        /// The file.
        path: PathBuf,
        /// The item's name.
        name: String,
        /// What differs.
        difference: String,
    },
}

/// An item beside a file that may be its bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Compared {
    /// What sort of thing the file is.
    pub kind: Kind,
    /// Its facts.
    pub format: Format,
    /// In bytes.
    pub size: u64,
    /// Of the whole.
    pub blake3: ObjectHash,
}

impl Library {
    /// Points an item to the file at `path`, which stays where it is and has the same sound.
    ///
    /// # Errors
    /// [`RelinkError`]; nothing was changed then.
    pub fn relink(
        &self,
        item: ItemNo,
        path: &Path,
        draft: &mut OperationDraft,
    ) -> Result<(), RelinkError> {
        let (file, prepared) = self.prepare_target(path)?;
        let row = self.item_there(item)?;
        if let Some(difference) = self.difference(&row, &file, &prepared)? {
            return Err(RelinkError::OtherSound {
                path: path.to_owned(),
                name: row.name,
                difference,
            });
        }
        self.point(item, path, &prepared, draft)
    }

    /// Points an item to the file at `path`, whatever that is.
    ///
    /// # Errors
    /// [`RelinkError`]; nothing was changed then.
    pub fn replace(
        &self,
        item: ItemNo,
        path: &Path,
        draft: &mut OperationDraft,
    ) -> Result<(), RelinkError> {
        let (_, prepared) = self.prepare_target(path)?;
        self.point(item, path, &prepared, draft)
    }

    /// What the file at `path` is, to be set beside an item that it may become the bytes of. Reads all of it.
    ///
    /// # Errors
    /// [`RelinkError`], where it can't become any item's.
    pub fn look_at(&self, path: &Path) -> Result<Compared, RelinkError> {
        let (file, prepared) = self.prepare_target(path)?;
        let unusable = |reason: &str| RelinkError::Unusable {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let ProbeRecord::Media { kind, format, .. } = &prepared.record else {
            return Err(unusable("it is no media file"));
        };
        let blake3 = self
            .hash_of_file(&file, &self.engine.stopping)
            .ok_or_else(|| unusable("it cannot be read whole"))?;
        Ok(Compared {
            kind: kind.clone(),
            format: format.clone(),
            size: prepared.evidence.size,
            blake3,
        })
    }

    fn item_there(&self, item: ItemNo) -> Result<ItemRow, CatalogError> {
        let row = self.engine.catalog.reader()?.item(item)?;
        row.ok_or(CatalogError::Unknown {
            what: "item",
            number: item.0,
        })
    }

    /// The hash of a file, if all of it can be read and is the same from the start to the end.
    pub(super) fn hash_of_file(&self, file: &Source, cancel: &AtomicBool) -> Option<ObjectHash> {
        for () in tries() {
            let (mut reading, evidence) = Reading::open(&self.engine, file, cancel).ok()?;
            let is_cancelled = || cancel.load(Ordering::Relaxed);
            let hash = hash_of(&mut reading, is_cancelled);
            // Whoever waits for it may leave its bytes as they are.
            if hash.is_err() && reading.is_wanted() {
                continue;
            }
            let hash = hash.ok().flatten()?;
            return reading.is_unchanged(&evidence).then_some(hash);
        }
        None
    }

    fn prepare_target(&self, path: &Path) -> Result<(Source, Prepared), RelinkError> {
        let engine = &*self.engine;
        let unusable = |reason: String| RelinkError::Unusable {
            path: path.to_owned(),
            reason,
        };
        let absolute = std::path::absolute(path).map_err(|error| unusable(error.to_string()))?;
        if item_on_drive(engine, &absolute)?.is_some() {
            return Err(unusable(
                "it is on the drive itself; name the file on disk".to_owned(),
            ));
        }
        let (source, through) = self.followed(&absolute).map_err(unusable)?;
        let file = Source {
            source,
            below: PathBuf::new(),
            named: true,
            size: None,
            through,
        };
        let prepared =
            prepare_reference(engine, &file, &engine.stopping).map_err(
                |outcome| match outcome {
                    Outcome::Failed(reason) | Outcome::Skipped(reason) => unusable(reason),
                    Outcome::Imported | Outcome::Already => {
                        unusable("it cannot be read".to_owned())
                    }
                },
            )?;
        Ok((file, prepared))
    }

    /// Where a path leads and who reads it there; nothing on storage that is not trusted is touched but by couriers.
    fn followed(&self, absolute: &Path) -> Result<(PathBuf, Through), String> {
        let engine = &*self.engine;
        let there = |named: &Path, source: &SourceKey| {
            let resolved = resolve(engine, named, source, &engine.stopping);
            let Resolved { path, kind, source } =
                resolved.map_err(|why| why.unwrap_or_else(|| "the daemon is ending".to_owned()))?;
            match kind {
                FileKind::File => Ok((path, Through::Courier(source))),
                _ => Err("it is no file".to_owned()),
            }
        };
        if let Some(untrusted) = engine.untrusted_now(absolute) {
            return there(absolute, &untrusted.source);
        }
        let real =
            mediafs_platform::files::canonical(absolute).map_err(|error| error.to_string())?;
        match engine.untrusted_now(&real) {
            Some(untrusted) => there(&real, &untrusted.source),
            None => Ok((real, Through::Here)),
        }
    }

    fn point(
        &self,
        item: ItemNo,
        path: &Path,
        prepared: &Prepared,
        draft: &mut OperationDraft,
    ) -> Result<(), RelinkError> {
        let engine = &*self.engine;
        let unusable = |reason: String| RelinkError::Unusable {
            path: path.to_owned(),
            reason,
        };
        let Way::Reference(relative) = &prepared.way else {
            return Err(unusable("it cannot be read".to_owned()));
        };
        let refused = |refusal| match refusal {
            Refusal::This(reason) => unusable(reason),
            Refusal::Catalog(error) => error.into(),
        };
        let left = engine.catalog.write(Durability::Full, |writer| {
            writer.operate(draft, |writer| {
                let place = see_reference(engine, writer, prepared, relative).map_err(refused)?;
                let generation = match writer.reader().place(place)? {
                    Some(row) => row.generation,
                    None => return Err(unusable("it was gone at once".to_owned())),
                };
                writer.record_content(place, generation, &prepared.record)?;
                Ok(writer.relink(item, place)?)
            })
        })?;
        if let Some(left) = left {
            engine.probe_soon(left);
        }
        if prepared.base.kind == BaseKind::Computer
            && let Some(parent) = relative.parent()
            && engine.untrusted_file(&prepared.source).is_none()
        {
            engine.watch(&prepared.base, &prepared.base.path.join(parent));
        }
        Ok(())
    }

    /// Files that were left by their items are looked at again soon.
    pub fn probe_left(&self, places: &[PlaceNo]) {
        for place in places {
            self.engine.probe_soon(*place);
        }
    }

    /// What makes the file another sound than the item; `None` if it is the same.
    fn difference(
        &self,
        item: &ItemRow,
        file: &Source,
        new: &Prepared,
    ) -> Result<Option<String>, CatalogError> {
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
        if let Some(hash) = reader.blake3(item.row)?
            && self.hash_of_file(file, &self.engine.stopping) == Some(hash)
        {
            return Ok(None);
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
pub(super) fn facts(format: &Format) -> Option<(u64, u32, u16)> {
    Some((format.frames?, format.sample_rate?, format.channels?))
}

fn words((frames, rate, channels): (u64, u32, u16)) -> String {
    let channels = match channels {
        1 => "1 channel".to_owned(),
        n => format!("{n} channels"),
    };
    format!("{frames} frames at {rate} Hz in {channels}")
}

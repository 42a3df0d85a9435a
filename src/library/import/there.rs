//! Copying a file into a project on storage that is not trusted: written by the courier of that storage, read again there,
//! and only then named.
//!
//! Nobody waits for a courier under the catalog's lock, so the copy has its name before it is an item. Should this process
//! die between, a copy is left that is nobody's.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::catalog::{BaseRow, CatalogError, Evidence};
use crate::library::engine::{Engine, MEDIA_FOLDER, TEMPORARY};
use crate::library::progress::Progress;
use crate::library::remote::LONGEST_CHANGING;
use crate::model::{Availability, ObjectHash};
use crate::storage::{CourierError, LONGEST_PAYLOAD, Question, Reply, SourceKey};

use super::copy::{CHANGED, Copied, Halt, numbered, until_unchanged};
use super::gather::Source;
use super::reading::{Reading, media};
use super::record::{Prepared, Way};
use super::sources::{Origin, Sources};
use super::{ImportOptions, Outcome, remote};

/// A copy that is not whole after this long is nobody's.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Copies files into one project.
pub(super) struct CopierThere<'e> {
    engine: &'e Engine,
    options: &'e ImportOptions,
    base: BaseRow,
    to: SourceKey,
    sources: Sources,
}

impl<'e> CopierThere<'e> {
    pub(super) fn new(
        engine: &'e Engine,
        base: &BaseRow,
        to: SourceKey,
        options: &'e ImportOptions,
        sources: Sources,
    ) -> Self {
        Self {
            engine,
            options,
            base: base.clone(),
            to,
            sources,
        }
    }

    /// Copies `file`, unless it is known.
    pub(super) fn prepare(
        &self,
        file: &Source,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Result<Copied, Halt>, CatalogError> {
        until_unchanged(|| self.attempt(file, progress, cancel))
    }

    fn attempt(
        &self,
        file: &Source,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Result<Copied, Halt>, CatalogError> {
        let (source, evidence) = match Reading::open(self.engine, file, cancel) {
            Ok(opened) => opened,
            Err(_) if cancel.load(Ordering::Relaxed) => return Ok(Err(Halt::Cancelled)),
            Err(outcome) => return Ok(Err(Halt::This(outcome))),
        };
        let reader = self.engine.catalog.reader()?;
        if let Some((item, origin)) = self.sources.of(&file.source)
            && let Some(item) = reader.item(*item)?
            && origin.unchanged(&evidence)
            && item.availability != Availability::Missing
        {
            return Ok(Ok(Copied::Known(item)));
        }
        if let Some(id) = &self.options.id
            && let Some(taken) = reader.item_in_scope(id, Some(self.base.row))?
        {
            let taken = CatalogError::IdTaken {
                media_id: id.clone(),
                name: taken.name,
            };
            return Ok(Err(Halt::This(Outcome::Failed(taken.to_string()))));
        }
        drop(reader);
        let wanted = file.source.file_name().unwrap_or_default();
        let brought = self.bring(source, &evidence, &file.below, wanted, progress, cancel);
        let (relative, hash) = match brought {
            Ok(brought) => brought,
            Err(halt) => return Ok(Err(halt)),
        };
        Ok(self
            .prepared(file, relative, &evidence, hash, cancel)
            .map_err(Halt::This))
    }

    /// Copies the bytes into the folder `below` the project's media, under a name like `wanted`, and closes the source as soon
    /// as it was read. Gives the path of the copy below the project's folder, and the hash of the bytes.
    pub(super) fn bring(
        &self,
        source: Reading<'_>,
        evidence: &Evidence,
        below: &Path,
        wanted: &OsStr,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<(PathBuf, ObjectHash), Halt> {
        let below = Path::new(MEDIA_FOLDER).join(below);
        let folder = self.base.path.join(&below);
        let copied = self
            .ask(&Question::MakeFolder {
                root: self.base.path.as_path().into(),
                below: below.as_path().into(),
            })
            .and_then(|()| self.copy(source, evidence, &folder, progress, cancel));
        let (name, hash) = match copied {
            Ok(Some(copied)) => copied,
            Ok(None) => return Err(Halt::Cancelled),
            Err(_) if cancel.load(Ordering::Relaxed) => return Err(Halt::Cancelled),
            Err(why) => return Err(Halt::This(Outcome::Failed(why))),
        };
        match self.name(&folder, &name, wanted) {
            Ok(name) => Ok((below.join(name), hash)),
            Err(why) => {
                self.remove(&folder, &name);
                Err(Halt::This(Outcome::Failed(why)))
            }
        }
    }

    /// What the copy is, as its courier has read it.
    fn prepared(
        &self,
        file: &Source,
        relative: PathBuf,
        evidence: &Evidence,
        hash: ObjectHash,
        cancel: &AtomicBool,
    ) -> Result<Copied, Outcome> {
        let target = self.base.path.join(&relative);
        let read = remote::read_reference(self.engine, &target, &self.to, cancel);
        let (seen, record) = read.and_then(|(seen, record)| {
            let record = media(record, file.named)?;
            Ok((seen, record))
        })?;
        Ok(Copied::Ready(Box::new(Prepared {
            source: target,
            evidence: seen,
            record,
            base: self.base.clone(),
            way: Way::CopyThere {
                relative,
                from: file.source.clone(),
                origin: Origin::new(&file.source, evidence, hash),
            },
        })))
    }

    fn ask(&self, question: &Question) -> Result<(), String> {
        let asked = self.engine.couriers.ask_patiently(
            &self.to,
            question,
            LONGEST_CHANGING,
            &self.engine.stopping,
        );
        match asked {
            Ok((Reply::Done, _)) => Ok(()),
            Ok((other, _)) => Err(refusal(other)),
            Err(error) => Err(format!("it could not be copied: {error}")),
        }
    }

    /// Writes the bytes under a name of their own, and reads them again. `None` if the user said stop.
    fn copy(
        &self,
        from: Reading<'_>,
        evidence: &Evidence,
        folder: &Path,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Option<(OsString, ObjectHash)>, String> {
        let name = temporary();
        let written = self.write(from, evidence, folder, &name, progress, cancel);
        let verified = written.and_then(|hash| match hash {
            None => Ok(None),
            Some(hash) => self
                .ask(&Question::Settle {
                    folder: folder.into(),
                    name: name.clone().into(),
                })
                .and_then(|()| self.verify(folder, &name, hash, cancel))
                .map(|()| Some(hash)),
        });
        match verified {
            Ok(Some(hash)) => Ok(Some((name, hash))),
            Ok(None) => {
                self.remove(folder, &name);
                Ok(None)
            }
            Err(why) => {
                self.remove(folder, &name);
                Err(why)
            }
        }
    }

    /// Writes the bytes, all of one state of the source.
    fn write(
        &self,
        mut from: Reading<'_>,
        evidence: &Evidence,
        folder: &Path,
        name: &OsStr,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Option<ObjectHash>, String> {
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0_u64;
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let mut part = Vec::new();
            let read = from
                .by_ref()
                .take(u64::from(LONGEST_PAYLOAD))
                .read_to_end(&mut part);
            match read {
                Ok(_) => {}
                // It is about to be another.
                Err(_) if from.is_wanted() => return Err(CHANGED.to_owned()),
                Err(error) => return Err(format!("it cannot be read: {error}")),
            }
            if part.is_empty() && offset > 0 {
                break;
            }
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            // One that goes on beyond its own size has changed, or never ends.
            if offset.saturating_add(length) > evidence.size || part.is_empty() {
                return Err(CHANGED.to_owned());
            }
            hasher.update(&part);
            self.ask(&Question::Write {
                folder: folder.into(),
                name: name.to_owned().into(),
                offset,
                part,
            })?;
            offset += length;
            progress.add_bytes(length);
        }
        if offset != evidence.size || !from.is_unchanged(evidence) {
            return Err(CHANGED.to_owned());
        }
        Ok(Some(ObjectHash(*hasher.finalize().as_bytes())))
    }

    fn verify(
        &self,
        folder: &Path,
        name: &OsStr,
        hash: ObjectHash,
        cancel: &AtomicBool,
    ) -> Result<(), String> {
        let path = folder.join(name);
        let ask = |question: &Question| {
            let couriers = &self.engine.couriers;
            let asked = couriers.ask_patiently(&self.to, question, LONGEST_CHANGING, cancel);
            asked.map_err(|error: CourierError| format!("it could not be copied: {error}"))
        };
        let evidence = match ask(&Question::Look(path.as_path().into()))?.0 {
            Reply::Seen(evidence) => evidence,
            other => return Err(refusal(other)),
        };
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        loop {
            let (reply, part) = ask(&Question::Read {
                file: path.as_path().into(),
                evidence,
                offset,
                length: LONGEST_PAYLOAD,
                fetch: true,
            })?;
            if !matches!(reply, Reply::Bytes { .. }) {
                return Err(refusal(reply));
            }
            if part.is_empty() {
                break;
            }
            hasher.update(&part);
            offset += u64::try_from(part.len()).unwrap_or(u64::MAX);
        }
        if *hasher.finalize().as_bytes() == hash.0 {
            return Ok(());
        }
        Err("the copy is not what was written; check the disk that it is on".to_owned())
    }

    /// The first name that nobody has, or had: an item that is missing keeps its place.
    fn name(&self, folder: &Path, name: &OsStr, wanted: &OsStr) -> Result<OsString, String> {
        let failed = |error: CatalogError| error.to_string();
        let reader = self.engine.catalog.reader().map_err(failed)?;
        let relative = folder
            .strip_prefix(&self.base.path)
            .unwrap_or(Path::new(""));
        let known = Engine::find_folder(&reader, &self.base, relative).map_err(failed)?;
        for n in 1..=u32::MAX {
            let free = numbered(wanted, n);
            let place = match known {
                Some(known) => reader.child_place(known, &free).map_err(failed)?,
                None => None,
            };
            if let Some((place, _)) = place
                && !reader.items_of(place.row).map_err(failed)?.is_empty()
            {
                continue;
            }
            let question = Question::Name {
                folder: folder.into(),
                from: name.to_owned().into(),
                to: free.clone().into(),
                replace: false,
                previous: None,
            };
            let couriers = &self.engine.couriers;
            match couriers.ask_patiently(
                &self.to,
                &question,
                LONGEST_CHANGING,
                &self.engine.stopping,
            ) {
                Ok((Reply::Done, _)) => return Ok(free),
                Ok((Reply::Taken, _)) => {}
                Ok((other, _)) => return Err(refusal(other)),
                Err(error) => return Err(format!("it could not be copied: {error}")),
            }
        }
        Err("no name is free".to_owned())
    }

    /// Removes what copies have left in a folder of the project that were begun long ago, by this computer or another one.
    pub(super) fn clear_abandoned(&self, names: &[OsString], folder: &Path) {
        for name in names.iter().filter(|name| is_abandoned(name)) {
            self.remove(folder, name);
        }
    }

    /// Where its storage does not answer, it stays.
    pub(super) fn remove(&self, folder: &Path, name: &OsStr) {
        let question = Question::Remove {
            folder: folder.into(),
            name: name.to_owned().into(),
        };
        if let Err(why) = self.ask(&question) {
            tracing::debug!(why, "a temporary file is left");
        }
    }
}

/// A name for a file that is not whole yet: no scan takes it for anything.
fn temporary() -> OsString {
    let id = uuid::Uuid::now_v7().simple().to_string();
    mediafs_platform::names::lossy([TEMPORARY, id.as_bytes()].concat())
}

/// Whether a name is one of [`temporary`], of a copy that was begun long ago.
fn is_abandoned(name: &OsStr) -> bool {
    let id = name.as_encoded_bytes().strip_prefix(TEMPORARY);
    let id = id.and_then(|id| uuid::Uuid::try_parse_ascii(id).ok());
    let begun = id.and_then(|id| id.get_timestamp()).map(|at| at.to_unix());
    begun.is_some_and(|(seconds, _)| {
        let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        begun.elapsed().is_ok_and(|since| since > ABANDONED)
    })
}

fn refusal(reply: Reply) -> String {
    let why = match reply {
        Reply::Failed(why) | Reply::Unreachable(why) | Reply::NotRead(why) => why,
        Reply::NotFound => "its folder is gone".to_owned(),
        Reply::Changed => "somebody else has written to it".to_owned(),
        Reply::Taken => "its name is taken".to_owned(),
        _ => CourierError::Ended.to_string(),
    };
    format!("it could not be copied: {why}")
}

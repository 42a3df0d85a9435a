//! Takes of projects on storage that is not trusted: recorded and made final on a disk of this computer, and then brought
//! to their project by the courier of its storage.
//!
//! The copy is read again there and compared before it has its name; the item is at the copy, durably, before the file here
//! goes. So at every moment there is a whole file that the catalog knows of. A copy that got its name while this process
//! died, or its disk was pulled, is nobody's, and the take is brought once more.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::catalog::{BaseRow, CatalogError, Durability, Evidence, ItemRow};
use crate::library::disk::LocalFolder;
use crate::library::engine::MEDIA_FOLDER;
use crate::library::owner::Library;
use crate::library::progress::Progress;
use crate::model::{ObjectHash, shown_name};

use super::copy::Halt;
use super::gather::{Source, Through};
use super::reading::{Reading, media};
use super::record::{Prepared, Refusal, Way, see_reference};
use super::sources::Sources;
use super::take::own_name;
use super::there::CopierThere;
use super::{ImportOptions, Outcome, remote};

/// What became of a take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Carried {
    /// It is with its project; its bytes have this hash.
    Done(ObjectHash),
    /// Its file is not here either.
    Gone,
    /// It is where it was, for this reason.
    Left(String),
}

impl Library {
    /// What was recorded for a project and is not with it.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn takes_to_carry(&self, project: &BaseRow) -> Result<Vec<ItemRow>, CatalogError> {
        if project.source.is_none() {
            return Ok(Vec::new());
        }
        let copies = self.engine.copies();
        let reader = self.engine.catalog.reader()?;
        let bases = reader.bases()?;
        let Some(copies) = bases.iter().find(|base| base.path == copies) else {
            return Ok(Vec::new());
        };
        let mut items = Vec::new();
        for item in reader.takes_elsewhere(project.row, copies.row)? {
            items.extend(reader.item(item)?);
        }
        Ok(items)
    }

    /// Removes what copies to the project have left that were begun long ago.
    pub(crate) fn clear_abandoned_copies(&self, project: &BaseRow) {
        let Some(untrusted) = self.engine.untrusted_now(&project.path) else {
            return;
        };
        let folder = project.path.join(MEDIA_FOLDER);
        let names = self.names_there(&folder).unwrap_or_default();
        let options = ImportOptions::default();
        if let Ok(sources) = Sources::read(&self.engine, Some(project)) {
            CopierThere::new(&self.engine, project, untrusted.source, &options, sources)
                .clear_abandoned(&names, &folder);
        }
    }

    /// Copies the file of such an item to its project, and has the item there from then on. `keep` is given the file and the
    /// hash of its bytes before it is left, and whoever plays it may go on with what that has kept. Waits for the storage of
    /// the project.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn carry_take(
        &self,
        project: &BaseRow,
        item: &ItemRow,
        keep: &dyn Fn(&Path, ObjectHash),
        cancel: &AtomicBool,
    ) -> Result<Carried, CatalogError> {
        let engine = &*self.engine;
        let reader = engine.catalog.reader()?;
        let online = project
            .source
            .is_some_and(|source| reader.source_state(source).is_online());
        let Some(untrusted) = engine.untrusted_now(&project.path).filter(|_| online) else {
            let why = "the storage of the project is not there".to_owned();
            return Ok(Carried::Left(why));
        };
        let located = match item.place {
            Some(place) => engine.locate(&reader, place)?,
            None => None,
        };
        drop(reader);
        let Some((base, relative)) = located else {
            return Ok(Carried::Gone);
        };
        let file = Source {
            source: base.path.join(relative),
            below: PathBuf::new(),
            named: true,
            size: None,
            through: Through::Here,
        };
        // That it is missing is told by others.
        let Ok((reading, evidence)) = Reading::open(engine, &file, cancel) else {
            return Ok(Carried::Gone);
        };
        let options = ImportOptions::default();
        let sources = Sources::read(engine, Some(project))?;
        let copier = CopierThere::new(engine, project, untrusted.source.clone(), &options, sources);
        let wanted = own_name(&shown_name(&item.name));
        let brought = copier.bring(
            reading,
            &evidence,
            Path::new(""),
            wanted.as_ref(),
            &Progress::default(),
            cancel,
        );
        let (relative, hash) = match brought {
            Ok(brought) => brought,
            Err(Halt::Cancelled) => return Ok(Carried::Left("it was stopped".to_owned())),
            Err(Halt::This(outcome)) => return Ok(Carried::Left(why(outcome))),
            Err(Halt::All(why)) => return Ok(Carried::Left(why)),
        };
        let target = project.path.join(&relative);
        // A copy that the catalog does not know of is nobody's: it would be in the way of the next one.
        let undone = |carried: Result<Carried, CatalogError>| {
            if let (Some(folder), Some(name)) = (target.parent(), target.file_name()) {
                copier.remove(folder, name);
            }
            carried
        };
        let read = remote::read_reference(engine, &target, &untrusted.source, cancel)
            .and_then(|(seen, record)| Ok((seen, media(record, true)?)));
        let (seen, record) = match read {
            Ok(read) => read,
            Err(outcome) => return undone(Ok(Carried::Left(why(outcome)))),
        };
        keep(&file.source, hash);
        let prepared = Prepared {
            source: target.clone(),
            evidence: seen,
            record,
            base: project.clone(),
            way: Way::Reference(relative.clone()),
        };
        let mut is_anothers = false;
        let entered = engine.catalog.write(Durability::Full, |writer| {
            let now = writer.reader().item(item.row)?;
            let same = |now: ItemRow| now.place == item.place && now.generation == item.generation;
            if !now.is_some_and(same)
                || !matches!(self.still_at(&file.source, &evidence), Ok(Some(_)))
            {
                return Err(Refusal::This("it has changed meanwhile".to_owned()));
            }
            let place = see_reference(engine, writer, &prepared, &relative)?;
            // Whoever looked at the folder before this may have found another item's bytes in the copy.
            is_anothers = !writer.reader().items_of(place)?.is_empty();
            if is_anothers {
                return Err(Refusal::This("its copy was taken for another's".to_owned()));
            }
            let Some(row) = writer.reader().place(place)? else {
                return Err(Refusal::This("its copy was gone at once".to_owned()));
            };
            writer.record_content(place, row.generation, &prepared.record)?;
            Ok(writer.carry_item(item.row, place, hash)?)
        });
        match entered {
            Ok(true) => self.remove_carried(&file.source, &evidence),
            // Somebody else needs it, too.
            Ok(false) => {}
            Err(Refusal::This(why)) if is_anothers => return Ok(Carried::Left(why)),
            Err(Refusal::This(why)) => return undone(Ok(Carried::Left(why))),
            Err(Refusal::Catalog(error)) => return undone(Err(error)),
        }
        Ok(Carried::Done(hash))
    }

    /// The folder and the name of a file that is as it was. It is not open meanwhile: nobody is kept from saving over it.
    fn still_at<'p>(
        &self,
        path: &'p Path,
        was: &Evidence,
    ) -> io::Result<Option<(LocalFolder, &'p OsStr)>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let folder = self
            .engine
            .root_here(parent)?
            .folder(Path::new(""))
            .map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        let seen = folder.look(name)?;
        let is_it = seen.is_some_and(|seen| seen.evidence == *was);
        Ok(is_it.then_some((folder, name)))
    }

    /// The file is with its project now. Another one that has its name by now stays.
    fn remove_carried(&self, path: &Path, was: &Evidence) {
        let removed = self.still_at(path, was).and_then(|found| match found {
            Some((folder, name)) => folder.remove(name),
            None => Ok(()),
        });
        if let Err(error) = removed {
            tracing::warn!(%error, path = %path.display(), "the first file of a take that was copied is left");
        }
    }
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(why) | Outcome::Skipped(why) => why,
        Outcome::Imported | Outcome::Already => "it cannot be read".to_owned(),
    }
}

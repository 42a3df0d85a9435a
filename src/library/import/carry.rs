//! Takes of projects on storage that is not trusted: recorded and made final on a disk of this computer, and then brought
//! to their project by the courier of its storage.
//!
//! The copy is read again there and compared before it has its name; the item is at the copy, durably, before the file here
//! goes. So at every moment there is a whole file that the catalog knows of. A copy that got its name while this process
//! died is found by the next look at the project, as a sound of its own, and the take is brought once more.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::catalog::{BaseRow, CatalogError, Durability, Evidence, ItemRow};
use crate::library::owner::Library;
use crate::library::progress::Progress;
use crate::model::shown_name;

use super::copy::{Halt, Reading, media};
use super::gather::{Source, Through};
use super::record::{Prepared, Refusal, Way, see_reference};
use super::sources::Sources;
use super::take::own_name;
use super::there::CopierThere;
use super::{ImportOptions, Outcome, remote};

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

    /// Copies the file of such an item to its project, and has the item there from then on. The inner error says why it
    /// stays where it is. Waits for the storage of the project.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn carry_take(
        &self,
        project: &BaseRow,
        item: &ItemRow,
        cancel: &AtomicBool,
    ) -> Result<Result<(), String>, CatalogError> {
        let engine = &*self.engine;
        let reader = engine.catalog.reader()?;
        let online = project
            .source
            .is_some_and(|source| reader.source_state(source).is_online());
        let Some(untrusted) = engine.untrusted_now(&project.path).filter(|_| online) else {
            return Ok(Err("the storage of the project is not there".to_owned()));
        };
        let located = match item.place {
            Some(place) => engine.locate(&reader, place)?,
            None => None,
        };
        drop(reader);
        let Some((base, relative)) = located else {
            return Ok(Err("its file is gone".to_owned()));
        };
        let file = Source {
            source: base.path.join(relative),
            below: PathBuf::new(),
            named: true,
            size: None,
            through: Through::Here,
        };
        let (mut reading, evidence) = match Reading::open(engine, &file, cancel) {
            Ok(opened) => opened,
            Err(outcome) => return Ok(Err(why(outcome))),
        };
        let options = ImportOptions::default();
        let sources = Sources::read(engine, Some(project))?;
        let copier = CopierThere::new(engine, project, untrusted.source.clone(), &options, sources);
        let wanted = own_name(&shown_name(&item.name));
        let brought = copier.bring(
            &mut reading,
            &evidence,
            Path::new(""),
            wanted.as_ref(),
            &Progress::default(),
            cancel,
        );
        let (relative, hash) = match brought {
            Ok(brought) => brought,
            Err(Halt::Cancelled) => return Ok(Err("it was stopped".to_owned())),
            Err(Halt::This(outcome)) => return Ok(Err(why(outcome))),
            Err(Halt::All(why)) => return Ok(Err(why)),
        };
        let target = project.path.join(&relative);
        let read = remote::read_reference(engine, &target, &untrusted.source, cancel)
            .and_then(|(seen, record)| Ok((seen, media(record, true)?)));
        let (seen, record) = match read {
            Ok(read) => read,
            Err(outcome) => return Ok(Err(why(outcome))),
        };
        let prepared = Prepared {
            source: target,
            evidence: seen,
            record,
            base: project.clone(),
            way: Way::Reference(relative.clone()),
        };
        let entered = engine.catalog.write(Durability::Full, |writer| {
            let now = writer.reader().item(item.row)?;
            if now.is_none_or(|now| now.place != item.place) {
                return Err(Refusal::This("it is elsewhere by now".to_owned()));
            }
            let place = see_reference(engine, writer, &prepared, &relative)?;
            let Some(row) = writer.reader().place(place)? else {
                return Err(Refusal::This("its copy was gone at once".to_owned()));
            };
            writer.record_content(place, row.generation, &prepared.record)?;
            Ok(writer.carry_item(item.row, place, hash)?)
        });
        match entered {
            Ok(true) => self.remove_carried(&file.source, &evidence),
            // Somebody else has it, too.
            Ok(false) => {}
            Err(Refusal::This(why)) => return Ok(Err(why)),
            Err(Refusal::Catalog(error)) => return Err(error),
        }
        Ok(Ok(()))
    }

    /// The file is with its project now. Another one that has its name by now stays.
    fn remove_carried(&self, path: &Path, was: &Evidence) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let removed = self.engine.root_here(parent).and_then(|root| {
            let folder = root
                .folder(Path::new(""))
                .map_err(|_| std::io::Error::from(std::io::ErrorKind::NotFound))?;
            match folder.look(name)? {
                Some(seen) if seen.evidence == *was => folder.remove(name),
                _ => Ok(()),
            }
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

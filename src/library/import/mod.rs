//! Import: files become items because somebody wants them to, by copy or where they are.
//!
//! What is named is turned into a list of files (`gather`), each is read for its facts and, by copy, written beside
//! its new name (`copy`), and then a batch of them is entered into the catalog in one transaction (`record`). What was
//! entered stays, whatever happens to the rest; what was not leaves nothing behind that a second import would not take
//! up. The same place again gives the same item.

mod carry;
mod copy;
mod drive;
mod dropped;
mod gather;
mod reading;
mod record;
mod relink;
mod remote;
mod search;
mod sources;
mod take;
mod there;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, Serializer};

use crate::catalog::{BaseKind, BaseNo, BaseRow, ItemRow, OperationDraft};
use crate::model::{MediaId, path_text, shown_name};
use crate::storage::Couriers;

use super::engine::Engine;
use super::error::LibraryError;
use super::owner::{Library, Which};
use super::progress::{Phase, Progress};
pub(crate) use carry::Carried;
pub(crate) use copy::numbered;
use copy::{Copier, Halt};
use gather::{Task, gather};
use record::{Prepared, prepare_reference, record};
use sources::Sources;
pub(crate) use sources::{carry_sources, is_of_this_machine};
use there::CopierThere;

pub(crate) use dropped::Dropped;
pub use relink::{Compared, RelinkError};
pub use search::{Found, Rank, SearchReport};
pub use take::TakeError;

/// Files that are entered together; a crash loses the acknowledgement of no more.
const TOGETHER: usize = 64;

/// Whether the bytes are copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ImportMode {
    /// Copied into a project; else left where they are.
    #[default]
    Default,
    /// Copied to the project's `Media/`, or to `<home>/Library/`.
    Copy,
    /// Left where they are.
    Reference,
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Into this project; else into the library.
    pub project: Option<BaseNo>,
    /// By copy or by reference.
    pub mode: ImportMode,
    /// The id that the item is to have; only with exactly one file.
    pub id: Option<MediaId>,
    /// The name, with extension, that the item is to have; only with exactly one file. Else the file's.
    pub name: Option<String>,
}

impl ImportOptions {
    /// Something was wished that only one file can have.
    fn is_for_one(&self) -> bool {
        self.id.is_some() || self.name.is_some()
    }

    /// Whether a folder becomes a library root, rather than each of its files being taken in.
    fn becomes_root(&self) -> bool {
        match self.mode {
            ImportMode::Default | ImportMode::Reference => self.project.is_none(),
            ImportMode::Copy => false,
        }
    }

    /// Why an item that is known already can't be what was wished for, if so.
    fn conflict(&self, item: &ItemRow) -> Option<String> {
        let wished = self.id.as_ref().filter(|id| **id != item.media_id)?;
        Some(format!(
            "it is the sound {} already, and an id never changes, so it cannot become {wished}",
            item.media_id
        ))
    }
}

/// What became of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is an item now.
    Imported,
    /// It was one.
    Already,
    /// It was left out: found in a folder, and nothing to import.
    Skipped(String),
    /// It could not be imported.
    Failed(String),
}

/// One file of an import. In JSON: `{mediaId, source, path, outcome}`, and `reason` where there is one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// Its item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_id: Option<MediaId>,
    /// The file that was named or found.
    #[serde(serialize_with = "as_text")]
    pub source: PathBuf,
    /// Where the item is on the drive, relative to the mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let (word, reason) = match self {
            Self::Imported => ("imported", None),
            Self::Already => ("already", None),
            Self::Skipped(reason) => ("skipped", Some(reason)),
            Self::Failed(reason) => ("failed", Some(reason)),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("outcome", word)?;
        if let Some(reason) = reason {
            map.serialize_entry("reason", reason)?;
        }
        map.end()
    }
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path_text(path))
}

impl Imported {
    fn item(source: &Path, item: &ItemRow, outcome: Outcome) -> Self {
        let path = format!("by-id/{}/{}", item.media_id, shown_name(&item.name));
        Self {
            media_id: Some(item.media_id.clone()),
            source: source.to_owned(),
            path: Some(path),
            outcome,
        }
    }

    /// Of a file that is an item already.
    fn known(source: &Path, item: &ItemRow, options: &ImportOptions) -> Self {
        match options.conflict(item) {
            Some(reason) => Self::failed(source, reason),
            None => Self::item(source, item, Outcome::Already),
        }
    }

    fn none(source: &Path, outcome: Outcome) -> Self {
        Self {
            media_id: None,
            source: source.to_owned(),
            path: None,
            outcome,
        }
    }

    fn failed(source: &Path, reason: impl Into<String>) -> Self {
        Self::none(source, Outcome::Failed(reason.into()))
    }
}

/// Who copies, by where to.
enum AnyCopier<'e> {
    Here(Copier<'e>),
    There(CopierThere<'e>),
}

/// One import under way.
struct Import<'e> {
    engine: &'e Engine,
    options: &'e ImportOptions,
    project: Option<BaseRow>,
    progress: &'e Progress,
    cancel: &'e AtomicBool,
    draft: &'e mut OperationDraft,
    /// With the number of the task that each is of.
    done: Vec<(usize, Imported)>,
    waiting: Vec<(usize, Prepared)>,
}

impl Library {
    /// Imports files and folders (with everything below them). Returns what became of each file that was dealt with
    /// before `cancel` said stop; importing again completes it.
    ///
    /// # Errors
    /// [`LibraryError::OneForMany`], [`LibraryError::OneForFolder`], [`LibraryError::NoProject`] before anything is done; [`LibraryError::Catalog`]
    /// when the catalog fails. What is wrong with single files is told with the file.
    pub fn import(
        &self,
        paths: &[PathBuf],
        options: &ImportOptions,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Vec<Imported>, LibraryError> {
        let mut draft = OperationDraft {
            kind: "import",
            ..OperationDraft::default()
        };
        self.import_noted(paths, options, &mut draft, progress, cancel)
    }

    /// As [`Library::import`], as an operation that the caller has drafted.
    ///
    /// # Errors
    /// As there.
    pub fn import_noted(
        &self,
        paths: &[PathBuf],
        options: &ImportOptions,
        draft: &mut OperationDraft,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Vec<Imported>, LibraryError> {
        let engine = &*self.engine;
        let _busy = engine.busy();
        // However it ends: a disk that was imported from can be unplugged.
        let _couriers = EndCouriers(&engine.couriers);
        progress.restart();
        progress.enter(Phase::Looking);
        let project = project_of(engine, options.project)?;
        if options.is_for_one() && paths.len() != 1 {
            return Err(LibraryError::OneForMany { count: paths.len() });
        }
        let tasks = gather(engine, paths, options, progress, cancel)?;
        let files = tasks.iter().filter(|task| task.is_file()).count();
        if let Some(name) = options.name.as_ref().filter(|name| !is_name(name)) {
            return Err(LibraryError::InvalidName {
                name: name.chars().take(80).collect(),
            });
        }
        progress.add_expected(u64::try_from(files).unwrap_or(u64::MAX));
        progress.enter(Phase::Copying);
        let mut import = Import {
            engine,
            options,
            project,
            progress,
            cancel,
            draft,
            done: Vec::new(),
            waiting: Vec::new(),
        };
        import.run(self, tasks)?;
        progress.enter(Phase::Idle);
        import.done.sort_by_key(|(task, _)| *task);
        Ok(import.done.into_iter().map(|(_, done)| done).collect())
    }
}

/// Ends couriers that nobody needs any more when it is dropped.
struct EndCouriers<'e>(&'e Couriers);

impl Drop for EndCouriers<'_> {
    fn drop(&mut self) {
        self.0.end_idle();
    }
}

/// Whether an item can have this name.
fn is_name(name: &str) -> bool {
    (1..=4096).contains(&name.len())
}

fn project_of(engine: &Engine, number: Option<BaseNo>) -> Result<Option<BaseRow>, LibraryError> {
    let Some(number) = number else {
        return Ok(None);
    };
    let base = engine.catalog.reader()?.base(number)?;
    match base.filter(|base| base.kind == BaseKind::Project) {
        Some(base) => Ok(Some(base)),
        None => Err(LibraryError::NoProject { number: number.0 }),
    }
}

impl<'e> Import<'e> {
    fn run(&mut self, library: &Library, tasks: Vec<Task>) -> Result<(), LibraryError> {
        let mut copier = None;
        let mut halted: Option<String> = None;
        for (number, task) in tasks.into_iter().enumerate() {
            if self.cancel.load(Ordering::Relaxed) {
                break;
            }
            let file = match task {
                Task::Answered(answer) => {
                    self.done.push((number, answer));
                    continue;
                }
                Task::Root(path) => {
                    self.flush()?;
                    self.root(number, library, &path)?;
                    continue;
                }
                Task::File(file) => file,
            };
            if let Some(reason) = &halted {
                let outcome = Outcome::Failed(reason.clone());
                self.refuse(number, &file.source, outcome);
                continue;
            }
            if !self.copies() {
                match prepare_reference(self.engine, &file, self.cancel) {
                    Ok(prepared) => self.waiting.push((number, prepared)),
                    Err(outcome) => self.refuse(number, &file.source, outcome),
                }
            } else {
                if copier.is_none() {
                    let made = self.copier()?;
                    // A folder of copies that is new is watched from now on.
                    if let AnyCopier::Here(made) = &made
                        && made.is_new
                    {
                        library.scan(&Which::One(made.base.row));
                    }
                    copier = Some(made);
                }
                let copied = match copier.as_mut() {
                    Some(AnyCopier::Here(copier)) => {
                        copier.prepare(&file, self.progress, self.cancel)?
                    }
                    Some(AnyCopier::There(copier)) => {
                        copier.prepare(&file, self.progress, self.cancel)?
                    }
                    None => break,
                };
                match copied {
                    Ok(copy::Copied::Ready(prepared)) => self.waiting.push((number, *prepared)),
                    Ok(copy::Copied::Known(item)) => {
                        self.progress.add_done(0);
                        let known = Imported::known(&file.source, &item, self.options);
                        self.done.push((number, known));
                    }
                    Err(Halt::Cancelled) => break,
                    Err(Halt::This(outcome)) => self.refuse(number, &file.source, outcome),
                    Err(Halt::All(reason)) => {
                        self.refuse(number, &file.source, Outcome::Failed(reason.clone()));
                        halted = Some(reason);
                    }
                }
            }
            if self.waiting.len() >= TOGETHER {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn copies(&self) -> bool {
        match self.options.mode {
            ImportMode::Default => self.project.is_some(),
            ImportMode::Copy => true,
            ImportMode::Reference => false,
        }
    }

    fn copier(&self) -> Result<AnyCopier<'e>, LibraryError> {
        let sources = Sources::read(self.engine, self.project.as_ref())?;
        if let Some(base) = &self.project
            && let Some(untrusted) = self.engine.untrusted_now(&base.path)
        {
            let to = untrusted.source;
            let copier = CopierThere::new(self.engine, base, to, self.options, sources);
            return Ok(AnyCopier::There(copier));
        }
        let copier = Copier::new(self.engine, self.project.as_ref(), self.options, sources)?;
        Ok(AnyCopier::Here(copier))
    }

    fn refuse(&mut self, number: usize, source: &Path, outcome: Outcome) {
        self.progress.add_failed();
        self.done.push((number, Imported::none(source, outcome)));
    }

    fn flush(&mut self) -> Result<(), LibraryError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (numbers, waiting): (Vec<usize>, Vec<Prepared>) =
            std::mem::take(&mut self.waiting).into_iter().unzip();
        let results = record(
            self.engine,
            self.project.as_ref(),
            self.options,
            self.draft,
            &waiting,
        )?;
        for (number, imported) in numbers.into_iter().zip(results) {
            match imported.outcome {
                Outcome::Failed(_) | Outcome::Skipped(_) => self.progress.add_failed(),
                Outcome::Imported | Outcome::Already => self.progress.add_done(0),
            }
            self.done.push((number, imported));
        }
        Ok(())
    }

    /// A folder that is to stay where it is becomes a library root, or lies in one.
    fn root(&mut self, number: usize, library: &Library, path: &Path) -> Result<(), LibraryError> {
        let base = match library.root_of(path, self.draft) {
            Ok(base) => base,
            Err(LibraryError::Catalog(error)) => return Err(error.into()),
            Err(error) => {
                let mut reason = error.to_string();
                if let Some(cause) = std::error::Error::source(&error) {
                    reason = format!("{reason}: {cause}");
                }
                self.done.push((number, Imported::failed(path, reason)));
                return Ok(());
            }
        };
        let before = record::items_below(self.engine, &base, path)?;
        let scanned = Progress::default();
        library.scan_base(&base, &scanned, self.cancel)?;
        for found in record::items_below(self.engine, &base, path)? {
            let (source, item) = match found {
                (source, Ok(item)) => (source, item),
                (source, Err(problem)) => {
                    self.done.push((number, Imported::failed(&source, problem)));
                    continue;
                }
            };
            let known = before
                .iter()
                .any(|(_, old)| old.as_ref().is_ok_and(|old| old.row == item.row));
            let outcome = if known {
                Outcome::Already
            } else {
                Outcome::Imported
            };
            self.done
                .push((number, Imported::item(&source, &item, outcome)));
        }
        let left_out = self.engine.problems.all(0, usize::MAX).into_iter();
        for (source, reason) in left_out.filter(|(source, _)| source.starts_with(path)) {
            let skipped = Imported::none(&source, Outcome::Skipped(reason));
            self.done.push((number, skipped));
        }
        Ok(())
    }
}

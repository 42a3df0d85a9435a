//! Entering prepared files into the catalog, a batch in one durable transaction.
//!
//! A copy gets its name inside the transaction, under the writer's lock: so the watcher never sees a copy that is not
//! yet an item. Should the process die between, the next import finds the copy and takes it up (`copy`).

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::catalog::{
    BaseKind, BaseNo, BaseRow, CatalogError, Durability, Evidence, FolderNo, ItemRow, Nanoseconds,
    NewItem, Observation, Observed, OperationDraft, PlaceKind, PlaceNo, ProbeRecord, Reader,
    Writer,
};
use crate::control::rpc::one_line;
use crate::library::disk::{Entry, LocalFolder, LocalRoot, evidence_of};
use crate::library::engine::Engine;
use crate::library::watching::base_of;
use crate::model::{ObjectHash, Origin, display_name};

use super::copy::{Temporary, numbered};
use super::gather::{Source, Through};
use super::reading::{media, read_source};
use super::{ImportOptions, Imported, Outcome, remote};

/// A file that was read, and by copy written; to be entered.
pub(super) struct Prepared {
    pub(super) source: PathBuf,
    pub(super) evidence: Evidence,
    pub(super) record: ProbeRecord,
    pub(super) base: BaseRow,
    pub(super) way: Way,
}

pub(super) enum Way {
    /// It stays where it is, at this path below the base.
    Reference(PathBuf),
    /// It was copied.
    Copy {
        temporary: Temporary,
        /// A copy that is there already, of an import that died.
        unclaimed: Option<std::ffi::OsString>,
    },
    /// It was copied by a courier, to this path below the base, and has its name; `source` is the copy.
    CopyThere {
        relative: PathBuf,
        /// What was copied.
        from: PathBuf,
        origin: super::sources::Origin,
    },
}

impl Prepared {
    /// The file that was named or found.
    fn from(&self) -> &Path {
        match &self.way {
            Way::CopyThere { from, .. } => from,
            Way::Reference(_) | Way::Copy { .. } => &self.source,
        }
    }
}

/// Why one file of a batch was not entered.
pub(super) enum Refusal {
    This(String),
    Catalog(CatalogError),
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        match error {
            // Told before anything was written: the others go on.
            CatalogError::IdTaken { .. }
            | CatalogError::NotMedia { .. }
            | CatalogError::InvalidName { .. } => Self::This(error.to_string()),
            other => Self::Catalog(other),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::This(format!("it could not be entered: {error}"))
    }
}

/// Reads what a file is, and what the disk says of it.
pub(super) fn read_facts_of(
    engine: &Engine,
    file: &Source,
    cancel: &AtomicBool,
) -> Result<(Evidence, ProbeRecord), Outcome> {
    match &file.through {
        Through::Here => {
            let (opened, evidence, record) = read_source(engine, file)?;
            if evidence_of(&opened.file).ok() != Some(evidence) {
                return Err(Outcome::Failed(CHANGED.to_owned()));
            }
            Ok((evidence, record))
        }
        Through::Courier(source) => {
            let (evidence, record) = remote::read_reference(engine, &file.source, source, cancel)?;
            Ok((evidence, media(record, file.named)?))
        }
    }
}

/// Reads a file that stays where it is.
pub(super) fn prepare_reference(
    engine: &Engine,
    file: &Source,
    cancel: &AtomicBool,
) -> Result<Prepared, Outcome> {
    let (evidence, record) = read_facts_of(engine, file, cancel)?;
    let failed = |error: CatalogError| Outcome::Failed(error.to_string());
    let reader = engine.catalog.reader().map_err(failed)?;
    let bases: Vec<BaseRow> = reader.bases().map_err(failed)?;
    // In a root, or in a project's folder: there; else by its absolute path.
    let on = engine.sources.of_path(&file.source);
    let on = on.map_err(|error| Outcome::Failed(one_line(&error)))?;
    let source = on.as_ref().map(|on| on.source.row);
    // A source may be mounted a second time elsewhere.
    let place = on
        .as_ref()
        .map_or_else(|| file.source.clone(), |on| on.source.path.join(&on.inside));
    let (homes, others): (Vec<BaseRow>, Vec<BaseRow>) = bases
        .into_iter()
        .filter(|base| !matches!(base.kind, BaseKind::Computer | BaseKind::Source))
        .filter(|base| base.source == source)
        .partition(|base| base.active);
    let known = match base_of(&homes, &place) {
        Some((base, relative)) => Some((base.clone(), relative)),
        None => known_in(&reader, &others, &place).map_err(failed)?,
    };
    drop(reader);
    let (base, relative) = match known {
        Some(known) => known,
        None => {
            // By its path on its source, wherever that is mounted; or on this computer.
            let base = engine
                .write(Durability::Full, |writer| match source {
                    Some(source) => writer.base_of_source(source),
                    None => writer.computer(&place),
                })
                .map_err(failed)?;
            let relative = place.strip_prefix(&base.path);
            let relative = relative.map_err(|e| Outcome::Failed(e.to_string()))?;
            (base.clone(), relative.to_owned())
        }
    };
    Ok(Prepared {
        source: file.source.clone(),
        evidence,
        record,
        base,
        way: Way::Reference(relative),
    })
}

/// The library root that was forgotten and knows this file as a sound: it stays that one.
fn known_in(
    reader: &Reader,
    bases: &[BaseRow],
    file: &Path,
) -> Result<Option<(BaseRow, PathBuf)>, CatalogError> {
    for base in bases.iter().filter(|base| base.kind == BaseKind::Library) {
        let Ok(relative) = file.strip_prefix(&base.path) else {
            continue;
        };
        let (Some(parent), Some(name)) = (relative.parent(), relative.file_name()) else {
            continue;
        };
        if let Some(folder) = Engine::find_folder(reader, base, parent)?
            && let Some((place, _)) = reader.child_place(folder, name)?
            && place.name == name
            && !reader.items_of(place.row)?.is_empty()
        {
            return Ok(Some((base.clone(), relative.to_owned())));
        }
    }
    Ok(None)
}

const CHANGED: &str = "it changed while it was read; import it again when nothing writes to it";

/// Enters a batch; what became of each, in order.
pub(super) fn record(
    engine: &Engine,
    project: Option<&BaseRow>,
    options: &ImportOptions,
    draft: &mut OperationDraft,
    batch: &[Prepared],
) -> Result<Vec<Imported>, CatalogError> {
    let enter_all = |writer: &mut Writer| {
        let mut entered = Vec::with_capacity(batch.len());
        for prepared in batch {
            match enter(engine, writer, project, options, prepared) {
                Ok(done) => entered.push(done),
                Err(Refusal::Catalog(error)) => return Err(error),
                Err(Refusal::This(reason)) => {
                    entered.push(Imported::failed(prepared.from(), reason));
                }
            }
        }
        // The names are on the disk before the items are.
        let mut last: Option<&Path> = None;
        for prepared in batch {
            if let Way::Copy { temporary, .. } = &prepared.way
                && last != Some(&temporary.folder_path)
            {
                last = Some(&temporary.folder_path);
                if let Err(error) = temporary.folder.sync() {
                    tracing::warn!(%error, "a folder of copies could not be brought to the disk");
                }
            }
        }
        Ok(entered)
    };
    let entered = engine.write(Durability::Full, |writer| writer.operate(draft, enter_all))?;
    for prepared in batch {
        // A sound that was referenced outside of all roots is watched from now on.
        if let (Way::Reference(path), BaseKind::Computer) = (&prepared.way, prepared.base.kind)
            && let Some(parent) = path.parent()
            && engine.untrusted_file(&prepared.source).is_none()
        {
            engine.watch(&prepared.base, &prepared.base.path.join(parent));
        }
    }
    Ok(entered)
}

fn enter(
    engine: &Engine,
    writer: &mut Writer,
    project: Option<&BaseRow>,
    options: &ImportOptions,
    prepared: &Prepared,
) -> Result<Imported, Refusal> {
    let scope = project.map(|base| base.row);
    let (place, hash, copied) = match &prepared.way {
        Way::Reference(relative) => {
            let place = see_reference(engine, writer, prepared, relative)?;
            (place, None, None)
        }
        Way::CopyThere {
            relative, origin, ..
        } => {
            let place = see_reference(engine, writer, prepared, relative)?;
            (place, Some(origin.hash()), Some(origin))
        }
        Way::Copy {
            temporary,
            unclaimed,
        } => {
            if let Some(id) = &options.id
                && let Some(taken) = writer.reader().item_in_scope(id, scope)?
            {
                let media_id = id.clone();
                let name = taken.name;
                return Err(CatalogError::IdTaken { media_id, name }.into());
            }
            let root = engine.root_here(&prepared.base.path)?;
            let place = see_copy(writer, &root, prepared, temporary, unclaimed.as_deref())?;
            let origin = &temporary.origin;
            (place, Some(origin.hash()), Some(origin))
        }
    };
    let generation = match writer.reader().place(place)? {
        Some(row) => row.generation,
        None => return Err(Refusal::This("it was gone at once".to_owned())),
    };
    writer.record_content(place, generation, &prepared.record)?;
    let before = writer.reader().item_at(place, scope)?;
    let (item, outcome) = match before {
        Some(item) => {
            if let Some(reason) = options.conflict(&item) {
                return Err(Refusal::This(reason));
            }
            // Again there, or taken up: new to whoever imports it.
            let outcome = match copied {
                Some(_) => Outcome::Imported,
                None => Outcome::Already,
            };
            (item.row, outcome)
        }
        None => {
            let item = new_item(options, prepared, place, scope, hash, copied.is_some());
            (writer.add_item(&item)?, Outcome::Imported)
        }
    };
    if let Some(origin) = copied {
        origin.remember(writer, item)?;
    }
    match writer.reader().item(item)? {
        Some(row) => Ok(Imported::item(prepared.from(), &row, outcome)),
        None => Err(Refusal::This("its item is gone".to_owned())),
    }
}

fn new_item(
    options: &ImportOptions,
    prepared: &Prepared,
    place: PlaceNo,
    project: Option<crate::catalog::BaseNo>,
    blake3: Option<ObjectHash>,
    copied: bool,
) -> NewItem {
    let name = prepared.from().file_name().unwrap_or_default();
    let own = display_name(name.as_encoded_bytes());
    NewItem {
        media_id: options.id.clone().unwrap_or_default(),
        project,
        name: options.name.clone().unwrap_or(own),
        origin: if copied {
            Origin::Imported
        } else {
            Origin::Reference
        },
        place,
        blake3,
    }
}

pub(super) fn see_reference(
    engine: &Engine,
    writer: &mut Writer,
    prepared: &Prepared,
    relative: &Path,
) -> Result<PlaceNo, Refusal> {
    let gone = || Refusal::This("it is not there any more".to_owned());
    let parent = relative.parent().unwrap_or_else(|| Path::new(""));
    let name = relative.file_name().ok_or_else(gone)?;
    if engine.untrusted_file(&prepared.source).is_some() {
        // Nobody waits for a courier under the catalog's lock: what it has just said of the file counts.
        let mut folder = prepared.base.top;
        for part in parent {
            folder = match writer.reader().child_folder(folder, part)? {
                Some(known) if known.name == part => known.row,
                // A look at it tells when its list was changed.
                _ => writer.folder(folder, part, Nanoseconds(0))?,
            };
        }
        return Ok(observe(writer, folder, name, prepared.evidence)?);
    }
    let root = engine.root_above(&prepared.base.path, relative)?;
    let folder = Engine::ensure_folder(writer, &root, &prepared.base, parent)?.ok_or_else(gone)?;
    let handle = root.folder(parent).map_err(|_| gone())?;
    let seen = handle.look(name)?.ok_or_else(gone)?;
    if seen.entry != Entry::File || !seen.evidence.same_bytes(&prepared.evidence) {
        return Err(Refusal::This(CHANGED.to_owned()));
    }
    Ok(observe(writer, folder, name, seen.evidence)?)
}

fn see_copy(
    writer: &mut Writer,
    root: &LocalRoot,
    prepared: &Prepared,
    temporary: &Temporary,
    unclaimed: Option<&OsStr>,
) -> Result<PlaceNo, Refusal> {
    let failed = || Refusal::This("the folder of copies is gone".to_owned());
    if let Some(place) = restored(writer, prepared.base.row, root, temporary)? {
        return Ok(place);
    }
    let path = &temporary.folder_path;
    let folder = Engine::ensure_folder(writer, root, &prepared.base, path)?.ok_or_else(failed)?;
    let handle = &temporary.folder;
    let wanted = prepared.source.file_name().ok_or_else(failed)?;
    let name = match unclaimed {
        Some(name) => name.to_owned(),
        None => name_copy(writer, handle, temporary, folder, wanted)?,
    };
    let seen = handle.look(&name)?.ok_or_else(failed)?;
    Ok(observe(writer, folder, &name, seen.evidence)?)
}

/// Gives a copy the first name that nobody has, or had: an item that is missing keeps its place.
fn name_copy(
    writer: &Writer,
    handle: &LocalFolder,
    temporary: &Temporary,
    folder: FolderNo,
    wanted: &OsStr,
) -> Result<std::ffi::OsString, Refusal> {
    for n in 1..=u32::MAX {
        let name = numbered(wanted, n);
        let known = writer.reader().child_place(folder, &name)?;
        if let Some((row, _)) = known.filter(|(row, _)| row.name == name)
            && !writer.reader().items_of(row.row)?.is_empty()
        {
            continue;
        }
        if temporary.is_taken(&name) {
            continue;
        }
        match handle.name_file(&temporary.name, &name) {
            Ok(()) => {
                temporary.keep(&name);
                return Ok(name);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::This("no name is free".to_owned()))
}

/// Puts the copy of an item whose file was lost back to its place, if that is free.
fn restored(
    writer: &mut Writer,
    base: BaseNo,
    root: &LocalRoot,
    temporary: &Temporary,
) -> Result<Option<PlaceNo>, Refusal> {
    let Some(place) = temporary.restores else {
        return Ok(None);
    };
    let Some(row) = writer.reader().place(place)? else {
        return Ok(None);
    };
    let Some((_, path)) = writer.reader().path_of(&row)? else {
        return Ok(None);
    };
    let (Some(folder), Some(parent)) = (row.folder, path.parent()) else {
        return Ok(None);
    };
    // A copy that was moved to another folder since: then this is a new one.
    if row.base != base || parent != temporary.folder_path {
        return Ok(None);
    }
    let Ok(handle) = root.folder(parent) else {
        return Ok(None);
    };
    match handle.name_file(&temporary.name, &row.name) {
        Ok(()) => temporary.keep(&row.name),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    match handle.look(&row.name)? {
        Some(seen) => Ok(Some(observe(writer, folder, &row.name, seen.evidence)?)),
        None => Ok(None),
    }
}

fn observe(
    writer: &mut Writer,
    folder: FolderNo,
    name: &OsStr,
    evidence: Evidence,
) -> Result<PlaceNo, CatalogError> {
    let seen = Observation {
        kind: PlaceKind::File,
        evidence,
    };
    Ok(match writer.observe(folder, name, &seen)? {
        Observed::New(place)
        | Observed::Unchanged(place)
        | Observed::Changed(place)
        | Observed::Returned(place) => place,
    })
}

/// Items, and files that could not be read, below a folder of a base: by path.
type Below = Vec<(PathBuf, Result<ItemRow, String>)>;

/// What the catalog knows below `path`.
pub(super) fn items_below(
    engine: &Engine,
    base: &BaseRow,
    path: &Path,
) -> Result<Below, CatalogError> {
    const PAGE: u32 = 1000;
    let reader = engine.catalog.reader()?;
    let relative = path.strip_prefix(&base.path).unwrap_or(Path::new(""));
    let Some(top) = Engine::find_folder(&reader, base, relative)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut folders = vec![(top, path.to_owned())];
    while let Some((folder, path)) = folders.pop() {
        let mut after = 0;
        loop {
            let page = reader.list_places(folder, after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = last.row.0;
            for (place, item) in page {
                let path = path.join(&place.name);
                match (item, place.problem) {
                    (Some(item), _) => found.push((path, Ok(item))),
                    (None, Some(problem)) => found.push((path, Err(problem))),
                    (None, None) => {}
                }
            }
        }
        let mut after = 0;
        loop {
            let page = reader.list_folders(folder, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.row.0;
            folders.extend(page.iter().map(|row| (row.row, path.join(&row.name))));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

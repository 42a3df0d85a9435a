//! Opening a project: what its manifest says, and the copies beside it, is brought into the catalog, and its folder is
//! looked at from then on.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use mediafs_platform::files::identity;

use super::document::Document;
use super::merge::{self, Merged};
use super::shelf::{Found, MANIFEST, PREVIOUS, Shelf};
use super::{ManifestError, ProjectError, SAVING, apply, entry, hash_of, prepare, resolved, save};
use crate::catalog::{
    BaseKind, BaseNo, BaseRow, CatalogError, Durability, Hold, ItemNo, OperationDraft, ProjectState,
};
use crate::library::{Library, Which};
use crate::model::{ObjectHash, ProjectId, SourceNo, display_name};

/// Copies of a manifest that are merged at once; a folder with more is not what it seems.
const MOST_COPIES: usize = 100;
/// Files by which a folder that was moved is known again.
const MOST_COMPARED: u32 = 1000;

/// How a project is to be opened.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// It is the one that the host works in.
    pub focused: bool,
    /// The revision that the host wants; any, if none.
    pub revision: Option<String>,
    /// The manifest before the present one is to be opened.
    pub previous: bool,
    /// A folder that is no project is refused, instead of becoming one.
    pub only_known: bool,
}

/// What opening a project gave.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The project.
    pub base: BaseRow,
    /// What its manifest says of itself.
    pub state: ProjectState,
    /// Its storage is not there: what is known of it is shown.
    pub away: bool,
    /// The manifest before the present one was read, because of this.
    pub instead_of: Option<String>,
    /// Copies by sync clients that were merged.
    pub merged: Vec<Merged>,
    /// Entries that are held back.
    pub held: Vec<Hold>,
    /// How many items came with it that were not known.
    pub added: usize,
    /// Items that the user allows, and that could not be had from where they are to be, and why.
    pub not_followed: Vec<String>,
}

/// Opens the project in the folder `path`: what it has of media is scanned and watched from now on, and its items are
/// on the drive. A folder without a manifest becomes a project, named after the folder. `focused`: it is the one that
/// the host works in.
///
/// # Errors
/// [`ProjectError`]; a manifest that can't be read is never written over.
pub fn open(library: &Library, path: &Path, focused: bool) -> Result<BaseRow, ProjectError> {
    let wish = Wish {
        focused,
        ..Wish::default()
    };
    Ok(open_as(library, path, &wish)?.base)
}

/// As [`open`], as it is wished.
///
/// # Errors
/// As there.
pub fn open_as(library: &Library, path: &Path, wish: &Wish) -> Result<Opening, ProjectError> {
    let failed = |source| ProjectError::Folder {
        path: path.to_owned(),
        source,
    };
    let absolute = std::path::absolute(path).map_err(failed)?;
    if let Some(known) = away(library, &absolute)? {
        library.catalog().write(Durability::Full, |writer| {
            writer.set_active(known.row, true, wish.focused || known.focused)
        })?;
        return opened(library, known.row, true);
    }
    let folder = resolved(library, &absolute)?;
    if wish.only_known
        && Shelf::new(library, &folder)
            .manifest()
            .map_err(failed)?
            .is_none()
    {
        return Err(ProjectError::NoProject { path: folder });
    }
    let prepared = if library.untrusted(&folder).is_some() {
        let there = library.project_there(&folder)?;
        Prepared {
            folder: there.folder,
            id: there.id,
            name: there.name,
            on: Some(there.on),
        }
    } else {
        let name = folder.file_name().unwrap_or_else(|| "Project".as_ref());
        let (id, name) = prepare(&folder, &display_name(name.as_encoded_bytes()))?;
        let on = None;
        Prepared {
            folder,
            id,
            name,
            on,
        }
    };
    prepared.open(library, wish)
}

/// A known project on storage that is not there.
fn away(library: &Library, path: &Path) -> Result<Option<BaseRow>, CatalogError> {
    let catalog = library.catalog();
    let is_away = |source| !catalog.source_state(source).is_online();
    let mut bases = catalog.reader()?.bases()?.into_iter();
    Ok(bases.find(|base| {
        base.kind == BaseKind::Project && base.path == path && base.source.is_some_and(is_away)
    }))
}

/// A project that was found.
struct Prepared {
    folder: PathBuf,
    id: ProjectId,
    name: String,
    /// The source on which it lies, and where on it; `None` on trusted storage.
    on: Option<(SourceNo, PathBuf)>,
}

/// What a manifest and its copies say.
struct Read {
    document: Document,
    /// Hash of the text that it was read from, without what the copies say.
    hash: ObjectHash,
    instead_of: Option<String>,
    copies: Vec<Merged>,
}

impl Prepared {
    fn open(self, library: &Library, wish: &Wish) -> Result<Opening, ProjectError> {
        let shelf = Shelf::new(library, &self.folder);
        // A save in between would be undone by what is recorded here.
        let one_at_a_time = SAVING.lock();
        shelf.clear_abandoned();
        let read = self.read(&shelf, wish)?;
        let base = self.register(library, wish.focused)?;
        let before = library.catalog().reader()?.project_state(base.row)?;
        let mut applied = apply::Applied::default();
        let is_new = !before.knows(read.hash)
            || wish.previous
            || !read.copies.is_empty()
            || self.went_back(&shelf, &before, read.hash)?;
        if is_new {
            applied = apply::apply(library, &base, &read.document, wish.previous)?;
        } else {
            // An earlier version has taken it in without.
            entry::keep(library, &base, &read.document)?;
        }
        let state = ProjectState {
            revision: read.document.revision.clone(),
            document: read.document.document.clone(),
            ..match is_new {
                true => ProjectState {
                    manifest: Some(read.hash),
                    previous: before.manifest,
                    ..ProjectState::default()
                },
                false => before.clone(),
            }
        };
        if state != before {
            library.catalog().write(Durability::Full, |writer| {
                writer.set_project_state(base.row, &state)
            })?;
        }
        library.look_at_told(&applied.told)?;
        let mut merged = read.copies;
        for copy in &mut merged {
            copy.only_what_came(&applied);
        }
        if !merged.is_empty() {
            save::write(library, &base, &shelf, Some(read.document), None)?;
            set_aside(&shelf, &mut merged);
        }
        drop(one_at_a_time);
        let not_followed = follow(library, &applied.follow);
        library.scan(&Which::One(base.row));
        let mut opening = opened(library, base.row, false)?;
        opening.instead_of = read.instead_of;
        opening.merged = merged;
        opening.added = applied.added.len();
        opening.not_followed = not_followed;
        Ok(opening)
    }

    /// The manifest before the present one was opened last, and nobody has saved since: the present one counts again.
    fn went_back(
        &self,
        shelf: &Shelf<'_>,
        before: &ProjectState,
        present: ObjectHash,
    ) -> Result<bool, ProjectError> {
        if before.previous != Some(present) || before.manifest == Some(present) {
            return Ok(false);
        }
        let kept = shelf.read(PREVIOUS.as_ref());
        let kept = kept.map_err(|source| ManifestError::Io {
            path: shelf.folder.join(PREVIOUS),
            doing: "read",
            source,
        })?;
        Ok(kept.as_deref().map(hash_of) == before.manifest)
    }

    /// The manifest that is wished for, with the copies beside it.
    fn read(&self, shelf: &Shelf<'_>, wish: &Wish) -> Result<Read, ProjectError> {
        let path = shelf.folder.join(MANIFEST);
        let failed = |source| ManifestError::Io {
            path: path.clone(),
            doing: "read",
            source,
        };
        let fault = |fault| ManifestError::Fault {
            path: path.clone(),
            fault,
        };
        let found = shelf.manifest().map_err(failed)?;
        let Some(found) = found.transpose().map_err(fault)? else {
            return Err(failed(io::ErrorKind::NotFound.into()).into());
        };
        let Found {
            mut document,
            text,
            instead_of,
        } = found;
        let mut hash = hash_of(&text);
        let before = || -> Result<Option<(Document, Vec<u8>)>, ProjectError> {
            let previous = shelf.parsed(PREVIOUS).map_err(failed)?;
            Ok(previous.and_then(Result::ok))
        };
        if wish.previous {
            let text;
            (document, text) = before()?.ok_or_else(|| ProjectError::Revision {
                path: shelf.folder.clone(),
                wanted: "the previous one".to_owned(),
                found: document.revision.clone(),
                previous: None,
            })?;
            // The present one stays unknown: the next save takes over what only that has.
            hash = hash_of(&text);
        }
        if let Some(wanted) = &wish.revision
            && document.revision.as_ref() != Some(wanted)
        {
            return Err(ProjectError::Revision {
                path: shelf.folder.clone(),
                wanted: wanted.clone(),
                found: document.revision,
                previous: match wish.previous {
                    true => None,
                    false => before()?.and_then(|(previous, _)| previous.revision),
                },
            });
        }
        let names = shelf.names().map_err(failed)?;
        let mut copies = Vec::new();
        for name in names.iter().filter(|name| merge::may_be_copy(name)) {
            let Some(copy) = self.copy(shelf, name) else {
                continue;
            };
            copies.push(Merged {
                file: name.to_string_lossy().into_owned(),
                ..document.absorb(&copy)
            });
            if copies.len() >= MOST_COPIES {
                break;
            }
        }
        Ok(Read {
            document,
            hash,
            instead_of,
            copies,
        })
    }

    /// What a copy of the manifest says, if it is one, and of this project.
    fn copy(&self, shelf: &Shelf<'_>, name: &OsStr) -> Option<Document> {
        let text = shelf.read(name).ok().flatten()?;
        let document = Document::parse(&text).ok()?;
        (document.project_id == self.id).then_some(document)
    }

    fn register(&self, library: &Library, focused: bool) -> Result<BaseRow, ProjectError> {
        let mut others = others(library, &self.id, &self.folder)?;
        if self.on.is_none() {
            others.extend(less_like(library, &self.id, &self.folder, &others)?);
        }
        let base = library.catalog().write(Durability::Full, |writer| {
            let base = writer.add_project_beside(&self.id, &self.name, &self.folder, &others)?;
            let on = self.on.as_ref();
            let (source, inside) = (on.map(|on| on.0), on.map(|on| on.1.as_path()));
            if base.source != source || inside.is_some_and(|inside| base.inside != inside) {
                writer.set_base_source(base.row, source.zip(inside))?;
            }
            // Opened again, it stays the one that the host works in.
            writer.set_active(base.row, true, focused || base.focused)?;
            Ok::<_, CatalogError>(base.row)
        })?;
        there_is(library, base)
    }
}

/// The known projects of this id whose folders are elsewhere, and still that project's: what is in `folder` is a copy of
/// theirs, or theirs of this. Of a folder on storage that is not there nobody can say; so it counts.
fn others(library: &Library, id: &ProjectId, folder: &Path) -> Result<Vec<BaseNo>, CatalogError> {
    let catalog = library.catalog();
    let bases = catalog.reader()?.bases()?.into_iter();
    let elsewhere = bases.filter(|base| base.project.as_ref() == Some(id) && base.path != folder);
    let still = elsewhere.filter(|base| match base.source {
        Some(source) if !catalog.source_state(source).is_online() => true,
        _ => match Shelf::new(library, &base.path).manifest() {
            Ok(Some(Ok(found))) => found.document.project_id == *id,
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        },
    });
    Ok(still.map(|base| base.row).collect())
}

/// Of known projects of this id whose folders are no more, all but the one whose files these are. Those of copies have the
/// same names, but not the same inodes.
fn less_like(
    library: &Library,
    id: &ProjectId,
    folder: &Path,
    others: &[BaseNo],
) -> Result<Vec<BaseNo>, CatalogError> {
    let reader = library.catalog().reader()?;
    let bases: Vec<BaseRow> = reader
        .bases()?
        .into_iter()
        .filter(|base| base.project.as_ref() == Some(id) && !others.contains(&base.row))
        .collect();
    if bases.len() < 2 || bases.iter().any(|base| base.path == folder) {
        return Ok(Vec::new());
    }
    let mut best: Option<(BaseNo, usize)> = None;
    for base in &bases {
        let files = reader.inodes_in(base.row, MOST_COMPARED)?;
        let same = files.iter().filter(|(path, inode)| {
            let there = identity(&folder.join(path));
            there.is_ok_and(|there| there.inode == *inode)
        });
        let same = same.count();
        if same > best.map_or(0, |(_, most)| most) {
            best = Some((base.row, same));
        }
    }
    let Some((best, _)) = best else {
        return Ok(Vec::new());
    };
    let rows = bases.iter().map(|base| base.row);
    Ok(rows.filter(|row| *row != best).collect())
}

/// Copies that were merged get a name under which they are not merged again.
fn set_aside(shelf: &Shelf<'_>, merged: &mut [Merged]) {
    let mut number = 1;
    for copy in merged {
        while number < 10_000 {
            let aside = merge::aside(number);
            number += 1;
            match shelf.rename(copy.file.as_ref(), &aside) {
                Ok(()) => {
                    copy.set_aside = Some(aside.to_string_lossy().into_owned());
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    tracing::warn!(%error, file = copy.file, "a merged copy of a manifest stays where it is");
                    break;
                }
            }
        }
    }
}

/// Takes items from where they are to be, as the user allows it.
fn follow(library: &Library, items: &[(ItemNo, PathBuf)]) -> Vec<String> {
    let mut not = Vec::new();
    let mut draft = OperationDraft::new("relink", "took sounds from where their project has them");
    for (item, path) in items {
        if let Err(error) = library.relink(*item, path, &mut draft) {
            not.push(format!("{}: {error}", path.display()));
        }
    }
    not
}

fn opened(library: &Library, base: BaseNo, away: bool) -> Result<Opening, ProjectError> {
    let reader = library.catalog().reader()?;
    Ok(Opening {
        base: there_is(library, base)?,
        state: reader.project_state(base)?,
        away,
        instead_of: None,
        merged: Vec::new(),
        held: reader.held(base)?,
        added: 0,
        not_followed: Vec::new(),
    })
}

fn there_is(library: &Library, base: BaseNo) -> Result<BaseRow, ProjectError> {
    let row = library.catalog().reader()?.base(base)?;
    row.ok_or(ProjectError::Catalog(CatalogError::Unknown {
        what: "base",
        number: base.0,
    }))
}

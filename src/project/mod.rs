//! Projects: folders with a manifest, `media.json`, that says which project it is and what it has of media.
//!
//! The catalog is where a project's items live while it is worked with: whatever is done to them is on the disk there
//! before it is acknowledged, so what was not saved survives a crash. *Saving* writes what the catalog knows into the
//! manifest (`save`, `gather`); *opening* brings what a manifest says into the catalog (`open`, `apply`), on a machine that
//! never saw it too. A manifest that is as it was when it was read or written last has nothing new.
//!
//! A project is known by its id and its place. A folder with a known id at another place is that project, moved, if the
//! folder that was known is no more; else it is a copy, a project of its own with the same ids in it. On storage that is
//! not trusted couriers read and write (`shelf`).
#![doc = include_str!("SEMANTICS.md")]

mod apply;
mod check;
mod collect;
mod document;
mod draft;
mod entry;
mod error;
mod fields;
pub(crate) mod files;
mod gather;
mod merge;
mod names;
mod open;
mod save;
mod save_as;
mod share;
mod shelf;
pub(crate) mod takes;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::catalog::{BaseNo, BaseRow, Durability};
use crate::library::Library;
use crate::model::{ObjectHash, ProjectId};

pub use document::{Document, Fault};
pub(crate) use document::{is_id, is_name};
pub use draft::{NewDraft, save_draft};
pub use error::{ManifestError, ProjectError};
pub(crate) use files::temporary;
pub use merge::Merged;
pub use open::{Opening, Wish, open, open_as};
pub use save::{Revision, Saved, export, is_unsaved, save};
pub use save_as::{SaveAs, SavedAs, save_as};
pub use share::{promote, promote_noted, use_item, use_item_noted};
use shelf::{MANIFEST, PREVIOUS, Shelf};

/// Where a project's own media are, below its folder.
const MEDIA: &str = "Media";

/// One writes manifests at a time.
static SAVING: Mutex<()> = Mutex::new(());

/// Makes a project in the folder `path`, which is made where it is not there, and named after it.
///
/// # Errors
/// [`ProjectError::Exists`] and others.
pub fn new(library: &Library, path: &Path, focused: bool) -> Result<Opening, ProjectError> {
    new_named(library, path, None, focused)
}

/// As [`new`], of this name.
///
/// # Errors
/// As there; [`ProjectError::Unfit`] for a name that no project can have.
pub fn new_named(
    library: &Library,
    path: &Path,
    name: Option<&str>,
    focused: bool,
) -> Result<Opening, ProjectError> {
    if name.is_some_and(|name| name.trim().is_empty() || !is_name(name)) {
        let why = "the name of a project is 1 to 1,024 bytes long";
        return Err(ProjectError::Unfit(why.to_owned()));
    }
    let failed = |source| ProjectError::Folder {
        path: path.to_owned(),
        source,
    };
    let absolute = std::path::absolute(path).map_err(failed)?;
    if library.untrusted(&absolute).is_none() {
        std::fs::create_dir_all(&absolute).map_err(failed)?;
    } else if library.project_folder_there(&absolute).is_err() {
        library.make_folder_there(&absolute).map_err(failed)?;
    }
    let folder = resolved(library, &absolute)?;
    let shelf = Shelf::new(library, &folder);
    if shelf.manifest().map_err(failed)?.is_some() {
        return Err(ProjectError::Exists { path: folder });
    }
    if let Some(name) = name {
        // Whoever opens a folder without a manifest names it after the folder.
        let text = Document::new(ProjectId::new(), name)
            .text()
            .map_err(|error| failed(io::Error::other(error)))?;
        match shelf.write_new(&text) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(ProjectError::Exists { path: folder });
            }
            written => written.map_err(failed)?,
        }
    }
    let wish = Wish {
        focused,
        ..Wish::default()
    };
    open_as(library, &folder, &wish)
}

/// By what a text is known again.
fn hash_of(text: &[u8]) -> ObjectHash {
    ObjectHash(*blake3::hash(text).as_bytes())
}

/// Where a folder is, without links.
fn resolved(library: &Library, absolute: &Path) -> Result<PathBuf, ProjectError> {
    let failed = |source| ProjectError::Folder {
        path: absolute.to_owned(),
        source,
    };
    if library.untrusted(absolute).is_some() {
        return Ok(library.project_folder_there(absolute)?);
    }
    mediafs_platform::files::canonical(absolute).map_err(failed)
}

/// The id and name of the project in a folder, and its folder for media: both are made where there is none. The folder is
/// on storage that this process may touch.
///
/// # Errors
/// [`ProjectError`].
pub(crate) fn prepare(folder: &Path, name: &str) -> Result<(ProjectId, String), ProjectError> {
    let path = folder.join(MANIFEST);
    let failed = |doing| {
        let path = path.clone();
        move |source: io::Error| ManifestError::Io {
            path,
            doing,
            source,
        }
    };
    let parsed = |name: &str| -> Result<_, ManifestError> {
        let text = files::read(folder, name.as_ref(), document::LONGEST).map_err(failed("read"))?;
        Ok(text.map(|text| Document::parse(&text)))
    };
    let mut made = None;
    // Twice: somebody may make one at the same time, and theirs counts.
    for _ in 0..2 {
        let found = match parsed(MANIFEST)? {
            Some(Err(fault @ (Fault::Damaged(_) | Fault::TooLong(_)))) => {
                parsed(PREVIOUS)?.filter(Result::is_ok).or(Some(Err(fault)))
            }
            None => parsed(PREVIOUS)?.filter(Result::is_ok),
            found => found,
        };
        match found {
            Some(Ok(document)) => made = Some((document.project_id, document.name)),
            Some(Err(fault)) => return Err(ManifestError::Fault { path, fault }.into()),
            None => {
                let new = Document::new(ProjectId::new(), name);
                let text = new
                    .text()
                    .map_err(|error| failed("written")(io::Error::other(error)))?;
                match files::put(folder, MANIFEST, &text, false, None) {
                    Ok(()) => made = Some((new.project_id, new.name)),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    Err(error) => return Err(failed("written")(error).into()),
                }
            }
        }
        break;
    }
    let Some(made) = made else {
        return Err(failed("read")(io::ErrorKind::NotFound.into()).into());
    };
    match std::fs::create_dir(folder.join(MEDIA)) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(ProjectError::Folder {
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(made),
    }
}

/// Rebuilds a project from a manifest that a host kept in a document of its own: it becomes the manifest of the folder
/// `path`, and is opened. Nothing that the catalog knows of the project is lost by it.
///
/// # Errors
/// [`ProjectError`]; the folder is as it was, unless the catalog fails.
pub fn load(
    library: &Library,
    path: &Path,
    text: &[u8],
    focused: bool,
) -> Result<Opening, ProjectError> {
    let failed = |source| ProjectError::Folder {
        path: path.to_owned(),
        source,
    };
    let fault = |fault| ManifestError::Fault {
        path: PathBuf::from("the document"),
        fault,
    };
    let mut document = Document::parse(text).map_err(fault)?;
    let absolute = std::path::absolute(path).map_err(failed)?;
    if library.untrusted(&absolute).is_none() {
        std::fs::create_dir_all(&absolute).map_err(failed)?;
    }
    let folder = resolved(library, &absolute)?;
    let shelf = Shelf::new(library, &folder);
    let one_at_a_time = SAVING.lock();
    let there = shelf.manifest().map_err(failed)?;
    let mut is_damaged = false;
    match there {
        Some(Ok(found)) if found.document.project_id != document.project_id => {
            return Err(ProjectError::Target {
                path: folder,
                reason: "another project is there".to_owned(),
            });
        }
        Some(Err(fault)) => {
            let path = folder.join(MANIFEST);
            return Err(ManifestError::Fault { path, fault }.into());
        }
        Some(Ok(found)) => {
            // Another machine may have written it, with more in it than the host's document has.
            document.absorb(&found.document);
            is_damaged = found.instead_of.is_some();
        }
        None => {}
    }
    let text = document.text().map_err(|e| failed(io::Error::other(e)))?;
    document
        .check(&text)
        .map_err(|reason| ManifestError::NotTheSame {
            path: folder.join(MANIFEST),
            reason,
        })?;
    shelf.write(&text, is_damaged).map_err(failed)?;
    drop(one_at_a_time);
    let wish = Wish {
        focused,
        ..Wish::default()
    };
    open_as(library, &folder, &wish)
}

/// Allows entries that are held back, by their keys, and opens the project again with them. Gives it as it is then.
///
/// # Errors
/// [`ProjectError`].
pub fn allow(library: &Library, base: &BaseRow, keys: &[String]) -> Result<Opening, ProjectError> {
    apply::allow(library, base.row, keys)?;
    let mut state = library.catalog().reader()?.project_state(base.row)?;
    // So that it is gone through again.
    (state.manifest, state.previous) = (None, None);
    library.catalog().write(Durability::Full, |writer| {
        writer.set_project_state(base.row, &state)
    })?;
    let wish = Wish {
        focused: base.focused,
        ..Wish::default()
    };
    open_as(library, &base.path, &wish)
}

/// Looks for the bytes of missing items among files of the same size and ends that were not hashed yet: those are hashed
/// now, and items whose bytes they are live on in them. Gives how many were hashed. Takes as long as reading them.
///
/// # Errors
/// When the catalog fails.
pub fn find_elsewhere(library: &Library, base: BaseNo) -> Result<usize, ProjectError> {
    let reader = library.catalog().reader()?;
    let wanted: HashSet<[u8; 32]> = reader.missing_fingerprints(base)?;
    if wanted.is_empty() {
        return Ok(0);
    }
    let candidates = reader.unhashed_with(&wanted)?;
    drop(reader);
    Ok(library.hash_items(&candidates)?)
}

/// Closes a project: its items stay known, and are shown while it is named.
///
/// # Errors
/// When the catalog fails.
pub fn close(library: &Library, project: BaseNo) -> Result<(), ProjectError> {
    library.catalog().write(Durability::Full, |writer| {
        writer.set_active(project, false, false)
    })?;
    Ok(())
}

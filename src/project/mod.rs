//! Projects: opening a project's folder, and the manifest that says which project it is.
//!
//! `<project>/media.json` is found or made; its id ties the folder to what the catalog knows of the project, wherever
//! the folder is now. On storage that is not trusted a courier does that. The project's base, with its `Media/` tree, is scanned and watched from then on by the library.

mod manifest;
pub(crate) mod takes;

use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::{BaseKind, BaseNo, BaseRow, CatalogError, Durability};
use crate::library::{Library, LibraryError, Which};
use crate::model::{ProjectId, SourceNo, display_name};

pub use manifest::{Manifest, ManifestError};
pub(crate) use manifest::{is_id, is_name};

/// Where a project's own media are, below its folder.
const MEDIA: &str = "Media";

/// Why a project can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// The folder can't be used.
    #[error("the project's folder {} cannot be opened; check that it is there and may be written to", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is on storage that is not trusted, and could not be opened there.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// Its manifest says no.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Opens the project in the folder `path`: what it has of media is scanned and watched from now on, and its items are
/// on the drive. A folder without a manifest becomes a project, named after the folder. `focused`: it is the one that
/// the host works in.
///
/// # Errors
/// [`ProjectError`]; a manifest that can't be read is never written over.
pub fn open(library: &Library, path: &Path, focused: bool) -> Result<BaseRow, ProjectError> {
    let failed = |source| ProjectError::Folder {
        path: path.to_owned(),
        source,
    };
    let absolute = std::path::absolute(path).map_err(failed)?;
    if library.untrusted(&absolute).is_some() {
        return open_there(library, &absolute, focused);
    }
    let folder = std::fs::canonicalize(&absolute).map_err(failed)?;
    if library.untrusted(&folder).is_some() {
        return open_there(library, &folder, focused);
    }
    let name = folder.file_name().unwrap_or_else(|| "Project".as_ref());
    let manifest = prepare(&folder, &display_name(name.as_encoded_bytes()))?;
    let opened = Opened {
        folder,
        id: manifest.project_id,
        name: manifest.name,
        on: None,
    };
    opened.register(library, focused)
}

/// The manifest of the project in a folder, and its folder for media: both are made where there is none.
///
/// # Errors
/// [`ProjectError`].
pub(crate) fn prepare(folder: &Path, name: &str) -> Result<Manifest, ProjectError> {
    let manifest = Manifest::find_or_make(folder, name)?;
    match std::fs::create_dir(folder.join(MEDIA)) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(ProjectError::Folder {
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(manifest),
    }
}

/// Opens a project on storage that is not trusted. Where that is away, what is known of it is shown.
fn open_there(library: &Library, path: &Path, focused: bool) -> Result<BaseRow, ProjectError> {
    let catalog = library.catalog();
    let known = catalog.reader()?.bases()?.into_iter().find(|base| {
        let is_away = |source| !catalog.source_state(source).is_online();
        base.kind == BaseKind::Project && base.path == path && base.source.is_some_and(is_away)
    });
    if let Some(known) = known {
        catalog.write(Durability::Full, |writer| {
            writer.set_active(known.row, true, focused)
        })?;
        return there_is(library, known.row);
    }
    let there = library.project_there(path)?;
    let opened = Opened {
        folder: there.folder,
        id: there.id,
        name: there.name,
        on: Some(there.on),
    };
    opened.register(library, focused)
}

/// A project that was found.
struct Opened {
    folder: PathBuf,
    id: ProjectId,
    name: String,
    /// The source on which it lies, and where on it; `None` on trusted storage.
    on: Option<(SourceNo, PathBuf)>,
}

impl Opened {
    fn register(self, library: &Library, focused: bool) -> Result<BaseRow, ProjectError> {
        let base = library.catalog().write(Durability::Full, |writer| {
            let base = writer.add_project(&self.id, &self.name, &self.folder)?;
            let on = self.on.as_ref();
            let (source, inside) = (on.map(|on| on.0), on.map(|on| on.1.as_path()));
            if base.source != source || inside.is_some_and(|inside| base.inside != inside) {
                writer.set_base_source(base.row, source.zip(inside))?;
            }
            writer.set_active(base.row, true, focused)?;
            Ok::<_, CatalogError>(base.row)
        })?;
        library.scan(&Which::One(base));
        there_is(library, base)
    }
}

fn there_is(library: &Library, base: BaseNo) -> Result<BaseRow, ProjectError> {
    let row = library.catalog().reader()?.base(base)?;
    row.ok_or(ProjectError::Catalog(CatalogError::Unknown {
        what: "base",
        number: base.0,
    }))
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

//! Projects: opening a project's folder, and the manifest that says which project it is.
//!
//! `<project>/media.json` is found or made; its id ties the folder to what the catalog knows of the project, wherever
//! the folder is now. The project's base, with its `Media/` tree, is scanned and watched from then on by the library.

mod manifest;

use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::{BaseNo, BaseRow, CatalogError, Durability};
use crate::library::{Library, Which};
use crate::model::display_name;

pub use manifest::{Manifest, ManifestError};

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
    /// It is on storage that may hang or be pulled.
    #[error("{} is {reason}; a project has to be on trusted local storage", path.display())]
    Untrusted {
        /// What was to be opened.
        path: PathBuf,
        /// On what it is.
        reason: String,
    },
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
    let trusted = |path: &Path| match library.untrusted(path) {
        Some(reason) => Err(ProjectError::Untrusted {
            path: path.to_owned(),
            reason,
        }),
        None => Ok(()),
    };
    let absolute = std::path::absolute(path).map_err(failed)?;
    trusted(&absolute)?;
    let folder = std::fs::canonicalize(&absolute).map_err(failed)?;
    trusted(&folder)?;
    let name = folder.file_name().unwrap_or_else(|| "Project".as_ref());
    let manifest = Manifest::find_or_make(&folder, &display_name(name.as_encoded_bytes()))?;
    match std::fs::create_dir(folder.join(MEDIA)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let catalog = library.catalog();
    let base = catalog.write(Durability::Full, |writer| {
        let base = writer.add_project(&manifest.project_id, &manifest.name, &folder)?;
        writer.set_active(base.row, true, focused)?;
        Ok::<_, CatalogError>(base.row)
    })?;
    library.scan(&Which::One(base));
    let row = catalog.reader()?.base(base)?;
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

//! What goes wrong with roots, scans and imports as a whole; what goes wrong with one file is listed with the file.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The folder can't be used.
    #[error("the folder {} cannot be opened; check that it is there and may be read", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a folder.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// What.
        path: PathBuf,
    },
    /// It lies in another root, or has one in it.
    #[error("{} and the library root {} lie in one another; register only the upper one", path.display(), root.display())]
    Nested {
        /// What was to be registered.
        path: PathBuf,
        /// What is registered.
        root: PathBuf,
    },
    /// The drive, or the home.
    #[error("{} cannot be a library root: {reason}", path.display())]
    Excluded {
        /// What was to be registered.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is on storage that can't be used for this.
    #[error("{} is {reason}, which cannot be used for this", path.display())]
    Untrusted {
        /// What was to be used.
        path: PathBuf,
        /// On what it is.
        reason: String,
    },
    /// A thread could not be started.
    #[error("the system gives no more threads")]
    Thread(#[source] io::Error),
    /// An id or a name was given for several files.
    #[error("an id or a name is for one file, but {count} were given; import that one by itself")]
    OneForMany {
        /// How many.
        count: usize,
    },
    /// An id or a name was given for a folder.
    #[error("an id or a name is for one file, but {} is a folder; import the file itself, or the folder without", path.display())]
    OneForFolder {
        /// Which.
        path: PathBuf,
    },
    /// No name for an item.
    #[error("{name:?} is no name for a media item; 1 to 4,096 bytes are expected")]
    InvalidName {
        /// The name, cut to 80 characters.
        name: String,
    },
    /// No such project is open.
    #[error("there is no project {number} in the catalog")]
    NoProject {
        /// Its number.
        number: u32,
    },
}

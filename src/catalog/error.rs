//! What goes wrong with the catalog, in words for a musician and causes for an engineer.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::model::MediaId;

/// What went wrong with the catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// SQLite says no.
    #[error("the catalog {path} failed while {doing}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The disk is full; nothing that was acknowledged is lost.
    #[error(
        "no space left for the catalog {path} while {doing}; free some space on its disk and try again"
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer mediafs wrote it.
    #[error(
        "the catalog {path} is of version {found}, this mediafs knows versions up to {known}; use the newer mediafs"
    )]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that is known here.
        known: u32,
    },
    /// A database, but of another program.
    #[error(
        "{path} is a database of another program, not a catalog; move it away or choose another home"
    )]
    NotACatalog {
        /// The file.
        path: PathBuf,
    },
    /// Not a database, or one whose pages are broken.
    #[error(
        "the catalog {path} is damaged, it was left as it is; put back a copy of it, or move it away to begin anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// It could not be brought to the present version.
    #[error("the catalog {path} could not be brought to version {version}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// The version that was to be reached.
        version: u32,
        /// The cause.
        #[source]
        source: Box<rusqlite_migration::Error>,
    },
    /// An earlier failure undid this transaction, or would leave it in pieces.
    #[error("the change of the catalog {path} was undone, because an earlier part of it failed")]
    Undone {
        /// The file.
        path: PathBuf,
    },
    /// The id belongs to another item of the same scope.
    #[error("the id {media_id} is taken by {name:?}; choose another one")]
    IdTaken {
        /// The id.
        media_id: MediaId,
        /// The name of the item that has it.
        name: String,
    },
    /// It is a take that is not final yet.
    #[error("{name:?} is a take that is not final; finalise it first, or abandon it")]
    Unfinished {
        /// Its name.
        name: String,
    },
    /// The file that was to be entered could not be brought to the disk.
    #[error("the file of {name:?} could not be brought to the disk")]
    File {
        /// The item's name.
        name: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A number that leads nowhere (any more).
    #[error("the catalog has no {what} {number}")]
    Unknown {
        /// `item`, `place`, `folder` or `base`.
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// What is at the place was not probed, or is no media.
    #[error("{name:?} is not known to be media, so it can't become a media item")]
    NotMedia {
        /// The name of the file.
        name: String,
    },
    /// A name of nothing, or of more than 4,096 bytes.
    #[error("{name:?} is no name for a media item; 1 to 4,096 bytes are expected")]
    InvalidName {
        /// The name, cut to 80 characters.
        name: String,
    },
    /// A tag or attribute of nothing, or of more than 1,024 bytes.
    #[error("{label:?} is no tag or attribute; 1 to 1,024 bytes are expected")]
    InvalidLabel {
        /// The text, cut to 80 characters.
        label: String,
    },
    /// A folder can't be moved into itself.
    #[error("folder {folder} can't be moved into itself")]
    IntoItself {
        /// The folder's number.
        folder: u32,
    },
}

/// What the catalog's methods give.
pub(super) type Result<T> = std::result::Result<T, CatalogError>;

/// The error for what SQLite said of `path`.
pub(super) fn failed(path: &Path, doing: &'static str, source: rusqlite::Error) -> CatalogError {
    /// What SQLite says where there is no room for the index of the write-ahead log.
    const NO_ROOM_FOR_INDEX: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
    let path = path.to_path_buf();
    let extended = source.sqlite_error().map(|error| error.extended_code);
    match source.sqlite_error_code() {
        _ if extended == Some(NO_ROOM_FOR_INDEX) => CatalogError::Full {
            path,
            doing,
            source,
        },
        Some(ErrorCode::DiskFull) => CatalogError::Full {
            path,
            doing,
            source,
        },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            CatalogError::Damaged { path, source }
        }
        _ => CatalogError::Sqlite {
            path,
            doing,
            source,
        },
    }
}

/// A text for an error message, not longer than 80 characters.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

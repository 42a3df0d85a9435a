//! Why something can't be done with a project.

use std::io;
use std::path::PathBuf;

use super::document::Fault;
use crate::catalog::CatalogError;
use crate::library::LibraryError;

/// Why there is no manifest to go by. The file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It could not be read or written.
    #[error("{} cannot be {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was to be written could not be read again as what it is.
    #[error(
        "{} was left as it is, as what was to be saved would not be the same when it is opened: {reason}; \
         all that was done is kept, change that and save again",
        path.display()
    )]
    NotTheSame {
        /// The file.
        path: PathBuf,
        /// What would be lost.
        reason: String,
    },
    /// What it says is no manifest's.
    #[error("{} was left as it is: {fault}; {}", path.display(), remedy(fault))]
    Fault {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
}

fn remedy(fault: &Fault) -> &'static str {
    match fault {
        Fault::Newer(_) => "use the newer mediafs",
        Fault::NotAManifest(_) => "choose another folder, or move the file away",
        Fault::TooLong(_) | Fault::Damaged(_) => "put back a copy of it",
    }
}

/// Why a project can't be opened, saved or the like.
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
    /// There is a project there already.
    #[error("{} is a project already; open it, or choose another folder", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// There is none.
    #[error("{} is no project", path.display())]
    NoProject {
        /// The folder.
        path: PathBuf,
    },
    /// Another revision is there than was asked for.
    #[error(
        "the project {} is at revision {}, not {wanted}{}",
        path.display(),
        found.as_deref().unwrap_or("(none)"),
        previous_words(wanted, previous.as_deref())
    )]
    Revision {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What the manifest has.
        found: Option<String>,
        /// What the one before has.
        previous: Option<String>,
    },
    /// Its storage is not there.
    #[error("the project {} is on storage that is not there now; all that was done is kept, save again when it is back", path.display())]
    Away {
        /// The folder.
        path: PathBuf,
    },
    /// The folder to be written to can't be that.
    #[error("nothing was saved to {}: {reason}", path.display())]
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file could not be copied.
    #[error("{name:?} could not be copied to {}: {reason}", path.display())]
    Copy {
        /// The item.
        name: String,
        /// To where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The text of a draft or document that can't be kept.
    #[error("{0}")]
    Unfit(String),
    /// The user said stop.
    #[error("it was stopped; the project is as it was")]
    Cancelled,
}

fn previous_words(wanted: &str, previous: Option<&str>) -> String {
    match previous {
        Some(previous) if previous == wanted => {
            format!("; {wanted} is the one before")
        }
        Some(previous) => format!("; the one before is {previous}"),
        None => String::new(),
    }
}

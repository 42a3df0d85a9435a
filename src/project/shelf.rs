//! The folder of a project, wherever it lies: on trusted storage, or where only couriers go.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::document::{Document, Fault, LONGEST};
use super::files;
use crate::library::Library;

/// The manifest's name in the project's folder.
pub(super) const MANIFEST: &str = "media.json";
/// The one before it.
pub(super) const PREVIOUS: &str = "media.json.previous";
/// Under this name a damaged one is set aside.
const DAMAGED: &str = "media.json.damaged";

/// A project's folder.
pub(super) struct Shelf<'l> {
    library: &'l Library,
    pub(super) folder: PathBuf,
    is_there: bool,
}

/// A manifest as it was found.
pub(super) struct Found {
    /// What it says.
    pub(super) document: Document,
    /// Its bytes.
    pub(super) text: Vec<u8>,
    /// It is the previous one, as this is wrong with the present one.
    pub(super) instead_of: Option<String>,
}

/// What a manifest says, and its bytes.
pub(super) type Parsed = Result<(Document, Vec<u8>), Fault>;

impl<'l> Shelf<'l> {
    pub(super) fn new(library: &'l Library, folder: &Path) -> Self {
        Self {
            library,
            folder: folder.to_owned(),
            is_there: library.untrusted(folder).is_some(),
        }
    }

    /// Removes what saves left that were killed.
    pub(super) fn clear_abandoned(&self) {
        if !self.is_there {
            files::clear_abandoned(&self.folder);
        }
    }

    pub(super) fn read(&self, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        if self.is_there {
            self.library.read_there(&self.folder.join(name), LONGEST)
        } else {
            files::read(&self.folder, name, LONGEST)
        }
    }

    /// Everything in it, by name.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = if self.is_there {
            self.library.names_there(&self.folder)?
        } else {
            let entries = std::fs::read_dir(&self.folder)?;
            let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
            names.collect::<io::Result<Vec<_>>>()?
        };
        names.sort();
        Ok(names)
    }

    /// The manifest; the previous one where that is damaged or not there. `None` where there is neither.
    pub(super) fn manifest(&self) -> io::Result<Option<Result<Found, Fault>>> {
        let (fault, why) = match self.parsed(MANIFEST)? {
            Some(Ok((document, text))) => {
                let instead_of = None;
                return Ok(Some(Ok(Found {
                    document,
                    text,
                    instead_of,
                })));
            }
            // What is of another program, or of a newer mediafs, is not damaged.
            Some(Err(fault @ (Fault::Newer(_) | Fault::NotAManifest(_)))) => {
                return Ok(Some(Err(fault)));
            }
            Some(Err(fault)) => {
                let why = fault.to_string();
                (Some(Err(fault)), why)
            }
            None => (None, "it was gone".to_owned()),
        };
        match self.parsed(PREVIOUS)? {
            Some(Ok((document, text))) => Ok(Some(Ok(Found {
                document,
                text,
                instead_of: Some(why),
            }))),
            _ => Ok(fault),
        }
    }

    /// A manifest of this name.
    pub(super) fn parsed(&self, name: &str) -> io::Result<Option<Parsed>> {
        let text = self.read(name.as_ref())?;
        Ok(text.map(|text| Ok((Document::parse(&text)?, text))))
    }

    /// Writes the manifest; the present one becomes the previous one, unless it is damaged: then it is set aside, and the
    /// previous one stays.
    pub(super) fn write(&self, text: &[u8], is_damaged: bool) -> io::Result<()> {
        if is_damaged {
            for n in 1..100 {
                let aside = match n {
                    1 => DAMAGED.to_owned(),
                    n => format!("{DAMAGED}.{n}"),
                };
                match self.rename(MANIFEST.as_ref(), aside.as_ref()) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    // It was gone.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    Err(error) => return Err(error),
                    Ok(()) => break,
                }
            }
        }
        let previous = (!is_damaged).then_some(PREVIOUS);
        if self.is_there {
            self.library
                .put_there(&self.folder, MANIFEST, text, true, previous)
        } else {
            files::put(&self.folder, MANIFEST, text, true, previous)
        }
    }

    /// Writes the first manifest, over no other.
    pub(super) fn write_new(&self, text: &[u8]) -> io::Result<()> {
        if self.is_there {
            self.library
                .put_there(&self.folder, MANIFEST, text, false, None)
        } else {
            files::put(&self.folder, MANIFEST, text, false, None)
        }
    }

    /// Gives a file another name, over no other.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        if self.is_there {
            self.library.rename_there(&self.folder, from, to)
        } else {
            files::rename(&self.folder, from, to)
        }
    }
}

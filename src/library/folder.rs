//! Folders of a base, whoever looks at them: this process on trusted storage, couriers on all other.
//!
//! A folder there is a list that its courier has made when it was opened, with all that the disk says of each entry:
//! one question a folder, however many files are in it, and what is asked of the folder afterwards, be it under the
//! catalog's lock, is answered from memory. Files there are opened by nobody but couriers.
//!
//! `vanish::open_root` decides which it is, by the system's tables.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use crate::catalog::{Evidence, Nanoseconds};

use super::disk::{Entry, LocalFolder, LocalRoot, NoFolder, Seen};
use super::remote::{RemoteFolder, RemoteRoot};

/// The folder at the top of a base.
#[derive(Debug)]
pub(super) enum RootFolder<'e> {
    /// On trusted storage.
    Here(LocalRoot),
    /// On storage that only its courier touches.
    There(RemoteRoot<'e>),
}

/// A folder.
#[derive(Debug)]
pub(super) enum Folder {
    /// Open, on trusted storage.
    Here(LocalFolder),
    /// As its courier has listed it.
    There(RemoteFolder),
}

/// Files there are read by couriers alone.
pub(super) fn not_here() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "its storage is not trusted, so it is not read from here",
    )
}

impl RootFolder<'_> {
    /// Whether it is on storage that is not trusted.
    pub(super) fn is_there(&self) -> bool {
        matches!(self, Self::There(_))
    }

    /// Its storage does not answer: nothing more is to be asked.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Here(_) => false,
            Self::There(root) => root.is_lost(),
        }
    }

    /// The folder at `relative`, which was vetted part by part before: mounts within are crossed, on trusted storage.
    pub(super) fn folder(&self, relative: &Path) -> Result<Folder, NoFolder> {
        match self {
            Self::Here(root) => root.folder(relative).map(Folder::Here),
            Self::There(root) => root.folder(relative).map(Folder::There),
        }
    }

    /// The folder at `relative`, if all of the way to it is on the root's own file system.
    pub(super) fn folder_here(&self, relative: &Path) -> Result<Folder, NoFolder> {
        match self {
            Self::Here(root) => root.folder_here(relative).map(Folder::Here),
            Self::There(root) => root.folder(relative).map(Folder::There),
        }
    }
}

impl Folder {
    /// What the disk says of the folder itself.
    pub(super) fn evidence(&self) -> io::Result<Evidence> {
        match self {
            Self::Here(folder) => folder.evidence(),
            Self::There(folder) => Ok(folder.evidence()),
        }
    }

    /// The folder `name` in it, on the same file system: when its list was last changed.
    pub(super) fn inner_modified(&self, name: &OsStr) -> Result<Nanoseconds, NoFolder> {
        match self {
            Self::Here(folder) => {
                let inner = folder.folder(name, false)?;
                Ok(inner.evidence().map_or(Nanoseconds(0), |e| e.modified))
            }
            Self::There(folder) => match folder.look(name).map_err(NoFolder::Failed)? {
                Some(seen) if seen.entry == Entry::Folder => Ok(seen.evidence.modified),
                Some(_) => Err(NoFolder::NotAFolder),
                None => Err(NoFolder::Absent),
            },
        }
    }

    /// What the disk says of `name` in it; `None` where there is nothing of that name. Links are not followed.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<Seen>> {
        match self {
            Self::Here(folder) => folder.look(name),
            Self::There(folder) => folder.look(name),
        }
    }

    /// Whether reading the file `name` would make a cloud provider fetch it.
    pub(super) fn is_online_only(&self, name: &OsStr) -> bool {
        match self {
            Self::Here(_) => false,
            Self::There(folder) => folder.is_online_only(name),
        }
    }

    /// Whether `name` is not there itself, but a file that stands for it while it is online-only.
    pub(super) fn is_stand_in(&self, name: &OsStr) -> bool {
        match self {
            Self::Here(_) => false,
            Self::There(folder) => folder.is_stand_in(name),
        }
    }

    /// Where the link `name` points, as written.
    pub(super) fn link(&self, name: &OsStr) -> io::Result<OsString> {
        match self {
            Self::Here(folder) => folder.link(name),
            Self::There(folder) => folder.link(name),
        }
    }

    /// Every entry but `.` and `..`; the kind where it is told without a look at the entry.
    pub(super) fn entries(&self) -> io::Result<Vec<(OsString, Option<Entry>)>> {
        match self {
            Self::Here(folder) => folder.entries(),
            Self::There(folder) => Ok(folder.entries()),
        }
    }
}

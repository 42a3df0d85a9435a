//! Looking at a folder and what is in it without leaving it, and putting files there: by its open folders, never through a
//! link, and into another file system only where that is asked for.
//!
//! What is listed is what lies in the folder that somebody named, whatever is moved meanwhile. On Linux the kernel
//! resolves paths (`openat2`); elsewhere they are walked part by part (`walked`).
//!
//! [`folder`](crate::folder) is for folders of our own, in which names are all there is; [`beneath`](crate::beneath) for
//! single files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

use crate::beneath::{Evidence, Kind};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod walked;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use walked as system;

/// Which folders on other file systems are entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mounts {
    /// Those that are mounted on the way.
    Crossed,
    /// None.
    Refused,
}

/// What stands in the way of a folder below another.
#[derive(Debug)]
pub enum NoFolder {
    /// There is nothing of that name.
    Absent,
    /// Something else has that name.
    NotAFolder,
    /// Another file system is mounted there.
    OtherFileSystem,
    /// It can't be opened.
    Failed(io::Error),
}

/// What a look at a name has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// This.
    Seen(Kind, Evidence),
    /// A folder where another file system is mounted, of which nothing was asked as that may hang.
    OtherFileSystem,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder(system::Folder);

impl Folder {
    /// Opens the folder at the absolute path `path`, which must not be a link itself.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        system::Folder::open(path).map(Self)
    }

    /// Opens the folder at `relative`, which has no `..`; with an empty path the folder itself once more.
    ///
    /// # Errors
    /// [`NoFolder`].
    pub fn below(&self, relative: &Path, mounts: Mounts) -> Result<Self, NoFolder> {
        self.0.below(relative, mounts).map(Self)
    }

    /// Opens the regular file at `relative` for reading.
    ///
    /// # Errors
    /// `NotFound`, `InvalidInput` if it is no regular file, or what the system says.
    pub fn file(&self, relative: &Path) -> io::Result<(File, Evidence)> {
        let file = self.0.file(relative)?;
        match crate::beneath::evidence_of(&file)? {
            (Kind::File, evidence) => Ok((file, evidence)),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            )),
        }
    }

    /// What the folder itself is and shows.
    ///
    /// # Errors
    /// What the system says.
    pub fn seen(&self) -> io::Result<(Kind, Evidence)> {
        self.0.seen()
    }

    /// What has this name in it; `None` where nothing has.
    ///
    /// # Errors
    /// What the system says.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<Look>> {
        self.0.look(name)
    }

    /// An extended attribute of `name` in it, empty where it is longer than 4,096 bytes; `None` where it has none of that
    /// name. The file is not opened, nor a link followed.
    ///
    /// # Errors
    /// `Unsupported` on Windows and where the file system has none, or what the system says.
    pub fn attribute(&self, name: &OsStr, attribute: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.attribute(name, attribute)
    }

    /// Where the link `name` points, as written.
    ///
    /// # Errors
    /// What the system says.
    pub fn target(&self, name: &OsStr) -> io::Result<OsString> {
        self.0.target(name)
    }

    /// Makes the folder `name`; whether it was not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(&self, name: &OsStr) -> io::Result<bool> {
        match self.0.make(name) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the file `name`, which must not be there, for this user alone, and takes its lock, which ends with the file's
    /// last handle.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    pub fn create_locked(&self, name: &OsStr) -> io::Result<File> {
        let file = self.0.create(name)?;
        crate::lock::hold(&file)?;
        Ok(file)
    }

    /// Removes the file `name` if nobody holds its lock.
    ///
    /// # Errors
    /// `WouldBlock` if somebody does, or what the system says.
    pub fn remove_abandoned(&self, name: &OsStr) -> io::Result<()> {
        let (file, _) = self.file(Path::new(name))?;
        crate::lock::hold(&file)?;
        self.remove(name)
    }

    /// Removes the file `name`.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.0.remove(name)
    }

    /// Gives the file `from` the name `to` in `other`, which may be this folder; `AlreadyExists` where something has it.
    ///
    /// # Errors
    /// What the system says.
    pub fn move_file(&self, from: &OsStr, other: &Self, to: &OsStr) -> io::Result<()> {
        self.0.move_file(from, &other.0, to)
    }

    /// Brings the folder's list to the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    /// Every entry but `.` and `..`; the kind where the file system tells it without a look at the entry.
    ///
    /// # Errors
    /// What the system says.
    pub fn entries(&self) -> io::Result<Vec<(OsString, Option<Kind>)>> {
        self.0.entries()
    }
}

#[cfg(test)]
mod tests;

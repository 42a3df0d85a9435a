//! An open folder, in which files are made, named and removed by single names. No link is followed, and the folder stays
//! what it was when somebody moves it or puts another in its place.
//!
//! The same on every system: what one has no call for is done in the next best way, which is told where it matters.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(any(not(target_os = "linux"), test))]
use crate::beneath;
use crate::names::is_single;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

/// What happens to what has the new name already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// It goes.
    Anything,
    /// It stays, and nothing is renamed: `AlreadyExists`.
    Nothing,
}

/// What an entry of a folder is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link, a junction, a folder at which a volume of Windows is mounted.
    Link,
    /// Something else.
    Other,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder(system::Folder);

impl Folder {
    /// Opens the folder at `path`. Links on the way are followed.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or what the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        system::Folder::open(path).map(Self)
    }

    /// Opens the folder at `path`, which must not be a link itself; links above it are followed.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or what the system says.
    pub fn open_itself(path: &Path) -> io::Result<Self> {
        system::Folder::open_itself(path).map(Self)
    }

    /// Opens the folder `name` in it, which must not be a link.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or what the system says.
    pub fn folder(&self, name: &OsStr) -> io::Result<Self> {
        self.0.folder(single(name)?).map(Self)
    }

    /// Opens the regular file `name` for reading; for writing as well if `write`.
    ///
    /// # Errors
    /// `NotFound`, `InvalidInput` if it is a link or no file, or what the system says.
    pub fn file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        let file = self.0.file(single(name)?, write)?;
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"))
        }
    }

    /// Makes the file `name`, which must not be there, for reading and writing. Others may read it if `shared`, where the
    /// system has such rights.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    pub fn create(&self, name: &OsStr, shared: bool) -> io::Result<File> {
        self.0.create(single(name)?, shared)
    }

    /// Removes the file `name`, or the link of that name.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.0.remove(single(name)?)
    }

    /// Gives the file `from` the name `to` in `other`, which may be this folder.
    ///
    /// # Errors
    /// On Windows, on file systems other than NTFS, `PermissionDenied` while somebody has open what would go; nothing has
    /// changed then. `NotFound`, `AlreadyExists`, `CrossesDevices`, or what the system says.
    pub fn rename(&self, from: &OsStr, other: &Self, to: &OsStr, over: Over) -> io::Result<()> {
        self.0.rename(single(from)?, &other.0, single(to)?, over)
    }

    /// Gives the file `name` a second name, which must be free. `Unsupported` where the file system has no second names.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, `Unsupported`, or what the system says.
    pub fn link(&self, name: &OsStr, second: &OsStr) -> io::Result<()> {
        self.0.link(single(name)?, single(second)?)
    }

    /// Every entry but `.` and `..`, in the order of the file system.
    ///
    /// # Errors
    /// What the system says.
    pub fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        self.0.entries()
    }

    /// Brings names that were given or taken to the disk, as far as the system and the file system can.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

/// What looks at others' folders, see [`disk`](crate::disk), has beside.
#[cfg(any(not(target_os = "linux"), test))]
impl Folder {
    /// Another handle of it.
    pub(crate) fn again(&self) -> io::Result<Self> {
        self.0.again().map(Self)
    }

    /// What the folder itself is and shows.
    pub(crate) fn seen(&self) -> io::Result<(beneath::Kind, beneath::Evidence)> {
        self.0.seen()
    }

    /// What has this name in it, without opening it or following a link.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<(beneath::Kind, beneath::Evidence)> {
        self.0.look(single(name)?)
    }

    /// Where the link `name` points, as written.
    pub(crate) fn target(&self, name: &OsStr) -> io::Result<OsString> {
        self.0.target(single(name)?)
    }

    /// Makes the folder `name`, which must not be there.
    pub(crate) fn make(&self, name: &OsStr) -> io::Result<()> {
        self.0.make(single(name)?)
    }

    /// An extended attribute of `name`, as in [`disk::Folder::attribute`](crate::disk::Folder::attribute).
    pub(crate) fn attribute(&self, name: &OsStr, attribute: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.attribute(single(name)?, attribute)
    }
}

/// A name that leads nowhere else.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    if is_single(name) {
        Ok(name)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the name of one file",
        ))
    }
}

#[cfg(test)]
mod tests;

//! Linux and macOS: calls that take an open folder and a name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Kind, Over};
use crate::failure::is_unsupported;
#[cfg(any(not(target_os = "linux"), test))]
use {crate::beneath, std::os::unix::ffi::OsStringExt, std::path::PathBuf};

#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    pub(super) fn open_itself(path: &Path) -> io::Result<Self> {
        Self::not_a_link(rustix::fs::open(
            path,
            FOLDER | OFlags::NOFOLLOW,
            Mode::empty(),
        ))
    }

    pub(super) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        Self::not_a_link(rustix::fs::openat(&self.0, name, flags, Mode::empty()))
    }

    fn not_a_link(opened: Result<OwnedFd, Errno>) -> io::Result<Self> {
        match opened {
            Err(Errno::LOOP) => Err(io::ErrorKind::NotADirectory.into()),
            opened => Ok(Self(opened?)),
        }
    }

    pub(super) fn file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Err(Errno::LOOP) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is a link, and none is followed",
            )),
            opened => Ok(File::from(opened?)),
        }
    }

    pub(super) fn create(&self, name: &OsStr, shared: bool) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if shared { 0o644 } else { 0o600 });
        Ok(File::from(rustix::fs::openat(&self.0, name, flags, mode)?))
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(super) fn rename(
        &self,
        from: &OsStr,
        other: &Self,
        to: &OsStr,
        over: Over,
    ) -> io::Result<()> {
        if over == Over::Anything {
            return Ok(rustix::fs::renameat(&self.0, from, &other.0, to)?);
        }
        match rustix::fs::renameat_with(&self.0, from, &other.0, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => {}
            Err(error) if is_unsupported(error) => {}
            renamed => return Ok(renamed?),
        }
        // A file system that can't: a second name, then the first one goes.
        match rustix::fs::linkat(&self.0, from, &other.0, to, AtFlags::empty()) {
            Err(error) if has_no_second_names(error) => {}
            linked => {
                linked?;
                return self.remove(from);
            }
        }
        // Then there is a moment in which another's may come.
        match rustix::fs::statat(&other.0, to, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(Errno::NOENT) => Ok(rustix::fs::renameat(&self.0, from, &other.0, to)?),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn link(&self, name: &OsStr, second: &OsStr) -> io::Result<()> {
        match rustix::fs::linkat(&self.0, name, &self.0, second, AtFlags::empty()) {
            Err(error) if has_no_second_names(error) => Err(io::ErrorKind::Unsupported.into()),
            linked => Ok(linked?),
        }
    }

    pub(super) fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems tell it when they are asked about the entry.
                FileType::Unknown => {
                    let look = AtFlags::SYMLINK_NOFOLLOW;
                    match rustix::fs::statat(&self.0, name, look) {
                        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                        Err(Errno::NOENT) => continue,
                        Err(error) => return Err(error.into()),
                    }
                }
                told => told,
            };
            let kind = match kind {
                FileType::Directory => Kind::Folder,
                FileType::RegularFile => Kind::File,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            };
            found.push((name.to_owned(), kind));
        }
        Ok(found)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match on_the_disk(&self.0) {
            // Some file systems of programs can't.
            Err(Errno::NOSYS | Errno::INVAL) => Ok(()),
            Err(error) if is_unsupported(error) => Ok(()),
            synced => Ok(synced?),
        }
    }
}

#[cfg(any(not(target_os = "linux"), test))]
impl Folder {
    pub(super) fn again(&self) -> io::Result<Self> {
        // Opened anew, as duplicates share how far a folder was listed.
        Ok(Self(rustix::fs::openat(
            &self.0,
            ".",
            FOLDER,
            Mode::empty(),
        )?))
    }

    pub(super) fn seen(&self) -> io::Result<(beneath::Kind, beneath::Evidence)> {
        beneath::evidence_of_open(&self.0)
    }

    pub(super) fn look(&self, name: &OsStr) -> io::Result<(beneath::Kind, beneath::Evidence)> {
        let look = AtFlags::SYMLINK_NOFOLLOW;
        Ok(beneath::from_stat(&rustix::fs::statat(
            &self.0, name, look,
        )?))
    }

    pub(super) fn target(&self, name: &OsStr) -> io::Result<OsString> {
        let target = rustix::fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    pub(super) fn make(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(
            &self.0,
            name,
            Mode::from_raw_mode(0o777),
        )?)
    }

    pub(super) fn attribute(&self, name: &OsStr, attribute: &str) -> io::Result<Option<Vec<u8>>> {
        #[cfg(target_os = "linux")]
        const NONE: Errno = Errno::NODATA;
        #[cfg(not(target_os = "linux"))]
        const NONE: Errno = Errno::NOATTR;
        let path = self.path()?.join(name);
        let mut value = vec![0; 4096];
        match rustix::fs::lgetxattr(&path, attribute, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(NONE) => Ok(None),
            Err(Errno::RANGE) => Ok(Some(Vec::new())),
            Err(error) => Err(error.into()),
        }
    }

    /// Where it is now: attributes are asked for by a path.
    fn path(&self) -> io::Result<PathBuf> {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd as _;
            Ok(format!("/proc/self/fd/{}", self.0.as_raw_fd()).into())
        }
        #[cfg(not(target_os = "linux"))]
        {
            let path = rustix::fs::getpath(&self.0)?;
            Ok(OsString::from_vec(path.into_bytes()).into())
        }
    }
}

#[cfg(not(target_vendor = "apple"))]
fn on_the_disk(folder: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fsync(folder)
}

/// fsync(2) leaves it in the disk's own memory there; as the standard library does for files.
#[cfg(target_vendor = "apple")]
fn on_the_disk(folder: &OwnedFd) -> Result<(), Errno> {
    match rustix::fs::fcntl_fullfsync(folder) {
        Err(Errno::NOTTY | Errno::INVAL) => rustix::fs::fsync(folder),
        Err(error) if is_unsupported(error) => rustix::fs::fsync(folder),
        synced => synced,
    }
}

/// FAT, and programs that serve file systems, have none; nor more than so many.
fn has_no_second_names(error: Errno) -> bool {
    matches!(error, Errno::PERM | Errno::NOSYS | Errno::MLINK) || is_unsupported(error)
}

//! Linux: the kernel resolves paths, and tells where another file system begins before anything is asked of that.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Look, Mounts, NoFolder};
use crate::beneath::{Evidence, Kind, evidence_of_open};

#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW);
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOCTTY);
/// Of a name alone: a link at the end is looked at itself.
const BENEATH_OR_LINK: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    pub(super) fn below(&self, relative: &Path, mounts: Mounts) -> Result<Self, NoFolder> {
        let resolve = match mounts {
            Mounts::Crossed => BENEATH,
            Mounts::Refused => BENEATH.union(ResolveFlags::NO_XDEV),
        };
        let path = if relative.as_os_str().is_empty() {
            Path::new(".")
        } else {
            relative
        };
        match rustix::fs::openat2(&self.0, path, FOLDER, Mode::empty(), resolve) {
            Ok(fd) => Ok(Self(fd)),
            Err(Errno::NOENT) => Err(NoFolder::Absent),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(NoFolder::NotAFolder),
            Err(Errno::XDEV) => Err(NoFolder::OtherFileSystem),
            Err(other) => Err(NoFolder::Failed(other.into())),
        }
    }

    pub(super) fn file(&self, relative: &Path) -> io::Result<File> {
        let opened = rustix::fs::openat2(&self.0, relative, FILE, Mode::empty(), BENEATH)?;
        Ok(File::from(opened))
    }

    pub(super) fn seen(&self) -> io::Result<(Kind, Evidence)> {
        evidence_of_open(&self.0)
    }

    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<Look>> {
        let resolve = BENEATH_OR_LINK.union(ResolveFlags::NO_XDEV);
        let name_alone = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        match rustix::fs::openat2(&self.0, name, name_alone, Mode::empty(), resolve) {
            Ok(entry) => {
                let (kind, evidence) = evidence_of_open(&entry)?;
                Ok(Some(Look::Seen(kind, evidence)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::XDEV) => Ok(Some(Look::OtherFileSystem)),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn attribute(&self, name: &OsStr, attribute: &str) -> io::Result<Option<Vec<u8>>> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(name);
        let mut value = vec![0; 4096];
        match rustix::fs::lgetxattr(&path, attribute, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA) => Ok(None),
            // Longer than any that is known.
            Err(Errno::RANGE) => Ok(Some(Vec::new())),
            Err(error) => Err(error.into()),
        }
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

    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        Ok(File::from(rustix::fs::openat(&self.0, name, flags, mode)?))
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(super) fn move_file(&self, from: &OsStr, other: &Self, to: &OsStr) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.0, from, &other.0, to, RenameFlags::NOREPLACE) {
            // A file system that can't: a second name, then the first one goes.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(&self.0, from, &other.0, to, AtFlags::empty())?;
                self.remove(from)
            }
            result => Ok(result?),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }

    pub(super) fn entries(&self) -> io::Result<Vec<(OsString, Option<Kind>)>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => None,
                known => Some(crate::beneath::kind_of(known)),
            };
            found.push((OsStr::from_bytes(name).to_owned(), kind));
        }
        Ok(found)
    }
}

//! Looking at files on trusted storage without leaving their base: folders, files and links beneath its root.
//!
//! Everything is opened relative to the root's own descriptor and never through a symbolic link or into another file
//! system by accident, so what is listed is what lies in the folder the user named. Gives plain facts to the sweep,
//! the prober, the hasher and the import; writes nothing. `folder` puts this and what couriers tell behind one type: only
//! couriers themselves, and who knows that a folder is on trusted storage, take these types as they are.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags,
};

use crate::catalog::{Evidence, Nanoseconds};

/// What an entry of a folder is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A FIFO, socket or device, in words.
    Other(Cow<'static, str>),
}

impl From<FileType> for Entry {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Folder,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Other("a named pipe".into()),
            FileType::Socket => Self::Other("a socket".into()),
            FileType::CharacterDevice | FileType::BlockDevice => Self::Other("a device".into()),
            FileType::Unknown => Self::Other("neither a file nor a folder".into()),
        }
    }
}

/// What the disk says of one entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    /// What it is.
    pub(super) entry: Entry,
    /// Its evidence.
    pub(super) evidence: Evidence,
    /// The number of the mount that it is on; 0 where the system can't tell.
    pub(super) mount: u64,
}

/// The folder at the top of a base.
#[derive(Debug)]
pub(super) struct LocalRoot(LocalFolder);

/// An open folder.
#[derive(Debug)]
pub(super) struct LocalFolder {
    fd: OwnedFd,
}

/// What stands in the way of a folder below a root.
#[derive(Debug)]
pub(super) enum NoFolder {
    /// There is nothing of that name.
    Absent,
    /// Something else has that name.
    NotAFolder,
    /// Another file system is mounted there.
    OtherFileSystem,
    /// It can't be opened.
    Failed(io::Error),
}

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

impl LocalRoot {
    /// Opens the folder at the absolute path `path`; `NotFound` where it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, FOLDER, Mode::empty())?;
        Ok(Self(LocalFolder { fd }))
    }

    /// What the disk says of the root itself.
    pub(super) fn evidence(&self) -> io::Result<Evidence> {
        self.0.evidence()
    }

    /// The folder at `relative`, which was vetted part by part before: mounts within are crossed.
    pub(super) fn folder(&self, relative: &Path) -> Result<LocalFolder, NoFolder> {
        open_folder(&self.0.fd, relative, BENEATH)
    }

    /// The folder at `relative`, if all of the way to it is on the root's own file system.
    pub(super) fn folder_here(&self, relative: &Path) -> Result<LocalFolder, NoFolder> {
        open_folder(&self.0.fd, relative, BENEATH.union(ResolveFlags::NO_XDEV))
    }

    /// Opens the regular file at `relative` for reading.
    pub(super) fn file(&self, relative: &Path) -> io::Result<(File, Evidence)> {
        open_file(&self.0.fd, relative)
    }
}

impl LocalFolder {
    /// What the disk says of the folder itself.
    pub(super) fn evidence(&self) -> io::Result<Evidence> {
        Ok(self.seen()?.evidence)
    }

    /// The same, with all that is seen.
    pub(super) fn seen(&self) -> io::Result<Seen> {
        Ok(seen_of(&statx(
            &self.fd,
            OsStr::new(""),
            AtFlags::EMPTY_PATH,
        )?))
    }

    /// An extended attribute of `name` in it, at most some of it; `None` where it has none of that name. Links are not
    /// followed, and the file is not opened.
    pub(super) fn attribute(&self, name: &OsStr, attribute: &str) -> io::Result<Option<Vec<u8>>> {
        use rustix::io::Errno;
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd())).join(name);
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

    /// The folder `name` in it, on the same file system unless `crossing`.
    pub(super) fn folder(&self, name: &OsStr, crossing: bool) -> Result<Self, NoFolder> {
        let resolve = if crossing {
            BENEATH
        } else {
            BENEATH.union(ResolveFlags::NO_XDEV)
        };
        open_folder(&self.fd, Path::new(name), resolve)
    }

    /// What the disk says of `name` in it; `None` where there is nothing of that name. Links are not followed, and
    /// nothing is asked of another file system that is mounted there: that may hang. It is told as a folder, which
    /// can't be opened on this one.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<Seen>> {
        use rustix::io::Errno;
        let resolve = BENEATH_OR_LINK.union(ResolveFlags::NO_XDEV);
        let name_alone = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        match rustix::fs::openat2(&self.fd, name, name_alone, Mode::empty(), resolve) {
            Ok(entry) => Ok(Some(seen_of(&statx(
                &entry,
                OsStr::new(""),
                AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT,
            )?))),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::XDEV) => Ok(Some(Seen {
                entry: Entry::Folder,
                evidence: Evidence {
                    device: 0,
                    inode: 0,
                    size: 0,
                    modified: Nanoseconds(0),
                    changed: Nanoseconds(0),
                    born: None,
                    permissions: 0,
                },
                mount: 0,
            })),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the link `name` points, as written.
    pub(super) fn link(&self, name: &OsStr) -> io::Result<OsString> {
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Opens the regular file `name` in it for reading.
    pub(super) fn file(&self, name: &OsStr) -> io::Result<(File, Evidence)> {
        open_file(&self.fd, Path::new(name))
    }

    /// Makes the folder `name` in it, if it is not there, and opens it; one on which another file system is mounted only
    /// where that `may_cross`.
    pub(super) fn make_folder(
        &self,
        name: &OsStr,
        may_cross: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => self.sync()?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let opened = match self.folder(name, false) {
            Err(NoFolder::OtherFileSystem) => {
                may_cross()?;
                self.folder(name, true)
            }
            opened => opened,
        };
        match opened {
            Ok(folder) => Ok(folder),
            Err(NoFolder::Failed(error)) => Err(error),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                "something else has the name of a folder that is needed",
            )),
        }
    }

    /// Makes the file `name` in it, which must not be there, and takes its lock. Only its owner may read it.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(
            &self.fd,
            name,
            flags,
            Mode::from_raw_mode(0o600),
        )?);
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    }

    /// Removes the file `name` if nobody holds its lock.
    pub(super) fn remove_abandoned(&self, name: &OsStr) -> io::Result<()> {
        let (file, _) = self.file(name)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        self.remove(name)
    }

    /// Removes the file `name`.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Gives the file `from` the name `to`; `AlreadyExists` where something has it.
    pub(super) fn name_file(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            // A file system that can't: a second name, then the first one goes.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(&self.fd, from, &self.fd, to, AtFlags::empty())?;
                self.remove(from)
            }
            other => Ok(other?),
        }
    }

    /// Gives the file `from` of this folder the name `to` in another one; `AlreadyExists` where something has it.
    pub(super) fn move_file(&self, from: &OsStr, other: &Self, to: &OsStr) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::renameat_with(&self.fd, from, &other.fd, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(&self.fd, from, &other.fd, to, AtFlags::empty())?;
                self.remove(from)
            }
            result => Ok(result?),
        }
    }

    /// Brings the folder's list to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Every entry but `.` and `..`; the kind where the file system tells it without a look at the entry.
    pub(super) fn entries(&self) -> io::Result<Vec<(OsString, Option<Entry>)>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => None,
                known => Some(Entry::from(known)),
            };
            found.push((OsStr::from_bytes(name).to_owned(), kind));
        }
        Ok(found)
    }
}

fn open_folder(
    from: &OwnedFd,
    path: &Path,
    resolve: ResolveFlags,
) -> Result<LocalFolder, NoFolder> {
    use rustix::io::Errno;
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    match rustix::fs::openat2(from, path, FOLDER, Mode::empty(), resolve) {
        Ok(fd) => Ok(LocalFolder { fd }),
        Err(Errno::NOENT) => Err(NoFolder::Absent),
        Err(Errno::NOTDIR | Errno::LOOP) => Err(NoFolder::NotAFolder),
        Err(Errno::XDEV) => Err(NoFolder::OtherFileSystem),
        Err(other) => Err(NoFolder::Failed(other.into())),
    }
}

fn open_file(from: &OwnedFd, path: &Path) -> io::Result<(File, Evidence)> {
    let opened = rustix::fs::openat2(from, path, FILE, Mode::empty(), BENEATH)?;
    let file = File::from(opened);
    let seen = seen_of(&statx(&file, OsStr::new(""), AtFlags::EMPTY_PATH)?);
    match seen.entry {
        Entry::File => Ok((file, seen.evidence)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )),
    }
}

fn statx(
    from: impl std::os::fd::AsFd,
    name: &OsStr,
    flags: AtFlags,
) -> io::Result<rustix::fs::Statx> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
    Ok(rustix::fs::statx(from, name, flags, wanted)?)
}

fn seen_of(found: &rustix::fs::Statx) -> Seen {
    let nanoseconds = |time: &rustix::fs::StatxTimestamp| {
        Nanoseconds(
            time.tv_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(i64::from(time.tv_nsec)),
        )
    };
    let born = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    Seen {
        entry: Entry::from(FileType::from_raw_mode(u32::from(found.stx_mode))),
        evidence: Evidence {
            device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            size: found.stx_size,
            modified: nanoseconds(&found.stx_mtime),
            changed: nanoseconds(&found.stx_ctime),
            born: born.then(|| nanoseconds(&found.stx_btime)),
            permissions: found.stx_mode & 0o7777,
        },
        mount: found.stx_mnt_id,
    }
}

/// What the disk says of an open file, with all that is seen.
pub(super) fn seen_in(file: &File) -> io::Result<Seen> {
    Ok(seen_of(&statx(file, OsStr::new(""), AtFlags::EMPTY_PATH)?))
}

/// What the disk says of an open file.
pub(super) fn evidence_of(file: &File) -> io::Result<Evidence> {
    Ok(seen_of(&statx(file, OsStr::new(""), AtFlags::EMPTY_PATH)?).evidence)
}

/// Whether a link in the folder `folder` (relative to its base) that points to `target` stays inside the base, told
/// without touching anything: only a relative target that climbs first and then goes down can be told for certain.
pub(super) fn stays_inside(folder: &Path, target: &OsStr) -> bool {
    use std::path::Component;
    let mut depth = folder.components().count();
    let mut climbing = true;
    let target = PathBuf::from(target);
    if target.as_os_str().is_empty() {
        return false;
    }
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if climbing && depth > 0 => depth -= 1,
            Component::Normal(_) => climbing = false,
            _ => return false,
        }
    }
    true
}

/// Lets the calling thread run only where nobody else wants the processor.
pub(super) fn lower_priority() {
    // A thread that stays at its priority still does its work.
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), 15) {
        tracing::debug!(%error, "a background thread keeps its normal priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_climb_out_are_told() {
        let folder = Path::new("Kits/808");
        for inside in [
            "kick.wav",
            "./kick.wav",
            "../909/kick.wav",
            "../../a",
            "a/b",
        ] {
            assert!(stays_inside(folder, OsStr::new(inside)), "{inside}");
        }
        for outside in ["/etc/passwd", "../../../a", "a/../../b", "a/..", ""] {
            assert!(!stays_inside(folder, OsStr::new(outside)), "{outside}");
        }
    }

    #[test]
    fn a_look_is_at_one_name_and_follows_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("file"), b"12345")?;
        std::os::unix::fs::symlink("/proc", folder.path().join("link"))?;
        let opened = LocalRoot::open(folder.path())?.0;
        let look = |name: &str| opened.look(OsStr::new(name));
        let file = look("file")?.ok_or(io::ErrorKind::NotFound)?;
        assert_eq!((file.entry, file.evidence.size), (Entry::File, 5));
        assert_eq!(look("link")?.map(|seen| seen.entry), Some(Entry::Link));
        assert!(look("nothing")?.is_none());
        // Where another file system is mounted, nothing is asked of that.
        let top = LocalRoot::open(Path::new("/"))?.0;
        let proc = top
            .look(OsStr::new("proc"))?
            .ok_or(io::ErrorKind::NotFound)?;
        assert_eq!((proc.entry, proc.evidence.inode), (Entry::Folder, 0));
        Ok(())
    }

    #[test]
    fn nothing_outside_the_root_can_be_opened() -> io::Result<()> {
        let outer = tempfile::tempdir()?;
        std::fs::write(outer.path().join("secret.wav"), b"x")?;
        std::fs::create_dir(outer.path().join("root"))?;
        std::os::unix::fs::symlink("../secret.wav", outer.path().join("root/link.wav"))?;
        let root = LocalRoot::open(&outer.path().join("root"))?;
        assert!(root.file(Path::new("link.wav")).is_err());
        assert!(root.file(Path::new("../secret.wav")).is_err());
        assert!(matches!(
            root.folder(Path::new("..")),
            Err(NoFolder::OtherFileSystem)
        ));
        Ok(())
    }
}

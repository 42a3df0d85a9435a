//! Beneath a root on Unix: the kernel resolves the path, or it is walked with the open folder of each step.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{BeneathError, Evidence, Found, Kind, Links};

/// A folder that paths are resolved beneath. Holds no more than a descriptor that keeps the folder's identity;
/// a root that is moved or covered by a mount stays what it was.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    path: PathBuf,
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "none is followed")
    )]
    links: Links,
    kernel_resolves: AtomicBool,
    /// What is mounted below is not entered.
    stays: bool,
}

impl Root {
    /// Takes the folder at `path` as a root. Symbolic links in `path` itself are followed.
    ///
    /// # Errors
    /// [`BeneathError`]; [`BeneathError::NotRegular`] if it is not a folder.
    pub fn open(path: &Path, links: Links) -> Result<Self, BeneathError> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | PATH_ONLY;
        let folder =
            retry(|| rustix::fs::open(path, flags, Mode::empty())).map_err(
                |errno| match errno {
                    Errno::NOTDIR => BeneathError::NotRegular {
                        path: path.to_owned(),
                        kind: Kind::File,
                    },
                    errno => general(path.to_owned(), errno),
                },
            )?;
        let kernel_resolves = AtomicBool::new(cfg!(target_os = "linux"));
        Ok(Self {
            folder,
            path: path.to_owned(),
            links,
            kernel_resolves,
            stays: false,
        })
    }

    /// As it is, but what is mounted below it is not entered: a path that leads there [`BeneathError::Escapes`]. Where the
    /// kernel can't tell (see the module), mounts are entered.
    #[must_use]
    pub fn staying_on_its_mount(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Whether mounts below it are certain not to be entered.
    #[must_use]
    pub fn is_sure_to_stay(&self) -> bool {
        self.stays && self.kernel_resolves.load(Ordering::Relaxed)
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the root folder itself is.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn evidence(&self) -> Result<Evidence, BeneathError> {
        status(self.folder.as_fd())
            .map(|(_, evidence)| evidence)
            .map_err(|e| general(self.path.clone(), e))
    }

    /// Opens the regular file at `below` (relative) for reading. Does not wait for anything but the storage, and
    /// leaves the time of access alone where it may.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn open_file(&self, below: &Path) -> Result<(File, Evidence), BeneathError> {
        let flags =
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match self.resolve(below, flags | QUIET) {
            // Only the owner may leave the time of access alone.
            Err(Errno::PERM) if !QUIET.is_empty() => self.resolve(below, flags),
            opened => opened,
        };
        let file = opened.map_err(|errno| self.refused(below, errno))?;
        match status(file.as_fd()) {
            Ok((Kind::File, evidence)) => Ok((file.into(), evidence)),
            Ok((kind, _)) => Err(BeneathError::NotRegular {
                path: self.path.join(below),
                kind,
            }),
            Err(errno) => Err(general(self.path.join(below), errno)),
        }
    }

    /// What is at `below`, without opening it: the last component is not followed.
    ///
    /// # Errors
    /// [`BeneathError`], never [`BeneathError::NotRegular`].
    pub fn look(&self, below: &Path) -> Result<(Kind, Evidence), BeneathError> {
        let failed = |errno| self.refused(below, errno);
        #[cfg(target_os = "linux")]
        {
            let at = self
                .resolve(below, PATH_ONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC)
                .map_err(failed)?;
            status(at.as_fd()).map_err(failed)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let (folder, name) = self.walk_to_parent(below).map_err(failed)?;
            let stat = rustix::fs::statat(&folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed)?;
            Ok(from_stat(&stat))
        }
    }

    /// The entries of the folder at `below` (empty: the root itself), without `.` and `..`, in the order of the file
    /// system.
    ///
    /// # Errors
    /// [`BeneathError`]; [`BeneathError::NotRegular`] if it is not a folder.
    pub fn list(&self, below: &Path) -> Result<Listing, BeneathError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = self
            .resolve(below, flags)
            .map_err(|errno| self.refused(below, errno))?;
        let path = self.path.join(below);
        match rustix::fs::Dir::new(folder) {
            Ok(entries) => Ok(Listing {
                entries,
                path,
                failed: false,
            }),
            Err(errno) => Err(general(path, errno)),
        }
    }

    fn resolve(&self, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        // Leads out without asking anybody, so that both ways answer alike.
        if below.is_absolute() {
            return Err(Errno::XDEV);
        }
        let below = if below.as_os_str().is_empty() {
            Path::new(".")
        } else {
            below
        };
        #[cfg(target_os = "linux")]
        if self.kernel_resolves.load(Ordering::Relaxed) {
            match self.ask_kernel(below, flags) {
                // Not there: an old kernel, or a sandbox.
                Err(Errno::NOSYS) => self.kernel_resolves.store(false, Ordering::Relaxed),
                Err(Errno::PERM) if self.kernel_refuses_even_the_root() => {
                    self.kernel_resolves.store(false, Ordering::Relaxed);
                }
                answer => return answer,
            }
        }
        let (folder, name) = self.walk_to_parent(below)?;
        retry(|| rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty()))
    }

    #[cfg(target_os = "linux")]
    fn ask_kernel(&self, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        use rustix::fs::ResolveFlags;
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if self.links == Links::Never {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        if self.stays {
            resolve |= ResolveFlags::NO_XDEV;
        }
        let mut answer = Err(Errno::AGAIN);
        // EAGAIN: something was renamed on the way, and the kernel can't be sure of a `..`.
        for _ in 0..8 {
            answer =
                retry(|| rustix::fs::openat2(&self.folder, below, flags, Mode::empty(), resolve));
            if !matches!(answer, Err(Errno::AGAIN)) {
                break;
            }
        }
        answer
    }

    /// EPERM can come from the file (O_NOATIME) or from a sandbox that forbids the call.
    #[cfg(target_os = "linux")]
    fn kernel_refuses_even_the_root(&self) -> bool {
        matches!(
            self.ask_kernel(Path::new("."), PATH_ONLY | OFlags::CLOEXEC),
            Err(Errno::PERM)
        )
    }

    /// Opens the folder that holds the last component, refusing every link and every `..` on the way.
    fn walk_to_parent<'a>(&self, below: &'a Path) -> Result<(OwnedFd, &'a OsStr), Errno> {
        let mut names = Vec::new();
        for component in below.components() {
            match component {
                Component::Normal(name) => names.push(name),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(Errno::XDEV);
                }
            }
        }
        let last = names.pop().unwrap_or(OsStr::new("."));
        let mut folder = self
            .folder
            .try_clone()
            .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        let flags = PATH_ONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for name in names {
            folder = match retry(|| rustix::fs::openat(&folder, name, flags, Mode::empty())) {
                Err(Errno::NOTDIR) if is_link(folder.as_fd(), name) => return Err(Errno::LOOP),
                next => next?,
            };
        }
        // With a slash at the end it must be a folder; `.` makes the kernel see to that.
        Ok((folder, last))
    }

    /// Says what an errno of `open` means.
    fn refused(&self, below: &Path, errno: Errno) -> BeneathError {
        let path = self.path.join(below);
        match errno {
            Errno::XDEV => BeneathError::Escapes { path },
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP => {
                // The last component is something that can't be opened so, or there was no way to it.
                let flags = PATH_ONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let there = self.resolve(below, flags).and_then(|at| status(at.as_fd()));
                match (there, errno) {
                    (Ok((kind, _)), _) => BeneathError::NotRegular { path, kind },
                    (Err(_), Errno::LOOP) => BeneathError::Escapes { path },
                    (Err(_), Errno::NOTDIR) => BeneathError::NotFound { path },
                    (Err(_), errno) => general(path, errno),
                }
            }
            errno => general(path, errno),
        }
    }
}

/// The entries of a folder, read as they are asked for. Ends after the first error.
#[derive(Debug)]
pub struct Listing {
    entries: rustix::fs::Dir,
    path: PathBuf,
    failed: bool,
}

impl Iterator for Listing {
    type Item = Result<Found, BeneathError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        loop {
            match self.entries.next()? {
                Ok(entry) => {
                    let name = OsStr::from_bytes(entry.file_name().to_bytes());
                    if name == "." || name == ".." {
                        continue;
                    }
                    let kind = match entry.file_type() {
                        rustix::fs::FileType::Unknown => None,
                        known => Some(kind_of(known)),
                    };
                    return Some(Ok(Found {
                        name: name.to_owned(),
                        kind,
                    }));
                }
                Err(errno) => {
                    self.failed = true;
                    return Some(Err(general(self.path.clone(), errno)));
                }
            }
        }
    }
}

/// What an open file of any origin is and shows now.
///
/// # Errors
/// When the system can't tell, as on a connection that is gone.
pub fn evidence_of(file: &File) -> io::Result<(Kind, Evidence)> {
    Ok(status(file.as_fd())?)
}

/// As [`evidence_of`], of a folder, or of what is open as a mere path.
pub(crate) fn evidence_of_open(file: &impl AsFd) -> io::Result<(Kind, Evidence)> {
    Ok(status(file.as_fd())?)
}

/// A descriptor that only stands for a place.
#[cfg(target_os = "linux")]
const PATH_ONLY: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PATH_ONLY: OFlags = OFlags::RDONLY;

/// Does not change the time of access.
#[cfg(target_os = "linux")]
const QUIET: OFlags = OFlags::NOATIME;
#[cfg(not(target_os = "linux"))]
const QUIET: OFlags = OFlags::empty();

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

fn general(path: PathBuf, errno: Errno) -> BeneathError {
    match errno {
        // A name that no file system can hold names nothing.
        Errno::NOENT | Errno::NAMETOOLONG | Errno::INVAL => BeneathError::NotFound { path },
        Errno::ACCESS | Errno::PERM => BeneathError::Permission {
            path,
            source: errno.into(),
        },
        errno => BeneathError::Io {
            path,
            source: errno.into(),
        },
    }
}

fn is_link(folder: BorrowedFd<'_>, name: &OsStr) -> bool {
    rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        kind_of(rustix::fs::FileType::from_raw_mode(stat.st_mode)) == Kind::Symlink
    })
}

pub(crate) fn kind_of(file_type: rustix::fs::FileType) -> Kind {
    use rustix::fs::FileType;
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice | FileType::BlockDevice => Kind::Device,
        FileType::Socket => Kind::Socket,
        FileType::Unknown => Kind::Other,
    }
}

#[cfg(target_os = "linux")]
fn status(file: BorrowedFd<'_>) -> Result<(Kind, Evidence), Errno> {
    use rustix::fs::{AtFlags, StatxFlags};
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
    let statx = match rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, wanted) {
        Err(Errno::NOSYS | Errno::PERM) => {
            return rustix::fs::fstat(file).map(|stat| from_stat(&stat));
        }
        statx => statx?,
    };
    let time =
        |stamp: rustix::fs::StatxTimestamp| system_time(stamp.tv_sec, u64::from(stamp.tv_nsec));
    let known = |flag: StatxFlags| statx.stx_mask & flag.bits() != 0;
    let evidence = Evidence {
        device: rustix::fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
        inode: statx.stx_ino,
        size: statx.stx_size,
        modified: time(statx.stx_mtime),
        changed: time(statx.stx_ctime),
        born: known(StatxFlags::BTIME).then(|| time(statx.stx_btime)),
        permissions: statx.stx_mode & 0o7777,
        mount: known(StatxFlags::MNT_ID).then_some(statx.stx_mnt_id),
    };
    Ok((
        kind_of(rustix::fs::FileType::from_raw_mode(statx.stx_mode.into())),
        evidence,
    ))
}

#[cfg(not(target_os = "linux"))]
fn status(file: BorrowedFd<'_>) -> Result<(Kind, Evidence), Errno> {
    rustix::fs::fstat(file).map(|stat| from_stat(&stat))
}

// The fields differ in width and sign from system to system.
#[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
pub(crate) fn from_stat(stat: &rustix::fs::Stat) -> (Kind, Evidence) {
    let evidence = Evidence {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: system_time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        changed: system_time(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        #[cfg(target_os = "macos")]
        born: Some(system_time(
            stat.st_birthtime as i64,
            stat.st_birthtime_nsec as u64,
        )),
        #[cfg(not(target_os = "macos"))]
        born: None,
        permissions: (stat.st_mode & 0o7777) as u16,
        mount: None,
    };
    (
        kind_of(rustix::fs::FileType::from_raw_mode(stat.st_mode)),
        evidence,
    )
}

/// Seconds since 1970 (also before it) and nanoseconds; what the clock type can't hold becomes 1970.
fn system_time(seconds: i64, nanoseconds: u64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    base.and_then(|base| base.checked_add(Duration::from_nanos(nanoseconds.min(999_999_999))))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(all(test, target_os = "linux"))]
#[path = "unix_tests.rs"]
mod tests;

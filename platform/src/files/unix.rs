//! Linux and macOS.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, XattrFlags};

use super::{Identity, Make, Opening};
use crate::drive::{Allocation, Replacing};

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    FileExt::read_at(file, buffer, offset)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    FileExt::write_at(file, bytes, offset)
}

pub(super) fn open_itself(how: Opening, path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(how.write)
        .create(how.make == Make::IfMissing)
        .create_new(how.make == Make::New)
        .truncate(how.truncate)
        .mode(u32::from(how.permissions))
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

pub(super) fn changed_at(found: &Metadata) -> (i64, i64) {
    (found.ctime(), found.ctime_nsec())
}

pub(super) fn permissions(found: &Metadata) -> u16 {
    u16::try_from(found.mode() & 0o777).unwrap_or_default()
}

pub(super) fn set_permissions(file: &File, permissions: u16) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(u32::from(permissions)))
}

pub(super) fn mark(file: &File, mark: &str) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(
        file,
        mark,
        b"1",
        XattrFlags::empty(),
    )?)
}

pub(super) fn unmark(file: &File, mark: &str) -> io::Result<()> {
    Ok(rustix::fs::fremovexattr(file, mark)?)
}

pub(super) fn is_marked(path: &Path, mark: &str) -> bool {
    rustix::fs::lgetxattr(path, mark, &mut [0_u8; 8][..]).is_ok()
}

pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    path.symlink_metadata().map(|found| identity_in(&found))
}

pub(super) fn identity_behind(path: &Path) -> io::Result<Identity> {
    path.metadata().map(|found| identity_in(&found))
}

fn identity_in(found: &Metadata) -> Identity {
    Identity {
        device: found.dev(),
        inode: found.ino(),
    }
}

pub(super) fn rename(from: &Path, to: &Path, replacing: Replacing) -> io::Result<()> {
    let how = match replacing {
        Replacing::Replace => RenameFlags::empty(),
        Replacing::Keep => RenameFlags::NOREPLACE,
        Replacing::Exchange => RenameFlags::EXCHANGE,
    };
    Ok(rustix::fs::renameat_with(CWD, from, CWD, to, how)?)
}

pub(super) fn sync(file: &File) -> io::Result<()> {
    file.sync_all()
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(target_vendor = "apple"))]
pub(super) fn is_called(path: &Path) -> io::Result<bool> {
    path.symlink_metadata().map(|_| true)
}

#[cfg(target_vendor = "apple")]
pub(super) fn is_called(path: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, Mode, OFlags, getpath, openat};
    use std::os::unix::ffi::OsStrExt as _;
    // `SYMLINK`: a link itself.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::SYMLINK;
    let open = openat(CWD, path, flags, Mode::empty())?;
    let own = getpath(&open)?;
    let own = Path::new(std::ffi::OsStr::from_bytes(own.as_bytes()));
    Ok(own.file_name() == path.file_name())
}

pub(super) fn canonical(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path)
}

#[cfg(target_os = "linux")]
pub(super) fn allocate(file: &File, wanted: Allocation) -> io::Result<()> {
    use crate::drive::Fill;
    use rustix::fs::FallocateFlags;
    let mut flags = match wanted.fill {
        Fill::Kept => FallocateFlags::empty(),
        Fill::Hole => FallocateFlags::PUNCH_HOLE,
        Fill::Zeros => FallocateFlags::ZERO_RANGE,
    };
    flags.set(FallocateFlags::KEEP_SIZE, wanted.keep_size);
    Ok(rustix::fs::fallocate(
        file,
        flags,
        wanted.offset,
        wanted.length,
    )?)
}

/// As other programs there do: room is a wish, which is not granted on every file system; the size is what counts.
#[cfg(target_os = "macos")]
pub(super) fn allocate(file: &File, wanted: Allocation) -> io::Result<()> {
    use crate::drive::Fill;
    use std::os::fd::AsRawFd as _;
    let offset = |at: u64| libc::off_t::try_from(at).map_err(io::Error::other);
    match wanted.fill {
        Fill::Kept => {
            let end = wanted.offset.saturating_add(wanted.length);
            let length = file.metadata()?.len();
            if end > length {
                let mut room = libc::fstore_t {
                    fst_flags: libc::F_ALLOCATEALL,
                    fst_posmode: libc::F_PEOFPOSMODE,
                    fst_offset: 0,
                    fst_length: offset(end - length)?,
                    fst_bytesalloc: 0,
                };
                // SAFETY: the file is open, and `room` is what this command takes, and ours to be written.
                let given =
                    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_PREALLOCATE, &raw mut room) };
                if given == -1 {
                    let error = io::Error::last_os_error();
                    if error.kind() == io::ErrorKind::StorageFull {
                        return Err(error);
                    }
                }
                if !wanted.keep_size {
                    file.set_len(end)?;
                }
            }
            Ok(())
        }
        Fill::Hole if wanted.keep_size => {
            let hole = libc::fpunchhole_t {
                fp_flags: 0,
                reserved: 0,
                fp_offset: offset(wanted.offset)?,
                fp_length: offset(wanted.length)?,
            };
            // SAFETY: the file is open, and `hole` is what this command takes.
            match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_PUNCHHOLE, &raw const hole) } {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        }
        Fill::Hole | Fill::Zeros => Err(io::ErrorKind::Unsupported.into()),
    }
}

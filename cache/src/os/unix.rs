//! Linux and macOS.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::space::Space;

pub(crate) const NAMES_OUTLIVE_REMOVAL: bool = false;

/// The folder of the cache as an open file, so that no path is walked to it.
pub(crate) struct Beneath(File);

impl Beneath {
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        File::open(root).map(Self)
    }

    pub(crate) fn open(&self, relative: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{ResolveFlags, openat2};
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match openat2(&self.0, relative, flags, Mode::empty(), resolve) {
                // Kernels before 5.6, and sandboxes that forbid what they do not know.
                Err(Errno::NOSYS | Errno::PERM) => {}
                answer => return Ok(File::from(answer?)),
            }
        }
        let file = rustix::fs::openat(&self.0, relative, flags, Mode::empty())?;
        Ok(File::from(file))
    }
}

pub(crate) fn make_private(options: &mut OpenOptions) {
    options.mode(0o600);
}

pub(crate) fn make_private_folder(builder: &mut DirBuilder) {
    builder.mode(0o700);
}

/// Files are.
pub(crate) fn make_sparse(_file: &File) -> io::Result<()> {
    Ok(())
}

pub(crate) fn make_read_only(file: &File) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_mode(0o444);
    file.set_permissions(permissions)
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

#[cfg(all(
    target_os = "linux",
    not(any(target_arch = "sparc", target_arch = "sparc64"))
))]
pub(crate) fn reflink(source: &File, target: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(target, source)?)
}

#[cfg(not(all(
    target_os = "linux",
    not(any(target_arch = "sparc", target_arch = "sparc64"))
)))]
pub(crate) fn reflink(_source: &File, _target: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    FileExt::read_at(file, buffer, offset)
}

pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    FileExt::write_at(file, bytes, offset)
}

pub(crate) fn space(folder: &Path) -> io::Result<Space> {
    let answer = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
    Ok(Space {
        total: bytes(answer.f_blocks),
        available: bytes(answer.f_bavail),
    })
}

pub(crate) fn is_link_in_the_way(error: &io::Error) -> bool {
    // LOOP: a symlink. NXIO: a socket, or a device without driver.
    let code = error.raw_os_error();
    code == Some(Errno::LOOP.raw_os_error()) || code == Some(Errno::NXIO.raw_os_error())
}

pub(crate) fn is_medium_failing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

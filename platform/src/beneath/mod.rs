//! Files beneath a root folder, and nothing outside it.
//!
//! A name from a library, a project or a catalog must not lead out of its root, whatever symbolic links and
//! `..` it meets, and opening it must not hang on a fifo or wake a device. On Linux the kernel resolves the path
//! (`openat2` with `RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS`); where it can't, or a sandbox forbids the call, and on other
//! systems, the path is walked component by component, and every symbolic link and every `..` is refused.
//!
//! What comes out: an open file of a *regular* file with the [`Evidence`] by which it is known again.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

#[cfg(unix)]
pub(crate) use system::evidence_of_open;
#[cfg(all(unix, any(not(target_os = "linux"), test)))]
pub(crate) use system::from_stat;
#[cfg(target_os = "linux")]
pub(crate) use system::kind_of;
pub use system::{Listing, Root, evidence_of};

/// Which symbolic links are followed on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Links {
    /// Those that stay beneath the root (none where the kernel can't tell, see the module). The last component
    /// is never followed.
    Beneath,
    /// None.
    Never,
}

/// What something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A character or block device.
    Device,
    /// A socket.
    Socket,
    /// What this system has beside.
    Other,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a named pipe",
            Self::Device => "a device",
            Self::Socket => "a socket",
            Self::Other => "neither a file nor a folder",
        })
    }
}

/// What tells one version of a file from another. Times have the precision of the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// The device, as in `st_dev`; on Windows the serial number of the volume.
    pub device: u64,
    /// The inode; on Windows what the file is known by on its volume.
    pub inode: u64,
    /// In bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: SystemTime,
    /// Last change of the inode, or of what stands for one.
    pub changed: SystemTime,
    /// Birth, where the file system keeps it.
    pub born: Option<SystemTime>,
    /// Permission bits; on Windows made up from whether it is read-only.
    pub permissions: u16,
    /// The mount it was reached through, where the system tells (Linux 5.8).
    pub mount: Option<u64>,
}

/// Why something beneath a root can't be had.
#[derive(Debug, thiserror::Error)]
pub enum BeneathError {
    /// Nothing of that name, or a file where a folder is needed on the way.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The whole path.
        path: PathBuf,
    },
    /// It exists, but is not what is asked for.
    #[error("{} is {kind}", path.display())]
    NotRegular {
        /// The whole path.
        path: PathBuf,
        /// What it is instead.
        kind: Kind,
    },
    /// The path leads out of its root, or through a link that is not followed.
    #[error("{} leads out of its folder", path.display())]
    Escapes {
        /// The whole path.
        path: PathBuf,
    },
    /// This process may not read it.
    #[error("no permission to read {}; check its owner and mode", path.display())]
    Permission {
        /// The whole path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The storage, or the system, gave an error.
    #[error("{} cannot be read", path.display())]
    Io {
        /// The whole path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// One entry of a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its name, byte for byte.
    pub name: OsString,
    /// What it is; `None` where the file system does not say in a listing.
    pub kind: Option<Kind>,
}

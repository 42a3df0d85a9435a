//! Mounting a [`Drive`]: the mount point, the adapter, and the way down again.
//!
//! Each system has its way: FUSE (`fuse.rs`), NFS where there is none (`nfs/`), on Windows WinFsp (`winfsp.rs`).
//!
//! [`mount`] makes the mount point ready (and clears away a dead mount of ours), attaches the file system,
//! starts the dispatch threads and hands back [`Mounted`]. Requests then flow `fuse.rs` → [`Drive`];
//! invalidations flow the other way through `notifier.rs`.
//!
//! [`Drive`]: crate::drive::Drive

#[cfg(unix)]
mod adapter;
mod asking;
#[cfg(unix)]
mod attach;
#[cfg(unix)]
mod attr;
mod cases;
#[cfg(unix)]
mod either;
#[cfg(unix)]
mod errno;
#[cfg(unix)]
mod fuse;
mod guarded;
#[cfg(unix)]
mod left;
#[cfg(unix)]
mod listing;
#[cfg(target_os = "linux")]
mod listing_plus;
#[cfg(any(target_os = "macos", all(test, unix)))]
mod macfuse;
#[cfg(unix)]
mod mounted;
#[cfg(unix)]
mod nfs;
#[cfg(unix)]
mod notifier;
#[cfg(unix)]
mod open_files;
#[cfg(unix)]
mod point;
#[cfg(unix)]
mod readdir;
#[cfg(unix)]
mod registering;
mod transport;
#[cfg(any(windows, test))]
mod winfsp;
mod workers;
#[cfg(unix)]
mod writing;

use std::io;
use std::path::PathBuf;

#[cfg(unix)]
pub use either::{Mounted, mount};
#[cfg(unix)]
pub use left::lives;
#[cfg(unix)]
pub use point::clear;
pub use transport::Transport;
#[cfg(target_os = "macos")]
pub use transport::check;
#[cfg(windows)]
pub use winfsp::{Mounted, check, clear, mount};

/// What is to be shown, with its link, wherever WinFsp is spoken of: its licence asks for it.
#[cfg(windows)]
pub const WINFSP_NOTICE: &str =
    "WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos, https://winfsp.dev";

/// The file that an unmounted mount point holds.
pub const NOTE_NAME: &str = "NOT-MOUNTED.txt";

/// What [`MountTable`](crate::volume::MountTable) calls our mounts, as Linux does.
pub const FS_TYPE: &str = "fuse.mediafs";

/// What the names of our exports by NFS begin with; a secret follows.
pub(crate) const EXPORT_NAME: &str = "mediafs-";

/// The subtype, which the kernel puts behind `fuse.`.
const SUBTYPE: &str = "mediafs";

/// How to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOptions {
    /// Where. Created with its parents if it is missing.
    pub mountpoint: PathBuf,
    /// Let the kernel read files by itself where it can. Needs Linux 6.9 and `CAP_SYS_ADMIN`, or the helper that has
    /// it; without them the page cache is used.
    pub passthrough: bool,
    /// The program that registers files for passthrough if this process may not. It must belong to root and be
    /// writable by root alone. `None` looks for it where it is installed: see `passthrough::find`.
    pub passthrough_helper: Option<PathBuf>,
    /// Dispatch threads, at least 1. On macOS it is 1 whatever this says, on Windows never less than 32.
    pub threads: usize,
    /// Let other users in. Without root this needs `user_allow_other` in `/etc/fuse.conf`.
    pub allow_other: bool,
    /// Find names in another case than they have, as programs of macOS expect. Windows always does.
    pub any_case: bool,
    /// How it gets to the system.
    pub transport: Transport,
    /// What `df` shows as the source of the mount.
    pub name: String,
    /// What tells the drive from another one that is mounted there at another time: where its data are, say. Programs of
    /// Windows know it by that.
    pub identity: String,
    /// The text of [`NOTE_NAME`] in the mount point, seen while the drive is not mounted.
    pub unmounted_note: String,
}

impl MountOptions {
    /// The usual options for a mount at `mountpoint`: passthrough wanted, 4 threads, for the owner alone.
    #[must_use]
    pub fn new(mountpoint: impl Into<PathBuf>) -> Self {
        Self {
            mountpoint: mountpoint.into(),
            passthrough: true,
            passthrough_helper: None,
            threads: 4,
            allow_other: false,
            any_case: cfg!(target_os = "macos"),
            transport: Transport::of_this_system(),
            name: SUBTYPE.to_owned(),
            identity: String::new(),
            unmounted_note:
                "This folder is where the mediafs drive appears. It is not mounted now.\n\
                Start it with `mediafs mount`, then your sounds are here again.\n\
                Please keep no files of your own in this folder.\n"
                    .to_owned(),
        }
    }
}

/// Is passthrough used, and if not, why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passthrough {
    /// The kernel reads files of the drive by itself (file by file: one on an overlay over an overlay, say, still
    /// goes through the page cache).
    InForce,
    /// The same, for files that belong to this user; the helper registers them.
    ByHelper,
    /// It was [`Passthrough::ByHelper`], but the helper was ended or does not answer. Handles that were open then
    /// stay as they are.
    HelperLost,
    /// It was not asked for.
    NotAsked,
    /// The drive is not mounted by FUSE.
    NotOfTransport,
    /// The kernel has none (it came with Linux 6.9).
    NotOffered,
    /// This process lacks `CAP_SYS_ADMIN`, and there is no helper that has it.
    NotPermitted,
    /// The kernel refused with this errno.
    Refused(i32),
}

impl Passthrough {
    /// Does the kernel read files of the drive by itself?
    #[must_use]
    pub fn is_in_force(self) -> bool {
        matches!(self, Self::InForce | Self::ByHelper)
    }
}

impl std::fmt::Display for Passthrough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InForce => f.write_str("in force"),
            Self::ByHelper => f.write_str("in force, by the helper"),
            Self::HelperLost => f.write_str("off: the helper has ended; mount again to start it"),
            Self::NotOfTransport if cfg!(windows) => f.write_str("off: WinFsp has none"),
            Self::NotOfTransport => f.write_str("off: NFS has none"),
            Self::NotAsked => f.write_str("off: not asked for"),
            Self::NotOffered => f.write_str("off: this kernel has none (Linux 6.9 or later has)"),
            Self::NotPermitted => {
                f.write_str("off: not permitted without CAP_SYS_ADMIN or the helper")
            }
            Self::Refused(errno) => {
                write!(
                    f,
                    "off: the kernel refused it ({})",
                    io::Error::from_raw_os_error(*errno)
                )
            }
        }
    }
}

/// Why a mount ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was unmounted, by us or by somebody else.
    Unmounted,
    /// The connection to the kernel failed.
    Failed(String),
}

/// How [`Mounted::unmount`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmounted {
    /// It had ended before.
    Already,
    /// Nobody used it any more.
    Clean,
    /// Programs still used it; it left the tree and ended once their waiting requests were answered.
    Detached,
    /// Programs still had files open; the connection was cut. Passthrough handles read on, others get errors.
    Aborted,
    /// It left the tree, but could not be ended. It ends with this process.
    LeftBehind,
}

/// Which mounts of ours [`clear`] takes away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clear {
    /// Those whose daemon has died.
    Dead,
    /// Those whose daemon has died or does not answer.
    Silent,
}

/// What the system lacks for the drive, as `check` finds.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct Lacking {
    /// What.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// What the system has for the drive, as `check` finds.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Present {
    /// What.
    pub message: String,
    /// What is known to go wrong with it, and what would be better.
    pub flaw: Option<Lacking>,
}

/// Why the drive could not be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The mount point could not be made ready.
    #[error("cannot use {path} as mount point: {action}")]
    Point {
        /// The mount point.
        path: PathBuf,
        /// What failed.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The mount point is a file, or the root of the file system.
    #[error("{path} is not a folder; name an empty folder, or one that does not exist yet")]
    NotAFolder {
        /// The mount point.
        path: PathBuf,
    },
    /// Files in the mount point would be hidden by the mount.
    #[error(
        "{path} is not empty (it holds {entry:?}); mount at an empty folder, or move what is in there"
    )]
    NotEmpty {
        /// The mount point.
        path: PathBuf,
        /// One of the entries.
        entry: std::ffi::OsString,
    },
    /// A living mediafs is mounted there.
    #[error("a mediafs drive is already mounted at {path}; unmount it first, or use that one")]
    AlreadyMounted {
        /// The mount point.
        path: PathBuf,
    },
    /// A mediafs is mounted there that neither lives nor is dead.
    #[error("the mediafs drive at {path} does not answer; stop its daemon, then try again")]
    NotAnswering {
        /// The mount point.
        path: PathBuf,
    },
    /// Something else is mounted there.
    #[error("something else ({fs_type}) is mounted at {path}; unmount it, or mount somewhere else")]
    Occupied {
        /// The mount point.
        path: PathBuf,
        /// What is mounted there.
        fs_type: String,
    },
    /// On Windows, another file system has the network name of the drive, which each machine has once.
    #[error(
        "the network name of the drive, \\{name}, is taken, by a drive that you have mounted with this letter in another \
         session or as administrator; unmount that one, or mount at another letter than {path}"
    )]
    NameTaken {
        /// The mount point.
        path: PathBuf,
        /// The name, with a separator in front.
        name: String,
    },
    /// A dead mount of ours could not be removed.
    #[cfg_attr(
        not(target_os = "macos"),
        error(
            "the dead mount at {path} could not be removed; try `fusermount3 -uz {path}`, or `sudo umount -fl {path}`"
        )
    )]
    #[cfg_attr(
        target_os = "macos",
        error(
            "the dead mount at {path} could not be removed; try `diskutil unmount force {path}`"
        )
    )]
    Recover {
        /// The mount point.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What mounts drives is not on this system: FUSE, macFUSE, or WinFsp.
    #[cfg_attr(
        not(any(windows, target_os = "macos")),
        error("this system has no /dev/fuse; load it with `modprobe fuse`")
    )]
    #[cfg_attr(
        target_os = "macos",
        error(
            "macFUSE is not installed; install it from https://macfuse.github.io, or mount with `--transport nfs`"
        )
    )]
    #[cfg_attr(
        windows,
        error(
            "WinFsp is not installed, and without it there are no drives on Windows; install it from \
             https://winfsp.dev/rel/, then try again ({WINFSP_NOTICE})"
        )
    )]
    NoFuse,
    /// This user may not use FUSE.
    #[error(
        "this user may not open /dev/fuse; most systems let everybody (`sudo chmod 666 /dev/fuse`)"
    )]
    DeviceRefused {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Only root can have the system's NFS client mount.
    #[error(
        "mounting by NFS needs root on this system; run it as root, or mount by FUSE (without `--transport nfs`)"
    )]
    NotRoot,
    /// The kernel or fusermount3 refused the mount.
    #[error("cannot mount at {path}")]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel and the library did not agree, or a thread could not be started.
    #[error("the mount at {path} could not be started")]
    Start {
        /// The mount point.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

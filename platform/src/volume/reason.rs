//! The answer to "is this storage trusted", in words a musician understands.

use std::fmt;
use std::path::PathBuf;

/// May the daemon itself touch this storage?
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// A local disk that answers at once or not at all.
    Trusted,
    /// Everything else, and why.
    Untrusted(Reason),
}

impl Trust {
    /// Is it trusted?
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted)
    }
}

/// How a disk is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Bus {
    /// USB.
    Usb,
    /// FireWire.
    FireWire,
    /// A memory card, or soldered flash of the same kind.
    Mmc,
    /// A port or drive that the system calls removable: Thunderbolt, a card reader, an optical drive.
    Removable,
    /// A file that is mounted as a disk.
    Loop,
    /// A disk of another machine: nbd, rbd, NVMe over a network.
    Network,
    /// iSCSI.
    Iscsi,
    /// Made by software that is not known here.
    Virtual,
}

/// Why storage is not trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The path is not absolute.
    NotAbsolute,
    /// Another machine's, by its kind of file system.
    Share {
        /// The kind of file system.
        fs_type: String,
    },
    /// A file system in user space, which is as fast and as alive as its program.
    Program {
        /// The kind of file system.
        fs_type: String,
    },
    /// A kind of file system that is not on the list of trusted ones.
    FileSystem {
        /// The kind of file system.
        fs_type: String,
    },
    /// By the way the disk is attached.
    Disk {
        /// How it is attached.
        bus: Bus,
        /// Its name, as in `/dev`.
        name: String,
    },
    /// In a folder that a sync client manages.
    Cloud {
        /// Whose client.
        provider: &'static str,
        /// The folder.
        root: PathBuf,
    },
    /// What it lies on can't be told.
    Unknown {
        /// What is not known.
        what: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("not an absolute path"),
            Self::Share { fs_type } => write!(f, "on a network share ({fs_type})"),
            Self::Program { fs_type } => write!(f, "served by a program ({fs_type})"),
            Self::FileSystem { fs_type } => {
                write!(f, "on a file system that is not trusted ({fs_type})")
            }
            Self::Disk { bus, name } => match bus {
                Bus::Usb => write!(f, "on a USB disk ({name})"),
                Bus::FireWire => write!(f, "on a FireWire disk ({name})"),
                Bus::Mmc => write!(f, "on a memory card ({name})"),
                Bus::Removable => write!(f, "on a removable disk ({name})"),
                Bus::Loop => write!(f, "in a disk image ({name})"),
                Bus::Network => write!(f, "on a disk of another machine ({name})"),
                Bus::Iscsi => write!(f, "on an iSCSI disk ({name})"),
                Bus::Virtual => write!(f, "on a virtual disk ({name})"),
            },
            Self::Cloud { provider, root } => {
                write!(f, "in a {provider} folder ({})", root.display())
            }
            Self::Unknown { what } => write!(f, "on storage that cannot be told: {what}"),
        }
    }
}

//! What sort of storage a mount is for the media layer, by the mount table and sysfs alone.

use super::device::Devices;
use super::foreign::{Provider, is_program, provider_of};
use super::reason::{Bus, Reason};
use super::table::MountEntry;

/// What sort of storage a mount is. It says where the bytes are; whether the daemon may touch them itself is said by
/// [`Trust`], which is stricter: a built-in disk with FAT is local and not trusted.
///
/// [`Local`] and [`Removable`] storage is identified by [`identify`], the others by [`identity_from_table`].
///
/// [`Trust`]: super::Trust
/// [`Local`]: Self::Local
/// [`Removable`]: Self::Removable
/// [`identify`]: super::identify
/// [`identity_from_table`]: super::identity_from_table
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StorageSort {
    /// A disk that is built in, or what the kernel itself keeps.
    Local,
    /// A volume that comes and goes, and how it is attached: also disk images, and disks of other machines.
    Removable(Bus),
    /// A share of another machine.
    Network,
    /// The file system of a program.
    Foreign {
        /// Which program, if it is a known one.
        provider: Option<Provider>,
    },
}

/// The sort of a mount that is not trusted for `reason`.
pub(super) fn sort_of(entry: &MountEntry, reason: &Reason, devices: &Devices) -> StorageSort {
    match reason {
        Reason::Share { .. } => StorageSort::Network,
        Reason::Program { fs_type } if is_program(fs_type) => StorageSort::Foreign {
            provider: provider_of(entry),
        },
        Reason::Disk { bus, .. } => StorageSort::Removable(*bus),
        // A disk that a program serves (ntfs-3g), or one with a file system that is not trusted.
        Reason::Program { .. } | Reason::FileSystem { .. } if entry.device.major != 0 => {
            match devices.check(entry.device) {
                Ok(()) => StorageSort::Local,
                Err(Reason::Disk { bus, .. }) => StorageSort::Removable(bus),
                Err(_) => StorageSort::Removable(Bus::Virtual),
            }
        }
        Reason::Program { .. } | Reason::FileSystem { .. } => {
            StorageSort::Foreign { provider: None }
        }
        // A disk whose place the system does not tell may come and go.
        Reason::Unknown { .. } | Reason::NotAbsolute | Reason::Cloud { .. } => {
            StorageSort::Removable(Bus::Virtual)
        }
    }
}

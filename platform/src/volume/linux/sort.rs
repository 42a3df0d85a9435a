//! What sort of storage a mount is, by the mount table and sysfs alone.

use super::device::Devices;
use super::foreign::{is_program, provider_of};
use super::kind::StorageSort;
use super::reason::{Bus, Reason};
use super::table::MountEntry;

/// The sort of a mount that is not trusted for `reason`.
pub(crate) fn sort_of(entry: &MountEntry, reason: &Reason, devices: &Devices) -> StorageSort {
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

//! What is thought of a mount of Windows: by its disk's driver, and by its kind of file system.

use std::collections::HashMap;

use super::disk;
use super::kind::StorageSort;
use super::reason::{Bus, Reason};
use super::table::{MountEntry, MountId, MountTable};
use super::trust::{Class, Classifier};

/// What was told of the disks behind the mounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Devices {
    not_built_in: HashMap<MountId, Reason>,
}

impl Devices {
    pub(crate) fn of(table: &MountTable) -> Self {
        let disks = table
            .entries()
            .iter()
            .filter(|entry| entry.device.major != 0);
        let not_built_in = disks
            .filter_map(|entry| {
                let reason = disk::is_built_in(&entry.mount_point, &entry.source).err()?;
                Some((entry.id, reason))
            })
            .collect();
        Self { not_built_in }
    }

    /// Somebody may have the disk of a mount removed.
    pub(super) fn may_be_removed(&self, mount: &MountEntry) -> bool {
        self.not_built_in.contains_key(&mount.id)
    }
}

impl Classifier {
    /// What is thought of a mount.
    pub(crate) fn class_of(&self, mount: &MountEntry) -> Class {
        let fs_type = mount.fs_type.clone();
        if mount.device.major == 0 {
            return Class::Foreign(Reason::Share { fs_type });
        }
        let mut declared = self.declared.devices.iter();
        if declared.any(|device| device.as_os_str() == mount.source) {
            return Class::Trusted;
        }
        if let Some(reason) = self.devices.not_built_in.get(&mount.id) {
            return Class::Foreign(reason.clone());
        }
        match fs_type.as_str() {
            "ntfs" | "refs" => Class::Trusted,
            _ => Class::Foreign(Reason::FileSystem { fs_type }),
        }
    }
}

/// The sort of a mount that is not trusted for `reason`.
pub(crate) fn sort_of(_mount: &MountEntry, reason: &Reason, _devices: &Devices) -> StorageSort {
    match reason {
        Reason::Share { .. } => StorageSort::Network,
        Reason::Disk { bus, .. } => StorageSort::Removable(*bus),
        Reason::Program { .. } => StorageSort::Foreign { provider: None },
        // A built-in disk with another file system.
        Reason::FileSystem { .. } => StorageSort::Local,
        // A disk whose place the system does not tell may come and go.
        Reason::Unknown { .. } | Reason::NotAbsolute | Reason::Cloud { .. } => {
            StorageSort::Removable(Bus::Virtual)
        }
    }
}

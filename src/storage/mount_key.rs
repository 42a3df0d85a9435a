//! Mounts, each told from whatever is mounted there later.
//!
//! The system gives the number of a mount anew as soon as it is free, and so it does with loop devices and the names of
//! disks: between two looks at the mounts one disk may have taken the place of another, or the same one may have been
//! unmounted and mounted again. What the kernel counts up tells them apart: the sequence numbers of disks, and the
//! numbers of its own folders of mounted file systems. They are in sysfs (`sysfs`), so no storage is touched. Other systems
//! give the number of a mount by what is mounted, and count nothing.

#[cfg(target_os = "linux")]
mod sysfs;

use std::path::PathBuf;

use mediafs_platform::volume::{MountEntry, MountId};

/// A mount.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct MountKey {
    pub(super) id: MountId,
    pub(super) point: PathBuf,
    pub(super) device: (u32, u32),
    /// The sequence number of its disk; `None` where the system tells none.
    disk: Option<u64>,
    /// The number of the kernel's folder of it, as a file system that is mounted.
    mounted: Option<u64>,
}

impl MountKey {
    pub(super) fn of(entry: &MountEntry) -> Self {
        let device = (entry.device.major, entry.device.minor);
        #[cfg(target_os = "linux")]
        let (disk, mounted) = sysfs::counted(entry, device);
        #[cfg(not(target_os = "linux"))]
        let (disk, mounted) = (None, None);
        Self {
            id: entry.id,
            point: entry.mount_point.clone(),
            device,
            disk,
            mounted,
        }
    }
}

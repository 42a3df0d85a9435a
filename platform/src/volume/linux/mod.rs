//! Volumes of Linux: from `/proc/self/mountinfo`, sysfs, the kernel's answers on a mount point, and what is written on
//! the disk.

pub(super) mod class;
pub(super) mod device;
mod foreign;
mod identify;
mod sort;
mod superblock;
mod watch;

use std::io;

use super::table::MountTable;
use super::{identity, kind, leaving, reason, table, trust};

pub(super) use device::Devices;
pub use foreign::identity_from_table;
pub use identify::{identify, kind_of};
pub(super) use sort::sort_of;
pub use watch::MountWatch;

pub(super) fn mounts() -> io::Result<MountTable> {
    Ok(MountTable::parse(&std::fs::read("/proc/self/mountinfo")?))
}

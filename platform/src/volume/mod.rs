//! Which volumes are mounted, and which of them are trusted.
//!
//! *Trusted storage* is a local disk that is not removable, not remote and not under a sync client: storage that
//! answers at once or not at all. Only it may be touched by the daemon itself. [`Classifier`] tells, and goes
//! by the mount table and sysfs before it looks at any path, so that a hung share is never touched.
//!
//! A *volume* is known again by its [`VolumeIdentity`], which a catalog keeps as text: [`identify`] tells it of disks,
//! in a courier, [`identity_from_table`] of shares and programs' file systems. [`MountWatch`] tells when mounts change,
//! and [`Classifier::sort`] what sort of storage a mount is.

#[cfg(target_os = "linux")]
mod cloud;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
mod foreign;
#[cfg(target_os = "linux")]
mod identify;
#[cfg(unix)]
mod identity;
#[cfg(target_os = "linux")]
mod kind;
mod reason;
#[cfg(target_os = "linux")]
mod superblock;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod trust;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(unix)]
use std::path::Path;

#[cfg(target_os = "linux")]
pub use foreign::{Provider, Reach, identity_from_table};
#[cfg(target_os = "linux")]
pub use identify::{Identified, identify};
#[cfg(unix)]
pub use identity::{DiskIdentity, Likeness, MountIdentity, NotAnIdentity, VolumeIdentity};
#[cfg(target_os = "linux")]
pub use kind::StorageSort;
pub use reason::{Bus, Reason, Trust};
#[cfg(target_os = "linux")]
pub use table::{DeviceNumber, MountEntry, MountId, MountTable};
#[cfg(target_os = "linux")]
pub use trust::{Classifier, DeclaredTrusted};
#[cfg(target_os = "linux")]
pub use watch::MountWatch;

/// Room in a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that this user can still write.
    pub available: u64,
}

/// The room in the file system that holds `path`. Touches the path, so ask on trusted storage only.
///
/// # Errors
/// When the system can't tell, as for a path that does not exist.
#[cfg(unix)]
pub fn free_space(path: &Path) -> std::io::Result<Space> {
    let room = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Ok(Space {
        total: bytes(room.f_blocks),
        available: bytes(room.f_bavail),
    })
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn free_space_is_within_the_total() {
        let home = tempfile::tempdir().unwrap();
        let space = free_space(home.path()).unwrap();
        assert!(space.available > 0 && space.available <= space.total);
        assert!(free_space(&home.path().join("none")).is_err());
    }
}

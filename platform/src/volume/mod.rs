//! Which volumes are mounted, and which of them are trusted.
//!
//! *Trusted storage* is a local disk that is not removable, not remote and not under a sync client: storage that
//! answers at once or not at all. Only it may be touched by the daemon itself. [`Classifier`] tells, and goes
//! by the mount table and what the system knows of disks before it looks at any path, so that a hung share is never
//! touched.
//!
//! A *volume* is known again by its [`VolumeIdentity`], which a catalog keeps as text: [`identify`] tells it of disks,
//! in a courier, [`identity_from_table`] of shares and programs' file systems. [`MountWatch`] tells when mounts change
//! and, where the system does, when one is about to ([`Leaving`]); [`Classifier::sort`] what sort of storage a mount is.
//!
//! Each system has a part of its own with the same functions: `linux`, `macos`, `windows`.

mod identity;
mod kind;
mod leaving;
#[cfg(any(target_os = "macos", test))]
mod on_disk;
#[cfg(not(target_os = "linux"))]
mod polled;
mod reason;
mod table;
mod trust;

#[cfg_attr(target_os = "linux", path = "linux/mod.rs")]
#[cfg_attr(target_os = "macos", path = "macos/mod.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
mod system;

use std::path::Path;

pub use identity::{
    DiskIdentity, Identified, Likeness, MountIdentity, NotAnIdentity, VolumeIdentity,
};
pub use kind::{Provider, Reach, StorageSort};
pub use leaving::Leaving;
pub use reason::{Bus, Reason, Trust};
#[cfg(windows)]
pub(crate) use system::by_its_letter;
pub use system::{MountWatch, identify, identity_from_table, kind_of};
pub use table::{DeviceNumber, MountEntry, MountId, MountTable};
pub use trust::{Classifier, DeclaredTrusted, steps};

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
#[cfg(target_os = "macos")]
pub fn free_space(path: &Path) -> std::io::Result<Space> {
    // `statvfs` counts blocks in 32 bits there, which is 16 TiB of them.
    let room = rustix::fs::statfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(u64::from(room.f_bsize));
    Ok(Space {
        total: bytes(room.f_blocks),
        available: bytes(room.f_bavail),
    })
}

/// The room in the file system that holds `path`. Touches the path, so ask on trusted storage only.
///
/// # Errors
/// When the system can't tell, as for a path that does not exist.
#[cfg(all(unix, not(target_os = "macos")))]
pub fn free_space(path: &Path) -> std::io::Result<Space> {
    let room = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Ok(Space {
        total: bytes(room.f_blocks),
        available: bytes(room.f_bavail),
    })
}

/// The room in the file system that holds `path`. Touches the path, so ask on trusted storage only.
///
/// # Errors
/// When the system can't tell, as for a path that does not exist.
#[cfg(windows)]
pub fn free_space(path: &Path) -> std::io::Result<Space> {
    system::free_space(path)
}

#[cfg(test)]
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

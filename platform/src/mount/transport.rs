//! How the drive gets to the system.

use std::path::Path;

/// Where its installer puts it.
const MACFUSE: &str = "/Library/Filesystems/macfuse.fs";
/// What mounts by macFUSE; its installer puts it there.
pub(super) const MACFUSE_LIBRARY: &str = "/usr/local/lib/libfuse.2.dylib";
/// Set to `nfs` in the environment, it makes that the transport wherever none is asked for: for tests of what holds by both.
const TESTED: &str = "MEDIAFS_TEST_TRANSPORT";

/// How the drive gets to the system.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// FUSE, or what the system has in its place: knows which program asks, and tells the kernel what has changed.
    Fuse,
    /// NFSv3 on the loopback interface, by the system's own client. Everybody is a copier.
    Nfs,
}

/// Whether macFUSE is installed, whole.
fn has_macfuse() -> bool {
    [MACFUSE, MACFUSE_LIBRARY]
        .iter()
        .all(|part| Path::new(part).exists())
}

impl Transport {
    /// What this system has: FUSE, but where macOS lacks macFUSE.
    #[must_use]
    pub fn of_this_system() -> Self {
        let is_tested = std::env::var_os(TESTED).is_some_and(|word| word == Self::Nfs.word());
        if is_tested || (cfg!(target_os = "macos") && !has_macfuse()) {
            Self::Nfs
        } else {
            Self::Fuse
        }
    }

    /// `fuse`, `nfs`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fuse => "fuse",
            Self::Nfs => "nfs",
        }
    }
}

/// How the drive would be mounted, in words; nothing is mounted.
///
/// # Errors
/// None: every Mac has a client of NFS.
#[cfg(target_os = "macos")]
pub fn check() -> Result<super::Present, super::Lacking> {
    let message = match Transport::of_this_system() {
        Transport::Fuse => format!("macFUSE is installed ({MACFUSE})"),
        Transport::Nfs => {
            "macFUSE is not installed; the drive is mounted by NFS, and every program gets what one that copies gets"
                .to_owned()
        }
    };
    Ok(super::Present {
        message,
        flaw: None,
    })
}

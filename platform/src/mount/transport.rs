//! How the drive gets to the system.

use std::path::Path;

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

impl Transport {
    /// What this system has: FUSE, but where macOS lacks macFUSE.
    #[must_use]
    pub fn of_this_system() -> Self {
        let macfuse = Path::new("/Library/Filesystems/macfuse.fs");
        let is_tested = std::env::var_os(TESTED).is_some_and(|word| word == Self::Nfs.word());
        if is_tested || (cfg!(target_os = "macos") && !macfuse.exists()) {
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

//! How the drive gets to the system.

use std::path::Path;

/// What mounts by macFUSE; its installer puts it there.
pub(super) const MACFUSE_LIBRARY: &str = "/usr/local/lib/libfuse.2.dylib";

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
        let macfuse = ["/Library/Filesystems/macfuse.fs", MACFUSE_LIBRARY];
        let has_macfuse = || macfuse.iter().all(|part| Path::new(part).exists());
        if cfg!(target_os = "macos") && !has_macfuse() {
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

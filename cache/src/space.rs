//! How much room the disk of the cache has, and what follows for its default limits.

use std::io;
use std::path::Path;

/// The largest quota that is taken without being told, in bytes.
const DEFAULT_QUOTA_LIMIT: u64 = 50_000_000_000;
/// The largest free-space floor that is taken without being told, in bytes.
const DEFAULT_FLOOR_LIMIT: u64 = 1_000_000_000;

/// The room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// How large it is.
    pub total: u64,
    /// How much an ordinary user can still write.
    pub available: u64,
}

impl Space {
    /// The quota of a cache on a disk like this: 10 % of it, at most 50 GB.
    pub fn default_quota(&self) -> u64 {
        (self.total / 10).min(DEFAULT_QUOTA_LIMIT)
    }

    /// What a cache leaves free on a disk like this: 5 % of it, at most 1 GB.
    pub fn default_floor(&self) -> u64 {
        (self.total / 20).min(DEFAULT_FLOOR_LIMIT)
    }
}

/// Who knows how much room there is. [`SystemSpace`] asks the system; a test can say what it likes.
pub trait FreeSpace: Send + Sync + 'static {
    /// The room on the disk on which `folder` lies. Called under a lock of the cache's ledger: it must not wait.
    ///
    /// # Errors
    /// What the system says.
    fn space(&self, folder: &Path) -> io::Result<Space>;
}

/// Asks the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSpace;

impl FreeSpace for SystemSpace {
    fn space(&self, folder: &Path) -> io::Result<Space> {
        crate::os::space(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_quota_is_a_tenth_and_at_most_50_gb() {
        let quota = |total| {
            Space {
                total,
                available: 0,
            }
            .default_quota()
        };
        assert_eq!(quota(100_000_000_000), 10_000_000_000);
        assert_eq!(quota(500_000_000_000), 50_000_000_000);
        assert_eq!(quota(4_000_000_000_000), 50_000_000_000);
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn the_system_answers() {
        let folder = tempfile::tempdir().unwrap();
        let space = SystemSpace.space(folder.path()).unwrap();
        assert!(
            space.total > 0 && space.available <= space.total,
            "{space:?}"
        );
        assert!(SystemSpace.space(&folder.path().join("gone")).is_err());
    }
}

//! How sources are told from each other: by where they hang in the system's tree.

use std::path::{Path, PathBuf};

use mediafs_platform::volume::MountTable;

/// The name of a source: the absolute path, without links, of the place where it hangs in the system's tree. For a
/// volume or share that is where it is mounted, for a cloud root the folder that the client manages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SourceKey(PathBuf);

impl SourceKey {
    /// The source that hangs at `root`.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self(root)
    }

    /// The file system that holds `path` (absolute, without links), by the system's table: no storage is touched.
    pub(crate) fn holding(path: &Path) -> Self {
        let table = MountTable::read().ok();
        let mount = table.as_ref().and_then(|table| table.holding(path));
        let root = || path.ancestors().last().unwrap_or(path);
        Self(
            mount
                .map_or_else(root, |mount| &mount.mount_point)
                .to_owned(),
        )
    }

    /// Where it hangs.
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }
}

//! Clouds that are a file system of their own, as pCloud or a mount of rclone: they are there while that is mounted.
//!
//! A cloud is known by its folder, and that is on some mount whatever happens. So where it was met on one that is no
//! trusted storage, that mount's place is noted behind its identity, and what a mount above it shows there is none of the
//! cloud's. Of a folder on this computer's own disk nothing is noted: disks are divided anew.

use std::path::{Path, PathBuf};

use mediafs_platform::volume::{Classifier, MountEntry, MountTable};

use super::sources::{SourceError, Sources, sort};
use crate::catalog::{Durability, SourceRow};
use crate::model::{path_from_text, path_text};

/// What is between a cloud's identity and the place of its mount.
const MOUNT: &str = "#mount=";

/// By what a cloud is known.
pub(super) fn identity_of(provider: &str, root: &Path) -> String {
    format!("cloud:{provider}:{}", path_text(root))
}

/// Whether what is recorded is this identity, with a mount or without.
pub(super) fn is_recorded(recorded: &str, identity: &str) -> bool {
    match recorded.strip_prefix(identity) {
        Some(rest) => rest.is_empty() || rest.starts_with(MOUNT),
        None => false,
    }
}

fn own_mount(recorded: &str) -> Option<PathBuf> {
    let (_, mount) = recorded.rsplit_once(MOUNT)?;
    path_from_text(mount).ok()
}

/// The mount that a cloud is on; `None` while its own is not there.
pub(super) fn mount_of<'t>(row: &SourceRow, table: &'t MountTable) -> Option<&'t MountEntry> {
    let holds = table.holding(&row.path)?;
    let is_own = |own: PathBuf| own == holds.mount_point || !own.starts_with(&holds.mount_point);
    own_mount(&row.identity).is_none_or(is_own).then_some(holds)
}

impl Sources {
    /// A cloud is on this mount: noted, if that may be its own.
    pub(super) fn note_mount(
        &self,
        row: &SourceRow,
        entry: &MountEntry,
        classifier: &Classifier,
    ) -> Result<(), SourceError> {
        let point = &entry.mount_point;
        let is_news = |own: PathBuf| own != *point && point.starts_with(&own);
        if !own_mount(&row.identity).is_none_or(is_news) || sort(classifier, entry).is_none() {
            return Ok(());
        }
        let plain = row.identity.rsplit_once(MOUNT);
        let plain = plain.map_or(row.identity.as_str(), |(plain, _)| plain);
        let identity = format!("{plain}{MOUNT}{}", path_text(point));
        self.catalog.write(Durability::Full, |writer| {
            writer.identify_source(row.row, &identity)
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::catalog::Nanoseconds;
    use crate::model::{SourceKind, SourceNo};

    fn cloud(identity: String) -> SourceRow {
        SourceRow {
            row: SourceNo(1),
            kind: SourceKind::Cloud,
            identity,
            name: "it".to_owned(),
            provider: None,
            path: "/home/me/cloud".into(),
            seen: Nanoseconds(0),
        }
    }

    #[test]
    fn a_cloud_is_not_there_while_its_own_mount_is_not() {
        let plain = identity_of("rclone", Path::new("/home/me/cloud"));
        let own = format!("{plain}{MOUNT}/home/me/cloud");
        let below = format!("{plain}{MOUNT}/home/me");
        for recorded in [&plain, &own, &below] {
            assert!(is_recorded(recorded, &plain));
        }
        let other = identity_of("rclone", Path::new("/home/me/cloud2"));
        assert!(!is_recorded(&other, &plain));
        let root = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n".as_slice();
        let home = b"23 22 8:2 / /home rw - ext4 /dev/sda2 rw\n".as_slice();
        let fuse = b"24 22 0:40 / /home/me/cloud rw - fuse.rclone cloud: rw\n".as_slice();
        let at = |identity: &str, lines: &[&[u8]]| {
            let table = MountTable::parse(&lines.concat());
            let found = mount_of(&cloud(identity.to_owned()), &table);
            found.map(|entry| entry.mount_point.clone())
        };
        let (is_root, is_fuse) = (Some("/".into()), Some("/home/me/cloud".into()));
        // A folder that is kept the same is there wherever it lies.
        assert_eq!(at(&plain, &[root]), is_root);
        assert_eq!(at(&plain, &[root, home]), Some("/home".into()));
        assert_eq!(at(&own, &[root, fuse]), is_fuse);
        assert_eq!(at(&own, &[root]), None);
        assert_eq!(at(&own, &[root, home]), None);
        assert_eq!(at(&below, &[root, fuse]), is_fuse);
    }
}

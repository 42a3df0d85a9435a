//! Which mount a source is: what the catalog keeps of identities, compared with what is mounted.

use std::collections::HashSet;

use mediafs_platform::volume::{Likeness, MountEntry, VolumeIdentity};

use crate::catalog::SourceRow;

/// What the catalog keeps of an identity. Of a bind mount or subvolume also which part of the file system it is.
pub(super) fn recorded(identity: &VolumeIdentity, entry: &MountEntry) -> String {
    let root = crate::model::path_text(&entry.root);
    match (identity, root.as_str()) {
        (VolumeIdentity::Mount(_), _) | (_, "/") => identity.to_string(),
        (_, root) => format!("{identity}#{root}"),
    }
}

/// Whether what is recorded of a volume is of one with a mark.
pub(crate) fn is_marked(recorded: &str) -> bool {
    let (text, _) = parts_of(recorded);
    matches!(text.parse(), Ok(VolumeIdentity::Disk(disk)) if disk.mark.is_some())
}

/// The mount that is this source. Of several (clones, bind mounts) the one where it was last, else the first; one that
/// is only perhaps the same counts if there is no better.
pub(super) fn mount_of<'t>(
    row: &SourceRow,
    found: &[(VolumeIdentity, &'t MountEntry)],
) -> Option<&'t MountEntry> {
    let (text, root) = parts_of(&row.identity);
    let identity: VolumeIdentity = text.parse().ok()?;
    let identity = &identity;
    let like = |wanted: Likeness| {
        let alike = found.iter().filter(move |(other, entry)| {
            let part = matches!(other, VolumeIdentity::Mount(_))
                || crate::model::path_text(&entry.root) == root;
            part && identity.compare(other) == wanted
        });
        let alike: Vec<&MountEntry> = alike.map(|(_, entry)| *entry).collect();
        let last = alike.iter().find(|entry| entry.mount_point == row.path);
        let one = last.or(alike.first()).copied();
        let disks: HashSet<_> = alike.iter().map(|entry| entry.device).collect();
        (one, disks.len())
    };
    match (like(Likeness::Same), like(Likeness::Perhaps)) {
        ((Some(same), _), _) => Some(same),
        // Of several disks nobody knows which.
        (_, (perhaps, 1)) => perhaps,
        _ => None,
    }
}

/// What [`recorded`] has put together. The names of shares may hold anything.
fn parts_of(recorded: &str) -> (&str, &str) {
    match recorded.find("#/") {
        Some(at) if recorded.starts_with("disk:") => (&recorded[..at], &recorded[at + 1..]),
        _ => (recorded, "/"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mediafs_platform::volume::{MountTable, identity_from_table};

    use super::*;
    use crate::catalog::Nanoseconds;
    use crate::model::{SourceKind, SourceNo};

    fn source(kind: SourceKind, identity: &str, path: &str) -> SourceRow {
        SourceRow {
            row: SourceNo(1),
            kind,
            identity: identity.to_owned(),
            name: "it".to_owned(),
            provider: None,
            path: path.into(),
            seen: Nanoseconds(0),
        }
    }

    /// Mounts of these disks or shares, each with what it is.
    fn found<'t>(
        table: &'t MountTable,
        identities: &[&str],
    ) -> Vec<(VolumeIdentity, &'t MountEntry)> {
        let identities = identities.iter().map(|text| text.parse().unwrap());
        identities.zip(table.entries()).collect()
    }

    fn point(found: Option<&MountEntry>) -> Option<&str> {
        found.and_then(|entry| entry.mount_point.to_str())
    }

    #[test]
    fn a_share_is_known_again_whatever_its_name_holds() {
        let line = b"30 22 0:40 / /mnt/s rw - cifs //nas/a#/b rw\n";
        let table = MountTable::parse(line);
        let identity = identity_from_table(&table.entries()[0]).unwrap();
        let text = recorded(&identity, &table.entries()[0]);
        let row = source(SourceKind::Network, &text, "/mnt/old");
        let found = found(&table, &[&text]);
        assert_eq!(point(mount_of(&row, &found)), Some("/mnt/s"));
    }

    #[test]
    fn a_part_of_a_file_system_is_known_by_its_root() {
        let lines = b"30 22 0:40 /a /mnt/a rw - btrfs /dev/sdb1 rw\n31 22 0:40 /b /mnt/b rw - btrfs /dev/sdb1 rw\n";
        let table = MountTable::parse(lines);
        let disk = "disk:uuid=0485feef-9b9c-492b-9487-99998e929513,size=5";
        let found = found(&table, &[disk, disk]);
        let at = |root: &str| {
            let text = format!("{disk}#{root}");
            point(mount_of(
                &source(SourceKind::Volume, &text, "/mnt/a"),
                &found,
            ))
            .map(str::to_owned)
        };
        assert_eq!(at("/b").as_deref(), Some("/mnt/b"));
        assert_eq!(at("/a").as_deref(), Some("/mnt/a"));
        assert_eq!(at("/c"), None);
    }

    #[test]
    fn of_copies_the_one_that_was_there_last_is_it() {
        let lines = b"30 22 8:17 / /mnt/a rw - ext4 /dev/sdb1 rw\n31 22 8:33 / /mnt/b rw - ext4 /dev/sdc1 rw\n";
        let table = MountTable::parse(lines);
        let uuid = "disk:uuid=0485feef-9b9c-492b-9487-99998e929513,size=5";
        let row = |serial: &str, path| source(SourceKind::Volume, &format!("{uuid}{serial}"), path);
        let alike = found(&table, &[uuid, uuid]);
        assert_eq!(point(mount_of(&row("", "/mnt/b"), &alike)), Some("/mnt/b"));
        assert_eq!(
            point(mount_of(&row("", "/mnt/old"), &alike)),
            Some("/mnt/a")
        );
        // By its serial, wherever it is; else by nothing, if there are two.
        let (one, other) = (format!("{uuid},serial=1"), format!("{uuid},serial=2"));
        let told = found(&table, &[&one, &other]);
        assert_eq!(
            point(mount_of(&row(",serial=2", "/mnt/a"), &told)),
            Some("/mnt/b")
        );
        assert_eq!(mount_of(&row(",serial=3", "/mnt/a"), &told), None);
        let alone = found(&table, &[&one]);
        assert_eq!(
            point(mount_of(&row(",serial=3", "/mnt/x"), &alone)),
            Some("/mnt/a")
        );
    }
}

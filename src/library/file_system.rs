//! What of a file's evidence lasts, by the file system that it is on. Runs in couriers.
//!
//! On FAT, FUSE and network file systems the numbers of inodes are made up at each mount, and times of change and birth
//! may be, too: there a file is known by its name, size and modification time alone, and the rest of its evidence is
//! what it never is elsewhere (inode 0). And a device number says nothing of a disk that is plugged in again, so on all
//! untrusted storage it is a number made of the file system's identity: its UUID, else its kind and what it is mounted
//! from. Copies of a volume have its UUID, so what is the same on them is the same. So nothing changes when a volume is mounted again, and another volume at its place is told from it.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use mediafs_platform::cloud;
use mediafs_platform::volume::{
    MountEntry, MountId, MountTable, VolumeIdentity, identify, kind_of,
};
use parking_lot::Mutex;

use crate::catalog::Evidence;

use super::disk::Seen;

/// How long the table of mounts is believed. Numbers of mounts are used again.
const FRESH: Duration = Duration::from_secs(1);
/// File systems that keep the numbers of their inodes on the disk.
const LASTING: &[&str] = &[
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "apfs", "hfsplus", "hfs", "ntfs",
    "ntfs3", "overlay", "tmpfs",
];
/// Where asking for an attribute costs a way over the network.
const REMOTE: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "afs",
    "fuse.sshfs",
];

/// One file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileSystem {
    /// Stands for it.
    device: u64,
    lasting: bool,
    /// Whether its files may tell by attributes that their bytes are elsewhere.
    pub(super) has_attributes: bool,
}

impl FileSystem {
    /// What lasts of what is seen of a file on it.
    pub(super) fn lasting(&self, seen: &Evidence) -> Evidence {
        let mut evidence = Evidence {
            device: self.device,
            ..*seen
        };
        if !self.lasting {
            evidence.inode = 0;
            evidence.changed = evidence.modified;
            evidence.born = None;
        }
        evidence
    }
}

/// The mounted file systems, as they are met.
#[derive(Default)]
pub(super) struct FileSystems {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    since: Option<Instant>,
    /// Where a system does not say with a file what mount it is on.
    table: Option<MountTable>,
    systems: HashMap<MountId, FileSystem>,
}

impl FileSystems {
    /// The one that something was seen on: at `place`, which has no links.
    pub(super) fn of(&self, seen: &Seen, place: &Path) -> FileSystem {
        let mut known = self.known.lock();
        if known.since.is_none_or(|since| since.elapsed() >= FRESH) {
            *known = Known {
                since: Some(Instant::now()),
                ..Known::default()
            };
        }
        let Known { table, systems, .. } = &mut *known;
        let read = || MountTable::read().unwrap_or_default();
        if seen.mount != 0 {
            let id = MountId(seen.mount);
            return *systems
                .entry(id)
                .or_insert_with(|| read().by_id(id).map_or(UNKNOWN, of_mount));
        }
        match table.get_or_insert_with(read).holding(place) {
            Some(mount) => *systems.entry(mount.id).or_insert_with(|| of_mount(mount)),
            None => UNKNOWN,
        }
    }
}

const UNKNOWN: FileSystem = FileSystem {
    device: 0,
    lasting: false,
    has_attributes: false,
};

fn of_mount(mount: &MountEntry) -> FileSystem {
    let mut identity = blake3::Hasher::new();
    match uuid_of(mount) {
        Some(uuid) => {
            identity.update(b"uuid\0");
            identity.update(uuid.as_bytes());
        }
        None => {
            identity.update(mount.fs_type.as_bytes());
            identity.update(b"\0");
            identity.update(mount.source.as_encoded_bytes());
        }
    }
    let hash = *identity.finalize().as_bytes();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    let kind = kind_of(mount);
    FileSystem {
        device: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        lasting: LASTING.contains(&&*kind),
        has_attributes: !cloud::SYSTEM_TELLS && !REMOTE.contains(&&*kind),
    }
}

/// The UUID of the file system on a disk. The system's links alone would not do: of a volume and its copy they name one, and
/// not everywhere are there any.
fn uuid_of(mount: &MountEntry) -> Option<String> {
    // On Windows a volume has a name of its own, and what has no disk is told by its number.
    let on_disk = Path::new(&mount.source).starts_with("/dev");
    if !on_disk && (!cfg!(windows) || mount.device.major == 0) {
        return None;
    }
    match identify(mount).ok()?.identity {
        VolumeIdentity::Disk(disk) => disk.file_system,
        VolumeIdentity::Mount(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::catalog::Nanoseconds;

    fn mounted(line: &str) -> FileSystem {
        let table = MountTable::parse(line.as_bytes());
        of_mount(table.entries().first().unwrap())
    }

    #[test]
    fn only_what_lasts_is_believed() {
        let seen = |device, inode| Evidence {
            device,
            inode,
            size: 5,
            modified: Nanoseconds(7),
            changed: Nanoseconds(8),
            born: Some(Nanoseconds(6)),
            permissions: 0o644,
        };
        let disk = mounted("30 22 8:17 / /media/a rw - ext4 /dev/none1 rw");
        let again = mounted("31 22 8:33 / /media/b rw - ext4 /dev/none1 rw");
        assert_eq!(disk.lasting(&seen(1, 2)), again.lasting(&seen(3, 2)));
        assert_ne!(disk.lasting(&seen(1, 2)), again.lasting(&seen(1, 3)));
        let share = mounted("30 22 0:40 / /mnt/s rw - cifs //nas/sounds rw");
        assert_eq!(share.lasting(&seen(1, 2)), share.lasting(&seen(9, 9)));
        assert_eq!(share.lasting(&seen(1, 2)).inode, 0);
        let other = mounted("30 22 0:40 / /mnt/s rw - cifs //nas/other rw");
        assert_ne!(other.lasting(&seen(1, 2)), share.lasting(&seen(1, 2)));
    }

    #[test]
    fn a_file_is_known_to_be_on_its_disk_by_its_place_where_the_system_does_not_say() {
        let folder = tempfile::tempdir().unwrap();
        let place = mediafs_platform::files::canonical(folder.path()).unwrap();
        let seen = super::super::disk::LocalRoot::open(&place).unwrap();
        let seen = seen.folder(Path::new("")).unwrap().seen().unwrap();
        let unsaid = Seen {
            mount: 0,
            ..seen.clone()
        };
        let systems = FileSystems::default();
        let by_place = systems.of(&unsaid, &place);
        assert_ne!(by_place, UNKNOWN);
        assert_ne!(by_place.device, 0);
        // The same by whatever way, and the next time.
        assert_eq!(systems.of(&seen, &place), by_place);
        assert_eq!(FileSystems::default().of(&unsaid, &place), by_place);
        let nowhere = systems.of(&unsaid, Path::new("nowhere"));
        assert_eq!(nowhere, UNKNOWN);
    }
}

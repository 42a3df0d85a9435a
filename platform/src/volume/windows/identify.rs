//! The identity of a volume of Windows, in the words of other systems: so a disk that is carried from one to another is the
//! same there.

use std::io;

use super::identity::{DiskIdentity, Identified, MountIdentity, VolumeIdentity};
use super::table::MountEntry;
use super::{SHARE, disk, file_system_at, free_space, volume_at, with_slash};
use crate::beneath::{Links, Root};

/// Identifies the file system on a disk by its mount.
///
/// **To be called in a courier only**: it touches the disk, and may hang with it. What the system does not tell is left out
/// of the identity, which then compares as *perhaps*.
///
/// Serial numbers of FAT collide and clones carry everything, so equal identities are no proof that it is one disk.
///
/// # Errors
/// If the mount is not one of a disk ([`identity_from_table`] may tell of those), if another volume is mounted there by
/// now, or if the disk is gone.
pub fn identify(entry: &MountEntry) -> io::Result<Identified> {
    let place = &entry.mount_point;
    if entry.device.major == 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not mounted from a disk", place.display()),
        ));
    }
    if volume_at(place).unwrap_or_default() != entry.source {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("another volume is seen at {} by now", place.display()),
        ));
    }
    let told = file_system_at(place)?;
    let facts = disk::facts(&entry.source);
    // NTFS has a number of 64 bits, of which the other call tells one half.
    let long = Root::open(&with_slash(place), Links::Never)
        .and_then(|root| root.evidence())
        .map_or(0, |evidence| evidence.device);
    let size = match facts.size {
        Some(size) => size,
        None => free_space(place)?.total,
    };
    let letter = place.display().to_string();
    Ok(Identified {
        identity: VolumeIdentity::Disk(DiskIdentity {
            file_system: written(long, told.serial),
            size: (size != 0).then_some(size),
            partition: facts.partition,
            serial: facts.serial,
            mark: None,
        }),
        label: told.label.or(Some(letter)),
        size,
        read_only: told.read_only,
    })
}

/// The kind of the file system that is mounted, where the table may not tell it.
///
/// **To be called in a courier only**, as [`identify`].
#[must_use]
pub fn kind_of(entry: &MountEntry) -> String {
    if !entry.fs_type.is_empty() {
        return entry.fs_type.clone();
    }
    // The table has it of built-in disks alone.
    file_system_at(&entry.mount_point).map_or_else(|_| String::new(), |told| told.kind)
}

/// As `blkid` writes it: NTFS's number in 16 digits, FAT's in two groups of four.
pub(super) fn written(long: u64, short: u32) -> Option<String> {
    match (u32::try_from(long), short) {
        (Err(_), _) => Some(format!("{long:016X}")),
        (Ok(_), 0) => None,
        (Ok(_), short) => Some(format!("{:04X}-{:04X}", short >> 16, short & 0xffff)),
    }
}

/// The identity of a share, by the mount table alone. `None` for everything else, as for disks ([`identify`] tells of those).
///
/// It is as good as that text: a share that is reached by another name is taken for another one.
#[must_use]
pub fn identity_from_table(entry: &MountEntry) -> Option<VolumeIdentity> {
    if entry.fs_type != SHARE {
        return None;
    }
    // As Linux has it.
    let source = entry.source.to_str()?.to_lowercase().replace('\\', "/");
    let source = source.trim_end_matches('/');
    Some(VolumeIdentity::Mount(MountIdentity {
        fs_type: SHARE.to_owned(),
        source: source.into(),
        mount_point: source.is_empty().then(|| entry.mount_point.clone()),
    }))
}

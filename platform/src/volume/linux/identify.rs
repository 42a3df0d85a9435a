//! The identity of a file system on a block device: from the kernel where it tells, else from the device, else from what
//! udev has noted.
//!
//! The kernel is asked by `ioctl` on the mount point (ext4, xfs and f2fs answer from Linux 6.9 on; btrfs tells in sysfs;
//! FAT, NTFS and programs do not tell), which needs no privilege. Reading the device needs root. udev's notes are
//! there on most desktops. All three give one text. Size, partition and serial come from sysfs.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};

use super::device::{entries, text};
use super::identity::{DiskIdentity, Identified, VolumeIdentity};
use super::superblock::{self, Superblock};
use super::table::{DeviceNumber, MountEntry};

/// How long a chain of devices made of one device each may be.
const DEEPEST: usize = 16;
/// The unit of sizes in sysfs, whatever the disk's sectors are.
const SECTOR: u64 = 512;

/// Identifies the file system on a block device by its mount.
///
/// **To be called in a courier only**: it touches the mount point and reads the device, and either may hang with the
/// disk. What is not permitted to this user is left out of the identity, which then compares as *perhaps*.
///
/// Serial numbers of FAT collide and clones carry everything, so equal identities are no proof that it is one disk.
/// The identity is of the whole file system, whatever part of it [`MountEntry::root`] says is mounted. A btrfs over several
/// disks is known by its UUID and the size of all of them.
///
/// # Errors
/// If the mount is not one of a block device ([`identity_from_table`] may tell of those), if something else is
/// mounted there by now, or if the device is gone.
///
/// [`identity_from_table`]: crate::volume::identity_from_table
pub fn identify(entry: &MountEntry) -> io::Result<Identified> {
    Notes::of_this_machine().identify(entry)
}

/// The kind of the file system that is mounted, where the table may not tell it; on Linux it does.
///
/// **To be called in a courier only**, as [`identify`].
#[must_use]
pub fn kind_of(entry: &MountEntry) -> String {
    entry.fs_type.clone()
}

/// Where the system notes what it knows of devices.
struct Notes {
    sysfs: PathBuf,
    udev: PathBuf,
    by_uuid: PathBuf,
}

impl Notes {
    fn of_this_machine() -> Self {
        Self {
            sysfs: PathBuf::from("/sys"),
            udev: PathBuf::from("/run/udev/data"),
            by_uuid: PathBuf::from("/dev/disk/by-uuid"),
        }
    }

    fn identify(&self, entry: &MountEntry) -> io::Result<Identified> {
        check_mounted(entry)?;
        let device = device_of(entry)?;
        let place = fs::canonicalize(self.sysfs.join("dev/block").join(device.to_string()))?;
        let btrfs = (entry.fs_type == "btrfs")
            .then(|| self.btrfs_of(&place))
            .flatten();
        let members = btrfs.as_ref().map_or(1, |btrfs| btrfs.members.len());
        let size = match &btrfs {
            Some(btrfs) => btrfs.members.iter().map(|member| size_of(member)).sum(),
            None => size_of(&place),
        };
        let named = self.named(entry, device, &place, btrfs);
        // Of several disks none is the one.
        let single = (members == 1).then(|| base_of(&place));
        let identity = DiskIdentity {
            file_system: named.uuid,
            size: (size != 0).then_some(size),
            partition: single.as_ref().and_then(|base| self.partition_of(base)),
            serial: single.as_ref().and_then(|base| self.serial_of(base)),
            mark: None,
        };
        Ok(Identified {
            identity: VolumeIdentity::Disk(identity),
            label: named.label.or_else(|| name_of_place(&entry.mount_point)),
            size,
            read_only: is_read_only(entry),
        })
    }

    /// UUID and label, by the first way that works for each.
    fn named(
        &self,
        entry: &MountEntry,
        device: DeviceNumber,
        place: &Path,
        btrfs: Option<Btrfs>,
    ) -> Superblock {
        let udev = || self.noted(device, place);
        let ways: [&dyn Fn() -> Superblock; 4] = [
            // Their UUIDs are udev's own making, so udev is asked first.
            &|| match entry.fs_type.as_str() {
                "hfsplus" | "udf" => udev(),
                _ => Superblock::default(),
            },
            &|| match &btrfs {
                Some(btrfs) => btrfs.told.clone(),
                None => asked(entry),
            },
            &|| on_device(&node_of(place), device, &entry.fs_type),
            &udev,
        ];
        let mut named = Superblock::default();
        for way in ways {
            if named.uuid.is_some() {
                break;
            }
            let told = way();
            named.uuid = told.uuid;
            named.label = named.label.or(told.label);
        }
        named
    }

    /// The btrfs that a device belongs to, as sysfs shows it while it is mounted.
    fn btrfs_of(&self, place: &Path) -> Option<Btrfs> {
        entries(&self.sysfs.join("fs/btrfs"))
            .into_iter()
            .find_map(|folder| {
                let members: Vec<PathBuf> = entries(&folder.join("devices"))
                    .iter()
                    .filter_map(|member| fs::canonicalize(member).ok())
                    .collect();
                if !members.iter().any(|member| member == place) {
                    return None;
                }
                // A clone beside its original gets a UUID for this mount alone.
                let borrowed = text(&folder.join("temp_fsid")).as_deref() == Some("1");
                let uuid = folder.file_name()?.to_string_lossy().into_owned();
                let label = text(&folder.join("label")).filter(|label| !label.is_empty());
                let told = Superblock {
                    uuid: (!borrowed).then_some(uuid),
                    label,
                };
                Some(Btrfs { told, members })
            })
    }

    /// What udev has noted of the file system.
    fn noted(&self, device: DeviceNumber, place: &Path) -> Superblock {
        let data = self.udev_of(device);
        let uuid = value_of(&data, "E:ID_FS_UUID").or_else(|| self.linked(place));
        let label = value_of(&data, "E:ID_FS_LABEL_ENC").map(|label| decode(&label));
        Superblock { uuid, label }
    }

    fn udev_of(&self, device: DeviceNumber) -> PathBuf {
        self.udev.join(format!("b{device}"))
    }

    /// The UUID by the link that leads to the device.
    fn linked(&self, place: &Path) -> Option<String> {
        let name = place.file_name()?;
        entries(&self.by_uuid).into_iter().find_map(|link| {
            let target = fs::read_link(&link).ok()?;
            (target.file_name()? == name)
                .then(|| Some(decode(&link.file_name()?.to_string_lossy())))?
        })
    }

    /// The UUID of a partition, which the kernel tells from Linux 6.10 on.
    fn partition_of(&self, place: &Path) -> Option<String> {
        value_of(&place.join("uevent"), "PARTUUID").or_else(|| {
            let device = number_of(place)?;
            value_of(&self.udev_of(device), "E:ID_PART_ENTRY_UUID")
        })
    }

    /// The serial number of the disk, from the nearest that has one.
    fn serial_of(&self, place: &Path) -> Option<String> {
        let disk = if place.join("partition").exists() {
            place.parent()?
        } else {
            place
        };
        let of_disk = ["serial", "device/serial"];
        let own = of_disk.iter().find_map(|name| told(&disk.join(name)));
        // What a USB device calls itself stands on the device above the disk.
        let usb = || {
            disk.ancestors()
                .take_while(|above| above.starts_with(&self.sysfs))
                .find(|above| above.join("idVendor").exists())
                .and_then(|above| told(&above.join("serial")))
        };
        let worldwide = || {
            ["wwid", "device/wwid"]
                .iter()
                .find_map(|name| told(&disk.join(name)))
        };
        own.or_else(usb).or_else(worldwide)
    }
}

struct Btrfs {
    told: Superblock,
    members: Vec<PathBuf>,
}

/// Is the mount still what is seen at its mount point? Otherwise another volume would be asked.
fn check_mounted(entry: &MountEntry) -> io::Result<()> {
    let gone = |what: &str| {
        let place = entry.mount_point.display();
        io::Error::new(io::ErrorKind::NotFound, format!("{what} at {place}"))
    };
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let seen = rustix::fs::statx(CWD, &entry.mount_point, flags, StatxFlags::MNT_ID)?;
    let told = seen.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    if told && seen.stx_mnt_id != entry.id.0 {
        return Err(gone("another mount is seen by now"));
    }
    Ok(())
}

/// The block device of a mount. A btrfs has a number of its own; its device is told by the source.
fn device_of(entry: &MountEntry) -> io::Result<DeviceNumber> {
    let source = Path::new(&entry.source);
    if entry.device.major != 0 {
        return Ok(entry.device);
    }
    if !source.starts_with("/dev") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not mounted from a disk", entry.mount_point.display()),
        ));
    }
    let found = fs::metadata(source)?;
    if !found.file_type().is_block_device() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not a disk", source.display()),
        ));
    }
    Ok(DeviceNumber {
        major: rustix::fs::major(found.rdev()),
        minor: rustix::fs::minor(found.rdev()),
    })
}

fn is_read_only(entry: &MountEntry) -> bool {
    [&entry.options, &entry.super_options]
        .iter()
        .any(|options| options.to_string_lossy().split(',').any(|o| o == "ro"))
}

/// The device as a file.
fn node_of(place: &Path) -> PathBuf {
    let name = value_of(&place.join("uevent"), "DEVNAME");
    Path::new("/dev").join(name.unwrap_or_default())
}

fn size_of(place: &Path) -> u64 {
    text(&place.join("size"))
        .and_then(|text| text.parse::<u64>().ok())
        .and_then(|sectors| sectors.checked_mul(SECTOR))
        .unwrap_or(0)
}

/// What an encrypted or mapped device lies on, if it is one device: that one has the partition and the serial.
fn base_of(place: &Path) -> PathBuf {
    let mut place = place.to_owned();
    for _ in 0..DEEPEST {
        let below = entries(&place.join("slaves"));
        let [below] = &below[..] else { break };
        match fs::canonicalize(below) {
            Ok(below) => place = below,
            Err(_) => break,
        }
    }
    place
}

fn number_of(place: &Path) -> Option<DeviceNumber> {
    let number = text(&place.join("dev"))?;
    let (major, minor) = number.split_once(':')?;
    Some(DeviceNumber {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

/// What the kernel answers about the file system at the mount point.
fn asked(entry: &MountEntry) -> Superblock {
    /// `FS_IOC_GETFSUUID`: a length and sixteen bytes.
    const GET_UUID: u32 = 0x8011_1500;
    /// `FS_IOC_GETFSLABEL`.
    const GET_LABEL: u32 = 0x8100_9431;
    let nothing = Superblock::default();
    // A program may answer what it likes.
    if entry.fs_type == "fuseblk" {
        return nothing;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let Ok(folder) = rustix::fs::open(&entry.mount_point, flags | OFlags::CLOEXEC, Mode::empty())
    else {
        return nothing;
    };
    let mut told = [0_u8; 17];
    // SAFETY: the descriptor is open, and this call writes 17 bytes at most, which `told` has.
    let answered = unsafe { libc::ioctl(folder.as_raw_fd(), GET_UUID as _, told.as_mut_ptr()) };
    let uuid = match told {
        [16, uuid @ ..] if answered == 0 => superblock::uuid(uuid),
        _ => None,
    };
    let mut label = [0_u8; 256];
    // SAFETY: the descriptor is open, and this call writes 256 bytes at most, which `label` has.
    let labelled = unsafe { libc::ioctl(folder.as_raw_fd(), GET_LABEL as _, label.as_mut_ptr()) };
    Superblock {
        uuid,
        label: (labelled == 0).then(|| superblock::text(&label)).flatten(),
    }
}

/// What is written on the device.
fn on_device(node: &Path, device: DeviceNumber, fs_type: &str) -> Superblock {
    let read = || -> io::Result<Option<Superblock>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(node, flags, Mode::empty())?);
        let found = file.metadata()?;
        let number = rustix::fs::makedev(device.major, device.minor);
        if !found.file_type().is_block_device() || found.rdev() != number {
            return Ok(None);
        }
        superblock::read(&file, fs_type)
    };
    // Not being permitted is the usual case.
    read().ok().flatten().unwrap_or_default()
}

fn told(path: &Path) -> Option<String> {
    text(path).filter(|text| !text.is_empty())
}

/// The value of a line `NAME=value`.
fn value_of(path: &Path, name: &str) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix('=')?;
        (!value.is_empty()).then(|| value.to_owned())
    })
}

/// The name of a volume for people, if its file system has no label: the last part of where it is mounted.
fn name_of_place(mount_point: &Path) -> Option<String> {
    Some(mount_point.file_name()?.to_string_lossy().into_owned())
}

/// Undoes `\x20` and its like.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .strip_prefix(b"x")
            .and_then(|digits| std::str::from_utf8(digits.get(..2)?).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|_| first == b'\\');
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "identify_tests.rs"]
mod tests;

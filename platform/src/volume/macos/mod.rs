//! Volumes of macOS: from `getfsstat`, which waits for nobody, and the attributes of a volume.
//!
//! `events` tells when they come and go, `disk` what a disk hangs on: trusted are the disk that the system runs from, and others
//! that are built in.

mod disk;
mod events;

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::identity::{DiskIdentity, Identified, MountIdentity, VolumeIdentity};
use super::kind::StorageSort;
use super::on_disk::{Told, attached_by, kind_on_disk};
use super::reason::{Bus, Reason};
use super::table::{DeviceNumber, MountEntry, MountId, MountTable};
use super::trust::{Class, Classifier};
use crate::mount::FS_TYPE as OUR_FS_TYPE;

use disk::Disks;

pub use super::polled::MountWatch;
pub(super) use events::MountEvents;

/// Where the parts of the disk are mounted that the system runs from.
const OF_THE_SYSTEM: &[&str] = &["/System/Volumes", "/private/var/vm"];

/// What the disks hang on that are mounted, but for those that the system runs from.
#[derive(Clone, Debug)]
pub(super) struct Devices(HashMap<OsString, Told>);

impl Devices {
    /// Asked once for each table.
    pub(super) fn of(table: &MountTable) -> Self {
        let others = table.entries().iter();
        let others =
            others.filter(|mount| is_for_disks(&mount.fs_type) && !is_of_the_system(mount));
        let mut disks = None;
        let told = others.filter_map(|mount| {
            let name = mount.source.to_str()?.strip_prefix("/dev/")?;
            let disks = disks.get_or_insert_with(Disks::new).as_ref()?;
            Some((mount.source.clone(), disks.told_of(name)?))
        });
        Self(told.collect())
    }

    /// How the disk of a mount is attached; `None` where it is built in.
    fn attached_by(&self, mount: &MountEntry) -> Option<Bus> {
        match self.0.get(&mount.source) {
            Some(told) => attached_by(told),
            None => Some(Bus::Removable),
        }
    }
}

/// The kinds of file systems of disks that are trusted.
fn is_for_disks(fs_type: &str) -> bool {
    matches!(fs_type, "apfs" | "hfs")
}

pub(super) fn mounts() -> io::Result<MountTable> {
    // SAFETY: without a buffer the call only counts.
    let count = unsafe { libc::getfsstat(std::ptr::null_mut(), 0, libc::MNT_NOWAIT) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // A few more may come meanwhile.
    let mut found = Vec::<libc::statfs>::with_capacity(count + 16);
    let bytes =
        i32::try_from(found.capacity() * size_of::<libc::statfs>()).map_err(io::Error::other)?;
    // SAFETY: the buffer has room for so many bytes, and the call writes no more.
    let written = unsafe { libc::getfsstat(found.as_mut_ptr(), bytes, libc::MNT_NOWAIT) };
    let written = usize::try_from(written).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: so many of the entries were written, and there was room for them.
    unsafe { found.set_len(written.min(found.capacity())) };
    Ok(MountTable::of(found.iter().map(entry).collect()))
}

fn entry(found: &libc::statfs) -> MountEntry {
    let source = text(&found.f_mntfromname);
    let [low, high] = fsid(found);
    let fs_type = text(&found.f_fstypename).to_string_lossy().into_owned();
    let on_disk = source
        .to_str()
        .and_then(|source| kind_on_disk(source, &fs_type));
    // A number of the kernel's own stands for a disk that a program serves; it is one of a disk all the same.
    let major = on_disk.map_or(0, |_| (low >> 24).max(1));
    let mut fs_type = on_disk.map_or_else(|| fs_type.clone(), str::to_owned);
    // There are no subtypes: our drive tells itself from others by what it says it is mounted from.
    if is_program(&fs_type) && source == "mediafs" {
        fs_type = OUR_FS_TYPE.to_owned();
    }
    let read_only = found.f_flags & libc::MNT_RDONLY.cast_unsigned() != 0;
    let local = found.f_flags & libc::MNT_LOCAL.cast_unsigned() != 0;
    MountEntry {
        id: MountId(u64::from(high) << 32 | u64::from(low)),
        parent: MountId(0),
        device: DeviceNumber {
            major,
            minor: low & 0x00ff_ffff,
        },
        root: PathBuf::from("/"),
        mount_point: PathBuf::from(text(&found.f_mntonname)),
        options: OsString::from(if read_only { "ro" } else { "rw" }),
        fs_type,
        source,
        super_options: OsString::from(if local { "local" } else { "" }),
    }
}

fn fsid(found: &libc::statfs) -> [u32; 2] {
    // SAFETY: an `fsid_t` is two numbers of 32 bits, whose fields have no names here.
    let parts: [i32; 2] = unsafe { std::mem::transmute(found.f_fsid) };
    parts.map(i32::cast_unsigned)
}

fn text(field: &[libc::c_char]) -> OsString {
    let bytes: Vec<u8> = field.iter().map(|unit| unit.cast_unsigned()).collect();
    let bytes = CStr::from_bytes_until_nul(&bytes).map_or(&*bytes, CStr::to_bytes);
    OsStr::from_bytes(bytes).to_owned()
}

impl Classifier {
    /// What is thought of a mount.
    pub(super) fn class_of(&self, mount: &MountEntry) -> Class {
        let fs_type = mount.fs_type.clone();
        let is_declared = || {
            let mut devices = self.declared.devices.iter();
            devices.any(|device| device.as_os_str() == mount.source)
        };
        match fs_type.as_str() {
            kind if is_for_disks(kind) && (is_declared() || is_of_the_system(mount)) => {
                Class::Trusted
            }
            kind if is_for_disks(kind) => match self.devices.attached_by(mount) {
                None => Class::Trusted,
                Some(bus) => Class::Foreign(Reason::Disk {
                    bus,
                    name: mount.source.to_string_lossy().into_owned(),
                }),
            },
            "tmpfs" => Class::Trusted,
            // Where shares would be mounted when they are asked for; those have entries of their own then.
            "devfs" | "autofs" => Class::Harmless(Reason::FileSystem { fs_type }),
            "nfs" | "smbfs" | "afpfs" | "webdav" | "ftp" => {
                Class::Foreign(Reason::Share { fs_type })
            }
            kind if is_program(kind) => Class::Foreign(Reason::Program { fs_type }),
            _ => Class::Foreign(Reason::FileSystem { fs_type }),
        }
    }
}

fn is_of_the_system(mount: &MountEntry) -> bool {
    let place = &mount.mount_point;
    place == Path::new("/") || OF_THE_SYSTEM.iter().any(|above| place.starts_with(above))
}

fn is_program(fs_type: &str) -> bool {
    fs_type.contains("fuse")
}

/// The sort of a mount that is not trusted for `reason`.
pub(super) fn sort_of(mount: &MountEntry, reason: &Reason, _devices: &Devices) -> StorageSort {
    match reason {
        Reason::Share { .. } => StorageSort::Network,
        Reason::Program { .. } => StorageSort::Foreign { provider: None },
        Reason::Disk { bus, .. } => StorageSort::Removable(*bus),
        _ if mount.device.major != 0 => StorageSort::Removable(Bus::Removable),
        _ => StorageSort::Foreign { provider: None },
    }
}

/// Identifies the file system on a disk by its mount.
///
/// **To be called in a courier only**: it touches the mount point, which may hang with the disk.
///
/// # Errors
/// If the mount is not one of a disk, or the disk is gone.
pub fn identify(entry: &MountEntry) -> io::Result<Identified> {
    if entry.device.major == 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not mounted from a disk", entry.mount_point.display()),
        ));
    }
    let size = super::free_space(&entry.mount_point)?.total;
    let label = entry.mount_point.file_name();
    Ok(Identified {
        identity: VolumeIdentity::Disk(DiskIdentity {
            file_system: uuid_of(&entry.mount_point)?,
            // What holds files is less than the device elsewhere, by which other systems know it.
            size: (size != 0 && entry.fs_type == "apfs").then_some(size),
            partition: None,
            serial: None,
            mark: None,
        }),
        label: label.map(|name| name.to_string_lossy().into_owned()),
        size,
        read_only: entry.options == "ro",
    })
}

/// The kind of the file system that is mounted, where the table may not tell it.
///
/// **To be called in a courier only**, as [`identify`].
#[must_use]
pub fn kind_of(entry: &MountEntry) -> String {
    entry.fs_type.clone()
}

/// The UUID of the volume at `point`; `None` if its file system has none.
fn uuid_of(point: &Path) -> io::Result<Option<String>> {
    /// What the call writes: the length of all, then the sixteen bytes.
    #[repr(C)]
    #[derive(Default)]
    struct Answer {
        length: u32,
        uuid: [u8; 16],
    }
    let point = CString::new(point.as_os_str().as_bytes())?;
    let mut wanted = libc::attrlist {
        bitmapcount: libc::ATTR_BIT_MAP_COUNT,
        reserved: 0,
        commonattr: 0,
        volattr: libc::ATTR_VOL_INFO | libc::ATTR_VOL_UUID,
        dirattr: 0,
        fileattr: 0,
        forkattr: 0,
    };
    let mut answer = Answer::default();
    // SAFETY: the path ends with a zero; `wanted` says what is asked for; `answer` is as long as is said, and the call
    // writes no more.
    let told = unsafe {
        libc::getattrlist(
            point.as_ptr(),
            (&raw mut wanted).cast(),
            (&raw mut answer).cast(),
            size_of::<Answer>(),
            0,
        )
    };
    if told != 0 {
        let error = io::Error::last_os_error();
        let none = matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTSUP));
        return if none { Ok(None) } else { Err(error) };
    }
    let whole = usize::try_from(answer.length).is_ok_and(|length| length == size_of::<Answer>());
    Ok((whole && answer.uuid != [0; 16]).then(|| written(&answer.uuid)))
}

/// As `blkid` writes it.
fn written(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in uuid.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The identity of a share or of a program's file system, by the mount table alone. `None` for everything else, as for disks
/// ([`identify`] tells of those) and for our own drive.
#[must_use]
pub fn identity_from_table(entry: &MountEntry) -> Option<VolumeIdentity> {
    if entry.is_our_drive() {
        return None;
    }
    let fs_type = match entry.fs_type.as_str() {
        "smbfs" => "cifs",
        kind @ ("nfs" | "afpfs" | "webdav") => kind,
        kind if is_program(kind) => kind,
        _ => return None,
    };
    let silent = entry.source.is_empty();
    Some(VolumeIdentity::Mount(MountIdentity {
        fs_type: fs_type.to_owned(),
        source: entry.source.clone(),
        mount_point: silent.then(|| entry.mount_point.clone()),
    }))
}

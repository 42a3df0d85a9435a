//! Volumes of Windows: from the list of drives and volumes, which the mount manager keeps in memory, and what drivers tell
//! of their disks.
//!
//! A disk's source is the name of its volume (`\\?\Volume{…}\`), a share's is the share. The kind of file system is asked
//! of built-in disks alone, as others may take their time.

mod class;
mod disk;
mod events;
mod identify;
mod leaving;
mod letters;
mod medium;
mod removal;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_NO_MORE_FILES, INVALID_HANDLE_VALUE, NO_ERROR};
use windows_sys::Win32::NetworkManagement::WNet::WNetGetConnectionW;
use windows_sys::Win32::Storage::FileSystem::{
    FindFirstVolumeW, FindNextVolumeW, FindVolumeClose, GetDiskFreeSpaceExW, GetDriveTypeW,
    GetLogicalDrives, GetVolumeInformationW, GetVolumeNameForVolumeMountPointW,
    GetVolumePathNamesForVolumeNameW,
};
use windows_sys::Win32::System::SystemServices::FILE_READ_ONLY_VOLUME;
use windows_sys::Win32::System::WindowsProgramming::{
    DRIVE_CDROM, DRIVE_NO_ROOT_DIR, DRIVE_REMOTE, DRIVE_REMOVABLE,
};

use self::medium::Medium;

use super::Space;
use super::table::{DeviceNumber, MountEntry, MountId, MountTable};
use super::{identity, kind, reason, table, trust};
use crate::mount::FS_TYPE;

pub use super::polled::MountWatch;
pub(super) use class::{Devices, sort_of};
pub(super) use events::MountEvents;
pub use identify::{identify, identity_from_table, kind_of};
pub(crate) use letters::by_its_letter;

/// The server that our own drive with a letter says it is on, as WinFsp makes a network drive of it.
const OURS: &str = r"\\mediafs\";
/// The kind of file system of a share, as other systems call it.
const SHARE: &str = "cifs";
/// The longest path, in units.
const LONGEST_PATH: usize = 32_768;
/// Names of volumes have 50 units, those of file systems and labels fewer than 261.
const SHORT: usize = 261;

pub(super) fn mounts() -> io::Result<MountTable> {
    // SAFETY: takes nothing, and gives a number with a bit for each letter.
    let letters = unsafe { GetLogicalDrives() };
    if letters == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut entries = Vec::new();
    for (place, letter) in ('A'..='Z').enumerate() {
        if letters & 1 << place == 0 {
            continue;
        }
        let top = PathBuf::from(format!("{letter}:\\"));
        match drive_type(&top) {
            DRIVE_NO_ROOT_DIR => {}
            DRIVE_REMOTE => entries.push(share(top, letter)),
            _ => {
                let volume = volume_at(&top).unwrap_or_default();
                entries.extend(disk_entry(top, volume));
            }
        }
    }
    // Volumes that are seen in folders.
    for volume in volumes() {
        for place in places_of(&volume) {
            if place.parent().is_some() {
                entries.extend(disk_entry(place, volume.clone()));
            }
        }
    }
    Ok(MountTable::of(entries))
}

pub(super) fn free_space(path: &Path) -> io::Result<Space> {
    let (mut available, mut total) = (0, 0);
    let path = ended(path.as_os_str());
    // SAFETY: the path ends with a zero and lives until the call returns; both numbers are ours to be written, and the
    // third answer may be null.
    let told = unsafe {
        GetDiskFreeSpaceExW(
            path.as_ptr(),
            &raw mut available,
            &raw mut total,
            null_mut(),
        )
    };
    if told == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(Space { total, available })
    }
}

fn share(top: PathBuf, letter: char) -> MountEntry {
    let source = share_of(letter).unwrap_or_default();
    MountEntry {
        id: number_of(&top, &source, 0),
        parent: MountId(0),
        device: DeviceNumber { major: 0, minor: 0 },
        root: PathBuf::from("/"),
        mount_point: top,
        options: OsString::new(),
        fs_type: kind_of_share(&source).to_owned(),
        source,
        super_options: OsString::new(),
    }
}

fn kind_of_share(source: &OsStr) -> &'static str {
    let source = source.as_encoded_bytes();
    let ours = source
        .get(..OURS.len())
        .is_some_and(|server| server.eq_ignore_ascii_case(OURS.as_bytes()));
    if ours { FS_TYPE } else { SHARE }
}

/// `None` for a drive with nothing in it.
fn disk_entry(place: PathBuf, volume: OsString) -> Option<MountEntry> {
    let medium = match drive_type(&place) {
        DRIVE_REMOVABLE | DRIVE_CDROM => match medium::in_drive(&volume) {
            Medium::Number(number) => number,
            Medium::Missing => return None,
            Medium::Unknown => 0,
        },
        _ => 0,
    };
    let id = number_of(&place, &volume, medium);
    let asked = disk::is_built_in(&place, &volume)
        .is_ok()
        .then(|| file_system_at(&place).ok())
        .flatten();
    let read_only = asked.as_ref().is_some_and(|asked| asked.read_only);
    Some(MountEntry {
        id,
        parent: MountId(0),
        // A volume has no number; this one has no meaning but that there is a disk.
        device: DeviceNumber {
            major: 1,
            minor: u32::try_from(id.0 & u64::from(u32::MAX)).unwrap_or_default(),
        },
        root: PathBuf::from("/"),
        mount_point: place,
        options: OsString::from(if read_only { "ro" } else { "rw" }),
        fs_type: asked.map(|asked| asked.kind).unwrap_or_default(),
        source: volume,
        super_options: OsString::new(),
    })
}

/// A number that stays with this medium of this volume at this place (FNV-1a).
fn number_of(place: &Path, source: &OsStr, medium: u32) -> MountId {
    let mut number = 0xcbf2_9ce4_8422_2325_u64;
    let units = place.as_os_str().encode_wide().chain(source.encode_wide());
    for part in units.map(u32::from).chain([medium]) {
        number = (number ^ u64::from(part)).wrapping_mul(0x0100_0000_01b3);
    }
    MountId(number)
}

/// What a file system says of itself.
struct FileSystem {
    /// `ntfs`, `fat32`, `exfat`, …
    kind: String,
    label: Option<String>,
    /// The short serial number.
    serial: u32,
    read_only: bool,
}

/// Touches the disk.
fn file_system_at(place: &Path) -> io::Result<FileSystem> {
    let (mut label, mut kind) = ([0_u16; SHORT], [0_u16; SHORT]);
    let (mut serial, mut longest, mut flags) = (0, 0, 0);
    let units = u32::try_from(SHORT).map_err(io::Error::other)?;
    let place = ended(with_slash(place).as_os_str());
    // SAFETY: the path ends with a zero and lives until the call returns; both buffers have so many units as is said, and
    // the numbers are ours to be written.
    let told = unsafe {
        GetVolumeInformationW(
            place.as_ptr(),
            label.as_mut_ptr(),
            units,
            &raw mut serial,
            &raw mut longest,
            &raw mut flags,
            kind.as_mut_ptr(),
            units,
        )
    };
    if told == 0 {
        return Err(io::Error::last_os_error());
    }
    let label = text(&label).to_string_lossy().into_owned();
    Ok(FileSystem {
        kind: text(&kind).to_string_lossy().to_ascii_lowercase(),
        label: (!label.is_empty()).then_some(label),
        serial,
        read_only: flags & FILE_READ_ONLY_VOLUME != 0,
    })
}

fn drive_type(top: &Path) -> u32 {
    let top = ended(with_slash(top).as_os_str());
    // SAFETY: the path ends with a zero and lives until the call returns.
    unsafe { GetDriveTypeW(top.as_ptr()) }
}

/// The name of the volume that is mounted at a place.
fn volume_at(place: &Path) -> Option<OsString> {
    let place = ended(with_slash(place).as_os_str());
    let mut name = [0_u16; SHORT];
    let units = u32::try_from(SHORT).ok()?;
    // SAFETY: the path ends with a zero and lives until the call returns; the buffer has so many units as is said.
    let told =
        unsafe { GetVolumeNameForVolumeMountPointW(place.as_ptr(), name.as_mut_ptr(), units) };
    (told != 0).then(|| text(&name))
}

/// The share behind a drive letter.
fn share_of(letter: char) -> Option<OsString> {
    let drive = ended(OsStr::new(&format!("{letter}:")));
    let mut name = vec![0_u16; LONGEST_PATH];
    let mut units = u32::try_from(name.len()).ok()?;
    // SAFETY: the name of the drive ends with a zero and lives until the call returns; the buffer has so many units as is
    // said.
    let told = unsafe { WNetGetConnectionW(drive.as_ptr(), name.as_mut_ptr(), &raw mut units) };
    (told == NO_ERROR).then(|| text(&name))
}

/// The names of all volumes.
fn volumes() -> Vec<OsString> {
    let mut name = [0_u16; SHORT];
    let Ok(units) = u32::try_from(SHORT) else {
        return Vec::new();
    };
    // SAFETY: the buffer has so many units as is said.
    let search = unsafe { FindFirstVolumeW(name.as_mut_ptr(), units) };
    if search == INVALID_HANDLE_VALUE {
        return Vec::new();
    }
    let mut found = vec![text(&name)];
    loop {
        // SAFETY: the search is open, and the buffer has so many units as is said.
        if unsafe { FindNextVolumeW(search, name.as_mut_ptr(), units) } == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(ERROR_NO_MORE_FILES.cast_signed()) {
                tracing::debug!(%error, "the list of volumes ends early");
            }
            break;
        }
        found.push(text(&name));
    }
    // SAFETY: the search is open, and not used after this.
    unsafe { FindVolumeClose(search) };
    found
}

/// Where a volume is seen.
fn places_of(volume: &OsStr) -> Vec<PathBuf> {
    let volume = ended(volume);
    let mut places = vec![0_u16; LONGEST_PATH];
    let mut units = 0;
    let Ok(length) = u32::try_from(places.len()) else {
        return Vec::new();
    };
    // SAFETY: the name ends with a zero and lives until the call returns; the buffer has so many units as is said, and
    // `units` is ours to be written.
    let told = unsafe {
        GetVolumePathNamesForVolumeNameW(
            volume.as_ptr(),
            places.as_mut_ptr(),
            length,
            &raw mut units,
        )
    };
    if told == 0 {
        return Vec::new();
    }
    places
        .split(|unit| *unit == 0)
        .take_while(|place| !place.is_empty())
        .map(|place| PathBuf::from(OsString::from_wide(place)))
        // With a slash at the end, which paths that are compared do not have.
        .map(|place| place.components().collect())
        .collect()
}

/// Calls about volumes want a slash at the end.
fn with_slash(place: &Path) -> PathBuf {
    place.join("")
}

/// Units with a zero at the end.
fn ended(name: &OsStr) -> Vec<u16> {
    name.encode_wide().chain([0]).collect()
}

/// Up to the first zero.
fn text(units: &[u16]) -> OsString {
    OsString::from_wide(units.split(|unit| *unit == 0).next().unwrap_or_default())
}

#[cfg(test)]
mod tests;

//! What the driver of a disk tells of it: how it is attached, its serial number, its partition. None of it is read from
//! the disk, and none of it needs a right.

use std::ffi::{OsStr, OsString, c_void};
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::offset_of;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Storage::FileSystem::{
    BusType1394, BusTypeAta, BusTypeAtapi, BusTypeFibre, BusTypeFileBackedVirtual, BusTypeMmc,
    BusTypeNvme, BusTypeRAID, BusTypeSCM, BusTypeSas, BusTypeSata, BusTypeScsi, BusTypeSd,
    BusTypeSpaces, BusTypeUfs, BusTypeUsb, BusTypeVirtual, BusTypeiScsi, STORAGE_BUS_TYPE,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::{
    IOCTL_DISK_GET_PARTITION_INFO_EX, IOCTL_STORAGE_CHECK_VERIFY2, IOCTL_STORAGE_GET_DEVICE_NUMBER,
    IOCTL_STORAGE_GET_HOTPLUG_INFO, IOCTL_STORAGE_QUERY_PROPERTY, PARTITION_INFORMATION_EX,
    PARTITION_INFORMATION_GPT, PARTITION_STYLE_GPT, PropertyStandardQuery,
    STORAGE_DEVICE_DESCRIPTOR, STORAGE_DEVICE_NUMBER, STORAGE_HOTPLUG_INFO, STORAGE_PROPERTY_QUERY,
    StorageDeviceProperty,
};
use windows_sys::Win32::System::WindowsProgramming::{DRIVE_CDROM, DRIVE_FIXED, DRIVE_REMOVABLE};

use super::drive_type;
use super::reason::{Bus, Reason};
use super::removal;

/// Descriptors are a few hundred bytes; this is in words.
const ANSWER: usize = 512;

/// What a disk's driver tells.
#[derive(Default)]
pub(super) struct Facts {
    /// The serial number of the disk, or of the box it hangs in.
    pub(super) serial: Option<String>,
    /// The UUID of the partition.
    pub(super) partition: Option<String>,
    /// Bytes of the partition.
    pub(super) size: Option<u64>,
}

/// Is the disk behind a volume built in?
pub(super) fn is_built_in(place: &Path, volume: &OsStr) -> Result<(), Reason> {
    let disk = |bus| {
        Err(Reason::Disk {
            bus,
            name: place.display().to_string(),
        })
    };
    let kind = drive_type(place);
    let described = open(volume).and_then(|volume| {
        let described = describe(&volume)?;
        let kept = match () {
            () if removal::is_the_systems(&volume) => Kept::Systems,
            () if described.removable
                || can_be_pulled(&volume)
                || removal::may_go(&volume, described.bus) =>
            {
                Kept::Pulled
            }
            () => Kept::Fixed,
        };
        Ok((described.bus, kept))
    });
    match (kind, described) {
        (DRIVE_CDROM, _) => disk(Bus::Removable),
        (DRIVE_REMOVABLE, described) => match described {
            Ok((bus, _)) => disk(bus_of(bus).unwrap_or(Bus::Removable)),
            Err(_) => disk(Bus::Removable),
        },
        (DRIVE_FIXED, Ok((bus, kept))) => match bus_of_fixed(bus, kept) {
            Some(bus) => disk(bus),
            None => Ok(()),
        },
        (_, Ok(_)) => disk(Bus::Virtual),
        (_, Err(error)) => Err(Reason::Unknown {
            what: format!("how the disk of {} is attached ({error})", place.display()),
        }),
    }
}

/// What can be told of the disk behind a volume; what can't is left out.
pub(super) fn facts(volume: &OsStr) -> Facts {
    let Ok(volume) = open(volume) else {
        return Facts::default();
    };
    let mut facts = Facts {
        serial: describe(&volume)
            .ok()
            .and_then(|described| described.serial),
        ..Facts::default()
    };
    if let Ok(told) = ask(&volume, IOCTL_DISK_GET_PARTITION_INFO_EX, None) {
        facts.size = told.u64_at(offset_of!(PARTITION_INFORMATION_EX, PartitionLength));
        let style = told.u32_at(offset_of!(PARTITION_INFORMATION_EX, PartitionStyle));
        if style == Some(PARTITION_STYLE_GPT.cast_unsigned()) {
            const ID: usize = offset_of!(PARTITION_INFORMATION_EX, Anonymous)
                + offset_of!(PARTITION_INFORMATION_GPT, PartitionId);
            facts.partition = told.uuid_at(ID);
        }
    }
    facts
}

/// How often the medium in the drive behind a volume was changed; `None` if the driver does not count. The driver asks the
/// drive.
pub(super) fn media_changes(volume: &OsStr) -> io::Result<Option<u32>> {
    let told = ask(&open(volume)?, IOCTL_STORAGE_CHECK_VERIFY2, None)?;
    Ok(told.u32_at(0))
}

/// Which disk it is, of all that there are now: its kind and number.
pub(super) type Number = (u32, u32);

/// The number of the disk of an open volume, or of an open disk; `None` for a volume on several.
pub(super) fn number(device: &File) -> Option<Number> {
    let told = ask(device, IOCTL_STORAGE_GET_DEVICE_NUMBER, None).ok()?;
    let kind = told.u32_at(offset_of!(STORAGE_DEVICE_NUMBER, DeviceType))?;
    let number = told.u32_at(offset_of!(STORAGE_DEVICE_NUMBER, DeviceNumber))?;
    Some((kind, number))
}

/// The volume itself, with no right to anything in it.
pub(super) fn open(volume: &OsStr) -> io::Result<File> {
    const ANYBODY_ELSE: u32 = 7;
    // With a slash at the end it would be the top folder.
    let name: Vec<u16> = volume.encode_wide().collect();
    let name = name.strip_suffix(&[0x5c]).unwrap_or(&name);
    OpenOptions::new()
        .access_mode(0)
        .share_mode(ANYBODY_ELSE)
        .open(OsString::from_wide(name))
}

struct Described {
    bus: STORAGE_BUS_TYPE,
    removable: bool,
    serial: Option<String>,
}

fn describe(volume: &File) -> io::Result<Described> {
    let query = STORAGE_PROPERTY_QUERY {
        PropertyId: StorageDeviceProperty,
        QueryType: PropertyStandardQuery,
        AdditionalParameters: [0],
    };
    let told = ask(volume, IOCTL_STORAGE_QUERY_PROPERTY, Some(&query))?;
    let offset = |place| told.u32_at(place).and_then(|at| usize::try_from(at).ok());
    let serial = offset(offset_of!(STORAGE_DEVICE_DESCRIPTOR, SerialNumberOffset))
        .filter(|offset| *offset != 0)
        .and_then(|offset| told.0.get(offset..))
        .and_then(|rest| rest.split(|byte| *byte == 0).next())
        .map(|serial| String::from_utf8_lossy(serial).trim().to_owned())
        .filter(|serial| !serial.is_empty());
    let bus = told.u32_at(offset_of!(STORAGE_DEVICE_DESCRIPTOR, BusType));
    Ok(Described {
        bus: bus.ok_or(io::ErrorKind::InvalidData)?.cast_signed(),
        removable: told.is_set(offset_of!(STORAGE_DEVICE_DESCRIPTOR, RemovableMedia)),
        serial,
    })
}

/// Is it, or what it hangs on, made to be pulled without a word?
fn can_be_pulled(volume: &File) -> bool {
    let flags = [
        offset_of!(STORAGE_HOTPLUG_INFO, MediaRemovable),
        offset_of!(STORAGE_HOTPLUG_INFO, MediaHotplug),
        offset_of!(STORAGE_HOTPLUG_INFO, DeviceHotplug),
    ];
    ask(volume, IOCTL_STORAGE_GET_HOTPLUG_INFO, None)
        .is_ok_and(|told| flags.into_iter().any(|flag| told.is_set(flag)))
}

/// What a driver has answered. Read field by field: it comes from a driver, and may be shorter than it should be.
struct Told(Vec<u8>);

impl Told {
    fn bytes_at<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        self.bytes_at(at).map(u32::from_ne_bytes)
    }

    fn u64_at(&self, at: usize) -> Option<u64> {
        self.bytes_at(at).map(u64::from_ne_bytes)
    }

    fn is_set(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|byte| *byte != 0)
    }

    /// As `blkid` writes it.
    fn uuid_at(&self, at: usize) -> Option<String> {
        // Three numbers as this machine keeps them, then bytes.
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.bytes_at::<16>(at)?;
        let numbers = (
            u32::from_le_bytes([a, b, c, d]),
            u16::from_le_bytes([e, f]),
            u16::from_le_bytes([g, h]),
        );
        let rest: Vec<String> = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        let (group, end) = rest.split_at(2);
        Some(format!(
            "{:08x}-{:04x}-{:04x}-{}-{}",
            numbers.0,
            numbers.1,
            numbers.2,
            group.concat(),
            end.concat()
        ))
    }
}

/// Asks the driver.
fn ask(volume: &File, code: u32, query: Option<&STORAGE_PROPERTY_QUERY>) -> io::Result<Told> {
    let length = |bytes: usize| u32::try_from(bytes).map_err(io::Error::other);
    let (input, input_length): (*const c_void, u32) = match query {
        Some(query) => ((&raw const *query).cast(), length(size_of_val(query))?),
        None => (null(), 0),
    };
    // Of words, so that it is aligned.
    let mut answer = [0_u64; ANSWER];
    let mut written = 0;
    // SAFETY: the volume is open; the query lives until the call is over, which it is when it returns, as there is no
    // OVERLAPPED; the answer has room for so many bytes as is said.
    let told = unsafe {
        DeviceIoControl(
            volume.as_raw_handle(),
            code,
            input,
            input_length,
            answer.as_mut_ptr().cast(),
            length(size_of_val(&answer))?,
            &raw mut written,
            null_mut(),
        )
    };
    if told == 0 {
        return Err(io::Error::last_os_error());
    }
    let bytes = answer.iter().flat_map(|word| word.to_ne_bytes());
    let written = usize::try_from(written).map_err(io::Error::other)?;
    Ok(Told(bytes.take(written).collect()))
}

/// Whether a disk that Windows does not call removable may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kept {
    /// The system runs from it.
    Systems,
    Fixed,
    /// Somebody may pull it all the same.
    Pulled,
}

/// As [`bus_of`], of a disk that Windows does not call removable.
fn bus_of_fixed(bus: STORAGE_BUS_TYPE, kept: Kept) -> Option<Bus> {
    match (bus_of(bus), kept) {
        // Whatever its driver says of its slot: many a small computer has its memory (eMMC) soldered to a reader of cards.
        (_, Kept::Systems) => None,
        // Soldered; a card in its slot is removable.
        (Some(Bus::Mmc) | None, Kept::Fixed) => None,
        (None, Kept::Pulled) => Some(Bus::Removable),
        (bus, _) => bus,
    }
}

/// `None` for one that is built in.
#[allow(non_upper_case_globals, reason = "they are named so by Windows")]
pub(super) fn bus_of(bus: STORAGE_BUS_TYPE) -> Option<Bus> {
    match bus {
        BusTypeScsi | BusTypeAtapi | BusTypeAta | BusTypeRAID | BusTypeSas | BusTypeSata
        | BusTypeSpaces | BusTypeNvme | BusTypeSCM | BusTypeUfs => None,
        BusTypeUsb => Some(Bus::Usb),
        BusType1394 => Some(Bus::FireWire),
        BusTypeSd | BusTypeMmc => Some(Bus::Mmc),
        BusTypeiScsi => Some(Bus::Iscsi),
        BusTypeFibre => Some(Bus::Network),
        BusTypeFileBackedVirtual => Some(Bus::Loop),
        BusTypeVirtual => Some(Bus::Virtual),
        _ => Some(Bus::Virtual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_answer_tells_nothing() {
        let told = Told((0..20).collect());
        assert_eq!(told.u32_at(4), Some(u32::from_ne_bytes([4, 5, 6, 7])));
        assert_eq!(told.u32_at(17), None);
        assert_eq!(told.u64_at(usize::MAX), None);
        assert!(told.is_set(1) && !told.is_set(0) && !told.is_set(20));
        assert_eq!(
            told.uuid_at(0).as_deref(),
            Some("03020100-0504-0706-0809-0a0b0c0d0e0f")
        );
        assert_eq!(told.uuid_at(5), None);
    }

    #[test]
    fn what_is_soldered_is_built_in_and_a_card_is_not() {
        for bus in [BusTypeMmc, BusTypeSd] {
            assert_eq!(bus_of_fixed(bus, Kept::Fixed), None);
            assert_eq!(bus_of_fixed(bus, Kept::Pulled), Some(Bus::Mmc));
        }
        assert_eq!(bus_of_fixed(BusTypeNvme, Kept::Fixed), None);
        let pulled = bus_of_fixed(BusTypeNvme, Kept::Pulled);
        assert_eq!(pulled, Some(Bus::Removable));
        assert_eq!(bus_of_fixed(BusTypeUsb, Kept::Fixed), Some(Bus::Usb));
    }

    #[test]
    fn what_the_system_runs_from_stays_whatever_its_driver_says() {
        for bus in [BusTypeSd, BusTypeMmc, BusTypeNvme, BusTypeFileBackedVirtual] {
            assert_eq!(bus_of_fixed(bus, Kept::Systems), None, "{bus}");
        }
    }
}

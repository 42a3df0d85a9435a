//! What a volume is known by, wherever and whenever it is mounted.
//!
//! A catalog keeps the text form of a [`VolumeIdentity`]; when a mount appears its identity is compared with what was
//! kept. Disks are known by what is written on them and by their size ([`identify`] reads that, in a courier), shares
//! and programs' file systems by what the mount table says ([`identity_from_table`]).
//!
//! An identity is no proof. Serial numbers of FAT have 32 bits and collide, sticks of one make leave their factory
//! with one, and a byte copy of a disk carries everything but the disk's serial. So two mounted volumes of one
//! identity are possible, and who believes in a file on a volume checks its size and time as well. An identity is of the
//! whole file system: of bind mounts and subvolumes, [`MountEntry::root`] tells which part of it is seen.
//!
//! [`identify`]: super::identify
//! [`identity_from_table`]: super::identity_from_table
//! [`MountEntry::root`]: super::MountEntry::root

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::names;

/// What a volume is known by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum VolumeIdentity {
    /// A file system on a block device.
    Disk(DiskIdentity),
    /// A share, or the file system of a program.
    Mount(MountIdentity),
}

/// What a file system on a block device is known by. What the system does not tell is `None`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct DiskIdentity {
    /// The UUID in the file system, or the serial number that stands for it, written as `blkid` does.
    pub file_system: Option<String>,
    /// Bytes of the device, or of all devices of the file system together.
    pub size: Option<u64>,
    /// The UUID of the partition.
    pub partition: Option<String>,
    /// The serial number of the disk, or of the box it hangs in.
    pub serial: Option<String>,
    /// What mediafs has written in a file on the volume, where it was told to.
    pub mark: Option<String>,
}

/// What a mount without a disk is known by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MountIdentity {
    /// The kind of file system, one word for all versions of a protocol.
    pub fs_type: String,
    /// What is mounted: `server:/music`, `//nas/samples`, `drive:Sounds`.
    pub source: OsString,
    /// Where, if the source says nothing.
    pub mount_point: Option<PathBuf>,
}

/// What can be told of the volume behind a mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identified {
    /// What it is known by. If nothing but the size can be told, it never compares as the same.
    pub identity: VolumeIdentity,
    /// Its name for people: the label of the file system, else the last part of the mount point.
    pub label: Option<String>,
    /// Bytes of the device, or of all devices of the file system together.
    pub size: u64,
    /// It is mounted read-only.
    pub read_only: bool,
}

/// How two identities stand to each other, from the furthest to the nearest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Likeness {
    /// Something that is known on both sides differs.
    Other,
    /// What is known on both sides is equal, but it is not enough to be sure; or a disk with the same long UUID now
    /// tells another serial, as when it was put into another box.
    Perhaps,
    /// Everything is known on both sides, or unknown on both, and equal; or both carry the same mark.
    Same,
}

impl VolumeIdentity {
    /// How this one stands to `other`. It is the same both ways.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Likeness {
        match (self, other) {
            (Self::Disk(one), Self::Disk(other)) => one.compare(other),
            (Self::Mount(one), Self::Mount(other)) if one == other => Likeness::Same,
            _ => Likeness::Other,
        }
    }
}

impl DiskIdentity {
    fn compare(&self, other: &Self) -> Likeness {
        let file_system = file_systems(self.file_system.as_deref(), other.file_system.as_deref());
        match part(self.mark.as_ref(), other.mark.as_ref()) {
            // The file system says the same, and holds the file that was written on it: another box may hide the
            // serial, or the size. Whoever copies all files to another file system copies the mark.
            Some(Likeness::Same) if file_system != Some(Likeness::Other) => return Likeness::Same,
            Some(Likeness::Other) => return Likeness::Other,
            // One that has none is no other one where its file system says enough: it may have been removed.
            Some(Likeness::Perhaps) if !self.is_unique() => {
                return self.compare_unmarked(other).min(Likeness::Perhaps);
            }
            _ => {}
        }
        self.compare_unmarked(other)
    }

    fn compare_unmarked(&self, other: &Self) -> Likeness {
        let parts = [
            file_systems(self.file_system.as_deref(), other.file_system.as_deref()),
            part(self.size.as_ref(), other.size.as_ref()),
            part(self.partition.as_ref(), other.partition.as_ref()),
        ];
        if parts.contains(&Some(Likeness::Other)) {
            return Likeness::Other;
        }
        let is_unique = self.is_unique() || other.is_unique();
        let serial = match part(self.serial.as_ref(), other.serial.as_ref()) {
            // Sticks of one make differ in nothing but this.
            Some(Likeness::Other) if !is_unique => return Likeness::Other,
            Some(Likeness::Other) => Some(Likeness::Perhaps),
            serial => serial,
        };
        let perhaps = parts.contains(&Some(Likeness::Perhaps)) || serial == Some(Likeness::Perhaps);
        // Many disks have one size.
        let nameless = self.file_system.is_none() && self.partition.is_none();
        if perhaps || nameless {
            Likeness::Perhaps
        } else {
            Likeness::Same
        }
    }

    /// Is the file system's mark so long that no two are made alike by chance?
    fn is_unique(&self) -> bool {
        self.file_system
            .as_ref()
            .is_some_and(|uuid| uuid.len() >= 16)
    }
}

/// As [`part`]; but macOS tells no serial number of FAT, exFAT and NTFS, it makes a UUID of it (of version 3, by a sum). Whether
/// that was made of a serial number that another system has told cannot be seen.
fn file_systems(one: Option<&str>, other: Option<&str>) -> Option<Likeness> {
    const UUID_LENGTH: usize = 36;
    let is_made = |text: &str| text.len() == UUID_LENGTH && text.as_bytes().get(14) == Some(&b'3');
    let is_serial = |text: &str| text.len() != UUID_LENGTH;
    match (one, other) {
        (Some(one), Some(other))
            if is_made(one) && is_serial(other) || is_serial(one) && is_made(other) =>
        {
            Some(Likeness::Perhaps)
        }
        _ => part(one.as_ref(), other.as_ref()),
    }
}

/// `None` if neither side knows.
fn part<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> Option<Likeness> {
    match (one, other) {
        (None, None) => None,
        (Some(one), Some(other)) if one == other => Some(Likeness::Same),
        (Some(_), Some(_)) => Some(Likeness::Other),
        _ => Some(Likeness::Perhaps),
    }
}

/// The text form, for a catalog: `disk:uuid=…,size=…,part=…,serial=…,mark=…` or `mount:type=…,source=…,at=…`. What is not
/// known is left out; bytes that are not plain are written `%xx`. It does not change from version to version.
impl fmt::Display for VolumeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size;
        let (kind, parts) = match self {
            Self::Disk(disk) => {
                size = disk.size.map(|size| size.to_string());
                let text = |value: &'_ Option<String>| value.clone().map(OsString::from);
                let parts = [
                    ("uuid", text(&disk.file_system)),
                    ("size", text(&size)),
                    ("part", text(&disk.partition)),
                    ("serial", text(&disk.serial)),
                    ("mark", text(&disk.mark)),
                ];
                ("disk", parts)
            }
            Self::Mount(mount) => {
                let parts = [
                    ("type", Some(OsString::from(&mount.fs_type))),
                    ("source", Some(mount.source.clone())),
                    ("at", mount.mount_point.clone().map(OsString::from)),
                    ("", None),
                    ("", None),
                ];
                ("mount", parts)
            }
        };
        write!(f, "{kind}:")?;
        let mut separator = "";
        for (key, value) in parts {
            if let Some(value) = value {
                write!(f, "{separator}{key}=")?;
                escape(&value, f)?;
                separator = ",";
            }
        }
        Ok(())
    }
}

/// A text that is no identity, or one of a later version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is not the identity of a volume: {why}")]
pub struct NotAnIdentity {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for VolumeIdentity {
    type Err = NotAnIdentity;

    fn from_str(text: &str) -> Result<Self, NotAnIdentity> {
        parse(text).map_err(|why| NotAnIdentity {
            text: text.to_owned(),
            why,
        })
    }
}

fn parse(text: &str) -> Result<VolumeIdentity, &'static str> {
    let (kind, parts) = text
        .split_once(':')
        .ok_or("it does not begin with disk: or mount:")?;
    let mut disk = DiskIdentity::default();
    let (mut fs_type, mut source, mut at) = (None, None, None);
    for part in parts.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or("a part has no value")?;
        let value = unescape(value).ok_or("a % is not followed by two hexadecimal digits")?;
        let string = || String::from_utf8(value.clone()).map_err(|_| "a part is not UTF-8");
        let name = |value| names::from_bytes(value).ok_or("a part is no name on this system");
        let before = match (kind, key) {
            ("disk", "uuid") => disk.file_system.replace(string()?).is_some(),
            ("disk", "part") => disk.partition.replace(string()?).is_some(),
            ("disk", "serial") => disk.serial.replace(string()?).is_some(),
            ("disk", "mark") => disk.mark.replace(string()?).is_some(),
            ("disk", "size") => {
                let size = string()?.parse().map_err(|_| "the size is not a number")?;
                disk.size.replace(size).is_some()
            }
            ("mount", "type") => fs_type.replace(string()?).is_some(),
            ("mount", "source") => source.replace(name(value)?).is_some(),
            ("mount", "at") => at.replace(PathBuf::from(name(value)?)).is_some(),
            ("disk" | "mount", _) => return Err("a part is not known"),
            _ => return Err("it does not begin with disk: or mount:"),
        };
        if before {
            return Err("a part is there twice");
        }
    }
    match kind {
        "disk" => Ok(VolumeIdentity::Disk(disk)),
        "mount" => Ok(VolumeIdentity::Mount(MountIdentity {
            fs_type: fs_type.ok_or("the type is missing")?,
            source: source.ok_or("the source is missing")?,
            mount_point: at,
        })),
        _ => Err("it does not begin with disk: or mount:"),
    }
}

fn escape(value: &OsStr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in value.as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._:/@#+".contains(byte) {
            write!(f, "{}", char::from(*byte))?;
        } else {
            write!(f, "%{byte:02x}")?;
        }
    }
    Ok(())
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn disk(uuid: &str, size: u64, partition: &str, serial: &str) -> VolumeIdentity {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        VolumeIdentity::Disk(DiskIdentity {
            file_system: known(uuid),
            size: (size != 0).then_some(size),
            partition: known(partition),
            serial: known(serial),
            mark: None,
        })
    }

    fn marked(identity: VolumeIdentity, mark: &str) -> VolumeIdentity {
        match identity {
            VolumeIdentity::Disk(disk) => VolumeIdentity::Disk(DiskIdentity {
                mark: Some(mark.to_owned()),
                ..disk
            }),
            mount @ VolumeIdentity::Mount(_) => mount,
        }
    }

    fn share(fs_type: &str, source: &[u8], at: Option<&str>) -> VolumeIdentity {
        VolumeIdentity::Mount(MountIdentity {
            fs_type: fs_type.to_owned(),
            source: names::from_bytes(source.to_vec()).unwrap(),
            mount_point: at.map(PathBuf::from),
        })
    }

    const UUID: &str = "0485feef-9b9c-492b-9487-99998e929513";

    #[test]
    fn the_text_form_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for (identity, text) in [
            (
                disk(UUID, 1 << 30, "aa-bb", "WD,1=2 %"),
                "disk:uuid=0485feef-9b9c-492b-9487-99998e929513,size=1073741824,part=aa-bb,serial=WD%2c1%3d2%20%25",
            ),
            (disk("12AB-34CD", 0, "", ""), "disk:uuid=12AB-34CD"),
            (
                marked(disk("12AB-34CD", 0, "", ""), "a-1"),
                "disk:uuid=12AB-34CD,mark=a-1",
            ),
            (disk("", 5, "", ""), "disk:size=5"),
            (disk("", 0, "", ""), "disk:"),
            (
                share("nfs", "server:/müsik".as_bytes(), None),
                "mount:type=nfs,source=server:/m%c3%bcsik",
            ),
            (
                share("fuse.s3fs", b"s3fs", Some("/home/a b")),
                "mount:type=fuse.s3fs,source=s3fs,at=/home/a%20b",
            ),
            (share("9p", b"", None), "mount:type=9p,source="),
        ] {
            assert_eq!(identity.to_string(), text);
            assert_eq!(text.parse(), Ok(identity));
        }
        // On Windows a name is no bytes.
        if cfg!(unix) {
            let odd = share("x", &all, None);
            assert_eq!(odd.to_string().parse(), Ok(odd));
        } else {
            let odd = VolumeIdentity::from_str("mount:type=nfs,source=%fc").unwrap_err();
            assert!(odd.why.contains("no name on this system"), "{odd}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        for (text, why) in [
            ("", "begin"),
            ("disk", "begin"),
            ("tape:uuid=1", "begin"),
            ("disk:uuid", "no value"),
            ("disk:uuid=%", "hexadecimal"),
            ("disk:uuid=%f", "hexadecimal"),
            ("disk:uuid=%zz", "hexadecimal"),
            ("disk:uuid=%é", "hexadecimal"),
            ("disk:uuid=%ff", "UTF-8"),
            ("disk:size=x", "number"),
            ("disk:size=-1", "number"),
            ("disk:size=99999999999999999999", "number"),
            ("disk:colour=red", "not known"),
            ("disk:size=1,size=1", "twice"),
            ("mount:type=nfs", "source is missing"),
            ("mount:source=x", "type is missing"),
            ("mount:uuid=1", "not known"),
        ] {
            let error = VolumeIdentity::from_str(text).unwrap_err();
            assert!(error.why.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_unknown_leaves_it_open_and_what_differs_decides() {
        let whole = || disk(UUID, 100, "p", "s");
        for (other, expected) in [
            (whole(), Likeness::Same),
            (disk(UUID, 100, "p", ""), Likeness::Perhaps),
            (disk(UUID, 100, "", "s"), Likeness::Perhaps),
            (disk(UUID, 0, "", ""), Likeness::Perhaps),
            (disk("", 100, "", ""), Likeness::Perhaps),
            (disk("x", 100, "p", "s"), Likeness::Other),
            (disk(UUID, 101, "p", "s"), Likeness::Other),
            (disk(UUID, 100, "q", "s"), Likeness::Other),
            (disk("", 101, "", ""), Likeness::Other),
            // The disk in another box.
            (disk(UUID, 100, "p", "t"), Likeness::Perhaps),
            (share("nfs", b"a:/b", None), Likeness::Other),
        ] {
            assert_eq!(whole().compare(&other), expected, "{other}");
            assert_eq!(other.compare(&whole()), expected, "{other}");
        }
        let short = disk("12AB-34CD", 100, "", "s");
        assert_eq!(short.compare(&short), Likeness::Same);
        // Two sticks of one make.
        let twin = disk("12AB-34CD", 100, "", "t");
        assert_eq!(short.compare(&twin), Likeness::Other);
        let bare = disk("12AB-34CD", 100, "", "");
        assert_eq!(bare.compare(&bare), Likeness::Same);
        let nameless = disk("", 100, "", "");
        assert_eq!(nameless.compare(&nameless), Likeness::Perhaps);
        let nothing = disk("", 0, "", "");
        assert_eq!(nothing.compare(&whole()), Likeness::Perhaps);
    }

    #[test]
    fn a_stick_that_macos_tells_of_may_be_one_that_another_system_has_told_of() {
        let made = "5d1f9b0a-3c4d-3e5f-8a1b-0123456789ab";
        let by_macos = disk(made, 0, "", "");
        assert_eq!(by_macos.compare(&by_macos.clone()), Likeness::Same);
        for (other, expected) in [
            (disk("12AB-34CD", 100, "", ""), Likeness::Perhaps),
            (disk("12AB-34CD", 100, "p", "s"), Likeness::Perhaps),
            (disk("0123456789ABCDEF", 100, "", ""), Likeness::Perhaps),
            // Neither are these made of a serial number, nor are they one.
            (disk(UUID, 0, "", ""), Likeness::Other),
            (
                disk("6d1f9b0a-3c4d-3e5f-8a1b-0123456789ab", 0, "", ""),
                Likeness::Other,
            ),
        ] {
            assert_eq!(by_macos.compare(&other), expected, "{other}");
            assert_eq!(other.compare(&by_macos), expected, "{other}");
        }
        let one = marked(by_macos, "a");
        for (mark, expected) in [("a", Likeness::Same), ("b", Likeness::Other)] {
            let other = marked(disk("12AB-34CD", 100, "", "s"), mark);
            assert_eq!(one.compare(&other), expected);
            assert_eq!(other.compare(&one), expected);
        }
    }

    #[test]
    fn a_mark_tells_apart_what_says_the_same_and_knows_again_what_says_less() {
        let (short, long) = ("12AB-34CD", UUID);
        for (one, other, expected) in [
            // Two sticks of one make, without serials.
            (
                ("a", disk(short, 9, "", "")),
                ("b", disk(short, 9, "", "")),
                Likeness::Other,
            ),
            (
                ("a", disk(long, 9, "", "")),
                ("b", disk(long, 9, "", "")),
                Likeness::Other,
            ),
            // A stick in another reader, and a disk in a box that hides some of it.
            (
                ("a", disk(short, 9, "", "s")),
                ("a", disk(short, 9, "", "t")),
                Likeness::Same,
            ),
            (
                ("a", disk(long, 9, "p", "s")),
                ("a", disk(long, 8, "", "t")),
                Likeness::Same,
            ),
            (
                ("a", disk(short, 9, "", "")),
                ("a", disk("", 9, "", "")),
                Likeness::Same,
            ),
            // All its files, on another disk.
            (
                ("a", disk(long, 9, "p", "s")),
                ("a", disk(short, 9, "p", "s")),
                Likeness::Other,
            ),
            // A mark was removed, or was written after the other was seen.
            (
                ("a", disk(long, 9, "p", "s")),
                ("", disk(long, 9, "p", "s")),
                Likeness::Same,
            ),
            (
                ("a", disk(short, 9, "", "s")),
                ("", disk(short, 9, "", "s")),
                Likeness::Perhaps,
            ),
            (
                ("a", disk(short, 9, "", "s")),
                ("", disk(short, 9, "", "t")),
                Likeness::Other,
            ),
        ] {
            let with = |(mark, identity): (&str, VolumeIdentity)| match mark {
                "" => identity,
                mark => marked(identity, mark),
            };
            let (one, other) = (with(one), with(other));
            assert_eq!(one.compare(&other), expected, "{one} {other}");
            assert_eq!(other.compare(&one), expected, "{other} {one}");
        }
    }

    #[test]
    fn mounts_are_the_same_by_every_part() {
        let one = share("nfs", b"server:/a", None);
        assert_eq!(one.compare(&one.clone()), Likeness::Same);
        for other in [
            share("cifs", b"server:/a", None),
            share("nfs", b"server:/b", None),
            share("nfs", b"server:/a", Some("/mnt")),
        ] {
            assert_eq!(one.compare(&other), Likeness::Other, "{other}");
        }
    }
}

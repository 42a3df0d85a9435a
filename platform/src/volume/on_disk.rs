//! Which disk a mount of macOS is of, by what the table has as its source; and how a disk is attached, by what DiskArbitration
//! tells of it.
//!
//! `/dev/disk4s1` for file systems of the kernel; `msdos://disk4s1/NAME`, of the kind `lifs`, for those that since macOS 13 a
//! program of the system serves (FAT, exFAT, NTFS).

use super::reason::Bus;

/// The kind of file system that the table has for those that are served by a program of the system.
const SERVED: &str = "lifs";

/// The kind of file system on a disk, with one word for each; `None` where the mount is not one of a disk. `source` and
/// `fs_type` are as the table has them.
pub(super) fn kind_on_disk<'a>(source: &'a str, fs_type: &'a str) -> Option<&'a str> {
    if source.starts_with("/dev/") {
        return Some(fs_type);
    }
    let (kind, rest) = source.split_once("://")?;
    let disk = rest.split('/').next()?.strip_prefix("disk")?;
    let is_disk = fs_type == SERVED && disk.starts_with(|c: char| c.is_ascii_digit());
    is_disk.then_some(match kind {
        "fat" => "msdos",
        kind => kind,
    })
}

/// What DiskArbitration tells of a disk. `None` is what it does not tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    pub(super) is_internal: Option<bool>,
    pub(super) is_removable: Option<bool>,
    /// As IOStorageProtocolCharacteristics.h has it.
    pub(super) protocol: Option<String>,
}

/// How a disk is attached; `None` for one that is built in, which only a disk is that is said to be, and hangs on what built-in
/// disks hang on.
pub(super) fn attached_by(told: &Told) -> Option<Bus> {
    let is_built_in = told.is_internal == Some(true) && told.is_removable != Some(true);
    match told.protocol.as_deref() {
        Some("USB") => Some(Bus::Usb),
        Some("FireWire") => Some(Bus::FireWire),
        Some("Secure Digital") => Some(Bus::Mmc),
        Some("Virtual Interface") => Some(Bus::Loop),
        Some("ATA" | "SATA" | "SAS" | "PCI" | "PCI-Express" | "Apple Fabric") if is_built_in => {
            None
        }
        _ => Some(Bus::Removable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_built_in_is_taken_for_it() {
        let told = |is_internal, is_removable, protocol: &str| Told {
            is_internal,
            is_removable,
            protocol: (!protocol.is_empty()).then(|| protocol.to_owned()),
        };
        let yes = Some(true);
        for built_in in [
            told(yes, Some(false), "Apple Fabric"),
            told(yes, Some(false), "PCI-Express"),
            told(yes, None, "SATA"),
        ] {
            assert_eq!(attached_by(&built_in), None, "{built_in:?}");
        }
        for (disk, bus) in [
            (told(Some(false), Some(false), "USB"), Bus::Usb),
            (told(yes, Some(true), "USB"), Bus::Usb),
            (told(yes, Some(true), "Secure Digital"), Bus::Mmc),
            (told(Some(false), None, "FireWire"), Bus::FireWire),
            (
                told(Some(false), Some(true), "Virtual Interface"),
                Bus::Loop,
            ),
            // By Thunderbolt.
            (
                told(Some(false), Some(false), "PCI-Express"),
                Bus::Removable,
            ),
            (told(None, None, "PCI-Express"), Bus::Removable),
            (told(yes, Some(true), "SATA"), Bus::Removable),
            (
                told(yes, Some(false), "Fibre Channel Interface"),
                Bus::Removable,
            ),
            (Told::default(), Bus::Removable),
        ] {
            assert_eq!(attached_by(&disk), Some(bus), "{disk:?}");
        }
    }

    #[test]
    fn disks_are_known_by_either_form_of_their_source() {
        for (source, fs_type, expected) in [
            ("/dev/disk3s1s1", "apfs", Some("apfs")),
            ("/dev/disk4s1", "msdos", Some("msdos")),
            ("msdos://disk3s2/MYVOL", "lifs", Some("msdos")),
            ("fat://disk2s1/NO NAME", "lifs", Some("msdos")),
            ("exfat://disk5s1/", "lifs", Some("exfat")),
            ("ntfs://disk4s1", "lifs", Some("ntfs")),
            // Shares, and what a program has called itself.
            ("smb://server/share", "lifs", None),
            ("smb://diskstation/share", "lifs", None),
            ("msdos://disk3s2/MYVOL", "macfuse", None),
            ("//user@disk4s1/share", "smbfs", None),
            ("map auto_home", "autofs", None),
            ("", "lifs", None),
        ] {
            assert_eq!(kind_on_disk(source, fs_type), expected, "{source}");
        }
    }
}

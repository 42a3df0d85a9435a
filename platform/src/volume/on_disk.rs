//! Which disk a mount of macOS is of, by what the table has as its source.
//!
//! `/dev/disk4s1` for file systems of the kernel; `msdos://disk4s1/NAME`, of the kind `lifs`, for those that since macOS 13 a
//! program of the system serves (FAT, exFAT, NTFS).

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

#[cfg(test)]
mod tests {
    use super::*;

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

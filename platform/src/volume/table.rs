//! The mount table: which file systems are seen where.
//!
//! The system keeps it in memory: reading it touches no storage, so it can be asked about a share that hangs. The mount
//! code uses it to find our own mounts, the trust code to tell what a path lies on. It has the fields of Linux's
//! `/proc/self/mountinfo` (format: proc(5)), which is read there; what another system does not tell is empty or 0.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::system;
use crate::names;

/// The number of a mount, unique among those that exist at one time in this mount namespace; the kernel
/// uses numbers of ended mounts again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct MountId(pub u64);

/// The number of a device, as in `st_dev`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// The driver's number; 0 for file systems without a block device.
    pub major: u32,
    /// The number within the driver.
    pub minor: u32,
}

impl std::fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// One line of the mount table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountEntry {
    /// This mount.
    pub id: MountId,
    /// The mount it is attached to.
    pub parent: MountId,
    /// The device, or an anonymous number with major 0.
    pub device: DeviceNumber,
    /// What of the file system is mounted (`/` unless it is a bind mount or a subvolume).
    pub root: PathBuf,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Options of this mount, comma separated.
    pub options: OsString,
    /// The kind of file system, with its subtype: `ext4`, `fuse.mediafs`, …
    pub fs_type: String,
    /// What it is mounted from: a device path, a share, or any text the file system put there.
    pub source: OsString,
    /// Options of the file system, comma separated.
    pub super_options: OsString,
}

impl MountEntry {
    /// Where in the file system `path` is, counted from the top of the file system and not of the mount; `None` if
    /// it is not beneath the mount point. The two differ for bind mounts and subvolumes.
    #[must_use]
    pub fn within(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.mount_point).ok()?;
        Some(joined(&self.root, below))
    }

    /// Where a path in the file system is seen through this mount; `None` if it is not in the part that is mounted.
    /// The other way round than [`MountEntry::within`].
    #[must_use]
    pub fn seen_at(&self, within: &Path) -> Option<PathBuf> {
        let below = within.strip_prefix(&self.root).ok()?;
        Some(joined(&self.mount_point, below))
    }

    /// Is it a drive of ours, by whichever transport?
    #[must_use]
    pub fn is_our_drive(&self) -> bool {
        self.fs_type == crate::mount::FS_TYPE || self.is_our_export()
    }

    /// Is it a drive of ours that was mounted by NFS?
    #[must_use]
    pub fn is_our_export(&self) -> bool {
        let export = self.source.as_encoded_bytes().strip_prefix(b"127.0.0.1:/");
        let name = export.and_then(|name| name.strip_prefix(crate::mount::EXPORT_NAME.as_bytes()));
        self.fs_type == "nfs"
            && name.is_some_and(|secret| {
                secret.len() >= 32 && secret[..32].iter().all(u8::is_ascii_hexdigit)
            })
    }

    /// The value of `name=…` among the options of the file system.
    #[must_use]
    pub fn super_option(&self, name: &str) -> Option<OsString> {
        self.super_options
            .as_encoded_bytes()
            .split(|byte| *byte == b',')
            .find_map(|option| {
                option
                    .strip_prefix(name.as_bytes())?
                    .strip_prefix(b"=")
                    .and_then(|value| names::from_bytes(value.to_vec()))
            })
    }
}

/// All mounts of this process, in the order of the kernel: a later one at a place covers an earlier one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MountTable {
    entries: Vec<MountEntry>,
}

impl MountTable {
    /// Reads the table of this process.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn read() -> io::Result<Self> {
        system::mounts()
    }

    /// Of these mounts, in the order in which they cover each other.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(entries: Vec<MountEntry>) -> Self {
        Self { entries }
    }

    /// From the text of Linux. Takes the lines that make sense; the kernel may add fields that are not known here.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self {
            entries: text
                .split(|byte| *byte == b'\n')
                .filter_map(parse_line)
                .collect(),
        }
    }

    /// The mounts, in the order of the kernel.
    #[must_use]
    pub fn entries(&self) -> &[MountEntry] {
        &self.entries
    }

    /// The mount of this number.
    #[must_use]
    pub fn by_id(&self, id: MountId) -> Option<&MountEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// The topmost mount exactly at `path` (absolute, without symbolic links).
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&MountEntry> {
        let here = || {
            self.entries
                .iter()
                .filter(|entry| entry.mount_point == path)
        };
        // Of several at one place the visible one is that which no other one there is attached to.
        here().rfind(|entry| !here().any(|other| other.parent == entry.id && other.id != entry.id))
    }

    /// The mount that holds `path` (absolute, without symbolic links), by the longest mount point above it.
    #[must_use]
    pub fn holding(&self, path: &Path) -> Option<&MountEntry> {
        path.ancestors().find_map(|ancestor| self.at(ancestor))
    }
}

/// Without the slash that joining nothing would leave at the end.
fn joined(top: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() {
        top.to_owned()
    } else {
        top.join(below)
    }
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line
        .split(|byte| *byte == b' ')
        .filter(|field| !field.is_empty());
    let id = MountId(number(fields.next()?)?);
    let parent = MountId(number(fields.next()?)?);
    let device = fields.next()?;
    let colon = device.iter().position(|byte| *byte == b':')?;
    let device = DeviceNumber {
        major: u32::try_from(number(&device[..colon])?).ok()?,
        minor: u32::try_from(number(&device[colon + 1..])?).ok()?,
    };
    let root = PathBuf::from(unescape(fields.next()?)?);
    let mount_point = PathBuf::from(unescape(fields.next()?)?);
    let options = unescape(fields.next()?)?;
    // Any number of optional fields, ended by a hyphen of its own.
    fields.by_ref().find(|field| *field == b"-")?;
    let fs_type = String::from_utf8_lossy(fields.next()?).into_owned();
    let source = fields.next().and_then(unescape).unwrap_or_default();
    let super_options = fields.next().and_then(unescape).unwrap_or_default();
    Some(MountEntry {
        id,
        parent,
        device,
        root,
        mount_point,
        options,
        fs_type,
        source,
        super_options,
    })
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Turns `\040` and its like (space, tab, line feed, backslash, `#`) into the byte; anything else stays.
fn unescape(field: &[u8]) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'\\'
            && let Some(&[high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7']) =
                tail.get(..3)
        {
            bytes.push(((high - b'0') << 6) | ((middle - b'0') << 3) | (low - b'0'));
            rest = &tail[3..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    names::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TABLE: &[u8] = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,discard\n\
        30 22 0:45 / /mnt/my\\040sounds\\134x rw,nosuid master:2 propagate_from:3 - fuse.mediafs mediafs rw,user_id=0\n\
        31 22 0:46 / /mnt/a ro - tmpfs none rw,size=65536k\n\
        32 31 0:47 / /mnt/a rw - fuse.rclone remote: rw,user_id=1000\n\
        33 22 0:48 / /mnt/no-source rw -  \n\
        broken line\n\
        34 22 nonsense / /x rw - ext4 a b\n\
        35 22 99999999999:1 / /x rw - ext4 a b\n\
        36 22 8:1 / /x rw ext4 a b\n\
        37 22 8:1 /sub /mnt/cut";

    #[test]
    fn our_drives_are_told_from_those_of_others() {
        let secret = "0123456789abcdef0123456789abcdef";
        let is_ours = |fs_type: &str, source: &str| {
            let line = format!("22 1 0:1 / /mnt rw - {fs_type} {source} rw\n");
            let table = MountTable::parse(line.as_bytes());
            let entry = &table.entries()[0];
            (entry.is_our_drive(), entry.is_our_export())
        };
        let by_nfs = |host: &str, name: &str| is_ours("nfs", &format!("{host}:/{name}"));
        let ours = format!("mediafs-{secret}");
        assert_eq!(is_ours("fuse.mediafs", "mediafs"), (true, false));
        assert_eq!(by_nfs("127.0.0.1", &ours), (true, true));
        assert_eq!(is_ours("fuse.sshfs", "mediafs"), (false, false));
        assert_eq!(is_ours("ext4", "mediafs"), (false, false));
        assert_eq!(by_nfs("10.0.0.1", &ours), (false, false));
        assert_eq!(by_nfs("127.0.0.1", secret), (false, false));
        assert_eq!(by_nfs("127.0.0.1", "mediafs-sounds"), (false, false));
        let by_smb = is_ours("cifs", &format!("127.0.0.1:/{ours}"));
        assert_eq!(by_smb, (false, false));
    }

    #[test]
    fn lines_that_make_sense_are_taken() {
        let table = MountTable::parse(TABLE);
        let ids: Vec<u64> = table.entries().iter().map(|entry| entry.id.0).collect();
        assert_eq!(ids, [22, 30, 31, 32]);
        let ours = table.by_id(MountId(30)).unwrap();
        assert_eq!(ours.mount_point, Path::new("/mnt/my sounds\\x"));
        assert_eq!(ours.fs_type, "fuse.mediafs");
        assert!(ours.is_our_drive() && !ours.is_our_export());
        assert_eq!(ours.source, "mediafs");
        assert_eq!(ours.super_option("user_id"), Some(OsString::from("0")));
        assert_eq!(ours.super_option("user"), None);
        assert_eq!(
            ours.device,
            DeviceNumber {
                major: 0,
                minor: 45
            }
        );
    }

    #[test]
    fn the_mount_of_a_path_is_the_topmost_longest() {
        let table = MountTable::parse(TABLE);
        assert_eq!(
            table.holding(Path::new("/mnt/a/b/c")).unwrap().id,
            MountId(32)
        );
        assert_eq!(table.holding(Path::new("/mnt/ab")).unwrap().id, MountId(22));
        assert_eq!(table.at(Path::new("/mnt/a/b")), None);
    }

    #[test]
    fn odd_escapes_stay_as_they_are() {
        assert_eq!(unescape(b"a\\04").unwrap(), "a\\04");
        assert_eq!(unescape(b"a\\9999\\").unwrap(), "a\\9999\\");
        assert_eq!(unescape(b"\\777").unwrap(), "\\777");
        assert_eq!(unescape(b"\\303\\251").unwrap(), "\u{e9}");
    }

    #[test]
    fn a_path_is_found_again_through_another_mount() {
        let table = MountTable::parse(
            b"40 22 0:39 / /mnt/all rw - btrfs /dev/sda rw\n\
            41 22 0:39 /takes /mnt/takes rw - btrfs /dev/sda rw\n\
            42 22 0:39 /takes/old /mnt/old rw - btrfs /dev/sda rw",
        );
        let [all, takes, old] = table.entries() else {
            panic!("three mounts");
        };
        let path = Path::new("/mnt/takes/old/kick.wav");
        let within = takes.within(path).unwrap();
        assert_eq!(within, Path::new("/takes/old/kick.wav"));
        for (mount, seen) in [
            (all, "/mnt/all/takes/old/kick.wav"),
            (takes, "/mnt/takes/old/kick.wav"),
            (old, "/mnt/old/kick.wav"),
        ] {
            assert_eq!(mount.seen_at(&within).as_deref(), Some(Path::new(seen)));
        }
        assert_eq!(takes.within(Path::new("/mnt/all/x")), None);
        assert_eq!(takes.within(Path::new("/mnt/takes2")), None);
        assert_eq!(old.seen_at(Path::new("/takes/new.wav")), None);
        let top = takes.within(Path::new("/mnt/takes")).unwrap();
        assert_eq!(top.as_os_str(), "/takes");
        assert_eq!(takes.seen_at(&top).unwrap().as_os_str(), "/mnt/takes");
    }

    #[cfg(unix)]
    #[test]
    fn this_machine_has_a_root_mount() {
        let table = MountTable::read().unwrap();
        assert!(table.at(Path::new("/")).is_some());
        assert!(table.holding(&std::env::current_exe().unwrap()).is_some());
    }
}

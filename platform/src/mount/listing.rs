//! Listings: `.` and `..`, offsets, and the entries of `readdirplus`.
//!
//! The kernel allows an entry of `readdirplus` to come without attributes (node id 0); it then looks the name
//! up when somebody needs it. The library can't say that, as it writes one number as node id and as `d_ino`, and
//! programs skip a `d_ino` of 0. So a part of a listing that has such entries is written to the device here
//! (layout: `struct fuse_direntplus` in linux/fuse.h); any other part goes through the library.

#[cfg(target_os = "linux")]
use std::os::fd::BorrowedFd;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
#[cfg(target_os = "linux")]
use std::time::SystemTime;

#[cfg(target_os = "linux")]
use crate::drive::{Attributes, NodeKind};
use crate::drive::{Cursor, Entry, Listed};

/// Offsets 1 and 2 lie behind `.` and `..`; the drive's own cursors follow.
const DOTS: u64 = 2;

/// Where a listing goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    /// `.` has been given already.
    pub(super) after_dot: bool,
    /// `..` has been given already.
    pub(super) after_dot_dot: bool,
    /// Where the drive's entries go on.
    pub(super) cursor: Cursor,
}

/// What the kernel's offset means.
pub(super) fn position(offset: u64) -> Position {
    Position {
        after_dot: offset >= 1,
        after_dot_dot: offset >= DOTS,
        cursor: Cursor(offset.saturating_sub(DOTS)),
    }
}

/// The kernel's offset behind an entry; `None` if the cursor is too large for `telldir` (above 2⁶³ − 3).
pub(super) fn offset_behind(cursor: Cursor) -> Option<u64> {
    cursor
        .0
        .checked_add(DOTS)
        .filter(|offset| i64::try_from(*offset).is_ok())
}

/// An entry that the library can send as it is: present, of one number, of one time to live.
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "the library lists in one way there")
)]
pub(super) fn plain_for_library(listed: &Listed) -> Option<&Entry> {
    listed.entry.as_ref().filter(|entry| {
        entry.attributes.inode == entry.node.0
            && listed.inode == entry.node.0
            && entry.attribute_ttl == entry.entry_ttl
    })
}

/// The smallest buffer a kernel asks a listing with. The library does not tell the real one.
#[cfg(target_os = "linux")]
const SMALLEST_BUFFER: usize = 4096;

/// A part of a `readdirplus` answer in the kernel's own layout.
#[cfg(target_os = "linux")]
pub(super) struct RawListing {
    bytes: Vec<u8>,
}

#[cfg(target_os = "linux")]
impl RawListing {
    const HEADER: usize = 16;

    pub(super) fn new() -> Self {
        let mut bytes = Vec::with_capacity(Self::HEADER + SMALLEST_BUFFER);
        bytes.resize(Self::HEADER, 0);
        Self { bytes }
    }

    /// Adds an entry; `false` if it does not fit any more.
    pub(super) fn add(&mut self, listed: &Listed, offset: u64) -> bool {
        let name = listed.name.as_bytes();
        let Ok(name_length) = u32::try_from(name.len()) else {
            return false;
        };
        let length = (ENTRY_OUT + DIRENT + name.len()).next_multiple_of(8);
        if self.bytes.len() - Self::HEADER + length > SMALLEST_BUFFER {
            return false;
        }
        let end = self.bytes.len() + length;
        match &listed.entry {
            Some(entry) => self.entry_out(entry),
            None => self.bytes.resize(self.bytes.len() + ENTRY_OUT, 0),
        }
        self.u64(listed.inode);
        self.u64(offset);
        self.u32(name_length);
        self.u32(kind_bits(listed.kind) >> 12);
        self.bytes.extend_from_slice(name);
        self.bytes.resize(end, 0);
        true
    }

    /// Writes the answer to the request `unique`.
    pub(super) fn send(mut self, device: BorrowedFd<'_>, unique: u64) -> std::io::Result<()> {
        // Never above HEADER + SMALLEST_BUFFER.
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..16].copy_from_slice(&unique.to_ne_bytes());
        rustix::io::write(device, &self.bytes)?;
        Ok(())
    }

    fn entry_out(&mut self, entry: &Entry) {
        self.u64(entry.node.0);
        self.u64(0); // generation: node ids are never used again
        self.u64(entry.entry_ttl.as_secs());
        self.u64(entry.attribute_ttl.as_secs());
        self.u32(entry.entry_ttl.subsec_nanos());
        self.u32(entry.attribute_ttl.subsec_nanos());
        self.attributes(&entry.attributes);
    }

    fn attributes(&mut self, attributes: &Attributes) {
        let attr = super::attr::file_attr(attributes);
        let times = [attr.atime, attr.mtime, attr.ctime].map(since_epoch);
        self.u64(attr.ino.0);
        self.u64(attr.size);
        self.u64(attr.blocks);
        for (seconds, _) in times {
            self.u64(seconds.cast_unsigned());
        }
        for (_, nanoseconds) in times {
            self.u32(nanoseconds);
        }
        self.u32(kind_bits(attributes.kind) | u32::from(attr.perm));
        for field in [
            attr.nlink,
            attr.uid,
            attr.gid,
            attr.rdev,
            attr.blksize,
            attr.flags,
        ] {
            self.u32(field);
        }
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }
}

/// Length of `struct fuse_entry_out`.
#[cfg(target_os = "linux")]
const ENTRY_OUT: usize = 128;
/// Length of `struct fuse_dirent` without its name.
#[cfg(target_os = "linux")]
const DIRENT: usize = 24;

#[cfg(target_os = "linux")]
fn kind_bits(kind: NodeKind) -> u32 {
    match kind {
        NodeKind::Folder => libc::S_IFDIR,
        NodeKind::File => libc::S_IFREG,
        NodeKind::Symlink => libc::S_IFLNK,
    }
}

/// Seconds (rounded down) and nanoseconds since 1970, also before it.
#[cfg(target_os = "linux")]
fn since_epoch(time: SystemTime) -> (i64, u32) {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (
            i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            after.subsec_nanos(),
        ),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanoseconds => (seconds.saturating_sub(1), 1_000_000_000 - nanoseconds),
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::ffi::OsString;
    use std::time::Duration;

    use super::*;
    use crate::drive::NodeId;

    fn attributes(inode: u64) -> Attributes {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        Attributes {
            inode,
            kind: NodeKind::File,
            size: 10,
            modified: time,
            changed: time,
            born: time,
            permissions: 0o644,
            uid: 1,
            gid: 2,
        }
    }

    fn listed(name: &str, inode: u64, entry: Option<Entry>) -> Listed {
        Listed {
            name: OsString::from(name),
            cursor: Cursor(7),
            inode,
            kind: NodeKind::File,
            entry,
        }
    }

    #[test]
    fn offsets_keep_room_for_the_dots() {
        assert_eq!(
            position(0),
            Position {
                after_dot: false,
                after_dot_dot: false,
                cursor: Cursor(0)
            }
        );
        assert_eq!(
            position(1),
            Position {
                after_dot: true,
                after_dot_dot: false,
                cursor: Cursor(0)
            }
        );
        assert_eq!(
            position(2),
            Position {
                after_dot: true,
                after_dot_dot: true,
                cursor: Cursor(0)
            }
        );
        let largest = Cursor(i64::MAX as u64 - 2);
        assert_eq!(
            position(offset_behind(largest).unwrap_or_default()).cursor,
            largest
        );
        assert_eq!(offset_behind(Cursor(i64::MAX as u64 - 1)), None);
        assert_eq!(offset_behind(Cursor(u64::MAX)), None);
    }

    #[test]
    fn only_entries_of_one_number_and_one_time_go_through_the_library() {
        let second = Duration::from_secs(1);
        let entry = |node, inode, attribute_ttl| {
            Some(Entry {
                node: NodeId(node),
                attributes: attributes(inode),
                entry_ttl: second,
                attribute_ttl,
            })
        };
        assert!(plain_for_library(&listed("a", 5, entry(5, 5, second))).is_some());
        assert!(plain_for_library(&listed("a", 5, entry(6, 5, second))).is_none());
        assert!(plain_for_library(&listed("a", 5, entry(5, 5, Duration::ZERO))).is_none());
        assert!(plain_for_library(&listed("a", 5, None)).is_none());
    }

    #[test]
    fn entries_have_the_layout_of_the_kernel_and_end_at_the_buffer() {
        let mut raw = RawListing::new();
        assert!(raw.add(&listed("name.wav", 0x77, None), 9));
        let record = &raw.bytes[16..];
        assert_eq!(record.len(), 160);
        assert_eq!(record[..128], [0; 128], "node id 0: no attributes");
        assert_eq!(record[128..136], 0x77_u64.to_ne_bytes());
        assert_eq!(record[136..144], 9_u64.to_ne_bytes());
        assert_eq!(record[144..148], 8_u32.to_ne_bytes());
        assert_eq!(record[148..152], 8_u32.to_ne_bytes(), "DT_REG");
        assert_eq!(&record[152..160], b"name.wav");

        let entry = Entry {
            node: NodeId(0x99),
            attributes: attributes(0x98),
            entry_ttl: Duration::new(3, 4),
            attribute_ttl: Duration::ZERO,
        };
        assert!(raw.add(&listed("b", 0x98, Some(entry)), 10));
        let record = &raw.bytes[16 + 160..];
        assert_eq!(record.len(), 160);
        assert_eq!(record[..8], 0x99_u64.to_ne_bytes());
        assert_eq!(record[16..24], 3_u64.to_ne_bytes());
        assert_eq!(record[32..36], 4_u32.to_ne_bytes());
        assert_eq!(record[40..48], 0x98_u64.to_ne_bytes());
        assert_eq!(record[100..104], (libc::S_IFREG | 0o644).to_ne_bytes());
        assert_eq!(record[104..108], 1_u32.to_ne_bytes(), "one link");

        let mut added = 0;
        while raw.add(&listed("name.wav", 1, None), 11) {
            added += 1;
        }
        assert_eq!(added, (4096 - 320) / 160);
    }

    #[test]
    fn times_before_1970_round_down() {
        assert_eq!(since_epoch(SystemTime::UNIX_EPOCH), (0, 0));
        let before = SystemTime::UNIX_EPOCH - Duration::new(1, 250_000_000);
        assert_eq!(since_epoch(before), (-2, 750_000_000));
        assert_eq!(
            since_epoch(SystemTime::UNIX_EPOCH - Duration::from_secs(5)),
            (-5, 0)
        );
    }
}

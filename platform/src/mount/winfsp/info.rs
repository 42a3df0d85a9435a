//! Attributes and times of the drive in the words of Windows, and what is asked for in its words in those of the drive.

use crate::drive::{AttributeChange, Attributes, NewTime, NodeKind, OpenMode};
use crate::ticks;

const FILE_ATTRIBUTE_DIRECTORY: u32 = 0x10;
const FILE_ATTRIBUTE_NORMAL: u32 = 0x80;
const FILE_ATTRIBUTE_OFFLINE: u32 = 0x1000;
const FILE_READ_DATA: u32 = 0x1;
const FILE_WRITE_DATA: u32 = 0x2;
const FILE_APPEND_DATA: u32 = 0x4;
const FILE_EXECUTE: u32 = 0x20;
const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
const FILE_SUPERSEDE: u32 = 0;
const FILE_OVERWRITE: u32 = 4;
const FILE_OVERWRITE_IF: u32 = 5;
const FILE_DIRECTORY_FILE: u32 = 0x1;
const FILE_NON_DIRECTORY_FILE: u32 = 0x40;
const FILE_DELETE_ON_CLOSE: u32 = 0x1000;

/// What programs read and write in that do so without a cache, and how many of them room is given in.
pub(super) const SECTOR: u16 = 512;
pub(super) const SECTORS: u16 = 8;

/// What Windows knows of a file or folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Info {
    pub(super) attributes: u32,
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) born: u64,
    pub(super) modified: u64,
    pub(super) changed: u64,
    pub(super) index: u64,
}

impl Info {
    /// `is_away` where a player would get silence. A file that may not be written to has no attribute that says so: copies
    /// would inherit it. Its security descriptor does.
    ///
    /// Copies inherit `FILE_ATTRIBUTE_OFFLINE` too, and stay called so although they have the true bytes. It is told to all
    /// programs all the same, copying ones as well: it keeps Explorer, indexers and scanners from reading what they would have
    /// fetched, Explorer looks and copies in one process, and Windows keeps attributes for a path and not for who asked, so what
    /// a copying program is told is what the others see. mediafs itself takes such a copy on a disk for what it is
    /// (`cloud::residency`).
    pub(super) fn new(of: &Attributes, is_away: bool) -> Self {
        let is_folder = of.kind == NodeKind::Folder;
        let size = if is_folder { 0 } else { of.size };
        Self {
            attributes: match (is_folder, is_away) {
                (true, _) => FILE_ATTRIBUTE_DIRECTORY,
                (false, true) => FILE_ATTRIBUTE_OFFLINE,
                (false, false) => FILE_ATTRIBUTE_NORMAL,
            },
            size,
            allocated: size
                .checked_next_multiple_of(u64::from(SECTOR) * u64::from(SECTORS))
                .unwrap_or(size),
            born: ticks::of(of.born),
            modified: ticks::of(of.modified),
            changed: ticks::of(of.changed),
            index: of.inode,
        }
    }
}

/// A time that is to be set; `None` for the numbers that say that it is to stay.
fn new_time(units: u64) -> Option<NewTime> {
    if units == 0 || units.cast_signed() < 0 {
        return None;
    }
    ticks::to_time(units).map(NewTime::At)
}

/// What a program that sets times wants. Of the attributes, none can be changed.
pub(super) fn times(accessed: u64, modified: u64) -> AttributeChange {
    AttributeChange {
        accessed: new_time(accessed),
        modified: new_time(modified),
        ..AttributeChange::default()
    }
}

/// How a file is to be opened on the drive for the rights that were granted; `None` where no byte will be read or written,
/// as by whoever asks for attributes, renames or removes.
pub(super) fn mode(granted: u32) -> Option<OpenMode> {
    let mode = OpenMode {
        read: granted & (FILE_READ_DATA | FILE_EXECUTE) != 0,
        write: granted & (FILE_WRITE_DATA | FILE_APPEND_DATA) != 0,
        ..OpenMode::default()
    };
    // The kernel reads the rest of a page of which a mapping writes a part.
    let read = mode.read || mode.write;
    read.then_some(OpenMode { read, ..mode })
}

/// Does a program that asks for these rights, with these options, mean to write? Not where it asks for as much as it may have.
pub(super) fn means_to_write(desired: u32, create_options: u32) -> bool {
    // Above the options: what is to be done with what is there.
    let empties = matches!(
        create_options >> 24,
        FILE_SUPERSEDE | FILE_OVERWRITE | FILE_OVERWRITE_IF
    );
    let writes = desired & (FILE_WRITE_DATA | FILE_APPEND_DATA) != 0;
    empties || (writes && desired & MAXIMUM_ALLOWED == 0)
}

/// Is what is opened with these options to go when it is closed?
pub(super) fn goes_on_close(create_options: u32) -> bool {
    create_options & FILE_DELETE_ON_CLOSE != 0
}

/// What kind of thing whoever opens insists on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    Folder,
    File,
    Any,
}

impl Wanted {
    pub(super) fn of(create_options: u32) -> Self {
        if create_options & FILE_DIRECTORY_FILE != 0 {
            Self::Folder
        } else if create_options & FILE_NON_DIRECTORY_FILE != 0 {
            Self::File
        } else {
            Self::Any
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn attributes(kind: NodeKind, size: u64) -> Attributes {
        let time = UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
        Attributes {
            inode: 7,
            kind,
            size,
            modified: time,
            changed: time + Duration::from_secs(1),
            born: UNIX_EPOCH,
            permissions: 0o444,
            uid: 0,
            gid: 0,
        }
    }

    #[test]
    fn files_and_folders_are_told_apart_and_what_is_away_is_offline() {
        let file = Info::new(&attributes(NodeKind::File, 4097), false);
        assert_eq!(
            (file.attributes, file.size, file.allocated),
            (0x80, 4097, 8192)
        );
        assert_eq!(file.born, 116_444_736_000_000_000);
        assert_eq!(
            file.modified,
            116_444_736_000_000_000 + 16_000_000_001_234_567
        );
        assert_eq!(file.changed - file.modified, ticks::PER_SECOND);
        assert_eq!(file.index, 7);
        let away = Info::new(&attributes(NodeKind::File, 1), true);
        assert_eq!(away.attributes, 0x1000);
        let folder = Info::new(&attributes(NodeKind::Folder, 77), true);
        assert_eq!(
            (folder.attributes, folder.size, folder.allocated),
            (0x10, 0, 0)
        );
        let huge = Info::new(&attributes(NodeKind::File, u64::MAX), false);
        assert_eq!(huge.allocated, u64::MAX);
    }

    #[test]
    fn times_come_back_and_stay_within_what_windows_can_say() {
        let time = UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_700);
        let change = times(0, ticks::of(time));
        assert_eq!(
            (change.accessed, change.modified),
            (None, Some(NewTime::At(time)))
        );
        // "Leave it, and stop touching it."
        assert_eq!(times(u64::MAX, u64::MAX - 1), AttributeChange::default());
        let before = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(
            times(ticks::of(before), 0).accessed,
            Some(NewTime::At(before))
        );
    }

    #[test]
    fn only_who_reads_or_writes_opens_the_file() {
        let mode_of = |granted| mode(granted).map(|mode| (mode.read, mode.write));
        // Attributes, synchronize, delete.
        assert_eq!(mode_of(0x0011_0080), None);
        assert_eq!(mode_of(0x0012_0089), Some((true, false)));
        assert_eq!(mode_of(0x20), Some((true, false)));
        assert_eq!(mode_of(0x2), Some((true, true)));
        assert_eq!(mode_of(0x4), Some((true, true)));
        assert_eq!(mode_of(0x001f_01ff), Some((true, true)));
    }

    #[test]
    fn who_asks_for_as_much_as_it_may_have_does_not_mean_to_write() {
        let (open, open_or_make) = (1 << 24, 3 << 24);
        assert!(means_to_write(0x0012_0196, open));
        assert!(means_to_write(0x4, open_or_make));
        assert!(!means_to_write(0x0012_0089, open));
        assert!(!means_to_write(0x0200_0000, open));
        assert!(!means_to_write(0x0212_0196, open));
        for empties in [0, 4 << 24, 5 << 24] {
            assert!(means_to_write(0x0012_0089, empties | 0x60));
        }
    }

    #[test]
    fn options_name_the_kind() {
        assert_eq!(Wanted::of(0x0200_0021), Wanted::Folder);
        assert_eq!(Wanted::of(0x60), Wanted::File);
        assert_eq!(Wanted::of(0x20), Wanted::Any);
    }
}

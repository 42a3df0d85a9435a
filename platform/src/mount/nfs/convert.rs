//! Attributes, times and errors of the drive in the words of NFSv3 (RFC 1813).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::xdr::{Garbage, Reader, Writer};
use crate::drive::{AttributeChange, Attributes, DriveError, NewTime, NodeKind};

/// How many bytes [`write_attributes`] writes.
pub(super) const ATTRIBUTES: usize = 84;

/// What a client makes an errno of, each with its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    NotOwner = 1,
    NotFound = 2,
    Io = 5,
    NoDevice = 6,
    NotPermitted = 13,
    Exists = 17,
    Elsewhere = 18,
    NotFolder = 20,
    IsFolder = 21,
    Invalid = 22,
    TooLarge = 27,
    NoSpace = 28,
    ReadOnly = 30,
    NameTooLong = 63,
    NotEmpty = 66,
    Stale = 70,
    BadHandle = 10001,
    /// What a client goes by was not so any more.
    NotInStep = 10002,
    NotSupported = 10004,
    /// There is no room for a single entry in the answer that is wanted.
    TooSmall = 10005,
}

impl From<DriveError> for Status {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::NotFound => Self::NotFound,
            // There is no ENOMEDIUM.
            DriveError::NoMedium => Self::NoDevice,
            DriveError::Stale => Self::Stale,
            DriveError::ReadOnly => Self::ReadOnly,
            DriveError::NotPermitted => Self::NotPermitted,
            DriveError::NotOwner => Self::NotOwner,
            DriveError::IsFolder => Self::IsFolder,
            DriveError::NotFolder => Self::NotFolder,
            DriveError::Invalid => Self::Invalid,
            DriveError::NoAttribute | DriveError::NotSupported => Self::NotSupported,
            DriveError::NameTooLong => Self::NameTooLong,
            DriveError::NoSpace => Self::NoSpace,
            DriveError::AlreadyExists => Self::Exists,
            DriveError::NotEmpty => Self::NotEmpty,
            DriveError::Elsewhere => Self::Elsewhere,
            DriveError::TooLarge => Self::TooLarge,
            // "Try later" of NFS, JUKEBOX, has clients try for ever, and programs wait as long.
            DriveError::Missing
            | DriveError::Unreachable
            | DriveError::TimedOut
            | DriveError::NotNow
            | DriveError::Busy
            | DriveError::TooManyOpen
            | DriveError::Interrupted
            | DriveError::Io => Self::Io,
        }
    }
}

pub(super) fn write_attributes(of: &Attributes, to: &mut Writer) {
    let kind = match of.kind {
        NodeKind::Folder => 2,
        NodeKind::File => 1,
        NodeKind::Symlink => 5,
    };
    to.number(kind).number(u32::from(of.permissions));
    // One name each, folders too: of one with two links, `find` would believe that no folder is in it.
    to.number(1).number(of.uid).number(of.gid);
    // How large it is, and how much room it takes.
    to.long(of.size).long(of.size);
    // It is no device; and all is of one file system.
    to.number(0).number(0).long(0);
    to.long(of.inode);
    for at in [of.modified, of.modified, of.changed] {
        let (seconds, nanoseconds) = time(at);
        to.number(seconds).number(nanoseconds);
    }
}

/// Times of NFS begin in 1970 and end in 2106.
pub(super) fn time(time: SystemTime) -> (u32, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    match u32::try_from(since.as_secs()) {
        Ok(seconds) => (seconds, since.subsec_nanos()),
        Err(_) => (u32::MAX, 0),
    }
}

fn read_time(from: &mut Reader) -> Result<NewTime, Garbage> {
    let (seconds, nanoseconds) = (from.number()?, from.number()?);
    // A client may send a billion nanoseconds and more.
    let since =
        Duration::from_secs(u64::from(seconds)) + Duration::from_nanos(u64::from(nanoseconds));
    Ok(NewTime::At(UNIX_EPOCH + since))
}

fn read_new_time(from: &mut Reader) -> Result<Option<NewTime>, Garbage> {
    match from.number()? {
        0 => Ok(None),
        1 => Ok(Some(NewTime::Now)),
        2 => read_time(from).map(Some),
        _ => Err(Garbage),
    }
}

/// What may be set of something: each behind whether it is.
pub(super) fn read_change(from: &mut Reader) -> Result<AttributeChange, Garbage> {
    let number = |from: &mut Reader| match from.flag()? {
        true => from.number().map(Some),
        false => Ok(None),
    };
    let mode = number(from)?;
    let (uid, gid) = (number(from)?, number(from)?);
    let size = match from.flag()? {
        true => Some(from.long()?),
        false => None,
    };
    Ok(AttributeChange {
        size,
        accessed: read_new_time(from)?,
        modified: read_new_time(from)?,
        // Higher bits are those of the kind of file.
        permissions: mode.map(|mode| (mode & 0o7777) as u16),
        uid,
        gid,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn times_stay_within_what_nfs_can_say() {
        let at_second = |seconds| time(UNIX_EPOCH + Duration::new(seconds, 5));
        assert_eq!(at_second(1_800_000_000), (1_800_000_000, 5));
        assert_eq!(at_second(1 << 40).0, u32::MAX);
        assert_eq!(time(UNIX_EPOCH - Duration::from_secs(5)), (0, 0));
        let mut odd = Writer::default();
        odd.number(u32::MAX).number(u32::MAX);
        let later = Duration::new(u64::from(u32::MAX) + 4, 294_967_295);
        let read = read_time(&mut Reader::new(odd.into_bytes().into()));
        assert_eq!(read.unwrap(), NewTime::At(UNIX_EPOCH + later));
    }

    #[test]
    fn what_is_to_be_set_is_read_in_its_order() {
        let mut to = Writer::default();
        to.flag(true).number(0o100_644).flag(false).flag(true);
        to.number(7).flag(true).long(9).number(1).number(2);
        to.number(5).number(6);
        let change = read_change(&mut Reader::new(to.into_bytes().into())).unwrap();
        assert_eq!(change.permissions, Some(0o644));
        assert_eq!(
            (change.uid, change.gid, change.size),
            (None, Some(7), Some(9))
        );
        assert_eq!(change.accessed, Some(NewTime::Now));
        let at = UNIX_EPOCH + Duration::new(5, 6);
        assert_eq!(change.modified, Some(NewTime::At(at)));
        let mut to = Writer::default();
        to.flag(false).flag(false).flag(false).flag(false).number(3);
        let odd = read_change(&mut Reader::new(to.into_bytes().into()));
        assert!(odd.is_err(), "there is no such way to set a time");
    }

    #[test]
    fn attributes_are_of_the_length_that_is_told() {
        let mut to = Writer::default();
        let attributes = Attributes {
            inode: 7,
            kind: NodeKind::File,
            size: 5,
            modified: UNIX_EPOCH,
            changed: UNIX_EPOCH,
            born: UNIX_EPOCH,
            permissions: 0o644,
            uid: 0,
            gid: 0,
        };
        write_attributes(&attributes, &mut to);
        assert_eq!(to.len(), ATTRIBUTES);
    }
}

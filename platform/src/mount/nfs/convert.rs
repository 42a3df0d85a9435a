//! Attributes, times and errors of the drive in the words of NFSv3 (RFC 1813).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nfsserve::nfs::{
    fattr3, ftype3, nfsstat3, nfstime3, sattr3, set_atime, set_gid3, set_mode3, set_mtime,
    set_size3, set_uid3, specdata3,
};

use crate::drive::{AttributeChange, Attributes, DriveError, NewTime, NodeKind};

/// The status that a client makes the errno of.
pub(super) fn status(error: DriveError) -> nfsstat3 {
    match error {
        DriveError::NotFound => nfsstat3::NFS3ERR_NOENT,
        // There is no ENOMEDIUM.
        DriveError::NoMedium => nfsstat3::NFS3ERR_NXIO,
        DriveError::Stale => nfsstat3::NFS3ERR_STALE,
        DriveError::ReadOnly => nfsstat3::NFS3ERR_ROFS,
        DriveError::NotPermitted => nfsstat3::NFS3ERR_ACCES,
        DriveError::IsFolder => nfsstat3::NFS3ERR_ISDIR,
        DriveError::NotFolder => nfsstat3::NFS3ERR_NOTDIR,
        DriveError::Invalid => nfsstat3::NFS3ERR_INVAL,
        DriveError::NoAttribute | DriveError::NotSupported => nfsstat3::NFS3ERR_NOTSUPP,
        DriveError::NameTooLong => nfsstat3::NFS3ERR_NAMETOOLONG,
        DriveError::NoSpace => nfsstat3::NFS3ERR_NOSPC,
        DriveError::AlreadyExists => nfsstat3::NFS3ERR_EXIST,
        DriveError::NotEmpty => nfsstat3::NFS3ERR_NOTEMPTY,
        DriveError::Elsewhere => nfsstat3::NFS3ERR_XDEV,
        DriveError::TooLarge => nfsstat3::NFS3ERR_FBIG,
        // NFS3ERR_JUKEBOX, "try later", has clients try for ever, and programs wait as long.
        DriveError::Missing
        | DriveError::Unreachable
        | DriveError::TimedOut
        | DriveError::NotNow
        | DriveError::Busy
        | DriveError::TooManyOpen
        | DriveError::Interrupted
        | DriveError::Io => nfsstat3::NFS3ERR_IO,
    }
}

pub(super) fn attributes(of: &Attributes) -> fattr3 {
    let (ftype, nlink) = match of.kind {
        NodeKind::Folder => (ftype3::NF3DIR, 2),
        NodeKind::File => (ftype3::NF3REG, 1),
        NodeKind::Symlink => (ftype3::NF3LNK, 1),
    };
    fattr3 {
        ftype,
        mode: u32::from(of.permissions),
        nlink,
        uid: of.uid,
        gid: of.gid,
        size: of.size,
        used: of.size,
        rdev: specdata3::default(),
        fsid: 0,
        fileid: of.inode,
        atime: time(of.modified),
        mtime: time(of.modified),
        ctime: time(of.changed),
    }
}

/// Times of NFS begin in 1970 and end in 2106.
fn time(time: SystemTime) -> nfstime3 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    match u32::try_from(since.as_secs()) {
        Ok(seconds) => nfstime3 {
            seconds,
            nseconds: since.subsec_nanos(),
        },
        Err(_) => nfstime3 {
            seconds: u32::MAX,
            nseconds: 0,
        },
    }
}

fn at(time: nfstime3) -> NewTime {
    // A client may send a billion nanoseconds and more.
    let since = Duration::from_secs(u64::from(time.seconds))
        + Duration::from_nanos(u64::from(time.nseconds));
    NewTime::At(UNIX_EPOCH + since)
}

pub(super) fn change(wanted: &sattr3) -> AttributeChange {
    AttributeChange {
        size: match wanted.size {
            set_size3::size(size) => Some(size),
            set_size3::Void => None,
        },
        accessed: match wanted.atime {
            set_atime::DONT_CHANGE => None,
            set_atime::SET_TO_SERVER_TIME => Some(NewTime::Now),
            set_atime::SET_TO_CLIENT_TIME(time) => Some(at(time)),
        },
        modified: match wanted.mtime {
            set_mtime::DONT_CHANGE => None,
            set_mtime::SET_TO_SERVER_TIME => Some(NewTime::Now),
            set_mtime::SET_TO_CLIENT_TIME(time) => Some(at(time)),
        },
        permissions: match wanted.mode {
            // Higher bits are those of the kind of file.
            set_mode3::mode(mode) => Some((mode & 0o7777) as u16),
            set_mode3::Void => None,
        },
        uid: match wanted.uid {
            set_uid3::uid(uid) => Some(uid),
            set_uid3::Void => None,
        },
        gid: match wanted.gid {
            set_gid3::gid(gid) => Some(gid),
            set_gid3::Void => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_within_what_nfs_can_say() {
        let at_second = |seconds| time(UNIX_EPOCH + Duration::new(seconds, 5));
        let told = at_second(1_800_000_000);
        assert_eq!((told.seconds, told.nseconds), (1_800_000_000, 5));
        assert_eq!(at_second(1 << 40).seconds, u32::MAX);
        let before = time(UNIX_EPOCH - Duration::from_secs(5));
        assert_eq!((before.seconds, before.nseconds), (0, 0));
        let odd = nfstime3 {
            seconds: u32::MAX,
            nseconds: u32::MAX,
        };
        let later = Duration::new(u64::from(u32::MAX) + 4, 294_967_295);
        assert_eq!(at(odd), NewTime::At(UNIX_EPOCH + later));
    }
}

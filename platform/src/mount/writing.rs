//! What the adapter needs for writing: the kernel's times and modes as the drive knows them, and replies without content.

use fuser::{Errno, INodeNo, RenameFlags, ReplyEmpty, Request, TimeOrNow};

use super::adapter::{Adapter, requester};
use super::errno;
use crate::drive::{Allocation, DriveError, Fill, Making, NewTime, NodeId, OpenMode, Replacing};

impl Adapter {
    /// May this requester change the content of this node?
    pub(super) fn may_write(&self, node: INodeNo, req: &Request) -> bool {
        let by = requester(req);
        self.ask(|drive| Ok(drive.may_write(NodeId(node.0), &by)))
            .unwrap_or(false)
    }

    /// macOS keeps attributes in a file beside this one, `._NAME`, wherever it is told that there are none here: what a
    /// program sets where it may write it finds there again.
    pub(super) fn system_keeps_xattrs(&self, node: INodeNo, req: &Request) -> bool {
        cfg!(target_os = "macos") && self.may_write(node, req)
    }

    /// What who would set an attribute is answered with: programs that copy do without where they hear that there are
    /// none.
    pub(super) fn no_xattr(&self, node: INodeNo, req: &Request) -> Errno {
        if self.may_write(node, req) {
            errno::of(DriveError::NotSupported)
        } else {
            self.refusal(node, req)
        }
    }
}

/// Replies that it is done, or why not.
pub(super) fn finish(done: Result<(), DriveError>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno::of(error)),
    }
}

/// A time that is to be set.
pub(super) fn new_time(time: TimeOrNow) -> NewTime {
    match time {
        TimeOrNow::Now => NewTime::Now,
        TimeOrNow::SpecificTime(time) => NewTime::At(time),
    }
}

/// The permissions of what is made.
pub(super) fn permissions(mode: u32, umask: u32) -> u16 {
    // Higher bits are those of the kind of file.
    (mode & !umask & 0o7777) as u16
}

/// What a `create` asks for.
pub(super) fn making(mode: u32, umask: u32, flags: i32) -> Making {
    let access = flags & libc::O_ACCMODE;
    Making {
        permissions: permissions(mode, umask),
        mode: OpenMode {
            read: access != libc::O_WRONLY,
            write: access != libc::O_RDONLY,
            truncate: flags & libc::O_TRUNC != 0,
            traceless: false,
        },
        exclusive: flags & libc::O_EXCL != 0,
    }
}

/// What a rename may do; `None` where the drive has no word for it.
pub(super) fn replacing(flags: RenameFlags) -> Option<Replacing> {
    match flags {
        _ if flags.is_empty() => Some(Replacing::Replace),
        #[cfg(target_os = "linux")]
        RenameFlags::RENAME_NOREPLACE => Some(Replacing::Keep),
        #[cfg(target_os = "linux")]
        RenameFlags::RENAME_EXCHANGE => Some(Replacing::Exchange),
        _ => None,
    }
}

/// What a mode of `fallocate` asks for; `None` for what the drive has no word for.
pub(super) fn allocation(offset: u64, length: u64, mode: i32) -> Option<Allocation> {
    const KEEP_SIZE: i32 = 0x01;
    const PUNCH_HOLE: i32 = 0x02;
    const ZERO_RANGE: i32 = 0x10;
    let fill = match mode & !KEEP_SIZE {
        0 => Fill::Kept,
        PUNCH_HOLE => Fill::Hole,
        ZERO_RANGE => Fill::Zeros,
        _ => return None,
    };
    Some(Allocation {
        offset,
        length,
        keep_size: mode & KEEP_SIZE != 0,
        fill,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_fallocate_are_understood_or_refused() {
        let fill = |mode| allocation(1, 2, mode).map(|a| (a.fill, a.keep_size));
        assert_eq!(fill(0), Some((Fill::Kept, false)));
        assert_eq!(fill(1), Some((Fill::Kept, true)));
        assert_eq!(fill(3), Some((Fill::Hole, true)));
        assert_eq!(fill(0x10), Some((Fill::Zeros, false)));
        assert_eq!(fill(0x11), Some((Fill::Zeros, true)));
        // COLLAPSE_RANGE and INSERT_RANGE.
        assert_eq!((fill(0x08), fill(0x20)), (None, None));
    }
}

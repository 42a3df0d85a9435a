//! Listings: the drive's entries into the kernel's buffers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use fuser::{Errno, INodeNo, ReplyDirectory, Request};

use super::adapter::{Adapter, LONGEST_NAME, requester};
use super::attr::file_type;
use super::errno;
use super::listing::{Position, offset_behind, position};
use crate::drive::NodeId;

/// A name the kernel takes in a listing: it refuses a whole listing for one bad name.
pub(super) fn fit_for_listing(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    let fits = !bytes.is_empty()
        && bytes.len() <= LONGEST_NAME
        && !bytes.iter().any(|byte| matches!(byte, 0 | b'/'));
    if !fits {
        tracing::warn!(
            ?name,
            "a name that no program can use is left out of a listing"
        );
    }
    fits
}

impl Adapter {
    /// One part of a plain listing.
    pub(super) fn list(&self, req: &Request, ino: INodeNo, offset: u64, mut reply: ReplyDirectory) {
        let folder = NodeId(ino.0);
        let by = requester(req);
        let Position {
            after_dot,
            after_dot_dot,
            cursor,
        } = position(offset);
        let folder_type = fuser::FileType::Directory;
        if !after_dot && reply.add(ino, 1, folder_type, ".") {
            return reply.ok();
        }
        if !after_dot_dot {
            match self.ask(|drive| drive.parent(folder)) {
                Err(error) => return reply.error(errno::of(error)),
                Ok(parent) if reply.add(INodeNo(parent.0), 2, folder_type, "..") => {
                    return reply.ok();
                }
                Ok(_) => {}
            }
        }
        let mut broken = false;
        let mut given = 0_usize;
        let listed = self.ask(|drive| {
            drive.list(folder, cursor, false, &by, &mut |listed| {
                let Some(behind) = offset_behind(listed.cursor) else {
                    broken = true;
                    return false;
                };
                if !fit_for_listing(&listed.name) {
                    return true;
                }
                let full = reply.add(
                    INodeNo(listed.inode),
                    behind,
                    file_type(listed.kind),
                    &listed.name,
                );
                given += usize::from(!full);
                !full
            })
        });
        match listed {
            Err(error) => reply.error(errno::of(error)),
            Ok(()) if broken && given == 0 => reply.error(Errno::EIO),
            Ok(()) => reply.ok(),
        }
    }

    /// One part of a listing with entries: through the library as long as it can say them, else raw.
    #[cfg(target_os = "linux")]
    pub(super) fn list_with_entries(
        &self,
        req: &Request,
        ino: INodeNo,
        offset: u64,
        mut reply: fuser::ReplyDirectoryPlus,
    ) {
        use std::os::fd::AsFd;

        use super::listing_plus::{Part, dots};

        let folder = NodeId(ino.0);
        let by = requester(req);
        let at = position(offset);
        let dots = match self.ask(|drive| dots(drive, folder, at)) {
            Ok(dots) => dots,
            Err(error) => return reply.error(errno::of(error)),
        };
        let mut part = Part::new(dots);
        let mut broken = false;
        let mut given = 0_usize;
        let listed = self.ask(|drive| {
            drive.list(folder, at.cursor, true, &by, &mut |listed| {
                let Some(behind) = offset_behind(listed.cursor) else {
                    broken = true;
                    return false;
                };
                if !fit_for_listing(&listed.name) {
                    // Taken, as far as the drive is concerned, but the kernel will never forget it.
                    if let Some(entry) = &listed.entry {
                        drive.forget(entry.node, 1);
                    }
                    return true;
                }
                let taken = part.add(&listed, behind, &mut reply);
                given += usize::from(taken);
                taken
            })
        });
        match listed {
            Err(error) => reply.error(errno::of(error)),
            Ok(()) if broken && given == 0 => reply.error(Errno::EIO),
            Ok(()) => part.send(self.device.as_fd(), req.unique().0, reply),
        }
    }
}

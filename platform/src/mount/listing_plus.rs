//! One answer to `readdirplus`: which of its entries the library can send, and which are sent raw.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use fuser::{Errno, Generation, INodeNo, ReplyDirectoryPlus};

use super::attr::file_attr;
use super::listing::{Position, RawListing, plain_for_library};
use crate::drive::{Attributes, Cursor, Drive, DriveError, Listed, NodeId, NodeKind};

/// `.` and `..`, as far as they have not been given yet, with their offsets. The kernel takes neither of
/// them for a look-up.
pub(super) fn dots(
    drive: &dyn Drive,
    folder: NodeId,
    at: Position,
) -> Result<Vec<(Listed, u64)>, DriveError> {
    let dot = |name: &str, node: NodeId| Listed {
        name: OsString::from(name),
        cursor: Cursor(0),
        inode: node.0,
        kind: NodeKind::Folder,
        entry: None,
    };
    let mut dots = Vec::new();
    if !at.after_dot {
        dots.push((dot(".", folder), 1));
    }
    if !at.after_dot_dot {
        dots.push((dot("..", drive.parent(folder)?), 2));
    }
    Ok(dots)
}

enum Way {
    Undecided,
    Library,
    Raw(RawListing),
}

/// An answer that is being filled. Its first real entry decides the way of all.
pub(super) struct Part {
    dots: Vec<(Listed, u64)>,
    way: Way,
}

impl Part {
    pub(super) fn new(dots: Vec<(Listed, u64)>) -> Self {
        Self {
            dots,
            way: Way::Undecided,
        }
    }

    /// Adds an entry; `false` if it has to wait for the next answer.
    pub(super) fn add(
        &mut self,
        listed: &Listed,
        behind: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> bool {
        let plain = plain_for_library(listed);
        if matches!(self.way, Way::Undecided) {
            if plain.is_some() {
                self.way = Way::Library;
                if !self.add_dots_to(reply) {
                    return false;
                }
            } else {
                let mut raw = RawListing::new();
                // Two short entries fit into an empty buffer.
                for (dot, behind) in &self.dots {
                    raw.add(dot, *behind);
                }
                self.way = Way::Raw(raw);
            }
        }
        match (&mut self.way, plain) {
            (Way::Raw(raw), _) => raw.add(listed, behind),
            (_, Some(entry)) => {
                let attr = file_attr(&entry.attributes);
                !reply.add(
                    attr.ino,
                    behind,
                    &listed.name,
                    &entry.entry_ttl,
                    &attr,
                    Generation(0),
                )
            }
            (_, None) => false,
        }
    }

    fn add_dots_to(&self, reply: &mut ReplyDirectoryPlus) -> bool {
        self.dots.iter().all(|(dot, behind)| {
            let epoch = std::time::SystemTime::UNIX_EPOCH;
            // The kernel looks at nothing but the name, the number and the sort.
            let attr = file_attr(&Attributes {
                inode: dot.inode,
                kind: NodeKind::Folder,
                size: 0,
                modified: epoch,
                changed: epoch,
                born: epoch,
                permissions: 0o555,
                uid: 0,
                gid: 0,
            });
            !reply.add(
                INodeNo(dot.inode),
                *behind,
                &dot.name,
                &Duration::ZERO,
                &attr,
                Generation(0),
            )
        })
    }

    /// Sends the answer.
    pub(super) fn send(self, device: BorrowedFd<'_>, unique: u64, mut reply: ReplyDirectoryPlus) {
        match &self.way {
            Way::Library => reply.ok(),
            Way::Undecided => {
                // A part without any entry: at most the dots, which fit into any buffer.
                self.add_dots_to(&mut reply);
                reply.ok();
            }
            Way::Raw(_) => {
                let Way::Raw(raw) = self.way else { return };
                match raw.send(device, unique) {
                    // The request is answered. The library's reply must not answer it again, and holds
                    // nothing but a count on the device, which so stays open until the process ends.
                    Ok(()) => std::mem::forget(reply),
                    Err(error) => {
                        tracing::debug!(%error, "a listing could not be sent");
                        reply.error(Errno::EIO);
                    }
                }
            }
        }
    }
}

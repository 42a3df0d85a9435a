//! From the drive's [`Attributes`] to those of the library.

use std::time::Duration;

use fuser::{FileAttr, FileType, INodeNo};

use crate::drive::{Attributes, Entry, NodeKind};

/// What `st_blksize` says: the size programs like to read in.
const PREFERRED_READ: u32 = 128 * 1024;

/// The sort of a node.
pub(super) fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::Folder => FileType::Directory,
        NodeKind::File => FileType::RegularFile,
        NodeKind::Symlink => FileType::Symlink,
    }
}

/// The attributes with their own inode number. One link always: with more, `cp -a` and `tar` would make hard
/// links of files that are none.
pub(super) fn file_attr(attributes: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(attributes.inode),
        size: attributes.size,
        blocks: attributes.size.div_ceil(512),
        atime: attributes.modified,
        mtime: attributes.modified,
        ctime: attributes.changed,
        crtime: attributes.born,
        kind: file_type(attributes.kind),
        perm: attributes.permissions & 0o7777,
        nlink: 1,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: 0,
        blksize: PREFERRED_READ,
        flags: 0,
    }
}

/// An entry as the library sends it: it writes one number as node id and as inode number, so it has to be the
/// node id, and where the inode number is another the kernel must ask for the attributes before it shows them.
pub(super) fn entry_attr(entry: &Entry) -> (FileAttr, Duration) {
    let mut attr = file_attr(&entry.attributes);
    if entry.attributes.inode == entry.node.0 {
        (attr, entry.attribute_ttl)
    } else {
        attr.ino = INodeNo(entry.node.0);
        (attr, Duration::ZERO)
    }
}

//! What the drive tells of changes, kept as times of folders: nobody can tell a client, but each asks what its folders' times
//! are before it believes what it keeps of their names.
//!
//! A name that leads elsewhere changes nothing about its folder on a disk, so without this a client would lead to what was
//! there before for as long as that answers.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::time::SystemTime;

use lru::LruCache;
use parking_lot::Mutex;

use crate::drive::{Attributes, Invalidate, NodeId, NodeKind};

/// Folders whose changes are remembered. A time that falls back is a change to clients as well.
const FOLDERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

/// When each folder was last told of.
pub(super) struct Told(Mutex<LruCache<NodeId, SystemTime>>);

impl Told {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(FOLDERS)))
    }

    /// A folder's attributes, changed when the drive last told of it if that is later.
    pub(super) fn of(&self, node: NodeId, mut attributes: Attributes) -> Attributes {
        if attributes.kind == NodeKind::Folder
            && let Some(told) = self.0.lock().peek(&node)
        {
            // Linux goes by the one, macOS by the other.
            attributes.changed = attributes.changed.max(*told);
            attributes.modified = attributes.modified.max(*told);
        }
        attributes
    }
}

impl Invalidate for Told {
    fn entry(&self, parent: NodeId, _: &OsStr) {
        self.listing(parent);
    }

    fn listing(&self, folder: NodeId) {
        self.0.lock().push(folder, SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_folder_has_changed_when_a_name_in_it_has() {
        let attributes = |kind| Attributes {
            inode: 7,
            kind,
            size: 0,
            modified: UNIX_EPOCH,
            changed: UNIX_EPOCH,
            born: UNIX_EPOCH,
            permissions: 0o755,
            uid: 0,
            gid: 0,
        };
        let told = Told::new();
        let (folder, other) = (NodeId(7), NodeId(8));
        let before = SystemTime::now();
        told.entry(folder, OsStr::new("a.wav"));
        let shown = told.of(folder, attributes(NodeKind::Folder));
        assert!(shown.modified >= before && shown.changed == shown.modified);
        let shown = told.of(other, attributes(NodeKind::Folder));
        assert_eq!(shown.modified, UNIX_EPOCH, "another has not");
        let shown = told.of(folder, attributes(NodeKind::File));
        assert_eq!(shown.modified, UNIX_EPOCH, "times of files are true");
        std::thread::sleep(Duration::from_millis(2));
        let first = told.of(folder, attributes(NodeKind::Folder)).changed;
        told.listing(folder);
        assert!(told.of(folder, attributes(NodeKind::Folder)).changed > first);
    }
}

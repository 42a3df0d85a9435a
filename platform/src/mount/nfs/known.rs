//! What clients were told of: nodes, whose look-ups the drive counts, and where listings can be taken up again.
//!
//! NFS never says that a client has forgotten a node, so the longest unused ones are taken for forgotten. A client that
//! comes back with one is told that it is stale where the drive has no number for it any more, and looks its name up again.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use lru::LruCache;

use crate::drive::{Cursor, Drive, NodeId};

/// Nodes that are counted as known.
const NODES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// Folders of which is known what comes behind which entry.
const FOLDERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// The tables.
pub(super) struct Known {
    /// How many look-ups of each were answered.
    nodes: LruCache<NodeId, u64>,
    /// The position behind each entry: NFS knows but the number of the entry that a page ended with.
    listings: LruCache<NodeId, HashMap<NodeId, Cursor>>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            nodes: LruCache::new(NODES),
            listings: LruCache::new(FOLDERS),
        }
    }

    /// One look-up of a node was answered.
    pub(super) fn looked_up(&mut self, node: NodeId, drive: &dyn Drive) {
        if let Some(count) = self.nodes.get_mut(&node) {
            *count += 1;
        } else if let Some((forgotten, count)) = self.nodes.push(node, 1) {
            drive.forget(forgotten, count);
        }
    }

    /// A client has used a node.
    pub(super) fn used(&mut self, node: NodeId) {
        self.nodes.promote(&node);
    }

    /// A listing of a folder goes on at `cursor` behind `entry`.
    pub(super) fn listed(&mut self, folder: NodeId, entry: NodeId, cursor: Cursor) {
        let behind = self.listings.get_or_insert_mut(folder, HashMap::new);
        behind.insert(entry, cursor);
    }

    /// A listing of a folder begins anew.
    pub(super) fn begun(&mut self, folder: NodeId) {
        self.listings.pop(&folder);
    }

    /// Where the listing goes on behind an entry, if that is still known.
    pub(super) fn behind(&mut self, folder: NodeId, entry: NodeId) -> Option<Cursor> {
        self.listings.get(&folder)?.get(&entry).copied()
    }
}

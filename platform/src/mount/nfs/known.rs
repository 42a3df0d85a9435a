//! What clients were told of: nodes, whose look-ups the drive counts.
//!
//! NFS never says that a client has forgotten a node, so the longest unused ones are taken for forgotten. A client that
//! comes back with one is told that it is stale where the drive has no number for it any more, and looks its name up again.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::drive::{Drive, NodeId};

/// Nodes that are counted as known.
const NODES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

/// How many look-ups of each were answered.
pub(super) struct Known(LruCache<NodeId, u64>);

impl Known {
    pub(super) fn new() -> Self {
        Self(LruCache::new(NODES))
    }

    /// One look-up of a node was answered.
    pub(super) fn looked_up(&mut self, node: NodeId, drive: &dyn Drive) {
        if let Some(count) = self.0.get_mut(&node) {
            *count += 1;
        } else if let Some((forgotten, count)) = self.0.push(node, 1) {
            drive.forget(forgotten, count);
        }
    }

    /// No client comes back with a node.
    pub(super) fn forget(&mut self, node: NodeId, drive: &dyn Drive) {
        if let Some(count) = self.0.pop(&node) {
            drive.forget(node, count);
        }
    }

    /// A client has used a node.
    pub(super) fn used(&mut self, node: NodeId) {
        self.0.promote(&node);
    }
}

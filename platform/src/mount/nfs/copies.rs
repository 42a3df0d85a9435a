//! Nodes whose first change has made a copy of them, which is another node: to clients the copy is what was there before.
//!
//! A kernel that is told of that by `Stale` looks the name up again, and finds the copy. A client of NFS passes the error on to
//! the program, which has the file open and knows of nothing. So the file handle that it has leads to the copy from then on,
//! and the copy has that handle and the number that was told with it.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

use crate::drive::NodeId;

/// How many are remembered. A client is told `Stale` of a file handle that is not.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

/// Who was copied, and what the inode's number was that clients were told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Original {
    pub(super) node: NodeId,
    pub(super) inode: u64,
}

struct Table {
    of: LruCache<NodeId, NodeId>,
    originals: LruCache<NodeId, Original>,
}

/// Copies by originals, and the other way round.
pub(super) struct Copies(Mutex<Table>);

impl Copies {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Table {
            of: LruCache::new(MOST),
            originals: LruCache::new(MOST),
        }))
    }

    /// `copy` is what `original` is for clients from now on.
    pub(super) fn add(&self, original: Original, copy: NodeId) {
        let mut table = self.0.lock();
        // Of the copy of a copy, clients know the first.
        let original = table.originals.pop(&original.node).unwrap_or(original);
        table.of.push(original.node, copy);
        table.originals.push(copy, original);
    }

    /// What a client's handle of `node` leads to.
    pub(super) fn lead(&self, node: NodeId) -> NodeId {
        self.0.lock().of.peek(&node).copied().unwrap_or(node)
    }

    /// As what clients know `node`, where that is a copy.
    pub(super) fn original(&self, node: NodeId) -> Option<Original> {
        self.0.lock().originals.peek(&node).copied()
    }

    /// A name leads to a node: it is no copied one any more.
    pub(super) fn is_itself(&self, node: NodeId) {
        let mut table = self.0.lock();
        if let Some(copy) = table.of.pop(&node) {
            table.originals.pop(&copy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_what_it_was_made_of() {
        let copies = Copies::new();
        let original = Original {
            node: NodeId(7),
            inode: 70,
        };
        assert_eq!(copies.lead(NodeId(7)), NodeId(7));
        copies.add(original, NodeId(8));
        assert_eq!(copies.lead(NodeId(7)), NodeId(8));
        assert_eq!(copies.lead(NodeId(8)), NodeId(8));
        assert_eq!(copies.original(NodeId(8)), Some(original));
        // A copy of the copy.
        let middle = Original {
            node: NodeId(8),
            inode: 80,
        };
        copies.add(middle, NodeId(9));
        assert_eq!(copies.lead(NodeId(7)), NodeId(9));
        assert_eq!(copies.original(NodeId(9)), Some(original));
        copies.is_itself(NodeId(7));
        assert_eq!(copies.lead(NodeId(7)), NodeId(7));
        assert_eq!(copies.original(NodeId(9)), None);
    }
}

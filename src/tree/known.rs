//! What the kernel knows: which names were answered for an item, and how many look-ups it has not forgotten.
//!
//! Filled by look-ups and listings, emptied by forgets; read when an item's content is swapped, to tell the kernel
//! which names lead elsewhere now. Beside it the item's source is kept, so that opening it again asks no catalog.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use mediafs_platform::drive::NodeId;
use parking_lot::Mutex;

use super::source::Source;

/// What names are recorded for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Subject {
    /// An item, in every face, generation and view.
    Item(u32),
    /// A library file that is no item.
    Place(u32),
}

#[derive(Default)]
struct Known {
    /// Nodes of the subject that the kernel holds, each with its look-ups.
    nodes: Vec<(NodeId, u64)>,
    /// Names that led to one of them.
    names: Vec<(NodeId, Box<OsStr>)>,
    source: Option<Arc<Source>>,
}

const SHARDS: usize = 16;

/// Everything the kernel knows of items and places.
#[derive(Default)]
pub(super) struct KnownTable {
    shards: [Mutex<HashMap<Subject, Known>>; SHARDS],
}

impl KnownTable {
    fn shard(&self, subject: Subject) -> &Mutex<HashMap<Subject, Known>> {
        let (Subject::Item(row) | Subject::Place(row)) = subject;
        &self.shards[row as usize % SHARDS]
    }

    /// Counts a look-up of `node`, answered for `name` in `parent`.
    pub(super) fn answered(&self, subject: Subject, node: NodeId, parent: NodeId, name: &OsStr) {
        let mut shard = self.shard(subject).lock();
        let known = shard.entry(subject).or_default();
        match known.nodes.iter_mut().find(|(n, _)| *n == node) {
            Some((_, lookups)) => *lookups += 1,
            None => known.nodes.push((node, 1)),
        }
        if !known
            .names
            .iter()
            .any(|(p, n)| *p == parent && **n == *name)
        {
            known.names.push((parent, name.into()));
        }
    }

    /// The kernel has dropped `count` look-ups.
    pub(super) fn forget(&self, subject: Subject, node: NodeId, count: u64) {
        let mut shard = self.shard(subject).lock();
        let Some(known) = shard.get_mut(&subject) else {
            return;
        };
        if let Some(at) = known.nodes.iter().position(|(n, _)| *n == node) {
            let left = known.nodes[at].1.saturating_sub(count);
            if left == 0 {
                known.nodes.swap_remove(at);
            } else {
                known.nodes[at].1 = left;
            }
        }
        if known.nodes.is_empty() {
            shard.remove(&subject);
        }
    }

    /// Every name that was answered for the subject. Its source is dropped: it is looked up again.
    pub(super) fn swapped(&self, subject: Subject) -> Vec<(NodeId, OsString)> {
        let mut shard = self.shard(subject).lock();
        let Some(known) = shard.get_mut(&subject) else {
            return Vec::new();
        };
        known.source = None;
        known
            .names
            .iter()
            .map(|(parent, name)| (*parent, name.to_os_string()))
            .collect()
    }

    pub(super) fn source(&self, subject: Subject) -> Option<Arc<Source>> {
        self.shard(subject).lock().get(&subject)?.source.clone()
    }

    pub(super) fn set_source(&self, subject: Subject, source: Option<Arc<Source>>) {
        if let Some(known) = self.shard(subject).lock().get_mut(&subject) {
            known.source = source;
        }
    }

    /// How many subjects the kernel knows.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_live_as_long_as_a_node_is_known() {
        let table = KnownTable::default();
        let (subject, parent) = (Subject::Item(7), NodeId(4));
        let (bytes, silence) = (NodeId(100), NodeId(101));
        table.answered(subject, bytes, parent, OsStr::new("a.wav"));
        table.answered(subject, bytes, parent, OsStr::new("a.wav"));
        table.answered(subject, silence, parent, OsStr::new("b.wav"));
        assert_eq!(table.swapped(subject).len(), 2);
        table.forget(subject, bytes, 2);
        assert_eq!(
            table.swapped(subject).len(),
            2,
            "the silence node is still known"
        );
        table.forget(subject, silence, 1);
        assert!(table.swapped(subject).is_empty());
        assert_eq!(table.len(), 0);
        table.forget(subject, silence, 1);
    }
}

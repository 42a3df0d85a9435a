//! What the kernel knows: which names were answered for an item, and how many look-ups it has not forgotten.
//!
//! Filled by look-ups and listings, emptied by forgets; read when an item's content is swapped, to tell the kernel
//! which names lead elsewhere now. Beside it the sources of the items that were opened last are kept, so that opening
//! them again asks no catalog. There is an entry for each file that was ever listed and that the kernel has not
//! forgotten: so an entry is small, and only what is rare costs more.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use mediafs_platform::drive::NodeId;
use mediafs_platform::limits::shrink_sparse;
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

/// A node that the kernel holds, with its look-ups.
#[derive(Clone, Copy)]
struct Held {
    node: NodeId,
    lookups: u64,
}

/// A subject: nearly all have one node, and one name that led to it.
struct Known {
    held: Held,
    parent: NodeId,
    name: Box<OsStr>,
    more: Option<Box<More>>,
    source: Option<Arc<Source>>,
}

/// The other nodes and names of a subject: behind each further door it has one of each, and the name is the same.
#[derive(Default)]
struct More {
    held: Vec<Held>,
    named: Vec<(NodeId, Option<Box<OsStr>>)>,
}

impl Known {
    fn answered(&mut self, node: NodeId, parent: NodeId, name: &OsStr) {
        let held = self.held_mut().find(|held| held.node == node);
        let held = held.map(|held| held.lookups += 1);
        if held.is_none() {
            let more = self.more.get_or_insert_default();
            // There are hardly ever more than a few.
            more.held.reserve_exact(1);
            more.held.push(Held { node, lookups: 1 });
        }
        if !self.names().any(|known| known == (parent, name)) {
            let other = (*name != *self.name).then(|| name.into());
            let more = self.more.get_or_insert_default();
            more.named.reserve_exact(1);
            more.named.push((parent, other));
        }
    }

    /// Drops look-ups of a node; `false` when no node is left.
    fn forget(&mut self, node: NodeId, count: u64) -> bool {
        if let Some(held) = self.held_mut().find(|held| held.node == node) {
            held.lookups = held.lookups.saturating_sub(count);
        }
        if let Some(more) = &mut self.more {
            more.held.retain(|held| held.lookups > 0);
            if self.held.lookups == 0
                && let Some(other) = more.held.pop()
            {
                self.held = other;
            }
        }
        self.held.lookups > 0
    }

    fn held_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        let more = self.more.iter_mut().flat_map(|more| &mut more.held);
        std::iter::once(&mut self.held).chain(more)
    }

    fn names(&self) -> impl Iterator<Item = (NodeId, &OsStr)> {
        let more = self.more.iter().flat_map(|more| &more.named);
        let more = more.map(|(parent, name)| (*parent, name.as_deref().unwrap_or(&self.name)));
        std::iter::once((self.parent, &*self.name)).chain(more)
    }
}

const SHARDS: usize = 16;
/// Sources that are kept, of each shard. More sounds than all of them are opened by copying, but not again and again.
const SOURCES: usize = 512;

#[derive(Default)]
struct Shard {
    known: HashMap<Subject, Known>,
    /// Subjects whose source is kept, oldest first; some of them may have lost it meanwhile.
    sources: VecDeque<Subject>,
}

/// Everything the kernel knows of items and places.
#[derive(Default)]
pub(super) struct KnownTable {
    shards: [Mutex<Shard>; SHARDS],
}

impl KnownTable {
    fn shard(&self, subject: Subject) -> &Mutex<Shard> {
        let (Subject::Item(row) | Subject::Place(row)) = subject;
        &self.shards[row as usize % SHARDS]
    }

    /// Counts a look-up of `node`, answered for `name` in `parent`.
    pub(super) fn answered(&self, subject: Subject, node: NodeId, parent: NodeId, name: &OsStr) {
        let mut shard = self.shard(subject).lock();
        match shard.known.get_mut(&subject) {
            Some(known) => known.answered(node, parent, name),
            None => {
                let known = Known {
                    held: Held { node, lookups: 1 },
                    parent,
                    name: name.into(),
                    more: None,
                    source: None,
                };
                shard.known.insert(subject, known);
            }
        }
    }

    /// The kernel has dropped `count` look-ups.
    pub(super) fn forget(&self, subject: Subject, node: NodeId, count: u64) {
        let mut shard = self.shard(subject).lock();
        if let Some(known) = shard.known.get_mut(&subject)
            && !known.forget(node, count)
        {
            shard.known.remove(&subject);
            shrink_sparse(&mut shard.known);
        }
    }

    /// Every name that was answered for the subject. Its source is dropped: it is looked up again.
    pub(super) fn swapped(&self, subject: Subject) -> Vec<(NodeId, OsString)> {
        let mut shard = self.shard(subject).lock();
        let Some(known) = shard.known.get_mut(&subject) else {
            return Vec::new();
        };
        known.source = None;
        known
            .names()
            .map(|(parent, name)| (parent, name.to_os_string()))
            .collect()
    }

    pub(super) fn source(&self, subject: Subject) -> Option<Arc<Source>> {
        self.shard(subject)
            .lock()
            .known
            .get(&subject)?
            .source
            .clone()
    }

    /// Keeps a source, while the kernel knows the subject, until many others were kept after it.
    pub(super) fn set_source(&self, subject: Subject, source: Option<Arc<Source>>) {
        let mut shard = self.shard(subject).lock();
        let Shard { known, sources } = &mut *shard;
        let Some(entry) = known.get_mut(&subject) else {
            return;
        };
        let came = source.is_some();
        entry.source = source;
        if !came {
            return;
        }
        sources.push_back(subject);
        if sources.len() > SOURCES
            && let Some(oldest) = sources.pop_front()
            && oldest != subject
            && let Some(entry) = known.get_mut(&oldest)
        {
            entry.source = None;
        }
    }

    /// How many subjects the kernel knows.
    pub(super) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().known.len())
            .sum()
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

    #[test]
    fn every_name_is_told_behind_each_door() {
        let table = KnownTable::default();
        let subject = Subject::Item(7);
        let answered = [
            (1, "a.wav"),
            (2, "a.wav"),
            (2, "b.wav"),
            (3, "b.wav"),
            (3, "a.wav"),
        ]
        .map(|(parent, name)| (NodeId(parent), OsString::from(name)));
        for (parent, name) in answered.iter().chain(&answered) {
            table.answered(subject, NodeId(100 + parent.0), *parent, name);
        }
        let mut told = table.swapped(subject);
        let mut expected = answered.to_vec();
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
    }

    #[test]
    fn each_node_is_held_until_its_own_last_look_up_is_dropped() {
        let table = KnownTable::default();
        let (subject, parent) = (Subject::Place(7), NodeId(4));
        let nodes = [100, 101, 102].map(NodeId);
        for (times, node) in (1..).zip(nodes) {
            for _ in 0..times {
                table.answered(subject, node, parent, OsStr::new("a.wav"));
            }
        }
        // The first one is the one that an entry holds by itself.
        table.forget(subject, nodes[0], 1);
        table.forget(subject, nodes[2], 2);
        assert_eq!(table.len(), 1);
        table.forget(subject, nodes[1], 2);
        assert_eq!(table.len(), 1);
        table.forget(subject, nodes[2], 1);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn sources_of_what_was_opened_long_ago_are_let_go() {
        let table = KnownTable::default();
        // Of one shard.
        let subjects = (0..)
            .map(|n| Subject::Item(n * 16))
            .take(SOURCES + 10)
            .collect::<Vec<_>>();
        for subject in &subjects {
            table.answered(*subject, NodeId(9), NodeId(4), OsStr::new("a.wav"));
            table.set_source(*subject, Some(Arc::new(Source::of_nothing())));
        }
        let kept = subjects.iter().filter(|s| table.source(**s).is_some());
        assert_eq!(kept.count(), SOURCES);
        assert!(table.source(subjects[9]).is_none());
        assert!(table.source(subjects[10]).is_some());
    }
}

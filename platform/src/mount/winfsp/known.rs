//! What programs were told of: nodes, whose look-ups the drive counts, with the names that led to them.
//!
//! Windows never says that it has forgotten a node, so the longest unused ones are taken for forgotten.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::names;
use crate::drive::{Drive, NodeId};

/// Nodes that are counted as known.
const NODES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// No folder is deeper.
const DEEPEST: usize = 512;

struct Seen {
    /// How many look-ups of it were answered.
    count: u64,
    /// What led to it last.
    parent: NodeId,
    name: Box<[u16]>,
}

/// The nodes that programs know.
pub(super) struct Known {
    nodes: LruCache<NodeId, Seen>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            nodes: LruCache::new(NODES),
        }
    }

    /// A look-up of `name` (as shown) in `parent` was answered with a node.
    pub(super) fn looked_up(
        &mut self,
        node: NodeId,
        parent: NodeId,
        name: &[u16],
        drive: &dyn Drive,
    ) {
        if let Some(seen) = self.nodes.get_mut(&node) {
            seen.count += 1;
            seen.parent = parent;
            if *seen.name != *name {
                seen.name = name.into();
            }
            return;
        }
        let seen = Seen {
            count: 1,
            parent,
            name: name.into(),
        };
        if let Some((forgotten, seen)) = self.nodes.push(node, seen) {
            drive.forget(forgotten, seen.count);
        }
    }

    /// A folder is in use, and with it those above it.
    pub(super) fn used(&mut self, folder: NodeId) {
        let mut at = folder;
        for _ in 0..DEEPEST {
            match self.nodes.get(&at) {
                Some(seen) if at != NodeId::ROOT => at = seen.parent,
                _ => return,
            }
        }
    }

    /// Where a folder is, as far as is still known; empty for the root.
    pub(super) fn path_of(&self, folder: NodeId) -> Option<Vec<u16>> {
        let mut steps = Vec::new();
        let mut at = folder;
        while at != NodeId::ROOT {
            let seen = self.nodes.peek(&at)?;
            steps.push(&*seen.name);
            at = seen.parent;
            if steps.len() > DEEPEST {
                return None;
            }
        }
        let path = steps.into_iter().rev();
        Some(path.fold(Vec::new(), |path, name| names::joined(&path, name)))
    }

    /// Those of these names in their folders that were answered to somebody.
    pub(super) fn told<'a>(
        &self,
        names: impl Iterator<Item = (NodeId, &'a [u16])>,
    ) -> HashSet<(NodeId, &'a [u16])> {
        let mut asked: HashMap<NodeId, HashSet<&'a [u16]>> = HashMap::new();
        for (folder, name) in names {
            asked.entry(folder).or_default().insert(name);
        }
        self.nodes
            .iter()
            .filter_map(|(_, seen)| {
                let name = asked.get(&seen.parent)?.get(&*seen.name)?;
                Some((seen.parent, *name))
            })
            .collect()
    }
}

/// The entry of [`Cases`](super::super::cases::Cases) for a name.
pub(super) fn in_all_cases(name: &OsStr) -> Option<Vec<u16>> {
    Some(names::folded(&names::shown(name)?))
}

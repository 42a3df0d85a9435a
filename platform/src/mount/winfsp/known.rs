//! What programs were told of: nodes, whose look-ups the drive counts, with the names that led to them; and the names in
//! folders where somebody looked for one in another case.
//!
//! Windows never says that it has forgotten a node, so the longest unused ones are taken for forgotten.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::names;
use crate::drive::{Drive, NodeId};

/// Nodes that are counted as known.
const NODES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// No folder is deeper.
const DEEPEST: usize = 512;
/// Names that are kept to be found in another case, in all folders together.
const NAMES: usize = 200_000;

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

/// How long the names of a folder are kept whose changes nobody tells. A name that is new in that time is found as it is, but
/// not in another case.
const UNTOLD: Duration = Duration::from_secs(5);

/// The names of folders by what is the same for all cases.
pub(super) struct Cases {
    folders: LruCache<NodeId, Names>,
    names: usize,
    /// How many changes were told so far.
    changes: u64,
}

struct Names {
    /// After this they are not known any more; `None` where each change is told.
    until: Option<Instant>,
    by_fold: HashMap<Vec<u16>, OsString>,
}

impl Cases {
    pub(super) fn new() -> Self {
        Self {
            folders: LruCache::unbounded(),
            names: 0,
            changes: 0,
        }
    }

    /// What to hand in with a list that is made from now on.
    pub(super) fn now(&self) -> u64 {
        self.changes
    }

    /// What `folded` is called in a folder; the outer `None` where its names are not known.
    pub(super) fn find(&mut self, folder: NodeId, folded: &[u16]) -> Option<Option<OsString>> {
        let names = self.folders.get(&folder)?;
        let is_known = names.until.is_none_or(|until| Instant::now() < until);
        is_known.then(|| names.by_fold.get(folded).cloned())
    }

    /// Keeps the names of a folder, unless something has changed since the list was begun. `is_told` if each change will
    /// be.
    pub(super) fn keep(
        &mut self,
        since: u64,
        folder: NodeId,
        by_fold: HashMap<Vec<u16>, OsString>,
        is_told: bool,
    ) {
        if since != self.changes || by_fold.len() > NAMES {
            return;
        }
        self.names += by_fold.len();
        let until = (!is_told).then(|| Instant::now() + UNTOLD);
        if let Some(before) = self.folders.put(folder, Names { until, by_fold }) {
            self.names -= before.by_fold.len();
        }
        while self.names > NAMES
            && let Some((_, gone)) = self.folders.pop_lru()
        {
            self.names -= gone.by_fold.len();
        }
    }

    /// The names in a folder may be others now.
    pub(super) fn changed(&mut self, folder: NodeId) {
        self.changes += 1;
        if let Some(gone) = self.folders.pop(&folder) {
            self.names -= gone.by_fold.len();
        }
    }
}

/// The entry of [`Cases`] for a name.
pub(super) fn in_all_cases(name: &OsStr) -> Option<Vec<u16>> {
    Some(names::folded(&names::shown(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> HashMap<Vec<u16>, OsString> {
        (0..count)
            .map(|number| {
                let name = OsString::from(format!("{number}.WAV"));
                (in_all_cases(&name).unwrap_or_default(), name)
            })
            .collect()
    }

    #[test]
    fn names_are_kept_until_something_changes_and_not_too_many() {
        let mut cases = Cases::new();
        let one = in_all_cases("1.wav".as_ref()).unwrap_or_default();
        let since = cases.now();
        cases.keep(since, NodeId(7), names(2), true);
        assert_eq!(cases.find(NodeId(7), &one), Some(Some("1.WAV".into())));
        assert_eq!(cases.find(NodeId(7), &[]), Some(None));
        assert_eq!(cases.find(NodeId(8), &one), None);
        cases.changed(NodeId(7));
        assert_eq!(cases.find(NodeId(7), &one), None);
        // What was listed before the change is not known.
        cases.keep(since, NodeId(7), names(2), true);
        assert_eq!(cases.find(NodeId(7), &one), None);
        // The longest unused go.
        for folder in 0..5 {
            let since = cases.now();
            cases.keep(since, NodeId(folder), names(NAMES / 4), true);
            assert!(cases.names <= NAMES);
            cases.find(NodeId(0), &one);
        }
        assert!(cases.find(NodeId(0), &one).is_some());
        assert_eq!(cases.find(NodeId(1), &one), None);
        assert!(cases.find(NodeId(4), &one).is_some());
        cases.keep(cases.now(), NodeId(9), names(NAMES + 1), true);
        assert_eq!(cases.find(NodeId(9), &one), None);
    }
}

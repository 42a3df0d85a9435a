//! What the drive says has changed, kept until the timer comes round that tells Windows.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use parking_lot::Mutex;

use super::super::cases::Cases;
use crate::drive::{Invalidate, NodeId};

/// Changes told at a time: meanwhile nothing can be renamed.
const AT_A_TIME: usize = 1024;
/// Changes that wait, at most. What is not told is seen a second later.
const MOST_WAITING: usize = 100_000;

/// Something that has changed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Change {
    /// In this folder.
    pub(super) folder: NodeId,
    /// What this name leads to; `None` for the list of names.
    pub(super) name: Option<OsString>,
}

/// The end that the drive holds.
pub(super) struct Changes {
    waiting: Mutex<HashSet<Change>>,
    /// Those of paths that were being read or written when they were to be told, by what is the same for all cases of the path.
    held: Mutex<HashMap<Vec<u16>, HashSet<Change>>>,
    pub(super) cases: Mutex<Cases>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            held: Mutex::default(),
            cases: Mutex::new(Cases::new()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }

    /// What to tell now. Empty where nothing has changed.
    pub(super) fn take(&self) -> Vec<Change> {
        let mut waiting = self.waiting.lock();
        let now: Vec<Change> = match waiting.len() {
            0..=AT_A_TIME => std::mem::take(&mut *waiting).into_iter().collect(),
            _ => waiting.iter().take(AT_A_TIME).cloned().collect(),
        };
        for told in &now {
            waiting.remove(told);
        }
        now
    }

    /// Keeps a change whose path is busy until [`Self::let_go`].
    pub(super) fn hold(&self, folded_path: Vec<u16>, change: Change) {
        self.held
            .lock()
            .entry(folded_path)
            .or_default()
            .insert(change);
    }

    /// Is any held? Where none is, nobody need find out which paths are busy.
    pub(super) fn holds(&self) -> bool {
        !self.held.lock().is_empty()
    }

    /// Those that are held wait again to be told, but for those whose paths are busy still. However many wait, none is lost.
    pub(super) fn let_go(&self, busy: &HashSet<Vec<u16>>) {
        let mut free = Vec::new();
        self.held.lock().retain(|path, changes| {
            let is_busy = busy.contains(path);
            if !is_busy {
                free.extend(changes.drain());
            }
            is_busy
        });
        self.waiting.lock().extend(free);
    }

    fn add(&self, change: Change) {
        self.cases.lock().changed(change.folder);
        let mut waiting = self.waiting.lock();
        if waiting.len() < MOST_WAITING {
            waiting.insert(change);
        }
    }
}

impl Invalidate for Changes {
    fn entry(&self, parent: NodeId, name: &OsStr) {
        self.add(Change {
            folder: parent,
            name: Some(name.to_owned()),
        });
    }

    fn listing(&self, folder: NodeId) {
        self.add(Change { folder, name: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_not_too_many_at_a_time() {
        let changes = Changes::new();
        changes.entry(NodeId(7), OsStr::new("kick.wav"));
        changes.entry(NodeId(7), OsStr::new("kick.wav"));
        changes.listing(NodeId(7));
        assert_eq!(changes.take().len(), 2);
        assert!(changes.take().is_empty());
        for number in 0..AT_A_TIME as u64 + 5 {
            changes.listing(NodeId(number));
        }
        assert_eq!(changes.take().len(), AT_A_TIME);
        assert_eq!(changes.take().len(), 5);
        for number in 0..MOST_WAITING as u64 + 5 {
            changes.listing(NodeId(number));
        }
        let mut told = 0;
        while let more @ 1.. = changes.take().len() {
            told += more;
        }
        assert_eq!(told, MOST_WAITING);
    }
}

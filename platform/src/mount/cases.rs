//! Names in another case than they have: where the system makes no difference between `A` and `a`, and the drive does.
//!
//! The names of a folder are listed when somebody looks for one that is not there, and kept until the drive tells a change.
//! Windows looks here from `winfsp/walk.rs`, macOS from the FUSE adapter, as macFUSE is always
//! told that case is nothing, and from that for NFS.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
#[cfg(unix)]
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
#[cfg(unix)]
use unicode_normalization::UnicodeNormalization;

use crate::drive::{Cursor, Drive, DriveError, NodeId, Requester};
#[cfg(unix)]
use crate::drive::{Entry, Invalidate};

/// Names that are kept to be found in another case, in all folders together.
const NAMES: usize = 200_000;
/// Names taken of a folder at a time.
const PAGE: usize = 1024;

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

/// The same for all names that differ in case alone, and of the same length. Narrower than the system's own table where
/// that is in doubt: what is the same here is the same for the kernel.
pub(super) fn folded(name: &[u16]) -> Vec<u16> {
    name.iter().map(|unit| folded_unit(*unit)).collect()
}

fn folded_unit(unit: u16) -> u16 {
    let Some(lower) = char::from_u32(u32::from(unit)) else {
        return unit;
    };
    let mut upper = lower.to_uppercase();
    let (Some(upper), None) = (upper.next(), upper.next()) else {
        return unit;
    };
    let mut back = upper.to_lowercase();
    match (u16::try_from(u32::from(upper)), back.next(), back.next()) {
        (Ok(upper), Some(back), None) if back == lower => upper,
        _ => unit,
    }
}

/// What is the same for all cases of a name; `None` where there is no such thing.
type Fold = fn(&OsStr) -> Option<Vec<u16>>;

/// The name in a folder that is the same in all cases as one that is not there, by what `fold` makes of names.
pub(super) fn in_another_case(
    cases: &Mutex<Cases>,
    drive: &dyn Drive,
    folder: NodeId,
    (folded, fold): (&[u16], Fold),
    by: &Requester,
) -> Result<Option<OsString>, DriveError> {
    let since = {
        let mut cases = cases.lock();
        if let Some(found) = cases.find(folder, folded) {
            return Ok(found);
        }
        cases.now()
    };
    let mut all = HashMap::new();
    each_name(drive, folder, by, |name| {
        if let Some(folded) = fold(&name) {
            // Of two that differ in case alone, the first of the list is the one.
            all.entry(folded).or_insert(name);
        }
    })?;
    let found = all.get(folded).cloned();
    let is_told = drive.keeps_listing(folder);
    cases.lock().keep(since, folder, all, is_told);
    Ok(found)
}

/// Gives the names of a folder, one after the other.
pub(super) fn each_name(
    drive: &dyn Drive,
    folder: NodeId,
    by: &Requester,
    mut each: impl FnMut(OsString),
) -> Result<(), DriveError> {
    let mut after = Cursor::default();
    loop {
        let mut page = Vec::new();
        let mut is_full = false;
        drive.list(folder, after, false, by, &mut |listed| {
            is_full = page.len() == PAGE;
            if !is_full {
                page.push(listed);
            }
            !is_full
        })?;
        for listed in page {
            after = listed.cursor;
            each(listed.name);
        }
        if !is_full {
            return Ok(());
        }
    }
}

/// What is the same for all cases of a name that is text, composed or not, as programs of macOS give names in parts. Names that begin with a dot are none: file managers ask every folder
/// for many of those, and where they are not there, they are not there in another case either.
#[cfg(unix)]
fn in_all_cases(name: &OsStr) -> Option<Vec<u16>> {
    let name = name.to_str().filter(|name| !name.starts_with('.'))?;
    let composed: String = name.nfc().collect();
    Some(folded(&composed.encode_utf16().collect::<Vec<_>>()))
}

/// Looks a name up, and failing that in another case, where that does not matter.
#[cfg(unix)]
pub(super) fn look_up(
    cases: Option<&Mutex<Cases>>,
    drive: &dyn Drive,
    folder: NodeId,
    name: &OsStr,
    by: &Requester,
) -> Result<Entry, DriveError> {
    let found = drive.lookup(folder, name, by);
    let (Err(DriveError::NotFound), Some(cases)) = (&found, cases) else {
        return found;
    };
    let Some(folded) = in_all_cases(name) else {
        return found;
    };
    let other = in_another_case(cases, drive, folder, (&folded, in_all_cases), by)?;
    drive.lookup(folder, &other.ok_or(DriveError::NotFound)?, by)
}

/// The end that the drive tells of changes: the names that are kept, and then whoever else is to know.
#[cfg(unix)]
pub(super) struct Kept {
    pub(super) cases: Arc<Mutex<Cases>>,
    pub(super) next: Arc<dyn Invalidate>,
}

#[cfg(unix)]
impl Invalidate for Kept {
    fn entry(&self, parent: NodeId, name: &OsStr) {
        self.cases.lock().changed(parent);
        self.next.entry(parent, name);
    }

    fn listing(&self, folder: NodeId) {
        self.cases.lock().changed(folder);
        self.next.listing(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_all_cases(name: &OsStr) -> Option<Vec<u16>> {
        Some(folded(&name.to_str()?.encode_utf16().collect::<Vec<_>>()))
    }

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

//! What the watcher was told and nobody has looked at yet.
//!
//! Filled by the thread of the system's events, emptied in batches by the watch loop. Holds each path once, however
//! often it changes. A path is ready when its writer closed it, or when it has not changed for half a second.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mediafs_platform::limits::shrink_sparse;
use mediafs_platform::watch::Event;
use mediafs_platform::watch::event::{
    AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode,
};

/// A file that nobody closed is taken when it has not changed for so long.
const QUIET: Duration = Duration::from_millis(500);
/// A file that was closed, moved or deleted waits so long for what comes with it.
const GATHER: Duration = Duration::from_millis(40);
/// The half of a rename whose other half came not is forgotten after this time.
const HALF: Duration = Duration::from_secs(5);
/// More paths or renames than these are given up for a look at everything.
const MOST: usize = 200_000;

/// Paths to be looked at.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    paths: HashMap<PathBuf, Touch>,
    renames: Vec<Rename>,
    halves: HashMap<usize, (PathBuf, Instant)>,
    /// Events were lost: everything is to be looked at.
    lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Touch {
    last: Instant,
    settled: bool,
    whole: bool,
}

/// What the system says was renamed, in the order in which it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rename {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
}

/// What is to be looked at now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ready {
    /// Path, and whether all that is below it is meant.
    pub(super) paths: Vec<(PathBuf, bool)>,
    pub(super) renames: Vec<Rename>,
    pub(super) lost: bool,
}

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.renames.is_empty() && !self.lost
    }
}

impl Dirty {
    /// Takes in one event of the system; says whether there is something to do.
    pub(super) fn take(&mut self, event: &Event, now: Instant) -> bool {
        if event.need_rescan() {
            self.lost = true;
            return true;
        }
        let Some(path) = event.paths.first() else {
            return false;
        };
        match event.kind {
            EventKind::Create(CreateKind::Folder) | EventKind::Remove(_) => {
                self.touch(path, now, true, true);
            }
            // It may be a folder: Windows does not tell.
            EventKind::Create(CreateKind::Any | CreateKind::Other) => {
                self.touch(path, now, false, true);
            }
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => {
                self.touch(path, now, false, false);
            }
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.touch(path, now, true, false);
            }
            EventKind::Modify(ModifyKind::Metadata(_)) => {
                let settled = self.paths.get(path).is_some_and(|touch| touch.settled);
                self.touch(path, now, settled, false);
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                self.touch(path, now, true, true);
                if let Some(cookie) = event.attrs.tracker() {
                    self.halves.insert(cookie, (path.clone(), now));
                }
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                self.touch(path, now, true, true);
                let half = event.attrs.tracker().and_then(|c| self.halves.remove(&c));
                if let Some((from, _)) = half {
                    self.renames.push(Rename {
                        from,
                        to: path.clone(),
                    });
                }
            }
            // Windows does not tell what was changed of a file, and nobody there or on macOS tells which way a rename went.
            EventKind::Modify(ModifyKind::Any | ModifyKind::Other) => {
                self.touch(path, now, false, false);
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::Any | RenameMode::Other)) => {
                self.touch(path, now, true, true);
            }
            // Opening and reading changes nothing; `Both` repeats what its halves said.
            _ => return false,
        }
        if self.paths.len() > MOST || self.renames.len() > MOST || self.halves.len() > MOST {
            *self = Self {
                lost: true,
                ..Self::default()
            };
        }
        true
    }

    /// Notes that `path` is to be looked at.
    pub(super) fn touch(&mut self, path: &Path, now: Instant, settled: bool, whole: bool) {
        match self.paths.get_mut(path) {
            Some(touch) => {
                touch.last = now;
                touch.settled = settled;
                touch.whole |= whole;
            }
            None => {
                let touch = Touch {
                    last: now,
                    settled,
                    whole,
                };
                self.paths.insert(path.to_owned(), touch);
            }
        }
    }

    /// What is to be looked at now; the rest waits. Renames go first and at once: they must never be overtaken by a
    /// look at what they renamed.
    pub(super) fn ready(&mut self, now: Instant) -> Ready {
        self.halves
            .retain(|_, (_, since)| now.duration_since(*since) < HALF);
        if std::mem::take(&mut self.lost) {
            self.paths.clear();
            let renames = std::mem::take(&mut self.renames);
            return Ready {
                paths: Vec::new(),
                renames,
                lost: true,
            };
        }
        let mut paths = Vec::new();
        self.paths.retain(|path, touch| {
            let waited = now.duration_since(touch.last);
            let ready = waited >= QUIET || (touch.settled && waited >= GATHER);
            if ready {
                paths.push((path.clone(), touch.whole));
            }
            !ready
        });
        shrink_sparse(&mut self.paths);
        shrink_sparse(&mut self.halves);
        let renames = std::mem::take(&mut self.renames);
        Ready {
            paths,
            renames,
            lost: false,
        }
    }

    /// Whether something waits.
    pub(super) fn waits(&self) -> bool {
        self.lost || !self.paths.is_empty() || !self.renames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mediafs_platform::watch::event::{DataChange, Flag, RemoveKind};

    use super::*;

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(PathBuf::from(path))
    }

    fn renamed(mode: RenameMode, path: &str, cookie: usize) -> Event {
        event(EventKind::Modify(ModifyKind::Name(mode)), path).set_tracker(cookie)
    }

    const CREATED: EventKind = EventKind::Create(CreateKind::File);
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const READ: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));

    #[test]
    fn a_file_is_ready_when_closed_or_quiet() {
        let mut dirty = Dirty::default();
        let start = Instant::now();
        dirty.take(&event(CREATED, "/a"), start);
        dirty.take(&event(CREATED, "/b"), start);
        dirty.take(&event(CLOSED, "/b"), start);
        assert!(dirty.ready(start).is_empty());
        let soon = dirty.ready(start + GATHER);
        assert_eq!(soon.paths, [(PathBuf::from("/b"), false)]);
        dirty.take(&event(WRITTEN, "/a"), start + QUIET / 2);
        assert!(dirty.ready(start + QUIET).is_empty());
        let late = dirty.ready(start + QUIET * 2);
        assert_eq!(late.paths, [(PathBuf::from("/a"), false)]);
        assert!(!dirty.waits());
    }

    #[test]
    fn what_systems_tell_that_say_less_is_looked_at_too() {
        let mut dirty = Dirty::default();
        let start = Instant::now();
        let changed = EventKind::Modify(ModifyKind::Any);
        assert!(dirty.take(&event(changed, "/a"), start));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Any));
        assert!(dirty.take(&event(renamed, "/b"), start));
        let soon = dirty.ready(start + GATHER);
        assert_eq!(soon.paths, [(PathBuf::from("/b"), true)]);
        assert!(soon.renames.is_empty());
        let created = EventKind::Create(CreateKind::Any);
        assert!(dirty.take(&event(created, "/c"), start));
        let mut late = dirty.ready(start + QUIET).paths;
        late.sort();
        assert_eq!(
            late,
            [(PathBuf::from("/a"), false), (PathBuf::from("/c"), true)]
        );
    }

    #[test]
    fn a_file_that_is_written_again_after_closing_waits_again() {
        let mut dirty = Dirty::default();
        let start = Instant::now();
        dirty.take(&event(CLOSED, "/a"), start);
        dirty.take(&event(WRITTEN, "/a"), start);
        assert!(dirty.ready(start + GATHER).is_empty());
    }

    #[test]
    fn halves_are_joined_by_their_cookie() {
        let mut dirty = Dirty::default();
        let start = Instant::now();
        dirty.take(&renamed(RenameMode::From, "/a", 1), start);
        dirty.take(&renamed(RenameMode::From, "/x", 2), start);
        dirty.take(&renamed(RenameMode::To, "/b", 1), start);
        dirty.take(&renamed(RenameMode::To, "/new", 3), start);
        let ready = dirty.ready(start + GATHER);
        let joined = Rename {
            from: "/a".into(),
            to: "/b".into(),
        };
        assert_eq!(ready.renames, [joined]);
        let mut paths: Vec<_> = ready
            .paths
            .iter()
            .map(|(p, _)| p.to_str().unwrap())
            .collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/a", "/b", "/new", "/x"]);
    }

    #[test]
    fn lost_events_ask_for_a_look_at_everything() {
        let mut dirty = Dirty::default();
        let start = Instant::now();
        dirty.take(&event(EventKind::Remove(RemoveKind::File), "/a"), start);
        dirty.take(&Event::new(EventKind::Other).set_flag(Flag::Rescan), start);
        assert!(dirty.ready(start).lost);
        assert!(!dirty.waits());
    }

    #[test]
    fn reading_is_no_change() {
        let mut dirty = Dirty::default();
        assert!(!dirty.take(&event(READ, "/a"), Instant::now()));
        assert!(!dirty.waits());
    }
}

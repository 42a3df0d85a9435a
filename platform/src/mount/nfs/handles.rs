//! Open files of the drive, for a protocol that has none: opened when they are first used, closed when they have not been
//! used for a while.
//!
//! Two clients share one handle of a node. They see the same through it, as a node never shows two things.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::drive::{Content, HandleId, NodeId, Opened};

/// How long a file that is read, or a take that is written, stays open. A take is made final by a call, which waits for
/// that long.
const LINGER: Duration = Duration::from_secs(1);
/// How long one that is written in the drop box stays open: closing it says that it is whole, and a client may keep
/// what a program has written to itself for half a minute.
const LINGER_WRITTEN: Duration = Duration::from_secs(45);
/// How long it does once it was given a time behind all that was written, as file managers and `cp -p` do when they are done.
const LINGER_DONE: Duration = Duration::from_secs(3);
/// Files that are open at a time, more or less: those in use stay.
const MOST: usize = 512;

/// A node, and whether it is open for writing.
pub(super) type Key = (NodeId, bool);

struct Open {
    handle: HandleId,
    content: Content,
    users: usize,
    used: Instant,
    /// Bytes that were written, of which nobody has made sure yet that they are on the disk.
    unsure: u64,
    progress: Progress,
}

/// How far somebody has come who writes a file, as far as can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Begun,
    /// Something was written, and it was not given a time since.
    Writing,
    Done,
}

impl Open {
    fn linger(&self) -> Duration {
        match self.content {
            Content::Written if self.progress == Progress::Done => LINGER_DONE,
            Content::Written => LINGER_WRITTEN,
            Content::File(_) | Content::Growing(_) | Content::Direct { .. } => LINGER,
        }
    }
}

/// A handle that is to be closed.
pub(super) struct Closing {
    pub(super) handle: HandleId,
    /// The drive wants to hear of each close.
    pub(super) is_told: bool,
}

impl Closing {
    fn of(open: &Open) -> Self {
        Self {
            handle: open.handle,
            is_told: matches!(open.content, Content::Written),
        }
    }
}

/// What nobody uses any more.
#[derive(Default)]
pub(super) struct Idle {
    pub(super) closing: Vec<Closing>,
    /// What was written to them is to be on the disk first, and they are closed then.
    pub(super) unsure: Vec<InUse>,
}

/// The open files of an export.
#[derive(Default)]
pub(super) struct Handles {
    table: Mutex<HashMap<Key, Open>>,
}

/// A handle in use. It is not closed before this is dropped.
pub(super) struct InUse {
    all: Arc<Handles>,
    key: Key,
    pub(super) handle: HandleId,
    /// It is closed that much later.
    by_client: bool,
}

impl Handles {
    /// The handle that a node has already.
    pub(super) fn get(self: &Arc<Self>, key: Key) -> Option<InUse> {
        let mut table = self.table.lock();
        let open = table.get_mut(&key)?;
        open.users += 1;
        Some(InUse {
            all: Arc::clone(self),
            key,
            handle: open.handle,
            by_client: true,
        })
    }

    /// A node was opened. Where another request was quicker, its handle is used, and this one is to be closed.
    pub(super) fn opened(self: &Arc<Self>, key: Key, opened: Opened) -> (InUse, Option<Closing>) {
        let mut table = self.table.lock();
        let mine = Open {
            handle: opened.handle,
            content: opened.content,
            users: 0,
            used: Instant::now(),
            unsure: 0,
            progress: Progress::Begun,
        };
        let mut closing = None;
        let open = match table.entry(key) {
            std::collections::hash_map::Entry::Occupied(there) => {
                closing = Some(Closing::of(&mine));
                there.into_mut()
            }
            std::collections::hash_map::Entry::Vacant(free) => free.insert(mine),
        };
        open.users += 1;
        let in_use = InUse {
            all: Arc::clone(self),
            key,
            handle: open.handle,
            by_client: true,
        };
        (in_use, closing)
    }

    /// Takes out what nobody has used for a while, and the longest unused of too many.
    pub(super) fn idle(self: &Arc<Self>, now: Instant) -> Idle {
        let mut table = self.table.lock();
        let Idle {
            mut closing,
            mut unsure,
        } = Idle::default();
        let mut idle: Vec<(Instant, Key)> = Vec::new();
        table.retain(|key, open| {
            let unused = now.saturating_duration_since(open.used);
            let is_over = open.users == 0 && unused >= open.linger();
            let goes = is_over && open.unsure == 0;
            if goes {
                closing.push(Closing::of(open));
            } else if is_over {
                open.users += 1;
                unsure.push(InUse {
                    all: Arc::clone(self),
                    key: *key,
                    handle: open.handle,
                    by_client: false,
                });
            } else if open.unsure != 0 {
                // Not yet.
            } else if open.users == 0 && !matches!(open.content, Content::Written) {
                idle.push((open.used, *key));
            }
            !goes
        });
        let too_many = table.len().saturating_sub(MOST);
        idle.sort_unstable();
        for (_, key) in idle.into_iter().take(too_many) {
            closing.extend(table.remove(&key).as_ref().map(Closing::of));
        }
        Idle { closing, unsure }
    }

    /// Takes out all that nobody uses.
    pub(super) fn unused(&self) -> Vec<Closing> {
        self.take_unused(|_| true)
    }

    /// Takes out those of a node that nobody uses.
    pub(super) fn of(&self, node: NodeId) -> Vec<Closing> {
        self.take_unused(|(open, _)| *open == node)
    }

    fn take_unused(&self, is_meant: impl Fn(&Key) -> bool) -> Vec<Closing> {
        let mut closing = Vec::new();
        self.table.lock().retain(|key, open| {
            let goes = open.users == 0 && is_meant(key);
            if goes {
                closing.push(Closing::of(open));
            }
            !goes
        });
        closing
    }
}

impl InUse {
    /// So many bytes were written, and may not be on the disk: how many there are of those now.
    pub(super) fn written(&self, bytes: u64) -> u64 {
        let mut table = self.all.table.lock();
        table.get_mut(&self.key).map_or(0, |open| {
            open.progress = Progress::Writing;
            open.unsure = open.unsure.saturating_add(bytes);
            open.unsure
        })
    }

    /// It was given a time of last change. Some do so before they write, to say that they are not done.
    pub(super) fn given_a_time(&self) {
        if let Some(open) = self.all.table.lock().get_mut(&self.key)
            && open.progress == Progress::Writing
        {
            open.progress = Progress::Done;
        }
    }

    /// What was written so far is brought to the disk from now on.
    pub(super) fn is_being_made_sure(&self) {
        if let Some(open) = self.all.table.lock().get_mut(&self.key) {
            open.unsure = 0;
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(open) = self.all.table.lock().get_mut(&self.key) {
            open.users -= 1;
            if self.by_client {
                open.used = Instant::now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn opened(handle: u64, content: Content) -> Opened {
        Opened {
            handle: HandleId(handle),
            content,
        }
    }

    const STREAM: Content = Content::Direct { again: false };

    fn numbers(closing: Vec<Closing>) -> Vec<u64> {
        closing.into_iter().map(|one| one.handle.0).collect()
    }

    #[test]
    fn a_handle_stays_while_it_is_used_and_a_while_longer() {
        let handles = Arc::<Handles>::default();
        let key = (NodeId(7), false);
        assert!(handles.get(key).is_none());
        let (first, closing) = handles.opened(key, opened(1, STREAM));
        assert!(closing.is_none());
        // Another request was on its way to the same.
        let (second, closing) = handles.opened(key, opened(2, STREAM));
        assert_eq!(
            (second.handle, closing.unwrap().handle),
            (HandleId(1), HandleId(2))
        );
        let late = Instant::now() + Duration::from_secs(100);
        drop(first);
        assert!(
            handles.idle(late).closing.is_empty(),
            "the second uses it still"
        );
        drop(second);
        assert!(handles.idle(Instant::now()).closing.is_empty());
        assert_eq!(numbers(handles.idle(late).closing), [1]);
        assert!(handles.get(key).is_none());
    }

    #[test]
    fn what_is_written_into_the_drop_box_lingers_longest() {
        let handles = Arc::<Handles>::default();
        drop(handles.opened((NodeId(7), true), opened(1, Content::Written)));
        drop(handles.opened((NodeId(8), false), opened(2, STREAM)));
        let soon = Instant::now() + Duration::from_secs(30);
        assert_eq!(numbers(handles.idle(soon).closing), [2]);
        let closing = handles.idle(soon + Duration::from_secs(30)).closing;
        assert!(closing[0].is_told);
        assert_eq!(numbers(closing), [1]);
    }

    #[test]
    fn what_is_given_a_time_when_it_is_written_lingers_no_longer() {
        let handles = Arc::<Handles>::default();
        let (open, _) = handles.opened((NodeId(7), true), opened(1, Content::Written));
        let closing_soon = || {
            let soon = Instant::now() + Duration::from_secs(10);
            handles.idle(soon).closing.len() + handles.idle(soon).unsure.len()
        };
        let write = |open: &InUse| {
            open.written(5);
            open.is_being_made_sure();
        };
        // Before it is written that means something else, and whoever writes on was not done.
        open.given_a_time();
        write(&open);
        open.given_a_time();
        write(&open);
        drop(open);
        assert_eq!(closing_soon(), 0);
        handles.get((NodeId(7), true)).unwrap().given_a_time();
        assert_eq!(closing_soon(), 1);
    }

    #[test]
    fn what_may_not_be_on_the_disk_is_brought_there_before_it_is_closed() {
        let handles = Arc::<Handles>::default();
        let (open, _) = handles.opened((NodeId(7), true), opened(1, STREAM));
        assert_eq!((open.written(3), open.written(4)), (3, 7));
        drop(open);
        let late = Instant::now() + Duration::from_secs(100);
        let Idle { closing, unsure } = handles.idle(late);
        assert!(closing.is_empty());
        let [open] = &unsure[..] else {
            panic!("it is handed out once")
        };
        assert_eq!(open.handle, HandleId(1));
        open.is_being_made_sure();
        let again = handles.idle(late);
        assert!(
            again.closing.is_empty() && again.unsure.is_empty(),
            "it is not there yet"
        );
        drop(unsure);
        assert_eq!(
            numbers(handles.idle(late).closing),
            [1],
            "nobody used it since"
        );
    }

    #[test]
    fn of_too_many_the_longest_unused_go() {
        let handles = Arc::<Handles>::default();
        for number in 0..MOST as u64 + 3 {
            drop(handles.opened((NodeId(number), false), opened(number, STREAM)));
        }
        let mut closed = numbers(handles.idle(Instant::now()).closing);
        closed.sort_unstable();
        assert_eq!(closed, [0, 1, 2]);
        assert_eq!(handles.unused().len(), MOST);
    }
}

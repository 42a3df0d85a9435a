//! Which items players and loaders open: told to whoever records it, off the path of the request.
//!
//! `open` puts what was asked into a queue that never waits (what does not fit is not recorded); who it was, and whether
//! that counts, is found out by the one who empties it ([`Observed::next`]). While nobody wants to know, nothing is queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use mediafs_platform::drive::Requester;
use parking_lot::Mutex;

use super::class::{Class, Requesters};
use super::node::Door;
use crate::catalog::ItemNo;

/// Opens that wait to be recorded. More in the time of one look are a scan, not music.
const QUEUE: usize = 4096;

/// A program opened an item.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SeenOpen {
    /// Which item.
    pub item: ItemNo,
    /// The program's name.
    pub program: String,
}

struct Asked {
    item: ItemNo,
    door: Door,
    by: Requester,
}

/// The queue.
pub struct Observed {
    wanted: AtomicBool,
    queue: SyncSender<Asked>,
    asked: Mutex<Receiver<Asked>>,
}

impl Default for Observed {
    fn default() -> Self {
        let (queue, asked) = sync_channel(QUEUE);
        Self {
            wanted: AtomicBool::new(false),
            queue,
            asked: Mutex::new(asked),
        }
    }
}

impl Observed {
    /// Whether anybody wants to know.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    pub(super) fn opened(&self, item: ItemNo, door: Door, by: &Requester) {
        if self.wanted.load(Ordering::Relaxed) {
            let asked = Asked {
                item,
                door,
                by: *by,
            };
            // Full: see above.
            let _ = self.queue.try_send(asked);
        }
    }

    /// The next open by a player or loader; `None` if there was none for so long.
    #[must_use]
    pub fn next(&self, requesters: &Requesters, within: Duration) -> Option<SeenOpen> {
        let asked = self.asked.lock();
        let begun = std::time::Instant::now();
        loop {
            let left = within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return None;
            }
            let one = match asked.recv_timeout(left) {
                Ok(one) => one,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            };
            // By the door where all unknown are players, nobody is known to be one.
            let class = match one.door {
                Door::As(class) => class,
                Door::Plain => requesters.class_of(&one.by, false),
            };
            if !matches!(class, Class::Player | Class::Loader) {
                continue;
            }
            let Some(process) = requesters.process_of(&one.by) else {
                continue;
            };
            let name = process
                .executable
                .as_ref()
                .and_then(|path| path.file_name());
            let name = name.unwrap_or(&process.name);
            return Some(SeenOpen {
                item: one.item,
                program: crate::model::display_name(name.as_encoded_bytes()),
            });
        }
    }
}

impl super::MediaDrive {
    /// What players and loaders open.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed> {
        Arc::clone(&self.observed)
    }
}

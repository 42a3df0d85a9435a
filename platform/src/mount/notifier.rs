//! Tells the kernel to forget names and lists, from one thread of its own.
//!
//! Each order is given twice, at once and once more a moment later: the answer to a look-up that was made before the
//! change may still be on its way when the first is given, and would stay for as long as names are kept.
//!
//! The kernel takes an invalidation under the lock of the folder, so a call can wait for a look-up that runs
//! there. Whoever calls [`Invalidate`] may be that look-up: hence an unbounded channel between, and no lock
//! held by the thread that calls the kernel. Nothing is sent once the mount is ending.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use fuser::{INodeNo, Notifier};

use crate::drive::{Invalidate, NodeId};

enum Order {
    Entry(NodeId, OsString),
    Listing(NodeId),
    Stop,
}

/// After this an answer that was on its way has long arrived.
const ONCE_MORE: Duration = Duration::from_millis(100);
/// Orders that wait for their second turn, at most; of more, the oldest go without.
const MOST_WAITING: usize = 100_000;
/// Room that is kept for such orders.
const USUALLY_WAITING: usize = 1024;

/// The end of the channel that the drive holds.
pub(super) struct KernelCache {
    orders: Sender<Order>,
    ended: Arc<AtomicBool>,
}

impl KernelCache {
    /// Starts the thread. It ends after [`KernelCache::stop`], or when the last end of the channel is gone.
    pub(super) fn start(notifier: Notifier) -> io::Result<Arc<Self>> {
        let (orders, queue) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        std::thread::Builder::new()
            .name("mediafs-notify".to_owned())
            .spawn(move || carry_out(&queue, &notifier, &until))?;
        Ok(Arc::new(Self { orders, ended }))
    }

    /// From now on nothing is sent to the kernel. Does not wait.
    pub(super) fn stop(&self) {
        self.ended.store(true, Ordering::Release);
        self.send(Order::Stop);
    }

    fn send(&self, order: Order) {
        // The thread is gone only after `stop`; then there is nothing left to forget.
        let _ = self.orders.send(order);
    }
}

impl Invalidate for KernelCache {
    fn entry(&self, parent: NodeId, name: &OsStr) {
        self.send(Order::Entry(parent, name.to_owned()));
    }

    fn listing(&self, folder: NodeId) {
        self.send(Order::Listing(folder));
    }
}

fn carry_out(queue: &Receiver<Order>, notifier: &Notifier, ended: &AtomicBool) {
    let mut again: VecDeque<(Instant, Order)> = VecDeque::new();
    loop {
        let next = match again.front() {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some((due, _)) => queue.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        if ended.load(Ordering::Acquire) {
            return;
        }
        match next {
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(order) => {
                tell(notifier, &order);
                again.push_back((Instant::now() + ONCE_MORE, order));
                if again.len() > MOST_WAITING {
                    again.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        // Also where orders never cease to come.
        while let Some((due, _)) = again.front()
            && *due <= Instant::now()
            && !ended.load(Ordering::Acquire)
        {
            if let Some((_, order)) = again.pop_front() {
                tell(notifier, &order);
            }
        }
        if again.is_empty() {
            again.shrink_to(USUALLY_WAITING);
        }
    }
}

fn tell(notifier: &Notifier, order: &Order) {
    // ENOENT (the kernel has no such name or node) is already taken as success by the library.
    let done = match order {
        Order::Entry(parent, name) => notifier.inval_entry(INodeNo(parent.0), name),
        // The pages of a folder are its list. Those of files are never told to go: content never changes under a node.
        Order::Listing(folder) => notifier.inval_inode(INodeNo(folder.0), 0, 0),
        Order::Stop => return,
    };
    if let Err(error) = done {
        tracing::debug!(%error, "the kernel refused an invalidation");
    }
}

//! Tells the kernel to forget names and attributes, from one thread of its own.
//!
//! The kernel takes an invalidation under the lock of the folder, so a call can wait for a look-up that runs
//! there. Whoever calls [`Invalidate`] may be that look-up: hence an unbounded channel between, and no lock
//! held by the thread that calls the kernel. Nothing is sent once the mount is ending.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use fuser::{INodeNo, Notifier};

use crate::drive::{Invalidate, NodeId};

enum Order {
    Entry(NodeId, OsString),
    Attributes(NodeId),
    Stop,
}

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

    fn attributes(&self, node: NodeId) {
        self.send(Order::Attributes(node));
    }
}

fn carry_out(queue: &Receiver<Order>, notifier: &Notifier, ended: &AtomicBool) {
    while let Ok(order) = queue.recv() {
        if ended.load(Ordering::Acquire) {
            return;
        }
        // ENOENT (the kernel has no such name or node) is already taken as success by the library.
        let done = match &order {
            Order::Entry(parent, name) => notifier.inval_entry(INodeNo(parent.0), name),
            // A negative offset spares the pages: content never changes under a node.
            Order::Attributes(node) => notifier.inval_inode(INodeNo(node.0), -1, 0),
            Order::Stop => return,
        };
        if let Err(error) = done {
            tracing::debug!(%error, "the kernel refused an invalidation");
        }
    }
}

//! How each open node is served: by the kernel itself (passthrough), through its page cache, or directly.
//!
//! The kernel answers EIO to an open that does not fit the handles a node has already: a cached one beside
//! passthrough, or another backing id even of the same file. So the first handle of a node chooses, the others
//! follow, and all share one backing id, which goes with the last of them. Direct handles stand beside
//! the others and bind nothing.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use fuser::{BackingId, FileHandle, FopenFlags, ReplyOpen};
use parking_lot::Mutex;

use crate::drive::{HandleId, NodeId};
use crate::limits::shrink_sparse;
#[cfg(target_os = "linux")]
use crate::passthrough::{Helper, Lent};

/// What the handles of a node that are open now have chosen.
#[derive(Clone)]
pub(super) enum Served {
    /// The kernel reads the file itself.
    Passthrough(Arc<Backing>),
    /// The kernel keeps pages that the drive answered.
    PageCache,
}

/// A file that is registered with the kernel, until this is dropped.
pub(super) enum Backing {
    /// By this process.
    Own(BackingId),
    /// By the helper.
    #[cfg(target_os = "linux")]
    Lent(Lent),
}

impl Backing {
    /// Replies that the kernel reads this file by itself.
    pub(super) fn opened(&self, reply: ReplyOpen, handle: FileHandle, flags: FopenFlags) {
        match self {
            Self::Own(backing) => reply.opened_passthrough(handle, flags, backing),
            #[cfg(target_os = "linux")]
            Self::Lent(lent) => {
                // SAFETY: the helper has registered it with this connection, and closes it when `lent` is
                // dropped, which outlives the wrapper.
                let backing = unsafe { reply.wrap_backing(lent.id()) };
                reply.opened_passthrough(handle, flags, &backing);
                // The library would close it, which is the helper's to do.
                let _ = backing.into_raw();
            }
        }
    }
}

struct OpenNode {
    served: Served,
    handles: u64,
}

#[derive(Default)]
struct Table {
    nodes: HashMap<NodeId, OpenNode>,
    /// Only handles that bind their node.
    handles: HashMap<HandleId, NodeId>,
}

/// The open nodes of one mount.
pub(super) struct OpenFiles {
    table: Mutex<Table>,
    passthrough: AtomicBool,
    /// Who registers files, where this process may not.
    #[cfg(target_os = "linux")]
    helper: OnceLock<Arc<Helper>>,
}

impl OpenFiles {
    /// `passthrough` says whether it may be tried at all.
    pub(super) fn new(passthrough: bool) -> Self {
        Self {
            table: Mutex::default(),
            passthrough: AtomicBool::new(passthrough),
            #[cfg(target_os = "linux")]
            helper: OnceLock::new(),
        }
    }

    /// From now on files are registered by this helper. To be called once.
    #[cfg(target_os = "linux")]
    pub(super) fn use_helper(&self, helper: Arc<Helper>) {
        let _ = self.helper.set(helper);
    }

    /// The mount has ended, and with it what was registered.
    pub(super) fn end(&self) {
        self.give_up_passthrough();
        #[cfg(target_os = "linux")]
        if let Some(helper) = self.helper.get() {
            helper.stop();
        }
    }

    /// Is passthrough still tried?
    pub(super) fn tries_passthrough(&self) -> bool {
        self.passthrough.load(Ordering::Relaxed)
    }

    /// Passthrough is not tried any more. What is open already stays as it is.
    pub(super) fn give_up_passthrough(&self) {
        self.passthrough.store(false, Ordering::Relaxed);
    }

    /// Chooses for a new handle on a node whose content is `file`. `register` makes a backing id of it.
    pub(super) fn open(
        &self,
        node: NodeId,
        handle: HandleId,
        file: &File,
        register: impl FnOnce(&File) -> io::Result<BackingId>,
    ) -> Served {
        let mut table = self.table.lock();
        table.handles.insert(handle, node);
        if let Some(open) = table.nodes.get_mut(&node) {
            open.handles += 1;
            return open.served.clone();
        }
        // Registering takes a microsecond and no I/O (by the helper some tens of them, and never more than its
        // patience); doing it under the lock keeps two first handles apart.
        let served = self.choose(file, register);
        table.nodes.insert(
            node,
            OpenNode {
                served: served.clone(),
                handles: 1,
            },
        );
        served
    }

    fn choose(&self, file: &File, register: impl FnOnce(&File) -> io::Result<BackingId>) -> Served {
        if !self.tries_passthrough() {
            return Served::PageCache;
        }
        match self.register(file, register) {
            Ok(backing) => Served::Passthrough(Arc::new(backing)),
            Err(error) => {
                if error.raw_os_error() == Some(libc::EPERM) {
                    tracing::info!(
                        "passthrough is not permitted to this process; the page cache is used"
                    );
                    self.give_up_passthrough();
                } else if self.helper_is_lost() {
                    tracing::warn!(%error, "the passthrough helper is gone; the page cache is used");
                    self.give_up_passthrough();
                } else {
                    tracing::debug!(%error, "no passthrough for this file; the page cache is used");
                }
                Served::PageCache
            }
        }
    }

    fn register(
        &self,
        file: &File,
        register: impl FnOnce(&File) -> io::Result<BackingId>,
    ) -> io::Result<Backing> {
        #[cfg(target_os = "linux")]
        if let Some(helper) = self.helper.get() {
            return helper.open(file).map(Backing::Lent);
        }
        register(file).map(Backing::Own)
    }

    fn helper_is_lost(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(helper) = self.helper.get() {
            return helper.is_lost();
        }
        false
    }

    /// A handle is closed. A backing id goes with the last handle of its node.
    pub(super) fn release(&self, handle: HandleId) {
        // What the node was served by goes when nothing is locked any more: the helper may have to be asked.
        let mut last = None;
        let mut table = self.table.lock();
        let Some(node) = table.handles.remove(&handle) else {
            return;
        };
        let Some(open) = table.nodes.get_mut(&node) else {
            return;
        };
        open.handles -= 1;
        if open.handles == 0 {
            last = table.nodes.remove(&node);
            shrink_sparse(&mut table.nodes);
        }
        shrink_sparse(&mut table.handles);
        drop(table);
        drop(last);
    }

    /// How many nodes have a binding handle.
    #[cfg(test)]
    pub(super) fn nodes(&self) -> usize {
        self.table.lock().nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(errno: i32) -> impl FnOnce(&File) -> io::Result<BackingId> {
        move |_| Err(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn a_refused_file_uses_the_page_cache_and_later_files_are_tried_again() -> io::Result<()> {
        let file = tempfile::tempfile()?;
        let files = OpenFiles::new(true);
        let mut tried = 0;
        for handle in 0..3 {
            let served = files.open(NodeId(handle), HandleId(handle), &file, |_| {
                tried += 1;
                Err(io::Error::from_raw_os_error(libc::ELOOP))
            });
            assert!(matches!(served, Served::PageCache));
        }
        assert_eq!(tried, 3);
        Ok(())
    }

    #[test]
    fn what_is_not_permitted_is_not_tried_twice() -> io::Result<()> {
        let file = tempfile::tempfile()?;
        let files = OpenFiles::new(true);
        assert!(matches!(
            files.open(NodeId(1), HandleId(1), &file, refuse(libc::EPERM)),
            Served::PageCache
        ));
        let second = files.open(NodeId(2), HandleId(2), &file, |_| {
            unreachable!("tried after EPERM")
        });
        assert!(matches!(second, Served::PageCache));
        Ok(())
    }

    #[test]
    fn the_first_handle_chooses_until_the_last_is_closed() -> io::Result<()> {
        let file = tempfile::tempfile()?;
        let files = OpenFiles::new(true);
        files.open(NodeId(1), HandleId(1), &file, refuse(libc::EOPNOTSUPP));
        files.open(NodeId(1), HandleId(2), &file, |_| {
            unreachable!("the node is open")
        });
        files.release(HandleId(1));
        files.open(NodeId(1), HandleId(3), &file, |_| {
            unreachable!("the node is open")
        });
        files.release(HandleId(2));
        files.release(HandleId(2));
        assert_eq!(files.nodes(), 1);
        files.release(HandleId(3));
        assert_eq!(files.nodes(), 0);
        let mut tried = false;
        files.open(NodeId(1), HandleId(4), &file, |_| {
            tried = true;
            Err(io::Error::from_raw_os_error(libc::ELOOP))
        });
        assert!(tried, "a node that was closed chooses anew");
        Ok(())
    }
}

//! Open files. A handle shows one content from `open` to `release`, whatever happens to its item meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use mediafs_cache::OpenObject;
use mediafs_platform::drive::{Attributes, Content, DriveError, HandleId, NodeId, Opened};
use mediafs_platform::limits::shrink_sparse;
use mediafs_platform::process::Process;
use parking_lot::{Mutex, RwLock};

use super::bringing::{StreamHandle, WaitingHandle};
use crate::catalog::ItemNo;
use crate::library::drop_box::BoxHandle;
use crate::library::sidecars::SidecarHandle;
use crate::project::takes::TakeHandle;
use crate::silence::Placeholder;

/// Where a handle's bytes come from.
#[derive(Clone)]
pub(super) enum Shown {
    /// A file on trusted storage.
    File(Arc<File>),
    /// An object of the cache, which stays there as long as this.
    Object(Arc<OpenObject>),
    /// Silence, and who hears it.
    Silence(Arc<dyn Placeholder>, Arc<Hears>),
    /// What has arrived, with silence where it came too late.
    Stream(Arc<StreamHandle>),
    /// The true bytes, once they have come.
    Waiting(Arc<WaitingHandle>),
    /// A take, as far as it was written.
    Take(Arc<TakeHandle>),
    /// A file of the drop box.
    Dropped(Arc<BoxHandle>),
    /// A sidecar.
    Sidecar(Arc<SidecarHandle>),
    /// A text that the drive itself wrote.
    Text(&'static str),
}

/// Who hears the silence of a handle.
pub(super) struct Hears {
    pub(super) item: ItemNo,
    pub(super) process: Option<Arc<Process>>,
}

const SHARDS: usize = 8;

struct Handle {
    node: NodeId,
    shown: Shown,
}

/// Every open handle.
pub(super) struct Handles {
    next: AtomicU64,
    shards: [RwLock<HashMap<HandleId, Handle>>; SHARDS],
    /// What an open node was when it was opened, with its handles: `fstat` goes on answering after the item has another
    /// generation, or is removed.
    nodes: Mutex<HashMap<NodeId, (usize, Attributes)>>,
}

impl Default for Handles {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(1),
            shards: Default::default(),
            nodes: Mutex::default(),
        }
    }
}

/// Kernels ask for a megabyte at most; nobody is given more in one piece.
const LONGEST_READ: u32 = 16 * 1024 * 1024;

impl Handles {
    fn shard(&self, handle: HandleId) -> &RwLock<HashMap<HandleId, Handle>> {
        // The remainder is below SHARDS, so it fits any integer.
        &self.shards[(handle.0 % SHARDS as u64) as usize]
    }

    pub(super) fn open(&self, node: NodeId, attributes: Attributes, shown: Shown) -> HandleId {
        let handle = HandleId(self.next.fetch_add(1, Ordering::Relaxed));
        self.shard(handle)
            .write()
            .insert(handle, Handle { node, shown });
        self.nodes.lock().entry(node).or_insert((0, attributes)).0 += 1;
        handle
    }

    /// Opens what the kernel is not to read or keep itself.
    pub(super) fn open_direct(&self, node: NodeId, attributes: Attributes, shown: Shown) -> Opened {
        let again = self.nodes.lock().contains_key(&node);
        Opened {
            handle: self.open(node, attributes, shown),
            content: Content::Direct { again },
        }
    }

    /// Forgets a handle; gives what it showed.
    pub(super) fn close(&self, handle: HandleId) -> Option<Shown> {
        let closed = {
            let mut shard = self.shard(handle).write();
            let closed = shard.remove(&handle);
            shrink_sparse(&mut shard);
            closed
        };
        let closed = closed?;
        let mut nodes = self.nodes.lock();
        if let Some((handles, _)) = nodes.get_mut(&closed.node) {
            *handles -= 1;
            if *handles == 0 {
                nodes.remove(&closed.node);
                shrink_sparse(&mut nodes);
            }
        }
        Some(closed.shown)
    }

    /// What the node was when it was opened, while a handle of it is open.
    pub(super) fn attributes(&self, node: NodeId) -> Option<Attributes> {
        self.nodes
            .lock()
            .get(&node)
            .map(|(_, attributes)| *attributes)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// What a handle shows.
    pub(super) fn shown(&self, handle: HandleId) -> Result<Shown, DriveError> {
        self.shard(handle)
            .read()
            .get(&handle)
            .map(|h| h.shown.clone())
            .ok_or(DriveError::NotFound)
    }
}

/// How much of what is asked for is given at once, in bytes.
pub(super) fn given(length: u32) -> usize {
    length.min(LONGEST_READ) as usize
}

impl Shown {
    /// Up to `length` bytes at `offset`, fewer only at the end, of what never waits; `None` of what may.
    pub(super) fn read(&self, offset: u64, length: u32) -> Result<Option<Bytes>, DriveError> {
        let length = given(length);
        let mut buffer = BytesMut::zeroed(length);
        let filled = match self {
            Shown::Stream(_) | Shown::Waiting(_) => return Ok(None),
            Shown::File(file) => {
                read_file(file, &mut buffer, offset).map_err(|_| DriveError::Io)?
            }
            Shown::Take(take) => {
                read_file(take.file(), &mut buffer, offset).map_err(|_| DriveError::Io)?
            }
            Shown::Dropped(dropped) => {
                read_file(dropped.file(), &mut buffer, offset).map_err(|_| DriveError::Io)?
            }
            Shown::Sidecar(sidecar) => {
                read_file(sidecar.file(), &mut buffer, offset).map_err(|_| DriveError::Io)?
            }
            Shown::Object(object) => {
                read_file(object.file(), &mut buffer, offset).map_err(|_| DriveError::Io)?
            }
            Shown::Silence(placeholder, _) => placeholder.read_at(offset, &mut buffer),
            Shown::Text(text) => {
                let rest = usize::try_from(offset)
                    .ok()
                    .and_then(|at| text.as_bytes().get(at..))
                    .unwrap_or(&[]);
                let filled = rest.len().min(length);
                buffer[..filled].copy_from_slice(&rest[..filled]);
                filled
            }
        };
        buffer.truncate(filled);
        Ok(Some(buffer.freeze()))
    }
}

/// Fills the buffer from `offset` as far as the file goes.
fn read_file(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    use mediafs_platform::files::Positioned as _;
    let mut filled = 0;
    while filled < buffer.len() {
        let Some(at) = offset.checked_add(filled as u64) else {
            break;
        };
        match file.read_at(&mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn attributes() -> Attributes {
        let time = std::time::SystemTime::UNIX_EPOCH;
        Attributes {
            inode: 9,
            kind: mediafs_platform::drive::NodeKind::File,
            size: 10,
            modified: time,
            changed: time,
            born: time,
            permissions: 0o444,
            uid: 0,
            gid: 0,
        }
    }

    #[test]
    fn attributes_are_kept_as_long_as_a_handle() {
        let handles = Handles::default();
        let node = NodeId(9);
        let one = handles.open(node, attributes(), Shown::Text("0123456789"));
        let two = handles.open(node, attributes(), Shown::Text("0123456789"));
        handles.close(one);
        handles.close(one);
        assert_eq!(handles.attributes(node).map(|a| a.size), Some(10));
        handles.close(two);
        assert_eq!(handles.attributes(node), None);
    }

    #[test]
    fn reads_end_at_the_end() {
        let handles = Handles::default();
        let node = NodeId(9);
        let handle = handles.open(node, attributes(), Shown::Text("0123456789"));
        let shown = handles.shown(handle).unwrap();
        let read = |offset, length| shown.read(offset, length).unwrap().unwrap();
        assert_eq!(&read(0, 4)[..], b"0123");
        assert_eq!(&read(8, 100)[..], b"89");
        assert!(read(10, 1).is_empty());
        assert!(read(u64::MAX, u32::MAX).is_empty());
        handles.close(handle);
        assert_eq!(handles.shown(handle).err(), Some(DriveError::NotFound));
        assert_eq!(handles.len(), 0);
    }
}

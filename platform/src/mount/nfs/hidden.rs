//! Files that clients have removed while a program had them open.
//!
//! NFS has no open files, so what is removed is gone for whoever reads on. Clients know that: a file that they remove, or put
//! another in the place of, while a program has it open they first rename to `.nfs…`, which they remove when it is closed.
//! Such a name never comes into the drive. The file is removed there at once, and is kept open here, as a kernel keeps a file
//! without a name, for as long as the client has the name for it.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::handles::InUse;
use crate::drive::NodeId;

/// How many at a time: each is an open file.
const MOST: usize = 1024;
/// What each such name begins with. Linux has digits behind it, macOS a dot and digits.
const BEGINS: &[u8] = b".nfs";
/// And how long it is at least.
const SHORTEST: usize = 12;

/// A client's name for a file without one.
#[must_use]
pub(super) fn is_hidden_name(name: &[u8]) -> bool {
    name.len() >= SHORTEST
        && name.strip_prefix(BEGINS).is_some_and(|rest| {
            rest.iter()
                .all(|byte| byte.is_ascii_hexdigit() || *byte == b'.')
        })
}

type Name = (NodeId, Box<[u8]>);

/// By folder and name.
#[derive(Default)]
pub(super) struct Hidden(Mutex<HashMap<Name, (NodeId, InUse)>>);

impl Hidden {
    /// There is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.0.lock().len() < MOST
    }

    /// Keeps a file that is removed now.
    pub(super) fn keep(&self, folder: NodeId, name: &[u8], node: NodeId, open: InUse) {
        let before = self.0.lock().insert((folder, name.into()), (node, open));
        // Whose end asks for the table of open files.
        drop(before);
    }

    /// What has this name.
    pub(super) fn get(&self, folder: NodeId, name: &[u8]) -> Option<NodeId> {
        let table = self.0.lock();
        table.get(&(folder, name.into())).map(|(node, _)| *node)
    }

    /// The client's name is gone: nobody has the file open any more.
    pub(super) fn take(&self, folder: NodeId, name: &[u8]) -> Option<NodeId> {
        let taken = self.0.lock().remove(&(folder, name.into()));
        taken.map(|(node, _)| node)
    }

    /// Whether a node is one of them.
    pub(super) fn has(&self, node: NodeId) -> bool {
        self.0.lock().values().any(|(hidden, _)| *hidden == node)
    }

    /// There are no clients any more.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        drop(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_are_told_from_others() {
        for name in [
            &b".nfs000000000000a1b200000001"[..],
            b".nfs.20051013.0000",
            b".nfsA1B2C3D4",
        ] {
            assert!(is_hidden_name(name));
        }
        for name in [
            &b".nfs"[..],
            b".nfs0001",
            b".nfs-settings.json",
            b"a.nfs0000000000000001",
            b".nfs00000000000000 1",
        ] {
            assert!(!is_hidden_name(name));
        }
    }
}

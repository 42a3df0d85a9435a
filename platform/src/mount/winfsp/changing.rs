//! What changes something on the drive: writing, sizes, times, names, and what goes.
//!
//! Only reading, writing and listing can be answered later; the rest is waited for on the thread that it came by. On what
//! may be changed at all (takes, the drop box, files beside sounds) that is a disk of this machine.

use std::ffi::OsString;

use bytes::Bytes;

use super::adapter::Adapter;
use super::info::{self, Info};
use super::names;
use super::opens::{ATTEMPTS, Open};
use super::status::Status;
use super::walk::Found;
use crate::drive::{
    Allocation, AttributeChange, Cursor, DriveError, Fill, HandleId, NodeId, Replacing, Requester,
};

/// Where a write goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Behind the last byte instead.
    pub(super) to_end: bool,
    /// Nothing beyond the end is written: it comes from pages that are mapped.
    pub(super) within: bool,
}

impl Place {
    /// Where so many bytes go, and how many of them, in a file of this size.
    fn of(self, length: usize, size: u64) -> (u64, usize) {
        let offset = if self.to_end { size } else { self.offset };
        if !self.within {
            return (offset, length);
        }
        let room = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        (offset, length.min(room))
    }
}

impl Adapter {
    /// Writes; gives how much, and what the file is then.
    pub(super) async fn write(
        &self,
        open: &Open,
        data: &[u8],
        place: Place,
    ) -> Result<(u32, Info), Status> {
        let _pending = open.begins();
        let handle = open.handle().await?;
        let size = match place.to_end || place.within {
            true => self.info(open)?.size,
            false => 0,
        };
        let (offset, length) = place.of(data.len(), size);
        let data = Bytes::copy_from_slice(data.get(..length).unwrap_or(data));
        let written = match data.is_empty() {
            true => 0,
            false => {
                let answer = self
                    .asking
                    .settle(|drive| drive.write(handle, offset, data, &open.by));
                answer.await?
            }
        };
        Ok((written, self.info(open)?))
    }

    /// The handle for what writes through one; waited for where it is on its way.
    fn written_by(&self, open: &Open) -> Result<Option<HandleId>, Status> {
        if !open.writes {
            return Ok(None);
        }
        let mut handle = Box::pin(open.handle());
        let handle = match self.asking.begin(&mut handle) {
            std::task::Poll::Ready(handle) => handle,
            std::task::Poll::Pending => self.asking.runtime.block_on(handle),
        };
        Ok(Some(handle?))
    }

    fn set(&self, open: &Open, change: AttributeChange) -> Result<Info, Status> {
        let (mut node, by) = (open.node(), open.by);
        let mut handle = self.written_by(open)?;
        for _ in 0..ATTEMPTS {
            if !self.may_write(node, &by) {
                let refused = self.refusal(|drive| match change.size {
                    Some(_) => drive.refuse_write(node, &by),
                    None => drive.refuse_change(node, &by),
                });
                return Err(refused.into());
            }
            let set = self
                .asking
                .wait(move |drive| drive.set_attributes(node, handle, change, &by));
            match set {
                Ok((attributes, ttl)) => {
                    return Ok(self.info_of(node, &attributes, !ttl.is_zero()));
                }
                // Whoever changes such a file gets one of its own, and the name leads there from then on.
                Err(DriveError::Stale) => {
                    node = self.walk(&open.path(), &by)?.node;
                    handle = None;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(DriveError::Stale.into())
    }

    pub(super) fn set_size(&self, open: &Open, size: u64) -> Result<Info, Status> {
        let change = AttributeChange {
            size: Some(size),
            ..AttributeChange::default()
        };
        self.set(open, change)
    }

    /// Makes room in a file; one that is longer is cut.
    pub(super) fn set_allocated(&self, open: &Open, room: u64) -> Result<Info, Status> {
        let now = self.info(open)?;
        if room < now.size {
            return self.set_size(open, room);
        }
        let Some(handle) = self.written_by(open)? else {
            return Ok(now);
        };
        let allocation = Allocation {
            offset: 0,
            length: room,
            keep_size: true,
            fill: Fill::Kept,
        };
        let made = self
            .asking
            .wait(move |drive| drive.allocate(handle, allocation));
        match made {
            Err(full @ (DriveError::NoSpace | DriveError::TooLarge)) => Err(full.into()),
            // It is a wish.
            _ => Ok(now),
        }
    }

    /// Times; what is 0 stays.
    pub(super) fn set_times(
        &self,
        open: &Open,
        accessed: u64,
        modified: u64,
    ) -> Result<Info, Status> {
        let change = info::times(accessed, modified);
        if change == AttributeChange::default() {
            return self.info(open);
        }
        self.set(open, change)
    }

    /// What was written is on the disk when this is answered.
    pub(super) fn flush(&self, open: &Open) -> Result<Info, Status> {
        if open.is_folder {
            let node = open.node();
            self.asking.wait(move |drive| drive.sync_folder(node))?;
        } else if let Some(handle) = self.written_by(open)? {
            self.asking.wait(move |drive| drive.sync(handle, false))?;
        }
        self.info(open)
    }

    /// May it go, when it is closed? Afterwards nobody can be told any more that it did not.
    pub(super) fn may_remove(&self, open: &Open) -> Result<(), Status> {
        self.may_go(open.node(), open.is_folder, &open.by)
    }

    pub(super) fn may_go(
        &self,
        node: NodeId,
        is_folder: bool,
        by: &Requester,
    ) -> Result<(), Status> {
        if node == NodeId::ROOT {
            return Err(Status::ACCESS_DENIED);
        }
        let may = self.asking.ask(|drive| Ok(drive.may_remove(node, by)));
        if may != Ok(true) {
            return Err(self.refusal(|drive| drive.refuse_change(node, by)).into());
        }
        let mut is_empty = true;
        if is_folder {
            self.asking.ask(|drive| {
                drive.list(node, Cursor::default(), false, by, &mut |_| {
                    is_empty = false;
                    false
                })
            })?;
        }
        match is_empty {
            true => Ok(()),
            false => Err(Status::DIRECTORY_NOT_EMPTY),
        }
    }

    /// The last program that has it open closes it; with `remove` it goes, under the name that it has now. The drive's handle
    /// stays until the close: WinFsp may ask on until then, also of what was removed.
    pub(super) fn cleanup(&self, open: &Open, path: Option<&[u16]>, remove: bool) {
        let path = path.map_or_else(|| open.path(), <[u16]>::to_vec);
        if remove && let Err(status) = self.remove(open, &path) {
            let Status(number) = status;
            tracing::warn!(
                path = %String::from_utf16_lossy(&path),
                status = format!("{number:#x}"),
                "what was to be removed stays"
            );
        }
        self.closed(open);
    }

    fn remove(&self, open: &Open, path: &[u16]) -> Result<(), Status> {
        let found = self.walk(path, &open.by)?;
        let (by, is_folder, parent) = (open.by, open.is_folder, found.parent);
        self.asking
            .wait(move |drive| drive.remove(parent, &found.name, is_folder, &by))?;
        self.changes.cases.lock().changed(parent);
        Ok(())
    }

    pub(super) fn rename(
        &self,
        from: &[u16],
        to: &[u16],
        replace: bool,
        by: &Requester,
    ) -> Result<(), Status> {
        let found = self.walk(from, by)?;
        let (folder, shown) = names::split(to).ok_or(Status::OBJECT_NAME_COLLISION)?;
        let folder = self.walk(folder, by).map_err(|status| match status {
            Status::OBJECT_NAME_NOT_FOUND => Status::OBJECT_PATH_NOT_FOUND,
            other => other,
        })?;
        if shown.len() > names::LONGEST_NAME {
            return Err(Status::NAME_TOO_LONG);
        }
        let mut wanted: Vec<OsString> = names::meant(shown).collect();
        match self.step(folder.node, shown, by) {
            Ok(there) if !is_same(&found, folder.node, &there.name) => {
                if !replace {
                    return Err(Status::OBJECT_NAME_COLLISION);
                }
                // It may have the name in another case; two of them would be one to every program.
                wanted = vec![there.name];
            }
            Ok(_) | Err(DriveError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        let replacing = match replace {
            true => Replacing::Replace,
            false => Replacing::Keep,
        };
        let (by, folders) = (*by, [found.parent, folder.node]);
        let rename = |name: OsString| {
            let from = (found.parent, found.name.clone());
            self.asking.wait(move |drive| {
                let to = (folder.node, name.as_os_str());
                drive.rename((from.0, &from.1), to, replacing, &by)
            })
        };
        // As what is made: by the very same name first.
        let renamed = |names: Vec<OsString>| {
            let mut renamed = Err(DriveError::Invalid);
            for name in names {
                renamed = rename(name);
                if renamed != Err(DriveError::ReadOnly) {
                    break;
                }
            }
            renamed
        };
        match renamed(wanted) {
            Err(refused @ DriveError::ReadOnly) => {
                let name = self.in_case_of_neighbour(folder.node, shown, &by);
                let name = name.ok_or(refused)?;
                renamed(names::meant(&name).collect())?;
            }
            done => done?,
        }
        self.opens.renamed(from, to);
        let mut cases = self.changes.cases.lock();
        for folder in folders {
            cases.changed(folder);
        }
        Ok(())
    }
}

fn is_same(found: &Found, folder: NodeId, name: &std::ffi::OsStr) -> bool {
    found.parent == folder && found.name == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_go_where_windows_means_them() {
        let place = |offset, to_end, within| Place {
            offset,
            to_end,
            within,
        };
        assert_eq!(place(10, false, false).of(5, 3), (10, 5));
        assert_eq!(place(u64::MAX, true, false).of(5, 3), (3, 5));
        assert_eq!(place(0, false, true).of(5, 3), (0, 3));
        assert_eq!(place(3, false, true).of(5, 3), (3, 0));
        assert_eq!(place(9, false, true).of(5, 3), (9, 0));
    }
}

//! What is in files: opened when a client reads or writes, brought to the disk when it wants that.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::convert::Status;
use super::copies::Original;
use super::export::{Export, Result};
use super::handles::InUse;
use crate::drive::{AttributeChange, Attributes, NewTime, NodeId, OpenMode, Opened};

/// Bytes that may be unsure: then they are brought to the disk, so that a client that asks for it at the end of a long copy
/// waits no longer for that than it waits at all, on macOS for half a minute.
const MOST_UNSURE: u64 = 256 << 20;

/// What is read of a file.
pub(super) struct Read {
    pub(super) bytes: Bytes,
    pub(super) is_end: bool,
}

impl Export {
    /// A handle of a node, the one that it has or a new one; of a node that was copied when it was written to, one of the
    /// copy.
    pub(super) async fn open(&self, node: NodeId, write: bool) -> Result<InUse> {
        match self.open_itself(node, write).await {
            Err(status) => {
                let copy = self.copy_instead(node, status)?;
                self.open_itself(copy, write).await
            }
            opened => opened,
        }
    }

    async fn open_itself(&self, node: NodeId, write: bool) -> Result<InUse> {
        self.known.lock().used(node);
        if let Some(open) = self.handles.get((node, write)) {
            return Ok(open);
        }
        // It is not opened any more: it has no name.
        if self.hidden.has(node)
            && let Some(open) = self.handles.get((node, true))
        {
            return Ok(open);
        }
        let mode = OpenMode {
            read: true,
            write,
            ..OpenMode::default()
        };
        let by = self.by;
        let opened = self
            .settle(move |drive| drive.open(node, mode, &by))
            .await?;
        Ok(self.keep(node, write, opened))
    }

    /// Where a node is stale as a copy was made of it, that copy: clients take it for the node from now on.
    ///
    /// # Errors
    /// What the node was answered with, where there is no such thing.
    fn copy_instead(&self, node: NodeId, answered: Status) -> Result<NodeId> {
        if answered != Status::Stale {
            return Err(answered);
        }
        let copy = self.ask(|drive| Ok(drive.copy_of(node)))?.ok_or(answered)?;
        let inode = self.attributes(node)?.inode;
        self.looked_up(copy);
        self.copies.add(Original { node, inode }, copy);
        Ok(copy)
    }

    pub(super) fn keep(&self, node: NodeId, write: bool, opened: Opened) -> InUse {
        let (in_use, closing) = self.handles.opened((node, write), opened);
        if let Some(closing) = closing {
            self.close(closing);
        }
        in_use
    }

    pub(super) async fn read(&self, node: NodeId, offset: u64, length: u32) -> Result<Read> {
        let open = self.open(node, false).await?;
        let (handle, by) = (open.handle, self.by);
        let mut bytes = self
            .settle(move |drive| drive.read(handle, offset, length, &by))
            .await?;
        bytes.truncate(length as usize);
        let is_end = match bytes.len() < length as usize {
            true => true,
            false => {
                // It may have turned out just now that it is a copy of that.
                let size = self.attributes(self.copies.lead(node))?.size;
                offset.saturating_add(bytes.len() as u64) >= size
            }
        };
        Ok(Read { bytes, is_end })
    }

    /// With `is_sure` it is on the disk once it is answered.
    pub(super) async fn write(
        &self,
        node: NodeId,
        offset: u64,
        data: Bytes,
        is_sure: bool,
    ) -> Result<()> {
        if !self.may_write(node)? {
            return Err(self.refusal(|drive| drive.refuse_write(node, &self.by)));
        }
        let open = self.open(node, true).await?;
        let (handle, by) = (open.handle, self.by);
        let (mut left, mut at) = (data, offset);
        let mut unsure = 0;
        while !left.is_empty() {
            let part = left.clone();
            let written = self
                .settle(move |drive| drive.write(handle, at, part, &by))
                .await?;
            if written == 0 {
                return Err(Status::Io);
            }
            let _ = left.split_to((written as usize).min(left.len()));
            at = at.saturating_add(u64::from(written));
            unsure = open.written(u64::from(written));
        }
        match is_sure || unsure >= MOST_UNSURE {
            true => self.make_sure(&open).await,
            false => Ok(()),
        }
    }

    /// All that was written is on the disk once this is answered. What is closed was so before.
    pub(super) async fn commit(&self, node: NodeId) -> Result<()> {
        match self.handles.get((node, true)) {
            Some(open) => self.make_sure(&open).await,
            None => Ok(()),
        }
    }

    pub(super) async fn make_sure(&self, open: &InUse) -> Result<()> {
        let handle = open.handle;
        open.is_being_made_sure();
        let made_sure = self.settle(move |drive| drive.sync(handle, true)).await;
        if made_sure.is_err() {
            // A system says so once, and to one of those who wait for it.
            self.verifier.fetch_add(1, Ordering::SeqCst);
        }
        made_sure
    }

    pub(super) async fn change(&self, node: NodeId, change: AttributeChange) -> Result<Attributes> {
        let by = self.by;
        if !self.may_write(node)? {
            return Err(self.refusal(|drive| match change.size {
                Some(_) => drive.refuse_write(node, &by),
                None => drive.refuse_change(node, &by),
            }));
        }
        let in_use = match change.size {
            // As a write, it is on the disk before it is answered: no client asks for that once more.
            Some(_) => Some(self.open(node, true).await?),
            None => self.handles.get((node, true)),
        };
        let handle = in_use.as_ref().map(|open| open.handle);
        let set = |node| self.settle(move |drive| drive.set_attributes(node, handle, change, &by));
        let mut node = self.copies.lead(node);
        let mut changed = set(node).await;
        if let Err(status) = changed {
            node = self.copy_instead(node, status)?;
            changed = set(node).await;
        }
        let (attributes, _) = changed?;
        if let Some(open) = &in_use {
            if change.size.is_some() {
                self.make_sure(open).await?;
            }
            if matches!(change.modified, Some(NewTime::At(_))) {
                open.given_a_time();
            }
        }
        Ok(self.told(node, attributes))
    }
}

//! Names in folders that are written to: made, given to another, removed.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::convert::Status;
use super::export::{Export, Result, named};
use super::hidden::is_hidden_name;
use crate::drive::{DriveError, Entry, Making, NodeId, NodeKind, OpenMode, Replacing};

/// Files made exclusively whose calls are known when they come a second time.
pub(super) const MADE_ONCE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// By folder and name, by what clients know their calls again.
pub(super) type MadeOnce = LruCache<(NodeId, Box<[u8]>), u64>;
/// How often a file is looked up anew that was replaced while it was being removed.
const TRIES: usize = 3;

/// What is done where a file is made that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HowToMake {
    /// It is the one.
    OrFind,
    /// It is an error.
    New,
    /// It is an error, unless it was made by this very call, which comes a second time.
    Once { known_by: u64 },
}

impl Export {
    pub(super) async fn create(
        &self,
        folder: NodeId,
        name: &[u8],
        permissions: u16,
        how: HowToMake,
    ) -> Result<Entry> {
        let made_as = (folder, Box::from(name));
        let making = Making {
            permissions,
            mode: OpenMode {
                read: true,
                write: true,
                ..OpenMode::default()
            },
            exclusive: how != HowToMake::OrFind,
        };
        let (new, by) = (named(name)?.to_owned(), self.by);
        let made = self
            .settle(move |drive| drive.create(folder, &new, making, &by))
            .await;
        let (entry, opened) = match (made, how) {
            (Err(Status::Exists), HowToMake::Once { known_by })
                if self.made_once.lock().peek(&made_as) == Some(&known_by) =>
            {
                return self.look_up(folder, name);
            }
            (made, _) => made?,
        };
        if let HowToMake::Once { known_by } = how {
            self.made_once.lock().push(made_as, known_by);
        }
        self.looked_up(entry.node);
        drop(self.keep(entry.node, true, opened));
        self.make_sure_of(folder).await?;
        Ok(self.entry(entry))
    }

    pub(super) async fn make_folder(
        &self,
        folder: NodeId,
        name: &[u8],
        permissions: u16,
    ) -> Result<Entry> {
        let (name, by) = (named(name)?.to_owned(), self.by);
        let entry = self
            .settle(move |drive| drive.make_folder(folder, &name, permissions, &by))
            .await?;
        self.looked_up(entry.node);
        self.make_sure_of(folder).await?;
        Ok(self.entry(entry))
    }

    pub(super) async fn remove(&self, folder: NodeId, name: &[u8], is_folder: bool) -> Result<()> {
        if let Some(node) = self.hidden.take(folder, name) {
            for closing in self.handles.of(node) {
                self.close(closing);
            }
            self.known.lock().forget(node, self.asking.drive.as_ref());
            return Ok(());
        }
        // What is not there is not there, also where nothing may be removed.
        self.look_up(folder, name)?;
        let (name, by) = (named(name)?.to_owned(), self.by);
        self.settle(move |drive| drive.remove(folder, &name, is_folder, &by))
            .await?;
        self.make_sure_of(folder).await
    }

    pub(super) async fn rename(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8])) -> Result<()> {
        if is_hidden_name(to.1) {
            return self.hide(from, to).await;
        }
        let (old, new) = (named(from.1)?.to_owned(), named(to.1)?.to_owned());
        let (from, to, by) = (from.0, to.0, self.by);
        self.settle(move |drive| drive.rename((from, &old), (to, &new), Replacing::Replace, &by))
            .await?;
        self.make_sure_of(to).await?;
        match from == to {
            true => Ok(()),
            false => self.make_sure_of(from).await,
        }
    }

    /// A client removes a file that a program has open (see [`super::hidden`]).
    async fn hide(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8])) -> Result<()> {
        let (folder, name) = from;
        if folder != to.0 {
            return Err(Status::Elsewhere);
        }
        if !self.hidden.has_room() {
            return Err(Status::from(DriveError::TooManyOpen));
        }
        // What has the name may be replaced meanwhile, by way of another folder that shows it.
        for _ in 0..TRIES {
            match self.hide_once(folder, name, to.1).await {
                Err(Status::Stale | Status::NotFound) => {}
                answer => return answer,
            }
        }
        // It is gone already, which is what is wanted: the client has the name from a moment ago.
        Ok(())
    }

    async fn hide_once(&self, folder: NodeId, name: &[u8], hidden: &[u8]) -> Result<()> {
        let entry = self.look_up(folder, name)?;
        if entry.attributes.kind != NodeKind::File {
            return Err(Status::Invalid);
        }
        let node = entry.node;
        let write = self.may_write(node)? && self.handles.get((node, true)).is_some();
        let open = self.open(node, write).await?;
        self.remove(folder, name, false).await?;
        self.hidden.keep(folder, hidden, node, open);
        Ok(())
    }

    /// The names in a folder outlast a loss of power: whoever syncs a folder does not ask the server, as each change of a
    /// name is to be on the disk before it is answered.
    async fn make_sure_of(&self, folder: NodeId) -> Result<()> {
        self.settle(move |drive| drive.sync_folder(folder)).await
    }
}

//! Open sidecars.

use std::fs::File;
use std::io;
use std::sync::Arc;

use mediafs_platform::files::Opening;

use super::{ItemKey, Sidecars, State};
use crate::model::SidecarName;

/// An open sidecar.
pub(crate) struct SidecarHandle {
    sidecars: Arc<Sidecars>,
    number: u32,
    file: Arc<File>,
    writes: bool,
}

impl SidecarHandle {
    /// Opens the sidecar of a node.
    pub(crate) fn open(
        sidecars: &Arc<Sidecars>,
        number: u32,
        write: bool,
        truncate: bool,
    ) -> io::Result<Self> {
        let (gone, path) = {
            let table = sidecars.table.lock();
            let node = table.nodes.get(&number).ok_or(io::ErrorKind::NotFound)?;
            let name = node.name.as_ref();
            let path = name.map(|(key, name)| sidecars.folder(key).path(name));
            (node.gone.clone(), path)
        };
        if let Some(gone) = gone {
            if write && truncate {
                gone.set_len(0)?;
            }
            return Ok(Self::of(sidecars, number, gone, write));
        }
        let path = path.ok_or(io::ErrorKind::NotFound)?;
        let how = Opening {
            write,
            truncate: write && truncate,
            change_meta: true,
            ..Opening::default()
        };
        let file = how.open(&path)?;
        Ok(Self::of(sidecars, number, Arc::new(file), write))
    }

    /// Makes a sidecar, or opens the one that is there; for writing. Gives the number of its node.
    pub(crate) fn create(
        sidecars: &Arc<Sidecars>,
        key: &ItemKey,
        name: &SidecarName,
        permissions: u16,
        exclusive: bool,
        truncate: bool,
    ) -> io::Result<(u32, Self)> {
        let _changing = sidecars.changing.lock();
        if let State::Kept(number) = sidecars.state(key, name) {
            if exclusive {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            return Ok((number, Self::open(sidecars, number, true, truncate)?));
        }
        sidecars.room_for_one(key)?;
        let file = sidecars.folder(key).create(name, permissions)?;
        let number = sidecars.table.lock().add(key, name);
        Ok((number, Self::of(sidecars, number, Arc::new(file), true)))
    }

    fn of(sidecars: &Arc<Sidecars>, number: u32, file: Arc<File>, writes: bool) -> Self {
        if let Some(node) = sidecars.table.lock().nodes.get_mut(&number) {
            node.handles += 1;
            node.file = Arc::downgrade(&file);
        }
        Self {
            sidecars: Arc::clone(sidecars),
            number,
            file,
            writes,
        }
    }

    /// For reading, and for writing if it is open for that.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// It is open for writing.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    /// What was written is on the disk when this returns, and so is its name if it has one.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()?;
        match self.sidecars.name_of(self.number) {
            Some((key, _)) => self.sidecars.folder(&key).sync(),
            None => Ok(()),
        }
    }
}

impl Drop for SidecarHandle {
    fn drop(&mut self) {
        let mut table = self.sidecars.table.lock();
        if let Some(node) = table.nodes.get_mut(&self.number) {
            node.handles = node.handles.saturating_sub(1);
        }
        table.drop_unused(self.number);
    }
}

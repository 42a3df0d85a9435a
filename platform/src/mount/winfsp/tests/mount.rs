//! A mount without a system that asks it.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::super::adapter::{Adapter, requester};
use super::super::changing::Place;
use super::super::opens::Open;
use super::super::status::Status;
use super::drive::MemoryDrive;
use crate::drive::{Drive, Invalidate};

pub(super) const READ: u32 = 0x0012_0089;
pub(super) const WRITE: u32 = 0x0012_019f;
pub(super) const LOOK: u32 = 0x0010_0080;

/// A drive, and the adapter of its mount.
pub(super) struct Mount {
    pub(super) drive: Arc<MemoryDrive>,
    pub(super) adapter: Arc<Adapter>,
    pub(super) ending: watch::Sender<bool>,
    pub(super) runtime: Runtime,
}

impl Mount {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let drive = MemoryDrive::new();
        let (ending, watched) = watch::channel(false);
        let shared = Arc::clone(&drive) as Arc<dyn Drive>;
        let adapter = Arc::new(Adapter::new(shared, runtime.handle().clone(), watched).unwrap());
        let changes = Arc::clone(&adapter.changes) as Arc<dyn Invalidate>;
        drive.mounted(changes);
        Self {
            drive,
            adapter,
            ending,
            runtime,
        }
    }

    pub(super) fn open_as(
        &self,
        path: &str,
        granted: u32,
        process: u32,
    ) -> Result<Arc<Open>, Status> {
        let by = requester(process);
        let opened = self.adapter.open(&wide(path), 0, granted, by);
        opened.map(|(open, _)| open)
    }

    pub(super) fn open(&self, path: &str, granted: u32) -> Result<Arc<Open>, Status> {
        self.open_as(path, granted, 7)
    }

    pub(super) fn read(&self, open: &Open, offset: u64, length: u32) -> Result<Vec<u8>, Status> {
        let read = self
            .runtime
            .block_on(self.adapter.read(open, offset, length));
        read.map(|bytes| bytes.to_vec())
    }

    pub(super) fn write(&self, open: &Open, data: &[u8], place: Place) -> Result<u32, Status> {
        let written = self.runtime.block_on(self.adapter.write(open, data, place));
        written.map(|(written, _)| written)
    }

    pub(super) fn look(&self, path: &str) -> Result<u32, Status> {
        let looked = self.adapter.look(&wide(path), &requester(0), false);
        looked.map(|(info, _)| info.attributes)
    }

    pub(super) fn list(&self, path: &str) -> Vec<(String, u32)> {
        let open = self.open(path, READ).unwrap();
        let mut all = Vec::new();
        let listed = self.adapter.list(&open, |name, info| {
            all.push((String::from_utf16(name).unwrap(), info.attributes));
            Ok(())
        });
        listed.unwrap();
        self.adapter.close(&open);
        all
    }

    pub(super) fn names(&self, path: &str) -> Vec<String> {
        self.list(path).into_iter().map(|(name, _)| name).collect()
    }
}

pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

pub(super) fn at(offset: u64) -> Place {
    Place {
        offset,
        to_end: false,
        within: false,
    }
}

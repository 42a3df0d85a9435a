//! The cache of the home: opened when it is needed, looked after on request.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use mediafs_cache::{CacheError, ObjectId, OnEvicted, Store, StoreOptions};
use parking_lot::Mutex;

use super::{Service, cancelled};
use crate::config::CacheConfig;
use crate::control::methods::{
    CacheEvicted, CacheNumbers, CacheVerified, EvictParams, LostCopy, Notification, TaskKind,
    TaskProgress,
};
use crate::control::tasks::TaskState;
use crate::control::{Caller, RpcError};
use crate::home::Home;
use crate::hydrate::Why;
use crate::model::ObjectHash;

/// The cache of a home, opened when it is first asked for: a mount never waits for it.
#[derive(Clone)]
pub struct LazyStore {
    folder: PathBuf,
    config: CacheConfig,
    store: Arc<OnceLock<Store>>,
    /// Held by who opens it.
    opening: Arc<Mutex<()>>,
    /// Told of what is evicted, once there is somebody to tell.
    on_evicted: Arc<OnceLock<OnEvicted>>,
}

impl LazyStore {
    /// Of a home; nothing is opened yet.
    #[must_use]
    pub fn new(home: &Home, config: &CacheConfig) -> Self {
        Self {
            folder: home.cache().to_owned(),
            config: *config,
            store: Arc::default(),
            opening: Arc::default(),
            on_evicted: Arc::default(),
        }
    }

    /// The store.
    ///
    /// # Errors
    /// When it can't be opened; the next call tries again.
    pub fn get(&self) -> Result<Store, CacheError> {
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let _opening = self.opening.lock();
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let told = Arc::clone(&self.on_evicted);
        let opened = Store::open(
            &self.folder,
            StoreOptions {
                quota: self.config.quota,
                floor: self.config.free_floor,
                on_evicted: Some(Arc::new(move |id| {
                    if let Some(told) = told.get() {
                        told(id);
                    }
                })),
                ..StoreOptions::default()
            },
        )?;
        Ok(self.store.get_or_init(|| opened).clone())
    }

    /// Who is told of each object that is evicted, as [`StoreOptions::on_evicted`] says. The first one stays.
    pub(crate) fn on_evicted(&self, told: OnEvicted) {
        let _ = self.on_evicted.set(told);
    }

    /// The store, if it was opened. Waits for nothing, not even for who opens it: this is what the drive asks.
    #[must_use]
    pub fn opened(&self) -> Option<Store> {
        self.store.get().cloned()
    }
}

impl Service {
    pub(super) fn cache_stats(&self) -> Result<CacheNumbers, RpcError> {
        let usage = self.cache.get()?.usage()?;
        Ok(CacheNumbers {
            objects: usage.objects,
            bytes: usage.object_bytes,
            pinned_bytes: usage.pinned_bytes,
            reserved_bytes: usage.reserved_bytes,
            damaged_bytes: usage.damaged_bytes,
            quota_bytes: usage.quota,
            free_floor_bytes: usage.floor,
        })
    }

    pub(super) fn cache_verify(&self, caller: &mut dyn Caller) -> Result<CacheVerified, RpcError> {
        let store = self.cache.get()?;
        let total = store.usage()?.objects;
        let mut task = self.running.begin(TaskKind::Verify);
        let report = store.verify_all(|done| {
            let progress = TaskProgress {
                kind: TaskKind::Verify,
                subject: "the cache".to_owned(),
                done,
                total: Some(total),
            };
            task.progress(&progress);
            let told = caller.tell(&Notification::Progress(progress));
            if told.is_err() || task.is_cancelled() {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        })?;
        if !report.complete {
            task.end(TaskState::Cancelled, None);
            return Err(cancelled());
        }
        task.end(TaskState::Done, None);
        let damaged = report.damaged.iter().map(|damaged| damaged.id);
        let mut sounds = Vec::new();
        for id in damaged.chain(report.vanished.iter().copied()) {
            self.copy_is_lost(id, &mut sounds)?;
        }
        Ok(CacheVerified {
            sounds,
            intact: report.intact,
            intact_bytes: report.intact_bytes,
            damaged: report
                .damaged
                .iter()
                .map(|damaged| damaged.id.to_string())
                .collect(),
            vanished: report.vanished.iter().map(ToString::to_string).collect(),
        })
    }

    /// An object is not in the cache any more, though nobody wanted that: its items are what they were before it came,
    /// and the pinned ones are brought again.
    fn copy_is_lost(&self, id: ObjectId, sounds: &mut Vec<LostCopy>) -> Result<(), RpcError> {
        let hash = ObjectHash(*id.as_bytes());
        self.catalog.object_changed(hash)?;
        let reader = self.catalog.reader()?;
        for item in reader.items_of_bytes(hash)? {
            let again = match self.away.get() {
                Some(away) if !reader.pins_of(item.row)?.is_empty() => {
                    away.hydrate(&reader, &item, Why::Pinned)?.is_some()
                }
                _ => false,
            };
            sounds.push(LostCopy {
                media_id: item.media_id,
                name: item.name,
                blake3: id.to_string(),
                fetched_again: again,
            });
        }
        Ok(())
    }

    pub(super) fn cache_evict(&self, params: EvictParams) -> Result<CacheEvicted, RpcError> {
        let store = self.cache.get()?;
        let bytes = match params.bytes {
            Some(bytes) => bytes,
            None => store.usage()?.used(),
        };
        Ok(CacheEvicted {
            bytes: store.evict_bytes(bytes)?,
        })
    }
}

//! The store: opening it, opening objects in it, pinning them, and what it holds.
//!
//! Objects come in by `put.rs` and `partial.rs`, leave by `evict.rs` and `verify.rs`; `reconcile.rs` counts the disk.
//!
//! Order of locks: an [`Exclusive`](crate::holds::Exclusive) on an object, then `upkeep`, then the database, then the
//! ledger. While holding `upkeep` nobody waits for an exclusive.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::database::Found;
use crate::disk::{AtPlace, Disk};
use crate::error::{CacheError, IoContext};
use crate::handles::OpenObject;
use crate::holds::Holds;
use crate::id::ObjectId;
use crate::index::{Index, LastUse, ObjectInfo};
use crate::pins::{PinOwner, Pins};
use crate::registry::Registry;
use crate::space::{FreeSpace, SystemSpace};

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// How much the cache may hold, in bytes. `None`: 10 % of its disk, at most 50 GB.
    pub quota: Option<u64>,
    /// How much must stay free on its disk, in bytes. `None`: 5 % of it, at most 1 GB.
    pub floor: Option<u64>,
    /// Who is asked how much is free.
    pub free_space: Arc<dyn FreeSpace>,
    /// Told of each object that was evicted. It must not wait, nor use the store.
    pub on_evicted: Option<OnEvicted>,
}

/// Told of an object that was evicted.
pub type OnEvicted = Arc<dyn Fn(ObjectId) + Send + Sync>;

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            quota: None,
            floor: None,
            free_space: Arc::new(SystemSpace),
            on_evicted: None,
        }
    }
}

/// How a store was found when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// The folder was empty: a new cache was made.
    pub created: bool,
    /// The index was missing or corrupt and is made again from the objects by [`Store::reconcile`]. Objects can be
    /// opened before. The order of last uses is lost.
    pub index_lost: bool,
    /// The list of pins is lost, now or in an earlier run. Nothing is evicted until somebody has pinned again what must
    /// stay and said so by [`Store::pins_restored`].
    pub pins_lost: bool,
    /// The cache was not closed in order, or its index is lost: it should be reconciled soon. Whoever needs space first
    /// does it otherwise.
    pub needs_reconcile: bool,
    /// Corrupt databases that were set aside.
    pub set_aside: Vec<PathBuf>,
}

/// What a store holds. All but the counts in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// How much it may hold.
    pub quota: u64,
    /// How much must stay free on its disk.
    pub floor: u64,
    /// How many objects there are.
    pub objects: u64,
    /// Their sizes.
    pub object_bytes: u64,
    /// The part of these that is pinned.
    pub pinned_bytes: u64,
    /// What is reserved for what is arriving, and for what has arrived in part.
    pub reserved_bytes: u64,
    /// What was set aside; it goes first when space is needed.
    pub damaged_bytes: u64,
    /// How many objects are open.
    pub open_objects: usize,
    /// False while the sums may differ from the disk, until [`Store::reconcile`] was run.
    pub counted: bool,
}

impl Usage {
    /// All that counts against the quota, in bytes.
    pub fn used(&self) -> u64 {
        self.object_bytes
            .saturating_add(self.reserved_bytes)
            .saturating_add(self.damaged_bytes)
    }
}

/// A content-addressed store in a folder of its own. Clones are handles of the same store; it is closed, and its lock
/// released, when the last of them and the last open or partial object is dropped.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// What all handles of a store share.
pub(crate) struct Inner {
    pub(crate) index: Index,
    pub(crate) pins: Pins,
    pub(crate) holds: Holds,
    pub(crate) registry: Registry,
    /// Uses since the last flush.
    uses: Mutex<HashMap<ObjectId, LastUse>>,
    clock: AtomicI64,
    /// Temporary files that somebody is writing now.
    pub(crate) temps: Mutex<HashSet<PathBuf>>,
    pub(crate) next_temp: AtomicU64,
    /// Held while files leave the cache and while the sums are reset.
    pub(crate) upkeep: Mutex<()>,
    /// Held by the one who reconciles.
    pub(crate) reconciling: Mutex<()>,
    opening: Opening,
    pub(crate) on_evicted: Option<OnEvicted>,
    /// Last, so that the lock on the folder is released when all else is closed.
    pub(crate) disk: Disk,
}

impl Store {
    /// Opens the store in `folder`, and makes it if the folder is empty or missing. How long this takes does not depend
    /// on how much is in it: no folder is listed, nothing is cleaned up.
    ///
    /// # Errors
    /// [`CacheError::Locked`] if another process has it open, [`CacheError::Newer`] if a newer version wrote it,
    /// [`CacheError::NotACache`] if the folder holds something else; or the disk or a database fails.
    pub fn open(folder: impl AsRef<Path>, options: StoreOptions) -> Result<Self, CacheError> {
        let (disk, created) = Disk::open(folder.as_ref())?;
        let space = |folder: &Path| {
            options
                .free_space
                .space(folder)
                .at("ask for the free space of", folder)
        };
        let (quota, floor) = match (options.quota, options.floor) {
            (Some(quota), Some(floor)) => (quota, floor),
            (quota, floor) => {
                let space = space(disk.root())?;
                (
                    quota.unwrap_or(space.default_quota()),
                    floor.unwrap_or(space.default_floor()),
                )
            }
        };
        let (pins, pins_found) = Pins::open(&disk)?;
        if !created && pins_found != Found::Whole {
            pins.set_lost(true)?;
        }
        let (index, index_found, totals) =
            Index::open(&disk, quota, floor, Arc::clone(&options.free_space))?;
        if created {
            index.ledger.dispel(index.ledger.doubts());
            disk.finish_creation()?;
        }
        let opening = Opening {
            created,
            index_lost: !created && index_found != Found::Whole,
            pins_lost: pins.are_lost()?,
            needs_reconcile: index.ledger.is_doubted(),
            set_aside: [pins_found, index_found]
                .into_iter()
                .filter_map(|found| match found {
                    Found::Corrupt(path) => Some(path),
                    Found::Whole | Found::Missing => None,
                })
                .collect(),
        };
        if opening.index_lost {
            tracing::warn!(cache = %disk.root().display(), "the index of the cache was lost; it is made again from the objects");
        }
        if opening.pins_lost {
            tracing::error!(cache = %disk.root().display(), "the list of pins of the cache was lost; nothing is evicted until it is restored");
        }
        let inner = Inner {
            index,
            pins,
            holds: Holds::default(),
            registry: Registry::default(),
            uses: Mutex::default(),
            clock: AtomicI64::new(totals.clock),
            temps: Mutex::default(),
            next_temp: AtomicU64::new(0),
            upkeep: Mutex::new(()),
            reconciling: Mutex::new(()),
            opening,
            on_evicted: options.on_evicted,
            disk,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// How it was found.
    pub fn opening(&self) -> &Opening {
        &self.inner.opening
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.inner.disk.root()
    }

    /// Opens an object, `None` if it is not in the cache. While it is open it is not evicted. Asks neither index nor
    /// ledger, so it waits for nobody.
    ///
    /// Its last use is noted in memory and reaches the index by [`Self::flush`].
    ///
    /// # Errors
    /// The disk fails. An object that is there but is no regular file counts as not there.
    pub fn open_object(&self, id: &ObjectId) -> Result<Option<OpenObject>, CacheError> {
        self.inner.open_object(id)
    }

    /// True if there is such an object. It may be evicted the next moment: to use it, open it.
    ///
    /// # Errors
    /// The disk fails.
    pub fn contains(&self, id: &ObjectId) -> Result<bool, CacheError> {
        Ok(matches!(self.inner.disk.at_place(id)?, AtPlace::File(_)))
    }

    /// Where an object lies, or would lie: to show it to a person. Programs open it, so that it stays.
    pub fn object_path(&self, id: &ObjectId) -> PathBuf {
        self.inner.disk.object_path(id)
    }

    /// Pins objects for an owner, durably; pinning twice is pinning once. Objects that are not in the cache can be
    /// pinned before they arrive. Returns those that are not there now.
    ///
    /// # Errors
    /// The disk or the database fails; some of the objects may be pinned then.
    pub fn pin(&self, owner: &PinOwner, objects: &[ObjectId]) -> Result<Vec<ObjectId>, CacheError> {
        self.inner.pins.add(owner, objects)?;
        let mut absent = Vec::new();
        for id in objects {
            // An eviction that began before the pin was written ends first; then the object is there or is not.
            self.inner.mirror_pin(id)?;
            if !self.contains(id)? {
                absent.push(*id);
            }
        }
        Ok(absent)
    }

    /// Takes back an owner's pins on these objects. Others' pins stay.
    ///
    /// # Errors
    /// The database fails.
    pub fn unpin(&self, owner: &PinOwner, objects: &[ObjectId]) -> Result<(), CacheError> {
        self.inner.pins.remove(owner, objects)?;
        objects.iter().try_for_each(|id| self.inner.mirror_pin(id))
    }

    /// Takes back all pins of an owner.
    ///
    /// # Errors
    /// The database fails.
    pub fn unpin_all(&self, owner: &PinOwner) -> Result<(), CacheError> {
        self.unpin(owner, &self.pins_of(owner)?)
    }

    /// What an owner pins, in the order of names.
    ///
    /// # Errors
    /// The database fails.
    pub fn pins_of(&self, owner: &PinOwner) -> Result<Vec<ObjectId>, CacheError> {
        self.inner.pins.of_owner(owner)
    }

    /// Who pins an object.
    ///
    /// # Errors
    /// The database fails.
    pub fn owners_of(&self, id: &ObjectId) -> Result<Vec<PinOwner>, CacheError> {
        self.inner.pins.owners_of(id)
    }

    /// Everybody who pins something.
    ///
    /// # Errors
    /// The database fails.
    pub fn pin_owners(&self) -> Result<Vec<PinOwner>, CacheError> {
        self.inner.pins.owners()
    }

    /// Says that, after the list of pins was lost, everything that must stay is pinned again: evictions may go on.
    ///
    /// # Errors
    /// The database fails.
    pub fn pins_restored(&self) -> Result<(), CacheError> {
        self.inner.pins.set_lost(false)
    }

    /// Up to `limit` objects in the order of their names, after the given one.
    ///
    /// # Errors
    /// The database fails.
    pub fn objects_after(
        &self,
        after: Option<&ObjectId>,
        limit: u32,
    ) -> Result<Vec<ObjectInfo>, CacheError> {
        self.inner.index.objects_after(after, limit)
    }

    /// What it holds.
    ///
    /// # Errors
    /// The database fails.
    pub fn usage(&self) -> Result<Usage, CacheError> {
        let totals = self.inner.index.totals()?;
        let account = self.inner.index.ledger.account();
        Ok(Usage {
            quota: account.quota,
            floor: account.floor,
            objects: totals.objects,
            object_bytes: account.objects,
            pinned_bytes: totals.pinned_bytes,
            reserved_bytes: account.live.saturating_add(account.dormant),
            damaged_bytes: account.damaged,
            open_objects: self.inner.holds.count(),
            counted: !self.inner.index.ledger.is_doubted(),
        })
    }

    /// Writes the last uses since the last flush to the index. Done at least when the store is closed and before
    /// something is evicted; a crash loses no more than the order of those since.
    ///
    /// # Errors
    /// The database fails.
    pub fn flush(&self) -> Result<(), CacheError> {
        self.inner.flush()
    }
}

impl Inner {
    /// A time for a use: later than all before.
    pub(crate) fn tick(&self) -> LastUse {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let now = LastUse::try_from(now).unwrap_or(LastUse::MAX);
        let next = |last: LastUse| Some(now.max(last.saturating_add(1)));
        // The closure never refuses, so the answer is the previous value either way.
        let last = self
            .clock
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .unwrap_or_else(|last| last);
        now.max(last.saturating_add(1))
    }

    pub(crate) fn used(&self, id: &ObjectId) {
        let mut uses = self.uses.lock();
        uses.insert(*id, self.tick());
    }

    pub(crate) fn flush(&self) -> Result<(), CacheError> {
        let uses: Vec<_> = std::mem::take(&mut *self.uses.lock()).into_iter().collect();
        if uses.is_empty() {
            Ok(())
        } else {
            self.index.touch(&uses)
        }
    }

    /// Makes the index say what the list of pins says.
    pub(crate) fn mirror_pin(&self, id: &ObjectId) -> Result<(), CacheError> {
        let _exclusive = self.holds.coming(id);
        let pinned = self.pins.is_pinned(id)?;
        self.index.set_pinned(&[(*id, pinned)])
    }

    pub(crate) fn is_live_temp(&self, path: &Path) -> bool {
        self.temps.lock().contains(path)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let closed = self.flush().and_then(|()| {
            if self.index.ledger.is_doubted() {
                Ok(())
            } else {
                self.index.set_counted(true)
            }
        });
        if let Err(error) = closed {
            tracing::warn!(%error, "the cache could not be closed in order; it will be counted when it is next used");
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("folder", &self.folder())
            .finish()
    }
}

//! Who gets space, and what goes for it.
//!
//! Reserving is the only way to space. When quota or disk are short, what was set aside goes first, then the least
//! recently used of objects and of partial objects that nobody fills. What is pinned, open or being filled never goes,
//! and nothing goes if all of it would not be enough.

use std::fs;
use std::path::Path;

use parking_lot::MutexGuard;

use crate::disk::{self, AtPlace};
use crate::error::{CacheError, IoContext};
use crate::id::ObjectId;
use crate::index::{Candidate, PartialRow};
use crate::ledger::{Refusal, Reservation};
use crate::store::{Inner, Store};

/// How many candidates are asked for at once.
const PAGE: u32 = 256;
/// How often the disk is counted for one reservation before giving up.
const COUNTS: u32 = 3;

/// What became of a wish to evict an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It is gone.
    Evicted,
    /// It is pinned and stays.
    Pinned,
    /// It is open, or just being put or evicted by another, and stays.
    InUse,
    /// It was not in the cache.
    Absent,
}

/// Something that can go.
enum Victim {
    Object(Candidate),
    Partial(PartialRow),
}

impl Store {
    /// Evicts one object if nothing speaks against it.
    ///
    /// # Errors
    /// [`CacheError::PinsLost`], or the disk or the database fails.
    pub fn evict(&self, id: &ObjectId) -> Result<Eviction, CacheError> {
        let _upkeep = self.inner.upkeep.lock();
        self.inner.check_pins()?;
        match self.inner.index.object(id)? {
            Some(info) => self.inner.evict_object(id, info.size),
            None => Ok(Eviction::Absent),
        }
    }

    /// Evicts the least recently used until `bytes` are free or nothing is left that may go. Returns how many bytes
    /// became free.
    ///
    /// # Errors
    /// [`CacheError::PinsLost`], or the disk or the database fails.
    pub fn evict_bytes(&self, bytes: u64) -> Result<u64, CacheError> {
        let upkeep = self.inner.upkeep.lock();
        self.inner.make_room(bytes, true, &upkeep)
    }

    /// Changes the quota, in bytes, and evicts what is above it as far as that may go. What is pinned or open stays;
    /// nothing more comes in until there is room again.
    ///
    /// # Errors
    /// The disk or the database fails; the quota is changed all the same.
    pub fn set_quota(&self, quota: u64) -> Result<(), CacheError> {
        self.inner
            .index
            .ledger
            .change(|account| account.quota = quota);
        self.inner.evict_excess()
    }

    /// Changes how much must stay free on the disk, in bytes. Heeded from the next reservation on.
    pub fn set_floor(&self, floor: u64) {
        self.inner
            .index
            .ledger
            .change(|account| account.floor = floor);
    }
}

impl Inner {
    /// Reserves space for something new.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<Reservation, CacheError> {
        let quota = self.index.ledger.account().quota;
        if bytes > quota {
            return Err(CacheError::TooLarge { size: bytes, quota });
        }
        self.admit(bytes, || {
            self.index.ledger.try_reserve(bytes, self.disk.root())
        })
    }

    /// Makes what a dormant partial object has reserved a living reservation; `written` bytes of it have arrived.
    pub(crate) fn wake(&self, bytes: u64, written: u64) -> Result<Reservation, CacheError> {
        self.admit(bytes, || {
            self.index.ledger.try_wake(bytes, written, self.disk.root())
        })
    }

    fn admit(
        &self,
        bytes: u64,
        attempt: impl Fn() -> Result<Result<Reservation, Refusal>, CacheError>,
    ) -> Result<Reservation, CacheError> {
        if let Ok(reservation) = attempt()? {
            return Ok(reservation);
        }
        let (mut counts, mut evicted_for_disk) = (0, false);
        let mut upkeep = self.upkeep.lock();
        loop {
            let (quota, disk, available) = match attempt()? {
                Ok(reservation) => return Ok(reservation),
                Err(Refusal::Short {
                    quota,
                    disk,
                    available,
                }) => (quota, disk, available),
                Err(Refusal::Uncounted) => {
                    if counts == COUNTS {
                        return Err(CacheError::Uncounted {
                            path: self.disk.root().to_owned(),
                        });
                    }
                    counts += 1;
                    drop(upkeep);
                    self.reconcile_if_doubted()?;
                    upkeep = self.upkeep.lock();
                    continue;
                }
            };
            // Where eviction did not help the disk (shared bytes, another program that writes), more of it won't.
            let freed = if quota == 0 && evicted_for_disk {
                0
            } else {
                self.make_room(quota.max(disk), false, &upkeep)?
            };
            evicted_for_disk |= disk > 0;
            if freed == 0 {
                let account = self.index.ledger.account();
                return Err(if quota > 0 {
                    CacheError::QuotaFull {
                        size: bytes,
                        quota: account.quota,
                        used: account.used(),
                    }
                } else {
                    CacheError::DiskFull {
                        path: self.disk.root().to_owned(),
                        size: bytes,
                        available,
                        floor: account.floor,
                    }
                });
            }
        }
    }

    /// Evicts what is above the quota, as far as that may go.
    pub(crate) fn evict_excess(&self) -> Result<(), CacheError> {
        let upkeep = self.upkeep.lock();
        let account = self.index.ledger.account();
        let excess = account.used().saturating_sub(account.quota);
        if excess == 0 {
            return Ok(());
        }
        match self.make_room(excess, true, &upkeep) {
            // Then it stays above until the pins are restored.
            Ok(_) | Err(CacheError::PinsLost { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Frees at least `bytes` if that can be done; if not, nothing, or all that can go where `even_if_less`.
    /// Returns how many bytes became free.
    fn make_room(
        &self,
        bytes: u64,
        even_if_less: bool,
        upkeep: &MutexGuard<'_, ()>,
    ) -> Result<u64, CacheError> {
        let damaged = self.index.ledger.account().damaged;
        let victims = if damaged >= bytes {
            Some(Vec::new())
        } else {
            self.victims(bytes - damaged, even_if_less)?
        };
        let Some(victims) = victims else { return Ok(0) };
        let mut freed = if damaged > 0 && bytes > 0 {
            self.discard_damaged(upkeep)?
        } else {
            0
        };
        for victim in victims {
            freed += match victim {
                Victim::Object(Candidate { id, size, .. }) => {
                    let evicted = self.evict_object(&id, size)? == Eviction::Evicted;
                    if evicted { size } else { 0 }
                }
                Victim::Partial((name, size, _)) => {
                    if self.discard_dormant(&name)? {
                        size
                    } else {
                        0
                    }
                }
            };
        }
        Ok(freed)
    }

    /// What should go for `bytes`, the least recently used first. `None` if all that can go is not enough.
    fn victims(&self, bytes: u64, even_if_less: bool) -> Result<Option<Vec<Victim>>, CacheError> {
        self.check_pins()?;
        self.flush()?;
        let mut partials = self
            .index
            .partials()?
            .into_iter()
            .filter(|(name, ..)| !self.registry.is_taken(name))
            .peekable();
        let (mut victims, mut sum) = (Vec::new(), 0u64);
        let mut last = None;
        let mut objects = Vec::new().into_iter().peekable();
        while sum < bytes {
            if objects.peek().is_none() {
                objects = self
                    .index
                    .evictable_after(last, PAGE)?
                    .into_iter()
                    .peekable();
            }
            let partial_first = match (partials.peek(), objects.peek()) {
                (Some((.., used)), Some(candidate)) => *used < candidate.last_use,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if partial_first {
                if let Some(row) = partials.next() {
                    sum = sum.saturating_add(row.1);
                    victims.push(Victim::Partial(row));
                }
                continue;
            }
            let Some(candidate) = objects.next() else {
                break;
            };
            last = Some(candidate);
            if !self.holds.is_held(&candidate.id) && !self.pins.is_pinned(&candidate.id)? {
                sum = sum.saturating_add(candidate.size);
                victims.push(Victim::Object(candidate));
            }
        }
        Ok((sum >= bytes || even_if_less).then_some(victims))
    }

    fn check_pins(&self) -> Result<(), CacheError> {
        if self.pins.are_lost()? {
            Err(CacheError::PinsLost {
                path: self.disk.root().to_owned(),
            })
        } else {
            Ok(())
        }
    }

    /// Under `upkeep`. The row goes before the file: a crash between leaves an object that the next count finds again.
    fn evict_object(&self, id: &ObjectId, size: u64) -> Result<Eviction, CacheError> {
        let Some(_exclusive) = self.holds.leaving_if_free(id) else {
            return Ok(Eviction::InUse);
        };
        // Whoever pins it from here on waits for us, and is told that it is gone.
        if self.pins.is_pinned(id)? {
            return Ok(Eviction::Pinned);
        }
        if self.index.remove_object(id)?.is_none() {
            return Ok(Eviction::Absent);
        }
        let removed = self.disk.at_place(id).and_then(|place| match place {
            AtPlace::File(_) => disk::remove_file(&self.disk.object_path(id)),
            AtPlace::Nothing | AtPlace::Stranger => Ok(()),
        });
        if let Err(error) = removed {
            // It is still there; the count puts its row back.
            self.index.ledger.doubt();
            return Err(error);
        }
        self.index
            .ledger
            .change(|account| account.objects = account.objects.saturating_sub(size));
        tracing::debug!(object = %id, size, "evicted");
        if let Some(told) = &self.on_evicted {
            told(*id);
        }
        Ok(Eviction::Evicted)
    }

    /// Removes everything that was set aside. Returns how many bytes that were.
    pub(crate) fn discard_damaged(&self, _upkeep: &MutexGuard<'_, ()>) -> Result<u64, CacheError> {
        let folder = self.disk.folder("damaged");
        let mut freed = 0;
        for (path, size) in regular_files(&folder)? {
            disk::remove_file(&path)?;
            freed += size;
        }
        self.index.change_damaged(|_| 0)?;
        Ok(freed)
    }
}

/// The regular files in a folder, and their sizes in bytes.
pub(crate) fn regular_files(folder: &Path) -> Result<Vec<(std::path::PathBuf, u64)>, CacheError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => files.push((path, meta.len())),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at("look at", &path),
        }
    }
    Ok(files)
}

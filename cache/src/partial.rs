//! Objects that have not wholly arrived: a sparse file of the full size, and the set of ranges that are in it.
//!
//! Whoever fetches writes ranges, in any order, from any number of threads; whoever plays reads what is there. Space for
//! the whole is reserved at the start. The map on the disk claims only what was synced before (`partial_map.rs`).

use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::disk;
use crate::error::{CacheError, IoContext};
use crate::filling::{Filling, Phase, Waiter};
use crate::handles::OpenObject;
use crate::id::ObjectId;
use crate::ledger::Reservation;
use crate::partial_map::{self, PartialMap};
use crate::ranges::RangeSet;
use crate::registry::Claimed;
use crate::store::{Inner, Store};

/// The longest key, in bytes.
pub(crate) const KEY_LIMIT: usize = 1024;
/// After so many bytes have arrived the map is written without being asked.
const CHECKPOINT_EVERY: u64 = 32 << 20;

/// What is to arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSpec {
    /// What it is known by until it has its name, so that it is found again after a crash: up to 1024 bytes, chosen by
    /// the caller. It should change when the source does (generation, revision), for then the ranges that arrived
    /// before are worth nothing.
    pub key: String,
    /// How large it will be, in bytes.
    pub size: u64,
    /// Its name, if that is known. Other bytes are thrown away in the end.
    pub expected: Option<ObjectId>,
}

/// How waiting for a range ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// All of it can be read.
    Arrived,
    /// It will not arrive: the partial object was given up.
    Ended,
    /// It has not arrived in the time given.
    TimedOut,
}

/// An object that is arriving. Clones are handles of the same one, and so is what [`Store::begin_partial`] gives for
/// the same key. When the last is dropped before [`Self::complete`], what has arrived is thrown away and what was
/// reserved is given back, unless it was told to [`Self::keep`] it.
#[derive(Clone)]
pub struct Partial {
    filling: Arc<Filling>,
}

/// A wish to be told of an arrival; dropping it takes the wish back.
pub struct Subscription {
    filling: Weak<Filling>,
    number: u64,
}

impl Store {
    /// Begins to fill an object, or goes on where an earlier run or another handle of the same key is. What an earlier
    /// run left of another size or name under this key is thrown away.
    ///
    /// # Errors
    /// [`CacheError::is_full`], [`CacheError::KeyInUse`], [`CacheError::BadName`]; the disk or the database fails.
    pub fn begin_partial(&self, spec: PartialSpec) -> Result<Partial, CacheError> {
        if spec.key.is_empty() || spec.key.len() > KEY_LIMIT {
            return Err(CacheError::BadName {
                what: "key of a partial object",
                limit: KEY_LIMIT,
                length: spec.key.len(),
            });
        }
        let inner = &self.inner;
        inner.reconcile_if_doubted()?;
        let name = *blake3::hash(spec.key.as_bytes()).as_bytes();
        let claim = match inner.registry.claim(&name) {
            Claimed::Live(filling) if filling.spec == spec => return Ok(Partial { filling }),
            Claimed::Live(_) => return Err(CacheError::KeyInUse { key: spec.key }),
            Claimed::Free(claim) => claim,
        };
        let parts = match inner.resume(&name, &spec)? {
            Some(resumed) => resumed,
            None => inner.create_partial(&name, &spec)?,
        };
        let filling = Arc::new(Filling::new(inner, name, spec, parts));
        claim.fill(&filling);
        Ok(Partial { filling })
    }

    /// What an earlier run left, or was told to keep, and nobody fills now: to be begun again, or left to eviction.
    ///
    /// # Errors
    /// The disk or the database fails.
    pub fn dormant_partials(&self) -> Result<Vec<PartialSpec>, CacheError> {
        let mut specs = Vec::new();
        for (name, ..) in self.inner.index.partials()? {
            let Some(_claim) = self.inner.registry.try_claim(&name) else {
                continue;
            };
            if let Some(PartialMap {
                key,
                size,
                expected,
                ..
            }) = self.inner.load_partial(&name)?
            {
                specs.push(PartialSpec {
                    key,
                    size,
                    expected,
                });
            }
        }
        Ok(specs)
    }
}

impl Inner {
    /// Under the claim. `None` if there is nothing to go on with.
    fn resume(
        self: &Arc<Self>,
        name: &[u8; 32],
        spec: &PartialSpec,
    ) -> Result<Option<(File, RangeSet, Reservation)>, CacheError> {
        let Some(reserved) = self.index.partial(name)? else {
            return Ok(None);
        };
        let map = self.load_partial(name)?.filter(|map| {
            (&map.key, map.size, map.expected) == (&spec.key, spec.size, spec.expected)
                && map.size == reserved
        });
        let file = disk::open_own_file(&self.disk.partial_data(name), true)?;
        let (Some(map), Some(file)) = (map, file) else {
            self.drop_dormant(name, reserved)?;
            return Ok(None);
        };
        let reservation = self.wake(spec.size, map.arrived.total())?;
        Ok(Some((file, map.arrived, reservation)))
    }

    /// Under the claim.
    fn create_partial(
        self: &Arc<Self>,
        name: &[u8; 32],
        spec: &PartialSpec,
    ) -> Result<(File, RangeSet, Reservation), CacheError> {
        let reservation = self.reserve(spec.size)?;
        self.remove_partial_files(name)?;
        let path = self.disk.partial_data(name);
        let made = disk::create_file(&path)
            .at("create", &path)
            .and_then(|file| {
                // A file system without sparse files writes more, and is right all the same.
                let _ = crate::os::make_sparse(&file);
                file.set_len(spec.size).at("set the size of", &path)?;
                self.save_map(name, spec, RangeSet::new())?;
                self.index.add_partial((*name, spec.size, self.tick()))?;
                Ok(file)
            });
        match made {
            Ok(file) => Ok((file, RangeSet::new(), reservation)),
            Err(error) => {
                // What can't be removed now is found by the next reconcile.
                let _ = self.remove_partial_files(name);
                Err(error)
            }
        }
    }

    pub(crate) fn save_map(
        self: &Arc<Self>,
        name: &[u8; 32],
        spec: &PartialSpec,
        arrived: RangeSet,
    ) -> Result<(), CacheError> {
        let map = PartialMap {
            key: spec.key.clone(),
            size: spec.size,
            expected: spec.expected,
            arrived,
        };
        let temp = self.new_temp()?;
        partial_map::save(&map, &temp.file, &temp.path, &self.disk.partial_map(name))
    }

    /// Under the claim: throws away what nobody fills.
    fn drop_dormant(&self, name: &[u8; 32], reserved: u64) -> Result<(), CacheError> {
        self.remove_partial_files(name)?;
        self.index.remove_partial(name)?;
        self.index
            .ledger
            .change(|account| account.dormant = account.dormant.saturating_sub(reserved));
        Ok(())
    }

    /// Throws away what nobody fills. False if somebody does, or it is gone.
    pub(crate) fn discard_dormant(&self, name: &[u8; 32]) -> Result<bool, CacheError> {
        let Some(_claim) = self.registry.try_claim(name) else {
            return Ok(false);
        };
        let Some(reserved) = self.index.partial(name)? else {
            return Ok(false);
        };
        self.drop_dormant(name, reserved)?;
        Ok(true)
    }
}

impl Partial {
    /// What is to arrive.
    pub fn spec(&self) -> &PartialSpec {
        &self.filling.spec
    }

    /// The ranges that can be read now.
    pub fn arrived(&self) -> RangeSet {
        self.filling.state.lock().arrived.clone()
    }

    /// How many bytes can be read now.
    pub fn arrived_bytes(&self) -> u64 {
        self.filling.state.lock().arrived.total()
    }

    /// The parts of `range` that have not arrived.
    pub fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let end = range.end.min(self.filling.spec.size);
        self.filling.state.lock().arrived.gaps(range.start..end)
    }

    /// Adds what has arrived at `offset` (bytes). It can be read when this returns. Bytes that have arrived before, or
    /// that another thread is just writing, stay as they are.
    ///
    /// # Errors
    /// [`CacheError::Closed`], [`CacheError::OutOfBounds`], or the disk fails: then none of these bytes have arrived,
    /// all others stay, and it can be tried again.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), CacheError> {
        let filling = &*self.filling;
        let length = bytes.len() as u64;
        let range = filling.bounded(offset, length)?;
        let writing = filling.writers.read();
        let gaps = {
            let mut state = filling.state.lock();
            if state.phase != Phase::Filling {
                return Err(CacheError::Closed {
                    key: filling.spec.key.clone(),
                });
            }
            let gaps: Vec<_> = state
                .arrived
                .gaps(range)
                .into_iter()
                .flat_map(|gap| state.coming.gaps(gap))
                .collect();
            for gap in &gaps {
                state.coming.insert(gap.clone());
            }
            gaps
        };
        let written = gaps.iter().try_for_each(|gap| {
            let part = slice(bytes, gap.start - offset..gap.end - offset);
            disk::write_all_at(&filling.file, part, gap.start)
        });
        let (ready, checkpoint) = {
            let mut state = filling.state.lock();
            for gap in gaps {
                state.coming.remove(gap.clone());
                if written.is_ok() {
                    let added = state.arrived.insert(gap);
                    state.since_checkpoint += added;
                    if let Some(reservation) = &mut state.reservation {
                        reservation.wrote(added);
                    }
                }
            }
            let due = state.since_checkpoint >= CHECKPOINT_EVERY;
            if due {
                state.since_checkpoint = 0;
            }
            (state.ready_waiters(), due)
        };
        drop(writing);
        filling.changed.notify_all();
        ready
            .into_iter()
            .for_each(|waiter| (waiter.notify)(Arrival::Arrived));
        written.at("write", &filling.inner.disk.partial_data(&filling.name))?;
        if checkpoint {
            self.checkpoint()
        } else {
            Ok(())
        }
    }

    /// Reads at `offset` (bytes) as much as has arrived there without a gap. `None` if the first byte is missing;
    /// 0 at the end.
    ///
    /// # Errors
    /// [`CacheError::Closed`] if it was given up, or the disk fails.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<Option<usize>, CacheError> {
        let filling = &*self.filling;
        let closed = || CacheError::Closed {
            key: filling.spec.key.clone(),
        };
        let end = {
            let state = filling.state.lock();
            if state.phase == Phase::Ended {
                return Err(closed());
            }
            if offset >= filling.spec.size || buffer.is_empty() {
                return Ok(Some(0));
            }
            let Some(end) = state.arrived.run_from(offset) else {
                return Ok(None);
            };
            end
        };
        let length = usize::try_from(end - offset)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        match disk::read_at(&filling.file, buffer, offset)
            .at("read", &filling.inner.disk.partial_data(&filling.name))?
        {
            // It was given up between our look and our read.
            0 => Err(closed()),
            count => Ok(Some(count)),
        }
    }

    /// Waits until all of `range` (as far as the object reaches) can be read.
    pub fn wait(&self, range: Range<u64>, timeout: Duration) -> Arrival {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.filling.state.lock();
        loop {
            if let Some(arrival) = state.answer(&self.filling.within(&range)) {
                return arrival;
            }
            match deadline {
                Some(deadline)
                    if self
                        .filling
                        .changed
                        .wait_until(&mut state, deadline)
                        .timed_out() =>
                {
                    return state
                        .answer(&self.filling.within(&range))
                        .unwrap_or(Arrival::TimedOut);
                }
                Some(_) => {}
                None => self.filling.changed.wait(&mut state),
            }
        }
    }

    /// Calls `notify` once when all of `range` (as far as the object reaches) can be read, or never will be; at once
    /// if that is so now. It is called by the thread that brings or gives up the bytes, so it must neither wait nor use
    /// the partial object: let it send a message.
    pub fn when_arrived(
        &self,
        range: Range<u64>,
        notify: impl FnOnce(Arrival) + Send + 'static,
    ) -> Subscription {
        let range = self.filling.within(&range);
        let mut state = self.filling.state.lock();
        let number = state.next_waiter;
        state.next_waiter += 1;
        match state.answer(&range) {
            None => state.waiters.push(Waiter {
                number,
                range,
                notify: Box::new(notify),
            }),
            Some(arrival) => {
                drop(state);
                notify(arrival);
            }
        }
        Subscription {
            filling: Arc::downgrade(&self.filling),
            number,
        }
    }

    /// Makes what has arrived survive a crash. Done by itself after each 32 MiB.
    ///
    /// # Errors
    /// The disk fails. What was safe before still is.
    pub fn checkpoint(&self) -> Result<(), CacheError> {
        self.filling.write_map()
    }

    /// Says that what has arrived is to be kept, with its reservation, when the last handle is dropped: to go on
    /// later. Until then it may be evicted like an object.
    pub fn keep(&self) {
        self.filling.state.lock().keep = true;
    }

    /// Takes back [`Self::keep`]: what has arrived turned out to be worth nothing.
    pub fn unkeep(&self) {
        self.filling.state.lock().keep = false;
    }

    /// Gives it up: what has arrived is thrown away and what was reserved is given back, now, for all handles.
    ///
    /// # Errors
    /// The disk or the database fails; the next reconcile cleans up.
    pub fn discard(&self) -> Result<(), CacheError> {
        let _no_writers = self.filling.writers.write();
        self.filling.end()
    }

    /// Makes it an object, which survives a power cut when this returns. All of it must have arrived. Handles can
    /// still read.
    ///
    /// # Errors
    /// [`CacheError::Incomplete`]; [`CacheError::WrongBytes`], and then it is given up as by [`Self::discard`];
    /// [`CacheError::Closed`]; or the disk fails: then it can be tried again.
    pub fn complete(&self) -> Result<OpenObject, CacheError> {
        let filling = &*self.filling;
        // Waits for writers that are under way; those who come later find it closed.
        let _no_writers = filling.writers.write();
        {
            let mut state = filling.state.lock();
            let (arrived, size) = (state.arrived.total(), filling.spec.size);
            match state.phase {
                Phase::Filling if arrived < size => {
                    return Err(CacheError::Incomplete { arrived, size });
                }
                Phase::Filling => state.phase = Phase::Completing,
                _ => {
                    return Err(CacheError::Closed {
                        key: filling.spec.key.clone(),
                    });
                }
            }
        }
        let done = filling.become_object();
        if done.is_err() {
            let mut state = filling.state.lock();
            if state.phase == Phase::Completing {
                state.phase = Phase::Filling;
            }
        }
        filling.inner.open_held(done?)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(filling) = self.filling.upgrade() else {
            return;
        };
        let withdrawn: Vec<_> = filling
            .state
            .lock()
            .waiters
            .extract_if(.., |waiter| waiter.number == self.number)
            .collect();
        drop(withdrawn);
    }
}

/// The bytes of a range that is known to lie within them.
fn slice(bytes: &[u8], range: Range<u64>) -> &[u8] {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    bytes
        .get(index(range.start)..index(range.end))
        .unwrap_or_default()
}

impl std::fmt::Debug for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partial")
            .field("spec", &self.filling.spec)
            .field("arrived", &self.arrived_bytes())
            .finish()
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

//! The inside of a partial object: its states, from filling to complete or ended, and what each change of state does to
//! its files, its reservation, the registry and those who wait.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, RwLock};

use crate::disk;
use crate::error::{CacheError, IoContext};
use crate::handles::Hold;
use crate::ledger::Reservation;
use crate::partial::{Arrival, PartialSpec};
use crate::ranges::RangeSet;
use crate::store::Inner;

/// What all handles of a partial object share.
pub(crate) struct Filling {
    pub(crate) inner: Arc<Inner>,
    pub(crate) name: [u8; 32],
    pub(crate) spec: PartialSpec,
    pub(crate) file: File,
    /// Read: somebody writes a range. Write: nobody does, and nobody will.
    pub(crate) writers: RwLock<()>,
    pub(crate) state: Mutex<State>,
    pub(crate) changed: Condvar,
    /// Held by the one who writes the map.
    pub(crate) checkpoint: Mutex<()>,
}

pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) arrived: RangeSet,
    /// What somebody is writing just now. Whatever has begun to arrive is written once, so that a byte which was read
    /// never changes.
    pub(crate) coming: RangeSet,
    pub(crate) since_checkpoint: u64,
    pub(crate) keep: bool,
    pub(crate) reservation: Option<Reservation>,
    /// Keeps the object while somebody reads through the partial object that it was.
    pub(crate) hold: Option<Hold>,
    pub(crate) waiters: Vec<Waiter>,
    pub(crate) next_waiter: u64,
    /// Its key is free for another.
    pub(crate) released: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Filling,
    Completing,
    Complete,
    Ended,
}

pub(crate) struct Waiter {
    pub(crate) number: u64,
    pub(crate) range: Range<u64>,
    pub(crate) notify: Box<dyn FnOnce(Arrival) + Send>,
}

impl Filling {
    pub(crate) fn new(
        inner: &Arc<Inner>,
        name: [u8; 32],
        spec: PartialSpec,
        (file, arrived, reservation): (File, RangeSet, Reservation),
    ) -> Self {
        let state = State {
            phase: Phase::Filling,
            arrived,
            coming: RangeSet::new(),
            since_checkpoint: 0,
            keep: false,
            reservation: Some(reservation),
            hold: None,
            waiters: Vec::new(),
            next_waiter: 0,
            released: false,
        };
        Self {
            inner: Arc::clone(inner),
            name,
            spec,
            file,
            writers: RwLock::new(()),
            state: Mutex::new(state),
            changed: Condvar::new(),
            checkpoint: Mutex::new(()),
        }
    }

    /// With no writers.
    pub(crate) fn become_object(&self) -> Result<Hold, CacheError> {
        let inner = &self.inner;
        let data = inner.disk.partial_data(&self.name);
        let actual = disk::hash_file(&self.file).at("read", &data)?;
        if let Some(expected) = self.spec.expected.filter(|expected| *expected != actual) {
            self.end()?;
            return Err(CacheError::WrongBytes { expected, actual });
        }
        let mut reservation = self.state.lock().reservation.take();
        let installed = inner.install(&self.file, &data, &actual, self.spec.size, &mut reservation);
        let mut state = self.state.lock();
        // If the object was there already, the bytes of our file stay reserved while somebody can read it.
        state.reservation = reservation;
        let hold = match installed {
            Ok(hold) => hold,
            Err(error) => {
                drop(state);
                // A file that was lost on the way can't be completed any more.
                if disk::open_own_file(&data, false)?.is_none() {
                    self.end()?;
                }
                return Err(error);
            }
        };
        state.phase = Phase::Complete;
        inner.holds.enter(&actual);
        state.hold = Some(Hold {
            inner: Arc::clone(inner),
            id: actual,
        });
        drop(state);
        // It is an object; what can't be removed of the partial one is removed by the next reconcile.
        let cleaned = inner
            .remove_partial_files(&self.name)
            .and_then(|()| inner.index.remove_partial(&self.name));
        if let Err(error) = cleaned {
            inner.index.ledger.doubt();
            tracing::warn!(%error, key = self.spec.key, "the remains of a completed partial object could not be removed");
        }
        self.release();
        Ok(hold)
    }

    /// Its files are gone: another may begin under the same key, even while handles of this one live.
    fn release(&self) {
        if !std::mem::replace(&mut self.state.lock().released, true) {
            self.inner.registry.release(&self.name);
        }
    }

    pub(crate) fn write_map(&self) -> Result<(), CacheError> {
        let _one = self.checkpoint.lock();
        let (phase, arrived) = {
            let mut state = self.state.lock();
            state.since_checkpoint = 0;
            (state.phase, state.arrived.clone())
        };
        if phase != Phase::Filling {
            return Ok(());
        }
        // First the bytes, then the claim.
        self.file
            .sync_data()
            .at("sync", &self.inner.disk.partial_data(&self.name))?;
        self.inner.save_map(&self.name, &self.spec, arrived)
    }

    /// Gives up. With no writers.
    pub(crate) fn end(&self) -> Result<(), CacheError> {
        let _no_checkpoint = self.checkpoint.lock();
        let (reservation, waiters) = {
            let mut state = self.state.lock();
            if matches!(state.phase, Phase::Complete | Phase::Ended) {
                return Ok(());
            }
            state.phase = Phase::Ended;
            (state.reservation.take(), std::mem::take(&mut state.waiters))
        };
        // Frees the disk even while other handles have the file open.
        let cut = self
            .file
            .set_len(0)
            .at("shorten", &self.inner.disk.partial_data(&self.name));
        let removed = self
            .inner
            .remove_partial_files(&self.name)
            .and_then(|()| self.inner.index.remove_partial(&self.name));
        if removed.is_err() {
            self.inner.index.ledger.doubt();
        }
        drop(reservation);
        self.release();
        self.changed.notify_all();
        waiters
            .into_iter()
            .for_each(|waiter| (waiter.notify)(Arrival::Ended));
        cut.and(removed)
    }

    pub(crate) fn bounded(&self, offset: u64, length: u64) -> Result<Range<u64>, CacheError> {
        match offset.checked_add(length) {
            Some(end) if end <= self.spec.size => Ok(offset..end),
            _ => Err(CacheError::OutOfBounds {
                offset,
                length,
                size: self.spec.size,
            }),
        }
    }

    pub(crate) fn within(&self, range: &Range<u64>) -> Range<u64> {
        range.start..range.end.min(self.spec.size)
    }

    /// The last handle is gone, and it was to be kept. On a full disk it is kept as of its last checkpoint.
    fn go_dormant(&self) {
        if let Err(error) = self.write_map() {
            tracing::warn!(%error, key = self.spec.key, "the last of what arrived of a partial object is not kept");
        }
        // Again, should the index have been lost meanwhile.
        let row = (self.name, self.spec.size, self.inner.tick());
        if let Err(error) = self.inner.index.add_partial(row) {
            self.inner.index.ledger.doubt();
            tracing::warn!(%error, key = self.spec.key, "a partial object is kept but perhaps not in the index");
        }
        if let Some(reservation) = self.state.lock().reservation.take() {
            reservation.into_dormant();
        }
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        let (phase, keep, waiters) = {
            let mut state = self.state.lock();
            (state.phase, state.keep, std::mem::take(&mut state.waiters))
        };
        if phase == Phase::Filling && keep {
            self.go_dormant();
        } else if phase == Phase::Filling
            && let Err(error) = self.end()
        {
            tracing::warn!(%error, key = self.spec.key, "a partial object could not be removed; the cache must be reconciled");
        }
        waiters
            .into_iter()
            .for_each(|waiter| (waiter.notify)(Arrival::Ended));
        self.state.lock().reservation = None;
        self.release();
    }
}

impl State {
    /// How a wait for this range ends, if it ends now.
    pub(crate) fn answer(&self, range: &Range<u64>) -> Option<Arrival> {
        if self.phase == Phase::Ended {
            Some(Arrival::Ended)
        } else {
            self.arrived
                .contains(range.clone())
                .then_some(Arrival::Arrived)
        }
    }

    pub(crate) fn ready_waiters(&mut self) -> Vec<Waiter> {
        let arrived = &self.arrived;
        self.waiters
            .extract_if(.., |waiter| arrived.contains(waiter.range.clone()))
            .collect()
    }
}

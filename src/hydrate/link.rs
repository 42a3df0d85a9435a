//! What a task and its streams share, and what streams keep when the task is over: the bytes, and how it ended.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use mediafs_cache::{CacheError, OpenObject, Partial};
use parking_lot::Mutex;

use crate::model::ObjectHash;

use super::error::HydrateError;
use super::meter::Meter;
use super::passing::Passing;
use super::task::TaskId;
use super::wanted::Wanted;

/// Dropping the last of it may work on the cache's disk, so that is left to the desk.
pub(super) struct Link {
    pub(super) task: TaskId,
    pub(super) wanted: Wanted,
    /// Where the bytes are, once the desk has opened it.
    pub(super) body: OnceLock<Body>,
    /// Nobody wants what is being read. Apart, so that a read that hangs keeps nothing else.
    pub(super) cancel: Arc<AtomicBool>,
    pub(super) meter: Mutex<Meter>,
    pub(super) end: OnceLock<Result<ObjectHash, HydrateError>>,
}

pub(super) enum Body {
    Partial(Partial),
    /// It was an object already.
    Object(OpenObject),
    /// The cache does not take it, for this reason.
    Passing(Passing, HydrateError),
}

impl Link {
    pub(super) fn new(task: TaskId, wanted: Wanted) -> Self {
        Self {
            task,
            wanted,
            body: OnceLock::new(),
            cancel: Arc::default(),
            meter: Mutex::default(),
            end: OnceLock::new(),
        }
    }

    /// `range` as far as the file reaches.
    pub(super) fn within(&self, range: &Range<u64>) -> Range<u64> {
        let end = range.end.min(self.wanted.size);
        range.start.min(end)..end
    }

    pub(super) fn has_arrived(&self, range: Range<u64>) -> bool {
        self.missing(range).is_empty()
    }

    /// The parts of `range`, as far as the file reaches, that have not arrived.
    pub(super) fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let range = self.within(&range);
        match self.body.get() {
            Some(Body::Object(_)) => Vec::new(),
            Some(Body::Partial(partial)) if !self.was_thrown_away() => partial.missing(range),
            Some(Body::Passing(passing, _)) => passing.missing(range),
            _ if range.is_empty() => Vec::new(),
            _ => vec![range],
        }
    }

    fn was_thrown_away(&self) -> bool {
        matches!(self.end.get(), Some(Err(HydrateError::WrongBytes { .. })))
    }

    pub(super) fn arrived_bytes(&self) -> u64 {
        match self.body.get() {
            None => 0,
            Some(Body::Object(object)) => object.size(),
            Some(Body::Partial(partial)) => partial.arrived_bytes(),
            Some(Body::Passing(passing, _)) => passing.bytes(),
        }
    }

    /// All of a partial object is there.
    pub(super) fn is_whole(&self) -> bool {
        let partial = self.partial();
        partial.is_some_and(|partial| partial.arrived_bytes() == self.wanted.size)
    }

    pub(super) fn partial(&self) -> Option<&Partial> {
        match self.body.get() {
            Some(Body::Partial(partial)) => Some(partial),
            _ => None,
        }
    }

    /// What passes through memory, and why.
    pub(super) fn passing(&self) -> Option<(&Passing, &HydrateError)> {
        match self.body.get() {
            Some(Body::Passing(passing, why)) => Some((passing, why)),
            _ => None,
        }
    }

    /// Bytes of it can be stored.
    pub(super) fn is_filling(&self) -> bool {
        matches!(self.body.get(), Some(Body::Partial(_) | Body::Passing(..)))
    }

    /// What is read of it though nobody waits for it.
    pub(super) fn ahead(&self) -> Range<u64> {
        match self.passing() {
            Some((passing, _)) => passing.ahead(self.wanted.size),
            None => 0..self.wanted.size,
        }
    }

    /// Adds what has arrived at `offset`.
    pub(super) fn store(&self, offset: u64, bytes: &[u8]) -> Result<(), CacheError> {
        match self.body.get() {
            Some(Body::Partial(partial)) => partial.write_at(offset, bytes),
            Some(Body::Passing(passing, _)) => {
                passing.add(offset, bytes);
                Ok(())
            }
            Some(Body::Object(_)) | None => Ok(()),
        }
    }

    /// Fills `buffer` from `offset` as far as the file reaches; `None` unless all of it is there.
    pub(super) fn read_arrived(&self, offset: u64, buffer: &mut [u8]) -> Option<usize> {
        let length = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let range = self.within(&(offset..offset.saturating_add(length)));
        let wanted = usize::try_from(range.end - range.start).ok()?;
        if wanted == 0 {
            return Some(0);
        }
        if let Some((passing, _)) = self.passing() {
            return passing
                .read(offset, buffer.get_mut(..wanted)?)
                .then_some(wanted);
        }
        if !self.has_arrived(range) {
            return None;
        }
        let mut done = 0;
        while done < wanted {
            let rest = buffer.get_mut(done..wanted)?;
            let at = offset + u64::try_from(done).ok()?;
            let read = match self.body.get()? {
                Body::Object(object) => object.read_at(rest, at).map(Some),
                Body::Partial(partial) => partial.read_at(rest, at),
                Body::Passing(..) => return None,
            };
            match read {
                Ok(Some(count)) if count > 0 => done += count,
                Ok(_) => return None,
                Err(error) => {
                    if self.end.get().is_none() {
                        tracing::warn!(%error, "what has arrived can't be read from the cache");
                    }
                    return None;
                }
            }
        }
        Some(done)
    }
}

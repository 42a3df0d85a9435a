//! A source for tests: it has the bytes of files, and answers as it is told to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mediafs::catalog::PlaceNo;
use mediafs::hydrate::{Fetch, FetchError, Wanted};
use mediafs::model::SourceNo;
use parking_lot::{Condvar, Mutex};

/// How a source answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Manner {
    /// At once.
    Answers,
    /// After this time for each read.
    Slow(Duration),
    /// Not at all, until its manner changes.
    Hangs,
    /// As far as this; what lies behind hangs.
    AnswersTo(u64),
    /// That it is away.
    Offline,
    /// That it does not answer.
    Hung,
    /// Half of what was asked for.
    Short,
    /// With other bytes.
    Lies,
    /// That there is no such file.
    Gone,
}

#[derive(Default)]
struct State {
    /// With the generation that they are.
    bytes: HashMap<PlaceNo, (u32, Arc<Vec<u8>>)>,
    manners: HashMap<SourceNo, Manner>,
    reads: HashMap<PlaceNo, usize>,
    over: bool,
}

/// All sources of a world.
#[derive(Default)]
pub(crate) struct Couriers {
    state: Mutex<State>,
    changed: Condvar,
}

impl Couriers {
    /// The bytes of a file, from now on.
    pub(crate) fn has(&self, place: PlaceNo, generation: u32, bytes: &[u8]) {
        let bytes = Arc::new(bytes.to_vec());
        self.state.lock().bytes.insert(place, (generation, bytes));
    }

    pub(crate) fn be(&self, source: SourceNo, manner: Manner) {
        self.state.lock().manners.insert(source, manner);
        self.changed.notify_all();
    }

    /// How often a file was read.
    pub(crate) fn reads(&self, place: PlaceNo) -> usize {
        self.state.lock().reads.get(&place).copied().unwrap_or(0)
    }

    /// Whatever hangs comes back.
    pub(crate) fn end(&self) {
        self.state.lock().over = true;
        self.changed.notify_all();
    }
}

impl Fetch for Couriers {
    fn read(
        &self,
        wanted: &Wanted,
        offset: u64,
        length: u32,
        cancel: &AtomicBool,
    ) -> Result<Vec<u8>, FetchError> {
        let mut state = self.state.lock();
        *state.reads.entry(wanted.place).or_default() += 1;
        let mut slept = false;
        loop {
            if state.over || cancel.load(Ordering::Relaxed) {
                return Err(FetchError::Cancelled);
            }
            let manner = state.manners.get(&wanted.source).cloned();
            match manner.unwrap_or(Manner::Answers) {
                Manner::Slow(time) if !slept => {
                    slept = true;
                    self.changed.wait_for(&mut state, time);
                }
                Manner::AnswersTo(end) if offset >= end => {
                    self.changed.wait_for(&mut state, Duration::from_millis(5));
                }
                Manner::Hangs => {
                    self.changed.wait_for(&mut state, Duration::from_millis(5));
                }
                Manner::Offline => {
                    let reason = "the test unplugged it".to_owned();
                    return Err(FetchError::Offline { reason });
                }
                Manner::Hung => {
                    let again_in = Duration::from_millis(100);
                    return Err(FetchError::Hung { again_in });
                }
                Manner::Gone => return Err(FetchError::Gone),
                manner => {
                    let known = state.bytes.get(&wanted.place);
                    let (generation, all) = known.ok_or(FetchError::Gone)?;
                    if *generation != wanted.generation || all.len() as u64 != wanted.size {
                        return Err(FetchError::Changed);
                    }
                    let start = usize::try_from(offset).unwrap().min(all.len());
                    let end = (start + length as usize).min(all.len());
                    let mut bytes = all[start..end].to_vec();
                    match manner {
                        Manner::Short => bytes.truncate(bytes.len() / 2),
                        Manner::Lies => bytes.iter_mut().for_each(|byte| *byte ^= 0x55),
                        _ => {}
                    }
                    return Ok(bytes);
                }
            }
        }
    }
}

//! The engine against a source that does what a test tells it: be slow, hang, fail, be short, tell lies.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod failing;
mod model;
mod order;
mod streams;
mod trouble;

use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mediafs_cache::{ObjectId, Store, StoreOptions};
use parking_lot::{Condvar, Mutex};

use super::*;
use crate::catalog::PlaceNo;
use crate::model::{ObjectHash, SourceNo};

pub(super) const MIB: u64 = 1 << 20;
pub(super) const USB: SourceNo = SourceNo(1);
pub(super) const CLOUD: SourceNo = SourceNo(2);

/// How the reads of a place, or else of a source, go.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    Well,
    /// Until it is told otherwise, whether somebody wants the bytes or not.
    Hang,
    Fail(FetchError),
    /// Only what is before this is there.
    Short(u64),
    /// Whatever holds this byte fails.
    Sore(u64),
    Lie,
    Panic,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) place: u32,
    pub(super) range: Range<u64>,
}

#[derive(Default)]
pub(super) struct Fake {
    state: Mutex<FakeState>,
    changed: Condvar,
}

#[derive(Default)]
struct FakeState {
    sources: HashMap<SourceNo, Way>,
    places: HashMap<u32, Way>,
    log: Vec<Asked>,
    now: usize,
    most: usize,
}

impl Fake {
    pub(super) fn source(&self, source: SourceNo, way: Way) {
        self.state.lock().sources.insert(source, way);
        self.changed.notify_all();
    }

    pub(super) fn place(&self, place: u32, way: Way) {
        self.state.lock().places.insert(place, way);
        self.changed.notify_all();
    }

    pub(super) fn log(&self) -> Vec<Asked> {
        self.state.lock().log.clone()
    }

    pub(super) fn forget_log(&self) {
        self.state.lock().log.clear();
    }

    pub(super) fn reads_of(&self, place: u32) -> Vec<Range<u64>> {
        let mut reads = self.log();
        reads.retain(|asked| asked.place == place);
        reads.into_iter().map(|asked| asked.range).collect()
    }

    /// How many reads were under way at once, at most.
    pub(super) fn most_at_once(&self) -> usize {
        self.state.lock().most
    }
}

impl Fetch for Fake {
    fn read(
        &self,
        wanted: &Wanted,
        offset: u64,
        length: u32,
        _: &AtomicBool,
    ) -> Result<Vec<u8>, FetchError> {
        let range = offset..offset + u64::from(length);
        assert!(range.end <= wanted.size && !range.is_empty());
        let place = wanted.place.0;
        let mut state = self.state.lock();
        state.log.push(Asked {
            place,
            range: range.clone(),
        });
        state.now += 1;
        state.most = state.most.max(state.now);
        let way = loop {
            let way = state
                .places
                .get(&place)
                .or_else(|| state.sources.get(&wanted.source));
            match way.cloned().unwrap_or(Way::Well) {
                Way::Hang => self.changed.wait(&mut state),
                way => break way,
            }
        };
        state.now -= 1;
        drop(state);
        let mut bytes = truth(place, range.clone());
        match way {
            Way::Well | Way::Hang => {}
            Way::Fail(error) => return Err(error),
            Way::Short(size) => {
                let there = size.saturating_sub(range.start);
                bytes.truncate(usize::try_from(there).unwrap());
            }
            Way::Sore(at) if range.contains(&at) => {
                return Err(FetchError::Failed {
                    reason: "a bad sector".to_owned(),
                    transient: true,
                });
            }
            Way::Sore(_) => {}
            Way::Lie => bytes.iter_mut().for_each(|byte| *byte = !*byte),
            Way::Panic => panic!("as the test wants it"),
        }
        Ok(bytes)
    }
}

/// The true bytes of a place.
pub(super) fn truth(place: u32, range: Range<u64>) -> Vec<u8> {
    range
        .map(|at| (at.wrapping_mul(31) ^ (at >> 7) ^ (at >> 15) ^ (u64::from(place) * 91)) as u8)
        .collect()
}

pub(super) fn true_object(wanted: &Wanted) -> ObjectId {
    ObjectId::of(&truth(wanted.place.0, 0..wanted.size))
}

#[derive(Default)]
pub(super) struct Heard {
    pub(super) tasks: Mutex<Vec<TaskState>>,
    pub(super) arrived: Mutex<Vec<(Wanted, ObjectHash)>>,
    pub(super) answered: Mutex<Vec<SourceNo>>,
    pub(super) failed: Mutex<Vec<(Wanted, HydrateError)>>,
}

impl Told for Heard {
    fn task(&self, task: &TaskState) {
        self.tasks.lock().push(task.clone());
    }

    fn arrived(&self, wanted: &Wanted, object: ObjectHash) {
        self.arrived.lock().push((wanted.clone(), object));
    }

    fn answered(&self, source: SourceNo) {
        self.answered.lock().push(source);
    }

    fn failed(&self, wanted: &Wanted, why: &HydrateError) {
        self.failed.lock().push((wanted.clone(), why.clone()));
    }
}

/// An engine with all that it needs.
pub(super) struct House {
    pub(super) hydrator: Hydrator,
    pub(super) fake: Arc<Fake>,
    pub(super) heard: Arc<Heard>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
    pub(super) folder: tempfile::TempDir,
}

impl House {
    pub(super) fn new() -> Self {
        Self::with(Limits::default(), 1 << 30)
    }

    pub(super) fn with(limits: Limits, quota: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            quota: Some(quota),
            floor: Some(0),
            ..StoreOptions::default()
        };
        let store = Store::open(folder.path().join("cache"), options).unwrap();
        let clock = Arc::new(ManualClock::default());
        let (fake, heard) = (Arc::<Fake>::default(), Arc::<Heard>::default());
        let hydrator = engine(&store, &fake, &heard, &clock, limits);
        Self {
            hydrator,
            fake,
            heard,
            clock,
            store,
            folder,
        }
    }

    /// As after a new start of the daemon.
    pub(super) fn restart(&mut self) {
        assert!(self.hydrator.shutdown());
        self.hydrator = engine(
            &self.store,
            &self.fake,
            &self.heard,
            &self.clock,
            Limits::default(),
        );
    }

    pub(super) fn stream(&self, wanted: &Wanted) -> Stream {
        self.hydrator
            .stream(wanted, who("test"), WhenLeft::GoOn, IfFull::Fail)
            .unwrap()
    }

    pub(super) async fn outcome(&self, id: TaskId) -> TaskPhase {
        soon(self.hydrator.wait(id)).await.unwrap().phase
    }

    pub(super) async fn wants(&self, what: &str, until: impl Fn(&Self) -> bool) {
        let wait = async {
            while !until(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .is_err()
        {
            panic!("{what} did not happen: {:#?}", self.hydrator.tasks());
        }
    }

    /// Nothing is reserved any more, and all threads but those that hang come to their end.
    pub(super) fn ends_clean(self) {
        self.fake.source(USB, Way::Well);
        self.fake.source(CLOUD, Way::Well);
        assert!(self.hydrator.shutdown());
        for spec in self.store.dormant_partials().unwrap() {
            assert!(
                Wanted::of_spec(&spec).is_some(),
                "what is dormant can be gone on with"
            );
        }
        let dormant: u64 = self
            .store
            .dormant_partials()
            .unwrap()
            .iter()
            .map(|spec| spec.size)
            .sum();
        assert_eq!(self.store.usage().unwrap().reserved_bytes, dormant);
    }

    pub(super) fn reserved(&self) -> u64 {
        self.store.usage().unwrap().reserved_bytes
    }
}

fn engine(
    store: &Store,
    fake: &Arc<Fake>,
    heard: &Arc<Heard>,
    clock: &Arc<ManualClock>,
    limits: Limits,
) -> Hydrator {
    let store = store.clone();
    Hydrator::with_clock(
        Arc::new(move || Ok(store.clone())),
        Arc::clone(fake) as Arc<dyn Fetch>,
        Arc::clone(heard) as Arc<dyn Told>,
        limits,
        Arc::clone(clock) as Arc<dyn Clock>,
    )
}

pub(super) fn wanted(place: u32, source: SourceNo, size: u64) -> Wanted {
    Wanted {
        place: PlaceNo(place),
        generation: 1,
        source,
        size,
        expected: None,
        seen: Seen::default(),
    }
}

pub(super) fn who(name: &str) -> Who {
    Who {
        pid: Some(1),
        name: name.to_owned(),
    }
}

/// Far later than anything takes.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it never came")
}

/// The answer, if it is there without waiting.
pub(super) fn at_once(waiting: Waiting) -> Option<Arrival> {
    // Tokio lets no task go on for too long, whatever is ready.
    let mut waiting = std::pin::pin!(tokio::task::unconstrained(waiting));
    match waiting
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(arrival) => Some(arrival),
        Poll::Pending => None,
    }
}

pub(super) fn read(stream: &Stream, range: Range<u64>) -> Option<Vec<u8>> {
    let mut buffer = vec![0; usize::try_from(range.end - range.start).unwrap()];
    let count = stream.read_arrived(range.start, &mut buffer)?;
    buffer.truncate(count);
    Some(buffer)
}

/// How many bytes were read more than once.
pub(super) fn read_twice(reads: &[Range<u64>]) -> u64 {
    let mut set = mediafs_cache::RangeSet::new();
    reads
        .iter()
        .map(|range| (range.end - range.start) - set.insert(range.clone()))
        .sum()
}

//! The threads that read from a source, and what follows from what they bring.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mediafs_cache::CacheError;
use parking_lot::MutexGuard;

use crate::model::SourceNo;

use super::choose::Choice;
use super::desk::of_cache;
use super::engine::Shared;
use super::error::HydrateError;
use super::fetch::FetchError;
use super::limits::Limits;
use super::sources::Standing;
use super::state::{State, Step};
use super::task::TaskId;
use super::wanted::Wanted;

/// A thread that has nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(5);
/// A source that does not answer is left alone for at least so long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// One read. It holds nothing of the cache, for it may hang.
struct Read {
    task: TaskId,
    wanted: Wanted,
    range: Range<u64>,
    awaited: bool,
    cancel: Arc<AtomicBool>,
    /// In which round of tries it began; `None` if the task paused, and somebody waits for another part of it.
    round: Option<u64>,
    /// How often the source had changed.
    epoch: u64,
    /// It tries whether the source answers again.
    probe: bool,
}

impl Shared {
    /// Wakes or starts a thread for each source that was touched and has something to read.
    pub(super) fn staff_sources(self: &Arc<Self>, state: &mut State, now: Instant) {
        if state.stopping {
            return;
        }
        while let Some(number) = state.touched.pop_first() {
            // Somebody must also be there when a pause is over.
            match state.choose(number, now) {
                Choice::Nothing { until: None } => continue,
                Choice::Nothing { .. } | Choice::Read { .. } => {}
            }
            let spare = state.reading_threads < state.limits.threads;
            let most = state.limits.reads.max(1);
            let Some(source) = state.sources.get_mut(&number) else {
                continue;
            };
            if source.idle > 0 {
                source.work.notify_one();
            } else if source.threads == 0 || (source.threads < most && spare) {
                let name = format!("hydrate-{}", number.0);
                if self.start(state, &name, move |shared| work(shared, number)) {
                    state.reading_threads += 1;
                    if let Some(source) = state.sources.get_mut(&number) {
                        source.threads += 1;
                    }
                }
            }
        }
    }
}

fn work(shared: &Arc<Shared>, number: SourceNo) {
    let mut state = shared.lock();
    while !state.stopping {
        let now = shared.clock.now();
        match state.choose(number, now) {
            Choice::Read {
                task,
                range,
                awaited,
            } => {
                if let Some(read) = state.begin_read(task, range, awaited, now) {
                    // Another may read the next part.
                    shared.settle(&mut state, now);
                    read_and_store(shared, &mut state, read);
                    let now = shared.clock.now();
                    shared.settle(&mut state, now);
                }
            }
            Choice::Nothing { until } => {
                if !rest(shared, &mut state, number, until, now) {
                    break;
                }
            }
        }
    }
    state.threads -= 1;
    state.reading_threads -= 1;
    if let Some(source) = state.sources.get_mut(&number) {
        source.threads -= 1;
    }
    // Another source may have a thread now.
    let others: Vec<_> = state.sources.keys().copied().collect();
    state.touched.extend(others);
    let now = shared.clock.now();
    shared.settle(&mut state, now);
    shared.has_ended();
}

/// Waits for something to read. False if this thread is not needed any more.
fn rest(
    shared: &Arc<Shared>,
    state: &mut MutexGuard<'_, State>,
    number: SourceNo,
    until: Option<Instant>,
    now: Instant,
) -> bool {
    let Some(source) = state.sources.get_mut(&number) else {
        return false;
    };
    if until.is_some() && source.idle > 0 {
        // One is enough to wait for a time.
        return false;
    }
    let time = until.map_or(IDLE, |until| {
        shared.clock.nap(until.saturating_duration_since(now))
    });
    source.idle += 1;
    let work = Arc::clone(&source.work);
    let waited = work.wait_for(state, time);
    if let Some(source) = state.sources.get_mut(&number) {
        source.idle -= 1;
    }
    if until.is_none() {
        return !waited.timed_out();
    }
    // What was queued may be begun when a source that hung may be tried.
    let now = shared.clock.now();
    state.open_queued(number, now);
    shared.settle(state, now);
    true
}

fn read_and_store(shared: &Arc<Shared>, state: &mut MutexGuard<'_, State>, read: Read) {
    let length = u32::try_from(read.range.end - read.range.start).unwrap_or(u32::MAX);
    let (fetched, took) = MutexGuard::unlocked(state, || {
        let began = Instant::now();
        let fetched = catch_unwind(AssertUnwindSafe(|| {
            shared
                .fetch
                .read(&read.wanted, read.range.start, length, &read.cancel)
        }));
        let fetched = fetched.unwrap_or_else(|_| Err(failed("the reader failed", false)));
        let fetched = fetched.and_then(|bytes| match bytes.len().cmp(&(length as usize)) {
            std::cmp::Ordering::Equal => Ok(bytes),
            // It is smaller than it was.
            std::cmp::Ordering::Less => Err(FetchError::Changed),
            std::cmp::Ordering::Greater => Err(failed("more came than was asked for", false)),
        });
        (fetched, began.elapsed())
    });
    let stored = match fetched {
        Ok(bytes) => {
            let task = state.tasks.get(&read.task);
            let link = task.map(|task| Arc::clone(&task.link));
            MutexGuard::unlocked(state, || {
                let start = read.range.start;
                // The last that has it works on the cache's disk when it lets go of it, so that is done in here, too.
                let stored = catch_unwind(AssertUnwindSafe(move || {
                    link.map_or(Ok(()), |link| link.store(start, &bytes))
                }));
                stored.map_err(|_| failed("what came could not be stored", false))
            })
        }
        Err(error) => Err(error),
    };
    let now = shared.clock.now();
    state.finish_read(&read, stored, took, now);
}

fn failed(reason: &str, transient: bool) -> FetchError {
    FetchError::Failed {
        reason: reason.to_owned(),
        transient,
    }
}

impl State {
    fn begin_read(
        &mut self,
        id: TaskId,
        range: Range<u64>,
        awaited: bool,
        now: Instant,
    ) -> Option<Read> {
        let task = self.tasks.get_mut(&id)?;
        let wanted = task.link.wanted.clone();
        let source = self.sources.get_mut(&wanted.source)?;
        let probe = match &mut source.standing {
            Standing::Hung { probing, .. } => {
                *probing = true;
                true
            }
            Standing::Answers | Standing::Away { .. } => false,
        };
        source.reads += 1;
        source.unawaited += usize::from(!awaited);
        task.in_flight.insert(range.clone());
        let read = Read {
            task: id,
            range,
            awaited,
            cancel: Arc::clone(&task.link.cancel),
            round: (!task.pauses(now)).then_some(task.round),
            epoch: source.epoch,
            probe,
            wanted,
        };
        let source = read.wanted.source;
        self.touched.insert(source);
        if let Some(task) = self.tasks.get_mut(&id)
            && !std::mem::replace(&mut task.began, true)
        {
            self.tell(id, now);
        }
        Some(read)
    }

    /// What came, and whether it could be stored; or why nothing came.
    fn finish_read(
        &mut self,
        read: &Read,
        result: Result<Result<(), CacheError>, FetchError>,
        took: Duration,
        now: Instant,
    ) {
        let number = read.wanted.source;
        self.touched.insert(number);
        if let Some(task) = self.tasks.get_mut(&read.task) {
            task.in_flight.remove(read.range.clone());
        }
        let Some(source) = self.sources.get_mut(&number) else {
            return;
        };
        source.reads -= 1;
        source.unawaited -= usize::from(!read.awaited);
        let timely = source.epoch == read.epoch;
        if timely && read.probe {
            // Whatever it says: it answered, unless it says otherwise below.
            source.standing = match &result {
                Err(FetchError::Cancelled) => Standing::Hung {
                    until: now,
                    probing: false,
                },
                _ => Standing::Answers,
            };
            self.open_queued(number, now);
        }
        if timely && matches!(&result, Ok(_) | Err(FetchError::Changed | FetchError::Gone)) {
            self.answered(number, now);
        }
        match result {
            Ok(Ok(())) => self.arrived(read, took, now),
            // An earlier task's read brought the same, and all is here.
            Ok(Err(CacheError::Closed { .. })) if self.is_completing(read.task) => {}
            Ok(Err(error)) => self.end(read.task, Err(of_cache(&error)), now),
            Err(FetchError::Changed) => self.end(read.task, Err(HydrateError::Changed), now),
            Err(FetchError::Gone) => self.end(read.task, Err(HydrateError::Gone), now),
            Err(FetchError::Offline { reason }) if timely => {
                let why = HydrateError::Offline { reason };
                self.suspend(number, Standing::Away { why: why.clone() }, &why, now);
            }
            Err(FetchError::Hung { again_in }) if timely => {
                let until = now + again_in.max(SHORTEST_PAUSE);
                let probing = false;
                let standing = Standing::Hung { until, probing };
                self.suspend(number, standing, &HydrateError::Hung, now);
            }
            // The source has come back since: it is asked again.
            Err(FetchError::Offline { .. } | FetchError::Hung { .. }) => {}
            Err(FetchError::Failed { reason, transient }) => {
                self.fail(read, HydrateError::Failed { reason }, transient, now);
            }
            Err(FetchError::Cancelled) => {
                let reason = "the read was given up".to_owned();
                self.fail(read, HydrateError::Failed { reason }, true, now);
            }
        }
    }

    fn is_completing(&self, id: TaskId) -> bool {
        let task = self.tasks.get(&id);
        task.is_some_and(|task| task.step == Step::Completing)
    }

    fn suspend(&mut self, number: SourceNo, standing: Standing, why: &HydrateError, now: Instant) {
        if let Some(source) = self.sources.get_mut(&number) {
            source.standing = standing;
        }
        self.answer_source(number, why, now);
    }

    /// Bytes are in the cache, if the task was not over before. If it ended while they were being stored, another task
    /// that began since may have the same partial object, and did not see them come.
    fn arrived(&mut self, read: &Read, took: Duration, now: Instant) {
        if let Some(source) = self.sources.get_mut(&read.wanted.source) {
            source.brought(read.range.end - read.range.start, took);
        }
        let id = if self.tasks.contains_key(&read.task) {
            read.task
        } else if let Some(id) = self.live.get(&read.wanted) {
            *id
        } else {
            return;
        };
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        task.link
            .meter
            .lock()
            .add(read.range.end - read.range.start, now);
        // What goes well elsewhere says nothing of what failed.
        task.sore.remove(read.range.clone());
        if task.failures > 0 && task.sore.is_empty() {
            task.tries_at_once();
            task.trouble = None;
        }
        task.answer_arrived();
        self.complete_if_whole(id);
        self.tell_progress(id, now);
    }

    /// Nothing came for a task. Of several reads that were under way at once only the first counts, and none that began
    /// in a pause.
    fn fail(&mut self, read: &Read, why: HydrateError, transient: bool, now: Instant) {
        let Some(task) = self.tasks.get_mut(&read.task) else {
            return;
        };
        let enough = self.limits.tries_awaited;
        if transient && read.round != Some(task.round) {
            task.sore.insert(read.range.clone());
            task.answer_sore(enough);
            return;
        }
        task.failures += 1;
        task.round += 1;
        if !transient || task.failures >= self.limits.tries {
            return self.end(read.task, Err(why), now);
        }
        task.sore.insert(read.range.clone());
        task.trouble = Some(why);
        task.retry_at = Some(now + pause(&self.limits, task.failures));
        task.answer_sore(enough);
        self.tell(read.task, now);
    }
}

/// How long to wait after so many failures: twice as long each time, and never quite the same, so that what failed
/// together is not tried together.
fn pause(limits: &Limits, failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
    let pause = limits.first_pause.saturating_mul(doubled);
    let jitter = RandomState::new().hash_one(failures) % 256;
    let pause = pause.min(limits.longest_pause);
    pause.mul_f64(0.75 + f64::from(u32::try_from(jitter).unwrap_or(0)) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let limits = Limits::default();
        for (failures, longest) in [(1, 500), (2, 1000), (3, 2000), (7, 32_000), (8, 60_000)] {
            let pause = pause(&limits, failures).as_millis();
            let expected = longest * 3 / 4..=longest;
            assert!(expected.contains(&pause), "{failures}: {pause}");
        }
        assert!(pause(&limits, u32::MAX) <= limits.longest_pause);
    }
}

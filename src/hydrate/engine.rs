//! The engine as others see it: streams, tasks, sources, and its end.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use mediafs_cache::{CacheError, Store};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::model::SourceNo;

use super::error::HydrateError;
use super::fetch::{Fetch, Told};
use super::limits::{Clock, Limits, SystemClock};
use super::sources::Standing;
use super::state::{State, Step};
use super::stream::Stream;
use super::task::{IfFull, TaskId, TaskState, WhenLeft, Who, Why};
use super::wanted::Wanted;

/// Gives the cache, which may be opened only when it is first needed. Called on threads of the engine.
pub type OpenStore = Arc<dyn Fn() -> Result<Store, CacheError> + Send + Sync>;

/// Brings what is wanted. Ends with [`Self::shutdown`], or when it is dropped. But for `shutdown` and `resume` nothing
/// here touches a disk or waits for anybody.
pub struct Hydrator {
    shared: Arc<Shared>,
}

/// What all threads and streams of an engine share.
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) desk_work: Condvar,
    pub(super) news: Condvar,
    /// A thread has ended.
    pub(super) ended: Condvar,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) told: Arc<dyn Told>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Shared {
    /// With the lock: whoever changes something calls [`Self::settle`] before it lets go.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Changes something, and sees to what follows.
    pub(super) fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.lock();
        let now = self.clock.now();
        let result = change(&mut state, now);
        self.settle(&mut state, now);
        result
    }

    /// Wakes or starts the threads that have something to do now.
    pub(super) fn settle(self: &Arc<Self>, state: &mut State, now: Instant) {
        self.staff_sources(state, now);
        self.staff_desk(state);
        if !state.news.is_empty() {
            self.news.notify_one();
        }
    }

    /// Said by a thread, with the lock held, when it ends.
    pub(super) fn has_ended(&self) {
        self.ended.notify_all();
        self.news.notify_all();
    }

    /// Starts a thread of the engine, which says itself when it ends.
    pub(super) fn start(
        self: &Arc<Self>,
        state: &mut State,
        name: &str,
        work: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> bool {
        let shared = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&shared));
        match started {
            Ok(_) => state.threads += 1,
            Err(error) => {
                tracing::error!(%error, "no thread could be started for hydration");
                return false;
            }
        }
        true
    }
}

impl Hydrator {
    /// An engine that fills this cache.
    #[must_use]
    pub fn new(
        store: OpenStore,
        fetch: Arc<dyn Fetch>,
        told: Arc<dyn Told>,
        limits: Limits,
    ) -> Self {
        Self::with_clock(store, fetch, told, limits, Arc::new(SystemClock))
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(
        store: OpenStore,
        fetch: Arc<dyn Fetch>,
        told: Arc<dyn Told>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(limits, store)),
            desk_work: Condvar::new(),
            news: Condvar::new(),
            ended: Condvar::new(),
            fetch,
            told,
            clock,
        });
        let mut state = shared.lock();
        shared.start(&mut state, "hydrate-tell", super::telling::tell);
        drop(state);
        Self { shared }
    }

    /// Opens a stream of what is wanted, and begins to bring it if nobody does so already.
    ///
    /// # Errors
    /// [`HydrateError::ShutDown`]. All other trouble is told to those who wait for a range.
    pub fn stream(
        &self,
        wanted: &Wanted,
        who: Who,
        when_left: WhenLeft,
        if_full: IfFull,
    ) -> Result<Stream, HydrateError> {
        let (link, number) = self.shared.with(|state, now| {
            if state.stopping {
                return Err(HydrateError::ShutDown);
            }
            let number = state.number();
            let id = state.task_for(wanted);
            let task = state.tasks.get_mut(&id).ok_or(HydrateError::ShutDown)?;
            task.streams.insert(number, if_full);
            task.goes_on |= when_left == WhenLeft::GoOn;
            let link = Arc::clone(&task.link);
            state.open(id);
            state.touched.insert(wanted.source);
            state.tell(id, now);
            Ok((link, number))
        })?;
        Ok(Stream::new(Arc::clone(&self.shared), link, number, who))
    }

    /// Asks for all of it. The task goes on until it is over or cancelled; asked for again, a task that waits for
    /// another try is tried at once.
    pub fn ask(&self, wanted: &Wanted, why: Why) -> TaskId {
        self.shared.with(|state, now| {
            let id = state.task_for(wanted);
            if let Some(task) = state.tasks.get_mut(&id) {
                task.asked = task.asked.max_by_priority(why);
                task.tries_at_once();
            }
            state.queue(id);
            if state.stopping {
                state.end(id, Err(HydrateError::ShutDown), now);
            } else {
                state.open_queued(wanted.source, now);
                state.touched.insert(wanted.source);
                state.tell(id, now);
            }
            id
        })
    }

    /// Takes back that it was asked for: it goes on in the background.
    pub fn unask(&self, id: TaskId) {
        self.shared.with(|state, now| {
            if let Some(task) = state.tasks.get_mut(&id) {
                task.asked = None;
                task.goes_on = true;
                state.queue(id);
                state.tell(id, now);
            }
        });
    }

    /// Ends a task. Whoever waits for a range of it is answered at once; what has arrived is kept for the next time.
    /// False if it is over already, or all has arrived.
    pub fn cancel(&self, id: TaskId) -> bool {
        self.shared.with(|state, now| {
            let task = state.tasks.get(&id);
            let running = task.is_some_and(|task| task.step != Step::Completing);
            if running {
                state.end(id, Err(HydrateError::Cancelled), now);
            }
            running
        })
    }

    /// All tasks, also the last ones that are over, in the order of their numbers.
    pub fn tasks(&self) -> Vec<TaskState> {
        let state = self.shared.lock();
        let now = self.shared.clock.now();
        let mut tasks: Vec<_> = state.over.iter().cloned().collect();
        tasks.extend(state.tasks.keys().filter_map(|id| state.state_of(*id, now)));
        tasks.sort_by_key(|task| task.id);
        tasks
    }

    /// A task, `None` if it is unknown or was over long ago.
    pub fn task(&self, id: TaskId) -> Option<TaskState> {
        let state = self.shared.lock();
        state.state_of(id, self.shared.clock.now())
    }

    /// The task that brings this now.
    pub fn task_of(&self, wanted: &Wanted) -> Option<TaskId> {
        self.shared.lock().live.get(wanted).copied()
    }

    /// Waits until a task is over, `None` if it is unknown.
    pub fn wait(&self, id: TaskId) -> impl Future<Output = Option<TaskState>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.lock();
        let over = match state.tasks.get_mut(&id) {
            Some(task) => {
                task.watchers.push(sender);
                None
            }
            None => state.state_of(id, self.shared.clock.now()),
        };
        drop(state);
        async move {
            match over {
                Some(state) => Some(state),
                None => receiver.await.ok(),
            }
        }
    }

    /// A source answers again, or is there again: what waits for it is tried at once.
    pub fn source_is_back(&self, source: SourceNo) {
        self.shared.with(|state, now| {
            let known = state.sources.entry(source).or_default();
            known.epoch += 1;
            known.standing = Standing::Answers;
            for id in known.active.clone() {
                if let Some(task) = state.tasks.get_mut(&id) {
                    task.tries_at_once();
                }
                state.tell(id, now);
            }
            state.open_queued(source, now);
            state.touched.insert(source);
        });
    }

    /// A source is known to be away: whoever waits for bytes of it is answered, and nothing is read until it is back.
    pub fn source_is_away(&self, source: SourceNo, reason: impl Into<String>) {
        let why = HydrateError::Offline {
            reason: reason.into(),
        };
        self.shared.with(|state, now| {
            let known = state.sources.entry(source).or_default();
            known.epoch += 1;
            known.standing = Standing::Away { why: why.clone() };
            state.answer_source(source, &why, now);
        });
    }

    /// Goes on, in the background, with what an earlier run left in part and `still` says is wanted. The rest is left
    /// to eviction. Reads the cache's disk.
    ///
    /// # Errors
    /// The cache can't be opened or read.
    pub fn resume(&self, still: impl Fn(&Wanted) -> bool) -> Result<Vec<TaskId>, CacheError> {
        let Some(store) = self.shared.lock().store.clone() else {
            return Ok(Vec::new());
        };
        let left = store()?.dormant_partials()?;
        Ok(left
            .iter()
            .filter_map(Wanted::of_spec)
            .filter(|wanted| still(wanted))
            .map(|wanted| self.ask(&wanted, Why::Background))
            .collect())
    }

    /// Ends all tasks, keeping what has arrived, and waits for the threads; not for those that hang in a read for
    /// longer than [`Limits::shutdown_patience`]. True if all have ended.
    pub fn shutdown(&self) -> bool {
        let patience = self.shared.with(|state, now| {
            state.stopping = true;
            let mut ids: Vec<_> = state.tasks.keys().copied().collect();
            ids.sort();
            for id in ids {
                state.end(id, Err(HydrateError::ShutDown), now);
            }
            state.store = None;
            for source in state.sources.values() {
                source.work.notify_all();
            }
            state.limits.shutdown_patience
        });
        self.shared.desk_work.notify_all();
        self.shared.news.notify_all();
        let mut state = self.shared.lock();
        let deadline = Instant::now() + patience;
        while state.threads > 0 {
            if self
                .shared
                .ended
                .wait_until(&mut state, deadline)
                .timed_out()
            {
                break;
            }
        }
        state.threads == 0
    }
}

#[cfg(test)]
impl Hydrator {
    /// How many threads there are.
    pub(super) fn threads(&self) -> usize {
        self.shared.lock().threads
    }

    /// How many reads are under way, or what they brought is being stored.
    pub(super) fn reads(&self) -> usize {
        let state = self.shared.lock();
        state.sources.values().map(|source| source.reads).sum()
    }

    /// True while the cache is asked for something that was opened.
    pub(super) fn is_opening(&self) -> bool {
        let state = self.shared.lock();
        state.tasks.values().any(|task| task.step == Step::Opening)
    }
}

impl Drop for Hydrator {
    fn drop(&mut self) {
        self.shutdown();
    }
}

trait MaxByPriority {
    fn max_by_priority(self, other: Why) -> Self;
}

impl MaxByPriority for Option<Why> {
    fn max_by_priority(self, other: Why) -> Self {
        self.into_iter()
            .chain([other])
            .max_by_key(|why| why.priority())
    }
}

impl std::fmt::Debug for Hydrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hydrator").finish_non_exhaustive()
    }
}

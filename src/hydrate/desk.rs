//! Work on the cache's own disk: opening partial objects, making objects of them, and letting go of them.
//!
//! It has a few threads of its own, so that it waits for no source, and nobody who streams waits for it.

use std::collections::VecDeque;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use mediafs_cache::{CacheError, ObjectId};
use parking_lot::MutexGuard;

use crate::model::ObjectHash;

use super::engine::{OpenStore, Shared};
use super::error::HydrateError;
use super::link::{Body, Link};
use super::passing::Passing;
use super::state::{State, Step};
use super::task::{IfFull, TaskId};
use super::wanted::Wanted;

const THREADS: usize = 3;
/// Hashing something large takes long; who opens something does not wait for it.
const COMPLETING: usize = THREADS - 1;
/// A thread that has nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Desk {
    jobs: VecDeque<Job>,
    completes: VecDeque<TaskId>,
    completing: usize,
    pub(super) threads: usize,
    idle: usize,
}

pub(super) enum Job {
    Open(TaskId),
    /// Drop it, where that may take its time.
    LetGo(Arc<Link>),
    Complete(TaskId),
}

impl Desk {
    pub(super) fn push(&mut self, job: Job) {
        match job {
            Job::Complete(id) => self.completes.push_back(id),
            job => self.jobs.push_back(job),
        }
    }

    fn has_work(&self) -> bool {
        !self.jobs.is_empty() || (!self.completes.is_empty() && self.completing < COMPLETING)
    }

    fn next(&mut self) -> Option<Job> {
        if let Some(job) = self.jobs.pop_front() {
            return Some(job);
        }
        if self.completing >= COMPLETING {
            return None;
        }
        let id = self.completes.pop_front()?;
        self.completing += 1;
        Some(Job::Complete(id))
    }
}

impl Shared {
    pub(super) fn staff_desk(self: &Arc<Self>, state: &mut State) {
        if !state.desk.has_work() {
            return;
        }
        if state.desk.idle > 0 {
            self.desk_work.notify_one();
        } else if state.desk.threads < THREADS && self.start(state, "hydrate-desk", work) {
            state.desk.threads += 1;
        }
    }
}

fn work(shared: &Arc<Shared>) {
    let mut state = shared.lock();
    loop {
        match state.desk.next() {
            Some(job) => {
                // Another may do the next one.
                shared.staff_desk(&mut state);
                do_job(shared, &mut state, job);
                let now = shared.clock.now();
                shared.settle(&mut state, now);
            }
            None if state.stopping => break,
            None => {
                state.desk.idle += 1;
                let waited = shared.desk_work.wait_for(&mut state, IDLE);
                state.desk.idle -= 1;
                if waited.timed_out() && !state.desk.has_work() {
                    break;
                }
            }
        }
    }
    state.desk.threads -= 1;
    state.threads -= 1;
    shared.has_ended();
}

fn do_job(shared: &Arc<Shared>, state: &mut MutexGuard<'_, State>, job: Job) {
    match job {
        Job::LetGo(link) => let_go(state, link),
        Job::Open(id) => {
            let (Some(task), Some(store)) = (state.tasks.get(&id), state.store.clone()) else {
                return;
            };
            let wanted = task.link.wanted.clone();
            let opened = MutexGuard::unlocked(state, || catching(|| open(&store, &wanted)));
            opened_task(shared, state, id, opened);
        }
        Job::Complete(id) => {
            let link = state.tasks.get(&id).map(|task| Arc::clone(&task.link));
            if let Some(link) = link {
                let made = MutexGuard::unlocked(state, || catching(|| complete(&link)));
                let now = shared.clock.now();
                if state.tasks.contains_key(&id) {
                    state.end(id, made, now);
                } else if let Ok(object) = made {
                    // All ended meanwhile, and yet it is there.
                    state
                        .news
                        .push_back(super::telling::News::Arrived(link.wanted.clone(), object));
                }
                let_go(state, link);
            }
            state.desk.completing -= 1;
        }
    }
}

/// What the work gives; that the cache failed, where it panics: the thread and what it counts for go on.
fn catching<T>(work: impl FnOnce() -> Result<T, HydrateError>) -> Result<T, HydrateError> {
    let failed = |_| HydrateError::Cache {
        reason: "it has failed at its work".to_owned(),
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(failed(panic)))
}

fn let_go(state: &mut MutexGuard<'_, State>, link: Arc<Link>) {
    let dropped = MutexGuard::unlocked(state, || {
        catching(|| {
            drop(link);
            Ok(())
        })
    });
    if let Err(why) = dropped {
        tracing::error!(%why, "what is over could not be let go of");
    }
}

fn open(store: &OpenStore, wanted: &Wanted) -> Result<Body, HydrateError> {
    let opened = store().and_then(|store| {
        let expected = wanted.expected.map(|hash| ObjectId::from_bytes(hash.0));
        match expected.map(|id| store.open_object(&id)).transpose()? {
            Some(Some(object)) => Ok(Body::Object(object)),
            Some(None) | None => store.begin_partial(wanted.spec()).map(Body::Partial),
        }
    });
    match opened.map_err(|error| of_cache(&error))? {
        // The bytes that are wanted never had the size that is.
        Body::Object(object) if object.size() != wanted.size => Err(HydrateError::Changed),
        body => Ok(body),
    }
}

fn complete(link: &Link) -> Result<ObjectHash, HydrateError> {
    match link.body.get() {
        Some(Body::Partial(partial)) => match partial.complete() {
            Ok(object) => Ok(ObjectHash(*object.id().as_bytes())),
            Err(error) => Err(of_cache(&error)),
        },
        Some(Body::Object(object)) => Ok(ObjectHash(*object.id().as_bytes())),
        Some(Body::Passing(_, why)) => Err(why.clone()),
        None => Err(HydrateError::Cancelled),
    }
}

fn opened_task(
    shared: &Arc<Shared>,
    state: &mut MutexGuard<'_, State>,
    id: TaskId,
    opened: Result<Body, HydrateError>,
) {
    let now = shared.clock.now();
    let body = match opened {
        Ok(body) => body,
        Err(why) => match state.pass(id, &why) {
            Some(passing) => Body::Passing(passing, why),
            None => return state.end(id, Err(why), now),
        },
    };
    let Some(task) = state.tasks.get_mut(&id) else {
        // It was cancelled meanwhile.
        let let_go = MutexGuard::unlocked(state, || {
            catching(|| {
                if let Body::Partial(partial) = &body
                    && partial.arrived_bytes() > 0
                {
                    partial.keep();
                }
                drop(body);
                Ok(())
            })
        });
        if let Err(why) = let_go {
            tracing::error!(%why, "what was cancelled could not be let go of");
        }
        return;
    };
    let object = match &body {
        Body::Object(object) => Some(ObjectHash(*object.id().as_bytes())),
        Body::Partial(_) | Body::Passing(..) => None,
    };
    let wanted = task.link.wanted.clone();
    // A task is opened once.
    let _ = task.link.body.set(body);
    task.step = Step::Filling;
    task.answer_arrived();
    if let Some(object) = object {
        return state.end(id, Ok(object), now);
    }
    state.complete_if_whole(id);
    let source = state.sources.get(&wanted.source);
    let refused = source.and_then(|source| source.standing.refuses(now));
    if let (Some((why, _)), Some(task)) = (refused, state.tasks.get_mut(&id)) {
        task.answer_all(&why);
    }
    state.lay_aside(id);
    state.touched.insert(wanted.source);
    state.tell(id, now);
}

impl State {
    /// Where the cache has no room, what only those stream who can do without it passes through memory; from then on it is
    /// theirs alone. `None` if it fails.
    fn pass(&mut self, id: TaskId, why: &HydrateError) -> Option<Passing> {
        let task = self.tasks.get_mut(&id)?;
        let may_pass = matches!(why, HydrateError::Full { .. })
            && task.asked.is_none()
            && !task.streams.is_empty()
            && task.streams.values().all(|open| *open == IfFull::Pass);
        let passing = may_pass.then(|| self.passing.enter()).flatten()?;
        task.goes_on = false;
        self.live.remove(&task.link.wanted);
        Some(passing)
    }

    pub(super) fn complete_if_whole(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id)
            && task.step == Step::Filling
            && task.link.is_whole()
        {
            task.step = Step::Completing;
            self.desk.push(Job::Complete(id));
        }
    }
}

/// What the cache could not do, with all that is known of why.
pub(super) fn of_cache(error: &CacheError) -> HydrateError {
    if let CacheError::WrongBytes { expected, actual } = error {
        return HydrateError::WrongBytes {
            expected: ObjectHash(*expected.as_bytes()),
            actual: ObjectHash(*actual.as_bytes()),
        };
    }
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    if !error.is_full() {
        return HydrateError::Cache { reason };
    }
    if matches!(error, CacheError::Io { .. }) {
        reason = format!("{reason}; free some space on the disk of the cache");
    }
    HydrateError::Full { reason }
}

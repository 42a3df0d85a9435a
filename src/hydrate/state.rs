//! All tasks and sources, and what each change means for those who wait. Under one lock, and nothing here blocks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mediafs_cache::RangeSet;
use tokio::sync::oneshot;

use crate::model::{ObjectHash, SourceNo};

use super::desk::{Desk, Job};
use super::engine::OpenStore;
use super::error::HydrateError;
use super::limits::Limits;
use super::link::Link;
use super::passing::Room;
use super::sources::{Source, Standing};
use super::task::{Arrival, IfFull, Priority, TaskId, TaskPhase, TaskState, Who, Why};
use super::telling::News;
use super::wanted::Wanted;

/// A running task is told of again after this.
const TOLD_EVERY: Duration = Duration::from_millis(250);

pub(super) struct State {
    pub(super) limits: Limits,
    pub(super) stopping: bool,
    /// Gone when all is over, so that a thread that hangs does not keep the cache open.
    pub(super) store: Option<OpenStore>,
    pub(super) tasks: HashMap<TaskId, Task>,
    pub(super) live: HashMap<Wanted, TaskId>,
    pub(super) over: VecDeque<TaskState>,
    pub(super) sources: HashMap<SourceNo, Source>,
    /// Where something changed, so that there may be something to read.
    pub(super) touched: BTreeSet<SourceNo>,
    pub(super) desk: Desk,
    /// For what the cache does not take.
    pub(super) passing: Arc<Room>,
    pub(super) news: VecDeque<News>,
    /// All threads of the engine, and those of them that read from sources.
    pub(super) threads: usize,
    pub(super) reading_threads: usize,
    next_number: u64,
}

pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) link: Arc<Link>,
    pub(super) step: Step,
    pub(super) asked: Option<Why>,
    /// Who has it open, by number.
    pub(super) streams: BTreeMap<u64, IfFull>,
    /// When nobody has it open any more.
    pub(super) goes_on: bool,
    pub(super) waiters: Vec<Waiter>,
    /// What is being read.
    pub(super) in_flight: RangeSet,
    /// Something was read, or is being read.
    pub(super) began: bool,
    /// How often in a row reading failed.
    pub(super) failures: u32,
    /// Counts the rounds of tries, so that a failure that belongs to an earlier one does not count.
    pub(super) round: u64,
    pub(super) retry_at: Option<Instant>,
    /// What failed and did not come since.
    pub(super) sore: RangeSet,
    pub(super) trouble: Option<HydrateError>,
    pub(super) watchers: Vec<oneshot::Sender<TaskState>>,
    /// How many bytes had arrived when it was laid aside.
    laid_aside: u64,
    told_at: Option<Instant>,
    /// It is in the news already.
    pub(super) in_news: bool,
    queued_as: Priority,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It holds no room in the cache.
    Queued,
    /// The desk opens its partial object.
    Opening,
    Filling,
    /// All has arrived, and the desk makes it an object.
    Completing,
}

pub(super) struct Waiter {
    /// The smaller waits longer.
    pub(super) number: u64,
    pub(super) range: Range<u64>,
    pub(super) priority: Priority,
    pub(super) who: Who,
    pub(super) answer: oneshot::Sender<Arrival>,
}

impl Task {
    pub(super) fn priority(&self) -> Priority {
        let asked = self.asked.map(Why::priority);
        let open = (!self.streams.is_empty()).then_some(Priority::Streamed);
        let waiting = self.waiters.iter().map(|waiter| waiter.priority).max();
        asked.max(open).max(waiting).unwrap_or_default()
    }

    /// Answers those whose range is there.
    pub(super) fn answer_arrived(&mut self) {
        let link = &self.link;
        let ready = self
            .waiters
            .extract_if(.., |waiter| link.has_arrived(waiter.range.clone()));
        for waiter in ready {
            // Who left does not hear it.
            let _ = waiter.answer.send(Arrival::Arrived);
        }
    }

    /// Answers everybody.
    pub(super) fn answer_all(&mut self, why: &HydrateError) {
        self.answer_arrived();
        for waiter in self.waiters.drain(..) {
            let _ = waiter.answer.send(Arrival::Ended(why.clone()));
        }
    }

    /// Answers those who wait for something that failed so often in a row that it may be long in coming, though it is
    /// tried again.
    pub(super) fn answer_sore(&mut self, enough: u32) {
        if self.failures < enough {
            return;
        }
        let Some(why) = &self.trouble else { return };
        let (link, sore) = (&self.link, &self.sore);
        let without_hope = self
            .waiters
            .extract_if(.., |waiter| is_sore(link, sore, &waiter.range));
        for waiter in without_hope {
            let _ = waiter.answer.send(Arrival::Ended(why.clone()));
        }
    }

    /// Why nobody need wait for this range before the next try.
    pub(super) fn fails(
        &self,
        range: &Range<u64>,
        enough: u32,
        now: Instant,
    ) -> Option<HydrateError> {
        let hopeless =
            self.failures >= enough && self.pauses(now) && is_sore(&self.link, &self.sore, range);
        self.trouble.clone().filter(|_| hopeless)
    }

    /// It waits for its next try.
    pub(super) fn pauses(&self, now: Instant) -> bool {
        self.retry_at.is_some_and(|at| at > now)
    }

    pub(super) fn tries_at_once(&mut self) {
        self.failures = 0;
        self.round += 1;
        self.retry_at = None;
        self.sore = RangeSet::new();
    }

    fn snapshot(&self, phase: TaskPhase, now: Instant) -> TaskState {
        TaskState {
            id: self.id,
            wanted: self.link.wanted.clone(),
            phase,
            arrived: match self.step {
                Step::Queued | Step::Opening => self.link.arrived_bytes().max(self.laid_aside),
                _ => self.link.arrived_bytes(),
            },
            total: self.link.wanted.size,
            rate: self.link.meter.lock().rate(now),
            priority: self.priority(),
            asked: self.asked,
            waiting: self
                .waiters
                .iter()
                .map(|waiter| waiter.who.clone())
                .collect(),
            streams: self.streams.len(),
        }
    }
}

/// Something of the range has not arrived, and reading it failed.
fn is_sore(link: &Link, sore: &RangeSet, range: &Range<u64>) -> bool {
    let missing = link.missing(range.clone());
    let mut missing = missing.into_iter();
    missing.any(|gap| sore.gaps(gap.clone()) != [gap])
}

impl State {
    pub(super) fn new(limits: Limits, store: OpenStore) -> Self {
        Self {
            limits,
            stopping: false,
            store: Some(store),
            tasks: HashMap::new(),
            live: HashMap::new(),
            over: VecDeque::new(),
            sources: HashMap::new(),
            touched: BTreeSet::new(),
            desk: Desk::default(),
            passing: Arc::default(),
            news: VecDeque::new(),
            threads: 0,
            reading_threads: 0,
            next_number: 1,
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// The task for this, begun if there is none.
    pub(super) fn task_for(&mut self, wanted: &Wanted) -> TaskId {
        if let Some(id) = self.live.get(wanted) {
            return *id;
        }
        let id = TaskId(self.number());
        let task = Task {
            id,
            link: Arc::new(Link::new(id, wanted.clone())),
            step: Step::Queued,
            asked: None,
            streams: BTreeMap::new(),
            goes_on: false,
            waiters: Vec::new(),
            in_flight: RangeSet::new(),
            began: false,
            failures: 0,
            round: 0,
            retry_at: None,
            sore: RangeSet::new(),
            trouble: None,
            laid_aside: 0,
            watchers: Vec::new(),
            told_at: None,
            in_news: false,
            queued_as: Priority::default(),
        };
        self.tasks.insert(id, task);
        self.live.insert(wanted.clone(), id);
        self.queue(id);
        id
    }

    /// Puts a task that is queued where it belongs now.
    pub(super) fn queue(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        if task.step != Step::Queued {
            return;
        }
        let source = self.sources.entry(task.link.wanted.source).or_default();
        source.queued.remove(&(Reverse(task.queued_as), id));
        task.queued_as = task.priority();
        source.queued.insert((Reverse(task.queued_as), id));
    }

    /// Lets the desk open the partial object of a queued task.
    pub(super) fn open(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        if task.step != Step::Queued {
            return;
        }
        task.step = Step::Opening;
        let source = self.sources.entry(task.link.wanted.source).or_default();
        source.queued.remove(&(Reverse(task.queued_as), id));
        source.active.insert(id);
        self.desk.push(Job::Open(id));
    }

    /// Opens queued tasks of a source as far as there may be more of them.
    pub(super) fn open_queued(&mut self, number: SourceNo, now: Instant) {
        while let Some(id) = self.next_to_open(number, now) {
            self.open(id);
        }
    }

    fn next_to_open(&self, number: SourceNo, now: Instant) -> Option<TaskId> {
        let source = self.sources.get(&number)?;
        if self.stopping || source.standing.refuses(now).is_some() {
            return None;
        }
        let (Reverse(priority), next) = *source.queued.first()?;
        let tasks = source.active.iter().filter_map(|id| self.tasks.get(id));
        let begun = tasks.filter(|task| task.streams.is_empty() && task.priority() >= priority);
        (begun.count() < self.limits.begun.max(1)).then_some(next)
    }

    /// Somebody left or came: what follows for a task.
    pub(super) fn left(&mut self, id: TaskId, now: Instant) {
        let Some(task) = self.tasks.get(&id) else {
            return;
        };
        let wanted = task.asked.is_some() || task.goes_on || !task.streams.is_empty();
        if wanted || task.step == Step::Completing {
            self.lay_aside(id);
            self.tell(id, now);
        } else {
            let passed = task.link.passing().map(|(_, why)| why.clone());
            self.end(id, Err(passed.unwrap_or(HydrateError::Cancelled)), now);
        }
    }

    /// Ends a task: everybody who waits is answered, what has arrived is kept unless it is worth nothing.
    pub(super) fn end(&mut self, id: TaskId, end: Result<ObjectHash, HydrateError>, now: Instant) {
        let Some(mut task) = self.tasks.remove(&id) else {
            return;
        };
        let wanted = task.link.wanted.clone();
        // What passes through memory is not to be joined, so another may have begun.
        if self.live.get(&wanted) == Some(&id) {
            self.live.remove(&wanted);
        }
        if let Some(source) = self.sources.get_mut(&wanted.source) {
            source.active.remove(&id);
            source.queued.remove(&(Reverse(task.queued_as), id));
        }
        let phase = match &end {
            Ok(object) => {
                self.news.push_back(News::Arrived(wanted.clone(), *object));
                TaskPhase::Done { object: *object }
            }
            Err(HydrateError::Cancelled) => TaskPhase::Cancelled,
            Err(reason) => {
                self.news
                    .push_back(News::Failed(wanted.clone(), reason.clone()));
                TaskPhase::Failed {
                    reason: reason.clone(),
                }
            }
        };
        if let Err(reason) = &end
            && let Some(partial) = task.link.partial()
        {
            if reason.spoils() || partial.arrived_bytes() == 0 {
                // An earlier task for the same may have wanted to keep it.
                partial.unkeep();
            } else {
                partial.keep();
            }
        }
        task.link.cancel.store(true, Ordering::Relaxed);
        // Told apart from a task that runs by whoever still has a stream.
        let _ = task.link.end.set(end.clone());
        let last = task.snapshot(phase, now);
        // Whoever waits for what is there is told so; when it is whole, that is everybody.
        let why = end.err().unwrap_or(HydrateError::Cancelled);
        task.answer_all(&why);
        for watcher in task.watchers.drain(..) {
            let _ = watcher.send(last.clone());
        }
        self.over.push_back(last.clone());
        while self.over.len() > self.limits.remembered {
            self.over.pop_front();
        }
        self.news.push_back(News::Over(Box::new(last)));
        self.desk.push(Job::LetGo(task.link));
        self.open_queued(wanted.source, now);
    }

    /// What nobody has open holds no room in the cache while its source is away, however long that is: it is queued
    /// again. What has arrived is kept, unless others need the room.
    pub(super) fn lay_aside(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let Some(source) = self.sources.get_mut(&task.link.wanted.source) else {
            return;
        };
        let is_away = matches!(source.standing, Standing::Away { .. });
        if !is_away || task.step != Step::Filling || !task.streams.is_empty() {
            return;
        }
        let wanted = task.link.wanted.clone();
        let before = std::mem::replace(&mut task.link, Arc::new(Link::new(id, wanted)));
        if let Some(partial) = before.partial()
            && partial.arrived_bytes() > 0
        {
            partial.keep();
        }
        task.laid_aside = before.arrived_bytes();
        before.cancel.store(true, Ordering::Relaxed);
        // What the reads under way say counts no more.
        task.tries_at_once();
        task.trouble = None;
        task.step = Step::Queued;
        source.active.remove(&id);
        self.queue(id);
        self.desk.push(Job::LetGo(before));
    }

    /// Everybody who waits for something of this source is told that it does not come for now.
    pub(super) fn answer_source(&mut self, number: SourceNo, why: &HydrateError, now: Instant) {
        let Some(source) = self.sources.get(&number) else {
            return;
        };
        for id in source.active.clone() {
            if let Some(task) = self.tasks.get_mut(&id) {
                // What the desk opens may be there already.
                if task.step != Step::Opening {
                    task.answer_all(why);
                }
                self.lay_aside(id);
                self.tell(id, now);
            }
        }
    }

    pub(super) fn state_of(&self, id: TaskId, now: Instant) -> Option<TaskState> {
        let Some(task) = self.tasks.get(&id) else {
            return self.over.iter().find(|state| state.id == id).cloned();
        };
        Some(task.snapshot(self.phase_of(task, now), now))
    }

    fn phase_of(&self, task: &Task, now: Instant) -> TaskPhase {
        let refused = self
            .sources
            .get(&task.link.wanted.source)
            .and_then(|source| source.standing.refuses(now));
        let left = |at: Instant| at.saturating_duration_since(now);
        match (task.step, refused) {
            (Step::Completing, _) => TaskPhase::Running,
            (_, Some((why, until))) => TaskPhase::Retrying {
                again_in: until.map(left),
                why,
            },
            (Step::Filling, None) => match (task.retry_at, &task.trouble, task.link.passing()) {
                (Some(at), Some(why), _) if at > now => TaskPhase::Retrying {
                    again_in: Some(left(at)),
                    why: why.clone(),
                },
                (_, _, Some((_, why))) => TaskPhase::Passing { why: why.clone() },
                _ if task.began => TaskPhase::Running,
                _ => TaskPhase::Queued,
            },
            (Step::Queued | Step::Opening, None) => TaskPhase::Queued,
        }
    }

    /// Tells of a task now.
    pub(super) fn tell(&mut self, id: TaskId, now: Instant) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.told_at = Some(now);
            if !std::mem::replace(&mut task.in_news, true) {
                self.news.push_back(News::Task(id));
            }
        }
    }

    /// Tells of a task if it was not told of lately.
    pub(super) fn tell_progress(&mut self, id: TaskId, now: Instant) {
        let told = self.tasks.get(&id).and_then(|task| task.told_at);
        if told.is_none_or(|at| now.saturating_duration_since(at) >= TOLD_EVERY) {
            self.tell(id, now);
        }
    }

    /// It answers.
    pub(super) fn answered(&mut self, source: SourceNo, now: Instant) {
        let Some(known) = self.sources.get_mut(&source) else {
            return;
        };
        let before = std::mem::take(&mut known.standing);
        if !std::mem::replace(&mut known.in_news, true) {
            self.news.push_back(News::Answered(source));
        }
        if before != Standing::Answers {
            self.open_queued(source, now);
        }
    }
}

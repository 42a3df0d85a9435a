//! What is going on: long work that can be listed and cancelled, with its progress told to subscribers.
//!
//! Work of this service (imports, scans, verifications) is kept here while it runs, and a while longer; whoever else has
//! tasks is a [`TaskSource`] that the daemon registers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::{Event, Events, now_millis};
use super::methods::{TaskKind, TaskProgress};
use crate::model::MediaId;

/// How often the progress of a task is told at most.
pub(super) const TELL_EVERY: Duration = Duration::from_millis(250);

/// How many tasks that have ended are told of.
pub const ENDED_KEPT: usize = 100;

/// How a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum TaskState {
    /// Its turn has not come.
    Queued,
    /// At work.
    Running,
    /// It waits for something: its storage, room, a program.
    Waiting,
    /// It has done all.
    Done,
    /// It has ended without.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl TaskInfo {
    /// The item that it is for, in people's words.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        let id = || self.media_id.as_ref().map(ToString::to_string);
        self.name.clone().or_else(id)
    }
}

impl TaskState {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A task.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskInfo {
    /// Names it as long as the daemon runs.
    pub id: String,
    /// What it does.
    pub kind: TaskKind,
    /// For which item, if for one.
    pub media_id: Option<MediaId>,
    /// The name of that item, or of the volume that is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it is.
    pub state: TaskState,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes in all; `null` while that is not known.
    pub total: Option<u64>,
    /// Of a task that goes by files or objects: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<TaskFiles>,
    /// Bytes a second, lately.
    pub rate: Option<u64>,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Which ones go before which, in a word of whoever does them.
    pub priority: Option<String>,
    /// Why it is as it is, for people: what it waits for, why it failed.
    pub reason: Option<String>,
}

/// How far a task is that goes by files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskFiles {
    /// Files done.
    pub done: u64,
    /// Files in all; `null` while that is not known.
    pub total: Option<u64>,
}

/// Who has tasks.
pub trait TaskSource: Send + Sync + 'static {
    /// Those that have not ended. Answers at once.
    fn tasks(&self) -> Vec<TaskInfo>;

    /// Those that have ended lately, the last one last; not many. Answers at once.
    fn ended(&self) -> Vec<TaskInfo> {
        Vec::new()
    }

    /// A task of that id, also one that has ended not long ago.
    fn task(&self, id: &str) -> Option<TaskInfo> {
        self.tasks().into_iter().find(|task| task.id == id)
    }

    /// Ends a task soon; false if there is none of that id.
    fn cancel(&self, id: &str) -> bool;
}

/// The work of this service that is under way.
pub(super) struct Running {
    events: Arc<Events>,
    begun: AtomicU64,
    tasks: Mutex<BTreeMap<String, Entry>>,
    /// The last one last; at most [`ENDED_KEPT`].
    ended: Mutex<VecDeque<TaskInfo>>,
}

struct Entry {
    info: TaskInfo,
    cancel: Arc<AtomicBool>,
}

impl Running {
    pub(super) fn new(events: Arc<Events>) -> Self {
        Self {
            events,
            begun: AtomicU64::new(0),
            tasks: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// Work begins; it is listed until [`Task::end`], or until it is dropped.
    pub(super) fn begin(&self, kind: TaskKind) -> Task<'_> {
        self.begin_on(kind, None)
    }

    /// The same, of work on something that has a name.
    pub(super) fn begin_on(&self, kind: TaskKind, name: Option<String>) -> Task<'_> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let info = TaskInfo {
            id: format!("work-{number}"),
            kind,
            media_id: None,
            name,
            state: TaskState::Running,
            bytes: 0,
            total: None,
            files: Some(TaskFiles::default()),
            rate: None,
            since: now_millis(),
            priority: None,
            reason: None,
        };
        let cancel = Arc::<AtomicBool>::default();
        let begun = Event::TaskProgress(info.clone());
        let task = Task {
            running: self,
            id: info.id.clone(),
            cancel: Arc::clone(&cancel),
            told: Instant::now(),
        };
        let entry = Entry { info, cancel };
        self.tasks.lock().insert(task.id.clone(), entry);
        // Whoever hears of it may ask for it.
        self.events.publish(begun);
        task
    }
}

impl TaskSource for Running {
    fn tasks(&self) -> Vec<TaskInfo> {
        let tasks = self.tasks.lock();
        tasks.values().map(|entry| entry.info.clone()).collect()
    }

    fn ended(&self) -> Vec<TaskInfo> {
        self.ended.lock().iter().cloned().collect()
    }

    fn task(&self, id: &str) -> Option<TaskInfo> {
        let running = self.tasks.lock().get(id).map(|entry| entry.info.clone());
        let ended = || self.ended.lock().iter().find(|task| task.id == id).cloned();
        running.or_else(ended)
    }

    fn cancel(&self, id: &str) -> bool {
        let tasks = self.tasks.lock();
        let Some(entry) = tasks.get(id) else {
            return false;
        };
        entry.cancel.store(true, Ordering::Relaxed);
        true
    }
}

/// Work that is under way.
pub(super) struct Task<'a> {
    running: &'a Running,
    id: String,
    cancel: Arc<AtomicBool>,
    told: Instant,
}

impl Task<'_> {
    /// Set to end it soon.
    pub(super) fn cancel(&self) -> &Arc<AtomicBool> {
        &self.cancel
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// How far it is.
    pub(super) fn progress(&mut self, progress: &TaskProgress) {
        let mut tasks = self.running.tasks.lock();
        let Some(entry) = tasks.get_mut(&self.id) else {
            return;
        };
        let files = TaskFiles {
            done: progress.done,
            total: progress.total,
        };
        if entry.info.files == Some(files) {
            return;
        }
        entry.info.files = Some(files);
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let event = Event::TaskProgress(entry.info.clone());
            self.running.events.publish(event);
        }
    }

    /// It has ended so.
    pub(super) fn end(self, state: TaskState, reason: Option<String>) {
        self.over(state, reason);
    }

    fn over(&self, state: TaskState, reason: Option<String>) {
        // Whoever asks meanwhile may find it in neither list, or is told by the event.
        let entry = self.running.tasks.lock().remove(&self.id);
        if let Some(Entry { mut info, .. }) = entry {
            info.state = state;
            info.reason = reason;
            let mut ended = self.running.ended.lock();
            if ended.len() == ENDED_KEPT {
                ended.pop_front();
            }
            ended.push_back(info.clone());
            drop(ended);
            self.running.events.publish(Event::TaskEnded(info));
        }
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        // Ended already, unless the work panicked.
        self.over(TaskState::Failed, None);
    }
}

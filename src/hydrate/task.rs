//! What is known of a task from outside.

use std::time::Duration;

use crate::model::ObjectHash;

use super::error::HydrateError;
use super::wanted::Wanted;

/// Number of a task, never reused while the daemon lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct TaskId(pub u64);

/// How urgent a task or a wait is; the greater goes first. Ranges that somebody waits for go before all others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Nobody waits for it.
    #[default]
    Background,
    /// Somebody asked for it by hand.
    ByHand,
    /// Media of an open project that is to be kept.
    Pinned,
    /// Somebody has it open, and waits for none of it just now.
    Streamed,
    /// A copier or a loader waits.
    Copier,
    /// A player waits.
    Player,
}

/// Why a task was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// To be there should somebody want it.
    Background,
    /// A person or a program asked for it.
    ByHand,
    /// It is pinned.
    Pinned,
}

impl Why {
    pub(super) fn priority(self) -> Priority {
        match self {
            Self::Background => Priority::Background,
            Self::ByHand => Priority::ByHand,
            Self::Pinned => Priority::Pinned,
        }
    }
}

/// Who has something open or waits for it: to be shown to a person.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Who {
    /// Its process, where that is known.
    pub pid: Option<u32>,
    /// Its name.
    pub name: String,
}

/// What becomes of a task that nobody asked for when the last stream of it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum WhenLeft {
    /// It goes on in the background.
    #[default]
    GoOn,
    /// It stops, and what has arrived is kept for the next time; unless another stream wanted it to go on.
    Stop,
}

/// What becomes of a stream where the cache has no room for what it streams.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum IfFull {
    /// It fails.
    #[default]
    Fail,
    /// The bytes pass through memory, and are not kept.
    Pass,
}

/// A task at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskState {
    /// Its number.
    pub id: TaskId,
    /// What it brings.
    pub wanted: Wanted,
    /// How far it is.
    pub phase: TaskPhase,
    /// How many bytes are here.
    pub arrived: u64,
    /// How many there are in all.
    pub total: u64,
    /// Bytes in a second, of late.
    pub rate: u64,
    /// How urgent it is now.
    pub priority: Priority,
    /// Why it was asked for; `None` if it was not, and runs because somebody opened it.
    pub asked: Option<Why>,
    /// Who waits for a range of it now.
    pub waiting: Vec<Who>,
    /// How many streams of it are open.
    pub streams: usize,
}

/// How far a task is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskPhase {
    /// Nothing was read for it so far.
    Queued,
    /// Bytes come, or are being made an object.
    Running,
    /// Bytes come for whoever streams it, and are not kept.
    Passing {
        /// Why the cache does not take them.
        why: HydrateError,
    },
    /// Something failed, and it will be tried again.
    Retrying {
        /// When; `None`: when the source is back.
        again_in: Option<Duration>,
        /// What failed.
        why: HydrateError,
    },
    /// It is an object of the cache.
    Done {
        /// Which.
        object: ObjectHash,
    },
    /// It was given up.
    Failed {
        /// Why.
        reason: HydrateError,
    },
    /// Somebody cancelled it, or nobody wanted it any more.
    Cancelled,
}

impl TaskPhase {
    /// True if nothing more happens.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(
            self,
            Self::Done { .. } | Self::Failed { .. } | Self::Cancelled
        )
    }
}

/// How waiting for a range ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// All of it can be read.
    Arrived,
    /// It does not come, at least for now ([`HydrateError::passes`]).
    Ended(HydrateError),
}

//! What is read next from a source.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Instant;

use crate::model::SourceNo;

use super::sources::{Source, Standing};
use super::state::{State, Step, Task};
use super::task::{Priority, TaskId};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    Read {
        task: TaskId,
        range: Range<u64>,
        /// Somebody waits for it.
        awaited: bool,
    },
    /// Nothing, and until when unless something changes.
    Nothing { until: Option<Instant> },
}

impl State {
    /// First what somebody waits for, by priority and then by age. Then the rest of the tasks, by priority and then by
    /// age; while a player waits only of those that a player waits for.
    pub(super) fn choose(&self, number: SourceNo, now: Instant) -> Choice {
        let Some(source) = self.sources.get(&number) else {
            return Choice::Nothing { until: None };
        };
        match source.standing {
            Standing::Away { .. } | Standing::Hung { probing: true, .. } => {
                return Choice::Nothing { until: None };
            }
            Standing::Hung { until, .. } if now < until => {
                return Choice::Nothing { until: Some(until) };
            }
            Standing::Hung { .. } | Standing::Answers => {}
        }
        let filling = || {
            let tasks = source.active.iter().filter_map(|id| self.tasks.get(id));
            tasks.filter(|task| task.step == Step::Filling)
        };

        let mut waiters: Vec<_> = filling()
            .flat_map(|task| task.waiters.iter().map(move |waiter| (task, waiter)))
            .collect();
        waiters.sort_by_key(|(_, waiter)| (Reverse(waiter.priority), waiter.number));
        for (task, waiter) in &waiters {
            if let Some(range) = first_of(source, task, &waiter.range, true, now) {
                let task = task.id;
                return Choice::Read {
                    task,
                    range,
                    awaited: true,
                };
            }
        }

        let player_waits = waiters
            .first()
            .is_some_and(|(_, waiter)| waiter.priority == Priority::Player);
        if source.unawaited < self.limits.unawaited_reads.max(1) {
            let mut rest: Vec<_> = filling()
                .map(|task| (task.priority(), task))
                .filter(|(priority, _)| !player_waits || *priority == Priority::Player)
                .collect();
            rest.sort_by_key(|(priority, task)| (Reverse(*priority), task.id));
            for (_, task) in rest {
                let ahead = task.link.ahead();
                if let Some(range) = first_of(source, task, &ahead, false, now) {
                    let task = task.id;
                    return Choice::Read {
                        task,
                        range,
                        awaited: false,
                    };
                }
            }
        }
        let until = filling()
            .filter_map(|task| task.retry_at)
            .filter(|at| *at > now)
            .min();
        Choice::Nothing { until }
    }
}

/// The first part of `range` that can be read now. Where somebody waits for it, it may reach beyond the range.
fn first_of(
    source: &Source,
    task: &Task,
    range: &Range<u64>,
    awaited: bool,
    now: Instant,
) -> Option<Range<u64>> {
    let paused = task.pauses(now);
    if paused && !awaited {
        return None;
    }
    if !task.link.is_filling() {
        return None;
    }
    let free = |range: Range<u64>| {
        let missing = task.link.missing(range).into_iter();
        missing
            .flat_map(|gap| task.in_flight.gaps(gap))
            .flat_map(|gap| {
                if paused {
                    task.sore.gaps(gap)
                } else {
                    vec![gap]
                }
            })
            .next()
    };
    let start = free(range.clone())?.start;
    let end = start.saturating_add(source.chunk(awaited));
    free(start..end.min(task.link.wanted.size))
}

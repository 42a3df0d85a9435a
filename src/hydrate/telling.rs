//! One thread that tells what happened, so that nobody who tells holds up those who bring bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::MutexGuard;

use crate::model::{ObjectHash, SourceNo};

use super::engine::Shared;
use super::error::HydrateError;
use super::fetch::Told;
use super::task::{TaskId, TaskState};
use super::wanted::Wanted;

pub(super) enum News {
    /// It began or changed. What is told is how it is when it is told.
    Task(TaskId),
    Over(Box<TaskState>),
    Arrived(Wanted, ObjectHash),
    Answered(SourceNo),
    Failed(Wanted, HydrateError),
}

/// What is told, as it is now.
enum Said {
    Task(TaskState),
    Arrived(Wanted, ObjectHash),
    Answered(SourceNo),
    Failed(Wanted, HydrateError),
}

/// Tells until all others have ended, as they may have something to say at their end.
pub(super) fn tell(shared: &Arc<Shared>) {
    let mut state = shared.lock();
    loop {
        if let Some(news) = state.news.pop_front() {
            let said = match news {
                News::Task(id) => {
                    let Some(task) = state.tasks.get_mut(&id) else {
                        // That it is over is told by itself.
                        continue;
                    };
                    task.in_news = false;
                    let Some(task) = state.state_of(id, shared.clock.now()) else {
                        continue;
                    };
                    Said::Task(task)
                }
                News::Over(task) => Said::Task(*task),
                News::Arrived(wanted, object) => Said::Arrived(wanted, object),
                News::Answered(number) => {
                    if let Some(source) = state.sources.get_mut(&number) {
                        source.in_news = false;
                    }
                    Said::Answered(number)
                }
                News::Failed(wanted, why) => Said::Failed(wanted, why),
            };
            MutexGuard::unlocked(&mut state, || say(&*shared.told, &said));
        } else if state.stopping && state.threads == 1 {
            break;
        } else {
            shared.news.wait(&mut state);
        }
    }
    state.threads -= 1;
    shared.ended.notify_all();
}

fn say(told: &dyn Told, said: &Said) {
    let said = catch_unwind(AssertUnwindSafe(|| match said {
        Said::Task(state) => told.task(state),
        Said::Arrived(wanted, object) => told.arrived(wanted, *object),
        Said::Answered(source) => told.answered(*source),
        Said::Failed(wanted, why) => told.failed(wanted, why),
    }));
    if said.is_err() {
        tracing::error!("whoever was told of a hydration failed");
    }
}

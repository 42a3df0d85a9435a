//! One thread that tells what happened, so that nobody who tells holds up those who bring bytes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::model::{ObjectHash, SourceNo};

use super::engine::Shared;
use super::error::HydrateError;
use super::fetch::Told;
use super::task::TaskState;
use super::wanted::Wanted;

pub(super) enum News {
    Task(TaskState),
    Arrived(Wanted, ObjectHash),
    Answered(SourceNo),
    Failed(Wanted, HydrateError),
}

/// Tells until all others have ended, as they may have something to say at their end.
pub(super) fn tell(shared: &Arc<Shared>) {
    let mut state = shared.lock();
    loop {
        let news: VecDeque<_> = std::mem::take(&mut state.news);
        if !news.is_empty() {
            parking_lot::MutexGuard::unlocked(&mut state, || {
                for news in &news {
                    say(&*shared.told, news);
                }
            });
        } else if state.stopping && state.threads == 1 {
            break;
        } else {
            shared.news.wait(&mut state);
        }
    }
    state.threads -= 1;
    shared.ended.notify_all();
}

fn say(told: &dyn Told, news: &News) {
    let said = catch_unwind(AssertUnwindSafe(|| match news {
        News::Task(state) => told.task(state),
        News::Arrived(wanted, object) => told.arrived(wanted, *object),
        News::Answered(source) => told.answered(*source),
        News::Failed(wanted, why) => told.failed(wanted, why),
    }));
    if said.is_err() {
        tracing::error!("whoever was told of a hydration failed");
    }
}

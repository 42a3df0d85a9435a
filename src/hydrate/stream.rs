//! What is arriving, as somebody reads it: what is here is read at once, for the rest one waits.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::oneshot;

use super::desk::Job;
use super::engine::Shared;
use super::error::HydrateError;
use super::link::Link;
use super::passing::Passing;
use super::state::{Step, Waiter};
use super::task::{Arrival, Priority, TaskId, Who};
use super::wanted::Wanted;

/// A handle of what is arriving. Reading goes on after all has arrived, and after the task failed as far as it came:
/// what it holds is not evicted. None of its methods wait for anybody.
pub struct Stream {
    shared: Arc<Shared>,
    /// Only taken when it is dropped.
    link: Option<Arc<Link>>,
    wanted: Wanted,
    task: TaskId,
    number: u64,
    who: Who,
}

/// Somebody waits for a range; dropping it takes that back.
#[must_use = "nobody waits unless it is polled"]
pub struct Waiting {
    shared: Arc<Shared>,
    task: TaskId,
    number: u64,
    state: Answer,
}

enum Answer {
    Now(Arrival),
    Later(oneshot::Receiver<Arrival>),
    Given,
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, link: Arc<Link>, number: u64, who: Who) -> Self {
        Self {
            shared,
            wanted: link.wanted.clone(),
            task: link.task,
            link: Some(link),
            number,
            who,
        }
    }

    /// What it is a stream of.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The task that brings it, or brought it.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Reads at `offset` if all that fits into `buffer`, as far as the file reaches, has arrived: how much that is, 0
    /// at the end. `None` otherwise: wait for it, and that says whether it comes. `None` again after it was said to have
    /// arrived means that the cache's disk fails.
    pub fn read_arrived(&self, offset: u64, buffer: &mut [u8]) -> Option<usize> {
        let link = self.link.as_ref()?;
        let read = link.read_arrived(offset, buffer);
        if link.passing().is_some() && !link.has_arrived(link.ahead()) {
            // What is read now says what is read next.
            self.shared.with(|state, _| {
                state.touched.insert(self.wanted.source);
            });
        }
        read
    }

    /// True if all of `range`, as far as the file reaches, can be read.
    pub fn has_arrived(&self, range: Range<u64>) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.has_arrived(range))
    }

    /// The parts of `range`, as far as the file reaches, that can't be read so far.
    pub fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let link = self.link.as_ref();
        link.map_or_else(|| vec![range.clone()], |link| link.missing(range.clone()))
    }

    /// How many bytes have arrived.
    pub fn arrived_bytes(&self) -> u64 {
        self.link.as_ref().map_or(0, |link| link.arrived_bytes())
    }

    /// Waits for all of `range`, as far as the file reaches. It counts as wanted from this call on, not from the first
    /// poll.
    pub fn wait(&self, range: Range<u64>, priority: Priority) -> Waiting {
        self.wait_as(range, priority, self.who.clone())
    }

    /// As [`Self::wait`], for somebody else than who opened the stream.
    pub fn wait_as(&self, range: Range<u64>, priority: Priority, who: Who) -> Waiting {
        let (number, state) = self.shared.with(|state, now| {
            let number = state.number();
            let Some(link) = &self.link else {
                return (number, Answer::Now(Arrival::Ended(HydrateError::Cancelled)));
            };
            let range = link.within(&range);
            if let Some((_, why)) = link.passing()
                && range.end - range.start > Passing::LONGEST
            {
                return (number, Answer::Now(Arrival::Ended(why.clone())));
            }
            if link.has_arrived(range.clone()) {
                return (number, Answer::Now(Arrival::Arrived));
            }
            let refused = |why| (number, Answer::Now(Arrival::Ended(why)));
            if let Some(end) = link.end.get() {
                // Whole, and yet not there: somebody took it from the cache's disk.
                let why = end.clone().err().unwrap_or(HydrateError::Cancelled);
                return refused(why);
            }
            let source = state.sources.get(&self.wanted.source);
            let away = source.and_then(|source| source.standing.refuses(now));
            let Some(task) = state.tasks.get_mut(&self.task) else {
                return refused(HydrateError::Cancelled);
            };
            match away {
                // While the cache is asked what is there already, nobody knows.
                Some((why, _)) if task.step != Step::Opening => return refused(why),
                _ => {}
            }
            if let Some(why) = task.fails(&range, state.limits.tries_awaited, now) {
                return refused(why);
            }
            let before = task.priority();
            let (sender, receiver) = oneshot::channel();
            task.waiters.push(Waiter {
                number,
                range,
                priority,
                who,
                answer: sender,
            });
            state.touched.insert(self.wanted.source);
            if before < priority {
                state.tell(self.task, now);
            }
            (number, Answer::Later(receiver))
        });
        Waiting {
            shared: Arc::clone(&self.shared),
            task: self.task,
            number,
            state,
        }
    }

    /// When bytes came last.
    pub fn last_progress(&self) -> Option<Instant> {
        self.link.as_ref()?.meter.lock().last()
    }

    /// Since when bytes come, none of them ten seconds after the other; `None` if they do not come now.
    pub fn progressing_since(&self) -> Option<Instant> {
        let now = self.shared.clock.now();
        self.link.as_ref()?.meter.lock().progressing_since(now)
    }

    /// How the task ended, if it is over.
    pub fn ended(&self) -> Option<Result<(), HydrateError>> {
        let end = self.link.as_ref()?.end.get()?;
        Some(end.clone().map(|_| ()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else {
            return;
        };
        let last = self.shared.with(|state, now| {
            if let Some(task) = state.tasks.get_mut(&self.task) {
                task.streams.remove(&self.number);
                state.left(self.task, now);
                state.touched.insert(self.wanted.source);
            }
            // The last may have to work on the cache's disk.
            if state.stopping && state.desk.threads == 0 {
                Some(link)
            } else {
                state.desk.push(Job::LetGo(link));
                None
            }
        });
        drop(last);
    }
}

impl Future for Waiting {
    type Output = Arrival;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Arrival> {
        let answer = match &mut self.state {
            Answer::Now(answer) => answer.clone(),
            Answer::Later(receiver) => match Pin::new(receiver).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(answer) => answer.unwrap_or(Arrival::Ended(HydrateError::ShutDown)),
            },
            // A future is not polled again after its answer.
            Answer::Given => return Poll::Pending,
        };
        self.state = Answer::Given;
        Poll::Ready(answer)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !matches!(self.state, Answer::Later(_)) {
            return;
        }
        self.shared.with(|state, now| {
            let Some(task) = state.tasks.get_mut(&self.task) else {
                return;
            };
            let before = task.priority();
            task.waiters.retain(|waiter| waiter.number != self.number);
            let (after, source) = (task.priority(), task.link.wanted.source);
            if after < before {
                state.tell(self.task, now);
                // What had to wait for a player may go on.
                state.touched.insert(source);
            }
        });
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("task", &self.task)
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

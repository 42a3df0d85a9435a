//! How the adapters ask the drive: no request keeps a thread that others need, wherever the system lets it be answered later.
//!
//! A panic of the drive is an I/O error of one request. When the mount ends, whoever still waits is answered.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
#[cfg(any(windows, test))]
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::guarded::guarded;
use super::workers::Workers;
use crate::drive::{Answer, BoxFuture, Drive, DriveError};

/// The drive, and what is needed to wait for its answers.
pub(super) struct Asking {
    pub(super) drive: Arc<dyn Drive>,
    pub(super) runtime: Handle,
    workers: Workers,
    /// Turns `true` when the mount ends.
    ending: watch::Receiver<bool>,
}

impl Asking {
    pub(super) fn new(
        drive: Arc<dyn Drive>,
        runtime: Handle,
        ending: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        Ok(Self {
            drive,
            workers: Workers::new(&runtime, ending.clone())?,
            runtime,
            ending,
        })
    }

    /// Turns `true` when the mount ends, or its sender goes.
    #[cfg(unix)]
    pub(super) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.clone()
    }

    /// Asks what is answered at once.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Result<T, DriveError>,
    ) -> Result<T, DriveError> {
        catch_unwind(AssertUnwindSafe(|| question(self.drive.as_ref())))
            .unwrap_or(Err(DriveError::Io))
    }

    /// Asks what may be answered later.
    pub(super) fn ask_answer<T>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Answer<T>,
    ) -> Answer<T> {
        catch_unwind(AssertUnwindSafe(|| question(self.drive.as_ref())))
            .unwrap_or(Answer::Now(Err(DriveError::Io)))
    }

    /// Goes on with an answer now, or when it comes: on the runtime, or on the worker that found it.
    #[cfg(unix)]
    pub(super) fn finish<T: Send + 'static>(
        &self,
        answer: Answer<T>,
        finish: impl FnOnce(Result<T, DriveError>) + Send + 'static,
    ) {
        match answer {
            Answer::Now(result) => finish(result),
            Answer::Work(work) => self.workers.work(work, finish),
            Answer::Later(answer) => {
                let answer = until_the_end(answer, self.ending.clone());
                self.runtime.spawn(async move { finish(answer.await) });
            }
        }
    }

    /// Asks, and waits without keeping a thread.
    pub(super) async fn settle<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Answer<T> + Send,
    ) -> Result<T, DriveError> {
        match self.ask_answer(question) {
            Answer::Now(result) => result,
            Answer::Work(work) => {
                let (done, answered) = oneshot::channel();
                self.workers.work(work, move |result| {
                    // Whoever asked may be gone.
                    let _ = done.send(result);
                });
                answered.await.unwrap_or(Err(DriveError::Io))
            }
            Answer::Later(answer) => until_the_end(answer, self.ending.clone()).await,
        }
    }

    /// Asks, and waits on this thread, which must not be one of the runtime's.
    #[cfg(any(windows, test))]
    pub(super) fn wait<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Drive) -> Answer<T> + Send,
    ) -> Result<T, DriveError> {
        let mut answer = Box::pin(self.settle(question));
        match self.begin(&mut answer) {
            Poll::Ready(result) => result,
            Poll::Pending => self.runtime.block_on(answer),
        }
    }

    /// Goes as far with a future as it goes without waiting: what the drive knows needs no other thread. What is not done
    /// then is to be polled on, by the runtime.
    #[cfg(any(windows, test))]
    pub(super) fn begin<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let _entered = self.runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        std::pin::Pin::new(future).poll(&mut context)
    }

    /// Asks what nobody waits for.
    pub(super) fn leave<T: Send + 'static>(&self, question: impl FnOnce(&dyn Drive) -> Answer<T>) {
        match self.ask_answer(question) {
            Answer::Now(_) => {}
            Answer::Work(work) => self.workers.work(work, drop),
            Answer::Later(answer) => {
                self.runtime.spawn(guarded(answer));
            }
        }
    }
}

/// An answer, or an error when the mount ends before it comes.
async fn until_the_end<T>(
    answer: BoxFuture<'static, Result<T, DriveError>>,
    mut ending: watch::Receiver<bool>,
) -> Result<T, DriveError> {
    tokio::select! {
        result = guarded(answer) => result,
        // The sender goes with the mount, so an error is the end as well.
        _ = ending.wait_for(|ending| *ending) => Err(DriveError::Io),
    }
}

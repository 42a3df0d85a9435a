//! Threads for what a disk may hold up: as many as are held up at a time.
//!
//! They are apart from those of the runtime, where answers are waited for: a disk that hangs, with as many programs as like
//! writing to it, delays nobody else. A reply goes out from the thread that did the work, as each hand-over to another
//! thread costs a small write a third of its time. When the mount ends, whoever still waits is answered; the work itself
//! can't be interrupted.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use crate::drive::{DriveError, Work};

/// More work than this waits for some to be done.
const MOST: usize = 512;
/// How long work that is under way may take when the mount is gone: what was just closed is to be closed.
const TO_THE_END: Duration = Duration::from_millis(500);

/// The threads, and whom they work for.
pub(super) struct Workers {
    /// For its threads that may block; nothing else runs there. `None` once dropped.
    threads: Option<Runtime>,
    waiting: Arc<Waiting>,
}

/// Requests whose work is not done.
#[derive(Default)]
struct Waiting {
    table: Mutex<Table>,
    done: Condvar,
}

#[derive(Default)]
struct Table {
    last: u64,
    /// Answers a request without its work.
    give_up: HashMap<u64, Box<dyn FnOnce() + Send>>,
    /// Work that is not done, also of those that were answered without it.
    under_way: usize,
    ended: bool,
}

impl Workers {
    /// Workers for a mount; `runtime` is where its end is waited for.
    pub(super) fn new(runtime: &Handle, mut ending: watch::Receiver<bool>) -> io::Result<Self> {
        let threads = Builder::new_current_thread()
            .max_blocking_threads(MOST)
            .thread_name("mediafs-disk")
            .build()?;
        let waiting = Arc::<Waiting>::default();
        let all = Arc::downgrade(&waiting);
        runtime.spawn(async move {
            // The sender goes with the mount, so an error is the end as well.
            let _ = ending.wait_for(|ending| *ending).await;
            if let Some(all) = all.upgrade() {
                all.end();
            }
        });
        Ok(Self {
            threads: Some(threads),
            waiting,
        })
    }

    /// Does the work, and goes on with `finish` on the same thread; at the end of the mount without the work's result.
    pub(super) fn work<T: Send + 'static>(
        &self,
        work: Work<T>,
        finish: impl FnOnce(Result<T, DriveError>) + Send + 'static,
    ) {
        // Whoever takes it answers.
        let finish = Arc::new(Mutex::new(Some(finish)));
        let here = Arc::clone(&finish);
        let number = self.waiting.add(move || {
            let finish = here.lock().take();
            if let Some(finish) = finish {
                finish(Err(DriveError::Io));
            }
        });
        let waiting = Arc::clone(&self.waiting);
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DriveError::Io));
            waiting.remove(number);
            let finish = finish.lock().take();
            if let Some(finish) = finish {
                finish(result);
            }
        };
        if let Some(threads) = &self.threads {
            threads.spawn_blocking(job);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.waiting.end();
        self.waiting.wait(TO_THE_END);
        if let Some(threads) = self.threads.take() {
            // Without waiting for those that a disk holds up.
            threads.shutdown_background();
        }
    }
}

impl Waiting {
    fn add(&self, give_up: impl FnOnce() + Send + 'static) -> u64 {
        let mut table = self.table.lock();
        table.last += 1;
        table.under_way += 1;
        let number = table.last;
        if table.ended {
            drop(table);
            give_up();
        } else {
            table.give_up.insert(number, Box::new(give_up));
        }
        number
    }

    fn remove(&self, number: u64) {
        let mut table = self.table.lock();
        table.give_up.remove(&number);
        table.under_way -= 1;
        if table.under_way == 0 {
            self.done.notify_all();
        }
    }

    fn wait(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut table = self.table.lock();
        while table.under_way > 0 && !self.done.wait_until(&mut table, until).timed_out() {}
    }

    fn end(&self) {
        let left = {
            let mut table = self.table.lock();
            table.ended = true;
            std::mem::take(&mut table.give_up)
        };
        for give_up in left.into_values() {
            give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn workers() -> (Runtime, watch::Sender<bool>, Workers) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let (ending, watched) = watch::channel(false);
        let workers = Workers::new(runtime.handle(), watched).unwrap();
        (runtime, ending, workers)
    }

    #[test]
    fn many_that_are_held_up_hold_up_nobody() {
        let (_runtime, _ending, workers) = workers();
        let held = Arc::new(Mutex::new(()));
        let holding = held.lock();
        let (told, answers) = mpsc::channel();
        for number in 0..100 {
            let (held, told) = (Arc::clone(&held), told.clone());
            let work = Box::new(move || {
                drop(held.lock());
                Ok(number)
            });
            workers.work(work, move |result| told.send(result).unwrap());
        }
        let other = told.clone();
        workers.work(Box::new(|| Ok(7000)), move |result| {
            other.send(result).unwrap();
        });
        assert_eq!(answers.recv_timeout(LONG).unwrap(), Ok(7000));
        drop(holding);
        let mut all: Vec<i32> = (0..100)
            .map(|_| answers.recv_timeout(LONG).unwrap().unwrap())
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_is_an_error_of_its_request() {
        let (_runtime, _ending, workers) = workers();
        let (told, answers) = mpsc::channel();
        let work: Work<()> = Box::new(|| panic!("asked to"));
        workers.work(work, move |result| told.send(result).unwrap());
        assert_eq!(answers.recv_timeout(LONG).unwrap(), Err(DriveError::Io));
    }

    #[test]
    fn at_the_end_whoever_waits_is_answered_once() {
        let (_runtime, ending, workers) = workers();
        let held = Arc::new(Mutex::new(()));
        let holding = held.lock();
        let (told, answers) = mpsc::channel();
        let work = |told: mpsc::Sender<_>| {
            let held = Arc::clone(&held);
            let work = Box::new(move || {
                drop(held.lock());
                Ok(())
            });
            workers.work(work, move |result: Result<(), _>| {
                told.send(result).unwrap();
            });
        };
        work(told.clone());
        ending.send(true).unwrap();
        assert_eq!(answers.recv_timeout(LONG).unwrap(), Err(DriveError::Io));
        work(told);
        assert_eq!(answers.recv_timeout(LONG).unwrap(), Err(DriveError::Io));
        drop(workers);
        drop(holding);
        assert!(answers.recv_timeout(LONG).is_err(), "all senders are gone");
    }
}

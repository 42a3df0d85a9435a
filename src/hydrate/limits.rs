//! How much hydration may use, and the clock by which it waits.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How much hydration may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Reads from one source at once, at least one.
    pub reads: usize,
    /// Those of them that nobody waits for, at least one.
    pub unawaited_reads: usize,
    /// Threads that read, of all sources together. A source without any may have one all the same.
    pub threads: usize,
    /// Tasks of a source that nobody has open and that hold room in the cache at once, of each priority. The rest is
    /// queued.
    pub begun: usize,
    /// How often a task is tried when nothing comes and the failure may pass.
    pub tries: u32,
    /// After so many tries in a row whoever waits is told that it failed, while it is tried further.
    pub tries_awaited: u32,
    /// How long it waits after the first failure; twice as long after each more.
    pub first_pause: Duration,
    /// At most.
    pub longest_pause: Duration,
    /// How long the end waits for threads that read.
    pub shutdown_patience: Duration,
    /// How many tasks that are over are remembered.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reads: 4,
            unawaited_reads: 2,
            threads: 64,
            begun: 2,
            tries: 8,
            tries_awaited: 3,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            shutdown_patience: Duration::from_secs(2),
            remembered: 200,
        }
    }
}

/// By what time is told.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Instant;

    /// How long to sleep before the clock is looked at again, by somebody who waits for `time` to pass.
    fn nap(&self, time: Duration) -> Duration {
        time
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is set on, for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<Instant>);

impl ManualClock {
    /// Sets it on.
    pub fn advance(&self, time: Duration) {
        *self.0.lock() += time;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        *self.0.lock()
    }

    fn nap(&self, _: Duration) -> Duration {
        Duration::from_millis(1)
    }
}

//! How fast work in the background goes: in proportion to what it has done, and not where somebody waits.
//!
//! Whoever works asks for a rest as often as it likes. The answer is none while it has worked a little only, a
//! multiple of the time it has worked where nobody uses the drive, and a pause where somebody does; never so long that
//! the work stands still.

use std::time::{Duration, Instant};

use super::engine::Engine;

/// Work between two rests.
const STRETCH: Duration = Duration::from_millis(20);
/// So many times as long as it worked it rests, so that others have the disk for most of the time.
const REST: u32 = 2;
/// Whoever looked something up, opened or read it in this time may do so again at once.
const IN_USE: Duration = Duration::from_millis(100);
/// After a pause of this length a stretch of work is done all the same: a program that never ceases to read must not
/// keep every sound without a hash.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How soon the end of everything is seen in a rest.
const STEP: Duration = Duration::from_millis(50);

/// The pace of one worker.
pub(super) struct Pace<'e> {
    engine: &'e Engine,
    /// The last rest's end; `None` for a worker that somebody waits for, which never rests.
    since: Option<Instant>,
}

impl<'e> Pace<'e> {
    /// Of a worker in the background.
    pub(super) fn background(engine: &'e Engine) -> Self {
        Self {
            engine,
            since: Some(Instant::now()),
        }
    }

    /// Of a worker that somebody waits for.
    pub(super) fn urgent(engine: &'e Engine) -> Self {
        Self {
            engine,
            since: None,
        }
    }

    /// Rests if it is time to.
    pub(super) fn breathe(&mut self) {
        let Some(worked) = self.since.map(|since| since.elapsed()) else {
            return;
        };
        if worked < STRETCH {
            return;
        }
        rest(self.engine, worked * REST);
        let paused = Instant::now();
        while self.engine.in_use_within(IN_USE)
            && paused.elapsed() < LONGEST_PAUSE
            && !self.engine.stopping()
        {
            std::thread::sleep(STEP);
        }
        self.since = Some(Instant::now());
    }

    /// Somebody waits for scans, imports or watched changes: this worker has to stop altogether.
    pub(super) fn must_wait(&self) -> bool {
        self.since.is_some() && self.engine.is_busy()
    }

    /// Waits while somebody waits for scans, imports or watched changes.
    pub(super) fn wait_for_others(&mut self) {
        while self.must_wait() && !self.engine.stopping() {
            std::thread::sleep(STEP);
        }
        if self.since.is_some() {
            self.since = Some(Instant::now());
        }
    }
}

/// Sleeps, but not past the end of everything.
pub(super) fn rest(engine: &Engine, time: Duration) {
    let mut left = time;
    while !left.is_zero() && !engine.stopping() {
        let step = left.min(STEP);
        std::thread::sleep(step);
        left -= step;
    }
}

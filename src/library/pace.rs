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
        self.breathe_unless(&|| false);
    }

    /// Rests if it is time to, but only while nobody wants what is held meanwhile.
    pub(super) fn breathe_unless(&mut self, is_wanted: &dyn Fn() -> bool) {
        let Some(worked) = self.since.map(|since| since.elapsed()) else {
            return;
        };
        if worked < STRETCH {
            return;
        }
        rest_unless(self.engine, worked * REST, is_wanted);
        let paused = Instant::now();
        while self.engine.in_use_within(IN_USE)
            && paused.elapsed() < LONGEST_PAUSE
            && !self.engine.stopping()
            && !is_wanted()
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
    rest_unless(engine, time, &|| false);
}

fn rest_unless(engine: &Engine, time: Duration, is_wanted: &dyn Fn() -> bool) {
    let mut left = time;
    while !left.is_zero() && !engine.stopping() && !is_wanted() {
        let step = left.min(STEP);
        std::thread::sleep(step);
        left -= step;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::owner::LibraryConfig;
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn a_rest_ends_when_what_is_held_is_wanted() {
        let home = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(home.path()).unwrap();
        let engine = Engine::new(catalog, home.path().to_owned(), LibraryConfig::default());
        let worked = || Pace {
            engine: &engine,
            since: Instant::now().checked_sub(Duration::from_millis(300)),
        };
        let rested = |pace: &mut Pace<'_>, is_wanted: bool| {
            let begun = Instant::now();
            pace.breathe_unless(&|| is_wanted);
            begun.elapsed()
        };
        assert!(rested(&mut worked(), false) >= Duration::from_millis(600));
        assert!(rested(&mut worked(), true) < Duration::from_millis(300));
    }
}

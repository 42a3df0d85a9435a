//! What is done when nothing else is to be done, by one thread that yields to everything else: hashing, then making
//! anew the capsules that were lost; and giving back the memory that nothing uses any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs_platform::limits::give_back_memory;

use crate::catalog::CatalogError;

use super::disk::lower_priority;
use super::engine::{Activity, Engine};
use super::pace::{Pace, rest};
use super::{capsules, hash};

/// Between two looks for work.
const IDLE: Duration = Duration::from_secs(2);
/// What could not be read is tried again, after twice as long each time that nothing could, but not after longer.
const LONGEST_AGAIN: Duration = Duration::from_secs(60);
/// Lost capsules are looked for at the start, and so often from then on.
const CAPSULES: Duration = Duration::from_secs(3600);
/// Memory is given back so long after it was last, where something was done since, and nobody is using the drive.
const TIDY: Duration = Duration::from_secs(10);
/// And so long after in any case.
const TIDY_ANYWAY: Duration = Duration::from_secs(60);
/// A drive that was not used for so long may be made to wait for a few milliseconds.
const UNUSED: Duration = Duration::from_secs(1);
/// After the catalog failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Works until everything is to end.
pub(super) fn run(engine: &Arc<Engine>) {
    lower_priority();
    let mut work = Work {
        engine,
        hashed_to: 0,
        round: Instant::now(),
        unread: false,
        hashed: false,
        again: IDLE,
        capsules: None,
        tidied: Instant::now(),
        done: engine.activity(),
    };
    while !engine.stopping() {
        work.tidy();
        match work.some() {
            Ok(true) => {}
            Ok(false) => rest(engine, IDLE),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "work in the background stopped for a while"
                );
                rest(engine, PATIENCE);
            }
        }
    }
}

struct Work<'e> {
    engine: &'e Engine,
    /// The item that was looked at last.
    hashed_to: u32,
    /// When the first item was looked at.
    round: Instant,
    /// Items of this round could not be read; some could.
    unread: bool,
    hashed: bool,
    /// After which time another round is begun where some could not be read.
    again: Duration,
    /// When lost capsules were last looked for.
    capsules: Option<Instant>,
    /// When memory was last given back, and what had been done by then.
    tidied: Instant,
    done: Activity,
}

impl Work<'_> {
    /// Does what there is to do, or a part of it; `false` where there is nothing.
    fn some(&mut self) -> Result<bool, CatalogError> {
        let mut pace = Pace::background(self.engine);
        let page = hash::hash_page(self.engine, self.hashed_to, &mut pace, &|| false)?;
        if let Some(page) = page {
            self.engine.note_work();
            self.hashed_to = page.last;
            self.unread |= page.hashed < page.looked_at;
            self.hashed |= page.hashed > 0;
            return Ok(true);
        }
        // New items have higher numbers, and are seen at once; older ones are looked for from the beginning.
        if !self.unread || self.round.elapsed() >= self.again {
            self.again = if self.hashed || !self.unread {
                IDLE
            } else {
                (self.again * 2).min(LONGEST_AGAIN)
            };
            self.hashed_to = 0;
            self.round = Instant::now();
            self.unread = false;
            self.hashed = false;
        }
        if self.capsules.is_none_or(|last| last.elapsed() >= CAPSULES) {
            capsules::make_anew(self.engine, &mut pace)?;
            self.capsules = Some(Instant::now());
        }
        Ok(false)
    }

    /// Gives memory back that was needed for what is over.
    fn tidy(&mut self) {
        let since = self.tidied.elapsed();
        let done = self.engine.activity();
        let due = since >= TIDY && done != self.done && !self.engine.in_use_within(UNUSED);
        if !due && since < TIDY_ANYWAY {
            return;
        }
        self.engine.catalog.release_memory();
        give_back_memory();
        self.tidied = Instant::now();
        self.done = done;
    }
}

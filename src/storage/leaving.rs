//! Mounts of which the system says, before it does so, that somebody wants to unmount them. Couriers let go of all that is on
//! them at once, as after `mediafs eject`, so that it does not fail because of us.
//!
//! Not every system says so when a mount stays after all: then it is taken up again after a while, if it is still there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use mediafs_platform::volume;
use parking_lot::Mutex;

use super::couriers::Couriers;
use super::sources::Sources;
use crate::model::SourceNo;

/// How long a mount may take to go. What was written to a slow stick has to reach it first.
const GOING: Duration = Duration::from_secs(30);

/// Is told what the system says.
pub(super) struct Leaving {
    sources: Weak<Sources>,
    couriers: Weak<Couriers>,
    going: Duration,
    /// Mounts that were let go of, each with the number of that time. One word of the system after the other is acted on.
    let_go: Mutex<HashMap<PathBuf, u64>>,
}

impl Leaving {
    pub(super) fn new(sources: &Arc<Sources>, couriers: &Arc<Couriers>) -> Arc<Self> {
        Self::within(GOING, sources, couriers)
    }

    fn within(going: Duration, sources: &Arc<Sources>, couriers: &Arc<Couriers>) -> Arc<Self> {
        Arc::new(Self {
            sources: Arc::downgrade(sources),
            couriers: Arc::downgrade(couriers),
            going,
            let_go: Mutex::default(),
        })
    }

    /// The system says this of what is mounted at `point`. Returns when that is done.
    pub(super) fn told(self: &Arc<Self>, point: &Path, what: volume::Leaving) {
        match what {
            volume::Leaving::Wanted => {
                let time = self.let_go_of(point);
                self.take_up_later(point, time);
            }
            volume::Leaving::Refused => self.take_up(point, None),
        }
    }

    /// The number of this time.
    fn let_go_of(&self, point: &Path) -> u64 {
        let mut let_go = self.let_go.lock();
        let time = let_go.entry(point.to_owned()).or_default();
        *time += 1;
        tracing::info!(point = %point.display(), "let go of, as it is to be unmounted");
        if let (Some(sources), Some(couriers)) = (self.sources.upgrade(), self.couriers.upgrade()) {
            // Whoever asks a courier from now on finds out why there is none.
            let leaving = sources.leave(point);
            couriers.let_go_below(point);
            sources.tell_each(&leaving);
        }
        *time
    }

    /// The mount stays; or has gone, and then nobody asks for what was on it. With a number only if it is still that time.
    fn take_up(&self, point: &Path, time: Option<u64>) {
        let mut let_go = self.let_go.lock();
        let Some(last) = let_go.get(point) else {
            return;
        };
        if time.is_some_and(|time| time != *last) {
            return;
        }
        let_go.remove(point);
        if let (Some(sources), Some(couriers)) = (self.sources.upgrade(), self.couriers.upgrade()) {
            couriers.take_up_below(point);
            let staying = sources.stay(point);
            sources.tell_each(&staying);
        }
    }

    fn take_up_later(self: &Arc<Self>, point: &Path, time: u64) {
        let (this, going, at) = (Arc::downgrade(self), self.going, point.to_owned());
        let waiting = std::thread::Builder::new()
            .name("leaving".to_owned())
            .spawn(move || {
                std::thread::sleep(going);
                if let Some(this) = this.upgrade() {
                    this.take_up(&at, Some(time));
                }
            });
        if let Err(error) = waiting {
            tracing::warn!(point = %point.display(), %error, "it is left alone until it is mounted anew");
        }
    }
}

impl Sources {
    /// Sources on what is mounted at `point` are let go of until [`Sources::stay`], or until it is mounted anew.
    fn leave(&self, point: &Path) -> Vec<SourceNo> {
        let mut known = self.known.lock();
        let on_it = known.mounted.iter().filter(|(_, key)| key.point == point);
        let leaving: HashMap<_, _> = on_it.map(|(row, key)| (*row, key.clone())).collect();
        let sources = leaving.keys().copied().collect();
        known.leaving.extend(leaving);
        sources
    }

    /// What is mounted at `point` does not go.
    fn stay(&self, point: &Path) -> Vec<SourceNo> {
        let mut known = self.known.lock();
        let staying = known.leaving.extract_if(|_, key| key.point == point);
        staying.map(|(source, _)| source).collect()
    }

    fn tell_each(&self, sources: &[SourceNo]) {
        for source in sources {
            self.tell(*source);
        }
    }
}

#[cfg(all(test, unix))]
#[path = "leaving_tests.rs"]
mod tests;

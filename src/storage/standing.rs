//! How one source stands: whether it is suspended or let go of, and what the answers of its couriers, or that there were
//! none, say of that.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs_platform::volume::{MountId, MountTable};

use super::courier::{Courier, CourierError, GivenUp};
use super::source_key::SourceKey;

/// How long a source that was silent is left alone: the first time, and at most.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Couriers of a source that hang in the kernel at a time, whatever they were asked. They can't be ended, and end by
/// themselves if it ever answers; until then no more are sent after them.
const MOST_LEFT: usize = 4;

/// What is told of a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SourceChange {
    /// It did not answer in time.
    Suspended,
    /// It was suspended, and answers.
    Answers,
}

/// One source.
#[derive(Default)]
pub(super) struct Source {
    pub(super) courier: Option<Arc<Courier>>,
    pub(super) used: Option<Instant>,
    pub(super) suspended: Option<Suspended>,
    /// It was let go of: nobody asks it anything.
    pub(super) let_go: Option<LetGo>,
    /// Couriers that were given up and have not ended, each with the mount in which it may hang.
    left: Vec<(GivenUp, Option<MountId>)>,
    /// Another one for each thing that hangs there.
    pub(super) life: Arc<()>,
}

/// How long a source is let go of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LetGo {
    /// Until something else is mounted there.
    ForGood,
    /// Until it turns out whether it is unmounted.
    ForNow,
}

/// A courier that is asked something.
pub(super) struct Sent {
    pub(super) courier: Arc<Courier>,
    /// What hung there when it was asked.
    pub(super) life: Arc<()>,
    /// It finds out whether the source answers again.
    pub(super) probes: bool,
    /// What it is asked may take long.
    pub(super) is_long: bool,
}

impl Source {
    /// Nobody is to be sent there: those who went hang there still.
    pub(super) fn swallows(&mut self, root: &Path) -> bool {
        self.left.retain(|(left, _)| left.is_running());
        if !self.do_many_hang() {
            return false;
        }
        // What is mounted there now may be another one.
        let now = mount_of(root);
        self.left.retain(|(_, mount)| *mount == now);
        self.do_many_hang()
    }

    fn do_many_hang(&self) -> bool {
        self.left.iter().filter(|(left, _)| left.hangs()).count() >= MOST_LEFT
    }

    /// Its courier is asked nothing more. It ends when nobody waits for it any more, if it can.
    pub(super) fn give_up(&mut self, root: &Path) -> Option<Arc<Courier>> {
        let courier = self.courier.take()?;
        self.left.push((GivenUp::of(&courier), mount_of(root)));
        Some(courier)
    }

    /// All its couriers, also those that were given up and are waited for: to be ended.
    pub(super) fn give_all_up(&mut self, root: &Path) -> Vec<Arc<Courier>> {
        let _present = self.give_up(root);
        let left = self.left.iter();
        left.filter_map(|(left, _)| left.courier.upgrade())
            .collect()
    }

    /// What an answer of its courier, or that there was none, says of it; what is to be told of that.
    pub(super) fn judge(
        &mut self,
        key: &SourceKey,
        sent: &Sent,
        failed: Option<&CourierError>,
    ) -> Option<SourceChange> {
        self.used = Some(Instant::now());
        let present = self.courier.as_ref();
        let is_present = present.is_some_and(|courier| Arc::ptr_eq(courier, &sent.courier));
        // Who was asked before it was suspended, and has no answer, ends no probe.
        if sent.probes
            && let Some(suspended) = &mut self.suspended
        {
            suspended.probing = false;
        }
        match failed {
            _ if sent.courier.was_released() => None,
            None => self.suspended.take().map(|_| SourceChange::Answers),
            Some(CourierError::Silent) if is_present => {
                let before = self.suspended;
                let pause = before.map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
                self.suspended = Some(Suspended {
                    until: Instant::now() + pause,
                    pause,
                    probing: false,
                });
                // It is left behind.
                self.give_up(key.root());
                before.is_none().then_some(SourceChange::Suspended)
            }
            // Several waited for one courier: when the first has given it up, the others say nothing new.
            Some(CourierError::Silent) => None,
            // Nor does who no longer wants to know. But what takes long may never end, and would keep a hand of the courier.
            Some(CourierError::Cancelled) if !sent.is_long => None,
            Some(_) => {
                if is_present {
                    self.give_up(key.root());
                }
                None
            }
        }
    }
}

/// It did not answer, and is left alone.
#[derive(Clone, Copy)]
pub(super) struct Suspended {
    pub(super) until: Instant,
    pub(super) pause: Duration,
    /// Somebody finds out whether it answers again.
    pub(super) probing: bool,
}

/// What is mounted where a source is, by the system's table.
fn mount_of(root: &Path) -> Option<MountId> {
    Some(MountTable::read().ok()?.holding(root)?.id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Weak;

    use super::*;

    #[test]
    fn nobody_is_sent_where_too_many_hang() {
        let running = Arc::new(());
        let hangs = |mount| {
            let left = GivenUp {
                courier: Weak::new(),
                runs: Arc::downgrade(&running),
            };
            (left, mount)
        };
        let here = std::env::current_dir().unwrap();
        let root = here.ancestors().last().unwrap();
        let mut source = Source::default();
        let other = mount_of(root).map(|id| MountId(id.0 + 1_000_000));
        source.left = (0..MOST_LEFT).map(|_| hangs(other)).collect();
        assert!(!source.swallows(root), "another file system is there now");
        source.left = (0..MOST_LEFT).map(|_| hangs(mount_of(root))).collect();
        assert!(source.swallows(root));
        drop(running);
        assert!(!source.swallows(root), "they have ended");
    }
}

//! How long who waits for bytes that are on their way.
//!
//! A player's deadline is a budget for each process and source: after one miss it waits no more on that source, until
//! that answers again. A loader has one patience for each sound that it opens. A copier waits for each of its reads. And
//! nobody is held longer than the kernel bears, nor after it was told to end.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs_platform::drive::DriveError;
use mediafs_platform::limits::request_timeout;
use mediafs_platform::process::{ProcessId, StartTime, is_dying};
use parking_lot::Mutex;

use super::class::lives;
use crate::config::Deadlines;
use crate::model::SourceNo;

/// How often a waiting request looks whether its thread was told to end.
const GLANCE: Duration = Duration::from_millis(100);

/// When so many have used up their deadline for a source it is looked which of them have ended.
const MANY: usize = 64;

/// A process, told from a later one of the same number.
pub(super) type ProcessKey = (ProcessId, StartTime);

/// Deadlines, and who has used up theirs.
pub(super) struct Deals {
    deadlines: Deadlines,
    missed: Arc<Mutex<HashMap<SourceNo, Missed>>>,
}

/// Processes that waited in vain on a source that has not answered since.
struct Missed {
    by: HashSet<Option<ProcessKey>>,
    /// At how many it is looked which have ended; `None` while somebody looks.
    many: Option<usize>,
}

impl Default for Missed {
    fn default() -> Self {
        Self {
            by: HashSet::new(),
            many: Some(MANY),
        }
    }
}

impl Deals {
    pub(super) fn new(deadlines: Deadlines) -> Self {
        // Half of what the kernel bears, so that an answer is on its way in time.
        let longest = request_timeout().map_or(Duration::MAX, |timeout| timeout / 2);
        Self {
            deadlines: Deadlines {
                player: deadlines.player.min(longest),
                loader: deadlines.loader.min(longest),
                copier: deadlines.copier.min(longest),
            },
            missed: Arc::default(),
        }
    }

    /// How long a player's process waits for this source now.
    pub(super) fn player(&self, source: SourceNo, process: Option<ProcessKey>) -> Duration {
        let missed = self.missed.lock();
        match missed.get(&source) {
            Some(missed) if missed.by.contains(&process) => Duration::ZERO,
            _ => self.deadlines.player,
        }
    }

    /// How long a loader waits for a sound, in all.
    pub(super) fn loader(&self) -> Duration {
        self.deadlines.loader
    }

    /// How long a copier waits for a read.
    pub(super) fn copier(&self) -> Duration {
        self.deadlines.copier
    }

    /// A player's process has waited in vain.
    pub(super) fn missed(&self, source: SourceNo, process: Option<ProcessKey>) {
        let mut all = self.missed.lock();
        let missed = all.entry(source).or_default();
        missed.by.insert(process);
        if missed.many.is_none_or(|many| missed.by.len() < many) {
            return;
        }
        missed.many = None;
        drop(all);
        // Not here: a player waits for what this thread does.
        let all = Arc::clone(&self.missed);
        let looking = std::thread::Builder::new().name("ended".to_owned());
        if let Err(error) = looking.spawn(move || forget_ended(&all, source)) {
            tracing::warn!(%error, "nobody looks which players have ended");
            if let Some(missed) = self.missed.lock().get_mut(&source) {
                missed.many = Some(missed.by.len() * 2);
            }
        }
    }

    /// A source has answered: whoever waits for it may hope again.
    pub(super) fn answered(&self, source: SourceNo) {
        self.missed.lock().remove(&source);
    }
}

/// Forgets processes that have ended.
fn forget_ended(all: &Mutex<HashMap<SourceNo, Missed>>, source: SourceNo) {
    let by: Vec<ProcessKey> = match all.lock().get(&source) {
        Some(missed) => missed.by.iter().copied().flatten().collect(),
        None => return,
    };
    let (live, ended): (Vec<_>, Vec<_>) = by.into_iter().partition(|process| lives(*process));
    let mut all = all.lock();
    let Some(missed) = all.get_mut(&source) else {
        return;
    };
    for process in ended {
        missed.by.remove(&Some(process));
    }
    missed.many = Some(MANY.max(live.len() * 2));
}

/// How a wait ended before what was waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// Its time was over.
    Late,
    /// Who waits was told to end.
    Dying,
}

impl From<Cut> for DriveError {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Late => Self::TimedOut,
            Cut::Dying => Self::Interrupted,
        }
    }
}

/// Waits for `wanted` for at most `patience`, and no longer than the thread that asked lives. The system tells nobody
/// that it was interrupted, so that is looked for.
pub(super) async fn wait<T>(
    wanted: impl Future<Output = T>,
    patience: Duration,
    thread: Option<u32>,
) -> Result<T, Cut> {
    let until = Instant::now() + patience;
    let mut wanted = std::pin::pin!(wanted);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if let Ok(came) = tokio::time::timeout(left.min(GLANCE), &mut wanted).await {
            return Ok(came);
        }
        if left <= GLANCE {
            return Err(Cut::Late);
        }
        if thread.is_some_and(is_dying) {
            return Err(Cut::Dying);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mediafs_platform::process::Process;

    use mediafs_platform::this_process::requester;

    use super::*;

    #[test]
    fn one_miss_is_enough_until_the_source_answers() {
        let deals = Deals::new(Deadlines::default());
        let (red, blue) = (SourceNo(1), SourceNo(2));
        let us = Some((ProcessId(5), StartTime(9)));
        assert_eq!(deals.player(red, us), Duration::from_millis(20));
        deals.missed(red, us);
        assert_eq!(deals.player(red, us), Duration::ZERO);
        assert_eq!(deals.player(red, None), Duration::from_millis(20));
        assert_eq!(deals.player(blue, us), Duration::from_millis(20));
        deals.answered(blue);
        assert_eq!(deals.player(red, us), Duration::ZERO);
        deals.answered(red);
        assert_eq!(deals.player(red, us), Duration::from_millis(20));
    }

    #[test]
    fn players_that_have_ended_are_forgotten() {
        let deals = Deals::new(Deadlines::default());
        let red = SourceNo(1);
        let id = ProcessId(std::process::id());
        let us = Some((id, Process::of(id).unwrap().started));
        deals.missed(red, us);
        deals.missed(red, None);
        for number in 0..10_000 {
            // Processes of this number, long ago.
            deals.missed(red, Some((id, StartTime(number))));
        }
        // Thousands of processes are asked for, each of Wine's server in Wine.
        let until = Instant::now() + Duration::from_secs(60);
        while deals.missed.lock()[&red].by.len() > MANY * 2 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
            deals.missed(red, Some((id, StartTime(10_000))));
        }
        assert!(deals.missed.lock()[&red].by.len() <= MANY * 2);
        for process in [us, None] {
            assert_eq!(deals.player(red, process), Duration::ZERO);
        }
    }

    #[tokio::test]
    async fn a_wait_ends_with_what_comes_or_when_its_time_is_over() {
        let soon = tokio::time::sleep(Duration::from_millis(150));
        assert!(wait(soon, Duration::from_secs(60), None).await.is_ok());
        let never = std::future::pending::<()>();
        let late = wait(never, Duration::from_millis(150), None).await;
        assert_eq!(late, Err(Cut::Late));
        let thread = requester();
        let never = std::future::pending::<()>();
        let alive = wait(never, Duration::from_millis(250), Some(thread)).await;
        assert_eq!(
            alive,
            Err(Cut::Late),
            "a thread that lives waits to the end"
        );
        // A thread that is no more; elsewhere processes are told of, and this one is there.
        #[cfg(target_os = "linux")]
        {
            let gone = std::thread::spawn(requester).join().unwrap();
            let never = std::future::pending::<()>();
            let dying = wait(never, Duration::from_secs(60), Some(gone)).await;
            assert_eq!(dying, Err(Cut::Dying));
        }
    }
}

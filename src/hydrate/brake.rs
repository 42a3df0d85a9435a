//! The brake: a process that hydrates much without being asked to is stopped until somebody says that it may.
//!
//! A program that walks through a library and reads everything would download all of it. Whoever begins a hydration
//! because a process opened something asks here first; what was asked for explicitly is not counted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How much a process may cause.
#[derive(Clone, Copy, Debug)]
pub struct BrakeLimits {
    /// Hydrations in a window.
    pub count: usize,
    /// Bytes in a window.
    pub bytes: u64,
    /// How long what was begun counts.
    pub window: Duration,
}

impl Default for BrakeLimits {
    fn default() -> Self {
        Self {
            count: 200,
            bytes: 5_000_000_000,
            window: Duration::from_secs(600),
        }
    }
}

/// A process: its number may be used again, with its start it names it for good.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Process {
    /// Its number.
    pub pid: u64,
    /// When it started, in whatever unit the system has.
    pub started: u64,
}

/// The brake says no.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("process {pid} has begun {count} hydrations of {bytes} bytes in all within a short time; allow it to go on, or wait", pid = process.pid)]
pub struct NotNow {
    /// Who is braked.
    pub process: Process,
    /// How many hydrations of it count now.
    pub count: usize,
    /// Their bytes.
    pub bytes: u64,
    /// When something may be begun again, should nobody allow it.
    pub again_in: Duration,
    /// The first no since the last yes: the time to ask the user.
    pub first: bool,
}

/// Counts what processes begin without being asked to.
#[derive(Debug, Default)]
pub struct Brake {
    limits: BrakeLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    begun: HashMap<Process, Begun>,
    allowed: HashSet<Process>,
}

/// What a process has begun within the window.
#[derive(Debug, Default)]
struct Begun {
    times: VecDeque<(Instant, u64)>,
    bytes: u64,
    braked: bool,
}

impl Brake {
    /// A brake with these limits.
    #[must_use]
    pub fn new(limits: BrakeLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Counts a hydration of `size` bytes that `process` causes now, if it may.
    ///
    /// # Errors
    /// [`NotNow`] if it has begun so much that it may not.
    pub fn begin(&self, process: Process, size: u64, now: Instant) -> Result<(), NotNow> {
        let limits = self.limits;
        let mut state = self.state.lock();
        // Processes that end are never named here: what they began is forgotten with its window.
        state.begun.retain(|_, begun| {
            begun.forget(now, limits.window);
            !begun.times.is_empty()
        });
        if state.allowed.contains(&process) {
            return Ok(());
        }
        let begun = state.begun.entry(process).or_default();
        if begun.times.len() >= limits.count || begun.bytes >= limits.bytes {
            return Err(NotNow {
                process,
                count: begun.times.len(),
                bytes: begun.bytes,
                again_in: begun.again_in(now, limits),
                first: !std::mem::replace(&mut begun.braked, true),
            });
        }
        begun.times.push_back((now, size));
        begun.bytes = begun.bytes.saturating_add(size);
        begun.braked = false;
        Ok(())
    }

    /// Lets a process begin whatever it wants as long as it lives, which `lives` says. Those that were allowed before and
    /// have ended are forgotten.
    pub fn allow(&self, process: Process, lives: impl Fn(Process) -> bool) {
        let before: Vec<Process> = self.state.lock().allowed.iter().copied().collect();
        let ended: Vec<Process> = before.into_iter().filter(|other| !lives(*other)).collect();
        let mut state = self.state.lock();
        for other in ended {
            state.allowed.remove(&other);
        }
        state.begun.remove(&process);
        state.allowed.insert(process);
    }

    /// Forgets a process that has ended.
    pub fn forget(&self, process: Process) {
        let mut state = self.state.lock();
        state.begun.remove(&process);
        state.allowed.remove(&process);
    }

    /// Who is braked now.
    pub fn braked(&self, now: Instant) -> Vec<Process> {
        let mut state = self.state.lock();
        let limits = self.limits;
        state
            .begun
            .iter_mut()
            .filter_map(|(process, begun)| {
                begun.forget(now, limits.window);
                let over = begun.times.len() >= limits.count || begun.bytes >= limits.bytes;
                (begun.braked && over).then_some(*process)
            })
            .collect()
    }
}

impl Begun {
    fn forget(&mut self, now: Instant, window: Duration) {
        while let Some((time, size)) = self.times.front()
            && now.saturating_duration_since(*time) >= window
        {
            self.bytes = self.bytes.saturating_sub(*size);
            self.times.pop_front();
        }
    }

    fn again_in(&self, now: Instant, limits: BrakeLimits) -> Duration {
        let (mut count, mut bytes) = (self.times.len(), self.bytes);
        for (time, size) in &self.times {
            count -= 1;
            bytes = bytes.saturating_sub(*size);
            if count < limits.count && bytes < limits.bytes {
                return limits
                    .window
                    .saturating_sub(now.saturating_duration_since(*time));
            }
        }
        limits.window
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PLAYER: Process = Process { pid: 7, started: 1 };

    fn brake() -> Brake {
        Brake::default()
    }

    #[test]
    fn two_hundred_hydrations_are_enough_for_ten_minutes() {
        let (brake, start) = (brake(), Instant::now());
        for second in 0..200 {
            brake
                .begin(PLAYER, 1, start + Duration::from_secs(second))
                .unwrap();
        }
        let now = start + Duration::from_secs(200);
        let no = brake.begin(PLAYER, 1, now).unwrap_err();
        assert_eq!((no.count, no.bytes, no.first), (200, 200, true));
        assert_eq!(no.again_in, Duration::from_secs(400));
        assert!(!brake.begin(PLAYER, 1, now).unwrap_err().first);
        assert_eq!(brake.braked(now), [PLAYER]);
        // The first of them counts no more, so one may be begun.
        let later = start + Duration::from_secs(600);
        assert_eq!(brake.braked(later), []);
        brake.begin(PLAYER, 1, later).unwrap();
        assert!(brake.begin(PLAYER, 1, later).unwrap_err().first);
    }

    #[test]
    fn five_gigabytes_are_enough_for_ten_minutes() {
        let (brake, now) = (brake(), Instant::now());
        // One thing may be larger than that.
        brake.begin(PLAYER, 6_000_000_000, now).unwrap();
        let no = brake.begin(PLAYER, 1, now).unwrap_err();
        assert_eq!((no.count, no.bytes), (1, 6_000_000_000));
        brake
            .begin(PLAYER, 1, now + Duration::from_secs(600))
            .unwrap();
    }

    #[test]
    fn each_process_has_its_own_count() {
        let (brake, now) = (brake(), Instant::now());
        brake.begin(PLAYER, 5_000_000_000, now).unwrap();
        assert!(brake.begin(PLAYER, 1, now).is_err());
        let reused = Process {
            started: 2,
            ..PLAYER
        };
        brake.begin(reused, 1, now).unwrap();
    }

    #[test]
    fn who_is_allowed_goes_on_until_it_ends() {
        let (brake, now) = (brake(), Instant::now());
        brake.begin(PLAYER, 5_000_000_000, now).unwrap();
        assert!(brake.begin(PLAYER, 1, now).is_err());
        brake.allow(PLAYER, |_| true);
        for _ in 0..1000 {
            brake.begin(PLAYER, 5_000_000_000, now).unwrap();
        }
        brake.forget(PLAYER);
        brake.begin(PLAYER, 5_000_000_000, now).unwrap();
        assert!(brake.begin(PLAYER, 1, now).is_err());
    }

    #[test]
    fn who_was_allowed_and_has_ended_is_forgotten() {
        let brake = brake();
        for pid in 0..100 {
            let lives = |other: Process| other.pid == 5;
            brake.allow(Process { pid, started: 0 }, lives);
        }
        let allowed = &brake.state.lock().allowed;
        let mut pids: Vec<_> = allowed.iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [5, 99]);
    }

    #[test]
    fn what_processes_began_is_forgotten_with_its_window() {
        let (brake, now) = (brake(), Instant::now());
        for pid in 0..100 {
            brake.begin(Process { pid, started: 0 }, 1, now).unwrap();
        }
        brake
            .begin(PLAYER, 1, now + Duration::from_secs(600))
            .unwrap();
        assert_eq!(brake.state.lock().begun.len(), 1);
    }
}

//! Who asks: from the number of a thread, as the kernel gives it with a request, to the process behind it.
//!
//! Facts come from the system and may be gone, or belong to another process, at any moment; what can't be read is
//! unknown, never an error. A process is named by its number *and* its start, as numbers are used again; and a program
//! that starts another in its place (`exec`) is somebody else under the same number.
//!
//! Outside Linux the kernel gives the number of the process with a request, not of a thread: where a thread is asked for
//! here, that number is given. Command lines are read on Linux alone.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// The number of a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ProcessId(pub u32);

/// When a process started, in the unit and from the beginning that the system has. With the number it is the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct StartTime(pub u64);

impl StartTime {
    /// Of the process of this number now.
    #[must_use]
    pub fn of(id: ProcessId) -> Option<Self> {
        // On Windows to know all of it takes a list of all processes.
        #[cfg(windows)]
        return system::start_of(id);
        #[cfg(not(windows))]
        Process::of(id).map(|process| process.started)
    }
}

/// What is known of a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its number in the daemon's pid namespace.
    pub id: ProcessId,
    /// When it started.
    pub started: StartTime,
    /// The process that started it, or adopted it; `None` for the first one.
    pub parent: Option<ProcessId>,
    /// What it calls itself: the file name of the program unless it was changed, on Linux at most 15 bytes.
    pub name: OsString,
    /// The program; `None` where it can't be read, as for programs with file capabilities or of other users.
    pub executable: Option<PathBuf>,
    /// The command line, at most its first 64 words within its first 64 KiB; empty where it can't be read.
    pub arguments: Vec<OsString>,
}

impl Process {
    /// The process of this number now.
    #[must_use]
    pub fn of(id: ProcessId) -> Option<Self> {
        system::process(id)
    }

    /// The process that a thread belongs to now.
    #[must_use]
    pub fn of_thread(thread: u32) -> Option<Self> {
        system::process(system::process_of_thread(thread)?)
    }

    /// Its parent, the parent of that, and so on: at most 64, each started no later than the one before.
    #[must_use]
    pub fn ancestors(&self) -> Ancestors {
        Ancestors {
            next: self.parent,
            youngest: self.started,
            left: MOST_ANCESTORS,
        }
    }

    /// Does it still run, and is it still the same?
    #[must_use]
    pub fn is_running(&self) -> bool {
        StartTime::of(self.id) == Some(self.started)
    }
}

const MOST_ANCESTORS: usize = 64;

/// The ancestors of a process, nearest first.
#[derive(Clone, Debug)]
pub struct Ancestors {
    next: Option<ProcessId>,
    youngest: StartTime,
    left: usize,
}

impl Iterator for Ancestors {
    type Item = Process;

    fn next(&mut self) -> Option<Process> {
        self.left = self.left.checked_sub(1)?;
        let process = Process::of(self.next.take()?)?;
        // A parent that is younger than its child is another process under a number used again.
        if process.started > self.youngest {
            return None;
        }
        self.youngest = process.started;
        self.next = process.parent.filter(|parent| *parent != process.id);
        Some(process)
    }
}

/// Is this thread dying, or asked to: is it gone, or does a signal wait for it that ends programs (INT, TERM, HUP,
/// QUIT, KILL) and is neither blocked nor ignored? On Windows: has somebody begun to end its process? Such a thread is to be
/// answered, not kept waiting.
#[must_use]
pub fn is_dying(thread: u32) -> bool {
    system::is_dying(thread)
}

/// Is this thread, which waits until it is told that a file is closed, closing it because a signal ends its program?
///
/// Asked before it is answered, as it may be gone right after. A program that ends closes its files when its memory is
/// gone. By then the signal that ended it is pending no more, and what the system notes of a single thread misleads: where
/// a program of several threads ends by itself, all but one are ended by a signal. The status with which the program ends
/// tells. It is in `/proc/TID/stat`, which must not be read while a program starts another in its place, as reading waits
/// for that, and that for the answer; such a program has memory, so it is not read of one that has.
///
/// A program whose privileges are hidden from this one (it has file capabilities, say) seems to end by itself.
///
/// Outside Linux the process is that which opened the file: is it gone, or on Windows, is it being ended, with another status
/// than 0? A program that fails seems to be killed there, if it does not close what it has open.
#[must_use]
pub fn is_being_killed(thread: u32) -> bool {
    system::is_being_killed(thread)
}

/// Remembers processes by thread, so that a request costs one small question to the system instead of four.
pub struct Processes {
    known: parking_lot::Mutex<lru::LruCache<u32, Known>>,
}

#[derive(Clone)]
struct Known {
    process: Arc<Process>,
    stamp: system::Stamp,
}

impl Processes {
    /// Remembers at most 512 threads.
    #[must_use]
    pub fn new() -> Self {
        const MOST: std::num::NonZeroUsize = std::num::NonZeroUsize::new(512).unwrap();
        Self {
            known: parking_lot::Mutex::new(lru::LruCache::new(MOST)),
        }
    }

    /// The process behind a thread. `None` if the thread is not visible here, or gone.
    #[must_use]
    pub fn of_thread(&self, thread: Option<u32>) -> Option<Arc<Process>> {
        let thread = thread.filter(|thread| *thread != 0)?;
        let known = self.known.lock().get(&thread).cloned();
        if let Some(known) = known
            && system::stamp(known.process.id, thread).as_ref() == Some(&known.stamp)
        {
            return Some(known.process);
        }
        // A program may start another in its place between two reads; then the stamps before and after differ.
        for _ in 0..3 {
            let id = system::process_of_thread(thread)?;
            let stamp = system::stamp(id, thread)?;
            let process = Arc::new(system::process(id)?);
            if system::stamp(id, thread).as_ref() == Some(&stamp) {
                self.known.lock().put(
                    thread,
                    Known {
                        process: Arc::clone(&process),
                        stamp,
                    },
                );
                return Some(process);
            }
        }
        None
    }
}

impl Default for Processes {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Processes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processes")
            .field("known", &self.known.lock().len())
            .finish()
    }
}

#[cfg(any(windows, test))]
mod ending;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

#[cfg(all(test, target_os = "linux"))]
mod tests;

#[cfg(all(test, windows))]
#[path = "windows_tests.rs"]
mod tests;

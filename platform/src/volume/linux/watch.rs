//! Tells when something is mounted or unmounted.
//!
//! A thread waits for the kernel to say that the mount table has changed, and calls back with the new one. It touches
//! no storage.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};

use super::leaving::Leaving;
use super::table::MountTable;

/// A change that is followed by others is told once: when none has come for this long …
const QUIET: Duration = Duration::from_millis(25);
/// … or after so many of these steps, so that it is never told much later than 150 ms.
const MOST_STEPS: u32 = 6;
/// How long to wait if the table can't be read (memory is short, say).
const RETRY: Duration = Duration::from_secs(1);

/// Calls back after each change of the mounts of this process, until it is dropped.
///
/// Dropping it waits for a call that is under way, unless it is dropped by that call.
#[derive(Debug)]
pub struct MountWatch {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl MountWatch {
    /// Starts to watch. `changed` is called on a thread of its own, within 200 ms after a change, once for changes that
    /// follow each other closely; changes since this function was called are told, but not the mounts there are.
    ///
    /// # Errors
    /// If the mount table can't be watched or no thread can be started.
    pub fn start(changed: impl FnMut(&MountTable) + Send + 'static) -> io::Result<Self> {
        Self::start_asked(changed, |_, _| ())
    }

    /// As [`MountWatch::start`]. Linux tells nothing before it unmounts, so `_leaving` is never called: a mount with open
    /// files is not unmounted, and only whoever wants that can have them closed first.
    ///
    /// # Errors
    /// As [`MountWatch::start`].
    pub fn start_asked(
        mut changed: impl FnMut(&MountTable) + Send + 'static,
        _leaving: impl Fn(&Path, Leaving) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        // The kernel tells what has changed since the file was opened.
        let table = File::open("/proc/self/mountinfo")?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("mounts".to_owned())
            .spawn(move || watch(&table, &stopped, &mut changed))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for MountWatch {
    fn drop(&mut self) {
        // Only a full counter can make this fail, and one that counts has told the thread.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// What came first.
enum Woken {
    Changed,
    Stopped,
    Nothing,
}

fn watch(table: &File, stop: &OwnedFd, changed: &mut dyn FnMut(&MountTable)) {
    loop {
        match wait(table, stop, None) {
            Ok(Woken::Changed) => {}
            Ok(Woken::Nothing) => continue,
            Ok(Woken::Stopped) => return,
            Err(error) => {
                tracing::error!(%error, "mounts are not watched any more");
                return;
            }
        }
        for _ in 0..MOST_STEPS {
            match wait(table, stop, Some(QUIET)) {
                Ok(Woken::Changed) => {}
                Ok(Woken::Stopped) => return,
                Ok(Woken::Nothing) | Err(_) => break,
            }
        }
        loop {
            match MountTable::read() {
                Ok(now) => {
                    changed(&now);
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "the mount table cannot be read; trying again");
                    if let Ok(Woken::Stopped) = wait(table, stop, Some(RETRY)) {
                        return;
                    }
                }
            }
        }
    }
}

fn wait(table: &File, stop: &OwnedFd, longest: Option<Duration>) -> io::Result<Woken> {
    let longest = longest.map(|longest| Timespec {
        tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    });
    let mut files = [
        PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(table.as_fd(), PollFlags::PRI),
    ];
    match poll(&mut files, longest.as_ref()) {
        Err(rustix::io::Errno::INTR) => return Ok(Woken::Nothing),
        result => result?,
    };
    let [stopped, changed] = files.map(|file| file.revents());
    Ok(if !stopped.is_empty() {
        Woken::Stopped
    } else if changed.intersects(PollFlags::PRI | PollFlags::ERR) {
        Woken::Changed
    } else {
        Woken::Nothing
    })
}

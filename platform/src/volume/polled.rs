//! Tells when something is mounted or unmounted, on systems whose own events are not taken yet: the mount table, which is
//! in memory, is read every two seconds and compared.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::table::MountTable;

/// How often the table is read.
const STEP: Duration = Duration::from_secs(2);

/// Calls back after each change of the mounts of this process, until it is dropped.
///
/// Dropping it waits for a call that is under way, unless it is dropped by that call.
#[derive(Debug)]
pub struct MountWatch {
    /// Dropped, it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MountWatch {
    /// Starts to watch. `changed` is called on a thread of its own, within a few seconds after a change, once for changes
    /// that follow each other closely; changes since this function was called are told, but not the mounts there are.
    ///
    /// # Errors
    /// If the mount table can't be read or no thread can be started.
    pub fn start(changed: impl FnMut(&MountTable) + Send + 'static) -> io::Result<Self> {
        Self::start_with(STEP, MountTable::read, changed)
    }

    fn start_with(
        step: Duration,
        mut read: impl FnMut() -> io::Result<MountTable> + Send + 'static,
        mut changed: impl FnMut(&MountTable) + Send + 'static,
    ) -> io::Result<Self> {
        let mut before = read()?;
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new()
            .name("mounts".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(step) == Err(RecvTimeoutError::Timeout) {
                    match read() {
                        Ok(now) if now != before => {
                            changed(&now);
                            before = now;
                        }
                        Ok(_) => {}
                        Err(error) => {
                            tracing::warn!(%error, "the mount table cannot be read; trying again");
                        }
                    }
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for MountWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_change_is_told_once_and_an_error_not_at_all() {
        let table = |text: &str| Ok(MountTable::parse(text.as_bytes()));
        const ONE: &str = "22 1 8:1 / /a rw - ext4 x rw";
        const TWO: &str = "23 1 8:2 / /b rw - ext4 y rw";
        let mut reads = 0;
        let read = move || {
            reads += 1;
            match reads {
                1 | 2 => table(ONE),
                3 => Err(io::Error::other("not now")),
                _ => table(TWO),
            }
        };
        let (tell, told) = mpsc::channel();
        let watch = MountWatch::start_with(Duration::from_millis(5), read, move |now| {
            tell.send(now.clone()).unwrap();
        })
        .unwrap();
        let now = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(now, MountTable::parse(TWO.as_bytes()));
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err());
        drop(watch);
        assert!(told.recv().is_err(), "nothing is told after the end");
    }
}

//! Tells when something is mounted or unmounted, on systems whose mount table tells nothing by itself: it is read and compared
//! when the system says that a volume has come or gone, and every two seconds, as some changes are told by nobody. It
//! is in memory, and touches no storage.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::leaving::Leaving;
use super::system::MountEvents;
use super::table::MountTable;

/// How often the table is read.
const STEP: Duration = Duration::from_secs(2);
/// How often after something was told, and for how long: a volume may be mounted a little later than it came.
const SOON: Duration = Duration::from_millis(100);
const FOR: Duration = Duration::from_secs(3);

/// Why the table is looked at.
enum Word {
    Told,
    Stop,
}

/// Calls back after each change of the mounts of this process, until it is dropped.
///
/// Dropping it waits for a call that is under way, unless it is dropped by that call.
#[derive(Debug)]
pub struct MountWatch {
    /// `None` where the system tells nothing.
    events: Option<MountEvents>,
    tell: Sender<Word>,
    thread: Option<JoinHandle<()>>,
}

impl MountWatch {
    /// Starts to watch. `changed` is called on a thread of its own, within a few seconds after a change, once for changes
    /// that follow each other closely; changes since this function was called are told, but not the mounts there are.
    ///
    /// # Errors
    /// If the mount table can't be read or no thread can be started.
    pub fn start(changed: impl FnMut(&MountTable) + Send + 'static) -> io::Result<Self> {
        Self::start_asked(changed, |_, _| ())
    }

    /// As [`MountWatch::start`]; and `leaving` is called when a mount of a disk is about to go, if the system tells that
    /// before. It is waited for, but no longer than two seconds.
    ///
    /// # Errors
    /// As [`MountWatch::start`].
    pub fn start_asked(
        changed: impl FnMut(&MountTable) + Send + 'static,
        leaving: impl Fn(&Path, Leaving) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let news = tell.clone();
        // Nobody listens any more at the very end.
        let events = MountEvents::start(move || drop(news.send(Word::Told)), Arc::new(leaving))
            .inspect_err(|error| tracing::warn!(%error, "mounts are only looked at now and then"))
            .ok();
        let follow = events.as_ref().map(MountEvents::follower);
        let mut followed = None;
        let read = move || {
            let table = MountTable::read()?;
            if let Some(follow) = &follow
                && followed.as_ref() != Some(&table)
            {
                follow(&table);
                followed = Some(table.clone());
            }
            Ok(table)
        };
        let mut watch = Self::start_with(STEP, (tell, told), read, changed)?;
        watch.events = events;
        Ok(watch)
    }

    fn start_with(
        step: Duration,
        (tell, told): (Sender<Word>, Receiver<Word>),
        mut read: impl FnMut() -> io::Result<MountTable> + Send + 'static,
        mut changed: impl FnMut(&MountTable) + Send + 'static,
    ) -> io::Result<Self> {
        let mut before = read()?;
        let thread = thread::Builder::new()
            .name("mounts".to_owned())
            .spawn(move || {
                let mut soon_until = None;
                loop {
                    let soon = soon_until.is_some_and(|until| Instant::now() < until);
                    match told.recv_timeout(if soon { SOON.min(step) } else { step }) {
                        Ok(Word::Told) => soon_until = Some(Instant::now() + FOR),
                        Err(RecvTimeoutError::Timeout) => {}
                        Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                    }
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
            events: None,
            tell,
            thread: Some(thread),
        })
    }
}

impl Drop for MountWatch {
    fn drop(&mut self) {
        self.events = None;
        // It has ended if nobody listens.
        let _ = self.tell.send(Word::Stop);
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
        let watch = MountWatch::start_with(
            Duration::from_millis(5),
            mpsc::channel(),
            read,
            move |now| {
                tell.send(now.clone()).unwrap();
            },
        )
        .unwrap();
        let now = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(now, MountTable::parse(TWO.as_bytes()));
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err());
        drop(watch);
        assert!(told.recv().is_err(), "nothing is told after the end");
    }

    #[test]
    fn what_is_told_is_looked_at_at_once_and_soon_again() {
        const NEVER: Duration = Duration::from_secs(3600);
        const ONE: &str = "22 1 8:1 / /a rw - ext4 x rw";
        const TWO: &str = "23 1 8:2 / /b rw - ext4 y rw";
        let table = |text: &str| MountTable::parse(text.as_bytes());
        // Mounted by the third look only.
        let mut reads = 0;
        let read = move || {
            reads += 1;
            Ok(table(if reads <= 3 { ONE } else { TWO }))
        };
        let (tell, told) = mpsc::channel();
        let watch = MountWatch::start_with(NEVER, mpsc::channel(), read, move |now| {
            tell.send(now.clone()).unwrap()
        })
        .unwrap();
        assert!(told.recv_timeout(Duration::from_millis(300)).is_err());
        watch.tell.send(Word::Told).unwrap();
        let now = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(now, table(TWO));
    }

    #[test]
    fn it_can_be_dropped_by_what_it_calls() {
        let watch = MountWatch::start(|_| {}).unwrap();
        drop(watch);
        let table = |text: &str| Ok(MountTable::parse(text.as_bytes()));
        let mut reads = 0;
        let read = move || {
            reads += 1;
            table(&format!("{reads} 1 8:1 / /a rw - ext4 x rw"))
        };
        let kept = std::sync::Arc::new(parking_lot::Mutex::new(None::<MountWatch>));
        let (own, (tell, told)) = (std::sync::Arc::clone(&kept), mpsc::channel());
        let mut holding = kept.lock();
        let watch =
            MountWatch::start_with(Duration::from_millis(5), mpsc::channel(), read, move |_| {
                drop(own.lock().take());
                tell.send(()).unwrap();
            });
        *holding = Some(watch.unwrap());
        drop(holding);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        while told.recv_timeout(Duration::from_secs(10)).is_ok() {}
        assert!(kept.lock().is_none());
    }
}

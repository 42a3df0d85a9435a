//! Which medium is in a drive that takes several: a card in its reader, a disc.
//!
//! The volume, its name and its letter are those of the drive, whatever is in it. Its driver counts how often the medium was
//! changed, for all programs alike. To be told that, the driver asks the drive, which may hang; so it is asked on a thread of
//! its own, waited for a moment only, and believed for a while.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use windows_sys::Win32::Foundation::{ERROR_NO_MEDIA_IN_DRIVE, ERROR_NOT_READY};

use super::disk;
use crate::nt::is;

/// How long an answer is believed.
const FRESH: Duration = Duration::from_millis(500);
/// How long an answer is waited for; a drive that is well has one at once.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is in a drive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Medium {
    /// The one after so many changes.
    Number(u32),
    /// Nothing.
    Missing,
    /// The driver has not said.
    Unknown,
}

impl Medium {
    fn of(told: io::Result<Option<u32>>) -> Self {
        match told {
            Ok(Some(count)) => Self::Number(count),
            Err(error) if is(&error, ERROR_NOT_READY) || is(&error, ERROR_NO_MEDIA_IN_DRIVE) => {
                Self::Missing
            }
            Ok(None) | Err(_) => Self::Unknown,
        }
    }
}

/// What is in the drive behind a volume.
pub(super) fn in_drive(volume: &OsStr) -> Medium {
    static ALL: LazyLock<Asked> = LazyLock::new(Asked::default);
    ALL.of(volume, disk::media_changes)
}

/// What was told of drives, by their volumes.
#[derive(Default)]
struct Asked(Arc<Mutex<HashMap<OsString, Answer>>>);

#[derive(Clone, Copy)]
struct Answer {
    medium: Medium,
    /// Since when it is known.
    since: Instant,
    /// The driver has been asked again, and has not answered.
    is_asked: bool,
}

impl Asked {
    /// `ask` may take as long as it likes. Until it has answered the last answer stands.
    fn of(
        &self,
        volume: &OsStr,
        ask: impl FnOnce(&OsStr) -> io::Result<Option<u32>> + Send + 'static,
    ) -> Medium {
        let before = {
            let mut answers = self.0.lock();
            let answer = answers.entry(volume.to_owned()).or_insert(Answer {
                medium: Medium::Unknown,
                since: Instant::now(),
                is_asked: false,
            });
            let is_known = answer.medium != Medium::Unknown && answer.since.elapsed() < FRESH;
            if answer.is_asked || is_known {
                return answer.medium;
            }
            answer.is_asked = true;
            answer.medium
        };
        let (tell, told) = mpsc::channel();
        let (answers, asked) = (Arc::clone(&self.0), volume.to_owned());
        let begun = thread::Builder::new()
            .name("medium".to_owned())
            .spawn(move || {
                let medium = Medium::of(ask(&asked));
                answers.lock().insert(
                    asked,
                    Answer {
                        medium,
                        since: Instant::now(),
                        is_asked: false,
                    },
                );
                // Nobody waits any more if it took long.
                let _ = tell.send(medium);
            });
        if let Err(error) = begun {
            tracing::warn!(%error, "it is not looked which medium is in a drive");
            self.0.lock().remove(volume);
            return before;
        }
        told.recv_timeout(PATIENCE).unwrap_or(before)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_driver_says_which_medium_there_is() {
        let error = |code: u32| Err(io::Error::from_raw_os_error(code.cast_signed()));
        assert_eq!(Medium::of(Ok(Some(3))), Medium::Number(3));
        assert_eq!(Medium::of(error(ERROR_NOT_READY)), Medium::Missing);
        assert_eq!(Medium::of(error(ERROR_NO_MEDIA_IN_DRIVE)), Medium::Missing);
        // "Incorrect function": it counts nothing.
        assert_eq!(Medium::of(error(1)), Medium::Unknown);
        assert_eq!(Medium::of(Ok(None)), Medium::Unknown);
    }

    #[test]
    fn a_drive_that_hangs_is_not_waited_for_and_not_asked_twice() {
        let asked = Asked::default();
        let volume = OsStr::new("volume");
        assert_eq!(asked.of(volume, |_| Ok(Some(1))), Medium::Number(1));
        let again = asked.of(volume, |_| panic!("just told"));
        assert_eq!(again, Medium::Number(1));
        thread::sleep(FRESH);
        let (answer, waits) = mpsc::channel();
        let begun = Instant::now();
        let hanging = asked.of(volume, move |_| Ok(Some(waits.recv().unwrap())));
        assert_eq!(hanging, Medium::Number(1), "as it was");
        let again = asked.of(volume, |_| panic!("is asked"));
        assert_eq!(again, Medium::Number(1));
        assert!(begun.elapsed() < Duration::from_secs(5));
        // Another drive has its own.
        let other = asked.of(OsStr::new("other"), |_| Ok(Some(7)));
        assert_eq!(other, Medium::Number(7));
        answer.send(2).unwrap();
        let since = Instant::now();
        while asked.of(volume, |_| Ok(Some(2))) != Medium::Number(2) {
            assert!(since.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(10));
        }
    }
}

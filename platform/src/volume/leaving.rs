//! Asking before something is unmounted: some systems tell whoever has files open on a volume that somebody wants it to go, and
//! wait for them a little. Windows and macOS do; Linux tells nobody.

#[cfg(not(target_os = "linux"))]
pub(super) use asked::{Asked, tell};

/// What a system says of a mount that somebody wants to unmount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaving {
    /// It is about to go: whatever is open on it is to be closed now. It may stay all the same, and not every system
    /// says so then.
    Wanted,
    /// It stays.
    Refused,
}

#[cfg(any(not(target_os = "linux"), test))]
mod asked {
    use std::path::Path;
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Duration;

    use super::Leaving;

    /// How long the system is made to wait. It says "in use" to its user after some ten seconds.
    const LONGEST: Duration = Duration::from_secs(2);

    /// Whom the system's word is passed on to.
    pub(in super::super) type Asked = Arc<dyn Fn(&Path, Leaving) + Send + Sync>;

    /// Passes on that a mount is to go, and waits until that has been done, or [`LONGEST`]; that it stays, and does not wait.
    pub(in super::super) fn tell(asked: &Asked, point: &Path, leaving: Leaving) {
        let (done, waiting) = mpsc::channel();
        let (by, at) = (Arc::clone(asked), point.to_owned());
        let begun = thread::Builder::new()
            .name("leaving".to_owned())
            .spawn(move || {
                by(&at, leaving);
                // Nobody may wait for it by then.
                let _ = done.send(());
            });
        match begun {
            Ok(_) if leaving == Leaving::Refused => {}
            Ok(_) => {
                if waiting.recv_timeout(LONGEST).is_err() {
                    tracing::warn!(point = %point.display(), "something of ours may still be open on what is to be unmounted");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "told on this thread");
                asked(point, leaving);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        #![allow(clippy::unwrap_used)]

        use std::time::Instant;

        use parking_lot::Mutex;

        use super::*;

        #[test]
        fn the_system_waits_until_all_is_closed_but_not_for_ever() {
            let (told, slow) = (Arc::new(Mutex::new(Vec::new())), Duration::from_millis(200));
            let by = Arc::clone(&told);
            let asked: Asked = Arc::new(move |point: &Path, leaving: Leaving| {
                thread::sleep(slow);
                by.lock().push((point.to_owned(), leaving));
            });
            tell(&asked, Path::new("/mnt/a"), Leaving::Wanted);
            assert_eq!(*told.lock(), [("/mnt/a".into(), Leaving::Wanted)]);

            let hanging: Asked = Arc::new(|_: &Path, _| thread::sleep(LONGEST * 5));
            let begun = Instant::now();
            tell(&hanging, Path::new("/mnt/a"), Leaving::Wanted);
            assert!(begun.elapsed() >= LONGEST && begun.elapsed() < LONGEST * 3);
            let begun = Instant::now();
            tell(&hanging, Path::new("/mnt/a"), Leaving::Refused);
            assert!(begun.elapsed() < LONGEST, "there is nothing to wait for");
        }
    }
}

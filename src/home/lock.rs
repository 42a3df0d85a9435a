//! One process at a time works on a home, and a daemon says where it can be reached.
//!
//! The lock is a file that the system unlocks when its process ends, however it does. Beside it a daemon leaves word of
//! its socket and its mount, which stays after a crash: so the next command knows what to clear away.

use std::fs::File;
use std::io::ErrorKind::{QuotaExceeded, StorageFull};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mediafs_platform::lock::{LockError, LockedFile};
use serde::{Deserialize, Serialize};

use super::{Home, HomeError};
use crate::model::{path_from_text, path_text};

/// How often a held lock is tried again.
const AGAIN: Duration = Duration::from_millis(25);

/// How long a daemon's lock is waited for at most: it may just be ending, or somebody looks whether it is held.
const DAEMON_PATIENCE: Duration = Duration::from_millis(250);

/// What a process holds a home for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// It is its daemon.
    Daemon,
    /// It is a command that works without a daemon.
    Command,
}

impl Purpose {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Daemon => "its mediafs daemon",
            Self::Command => "another mediafs command",
        }
    }

    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Daemon => "use that one, or end it with `mediafs unmount`",
            Self::Command => "wait until that has ended",
        }
    }
}

impl Home {
    fn lock_file(&self) -> PathBuf {
        self.data.join("lock")
    }

    /// Where a daemon says who it is and where it listens.
    fn daemon_file(&self) -> PathBuf {
        self.data.join("daemon.json")
    }

    /// Where the daemon of this home listens: as it says, which may differ from [`Home::socket`] when it was started
    /// in another environment.
    #[must_use]
    pub fn daemon_socket(&self) -> PathBuf {
        self.announced()
            .map_or_else(|| self.socket.clone(), |daemon| daemon.socket)
    }

    fn announced(&self) -> Option<Announced> {
        let mut text = Vec::new();
        File::open(self.daemon_file())
            .ok()?
            .take(LONGEST_ANNOUNCEMENT)
            .read_to_end(&mut text)
            .ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Takes the lock, waiting for it at most so long.
    ///
    /// # Errors
    /// [`HomeError::Held`], naming the holder; or the lock file can't be made.
    pub fn lock(&self, purpose: Purpose, patience: Duration) -> Result<HomeLock, HomeError> {
        let start = Instant::now();
        let held = loop {
            match LockedFile::acquire(&self.lock_file()) {
                Ok(lock) => break lock,
                Err(LockError::Held { pid, .. }) => {
                    let daemon = self.announced().map(|daemon| daemon.pid);
                    let holder = if pid.is_some() && pid == daemon {
                        Purpose::Daemon
                    } else {
                        Purpose::Command
                    };
                    // A daemon stays; only commands are worth waiting for.
                    let patience = match holder {
                        Purpose::Daemon => patience.min(DAEMON_PATIENCE),
                        Purpose::Command => patience,
                    };
                    if start.elapsed() >= patience {
                        return Err(HomeError::Held {
                            path: self.data.clone(),
                            pid: pid.unwrap_or(0),
                            purpose: holder,
                        });
                    }
                }
                Err(source) => {
                    return Err(HomeError::Lock {
                        path: self.data.clone(),
                        source,
                    });
                }
            }
            std::thread::sleep(AGAIN);
        };
        let daemon_file = match purpose {
            Purpose::Daemon => Some(self.announce(None)?),
            Purpose::Command => None,
        };
        Ok(HomeLock {
            daemon_file,
            _lock: held,
        })
    }

    fn announce(&self, mount: Option<&Path>) -> Result<PathBuf, HomeError> {
        let path = self.daemon_file();
        let announced = Announced {
            pid: std::process::id(),
            socket: self.socket.clone(),
            mount: mount.map(Path::to_owned),
        };
        // Paths that are no text can't be said; who has the same environment finds the socket all the same.
        let text = serde_json::to_vec(&announced).unwrap_or_default();
        let next = path.with_extension("json.new");
        match std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &path)) {
            // A full disk never stops playback: who has the same environment finds the socket all the same.
            Err(error) if matches!(error.kind(), StorageFull | QuotaExceeded) => {
                let _ = std::fs::remove_file(&next);
                tracing::warn!(%error, "the home's disk is full: not said who its daemon is");
            }
            other => other.map_err(|source| HomeError::Unusable {
                path: path.clone(),
                doing: "saying who its daemon is",
                source,
            })?,
        }
        Ok(path)
    }

    /// Says where the drive is mounted. For the daemon, which shows that it holds the lock.
    ///
    /// # Errors
    /// The home can't be written to.
    pub fn announce_mount(&self, _lock: &HomeLock, point: &Path) -> Result<(), HomeError> {
        self.announce(Some(point)).map(|_| ())?;
        self.remember_mount(point);
        Ok(())
    }

    /// Where it is said where the drive was mounted.
    fn mounts_file(&self) -> PathBuf {
        self.data.join("mount-points.json")
    }

    /// Paths that programs have stored may begin with it, for ever.
    fn remember_mount(&self, point: &Path) {
        let mut known = self.known_mounts();
        if known.first().is_some_and(|last| last == point) {
            return;
        }
        known.retain(|other| other != point);
        known.insert(0, point.to_owned());
        known.truncate(MOST_MOUNTS);
        let known: Vec<String> = known.iter().map(|path| path_text(path)).collect();
        let path = self.mounts_file();
        let next = path.with_extension("json.new");
        let text = serde_json::to_vec(&known).unwrap_or_default();
        if let Err(error) = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &path))
        {
            let _ = std::fs::remove_file(&next);
            tracing::warn!(%error, "not remembered where the drive is mounted");
        }
    }

    /// Where the drive of this home is or was mounted, the last place first.
    #[must_use]
    pub fn known_mounts(&self) -> Vec<PathBuf> {
        let mut text = Vec::new();
        let read = File::open(self.mounts_file())
            .and_then(|file| file.take(LONGEST_MOUNTS).read_to_end(&mut text));
        if read.is_err() {
            return Vec::new();
        }
        let known: Vec<String> = serde_json::from_slice(&text).unwrap_or_default();
        let paths = known.iter().filter_map(|text| path_from_text(text).ok());
        paths.filter(|path| path.is_absolute()).collect()
    }

    /// Where the last daemon of this home had its drive, if it still has or did not end in order.
    #[must_use]
    pub fn announced_mount(&self) -> Option<PathBuf> {
        self.announced()?.mount
    }

    /// Who holds the home, as it wrote itself down; `None` if nobody does, or has not said who it is.
    #[must_use]
    pub fn holder(&self) -> Option<u32> {
        match LockedFile::acquire(&self.lock_file()) {
            Err(LockError::Held { pid, .. }) => pid,
            _ => None,
        }
    }

    /// Is the home in use by a process of this number?
    #[must_use]
    pub fn is_held_by(&self, pid: u32) -> bool {
        matches!(
            LockedFile::acquire(&self.lock_file()),
            Err(LockError::Held { pid: holder, .. }) if holder.is_none_or(|holder| holder == pid)
        )
    }
}

/// What a daemon says of itself.
#[derive(Serialize, Deserialize)]
struct Announced {
    pid: u32,
    socket: PathBuf,
    #[serde(default)]
    mount: Option<PathBuf>,
}

/// How many places are remembered where the drive was mounted.
const MOST_MOUNTS: usize = 64;

/// The longest list of them that is read, in bytes.
const LONGEST_MOUNTS: u64 = 1 << 20;

/// The longest announcement that is read, in bytes.
const LONGEST_ANNOUNCEMENT: u64 = 16 * 1024;

/// The lock on a home, until it is dropped or the process ends.
#[derive(Debug)]
pub struct HomeLock {
    daemon_file: Option<PathBuf>,
    /// Dropped last.
    _lock: LockedFile,
}

impl Drop for HomeLock {
    fn drop(&mut self) {
        if let Some(path) = &self.daemon_file {
            // If it stays, nobody answers where it points to.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_remembered_the_last_first() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path())).unwrap();
        assert!(home.known_mounts().is_empty());
        let absolute = |path: &str| std::path::absolute(path).unwrap();
        for point in ["/a", "/b", "/a"] {
            home.remember_mount(&absolute(point));
        }
        assert_eq!(home.known_mounts(), [absolute("/a"), absolute("/b")]);
        for number in 0..2 * MOST_MOUNTS {
            home.remember_mount(&absolute(&format!("/{number}")));
        }
        assert_eq!(home.known_mounts().len(), MOST_MOUNTS);
        std::fs::write(home.mounts_file(), "[\"relative\", 7").unwrap();
        assert!(home.known_mounts().is_empty());
    }

    #[test]
    fn the_lock_is_for_one_and_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path())).unwrap();
        home.prepare(&[]).unwrap();
        let us = std::process::id();
        assert!(!home.is_held_by(us));
        let lock = home.lock(Purpose::Daemon, Duration::ZERO).unwrap();
        assert!(home.is_held_by(us));
        assert_eq!(home.holder(), Some(us));
        assert_eq!(home.daemon_socket(), home.socket());
        let refused = |purpose| {
            home.lock(purpose, Duration::from_millis(30))
                .unwrap_err()
                .to_string()
        };
        let error = refused(Purpose::Command);
        assert!(
            error.contains(&us.to_string()) && error.contains("mediafs unmount"),
            "{error}"
        );
        drop(lock);
        assert!(!home.is_held_by(us));
        let lock = home.lock(Purpose::Command, Duration::ZERO).unwrap();
        let error = refused(Purpose::Daemon);
        assert!(
            error.contains(&us.to_string()) && error.contains("another mediafs command"),
            "{error}"
        );
        drop(lock);
        assert_eq!(
            std::fs::read_dir(dir.path())
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().file_name() == "daemon.json")
                .count(),
            0
        );
    }

    #[test]
    fn garbage_in_its_files_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path())).unwrap();
        home.prepare(&[]).unwrap();
        for name in ["lock", "daemon.json"] {
            std::fs::write(dir.path().join(name), [0xff, 0, b'\n', b'x']).unwrap();
        }
        assert!(!home.is_held_by(1));
        assert_eq!(home.daemon_socket(), home.socket());
        home.lock(Purpose::Daemon, Duration::ZERO).unwrap();
    }
}

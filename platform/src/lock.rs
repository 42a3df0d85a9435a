//! A lock file: one process at a time holds it, and it says which.
//!
//! The lock is `flock(2)`, so it goes with the process however that ends. The number in the file is for people
//! and for messages; it is not what locks. The descriptor is not inherited by programs that are started.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is locked by {}; stop that process first", path.display(), holder(*pid))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process, as it wrote itself down; `None` if it has not yet.
        pid: Option<u32>,
    },
    /// The file can't be opened, locked or written.
    #[error("the lock file {} cannot be used", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct LockedFile {
    /// Closing it unlocks.
    _file: File,
    path: PathBuf,
}

impl LockedFile {
    /// Takes the lock at `path`, creating the file (mode 0600) if it is missing. Does not wait. Two locks of one
    /// process exclude each other as well.
    ///
    /// # Errors
    /// [`LockError::Held`] when it is taken.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        // Somebody may have removed the file between our open and our lock; then it is not the lock any more.
        for _ in 0..16 {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(path)
                .map_err(failed)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(LockError::Held {
                        path: path.to_owned(),
                        pid: read_pid(&mut file),
                    });
                }
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(failed(errno.into())),
            }
            let locked = file.metadata().map_err(failed)?;
            let named = std::fs::symlink_metadata(path);
            if named.is_ok_and(|named| (named.dev(), named.ino()) == (locked.dev(), locked.ino())) {
                write_pid(&mut file).map_err(failed)?;
                return Ok(Self {
                    _file: file,
                    path: path.to_owned(),
                });
            }
        }
        Err(failed(io::Error::other(
            "the file is removed again and again",
        )))
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_at_a_time_and_the_holder_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        std::fs::write(&path, "12345678901234567890 garbage").unwrap();
        let first = LockedFile::acquire(&path).unwrap();
        let second = LockedFile::acquire(&path);
        assert!(
            matches!(&second, Err(LockError::Held { pid: Some(pid), .. }) if *pid == std::process::id())
        );
        assert!(
            second
                .unwrap_err()
                .to_string()
                .contains(&std::process::id().to_string())
        );
        drop(first);
        assert_eq!(LockedFile::acquire(&path).unwrap().path(), path);
    }

    #[test]
    fn a_removed_lock_file_does_not_let_two_in_unseen() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let first = LockedFile::acquire(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // The name is free again: that is a lock of its own, of another file.
        let second = LockedFile::acquire(&path).unwrap();
        assert!(matches!(
            LockedFile::acquire(&path),
            Err(LockError::Held { .. })
        ));
        drop((first, second));
    }

    #[test]
    fn a_program_that_is_started_does_not_hold_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let lock = LockedFile::acquire(&path).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .spawn()
            .unwrap();
        drop(lock);
        let again = LockedFile::acquire(&path);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(again.is_ok(), "{again:?}");
    }

    #[test]
    fn it_goes_with_its_process() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let mut child = std::process::Command::new("flock")
            .args(["--no-fork", "-x"])
            .arg(&path)
            .args(["sleep", "30"])
            .spawn()
            .unwrap();
        let held = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            matches!(LockedFile::acquire(&path), Err(LockError::Held { .. }))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(held, "the other process never had the lock");
        assert!(LockedFile::acquire(&path).is_ok());
    }

    #[test]
    fn links_and_folders_are_no_lock_files() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path().join("elsewhere"), &link).unwrap();
        assert!(matches!(
            LockedFile::acquire(&link),
            Err(LockError::Io { .. })
        ));
        assert!(matches!(
            LockedFile::acquire(home.path()),
            Err(LockError::Io { .. })
        ));
    }
}

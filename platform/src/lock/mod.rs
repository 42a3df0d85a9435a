//! A lock file: one process at a time holds it, and it says which.
//!
//! The system keeps the lock for an open file, so it goes with the process however that ends. The number in the file is
//! for people and for messages; it is not what locks. The open file is not inherited by programs that are started.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

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
    /// Takes the lock at `path`, creating the file (for this user alone) if it is missing. Does not wait for who holds it; on
    /// Windows it waits for at most 2 s for whoever else has the file open. Two locks of one process exclude each other as
    /// well.
    ///
    /// # Errors
    /// [`LockError::Held`] when it is taken.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        let Some(mut file) = system::take(path).map_err(failed)? else {
            return Err(LockError::Held {
                path: path.to_owned(),
                pid: read_pid(path),
            });
        };
        write_pid(&mut file).map_err(failed)?;
        Ok(Self {
            _file: file,
            path: path.to_owned(),
        })
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes the lock of an open file, until its last handle is closed. Who reads or writes it is not kept from that.
///
/// # Errors
/// `WouldBlock` if another handle has it, or what the system says.
pub fn hold(file: &File) -> io::Result<()> {
    system::hold(file)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(32)
        .read_to_string(&mut text)
        .ok()?;
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

    #[cfg(unix)]
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

    /// One that waits until it is ended.
    fn waiting_program() -> std::process::Command {
        let mut program = std::process::Command::new(if cfg!(windows) { "cmd" } else { "sh" });
        program
            .args(if cfg!(windows) {
                ["/c", "set /p line="]
            } else {
                ["-c", "read line"]
            })
            .stdin(std::process::Stdio::piped());
        program
    }

    #[test]
    fn a_program_that_is_started_does_not_hold_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let lock = LockedFile::acquire(&path).unwrap();
        let mut child = waiting_program().spawn().unwrap();
        drop(lock);
        // Another test may just be starting a program, and until that runs, it has all that we have.
        let again = (0..100)
            .find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                LockedFile::acquire(&path).ok()
            })
            .ok_or("it is held");
        assert!(child.try_wait().unwrap().is_none(), "it runs all the while");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(again.is_ok(), "{again:?}");
    }

    /// The program that takes the lock of the next test, in a process of its own.
    #[test]
    #[ignore = "run by the next test, as a process of its own"]
    fn holder() {
        let Some(path) = std::env::var_os("MEDIAFS_TEST_LOCK") else {
            println!("nothing to do without MEDIAFS_TEST_LOCK");
            return;
        };
        // The other process looks now and then whether we have it, and has it for that moment.
        let held = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            LockedFile::acquire(Path::new(&path)).ok()
        });
        std::thread::sleep(std::time::Duration::from_secs(30));
        drop(held.unwrap());
    }

    #[test]
    fn it_goes_with_its_process() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::holder", "--ignored"])
            .env("MEDIAFS_TEST_LOCK", &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let id = child.id();
        let held = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            matches!(LockedFile::acquire(&path), Err(LockError::Held { pid: Some(pid), .. }) if pid == id)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(held, "the other process never had the lock");
        assert!(LockedFile::acquire(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_no_lock_files() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path().join("elsewhere"), &link).unwrap();
        assert!(matches!(
            LockedFile::acquire(&link),
            Err(LockError::Io { .. })
        ));
    }

    #[cfg(windows)]
    #[test]
    fn a_lock_file_that_is_held_cannot_be_removed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let held = LockedFile::acquire(&path).unwrap();
        assert!(std::fs::remove_file(&path).is_err());
        drop(held);
        std::fs::remove_file(&path).unwrap();
    }

    #[cfg(windows)]
    #[test]
    fn who_only_reads_the_lock_file_is_waited_for() {
        use std::os::windows::fs::OpenOptionsExt;
        use std::time::{Duration, Instant};
        const READ: u32 = 1;

        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        std::fs::write(&path, "").unwrap();
        // As backups, and as who lets nobody else near.
        for shared in [READ, 0] {
            let read = || {
                let mut options = std::fs::OpenOptions::new();
                options.read(true).share_mode(shared).open(&path).unwrap()
            };
            let reader = read();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(500));
                    drop(reader);
                });
                assert!(LockedFile::acquire(&path).is_ok(), "{shared}");
            });
            // Not for good.
            let reader = read();
            let held = LockedFile::acquire(&path);
            assert!(matches!(held, Err(LockError::Held { .. })), "{shared}");
            drop(reader);
        }
        let _lock = LockedFile::acquire(&path).unwrap();
        let begun = Instant::now();
        assert!(LockedFile::acquire(&path).is_err());
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "nobody waits for who holds it"
        );
    }

    #[test]
    fn folders_are_no_lock_files() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(
            LockedFile::acquire(home.path()),
            Err(LockError::Io { .. })
        ));
    }
}

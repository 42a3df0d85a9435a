//! Permissions, times and marks of files.
//!
//! A mark is a word that stands on a file and goes where the file goes: an extended attribute on Linux and macOS.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use super::system;

/// When the file was changed last, its name or permissions or content, in seconds and nanoseconds since 1970. On Windows
/// the content alone, as what is said of a file there has no more.
#[must_use]
pub fn changed_at(found: &Metadata) -> (i64, i64) {
    system::changed_at(found)
}

/// The permission bits: on Windows 444 for what is read-only, else 644, and 755 for folders.
#[must_use]
pub fn permissions(found: &Metadata) -> u16 {
    system::permissions(found)
}

/// Sets permission bits. On Windows a file is made read-only, or not; a folder has no such thing.
///
/// # Errors
/// What the system says.
pub fn set_permissions(file: &File, permissions: u16) -> io::Result<()> {
    system::set_permissions(file, permissions)
}

/// Puts a mark on a file.
///
/// # Errors
/// `Unsupported` on Windows and where the file system has no marks, or what the system says.
pub fn mark(file: &File, mark: &str) -> io::Result<()> {
    system::mark(file, mark)
}

/// Takes a mark off.
///
/// # Errors
/// As [`mark`], or if it is not there.
pub fn unmark(file: &File, mark: &str) -> io::Result<()> {
    system::unmark(file, mark)
}

/// Is the mark on what is at `path` itself?
#[must_use]
pub fn is_marked(path: &Path, mark: &str) -> bool {
    system::is_marked(path, mark)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn permissions_are_set_and_told() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let file = File::create(&path).unwrap();
        set_permissions(&file, 0o644).unwrap();
        assert_eq!(permissions(&path.metadata().unwrap()), 0o644);
        set_permissions(&file, 0o444).unwrap();
        assert_eq!(permissions(&path.metadata().unwrap()), 0o444);
        set_permissions(&file, 0o644).unwrap();
        assert_eq!(permissions(&path.metadata().unwrap()), 0o644);
        let (seconds, _) = changed_at(&path.metadata().unwrap());
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs();
        assert!(i64::try_from(now).unwrap() - seconds < 60, "{seconds}");
    }

    #[cfg(unix)]
    #[test]
    fn marks_come_and_go() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let file = File::create(&path).unwrap();
        assert!(!is_marked(&path, "user.mediafs.test"));
        mark(&file, "user.mediafs.test").unwrap();
        assert!(is_marked(&path, "user.mediafs.test"));
        unmark(&file, "user.mediafs.test").unwrap();
        assert!(!is_marked(&path, "user.mediafs.test"));
    }
}

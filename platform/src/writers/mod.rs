//! Whether somebody has a file open for writing: this process, another one, or the kernel for a program that writes
//! through a mount of ours whose daemon has died.

use std::fs::File;
use std::io;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

/// Whether anybody has this file, which is open for reading only here, open so that it may be written to. The system keeps
/// count.
///
/// # Errors
/// Where the file system can't tell (Linux: it has no leases, or the file belongs to somebody else), and always on macOS,
/// which has no such question.
pub fn has_writers(file: &File) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    return linux::has_writers(file);
    #[cfg(windows)]
    return windows::has_writers(file);
    #[cfg(not(any(target_os = "linux", windows)))]
    {
        let _ = file;
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, any(target_os = "linux", windows)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_writer_is_seen_until_it_closes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("take");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        let other = File::open(&path).unwrap();
        assert!(has_writers(&reader).unwrap());
        drop(writer);
        assert!(!has_writers(&reader).unwrap());
        // Nothing is left that would hold up the next one.
        drop(File::options().write(true).open(&path).unwrap());
        drop(other);
    }
}

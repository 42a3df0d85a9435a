//! What an error of the system means, in words that every system has.

use std::io;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

#[cfg(unix)]
pub(crate) use system::is_unsupported;

/// Why the system could not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Failure {
    /// There is nothing of that name.
    NotFound,
    /// The disk, or what this user may have of it, is full.
    NoSpace,
    /// Too many files are open.
    TooManyOpen,
    /// The file system is not written to.
    ReadOnly,
    /// Not permitted to this user.
    NotPermitted,
    /// The request makes no sense for this file.
    Invalid,
    /// The file system, or the system, has no such thing.
    NotSupported,
    /// The file would be longer than its file system can keep.
    TooLarge,
    /// The storage failed or has gone, whatever was asked of it.
    Storage,
    /// The bytes, or the list of a folder, are with a cloud provider, which was not to be asked for them.
    NotHere,
    /// Another program keeps everybody else from the file, or from a part of it, for now. Of Windows.
    InUse,
    /// Anything else.
    Other,
}

impl Failure {
    /// What an error means.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        error
            .raw_os_error()
            .map_or_else(|| Self::of_kind(error.kind()), system::meaning)
    }

    /// Of an error that the system has not given.
    fn of_kind(kind: io::ErrorKind) -> Self {
        use io::ErrorKind;
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            ErrorKind::PermissionDenied => Self::NotPermitted,
            ErrorKind::InvalidInput => Self::Invalid,
            ErrorKind::Unsupported => Self::NotSupported,
            ErrorKind::FileTooLarge => Self::TooLarge,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn real_errors_have_their_meaning() {
        let home = tempfile::tempdir().unwrap();
        let none = std::fs::File::open(home.path().join("none")).unwrap_err();
        assert_eq!(Failure::of(&none), Failure::NotFound);
        let below = std::fs::File::open(home.path().join("none/below")).unwrap_err();
        assert_eq!(Failure::of(&below), Failure::NotFound);
        for (kind, meaning) in [
            (io::ErrorKind::UnexpectedEof, Failure::Other),
            (io::ErrorKind::StorageFull, Failure::NoSpace),
            (io::ErrorKind::FileTooLarge, Failure::TooLarge),
            (io::ErrorKind::NotFound, Failure::NotFound),
            (io::ErrorKind::Unsupported, Failure::NotSupported),
        ] {
            assert_eq!(Failure::of(&kind.into()), meaning, "{kind}");
        }
    }

    #[cfg(windows)]
    #[test]
    fn what_another_program_keeps_to_itself_is_in_use() {
        use std::os::windows::fs::OpenOptionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("kept.wav");
        let mut alone = std::fs::OpenOptions::new();
        alone.write(true).create(true).truncate(true).share_mode(0);
        let _kept = alone.open(&path).unwrap();
        let error = std::fs::File::open(&path).unwrap_err();
        assert_eq!(Failure::of(&error), Failure::InUse);
    }

    #[cfg(unix)]
    #[test]
    fn storage_is_told_from_files() {
        use rustix::io::Errno;
        for (errno, meaning) in [
            (Errno::IO, Failure::Storage),
            (Errno::STALE, Failure::Storage),
            (Errno::NOTCONN, Failure::Storage),
            (Errno::DQUOT, Failure::NoSpace),
            (Errno::NFILE, Failure::TooManyOpen),
            (Errno::PERM, Failure::NotPermitted),
            (Errno::LOOP, Failure::Other),
            // Elsewhere it is of locks.
            (
                Errno::DEADLK,
                if cfg!(target_os = "macos") {
                    Failure::NotHere
                } else {
                    Failure::Other
                },
            ),
        ] {
            assert_eq!(Failure::of(&errno.into()), meaning, "{errno}");
        }
    }

    #[cfg(windows)]
    #[test]
    fn storage_is_told_from_files() {
        for (code, meaning) in [
            (1117, Failure::Storage),
            (21, Failure::Storage),
            (64, Failure::Storage),
            (112, Failure::NoSpace),
            (4, Failure::TooManyOpen),
            (5, Failure::NotPermitted),
            (19, Failure::ReadOnly),
            (32, Failure::InUse),
            (33, Failure::InUse),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(Failure::of(&error), meaning, "{error}");
        }
    }
}

//! How a courier tells what went wrong: what the disk says becomes an answer, by what it means for who asked.

use std::io;

use mediafs_platform::failure::Failure;

use crate::library::disk::NoFolder;
use crate::storage::Reply;

/// Why a file is not opened or read.
pub(super) enum No {
    /// The disk's own word.
    Disk(io::Error),
    /// This is to be told.
    Told(Reply),
}

impl No {
    /// What is told where a file was to be read for its facts: that its storage failed is nothing of those.
    pub(super) fn of_reading(self) -> Reply {
        match self {
            Self::Disk(error) if Failure::of(&error) == Failure::Storage => {
                Reply::NotRead(error.to_string())
            }
            other => other.into(),
        }
    }
}

impl From<No> for Reply {
    fn from(no: No) -> Self {
        match no {
            No::Disk(error) => failed(error),
            No::Told(reply) => reply,
        }
    }
}

impl From<io::Error> for No {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<NoFolder> for No {
    fn from(reason: NoFolder) -> Self {
        match reason {
            NoFolder::Failed(error) => Self::Disk(error),
            other => Self::Told(no_folder(other)),
        }
    }
}

pub(super) fn failed(error: io::Error) -> Reply {
    told(Failure::of(&error), &error)
}

fn told(meaning: Failure, error: &io::Error) -> Reply {
    // It may have been here when it was looked at.
    if meaning == Failure::NotHere {
        return Reply::OnlineOnly;
    }
    match error.kind() {
        io::ErrorKind::NotFound => Reply::NotFound,
        io::ErrorKind::NotADirectory => Reply::NotAFolder,
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::TimedOut => Reply::Unreachable(error.to_string()),
        _ => Reply::Failed(error.to_string()),
    }
}

pub(super) fn no_folder(reason: NoFolder) -> Reply {
    match reason {
        NoFolder::Absent => Reply::NotFound,
        NoFolder::NotAFolder => Reply::NotAFolder,
        NoFolder::OtherFileSystem => Reply::OtherFileSystem,
        NoFolder::Failed(error) => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_to_be_fetched_is_online_only_and_not_broken() {
        let error = io::Error::from(io::ErrorKind::Deadlock);
        assert_eq!(told(Failure::NotHere, &error), Reply::OnlineOnly);
        assert!(matches!(told(Failure::Other, &error), Reply::Failed(_)));
    }

    /// Elsewhere the number is of locks.
    #[cfg(target_os = "macos")]
    #[test]
    fn of_a_dataless_file_the_system_says_so() {
        let error = || io::Error::from(rustix::io::Errno::DEADLK);
        assert_eq!(failed(error()), Reply::OnlineOnly);
        assert_eq!(No::Disk(error()).of_reading(), Reply::OnlineOnly);
    }
}

//! The local endpoint of the daemon, which only its owner can use: a Unix socket, on Windows a named pipe.
//!
//! It lets nobody else in from its first moment, and each peer's user is asked from the system, so a wrong right somewhere
//! lets nobody in either. What is spoken over it is not known here.

use std::io;
use std::path::PathBuf;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

pub use system::{Listener, Stream, connect, peer};

/// Why an endpoint can't be had.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Somebody answers there.
    #[error("{} is in use by a running daemon", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Nobody answers there.
    #[error("no daemon answers at {}; start it with `mediafs mount`", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// It is not for this user.
    #[error("{} belongs to another user; use a home of your own", path.display())]
    Foreign {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket has the name.
    #[error("{} is not a socket; remove it, or use another path", path.display())]
    NotASocket {
        /// What is there.
        path: PathBuf,
    },
    /// Others could put a socket of theirs in its place.
    #[error("the folder {} can be written to by others; make it private with `chmod 700`", folder.display())]
    FolderNotPrivate {
        /// The folder of the socket.
        folder: PathBuf,
    },
    /// Longer than the system allows.
    #[error("{} is too long for a socket; use a path of at most {} bytes", path.display(), system::LONGEST_ADDRESS)]
    PathTooLong {
        /// The socket.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Who is at the other end, as the system tells. It is this user, or on Unix root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its user and its group; `None` on Windows, where neither is a number.
    pub user: Option<(u32, u32)>,
    /// Its process when it connected, where the system tells and it is visible here.
    pub pid: Option<u32>,
}

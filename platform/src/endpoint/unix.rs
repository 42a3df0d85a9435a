//! A Unix socket. It has mode 0600 from its first moment and lies in a folder that nobody else can write to.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
pub use tokio::net::UnixStream as Stream;

use super::{EndpointError, Peer};

/// The longest path a socket address holds, on the strictest system (macOS: 104 with the zero).
pub(super) const LONGEST_ADDRESS: usize = 103;

/// The process at the other end of a stream.
///
/// # Errors
/// When the stream is gone.
pub fn peer(stream: &Stream) -> io::Result<Peer> {
    let peer = stream.peer_cred()?;
    let pid = peer
        .pid()
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid != 0);
    Ok(Peer {
        user: Some((peer.uid(), peer.gid())),
        pid,
    })
}

/// Takes connections of this user (and of root). Its socket is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

impl Listener {
    /// Listens at `path`. The folder is created (mode 0700) if it is missing; a socket that nobody answers at is
    /// replaced. To be called within a tokio runtime. Two daemons that bind at the same moment must be kept
    /// apart by a lock ([`crate::lock`]).
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn bind(path: &Path) -> Result<Self, EndpointError> {
        let failed = |action| {
            let path = path.to_owned();
            move |source| EndpointError::Io {
                action,
                path,
                source,
            }
        };
        let path = std::path::absolute(path).map_err(failed("use"))?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(EndpointError::NotASocket { path });
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed("create the folder of"))?;
        check_private(folder)?;
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(EndpointError::NotASocket { path });
            }
            Ok(_) if answers(&path)? => return Err(EndpointError::InUse { path }),
            _ => {}
        }
        // Made under another name, so that the socket has its mode when it gets its own.
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let hidden = folder.join(hidden);
        let _ = fs::remove_file(&hidden);
        let made = Address::of(&hidden)?;
        let bound = || -> io::Result<Self> {
            let inner = UnixListener::bind(&made.path)?;
            fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
            let metadata = fs::symlink_metadata(&hidden)?;
            fs::rename(&hidden, &path)?;
            Ok(Self {
                inner,
                path: path.clone(),
                identity: (metadata.dev(), metadata.ino()),
            })
        };
        bound().map_err(|source| {
            let _ = fs::remove_file(&hidden);
            failed("listen at")(source)
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next connection of this user or of root; others are turned away. Safe to cancel.
    ///
    /// # Errors
    /// When the system can't give a connection (too many files are open, say); trying again is sensible, after a
    /// pause.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        loop {
            let (stream, _) = self.inner.accept().await?;
            match peer(&stream) {
                Ok(peer) if is_welcome(&peer) => return Ok((stream, peer)),
                Ok(peer) => tracing::warn!(?peer, "a connection of another user is turned away"),
                Err(error) => tracing::debug!(%error, "a connection went before it was accepted"),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another daemon may have put its own there by now.
        let named = fs::symlink_metadata(&self.path);
        if named.is_ok_and(|named| (named.dev(), named.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Connects to the daemon that listens at `path`, and makes sure that it is this user's or root's.
///
/// # Errors
/// [`EndpointError`]; [`EndpointError::NotRunning`] if nobody answers.
pub async fn connect(path: &Path) -> Result<Stream, EndpointError> {
    let failed = |source| EndpointError::Io {
        action: "connect to",
        path: path.to_owned(),
        source,
    };
    let address = Address::of(path)?;
    let stream = match Stream::connect(&address.path).await {
        Err(error) if is_nobody(&error) => {
            return Err(EndpointError::NotRunning {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(EndpointError::Foreign {
                path: path.to_owned(),
            });
        }
        stream => stream.map_err(failed)?,
    };
    let peer = peer(&stream).map_err(failed)?;
    if is_welcome(&peer) {
        return Ok(stream);
    }
    Err(EndpointError::Foreign {
        path: path.to_owned(),
    })
}

fn is_welcome(peer: &Peer) -> bool {
    peer.user.is_some_and(|(uid, _)| is_us_or_root(uid))
}

fn is_us_or_root(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
    )
}

/// Does somebody listen at this socket?
fn answers(path: &Path) -> Result<bool, EndpointError> {
    let address = Address::of(path)?;
    match std::os::unix::net::UnixStream::connect(&address.path) {
        Ok(_) => Ok(true),
        Err(error) if is_nobody(&error) => Ok(false),
        Err(source) => Err(EndpointError::Io {
            action: "look at",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Only its owner (this user or root) may write to the folder. One that others write to but that protects its
/// entries (`/tmp`) is refused too: a private folder is never hard to have.
fn check_private(folder: &Path) -> Result<(), EndpointError> {
    let metadata = fs::metadata(folder).map_err(|source| EndpointError::Io {
        action: "look at",
        path: folder.to_owned(),
        source,
    })?;
    if is_us_or_root(metadata.uid()) && metadata.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(EndpointError::FolderNotPrivate {
            folder: folder.to_owned(),
        })
    }
}

/// A path short enough for a socket address: the path itself, or one by way of the open folder.
struct Address {
    path: PathBuf,
    /// Keeps the way open.
    _folder: Option<OwnedFd>,
}

impl Address {
    fn of(path: &Path) -> Result<Self, EndpointError> {
        if path.as_os_str().len() <= LONGEST_ADDRESS {
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        Self::through_folder(path)
    }

    #[cfg(target_os = "linux")]
    fn through_folder(path: &Path) -> Result<Self, EndpointError> {
        use rustix::fs::{Mode, OFlags};
        let too_long = || EndpointError::PathTooLong {
            path: path.to_owned(),
        };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(too_long());
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = match rustix::fs::open(folder, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {
                return Err(EndpointError::NotRunning {
                    path: path.to_owned(),
                });
            }
            folder => folder.map_err(|errno| EndpointError::Io {
                action: "use",
                path: path.to_owned(),
                source: errno.into(),
            })?,
        };
        let short = Path::new("/proc/self/fd")
            .join(folder.as_fd().as_raw_fd().to_string())
            .join(name);
        if short.as_os_str().len() > LONGEST_ADDRESS {
            return Err(too_long());
        }
        Ok(Self {
            path: short,
            _folder: Some(folder),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn through_folder(path: &Path) -> Result<Self, EndpointError> {
        Err(EndpointError::PathTooLong {
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn home() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[tokio::test]
    async fn both_ends_talk_and_know_each_other() {
        let home = home();
        let path = home.path().join("run/mediafs.sock");
        let listener = Listener::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777,
            0o700
        );
        let (client, accepted) = tokio::join!(connect(&path), listener.accept());
        let (mut client, (mut server, peer)) = (client.unwrap(), accepted.unwrap());
        assert_eq!(
            peer.user.map(|(uid, _)| uid),
            Some(rustix::process::geteuid().as_raw())
        );
        assert_eq!(peer.pid, Some(std::process::id()));
        client.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        drop(listener);
        assert!(!path.exists(), "the socket goes with the listener");
        assert!(matches!(
            connect(&path).await,
            Err(EndpointError::NotRunning { .. })
        ));
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let home = home();
        let path = home.path().join("mediafs.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        assert!(matches!(
            connect(&path).await,
            Err(EndpointError::NotRunning { .. })
        ));
        let first = Listener::bind(&path).unwrap();
        assert!(matches!(
            Listener::bind(&path),
            Err(EndpointError::InUse { .. })
        ));
        assert!(connect(&path).await.is_ok());
        // Somebody put another in its place; ours does not take that one along.
        fs::remove_file(&path).unwrap();
        let second = Listener::bind(&path).unwrap();
        drop(first);
        assert!(connect(&path).await.is_ok());
        drop(second);
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[tokio::test]
    async fn what_is_no_socket_or_not_private_is_refused() {
        let home = home();
        let file = home.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(matches!(
            Listener::bind(&file),
            Err(EndpointError::NotASocket { .. })
        ));
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        let open = home.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        let refused = Listener::bind(&open.join("mediafs.sock"));
        assert!(matches!(
            refused,
            Err(EndpointError::FolderNotPrivate { .. })
        ));
        assert!(matches!(
            Listener::bind(Path::new("/")),
            Err(EndpointError::NotASocket { .. })
        ));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn long_paths_work_as_well() {
        let home = home();
        let deep = home.path().join("d".repeat(120)).join("e".repeat(120));
        let path = deep.join("mediafs.sock");
        assert!(matches!(
            connect(&path).await,
            Err(EndpointError::NotRunning { .. })
        ));
        let listener = Listener::bind(&path).unwrap();
        let (client, accepted) = tokio::join!(connect(&path), listener.accept());
        assert!(client.is_ok() && accepted.is_ok());
        assert!(matches!(
            Listener::bind(&path),
            Err(EndpointError::InUse { .. })
        ));
        drop(listener);
        assert!(!path.exists());
        let name = deep.join("n".repeat(120));
        assert!(matches!(
            Listener::bind(&name),
            Err(EndpointError::PathTooLong { .. })
        ));
    }
}

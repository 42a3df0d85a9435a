//! A named pipe. Its descriptor names this user alone, who owns it; a pipe of somebody else under its name is not spoken to.
//!
//! The name of the pipe is the absolute path with `|` for each `\`, behind `\\.\pipe\mediafs|`: no path has a `|`, and
//! names of pipes, like paths, are the same in upper and lower case. No file is made.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::windows::named_pipe::{
    ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions,
};
use tokio::sync::Mutex;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_NO_DATA, ERROR_PIPE_BUSY,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::System::Pipes::{GetNamedPipeClientProcessId, GetNamedPipeServerProcessId};

use super::{EndpointError, Peer};
use crate::rights::{Descriptor, User, owner_of};

/// The longest name a pipe can have is 256 units, and ours has a beginning of its own.
pub(super) const LONGEST_ADDRESS: usize = 256 - BEGINNING.len();
const BEGINNING: &str = r"\\.\pipe\mediafs|";
/// How long to wait for the daemon to take the connection before ours, and how often to look.
const BUSY_FOR: Duration = Duration::from_secs(2);
const BUSY_STEP: Duration = Duration::from_millis(10);

/// One end of a connection.
#[derive(Debug)]
pub enum Stream {
    /// The daemon's.
    Server(NamedPipeServer),
    /// That of who has connected to it.
    Client(NamedPipeClient),
}

impl Stream {
    /// Writes as much as can be written at once.
    ///
    /// # Errors
    /// `WouldBlock` if that is nothing, or what the system says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Server(pipe) => pipe.try_write(bytes),
            Self::Client(pipe) => pipe.try_write(bytes),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let answer = match self.get_mut() {
            Self::Server(pipe) => Pin::new(pipe).poll_read(context, buffer),
            Self::Client(pipe) => Pin::new(pipe).poll_read(context, buffer),
        };
        match answer {
            // The other end is closed: a socket would say that it has ended.
            Poll::Ready(Err(error))
                if error.kind() == io::ErrorKind::BrokenPipe && buffer.filled().len() == before =>
            {
                Poll::Ready(Ok(()))
            }
            answer => answer,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Server(pipe) => Pin::new(pipe).poll_write(context, bytes),
            Self::Client(pipe) => Pin::new(pipe).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Server(pipe) => Pin::new(pipe).poll_flush(context),
            Self::Client(pipe) => Pin::new(pipe).poll_flush(context),
        }
    }

    /// A pipe has no half that could be closed by itself: the other end sees the end when this one is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

/// The process at the other end of a stream.
///
/// # Errors
/// When the stream is gone.
pub fn peer(stream: &Stream) -> io::Result<Peer> {
    let mut pid = 0;
    let told = match stream {
        // SAFETY: the pipe is open as long as `stream`, and `pid` is ours to be written.
        Stream::Server(pipe) => unsafe {
            GetNamedPipeClientProcessId(pipe.as_raw_handle(), &raw mut pid)
        },
        // SAFETY: as above.
        Stream::Client(pipe) => unsafe {
            GetNamedPipeServerProcessId(pipe.as_raw_handle(), &raw mut pid)
        },
    };
    if told == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Peer {
        user: None,
        pid: Some(pid).filter(|pid| *pid != 0),
    })
}

/// Takes connections of this user.
#[derive(Debug)]
pub struct Listener {
    /// The instance of the pipe that the next one connects to; `None` if it could not be made yet.
    next: Mutex<Option<NamedPipeServer>>,
    name: OsString,
    path: PathBuf,
    descriptor: Descriptor,
}

impl Listener {
    /// Listens at `path`. To be called within a tokio runtime. Two daemons that bind at the same moment are kept apart by
    /// the system.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn bind(path: &Path) -> Result<Self, EndpointError> {
        let (path, name) = address(path)?;
        let failed = |action| {
            let path = path.clone();
            move |source| EndpointError::Io {
                action,
                path,
                source,
            }
        };
        let taken = |by_us| {
            let path = path.clone();
            if by_us {
                EndpointError::InUse { path }
            } else {
                EndpointError::Foreign { path }
            }
        };
        if let Some(by_us) = is_taken(&name) {
            return Err(taken(by_us));
        }
        let descriptor = Descriptor::of_this_user().map_err(failed("make the rights of"))?;
        let first = match instance(&name, &descriptor, true) {
            // Somebody was quicker, or has a pipe there that we may not even look at.
            Err(error) if is(&error, ERROR_ACCESS_DENIED) || is(&error, ERROR_PIPE_BUSY) => {
                return Err(taken(is_taken(&name).unwrap_or(false)));
            }
            first => first.map_err(failed("listen at"))?,
        };
        Ok(Self {
            next: Mutex::new(Some(first)),
            name,
            path,
            descriptor,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next connection of this user; others are turned away. Safe to cancel.
    ///
    /// # Errors
    /// When the system can't give a connection; trying again is sensible, after a pause.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        loop {
            let mut next = self.next.lock().await;
            let waiting = match next.take() {
                Some(waiting) => next.insert(waiting),
                None => next.insert(instance(&self.name, &self.descriptor, false)?),
            };
            // Cancelled here, it stays for the next call.
            let connected = waiting.connect().await;
            // There must be another before this one is given away, or the name would be free for a moment.
            let other = instance(&self.name, &self.descriptor, false)?;
            let Some(pipe) = next.replace(other) else {
                continue;
            };
            drop(next);
            let stream = Stream::Server(pipe);
            match connected {
                Err(error) if is(&error, ERROR_NO_DATA) => {
                    tracing::debug!("a connection went before it was accepted");
                    continue;
                }
                connected => connected?,
            }
            match peer(&stream) {
                Ok(peer) if is_this_user(&stream) => return Ok((stream, peer)),
                Ok(peer) => tracing::warn!(?peer, "a connection of another user is turned away"),
                Err(error) => tracing::debug!(%error, "a connection went before it was accepted"),
            }
        }
    }
}

/// Connects to the daemon that listens at `path`, and makes sure that it is this user's.
///
/// # Errors
/// [`EndpointError`]; [`EndpointError::NotRunning`] if nobody answers.
pub async fn connect(path: &Path) -> Result<Stream, EndpointError> {
    let (path, name) = address(path)?;
    let begun = tokio::time::Instant::now();
    let client = loop {
        match ClientOptions::new().open(&name) {
            // All instances are taken for the moment until the daemon makes another.
            Err(error) if is(&error, ERROR_PIPE_BUSY) && begun.elapsed() < BUSY_FOR => {
                tokio::time::sleep(BUSY_STEP).await;
            }
            Err(error) if is(&error, ERROR_FILE_NOT_FOUND) => {
                return Err(EndpointError::NotRunning { path });
            }
            Err(error) if is(&error, ERROR_ACCESS_DENIED) => {
                return Err(EndpointError::Foreign { path });
            }
            Err(source) => {
                return Err(EndpointError::Io {
                    action: "connect to",
                    path,
                    source,
                });
            }
            Ok(client) => break client,
        }
    };
    if is_of_this_user(&client) {
        Ok(Stream::Client(client))
    } else {
        Err(EndpointError::Foreign { path })
    }
}

/// Does somebody listen there, and is it this user? `None` if nobody does.
fn is_taken(name: &OsStr) -> Option<bool> {
    match ClientOptions::new().open(name) {
        Ok(client) => Some(is_of_this_user(&client)),
        Err(error) if is(&error, ERROR_PIPE_BUSY) => Some(true),
        Err(error) if is(&error, ERROR_ACCESS_DENIED) => Some(false),
        Err(_) => None,
    }
}

/// The absolute path, and the name of its pipe.
fn address(path: &Path) -> Result<(PathBuf, OsString), EndpointError> {
    let path = std::path::absolute(path).map_err(|source| EndpointError::Io {
        action: "use",
        path: path.to_owned(),
        source,
    })?;
    let below: Vec<u16> = path.as_os_str().encode_wide().collect();
    // The long form of a path is the same place.
    let long: Vec<u16> = OsStr::new(r"\\?\").encode_wide().collect();
    let below = below.strip_prefix(&*long).unwrap_or(&below);
    if below.len() > LONGEST_ADDRESS {
        return Err(EndpointError::PathTooLong { path });
    }
    let name: Vec<u16> = OsStr::new(BEGINNING)
        .encode_wide()
        .chain(below.iter().map(|unit| match *unit {
            0x5c | 0x2f => u16::from(b'|'),
            unit => unit,
        }))
        .collect();
    Ok((path, OsString::from_wide(&name)))
}

/// A new end of the pipe for somebody to connect to.
fn instance(name: &OsStr, descriptor: &Descriptor, first: bool) -> io::Result<NamedPipeServer> {
    let mut attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).map_err(io::Error::other)?,
        lpSecurityDescriptor: descriptor.as_ptr(),
        bInheritHandle: 0,
    };
    let mut options = ServerOptions::new();
    options
        .first_pipe_instance(first)
        .reject_remote_clients(true);
    // SAFETY: `attributes` is what is asked for here, and points to a descriptor that lives as long as `descriptor`.
    unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast()) }
}

/// Has this user made the pipe? Its owner says so, whom [`Descriptor::of_this_user`] names, and nobody can name another one than
/// themselves. Its process is not asked: one with the rights of an administrator tells nothing to one without, and the number
/// of one that has ended may be another's.
fn is_of_this_user(pipe: &NamedPipeClient) -> bool {
    told(|| Ok(owner_of(pipe.as_raw_handle())? == User::of_this_process()?.text()?))
}

/// Is the process at the other end one of this user?
fn is_this_user(stream: &Stream) -> bool {
    told(|| {
        let Some(pid) = peer(stream)?.pid else {
            return Ok(false);
        };
        Ok(User::of_process(pid)?.text()? == User::of_this_process()?.text()?)
    })
}

fn told(is_ours: impl FnOnce() -> io::Result<bool>) -> bool {
    is_ours().unwrap_or_else(|error| {
        tracing::debug!(%error, "whose connection it is cannot be told");
        false
    })
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code.cast_signed())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn both_ends_talk_and_know_each_other() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("mediafs.sock");
        let listener = Listener::bind(&path).unwrap();
        assert_eq!(listener.path(), path);
        let (client, accepted) = tokio::join!(connect(&path), listener.accept());
        let (mut client, (mut server, seen)) = (client.unwrap(), accepted.unwrap());
        assert_eq!(seen.pid, Some(std::process::id()));
        assert_eq!(peer(&client).unwrap().pid, Some(std::process::id()));
        client.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        server.write_all(b"you too").await.unwrap();
        drop(server);
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"you too", "and then it has ended, without an error");
        drop((listener, client));
        assert!(matches!(
            connect(&path).await,
            Err(EndpointError::NotRunning { .. })
        ));
    }

    #[tokio::test]
    async fn a_living_one_is_not_replaced_and_many_can_connect() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("mediafs.sock");
        let first = Listener::bind(&path).unwrap();
        let second = Listener::bind(&path);
        assert!(
            matches!(second, Err(EndpointError::InUse { .. })),
            "{second:?}"
        );
        // What asked whether we live has gone again.
        let connected = async {
            let mut all = Vec::new();
            for _ in 0..5 {
                all.push(connect(&path).await.unwrap());
            }
            all
        };
        let accepted = async {
            let mut all = Vec::new();
            while all.len() < 5 {
                all.push(first.accept().await);
            }
            all
        };
        let (clients, servers) = tokio::join!(connected, accepted);
        assert_eq!((clients.len(), servers.len()), (5, 5));
        drop((first, clients, servers));
        // What was under way on a pipe that is closed may take a moment to end.
        let free_again = async {
            while Listener::bind(&path).is_err() {
                tokio::time::sleep(BUSY_STEP).await;
            }
        };
        let free_again = tokio::time::timeout(Duration::from_secs(10), free_again).await;
        assert!(free_again.is_ok(), "the name stays taken");
    }

    #[tokio::test]
    async fn a_pipe_that_is_not_known_to_be_ours_is_not_spoken_to() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("mediafs.sock");
        let (_, name) = address(&path).unwrap();
        // As somebody else would make it, whoever owns what they make: all administrators, say.
        let others = Descriptor::parse("O:BAD:(A;;GA;;;WD)").unwrap();
        let squatted = instance(&name, &others, true).unwrap();
        let connected = connect(&path).await;
        assert!(
            matches!(connected, Err(EndpointError::Foreign { .. })),
            "{connected:?}"
        );
        let bound = Listener::bind(&path);
        assert!(
            matches!(
                bound,
                Err(EndpointError::Foreign { .. } | EndpointError::InUse { .. })
            ),
            "{bound:?}"
        );
        drop(squatted);
    }

    #[tokio::test]
    async fn waiting_can_be_given_up() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("mediafs.sock");
        let listener = Listener::bind(&path).unwrap();
        for _ in 0..3 {
            let waited = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
            assert!(waited.is_err());
        }
        let (client, accepted) = tokio::join!(connect(&path), listener.accept());
        assert!(client.is_ok() && accepted.is_ok());
    }

    #[test]
    fn one_place_has_one_name() {
        let name = |path: &str| address(Path::new(path)).map(|(_, name)| name);
        let plain = name(r"C:\Users\Ann\mediafs.sock").unwrap();
        assert_eq!(plain, r"\\.\pipe\mediafs|C:|Users|Ann|mediafs.sock");
        for same in [
            r"C:\Users\Ann\.\mediafs.sock",
            r"C:/Users/Ann/mediafs.sock",
            r"\\?\C:\Users\Ann\mediafs.sock",
        ] {
            assert_eq!(name(same).unwrap(), plain, "{same}");
        }
        let long = format!(r"C:\{}", "d".repeat(300));
        assert!(matches!(
            name(&long),
            Err(EndpointError::PathTooLong { .. })
        ));
    }
}

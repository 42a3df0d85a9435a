//! A pair of sockets.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Sender(UnixStream);

#[derive(Debug)]
pub(super) struct Receiver(UnixStream);

pub(super) fn start(
    program: &Path,
    name: &str,
    arguments: &[&str],
    longest: Duration,
) -> io::Result<(Child, Sender, Receiver)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_write_timeout(Some(longest))?;
    let child = crate::this_process::begin(program, name)
        .args(arguments)
        .env_clear()
        // What a terminal sends to our group is not for it.
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let (sender, receiver) = both(ours)?;
    Ok((child, sender, receiver))
}

pub(super) fn inherited() -> io::Result<(Sender, Receiver)> {
    let input = io::stdin();
    let socket = UnixStream::from(input.as_fd().try_clone_to_owned()?);
    // Anything but a socket has no address.
    socket.local_addr()?;
    both(socket)
}

pub(super) fn pair() -> io::Result<[(Sender, Receiver); 2]> {
    let (one, other) = UnixStream::pair()?;
    Ok([both(one)?, both(other)?])
}

fn both(socket: UnixStream) -> io::Result<(Sender, Receiver)> {
    let receiver = Receiver(socket.try_clone()?);
    Ok((Sender(socket), receiver))
}

impl Sender {
    pub(super) fn close(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}

impl Receiver {
    pub(super) fn close(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

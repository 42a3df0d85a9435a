//! What passes over the socket: requests and replies of eight bytes, in packets, each with one descriptor at most.
//!
//! Request: what (1 the device, 2 open, 3 close), then the id to close or 0. Reply: an errno or 0, then the id that
//! was opened or 0. All numbers have 32 bits and the machine's order of bytes.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Registrations that one helper holds at a time.
pub const MOST_REGISTRATIONS: usize = 16_384;

const LENGTH: usize = 8;
const DEVICE: u32 = 1;
const OPEN: u32 = 2;
const CLOSE: u32 = 3;

/// What the daemon asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// Use this connection from now on.
    Device(OwnedFd),
    /// Register this file.
    Open(OwnedFd),
    /// Take back this registration.
    Close(u32),
}

/// Why the helper ends.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It can't become as harmless as it has to be, or was not started by a daemon.
    #[error("not started as it has to be: {0}")]
    Start(&'static str, #[source] Option<io::Error>),
    /// The socket failed.
    #[error("the socket failed")]
    Socket(#[source] io::Error),
    /// What came is no request.
    #[error("no request: {0}")]
    Garbage(&'static str),
}

/// Two numbers, and what came along with them.
type Message = ([u32; 2], Option<OwnedFd>);

/// One message, or `None` at the end.
fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>, Fault> {
    // One byte more, to notice what is too long.
    let mut bytes = [0_u8; LENGTH + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match recvmsg(socket, &mut parts, &mut control, flags) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Fault::Socket(error.into())),
            Ok(message) => break message,
        }
    };
    // All that arrived are owned from here on, and so closed.
    let mut descriptor = None;
    let mut arrived = 0;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            for one in descriptors {
                arrived += 1;
                descriptor = Some(one);
            }
        }
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    let cut = ReturnFlags::TRUNC | ReturnFlags::CTRUNC;
    if message.bytes != LENGTH || arrived > 1 || message.flags.intersects(cut) {
        return Err(Fault::Garbage("a message of another size"));
    }
    let [a, b, c, d, e, f, g, h, _] = bytes;
    let numbers = [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
    ];
    Ok(Some((numbers, descriptor)))
}

fn send(
    socket: BorrowedFd<'_>,
    numbers: [u32; 2],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor]);
    if let Some(descriptors) = &descriptors {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    loop {
        let parts = [IoSlice::new(&bytes)];
        match sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// The next request, or `None` when the daemon is gone.
pub(super) fn receive_request(socket: impl AsFd) -> Result<Option<Request>, Fault> {
    let Some((numbers, descriptor)) = receive(socket.as_fd())? else {
        return Ok(None);
    };
    match (numbers, descriptor) {
        ([DEVICE, 0], Some(device)) => Ok(Some(Request::Device(device))),
        ([OPEN, 0], Some(file)) => Ok(Some(Request::Open(file))),
        ([CLOSE, id], None) => Ok(Some(Request::Close(id))),
        _ => Err(Fault::Garbage("a message of no known kind")),
    }
}

pub(super) fn send_reply(socket: impl AsFd, reply: Result<u32, i32>) -> Result<(), Fault> {
    let numbers = match reply {
        Ok(id) => [0, id],
        Err(errno) => [errno.unsigned_abs(), 0],
    };
    send(socket.as_fd(), numbers, None).map_err(Fault::Socket)
}

/// What the daemon sends, without giving its descriptors away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'fd> {
    Device(BorrowedFd<'fd>),
    Open(BorrowedFd<'fd>),
    Close(u32),
}

pub(super) fn send_request(socket: impl AsFd, asked: Asked<'_>) -> io::Result<()> {
    match asked {
        Asked::Device(device) => send(socket.as_fd(), [DEVICE, 0], Some(device)),
        Asked::Open(file) => send(socket.as_fd(), [OPEN, 0], Some(file)),
        Asked::Close(id) => send(socket.as_fd(), [CLOSE, id], None),
    }
}

/// The reply to a request: an id, or an errno. The outer error is that of a helper that is gone or talks nonsense.
pub(super) fn receive_reply(socket: impl AsFd) -> io::Result<Result<u32, i32>> {
    match receive(socket.as_fd()) {
        Ok(Some(([0, id], None))) => Ok(Ok(id)),
        Ok(Some(([errno, 0], None))) => match i32::try_from(errno) {
            Ok(errno) => Ok(Err(errno)),
            Err(_) => Err(io::ErrorKind::InvalidData.into()),
        },
        Ok(None) => Err(io::ErrorKind::BrokenPipe.into()),
        Err(Fault::Socket(error)) => Err(error),
        Ok(Some(_)) | Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

//! Tests of the helper's judgement, with a kernel that only notes what it is asked. The real one is in
//! `tests/passthrough_helper.rs`.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::chown;

use proptest::prelude::*;
use rustix::net::{SendFlags, SocketFlags, socketpair};

use super::super::protocol::{Asked, receive_reply, send_request};
use super::*;

/// Notes what it is asked.
#[derive(Default)]
struct Noted {
    opened: RefCell<u32>,
    closed: RefCell<Vec<u32>>,
}

impl Kernel for Noted {
    fn is_fuse(&self, device: BorrowedFd<'_>) -> bool {
        // Any device will do for one.
        rustix::fs::fstat(device)
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice)
    }

    fn open(&self, _device: BorrowedFd<'_>, _file: BorrowedFd<'_>) -> io::Result<u32> {
        *self.opened.borrow_mut() += 1;
        Ok(*self.opened.borrow())
    }

    fn close(&self, _device: BorrowedFd<'_>, id: u32) -> io::Result<()> {
        self.closed.borrow_mut().push(id);
        Ok(())
    }
}

fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

fn us() -> Uid {
    rustix::process::getuid()
}

fn device() -> File {
    File::open("/dev/null").unwrap()
}

/// Serves `ask` on a thread of its own, for `uid`; gives how it ended and what the kernel was asked.
fn served(uid: Uid, ask: impl FnOnce(&OwnedFd)) -> (Result<(), String>, u32, Vec<u32>) {
    let (ours, theirs) = pair();
    std::thread::scope(|scope| {
        let helper = scope.spawn(move || {
            let kernel = Noted::default();
            let ended = serve(&theirs, uid, &kernel).map_err(|fault| fault.to_string());
            (ended, kernel.opened.take(), kernel.closed.take())
        });
        ask(&ours);
        drop(ours);
        helper.join().unwrap()
    })
}

/// The reply to a request after the device was given.
fn reply(socket: &OwnedFd, asked: Asked<'_>) -> Result<u32, i32> {
    send_request(socket, asked).unwrap();
    receive_reply(socket).unwrap()
}

fn with_device(socket: &OwnedFd) {
    assert_eq!(reply(socket, Asked::Device(device().as_fd())), Ok(0));
}

#[test]
fn files_of_the_caller_are_registered_and_taken_back() {
    let file = tempfile::tempfile().unwrap();
    let (ended, opened, closed) = served(us(), |socket| {
        with_device(socket);
        assert_eq!(reply(socket, Asked::Open(file.as_fd())), Ok(1));
        assert_eq!(reply(socket, Asked::Open(file.as_fd())), Ok(2));
        assert_eq!(reply(socket, Asked::Close(1)), Ok(0));
        // What it did not register, or not any more, is not its to close.
        assert_eq!(reply(socket, Asked::Close(1)), Err(libc::ENOENT));
        assert_eq!(reply(socket, Asked::Close(77)), Err(libc::ENOENT));
        assert_eq!(reply(socket, Asked::Close(2)), Ok(0));
    });
    assert_eq!((ended, opened, closed), (Ok(()), 2, vec![1, 2]));
}

#[test]
fn what_is_not_a_file_of_the_caller_is_refused_and_the_rest_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    File::create(&path).unwrap();
    let open = |flags: OFlags| {
        let flags = flags | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap()
    };
    let (pipe, _other) = rustix::pipe::pipe().unwrap();
    let refused: Vec<(&str, OwnedFd)> = vec![
        ("a folder", File::open(home.path()).unwrap().into()),
        ("a pipe", pipe),
        ("a device", device().into()),
        ("a mere path", open(OFlags::PATH)),
        ("open for writing alone", open(OFlags::WRONLY)),
        // These two are regular files that belong to the caller.
        ("of /proc", File::open("/proc/self/status").unwrap().into()),
        ("of memory", File::open("/proc/self/mem").unwrap().into()),
    ];
    let (ended, opened, _) = served(us(), |socket| {
        with_device(socket);
        for (what, file) in &refused {
            let told = reply(socket, Asked::Open(file.as_fd()));
            assert_eq!(told, Err(libc::EACCES), "{what}");
        }
        for flags in [OFlags::RDONLY, OFlags::RDWR] {
            assert!(reply(socket, Asked::Open(open(flags).as_fd())).is_ok());
        }
    });
    assert_eq!((ended, opened), (Ok(()), 2));
}

#[test]
fn the_owner_alone_counts_even_if_everybody_may_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(file.path(), everybody).unwrap();
    let other = Uid::from_raw(us().as_raw() + 1);
    let (ended, opened, _) = served(other, |socket| {
        with_device(socket);
        let told = reply(socket, Asked::Open(file.as_file().as_fd()));
        assert_eq!(told, Err(libc::EACCES));
    });
    assert_eq!((ended, opened), (Ok(()), 0));
    if !us().is_root() {
        eprintln!("NOT RUN: a file of root's for another user; not root");
        return;
    }
    chown(file.path(), Some(other.as_raw()), None).unwrap();
    let (_, opened, _) = served(other, |socket| {
        with_device(socket);
        assert_eq!(reply(socket, Asked::Open(file.as_file().as_fd())), Ok(1));
    });
    assert_eq!(opened, 1);
}

#[test]
fn what_its_owner_cannot_write_to_is_refused() {
    /// A file that can be removed again.
    struct Fixed(tempfile::NamedTempFile);
    impl Fixed {
        fn set(&self, change: &str) -> bool {
            let mut chattr = std::process::Command::new("chattr");
            let done = chattr.arg(change).arg(self.0.path()).output();
            done.is_ok_and(|done| done.status.success())
        }
    }
    impl Drop for Fixed {
        fn drop(&mut self) {
            self.set("-ia");
        }
    }
    for change in ["+i", "+a"] {
        let file = Fixed(tempfile::NamedTempFile::new().unwrap());
        if !file.set(change) {
            eprintln!("NOT RUN: `chattr {change}` needs root and a file system that has it");
            return;
        }
        let opened = File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(file.0.path())
            .unwrap();
        let (_, count, _) = served(us(), |socket| {
            with_device(socket);
            let told = reply(socket, Asked::Open(opened.as_fd()));
            assert_eq!(told, Err(libc::EACCES), "{change}");
        });
        assert_eq!(count, 0);
    }
}

#[test]
fn registrations_are_bounded() {
    let file = tempfile::tempfile().unwrap();
    let (ended, opened, closed) = served(us(), |socket| {
        with_device(socket);
        for _ in 0..MOST_REGISTRATIONS {
            assert!(reply(socket, Asked::Open(file.as_fd())).is_ok());
        }
        let told = reply(socket, Asked::Open(file.as_fd()));
        assert_eq!(told, Err(libc::EMFILE));
        assert_eq!(reply(socket, Asked::Close(5)), Ok(0));
        assert!(reply(socket, Asked::Open(file.as_fd())).is_ok());
    });
    assert_eq!(ended, Ok(()));
    assert_eq!(opened as usize, MOST_REGISTRATIONS + 1);
    assert_eq!(closed, [5]);
}

#[test]
fn what_is_out_of_order_ends_it() {
    let file = tempfile::tempfile().unwrap();
    let ended = |asked: &[Asked<'_>]| {
        served(us(), |socket| {
            for one in asked {
                send_request(socket, *one).unwrap();
            }
            // Whatever was answered before; then it is gone.
            while receive_reply(socket).is_ok() {}
        })
    };
    let null = device();
    let device = Asked::Device(null.as_fd());
    for (asked, why) in [
        (&[Asked::Open(file.as_fd())][..], "no device yet"),
        (&[Asked::Close(1)], "no device yet"),
        (&[Asked::Device(file.as_fd())], "not the device of FUSE"),
        (&[device, device], "a second device"),
    ] {
        let (ended, opened, closed) = ended(asked);
        assert!(ended.unwrap_err().contains(why), "{asked:?}");
        assert_eq!((opened, closed), (0, vec![]));
    }
}

#[test]
fn descriptors_too_many_end_it_and_are_closed() {
    use std::io::{IoSlice, Read};
    use std::mem::MaybeUninit;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, sendmsg};

    for count in [2, 3, 100] {
        let (mut pipe, held) = std::io::pipe().unwrap();
        let (ended, opened, _) = served(us(), |socket| {
            with_device(socket);
            let descriptors = vec![held.as_fd(); count];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(100))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
            let request: Vec<u8> = [2_u32, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
            let parts = [IoSlice::new(&request)];
            sendmsg(socket, &parts, &mut control, SendFlags::empty()).unwrap();
            assert!(receive_reply(socket).is_err());
        });
        assert!(ended.unwrap_err().contains("another size"), "{count}");
        assert_eq!(opened, 0);
        // It ends only if nobody holds the other end any more.
        drop(held);
        assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
    }
}

proptest! {
    #[test]
    fn garbage_ends_it_without_harm(
        messages in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 1..64), any::<bool>()),
            1..8,
        ),
        after_device in any::<bool>(),
    ) {
        let (ended, opened, closed) = served(us(), |socket| {
            if after_device {
                with_device(socket);
            }
            for (message, _) in &messages {
                // It may be gone by then.
                let _ = rustix::net::send(socket, message, SendFlags::NOSIGNAL);
            }
            rustix::net::shutdown(socket, rustix::net::Shutdown::Write).unwrap();
            while receive_reply(socket).is_ok() {}
        });
        prop_assert_eq!((opened, closed.len()), (0, 0));
        // Eight bytes may happen to be a request to close, which is answered; nothing else is.
        let close = |message: &[u8]| message.len() == 8 && message[..4] == 3_u32.to_ne_bytes();
        let all_close = messages.iter().all(|(message, _)| close(message));
        prop_assert_eq!(ended.is_ok(), after_device && all_close);
    }
}

//! The helper: what it lets through, and how it makes itself harmless first.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, OFlags, StatxAttributes, StatxFlags, Uid};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::protocol::{Fault, MOST_REGISTRATIONS, Request, receive_request, send_reply};

/// The device of FUSE: a number that is its own by convention of the kernel.
const FUSE: (u32, u32) = (10, 229);
/// Descriptors that are needed at a time: three, the device, a file or two on their way, and some to spare.
const MOST_DESCRIPTORS: u64 = 16;

/// The kinds of file system whose files are registered, by their magic numbers: those that trusted storage may have.
pub const STORAGE: &[(&str, u64)] = &[
    ("ext4", 0xef53),
    ("xfs", 0x5846_5342),
    ("btrfs", 0x9123_683e),
    ("f2fs", 0xf2f5_2010),
    ("zfs", 0x2fc1_2fc1),
    ("ntfs3", 0x7366_746e),
    ("tmpfs", 0x0102_1994),
    ("overlay", 0x794c_7630),
];

/// What the kernel does for the helper.
pub(super) trait Kernel {
    /// Is this the device of FUSE?
    fn is_fuse(&self, device: BorrowedFd<'_>) -> bool;
    fn open(&self, device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<u32>;
    fn close(&self, device: BorrowedFd<'_>, id: u32) -> io::Result<()>;
}

/// The whole program: becomes harmless, then serves its standard input until that ends.
///
/// # Errors
/// See [`Fault`].
pub fn run() -> Result<(), Fault> {
    become_harmless()?;
    let socket = io::stdin();
    let refused = |error: rustix::io::Errno| {
        Fault::Start(
            "standard input is not a socket of a daemon",
            Some(error.into()),
        )
    };
    let domain = rustix::net::sockopt::socket_domain(&socket).map_err(refused)?;
    let kind = rustix::net::sockopt::socket_type(&socket).map_err(refused)?;
    if (domain, kind) != (AddressFamily::UNIX, SocketType::SEQPACKET) {
        return Err(refused(rustix::io::Errno::NOTSOCK));
    }
    serve(socket.as_fd(), rustix::process::getuid(), &Linux)
}

/// Gives up everything but the one capability.
fn become_harmless() -> Result<(), Fault> {
    let failed =
        |what: &'static str| move |error: rustix::io::Errno| Fault::Start(what, Some(error.into()));
    // A set-user-id program would take another's files for the caller's.
    if rustix::process::getuid() != rustix::process::geteuid()
        || rustix::process::getgid() != rustix::process::getegid()
    {
        return Err(Fault::Start("it must not be set-user-id", None));
    }
    rustix::thread::set_no_new_privs(true).map_err(failed("privileges can be gained"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("it can be dumped"))?;
    rustix::thread::clear_ambient_capability_set().map_err(failed("capabilities stay"))?;
    let given = rustix::thread::capabilities(None).map_err(failed("capabilities are unknown"))?;
    let one = given.permitted & CapabilitySet::SYS_ADMIN;
    let sets = CapabilitySets {
        effective: one,
        permitted: one,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).map_err(failed("capabilities stay"))?;
    rustix::process::chdir("/").map_err(failed("it stays in its folder"))?;
    // SAFETY: nothing in this process owns a descriptor above the three standard ones yet.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if closed != 0 {
        let error = io::Error::last_os_error();
        return Err(Fault::Start("descriptors stay open", Some(error)));
    }
    for (resource, most) in [(Resource::Nofile, MOST_DESCRIPTORS), (Resource::Core, 0)] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        rustix::process::setrlimit(resource, limit).map_err(failed("limits stay"))?;
    }
    Ok(())
}

/// Answers requests for the files of `uid` until the other end is closed.
pub(super) fn serve(socket: impl AsFd, uid: Uid, kernel: &impl Kernel) -> Result<(), Fault> {
    let mut device: Option<OwnedFd> = None;
    let mut registered = BTreeSet::new();
    while let Some(request) = receive_request(&socket)? {
        let reply = match (request, &device) {
            (Request::Device(given), None) if kernel.is_fuse(given.as_fd()) => {
                device = Some(given);
                Ok(0)
            }
            (Request::Device(_), None) => return Err(Fault::Garbage("not the device of FUSE")),
            (Request::Device(_), Some(_)) => return Err(Fault::Garbage("a second device")),
            (_, None) => return Err(Fault::Garbage("no device yet")),
            (Request::Open(file), Some(device)) => {
                open(kernel, device, &file, uid, &mut registered)
            }
            (Request::Close(id), Some(device)) => {
                if registered.remove(&id) {
                    kernel.close(device.as_fd(), id).map(|()| 0)
                } else {
                    Err(rustix::io::Errno::NOENT.into())
                }
            }
        };
        let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
        send_reply(&socket, reply.map_err(errno))?;
    }
    Ok(())
}

fn open(
    kernel: &impl Kernel,
    device: &OwnedFd,
    file: &OwnedFd,
    uid: Uid,
    registered: &mut BTreeSet<u32>,
) -> io::Result<u32> {
    check(file.as_fd(), uid)?;
    if registered.len() >= MOST_REGISTRATIONS {
        return Err(rustix::io::Errno::MFILE.into());
    }
    let id = kernel.open(device.as_fd(), file.as_fd())?;
    registered.insert(id);
    Ok(id)
}

/// May this file be registered for `uid`? `EACCES` if not.
fn check(file: BorrowedFd<'_>, uid: Uid) -> io::Result<()> {
    let refused = Err(rustix::io::Errno::ACCESS.into());
    let mode = rustix::fs::fcntl_getfl(file)?;
    let access = mode & OFlags::RWMODE;
    if mode.contains(OFlags::PATH) || access != OFlags::RDONLY && access != OFlags::RDWR {
        return refused;
    }
    // The kind of file system comes first: nothing else is asked of a program's.
    let magic = rustix::fs::fstatfs(file)?.f_type;
    let is_storage = |(_, known): &(&str, u64)| {
        // Their type differs from machine to machine; magic numbers have 32 bits.
        magic as u64 & 0xffff_ffff == *known
    };
    if !STORAGE.iter().any(is_storage) {
        return refused;
    }
    let wanted = StatxFlags::TYPE | StatxFlags::UID;
    let told = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, wanted)?;
    let is_told = StatxFlags::from_bits_retain(told.stx_mask).contains(wanted);
    let kind = FileType::from_raw_mode(told.stx_mode.into());
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    if !is_told
        || kind != FileType::RegularFile
        || told.stx_uid != uid.as_raw()
        || told.stx_attributes.intersects(fixed)
    {
        return refused;
    }
    Ok(())
}

/// The kernel as it is.
struct Linux;

/// `struct fuse_backing_map`.
#[repr(C)]
struct BackingMap {
    file: i32,
    flags: u32,
    padding: u64,
}

impl Kernel for Linux {
    fn is_fuse(&self, device: BorrowedFd<'_>) -> bool {
        rustix::fs::fstat(device).is_ok_and(|found| {
            let number = found.st_rdev;
            FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
                && (rustix::fs::major(number), rustix::fs::minor(number)) == FUSE
        })
    }

    fn open(&self, device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<u32> {
        /// `FUSE_DEV_IOC_BACKING_OPEN`.
        const BACKING_OPEN: u32 = 0x4010_e501;
        let map = BackingMap {
            file: file.as_raw_fd(),
            flags: 0,
            padding: 0,
        };
        // SAFETY: both descriptors are open, the first is FUSE's, and the call reads one such structure.
        let id = unsafe { libc::ioctl(device.as_raw_fd(), BACKING_OPEN as _, &raw const map) };
        u32::try_from(id).map_err(|_| io::Error::last_os_error())
    }

    fn close(&self, device: BorrowedFd<'_>, id: u32) -> io::Result<()> {
        /// `FUSE_DEV_IOC_BACKING_CLOSE`.
        const BACKING_CLOSE: u32 = 0x4004_e502;
        // SAFETY: the descriptor is open and FUSE's, and the call reads one number.
        let done = unsafe { libc::ioctl(device.as_raw_fd(), BACKING_CLOSE as _, &raw const id) };
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

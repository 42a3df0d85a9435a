//! From the numbers of Unix.

use rustix::io::Errno;

use super::Failure;

/// The two numbers of this are one on Linux, but not on macOS, whose file systems answer the first one and sockets the other.
pub(crate) fn is_unsupported(error: Errno) -> bool {
    error == Errno::NOTSUP || error == Errno::OPNOTSUPP
}

pub(super) fn meaning(code: i32) -> Failure {
    #[cfg(target_os = "linux")]
    if matches!(
        Errno::from_raw_os_error(code),
        Errno::NOMEDIUM | Errno::REMOTEIO
    ) {
        return Failure::Storage;
    }
    // Of a dataless file or folder, to a thread that fetches none (setiopolicy_np(3)).
    #[cfg(target_os = "macos")]
    if Errno::from_raw_os_error(code) == Errno::DEADLK {
        return Failure::NotHere;
    }
    match Errno::from_raw_os_error(code) {
        Errno::NOENT => Failure::NotFound,
        Errno::NOSPC | Errno::DQUOT => Failure::NoSpace,
        Errno::MFILE | Errno::NFILE => Failure::TooManyOpen,
        Errno::ROFS => Failure::ReadOnly,
        Errno::ACCESS | Errno::PERM => Failure::NotPermitted,
        Errno::INVAL => Failure::Invalid,
        Errno::NOSYS => Failure::NotSupported,
        error if is_unsupported(error) => Failure::NotSupported,
        Errno::FBIG => Failure::TooLarge,
        Errno::IO
        | Errno::NODEV
        | Errno::NXIO
        | Errno::STALE
        | Errno::TIMEDOUT
        | Errno::NOTCONN
        | Errno::CONNABORTED
        | Errno::CONNRESET
        | Errno::CONNREFUSED
        | Errno::SHUTDOWN
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH
        | Errno::NETDOWN
        | Errno::NETUNREACH => Failure::Storage,
        _ => Failure::Other,
    }
}

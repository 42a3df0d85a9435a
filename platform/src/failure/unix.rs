//! From the numbers of Unix.

use rustix::io::Errno;

use super::Failure;

pub(super) fn meaning(code: i32) -> Failure {
    #[cfg(target_os = "linux")]
    if matches!(
        Errno::from_raw_os_error(code),
        Errno::NOMEDIUM | Errno::REMOTEIO
    ) {
        return Failure::Storage;
    }
    match Errno::from_raw_os_error(code) {
        Errno::NOENT => Failure::NotFound,
        Errno::NOSPC | Errno::DQUOT => Failure::NoSpace,
        Errno::MFILE | Errno::NFILE => Failure::TooManyOpen,
        Errno::ROFS => Failure::ReadOnly,
        Errno::ACCESS | Errno::PERM => Failure::NotPermitted,
        Errno::INVAL => Failure::Invalid,
        Errno::OPNOTSUPP | Errno::NOSYS => Failure::NotSupported,
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

//! The one place where a [`DriveError`] becomes an errno.

use fuser::Errno;

use crate::drive::DriveError;

/// The number a program sees for what the drive could not do.
pub(super) fn of(error: DriveError) -> Errno {
    Errno::from_i32(match error {
        DriveError::NotFound => libc::ENOENT,
        DriveError::Missing => libc::ENODATA,
        #[cfg(target_os = "linux")]
        DriveError::NoMedium => libc::ENOMEDIUM,
        #[cfg(not(target_os = "linux"))]
        DriveError::NoMedium => libc::ENXIO,
        DriveError::Unreachable => libc::ENETUNREACH,
        DriveError::TimedOut => libc::ETIMEDOUT,
        DriveError::NotNow => libc::EAGAIN,
        DriveError::Busy => libc::EBUSY,
        DriveError::Stale => libc::ESTALE,
        DriveError::ReadOnly => libc::EROFS,
        DriveError::NotPermitted => libc::EACCES,
        DriveError::NotOwner => libc::EPERM,
        DriveError::IsFolder => libc::EISDIR,
        DriveError::NotFolder => libc::ENOTDIR,
        DriveError::Invalid => libc::EINVAL,
        #[cfg(target_os = "macos")]
        DriveError::NoAttribute => libc::ENOATTR,
        #[cfg(not(target_os = "macos"))]
        DriveError::NoAttribute => libc::ENODATA,
        // EOPNOTSUPP is another number on macOS, whose kernel and programs go by this one alone.
        DriveError::NotSupported => libc::ENOTSUP,
        DriveError::NameTooLong => libc::ENAMETOOLONG,
        DriveError::NoSpace => libc::ENOSPC,
        DriveError::AlreadyExists => libc::EEXIST,
        DriveError::NotEmpty => libc::ENOTEMPTY,
        DriveError::Elsewhere => libc::EXDEV,
        DriveError::TooLarge => libc::EFBIG,
        DriveError::TooManyOpen => libc::EMFILE,
        DriveError::Interrupted => libc::EINTR,
        DriveError::Io => libc::EIO,
    })
}

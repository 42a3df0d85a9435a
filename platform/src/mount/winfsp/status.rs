//! The one place where a [`DriveError`] becomes an NTSTATUS.

use crate::drive::DriveError;

/// An NTSTATUS other than success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Status(pub(super) i32);

impl Status {
    pub(super) const NO_SUCH_DEVICE: Self = Self::of(0xc000_000e);
    pub(super) const END_OF_FILE: Self = Self::of(0xc000_0011);
    pub(super) const BUFFER_OVERFLOW: Self = Self::of(0x8000_0005);
    pub(super) const OBJECT_NAME_INVALID: Self = Self::of(0xc000_0033);
    pub(super) const OBJECT_NAME_NOT_FOUND: Self = Self::of(0xc000_0034);
    pub(super) const OBJECT_NAME_COLLISION: Self = Self::of(0xc000_0035);
    pub(super) const OBJECT_PATH_NOT_FOUND: Self = Self::of(0xc000_003a);
    pub(super) const INVALID_OWNER: Self = Self::of(0xc000_005a);
    pub(super) const DISK_FULL: Self = Self::of(0xc000_007f);
    pub(super) const MEDIA_WRITE_PROTECTED: Self = Self::of(0xc000_00a2);
    pub(super) const IO_TIMEOUT: Self = Self::of(0xc000_00b5);
    pub(super) const FILE_IS_A_DIRECTORY: Self = Self::of(0xc000_00ba);
    pub(super) const NOT_SUPPORTED: Self = Self::of(0xc000_00bb);
    pub(super) const INVALID_PARAMETER: Self = Self::of(0xc000_000d);
    pub(super) const ACCESS_DENIED: Self = Self::of(0xc000_0022);
    pub(super) const FILE_INVALID: Self = Self::of(0xc000_0098);
    pub(super) const NOT_SAME_DEVICE: Self = Self::of(0xc000_00d4);
    pub(super) const DIRECTORY_NOT_EMPTY: Self = Self::of(0xc000_0101);
    pub(super) const NOT_A_DIRECTORY: Self = Self::of(0xc000_0103);
    pub(super) const NAME_TOO_LONG: Self = Self::of(0xc000_0106);
    pub(super) const CANNOT_DELETE: Self = Self::of(0xc000_0121);
    pub(super) const TOO_MANY_OPENED_FILES: Self = Self::of(0xc000_011f);
    pub(super) const CANCELLED: Self = Self::of(0xc000_0120);
    pub(super) const IO_DEVICE_ERROR: Self = Self::of(0xc000_0185);
    pub(super) const FILE_IS_OFFLINE: Self = Self::of(0xc000_0267);
    pub(super) const FILE_TOO_LARGE: Self = Self::of(0xc000_0904);

    const fn of(number: u32) -> Self {
        Self(number.cast_signed())
    }
}

impl From<DriveError> for Status {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::NotFound => Self::OBJECT_NAME_NOT_FOUND,
            // "Currently not available for use on this computer": copying programs stop there and keep no part of a copy.
            DriveError::Missing
            | DriveError::NoMedium
            | DriveError::Unreachable
            | DriveError::NotNow
            | DriveError::Busy => Self::FILE_IS_OFFLINE,
            DriveError::TimedOut => Self::IO_TIMEOUT,
            // Looked up again by the adapter already, in vain.
            DriveError::Stale => Self::FILE_INVALID,
            DriveError::ReadOnly => Self::MEDIA_WRITE_PROTECTED,
            DriveError::NotPermitted | DriveError::NotOwner => Self::ACCESS_DENIED,
            DriveError::IsFolder => Self::FILE_IS_A_DIRECTORY,
            DriveError::NotFolder => Self::NOT_A_DIRECTORY,
            DriveError::Invalid => Self::INVALID_PARAMETER,
            // Attributes of that sort are not offered, so nobody asks.
            DriveError::NoAttribute | DriveError::NotSupported => Self::NOT_SUPPORTED,
            DriveError::NameTooLong => Self::NAME_TOO_LONG,
            DriveError::NoSpace => Self::DISK_FULL,
            DriveError::AlreadyExists => Self::OBJECT_NAME_COLLISION,
            DriveError::NotEmpty => Self::DIRECTORY_NOT_EMPTY,
            DriveError::Elsewhere => Self::NOT_SAME_DEVICE,
            DriveError::TooLarge => Self::FILE_TOO_LARGE,
            DriveError::TooManyOpen => Self::TOO_MANY_OPENED_FILES,
            DriveError::Interrupted => Self::CANCELLED,
            DriveError::Io => Self::IO_DEVICE_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [DriveError; 24] = [
        DriveError::NotFound,
        DriveError::Missing,
        DriveError::NoMedium,
        DriveError::Unreachable,
        DriveError::TimedOut,
        DriveError::NotNow,
        DriveError::Busy,
        DriveError::Stale,
        DriveError::ReadOnly,
        DriveError::NotPermitted,
        DriveError::NotOwner,
        DriveError::IsFolder,
        DriveError::NotFolder,
        DriveError::Invalid,
        DriveError::NoAttribute,
        DriveError::NotSupported,
        DriveError::NameTooLong,
        DriveError::NoSpace,
        DriveError::AlreadyExists,
        DriveError::NotEmpty,
        DriveError::Elsewhere,
        DriveError::TooLarge,
        DriveError::TooManyOpen,
        DriveError::Io,
    ];

    /// A warning or a success would be taken for bytes that were read.
    #[test]
    fn every_error_of_the_drive_is_an_error_there() {
        for error in ALL.into_iter().chain([DriveError::Interrupted]) {
            let Status(number) = error.into();
            assert_eq!(number.cast_unsigned() >> 30, 3, "{error:?}");
        }
    }

    /// Only what is not there may be forgiven by who copies a folder.
    #[test]
    fn what_is_away_is_never_taken_for_what_is_not_there() {
        for error in ALL {
            let is_not_there = Status::from(error) == Status::OBJECT_NAME_NOT_FOUND;
            assert_eq!(is_not_there, error == DriveError::NotFound, "{error:?}");
        }
        for away in [
            DriveError::Missing,
            DriveError::NoMedium,
            DriveError::Unreachable,
        ] {
            assert_eq!(Status::from(away), Status::FILE_IS_OFFLINE);
        }
    }

    /// What programs see, as the system translates it.
    #[cfg(windows)]
    #[test]
    fn windows_translates_them_as_is_meant() {
        use windows_sys::Win32::Foundation::{
            ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_DIR_NOT_EMPTY, ERROR_DISK_FULL,
            ERROR_FILE_NOT_FOUND, ERROR_FILE_OFFLINE, ERROR_HANDLE_EOF, ERROR_IO_DEVICE,
            ERROR_NOT_SAME_DEVICE, ERROR_PATH_NOT_FOUND, ERROR_SEM_TIMEOUT, ERROR_WRITE_PROTECT,
            RtlNtStatusToDosError,
        };
        for (Status(status), expected) in [
            (Status::from(DriveError::NotFound), ERROR_FILE_NOT_FOUND),
            (Status::OBJECT_PATH_NOT_FOUND, ERROR_PATH_NOT_FOUND),
            (Status::from(DriveError::Missing), ERROR_FILE_OFFLINE),
            (Status::from(DriveError::NoMedium), ERROR_FILE_OFFLINE),
            (Status::from(DriveError::TimedOut), ERROR_SEM_TIMEOUT),
            (Status::from(DriveError::ReadOnly), ERROR_WRITE_PROTECT),
            (Status::from(DriveError::NotPermitted), ERROR_ACCESS_DENIED),
            (Status::from(DriveError::NoSpace), ERROR_DISK_FULL),
            (
                Status::from(DriveError::AlreadyExists),
                ERROR_ALREADY_EXISTS,
            ),
            (Status::from(DriveError::NotEmpty), ERROR_DIR_NOT_EMPTY),
            (Status::from(DriveError::Elsewhere), ERROR_NOT_SAME_DEVICE),
            (Status::from(DriveError::Io), ERROR_IO_DEVICE),
            (Status::END_OF_FILE, ERROR_HANDLE_EOF),
        ] {
            // SAFETY: takes a number and gives another.
            let told = unsafe { RtlNtStatusToDosError(status) };
            assert_eq!(told, expected, "{:#x}", status.cast_unsigned());
        }
    }
}

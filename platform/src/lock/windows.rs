//! On Windows who holds the lock has the file open so that others may read it, no more. They can neither write to it nor
//! remove it meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;

use windows_sys::Win32::Foundation::{
    ERROR_IO_PENDING, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_SHARE_READ, LOCKFILE_EXCLUSIVE_LOCK,
    LOCKFILE_FAIL_IMMEDIATELY, LockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

/// Where in a file its lock is: a locked byte can't be read by others, and no file is so long.
const PLACE: u32 = 0x7fff_ffff;

/// The locked file; `None` if somebody has locked it.
pub(super) fn take(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .share_mode(FILE_SHARE_READ)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path);
    match opened {
        Ok(file) if !file.metadata()?.is_file() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a link, not a file",
        )),
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION.cast_signed()) => {
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

pub(super) fn hold(file: &File) -> io::Result<()> {
    let mut place = OVERLAPPED::default();
    place.Anonymous.Anonymous.OffsetHigh = PLACE;
    let how = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    // SAFETY: the file is open, and was not opened for calls that go on when they have returned; so `place` lives as long
    // as is needed.
    let locked = unsafe { LockFileEx(file.as_raw_handle(), how, 0, 1, 0, &raw mut place) };
    if locked != 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    let held = [ERROR_LOCK_VIOLATION, ERROR_IO_PENDING];
    if held.iter().any(|code| crate::nt::is(&error, *code)) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Err(error)
}

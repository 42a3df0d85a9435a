//! On Windows a file can be opened again on condition that nobody writes. It is closed again at once.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle};

use windows_sys::Win32::Foundation::{ERROR_SHARING_VIOLATION, GENERIC_READ, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_DELETE, FILE_SHARE_READ, ReOpenFile};

pub(super) fn has_writers(file: &File) -> io::Result<bool> {
    let on_condition = FILE_SHARE_READ | FILE_SHARE_DELETE;
    // SAFETY: the handle is open as long as `file`; the rest are numbers.
    let again = unsafe { ReOpenFile(file.as_raw_handle(), GENERIC_READ, on_condition, 0) };
    if again == INVALID_HANDLE_VALUE {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION.cast_signed()) {
            Ok(true)
        } else {
            Err(error)
        };
    }
    // SAFETY: the call has just given us this handle; dropping it closes it.
    drop(unsafe { File::from_raw_handle(again) });
    Ok(false)
}

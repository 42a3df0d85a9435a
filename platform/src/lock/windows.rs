//! On Windows who holds the lock has the file open for writing, so that others may read it, no more. They can neither write
//! to it nor remove it meanwhile. Who has it open otherwise, as a backup or a scanner of viruses, does not hold it, and is waited
//! for.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{
    ERROR_IO_PENDING, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_SHARE_DELETE, FILE_SHARE_MODE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

/// How long whoever else has the file open is waited for, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);
/// Where in a file its lock is: a locked byte can't be read by others, and no file is so long.
const PLACE: u32 = 0x7fff_ffff;

/// The locked file; `None` if somebody has locked it.
pub(super) fn take(path: &Path) -> io::Result<Option<File>> {
    let begun = Instant::now();
    loop {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .share_mode(FILE_SHARE_READ)
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
            .open(path);
        match opened {
            Ok(file) if !file.metadata()?.is_file() => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "it is a link, not a file",
                ));
            }
            Ok(file) => return Ok(Some(file)),
            Err(error) if !is_shared_otherwise(&error) => return Err(error),
            Err(_) if is_written_to(path) || begun.elapsed() >= PATIENCE => return Ok(None),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

fn is_shared_otherwise(error: &io::Error) -> bool {
    crate::nt::is(error, ERROR_SHARING_VIOLATION)
}

/// Has somebody the file open for writing? Of who lets nobody read it that is not known.
fn is_written_to(path: &Path) -> bool {
    const NO_WRITERS: FILE_SHARE_MODE = FILE_SHARE_READ | FILE_SHARE_DELETE;
    let read = |shared| {
        OpenOptions::new()
            .read(true)
            .share_mode(shared)
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
            .open(path)
    };
    read(NO_WRITERS).is_err_and(|error| is_shared_otherwise(&error))
        && read(NO_WRITERS | FILE_SHARE_WRITE).is_ok()
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

//! By an opportunistic lock that lets others read and is told before anybody is kept from the file: `FSCTL_REQUEST_OPLOCK`.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null;

use windows_sys::Win32::Foundation::{
    ERROR_IO_PENDING, ERROR_NOT_SUPPORTED, GENERIC_READ, INVALID_HANDLE_VALUE, WAIT_OBJECT_0,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_OVERLAPPED, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, ReOpenFile,
};
use windows_sys::Win32::System::IO::{
    CancelIoEx, DeviceIoControl, GetOverlappedResult, OVERLAPPED,
};
use windows_sys::Win32::System::Ioctl::{
    FSCTL_REQUEST_OPLOCK, OPLOCK_LEVEL_CACHE_HANDLE, OPLOCK_LEVEL_CACHE_READ,
    REQUEST_OPLOCK_CURRENT_VERSION, REQUEST_OPLOCK_INPUT_BUFFER, REQUEST_OPLOCK_INPUT_FLAG_REQUEST,
    REQUEST_OPLOCK_OUTPUT_BUFFER,
};
use windows_sys::Win32::System::Threading::{CreateEventW, WaitForSingleObject};

use crate::nt::is;

/// A lock that was granted. Its request is under way until it is broken, or dropped.
pub(super) struct Told {
    /// Closing it is the answer to whoever waits.
    lock: OwnedHandle,
    broken: OwnedHandle,
    /// What the system writes to meanwhile.
    request: Box<Request>,
}

struct Request {
    wanted: REQUEST_OPLOCK_INPUT_BUFFER,
    granted: REQUEST_OPLOCK_OUTPUT_BUFFER,
    overlapped: OVERLAPPED,
}

// SAFETY: the pointers in it are to what belongs to it, and only the system uses them.
unsafe impl Send for Told {}
// SAFETY: who shares it can only ask whether the event is set, which any thread may; the request is left alone until it is dropped.
unsafe impl Sync for Told {}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").finish_non_exhaustive()
    }
}

impl Told {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let shared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
        // A handle of its own, as the request is under way for as long as the file is read.
        // SAFETY: the handle is open as long as `file`; the rest are numbers.
        let lock = unsafe {
            ReOpenFile(
                file.as_raw_handle(),
                GENERIC_READ,
                shared,
                FILE_FLAG_OVERLAPPED,
            )
        };
        if lock == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just given us this handle, to close when we are done.
        let lock = unsafe { OwnedHandle::from_raw_handle(lock) };
        // SAFETY: no attributes and no name; set by hand, and not set.
        let broken = unsafe { CreateEventW(null(), 1, 0, null()) };
        if broken.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else closes it.
        let broken = unsafe { OwnedHandle::from_raw_handle(broken) };
        let length = |size| u16::try_from(size).map_err(io::Error::other);
        let version = length(REQUEST_OPLOCK_CURRENT_VERSION as usize)?;
        let mut request = Box::new(Request {
            wanted: REQUEST_OPLOCK_INPUT_BUFFER {
                StructureVersion: version,
                StructureLength: length(size_of::<REQUEST_OPLOCK_INPUT_BUFFER>())?,
                RequestedOplockLevel: OPLOCK_LEVEL_CACHE_READ | OPLOCK_LEVEL_CACHE_HANDLE,
                Flags: REQUEST_OPLOCK_INPUT_FLAG_REQUEST,
            },
            granted: REQUEST_OPLOCK_OUTPUT_BUFFER {
                StructureVersion: version,
                StructureLength: length(size_of::<REQUEST_OPLOCK_OUTPUT_BUFFER>())?,
                ..REQUEST_OPLOCK_OUTPUT_BUFFER::default()
            },
            overlapped: OVERLAPPED {
                hEvent: broken.as_raw_handle(),
                ..OVERLAPPED::default()
            },
        });
        let size = |size| u32::try_from(size).map_err(io::Error::other);
        let (given, taken) = (
            size(size_of_val(&request.wanted))?,
            size(size_of_val(&request.granted))?,
        );
        // SAFETY: both buffers are as long as is said, and stay where they are, with the rest of the request, until it is over: it
        // is over when the call fails at once, else when `drop` has waited for that.
        let asked = unsafe {
            DeviceIoControl(
                lock.as_raw_handle(),
                FSCTL_REQUEST_OPLOCK,
                (&raw const request.wanted).cast(),
                given,
                (&raw mut request.granted).cast(),
                taken,
                std::ptr::null_mut(),
                &raw mut request.overlapped,
            )
        };
        // A lock is granted by not answering yet.
        if asked != 0 {
            return Err(io::Error::from_raw_os_error(
                ERROR_NOT_SUPPORTED.cast_signed(),
            ));
        }
        match io::Error::last_os_error() {
            error if is(&error, ERROR_IO_PENDING) => Ok(Self {
                lock,
                broken,
                request,
            }),
            error => Err(error),
        }
    }

    pub(super) fn is_told(&self) -> bool {
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(self.broken.as_raw_handle(), 0) == WAIT_OBJECT_0 }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let lock = self.lock.as_raw_handle();
        // SAFETY: the request is of this handle; one that is over is not found, and that is all.
        unsafe { CancelIoEx(lock, &raw const self.request.overlapped) };
        let mut length = 0;
        // The system writes to the request until then. What it says at the end does not matter.
        // SAFETY: waits for the end of the request, which is ours as long as this.
        unsafe {
            GetOverlappedResult(lock, &raw const self.request.overlapped, &raw mut length, 1)
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ffi::OsStr;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use windows_sys::Win32::Storage::FileSystem::{MOVEFILE_REPLACE_EXISTING, MoveFileExW};

    use super::super::GivesWay;
    use super::*;

    /// As most programs do it.
    fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
        let ended = |path: &Path| crate::nt::ended(AsRef::<OsStr>::as_ref(path)).unwrap();
        let (from, to) = (ended(from), ended(to));
        // SAFETY: both paths end with a zero.
        if unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_REPLACE_EXISTING) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    #[test]
    #[ignore = "needs opportunistic locks, which Wine 8 has not"]
    fn a_program_that_saves_waits_until_the_reader_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a.wav"), folder.path().join("a.tmp"));
        std::fs::write(&old, "old").unwrap();
        std::fs::write(&new, "new").unwrap();
        let file = File::open(&old).unwrap();
        let reading = GivesWay::new(file);
        assert!(!reading.wanted.is_wanted());
        let saving = std::thread::spawn({
            let old = old.clone();
            move || rename_over(&new, &old)
        });
        let begun = Instant::now();
        while !reading.wanted.is_wanted() {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody is told");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(reading);
        saving.join().unwrap().unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"new");
    }

    #[test]
    fn a_file_is_let_go_of_with_what_tells_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a.wav"), folder.path().join("a.tmp"));
        std::fs::write(&old, "old").unwrap();
        std::fs::write(&new, "new").unwrap();
        let file = File::open(&old).unwrap();
        let reading = GivesWay::new(file);
        assert!(!reading.wanted.is_wanted());
        drop(reading);
        // Nothing is left that would be in the way.
        rename_over(&new, &old).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"new");
    }
}

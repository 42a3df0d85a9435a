//! The functions of `cldapi.dll` (cfapi.h) that are used. It is loaded when it is first needed; where there is none, there
//! are no cloud files.

use std::ffi::{CStr, OsStr};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::time::Duration;

use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::Storage::CloudFilters::{
    CF_DEHYDRATE_FLAG_NONE, CF_DEHYDRATE_FLAGS, CF_HYDRATE_FLAG_NONE, CF_HYDRATE_FLAGS,
    CF_OPEN_FILE_FLAG_EXCLUSIVE, CF_OPEN_FILE_FLAG_WRITE_ACCESS, CF_OPEN_FILE_FLAGS, CF_PIN_STATE,
    CF_PIN_STATE_UNPINNED, CF_PLACEHOLDER_STATE, CF_SET_PIN_FLAG_NONE, CF_SET_PIN_FLAGS,
};
use windows_sys::Win32::Storage::FileSystem::FILE_READ_ATTRIBUTES;
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::LibraryLoader::{
    GetModuleHandleW, GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::Win32::System::Threading::{CreateEventW, WaitForSingleObject};
use windows_sys::core::{HRESULT, PCWSTR, w};

/// `CF_EOF`: as far as the file goes.
const TO_THE_END: i64 = -1;

// As cfapi.h declares them. (A BOOLEAN is a byte.)
type GetState = unsafe extern "system" fn(u32, u32) -> CF_PLACEHOLDER_STATE;
type Hydrate =
    unsafe extern "system" fn(HANDLE, i64, i64, CF_HYDRATE_FLAGS, *mut OVERLAPPED) -> HRESULT;
type Dehydrate =
    unsafe extern "system" fn(HANDLE, i64, i64, CF_DEHYDRATE_FLAGS, *mut OVERLAPPED) -> HRESULT;
type SetPin =
    unsafe extern "system" fn(HANDLE, CF_PIN_STATE, CF_SET_PIN_FLAGS, *mut OVERLAPPED) -> HRESULT;
type Open = unsafe extern "system" fn(PCWSTR, CF_OPEN_FILE_FLAGS, *mut HANDLE) -> HRESULT;
type Reference = unsafe extern "system" fn(HANDLE) -> u8;
type HandleOf = unsafe extern "system" fn(HANDLE) -> HANDLE;
type Release = unsafe extern "system" fn(HANDLE);
type Close = unsafe extern "system" fn(HANDLE);

/// `PHCM_EXPOSE_PLACEHOLDERS` of ntifs.h.
const EXPOSE: i8 = 2;
type SetCompatibility = unsafe extern "system" fn(i8) -> i8;

/// Has what stands for files of providers shown as what it is; how it was before. `None` where this Windows has no choice.
pub(super) fn expose() -> Option<i8> {
    // SAFETY: the name ends with a zero; this library is in every process and stays.
    let library = unsafe { GetModuleHandleW(w!("ntdll.dll")) };
    if library.is_null() {
        return None;
    }
    let name = c"RtlSetProcessPlaceholderCompatibilityMode";
    // SAFETY: the library is loaded, and the name ends with a zero.
    let function = unsafe { GetProcAddress(library, name.as_ptr().cast()) }?;
    // SAFETY: it is given the type by which ntifs.h declares it, and takes a number.
    let before = unsafe {
        let set =
            std::mem::transmute::<unsafe extern "system" fn() -> isize, SetCompatibility>(function);
        set(EXPOSE)
    };
    // Negative ones are errors.
    (before >= 0).then_some(before)
}

/// The functions.
pub(super) struct Api {
    state: GetState,
    hydrate: Hydrate,
    dehydrate: Dehydrate,
    set_pin: SetPin,
    open: Open,
    reference: Reference,
    handle_of: HandleOf,
    release: Release,
    close: Close,
}

/// The functions, if this Windows has them.
pub(super) fn get() -> Option<&'static Api> {
    static API: OnceLock<Option<Api>> = OnceLock::new();
    API.get_or_init(Api::load).as_ref()
}

impl Api {
    fn load() -> Option<Self> {
        let name: Vec<u16> = OsStr::new("cldapi.dll").encode_wide().chain([0]).collect();
        // SAFETY: the name ends with a zero and lives until the call returns. It is the system's own library, and stays
        // loaded.
        let library =
            unsafe { LoadLibraryExW(name.as_ptr(), null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32) };
        if library.is_null() {
            return None;
        }
        let function = |name: &CStr| {
            // SAFETY: the library is loaded, and the name ends with a zero.
            unsafe { GetProcAddress(library, name.as_ptr().cast()) }
        };
        // SAFETY: each is given the type by which cfapi.h declares it.
        unsafe {
            use std::mem::transmute;
            type Found = unsafe extern "system" fn() -> isize;
            Some(Self {
                state: transmute::<Found, GetState>(function(
                    c"CfGetPlaceholderStateFromAttributeTag",
                )?),
                hydrate: transmute::<Found, Hydrate>(function(c"CfHydratePlaceholder")?),
                dehydrate: transmute::<Found, Dehydrate>(function(c"CfDehydratePlaceholder")?),
                set_pin: transmute::<Found, SetPin>(function(c"CfSetPinState")?),
                open: transmute::<Found, Open>(function(c"CfOpenFileWithOplock")?),
                reference: transmute::<Found, Reference>(function(c"CfReferenceProtectedHandle")?),
                handle_of: transmute::<Found, HandleOf>(function(
                    c"CfGetWin32HandleFromProtectedHandle",
                )?),
                release: transmute::<Found, Release>(function(c"CfReleaseProtectedHandle")?),
                close: transmute::<Found, Close>(function(c"CfCloseHandle")?),
            })
        }
    }

    /// What kind of cloud file one with these attributes is.
    pub(super) fn state(&self, attributes: u32, tag: u32) -> CF_PLACEHOLDER_STATE {
        // SAFETY: takes numbers, and gives one.
        unsafe { (self.state)(attributes, tag) }
    }

    /// Takes the bytes of a file off the disk. Nobody else may have it open: who opens it meanwhile goes before us (that is
    /// what the lock is for that it is opened with), and this fails.
    pub(super) fn dehydrate(&self, path: &Path) -> io::Result<()> {
        let path = ended(path);
        let mut opened = null_mut();
        let flags = CF_OPEN_FILE_FLAG_EXCLUSIVE | CF_OPEN_FILE_FLAG_WRITE_ACCESS;
        // SAFETY: the path ends with a zero and lives until the call returns; `opened` is ours to be written.
        checked(unsafe { (self.open)(path.as_ptr(), flags, &raw mut opened) })?;
        let file = Protected { api: self, opened };
        // SAFETY: it is open; if it could be referenced, its handle is good until that is released.
        unsafe {
            if (self.reference)(file.opened) == 0 {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            let handle = (self.handle_of)(file.opened);
            let done = (self.dehydrate)(handle, 0, TO_THE_END, CF_DEHYDRATE_FLAG_NONE, null_mut());
            (self.release)(file.opened);
            checked(done)
        }
    }

    /// Tells its provider that the user needs the file online only. A handle of whatever rights will do; it is asked whether the
    /// caller may read the file.
    pub(super) fn unpin(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new()
            .access_mode(FILE_READ_ATTRIBUTES)
            .open(path)?;
        // SAFETY: the file is open until the call is over, which it is when it returns.
        checked(unsafe {
            (self.set_pin)(
                file.as_raw_handle(),
                CF_PIN_STATE_UNPINNED,
                CF_SET_PIN_FLAG_NONE,
                null_mut(),
            )
        })
    }
}

/// A file that was opened by `CfOpenFileWithOplock`.
struct Protected<'a> {
    api: &'a Api,
    opened: HANDLE,
}

impl Drop for Protected<'_> {
    fn drop(&mut self) {
        // SAFETY: it is open, and not used after this.
        unsafe { (self.api.close)(self.opened) };
    }
}

/// How far a hydration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    Going,
    Done,
}

/// A hydration that is under way. Dropped, it is taken back, and its end waited for.
pub(super) struct Hydration<'a> {
    file: &'a File,
    /// What the system writes to until it is over; where it is must not change.
    state: Box<OVERLAPPED>,
    done: OwnedHandle,
    pending: std::cell::Cell<bool>,
}

impl<'a> Hydration<'a> {
    /// Starts to fetch a file that was opened with `FILE_FLAG_OVERLAPPED`.
    pub(super) fn start(api: &Api, file: &'a File) -> io::Result<Self> {
        // SAFETY: without a name and rights of its own, for us alone; set by hand, and not set yet.
        let event = unsafe { CreateEventW(null(), 1, 0, null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just given us this handle, to close when we are done.
        let done = unsafe { OwnedHandle::from_raw_handle(event) };
        let mut state = Box::new(OVERLAPPED {
            hEvent: event,
            ..OVERLAPPED::default()
        });
        // SAFETY: the file is open, and `state` stays where it is, until the hydration is over: dropping this waits for it.
        let told = unsafe {
            (api.hydrate)(
                file.as_raw_handle(),
                0,
                TO_THE_END,
                CF_HYDRATE_FLAG_NONE,
                &raw mut *state,
            )
        };
        let pending = told == of_win32(ERROR_IO_PENDING);
        if !pending {
            checked(told)?;
        }
        Ok(Self {
            file,
            state,
            done,
            pending: pending.into(),
        })
    }

    /// Waits for it so long.
    pub(super) fn wait(&self, longest: Duration) -> io::Result<Progress> {
        if !self.pending.get() {
            return Ok(Progress::Done);
        }
        let milliseconds = u32::try_from(longest.as_millis()).unwrap_or(u32::MAX - 1);
        // SAFETY: the event is open.
        match unsafe { WaitForSingleObject(self.done.as_raw_handle(), milliseconds) } {
            WAIT_OBJECT_0 => self.result().map(|()| Progress::Done),
            WAIT_TIMEOUT => Ok(Progress::Going),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits for its end.
    fn result(&self) -> io::Result<()> {
        let mut transferred = 0;
        // SAFETY: the file is open, and `state` is that of this call.
        let done = unsafe {
            GetOverlappedResult(
                self.file.as_raw_handle(),
                &raw const *self.state,
                &raw mut transferred,
                1,
            )
        };
        self.pending.set(false);
        if done == 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl Drop for Hydration<'_> {
    fn drop(&mut self) {
        if self.pending.get() {
            // SAFETY: the file is open, and `state` is that of this call. It may just have ended.
            unsafe { CancelIoEx(self.file.as_raw_handle(), &raw const *self.state) };
            let _ = self.result();
        }
    }
}

/// Units with a zero at the end.
fn ended(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// An error of Windows within the errors of COM: facility 7.
fn of_win32(code: u32) -> HRESULT {
    (0x8007_0000 | code).cast_signed()
}

fn checked(told: HRESULT) -> io::Result<()> {
    let bits = told.cast_unsigned();
    if told >= 0 {
        Ok(())
    } else if bits & 0xffff_0000 == 0x8007_0000 {
        Err(io::Error::from_raw_os_error((bits & 0xffff).cast_signed()))
    } else {
        Err(io::Error::other(format!("error {bits:#x}")))
    }
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;

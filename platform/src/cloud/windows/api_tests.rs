//! Tests with stand-ins for the functions of `cldapi.dll`, which Wine does not have: that they are called in the right order,
//! waited for, and taken back.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::thread::{self, ThreadId};
use std::time::Instant;

use parking_lot::Mutex;
use windows_sys::Win32::Foundation::{
    ERROR_CLOUD_FILE_DEHYDRATION_DISALLOWED, ERROR_CLOUD_FILE_NOT_IN_SYNC, ERROR_OPERATION_ABORTED,
    GetLastError, INVALID_HANDLE_VALUE, S_OK,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_OVERLAPPED, PIPE_ACCESS_INBOUND, ReadFile,
};
use windows_sys::Win32::System::Pipes::{CreateNamedPipeW, PIPE_TYPE_BYTE};

use super::*;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

/// What the test of each thread has called.
static CALLED: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

fn call(what: impl Into<String>) {
    let call = (thread::current().id(), what.into());
    CALLED.lock().push(call);
}

fn called() -> Vec<String> {
    let us = thread::current().id();
    let mut calls = CALLED.lock();
    let ours = calls.extract_if(.., |(thread, _)| *thread == us);
    ours.map(|(_, what)| what).collect()
}

/// What `open` gives, and what its handle is.
const PROTECTED: HANDLE = std::ptr::without_provenance_mut(0x70);
const PLAIN: HANDLE = std::ptr::without_provenance_mut(0x71);

extern "system" fn no_state(_: u32, _: u32) -> u32 {
    0
}

/// As a hydration: a read that waits until something comes.
extern "system" fn read(
    file: HANDLE,
    start: i64,
    length: i64,
    flags: CF_HYDRATE_FLAGS,
    state: *mut OVERLAPPED,
) -> HRESULT {
    assert_eq!((start, length, flags), (0, -1, CF_HYDRATE_FLAG_NONE));
    let byte = Box::leak(Box::new(0_u8));
    // SAFETY: the byte is never freed; the handle and the state are those of the caller, who keeps them until it is over.
    if unsafe { ReadFile(file, byte, 1, null_mut(), state) } != 0 {
        return S_OK;
    }
    // SAFETY: takes nothing.
    of_win32(unsafe { GetLastError() })
}

extern "system" fn dehydrate(
    file: HANDLE,
    start: i64,
    length: i64,
    _: CF_DEHYDRATE_FLAGS,
    state: *mut OVERLAPPED,
) -> HRESULT {
    assert!(state.is_null());
    call(format!("dehydrate {:x} {start} {length}", file.addr()));
    S_OK
}

extern "system" fn is_not_in_sync(
    _: HANDLE,
    _: i64,
    _: i64,
    _: CF_DEHYDRATE_FLAGS,
    _: *mut OVERLAPPED,
) -> HRESULT {
    of_win32(ERROR_CLOUD_FILE_NOT_IN_SYNC)
}

extern "system" fn is_the_providers(
    _: HANDLE,
    _: i64,
    _: i64,
    _: CF_DEHYDRATE_FLAGS,
    _: *mut OVERLAPPED,
) -> HRESULT {
    of_win32(ERROR_CLOUD_FILE_DEHYDRATION_DISALLOWED)
}

extern "system" fn set_pin(
    _: HANDLE,
    state: CF_PIN_STATE,
    _: CF_SET_PIN_FLAGS,
    _: *mut OVERLAPPED,
) -> HRESULT {
    call(format!("set pin {state}"));
    S_OK
}

extern "system" fn open(_: PCWSTR, flags: CF_OPEN_FILE_FLAGS, opened: *mut HANDLE) -> HRESULT {
    call(format!("open {flags}"));
    // SAFETY: it is the caller's to be written.
    unsafe { *opened = PROTECTED };
    S_OK
}

extern "system" fn reference(file: HANDLE) -> u8 {
    call("reference");
    u8::from(file == PROTECTED)
}

extern "system" fn is_gone(_: HANDLE) -> u8 {
    0
}

extern "system" fn handle_of(_: HANDLE) -> HANDLE {
    PLAIN
}

extern "system" fn release(_: HANDLE) {
    call("release");
}

extern "system" fn close(_: HANDLE) {
    call("close");
}

const STAND_INS: Api = Api {
    state: no_state,
    hydrate: read,
    dehydrate,
    set_pin,
    open,
    reference,
    handle_of,
    release,
    close,
};

impl Api {
    pub(in super::super) const fn of_test(
        state: unsafe extern "system" fn(u32, u32) -> CF_PLACEHOLDER_STATE,
    ) -> Self {
        Self { state, ..STAND_INS }
    }
}

/// Two ends of a pipe: what is read overlapped, and what is written to.
fn pipe(name: &str) -> (File, File) {
    let name = format!(r"\\.\pipe\mediafs-test-{name}-{}", std::process::id());
    let units = ended(Path::new(&name));
    // SAFETY: the name ends with a zero and lives until the call returns; rights of its own are not given.
    let made = unsafe {
        CreateNamedPipeW(
            units.as_ptr(),
            PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED,
            PIPE_TYPE_BYTE,
            1,
            512,
            512,
            0,
            null(),
        )
    };
    assert_ne!(made, INVALID_HANDLE_VALUE);
    // SAFETY: the call has just given us this handle, to close when we are done.
    let reading = unsafe { File::from_raw_handle(made) };
    let writing = OpenOptions::new().write(true).open(name).unwrap();
    (reading, writing)
}

#[test]
fn a_hydration_is_waited_for() {
    let (file, mut provider) = pipe("waited");
    let hydration = Hydration::start(&STAND_INS, &file).unwrap();
    assert_eq!(hydration.wait(SHORT).unwrap(), Progress::Going);
    provider.write_all(b"x").unwrap();
    assert_eq!(hydration.wait(LONG).unwrap(), Progress::Done);
    assert_eq!(
        hydration.wait(SHORT).unwrap(),
        Progress::Done,
        "asked again"
    );
}

#[test]
fn a_hydration_that_is_dropped_is_taken_back() {
    let (file, mut provider) = pipe("dropped");
    let begun = Instant::now();
    let hydration = Hydration::start(&STAND_INS, &file).unwrap();
    assert_eq!(hydration.wait(SHORT).unwrap(), Progress::Going);
    drop(hydration);
    assert!(begun.elapsed() < LONG);
    // Nobody reads it in the place of the next one.
    provider.write_all(b"x").unwrap();
    let next = Hydration::start(&STAND_INS, &file).unwrap();
    assert_eq!(next.wait(LONG).unwrap(), Progress::Done);
}

#[test]
fn a_hydration_that_fails_says_why() {
    let (file, provider) = pipe("fails");
    let hydration = Hydration::start(&STAND_INS, &file).unwrap();
    drop(provider);
    let error = hydration.wait(LONG).unwrap_err();
    assert_ne!(
        error.raw_os_error(),
        Some(ERROR_OPERATION_ABORTED.cast_signed())
    );
    assert!(Hydration::start(&STAND_INS, &file).is_err(), "at once");
}

#[test]
fn a_file_is_given_back_while_nobody_else_has_it() {
    let path = Path::new(r"C:\a.wav");
    STAND_INS.dehydrate(path).unwrap();
    assert_eq!(
        called(),
        [
            "open 3",
            "reference",
            "dehydrate 71 0 -1",
            "release",
            "close"
        ]
    );
    let refusing = Api {
        dehydrate: is_not_in_sync,
        ..STAND_INS
    };
    let error = refusing.dehydrate(path).unwrap_err();
    let not_in_sync = ERROR_CLOUD_FILE_NOT_IN_SYNC.cast_signed();
    assert_eq!(error.raw_os_error(), Some(not_in_sync));
    assert_eq!(called(), ["open 3", "reference", "release", "close"]);
    let taken = Api {
        reference: is_gone,
        ..STAND_INS
    };
    let error = taken.dehydrate(path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(called(), ["open 3", "close"], "somebody else wants it");
}

#[test]
fn a_provider_is_asked_to_give_back() {
    let file = tempfile::NamedTempFile::new().unwrap();
    STAND_INS.unpin(file.path()).unwrap();
    assert_eq!(called(), [format!("set pin {CF_PIN_STATE_UNPINNED}")]);
}

#[test]
fn what_somebody_else_has_a_use_for_is_not_asked_to_be_given_back() {
    use super::super::{Freed, give_back};

    let file = tempfile::NamedTempFile::new().unwrap();
    let unpinned = format!("set pin {CF_PIN_STATE_UNPINNED}");
    let not_in_sync = Api {
        dehydrate: is_not_in_sync,
        ..STAND_INS
    };
    let taken = Api {
        reference: is_gone,
        ..STAND_INS
    };
    for anothers in [not_in_sync, taken] {
        assert!(give_back(&anothers, file.path()).is_err());
        assert!(!called().contains(&unpinned));
    }
    let not_by_the_system = Api {
        dehydrate: is_the_providers,
        ..STAND_INS
    };
    let freed = give_back(&not_by_the_system, file.path()).unwrap();
    assert_eq!(freed, Freed::Asked);
    assert!(called().contains(&unpinned));
    assert_eq!(give_back(&STAND_INS, file.path()).unwrap(), Freed::Now);
    assert!(!called().contains(&unpinned));
}

#[test]
fn what_is_there_or_not_is_found_once() {
    assert_eq!(get().map(std::ptr::from_ref), get().map(std::ptr::from_ref));
}

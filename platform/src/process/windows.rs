//! Processes of Windows. A program never starts another in its place there, so its number and its start are enough.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::PathBuf;
use std::ptr::null_mut;

use windows_sys::Wdk::System::Threading::{NtQueryInformationProcess, ProcessBasicInformation};
use windows_sys::Win32::Foundation::{
    ERROR_INVALID_PARAMETER, FILETIME, INVALID_HANDLE_VALUE, STATUS_SUCCESS, STILL_ACTIVE,
    WAIT_OBJECT_0,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::Threading::{
    GetExitCodeProcess, GetProcessTimes, OpenProcess, PROCESS_ACCESS_RIGHTS,
    PROCESS_BASIC_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    QueryFullProcessImageNameW, WaitForSingleObject,
};

use super::ending::End;
use super::{Process, ProcessId, StartTime};

/// The longest path of a program, in UTF-16 units.
const LONGEST_PATH: usize = 32_768;

/// When the process of this number started: another start is another process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stamp(StartTime);

/// A request names its process.
#[allow(clippy::unnecessary_wraps, reason = "as on the other systems")]
pub(super) fn process_of_thread(thread: u32) -> Option<ProcessId> {
    Some(ProcessId(thread))
}

pub(super) fn stamp(process: ProcessId, _thread: u32) -> Option<Stamp> {
    start_of(process).map(Stamp)
}

pub(super) fn start_of(process: ProcessId) -> Option<StartTime> {
    // One that has ended is kept by whoever has it open. To be told so is a right of its own, which another user's may not
    // give.
    if open(process.0, PROCESS_SYNCHRONIZE).is_ok_and(|handle| has_ended(&handle)) {
        return None;
    }
    let handle = open(process.0, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    started(&handle)
}

pub(super) fn process(id: ProcessId) -> Option<Process> {
    let handle = open(id.0, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    let started = started(&handle)?;
    let executable = executable(&handle);
    // While the handle is open the number is not used again.
    let (parent, name) = listed(id)?;
    Some(Process {
        id,
        started,
        parent: (parent != 0).then_some(ProcessId(parent)),
        name,
        executable,
        arguments: Vec::new(),
    })
}

pub(super) fn is_dying(thread: u32) -> bool {
    end(thread).map_or_else(|error| is_gone(&error), End::is_dying)
}

pub(super) fn is_being_killed(thread: u32) -> bool {
    end(thread).map_or_else(|error| is_gone(&error), End::cuts_off)
}

fn end(id: u32) -> io::Result<End> {
    let process = open(id, PROCESS_QUERY_LIMITED_INFORMATION)?;
    Ok(End {
        is_deleted: is_deleted(&process),
        // A right of its own, as said above.
        has_ended: open(id, PROCESS_SYNCHRONIZE).is_ok_and(|handle| has_ended(&handle)),
        status: status(&process),
    })
}

fn open(id: u32, rights: PROCESS_ACCESS_RIGHTS) -> io::Result<OwnedHandle> {
    // SAFETY: takes numbers only.
    let handle = unsafe { OpenProcess(rights, 0, id) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just given us this handle, to close when we are done.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed())
}

fn has_ended(process: &OwnedHandle) -> bool {
    // SAFETY: the handle is open, and a wait of no time takes nothing else.
    unsafe { WaitForSingleObject(process.as_raw_handle(), 0) == WAIT_OBJECT_0 }
}

/// Is the system about to take it away? `None` where it does not tell, as Wine.
fn is_deleted(process: &OwnedHandle) -> Option<bool> {
    const IS_BEING_DELETED: u32 = 1 << 2;
    let length = size_of::<ExtendedInformation>();
    let mut told = ExtendedInformation {
        length,
        ..ExtendedInformation::default()
    };
    // SAFETY: the handle is open; the answer is ours to be written, as long as is said, and says so itself.
    let status = unsafe {
        NtQueryInformationProcess(
            process.as_raw_handle(),
            ProcessBasicInformation,
            (&raw mut told).cast(),
            u32::try_from(length).ok()?,
            null_mut(),
        )
    };
    (status == STATUS_SUCCESS).then_some(told.flags & IS_BEING_DELETED != 0)
}

/// `PROCESS_EXTENDED_BASIC_INFORMATION`: which of the two the system is asked for it sees by the length.
#[repr(C)]
#[derive(Default)]
struct ExtendedInformation {
    length: usize,
    basic: PROCESS_BASIC_INFORMATION,
    flags: u32,
}

/// `None` while it runs; also of one that ends with the number that says so.
fn status(process: &OwnedHandle) -> Option<u32> {
    let mut status = 0;
    // SAFETY: the handle is open, and `status` is ours to be written.
    let told = unsafe { GetExitCodeProcess(process.as_raw_handle(), &raw mut status) };
    (told != 0 && status != STILL_ACTIVE.cast_unsigned()).then_some(status)
}

/// In units of 100 ns since 1601.
fn started(process: &OwnedHandle) -> Option<StartTime> {
    let mut times = [FILETIME::default(); 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: the handle is open, and all four answers are ours to be written.
    let told = unsafe { GetProcessTimes(process.as_raw_handle(), created, ended, kernel, user) };
    let [created, ..] = times;
    (told != 0).then(|| {
        StartTime(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
    })
}

fn executable(process: &OwnedHandle) -> Option<PathBuf> {
    let mut path = vec![0_u16; LONGEST_PATH];
    let mut length = u32::try_from(path.len()).ok()?;
    // SAFETY: the handle is open; the buffer has `length` units, and the call says there how many it has written.
    let told = unsafe {
        QueryFullProcessImageNameW(
            process.as_raw_handle(),
            0,
            path.as_mut_ptr(),
            &raw mut length,
        )
    };
    let path = path.get(..usize::try_from(length).ok()?)?;
    (told != 0).then(|| PathBuf::from(OsString::from_wide(path)))
}

/// Parent and name, as the list of all processes has them.
fn listed(id: ProcessId) -> Option<(u32, OsString)> {
    // SAFETY: takes numbers only.
    let list = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if list == INVALID_HANDLE_VALUE {
        return None;
    }
    // SAFETY: the call has just given us this handle, to close when we are done.
    let list = unsafe { OwnedHandle::from_raw_handle(list) };
    let mut entry = PROCESSENTRY32W {
        dwSize: u32::try_from(size_of::<PROCESSENTRY32W>()).ok()?,
        ..PROCESSENTRY32W::default()
    };
    // SAFETY: the list is open, and `entry` is ours to be written and says how large it is.
    let mut more = unsafe { Process32FirstW(list.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        if entry.th32ProcessID == id.0 {
            let name = entry.szExeFile.split(|unit| *unit == 0).next()?;
            return Some((entry.th32ParentProcessID, OsString::from_wide(name)));
        }
        // SAFETY: as for the first one.
        more = unsafe { Process32NextW(list.as_raw_handle(), &raw mut entry) };
    }
    None
}

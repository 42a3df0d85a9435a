//! WinFsp's driver, as far as the drive and its library can tell: in place of those functions of the DLL that speak with it,
//! which the linker takes before those of the DLL.

#![allow(non_snake_case)]
#![allow(
    clippy::missing_const_for_thread_local,
    reason = "they are; on this target the check does not see it"
)]

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, OsString};
use std::os::windows::ffi::OsStringExt;
use std::path::Path;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use winfsp_sys::{
    FSP_FILE_SYSTEM, FSP_FILE_SYSTEM_INTERFACE, FSP_FILE_SYSTEM_OPERATION_CONTEXT,
    FSP_FSCTL_FILE_INFO, FSP_FSCTL_NOTIFY_INFO, FSP_FSCTL_TRANSACT_REQ, FSP_FSCTL_TRANSACT_RSP,
    FSP_FSCTL_VOLUME_PARAMS,
};

const STATUS_OBJECT_NAME_COLLISION: i32 = 0xc000_0035_u32.cast_signed();
const STATUS_CANT_WAIT: i32 = 0xc000_00d8_u32.cast_signed();
/// The kind of a request that opens something.
pub(crate) const CREATE: u32 = 1;
const LONG: Duration = Duration::from_secs(20);

thread_local! {
    /// Is there a driver, for what this thread mounts? If so, the file system that was made last.
    static DRIVER: Cell<Option<*mut FSP_FILE_SYSTEM>> = const { Cell::new(None) };
    /// The request that this thread handles.
    static HANDLED: Cell<FSP_FILE_SYSTEM_OPERATION_CONTEXT> = const {
        Cell::new(FSP_FILE_SYSTEM_OPERATION_CONTEXT { Request: null_mut(), Response: null_mut() })
    };
}

/// What `FspFileSystemOpEnter` and its like are handed.
pub(crate) type Operation = unsafe extern "C" fn(
    *mut FSP_FILE_SYSTEM,
    *mut FSP_FSCTL_TRANSACT_REQ,
    *mut FSP_FSCTL_TRANSACT_RSP,
) -> i32;

/// What all drivers together have seen.
#[derive(Default)]
struct Seen {
    /// Responses that came later, by the numbers of their requests.
    responses: HashMap<u64, (i32, u32, FSP_FSCTL_FILE_INFO)>,
    last: u64,
    /// Notices by file system, as path and action.
    notices: HashMap<usize, Vec<(String, u32)>>,
    /// File systems where something is being renamed.
    renaming: Vec<usize>,
    /// What mount points are in sight.
    points: HashMap<usize, String>,
    /// The network names of those that have one, in capitals: each is there once.
    names: HashMap<usize, String>,
    /// Serial numbers and times of creation of the volumes.
    volumes: HashMap<usize, (u32, u64)>,
    /// Those that were taken apart.
    deleted: Vec<usize>,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);
static RESPONDED: Condvar = Condvar::new();

/// Lets what is mounted on this thread meanwhile find a driver.
pub(crate) fn with_driver<T>(mount: impl FnOnce() -> T) -> T {
    DRIVER.set(Some(null_mut()));
    let mounted = mount();
    DRIVER.set(None);
    mounted
}

/// The file system that this thread made last.
pub(crate) fn of_this_thread() -> Option<*mut FSP_FILE_SYSTEM> {
    DRIVER.get().filter(|made| !made.is_null())
}

/// Does what handles a request, on this thread.
pub(crate) fn handle<T>(
    request: *mut FSP_FSCTL_TRANSACT_REQ,
    response: *mut FSP_FSCTL_TRANSACT_RSP,
    handle: impl FnOnce() -> T,
) -> T {
    HANDLED.set(FSP_FILE_SYSTEM_OPERATION_CONTEXT {
        Request: request,
        Response: response,
    });
    let handled = handle();
    HANDLED.set(FSP_FILE_SYSTEM_OPERATION_CONTEXT {
        Request: null_mut(),
        Response: null_mut(),
    });
    handled
}

/// A number for a request.
pub(crate) fn number() -> u64 {
    seen(|seen| {
        seen.last += 1;
        seen.last
    })
}

/// Is the mount point in sight?
pub(crate) fn is_in_sight(point: &Path) -> bool {
    seen(|seen| seen.points.values().any(|there| point == Path::new(there)))
}

pub(crate) fn was_taken_apart(file_system: *mut FSP_FILE_SYSTEM) -> bool {
    seen(|seen| seen.deleted.contains(&(file_system as usize)))
}

/// The serial number of the volume, and when it was created.
pub(crate) fn volume(file_system: *mut FSP_FILE_SYSTEM) -> (u32, u64) {
    seen(|seen| seen.volumes[&(file_system as usize)])
}

/// Holds notices up, or no longer.
pub(crate) fn rename_goes_on(file_system: *mut FSP_FILE_SYSTEM, goes_on: bool) {
    let file_system = file_system as usize;
    seen(|seen| match goes_on {
        true => seen.renaming.push(file_system),
        false => seen.renaming.retain(|one| *one != file_system),
    });
}

/// Waits for a notice of this path; its action.
pub(crate) fn notice_of(file_system: *mut FSP_FILE_SYSTEM, path: &str) -> u32 {
    wait(|seen| {
        let notices = seen.notices.get_mut(&(file_system as usize))?;
        let at = notices.iter().position(|(told, _)| told == path)?;
        Some(notices.remove(at).1)
    })
}

pub(crate) fn notices(file_system: *mut FSP_FILE_SYSTEM) -> usize {
    seen(|seen| {
        seen.notices
            .get(&(file_system as usize))
            .map_or(0, Vec::len)
    })
}

/// Waits for a response that comes later.
pub(crate) fn response(number: u64) -> (i32, u32, FSP_FSCTL_FILE_INFO) {
    wait(|seen| seen.responses.remove(&number))
}

fn wait<T>(mut look: impl FnMut(&mut Seen) -> Option<T>) -> T {
    let until = Instant::now() + LONG;
    let mut all = SEEN.lock();
    loop {
        if let Some(found) = look(all.get_or_insert_default()) {
            return found;
        }
        assert!(Instant::now() < until, "it never came");
        RESPONDED.wait_for(&mut all, Duration::from_millis(100));
    }
}

fn seen<T>(look: impl FnOnce(&mut Seen) -> T) -> T {
    look(SEEN.lock().get_or_insert_default())
}

/// The DLL's own function of this name.
fn real(name: &CStr) -> unsafe extern "system" fn() -> isize {
    let dll: Vec<u16> = "winfsp-x64.dll".encode_utf16().chain([0]).collect();
    // SAFETY: both names end with a zero.
    unsafe {
        let dll = GetModuleHandleW(dll.as_ptr());
        GetProcAddress(dll, name.as_ptr().cast()).unwrap()
    }
}

// What speaks with the driver, in the DLL's place.

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFsctlPreflight(device: *mut u16) -> i32 {
    if DRIVER.get().is_some() {
        return 0;
    }
    type Real = unsafe extern "C" fn(*mut u16) -> i32;
    // SAFETY: the DLL's function is of this type.
    unsafe {
        std::mem::transmute::<unsafe extern "system" fn() -> isize, Real>(real(
            c"FspFsctlPreflight",
        ))(device)
    }
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemCreate(
    device: *mut u16,
    params: *const FSP_FSCTL_VOLUME_PARAMS,
    interface: *const FSP_FILE_SYSTEM_INTERFACE,
    made: *mut *mut FSP_FILE_SYSTEM,
) -> i32 {
    if DRIVER.get().is_none() {
        type Real = unsafe extern "C" fn(
            *mut u16,
            *const FSP_FSCTL_VOLUME_PARAMS,
            *const FSP_FILE_SYSTEM_INTERFACE,
            *mut *mut FSP_FILE_SYSTEM,
        ) -> i32;
        // SAFETY: the DLL's function is of this type.
        return unsafe {
            std::mem::transmute::<unsafe extern "system" fn() -> isize, Real>(real(
                c"FspFileSystemCreate",
            ))(device, params, interface, made)
        };
    }
    // SAFETY: all of it may be zero; the caller's pointers are valid.
    unsafe {
        let mut file_system: Box<FSP_FILE_SYSTEM> = Box::new(std::mem::zeroed());
        file_system.Interface = interface;
        file_system.UmFileContextIsUserContext2 =
            u8::from((*params).UmFileContextIsUserContext2() != 0);
        file_system.UmFileContextIsFullContext =
            u8::from((*params).UmFileContextIsFullContext() != 0);
        let name = text((&raw const (*params).Prefix).cast()).to_uppercase();
        let number = &raw const *file_system as usize;
        let is_free = name.is_empty()
            || seen(|seen| {
                let is_free = !seen.names.values().any(|taken| *taken == name);
                if is_free {
                    seen.names.insert(number, name);
                }
                is_free
            });
        if !is_free {
            return STATUS_OBJECT_NAME_COLLISION;
        }
        let volume = ((*params).VolumeSerialNumber, (*params).VolumeCreationTime);
        seen(|seen| seen.volumes.insert(number, volume));
        *made = Box::into_raw(file_system);
        DRIVER.set(Some(*made));
    }
    0
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemDelete(file_system: *mut FSP_FILE_SYSTEM) {
    seen(|seen| {
        seen.names.remove(&(file_system as usize));
        seen.deleted.push(file_system as usize);
    });
    // SAFETY: made above, and nobody uses it any more.
    drop(unsafe { Box::from_raw(file_system) });
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemSetMountPoint(
    file_system: *mut FSP_FILE_SYSTEM,
    point: *mut u16,
) -> i32 {
    // SAFETY: it ends with a zero.
    let point = unsafe { text(point) };
    let is_free = seen(|seen| {
        let is_free = !Path::new(&point).exists() && !seen.points.values().any(|at| *at == point);
        if is_free {
            seen.points.insert(file_system as usize, point);
        }
        is_free
    });
    match is_free {
        true => 0,
        false => STATUS_OBJECT_NAME_COLLISION,
    }
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemRemoveMountPoint(file_system: *mut FSP_FILE_SYSTEM) {
    seen(|seen| seen.points.remove(&(file_system as usize)));
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemStartDispatcher(_: *mut FSP_FILE_SYSTEM, threads: u32) -> i32 {
    assert!(threads >= 2);
    0
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemStopDispatcher(_: *mut FSP_FILE_SYSTEM) {}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemGetOperationContext() -> *mut FSP_FILE_SYSTEM_OPERATION_CONTEXT {
    HANDLED.with(Cell::as_ptr)
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemOperationProcessIdF() -> u32 {
    // SAFETY: it is asked for while a request is handled.
    unsafe {
        let request = &*HANDLED.get().Request;
        match request.Kind {
            CREATE => (request.Req.Create.AccessToken >> 32) as u32,
            _ => 0,
        }
    }
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemSendResponse(
    _: *mut FSP_FILE_SYSTEM,
    response: *mut FSP_FSCTL_TRANSACT_RSP,
) {
    // SAFETY: a whole response, of which only a write has attributes.
    let (number, told) = unsafe {
        let response = &*response;
        let status = response.IoStatus;
        let info = response.Rsp.Write.FileInfo;
        (
            response.Hint,
            (status.Status.cast_signed(), status.Information, info),
        )
    };
    let twice = seen(|seen| seen.responses.insert(number, told).is_some());
    assert!(!twice, "answered twice");
    RESPONDED.notify_all();
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemNotifyBegin(file_system: *mut FSP_FILE_SYSTEM, _: u32) -> i32 {
    match seen(|seen| seen.renaming.contains(&(file_system as usize))) {
        true => STATUS_CANT_WAIT,
        false => 0,
    }
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemNotifyEnd(_: *mut FSP_FILE_SYSTEM) -> i32 {
    0
}

/// # Safety
/// As the DLL's.
#[unsafe(no_mangle)]
unsafe extern "C" fn FspFileSystemNotify(
    file_system: *mut FSP_FILE_SYSTEM,
    info: *mut FSP_FSCTL_NOTIFY_INFO,
    size: u64,
) -> i32 {
    // SAFETY: as large as it says, with a path behind its head.
    let told = unsafe {
        let size = usize::try_from(size).unwrap();
        assert_eq!(usize::from((*info).Size), size);
        let head = size_of::<FSP_FSCTL_NOTIFY_INFO>();
        let path = info.cast::<u8>().add(head).cast::<u16>();
        let path = std::slice::from_raw_parts(path, (size - head) / 2);
        (String::from_utf16(path).unwrap(), (*info).Action)
    };
    seen(|seen| {
        seen.notices
            .entry(file_system as usize)
            .or_default()
            .push(told)
    });
    RESPONDED.notify_all();
    0
}

/// # Safety
/// `at` points to units that end with a zero.
unsafe fn text(at: *const u16) -> String {
    let mut units = Vec::new();
    // SAFETY: read up to the zero.
    unsafe {
        let mut at = at;
        while *at != 0 {
            units.push(*at);
            at = at.add(1);
        }
    }
    OsString::from_wide(&units).into_string().unwrap()
}

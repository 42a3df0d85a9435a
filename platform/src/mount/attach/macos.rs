//! Attaching by macFUSE: its libfuse has its helper mount, and gives the descriptor that requests are read from.
//!
//! The library is opened when something is mounted, and not linked: where there is no macFUSE the program runs all the same,
//! and mounts by NFS.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::transport::MACFUSE_LIBRARY;
use super::super::{MountError, MountOptions, macfuse};

/// `struct fuse_args` of fuse_opt.h.
#[repr(C)]
struct Arguments {
    count: c_int,
    words: *const *const c_char,
    /// Whether the words are the library's to be freed.
    allocated: c_int,
}

/// `int fuse_mount_compat25(const char *mountpoint, struct fuse_args *args)` of fuse_common_compat.h: a descriptor, or -1.
type MountCall = unsafe extern "C" fn(*const c_char, *mut Arguments) -> c_int;

/// Mounts at `path` and hands out the descriptor that requests are read from.
pub(in crate::mount) fn attach(path: &Path, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let call = mount_call().ok_or(MountError::NoFuse)?;
    mount(call, path, options).map_err(|source| MountError::Refused {
        path: path.to_owned(),
        source,
    })
}

/// The library's call; `None` where it cannot be loaded or has none. It stays loaded.
fn mount_call() -> Option<MountCall> {
    let library = CString::new(MACFUSE_LIBRARY).ok()?;
    // SAFETY: the path ends with a zero. What the library does when it is loaded is as if it were linked.
    let library = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return None;
    }
    // SAFETY: the library was opened and is never closed; the name ends with a zero.
    let found = unsafe { libc::dlsym(library, c"fuse_mount_compat25".as_ptr()) };
    // SAFETY: the function is of this type, see there.
    (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, MountCall>(found) })
}

fn mount(call: MountCall, path: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
    let point = CString::new(path.as_os_str().as_bytes())?;
    let words = macfuse::words(path, options)?;
    let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    let count = c_int::try_from(pointers.len()).map_err(io::Error::other)?;
    // As `argv` ends.
    pointers.push(std::ptr::null());
    let mut arguments = Arguments {
        count,
        words: pointers.as_ptr(),
        allocated: 0,
    };
    // SAFETY: point and words end with zeros and live until the call returns. The library frees none of them, as they are
    // said not to be its own, and replaces the list only by one of its own.
    let device = unsafe { call(point.as_ptr(), &raw mut arguments) };
    if device < 0 {
        let error = io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            None | Some(0) => io::Error::other(
                "macFUSE does not say why; see whether its system extension is allowed in System Settings, Privacy & Security",
            ),
            Some(_) => error,
        });
    }
    // SAFETY: the descriptor was opened by the call, for us.
    let device = unsafe { OwnedFd::from_raw_fd(device) };
    // A program that is started and outlives this process would keep the mount from being known as dead.
    rustix::io::fcntl_setfd(&device, rustix::io::FdFlags::CLOEXEC)?;
    Ok(device)
}

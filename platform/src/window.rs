//! Windows of Windows that nobody sees: what the system tells only to those. Whose thread makes one has to take its messages.

use std::io;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_CLASS_ALREADY_EXISTS, HWND};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DispatchMessageW, GetMessageW, MSG, RegisterClassW, WNDCLASSW, WNDPROC,
};
use windows_sys::core::PCWSTR;

/// Makes a window without a form, which nobody sees, on this thread. `above` is what it belongs to: `HWND_MESSAGE` or, with none, the
/// desktop.
pub(crate) fn open(name: PCWSTR, on_message: WNDPROC, above: HWND) -> io::Result<HWND> {
    // SAFETY: without a name it gives this program, which stays.
    let program = unsafe { GetModuleHandleW(null()) };
    let class = WNDCLASSW {
        lpfnWndProc: on_message,
        hInstance: program,
        lpszClassName: name,
        ..WNDCLASSW::default()
    };
    // SAFETY: the class lives until the call returns, its name longer.
    if unsafe { RegisterClassW(&raw const class) } == 0 {
        let error = io::Error::last_os_error();
        // An earlier one has registered it.
        if !crate::nt::is(&error, ERROR_CLASS_ALREADY_EXISTS) {
            return Err(error);
        }
    }
    // SAFETY: the class is registered; the names are the caller's, of this program, and stay. It is never shown.
    let window = unsafe {
        CreateWindowExW(
            0,
            name,
            null(),
            0,
            0,
            0,
            0,
            0,
            above,
            null_mut(),
            program,
            null(),
        )
    };
    if window.is_null() {
        Err(io::Error::last_os_error())
    } else {
        Ok(window)
    }
}

/// Takes the messages of this thread, until its window is gone.
pub(crate) fn take_messages() {
    let mut message = MSG::default();
    // Up to WM_QUIT, or an error.
    // SAFETY: the message is ours to be written; no window and no bounds: all messages of this thread.
    while unsafe { GetMessageW(&raw mut message, null_mut(), 0, 0) } > 0 {
        // SAFETY: it is as it was given.
        unsafe { DispatchMessageW(&raw const message) };
    }
}

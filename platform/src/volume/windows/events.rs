//! Tells that volumes come and go, as Windows tells windows: a window that nobody sees, on a thread of its own, is registered
//! for what becomes of volumes (`RegisterDeviceNotification`), and is sent `WM_DEVICECHANGE`.
//!
//! It does not tell when a share is connected or a letter given, and a letter may be there a little later than its volume: whoever
//! is told looks more than once, and now and then by themselves.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};

use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::Ioctl::GUID_DEVINTERFACE_VOLUME;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    DBT_DEVICEARRIVAL, DBT_DEVICEREMOVECOMPLETE, DBT_DEVTYP_DEVICEINTERFACE,
    DEV_BROADCAST_DEVICEINTERFACE_W, DEVICE_NOTIFY_WINDOW_HANDLE, DefWindowProcW, DestroyWindow,
    HWND_MESSAGE, PostMessageW, PostQuitMessage, RegisterDeviceNotificationW,
    UnregisterDeviceNotification, WM_CLOSE, WM_DESTROY, WM_DEVICECHANGE,
};
use windows_sys::core::w;

use crate::window::{open, take_messages};

const CLASS: windows_sys::core::PCWSTR = w!("mediafs-volumes");

thread_local! {
    /// Whom the window of this thread tells.
    static TELL: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Calls back when a volume comes or goes, until it is dropped.
#[derive(Debug)]
pub(in super::super) struct MountEvents {
    /// A window, as a number: whichever thread may close it.
    window: usize,
    thread: Option<JoinHandle<()>>,
}

impl MountEvents {
    /// Starts to listen. `tell` is called on a thread of its own, and must not take long.
    pub(in super::super) fn start(tell: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (opened, window) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("volumes".to_owned())
            .spawn(move || listen(Box::new(tell), &opened))?;
        let window = window.recv().map_err(io::Error::other)??;
        Ok(Self {
            window,
            thread: Some(thread),
        })
    }
}

impl Drop for MountEvents {
    fn drop(&mut self) {
        // SAFETY: takes a window, which is there as long as its thread; one that is gone is an error and no more.
        unsafe { PostMessageW(self.window as HWND, WM_CLOSE, 0, 0) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(tell: Box<dyn Fn()>, opened: &SyncSender<io::Result<usize>>) {
    TELL.set(Some(tell));
    let window = match open(CLASS, Some(on_message), HWND_MESSAGE) {
        Ok(window) => window,
        Err(error) => {
            // Whoever asked waits for it.
            let _ = opened.send(Err(error));
            return;
        }
    };
    let filter = DEV_BROADCAST_DEVICEINTERFACE_W {
        dbcc_size: size_of::<DEV_BROADCAST_DEVICEINTERFACE_W>() as u32,
        dbcc_devicetype: DBT_DEVTYP_DEVICEINTERFACE,
        dbcc_classguid: GUID_DEVINTERFACE_VOLUME,
        ..DEV_BROADCAST_DEVICEINTERFACE_W::default()
    };
    // SAFETY: the window is this thread's, and the filter as long as it says.
    let registered = unsafe {
        RegisterDeviceNotificationW(
            window,
            (&raw const filter).cast(),
            DEVICE_NOTIFY_WINDOW_HANDLE,
        )
    };
    if registered.is_null() {
        let _ = opened.send(Err(io::Error::last_os_error()));
        // SAFETY: the window is this thread's, and not used after this.
        unsafe { DestroyWindow(window) };
        return;
    }
    let _ = opened.send(Ok(window as usize));
    take_messages();
    // SAFETY: it was registered above, and is not used after this.
    unsafe { UnregisterDeviceNotification(registered) };
    TELL.set(None);
}

unsafe extern "system" fn on_message(
    window: HWND,
    message: u32,
    what: WPARAM,
    more: LPARAM,
) -> LRESULT {
    match message {
        WM_DEVICECHANGE => {
            let what = u32::try_from(what).unwrap_or_default();
            if matches!(what, DBT_DEVICEARRIVAL | DBT_DEVICEREMOVECOMPLETE) {
                TELL.with_borrow(|tell| {
                    if let Some(tell) = tell {
                        tell();
                    }
                });
            }
            // TRUE: whatever is asked for is granted.
            1
        }
        WM_DESTROY => {
            // SAFETY: takes a number.
            unsafe { PostQuitMessage(0) };
            0
        }
        // By default WM_CLOSE destroys it.
        // SAFETY: what came is passed on.
        _ => unsafe { DefWindowProcW(window, message, what, more) },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use windows_sys::Win32::UI::WindowsAndMessaging::{
        DBT_DEVICEQUERYREMOVE, IsWindow, SendMessageW,
    };

    use super::*;

    #[test]
    fn volumes_that_come_and_go_are_told_until_the_end() {
        let (tell, told) = mpsc::channel();
        let events = MountEvents::start(move || tell.send(()).unwrap()).unwrap();
        let window = events.window as HWND;
        // SAFETY: takes a window and numbers; what comes without details has none.
        let send = |message, what: u32| unsafe { SendMessageW(window, message, what as usize, 0) };
        for what in [DBT_DEVICEARRIVAL, DBT_DEVICEREMOVECOMPLETE] {
            assert_eq!(send(WM_DEVICECHANGE, what), 1);
            told.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert_eq!(send(WM_DEVICECHANGE, DBT_DEVICEQUERYREMOVE), 1, "granted");
        assert!(told.try_recv().is_err(), "nothing has gone yet");
        drop(events);
        // SAFETY: takes whatever number.
        assert_eq!(unsafe { IsWindow(window) }, 0);
        assert!(told.recv().is_err(), "nobody is left who could tell");
    }

    #[test]
    fn several_may_listen() {
        let (tell, told) = mpsc::channel();
        let listeners: Vec<_> = (0..3)
            .map(|number| {
                let tell = tell.clone();
                MountEvents::start(move || tell.send(number).unwrap()).unwrap()
            })
            .collect();
        let window = listeners[1].window as HWND;
        // SAFETY: takes a window and numbers.
        unsafe { SendMessageW(window, WM_DEVICECHANGE, DBT_DEVICEARRIVAL as usize, 0) };
        assert_eq!(told.recv_timeout(Duration::from_secs(10)).unwrap(), 1);
        drop(listeners);
        assert!(told.try_recv().is_err());
    }
}

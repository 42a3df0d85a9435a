//! Tells that volumes come and go, as Windows tells windows: a window that nobody sees, on a thread of its own, is registered
//! for what becomes of volumes (`RegisterDeviceNotification`), and is sent `WM_DEVICECHANGE`.
//!
//! It does not tell when a share is connected or a letter given, and a letter may be there a little later than its volume: whoever
//! is told looks more than once, and now and then by themselves. The same window is told before volumes are removed (`leaving`).

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
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

use super::super::leaving::Asked;
use super::leaving::Followed;
use super::table::MountTable;
use crate::window::{open, take_messages};

const CLASS: windows_sys::core::PCWSTR = w!("mediafs-volumes");

/// Whom a window tells.
struct Told {
    news: Box<dyn Fn()>,
    followed: Arc<Followed>,
}

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "not seen to be const for Windows")]
    /// Whom the window of this thread tells.
    static TOLD: RefCell<Option<Rc<Told>>> = const { RefCell::new(None) };
}

/// Calls back when a volume comes or goes, or is to go, until it is dropped.
#[derive(Debug)]
pub(in super::super) struct MountEvents {
    /// A window, as a number: whichever thread may close it.
    window: usize,
    followed: Arc<Followed>,
    thread: Option<JoinHandle<()>>,
}

impl MountEvents {
    /// Starts to listen. `news` is called on a thread of its own, and must not take long.
    pub(in super::super) fn start(
        news: impl Fn() + Send + 'static,
        asked: Asked,
    ) -> io::Result<Self> {
        let (opened, window) = mpsc::sync_channel(1);
        let followed = Arc::new(Followed::new(asked));
        let by_window = Arc::clone(&followed);
        let thread = thread::Builder::new()
            .name("volumes".to_owned())
            .spawn(move || {
                let told = Told {
                    news: Box::new(news),
                    followed: by_window,
                };
                listen(told, &opened);
            })?;
        let window = window.recv().map_err(io::Error::other)??;
        Ok(Self {
            window,
            followed,
            thread: Some(thread),
        })
    }

    /// Is to be given each new table of mounts, as Windows tells of those volumes before they are removed that it was asked
    /// for.
    pub(in super::super) fn follower(&self) -> impl Fn(&MountTable) + Send + 'static {
        let (followed, window) = (Arc::clone(&self.followed), self.window);
        move |table| followed.follow(table, window)
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> usize {
        self.window
    }

    #[cfg(test)]
    pub(super) fn followed(&self) -> &Followed {
        &self.followed
    }
}

impl Drop for MountEvents {
    fn drop(&mut self) {
        // SAFETY: takes a window, which is there as long as its thread; one that is gone is an error and no more.
        unsafe { PostMessageW(self.window as HWND, WM_CLOSE, 0, 0) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.followed.end();
    }
}

fn listen(told: Told, opened: &SyncSender<io::Result<usize>>) {
    TOLD.set(Some(Rc::new(told)));
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
    TOLD.set(None);
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
            if let Some(told) = TOLD.with_borrow(Option::clone) {
                // SAFETY: they are those of this message.
                unsafe { told.followed.take(what, more, window as usize) };
                if matches!(what, DBT_DEVICEARRIVAL | DBT_DEVICEREMOVECOMPLETE) {
                    (told.news)();
                }
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

    use std::path::Path;
    use std::time::Duration;

    use windows_sys::Win32::UI::WindowsAndMessaging::{
        DBT_DEVICEQUERYREMOVE, IsWindow, SendMessageW,
    };

    use super::*;

    fn nobody() -> Asked {
        Arc::new(|_: &Path, _| ())
    }

    #[test]
    fn volumes_that_come_and_go_are_told_until_the_end() {
        let (tell, told) = mpsc::channel();
        let events = MountEvents::start(move || tell.send(()).unwrap(), nobody()).unwrap();
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
                MountEvents::start(move || tell.send(number).unwrap(), nobody()).unwrap()
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

//! The end of the session, as Windows tells windows: log-off, restart, shutdown.
//!
//! A program of the console that has to do with windows at all (`user32.dll`, as the watching of volumes has) is not told by the
//! console of these. So there is a window that nobody sees, on a thread of its own. It is one of the desktop's own, as
//! windows for messages only are told nothing that is told to all.

use std::cell::RefCell;
use std::io;
use std::ptr::null_mut;
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    DefWindowProcW, PostMessageW, PostQuitMessage, WM_CLOSE, WM_DESTROY, WM_ENDSESSION,
    WM_QUERYENDSESSION,
};
use windows_sys::core::w;

use crate::window::{open, take_messages};

const CLASS: windows_sys::core::PCWSTR = w!("mediafs-session");

/// How long the answer is held back, as the system ends a program that has answered. It gives up on one that does not within
/// five seconds.
const TIME_TO_END: Duration = Duration::from_secs(4);

thread_local! {
    /// Whom the window of this thread tells.
    static TELL: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Tells of the end of the session until it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    /// A window, as a number: whichever thread may close it.
    window: usize,
    ends: watch::Receiver<bool>,
}

impl Session {
    pub(super) fn watch() -> io::Result<Self> {
        let (tell, ends) = watch::channel(false);
        let (opened, window) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("session".to_owned())
            .spawn(move || listen(Box::new(move || _ = tell.send_replace(true)), &opened))?;
        let window = window.recv().map_err(io::Error::other)??;
        Ok(Self { window, ends })
    }

    /// Waits for the end.
    pub(super) async fn ended(&mut self) {
        // Of a window that is gone nothing will be heard.
        if self.ends.wait_for(|ends| *ends).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its thread is not waited for: it may be holding back the answer until this process has ended.
        // SAFETY: takes a window, which is there as long as its thread; one that is gone is an error and no more.
        unsafe { PostMessageW(self.window as HWND, WM_CLOSE, 0, 0) };
    }
}

fn listen(tell: Box<dyn Fn()>, opened: &SyncSender<io::Result<usize>>) {
    TELL.set(Some(tell));
    // Whoever asked waits for it.
    match open(CLASS, Some(on_message), null_mut()) {
        Ok(window) => {
            let _ = opened.send(Ok(window as usize));
        }
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    }
    take_messages();
}

unsafe extern "system" fn on_message(
    window: HWND,
    message: u32,
    what: WPARAM,
    more: LPARAM,
) -> LRESULT {
    match message {
        // Nothing is asked of the user, so nothing is in the way.
        WM_QUERYENDSESSION => 1,
        WM_ENDSESSION => {
            // Not if another program has prevented it.
            if what != 0 {
                TELL.with_borrow(|tell| {
                    if let Some(tell) = tell {
                        tell();
                    }
                });
                thread::sleep(TIME_TO_END);
            }
            0
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

    use windows_sys::Win32::UI::WindowsAndMessaging::{GA_PARENT, GetAncestor, GetDesktopWindow};
    use windows_sys::Win32::UI::WindowsAndMessaging::{IsWindow, IsWindowVisible, SendMessageW};

    use super::*;

    #[tokio::test]
    async fn the_end_of_the_session_is_told_and_granted() {
        let mut session = Session::watch().unwrap();
        let window = session.window as HWND;
        // SAFETY: both take whatever number.
        let (above, visible) =
            unsafe { (GetAncestor(window, GA_PARENT), IsWindowVisible(window) != 0) };
        // SAFETY: takes nothing.
        assert_eq!(above, unsafe { GetDesktopWindow() }, "told what all are");
        assert!(!visible);
        // SAFETY: takes a window and numbers.
        let send = |message, what| unsafe { SendMessageW(window, message, what, 0) };
        assert_eq!(send(WM_QUERYENDSESSION, 0), 1);
        send(WM_ENDSESSION, 0);
        assert!(!*session.ends.borrow(), "somebody has prevented it");
        let begun = std::time::Instant::now();
        // SAFETY: takes a window and numbers.
        unsafe { PostMessageW(window, WM_ENDSESSION, 1, 0) };
        tokio::time::timeout(Duration::from_secs(3), session.ended())
            .await
            .unwrap();
        // The next one is answered when that one was.
        send(WM_QUERYENDSESSION, 0);
        assert!(begun.elapsed() >= TIME_TO_END, "time to end in");
        drop(session);
        for _ in 0..500 {
            // SAFETY: takes whatever number.
            if unsafe { IsWindow(window) } == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the window stays");
    }
}

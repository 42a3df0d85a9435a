//! Volumes of which Windows tells before it removes them.
//!
//! It does so to whoever has a handle on the volume and is registered by that handle, which is to be closed then: open
//! handles of whatever kind make it say "in use" to its user. Where the volume stays after all, a new handle is registered in
//! place of the closed one. Locking a volume, as is done before a medium is ejected or a disk is formatted, fails for open files
//! alike, and is told in the same way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::mem::{offset_of, replace};
use std::os::windows::io::AsRawHandle;
use std::path::PathBuf;

use parking_lot::Mutex;
use windows_sys::Win32::Foundation::{HWND, LPARAM};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    DBT_CUSTOMEVENT, DBT_DEVICEQUERYREMOVE, DBT_DEVICEQUERYREMOVEFAILED, DBT_DEVICEREMOVECOMPLETE,
    DBT_DEVTYP_HANDLE, DEV_BROADCAST_HANDLE, DEV_BROADCAST_HDR, DEVICE_NOTIFY_WINDOW_HANDLE,
    GUID_IO_VOLUME_DISMOUNT, GUID_IO_VOLUME_DISMOUNT_FAILED, GUID_IO_VOLUME_LOCK,
    GUID_IO_VOLUME_LOCK_FAILED, GUID_IO_VOLUME_MOUNT, GUID_IO_VOLUME_UNLOCK, HDEVNOTIFY,
    RegisterDeviceNotificationW, UnregisterDeviceNotification,
};
use windows_sys::core::GUID;

use super::super::leaving::{Asked, Leaving, tell};
use super::class::Devices;
use super::disk;
use super::table::MountTable;

/// The volumes that may be removed, and who is told before they are.
pub(super) struct Followed {
    asked: Asked,
    /// Locked for moments only: one volume that hangs when it is opened or closed must not hold up what is told of another.
    volumes: Mutex<HashMap<OsString, Volume>>,
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").finish_non_exhaustive()
    }
}

struct Volume {
    /// Where it is mounted.
    points: Vec<PathBuf>,
    registered: Registered,
}

/// A registration. It stays when its handle is closed, so that what becomes of the volume is told.
struct Registered {
    /// As a number: whichever thread may end it.
    number: usize,
    handle: Option<File>,
}

impl Registered {
    /// Has a window told of what becomes of a volume.
    fn new(volume: &OsStr, window: usize) -> io::Result<Self> {
        let handle = disk::open(volume)?;
        let filter = DEV_BROADCAST_HANDLE {
            dbch_size: size_of::<DEV_BROADCAST_HANDLE>() as u32,
            dbch_devicetype: DBT_DEVTYP_HANDLE,
            dbch_handle: handle.as_raw_handle(),
            ..DEV_BROADCAST_HANDLE::default()
        };
        // SAFETY: the filter is as long as it says, and its handle open; a window that is gone is an error and no more.
        let number = unsafe {
            RegisterDeviceNotificationW(
                window as HWND,
                (&raw const filter).cast(),
                DEVICE_NOTIFY_WINDOW_HANDLE,
            )
        };
        if number.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            number: number as usize,
            handle: Some(handle),
        })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: it was registered when this was made, and is not used after this.
        unsafe { UnregisterDeviceNotification(self.number as HDEVNOTIFY) };
    }
}

/// What is told of a volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    /// It is to be removed: the handle is to be closed.
    Remove,
    /// It is not removed.
    Stays,
    /// Somebody wants to have it alone.
    Lock,
    /// They could not, or have done what they wanted.
    Unlocked,
    Gone,
}

impl Word {
    fn of(what: u32, event: GUID) -> Option<Self> {
        let parts = |guid: GUID| (guid.data1, guid.data2, guid.data3, guid.data4);
        let is = |guid| what == DBT_CUSTOMEVENT && parts(event) == parts(guid);
        match what {
            DBT_DEVICEQUERYREMOVE => Some(Self::Remove),
            DBT_DEVICEQUERYREMOVEFAILED => Some(Self::Stays),
            DBT_DEVICEREMOVECOMPLETE => Some(Self::Gone),
            _ if is(GUID_IO_VOLUME_LOCK) || is(GUID_IO_VOLUME_DISMOUNT) => Some(Self::Lock),
            _ if is(GUID_IO_VOLUME_LOCK_FAILED)
                || is(GUID_IO_VOLUME_UNLOCK)
                || is(GUID_IO_VOLUME_DISMOUNT_FAILED)
                || is(GUID_IO_VOLUME_MOUNT) =>
            {
                Some(Self::Unlocked)
            }
            _ => None,
        }
    }
}

impl Followed {
    pub(super) fn new(asked: Asked) -> Self {
        Self {
            asked,
            volumes: Mutex::default(),
        }
    }

    /// Has the window told of the volumes that are mounted now and are not built in, and of no others.
    pub(super) fn follow(&self, table: &MountTable, window: usize) {
        let devices = Devices::of(table);
        let mut mounted: HashMap<OsString, Vec<PathBuf>> = HashMap::new();
        for entry in table.entries() {
            if devices.may_be_removed(entry) {
                let points = mounted.entry(entry.source.clone()).or_default();
                points.push(entry.mount_point.clone());
            }
        }
        self.follow_these(mounted, |volume| Registered::new(volume, window));
    }

    fn follow_these(
        &self,
        mounted: HashMap<OsString, Vec<PathBuf>>,
        register: impl Fn(&OsStr) -> io::Result<Registered>,
    ) {
        let (gone, new) = {
            let mut volumes = self.volumes.lock();
            let gone: Vec<_> = volumes
                .extract_if(|name, _| !mounted.contains_key(name))
                .collect();
            let mut new = Vec::new();
            for (name, points) in mounted {
                match volumes.get_mut(&name) {
                    Some(volume) => volume.points = points,
                    None => new.push((name, points)),
                }
            }
            (gone, new)
        };
        drop(gone);
        for (name, points) in new {
            match register(&name) {
                // What is told of it before this is lost, and its user told that it is in use, once.
                Ok(registered) => {
                    let volume = Volume { points, registered };
                    let double = self.volumes.lock().insert(name, volume);
                    drop(double);
                }
                Err(error) => {
                    tracing::debug!(?points, %error, "Windows does not tell before it removes a volume");
                }
            }
        }
    }

    /// Follows none any more.
    pub(super) fn end(&self) {
        let all = std::mem::take(&mut *self.volumes.lock());
        drop(all);
    }

    /// Takes a `WM_DEVICECHANGE`, as the window was sent it.
    ///
    /// # Safety
    /// `details` are those that belong to `what`.
    pub(super) unsafe fn take(&self, what: u32, details: LPARAM, window: usize) {
        // SAFETY: as said above.
        let Some((number, event)) = (unsafe { of_a_handle(details) }) else {
            return;
        };
        if let Some(word) = Word::of(what, event) {
            self.told(number, word, window);
        }
    }

    fn told(&self, number: usize, word: Word, window: usize) {
        let found = {
            let volumes = self.volumes.lock();
            let mut each = volumes.iter();
            each.find(|(_, volume)| volume.registered.number == number)
                .map(|(name, volume)| (name.clone(), volume.points.clone()))
        };
        let Some((name, points)) = found else {
            return;
        };
        let leaving = match word {
            Word::Remove | Word::Lock => Some(Leaving::Wanted),
            Word::Stays | Word::Unlocked => Some(Leaving::Refused),
            // The mount table tells.
            Word::Gone => None,
        };
        if let Some(leaving) = leaving {
            // Nothing is held meanwhile: whoever is told may take a while.
            for point in &points {
                tell(&self.asked, point, leaving);
            }
        }
        let again = (word == Word::Stays).then(|| Registered::new(&name, window));
        let closed = {
            let mut volumes = self.volumes.lock();
            let Entry::Occupied(mut volume) = volumes.entry(name) else {
                return;
            };
            let registered = &mut volume.get_mut().registered;
            // Another one may be registered by now.
            if registered.number != number {
                return;
            }
            match (word, again) {
                (Word::Remove, _) => (registered.handle.take(), None),
                (Word::Stays, Some(Ok(again))) => (None, Some(replace(registered, again))),
                (Word::Gone, _) => (None, Some(volume.remove().registered)),
                (Word::Stays, Some(Err(error))) => {
                    tracing::debug!(?points, %error, "Windows does not tell before it removes a volume the next time");
                    return;
                }
                (Word::Lock | Word::Unlocked | Word::Stays, _) => return,
            }
        };
        drop(closed);
    }
}

/// The registration by a handle that a message is of, and the event that it may name.
///
/// # Safety
/// They are the details of a `WM_DEVICECHANGE`.
unsafe fn of_a_handle(details: LPARAM) -> Option<(usize, GUID)> {
    const NEEDED: usize = offset_of!(DEV_BROADCAST_HANDLE, dbch_nameoffset);
    let header = details as *const DEV_BROADCAST_HDR;
    if header.is_null() {
        return None;
    }
    // SAFETY: where there are details they begin with this, and are as long as it says; they may not be aligned.
    let header = unsafe { header.read_unaligned() };
    let is_long = usize::try_from(header.dbch_size).is_ok_and(|size| size >= NEEDED);
    if header.dbch_devicetype != DBT_DEVTYP_HANDLE || !is_long {
        return None;
    }
    let details = details as *const DEV_BROADCAST_HANDLE;
    // SAFETY: they are of this type, and both fields lie within them.
    unsafe {
        let number = (&raw const (*details).dbch_hdevnotify).read_unaligned();
        let event = (&raw const (*details).dbch_eventguid).read_unaligned();
        Some((number as usize, event))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;
    use std::sync::Arc;
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    use windows_sys::Win32::UI::WindowsAndMessaging::{SendMessageW, WM_DEVICECHANGE};

    use super::super::tests::system_drive;
    use super::super::{MountEntry, MountEvents};
    use super::*;

    type Told = (PathBuf, Leaving);

    /// A window that is told of the volume that the system runs from, and what it passes on.
    struct Bench {
        events: MountEvents,
        told: Receiver<Told>,
        volume: OsString,
    }

    impl Bench {
        fn new() -> Self {
            let (tell, told) = mpsc::channel();
            let asked: Asked = Arc::new(move |point: &Path, leaving| {
                tell.send((point.to_owned(), leaving)).unwrap();
            });
            let events = MountEvents::start(|| (), asked).unwrap();
            let drive: MountEntry = system_drive();
            let bench = Self {
                events,
                told,
                volume: drive.source,
            };
            let mounted = HashMap::from([(bench.volume.clone(), vec![PathBuf::from("C:\\")])]);
            bench.follow(mounted);
            bench
        }

        fn followed(&self) -> &Followed {
            self.events.followed()
        }

        fn window(&self) -> usize {
            self.events.window()
        }

        fn follow(&self, mounted: HashMap<OsString, Vec<PathBuf>>) {
            let register = |volume: &OsStr| Registered::new(volume, self.window());
            self.followed().follow_these(mounted, register);
        }

        /// The registration, and whether its handle is open.
        fn registered(&self) -> (usize, bool) {
            let volumes = self.followed().volumes.lock();
            let registered = &volumes[&self.volume].registered;
            (registered.number, registered.handle.is_some())
        }

        fn send(&self, number: usize, what: u32, event: GUID) {
            let details = DEV_BROADCAST_HANDLE {
                dbch_size: size_of::<DEV_BROADCAST_HANDLE>() as u32,
                dbch_devicetype: DBT_DEVTYP_HANDLE,
                dbch_hdevnotify: number as HDEVNOTIFY,
                dbch_eventguid: event,
                ..DEV_BROADCAST_HANDLE::default()
            };
            // SAFETY: the details live until the call returns, which it does when the window has taken them.
            let granted = unsafe {
                SendMessageW(
                    self.window() as HWND,
                    WM_DEVICECHANGE,
                    what as usize,
                    (&raw const details) as LPARAM,
                )
            };
            assert_eq!(granted, 1);
        }

        fn expect(&self, leaving: Leaving) {
            let told = self.told.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(told, (PathBuf::from("C:\\"), leaving));
        }
    }

    #[test]
    fn a_volume_that_is_to_be_removed_is_let_go_of_and_taken_up_if_it_stays() {
        let bench = Bench::new();
        let none = GUID::default();
        let (number, is_open) = bench.registered();
        assert!(is_open);
        bench.send(number + 64, DBT_DEVICEQUERYREMOVE, none);
        assert!(bench.told.try_recv().is_err(), "another one");
        bench.send(number, DBT_DEVICEQUERYREMOVE, none);
        assert_eq!(
            bench.told.try_recv().unwrap().1,
            Leaving::Wanted,
            "it was waited for"
        );
        assert_eq!(bench.registered(), (number, false));
        bench.send(number, DBT_DEVICEQUERYREMOVEFAILED, none);
        bench.expect(Leaving::Refused);
        let (again, is_open) = bench.registered();
        assert!(is_open);
        bench.send(again, DBT_DEVICEQUERYREMOVE, none);
        bench.expect(Leaving::Wanted);
        bench.send(again, DBT_DEVICEREMOVECOMPLETE, none);
        assert!(bench.followed().volumes.lock().is_empty());
        assert!(bench.told.try_recv().is_err(), "the mount table tells");
    }

    #[test]
    fn a_volume_that_somebody_wants_alone_is_let_go_of() {
        let bench = Bench::new();
        let (number, _) = bench.registered();
        for (event, leaving) in [
            (GUID_IO_VOLUME_LOCK, Leaving::Wanted),
            (GUID_IO_VOLUME_LOCK_FAILED, Leaving::Refused),
            (GUID_IO_VOLUME_DISMOUNT, Leaving::Wanted),
            (GUID_IO_VOLUME_UNLOCK, Leaving::Refused),
            (GUID_IO_VOLUME_DISMOUNT, Leaving::Wanted),
            (GUID_IO_VOLUME_DISMOUNT_FAILED, Leaving::Refused),
            (GUID_IO_VOLUME_DISMOUNT, Leaving::Wanted),
            (GUID_IO_VOLUME_MOUNT, Leaving::Refused),
        ] {
            bench.send(number, DBT_CUSTOMEVENT, event);
            bench.expect(leaving);
            assert_eq!(bench.registered(), (number, true));
        }
        bench.send(number, DBT_CUSTOMEVENT, GUID::default());
        assert!(bench.told.try_recv().is_err(), "something else");
    }

    #[test]
    fn only_what_is_mounted_is_followed() {
        let bench = Bench::new();
        let count = || bench.followed().volumes.lock().len();
        assert_eq!(count(), 1);
        let gone = OsString::from(r"\\?\Volume{00000000-0000-0000-0000-000000000000}\");
        let none = HashMap::from([(gone, vec![PathBuf::from("Q:\\")])]);
        bench.follow(none);
        assert_eq!(count(), 0, "what cannot be opened is not");
    }

    #[test]
    fn a_volume_that_hangs_holds_up_no_other() {
        let bench = Bench::new();
        let (number, _) = bench.registered();
        let (hanging, hangs) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let followed = bench.followed();
            let point = |letter: &str| vec![PathBuf::from(letter)];
            let stick = OsString::from("stick");
            let mounted = HashMap::from([
                (bench.volume.clone(), point("C:\\")),
                (stick, point("Q:\\")),
            ]);
            scope.spawn(move || {
                followed.follow_these(mounted, |_| {
                    hanging.send(()).unwrap();
                    // Not for good, so that a failure is told of.
                    let _ = goes_on.recv_timeout(Duration::from_secs(20));
                    Err(io::ErrorKind::TimedOut.into())
                });
            });
            hangs.recv_timeout(Duration::from_secs(10)).unwrap();
            let begun = std::time::Instant::now();
            bench.send(number, DBT_DEVICEQUERYREMOVE, GUID::default());
            bench.expect(Leaving::Wanted);
            assert_eq!(bench.registered(), (number, false));
            let took = begun.elapsed();
            let _ = go_on.send(());
            assert!(took < Duration::from_secs(15), "{took:?}");
        });
    }
}

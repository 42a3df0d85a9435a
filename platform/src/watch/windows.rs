//! Windows: `ReadDirectoryChangesW`, on a thread for each tree.
//!
//! The system gathers changes in a buffer of its own while nobody reads them, as large as the first one that it was given. When that is
//! full it says so, by a read of nothing or `ERROR_NOTIFY_ENUM_DIR`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::{Component, Path, PathBuf};
use std::ptr::null;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use notify::Event;
use notify::event::{CreateKind, EventKind};
use windows_sys::Win32::Foundation::{
    ERROR_FILE_NOT_FOUND, ERROR_INVALID_FUNCTION, ERROR_NOTIFY_ENUM_DIR, ERROR_PATH_NOT_FOUND,
    HANDLE, WAIT_OBJECT_0,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OVERLAPPED, FILE_LIST_DIRECTORY, FILE_NOTIFY_CHANGE,
    FILE_NOTIFY_CHANGE_ATTRIBUTES, FILE_NOTIFY_CHANGE_CREATION, FILE_NOTIFY_CHANGE_DIR_NAME,
    FILE_NOTIFY_CHANGE_FILE_NAME, FILE_NOTIFY_CHANGE_LAST_WRITE, FILE_NOTIFY_CHANGE_SIZE,
    FILE_READ_ATTRIBUTES, GetLongPathNameW, ReadDirectoryChangesW,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, SetEvent, WaitForMultipleObjects,
};
use windows_sys::core::w;

use super::records::{Records, lost, may_be_short};
use super::{Reach, WatchError};
use crate::nt::is;

/// As much as can be asked of a server. In units of 4 bytes, as the records have to be aligned so.
const BUFFER: usize = 64 * 1024 / 4;
const CHANGES: FILE_NOTIFY_CHANGE = FILE_NOTIFY_CHANGE_FILE_NAME
    | FILE_NOTIFY_CHANGE_DIR_NAME
    | FILE_NOTIFY_CHANGE_ATTRIBUTES
    | FILE_NOTIFY_CHANGE_SIZE
    | FILE_NOTIFY_CHANGE_LAST_WRITE
    | FILE_NOTIFY_CHANGE_CREATION;

/// A tree, but in Wine, which tells of folders below only where they were made since: there one folder, so that tests can be run.
pub(super) fn reach() -> Reach {
    static REACH: OnceLock<Reach> = OnceLock::new();
    *REACH.get_or_init(|| {
        // SAFETY: both names end with 0; ntdll is in every process and stays.
        let wine = unsafe {
            GetProcAddress(
                GetModuleHandleW(w!("ntdll.dll")),
                c"wine_get_version".as_ptr().cast(),
            )
        };
        if wine.is_some() {
            Reach::Folder
        } else {
            Reach::Tree
        }
    })
}

type Tell = Arc<Mutex<dyn FnMut(Event) + Send>>;

pub(super) struct Watcher {
    tell: Tell,
    trees: HashMap<PathBuf, Tree>,
}

impl Watcher {
    #[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
    pub(super) fn new(tell: impl FnMut(Event) + Send + 'static) -> Result<Self, WatchError> {
        Ok(Self {
            tell: Arc::new(Mutex::new(tell)),
            trees: HashMap::new(),
        })
    }

    pub(super) fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        let opened = open(folder).map_err(why);
        let which = opened.map(|(file, which)| match self.trees.get(folder) {
            Some(tree) if tree.which == which && !tree.has_ended() => None,
            _ => Some((file, which)),
        });
        // Whoever watched what was there before is ended before another begins.
        let (file, which) = match which {
            Ok(None) => return Ok(()),
            Ok(Some(anew)) => {
                self.trees.remove(folder);
                anew
            }
            Err(error) => {
                self.trees.remove(folder);
                return Err(error);
            }
        };
        let tree =
            Tree::start(folder, reach(), file, which, Arc::clone(&self.tell)).map_err(why)?;
        self.trees.insert(folder.to_owned(), tree);
        Ok(())
    }

    pub(super) fn forget(&mut self, folder: &Path) {
        self.trees.remove(folder);
    }
}

fn why(error: io::Error) -> WatchError {
    if is(&error, ERROR_FILE_NOT_FOUND) || is(&error, ERROR_PATH_NOT_FOUND) {
        WatchError::Gone
    } else if is(&error, ERROR_INVALID_FUNCTION) {
        WatchError::Other("this file system does not tell what changes".to_owned())
    } else {
        WatchError::Other(error.to_string())
    }
}

/// Opens a folder to be told of changes, and says which it is.
fn open(folder: &Path) -> io::Result<(File, (u64, u64))> {
    let file = OpenOptions::new()
        .access_mode(FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED)
        .open(folder)?;
    let (_, evidence) = crate::beneath::evidence_of(&file)?;
    Ok((file, (evidence.device, evidence.inode)))
}

/// A tree that is watched until it is dropped.
struct Tree {
    which: (u64, u64),
    end: Arc<OwnedHandle>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tree {
    /// Returns when nothing that changes can be missed.
    fn start(
        root: &Path,
        reach: Reach,
        folder: File,
        which: (u64, u64),
        tell: Tell,
    ) -> io::Result<Self> {
        let end = Arc::new(new_event()?);
        let ended = Arc::new(AtomicBool::new(false));
        let (root, changed, ends) = (root.to_owned(), new_event()?, Arc::clone(&end));
        let (begun, begins) = mpsc::sync_channel(1);
        let over = Arc::clone(&ended);
        // A read ends with the thread that began it.
        let thread = thread::Builder::new()
            .name("changes".to_owned())
            .spawn(move || {
                let mut reading = Reading {
                    root,
                    reach,
                    folder,
                    changed,
                    end: ends,
                    buffer: vec![0; BUFFER],
                    overlapped: Box::default(),
                };
                reading.run(&tell, &begun);
                over.store(true, Ordering::Release);
            })?;
        let tree = Self {
            which,
            end,
            ended,
            thread: Some(thread),
        };
        begins.recv().map_err(io::Error::other)??;
        Ok(tree)
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // SAFETY: the handle is open.
        unsafe { SetEvent(self.end.as_raw_handle()) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn new_event() -> io::Result<OwnedHandle> {
    // SAFETY: no attributes and no name; set by hand, and not set.
    let event = unsafe { CreateEventW(null(), 1, 0, null()) };
    if event.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just made, and nobody else closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(event) })
}

struct Reading {
    root: PathBuf,
    reach: Reach,
    folder: File,
    changed: OwnedHandle,
    end: Arc<OwnedHandle>,
    /// Both stay where they are while a read is under way: they are on the heap, and `run` does not leave before it has ended.
    buffer: Vec<u32>,
    overlapped: Box<OVERLAPPED>,
}

impl Reading {
    fn run(&mut self, tell: &Tell, begun: &SyncSender<io::Result<()>>) {
        let tell_of = |event| {
            let mut tell = tell.lock().unwrap_or_else(PoisonError::into_inner);
            tell(event);
        };
        let first = self.begin();
        let failed = first.is_err();
        // Whoever asked waits for it.
        let _ = begun.send(first);
        if failed {
            return;
        }
        let mut records = Records::default();
        loop {
            let read = match self.finish() {
                Ok(Some(read)) => read,
                Ok(None) => return,
                Err(error) if is(&error, ERROR_NOTIFY_ENUM_DIR) => 0,
                Err(error) => {
                    tracing::warn!(folder = %self.root.display(), %error, "no longer watched");
                    // It is looked at, and watched again, or found to be gone.
                    tell_of(lost());
                    return;
                }
            };
            let events = if read == 0 {
                vec![lost()]
            } else {
                let bytes = bytes_of(&self.buffer, read);
                records.events(&self.root, &bytes, |name| OsString::from_wide(&name).into())
            };
            // The next read first: what is told may take a while.
            let again = self.begin();
            events.into_iter().map(with_long_name).for_each(tell_of);
            if let Err(error) = again {
                tracing::warn!(folder = %self.root.display(), %error, "no longer watched");
                tell_of(lost());
                return;
            }
        }
    }

    /// Begins a read. `finish` must be called after it before anything else is done with the buffer.
    fn begin(&mut self) -> io::Result<()> {
        *self.overlapped = OVERLAPPED {
            hEvent: self.changed.as_raw_handle(),
            ..OVERLAPPED::default()
        };
        let length = u32::try_from(self.buffer.len() * 4).unwrap_or(0);
        // SAFETY: buffer and overlapped stay until `finish` has seen the end of the read; the folder is open for such reads.
        let begun = unsafe {
            ReadDirectoryChangesW(
                self.folder.as_raw_handle(),
                self.buffer.as_mut_ptr().cast(),
                length,
                i32::from(self.reach == Reach::Tree),
                CHANGES,
                std::ptr::null_mut(),
                &raw mut *self.overlapped,
                None,
            )
        };
        if begun == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits for the read: how many bytes there are, or that it is to end.
    fn finish(&mut self) -> io::Result<Option<usize>> {
        let either: [HANDLE; 2] = [self.end.as_raw_handle(), self.changed.as_raw_handle()];
        // SAFETY: two open handles.
        let woken = unsafe { WaitForMultipleObjects(2, either.as_ptr(), 0, INFINITE) };
        let ends = woken == WAIT_OBJECT_0;
        if ends {
            // SAFETY: the read is of this handle; one that is over is not found, and that is all.
            unsafe { CancelIoEx(self.folder.as_raw_handle(), &raw const *self.overlapped) };
        }
        let mut read = 0;
        // SAFETY: waits for the end of the read that `begin` began.
        let done = unsafe {
            GetOverlappedResult(
                self.folder.as_raw_handle(),
                &raw const *self.overlapped,
                &raw mut read,
                1,
            )
        };
        if ends {
            return Ok(None);
        }
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Some(read as usize))
    }
}

fn bytes_of(buffer: &[u32], length: usize) -> Vec<u8> {
    let bytes = buffer.iter().flat_map(|word| word.to_ne_bytes());
    bytes.take(length).collect()
}

/// Programs of old times use names of 8.3, and the system tells the name that was used. What can't be asked for its long name any more
/// makes its folder be looked at.
fn with_long_name(event: Event) -> Event {
    let Some(path) = event.paths.first() else {
        return event;
    };
    let is_short = |name: Component<'_>| {
        let units: Vec<u16> = name.as_os_str().encode_wide().collect();
        may_be_short(&units)
    };
    if !path.components().any(is_short) {
        return event;
    }
    if let Some(long) = long_name(path) {
        let mut event = event;
        event.paths = vec![long];
        return event;
    }
    let folder = path.parent().unwrap_or(path).to_owned();
    Event::new(EventKind::Create(CreateKind::Folder)).add_path(folder)
}

fn long_name(path: &Path) -> Option<PathBuf> {
    let from: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut long = vec![0_u16; 32_768];
    // SAFETY: the path ends with 0; the buffer is as long as it says.
    let length = unsafe { GetLongPathNameW(from.as_ptr(), long.as_mut_ptr(), 32_768) };
    let long = long
        .get(..length as usize)
        .filter(|long| !long.is_empty())?;
    Some(OsString::from_wide(long).into())
}

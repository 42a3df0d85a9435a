//! macOS: files of file providers, iCloud Drive among them. A file that is not here is *dataless* (`SF_DATALESS` in its
//! flags); whether a read of one fetches it is a policy of the thread (setiopolicy_np(3)); fetching and giving back are asked
//! of the file manager of Foundation. Folders are dataless, too, until somebody has listed them: by the same policy listing
//! one either has the provider tell what is in it, which fetches nothing of that, or fails.

#[path = "macos/file_manager.rs"]
mod file_manager;

use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::os::macos::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{CloudError, Freed, Residency, failed};

/// sys/stat.h: the file system has no data of it.
const SF_DATALESS: u32 = 0x4000_0000;

/// How often is looked whether it is here.
const STEP: Duration = Duration::from_millis(100);
/// How often is looked whether the provider has given up; not before that, as what it says then may be of an earlier time.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) fn residency(path: &Path) -> io::Result<Residency> {
    std::fs::symlink_metadata(path).map(|found| of(found.st_flags()))
}

pub(super) fn residency_of(file: &File) -> io::Result<Residency> {
    file.metadata().map(|found| of(found.st_flags()))
}

fn of(flags: u32) -> Residency {
    if flags & SF_DATALESS == 0 {
        Residency::Here
    } else {
        Residency::OnlineOnly
    }
}

/// Opening fetches nothing; reading does, but under [`Policy::never_fetch`].
pub(super) fn open_as_it_is(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// What this thread did before.
#[derive(Debug)]
pub(super) struct Policy {
    before: libc::c_int,
    /// It is this thread's.
    _not_elsewhere: PhantomData<*const ()>,
}

// sys/resource.h.
const IOPOL_TYPE_VFS_MATERIALIZE_DATALESS_FILES: libc::c_int = 3;
const IOPOL_SCOPE_PROCESS: libc::c_int = 0;
const IOPOL_SCOPE_THREAD: libc::c_int = 1;
const IOPOL_MATERIALIZE_DATALESS_FILES_OFF: libc::c_int = 1;
const IOPOL_MATERIALIZE_DATALESS_FILES_ON: libc::c_int = 2;

unsafe extern "C" {
    fn getiopolicy_np(kind: libc::c_int, scope: libc::c_int) -> libc::c_int;
    fn setiopolicy_np(kind: libc::c_int, scope: libc::c_int, policy: libc::c_int) -> libc::c_int;
}

/// What a thread says for itself goes before that.
pub(super) fn never_fetch_in_this_process() -> io::Result<()> {
    const KIND: libc::c_int = IOPOL_TYPE_VFS_MATERIALIZE_DATALESS_FILES;
    // SAFETY: takes numbers, and gives one.
    match unsafe {
        setiopolicy_np(
            KIND,
            IOPOL_SCOPE_PROCESS,
            IOPOL_MATERIALIZE_DATALESS_FILES_OFF,
        )
    } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Policy {
    /// Reads of what is not here fail (EDEADLK, [`Failure::NotHere`](crate::failure::Failure::NotHere)).
    pub(super) fn never_fetch() -> io::Result<Self> {
        Self::set(IOPOL_MATERIALIZE_DATALESS_FILES_OFF)
    }

    pub(super) fn may_fetch() -> io::Result<Self> {
        Self::set(IOPOL_MATERIALIZE_DATALESS_FILES_ON)
    }

    fn set(policy: libc::c_int) -> io::Result<Self> {
        const KIND: libc::c_int = IOPOL_TYPE_VFS_MATERIALIZE_DATALESS_FILES;
        // SAFETY: takes numbers, and gives one.
        let before = unsafe { getiopolicy_np(KIND, IOPOL_SCOPE_THREAD) };
        // SAFETY: takes numbers, and gives one.
        if before < 0 || unsafe { setiopolicy_np(KIND, IOPOL_SCOPE_THREAD, policy) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            before,
            _not_elsewhere: PhantomData,
        })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        // What was in force can be set.
        // SAFETY: takes numbers, and gives one.
        unsafe {
            setiopolicy_np(
                IOPOL_TYPE_VFS_MATERIALIZE_DATALESS_FILES,
                IOPOL_SCOPE_THREAD,
                self.before,
            )
        };
    }
}

/// The file manager only starts it. Where it does not know the file as one of a provider, it is fetched by reading it, in a
/// thread that can't be called back: if nobody waits any longer, it ends when the provider answers.
pub(super) fn fetch(path: &Path, cancel: &AtomicBool) -> Result<(), CloudError> {
    let (tell, told) = mpsc::channel();
    // Kept here, so that a wait for it ends by time alone.
    let nobody_reads = match file_manager::start_downloading(path) {
        Ok(()) => Some(tell),
        Err(error) => {
            tracing::debug!(%error, "fetched by reading");
            let file = path.to_owned();
            std::thread::Builder::new()
                .name("cloud-read".to_owned())
                // Nobody may wait for it by then.
                .spawn(move || drop(tell.send(read_a_byte(&file))))
                .map_err(|error| failed(path, "fetched", error))?;
            None
        }
    };
    let mut looked = Instant::now();
    loop {
        match told.recv_timeout(STEP) {
            Ok(Ok(())) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Err(error)) => return Err(failed(path, "fetched", error)),
            // It was read.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(STEP),
        }
        match residency(path).map_err(|error| failed(path, "looked at", error))? {
            Residency::Here => return Ok(()),
            Residency::OnlineOnly if cancel.load(Ordering::Relaxed) => {
                drop(nobody_reads);
                return Err(CloudError::Cancelled {
                    path: path.to_owned(),
                });
            }
            Residency::OnlineOnly if nobody_reads.is_some() && looked.elapsed() >= AGAIN => {
                looked = Instant::now();
                if let Some(error) = file_manager::downloading_error(path) {
                    return Err(failed(path, "fetched", error));
                }
            }
            Residency::OnlineOnly => {}
        }
    }
}

fn read_a_byte(path: &Path) -> io::Result<()> {
    let _may_fetch = Policy::may_fetch()?;
    File::open(path)?.read(&mut [0]).map(drop)
}

/// The system refuses what the user wants kept.
pub(super) fn make_online_only(path: &Path) -> Result<Freed, CloudError> {
    file_manager::evict(path).map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => CloudError::NoProvider {
            path: path.to_owned(),
        },
        _ => failed(path, "given back", error),
    })?;
    Ok(match residency(path) {
        Ok(Residency::OnlineOnly) => Freed::Now,
        _ => Freed::Asked,
    })
}

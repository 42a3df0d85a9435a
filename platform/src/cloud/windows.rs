//! Windows: cloud files, whose attributes say that reading would fetch them. What is asked of their providers goes through
//! `cldapi.dll`, which Windows has had since version 1709, and which is looked for when it is needed.

#[path = "windows/api.rs"]
mod api;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_CLOUD_FILE_IN_USE, ERROR_CLOUD_FILE_NOT_IN_SYNC, ERROR_CLOUD_FILE_PINNED,
    ERROR_SHARING_VIOLATION,
};
use windows_sys::Win32::Storage::CloudFilters::{
    CF_PLACEHOLDER_STATE_INVALID, CF_PLACEHOLDER_STATE_PARTIAL, CF_PLACEHOLDER_STATE_PLACEHOLDER,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_OFFLINE, FILE_ATTRIBUTE_PINNED, FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS,
    FILE_ATTRIBUTE_RECALL_ON_OPEN, FILE_ATTRIBUTE_REPARSE_POINT, FILE_ATTRIBUTE_TAG_INFO,
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_NO_RECALL, FILE_FLAG_OPEN_REPARSE_POINT as ITSELF,
    FILE_FLAG_OVERLAPPED, FILE_GENERIC_READ, FILE_READ_ATTRIBUTES, FILE_REMOTE_PROTOCOL_INFO,
    FileAttributeTagInfo, FileRemoteProtocolInfo, GetFileInformationByHandleEx,
    GetVolumeInformationByHandleW, SYNCHRONIZE,
};
use windows_sys::Win32::System::SystemServices::FILE_SUPPORTS_USN_JOURNAL;

use self::api::{Api, Hydration, Progress};
use super::{CloudError, Freed, Residency, failed};
use crate::nt::is;

/// How often is looked whether anybody still waits.
const STEP: Duration = Duration::from_millis(100);

pub(super) fn show_as_they_are() {
    if let Some(before) = api::expose() {
        tracing::debug!(before, "files of providers are shown as they are");
    }
}

pub(super) fn residency(path: &Path) -> io::Result<Residency> {
    residency_of(&look(path)?)
}

pub(super) fn residency_of(file: &File) -> io::Result<Residency> {
    let marks = Marks::of(file)?;
    Ok(marks.residency(api::get(), || is_on_plain_disk(file)))
}

/// Without a right to its content, so that nothing is fetched (`RECALL_ON_OPEN` is of opens that may read), and itself if it
/// is a link.
fn look(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES | SYNCHRONIZE)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | ITSELF | FILE_FLAG_OPEN_NO_RECALL)
        .open(path)
}

/// Is it on a disk of this machine with NTFS or ReFS itself? Other file systems give themselves out for NTFS, but keep no
/// journal; a share has the flags of the disk that is behind it.
fn is_on_plain_disk(file: &File) -> bool {
    let mut flags = 0;
    // SAFETY: the file is open until the call is over, the flags are ours to be written, and nothing else is asked for.
    let told = unsafe {
        GetVolumeInformationByHandleW(
            file.as_raw_handle(),
            null_mut(),
            0,
            null_mut(),
            null_mut(),
            &raw mut flags,
            null_mut(),
            0,
        )
    };
    told != 0 && flags & FILE_SUPPORTS_USN_JOURNAL != 0 && !is_remote(file)
}

fn is_remote(file: &File) -> bool {
    let mut told = FILE_REMOTE_PROTOCOL_INFO::default();
    let Ok(size) = u32::try_from(size_of_val(&told)) else {
        return true;
    };
    // SAFETY: as in `Marks::of`.
    let done = unsafe {
        GetFileInformationByHandleEx(
            file.as_raw_handle(),
            FileRemoteProtocolInfo,
            (&raw mut told).cast(),
            size,
        )
    };
    // Of what is here there is no such thing to be told.
    done != 0
}

/// What a file's attributes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Marks {
    attributes: u32,
    /// What kind of stand-in it is; 0 if it is none.
    tag: u32,
}

impl Marks {
    fn of(file: &File) -> io::Result<Self> {
        let mut told = FILE_ATTRIBUTE_TAG_INFO::default();
        let size = u32::try_from(size_of_val(&told)).map_err(io::Error::other)?;
        // SAFETY: the file is open until the call is over; the answer is of the type that belongs to the class, and as long as
        // is said.
        let done = unsafe {
            GetFileInformationByHandleEx(
                file.as_raw_handle(),
                FileAttributeTagInfo,
                (&raw mut told).cast(),
                size,
            )
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            attributes: told.FileAttributes,
            tag: told.ReparseTag,
        })
    }

    /// Whoever stores files elsewhere puts something in their place, or is the file system itself. A plain file on a plain disk
    /// is all here, although it may be called offline: copying programs, archives and installers keep that attribute of a
    /// file that was away once, for good.
    fn residency(self, api: Option<&Api>, is_on_plain_disk: impl FnOnce() -> bool) -> Residency {
        const AWAY: u32 = FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS
            | FILE_ATTRIBUTE_RECALL_ON_OPEN
            | FILE_ATTRIBUTE_OFFLINE;
        let partly = || {
            let state = api.map(|api| api.state(self.attributes, self.tag));
            state.is_some_and(|state| {
                state != CF_PLACEHOLDER_STATE_INVALID && state & CF_PLACEHOLDER_STATE_PARTIAL != 0
            })
        };
        let away = self.attributes & AWAY;
        let is_only_called_so = || away == FILE_ATTRIBUTE_OFFLINE && self.is_plain();
        if partly() || (away != 0 && !(is_only_called_so() && is_on_plain_disk())) {
            Residency::OnlineOnly
        } else {
            Residency::Here
        }
    }

    /// It stands for nothing but itself.
    fn is_plain(self) -> bool {
        self.tag == 0 && self.attributes & FILE_ATTRIBUTE_REPARSE_POINT == 0
    }

    /// Has it a provider?
    fn is_placeholder(self, api: &Api) -> bool {
        let state = api.state(self.attributes, self.tag);
        state != CF_PLACEHOLDER_STATE_INVALID && state & CF_PLACEHOLDER_STATE_PLACEHOLDER != 0
    }
}

/// The provider is told that what is read is to stay where it is.
pub(super) fn open_as_it_is(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .access_mode(FILE_GENERIC_READ)
        .custom_flags(FILE_FLAG_OPEN_NO_RECALL)
        .open(path)
}

/// There is none: handles are opened so.
#[derive(Debug)]
pub(super) struct Policy;

impl Policy {
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere the system is asked")]
    pub(super) fn never_fetch() -> io::Result<Self> {
        Ok(Self)
    }

    #[allow(clippy::unnecessary_wraps, reason = "elsewhere the system is asked")]
    pub(super) fn may_fetch() -> io::Result<Self> {
        Ok(Self)
    }
}

fn no_provider(path: &Path) -> CloudError {
    CloudError::NoProvider {
        path: path.to_owned(),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "elsewhere the system is asked")]
pub(super) fn never_fetch_in_this_process() -> io::Result<()> {
    Ok(())
}

pub(super) fn fetch(path: &Path, cancel: &AtomicBool) -> Result<(), CloudError> {
    fetch_by(api::get(), path, cancel)
}

/// Only a provider can be asked before. What is kept elsewhere by others (an archive behind a share) comes as it is read.
fn fetch_by(api: Option<&Api>, path: &Path, cancel: &AtomicBool) -> Result<(), CloudError> {
    let refused = |source| failed(path, "fetched", source);
    let Some(api) = api else {
        return Ok(());
    };
    let marks = look(path).and_then(|file| Marks::of(&file));
    if !marks.map_err(refused)?.is_placeholder(api) {
        return Ok(());
    }
    // No right to its content is needed; it does not wait if it is an overlapped one.
    let file = OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(path)
        .map_err(refused)?;
    let hydration = Hydration::start(api, &file).map_err(refused)?;
    loop {
        match hydration.wait(STEP).map_err(refused)? {
            Progress::Done => return Ok(()),
            Progress::Going if cancel.load(Ordering::Relaxed) => {
                // Dropped, it is taken back.
                return Err(CloudError::Cancelled {
                    path: path.to_owned(),
                });
            }
            Progress::Going => {}
        }
    }
}

/// At once, by the system; where that may not do it, the provider is asked, as by "Free up space". What somebody else has open,
/// or has changed since its provider saw it, stays.
pub(super) fn make_online_only(path: &Path) -> Result<Freed, CloudError> {
    let api = api::get().ok_or_else(|| no_provider(path))?;
    let refused = |source| failed(path, "given back", source);
    let file = look(path).map_err(refused)?;
    let marks = Marks::of(&file).map_err(refused)?;
    if !marks.is_placeholder(api) {
        return Err(no_provider(path));
    }
    if marks.attributes & FILE_ATTRIBUTE_PINNED != 0 {
        return Ok(Freed::KeptByUser);
    }
    drop(file);
    give_back(api, path).map_err(refused)
}

fn give_back(api: &Api, path: &Path) -> io::Result<Freed> {
    match api.dehydrate(path) {
        Ok(()) => Ok(Freed::Now),
        Err(error) if is_anothers(&error) => Err(error),
        Err(error) => {
            tracing::debug!(%error, path = %path.display(), "its provider is asked to give it back");
            api.unpin(path)?;
            Ok(Freed::Asked)
        }
    }
}

/// Somebody else has a use for the file now.
fn is_anothers(error: &io::Error) -> bool {
    const CODES: &[u32] = &[
        ERROR_SHARING_VIOLATION,
        ERROR_CLOUD_FILE_IN_USE,
        ERROR_CLOUD_FILE_NOT_IN_SYNC,
        ERROR_CLOUD_FILE_PINNED,
    ];
    error.kind() == io::ErrorKind::ResourceBusy || CODES.iter().any(|code| is(error, *code))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use windows_sys::Win32::Storage::FileSystem::{
        FILE_ATTRIBUTE_ARCHIVE, FILE_ATTRIBUTE_SPARSE_FILE, FILE_ATTRIBUTE_UNPINNED,
    };

    use super::*;

    #[test]
    fn attributes_tell_what_is_away() {
        let of = |attributes| Marks { attributes, tag: 0 }.residency(None, || false);
        for away in [
            FILE_ATTRIBUTE_OFFLINE,
            FILE_ATTRIBUTE_RECALL_ON_OPEN | FILE_ATTRIBUTE_ARCHIVE,
            FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS | FILE_ATTRIBUTE_SPARSE_FILE,
        ] {
            assert_eq!(of(away), Residency::OnlineOnly, "{away:x}");
        }
        for here in [
            0,
            FILE_ATTRIBUTE_ARCHIVE,
            FILE_ATTRIBUTE_PINNED,
            // It may go at any time, but is here.
            FILE_ATTRIBUTE_UNPINNED | FILE_ATTRIBUTE_SPARSE_FILE,
        ] {
            assert_eq!(of(here), Residency::Here, "{here:x}");
        }
    }

    /// A file that was copied while it was away is called so for ever, and nobody would bring it.
    #[test]
    fn a_plain_file_on_a_plain_disk_is_here_whatever_it_is_called() {
        let of = |attributes, tag, is_on_plain_disk| {
            Marks { attributes, tag }.residency(None, || is_on_plain_disk)
        };
        let called_so = FILE_ATTRIBUTE_OFFLINE | FILE_ATTRIBUTE_ARCHIVE;
        assert_eq!(of(called_so, 0, true), Residency::Here);
        assert_eq!(of(called_so, 0, false), Residency::OnlineOnly, "a share");
        // `IO_REPARSE_TAG_HSM`.
        let stand_in = called_so | FILE_ATTRIBUTE_REPARSE_POINT;
        assert_eq!(of(stand_in, 0xc000_0004, true), Residency::OnlineOnly);
        for away in [
            FILE_ATTRIBUTE_RECALL_ON_OPEN,
            FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS,
        ] {
            assert_eq!(of(called_so | away, 0, true), Residency::OnlineOnly);
        }
    }

    #[test]
    fn only_what_has_a_provider_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kick.wav");
        std::fs::write(&path, "boom").unwrap();
        extern "system" fn ordinary(_: u32, _: u32) -> u32 {
            0
        }
        extern "system" fn kept_elsewhere(_: u32, _: u32) -> u32 {
            CF_PLACEHOLDER_STATE_PLACEHOLDER
        }
        let waits = AtomicBool::new(false);
        fetch_by(None, &path, &waits).unwrap();
        let api = Api::of_test(ordinary);
        fetch_by(Some(&api), &path, &waits).unwrap();
        // What is in place of the provider's answer reads, without a right to.
        let api = Api::of_test(kept_elsewhere);
        let asked = fetch_by(Some(&api), &path, &waits);
        assert!(matches!(asked, Err(CloudError::Io { .. })), "{asked:?}");
    }

    #[test]
    fn what_the_api_says_counts_where_the_attributes_are_hidden() {
        const TAG: u32 = 0x9000_001a;
        let marks = Marks {
            attributes: FILE_ATTRIBUTE_ARCHIVE,
            tag: TAG,
        };
        let saying = |state: extern "system" fn(u32, u32) -> u32| Api::of_test(state);
        extern "system" fn partial(_: u32, tag: u32) -> u32 {
            assert_eq!(tag, TAG);
            CF_PLACEHOLDER_STATE_PLACEHOLDER | CF_PLACEHOLDER_STATE_PARTIAL
        }
        extern "system" fn whole(_: u32, _: u32) -> u32 {
            CF_PLACEHOLDER_STATE_PLACEHOLDER
        }
        extern "system" fn invalid(_: u32, _: u32) -> u32 {
            CF_PLACEHOLDER_STATE_INVALID
        }
        let of = |api: Api| {
            (
                marks.residency(Some(&api), || true),
                marks.is_placeholder(&api),
            )
        };
        assert_eq!(of(saying(partial)), (Residency::OnlineOnly, true));
        assert_eq!(of(saying(whole)), (Residency::Here, true));
        assert_eq!(of(saying(invalid)), (Residency::Here, false));
    }
}

//! Files whose bytes may be with a cloud provider only: told without fetching them, fetched, and given back.
//!
//! Windows and macOS know such files themselves, whoever the provider is: cloud files (cfapi.h) and file providers. Each has a
//! part here with the same functions. Linux knows none; what clients do there in their own ways is read by who knows those,
//! and this says of every file that it is here. To be used in processes that may hang, as a provider may.
//!
//! `roots` finds the folders that providers manage.

mod roots;

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

pub(crate) use roots::{CloudRoot, configured, marked};

/// Where a file's bytes are, or what a folder shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Residency {
    /// On the disk.
    Here,
    /// Not, or not all of them: reading would make its provider fetch them.
    OnlineOnly,
}

/// The system itself knows of files whose bytes are with a provider only; else nobody needs to be asked.
pub const SYSTEM_TELLS: bool = cfg!(any(windows, target_os = "macos"));

/// What became of a wish to keep a file online only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freed {
    /// Its bytes are not on the disk any more.
    Now,
    /// Its provider was asked for it, and does it when it likes.
    Asked,
    /// The user wants it on the disk, so it stays there.
    KeptByUser,
}

/// Why a file was not fetched, or not given back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// Whoever waited does so no longer.
    #[error("{} is not waited for any longer", path.display())]
    Cancelled {
        /// The file.
        path: PathBuf,
    },
    /// The system knows no provider of it.
    #[error("no provider that this system knows keeps {}; only its own client can do that", path.display())]
    NoProvider {
        /// The file.
        path: PathBuf,
    },
    /// The provider, or the system, gave an error.
    #[error("{} cannot be {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// For all of this process: the system shows files of providers as they are. Windows may show them as if their bytes were here,
/// to programs of which it thinks that they know no others.
pub fn show_as_they_are() {
    #[cfg(windows)]
    system::show_as_they_are();
}

/// Where the bytes of the file at `path` are, or what the folder there shows. No link is followed, and nothing is fetched.
///
/// # Errors
/// `NotFound`, or what the system says.
pub fn residency(path: &Path) -> io::Result<Residency> {
    system::residency(path)
}

/// Where the bytes of an open file are. Nothing is fetched.
///
/// # Errors
/// What the system says.
pub fn residency_of(file: &File) -> io::Result<Residency> {
    system::residency_of(file)
}

/// Opens a file for reading what is here of it: as far as the system can be told so, reading through this handle fetches
/// nothing.
///
/// # Errors
/// `NotFound`, or what the system says.
pub fn open_as_it_is(path: &Path) -> io::Result<File> {
    system::open_as_it_is(path)
}

/// Until this is dropped, this thread's reads fetch nothing: they fail where the bytes are not here. Only macOS has such a
/// promise; elsewhere [`residency`] is asked first, and [`open_as_it_is`] used.
#[derive(Debug)]
#[must_use = "the promise ends when this is dropped"]
pub struct NeverFetch {
    _before: system::Policy,
}

/// Makes the promise.
///
/// # Errors
/// If the system refuses it.
pub fn never_fetch() -> io::Result<NeverFetch> {
    system::Policy::never_fetch().map(|before| NeverFetch { _before: before })
}

/// Makes that promise for all threads of this process that do not say otherwise, as long as it runs: a file that is not here
/// is an error then, also where nobody knew that a provider has it, and no read waits for one.
///
/// # Errors
/// If the system refuses it.
pub fn never_fetch_in_this_process() -> io::Result<()> {
    system::never_fetch_in_this_process()
}

/// Until this is dropped, a promise of [`never_fetch`] does not hold for this thread: a folder that is listed may have its
/// provider asked what is in it. That takes as long as the provider likes. What is read meanwhile is fetched, too, so nothing
/// is to be.
#[derive(Debug)]
#[must_use = "the leave ends when this is dropped"]
pub struct FoldersMayCome {
    _before: system::Policy,
}

/// Gives folders that leave.
///
/// # Errors
/// If the system refuses it.
pub fn folders_may_come() -> io::Result<FoldersMayCome> {
    system::Policy::may_fetch().map(|before| FoldersMayCome { _before: before })
}

/// Makes the provider fetch the whole file, and waits until it is here, or `cancel` is true (looked at ten times a second). On
/// Windows a file may be kept elsewhere by somebody who cannot be asked: nothing is done then, and reading it brings it.
///
/// # Errors
/// [`CloudError`].
pub fn fetch(path: &Path, cancel: &AtomicBool) -> Result<(), CloudError> {
    let here = residency(path).map_err(|source| failed(path, "looked at", source))?;
    match here {
        Residency::Here => Ok(()),
        Residency::OnlineOnly => system::fetch(path, cancel),
    }
}

/// Gives back what was fetched: the file stays, its bytes are with the provider only. It must not be open anywhere.
///
/// # Errors
/// [`CloudError`]; the file is as it was then.
pub fn make_online_only(path: &Path) -> Result<Freed, CloudError> {
    let here = residency(path).map_err(|source| failed(path, "looked at", source))?;
    match here {
        Residency::OnlineOnly => Ok(Freed::Now),
        Residency::Here => system::make_online_only(path),
    }
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> CloudError {
    CloudError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;

    use super::*;

    #[test]
    fn an_ordinary_file_is_here_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Kick é.wav");
        std::fs::write(&path, "sound").unwrap();
        assert_eq!(residency(&path).unwrap(), Residency::Here);
        assert_eq!(residency(dir.path()).unwrap(), Residency::Here);
        let mut text = String::new();
        let promised = never_fetch().unwrap();
        let mut file = open_as_it_is(&path).unwrap();
        assert_eq!(residency_of(&file).unwrap(), Residency::Here);
        file.read_to_string(&mut text).unwrap();
        drop(file);
        let leave = folders_may_come().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        drop((leave, promised));
        assert_eq!(text, "sound");
        fetch(&path, &AtomicBool::new(true)).unwrap();
        assert!(matches!(
            make_online_only(&path),
            Err(CloudError::NoProvider { .. })
        ));
        assert_eq!(std::fs::read(&path).unwrap(), b"sound");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.wav");
        let not_found = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        assert!(not_found(&residency(&path).unwrap_err()));
        assert!(not_found(&open_as_it_is(&path).unwrap_err()));
        let cancel = AtomicBool::new(false);
        for failed in [fetch(&path, &cancel), make_online_only(&path).map(drop)] {
            assert!(matches!(failed, Err(CloudError::Io { source, .. }) if not_found(&source)));
        }
    }
}

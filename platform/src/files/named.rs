//! Names of files, and what is behind them.

use std::io;
use std::path::{Path, PathBuf};

use super::system;
use crate::drive::Replacing;

/// What a file is known by, whatever its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The device, as in [`beneath::Evidence`](crate::beneath::Evidence).
    pub device: u64,
    /// The inode, as there.
    pub inode: u64,
}

/// What is at `path` itself, a link or whatever it is.
///
/// # Errors
/// `NotFound`, or what the system says.
pub fn identity(path: &Path) -> io::Result<Identity> {
    system::identity(path)
}

/// As [`identity`], of what the link at `path` leads to if it is one.
///
/// # Errors
/// `NotFound`, or what the system says.
pub fn identity_behind(path: &Path) -> io::Result<Identity> {
    system::identity_behind(path)
}

/// Gives something another name. [`Replacing::Exchange`] is `Unsupported` on Windows.
///
/// # Errors
/// `AlreadyExists` if what has the new name is to stay, or what the system says.
pub fn rename(from: &Path, to: &Path, replacing: Replacing) -> io::Result<()> {
    system::rename(from, to, replacing)
}

/// Brings names that were given or taken in the folder to the disk, where the system has a call for that (Windows has
/// none; NTFS journals its names).
///
/// # Errors
/// What the system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    system::sync_folder(path)
}

/// The absolute path without links, of what is there. On Windows in its usual form (`C:\Sounds`) where there is one: a
/// longer one, or one with odd names, begins with `\\?\`, as the system has all of them.
///
/// # Errors
/// `NotFound`, or what the system says.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    system::canonical(path)
}

/// Is what is at `path` called so, or does its disk only take the name for another that differs in case (or, on a Mac, in how
/// an accent is written)?
///
/// # Errors
/// `NotFound`, or what the system says.
pub fn is_called(path: &Path) -> io::Result<bool> {
    system::is_called(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_file_is_the_same_under_another_name() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        std::fs::write(path("a"), "a").unwrap();
        std::fs::write(path("b"), "b").unwrap();
        let (a, b) = (identity(&path("a")).unwrap(), identity(&path("b")).unwrap());
        assert_eq!(a.device, b.device);
        assert_ne!(a.inode, b.inode);
        let taken = rename(&path("a"), &path("b"), Replacing::Keep).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        rename(&path("a"), &path("c"), Replacing::Keep).unwrap();
        assert_eq!(identity(&path("c")).unwrap(), a);
        rename(&path("c"), &path("b"), Replacing::Replace).unwrap();
        assert_eq!(identity(&path("b")).unwrap(), a);
        sync_folder(home.path()).unwrap();
        let missing = identity(&path("a")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert_eq!(identity_behind(home.path()).unwrap().device, a.device);
    }

    #[test]
    fn a_name_is_told_from_what_a_disk_takes_for_it() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        std::fs::write(path("Kick.wav"), "a").unwrap();
        std::fs::create_dir(path("Drums")).unwrap();
        for name in ["Kick.wav", "Drums"] {
            assert!(is_called(&path(name)).unwrap());
            // Linux has no such disks as a rule.
            let other = is_called(&path(&name.to_uppercase()));
            let is_taken = path(&name.to_uppercase()).exists();
            match other {
                Ok(is_called) => assert!(is_taken && !is_called),
                Err(error) => assert!(!is_taken && error.kind() == io::ErrorKind::NotFound),
            }
        }
        #[cfg(windows)]
        assert!(path("KICK.WAV").exists());
        for name in ["none", "Kick.wa?", "K*"] {
            let missing = is_called(&path(name)).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound, "{name}");
        }
    }

    #[test]
    fn what_somebody_has_open_is_replaced() {
        use std::io::Read as _;
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        std::fs::write(path("old"), "old").unwrap();
        std::fs::write(path("new"), "new").unwrap();
        let mut open = std::fs::File::open(path("old")).unwrap();
        rename(&path("new"), &path("old"), Replacing::Replace).unwrap();
        assert_eq!(std::fs::read(path("old")).unwrap(), b"new");
        let mut text = String::new();
        open.read_to_string(&mut text).unwrap();
        assert_eq!(text, "old");
        drop(open);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_are_renamed_with_what_is_in_them() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("folder")).unwrap();
        std::fs::write(home.path().join("folder/file"), "x").unwrap();
        let (from, to) = (home.path().join("folder"), home.path().join("other"));
        rename(&from, &to, Replacing::Keep).unwrap();
        assert!(to.join("file").exists() && !from.exists());
    }

    #[cfg(unix)]
    #[test]
    fn names_are_exchanged() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        std::fs::write(path("a"), "a").unwrap();
        std::fs::write(path("b"), "b").unwrap();
        rename(&path("a"), &path("b"), Replacing::Exchange).unwrap();
        assert_eq!(std::fs::read(path("a")).unwrap(), b"b");
    }

    #[test]
    fn paths_lose_their_detours_and_stay_as_people_write_them() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("folder")).unwrap();
        let plain = canonical(home.path()).unwrap();
        let detour = canonical(&home.path().join("folder").join("..")).unwrap();
        assert_eq!(detour, plain);
        assert!(
            !plain.to_string_lossy().starts_with(r"\\?\"),
            "{}",
            plain.display()
        );
        assert!(canonical(&home.path().join("none")).is_err());
    }
}

//! Where programs of a user keep what they keep, by the customs of the system: on Linux the XDG base directories, on macOS
//! the folders of `~/Library`, on Windows those of `AppData`.

use std::path::PathBuf;

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

/// The variable of the environment that says where a user's own folder is.
pub const USER_FOLDER: &str = system::USER_FOLDER;

/// The folders of one program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserPlaces {
    /// What the user sets.
    pub config: PathBuf,
    /// What must not be lost.
    pub data: PathBuf,
    /// What can be made again.
    pub cache: PathBuf,
    /// What is there as long as the user is logged in, where the system has such a place.
    pub runtime: Option<PathBuf>,
}

impl UserPlaces {
    /// Of the program `name`; `None` where the environment, which `get` tells of, says nothing of the user. Paths that are
    /// not absolute count for nothing.
    pub fn of(name: &str, get: &dyn Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        system::places(name, &|variable| {
            get(variable).filter(|path| path.is_absolute())
        })
    }
}

/// Where the drive is when nothing else was said; always the same, for plugins store absolute paths.
#[must_use]
pub fn default_mount_point() -> PathBuf {
    let user = std::env::var_os(USER_FOLDER).map(PathBuf::from);
    system::mount_point(user.as_deref())
}

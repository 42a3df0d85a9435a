//! The XDG base directories.

use std::path::{Path, PathBuf};

use super::UserPlaces;

pub(super) const USER_FOLDER: &str = "HOME";

pub(super) fn places(name: &str, get: &dyn Fn(&str) -> Option<PathBuf>) -> Option<UserPlaces> {
    let user = get(USER_FOLDER)?;
    let place =
        |variable: &str, usual: &str| get(variable).unwrap_or_else(|| user.join(usual)).join(name);
    Some(UserPlaces {
        config: place("XDG_CONFIG_HOME", ".config"),
        data: place("XDG_DATA_HOME", ".local/share"),
        cache: place("XDG_CACHE_HOME", ".cache"),
        runtime: get("XDG_RUNTIME_DIR").map(|folder| folder.join(name)),
    })
}

pub(super) fn mount_point(user: Option<&Path>) -> PathBuf {
    let made_by_installer = Path::new("/media/loophole");
    // Without asking a file system that may be mounted and dead there.
    let there = match std::fs::symlink_metadata(made_by_installer) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    };
    match user {
        Some(user) if !there => user.join("Loophole"),
        _ => made_by_installer.to_owned(),
    }
}

//! The folders of `~/Library`.

use std::path::{Path, PathBuf};

use super::UserPlaces;

pub(super) const USER_FOLDER: &str = "HOME";

pub(super) fn places(name: &str, get: &dyn Fn(&str) -> Option<PathBuf>) -> Option<UserPlaces> {
    let library = get(USER_FOLDER)?.join("Library");
    let data = library.join("Application Support").join(name);
    Some(UserPlaces {
        config: data.clone(),
        data,
        cache: library.join("Caches").join(name),
        runtime: None,
    })
}

/// Where macOS has the volumes of its own. macFUSE makes the folder there; by NFS it has to be made before, by root.
pub(super) fn mount_point(_user: Option<&Path>) -> PathBuf {
    PathBuf::from("/Volumes/Loophole")
}

//! The folders of `~/Library`.

use std::path::{Path, PathBuf};

use super::{UserPlaces, in_user_folder};

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

pub(super) fn mount_point(user: Option<&Path>) -> PathBuf {
    user.map_or_else(|| "/Volumes/Loophole".into(), in_user_folder)
}

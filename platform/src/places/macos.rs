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
    let made_by_installer = Path::new("/Volumes/Loophole");
    match user {
        Some(user) if std::fs::symlink_metadata(made_by_installer).is_err() => in_user_folder(user),
        _ => made_by_installer.to_owned(),
    }
}

//! The folders of `AppData`: what the user sets goes where it may follow the user to other computers, the rest stays.

use std::path::{Path, PathBuf};

use super::UserPlaces;

pub(super) const USER_FOLDER: &str = "USERPROFILE";

pub(super) fn places(name: &str, get: &dyn Fn(&str) -> Option<PathBuf>) -> Option<UserPlaces> {
    let user = get(USER_FOLDER);
    let place = |variable: &str, usual: &str| {
        let usual = || Some(user.as_ref()?.join("AppData").join(usual));
        Some(get(variable).or_else(usual)?.join(name))
    };
    let data = place("LOCALAPPDATA", "Local")?;
    Some(UserPlaces {
        config: place("APPDATA", "Roaming")?,
        cache: data.join("cache"),
        data,
        runtime: None,
    })
}

/// A letter of its own, the same for every user.
pub(super) fn mount_point(_user: Option<&Path>) -> PathBuf {
    r"L:\".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_count_before_the_usual_places() {
        let of = |variables: &[(&str, &str)]| {
            UserPlaces::of("mediafs", &|name| {
                let known = variables.iter().find(|(variable, _)| *variable == name);
                known.map(|(_, value)| PathBuf::from(value))
            })
        };
        let usual = of(&[("USERPROFILE", r"C:\Users\Ann")]);
        let usual = usual.map(|places| (places.config, places.data, places.cache));
        assert_eq!(
            usual,
            Some((
                r"C:\Users\Ann\AppData\Roaming\mediafs".into(),
                r"C:\Users\Ann\AppData\Local\mediafs".into(),
                r"C:\Users\Ann\AppData\Local\mediafs\cache".into(),
            ))
        );
        let moved = of(&[
            ("USERPROFILE", r"C:\Users\Ann"),
            ("LOCALAPPDATA", r"D:\Local"),
            ("APPDATA", "relative"),
        ]);
        let moved = moved.map(|places| (places.config, places.data));
        assert_eq!(
            moved,
            Some((
                r"C:\Users\Ann\AppData\Roaming\mediafs".into(),
                r"D:\Local\mediafs".into(),
            ))
        );
        assert_eq!(of(&[("HOME", "/home/ann")]), None);
    }
}

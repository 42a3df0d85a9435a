//! Paths of the drive as other systems and earlier mounts have them.
//!
//! Plugins store absolute paths. Whoever opens their projects on another system, or after the drive was mounted
//! elsewhere, asks here what they mean. Nothing is looked up: what the rest of a path names is the drive's to say.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::Service;
use crate::control::RpcError;
use crate::control::methods::*;
use crate::home::default_mount_point;
use crate::model::{MediaId, path_from_text, path_text};

/// The drive's own letter.
const LETTER: u8 = b'L';
/// Its places on other systems.
const MACOS: &str = "/Volumes/Loophole";
const LINUX: &str = "/media/loophole";
/// What it is called in a user's own folder.
const IN_HOME: &str = "Loophole";

impl Service {
    pub(super) fn translate(&self, params: &TranslateParams) -> Result<TranslateAnswer, RpcError> {
        let mount = self.mount_point().unwrap_or_else(default_mount_point);
        let mut roots = self.home.known_mounts();
        roots.push(mount.clone());
        roots.extend([MACOS.into(), LINUX.into(), default_mount_point()]);
        // The longest first: one may lie in another.
        roots.sort_by_key(|root| std::cmp::Reverse(root.components().count()));
        let paths = params.paths.iter();
        Ok(TranslateAnswer {
            paths: paths
                .map(|text| match below(text, &roots) {
                    Ok(names) => translated(&names, &mount, params.to),
                    Err(reason) => refused(reason),
                })
                .collect(),
        })
    }
}

fn refused(reason: impl Into<String>) -> Translated {
    Translated {
        reason: Some(reason.into()),
        ..Translated::default()
    }
}

fn translated(names: &[OsString], mount: &Path, to: Option<DriveSystem>) -> Translated {
    let below: PathBuf = names.iter().collect();
    let under = |root: &Path| {
        let mut path = root.to_owned();
        path.extend(names);
        path_text(&path)
    };
    // With slashes, whatever this system has.
    let on_unix = |root: &str| {
        let names = names.iter().map(OsString::as_os_str);
        let parts: Vec<&OsStr> = std::iter::once(OsStr::new(root)).chain(names).collect();
        let path = parts.join(OsStr::new("/"));
        path_text(Path::new(&path))
    };
    let path = match to {
        None => under(mount),
        Some(DriveSystem::Macos) => on_unix(MACOS),
        Some(DriveSystem::Linux) => on_unix(LINUX),
        Some(DriveSystem::Windows) => {
            let mut path = format!("{}:\\", char::from(LETTER));
            for (at, name) in names.iter().enumerate() {
                let Some(name) = name.to_str().filter(|name| !name.contains('\\')) else {
                    return refused("it has a name that Windows cannot have");
                };
                if at > 0 {
                    path.push('\\');
                }
                path.push_str(name);
            }
            path
        }
    };
    Translated {
        path: Some(path),
        media_id: media_id(names),
        drive_path: Some(path_text(&below)),
        reason: None,
    }
}

/// The item of `by-id/<id>/<name>` and `by-id/<id>.<extension>`, through a door or not.
fn media_id(names: &[OsString]) -> Option<MediaId> {
    let names = match names {
        [door, _, rest @ ..] if door == ".as" => rest,
        all => all,
    };
    let [view, id, ..] = names else { return None };
    if view != "by-id" {
        return None;
    }
    id.to_str()?.split('.').next()?.parse().ok()
}

/// The names of a path below the mount of the drive that it is of.
fn below(text: &str, roots: &[PathBuf]) -> Result<Vec<OsString>, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("it is no path".to_owned());
    }
    if let Some(rest) = on_windows(text)? {
        return names(Path::new(&rest.replace('\\', "/")));
    }
    let path = path_from_text(text).map_err(|error| format!("it is no path: {error}"))?;
    // `file:///L:/…`, as programs write it on Windows.
    if let Some(inner) = path.to_str().and_then(|text| text.strip_prefix('/'))
        && text.starts_with("file:")
        && let Some(rest) = on_windows(inner)?
    {
        return names(Path::new(&rest.replace('\\', "/")));
    }
    // Without a drive it is not absolute on Windows.
    if !path.has_root() && !path.starts_with("~") {
        return names(&path);
    }
    let rest = roots.iter().find_map(|root| path.strip_prefix(root).ok());
    let rest = rest.or_else(|| in_somebodys_home(&path));
    match rest {
        Some(rest) => names(rest),
        None => Err(format!(
            "{} is no place where a drive of mediafs is known to be or to have been",
            path_text(&path)
        )),
    }
}

/// What follows `L:\`; `None` if it is no path of Windows.
fn on_windows(text: &str) -> Result<Option<&str>, String> {
    let text = ["\\\\?\\", "\\\\.\\"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    let (letter, rest) = match text.as_bytes() {
        [letter, b':'] => (letter, ""),
        [letter, b':', b'\\' | b'/', ..] => (letter, &text[3..]),
        _ => return Ok(None),
    };
    if letter.eq_ignore_ascii_case(&LETTER) {
        Ok(Some(rest))
    } else if letter.is_ascii_alphabetic() {
        Err(format!(
            "the drive of mediafs is {}: on Windows",
            char::from(LETTER)
        ))
    } else {
        Ok(None)
    }
}

/// What follows `~/Loophole`, for whoever's `~`.
fn in_somebodys_home(path: &Path) -> Option<&Path> {
    let mut parts = path.components();
    match parts.next()? {
        Component::Normal(tilde) if tilde == "~" => {}
        Component::RootDir => match parts.next()? {
            Component::Normal(homes) if homes == "home" || homes == "Users" => {
                parts.next()?;
            }
            Component::Normal(root) if root == "root" => {}
            _ => return None,
        },
        _ => return None,
    }
    match parts.next()? {
        Component::Normal(drive) if drive == IN_HOME => Some(parts.as_path()),
        _ => None,
    }
}

fn names(path: &Path) -> Result<Vec<OsString>, String> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err("it leads out of folders with `..`".to_owned()),
        }
    }
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn roots() -> Vec<PathBuf> {
        ["/mnt/old drive", "/mnt", MACOS, LINUX]
            .map(PathBuf::from)
            .into()
    }

    fn here(text: &str) -> Option<PathBuf> {
        let names = below(text, &roots()).ok()?;
        let path = translated(&names, Path::new("/now"), None).path;
        path.map(PathBuf::from)
    }

    #[test]
    fn paths_of_every_system_lead_to_this_drive() {
        let id = "0192f0c1-0000-7000-8000-000000000001";
        let expected = PathBuf::from(format!("/now/by-id/{id}/Kick 1.wav"));
        for root in [
            "L:\\",
            "l:/",
            "L:/",
            "\\\\?\\L:\\",
            "file:///L:/",
            "/Volumes/Loophole/",
            "/media/loophole/",
            "~/Loophole/",
            "/home/ann/Loophole/",
            "/Users/ann/Loophole/",
            "/root/Loophole/",
            "/mnt/old drive/",
            "/mnt/",
            "",
            "file:///Volumes/Loophole/",
        ] {
            let text = format!("{root}by-id/{id}/Kick 1.wav");
            assert_eq!(here(&text).as_ref(), Some(&expected), "{text}");
            let names = below(&text, &roots()).unwrap();
            assert_eq!(media_id(&names).unwrap().as_str(), id);
        }
        let backslashes = format!("L:\\by-id\\{id}\\Kick 1.wav");
        assert_eq!(here(&backslashes), Some(expected));
        assert_eq!(here("L:"), Some("/now".into()));
        assert_eq!(here("/media/loophole"), Some("/now".into()));
    }

    #[test]
    fn what_is_no_path_of_a_drive_is_refused() {
        for text in [
            "",
            "\0",
            "D:\\by-id\\x",
            "/etc/passwd",
            "/Volumes/Loophole2/x",
            "/home/Loophole/x",
            "~/Music/x",
            "L:\\..\\x",
            "/media/loophole/../../etc/passwd",
            "../x",
            "file:///%zz",
        ] {
            assert_eq!(here(text), None, "{text}");
        }
    }

    #[test]
    fn and_back() {
        let names = below("/mnt/by-id/kick-1.wav", &roots()).unwrap();
        let to = |to| {
            translated(&names, Path::new("/now"), Some(to))
                .path
                .unwrap()
        };
        assert_eq!(to(DriveSystem::Windows), "L:\\by-id\\kick-1.wav");
        assert_eq!(to(DriveSystem::Macos), "/Volumes/Loophole/by-id/kick-1.wav");
        assert_eq!(to(DriveSystem::Linux), "/media/loophole/by-id/kick-1.wav");
        assert_eq!(media_id(&names).unwrap().as_str(), "kick-1");
        let names = below("/mnt/.as/player/by-id/k/a.wav", &roots()).unwrap();
        assert_eq!(media_id(&names).unwrap().as_str(), "k");
        assert_eq!(media_id(&below("/mnt/library/k", &roots()).unwrap()), None);
    }
}

//! What a manifest may point to without being asked: its own folder, the user's libraries, volumes and clouds that are
//! known. Whatever else it names, it may come from a stranger.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use mediafs_platform::names;

use crate::model::{Storage, name_bytes};

/// Longest path, and longest part of one, in bytes.
const LONGEST_PATH: usize = 4096;
const LONGEST_PART: usize = 255;
/// Where the system's own files are, and those of its users' programs.
const PRIVATE: [&str; 8] = [
    "/etc",
    "/proc",
    "/sys",
    "/dev",
    "/root",
    "/boot",
    "/run/user",
    "/var",
];

/// What is wrong with a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Objection {
    /// Why, for people.
    pub(super) reason: String,
    /// Where it leads, if the user may allow it.
    pub(super) leads_to: Option<PathBuf>,
}

impl Objection {
    fn flat(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            leads_to: None,
        }
    }
}

/// What stands against looking at `storage` of a project in `folder`.
pub(super) fn objection(storage: &Storage, folder: &Path) -> Option<Objection> {
    let (path, is_own) = match storage {
        Storage::Project { path } => (path, true),
        Storage::Cloud { path, .. } | Storage::Volume { path, .. } => (path, false),
        Storage::Reference { path, .. } => (path, false),
    };
    if let Some(reason) = unusable(path) {
        return Some(Objection::flat(reason));
    }
    if let Storage::Reference { root: None, .. } = storage {
        return absolute(path);
    }
    match parts(path) {
        Some(_) => None,
        None if is_own => {
            let target = normal(&folder.join(path_of(path)));
            Some(Objection {
                reason: format!("its path leaves the project: {path:.200}"),
                leads_to: Some(target),
            })
        }
        None => Some(Objection::flat(format!(
            "its path leaves the folder that it is to be in: {path:.200}"
        ))),
    }
}

/// No file has such a path.
fn unusable(path: &str) -> Option<String> {
    if path.is_empty() || path.len() > LONGEST_PATH {
        return Some(format!(
            "its path is {} bytes long; 1 to 4,096 are expected",
            path.len()
        ));
    }
    if path.contains('\0') {
        return Some("its path has a NUL in it".to_owned());
    }
    if path.split('/').any(|part| part.len() > LONGEST_PART) {
        return Some("a part of its path is longer than 255 bytes".to_owned());
    }
    None
}

/// Of this system alone: on Windows what is needed to run it lies on the same disk as what users have, and a path may lead
/// to a computer that would be told who asks.
fn is_private(target: &Path) -> bool {
    const ON_WINDOWS: [&str; 6] = [
        "Windows",
        "Program Files",
        "Program Files (x86)",
        "ProgramData",
        "$Recycle.Bin",
        "System Volume Information",
    ];
    if cfg!(unix) {
        return PRIVATE.iter().any(|private| target.starts_with(private));
    }
    let first = target.components().find_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    first.is_some_and(|first| {
        ON_WINDOWS
            .iter()
            .any(|private| first.eq_ignore_ascii_case(private))
    })
}

/// A share, or what else has no letter.
fn is_elsewhere(target: &Path) -> bool {
    use std::path::Prefix;
    match target.components().next() {
        Some(Component::Prefix(prefix)) => {
            !matches!(prefix.kind(), Prefix::Disk(_) | Prefix::VerbatimDisk(_))
        }
        _ => false,
    }
}

fn absolute(path: &str) -> Option<Objection> {
    let target = path_of(path);
    if !target.is_absolute() {
        // Of another system: nothing here has that path.
        return None;
    }
    let hidden = |part: Component<'_>| match part {
        Component::Normal(name) => name.as_encoded_bytes().first() == Some(&b'.'),
        _ => false,
    };
    let reason = if target.components().any(|part| part == Component::ParentDir) {
        "its path has \"..\" in it"
    } else if is_private(&target) {
        "its path leads to files of the system"
    } else if is_elsewhere(&target) {
        "its path leads to another computer"
    } else if target.components().any(hidden) {
        "its path leads to a hidden folder or file"
    } else {
        return None;
    };
    Some(Objection {
        reason: format!("{reason}: {path:.200}"),
        leads_to: Some(normal(&target)),
    })
}

/// The bytes of a path that is written as text.
pub(super) fn path_of(text: &str) -> PathBuf {
    PathBuf::from(names::lossy(name_bytes(text)))
}

/// The names of a path that stays below the folder that it begins in.
pub(super) fn parts(text: &str) -> Option<Vec<OsString>> {
    let path = path_of(text);
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_owned()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then_some(parts)
}

/// Without `.` and `..`, as far as that can be told without looking.
fn normal(path: &Path) -> PathBuf {
    let mut normal = path.ancestors().last().unwrap_or(path).to_owned();
    for part in path.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(storage: Storage) -> Option<(String, Option<PathBuf>)> {
        objection(&storage, Path::new("/home/a/Song")).map(|o| (o.reason, o.leads_to))
    }

    fn project(path: &str) -> Option<(String, Option<PathBuf>)> {
        of(Storage::Project { path: path.into() })
    }

    fn reference(path: &str) -> Option<(String, Option<PathBuf>)> {
        let path = path.into();
        of(Storage::Reference { root: None, path })
    }

    #[test]
    fn paths_that_leave_are_told_and_may_be_allowed() {
        assert!(project("Media/a.wav").is_none());
        assert!(project("./Media/a b.wav").is_none());
        assert!(reference("/home/a/Samples/kick.wav").is_none());
        assert!(reference("C:\\Samples\\kick.wav").is_none());
        // Those of the other system are no paths here.
        let bad: &[&str] = if cfg!(windows) {
            &[
                "C:\\Windows\\System32\\config\\SAM",
                "c:/windows/x.wav",
                "C:\\Users\\a\\.ssh\\id_rsa",
                "C:\\Users\\a\\..\\b\\x.wav",
                "\\\\elsewhere\\share\\x.wav",
            ]
        } else {
            &[
                "/etc/shadow",
                "/proc/self/mem",
                "/root/x.wav",
                "/home/a/.ssh/id_rsa",
                "/home/a/../b/x.wav",
            ]
        };
        for (path, target) in [
            ("../x.wav", "/home/a/x.wav"),
            ("Media/../../../b/x.wav", "/home/b/x.wav"),
            ("/etc/shadow", "/etc/shadow"),
        ] {
            let (_, leads_to) = project(path).unwrap_or_default();
            assert_eq!(leads_to, Some(PathBuf::from(target)), "{path}");
        }
        for path in bad {
            assert!(reference(path).is_some_and(|o| o.1.is_some()), "{path}");
        }
    }

    #[test]
    fn what_no_file_can_be_is_held_for_good() {
        let long = "x".repeat(300);
        let longer = "x/".repeat(3000);
        for path in ["", "a\0b", long.as_str(), longer.as_str()] {
            assert!(project(path).is_some_and(|o| o.1.is_none()), "{path:.20}");
            assert!(reference(path).is_some_and(|o| o.1.is_none()), "{path:.20}");
        }
        let volume = |path: &str| {
            of(Storage::Volume {
                volume: "v".into(),
                path: path.into(),
            })
        };
        assert!(volume("a/b.wav").is_none());
        assert!(volume("../b.wav").is_some_and(|o| o.1.is_none()));
    }
}

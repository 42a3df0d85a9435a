//! Folders that a sync client manages, as its own files tell.
//!
//! Two signs: the client's configuration in the user's home names its folders, and most clients keep a file of
//! their own in the top folder. Both are read on trusted storage only.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Configuration files are far smaller.
const LARGEST_CONFIGURATION: u64 = 256 * 1024;
/// How many entries of a folder are looked through for a client's file.
const MOST_ENTRIES: usize = 4096;

/// A folder a client manages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CloudRoot {
    pub(super) provider: &'static str,
    pub(super) root: PathBuf,
}

/// The folders that clients of this user are set up for.
pub(super) fn configured(home: &Path) -> Vec<CloudRoot> {
    let mut roots = Vec::new();
    let mut add = |provider, root: PathBuf| {
        if root.is_absolute() && root.parent().is_some() {
            roots.push(CloudRoot { provider, root });
        }
    };
    for root in dropbox(&read(&home.join(".dropbox/info.json"))) {
        add("Dropbox", root);
    }
    for (provider, file) in [
        ("Nextcloud", ".config/Nextcloud/nextcloud.cfg"),
        ("ownCloud", ".config/ownCloud/owncloud.cfg"),
    ] {
        for line in read(&home.join(file)).lines() {
            if let Some((key, value)) = line.split_once('=')
                && key.trim().ends_with("localPath")
            {
                add(provider, PathBuf::from(value.trim()));
            }
        }
    }
    let onedrive = home.join(".config/onedrive");
    let settings = read(&onedrive.join("config"));
    let named = settings.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "sync_dir").then(|| expand(value.trim().trim_matches('"'), home))
    });
    if let Some(root) = named {
        add("OneDrive", root);
    } else if onedrive.join("refresh_token").exists() {
        add("OneDrive", home.join("OneDrive"));
    }
    roots
}

/// `info.json` of Dropbox: an object of accounts, each with its `path`.
fn dropbox(text: &str) -> Vec<PathBuf> {
    let Ok(serde_json::Value::Object(accounts)) = serde_json::from_str(text) else {
        return Vec::new();
    };
    accounts
        .values()
        .filter_map(|account| Some(PathBuf::from(account.get("path")?.as_str()?)))
        .collect()
}

fn expand(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(below) => home.join(below),
        None => PathBuf::from(path),
    }
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    let opened =
        File::open(path).map(|file| file.take(LARGEST_CONFIGURATION).read_to_end(&mut bytes));
    match opened {
        Ok(Ok(_)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    }
}

/// The client whose file lies in `folder`.
pub(super) fn marked(folder: &Path) -> Option<&'static str> {
    const FIXED: &[(&str, &str)] = &[
        (".dropbox.cache", "Dropbox"),
        (".dropbox", "Dropbox"),
        (".owncloudsync.log", "ownCloud"),
        (".nextcloudsync.log", "Nextcloud"),
        (".megaignore", "MEGA"),
    ];
    let fixed = FIXED.iter().find(|(name, _)| {
        // In a home, `.dropbox` is the client's settings, a folder; in a managed folder it is a file.
        fs::symlink_metadata(folder.join(name))
            .is_ok_and(|found| *name != ".dropbox" || found.is_file())
    });
    if let Some((_, provider)) = fixed {
        return Some(provider);
    }
    // The journal of Nextcloud and ownCloud carries a hash in its name.
    let journal = fs::read_dir(folder)
        .ok()?
        .take(MOST_ENTRIES)
        .flatten()
        .any(|entry| {
            let name = entry.file_name();
            let name = name.as_bytes();
            (name.starts_with(b".sync_") || name.starts_with(b"._sync_")) && name.ends_with(b".db")
        });
    journal.then_some("Nextcloud")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn configurations_name_their_folders() {
        let home = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = home.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(configured(home.path()).is_empty());
        write(
            ".dropbox/info.json",
            r#"{"personal": {"path": "/data/Dropbox", "host": 1}, "business": {"path": "/data/Team"}, "odd": 3}"#,
        );
        write(
            ".config/Nextcloud/nextcloud.cfg",
            "[Accounts]\n0\\Folders\\1\\localPath=/data/Next Cloud/\n0\\Folders\\1\\paused=false\nlocalPath=relative\n",
        );
        write(
            ".config/onedrive/config",
            "# comment\nsync_dir = \"~/One\"\n",
        );
        let roots = configured(home.path());
        let expected = [
            ("Dropbox", PathBuf::from("/data/Team")),
            ("Dropbox", PathBuf::from("/data/Dropbox")),
            ("Nextcloud", PathBuf::from("/data/Next Cloud/")),
            ("OneDrive", home.path().join("One")),
        ];
        assert_eq!(roots.len(), expected.len(), "{roots:?}");
        for (provider, root) in expected {
            assert!(roots.contains(&CloudRoot { provider, root }), "{roots:?}");
        }
    }

    #[test]
    fn broken_configurations_are_no_configurations() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".dropbox")).unwrap();
        for text in [
            "",
            "{",
            "[1, 2]",
            r#"{"a": {"path": 7}}"#,
            r#"{"a": {"path": "/"}}"#,
            "\u{0}\u{1}",
        ] {
            fs::write(home.path().join(".dropbox/info.json"), text).unwrap();
            assert!(configured(home.path()).is_empty(), "{text}");
        }
    }

    #[test]
    fn markers_are_seen_in_their_folder_alone() {
        let home = tempfile::tempdir().unwrap();
        for (name, provider) in [
            (".dropbox.cache", "Dropbox"),
            (".owncloudsync.log", "ownCloud"),
            ("._sync_0a1b2c.db", "Nextcloud"),
            (".sync_0a1b2c.db", "Nextcloud"),
            (".megaignore", "MEGA"),
        ] {
            let folder = home.path().join(provider).join(name.trim_matches('.'));
            fs::create_dir_all(folder.join("below")).unwrap();
            assert_eq!(marked(&folder), None);
            fs::write(folder.join(name), "").unwrap();
            assert_eq!(marked(&folder), Some(provider), "{name}");
            assert_eq!(marked(&folder.join("below")), None);
        }
        fs::create_dir(home.path().join(".dropbox")).unwrap();
        assert_eq!(marked(home.path()), None, "the settings in a home");
        assert_eq!(marked(&home.path().join("none")), None);
    }
}

//! Folders that a sync client manages, as its own files tell.
//!
//! Two signs: the client's configuration in the user's home names its folders, and most clients keep a file of
//! their own in the top folder. Both are read on trusted storage only.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Configuration files are far smaller.
const LARGEST_CONFIGURATION: u64 = 256 * 1024;
/// How many entries of a folder are looked through for a client's file.
const MOST_ENTRIES: usize = 4096;

/// A folder a client manages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CloudRoot {
    pub(crate) provider: &'static str,
    pub(crate) root: PathBuf,
}

/// The folders that clients of this user are set up for.
pub(crate) fn configured(home: &Path) -> Vec<CloudRoot> {
    let mut roots = Vec::new();
    let mut add = |provider, root: PathBuf| {
        if root.is_absolute() && root.parent().is_some() {
            roots.push(CloudRoot { provider, root });
        }
    };
    for file in places(home, DROPBOX) {
        for root in dropbox(&read(&file)) {
            add("Dropbox", root);
        }
    }
    for (provider, place) in [("Nextcloud", NEXTCLOUD), ("ownCloud", OWNCLOUD)] {
        for file in places(home, place) {
            for line in read(&file).lines() {
                if let Some((key, value)) = line.split_once('=')
                    && key.trim().ends_with("localPath")
                {
                    add(provider, PathBuf::from(value.trim()));
                }
            }
        }
    }
    for (provider, root) in told_by_the_system(home) {
        add(provider, root);
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

/// Where clients keep their settings, below a home.
#[cfg(not(any(windows, target_os = "macos")))]
const DROPBOX: &[&str] = &[".dropbox/info.json"];
#[cfg(not(any(windows, target_os = "macos")))]
const NEXTCLOUD: &[&str] = &[".config/Nextcloud/nextcloud.cfg"];
#[cfg(not(any(windows, target_os = "macos")))]
const OWNCLOUD: &[&str] = &[".config/ownCloud/owncloud.cfg"];
#[cfg(target_os = "macos")]
const DROPBOX: &[&str] = &[".dropbox/info.json"];
#[cfg(target_os = "macos")]
const NEXTCLOUD: &[&str] = &["Library/Preferences/Nextcloud/nextcloud.cfg"];
#[cfg(target_os = "macos")]
const OWNCLOUD: &[&str] = &["Library/Preferences/ownCloud/owncloud.cfg"];
#[cfg(windows)]
const DROPBOX: &[&str] = &[
    "AppData/Roaming/Dropbox/info.json",
    "AppData/Local/Dropbox/info.json",
];
#[cfg(windows)]
const NEXTCLOUD: &[&str] = &["AppData/Roaming/Nextcloud/nextcloud.cfg"];
#[cfg(windows)]
const OWNCLOUD: &[&str] = &["AppData/Roaming/ownCloud/owncloud.cfg"];

fn places(home: &Path, below: &[&str]) -> Vec<PathBuf> {
    below.iter().map(|below| home.join(below)).collect()
}

/// Folders of providers that the system itself knows.
#[cfg(not(any(windows, target_os = "macos")))]
fn told_by_the_system(_home: &Path) -> Vec<(&'static str, PathBuf)> {
    Vec::new()
}

/// Folders of providers that the system itself knows: those of file providers lie together, and so do those of iCloud, which
/// may have taken in the user's desktop and documents.
#[cfg(target_os = "macos")]
fn told_by_the_system(home: &Path) -> Vec<(&'static str, PathBuf)> {
    let icloud = home.join("Library/Mobile Documents");
    let mut roots = vec![("cloud storage", home.join("Library/CloudStorage"))];
    for name in ["Desktop", "Documents"] {
        let taken_in = icloud.join("com~apple~CloudDocs").join(name);
        // What may not be looked at without the user's leave may be there.
        let looked = fs::symlink_metadata(taken_in);
        if !looked.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            roots.push(("iCloud", home.join(name)));
        }
    }
    roots.push(("iCloud", icloud));
    roots
}

/// Where clients that work by the system's cloud files register their folders: a key for each, `CLIENT!USER!ACCOUNT`.
#[cfg(windows)]
const SYNC_ROOTS: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\SyncRootManager";
/// Where OneDrive keeps its accounts.
#[cfg(windows)]
const ONEDRIVE: &str = r"Software\Microsoft\OneDrive\Accounts";

/// Folders of providers that the system itself knows: those that are registered with it, those of OneDrive's accounts, and
/// what OneDrive tells each program of its own.
#[cfg(windows)]
fn told_by_the_system(_home: &Path) -> Vec<(&'static str, PathBuf)> {
    use crate::registry::{Of, keys_below, text, texts};
    // What can't be read tells of nothing.
    let below = |of, key: &str| keys_below(of, key).unwrap_or_default();
    let mut roots = Vec::new();
    for client in below(Of::Machine, SYNC_ROOTS) {
        let folders = texts(
            Of::Machine,
            &format!(r"{SYNC_ROOTS}\{client}\UserSyncRoots"),
        );
        for folder in folders.unwrap_or_default() {
            roots.push((client_of(&client), PathBuf::from(folder)));
        }
    }
    for account in below(Of::User, ONEDRIVE) {
        if let Ok(Some(folder)) = text(&format!(r"{ONEDRIVE}\{account}"), "UserFolder") {
            roots.push(("OneDrive", PathBuf::from(folder)));
        }
    }
    for variable in ["OneDrive", "OneDriveConsumer", "OneDriveCommercial"] {
        if let Some(folder) = std::env::var_os(variable) {
            roots.push(("OneDrive", PathBuf::from(folder)));
        }
    }
    roots
}

/// The client that has registered a folder.
#[cfg(windows)]
fn client_of(key: &str) -> &'static str {
    const KNOWN: [(&str, &str); 6] = [
        ("OneDrive", "OneDrive"),
        ("Dropbox", "Dropbox"),
        ("iCloud", "iCloud"),
        ("Google", "Google Drive"),
        ("Nextcloud", "Nextcloud"),
        ("ownCloud", "ownCloud"),
    ];
    let known = KNOWN.iter().find(|(begins, _)| key.starts_with(begins));
    known.map_or("cloud storage", |(_, name)| *name)
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
pub(crate) fn marked(folder: &Path) -> Option<&'static str> {
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
            let name = name.as_encoded_bytes();
            (name.starts_with(b".sync_") || name.starts_with(b"._sync_")) && name.ends_with(b".db")
        });
    journal.then_some("Nextcloud")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[cfg(target_os = "linux")]
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

    #[cfg(windows)]
    #[test]
    fn configurations_name_their_folders() {
        let home = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = home.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "AppData/Local/Dropbox/info.json",
            r#"{"personal": {"path": "D:\\Dropbox", "host": 1}, "odd": {"path": "relative"}}"#,
        );
        write(
            "AppData/Roaming/Nextcloud/nextcloud.cfg",
            "0\\Folders\\1\\localPath=C:/Next Cloud/\r\n",
        );
        let roots = configured(home.path());
        for (provider, root) in [("Dropbox", r"D:\Dropbox"), ("Nextcloud", "C:/Next Cloud/")] {
            let root = PathBuf::from(root);
            assert!(roots.contains(&CloudRoot { provider, root }), "{roots:?}");
        }
        assert!(roots.iter().all(|cloud| cloud.root.is_absolute()));
    }

    #[cfg(windows)]
    #[test]
    fn accounts_of_onedrive_are_found_in_the_registry() {
        use crate::registry::{remove, remove_key, set_text};
        let account = format!(r"{ONEDRIVE}\mediafs-test-{}", std::process::id());
        set_text(&account, "UserFolder", r"C:\Users\a b\OneDrive - é").unwrap();
        let roots = configured(Path::new(r"C:\nobody"));
        remove(&account, "UserFolder").unwrap();
        remove_key(&account).unwrap();
        let root = PathBuf::from(r"C:\Users\a b\OneDrive - é");
        let provider = "OneDrive";
        assert!(roots.contains(&CloudRoot { provider, root }), "{roots:?}");
        let left = configured(Path::new(r"C:\nobody"));
        assert!(left.len() < roots.len(), "{left:?}");
    }

    #[cfg(windows)]
    #[test]
    fn clients_are_known_by_their_keys() {
        assert_eq!(client_of("OneDrive!S-1-5-21-1!Personal"), "OneDrive");
        assert_eq!(client_of("GoogleDriveFS!S-1!x"), "Google Drive");
        assert_eq!(client_of("Box!S-1!x"), "cloud storage");
    }

    #[test]
    fn broken_configurations_are_no_configurations() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(DROPBOX[0]);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        for text in [
            "",
            "{",
            "[1, 2]",
            r#"{"a": {"path": 7}}"#,
            r#"{"a": {"path": "/"}}"#,
            "\u{0}\u{1}",
        ] {
            fs::write(&file, text).unwrap();
            let found = configured(home.path());
            assert!(
                found.iter().all(|cloud| cloud.provider != "Dropbox"),
                "{text}"
            );
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

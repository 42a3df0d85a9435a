//! The few ways in which files of a project's folder are written, so that whoever copies the folder at any moment, or
//! finds it after a power cut, has a manifest that is whole.
//!
//! Used here for folders on trusted storage, and by couriers for others. Names are single names in the folder; no link is
//! followed.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mediafs_platform::files::{Positioned as _, forget_cached};
use mediafs_platform::folder::{Folder, Over};

/// What a file is to have for a name when it is whole.
pub(crate) struct Naming<'n> {
    /// Its name until then.
    pub(crate) from: &'n OsStr,
    /// Its name.
    pub(crate) to: &'n OsStr,
    /// Whether it takes the place of another file.
    pub(crate) replace: bool,
    /// That file stays under this name, in place of the one that had it.
    pub(crate) previous: Option<&'n OsStr>,
}

/// A name that nobody else has, for a file that is not whole yet.
pub(crate) fn temporary(of: &str) -> String {
    format!(".{of}.{}", uuid::Uuid::now_v7().simple())
}

/// Files of saves that are not whole after this long belong to nobody who still writes them.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Whether a name is one of [`temporary`], of a file that was begun long ago.
fn is_old_temporary(name: &OsStr) -> bool {
    let id = name.to_str().and_then(|name| {
        let name = name.strip_prefix('.')?;
        let (of, id) = name.rsplit_once('.')?;
        ["media.json", "previous"].contains(&of).then_some(id)
    });
    let id = id
        .filter(|id| id.len() == 32 && !id.contains(|c: char| c.is_ascii_uppercase()))
        .and_then(|id| uuid::Uuid::try_parse(id).ok());
    let begun = id.and_then(|id| id.get_timestamp()).map(|at| at.to_unix());
    let Some((seconds, nanoseconds)) = begun else {
        return false;
    };
    let begun = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    begun.elapsed().is_ok_and(|since| since > ABANDONED)
}

/// Removes what saves left that were killed.
pub(crate) fn clear_abandoned(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let old = entries
        .flatten()
        .filter(|entry| is_old_temporary(&entry.file_name()))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    for entry in old {
        if let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(%error, name = ?entry.file_name(), "a file that a killed save has left stays");
        }
    }
}

/// The text of a file, cut to `most` and one more, if there is one.
pub(crate) fn read(folder: &Path, name: &OsStr, most: u64) -> io::Result<Option<Vec<u8>>> {
    read_in(&Folder::open(folder)?, name, most)
}

fn read_in(folder: &Folder, name: &OsStr, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match folder.file(name, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Writes a part of a new file; the first one, at 0, makes it.
pub(crate) fn write_part(folder: &Path, name: &OsStr, offset: u64, part: &[u8]) -> io::Result<()> {
    let folder = Folder::open(folder)?;
    let file = if offset == 0 {
        folder.create(name, true)?
    } else {
        folder.file(name, true)?
    };
    file.write_all_at(part, offset)
}

/// Brings a file to the disk, and has the system forget what it remembers of its bytes: who reads it reads the disk.
pub(crate) fn settle(folder: &Path, name: &OsStr) -> io::Result<()> {
    let file = Folder::open(folder)?.file(name, true)?;
    file.sync_all()?;
    forget_cached(&file)
}

/// Brings a new file to the disk and gives it its name.
pub(crate) fn name_it(folder: &Path, naming: &Naming<'_>) -> io::Result<()> {
    let folder = Folder::open(folder)?;
    folder.file(naming.from, true)?.sync_all()?;
    let over = if naming.replace {
        if let Some(previous) = naming.previous {
            keep_previous(&folder, naming.to, previous)?;
        }
        Over::Anything
    } else {
        Over::Nothing
    };
    let named = folder.rename(naming.from, &folder, naming.to, over);
    if named.is_err() {
        let _ = folder.remove(naming.from);
    }
    named?;
    folder.sync()
}

/// Removes a file that got no name.
pub(crate) fn remove(folder: &Path, name: &OsStr) -> io::Result<()> {
    remove_in(&Folder::open(folder)?, name)
}

fn remove_in(folder: &Folder, name: &OsStr) -> io::Result<()> {
    match folder.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Writes a whole file and gives it its name.
pub(crate) fn put(
    folder: &Path,
    name: &str,
    text: &[u8],
    replace: bool,
    previous: Option<&str>,
) -> io::Result<()> {
    let temporary = OsString::from(temporary(name));
    let written = write_part(folder, &temporary, 0, text).and_then(|()| {
        name_it(
            folder,
            &Naming {
                from: &temporary,
                to: name.as_ref(),
                replace,
                previous: previous.map(OsStr::new),
            },
        )
    });
    if written.is_err() {
        let _ = remove(folder, &temporary);
    }
    written
}

/// Gives what has one name another, over no other file.
pub(crate) fn rename(folder: &Path, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let folder = Folder::open(folder)?;
    folder.rename(from, &folder, to, Over::Nothing)?;
    folder.sync()
}

/// The present file stays under another name too: there is no moment without it, nor without the one before.
fn keep_previous(folder: &Folder, name: &OsStr, previous: &OsStr) -> io::Result<()> {
    let kept = OsString::from(temporary("previous"));
    match folder.link(name, &kept) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let Some(text) = read_in(folder, name, u64::MAX - 1)? else {
                return Ok(());
            };
            let mut file = folder.create(&kept, true)?;
            file.write_all(&text)?;
            file.sync_all()?;
        }
        Err(error) => return Err(error),
    }
    folder.rename(&kept, folder, previous, Over::Anything)?;
    // Where both were the same file already, that did nothing.
    remove_in(folder, &kept)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_killed_saves_have_left_long_ago_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let begun = |seconds_ago: u64| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let at = now.unwrap() - Duration::from_secs(seconds_ago);
            let at = uuid::Timestamp::from_unix(uuid::NoContext, at.as_secs(), 0);
            uuid::Uuid::new_v7(at).simple().to_string()
        };
        let old = [
            format!(".media.json.{}", begun(4000)),
            format!(".previous.{}", begun(100_000)),
        ];
        let kept = [
            temporary("media.json"),
            format!(".media.json.{}", begun(3000)),
            // No time is in this one, and these are names of nobody's but the user.
            format!(".media.json.{}", uuid::Uuid::nil().simple()),
            format!(".notes.{}", begun(4000)),
            format!("media.json.{}", begun(4000)),
            ".media.json.backup".to_owned(),
            "media.json".to_owned(),
        ];
        for name in old.iter().chain(&kept) {
            std::fs::write(folder.path().join(name), "{").unwrap();
        }
        clear_abandoned(folder.path());
        for name in &old {
            assert!(!folder.path().join(name).exists(), "{name}");
        }
        for name in &kept {
            assert!(folder.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn what_is_replaced_stays_as_the_previous_one_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for text in ["one", "two", "three"] {
            put(
                at,
                "media.json",
                text.as_bytes(),
                true,
                Some("media.json.previous"),
            )
            .unwrap();
        }
        let text = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
        assert_eq!(text("media.json"), "three");
        assert_eq!(text("media.json.previous"), "two");
        assert_eq!(std::fs::read_dir(at).unwrap().count(), 2);
        // A crash between the two names leaves them the same file.
        std::fs::remove_file(at.join("media.json.previous")).unwrap();
        std::fs::hard_link(at.join("media.json"), at.join("media.json.previous")).unwrap();
        put(at, "media.json", b"four", true, Some("media.json.previous")).unwrap();
        assert_eq!(text("media.json.previous"), "three");
        assert_eq!(std::fs::read_dir(at).unwrap().count(), 2);
    }

    #[test]
    fn nothing_is_named_over_another_file_nor_is_a_link_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        put(at, "a", b"1", false, None).unwrap();
        assert!(put(at, "a", b"2", false, None).is_err());
        put(at, "b", b"2", false, None).unwrap();
        assert!(rename(at, "b".as_ref(), "a".as_ref()).is_err());
        assert_eq!(std::fs::read(at.join("a")).unwrap(), b"1");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/etc/passwd", at.join("l")).unwrap();
            assert!(read(at, "l".as_ref(), 100).is_err());
            std::fs::remove_file(at.join("l")).unwrap();
        }
        assert_eq!(std::fs::read_dir(at).unwrap().count(), 2);
        assert_eq!(read(at, "a".as_ref(), 0).unwrap().unwrap().len(), 1);
        assert!(read(at, "nothing".as_ref(), 0).unwrap().is_none());
    }
}

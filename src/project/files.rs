//! The few ways in which files of a project's folder are written, so that whoever copies the folder at any moment, or
//! finds it after a power cut, has a manifest that is whole.
//!
//! Used here for folders on trusted storage, and by couriers for others. Names are single names in the folder; no link is
//! followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

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

/// Files that are not whole after this long belong to nobody who still writes them, unless they are locked.
const ABANDONED: Duration = Duration::from_secs(10);

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

/// Removes what saves left that were killed. Who writes one holds its lock.
pub(crate) fn clear_abandoned(folder: &Path) {
    let (Ok(fd), Ok(entries)) = (open_folder(folder), std::fs::read_dir(folder)) else {
        return;
    };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    for name in names.filter(|name| is_old_temporary(name)) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&fd, &name, flags, Mode::empty()).map(File::from) else {
            continue;
        };
        if file.metadata().is_ok_and(|file| file.is_file())
            && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && let Err(error) = rustix::fs::unlinkat(&fd, &name, AtFlags::empty())
        {
            tracing::warn!(%error, ?name, "a file that a killed save has left stays");
        }
    }
}

/// The text of a file, cut to `most` and one more, if there is one.
pub(crate) fn read(folder: &Path, name: &OsStr, most: u64) -> io::Result<Option<Vec<u8>>> {
    read_in(&open_folder(folder)?, name, most)
}

fn read_in(folder: &OwnedFd, name: &OsStr, most: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(opened) => File::from(opened),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a link, and none is followed")),
        Err(error) => return Err(error.into()),
    };
    if !opened.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut text = Vec::new();
    opened.take(most.saturating_add(1)).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Writes a part of a new file; the first one, at 0, makes it.
pub(crate) fn write_part(folder: &Path, name: &OsStr, offset: u64, part: &[u8]) -> io::Result<()> {
    let mut flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if offset == 0 {
        flags |= OFlags::CREATE | OFlags::EXCL;
    }
    let folder = open_folder(folder)?;
    let mode = Mode::from_raw_mode(0o644);
    File::from(rustix::fs::openat(&folder, name, flags, mode)?).write_all_at(part, offset)
}

/// Brings a new file to the disk and gives it its name.
pub(crate) fn name_it(folder: &Path, naming: &Naming<'_>) -> io::Result<()> {
    let folder = open_folder(folder)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(
        &folder,
        naming.from,
        flags,
        Mode::empty(),
    )?);
    file.sync_all()?;
    let named = if naming.replace {
        if let Some(previous) = naming.previous {
            keep_previous(&folder, naming.to, previous)?;
        }
        rustix::fs::renameat(&folder, naming.from, &folder, naming.to).map_err(io::Error::from)
    } else {
        name_over_nothing(&folder, naming.from, naming.to)
    };
    if named.is_err() {
        let _ = rustix::fs::unlinkat(&folder, naming.from, AtFlags::empty());
    }
    named?;
    sync_folder(&folder)
}

/// Removes a file that got no name.
pub(crate) fn remove(folder: &Path, name: &OsStr) -> io::Result<()> {
    let folder = open_folder(folder)?;
    match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
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
    let written = write_locked(folder, &temporary, text).and_then(|_lock| {
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

/// Writes a new file, which is locked until what is given goes.
fn write_locked(folder: &Path, name: &OsStr, text: &[u8]) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    let mut file = File::from(rustix::fs::openat(open_folder(folder)?, name, flags, mode)?);
    // Where there are no locks, its age keeps it.
    let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    file.write_all(text)?;
    Ok(file)
}

/// Gives what has one name another, over no other file.
pub(crate) fn rename(folder: &Path, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let folder = open_folder(folder)?;
    name_over_nothing(&folder, from, to)?;
    sync_folder(&folder)
}

/// The present file stays under another name too: there is no moment without it, nor without the one before.
fn keep_previous(folder: &OwnedFd, name: &OsStr, previous: &OsStr) -> io::Result<()> {
    let kept = temporary("previous");
    match rustix::fs::linkat(folder, name, folder, &kept, AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(()),
        // FAT, and programs that serve file systems, have no second names.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            let Some(text) = read_in(folder, name, u64::MAX - 1)? else {
                return Ok(());
            };
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(0o644);
            let mut file = File::from(rustix::fs::openat(folder, &kept, flags, mode)?);
            file.write_all(&text)?;
            file.sync_all()?;
        }
        Err(error) => return Err(error.into()),
    }
    rustix::fs::renameat(folder, &kept, folder, previous)?;
    // Where both were the same file already, that did nothing.
    match rustix::fs::unlinkat(folder, &kept, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn name_over_nothing(folder: &OwnedFd, from: &OsStr, to: &OsStr) -> io::Result<()> {
    match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        other => return Ok(other?),
    }
    match rustix::fs::linkat(folder, from, folder, to, AtFlags::empty()) {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
        Ok(()) => return Ok(rustix::fs::unlinkat(folder, from, AtFlags::empty())?),
    }
    // Then there is a moment in which another's may come.
    match rustix::fs::statat(folder, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(Errno::NOENT) => Ok(rustix::fs::renameat(folder, from, folder, to)?),
        Err(error) => Err(error.into()),
    }
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::empty())?)
}

fn sync_folder(folder: &OwnedFd) -> io::Result<()> {
    match rustix::fs::fsync(folder) {
        // Some file systems of programs can't.
        Ok(()) | Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
    fn what_killed_saves_have_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let old = "0192f0c1000070008000000000000001";
        let left = [format!(".media.json.{old}"), format!(".previous.{old}")];
        let own = [
            format!(".media.json.{}", &old[1..]),
            format!(".mine.{old}"),
            format!("media.json.{old}"),
            ".media.json.bak".to_owned(),
            temporary("media.json"),
        ];
        for name in left.iter().chain(&own) {
            std::fs::write(at.join(name), "x").unwrap();
        }
        let written = at.join(".media.json.0192f0c1000070008000000000000002");
        let lock = write_locked(at, written.file_name().unwrap(), b"x").unwrap();
        clear_abandoned(at);
        for name in &left {
            assert!(!at.join(name).exists(), "{name}");
        }
        for name in &own {
            assert!(at.join(name).exists(), "{name}");
        }
        assert!(written.exists(), "it is being written");
        drop(lock);
        clear_abandoned(at);
        assert!(!written.exists());
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
        std::os::unix::fs::symlink("/etc/passwd", at.join("l")).unwrap();
        assert!(read(at, "l".as_ref(), 100).is_err());
        assert_eq!(std::fs::read_dir(at).unwrap().count(), 3);
        assert_eq!(read(at, "a".as_ref(), 0).unwrap().unwrap().len(), 1);
        assert!(read(at, "nothing".as_ref(), 0).unwrap().is_none());
    }
}

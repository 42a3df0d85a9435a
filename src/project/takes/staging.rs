//! The files that takes are written to: where they are, made and opened there and nowhere else.
//!
//! In the project's folder if that is on trusted storage, so that a take becomes final by a rename; else in the home. A
//! file is named `<mediaId> <name>`: it says by itself what it is, should the catalog be lost. What lies in a project may
//! come from a stranger, so nothing is followed there.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use mediafs_platform::folder::{Folder, Kind};

use crate::catalog::{BaseRow, CatalogError, Reader, TakeRow};
use crate::model::{MediaId, shown_name, split_extension};

/// In a project's folder.
pub(crate) const IN_PROJECT: &str = ".mediafs-takes";
/// In the home.
const IN_HOME: &str = "Takes";
/// Longest name behind the id, in bytes: with the longest id and a number it fits everywhere.
const LONGEST_NAME: usize = 160;

/// Where the takes of a base, or of the home where there is none, are written.
pub(super) fn folder(home: &Path, base: Option<&BaseRow>) -> PathBuf {
    match base {
        Some(base) => base.path.join(IN_PROJECT),
        None => home.join(IN_HOME),
    }
}

/// The file of a take; `None` where its project is not on trusted storage any more.
pub(super) fn path_of(
    reader: &Reader,
    home: &Path,
    take: &TakeRow,
) -> Result<Option<PathBuf>, CatalogError> {
    let base = match take.base {
        None => None,
        Some(base) => match reader.base(base)? {
            Some(base) if base.source.is_none() => Some(base),
            _ => return Ok(None),
        },
    };
    Ok(Some(folder(home, base.as_ref()).join(&take.file)))
}

/// The name of the file of a take.
pub(super) fn file_name(id: &MediaId, name: &str) -> String {
    let safe = shown_name(name);
    let (stem, extension) = split_extension(&safe);
    let room = LONGEST_NAME.saturating_sub(extension.len().min(32) + 1);
    let mut end = stem.len().min(room);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    let stem = stem.get(..end).unwrap_or_default();
    if extension.is_empty() || extension.len() > 32 {
        format!("{id} {stem}")
    } else {
        format!("{id} {stem}.{extension}")
    }
}

/// What the copy of a take is called until it has its name, behind what all temporary files are called.
pub(crate) fn copy_name(id: &MediaId) -> String {
    format!("take-{id}.part")
}

/// What the name of a file says of the take that it is; `None` where it is none.
pub(super) fn parse(file: &OsStr) -> Option<(MediaId, &str)> {
    let (id, name) = file.to_str()?.split_once(' ')?;
    let id = id.parse().ok()?;
    (!name.is_empty()).then_some((id, name))
}

/// Makes an empty file in the folder, which is made where it is not there. Both are on the disk then.
pub(super) fn create(folder: &Path, file: &str) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Ok(()) => {
            if let Some(parent) = folder.parent() {
                Folder::open(parent)?.sync()?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let folder = Folder::open_itself(folder)?;
    folder.create(file.as_ref(), true)?.sync_all()?;
    folder.sync()
}

/// Opens a take's file, which must be a regular file in its folder.
pub(super) fn open(path: &Path, write: bool) -> io::Result<File> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    Folder::open_itself(parent)?.file(name, write)
}

/// The files in a folder for takes, with their sizes; none where it is not there.
pub(super) fn list(folder: &Path) -> io::Result<Vec<String>> {
    let opened = match Folder::open_itself(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut found: Vec<String> = opened
        .entries()?
        .into_iter()
        .filter(|(_, kind)| *kind == Kind::File)
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_say_what_they_are() {
        let id: MediaId = "take-1".parse().unwrap();
        let named = |name: &str| file_name(&id, name);
        assert_eq!(named("Lead Vox.wav"), "take-1 Lead Vox.wav");
        assert_eq!(named("a/b\n.wav"), "take-1 a%2Fb%0A.wav");
        let long = named(&format!("{}.wav", "ä".repeat(2000)));
        assert!(long.len() <= 255 && long.ends_with(".wav"), "{long}");
        let (found, name) = parse(OsStr::new("take-1 Lead Vox.wav")).unwrap();
        assert_eq!((found, name), (id, "Lead Vox.wav"));
        for other in ["take-1", "take-1 ", "a/b c", ".hidden x", ""] {
            assert!(parse(OsStr::new(other)).is_none(), "{other:?}");
        }
    }

    #[test]
    fn nothing_is_followed_or_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(IN_HOME);
        create(&folder, "a b.wav").unwrap();
        assert!(create(&folder, "a b.wav").is_err());
        assert!(open(&folder.join("a b.wav"), true).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            std::fs::write(home.path().join("secret"), "x").unwrap();
            symlink("../secret", folder.join("link")).unwrap();
            assert!(open(&folder.join("link"), true).is_err());
            symlink(&folder, home.path().join("linked")).unwrap();
            assert!(open(&home.path().join("linked/a b.wav"), false).is_err());
        }
        assert_eq!(list(&folder).unwrap(), ["a b.wav"]);
        assert!(list(&home.path().join("nothing")).unwrap().is_empty());
    }
}

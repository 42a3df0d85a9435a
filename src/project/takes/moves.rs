//! Moves of takes that did not come to their end, because whoever made a take final died.
//!
//! Before a take's file is renamed, or the copy of it where another file system is, the catalog has a note of where that
//! will be, and of its inode; the copy is noted as soon as there is something of it. By that note a take that is not final
//! gets its file back, or is rid of the copy; one that is final is rid of its first file. What can't be told for certain
//! stays, with the note: a disk that is away now may be there at the next look.

use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use mediafs_platform::files::{self, Identity};
use mediafs_platform::names;

use super::{Takes, copy_name, staging};
use crate::catalog::{Catalog, CatalogError, Durability};
use crate::library::TEMPORARY;
use crate::model::MediaId;

/// A move that was noted.
struct Move {
    /// The file that was written to.
    staging: PathBuf,
    target: PathBuf,
    /// What the copy is called before it is called as the target.
    temporary: PathBuf,
    inode: u64,
}

/// Finishes or undoes moves. To be called before anybody looks at the folders of libraries and projects: there such a file
/// would seem to be a new one. Only folders that `may_touch` says yes to are touched.
pub(crate) fn settle_moves(
    catalog: &Catalog,
    takes: &Takes,
    may_touch: &dyn Fn(&Path) -> bool,
) -> Result<(), CatalogError> {
    let reader = catalog.reader()?;
    let mut settled = Vec::new();
    for take in reader.list_takes(0, u32::MAX)? {
        let (Some((target, inode)), Some(item)) = (take.target.clone(), reader.item(take.item)?)
        else {
            continue;
        };
        let Some(staging) = takes.path_of(&reader, &take)? else {
            continue;
        };
        let both = [&staging, &target];
        if !both.iter().all(|file| file.parent().is_some_and(may_touch)) {
            continue;
        }
        let noted = Move::new(staging, target, inode, &item.media_id);
        let is_settled = match item.is_final() {
            true => noted.is_finished(),
            false => noted.is_undone(),
        };
        if is_settled {
            settled.push(take.item);
        }
    }
    drop(reader);
    if settled.is_empty() {
        return Ok(());
    }
    catalog.write(Durability::Full, |writer| {
        for item in &settled {
            writer.set_take_target(*item, None)?;
        }
        Ok(())
    })
}

impl Move {
    fn new(staging: PathBuf, target: PathBuf, inode: u64, id: &MediaId) -> Self {
        let mut name = TEMPORARY.to_vec();
        name.extend_from_slice(copy_name(id).as_bytes());
        Self {
            temporary: target.with_file_name(names::lossy(name)),
            staging,
            target,
            inode,
        }
    }

    /// Gives a take that is not final its file back; whether it has it, and nothing else is left of the move.
    fn is_undone(&self) -> bool {
        let (Ok(first), Ok(first_is)) = (
            self.staging.symlink_metadata(),
            files::identity(&self.staging),
        ) else {
            return self.is_noted(&self.target).is_some() && self.put_back();
        };
        // A rename that did not come to be, unless the copy has by chance the same number on its disk.
        let mut is_undone = first_is.inode == self.inode;
        for path in [&self.target, &self.temporary] {
            let Some((found, is)) = self.is_noted(path) else {
                continue;
            };
            // By a second name, where the file system can't do without; or ours by its name, whole or not.
            let is_ours = is == first_is
                || *path == self.temporary
                || is_copy(&self.staging, &first, path, &found);
            if is_ours {
                is_undone = remove(path);
            }
        }
        is_undone
    }

    /// Removes the first file of a take whose copy is final; whether it is gone.
    fn is_finished(&self) -> bool {
        let first = match self.staging.symlink_metadata() {
            Ok(first) => first,
            Err(_) => return self.staging.parent().is_some_and(Path::is_dir),
        };
        let copy = self.is_noted(&self.target);
        copy.is_some_and(|(copy, _)| is_copy(&self.staging, &first, &self.target, &copy))
            && remove(&self.staging)
    }

    /// The file that was noted, if it is there.
    fn is_noted(&self, path: &Path) -> Option<(Metadata, Identity)> {
        let found = path.symlink_metadata().ok()?;
        let is = files::identity(path).ok()?;
        (found.is_file() && is.inode == self.inode).then_some((found, is))
    }

    fn put_back(&self) -> bool {
        match std::fs::rename(&self.target, &self.staging) {
            Ok(()) => {
                tracing::info!(file = %self.staging.display(), "a take that was not final yet is back");
                true
            }
            Err(error) => {
                tracing::error!(file = %self.target.display(), %error, "a take could not be put back");
                false
            }
        }
    }
}

fn remove(path: &Path) -> bool {
    let removed = std::fs::remove_file(path).and_then(|()| match path.parent() {
        Some(folder) => files::sync_folder(folder),
        None => Ok(()),
    });
    match removed {
        Ok(()) => {
            tracing::info!(file = %path.display(), "what was left of a move of a take is gone");
            true
        }
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "what is left of a move of a take stays");
            false
        }
    }
}

/// A copy has the size and the time of what was copied; where a file system keeps times less exactly, the bytes decide.
fn is_copy(first: &Path, seen: &Metadata, copy: &Path, found: &Metadata) -> bool {
    let time = |seen: &Metadata| seen.modified().ok();
    seen.len() == found.len()
        && (time(seen) == time(found) || have_same_bytes(first, copy).unwrap_or(false))
}

fn have_same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    const PIECE: usize = 1 << 20;
    let (mut one, mut other) = (staging::open(one, false)?, staging::open(other, false)?);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    loop {
        for (file, piece) in [(&mut one, &mut first), (&mut other, &mut second)] {
            piece.clear();
            file.take(PIECE as u64).read_to_end(piece)?;
        }
        if first != second {
            return Ok(false);
        }
        if first.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;

    use super::*;

    /// A noted move of a take in a folder of its own, with nothing of it there yet.
    fn noted(folder: &Path) -> Move {
        let id: MediaId = "take-1".parse().unwrap();
        Move::new(folder.join("first"), folder.join("Lead.wav"), 0, &id)
    }

    fn at(seconds: u64) -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
    }

    fn put(path: &Path, bytes: &[u8], seconds: u64) -> u64 {
        std::fs::write(path, bytes).unwrap();
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(at(seconds))
            .unwrap();
        files::identity(path).unwrap().inode
    }

    #[test]
    fn a_copy_goes_and_what_is_none_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut noted = noted(folder.path());
        put(&noted.staging, b"sound", 1);
        // Of a file system that keeps times less exactly: its bytes tell.
        noted.inode = put(&noted.target, b"sound", 2);
        assert!(noted.is_undone() && !noted.target.exists());
        noted.inode = put(&noted.target, b"other", 2);
        assert!(!noted.is_undone() && noted.target.exists());
        // Another file than the one that was noted.
        noted.inode += 1_000_000;
        put(&noted.target, b"sound", 1);
        assert!(!noted.is_undone() && noted.target.exists());
        // Half of it, under the name that only ours have.
        noted.inode = put(&noted.temporary, b"so", 3);
        assert!(noted.is_undone() && !noted.temporary.exists());
        assert_eq!(std::fs::read(&noted.staging).unwrap(), b"sound");
    }

    #[test]
    fn the_first_file_goes_only_where_its_copy_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut noted = noted(folder.path());
        put(&noted.staging, b"sound", 1);
        assert!(!noted.is_finished() && noted.staging.exists());
        noted.inode = put(&noted.target, b"other", 2);
        assert!(!noted.is_finished() && noted.staging.exists());
        noted.inode = put(&noted.target, b"sound", 2);
        assert!(noted.is_finished() && !noted.staging.exists() && noted.target.exists());
        assert!(noted.is_finished());
        // On a disk that is away it may be there.
        noted.staging = folder.path().join("away/first");
        assert!(!noted.is_finished());
    }

    #[test]
    fn a_second_name_of_the_same_file_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut noted = noted(folder.path());
        noted.inode = put(&noted.staging, b"sound", 1);
        std::fs::hard_link(&noted.staging, &noted.target).unwrap();
        assert!(noted.is_undone() && noted.staging.exists() && !noted.target.exists());
    }
}

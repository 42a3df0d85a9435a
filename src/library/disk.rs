//! Looking at files on trusted storage without leaving their base: folders, files and links beneath its root.
//!
//! Everything is opened relative to the root's own folder and never through a symbolic link or into another file
//! system by accident, so what is listed is what lies in the folder the user named (`platform::disk`). Gives plain facts
//! to the sweep, the prober, the hasher and the import, in the catalog's terms. `folder` puts this and what couriers tell
//! behind one type: only couriers themselves, and who knows that a folder is on trusted storage, take these types as they
//! are.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use mediafs_platform::beneath::{self, Kind};
use mediafs_platform::disk::{Folder, Look, Mounts};

pub(super) use mediafs_platform::disk::NoFolder;

use crate::catalog::Evidence;

/// What an entry of a folder is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A FIFO, socket or device, in words.
    Other(Cow<'static, str>),
}

impl From<Kind> for Entry {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Folder => Self::Folder,
            Kind::File => Self::File,
            Kind::Symlink => Self::Link,
            Kind::Fifo | Kind::Socket | Kind::Device | Kind::Other => {
                Self::Other(kind.to_string().into())
            }
        }
    }
}

/// What the disk says of one entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    /// What it is.
    pub(super) entry: Entry,
    /// Its evidence.
    pub(super) evidence: Evidence,
    /// The number of the mount that it is on; 0 where the system can't tell.
    pub(super) mount: u64,
}

impl From<(Kind, beneath::Evidence)> for Seen {
    fn from((kind, seen): (Kind, beneath::Evidence)) -> Self {
        Self {
            entry: kind.into(),
            evidence: seen.into(),
            mount: seen.mount.unwrap_or(0),
        }
    }
}

/// The folder at the top of a base.
#[derive(Debug)]
pub(super) struct LocalRoot(LocalFolder);

/// An open folder.
#[derive(Debug)]
pub(super) struct LocalFolder(Folder);

impl LocalRoot {
    /// Opens the folder at the absolute path `path`; `NotFound` where it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(LocalFolder(Folder::open(path)?)))
    }

    /// What the disk says of the root itself.
    pub(super) fn evidence(&self) -> io::Result<Evidence> {
        self.0.evidence()
    }

    /// The folder at `relative`, which was vetted part by part before: mounts within are crossed.
    pub(super) fn folder(&self, relative: &Path) -> Result<LocalFolder, NoFolder> {
        self.0.0.below(relative, Mounts::Crossed).map(LocalFolder)
    }

    /// The folder at `relative`, if all of the way to it is on the root's own file system.
    pub(super) fn folder_here(&self, relative: &Path) -> Result<LocalFolder, NoFolder> {
        self.0.0.below(relative, Mounts::Refused).map(LocalFolder)
    }

    /// Opens the regular file at `relative` for reading.
    pub(super) fn file(&self, relative: &Path) -> io::Result<(File, Evidence)> {
        let (file, seen) = self.0.0.file(relative)?;
        Ok((file, seen.into()))
    }
}

impl LocalFolder {
    /// What the disk says of the folder itself.
    pub(super) fn evidence(&self) -> io::Result<Evidence> {
        Ok(self.seen()?.evidence)
    }

    /// The same, with all that is seen.
    pub(super) fn seen(&self) -> io::Result<Seen> {
        Ok(self.0.seen()?.into())
    }

    /// An extended attribute of `name` in it, at most some of it; `None` where it has none of that name. Links are not
    /// followed, and the file is not opened.
    pub(super) fn attribute(&self, name: &OsStr, attribute: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.attribute(name, attribute)
    }

    /// The folder `name` in it, on the same file system unless `crossing`.
    pub(super) fn folder(&self, name: &OsStr, crossing: bool) -> Result<Self, NoFolder> {
        let mounts = if crossing {
            Mounts::Crossed
        } else {
            Mounts::Refused
        };
        self.0.below(Path::new(name), mounts).map(Self)
    }

    /// What the disk says of `name` in it; `None` where there is nothing of that name. Links are not followed, and
    /// nothing is asked of another file system that is mounted there: that may hang. It is told as a folder, which
    /// can't be opened on this one.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<Seen>> {
        Ok(self.0.look(name)?.map(|look| match look {
            Look::Seen(kind, seen) => (kind, seen).into(),
            Look::OtherFileSystem => Seen {
                entry: Entry::Folder,
                evidence: Evidence::NONE,
                mount: 0,
            },
        }))
    }

    /// Where the link `name` points, as written.
    pub(super) fn link(&self, name: &OsStr) -> io::Result<OsString> {
        self.0.target(name)
    }

    /// Opens the regular file `name` in it for reading.
    pub(super) fn file(&self, name: &OsStr) -> io::Result<(File, Evidence)> {
        let (file, seen) = self.0.file(Path::new(name))?;
        Ok((file, seen.into()))
    }

    /// Makes the folder `name` in it, if it is not there, and opens it; one on which another file system is mounted only
    /// where that `may_cross`.
    pub(super) fn make_folder(
        &self,
        name: &OsStr,
        may_cross: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Self> {
        if self.0.make(name)? {
            self.sync()?;
        }
        let opened = match self.folder(name, false) {
            Err(NoFolder::OtherFileSystem) => {
                may_cross()?;
                self.folder(name, true)
            }
            opened => opened,
        };
        match opened {
            Ok(folder) => Ok(folder),
            Err(NoFolder::Failed(error)) => Err(error),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                "something else has the name of a folder that is needed",
            )),
        }
    }

    /// Makes the file `name` in it, which must not be there, and takes its lock. Only its owner may read it.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        self.0.create_locked(name)
    }

    /// Removes the file `name` if nobody holds its lock.
    pub(super) fn remove_abandoned(&self, name: &OsStr) -> io::Result<()> {
        self.0.remove_abandoned(name)
    }

    /// Removes the file `name`.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.0.remove(name)
    }

    /// Gives the file `from` the name `to`; `AlreadyExists` where something has it.
    pub(super) fn name_file(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        self.move_file(from, self, to)
    }

    /// Gives the file `from` of this folder the name `to` in another one; `AlreadyExists` where something has it.
    pub(super) fn move_file(&self, from: &OsStr, other: &Self, to: &OsStr) -> io::Result<()> {
        self.0.move_file(from, &other.0, to)
    }

    /// Brings the folder's list to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    /// Every entry but `.` and `..`; the kind where the file system tells it without a look at the entry.
    pub(super) fn entries(&self) -> io::Result<Vec<(OsString, Option<Entry>)>> {
        let entries = self.0.entries()?.into_iter();
        Ok(entries
            .map(|(name, kind)| (name, kind.map(Entry::from)))
            .collect())
    }
}

/// What the disk says of an open file, with all that is seen.
pub(super) fn seen_in(file: &File) -> io::Result<Seen> {
    Ok(beneath::evidence_of(file)?.into())
}

/// What the disk says of an open file.
pub(super) fn evidence_of(file: &File) -> io::Result<Evidence> {
    Ok(seen_in(file)?.evidence)
}

/// Whether a link in the folder `folder` (relative to its base) that points to `target` stays inside the base, told
/// without touching anything: only a relative target that climbs first and then goes down can be told for certain.
pub(super) fn stays_inside(folder: &Path, target: &OsStr) -> bool {
    use std::path::Component;
    let mut depth = folder.components().count();
    let mut climbing = true;
    let target = PathBuf::from(target);
    if target.as_os_str().is_empty() {
        return false;
    }
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if climbing && depth > 0 => depth -= 1,
            Component::Normal(_) => climbing = false,
            _ => return false,
        }
    }
    true
}

/// Lets the calling thread run only where nobody else wants the processor.
pub(super) fn lower_priority() {
    // A thread that stays at its priority still does its work.
    if let Err(error) = mediafs_platform::this_process::lower_priority() {
        tracing::debug!(%error, "a background thread keeps its normal priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_climb_out_are_told() {
        let folder = Path::new("Kits/808");
        for inside in [
            "kick.wav",
            "./kick.wav",
            "../909/kick.wav",
            "../../a",
            "a/b",
        ] {
            assert!(stays_inside(folder, OsStr::new(inside)), "{inside}");
        }
        for outside in ["/etc/passwd", "../../../a", "a/../../b", "a/..", ""] {
            assert!(!stays_inside(folder, OsStr::new(outside)), "{outside}");
        }
    }

    #[test]
    fn a_look_is_at_one_name() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("file"), b"12345")?;
        let opened = LocalRoot::open(folder.path())?.0;
        let look = |name: &str| opened.look(OsStr::new(name));
        let file = look("file")?.ok_or(io::ErrorKind::NotFound)?;
        assert_eq!((file.entry, file.evidence.size), (Entry::File, 5));
        assert!(look("nothing")?.is_none());
        Ok(())
    }

    /// Of what Unix alone has everywhere: links, and other file systems in the tree.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_look_follows_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        std::os::unix::fs::symlink("/proc", folder.path().join("link"))?;
        let opened = LocalRoot::open(folder.path())?.0;
        let link = opened.look(OsStr::new("link"))?;
        assert_eq!(link.map(|seen| seen.entry), Some(Entry::Link));
        // Where another file system is mounted, nothing is asked of that.
        let top = LocalRoot::open(Path::new("/"))?.0;
        let proc = top
            .look(OsStr::new("proc"))?
            .ok_or(io::ErrorKind::NotFound)?;
        assert_eq!((proc.entry, proc.evidence.inode), (Entry::Folder, 0));
        Ok(())
    }

    #[test]
    fn nothing_outside_the_root_can_be_opened() -> io::Result<()> {
        let outer = tempfile::tempdir()?;
        std::fs::write(outer.path().join("secret.wav"), b"x")?;
        std::fs::create_dir(outer.path().join("root"))?;
        let root = LocalRoot::open(&outer.path().join("root"))?;
        // Links need rights on Windows that a test can't count on.
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret.wav", outer.path().join("root/link.wav"))?;
            assert!(root.file(Path::new("link.wav")).is_err());
        }
        assert!(root.file(Path::new("../secret.wav")).is_err());
        assert!(matches!(
            root.folder(Path::new("..")),
            Err(NoFolder::OtherFileSystem)
        ));
        Ok(())
    }
}

//! Windows and macOS: paths are walked with the open folder of each step, and no link is followed.
//!
//! Where another file system begins is seen by its device, so its topmost folder is asked for that on macOS. On Windows
//! such a folder is a link, and refused as that.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Component, Path};

use super::{Look, Mounts, NoFolder};
use crate::beneath::{Evidence, Kind};
use crate::folder::{self, Over};

#[derive(Debug)]
pub(super) struct Folder(folder::Folder);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        folder::Folder::open_itself(path).map(Self)
    }

    pub(super) fn below(&self, relative: &Path, mounts: Mounts) -> Result<Self, NoFolder> {
        let mut at = self.0.again().map_err(why)?;
        let ours = device(&at).map_err(NoFolder::Failed)?;
        for part in relative.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(name) => {
                    at = at.folder(name).map_err(why)?;
                    if mounts == Mounts::Refused && device(&at).map_err(NoFolder::Failed)? != ours {
                        return Err(NoFolder::OtherFileSystem);
                    }
                }
                // It leads out.
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(NoFolder::OtherFileSystem);
                }
            }
        }
        Ok(Self(at))
    }

    pub(super) fn file(&self, relative: &Path) -> io::Result<File> {
        let name = relative.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let above = relative.parent().unwrap_or(Path::new(""));
        let folder = match self.below(above, Mounts::Crossed) {
            Ok(folder) => folder,
            Err(NoFolder::Absent) => return Err(io::ErrorKind::NotFound.into()),
            Err(NoFolder::NotAFolder) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(NoFolder::OtherFileSystem) => return Err(io::ErrorKind::CrossesDevices.into()),
            Err(NoFolder::Failed(error)) => return Err(error),
        };
        folder.0.file(name, false)
    }

    pub(super) fn seen(&self) -> io::Result<(Kind, Evidence)> {
        self.0.seen()
    }

    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<Look>> {
        let (kind, evidence) = match self.0.look(name) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if kind == Kind::Folder && evidence.device != device(&self.0)? {
            return Ok(Some(Look::OtherFileSystem));
        }
        Ok(Some(Look::Seen(kind, evidence)))
    }

    pub(super) fn attribute(&self, name: &OsStr, attribute: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.attribute(name, attribute)
    }

    pub(super) fn target(&self, name: &OsStr) -> io::Result<OsString> {
        self.0.target(name)
    }

    pub(super) fn make(&self, name: &OsStr) -> io::Result<()> {
        self.0.make(name)
    }

    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        self.0.create(name, false)
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.0.remove(name)
    }

    pub(super) fn move_file(&self, from: &OsStr, other: &Self, to: &OsStr) -> io::Result<()> {
        self.0.rename(from, &other.0, to, Over::Nothing)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    pub(super) fn entries(&self) -> io::Result<Vec<(OsString, Option<Kind>)>> {
        let entries = self.0.entries()?.into_iter();
        Ok(entries
            .map(|(name, kind)| {
                let kind = match kind {
                    folder::Kind::Folder => Some(Kind::Folder),
                    folder::Kind::File => Some(Kind::File),
                    folder::Kind::Link => Some(Kind::Symlink),
                    folder::Kind::Other => None,
                };
                (name, kind)
            })
            .collect())
    }
}

fn device(folder: &folder::Folder) -> io::Result<u64> {
    folder.seen().map(|(_, evidence)| evidence.device)
}

fn why(error: io::Error) -> NoFolder {
    match error.kind() {
        io::ErrorKind::NotFound => NoFolder::Absent,
        io::ErrorKind::NotADirectory => NoFolder::NotAFolder,
        _ => NoFolder::Failed(error),
    }
}

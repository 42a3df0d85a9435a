//! Windows: calls that take an open folder and a name. Files are replaced and removed as on other systems (at once, also
//! while they are open) where the file system can, else as it can.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};

use windows_sys::Wdk::Storage::FileSystem::{
    FILE_OPEN_REPARSE_POINT, FILE_RENAME_IGNORE_READONLY_ATTRIBUTE, FILE_RENAME_POSIX_SEMANTICS,
    FILE_RENAME_REPLACE_IF_EXISTS, FileLinkInformation, FileRenameInformation,
    FileRenameInformationEx,
};
use windows_sys::Win32::Foundation::{
    ERROR_CALL_NOT_IMPLEMENTED, ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER,
    ERROR_NOT_SUPPORTED,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_DISPOSITION_FLAG_DELETE,
    FILE_DISPOSITION_FLAG_IGNORE_READONLY_ATTRIBUTE, FILE_DISPOSITION_FLAG_POSIX_SEMANTICS,
    FILE_DISPOSITION_INFO, FILE_DISPOSITION_INFO_EX, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_INFO_BY_HANDLE_CLASS,
    FILE_WRITE_ATTRIBUTES, FileDispositionInfo, FileDispositionInfoEx, SetFileInformationByHandle,
};

use super::{Kind, Over};
use crate::beneath::{Evidence, Kind as Found, Listing, evidence_of};
use crate::nt::{
    ENTER, LOOK, MOVE, can_be_a_name, create_at, is, make_at, name_in, open_at, path_of,
};

#[derive(Debug)]
pub(super) struct Folder(File);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let opened = OpenOptions::new()
            .access_mode(ENTER)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
        Self::checked(opened)
    }

    pub(super) fn open_itself(path: &Path) -> io::Result<Self> {
        let opened = OpenOptions::new()
            .access_mode(ENTER)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
            .open(path)?;
        Self::checked(opened)
    }

    pub(super) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        Self::checked(open_at(
            &self.0,
            plain(name)?,
            ENTER,
            FILE_OPEN_REPARSE_POINT,
        )?)
    }

    /// A link to a folder is none.
    fn checked(opened: File) -> io::Result<Self> {
        if opened.metadata()?.is_dir() {
            Ok(Self(opened))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    pub(super) fn file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        let access = if write {
            FILE_GENERIC_READ | FILE_GENERIC_WRITE
        } else {
            FILE_GENERIC_READ
        };
        let name = plain(name)?;
        let opened = open_at(&self.0, name, access, FILE_OPEN_REPARSE_POINT)?;
        let meta = opened.metadata()?;
        if meta.is_symlink() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is a link, and none is followed",
            ));
        }
        // A file that its file system keeps elsewhere (compressed, in a cloud) is read as what it stands for.
        if meta.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
            return open_at(&self.0, name, access, 0);
        }
        Ok(opened)
    }

    /// The rights are those of the folder.
    pub(super) fn create(&self, name: &OsStr, _shared: bool) -> io::Result<File> {
        create_at(&self.0, plain(name)?)
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        let file = open_at(&self.0, plain(name)?, MOVE, FILE_OPEN_REPARSE_POINT)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let newer = FILE_DISPOSITION_INFO_EX {
            Flags: FILE_DISPOSITION_FLAG_DELETE
                | FILE_DISPOSITION_FLAG_POSIX_SEMANTICS
                | FILE_DISPOSITION_FLAG_IGNORE_READONLY_ATTRIBUTE,
        };
        match set(&file, FileDispositionInfoEx, &newer) {
            Err(error) if is_unknown(&error) => {
                let older = FILE_DISPOSITION_INFO { DeleteFile: true };
                set(&file, FileDispositionInfo, &older)
            }
            removed => removed,
        }
    }

    pub(super) fn rename(
        &self,
        from: &OsStr,
        other: &Self,
        to: &OsStr,
        over: Over,
    ) -> io::Result<()> {
        let (from, to) = (plain(from)?, plain(to)?);
        let file = open_at(&self.0, from, MOVE, FILE_OPEN_REPARSE_POINT)?;
        let replace = if over == Over::Anything {
            FILE_RENAME_REPLACE_IF_EXISTS
        } else {
            0
        };
        let newer = replace | FILE_RENAME_POSIX_SEMANTICS | FILE_RENAME_IGNORE_READONLY_ATTRIBUTE;
        match name_in(&file, &other.0, to, FileRenameInformationEx, newer) {
            Err(error) if is_unknown(&error) => {
                name_in(&file, &other.0, to, FileRenameInformation, replace)
            }
            renamed => renamed,
        }
    }

    pub(super) fn link(&self, name: &OsStr, second: &OsStr) -> io::Result<()> {
        // As CreateHardLink does.
        let access = LOOK | FILE_WRITE_ATTRIBUTES;
        let file = open_at(&self.0, plain(name)?, access, FILE_OPEN_REPARSE_POINT)?;
        match name_in(&file, &self.0, plain(second)?, FileLinkInformation, 0) {
            Err(error) if is_unknown(&error) => Err(io::ErrorKind::Unsupported.into()),
            linked => linked,
        }
    }

    pub(super) fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        // Opened anew, as an open folder remembers how far it was listed.
        let folder = open_at(&self.0, OsStr::new(""), ENTER, 0)?;
        Listing::of(folder, PathBuf::new())
            .map(|found| {
                let found = found.map_err(io::Error::other)?;
                let kind = match found.kind {
                    Some(Found::Folder) => Kind::Folder,
                    Some(Found::File) => Kind::File,
                    Some(Found::Symlink) => Kind::Link,
                    _ => Kind::Other,
                };
                Ok((found.name, kind))
            })
            .collect()
    }

    /// There is no such call; NTFS journals its names.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Folder {
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self(open_at(&self.0, OsStr::new(""), ENTER, 0)?))
    }

    pub(super) fn seen(&self) -> io::Result<(Found, Evidence)> {
        evidence_of(&self.0)
    }

    pub(super) fn look(&self, name: &OsStr) -> io::Result<(Found, Evidence)> {
        evidence_of(&open_at(
            &self.0,
            plain(name)?,
            LOOK,
            FILE_OPEN_REPARSE_POINT,
        )?)
    }

    /// By the path that the folder has now: the library knows how links are written.
    pub(super) fn target(&self, name: &OsStr) -> io::Result<OsString> {
        let link = path_of(&self.0)?.join(plain(name)?);
        std::fs::read_link(link).map(PathBuf::into_os_string)
    }

    pub(super) fn make(&self, name: &OsStr) -> io::Result<()> {
        make_at(&self.0, plain(name)?)
    }

    pub(super) fn attribute(&self, _name: &OsStr, _attribute: &str) -> io::Result<Option<Vec<u8>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn plain(name: &OsStr) -> io::Result<&OsStr> {
    if can_be_a_name(name) {
        Ok(name)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the name of a file",
        ))
    }
}

/// Sets what `class` says to what is given in the type that belongs to it.
fn set<T>(file: &File, class: FILE_INFO_BY_HANDLE_CLASS, wanted: &T) -> io::Result<()> {
    let size = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the file is open until the call is over, and `wanted` is as long as is said; its callers name the type that
    // belongs to the class.
    let done = unsafe {
        SetFileInformationByHandle(
            file.as_raw_handle(),
            class,
            (&raw const *wanted).cast(),
            size,
        )
    };
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Does the system or the file system not know the call?
fn is_unknown(error: &io::Error) -> bool {
    [
        ERROR_INVALID_PARAMETER,
        ERROR_INVALID_FUNCTION,
        ERROR_NOT_SUPPORTED,
        ERROR_CALL_NOT_IMPLEMENTED,
    ]
    .iter()
    .any(|code| is(error, *code))
}

//! Beneath a root on Windows: the path is walked with the open folder of each step, and what is a link (a symbolic link, a
//! junction, a folder that another volume is mounted at) is opened itself and refused.
//!
//! Names go to the system as they are, below an open folder: so none is a device (`NUL`, `COM1`), and none loses a dot or a
//! space at its end. A name with a `:` would be a stream of a file, and there is none of that name here.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use windows_sys::Wdk::Storage::FileSystem::FILE_OPEN_REPARSE_POINT;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_BAD_PATHNAME, ERROR_DIRECTORY, ERROR_FILE_NOT_FOUND,
    ERROR_FILENAME_EXCED_RANGE, ERROR_INVALID_NAME, ERROR_NO_MORE_FILES, ERROR_PATH_NOT_FOUND,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DEVICE, FILE_ATTRIBUTE_DIRECTORY,
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_BASIC_INFO, FILE_FLAG_BACKUP_SEMANTICS, FILE_GENERIC_READ,
    FILE_ID_BOTH_DIR_INFO, FILE_ID_INFO, FILE_INFO_BY_HANDLE_CLASS, FileBasicInfo,
    FileIdBothDirectoryInfo, FileIdBothDirectoryRestartInfo, FileIdInfo,
    GetFileInformationByHandle, GetFileInformationByHandleEx,
};

use super::{BeneathError, Evidence, Found, Kind, Links};
use crate::nt::{ENTER, LOOK, can_be_a_name, is, open_at};

/// How much of a listing is asked for at once, in words of 8 bytes.
const LISTED_AT_ONCE: usize = 8 * 1024;
/// Set in the tag of a reparse point that stands for another place.
const STANDS_FOR_ANOTHER: u32 = 0x2000_0000;

/// A folder that paths are resolved beneath. Holds no more than the open folder, which keeps its identity; a root that is
/// moved stays what it was.
#[derive(Debug)]
pub struct Root {
    folder: File,
    path: PathBuf,
    /// What is mounted below is not entered; it never is here.
    stays: bool,
}

impl Root {
    /// Takes the folder at `path` as a root. Symbolic links in `path` itself are followed; below it none is, whatever
    /// `links` says.
    ///
    /// # Errors
    /// [`BeneathError`]; [`BeneathError::NotRegular`] if it is not a folder.
    pub fn open(path: &Path, links: Links) -> Result<Self, BeneathError> {
        let _ = links;
        let folder = OpenOptions::new()
            .access_mode(ENTER)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)
            .map_err(|error| general(path.to_owned(), error))?;
        let root = Self {
            folder,
            path: path.to_owned(),
            stays: false,
        };
        match kind_of(&root.folder) {
            Ok(Kind::Folder) => Ok(root),
            Ok(kind) => Err(BeneathError::NotRegular {
                path: root.path,
                kind,
            }),
            Err(error) => Err(general(root.path, error)),
        }
    }

    /// As it is, but what is mounted below it is not entered: a path that leads there [`BeneathError::Escapes`].
    #[must_use]
    pub fn staying_on_its_mount(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Whether mounts below it are certain not to be entered.
    #[must_use]
    pub fn is_sure_to_stay(&self) -> bool {
        self.stays
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the root folder itself is.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn evidence(&self) -> Result<Evidence, BeneathError> {
        status(&self.folder)
            .map(|(_, evidence)| evidence)
            .map_err(|error| general(self.path.clone(), error))
    }

    /// Opens the regular file at `below` (relative) for reading. Does not wait for anything but the storage.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn open_file(&self, below: &Path) -> Result<(File, Evidence), BeneathError> {
        let failed = |error| self.refused(below, error);
        let (folder, name) = self.walk_to_parent(below)?;
        // Looked at first, so that no pipe or device is opened.
        let seen = open_at(&folder, name, LOOK, FILE_OPEN_REPARSE_POINT).map_err(failed)?;
        let (kind, evidence) = status(&seen).map_err(failed)?;
        if kind != Kind::File {
            return Err(BeneathError::NotRegular {
                path: self.path.join(below),
                kind,
            });
        }
        // A file that its file system keeps elsewhere (compressed, in a cloud) is read as what it stands for.
        let through = seen
            .metadata()
            .is_ok_and(|meta| meta.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0);
        let how = if through { 0 } else { FILE_OPEN_REPARSE_POINT };
        let file = open_at(&folder, name, FILE_GENERIC_READ, how).map_err(failed)?;
        let (kind, opened) = status(&file).map_err(failed)?;
        let same = (opened.device, opened.inode) == (evidence.device, evidence.inode);
        // Something else has taken its place, to which we might have been led.
        if kind != Kind::File || !same && through {
            return Err(BeneathError::Escapes {
                path: self.path.join(below),
            });
        }
        Ok((file, opened))
    }

    /// What is at `below`, without opening it: the last component is not followed.
    ///
    /// # Errors
    /// [`BeneathError`], never [`BeneathError::NotRegular`].
    pub fn look(&self, below: &Path) -> Result<(Kind, Evidence), BeneathError> {
        let (folder, name) = self.walk_to_parent(below)?;
        open_at(&folder, name, LOOK, FILE_OPEN_REPARSE_POINT)
            .and_then(|seen| status(&seen))
            .map_err(|error| self.refused(below, error))
    }

    /// The entries of the folder at `below` (empty: the root itself), without `.` and `..`, in the order of the file
    /// system.
    ///
    /// # Errors
    /// [`BeneathError`]; [`BeneathError::NotRegular`] if it is not a folder.
    pub fn list(&self, below: &Path) -> Result<Listing, BeneathError> {
        let (folder, name) = self.walk_to_parent(below)?;
        let failed = |error| self.refused(below, error);
        let opened = open_at(&folder, name, ENTER, FILE_OPEN_REPARSE_POINT).map_err(failed)?;
        let path = self.path.join(below);
        match kind_of(&opened).map_err(failed)? {
            Kind::Folder => Ok(Listing::of(opened, path)),
            kind => Err(BeneathError::NotRegular { path, kind }),
        }
    }

    /// Opens the folder that holds the last component, refusing every link and every `..` on the way.
    fn walk_to_parent<'a>(&self, below: &'a Path) -> Result<(File, &'a OsStr), BeneathError> {
        let path = || self.path.join(below);
        let mut names = Vec::new();
        for component in below.components() {
            match component {
                Component::Normal(name) if can_be_a_name(name) => names.push(name),
                Component::Normal(_) => return Err(BeneathError::NotFound { path: path() }),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(BeneathError::Escapes { path: path() });
                }
            }
        }
        // No name at all stands for the folder itself.
        let last = names.pop().unwrap_or(OsStr::new(""));
        let mut folder = self
            .folder
            .try_clone()
            .map_err(|error| general(path(), error))?;
        for name in names {
            let next = match open_at(&folder, name, ENTER, FILE_OPEN_REPARSE_POINT) {
                // A file, behind which there is nothing.
                Err(error) if is(&error, ERROR_DIRECTORY) => {
                    return Err(BeneathError::NotFound { path: path() });
                }
                next => next.map_err(|error| general(path(), error))?,
            };
            match kind_of(&next).map_err(|error| general(path(), error))? {
                Kind::Folder => folder = next,
                Kind::Symlink => return Err(BeneathError::Escapes { path: path() }),
                _ => return Err(BeneathError::NotFound { path: path() }),
            }
        }
        Ok((folder, last))
    }

    fn refused(&self, below: &Path, error: io::Error) -> BeneathError {
        general(self.path.join(below), error)
    }
}

/// The entries of a folder, read as they are asked for. Ends after the first error.
#[derive(Debug)]
pub struct Listing {
    folder: File,
    path: PathBuf,
    /// What the system has told and was not handed out; of words, so that it is aligned.
    buffer: Vec<u64>,
    /// Where in it the next entry begins, in bytes.
    at: Option<usize>,
    asked: bool,
    over: bool,
}

impl Listing {
    /// Of an open folder that nobody has listed.
    pub(crate) fn of(folder: File, path: PathBuf) -> Self {
        Self {
            folder,
            path,
            buffer: vec![0; LISTED_AT_ONCE],
            at: None,
            asked: false,
            over: false,
        }
    }

    /// Has the buffer filled; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let class = if self.asked {
            FileIdBothDirectoryInfo
        } else {
            FileIdBothDirectoryRestartInfo
        };
        self.asked = true;
        self.buffer.fill(0);
        let length = u32::try_from(size_of_val(&*self.buffer)).map_err(io::Error::other)?;
        // SAFETY: the folder is open; the buffer is as long as is said, and aligned for what is written.
        let told = unsafe {
            GetFileInformationByHandleEx(
                self.folder.as_raw_handle(),
                class,
                self.buffer.as_mut_ptr().cast(),
                length,
            )
        };
        if told != 0 {
            self.at = Some(0);
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        if is(&error, ERROR_NO_MORE_FILES) || is(&error, ERROR_FILE_NOT_FOUND) {
            Ok(false)
        } else {
            Err(error)
        }
    }

    /// The entry that begins at `at`, in bytes; where the next one begins is noted.
    fn take(&mut self, at: usize) -> Option<Found> {
        const NAME: usize = std::mem::offset_of!(FILE_ID_BOTH_DIR_INFO, FileName);
        let room = size_of_val(&*self.buffer);
        if at.checked_add(size_of::<FILE_ID_BOTH_DIR_INFO>())? > room {
            return None;
        }
        let start = self.buffer.as_ptr().cast::<u8>();
        // SAFETY: the whole of the entry's head lies in the buffer by the check above; it is made of numbers, and read
        // without regard to alignment.
        let head: FILE_ID_BOTH_DIR_INFO = unsafe {
            start
                .add(at)
                .cast::<FILE_ID_BOTH_DIR_INFO>()
                .read_unaligned()
        };
        let length = usize::try_from(head.FileNameLength).ok()?;
        if at.checked_add(NAME)?.checked_add(length)? > room {
            return None;
        }
        // SAFETY: the name lies in the buffer by the check above; units of two bytes may begin at any even place, and it
        // is read without regard to alignment.
        let units: Vec<u16> = (0..length / 2)
            .map(|unit| unsafe {
                start
                    .add(at + NAME + 2 * unit)
                    .cast::<u16>()
                    .read_unaligned()
            })
            .collect();
        self.at = match usize::try_from(head.NextEntryOffset).ok()? {
            0 => None,
            offset => Some(at + offset),
        };
        // Where there is a reparse point, its tag stands here.
        let link = head.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT != 0
            && head.EaSize & STANDS_FOR_ANOTHER != 0;
        let kind = if link {
            Kind::Symlink
        } else {
            kind_by(head.FileAttributes)
        };
        Some(Found {
            name: OsString::from_wide(&units),
            kind: Some(kind),
        })
    }
}

impl Iterator for Listing {
    type Item = Result<Found, BeneathError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            if let Some(at) = self.at.take() {
                match self.take(at) {
                    Some(found) if found.name == "." || found.name == ".." => {}
                    Some(found) => return Some(Ok(found)),
                    None => {
                        self.over = true;
                        let error = io::Error::new(io::ErrorKind::InvalidData, "a bad listing");
                        return Some(Err(general(self.path.clone(), error)));
                    }
                }
                continue;
            }
            match self.fill() {
                Ok(more) => self.over = !more,
                Err(error) => {
                    self.over = true;
                    return Some(Err(general(self.path.clone(), error)));
                }
            }
        }
        None
    }
}

/// What an open file of any origin is and shows now.
///
/// # Errors
/// When the system can't tell, as on a connection that is gone.
pub fn evidence_of(file: &File) -> io::Result<(Kind, Evidence)> {
    status(file)
}

fn general(path: PathBuf, source: io::Error) -> BeneathError {
    let not_there = [
        ERROR_FILE_NOT_FOUND,
        ERROR_PATH_NOT_FOUND,
        // A name that no file system can hold names nothing.
        ERROR_INVALID_NAME,
        ERROR_BAD_PATHNAME,
        ERROR_FILENAME_EXCED_RANGE,
    ];
    if not_there.iter().any(|code| is(&source, *code)) {
        return BeneathError::NotFound { path };
    }
    // A file where a folder was asked for: so a link to a file answers as well, but nothing is behind that either.
    if is(&source, ERROR_DIRECTORY) {
        return BeneathError::NotRegular {
            path,
            kind: Kind::File,
        };
    }
    if is(&source, ERROR_ACCESS_DENIED) {
        return BeneathError::Permission { path, source };
    }
    BeneathError::Io { path, source }
}

fn kind_of(file: &File) -> io::Result<Kind> {
    let meta = file.metadata()?;
    // Of a link the standard library knows that it stands for another place.
    if meta.file_type().is_symlink() {
        return Ok(Kind::Symlink);
    }
    Ok(kind_by(meta.file_attributes()))
}

fn kind_by(attributes: u32) -> Kind {
    if attributes & FILE_ATTRIBUTE_DIRECTORY != 0 {
        Kind::Folder
    } else if attributes & FILE_ATTRIBUTE_DEVICE != 0 {
        Kind::Device
    } else {
        Kind::File
    }
}

fn status(file: &File) -> io::Result<(Kind, Evidence)> {
    let kind = kind_of(file)?;
    let basic: FILE_BASIC_INFO = asked(file, FileBasicInfo)?;
    let mut by_handle = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the file is open, and `by_handle` is ours to be written.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut by_handle) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let joined = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    // Some file systems have no long form.
    let (device, inode) = match asked::<FILE_ID_INFO>(file, FileIdInfo) {
        Ok(long) => (long.VolumeSerialNumber, folded(long.FileId.Identifier)),
        Err(_) => (
            u64::from(by_handle.dwVolumeSerialNumber),
            joined(by_handle.nFileIndexHigh, by_handle.nFileIndexLow),
        ),
    };
    let permissions = match (file.metadata()?.permissions().readonly(), kind) {
        (_, Kind::Folder) => 0o755,
        (true, _) => 0o444,
        (false, _) => 0o644,
    };
    let evidence = Evidence {
        device,
        inode,
        size: joined(by_handle.nFileSizeHigh, by_handle.nFileSizeLow),
        modified: system_time(basic.LastWriteTime),
        changed: system_time(basic.ChangeTime),
        born: (basic.CreationTime != 0).then(|| system_time(basic.CreationTime)),
        permissions,
        mount: None,
    };
    Ok((kind, evidence))
}

/// A number of 64 bits from one of 128, of which NTFS uses the first half.
fn folded(identifier: [u8; 16]) -> u64 {
    let whole = u128::from_le_bytes(identifier);
    (whole as u64) ^ ((whole >> 64) as u64)
}

/// What the system tells of an open file in one of its forms, all of which are made of numbers.
fn asked<T: Default>(file: &File, class: FILE_INFO_BY_HANDLE_CLASS) -> io::Result<T> {
    let mut answer = T::default();
    let length = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the file is open; `answer` is ours to be written and as long as is said, and its callers name the type that
    // belongs to the class.
    let told = unsafe {
        GetFileInformationByHandleEx(
            file.as_raw_handle(),
            class,
            (&raw mut answer).cast(),
            length,
        )
    };
    if told == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}

/// What is before 1601 is 1601; what the clock type can't hold becomes 1970.
fn system_time(ticks: i64) -> SystemTime {
    let ticks = u64::try_from(ticks).unwrap_or(0);
    crate::ticks::to_time(ticks).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;

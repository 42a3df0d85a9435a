//! Windows. The only file of this crate with unsafe code: two calls for which the standard library has no words.
#![allow(unsafe_code)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{
    ERROR_CRC, ERROR_IO_DEVICE, ERROR_SECTOR_NOT_FOUND, ERROR_UNRECOGNIZED_MEDIA,
};
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OPEN_REPARSE_POINT, GetDiskFreeSpaceExW};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

use crate::space::Space;

/// NTFS of today frees them at once; exFAT, shares and older systems don't.
pub(crate) const NAMES_OUTLIVE_REMOVAL: bool = true;

/// The folder of the cache. Its parts are looked at one by one on the way to a file.
pub(crate) struct Beneath(PathBuf);

impl Beneath {
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        Ok(Self(root.to_owned()))
    }

    pub(crate) fn open(&self, relative: &Path) -> io::Result<File> {
        let path = self.0.join(relative);
        // A symlink or junction to a folder is no folder by this question.
        for folder in relative.ancestors().skip(1) {
            if !fs::symlink_metadata(self.0.join(folder))?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        // What is neither file nor folder can't be opened safely, and a folder not at all.
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Should a symlink have taken its place since, that itself is opened, which is no file.
        OpenOptions::new()
            .read(true)
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
            .open(path)
    }
}

/// What is made takes the rights of its folder, and a person's own folders are private here.
pub(crate) fn make_private(_options: &mut OpenOptions) {}

/// As for files.
pub(crate) fn make_private_folder(_builder: &mut DirBuilder) {}

pub(crate) fn make_sparse(file: &File) -> io::Result<()> {
    let mut returned = 0;
    // SAFETY: the handle is open as long as `file`. This call takes no input and gives no output, so both buffers may
    // be null with length 0; `returned` is ours, and without an OVERLAPPED the call is over when it returns.
    let done = unsafe {
        DeviceIoControl(
            file.as_raw_handle(),
            FSCTL_SET_SPARSE,
            null(),
            0,
            null_mut(),
            0,
            &raw mut returned,
            null_mut(),
        )
    };
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

pub(crate) fn make_read_only(file: &File) -> io::Result<()> {
    set_read_only(file, true)
}

fn set_read_only(file: &File, read_only: bool) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(read_only);
    file.set_permissions(permissions)
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Some file systems remove nothing that is read-only.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let meta = fs::symlink_metadata(path)?;
            let mut permissions = meta.permissions();
            if !meta.is_file() || !permissions.readonly() {
                return Err(error);
            }
            #[expect(
                clippy::permissions_set_readonly_false,
                reason = "here it is an attribute of the file, and lets nobody write who could not before"
            )]
            permissions.set_readonly(false);
            fs::set_permissions(path, permissions)?;
            fs::remove_file(path)
        }
        answer => answer,
    }
}

/// ReFS alone could, in a way of its own; most disks have NTFS.
pub(crate) fn reflink(_source: &File, _target: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is no such call; NTFS journals its names.
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// The cursor moves, but nobody uses it.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

/// As for reading.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

pub(crate) fn space(folder: &Path) -> io::Result<Space> {
    let name: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    let (mut available, mut total) = (0, 0);
    // SAFETY: `name` ends with a zero and lives until the call returns; both numbers are ours to be written, and the
    // third answer may be null.
    let told = unsafe {
        GetDiskFreeSpaceExW(
            name.as_ptr(),
            &raw mut available,
            &raw mut total,
            null_mut(),
        )
    };
    if told == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(Space { total, available })
    }
}

/// A link is seen before it is opened.
pub(crate) fn is_link_in_the_way(_error: &io::Error) -> bool {
    false
}

pub(crate) fn is_medium_failing(error: &io::Error) -> bool {
    let failures = [
        ERROR_CRC,
        ERROR_IO_DEVICE,
        ERROR_SECTOR_NOT_FOUND,
        ERROR_UNRECOGNIZED_MEDIA,
    ];
    error
        .raw_os_error()
        .and_then(|code| u32::try_from(code).ok())
        .is_some_and(|code| failures.contains(&code))
}

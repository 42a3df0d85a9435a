//! Files of Windows by an open folder and a name: the calls below those that take paths.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use std::path::PathBuf;
use std::ptr::{null, null_mut};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_CREATE, FILE_DIRECTORY_FILE, FILE_INFORMATION_CLASS, FILE_OPEN, FILE_RENAME_INFORMATION,
    FILE_SYNCHRONOUS_IO_NONALERT, NTCREATEFILE_CREATE_DISPOSITION, NTCREATEFILE_CREATE_OPTIONS,
    NtCreateFile, NtSetInformationFile,
};
use windows_sys::Win32::Foundation::{
    ERROR_FILENAME_EXCED_RANGE, NTSTATUS, OBJ_CASE_INSENSITIVE, RtlNtStatusToDosError,
    UNICODE_STRING,
};
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_ACCESS_RIGHTS, FILE_ATTRIBUTE_NORMAL, FILE_GENERIC_READ, FILE_GENERIC_WRITE,
    FILE_LIST_DIRECTORY, FILE_NAME_NORMALIZED, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE,
    FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TRAVERSE, GetFinalPathNameByHandleW, SYNCHRONIZE,
    VOLUME_NAME_DOS,
};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;

/// The longest path there can be, in units.
const LONGEST_PATH: usize = 32_768;
/// To look at something, no more.
pub(crate) const LOOK: FILE_ACCESS_RIGHTS = FILE_READ_ATTRIBUTES | SYNCHRONIZE;
/// To go on below a folder, or to list it.
pub(crate) const ENTER: FILE_ACCESS_RIGHTS = LOOK | FILE_TRAVERSE | FILE_LIST_DIRECTORY;
/// To rename or remove it.
pub(crate) const MOVE: FILE_ACCESS_RIGHTS = LOOK | DELETE;

/// Could a file have this name? A `:` would lead to a stream of another.
pub(crate) fn can_be_a_name(name: &OsStr) -> bool {
    name.encode_wide()
        .all(|unit| unit != 0 && unit != u16::from(b':'))
}

/// Is the error this one of Windows?
pub(crate) fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code.cast_signed())
}

/// Opens `name` in an open folder; with an empty name the folder itself, anew. What is to be entered must be a folder.
pub(crate) fn open_at(
    folder: &File,
    name: &OsStr,
    access: FILE_ACCESS_RIGHTS,
    how: NTCREATEFILE_CREATE_OPTIONS,
) -> io::Result<File> {
    at(folder, name, access, FILE_OPEN, how)
}

/// Makes the file `name`, which must not be there, for reading and writing.
pub(crate) fn create_at(folder: &File, name: &OsStr) -> io::Result<File> {
    let access = FILE_GENERIC_READ | FILE_GENERIC_WRITE;
    at(folder, name, access, FILE_CREATE, 0)
}

/// Makes the folder `name`, which must not be there.
pub(crate) fn make_at(folder: &File, name: &OsStr) -> io::Result<()> {
    at(folder, name, ENTER, FILE_CREATE, 0).map(drop)
}

/// The path by which an open folder can be reached now, in the form that may be long.
pub(crate) fn path_of(folder: &File) -> io::Result<PathBuf> {
    let mut units = vec![0_u16; LONGEST_PATH];
    let room = u32::try_from(units.len()).map_err(io::Error::other)?;
    // SAFETY: the folder is open, and the buffer is as long as is said.
    let length = unsafe {
        GetFinalPathNameByHandleW(
            folder.as_raw_handle(),
            units.as_mut_ptr(),
            room,
            FILE_NAME_NORMALIZED | VOLUME_NAME_DOS,
        )
    };
    match usize::try_from(length)
        .ok()
        .and_then(|length| units.get(..length))
    {
        Some([]) | None => Err(io::Error::last_os_error()),
        Some(path) => Ok(OsString::from_wide(path).into()),
    }
}

fn at(
    folder: &File,
    name: &OsStr,
    access: FILE_ACCESS_RIGHTS,
    what: NTCREATEFILE_CREATE_DISPOSITION,
    how: NTCREATEFILE_CREATE_OPTIONS,
) -> io::Result<File> {
    let mut units: Vec<u16> = name.encode_wide().collect();
    let length = u16::try_from(units.len() * 2)
        .map_err(|_| io::Error::from_raw_os_error(ERROR_FILENAME_EXCED_RANGE.cast_signed()))?;
    let name = UNICODE_STRING {
        Length: length,
        MaximumLength: length,
        Buffer: units.as_mut_ptr(),
    };
    let attributes = OBJECT_ATTRIBUTES {
        Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).map_err(io::Error::other)?,
        RootDirectory: folder.as_raw_handle(),
        ObjectName: &raw const name,
        Attributes: OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: null(),
        SecurityQualityOfService: null(),
    };
    let mut handle = null_mut();
    let mut done = IO_STATUS_BLOCK::default();
    let directory = if access == ENTER {
        FILE_DIRECTORY_FILE
    } else {
        0
    };
    // SAFETY: the folder is open, and `attributes`, the name it points to and that one's units live until the call is over,
    // which it is when it returns; `handle` and `done` are ours to be written; neither a size nor further attributes have
    // to be named.
    let status = unsafe {
        NtCreateFile(
            &raw mut handle,
            access,
            &raw const attributes,
            &raw mut done,
            null(),
            FILE_ATTRIBUTE_NORMAL,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            what,
            FILE_SYNCHRONOUS_IO_NONALERT | how | directory,
            null(),
            0,
        )
    };
    checked(status)?;
    // SAFETY: the call has just given us this handle, to close when we are done.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// Gives an open file a name in a folder: a new one or a second one, as `class` says. `flags` are those of the class.
pub(crate) fn name_in(
    file: &File,
    folder: &File,
    name: &OsStr,
    class: FILE_INFORMATION_CLASS,
    flags: u32,
) -> io::Result<()> {
    // The same layout has a second name.
    const NAME: usize = offset_of!(FILE_RENAME_INFORMATION, FileName);
    let units: Vec<u8> = name
        .encode_wide()
        .flat_map(|unit| unit.to_ne_bytes())
        .collect();
    let length = u32::try_from(units.len()).map_err(io::Error::other)?;
    let bytes = NAME + units.len();
    // Of words, so that it is aligned; never shorter than the head.
    let mut wanted = vec![0_u64; bytes.max(size_of::<FILE_RENAME_INFORMATION>()).div_ceil(8)];
    let start = wanted.as_mut_ptr().cast::<u8>();
    // SAFETY: the buffer has room for the head and for the name behind it, by its size above, and is aligned for the head;
    // all of it was set to zero before.
    unsafe {
        let head = start.cast::<FILE_RENAME_INFORMATION>();
        (*head).Anonymous.Flags = flags;
        (*head).RootDirectory = folder.as_raw_handle();
        (*head).FileNameLength = length;
        start
            .add(NAME)
            .copy_from_nonoverlapping(units.as_ptr(), units.len());
    }
    let mut done = IO_STATUS_BLOCK::default();
    let size = u32::try_from(size_of_val(&*wanted)).map_err(io::Error::other)?;
    // SAFETY: both files are open until the call is over, which it is when it returns; `wanted` is as long as is said, and
    // `done` is ours to be written.
    let status = unsafe {
        NtSetInformationFile(
            file.as_raw_handle(),
            &raw mut done,
            wanted.as_ptr().cast(),
            size,
            class,
        )
    };
    checked(status)
}

fn checked(status: NTSTATUS) -> io::Result<()> {
    if status >= 0 {
        return Ok(());
    }
    // SAFETY: takes a number and gives another.
    let code = unsafe { RtlNtStatusToDosError(status) };
    Err(io::Error::from_raw_os_error(code.cast_signed()))
}

/// A text for a call that wants a zero at its end.
pub(crate) fn ended(text: &OsStr) -> io::Result<Vec<u16>> {
    let mut units: Vec<u16> = text.encode_wide().collect();
    if units.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    units.push(0);
    Ok(units)
}

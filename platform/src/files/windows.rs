//! Windows. Reads and writes name their place, and move the cursor.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use std::path::{Component, Path, PathBuf, Prefix};
use std::sync::atomic::{AtomicU32, Ordering};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER, ERROR_SHARING_VIOLATION, GENERIC_WRITE,
    INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ALLOCATION_INFO, FILE_ATTRIBUTE_READONLY, FILE_ATTRIBUTE_REPARSE_POINT,
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_GENERIC_READ,
    FILE_GENERIC_WRITE, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
    FILE_WRITE_ATTRIBUTES, FileAllocationInfo, FindClose, FindFirstFileW, MoveFileExW, ReOpenFile,
    SetFileInformationByHandle, WIN32_FIND_DATAW,
};

use super::{Identity, Make, Opening};
use crate::drive::{Allocation, Fill, Replacing};
use crate::nt::{ended, is};
use crate::ticks::since_1970;
use crate::volume::by_its_letter;

/// The longest path that every program takes, in units.
const LONGEST_USUAL: usize = 259;
/// The longest name, in units.
const LONGEST_NAME: usize = 255;

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

pub(super) fn open_itself(how: Opening, path: &Path) -> io::Result<File> {
    let access = match (how.write, how.change_meta) {
        (true, _) => FILE_GENERIC_READ | FILE_GENERIC_WRITE,
        (false, true) => FILE_GENERIC_READ | FILE_WRITE_ATTRIBUTES,
        (false, false) => FILE_GENERIC_READ,
    };
    let mut opened = OpenOptions::new()
        .read(true)
        .write(how.write)
        .create(how.make == Make::IfMissing)
        .create_new(how.make == Make::New)
        .access_mode(access)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)?;
    let found = opened.metadata()?;
    if found.is_symlink() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a link, and none is followed",
        ));
    }
    // A file that its file system keeps elsewhere (compressed, in a cloud) is read as what it stands for.
    if found.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        opened = OpenOptions::new()
            .access_mode(access)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
    }
    // Only now, as a link would have been emptied instead of refused.
    if how.truncate && found.file_size() > 0 {
        opened.set_len(0)?;
    }
    Ok(opened)
}

pub(super) fn changed_at(found: &Metadata) -> (i64, i64) {
    since_1970(found.last_write_time().cast_signed())
}

pub(super) fn permissions(found: &Metadata) -> u16 {
    if found.is_dir() {
        0o755
    } else if found.file_attributes() & FILE_ATTRIBUTE_READONLY != 0 {
        0o444
    } else {
        0o644
    }
}

pub(super) fn set_permissions(file: &File, permissions: u16) -> io::Result<()> {
    let found = file.metadata()?;
    let read_only = permissions & 0o200 == 0;
    let mut wanted = found.permissions();
    if found.is_dir() || wanted.readonly() == read_only {
        return Ok(());
    }
    wanted.set_readonly(read_only);
    file.set_permissions(wanted)
}

pub(super) fn mark(_file: &File, _mark: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn unmark(_file: &File, _mark: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn is_marked(_path: &Path, _mark: &str) -> bool {
    false
}

pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    identity_by(path, FILE_FLAG_OPEN_REPARSE_POINT)
}

pub(super) fn identity_behind(path: &Path) -> io::Result<Identity> {
    identity_by(path, 0)
}

fn identity_by(path: &Path, how: u32) -> io::Result<Identity> {
    let opened = OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | how)
        .open(path)?;
    let (_, seen) = crate::beneath::evidence_of(&opened)?;
    Ok(Identity {
        device: seen.device,
        inode: seen.inode,
    })
}

pub(super) fn rename(from: &Path, to: &Path, replacing: Replacing) -> io::Result<()> {
    match replacing {
        Replacing::Replace => replace(from, to),
        Replacing::Keep => {
            let (from, to) = (units_of(from)?, units_of(to)?);
            // SAFETY: both paths end with a zero.
            if unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), 0) } == 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        }
        Replacing::Exchange => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Where a file system can't replace a file that somebody has open, that one goes aside first.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    static ASIDE: AtomicU32 = AtomicU32::new(0);
    match std::fs::rename(from, to) {
        Err(error)
            if (is(&error, ERROR_ACCESS_DENIED) || is(&error, ERROR_SHARING_VIOLATION))
                && to.is_file() => {}
        renamed => return renamed,
    }
    let number = ASIDE.fetch_add(1, Ordering::Relaxed);
    let name = aside(to.file_name().unwrap_or_default(), number);
    // It goes when the last who has it open closes it.
    replace_by_way_of(&to.with_file_name(name), from, to, |aside| {
        std::fs::remove_file(aside)
    })
}

/// The name of a file that goes aside. It says what it was, as after a power failure it may be all that is left of it; hidden to
/// other systems, and with an extension that no sound has.
fn aside(name: &OsStr, number: u32) -> OsString {
    let mut aside = OsString::from(".");
    let end = format!("mediafs-replaced-{}-{number}", std::process::id());
    if name.encode_wide().count() + end.len() + 2 <= LONGEST_NAME {
        aside.push(name);
        aside.push(".");
    }
    aside.push(end);
    aside
}

fn replace_by_way_of(
    aside: &Path,
    from: &Path,
    to: &Path,
    remove: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    std::fs::rename(to, aside)?;
    if let Err(error) = std::fs::rename(from, to) {
        std::fs::rename(aside, to)?;
        return Err(error);
    }
    // The new one is in place: whoever saved it must not be told otherwise.
    if let Err(error) = remove(aside) {
        tracing::warn!(path = %aside.display(), %error, "what was replaced stays beside it");
    }
    Ok(())
}

/// For calls that take a path; a long one in the form that may be long.
fn units_of(path: &Path) -> io::Result<Vec<u16>> {
    let path = std::path::absolute(path)?;
    let units = ended(path.as_os_str())?;
    let is_plain = matches!(
        path.components().next(),
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::Disk(_))
    );
    // A folder may be shorter than a file by a name of the old form.
    if !is_plain || units.len() < LONGEST_USUAL - 12 {
        return Ok(units);
    }
    let mut long = OsString::from(r"\\?\");
    long.push(path);
    ended(&long)
}

/// The call is for those who may write.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if is(&error, ERROR_ACCESS_DENIED) => {}
        synced => return synced,
    }
    let shared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    // SAFETY: the handle is open as long as `file`; the rest are numbers.
    let again = unsafe { ReOpenFile(file.as_raw_handle(), GENERIC_WRITE, shared, 0) };
    if again == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just given us this handle, to close when we are done.
    unsafe { File::from_raw_handle(again) }.sync_all()
}

pub(super) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn is_called(path: &Path) -> io::Result<bool> {
    let name = path.file_name().unwrap_or_default();
    let is_pattern = |unit: u16| {
        [b'*', b'?', b'<', b'>', b'"']
            .map(u16::from)
            .contains(&unit)
    };
    if name.encode_wide().any(is_pattern) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let path = units_of(path)?;
    // SAFETY: numbers and an array of them; all may be zero.
    let mut found: WIN32_FIND_DATAW = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero, and the answer is ours to be written.
    let search = unsafe { FindFirstFileW(path.as_ptr(), &raw mut found) };
    if search == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just given us this search, to be closed so.
    unsafe { FindClose(search) };
    let own = found
        .cFileName
        .iter()
        .copied()
        .take_while(|unit| *unit != 0);
    Ok(own.eq(name.encode_wide()))
}

pub(super) fn canonical(path: &Path) -> io::Result<PathBuf> {
    Ok(by_its_letter(usual(std::fs::canonicalize(path)?)))
}

/// The usual form of a path, if it means the same thing. One with a name that ends with a dot or a space, or that is a
/// device's, does not; and one that is too long is not taken by other programs.
fn usual(path: PathBuf) -> PathBuf {
    let mut parts = path.components();
    let top = match parts.next() {
        Some(Component::Prefix(prefix)) => match prefix.kind() {
            Prefix::VerbatimDisk(letter) => format!(r"{}:\", char::from(letter)).into(),
            Prefix::VerbatimUNC(server, share) => [
                OsStr::new(r"\\"),
                server,
                OsStr::new(r"\"),
                share,
                OsStr::new(r"\"),
            ]
            .into_iter()
            .collect::<OsString>(),
            _ => return path,
        },
        _ => return path,
    };
    let mut plain = PathBuf::from(top);
    for part in parts {
        match part {
            Component::RootDir => {}
            Component::Normal(name) if means_itself(name) => plain.push(name),
            _ => return path,
        }
    }
    if plain.as_os_str().len() > LONGEST_USUAL {
        return path;
    }
    plain
}

/// Whether a name leads to what has it also in a usual path.
fn means_itself(name: &OsStr) -> bool {
    const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    const NUMBERED: [&str; 2] = ["COM", "LPT"];
    let Some(name) = name.to_str() else {
        return false;
    };
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let stem = stem.to_ascii_uppercase();
    let is_device = DEVICES.contains(&stem.as_str())
        || NUMBERED.iter().any(|kind| {
            let number = stem.strip_prefix(kind);
            number.is_some_and(|number| number.chars().count() == 1)
        });
    !is_device
        && !name.ends_with(['.', ' '])
        && !name.contains(['/', '"', '<', '>', '|', '?', '*', ':'])
}

pub(super) fn allocate(file: &File, wanted: Allocation) -> io::Result<()> {
    if wanted.fill != Fill::Kept {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let end = wanted.offset.saturating_add(wanted.length);
    if end <= file.metadata()?.len() {
        return Ok(());
    }
    if !wanted.keep_size {
        return file.set_len(end);
    }
    let room = FILE_ALLOCATION_INFO {
        AllocationSize: i64::try_from(end).map_err(io::Error::other)?,
    };
    let size = u32::try_from(size_of_val(&room)).map_err(io::Error::other)?;
    // SAFETY: the file is open, and `room` is what belongs to the class, as long as is said.
    let given = unsafe {
        SetFileInformationByHandle(
            file.as_raw_handle(),
            FileAllocationInfo,
            (&raw const room).cast(),
            size,
        )
    };
    if given != 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // A wish, which not every file system grants.
        error if is(&error, ERROR_INVALID_PARAMETER) => Ok(()),
        error if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn paths_take_their_usual_form_where_it_means_the_same() {
        let of = |path: &str| usual(path.into()).to_string_lossy().into_owned();
        assert_eq!(of(r"\\?\C:\Sounds\Kick.wav"), r"C:\Sounds\Kick.wav");
        assert_eq!(of(r"\\?\C:\"), r"C:\");
        assert_eq!(of(r"\\?\UNC\nas\music\a"), r"\\nas\music\a");
        for odd in [
            r"\\?\C:\nul",
            r"\\?\C:\com1.txt",
            r"\\?\C:\trailing.",
            r"\\?\C:\trailing ",
            r"\\?\Volume{1234}\x",
        ] {
            assert_eq!(of(odd), odd);
        }
        let long = format!(r"\\?\C:\{}", r"x\".repeat(200));
        assert!(of(&long).starts_with(r"\\?\"));
    }

    #[test]
    fn what_goes_aside_says_what_it_was() {
        let process = std::process::id();
        let expected = format!(".größe.wav.mediafs-replaced-{process}-7");
        assert_eq!(aside("größe.wav".as_ref(), 7), *expected);
        let longest = "x".repeat(LONGEST_NAME);
        let expected = format!(".mediafs-replaced-{process}-8");
        assert_eq!(aside(longest.as_ref(), 8), *expected);
        let fits = LONGEST_NAME - expected.len() - 1;
        let full = aside("x".repeat(fits).as_ref(), 8);
        assert_eq!(full.encode_wide().count(), LONGEST_NAME);
    }

    /// On exFAT, say, or a share.
    #[test]
    fn what_is_in_place_is_saved_whatever_becomes_of_what_it_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        let (aside, from, to) = (path("aside"), path("new"), path("old"));
        std::fs::write(&to, "old").unwrap();
        std::fs::write(&from, "new").unwrap();
        replace_by_way_of(&aside, &from, &to, |_| {
            Err(io::Error::from_raw_os_error(
                ERROR_SHARING_VIOLATION.cast_signed(),
            ))
        })
        .unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        assert_eq!(std::fs::read(&aside).unwrap(), b"old");
        std::fs::remove_file(&aside).unwrap();
        // What cannot be put in place leaves what was there.
        let gone = replace_by_way_of(&aside, &from, &to, |_| unreachable!());
        assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        assert!(!aside.exists());
    }

    #[test]
    fn long_paths_are_renamed() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("x".repeat(120)).join("y".repeat(120));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a"), "a").unwrap();
        rename(&folder.join("a"), &folder.join("b"), Replacing::Keep).unwrap();
        assert_eq!(std::fs::read(folder.join("b")).unwrap(), b"a");
    }
}

//! The mount point before the mount: found, freed of a dead mount of ours, empty, with a note in it.
//!
//! While the drive is not mounted the folder is not writable, so that nobody records into it by mistake, and
//! says in [`NOTE_NAME`] what it is.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::left::clear_mounts;
use super::{Clear, MountError, NOTE_NAME};

/// An unmounted mount point can be listed, not written to.
const UNMOUNTED_MODE: u32 = 0o555;

/// A mount point that is ready. When dropped, the folder under the mount is made read-only again.
pub(super) struct Point {
    /// Absolute, without symbolic links.
    pub(super) path: PathBuf,
    /// The folder that the mount will cover; `None` where mounting makes it.
    under: Option<File>,
}

impl Drop for Point {
    fn drop(&mut self) {
        let Some(under) = &self.under else {
            return;
        };
        if let Err(error) = under.set_permissions(Permissions::from_mode(UNMOUNTED_MODE)) {
            tracing::debug!(path = %self.path.display(), %error, "the mount point stays writable");
        }
    }
}

/// Who makes a mount point where this user may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Maker {
    /// What mounts: macFUSE's helper makes it in `/Volumes`, and takes it away again.
    Mounting,
    /// Nobody.
    Nobody,
}

/// Makes the mount point ready.
pub(super) fn prepare(wanted: &Path, note: &str, maker: Maker) -> Result<Point, MountError> {
    let failed = |action| {
        let path = wanted.to_owned();
        move |source| MountError::Point {
            path,
            action,
            source,
        }
    };
    let path = resolve(wanted)?;
    clear_mounts(&path, Clear::Dead)?;
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(MountError::NotAFolder { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => {}
                Err(error) => match not_made(&path, &error, maker, cfg!(target_os = "macos")) {
                    None => return Ok(Point { path, under: None }),
                    Some(action) => return Err(failed(action)(error)),
                },
            }
        }
        Err(source) => return Err(failed("it cannot be looked at")(source)),
    }
    for entry in fs::read_dir(&path).map_err(failed("it cannot be listed"))? {
        let entry = entry.map_err(failed("it cannot be listed"))?;
        if entry.file_name() != NOTE_NAME {
            return Err(MountError::NotEmpty {
                path,
                entry: entry.file_name(),
            });
        }
    }
    let under = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(&path)
        .map_err(failed("it cannot be opened"))?;
    // fusermount3 mounts only where its user may write, and the note has to be written.
    if let Err(error) = under.set_permissions(Permissions::from_mode(0o755)) {
        tracing::debug!(path = %path.display(), %error, "the mode of the mount point cannot be set");
    }
    let point = Point {
        path,
        under: Some(under),
    };
    if let Err(error) = write_note(&point.path.join(NOTE_NAME), note) {
        tracing::warn!(path = %point.path.display(), %error, "the note in the mount point cannot be written");
    }
    Ok(point)
}

/// What it means that the mount point could not be made; `None` where it will be. In `/Volumes` macOS lets root alone make
/// folders.
fn not_made(path: &Path, error: &io::Error, maker: Maker, is_macos: bool) -> Option<&'static str> {
    let is_for_root = is_macos
        && error.kind() == io::ErrorKind::PermissionDenied
        && path.parent() == Some(Path::new("/Volumes"));
    match maker {
        Maker::Mounting if is_for_root => None,
        Maker::Nobody if is_for_root => Some(
            "without macFUSE it has to be there before, and only root may make it; make it with \
             `sudo install -d -o \"$USER\"` and this path, or mount at a folder in your home",
        ),
        _ => Some("it cannot be created"),
    }
}

/// The absolute path without symbolic links, with its parents created. Does not touch what is mounted there.
fn resolve(wanted: &Path) -> Result<PathBuf, MountError> {
    let failed = |action| {
        let path = wanted.to_owned();
        move |source| MountError::Point {
            path,
            action,
            source,
        }
    };
    let absolute = std::path::absolute(wanted).map_err(failed("it has no absolute path"))?;
    // `readlink` of a folder fails without asking whatever is mounted on it.
    if fs::read_link(&absolute).is_ok() {
        return fs::canonicalize(&absolute).map_err(failed("the link leads nowhere"));
    }
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(MountError::NotAFolder { path: absolute });
    };
    fs::create_dir_all(parent).map_err(failed("the folder above it cannot be created"))?;
    let parent =
        fs::canonicalize(parent).map_err(failed("the folder above it cannot be resolved"))?;
    Ok(parent.join(name))
}

fn write_note(path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// Takes away what a daemon of ours has left at `point`, without mounting anew. Was there anything?
///
/// # Errors
/// [`MountError::AlreadyMounted`] if a daemon lives there, [`MountError::Occupied`] if something else is mounted,
/// [`MountError::NotAnswering`] if the daemon does not answer and only the dead are to be cleared.
pub fn clear(point: &Path, what: Clear) -> Result<bool, MountError> {
    match resolve_existing(point) {
        Some(path) => clear_mounts(&path, what),
        None => Ok(false),
    }
}

/// The absolute path without symbolic links, if the folder above it exists. Asks nothing of what is mounted there.
fn resolve_existing(wanted: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(wanted).ok()?;
    if fs::read_link(&absolute).is_ok() {
        return fs::canonicalize(&absolute).ok();
    }
    let parent = fs::canonicalize(absolute.parent()?).ok()?;
    Some(parent.join(absolute.file_name()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_missing_mount_point_is_created_with_a_note_and_read_only() {
        let home = tempfile::tempdir().unwrap();
        let wanted = home.path().join("a/b/Media");
        let point = prepare(&wanted, "hello\n", Maker::Nobody).unwrap();
        assert_eq!(point.path, fs::canonicalize(&wanted).unwrap());
        drop(point);
        assert_eq!(
            fs::read_to_string(wanted.join(NOTE_NAME)).unwrap(),
            "hello\n"
        );
        assert_eq!(
            fs::metadata(&wanted).unwrap().permissions().mode() & 0o777,
            0o555
        );
        // Again, with another note.
        drop(prepare(&wanted, "other\n", Maker::Nobody).unwrap());
        assert_eq!(
            fs::read_to_string(wanted.join(NOTE_NAME)).unwrap(),
            "other\n"
        );
    }

    #[test]
    fn files_and_folders_with_something_in_them_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(
            prepare(&file, "", Maker::Nobody),
            Err(MountError::NotAFolder { .. })
        ));
        let full = home.path().join("full");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("take.wav"), "x").unwrap();
        let refused = prepare(&full, "", Maker::Nobody);
        assert!(matches!(&refused, Err(MountError::NotEmpty { entry, .. }) if entry == "take.wav"));
        assert!(
            !full.join(NOTE_NAME).exists(),
            "a refused folder is left as it was"
        );
        assert!(matches!(
            prepare(Path::new("/"), "", Maker::Nobody),
            Err(MountError::NotAFolder { .. })
        ));
    }

    #[test]
    fn a_link_to_a_folder_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert_eq!(
            prepare(&link, "", Maker::Nobody).unwrap().path,
            fs::canonicalize(&folder).unwrap()
        );
    }

    #[test]
    fn in_volumes_macfuse_makes_the_folder_and_nobody_else_does() {
        let in_volumes = Path::new("/Volumes/Loophole");
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(not_made(in_volumes, &denied, Maker::Mounting, true), None);
        let by_nfs = not_made(in_volumes, &denied, Maker::Nobody, true).unwrap();
        assert!(by_nfs.contains("sudo install -d"), "{by_nfs}");
        for (path, error, is_macos) in [
            ("/Volumes/Loophole", io::ErrorKind::ReadOnlyFilesystem, true),
            ("/Volumes/a/b", io::ErrorKind::PermissionDenied, true),
            ("/Volumes/Loophole", io::ErrorKind::PermissionDenied, false),
        ] {
            let said = not_made(Path::new(path), &error.into(), Maker::Mounting, is_macos);
            assert_eq!(said, Some("it cannot be created"), "{path}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_mount_of_somebody_else_is_left_alone() {
        let refused = prepare(Path::new("/proc"), "", Maker::Nobody);
        assert!(matches!(refused, Err(MountError::Occupied { fs_type, .. }) if fs_type == "proc"));
    }
}

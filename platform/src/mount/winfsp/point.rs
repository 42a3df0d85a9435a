//! Where the drive appears: a folder, or a drive letter.
//!
//! WinFsp makes the folder itself and takes it away again, also when the daemon dies. Before that it must not be there; so
//! what is there between two mounts is a folder with a note in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::{MountError, NOTE_NAME};

/// What Windows says the file system is. At most 16 units, or the library panics.
pub(super) const FILE_SYSTEM: &str = "mediafs";
/// The server in the network name of a drive with a letter.
const SERVER: &str = "mediafs";

/// Where the drive appears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Point {
    /// A folder: for everybody on this machine, and a local disk to Explorer.
    Folder(PathBuf),
    /// `X:`, a network drive of this logon session, so that Explorer reads no sound for a preview. Programs of other
    /// sessions find it under its network name.
    Letter(String),
    /// `\\.\X:`, a local disk for everybody, by the system's mount manager: for administrators.
    Managed(String),
}

impl Point {
    /// What is asked for by this path.
    pub(super) fn of(wanted: &Path) -> Result<Self, MountError> {
        if let Some(text) = wanted.to_str() {
            let text = text.strip_suffix('\\').unwrap_or(text);
            if let Some(letter) = text.strip_prefix(r"\\.\").and_then(letter) {
                return Ok(Self::Managed(format!(r"\\.\{letter}:")));
            }
            if let Some(letter) = letter(text) {
                return Ok(Self::Letter(format!("{letter}:")));
            }
        }
        let path = std::path::absolute(wanted)
            .map_err(|source| failed(wanted, "it has no absolute path", source))?;
        match (path.parent(), path.file_name()) {
            (Some(_), Some(_)) => Ok(Self::Folder(path)),
            _ => Err(MountError::NotAFolder { path }),
        }
    }

    /// What WinFsp is told.
    pub(super) fn as_told(&self) -> &std::ffi::OsStr {
        match self {
            Self::Folder(path) => path.as_os_str(),
            Self::Letter(text) | Self::Managed(text) => text.as_ref(),
        }
    }

    /// Where programs find it.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Folder(path) => path.clone(),
            Self::Letter(letter) => PathBuf::from(format!(r"{letter}\")),
            Self::Managed(text) => {
                let letter = text.strip_prefix(r"\\.\").unwrap_or(text);
                PathBuf::from(format!(r"{letter}\"))
            }
        }
    }

    /// The network name of a drive with this label, `\server\share` as WinFsp wants it; only letters have one, as Windows
    /// mounts nothing of a network in a folder.
    ///
    /// WinFsp has each of them once on the whole machine, whoever is logged in, so the user and the letter are in it, as a number.
    /// It is there also where the label would do: the name that a program has found out, and stored, must not come to lead to
    /// the drive of whoever was first today.
    pub(super) fn network_name(&self, label: &str, user: &str) -> Option<String> {
        match self {
            Self::Letter(letter) => {
                let number = number_of(&[user, letter]);
                Some(format!(r"\{SERVER}\{label}-{number:08x}"))
            }
            Self::Folder(_) | Self::Managed(_) => None,
        }
    }

    /// The serial number of the volume: the same at every mount, and another one for another drive. Programs tell volumes apart
    /// by it, in links to files and in lists of what was opened last.
    pub(super) fn serial(&self, user: &str, identity: &str) -> u32 {
        let point = self.as_told().to_string_lossy();
        number_of(&[user, &point, identity])
    }

    /// What the drive is called: as its folder, or else `name`. At most 32 units, without what no share may have in its
    /// name.
    pub(super) fn label(&self, name: &str) -> String {
        let of_folder = match self {
            Self::Folder(path) => path.file_name().and_then(|name| name.to_str()),
            Self::Letter(_) | Self::Managed(_) => None,
        };
        let mut label = String::new();
        let mut units = 0;
        let is_fit = |c: &char| !c.is_control() && !r#"\/:*?"<>|[]"#.contains(*c);
        for c in of_folder.unwrap_or(name).chars().filter(is_fit) {
            units += c.len_utf16();
            if units > 32 {
                break;
            }
            label.push(c);
        }
        label
    }

    /// Makes it ready: the folder above is there, the folder itself is not.
    pub(super) fn prepare(&self) -> Result<(), MountError> {
        let Self::Folder(path) = self else {
            // WinFsp would hide what has the letter already.
            return match is_in_use(&self.path()) {
                true => Err(taken(self.path())),
                false => Ok(()),
            };
        };
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().unwrap_or(path);
                return fs::create_dir_all(parent).map_err(|source| {
                    failed(path, "the folder above it cannot be created", source)
                });
            }
            Err(source) => return Err(failed(path, "it cannot be looked at", source)),
            Ok(found) => found,
        };
        if found.is_symlink() {
            // A mount is a link to its volume.
            return match fs::metadata(path) {
                Ok(_) => Err(taken(path.clone())),
                Err(_) => remove_dead(path),
            };
        }
        if !found.is_dir() {
            return Err(MountError::NotAFolder { path: path.clone() });
        }
        let unlisted = |source| failed(path, "it cannot be listed", source);
        for entry in fs::read_dir(path).map_err(unlisted)? {
            let entry = entry.map_err(unlisted)?.file_name();
            if entry != NOTE_NAME {
                let path = path.clone();
                return Err(MountError::NotEmpty { path, entry });
            }
        }
        match fs::remove_file(path.join(NOTE_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(path, "the note in it cannot be removed", error));
            }
            _ => {}
        }
        fs::remove_dir(path).map_err(|source| failed(path, "it cannot be removed for now", source))
    }

    /// Puts a folder with the note where the drive was.
    pub(super) fn restore(&self, note: &str) {
        let Self::Folder(path) = self else { return };
        let written = fs::create_dir(path).and_then(|()| fs::write(path.join(NOTE_NAME), note));
        if let Err(error) = written {
            tracing::debug!(path = %path.display(), %error, "the note in the mount point cannot be written");
        }
    }
}

/// What is said of a mount point where something is already.
pub(super) fn taken(path: PathBuf) -> MountError {
    match file_system(&path) {
        Some(name) if name == FILE_SYSTEM => MountError::AlreadyMounted { path },
        name => MountError::Occupied {
            path,
            fs_type: name.unwrap_or_else(|| "a link or a drive".to_owned()),
        },
    }
}

/// What a power failure has left of a mount: a link that leads nowhere.
fn remove_dead(path: &Path) -> Result<(), MountError> {
    let removed = match cfg!(windows) {
        true => fs::remove_dir(path),
        false => fs::remove_file(path),
    };
    removed.map_err(|source| failed(path, "what a dead mount has left cannot be removed", source))
}

/// What the file system at a mount point is called.
#[cfg(windows)]
fn file_system(path: &Path) -> Option<String> {
    use std::os::windows::ffi::OsStrExt;
    use std::ptr::null_mut;

    use windows_sys::Win32::Storage::FileSystem::GetVolumeInformationW;

    // It wants a separator at the end.
    let path = path.join("");
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut name = [0_u16; 64];
    // SAFETY: the path ends with a zero, the buffer is as long as is said, and nothing else is asked for.
    let told = unsafe {
        GetVolumeInformationW(
            path.as_ptr(),
            null_mut(),
            0,
            null_mut(),
            null_mut(),
            null_mut(),
            name.as_mut_ptr(),
            64,
        )
    };
    let name = name.split(|unit| *unit == 0).next()?;
    (told != 0).then(|| String::from_utf16_lossy(name))
}

/// Has something this letter, be it a drive with nothing in it?
#[cfg(windows)]
fn is_in_use(root: &Path) -> bool {
    use std::os::windows::ffi::OsStrExt;

    use windows_sys::Win32::Storage::FileSystem::GetDriveTypeW;
    use windows_sys::Win32::System::WindowsProgramming::DRIVE_NO_ROOT_DIR;

    let root: Vec<u16> = root.as_os_str().encode_wide().chain([0]).collect();
    // SAFETY: the path ends with a zero.
    unsafe { GetDriveTypeW(root.as_ptr()) != DRIVE_NO_ROOT_DIR }
}

#[cfg(not(windows))]
fn is_in_use(_root: &Path) -> bool {
    false
}

#[cfg(not(windows))]
fn file_system(_path: &Path) -> Option<String> {
    None
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> MountError {
    MountError::Point {
        path: path.to_owned(),
        action,
        source,
    }
}

/// A number for these texts, the same at all times and for hardly any others (FNV-1a).
fn number_of(texts: &[&str]) -> u32 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0x811c_9dc5, |number, byte| {
        (number ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// The letter of a drive.
fn letter(text: &str) -> Option<char> {
    let mut characters = text.strip_suffix(':')?.chars();
    let letter = characters.next().filter(char::is_ascii_alphabetic)?;
    characters
        .next()
        .is_none()
        .then(|| letter.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn letters_and_folders_are_told_apart() {
        let of = |text: &str| Point::of(Path::new(text)).unwrap();
        assert_eq!(of("l:"), Point::Letter("L:".to_owned()));
        assert_eq!(of(r"L:\"), Point::Letter("L:".to_owned()));
        assert_eq!(of(r"\\.\l:"), Point::Managed(r"\\.\L:".to_owned()));
        assert!(matches!(of("Music/Loophole"), Point::Folder(path) if path.is_absolute()));
        assert!(matches!(of("LL:x"), Point::Folder(_)));
        assert_eq!(of("L:").path(), Path::new(r"L:\"));
        assert_eq!(of(r"\\.\L:").path(), Path::new(r"L:\"));
        assert_eq!(of("Music").network_name("Sounds", "S-1-5-21-7"), None);
        assert_eq!(of(r"\\.\L:").network_name("Sounds", "S-1-5-21-7"), None);
    }

    /// Two of one name are refused by WinFsp, be they of two users who are logged in, or of one with two homes.
    #[test]
    fn each_user_and_letter_has_a_network_name_of_its_own_that_stays() {
        let name = |letter: &str, user: &str| {
            let point = Point::of(Path::new(letter)).unwrap();
            point.network_name("Sounds", user).unwrap()
        };
        let (ann, bob) = ("S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002");
        assert_eq!(name("L:", ann), r"\mediafs\Sounds-aafe2f58");
        assert_eq!(name("l:", ann), name(r"L:\", ann));
        assert_ne!(name("L:", ann), name("L:", bob));
        assert_ne!(name("L:", ann), name("M:", ann));
    }

    #[test]
    fn each_drive_has_a_serial_number_of_its_own_that_stays() {
        let serial = |point: &str, user: &str, home: &str| {
            let point = Point::of(Path::new(point)).unwrap();
            point.serial(user, home)
        };
        let own = serial("L:", "S-1-5-21-1", "C:/home");
        assert_eq!(own, 0x38ab_8377);
        assert_eq!(own, serial(r"l:\", "S-1-5-21-1", "C:/home"));
        for other in [
            serial("M:", "S-1-5-21-1", "C:/home"),
            serial("Music", "S-1-5-21-1", "C:/home"),
            serial("L:", "S-1-5-21-2", "C:/home"),
            serial("L:", "S-1-5-21-1", "C:/other"),
            // Where one text ends counts.
            serial("L:", "S-1-5-21-1C", ":/home"),
        ] {
            assert_ne!(own, other);
        }
    }

    #[test]
    fn the_label_is_short_and_fits_a_share() {
        let of = |text: &str| Point::of(Path::new(text)).unwrap();
        assert_eq!(of("Music/Loophole").label("mediafs"), "Loophole");
        assert_eq!(of("L:").label("media[fs]:1"), "mediafs1");
        assert_eq!(of("L:").label(&"🥁".repeat(40)), "🥁".repeat(16));
    }

    #[test]
    fn the_folder_makes_way_and_comes_back_with_its_note() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a").join("Media");
        let point = Point::of(&path).unwrap();
        point.prepare().unwrap();
        assert!(path.parent().unwrap().is_dir() && !path.exists());
        point.restore("hello\n");
        let note = path.join(NOTE_NAME);
        assert_eq!(fs::read_to_string(&note).unwrap(), "hello\n");
        point.prepare().unwrap();
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        point.prepare().unwrap();
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_is_removed_and_any_other_left() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path().join("none"), &link).unwrap();
        Point::of(&link).unwrap().prepare().unwrap();
        assert!(fs::symlink_metadata(&link).is_err());
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        let refused = Point::of(&link).unwrap().prepare();
        assert!(matches!(refused, Err(MountError::Occupied { .. })));
        assert!(fs::symlink_metadata(&link).is_ok());
    }

    #[cfg(windows)]
    #[test]
    fn what_is_mounted_somewhere_is_known_by_name() {
        let refused = taken(PathBuf::from(r"C:\"));
        let MountError::Occupied { fs_type, .. } = refused else {
            panic!("{refused:?}")
        };
        let letter = Point::of(Path::new("C:")).unwrap().prepare();
        assert!(matches!(letter, Err(MountError::Occupied { .. })));
        Point::of(Path::new("Q:")).unwrap().prepare().unwrap();
        assert!(
            !fs_type.is_empty() && !fs_type.starts_with("a link"),
            "{fs_type}"
        );
    }

    #[test]
    fn what_is_somebodys_own_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let full = home.path().join("full");
        fs::create_dir(&full).unwrap();
        fs::write(full.join(NOTE_NAME), "x").unwrap();
        fs::write(full.join("take.wav"), "x").unwrap();
        let refused = Point::of(&full).unwrap().prepare();
        assert!(matches!(&refused, Err(MountError::NotEmpty { entry, .. }) if entry == "take.wav"));
        assert!(full.join(NOTE_NAME).exists());
        let file = home.path().join("file");
        fs::write(&file, "x").unwrap();
        let refused = Point::of(&file).unwrap().prepare();
        assert!(matches!(refused, Err(MountError::NotAFolder { .. })));
        assert!(file.exists());
    }
}

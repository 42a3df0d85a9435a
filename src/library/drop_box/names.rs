//! Names that programs give to files for a moment only, or for themselves.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use mediafs_platform::names;

/// Whether a file, or a folder, of this name is none that is to become an item: hidden ones (`.x.wav.AbC123` of rsync,
/// `.goutputstream-…`, `._x.wav`), what browsers and others have not finished, what file managers write for themselves.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    const ENDINGS: [&str; 7] = [
        ".part",
        ".partial",
        ".crdownload",
        ".download",
        ".tmp",
        ".temp",
        "~",
    ];
    const OWN: [&str; 2] = ["thumbs.db", "desktop.ini"];
    let name = name.to_string_lossy().to_ascii_lowercase();
    name.starts_with('.')
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || OWN.contains(&name.as_str())
}

/// The file or folder that `._NAME` is about, by its name.
pub(super) fn companion_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_encoded_bytes().strip_prefix(b"._")?;
    (!name.is_empty()).then(|| path.with_file_name(names::lossy(name.to_vec())))
}

/// What the Finder writes for itself into folders that it shows.
pub(super) fn is_of_finder(name: &OsStr) -> bool {
    name == ".DS_Store"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_another_file_is_known_by_its_name() {
        let of = |path: &str| companion_of(Path::new(path));
        assert_eq!(of("Pack/._Kick.wav"), Some("Pack/Kick.wav".into()));
        assert_eq!(of("._._x"), Some("._x".into()));
        for none in ["Kick.wav", "._", ".Kick.wav", "Pack/._a/Kick.wav", ""] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn temporary_names_are_known() {
        for name in [
            ".x.wav.AbC123",
            ".goutputstream-XYZ",
            "x.wav.part",
            "x.WAV.CRDOWNLOAD",
            "._x.wav",
            "Thumbs.db",
            ".DS_Store",
            "x.wav~",
        ] {
            assert!(is_temporary(OsStr::new(name)), "{name}");
        }
        for name in ["x.wav", "part.wav", "a.b.flac", "desktop.wav"] {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
    }
}

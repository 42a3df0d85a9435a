//! Names that programs give to files for a moment only, or for themselves.

use std::ffi::OsStr;

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

#[cfg(test)]
mod tests {
    use super::*;

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

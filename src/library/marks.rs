//! The file on a volume by which it is known again, where the volume itself says too little: sticks of one make that all
//! have one serial number, boxes that hide the serial of the disk in them.
//!
//! `.mediafs-volume` in the root of the volume, one JSON object: `{"mediafs":"volume","id":"…"}`. It is written when a
//! user asks for it, by a courier, and read by couriers whenever a disk is asked what it is. It goes wherever the files
//! of the volume are copied to, so it counts only beside what the file system says of itself
//! ([`mediafs_platform::volume::VolumeIdentity::compare`]).

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::project::files;

/// The name of the file.
const NAME: &str = ".mediafs-volume";
/// Most bytes that such a file has.
const MOST: u64 = 4096;
/// Longest mark, in characters.
const LONGEST: usize = 64;

#[derive(Serialize, Deserialize)]
struct Marker {
    mediafs: String,
    id: String,
}

/// The mark of the volume whose root is this folder; `None` where it has none.
///
/// # Errors
/// When the file can't be read, or is none that was written for this.
pub(super) fn read(root: &Path) -> io::Result<Option<String>> {
    let Some(text) = files::read(root, NAME.as_ref(), MOST)? else {
        return Ok(None);
    };
    let marker = serde_json::from_slice::<Marker>(&text)
        .ok()
        .filter(|marker| marker.mediafs == "volume" && is_mark(&marker.id));
    match marker {
        Some(marker) => Ok(Some(marker.id)),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{NAME} on it is no mark of mediafs; remove it and try again"),
        )),
    }
}

/// Puts a mark on the volume whose root is this folder, unless it has one.
///
/// # Errors
/// When the file can't be written, or another one has its name.
pub(super) fn put(root: &Path, mark: &str) -> io::Result<()> {
    if !is_mark(mark) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if read(root)?.is_some() {
        return Ok(());
    }
    let marker = Marker {
        mediafs: "volume".to_owned(),
        id: mark.to_owned(),
    };
    let mut text = serde_json::to_vec(&marker)?;
    text.push(b'\n');
    match files::put(root, NAME, &text, false, None) {
        // Somebody else has marked it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(root).map(|_| ()),
        put => put,
    }
}

fn is_mark(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=LONGEST).contains(&text.len()) && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_volume_keeps_its_first_mark() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read(root.path()).unwrap(), None);
        put(root.path(), "one-1").unwrap();
        assert_eq!(read(root.path()).unwrap().as_deref(), Some("one-1"));
        put(root.path(), "two-2").unwrap();
        assert_eq!(read(root.path()).unwrap().as_deref(), Some("one-1"));
        let names: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn what_is_no_mark_is_told_and_left_alone() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"mediafs":"volume"}"#,
            r#"{"mediafs":"other","id":"a"}"#,
            r#"{"mediafs":"volume","id":""}"#,
            r#"{"mediafs":"volume","id":"a,b=c"}"#,
            &format!(r#"{{"mediafs":"volume","id":"{}"}}"#, "a".repeat(65)),
            &" ".repeat(5000),
        ] {
            let root = tempfile::tempdir().unwrap();
            let file = root.path().join(NAME);
            std::fs::write(&file, text).unwrap();
            let error = put(root.path(), "one-1").unwrap_err();
            assert!(error.to_string().contains(NAME), "{text:?}: {error}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(NAME)).unwrap();
        assert!(put(root.path(), "one-1").is_err());
        assert!(put(root.path(), "No Mark").is_err());
    }
}

//! Absolute paths as text: on Unix a path is any bytes, JSON and what people copy are not.
//!
//! A path is written as itself where it is UTF-8, so that every program can open it, else as a `file://` URI with `%XX`
//! for what is not: no path begins like that, so nothing can be mistaken. Both forms are taken by the control protocol
//! and by commands.

use std::path::{Path, PathBuf};

use mediafs_platform::names::from_bytes;

/// How a path that is not UTF-8 begins.
const SCHEME: &str = "file://";

/// A text that is no path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoPath {
    /// The end of a text in C.
    #[error("a path cannot hold a NUL")]
    Nul,
    /// Of another machine.
    #[error("only file:/// URIs of this machine are paths")]
    OtherMachine,
    /// Not two hexadecimal digits behind a `%`.
    #[error("a bad %XX in a file URI")]
    BadEscape,
    /// Not UTF-8 where paths have to be.
    #[error("no path of this system")]
    OtherSystem,
}

/// The text of an absolute path.
#[must_use]
pub fn path_text(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.starts_with(SCHEME) => text.to_owned(),
        _ => encode(path.as_os_str().as_encoded_bytes()),
    }
}

/// The path that a text stands for.
///
/// # Errors
/// [`NoPath`].
pub fn path_from_text(text: &str) -> Result<PathBuf, NoPath> {
    if text.contains('\0') {
        return Err(NoPath::Nul);
    }
    let Some(rest) = text.strip_prefix(SCHEME) else {
        return Ok(PathBuf::from(text));
    };
    if !rest.starts_with('/') {
        return Err(NoPath::OtherMachine);
    }
    let bytes = decode(rest).ok_or(NoPath::BadEscape)?;
    from_bytes(bytes)
        .map(PathBuf::from)
        .ok_or(NoPath::OtherSystem)
}

fn encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = SCHEME.to_owned();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            let byte = u8::from_str_radix(digits, 16).ok()?;
            if byte == 0 {
                return None;
            }
            out.push(byte);
            rest = tail.get(2..)?;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    Some(out)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    fn there_and_back(bytes: &[u8]) -> String {
        let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let text = path_text(&path);
        assert_eq!(path_from_text(&text).unwrap(), path);
        text
    }

    #[test]
    fn every_path_survives() {
        assert_eq!(there_and_back(b"/a/b c%20.wav"), "/a/b c%20.wav");
        assert_eq!(
            there_and_back(b"/a/\xff b%.wav"),
            "file:///a/%FF%20b%25.wav"
        );
        there_and_back("/ü/\n\u{202e}".as_bytes());
        let all: Vec<u8> = std::iter::once(b'/').chain(1..=255).collect();
        there_and_back(&all);
    }

    #[test]
    fn hostile_paths_are_refused() {
        for text in [
            "file://host/x",
            "file:///%",
            "file:///%g0",
            "file:///%+1",
            "file:///%00",
            "file:///%C",
            "a\0b",
        ] {
            assert!(path_from_text(text).is_err(), "{text:?}");
        }
    }
}

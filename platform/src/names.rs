//! Names as bytes, for texts that must carry any name: on Unix a name is any bytes, on Windows it is text.
//!
//! The other way is [`OsStr::as_encoded_bytes`](std::ffi::OsStr::as_encoded_bytes).

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

/// The name of these bytes; `None` where this system has no such name.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)]
#[must_use]
pub fn from_bytes(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

/// The name of these bytes; `None` where this system has no such name.
#[cfg(windows)]
#[must_use]
pub fn from_bytes(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

/// As [`from_bytes`], without taking the bytes.
#[must_use]
pub fn of(bytes: &[u8]) -> Option<&OsStr> {
    #[cfg(unix)]
    return Some(std::os::unix::ffi::OsStrExt::from_bytes(bytes));
    #[cfg(windows)]
    std::str::from_utf8(bytes).ok().map(OsStr::new)
}

/// The name of these bytes; where this system has no such name, with `�` for what is no text.
#[must_use]
pub fn lossy(bytes: Vec<u8>) -> OsString {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(windows)]
    return match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => String::from_utf8_lossy(error.as_bytes())
            .into_owned()
            .into(),
    };
}

/// Is it the name of something in one folder, that leads nowhere else? On Windows a name that another system has given may hold
/// what separates folders there, or (behind a `:`) leads to a stream of a file.
#[must_use]
pub fn is_single(name: &OsStr) -> bool {
    let mut components = Path::new(name).components();
    let is_one = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(one)), None) if one == name
    );
    #[cfg(windows)]
    let is_one = is_one && crate::nt::can_be_a_name(name);
    is_one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        let is = |name: &str| is_single(OsStr::new(name));
        for name in ["kick.wav", "größe 東京", "..kick", "...", " "] {
            assert!(is(name), "{name:?}");
        }
        for name in ["", ".", "..", "a/b", "a/", "/a", "../a"] {
            assert!(!is(name), "{name:?}");
        }
        for name in [r"a\b", r"..\a", r"a\", "C:", "C:x", "a.wav:stream"] {
            assert_eq!(is(name), cfg!(unix), "{name:?}");
        }
    }

    #[test]
    fn names_come_back_and_other_bytes_are_seen() {
        let name = "größe 東京.wav";
        assert_eq!(from_bytes(name.into()), Some(OsString::from(name)));
        assert_eq!(lossy(name.into()), name);
        assert_eq!(of(name.as_bytes()), Some(OsStr::new(name)));
        assert_eq!(of(b"m\xfcsik").is_some(), cfg!(unix));
        let other = || b"m\xfcsik".to_vec();
        if cfg!(unix) {
            assert_eq!(lossy(other()).as_encoded_bytes(), other());
            assert_eq!(from_bytes(other()), Some(lossy(other())));
        } else {
            assert_eq!(lossy(other()), "m\u{fffd}sik");
            assert_eq!(from_bytes(other()), None);
        }
    }
}

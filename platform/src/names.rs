//! Names as bytes, for texts that must carry any name: on Unix a name is any bytes, on Windows it is text.
//!
//! The other way is [`OsStr::as_encoded_bytes`](std::ffi::OsStr::as_encoded_bytes).

use std::ffi::{OsStr, OsString};

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

#[cfg(test)]
mod tests {
    use super::*;

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

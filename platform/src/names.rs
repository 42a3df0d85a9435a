//! Names as bytes, for texts that must carry any name: on Unix a name is any bytes, on Windows it is text.
//!
//! The other way is [`OsStr::as_encoded_bytes`](std::ffi::OsStr::as_encoded_bytes).

use std::ffi::OsString;

/// The name of these bytes; `None` where this system has no such name.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

/// The name of these bytes; `None` where this system has no such name.
#[cfg(windows)]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

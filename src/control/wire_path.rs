//! Paths as text: on Unix a path is any bytes, JSON is not.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a path that is not UTF-8 begins.
const SCHEME: &str = "file://";

/// A path in a message: itself where it is UTF-8, else a `file://` URI with `%XX` for what is not. Both forms are
/// taken.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WirePath(pub PathBuf);

impl From<&Path> for WirePath {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Serialize for WirePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_str(&encode(self.0.as_os_str().as_encoded_bytes())),
        }
    }
}

impl<'de> Deserialize<'de> for WirePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('\0') {
            return Err(serde::de::Error::custom("a path cannot hold a NUL"));
        }
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Ok(Self(PathBuf::from(text)));
        };
        if !rest.starts_with('/') {
            return Err(serde::de::Error::custom(
                "only file:/// URIs of this machine are paths",
            ));
        }
        let bytes =
            decode(rest).ok_or_else(|| serde::de::Error::custom("a bad %XX in a file URI"))?;
        os_string(bytes)
            .map(|path| Self(PathBuf::from(path)))
            .ok_or_else(|| serde::de::Error::custom("no path of this system"))
    }
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
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
    use std::os::unix::ffi::OsStringExt as _;

    fn there_and_back(bytes: &[u8]) -> String {
        let path = WirePath(PathBuf::from(OsString::from_vec(bytes.to_vec())));
        let text = serde_json::to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<WirePath>(&text).unwrap(), path);
        text
    }

    #[test]
    fn every_path_survives() {
        assert_eq!(there_and_back(b"/a/b c%20.wav"), r#""/a/b c%20.wav""#);
        assert_eq!(
            there_and_back(b"/a/\xff b%.wav"),
            r#""file:///a/%FF%20b%25.wav""#
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
            assert!(
                serde_json::from_value::<WirePath>(text.into()).is_err(),
                "{text:?}"
            );
        }
    }
}

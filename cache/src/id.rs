//! The name of an object: the BLAKE3 hash of its bytes.
//!
//! Made from bytes that were hashed, or parsed from the name of a file in the objects folder.

use std::fmt;
use std::str::FromStr;

/// The name of an object: the BLAKE3 hash of all of its bytes. Equal bytes have equal names, so an object never
/// changes; other bytes are another object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 32]);

impl ObjectId {
    /// The name that `bytes` have.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The name with this hash.
    pub const fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<blake3::Hash> for ObjectId {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

/// The text is not the name of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an object: {text:?} (expected 64 digits 0-9 a-f)")]
pub struct ParseObjectIdError {
    /// What was given.
    pub text: String,
}

impl FromStr for ObjectId {
    type Err = ParseObjectIdError;

    /// Takes 64 digits in lower case and nothing else, so that one object has one spelling and one file name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        from_hex(text).map(Self).ok_or_else(|| ParseObjectIdError {
            text: text.chars().take(80).collect(),
        })
    }
}

/// 64 digits in lower case.
pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes)
        .to_hex()
        .as_str()
        .to_owned()
}

/// The inverse of [`hex`]; `None` for anything that `hex` does not write.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let canonical = text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !canonical {
        return None;
    }
    blake3::Hash::from_hex(text)
        .ok()
        .map(|hash| *hash.as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_and_read_back() {
        let id = ObjectId::of(b"kick");
        assert_eq!(id.to_string().parse::<ObjectId>().unwrap(), id);
        assert_eq!(
            ObjectId::of(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn other_spellings_are_refused() {
        let good = ObjectId::of(b"kick").to_string();
        for bad in [
            good.to_uppercase(),
            good[1..].to_owned(),
            format!("{good}0"),
            format!("{} ", &good[1..]),
            String::new(),
            "ä".repeat(32),
        ] {
            assert!(bad.parse::<ObjectId>().is_err(), "{bad:?}");
        }
    }
}

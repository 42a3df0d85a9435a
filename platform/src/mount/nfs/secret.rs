//! Numbers that nobody can guess.

use std::fmt::Write as _;
use std::io;

/// Sixteen random bytes.
#[derive(Clone, Copy)]
pub(super) struct Secret([u8; 16]);

impl Secret {
    /// From the system's source of random bytes.
    pub(super) fn new() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// In 32 digits.
    pub(super) fn as_hex(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Whether these are the bytes, in a time that does not tell where they differ.
    pub(super) fn is(&self, other: &[u8]) -> bool {
        let differences = self.0.iter().zip(other).map(|(one, other)| one ^ other);
        other.len() == self.0.len() && differences.fold(0, |all, one| all | one) == 0
    }
}

//! Placeholders: silence with the shape of an original, from recorded data alone.
//!
//! A [`Placeholder`] is a pure function of (capsule or facts, offset, length). It never touches the original,
//! has no state and needs O(1) memory, whatever the length of the sound. Capsules come from the catalog; the
//! bytes go to players through the tree.

use crate::model::Format;

/// The bytes of a media file that are not payload, and how the silence between them looks.
/// Serialised compactly (and compressed by the catalog).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capsule {
    /// The serialised form.
    pub bytes: Vec<u8>,
}

/// Why no placeholder can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no placeholder for this sound: {reason}")]
pub struct NoPlaceholder {
    /// What is missing or not supported.
    pub reason: String,
}

/// Silence with an original's shape.
pub trait Placeholder: Send + Sync {
    /// The original's size, in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` with the bytes at `offset`; what lies behind the end is left alone. Returns how many bytes
    /// were filled.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize;
}

/// The best placeholder for what is recorded: by the capsule where there is one, else by the facts.
///
/// # Errors
/// [`NoPlaceholder`] where the container has no form of silence yet, or a needed fact is not known.
pub fn placeholder(
    _format: &Format,
    _size: u64,
    _capsule: Option<&Capsule>,
) -> Result<Box<dyn Placeholder>, NoPlaceholder> {
    Err(NoPlaceholder {
        reason: "not implemented".to_owned(),
    })
}

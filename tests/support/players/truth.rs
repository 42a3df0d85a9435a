//! What bytes that a program was given are: the sound, its placeholder, a mixture, or a lie.

/// What a file may show: the true bytes, and those of its placeholder.
#[derive(Clone, Copy, Debug)]
pub struct Truth<'a> {
    pub bytes: &'a [u8],
    pub placeholder: &'a [u8],
}

/// What bytes are, held against the truth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Nothing,
    Bytes,
    Silence,
    /// Each byte is that of the sound or of its placeholder, and neither in all.
    Mixed,
    Wrong,
}

/// Holds bytes from `start` on against the truth.
pub fn compare(bytes: &[u8], start: u64, truth: Truth<'_>) -> Content {
    if bytes.is_empty() {
        return Content::Nothing;
    }
    let part = |all: &'_ [u8], at: usize| all.get(usize::try_from(start).ok()? + at).copied();
    let same = |all: &[u8]| (0..bytes.len()).all(|at| part(all, at) == Some(bytes[at]));
    let either = |at| {
        let byte = Some(bytes[at]);
        byte == part(truth.bytes, at) || byte == part(truth.placeholder, at)
    };
    if same(truth.bytes) {
        Content::Bytes
    } else if same(truth.placeholder) {
        Content::Silence
    } else if (0..bytes.len()).all(either) {
        Content::Mixed
    } else {
        Content::Wrong
    }
}

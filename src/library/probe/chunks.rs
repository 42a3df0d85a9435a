//! Chunks of RIFF, IFF and CAF files: an id, a length, a body.
//!
//! Also copies the parts of a file into its capsule: whole, or only their beginning.

use std::io;

use super::bytes::{array, read_at, read_up_to, u32_be, u32_le, u64_be};
use super::{Source, id3};
use crate::silence::{CapsuleBuilder, CapsuleError};

/// Of pictures and unknown chunks a capsule keeps this many bytes; the rest become zeros.
const BEGINNING: u64 = 64 * 1024;

/// What is kept whole is at most this large; a file with more has no capsule.
const WHOLE: u64 = 16 * 1024 * 1024;

/// No file has more chunks than this; the rest is kept as one unknown part.
pub(super) const MOST_CHUNKS: usize = 16 * 1024;

/// How ids and lengths are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// RIFF: 32 bits, little-endian, padded to even.
    Riff,
    /// IFF and RIFX: 32 bits, big-endian, padded to even.
    Iff,
    /// CAF: 64 bits, big-endian, not padded.
    Caf,
}

impl Style {
    fn head_length(self) -> u64 {
        match self {
            Self::Riff | Self::Iff => 8,
            Self::Caf => 12,
        }
    }
}

/// A chunk's beginning, as it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) id: [u8; 4],
    /// Where the chunk starts.
    pub(super) start: u64,
    /// Where its body starts.
    pub(super) body: u64,
    /// How long the body says it is.
    pub(super) announced: u64,
}

/// A chunk, cut to what the file really has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk {
    pub(super) id: [u8; 4],
    pub(super) start: u64,
    pub(super) body: u64,
    /// Of the body, at most up to the end of the file.
    pub(super) length: u64,
    /// Bytes announced that are not there.
    pub(super) missing: u64,
    /// Where the next chunk starts.
    pub(super) end: u64,
}

/// The beginning of the chunk at `at`; `None` where no further chunk fits or its id is none.
pub(super) fn head(source: &mut dyn Source, at: u64, style: Style) -> io::Result<Option<Head>> {
    Ok(any_head(source, at, style)?.filter(|head| is_id(&head.id)))
}

/// As [`head`], but also of a chunk whose id is no text, if one that has an id follows it, and of eight zeros: some
/// programs leave zeros or their own marks between the chunks.
pub(super) fn head_or_odd(
    source: &mut dyn Source,
    at: u64,
    size: u64,
    style: Style,
) -> io::Result<Option<Head>> {
    let Some(found) = any_head(source, at, style)? else {
        return Ok(None);
    };
    let next = found.body.saturating_add(found.announced);
    let believed = is_id(&found.id)
        || found.id == [0; 4] && found.announced == 0
        || next < size && head(source, next.saturating_add(next % 2), style)?.is_some();
    Ok(believed.then_some(found))
}

fn any_head(source: &mut dyn Source, at: u64, style: Style) -> io::Result<Option<Head>> {
    let mut bytes = [0; 12];
    let filled = read_at(source, at, &mut bytes)?;
    let bytes = &bytes[..filled];
    let announced = match style {
        Style::Riff => u32_le(bytes, 4).map(u64::from),
        Style::Iff => u32_be(bytes, 4).map(u64::from),
        Style::Caf => u64_be(bytes, 4),
    };
    let id = array::<4>(bytes, 0);
    Ok(id.zip(announced).map(|(id, announced)| Head {
        id,
        start: at,
        body: at + style.head_length(),
        announced,
    }))
}

/// The chunk that `head` begins, of `announced` bytes, in a file of `size` bytes. Some programs forget the pad
/// byte after an odd chunk; the next id shows where it stands.
pub(super) fn chunk(
    source: &mut dyn Source,
    head: Head,
    announced: u64,
    size: u64,
    style: Style,
) -> io::Result<Chunk> {
    let there = size.saturating_sub(head.body);
    let length = announced.min(there);
    let mut end = head.body + length;
    if style != Style::Caf && length % 2 == 1 && end < size {
        let mut next = [0; 5];
        let filled = read_at(source, end, &mut next)?;
        let unpadded = filled < 5
            || (array::<4>(&next, 0).is_some_and(|id| is_id(&id))
                && !array::<4>(&next, 1).is_some_and(|id| is_id(&id)));
        if !unpadded || next[0] == 0 {
            end += 1;
        }
    }
    Ok(Chunk {
        id: head.id,
        start: head.start,
        body: head.body,
        length,
        missing: announced - length,
        end,
    })
}

/// The body, up to `most` bytes of it.
pub(super) fn body(source: &mut dyn Source, chunk: &Chunk, most: u64) -> io::Result<Vec<u8>> {
    read_up_to(source, chunk.body, chunk.length.min(most))
}

fn is_id(id: &[u8; 4]) -> bool {
    id.iter()
        .all(|byte| (0x20..0x7f).contains(byte) || *byte == 0xa9)
}

/// Keeps all bytes from `from` up to `to`.
pub(super) fn keep_whole(
    source: &mut dyn Source,
    capsule: &mut CapsuleBuilder,
    from: u64,
    to: u64,
) -> io::Result<()> {
    if to.saturating_sub(from) > WHOLE {
        capsule.give_up(CapsuleError::TooLarge);
    }
    let mut at = from;
    while at < to && !capsule.failed() {
        let bytes = read_up_to(source, at, (to - at).min(BEGINNING))?;
        if bytes.is_empty() {
            break;
        }
        capsule.verbatim(at, &bytes);
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Keeps the first 64 KiB of the bytes from `from` up to `to`.
pub(super) fn keep_beginning(
    source: &mut dyn Source,
    capsule: &mut CapsuleBuilder,
    from: u64,
    to: u64,
) -> io::Result<()> {
    keep_whole(
        source,
        capsule,
        from,
        to.min(from.saturating_add(BEGINNING)),
    )
}

/// Keeps an ID3v2 tag from `from` up to `to`: of each frame that is not text only the first 64 KiB.
pub(super) fn keep_id3(
    source: &mut dyn Source,
    capsule: &mut CapsuleBuilder,
    from: u64,
    to: u64,
) -> io::Result<()> {
    let mut at = from;
    for (start, end) in id3::large_binary_frames(source, from, to, BEGINNING)? {
        keep_whole(source, capsule, at, start + BEGINNING)?;
        at = end;
    }
    keep_whole(source, capsule, at, to)
}

//! Bytes of a placeholder that a rule makes, so that a capsule need not store them.
//!
//! A generator is a pure function of its parameters and the position inside its segment. It is decoded anew at
//! each read from the capsule's bytes, so it costs no memory, and decoding checks every parameter: capsules
//! come from a database that may be damaged.
//!
//! To add one: a variant, a tag that was never used before, and the four matches below.

use super::flac_frames::SilentFrames;

/// A rule for the bytes of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Generator<'a> {
    /// One byte over and over: silence of 8-bit WAV, µ-law, A-law.
    Fill(u8),
    /// A block of bytes over and over, from its start: silent blocks of a coding with blocks of one size.
    /// Never empty.
    Pattern(&'a [u8]),
    /// Silent FLAC frames, all of a stream.
    Flac(SilentFrames),
}

const FILL: u8 = 1;
const PATTERN: u8 = 2;
const FLAC: u8 = 3;

impl<'a> Generator<'a> {
    /// The number that names the rule in a capsule. Never given twice.
    pub(super) fn tag(&self) -> u8 {
        match self {
            Self::Fill(_) => FILL,
            Self::Pattern(_) => PATTERN,
            Self::Flac(_) => FLAC,
        }
    }

    /// Appends the parameters.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fill(byte) => out.push(*byte),
            Self::Pattern(block) => out.extend_from_slice(block),
            Self::Flac(frames) => frames.encode(out),
        }
    }

    /// The rule for a segment of `length` bytes; `None` where the tag is unknown or a parameter is impossible.
    pub(super) fn decode(tag: u8, parameters: &'a [u8], length: u64) -> Option<Self> {
        match (tag, parameters) {
            (FILL, [byte]) => Some(Self::Fill(*byte)),
            (PATTERN, [_, ..]) => Some(Self::Pattern(parameters)),
            (FLAC, parameters) => SilentFrames::decode(parameters)
                .filter(|frames| frames.length() == Some(length))
                .map(Self::Flac),
            _ => None,
        }
    }

    /// Fills `buffer` with the bytes at `position` of the segment. The caller keeps to the segment's length.
    pub(super) fn fill(&self, position: u64, buffer: &mut [u8]) {
        match self {
            Self::Fill(byte) => buffer.fill(*byte),
            Self::Flac(frames) => frames.fill(position, buffer),
            Self::Pattern(block) => {
                let phase = (position % block.len() as u64) as usize;
                let (first, rest) = buffer.split_at_mut(buffer.len().min(block.len() - phase));
                first.copy_from_slice(&block[phase..phase + first.len()]);
                for part in rest.chunks_mut(block.len()) {
                    part.copy_from_slice(&block[..part.len()]);
                }
            }
        }
    }
}

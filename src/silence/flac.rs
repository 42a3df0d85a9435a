//! Silence as native FLAC.
//!
//! `fLaC` · STREAMINFO · what the original has beside it · PADDING to reach the original's size · silent frames.
//! RFC 9639. STREAMINFO's MD5 is left at zero, which means "not computed": a digest over gigabytes of zeros
//! would delay scan or player, and every decoder accepts zero (`flac -t` says that there is nothing to compare).

use super::flac_frames::SilentFrames;
use super::{Capsule, CapsuleBuilder, Generator, NoPlaceholder};
use crate::model::Format;

/// The body of STREAMINFO.
pub(crate) const STREAMINFO: usize = 34;

/// The longest body of a metadata block.
const LONGEST_BODY: u64 = (1 << 24) - 1;

/// More padding blocks than this (64 GiB) are not made.
const MOST_PADDINGS: u64 = 4096;

/// Tried where the original's own block size leaves a rest that no padding block fits.
const BLOCKS: [u16; 7] = [4096, 4608, 2048, 8192, 16_384, 32_768, 65_535];

const PADDING: u8 = 1;
const LAST: u8 = 0x80;

/// What a silent stream needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stream {
    pub(crate) channels: u16,
    pub(crate) bits: u16,
    pub(crate) sample_rate: u32,
    pub(crate) samples: u64,
    /// Whether STREAMINFO tells the samples; streamed files leave it open.
    pub(crate) length_stated: bool,
    /// The original's block size, where it is known.
    pub(crate) block: Option<u16>,
}

/// Padding and frames that fill the room behind the metadata blocks exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling {
    frames: SilentFrames,
    block: u16,
    frames_length: u64,
    padding: u64,
}

impl Stream {
    /// Frames and padding for `room` bytes; `None` where no block size fits.
    pub(crate) fn fill(&self, room: u64) -> Option<Filling> {
        self.block.into_iter().chain(BLOCKS).find_map(|block| {
            let frames = SilentFrames::new(
                self.channels,
                self.bits,
                self.sample_rate,
                block,
                self.samples,
            )?;
            let frames_length = frames.length()?;
            let padding = room.checked_sub(frames_length)?;
            let possible = padding == 0 || (4..=MOST_PADDINGS * LONGEST_BODY).contains(&padding);
            possible.then_some(Filling {
                frames,
                block,
                frames_length,
                padding,
            })
        })
    }

    /// The body of STREAMINFO for this stream when filled.
    pub(crate) fn streaminfo(&self, filling: &Filling) -> Option<[u8; STREAMINFO]> {
        let (shortest, longest) = filling.frames.frame_lengths();
        let packed = u64::from(self.sample_rate) << 44
            | u64::from(self.channels.checked_sub(1)?) << 41
            | u64::from(self.bits.checked_sub(1)?) << 36
            | if self.length_stated { self.samples } else { 0 };
        let fits = self.sample_rate < 1 << 20 && self.samples < 1 << 36;
        let mut body = [0; STREAMINFO];
        body[..2].copy_from_slice(&filling.block.to_be_bytes());
        body[2..4].copy_from_slice(&filling.block.to_be_bytes());
        body[4..7].copy_from_slice(&shortest.to_be_bytes()[5..]);
        body[7..10].copy_from_slice(&longest.to_be_bytes()[5..]);
        body[10..18].copy_from_slice(&packed.to_be_bytes());
        fits.then_some(body)
    }
}

impl Filling {
    /// Whether padding blocks follow the original's metadata blocks.
    pub(crate) fn has_padding(&self) -> bool {
        self.padding > 0
    }

    /// Adds padding blocks and frames at `offset`.
    pub(crate) fn add(&self, capsule: &mut CapsuleBuilder, offset: u64) {
        let mut at = offset;
        let mut left = self.padding;
        while left > 0 && !capsule.failed() {
            let mut body = (left - 4).min(LONGEST_BODY);
            // A block less than a head would be left: leave it enough.
            if (1..4).contains(&(left - 4 - body)) {
                body -= 4;
            }
            left -= 4 + body;
            let last = if left == 0 { LAST } else { 0 };
            capsule.verbatim(at, &block_head(PADDING | last, body));
            at += 4 + body;
        }
        capsule.generated(at, self.frames_length, &Generator::Flac(self.frames));
    }
}

/// The head of a metadata block of this type (and last flag) with `length` bytes of body, at most 2²⁴ − 1.
pub(crate) fn block_head(kind: u8, length: u64) -> [u8; 4] {
    let [.., a, b, c] = length.to_be_bytes();
    [kind, a, b, c]
}

/// The capsule of a FLAC file of `size` bytes that has this format and is silent.
pub(super) fn from_facts(format: &Format, size: u64) -> Result<Capsule, NoPlaceholder> {
    let unknown = |what: &str| NoPlaceholder::new(format!("{what} is not known"));
    let stream = Stream {
        channels: format
            .channels
            .ok_or_else(|| unknown("the number of its channels"))?,
        bits: format
            .bit_depth
            .ok_or_else(|| unknown("the width of its samples"))?,
        sample_rate: format
            .sample_rate
            .ok_or_else(|| unknown("its sample rate"))?,
        samples: format.frames.ok_or_else(|| unknown("its length"))?,
        length_stated: true,
        block: None,
    };
    let unfit = || NoPlaceholder::new("no FLAC stream of its length fits its size");
    let start = 4 + 4 + STREAMINFO as u64;
    let filling = size
        .checked_sub(start)
        .and_then(|room| stream.fill(room))
        .ok_or_else(unfit)?;
    let streaminfo = stream.streaminfo(&filling).ok_or_else(unfit)?;
    let last = if filling.has_padding() { 0 } else { LAST };
    let mut capsule = CapsuleBuilder::new(size);
    capsule.verbatim(0, b"fLaC");
    capsule.verbatim(4, &block_head(last, STREAMINFO as u64));
    capsule.verbatim(8, &streaminfo);
    filling.add(&mut capsule, start);
    capsule.finish().map_err(Into::into)
}

//! Bytes of a placeholder that a rule makes, so that a capsule need not store them.
//!
//! A generator is a pure function of its parameters and the position inside its segment. It is decoded anew at
//! each read from the capsule's bytes, so it costs no memory, and decoding checks every parameter: capsules
//! come from a database that may be damaged.
//!
//! To add one: a variant, a tag that was never used before, and the four matches below.

use super::aac::AdtsFrames;
use super::flac_frames;
use super::mp3::{self, SpreadFrames};
use super::ogg::{AlikePages, SilentPages};
use super::packets::{AacSlots, FlacSlots, HeadSlots};

/// A rule for the bytes of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Generator<'a> {
    /// One byte over and over: silence of 8-bit WAV, µ-law, A-law.
    Fill(u8),
    /// A block of bytes over and over, from its start: silent blocks of a coding with blocks of one size.
    /// Never empty.
    Pattern(&'a [u8]),
    /// Frames of MPEG audio.
    MpegFrames(mp3::SilentFrames<'a>),
    /// Frames of MPEG audio of one bit rate.
    MpegSpread(SpreadFrames),
    /// Pages of Ogg, each with its own packets.
    OggPages(SilentPages<'a>),
    /// Pages of Ogg that are all alike.
    OggAlike(AlikePages<'a>),
    /// Packets of AAC.
    AacSlots(AacSlots<'a>),
    /// Packets with starts out of few.
    HeadSlots(HeadSlots<'a>),
    /// Frames of AC-3, by their starts.
    Ac3Slots(HeadSlots<'a>),
    /// Frames of FLAC, each of a length of its own.
    FlacSlots(FlacSlots<'a>),
    /// Frames of AAC.
    AdtsFrames(AdtsFrames<'a>),
    /// Silent FLAC frames, all of a stream.
    Flac(flac_frames::SilentFrames),
}

const FILL: u8 = 1;
const PATTERN: u8 = 2;
const MPEG_FRAMES: u8 = 16;
const MPEG_SPREAD: u8 = 17;
const OGG_PAGES: u8 = 18;
const OGG_ALIKE: u8 = 19;
const AAC_SLOTS: u8 = 20;
// 21 were packets that all had one start.
const ADTS_FRAMES: u8 = 22;
const HEAD_SLOTS: u8 = 23;
const FLAC_SLOTS: u8 = 24;
const AC3_SLOTS: u8 = 25;
const FLAC: u8 = 3;

impl<'a> Generator<'a> {
    /// The number that names the rule in a capsule. Never given twice.
    pub(super) fn tag(&self) -> u8 {
        match self {
            Self::Fill(_) => FILL,
            Self::Pattern(_) => PATTERN,
            Self::MpegFrames(_) => MPEG_FRAMES,
            Self::MpegSpread(_) => MPEG_SPREAD,
            Self::OggPages(_) => OGG_PAGES,
            Self::OggAlike(_) => OGG_ALIKE,
            Self::AacSlots(_) => AAC_SLOTS,
            Self::HeadSlots(_) => HEAD_SLOTS,
            Self::FlacSlots(_) => FLAC_SLOTS,
            Self::Ac3Slots(_) => AC3_SLOTS,
            Self::AdtsFrames(_) => ADTS_FRAMES,
            Self::Flac(_) => FLAC,
        }
    }

    /// Appends the parameters.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fill(byte) => out.push(*byte),
            Self::Pattern(block) => out.extend_from_slice(block),
            Self::MpegFrames(frames) => frames.encode(out),
            Self::MpegSpread(frames) => frames.encode(out),
            Self::OggPages(pages) => pages.encode(out),
            Self::OggAlike(pages) => pages.encode(out),
            Self::AacSlots(slots) => slots.encode(out),
            Self::HeadSlots(slots) | Self::Ac3Slots(slots) => slots.encode(out),
            Self::FlacSlots(slots) => slots.encode(out),
            Self::AdtsFrames(frames) => frames.encode(out),
            Self::Flac(frames) => frames.encode(out),
        }
    }

    /// The rule for a segment of `length` bytes; `None` where the tag is unknown or a parameter is impossible.
    pub(super) fn decode(tag: u8, parameters: &'a [u8], length: u64) -> Option<Self> {
        match (tag, parameters) {
            (FILL, [byte]) => Some(Self::Fill(*byte)),
            (PATTERN, [_, ..]) => Some(Self::Pattern(parameters)),
            (MPEG_FRAMES, _) => mp3::SilentFrames::decode(parameters, length).map(Self::MpegFrames),
            (MPEG_SPREAD, _) => SpreadFrames::decode(parameters, length).map(Self::MpegSpread),
            (OGG_PAGES, _) => SilentPages::decode(parameters, length).map(Self::OggPages),
            (OGG_ALIKE, _) => AlikePages::decode(parameters, length).map(Self::OggAlike),
            (AAC_SLOTS, _) => AacSlots::decode(parameters, length).map(Self::AacSlots),
            (HEAD_SLOTS, _) => HeadSlots::decode(parameters, length).map(Self::HeadSlots),
            (AC3_SLOTS, _) => HeadSlots::decode(parameters, length).map(Self::Ac3Slots),
            (FLAC_SLOTS, _) => FlacSlots::decode(parameters, length).map(Self::FlacSlots),
            (FLAC, parameters) => flac_frames::SilentFrames::decode(parameters)
                .filter(|frames| frames.length() == Some(length))
                .map(Self::Flac),
            (ADTS_FRAMES, _) => AdtsFrames::decode(parameters, length).map(Self::AdtsFrames),
            _ => None,
        }
    }

    /// Fills `buffer` with the bytes at `position` of the segment. The caller keeps to the segment's length.
    pub(super) fn fill(&self, position: u64, buffer: &mut [u8]) {
        match self {
            Self::Fill(byte) => buffer.fill(*byte),
            Self::MpegFrames(frames) => frames.fill(position, buffer),
            Self::MpegSpread(frames) => frames.fill(position, buffer),
            Self::OggPages(pages) => pages.fill(position, buffer),
            Self::OggAlike(pages) => pages.fill(position, buffer),
            Self::AacSlots(slots) => slots.fill(position, buffer),
            Self::HeadSlots(slots) => slots.fill(position, buffer),
            Self::Ac3Slots(slots) => slots.fill_ac3(position, buffer),
            Self::FlacSlots(slots) => slots.fill(position, buffer),
            Self::AdtsFrames(frames) => frames.fill(position, buffer),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tags of all rules.
    const TAGS: [u8; 12] = [
        FILL,
        PATTERN,
        FLAC,
        MPEG_FRAMES,
        MPEG_SPREAD,
        OGG_PAGES,
        OGG_ALIKE,
        AAC_SLOTS,
        HEAD_SLOTS,
        ADTS_FRAMES,
        FLAC_SLOTS,
        AC3_SLOTS,
    ];

    proptest! {
        #[test]
        fn no_parameters_make_a_rule_panic(
            tag in prop::sample::select(TAGS.to_vec()),
            parameters in prop::collection::vec(prop_oneof![Just(0_u8), Just(0xff), Just(1), any::<u8>()], 0..200),
            length in prop_oneof![any::<u64>(), 0..5_000_u64],
            position in any::<u64>(),
        ) {
            if let Some(rule) = Generator::decode(tag, &parameters, length) {
                let position = position % length.max(1);
                let count = (length - position).min(5_000) as usize;
                let mut buffer = vec![0; count];
                rule.fill(position, &mut buffer);
                let mut again = Vec::new();
                rule.encode(&mut again);
                prop_assert_eq!(again, parameters);
            }
        }
    }
}

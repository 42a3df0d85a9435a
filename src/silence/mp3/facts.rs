//! Silent MPEG audio from facts alone.
//!
//! An information frame with the delay and padding that fit, and frames of one bit rate, some of them a byte
//! longer so that the rate comes out; the rest of the size is ID3v2 padding, or, where that would be much, some
//! frames have the next higher bit rate. The encoder is said to be `LAME`, as readers believe delay and padding of
//! no unknown one.

use crate::container::mpeg::{DECODER_DELAY, FrameHeader};
use crate::model::Format;
use crate::silence::copy::copy_part;
use crate::silence::{Capsule, CapsuleBuilder, Generator, NoPlaceholder};

/// The capsule of a file of `size` bytes that has this format and is silent.
pub(in crate::silence) fn from_facts(format: &Format, size: u64) -> Result<Capsule, NoPlaceholder> {
    let plan = Plan::new(format)?;
    let (frames, info) = (plan.frames, plan.info);
    let headers = plan.bitrates();
    let info_header = headers
        .iter()
        .find(|header| header.length() >= INFO_AT_LEAST + header.side_info() as u64)
        .filter(|_| info.is_some())
        .copied();
    let info_length = info_header.map_or(0, |header| header.length());
    let left = size.checked_sub(info_length);
    let fitting = headers
        .iter()
        .rposition(|header| left.is_some_and(|left| header.length() * frames <= left));
    let (Some(fitting), Some(mut left)) = (fitting, left) else {
        return Err(NoPlaceholder::new(format!(
            "{size} bytes are too few for {frames} MPEG frames"
        )));
    };
    let low = headers[fitting];
    left -= low.length() * frames;
    let high = headers.get(fitting + 1).copied().unwrap_or(low);
    let Some(fill) = Fill::find(&low, &high, frames, left) else {
        return Err(NoPlaceholder::new(format!(
            "no frames and tags add up to {size} bytes"
        )));
    };

    let mut builder = CapsuleBuilder::new(size);
    if fill.tag > 0 {
        let body = fill.tag - TAG_AT_LEAST;
        let digit = |shift: u32| (body >> shift & 0x7f) as u8;
        builder.verbatim(
            0,
            &[
                b'I',
                b'D',
                b'3',
                4,
                0,
                0,
                digit(21),
                digit(14),
                digit(7),
                digit(0),
            ],
        );
    }
    let mut at = fill.tag;
    if let (Some(header), Some(padding)) = (info_header, info) {
        builder.verbatim(at, &info_frame(&header, frames, size - fill.tag, padding));
        at += header.length();
    }
    for (header, frames, padded) in [(high, fill.high, 0), (low, frames - fill.high, fill.padded)] {
        let spread = SpreadFrames {
            raw: header.raw,
            frames,
            padded,
        };
        let length = frames * header.length() + padded;
        builder.generated(at, length, &Generator::MpegSpread(spread));
        at += length;
    }
    Ok(builder.finish()?)
}

/// How frames of the lowest bit rate that fits are brought to a size.
struct Fill {
    /// Frames of the next higher bit rate.
    high: u64,
    /// Frames of the lower one that are a byte longer, by their padding bit.
    padded: u64,
    /// Bytes of an ID3v2 tag in front.
    tag: u64,
}

impl Fill {
    /// For `left` bytes more than `frames` frames of the low bit rate take.
    fn find(low: &FrameHeader, high: &FrameHeader, frames: u64, left: u64) -> Option<Self> {
        let can_pad = low.layer != 1;
        let exact = low.exact_length() * frames as f64;
        let rounding = (exact as u64).saturating_sub(low.length() * frames);
        let constant = Self {
            high: 0,
            padded: if can_pad {
                rounding.min(left).min(frames)
            } else {
                0
            },
            tag: 0,
        };
        let step = high.length() - low.length();
        let most = left.checked_div(step).unwrap_or(0).min(frames);
        let small = left / 8 < low.length() * frames / 512;
        let mixed = [Some(most), most.checked_sub(1)]
            .into_iter()
            .flatten()
            .flat_map(|high| {
                let padded = (left - high * step).min(frames - high);
                [0, if can_pad { padded } else { 0 }].map(|padded| Self {
                    high,
                    padded,
                    tag: 0,
                })
            });
        let all = [constant]
            .into_iter()
            .filter(|_| small || step == 0)
            .chain(mixed);
        all.map(|fill| Self {
            tag: left - fill.high * step - fill.padded,
            ..fill
        })
        .find(|fill| fill.tag == 0 || (TAG_AT_LEAST..=TAG_AT_MOST).contains(&fill.tag))
    }
}

/// An ID3v2 tag without frames.
const TAG_AT_LEAST: u64 = 10;

/// Four digits of seven bits, and the header.
const TAG_AT_MOST: u64 = (1 << 28) - 1 + TAG_AT_LEAST;

/// Header and tag of an information frame up to LAME's check, without the side information.
const INFO_AT_LEAST: u64 = 4 + 120 + 36;

/// How many frames, of what sort, and what is dropped at both ends.
struct Plan {
    layer: u8,
    sample_rate: u32,
    channels: u16,
    frames: u64,
    /// Delay and padding as an information frame tells them; `None` where nothing is dropped.
    info: Option<(u16, u16)>,
}

impl Plan {
    fn new(format: &Format) -> Result<Self, NoPlaceholder> {
        let codec = format
            .codec
            .as_ref()
            .map_or("mp3", |codec| codec.0.as_str());
        let layer = match codec {
            "mp1" => 1,
            "mp2" => 2,
            "mp3" => 3,
            other => return Err(NoPlaceholder::new(format!("{other} is no MPEG audio"))),
        };
        let missing = |what: &str| NoPlaceholder::new(format!("the {what} is not known"));
        let sample_rate = format.sample_rate.ok_or_else(|| missing("sample rate"))?;
        let channels = format
            .channels
            .ok_or_else(|| missing("number of channels"))?;
        let wanted = format.frames.ok_or_else(|| missing("length"))?;
        let mut plan = Self {
            layer,
            sample_rate,
            channels,
            frames: 0,
            info: None,
        };
        let headers = plan.bitrates();
        let Some(samples) = headers.first().map(FrameHeader::samples) else {
            return Err(NoPlaceholder::new(format!(
                "MPEG audio has no {sample_rate} Hz with {channels} channels"
            )));
        };
        // The duration counts what is dropped, so it tells how many frames the original has.
        let coded = format
            .duration_seconds
            .map(|seconds| (seconds * f64::from(sample_rate) / samples as f64).round())
            .filter(|count| *count >= 1.0 && *count < 1e12)
            .map(|count| count as u64)
            .unwrap_or_else(|| wanted.div_ceil(samples))
            .max(1);
        let dropped = (coded * samples).checked_sub(wanted);
        if dropped == Some(0) || layer != 3 {
            plan.frames = wanted.div_ceil(samples);
            return Ok(plan);
        }
        plan.frames = coded;
        plan.info = dropped.and_then(split_padding);
        if plan.info.is_none() {
            // No sensible facts of an encoder: LAME's own numbers.
            plan.frames = (wanted + 576 + DECODER_DELAY).div_ceil(samples);
            plan.info = split_padding(plan.frames * samples - wanted);
        }
        Ok(plan)
    }

    /// Headers of all bit rates, from the lowest, without padding.
    fn bitrates(&self) -> Vec<FrameHeader> {
        let mode = if self.channels == 1 { 0xc0 } else { 0 };
        let mut headers = Vec::new();
        for version in [3_u8, 2, 0] {
            for rate in 0..3_u8 {
                for bitrate in 1..15_u8 {
                    let kind = 0xe1 | version << 3 | (4 - self.layer) << 1;
                    let raw = [0xff, kind, bitrate << 4 | rate << 2, mode];
                    headers.extend(FrameHeader::parse(raw).filter(|header| {
                        header.sample_rate == self.sample_rate && header.channels == self.channels
                    }));
                }
            }
        }
        headers
    }
}

/// Divides what is dropped into delay and padding fields of twelve bits each; `None` where it can't be told.
fn split_padding(dropped: u64) -> Option<(u16, u16)> {
    const FIELD: u64 = 4095;
    let delay = 576.min(dropped.checked_sub(DECODER_DELAY)?);
    let behind = dropped - DECODER_DELAY - delay;
    let excess = behind.saturating_sub(FIELD - DECODER_DELAY);
    let delay = delay + excess;
    let padding = behind - excess + DECODER_DELAY;
    (delay <= FIELD).then_some((delay as u16, padding as u16))
}

/// An information frame for `frames` frames in `bytes` bytes.
fn info_frame(header: &FrameHeader, frames: u64, bytes: u64, padding: (u16, u16)) -> Vec<u8> {
    let mut frame = vec![0; header.length() as usize];
    frame[..4].copy_from_slice(&header.raw);
    let tag = 4 + header.side_info();
    let mut put = |at: usize, bytes: &[u8]| {
        frame[tag + at..tag + at + bytes.len()].copy_from_slice(bytes);
    };
    let frames = u32::try_from(frames).unwrap_or(u32::MAX);
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    put(0, b"Info");
    put(4, &15_u32.to_be_bytes());
    put(8, &frames.to_be_bytes());
    put(12, &bytes.to_be_bytes());
    // A straight table of contents: the n-th hundredth of the time is at n/100 of the bytes, in 256ths.
    let table: [u8; 100] = std::array::from_fn(|index| (index * 256 / 100) as u8);
    put(16, &table);
    put(116, &[0, 0, 0, 57]);
    put(120, b"LAME3.100");
    let (delay, padding) = padding;
    put(
        141,
        &[
            (delay >> 4) as u8,
            (delay << 4) as u8 | (padding >> 8) as u8,
            padding as u8,
        ],
    );
    put(148, &bytes.to_be_bytes());
    let check = frame[..tag + 154].iter().fold(0_u16, |check, byte| {
        (0..8).fold(check ^ u16::from(*byte), |check, _| {
            check >> 1 ^ if check & 1 == 0 { 0 } else { 0xa001 }
        })
    });
    frame[tag + 154..tag + 156].copy_from_slice(&check.to_be_bytes());
    frame
}

/// Silent frames of one bit rate, of which some, evenly spread, are a byte longer.
///
/// In a capsule: the header without padding; the number of frames, 8 bytes, little-endian; of padded ones, likewise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SpreadFrames {
    raw: [u8; 4],
    frames: u64,
    padded: u64,
}

impl SpreadFrames {
    pub(in crate::silence) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.raw);
        out.extend_from_slice(&self.frames.to_le_bytes());
        out.extend_from_slice(&self.padded.to_le_bytes());
    }

    pub(in crate::silence) fn decode(parameters: &[u8], length: u64) -> Option<Self> {
        let (raw, counts) = parameters.split_first_chunk::<4>()?;
        let (frames, padded) = counts.split_first_chunk::<8>()?;
        let spread = Self {
            raw: *raw,
            frames: u64::from_le_bytes(*frames),
            padded: u64::from_le_bytes(padded.try_into().ok()?),
        };
        let header = FrameHeader::parse(*raw)?;
        let sum = spread
            .frames
            .checked_mul(header.length())?
            .checked_add(spread.padded)?;
        (sum == length && spread.padded <= spread.frames).then_some(spread)
    }

    pub(in crate::silence) fn fill(&self, position: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let Some(header) = FrameHeader::parse(self.raw) else {
            return;
        };
        let length = header.length();
        // Frames before the n-th have this many bytes more, together.
        let extra = |n: u64| {
            (u128::from(n) * u128::from(self.padded) / u128::from(self.frames.max(1))) as u64
        };
        let end = position + buffer.len() as u64;
        let mut frame = position / (length + 1);
        while frame < self.frames {
            let at = frame * length + extra(frame);
            if at >= end {
                break;
            }
            let mut raw = self.raw;
            raw[2] |= ((extra(frame + 1) - extra(frame)) as u8) << 1;
            copy_part(&raw, at, position, buffer);
            // From below: the first guess is a little early where few frames are padded.
            frame += (position.saturating_sub(at) / (length + 1)).max(1);
        }
    }
}

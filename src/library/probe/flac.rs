//! Facts and capsule of native FLAC, also behind ID3v2 tags. RFC 9639.

use std::io;

use super::bytes::{array, read_at, read_up_to, u16_be};
use super::chunks;
use super::tags::Tags;
use super::{Probe, ProbeError, Source, id3};
use crate::model::{Codec, Container, Format, Kind};
use crate::silence::flac::{STREAMINFO, Stream, block_head};
use crate::silence::{Capsule, CapsuleBuilder, flac_crc8, flac_crc16};

/// Files with more metadata blocks than this are not believed.
const MOST_BLOCKS: usize = 1024;

/// Comments are read up to here.
const LONGEST_COMMENTS: u64 = 1 << 20;

/// The last frame is looked for in this many bytes at the end.
const TAIL: u64 = 256 * 1024;

/// So many headers are tried as that of the last frame: others can stand in its payload by chance.
const MOST_LAST_FRAMES: usize = 64;

/// An ID3v1 tag at the end of the file.
const ID3V1: u64 = 128;

const LAST: u8 = 0x80;

/// Types of metadata blocks.
const PADDING: u8 = 1;
const SEEKTABLE: u8 = 3;
const VORBIS_COMMENT: u8 = 4;
const CUESHEET: u8 = 5;

/// Reads the facts of a file of `size` bytes that holds `fLaC` at its start or behind ID3v2 tags.
pub(super) fn probe(source: &mut dyn Source, size: u64) -> Result<Probe, ProbeError> {
    let damaged = |reason: &str| ProbeError::Damaged {
        container: "FLAC",
        reason: reason.to_owned(),
    };
    let start = id3::end(source, size)?;
    let blocks = Block::read_all(source, start + 4, size)?;
    let Some(first) = blocks
        .first()
        .filter(|block| block.kind == 0 && block.length >= STREAMINFO as u64)
    else {
        return Err(damaged("it has no STREAMINFO"));
    };
    let mut body = [0; STREAMINFO];
    if read_at(source, first.body, &mut body)? < STREAMINFO {
        return Err(damaged("its STREAMINFO is cut off"));
    }
    let mut stream = parse(&body).ok_or_else(|| damaged("its STREAMINFO is impossible"))?;
    let mut notes = Vec::new();
    let metadata_end = blocks.last().map_or(start + 4, Block::end);
    if metadata_end > size {
        return Err(damaged("its metadata is cut off"));
    }
    let audio_end = audio_end(source, metadata_end, size)?;
    let frames = if stream.samples > 0 || metadata_end == audio_end {
        Some(stream.samples)
    } else {
        notes.push("does not say how long it is: was streamed or never finished".to_owned());
        last_sample(source, metadata_end, audio_end, &stream)?
    };
    stream.samples = frames.unwrap_or(0);

    let mut tags = Tags::default();
    for block in blocks.iter().filter(|block| block.kind == VORBIS_COMMENT) {
        let length = block.length.min(LONGEST_COMMENTS);
        tags.vorbis_comments(&read_up_to(source, block.body, length)?);
    }
    id3::read(source, 0, start, &mut tags)?;
    let capsule = match frames {
        Some(_) => capsule(source, size, start, audio_end, &blocks, &stream)?,
        None => None,
    };
    Ok(Probe {
        kind: Kind::Audio,
        format: Format {
            container: Container::Flac,
            codec: Some(Codec("flac".to_owned())),
            sample_rate: Some(stream.sample_rate),
            channels: Some(stream.channels),
            bit_depth: Some(stream.bits),
            float: false,
            frames,
            duration_seconds: frames.map(|frames| frames as f64 / f64::from(stream.sample_rate)),
        },
        capsule,
        attributes: tags.into_attributes(),
        notes,
    })
}

/// A metadata block.
struct Block {
    kind: u8,
    last: bool,
    start: u64,
    body: u64,
    length: u64,
}

impl Block {
    /// All blocks from `at` on, up to the last one or the first that does not fit.
    fn read_all(source: &mut dyn Source, mut at: u64, size: u64) -> io::Result<Vec<Self>> {
        let mut blocks: Vec<Self> = Vec::new();
        while blocks.len() < MOST_BLOCKS && at < size && !blocks.last().is_some_and(|b| b.last) {
            let mut head = [0; 4];
            if read_at(source, at, &mut head)? < head.len() {
                break;
            }
            let [kind, a, b, c] = head;
            let block = Self {
                kind: kind & !LAST,
                last: kind & LAST != 0,
                start: at,
                body: at + 4,
                length: u64::from(u32::from_be_bytes([0, a, b, c])),
            };
            at = block.end();
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn end(&self) -> u64 {
        self.body + self.length
    }
}

/// STREAMINFO; `None` where no decoder would take it.
fn parse(body: &[u8; STREAMINFO]) -> Option<Stream> {
    let packed = u64::from_be_bytes(array(body, 10)?);
    let samples = packed & ((1 << 36) - 1);
    let stream = Stream {
        sample_rate: (packed >> 44) as u32,
        channels: (packed >> 41 & 7) as u16 + 1,
        bits: (packed >> 36 & 31) as u16 + 1,
        samples,
        length_stated: samples > 0,
        block: u16_be(body, 2).filter(|block| *block >= 16),
    };
    (stream.sample_rate > 0 && stream.bits >= 4).then_some(stream)
}

/// Where the frames end: an ID3v1 tag may follow them.
fn audio_end(source: &mut dyn Source, metadata_end: u64, size: u64) -> io::Result<u64> {
    let Some(tail) = size.checked_sub(ID3V1).filter(|at| *at >= metadata_end) else {
        return Ok(size);
    };
    let mut tag = [0; 3];
    let tagged = read_at(source, tail, &mut tag)? == tag.len() && &tag == b"TAG";
    Ok(if tagged { tail } else { size })
}

/// The number of samples up to the end of the last frame; `None` where no whole frame ends the file.
fn last_sample(
    source: &mut dyn Source,
    metadata_end: u64,
    audio_end: u64,
    stream: &Stream,
) -> io::Result<Option<u64>> {
    let from = metadata_end.max(audio_end.saturating_sub(TAIL));
    let tail = read_up_to(source, from, audio_end - from)?;
    Ok((0..tail.len())
        .rev()
        .filter(|at| tail[*at] == 0xff)
        .filter_map(|at| Some((at, frame_end(&tail[at..], stream)?)))
        .take(MOST_LAST_FRAMES)
        .find(|(at, _)| flac_crc16(&tail[*at..]) == 0)
        .map(|(_, samples)| samples))
}

/// The number of samples up to the end of the frame whose header `bytes` begins with.
fn frame_end(bytes: &[u8], stream: &Stream) -> Option<u64> {
    let variable = match bytes.get(1)? {
        0xf8 => false,
        0xf9 => true,
        _ => return None,
    };
    let (block_code, rate_code) = (bytes.get(2)? >> 4, bytes.get(2)? & 15);
    let first = *bytes.get(4)?;
    let length = match first.leading_ones() {
        0 => 1,
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    let mut number = u64::from(first & 0x7f_u8.checked_shr(length as u32).unwrap_or(0));
    if length == 1 {
        number = u64::from(first);
    }
    for byte in bytes.get(5..4 + length)? {
        number = number << 6 | u64::from(byte & 0x3f);
    }
    let mut at = 4 + length;
    let samples = match block_code {
        1 => 192,
        2..=5 => 144 << block_code,
        6 => {
            at += 1;
            u64::from(*bytes.get(at - 1)?) + 1
        }
        7 => {
            at += 2;
            u64::from(u16_be(bytes, at - 2)?) + 1
        }
        8..=15 => 1 << block_code,
        _ => return None,
    };
    at += match rate_code {
        12 => 1,
        13 | 14 => 2,
        15 => return None,
        _ => 0,
    };
    if flac_crc8(bytes.get(..=at)?) != 0 {
        return None;
    }
    let before = if variable {
        number
    } else {
        number.checked_mul(u64::from(stream.block?))?
    };
    before.checked_add(samples)
}

/// Metadata as it is, but the seek table emptied and STREAMINFO made for the silent frames.
fn capsule(
    source: &mut dyn Source,
    size: u64,
    start: u64,
    audio_end: u64,
    blocks: &[Block],
    stream: &Stream,
) -> io::Result<Option<Capsule>> {
    let metadata_end = blocks.last().map_or(start + 4, Block::end);
    let Some(filling) = stream.fill(audio_end - metadata_end) else {
        return Ok(None);
    };
    let Some(streaminfo) = stream.streaminfo(&filling) else {
        return Ok(None);
    };
    let mut capsule = CapsuleBuilder::new(size);
    chunks::keep_id3(source, &mut capsule, 0, start)?;
    capsule.verbatim(start, b"fLaC");
    for (index, block) in blocks.iter().enumerate() {
        let last = index + 1 == blocks.len() && !filling.has_padding();
        let kind = if block.kind == SEEKTABLE {
            PADDING
        } else {
            block.kind
        };
        let flag = if last { LAST } else { 0 };
        capsule.verbatim(block.start, &block_head(kind | flag, block.length));
        match block.kind {
            0 if index == 0 => capsule.verbatim(block.body, &streaminfo),
            SEEKTABLE | PADDING => {}
            VORBIS_COMMENT | CUESHEET => {
                chunks::keep_whole(source, &mut capsule, block.body, block.end())?;
            }
            _ => chunks::keep_beginning(source, &mut capsule, block.body, block.end())?,
        }
    }
    filling.add(&mut capsule, metadata_end);
    chunks::keep_whole(source, &mut capsule, audio_end, size)?;
    Ok(capsule.finish().ok())
}

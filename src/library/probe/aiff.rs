//! Facts and capsule of AIFF and AIFC.
//!
//! Apple, Audio Interchange File Format 1.3 (1989) and AIFF-C (draft of 1991); codings as later programs added
//! them. Codec names as ffprobe prints them.

use std::io;

use super::bytes::{array, read_at, u16_be, u32_be};
use super::chunks::{self, Chunk, MOST_CHUNKS, Style};
use super::tags::{Tags, text};
use super::{Probe, ProbeError, Source, id3};
use crate::model::{Codec, Container, Format, Kind};
use crate::silence::{Capsule, CapsuleBuilder, Generator, wav};

/// Chunks that describe the sound are read up to here for facts.
const DESCRIPTION: u64 = 64 * 1024;

/// Chunks that are kept whole in a capsule; the rest beyond its beginning becomes zeros.
const KEPT: [&[u8; 4]; 15] = [
    b"COMM", b"FVER", b"MARK", b"INST", b"COMT", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"AESD",
    b"MIDI", b"basc", b"trns", b"cate", b"PEAK",
];

/// Reads the facts of a file of `size` bytes that begins as AIFF.
pub(super) fn probe(source: &mut dyn Source, size: u64) -> Result<Probe, ProbeError> {
    let damaged = |reason: &str| ProbeError::Damaged {
        container: "AIFF",
        reason: reason.to_owned(),
    };
    let mut head = [0; 12];
    read_at(source, 0, &mut head)?;
    let compressed = head.ends_with(b"AIFC");
    let chunks = read_chunks(source, size)?;
    let find = |id: &[u8; 4]| chunks.iter().find(|chunk| &chunk.id == id);

    let Some(common) = find(b"COMM") else {
        return Err(damaged("it has no COMM chunk"));
    };
    let body = chunks::body(source, common, DESCRIPTION)?;
    let common = Common::parse(&body, compressed).map_err(damaged)?;

    let sound = find(b"SSND").copied();
    let mut notes = Vec::new();
    let mut payload = None;
    if let Some(chunk) = sound {
        let head = chunks::body(source, &chunk, 8)?;
        let skipped = 8 + u64::from(u32_be(&head, 0).unwrap_or(0));
        let start = chunk.body + skipped.min(chunk.length);
        payload = Some((start, chunk.length.saturating_sub(skipped)));
        if chunk.missing > 0 {
            notes.push(format!(
                "announces {} more bytes than there are",
                chunk.missing
            ));
        }
    } else if common.blocks > 0 {
        return Err(damaged("it has no SSND chunk"));
    }
    let there = match payload {
        Some((_, length)) if common.block > 0 => Some(length / common.block),
        Some(_) => None,
        None => Some(0),
    };
    let blocks = match there {
        Some(there) if common.blocks == 0 && there > 0 => {
            notes.push("does not say how long it is: was streamed or never finished".to_owned());
            there
        }
        Some(there) => there.min(common.blocks),
        None => common.blocks,
    };
    let frames = (common.codec.is_some()).then_some(blocks.saturating_mul(common.frames_per_block));
    if common.codec.is_none() {
        notes.push(format!(
            "is coded in a way mediafs does not know ({})",
            text(&common.coding)
        ));
    }
    let duration = frames.map(|frames| frames as f64 / f64::from(common.sample_rate));
    Ok(Probe {
        kind: Kind::Audio,
        format: Format {
            container: Container::Aiff,
            codec: common.codec.map(|codec| Codec(codec.to_owned())),
            sample_rate: Some(common.sample_rate),
            channels: Some(common.channels),
            bit_depth: common.bit_depth,
            float: common.float,
            frames,
            duration_seconds: duration,
        },
        capsule: capsule(source, size, &chunks, &common)?,
        attributes: attributes(source, &chunks, duration)?.into_attributes(),
        notes,
    })
}

fn read_chunks(source: &mut dyn Source, size: u64) -> io::Result<Vec<Chunk>> {
    let mut found = Vec::new();
    let mut sound = false;
    let mut at = 12;
    while at < size && found.len() < MOST_CHUNKS {
        // Behind the sound there may be anything.
        let head = if sound {
            chunks::head(source, at, Style::Iff)?
        } else {
            chunks::head_or_odd(source, at, size, Style::Iff)?
        };
        let Some(head) = head else {
            break;
        };
        let mut announced = head.announced;
        // Streamed: the length was to be filled in later. Fewer than eight bytes are left over, not sound.
        let behind = size.saturating_sub(head.body.saturating_add(announced));
        if &head.id == b"SSND" && announced <= 8 && behind >= 8 {
            let next = chunks::head(source, head.body + announced, Style::Iff)?;
            if next.is_none() {
                announced = size - head.body;
            }
        }
        let chunk = chunks::chunk(source, head, announced, size, Style::Iff)?;
        sound |= &chunk.id == b"SSND";
        at = chunk.end;
        found.push(chunk);
    }
    Ok(found)
}

/// What `COMM` says.
struct Common {
    channels: u16,
    /// Blocks, which are frames in all codings but ADPCM.
    blocks: u64,
    sample_rate: u32,
    coding: [u8; 4],
    codec: Option<&'static str>,
    bit_depth: Option<u16>,
    float: bool,
    /// Bytes of a block; 0 where they are not constant.
    block: u64,
    frames_per_block: u64,
}

impl Common {
    fn parse(body: &[u8], compressed: bool) -> Result<Self, &'static str> {
        const SHORT: &str = "its COMM chunk is too short";
        let channels = u16_be(body, 0).ok_or(SHORT)?;
        let blocks = u32_be(body, 2).ok_or(SHORT)?;
        let bits = u16_be(body, 6).ok_or(SHORT)?;
        let rate = array::<10>(body, 8).ok_or(SHORT)?;
        // Some programs write the short chunk of AIFF into AIFC.
        let coding = array::<4>(body, 18)
            .filter(|_| compressed)
            .unwrap_or(*b"NONE");
        if channels == 0 {
            return Err("it has no channels");
        }
        let sample_rate = extended(rate).ok_or("its sample rate is impossible")?;
        let mut common = Self {
            channels,
            blocks: u64::from(blocks),
            sample_rate,
            coding,
            codec: None,
            bit_depth: None,
            float: false,
            block: 0,
            frames_per_block: 1,
        };
        let width = bits.div_ceil(8);
        let (codec, width) = match (&coding, width) {
            (b"NONE" | b"none" | b"twos", 1) => ("pcm_s8", 1),
            (b"NONE" | b"none" | b"twos", 2) => ("pcm_s16be", 2),
            (b"NONE" | b"none" | b"twos", 3) | (b"in24", _) => ("pcm_s24be", 3),
            (b"NONE" | b"none" | b"twos", 4) | (b"in32", _) => ("pcm_s32be", 4),
            (b"sowt", 1) => ("pcm_s8", 1),
            (b"sowt", 0 | 2) => ("pcm_s16le", 2),
            (b"sowt", 3) | (b"42ni", _) => ("pcm_s24le", 3),
            (b"sowt", 4) | (b"23ni", _) => ("pcm_s32le", 4),
            (b"raw ", _) => ("pcm_u8", 1),
            (b"fl32" | b"FL32", _) => ("pcm_f32be", 4),
            (b"fl64" | b"FL64", _) => ("pcm_f64be", 8),
            (b"ulaw" | b"ULAW", _) => ("pcm_mulaw", 1),
            (b"alaw" | b"ALAW", _) => ("pcm_alaw", 1),
            (b"ima4", _) => {
                common.codec = Some("adpcm_ima_qt");
                common.bit_depth = Some(4);
                common.block = 34 * u64::from(channels);
                common.frames_per_block = 64;
                return Ok(common);
            }
            (b"NONE" | b"none" | b"twos" | b"sowt", _) => {
                return Err("its samples have an impossible number of bits");
            }
            (b"GSM " | b"agsm", _) => {
                common.codec = Some("gsm");
                return Ok(common);
            }
            _ => return Ok(common),
        };
        common.codec = Some(codec);
        common.bit_depth = Some(width * 8);
        common.float = codec.starts_with("pcm_f");
        common.block = u64::from(width) * u64::from(channels);
        Ok(common)
    }
}

/// A positive number in IEEE 754 extended precision, to the nearest whole; `None` where that is 0 or more than
/// 32 bits can hold.
fn extended(bytes: [u8; 10]) -> Option<u32> {
    let exponent = i32::from(u16_be(&bytes, 0)?) - 16_383 - 63;
    let mantissa = u64::from_be_bytes(array(&bytes, 2)?);
    let shift = u32::try_from(-exponent).ok().filter(|shift| *shift < 64)?;
    let whole = mantissa.checked_shr(shift)?;
    let half = shift
        .checked_sub(1)
        .map_or(0, |below| mantissa >> below & 1);
    u32::try_from(whole.checked_add(half)?)
        .ok()
        .filter(|rate| *rate > 0)
}

fn attributes(
    source: &mut dyn Source,
    chunks: &[Chunk],
    duration: Option<f64>,
) -> io::Result<Tags> {
    let mut tags = Tags::default();
    for chunk in chunks.iter().take(256) {
        let body = chunks::body(source, chunk, DESCRIPTION)?;
        match &chunk.id {
            b"NAME" | b"AUTH" | b"ANNO" => tags.foreign(&text(&chunk.id), &text(&body)),
            b"INST" => {
                if let Some(note) = body.first() {
                    tags.root_note(u32::from(*note));
                }
            }
            b"basc" => apple_loop(&body, duration, &mut tags),
            b"ID3 " | b"id3 " => {
                id3::read(source, chunk.body, chunk.body + chunk.length, &mut tags)?;
            }
            _ => {}
        }
    }
    Ok(tags)
}

/// Apple Loops: version, beats, root note, scale, meter. The tempo follows from beats and length.
fn apple_loop(body: &[u8], duration: Option<f64>, tags: &mut Tags) {
    let Some(beats @ 1..) = u32_be(body, 4) else {
        return;
    };
    tags.set("beats", beats);
    if let (Some(numerator @ 1..), Some(denominator @ 1..)) = (u16_be(body, 12), u16_be(body, 14)) {
        tags.set("timeSignature", format!("{numerator}/{denominator}"));
    }
    if let Some(duration) = duration {
        tags.bpm(f64::from(beats) * 60.0 / duration);
    }
}

/// Everything but the payload; `None` where there is no silence for the coding or too much beside the payload.
fn capsule(
    source: &mut dyn Source,
    size: u64,
    chunks: &[Chunk],
    common: &Common,
) -> io::Result<Option<Capsule>> {
    let Some(silence) = common.codec.and_then(wav::silent_byte) else {
        return Ok(None);
    };
    let mut capsule = CapsuleBuilder::new(size);
    chunks::keep_whole(source, &mut capsule, 0, size.min(12))?;
    let mut end = 12;
    for chunk in chunks {
        let body_end = chunk.body + chunk.length;
        chunks::keep_whole(source, &mut capsule, chunk.start, chunk.body.min(size))?;
        if &chunk.id == b"SSND" {
            let start = (chunk.body + 8).min(body_end);
            chunks::keep_whole(source, &mut capsule, chunk.body, start)?;
            capsule.generated(start, body_end - start, &Generator::Fill(silence));
        } else if matches!(&chunk.id, b"ID3 " | b"id3 ") {
            chunks::keep_id3(source, &mut capsule, chunk.body, body_end)?;
        } else if KEPT.contains(&&chunk.id) {
            chunks::keep_whole(source, &mut capsule, chunk.body, body_end)?;
        } else {
            chunks::keep_beginning(source, &mut capsule, chunk.body, body_end)?;
        }
        chunks::keep_whole(source, &mut capsule, body_end, chunk.end)?;
        end = chunk.end;
    }
    chunks::keep_beginning(source, &mut capsule, end, size)?;
    Ok(capsule.finish().ok())
}

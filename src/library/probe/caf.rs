//! Facts and capsule of the Core Audio Format.
//!
//! Apple, Core Audio Format Specification 1.0. Codec names as ffprobe prints them.

use std::io;

use super::bytes::{array, u32_be, u64_be};
use super::chunks::{self, Chunk, MOST_CHUNKS, Style};
use super::tags::{Tags, text};
use super::{Probe, ProbeError, Source};
use crate::model::{Codec, Container, Format, Kind};
use crate::silence::caf::{Sound, alac_config};
use crate::silence::{Capsule, CapsuleBuilder};

/// Chunks that describe the sound are read up to here for facts.
const DESCRIPTION: u64 = 64 * 1024;

/// Magic cookie and packet table are read up to here.
const LONGEST_TABLE: u64 = 64 * 1024 * 1024;

/// The data chunk's length where it goes to the end of the file.
const TO_THE_END: u64 = u64::MAX;

/// Chunks that are kept whole in a capsule; the rest beyond its beginning becomes zeros.
const KEPT: [&[u8; 4]; 11] = [
    b"desc", b"chan", b"kuki", b"pakt", b"info", b"strg", b"mark", b"regn", b"inst", b"midi",
    b"umid",
];

/// Reads the facts of a file of `size` bytes that begins as CAF.
pub(super) fn probe(source: &mut dyn Source, size: u64) -> Result<Probe, ProbeError> {
    let damaged = |reason: &str| ProbeError::Damaged {
        container: "CAF",
        reason: reason.to_owned(),
    };
    let chunks = read_chunks(source, size)?;
    let find = |id: &[u8; 4]| chunks.iter().find(|chunk| &chunk.id == id);
    let Some(description) = find(b"desc") else {
        return Err(damaged("it has no desc chunk"));
    };
    let body = chunks::body(source, description, DESCRIPTION)?;
    let mut description = Description::parse(&body).map_err(damaged)?;
    if let (Some("alac"), Some(cookie)) = (description.codec, find(b"kuki")) {
        let cookie = chunks::body(source, cookie, DESCRIPTION)?;
        let config = alac_config(&cookie);
        let bits = config.and_then(|config| config.get(5)).copied();
        description.bit_depth = bits.map(u16::from).or(description.bit_depth);
    }
    let Some(data) = find(b"data") else {
        return Err(damaged("it has no data chunk"));
    };

    let mut notes = Vec::new();
    if data.missing > 0 {
        notes.push(format!(
            "announces {} more bytes than there are",
            data.missing
        ));
    }
    let payload = data.length.saturating_sub(4);
    let frames = match (payload.checked_div(description.packet), find(b"pakt")) {
        (Some(packets), _) => Some(packets.saturating_mul(description.frames_per_packet)),
        (None, Some(table)) => u64_be(&chunks::body(source, table, 24)?, 8),
        (None, None) => None,
    };
    if description.codec.is_none() {
        notes.push(format!(
            "is coded in a way mediafs does not know ({})",
            text(&description.coding)
        ));
    }
    Ok(Probe {
        kind: Kind::Audio,
        format: Format {
            container: Container::Caf,
            codec: description.codec.map(|codec| Codec(codec.to_owned())),
            sample_rate: Some(description.sample_rate),
            channels: Some(description.channels),
            bit_depth: description.bit_depth,
            float: description.float,
            frames,
            duration_seconds: frames
                .map(|frames| frames as f64 / f64::from(description.sample_rate)),
        },
        capsule: capsule(source, size, &chunks, &description)?,
        attributes: attributes(source, find(b"info"))?.into_attributes(),
        notes,
    })
}

fn read_chunks(source: &mut dyn Source, size: u64) -> io::Result<Vec<Chunk>> {
    let mut found = Vec::new();
    let mut at = 8;
    while at < size && found.len() < MOST_CHUNKS {
        let Some(head) = chunks::head(source, at, Style::Caf)? else {
            break;
        };
        let there = size.saturating_sub(head.body);
        let announced = match (&head.id, head.announced) {
            (b"data", TO_THE_END) => there,
            // Never finished: the length was to be filled in later.
            (b"data", announced @ ..=4)
                if there > 4
                    && chunks::head(source, head.body + announced, Style::Caf)?.is_none() =>
            {
                there
            }
            (_, announced) => announced,
        };
        let chunk = chunks::chunk(source, head, announced, size, Style::Caf)?;
        at = chunk.end;
        found.push(chunk);
    }
    Ok(found)
}

/// What `desc` says.
struct Description {
    sample_rate: u32,
    coding: [u8; 4],
    codec: Option<&'static str>,
    channels: u16,
    bit_depth: Option<u16>,
    float: bool,
    /// Bytes of a packet; 0 where they are not constant.
    packet: u64,
    frames_per_packet: u64,
    /// Packets have not all the same number of frames.
    frames_vary: bool,
}

impl Description {
    fn parse(body: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "its desc chunk is too short";
        let rate = f64::from_be_bytes(array(body, 0).ok_or(SHORT)?).round();
        let coding = array::<4>(body, 8).ok_or(SHORT)?;
        let flags = u32_be(body, 12).ok_or(SHORT)?;
        let packet = u32_be(body, 16).ok_or(SHORT)?;
        let frames_per_packet = u32_be(body, 20).ok_or(SHORT)?;
        let channels = u32_be(body, 24).ok_or(SHORT)?;
        let bits = u32_be(body, 28).ok_or(SHORT)?;
        if !(1.0..=f64::from(u32::MAX)).contains(&rate) {
            return Err("its sample rate is impossible");
        }
        let channels = u16::try_from(channels).unwrap_or(0);
        if channels == 0 {
            return Err("it has an impossible number of channels");
        }
        let (codec, bit_depth) = match &coding {
            b"lpcm" => {
                // Whole bytes hold a sample.
                linear(flags, bits.div_ceil(8).saturating_mul(8)).unzip()
            }
            b"ulaw" => (Some("pcm_mulaw"), Some(8)),
            b"alaw" => (Some("pcm_alaw"), Some(8)),
            b"ima4" => (Some("adpcm_ima_qt"), Some(4)),
            b"alac" => {
                let bits = [16, 20, 24, 32].get((flags as usize).wrapping_sub(1));
                (Some("alac"), bits.copied())
            }
            b"aac " => (Some("aac"), None),
            b".mp3" => (Some("mp3"), None),
            b".mp2" => (Some("mp2"), None),
            b".mp1" => (Some("mp1"), None),
            b"ac-3" => (Some("ac3"), None),
            b"opus" => (Some("opus"), None),
            b"flac" => (Some("flac"), None),
            _ => (None, None),
        };
        let constant = packet > 0 && frames_per_packet > 0;
        let frames_vary = frames_per_packet == 0;
        // In PCM a packet is a frame, whatever else is written there.
        let (packet, frames_per_packet) = match (codec, bit_depth) {
            (Some(codec), Some(bits)) if codec.starts_with("pcm_") && packet == 0 => {
                (u64::from(bits / 8) * u64::from(channels), 1)
            }
            _ if constant => (u64::from(packet), u64::from(frames_per_packet)),
            _ => (0, 0),
        };
        Ok(Self {
            sample_rate: rate as u32,
            coding,
            codec,
            channels,
            bit_depth,
            float: codec.is_some_and(|codec| codec.starts_with("pcm_f")),
            packet,
            frames_per_packet,
            frames_vary,
        })
    }
}

/// Linear PCM: bit 0 of the flags is floating point, bit 1 little-endian; integers are signed.
fn linear(flags: u32, bits: u32) -> Option<(&'static str, u16)> {
    let (float, little) = (flags & 1 != 0, flags & 2 != 0);
    Some(match (float, bits, little) {
        (false, 8, _) => ("pcm_s8", 8),
        (false, 16, true) => ("pcm_s16le", 16),
        (false, 16, false) => ("pcm_s16be", 16),
        (false, 24, true) => ("pcm_s24le", 24),
        (false, 24, false) => ("pcm_s24be", 24),
        (false, 32, true) => ("pcm_s32le", 32),
        (false, 32, false) => ("pcm_s32be", 32),
        (true, 32, true) => ("pcm_f32le", 32),
        (true, 32, false) => ("pcm_f32be", 32),
        (true, 64, true) => ("pcm_f64le", 64),
        (false, 64, true) => ("pcm_s64le", 64),
        (false, 64, false) => ("pcm_s64be", 64),
        (true, 64, false) => ("pcm_f64be", 64),
        _ => return None,
    })
}

/// `info`: a count, then names and values, each ended by a zero.
fn attributes(source: &mut dyn Source, info: Option<&Chunk>) -> io::Result<Tags> {
    let mut tags = Tags::default();
    if let Some(info) = info {
        let body = chunks::body(source, info, DESCRIPTION)?;
        let mut texts = body
            .get(4..)
            .unwrap_or(&[])
            .split(|byte| *byte == 0)
            .map(text);
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            tags.foreign(&name, &value);
        }
    }
    Ok(tags)
}

/// Everything but the payload; `None` where there is no silence for the coding or too much beside the payload.
fn capsule(
    source: &mut dyn Source,
    size: u64,
    chunks: &[Chunk],
    description: &Description,
) -> io::Result<Option<Capsule>> {
    let Some(codec) = description.codec else {
        return Ok(None);
    };
    let find = |id: &[u8; 4]| chunks.iter().find(|chunk| &chunk.id == id);
    let mut part = |id| match find(id) {
        Some(chunk) => chunks::body(source, chunk, LONGEST_TABLE),
        None => Ok(Vec::new()),
    };
    let (cookie, table) = (part(b"kuki")?, part(b"pakt")?);
    let Some(sound) = Sound::new(codec, description.channels, &cookie) else {
        return Ok(None);
    };
    let mut capsule = CapsuleBuilder::new(size);
    chunks::keep_whole(source, &mut capsule, 0, size.min(8))?;
    let mut end = 8;
    for chunk in chunks {
        let body_end = chunk.body + chunk.length;
        chunks::keep_whole(source, &mut capsule, chunk.start, chunk.body.min(size))?;
        if &chunk.id == b"data" {
            let start = (chunk.body + 4).min(body_end);
            chunks::keep_whole(source, &mut capsule, chunk.body, start)?;
            let packets = Lengths::new(&table, description);
            sound.add(source, &mut capsule, (start, body_end), packets)?;
        } else if KEPT.contains(&&chunk.id) {
            chunks::keep_whole(source, &mut capsule, chunk.body, body_end)?;
        } else {
            chunks::keep_beginning(source, &mut capsule, chunk.body, body_end)?;
        }
        end = chunk.end;
    }
    chunks::keep_beginning(source, &mut capsule, end, size)?;
    Ok(capsule.finish().ok())
}

/// The lengths of packets, in the file's order: from the packet table, or all alike.
struct Lengths<'a> {
    table: &'a [u8],
    left: u64,
    /// Of all packets, where they are alike.
    constant: u64,
    /// The table says of each packet how many frames it has.
    with_frames: bool,
}

impl<'a> Lengths<'a> {
    fn new(table: &'a [u8], description: &Description) -> Self {
        let constant = description.packet;
        Self {
            table: table.get(24..).unwrap_or(&[]),
            left: match constant {
                0 => u64_be(table, 0).unwrap_or(0),
                _ => u64::MAX,
            },
            constant,
            with_frames: description.frames_vary,
        }
    }

    /// A number: seven bits a byte, the highest ones first; the last byte has no eighth bit.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for _ in 0..9 {
            let (byte, rest) = self.table.split_first()?;
            self.table = rest;
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl Iterator for Lengths<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        if self.constant > 0 {
            return Some(self.constant);
        }
        let length = self.number()?;
        if self.with_frames {
            self.number()?;
        }
        Some(length)
    }
}

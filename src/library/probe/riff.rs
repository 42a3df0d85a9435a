//! Facts and capsule of WAVE: RIFF, RIFX, RF64 and BW64.
//!
//! IBM and Microsoft, Multimedia Programming Interface (1991); EBU Tech 3306 (RF64); ITU-R BS.2088 (BW64).
//! Damaged and unusual files are read as ffprobe and libsndfile read them: by what is there, not by what is
//! announced.

use std::io;

use super::bytes::{read_at, u32_be, u32_le, u64_le};
use super::chunks::{self, Chunk, MOST_CHUNKS, Style};
use super::riff_tags;
use super::tags::Tags;
use super::{Probe, ProbeError, Source, id3};
use crate::container::wave_format::WaveFormat;
use crate::model::{Codec, Container, Format, Kind};
use crate::silence::{Capsule, CapsuleBuilder, wav};

/// Chunks that describe the sound are read up to here for facts.
const DESCRIPTION: u64 = 64 * 1024;

/// A length that says: not known, or too long for 32 bits.
const UNKNOWN: u64 = 0xffff_ffff;

/// Chunks that are kept whole in a capsule; the rest beyond its beginning becomes zeros.
const KEPT: [&[u8; 4]; 24] = [
    b"fmt ", b"fact", b"ds64", b"bext", b"iXML", b"axml", b"chna", b"cue ", b"plst", b"smpl",
    b"acid", b"strc", b"inst", b"LIST", b"CSET", b"DISP", b"cart", b"levl", b"PEAK", b"umid",
    b"minf", b"elm1", b"regn", b"_PMX",
];

/// Reads the facts of a file of `size` bytes that begins as WAVE.
pub(super) fn probe(source: &mut dyn Source, size: u64) -> Result<Probe, ProbeError> {
    let damaged = |reason: &str| ProbeError::Damaged {
        container: "WAV",
        reason: reason.to_owned(),
    };
    let wave = Wave::read(source, size)?;
    let Some(fmt) = wave.find(b"fmt ") else {
        return Err(damaged("it has no fmt chunk"));
    };
    let body = chunks::body(source, fmt, DESCRIPTION)?;
    let format = WaveFormat::parse(&body, wave.style == Style::Iff).map_err(damaged)?;
    let Some(data) = wave.find(b"data").copied() else {
        return Err(damaged("it has no data chunk"));
    };

    let frames = frames(source, &wave, &format, data.length)?;
    let mut notes = wave.notes.clone();
    if data.missing > 0 {
        notes.push(format!(
            "announces {} more bytes than there are",
            data.missing
        ));
    }
    if format.codec.is_none() {
        notes.push(format!(
            "is coded in a way mediafs does not know (WAVE format 0x{:04x})",
            format.tag
        ));
    }
    Ok(Probe {
        kind: Kind::Audio,
        format: Format {
            container: Container::Wav,
            codec: format.codec.map(|codec| Codec(codec.to_owned())),
            sample_rate: Some(format.sample_rate),
            channels: Some(format.channels),
            bit_depth: format.bit_depth,
            float: format.float,
            frames,
            duration_seconds: frames.map(|frames| frames as f64 / f64::from(format.sample_rate)),
        },
        capsule: capsule(source, size, &wave, &format)?,
        attributes: attributes(source, &wave)?.into_attributes(),
        notes,
    })
}

/// The chunks of a file.
struct Wave {
    style: Style,
    chunks: Vec<Chunk>,
    notes: Vec<String>,
}

impl Wave {
    fn read(source: &mut dyn Source, size: u64) -> io::Result<Self> {
        let mut head = [0; 12];
        read_at(source, 0, &mut head)?;
        let style = if head.starts_with(b"RIFX") {
            Style::Iff
        } else {
            Style::Riff
        };
        let mut wave = Self {
            style,
            chunks: Vec::new(),
            notes: Vec::new(),
        };
        let mut long = LongSizes::default();
        let mut sound = false;
        let mut at = 12;
        while at < size && wave.chunks.len() < MOST_CHUNKS {
            // Behind the sound there may be anything.
            let head = if sound {
                chunks::head(source, at, style)?
            } else {
                chunks::head_or_odd(source, at, size, style)?
            };
            let Some(head) = head else {
                break;
            };
            let announced = match &head.id {
                b"data" => wave.data_length(source, &head, &mut long, size)?,
                _ => long.of(&head.id, head.announced),
            };
            let chunk = chunks::chunk(source, head, announced, size, style)?;
            if &chunk.id == b"ds64" {
                long = LongSizes::parse(&chunks::body(source, &chunk, DESCRIPTION)?);
            }
            sound |= &chunk.id == b"data";
            at = chunk.end;
            wave.chunks.push(chunk);
        }
        Ok(wave)
    }

    /// How long the data chunk is: what was recorded until a program died, or streamed, announces nothing or
    /// everything.
    fn data_length(
        &mut self,
        source: &mut dyn Source,
        head: &chunks::Head,
        long: &mut LongSizes,
        size: u64,
    ) -> io::Result<u64> {
        let announced = long.of(&head.id, head.announced);
        let there = size.saturating_sub(head.body);
        let open = matches!(announced, UNKNOWN | u64::MAX) && there < UNKNOWN
            || announced == 0 && there > 0 && !self.chunks_to_the_end(source, head.body, size)?;
        if !open {
            return Ok(announced);
        }
        self.notes
            .push("does not say how long it is: was streamed or never finished".to_owned());
        Ok(there)
    }

    /// Whether chunks, each complete, fill the file from `at` on, but for fewer bytes than a chunk's head.
    fn chunks_to_the_end(
        &self,
        source: &mut dyn Source,
        mut at: u64,
        size: u64,
    ) -> io::Result<bool> {
        for _ in 0..MOST_CHUNKS {
            let Some(head) = chunks::head(source, at, self.style)? else {
                break;
            };
            let chunk = chunks::chunk(source, head, head.announced, size, self.style)?;
            if chunk.missing > 0 {
                return Ok(false);
            }
            at = chunk.end;
        }
        Ok(size.saturating_sub(at) < 8)
    }

    fn find(&self, id: &[u8; 4]) -> Option<&Chunk> {
        self.chunks.iter().find(|chunk| &chunk.id == id)
    }
}

/// Lengths beyond 32 bits, from `ds64`.
#[derive(Default)]
struct LongSizes {
    data: Option<u64>,
    frames: Option<u64>,
    others: Vec<([u8; 4], u64)>,
}

impl LongSizes {
    fn parse(body: &[u8]) -> Self {
        let table = body.get(28..).unwrap_or(&[]);
        let count = u32_le(body, 24).unwrap_or(0) as usize;
        Self {
            data: u64_le(body, 8),
            frames: u64_le(body, 16),
            others: table
                .chunks_exact(12)
                .take(count)
                .filter_map(|entry| Some((super::bytes::array(entry, 0)?, u64_le(entry, 4)?)))
                .collect(),
        }
    }

    fn of(&self, id: &[u8; 4], announced: u64) -> u64 {
        if announced != UNKNOWN {
            return announced;
        }
        let long = match id {
            b"data" => self.data,
            _ => self
                .others
                .iter()
                .find(|(known, _)| known == id)
                .map(|(_, length)| *length),
        };
        long.unwrap_or(announced)
    }
}

/// How many frames a decoder delivers from `length` bytes of data.
fn frames(
    source: &mut dyn Source,
    wave: &Wave,
    format: &WaveFormat,
    length: u64,
) -> io::Result<Option<u64>> {
    if format.frames_per_block == 1 {
        return Ok(length.checked_div(format.block));
    }
    let stated = match wave.find(b"fact") {
        Some(fact) => {
            let body = chunks::body(source, fact, 4)?;
            let stated = if wave.style == Style::Iff {
                u32_be(&body, 0)
            } else {
                u32_le(&body, 0)
            };
            match stated.map(u64::from) {
                Some(UNKNOWN) => long_frames(source, wave)?,
                stated => stated,
            }
        }
        None => None,
    };
    if format.frames_per_block == 0 || format.block == 0 {
        return Ok(stated.filter(|frames| *frames > 0));
    }
    let whole = (length / format.block).saturating_mul(format.frames_per_block);
    let most = length
        .div_ceil(format.block)
        .saturating_mul(format.frames_per_block);
    // What a `fact` chunk says is of use where it tells how much of the last block is sound, no more: some programs
    // leave anything there.
    let least = most.saturating_sub(format.frames_per_block);
    Ok(Some(
        stated
            .filter(|frames| *frames > least && *frames <= most)
            .unwrap_or(whole),
    ))
}

fn long_frames(source: &mut dyn Source, wave: &Wave) -> io::Result<Option<u64>> {
    Ok(match wave.find(b"ds64") {
        Some(chunk) => LongSizes::parse(&chunks::body(source, chunk, DESCRIPTION)?).frames,
        None => None,
    })
}

fn attributes(source: &mut dyn Source, wave: &Wave) -> io::Result<Tags> {
    let mut tags = Tags::default();
    if wave.style == Style::Iff {
        return Ok(tags);
    }
    type Reader = fn(&[u8], &mut Tags);
    let readers: [(&[u8; 4], Reader); 5] = [
        (b"acid", riff_tags::acid),
        (b"smpl", riff_tags::smpl),
        (b"inst", riff_tags::inst),
        (b"LIST", riff_tags::list),
        (b"bext", riff_tags::bext),
    ];
    for (id, reader) in readers {
        for chunk in wave.chunks.iter().filter(|chunk| &chunk.id == id).take(8) {
            reader(&chunks::body(source, chunk, DESCRIPTION)?, &mut tags);
        }
    }
    for chunk in wave.chunks.iter().filter(|chunk| is_id3(chunk)) {
        id3::read(source, chunk.body, chunk.body + chunk.length, &mut tags)?;
    }
    Ok(tags)
}

fn is_id3(chunk: &Chunk) -> bool {
    matches!(&chunk.id, b"id3 " | b"ID3 ")
}

/// Everything but the payload; `None` where the coding is not known or there is too much beside the payload.
fn capsule(
    source: &mut dyn Source,
    size: u64,
    wave: &Wave,
    format: &WaveFormat,
) -> io::Result<Option<Capsule>> {
    let Some(codec) = format.codec else {
        return Ok(None);
    };
    // G.726 of two bits a sample has no zero, nor anything close to it.
    if codec == "adpcm_g726" && format.stated_bits < 3 {
        return Ok(None);
    }
    let mut capsule = CapsuleBuilder::new(size);
    chunks::keep_whole(source, &mut capsule, 0, size.min(12))?;
    let mut end = 12;
    for chunk in &wave.chunks {
        let body_end = chunk.body + chunk.length;
        chunks::keep_whole(source, &mut capsule, chunk.start, chunk.body.min(size))?;
        if &chunk.id == b"data" {
            let sound = (chunk.body, body_end);
            wav::add_silence(source, &mut capsule, codec, format.channels, sound)?;
        } else if is_id3(chunk) {
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

//! Facts of AVI: the first stream of sound, and whether there are moving pictures.
//!
//! The length is what the stream's header says, in its own units; `frames` is known for linear PCM alone.

use std::io;

use super::tags::Tags;
use super::{Probe, ProbeError, Source};
use crate::container::avi::{Chunk, chunks};
use crate::container::wave_format::WaveFormat;
use crate::container::window::Window;
use crate::model::{Codec, Container, Format, Kind};

/// Of a stream's format so much is read.
const LONGEST_FORMAT: u64 = 4096;

/// Reads the facts of a file of `size` bytes that looks like this container.
pub(super) fn probe(source: &mut dyn Source, size: u64) -> Result<Probe, ProbeError> {
    let mut window = Window::new(source)?;
    let mut format = Format::of(Container::Avi);
    let mut tags = Tags::default();
    let (mut video, mut sound) = (false, false);
    for part in chunks(&mut window, 12, size)? {
        match (&part.kind, part.list) {
            (b"hdrl", true) => {
                for stream in chunks(&mut window, part.body, part.end)? {
                    if stream.kind == *b"strl" && stream.list {
                        let kind = read_stream(&mut window, &stream, &mut format, sound)?;
                        video |= kind == *b"vids";
                        sound |= kind == *b"auds";
                    }
                }
            }
            (b"INFO", true) => {
                for text in chunks(&mut window, part.body, part.end)? {
                    let length = (text.end - text.body).min(LONGEST_FORMAT) as usize;
                    let bytes = window.at(text.body, length)?.to_vec();
                    let name = String::from_utf8_lossy(&text.kind).into_owned();
                    tags.foreign(&name, &super::tags::text(&bytes));
                }
            }
            _ => {}
        }
    }
    if !video && !sound {
        return Err(ProbeError::Damaged {
            container: "AVI",
            reason: "it has neither sound nor moving pictures".to_owned(),
        });
    }
    Ok(Probe {
        kind: if video { Kind::Video } else { Kind::Audio },
        format,
        capsule: None,
        attributes: tags.into_attributes(),
        notes: Vec::new(),
    })
}

/// Reads a stream's headers; those of sound into `format`, unless there is some already. Returns what it is.
fn read_stream(
    window: &mut Window<'_>,
    stream: &Chunk,
    format: &mut Format,
    had_sound: bool,
) -> io::Result<[u8; 4]> {
    let parts = chunks(window, stream.body, stream.end)?;
    let find = |kind: &[u8; 4]| parts.iter().find(|part| part.kind == *kind).copied();
    let Some(header) = find(b"strh") else {
        return Ok([0; 4]);
    };
    let length = (header.end - header.body).min(56) as usize;
    let bytes = window.at(header.body, length)?.to_vec();
    let Some(kind) = bytes.first_chunk::<4>().copied() else {
        return Ok([0; 4]);
    };
    if kind != *b"auds" || had_sound {
        return Ok(kind);
    }
    let field = |at: usize| super::bytes::u32_le(&bytes, at).unwrap_or(0);
    let (scale, rate, units) = (field(20), field(24), field(32));
    let seconds = f64::from(units) * f64::from(scale) / f64::from(rate);
    format.duration_seconds = Some(seconds).filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    let Some(description) = find(b"strf") else {
        return Ok(kind);
    };
    let length = (description.end - description.body).min(LONGEST_FORMAT) as usize;
    let bytes = window.at(description.body, length)?.to_vec();
    if let Ok(wave) = WaveFormat::parse(&bytes, false) {
        format.codec = wave.codec.map(|codec| Codec(codec.to_owned()));
        format.sample_rate = Some(wave.sample_rate);
        format.channels = Some(wave.channels);
        format.bit_depth = wave.bit_depth;
        format.float = wave.float;
        if wave.frames_per_block == 1 {
            format.frames = format
                .duration_seconds
                .map(|seconds| (seconds * f64::from(wave.sample_rate)).round() as u64);
        }
    }
    Ok(kind)
}

//! Silence as AVI.
//!
//! A capsule, made when the whole file passes: headers, indexes and texts as they are (of other chunks the first
//! 64 KiB), the head of each chunk of sound or pictures, and in its place silence of the same length: see
//! [`super::packets`]. Of moving pictures the first one is kept, if it is not large. Sound without a silent form is
//! zeros.
//!
//! From facts alone there is none yet: they do not tell how long chunks are.

use std::io;

use super::copy::copy_verbatim;
use super::packets::{Coding, Packets, Role};
use super::{Capsule, CapsuleBuilder, CapsuleError, wav};
use crate::container::aac::AacConfig;
use crate::container::avi::{Chunk, chunks};
use crate::container::wave_format::WaveFormat;
use crate::container::window::Window;
use crate::library::probe::Source;

/// Of chunks that readers need not know so many bytes are kept.
const KEPT_OF_LARGE: u64 = 64 * 1024;

/// Of a stream's format so much is read.
const LONGEST_FORMAT: u64 = 4096;

/// Streams are numbered by two digits.
const MOST_STREAMS: usize = 100;

/// The capsule of an AVI file; `None` where it has no streams.
///
/// # Errors
/// Where reading fails.
pub(super) fn capsule(
    source: &mut dyn Source,
) -> io::Result<Option<Result<Capsule, CapsuleError>>> {
    let mut window = Window::new(source)?;
    let size = window.size();
    let mut builder = CapsuleBuilder::new(size);
    let mut roles: Vec<Role> = Vec::new();
    let mut at = 0;
    while at < size && !builder.failed() {
        let Some(head) = window.array::<8>(at)? else {
            break;
        };
        let [id @ .., a, b, c, d] = head;
        let body = at + 8;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let end = (body + length).min(size);
        let kind = window.array::<4>(body)?.unwrap_or_default();
        let mut next = body + length + length % 2;
        let kept = match (&id, &kind) {
            (b"RIFF", _) | (b"LIST", b"movi" | b"rec ") => {
                next = body + 4;
                next
            }
            (b"LIST", b"hdrl") => {
                roles = streams(&mut window, body + 4, end)?;
                end
            }
            (b"LIST", _) | (b"idx1", _) => end,
            _ if id.starts_with(b"ix") => end,
            _ => match stream(&id) {
                Some(_) => body.min(size),
                None => end.min(body + KEPT_OF_LARGE),
            },
        };
        for role in &mut roles {
            role.flush(&mut builder);
        }
        copy_verbatim(&mut window, &mut builder, (at, kept), &[], 0)?;
        if let Some(role) = stream(&id).and_then(|index| roles.get_mut(index)) {
            role.write(&mut window, &mut builder, body, end - body.min(end), true)?;
        }
        at = next;
    }
    for role in &mut roles {
        role.flush(&mut builder);
    }
    Ok((!roles.is_empty()).then(|| builder.finish()))
}

/// The stream whose chunk has this name.
fn stream(id: &[u8; 4]) -> Option<usize> {
    let [tens, ones, ..] = id.map(|letter| char::from(letter).to_digit(10));
    Some((tens? * 10 + ones?) as usize)
}

/// What becomes of the chunks of each stream, by the headers.
fn streams(window: &mut Window<'_>, from: u64, to: u64) -> io::Result<Vec<Role>> {
    let mut roles = Vec::new();
    for part in chunks(window, from, to)? {
        if part.list && part.kind == *b"strl" && roles.len() < MOST_STREAMS {
            roles.push(role(window, &part)?);
        }
    }
    Ok(roles)
}

fn role(window: &mut Window<'_>, stream: &Chunk) -> io::Result<Role> {
    let parts = chunks(window, stream.body, stream.end)?;
    let mut bytes = |kind: &[u8; 4]| -> io::Result<Vec<u8>> {
        let Some(part) = parts.iter().find(|part| part.kind == *kind) else {
            return Ok(Vec::new());
        };
        let length = (part.end - part.body).min(LONGEST_FORMAT) as usize;
        Ok(window.at(part.body, length)?.to_vec())
    };
    let (header, format) = (bytes(b"strh")?, bytes(b"strf")?);
    Ok(match header.first_chunk() {
        Some(b"vids") => Role::moving(window.size()),
        Some(b"auds") => {
            coding(&format).map_or(Role::Zeros, |coding| Role::Sound(Packets::new(coding)))
        }
        Some(b"txts") => Role::Kept,
        _ => Role::Zeros,
    })
}

fn coding(format: &[u8]) -> Option<Coding> {
    let wave = WaveFormat::parse(format, false).ok()?;
    match wave.codec? {
        "mp1" | "mp2" | "mp3" => Some(Coding::Mpeg),
        "ac3" => Some(Coding::Ac3),
        "aac" => Coding::aac(&AacConfig::parse(format.get(18..)?)?),
        name => wav::constant(name, wave.channels),
    }
}

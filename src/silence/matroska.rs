//! Silence as Matroska and WebM.
//!
//! A capsule, made when the whole file passes: all elements as they are (of attachments and unknown ones the first
//! 64 KiB), of each block its head, and in the place of its frames silent ones of the same lengths: see
//! [`super::packets`]. Of moving pictures the first one is kept, if it is not large; subtitles are kept; sound without a
//! silent form and compressed tracks are zeros.
//!
//! From facts alone there is none yet: they do not tell how long packets are.

use std::io;

use super::copy::copy_verbatim;
use super::packets::{Coding, Packets, Role, alac, flac};
use super::{Capsule, CapsuleBuilder, CapsuleError};
use crate::container::aac::AacConfig;
use crate::container::matroska::{
    BLOCK, BLOCK_GROUP, Block, CHAPTERS, CLUSTER, CUES, Element, INFO, SEEK_HEAD, SEGMENT,
    SIMPLE_BLOCK, TAGS, TRACK, TRACKS, Track,
};
use crate::container::ogg::{self, VorbisModes};
use crate::container::window::Window;
use crate::library::probe::Source;

/// Indexes, tags and chapters are kept whole.
const KEPT: [u32; 6] = [INFO, TRACKS, SEEK_HEAD, CUES, TAGS, CHAPTERS];

/// Tracks of one file.
const MOST_TRACKS: usize = 256;

/// Of other large elements so many bytes are kept.
const KEPT_OF_LARGE: u64 = 64 * 1024;

/// The capsule of a Matroska file; `None` where it has no tracks.
///
/// # Errors
/// Where reading fails.
pub(super) fn capsule(
    source: &mut dyn Source,
) -> io::Result<Option<Result<Capsule, CapsuleError>>> {
    let mut window = Window::new(source)?;
    let size = window.size();
    let mut builder = CapsuleBuilder::new(size);
    let mut roles: Vec<(u64, Role)> = Vec::new();
    let mut at = 0;
    while at < size && !builder.failed() {
        let Some(element) = Element::read(&mut window, at, size)? else {
            break;
        };
        for (_, role) in &mut roles {
            role.flush(&mut builder);
        }
        // What is inside follows. (A segment or cluster need not tell how long it is.)
        let inner = matches!(element.id, SEGMENT | CLUSTER | BLOCK_GROUP);
        let mut end = if inner { element.body } else { element.end };
        if matches!(element.id, BLOCK | SIMPLE_BLOCK) {
            write_block(&mut window, &mut builder, &element, &mut roles)?;
            at = end;
            continue;
        }
        if element.id == TRACKS && roles.is_empty() {
            for child in element.children(&mut window)? {
                if child.id == TRACK && roles.len() < MOST_TRACKS {
                    let track = Track::read(&mut window, &child)?;
                    roles.push((track.number, role(&track, size)));
                }
            }
        }
        if !KEPT.contains(&element.id) {
            end = end.min(element.body + KEPT_OF_LARGE);
        }
        copy_verbatim(&mut window, &mut builder, (at, end), &[], 0)?;
        at = if inner { element.body } else { element.end };
    }
    for (_, role) in &mut roles {
        role.flush(&mut builder);
    }
    Ok((!roles.is_empty()).then(|| builder.finish()))
}

/// Writes a block's head and its silent frames.
fn write_block(
    window: &mut Window<'_>,
    builder: &mut CapsuleBuilder,
    element: &Element,
    roles: &mut [(u64, Role)],
) -> io::Result<()> {
    let Some(block) = Block::read(window, element)? else {
        return Ok(());
    };
    copy_verbatim(window, builder, (element.start, block.at), &[], 0)?;
    let Some((_, role)) = roles.iter_mut().find(|(number, _)| *number == block.track) else {
        return Ok(());
    };
    let mut at = block.at;
    for length in block.lengths {
        role.write(window, builder, at, length, true)?;
        at += length;
    }
    Ok(())
}

/// What becomes of a track's frames.
fn role(track: &Track, size: u64) -> Role {
    match track.kind {
        1 => Role::moving(size),
        2 if track.encoded => Role::Zeros,
        2 => coding(track).map_or(Role::Zeros, |coding| Role::Sound(Packets::new(coding))),
        // Subtitles, buttons.
        0x11 | 0x12 => Role::Kept,
        _ => Role::Zeros,
    }
}

fn coding(track: &Track) -> Option<Coding> {
    let private = track.private.as_slice();
    let channels = u16::try_from(track.channels).ok()?;
    Some(match track.codec.as_str() {
        "A_PCM/INT/LIT" if track.bits == 8 => Coding::Fill(0x80),
        "A_MPEG/L1" | "A_MPEG/L2" | "A_MPEG/L3" => Coding::Mpeg,
        "A_AC3" => Coding::Ac3,
        "A_OPUS" => match ogg::Coding::of(private) {
            ogg::Coding::Opus(head) => Coding::Opus(head),
            _ => return None,
        },
        "A_VORBIS" => Coding::Vorbis(VorbisModes::of(third_header(private)?)?),
        "A_FLAC" => Coding::Flac(flac::Stream::of_streaminfo(private.get(8..)?)?),
        "A_ALAC" => Coding::Alac(alac::Config::parse(private)?),
        name if name.starts_with("A_AAC") => match AacConfig::parse(private) {
            Some(config) => Coding::aac(&config)?,
            // Old files tell it by the name alone.
            None => Coding::aac(&AacConfig::parse(&AacConfig::lc(44_100, channels)?)?)?,
        },
        _ => return None,
    })
}

/// The last of Vorbis's headers, which are laced: their number less one, the lengths of all but the last.
fn third_header(private: &[u8]) -> Option<&[u8]> {
    let mut rest = private.strip_prefix(&[2])?;
    let mut skipped = 0;
    for _ in 0..2 {
        loop {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            skipped += usize::from(*byte);
            if *byte < 255 {
                break;
            }
        }
    }
    rest.get(skipped..)
}

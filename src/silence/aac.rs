//! Silence as ADTS: AAC as a bare stream of frames.
//!
//! A capsule, made when the whole file passes: tags as they are, each frame's header as it is, and behind it a
//! silent packet of the same length. Frames with a check lose it (a single bit that no reader shows). Streams
//! that tell their own layout, or keep several packets in a frame, have no silent form yet.
//!
//! From facts alone there is none yet: the frames' lengths are not known.

use std::io;

use super::copy::{copy_part, copy_verbatim};
use super::packets::aac as packet;
use super::{Capsule, CapsuleBuilder, CapsuleError, Generator};
use crate::container::aac::{AdtsHeader, walk_adts};
use crate::container::{id3, window::Window};
use crate::library::probe::Source;

/// Frames in one segment of a capsule.
const FRAMES_IN_SEGMENT: usize = 256;

/// Of pictures and other long parts of tags so many bytes are kept.
const KEPT_OF_LARGE: u64 = 64 * 1024;

/// Bytes of a header without check.
const HEADER: u64 = 7;

/// The capsule of a stream of ADTS frames; `None` where there is no silent form of it.
///
/// # Errors
/// Where reading fails.
pub(super) fn capsule(
    source: &mut dyn Source,
) -> io::Result<Option<Result<Capsule, CapsuleError>>> {
    let mut window = Window::new(source)?;
    let size = window.size();
    let mut builder = CapsuleBuilder::new(size);
    let large = id3::large_parts(&mut window, KEPT_OF_LARGE)?;
    let front = id3::leading_end(&mut window)?;
    let behind = id3::trailing_start(&mut window)?.max(front);
    copy_verbatim(&mut window, &mut builder, (0, front), &large, KEPT_OF_LARGE)?;
    let mut group: Vec<[u8; 7]> = Vec::new();
    let (mut start, mut end) = (front, front);
    let mut possible = true;
    let mut any = false;
    walk_adts(&mut window, &mut |at, header| {
        let mut raw = header.raw;
        raw[1] |= 1;
        let shared = group.first().is_none_or(|first| first[..3] == raw[..3]);
        if at != end || !shared || group.len() == FRAMES_IN_SEGMENT {
            flush(&mut builder, &mut group, start, end);
            start = at;
        }
        group.push(raw);
        end = at + header.length;
        possible &= is_possible(header);
        any = true;
    })?;
    flush(&mut builder, &mut group, start, end);
    if !possible || !any {
        return Ok(None);
    }
    copy_verbatim(
        &mut window,
        &mut builder,
        (behind, size),
        &large,
        KEPT_OF_LARGE,
    )?;
    Ok(Some(builder.finish()))
}

fn is_possible(header: &AdtsHeader) -> bool {
    header.blocks == 1
        && header.layout > 0
        && header.object != 3
        && header.length >= HEADER + packet::shortest(header.layout) as u64
}

fn flush(builder: &mut CapsuleBuilder, group: &mut Vec<[u8; 7]>, start: u64, end: u64) {
    if let Some(first) = group.first() {
        let mut parameters = first[..3].to_vec();
        for column in 3..7 {
            parameters.extend(group.iter().map(|raw| raw[column]));
        }
        let frames = AdtsFrames {
            parameters: &parameters,
        };
        builder.generated(start, end - start, &Generator::AdtsFrames(frames));
    }
    group.clear();
}

/// Silent frames that lie one behind the other.
///
/// In a capsule: the first three bytes of their headers, which all share; the fourth bytes; the fifth; the sixth;
/// the seventh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AdtsFrames<'a> {
    parameters: &'a [u8],
}

impl<'a> AdtsFrames<'a> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.parameters);
    }

    pub(super) fn decode(parameters: &'a [u8], length: u64) -> Option<Self> {
        let frames = Self { parameters };
        let mut sum = 0;
        for header in frames.headers() {
            let header = header.filter(is_possible)?;
            sum += header.length;
        }
        let whole = parameters.len() % 4 == 3;
        (whole && sum == length).then_some(frames)
    }

    fn headers(&self) -> impl Iterator<Item = Option<AdtsHeader>> {
        let (shared, columns) = self.parameters.split_at(self.parameters.len().min(3));
        let count = columns.len() / 4;
        (0..count).map(move |index| {
            let mut raw = [0; 7];
            raw[..3].copy_from_slice(shared);
            for (column, byte) in raw[3..].iter_mut().enumerate() {
                *byte = columns[column * count + index];
            }
            AdtsHeader::parse(raw)
        })
    }

    pub(super) fn fill(&self, position: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = position + buffer.len() as u64;
        let mut at = 0;
        for header in self.headers().flatten() {
            if at >= end {
                break;
            }
            if at + header.length > position {
                let silent = packet::silent(header.layout, (header.length - HEADER) as usize);
                copy_part(&header.raw, at, position, buffer);
                copy_part(&silent, at + HEADER, position, buffer);
            }
            at += header.length;
        }
    }
}

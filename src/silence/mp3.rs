//! Silence as MPEG audio: layers I to III.
//!
//! A capsule, made when the whole file passes: tags and the information frame as they are (of pictures the first
//! 64 KiB), each frame's header as it is, all else zero: side information of zeros codes silence in layer III, a
//! bit allocation of zeros in layers I and II. Layer III's check, where a stream has it, is computed; layers I
//! and II are said to have none (a single bit that no reader shows). What is no frame is zeros.
//!
//! From facts alone: see [`facts`].

use std::io;

use super::copy::{copy_part, copy_verbatim};
use super::{Capsule, CapsuleBuilder, CapsuleError, Generator};
use crate::container::mpeg::{FrameHeader, MpegStream};
use crate::container::{id3, window::Window};
use crate::library::probe::Source;

mod facts;
pub(super) use facts::{SpreadFrames, from_facts};

/// Frames in one segment of a capsule: a read looks at so many headers at most.
const FRAMES_IN_SEGMENT: usize = 256;

/// Of pictures and other long parts of tags so many bytes are kept.
const KEPT_OF_LARGE: u64 = 64 * 1024;

/// The capsule of a file of MPEG frames; `None` where there are none.
///
/// # Errors
/// Where reading fails.
pub(super) fn capsule(
    source: &mut dyn Source,
) -> io::Result<Option<Result<Capsule, CapsuleError>>> {
    let mut window = Window::new(source)?;
    let Some(stream) = MpegStream::find(&mut window)? else {
        return Ok(None);
    };
    let mut builder = CapsuleBuilder::new(window.size());
    let large = id3::large_parts(&mut window, KEPT_OF_LARGE)?;
    let tags_end = id3::leading_end(&mut window)?;
    let kept = KEPT_OF_LARGE;
    copy_verbatim(&mut window, &mut builder, (0, tags_end), &large, kept)?;
    add_stream(&mut window, &mut builder, &stream)?;
    let size = window.size();
    copy_verbatim(&mut window, &mut builder, (stream.end, size), &large, kept)?;
    Ok(Some(builder.finish()))
}

/// Writes the silent frames from `start` to `end` of a file into its capsule: the sound of another container.
///
/// # Errors
/// Where reading fails.
pub(super) fn add_frames(
    window: &mut Window<'_>,
    builder: &mut CapsuleBuilder,
    start: u64,
    end: u64,
) -> io::Result<()> {
    match MpegStream::find_between(window, start, end)? {
        Some(stream) => add_stream(window, builder, &stream),
        None => Ok(()),
    }
}

fn add_stream(
    window: &mut Window<'_>,
    builder: &mut CapsuleBuilder,
    stream: &MpegStream,
) -> io::Result<()> {
    if stream.info.is_some() {
        let length = stream.header.length().min(stream.end - stream.start);
        let frame = window.at(stream.start, length as usize)?;
        builder.verbatim(stream.start, frame);
    }
    let mut group = Group::default();
    stream.walk(window, &mut |at, header| group.add(builder, at, header))?;
    group.flush(builder);
    Ok(())
}

/// Frames that lie one behind the other.
#[derive(Default)]
struct Group {
    start: u64,
    end: u64,
    kind: u8,
    rates: Vec<u8>,
    modes: Vec<u8>,
}

impl Group {
    fn add(&mut self, builder: &mut CapsuleBuilder, at: u64, header: &FrameHeader) {
        let [_, kind, rates, mode] = header.raw;
        let kind = if header.layer == 3 { kind } else { kind | 1 };
        if at != self.end || kind != self.kind || self.rates.len() == FRAMES_IN_SEGMENT {
            self.flush(builder);
            self.start = at;
            self.end = at;
            self.kind = kind;
        }
        self.rates.push(rates);
        self.modes.push(mode);
        self.end += header.length();
    }

    fn flush(&mut self, builder: &mut CapsuleBuilder) {
        if !self.rates.is_empty() {
            let frames = SilentFrames {
                kind: self.kind,
                rates: &self.rates,
                modes: &self.modes,
            };
            let generator = Generator::MpegFrames(frames);
            builder.generated(self.start, self.end - self.start, &generator);
        }
        self.rates.clear();
        self.modes.clear();
    }
}

/// Silent frames, by the second, third and fourth bytes of their headers.
///
/// In a capsule: the second byte, which all share; the third bytes; the fourth bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SilentFrames<'a> {
    kind: u8,
    rates: &'a [u8],
    modes: &'a [u8],
}

impl<'a> SilentFrames<'a> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind);
        out.extend_from_slice(self.rates);
        out.extend_from_slice(self.modes);
    }

    pub(super) fn decode(parameters: &'a [u8], length: u64) -> Option<Self> {
        let (kind, columns) = parameters.split_first()?;
        let (rates, modes) = columns.split_at(columns.len() / 2);
        let frames = Self {
            kind: *kind,
            rates,
            modes,
        };
        let mut sum = 0;
        for header in frames.headers() {
            sum += header?.length();
        }
        (rates.len() == modes.len() && sum == length).then_some(frames)
    }

    fn headers(&self) -> impl Iterator<Item = Option<FrameHeader>> {
        self.rates
            .iter()
            .zip(self.modes)
            .map(|(rates, mode)| FrameHeader::parse([0xff, self.kind, *rates, *mode]))
    }

    pub(super) fn fill(&self, position: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = position + buffer.len() as u64;
        let mut at = 0;
        for header in self.headers().flatten() {
            let next = at + header.length();
            if at >= end {
                break;
            }
            if next > position {
                let (head, count) = silent_head(&header);
                copy_part(&head[..count], at, position, buffer);
            }
            at = next;
        }
    }
}

/// The bytes of a silent frame that are not zero: its header, and the check if it has one.
pub(super) fn silent_head(header: &FrameHeader) -> ([u8; 6], usize) {
    let [a, b, c, d] = header.raw;
    if !header.has_check() {
        return ([a, b, c, d, 0, 0], 4);
    }
    let mut check = 0xffff_u16;
    for byte in [c, d]
        .into_iter()
        .chain(std::iter::repeat_n(0, header.side_info()))
    {
        check ^= u16::from(byte) << 8;
        for _ in 0..8 {
            check = check << 1 ^ if check & 0x8000 == 0 { 0 } else { 0x8005 };
        }
    }
    let [high, low] = check.to_be_bytes();
    ([a, b, c, d, high, low], 6)
}

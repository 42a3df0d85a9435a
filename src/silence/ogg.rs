//! Silence in Ogg: Vorbis, Opus, FLAC, Speex; beside moving pictures or not.
//!
//! A capsule, made when the whole file passes: pages with header packets as they are (of each comment, pictures
//! mostly, the first 64 KiB; then the letter A, which is zero in base64), the headers of all other pages with
//! their packets' lengths, and of each packet the few bytes that make it silent: see [`super::packets`]. Zeros in
//! Vorbis say for each channel that it has no floor, in Speex that nothing was sent: exact silence in every decoder.
//! Frames of FLAC go over pages.
//!
//! Of moving pictures the first 64 KiB are kept, then they are zeros. Other streams (captions, a skeleton) are kept.
//! Checksums are those of the silent pages. What is no page is zeros.
//!
//! From facts alone: see [`facts`].

use std::io;

use super::packets::{self, FlacSlots, flac};
use super::{Capsule, CapsuleBuilder, CapsuleError, Generator};
use crate::container::ogg::{Coding, FIRST, LONGEST_PAGE, Page, Part, VorbisModes, page_checksum};
use crate::container::window::Window;
use crate::library::probe::Source;

mod comments;
mod facts;
mod pages;

pub(super) use facts::from_facts;
pub(super) use pages::{AlikePages, SilentPages};

/// A packet that goes over more pages than this is not followed.
const PAGES_OF_PACKET: usize = 64;

/// Streams in one file, chained ones with them.
const MOST_STREAMS: usize = 1024;

/// Of moving pictures so many bytes are kept.
const KEPT_OF_MOVING: u64 = 64 * 1024;

/// The comments of so many streams are looked at for pictures, which takes a look ahead; those of others are kept.
const LINKS_LOOKED_AT: usize = 16;

/// Runs of the letter A from this length on are stored as such.
const FILLED_FROM: usize = 64;

/// The capsule of an Ogg file; `None` where its codings have no silent form.
///
/// # Errors
/// Where reading fails.
pub(super) fn capsule(
    source: &mut dyn Source,
) -> io::Result<Option<Result<Capsule, CapsuleError>>> {
    let mut window = Window::new(source)?;
    let size = window.size();
    let mut builder = CapsuleBuilder::new(size);
    let mut streams: Vec<Stream> = Vec::new();
    let mut group = pages::Group::default();
    let mut links = 0;
    let mut at = 0;
    while at < size {
        let Some(page) = Page::read(&mut window, at)? else {
            at = next_sign(&mut window, at + 1)?;
            continue;
        };
        at = page.end();
        let mut bytes = page.bytes(&mut window)?.to_vec();
        if bytes.len() < page.header_length() + page.body_length() {
            break;
        }
        let (_, body) = bytes.split_at_mut(page.header_length());
        if page.flags & FIRST != 0 {
            let first = page.parts().next().map_or(0, |part| part.length);
            let mut stream = Stream::new(page.serial, &Coding::of(&body[..first]));
            if links < LINKS_LOOKED_AT {
                stream.filled = comments::large(&mut window, &page)?;
            }
            links += 1;
            streams.retain(|known| known.serial != page.serial);
            if streams.len() == MOST_STREAMS {
                return Ok(None);
            }
            streams.push(stream);
        }
        let Some(stream) = streams.iter_mut().find(|known| known.serial == page.serial) else {
            continue;
        };
        let header = stream.is_header(&page, body);
        if header && !stream.pass_headers(&page, body) {
            return Ok(None);
        }
        let kept = match &mut stream.role {
            Role::Kept => true,
            Role::Moving(left) if !header => {
                let kept = *left > 0;
                *left = left.saturating_sub(body.len() as u64);
                kept
            }
            _ => header,
        };
        if kept {
            if stream.fill(&page, body) {
                let sum = page_checksum(&bytes);
                bytes[22..26].copy_from_slice(&sum.to_le_bytes());
            }
            group.flush(&mut builder);
            write_filled(&mut builder, page.at, &bytes);
            continue;
        }
        if matches!(stream.role, Role::Frames(_)) {
            group.flush(&mut builder);
            stream.write_frames(&mut window, &mut builder, &page, &mut bytes)?;
            continue;
        }
        let mut heads = Vec::new();
        for part in page.parts().filter(|part| part.starts) {
            let Some(head) = stream.head(&mut window, &page, part, body)? else {
                return Ok(None);
            };
            heads.push(head);
        }
        group.add(&mut builder, &page, &heads);
    }
    group.flush(&mut builder);
    Ok(Some(builder.finish()))
}

/// Where the next page may start.
fn next_sign(window: &mut Window<'_>, mut at: u64) -> io::Result<u64> {
    loop {
        let ahead = window.at(at, LONGEST_PAGE as usize)?;
        if ahead.len() < 4 {
            return Ok(window.size());
        }
        match ahead.windows(4).position(|sign| sign == b"OggS") {
            Some(skip) => return Ok(at + skip as u64),
            None => at += ahead.len() as u64 - 3,
        }
    }
}

/// Bytes as they are, long runs of the letter A as a rule.
fn write_filled(builder: &mut CapsuleBuilder, at: u64, bytes: &[u8]) {
    let mut done = 0;
    let mut from = 0;
    while from < bytes.len() {
        let run = bytes[from..]
            .iter()
            .take_while(|byte| **byte == b'A')
            .count();
        if run >= FILLED_FROM {
            builder.verbatim(at + done as u64, &bytes[done..from]);
            builder.generated(at + from as u64, run as u64, &Generator::Fill(b'A'));
            done = from + run;
        }
        from += run.max(1);
    }
    builder.verbatim(at + done as u64, &bytes[done..]);
}

/// What becomes of a stream's packets behind its headers.
enum Role {
    /// Each starts with a few bytes that make it silent, and is zeros then. Of Vorbis not known before the last
    /// header.
    Heads(Option<packets::Coding>),
    /// Frames of FLAC.
    Frames(flac::Stream),
    /// They are zeros.
    Zeros,
    /// Moving pictures: so many bytes are kept, then they are zeros.
    Moving(u64),
    /// They are kept.
    Kept,
}

/// A stream in the file, as far as it was walked.
struct Stream {
    serial: u32,
    role: Role,
    headers: Headers,
    header: Vec<u8>,
    /// Places in the file (start, end) that are filled.
    filled: Vec<(u64, u64)>,
    /// The silent frame of FLAC that goes on on the next page: its header, its bytes, and how many were on pages.
    unfinished: Option<(Vec<u8>, Vec<u8>, usize)>,
}

/// How many packets of headers are still to come.
enum Headers {
    Left(usize),
    /// Until a packet starts with a byte that is none of theirs.
    Until(fn(u8) -> bool),
}

impl Stream {
    fn new(serial: u32, coding: &Coding) -> Self {
        let (role, headers) = match coding {
            Coding::Vorbis(_) => (Role::Heads(None), Headers::Left(3)),
            Coding::Opus(head) => (
                Role::Heads(Some(packets::Coding::Opus(head.clone()))),
                Headers::Left(2),
            ),
            // Metadata blocks have types below 127.
            Coding::Flac { channels, bits, .. } => (
                flac::Stream::new(*channels, *bits).map_or(Role::Zeros, Role::Frames),
                Headers::Until(|byte| byte == 0xff),
            ),
            Coding::Speex { .. } => (Role::Zeros, Headers::Left(coding.header_packets())),
            // Theora's headers have the highest bit.
            Coding::Video => (
                Role::Moving(KEPT_OF_MOVING),
                Headers::Until(|byte| byte < 0x80),
            ),
            Coding::Other => (Role::Kept, Headers::Left(0)),
        };
        Self {
            serial,
            role,
            headers,
            header: Vec::new(),
            filled: Vec::new(),
            unfinished: None,
        }
    }

    /// The page holds headers.
    fn is_header(&mut self, page: &Page, body: &[u8]) -> bool {
        let first = page.parts().find(|part| part.starts);
        if let (Headers::Until(ends), Some(part)) = (&self.headers, first)
            && body[part.start..part.start + part.length]
                .first()
                .is_some_and(|byte| ends(*byte))
        {
            self.headers = Headers::Left(0);
        }
        !matches!(self.headers, Headers::Left(0))
    }

    /// Goes over a page with headers. False where sound is on it too, or the headers can't be understood.
    fn pass_headers(&mut self, page: &Page, body: &[u8]) -> bool {
        for part in page.parts() {
            let left = match &mut self.headers {
                Headers::Left(0) => return false,
                Headers::Left(left) => left,
                Headers::Until(_) => return true,
            };
            // Of all headers only the last one of Vorbis is read here.
            let wanted = *left == 1 && matches!(self.role, Role::Heads(None));
            if wanted {
                if self.header.len() > comments::LONGEST_HEADER {
                    return false;
                }
                self.header
                    .extend_from_slice(&body[part.start..part.start + part.length]);
            }
            if part.ends {
                *left -= 1;
                if wanted {
                    let modes = VorbisModes::of(&self.header);
                    self.header = Vec::new();
                    self.role = Role::Heads(modes.map(packets::Coding::Vorbis));
                    if matches!(self.role, Role::Heads(None)) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Overwrites what is not kept. True if there was any.
    fn fill(&self, page: &Page, body: &mut [u8]) -> bool {
        let start = page.at + page.header_length() as u64;
        let end = start + body.len() as u64;
        let mut any = false;
        for (from, to) in &self.filled {
            let (from, to) = ((*from).max(start), (*to).min(end));
            if from < to {
                body[(from - start) as usize..(to - start) as usize].fill(b'A');
                any = true;
            }
        }
        any
    }

    /// The bytes that a silent packet in the place of the one that starts with `part` starts with. `None` where
    /// there is no silence of its length.
    fn head(
        &self,
        window: &mut Window<'_>,
        page: &Page,
        part: Part,
        body: &[u8],
    ) -> io::Result<Option<Vec<u8>>> {
        let packet = &body[part.start..part.start + part.length];
        let Role::Heads(Some(coding)) = &self.role else {
            return Ok(Some(Vec::new()));
        };
        if packet.is_empty() {
            return Ok(Some(Vec::new()));
        }
        // Only Opus needs to know how long it is.
        let goes_on = !part.ends && matches!(coding, packets::Coding::Opus(_));
        let length = packet.len() + if goes_on { behind(window, page)? } else { 0 };
        let head = coding.head(packet, length as u64);
        Ok(head.filter(|head| head.len() <= packet.len() && head.len() <= pages::LONGEST_HEAD))
    }

    /// Writes a page of FLAC's frames.
    fn write_frames(
        &mut self,
        window: &mut Window<'_>,
        builder: &mut CapsuleBuilder,
        page: &Page,
        bytes: &mut [u8],
    ) -> io::Result<()> {
        let Role::Frames(stream) = self.role else {
            return Ok(());
        };
        let start = page.header_length();
        let mut segments = Vec::new();
        for part in page.parts() {
            let place = start + part.start;
            let body = &mut bytes[place..place + part.length];
            if part.starts {
                let goes_on = if part.ends { 0 } else { behind(window, page)? };
                let length = body.len() + goes_on;
                self.unfinished = stream
                    .header(body)
                    .filter(|header| stream.shortest(header).is_some_and(|least| least <= length))
                    .map(|header| {
                        let frame = stream.silent(&header, length);
                        (header, frame, 0)
                    });
            }
            body.fill(0);
            if let Some((header, frame, done)) = &mut self.unfinished {
                let silent = frame.get(*done..*done + body.len()).unwrap_or_default();
                body[..silent.len()].copy_from_slice(silent);
                let mut record = Vec::new();
                if let (Ok(length), Ok(skipped)) =
                    (u32::try_from(frame.len()), u32::try_from(*done))
                    && length >> 24 == 0
                    && silent.len() == part.length
                {
                    FlacSlots::record(&mut record, length, header);
                    segments.push((place, part.length, skipped, record));
                }
                *done += part.length;
            }
        }
        let sum = page_checksum(bytes);
        bytes[22..26].copy_from_slice(&sum.to_le_bytes());
        builder.verbatim(page.at, &bytes[..start]);
        for (place, length, skipped, record) in segments {
            let slots = FlacSlots::new(stream, skipped, &record);
            let at = page.at + place as u64;
            builder.generated(at, length as u64, &Generator::FlacSlots(slots));
        }
        Ok(())
    }
}

/// Bytes of the last packet of `page` on the pages behind it.
fn behind(window: &mut Window<'_>, page: &Page) -> io::Result<usize> {
    let mut length = 0;
    let mut at = page.end();
    for _ in 0..PAGES_OF_PACKET {
        let Some(next) = Page::read(window, at)? else {
            break;
        };
        at = next.end();
        if next.serial != page.serial {
            continue;
        }
        match next.parts().next() {
            Some(part) if !part.starts => {
                length += part.length;
                if part.ends {
                    break;
                }
            }
            _ => break,
        }
    }
    Ok(length)
}

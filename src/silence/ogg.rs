//! Silence in Ogg: Vorbis and Opus.
//!
//! A capsule, made when the whole file passes: pages with header packets as they are (of each comment, pictures
//! mostly, the first 64 KiB; then the letter A, which is zero in base64), the headers of all other pages with
//! their packets' lengths, and of each packet the few bytes that make it silent:
//!
//! - Vorbis: the bits for the packet's sort, mode and windows. The zeros behind them say for each channel that it
//!   has no floor: exact silence in every decoder.
//! - Opus: see [`opus`].
//!
//! Checksums are those of the silent pages. FLAC, Speex and moving pictures in Ogg have no silent form yet.
//! What is no page is zeros.
//!
//! From facts alone: see [`facts`].

use std::io;

use super::{Capsule, CapsuleBuilder, CapsuleError, Generator};
use crate::container::ogg::{
    Coding, FIRST, LONGEST_PAGE, Page, Part, VorbisModes, opus_samples, page_checksum,
};
use crate::container::window::Window;
use crate::library::probe::Source;

mod comments;
mod facts;
mod opus;
mod pages;

pub(super) use facts::from_facts;
pub(super) use pages::{AlikePages, SilentPages};

/// A packet that goes over more pages than this is not followed.
const PAGES_OF_PACKET: usize = 64;

/// Streams in one file, chained ones with them.
const MOST_STREAMS: usize = 1024;

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
            let Some(mut stream) = Stream::new(page.serial, Coding::of(&body[..first])) else {
                return Ok(None);
            };
            stream.filled = comments::large(&mut window, &page)?;
            streams.retain(|known| known.serial != page.serial);
            if streams.len() == MOST_STREAMS {
                return Ok(None);
            }
            streams.push(stream);
        }
        let Some(stream) = streams.iter_mut().find(|known| known.serial == page.serial) else {
            continue;
        };
        if stream.headers_left > 0 {
            if !stream.pass_headers(&page, body) {
                return Ok(None);
            }
            if stream.fill(&page, body) {
                let sum = page_checksum(&bytes);
                bytes[22..26].copy_from_slice(&sum.to_le_bytes());
            }
            group.flush(&mut builder);
            write_filled(&mut builder, page.at, &bytes);
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

/// A stream in the file, as far as it was walked.
struct Stream {
    serial: u32,
    coding: Coding,
    headers_left: usize,
    header: Vec<u8>,
    modes: Option<VorbisModes>,
    /// Places in the file (start, end) that are filled.
    filled: Vec<(u64, u64)>,
}

impl Stream {
    /// `None` where the coding has no silent form.
    fn new(serial: u32, coding: Coding) -> Option<Self> {
        matches!(coding, Coding::Vorbis(_) | Coding::Opus(_)).then(|| Self {
            serial,
            headers_left: coding.header_packets(),
            coding,
            header: Vec::new(),
            modes: None,
            filled: Vec::new(),
        })
    }

    /// Goes over a page with headers. False where sound is on it too, or the headers can't be understood.
    fn pass_headers(&mut self, page: &Page, body: &[u8]) -> bool {
        for part in page.parts() {
            if self.headers_left == 0 {
                return false;
            }
            // Of all headers only the last one of Vorbis is read here.
            let wanted = self.headers_left == 1 && matches!(self.coding, Coding::Vorbis(_));
            if wanted {
                if self.header.len() > comments::LONGEST_HEADER {
                    return false;
                }
                self.header
                    .extend_from_slice(&body[part.start..part.start + part.length]);
            }
            if part.ends {
                self.headers_left -= 1;
                if wanted {
                    self.modes = VorbisModes::of(&self.header);
                    self.header = Vec::new();
                    if self.modes.is_none() {
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
        let Some(first) = packet.first() else {
            return Ok(Some(Vec::new()));
        };
        let head = match (&self.coding, &self.modes) {
            (Coding::Vorbis(_), Some(modes)) => {
                let bits = modes.prefix_bits(*first);
                let mask = ((1_u32 << bits) - 1).to_le_bytes();
                let kept = packet.iter().zip(mask).map(|(byte, mask)| byte & mask);
                Some(kept.take(bits.div_ceil(8) as usize).collect())
            }
            (Coding::Opus(head), _) => {
                let length = packet.len() + if part.ends { 0 } else { behind(window, page)? };
                match opus_samples(packet) {
                    Some(samples) => opus::silent(head, samples, length),
                    // Not a packet: decoders leave it out, and one of zeros as well.
                    None => Some(Vec::new()),
                }
            }
            _ => None,
        };
        Ok(head.filter(|head| head.len() <= packet.len() && head.len() <= pages::LONGEST_HEAD))
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

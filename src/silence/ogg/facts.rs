//! Silent Vorbis and Opus from facts alone.
//!
//! Packets of one length on pages of one length. The last packet is on a page of its own, as some readers drop
//! what is too much at the end only then. What is left of the size is zeros behind the comments.
//!
//! Vorbis gets the smallest headers that say what is needed: one codebook of two entries, a floor without
//! partitions, an empty residue, one mapping, one mode; a packet is one zero byte, or more.

use super::pages::AlikePages;
use crate::container::ogg::{FIRST, LAST, OpusHead, lace, page_checksum, page_head};
use crate::model::Format;
use crate::silence::copy::copy_part;
use crate::silence::packets::opus;
use crate::silence::{Capsule, CapsuleBuilder, Generator, NoPlaceholder};

/// Of the stream. Any will do.
const SERIAL: u32 = 1;

/// What programs show as the encoder.
const VENDOR: &[u8] = b"mediafs";

/// Frames of a Vorbis block here, and its exponent. Half of them come out of each packet.
const BLOCK: u64 = 1 << BLOCK_BITS;
const BLOCK_BITS: u8 = 11;

/// Frames at 48 kHz of an Opus packet here.
const OPUS_PACKET: u64 = 960;

/// What Opus encoders put before the sound.
const PRE_SKIP: u64 = 312;

/// More zeros than this behind the comments are not made.
const LONGEST_TAIL: u64 = 256 << 20;

/// The longest packet that is tried: of it and its length a page can hold one.
const LONGEST_PACKET: u64 = 65_000;

/// The capsule of a file of `size` bytes that has this format and is silent.
pub(in crate::silence) fn from_facts(format: &Format, size: u64) -> Result<Capsule, NoPlaceholder> {
    let missing = |what: &str| NoPlaceholder::new(format!("the {what} is not known"));
    let channels = format
        .channels
        .ok_or_else(|| missing("number of channels"))?;
    let channels = u8::try_from(channels)
        .ok()
        .filter(|channels| *channels > 0)
        .ok_or_else(|| NoPlaceholder::new(format!("Ogg has no {channels} channels")))?;
    let frames = format.frames.ok_or_else(|| missing("length"))?;
    let rate = format
        .sample_rate
        .filter(|rate| *rate > 0)
        .ok_or_else(|| missing("sample rate"))?;
    let codec = format.codec.as_ref().map_or("", |codec| codec.0.as_str());
    let stream = match codec {
        "vorbis" => vorbis(channels, rate, frames, size),
        "opus" => opus(channels, frames, format.duration_seconds)?,
        _ => {
            return Err(NoPlaceholder::new(format!(
                "there is no silent form of {codec} in Ogg yet"
            )));
        }
    };
    stream.capsule(size)
}

/// All that pages are made of.
struct Stream {
    first: Vec<u8>,
    /// Up to the end of what is needed; zeros may follow.
    comments: Vec<u8>,
    setup: Option<Vec<u8>>,
    head: Vec<u8>,
    longest: u64,
    packets: u64,
    on_page: u64,
    /// Frames of a packet, and how many packets there are before the first frame comes out.
    packet_frames: u64,
    late: u64,
    last_granule: u64,
}

impl Stream {
    fn capsule(&self, size: u64) -> Result<Capsule, NoPlaceholder> {
        let too_small = || {
            NoPlaceholder::new(format!(
                "{size} bytes are too few for {} Ogg packets",
                self.packets
            ))
        };
        // The longest packets that leave room for the headers.
        let room = |packet: u64| size.checked_sub(self.sound_length(packet));
        let least = self.headers_length(0);
        let fits = |packet: u64| room(packet).is_some_and(|room| room >= least);
        let (mut low, mut high) = (self.head.len() as u64, self.longest);
        if !fits(low) {
            return Err(too_small());
        }
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        // A rest that no headers have is made one by a longer or shorter last packet.
        let shortest = self.head.len() as u64;
        let lasts = (low..=self.longest)
            .take(600)
            .chain((shortest..low).rev().take(600));
        let mut found = None;
        for last in lasts {
            let tail = (room(low).zip(Some(last)))
                .and_then(|(room, last)| {
                    (room + page_length(1, low)).checked_sub(page_length(1, last))
                })
                .and_then(|length| self.tail(length));
            if let Some(tail) = tail {
                found = Some((last, tail));
                break;
            }
        }
        let (last, tail) = found.ok_or_else(too_small)?;
        if tail > LONGEST_TAIL {
            return Err(NoPlaceholder::new(format!(
                "{size} bytes are too many for {} Ogg packets",
                self.packets
            )));
        }
        self.write(size, low, last, tail)
    }

    /// Pages of sound: how many full ones, packets on one more, and then there is the last packet.
    fn layout(&self) -> (u64, u64) {
        let before = self.packets - 1;
        (before / self.on_page, before % self.on_page)
    }

    /// Bytes of all pages of sound with packets of this length.
    fn sound_length(&self, packet: u64) -> u64 {
        let (full, rest) = self.layout();
        let rest = if rest > 0 {
            page_length(rest, packet)
        } else {
            0
        };
        full * page_length(self.on_page, packet) + rest + page_length(1, packet)
    }

    /// Bytes of all header pages with `tail` zeros behind the comments.
    fn headers_length(&self, tail: u64) -> u64 {
        let packets = [self.comments.len() as u64 + tail]
            .into_iter()
            .chain(self.setup.as_ref().map(|setup| setup.len() as u64));
        let (segments, bytes) = packets.fold((0, 0), |(segments, bytes), length| {
            (segments + length / 255 + 1, bytes + length)
        });
        page_length(1, self.first.len() as u64) + 27 * segments.div_ceil(255) + segments + bytes
    }

    /// How many zeros behind the comments bring the headers to this length; `None` where none do.
    fn tail(&self, length: u64) -> Option<u64> {
        let (mut low, mut high) = (0, length);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.headers_length(middle) < length {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (self.headers_length(low) == length).then_some(low)
    }

    fn write(
        &self,
        size: u64,
        packet: u64,
        last: u64,
        tail: u64,
    ) -> Result<Capsule, NoPlaceholder> {
        let mut builder = CapsuleBuilder::new(size);
        let alike = |sequence: u32, granule: u64, packets: u64, packet: u64| AlikePages {
            serial: SERIAL,
            sequence,
            granule,
            step: self.on_page * self.packet_frames,
            packets: packets as u8,
            packet: packet as u32,
            head: &self.head,
        };
        let first = AlikePages {
            head: &self.first,
            ..alike(0, 0, 1, self.first.len() as u64)
        };
        let first = first.page(0, FIRST);
        builder.verbatim(0, &first);
        let (mut at, mut sequence) = self.write_headers(&mut builder, first.len() as u64, tail);

        let granule = |packets: u64| packets.saturating_sub(self.late) * self.packet_frames;
        let (full, rest) = self.layout();
        if full > 0 {
            let pages = alike(sequence, granule(self.on_page), self.on_page, packet);
            let length = full * pages.length();
            builder.generated(at, length, &Generator::OggAlike(pages));
            at += length;
            sequence = sequence.wrapping_add(full as u32);
        }
        if rest > 0 {
            let pages = alike(sequence, granule(self.packets - 1), rest, packet);
            builder.generated(at, pages.length(), &Generator::OggAlike(pages));
            at += pages.length();
            sequence = sequence.wrapping_add(1);
        }
        let pages = alike(sequence, self.last_granule, 1, last);
        builder.verbatim(at, &pages.page(0, LAST));
        Ok(builder.finish()?)
    }

    /// Comments with their tail, and the setup; returns where they end and the next page's number.
    fn write_headers(&self, builder: &mut CapsuleBuilder, start: u64, tail: u64) -> (u64, u32) {
        let mut lacing = Vec::new();
        let comments = self.comments.len() as u64 + tail;
        lace(&mut lacing, comments as usize);
        let setup = self.setup.as_deref().unwrap_or_default();
        if self.setup.is_some() {
            lace(&mut lacing, setup.len());
        }
        let (mut at, mut sequence) = (start, 1_u32);
        let mut done = 0_u64;
        let mut continued = false;
        for segments in lacing.chunks(255) {
            let body: u64 = segments.iter().map(|length| u64::from(*length)).sum();
            let ends = segments.iter().any(|length| *length < 255);
            let granule = if ends { 0 } else { u64::MAX };
            let flags = u8::from(continued);
            let head = page_head(flags, granule, SERIAL, sequence, 0, segments.len() as u8);
            let mut page = head.to_vec();
            page.extend(segments);
            let start = page.len();
            page.resize(start + body as usize, 0);
            copy_part(&self.comments, 0, done, &mut page[start..]);
            copy_part(setup, comments, done, &mut page[start..]);
            let sum = page_checksum(&page);
            page[22..26].copy_from_slice(&sum.to_le_bytes());
            builder.verbatim(at, &page);
            at += page.len() as u64;
            done += body;
            sequence += 1;
            continued = segments.last() == Some(&255);
        }
        (at, sequence)
    }
}

/// Bytes of a page with so many packets of this length.
fn page_length(packets: u64, packet: u64) -> u64 {
    27 + packets * (packet / 255 + 1 + packet)
}

fn vorbis(channels: u8, rate: u32, frames: u64, size: u64) -> Stream {
    let seconds = frames as f64 / f64::from(rate.max(1));
    let bitrate = if seconds > 0.0 {
        (size as f64 * 8.0 / seconds) as i32
    } else {
        0
    };
    let mut first = b"\x01vorbis\0\0\0\0".to_vec();
    first.push(channels);
    first.extend(rate.to_le_bytes());
    for bitrate in [0, bitrate, 0] {
        first.extend(bitrate.to_le_bytes());
    }
    first.extend([BLOCK_BITS << 4 | BLOCK_BITS, 1]);
    let mut comments = b"\x03vorbis".to_vec();
    comments.extend((VENDOR.len() as u32).to_le_bytes());
    comments.extend(VENDOR);
    comments.extend([0, 0, 0, 0, 1]);
    Stream {
        first,
        comments,
        setup: Some(vorbis_setup()),
        head: vec![0],
        longest: LONGEST_PACKET,
        packets: 1 + frames.div_ceil(BLOCK / 2),
        on_page: 1,
        packet_frames: BLOCK / 2,
        late: 1,
        last_granule: frames,
    }
}

/// The third header (Vorbis I, 4.2.4), bits from the lowest.
fn vorbis_setup() -> Vec<u8> {
    let fields: [(u64, u32); 39] = [
        // One codebook: sync, one dimension, two entries of one bit each, in no order, no values.
        (0, 8),
        (0x56_4342, 24),
        (1, 16),
        (2, 24),
        (0, 1),
        (0, 1),
        (0, 5),
        (0, 5),
        (0, 4),
        // One time transform, a placeholder of the format.
        (0, 6),
        (0, 16),
        // One floor of type 1: no partitions, multiplier 1, range of one bit.
        (0, 6),
        (1, 16),
        (0, 5),
        (0, 2),
        (1, 4),
        // One residue of type 0: from 0 to 0, partitions of one, one class, book 0, no cascade.
        (0, 6),
        (0, 16),
        (0, 24),
        (0, 24),
        (0, 24),
        (0, 6),
        (0, 8),
        (0, 3),
        (0, 1),
        // One mapping: one submap, no coupling; time, floor and residue 0.
        (0, 6),
        (0, 16),
        (0, 1),
        (0, 1),
        (0, 2),
        (0, 8),
        (0, 8),
        (0, 8),
        // One mode with the short block; framing.
        (0, 6),
        (0, 1),
        (0, 16),
        (0, 16),
        (0, 8),
        (1, 1),
    ];
    let mut bytes = b"\x05vorbis".to_vec();
    let (mut held, mut count) = (0_u64, 0);
    for (value, bits) in fields {
        held |= value << count;
        count += bits;
        while count >= 8 {
            bytes.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        bytes.push(held as u8);
    }
    bytes
}

fn opus(channels: u8, frames: u64, seconds: Option<f64>) -> Result<Stream, NoPlaceholder> {
    // The duration holds the pre-skip.
    let pre_skip = seconds
        .map(|seconds| (seconds * 48_000.0).round())
        .filter(|all| *all >= 0.0 && *all < 1e15)
        .and_then(|all| (all as u64).checked_sub(frames))
        .and_then(|skip| u16::try_from(skip).ok())
        .unwrap_or(PRE_SKIP as u16);
    // Streams, coupled ones, and where each channel comes from (RFC 7845, 5.1.1.2).
    let (streams, coupled, mapping): (u8, u8, &[u8]) = match channels {
        1 => (1, 0, &[]),
        2 => (1, 1, &[]),
        3 => (2, 1, &[0, 2, 1]),
        4 => (2, 2, &[0, 1, 2, 3]),
        5 => (3, 2, &[0, 4, 1, 2, 3]),
        6 => (4, 2, &[0, 4, 1, 2, 3, 5]),
        7 => (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
        8 => (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
        _ => {
            return Err(NoPlaceholder::new(format!(
                "the layout of {channels} channels of Opus is not known"
            )));
        }
    };
    let mut first = b"OpusHead\x01".to_vec();
    first.push(channels);
    first.extend(pre_skip.to_le_bytes());
    first.extend(48_000_u32.to_le_bytes());
    first.extend([0, 0]);
    if mapping.is_empty() {
        first.push(0);
    } else {
        first.extend([1, streams, coupled]);
        first.extend(mapping);
    }
    let mut comments = b"OpusTags".to_vec();
    comments.extend((VENDOR.len() as u32).to_le_bytes());
    comments.extend(VENDOR);
    comments.extend([0; 4]);
    let head = OpusHead {
        channels: u16::from(channels),
        pre_skip,
        streams,
        coupled,
    };
    // A packet that is longer than its head starts the same, up to the longest frame.
    let shortest = 4 * usize::from(streams - 1) + 3;
    let start = opus::silent(&head, OPUS_PACKET, shortest)
        .ok_or_else(|| NoPlaceholder::new("no silent Opus packet could be made"))?;
    let all = frames + u64::from(pre_skip);
    Ok(Stream {
        first,
        comments,
        setup: None,
        longest: start.len() as u64 - 3 + 1200,
        head: start,
        packets: all.div_ceil(OPUS_PACKET).max(1),
        on_page: if channels <= 2 { 50 } else { 30 },
        packet_frames: OPUS_PACKET,
        late: 0,
        last_granule: all,
    })
}

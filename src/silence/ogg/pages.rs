//! Rules for pages of silent packets, as capsules hold them.

use std::collections::HashMap;

use crate::container::ogg::{LONGEST_PAGE, Page, checksum, lace, page_checksum, page_head, parts};
use crate::silence::copy::copy_part;
use crate::silence::{CapsuleBuilder, Generator};

/// Pages in one segment of a capsule: a read looks at so many at most.
const PAGES_IN_SEGMENT: usize = 16;

/// Bytes at the start of a packet that are not zero, at most.
pub(super) const LONGEST_HEAD: usize = 255;

/// Pages of one stream that lie one behind the other.
#[derive(Default)]
pub(super) struct Group {
    start: u64,
    end: u64,
    serial: u32,
    sequence: u32,
    pages: u32,
    heads: Vec<Vec<u8>>,
    known: HashMap<Vec<u8>, u8>,
    records: Vec<u8>,
}

impl Group {
    /// Adds a page, with the first bytes of each packet that starts on it.
    pub(super) fn add(&mut self, builder: &mut CapsuleBuilder, page: &Page, heads: &[Vec<u8>]) {
        let follows = page.at == self.end
            && page.serial == self.serial
            && page.sequence == self.sequence.wrapping_add(self.pages)
            && self.pages < PAGES_IN_SEGMENT as u32
            // A page brings at most 255 new ones.
            && self.known.len() + heads.len() < 255;
        if !follows {
            self.flush(builder);
            self.start = page.at;
            self.serial = page.serial;
            self.sequence = page.sequence;
        }
        self.end = page.end();
        self.pages += 1;
        self.records.push(page.flags);
        self.records.extend(page.granule.to_le_bytes());
        self.records
            .extend(silent_checksum(page, heads).to_le_bytes());
        self.records.push(page.lacing.len() as u8);
        self.records.extend(&page.lacing);
        for head in heads {
            let next = self.known.len() as u8;
            let number = *self.known.entry(head.clone()).or_insert(next);
            if number == next {
                self.heads.push(head.clone());
            }
            self.records.push(number);
        }
    }

    /// Writes what was added.
    pub(super) fn flush(&mut self, builder: &mut CapsuleBuilder) {
        if self.pages > 0 {
            let mut heads = vec![self.heads.len() as u8];
            for head in &self.heads {
                heads.push(head.len() as u8);
                heads.extend(head);
            }
            let pages = SilentPages {
                serial: self.serial,
                sequence: self.sequence,
                heads: &heads,
                records: &self.records,
            };
            let length = self.end - self.start;
            builder.generated(self.start, length, &Generator::OggPages(pages));
        }
        *self = Self::default();
    }
}

/// The checksum of the page with silent packets.
fn silent_checksum(page: &Page, heads: &[Vec<u8>]) -> u32 {
    let segments = page.lacing.len() as u8;
    let head = page_head(
        page.flags,
        page.granule,
        page.serial,
        page.sequence,
        0,
        segments,
    );
    let mut bytes = head.to_vec();
    bytes.extend(&page.lacing);
    let body = bytes.len();
    bytes.resize(body + page.body_length(), 0);
    for (part, head) in page.parts().filter(|part| part.starts).zip(heads) {
        let at = body + part.start;
        bytes[at..at + head.len()].copy_from_slice(head);
    }
    page_checksum(&bytes)
}

/// Pages of one stream with numbers in a row.
///
/// In a capsule: serial number and first sequence number, 4 bytes each, little-endian; the number of different
/// packet heads, each with its length and bytes; for each page its flags, granule position (8 bytes), checksum
/// (4 bytes), number of segments, their lengths, and for each packet that starts on it the number of its head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SilentPages<'a> {
    serial: u32,
    sequence: u32,
    heads: &'a [u8],
    records: &'a [u8],
}

struct Record<'a> {
    head: [u8; 27],
    lacing: &'a [u8],
    continued: bool,
    numbers: &'a [u8],
    length: u64,
}

impl<'a> SilentPages<'a> {
    pub(in crate::silence) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.serial.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend_from_slice(self.heads);
        out.extend_from_slice(self.records);
    }

    pub(in crate::silence) fn decode(parameters: &'a [u8], length: u64) -> Option<Self> {
        let (serial, rest) = parameters.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<4>()?;
        let count = *rest.first()?;
        let mut at = 1;
        for _ in 0..count {
            at += 1 + usize::from(*rest.get(at)?);
        }
        let (heads, records) = rest.split_at_checked(at)?;
        let pages = Self {
            serial: u32::from_le_bytes(*serial),
            sequence: u32::from_le_bytes(*sequence),
            heads,
            records,
        };
        let mut sum = 0;
        let mut place = 0;
        let mut sequence = pages.sequence;
        while place < records.len() {
            let (record, next) = pages.record(place, sequence)?;
            let fits = |(part, number): (crate::container::ogg::Part, &u8)| {
                pages
                    .head(*number)
                    .is_some_and(|head| head.len() <= part.length)
            };
            let starting = parts(record.lacing, record.continued).filter(|part| part.starts);
            if !starting.zip(record.numbers).all(fits) {
                return None;
            }
            sum += record.length;
            place = next;
            sequence = sequence.wrapping_add(1);
        }
        (sum == length).then_some(pages)
    }

    /// The `number`th of the heads.
    fn head(&self, number: u8) -> Option<&'a [u8]> {
        let mut at = 1;
        for _ in 0..number {
            at += 1 + usize::from(*self.heads.get(at)?);
        }
        let length = usize::from(*self.heads.get(at)?);
        self.heads.get(at + 1..at + 1 + length)
    }

    /// The page described at `place`, and where the next one is described.
    fn record(&self, place: usize, sequence: u32) -> Option<(Record<'a>, usize)> {
        let (fixed, rest) = self.records.get(place..)?.split_first_chunk::<14>()?;
        let [flags, fields @ ..] = *fixed;
        let granule = u64::from_le_bytes(*fields.first_chunk()?);
        let sum = u32::from_le_bytes(*fields[8..].first_chunk()?);
        let segments = fields[12];
        let (lacing, rest) = rest.split_at_checked(usize::from(segments))?;
        let continued = flags & crate::container::ogg::CONTINUED != 0;
        let starting = parts(lacing, continued).filter(|part| part.starts).count();
        let numbers = rest.get(..starting)?;
        let body: u64 = lacing.iter().map(|length| u64::from(*length)).sum();
        let record = Record {
            head: page_head(flags, granule, self.serial, sequence, sum, segments),
            lacing,
            continued,
            numbers,
            length: 27 + lacing.len() as u64 + body,
        };
        Some((record, place + 14 + lacing.len() + starting))
    }

    pub(in crate::silence) fn fill(&self, position: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = position + buffer.len() as u64;
        let (mut at, mut place, mut sequence) = (0, 0, self.sequence);
        while at < end {
            let Some((record, next)) = self.record(place, sequence) else {
                break;
            };
            if at + record.length > position {
                copy_part(&record.head, at, position, buffer);
                copy_part(record.lacing, at + 27, position, buffer);
                let body = at + 27 + record.lacing.len() as u64;
                let starting = parts(record.lacing, record.continued).filter(|part| part.starts);
                for (part, number) in starting.zip(record.numbers) {
                    let head = self.head(*number).unwrap_or_default();
                    copy_part(head, body + part.start as u64, position, buffer);
                }
            }
            at += record.length;
            place = next;
            sequence = sequence.wrapping_add(1);
        }
    }
}

/// Pages that differ in sequence number, granule position and checksum alone.
///
/// In a capsule, little-endian: serial number and first sequence number (4 bytes each), the first granule position
/// and the step to the next (8 each), packets on a page (1), bytes of a packet (4), what a packet starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AlikePages<'a> {
    pub(super) serial: u32,
    pub(super) sequence: u32,
    pub(super) granule: u64,
    pub(super) step: u64,
    pub(super) packets: u8,
    pub(super) packet: u32,
    pub(super) head: &'a [u8],
}

impl<'a> AlikePages<'a> {
    pub(in crate::silence) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.serial.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.granule.to_le_bytes());
        out.extend(self.step.to_le_bytes());
        out.push(self.packets);
        out.extend(self.packet.to_le_bytes());
        out.extend_from_slice(self.head);
    }

    pub(in crate::silence) fn decode(parameters: &'a [u8], length: u64) -> Option<Self> {
        let (serial, rest) = parameters.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (granule, rest) = rest.split_first_chunk()?;
        let (step, rest) = rest.split_first_chunk()?;
        let (packets, rest) = rest.split_first()?;
        let (packet, head) = rest.split_first_chunk()?;
        let pages = Self {
            serial: u32::from_le_bytes(*serial),
            sequence: u32::from_le_bytes(*sequence),
            granule: u64::from_le_bytes(*granule),
            step: u64::from_le_bytes(*step),
            packets: *packets,
            packet: u32::from_le_bytes(*packet),
            head,
        };
        let valid = pages.packets > 0
            && head.len() <= pages.packet as usize
            && u64::from(pages.packet) < LONGEST_PAGE
            && pages.segments() <= 255
            && length.is_multiple_of(pages.length());
        valid.then_some(pages)
    }

    fn segments(&self) -> usize {
        usize::from(self.packets) * (self.packet as usize / 255 + 1)
    }

    /// Bytes of one page.
    pub(super) fn length(&self) -> u64 {
        (27 + self.segments()) as u64 + u64::from(self.packets) * u64::from(self.packet)
    }

    /// The `index`th page with these flags.
    pub(super) fn page(&self, index: u64, flags: u8) -> Vec<u8> {
        let mut lacing = Vec::with_capacity(self.segments());
        for _ in 0..self.packets {
            lace(&mut lacing, self.packet as usize);
        }
        let granule = self.granule.wrapping_add(index.wrapping_mul(self.step));
        let sequence = self.sequence.wrapping_add(index as u32);
        let mut page =
            page_head(flags, granule, self.serial, sequence, 0, lacing.len() as u8).to_vec();
        page.extend(lacing);
        for _ in 0..self.packets {
            let end = page.len() + self.packet as usize;
            page.extend_from_slice(self.head);
            page.resize(end, 0);
        }
        let sum = checksum(0, &page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        page
    }

    pub(in crate::silence) fn fill(&self, position: u64, buffer: &mut [u8]) {
        let length = self.length();
        let end = position + buffer.len() as u64;
        let mut index = position / length;
        while index * length < end {
            copy_part(&self.page(index, 0), index * length, position, buffer);
            index += 1;
        }
    }
}

//! Rules for silent samples that lie one behind the other, as capsules hold them.
//!
//! Lengths are stored in two columns, low bytes and high bytes, which compress better so.

use super::{aac, ac3, flac};
use crate::silence::copy::copy_part;

/// The columns of these lengths.
pub(super) fn encode(lengths: &[u16]) -> Vec<u8> {
    let low = lengths.iter().map(|length| *length as u8);
    let high = lengths.iter().map(|length| (*length >> 8) as u8);
    low.chain(high).collect()
}

/// The lengths in two columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lengths<'a> {
    columns: &'a [u8],
}

impl Lengths<'_> {
    fn iter(&self) -> impl Iterator<Item = u64> {
        let (low, high) = self.columns.split_at(self.columns.len() / 2);
        low.iter()
            .zip(high)
            .map(|(low, high)| u64::from(*low) | u64::from(*high) << 8)
    }

    /// They add up to `sum`, and each is 0 or not below `least`.
    fn are(&self, sum: u64, least: usize) -> bool {
        self.columns.len().is_multiple_of(2)
            && self
                .iter()
                .all(|length| length == 0 || length >= least as u64)
            && self.iter().sum::<u64>() == sum
    }

    /// Calls `visit` with the number, place and length of each that lies in part between two places.
    fn between(&self, from: u64, to: u64, mut visit: impl FnMut(usize, u64, u64)) {
        let mut at = 0;
        for (index, length) in self.iter().enumerate() {
            if at >= to {
                break;
            }
            if at + length > from {
                visit(index, at, length);
            }
            at += length;
        }
    }
}

/// Silent packets of AAC. In a capsule: the layout, and the lengths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AacSlots<'a> {
    layout: u8,
    lengths: Lengths<'a>,
}

impl<'a> AacSlots<'a> {
    pub(super) fn new(layout: u8, columns: &'a [u8]) -> Self {
        Self {
            layout,
            lengths: Lengths { columns },
        }
    }

    pub(in crate::silence) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.layout);
        out.extend_from_slice(self.lengths.columns);
    }

    pub(in crate::silence) fn decode(parameters: &'a [u8], length: u64) -> Option<Self> {
        let (layout, columns) = parameters.split_first()?;
        let slots = Self::new(*layout, columns);
        let valid = (1..=7).contains(layout) && slots.lengths.are(length, aac::shortest(*layout));
        valid.then_some(slots)
    }

    pub(in crate::silence) fn fill(&self, position: u64, buffer: &mut [u8]) {
        let end = position + buffer.len() as u64;
        self.lengths.between(position, end, |_, at, length| {
            let packet = aac::silent(self.layout, length as usize);
            copy_part(&packet, at, position, buffer);
        });
    }
}

/// Packets of which each has a start out of few, and is zeros then.
///
/// In a capsule: how many starts there are, each with its length, 1 byte, and bytes; for each packet the number of
/// its start; the lengths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HeadSlots<'a> {
    heads: &'a [u8],
    numbers: &'a [u8],
    lengths: Lengths<'a>,
}

/// The most starts of one group.
pub(super) const MOST_HEADS: usize = 255;

impl<'a> HeadSlots<'a> {
    /// `heads` as they are in a capsule, at most [`MOST_HEADS`].
    pub(super) fn new(heads: &'a [u8], numbers: &'a [u8], columns: &'a [u8]) -> Self {
        Self {
            heads,
            numbers,
            lengths: Lengths { columns },
        }
    }

    pub(in crate::silence) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.heads);
        out.extend_from_slice(self.numbers);
        out.extend_from_slice(self.lengths.columns);
    }

    pub(in crate::silence) fn decode(parameters: &'a [u8], length: u64) -> Option<Self> {
        let count = usize::from(*parameters.first()?);
        let mut end = 1;
        for _ in 0..count {
            end += 1 + usize::from(*parameters.get(end)?);
        }
        let (heads, rest) = parameters.split_at_checked(end)?;
        let packets = rest.len() / 3;
        let (numbers, columns) = rest.split_at(packets);
        let slots = Self::new(heads, numbers, columns);
        let fits = |(number, length): (&u8, u64)| {
            slots
                .head(*number)
                .is_some_and(|head| head.len() as u64 <= length || length == 0)
        };
        let valid =
            slots.lengths.are(length, 0) && numbers.iter().zip(slots.lengths.iter()).all(fits);
        valid.then_some(slots)
    }

    /// The `number`th of the starts.
    fn head(&self, number: u8) -> Option<&'a [u8]> {
        if number >= *self.heads.first()? {
            return None;
        }
        let mut at = 1;
        for _ in 0..number {
            at += 1 + usize::from(*self.heads.get(at)?);
        }
        let length = usize::from(*self.heads.get(at)?);
        self.heads.get(at + 1..at + 1 + length)
    }

    pub(in crate::silence) fn fill(&self, position: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = position + buffer.len() as u64;
        self.lengths.between(position, end, |index, at, length| {
            let head = self
                .numbers
                .get(index)
                .and_then(|number| self.head(*number));
            let head = head.unwrap_or_default();
            let count = head.len().min(length as usize);
            copy_part(&head[..count], at, position, buffer);
        });
    }

    /// As [`Self::fill`], for AC-3: what is behind a start follows from it.
    pub(in crate::silence) fn fill_ac3(&self, position: u64, buffer: &mut [u8]) {
        let end = position + buffer.len() as u64;
        self.lengths.between(position, end, |index, at, length| {
            let head = self
                .numbers
                .get(index)
                .and_then(|number| self.head(*number));
            let frame = ac3::silent(head.unwrap_or_default(), length as usize);
            copy_part(&frame, at, position, buffer);
        });
    }
}

/// Frames of FLAC, or a part of them: where a page ends inside a frame, two groups tell it, each its part.
///
/// In a capsule: channels and bits of the stream; how many bytes of the first frame lie before; the length of each
/// frame, 3 bytes, big-endian, of its header, 1 byte, and the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FlacSlots<'a> {
    stream: flac::Stream,
    skipped: u32,
    records: &'a [u8],
}

impl<'a> FlacSlots<'a> {
    pub(in crate::silence) fn new(stream: flac::Stream, skipped: u32, records: &'a [u8]) -> Self {
        Self {
            stream,
            skipped,
            records,
        }
    }

    /// Appends a frame to what is said of a group.
    pub(in crate::silence) fn record(out: &mut Vec<u8>, length: u32, header: &[u8]) {
        out.extend_from_slice(&length.to_be_bytes()[1..]);
        out.push(header.len() as u8);
        out.extend_from_slice(header);
    }

    pub(in crate::silence) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.stream.channels, self.stream.bits]);
        out.extend_from_slice(&self.skipped.to_le_bytes());
        out.extend_from_slice(self.records);
    }

    pub(in crate::silence) fn decode(parameters: &'a [u8], length: u64) -> Option<Self> {
        let (shape, rest) = parameters.split_first_chunk::<2>()?;
        let (skipped, records) = rest.split_first_chunk()?;
        let stream = flac::Stream::new(shape[0].into(), shape[1].into())?;
        let slots = Self::new(stream, u32::from_le_bytes(*skipped), records);
        let (mut sum, mut place) = (0, 0);
        while place < records.len() {
            let (frame, header, next) = slots.frame(place)?;
            if u64::from(frame) < stream.shortest(header)? as u64 {
                return None;
            }
            sum += u64::from(frame);
            place = next;
        }
        (u64::from(slots.skipped) + length <= sum).then_some(slots)
    }

    /// Length and header of the frame told at `place`, and where the next one is told.
    fn frame(&self, place: usize) -> Option<(u32, &'a [u8], usize)> {
        let &[a, b, c, count] = self.records.get(place..)?.first_chunk()?;
        let end = place + 4 + usize::from(count);
        let header = self.records.get(place + 4..end)?;
        Some((u32::from_be_bytes([0, a, b, c]), header, end))
    }

    pub(in crate::silence) fn fill(&self, position: u64, buffer: &mut [u8]) {
        let from = position + u64::from(self.skipped);
        let to = from + buffer.len() as u64;
        let (mut at, mut place) = (0, 0);
        while let Some((length, header, next)) = self.frame(place) {
            if at >= to {
                break;
            }
            if at + u64::from(length) > from {
                let frame = self.stream.silent(header, length as usize);
                copy_part(&frame, at, from, buffer);
            }
            at += u64::from(length);
            place = next;
        }
    }
}

//! Rules for silent samples that lie one behind the other, as capsules hold them.
//!
//! Lengths are stored in two columns, low bytes and high bytes, which compress better so.

use super::aac;
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

    /// Calls `visit` with the place and length of each that lies in part between two places.
    fn between(&self, from: u64, to: u64, mut visit: impl FnMut(u64, u64)) {
        let mut at = 0;
        for length in self.iter() {
            if at >= to {
                break;
            }
            if at + length > from {
                visit(at, length);
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
        self.lengths.between(position, end, |at, length| {
            let packet = aac::silent(self.layout, length as usize);
            copy_part(&packet, at, position, buffer);
        });
    }
}

/// Packets that start alike and are zeros then. In a capsule: the length of the start, 1 byte; the start; the
/// lengths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HeadSlots<'a> {
    head: &'a [u8],
    lengths: Lengths<'a>,
}

impl<'a> HeadSlots<'a> {
    /// `head` has at most 255 bytes.
    pub(super) fn new(head: &'a [u8], columns: &'a [u8]) -> Self {
        Self {
            head,
            lengths: Lengths { columns },
        }
    }

    pub(in crate::silence) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.head.len() as u8);
        out.extend_from_slice(self.head);
        out.extend_from_slice(self.lengths.columns);
    }

    pub(in crate::silence) fn decode(parameters: &'a [u8], length: u64) -> Option<Self> {
        let (count, rest) = parameters.split_first()?;
        let (head, columns) = rest.split_at_checked(usize::from(*count))?;
        let slots = Self::new(head, columns);
        slots.lengths.are(length, head.len()).then_some(slots)
    }

    pub(in crate::silence) fn fill(&self, position: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = position + buffer.len() as u64;
        self.lengths.between(position, end, |at, length| {
            let count = self.head.len().min(length as usize);
            copy_part(&self.head[..count], at, position, buffer);
        });
    }
}

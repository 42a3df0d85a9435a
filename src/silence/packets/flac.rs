//! Silent FLAC frames of any length (RFC 9639, section 9).
//!
//! A frame keeps its header but for the channels' assignment, so it says the same number, samples and rate as the
//! original. Of its channels all but the last are constant, or, where the frame is long, written out (zeros). The
//! last one is stuffed: a residual of zeros whose partitions each say how many bits a number has, 0 to 31; what is
//! less than a partition goes into the count of wasted bits, first samples, and the bits that fill the last byte.
//! Where nothing fits, zeros follow a shorter frame, which decoders of packets pass over.

use super::bits::Bits;
use crate::silence::{flac_crc8, flac_crc16};

/// The longest header, without its check: sync and codes, a number of 7 bytes, 2 of samples, 2 of the rate.
pub(super) const LONGEST_HEADER: usize = 15;

/// Partitions are halved so often at most: what all decoders read.
const MOST_HALVINGS: u32 = 8;

/// Bits of a number that a partition may have at most.
const WIDEST: usize = 31;

/// Bits of the check, of a subframe's own head, of a residual's head, of a partition's head.
const CHECK: usize = 16;
const SUBFRAME: usize = 8;
const RESIDUAL: usize = 6;
const PARTITION: usize = 9;

/// A FLAC stream's shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::silence) struct Stream {
    /// 1 to 8.
    pub(super) channels: u8,
    /// Of a sample, 4 to 32.
    pub(super) bits: u8,
}

impl Stream {
    /// `None` where FLAC has no such stream.
    pub(in crate::silence) fn new(channels: u16, bits: u16) -> Option<Self> {
        let stream = Self {
            channels: u8::try_from(channels).ok()?,
            bits: u8::try_from(bits).ok()?,
        };
        ((1..=8).contains(&stream.channels) && (4..=32).contains(&stream.bits)).then_some(stream)
    }

    /// By STREAMINFO's body.
    pub(in crate::silence) fn of_streaminfo(body: &[u8]) -> Option<Self> {
        let word = u64::from_be_bytes(*body.get(10..)?.first_chunk()?);
        Self::new((word >> 41 & 7) as u16 + 1, (word >> 36 & 31) as u16 + 1)
    }

    /// The header of the silent frame in the place of the one that starts with `frame`: what comes before its
    /// check. `None` where that is no frame of this stream.
    pub(in crate::silence) fn header(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut header = frame.get(..header_length(frame)?)?.to_vec();
        header[3] = (self.channels - 1) << 4 | header[3] & 0x0e;
        self.shape(&header).map(|_| header)
    }

    /// Samples and bits of one, by a header.
    fn shape(&self, header: &[u8]) -> Option<(usize, usize)> {
        let (codes, widths) = (*header.get(2)?, *header.get(3)?);
        let extra = header_length(header)?;
        if header.len() != extra || widths >> 4 != self.channels - 1 {
            return None;
        }
        let rate_bytes = rate_bytes(codes);
        let samples = match codes >> 4 {
            1 => 192,
            code @ 2..=5 => 576 << (code - 2),
            6 => usize::from(*header.get(extra - rate_bytes - 1)?) + 1,
            7 => {
                let at = extra - rate_bytes - 2;
                usize::from(u16::from_be_bytes(*header.get(at..)?.first_chunk()?)) + 1
            }
            code @ 8..=15 => 256 << (code - 8),
            _ => return None,
        };
        let bits = match widths >> 1 & 7 {
            0 => self.bits,
            1 => 8,
            2 => 12,
            4 => 16,
            5 => 20,
            6 => 24,
            7 => 32,
            _ => return None,
        };
        Some((samples, usize::from(bits)))
    }

    /// Bytes of the shortest silent frame with this header.
    pub(in crate::silence) fn shortest(&self, header: &[u8]) -> Option<usize> {
        let (_, bits) = self.shape(header)?;
        let subframes = usize::from(self.channels) * (SUBFRAME + bits);
        Some(header.len() + 1 + subframes.div_ceil(8) + CHECK / 8)
    }

    /// The silent frame of `length` bytes with this header; zeros where there is none.
    pub(in crate::silence) fn silent(&self, header: &[u8], length: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        if let (Some((samples, bits)), Some(shortest)) = (self.shape(header), self.shortest(header))
            && length >= shortest
        {
            let start = header.len() + 1;
            let room = length - start - CHECK / 8;
            let channels = usize::from(self.channels);
            let subframes = Subframes::fitting(channels, samples, bits, room * 8);
            let mut written = Bits::default();
            subframes.write(&mut written);
            frame.extend_from_slice(header);
            frame.push(flac_crc8(header));
            frame.extend(written.into_bytes());
            let check = flac_crc16(&frame);
            frame.extend(check.to_be_bytes());
        }
        frame.resize(length, 0);
        frame
    }
}

/// Bytes of a frame's header without its check; `None` where it is none.
fn header_length(frame: &[u8]) -> Option<usize> {
    let [0xff, 0xf8 | 0xf9, codes, widths, first, ..] = *frame else {
        return None;
    };
    let number = match first.leading_ones() {
        0 => 1,
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    let samples_bytes = match codes >> 4 {
        0 => return None,
        6 => 1,
        7 => 2,
        _ => 0,
    };
    let valid = codes & 15 != 15 && widths >> 4 <= 10 && widths & 1 == 0;
    valid.then_some(4 + number + samples_bytes + rate_bytes(codes))
}

/// Bytes in which a header tells the sample rate.
fn rate_bytes(codes: u8) -> usize {
    match codes & 15 {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    }
}

/// How the last channel is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Last {
    Constant,
    Written,
    /// A residual: first samples, wasted bits, how often partitions are halved, and the bits of all numbers
    /// together, a partition's as one.
    Stuffed {
        order: usize,
        wasted: usize,
        halvings: u32,
        widths: usize,
    },
}

/// The channels of a frame.
struct Subframes {
    channels: usize,
    samples: usize,
    bits: usize,
    /// Channels whose zeros are written out; the others but the last are constant.
    written: usize,
    last: Last,
}

impl Subframes {
    /// Those that come closest to `room` bits, which is enough for constant ones, without going beyond.
    fn fitting(channels: usize, samples: usize, bits: usize, room: usize) -> Self {
        let constant = SUBFRAME + bits;
        let written = SUBFRAME + bits * samples;
        let mut best = Self {
            channels,
            samples,
            bits,
            written: 0,
            last: Last::Constant,
        };
        for count in 0..channels {
            let others = count * written + (channels - 1 - count) * constant;
            let Some(left) = room.checked_sub(others) else {
                break;
            };
            if let Some(last) = Last::fitting(samples, bits, left) {
                best.written = count;
                best.last = last;
                break;
            }
        }
        best
    }

    fn write(&self, out: &mut Bits) {
        for channel in 1..self.channels {
            if channel <= self.written {
                out.put(0b0000_0010, SUBFRAME);
                out.zeros(self.bits * self.samples);
            } else {
                out.zeros(SUBFRAME + self.bits);
            }
        }
        match self.last {
            Last::Constant => out.zeros(SUBFRAME + self.bits),
            Last::Written => {
                out.put(0b0000_0010, SUBFRAME);
                out.zeros(self.bits * self.samples);
            }
            Last::Stuffed {
                order,
                wasted,
                halvings,
                widths,
            } => {
                out.put(8 | order as u32, 7);
                out.put(u32::from(wasted > 0), 1);
                if wasted > 0 {
                    out.put(1, wasted);
                }
                out.zeros(order * (self.bits - wasted));
                // Numbers of up to 14 bits, or of as many as a partition says.
                out.put(0, 2);
                out.put(halvings, 4);
                let partition = self.samples >> halvings;
                let mut widths = widths;
                for index in 0..1 << halvings {
                    let first = index == 0 && order > 0;
                    let width = if first { 0 } else { widths.min(WIDEST) };
                    widths -= width;
                    out.put(15, 4);
                    out.put(width as u32, 5);
                    out.zeros(width * if first { 0 } else { partition });
                }
            }
        }
    }
}

impl Last {
    /// One of `left` bits, or up to seven fewer.
    fn fitting(samples: usize, bits: usize, left: usize) -> Option<Self> {
        let fills = |count: usize| count <= left && left - count < 8;
        if fills(SUBFRAME + bits) {
            return Some(Self::Constant);
        }
        if fills(SUBFRAME + bits * samples) {
            return Some(Self::Written);
        }
        for halvings in (0..=MOST_HALVINGS).rev() {
            let partitions = 1 << halvings;
            if !samples.is_multiple_of(partitions) {
                continue;
            }
            let partition = samples / partitions;
            let orders = if halvings > 0 { 0..=4_usize } else { 0..=0 };
            for order in orders.filter(|order| *order <= partition) {
                let head = SUBFRAME + order * bits + RESIDUAL + PARTITION * partitions;
                let Some(rest) = left.checked_sub(head) else {
                    continue;
                };
                let wide = partitions - usize::from(order > 0);
                let widths = (rest / partition).min(wide * WIDEST);
                let over = rest - widths * partition;
                // A first sample is shorter by the wasted bits.
                let wasted = if order == 0 {
                    over.saturating_sub(7)
                } else {
                    0
                };
                if over - wasted < 8 && wasted < bits {
                    return Some(Self::Stuffed {
                        order,
                        wasted,
                        halvings,
                        widths,
                    });
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_lengths_are_filled_to_the_byte() {
        for (channels, bits, samples) in [
            (1, 8, 4096),
            (1, 16, 4096),
            (2, 16, 4608),
            (2, 24, 4096),
            (8, 24, 1024),
            (2, 16, 192),
            (1, 16, 16),
        ] {
            let constant = channels * (SUBFRAME + bits);
            let most = channels * (SUBFRAME + bits * samples);
            let (mut filled, mut all) = (0, 0);
            for room in (constant.div_ceil(8)..=most.div_ceil(8)).step_by(7) {
                let subframes = Subframes::fitting(channels, samples, bits, room * 8);
                let mut written = Bits::default();
                subframes.write(&mut written);
                assert!(written.count() <= room * 8);
                filled += usize::from(written.count().div_ceil(8) == room);
                all += 1;
            }
            assert!(
                filled * 100 >= all * 95,
                "{channels} channels of {bits} bits, {samples} samples: {filled} of {all}"
            );
        }
    }
}

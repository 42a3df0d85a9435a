//! Silent AC-3 frames (ETSI TS 102 366, 5.3): the header as it is up to the dialogue's level, blocks whose
//! signal-to-noise offsets say that no bits are given to any coefficient, zeros, and both checks.

use super::bits::Bits;
use crate::silence::flac_crc16 as crc16;

/// Bytes of a frame's start that the header lies in.
pub(super) const START: usize = 8;

/// Kilobits a second, by half the code.
const KBIT: [usize; 19] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
];

/// What a frame's header says.
struct Header {
    bytes: [u8; START],
    /// Bytes of the frame.
    length: usize,
    /// Arrangement of the channels.
    mode: u8,
    low: bool,
    /// Bits up to the dialogue's level.
    bits: usize,
}

impl Header {
    fn parse(frame: &[u8]) -> Option<Self> {
        let bytes: [u8; START] = *frame.first_chunk()?;
        let [0x0b, 0x77, _, _, codes, version, mode, ..] = bytes else {
            return None;
        };
        let (rate, size) = (codes >> 6, usize::from(codes & 63));
        let kbit = *KBIT.get(size / 2)?;
        let words = match rate {
            0 => kbit * 2,
            1 => kbit * 320 / 147 + size % 2,
            2 => kbit * 3,
            _ => return None,
        };
        if version >> 3 > 8 {
            return None;
        }
        let mode = mode >> 5;
        let mut at = 51;
        if mode & 1 == 1 && mode != 1 {
            at += 2;
        }
        if mode & 4 == 4 {
            at += 2;
        }
        if mode == 2 {
            at += 2;
        }
        let low = bytes[at / 8] << (at % 8) & 0x80 != 0;
        Some(Self {
            bytes,
            length: words * 2,
            mode,
            low,
            bits: at + 6,
        })
    }
}

/// The start of the silent frame in the place of the one that starts with `frame`, as [`silent`] wants it; `None`
/// where that is no frame of `length` bytes.
pub(super) fn head(frame: &[u8], length: u64) -> Option<Vec<u8>> {
    let header = Header::parse(frame).filter(|header| header.length as u64 == length)?;
    let mut bytes = header.bytes;
    bytes[2..4].fill(0);
    for at in header.bits..START * 8 {
        bytes[at / 8] &= !(0x80 >> (at % 8));
    }
    Some(bytes.to_vec())
}

/// The silent frame with this start; zeros where it is none.
pub(super) fn silent(head: &[u8], length: usize) -> Vec<u8> {
    let Some(header) = Header::parse(head).filter(|header| header.length == length) else {
        return vec![0; length];
    };
    let mut bits = Bits::default();
    for at in 0..header.bits {
        bits.put(u32::from(header.bytes[at / 8] >> (7 - at % 8) & 1), 1);
    }
    // No compression, language, place of mixing; of a second programme its level, and none of these; no rights, time
    // codes, further information.
    bits.zeros(3);
    if header.mode == 0 {
        bits.zeros(5 + 3);
    }
    bits.zeros(5);
    for block in 0..6 {
        write_block(&mut bits, &header, block == 0);
    }
    let mut frame = bits.into_bytes();
    frame.resize(length, 0);
    // The first check is in front of what it is of: five eighths of the frame.
    let words = length / 2;
    let first = ((words >> 1) + (words >> 3)) * 2;
    let mut check = crc16(&frame[2..first]);
    for _ in 0..(first - 2) * 8 {
        check = match check & 1 {
            1 => (check ^ 0x8005) >> 1 | 0x8000,
            _ => check >> 1,
        };
    }
    frame[2..4].copy_from_slice(&check.to_be_bytes());
    let check = crc16(&frame[2..length - 2]);
    frame[length - 2..].copy_from_slice(&check.to_be_bytes());
    frame
}

/// A block of sound; what the first one says holds for all.
fn write_block(bits: &mut Bits, header: &Header, first: bool) {
    let channels = [2, 1, 2, 3, 3, 4, 4, 5][usize::from(header.mode & 7)];
    let told = u32::from(first);
    // Long windows, no noise in the place of what is left out, no change of level.
    bits.zeros(channels * 2 + 1 + usize::from(header.mode == 0));
    // Channels are not coupled, nor turned into sum and difference.
    bits.put(told, 1);
    bits.zeros(usize::from(first));
    if header.mode == 2 {
        bits.put(told, 1);
        bits.zeros(if first { 4 } else { 0 });
    }
    // Exponents of four coefficients each, or those of before.
    for _ in 0..channels {
        bits.put(told * 3, 2);
    }
    if header.low {
        bits.put(told, 1);
    }
    if first {
        // The narrowest band, of 73 coefficients; all exponents are the largest.
        bits.zeros(channels * 6);
        for _ in 0..channels {
            exponents(bits, 6);
            bits.zeros(2);
        }
        if header.low {
            exponents(bits, 2);
        }
    }
    // How bits are given away: all offsets are 0, so there are none.
    bits.put(told, 1);
    bits.zeros(if first { 11 } else { 0 });
    bits.put(told, 1);
    if first {
        bits.zeros(6 + (channels + usize::from(header.low)) * 7);
    }
    // No corrections, nothing to skip.
    bits.zeros(2);
}

/// The first exponent, and groups of three that differ by nothing.
fn exponents(bits: &mut Bits, groups: usize) {
    bits.put(15, 4);
    for _ in 0..groups {
        bits.put(62, 7);
    }
}

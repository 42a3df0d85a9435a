//! The frames of a silent FLAC stream, as a closed form of the position.
//!
//! RFC 9639, section 9. Each frame has one CONSTANT subframe of zero a channel. All frames but the last have the
//! same number of samples, so a frame's length depends only on how long its number is in the UTF-8 manner, and
//! the frame at any position is found by counting at most six such classes.

/// The first number that needs a longer coding, for each length.
const NUMBER_CLASSES: [u64; 6] = [1 << 7, 1 << 11, 1 << 16, 1 << 21, 1 << 26, 1 << 31];

/// A frame of 8 channels with 32 bits: header 4 + 6 + 2 + 1, subframes 40, CRC 2.
const LONGEST_FRAME: usize = 64;

/// Of a frame with one channel and at most 8 bits, which makes 10 bytes: ffmpeg 5.1 overlooks frames of less
/// than 11. In bits.
const LONGEST_SHORT_PAYLOAD: u64 = 16;

const CRC8: [u16; 256] = crc_table(0x07, 8);
const CRC16: [u16; 256] = crc_table(0x8005, 16);

/// The parameters of a silent stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SilentFrames {
    /// 1 to 8.
    channels: u8,
    /// Of a sample, 4 to 32.
    bits: u8,
    /// As a frame's header has it; 0 for "as STREAMINFO says".
    rate_code: u8,
    /// Samples of a channel in each frame but the last.
    block: u16,
    /// Samples of a channel in all frames.
    samples: u64,
}

impl SilentFrames {
    /// `None` where FLAC has no such stream.
    pub(super) fn new(
        channels: u16,
        bits: u16,
        sample_rate: u32,
        block: u16,
        samples: u64,
    ) -> Option<Self> {
        let rate_code = match sample_rate {
            88_200 => 1,
            176_400 => 2,
            192_000 => 3,
            8_000 => 4,
            16_000 => 5,
            22_050 => 6,
            24_000 => 7,
            32_000 => 8,
            44_100 => 9,
            48_000 => 10,
            96_000 => 11,
            _ => 0,
        };
        let frames = Self {
            channels: u8::try_from(channels).ok()?,
            bits: u8::try_from(bits).ok()?,
            rate_code,
            block,
            samples,
        };
        frames.valid().then_some(frames)
    }

    fn valid(&self) -> bool {
        (1..=8).contains(&self.channels)
            && (4..=32).contains(&self.bits)
            && self.rate_code < 12
            && self.block >= 16
            && self.count() <= NUMBER_CLASSES[5]
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.channels, self.bits, self.rate_code]);
        out.extend_from_slice(&self.block.to_be_bytes());
        out.extend_from_slice(&self.samples.to_be_bytes());
    }

    pub(super) fn decode(parameters: &[u8]) -> Option<Self> {
        let &[channels, bits, rate_code, b0, b1, ref samples @ ..] = parameters else {
            return None;
        };
        let frames = Self {
            channels,
            bits,
            rate_code,
            block: u16::from_be_bytes([b0, b1]),
            samples: u64::from_be_bytes(samples.try_into().ok()?),
        };
        frames.valid().then_some(frames)
    }

    /// Of the whole stream, in bytes.
    pub(super) fn length(&self) -> Option<u64> {
        let Some(last) = self.count().checked_sub(1) else {
            return Some(0);
        };
        self.start(last)
            .checked_add(self.frame_length(last, self.samples_of(last)))
    }

    /// The shortest and the longest frame, in bytes; zeros where there are none.
    pub(super) fn frame_lengths(&self) -> (u64, u64) {
        let Some(last) = self.count().checked_sub(1) else {
            return (0, 0);
        };
        let lengths = [0, last.saturating_sub(1), last]
            .map(|number| self.frame_length(number, self.samples_of(number)));
        let [first, before, last] = lengths;
        (first.min(last), first.max(before).max(last))
    }

    /// Fills `buffer` with the bytes at `position`, which the caller keeps within the stream.
    pub(super) fn fill(&self, position: u64, buffer: &mut [u8]) {
        let (mut number, start) = self.frame_at(position);
        let mut skipped = (position - start) as usize;
        let mut rest = buffer;
        while !rest.is_empty() {
            let mut frame = [0; LONGEST_FRAME];
            let length = self.frame(number, &mut frame);
            let part = frame.get(skipped..length).unwrap_or(&[]);
            let count = part.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&part[..count]);
            rest = later;
            number += 1;
            skipped = 0;
            if number >= self.count() {
                rest.fill(0);
                return;
            }
        }
    }

    /// How many frames there are.
    fn count(&self) -> u64 {
        self.samples.div_ceil(u64::from(self.block.max(1)))
    }

    fn samples_of(&self, number: u64) -> u64 {
        let block = u64::from(self.block);
        self.samples.saturating_sub(number * block).min(block)
    }

    /// Where frame `number` starts.
    fn start(&self, number: u64) -> u64 {
        let mut from = 0;
        let mut start = 0_u64;
        for end in NUMBER_CLASSES {
            let count = number.min(end).saturating_sub(from);
            start += count * self.frame_length(from, u64::from(self.block));
            from = end;
        }
        start
    }

    /// The number of the frame that holds the byte at `position`, and where it starts.
    fn frame_at(&self, position: u64) -> (u64, u64) {
        let last = self.count().saturating_sub(1);
        let (mut from, mut start) = (0, 0_u64);
        for end in NUMBER_CLASSES {
            let length = self.frame_length(from, u64::from(self.block));
            let class = (end - from) * length;
            if position < start + class {
                let number = from + (position - start) / length;
                if number < last {
                    return (number, start + (number - from) * length);
                }
                break;
            }
            start += class;
            from = end;
        }
        (last, self.start(last))
    }

    fn frame_length(&self, number: u64, samples: u64) -> u64 {
        let extra = match self.block_code(samples) {
            6 => 1,
            7 => 2,
            _ => 0,
        };
        let header = 4 + number_length(number) as u64 + extra + 1;
        let subframes = (u64::from(self.channels) * (8 + u64::from(self.bits))).div_ceil(8);
        header + subframes + 2
    }

    /// As [`block_code`], but frames that would be too short for readers tell their samples in 16 further bits.
    fn block_code(&self, samples: u64) -> u8 {
        let payload_bits = u64::from(self.channels) * (8 + u64::from(self.bits));
        if payload_bits <= LONGEST_SHORT_PAYLOAD {
            return 7;
        }
        block_code(samples)
    }

    /// Writes frame `number`, returns its length.
    fn frame(&self, number: u64, out: &mut [u8; LONGEST_FRAME]) -> usize {
        let samples = self.samples_of(number);
        let block_code = self.block_code(samples);
        let bits_code = match self.bits {
            8 => 1,
            12 => 2,
            16 => 4,
            20 => 5,
            24 => 6,
            32 => 7,
            _ => 0,
        };
        out[0] = 0xff;
        out[1] = 0xf8;
        out[2] = block_code << 4 | self.rate_code;
        out[3] = (self.channels - 1) << 4 | bits_code << 1;
        let mut at = 4 + write_number(number, &mut out[4..]);
        let less_one = (samples.max(1) - 1) as u16;
        if block_code == 7 {
            out[at] = (less_one >> 8) as u8;
            at += 1;
        }
        if (6..=7).contains(&block_code) {
            out[at] = less_one as u8;
            at += 1;
        }
        out[at] = crc(&CRC8, 8, &out[..at]) as u8;
        // CONSTANT subframes have the type 0 and here the value 0: nothing but zeros.
        let end = self.frame_length(number, samples) as usize;
        let check = crc(&CRC16, 16, &out[..end - 2]);
        out[end - 2..end].copy_from_slice(&check.to_be_bytes());
        end
    }
}

/// How a frame's header tells its number of samples: by a code of its own, or in 8 or 16 further bits (6, 7).
fn block_code(samples: u64) -> u8 {
    match samples {
        192 => 1,
        576 => 2,
        1152 => 3,
        2304 => 4,
        4608 => 5,
        256 => 8,
        512 => 9,
        1024 => 10,
        2048 => 11,
        4096 => 12,
        8192 => 13,
        16_384 => 14,
        32_768 => 15,
        0..=255 => 6,
        _ => 7,
    }
}

/// Bytes of a frame's number.
fn number_length(number: u64) -> usize {
    1 + NUMBER_CLASSES
        .iter()
        .take_while(|end| number >= **end)
        .count()
}

fn write_number(number: u64, out: &mut [u8]) -> usize {
    let length = number_length(number);
    if length == 1 {
        out[0] = number as u8;
        return 1;
    }
    for (index, byte) in out[..length].iter_mut().enumerate() {
        let shift = 6 * (length - 1 - index);
        *byte = 0x80 | (number >> shift & 0x3f) as u8;
    }
    // As many ones as there are bytes, a zero, and what of the number is left.
    let ones = !(0xff_u8 >> length);
    out[0] = ones | (number >> (6 * (length - 1))) as u8;
    length
}

const fn crc_table(polynomial: u16, width: u32) -> [u16; 256] {
    let top = 1_u16 << (width - 1);
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u16) << (width - 8);
        let mut bit = 0;
        while bit < 8 {
            value = if value & top != 0 {
                (value << 1) ^ polynomial
            } else {
                value << 1
            };
            bit += 1;
        }
        table[index] = if width == 8 { value & 0xff } else { value };
        index += 1;
    }
    table
}

fn crc(table: &[u16; 256], width: u32, bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |check, byte| {
        let index = (check >> (width - 8)) as u8 ^ byte;
        (if width == 8 { 0 } else { check << 8 }) ^ table[usize::from(index)]
    })
}

/// CRC-8 of a frame's header. Zero over a header with its own check behind it.
pub(crate) fn crc8(bytes: &[u8]) -> u8 {
    crc(&CRC8, 8, bytes) as u8
}

/// CRC-16 of a frame. Zero over a frame with its own check behind it.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    crc(&CRC16, 16, bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Every place near which the length of a frame changes gives the bytes that frames in a row give.
    #[test]
    fn any_position_gives_the_bytes_of_frames_in_a_row() {
        for (channels, bits, rest) in [(1, 8, 0), (1, 16, 1), (2, 24, 15), (8, 32, 5)] {
            for class in NUMBER_CLASSES {
                let samples = (class.min(NUMBER_CLASSES[5] - 20) + 20) * 16 - rest;
                let stream = SilentFrames::new(channels, bits, 44_100, 16, samples).unwrap();
                let mut row = Vec::new();
                let first = stream.count() - 40;
                for number in first..stream.count() {
                    let mut frame = [0; LONGEST_FRAME];
                    let length = stream.frame(number, &mut frame);
                    assert_eq!(crc16(&frame[..length]), 0);
                    row.extend_from_slice(&frame[..length]);
                }
                let start = stream.start(first);
                assert_eq!(start + row.len() as u64, stream.length().unwrap());
                for skipped in 0..row.len() {
                    let mut bytes = vec![0xaa; (row.len() - skipped).min(100)];
                    stream.fill(start + skipped as u64, &mut bytes);
                    assert_eq!(
                        bytes,
                        row[skipped..skipped + bytes.len()],
                        "{class} {skipped}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_are_coded_as_utf8_codes_characters() {
        for number in [
            0_u32, 1, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xffff, 0x1_0000, 0x10_ffff,
        ] {
            let mut ours = [0; 7];
            let length = write_number(u64::from(number), &mut ours);
            let mut theirs = [0; 4];
            let theirs = char::from_u32(number)
                .unwrap_or('\u{ffff}')
                .encode_utf8(&mut theirs);
            assert_eq!(&ours[..length], theirs.as_bytes());
        }
    }

    #[test]
    fn impossible_streams_are_refused() {
        assert!(SilentFrames::new(0, 16, 44_100, 4096, 10).is_none());
        assert!(SilentFrames::new(9, 16, 44_100, 4096, 10).is_none());
        assert!(SilentFrames::new(2, 3, 44_100, 4096, 10).is_none());
        assert!(SilentFrames::new(2, 33, 44_100, 4096, 10).is_none());
        assert!(SilentFrames::new(2, 16, 44_100, 15, 10).is_none());
        assert!(SilentFrames::new(2, 16, 44_100, 16, u64::MAX).is_none());
        let good = SilentFrames::new(2, 16, 44_100, 16, 100).unwrap();
        let mut parameters = Vec::new();
        good.encode(&mut parameters);
        assert_eq!(SilentFrames::decode(&parameters), Some(good));
        assert_eq!(SilentFrames::decode(&parameters[1..]), None);
    }
}

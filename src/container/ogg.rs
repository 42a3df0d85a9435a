//! Ogg pages and packets (RFC 3533), and what the first packets of a stream say about its coding.

use std::io;

use super::window::Window;

/// The longest page: header, 255 segments of 255 bytes.
pub(crate) const LONGEST_PAGE: u64 = 27 + 255 + 255 * 255;

/// A page's flags: its first packet goes on from the page before; first page of its stream; last one.
pub(crate) const CONTINUED: u8 = 1;
/// See [`CONTINUED`].
pub(crate) const FIRST: u8 = 2;
/// See [`CONTINUED`].
pub(crate) const LAST: u8 = 4;

/// A page's header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    /// Where it starts in the file.
    pub(crate) at: u64,
    /// See [`CONTINUED`].
    pub(crate) flags: u8,
    /// As it is in the file; see [`Self::position`].
    pub(crate) granule: u64,
    /// Which stream it belongs to.
    pub(crate) serial: u32,
    /// Its number in the stream.
    pub(crate) sequence: u32,
    /// The lengths of its segments; one below 255 ends a packet.
    pub(crate) lacing: Vec<u8>,
}

/// A packet's part on a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Inside the page's body.
    pub(crate) start: usize,
    /// Bytes.
    pub(crate) length: usize,
    /// The packet starts here.
    pub(crate) starts: bool,
    /// The packet ends here.
    pub(crate) ends: bool,
}

impl Page {
    /// The page at `at`; `None` where there is no whole page.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn read(window: &mut Window<'_>, at: u64) -> io::Result<Option<Self>> {
        let Some(head) = window.array::<27>(at)? else {
            return Ok(None);
        };
        let [b'O', b'g', b'g', b'S', 0, flags, rest @ ..] = head else {
            return Ok(None);
        };
        let count = usize::from(rest[20]);
        let lacing = window.at(at + 27, count)?.to_vec();
        let page = Self {
            at,
            flags,
            granule: u64::from_le_bytes(first(&rest)),
            serial: u32::from_le_bytes(first(&rest[8..])),
            sequence: u32::from_le_bytes(first(&rest[12..])),
            lacing,
        };
        let whole = page.lacing.len() == count && page.end() <= window.size();
        Ok(whole.then_some(page))
    }

    /// Where in time its last finished packet ends; `None` where none ends.
    pub(crate) fn position(&self) -> Option<u64> {
        (self.granule >> 63 == 0).then_some(self.granule)
    }

    /// Bytes of header and lacing.
    pub(crate) fn header_length(&self) -> usize {
        27 + self.lacing.len()
    }

    /// Bytes behind them.
    pub(crate) fn body_length(&self) -> usize {
        self.lacing.iter().map(|length| usize::from(*length)).sum()
    }

    /// Where it ends in the file.
    pub(crate) fn end(&self) -> u64 {
        self.at + (self.header_length() + self.body_length()) as u64
    }

    /// The whole of it; shorter only where the file was cut meanwhile.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn bytes<'w>(&self, window: &'w mut Window<'_>) -> io::Result<&'w [u8]> {
        window.at(self.at, self.header_length() + self.body_length())
    }

    /// The packets on it.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        parts(&self.lacing, self.flags & CONTINUED != 0)
    }
}

/// The packets that segments of these lengths make.
pub(crate) fn parts(lacing: &[u8], continued: bool) -> impl Iterator<Item = Part> {
    let mut start = 0;
    let mut length = 0;
    let mut starts = !continued;
    lacing
        .iter()
        .enumerate()
        .filter_map(move |(index, segment)| {
            length += usize::from(*segment);
            let ends = *segment < 255;
            if !ends && index + 1 < lacing.len() {
                return None;
            }
            let part = Part {
                start,
                length,
                starts,
                ends,
            };
            start += length;
            length = 0;
            starts = true;
            Some(part)
        })
}

/// The first 27 bytes of a page.
pub(crate) fn page_head(
    flags: u8,
    granule: u64,
    serial: u32,
    sequence: u32,
    checksum: u32,
    segments: u8,
) -> [u8; 27] {
    let mut head = [0; 27];
    head[..4].copy_from_slice(b"OggS");
    head[5] = flags;
    head[6..14].copy_from_slice(&granule.to_le_bytes());
    head[14..18].copy_from_slice(&serial.to_le_bytes());
    head[18..22].copy_from_slice(&sequence.to_le_bytes());
    head[22..26].copy_from_slice(&checksum.to_le_bytes());
    head[26] = segments;
    head
}

/// Appends the lengths of the segments of a packet of `length` bytes.
pub(crate) fn lace(lacing: &mut Vec<u8>, length: usize) {
    lacing.extend(std::iter::repeat_n(255, length / 255));
    lacing.push((length % 255) as u8);
}

/// The checksum goes on over `bytes`: polynomial 04c11db7, from 0, nothing inverted.
pub(crate) fn checksum(before: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(before, |sum, byte| {
        sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = sum << 1 ^ if sum >> 31 == 0 { 0 } else { 0x04c1_1db7 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};

/// The checksum of a whole page: that of its bytes with zeros in the checksum's place.
pub(crate) fn page_checksum(page: &[u8]) -> u32 {
    let (head, rest) = page.split_at(page.len().min(22));
    let behind = rest.get(4..).unwrap_or_default();
    checksum(checksum(checksum(0, head), &[0; 4]), behind)
}

/// What a stream is coded in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    /// See [`Vorbis`].
    Vorbis(Vorbis),
    /// See [`OpusHead`].
    Opus(OpusHead),
    /// STREAMINFO's facts; `headers` packets follow the first one.
    Flac {
        /// Frames a second.
        sample_rate: u32,
        /// 1 to 8.
        channels: u16,
        /// Of a sample.
        bits: u16,
        /// 0: not known.
        frames: u64,
    },
    /// Frames a second and channels.
    Speex {
        /// Frames a second.
        sample_rate: u32,
        /// 1 or 2.
        channels: u16,
        /// Packets of headers, with the first one.
        headers: usize,
        /// In a packet.
        frames: u64,
    },
    /// Moving pictures.
    Video,
    /// Captions, a skeleton, something newer.
    Other,
}

/// A Vorbis stream's first header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Vorbis {
    /// Frames a second.
    pub(crate) sample_rate: u32,
    /// At least 1.
    pub(crate) channels: u16,
    /// Frames of a short and of a long block.
    pub(crate) blocks: [u64; 2],
}

/// An Opus stream's first header (RFC 7845, 5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OpusHead {
    /// At least 1.
    pub(crate) channels: u16,
    /// Frames at 48 kHz to drop at the start.
    pub(crate) pre_skip: u16,
    /// Opus streams in each packet.
    pub(crate) streams: u8,
    /// How many of them are stereo; these come first.
    pub(crate) coupled: u8,
}

impl OpusHead {
    /// One or two channels in a stream.
    pub(crate) fn simple(channels: u16) -> Option<Self> {
        let coupled = u8::try_from(channels.checked_sub(1)?).ok()?;
        (coupled < 2).then_some(Self {
            channels,
            pre_skip: 0,
            streams: 1,
            coupled,
        })
    }

    /// As it is in MP4: without a mark, numbers in the other byte order.
    pub(crate) fn of_box(body: &[u8]) -> Option<Self> {
        let pre_skip = u16::from_be_bytes(*body.get(2..)?.first_chunk()?);
        let channels = *body.get(1)?;
        let (streams, coupled) = match body.get(10)? {
            0 => (1, channels.saturating_sub(1)),
            _ => (*body.get(11)?, *body.get(12)?),
        };
        Self::new(channels, pre_skip, streams, coupled)
    }

    fn new(channels: u8, pre_skip: u16, streams: u8, coupled: u8) -> Option<Self> {
        let valid = channels > 0 && streams > 0 && coupled <= streams;
        valid.then_some(Self {
            channels: u16::from(channels),
            pre_skip,
            streams,
            coupled,
        })
    }
}

impl Coding {
    /// By the first packet of a stream.
    pub(crate) fn of(packet: &[u8]) -> Self {
        let read = || match packet {
            [1, b'v', b'o', b'r', b'b', b'i', b's', rest @ ..] => {
                let blocks = *rest.get(21)?;
                let vorbis = Vorbis {
                    channels: u16::from(*rest.get(4)?),
                    sample_rate: u32::from_le_bytes(rest.get(5..9)?.try_into().ok()?),
                    blocks: [1 << (blocks & 15), 1 << (blocks >> 4)],
                };
                let sound = vorbis.channels > 0 && vorbis.sample_rate > 0;
                sound.then_some(Self::Vorbis(vorbis))
            }
            [
                b'O',
                b'p',
                b'u',
                b's',
                b'H',
                b'e',
                b'a',
                b'd',
                _,
                channels,
                rest @ ..,
            ] => {
                let pre_skip = u16::from_le_bytes(rest.get(..2)?.try_into().ok()?);
                let (streams, coupled) = match rest.get(8)? {
                    0 => (1, channels.saturating_sub(1)),
                    _ => (*rest.get(9)?, *rest.get(10)?),
                };
                OpusHead::new(*channels, pre_skip, streams, coupled).map(Self::Opus)
            }
            [0x7f, b'F', b'L', b'A', b'C', rest @ ..] => {
                let info = rest.get(12..)?;
                let word = u64::from_be_bytes(info.get(10..18)?.try_into().ok()?);
                Some(Self::Flac {
                    sample_rate: (word >> 44) as u32,
                    channels: (word >> 41 & 7) as u16 + 1,
                    bits: (word >> 36 & 31) as u16 + 1,
                    frames: word & 0xf_ffff_ffff,
                })
            }
            [b'S', b'p', b'e', b'e', b'x', b' ', b' ', b' ', rest @ ..] => Some(Self::Speex {
                sample_rate: u32::from_le_bytes(rest.get(28..32)?.try_into().ok()?),
                channels: u16::try_from(u32::from_le_bytes(rest.get(40..44)?.try_into().ok()?))
                    .ok()?,
                headers: 2 + rest.get(60).map_or(0, |more| usize::from(*more)),
                frames: u64::from(u32::from_le_bytes(rest.get(48..52)?.try_into().ok()?))
                    * u64::from(u32::from_le_bytes(rest.get(56..60)?.try_into().ok()?)),
            }),
            [0x80, b't', b'h', b'e', b'o', b'r', b'a', ..]
            | [b'B', b'B', b'C', b'D', 0, ..]
            | [b'O', b'V', b'P', b'8', b'0', ..] => Some(Self::Video),
            _ => None,
        };
        read().unwrap_or(Self::Other)
    }

    /// Packets of headers, with the first one.
    pub(crate) fn header_packets(&self) -> usize {
        match self {
            Self::Vorbis(_) => 3,
            Self::Speex { headers, .. } => *headers,
            _ => 2,
        }
    }
}

/// How the packets of a Vorbis stream say their block's size: read from the end of the setup header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct VorbisModes {
    /// For each mode: its block is a long one.
    pub(crate) long: Vec<bool>,
}

impl VorbisModes {
    /// From the third header. The modes are its last part (Vorbis I, 4.2.4): for each a bit for the block's size,
    /// 32 zero bits, eight bits of mapping; before them six bits of their number less one; behind them a bit 1.
    pub(crate) fn of(setup: &[u8]) -> Option<Self> {
        const MODE: usize = 41;
        let bit = |at: usize| setup.get(at / 8).map(|byte| byte >> (at % 8) & 1);
        let bits = |at: usize, count: usize| {
            (0..count).try_fold(0_u64, |value, index| {
                Some(value | u64::from(bit(at + index)?) << index)
            })
        };
        let end = (0..setup.len().checked_mul(8)?)
            .rev()
            .find(|at| bit(*at) == Some(1))?;
        let mut found = None;
        for count in 1..=64_usize {
            let Some(at) = end.checked_sub(count * MODE) else {
                break;
            };
            if bits(at + 1, 32)? != 0 {
                break;
            }
            // Too few modes by chance is unlikely, too many is not, as mappings may look like a number.
            let number = at.checked_sub(6).and_then(|at| bits(at, 6));
            if number == Some(count as u64 - 1) {
                found = Some((at, count));
            }
        }
        let (at, count) = found?;
        let long = (0..count)
            .map(|index| bit(at + index * MODE) == Some(1))
            .collect();
        Some(Self { long })
    }

    /// Bits of a mode's number in a packet.
    fn number_bits(&self) -> u32 {
        self.long
            .len()
            .saturating_sub(1)
            .checked_ilog2()
            .map_or(0, |log| log + 1)
    }

    /// The mode of a packet of sound, by its first byte.
    fn mode(&self, byte: u8) -> Option<bool> {
        let number = byte >> 1 & ((1_u16 << self.number_bits()) - 1) as u8;
        (byte & 1 == 0)
            .then(|| self.long.get(usize::from(number)).copied())
            .flatten()
    }

    /// The block of a packet of sound, by its first byte; `None` where it is none.
    pub(crate) fn block(&self, vorbis: &Vorbis, byte: u8) -> Option<u64> {
        self.mode(byte).map(|long| vorbis.blocks[usize::from(long)])
    }

    /// How many bits at the start of a packet say its sort, its mode and the windows beside it: all that a silent
    /// packet needs.
    pub(crate) fn prefix_bits(&self, byte: u8) -> u32 {
        match self.mode(byte) {
            None => 1,
            Some(long) => 1 + self.number_bits() + if long { 2 } else { 0 },
        }
    }
}

/// Frames at 48 kHz of an Opus packet (RFC 6716, 3), by its first two bytes.
pub(crate) fn opus_samples(packet: &[u8]) -> Option<u64> {
    let toc = *packet.first()?;
    let config = u32::from(toc >> 3);
    let frame = match config {
        0..12 => [480, 960, 1920, 2880][(config % 4) as usize],
        12..16 => [480, 960][(config % 2) as usize],
        _ => 120 << (config % 4),
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(*packet.get(1)? & 63),
    };
    Some(frame * count).filter(|samples| (1..=5760).contains(samples))
}

/// The first bytes of a longer slice; zeros where it is shorter, which it is not for the callers here.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

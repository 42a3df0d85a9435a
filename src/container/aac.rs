//! AAC's configuration (ISO/IEC 14496-3, 1.6.2) and ADTS headers (1.A.2.2).

use std::io;

use super::id3;
use super::window::Window;

/// Frames a second by index.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// What a decoder must know before the first packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AacConfig {
    /// The coding of the core: 1 Main, 2 LC, 4 LTP, …
    pub(crate) object: u8,
    /// Of the core, in frames a second.
    pub(crate) core_rate: u32,
    /// What a decoder delivers: twice the core's with spectral band replication.
    pub(crate) sample_rate: u32,
    /// The core's layout: 1 to 7, 0 where the stream itself tells.
    pub(crate) layout: u8,
    /// What a decoder delivers; 0 where the stream itself tells.
    pub(crate) channels: u16,
    /// The configuration says that there is spectral band replication.
    pub(crate) replicated: bool,
    /// It says that there is parametric stereo.
    pub(crate) parametric: bool,
}

#[derive(Clone, Copy)]
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let value = (self.at..self.at + count).try_fold(0, |value, at| {
            let bit = self.bytes.get(at / 8)? >> (7 - at % 8) & 1;
            Some(value << 1 | u32::from(bit))
        })?;
        self.at += count;
        Some(value)
    }

    fn object(&mut self) -> Option<u8> {
        Some(match self.take(5)? {
            31 => 32 + self.take(6)? as u8,
            object => object as u8,
        })
    }

    fn rate(&mut self) -> Option<u32> {
        match self.take(4)? {
            15 => self.take(24),
            index => RATES.get(index as usize).copied(),
        }
    }
}

impl AacConfig {
    /// From an AudioSpecificConfig.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let mut object = bits.object()?;
        let core_rate = bits.rate()?;
        let layout = bits.take(4)? as u8;
        let mut told = 0;
        let mut sample_rate = core_rate;
        let mut replicated = false;
        let mut parametric = false;
        if object == 5 || object == 29 {
            replicated = true;
            parametric = object == 29;
            sample_rate = bits.rate()?;
            object = bits.object()?;
        } else if let Some((rate, stereo)) = Self::extension(bits, object) {
            replicated = true;
            parametric = stereo;
            sample_rate = rate;
        }
        if layout == 0 && matches!(object, 1..=4) {
            told = Self::told_channels(&mut bits).unwrap_or(0);
        }
        let channels = match layout {
            0 => told,
            1 if parametric => 2,
            7 => 8,
            layout if layout < 7 => u16::from(layout),
            11 => 7,
            12 | 14 => 8,
            _ => 0,
        };
        Some(Self {
            object,
            core_rate,
            sample_rate,
            layout,
            channels,
            replicated,
            parametric,
        })
    }

    /// Counts the channels of a layout of its own.
    fn told_channels(bits: &mut Bits<'_>) -> Option<u16> {
        bits.take(1)?;
        if bits.take(1)? == 1 {
            bits.take(14)?;
        }
        bits.take(1)?;
        Self::program_channels(bits)
    }

    /// Counts the channels that the first element of a frame's data tells, where ADTS has no layout.
    pub(crate) fn frame_channels(data: &[u8]) -> Option<u16> {
        const PROGRAM: u32 = 5;
        let mut bits = Bits { bytes: data, at: 0 };
        (bits.take(3)? == PROGRAM).then_some(())?;
        Self::program_channels(&mut bits).filter(|channels| *channels > 0)
    }

    /// program_config_element (4.4.1.1).
    fn program_channels(bits: &mut Bits<'_>) -> Option<u16> {
        // Tag, object, rate.
        bits.take(4 + 2 + 4)?;
        let elements = bits.take(4)? + bits.take(4)? + bits.take(4)?;
        let low = bits.take(2)?;
        bits.take(3 + 4)?;
        // Mixdowns: mono, stereo, matrix.
        for more in [4, 4, 3] {
            if bits.take(1)? == 1 {
                bits.take(more)?;
            }
        }
        let mut channels = low as u16;
        for _ in 0..elements {
            channels += 1 + bits.take(1)? as u16;
            bits.take(4)?;
        }
        Some(channels)
    }

    /// The extension that older decoders don't see: behind the configuration of the core.
    fn extension(mut bits: Bits<'_>, object: u8) -> Option<(u32, bool)> {
        if !matches!(object, 1..=4) {
            return None;
        }
        bits.take(1)?;
        if bits.take(1)? == 1 {
            bits.take(14)?;
        }
        bits.take(1)?;
        (bits.take(11)? == 0x2b7).then_some(())?;
        (bits.object()? == 5).then_some(())?;
        (bits.take(1)? == 1).then_some(())?;
        let rate = bits.rate()?;
        let stereo = bits.take(11) == Some(0x548) && bits.take(1) == Some(1);
        Some((rate, stereo))
    }

    /// For AAC-LC: from the index of the rate and the layout.
    pub(crate) fn lc(sample_rate: u32, channels: u16) -> Option<[u8; 2]> {
        let index = RATES.iter().position(|rate| *rate == sample_rate)? as u16;
        let layout = match channels {
            1..=6 => channels,
            8 => 7,
            _ => return None,
        };
        Some((2 << 11 | index << 7 | layout << 3).to_be_bytes())
    }
}

/// The header of an ADTS frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AdtsHeader {
    /// As it is in the file.
    pub(crate) raw: [u8; 7],
    /// See [`AacConfig::object`].
    pub(crate) object: u8,
    /// Frames a second.
    pub(crate) sample_rate: u32,
    /// See [`AacConfig::layout`].
    pub(crate) layout: u8,
    /// Bytes with the header.
    pub(crate) length: u64,
    /// Blocks of 1024 frames.
    pub(crate) blocks: u64,
    /// There are two bytes of check behind the header.
    pub(crate) checked: bool,
}

impl AdtsHeader {
    /// The header in seven bytes.
    pub(crate) fn parse(raw: [u8; 7]) -> Option<Self> {
        let word = raw
            .iter()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        if word >> 44 != 0xfff || word >> 41 & 3 != 0 {
            return None;
        }
        let checked = word >> 40 & 1 == 0;
        let length = word >> 13 & 0x1fff;
        let header = Self {
            raw,
            object: (word >> 38 & 3) as u8 + 1,
            sample_rate: *RATES.get((word >> 34 & 15) as usize)?,
            layout: (word >> 30 & 7) as u8,
            length,
            blocks: (word & 3) + 1,
            checked,
        };
        (length > header.header_length()).then_some(header)
    }

    /// Bytes of the header, with its check.
    pub(crate) fn header_length(&self) -> u64 {
        if self.checked { 9 } else { 7 }
    }

    /// Both are of one stream.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        self.raw[1] == other.raw[1]
            && self.raw[2] & 0xfd == other.raw[2] & 0xfd
            && self.layout == other.layout
    }
}

/// How far junk before the first frame is passed over.
const JUNK: u64 = 64 * 1024;

/// Calls `visit` with the place and the header of each whole ADTS frame. What is no frame is passed over.
///
/// # Errors
/// Where reading fails.
pub(crate) fn walk_adts(
    window: &mut Window<'_>,
    visit: &mut dyn FnMut(u64, &AdtsHeader),
) -> io::Result<()> {
    let start = id3::leading_end(window)?;
    let end = id3::trailing_start(window)?;
    let mut at = start;
    let mut first: Option<AdtsHeader> = None;
    let mut lost = true;
    while at < end {
        let continues = |found: &AdtsHeader, of: &Option<AdtsHeader>| {
            of.as_ref().is_none_or(|first| found.continues(first))
        };
        let found = window
            .array(at)?
            .and_then(AdtsHeader::parse)
            .filter(|found| at + found.length <= end && continues(found, &first));
        // After a gap a header is believed only with another one behind it, or where the stream ends with it.
        let found = match found {
            Some(found) if lost && at + found.length < end => {
                let next = window.array(at + found.length)?.and_then(AdtsHeader::parse);
                next.filter(|next| next.continues(&found)).map(|_| found)
            }
            other => other,
        };
        if let Some(header) = found {
            visit(at, &header);
            first.get_or_insert(header);
            lost = false;
            at += header.length;
            continue;
        }
        if first.is_none() && at - start > JUNK {
            break;
        }
        lost = true;
        let ahead = window.at(at + 1, 4096)?;
        let skip = ahead.iter().position(|byte| *byte == 0xff);
        at += 1 + skip.unwrap_or(ahead.len()) as u64;
    }
    Ok(())
}

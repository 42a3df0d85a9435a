//! MPEG audio (layers I to III, MPEG 1, 2 and 2.5): frame headers, the information frame, where the frames lie.
//!
//! ISO/IEC 11172-3 and 13818-3. The information frame is the silent first frame with a `Xing`, `Info` or `VBRI`
//! tag, where encoders leave the number of frames, and LAME and FFmpeg the samples to drop at both ends.

use std::io;

use super::id3;
use super::window::Window;

/// How far junk before the first frame is passed over.
const JUNK: u64 = 1024 * 1024;

/// How many frames in a row prove a stream that does not begin at once.
const PROOF: usize = 4;

/// Samples by which every decoder is late.
pub(crate) const DECODER_DELAY: u64 = 529;

/// A frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHeader {
    /// As it is in the file.
    pub(crate) raw: [u8; 4],
    /// 1, 2 or 3.
    pub(crate) layer: u8,
    /// MPEG 2 or 2.5: half the frames per second of MPEG 1 at most.
    pub(crate) low_rate: bool,
    /// Bits a second.
    pub(crate) bitrate: u32,
    /// Sample frames a second.
    pub(crate) sample_rate: u32,
    /// 1 or 2.
    pub(crate) channels: u16,
}

const BITRATES: [[u16; 14]; 5] = [
    [
        32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ],
    [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

impl FrameHeader {
    /// The header in four bytes; `None` where they are none, or of a free format (whose length no header tells).
    pub(crate) fn parse(raw: [u8; 4]) -> Option<Self> {
        let [sync, kind, rates, mode] = raw;
        let version = kind >> 3 & 3;
        let layer = 4 - (kind >> 1 & 3);
        if sync != 0xff || kind & 0xe0 != 0xe0 || version == 1 || layer == 4 || mode & 3 == 2 {
            return None;
        }
        let low_rate = version != 3;
        let table = match (low_rate, layer) {
            (false, layer) => usize::from(layer) - 1,
            (true, 1) => 3,
            (true, _) => 4,
        };
        let bitrate = *BITRATES[table].get(usize::from(rates >> 4).checked_sub(1)?)?;
        let halvings = match version {
            3 => 0,
            2 => 1,
            _ => 2,
        };
        let sample_rate = *[44_100_u32, 48_000, 32_000].get(usize::from(rates >> 2 & 3))?;
        Some(Self {
            raw,
            layer,
            low_rate,
            bitrate: u32::from(bitrate) * 1000,
            sample_rate: sample_rate >> halvings,
            channels: if mode >> 6 == 3 { 1 } else { 2 },
        })
    }

    /// Bytes of the frame with its header. Never less than 24.
    pub(crate) fn length(&self) -> u64 {
        let padding = u32::from(self.raw[2] >> 1 & 1);
        u64::from(match (self.layer, self.low_rate) {
            (1, _) => (12 * self.bitrate / self.sample_rate + padding) * 4,
            (3, true) => 72 * self.bitrate / self.sample_rate + padding,
            _ => 144 * self.bitrate / self.sample_rate + padding,
        })
    }

    /// Bytes that a frame of this bit rate has on average.
    pub(crate) fn exact_length(&self) -> f64 {
        self.samples() as f64 * f64::from(self.bitrate) / 8.0 / f64::from(self.sample_rate)
    }

    /// Sample frames that it codes.
    pub(crate) fn samples(&self) -> u64 {
        match (self.layer, self.low_rate) {
            (1, _) => 384,
            (3, true) => 576,
            _ => 1152,
        }
    }

    /// Bytes of layer III's side information.
    pub(crate) fn side_info(&self) -> usize {
        match (self.low_rate, self.channels) {
            (false, 1) | (true, 2) => 17,
            (false, _) => 32,
            (true, _) => 9,
        }
    }

    /// There are two bytes of check behind the header.
    pub(crate) fn has_check(&self) -> bool {
        self.raw[1] & 1 == 0
    }

    /// Both are of one stream: version, layer and sample rate are the same.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        self.raw[1] & 0xfe == other.raw[1] & 0xfe && self.sample_rate == other.sample_rate
    }
}

/// What an information frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct InfoFrame {
    /// Frames after this one.
    pub(crate) frames: Option<u32>,
    /// Bytes of the stream with this frame.
    pub(crate) bytes: Option<u32>,
    /// Samples that the encoder put before the sound, and behind it; only of encoders that are known to tell.
    pub(crate) padding: Option<(u16, u16)>,
}

impl InfoFrame {
    /// Reads a whole frame.
    pub(crate) fn parse(header: &FrameHeader, frame: &[u8]) -> Option<Self> {
        if header.layer != 3 {
            return None;
        }
        let tag = frame.get(4 + header.side_info()..)?;
        match tag.get(..4)? {
            b"Xing" | b"Info" => Self::parse_xing(tag),
            _ => {
                let tag = frame.get(36..)?.strip_prefix(b"VBRI")?;
                Some(Self {
                    frames: word(tag, 10).filter(|n| *n > 0),
                    bytes: word(tag, 6).filter(|n| *n > 0),
                    padding: None,
                })
            }
        }
    }

    fn parse_xing(tag: &[u8]) -> Option<Self> {
        let flags = word(tag, 4)?;
        let mut at = 8;
        let mut field = |bit: u32, length: usize| {
            let here = at;
            (flags & bit != 0).then(|| {
                at += length;
                here
            })
        };
        let frames = field(1, 4).and_then(|at| word(tag, at));
        let bytes = field(2, 4).and_then(|at| word(tag, at));
        field(4, 100);
        field(8, 4);
        let encoder = tag.get(at..at + 4).unwrap_or_default();
        let told = matches!(encoder, b"LAME" | b"Lavf" | b"Lavc");
        let padding = tag.get(at + 21..at + 24).filter(|_| told).map(|field| {
            let before = u16::from(field[0]) << 4 | u16::from(field[1] >> 4);
            let behind = u16::from(field[1] & 15) << 8 | u16::from(field[2]);
            (before, behind)
        });
        Some(Self {
            frames: frames.filter(|n| *n > 0),
            bytes: bytes.filter(|n| *n > 0),
            padding,
        })
    }
}

/// A stream of frames in a file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct MpegStream {
    /// Where the first frame starts.
    pub(crate) start: u64,
    /// Where the tags behind the frames start, or the file ends.
    pub(crate) end: u64,
    /// Of the first frame.
    pub(crate) header: FrameHeader,
    /// The first frame, where it holds information and no sound.
    pub(crate) info: Option<InfoFrame>,
}

impl MpegStream {
    /// Finds the stream behind tags and junk.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn find(window: &mut Window<'_>) -> io::Result<Option<Self>> {
        let tags_end = id3::leading_end(window)?;
        let end = id3::trailing_start(window)?.max(tags_end);
        Self::find_between(window, tags_end, end)
    }

    /// Finds the stream between two places, where there are no tags.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn find_between(
        window: &mut Window<'_>,
        tags_end: u64,
        end: u64,
    ) -> io::Result<Option<Self>> {
        let mut at = tags_end;
        while at < end && at - tags_end < JUNK {
            let ahead = window.at(at, 4096)?;
            // Only sync bytes are worth a look.
            let Some(skip) = ahead.iter().position(|byte| *byte == 0xff) else {
                at += ahead.len().max(1) as u64;
                continue;
            };
            at += skip as u64;
            // A lone frame will do where a tag announces it; else a row of them, or all that there is.
            let needed = if at == tags_end && tags_end > 0 {
                1
            } else {
                PROOF
            };
            if let Some(header) = header_at(window, at)?
                && row(window, at, end, &header, needed, at == tags_end)?
            {
                let length = usize::try_from(header.length()).unwrap_or(0);
                let info = InfoFrame::parse(&header, window.at(at, length)?);
                return Ok(Some(Self {
                    start: at,
                    end,
                    header,
                    info,
                }));
            }
            at += 1;
        }
        Ok(None)
    }

    /// Where the first frame with sound starts.
    pub(crate) fn sound_start(&self) -> u64 {
        match self.info {
            Some(_) => (self.start + self.header.length()).min(self.end),
            None => self.start,
        }
    }

    /// Calls `visit` with the place and the header of each whole frame with sound. What is no frame is passed over.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn walk(
        &self,
        window: &mut Window<'_>,
        visit: &mut dyn FnMut(u64, &FrameHeader),
    ) -> io::Result<()> {
        let mut at = self.sound_start();
        let mut lost = false;
        while at + 4 <= self.end {
            let found = header_at(window, at)?.filter(|header| header.continues(&self.header));
            // After a gap a header is believed only with a second one behind it.
            let found = match found {
                Some(header) if lost => {
                    row(window, at, self.end, &header, 2, false)?.then_some(header)
                }
                other => other,
            };
            match found {
                Some(header) if at + header.length() <= self.end => {
                    visit(at, &header);
                    lost = false;
                    at += header.length();
                }
                _ => {
                    lost = true;
                    let ahead = window.at(at + 1, 4096)?;
                    let skip = ahead.iter().position(|byte| *byte == 0xff);
                    at += 1 + skip.unwrap_or(ahead.len()) as u64;
                }
            }
        }
        Ok(())
    }
}

fn header_at(window: &mut Window<'_>, at: u64) -> io::Result<Option<FrameHeader>> {
    Ok(window.array::<4>(at)?.and_then(FrameHeader::parse))
}

/// True if `needed` frames of one stream follow each other from `at`, or fewer that end where the stream does. Where
/// `cut`, the last of several may be cut off by the end.
fn row(
    window: &mut Window<'_>,
    at: u64,
    end: u64,
    first: &FrameHeader,
    needed: usize,
    cut: bool,
) -> io::Result<bool> {
    let mut at = at;
    for found in 0..needed {
        if at == end || cut && found > 0 && end - at < 4 {
            return Ok(true);
        }
        match header_at(window, at)? {
            Some(header) if header.continues(first) => at += header.length(),
            _ => return Ok(false),
        }
        if at > end {
            return Ok(needed == 1 || cut && found > 0);
        }
    }
    Ok(true)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

//! The elements of Matroska and WebM (RFC 9559), and how its tracks describe themselves.

use std::io;

use super::isobmff::number;
use super::window::Window;

/// Elements read in all; a cluster that is passed over is one.
const MOST_ELEMENTS: usize = 1 << 20;

/// Of a codec's own header so much is read.
const LONGEST_HEADER: usize = 256 * 1024;

pub(crate) const SEGMENT: u32 = 0x1853_8067;
pub(crate) const INFO: u32 = 0x1549_a966;
pub(crate) const TIME_SCALE: u32 = 0x2a_d7b1;
pub(crate) const DURATION: u32 = 0x4489;
pub(crate) const TITLE: u32 = 0x7ba9;
pub(crate) const TRACKS: u32 = 0x1654_ae6b;
pub(crate) const TRACK: u32 = 0xae;
pub(crate) const TRACK_TYPE: u32 = 0x83;
pub(crate) const CODEC: u32 = 0x86;
pub(crate) const CODEC_PRIVATE: u32 = 0x63a2;
pub(crate) const AUDIO: u32 = 0xe1;
pub(crate) const RATE: u32 = 0xb5;
pub(crate) const OUTPUT_RATE: u32 = 0x78b5;
pub(crate) const CHANNELS: u32 = 0x9f;
pub(crate) const BITS: u32 = 0x6264;
pub(crate) const CLUSTER: u32 = 0x1f43_b675;
pub(crate) const SEEK_HEAD: u32 = 0x114d_9b74;
pub(crate) const CUES: u32 = 0x1c53_bb6b;
pub(crate) const TAGS: u32 = 0x1254_c367;
pub(crate) const CHAPTERS: u32 = 0x1043_a770;
pub(crate) const BLOCK_GROUP: u32 = 0xa0;
pub(crate) const BLOCK: u32 = 0xa1;
pub(crate) const SIMPLE_BLOCK: u32 = 0xa3;
const TRACK_NUMBER: u32 = 0xd7;
const ENCODINGS: u32 = 0x6d80;

/// A block's frames that lie one behind the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    /// The number of its track.
    pub(crate) track: u64,
    /// Where its first frame starts.
    pub(crate) at: u64,
    /// Bytes of each frame.
    pub(crate) lengths: Vec<u64>,
}

impl Block {
    /// Reads the head of a block; `None` where it makes no sense.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn read(window: &mut Window<'_>, element: &Element) -> io::Result<Option<Self>> {
        // A track's number, a time, flags, and the lengths of up to 256 frames.
        let most = (element.end - element.body).min(12 + 256 * 8);
        let head = window.at(element.body, most as usize)?;
        Ok(Self::parse(head, element))
    }

    fn parse(head: &[u8], element: &Element) -> Option<Self> {
        let (track, width) = vint(head, 0)?;
        let flags = *head.get(width + 2)?;
        let mut at = width + 3;
        let size = element.end - element.body;
        let lacing = flags >> 1 & 3;
        if lacing == 0 {
            return Some(Self {
                track,
                at: element.body + at as u64,
                lengths: vec![size.checked_sub(at as u64)?],
            });
        }
        let count = usize::from(*head.get(at)?) + 1;
        at += 1;
        let mut lengths: Vec<u64> = Vec::with_capacity(count);
        for index in 1..count {
            lengths.push(match (lacing, lengths.last()) {
                (1, _) => {
                    let mut length = 0;
                    loop {
                        let byte = *head.get(at)?;
                        at += 1;
                        length += u64::from(byte);
                        if byte < 255 {
                            break length;
                        }
                    }
                }
                (3, last) => {
                    let (value, width) = vint(head, at)?;
                    at += width;
                    match last.filter(|_| index > 1) {
                        // Less the middle of the range: a difference.
                        Some(last) => {
                            let middle = (1_i64 << (7 * width - 1)) - 1;
                            last.checked_add_signed(i64::try_from(value).ok()? - middle)?
                        }
                        None => value,
                    }
                }
                _ => size.checked_sub(at as u64)? / count as u64,
            });
        }
        let told = lengths
            .iter()
            .try_fold(0_u64, |sum, length| sum.checked_add(*length))?;
        lengths.push(size.checked_sub(at as u64)?.checked_sub(told)?);
        Some(Self {
            track,
            at: element.body + at as u64,
            lengths,
        })
    }
}

/// A number that tells its own width, and the width.
fn vint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    let width = first.leading_zeros() as usize + 1;
    if width > 8 {
        return None;
    }
    let mask = u64::MAX >> (64 - 7 * width);
    Some((number(bytes, at, width)? & mask, width))
}

/// An element: its number, where it starts, where its content starts and ends.
#[derive(Clone, Copy)]
pub(crate) struct Element {
    pub(crate) id: u32,
    pub(crate) start: u64,
    pub(crate) body: u64,
    pub(crate) end: u64,
}

impl Element {
    /// The element at `at` inside something that ends at `end`. One of unknown length goes on to that end.
    pub(crate) fn read(window: &mut Window<'_>, at: u64, end: u64) -> io::Result<Option<Self>> {
        let head = window.at(at, 12)?;
        let parse = || {
            let first = *head.first()?;
            let id_length = first.leading_zeros() as usize + 1;
            if id_length > 4 {
                return None;
            }
            let id = number(head, 0, id_length)? as u32;
            let (length, width) = vint(head, id_length)?;
            let body = at + (id_length + width) as u64;
            let stop = if length == u64::MAX >> (64 - 7 * width) {
                end
            } else {
                body.saturating_add(length).min(end)
            };
            (body <= end).then_some(Self {
                id,
                start: at,
                body,
                end: stop,
            })
        };
        Ok(parse())
    }

    /// The elements inside. Ends before the second cluster: what matters stands in front.
    pub(crate) fn children(&self, window: &mut Window<'_>) -> io::Result<Vec<Self>> {
        let mut children = Vec::new();
        let mut at = self.body;
        while at < self.end && children.len() < MOST_ELEMENTS {
            let Some(child) = Self::read(window, at, self.end)? else {
                break;
            };
            at = child.end;
            children.push(child);
            if child.id == CLUSTER {
                break;
            }
        }
        Ok(children)
    }

    pub(crate) fn unsigned(&self, window: &mut Window<'_>) -> io::Result<u64> {
        let length = (self.end - self.body).min(8) as usize;
        Ok(number(window.at(self.body, length)?, 0, length).unwrap_or(0))
    }

    pub(crate) fn float(&self, window: &mut Window<'_>) -> io::Result<f64> {
        let value = self.unsigned(window)?;
        Ok(match self.end - self.body {
            4 => f64::from(f32::from_bits(value as u32)),
            8 => f64::from_bits(value),
            _ => 0.0,
        })
    }

    pub(crate) fn bytes(&self, window: &mut Window<'_>) -> io::Result<Vec<u8>> {
        let length = (self.end - self.body).min(LONGEST_HEADER as u64) as usize;
        Ok(window.at(self.body, length)?.to_vec())
    }
}

/// A track as it describes itself.
#[derive(Default)]
pub(crate) struct Track {
    pub(crate) number: u64,
    pub(crate) kind: u64,
    /// Its packets are compressed once more, or parts of them are kept elsewhere.
    pub(crate) encoded: bool,
    pub(crate) codec: String,
    pub(crate) private: Vec<u8>,
    pub(crate) rate: f64,
    pub(crate) output_rate: f64,
    pub(crate) channels: u64,
    pub(crate) bits: u64,
}

impl Track {
    pub(crate) fn read(window: &mut Window<'_>, at: &Element) -> io::Result<Self> {
        let mut track = Self {
            rate: 8000.0,
            channels: 1,
            ..Self::default()
        };
        for child in at.children(window)? {
            match child.id {
                TRACK_NUMBER => track.number = child.unsigned(window)?,
                ENCODINGS => track.encoded = true,
                TRACK_TYPE => track.kind = child.unsigned(window)?,
                CODEC => {
                    let name = child.bytes(window)?;
                    let name = String::from_utf8_lossy(&name);
                    track.codec = name.trim_end_matches('\0').to_owned();
                }
                CODEC_PRIVATE => track.private = child.bytes(window)?,
                AUDIO => {
                    for child in child.children(window)? {
                        match child.id {
                            RATE => track.rate = child.float(window)?,
                            OUTPUT_RATE => track.output_rate = child.float(window)?,
                            CHANNELS => track.channels = child.unsigned(window)?,
                            BITS => track.bits = child.unsigned(window)?,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(track)
    }
}

//! Facts of Matroska and WebM (RFC 9559): sound and moving pictures.
//!
//! `duration_seconds` is the segment's, rounded to milliseconds as most writers do; ffprobe tells it of the file and
//! none of the stream. `frames` is known for FLAC alone, whose own header tells it: a file's blocks are not counted.

use std::io;

use super::tags::Tags;
use super::{Probe, ProbeError, Source};
use crate::container::aac::AacConfig;
use crate::container::isobmff::number;
use crate::container::window::Window;
use crate::model::{Codec, Container, Format, Kind};

/// Elements read in all; a cluster that is passed over is one.
const MOST_ELEMENTS: usize = 1 << 20;

/// Of a codec's own header so much is read.
const LONGEST_HEADER: usize = 4096;

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIME_SCALE: u32 = 0x2a_d7b1;
const DURATION: u32 = 0x4489;
const TITLE: u32 = 0x7ba9;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK: u32 = 0xae;
const TRACK_TYPE: u32 = 0x83;
const CODEC: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const AUDIO: u32 = 0xe1;
const RATE: u32 = 0xb5;
const OUTPUT_RATE: u32 = 0x78b5;
const CHANNELS: u32 = 0x9f;
const BITS: u32 = 0x6264;
const CLUSTER: u32 = 0x1f43_b675;

/// An element: its number, where its content starts and ends.
#[derive(Clone, Copy)]
struct Element {
    id: u32,
    body: u64,
    end: u64,
}

impl Element {
    /// The element at `at` inside something that ends at `end`. One of unknown length goes on to that end.
    fn read(window: &mut Window<'_>, at: u64, end: u64) -> io::Result<Option<Self>> {
        let head = window.at(at, 12)?;
        let parse = || {
            let first = *head.first()?;
            let id_length = first.leading_zeros() as usize + 1;
            if id_length > 4 {
                return None;
            }
            let id = number(head, 0, id_length)? as u32;
            let first = *head.get(id_length)?;
            let width = first.leading_zeros() as usize + 1;
            if width > 8 {
                return None;
            }
            let mask = u64::MAX >> (64 - 7 * width);
            let length = number(head, id_length, width)? & mask;
            let body = at + (id_length + width) as u64;
            let stop = if length == mask {
                end
            } else {
                body.saturating_add(length).min(end)
            };
            (body <= end).then_some(Self {
                id,
                body,
                end: stop,
            })
        };
        Ok(parse())
    }

    /// The elements inside. Ends before the second cluster: what matters stands in front.
    fn children(&self, window: &mut Window<'_>) -> io::Result<Vec<Self>> {
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

    fn unsigned(&self, window: &mut Window<'_>) -> io::Result<u64> {
        let length = (self.end - self.body).min(8) as usize;
        Ok(number(window.at(self.body, length)?, 0, length).unwrap_or(0))
    }

    fn float(&self, window: &mut Window<'_>) -> io::Result<f64> {
        let value = self.unsigned(window)?;
        Ok(match self.end - self.body {
            4 => f64::from(f32::from_bits(value as u32)),
            8 => f64::from_bits(value),
            _ => 0.0,
        })
    }

    fn bytes(&self, window: &mut Window<'_>) -> io::Result<Vec<u8>> {
        let length = (self.end - self.body).min(LONGEST_HEADER as u64) as usize;
        Ok(window.at(self.body, length)?.to_vec())
    }
}

/// A track as it describes itself.
#[derive(Default)]
struct Track {
    kind: u64,
    codec: String,
    private: Vec<u8>,
    rate: f64,
    output_rate: f64,
    channels: u64,
    bits: u64,
}

impl Track {
    fn read(window: &mut Window<'_>, at: &Element) -> io::Result<Self> {
        let mut track = Self {
            rate: 8000.0,
            channels: 1,
            ..Self::default()
        };
        for child in at.children(window)? {
            match child.id {
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

    fn describe(&self, format: &mut Format) {
        let bits = u16::try_from(self.bits).ok().filter(|bits| *bits > 0);
        let (codec, bits) = match self.codec.as_str() {
            "A_PCM/INT/LIT" if self.bits == 8 => ("pcm_u8".to_owned(), bits),
            "A_PCM/INT/LIT" => (format!("pcm_s{}le", self.bits), bits),
            "A_PCM/INT/BIG" => (format!("pcm_s{}be", self.bits), bits),
            "A_PCM/FLOAT/IEEE" => (format!("pcm_f{}le", self.bits), bits),
            "A_MPEG/L3" => ("mp3".to_owned(), None),
            "A_MPEG/L2" => ("mp2".to_owned(), None),
            "A_MPEG/L1" => ("mp1".to_owned(), None),
            "A_VORBIS" => ("vorbis".to_owned(), None),
            "A_OPUS" => ("opus".to_owned(), None),
            "A_FLAC" => ("flac".to_owned(), bits),
            "A_ALAC" => ("alac".to_owned(), bits),
            "A_AC3" => ("ac3".to_owned(), None),
            "A_EAC3" => ("eac3".to_owned(), None),
            "A_DTS" => ("dts".to_owned(), None),
            "A_TRUEHD" => ("truehd".to_owned(), None),
            name if name.starts_with("A_AAC") => ("aac".to_owned(), None),
            _ => (String::new(), None),
        };
        format.float = codec.starts_with("pcm_f");
        format.codec = Some(codec).filter(|name| !name.is_empty()).map(Codec);
        format.bit_depth = bits;
        let rate = if self.output_rate > 0.0 {
            self.output_rate
        } else {
            self.rate
        };
        format.sample_rate = Some(rate as u32).filter(|rate| *rate > 0);
        format.channels = u16::try_from(self.channels).ok().filter(|n| *n > 0);
        match format.codec.as_ref().map(|codec| codec.0.as_str()) {
            Some("opus") => format.sample_rate = Some(48_000),
            Some("aac") => {
                if let Some(config) = AacConfig::parse(&self.private) {
                    format.sample_rate = Some(config.sample_rate);
                    if config.channels > 0 {
                        format.channels = Some(config.channels);
                    }
                }
            }
            Some("flac") => {
                // Its mark, a block's header, STREAMINFO.
                if let Some(word) = number(&self.private, 18, 8) {
                    format.bit_depth = Some((word >> 36 & 31) as u16 + 1);
                    format.frames = Some(word & 0xf_ffff_ffff).filter(|frames| *frames > 0);
                }
            }
            _ => {}
        }
    }
}

/// Reads the facts of a file of `size` bytes that looks like this container.
pub(super) fn probe(source: &mut dyn Source, size: u64) -> Result<Probe, ProbeError> {
    let mut window = Window::new(source)?;
    let damaged = |reason: &str| ProbeError::Damaged {
        container: "Matroska",
        reason: reason.to_owned(),
    };
    let Some(header) = Element::read(&mut window, 0, size)? else {
        return Err(damaged("its header is cut"));
    };
    let segment = Element::read(&mut window, header.end, size)?
        .filter(|segment| segment.id == SEGMENT)
        .ok_or_else(|| damaged("no segment follows its header"))?;
    let mut format = Format {
        container: Container::Matroska,
        codec: None,
        sample_rate: None,
        channels: None,
        bit_depth: None,
        float: false,
        frames: None,
        duration_seconds: None,
    };
    let mut tags = Tags::default();
    let mut tracks = Vec::new();
    for part in segment.children(&mut window)? {
        match part.id {
            INFO => {
                let mut scale = 1_000_000;
                let mut duration = 0.0;
                for child in part.children(&mut window)? {
                    match child.id {
                        TIME_SCALE => scale = child.unsigned(&mut window)?,
                        DURATION => duration = child.float(&mut window)?,
                        TITLE => {
                            let title = child.bytes(&mut window)?;
                            tags.text("title", &String::from_utf8_lossy(&title));
                        }
                        _ => {}
                    }
                }
                let seconds = duration * scale as f64 / 1e9;
                format.duration_seconds =
                    Some(seconds).filter(|seconds| seconds.is_finite() && *seconds > 0.0);
            }
            TRACKS => {
                for child in part.children(&mut window)? {
                    if child.id == TRACK {
                        tracks.push(Track::read(&mut window, &child)?);
                    }
                }
            }
            _ => {}
        }
    }
    let video = tracks.iter().any(|track| track.kind == 1);
    let sound = tracks.iter().find(|track| track.kind == 2);
    match sound {
        Some(track) => track.describe(&mut format),
        None if video => {}
        None => return Err(damaged("it has neither sound nor moving pictures")),
    }
    Ok(Probe {
        kind: if video { Kind::Video } else { Kind::Audio },
        format,
        capsule: None,
        attributes: tags.into_attributes(),
        notes: Vec::new(),
    })
}

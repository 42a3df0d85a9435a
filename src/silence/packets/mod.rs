//! Silent packets: what each coding needs so that a packet of any length decodes to silence, wherever it lies.
//!
//! Containers that keep packets (MP4, CAF, Matroska, AVI) give the place, the length and, where [`Coding::start`]
//! asks for it, the first bytes of each packet; what comes out are segments of a capsule.
//!
//! | coding | silence |
//! | --- | --- |
//! | PCM, ADPCM | a byte over and over |
//! | AAC | [`aac`]: elements without bands, then fill elements |
//! | ALAC | [`alac`]: a residual that is one run of zeros |
//! | Opus | [`opus`]: CELT's silence flag, padding |
//! | Vorbis | the bits for sort, mode and windows; then zeros: no floor |
//! | FLAC | [`flac`]: zeros, stuffed to the byte |
//! | MPEG audio | the header; then zeros: no sample is told |
//! | AC-3 | [`ac3`]: no bits for any coefficient |
//! | Speex | zeros: no sample is told |
//! | all others | zeros, which decoders refuse or leave out: what is closest |

use std::collections::HashMap;
use std::io;

use super::copy::copy_verbatim;
use super::{CapsuleBuilder, Generator};
use crate::container::aac::AacConfig;
use crate::container::mpeg::FrameHeader;
use crate::container::ogg::{OpusHead, VorbisModes, opus_samples};
use crate::container::window::Window;

pub(super) mod aac;
mod ac3;
pub(super) mod alac;
mod bits;
pub(super) mod flac;
pub(super) mod opus;
mod slots;

pub(super) use slots::{AacSlots, FlacSlots, HeadSlots};

/// Packets in one segment of a capsule: a read looks at so many at most.
const PACKETS_IN_SEGMENT: usize = 256;

/// Bytes at the start of a packet that are not zero, at most.
const LONGEST_HEAD: usize = 255;

/// Of the first moving picture so many bytes are kept, or a hundredth of the file, but not more than the second.
const KEPT_OF_PICTURE: [u64; 2] = [64 * 1024, 1024 * 1024];

/// How the packets of a sound are silenced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    /// One byte over and over; zeros for what has no silence.
    Fill(u8),
    /// A block over and over.
    Block(&'static [u8]),
    /// AAC of this layout.
    Aac(u8),
    /// ALAC, by its configuration.
    Alac(alac::Config),
    /// Opus.
    Opus(OpusHead),
    /// Vorbis.
    Vorbis(VorbisModes),
    /// FLAC.
    Flac(flac::Stream),
    /// MPEG audio, a frame or several in a packet.
    Mpeg,
    /// AC-3, a frame in a packet.
    Ac3,
}

impl Coding {
    /// AAC with this configuration; `None` for object types that have no silence here, and for layouts that the
    /// stream tells itself.
    pub(super) fn aac(config: &AacConfig) -> Option<Self> {
        let known =
            matches!(config.object, 1 | 2 | 4) && !(config.parametric && config.layout != 1);
        (known && (1..=7).contains(&config.layout)).then_some(Self::Aac(config.layout))
    }

    /// Silence in which all packets are alike.
    pub(super) fn constant(&self) -> Option<Generator<'static>> {
        match self {
            Self::Fill(byte) => Some(Generator::Fill(*byte)),
            Self::Block(block) => Some(Generator::Pattern(block)),
            _ => None,
        }
    }

    /// How many bytes of each packet's start must be known. Of ALAC only of those that may have fewer frames than
    /// the others.
    pub(super) fn start(&self) -> usize {
        match self {
            Self::Fill(_) | Self::Block(_) | Self::Aac(_) | Self::Alac(_) => 0,
            Self::Opus(_) => 2,
            Self::Vorbis(_) => 3,
            Self::Mpeg => 4,
            Self::Ac3 => ac3::START,
            Self::Flac(_) => flac::LONGEST_HEADER + 1,
        }
    }

    /// The bytes that a silent packet of `length` bytes starts with; all behind them is zeros, or follows from them. `None` where there
    /// is none, or where silence is not of this form.
    pub(super) fn head(&self, start: &[u8], length: u64) -> Option<Vec<u8>> {
        let head = match self {
            Self::Fill(_) | Self::Block(_) | Self::Aac(_) | Self::Flac(_) => return None,
            Self::Alac(config) => config.silent(config.frames_of(start)),
            // What is not a packet is left out by decoders, and one of zeros as well.
            Self::Opus(head) => match opus_samples(start) {
                Some(samples) => opus::silent(head, samples, usize::try_from(length).ok()?)?,
                None => Vec::new(),
            },
            Self::Vorbis(modes) => {
                let bits = start.first().map_or(0, |first| modes.prefix_bits(*first));
                let mask = ((1_u32 << bits) - 1).to_le_bytes();
                let kept = start.iter().zip(mask).map(|(byte, mask)| byte & mask);
                kept.take(bits.div_ceil(8) as usize).collect()
            }
            Self::Ac3 => ac3::head(start, length)?,
            Self::Mpeg => {
                let mut header = FrameHeader::parse(*start.first_chunk()?)?;
                // The check of layers I and II covers what is zero now: they are said to have none.
                header.raw[1] |= u8::from(header.layer != 3);
                let (head, count) = super::mp3::silent_head(&header);
                (header.length() == length).then(|| head[..count].to_vec())?
            }
        };
        (head.len() as u64 <= length && head.len() <= LONGEST_HEAD).then_some(head)
    }
}

/// Packets of one coding on their way into a capsule. Those that lie one behind the other make a segment.
pub(super) struct Packets {
    coding: Coding,
    start: u64,
    end: u64,
    lengths: Vec<u16>,
    numbers: Vec<u8>,
    heads: Vec<u8>,
    known: HashMap<Vec<u8>, u8>,
    /// Frames of FLAC.
    frames: Vec<u8>,
    frame_count: usize,
    /// Bytes of a frame of MPEG audio that are in the next packet.
    goes_on: u64,
}

impl Packets {
    pub(super) fn new(coding: Coding) -> Self {
        Self {
            coding,
            start: 0,
            end: 0,
            lengths: Vec::new(),
            numbers: Vec::new(),
            heads: vec![0],
            known: HashMap::new(),
            frames: Vec::new(),
            frame_count: 0,
            goes_on: 0,
        }
    }

    pub(super) fn coding(&self) -> &Coding {
        &self.coding
    }

    /// Adds the packet of `length` bytes at `at` of a file. One that may have fewer frames than the others is looked
    /// at for it. False where there is no silence of its length; zeros are in its place then.
    ///
    /// # Errors
    /// Where reading fails.
    pub(super) fn read(
        &mut self,
        window: &mut Window<'_>,
        builder: &mut CapsuleBuilder,
        at: u64,
        length: u64,
        may_be_short: bool,
    ) -> io::Result<bool> {
        let wanted = match &self.coding {
            Coding::Alac(_) if may_be_short => alac::START,
            Coding::Mpeg => return self.read_mpeg(window, builder, at, at + length),
            coding => coding.start(),
        };
        let wanted = wanted.min(usize::try_from(length).unwrap_or(wanted));
        let start = match wanted {
            0 => Vec::new(),
            _ => window.at(at, wanted)?.to_vec(),
        };
        Ok(self.add(builder, at, length, &start))
    }

    /// Adds the frames of MPEG audio between two places; the last one may go on in the next packet.
    fn read_mpeg(
        &mut self,
        window: &mut Window<'_>,
        builder: &mut CapsuleBuilder,
        at: u64,
        end: u64,
    ) -> io::Result<bool> {
        let mut here = at.saturating_add(self.goes_on);
        while here + 4 <= end {
            let start = window.at(here, 4)?.to_vec();
            let header = start.first_chunk().copied().and_then(FrameHeader::parse);
            let Some(header) = header else {
                self.goes_on = 0;
                return Ok(false);
            };
            let next = here + header.length();
            if next <= end {
                self.add(builder, here, header.length(), &start);
            } else if let Some(head) = self.coding.head(&start, header.length()) {
                self.flush(builder);
                let there = head.len().min((end - here) as usize);
                builder.verbatim(here, &head[..there]);
            }
            here = next;
        }
        self.goes_on = here.saturating_sub(end);
        Ok(true)
    }

    /// Adds the packet of `length` bytes at `at` that starts with `start`. False where there is no silence of its
    /// length; zeros are in its place then.
    fn add(&mut self, builder: &mut CapsuleBuilder, at: u64, length: u64, start: &[u8]) -> bool {
        if length == 0 {
            return true;
        }
        if at != self.end || self.is_full() {
            self.flush(builder);
            self.start = at;
            self.end = at;
        }
        if let Some(generator) = self.coding.constant() {
            builder.generated(at, length, &generator);
            self.start = at + length;
            self.end = at + length;
            return true;
        }
        let added = match &self.coding {
            Coding::Aac(layout) => self.push_short(length, aac::shortest(*layout)),
            Coding::Flac(stream) => {
                let stream = *stream;
                self.push_flac(stream, length, start)
            }
            coding => match coding.head(start, length) {
                Some(head) => self.push_head(length, head),
                None => false,
            },
        };
        if added {
            self.end = at + length;
        } else {
            self.flush(builder);
        }
        added
    }

    fn is_full(&self) -> bool {
        self.lengths.len().max(self.frame_count) == PACKETS_IN_SEGMENT
            || self.known.len() == slots::MOST_HEADS
    }

    fn push_short(&mut self, length: u64, least: usize) -> bool {
        match u16::try_from(length) {
            Ok(short) if usize::from(short) >= least => {
                self.lengths.push(short);
                true
            }
            _ => false,
        }
    }

    fn push_head(&mut self, length: u64, head: Vec<u8>) -> bool {
        if !self.push_short(length, head.len()) {
            return false;
        }
        let next = self.known.len() as u8;
        let number = *self.known.entry(head.clone()).or_insert(next);
        if number == next {
            self.heads[0] += 1;
            self.heads.push(head.len() as u8);
            self.heads.extend(head);
        }
        self.numbers.push(number);
        true
    }

    fn push_flac(&mut self, stream: flac::Stream, length: u64, start: &[u8]) -> bool {
        let Some(header) = stream.header(start) else {
            return false;
        };
        let shortest = stream.shortest(&header);
        let length = u32::try_from(length)
            .ok()
            .filter(|length| length >> 24 == 0);
        match (length, shortest) {
            (Some(length), Some(shortest)) if length as usize >= shortest => {
                FlacSlots::record(&mut self.frames, length, &header);
                self.frame_count += 1;
                true
            }
            _ => false,
        }
    }

    /// Writes what was added.
    pub(super) fn flush(&mut self, builder: &mut CapsuleBuilder) {
        let length = self.end - self.start;
        if length > 0 {
            let columns = slots::encode(&self.lengths);
            let generator = match &self.coding {
                Coding::Aac(layout) => Generator::AacSlots(AacSlots::new(*layout, &columns)),
                Coding::Flac(stream) => {
                    Generator::FlacSlots(FlacSlots::new(*stream, 0, &self.frames))
                }
                coding => {
                    let slots = HeadSlots::new(&self.heads, &self.numbers, &columns);
                    match coding {
                        Coding::Ac3 => Generator::Ac3Slots(slots),
                        _ => Generator::HeadSlots(slots),
                    }
                }
            };
            builder.generated(self.start, length, &generator);
        }
        self.start = self.end;
        self.lengths.clear();
        self.numbers.clear();
        self.heads.clear();
        self.heads.push(0);
        self.known.clear();
        self.frames.clear();
        self.frame_count = 0;
    }
}

/// What becomes of the packets of a track of a film.
pub(super) enum Role {
    /// They are silent.
    Sound(Packets),
    /// They are kept.
    Kept,
    /// Of the first one so many bytes are kept; then they are zeros.
    Moving(u64),
    /// They are zeros.
    Zeros,
}

impl Role {
    /// Moving pictures in a file of `size` bytes. What is kept of the first one shows readers what they are.
    pub(super) fn moving(size: u64) -> Self {
        let [least, most] = KEPT_OF_PICTURE;
        Self::Moving((size / 100).clamp(least, most))
    }

    /// Writes the packet of `length` bytes at `at`. False where there is no silence of its length.
    ///
    /// # Errors
    /// Where reading fails.
    pub(super) fn write(
        &mut self,
        window: &mut Window<'_>,
        builder: &mut CapsuleBuilder,
        at: u64,
        length: u64,
        may_be_short: bool,
    ) -> io::Result<bool> {
        let kept = match self {
            Self::Sound(packets) => {
                return packets.read(window, builder, at, length, may_be_short);
            }
            Self::Kept => length,
            Self::Moving(kept) if length > 0 => std::mem::take(kept).min(length),
            Self::Moving(_) | Self::Zeros => 0,
        };
        copy_verbatim(window, builder, (at, at + kept), &[], 0)?;
        Ok(true)
    }

    /// Writes what was held back.
    pub(super) fn flush(&mut self, builder: &mut CapsuleBuilder) {
        if let Self::Sound(packets) = self {
            packets.flush(builder);
        }
    }
}

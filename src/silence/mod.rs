//! Placeholders: silence with the shape of an original, from recorded data alone.
//!
//! A [`Placeholder`] is a pure function of (capsule or facts, offset, length). It never touches the original,
//! has no state and needs O(1) memory, whatever the length of the sound. Capsules come from the catalog; the
//! bytes go to players through the tree.
//!
//! There is one way to the bytes: a [`Capsule`], read by one reader. Where none was recorded, the
//! container's module makes one from the facts (`from_facts`): its own headers and silent payload, brought to
//! the original's size.
//!
//! What there is. *Exact*: the same to every reader, zeros to every decoder. *Closest*: the same to readers, and what
//! the note says to decoders. A capsule is made at the scan, or when the whole file passes (hash, copy, hydration; at
//! the scan, where facts make no silence and the file is small); before that, and over the capsule's limit, facts must
//! do.
//!
//! | container | coding | capsule | made | from facts |
//! | --- | --- | --- | --- | --- |
//! | WAV, AIFF, CAF | PCM, µ-law, IMA and Microsoft ADPCM | exact | scan | yes |
//! | | A-law | closest: its smallest step, as it has no zero | scan | yes |
//! | WAV | G.722, G.726 (from 24 kbit/s on), Windows Media | exact | scan | no |
//! | | MPEG audio | exact | scan, which reads the file | no |
//! | | GSM | closest: a sample or two a frame of one step | scan | no |
//! | | Yamaha and OKI ADPCM | closest: the smallest step | scan | no |
//! | | other known codings (AC-3, DTS, …) | closest: zeros, which decoders refuse | scan | no |
//! | CAF | ALAC, AAC | exact | scan | no |
//! | | Opus (one or two channels), FLAC, MPEG audio | exact | scan, which reads the file | no |
//! | FLAC | | exact, in frames of its own | scan | yes |
//! | MPEG audio | layers I to III | exact | whole file | yes |
//! | ADTS | AAC | exact | whole file | no |
//! | Ogg | Vorbis, Opus | exact | whole file | yes |
//! | | FLAC | exact | whole file | no |
//! | | Speex | closest: silent in 16 bits, some decoders' noise is 100 dB below full scale | whole file | no |
//! | MP4, M4A, MOV, fragmented or not | PCM, AAC, ALAC | exact | scan | AAC, ALAC |
//! | | Opus, FLAC, MP3, AC-3 | exact | whole file | no |
//! | Matroska, WebM | PCM, AAC, ALAC, Vorbis, Opus, FLAC, MPEG audio, AC-3 | exact | whole file | no |
//! | AVI | PCM, ADPCM, AAC, MPEG audio, AC-3 | as in WAV, AAC and AC-3 exact | whole file | no |
//! | MP4, Matroska, AVI | other sound (E-AC-3, DTS, …) | closest: zeros, which decoders refuse | as above | no |
//! | MP4, Matroska, AVI, Ogg | moving pictures | closest: the first picture, then zeros, which decoders refuse | as above | no |
//! | MIDI | | tempo, meter and length | scan | yes |
//!
//! An error: what no reader here knows; AAC whose layout is told in the stream, in CAF; ALAC of more than two channels
//! in CAF; Opus of more than two in CAF; and what has no facts' form, until its whole file has passed.

mod capsule;
mod copy;
mod generator;
mod reader;

pub use capsule::Capsule;
pub(crate) use capsule::{CapsuleBuilder, CapsuleError};
pub(crate) use flac_frames::{crc8 as flac_crc8, crc16 as flac_crc16};
pub(crate) use generator::Generator;

use std::io;

use crate::library::probe::Source;
use crate::model::{Container, Format, ObjectHash};
use reader::CapsuleReader;

/// How much of a file may be read for its capsule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    /// What describes the sound.
    Headers,
    /// All of it.
    All,
}

mod aac;
pub(crate) mod aiff;
mod avi;
pub(crate) mod caf;
pub(crate) mod flac;
mod flac_frames;
mod matroska;
pub(crate) mod midi;
pub(crate) mod mp3;
pub(crate) mod mp4;
pub(crate) mod ogg;
mod packets;
pub(crate) mod wav;

/// Of any file system: 2⁶² bytes. Keeps sums of lengths from a damaged catalog within 64 bits.
const LARGEST_FILE: u64 = 1 << 62;

/// Some 46 years at 192 kHz. Keeps products of lengths from a damaged catalog within 64 bits.
const LONGEST_SOUND: u64 = 1 << 48;

/// Why no placeholder can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no placeholder for this sound: {reason}")]
pub struct NoPlaceholder {
    /// What is missing or not supported.
    pub reason: String,
}

impl NoPlaceholder {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl From<CapsuleError> for NoPlaceholder {
    fn from(error: CapsuleError) -> Self {
        Self::new(error.to_string())
    }
}

/// Silence with an original's shape.
pub trait Placeholder: Send + Sync {
    /// The original's size, in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` with the bytes at `offset`; what lies behind the end is left alone. Returns how many bytes
    /// were filled.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize;
}

/// The hash of all of a silence: what a copy of it has.
#[must_use]
pub fn hash_of(silence: &dyn Placeholder) -> ObjectHash {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        let filled = silence.read_at(at, &mut buffer);
        let Some(bytes) = buffer.get(..filled).filter(|bytes| !bytes.is_empty()) else {
            return ObjectHash(*hasher.finalize().as_bytes());
        };
        hasher.update(bytes);
        at = at.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
    }
}

/// The capsule of a file that its headers alone do not describe (MPEG audio, Ogg, ADTS, Matroska, AVI, some MP4), for
/// who reads all of its bytes anyway. `None` where the container needs none of the kind, or no capsule can be made
/// of this file: the facts alone must do then.
///
/// # Errors
/// Where reading fails.
pub fn whole_file_capsule(format: &Format, source: &mut dyn Source) -> io::Result<Option<Capsule>> {
    let made = match format.container {
        Container::Mp3 => mp3::capsule(source)?,
        Container::Ogg => ogg::capsule(source)?,
        Container::Mp4 => mp4::whole_capsule(source)?,
        Container::Aac => aac::capsule(source)?,
        Container::Matroska => matroska::capsule(source)?,
        Container::Avi => avi::capsule(source)?,
        _ => None,
    };
    Ok(match made {
        Some(Ok(capsule)) => Some(capsule),
        Some(Err(error)) => {
            tracing::debug!(%error, container = ?format.container, "a file gets no capsule");
            None
        }
        None => None,
    })
}

/// Whether the silence of a sound has its samples where the original has them, so that some ranges of a file can be
/// sound and others silence: what was made of the file's own headers or packets, but not FLAC, whose silent frames are
/// others, nor MIDI, which is no sound.
#[must_use]
pub fn shares_layout(format: &Format, capsule: bool) -> bool {
    capsule && !matches!(format.container, Container::Flac | Container::Midi)
}

/// The best placeholder for what is recorded: by the capsule where there is one, else by the facts. A capsule
/// that is damaged, or belongs to a file of another size, counts as none.
///
/// # Errors
/// [`NoPlaceholder`] where the container has no form of silence yet, or a needed fact is not known.
pub fn placeholder(
    format: &Format,
    size: u64,
    capsule: Option<&Capsule>,
) -> Result<Box<dyn Placeholder>, NoPlaceholder> {
    if let Some(capsule) = capsule {
        match CapsuleReader::open(capsule) {
            Ok(reader) if reader.size() == size => return Ok(Box::new(reader)),
            Ok(reader) => tracing::warn!(
                size,
                capsule_size = reader.size(),
                "a capsule belongs to a file of another size; the facts alone are used"
            ),
            Err(error) => tracing::warn!(%error, "a capsule is unusable; the facts alone are used"),
        }
    }
    if size > LARGEST_FILE {
        return Err(NoPlaceholder::new("no file is that large"));
    }
    if format.frames.is_some_and(|frames| frames > LONGEST_SOUND) {
        return Err(NoPlaceholder::new("no sound is that long"));
    }
    // As a manifest may tell. No header that says so can be read.
    if format.sample_rate == Some(0) {
        return Err(NoPlaceholder::new("its sample rate is not known"));
    }
    let made = match format.container {
        Container::Wav => wav::from_facts(format, size),
        Container::Aiff => aiff::from_facts(format, size),
        Container::Caf => caf::from_facts(format, size),
        Container::Flac => flac::from_facts(format, size),
        Container::Midi => midi::from_facts(format, size),
        Container::Mp3 => mp3::from_facts(format, size),
        Container::Ogg => ogg::from_facts(format, size),
        Container::Mp4 => mp4::from_facts(format, size),
        Container::Aac | Container::Matroska | Container::Avi => Err(NoPlaceholder::new(format!(
            "there is no silent form of {:?} yet",
            format.container
        ))),
    }?;
    let reader =
        CapsuleReader::open(&made).map_err(|error| NoPlaceholder::new(error.to_string()))?;
    Ok(Box::new(reader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Codec;

    #[test]
    fn a_sound_without_a_rate_has_no_silence() {
        let containers = [
            (Container::Wav, "pcm_s16le"),
            (Container::Wav, "adpcm_ms"),
            (Container::Aiff, "pcm_s16be"),
            (Container::Caf, "pcm_s16be"),
            (Container::Flac, "flac"),
            (Container::Ogg, "vorbis"),
        ];
        for (container, codec) in containers {
            let of_rate = |rate| Format {
                codec: Some(Codec(codec.to_owned())),
                sample_rate: Some(rate),
                channels: Some(2),
                bit_depth: Some(16),
                frames: Some(1000),
                duration_seconds: Some(1000.0 / 44_100.0),
                ..Format::of(container)
            };
            let silence = |rate| placeholder(&of_rate(rate), 100_000, None).map(|made| made.size());
            assert_eq!(silence(44_100), Ok(100_000), "{codec} in {container:?}");
            assert!(silence(0).is_err(), "{codec} in {container:?}");
        }
    }
}

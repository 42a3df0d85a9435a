//! The format of a sound: what a player must be told the same about an original and its placeholder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The wrapping of the stream. The names are the protocol's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Container {
    /// RIFF/WAVE, RF64 and BW64.
    Wav,
    /// AIFF and AIFC.
    Aiff,
    /// Apple's Core Audio Format.
    Caf,
    /// Native FLAC.
    Flac,
    /// A bare stream of MPEG audio frames, with or without ID3.
    Mp3,
    /// Ogg, whatever it holds.
    Ogg,
    /// MP4, M4A, MOV: the ISO base media format.
    Mp4,
    /// ADTS.
    Aac,
    /// Standard MIDI file.
    Midi,
    /// Matroska and WebM.
    Matroska,
    /// AVI.
    Avi,
}

/// The coding of the samples, by the names that ffprobe prints (`codec_name`): `pcm_s16le`, `flac`, `mp3`,
/// `vorbis`, `opus`, `aac`, `alac`, …
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Codec(pub String);

/// Facts of a stream, as recorded when its bytes were last read. Numbers that are unknown are `null`, never a guess.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Format {
    /// The wrapping.
    pub container: Container,
    /// The coding of the (first) audio stream.
    pub codec: Option<Codec>,
    /// Frames a second.
    pub sample_rate: Option<u32>,
    /// Samples a frame.
    pub channels: Option<u16>,
    /// Bits of a sample as coded; `null` for codings that have none (MP3, Vorbis, AAC).
    pub bit_depth: Option<u16>,
    /// Samples are floating-point numbers.
    pub float: bool,
    /// Sample frames that a decoder delivers, encoder delay and padding taken off.
    pub frames: Option<u64>,
    /// Length in seconds.
    pub duration_seconds: Option<f64>,
}

impl Format {
    /// Of a file of which the wrapping is known, and nothing else.
    #[must_use]
    pub fn of(container: Container) -> Self {
        Self {
            container,
            codec: None,
            sample_rate: None,
            channels: None,
            bit_depth: None,
            float: false,
            frames: None,
            duration_seconds: None,
        }
    }
}

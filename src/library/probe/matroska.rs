//! Facts of Matroska and WebM (RFC 9559): sound and moving pictures.
//!
//! `duration_seconds` is the segment's, rounded to milliseconds as most writers do; ffprobe tells it of the file and
//! none of the stream. `frames` is known for FLAC alone, whose own header tells it: a file's blocks are not counted.

use super::tags::Tags;
use super::{Probe, ProbeError, Source};
use crate::container::aac::AacConfig;
use crate::container::isobmff::number;
use crate::container::matroska::{
    DURATION, Element, INFO, SEGMENT, TIME_SCALE, TITLE, TRACK, TRACKS, Track,
};
use crate::container::window::Window;
use crate::model::{Codec, Container, Format, Kind};

/// What a track of sound says of itself.
fn describe(track: &Track, format: &mut Format) {
    let bits = u16::try_from(track.bits).ok().filter(|bits| *bits > 0);
    let (codec, bits) = match track.codec.as_str() {
        "A_PCM/INT/LIT" if track.bits == 8 => ("pcm_u8".to_owned(), bits),
        "A_PCM/INT/LIT" => (format!("pcm_s{}le", track.bits), bits),
        "A_PCM/INT/BIG" => (format!("pcm_s{}be", track.bits), bits),
        "A_PCM/FLOAT/IEEE" => (format!("pcm_f{}le", track.bits), bits),
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
    let rate = if track.output_rate > 0.0 {
        track.output_rate
    } else {
        track.rate
    };
    format.sample_rate = Some(rate as u32).filter(|rate| *rate > 0);
    format.channels = u16::try_from(track.channels).ok().filter(|n| *n > 0);
    match format.codec.as_ref().map(|codec| codec.0.as_str()) {
        Some("opus") => format.sample_rate = Some(48_000),
        Some("aac") => {
            if let Some(config) = AacConfig::parse(&track.private) {
                format.sample_rate = Some(config.sample_rate);
                if config.channels > 0 {
                    format.channels = Some(config.channels);
                }
            }
        }
        Some("flac") => {
            // Its mark, a block's header, STREAMINFO.
            if let Some(word) = number(&track.private, 18, 8) {
                format.bit_depth = Some((word >> 36 & 31) as u16 + 1);
                format.frames = Some(word & 0xf_ffff_ffff).filter(|frames| *frames > 0);
            }
        }
        _ => {}
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
    let mut format = Format::of(Container::Matroska);
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
        Some(track) => describe(track, &mut format),
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

//! Facts of ADTS: AAC as a bare stream of frames.
//!
//! There is no header that tells the length, so all frames are counted and the file is read to its end; `frames`
//! and `duration_seconds` are what a decoder delivers. ffprobe guesses the duration from the bit rate of the first
//! frames and is off by up to some per cent. HE-AAC is not told by the headers: its core's sample rate is given.

use std::io;

use super::tags::Tags;
use super::{Probe, ProbeError, Source};
use crate::container::aac::{AacConfig, AdtsHeader, walk_adts};
use crate::container::{id3, window::Window};
use crate::model::{Codec, Container, Format, Kind};

/// Frames of a block.
const BLOCK: u64 = 1024;

/// A layout that the stream tells itself is no longer than this, in bytes.
const LAYOUT: usize = 64;

/// Reads the facts of a file of `size` bytes that looks like this container.
pub(super) fn probe(source: &mut dyn Source, _size: u64) -> Result<Probe, ProbeError> {
    let mut window = Window::new(source)?;
    let mut first: Option<(u64, AdtsHeader)> = None;
    let mut blocks = 0_u64;
    walk_adts(&mut window, &mut |at, header| {
        first.get_or_insert((at, *header));
        blocks += header.blocks;
    })?;
    let Some((at, header)) = first else {
        return Err(ProbeError::Damaged {
            container: "AAC",
            reason: "no frames follow each other in it".to_owned(),
        });
    };
    let channels = match header.layout {
        7 => Some(8),
        0 => AacConfig::frame_channels(window.at(at + header.header_length(), LAYOUT)?),
        layout => Some(u16::from(layout)),
    };
    let frames = blocks * BLOCK;
    Ok(Probe {
        kind: Kind::Audio,
        format: Format {
            container: Container::Aac,
            codec: Some(Codec("aac".to_owned())),
            sample_rate: Some(header.sample_rate),
            channels,
            bit_depth: None,
            float: false,
            frames: Some(frames),
            duration_seconds: Some(frames as f64 / f64::from(header.sample_rate)),
        },
        capsule: None,
        attributes: attributes(&mut window)?,
        notes: Vec::new(),
    })
}

fn attributes(window: &mut Window<'_>) -> io::Result<Vec<(String, serde_json::Value)>> {
    let mut tags = Tags::default();
    id3::texts(window, &mut |name, text| tags.foreign(name, text))?;
    Ok(tags.into_attributes())
}

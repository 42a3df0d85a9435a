//! Facts of MPEG audio: layers I to III, with or without ID3, APE and Lyrics3 tags.
//!
//! `duration_seconds` is what ffprobe says: the frames that the information frame (`Xing`, `Info`, `VBRI`)
//! announces, times their length, encoder delay and padding *not* taken off. `frames` is what a decoder delivers:
//! delay and padding taken off where LAME or FFmpeg tell them. So `frames / sample_rate` is the shorter one of
//! the two, by some 25 to 75 ms.
//!
//! Without an information frame ffprobe guesses the duration from the file's size, tags and all; here the frames
//! are counted, so a file without it is read to its end. The two differ by the tags behind the sound (8 ms for
//! ID3v1 at 128 kbit/s) and, for variable bit rates, by ffprobe's error. The same goes for files put together one behind
//! the other, of which the first one's information frame tells too little.

use super::tags::Tags;
use super::{Probe, ProbeError, Source};
use crate::container::mpeg::{DECODER_DELAY, InfoFrame, MpegStream};
use crate::container::{id3, window::Window};
use crate::model::{Codec, Container, Format, Kind};

/// Reads the facts of a file of `size` bytes that looks like this container.
pub(super) fn probe(source: &mut dyn Source, _size: u64) -> Result<Probe, ProbeError> {
    let mut window = Window::new(source)?;
    let Some(stream) = MpegStream::find(&mut window)? else {
        return Err(ProbeError::Damaged {
            container: "MP3",
            reason: "no frames follow each other in it".to_owned(),
        });
    };
    let mut notes = Vec::new();
    let info = stream.info.unwrap_or_default();
    let bytes = stream.end - stream.start;
    let told = info.bytes.map(u64::from);
    // Files put together one behind the other: the first one's information is of itself alone. Of more bytes than
    // 32 bits can count it is right about the frames.
    let joined = told
        .is_some_and(|told| bytes <= u64::from(u32::MAX) && bytes.saturating_sub(told) > told / 16);
    let announced = info.frames.map(u64::from).filter(|_| !joined);
    let missing = told
        .map(|told| told.saturating_sub(bytes))
        .filter(|bytes| *bytes > 0);
    let there = match (announced, missing) {
        (Some(frames), None) => frames,
        _ => {
            let mut count = 0;
            stream.walk(&mut window, &mut |_, _| count += 1)?;
            count
        }
    };
    if joined {
        notes.push(
            "is several MP3 files one behind the other, or says that it ends before it does"
                .to_owned(),
        );
    }
    if let Some(missing) = missing {
        notes.push(format!("announces {missing} more bytes than there are"));
    }
    let header = stream.header;
    let sample_rate = f64::from(header.sample_rate);
    let announced = announced.unwrap_or(there);
    let format = Format {
        container: Container::Mp3,
        codec: Some(Codec(format!("mp{}", header.layer))),
        sample_rate: Some(header.sample_rate),
        channels: Some(header.channels),
        bit_depth: None,
        float: false,
        frames: Some(delivered(
            &info,
            there * header.samples(),
            joined || there < announced,
        )),
        duration_seconds: Some((announced * header.samples()) as f64 / sample_rate),
    };
    let mut tags = Tags::default();
    id3::texts(&mut window, &mut |name, text| tags.foreign(name, text))?;
    Ok(Probe {
        kind: Kind::Audio,
        format,
        capsule: None,
        attributes: tags.into_attributes(),
        notes,
    })
}

/// Sample frames that are left of `coded` ones when delay and padding are dropped. A stream that ends elsewhere than
/// the information says has no padding at its end.
fn delivered(info: &InfoFrame, coded: u64, elsewhere: bool) -> u64 {
    let Some((delay, padding)) = info.padding else {
        return coded;
    };
    let behind = if elsewhere {
        0
    } else {
        u64::from(padding).saturating_sub(DECODER_DELAY)
    };
    coded.saturating_sub(u64::from(delay) + DECODER_DELAY + behind)
}

//! Which container a file holds, by its first bytes alone, and what its name promises.

use std::io;

use super::bytes::{array, read_at, u32_be};
use super::{Source, id3};
use crate::model::Container;

/// How many frames in a row make a stream of MPEG audio or ADTS: binary files are full of single sync words.
const FRAMES_IN_A_ROW: usize = 4;

/// Brands of ISO media files that hold still pictures.
const PICTURE_BRANDS: [&[u8; 4]; 8] = [
    b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"avis", b"crx ",
];

/// The container that the first bytes show, leading ID3v2 tags skipped; `None` where they show none.
/// `promised` widens the search to beginnings that are too common to be trusted without a name.
pub(super) fn container(
    source: &mut dyn Source,
    size: u64,
    promised: &[Container],
) -> io::Result<Option<Container>> {
    match first_bytes(source)? {
        FirstBytes::Of(container) => Ok(Some(container)),
        FirstBytes::Foreign => Ok(None),
        FirstBytes::Box if promised.contains(&Container::Mp4) => Ok(Some(Container::Mp4)),
        FirstBytes::Box | FirstBytes::Unknown => stream(source, size, promised),
    }
}

/// The container whose own mark the source begins with.
pub(super) fn marked(source: &mut dyn Source) -> io::Result<Option<Container>> {
    Ok(match first_bytes(source)? {
        FirstBytes::Of(container) => Some(container),
        _ => None,
    })
}

/// What the first 16 bytes say.
enum FirstBytes {
    /// The mark of a container.
    Of(Container),
    /// The mark of something else that is like a container.
    Foreign,
    /// A box of the sort that old QuickTime files begin with, as much else may.
    Box,
    /// No mark.
    Unknown,
}

fn first_bytes(source: &mut dyn Source) -> io::Result<FirstBytes> {
    use FirstBytes::{Box, Foreign, Of, Unknown};
    let mut head = [0; 16];
    let filled = read_at(source, 0, &mut head)?;
    let head = &head[..filled];
    let form = array::<4>(head, 8);
    Ok(match array::<4>(head, 0).as_ref() {
        Some(b"RIFF" | b"RIFX" | b"RF64" | b"BW64") => match form.as_ref() {
            Some(b"WAVE") => Of(Container::Wav),
            Some(b"AVI ") => Of(Container::Avi),
            Some(b"RMID") => Of(Container::Midi),
            _ => Foreign,
        },
        Some(b"FORM") => match form.as_ref() {
            Some(b"AIFF" | b"AIFC") => Of(Container::Aiff),
            _ => Foreign,
        },
        Some(b"caff") => Of(Container::Caf),
        Some(b"fLaC") => Of(Container::Flac),
        Some(b"OggS") => Of(Container::Ogg),
        Some(b"MThd") => Of(Container::Midi),
        Some(b"\x1a\x45\xdf\xa3") => Of(Container::Matroska),
        _ => match array::<4>(head, 4).as_ref() {
            Some(b"ftyp") if form.is_some_and(|brand| PICTURE_BRANDS.contains(&&brand)) => Foreign,
            Some(b"ftyp") => Of(Container::Mp4),
            Some(b"moov" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot") => Box,
            _ => Unknown,
        },
    })
}

/// Containers that may follow ID3v2 tags: FLAC, MPEG audio, ADTS.
fn stream(
    source: &mut dyn Source,
    size: u64,
    promised: &[Container],
) -> io::Result<Option<Container>> {
    let start = id3::end(source, size)?;
    let mut head = [0; 4];
    if start > 0 && read_at(source, start, &mut head)? == 4 && &head == b"fLaC" {
        return Ok(Some(Container::Flac));
    }
    for (container, frame) in [
        (Container::Mp3, mpeg_frame as fn(&[u8]) -> Option<Frame>),
        (Container::Aac, adts_frame),
    ] {
        if frames_follow(source, start, size, frame)? {
            return Ok(Some(container));
        }
    }
    // Single frames, garbage before the first one, or a tag without anything behind it: only its own probe can
    // tell, and only a name is reason enough to ask it.
    Ok([Container::Mp3, Container::Aac]
        .into_iter()
        .find(|container| promised.contains(container)))
}

/// A frame's length in bytes, and what stays the same in all frames of a stream.
struct Frame {
    length: u64,
    constant: u32,
}

fn frames_follow(
    source: &mut dyn Source,
    start: u64,
    size: u64,
    frame: fn(&[u8]) -> Option<Frame>,
) -> io::Result<bool> {
    let mut at = start;
    let mut constant = None;
    for _ in 0..FRAMES_IN_A_ROW {
        let mut head = [0; 8];
        let filled = read_at(source, at, &mut head)?;
        let Some(found) = frame(&head[..filled]) else {
            return Ok(false);
        };
        if at + found.length > size || *constant.get_or_insert(found.constant) != found.constant {
            return Ok(false);
        }
        at += found.length;
    }
    Ok(true)
}

/// ISO 11172-3, 2.4.1.3, and ISO 13818-3; free format has no length of its own and is not recognised.
fn mpeg_frame(head: &[u8]) -> Option<Frame> {
    const KBIT: [[u16; 15]; 5] = [
        // Version 1: layers 1, 2, 3. Versions 2 and 2.5: layer 1, then layers 2 and 3.
        [
            0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
        ],
        [
            0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
        ],
        [
            0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
        ],
        [
            0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
        ],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let word = u32_be(head, 0)?;
    if word >> 21 != 0x7ff {
        return None;
    }
    let (version, layer) = (word >> 19 & 3, 4 - (word >> 17 & 3));
    let halvings = match version {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return None,
    };
    let table = match (halvings, layer) {
        (_, 4) => return None,
        (0, layer) => layer as usize - 1,
        (_, 1) => 3,
        _ => 4,
    };
    let kbit = u64::from(*KBIT[table].get((word >> 12 & 15) as usize)?);
    let rate = u64::from(*[44_100_u32, 48_000, 32_000].get((word >> 10 & 3) as usize)? >> halvings);
    let padding = u64::from(word >> 9 & 1);
    let length = match layer {
        1 => (12_000 * kbit / rate + padding) * 4,
        3 if halvings > 0 => 72_000 * kbit / rate + padding,
        _ => 144_000 * kbit / rate + padding,
    };
    (kbit > 0).then_some(Frame {
        length,
        constant: word & 0xfffe_0c00,
    })
}

/// ISO 13818-7, 6.2.
fn adts_frame(head: &[u8]) -> Option<Frame> {
    let word = u32_be(head, 0)?;
    let rest = u32_be(head, 3)?;
    let length = u64::from(rest >> 13 & 0x1fff);
    // Sync word, layer 0, a known sample rate, longer than its own header.
    let valid = word >> 20 == 0xfff && word >> 17 & 3 == 0 && word >> 10 & 15 < 13 && length > 7;
    valid.then_some(Frame {
        length,
        constant: word & 0xffff_fdc0,
    })
}

/// What an extension promises: a name for people, and the containers that may be meant. No containers: media
/// that mediafs does not read.
pub(super) fn promise(extension: &[u8]) -> Option<(&'static str, &'static [Container])> {
    use Container::{Aac, Aiff, Avi, Caf, Flac, Matroska, Midi, Mp3, Mp4, Ogg, Wav};
    let extension = extension.to_ascii_lowercase();
    Some(match extension.as_slice() {
        b"wav" | b"wave" | b"bwf" | b"rf64" | b"amb" => ("WAV", &[Wav]),
        b"aif" | b"aiff" | b"aifc" => ("AIFF", &[Aiff]),
        b"caf" => ("CAF", &[Caf]),
        b"flac" => ("FLAC", &[Flac]),
        b"mp3" | b"mp2" | b"mp1" | b"mpa" => ("MP3", &[Mp3]),
        b"ogg" | b"oga" | b"ogv" | b"opus" | b"spx" => ("Ogg", &[Ogg]),
        b"m4a" | b"m4b" | b"m4r" | b"m4v" | b"mp4" | b"mov" | b"qt" | b"3gp" => ("MP4", &[Mp4]),
        b"aac" => ("AAC", &[Aac, Mp4]),
        b"mid" | b"midi" | b"smf" | b"kar" | b"rmi" => ("MIDI", &[Midi]),
        b"mkv" | b"mka" | b"webm" => ("Matroska", &[Matroska]),
        b"avi" => ("AVI", &[Avi]),
        b"au" | b"snd" => ("AU", &[]),
        b"w64" => ("Wave64", &[]),
        b"wma" | b"wmv" | b"asf" => ("Windows Media", &[]),
        b"ape" => ("Monkey's Audio", &[]),
        b"wv" => ("WavPack", &[]),
        b"tta" => ("True Audio", &[]),
        b"dsf" | b"dff" => ("DSD", &[]),
        b"ac3" | b"eac3" => ("AC-3", &[]),
        b"dts" => ("DTS", &[]),
        b"voc" => ("VOC", &[]),
        b"8svx" => ("8SVX", &[]),
        b"sd2" => ("Sound Designer II", &[]),
        b"mpg" | b"mpeg" => ("MPEG", &[]),
        b"mpc" => ("Musepack", &[]),
        _ => return None,
    })
}

/// The name of a container, for people.
pub(super) fn label(container: Container) -> &'static str {
    match container {
        Container::Wav => "WAV",
        Container::Aiff => "AIFF",
        Container::Caf => "CAF",
        Container::Flac => "FLAC",
        Container::Mp3 => "MP3",
        Container::Ogg => "Ogg",
        Container::Mp4 => "MP4",
        Container::Aac => "AAC",
        Container::Midi => "MIDI",
        Container::Matroska => "Matroska",
        Container::Avi => "AVI",
    }
}

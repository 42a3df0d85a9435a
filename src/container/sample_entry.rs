//! Sample descriptions: what a track is coded in (ISO/IEC 14496-12, 12.2; QuickTime File Format, Sound Sample
//! Descriptions).

use std::io;

use super::aac::AacConfig;
use super::isobmff::{BoxAt, Track, number};
use super::ogg::OpusHead;
use super::window::Window;

/// Boxes in boxes are followed so far.
const DEEPEST: usize = 3;

/// A codec's own header is read up to here.
const LONGEST_HEADER: usize = 4096;

/// A sound's coding.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Entry {
    /// ffprobe's name; `None` for codings that mediafs does not know.
    pub(crate) codec: Option<&'static str>,
    /// Frames a second.
    pub(crate) sample_rate: u32,
    /// Samples a frame.
    pub(crate) channels: u16,
    /// Bits of a sample, where it has a number of bits.
    pub(crate) bits: Option<u16>,
    /// Samples are floating-point numbers.
    pub(crate) float: bool,
    /// AAC's configuration.
    pub(crate) aac: Option<AacConfig>,
    /// ALAC's configuration, 24 bytes.
    pub(crate) alac: Option<Vec<u8>>,
    /// Opus's streams.
    pub(crate) opus: Option<OpusHead>,
}

/// Reads the first sample description of a track of sound.
///
/// # Errors
/// Where reading fails.
pub(crate) fn read_entry(window: &mut Window<'_>, track: &Track) -> io::Result<Entry> {
    let Some(at) = track.entry else {
        return Ok(Entry::default());
    };
    let fixed = at.bytes(window, 64)?.to_vec();
    let field = |at: usize, count: usize| number(&fixed, at, count).unwrap_or(0);
    let version = field(8, 2);
    let mut entry = Entry {
        channels: field(16, 2) as u16,
        sample_rate: field(24, 2) as u32,
        ..Entry::default()
    };
    let mut bits = field(18, 2) as u16;
    let mut flags = None;
    let mut inner = 28;
    match version {
        1 => inner = 44,
        2 => {
            inner = 64;
            let rate = f64::from_bits(field(32, 8));
            if rate.is_finite() && (1.0..1e7).contains(&rate) {
                entry.sample_rate = rate as u32;
            }
            entry.channels = u16::try_from(field(40, 4)).unwrap_or(0);
            bits = field(48, 4) as u16;
            flags = Some(field(52, 4));
        }
        _ => {}
    }
    if at.kind == *b"mp4a" && track.timescale > 0 && entry.sample_rate == 0 {
        // Rates above 65,535 don't fit; the time scale is the rate then.
        entry.sample_rate = u32::try_from(track.timescale).unwrap_or(0);
    }
    let mut found = Vec::new();
    collect(window, at.body + inner, at.end, 0, &mut found)?;
    let header = |kind: &[u8; 4]| {
        found
            .iter()
            .find(|(of, _)| of == kind)
            .map(|(_, bytes)| bytes.as_slice())
    };
    let little = header(b"enda").is_some_and(|enda| enda.get(1) == Some(&1));
    let pcm = match &at.kind {
        b"sowt" if bits == 8 => Some("pcm_s8"),
        b"sowt" => Some("pcm_s16le"),
        b"twos" | b"NONE" if bits == 8 => Some("pcm_s8"),
        b"twos" => Some("pcm_s16be"),
        b"raw " => Some("pcm_u8"),
        b"in24" => Some(if little { "pcm_s24le" } else { "pcm_s24be" }),
        b"in32" => Some(if little { "pcm_s32le" } else { "pcm_s32be" }),
        b"fl32" => Some(if little { "pcm_f32le" } else { "pcm_f32be" }),
        b"fl64" => Some(if little { "pcm_f64le" } else { "pcm_f64be" }),
        b"ulaw" => Some("pcm_mulaw"),
        b"alaw" => Some("pcm_alaw"),
        b"lpcm" => flags.and_then(|flags| linear(bits, flags & 1 != 0, flags & 2 != 0)),
        kind @ (b"ipcm" | b"fpcm") => header(b"pcmC").and_then(|config| {
            let float = *kind == *b"fpcm";
            let little = config.get(4)? & 1 == 1;
            linear(u16::from(*config.get(5)?), float, !little)
        }),
        _ => None,
    };
    if let Some(name) = pcm {
        entry.codec = Some(name);
        entry.bits = depth(name);
        entry.float = name.starts_with("pcm_f");
        return Ok(entry);
    }
    match &at.kind {
        b"mp4a" => describe_mpeg4(&mut entry, header(b"esds")),
        b"alac" => {
            entry.codec = Some("alac");
            // Version and flags, then: frames of a packet (4), version, bits, three parameters, channels, …, rate.
            let config = header(b"alac").and_then(|header| header.get(4..28));
            if let Some(config) = config {
                entry.bits = Some(u16::from(config[5]));
                entry.channels = u16::from(config[9]);
                entry.sample_rate = number(config, 20, 4).unwrap_or(0) as u32;
                entry.alac = Some(config.to_vec());
            }
        }
        b".mp3" => entry.codec = Some("mp3"),
        b"ac-3" => entry.codec = Some("ac3"),
        b"ec-3" => entry.codec = Some("eac3"),
        b"ima4" => entry.codec = Some("adpcm_ima_qt"),
        b"samr" => entry.codec = Some("amr_nb"),
        b"sawb" => entry.codec = Some("amr_wb"),
        b"Opus" => {
            entry.codec = Some("opus");
            entry.sample_rate = 48_000;
            entry.opus = header(b"dOps").and_then(OpusHead::of_box);
        }
        b"fLaC" => {
            entry.codec = Some("flac");
            // Version and flags, a block's header, STREAMINFO.
            if let Some(word) = header(b"dfLa").and_then(|header| number(header, 18, 8)) {
                entry.sample_rate = (word >> 44) as u32;
                entry.channels = (word >> 41 & 7) as u16 + 1;
                entry.bits = Some((word >> 36 & 31) as u16 + 1);
            }
        }
        _ => {}
    }
    Ok(entry)
}

fn linear(bits: u16, float: bool, big: bool) -> Option<&'static str> {
    Some(match (bits, float, big) {
        (32, true, true) => "pcm_f32be",
        (32, true, false) => "pcm_f32le",
        (64, true, true) => "pcm_f64be",
        (64, true, false) => "pcm_f64le",
        (8, false, _) => "pcm_s8",
        (16, false, true) => "pcm_s16be",
        (16, false, false) => "pcm_s16le",
        (24, false, true) => "pcm_s24be",
        (24, false, false) => "pcm_s24le",
        (32, false, true) => "pcm_s32be",
        (32, false, false) => "pcm_s32le",
        _ => return None,
    })
}

/// Bits of a sample, by the coding's name.
fn depth(name: &str) -> Option<u16> {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    match name {
        "pcm_mulaw" | "pcm_alaw" => Some(8),
        _ => digits.parse().ok(),
    }
}

/// MPEG-4's own box of codings: what it is, and AAC's configuration.
fn describe_mpeg4(entry: &mut Entry, header: Option<&[u8]>) {
    let Some((object, config)) = header.and_then(descriptors) else {
        entry.codec = Some("aac");
        return;
    };
    entry.codec = match object {
        0x40 | 0x66..=0x68 => Some("aac"),
        0x69 | 0x6b => Some("mp3"),
        0xa5 => Some("ac3"),
        0xa6 => Some("eac3"),
        0xad => Some("opus"),
        0xdd => Some("vorbis"),
        _ => None,
    };
    if entry.codec == Some("aac")
        && let Some(config) = config.and_then(AacConfig::parse)
    {
        entry.sample_rate = config.sample_rate;
        if config.channels > 0 {
            entry.channels = config.channels;
        }
        entry.aac = Some(config);
        // Lossless coding in AAC's frame has another name.
        if config.object == 36 {
            entry.codec = Some("mp4als");
        }
    }
}

/// AAC's configuration in a magic cookie: descriptors, behind version and flags or not.
pub(crate) fn cookie_config(cookie: &[u8]) -> Option<AacConfig> {
    let bare = [&[0; 4], cookie].concat();
    let found = descriptors(cookie).or_else(|| descriptors(&bare));
    found.and_then(|(_, config)| AacConfig::parse(config?))
}

/// The kind of object and the decoder's configuration in an `esds` box (ISO/IEC 14496-1, 7.2.6).
fn descriptors(esds: &[u8]) -> Option<(u8, Option<&[u8]>)> {
    let descriptor = |bytes: &'_ [u8]| -> Option<(u8, usize)> {
        let tag = *bytes.first()?;
        let mut at = 1;
        loop {
            let more = bytes.get(at)? & 0x80 != 0 && at < 4;
            at += 1;
            if !more {
                return Some((tag, at));
            }
        }
    };
    let mut rest = esds.get(4..)?;
    let (tag, skip) = descriptor(rest)?;
    if tag == 3 {
        rest = rest.get(skip..)?;
        let flags = *rest.get(2)?;
        let mut skip = 3;
        if flags & 0x80 != 0 {
            skip += 2;
        }
        if flags & 0x40 != 0 {
            skip += 1 + usize::from(*rest.get(skip)?);
        }
        if flags & 0x20 != 0 {
            skip += 2;
        }
        rest = rest.get(skip..)?;
    }
    let (tag, skip) = descriptor(rest)?;
    if tag != 4 {
        return None;
    }
    rest = rest.get(skip..)?;
    let object = *rest.first()?;
    let config = rest
        .get(13..)
        .and_then(|rest| descriptor(rest).map(|(tag, skip)| (tag, skip, rest)))
        .filter(|(tag, ..)| *tag == 5)
        .and_then(|(_, skip, rest)| rest.get(skip..));
    Some((object, config))
}

/// All codecs' own headers between two places, those in `wave` too.
fn collect(
    window: &mut Window<'_>,
    from: u64,
    to: u64,
    depth: usize,
    found: &mut Vec<([u8; 4], Vec<u8>)>,
) -> io::Result<()> {
    for child in BoxAt::all(window, from, to)?.into_iter().take(64) {
        match &child.kind {
            b"wave" if depth < DEEPEST => {
                collect(window, child.body, child.end, depth + 1, found)?;
            }
            b"esds" | b"alac" | b"enda" | b"dfLa" | b"dOps" | b"pcmC" => {
                found.push((child.kind, child.bytes(window, LONGEST_HEADER)?.to_vec()));
            }
            _ => {}
        }
    }
    Ok(())
}

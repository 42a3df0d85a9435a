//! Silence as Core Audio Format.
//!
//! From facts alone: `caff` · `desc` · `free` to reach the original's size · `data`; PCM and ADPCM only. Apple, Core
//! Audio Format Specification 1.0.
//!
//! A capsule is made at the scan. Of packets that tell their shape themselves (Opus, FLAC) the first bytes are read.

use std::io;

use super::packets::{Coding, Packets, alac, flac};
use super::{Capsule, CapsuleBuilder, Generator, NoPlaceholder, mp3, wav};
use crate::container::aac::AacConfig;
use crate::container::ogg::OpusHead;
use crate::container::sample_entry::cookie_config;
use crate::container::window::Window;
use crate::library::probe::Source;
use crate::model::Format;

/// Header of the file, `desc`, and the head of `data` with its edit count.
const LEAST: u64 = 8 + 12 + 32 + 16;

/// The capsule of a CAF file of `size` bytes that has this format and is silent.
pub(super) fn from_facts(format: &Format, size: u64) -> Result<Capsule, NoPlaceholder> {
    let unknown = |what: &str| NoPlaceholder::new(format!("{what} is not known"));
    let codec = format.codec.as_ref().ok_or_else(|| unknown("its coding"))?;
    let channels = format
        .channels
        .filter(|channels| *channels > 0)
        .ok_or_else(|| unknown("the number of its channels"))?;
    let rate = format
        .sample_rate
        .ok_or_else(|| unknown("its sample rate"))?;
    let frames = format.frames.ok_or_else(|| unknown("its length"))?;
    let too_short = || NoPlaceholder::new("its facts need more bytes than it has");

    let unmade = || NoPlaceholder::new(format!("there is no silent {} in CAF yet", codec.0));
    let (coding, flags, bits, block, frames_per_packet) = coding(&codec.0).ok_or_else(unmade)?;
    let silence = wav::silent_byte(&codec.0).ok_or_else(unmade)?;
    let packet = block * u32::from(channels);
    let data = frames
        .div_ceil(u64::from(frames_per_packet))
        .saturating_mul(u64::from(packet));
    let rest = size
        .checked_sub(LEAST)
        .and_then(|left| left.checked_sub(data))
        .ok_or_else(too_short)?;

    let mut head = b"caff\0\x01\0\0desc".to_vec();
    head.extend_from_slice(&32_u64.to_be_bytes());
    head.extend_from_slice(&f64::from(rate).to_be_bytes());
    head.extend_from_slice(coding);
    for word in [flags, packet, frames_per_packet, u32::from(channels), bits] {
        head.extend_from_slice(&word.to_be_bytes());
    }
    // Fewer bytes than a chunk's head go loose to the end of the file.
    let filler = rest.checked_sub(12);
    if let Some(filler) = filler {
        head.extend_from_slice(b"free");
        head.extend_from_slice(&filler.to_be_bytes());
    }
    let start = head.len() as u64 + filler.unwrap_or(0);
    let mut capsule = CapsuleBuilder::new(size);
    capsule.verbatim(0, &head);
    capsule.verbatim(start, b"data");
    capsule.verbatim(start + 4, &(data + 4).to_be_bytes());
    capsule.generated(start + 16, data, &Generator::Fill(silence));
    capsule.finish().map_err(Into::into)
}

/// Name, flags, bits a sample, bytes and frames of a channel's packet.
fn coding(codec: &str) -> Option<(&'static [u8; 4], u32, u32, u32, u32)> {
    const BIG: u32 = 0;
    const LITTLE: u32 = 2;
    const FLOAT: u32 = 1;
    Some(match codec {
        "pcm_s8" => (b"lpcm", BIG, 8, 1, 1),
        "pcm_s16be" => (b"lpcm", BIG, 16, 2, 1),
        "pcm_s24be" => (b"lpcm", BIG, 24, 3, 1),
        "pcm_s32be" => (b"lpcm", BIG, 32, 4, 1),
        "pcm_s16le" => (b"lpcm", LITTLE, 16, 2, 1),
        "pcm_s24le" => (b"lpcm", LITTLE, 24, 3, 1),
        "pcm_s32le" => (b"lpcm", LITTLE, 32, 4, 1),
        "pcm_f32be" => (b"lpcm", FLOAT, 32, 4, 1),
        "pcm_f64be" => (b"lpcm", FLOAT, 64, 8, 1),
        "pcm_f32le" => (b"lpcm", FLOAT | LITTLE, 32, 4, 1),
        "pcm_f64le" => (b"lpcm", FLOAT | LITTLE, 64, 8, 1),
        "pcm_mulaw" => (b"ulaw", 0, 8, 1, 1),
        "pcm_alaw" => (b"alaw", 0, 8, 1, 1),
        "adpcm_ima_qt" => (b"ima4", 0, 0, 34, 64),
        _ => return None,
    })
}

/// How the sound of a CAF file is silenced.
pub(crate) struct Sound(Coding);

impl Sound {
    /// By its coding and magic cookie; `None` where there is no silence of it.
    pub(crate) fn new(codec: &str, channels: u16, cookie: &[u8]) -> Option<Self> {
        if let Some(byte) = wav::silent_byte(codec) {
            return Some(Self(Coding::Fill(byte)));
        }
        Some(Self(match codec {
            "mp1" | "mp2" | "mp3" => Coding::Mpeg,
            "alac" => Coding::Alac(alac::Config::parse(alac_config(cookie)?)?),
            "aac" => match cookie_config(cookie) {
                Some(config) => Coding::aac(&config)?,
                // The usual one is meant.
                None => Coding::aac(&AacConfig::parse(&AacConfig::lc(44_100, channels)?)?)?,
            },
            "opus" => Coding::Opus(OpusHead::simple(channels)?),
            "flac" => {
                let info = cookie.windows(4).position(|mark| mark == b"fLaC");
                let body = info.and_then(|at| cookie.get(at + 8..))?;
                Coding::Flac(flac::Stream::of_streaminfo(body)?)
            }
            _ => return None,
        }))
    }

    /// Writes the silent sound between two places into the capsule of a file; `lengths` are those of its packets.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn add(
        &self,
        source: &mut dyn Source,
        builder: &mut CapsuleBuilder,
        (start, end): (u64, u64),
        lengths: impl Iterator<Item = u64>,
    ) -> io::Result<()> {
        if let Some(generator) = self.0.constant() {
            builder.generated(start, end - start, &generator);
            return Ok(());
        }
        if self.0 == Coding::Mpeg {
            return mp3::add_frames(&mut Window::new(source)?, builder, start, end);
        }
        let mut window = Window::new(source)?;
        let mut packets = Packets::new(self.0.clone());
        let mut at = start;
        let mut lengths = lengths.peekable();
        while let Some(length) = lengths.next()
            && !builder.failed()
        {
            let next = at.saturating_add(length);
            if next > end {
                break;
            }
            let is_last = lengths.peek().is_none();
            packets.read(&mut window, builder, at, length, is_last)?;
            at = next;
        }
        packets.flush(builder);
        Ok(())
    }
}

/// ALAC's configuration in a magic cookie, which old programs wrap in `frma` and `alac` atoms.
pub(crate) fn alac_config(cookie: &[u8]) -> Option<&[u8]> {
    let is_atom = |cookie: &[u8], name: &[u8; 4]| cookie.get(4..8) == Some(name.as_slice());
    let mut config = cookie;
    for name in [b"frma", b"alac"] {
        if is_atom(config, name) {
            config = config.get(12..)?;
        }
    }
    Some(config)
}

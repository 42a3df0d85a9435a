//! Silence as Core Audio Format.
//!
//! `caff` · `desc` · `free` to reach the original's size · `data`. Apple, Core Audio Format Specification 1.0.

use super::{Capsule, CapsuleBuilder, Generator, NoPlaceholder, wav};
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

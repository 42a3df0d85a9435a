//! Silence as AIFF, or AIFC where the coding is not big-endian integers.
//!
//! FORM · `FVER` in AIFC · `COMM` · `FLLR` to reach the original's size · `SSND`. Apple, Audio Interchange File
//! Format 1.3 (1989) and AIFF-C (1991).

use super::{Capsule, CapsuleBuilder, Generator, NoPlaceholder, wav};
use crate::model::Format;

/// The date of AIFF-C's version 1, which `FVER` holds.
const VERSION_1: u32 = 0xa280_5140;

/// The capsule of an AIFF file of `size` bytes that has this format and is silent.
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

    let unmade = || NoPlaceholder::new(format!("there is no silent {} in AIFF yet", codec.0));
    let (coding, bits, block, frames_per_block) = coding(&codec.0).ok_or_else(unmade)?;
    let silence = wav::silent_byte(&codec.0).ok_or_else(unmade)?;
    let blocks = frames.div_ceil(frames_per_block);
    let data = blocks.saturating_mul(block * u64::from(channels));

    let mut common = Vec::with_capacity(32);
    common.extend_from_slice(&channels.to_be_bytes());
    let blocks = u32::try_from(blocks)
        .map_err(|_| NoPlaceholder::new("AIFF cannot hold that many frames"))?;
    common.extend_from_slice(&blocks.to_be_bytes());
    common.extend_from_slice(&bits.to_be_bytes());
    common.extend_from_slice(&extended(rate));
    if let Some(coding) = coding {
        common.extend_from_slice(coding);
        // An empty Pascal string, and its pad byte.
        common.extend_from_slice(&[0, 0]);
    }

    let compressed = coding.is_some();
    let mut head = b"FORM".to_vec();
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(if compressed { b"AIFC" } else { b"AIFF" });
    let needed = (12 + 8 + common.len() + 16) as u64;
    let rest = size
        .checked_sub(needed)
        .and_then(|left| left.checked_sub(data))
        .ok_or_else(too_short)?;
    let mut rest = rest - (data % 2).min(rest);
    if compressed && rest >= 12 {
        rest -= 12;
        push(&mut head, b"FVER", 4)?;
        head.extend_from_slice(&VERSION_1.to_be_bytes());
    }
    push(&mut head, b"COMM", common.len() as u64)?;
    head.extend_from_slice(&common);
    let mut capsule = CapsuleBuilder::new(size);
    let filler = rest.checked_sub(8).map_or(0, |body| body & !1);
    if rest >= 8 {
        push(&mut head, b"FLLR", filler)?;
    }
    let sound = head.len() as u64 + filler;
    let mut tail = Vec::with_capacity(16);
    push(&mut tail, b"SSND", data.saturating_add(8))?;
    tail.extend_from_slice(&[0; 8]);
    let start = sound + tail.len() as u64;
    let end = (start + data).saturating_add(data % 2).min(size);
    let form = u32::try_from(end - 8)
        .map_err(|_| NoPlaceholder::new("AIFF cannot hold more than 4 GiB"))?;
    head[4..8].copy_from_slice(&form.to_be_bytes());
    capsule.verbatim(0, &head);
    capsule.verbatim(sound, &tail);
    capsule.generated(start, data, &Generator::Fill(silence));
    capsule.finish().map_err(Into::into)
}

/// Name in AIFC (none in AIFF), bits a sample, bytes and frames of a channel's block.
fn coding(codec: &str) -> Option<(Option<&'static [u8; 4]>, u16, u64, u64)> {
    Some(match codec {
        "pcm_s8" => (None, 8, 1, 1),
        "pcm_s16be" => (None, 16, 2, 1),
        "pcm_s24be" => (None, 24, 3, 1),
        "pcm_s32be" => (None, 32, 4, 1),
        "pcm_s16le" => (Some(b"sowt"), 16, 2, 1),
        "pcm_s24le" => (Some(b"sowt"), 24, 3, 1),
        "pcm_s32le" => (Some(b"sowt"), 32, 4, 1),
        "pcm_u8" => (Some(b"raw "), 8, 1, 1),
        "pcm_f32be" => (Some(b"fl32"), 32, 4, 1),
        "pcm_f64be" => (Some(b"fl64"), 64, 8, 1),
        "pcm_mulaw" => (Some(b"ulaw"), 16, 1, 1),
        "pcm_alaw" => (Some(b"alaw"), 16, 1, 1),
        "adpcm_ima_qt" => (Some(b"ima4"), 16, 34, 64),
        _ => return None,
    })
}

fn push(out: &mut Vec<u8>, id: &[u8; 4], length: u64) -> Result<(), NoPlaceholder> {
    let length = u32::try_from(length)
        .map_err(|_| NoPlaceholder::new("AIFF cannot hold more than 4 GiB"))?;
    out.extend_from_slice(id);
    out.extend_from_slice(&length.to_be_bytes());
    Ok(())
}

/// A whole number above zero in IEEE 754 extended precision.
fn extended(value: u32) -> [u8; 10] {
    let shift = value.leading_zeros();
    let exponent = 16_383 + 31 - shift as u16;
    let mantissa = u64::from(value) << (32 + shift);
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&exponent.to_be_bytes());
    bytes[2..].copy_from_slice(&mantissa.to_be_bytes());
    bytes
}

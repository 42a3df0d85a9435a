//! Silence as WAVE (RIFF, and RF64 beyond 4 GiB).
//!
//! From facts: RIFF · `fmt ` · `fact` where the coding wants one · `data`. The original's size is reached by a `JUNK` chunk
//! behind the data, or by a few loose bytes where none fits. IBM and Microsoft, Multimedia Programming Interface
//! (1991); EBU Tech 3306.

use std::io;

use super::packets::Coding;
use super::{Capsule, CapsuleBuilder, Generator, NoPlaceholder, mp3};
use crate::container::window::Window;
use crate::library::probe::Source;
use crate::model::Format;

/// A length that is found in `ds64` instead.
const IN_DS64: u32 = u32::MAX;

/// The byte of which silence in this coding is made: zero for most, the middle for unsigned samples, and what is
/// closest to zero for A-law, which has no zero. A block of zeros decodes to zeros in the three ADPCM codings with
/// blocks, in G.726 and in Windows Media. `None` for codings without such a byte.
pub(crate) fn silent_byte(codec: &str) -> Option<u8> {
    Some(match codec {
        "pcm_u8" => 0x80,
        "pcm_mulaw" => 0xff,
        "pcm_alaw" => 0xd5,
        "adpcm_ms" | "adpcm_ima_wav" | "adpcm_ima_qt" | "adpcm_g726" | "wmav2" | "pcm_s8" => 0,
        "adpcm_g722" => 0xfc,
        "pcm_s16le" | "pcm_s24le" | "pcm_s32le" | "pcm_s64le" | "pcm_f32le" | "pcm_f64le"
        | "pcm_s16be" | "pcm_s24be" | "pcm_s32be" | "pcm_s64be" | "pcm_f32be" | "pcm_f64be" => 0,
        _ => return None,
    })
}

/// Two frames of GSM in 65 bytes, as WAVE has them. The coding has no zero: its pulses are the smallest there are,
/// and the filter such that next to nothing is left of them, a sample or two a frame of one step of the 13 bits that
/// are decoded.
const GSM_BLOCK: [u8; 65] = [
    0x6f, 0x87, 0x2b, 0xdf, 0x83, 0x62, 0x80, 0x24, 0x49, 0x92, 0x24, 0x89, 0x42, 0x80, 0x24, 0x49,
    0x92, 0x24, 0x89, 0x22, 0x80, 0x24, 0x49, 0x92, 0x24, 0x89, 0x02, 0x80, 0x24, 0x49, 0x92, 0x24,
    0xf9, 0x76, 0xb8, 0xf2, 0x3d, 0x28, 0x06, 0x48, 0x92, 0x24, 0x49, 0x92, 0x28, 0x04, 0x48, 0x92,
    0x24, 0x49, 0x92, 0x28, 0x02, 0x48, 0x92, 0x24, 0x49, 0x92, 0x28, 0x00, 0x48, 0x92, 0x24, 0x49,
    0x92,
];

/// Silence in codings that WAVE and AVI have, where it is the same in all packets.
pub(super) fn constant(codec: &str, channels: u16) -> Option<Coding> {
    Some(match codec {
        "gsm_ms" => Coding::Block(&GSM_BLOCK),
        // Up and down by the smallest difference, as they have no zero; a byte is two frames, or one of two channels.
        "adpcm_yamaha" | "adpcm_ima_oki" if channels == 2 => Coding::Block(&[0, 0x88]),
        "adpcm_yamaha" | "adpcm_ima_oki" => Coding::Fill(0x80),
        _ => Coding::Fill(silent_byte(codec)?),
    })
}

/// Writes the silent sound from `start` to `end` of a file into its capsule. What no silence is known of becomes
/// zeros, which decoders refuse.
///
/// # Errors
/// Where reading fails.
pub(crate) fn add_silence(
    source: &mut dyn Source,
    capsule: &mut CapsuleBuilder,
    codec: &str,
    channels: u16,
    (start, end): (u64, u64),
) -> io::Result<()> {
    if matches!(codec, "mp1" | "mp2" | "mp3") {
        return mp3::add_frames(&mut Window::new(source)?, capsule, start, end);
    }
    if let Some(generator) = constant(codec, channels).and_then(|coding| coding.constant()) {
        capsule.generated(start, end - start, &generator);
    }
    Ok(())
}

/// What the headers need to know.
struct Layout {
    /// The body of `fmt `.
    format: Vec<u8>,
    /// Whether readers expect `fact`.
    fact: bool,
    frames: u64,
    data: u64,
    silence: u8,
}

/// The capsule of a WAVE file of `size` bytes that has this format and is silent.
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

    let candidates = match pcm(&codec.0) {
        Some((tag, width)) => pcm_layouts(tag, width, channels, rate, frames),
        None => adpcm_layouts(&codec.0, channels, rate, frames).ok_or_else(|| {
            NoPlaceholder::new(format!("there is no silent {} in WAVE yet", codec.0))
        })?,
    };
    candidates
        .into_iter()
        .map(|mut layout| {
            layout.silence = silent_byte(&codec.0)?;
            build(&layout, size)
        })
        .find_map(|capsule| capsule)
        .ok_or_else(too_short)?
        .finish()
        .map_err(Into::into)
}

/// Tag and bytes a sample. RIFX is not made: its codings are those of the other byte order, which hold the same
/// silence.
fn pcm(codec: &str) -> Option<(u16, u16)> {
    Some(match codec {
        "pcm_u8" => (1, 1),
        "pcm_s16le" | "pcm_s16be" => (1, 2),
        "pcm_s24le" | "pcm_s24be" => (1, 3),
        "pcm_s32le" | "pcm_s32be" => (1, 4),
        "pcm_s64le" | "pcm_s64be" => (1, 8),
        "pcm_f32le" | "pcm_f32be" => (3, 4),
        "pcm_f64le" | "pcm_f64be" => (3, 8),
        "pcm_alaw" => (6, 1),
        "pcm_mulaw" => (7, 1),
        _ => return None,
    })
}

/// From the most to the least that readers like to see; the last is as short as a WAVE header can be.
fn pcm_layouts(tag: u16, width: u16, channels: u16, rate: u32, frames: u64) -> Vec<Layout> {
    let block = width.saturating_mul(channels);
    let mut short = fmt(
        tag,
        channels,
        rate,
        block,
        width * 8,
        rate.saturating_mul(u32::from(block)),
    );
    let layout = |format: &[u8], fact| Layout {
        format: format.to_vec(),
        fact,
        frames,
        data: frames.saturating_mul(u64::from(width) * u64::from(channels)),
        silence: 0,
    };
    let bare = layout(&short, false);
    let mut layouts = Vec::new();
    if channels > 2 && (tag == 1 || tag == 3) {
        let mut extensible = short.clone();
        extensible[..2].copy_from_slice(&0xfffe_u16.to_le_bytes());
        extensible.extend_from_slice(&22_u16.to_le_bytes());
        extensible.extend_from_slice(&(width * 8).to_le_bytes());
        extensible.extend_from_slice(&0_u32.to_le_bytes());
        extensible.extend_from_slice(&tag.to_le_bytes());
        extensible.extend_from_slice(&[0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
        layouts.push(layout(&extensible, tag != 1));
    }
    if tag != 1 {
        short.extend_from_slice(&[0, 0]);
        layouts.push(layout(&short, true));
        layouts.push(layout(&short, false));
    }
    layouts.push(bare);
    layouts
}

/// The facts do not tell the block's length: the usual one is tried first, then what fits.
fn adpcm_layouts(codec: &str, channels: u16, rate: u32, frames: u64) -> Option<Vec<Layout>> {
    let (tag, head) = match codec {
        "adpcm_ms" => (2_u16, 7_u32),
        "adpcm_ima_wav" => (0x11, 4),
        _ => return None,
    };
    let layouts = [1024_u32, 2048, 512, 4096, 256, 8192, 128, 64]
        .into_iter()
        .filter_map(|per_channel| {
            let block = u16::try_from(per_channel * u32::from(channels)).ok()?;
            let first = if tag == 2 { 2 } else { 1 };
            let frames_per_block = (per_channel - head) * 2 + first;
            let bytes_per_second = u64::from(rate) * u64::from(block) / u64::from(frames_per_block);
            let mut format = fmt(
                tag,
                channels,
                rate,
                block,
                4,
                u32::try_from(bytes_per_second).ok()?,
            );
            let extra: Vec<u16> = if tag == 2 {
                // The seven standard pairs of coefficients.
                let pairs = [
                    256, 0, 512, -256, 0, 0, 192, 64, 240, 0, 460, -208, 392, -232,
                ];
                [32, frames_per_block as u16, 7]
                    .into_iter()
                    .chain(pairs.map(|value: i16| value as u16))
                    .collect()
            } else {
                vec![2, frames_per_block as u16]
            };
            format.extend(extra.iter().flat_map(|value| value.to_le_bytes()));
            Some(Layout {
                format,
                fact: true,
                frames,
                data: frames
                    .div_ceil(u64::from(frames_per_block))
                    .saturating_mul(u64::from(block)),
                silence: 0,
            })
        })
        .collect();
    Some(layouts)
}

/// The first 16 bytes of `fmt `.
fn fmt(
    tag: u16,
    channels: u16,
    rate: u32,
    block: u16,
    bits: u16,
    bytes_per_second: u32,
) -> Vec<u8> {
    let mut format = Vec::with_capacity(40);
    format.extend_from_slice(&tag.to_le_bytes());
    format.extend_from_slice(&channels.to_le_bytes());
    format.extend_from_slice(&rate.to_le_bytes());
    format.extend_from_slice(&bytes_per_second.to_le_bytes());
    format.extend_from_slice(&block.to_le_bytes());
    format.extend_from_slice(&bits.to_le_bytes());
    format
}

/// The file with this layout, if it fits into `size` bytes.
fn build(layout: &Layout, size: u64) -> Option<CapsuleBuilder> {
    let long = size - size.min(8) >= u64::from(IN_DS64);
    let mut head = Vec::with_capacity(128);
    let word = |value: u64| {
        u32::try_from(value)
            .ok()
            .filter(|_| !long)
            .unwrap_or(IN_DS64)
            .to_le_bytes()
    };
    let fmt_length = u32::try_from(layout.format.len()).ok()?;
    let header_length = 12
        + if long { 36 } else { 0 }
        + 8
        + u64::from(fmt_length)
        + if layout.fact { 12 } else { 0 }
        + 8;
    let data_end = header_length.checked_add(layout.data)?;
    let rest = size.checked_sub(data_end)?;
    let pad = (layout.data % 2).min(rest);
    let rest = rest - pad;
    let junk = rest.checked_sub(8).map(|body| body & !1);
    let junk = junk.filter(|body| *body <= u64::from(IN_DS64 - 1));
    let riff_end = data_end + pad + junk.map_or(0, |body| body + 8);

    head.extend_from_slice(if long { b"RF64" } else { b"RIFF" });
    head.extend_from_slice(&word(riff_end - 8));
    head.extend_from_slice(b"WAVE");
    if long {
        head.extend_from_slice(b"ds64");
        head.extend_from_slice(&28_u32.to_le_bytes());
        head.extend_from_slice(&(riff_end - 8).to_le_bytes());
        head.extend_from_slice(&layout.data.to_le_bytes());
        head.extend_from_slice(&layout.frames.to_le_bytes());
        head.extend_from_slice(&0_u32.to_le_bytes());
    }
    head.extend_from_slice(b"fmt ");
    head.extend_from_slice(&fmt_length.to_le_bytes());
    head.extend_from_slice(&layout.format);
    if layout.fact {
        head.extend_from_slice(b"fact");
        head.extend_from_slice(&4_u32.to_le_bytes());
        head.extend_from_slice(&word(layout.frames));
    }
    head.extend_from_slice(b"data");
    head.extend_from_slice(&word(layout.data));

    let mut capsule = CapsuleBuilder::new(size);
    capsule.verbatim(0, &head);
    capsule.generated(header_length, layout.data, &Generator::Fill(layout.silence));
    if let Some(body) = junk {
        let mut head = b"JUNK".to_vec();
        head.extend_from_slice(&u32::try_from(body).ok()?.to_le_bytes());
        capsule.verbatim(data_end + pad, &head);
    }
    Some(capsule)
}

//! Silent Opus packets of any length (RFC 6716; RFC 7845 and its appendix B for several streams in a packet).
//!
//! Every packet becomes one of CELT at full band, whatever it was: frames of the same duration together, each
//! starting with FF FE, in which the range decoder reads the silence flag. Zeros behind it are never looked at.
//! Packets too short for the flag get frames of no bytes, which decoders fill with what went before: silence.

use crate::container::ogg::OpusHead;

/// In a frame, says that it is silent.
const SILENT: [u8; 2] = [0xff, 0xfe];

/// The longest frame.
const LONGEST_FRAME: usize = 1275;

/// What a silent packet of `length` bytes and `samples` frames at 48 kHz starts with; all behind it is zeros.
/// `None` where there is none.
pub(in crate::silence) fn silent(head: &OpusHead, samples: u64, length: usize) -> Option<Vec<u8>> {
    let (config, frames) = [(31, 960), (30, 480), (29, 240), (28, 120)]
        .into_iter()
        .find(|(_, frame)| samples.is_multiple_of(*frame))
        .map(|(config, frame)| (config << 3, samples / frame))?;
    let frames = u8::try_from(frames).ok().filter(|n| (1..=48).contains(n))?;
    let toc = |stream: u8| config | if stream < head.coupled { 4 } else { 0 };
    let mut packet = Vec::new();
    for stream in 1..head.streams {
        // All but the last one tell their own length.
        let toc = toc(stream - 1);
        if frames == 1 {
            packet.extend([toc, 2]);
        } else {
            packet.extend([toc | 3, frames, 2]);
        }
        for _ in 0..frames {
            packet.extend(SILENT);
        }
    }
    let left = length.checked_sub(packet.len())?;
    packet.extend(last(toc(head.streams - 1), frames, left)?);
    Some(packet)
}

/// The start of the last or only stream's packet of `length` bytes.
fn last(toc: u8, frames: u8, length: usize) -> Option<Vec<u8>> {
    if frames == 1 && (3..=LONGEST_FRAME + 1).contains(&length) {
        return Some(vec![toc, SILENT[0], SILENT[1]]);
    }
    if frames == 1 && length == 1 {
        return Some(vec![toc]);
    }
    let mut left = length.checked_sub(2)?;
    let content = SILENT.len() * usize::from(frames);
    let content = if left >= content { content } else { 0 };
    left -= content;
    let mut packet = vec![toc | 3, frames | if left > 0 { 0x40 } else { 0 }];
    // Padding: 255 stands for 254 bytes and more to come; the length's own bytes count.
    while left > 255 {
        packet.push(255);
        left -= 255;
    }
    if left > 0 {
        packet.push((left - 1) as u8);
    }
    if content > 0 {
        for _ in 0..frames {
            packet.extend(SILENT);
        }
    }
    Some(packet)
}

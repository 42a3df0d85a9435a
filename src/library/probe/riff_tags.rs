//! What the chunks of RIFF files say about the sound: `acid`, `smpl`, `inst`, `bext`, `LIST INFO`.
//!
//! Sources: Sony's ACID chunk as programs write it; IBM and Microsoft, Multimedia Programming Interface (1991) with
//! Microsoft's new types of 1994 for `smpl` and `inst`; EBU Tech 3285 for `bext`.

use super::bytes::{array, u16_le, u32_le};
use super::tags::{Tags, text};

/// `acid`, 24 bytes: flags, root note, two fixed fields, beats, meter, tempo.
pub(super) fn acid(body: &[u8], tags: &mut Tags) {
    const ONE_SHOT: u32 = 1;
    const ROOT_NOTE_SET: u32 = 2;
    let Some(flags) = u32_le(body, 0) else {
        return;
    };
    if flags & ROOT_NOTE_SET != 0
        && let Some(note) = u16_le(body, 4)
    {
        tags.root_note(u32::from(note));
    }
    if flags & ONE_SHOT != 0 {
        // The tempo and beats of a one-shot are what the program had left over.
        tags.set("oneShot", true);
        return;
    }
    if let Some(beats) = u32_le(body, 12).filter(|beats| *beats > 0) {
        tags.set("beats", beats);
    }
    if let (Some(denominator @ 1..), Some(numerator @ 1..)) = (u16_le(body, 16), u16_le(body, 18)) {
        tags.set("timeSignature", format!("{numerator}/{denominator}"));
    }
    if let Some(tempo) = array(body, 20).map(f32::from_le_bytes) {
        tags.bpm(f64::from(tempo));
    }
}

/// `smpl`: the MIDI note of the original pitch, and the first loop.
pub(super) fn smpl(body: &[u8], tags: &mut Tags) {
    if let Some(note) = u32_le(body, 12) {
        tags.root_note(note);
    }
    if u32_le(body, 28).is_some_and(|loops| loops > 0)
        && let (Some(start), Some(end)) = (u32_le(body, 44), u32_le(body, 48))
        && start < end
    {
        tags.set("loopStart", start);
        tags.set("loopEnd", end);
    }
}

/// `inst`: its first byte is the MIDI note of the original pitch.
pub(super) fn inst(body: &[u8], tags: &mut Tags) {
    if let Some(note) = body.first() {
        tags.root_note(u32::from(*note));
    }
}

/// `bext`: description, originator, date.
pub(super) fn bext(body: &[u8], tags: &mut Tags) {
    for (name, from, to) in [
        ("description", 0, 256),
        ("originator", 256, 288),
        ("date", 320, 330),
    ] {
        if let Some(part) = body.get(from..to) {
            tags.text(name, &text(part));
        }
    }
}

/// `LIST` with the form `INFO`: texts.
pub(super) fn list(body: &[u8], tags: &mut Tags) {
    let Some(mut rest) = body.strip_prefix(b"INFO") else {
        return;
    };
    while let (Some(id), Some(length)) = (array::<4>(rest, 0), u32_le(rest, 4)) {
        let end = 8_usize.saturating_add(length as usize);
        let value = &rest[8..end.min(rest.len())];
        if let Ok(name) = std::str::from_utf8(&id) {
            tags.foreign(name, &text(value));
        }
        let next = end.saturating_add(end % 2);
        rest = rest.get(next..).unwrap_or(&[]);
    }
}

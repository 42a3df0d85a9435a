//! Silence as a standard MIDI file: one track with the tempo map, the meter and the end, and no notes.
//!
//! The original's size is reached by sequencer-specific meta events (FF 7F), whose payload is zeros. MIDI
//! Manufacturers Association, Standard MIDI Files 1.0.

use super::{Capsule, CapsuleBuilder, NoPlaceholder};
use crate::model::Format;

/// Of a file whose own division is not known: ticks a quarter note.
const DIVISION: u16 = 480;

/// Quarter notes a second where no tempo is given.
const DEFAULT_TEMPO: f64 = 2.0;

/// The largest number in four bytes of seven bits.
const LARGEST_NUMBER: u64 = (1 << 28) - 1;

/// Payload of one filling event; any number below the largest would do.
const LONGEST_FILLER: u64 = 1 << 27;

/// More filling events than this are not made.
const MOST_FILLERS: u64 = 1024;

/// Head of the file, and head of the track.
const HEADS: u64 = 14 + 8;

const END_OF_TRACK: [u8; 3] = [0xff, 0x2f, 0];

/// What a player must be told the same.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Map {
    /// As the file's head has it: ticks a quarter note, or frames and ticks of SMPTE.
    pub(crate) division: u16,
    /// Tick, microseconds a quarter note; in order.
    pub(crate) tempos: Vec<(u64, u32)>,
    /// Tick, the four bytes of a time signature; in order.
    pub(crate) meters: Vec<(u64, [u8; 4])>,
    /// The last tick.
    pub(crate) end: u64,
}

impl Map {
    /// The capsule of a silent file of `size` bytes with this map; `None` where it needs more.
    pub(crate) fn capsule(&self, size: u64) -> Option<Capsule> {
        let mut events: Vec<(u64, Vec<u8>)> = Vec::new();
        for (tick, tempo) in &self.tempos {
            let [_, a, b, c] = tempo.to_be_bytes();
            events.push((*tick, vec![0xff, 0x51, 3, a, b, c]));
        }
        for (tick, [a, b, c, d]) in &self.meters {
            events.push((*tick, vec![0xff, 0x58, 4, *a, *b, *c, *d]));
        }
        events.sort_by_key(|(tick, _)| *tick);
        let mut track = Vec::new();
        let mut now = 0;
        for (tick, event) in events.iter().filter(|(tick, _)| *tick <= self.end) {
            push_number(&mut track, tick - now, 0)?;
            track.extend_from_slice(event);
            now = *tick;
        }
        self.build(&track, self.end - now, size)
    }

    fn build(&self, track: &[u8], last_delta: u64, size: u64) -> Option<Capsule> {
        let mut end = Vec::new();
        push_number(&mut end, last_delta, 0)?;
        let needed = HEADS + (track.len() + end.len() + END_OF_TRACK.len()) as u64;
        let mut rest = size.checked_sub(needed)?;
        if (1..4).contains(&rest) && end.len() as u64 + rest <= 4 {
            // Too little for an event: the last delta time is written longer than it need be.
            end.clear();
            push_number(&mut end, last_delta, rest as usize)?;
            rest = 0;
        }
        end.extend_from_slice(&END_OF_TRACK);
        let filled = if rest >= 4 { rest } else { 0 };
        if filled / LONGEST_FILLER >= MOST_FILLERS {
            return None;
        }
        let track_length = track.len() as u64 + filled + end.len() as u64;

        let mut head = b"MThd\0\0\0\x06\0\0\0\x01".to_vec();
        head.extend_from_slice(&self.division.to_be_bytes());
        head.extend_from_slice(b"MTrk");
        head.extend_from_slice(&u32::try_from(track_length).ok()?.to_be_bytes());
        head.extend_from_slice(track);
        let mut capsule = CapsuleBuilder::new(size);
        capsule.verbatim(0, &head);
        let mut at = head.len() as u64;
        let mut left = filled;
        while left > 0 {
            // Delta time, FF 7F, length in one byte or in four.
            let wide = if left >= 7 { 3 } else { 0 };
            let mut body = (left - 4 - wide).min(LONGEST_FILLER);
            if (1..4).contains(&(left - 4 - wide - body)) {
                body -= 4;
            }
            let mut event = vec![0, 0xff, 0x7f];
            let shortest = number_length(body);
            push_number(&mut event, body, 1 + wide as usize - shortest)?;
            capsule.verbatim(at, &event);
            at += event.len() as u64 + body;
            left -= event.len() as u64 + body;
        }
        capsule.verbatim(at, &end);
        capsule.finish().ok()
    }
}

/// The capsule of a MIDI file of `size` bytes that has this length and no notes.
pub(super) fn from_facts(format: &Format, size: u64) -> Result<Capsule, NoPlaceholder> {
    let seconds = format
        .duration_seconds
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .ok_or_else(|| NoPlaceholder::new("its length is not known"))?;
    // The finest division whose ticks can be counted up to the end.
    [DIVISION, 96, 24]
        .into_iter()
        .find_map(|division| {
            let end = (seconds * DEFAULT_TEMPO * f64::from(division)).round();
            let map = Map {
                division,
                tempos: Vec::new(),
                meters: Vec::new(),
                end: (end <= LARGEST_NUMBER as f64).then_some(end as u64)?,
            };
            map.capsule(size)
        })
        .ok_or_else(|| NoPlaceholder::new("its facts need more bytes than it has"))
}

fn number_length(value: u64) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// A number of variable length, with `longer` bytes more than it needs; `None` where it has none in four bytes.
fn push_number(out: &mut Vec<u8>, value: u64, longer: usize) -> Option<()> {
    let length = number_length(value) + longer;
    if value > LARGEST_NUMBER || length > 4 {
        return None;
    }
    for index in (0..length).rev() {
        let more = if index > 0 { 0x80 } else { 0 };
        out.push((value >> (7 * index) & 0x7f) as u8 | more);
    }
    Some(())
}

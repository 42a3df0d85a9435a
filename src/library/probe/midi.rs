//! Facts and capsule of standard MIDI files, also inside RIFF (RMID).
//!
//! MIDI Manufacturers Association, Standard MIDI Files 1.0.

use super::bytes::{array, read_up_to, u16_be, u32_be};
use super::chunks::{self, MOST_CHUNKS, Style};
use super::tags::{Tags, text};
use super::{Probe, ProbeError, Source};
use crate::model::{Container, Format, Kind};
use crate::silence::midi::Map;

/// Longer files are read up to here.
const LONGEST: u64 = 32 << 20;

/// Tempo and meter changes beyond this number are left out.
const MOST_CHANGES: usize = 16 * 1024;

/// A quarter note's length where no tempo is given, in microseconds.
const DEFAULT_TEMPO: u32 = 500_000;

/// Reads the facts of a file of `size` bytes that begins as MIDI or RMID.
pub(super) fn probe(source: &mut dyn Source, size: u64) -> Result<Probe, ProbeError> {
    let damaged = |reason: &str| ProbeError::Damaged {
        container: "MIDI",
        reason: reason.to_owned(),
    };
    let start = match read_up_to(source, 0, 4)?.as_slice() {
        b"MThd" => 0,
        _ => inside_riff(source, size)?.ok_or_else(|| damaged("it has no data chunk"))?,
    };
    let bytes = read_up_to(source, start, LONGEST)?;
    if !bytes.starts_with(b"MThd") {
        return Err(damaged("it has no MThd chunk"));
    }
    let (Some(length), Some(division)) = (u32_be(&bytes, 4), u16_be(&bytes, 12)) else {
        return Err(damaged("its head is cut off"));
    };
    if length < 6 || division == 0 || division & 0x80ff == 0x8000 {
        return Err(damaged("its head is impossible"));
    }

    let mut song = Song::new(division);
    let mut tracks = 0;
    let mut at = 8_usize.saturating_add(length as usize);
    while let (Some(id), Some(length)) =
        (array::<4>(&bytes, at), u32_be(&bytes, at.saturating_add(4)))
    {
        let end = at.saturating_add(8).saturating_add(length as usize);
        if &id == b"MTrk" {
            let track = &bytes[at + 8..end.min(bytes.len())];
            if song.read_track(track, tracks == 0).is_none() || end > bytes.len() {
                song.note("a track is cut off or damaged; it counts as far as it can be read");
            }
            tracks += 1;
        }
        at = end;
    }
    if tracks == 0 {
        return Err(damaged("it has no track"));
    }
    let duration = song.seconds();
    let capsule = song.map.capsule(size);
    Ok(Probe {
        kind: Kind::Midi,
        format: Format {
            duration_seconds: Some(duration),
            ..Format::of(Container::Midi)
        },
        capsule,
        attributes: song.tags.into_attributes(),
        notes: song.notes,
    })
}

/// Where the data chunk of RMID starts.
fn inside_riff(source: &mut dyn Source, size: u64) -> Result<Option<u64>, ProbeError> {
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Some(head) = chunks::head(source, at, Style::Riff)? else {
            break;
        };
        if &head.id == b"data" {
            return Ok(Some(head.body));
        }
        at = chunks::chunk(source, head, head.announced, size, Style::Riff)?.end;
    }
    Ok(None)
}

/// What all tracks say together.
struct Song {
    map: Map,
    tags: Tags,
    notes: Vec<String>,
}

impl Song {
    fn new(division: u16) -> Self {
        Self {
            map: Map {
                division,
                tempos: Vec::new(),
                meters: Vec::new(),
                end: 0,
            },
            tags: Tags::default(),
            notes: Vec::new(),
        }
    }

    fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// Reads events up to the end of the track; `None` where they end too early or make no sense.
    fn read_track(&mut self, track: &[u8], first: bool) -> Option<()> {
        let mut at = 0;
        let mut tick = 0_u64;
        let mut running = None;
        while at < track.len() {
            tick = tick.checked_add(number(track, &mut at)?)?;
            self.map.end = self.map.end.max(tick);
            let mut status = *track.get(at)?;
            if status >= 0x80 {
                at += 1;
            } else {
                status = running?;
            }
            match status {
                0xff => {
                    let kind = *track.get(at)?;
                    at += 1;
                    let body = counted(track, &mut at)?;
                    if kind == 0x2f {
                        return Some(());
                    }
                    self.meta(kind, body, tick, first);
                }
                0xf0 | 0xf7 => {
                    counted(track, &mut at)?;
                }
                0xf1..=0xfe => return None,
                0xc0..=0xdf => at += 1,
                _ => at += 2,
            }
            running = (status < 0xf0).then_some(status).or(running);
        }
        (at == track.len()).then_some(())
    }

    fn meta(&mut self, kind: u8, body: &[u8], tick: u64, first: bool) {
        match (kind, body) {
            (0x03, name) if first => self.tags.text("title", &text(name)),
            (0x51, &[a, b, c, ..]) => {
                let tempo = u32::from_be_bytes([0, a, b, c]);
                if tempo > 0 && self.map.tempos.len() < MOST_CHANGES {
                    self.map.tempos.push((tick, tempo));
                    self.tags.bpm(60_000_000.0 / f64::from(tempo));
                }
            }
            (0x58, &[numerator, power, clocks, notes, ..]) => {
                if self.map.meters.len() < MOST_CHANGES {
                    self.map
                        .meters
                        .push((tick, [numerator, power, clocks, notes]));
                }
                if power < 8 {
                    let meter = format!("{numerator}/{}", 1_u32 << power);
                    self.tags.set("timeSignature", meter);
                }
            }
            (0x59, &[sharps, minor, ..]) => {
                if let Some(key) = key_name(sharps as i8, minor) {
                    self.tags.set("key", key);
                }
            }
            _ => {}
        }
    }

    /// The whole length.
    fn seconds(&mut self) -> f64 {
        let [frames, ticks] = self.map.division.to_be_bytes();
        if frames >= 0x80 {
            // SMPTE: the number of frames a second, negated; 29 stands for 30 drop frame.
            let rate = match 256 - u32::from(frames) {
                29 => 30_000.0 / 1001.0,
                rate => f64::from(rate),
            };
            return self.map.end as f64 / (rate * f64::from(ticks));
        }
        self.map.tempos.sort_by_key(|(tick, _)| *tick);
        let quarter = f64::from(self.map.division);
        let (mut now, mut tempo, mut microseconds) = (0, DEFAULT_TEMPO, 0.0);
        for (tick, next) in &self.map.tempos {
            microseconds += (tick - now) as f64 * f64::from(tempo) / quarter;
            (now, tempo) = (*tick, *next);
        }
        microseconds += self.map.end.saturating_sub(now) as f64 * f64::from(tempo) / quarter;
        microseconds / 1_000_000.0
    }
}

/// A key signature's name, by its sharps (flats below zero).
fn key_name(sharps: i8, minor: u8) -> Option<String> {
    const FIFTHS: [&str; 18] = [
        "Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#",
        "D#", "A#",
    ];
    let (shift, mode) = match minor {
        0 => (7, "major"),
        1 => (10, "minor"),
        _ => return None,
    };
    if !(-7..=7).contains(&sharps) {
        return None;
    }
    let tonic = FIFTHS.get(usize::try_from(i32::from(sharps) + shift).ok()?)?;
    Some(format!("{tonic} {mode}"))
}

/// A number of variable length, at most four bytes.
fn number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for _ in 0..4 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A body behind its length.
fn counted<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let length = usize::try_from(number(bytes, at)?).ok()?;
    let body = bytes.get(*at..at.checked_add(length)?)?;
    *at += length;
    Some(body)
}

//! MIDI: length, tempo and meter, judged by fluidsynth.

use std::io::Cursor;
#[cfg(target_os = "linux")]
use std::{fs, path::Path};

use mediafs::library::probe::{Probe, probe};
use mediafs::model::{Container, Kind};
use mediafs::silence::placeholder;
use serde_json::json;

#[cfg(target_os = "linux")]
use crate::tools;

#[cfg(target_os = "linux")]
const SOUNDFONT: &str = "/usr/share/sounds/sf2/FluidR3_GM.sf2";

fn track(events: &[u8]) -> Vec<u8> {
    let mut bytes = b"MTrk".to_vec();
    bytes.extend_from_slice(&(events.len() as u32).to_be_bytes());
    bytes.extend_from_slice(events);
    bytes
}

fn file(format: u16, division: u16, tracks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MThd\0\0\0\x06".to_vec();
    for word in [format, tracks.len() as u16, division] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend(tracks.concat());
    bytes
}

/// Two tracks: a tempo of 120 that becomes 60 after four quarters, 3/4, D minor; notes up to 8 quarters.
fn song() -> Vec<u8> {
    let conductor = [
        b"\0\xff\x03\x04Song\0\xff\x58\x04\x03\x02\x18\x08\0\xff\x59\x02\xff\x01".as_slice(),
        b"\0\xff\x51\x03\x07\xa1\x20\x87\x40\xff\x51\x03\x0f\x42\x40\0\xff\x2f\0",
    ]
    .concat();
    let mut notes = Vec::new();
    for step in 0..8 {
        // A running status every other note.
        if step % 2 == 0 {
            notes.extend([0, 0x90]);
        } else {
            notes.push(0);
        }
        notes.extend([60 + step, 100, 0x81, 0x70]);
        if step % 2 == 0 {
            notes.extend([60 + step, 0]);
        } else {
            notes.extend([0x80, 60 + step, 64]);
            notes.extend([0, 0xf0, 3, 1, 2, 0xf7]);
            notes.extend([0, 0xc0, 5]);
        }
    }
    notes.extend(b"\0\xff\x2f\0");
    file(1, 240, &[track(&conductor), track(&notes)])
}

fn read(bytes: &[u8]) -> Probe {
    probe(&mut Cursor::new(bytes), b"song.mid").unwrap()
}

fn silent(bytes: &[u8], probe: &Probe, with_capsule: bool) -> Vec<u8> {
    let size = bytes.len() as u64;
    let capsule = probe.capsule.as_ref().filter(|_| with_capsule);
    let silence = placeholder(&probe.format, size, capsule).unwrap();
    let mut made = vec![0xaa; bytes.len()];
    assert_eq!(silence.read_at(0, &mut made), made.len());
    made
}

#[test]
fn a_song_has_its_length_tempo_and_meter() {
    let seen = read(&song());
    assert_eq!(seen.kind, Kind::Midi);
    assert_eq!(seen.format.container, Container::Midi);
    assert_eq!(seen.format.duration_seconds, Some(2.0 + 4.0));
    assert_eq!(seen.format.frames, None);
    for (name, value) in [
        ("title", json!("Song")),
        ("bpm", json!(120.0)),
        ("timeSignature", json!("3/4")),
        ("key", json!("D minor")),
    ] {
        assert!(
            seen.attributes.contains(&(name.to_owned(), value)),
            "{name}"
        );
    }
    assert_eq!(seen.notes, Vec::<String>::new());
}

#[test]
fn silence_has_the_same_tempo_meter_and_length_and_no_notes() {
    let song = song();
    let seen = read(&song);
    let made = silent(&song, &seen, true);
    let again = read(&made);
    assert_eq!(again.format, seen.format);
    let known = |probe: &Probe, name: &str| {
        let mut found = probe.attributes.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.clone())
    };
    for name in ["bpm", "timeSignature"] {
        assert_eq!(known(&again, name), known(&seen, name));
    }
    assert!(!made.windows(2).any(|pair| pair == [0, 0x90]));
    assert_eq!(silent(&made, &again, true), made);
    let by_facts = read(&silent(&song, &seen, false));
    assert_eq!(by_facts.format, seen.format);
}

#[test]
fn every_size_from_the_least_on_is_reached() {
    let seen = read(&song());
    let capsule = read(&silent(&song(), &seen, true)).capsule;
    let mut made = 0;
    for size in 20..400_u64 {
        let Ok(silence) = placeholder(&seen.format, size, capsule.as_ref()) else {
            assert!(size < 30, "{size}");
            continue;
        };
        let mut bytes = vec![0xaa; size as usize];
        assert_eq!(silence.read_at(0, &mut bytes), bytes.len());
        let again = read(&bytes);
        assert!(
            (again.format.duration_seconds.unwrap() - 6.0).abs() < 0.001,
            "{size}"
        );
        assert_eq!(again.notes, Vec::<String>::new(), "{size}");
        made += 1;
    }
    assert!(made > 360);
}

#[test]
fn smpte_divisions_and_riff_are_read() {
    // 25 frames a second, 40 ticks a frame: 1000 ticks a second.
    let smpte = file(0, 0xe728, &[track(b"\x8f\x50\x90\x3c\x40\0\xff\x2f\0")]);
    assert_eq!(read(&smpte).format.duration_seconds, Some(2.0));
    let song = song();
    let mut rmid = b"RIFF\0\0\0\0RMIDdata".to_vec();
    rmid.extend((song.len() as u32).to_le_bytes());
    rmid.extend(&song);
    let seen = probe(&mut Cursor::new(&rmid), b"song.rmi").unwrap();
    assert_eq!(seen.format, read(&song).format);
    assert!(seen.notes.is_empty());
}

#[cfg(target_os = "linux")]
fn rendered(path: &Path) -> (usize, f64) {
    let target = path.with_extension("raw");
    let (path, out) = (path.to_str().unwrap(), target.to_str().unwrap());
    tools::run(
        "fluidsynth",
        &[
            "-ni", "-R", "0", "-C", "0", "-r", "22050", "-T", "raw", "-O", "s16", "-F", out,
            SOUNDFONT, path,
        ],
    );
    let bytes = fs::read(&target).unwrap();
    let loudest = bytes
        .chunks_exact(2)
        .map(|sample| f64::from(i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs()))
        .fold(0.0, f64::max);
    (bytes.len() / 4, loudest)
}

#[cfg(target_os = "linux")]
#[test]
fn fluidsynth_plays_the_silence_as_long_as_the_song() {
    let folder = tempfile::tempdir().unwrap();
    let song = song();
    let seen = read(&song);
    let (original, silence) = (folder.path().join("a.mid"), folder.path().join("b.mid"));
    fs::write(&original, &song).unwrap();
    fs::write(&silence, silent(&song, &seen, true)).unwrap();
    let (length, loudest) = rendered(&original);
    assert!(loudest > 1000.0, "the song itself is heard: {loudest}");
    let (silent_length, silent_loudest) = rendered(&silence);
    assert!(silent_loudest <= 1.0, "dither at most: {silent_loudest}");
    // It renders in blocks of 64 frames, and two seconds more for notes to fade.
    let seconds = |frames: usize| frames as f64 / 22_050.0;
    assert!(
        (seconds(silent_length) - 8.0).abs() < 0.1,
        "{}",
        seconds(silent_length)
    );
    assert!(
        (seconds(length) - seconds(silent_length)).abs() < 1.5,
        "{}",
        seconds(length)
    );
}

//! Damaged, cut, hostile and misnamed files: clear answers, no panic, no endless work.

use std::io::Cursor;

use mediafs::library::probe::{Probe, ProbeError, probe};
use mediafs::model::Container;
use mediafs::silence::{Capsule, placeholder};
use proptest::prelude::*;
use serde_json::json;

use crate::handmade::{acid, chunk, extensible, fmt, noise, riff};
use crate::tools;

fn read(bytes: &[u8], name: &str) -> Result<Probe, ProbeError> {
    probe(&mut Cursor::new(bytes), name.as_bytes())
}

/// Small files of every container, with all that is parsed in them.
fn small_files() -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    tools::shell(
        folder.path(),
        "sox -R -D -r 44100 -b 24 -n -c 2 in.wav synth 300s whitenoise vol 0.5
         sox in.wav -b 16 a.aiff; sox in.wav -b 8 a8.wav
         sndfile-convert -float32 in.wav a.aifc
         sndfile-convert -ulaw in.wav u.aifc
         ffmpeg -v error -i in.wav -c:a pcm_s24be -metadata title=x a.caf
         ffmpeg -v error -i in.wav -c:a alac alac.caf
         ffmpeg -v error -i in.wav -rf64 always rf64.wav
         sox -D in.wav -e ms-adpcm ms.wav
         sox -D in.wav -e ima-adpcm ima.wav
         flac -s in.wav -S 100x -T TITLE=x -T BPM=99 -o a.flac --padding=50
         flac -s -c -b 64 --lax - < in.wav | cat > stream.flac
         { printf 'ID3\\x03\\0\\0\\0\\0\\0\\x14TIT2\\0\\0\\0\\x06\\0\\0\\x03hello\\0\\0\\0\\0'; cat a.flac; } > id3.flac
         rm in.wav",
    );
    let mut files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    files.push((
        "loop.wav".to_owned(),
        riff(&[
            chunk(b"fmt ", &extensible(2, 16, 16, 1)),
            chunk(b"acid", &acid(2, 57, 16, 127.5)),
            chunk(b"smpl", &[1; 60]),
            chunk(b"LIST", b"INFOINAM\x06\0\0\0Hello\0"),
            chunk(b"data", &noise(401)),
            chunk(
                b"id3 ",
                b"ID3\x04\0\0\0\0\0\x14TIT2\0\0\0\x06\0\0\x03hello\0\0\0\0",
            ),
        ]),
    ));
    files.push((
        "song.mid".to_owned(),
        b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x18\0\xff\x51\x03\x07\xa1\x20\0\x90\x3c\x40\x60\x3c\0\0\xff\x03\x01x\0\xff\x2f\0"
            .to_vec(),
    ));
    files.sort();
    files
}

/// Probes; where that gives something, reads the placeholders.
fn exercise(bytes: &[u8], name: &str) -> bool {
    let size = bytes.len() as u64;
    match read(bytes, name) {
        Ok(seen) => {
            if let Some(seconds) = seen.format.duration_seconds {
                assert!(seconds.is_finite() && seconds >= 0.0, "{name}");
            }
            for capsule in [seen.capsule.as_ref(), None] {
                if let Ok(silence) = placeholder(&seen.format, size, capsule) {
                    assert_eq!(silence.size(), size);
                    let mut made = vec![0; bytes.len() + 1];
                    assert_eq!(silence.read_at(0, &mut made), bytes.len(), "{name}");
                }
            }
            true
        }
        Err(ProbeError::Damaged { reason, .. }) => {
            assert!(!reason.is_empty());
            false
        }
        Err(ProbeError::NotMedia) => panic!("{name} promises media by its name"),
        Err(ProbeError::Io(error)) => panic!("{name}: {error}"),
    }
}

#[test]
fn every_truncation_gets_an_answer() {
    let (mut read, mut all) = (0, 0);
    for (name, bytes) in small_files() {
        assert!(exercise(&bytes, &name), "{name}");
        for length in 0..bytes.len() {
            read += usize::from(exercise(&bytes[..length], &name));
            all += 1;
        }
    }
    println!("{read} of {all} truncated files still have facts");
    assert!(read > 1000 && read < all);
}

#[test]
fn flipped_bits_never_panic() {
    let mut state = 12_345_u32;
    let mut random = |limit: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % limit
    };
    let (mut read, mut all) = (0, 0);
    for (name, bytes) in small_files() {
        for _ in 0..1500 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random(4) {
                // Mostly headers.
                let range = if random(3) == 0 {
                    bytes.len()
                } else {
                    bytes.len().min(200)
                };
                damaged[random(range)] ^= 1 << random(8);
            }
            read += usize::from(exercise(&damaged, &name));
            all += 1;
        }
    }
    println!("{read} of {all} damaged files still have facts");
    assert!(read > 1000 && read < all);
}

proptest! {
    #[test]
    fn random_bytes_behind_any_beginning_get_an_answer(
        start in prop::sample::select(vec![
            &b"RIFF\xff\xff\xff\xffWAVEfmt "[..], b"RF64\0\0\0\0WAVEds64", b"RIFX\0\0\0\0WAVE",
            b"FORM\0\0\0\0AIFC", b"FORM\0\0\0\0AIFFCOMM", b"caff\0\x01\0\0desc", b"fLaC\0\0\0\x22",
            b"fLaC\x80", b"MThd\0\0\0\x06\0\0\0\x01", b"ID3\x04\0\0\0\0\0\x10", b"",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let file = [start, &bytes].concat();
        match read(&file, "x.wav") {
            Ok(_) | Err(ProbeError::Damaged { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
        // Without a promise only first bytes decide.
        let _ = read(&file, "x");
    }

    #[test]
    fn random_capsules_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let seen = read(&riff(&[chunk(b"fmt ", &fmt(1, 2, 4, 16)), chunk(b"data", &noise(400))]), "x.wav").unwrap();
        let silence = placeholder(&seen.format, 444, Some(&Capsule { bytes })).unwrap();
        let mut made = [0; 444];
        prop_assert_eq!(silence.read_at(0, &mut made), 444);
        prop_assert_eq!(&made[..4], b"RIFF");
    }
}

#[test]
fn a_damaged_capsule_counts_as_none() {
    let bytes = riff(&[
        chunk(b"fmt ", &fmt(1, 2, 4, 16)),
        chunk(b"odd ", b"kept"),
        chunk(b"data", &noise(400)),
    ]);
    let seen = read(&bytes, "x.wav").unwrap();
    let size = bytes.len() as u64;
    let made = |capsule: &Capsule| {
        let silence = placeholder(&seen.format, size, Some(capsule)).unwrap();
        let mut made = vec![0; bytes.len()];
        silence.read_at(0, &mut made);
        made
    };
    let kept = |made: &[u8]| made.windows(4).any(|part| part == b"kept");
    let capsule = seen.capsule.clone().unwrap();
    assert!(kept(&made(&capsule)));
    for index in 0..capsule.bytes.len() {
        let mut damaged = capsule.clone();
        damaged.bytes[index] ^= 0x10;
        assert!(!kept(&made(&damaged)), "{index}");
        damaged.bytes.truncate(index);
        assert!(!kept(&made(&damaged)), "{index}");
    }
    // One of another file's size.
    let silence = placeholder(&seen.format, size + 2, Some(&capsule)).unwrap();
    assert_eq!(silence.size(), size + 2);
}

#[test]
fn what_is_no_media_is_told_apart_from_what_is_damaged() {
    let sf2 = [b"RIFF\x20\0\0\0sfbkLIST".as_slice(), &[0; 40]].concat();
    for (name, bytes) in [
        ("a.txt", b"hello".as_slice()),
        ("a.sfz", b"<region> sample=a.wav"),
        ("a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
        ("a.sf2", &sf2),
        ("a", b""),
        (".wav.txt", b"x"),
        ("no extension", b"\xff\xfb\x90\x44"),
        ("._a.wav", b"\0\x05\x16\x07\0\x02\0\0Mac OS X"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    ] {
        assert!(
            matches!(read(bytes, name), Err(ProbeError::NotMedia)),
            "{name}"
        );
    }
    for (name, bytes, container) in [
        ("a.wav", b"hello".as_slice(), "WAV"),
        ("a.WAV", b"", "WAV"),
        ("b.aif", b"", "AIFF"),
        ("a.flac", b"<html>", "FLAC"),
        ("a.wav", &sf2, "WAV"),
        ("a", b"fLaC", "FLAC"),
        ("a.bin", b"RIFF\0\0\0\0WAVE", "WAV"),
        (
            "a.wma",
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
            "Windows Media",
        ),
    ] {
        match read(bytes, name) {
            Err(ProbeError::Damaged {
                container: seen,
                reason,
            }) => {
                assert_eq!(seen, container, "{name}: {reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn arbitrary_binary_is_not_taken_for_mpeg_audio() {
    // Sync words everywhere, as pictures and programs have them.
    let mut bytes = noise(1 << 20);
    for at in (0..bytes.len() - 4).step_by(97) {
        bytes[at..at + 4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x44]);
    }
    for start in [0, 97, 98, 1000] {
        let seen = read(&bytes[start..], "firmware.bin");
        assert!(matches!(seen, Err(ProbeError::NotMedia)), "{seen:?}");
    }
}

#[test]
fn content_decides_and_the_name_is_noted() {
    let (_, flac) = small_files()
        .into_iter()
        .find(|(name, _)| name == "a.flac")
        .unwrap();
    let seen = read(&flac, "Kick 01.WAV").unwrap();
    assert_eq!(seen.format.container, Container::Flac);
    assert_eq!(seen.notes, ["is FLAC, named .WAV"]);
    for name in ["kick", "kick.flac", "kick.xyz"] {
        assert_eq!(read(&flac, name).unwrap().notes, Vec::<String>::new());
    }
}

#[test]
fn files_state_tempo_root_note_and_texts() {
    let files = small_files();
    let wave = &files.iter().find(|(name, _)| name == "loop.wav").unwrap().1;
    let flac = &files.iter().find(|(name, _)| name == "a.flac").unwrap().1;
    let has = |bytes: &[u8], name: &str, value: serde_json::Value| {
        let seen = read(bytes, "x").unwrap();
        assert!(
            seen.attributes.contains(&(name.to_owned(), value)),
            "{name}: {:?}",
            seen.attributes
        );
    };
    has(wave, "bpm", json!(127.5));
    has(wave, "beats", json!(16));
    has(wave, "timeSignature", json!("3/4"));
    has(wave, "rootNote", json!(57));
    has(wave, "title", json!("Hello"));
    has(flac, "title", json!("x"));
    has(flac, "bpm", json!(99.0));
    let one_shot = riff(&[
        chunk(b"fmt ", &fmt(1, 2, 4, 16)),
        chunk(b"acid", &acid(1, 60, 4, 120.0)),
        chunk(b"data", &noise(40)),
    ]);
    let seen = read(&one_shot, "x").unwrap();
    assert_eq!(seen.attributes, [("oneShot".to_owned(), json!(true))]);
}

#[test]
fn too_much_beside_the_sound_leaves_facts_only() {
    // 700 KB of text that can't be compressed is more than 256 KiB and than 3 % of the file.
    let text = |length| {
        riff(&[
            chunk(b"fmt ", &fmt(1, 2, 4, 16)),
            chunk(b"iXML", &noise(length)),
            chunk(b"data", &noise(400)),
        ])
    };
    let much = read(&text(700_000), "x.wav").unwrap();
    assert!(much.capsule.is_none());
    assert_eq!(much.format.frames, Some(100));
    let some = read(&text(200_000), "x.wav").unwrap();
    assert!(some.capsule.unwrap().bytes.len() > 200_000);
    // Unknown chunks are cut instead.
    let unknown = riff(&[
        chunk(b"fmt ", &fmt(1, 2, 4, 16)),
        chunk(b"PICT", &noise(700_000)),
        chunk(b"data", &noise(400)),
    ]);
    let size = read(&unknown, "x.wav")
        .unwrap()
        .capsule
        .unwrap()
        .bytes
        .len();
    assert!((65_536..66_000).contains(&size), "{size}");
}

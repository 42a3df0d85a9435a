//! Damaged, cut and misnamed files of other programs: clear answers, no panic, no endless work.

use mediafs::library::probe::ProbeError;
use mediafs::model::Container;
use mediafs::silence::placeholder;
use serde_json::json;

use crate::arbitrary::read;
use crate::handmade::{acid, chunk, extensible, fmt, noise, riff};
use crate::tools;

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

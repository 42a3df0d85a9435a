//! Bytes that nobody wrote as a sound, and what is known of a sound, damaged: clear answers, no panic.

use std::io::Cursor;

use mediafs::library::probe::{Probe, ProbeError, probe};
use mediafs::silence::{Capsule, placeholder};
use proptest::prelude::*;

use crate::handmade::{chunk, fmt, noise, riff};

pub(crate) fn read(bytes: &[u8], name: &str) -> Result<Probe, ProbeError> {
    probe(&mut Cursor::new(bytes), name.as_bytes())
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

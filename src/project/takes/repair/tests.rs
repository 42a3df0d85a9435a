#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Seek as _, Write as _};

use super::*;

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn bytes(mut file: File) -> Vec<u8> {
    let mut all = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut all).unwrap();
    all
}

/// What becomes of these bytes, and whether anything was told. Another repair changes nothing.
fn repaired(before: &[u8]) -> (Vec<u8>, bool) {
    let file = file(before);
    let told = repair(&file).unwrap();
    assert!(repair(&file).unwrap().is_empty(), "repaired for good");
    (bytes(file), !told.is_empty())
}

fn fmt(channels: u16, bits: u16) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut out = b"fmt \x10\0\0\0\x01\0".to_vec();
    out.extend(channels.to_le_bytes());
    out.extend(48_000_u32.to_le_bytes());
    out.extend((48_000 * u32::from(block)).to_le_bytes());
    out.extend(block.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out
}

/// A WAVE file that says of itself what it is told to say.
fn wave(riff: u32, data: u32, sound: &[u8], behind: &[u8]) -> Vec<u8> {
    let mut out = b"RIFF".to_vec();
    out.extend(riff.to_le_bytes());
    out.extend(b"WAVE");
    out.extend(fmt(2, 16));
    out.extend(b"data");
    out.extend(data.to_le_bytes());
    out.extend(sound);
    out.extend(behind);
    out
}

fn right_wave(sound: &[u8], behind: &[u8]) -> Vec<u8> {
    let length = u32::try_from(sound.len()).unwrap();
    let mut padded = sound.to_vec();
    if padded.len() % 2 == 1 {
        padded.push(0);
    }
    let whole = u32::try_from(36 + padded.len() + behind.len()).unwrap();
    wave(whole, length, &padded, behind)
}

/// Samples that are no ids of chunks.
fn sound(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 | 0x80).collect()
}

#[test]
fn lengths_that_were_never_written_are_found() {
    for length in [4, 400, 401, 402, 403, 1_000_003] {
        let sound = sound(length);
        let right = right_wave(&sound, b"");
        for announced in [0, u32::MAX, u32::MAX - 1, 0x7fff_ffff, 1_000_500, 2, 100] {
            if announced as usize == length {
                continue;
            }
            for riff in [0, u32::MAX, 36, 1] {
                let before = wave(riff, announced, &sound, b"");
                assert_eq!(
                    repaired(&before),
                    (right.clone(), true),
                    "{length} {announced}"
                );
            }
        }
        assert_eq!(repaired(&right), (right.clone(), false));
    }
}

#[test]
fn chunks_behind_the_sound_stay_what_they_are() {
    let list = b"LIST\x04\0\0\0INFOcue \x04\0\0\0\0\0\0\0";
    let right = right_wave(&sound(400), list);
    assert_eq!(repaired(&right), (right.clone(), false));
    // Only the length of the whole was not written.
    let before = wave(0, 400, &sound(400), list);
    assert_eq!(repaired(&before), (right, true));
    // What follows is no chunk: it was written on after the header was.
    let mut more = sound(400);
    more.extend(b"LIST\xff\xff\0\0 and what is no more a chunk");
    let before = wave(436, 400, &more, b"");
    assert_eq!(repaired(&before), (right_wave(&more, b""), true));
}

#[test]
fn what_has_no_sound_yet_is_left_as_it_is() {
    let nothing = wave(36, 0, b"", b"");
    assert_eq!(repaired(&nothing), (nothing.clone(), false));
    for cut in 0..44 {
        let before = &right_wave(&sound(40), b"")[..cut];
        assert_eq!(repaired(before).0, before, "cut at {cut}");
    }
    for other in [
        &b"fLaC0000000000000000"[..],
        b"OggS",
        b"",
        b"RIFF\0\0\0\0AVI LIST",
    ] {
        assert_eq!(repaired(other), (other.to_vec(), false));
    }
}

#[test]
fn facts_and_big_endian_lengths_are_written_too() {
    let with_fact = |riff: u32, frames: u32, data: u32| {
        let mut out = b"RIFF".to_vec();
        out.extend(riff.to_le_bytes());
        out.extend(b"WAVE");
        out.extend(fmt(1, 32));
        out.extend(b"fact\x04\0\0\0");
        out.extend(frames.to_le_bytes());
        out.extend(b"data");
        out.extend(data.to_le_bytes());
        out.extend(sound(4000));
        out
    };
    let (after, told) = repaired(&with_fact(0, 0, 0));
    assert_eq!((after, told), (with_fact(4048, 1000, 4000), true));
    let rifx = |riff: u32, data: u32| {
        let mut out = b"RIFX".to_vec();
        out.extend(riff.to_be_bytes());
        out.extend(b"WAVEfmt \0\0\0\x10\0\x01\0\x01\0\0\xbb\x80\0\x01\x77\0\0\x02\0\x10data");
        out.extend(data.to_be_bytes());
        out.extend(sound(100));
        out
    };
    assert_eq!(repaired(&rifx(0, 0)), (rifx(136, 100), true));
}

fn rf64(head: &[u8; 4], whole: u64, data: u64, frames: u64, sound: &[u8]) -> Vec<u8> {
    let mut out = head.to_vec();
    out.extend(b"\xff\xff\xff\xffWAVEds64\x1c\0\0\0");
    for number in [whole, data, frames] {
        out.extend(number.to_le_bytes());
    }
    out.extend([0; 4]);
    out.extend(fmt(2, 16));
    out.extend(b"data\xff\xff\xff\xff");
    out.extend(sound);
    out
}

#[test]
fn long_forms_say_it_in_64_bits() {
    for head in [b"RF64", b"BW64"] {
        let sound = sound(402);
        let right = rf64(head, 402 + 72, 402, 100, &sound);
        for (whole, data, frames) in [(0, 0, 0), (72, 0, 0), (u64::MAX, u64::MAX, 0), (9, 100, 25)]
        {
            let before = rf64(head, whole, data, frames, &sound);
            assert_eq!(repaired(&before), (right.clone(), true), "{data}");
        }
        assert_eq!(repaired(&right), (right.clone(), false));
    }
}

#[test]
fn a_short_form_that_grew_too_long_becomes_a_long_one() {
    let mut head = b"RIFF\0\0\0\0WAVEJUNK\x1c\0\0\0".to_vec();
    head.extend([0; 28]);
    head.extend(fmt(2, 16));
    head.extend(b"data\0\0\0\0");
    let file = file(&head);
    // With a hole, so that it takes no room.
    let size = (5_u64 << 30) + head.len() as u64;
    file.set_len(size).unwrap();
    assert!(!repair(&file).unwrap().is_empty());
    assert!(repair(&file).unwrap().is_empty());
    let mut start = vec![0; head.len()];
    assert_eq!(read(&file, 0, &mut start).unwrap(), head.len());
    let expected = rf64(b"RF64", size - 8, 5 << 30, (5 << 30) / 4, b"");
    assert_eq!(start, expected);
    assert_eq!(file.metadata().unwrap().len(), size);
}

fn aiff(form: u32, frames: u32, ssnd: u32, sound: &[u8]) -> Vec<u8> {
    let mut out = b"FORM".to_vec();
    out.extend(form.to_be_bytes());
    out.extend(b"AIFFCOMM\0\0\0\x12\0\x02");
    out.extend(frames.to_be_bytes());
    out.extend(b"\0\x10\x40\x0e\xbb\x80\0\0\0\0\0\0SSND");
    out.extend(ssnd.to_be_bytes());
    out.extend([0; 8]);
    out.extend(sound);
    out
}

#[test]
fn aiff_lengths_and_frames_are_found() {
    for length in [400, 401, 403] {
        let sound = sound(length);
        let mut padded = sound.clone();
        padded.resize(length.next_multiple_of(2), 0);
        let number = |n: usize| u32::try_from(n).unwrap();
        let right = aiff(
            number(padded.len() + 46),
            number(length / 4),
            number(length + 8),
            &padded,
        );
        for (form, frames, ssnd) in [
            (0, 0, 0),
            (46, 0, 8),
            (u32::MAX, u32::MAX, u32::MAX),
            (7, 3, 100),
        ] {
            let before = aiff(form, frames, ssnd, &sound);
            assert_eq!(repaired(&before), (right.clone(), true), "{length} {ssnd}");
        }
        assert_eq!(repaired(&right), (right.clone(), false));
    }
}

#[test]
fn caf_lengths_are_found() {
    let caf = |length: i64, sound: &[u8], behind: &[u8]| {
        let mut out = b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20".to_vec();
        out.extend([0; 32]);
        out.extend(b"data");
        out.extend(length.to_be_bytes());
        out.extend([0; 4]);
        out.extend(sound);
        out.extend(behind);
        out
    };
    let sound = sound(401);
    let right = caf(405, &sound, b"");
    for announced in [0, -1, 4, 100, i64::MAX, i64::MIN, 406] {
        let before = caf(announced, &sound, b"");
        assert_eq!(repaired(&before), (right.clone(), true), "{announced}");
    }
    let info = b"info\0\0\0\0\0\0\0\x04\0\0\0\0";
    let right = caf(405, &sound, info);
    assert_eq!(repaired(&right), (right.clone(), false));
}

proptest::proptest! {
    /// Whatever the bytes are: no panic, no byte of the sound is changed, and nothing more than one byte is added.
    #[test]
    fn hostile_headers_do_no_harm(
        start in 0..4_usize, mut body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)
    ) {
        let head = [&b"RIFF\0\0\0\0WAVE"[..], b"RF64\0\0\0\0WAVEds64", b"FORM\0\0\0\0AIFF", b"caff\0\x01\0\0"][start];
        let mut before = head.to_vec();
        before.append(&mut body);
        let file = file(&before);
        repair(&file).unwrap();
        let after = bytes(file);
        proptest::prop_assert!(after.len() == before.len() || after.len() == before.len() + 1);
    }
}

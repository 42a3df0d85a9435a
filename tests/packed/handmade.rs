//! Files as nothing here writes them: AAC in CAF, frames that go over chunks, laced blocks.

use std::fs;
use std::path::Path;

use crate::formats::folder;
use crate::judge::{capsule_bytes, probe_file};
use crate::tools;

/// The silence by a file's capsule is the same to ffprobe, decodes to as much, and is silent.
fn check(path: &Path) {
    let silent = path.with_file_name(format!(
        "silent-{}",
        path.file_name().unwrap().to_str().unwrap()
    ));
    fs::write(&silent, capsule_bytes(path)).unwrap();
    assert_eq!(tools::ffprobe(&silent), tools::ffprobe(path));
    let (heard, loudest) = tools::decoded(path);
    assert!(loudest > 0.1, "nothing to silence");
    assert_eq!(tools::decoded(&silent), (heard, 0.0));
    assert_eq!(probe_file(&silent).format, probe_file(path).format);
}

/// A chunk of CAF.
fn caf_chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&id[..], &(body.len() as u64).to_be_bytes(), body].concat()
}

#[test]
fn aac_in_caf_is_silenced() {
    let folder = folder("ffmpeg -v error -i s44.wav -c:a aac out/x.aac");
    let adts = fs::read(folder.path().join("out/x.aac")).unwrap();
    let (mut packets, mut lengths) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < adts.len() {
        let word = u32::from_be_bytes(adts[at + 3..at + 7].try_into().unwrap());
        let length = (word >> 13 & 0x1fff) as usize;
        packets.extend(&adts[at + 7..at + length]);
        lengths.push(length - 7);
        at += length;
    }
    let mut description = 44_100_f64.to_be_bytes().to_vec();
    description.extend(b"aac ");
    for word in [2_u32, 0, 1024, 2, 0] {
        description.extend(word.to_be_bytes());
    }
    let mut table = Vec::new();
    table.extend((lengths.len() as u64).to_be_bytes());
    table.extend((lengths.len() as u64 * 1024).to_be_bytes());
    table.extend([0; 8]);
    for length in &lengths {
        if *length > 127 {
            table.push((length >> 7) as u8 | 0x80);
        }
        table.push((length & 0x7f) as u8);
    }
    // Version and flags; descriptors of a stream, of its decoder, of the configuration: low complexity, stereo.
    let cookie = [
        0, 0, 0, 0, 3, 25, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0x12,
        0x10, 6, 1, 2,
    ];
    let with_cookie = [
        b"caff\0\x01\0\0".to_vec(),
        caf_chunk(b"desc", &description),
        caf_chunk(b"kuki", &cookie),
        caf_chunk(b"pakt", &table),
        caf_chunk(b"data", &[&[0; 4], packets.as_slice()].concat()),
    ]
    .concat();
    let path = folder.path().join("out/x.caf");
    fs::write(&path, with_cookie).unwrap();
    check(&path);
}

/// A chunk of RIFF with its pad byte.
fn riff_chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn list(kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    riff_chunk(b"LIST", &[&kind[..], &parts.concat()].concat())
}

#[test]
fn frames_of_mpeg_audio_go_over_chunks_of_avi() {
    let folder = folder("lame --quiet -t -b 128 s44.wav out/x.mp3");
    let sound = fs::read(folder.path().join("out/x.mp3")).unwrap();
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let header = words(&[0, 16_000, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let mut stream = b"auds\0\0\0\0".to_vec();
    stream.extend(words(&[
        0,
        0,
        0,
        1,
        16_000,
        0,
        sound.len() as u32,
        12_000,
        0,
        1,
        0,
        0,
    ]));
    let mut format = Vec::new();
    format.extend(0x55_u16.to_le_bytes());
    format.extend(2_u16.to_le_bytes());
    format.extend(words(&[44_100, 16_000]));
    for short in [1_u16, 0, 12, 1, 2, 0, 417, 1, 1393] {
        format.extend(short.to_le_bytes());
    }
    let headers = [
        riff_chunk(b"avih", &header),
        list(
            b"strl",
            &[riff_chunk(b"strh", &stream), riff_chunk(b"strf", &format)],
        ),
    ];
    // No multiple of a frame's length.
    let movie: Vec<_> = sound
        .chunks(1000)
        .map(|part| riff_chunk(b"00wb", part))
        .collect();
    let body = [
        b"AVI ".to_vec(),
        list(b"hdrl", &headers),
        list(b"movi", &movie),
    ]
    .concat();
    let path = folder.path().join("out/x.avi");
    fs::write(&path, riff_chunk(b"RIFF", &body)).unwrap();
    check(&path);
}

/// Blocks of several frames, in each of the three ways: what most encoders don't write and some do.
#[test]
fn frames_of_laced_blocks_are_silenced() {
    let folder = folder("ffmpeg -v error -i s44.wav -c:a libopus -vbr off -b:a 64k out/x.mka");
    let bytes = fs::read(folder.path().join("out/x.mka")).unwrap();
    let blocks = simple_blocks(&bytes);
    assert!(blocks.len() > 20);
    let mark = |id: [u8; 4]| bytes.windows(4).position(|found| found == id).unwrap();
    let cluster = mark([0x1f, 0x43, 0xb6, 0x75]);
    let segment = mark([0x18, 0x53, 0x80, 0x67]);
    for lacing in [1_u8, 2, 3] {
        // All of the frames in a cluster without a length, up to the cues and tags behind, which go.
        let mut laced = bytes[..cluster].to_vec();
        laced.extend([
            0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ]);
        laced.extend([0xe7, 0x81, 0]);
        // A segment's length is not known either.
        laced[segment + 4..segment + 12].copy_from_slice(&[1, 255, 255, 255, 255, 255, 255, 255]);
        let mut frames: Vec<&[u8]> = blocks.iter().map(|range| &bytes[range.clone()]).collect();
        if lacing == 2 {
            // All of one length.
            let usual = frames[frames.len() / 2].len();
            frames.retain(|frame| frame.len() == usual);
        }
        for (index, group) in frames.chunks(4).enumerate() {
            if group.len() < 4 {
                continue;
            }
            let mut block = vec![0x81];
            block.extend((index as u16 * 80).to_be_bytes());
            block.extend([0x80 | lacing << 1, 3]);
            match lacing {
                1 => {
                    for frame in &group[..3] {
                        block.extend(std::iter::repeat_n(255, frame.len() / 255));
                        block.push((frame.len() % 255) as u8);
                    }
                }
                3 => {
                    block.extend((0x4000 | group[0].len() as u16).to_be_bytes());
                    for pair in group[..3].windows(2) {
                        let more = pair[1].len() as i32 - pair[0].len() as i32;
                        block.extend((0x4000 | (more + 8191) as u16).to_be_bytes());
                    }
                }
                _ => {}
            }
            block.extend(group.concat());
            laced.push(0xa3);
            laced.extend((0x1000_0000 | block.len() as u32).to_be_bytes());
            laced.extend(block);
        }
        let path = folder.path().join(format!("out/laced{lacing}.mka"));
        fs::write(&path, laced).unwrap();
        check(&path);
    }
}

/// Where the only frame of each simple block of a file lies.
fn simple_blocks(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let number = |at: usize, marked: bool| {
        let width = bytes[at].leading_zeros() as usize + 1;
        let value = bytes[at..at + width]
            .iter()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let mask = if marked {
            u64::MAX
        } else {
            (1 << (7 * width)) - 1
        };
        (value & mask, width)
    };
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (id, width) = number(at, true);
        let (length, more) = number(at + width, false);
        let body = at + width + more;
        if id == 0xa3 {
            blocks.push(body + 4..body + length as usize);
        }
        let inner = matches!(id, 0x1853_8067 | 0x1f43_b675);
        at = if inner { body } else { body + length as usize };
    }
    blocks
}

/// What needs the whole file is made at once where that is small, else when the file passes.
#[test]
fn small_files_have_their_silence_at_once() {
    let folder = folder("ffmpeg -v error -i s44.wav -c:a libopus out/x.webm");
    let path = folder.path().join("out/x.webm");
    assert!(probe_file(&path).capsule.is_some());
    // Nine megabytes of nothing behind it.
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0xec, 0x10, 0x90, 0, 0]);
    bytes.resize(bytes.len() + 0x90_0000, 0);
    fs::write(&path, bytes).unwrap();
    assert!(probe_file(&path).capsule.is_none());
    check(&path);
}

//! Files whose headers are odd or wrong, byte by byte: each has the facts that ffprobe sees, or stands among those
//! where ffprobe is not followed.

use std::fs;
use std::path::Path;

use crate::facts::{judge, probe_file};
use crate::handmade::{chunk, extensible, fmt, noise, riff};

const RATE: u32 = 44_100;

/// A `fmt ` body of 20 bytes: IMA ADPCM in blocks of 256 bytes.
fn adpcm() -> Vec<u8> {
    let mut body = fmt(0x11, 2, 256, 4);
    body.extend([2, 0]);
    body.extend(249_u16.to_le_bytes());
    body
}

/// An RF64 file whose `ds64` chunk says that there are `length` bytes of data, 4,000 of which follow.
fn rf64(length: u64) -> Vec<u8> {
    let mut sizes = 4_100_u64.to_le_bytes().to_vec();
    sizes.extend(length.to_le_bytes());
    sizes.extend((length / 4).to_le_bytes());
    sizes.extend([0; 4]);
    let mut bytes = b"RF64\xff\xff\xff\xffWAVE".to_vec();
    bytes.extend(chunk(b"ds64", &sizes));
    bytes.extend(chunk(b"fmt ", &fmt(1, 2, 4, 16)));
    bytes.extend(b"data\xff\xff\xff\xff");
    bytes.extend(noise(4000));
    bytes
}

/// An IFF chunk.
fn iff(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_vec();
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// An AIFC file of 4,000 bytes of sound and a `COMM` chunk that ends with `coding`.
fn aifc(bits: u16, coding: &[u8]) -> Vec<u8> {
    let mut common = [0, 2, 0, 0, 3, 0xe8].to_vec();
    common.extend(bits.to_be_bytes());
    common.extend(b"\x40\x0e\xac\x44\0\0\0\0\0\0");
    common.extend(coding);
    let body = [
        b"AIFC".to_vec(),
        iff(b"COMM", &common),
        iff(b"SSND", &[vec![0; 8], noise(4000)].concat()),
    ]
    .concat();
    iff(b"FORM", &body)
}

/// A CAF file with two channels of linear PCM, little-endian, and a data chunk that says it is `length` bytes long.
fn caf(bits: u32, length: i64, behind: &[u8]) -> Vec<u8> {
    let mut bytes = b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20".to_vec();
    bytes.extend(f64::from(RATE).to_be_bytes());
    bytes.extend(b"lpcm");
    for field in [2, 2 * bits.div_ceil(8), 1, 2, bits] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(length.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(noise(4800));
    bytes.extend(behind);
    bytes
}

fn write_all(folder: &Path) -> Vec<std::path::PathBuf> {
    let wave =
        |body: Vec<u8>, length| riff(&[chunk(b"fmt ", &body), chunk(b"data", &noise(length))]);
    let with_fact = |body: Vec<u8>, frames: u32| {
        riff(&[
            chunk(b"fmt ", &body),
            chunk(b"fact", &frames.to_le_bytes()),
            chunk(b"data", &noise(4096)),
        ])
    };
    let cut = |mut file: Vec<u8>| {
        file.truncate(file.len() - 1002);
        file
    };
    let files = [
        // Bits decide, where the block can't be meant.
        ("block-of-6.wav", wave(fmt(1, 2, 12, 16), 4800)),
        ("block-of-8.wav", wave(fmt(1, 2, 16, 12), 4800)),
        ("block-of-4-for-8.wav", wave(fmt(1, 2, 8, 8), 4800)),
        ("mulaw-of-16.wav", wave(fmt(7, 2, 4, 16), 4000)),
        ("alaw-of-0.wav", wave(fmt(6, 2, 2, 0), 4000)),
        // No reader knows their samples, but all count their frames.
        ("float-of-16.wav", wave(fmt(3, 2, 4, 16), 4000)),
        ("float-of-24.wav", wave(fmt(3, 2, 6, 24), 4800)),
        ("bits-48.wav", wave(fmt(1, 2, 12, 48), 4800)),
        ("valid-8-in-16.wav", wave(extensible(2, 16, 8, 1), 4000)),
        ("valid-32-in-16.wav", wave(extensible(2, 16, 32, 1), 4000)),
        // 16 blocks of 249 frames: only the last one may be part of one.
        ("fact-in-last-block.wav", with_fact(adpcm(), 3900)),
        ("fact-of-one-block.wav", with_fact(adpcm(), 249)),
        ("cut-in-a-frame.wav", cut(wave(fmt(1, 2, 4, 16), 4000))),
        ("streamed.rf64", rf64(u64::MAX)),
        ("short-comm.aifc", aifc(16, b"")),
        ("small-none.aifc", aifc(16, b"none\0\0")),
        ("gsm.aifc", aifc(0, b"GSM \0\0")),
        ("bits-20.caf", caf(20, 4804, b"")),
        ("bits-64.caf", caf(64, 4804, b"")),
        ("float-of-24.caf", {
            let mut file = caf(24, 4804, b"");
            file[35] |= 1;
            file
        }),
        ("never-finished.caf", caf(16, 0, b"")),
        (
            "info-behind.caf",
            caf(16, 4804, b"info\0\0\0\0\0\0\0\x04\0\0\0\0"),
        ),
    ];
    files
        .into_iter()
        .map(|(name, bytes)| {
            let path = folder.join(format!("odd-{name}"));
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect()
}

#[test]
fn odd_files_have_the_facts_that_ffprobe_sees() {
    let folder = tempfile::tempdir().unwrap();
    judge(&write_all(folder.path()));
}

#[test]
fn odd_files_are_as_long_as_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path());
    let frames = |name: &str| {
        let format = probe_file(&folder.path().join(format!("odd-{name}"))).format;
        format.frames
    };
    assert_eq!(frames("valid-8-in-16.wav"), Some(1000));
    assert_eq!(frames("fact-in-last-block.wav"), Some(3900));
    assert_eq!(frames("fact-of-one-block.wav"), Some(3984));
    assert_eq!(frames("cut-in-a-frame.wav"), Some(749));
    assert_eq!(frames("streamed.rf64"), Some(1000));
    assert_eq!(frames("gsm.aifc"), Some(1000));
    assert_eq!(frames("info-behind.caf"), Some(1200));
}

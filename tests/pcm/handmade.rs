//! Files as odd programs write them, byte by byte.

use std::fs;
use std::path::Path;

const RATE: u32 = 44_100;

/// A RIFF chunk with its pad byte.
pub(crate) fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = unpadded(id, body);
    if body.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

fn unpadded(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_vec();
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A RIFF file of these chunks.
pub(crate) fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body: Vec<u8> = chunks.concat();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_le_bytes());
    bytes.extend_from_slice(b"WAVE");
    bytes.extend_from_slice(&body);
    bytes
}

/// A `fmt ` body of 16 bytes.
pub(crate) fn fmt(tag: u16, channels: u16, block: u16, bits: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&tag.to_le_bytes());
    bytes.extend_from_slice(&channels.to_le_bytes());
    bytes.extend_from_slice(&RATE.to_le_bytes());
    bytes.extend_from_slice(&(RATE * u32::from(block)).to_le_bytes());
    bytes.extend_from_slice(&block.to_le_bytes());
    bytes.extend_from_slice(&bits.to_le_bytes());
    bytes
}

/// A `fmt ` body of 40 bytes.
pub(crate) fn extensible(channels: u16, container: u16, valid: u16, tag: u16) -> Vec<u8> {
    let mut bytes = fmt(0xfffe, channels, channels * container / 8, container);
    bytes.extend_from_slice(&22_u16.to_le_bytes());
    bytes.extend_from_slice(&valid.to_le_bytes());
    bytes.extend_from_slice(&3_u32.to_le_bytes());
    bytes.extend_from_slice(&tag.to_le_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    bytes
}

/// Loud, and without any zero byte.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 | 1
        })
        .collect()
}

/// A 24-byte `acid` body.
pub(crate) fn acid(flags: u32, root: u16, beats: u32, tempo: f32) -> Vec<u8> {
    let mut bytes = flags.to_le_bytes().to_vec();
    bytes.extend_from_slice(&root.to_le_bytes());
    bytes.extend_from_slice(&0x8000_u16.to_le_bytes());
    bytes.extend_from_slice(&0_f32.to_le_bytes());
    bytes.extend_from_slice(&beats.to_le_bytes());
    bytes.extend_from_slice(&4_u16.to_le_bytes());
    bytes.extend_from_slice(&3_u16.to_le_bytes());
    bytes.extend_from_slice(&tempo.to_le_bytes());
    bytes
}

fn with_data_length(mut file: Vec<u8>, length: u32) -> Vec<u8> {
    let at = file.windows(4).position(|id| id == b"data").unwrap() + 4;
    file[at..at + 4].copy_from_slice(&length.to_le_bytes());
    file
}

pub(crate) fn write_all(folder: &Path) {
    let stereo = || chunk(b"fmt ", &fmt(1, 2, 4, 16));
    let data = |length| chunk(b"data", &noise(length));
    let info = || chunk(b"LIST", b"INFOINAM\x06\0\0\0Hello\0");
    let plain = || riff(&[stereo(), data(4000)]);
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("list-first", riff(&[info(), stereo(), data(4000)])),
        (
            "junk-first",
            riff(&[chunk(b"JUNK", &[7; 27]), stereo(), data(4000)]),
        ),
        ("odd-data", riff(&[stereo(), data(4001), info()])),
        (
            "odd-unpadded",
            riff(&[stereo(), unpadded(b"data", &noise(4001)), info()]),
        ),
        (
            "odd-list-unpadded",
            riff(&[
                unpadded(b"LIST", b"INFOINAM\x05\0\0\0Hello"),
                stereo(),
                data(4000),
            ]),
        ),
        (
            "odd-last",
            riff(&[stereo(), unpadded(b"data", &noise(4001))]),
        ),
        (
            "odd-id-first",
            riff(&[stereo(), chunk(b"\xff\xfe\x01\x02", b"abcd"), data(4000)]),
        ),
        ("zeros-first", riff(&[stereo(), vec![0; 16], data(4000)])),
        ("data-first", riff(&[data(4000), stereo()])),
        ("data-0", with_data_length(plain(), 0)),
        ("data-max", with_data_length(plain(), u32::MAX)),
        ("data-long", with_data_length(plain(), 5000)),
        ("data-sox-pipe", with_data_length(plain(), 0x7fff_ffdb)),
        ("empty", riff(&[stereo(), data(0)])),
        ("empty-with-list", riff(&[stereo(), data(0), info()])),
        (
            "float-short-fmt",
            riff(&[
                chunk(b"fmt ", &fmt(3, 2, 8, 32)),
                chunk(b"data", &[0x3e; 4000]),
            ]),
        ),
        (
            "fact-wrong",
            riff(&[stereo(), chunk(b"fact", &[77, 0, 0, 0]), data(4000)]),
        ),
        (
            "bits-20",
            riff(&[chunk(b"fmt ", &fmt(1, 2, 6, 20)), data(6000)]),
        ),
        (
            "bits-12",
            riff(&[chunk(b"fmt ", &fmt(1, 2, 4, 12)), data(4000)]),
        ),
        (
            "ext-16",
            riff(&[chunk(b"fmt ", &extensible(2, 16, 16, 1)), data(4000)]),
        ),
        (
            "ext-24",
            riff(&[chunk(b"fmt ", &extensible(2, 24, 24, 1)), data(6000)]),
        ),
        (
            "ext-20-in-24",
            riff(&[chunk(b"fmt ", &extensible(2, 24, 20, 1)), data(6000)]),
        ),
        (
            "ext-24-in-32",
            riff(&[chunk(b"fmt ", &extensible(2, 32, 24, 1)), data(8000)]),
        ),
        (
            "ext-valid-0",
            riff(&[chunk(b"fmt ", &extensible(2, 16, 0, 1)), data(4000)]),
        ),
        (
            "ext-float",
            riff(&[
                chunk(b"fmt ", &extensible(2, 32, 32, 3)),
                chunk(b"data", &[0x3e; 4000]),
            ]),
        ),
        (
            "block-wrong",
            riff(&[chunk(b"fmt ", &fmt(1, 2, 3, 16)), data(4000)]),
        ),
        ("garbage-behind", [plain(), b"garbage!".to_vec()].concat()),
        ("two-data", riff(&[stereo(), data(4000), data(400)])),
        (
            "picture",
            riff(&[
                stereo(),
                data(4000),
                chunk(b"PICT", &noise(300_001)),
                info(),
            ]),
        ),
        (
            "loop",
            riff(&[
                stereo(),
                chunk(b"acid", &acid(2, 57, 16, 127.5)),
                chunk(b"inst", &[64, 0, 0, 0, 127, 0, 127]),
                data(4000),
                chunk(
                    b"cue ",
                    &[
                        [1, 0, 0, 0, 1, 0, 0, 0].as_slice(),
                        &[0; 8],
                        b"data",
                        &[0; 8],
                    ]
                    .concat(),
                ),
                info(),
            ]),
        ),
    ];
    for (name, bytes) in files {
        fs::write(folder.join(format!("made-{name}.wav")), bytes).unwrap();
    }
    let mut rifx = b"RIFX\0\0\x0f\xc4WAVEfmt \0\0\0\x10\0\x01\0\x02\0\0\xac\x44\0\x02\xb1\x10\0\x04\0\x10data\0\0\x0f\xa0".to_vec();
    rifx.extend(noise(4000));
    fs::write(folder.join("made-rifx.wav"), rifx).unwrap();
    let mut aiff = b"FORM\0\0\x0f\xceAIFFSSND\0\0\x0f\xac\0\0\0\x04\0\0\0\0".to_vec();
    aiff.extend([0; 4]);
    aiff.extend(noise(4000));
    aiff.extend(b"COMM\0\0\0\x12\0\x02\0\0\x03\xe8\0\x10\x40\x0e\xac\x44\0\0\0\0\0\0");
    let form = (aiff.len() as u32 - 8).to_be_bytes();
    aiff[4..8].copy_from_slice(&form);
    fs::write(folder.join("made-ssnd-first.aiff"), aiff).unwrap();
}

//! Placeholders from facts, in shapes that no corpus has: any length, rate, number of channels and size.

#[cfg(target_os = "linux")]
use std::{fs::File, io::Write};

use mediafs::library::probe::probe;
use mediafs::model::{Codec, Container, Format};
use mediafs::silence::{Placeholder, placeholder};
use proptest::prelude::*;

use crate::adaptor::SilentFile;
#[cfg(target_os = "linux")]
use crate::tools;

/// Container, codec, bits a sample, floating point.
type Coding = (Container, &'static str, u16, bool);

const CODINGS: [Coding; 32] = [
    (Container::Wav, "pcm_u8", 8, false),
    (Container::Wav, "pcm_s16le", 16, false),
    (Container::Wav, "pcm_s24le", 24, false),
    (Container::Wav, "pcm_s32le", 32, false),
    (Container::Wav, "pcm_f32le", 32, true),
    (Container::Wav, "pcm_f64le", 64, true),
    (Container::Wav, "pcm_mulaw", 8, false),
    (Container::Wav, "pcm_alaw", 8, false),
    (Container::Aiff, "pcm_s8", 8, false),
    (Container::Aiff, "pcm_s16be", 16, false),
    (Container::Aiff, "pcm_s24be", 24, false),
    (Container::Aiff, "pcm_s32be", 32, false),
    (Container::Aiff, "pcm_s16le", 16, false),
    (Container::Aiff, "pcm_f32be", 32, true),
    (Container::Aiff, "pcm_f64be", 64, true),
    (Container::Aiff, "pcm_mulaw", 8, false),
    (Container::Aiff, "pcm_alaw", 8, false),
    (Container::Aiff, "pcm_u8", 8, false),
    (Container::Caf, "pcm_s8", 8, false),
    (Container::Caf, "pcm_s16le", 16, false),
    (Container::Caf, "pcm_s24be", 24, false),
    (Container::Caf, "pcm_s32le", 32, false),
    (Container::Caf, "pcm_f32be", 32, true),
    (Container::Caf, "pcm_f64le", 64, true),
    (Container::Caf, "pcm_mulaw", 8, false),
    (Container::Flac, "flac", 8, false),
    (Container::Flac, "flac", 12, false),
    (Container::Flac, "flac", 16, false),
    (Container::Flac, "flac", 20, false),
    (Container::Flac, "flac", 24, false),
    (Container::Flac, "flac", 32, false),
    (Container::Flac, "flac", 17, false),
];

fn format(coding: Coding, rate: u32, channels: u16, frames: u64) -> Format {
    let (container, codec, bits, float) = coding;
    Format {
        container,
        codec: Some(Codec(codec.to_owned())),
        sample_rate: Some(rate),
        channels: Some(channels),
        bit_depth: Some(bits),
        float,
        frames: Some(frames),
        duration_seconds: Some(frames as f64 / f64::from(rate)),
    }
}

/// Bytes that any original of this format has at least; `above` of them are header and more.
fn size(format: &Format, above: u64) -> u64 {
    let frames = format.frames.unwrap();
    let frame =
        u64::from(format.channels.unwrap()) * u64::from(format.bit_depth.unwrap()).div_ceil(8);
    let payload = match format.container {
        // What the silent frames need at least, and more.
        Container::Flac => frames.div_ceil(4096) * 64,
        _ => frames * frame,
    };
    payload + 100 + above
}

fn coding() -> impl Strategy<Value = Coding> {
    (0..CODINGS.len()).prop_map(|index| CODINGS[index])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_shape_is_probed_as_what_it_was_made_of(
        coding in coding(),
        rate in prop_oneof![
            Just(8000_u32), Just(44_100), Just(48_000), Just(96_000), Just(192_000), 1..655_350_u32
        ],
        channels in 1..=8_u16,
        frames in prop_oneof![0..5_u64, 0..50_000_u64, 0..20_000_000_u64],
        above in 0..2000_u64,
        reads in prop::collection::vec((any::<prop::sample::Index>(), 0..9000_usize), 8),
    ) {
        let format = format(coding, rate, channels, frames);
        let size = size(&format, above);
        let silence = placeholder(&format, size, None).unwrap();
        prop_assert_eq!(silence.size(), size);

        let mut file = SilentFile::new(silence);
        let seen = probe(&mut file, b"x").unwrap();
        prop_assert_eq!(&seen.format, &format);
        prop_assert!(seen.notes.is_empty(), "{:?}", seen.notes);

        // The placeholder is a capsule's; that of the placeholder gives the same bytes.
        let silence = placeholder(&format, size, None).unwrap();
        let again = placeholder(&format, size, seen.capsule.as_ref()).unwrap();
        for (index, length) in reads {
            let at = index.index(size as usize) as u64;
            let (mut once, mut twice) = (vec![0xaa; length], vec![0x55; length]);
            let count = silence.read_at(at, &mut once);
            prop_assert_eq!(count as u64, (size - at).min(length as u64));
            prop_assert_eq!(again.read_at(at, &mut twice), count);
            prop_assert_eq!(&once[..count], &twice[..count]);
            prop_assert!(once[count..].iter().all(|byte| *byte == 0xaa), "wrote behind the end");
            // One by one, the bytes are the same.
            for step in [0, 1, count / 2, count.saturating_sub(1)] {
                let mut byte = [0];
                if step < count {
                    prop_assert_eq!(silence.read_at(at + step as u64, &mut byte), 1);
                    prop_assert_eq!(byte[0], once[step]);
                }
            }
        }
    }
}

/// Reads the whole of `silence` in pieces of `piece` bytes.
fn read_all(silence: &dyn Placeholder, piece: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; piece];
    loop {
        let count = silence.read_at(bytes.len() as u64, &mut buffer);
        if count == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn pieces_of_any_length_give_the_same_bytes() {
    for coding in CODINGS {
        let format = format(coding, 44_100, 2, 9001);
        let silence = placeholder(&format, size(&format, 777), None).unwrap();
        let whole = read_all(silence.as_ref(), 1 << 20);
        assert_eq!(whole.len() as u64, silence.size());
        for piece in [1, 7, 61, 4096] {
            assert!(
                read_all(silence.as_ref(), piece) == whole,
                "{coding:?} by {piece}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn every_flac_shape_decodes_to_silence_of_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.flac");
    let mut judged = 0;
    for (bits, channels) in [
        (8, 1),
        (8, 2),
        (12, 1),
        (16, 1),
        (16, 8),
        (20, 2),
        (24, 2),
        (24, 8),
    ] {
        for frames in [0_u64, 1, 100, 256, 257, 4096, 4097, 12_345, 600_000] {
            for above in [0, 1, 2, 3, 4, 5, 300] {
                let format = format(
                    (Container::Flac, "flac", bits, false),
                    44_100,
                    channels,
                    frames,
                );
                // Header alone where there is nothing to play.
                let size = if frames == 0 {
                    42 + above
                } else {
                    size(&format, above)
                };
                let Ok(silence) = placeholder(&format, size, None) else {
                    assert!(frames == 0 && (1..4).contains(&above), "{format:?} {above}");
                    continue;
                };
                if frames == 0 || (above > 0 && frames != 12_345) {
                    continue;
                }
                std::fs::write(&path, read_all(silence.as_ref(), 9999)).unwrap();
                tools::run("flac", &["-t", "-s", path.to_str().unwrap()]);
                let told = tools::ffprobe(&path).unwrap();
                assert_eq!(told["streams"][0]["bits_per_raw_sample"], bits.to_string());
                let (samples, loudest) = tools::decoded(&path);
                assert_eq!(samples as u64, frames * u64::from(channels), "{format:?}");
                assert!(loudest == 0.0);
                judged += 1;
            }
        }
    }
    assert!(judged > 100, "{judged}");
}

#[cfg(target_os = "linux")]
#[test]
fn frame_numbers_of_every_length_are_right() {
    // Original frames are so short that the silent ones keep their block size: 2¹⁶ frames and more.
    let folder = tempfile::tempdir().unwrap();
    tools::shell(
        folder.path(),
        "sox -R -D -r 48000 -b 16 -n -c 1 x.wav synth 1060000s whitenoise vol 0.9
         flac -s --lax -b 16 x.wav -o x.flac",
    );
    let path = folder.path().join("x.flac");
    let seen = probe(&mut File::open(&path).unwrap(), b"x.flac").unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    let silence = placeholder(&seen.format, size, seen.capsule.as_ref()).unwrap();
    std::fs::write(&path, read_all(silence.as_ref(), 100_003)).unwrap();
    tools::run("flac", &["-t", "-s", path.to_str().unwrap()]);
    assert_eq!(tools::decoded(&path), (1_060_000, 0.0));
    let blocks = tools::run(
        "metaflac",
        &["--show-max-blocksize", path.to_str().unwrap()],
    );
    assert_eq!(blocks, b"16\n");
}

#[cfg(target_os = "linux")]
#[test]
fn sounds_beyond_4_gib_have_their_length_in_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    // Two channels of 24 bits: 9,600,000,000 bytes of sound.
    let frames = 1_600_000_000;
    for (coding, name, header) in [
        ((Container::Wav, "pcm_s24le", 24, false), "x.wav", 80),
        ((Container::Caf, "pcm_s24be", 24, false), "x.caf", 68),
    ] {
        let format = format(coding, 96_000, 2, frames);
        let size = frames * 6 + header;
        let silence = placeholder(&format, size, None).unwrap();
        let mut far = [0xaa; 4096];
        assert_eq!(silence.read_at(size - 4096, &mut far), 4096);
        assert!(far.iter().all(|byte| *byte == 0));
        let mut head = vec![0; 1 << 16];
        silence.read_at(0, &mut head);
        assert!(head[header as usize..].iter().all(|byte| *byte == 0));
        let seen = probe(&mut SilentFile::new(silence), name.as_bytes()).unwrap();
        assert_eq!(seen.format, format);

        // A hole stands for the zeros.
        let path = folder.path().join(name);
        let mut file = File::create(&path).unwrap();
        file.write_all(&head).unwrap();
        file.set_len(size).unwrap();
        let told = tools::ffprobe(&path).unwrap();
        assert_eq!(told["streams"][0]["duration_ts"], frames, "{name}");
        // By libsndfile, which reads no more than it is asked for. (soxi agrees on RF64, but reads all of it.)
        let reader = ["-V3", "-t", "sndfile", path.to_str().unwrap()];
        let one_frame = ["-n", "trim", "0", "1s"];
        let (_, told, success) = tools::attempt("sox", &[&reader[..], &one_frame].concat());
        assert!(success, "{told}");
        assert!(
            told.contains(&format!("= {frames} samples")),
            "{name}: {told}"
        );
    }
    // AIFF cannot be that long.
    let format = format((Container::Aiff, "pcm_s24be", 24, false), 96_000, 2, frames);
    assert!(placeholder(&format, frames * 6 + 54, None).is_err());
    // FLAC can: 12,000,000,000 samples, mostly padding.
    let format = self::format(
        (Container::Flac, "flac", 24, false),
        96_000,
        2,
        12_000_000_000,
    );
    let silence = placeholder(&format, 5_000_000_000, None).unwrap();
    let seen = probe(&mut SilentFile::new(silence), b"x.flac").unwrap();
    assert_eq!(seen.format, format);
}

#[test]
fn impossible_facts_are_refused() {
    let good = format(CODINGS[1], 44_100, 2, 1000);
    assert!(placeholder(&good, 4044, None).is_ok());
    let refused = |change: &dyn Fn(&mut Format), size: u64| {
        let mut facts = good.clone();
        change(&mut facts);
        let error = placeholder(&facts, size, None).err().unwrap();
        assert!(!error.reason.is_empty());
    };
    refused(&|_| {}, 0);
    refused(&|_| {}, 4043);
    refused(&|_| {}, u64::MAX);
    refused(&|facts| facts.frames = None, 4044);
    refused(&|facts| facts.frames = Some(u64::MAX), 4044);
    refused(&|facts| facts.channels = Some(0), 4044);
    refused(&|facts| facts.channels = None, 4044);
    refused(&|facts| facts.sample_rate = None, 4044);
    refused(&|facts| facts.codec = None, 4044);
    refused(&|facts| facts.codec = Some(Codec("dts".to_owned())), 4044);
    refused(&|facts| facts.container = Container::Flac, 40);
    refused(&|facts| facts.container = Container::Midi, 20);
    refused(&|facts| facts.container = Container::Caf, 60);
    for container in [
        Container::Wav,
        Container::Aiff,
        Container::Caf,
        Container::Flac,
    ] {
        for size in [1 << 20, (1 << 62) - 1] {
            let mut facts = good.clone();
            facts.container = container;
            facts.channels = Some(u16::MAX);
            facts.frames = Some(u64::MAX / 2);
            facts.sample_rate = Some(u32::MAX);
            facts.bit_depth = Some(u16::MAX);
            assert!(placeholder(&facts, size, None).is_err(), "{container:?}");
        }
    }
}

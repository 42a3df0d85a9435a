//! Silence from facts alone, for random facts and sizes and for files of many gigabytes: read back by the probe.

use std::io::{self, Read, Seek, SeekFrom};

use mediafs::library::probe::probe;
use mediafs::model::{Codec, Container, Format};
use mediafs::silence::{Placeholder, placeholder};
use proptest::prelude::*;

use crate::judge::{all_bytes, check_random_access};

/// A placeholder as a file.
struct Silent {
    silence: Box<dyn Placeholder>,
    at: u64,
}

impl Read for Silent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.silence.read_at(self.at, buffer);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Silent {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(back) => self.silence.size().checked_add_signed(back).unwrap(),
            SeekFrom::Current(by) => self.at.checked_add_signed(by).unwrap(),
        };
        Ok(self.at)
    }
}

fn format(container: Container, codec: &str, rate: u32, channels: u16, frames: u64) -> Format {
    Format {
        container,
        codec: Some(Codec(codec.to_owned())),
        sample_rate: Some(rate),
        channels: Some(channels),
        bit_depth: (codec == "alac").then_some(16),
        float: false,
        frames: Some(frames),
        duration_seconds: None,
    }
}

/// The probe reads back what the silence was made from.
fn check_read_back(format: &Format, silence: Box<dyn Placeholder>, size: u64) {
    assert_eq!(silence.size(), size);
    let mut file = Silent { silence, at: 0 };
    let name = match format.container {
        Container::Mp3 => "silence.mp3",
        Container::Ogg => "silence.ogg",
        _ => "silence.m4a",
    };
    let again = probe(&mut file, name.as_bytes()).unwrap().format;
    assert_eq!(again.container, format.container);
    assert_eq!(again.codec, format.codec);
    assert_eq!(again.sample_rate, format.sample_rate);
    assert_eq!(again.channels, format.channels);
    assert_eq!(again.frames, format.frames);
    assert_eq!(again.bit_depth, format.bit_depth);
}

const MPEG_RATES: [u32; 9] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
];

fn facts() -> impl Strategy<Value = (Format, u64)> {
    let frames = prop_oneof![0..5_000_u64, 0..6_000_000_u64];
    // Bytes a second, beside what is needed at least.
    let extra = prop_oneof![Just(0_u64), 0..400_u64, 0..3_000_000_u64];
    let kind = 0..5_usize;
    (kind, frames, extra, 0..9_usize, 1..=8_u16, 8_u64..48).prop_map(
        |(kind, frames, extra, rate, channels, kilobytes)| {
            let mpeg_rate = MPEG_RATES[rate];
            let format = match kind {
                0 => format(Container::Mp3, "mp3", mpeg_rate, 1 + channels % 2, frames),
                1 => format(Container::Ogg, "vorbis", mpeg_rate, channels, frames),
                2 => format(Container::Ogg, "opus", 48_000, channels, frames),
                3 => {
                    let channels = if channels == 7 { 8 } else { channels };
                    format(Container::Mp4, "aac", mpeg_rate, channels, frames)
                }
                _ => format(Container::Mp4, "alac", 96_000, 1 + channels % 2, frames),
            };
            let seconds = frames / u64::from(format.sample_rate.unwrap()) + 1;
            let size = 2_000 + seconds * kilobytes * 1000 + extra;
            (format, size)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn silence_from_facts_is_what_the_facts_say((format, size) in facts()) {
        let silence = placeholder(&format, size, None)
            .unwrap_or_else(|error| panic!("{format:?} in {size} bytes: {error}"));
        if size < 3_000_000 {
            let bytes = all_bytes(silence.as_ref());
            check_random_access(silence.as_ref(), &bytes);
        }
        check_read_back(&format, silence, size);
    }

    #[test]
    fn no_facts_make_it_panic(
        container in prop::sample::select(vec![Container::Mp3, Container::Ogg, Container::Mp4, Container::Aac]),
        codec in prop::sample::select(vec!["mp1", "mp2", "mp3", "vorbis", "opus", "aac", "alac", "flac", ""]),
        rate in prop_oneof![any::<u32>(), prop::sample::select(MPEG_RATES.to_vec())],
        channels in prop_oneof![any::<u16>(), 0..9_u16],
        frames in prop_oneof![any::<u64>(), 0..100_000_u64],
        size in prop_oneof![any::<u64>(), 0..2_000_000_u64],
        seconds in prop::option::of(any::<f64>()),
        at in any::<u64>(),
    ) {
        let mut format = format(container, codec, rate, channels, frames);
        format.duration_seconds = seconds;
        if let Ok(silence) = placeholder(&format, size, None) {
            prop_assert_eq!(silence.size(), size);
            let mut buffer = vec![0; 5_000];
            for at in [0, at, size.saturating_sub(4_000), at % size.max(1)] {
                let count = silence.read_at(at, &mut buffer);
                prop_assert_eq!(count as u64, size.saturating_sub(at).min(5_000));
            }
        }
    }
}

#[test]
fn many_gigabytes_cost_nothing() {
    for (container, codec, rate, channels) in [
        (Container::Mp3, "mp3", 44_100, 2),
        (Container::Ogg, "vorbis", 44_100, 2),
        (Container::Ogg, "opus", 48_000, 2),
        (Container::Mp4, "aac", 44_100, 2),
        (Container::Mp4, "alac", 96_000, 2),
    ] {
        // Three days; MP4 counts frames of the edit list in 64 bits, packets in 32.
        let frames = 3 * 86_400 * u64::from(rate) + 12_345;
        let size = 8_300_000_123;
        let format = format(container, codec, rate, channels, frames);
        let silence = placeholder(&format, size, None).unwrap();
        check_read_back(&format, silence, size);
    }
}

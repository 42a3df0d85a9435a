//! The facts that a probe reads, against ffprobe's.

use std::fs::File;
use std::path::{Path, PathBuf};

use mediafs::library::probe::{Probe, probe};
use serde_json::Value;

use crate::{corpus, tools};

/// Where ffprobe 5.1 is not followed, and why.
const DIFFERENT: [(&str, &str); 18] = [
    ("ff-pipe.flac", "ffprobe does not look for the last frame"),
    (
        "made-empty-with-list.wav",
        "ffprobe takes the LIST chunk for sound",
    ),
    (
        "made-ext-24-in-32.wav",
        "ffprobe mistakes it for an old format with floats; libsndfile does not",
    ),
    (
        "made-odd-list-unpadded.wav",
        "ffprobe does not find the next chunk without the pad byte",
    ),
    (
        "made-rifx.wav",
        "ffprobe swaps the bytes; sox and libsndfile do not",
    ),
    (
        "made-two-data.wav",
        "ffprobe takes the last data chunk; sox and libsndfile take the first",
    ),
    (
        "odd-cut-in-a-frame.wav",
        "ffprobe rounds the frame that is not whole up; decoders drop it",
    ),
    (
        "odd-fact-of-one-block.wav",
        "ffprobe counts the heads of the blocks as sound",
    ),
    (
        "odd-gsm.aifc",
        "ffprobe takes the number of frames for one of blocks; libsndfile does not",
    ),
    (
        "odd-info-behind.caf",
        "ffprobe counts the chunks behind the data chunk; libsndfile does not",
    ),
    ("odd-streamed.rf64", "ffprobe does not open it"),
    (
        "odd-valid-32-in-16.wav",
        "ffprobe takes the valid bits for those of the container; libsndfile does not",
    ),
    (
        "odd-valid-8-in-16.wav",
        "ffprobe takes the valid bits for those of the container; libsndfile does not",
    ),
    (
        "sf-alaw.caf",
        "ffprobe counts the byte behind the data chunk; libsndfile does not",
    ),
    (
        "sf-pcms8.caf",
        "ffprobe counts the byte behind the data chunk; libsndfile does not",
    ),
    (
        "sf-ulaw.caf",
        "ffprobe counts the byte behind the data chunk; libsndfile does not",
    ),
    (
        "truncated-s24.wav",
        "ffprobe believes the fact chunk; libsndfile counts what is there",
    ),
    (
        "truncated.aiff",
        "ffprobe believes the COMM chunk; libsndfile counts what is there",
    ),
];

pub(crate) fn probe_file(path: &Path) -> Probe {
    let name = path.file_name().unwrap().as_encoded_bytes();
    probe(&mut File::open(path).unwrap(), name)
        .unwrap_or_else(|error| panic!("{}: {error:?}", path.display()))
}

/// What differs, in words; empty where nothing does.
fn differences(path: &Path) -> Vec<String> {
    let ours = probe_file(path).format;
    let Some(theirs) = tools::ffprobe(path) else {
        return vec!["ffprobe cannot read it".to_owned()];
    };
    let stream = &theirs["streams"][0];
    let number = |name: &str| -> Option<u64> {
        match &stream[name] {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
        .filter(|number| *number > 0)
    };
    let mut found = Vec::new();
    let mut compare = |name: &str, ours: String, theirs: String| {
        if ours != theirs {
            found.push(format!("{name}: ours {ours}, ffprobe's {theirs}"));
        }
    };
    compare(
        "codec",
        ours.codec.map_or(String::new(), |codec| codec.0),
        stream["codec_name"].as_str().unwrap_or_default().to_owned(),
    );
    compare(
        "rate",
        format!("{:?}", ours.sample_rate.map(u64::from)),
        format!("{:?}", number("sample_rate")),
    );
    compare(
        "channels",
        format!("{:?}", ours.channels.map(u64::from)),
        format!("{:?}", number("channels")),
    );
    compare(
        "bits",
        format!("{:?}", ours.bit_depth.map(u64::from)),
        format!(
            "{:?}",
            number("bits_per_raw_sample").or(number("bits_per_sample"))
        ),
    );
    let samples = stream["sample_fmt"].as_str().unwrap_or_default();
    let coded = stream["codec_name"].as_str().unwrap_or_default();
    compare(
        "float",
        format!("{}", ours.float),
        format!(
            "{}",
            coded.starts_with("pcm_") && (samples.starts_with("flt") || samples.starts_with("dbl"))
        ),
    );
    compare(
        "frames",
        format!("{:?}", ours.frames.filter(|frames| *frames > 0)),
        format!("{:?}", number("duration_ts")),
    );
    found
}

pub(crate) fn judge(files: &[PathBuf]) {
    let mut wrong = Vec::new();
    let mut excused = 0;
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = differences(path);
        match DIFFERENT.iter().find(|(known, _)| *known == name) {
            Some((_, reason)) => {
                assert!(!found.is_empty(), "{name} agrees by now: {reason}");
                excused += 1;
            }
            None if found.is_empty() => {}
            None => wrong.push(format!("{name}: {}", found.join("; "))),
        }
    }
    println!(
        "{} files compared, {excused} differ for a known reason",
        files.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn generated_files_have_the_facts_that_ffprobe_sees() {
    let folder = tempfile::tempdir().unwrap();
    judge(&corpus::generate(folder.path()));
}

#[test]
fn real_sounds_have_the_facts_that_ffprobe_sees() {
    judge(&corpus::hydrogen());
}

//! Compares facts with what ffprobe and decoders say, and placeholders with their originals.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;

use mediafs::library::probe::{Probe, probe};
use mediafs::model::Kind;
use mediafs::silence::{Capsule, Placeholder, placeholder, whole_file_capsule};
use serde_json::Value;

use crate::{symphonia, tools};

/// What may be asked of the files of a format.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// ffprobe tells the stream's duration, and tells it right.
    pub(crate) duration: bool,
    /// How `frames` compares with what a decoder delivers.
    pub(crate) frames: Frames,
    /// There is a capsule.
    pub(crate) capsule: bool,
    /// There is silence from facts alone.
    pub(crate) from_facts: bool,
    /// ffmpeg may complain about what is behind the silence of a packet.
    pub(crate) complaints: bool,
    /// libsndfile hears something that is not there.
    pub(crate) heard_by_sndfile: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Frames {
    /// As ffmpeg decodes.
    Ffmpeg,
    /// As libsndfile says: ffmpeg 5.1 trims the end of some Vorbis files wrongly.
    Sndfile,
    /// ffmpeg 5.1 ignores the end of an edit list: up to a packet more.
    PacketMore,
    /// Not known.
    Unknown,
}

/// A format with everything.
pub(crate) const ALL: Rules = Rules {
    duration: true,
    frames: Frames::Ffmpeg,
    capsule: true,
    from_facts: true,
    complaints: false,
    heard_by_sndfile: false,
};

pub(crate) fn probe_file(path: &Path) -> Probe {
    let mut file = File::open(path).unwrap();
    let name = path.file_name().unwrap().as_encoded_bytes();
    probe(&mut file, name).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All bytes of a placeholder, read in uneven pieces.
pub(crate) fn all_bytes(silence: &dyn Placeholder) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0xaa; 65_521];
    loop {
        let count = silence.read_at(bytes.len() as u64, &mut buffer);
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(bytes.len() as u64, silence.size());
    bytes
}

/// Numbers that are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit.max(1)
    }
}

/// Reading anywhere gives what reading from the start gives.
pub(crate) fn check_random_access(silence: &dyn Placeholder, bytes: &[u8]) {
    let mut dice = Dice(bytes.len() as u64);
    for round in 0..40 {
        let at = dice.below(bytes.len() as u64 + 2);
        let length = dice.below(if round % 2 == 0 { 64 } else { 100_000 }) as usize;
        let mut buffer = vec![0x55; length];
        let count = silence.read_at(at, &mut buffer);
        let from = (at as usize).min(bytes.len());
        let expected = &bytes[from..(from + length).min(bytes.len())];
        assert_eq!(count, expected.len());
        assert!(buffer[..count] == *expected, "at {at}, {length} bytes");
        assert!(buffer[count..].iter().all(|byte| *byte == 0x55));
    }
}

/// The capsule of a file, however it is made.
pub(crate) fn capsule_of(path: &Path) -> Option<Capsule> {
    let probed = probe_file(path);
    probed.capsule.or_else(|| {
        let mut file = File::open(path).unwrap();
        whole_file_capsule(&probed.format, &mut file).unwrap()
    })
}

/// The silence by a file's capsule.
pub(crate) fn capsule_bytes(path: &Path) -> Vec<u8> {
    let size = fs::metadata(path).unwrap().len();
    let capsule = capsule_of(path).unwrap();
    let silence = placeholder(&probe_file(path).format, size, Some(&capsule)).unwrap();
    let bytes = all_bytes(silence.as_ref());
    assert_eq!(bytes.len() as u64, size);
    bytes
}

/// Judges one file in every way; what is wrong is told.
pub(crate) fn judge(path: &Path, rules: Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    let probed = probe_file(path);
    let channels = usize::from(probed.format.channels.unwrap_or(1));
    let decoded = tools::decoded(path).0 / channels;
    judge_facts(path, &probed, rules, decoded, &mut wrong);

    let size = fs::metadata(path).unwrap().len();
    let capsule = capsule_of(path);
    if capsule.is_some() != rules.capsule {
        wrong.push(format!("capsule: {}", capsule.is_some()));
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join(path.file_name().unwrap());
    if let Some(capsule) = &capsule {
        let silence = placeholder(&probed.format, size, Some(capsule)).unwrap();
        let bytes = all_bytes(silence.as_ref());
        check_random_access(silence.as_ref(), &bytes);
        fs::write(&target, &bytes).unwrap();
        judge_capsule(path, &target, &probed, decoded, rules, &mut wrong);
    }
    match placeholder(&probed.format, size, None) {
        Ok(silence) if rules.from_facts => {
            let bytes = all_bytes(silence.as_ref());
            assert_eq!(bytes.len() as u64, size);
            check_random_access(silence.as_ref(), &bytes);
            fs::write(&target, &bytes).unwrap();
            judge_made(&target, &probed, rules, &mut wrong);
        }
        Err(_) if !rules.from_facts => {}
        Ok(_) => wrong.push("there is silence from facts now".to_owned()),
        Err(error) => wrong.push(error.to_string()),
    }
    wrong
}

fn first_sound(told: &Value) -> Value {
    let streams = told["streams"].as_array().unwrap();
    streams
        .iter()
        .find(|stream| stream["codec_type"] == "audio")
        .unwrap()
        .clone()
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .or(value.as_f64())
}

fn judge_stream(probed: &Probe, stream: &Value, rules: Rules, wrong: &mut Vec<String>) {
    let format = &probed.format;
    let codec = format.codec.as_ref().map_or("", |codec| codec.0.as_str());
    if stream["codec_name"] != codec {
        wrong.push(format!("codec {codec}, not {}", stream["codec_name"]));
    }
    if number(&stream["sample_rate"]) != format.sample_rate.map(f64::from) {
        wrong.push(format!(
            "rate {:?}, not {}",
            format.sample_rate, stream["sample_rate"]
        ));
    }
    if number(&stream["channels"]) != format.channels.map(f64::from) {
        wrong.push(format!(
            "channels {:?}, not {}",
            format.channels, stream["channels"]
        ));
    }
    let bits = number(&stream["bits_per_raw_sample"])
        .or_else(|| number(&stream["bits_per_sample"]).filter(|bits| *bits > 0.0));
    if bits != format.bit_depth.map(f64::from) {
        wrong.push(format!("bits {:?}, not {bits:?}", format.bit_depth));
    }
    let (told, ours) = (number(&stream["duration"]), format.duration_seconds);
    let close = matches!((told, ours), (Some(told), Some(ours)) if (told - ours).abs() <= 0.001);
    if rules.duration && !close {
        wrong.push(format!("duration {ours:?}, not {told:?}"));
    }
}

fn judge_facts(path: &Path, probed: &Probe, rules: Rules, decoded: usize, wrong: &mut Vec<String>) {
    let told = tools::ffprobe(path).unwrap();
    judge_stream(probed, &first_sound(&told), rules, wrong);
    let still = |stream: &Value| stream["disposition"]["attached_pic"] == 1;
    let streams = told["streams"].as_array().unwrap();
    let video = streams
        .iter()
        .any(|stream| stream["codec_type"] == "video" && !still(stream));
    if video != (probed.kind == Kind::Video) {
        wrong.push(format!("kind {:?}", probed.kind));
    }
    let frames = probed.format.frames.map(|frames| frames as usize);
    let right = match rules.frames {
        Frames::Ffmpeg => frames == Some(decoded),
        Frames::Sndfile => {
            let told = tools::sndfile(path).unwrap();
            let line = told
                .lines()
                .find(|line| line.starts_with("Frames"))
                .unwrap();
            frames == line.rsplit(' ').next().unwrap().parse().ok()
        }
        Frames::PacketMore => {
            frames.is_some_and(|frames| frames <= decoded && decoded < frames + 4096)
        }
        Frames::Unknown => true,
    };
    if !right {
        wrong.push(format!("{frames:?} frames; ffmpeg decodes {decoded}"));
    }
}

/// How loud silence is: some codings have no zero.
fn quietest(probed: &Probe) -> f64 {
    let codec = probed.format.codec.as_ref();
    match codec.map_or("", |codec| codec.0.as_str()) {
        "pcm_alaw" | "gsm_ms" => 8.0 / 32_768.0,
        "adpcm_yamaha" => 15.0 / 32_768.0,
        // Decoders keep filters from standing still.
        "speex" => 0.000_01,
        _ => 0.0,
    }
}

fn judge_capsule(
    path: &Path,
    target: &Path,
    probed: &Probe,
    decoded: usize,
    rules: Rules,
    wrong: &mut Vec<String>,
) {
    let channels = usize::from(probed.format.channels.unwrap_or(1));
    let original = tools::ffprobe(path).unwrap();
    match tools::ffprobe(target) {
        Some(silent) => tools::differing("ffprobe", &original, &silent, wrong),
        None => wrong.push("ffprobe can't read the capsule's silence".to_owned()),
    }
    let (samples, loudest) = tools::decoded(target);
    let limit = quietest(probed);
    if samples / channels != decoded || loudest > limit {
        let samples = samples / channels;
        wrong.push(format!(
            "capsule: {samples} for {decoded} frames, as loud as {loudest}"
        ));
    }
    let errors = |path: &Path| {
        let path = path.to_str().unwrap();
        let arguments = [
            "-v", "error", "-i", path, "-map", "0:a:0", "-f", "null", "-",
        ];
        let (_, told, _) = tools::attempt("ffmpeg", &arguments);
        told
    };
    let told = errors(target);
    if !rules.complaints && told.lines().count() > errors(path).lines().count() {
        let first = told.lines().next().unwrap_or_default();
        wrong.push(format!(
            "ffmpeg complains about the capsule's silence: {first}"
        ));
    }
    if tools::soxi(path) != tools::soxi(target) {
        wrong.push("soxi tells the capsule's silence apart".to_owned());
    }
    if tools::sndfile(path) != tools::sndfile(target) {
        wrong.push("libsndfile tells the capsule's silence apart".to_owned());
    }
    let folder = target.parent().unwrap();
    if !rules.heard_by_sndfile
        && let Some(loudest) = tools::sndfile_loudest(target, folder)
        && loudest > limit
    {
        wrong.push(format!("libsndfile hears {loudest}"));
    }
    match (symphonia::decoded(path), symphonia::decoded(target)) {
        (Some((frames, errors, _)), Some((silent, silent_errors, loudest))) => {
            if (frames, errors) != (silent, silent_errors) || f64::from(loudest) > limit {
                wrong.push(format!(
                    "symphonia decodes {silent} frames with {silent_errors} errors, as loud as {loudest}, \
                     not {frames} with {errors}"
                ));
            }
        }
        (None, None) => {}
        _ => wrong.push("symphonia reads only one of them".to_owned()),
    }
    let again = probe_file(target);
    if again.format != probed.format || again.attributes != probed.attributes {
        wrong.push(format!("probed {probed:?}, now {again:?}"));
    }
}

/// Silence from facts: the same facts, the same length, nothing to hear.
fn judge_made(target: &Path, probed: &Probe, rules: Rules, wrong: &mut Vec<String>) {
    let channels = usize::from(probed.format.channels.unwrap_or(1));
    let Some(told) = tools::ffprobe(target) else {
        wrong.push("ffprobe can't read the silence from facts".to_owned());
        return;
    };
    let mut found = Vec::new();
    judge_stream(probed, &first_sound(&told), rules, &mut found);
    wrong.extend(found.into_iter().map(|what| format!("from facts: {what}")));
    let (samples, loudest) = tools::decoded(target);
    let frames = probed.format.frames.unwrap() as usize;
    let more = match rules.frames {
        Frames::PacketMore | Frames::Unknown => 4096,
        _ => 0,
    };
    let samples = samples / channels;
    if !(frames..=frames + more).contains(&samples) || loudest > 0.0 {
        wrong.push(format!(
            "from facts: {samples} for {frames} frames, as loud as {loudest}"
        ));
    }
    let again = probe_file(target).format;
    if again.frames != probed.format.frames || again.container != probed.format.container {
        wrong.push(format!(
            "from facts: probed {:?}, now {again:?}",
            probed.format
        ));
    }
}

/// Judges all files of a folder but those named; how many there were.
pub(crate) fn judge_all(folder: &Path, rules: impl Fn(&str) -> Option<Rules>) {
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let Some(rules) = rules(&name) else {
            continue;
        };
        count += 1;
        let found = judge(&folder.join(&name), rules);
        if !found.is_empty() {
            wrong.push(format!("{name}: {}", found.join("; ")));
        }
    }
    println!("{count} files judged");
    assert!(count > 0);
    assert!(wrong.is_empty(), "{count} files:\n{}", wrong.join("\n"));
}

/// Probes bytes, makes every placeholder that can be made of them, reads it. Nothing may panic.
pub(crate) fn exercise(bytes: &[u8], name: &str) -> bool {
    let mut source = Cursor::new(bytes);
    let Ok(probed) = probe(&mut source, name.as_bytes()) else {
        return false;
    };
    let capsule = match probed.capsule.clone() {
        Some(capsule) => Some(capsule),
        None => whole_file_capsule(&probed.format, &mut source).unwrap(),
    };
    for capsule in [capsule.as_ref(), None] {
        if let Ok(silence) = placeholder(&probed.format, bytes.len() as u64, capsule) {
            assert_eq!(silence.size(), bytes.len() as u64);
            all_bytes(silence.as_ref());
        }
    }
    true
}

//! Placeholders against their originals: the same in every reader, and silent.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use mediafs::library::probe::Probe;
use mediafs::silence::{Placeholder, placeholder};
use serde_json::Value;

use crate::facts::probe_file;
use crate::{corpus, tools};

/// A-law has no zero; this is its value closest to it.
const ALAW_QUIETEST: f64 = 8.0 / 32_768.0;

/// Readers that hear something where there is nothing.
const HEARD: [(&str, &str); 1] = [(
    "made-empty-with-list.wav",
    "ffmpeg takes the text behind the empty data chunk for sound, in the original as well",
)];

/// Writes the placeholder of what was probed to `target`, read in uneven pieces.
fn write(silence: &dyn Placeholder, target: &Path) {
    let mut file = File::create(target).unwrap();
    let mut at = 0;
    let mut buffer = vec![0xaa; 65_521];
    loop {
        let count = silence.read_at(at, &mut buffer);
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).unwrap();
        at += count as u64;
    }
    assert_eq!(at, silence.size());
}

/// Files in a coding that is not known, or of which there is no silence from facts alone.
fn codec(probe: &Probe) -> Option<&str> {
    probe.format.codec.as_ref().map(|codec| codec.0.as_str())
}

fn quietest(probe: &Probe) -> f64 {
    match &probe.format.codec {
        Some(codec) if codec.0 == "pcm_alaw" => ALAW_QUIETEST,
        _ => 0.0,
    }
}

/// Checks with sox, ffmpeg and libsndfile that `path` is silent; the number of samples that ffmpeg decodes.
fn judge_silence(path: &Path, folder: &Path, limit: f64, wrong: &mut Vec<String>) -> usize {
    let (samples, loudest) = tools::decoded(path);
    let mut check = |reader: &str, loudest: f64| {
        // What sox prints is rounded.
        if loudest > limit + 0.000_001 {
            wrong.push(format!("{reader} hears {loudest}"));
        }
    };
    check("ffmpeg", loudest);
    // sox 14.4.2 scales floats in CAF by their peak, also where that is zero, and hears -1 in any silent file.
    let name = path.to_str().unwrap();
    let scaled = name.ends_with(".caf") && probe_file(path).format.float;
    if !scaled && let Some(loudest) = tools::sox_loudest(path) {
        check("sox", loudest);
    }
    if let Some(loudest) = tools::sndfile_loudest(path, folder) {
        check("libsndfile", loudest);
    }
    samples
}

fn judge_capsules(files: &[PathBuf]) {
    let folder = tempfile::tempdir().unwrap();
    let mut all_wrong = Vec::new();
    let (mut compared, mut skipped) = (0, 0);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let probe = probe_file(path);
        if codec(&probe).is_none() {
            assert!(probe.capsule.is_none(), "{name}");
            skipped += 1;
            continue;
        }
        let size = fs::metadata(path).unwrap().len();
        let capsule = probe.capsule.as_ref();
        assert!(capsule.is_some(), "{name} has no capsule");
        let silence = placeholder(&probe.format, size, capsule).unwrap();
        let target = folder.path().join(name);
        write(silence.as_ref(), &target);
        let mut wrong = Vec::new();
        assert_eq!(fs::metadata(&target).unwrap().len(), size, "{name}");
        match (tools::ffprobe(path), tools::ffprobe(&target)) {
            (Some(original), Some(silent)) => {
                tools::differing("ffprobe", &original, &silent, &mut wrong);
                let original = tools::decoded(path).0;
                let limit = match HEARD.iter().find(|(known, _)| *known == name) {
                    Some(_) => 1.0,
                    None => quietest(&probe),
                };
                let silent = judge_silence(&target, folder.path(), limit, &mut wrong);
                if original != silent {
                    wrong.push(format!("ffmpeg decoded {original} samples, now {silent}"));
                }
            }
            (None, None) => {}
            _ => wrong.push("ffprobe reads only one of them".to_owned()),
        }
        if tools::soxi(path) != tools::soxi(&target) {
            wrong.push("soxi tells them apart".to_owned());
        }
        let (original, silent) = (tools::sndfile(path), tools::sndfile(&target));
        if original != silent {
            wrong.push(format!(
                "libsndfile tells them apart: {original:?} became {silent:?}"
            ));
        }
        let again = probe_file(&target);
        if again.format != probe.format
            || again.attributes != probe.attributes
            || again.notes != probe.notes
        {
            wrong.push(format!("probed {probe:?}, now {again:?}"));
        }
        if name.ends_with(".flac") {
            tools::run("flac", &["-t", "-s", target.to_str().unwrap()]);
        }
        fs::remove_file(&target).unwrap();
        compared += 1;
        if !wrong.is_empty() {
            all_wrong.push(format!("{name}: {}", wrong.join("; ")));
        }
    }
    println!("{compared} placeholders compared, {skipped} originals have none");
    assert!(compared > 0);
    assert!(all_wrong.is_empty(), "{}", all_wrong.join("\n"));
}

fn judge_facts(files: &[PathBuf]) {
    let folder = tempfile::tempdir().unwrap();
    let mut all_wrong = Vec::new();
    let mut compared = 0;
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let probe = probe_file(path);
        if matches!(codec(&probe), None | Some("alac")) {
            assert!(placeholder(&probe.format, 1 << 20, None).is_err(), "{name}");
            continue;
        }
        let size = fs::metadata(path).unwrap().len();
        let silence = placeholder(&probe.format, size, None)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let extension = path.extension().unwrap().to_str().unwrap();
        let target = folder.path().join(format!("silence.{extension}"));
        write(silence.as_ref(), &target);
        let mut wrong = Vec::new();
        assert_eq!(fs::metadata(&target).unwrap().len(), size, "{name}");
        let mut again = probe_file(&target).format;
        // RIFX is not made.
        again.codec.clone_from(&probe.format.codec);
        if again != probe.format {
            wrong.push(format!("probed {:?}, now {again:?}", probe.format));
        }
        let told = tools::ffprobe(&target);
        if probe.format.frames != Some(0) {
            let told = told.map_or(Value::Null, |told| told["streams"][0].clone());
            if told["duration_ts"] != Value::from(probe.format.frames) {
                wrong.push(format!("ffprobe sees {}", told["duration_ts"]));
            }
            let samples =
                judge_silence(&target, folder.path(), quietest(&probe), &mut wrong) as u64;
            let format = &probe.format;
            let due = format.frames.unwrap() * u64::from(format.channels.unwrap());
            let adpcm = format.codec.as_ref().unwrap().0.starts_with("adpcm");
            if samples != due && !(adpcm && samples > due) {
                wrong.push(format!("ffmpeg decodes {samples} samples, not {due}"));
            }
        }
        if let (Some(_), None) = (tools::sndfile(path), tools::sndfile(&target)) {
            wrong.push("libsndfile reads it no longer".to_owned());
        }
        compared += 1;
        if !wrong.is_empty() {
            all_wrong.push(format!("{name}: {}", wrong.join("; ")));
        }
    }
    println!("{compared} placeholders from facts compared");
    assert!(compared > 0);
    assert!(all_wrong.is_empty(), "{}", all_wrong.join("\n"));
}

#[test]
fn placeholders_of_generated_files_are_the_same_in_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    judge_capsules(&corpus::generate(folder.path()));
}

#[test]
fn placeholders_of_real_sounds_are_the_same_in_every_reader() {
    judge_capsules(&corpus::hydrogen());
}

#[test]
fn facts_alone_give_size_length_and_silence() {
    let folder = tempfile::tempdir().unwrap();
    judge_facts(&corpus::generate(folder.path()));
}

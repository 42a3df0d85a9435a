//! The judges: readers that others wrote. A machine without one of them fails the tests, it does not skip them.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs a program that must succeed; its standard output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let (output, errors, success) = attempt(program, arguments);
    assert!(success, "{program} {arguments:?} failed: {errors}");
    output
}

/// Runs a program that must exist; its standard output, standard error and success.
pub(crate) fn attempt(program: &str, arguments: &[&str]) -> (Vec<u8>, String, bool) {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.stdout, errors, output.status.success())
}

/// Runs a shell line in a folder.
pub(crate) fn shell(folder: &Path, line: &str) {
    let status = Command::new("bash")
        .args(["-o", "pipefail", "-ec", line])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&status.stderr)
    );
}

/// All that ffprobe says of the streams and the format, but the name. `None` where it can't read the file.
pub(crate) fn ffprobe(path: &Path) -> Option<Value> {
    let (output, _, success) = attempt(
        "ffprobe",
        &[
            "-v",
            "quiet",
            "-of",
            "json",
            "-show_streams",
            "-show_format",
            path.to_str().unwrap(),
        ],
    );
    if !success {
        return None;
    }
    let mut value: Value = serde_json::from_slice(&output).unwrap();
    value["format"].as_object_mut()?.remove("filename");
    Some(value)
}

/// What soxi says, but the name; `None` where it can't read the file.
pub(crate) fn soxi(path: &Path) -> Option<String> {
    let (output, _, success) = attempt("soxi", &[path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output).into_owned();
    success.then(|| without_lines(&text, &["Input File"]))
}

/// The parameters that sndfile-info shows; `None` where it can't read the file.
pub(crate) fn sndfile(path: &Path) -> Option<String> {
    let (output, _, success) = attempt("sndfile-info", &[path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output).into_owned();
    let (_, parameters) = text.rsplit_once("-----\nSample Rate")?;
    success.then(|| without_lines(parameters, &["Signal Max"]))
}

fn without_lines(text: &str, beginnings: &[&str]) -> String {
    text.lines()
        .filter(|line| !beginnings.iter().any(|start| line.starts_with(start)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Number of decoded samples, and the loudest of them in parts of full scale, as ffmpeg decodes.
pub(crate) fn decoded(path: &Path) -> (usize, f64) {
    let bytes = run(
        "ffmpeg",
        &[
            "-v",
            "quiet",
            "-i",
            path.to_str().unwrap(),
            "-map",
            "0:a:0",
            "-f",
            "f64le",
            "-",
        ],
    );
    let samples = bytes.chunks_exact(8);
    // Most are silent: told quickly.
    let loudest = samples
        .clone()
        .filter(|sample| *sample != [0; 8])
        .map(|sample| f64::from_le_bytes(sample.try_into().unwrap()).abs())
        .fold(0.0, f64::max);
    (samples.len(), loudest)
}

/// The loudest sample as libsndfile decodes; `None` where it can't read the file.
pub(crate) fn sndfile_loudest(path: &Path, folder: &Path) -> Option<f64> {
    let target = folder.join("converted.au");
    let (_, _, success) = attempt(
        "sndfile-convert",
        &["-pcm32", path.to_str().unwrap(), target.to_str().unwrap()],
    );
    if !success {
        return None;
    }
    let bytes = std::fs::read(&target).unwrap();
    std::fs::remove_file(&target).unwrap();
    let start = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let loudest = bytes[start..]
        .chunks_exact(4)
        .map(|sample| f64::from(i32::from_be_bytes(sample.try_into().unwrap())) / 2_147_483_648.0)
        .map(f64::abs)
        .fold(0.0, f64::max);
    Some(loudest)
}

/// The loudest sample as sox decodes; `None` where it can't read the file.
pub(crate) fn sox_loudest(path: &Path) -> Option<f64> {
    let (_, told, success) = attempt("sox", &[path.to_str().unwrap(), "-n", "stat"]);
    if !success {
        return None;
    }
    let value = |name: &str| -> Option<f64> {
        let line = told.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let (high, low) = (value("Maximum amplitude")?, value("Minimum amplitude")?);
    Some(high.abs().max(low.abs()))
}

/// What a judge says otherwise of the second of two files than of the first, by its path below `name`.
pub(crate) fn differing(name: &str, original: &Value, silent: &Value, wrong: &mut Vec<String>) {
    match (original, silent) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            for (key, value) in a {
                differing(&format!("{name}.{key}"), value, &b[key], wrong);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                differing(name, a, b, wrong);
            }
        }
        (a, b) if a == b => {}
        (a, b) => wrong.push(format!("{name}: {a} became {b}")),
    }
}

//! Measuring loops for `scripts/bench`: reads and look-ups as a program on any mount would make them, timed here, so
//! that no interpreter is in the figures. Knows nothing of what is mounted; prints one line of JSON on stdout.
//!
//! ```text
//! measure seq FILE [--block BYTES] [--passes N]               read from start to end
//! measure random FILE [--block BYTES] [--count N] [--seed S]  pread at random multiples of BYTES
//! measure oneshots LIST [--count N]                           open, read whole, close
//! measure stat LIST [--count N]                               lstat
//! ```
//!
//! LIST holds paths, each ended by a NUL byte (as `find -print0` writes). `seq`, `random` and `oneshots` go once over
//! everything before they measure, so what they measure is hot, and `--cold` leaves that out. `stat` never does it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What to do, from the command line.
struct Job {
    verb: String,
    path: PathBuf,
    /// Bytes per read.
    block: usize,
    /// Reads, or files; `None` for each file of the list once.
    count: Option<usize>,
    /// How often `seq` goes over the file.
    passes: usize,
    seed: u64,
    /// Measure without going over everything first.
    cold: bool,
}

fn main() -> ExitCode {
    let job = match parse(std::env::args_os().skip(1)) {
        Ok(job) => job,
        Err(message) => {
            eprintln!(
                "measure: {message}\nusage: measure seq|random FILE or oneshots|stat LIST, with --block BYTES --count N --passes N --seed S --cold"
            );
            return ExitCode::from(2);
        }
    };
    let line = match job.verb.as_str() {
        "seq" => sequential(&job),
        "random" => random(&job),
        "oneshots" => oneshots(&job),
        _ => stat(&job),
    };
    match line {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("measure: {} {}: {error}", job.verb, job.path.display());
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Job, String> {
    let mut plain = Vec::new();
    let mut job = Job {
        verb: String::new(),
        path: PathBuf::new(),
        block: 0,
        count: None,
        passes: 1,
        seed: 1,
        cold: false,
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let option = argument
            .to_str()
            .filter(|text| text.starts_with("--"))
            .map(str::to_owned);
        match option.as_deref() {
            None => plain.push(argument),
            Some("--cold") => job.cold = true,
            Some(name) => {
                let value = arguments
                    .next()
                    .and_then(|value| value.to_str()?.parse::<u64>().ok());
                let value = value.ok_or_else(|| format!("{name} wants a number"))?;
                let size = usize::try_from(value).map_err(|_| format!("{name} is too large"))?;
                match name {
                    "--block" if (1..=1 << 30).contains(&size) => job.block = size,
                    "--block" => return Err("--block wants 1 to 1073741824".to_owned()),
                    "--count" if size > 0 => job.count = Some(size),
                    "--passes" if size > 0 => job.passes = size,
                    "--count" | "--passes" => return Err(format!("{name} wants 1 or more")),
                    "--seed" => job.seed = value,
                    _ => return Err(format!("unknown option {name}")),
                }
            }
        }
    }
    let [verb, path] =
        <[_; 2]>::try_from(plain).map_err(|_| "wants what to do, and a path".to_owned())?;
    job.verb = verb.to_string_lossy().into_owned();
    job.path = PathBuf::from(path);
    if job.block == 0 {
        job.block = if job.verb == "seq" { 1 << 20 } else { 4096 };
    }
    match job.verb.as_str() {
        "seq" | "random" | "oneshots" | "stat" => Ok(job),
        other => Err(format!("unknown: {other}")),
    }
}

/// Reads the file from start to end with plain `read`s.
fn sequential(job: &Job) -> io::Result<String> {
    let mut buffer = vec![0; job.block];
    let mut pass = || -> io::Result<u64> {
        let mut file = File::open(&job.path)?;
        let mut bytes = 0;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(bytes),
                count => bytes += count as u64,
            }
        }
    };
    if !job.cold {
        pass()?;
    }
    let started = Instant::now();
    let mut bytes = 0;
    for _ in 0..job.passes {
        bytes += pass()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = bytes as f64 / seconds / f64::from(1 << 20);
    Ok(format!(
        r#"{{"bytes": {bytes}, "seconds": {seconds:.6}, "mibPerSecond": {rate:.1}}}"#
    ))
}

/// Reads blocks at random through one handle.
fn random(job: &Job) -> io::Result<String> {
    let file = File::open(&job.path)?;
    let blocks = file.metadata()?.len() / job.block as u64;
    if blocks == 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the file is smaller than one block",
        ));
    }
    let mut buffer = vec![0; job.block];
    if !job.cold {
        for block in 0..blocks {
            read_exact_at(&file, &mut buffer, block * job.block as u64)?;
        }
    }
    let count = job.count.unwrap_or(100_000);
    let mut times = Vec::with_capacity(count);
    let mut next = Random(job.seed.wrapping_mul(2).wrapping_add(1));
    let started = Instant::now();
    let mut before = started;
    for _ in 0..count {
        read_exact_at(&file, &mut buffer, next.below(blocks) * job.block as u64)?;
        let now = Instant::now();
        times.push(now - before);
        before = now;
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    Ok(format!(
        r#"{{"reads": {count}, "seconds": {seconds:.6}, "readsPerSecond": {rate:.0}, {}}}"#,
        percentiles(&mut times)
    ))
}

/// Opens, reads and closes file after file.
fn oneshots(job: &Job) -> io::Result<String> {
    let paths = list(&job.path)?;
    let mut buffer = vec![0; 1 << 16];
    let mut once = |path: &Path| -> io::Result<u64> {
        let mut file = File::open(path)?;
        let mut bytes = 0;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(bytes),
                count => bytes += count as u64,
            }
        }
    };
    if !job.cold {
        for path in &paths {
            once(path).map_err(|error| naming(path, &error))?;
        }
    }
    let count = job.count.unwrap_or(paths.len());
    let mut times = Vec::with_capacity(count);
    let mut bytes = 0;
    let started = Instant::now();
    let mut before = started;
    for path in paths.iter().cycle().take(count) {
        bytes += once(path).map_err(|error| naming(path, &error))?;
        let now = Instant::now();
        times.push(now - before);
        before = now;
    }
    let seconds = started.elapsed().as_secs_f64();
    let each = seconds * 1e6 / count as f64;
    Ok(format!(
        r#"{{"files": {count}, "bytes": {bytes}, "seconds": {seconds:.6}, "microsEach": {each:.2}, {}}}"#,
        percentiles(&mut times)
    ))
}

/// Asks for the attributes of each path.
fn stat(job: &Job) -> io::Result<String> {
    let paths = list(&job.path)?;
    let count = job.count.unwrap_or(paths.len());
    let mut times = Vec::with_capacity(count);
    let started = Instant::now();
    let mut before = started;
    for path in paths.iter().cycle().take(count) {
        std::fs::symlink_metadata(path).map_err(|error| naming(path, &error))?;
        let now = Instant::now();
        times.push(now - before);
        before = now;
    }
    let seconds = started.elapsed().as_secs_f64();
    let each = seconds * 1e6 / count as f64;
    Ok(format!(
        r#"{{"paths": {count}, "seconds": {seconds:.6}, "microsEach": {each:.2}, {}}}"#,
        percentiles(&mut times)
    ))
}

/// The paths of a list file, each ended by a NUL byte.
fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read(path)?;
    let paths: Vec<PathBuf> = text
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(to_path)
        .collect();
    if paths.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the list names no file",
        ));
    }
    Ok(paths)
}

#[cfg(unix)]
fn to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match std::os::windows::fs::FileExt::seek_read(
            file,
            &mut buffer[done..],
            offset + done as u64,
        )? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => done += count,
        }
    }
    Ok(())
}

/// The same error, saying for which of many files.
fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Median, 99th and 99.9th percentile and the longest in microseconds, as JSON fields; zero where nothing was timed.
fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: f64| {
        let index = (times.len() as f64 * part) as usize;
        times
            .get(index)
            .or(times.last())
            .map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    format!(
        r#""p50Micros": {:.2}, "p99Micros": {:.2}, "p999Micros": {:.2}, "maxMicros": {:.2}"#,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}

/// Xorshift64: quick enough not to be seen in the figures, and the same for the same seed. Never zero.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

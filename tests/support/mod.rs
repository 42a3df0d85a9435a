//! A drive for tests: the real binary with a home, libraries and a mount point of its own, gone without a trace at the
//! end, however the test ends.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)]

pub mod chance;
// What is made of mounts and signals of Linux.
#[cfg(target_os = "linux")]
pub mod cloud;
#[cfg(target_os = "linux")]
pub mod janitor;
#[cfg(target_os = "linux")]
pub mod matrix;
#[cfg(target_os = "linux")]
mod mounted;
#[cfg(target_os = "linux")]
pub mod players;
#[cfg(target_os = "linux")]
pub mod rclone;
pub mod sounds;
#[cfg(target_os = "linux")]
pub mod volumes;

#[cfg(target_os = "linux")]
pub use mounted::{Mounted, detach};

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub const MEDIAFS: &str = env!("CARGO_BIN_EXE_mediafs");

/// What a change on a trusted local disk may take to show on the drive, with slack for a loaded machine.
pub const SHOWN_WITHIN: Duration = Duration::from_secs(6);

/// A home with a mount point beside it.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mediafs-test-")
            .tempdir()
            .unwrap();
        for name in ["home", "mnt", "library"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub fn mount_point(&self) -> PathBuf {
        self.path("mnt")
    }

    /// A folder that is usually given as the library root.
    pub fn library(&self) -> PathBuf {
        self.path("library")
    }

    /// A path in the mount.
    pub fn on_drive(&self, path: impl AsRef<Path>) -> PathBuf {
        self.mount_point().join(path)
    }

    /// A command of `mediafs` in this home.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(MEDIAFS);
        command
            .arg("--home")
            .arg(self.home())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed; gives its standard output.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "mediafs failed: {}", show(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `--json`.
    pub fn json<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "mediafs failed: {}", show(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The items of the home, as `ls --json` gives them.
    pub fn items(&self) -> Vec<Value> {
        self.json(["ls"]).as_array().unwrap().clone()
    }

    /// The item whose resolved or recorded path ends so.
    pub fn item(&self, path: &str) -> Value {
        let items = self.items();
        let found = items.iter().find(|item| {
            [&item["resolvedPath"], &item["storage"]["path"]]
                .iter()
                .any(|p| p.as_str().is_some_and(|p| p.ends_with(path)))
        });
        found
            .unwrap_or_else(|| panic!("no item {path} among {items:#?}"))
            .clone()
    }

    /// Waits until the library holds so many items, each with its facts.
    pub fn wait_for_items(&self, count: usize) -> Vec<Value> {
        let mut items = Vec::new();
        wait_until(Duration::from_secs(60), &format!("{count} items"), || {
            items = self.items();
            items.len() == count && items.iter().all(|item| !item["format"].is_null())
        });
        items
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        {
            detach(&self.mount_point());
            // The unmounted mount point is read-only on purpose.
            let _ = Command::new("chmod")
                .arg("-R")
                .arg("u+w")
                .arg(self.folder.path())
                .status();
        }
    }
}

/// What a program printed, for messages.
pub fn show(output: &Output) -> String {
    format!(
        "{} stdout: {} stderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a program that must be there; gives what it did.
pub fn program<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("{name} is needed for this test ({error}); scripts/test installs it")
        })
}

/// Runs a program that must succeed; gives its standard output.
pub fn succeed<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = program(name, arguments);
    assert!(output.status.success(), "{name} failed: {}", show(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How many times as long as elsewhere all takes on this machine: `scripts/nfs-kernel` says it of one without /dev/kvm.
pub fn slowness() -> u32 {
    let said = std::env::var("MEDIAFS_TEST_SLOWNESS").ok();
    said.map_or(1, |times| times.parse().expect("a number of times"))
}

/// Waits for something that must come true.
pub fn wait_until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let limit = limit * slowness();
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < limit,
            "waited {limit:?} in vain for: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The path of an item on the drive, relative to the mount.
pub fn path_of(item: &Value) -> &str {
    item["path"].as_str().unwrap()
}

/// Mounts are by NFS here: see `scripts/nfs-kernel`.
pub fn by_nfs() -> bool {
    std::env::var_os("MEDIAFS_TEST_TRANSPORT").is_some_and(|word| word == "nfs")
}

/// How the drive is mounted: with passthrough and without. By NFS there is none.
pub fn modes() -> &'static [&'static [&'static str]] {
    const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];
    match by_nfs() {
        true => &MODES[1..],
        false => &MODES,
    }
}

/// Waits until what has changed on the drive shows to everybody: at once, but by NFS, whose client asks again after a second.
pub fn settle() {
    if by_nfs() {
        std::thread::sleep(Duration::from_millis(1200));
    }
}

/// What ffprobe says of the first audio stream.
pub fn ffprobe(path: &Path) -> Value {
    let output = program(
        "ffprobe",
        [
            "-v",
            "error",
            "-select_streams",
            "a:0",
            "-show_entries",
            "stream=codec_name,sample_rate,channels,duration,duration_ts,bits_per_sample",
            "-of",
            "json",
        ]
        .iter()
        .map(OsStr::new)
        .chain([path.as_os_str()]),
    );
    assert!(
        output.status.success(),
        "ffprobe {}: {}",
        path.display(),
        show(&output)
    );
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    json["streams"][0].clone()
}

/// The loudest sample that sox finds, as a number.
pub fn loudest(path: &Path) -> f64 {
    let output = program(
        "sox",
        [path.as_os_str(), OsStr::new("-n"), OsStr::new("stat")],
    );
    assert!(
        output.status.success(),
        "sox {}: {}",
        path.display(),
        show(&output)
    );
    let text = String::from_utf8_lossy(&output.stderr);
    let amplitude = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in {text}"));
        line.split(':')
            .nth(1)
            .unwrap()
            .trim()
            .parse::<f64>()
            .unwrap()
    };
    amplitude("Maximum amplitude")
        .abs()
        .max(amplitude("Minimum amplitude").abs())
}

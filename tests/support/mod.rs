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

pub mod cloud;
pub mod janitor;
pub mod matrix;
pub mod players;
pub mod rclone;
pub mod sounds;
pub mod volumes;

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

    /// Mounts with the home's library as root.
    pub fn mount(&self) -> Mounted<'_> {
        self.mount_with(&["--library".as_ref(), self.library().as_os_str()])
    }

    /// Mounts in a process that was started with a soft limit of open files.
    pub fn mount_limited(&self, files: u32) -> Mounted<'_> {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                &format!("ulimit -S -n {files} && exec \"$0\" \"$@\""),
                MEDIAFS,
            ])
            .arg("--home")
            .arg(self.home())
            .arg("mount")
            .arg(self.mount_point())
            .arg("--library")
            .arg(self.library())
            .stdin(Stdio::null());
        self.mounted(command)
    }

    pub fn mount_with(&self, arguments: &[&OsStr]) -> Mounted<'_> {
        let mut command = self.command(["mount".as_ref(), self.mount_point().as_os_str()]);
        command.args(arguments);
        self.mounted(command)
    }

    fn mounted(&self, mut command: Command) -> Mounted<'_> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut daemon = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if !line.starts_with("ready ") {
            let mut errors = String::new();
            daemon
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut errors)
                .unwrap();
            let _ = daemon.kill();
            let _ = daemon.wait();
            panic!("the drive was not mounted: {line:?} {errors}");
        }
        // Keep its standard error flowing, so that it never blocks on a full pipe.
        let errors = daemon.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                eprintln!("daemon: {line}");
            }
        });
        Mounted {
            home: self,
            daemon: Some(daemon),
        }
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
        detach(&self.mount_point());
        // The unmounted mount point is read-only on purpose.
        let _ = Command::new("chmod")
            .arg("-R")
            .arg("u+w")
            .arg(self.folder.path())
            .status();
    }
}

/// Takes a mount away, dead or alive.
pub fn detach(mount_point: &Path) {
    let mounted = || {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        table
            .lines()
            .any(|line| line.split(' ').nth(4) == mount_point.to_str())
    };
    for _ in 0..5 {
        if !mounted() {
            return;
        }
        let _ = Command::new("fusermount3")
            .arg("-uzq")
            .arg(mount_point)
            .stderr(Stdio::null())
            .status();
        if mounted() {
            let _ = Command::new("umount")
                .arg("-l")
                .arg(mount_point)
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// A running daemon with its drive.
pub struct Mounted<'a> {
    home: &'a Home,
    daemon: Option<Child>,
}

impl Mounted<'_> {
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// Ends the daemon as a crash would: its dead mount stays.
    pub fn kill(mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        std::mem::forget(self);
    }

    /// Ends the daemon as Ctrl-C would; it must end by itself, without error.
    pub fn stop(mut self) {
        interrupt(self.daemon.as_ref().unwrap());
        ends_well(self.daemon.take().unwrap());
    }

    /// The daemon must end by itself, without error.
    pub fn wait(mut self) {
        ends_well(self.daemon.take().unwrap());
    }
}

fn interrupt(daemon: &Child) {
    let pid = rustix::process::Pid::from_child(daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

fn ends_well(mut daemon: Child) {
    let mut status = None;
    let begun = Instant::now();
    while status.is_none() && begun.elapsed() < Duration::from_secs(15) {
        status = daemon.try_wait().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    if status.is_none() {
        let _ = daemon.kill();
        let _ = daemon.wait();
    }
    let status = status.expect("the daemon did not end within 15 s");
    assert!(status.success(), "the daemon ended with {status}");
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            if std::thread::panicking() {
                let mut daemon = daemon;
                let _ = daemon.kill();
                let _ = daemon.wait();
            } else {
                interrupt(&daemon);
                ends_well(daemon);
            }
        }
        detach(&self.home.mount_point());
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

/// Waits for something that must come true.
pub fn wait_until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
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

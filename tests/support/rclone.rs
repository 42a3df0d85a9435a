//! Real file systems of other programs over a plain folder: rclone, as for a cloud, and bindfs. Each is stopped, let go
//! on and killed at will.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::janitor::Janitor;
use super::wait_until;

/// How long such a program may take to mount.
const MOUNTED_WITHIN: Duration = Duration::from_secs(20);

/// A folder shown by a program's FUSE mount.
pub struct Served {
    server: Child,
    folder: TempDir,
    // Dropped after the server has ended.
    _janitor: Janitor,
}

/// A folder that hangs until this is dropped: its server is stopped.
pub struct Stopped<'a>(&'a Served);

/// `rclone mount`; made by [`Rclone::start`], then a [`Served`].
#[derive(Clone, Debug, Default)]
pub struct Rclone {
    bytes_per_second: Option<u64>,
    arguments: Vec<String>,
}

impl Rclone {
    /// A mount with the whole cache (`--vfs-cache-mode full`) and its own configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads from the folder behind go no faster than this.
    pub fn slowly(mut self, bytes_per_second: u64) -> Self {
        self.bytes_per_second = Some(bytes_per_second);
        self
    }

    /// One more argument for `rclone mount`.
    pub fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub fn start(self) -> Served {
        let folder = new_folder();
        let at = |name: &str| folder.path().join(name);
        // A remote of its own name shows in the mount table as one's cloud does.
        let configuration = format!("[cloud]\ntype = alias\nremote = {}\n", at("own").display());
        std::fs::write(at("rclone.conf"), configuration).unwrap();
        let mut command = Command::new("rclone");
        command
            .args(["mount", "cloud:"])
            .arg(at("mount"))
            .arg("--config")
            .arg(at("rclone.conf"))
            .arg("--cache-dir")
            .arg(at("cache"))
            .args(["--vfs-cache-mode", "full", "--dir-cache-time", "0s"])
            .args(["--attr-timeout", "0s", "--poll-interval", "0s"])
            .args(["--buffer-size", "0", "--vfs-read-chunk-size", "64k"])
            .args(&self.arguments);
        if let Some(bytes) = self.bytes_per_second {
            command.arg("--bwlimit").arg(format!("{bytes}B"));
        }
        Served::start(command, folder)
    }
}

/// `bindfs`: the folder as it is, by way of a program.
pub struct Bindfs;

impl Bindfs {
    pub fn start() -> Served {
        let folder = new_folder();
        let mut command = Command::new("bindfs");
        command
            .arg("-f")
            .args(["own", "mount"].map(|name| folder.path().join(name)));
        Served::start(command, folder)
    }
}

fn new_folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("mediafs-test-served-")
        .tempdir()
        .unwrap();
    for name in ["own", "mount", "cache"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder
}

impl Served {
    fn start(mut command: Command, folder: TempDir) -> Self {
        let name = command.get_program().to_owned();
        let said = File::create(folder.path().join("said")).unwrap();
        let mount_point = folder.path().join("mount");
        let mut janitor = Janitor::new();
        janitor.remove(folder.path());
        janitor.unmount(&mount_point);
        let server = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(said))
            .spawn()
            .unwrap_or_else(|error| panic!("{name:?} is needed for this test: {error}"));
        janitor.kill(server.id());
        let mut served = Self {
            server,
            folder,
            _janitor: janitor,
        };
        wait_until(MOUNTED_WITHIN, &format!("{name:?} to mount"), || {
            if let Some(status) = served.server.try_wait().unwrap() {
                let said = std::fs::read_to_string(served.folder.path().join("said"));
                panic!("{name:?} ended with {status}: {}", said.unwrap_or_default());
            }
            is_mounted(&mount_point)
        });
        served
    }

    /// A path in the folder behind the mount, which never hangs.
    pub fn own(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("own").join(path)
    }

    /// The same path in the mount.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.mount_point().join(path)
    }

    pub fn mount_point(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// Where rclone keeps what it downloaded.
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Puts a file behind the mount, with the folders above it.
    pub fn put(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.own(path);
        std::fs::create_dir_all(path.parent().expect("a file's path")).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    /// Whoever asks the mount for something hangs until what this gives is dropped.
    pub fn stop(&self) -> Stopped<'_> {
        kill_process(Pid::from_child(&self.server), Signal::STOP).unwrap();
        Stopped(self)
    }

    /// Kills the server: its dead mount stays, and answers ENOTCONN.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0.server), Signal::CONT);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let mount_point = self.mount_point();
        let _ = unmount(&mount_point, UnmountFlags::FORCE | UnmountFlags::NOFOLLOW);
        let _ = unmount(&mount_point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Asks the mount table, which never hangs.
pub fn is_mounted(path: &Path) -> bool {
    mounted_kind(path).is_some()
}

/// The kind of the topmost file system that is mounted exactly here.
pub fn mounted_kind(path: &Path) -> Option<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let line = table
        .lines()
        .rfind(|line| line.split(' ').nth(4).map(OsStr::new) == Some(path.as_os_str()))?;
    let (_, after) = line.split_once(" - ")?;
    after.split(' ').next().map(str::to_owned)
}

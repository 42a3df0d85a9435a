//! Real mounts of a home's drive.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Home, MEDIAFS};

impl Home {
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

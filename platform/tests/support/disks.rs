//! Disks and mounts for tests: file systems in files on loop devices, all given back whatever a test does.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mediafs_platform::volume::{DeviceNumber, Identified, MountEntry, MountTable, identify};

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A loop device, given back whatever happens.
pub struct Disk {
    pub device: PathBuf,
}

impl Disk {
    pub fn of(image: &Path) -> Self {
        Self::with(image, &[])
    }

    pub fn with(image: &Path, options: &[&str]) -> Self {
        let mut losetup = Command::new("losetup");
        let losetup = losetup.args(["--find", "--show"]).args(options);
        let device = run(losetup.arg(image));
        Self {
            device: PathBuf::from(device),
        }
    }

    pub fn number(&self) -> DeviceNumber {
        let number = fs::metadata(&self.device).unwrap().rdev();
        DeviceNumber {
            major: rustix::fs::major(number),
            minor: rustix::fs::minor(number),
        }
    }

    /// As if it were mounted, for a kernel that can't.
    pub fn as_if_mounted(&self, fs_type: &str, at: &Path) -> MountEntry {
        let table = MountTable::read().unwrap();
        let mut entry = table.holding(at).unwrap().clone();
        entry.device = self.number();
        entry.mount_point = at.to_owned();
        entry.fs_type = fs_type.to_owned();
        entry.source = OsString::from(&self.device);
        entry
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
    }
}

/// A mount, taken away whatever happens.
pub struct Mount {
    pub at: PathBuf,
}

impl Mount {
    pub fn new(kind: &str, options: &str, source: &Path, at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        run(mount.args(["-t", kind, "-o", options]).arg(source).arg(at));
        Self { at: at.to_owned() }
    }

    pub fn entry(&self) -> MountEntry {
        MountTable::read().unwrap().at(&self.at).unwrap().clone()
    }

    pub fn identify(&self) -> Identified {
        identify(&self.entry()).unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(&self.at).status();
        if !gone.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        }
    }
}

/// A folder for images and mount points.
pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(name)
    }
}

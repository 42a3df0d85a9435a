//! Disks that are full, or will be soon.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use crate::scene::Scene;
use crate::support::sounds::wav;
use crate::support::{modes, succeed, wait_until};

/// A small disk of memory, for a project.
pub(crate) struct Disk(PathBuf);

impl Disk {
    fn new(at: &Path) -> Self {
        std::fs::create_dir(at).unwrap();
        Self::on(at, "160m")
    }

    /// Over a folder that is there.
    pub(crate) fn on(at: &Path, size: &str) -> Self {
        Self::mount(at, &format!("size={size}"));
        Self(at.to_owned())
    }

    /// It has more room from now on.
    pub(crate) fn grow(&self, size: &str) {
        Self::mount(&self.0, &format!("remount,size={size}"));
    }

    fn mount(at: &Path, options: &str) {
        let words = ["-t", "tmpfs", "-o", options, "none"].map(OsStr::new);
        succeed("mount", words.into_iter().chain([at.as_os_str()]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[test]
fn a_take_that_will_not_fit_is_refused_and_one_that_hardly_does_is_warned_of() {
    let scene = Scene::new();
    let disk = Disk::new(&scene.home.path("small"));
    let _drive = scene.mount(&["--project", disk.0.to_str().unwrap()]);
    let reserve = |name: &str, seconds: &str| {
        let arguments = ["reserve", "--name", name, "--seconds", seconds, "--project"];
        let mut command = scene.home.command(arguments);
        command.arg(&disk.0).output().unwrap()
    };
    // 288,000 bytes a second.
    let refused = reserve("Long", "3600");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && why.contains("free some space"),
        "{why}"
    );
    assert!(scene.takes().is_empty());
    assert!(reserve("Short", "60").status.success());
    // What the first will need is not there for a second one that needs nearly all.
    let second = reserve("Second", "320");
    assert!(!second.status.success());
    let warnings = scene.home.run(["warnings"]);
    assert!(warnings.contains("has room for 9 min"), "{warnings}");
    let id = scene.takes()[0]["mediaId"].as_str().unwrap().to_owned();
    scene.home.run(["abandon", &id]);
    wait_until(Duration::from_secs(20), "the warning to go", || {
        !scene.home.run(["warnings"]).contains("has room for")
    });
}

#[test]
fn a_full_disk_is_told_to_the_writer_and_loses_nothing() {
    for mode in modes() {
        let scene = Scene::new();
        let disk = Disk::new(&scene.home.path("small"));
        let mut arguments = vec!["--project", disk.0.to_str().unwrap()];
        arguments.extend_from_slice(mode);
        let _drive = scene.mount(&arguments);
        let take = scene.reserve_with(&[
            "--name".as_ref(),
            "Lead".as_ref(),
            "--project".as_ref(),
            disk.0.as_os_str(),
        ]);
        assert!(take.staging.starts_with(disk.0.canonicalize().unwrap()));
        let mut file = std::fs::File::options()
            .write(true)
            .open(&take.file)
            .unwrap();
        file.write_all(&wav(0, 1)).unwrap();
        let block = vec![7; 1 << 20];
        let mut written = 0_usize;
        let error = loop {
            match file.write(&block) {
                Ok(more) => written += more,
                Err(error) => break error,
            }
        };
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NOSPC), "{mode:?}");
        assert!(written > 100 << 20, "{written}");
        drop(file);
        let item = scene.finalise(&take);
        let file = Scene::resolved(&item);
        let found = std::fs::read(&file).unwrap();
        assert!(found.len() >= 44 + written, "{mode:?}");
        assert!(found[44..44 + written].iter().all(|byte| *byte == 7));
        assert_eq!(item["storage"]["path"], "Media/Lead.wav");
    }
}

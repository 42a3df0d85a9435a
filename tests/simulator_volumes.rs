//! The test equipment itself, where it is made of real file systems: volumes on loop devices, rclone and bindfs; and that
//! nothing of any equipment stays behind, whatever becomes of a test.

// The equipment is made of file systems of Linux.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use support::cloud::{Cloud, Fault};
use support::players::{Content, How, Outcome, Truth, Use};
use support::rclone::{Bindfs, Rclone, Served, is_mounted, mounted_kind};
use support::volumes::{Kind, Volume};
use support::{sounds::wav, succeed};

/// So long is a program waited for that is to hang: longer than any that is only slow here.
const HANGS: Duration = Duration::from_millis(700);

fn truth(bytes: &[u8]) -> Truth<'_> {
    Truth {
        bytes,
        placeholder: &[],
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("mediafs-test-mounts-")
        .tempdir()
        .unwrap()
}

/// Makes a volume of this kind, and does with it all that volumes can.
fn exercise(kind: Kind) {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mut volume = Volume::new(kind);
    volume.mount(&at("here"));
    let shown = mounted_kind(&at("here")).unwrap();
    assert_eq!(shown == "fuseblk", kind == Kind::Ntfs, "{kind:?} {shown}");
    std::fs::write(at("here/kick.wav"), wav(1000, 1)).unwrap();
    assert_ne!(volume.uuid(), "");

    // In use it stays, but for those who look only at the tree.
    let used = std::fs::File::open(at("here/kick.wav")).unwrap();
    assert_eq!(volume.unmount(), Err(Errno::BUSY), "{kind:?}");
    volume.detach();
    assert!(!at("here/kick.wav").exists());
    let mut bytes = Vec::new();
    (&used).read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, wav(1000, 1));
    drop(used);
    volume.mount(&at("here"));

    volume.move_to(&at("there"));
    assert!(!at("here/kick.wav").exists());
    assert_eq!(std::fs::read(at("there/kick.wav")).unwrap(), wav(1000, 1));

    let mut twin = volume.clone_disk();
    assert_eq!(twin.uuid(), volume.uuid());
    twin.mount(&at("twin"));
    assert_eq!(std::fs::read(at("twin/kick.wav")).unwrap(), wav(1000, 1));
    std::fs::write(at("twin/only.wav"), "twin").unwrap();
    assert!(!at("there/only.wav").exists());

    let mut other = Volume::new(kind);
    assert_ne!(other.uuid(), volume.uuid());
    volume.replace_by(&mut other);
    assert!(is_mounted(&at("there")) && !at("there/kick.wav").exists());
    other.unmount().unwrap();
    other.mount_with(&at("there"), &["ro"]);
    let refused = std::fs::write(at("there/new"), "").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(Errno::ROFS.raw_os_error()));
}

#[test]
fn volumes_of_linux_are_mounted_moved_cloned_and_replaced() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Ntfs] {
        exercise(kind);
    }
}

#[test]
fn a_fat_volume_is_made_where_the_kernel_has_it_and_else_said_not_to_be() {
    match Kind::Vfat.lacks() {
        None => exercise(Kind::Vfat),
        Some(lack) => {
            eprintln!("FAT is not exercised: {lack}");
            let made = std::panic::catch_unwind(|| Volume::new(Kind::Vfat));
            let said = made.err().unwrap().downcast::<String>().unwrap();
            assert!(said.contains(&lack), "{said}");
        }
    }
}

#[test]
fn a_disk_fails_hangs_and_is_well_again() {
    for kind in [Kind::Ext4, Kind::Xfs] {
        let folder = folder();
        let mut volume = Volume::on_failing_disk(kind);
        volume.mount(folder.path());
        let (path, kick) = (folder.path().join("kick.wav"), wav(50_000, 1));
        std::fs::write(&path, &kick).unwrap();
        let read = || {
            volume.forget(&path);
            Use::of(How::Read, &path).within(HANGS * 3)
        };
        assert_eq!(read().see(truth(&kick)).outcome, Outcome::Bytes);

        let failing = read();
        let fault = volume.fail();
        let seen = failing.see(truth(&kick));
        assert_eq!(seen.outcome, Outcome::Errno(5), "{kind:?} {seen:?}");
        assert!(volume.hits(fault) > 0);
        volume.heal();
        assert_eq!(read().see(truth(&kick)).outcome, Outcome::Bytes);

        let hanging = read();
        volume.hang();
        let seen = hanging.within(HANGS).see(truth(&kick));
        assert_eq!(seen.outcome, Outcome::Hang, "{kind:?} {seen:?}");
        assert!(volume.waiting() > 0);
        volume.heal();
        assert_eq!(read().see(truth(&kick)).outcome, Outcome::Bytes);

        let slow = read();
        volume.slow(Duration::from_millis(100), 0);
        let seen = slow.see(truth(&kick));
        assert_eq!(seen.outcome, Outcome::Bytes);
        assert!(seen.longest() >= Duration::from_millis(100), "{seen:?}");
        volume.heal();

        // Pulled in the middle of a stream.
        volume.forget(&path);
        let mut reading = Use::of(How::Read, &path)
            .chunk(4096)
            .pause(Duration::from_millis(20))
            .start();
        reading.wait_for_bytes(4096);
        volume.pull();
        let seen = reading.see(truth(&kick));
        assert_eq!(seen.content, Content::Bytes);
        assert!(!path.exists());
    }
}

#[test]
fn a_volume_is_full_to_the_last_byte() {
    let folder = folder();
    let mut volume = Volume::new(Kind::Ext4);
    volume.mount(folder.path());
    let filler = volume.fill();
    let full = std::fs::write(folder.path().join("more"), "more").unwrap_err();
    assert_eq!(full.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    std::fs::remove_file(filler).unwrap();
    std::fs::write(folder.path().join("more"), "more").unwrap();
}

/// Reads, hangs and dies as any program's mount does.
fn exercise_server(mut served: Served) {
    let kick = wav(50_000, 1);
    served.put("kit/kick.wav", &kick);
    let path = served.path("kit/kick.wav");
    let read = || Use::of(How::Read, &path);
    assert_eq!(read().see(truth(&kick)).outcome, Outcome::Bytes);

    let stopped = served.stop();
    assert_eq!(
        read().within(HANGS).see(truth(&kick)).outcome,
        Outcome::Hang
    );
    let waiting = read().start();
    drop(stopped);
    assert_eq!(waiting.see(truth(&kick)).outcome, Outcome::Bytes);

    served.kill();
    let dead = Outcome::Errno(Errno::NOTCONN.raw_os_error());
    assert_eq!(read().see(truth(&kick)).outcome, dead);
}

#[test]
fn bindfs_is_stopped_and_killed() {
    let served = Bindfs::start();
    assert_eq!(mounted_kind(&served.mount_point()).as_deref(), Some("fuse"));
    exercise_server(served);
}

#[test]
fn rclone_is_slow_stopped_and_killed() {
    let served = Rclone::new().slowly(400_000).start();
    let kind = mounted_kind(&served.mount_point());
    assert_eq!(kind.as_deref(), Some("fuse.rclone"));
    // Its budget lets a first burst through.
    let loud = wav(300_000, 2);
    served.put("loud.wav", &loud);
    let begun = std::time::Instant::now();
    let seen = Use::of(How::Read, served.path("loud.wav")).see(truth(&loud));
    assert_eq!(seen.outcome, Outcome::Bytes, "{:?}", seen.requests);
    assert!(
        begun.elapsed() > Duration::from_millis(500),
        "not throttled"
    );
    let found = succeed(
        "find",
        [
            served.cache().as_os_str(),
            "-size".as_ref(),
            "+1000k".as_ref(),
        ],
    );
    assert!(
        found.contains("/vfs/") && found.contains("loud.wav"),
        "{found}"
    );
    drop(served);
    exercise_server(Rclone::new().start());
}

/// All sorts of equipment at once, each of them in the middle of something bad.
struct Everything {
    cloud: Cloud,
    volume: Volume,
    bindfs: Served,
    rclone: Served,
    _mounts: tempfile::TempDir,
}

impl Everything {
    fn new() -> Self {
        let mounts = folder();
        let cloud = Cloud::new();
        cloud.put("kick.wav", wav(50_000, 1));
        let mut volume = Volume::on_failing_disk(Kind::Ext4);
        volume.mount(&mounts.path().join("volume"));
        std::fs::write(mounts.path().join("volume/kick.wav"), wav(50_000, 1)).unwrap();
        volume.forget(&mounts.path().join("volume/kick.wav"));
        let (bindfs, rclone) = (Bindfs::start(), Rclone::new().start());
        for served in [&bindfs, &rclone] {
            served.put("kick.wav", wav(50_000, 1));
        }
        Self {
            cloud,
            volume,
            bindfs,
            rclone,
            _mounts: mounts,
        }
    }

    /// Names by which whatever is left of it can be found.
    fn traces(&self) -> Vec<String> {
        let places = [
            self.cloud.mount_point().to_owned(),
            self.volume.mounts()[0].join("anything"),
            self.volume.image(),
            self.volume.backing(),
            self.bindfs.mount_point(),
            self.rclone.mount_point(),
        ];
        places
            .iter()
            .map(|place| place.parent().unwrap().display().to_string())
            .collect()
    }

    /// Somebody hangs in each, and a thread of this very process in the cloud that it serves.
    fn hang(&self) {
        self.cloud.inject(Fault::Hung);
        self.volume.hang();
        for served in [&self.bindfs, &self.rclone] {
            std::mem::forget(served.stop());
        }
        let own = self.cloud.path("kick.wav");
        std::thread::spawn(move || std::fs::read(own));
        let places: [PathBuf; 4] = [
            self.cloud.path("kick.wav"),
            self.volume.mounts()[0].join("kick.wav"),
            self.bindfs.path("kick.wav"),
            self.rclone.path("kick.wav"),
        ];
        for place in places {
            let seen = Use::of(How::Read, &place).within(HANGS).try_it();
            assert_eq!(seen.outcome, Outcome::Hang, "{} {seen:?}", place.display());
        }
    }
}

/// What is left in this system that names one of the traces: mounts, loop devices, processes.
fn left_of(traces: &[String]) -> Vec<String> {
    let names = |text: &str| traces.iter().any(|trace| text.contains(trace));
    let mut left = Vec::new();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| names(line)).map(str::to_owned));
    for device in std::fs::read_dir("/sys/block").unwrap() {
        let file = device.unwrap().path().join("loop/backing_file");
        let backing = std::fs::read_to_string(file).unwrap_or_default();
        if names(&backing) {
            left.push(backing);
        }
    }
    for process in std::fs::read_dir("/proc").unwrap() {
        let file = process.unwrap().path().join("cmdline");
        let words = std::fs::read(file).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if names(&words) {
            left.push(words);
        }
    }
    left.extend(traces.iter().filter(|t| Path::new(t).exists()).cloned());
    left
}

fn nothing_is_left_of(traces: &[String]) {
    let mut left = Vec::new();
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        left = left_of(traces);
        if left.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("left behind: {left:#?}");
}

#[test]
fn nothing_is_left_after_a_panic_in_a_test() {
    let mut traces = Vec::new();
    let test = std::panic::AssertUnwindSafe(|| {
        let everything = Everything::new();
        traces = everything.traces();
        everything.hang();
        assert!(left_of(&traces).len() > traces.len());
        panic!("a test that fails");
    });
    assert!(std::panic::catch_unwind(test).is_err());
    nothing_is_left_of(&traces);
}

#[test]
fn nothing_is_left_after_a_test_is_killed() {
    let own = folder();
    let mut test = Command::new(std::env::current_exe().unwrap())
        .env("TMPDIR", own.path())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "somebody_to_be_killed",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut traces = Vec::new();
    for line in BufReader::new(test.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "ready" {
            break;
        }
        traces.extend(line.strip_prefix("trace ").map(str::to_owned));
    }
    assert_eq!(traces.len(), 6);
    assert!(left_of(&traces).len() > traces.len());
    test.kill().unwrap();
    test.wait().unwrap();
    nothing_is_left_of(&traces);
}

#[test]
#[ignore = "run by another test, which kills it; by itself it ends with its standard input"]
fn somebody_to_be_killed() {
    let everything = Everything::new();
    let mut out = std::io::stdout();
    for trace in everything.traces() {
        writeln!(out, "trace {trace}").unwrap();
    }
    everything.hang();
    writeln!(out, "ready").unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

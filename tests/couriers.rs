//! Libraries on, and imports from, storage that may hang: a file system of another process (bindfs), which is stopped and goes on at will.

// What hangs is a file system of Linux (bindfs).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::sounds::wav;
use support::{Home, Mounted, detach, path_of, program, show, wait_until};

/// How long a source may be silent, and a little more.
const SILENT: Duration = Duration::from_secs(20);

/// A disk that may hang, with two sounds and a text in `kit`.
struct Disk {
    folder: tempfile::TempDir,
    server: Child,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mediafs-test-disk-")
            .tempdir()
            .unwrap();
        let (own, mount) = (folder.path().join("own"), folder.path().join("mount"));
        std::fs::create_dir_all(own.join("kit")).unwrap();
        std::fs::create_dir(&mount).unwrap();
        std::fs::write(own.join("kit/a.wav"), wav(100_000, 1)).unwrap();
        std::fs::write(own.join("kit/b.wav"), wav(2_000, 2)).unwrap();
        std::fs::write(own.join("kit/notes.txt"), "by hand").unwrap();
        let server = Command::new("bindfs")
            .arg("-f")
            .args([&own, &mount])
            .stdin(Stdio::null())
            .spawn()
            .expect("bindfs is needed for this test; scripts/test installs it");
        let disk = Self { folder, server };
        wait_until(Duration::from_secs(10), "a mounted disk", || {
            disk.kit().join("a.wav").exists()
        });
        disk
    }

    /// Where the sounds are, and never hang.
    fn own(&self) -> PathBuf {
        self.folder.path().join("own/kit")
    }

    /// The same on the disk.
    fn kit(&self) -> PathBuf {
        self.folder.path().join("mount/kit")
    }

    /// Whoever asks it something hangs until what this gives is dropped.
    fn hang(&self) -> Hung {
        let pid = Pid::from_child(&self.server);
        kill_process(pid, Signal::STOP).unwrap();
        Hung(pid)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        detach(&self.folder.path().join("mount"));
    }
}

/// A server that is stopped until this is dropped.
struct Hung(Pid);

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

fn import(home: &Home, paths: &[&Path], options: &[&str]) -> serde_json::Value {
    let mut command = home.command(["import", "--json"]);
    let output = command.args(paths).args(options).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", show(&output)))
}

fn outcomes(imported: &serde_json::Value) -> Vec<&str> {
    let list = imported.as_array().unwrap();
    list.iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect()
}

/// A drive with a sound on trusted storage, which must go on being read.
fn with_a_sound(home: &Home) -> (Mounted<'_>, serde_json::Value) {
    std::fs::write(home.library().join("own.wav"), wav(44_100, 3)).unwrap();
    let drive = home.mount();
    let own = home.wait_for_items(1)[0].clone();
    (drive, own)
}

/// Processes that are couriers of a daemon.
fn couriers_of(daemon: u32) -> Vec<String> {
    let found = program(
        "pgrep",
        ["-P", &daemon.to_string(), "-f", "mediafs-courier"],
    );
    String::from_utf8(found.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn sounds_come_by_copy_from_storage_that_is_not_trusted() {
    let disk = Disk::new();
    let kit = disk.kit();
    let home = Home::new();
    let drive = home.mount_with(&[]);

    let done = import(&home, &[&kit], &["--copy"]);
    assert_eq!(outcomes(&done), ["imported", "imported", "skipped"]);
    for name in ["a.wav", "b.wav"] {
        let item = home.item(name);
        assert_eq!(item["playable"], "bytes");
        assert_eq!(item["format"]["container"], "wav");
        let own = std::fs::read(disk.own().join(name)).unwrap();
        assert_eq!(std::fs::read(home.on_drive(path_of(&item))).unwrap(), own);
        let copy = home.home().join("Library/kit").join(name);
        assert_eq!(std::fs::read(copy).unwrap(), own);
    }
    // The same again is the same; one that is named and is no sound is an error.
    let again = import(&home, &[&kit.join("a.wav")], &["--copy"]);
    assert_eq!(outcomes(&again), ["already"]);
    assert_eq!(again[0]["mediaId"], done[0]["mediaId"]);
    let odd = [kit.join("notes.txt"), kit.join("nothing.wav")];
    let odd = import(&home, &[&odd[0], &odd[1]], &["--copy"]);
    assert_eq!(outcomes(&odd), ["failed", "failed"]);
    assert!(odd[1]["reason"].as_str().unwrap().contains("no such file"));
    // Nothing holds the disk.
    wait_until(Duration::from_secs(5), "no courier", || {
        couriers_of(drive.pid()).is_empty()
    });
    // Nor does it need a daemon.
    let alone = Home::new();
    let done = import(&alone, &[&kit.join("b.wav")], &["--copy"]);
    assert_eq!(outcomes(&done), ["imported"]);
}

#[test]
fn a_library_on_storage_that_is_not_trusted_is_listed_with_facts() {
    let disk = Disk::new();
    let home = Home::new();
    // By way of a link.
    let link = home.path("disk");
    std::os::unix::fs::symlink(disk.kit(), &link).unwrap();
    let drive = home.mount_with(&["--library".as_ref(), link.as_os_str()]);
    let items = home.wait_for_items(2);
    let mut names: Vec<_> = items
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["a.wav", "b.wav"]);
    for item in &items {
        assert_eq!(item["format"]["container"], "wav");
        assert!(item["format"]["frames"].as_u64().unwrap() > 0);
    }
    let status = home.run(["status"]);
    assert!(status.contains("scanned every 60 seconds"), "{status}");
    // What is added is there when it is asked for, and the disk can be unmounted between.
    std::fs::write(disk.own().join("c.wav"), wav(3_000, 3)).unwrap();
    home.run(["scan"]);
    assert_eq!(home.wait_for_items(3).len(), 3);
    wait_until(Duration::from_secs(5), "no courier", || {
        couriers_of(drive.pid()).is_empty()
    });
    drop(drive);

    // While it hangs the drive is there all the same, with all that is known.
    let _hung = disk.hang();
    let begun = Instant::now();
    let drive = home.mount_with(&["--library".as_ref(), disk.kit().as_os_str()]);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "it waits for the disk"
    );
    let known = home.wait_for_items(3);
    assert_eq!(known.len(), 3);
    let listed = std::fs::read_dir(home.on_drive("library/kit"))
        .unwrap()
        .count();
    assert_eq!(listed, 4);
    drop(drive);
}

#[test]
fn an_import_from_storage_that_hangs_ends_and_harms_nobody() {
    let disk = Disk::new();
    let kit = disk.kit();
    let home = Home::new();
    let (drive, own) = with_a_sound(&home);

    let hung = disk.hang();
    let begun = Instant::now();
    let mut waiting = home
        .command([
            "import".as_ref(),
            "--copy".as_ref(),
            "--json".as_ref(),
            kit.as_os_str(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(Duration::from_secs(5), "a courier", || {
        !couriers_of(drive.pid()).is_empty()
    });
    // The rest of the drive goes on.
    while waiting.try_wait().unwrap().is_none() {
        let asked = Instant::now();
        home.run(["status"]);
        assert!(
            !std::fs::read(home.on_drive(path_of(&own)))
                .unwrap()
                .is_empty()
        );
        assert!(asked.elapsed() < Duration::from_secs(2));
        assert!(begun.elapsed() < SILENT, "the import waits for ever");
        std::thread::sleep(Duration::from_millis(200));
    }
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("does not answer"), "{}", show(&output));
    // While it is suspended, the next one is told so at once.
    let asked = Instant::now();
    let next = import(&home, &[&kit], &["--copy"]);
    assert_eq!(outcomes(&next), ["failed"]);
    assert!(
        next[0]["reason"]
            .as_str()
            .unwrap()
            .contains("did not answer")
    );
    assert!(asked.elapsed() < Duration::from_secs(3));

    drop(hung);
    wait_until(SILENT, "the storage to be tried again", || {
        outcomes(&import(&home, &[&kit], &["--copy"])) == ["imported", "imported", "skipped"]
    });
}

#[test]
fn a_daemon_killed_while_its_courier_hangs_leaves_its_drive_and_home_free() {
    let disk = Disk::new();
    let kit = disk.kit();
    let home = Home::new();
    let (drive, own) = with_a_sound(&home);

    let _hung = disk.hang();
    let arguments = [OsStr::new("import"), "--copy".as_ref(), kit.as_os_str()];
    let mut waiting = home
        .command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut courier = Vec::new();
    wait_until(Duration::from_secs(5), "a courier", || {
        courier = couriers_of(drive.pid());
        !courier.is_empty()
    });
    drive.kill();
    assert!(!waiting.wait().unwrap().success());
    let dead = std::fs::read(home.on_drive(path_of(&own))).unwrap_err();
    assert_eq!(
        dead.raw_os_error(),
        Some(rustix::io::Errno::NOTCONN.raw_os_error())
    );
    let _drive = home.mount();
    assert!(std::fs::read(home.on_drive(path_of(&own))).is_ok());
    // It hung all the while, or ended with the daemon's socket.
    for pid in courier {
        let held = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let held = held.map_or(0, |fds| fds.count());
        assert!(held <= 4, "a courier holds {held} files");
    }
}

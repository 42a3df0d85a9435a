//! Playback survives the daemon: after `kill -9` a handle under passthrough reads on, the drive mounts again at once,
//! and every path is the same.

// It mounts real drives, with FUSE and passthrough.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::sounds::wav;
use support::{Home, path_of, show, wait_until};

const FRAMES: u32 = 44_100 * 60;

#[test]
fn a_reader_reads_on_and_the_drive_mounts_again() {
    let home = Home::new();
    let sound = wav(FRAMES, 1);
    std::fs::write(home.library().join("a.wav"), &sound).unwrap();
    let drive = home.mount();
    let item = home.wait_for_items(1)[0].clone();
    let path = home.on_drive(path_of(&item));
    home.run(["tag", item["mediaId"].as_str().unwrap(), "loud"]);
    let reader = File::open(&path).unwrap();
    let mut begin = vec![0; 4096];
    reader.read_exact_at(&mut begin, 0).unwrap();

    drive.kill();
    assert!(File::open(&path).is_err(), "the mount is dead");
    let mut whole = vec![0; sound.len()];
    reader
        .read_exact_at(&mut whole, 0)
        .expect("passthrough reads on");
    assert_eq!(whole, sound);

    // At once, without manual work, and with what was acknowledged.
    let _drive = home.mount();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        sound,
        "the same path, before any scan"
    );
    let again = home.json(["show", item["mediaId"].as_str().unwrap()]);
    assert_eq!(again["tags"][0]["name"], "loud");
    reader
        .read_exact_at(&mut begin, 0)
        .expect("and the old handle still reads");
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(100, 1)).unwrap();
    let drive = home.mount();
    let other = home.path("other");
    std::fs::create_dir(&other).unwrap();
    let output = home
        .command(["mount".as_ref(), other.as_os_str()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains(&drive.pid().to_string()),
        "it names the process that has the home: {message}"
    );
    // Nor does another home take the mount point.
    let stranger = Home::new();
    let output = stranger
        .command(["mount".as_ref(), home.mount_point().as_os_str()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    assert_eq!(home.wait_for_items(1).len(), 1);
}

#[test]
fn in_the_background_until_unmount() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(100, 1)).unwrap();
    let output = home
        .command([
            "mount".as_ref(),
            home.mount_point().as_os_str(),
            "--library".as_ref(),
            home.library().as_os_str(),
            "--background".as_ref(),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", show(&output));
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("ready "),
        "{}",
        show(&output)
    );
    let item = home.wait_for_items(1)[0].clone();
    assert_eq!(
        std::fs::read(home.on_drive(path_of(&item))).unwrap(),
        wav(100, 1)
    );
    home.run(["unmount"]);
    assert!(!home.on_drive("library").exists());
    assert!(home.on_drive("NOT-MOUNTED.txt").exists());
    // Its daemon is gone with it: the home is free.
    let _drive = home.mount();
}

#[test]
fn a_mount_taken_away_from_outside_ends_the_daemon() {
    let home = Home::new();
    let drive = home.mount_with(&[]);
    support::detach(&home.mount_point());
    drive.wait();
}

/// Mounts with `--background`.
fn mount_in_background(home: &Home) {
    let output = home
        .command(["mount", "--background", "--library"])
        .args([home.library(), home.mount_point()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", show(&output));
}

fn pid_of_daemon(home: &Home) -> Option<i32> {
    let output = home.command(["status", "--json"]).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    i32::try_from(status["pid"].as_i64()?).ok()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn is_there(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

fn kill(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn a_daemon_that_dies_in_the_background_is_there_again_at_once() {
    let home = Home::new();
    let sound = wav(FRAMES, 1);
    std::fs::write(home.library().join("a.wav"), &sound).unwrap();
    mount_in_background(&home);
    let item = home.wait_for_items(1)[0].clone();
    let path = home.on_drive(path_of(&item));
    home.run(["tag", item["mediaId"].as_str().unwrap(), "loud"]);
    let mut pid = pid_of_daemon(&home).unwrap();
    let supervisor = parent_of(pid).unwrap();
    for _ in 0..3 {
        let reader = File::open(&path).unwrap();
        kill(pid, rustix::process::Signal::KILL);
        // The deadline of the design is a second; the rest is for a machine that is busy.
        wait_until(Duration::from_secs(4), "the same path again", || {
            std::fs::read(&path).is_ok_and(|bytes| bytes == sound)
        });
        let mut end = vec![0; 4096];
        reader
            .read_exact_at(&mut end, sound.len() as u64 - 4096)
            .expect("passthrough reads on");
        wait_until(Duration::from_secs(4), "its socket", || {
            pid_of_daemon(&home).is_some_and(|new| new != pid)
        });
        pid = pid_of_daemon(&home).unwrap();
        assert_eq!(parent_of(pid), Some(supervisor));
    }
    let again = home.json(["show", item["mediaId"].as_str().unwrap()]);
    assert_eq!(again["tags"][0]["name"], "loud");
    home.run(["unmount"]);
    wait_until(Duration::from_secs(5), "the supervisor to end", || {
        !is_there(supervisor) && !is_there(pid)
    });
}

/// A small disk of its own for a home, gone at the end.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn new(path: std::path::PathBuf) -> Self {
        let place = path.to_str().unwrap();
        support::succeed("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", place]);
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = support::program("umount", ["-l", self.0.to_str().unwrap()]);
    }
}

#[test]
fn a_full_disk_of_the_home_does_not_keep_the_drive_away_after_a_crash() {
    let home = Home::new();
    let _disk = SmallDisk::new(home.home());
    let sound = wav(44_100, 1);
    std::fs::write(home.library().join("a.wav"), &sound).unwrap();
    mount_in_background(&home);
    let item = home.wait_for_items(1)[0].clone();
    let path = home.on_drive(path_of(&item));
    // Until nothing more fits.
    let mut fill = File::create(home.home().join("fill")).unwrap();
    while std::io::Write::write_all(&mut fill, &[0; 4096]).is_ok() {}
    kill(pid_of_daemon(&home).unwrap(), rustix::process::Signal::KILL);
    wait_until(Duration::from_secs(4), "the same path again", || {
        std::fs::read(&path).is_ok_and(|bytes| bytes == sound)
    });
    home.run(["unmount"]);
}

#[test]
fn a_supervisor_that_is_told_to_end_takes_the_drive_away_first() {
    let home = Home::new();
    mount_in_background(&home);
    let pid = pid_of_daemon(&home).unwrap();
    let supervisor = parent_of(pid).unwrap();
    kill(supervisor, rustix::process::Signal::TERM);
    wait_until(Duration::from_secs(10), "both to end", || {
        !is_there(supervisor) && !is_there(pid)
    });
    assert!(home.on_drive("NOT-MOUNTED.txt").exists());
}

fn supervisor_of(home: &Home) -> serde_json::Value {
    home.json(["status"])["supervisor"].clone()
}

#[test]
fn status_tells_whether_the_supervisor_lives() {
    let home = Home::new();
    assert_eq!(supervisor_of(&home)["state"], "none", "nothing runs");
    {
        let _drive = home.mount();
        assert_eq!(supervisor_of(&home)["state"], "none", "in the foreground");
    }
    mount_in_background(&home);
    let pid = pid_of_daemon(&home).unwrap();
    let supervisor = parent_of(pid).unwrap();
    let alive = supervisor_of(&home);
    assert_eq!(alive["state"], "alive");
    assert_eq!(alive["pid"], supervisor);
    let text = home.run(["status"]);
    assert!(text.contains("starts the daemon again"), "{text}");

    kill(supervisor, rustix::process::Signal::KILL);
    wait_until(Duration::from_secs(5), "it to be gone", || {
        supervisor_of(&home)["state"] == "ended"
    });
    assert_eq!(pid_of_daemon(&home), Some(pid), "the drive goes on");
    let text = home.run(["status"]);
    assert!(text.contains("nobody starts the daemon again"), "{text}");
    let doctor = home.command(["doctor"]).output().unwrap();
    let text = show(&doctor);
    assert!(text.contains("nobody starts the daemon again"), "{text}");
    home.run(["unmount"]);
    wait_until(Duration::from_secs(10), "the daemon to end", || {
        !is_there(pid)
    });
    assert_eq!(supervisor_of(&home)["state"], "none", "all is over");
}

/// Those whose parent it is.
fn children_of(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

#[test]
fn status_tells_that_the_supervisor_gave_up() {
    let home = Home::new();
    mount_in_background(&home);
    let supervisor = parent_of(pid_of_daemon(&home).unwrap()).unwrap();
    let mut killed = 0;
    wait_until(Duration::from_secs(60), "it to give up", || {
        for child in children_of(supervisor) {
            kill(child, rustix::process::Signal::KILL);
            killed += 1;
        }
        !is_there(supervisor)
    });
    assert!(killed >= 5, "{killed}");
    assert_eq!(supervisor_of(&home)["state"], "gaveUp");
    let text = home.run(["status"]);
    assert!(text.contains("gave up"), "{text}");
    // Whoever starts the drive again has dealt with it.
    home.mount().stop();
    assert_eq!(supervisor_of(&home)["state"], "none");
}

/// Maps a file in a process of its own (tests have no `unsafe`), and reads all of the mapping when a line comes.
const MAPPER: &str = "
import mmap, sys
with open(sys.argv[1], 'rb') as f:
    m = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
print(m[0], flush=True)
sys.stdin.readline()
sys.exit(m[:] != open(sys.argv[2], 'rb').read())
";

fn map(path: &Path, original: &Path) -> Child {
    let mut child = Command::new("python3")
        .args(["-c", MAPPER])
        .args([path, original])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(!line.is_empty(), "it has mapped the sound");
    child
}

/// Reads on through handles and a mapping when the daemon is gone; whether they do.
fn reads_on(arguments: &[&str]) -> (bool, Option<i32>) {
    let home = Home::new();
    let sound = wav(FRAMES, 1);
    let original = home.library().join("a.wav");
    std::fs::write(&original, &sound).unwrap();
    std::fs::write(home.library().join("gone.wav"), wav(FRAMES, 2)).unwrap();
    let library = home.library();
    let mut all: Vec<&std::ffi::OsStr> = vec!["--library".as_ref(), library.as_os_str()];
    all.extend(arguments.iter().map(std::ffi::OsStr::new));
    let drive = home.mount_with(&all);
    home.wait_for_items(2);
    let path = home.on_drive(path_of(&home.item("a.wav")));
    let reader = File::open(&path).unwrap();
    let mut begin = vec![0; 4096];
    reader.read_exact_at(&mut begin, 0).unwrap();
    let mut mapping = map(&path, &original);
    std::fs::remove_file(home.library().join("gone.wav")).unwrap();
    wait_until(support::SHOWN_WITHIN, "the sound to be missing", || {
        home.item("gone.wav")["availability"] == "missing"
    });
    let silence = home
        .on_drive(".as/player")
        .join(path_of(&home.item("gone.wav")));
    let silence = File::open(silence).unwrap();
    silence.read_exact_at(&mut begin, 4096).unwrap();
    drive.kill();

    silence
        .read_exact_at(&mut begin, 4096)
        .expect_err("silence ends with who makes it");
    reader
        .read_exact_at(&mut begin, 0)
        .expect("what is in memory is read in every mode");
    assert!(reader.metadata().is_err(), "attributes end in every mode");
    assert!(reader.sync_all().is_err(), "and so does fsync");
    let mut end = vec![0; 4096];
    let handle = match reader.read_exact_at(&mut end, sound.len() as u64 - 4096) {
        Ok(()) => {
            assert_eq!(end, sound[sound.len() - 4096..]);
            true
        }
        Err(error) => {
            let gone = rustix::io::Errno::NOTCONN.raw_os_error();
            assert_eq!(error.raw_os_error(), Some(gone));
            false
        }
    };
    mapping.stdin.take().unwrap().write_all(b"\n").unwrap();
    let ended = mapping.wait().unwrap();
    assert!(ended.success() || ended.signal().is_some(), "{ended}");
    (handle, ended.signal())
}

#[test]
fn with_passthrough_handles_and_mappings_read_on() {
    assert_eq!(reads_on(&[]), (true, None));
}

#[test]
fn with_the_page_cache_handles_fail_and_mappings_die() {
    const SIGBUS: i32 = 7;
    assert_eq!(reads_on(&["--no-passthrough"]), (false, Some(SIGBUS)));
}

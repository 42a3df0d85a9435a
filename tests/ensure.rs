//! `mediafs ensure`: every answer that it can give, on real mounts and in mount namespaces where the driver is missing.

// It mounts real drives, with FUSE, and hides the driver in mount namespaces.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::sounds::wav;
use support::{Home, MEDIAFS, path_of, show, wait_until};

/// A home whose drive, should one be started, is gone at the end.
struct Ensured {
    home: Home,
}

impl Ensured {
    fn new() -> Self {
        Self { home: Home::new() }
    }

    fn command(&self, binary: &Path, extra: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command
            .arg("--home")
            .arg(self.home.home())
            .arg("ensure")
            .arg(self.home.mount_point())
            .arg("--json")
            .args(extra)
            .stdin(Stdio::null());
        command
    }

    fn ensure(&self, extra: &[&str]) -> (Option<i32>, Value) {
        said(&self.command(Path::new(MEDIAFS), extra).output().unwrap())
    }
}

impl Drop for Ensured {
    fn drop(&mut self) {
        let _ = self.home.command(["unmount"]).output();
    }
}

fn said(output: &Output) -> (Option<i32>, Value) {
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", show(output)));
    (output.status.code(), value)
}

#[test]
fn it_starts_the_drive_and_then_finds_it_at_once() {
    let ensured = Ensured::new();
    let (code, first) = ensured.ensure(&[]);
    assert_eq!(code, Some(0), "{first}");
    assert_eq!(
        (&first["state"], &first["started"]),
        (&json!("ready"), &json!(true))
    );
    assert_eq!(first["mount"], ensured.home.mount_point().to_str().unwrap());
    assert_eq!(
        first["socket"],
        ensured.home.home().join("socket").to_str().unwrap()
    );
    assert_eq!(first["protocol"], 1);
    assert!(ensured.home.on_drive("README.txt").exists());
    let mut quickest = Duration::MAX;
    for _ in 0..10 {
        let begun = Instant::now();
        let (code, again) = ensured.ensure(&[]);
        quickest = quickest.min(begun.elapsed());
        assert_eq!(code, Some(0), "{again}");
        assert_eq!(again["started"], false);
        assert_eq!(
            (&again["pid"], &again["instance"]),
            (&first["pid"], &first["instance"])
        );
    }
    println!("ensure where the daemon runs: {quickest:?}");
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
    // For a person, and without naming the place.
    let told = ensured.home.run(["ensure"]);
    assert_eq!(
        told,
        format!("ready {}\n", ensured.home.mount_point().display())
    );
    let elsewhere = ensured.home.path("elsewhere");
    let output = ensured
        .home
        .command(["ensure", elsewhere.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    ensured.home.run(["unmount"]);
    let (code, another) = ensured.ensure(&[]);
    assert_eq!(code, Some(0), "{another}");
    assert_ne!(another["instance"], first["instance"]);
}

#[test]
fn many_at_once_start_one_daemon() {
    let ensured = Ensured::new();
    let asked: Vec<_> = (0..6)
        .map(|_| {
            let mut command = ensured.command(Path::new(MEDIAFS), &[]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let answers: Vec<(Option<i32>, Value)> = asked
        .into_iter()
        .map(|child| said(&child.wait_with_output().unwrap()))
        .collect();
    let (_, first) = &answers[0];
    for (code, answer) in &answers {
        assert_eq!(*code, Some(0), "{answer}");
        assert_eq!(
            (&answer["pid"], &answer["instance"]),
            (&first["pid"], &first["instance"])
        );
    }
    let started = answers
        .iter()
        .filter(|(_, answer)| answer["started"] == true);
    assert_eq!(started.count(), 1);
}

#[test]
fn a_point_that_is_something_else_is_told() {
    let ensured = Ensured::new();
    let point = ensured.home.mount_point();
    let taken = |what: &str| {
        let (code, answer) = ensured.ensure(&[]);
        assert_eq!(
            (code, &answer["state"]),
            (Some(1), &json!("pointTaken")),
            "{what}: {answer}"
        );
        assert!(
            answer["message"].as_str().unwrap().contains("mnt"),
            "{what}: {answer}"
        );
        assert_eq!(answer["mount"], Value::Null);
    };
    std::fs::write(point.join("mine.txt"), "mine").unwrap();
    taken("a folder with files");
    assert_eq!(std::fs::read(point.join("mine.txt")).unwrap(), b"mine");
    std::fs::remove_file(point.join("mine.txt")).unwrap();
    std::fs::remove_dir(&point).unwrap();
    std::fs::write(&point, "a file").unwrap();
    taken("a file");
    std::fs::remove_file(&point).unwrap();
    // The drive of another home.
    let other = Home::new();
    let drive = other.mount();
    let output = ensured
        .home
        .command(["ensure", "--json", other.mount_point().to_str().unwrap()])
        .output()
        .unwrap();
    let (code, answer) = said(&output);
    assert_eq!(
        (code, &answer["state"]),
        (Some(1), &json!("pointTaken")),
        "{answer}"
    );
    drive.stop();
    let (code, answer) = ensured.ensure(&[]);
    assert_eq!(
        (code, &answer["state"]),
        (Some(0), &json!("ready")),
        "{answer}"
    );
}

/// Runs `ensure` as root after `before` in a mount namespace of its own.
fn in_namespace(ensured: &Ensured, before: &str, wrapper: &str) -> (Option<i32>, Value) {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root; CI runs it so"
    );
    let script =
        format!("set -e; {before}; exec {wrapper} \"$0\" --home \"$1\" ensure \"$2\" --json");
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            &script,
            MEDIAFS,
        ])
        .arg(ensured.home.home())
        .arg(ensured.home.mount_point())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    said(&output)
}

#[test]
fn a_system_without_the_driver_is_told() {
    let ensured = Ensured::new();
    let without_device = "mkdir -p \"$1/dev\"; mount -t tmpfs none \"$1/dev\"; \
        for d in null zero urandom random tty; do mknod \"$1/dev/$d\" c $(stat -c '0x%t 0x%T' /dev/$d); done; \
        mount --move \"$1/dev\" /dev";
    let (code, answer) = in_namespace(&ensured, without_device, "");
    assert_eq!(
        (code, &answer["state"]),
        (Some(1), &json!("notInstalled")),
        "{answer}"
    );
    // Neither the right to mount, nor the helper that has it.
    let (code, answer) = in_namespace(
        &ensured,
        "true",
        "setpriv --bounding-set=-sys_admin env PATH=/nowhere",
    );
    assert_eq!(
        (code, &answer["state"]),
        (Some(1), &json!("notInstalled")),
        "{answer}"
    );
    assert!(
        answer["message"].as_str().unwrap().contains("fuse3"),
        "{answer}"
    );
    // The device is there, but may not be opened.
    let blocked = "mount --bind /dev/fuse /dev/fuse; mount -o remount,bind,nodev /dev/fuse";
    let (code, answer) = in_namespace(&ensured, blocked, "");
    assert_eq!(
        (code, &answer["state"]),
        (Some(1), &json!("driverBlocked")),
        "{answer}"
    );
    assert_eq!(ensured.home.json(["status"])["running"], false);
}

/// A daemon that says hello so, until it is told to end.
fn other_daemon(home: &Home, hello: Value) -> std::thread::JoinHandle<()> {
    let path = home.home().join("socket");
    std::fs::set_permissions(home.home(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut writer = stream.try_clone().unwrap();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let request: Value = serde_json::from_str(&line).unwrap();
                let is_end = request["method"] == "session.shutdown";
                let result = if is_end { json!({}) } else { hello.clone() };
                let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
                let _ = writeln!(writer, "{answer}");
                if is_end {
                    std::fs::remove_file(&path).unwrap();
                    return;
                }
            }
        }
    })
}

#[test]
fn a_daemon_of_another_time_is_told_and_replaced() {
    let ensured = Ensured::new();
    let newer = json!({"version": "9.0.0", "protocol": 99, "oldestProtocol": 98, "pid": 1});
    let serving = other_daemon(&ensured.home, newer);
    let (code, answer) = ensured.ensure(&["--replace"]);
    assert_eq!(
        (code, &answer["state"]),
        (Some(1), &json!("tooNew")),
        "{answer}"
    );
    ensured.home.run(["unmount"]);
    serving.join().unwrap();
    // As one of before the negotiation.
    let older = json!({"version": "0.0.1", "protocol": 0, "pid": 4_000_000});
    let serving = other_daemon(&ensured.home, older);
    let (code, answer) = ensured.ensure(&[]);
    assert_eq!(
        (code, &answer["state"]),
        (Some(1), &json!("tooOld")),
        "{answer}"
    );
    assert_eq!(
        (&answer["version"], &answer["protocol"]),
        (&json!("0.0.1"), &json!(0))
    );
    let (code, answer) = ensured.ensure(&["--replace"]);
    assert_eq!(
        (code, &answer["state"]),
        (Some(0), &json!("ready")),
        "{answer}"
    );
    assert_eq!(answer["started"], true);
    serving.join().unwrap();
}

/// This program, but of an older version.
fn older_binary(folder: &Path) -> PathBuf {
    let (version, older) = (env!("CARGO_PKG_VERSION"), "0.0.1");
    assert_eq!(version.len(), older.len(), "choose another older version");
    let mut bytes = std::fs::read(MEDIAFS).unwrap();
    let mut at = 0;
    while let Some(found) = bytes[at..]
        .windows(version.len())
        .position(|window| window == version.as_bytes())
    {
        at += found;
        bytes[at..at + older.len()].copy_from_slice(older.as_bytes());
    }
    let path = folder.join("older");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&path).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "mediafs 0.0.1\n");
    path
}

#[test]
fn an_open_sound_survives_the_hand_over() {
    let ensured = Ensured::new();
    let home = &ensured.home;
    let bytes = wav(200_000, 7);
    let file = home.library().join("long.wav");
    std::fs::write(&file, &bytes).unwrap();
    let older = older_binary(&home.path(""));
    let (code, answer) = said(&ensured.command(&older, &[]).output().unwrap());
    assert_eq!(code, Some(0), "{answer}");
    home.run(["import", file.to_str().unwrap()]);
    let item = home.wait_for_items(1).remove(0);
    let path = home.on_drive(path_of(&item));
    let passthrough = home.json(["status"])["mount"]["passthrough"] == true;
    let held = std::fs::File::open(&path).unwrap();
    let (code, answer) = ensured.ensure(&[]);
    assert_eq!(
        (code, &answer["state"]),
        (Some(1), &json!("tooOld")),
        "{answer}"
    );
    // At the place where the old one was, without being told.
    let output = home
        .command(["ensure", "--replace", "--json"])
        .output()
        .unwrap();
    let (code, answer) = said(&output);
    assert_eq!(
        (code, &answer["state"]),
        (Some(0), &json!("ready")),
        "{answer}"
    );
    assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answer["mount"], home.mount_point().to_str().unwrap());
    if passthrough {
        use std::os::unix::fs::FileExt;
        let mut read = vec![0; bytes.len()];
        held.read_exact_at(&mut read, 0).unwrap();
        assert!(read == bytes, "the open sound reads on");
    } else {
        println!("without passthrough nothing is promised of open sounds");
    }
    wait_until(support::SHOWN_WITHIN, "the path to be the same", || {
        std::fs::read(&path).is_ok_and(|read| read == bytes)
    });
}

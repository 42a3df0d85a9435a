//! The daemon from outside: one per home, the control socket, signals, the background, processes it is told about.

// It mounts real drives, with FUSE and signals.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::sounds::wav;
use support::{Home, path_of, program, show, wait_until};

struct Socket {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Socket {
    fn connect(home: &Home) -> Self {
        let writer = UnixStream::connect(home.home().join("socket")).unwrap();
        writer
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self {
            reader: BufReader::new(writer.try_clone().unwrap()),
            writer,
        }
    }

    fn line(&mut self, line: &[u8]) -> Value {
        self.writer.write_all(line).unwrap();
        self.writer.write_all(b"\n").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut answer = String::new();
        self.reader.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.line(request.to_string().as_bytes())
    }
}

fn is_mounted(home: &Home) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let point = home.mount_point();
    table
        .lines()
        .any(|line| line.split(' ').nth(4) == point.to_str())
}

#[test]
fn there_is_one_daemon_for_a_home() {
    let home = Home::new();
    let mounted = home.mount();
    let second = home.path("second");
    for extra in [&[][..], &["--background"]] {
        let output = home
            .command(["mount", second.to_str().unwrap()])
            .args(extra)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", show(&output));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(&mounted.pid().to_string()), "{errors}");
        assert!(errors.contains("mediafs unmount"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    assert_eq!(home.json(["status"])["pid"], mounted.pid());
    mounted.stop();
    assert!(!is_mounted(&home));
    assert_eq!(home.json(["status"])["running"], false);
}

#[test]
fn garbage_on_the_socket_is_answered_and_harms_nobody() {
    let home = Home::new();
    let _mounted = home.mount();
    let socket = home.home().join("socket");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut one = Socket::connect(&home);
    let mut other = Socket::connect(&home);
    assert_eq!(one.line(b"GET / HTTP/1.1")["error"]["code"], -32700);
    assert_eq!(one.line(b"\xff\xfe\x00")["error"]["code"], -32700);
    assert_eq!(one.line(b"[1,2,3]")["error"]["code"], -32600);
    assert_eq!(one.line(&[b'['; 200_000])["error"]["code"], -32700);
    let error = one.call("no.such", json!({}));
    assert_eq!(error["error"]["code"], -32601);
    assert_eq!(error["error"]["data"]["reason"], "unknownMethod");
    let error = one.call("media.get", json!({"mediaId": "../../etc"}));
    assert_eq!(error["error"]["code"], -32602);
    let error = one.call("media.get", json!({"path": "/etc/../etc/passwd"}));
    assert_eq!(error["error"]["code"], -32602, "{error}");
    let error = one.call("media.get", json!({"path": "/etc/passwd"}));
    assert_eq!(error["error"]["data"]["reason"], "notFound", "{error}");
    let error = one.call("media.import", json!({"paths": ["relative.wav"]}));
    assert_eq!(error["error"]["code"], -32602);
    // A message of more than a mebibyte, in pieces.
    let block = vec![b'x'; 1 << 16];
    for _ in 0..17 {
        one.writer.write_all(&block).unwrap();
    }
    assert_eq!(one.line(b"")["error"]["code"], -32600);
    assert_eq!(
        one.call("session.hello", json!({}))["result"]["protocol"],
        1
    );
    assert_eq!(
        other.call("session.hello", json!({"client": "test"}))["result"]["pid"],
        _mounted.pid()
    );
    // One that leaves in the middle of a line.
    one.writer.write_all(b"{\"jsonrpc\":").unwrap();
    drop(one);
    assert_eq!(
        other.call("drive.status", json!({}))["result"]["running"],
        true
    );
}

#[test]
fn the_background_returns_when_the_drive_is_ready() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(1000, 1000)).unwrap();
    let point = home.mount_point();
    let output = home
        .command([
            "mount",
            point.to_str().unwrap(),
            "--background",
            "--library",
            "library",
        ])
        .current_dir(home.path(""))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("ready {}\n", point.display())
    );
    assert!(output.status.success());
    assert!(is_mounted(&home));
    home.wait_for_items(1);
    let pid = home.json(["status"])["pid"].as_u64().unwrap();
    assert_ne!(pid, u64::from(std::process::id()));

    let elsewhere = home.path("elsewhere");
    let output = home
        .command(["unmount", elsewhere.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    assert!(is_mounted(&home));
    home.run(["unmount", point.to_str().unwrap()]);
    assert!(!is_mounted(&home));
    assert!(point.join("NOT-MOUNTED.txt").exists());
    // What it knew it knows without a daemon.
    assert_eq!(home.items().len(), 1);
}

#[test]
fn a_background_that_fails_says_why() {
    let home = Home::new();
    let point = home.path("full");
    std::fs::create_dir(&point).unwrap();
    std::fs::write(point.join("mine.txt"), "mine").unwrap();
    let output = home
        .command(["mount", point.to_str().unwrap(), "--background"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("mine.txt") && errors.starts_with("mediafs: "),
        "{errors}"
    );
    assert_eq!(std::fs::read(point.join("mine.txt")).unwrap(), b"mine");
    // The home is free.
    assert_eq!(home.json(["status"])["running"], false);
}

#[test]
fn after_a_crash_the_drive_is_taken_away_or_mounted_again() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(1000, 1000)).unwrap();
    let crash = || {
        // In the foreground nobody starts it again.
        let drive = home.mount();
        home.wait_for_items(1);
        drive.kill();
        wait_until(Duration::from_secs(10), "the daemon is gone", || {
            std::fs::metadata(home.on_drive("README.txt"))
                .is_err_and(|error| error.raw_os_error() == Some(107))
        });
        assert!(is_mounted(&home), "a dead mount is what this test is about");
    };
    crash();
    // The doctor sees it, other commands do not care.
    let doctor = home.command(["doctor"]).output().unwrap();
    assert_eq!(doctor.status.code(), Some(1), "{}", show(&doctor));
    assert!(
        String::from_utf8_lossy(&doctor.stdout).contains("lost its daemon"),
        "{}",
        show(&doctor)
    );
    assert_eq!(home.items().len(), 1);
    // Without naming it: the home knows where its drive was.
    home.run(["unmount"]);
    assert!(!is_mounted(&home));

    crash();
    let mounted = home.mount();
    assert_eq!(home.json(["status"])["pid"], mounted.pid());
    home.wait_for_items(1);
    mounted.stop();
}

#[test]
fn a_program_is_run_as_what_it_is_said_to_be() {
    let home = Home::new();
    let file = home.library().join("a.wav");
    let bytes = wav(1000, 1000);
    std::fs::write(&file, &bytes).unwrap();
    let mounted = home.mount();
    let item = home.wait_for_items(1).remove(0);
    let library = home.on_drive("library/library/a.wav");
    std::fs::remove_file(&file).unwrap();
    wait_until(support::SHOWN_WITHIN, "the sound is missing", || {
        home.json(["show", item["mediaId"].as_str().unwrap()])["availability"] == "missing"
    });
    let by_id = home.on_drive(support::path_of(&item));
    let run = |arguments: &[&str]| {
        home.command(["run"].iter().chain(arguments).copied())
            .output()
            .unwrap()
    };
    let by_id = by_id.to_str().unwrap();
    let silence = run(&["--as", "player", "--", "cat", by_id]);
    assert!(silence.status.success(), "{}", show(&silence));
    assert_eq!(silence.stdout.len(), bytes.len());
    assert_ne!(silence.stdout, bytes);
    // With all that it starts; and not in the folder that shows what is on the disk.
    let silence = run(&["--as", "player", "sh", "-c", "sed -n p \"$0\"", by_id]);
    assert_eq!(silence.stdout.len(), bytes.len(), "{}", show(&silence));
    let gone = run(&["--as", "player", "cat", library.to_str().unwrap()]);
    assert!(!gone.status.success(), "{}", show(&gone));
    for arguments in [
        &["--as", "copier", "cat", by_id][..],
        &["--as", "player", "--strict", "cat", by_id],
        // A player's copying program is not lied to.
        &["--as", "player", "sh", "-c", "cp \"$0\" /dev/null", by_id],
        &["--as", "indexer", "cat", by_id],
    ] {
        let refused = run(arguments);
        assert!(
            !refused.status.success(),
            "{arguments:?} {}",
            show(&refused)
        );
        assert!(refused.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!(
        run(&["--as", "player", "sh", "-c", "exit 37"])
            .status
            .code(),
        Some(37)
    );
    assert_eq!(
        run(&["--as", "player", "--", "sh", "-c", "exit 3", "--json"])
            .status
            .code(),
        Some(3)
    );
    assert_eq!(
        run(&["--as", "player", "/no/such/program"]).status.code(),
        Some(127)
    );
    assert_eq!(
        run(&["--as", "player", "/etc/passwd"]).status.code(),
        Some(126)
    );

    let mut socket = Socket::connect(&home);
    let error = socket.call(
        "requesters.register",
        json!({"pid": std::process::id(), "startTime": 1, "class": "player"}),
    );
    assert_eq!(error["error"]["data"]["reason"], "notFound", "{error}");
    let error = socket.call(
        "requesters.setMode",
        json!({"pid": std::process::id(), "startTime": 1, "strict": true}),
    );
    assert_eq!(error["error"]["data"]["reason"], "notFound", "{error}");
    mounted.stop();
}

#[test]
fn commands_go_through_the_daemon_and_show_at_once() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(1000, 1000)).unwrap();
    let mounted = home.mount();
    let item = home.wait_for_items(1).remove(0);
    let id = item["mediaId"].as_str().unwrap();
    // By a path on the drive, whatever the view.
    for path in [
        format!("by-id/{id}/a.wav"),
        format!("by-id/{id}.wav"),
        "library/library/a.wav".to_owned(),
        format!(".as/copier/by-id/{id}/a.wav"),
    ] {
        let path = home.on_drive(path);
        assert_eq!(
            home.json(["show", path.to_str().unwrap()])["mediaId"],
            id,
            "{}",
            path.display()
        );
    }
    home.run(["rename", id, "Better"]);
    assert!(home.on_drive(format!("by-id/{id}/Better.wav")).exists());
    assert!(
        home.on_drive(format!("by-id/{id}/a.wav")).exists(),
        "old names go on"
    );
    let other = home.path("other.wav");
    std::fs::write(&other, wav(500, 500)).unwrap();
    let imported = home.json(["import", "--id", "mine", other.to_str().unwrap()]);
    assert_eq!(imported[0]["outcome"], "imported");
    assert_eq!(
        std::fs::read(home.on_drive("by-id/mine/other.wav")).unwrap(),
        std::fs::read(&other).unwrap()
    );
    assert_eq!(home.json(["scan"])["problems"], 0);
    home.run(["remove", "mine"]);
    assert!(!home.on_drive("by-id/mine/other.wav").exists());
    mounted.stop();
}

#[test]
fn signals_end_the_daemon_in_order_and_soon() {
    for signal in ["INT", "TERM", "HUP"] {
        let home = Home::new();
        std::fs::write(home.library().join("a.wav"), wav(1000, 1000)).unwrap();
        let mut daemon = home
            .command([
                "mount",
                home.mount_point().to_str().unwrap(),
                "--no-passthrough",
            ])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("ready "), "{line}");
        // Somebody is in there, and a client hangs on.
        let held = std::fs::File::open(home.on_drive("README.txt")).unwrap();
        let _idle = Socket::connect(&home);
        let sent = program("kill", [format!("-{signal}"), daemon.id().to_string()]);
        assert!(sent.status.success());
        let begun = Instant::now();
        let status = daemon.wait().unwrap();
        assert!(status.success(), "{signal}: {status}");
        assert!(
            begun.elapsed() < Duration::from_secs(12),
            "{signal}: {:?}",
            begun.elapsed()
        );
        assert!(!is_mounted(&home), "{signal}");
        drop(held);
    }
}

#[test]
fn what_is_open_and_known_is_told_and_forgotten() {
    let home = Home::new();
    for seed in 1..=30_u32 {
        std::fs::write(home.library().join(format!("{seed}.wav")), wav(50, seed)).unwrap();
    }
    let _drive = home.mount();
    let items = home.wait_for_items(30);
    let load = || {
        let mount = home.json(["status"])["mount"].clone();
        let number = |name: &str| mount[name].as_u64().unwrap();
        (number("openHandles"), number("knownFiles"))
    };
    assert_eq!(load(), (0, 0));
    let open = || -> Vec<std::fs::File> {
        let paths = items.iter().map(|item| home.on_drive(path_of(item)));
        paths.map(|p| std::fs::File::open(p).unwrap()).collect()
    };
    let (once, twice) = (open(), open());
    assert_eq!(load(), (60, 30));
    drop(once);
    // A file is released a moment after it was closed.
    wait_until(Duration::from_secs(5), "30 to be released", || {
        load() == (30, 30)
    });
    drop(twice);
    wait_until(Duration::from_secs(5), "all to be released", || {
        load().0 == 0
    });
    if rustix::process::geteuid().is_root() {
        wait_until(Duration::from_secs(10), "all to be forgotten", || {
            std::fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
            load() == (0, 0)
        });
    }
}

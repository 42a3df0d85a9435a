//! The command line beside a running drive: names of any bytes, libraries that come and go, what is told of them.

// It mounts real drives, with FUSE and signals.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::BufRead as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::sounds::wav;
use support::{Home, path_of};

/// The path that a path of the protocol stands for.
fn path_from(text: &Value) -> PathBuf {
    let text = text.as_str().unwrap();
    let Some(rest) = text.strip_prefix("file://") else {
        return PathBuf::from(text);
    };
    let mut bytes = Vec::new();
    let mut rest = rest.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes).into()
}

#[test]
fn names_of_any_bytes_stay_apart_and_lead_back() {
    let home = Home::new();
    let names: [&[u8]; 6] = [
        b"x\xe8.wav",
        b"x\xe9.wav",
        b"x%E9.wav",
        b"x%25E9.wav",
        "x\u{fffd}.wav".as_bytes(),
        b"new\nline.wav",
    ];
    let folder = home.library().join(OsStr::from_bytes(b"f\xfc%20r"));
    std::fs::create_dir(&folder).unwrap();
    for (seed, name) in (1..).zip(names) {
        let file = folder.join(OsStr::from_bytes(name));
        std::fs::write(file, wav(100 + seed, seed)).unwrap();
    }
    let mounted = home.mount();
    let items = home.wait_for_items(names.len());
    for field in ["/name", "/storage/path", "/resolvedPath", "/path"] {
        let all: BTreeSet<&str> = items
            .iter()
            .map(|item| item.pointer(field).unwrap().as_str().unwrap())
            .collect();
        assert_eq!(all.len(), names.len(), "{field}: {all:?}");
    }
    for item in &items {
        let id = item["mediaId"].as_str().unwrap();
        let file = path_from(&item["resolvedPath"]);
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(
            std::fs::read(home.on_drive(path_of(item))).unwrap(),
            bytes,
            "{item}"
        );
        let below = file.strip_prefix(home.library()).unwrap();
        let in_library = home.on_drive("library/library").join(below);
        assert_eq!(std::fs::read(&in_library).unwrap(), bytes, "{item}");
        // Back by what was printed, by the file, and by both doors of the drive.
        let printed = item["resolvedPath"].as_str().unwrap();
        let on_drive = home.on_drive(path_of(item));
        for path in [Path::new(printed), &file, &in_library, &on_drive] {
            let shown = home.json([OsStr::new("show"), path.as_os_str()]);
            assert_eq!(shown["mediaId"], id, "{}", path.display());
            let there = home.json([OsStr::new("whereis"), path.as_os_str()]);
            assert_eq!(there["path"], item["resolvedPath"], "{}", path.display());
            let again = home.json([OsStr::new("import"), path.as_os_str()]);
            assert_eq!(again[0]["mediaId"], id, "{}", path.display());
            assert_eq!(again[0]["outcome"], "already", "{}", path.display());
            assert_eq!(again[0]["path"], item["path"], "{}", path.display());
        }
        home.run(["relink", id, printed]);
    }
    assert_eq!(home.items().len(), names.len());
    mounted.stop();
}

/// What `doctor --json` says under this word: message of each.
fn findings(home: &Home, check: &str) -> Vec<String> {
    let output = home.command(["doctor", "--json"]).output().unwrap();
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    all.as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == check)
        .map(|finding| finding["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_is_left_out_is_counted_and_listed() {
    let home = Home::new();
    let library = home.library();
    std::fs::write(library.join("a.wav"), wav(100, 1)).unwrap();
    std::fs::create_dir(library.join("sub")).unwrap();
    let outside = home.path("outside.wav");
    std::fs::write(&outside, wav(100, 2)).unwrap();
    std::os::unix::fs::symlink("a.wav", library.join("kept.wav")).unwrap();
    std::os::unix::fs::symlink(library.join("a.wav"), library.join("absolute.wav")).unwrap();
    std::os::unix::fs::symlink("../../outside.wav", library.join("sub/out.wav")).unwrap();
    let fifo = library.join("pipe.wav");
    support::succeed("mkfifo", [&fifo]);
    let _socket = std::os::unix::net::UnixListener::bind(library.join("socket")).unwrap();

    // Without a daemon the import itself says so.
    let imported = home.json(["import", library.to_str().unwrap()]);
    let skipped = imported.as_array().unwrap().iter();
    let skipped = skipped.filter(|file| file["outcome"] == "skipped" && file["reason"].is_string());
    assert_eq!(skipped.count(), 4, "{imported}");

    let mounted = home.mount();
    home.wait_for_items(1);
    support::wait_until(support::SHOWN_WITHIN, "all is looked at", || {
        home.json(["status"])["leftOut"] == 4
    });
    let status = home.run(["status"]);
    assert!(
        status.contains("left out") && status.contains("doctor"),
        "{status}"
    );
    let found = findings(&home, "left out");
    assert_eq!(found.len(), 4, "{found:?}");
    for (name, reason) in [
        ("absolute.wav", "link"),
        ("sub/out.wav", "link"),
        ("pipe.wav", "pipe"),
        ("socket", "socket"),
    ] {
        let path = library.join(name);
        let path = path.to_str().unwrap();
        let one = found.iter().find(|message| message.starts_with(path));
        assert!(one.unwrap().contains(reason), "{found:?}");
        let output = home.command(["show", path]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains(reason) && errors.lines().count() == 1,
            "{errors}"
        );
    }
    std::fs::remove_file(fifo).unwrap();
    support::wait_until(support::SHOWN_WITHIN, "the pipe is gone", || {
        home.json(["status"])["leftOut"] == 3
    });
    mounted.stop();
}

#[test]
fn every_unreadable_file_is_listed_with_its_reason() {
    let home = Home::new();
    // More than a page of the protocol.
    let count = 1030;
    for number in 0..count {
        let file = home.library().join(format!("broken {number}.wav"));
        std::fs::write(file, b"RIFF\x10\0\0\0WAVEfmt \x10\0\0\0").unwrap();
    }
    let mounted = home.mount();
    support::wait_until(support::SHOWN_WITHIN, "all are read", || {
        home.json(["status"])["problems"] == count
    });
    assert_eq!(findings(&home, "files").len(), count);
    let lines = |arguments: &[&str]| {
        let output = home.command(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let of_files = text.lines().filter(|line| line.starts_with("warn  files"));
        of_files.map(str::to_owned).collect::<Vec<_>>()
    };
    let few = lines(&["doctor"]);
    assert_eq!(few.len(), 21);
    assert!(
        few[20].contains("1010 more") && few[20].contains("--all"),
        "{few:?}"
    );
    assert_eq!(lines(&["doctor", "--all"]).len(), count);

    let file = home.library().join("broken 7.wav");
    let on_drive = home.on_drive("library/library/broken 7.wav");
    for path in [file, on_drive] {
        let output = home
            .command([OsStr::new("show"), path.as_os_str()])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            errors.contains("broken 7.wav") && errors.contains("cannot be read"),
            "{errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    mounted.stop();
}

/// Runs a command that must fail with code 1 and one line that holds all of these.
fn refused(home: &Home, arguments: &[&OsStr], holds: &[&str]) {
    let output = home.command(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(holds.iter().all(|word| errors.contains(word)), "{errors}");
}

#[test]
fn a_mistyped_folder_is_told_before_anything_is_mounted() {
    let home = Home::new();
    let (mount, point) = (OsStr::new("mount"), home.mount_point());
    let (nope, file) = (home.path("nope"), home.path("file"));
    std::fs::write(&file, "").unwrap();
    let library = home.library();
    for option in ["--library", "--project"] {
        for wrong in [&nope, &file] {
            for background in [None, Some(OsStr::new("--background"))] {
                let mut arguments = vec![mount, point.as_os_str()];
                arguments.extend(["--library".as_ref(), library.as_os_str()]);
                arguments.extend([option.as_ref(), wrong.as_os_str()]);
                arguments.extend(background);
                refused(
                    &home,
                    &arguments,
                    &[wrong.to_str().unwrap(), "nothing was mounted"],
                );
            }
        }
    }
    assert_eq!(home.json(["status"])["running"], false);
    assert_eq!(home.json(["status"])["libraries"], Value::Array(Vec::new()));
}

#[test]
fn a_folder_that_cannot_be_registered_keeps_no_other_off_and_is_told() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(100, 1)).unwrap();
    let gone = home.path("gone");
    std::fs::create_dir(&gone).unwrap();
    std::fs::write(gone.join("b.wav"), wav(100, 2)).unwrap();
    home.run(["import", gone.to_str().unwrap()]);
    std::fs::rename(&gone, home.path("away")).unwrap();
    let inner = home.library().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let output = home
        .command(["mount", "--background"])
        .arg(home.mount_point())
        .arg("--library")
        .arg(home.library())
        .arg("--library")
        .arg(&gone)
        .arg("--library")
        .arg(&inner)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", support::show(&output));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().count(), 2, "{errors}");
    let told = [
        (gone.to_str().unwrap(), "cannot be reached"),
        (inner.to_str().unwrap(), "was not added"),
    ];
    let holds = |text: &str| {
        told.iter().all(|(path, what)| {
            text.lines()
                .any(|line| line.contains(path) && line.contains(what))
        })
    };
    assert!(holds(&errors), "{errors}");
    assert!(holds(&home.run(["status"])));
    assert!(holds(&findings(&home, "drive").join("\n")));
    // They are registered when the mount is ready, by any of their paths.
    home.run(["scan", home.library().to_str().unwrap()]);
    let link = home.path("link");
    std::os::unix::fs::symlink(home.library(), &link).unwrap();
    home.run(["scan", link.to_str().unwrap()]);
    assert!(home.on_drive("library/library/a.wav").exists());
    home.run(["unmount"]);
}

#[test]
fn a_forgotten_library_loses_nothing_and_comes_back() {
    let home = Home::new();
    let library = home.library();
    std::fs::create_dir_all(library.join("deep/er")).unwrap();
    let names = ["a.wav", "deep/b.wav", "deep/er/c.wav"];
    for (seed, name) in (1..).zip(names) {
        std::fs::write(library.join(name), wav(100 + seed, seed)).unwrap();
    }
    let mounted = home.mount();
    home.wait_for_items(3);
    let id_of = |name: &str| home.item(name)["mediaId"].as_str().unwrap().to_owned();
    let ids: Vec<String> = names.iter().map(|name| id_of(name)).collect();
    home.run(["tag", &ids[0], "mine"]);
    // Hashes come later than what a sound is.
    let mut before = Vec::new();
    support::wait_until(Duration::from_secs(30), "all hashes", || {
        before = home.items();
        before.iter().all(|item| !item["blake3"].is_null())
    });
    assert!(home.on_drive("library/library/a.wav").exists());

    let forgotten = home.json(["forget-library", "library"]);
    assert_eq!(forgotten["active"], false);
    refused(
        &home,
        &["forget-library".as_ref(), "library".as_ref()],
        &["no library"],
    );
    refused(
        &home,
        &["scan".as_ref(), library.as_os_str()],
        &["no library"],
    );
    support::settle();
    assert!(!home.on_drive("library/library").exists());
    assert!(!home.on_drive("library/library/a.wav").exists());
    let shown = std::fs::read_dir(home.on_drive("library")).unwrap();
    assert_eq!(shown.count(), 0);
    assert_eq!(home.items(), before, "nothing of the sounds is another");
    for (name, item) in names.iter().zip(&ids) {
        let item = home.json(["show", item]);
        let bytes = std::fs::read(home.on_drive(path_of(&item))).unwrap();
        assert_eq!(bytes, std::fs::read(library.join(name)).unwrap());
    }
    // Nobody looks there.
    std::fs::write(library.join("new.wav"), wav(50, 9)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    home.run(["scan"]);
    assert_eq!(home.items().len(), 3);
    // A file of it that is imported by itself is the sound that it was.
    let alone = home.json(["import", library.join("a.wav").to_str().unwrap()]);
    assert_eq!(alone[0]["mediaId"], ids[0].as_str());

    // A part of it comes back with its ids, then all of it as a part of something larger, then itself.
    let again = home.json(["import", library.join("deep").to_str().unwrap()]);
    let again: BTreeSet<&str> = again
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["mediaId"].as_str().unwrap())
        .collect();
    assert_eq!(again, BTreeSet::from([ids[1].as_str(), ids[2].as_str()]));
    home.run(["forget-library", library.join("deep").to_str().unwrap()]);
    mounted.stop();

    let mounted = home.mount();
    home.wait_for_items(4);
    for (name, id) in names.iter().zip(&ids) {
        assert_eq!(id_of(name), *id, "{name}");
        assert!(home.on_drive("library/library").join(name).exists());
    }
    assert_eq!(home.json(["show", &ids[0]])["tags"][0]["name"], "mine");
    assert_eq!(home.json(["status"])["problems"], 0);
    mounted.stop();
}

/// A folder of so many sounds, each of a size that takes a while to copy.
fn many(home: &Home, count: u32) -> PathBuf {
    let folder = home.path("many");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..count {
        std::fs::write(folder.join(format!("{number}.wav")), wav(20_000, number)).unwrap();
    }
    folder
}

/// Starts to import a folder by copy; returns when some of it is in.
fn import_begun(home: &Home, folder: &Path) -> Child {
    let mut command = home.command(["import", "--copy"]);
    let import = command
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let import = import.spawn().unwrap();
    support::wait_until(Duration::from_secs(20), "some are imported", || {
        !home.items().is_empty()
    });
    import
}

/// The number of items, when it has stayed the same for a second.
fn settled(home: &Home) -> usize {
    let mut count = home.items().len();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = home.items().len();
        if now == count {
            return count;
        }
        count = now;
    }
}

#[test]
fn an_import_ends_with_the_command_that_asked_for_it() {
    const COUNT: u32 = 1000;
    let home = Home::new();
    let folder = many(&home, COUNT);
    let mounted = home.mount();

    let import = import_begun(&home, &folder);
    kill_process(Pid::from_child(&import), Signal::INT).unwrap();
    let output = import.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(130),
        "{}",
        support::show(&output)
    );
    let told = String::from_utf8(output.stdout).unwrap().lines().count();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains(&format!("{told} new sounds")), "{errors}");
    assert!(errors.contains("goes on from here"), "{errors}");
    assert_eq!(home.items().len(), told, "what was told is what is there");
    assert_eq!(settled(&home), told, "the daemon goes on");
    assert!(told < COUNT as usize, "nothing was interrupted");

    let mut import = import_begun(&home, &folder);
    support::wait_until(Duration::from_secs(20), "it has gone on", || {
        home.items().len() > told
    });
    import.kill().unwrap();
    import.wait().unwrap();
    let left = settled(&home);
    assert!(told < left && left < COUNT as usize, "{told} {left}");

    home.run(["import", "--copy", folder.to_str().unwrap()]);
    let names: BTreeSet<String> = home
        .items()
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), COUNT as usize);
    assert_eq!(home.items().len(), COUNT as usize, "an item came twice");
    mounted.stop();
}

#[test]
fn idle_connections_hold_nobody_up() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(100, 1)).unwrap();
    let mounted = home.mount();
    home.wait_for_items(1);
    let socket = home.home().join("socket");
    let mut idle = Vec::new();
    for _ in 0..600 {
        idle.push(std::os::unix::net::UnixStream::connect(&socket).unwrap());
    }
    // With a long request under way among them.
    let folder = many(&home, 1000);
    let import = import_begun(&home, &folder);
    for _ in 0..200 {
        idle.push(std::os::unix::net::UnixStream::connect(&socket).unwrap());
    }
    let begun = Instant::now();
    home.run(["status"]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    // What may have been sent by those that are closed is still read.
    support::wait_until(Duration::from_secs(2), "they are closed", || {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", mounted.pid())).unwrap();
        descriptors.count() < 300
    });
    let output = import.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", support::show(&output));
    drop(idle);
    mounted.stop();
}

#[test]
fn who_asks_at_once_is_answered_however_many_come() {
    let home = Home::new();
    let mounted = home.mount();
    let socket = home.home().join("socket");
    let ask = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"drive.status\"}\n";
    let mut asking: Vec<_> = (0..400)
        .map(|_| {
            let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
            std::io::Write::write_all(&mut stream, ask).unwrap();
            stream
        })
        .collect();
    let (mut answered, mut told) = (0, 0);
    for stream in &mut asking {
        let mut line = String::new();
        let read = std::io::BufReader::new(stream).read_line(&mut line);
        match read {
            Ok(1..) if line.contains("\"result\"") => answered += 1,
            Ok(1..) if line.contains("tooMany") => told += 1,
            other => panic!("{other:?} {line} after {answered} answers"),
        }
    }
    assert!(answered > 300, "{answered} answered, {told} told");
    // Connected first, and asking later: as many as stay.
    drop(asking);
    let mut later: Vec<_> = (0..100)
        .map(|_| std::os::unix::net::UnixStream::connect(&socket).unwrap())
        .collect();
    for stream in &mut later {
        std::io::Write::write_all(stream, ask).unwrap();
        let mut line = String::new();
        std::io::BufReader::new(&mut *stream)
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains("\"result\""), "{line}");
    }
    drop(later);
    mounted.stop();
}

#[test]
fn a_forgotten_library_stays_so_when_the_daemon_is_started_again() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(100, 1)).unwrap();
    let mut mount = home.command(["mount", "--background", "--library"]);
    mount.arg(home.library()).arg(home.mount_point());
    let output = mount.output().unwrap();
    assert!(output.status.success(), "{}", support::show(&output));
    home.wait_for_items(1);
    home.run(["forget-library", "library"]);
    // While one daemon goes and the next one comes, status may fail.
    let pid = || {
        let output = home.command(["status", "--json"]).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        status["pid"].as_i64()
    };
    let first = pid().unwrap();
    let process = Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
    kill_process(process, Signal::KILL).unwrap();
    support::wait_until(Duration::from_secs(20), "another daemon", || {
        pid().is_some_and(|pid| pid != first)
    });
    support::wait_until(Duration::from_secs(20), "the drive", || {
        home.on_drive("by-id").exists()
    });
    assert_eq!(home.json(["status"])["libraries"][0]["active"], false);
    assert!(!home.on_drive("library/library").exists());
    home.run(["unmount"]);
}

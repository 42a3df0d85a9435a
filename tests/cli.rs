//! The command line without a daemon: what it prints, what it answers in JSON, how it fails.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;
#[cfg(unix)]
use std::time::Duration;

use serde_json::Value;
use support::sounds::wav;
use support::{Home, show};

/// A home with one sound in a folder that is no library yet.
fn home_with(name: &str) -> (Home, PathBuf) {
    let home = Home::new();
    let file = home.library().join(name);
    std::fs::write(&file, wav(4410, 4410)).unwrap();
    (home, file)
}

/// Runs a command that must fail with this code and say one line about it.
fn fails(home: &Home, code: i32, arguments: &[&str]) -> String {
    let output = home.command(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", show(&output));
    let errors = String::from_utf8(output.stderr).unwrap();
    if code == 1 {
        assert!(errors.starts_with("mediafs: "), "{errors}");
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
    }
    errors
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", show(output));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn wrong_usage_is_told_with_code_2() {
    let home = Home::new();
    fails(&home, 2, &[]);
    fails(&home, 2, &["no-such-command"]);
    fails(&home, 2, &["show"]);
    fails(&home, 2, &["tag", "some-id"]);
    fails(&home, 2, &["ls", "--no-such-flag"]);
    fails(&home, 2, &["import", "--copy", "--reference", "x"]);
    fails(&home, 2, &["import", "--id", "../x", "x"]);
    let errors = fails(&home, 2, &["run", "--as", "dancer", "true"]);
    assert!(
        errors.contains("player") && errors.contains("indexer"),
        "{errors}"
    );
    let output = home.command(["--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_empty_home_is_no_error() {
    let home = Home::new();
    assert_eq!(home.json(["ls"]), Value::Array(Vec::new()));
    let status = home.json(["status"]);
    assert_eq!(status["running"], false);
    assert_eq!(status["pid"], Value::Null);
    assert_eq!(status["mount"], Value::Null);
    assert_eq!(status["items"]["total"], 0);
    assert_eq!(home.json(["cache", "stats"])["objects"], 0);
    assert_eq!(home.json(["cache", "verify"])["intact"], 0);
    assert_eq!(home.json(["cache", "evict"])["bytes"], 0);
}

#[test]
fn an_import_prints_id_and_path_and_is_idempotent() {
    let (home, file) = home_with("Kick 01.wav");
    let file = file.to_str().unwrap();
    let first = lines(&home.command(["import", file]).output().unwrap());
    assert_eq!(first.len(), 1);
    let (id, path) = first[0].split_once('\t').unwrap();
    assert_eq!(path, format!("by-id/{id}/Kick 01.wav"));
    let again = home.json(["import", file]);
    assert_eq!(again.as_array().unwrap().len(), 1);
    assert_eq!(again[0]["mediaId"], id);
    assert_eq!(again[0]["outcome"], "already");
    assert_eq!(again[0]["path"], path);
    assert_eq!(
        PathBuf::from(again[0]["source"].as_str().unwrap())
            .file_name()
            .unwrap(),
        "Kick 01.wav"
    );
}

#[test]
fn an_item_has_every_field_of_the_protocol() {
    let (home, file) = home_with("Snare.wav");
    home.run(["import", "--id", "host-7", file.to_str().unwrap()]);
    let item = home.json(["show", "host-7"]);
    let names: BTreeSet<&str> = item
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    for name in [
        "mediaId",
        "scope",
        "kind",
        "name",
        "origin",
        "storage",
        "alternatives",
        "resolvedPath",
        "format",
        "size",
        "blake3",
        "lifecycle",
        "availability",
        "playable",
        "tags",
        "attributes",
        "usages",
        "path",
    ] {
        assert!(names.contains(name), "{name} is missing in {names:?}");
    }
    assert_eq!(item["mediaId"], "host-7");
    assert_eq!(item["format"]["container"], "wav");
    assert_eq!(item["format"]["sampleRate"], 44_100);
    assert_eq!(item["availability"], "local");
    assert_eq!(item["playable"], "bytes");
    assert_eq!(item["path"], "by-id/host-7/Snare.wav");
    assert_eq!(home.json(["ls"])[0], item);
    // The same item by its file, absolutely, relatively, and by an id in another case.
    assert_eq!(home.json(["show", file.to_str().unwrap()]), item);
    assert_eq!(home.json(["show", "HOST-7"]), item);
    let relative = home
        .command(["show", "--json", "Snare.wav"])
        .current_dir(home.library())
        .output()
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&relative.stdout).unwrap(),
        item
    );
    // On Windows links take rights that a test can't count on.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(home.library(), home.path("link")).unwrap();
        let through = home.path("link/Snare.wav");
        assert_eq!(home.json(["show", through.to_str().unwrap()]), item);
    }
}

/// A place on every machine, on Linux.
#[cfg(target_os = "linux")]
#[test]
fn a_home_on_storage_that_can_vanish_is_refused() {
    // No disk at all, and nothing can be made there: refused before it is tried.
    let output = std::process::Command::new(support::MEDIAFS)
        .args(["--home", "/sys/mediafs", "ls"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("not trusted") && errors.contains("--home"),
        "{errors}"
    );
}

#[test]
fn tags_names_and_removal_last() {
    let (home, file) = home_with("Hat.wav");
    home.run(["import", "--id", "hat", file.to_str().unwrap()]);
    home.run(["tag", "hat", "Bright", "metal"]);
    home.run(["rename", "hat", "Closed Hat"]);
    let item = home.json(["show", "hat"]);
    assert_eq!(item["name"], "Closed Hat.wav");
    assert_eq!(item["path"], "by-id/hat/Closed Hat.wav");
    let tags: BTreeSet<&str> = item["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert!(
        tags.contains("Bright") && tags.contains("metal"),
        "{tags:?}"
    );
    assert_eq!(
        home.json(["search", "bright", "closed"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        home.json(["ls", "bright", "open"]),
        Value::Array(Vec::new())
    );

    home.run(["untag", "hat", "bright"]);
    let errors = fails(&home, 1, &["untag", "hat", "metal", "no-such-tag"]);
    assert!(errors.contains("no-such-tag"), "{errors}");
    let item = home.json(["show", "hat"]);
    let tags: Vec<&str> = item["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert_eq!(tags, ["metal"], "what failed took nothing off");

    let removed = home.json(["remove", "hat"]);
    assert_eq!(removed["mediaId"], "hat");
    assert!(file.exists());
    let errors = fails(&home, 1, &["show", "hat"]);
    assert!(
        errors.contains("hat") && errors.contains("mediafs ls"),
        "{errors}"
    );
}

#[test]
fn a_taken_id_and_a_missing_file_are_refused() {
    let (home, file) = home_with("A.wav");
    let other = home.library().join("B.wav");
    std::fs::write(&other, wav(100, 100)).unwrap();
    home.run(["import", "--id", "one", file.to_str().unwrap()]);
    let output = home
        .command(["import", "--id", "one", other.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("taken"),
        "{}",
        show(&output)
    );
    let output = home
        .command(["import", "/no/such/file.wav"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .replace('\\', "/")
            .contains("/no/such/file.wav"),
        "{}",
        show(&output)
    );
    assert_eq!(home.items().len(), 1);
}

#[test]
fn the_id_of_a_sound_is_not_changed_by_importing_it_again() {
    let (home, file) = home_with("A.wav");
    let file = file.to_str().unwrap();
    let project = home.path("project");
    std::fs::create_dir(&project).unwrap();
    let project = project.to_str().unwrap();
    let ways = [
        (vec!["--copy"], "one"),
        (vec!["--reference"], "two"),
        (vec!["--project", project], "three"),
    ];
    for (way, id) in ways {
        let import = |id: &str, json: bool| {
            let mut command = home.command(["import", "--id", id, file]);
            command.args(&way).args(json.then_some("--json"));
            command.output().unwrap()
        };
        assert!(import(id, false).status.success());
        let before = home.items();
        for id in [id, &id.to_uppercase()] {
            let again = import(id, true);
            assert!(again.status.success(), "{}", show(&again));
            let again: Value = serde_json::from_slice(&again.stdout).unwrap();
            assert_eq!(again[0]["outcome"], "already", "{again}");
        }
        let refused = import("other", false);
        assert_eq!(refused.status.code(), Some(1), "{}", show(&refused));
        assert!(refused.stdout.is_empty(), "{}", show(&refused));
        let errors = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(id) && errors.contains("other"), "{errors}");
        let refused = import("other", true);
        assert_eq!(refused.status.code(), Some(1), "{}", show(&refused));
        let refused: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(refused[0]["outcome"], "failed", "{refused}");
        assert_eq!(refused[0]["mediaId"], Value::Null, "{refused}");
        assert_eq!(home.items(), before);
    }
    // A copy that was lost comes back under its own id only.
    let copy = home.home().join("Library/A.wav");
    std::fs::remove_file(&copy).unwrap();
    let errors = fails(&home, 1, &["import", "--copy", "--id", "other", file]);
    assert!(errors.contains("one"), "{errors}");
    assert!(!copy.exists());

    let folder = home.library();
    let folder = folder.to_str().unwrap();
    for way in ["--copy", "--reference"] {
        let errors = fails(&home, 1, &["import", way, "--id", "x", folder]);
        assert!(errors.contains("is a folder"), "{errors}");
    }
    let errors = fails(&home, 1, &["import", "--id", "x", file, folder]);
    assert!(errors.contains("one file, but 2"), "{errors}");
}

#[test]
fn a_relink_takes_only_the_same_sound() {
    let (home, file) = home_with("Tom.wav");
    home.run(["import", "--id", "tom", file.to_str().unwrap()]);
    let elsewhere = home.path("elsewhere.wav");
    std::fs::rename(&file, &elsewhere).unwrap();
    let other = home.path("other.wav");
    std::fs::write(&other, wav(99, 99)).unwrap();
    let errors = fails(&home, 1, &["relink", "tom", other.to_str().unwrap()]);
    assert!(
        errors.contains("another sound") && errors.contains("4410 frames"),
        "{errors}"
    );
    let text = home.path("text.wav");
    std::fs::write(&text, "no sound").unwrap();
    fails(&home, 1, &["relink", "tom", text.to_str().unwrap()]);

    let item = home.json(["relink", "tom", elsewhere.to_str().unwrap()]);
    assert_eq!(item["mediaId"], "tom");
    assert_eq!(item["availability"], "local");
    assert_eq!(item["path"], "by-id/tom/Tom.wav");
    assert!(
        item["resolvedPath"]
            .as_str()
            .unwrap()
            .ends_with("elsewhere.wav"),
        "{item}"
    );
}

/// Windows has no such names.
#[cfg(unix)]
#[test]
fn names_cannot_command_the_terminal() {
    let (home, file) = home_with("evil\u{1b}[2Jname\n.wav");
    home.run(["import", file.to_str().unwrap()]);
    for arguments in [
        &["ls"][..],
        &["status"],
        &["import", file.to_str().unwrap()],
    ] {
        let output = home.command(arguments).output().unwrap();
        assert!(output.status.success(), "{}", show(&output));
        assert!(!output.stdout.contains(&0x1b), "{}", show(&output));
    }
    assert_eq!(
        home.json(["ls"])[0]["name"]
            .as_str()
            .unwrap()
            .matches('\u{1b}')
            .count(),
        1
    );
}

#[test]
fn a_wrong_configuration_is_told_with_what_is_known() {
    let home = Home::new();
    std::fs::write(
        home.home().join("config.toml"),
        "[requesters]\nplayer = [\"x\"]\n",
    )
    .unwrap();
    let errors = fails(&home, 1, &["ls"]);
    assert!(
        errors.contains("players") && errors.contains("config.toml"),
        "{errors}"
    );
}

#[test]
fn what_needs_a_drive_says_so() {
    let home = Home::new();
    let errors = fails(&home, 1, &["run", "--as", "player", "true"]);
    assert!(errors.contains("mediafs mount"), "{errors}");
    fails(&home, 1, &["unmount"]);
    fails(&home, 1, &["unmount", home.mount_point().to_str().unwrap()]);
}

#[test]
fn a_file_in_place_of_the_home_is_told() {
    let home = Home::new();
    let file = home.path("file");
    std::fs::write(&file, "").unwrap();
    let output = std::process::Command::new(support::MEDIAFS)
        .args(["--home", file.to_str().unwrap(), "ls"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
}

#[test]
fn the_doctor_looks_at_everything() {
    let home = Home::new();
    let output = home.command(["doctor", "--json"]).output().unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    let of_the_system: &[&str] = if cfg!(target_os = "linux") {
        &[
            "fuse",
            "fusermount3",
            "kernel",
            "passthrough",
            "open files",
            "watches",
        ]
    } else {
        &["system", "transport"]
    };
    for check in of_the_system.iter().chain(&["home", "drive", "catalog"]) {
        let finding = findings.iter().find(|finding| finding["check"] == *check);
        let finding = finding.unwrap_or_else(|| panic!("{check} is missing in {findings:?}"));
        let state = finding["state"].as_str().unwrap();
        assert!(["ok", "warn", "fail"].contains(&state), "{finding}");
        assert_eq!(finding["remedy"].is_string(), state != "ok", "{finding}");
    }
    let failed = findings.iter().any(|finding| finding["state"] == "fail");
    assert_eq!(output.status.code(), Some(i32::from(failed)));

    // A file that promises to be a sound and is none.
    std::fs::write(
        home.library().join("broken.wav"),
        b"RIFF\x10\0\0\0WAVEfmt \x10\0\0\0",
    )
    .unwrap();
    home.run(["import", "--reference", home.library().to_str().unwrap()]);
    let text = String::from_utf8(home.command(["doctor"]).output().unwrap().stdout).unwrap();
    assert!(text.contains("broken.wav"), "{text}");
}

/// Its files and its socket are there as if it were; it is this test.
#[test]
fn a_daemon_that_hangs_is_named_to_be_ended() {
    use mediafs::home::{Home as TheHome, Purpose};
    use mediafs_platform::endpoint::Listener;
    let home = Home::new();
    let its = TheHome::locate(Some(&home.home())).unwrap();
    its.prepare(&[]).unwrap();
    let _lock = its
        .lock(Purpose::Daemon, std::time::Duration::ZERO)
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let _listens = Listener::bind(its.socket()).unwrap();
    let errors = fails(&home, 1, &["unmount", home.mount_point().to_str().unwrap()]);
    let us = std::process::id();
    assert!(errors.contains(&format!("(process {us})")), "{errors}");
    let how = if cfg!(windows) {
        format!("`taskkill /F /PID {us}`")
    } else {
        format!("`kill -9 {us}`")
    };
    assert!(errors.contains(&how), "{errors}");
}

/// A signal for one process alone, which Windows has not.
#[cfg(unix)]
#[test]
fn an_interrupted_import_loses_nothing() {
    let home = Home::new();
    let folder = home.path("many");
    std::fs::create_dir(&folder).unwrap();
    let count = 300u32;
    for number in 0..count {
        std::fs::write(folder.join(format!("{number}.wav")), wav(2000, number)).unwrap();
    }
    let folder = folder.to_str().unwrap();
    let mut interrupted = false;
    for delay in [20, 60, 120, 200] {
        let mut import = home
            .command(["import", "--copy", folder])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        let pid = rustix::process::Pid::from_child(&import);
        // Whoever starts tests in the background has the signal ignored, until the command has its own handler.
        let ended = loop {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            if let Some(ended) = import.try_wait().unwrap() {
                break ended;
            }
            std::thread::sleep(Duration::from_millis(30));
        };
        interrupted |= !ended.success();
    }
    assert!(
        interrupted,
        "no import was interrupted, so nothing was tested"
    );
    home.run(["import", "--copy", folder]);
    let sources: BTreeSet<String> = home
        .items()
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sources.len(), count as usize);
    assert_eq!(home.items().len(), count as usize, "an item came twice");
    let mut left = Vec::new();
    for entry in walk(&home.home().join("Library")) {
        if entry.extension().is_none_or(|extension| extension != "wav") {
            left.push(entry);
        }
    }
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[cfg(unix)]
fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn what_was_mistaken_is_told_with_what_to_do() {
    let (home, file) = home_with("A.wav");
    let library = home.library();
    std::fs::write(library.join("notes.txt"), "none").unwrap();
    std::fs::create_dir(library.join("sub")).unwrap();
    std::fs::write(library.join("sub/B.wav"), wav(100, 7)).unwrap();
    let library = library.to_str().unwrap();
    home.run(["import", library]);
    let notes = format!("{library}/notes.txt");
    let sub = format!("{library}/sub");
    for (arguments, told) in [
        (&["show", ""][..], "give a path or an id"),
        (&["show", &sub], "is a folder"),
        (&["show", library], "is a folder"),
        (&["show", &notes], "mediafs import"),
        (&["show", "nobody"], "mediafs ls"),
        (&["scan", &sub], library),
        (&["scan", "/nope"], "mediafs status"),
        (&["forget-library", "/nope"], "mediafs status"),
        (&["forget-library", "nope"], "mediafs status"),
        (&["import", &notes], "not a media file"),
    ] {
        let errors = fails(&home, 1, arguments);
        assert!(errors.contains(told), "{arguments:?}: {errors}");
    }
    // What is found is found in any case of its id, and by any way to its file.
    home.run(["forget-library", "LIBRARY"]);
    assert_eq!(home.json(["show", file.to_str().unwrap()])["name"], "A.wav");
    assert_eq!(home.json(["status"])["libraries"][0]["active"], false);
}

/// A small disk is mounted as Linux does it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_or_read_only_disk_is_told_and_takes_nothing_along() {
    let home = Home::new();
    let disk = home.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&disk)
        .output()
        .unwrap();
    if !mounted.status.success() {
        eprintln!("skipped: only root can mount a small disk");
        return;
    }
    let on_disk = disk.join("home");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(support::MEDIAFS);
        command.arg("--home").arg(&on_disk).args(arguments);
        command.output().unwrap()
    };
    let before = run(&["status"]);
    let fill = std::fs::write(disk.join("fill"), vec![0; 2 << 20]);
    let mount_point = home.mount_point();
    let full = [
        run(&["status"]),
        run(&["mount", "--background", mount_point.to_str().unwrap()]),
    ];
    std::fs::remove_file(disk.join("fill")).unwrap();
    let after = run(&["status"]);
    support::succeed("mount", ["-o", "remount,ro", disk.to_str().unwrap()]);
    let read_only = [
        run(&["status"]),
        run(&["mount", "--background", mount_point.to_str().unwrap()]),
    ];
    support::succeed("umount", [&disk]);
    assert!(before.status.success(), "{}", show(&before));
    assert!(fill.is_err());
    for (outputs, told) in [(full, "free some space"), (read_only, "with --home")] {
        for output in outputs {
            assert_eq!(output.status.code(), Some(1), "{}", show(&output));
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(errors.contains(told), "{errors}");
            assert_eq!(errors.lines().count(), 1, "{errors}");
        }
    }
    assert!(after.status.success(), "{}", show(&after));
}

//! `mediafs autostart` with the real binary: what it writes for the user's systemd, and that this line, read by systemd's
//! rules, gives the drive.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Home, show};

/// A command in a session of its own: no manager of systemd runs there.
fn in_session(home: &Home, arguments: &[&OsStr]) -> Command {
    let mut command = home.command(arguments);
    command
        .env("XDG_CONFIG_HOME", home.path("config"))
        .env("XDG_RUNTIME_DIR", home.path("run"))
        .env("HOME", home.path("."));
    command
}

fn json(home: &Home, arguments: &[&OsStr]) -> Value {
    let output = in_session(home, arguments).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn autostart(home: &Home, word: &str) -> Value {
    json(home, &["autostart".as_ref(), word.as_ref()])
}

fn units(home: &Home) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(home.path("config/systemd/user")).unwrap();
    let mut units: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    units.retain(|path| path.extension() == Some("service".as_ref()));
    units
}

/// The words of a command of a unit, as systemd.service(5) has them: quoted, with escapes of C, and `%%` for a percent sign.
/// A `:` in front: dollar signs are left alone.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut left = line.strip_prefix(b":").unwrap_or(line).iter().copied();
    while left.next() == Some(b'"') {
        let mut word = Vec::new();
        loop {
            match left.next().expect("the quote ends") {
                b'"' => break,
                b'%' => {
                    assert_eq!(left.next(), Some(b'%'), "a specifier");
                    word.push(b'%');
                }
                b'\\' => match left.next().unwrap() {
                    b'x' => {
                        let digits = [left.next().unwrap(), left.next().unwrap()];
                        let digits = std::str::from_utf8(&digits).unwrap();
                        word.push(u8::from_str_radix(digits, 16).unwrap());
                    }
                    sign @ (b'"' | b'\\') => word.push(sign),
                    other => panic!("\\{}", char::from(other)),
                },
                byte => word.push(byte),
            }
        }
        words.push(word);
        if let Some(between) = left.next() {
            assert_eq!(between, b' ');
        }
    }
    assert_eq!(left.next(), None);
    words
}

#[test]
fn the_drive_is_there_after_a_login() {
    let home = Home::new();
    let point = home.path(OsStr::from_bytes(b"drive \"of\" 100%h $HOME \\\nline"));
    let enable: [&OsStr; 3] = ["autostart".as_ref(), "enable".as_ref(), point.as_ref()];
    assert_eq!(autostart(&home, "status")["state"], "disabled");
    let enabled = json(&home, &enable);
    assert_eq!(enabled["state"], "enabled", "{enabled}");
    assert_eq!(enabled["changed"], true);
    let status = autostart(&home, "status");
    assert_eq!(status["state"], "enabled");
    assert_eq!(status["program"], support::MEDIAFS);
    assert_eq!(json(&home, &enable)["changed"], false, "it is so already");

    let unit = units(&home).pop().unwrap();
    assert_eq!(status["entry"], unit.to_str().unwrap());
    let name = unit.file_name().unwrap();
    let link = unit.with_file_name("default.target.wants").join(name);
    assert_eq!(link.canonicalize().unwrap(), unit.canonicalize().unwrap());
    let text = std::fs::read_to_string(&unit).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let mut words = words(line.unwrap().as_bytes()).into_iter();
    let program = words.next().unwrap();
    assert_eq!(program, support::MEDIAFS.as_bytes());
    let arguments: Vec<_> = words.collect();
    let started = Command::new(OsStr::from_bytes(&program))
        .args(arguments.iter().map(|word| OsStr::from_bytes(word)))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    assert!(started.status.success(), "{}", show(&started));
    let is_there = point.join("README.txt").is_file();
    home.run(["unmount"]);
    assert!(is_there, "the drive of this home, where it was wanted");

    let disabled = autostart(&home, "disable");
    assert_eq!(disabled["state"], "disabled");
    assert_eq!(disabled["changed"], true);
    assert!(!unit.exists() && link.symlink_metadata().is_err());
    assert_eq!(autostart(&home, "disable")["changed"], false);
}

#[test]
fn each_home_has_an_entry_of_its_own() {
    let (one, other) = (Home::new(), Home::new());
    autostart(&one, "enable");
    let enabled = in_session(&one, &["autostart".as_ref(), "enable".as_ref()])
        .env("MEDIAFS_HOME", other.home())
        .output()
        .unwrap();
    assert!(enabled.status.success(), "{}", show(&enabled));
    assert_eq!(units(&one).len(), 1, "`--home` goes before the environment");
    let of_user = Command::new(support::MEDIAFS)
        .args(["autostart", "enable", "--json"])
        .env("XDG_CONFIG_HOME", one.path("config"))
        .env("XDG_RUNTIME_DIR", one.path("run"))
        .env("XDG_DATA_HOME", other.path("data 100%"))
        .env_remove("XDG_CACHE_HOME")
        .env("HOME", other.path("."))
        .output()
        .unwrap();
    assert!(of_user.status.success(), "{}", show(&of_user));
    assert_eq!(units(&one).len(), 2);
    let text = std::fs::read_to_string(one.path("config/systemd/user/mediafs.service")).unwrap();
    let variables = text.lines().filter(|line| line.starts_with("Environment="));
    let config = format!(
        "Environment=\"XDG_CONFIG_HOME={}\"",
        one.path("config").display()
    );
    let data = other.path("data 100%%");
    let data = format!("Environment=\"XDG_DATA_HOME={}\"", data.display());
    assert_eq!(variables.collect::<Vec<_>>(), [config, data]);
    autostart(&one, "disable");
    assert_eq!(
        units(&one),
        [one.path("config/systemd/user/mediafs.service")]
    );
}

#[test]
fn what_starts_something_else_is_told() {
    let home = Home::new();
    autostart(&home, "enable");
    let unit = units(&home).pop().unwrap();
    let ours = std::fs::read_to_string(&unit).unwrap();
    let state_of = |text: &str| {
        std::fs::write(&unit, text).unwrap();
        autostart(&home, "status")["state"].clone()
    };
    let other = ours.replace(support::MEDIAFS, "/bin/true");
    assert_eq!(state_of(&other), "otherProgram");
    let gone = ours.replace(support::MEDIAFS, "/nowhere/mediafs");
    assert_eq!(state_of(&gone), "stale");
    assert_eq!(state_of(&ours.replace("forking", "exec")), "stale");
    assert_eq!(autostart(&home, "enable")["changed"], true);
    assert_eq!(std::fs::read_to_string(&unit).unwrap(), ours);
    assert_eq!(state_of("[Service]\nExecStart=/bin/true\n"), "otherProgram");
    for word in ["enable", "disable"] {
        let mut refused = in_session(&home, &["autostart".as_ref(), word.as_ref()]);
        let refused = refused.output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{}", show(&refused));
    }
    assert!(Path::new(&unit).exists());
}

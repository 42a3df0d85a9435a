//! Promise 2: never lie to a copy. Whoever is not a player gets the true bytes or an error; players get silence in the
//! shape of the original.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use support::sounds::tone;
use support::{
    Home, SHOWN_WITHIN, by_nfs, ffprobe, loudest, path_of, program, settle, show, wait_until,
};

/// Formats whose silence is exact, with what they are made of.
const NAMES: [&str; 6] = ["t.wav", "t.aiff", "t.flac", "t.ogg", "t.mp3", "t.caf"];

fn cp(from: &Path, to: &Path) -> std::process::Output {
    program("cp", [from.as_os_str(), to.as_os_str()])
}

#[test]
fn a_missing_sound_is_silence_to_players_and_an_error_to_copiers() {
    let home = Home::new();
    for name in NAMES {
        tone(&home.library().join(name), 440);
    }
    let _drive = home.mount();
    let items = home.wait_for_items(NAMES.len());
    // The shape of compressed sounds is recorded when they are hashed.
    wait_until(SHOWN_WITHIN * 5, "all hashes", || {
        home.items().iter().all(|item| !item["blake3"].is_null())
    });
    let before: Vec<_> = items
        .iter()
        .map(|item| {
            let path = home.on_drive(path_of(item));
            let metadata = std::fs::metadata(&path).unwrap();
            assert!(loudest(&path) > 0.01, "{path:?} sounds while it is there");
            (
                metadata.len(),
                metadata.mtime_nsec(),
                metadata.ino(),
                ffprobe(&path),
            )
        })
        .collect();

    let away = home.path("away");
    std::fs::rename(home.library(), &away).unwrap();
    std::fs::create_dir(home.library()).unwrap();
    wait_until(SHOWN_WITHIN, "all to be missing", || {
        home.items()
            .iter()
            .all(|item| item["availability"] == "missing")
    });

    settle();
    // By NFS nobody is known for a player but by the door, and there is one error for all that cannot be read.
    let (doors, told) = match by_nfs() {
        true => (1, "Input/output error"),
        false => (2, "No data available"),
    };
    let copy = home.path("copy");
    for (item, (size, modified, inode, facts)) in items.iter().zip(&before) {
        let stable = home.on_drive(path_of(item));
        let player = home.on_drive(".as/player").join(path_of(item));
        let copier = home.on_drive(".as/copier").join(path_of(item));
        for path in [&player, &stable].into_iter().take(doors) {
            let metadata = std::fs::metadata(path).unwrap();
            assert_eq!(
                (metadata.len(), metadata.mtime_nsec()),
                (*size, *modified),
                "{path:?}"
            );
            assert_eq!(&ffprobe(path), facts, "{path:?}");
            assert_eq!(loudest(path), 0.0, "{path:?} is silent");
        }
        assert_eq!(
            std::fs::metadata(&stable).unwrap().ino(),
            *inode,
            "{stable:?}"
        );

        // By name of the program, and by the door.
        for path in [&stable, &copier] {
            let output = cp(path, &copy);
            assert!(
                !output.status.success(),
                "cp {path:?} must fail: {}",
                show(&output)
            );
            assert!(
                String::from_utf8_lossy(&output.stderr).contains(told),
                "{}",
                show(&output)
            );
        }
        let output = program("cat", [copier.as_os_str()]);
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{}",
            show(&output)
        );
        let archive = program(
            "tar",
            [OsStr::new("-cf"), copy.as_os_str(), stable.as_os_str()],
        );
        assert!(
            !archive.status.success(),
            "tar must tell: {}",
            show(&archive)
        );
        // Asked for by name, a copy of the silence can be had.
        assert!(cp(&player, &copy).status.success());
        assert_eq!(std::fs::metadata(&copy).unwrap().len(), *size);
        std::fs::remove_file(&copy).unwrap();
    }

    // Put back, the true bytes return, everywhere.
    std::fs::remove_dir(home.library()).unwrap();
    std::fs::rename(&away, home.library()).unwrap();
    wait_until(SHOWN_WITHIN * 5, "all to be back", || {
        home.items()
            .iter()
            .all(|item| item["availability"] == "local")
    });
    settle();
    for (item, (_, _, inode, _)) in items.iter().zip(&before) {
        let stable = home.on_drive(path_of(item));
        let source = item["resolvedPath"].as_str().unwrap();
        assert_eq!(
            std::fs::read(&stable).unwrap(),
            std::fs::read(source).unwrap()
        );
        assert_eq!(
            std::fs::metadata(&stable).unwrap().ino(),
            *inode,
            "the same generation is the same inode"
        );
        assert!(cp(&stable, &copy).status.success());
        assert_eq!(
            std::fs::read(&copy).unwrap(),
            std::fs::read(source).unwrap()
        );
    }
}

#[test]
fn a_requester_is_what_it_was_registered_as() {
    let home = Home::new();
    tone(&home.library().join("t.wav"), 440);
    let _drive = home.mount();
    let item = home.wait_for_items(1)[0].clone();
    let id = item["mediaId"].as_str().unwrap().to_owned();
    std::fs::remove_file(home.library().join("t.wav")).unwrap();
    wait_until(SHOWN_WITHIN, "the sound to be missing", || {
        home.item("t.wav")["availability"] == "missing"
    });
    let path = home.on_drive(path_of(&item));
    let read_as = |class: &str| {
        home.command(["run", "--as", class, "--", "dd", "status=none"].map(OsStr::new))
            .arg(format!("if={}", path.display()))
            .output()
            .unwrap()
    };
    // dd is known as a copier; registered as a player it gets silence, through a shell as well.
    assert!(!read_as("copier").status.success());
    let output = read_as("player");
    assert!(output.status.success(), "{}", show(&output));
    assert_eq!(
        output.stdout.len() as u64,
        std::fs::metadata(&path).unwrap().len()
    );
    let mut child = home.command(
        [
            "run",
            "--as",
            "player",
            "--",
            "sh",
            "-c",
            "sed -n p \"$0\"; exit 7",
        ]
        .map(OsStr::new),
    );
    let output = child.arg(&path).output().unwrap();
    assert!(
        !output.stdout.is_empty(),
        "a descendant of a player is a player"
    );
    assert_eq!(
        output.status.code(),
        Some(7),
        "the exit code is the command's"
    );
    // Unknown programs: players through by-id, copiers elsewhere.
    let unknown = home.path("unknown-program");
    std::fs::copy("/bin/cat", &unknown).unwrap();
    let silent = Command::new(&unknown).arg(&path).output().unwrap();
    assert!(silent.status.success(), "{}", show(&silent));
    assert!(
        !home.on_drive("library/library/t.wav").exists(),
        "what is deleted leaves the library"
    );
    let refused = Command::new(&unknown)
        .arg(home.on_drive(format!(".as/copier/by-id/{id}.wav")))
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let xattr = |name: &str| {
        let output = program(
            "getfattr",
            [
                "--only-values".as_ref(),
                "-n".as_ref(),
                OsStr::new(name),
                path.as_os_str(),
            ],
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(xattr("user.mediafs.id"), id);
    assert_eq!(xattr("user.mediafs.status"), "missing");
    assert_eq!(xattr("user.mediafs.placeholder"), "1");
}

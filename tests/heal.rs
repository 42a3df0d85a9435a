//! `mediafs heal`: copies that are silence in the place of sounds are found and put right, and nothing else is touched.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::sounds::{tone, wav};
use support::{Home, SHOWN_WITHIN, path_of, wait_until};

const NAMES: [&str; 4] = ["a.wav", "b.flac", "c.mp3", "d.aiff"];

fn all_are(home: &Home, availability: &str) -> bool {
    home.items()
        .iter()
        .all(|item| item["availability"] == availability)
}

/// What `heal` says, whatever its exit code, and whether that was 0.
fn heal(home: &Home, folder: &Path, fix: bool) -> (Vec<Value>, bool) {
    let mut command = home.command(["heal", "--json"]);
    command.arg(folder);
    if fix {
        command.arg("--fix");
    }
    let output = command.output().unwrap();
    let found = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", support::show(&output)));
    (found, output.status.success())
}

/// A drive whose sounds are all gone, and copies of what players heard of them.
fn silent_copies(home: &Home) -> PathBuf {
    let copies = home.path("copies");
    std::fs::create_dir_all(copies.join("deep")).unwrap();
    std::fs::rename(home.library(), home.path("away")).unwrap();
    std::fs::create_dir(home.library()).unwrap();
    wait_until(SHOWN_WITHIN, "all to be missing", || {
        all_are(home, "missing")
    });
    for (n, item) in home.items().iter().enumerate() {
        let player = home.on_drive(".as/player").join(path_of(item));
        let to = copies.join(format!("deep/renamed {n}"));
        std::fs::write(&to, std::fs::read(player).unwrap()).unwrap();
    }
    copies
}

fn bring_back(home: &Home) {
    std::fs::remove_dir(home.library()).unwrap();
    std::fs::rename(home.path("away"), home.library()).unwrap();
    wait_until(SHOWN_WITHIN * 5, "all to be back", || {
        all_are(home, "local")
    });
}

#[test]
fn copies_of_silence_are_found_whatever_they_are_called_and_put_right() {
    let home = Home::new();
    for name in NAMES {
        tone(&home.library().join(name), 440);
    }
    let _drive = home.mount();
    home.wait_for_items(NAMES.len());
    wait_until(SHOWN_WITHIN * 5, "all hashes", || {
        home.items().iter().all(|item| !item["blake3"].is_null())
    });
    let copies = silent_copies(&home);
    std::fs::write(copies.join("other.wav"), wav(1000, 7)).unwrap();
    std::fs::write(copies.join("empty.wav"), b"").unwrap();
    std::os::unix::fs::symlink("/dev/zero", copies.join("link.wav")).unwrap();
    let (found, _) = heal(&home, &copies, false);
    assert_eq!(found.len(), NAMES.len(), "{found:?}");
    assert!(found.iter().all(|one| one["silent"] == "whole"));
    // There is nothing to put them right with.
    let before = std::fs::read(copies.join("deep/renamed 0")).unwrap();
    let (found, well) = heal(&home, &copies, true);
    assert!(
        !well && found.iter().all(|one| one["fixed"] == false),
        "{found:?}"
    );
    assert_eq!(
        std::fs::read(copies.join("deep/renamed 0")).unwrap(),
        before
    );

    bring_back(&home);
    let odd = copies.join("deep/renamed 0");
    std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o640)).unwrap();
    let modified = std::fs::metadata(&odd).unwrap().modified().unwrap();
    let (found, well) = heal(&home, &copies, true);
    assert!(
        well && found.iter().all(|one| one["fixed"] == true),
        "{found:?}"
    );
    for one in &found {
        let item = home.item(one["name"].as_str().unwrap());
        let copy = one["path"].as_str().unwrap();
        let sound = item["resolvedPath"].as_str().unwrap();
        assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(sound).unwrap());
    }
    let metadata = std::fs::metadata(&odd).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert_eq!(metadata.modified().unwrap(), modified);
    let (found, well) = heal(&home, &copies, false);
    assert!(well && found.is_empty(), "{found:?}");
    assert_eq!(
        std::fs::read(copies.join("other.wav")).unwrap(),
        wav(1000, 7)
    );
}

#[test]
fn silence_that_was_heard_is_known_when_its_sound_is_another() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(5000, 1)).unwrap();
    let _drive = home.mount();
    home.wait_for_items(1);
    let copies = silent_copies(&home);
    bring_back(&home);
    // Another content, of another length: nothing of the old one can be made any more.
    std::fs::write(home.library().join("a.wav"), wav(6000, 2)).unwrap();
    wait_until(SHOWN_WITHIN * 5, "the other content", || {
        home.item("a.wav")["size"] == 44 + 6000 * 4
    });
    let (found, _) = heal(&home, &copies, false);
    assert_eq!(found.len(), 1, "{found:?}");
    let (found, well) = heal(&home, &copies, true);
    assert!(!well, "the true bytes are nowhere");
    assert!(found[0]["reason"].as_str().unwrap().contains("length"));
}

#[test]
fn a_copy_that_is_silent_in_part_is_found_by_its_name() {
    let home = Home::new();
    let sound = wav(100_000, 3);
    std::fs::write(home.library().join("long.wav"), &sound).unwrap();
    let _drive = home.mount();
    home.wait_for_items(1);
    let copies = home.path("copies");
    std::fs::create_dir(&copies).unwrap();
    let copy = copies.join("long.wav");
    let mut partly = sound.clone();
    partly[100_001..250_003].fill(0);
    std::fs::write(&copy, &partly).unwrap();
    // An edit of it is none.
    let mut edited = sound.clone();
    edited[1000..2000].fill(0x55);
    std::fs::create_dir(copies.join("edit")).unwrap();
    std::fs::write(copies.join("edit/long.wav"), &edited).unwrap();
    let (found, well) = heal(&home, &copies, true);
    assert!(well, "{found:?}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["silent"], "part");
    assert_eq!(std::fs::read(&copy).unwrap(), sound);
    // It may have been meant so.
    let kept = copies.join("long.wav.before-heal");
    assert_eq!(std::fs::read(kept).unwrap(), partly);
    assert_eq!(std::fs::read(copies.join("edit/long.wav")).unwrap(), edited);
}

#[test]
fn sounds_of_one_shape_are_not_taken_for_each_other() {
    let home = Home::new();
    for (name, seed) in [("kick.wav", 1), ("snare.wav", 2)] {
        std::fs::write(home.library().join(name), wav(5000, seed)).unwrap();
    }
    // A sound that is silent, as the strings of a song may be.
    let mut rests = wav(5000, 3);
    rests[44..].fill(0);
    std::fs::write(home.library().join("strings.wav"), &rests).unwrap();
    let _drive = home.mount();
    home.wait_for_items(3);
    wait_until(SHOWN_WITHIN * 5, "all hashes", || {
        home.items().iter().all(|item| !item["blake3"].is_null())
    });
    let copies = home.path("copies");
    std::fs::create_dir(&copies).unwrap();
    std::fs::write(copies.join("strings.wav"), &rests).unwrap();
    let (found, _) = heal(&home, &copies, true);
    assert!(found.is_empty(), "a silent sound is a sound: {found:?}");

    // Without that one, the same bytes are the silence of the other two.
    let strings = home.item("strings.wav")["mediaId"]
        .as_str()
        .unwrap()
        .to_owned();
    std::fs::remove_file(home.library().join("strings.wav")).unwrap();
    home.run(["remove", &strings]);
    std::fs::rename(copies.join("strings.wav"), copies.join("odd.wav")).unwrap();
    std::fs::write(copies.join("snare.wav"), &rests).unwrap();
    let (found, well) = heal(&home, &copies, true);
    assert!(!well);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(std::fs::read(copies.join("odd.wav")).unwrap(), rests);
    assert_eq!(
        std::fs::read(copies.join("snare.wav")).unwrap(),
        wav(5000, 2)
    );
}

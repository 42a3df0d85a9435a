//! `mediafs volumes mark`: volumes that say the same of themselves are told apart by a file on them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bench::*;
use crate::support::sounds::wav;
use crate::support::volumes::Kind;
use crate::support::{Home, wait_until};

const MARKER: &str = ".mediafs-volume";

fn mark(home: &Home, at: &Path) -> Value {
    home.json(["volumes", "mark", at.to_str().unwrap()])
}

/// The line that a refused mark gives.
fn refusal(home: &Home, at: &Path) -> String {
    let output = outcome(home, ["volumes", "mark", at.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

#[test]
fn copies_are_volumes_of_their_own_once_each_has_its_mark() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 500);
    let (at, beside) = (home.path("red"), home.path("beside"));
    let mounted = mount(&home, &at);
    home.wait_for_items(2);
    let before = ids(&home);
    let mut copy = red.clone_disk();
    copy.mount(&beside);
    std::fs::write(samples(&beside).join("1.wav"), wav(900, 9)).unwrap();
    settle(&beside);
    let twin = |at: &PathBuf| volume_at(&home, at).is_some_and(|volume| volume["twin"] == true);
    wait_until(TOLD, "both are listed, as copies", || {
        twin(&at) && twin(&beside)
    });

    let marked = mark(&home, &at);
    assert_eq!(
        (&marked["marked"], &marked["known"]),
        (&true.into(), &true.into())
    );
    let first = std::fs::read(at.join(MARKER)).unwrap();
    // It keeps the one it has.
    assert_eq!(mark(&home, &at)["id"], marked["id"]);
    assert_eq!(std::fs::read(at.join(MARKER)).unwrap(), first);
    let other = mark(&home, &beside);
    assert_eq!(
        (&other["marked"], &other["known"]),
        (&true.into(), &false.into())
    );
    assert_ne!(other["id"], marked["id"]);
    assert!(!twin(&at) && !twin(&beside));

    // What the copy holds can be used as what it is, beside the other's.
    let path = samples(&beside).join("1.wav");
    let imported = home.json(["import", "--reference", path.to_str().unwrap()]);
    let id = imported[0]["mediaId"].as_str().unwrap();
    assert_ne!(id, before["1.wav"]);
    let item = home.json(["show", id]);
    assert_eq!(copied(&home, &item).unwrap(), wav(900, 9));
    let one = home.json(["show", &before["1.wav"]]);
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));

    // One goes: the other is not taken for it, not even at its place, nor by a daemon that has just started.
    red.detach();
    let is = |volume: &str, state: &str| {
        let volumes = known(&home);
        let one = volumes.iter().find(|known| known["id"] == volume);
        one.is_some_and(|known| known["state"] == state)
    };
    let red_id = marked["id"].as_str().unwrap();
    let copy_id = other["id"].as_str().unwrap();
    wait_until(TOLD, "the first is absent", || is(red_id, "absent"));
    mounted.stop();
    copy.move_to(&at);
    let mounted = mount(&home, &at);
    wait_until(TOLD, "the copy is known again", || is(copy_id, "online"));
    assert!(is(red_id, "absent"));
    let two = home.json(["show", &before["2.wav"]]);
    assert_eq!(two["availability"], "external-offline", "{two:#}");
    mounted.stop();
}

#[test]
fn what_cannot_be_marked_is_told_in_one_line() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 1, 500);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(1);
    assert!(refusal(&home, &home.path("red/Samples")).contains("nothing is mounted"));
    assert!(refusal(&home, Path::new("/")).contains("of this computer itself"));
    assert!(refusal(&home, Path::new("/proc")).contains("of this computer itself"));
    let output = outcome(&home, ["volumes", "mark", "no such name"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no volume is known as"));

    std::fs::write(at.join(MARKER), "mine\n").unwrap();
    let refused = refusal(&home, &at);
    assert!(
        refused.contains("no mark of mediafs; remove it"),
        "{refused}"
    );
    assert_eq!(std::fs::read(at.join(MARKER)).unwrap(), b"mine\n");
    std::fs::remove_file(at.join(MARKER)).unwrap();

    red.unmount().expect("something holds it");
    red.mount_with(&at, &["ro"]);
    wait_for_state(&home, "online");
    let refused = refusal(&home, &at);
    assert!(refused.to_lowercase().contains("read-only"), "{refused}");
    assert!(!at.join(MARKER).exists());
    mounted.stop();
}

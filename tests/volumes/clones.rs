//! Copies of a volume, byte by byte: both are mounted, or only one of them, and nothing is mixed up.

use std::time::Duration;

use crate::bench::*;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, wait_until};

fn copies_are_told_apart(kind: Kind) {
    let home = Home::new();
    let mut red = red(&home, kind, 3, 500);
    let (at, beside) = (home.path("red"), home.path("beside"));
    let mounted = mount(&home, &at);
    home.wait_for_items(3);
    let before = ids(&home);
    let mut copy = red.clone_disk();
    copy.mount(&beside);
    // Its own content from now on: one changed, one the same, one gone, one new.
    std::fs::write(samples(&beside).join("1.wav"), wav(900, 9)).unwrap();
    std::fs::remove_file(samples(&beside).join("3.wav")).unwrap();
    std::fs::write(samples(&beside).join("4.wav"), wav(400, 4)).unwrap();
    settle(&beside);
    wait_until(TOLD, "both are listed, as copies", || {
        let there = |at| volume_at(&home, at).is_some_and(|volume| volume["twin"] == true);
        there(&at) && there(&beside)
    });
    assert_eq!(volume_at(&home, &at).unwrap()["known"], true);
    assert_eq!(volume_at(&home, &beside).unwrap()["known"], false);
    home.run(["scan"]);
    assert_eq!(ids(&home), before);
    let one = home.json(["show", &before["1.wav"]]);
    assert_eq!(
        one["resolvedPath"],
        samples(&at).join("1.wav").to_str().unwrap()
    );
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));

    // Who names a file of the copy gets neither the original's nor moves it.
    let path = samples(&beside).join("1.wav");
    let output = outcome(&home, ["import", "--reference", path.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("copy of red"), "{errors}");
    let imported = home.json(["import", "--copy", path.to_str().unwrap()]);
    let item = home.json(["show", imported[0]["mediaId"].as_str().unwrap()]);
    assert_eq!(copied(&home, &item).unwrap(), wav(900, 9));
    let one = home.json(["show", &before["1.wav"]]);
    assert_eq!(
        one["resolvedPath"],
        samples(&at).join("1.wav").to_str().unwrap()
    );
    home.run(["remove", imported[0]["mediaId"].as_str().unwrap()]);

    // Only the copy is left: it is the volume, and what it has is believed only where it is the same.
    red.detach();
    wait_until(DONE, "the copy is the volume", || {
        let all = known(&home);
        all.len() == 1 && all[0]["state"] == "online" && all[0]["path"] == beside.to_str().unwrap()
    });
    let two = home.json(["show", &before["2.wav"]]);
    assert_eq!(copied(&home, &two).unwrap(), wav(502, 2));
    let one = home.json(["show", &before["1.wav"]]);
    if let Ok(bytes) = copied(&home, &one) {
        // What was brought of it before, as long as nobody has looked.
        assert!(bytes == wav(900, 9) || bytes == wav(501, 1));
    }
    let size = |id: &str| home.json(["show", id])["size"].clone();
    wait_until(DONE, "the look at the copy: what is new", || {
        ids(&home).contains_key("4.wav")
    });
    wait_until(DONE, "the look at the copy: what is gone", || {
        home.json(["show", &before["3.wav"]])["availability"] == "missing"
    });
    wait_until(DONE, "the look at the copy: what is another", || {
        size(&before["1.wav"]) == wav(900, 9).len()
    });
    let one = home.json(["show", &before["1.wav"]]);
    wait_until(DONE, "the other bytes", || {
        copied(&home, &one).is_ok_and(|bytes| bytes == wav(900, 9))
    });
    mounted.stop();
}

#[test]
fn a_copy_of_an_ext4_volume_is_told_apart() {
    copies_are_told_apart(Kind::Ext4);
}

#[test]
fn a_copy_of_an_xfs_volume_is_told_apart() {
    copies_are_told_apart(Kind::Xfs);
}

#[test]
fn a_copy_of_an_ntfs_volume_is_told_apart() {
    copies_are_told_apart(Kind::Ntfs);
}

#[test]
fn a_volume_that_is_mounted_twice_is_one() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 500);
    let (at, again) = (home.path("red"), home.path("again"));
    let mounted = mount(&home, &at);
    home.wait_for_items(2);
    let before = ids(&home);
    red.mount(&again);
    std::thread::sleep(Duration::from_secs(1));
    let one = home.json(["show", &before["1.wav"]]);
    assert_eq!(
        one["resolvedPath"],
        samples(&at).join("1.wav").to_str().unwrap()
    );
    // A sound by its other path is the same one.
    let path = samples(&again).join("1.wav");
    let imported = home.json(["import", "--reference", path.to_str().unwrap()]);
    assert_eq!(
        imported[0]["mediaId"],
        before["1.wav"].as_str(),
        "{imported:#}"
    );
    let _: &Volume = &red;
    mounted.stop();
}

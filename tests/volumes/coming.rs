//! Volumes that go and come back: at their place, elsewhere, or while something else is there.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::bench::*;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, by_nfs, path_of, wait_until};

/// Goes away, lazily, with a file open; comes back elsewhere: the same items, with the same bytes.
fn goes_and_comes_back_elsewhere(kind: Kind) {
    let home = Home::new();
    let mut red = red(&home, kind, 3, 2000);
    let mounted = mount(&home, &home.path("red"));
    home.wait_for_items(3);
    let before = ids(&home);
    let one = home.item("Samples/1.wav");
    let id = id_of(&one);
    assert_eq!(one["availability"], "external-online", "{one:#}");
    home.run(["tag", &id, "mine"]);
    let on_drive = home.on_drive("library/Samples/2.wav");
    assert!(on_drive.exists());
    assert_eq!(copied(&home, &one).unwrap(), wav(2001, 1));
    wait_for_item(&home, &id, "external-online", "bytes");

    let held = std::fs::File::open(samples(&home.path("red")).join("3.wav")).unwrap();
    red.detach();
    wait_for_state(&home, "absent");
    // What came is in the cache; what did not is silence to players and an error to others.
    let three = home.json(["show", &before["3.wav"]]);
    assert_eq!(three["availability"], "external-offline", "{three:#}");
    assert!(is_silent(&played(&home, &three).unwrap()));
    let error = copied(&home, &three).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(no_medium()), "{error}");
    let one = home.json(["show", &id]);
    assert_eq!(one["availability"], "external-offline");
    assert_eq!(one["playable"], "bytes");
    assert_eq!(copied(&home, &one).unwrap(), wav(2001, 1));
    assert!(on_drive.exists(), "what is known goes on being shown");
    drop(held);

    let elsewhere = home.path("elsewhere");
    red.mount(&elsewhere);
    wait_for_state(&home, "online");
    assert_eq!(ids(&home), before);
    let three = wait_for_item(&home, &before["3.wav"], "external-online", "partial");
    let path = samples(&elsewhere).join("3.wav");
    assert_eq!(three["resolvedPath"], path.to_str().unwrap());
    assert_eq!(copied(&home, &three).unwrap(), wav(2003, 3));
    assert_eq!(home.json(["show", &id])["tags"][0]["name"], "mine");
    assert!(on_drive.exists());
    // What is new there is found without being asked for.
    std::fs::write(samples(&elsewhere).join("4.wav"), wav(500, 4)).unwrap();
    home.run(["scan"]);
    wait_until(DONE, "the new sound", || home.items().len() == 4);
    mounted.stop();
}

/// There is no such error in NFS, which says that there is no such device.
fn no_medium() -> i32 {
    let errno = match by_nfs() {
        true => rustix::io::Errno::NXIO,
        false => rustix::io::Errno::NOMEDIUM,
    };
    errno.raw_os_error()
}

#[test]
fn ext4_goes_and_comes_back_elsewhere() {
    goes_and_comes_back_elsewhere(Kind::Ext4);
}

#[test]
fn xfs_goes_and_comes_back_elsewhere() {
    goes_and_comes_back_elsewhere(Kind::Xfs);
}

#[test]
fn btrfs_goes_and_comes_back_elsewhere() {
    goes_and_comes_back_elsewhere(Kind::Btrfs);
}

#[test]
fn ntfs_goes_and_comes_back_elsewhere() {
    goes_and_comes_back_elsewhere(Kind::Ntfs);
}

#[test]
fn what_is_written_elsewhere_is_found_when_the_volume_is_back() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 500);
    let mounted = mount(&home, &home.path("red"));
    home.wait_for_items(2);
    let before = ids(&home);
    red.detach();
    wait_for_state(&home, "absent");
    let other = home.path("other");
    // As on another computer: one changed, one new, one gone.
    std::fs::create_dir(home.path("hidden")).unwrap();
    red.mount(&other);
    std::fs::write(samples(&other).join("1.wav"), wav(900, 9)).unwrap();
    std::fs::write(samples(&other).join("3.wav"), wav(503, 3)).unwrap();
    std::fs::remove_file(samples(&other).join("2.wav")).unwrap();
    settle(&other);
    red.move_to(&home.path("red"));
    wait_for_state(&home, "online");
    wait_until(DONE, "the look at what is back", || {
        let now = ids(&home);
        let gone = home.json(["show", &before["2.wav"]]);
        let one = home.json(["show", &before["1.wav"]]);
        now.contains_key("3.wav")
            && gone["availability"] == "missing"
            && one["size"] == wav(900, 9).len()
    });
    let one = home.json(["show", &before["1.wav"]]);
    assert_eq!(copied(&home, &one).unwrap(), wav(900, 9));
    mounted.stop();
}

#[test]
fn a_read_only_volume_serves_and_is_not_written() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 500);
    red.detach();
    red.mount_with(&home.path("red"), &["ro"]);
    let mounted = mount(&home, &home.path("red"));
    home.wait_for_items(2);
    let volume = &known(&home)[0];
    assert_eq!(volume["readOnly"], true, "{volume:#}");
    let one = home.item("Samples/1.wav");
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    mounted.stop();
}

#[test]
fn a_btrfs_subvolume_is_a_part_by_itself() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Btrfs);
    let (top, part) = (home.path("top"), home.path("part"));
    red.mount(&top);
    for name in ["a", "b"] {
        let made = Command::new("btrfs")
            .args(["-q", "subvolume", "create"])
            .arg(top.join(name))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        fill(&top.join(name), 1, 500);
    }
    std::fs::write(samples(&top.join("b")).join("1.wav"), wav(700, 77)).unwrap();
    red.detach();
    red.mount_with(&part, &["subvol=a"]);
    let mounted = mount(&home, &part);
    home.wait_for_items(1);
    let one = home.item("Samples/1.wav");
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    red.detach();
    wait_for_state(&home, "absent");
    // Another part of the same file system at its place is not it.
    red.mount_with(&part, &["subvol=b"]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(known(&home)[0]["state"], "absent");
    let item = home.json(["show", &id_of(&one)]);
    assert_eq!(item["availability"], "external-offline", "{item:#}");
    red.detach();
    red.mount_with(&home.path("elsewhere"), &["subvol=a"]);
    wait_for_state(&home, "online");
    let item = home.json(["show", &id_of(&one)]);
    assert_eq!(item["availability"], "external-online", "{item:#}");
    let path = samples(&home.path("elsewhere")).join("1.wav");
    assert_eq!(item["resolvedPath"], path.to_str().unwrap());
    mounted.stop();
}

#[test]
fn another_volume_at_the_same_place_is_not_it() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 3, 500);
    let mut blue = Volume::new(Kind::Ext4);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(3);
    let before = ids(&home);
    red.replace_by(&mut blue);
    // Of the same names, and others.
    fill(&at, 1, 800);
    std::fs::write(samples(&at).join("blue.wav"), wav(100, 50)).unwrap();
    wait_for_state(&home, "absent");
    home.run(["scan"]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(ids(&home), before, "what is on BLUE is none of RED's");
    for id in before.values() {
        let item = home.json(["show", id]);
        assert_eq!(item["availability"], "external-offline", "{item:#}");
        assert!(is_silent(&played(&home, &item).unwrap()));
        assert!(copied(&home, &item).is_err());
    }
    let there = volume_at(&home, &at).unwrap();
    assert_eq!(there["state"], "absent", "the known one first: {there:#}");
    blue.detach();
    red.mount(&at);
    wait_for_state(&home, "online");
    let one = home.json(["show", &before["1.wav"]]);
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    mounted.stop();
}

#[test]
fn another_volume_that_is_there_at_the_start_is_another_library() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 3, 500);
    let mut blue = Volume::new(Kind::Ext4);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(3);
    let before = ids(&home);
    mounted.stop();
    red.replace_by(&mut blue);
    std::fs::create_dir(samples(&at)).unwrap();
    std::fs::write(samples(&at).join("blue.wav"), wav(800, 50)).unwrap();
    settle(&at);
    let mounted = mount(&home, &at);
    wait_until(DONE, "the sound of BLUE", || {
        ids(&home).contains_key("blue.wav")
    });
    let mut now = ids(&home);
    let blue_id = now.remove("blue.wav").unwrap();
    assert_eq!(now, before);
    let item = home.json(["show", &blue_id]);
    assert_eq!(copied(&home, &item).unwrap(), wav(800, 50));
    let one = home.json(["show", &before["1.wav"]]);
    assert_eq!(one["availability"], "external-offline", "{one:#}");
    mounted.stop();
}

#[test]
fn swapped_in_an_instant_it_is_told_from_what_was_there() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 1, 500);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(1);
    let one = home.items().remove(0);
    // The same device, the same place, the same number of the mount, and nobody saw it go.
    let device = red.device().to_owned();
    let blue = Volume::new(Kind::Ext4);
    let image = blue.image();
    let script =
        "umount \"$1\" && losetup -d \"$2\" && losetup \"$2\" \"$3\" && mount \"$2\" \"$1\"";
    let swapped = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([&at, &device, &image])
        .output()
        .unwrap();
    assert!(swapped.status.success(), "{swapped:?}");
    std::fs::create_dir(samples(&at)).unwrap();
    std::fs::write(samples(&at).join("1.wav"), wav(501, 99)).unwrap();
    wait_for_state(&home, "absent");
    assert!(copied(&home, &one).is_err());
    let undone = Command::new("sh")
        .args(["-c", "umount \"$1\" && losetup -d \"$2\"", "sh"])
        .args([&at, &device])
        .output()
        .unwrap();
    assert!(undone.status.success(), "{undone:?}");
    let back = Command::new("losetup")
        .args([&device, &red.image()])
        .output()
        .unwrap();
    assert!(back.status.success(), "{back:?}");
    red.mount(&at);
    wait_for_state(&home, "online");
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    mounted.stop();
}

#[test]
fn what_lies_in_the_empty_mount_point_is_not_the_volumes() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 500);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(2);
    let before = ids(&home);
    red.detach();
    wait_for_state(&home, "absent");
    std::fs::create_dir_all(samples(&at)).unwrap();
    let (same, new) = (samples(&at).join("1.wav"), samples(&at).join("new.wav"));
    std::fs::write(&same, wav(501, 1)).unwrap();
    std::fs::write(&new, wav(300, 30)).unwrap();
    home.run(["scan"]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(ids(&home), before);
    for id in before.values() {
        let item = home.json(["show", id]);
        assert_eq!(item["availability"], "external-offline", "{item:#}");
        assert!(copied(&home, &item).is_err());
        assert!(is_silent(&played(&home, &item).unwrap()));
    }
    // It is a folder like any other to who names it.
    let imported = home.json(["import", new.to_str().unwrap()]);
    let item = home.json(["show", imported[0]["mediaId"].as_str().unwrap()]);
    assert_eq!(item["availability"], "local", "{item:#}");
    std::fs::remove_dir_all(samples(&at)).unwrap();
    red.mount(&at);
    wait_for_state(&home, "online");
    let one = home.json(["show", &before["1.wav"]]);
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    mounted.stop();
}

#[test]
fn a_volume_over_a_folder_of_a_trusted_library_hides_and_loses_nothing() {
    let home = Home::new();
    let folder = home.library().join("in");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.wav"), wav(500, 1)).unwrap();
    std::fs::write(home.library().join("b.wav"), wav(600, 2)).unwrap();
    let mut over = Volume::new(Kind::Ext4);
    let mounted = home.mount();
    home.wait_for_items(2);
    let before = ids(&home);
    over.mount(&folder);
    std::fs::write(folder.join("a.wav"), wav(700, 7)).unwrap();
    std::fs::write(folder.join("c.wav"), wav(700, 8)).unwrap();
    home.run(["scan"]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        ids(&home),
        before,
        "a library ends at the file system it began on"
    );
    let a = home.json(["show", &before["a.wav"]]);
    assert_ne!(a["availability"], "missing", "{a:#}");
    if let Ok(bytes) = copied(&home, &a) {
        assert_eq!(bytes, wav(500, 1), "the bytes of another file");
    }
    over.detach();
    wait_until(DONE, "the sound is back", || {
        let a = home.json(["show", &before["a.wav"]]);
        a["availability"] == "local" && copied(&home, &a).is_ok_and(|bytes| bytes == wav(500, 1))
    });
    mounted.stop();
}

#[test]
fn every_view_of_the_state_is_true_soon() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 500);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(2);
    let one = home.item("Samples/1.wav");
    let id = id_of(&one);
    let watching = Watching::start(&home);
    assert_eq!(one["playable"], "partial");
    red.detach();
    watching.wait_for(&["volume.changed", "absent"]);
    let there = home.json(["whereis", &id]);
    assert_eq!(there["availability"], "external-offline", "{there:#}");
    assert_eq!(there["volume"]["state"], "absent");
    assert_eq!(there["path"], serde_json::Value::Null, "{there:#}");
    let remedy = there["remedy"].as_str().unwrap();
    assert_eq!(remedy, "plug in red to get 2 sounds back");
    let words = home.run(["whereis", &id]);
    assert!(words.contains("on red (last seen just now)"), "{words}");
    let words = home.run(["volumes"]);
    assert!(
        words.contains("red (volume), not connected (last seen just now), 2 sounds"),
        "{words}"
    );
    let status = home.json(["status"]);
    assert!(
        status.to_string().contains("external-offline"),
        "{status:#}"
    );
    assert!(is_silent(&played(&home, &one).unwrap()));
    watching.wait_for(&["media.silenced", &id]);
    watching.wait_for(&["warning.raised", "red is not connected"]);
    let warnings = home.json(["warnings"]);
    assert!(
        warnings.to_string().contains("1 sound is silent"),
        "{warnings:#}"
    );

    red.mount(&at);
    wait_for_state(&home, "online");
    watching.wait_for(&["volume.changed", "\"online\""]);
    let there = home.json(["whereis", &id]);
    assert_eq!(there["availability"], "external-online", "{there:#}");
    let path = samples(&at).join("1.wav");
    assert_eq!(there["path"], path.to_str().unwrap());
    assert_eq!(there["volume"]["state"], "online");
    assert!(
        !home
            .json(["status"])
            .to_string()
            .contains("external-offline")
    );
    mounted.stop();
}

#[test]
fn unplugged_during_a_scan_nothing_is_lost_and_the_rest_is_found_later() {
    const COUNT: u32 = 1500;
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, COUNT, 50);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    wait_until(DONE, "the scan is at work", || !home.items().is_empty());
    red.detach();
    wait_for_state(&home, "absent");
    let found = ids(&home);
    assert!(found.len() < COUNT as usize, "the scan was done before");
    std::thread::sleep(Duration::from_secs(2));
    for item in home.items() {
        assert_eq!(item["availability"], "external-offline", "{item:#}");
    }
    red.mount(&at);
    wait_until(DONE, "all of it", || home.items().len() == COUNT as usize);
    let now = ids(&home);
    for (name, id) in found {
        assert_eq!(now[&name], id);
    }
    mounted.stop();
}

#[test]
fn what_a_failing_disk_did_not_give_is_read_when_it_is_well() {
    const COUNT: u32 = 20;
    let home = Home::new();
    let mut red = Volume::on_failing_disk(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    fill(&at, COUNT, 500);
    red.detach();
    red.mount_with(&at, &["ro"]);
    // Its folders are known to the system, and its files are not.
    let listed = Command::new("ls").arg("-lR").arg(&at).output().unwrap();
    assert!(listed.status.success());
    let failing = red.fail();
    let mounted = mount(&home, &at);
    wait_until(DONE, "each file to be asked for", || {
        red.hits(failing) >= u64::from(COUNT)
    });
    home.run(["scan"]);
    assert_eq!(home.items().len(), 0);
    red.heal();
    home.run(["scan"]);
    home.wait_for_items(COUNT as usize);
    let one = home.item("Samples/1.wav");
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    mounted.stop();
}

#[test]
fn a_copy_under_way_fails_when_the_volume_goes() {
    let home = Home::new();
    let mut red = Volume::on_failing_disk(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    fill(&at, 1, 4_000_000);
    let mounted = mount(&home, &at);
    home.wait_for_items(1);
    let one = home.item("Samples/1.wav");
    red.forget(&samples(&at).join("1.wav"));
    red.slow(Duration::from_millis(50), 2 << 20);
    let mut source = std::fs::File::open(home.on_drive(".as/copier").join(path_of(&one))).unwrap();
    let mut first = [0; 4096];
    source.read_exact(&mut first).unwrap();
    let target = home.path("copy.wav");
    let copy = Command::new("cp")
        .arg(home.on_drive(".as/copier").join(path_of(&one)))
        .arg(&target)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    red.pull();
    let output = copy.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "a copy of half a file succeeded");
    let no_medium = std::io::Error::from_raw_os_error(no_medium()).to_string();
    let (no_medium, _) = no_medium.split_once(" (os error").unwrap();
    assert!(
        errors.contains(no_medium) || errors.contains("Input/output error"),
        "{errors}"
    );
    red.heal();
    mounted.stop();
}

/// Whoever shows an item hears of it when its volume goes and when it is back, one by one or, of very many, in one.
#[test]
fn items_are_told_of_when_their_volume_goes_and_comes() {
    for (count, told_in_one) in [(3, false), (70, true)] {
        let home = Home::new();
        let mut red = red(&home, Kind::Ext4, count, 50);
        let mounted = mount(&home, &home.path("red"));
        home.wait_for_items(count as usize);
        home.run(["scan"]);
        let watch = Watching::start(&home);
        for state in ["external-offline", "external-online"] {
            let before = watch.lines().len();
            if state == "external-offline" {
                red.detach();
            } else {
                red.mount(&home.path("red"));
            }
            wait_until(DONE, "all of them", || {
                let lines = &watch.lines()[before..];
                let of = |method: &str| {
                    let params = lines.iter().filter(|line| line["method"] == method);
                    params.map(|line| &line["params"]).collect::<Vec<_>>()
                };
                if told_in_one {
                    of("library.changed").iter().any(|all| {
                        all["count"] == count && all["bases"] == serde_json::json!(["Samples"])
                    })
                } else {
                    let ids = of("status.changed").into_iter();
                    let ids: std::collections::BTreeSet<_> = ids
                        .filter(|item| item["availability"] == state)
                        .map(|item| item["mediaId"].as_str().unwrap())
                        .collect();
                    ids.len() == count as usize
                }
            });
        }
        drop(watch);
        mounted.stop();
    }
}

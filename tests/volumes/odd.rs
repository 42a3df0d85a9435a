//! What no musician does on purpose: mounts over mounts, files that are none.

use std::process::Command;
use std::time::Duration;

use crate::bench::*;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, wait_until};

#[test]
fn what_is_no_file_on_a_volume_holds_nobody_up() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    fill(&at, 1, 500);
    let there = samples(&at);
    for (words, name) in [
        (&["p"][..], "fifo.wav"),
        (&["c", "1", "3"], "null.wav"),
        (&["b", "7", "0"], "disk.wav"),
    ] {
        let made = Command::new("mknod")
            .arg(there.join(name))
            .args(words)
            .status()
            .unwrap();
        assert!(made.success());
    }
    std::os::unix::fs::symlink("/dev/zero", there.join("zero.wav")).unwrap();
    std::os::unix::fs::symlink("1.wav", there.join("link.wav")).unwrap();
    std::os::unix::net::UnixListener::bind(there.join("socket.wav")).unwrap();
    let mounted = mount(&home, &at);
    wait_until(DONE, "the sound", || ids(&home).contains_key("1.wav"));
    home.run(["scan"]);
    for name in ["fifo.wav", "null.wav", "disk.wav", "socket.wav", "zero.wav"] {
        assert!(!ids(&home).contains_key(name), "{name}");
        let output = outcome(&home, ["import".as_ref(), there.join(name).as_os_str()]);
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
    }
    home.run(["eject", "red"]);
    red.unmount().expect("something still holds it");
    mounted.stop();
}

#[test]
fn a_sound_that_left_a_link_in_its_place_is_the_same_under_its_new_name() {
    let home = Home::new();
    let _red = red(&home, Kind::Ext4, 2, 500);
    let samples = samples(&home.path("red"));
    let mounted = mount(&home, &home.path("red"));
    home.wait_for_items(2);
    let before = ids(&home);
    std::fs::create_dir(samples.join("My Drums")).unwrap();
    for (name, target) in [
        ("1.wav", "My Drums/1.wav".into()),
        ("2.wav", samples.join("My Drums/2.wav")),
    ] {
        std::fs::rename(samples.join(name), samples.join("My Drums").join(name)).unwrap();
        std::os::unix::fs::symlink(target, samples.join(name)).unwrap();
    }
    home.run(["scan"]);
    for (name, id) in &before {
        let item = wait_for_item(&home, id, "external-online", "partial");
        assert_eq!(item["name"], name.as_str());
        let path = samples.join("My Drums").join(name);
        assert_eq!(item["resolvedPath"], path.to_str().unwrap());
    }
    let shown = home.on_drive("library/Samples");
    let link = shown.join("1.wav");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read(&link).unwrap(), wav(501, 1));
    assert!(std::fs::symlink_metadata(shown.join("2.wav")).is_err());
    assert_eq!(
        std::fs::read(shown.join("My Drums/2.wav")).unwrap(),
        wav(502, 2)
    );
    mounted.stop();
}

#[test]
fn a_mount_over_the_drive_itself_confuses_nobody() {
    let home = Home::new();
    let red = red(&home, Kind::Ext4, 1, 500);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(1);
    let one = home.items().remove(0);
    let mut over = Volume::new(Kind::Ext4);
    over.mount(&home.mount_point());
    home.run(["scan"]);
    wait_for_state(&home, "online");
    let item = home.json(["show", &id_of(&one)]);
    assert_eq!(item["availability"], "external-online", "{item:#}");
    over.detach();
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    assert_eq!(red.mounts().len(), 1);
    mounted.stop();
}

#[test]
fn the_drive_inside_a_library_on_a_volume_is_not_scanned() {
    let home = Home::new();
    let red = red(&home, Kind::Ext4, 1, 500);
    let at = home.path("red");
    let point = samples(&at).join("drive");
    std::fs::create_dir(&point).unwrap();
    let mut command = home.command(["mount", "--background", "--library"]);
    let output = command.arg(samples(&at)).arg(&point).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    home.wait_for_items(1);
    home.run(["scan"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(home.items().len(), 1);
    home.run(["unmount"]);
    wait_until(DONE, "it is unmounted", || !point.join("by-id").exists());
    assert_eq!(red.mounts().len(), 1);
}

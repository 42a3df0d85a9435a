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

//! `mediafs eject`: within a second nothing of the drive touches a volume, whatever goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::*;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, wait_until};

/// The promise, and slack for a loaded machine.
const LET_GO: Duration = Duration::from_secs(3);

/// Ejects, and unmounts at once.
fn eject_and_unmount(home: &Home, volume: &mut Volume, by: &str) {
    let begun = Instant::now();
    home.run(["eject", by]);
    let took = begun.elapsed();
    assert!(took < LET_GO, "{took:?}");
    volume.unmount().expect("something still holds it");
}

#[test]
fn it_can_be_unmounted_at_once_and_what_is_cached_plays_on() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Ntfs] {
        let home = Home::new();
        let mut red = red(&home, kind, 2, 500);
        let at = home.path("red");
        let mounted = mount(&home, &at);
        home.wait_for_items(2);
        let before = ids(&home);
        home.run(["hydrate", "--wait", &before["1.wav"]]);
        let one = wait_for_item(&home, &before["1.wav"], "external-online", "bytes");
        eject_and_unmount(&home, &mut red, "RED");
        assert_eq!(played(&home, &one).unwrap(), wav(501, 1));
        let two = home.json(["show", &before["2.wav"]]);
        assert!(is_silent(&played(&home, &two).unwrap()));
        wait_for_state(&home, "absent");
        red.mount(&at);
        wait_for_state(&home, "online");
        mounted.stop();
    }
}

#[test]
fn it_stays_ejected_until_it_is_mounted_anew() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 500);
    let at = home.path("red");
    let mounted = mount(&home, &at);
    home.wait_for_items(2);
    let one = home.item("Samples/1.wav");
    home.run(["eject", at.to_str().unwrap()]);
    wait_for_state(&home, "ejected");
    home.run(["scan"]);
    let _ = copied(&home, &one);
    let id = id_of(&one);
    let output = outcome(&home, ["hydrate", "--wait", &id]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("red is ejected"), "{told}");
    std::thread::sleep(Duration::from_secs(2));
    wait_for_state(&home, "ejected");
    let words = home.run(["volumes"]);
    assert!(words.contains("ejected; unmount it at"), "{words}");
    // In no time, so that nobody sees it go.
    red.unmount().expect("something still holds it");
    red.mount(&at);
    wait_for_state(&home, "online");
    assert_eq!(copied(&home, &one).unwrap(), wav(501, 1));
    mounted.stop();
}

#[test]
fn a_hydration_and_a_scan_let_go_of_it() {
    let home = Home::new();
    let mut red = Volume::on_failing_disk(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    fill(&at, 1, 2_000_000);
    let mounted = mount(&home, &at);
    home.wait_for_items(1);
    let one = home.item("Samples/1.wav");
    // More to be scanned.
    fill(&at, 600, 100);
    std::fs::write(samples(&at).join("1.wav"), wav(2_000_001, 1)).unwrap();
    settle(&at);
    red.forget(&samples(&at).join("1.wav"));
    home.run(["scan"]);
    let slow = red.slow(Duration::from_millis(20), 1 << 20);
    home.run(["hydrate", &id_of(&one)]);
    let scan = home.command(["scan"]).spawn().unwrap();
    wait_until(DONE, "the disk is at work", || red.hits(slow) > 2);
    let begun = Instant::now();
    home.run(["eject", "red"]);
    let took = begun.elapsed();
    assert!(took < LET_GO, "{took:?}");
    red.heal();
    red.unmount().expect("something still holds it");
    let mut scan = scan;
    let _ = scan.wait();
    wait_for_state(&home, "absent");
    // It goes on by itself.
    red.mount(&at);
    wait_for_item(&home, &id_of(&one), "external-online", "bytes");
    mounted.stop();
}

#[test]
fn volumes_are_named_by_name_path_or_identity() {
    let home = Home::new();
    let odd = home.path("Übung [1] 100%: a b");
    let mut red = Volume::new(Kind::Ext4);
    red.mount(&odd);
    fill(&odd, 1, 500);
    let mounted = mount(&home, &odd);
    home.wait_for_items(1);
    let identity = known(&home)[0]["id"].as_str().unwrap().to_owned();
    let relative = format!("{}/", odd.display());
    let name = "übung [1] 100%: A B";
    for by in [identity.as_str(), odd.to_str().unwrap(), &relative, name] {
        eject_and_unmount(&home, &mut red, by);
        wait_for_state(&home, "absent");
        let output = outcome(&home, ["eject", by]);
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("is not mounted"), "{errors}");
        red.mount(&odd);
        wait_for_state(&home, "online");
    }
    for by in ["nothing", "/nowhere", "", "./"] {
        let output = outcome(&home, ["eject", by]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{by}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    mounted.stop();
}

#[test]
fn of_two_volumes_of_one_name_none_is_ejected_by_it() {
    let home = Home::new();
    let (first, second) = (home.path("a/USB"), home.path("b/USB"));
    let mut volumes = [Volume::new(Kind::Ext4), Volume::new(Kind::Ext4)];
    let mut words: Vec<String> = Vec::new();
    for (volume, at) in volumes.iter_mut().zip([&first, &second]) {
        volume.mount(at);
        fill(at, 1, 500);
        words.extend(["--library".to_owned(), samples(at).display().to_string()]);
    }
    std::fs::write(samples(&second).join("2.wav"), wav(700, 2)).unwrap();
    let words: Vec<&std::ffi::OsStr> = words.iter().map(AsRef::as_ref).collect();
    let mounted = home.mount_with(&words);
    home.wait_for_items(3);
    let output = outcome(&home, ["eject", "USB"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("several volumes are called"), "{errors}");
    let state = |at: &Path| volume_at(&home, at).unwrap()["state"].clone();
    assert_eq!(
        (state(&first), state(&second)),
        ("online".into(), "online".into())
    );
    home.run(["eject", second.to_str().unwrap()]);
    wait_until(TOLD, "one of them is", || state(&second) == "ejected");
    assert_eq!(state(&first), "online");
    // Of those that are there, one is left.
    volumes[1].unmount().expect("something still holds it");
    wait_until(TOLD, "it is gone", || state(&second) == "absent");
    home.run(["eject", "usb"]);
    volumes[0].unmount().expect("something still holds it");
    mounted.stop();
}

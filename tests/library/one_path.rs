//! Several file systems at one path, one after the other: what is known of one has nothing to do with what is on another.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mediafs::catalog::{BaseRow, Durability, ItemRow, Observation, PlaceKind, PlaceNo};
use mediafs::library::{Library, Progress, Which};
use mediafs::model::Availability;

use crate::support::{House, put, scan, wav};
use crate::untrusted::Disk;

/// Another file system, mounted over one in an instant.
struct Over(PathBuf);

impl Over {
    fn mount(what: &Path, over: &Path) -> Self {
        let mounted = Command::new("mount")
            .arg("--bind")
            .args([what, over])
            .status();
        assert!(mounted.unwrap().success());
        Self(over.to_owned())
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A file of a base that was seen, and that nobody has read yet.
fn unread(house: &House, base: &BaseRow, name: &str) -> PlaceNo {
    let (known, _) = house.places(base).into_values().next().unwrap();
    let seen = Observation {
        kind: PlaceKind::File,
        evidence: known.evidence,
    };
    let written = house.catalog.write(Durability::Normal, |writer| {
        writer.observe(base.top, OsStr::new(name), &seen).map(drop)
    });
    written.unwrap();
    house.places(base)[name].0.row
}

/// Scans a base on a disk from which reading is slow; `meanwhile` happens when the first of its files was read.
fn scan_while(house: &House, library: &Library, base: &BaseRow, meanwhile: impl FnOnce()) {
    let read = || house.items(base).len();
    std::thread::scope(|scope| {
        let scanning = scope.spawn(|| scan_one(library, base));
        let begun = Instant::now();
        while read() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing is read");
            std::thread::sleep(Duration::from_millis(10));
        }
        meanwhile();
        scanning.join().unwrap();
    });
    assert!(read() < house.places(base).len(), "all was read before");
}

fn scan_one(library: &Library, base: &BaseRow) {
    let never = AtomicBool::new(false);
    let progress = Progress::default();
    library
        .scan_now(&Which::One(base.row), &progress, &never)
        .unwrap();
}

#[test]
fn what_was_not_read_yet_is_not_read_from_another_disk() {
    let mut disk = Disk::new();
    put(&disk.own().join("a.wav"), &wav(1, 50));
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path()).unwrap();
    scan(&library);
    let place = unread(&house, &base, "b.wav");
    disk.unmount();
    let other = tempfile::tempdir().unwrap();
    put(&other.path().join("b.wav"), &wav(2, 70));
    disk.mount_other(other.path(), &[]);
    let read = scan(&library).snapshot();
    assert_eq!(read.expected, 0, "nothing is to be read");
    let (row, item) = house.places(&base).remove("b.wav").unwrap();
    assert_eq!((row.row, row.generation), (place, 1));
    assert_eq!(item, None);
    // Nor from the folder where it was mounted.
    disk.unmount();
    put(&disk.path().join("b.wav"), &wav(3, 90));
    scan(&library);
    let (row, item) = house.places(&base).remove("b.wav").unwrap();
    assert_eq!((row.generation, item), (1, None));
    std::fs::remove_file(disk.path().join("b.wav")).unwrap();
    // It is itself again.
    put(&disk.own().join("b.wav"), &wav(4, 50));
    disk.mount();
    scan(&library);
    assert!(house.items(&base).contains_key("b.wav"));
}

#[test]
fn what_is_being_read_is_not_read_on_from_another_disk() {
    let mut disk = Disk::new();
    let other = tempfile::tempdir().unwrap();
    for n in 0..12 {
        put(&disk.own().join(format!("{n}.wav")), &wav(n, 20_000));
        put(&other.path().join(format!("{n}.wav")), &wav(n, 300));
    }
    disk.unmount();
    disk.mount_other(&disk.own(), &["--read-rate=80k"]);
    let house = House::new();
    let library = house.quiet();
    let base = library.register_root(&disk.path()).unwrap();
    scan_while(&house, &library, &base, || {
        disk.unmount();
        disk.mount_other(other.path(), &[]);
    });
    let places = house.places(&base);
    assert_eq!(places.len(), 12);
    for (name, (row, item)) in places {
        assert_eq!(row.generation, 1, "{name}");
        let size = wav(0, 20_000).len() as u64;
        assert!(item.is_none_or(|item| item.size == size), "{name}");
    }
}

#[test]
fn what_a_failing_disk_did_not_give_is_read_later() {
    let mut disk = Disk::new();
    for n in 0..12 {
        put(&disk.own().join(format!("{n}.wav")), &wav(n, 20_000));
    }
    disk.unmount();
    disk.mount_other(&disk.own(), &["--read-rate=80k"]);
    let house = House::new();
    let library = house.quiet();
    let base = library.register_root(&disk.path()).unwrap();
    // Whoever asks it something gets an error at once: the mount stays.
    scan_while(&house, &library, &base, || disk.die());
    assert_eq!(house.reader().problems(0, 99).unwrap(), []);
    assert!(library.problem_count() > 0, "people are told");
    disk.detach();
    disk.mount();
    scan(&library);
    assert_eq!(house.items(&base).len(), 12);
    assert_eq!(house.reader().problems(0, 99).unwrap(), []);
    assert_eq!(library.problem_count(), 0);
}

#[test]
fn what_came_to_the_old_path_while_a_look_waited_is_not_taken_for_it() {
    let (mut disk, mut elsewhere, other) = (Disk::new(), Disk::new(), Disk::new());
    put(&disk.own().join("kit/a.wav"), &wav(1, 50));
    for n in 0..12 {
        put(&disk.own().join(format!("slow/{n}.wav")), &wav(n, 20_000));
    }
    put(&other.own().join("kit/b.wav"), &wav(2, 60));
    disk.unmount();
    elsewhere.unmount();
    disk.mount_other(&disk.own(), &["--read-rate=80k"]);
    let house = House::new();
    let library = house.quiet();
    let kit = library.register_root(&disk.path().join("kit")).unwrap();
    scan_one(&library, &kit);
    let before = house.items(&kit);
    assert_eq!(before.len(), 1);
    let slow = library.register_root(&disk.path().join("slow")).unwrap();
    // The same one is there, too, and will be what is left of it.
    elsewhere.mount_other(&disk.own(), &[]);
    let mut over = None;
    std::thread::scope(|scope| {
        scan_while(&house, &library, &slow, || {
            // One look at a source after the other: this one waits.
            scope.spawn(|| scan_one(&library, &kit));
            std::thread::sleep(Duration::from_millis(200));
            over = Some(Over::mount(&other.path(), &disk.path()));
        });
    });
    let places = house.places(&kit);
    assert_eq!(places.keys().collect::<Vec<_>>(), ["a.wav"]);
    assert!(places["a.wav"].0.is_here(), "nobody has looked for it");
    // Where it is now it is itself.
    scan(&library);
    let after = house.items(&kit);
    assert_eq!(after["a.wav"].media_id, before["a.wav"].media_id);
    assert_eq!(after.len(), 1);
    assert_eq!(house.items(&slow).len(), 12);
    drop(over);
    let moved = house.reader().base(kit.row).unwrap().unwrap();
    assert_eq!(moved.path, elsewhere.path().join("kit"));
}

#[test]
fn another_disk_at_the_path_of_one_that_is_away_is_another_library() {
    let mut disk = Disk::new();
    put(&disk.own().join("a.wav"), &wav(1, 50));
    let house = House::new();
    let library = house.quiet();
    let one = library.add_root(&disk.path()).unwrap();
    scan(&library);
    let known = house.items(&one);
    disk.unmount();
    let other = tempfile::tempdir().unwrap();
    put(&other.path().join("a.wav"), &wav(2, 60));
    disk.mount_other(other.path(), &[]);
    let two = library.add_root(&disk.path()).unwrap();
    assert_ne!(two.row, one.row);
    scan(&library);
    assert_eq!(library.problem_at(&two.path), None);
    let items = house.items(&two);
    assert_eq!(items["a.wav"].size, wav(2, 60).len() as u64);
    let ids = |items: &BTreeMap<String, ItemRow>| items["a.wav"].media_id.clone();
    assert_eq!(ids(&house.items(&one)), ids(&known));
    // Whichever is there is the one that is meant.
    assert_eq!(library.add_root(&disk.path()).unwrap().row, two.row);
    assert_eq!(library.base_at(&disk.path()).unwrap(), Some(two));
    disk.unmount();
    disk.mount();
    assert_eq!(library.add_root(&disk.path()).unwrap().row, one.row);
    let at = library.base_at(&disk.path()).unwrap().unwrap();
    assert_eq!(at.row, one.row);
}

#[test]
fn a_library_whose_disk_is_in_a_case_of_its_own_now_keeps_its_items() {
    let mut disk = Disk::new();
    let over_files = ["-o", "nonempty"];
    disk.unmount();
    let put_both = |name: &str, bytes: &[u8]| {
        for folder in [disk.path(), disk.own()] {
            put(&folder.join(name), bytes);
            let file = std::fs::File::options().write(true).open(folder.join(name));
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
            file.unwrap().set_modified(time).unwrap();
        }
    };
    for n in 0..6 {
        put_both(&format!("kit/{n}.wav"), &wav(n, 50));
    }
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path()).unwrap();
    scan(&library);
    let known = house.items(&base);
    assert_eq!((base.source, known.len()), (None, 6));
    // What is something else is another library.
    let other = tempfile::tempdir().unwrap();
    put(&other.path().join("kit/1.wav"), &wav(2, 70));
    disk.mount_other(other.path(), &over_files);
    scan(&library);
    assert!(library.problem_at(&base.path).is_some());
    let another = library.add_root(&disk.path()).unwrap();
    assert_ne!(another.row, base.row);
    disk.unmount();
    disk.mount_other(&disk.own(), &over_files);
    let same = library.add_root(&disk.path()).unwrap();
    assert_eq!(same.row, base.row);
    assert!(same.source.is_some());
    scan(&library);
    assert_eq!(library.problem_at(&base.path), None);
    let now = house.items(&base);
    assert_eq!(now.len(), 6);
    for (path, item) in known {
        let now = &now[&path];
        assert_eq!((&now.media_id, now.generation), (&item.media_id, 1));
        assert_eq!(now.availability, Availability::ExternalOnline);
    }
    disk.unmount();
    std::fs::remove_dir_all(disk.path().join("kit")).unwrap();
}

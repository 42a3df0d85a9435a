//! Several file systems at one path, one after the other: what is known of one has nothing to do with what is on another.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use mediafs::catalog::{BaseRow, Durability, Observation, PlaceKind, PlaceNo};
use mediafs::library::Library;

use crate::support::{House, put, scan, wav};
use crate::untrusted::Disk;

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

/// Scans a disk from which reading is slow; `meanwhile` happens when the first of its files was read.
fn scan_while(house: &House, library: &Library, base: &BaseRow, meanwhile: impl FnOnce()) {
    let read = || house.items(base).len();
    std::thread::scope(|scope| {
        let scanning = scope.spawn(|| scan(library));
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

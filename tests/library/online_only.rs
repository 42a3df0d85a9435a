//! Files whose bytes are with a cloud provider only, as its client marks them or puts others in their place.

use std::path::Path;
use std::time::Duration;

use mediafs::catalog::ItemRow;
use mediafs::library::Residency;
use mediafs::model::Playable;

use crate::support::{House, put, scan, wav};
use crate::untrusted::{Disk, SILENT, facts, wait};

#[test]
fn what_is_online_only_is_listed_and_not_read() {
    let disk = Disk::new();
    put(&disk.own().join("here.wav"), &wav(1, 50));
    put(&disk.own().join("far.wav.nextcloud"), b" ");
    put(&disk.own().join("here.wav.nextcloud"), b" ");
    put(&disk.own().join("marked.wav"), &wav(2, 50));
    let mark = |state: &str| {
        let path = disk.own().join("marked.wav");
        rustix::fs::setxattr(
            &path,
            "user.openvfs.state",
            state.as_bytes(),
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
    };
    mark("dehydrated");
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path()).unwrap();
    for _ in 0..2 {
        let done = scan(&library).snapshot();
        assert!(done.done <= 1, "one alone is read");
        let places = house.places(&base);
        let names: Vec<_> = places.keys().map(String::as_str).collect();
        assert_eq!(names, ["far.wav", "here.wav", "marked.wav"]);
        for (name, (place, item)) in &places {
            let here = name == "here.wav";
            // What nobody may read is an item all the same, of which nothing is known.
            let item = item.as_ref().unwrap();
            let format = house.reader().format(item.row).unwrap();
            assert_eq!(format.is_some(), here, "{name}");
            assert_eq!(item.playable == Playable::Error, !here, "{name}");
            let expected = if here {
                Residency::Here
            } else {
                Residency::OnlineOnly
            };
            assert_eq!(library.residency(place.row), expected, "{name}");
        }
    }
    // The client has fetched them.
    std::fs::remove_file(disk.own().join("far.wav.nextcloud")).unwrap();
    put(&disk.own().join("far.wav"), &wav(3, 50));
    mark("hydrated");
    wait("all three", SILENT, || {
        scan(&library);
        let reader = house.reader();
        let read = |item: &ItemRow| reader.format(item.row).unwrap().is_some();
        house.items(&base).values().all(read)
    });
}

#[test]
fn what_is_made_online_only_stays_what_it_is() {
    let mut disk = Disk::new();
    disk.unmount();
    // What is replaced by other means is seen at once.
    let nothing_kept = ["-o", "attr_timeout=0,entry_timeout=0"];
    disk.mount_other(&disk.own(), &nothing_kept);
    let (file, stand_in) = (disk.own().join("a.wav"), disk.own().join("a.wav.nextcloud"));
    // Clients keep the time of the content, in seconds.
    let put_at = |path: &Path, bytes: &[u8], millis: u64| {
        put(path, bytes);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let time = std::time::UNIX_EPOCH + Duration::from_millis(millis);
        file.set_modified(time).unwrap();
    };
    put_at(&file, &wav(1, 50), 1_000_000_123);
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&disk.path()).unwrap();
    scan(&library);
    let before = house.items(&base)["a.wav"].clone();
    let known = facts(&house, &base);
    let residency = || library.residency(before.place.unwrap());
    for _ in 0..2 {
        std::fs::remove_file(&file).unwrap();
        put_at(&stand_in, b" ", 1_000_000_000);
        for _ in 0..2 {
            let done = scan(&library).snapshot();
            assert_eq!(done.expected, 0, "nothing is to be read");
            assert_eq!(residency(), Residency::OnlineOnly);
            let item = house.items(&base)["a.wav"].clone();
            assert_eq!(
                (&item.media_id, item.generation, item.size),
                (&before.media_id, 1, before.size)
            );
            assert_eq!(facts(&house, &base), known);
        }
        // And back, as another file.
        std::fs::remove_file(&stand_in).unwrap();
        put_at(&file, &wav(1, 50), 1_000_000_000);
        scan(&library);
        assert_eq!(residency(), Residency::Here);
        assert_eq!(house.items(&base)["a.wav"].generation, 1);
        assert_eq!(facts(&house, &base), known);
    }
    // Another content, of which nothing is known yet.
    std::fs::remove_file(&file).unwrap();
    put_at(&stand_in, b" ", 1_000_007_000);
    scan(&library);
    let item = house.items(&base)["a.wav"].clone();
    assert_eq!((&item.media_id, item.generation), (&before.media_id, 2));
    assert_eq!(item.playable, Playable::Error);
}

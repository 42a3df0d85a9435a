//! What is done when nothing else is to be done: hashing, and making lost capsules anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mediafs::catalog::{Catalog, Change};
use mediafs::library::{Library, LibraryConfig};
use mediafs::model::ObjectHash;

use crate::support::{House, put, wav};

#[test]
fn hashes_of_many_files_are_recorded_together() {
    let house = House::new();
    for value in 0..1000_i16 {
        put(
            &house.sounds().join(format!("{value}.wav")),
            &wav(value, 20),
        );
    }
    let (library, base) = house.scanned();
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    house.catalog.listen(Box::new(move |changes| {
        assert!(changes.iter().all(|c| matches!(c, Change::Item { .. })));
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let hashed = library.hash_now(&AtomicBool::new(false)).unwrap();
    assert_eq!(hashed, 1000);
    // Two, or as many as there are fifths of a second where the machine is slow.
    let commits = commits.load(Ordering::Relaxed);
    assert!((2..100).contains(&commits), "{commits}");
    let reader = house.reader();
    for (path, item) in house.items(&base) {
        let bytes = std::fs::read(house.sounds().join(path)).unwrap();
        let expected = ObjectHash(*blake3::hash(&bytes).as_bytes());
        assert_eq!(reader.blake3(item.row).unwrap(), Some(expected));
    }
    assert_eq!(library.hash_now(&AtomicBool::new(false)).unwrap(), 0);
}

#[test]
fn what_another_program_did_not_let_be_read_does_not_hold_up_the_rest() {
    let house = House::new();
    for value in 0..3_i16 {
        put(
            &house.sounds().join(format!("{value}.wav")),
            &wav(value, 20),
        );
    }
    let (library, base) = house.scanned();
    // It is another file than the catalog saw, and no scan has found out yet.
    put(&house.sounds().join("0.wav"), &wav(7, 30));
    drop(library);
    let config = LibraryConfig::default();
    let library = Library::open(Arc::clone(&house.catalog), &house.home(), config);
    assert_eq!(library.hash_now(&AtomicBool::new(false)).unwrap(), 2);
    let reader = house.reader();
    let hashed = |name: &str| reader.blake3(house.items(&base)[name].row).unwrap();
    assert_eq!(
        hashed("0.wav"),
        None,
        "nothing is said of what was not read"
    );
    assert!(hashed("1.wav").is_some() && hashed("2.wav").is_some());
}

#[test]
fn lost_capsules_are_made_anew() {
    let mut house = House::new();
    // Its header alone says all, but only the capsule has the chunk that nobody knows.
    let mut odd = wav(1, 400);
    odd.extend_from_slice(b"odd \x08\0\0\0whatever");
    let size = u32::try_from(odd.len() - 8).unwrap();
    odd[4..8].copy_from_slice(&size.to_le_bytes());
    put(&house.sounds().join("odd.wav"), &odd);
    // Frames of MPEG-1 layer III, 128 kbit/s at 44.1 kHz, each 417 bytes: only the whole file says where they are.
    let mut mp3 = Vec::new();
    for number in 0..40_u8 {
        mp3.extend_from_slice(&[0xFF, 0xFB, 0x90, 0x00]);
        mp3.extend(std::iter::repeat_n(number & 0x7F, 413));
    }
    put(&house.sounds().join("packed.mp3"), &mp3);
    let (library, base) = house.scanned();
    library.hash_now(&AtomicBool::new(false)).unwrap();
    drop(library);
    let capsules = |house: &House| {
        let reader = house.reader();
        ["odd.wav", "packed.mp3"]
            .map(|name| reader.capsule(house.items(&base)[name].row).unwrap())
            .map(|capsule| capsule.map(|capsule| capsule.bytes))
    };
    let before = capsules(&house);
    assert!(before.iter().all(Option::is_some));

    let home = house.home();
    // Closed, so that its files are.
    house.catalog = Catalog::open(house.folder.path()).unwrap();
    for name in ["capsules.db", "capsules.db-wal", "capsules.db-shm"] {
        let _ = std::fs::remove_file(home.join(name));
    }
    house.catalog = Catalog::open(&home).unwrap();
    assert_eq!(capsules(&house), [None, None]);

    let config = LibraryConfig::default();
    let library = Library::start(Arc::clone(&house.catalog), &home, config).unwrap();
    house.wait(|house| capsules(house) == before);
    library.stop();
}

#[test]
fn a_file_that_was_linked_after_it_was_seen_is_hashed_and_lives_on_in_its_link() {
    let house = House::new();
    let (library, base) = house.watching();
    let (file, link) = (house.sounds().join("a.wav"), house.sounds().join("b.wav"));
    put(&file, &wav(5, 40));
    house.wait(|house| house.items(&base).contains_key("a.wav"));
    // Nobody is told of what this does to the first name's file.
    std::fs::hard_link(&file, &link).unwrap();
    house.wait(|house| house.items(&base).contains_key("b.wav"));
    let id = house.items(&base)["a.wav"].media_id.clone();
    house.wait(|house| {
        library.hash_now(&AtomicBool::new(false)).unwrap();
        // The look that this asks for waits until nobody asks again.
        std::thread::sleep(std::time::Duration::from_millis(300));
        house
            .reader()
            .blake3(house.item(&id).row)
            .unwrap()
            .is_some()
    });
    std::fs::remove_file(&file).unwrap();
    house.wait(|house| !house.items(&base).contains_key("a.wav"));
    assert_eq!(house.playable(&id), mediafs::model::Playable::Bytes);
}

//! Damage: lost and corrupt databases, damaged and vanished objects, and strange things in the folders.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};

use mediafs_cache::{CacheError, ObjectId, PinOwner, Store, Verified};
use support::*;

fn owner(name: &str) -> PinOwner {
    PinOwner::new(name).unwrap()
}

/// Ways to lose a database.
fn spoil(path: &std::path::Path, how: &str) {
    match how {
        "missing" => fs::remove_file(path).unwrap(),
        "empty" => fs::write(path, b"").unwrap(),
        "garbage" => fs::write(path, sound(1, 8192)).unwrap(),
        "truncated" => {
            let length = fs::metadata(path).unwrap().len();
            assert!(length > 4096, "there is something to cut");
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(4096)
                .unwrap();
        }
        "header only" => {
            let mut bytes = fs::read(path).unwrap();
            bytes[100..].fill(0xa5);
            fs::write(path, bytes).unwrap();
        }
        _ => unreachable!(),
    }
}

#[test]
fn a_lost_index_is_made_again_and_the_pins_stay() {
    for how in ["missing", "empty", "garbage", "truncated", "header only"] {
        let (_folder, store) = new_store(1000);
        let ids: Vec<_> = (0..4).map(|seed| put(&store, &sound(seed, 100))).collect();
        store.pin(&owner("user"), &ids[..1]).unwrap();
        let cache = store.folder().to_owned();
        drop(store);
        spoil(&cache.join("index.sqlite"), how);

        let store = Store::open(&cache, options(450)).unwrap();
        let opening = store.opening();
        assert!(
            opening.needs_reconcile && !opening.pins_lost,
            "{how}: {opening:?}"
        );
        assert_eq!(
            opening.index_lost,
            how != "empty",
            "{how}: an empty file is a database that was never counted"
        );
        assert_eq!(
            opening.set_aside.is_empty(),
            ["missing", "empty"].contains(&how),
            "{how}"
        );
        assert!(!store.usage().unwrap().counted);
        assert_eq!(
            read(&store, &ids[3]).unwrap(),
            sound(3, 100),
            "{how}: objects open before anything is counted"
        );

        if how == "missing" {
            // Whoever needs space first has it counted: 400 are there, so one that nobody pins goes.
            store.discard_damaged().unwrap();
            put(&store, &sound(9, 100));
        } else {
            let report = store.reconcile().unwrap();
            assert_eq!(report.found.len(), 4, "{how}");
            store.discard_damaged().unwrap();
            put(&store, &sound(9, 100));
        }
        let usage = store.usage().unwrap();
        assert_eq!(
            (usage.objects, usage.pinned_bytes, usage.counted),
            (4, 100, true),
            "{how}"
        );
        assert!(
            store.contains(&ids[0]).unwrap(),
            "{how}: the pinned one stayed"
        );
        assert_books_agree(&store);
    }
}

#[test]
fn lost_pins_are_told_and_nothing_is_evicted_until_they_are_restored() {
    for how in ["missing", "garbage", "truncated", "header only"] {
        let (_folder, store) = new_store(200);
        let id = put(&store, &sound(1, 100));
        put(&store, &sound(2, 100));
        store.pin(&owner("user"), &[id]).unwrap();
        let cache = store.folder().to_owned();
        drop(store);
        spoil(&cache.join("pins.sqlite"), how);
        for _ in 0..2 {
            // It is not forgotten by opening it once more.
            let store = Store::open(&cache, options(200)).unwrap();
            assert!(store.opening().pins_lost, "{how}");
            store.reconcile().unwrap();
            assert!(
                matches!(store.evict(&id), Err(CacheError::PinsLost { .. })),
                "{how}"
            );
            assert!(
                matches!(
                    store.put(&sound(3, 100)[..], None, None),
                    Err(CacheError::PinsLost { .. })
                ),
                "{how}"
            );
        }
        let store = Store::open(&cache, options(200)).unwrap();
        store.pin(&owner("user"), &[id]).unwrap();
        store.pins_restored().unwrap();
        put(&store, &sound(3, 100));
        assert!(store.contains(&id).unwrap(), "{how}");
        drop(store);
        assert!(
            !Store::open(&cache, options(200))
                .unwrap()
                .opening()
                .pins_lost,
            "{how}"
        );
    }
}

/// Spoils the file beneath the running store; SQLite notices at some later read.
#[test]
fn an_index_that_breaks_in_use_is_replaced_and_counted_again() {
    let (_folder, store) = new_store(100_000);
    let ids: Vec<_> = (0..300)
        .map(|seed| put(&store, &sound(seed, 100)))
        .collect();
    let cache = store.folder().to_owned();
    drop(store);
    let store = Store::open(&cache, options(100_000)).unwrap();
    // All but the first page; the schema and the small tables may lie there.
    let path = cache.join("index.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let _ = fs::remove_file(cache.join("index.sqlite-wal"));

    let listed = store.objects_after(None, 1000).unwrap();
    assert!(
        listed.is_empty(),
        "a new index has nothing yet: the fault happened"
    );
    assert!(!store.usage().unwrap().counted);
    put(&store, &sound(1000, 100));
    assert_eq!(store.usage().unwrap().objects, 301);
    assert!(ids.iter().all(|id| store.contains(id).unwrap()));
    assert!(
        bytes_beneath(&cache.join("damaged")) > 0,
        "the broken one was kept for a look"
    );
    store.discard_damaged().unwrap();
    assert_books_agree(&store);
}

#[test]
fn reconcile_puts_right_what_happened_behind_its_back() {
    let (_folder, store) = new_store(10_000);
    let ids: Vec<_> = (0..5).map(|seed| put(&store, &sound(seed, 100))).collect();
    remove_file(store.object_path(&ids[0]));
    let stray = sound(77, 123);
    let place = store.object_path(&ObjectId::of(&stray));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, &stray).unwrap();
    remove_file(store.object_path(&ids[1]));
    fs::write(store.object_path(&ids[1]), b"short").unwrap();
    fs::write(store.folder().join("temp/t-999"), b"left by a crash").unwrap();
    fs::write(store.folder().join("temp/mine.txt"), b"not ours").unwrap();
    fs::write(
        store
            .folder()
            .join("partial")
            .join(format!("{}.data", ids[2])),
        b"no map",
    )
    .unwrap();

    let report = store.reconcile().unwrap();
    assert_eq!(
        (
            report.objects,
            report.temps_removed,
            report.partials_removed
        ),
        (4, 1, 1)
    );
    assert_eq!(report.found, [ObjectId::of(&stray)]);
    assert_eq!(report.vanished, [ids[0]]);
    assert_eq!(
        report
            .damaged
            .iter()
            .map(|damaged| damaged.id)
            .collect::<Vec<_>>(),
        [ids[1]]
    );
    assert_eq!(report.strangers, [store.folder().join("temp/mine.txt")]);
    let usage = store.usage().unwrap();
    assert_eq!(
        (usage.objects, usage.object_bytes, usage.damaged_bytes),
        (4, 423, 5)
    );
    fs::remove_file(store.folder().join("temp/mine.txt")).unwrap();
    assert_books_agree(&store);

    let again = store.reconcile().unwrap();
    assert_eq!(
        (
            again.objects,
            again.found.len(),
            again.vanished.len(),
            again.damaged.len()
        ),
        (4, 0, 0, 0)
    );
}

#[test]
fn a_flipped_bit_is_found_by_verify_and_only_that_object_goes() {
    let (_folder, store) = new_store(10_000);
    let ids: Vec<_> = (0..4).map(|seed| put(&store, &sound(seed, 500))).collect();
    let open = store.open_object(&ids[2]).unwrap().unwrap();
    let path = store.object_path(&ids[2]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[333] ^= 4;
    remove_file(&path);
    fs::write(&path, &bytes).unwrap();

    let mut steps = Vec::new();
    let report = store
        .verify_all(|done| {
            steps.push(done);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(steps, [1, 2, 3, 4]);
    assert!(report.complete);
    assert_eq!(
        (report.intact, report.intact_bytes, report.damaged.len()),
        (3, 1500, 1)
    );
    let damaged = &report.damaged[0];
    assert_eq!(
        (damaged.id, damaged.actual),
        (ids[2], Some(ObjectId::of(&bytes)))
    );
    assert_eq!(
        fs::read(&damaged.set_aside).unwrap(),
        bytes,
        "what was found is kept as it was"
    );
    assert!(store.open_object(&ids[2]).unwrap().is_none());
    assert_eq!(store.usage().unwrap().damaged_bytes, 500);
    assert_books_agree(&store);

    // Fetched again while an old handle is still open.
    put(&store, &sound(2, 500));
    assert_eq!(
        store.verify(&ids[2]).unwrap(),
        Verified::Intact { size: 500 }
    );
    assert_eq!(open.id(), ids[2]);
    assert_eq!(
        store.verify(&ObjectId::of(b"never")).unwrap(),
        Verified::Absent
    );

    let stopped = store
        .verify_all(|_| std::ops::ControlFlow::Break(()))
        .unwrap();
    assert!(!stopped.complete && stopped.intact == 1);
}

#[test]
fn an_object_of_the_wrong_size_is_replaced_when_it_is_put_again() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 100);
    let id = put(&store, &bytes);
    remove_file(store.object_path(&id));
    fs::write(store.object_path(&id), &bytes[..50]).unwrap();
    put(&store, &bytes);
    assert_eq!(read(&store, &id).unwrap(), bytes);
    assert_eq!(store.usage().unwrap().damaged_bytes, 50);
    remove_file(store.object_path(&id));
    put(&store, &bytes);
    assert_eq!(read(&store, &id).unwrap(), bytes);
    assert_books_agree(&store);
}

// Linux, for the pipe and the name that is no text.
#[cfg(target_os = "linux")]
#[test]
fn symlinks_folders_pipes_and_odd_names_are_no_objects() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    let (folder, store) = new_store(10_000);
    let kept = put(&store, b"kept");
    let secret = folder.path().join("secret");
    fs::write(&secret, b"secret").unwrap();
    let place = |bytes: &[u8]| {
        let path = store.object_path(&ObjectId::of(bytes));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    symlink(&secret, place(b"link")).unwrap();
    symlink(folder.path().join("nowhere"), place(b"dangling")).unwrap();
    fs::create_dir(place(b"folder")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place(b"pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    for bytes in [&b"link"[..], b"dangling", b"folder", b"pipe"] {
        assert!(
            store.open_object(&ObjectId::of(bytes)).unwrap().is_none(),
            "{bytes:?}"
        );
        assert!(!store.contains(&ObjectId::of(bytes)).unwrap());
    }
    // A folder of objects that leads elsewhere: not even a good object behind it is opened.
    let (elsewhere, shard) = (
        folder.path().join("elsewhere"),
        store.object_path(&ObjectId::of(b"away")),
    );
    let _ = fs::remove_dir(shard.parent().unwrap());
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join(shard.file_name().unwrap()), b"away").unwrap();
    symlink(&elsewhere, shard.parent().unwrap()).unwrap();
    assert!(store.open_object(&ObjectId::of(b"away")).unwrap().is_none());
    assert!(store.put(&b"away"[..], None, None).is_err());

    let objects = store.folder().join("objects");
    let shard = store.object_path(&kept).parent().unwrap().to_owned();
    let strangers = [
        shard.join(".DS_Store"),
        shard.join(kept.to_string().to_uppercase()),
        shard.join(format!("{kept}.tmp")),
        shard.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")),
        // A good name in the wrong folder.
        shard.join(format!(
            "{}{}",
            if kept.to_string().starts_with("00") {
                "01"
            } else {
                "00"
            },
            "0".repeat(62)
        )),
        objects.join("AB"),
        objects.join("+1"),
        objects.join("index"),
    ];
    for path in &strangers {
        fs::write(path, b"stranger").unwrap();
    }
    let report = store.reconcile().unwrap();
    for path in &strangers {
        assert!(report.strangers.contains(path), "{}", path.display());
        assert_eq!(
            fs::read(path).unwrap(),
            b"stranger",
            "strangers are left alone"
        );
    }
    let mut damaged: Vec<_> = report.damaged.iter().map(|damaged| damaged.id).collect();
    let mut expected: Vec<_> = [&b"link"[..], b"dangling", b"folder", b"pipe"]
        .map(ObjectId::of)
        .to_vec();
    damaged.sort();
    expected.sort();
    assert_eq!(damaged, expected);
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
    assert_eq!(
        (report.objects, store.usage().unwrap().object_bytes),
        (1, 4)
    );
    // With the strange things out of the way, the true ones come in.
    put(&store, b"link");
    assert_eq!(read(&store, &ObjectId::of(b"link")).unwrap(), b"link");
}

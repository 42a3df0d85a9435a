//! Objects: put, adopt, open, evict, pin; the lock, the index and its loss, damage, hostile names.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::Barrier;

use mediafs_cache::{CacheError, Eviction, ObjectId, PinOwner, Store, StoreOptions, Verified};
use support::*;

fn owner(name: &str) -> PinOwner {
    PinOwner::new(name).unwrap()
}

#[test]
fn what_is_put_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("deep/cache");
    let sounds: Vec<_> = [0, 1, 4095, 4096, 300_000]
        .iter()
        .map(|&n| sound(n as u64, n))
        .collect();
    {
        let store = Store::open(&cache, options(1 << 20)).unwrap();
        assert!(store.opening().created && !store.opening().needs_reconcile);
        for bytes in &sounds {
            assert_eq!(put(&store, bytes), ObjectId::of(bytes));
        }
        assert_books_agree(&store);
    }
    let store = Store::open(&cache, options(1 << 20)).unwrap();
    assert_eq!(store.opening(), &{
        let mut as_left = store.opening().clone();
        (
            as_left.created,
            as_left.index_lost,
            as_left.pins_lost,
            as_left.needs_reconcile,
        ) = (false, false, false, false);
        as_left
    });
    for bytes in &sounds {
        assert_eq!(read(&store, &ObjectId::of(bytes)).as_ref(), Some(bytes));
    }
    assert_eq!(store.usage().unwrap().objects, 5);
    assert_books_agree(&store);
}

#[cfg(unix)]
#[test]
fn objects_are_read_only_files_that_no_other_name_leads_to() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (folder, store) = new_store(1 << 20);
    let source = folder.path().join("kick.wav");
    fs::write(&source, b"kick").unwrap();
    let adopted = store.adopt(&File::open(&source).unwrap(), None).unwrap();
    let meta = adopted.file().metadata().unwrap();
    assert_eq!(
        (meta.permissions().mode() & 0o777, meta.nlink()),
        (0o444, 1)
    );
    assert_ne!(
        meta.ino(),
        fs::metadata(&source).unwrap().ino(),
        "not the file of another program"
    );
    assert_eq!(
        fs::metadata(store.folder()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    // The source changes; the object does not.
    fs::write(&source, b"kack").unwrap();
    assert_eq!(read(&store, &adopted.id()).unwrap(), b"kick");
}

#[test]
fn adopting_something_else_than_expected_leaves_nothing() {
    let (folder, store) = new_store(1 << 20);
    let source = folder.path().join("kick.wav");
    fs::write(&source, b"kack").unwrap();
    let expected = ObjectId::of(b"kick");
    let error = store
        .adopt(&File::open(&source).unwrap(), Some(&expected))
        .unwrap_err();
    assert!(
        matches!(error, CacheError::WrongBytes { expected: e, actual } if e == expected && actual == ObjectId::of(b"kack"))
    );
    assert_eq!(store.usage().unwrap().used(), 0);
    assert_books_agree(&store);
    let folder_itself = File::open(folder.path()).unwrap();
    assert!(matches!(
        store.adopt(&folder_itself, None),
        Err(CacheError::Io { .. })
    ));
    assert_books_agree(&store);
}

/// Gives some bytes, then fails.
struct Breaks(usize);

impl Read for Breaks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the cable was pulled"));
        }
        let count = self.0.min(buffer.len());
        self.0 -= count;
        Ok(count)
    }
}

#[test]
fn a_source_that_breaks_leaves_nothing() {
    let (_folder, store) = new_store(1 << 20);
    for size in [None, Some(500_000), Some(10)] {
        let error = store.put(Breaks(400_000), size, None).unwrap_err();
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("cable"),
            "{error}"
        );
        assert_eq!(store.usage().unwrap().used(), 0);
        assert_books_agree(&store);
    }
}

#[test]
fn a_staged_file_counts_while_it_is_written_and_never_more_than_the_quota() {
    let (_folder, store) = new_store(1000);
    let mut staged = store.stage(None).unwrap();
    staged.write_all(&[1; 600]).unwrap();
    assert_eq!(store.usage().unwrap().used(), 600);
    let error = staged.write_all(&[2; 600]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    staged.write_all(&[3; 400]).unwrap();
    let object = staged.commit(None).unwrap();
    assert_eq!(object.size(), 1000);
    assert_eq!(
        object.id(),
        ObjectId::of(&[[1; 600].as_slice(), &[3; 400]].concat()),
        "nothing of the refused piece is in it"
    );
    drop(object);
    assert_books_agree(&store);
    assert!(matches!(
        store.stage(Some(1001)),
        Err(CacheError::TooLarge {
            size: 1001,
            quota: 1000
        })
    ));
    drop(store.stage(Some(1000)).unwrap());
    assert_eq!(
        store.usage().unwrap().used(),
        0,
        "the reservation of a dropped one is given back; the object had to go for it"
    );
}

#[test]
fn the_least_recently_used_goes_first() {
    let (_folder, store) = new_store(400);
    let ids: Vec<_> = (0..4).map(|seed| put(&store, &sound(seed, 100))).collect();
    // Now the first is the latest.
    drop(store.open_object(&ids[0]).unwrap());
    put(&store, &sound(9, 150));
    let there: Vec<_> = ids.iter().map(|id| store.contains(id).unwrap()).collect();
    assert_eq!(there, [true, false, false, true]);
    assert_books_agree(&store);
}

#[test]
fn the_order_of_use_outlives_the_process_that_used() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<_> = {
        let store = Store::open(folder.path(), options(300)).unwrap();
        let ids = (0..3)
            .map(|seed| put(&store, &sound(seed, 100)))
            .collect::<Vec<_>>();
        drop(store.open_object(&ids[0]).unwrap());
        ids
    };
    let store = Store::open(folder.path(), options(300)).unwrap();
    put(&store, &sound(9, 100));
    assert_eq!(
        ids.iter()
            .map(|id| store.contains(id).unwrap())
            .collect::<Vec<_>>(),
        [true, false, true]
    );
}

#[test]
fn pinned_and_open_objects_stay_and_nothing_goes_in_vain() {
    let (_folder, store) = new_store(300);
    let ids: Vec<_> = (0..3).map(|seed| put(&store, &sound(seed, 100))).collect();
    let mut wants: Vec<_> = vec![owner("project:1"), owner("user")];
    assert_eq!(store.pin(&wants[0], &ids[..1]).unwrap(), []);
    store.pin(&wants[1], &ids[..1]).unwrap();
    let open = store.open_object(&ids[1]).unwrap().unwrap();
    assert_eq!(store.usage().unwrap().pinned_bytes, 100);

    let error = store.put(&sound(7, 200)[..], Some(200), None).unwrap_err();
    assert!(
        matches!(
            error,
            CacheError::QuotaFull {
                size: 200,
                quota: 300,
                used: 300
            }
        ),
        "{error}"
    );
    assert!(store.contains(&ids[2]).unwrap(), "nothing goes in vain");
    assert_eq!(store.evict(&ids[0]).unwrap(), Eviction::Pinned);
    assert_eq!(store.evict(&ids[1]).unwrap(), Eviction::InUse);
    assert_eq!(
        store.evict(&ObjectId::of(b"never")).unwrap(),
        Eviction::Absent
    );
    assert_eq!(store.evict(&ids[2]).unwrap(), Eviction::Evicted);

    // One owner less is not enough, both are.
    store.unpin(&wants.remove(0), &ids[..1]).unwrap();
    assert_eq!(store.evict(&ids[0]).unwrap(), Eviction::Pinned);
    store.unpin_all(&wants[0]).unwrap();
    assert_eq!(store.pin_owners().unwrap(), []);
    assert_eq!(store.evict(&ids[0]).unwrap(), Eviction::Evicted);
    drop(open);
    assert_eq!(store.evict_bytes(u64::MAX).unwrap(), 100);
    assert_eq!(store.usage().unwrap().used(), 0);
    assert_books_agree(&store);
}

#[test]
fn what_is_pinned_before_it_arrives_stays_when_it_does() {
    let (_folder, store) = new_store(200);
    let bytes = sound(1, 100);
    let id = ObjectId::of(&bytes);
    assert_eq!(
        store.pin(&owner("project:1"), &[id]).unwrap(),
        [id],
        "it is told that it is not there yet"
    );
    put(&store, &bytes);
    assert_eq!(store.usage().unwrap().pinned_bytes, 100);
    put(&store, &sound(2, 100));
    put(&store, &sound(3, 100));
    assert!(store.contains(&id).unwrap());
    assert_eq!(store.owners_of(&id).unwrap(), [owner("project:1")]);
    assert_eq!(store.pins_of(&owner("project:1")).unwrap(), [id]);
}

#[test]
fn names_of_owners_have_bounds() {
    assert!(PinOwner::new("").is_err());
    assert!(PinOwner::new("x".repeat(PinOwner::LIMIT + 1)).is_err());
    let (_folder, store) = new_store(100);
    let odd = owner("'; DROP TABLE pins; --\u{0}\n\u{202e}ä");
    store.pin(&odd, &[ObjectId::of(b"x")]).unwrap();
    assert_eq!(store.pin_owners().unwrap(), [odd]);
}

#[test]
fn a_lowered_quota_evicts_what_may_go() {
    let (_folder, store) = new_store(300);
    let ids: Vec<_> = (0..3).map(|seed| put(&store, &sound(seed, 100))).collect();
    store.pin(&owner("user"), &ids[..2]).unwrap();
    store.set_quota(50).unwrap();
    assert_eq!(
        ids.iter()
            .map(|id| store.contains(id).unwrap())
            .collect::<Vec<_>>(),
        [true, true, false]
    );
    assert!(matches!(
        store.put(&b"x"[..], Some(1), None),
        Err(CacheError::QuotaFull { .. })
    ));
    store.set_quota(1000).unwrap();
    put(&store, b"x");
}

#[test]
fn many_threads_putting_the_same_bytes_make_one_object() {
    let (_folder, store) = new_store(1 << 20);
    let bytes = sound(1, 50_000);
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..5 {
                    let object = store.put(&bytes[..], None, None).unwrap();
                    let mut first = [0; 16];
                    object.read_at(&mut first, 0).unwrap();
                    assert_eq!(first, bytes[..16]);
                }
            });
        }
    });
    assert_eq!(store.usage().unwrap().objects, 1);
    assert_eq!(store.usage().unwrap().used(), 50_000);
    assert_books_agree(&store);
}

/// Puts, opens and evictions of few objects at once: what is open can always be read to its end, and the books agree
/// when all is done.
#[test]
fn threads_that_put_open_and_evict_never_see_half_an_object() {
    let (_folder, store) = new_store(5 * 10_000);
    let sounds: Vec<_> = (0..8).map(|seed| sound(seed, 10_000)).collect();
    let seen = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4usize {
            let (store, sounds, seen) = (&store, &sounds, &seen);
            scope.spawn(move || {
                for round in 0..60 {
                    let bytes = &sounds[(round * 3 + worker * 5) % sounds.len()];
                    match worker {
                        0 | 1 => {
                            _ = store
                                .put(&bytes[..], Some(10_000), None)
                                .map_err(|error| assert!(error.is_full(), "{error}"))
                        }
                        2 => _ = store.evict(&ObjectId::of(bytes)).unwrap(),
                        _ => {}
                    }
                    if let Some(found) = read(store, &ObjectId::of(bytes)) {
                        assert!(&found == bytes);
                        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    assert!(store.usage().unwrap().used() <= 50_000);
                }
            });
        }
    });
    assert!(
        seen.load(std::sync::atomic::Ordering::Relaxed) > 0,
        "nothing was ever there to read"
    );
    assert_books_agree(&store);
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let (_folder, store) = new_store(100);
    let error = Store::open(store.folder(), options(100)).unwrap_err();
    assert!(
        matches!(error, CacheError::Locked { holder: Some(pid), .. } if pid == std::process::id()),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(&std::process::id().to_string()),
        "{error}"
    );
    // An open object keeps the store open; with it the lock goes.
    let object = store.put(&b"x"[..], None, None).unwrap();
    let folder = store.folder().to_owned();
    drop(store);
    assert!(matches!(
        Store::open(&folder, options(100)),
        Err(CacheError::Locked { .. })
    ));
    drop(object);
    Store::open(&folder, options(100)).unwrap();
}

#[test]
fn a_folder_with_other_things_in_it_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("temp")).unwrap();
    fs::write(folder.path().join("temp/song.wav"), b"mine").unwrap();
    assert!(matches!(
        Store::open(folder.path(), options(100)),
        Err(CacheError::NotACache { .. })
    ));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing was added"
    );
    assert_eq!(
        fs::read(folder.path().join("temp/song.wav")).unwrap(),
        b"mine"
    );
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(
        Store::open(&file, options(100)),
        Err(CacheError::Io { .. })
    ));
}

#[test]
fn a_creation_that_was_interrupted_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["objects", "temp"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    for name in ["lock", "CACHEDIR.TAG.new", "pins.sqlite"] {
        fs::write(folder.path().join(name), b"").unwrap();
    }
    let store = Store::open(folder.path(), options(100)).unwrap();
    assert!(
        store.opening().created && !store.opening().pins_lost && !store.opening().needs_reconcile
    );
    put(&store, b"x");
}

#[test]
fn a_newer_version_is_refused_and_nothing_changed() {
    for name in ["index.sqlite", "pins.sqlite"] {
        let (folder, store) = new_store(100);
        let cache = store.folder().to_owned();
        drop(store);
        let db = rusqlite::Connection::open(cache.join(name)).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let before = fs::read(cache.join(name)).unwrap();
        let error = Store::open(&cache, options(100)).unwrap_err();
        assert!(
            matches!(&error, CacheError::Newer { path } if path.ends_with(name)),
            "{error:?}"
        );
        assert!(error.to_string().contains("update mediafs"));
        assert_eq!(fs::read(cache.join(name)).unwrap(), before);
        drop(folder);
    }
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
    fs::remove_file(store.object_path(&ids[0])).unwrap();
    let stray = sound(77, 123);
    let place = store.object_path(&ObjectId::of(&stray));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, &stray).unwrap();
    fs::remove_file(store.object_path(&ids[1])).unwrap();
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
    fs::remove_file(&path).unwrap();
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
fn what_was_set_aside_counts_and_goes_first() {
    let (_folder, store) = new_store(300);
    let ids: Vec<_> = (0..3).map(|seed| put(&store, &sound(seed, 100))).collect();
    fs::remove_file(store.object_path(&ids[2])).unwrap();
    fs::write(store.object_path(&ids[2]), sound(99, 100)).unwrap();
    assert!(matches!(
        store.verify(&ids[2]).unwrap(),
        Verified::Damaged(_)
    ));
    assert_eq!(store.usage().unwrap().used(), 300);
    put(&store, &sound(5, 100));
    assert!(store.contains(&ids[0]).unwrap() && store.contains(&ids[1]).unwrap());
    assert_eq!(store.usage().unwrap().damaged_bytes, 0);
    assert_books_agree(&store);
}

#[test]
fn an_object_of_the_wrong_size_is_replaced_when_it_is_put_again() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 100);
    let id = put(&store, &bytes);
    fs::remove_file(store.object_path(&id)).unwrap();
    fs::write(store.object_path(&id), &bytes[..50]).unwrap();
    put(&store, &bytes);
    assert_eq!(read(&store, &id).unwrap(), bytes);
    assert_eq!(store.usage().unwrap().damaged_bytes, 50);
    fs::remove_file(store.object_path(&id)).unwrap();
    put(&store, &bytes);
    assert_eq!(read(&store, &id).unwrap(), bytes);
    assert_books_agree(&store);
}

#[cfg(unix)]
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

#[test]
fn the_free_space_floor_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::with(1000);
    let options = StoreOptions {
        quota: Some(10_000),
        floor: Some(400),
        free_space: Arc::new(disk.clone()),
    };
    let store = Store::open(folder.path(), options).unwrap();
    let first = put(&store, &sound(1, 500));
    disk.set(500);
    let error = store.put(&sound(2, 200)[..], Some(200), None).unwrap_err();
    assert!(
        matches!(
            error,
            CacheError::DiskFull {
                size: 200,
                available: 500,
                floor: 400,
                ..
            }
        ) && error.is_full(),
        "{error:?}"
    );
    assert!(
        !store.contains(&first).unwrap(),
        "the least recently used was tried; on this disk it did not help"
    );
    // Others fill the disk: no eviction can help, and none is tried in vain.
    let kept = put(&store, &sound(3, 100));
    disk.set(0);
    assert!(matches!(
        store.put(&sound(4, 100)[..], None, None),
        Err(CacheError::DiskFull { .. })
    ));
    assert_eq!(
        read(&store, &kept).unwrap(),
        sound(3, 100),
        "what is in stays"
    );
    assert_books_agree(&store);
}

#[test]
fn the_defaults_come_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        free_space: Arc::new(FakeDisk::with(1 << 40)),
        ..StoreOptions::default()
    };
    let usage = Store::open(folder.path(), options)
        .unwrap()
        .usage()
        .unwrap();
    assert_eq!((usage.quota, usage.floor), (50_000_000_000, 1_000_000_000));
}

//! Room: quota, floor, what goes first, what stays because it is pinned or open.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use mediafs_cache::{CacheError, Eviction, ObjectId, PinOwner, Store, StoreOptions, Verified};
use std::fs;
use support::*;

fn owner(name: &str) -> PinOwner {
    PinOwner::new(name).unwrap()
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
    let folder = tempfile::tempdir().unwrap();
    let evicted = Arc::<Mutex<Vec<ObjectId>>>::default();
    let told = Arc::clone(&evicted);
    let options = StoreOptions {
        quota: Some(300),
        floor: Some(0),
        on_evicted: Some(Arc::new(move |id| told.lock().unwrap().push(id))),
        ..StoreOptions::default()
    };
    let store = Store::open(folder.path(), options).unwrap();
    let ids: Vec<_> = (0..3).map(|seed| put(&store, &sound(seed, 100))).collect();
    store.pin(&owner("user"), &ids[..2]).unwrap();
    store.set_quota(50).unwrap();
    assert_eq!(
        ids.iter()
            .map(|id| store.contains(id).unwrap())
            .collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(*evicted.lock().unwrap(), [ids[2]]);
    assert!(matches!(
        store.put(&b"x"[..], Some(1), None),
        Err(CacheError::QuotaFull { .. })
    ));
    store.set_quota(1000).unwrap();
    put(&store, b"x");
}

#[test]
fn the_free_space_floor_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FakeDisk::with(1000);
    let options = StoreOptions {
        quota: Some(10_000),
        floor: Some(400),
        free_space: Arc::new(disk.clone()),
        ..StoreOptions::default()
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

#[test]
fn what_was_set_aside_counts_and_goes_first() {
    let (_folder, store) = new_store(300);
    let ids: Vec<_> = (0..3).map(|seed| put(&store, &sound(seed, 100))).collect();
    remove_file(store.object_path(&ids[2]));
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

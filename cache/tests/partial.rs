//! Partial objects: what arrives, who may read it when, what is reserved, what is left.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use mediafs_cache::{Arrival, CacheError, Eviction, ObjectId, Partial, PartialSpec, Store};
use support::*;

fn fill(partial: &Partial, bytes: &[u8], range: std::ops::Range<usize>) {
    partial.write_at(range.start as u64, &bytes[range]).unwrap();
}

#[test]
fn ranges_arrive_in_any_order_and_become_an_object() {
    let (_folder, store) = new_store(1 << 20);
    let bytes = sound(1, 100_000);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    assert_eq!(
        store.usage().unwrap().reserved_bytes,
        100_000,
        "the whole of it from the start"
    );
    assert_eq!(partial.missing(0..u64::MAX), vec![0..100_000]);
    fill(&partial, &bytes, 60_000..100_000);
    fill(&partial, &bytes, 0..10);
    assert!(matches!(
        partial.complete(),
        Err(CacheError::Incomplete {
            arrived: 40_010,
            size: 100_000
        })
    ));
    let mut buffer = vec![0; 200_000];
    assert_eq!(partial.read_at(&mut buffer, 10).unwrap(), None);
    assert_eq!(
        partial.read_at(&mut buffer, 5).unwrap(),
        Some(5),
        "up to the gap"
    );
    assert_eq!(partial.read_at(&mut buffer, 99_000).unwrap(), Some(1000));
    assert_eq!(
        partial.read_at(&mut buffer, 100_000).unwrap(),
        Some(0),
        "the end"
    );
    assert_eq!(partial.read_at(&mut buffer, u64::MAX).unwrap(), Some(0));
    assert_books_agree(&store);
    fill(&partial, &bytes, 5..60_001);
    assert!(
        !store.contains(&ObjectId::of(&bytes)).unwrap(),
        "not before it is verified"
    );
    let object = partial.complete().unwrap();
    assert_eq!(object.id(), ObjectId::of(&bytes));
    assert_eq!(read(&store, &object.id()).unwrap(), bytes);
    assert_books_agree(&store);
    // Who has the partial object reads on, and its object stays for that.
    drop(object);
    assert_eq!(store.evict(&ObjectId::of(&bytes)).unwrap(), Eviction::InUse);
    assert_eq!(partial.read_at(&mut buffer, 0).unwrap(), Some(100_000));
    assert_eq!(buffer[..100_000], bytes);
    assert!(matches!(
        partial.write_at(0, b"x"),
        Err(CacheError::Closed { .. })
    ));
    assert!(matches!(partial.complete(), Err(CacheError::Closed { .. })));
    drop(partial);
    assert_eq!(
        store.evict(&ObjectId::of(&bytes)).unwrap(),
        Eviction::Evicted
    );
    assert_eq!(store.usage().unwrap().used(), 0);
}

#[test]
fn what_reaches_beyond_the_end_is_refused() {
    let (_folder, store) = new_store(1000);
    let partial = store
        .begin_partial(PartialSpec {
            key: "a".into(),
            size: 10,
            expected: None,
        })
        .unwrap();
    for offset in [5, 10, 11, u64::MAX] {
        assert!(
            matches!(
                partial.write_at(offset, &[0; 6]),
                Err(CacheError::OutOfBounds { .. })
            ),
            "{offset}"
        );
    }
    assert_eq!(partial.arrived_bytes(), 0);
    for key in [String::new(), "k".repeat(1025)] {
        assert!(matches!(
            store.begin_partial(PartialSpec {
                key,
                size: 1,
                expected: None
            }),
            Err(CacheError::BadName { .. })
        ));
    }
    let hostile = PartialSpec {
        key: "../../../etc/passwd\0\n".into(),
        size: 3,
        expected: None,
    };
    let partial = store.begin_partial(hostile).unwrap();
    partial.write_at(0, b"abc").unwrap();
    assert_eq!(partial.complete().unwrap().id(), ObjectId::of(b"abc"));
    assert_eq!(
        store
            .begin_partial(PartialSpec {
                key: "empty".into(),
                size: 0,
                expected: None
            })
            .unwrap()
            .complete()
            .unwrap()
            .size(),
        0
    );
}

#[test]
fn wrong_bytes_never_become_an_object_and_give_everything_back() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 400);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    let reader = partial.clone();
    fill(&partial, &sound(2, 400), 0..400);
    let actual = ObjectId::of(&sound(2, 400));
    assert!(
        matches!(partial.complete(), Err(CacheError::WrongBytes { actual: a, .. }) if a == actual)
    );
    assert_eq!(store.usage().unwrap().used(), 0);
    assert!(!store.contains(&actual).unwrap());
    assert!(
        matches!(
            reader.read_at(&mut [0; 4], 0),
            Err(CacheError::Closed { .. })
        ),
        "those bytes are not shown any more"
    );
    assert_books_agree(&store);
    // It can be fetched again though somebody still holds the failed one; both end without harm to the other.
    let again = store.begin_partial(spec("a", &bytes)).unwrap();
    assert_eq!(again.arrived_bytes(), 0);
    fill(&again, &bytes, 0..400);
    drop((partial, reader));
    assert_eq!(again.complete().unwrap().id(), ObjectId::of(&bytes));
    assert_books_agree(&store);
}

#[test]
fn dropped_or_discarded_it_leaves_nothing() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 600);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    fill(&partial, &bytes, 0..300);
    assert!(
        matches!(
            store.begin_partial(spec("b", &sound(2, 600))),
            Err(CacheError::QuotaFull { .. })
        ),
        "what is arriving is not evicted"
    );
    let clone = partial.clone();
    drop(partial);
    assert_eq!(
        store.usage().unwrap().used(),
        600,
        "not before the last handle is gone"
    );
    drop(clone);
    assert_eq!(store.usage().unwrap().used(), 0);
    assert_books_agree(&store);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    partial.keep();
    partial.discard().unwrap();
    assert_eq!(store.usage().unwrap().used(), 0);
    assert!(matches!(
        partial.write_at(0, b"x"),
        Err(CacheError::Closed { .. })
    ));
    drop(partial);
    assert_eq!(store.dormant_partials().unwrap(), []);
    assert_books_agree(&store);
}

#[test]
fn what_is_kept_is_gone_on_with_by_the_next_run() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 600);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    fill(&partial, &bytes, 100..200);
    fill(&partial, &bytes, 500..600);
    partial.keep();
    drop(partial);
    let cache = store.folder().to_owned();
    drop(store);

    let store = Store::open(&cache, options(1000)).unwrap();
    assert!(!store.opening().needs_reconcile);
    assert_eq!(store.usage().unwrap().reserved_bytes, 600);
    assert_eq!(store.dormant_partials().unwrap(), [spec("a", &bytes)]);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    assert_eq!(partial.missing(0..600), vec![0..100, 200..500]);
    fill(&partial, &bytes, 0..100);
    fill(&partial, &bytes, 200..500);
    assert_eq!(partial.complete().unwrap().id(), ObjectId::of(&bytes));
    drop(partial);
    assert_books_agree(&store);
}

#[test]
fn what_was_to_be_kept_and_is_no_longer_is_thrown_away() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 600);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    fill(&partial, &bytes, 100..200);
    partial.keep();
    partial.unkeep();
    drop(partial);
    assert_eq!(store.dormant_partials().unwrap(), []);
    assert_eq!(store.usage().unwrap().used(), 0);
    assert_books_agree(&store);
}

#[test]
fn another_size_or_name_under_the_same_key_begins_anew() {
    let (_folder, store) = new_store(1000);
    let (old, new) = (sound(1, 600), sound(2, 500));
    let partial = store.begin_partial(spec("a", &old)).unwrap();
    fill(&partial, &old, 0..600);
    assert!(matches!(
        store.begin_partial(spec("a", &new)),
        Err(CacheError::KeyInUse { .. })
    ));
    assert_eq!(
        store
            .begin_partial(spec("a", &old))
            .unwrap()
            .arrived_bytes(),
        600,
        "the same one"
    );
    partial.keep();
    drop(partial);
    let partial = store.begin_partial(spec("a", &new)).unwrap();
    assert_eq!(
        (partial.arrived_bytes(), store.usage().unwrap().used()),
        (0, 500)
    );
    assert_books_agree(&store);
}

#[test]
fn what_nobody_fills_is_evicted_in_the_order_of_use() {
    let (_folder, store) = new_store(300);
    let first = put(&store, &sound(1, 100));
    let partial = store.begin_partial(spec("a", &sound(2, 100))).unwrap();
    partial.keep();
    drop(partial);
    let last = put(&store, &sound(3, 100));
    put(&store, &sound(4, 150));
    assert_eq!(
        (
            store.contains(&first).unwrap(),
            store.contains(&last).unwrap()
        ),
        (false, true)
    );
    assert_eq!(store.dormant_partials().unwrap(), []);
    assert_books_agree(&store);
}

#[test]
fn equal_bytes_that_came_another_way_are_not_stored_twice() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 400);
    let partial = store
        .begin_partial(PartialSpec {
            key: "a".into(),
            size: 400,
            expected: None,
        })
        .unwrap();
    fill(&partial, &bytes, 0..400);
    put(&store, &bytes);
    let object = partial.complete().unwrap();
    assert_eq!(partial.read_at(&mut [0; 9], 0).unwrap(), Some(9));
    drop((partial, object));
    assert_eq!(
        (
            store.usage().unwrap().objects,
            store.usage().unwrap().used()
        ),
        (1, 400)
    );
    assert_books_agree(&store);
}

/// Writers that disagree about the same bytes: whoever is first wins, and what was read once is read ever after.
#[test]
fn a_byte_that_was_read_never_changes() {
    let (_folder, store) = new_store(1 << 20);
    let size = 200_000u64;
    let partial = store
        .begin_partial(PartialSpec {
            key: "a".into(),
            size,
            expected: None,
        })
        .unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1u8..=4)
            .map(|value| {
                let partial = &partial;
                scope.spawn(move || {
                    for step in 0..40u64 {
                        let at = (step * 5000 + u64::from(value) * 37_000) % size;
                        let length = usize::try_from((size - at).min(7000)).unwrap();
                        partial.write_at(at, &vec![value; length]).unwrap();
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let (mut seen, mut buffer) = (vec![0u8; 200_000], vec![0u8; 4096]);
            let mut reads = 0u64;
            loop {
                let last = done.load(Ordering::SeqCst);
                for at in (0..size).step_by(1000) {
                    let Some(count) = partial.read_at(&mut buffer, at).unwrap() else {
                        continue;
                    };
                    for (offset, &byte) in buffer[..count].iter().enumerate() {
                        let known = &mut seen[usize::try_from(at).unwrap() + offset];
                        assert_ne!(byte, 0, "a hole was read as if it had arrived");
                        assert!(
                            *known == 0 || *known == byte,
                            "a byte changed after it was read"
                        );
                        *known = byte;
                    }
                    reads += 1;
                }
                if last {
                    return reads;
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        // The last round came after all writers: it read wherever something has arrived.
        let gaps = partial.missing(0..size);
        let readable = (0..size).step_by(1000);
        let readable = readable.filter(|at| !gaps.iter().any(|gap| gap.contains(at)));
        let readable = u64::try_from(readable.count()).unwrap();
        assert!(readable > 0 && reader.join().unwrap() >= readable);
    });
    for gap in partial.missing(0..size) {
        let length = usize::try_from(gap.end - gap.start).unwrap();
        partial.write_at(gap.start, &vec![9; length]).unwrap();
    }
    partial.complete().unwrap();
    assert_books_agree(&store);
}

#[test]
fn those_who_wait_are_told() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 100);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    assert_eq!(
        partial.wait(0..10, Duration::from_millis(1)),
        Arrival::TimedOut
    );
    let (send, told) = mpsc::channel();
    let subscribe = |range: std::ops::Range<u64>, name: &'static str| {
        let send = send.clone();
        partial.when_arrived(range, move |arrival| send.send((name, arrival)).unwrap())
    };
    let subscriptions = [
        subscribe(0..50, "first half"),
        subscribe(40..60, "middle"),
        subscribe(90..10_000, "to the end"),
    ];
    let withdrawn = subscribe(0..10, "withdrawn");
    drop(withdrawn);
    fill(&partial, &bytes, 0..45);
    assert!(told.try_recv().is_err());
    fill(&partial, &bytes, 45..70);
    let mut two = [told.try_recv().unwrap(), told.try_recv().unwrap()];
    two.sort_by_key(|(name, _)| *name);
    assert_eq!(
        two,
        [
            ("first half", Arrival::Arrived),
            ("middle", Arrival::Arrived)
        ]
    );
    drop(subscribe(10..20, "there already"));
    assert_eq!(
        told.try_recv().unwrap(),
        ("there already", Arrival::Arrived)
    );
    let waiting = partial.clone();
    let waiter = std::thread::spawn(move || waiting.wait(0..100, Duration::from_secs(60)));
    partial.discard().unwrap();
    assert_eq!(waiter.join().unwrap(), Arrival::Ended);
    assert_eq!(told.try_recv().unwrap(), ("to the end", Arrival::Ended));
    assert!(
        told.try_recv().is_err(),
        "each is told once, and who withdrew never"
    );
    drop(subscriptions);
    assert_eq!(partial.wait(0..1, Duration::ZERO), Arrival::Ended);
}

#[test]
fn a_damaged_map_claims_nothing() {
    for how in [
        "flipped",
        "cut",
        "gone",
        "data cut",
        "data gone",
        "a folder",
    ] {
        let (_folder, store) = new_store(1000);
        let bytes = sound(1, 600);
        let partial = store.begin_partial(spec("a", &bytes)).unwrap();
        fill(&partial, &bytes, 0..600);
        partial.keep();
        drop(partial);
        let (mut map, mut data) = (PathBuf::new(), PathBuf::new());
        for entry in fs::read_dir(store.folder().join("partial")).unwrap() {
            let path = entry.unwrap().path();
            let slot = if path.extension().unwrap() == "map" {
                &mut map
            } else {
                &mut data
            };
            *slot = path;
        }
        match how {
            "flipped" => {
                let mut content = fs::read(&map).unwrap();
                content[20] ^= 1;
                fs::write(&map, content).unwrap();
            }
            "cut" => fs::write(&map, &fs::read(&map).unwrap()[..30]).unwrap(),
            "gone" => fs::remove_file(&map).unwrap(),
            "data cut" => fs::write(&data, &bytes[..599]).unwrap(),
            "data gone" => fs::remove_file(&data).unwrap(),
            _ => {
                fs::remove_file(&map).unwrap();
                fs::create_dir(&map).unwrap();
            }
        }
        if how == "a folder" {
            let report = store.reconcile().unwrap();
            assert_eq!(
                (report.strangers, report.partials_removed),
                (vec![map.clone()], 1)
            );
            assert!(
                !map.exists() && store.folder().join("damaged/partial").is_dir(),
                "out of the way"
            );
        } else if how == "flipped" {
            let report = store.reconcile().unwrap();
            assert_eq!((report.partials_removed, report.bytes_released), (1, 600));
            assert_eq!(store.usage().unwrap().used(), 0);
        }
        let partial = store.begin_partial(spec("a", &bytes)).unwrap();
        assert_eq!(partial.arrived_bytes(), 0, "{how}");
        fill(&partial, &bytes, 0..600);
        partial.complete().unwrap();
        drop(partial);
        assert_books_agree(&store);
    }
}

#[test]
fn partial_objects_outlive_the_loss_of_the_index() {
    let (_folder, store) = new_store(1000);
    let bytes = sound(1, 600);
    let partial = store.begin_partial(spec("a", &bytes)).unwrap();
    fill(&partial, &bytes, 0..400);
    partial.keep();
    drop(partial);
    let cache = store.folder().to_owned();
    drop(store);
    fs::remove_file(cache.join("index.sqlite")).unwrap();
    let store = Store::open(&cache, options(1000)).unwrap();
    store.reconcile().unwrap();
    assert_eq!(store.usage().unwrap().reserved_bytes, 600);
    assert_eq!(
        store
            .begin_partial(spec("a", &bytes))
            .unwrap()
            .arrived_bytes(),
        400
    );
    drop(store);
}

#[test]
fn many_threads_filling_and_dropping_the_same_key_keep_the_books() {
    let (_folder, store) = new_store(2000);
    let bytes = sound(1, 300);
    std::thread::scope(|scope| {
        for worker in 0..4u64 {
            let (store, bytes) = (&store, &bytes);
            scope.spawn(move || {
                for round in 0..30 {
                    let partial = store.begin_partial(spec("a", bytes)).unwrap();
                    match (worker + round) % 4 {
                        0 => partial.keep(),
                        1 => _ = partial.discard(),
                        2 => {
                            let _ = partial.write_at(0, bytes);
                            let _ = partial.complete();
                        }
                        _ => _ = partial.write_at(10, &bytes[10..200]),
                    }
                    drop(partial);
                    let _ = store.evict(&ObjectId::of(bytes)).unwrap();
                }
            });
        }
    });
    assert_books_agree(&store);
    store.evict_bytes(u64::MAX).unwrap();
    assert_eq!(store.usage().unwrap().used(), 0);
}

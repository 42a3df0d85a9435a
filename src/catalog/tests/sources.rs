//! Storage that is not trusted: what is true of its items as it comes and goes.

use std::collections::HashSet;

use super::*;
use crate::model::{
    Availability, ObjectHash, Playable, SourceKind, SourceNo, SourceState, Storage,
};

const HASH: ObjectHash = ObjectHash([7; 32]);

fn red(kind: SourceKind) -> NewSource {
    NewSource {
        kind,
        identity: "uuid:1234".to_owned(),
        name: "RED".to_owned(),
        provider: None,
        path: "/media/red".into(),
    }
}

/// A bench whose library lies on a source, at `Samples` below its root; the source is not there yet.
fn bench_on(kind: SourceKind) -> (Bench, SourceNo) {
    let bench = Bench::new();
    let source = bench.write(|w| {
        let source = w.add_source(&red(kind), Nanoseconds(1))?;
        w.set_base_source(bench.library.row, Some((source.row, Path::new("Samples"))))?;
        Ok(source.row)
    });
    (bench, source)
}

fn state(bench: &Bench, item: ItemNo) -> (Availability, Playable) {
    let row = bench.item(item);
    (row.availability, row.playable)
}

fn cache_of(bench: &Bench) -> Arc<Mutex<HashSet<ObjectHash>>> {
    let cache = Arc::new(Mutex::new(HashSet::new()));
    let has = Arc::clone(&cache);
    bench
        .catalog
        .set_cache(Box::new(move |hash| has.lock().contains(&hash)));
    cache
}

#[test]
fn a_disk_comes_and_goes_with_all_its_items_at_once() {
    let (bench, source) = bench_on(SourceKind::Volume);
    let (_, item) = bench.sound("a.wav", evidence(10));
    let id = bench.item(item).media_id;
    assert_eq!(
        state(&bench, item),
        (Availability::ExternalOffline, Playable::Silence)
    );
    bench.told();
    bench.catalog.set_source_state(source, SourceState::Online);
    bench.catalog.set_source_state(source, SourceState::Online);
    let change = Change::Source {
        row: source,
        state: SourceState::Online,
    };
    assert_eq!(bench.told(), [change], "told once, and of no item");
    let online = (Availability::ExternalOnline, Playable::Partial);
    assert_eq!(state(&bench, item), online);
    // However it is asked for.
    let reader = bench.reader();
    let rows = [
        reader.item_by_id(&id).unwrap().unwrap(),
        reader.items_with_id(&id).unwrap().remove(0),
        reader.item_in_scope(&id, None).unwrap().unwrap(),
        reader
            .child_place(bench.top(), OsStr::new("a.wav"))
            .unwrap()
            .unwrap()
            .1
            .unwrap(),
        reader
            .list_places(bench.top(), 0, 9)
            .unwrap()
            .remove(0)
            .1
            .unwrap(),
    ];
    for row in rows {
        assert_eq!((row.availability, row.playable), online);
    }
    assert_eq!(
        reader.media_item(item).unwrap().unwrap().availability,
        online.0
    );
    for gone in [
        SourceState::Suspended,
        SourceState::Ejected,
        SourceState::Absent,
    ] {
        bench.catalog.set_source_state(source, gone);
        assert_eq!(
            state(&bench, item).0,
            Availability::ExternalOffline,
            "{gone:?}"
        );
    }
    // A new process knows nothing of how its sources are.
    bench.catalog.set_source_state(source, SourceState::Online);
    let again = Catalog::open(bench.home.path()).unwrap();
    let row = again.reader().unwrap().item(item).unwrap().unwrap();
    assert_eq!(row.availability, Availability::ExternalOffline);
    assert!(again.check().unwrap().is_empty());
}

#[test]
fn what_is_in_the_cache_plays_wherever_its_original_is() {
    let (bench, source) = bench_on(SourceKind::Volume);
    let cache = cache_of(&bench);
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.catalog.set_source_state(source, SourceState::Online);
    bench.write(|w| w.record_hash(item, 1, HASH, None));
    assert_eq!(state(&bench, item).1, Playable::Partial);
    assert_eq!(bench.reader().at_hand(&bench.item(item)).unwrap(), None);
    cache.lock().insert(HASH);
    bench.told();
    bench.catalog.object_changed(HASH).unwrap();
    assert!(
        matches!(bench.told().as_slice(), [Change::Item { row, swapped: true, .. }] if *row == item)
    );
    let bytes = Playable::Bytes;
    assert_eq!(state(&bench, item), (Availability::ExternalOnline, bytes));
    let at_hand = bench.reader().at_hand(&bench.item(item)).unwrap();
    assert_eq!(at_hand, Some(AtHand::Object(HASH)));
    bench.catalog.set_source_state(source, SourceState::Absent);
    assert_eq!(state(&bench, item), (Availability::ExternalOffline, bytes));
    bench.gone(place);
    assert_eq!(state(&bench, item), (Availability::Missing, bytes));
    cache.lock().clear();
    assert_eq!(
        state(&bench, item),
        (Availability::Missing, Playable::Silence)
    );
    // Another content is not what the cache has.
    cache.lock().insert(HASH);
    bench.catalog.set_source_state(source, SourceState::Online);
    bench.see("a.wav", evidence(20));
    assert_eq!(
        state(&bench, item),
        (Availability::ExternalOnline, Playable::Error),
        "nothing is known of it yet"
    );
}

#[test]
fn the_same_bytes_on_trusted_storage_play_as_well() {
    let (bench, source) = bench_on(SourceKind::Volume);
    let (_, item) = bench.sound("a.wav", evidence(10));
    bench.write(|w| w.record_hash(item, 1, HASH, None));
    let local = bench.write(|w| w.add_library("Local", Path::new("/srv/local")));
    let twin = bench.write(|w| {
        let place = place_of(w.observe(local.top, OsStr::new("b.wav"), &file(evidence(10)))?);
        w.record_probe(place, 1, &sound_record())
    });
    let twin = twin.unwrap();
    bench.write(|w| w.record_hash(twin, 1, HASH, None));
    assert_eq!(state(&bench, twin), (Availability::Local, Playable::Bytes));
    assert_eq!(
        state(&bench, item),
        (Availability::ExternalOffline, Playable::Bytes)
    );
    let at_hand = bench.reader().at_hand(&bench.item(item)).unwrap();
    assert!(
        matches!(at_hand, Some(AtHand::Twin(place)) if Some(place.row) == bench.item(twin).place)
    );
    // Of two files with the bytes of a missing sound, the one on trusted storage is lent.
    bench.catalog.set_source_state(source, SourceState::Online);
    bench.gone(bench.item(item).place.unwrap());
    assert_eq!(state(&bench, item), (Availability::Local, Playable::Bytes));
}

#[test]
fn a_source_that_returns_elsewhere_takes_its_bases_along() {
    let (bench, source) = bench_on(SourceKind::Volume);
    let (_, item) = bench.sound("a.wav", evidence(10));
    bench.catalog.set_source_state(source, SourceState::Online);
    let whole = |bench: &Bench| bench.reader().media_item(item).unwrap().unwrap();
    let before = whole(&bench);
    assert_eq!(
        before.storage,
        Storage::Volume {
            volume: "uuid:1234".to_owned(),
            path: "Samples/a.wav".to_owned()
        }
    );
    bench.write(|w| w.source_seen(source, Path::new("/media/red1"), Nanoseconds(5)));
    let after = whole(&bench);
    assert_eq!(after.storage, before.storage, "the record stays");
    assert_eq!(
        after.resolved_path.map(with_slashes).as_deref(),
        Some("/media/red1/Samples/a.wav")
    );
    let row = bench.reader().source(source).unwrap().unwrap();
    assert_eq!((row.path, row.seen), ("/media/red1".into(), Nanoseconds(5)));
    // The same disk is the same source.
    let same = bench.write(|w| w.add_source(&red(SourceKind::Volume), Nanoseconds(6)));
    assert_eq!(same.row, source);
    assert_eq!(bench.reader().items_on(source).unwrap(), (1, 1));
}

#[test]
fn what_is_online_only_is_an_item_that_nobody_has_read() {
    let (bench, source) = bench_on(SourceKind::Cloud);
    let place = place_of(bench.see("a.wav", evidence(10)));
    let item = bench.write(|w| {
        w.set_online_only(place, true)?;
        w.record_unread(place, &Kind::Audio)
    });
    let item = item.unwrap();
    bench.catalog.set_source_state(source, SourceState::Online);
    assert_eq!(
        state(&bench, item),
        (Availability::RemoteFetching, Playable::Error)
    );
    assert_eq!(
        bench.reader().unprobed(bench.library.row, 0, 9).unwrap(),
        []
    );
    // Its facts came with its bytes, which went again.
    bench.probe(place, &sound_record());
    assert_eq!(
        state(&bench, item),
        (Availability::RemoteFetching, Playable::Silence)
    );
    bench
        .catalog
        .set_source_state(source, SourceState::Suspended);
    assert_eq!(
        state(&bench, item),
        (Availability::RemoteOffline, Playable::Silence)
    );
    bench.catalog.set_source_state(source, SourceState::Online);
    bench.write(|w| w.set_online_only(place, false));
    assert_eq!(
        state(&bench, item),
        (Availability::ExternalOnline, Playable::Partial)
    );
    assert_eq!(
        bench.reader().unprobed(bench.library.row, 0, 9).unwrap(),
        [place]
    );
}

#[test]
fn what_stands_for_a_file_takes_nothing_from_it() {
    let (bench, source) = bench_on(SourceKind::Cloud);
    bench.catalog.set_source_state(source, SourceState::Online);
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.write(|w| w.record_arrival(place, 1, HASH, None));
    let stand_in = Evidence {
        inode: 5,
        size: 1,
        modified: Nanoseconds(evidence(10).modified.0 + 999),
        changed: Nanoseconds(0),
        ..evidence(10)
    };
    let see_stand_in = |evidence| {
        bench.write(|w| w.observe_stand_in(bench.top(), OsStr::new("a.wav"), &file(evidence)))
    };
    assert_eq!(see_stand_in(stand_in), Observed::Unchanged(place));
    bench.write(|w| w.set_online_only(place, true));
    assert_eq!(see_stand_in(stand_in), Observed::Unchanged(place));
    assert_eq!(bench.place(place).evidence, evidence(10));
    // The client brings it: as another file, with the time in whole seconds.
    let brought = Evidence {
        inode: 6,
        modified: stand_in.modified,
        ..evidence(10)
    };
    assert_eq!(bench.see("a.wav", brought), Observed::Unchanged(place));
    assert_eq!(bench.place(place).evidence, brought);
    assert_eq!(bench.item(item).generation, 1);
    assert_eq!(bench.reader().blake3(item).unwrap(), Some(HASH));
    // Another content has another time.
    let another = Evidence {
        modified: Nanoseconds(stand_in.modified.0 + 2_000_000_000),
        ..stand_in
    };
    assert_eq!(see_stand_in(another), Observed::Changed(place));
    assert_eq!(bench.reader().blake3(item).unwrap(), None);
}

#[test]
fn counts_are_of_what_is_true_now() {
    let (bench, source) = bench_on(SourceKind::Volume);
    let cache = cache_of(&bench);
    for (n, name) in ["a.wav", "b.wav", "c.wav"].into_iter().enumerate() {
        bench.sound(name, evidence(10 + n as u64));
    }
    let hashed = bench.reader().search_numbers("b.wav", 0, 1).unwrap()[0];
    bench.write(|w| w.record_hash(hashed, 1, HASH, None));
    cache.lock().insert(HASH);
    let counts = bench.reader().counts().unwrap();
    let offline = Availability::ExternalOffline;
    assert_eq!(
        counts.states,
        [
            (offline, Playable::Bytes, 1),
            (offline, Playable::Silence, 2)
        ]
    );
    assert_eq!(
        (counts.items, counts.unhashed),
        (3, 0),
        "hashed when they are fetched"
    );
    assert!(bench.reader().unhashed(0, 9).unwrap().is_empty());
    bench.catalog.set_source_state(source, SourceState::Online);
    let counts = bench.reader().counts().unwrap();
    let online = Availability::ExternalOnline;
    assert_eq!(
        counts.states,
        [(online, Playable::Bytes, 1), (online, Playable::Partial, 2)]
    );
    assert_eq!(bench.reader().items_on(source).unwrap(), (3, 2));
}

#[test]
fn files_referenced_on_a_source_are_of_a_base_of_its_own() {
    let (bench, source) = bench_on(SourceKind::Volume);
    let base = bench.write(|w| w.base_of_source(source));
    assert_eq!((base.kind, base.source), (BaseKind::Source, Some(source)));
    assert_eq!(base.path, Path::new("/media/red"));
    let again = bench.write(|w| w.base_of_source(source));
    assert_eq!(again.row, base.row);
    assert_eq!(bench.reader().source_of(base.row), Some(source));
}

#[test]
fn pins_are_wishes_that_follow_the_bytes() {
    let (bench, _) = bench_on(SourceKind::Volume);
    let (_, item) = bench.sound("a.wav", evidence(10));
    assert!(bench.write(|w| w.pin(item, USER)));
    assert!(!bench.write(|w| w.pin(item, USER)));
    assert!(bench.write(|w| w.pin(item, "project:1")));
    let reader = bench.reader();
    assert_eq!(reader.pins_of(item).unwrap(), ["project:1", USER]);
    assert_eq!(reader.pinned(0, 9).unwrap().len(), 1);
    assert!(reader.pinned_hashes(USER).unwrap().is_empty());
    bench.write(|w| w.record_arrival(bench.item(item).place.unwrap(), 1, HASH, None));
    assert_eq!(reader.pinned_hashes(USER).unwrap(), [HASH]);
    assert_eq!(reader.owners_of_bytes(HASH).unwrap(), ["project:1", USER]);
    assert!(bench.write(|w| w.unpin(item, USER)));
    assert!(!bench.write(|w| w.unpin(item, USER)));
    assert_eq!(reader.pin_owners().unwrap(), ["project:1"]);
    bench.write(|w| w.remove(item));
    assert!(reader.pin_owners().unwrap().is_empty());
    assert!(
        !bench.write(|w| w.pin(item, USER)),
        "what is removed is not pinned"
    );
}

#[test]
fn what_arrives_of_an_older_content_counts_for_nothing() {
    let (bench, source) = bench_on(SourceKind::Volume);
    cache_of(&bench).lock().insert(HASH);
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.catalog.set_source_state(source, SourceState::Online);
    bench.see("a.wav", evidence(20));
    assert!(!bench.write(|w| w.record_arrival(place, 1, HASH, None)));
    assert_eq!(state(&bench, item).1, Playable::Error);
    assert!(bench.write(|w| w.record_arrival(place, 2, HASH, None)));
    assert_eq!(state(&bench, item).1, Playable::Bytes);
}

/// A disk with many sounds comes back while another goes.
#[test]
fn who_takes_long_to_hear_of_one_source_holds_up_no_other() {
    let bench = Bench::new();
    let (many, other) = (SourceNo(1), SourceNo(2));
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    bench.catalog.listen(Box::new(move |changes| {
        if matches!(changes, [Change::Source { row, .. }] if *row == many) {
            let _ = held.lock().recv();
        }
    }));
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            bench.catalog.set_source_state(many, SourceState::Suspended);
        });
        while bench.catalog.source_state(many) != SourceState::Suspended {
            std::thread::yield_now();
        }
        scope.spawn(|| {
            bench
                .catalog
                .set_source_state(other, SourceState::Suspended);
            said.send(()).unwrap();
        });
        let told = heard.recv_timeout(std::time::Duration::from_secs(5));
        drop(go_on);
        assert!(told.is_ok(), "it waits for the other");
    });
}

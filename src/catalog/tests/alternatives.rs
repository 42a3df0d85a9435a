//! Items that live on in other files of the same bytes.

use super::*;
use crate::model::{Availability, ObjectHash, Playable, Storage};

const HASH: ObjectHash = ObjectHash([7; 32]);
const OTHER: ObjectHash = ObjectHash([8; 32]);

fn hash(bench: &Bench, item: ItemNo, hash: ObjectHash) {
    let generation = bench.item(item).generation;
    bench.write(|w| w.record_hash(item, generation, hash, None));
}

/// A copy: the same size, another inode and time.
fn copy_of(size: u64) -> Evidence {
    Evidence {
        inode: 900_000 + size,
        modified: Nanoseconds(1_700_000_000_500_000_000),
        ..evidence(size)
    }
}

fn lives_at(bench: &Bench, item: ItemNo) -> Option<String> {
    let row = bench.item(item);
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    let local = row.availability == Availability::Local && row.playable == Playable::Bytes;
    assert_eq!(local, whole.resolved_path.is_some());
    whole.resolved_path.map(with_slashes)
}

#[test]
fn a_sound_whose_file_goes_lives_on_in_a_known_copy() {
    let bench = Bench::new();
    let (place, item) = bench.sound("q.wav", evidence(10));
    let (copy, second) = bench.sound("copy.wav", copy_of(10));
    hash(&bench, item, HASH);
    hash(&bench, second, HASH);
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    let there = Storage::Reference {
        root: Some("Samples".to_owned()),
        path: "copy.wav".to_owned(),
    };
    assert_eq!(whole.alternatives, [there]);
    bench.told();
    bench.gone(place);
    assert_eq!(lives_at(&bench, item).unwrap(), "/srv/samples/copy.wav");
    let row = bench.item(item);
    // Programs see the same file: size, time and generation are its own.
    assert_eq!((row.generation, row.modified), (1, evidence(10).modified));
    assert!(
        bench.told().iter().any(
            |change| matches!(change, Change::Item { row, swapped: true, .. } if *row == item)
        )
    );
    // The copy has its own item; looking at its folder shows that one.
    let shown = bench
        .reader()
        .child_place(bench.top(), OsStr::new("copy.wav"));
    assert_eq!(shown.unwrap().unwrap().1.unwrap().row, second);
    // Back where it was: at home again.
    assert_eq!(bench.see("q.wav", evidence(10)), Observed::Returned(place));
    assert_eq!(lives_at(&bench, item).unwrap(), "/srv/samples/q.wav");
    // Gone again, and the copy changes: missing, with the facts of its own content.
    bench.gone(place);
    assert_eq!(bench.item(item).place, Some(copy));
    bench.see("copy.wav", copy_of(11));
    let row = bench.item(item);
    assert_eq!(
        (row.availability, row.playable, row.generation, row.size),
        (Availability::Missing, Playable::Silence, 1, 10)
    );
    assert_eq!(row.place, Some(place));
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_missing_sound_is_healed_when_its_bytes_are_found() {
    let bench = Bench::new();
    let (place, item) = bench.sound("q.wav", evidence(10));
    hash(&bench, item, HASH);
    bench.gone(place);
    assert_eq!(bench.item(item).availability, Availability::Missing);
    let (_, other) = bench.sound("other.wav", copy_of(10));
    hash(&bench, other, OTHER);
    assert_eq!(bench.item(item).availability, Availability::Missing);
    let (copy, second) = bench.sound("copy.wav", evidence(10));
    assert_eq!(bench.item(item).availability, Availability::Missing);
    hash(&bench, second, HASH);
    assert_eq!(lives_at(&bench, item).unwrap(), "/srv/samples/copy.wav");
    // The file moves, and the item with it; the file goes, and there is a third one.
    bench.write(|w| w.move_place(copy, bench.top(), OsStr::new("moved.wav"), &evidence(10)));
    assert_eq!(lives_at(&bench, item).unwrap(), "/srv/samples/moved.wav");
    let (_, third) = bench.sound("third.wav", copy_of(10));
    hash(&bench, third, HASH);
    bench.gone(copy);
    for item in [item, second] {
        assert_eq!(lives_at(&bench, item).unwrap(), "/srv/samples/third.wav");
    }
    // A hash that turns out to be another one takes nobody along.
    hash(&bench, third, OTHER);
    assert_eq!(bench.item(item).availability, Availability::Missing);
    assert_eq!(bench.item(second).availability, Availability::Missing);
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn what_may_be_a_missing_sound_is_offered() {
    let bench = Bench::new();
    let (place, item) = bench.sound("q.wav", evidence(10));
    bench.sound("other.wav", copy_of(11));
    assert!(
        bench
            .reader()
            .candidates(&bench.item(item))
            .unwrap()
            .is_empty()
    );
    bench.gone(place);
    // (Every sound of these tests has the same ends.)
    bench.sound("same ends.wav", copy_of(10));
    let kit = bench.write(|w| w.folder(bench.top(), OsStr::new("Kit"), Nanoseconds(1)));
    bench.write(|w| {
        let named = place_of(w.observe(kit, OsStr::new("q.wav"), &file(copy_of(12)))?);
        let ProbeRecord::Media { kind, format, .. } = sound_record() else {
            unreachable!()
        };
        let other_ends = ProbeRecord::Media {
            kind,
            format,
            attributes: Vec::new(),
            notes: Vec::new(),
            capsule: None,
            fingerprint: [1; 32],
        };
        w.record_probe(named, 1, &other_ends)
    });
    let candidates = bench.reader().candidates(&bench.item(item)).unwrap();
    let candidates: Vec<String> = candidates.into_iter().map(with_slashes).collect();
    assert_eq!(
        candidates,
        ["/srv/samples/same ends.wav", "/srv/samples/Kit/q.wav"]
    );
}

#[test]
fn what_is_away_goes_on_being_shown_and_comes_back() {
    let bench = Bench::new();
    let kit = bench.write(|w| w.folder(bench.top(), OsStr::new("Kit"), Nanoseconds(1)));
    let item = bench.write(|w| {
        let place = place_of(w.observe(kit, OsStr::new("a.wav"), &file(evidence(10)))?);
        Ok(w.record_probe(place, 1, &sound_record())?.unwrap())
    });
    bench.write(|w| w.folder_away(bench.top()));
    let reader = bench.reader();
    assert_eq!(reader.list_folders(bench.top(), 0, 10).unwrap().len(), 1);
    let shown = reader.list_places(kit, 0, 10).unwrap();
    assert_eq!(shown.len(), 1);
    assert!(shown[0].0.away && !shown[0].0.is_here());
    assert_eq!(shown[0].1.as_ref().unwrap().row, item);
    assert_eq!(bench.item(item).availability, Availability::Missing);
    // Lives elsewhere, and is shown all the same.
    let (_, second) = bench.sound("copy.wav", copy_of(10));
    bench.write(|w| w.record_hash(second, 1, HASH, None));
    bench.write(|w| w.record_hash(item, 1, HASH, None));
    let back = bench.write(|w| w.observe(kit, OsStr::new("a.wav"), &file(evidence(10))));
    assert!(matches!(back, Observed::Returned(_)));
    assert_eq!(bench.item(item).availability, Availability::Local);
    bench.write(|w| w.folder_away(kit));
    assert_eq!(lives_at(&bench, item).unwrap(), "/srv/samples/copy.wav");
    let shown = bench.reader().list_places(kit, 0, 10).unwrap();
    assert_eq!(shown[0].1.as_ref().unwrap().row, item);
    // Known to be deleted at last.
    bench.write(|w| w.folder_gone(kit));
    assert!(bench.reader().list_places(kit, 0, 10).unwrap().is_empty());
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_file_that_a_relink_left_is_a_sound_of_its_own_again() {
    let bench = Bench::new();
    let (old, item) = bench.sound("q.wav", evidence(10));
    let (new, _) = bench.sound("copy.wav", copy_of(10));
    bench.gone(old);
    assert_eq!(bench.write(|w| w.relink(item, new)), None);
    assert!(matches!(bench.see("q.wav", evidence(10)), Observed::New(_)));
    // Left while it is there: to be read.
    let (left, item) = bench.sound("r.wav", evidence(11));
    assert_eq!(bench.write(|w| w.relink(item, new)), Some(left));
    assert_eq!(bench.see("r.wav", evidence(11)), Observed::New(left));
    assert!(bench.probe(left, &sound_record()).is_some());
    // Relinked to where it lives already: that is its place of record then.
    let (old, item) = bench.sound("s.wav", evidence(12));
    let (new, second) = bench.sound("t.wav", copy_of(12));
    hash(&bench, item, HASH);
    hash(&bench, second, HASH);
    bench.gone(old);
    assert_eq!(bench.item(item).home, Some(old));
    assert_eq!(bench.write(|w| w.relink(item, new)), None);
    let row = bench.item(item);
    assert_eq!((row.home, row.place, row.generation), (None, Some(new), 1));
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_hash_in_doubt_lends_nothing() {
    let bench = Bench::new();
    let (place, item) = bench.sound("q.wav", evidence(10));
    let (copy, second) = bench.sound("copy.wav", copy_of(10));
    hash(&bench, item, HASH);
    hash(&bench, second, HASH);
    // Somebody wrote to it and put its time back, or only changed its mode: nobody knows yet.
    let touched = Evidence {
        changed: Nanoseconds(1_900_000_000_000_000_000),
        ..evidence(10)
    };
    bench.see("q.wav", touched);
    bench.gone(place);
    assert_eq!(bench.item(item).availability, Availability::Missing);
    bench.see("q.wav", touched);
    hash(&bench, item, HASH);
    bench.gone(place);
    assert_eq!(bench.item(item).place, Some(copy));
    // The same of the file that would be lent.
    bench.see("q.wav", touched);
    bench.see(
        "copy.wav",
        Evidence {
            changed: touched.changed,
            ..copy_of(10)
        },
    );
    bench.gone(place);
    assert_eq!(bench.item(item).availability, Availability::Missing);
    hash(&bench, second, HASH);
    assert_eq!(bench.item(item).place, Some(copy));
}

#[test]
fn who_lives_in_a_file_goes_where_that_is_renamed_to() {
    let bench = Bench::new();
    let (one, first) = bench.sound("a.wav", evidence(10));
    let (two, second) = bench.sound("b.wav", evidence(20));
    let (three, third) = bench.sound("c.wav", evidence(30));
    let renamed = |size| Evidence {
        changed: Nanoseconds(1_900_000_000_000_000_000),
        ..evidence(size)
    };
    // None of them was hashed yet.
    bench.write(|w| w.move_place(one, bench.top(), OsStr::new("b.wav"), &renamed(10)));
    assert_eq!(bench.item(first).place, Some(two));
    bench.write(|w| w.move_place(two, bench.top(), OsStr::new("c.wav"), &renamed(10)));
    for item in [first, second, third] {
        assert_eq!(lives_at(&bench, item).unwrap(), "/srv/samples/c.wav");
    }
    assert_eq!(bench.item(first).home, Some(one));
    assert_eq!(bench.item(second).home, Some(two));
    assert_eq!(bench.item(third).place, Some(three));
    assert_eq!(bench.item(third).home, None);
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

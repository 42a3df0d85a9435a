//! What is one item: generations, gone and back, probes and hashes.

use std::ffi::OsStr;

use super::*;
use crate::model::{Availability, ObjectHash, Playable, Storage};

fn swapped(changes: &[Change], item: ItemNo) -> Option<bool> {
    changes.iter().find_map(|change| match change {
        Change::Item { row, swapped, .. } if *row == item => Some(*swapped),
        _ => None,
    })
}

fn named(changes: &[Change], folder: FolderNo, name: &str) -> bool {
    changes.contains(&Change::Name {
        folder,
        name: OsStr::new(name).to_owned(),
    })
}

#[test]
fn a_library_file_becomes_an_item_at_its_first_probe() {
    let bench = Bench::new();
    let place = place_of(bench.see("Kick.wav", evidence(10)));
    assert!(named(&bench.told(), bench.top(), "Kick.wav"));
    assert!(bench.reader().items_at(place).unwrap().is_empty());
    let item = bench.probe(place, &sound_record()).unwrap();
    let told = bench.told();
    assert_eq!(swapped(&told, item), Some(true));
    assert!(named(&told, bench.top(), "Kick.wav"));
    let row = bench.item(item);
    assert_eq!(
        (row.name.as_str(), row.size, row.generation),
        ("Kick.wav", 10, 1)
    );
    assert_eq!(
        (row.availability, row.playable),
        (Availability::Local, Playable::Bytes)
    );
    // Probed again: the same item.
    assert_eq!(bench.probe(place, &sound_record()), Some(item));
    let found = bench
        .reader()
        .child_place(bench.top(), OsStr::new("Kick.wav"))
        .unwrap()
        .unwrap();
    assert_eq!(found.1.map(|item| item.row), Some(item));
}

#[test]
fn a_file_that_was_seen_but_not_probed_asks_for_it_again() {
    let bench = Bench::new();
    let place = place_of(bench.see("a.wav", evidence(10)));
    assert_eq!(bench.see("a.wav", evidence(10)), Observed::New(place));
    bench.probe(place, &sound_record());
    assert_eq!(bench.see("a.wav", evidence(10)), Observed::Unchanged(place));
    assert_eq!(bench.see("a.wav", evidence(11)), Observed::Changed(place));
    assert_eq!(bench.see("a.wav", evidence(11)), Observed::Changed(place));
    assert_eq!(bench.place(place).generation, 2);
    bench.probe(place, &sound_record());
    assert_eq!(bench.see("a.wav", evidence(11)), Observed::Unchanged(place));
}

#[test]
fn each_sign_of_another_content_raises_the_generation_once() {
    let base = evidence(10);
    let another: [(&str, Evidence); 4] = [
        ("size", Evidence { size: 11, ..base }),
        ("inode", Evidence { inode: 1, ..base }),
        (
            "modified",
            Evidence {
                modified: Nanoseconds(base.modified.0 - 1),
                ..base
            },
        ),
        (
            "u64 inode",
            Evidence {
                inode: u64::MAX,
                ..base
            },
        ),
    ];
    for (sign, seen) in another {
        let bench = Bench::new();
        let (place, item) = bench.sound("a.wav", base);
        bench.write(|w| w.record_hash(item, 1, ObjectHash([1; 32]), None));
        bench.told();
        assert_eq!(bench.see("a.wav", seen), Observed::Changed(place), "{sign}");
        assert_eq!(swapped(&bench.told(), item), Some(true), "{sign}");
        let row = bench.item(item);
        assert_eq!((row.generation, row.size), (2, seen.size), "{sign}");
        assert_eq!(row.modified, seen.modified, "{sign}");
        assert_eq!(bench.place(place).evidence, seen, "{sign}");
        let reader = bench.reader();
        assert_eq!(reader.blake3(item).unwrap(), None, "{sign}");
        // The facts are shown until the new content is read, but no placeholder is made from them.
        assert_eq!(reader.format(item).unwrap(), None, "{sign}");
        let whole = reader.media_item(item).unwrap().unwrap();
        assert_eq!(whole.format, Some(format()), "{sign}");
    }
}

#[test]
fn another_time_of_the_inode_alone_is_for_the_hash_to_judge() {
    let base = evidence(10);
    let later = Evidence {
        changed: Nanoseconds(base.changed.0 + 1),
        ..base
    };
    for (hash, generation) in [([1; 32], 1), ([2; 32], 2)] {
        let bench = Bench::new();
        let (place, item) = bench.sound("a.wav", base);
        bench.write(|w| w.record_hash(item, 1, ObjectHash([1; 32]), None));
        assert!(bench.reader().unhashed(0, 9).unwrap().is_empty());
        // A link, an attribute, a move away and back; or a content whose time was put back.
        assert_eq!(bench.see("a.wav", later), Observed::Unchanged(place));
        assert_eq!(bench.item(item).generation, 1);
        assert_eq!(bench.place(place).evidence, later);
        assert_eq!(bench.reader().unhashed(0, 9).unwrap().len(), 1);
        bench.told();
        bench.write(|w| w.record_hash(item, 1, ObjectHash(hash), None));
        assert_eq!(bench.item(item).generation, generation);
        assert_eq!(bench.place(place).generation, generation);
        assert_eq!(bench.reader().blake3(item).unwrap(), Some(ObjectHash(hash)));
        assert_eq!(swapped(&bench.told(), item), Some(generation == 2));
        assert!(bench.reader().unhashed(0, 9).unwrap().is_empty());
    }
}

#[test]
fn a_driver_that_makes_up_numbers_of_inodes_changes_nothing() {
    let kept = evidence(10);
    let made_up = Evidence {
        inode: 0,
        changed: kept.modified,
        born: None,
        ..kept
    };
    for (one, other) in [(kept, made_up), (made_up, kept)] {
        let bench = Bench::new();
        let (place, item) = bench.sound("a.wav", one);
        bench.write(|w| w.record_hash(item, 1, ObjectHash([1; 32]), None));
        for seen in [other, one, other] {
            assert_eq!(bench.see("a.wav", seen), Observed::Unchanged(place));
            assert_eq!(bench.place(place).evidence, seen);
        }
        assert_eq!(bench.item(item).generation, 1);
        let hash = bench.reader().blake3(item).unwrap();
        assert_eq!(hash, Some(ObjectHash([1; 32])));
        assert!(bench.reader().unhashed(0, 9).unwrap().is_empty());
        // Another content is still told by its size and time.
        let later = Evidence {
            modified: Nanoseconds(other.modified.0 + 1),
            ..one
        };
        assert_eq!(bench.see("a.wav", later), Observed::Changed(place));
    }
}

#[test]
fn another_device_number_alone_is_no_change() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.told();
    let remounted = Evidence {
        device: 8,
        ..evidence(10)
    };
    assert_eq!(bench.see("a.wav", remounted), Observed::Unchanged(place));
    assert_eq!(bench.place(place).evidence.device, 8);
    assert_eq!(bench.item(item).generation, 1);
    assert_eq!(bench.told(), []);
}

#[test]
fn gone_is_silence_where_facts_are_known_and_an_error_where_not() {
    let bench = Bench::new();
    let (known, item) = bench.sound("a.wav", evidence(10));
    bench.told();
    bench.gone(known);
    assert_eq!(swapped(&bench.told(), item), Some(true));
    let row = bench.item(item);
    assert_eq!(
        (row.availability, row.playable),
        (Availability::Missing, Playable::Silence)
    );
    // Twice gone is once gone.
    bench.gone(known);
    assert_eq!(bench.told(), []);

    // Of facts alone: where a file of this size can be made of them, and only there.
    for (name, size, playable) in [
        ("whole.wav", 44 + 12_345 * 4, Playable::Silence),
        ("short.wav", 44, Playable::Error),
    ] {
        let place = place_of(bench.see(name, evidence(size)));
        let item = bench.probe(place, &record_with(format(), None)).unwrap();
        bench.gone(place);
        assert_eq!(bench.item(item).playable, playable, "{name}");
    }

    let no_frames = Format {
        frames: None,
        ..format()
    };
    let place = place_of(bench.see("b.ogg", evidence(11)));
    let bare = bench
        .probe(place, &record_with(no_frames.clone(), None))
        .unwrap();
    bench.gone(place);
    assert_eq!(bench.item(bare).playable, Playable::Error);

    let place = place_of(bench.see("c.ogg", evidence(12)));
    let shaped = bench
        .probe(place, &record_with(no_frames, Some(b"shape")))
        .unwrap();
    bench.gone(place);
    assert_eq!(bench.item(shaped).playable, Playable::Silence);
}

#[test]
fn a_capsule_of_the_same_transaction_counts_for_a_missing_item() {
    let bench = Bench::new();
    let item = bench.write(|w| {
        let place = place_of(w.observe(bench.top(), OsStr::new("a.ogg"), &file(evidence(1)))?);
        let facts = Format {
            frames: None,
            ..format()
        };
        let item = w.record_probe(place, 1, &record_with(facts, Some(b"shape")))?;
        w.place_gone(place)?;
        Ok(item.unwrap())
    });
    assert_eq!(bench.item(item).playable, Playable::Silence);
}

#[test]
fn gone_after_an_unread_change_is_an_error_not_a_guess() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.see("a.wav", evidence(20));
    bench.gone(place);
    assert_eq!(bench.item(item).playable, Playable::Error);
}

#[test]
fn back_as_it_was_is_the_same_content_back_otherwise_is_another() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.gone(place);
    bench.told();
    // From a backup: another inode, another time of the inode.
    let restored = Evidence {
        inode: 5,
        changed: Nanoseconds(1_800_000_000_000_000_000),
        ..evidence(10)
    };
    assert_eq!(bench.see("a.wav", restored), Observed::Returned(place));
    let told = bench.told();
    assert_eq!(swapped(&told, item), Some(true));
    assert!(named(&told, bench.top(), "a.wav"));
    let row = bench.item(item);
    assert_eq!((row.generation, row.availability), (1, Availability::Local));
    assert_eq!(row.playable, Playable::Bytes);
    assert_eq!(bench.place(place).evidence, restored);
    assert_eq!(bench.see("a.wav", restored), Observed::Unchanged(place));

    bench.gone(place);
    assert_eq!(bench.see("a.wav", evidence(11)), Observed::Changed(place));
    let row = bench.item(item);
    assert_eq!((row.generation, row.availability), (2, Availability::Local));
    assert_eq!(row.size, 11);
}

#[test]
fn a_link_is_no_content_of_the_file_whose_name_it_took() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    let link = Observation {
        kind: PlaceKind::Link("b.wav".into()),
        evidence: evidence(5),
    };
    let observed = bench.write(|w| w.observe(bench.top(), OsStr::new("a.wav"), &link));
    let Observed::New(at_name) = observed else {
        panic!("{observed:?}")
    };
    assert_ne!(at_name, place);
    assert_eq!(bench.place(at_name).kind, link.kind);
    assert!(bench.reader().items_of(at_name).unwrap().is_empty());
    // The item waits for its file, as it was.
    let row = bench.item(item);
    assert_eq!((row.place, row.generation, row.size), (Some(place), 1, 10));
    assert_eq!(row.availability, Availability::Missing);
    assert_eq!(bench.place(place).kind, PlaceKind::File);
    let found =
        bench.write(|w| w.move_place(place, bench.top(), OsStr::new("b.wav"), &evidence(10)));
    assert_eq!(found, Observed::Returned(place));
    let row = bench.item(item);
    assert_eq!((row.generation, row.availability), (1, Availability::Local));
    // Nor when it is renamed over the file.
    let link_b =
        bench.write(|w| w.move_place(at_name, bench.top(), OsStr::new("b.wav"), &evidence(5)));
    assert_eq!(link_b.to_probe(), Some(at_name));
    assert_eq!(bench.place(at_name).kind, link.kind);
    assert_eq!(bench.item(item).size, 10);
    assert!(bench.catalog.check().unwrap().is_empty());
}

#[test]
fn results_of_an_older_content_are_not_recorded() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.see("a.wav", evidence(11));
    let late = bench.write(|w| w.record_probe(place, 1, &sound_record()));
    assert_eq!(late, None);
    bench.write(|w| w.record_hash(item, 1, ObjectHash([1; 32]), None));
    assert_eq!(bench.reader().blake3(item).unwrap(), None);
    assert_eq!(bench.see("a.wav", evidence(11)), Observed::Changed(place));
    bench.write(|w| w.record_hash(item, 2, ObjectHash([2; 32]), None));
    assert_eq!(
        bench.reader().blake3(item).unwrap(),
        Some(ObjectHash([2; 32]))
    );
    // A number that was never given.
    assert_eq!(
        bench.write(|w| w.record_probe(PlaceNo(999), 1, &sound_record())),
        None
    );
}

#[test]
fn a_capsule_goes_with_its_content() {
    let bench = Bench::new();
    let place = place_of(bench.see("a.wav", evidence(10)));
    let capsule = vec![3; 100_000];
    let item = bench
        .probe(place, &record_with(format(), Some(&capsule)))
        .unwrap();
    let kept = || bench.reader().capsule(item).unwrap().map(|c| c.bytes);
    assert_eq!(kept(), Some(capsule.clone()));
    bench.gone(place);
    assert_eq!(kept(), Some(capsule));
    bench.see("a.wav", evidence(11));
    assert_eq!(kept(), None);
    bench.probe(place, &record_with(format(), None));
    assert_eq!(kept(), None);
    let late = Capsule {
        bytes: b"made with the hash".to_vec(),
    };
    bench.write(|w| w.record_hash(item, 2, ObjectHash([1; 32]), Some(&late)));
    assert_eq!(kept(), Some(late.bytes));
    bench.write(|w| w.remove(item));
    assert!(bench.catalog.check().unwrap().is_empty());
}

#[test]
fn what_cannot_be_read_is_listed_and_what_is_no_media_is_not() {
    let bench = Bench::new();
    let odd = place_of(bench.see("odd.wav", evidence(1)));
    let text = place_of(bench.see("notes.txt", evidence(2)));
    let problem = ProbeRecord::Problem("ends in its header".to_owned());
    assert_eq!(bench.probe(odd, &problem), None);
    assert_eq!(bench.probe(text, &ProbeRecord::NotMedia), None);
    assert_eq!(bench.see("odd.wav", evidence(1)), Observed::Unchanged(odd));
    assert_eq!(
        bench.see("notes.txt", evidence(2)),
        Observed::Unchanged(text)
    );
    assert_eq!(
        bench.reader().problems(0, 10).unwrap(),
        [(
            odd,
            "/srv/samples/odd.wav".into(),
            "ends in its header".to_owned()
        )]
    );
    assert_eq!(bench.reader().counts().unwrap().problems, 1);
    // It was repaired.
    bench.see("odd.wav", evidence(3));
    assert!(bench.reader().problems(0, 10).unwrap().is_empty());
    assert!(bench.probe(odd, &sound_record()).is_some());
}

#[test]
fn an_item_whose_file_became_something_else_stays() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.see("a.wav", evidence(11));
    assert_eq!(
        bench.probe(place, &ProbeRecord::Problem("cut short".to_owned())),
        Some(item)
    );
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    assert_eq!(
        (whole.format, whole.notes),
        (None, vec!["cut short".to_owned()])
    );
    bench.see("a.wav", evidence(12));
    assert_eq!(bench.probe(place, &ProbeRecord::NotMedia), Some(item));
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    assert_eq!(whole.notes, vec!["no media file any more".to_owned()]);
    bench.gone(place);
    assert_eq!(bench.item(item).playable, Playable::Error);
}

#[test]
fn the_same_place_is_the_same_item_in_each_scope() {
    let bench = Bench::new();
    let (place, in_library) = bench.sound("a.wav", evidence(10));
    let project = bench.project("Song");
    let wish = new_item("kick", Some(project.row), "a.wav", place);
    let in_project = bench.write(|w| w.add_item(&wish));
    assert_ne!(in_library, in_project);
    assert_eq!(bench.write(|w| w.add_item(&wish)), in_project);
    // With another id, too.
    let other = new_item("snare", Some(project.row), "a.wav", place);
    assert_eq!(bench.write(|w| w.add_item(&other)), in_project);
    let again = new_item("third", None, "a.wav", place);
    assert_eq!(bench.write(|w| w.add_item(&again)), in_library);
    // A change concerns both.
    bench.see("a.wav", evidence(11));
    assert_eq!(bench.item(in_library).generation, 2);
    assert_eq!(bench.item(in_project).generation, 2);
    let shown = bench
        .reader()
        .child_place(bench.top(), OsStr::new("a.wav"))
        .unwrap();
    assert_eq!(shown.unwrap().1.unwrap().row, in_library);
    let whole = bench.reader().media_item(in_project).unwrap().unwrap();
    assert_eq!(
        whole.storage,
        Storage::Reference {
            root: Some("Samples".to_owned()),
            path: "a.wav".to_owned()
        }
    );
}

#[test]
fn an_id_is_taken_whatever_its_case() {
    let bench = Bench::new();
    let project = bench.project("Song");
    let first = bench.take(&project, "1.wav", "Kick.wav", "Kick-1");
    let place = place_of(bench.see("2.wav", evidence(5)));
    bench.probe(place, &sound_record());
    let wish = new_item("KICK-1", Some(project.row), "b.wav", place);
    let refused = bench
        .catalog
        .write(Durability::Full, |w| w.add_item(&wish))
        .unwrap_err();
    assert!(
        matches!(&refused, CatalogError::IdTaken { name, .. } if name == "Kick.wav"),
        "{refused}"
    );
    let found = bench
        .reader()
        .item_by_id(&"kick-1".parse().unwrap())
        .unwrap();
    assert_eq!(found.unwrap().row, first);
}

#[test]
fn what_is_no_media_becomes_no_item() {
    let bench = Bench::new();
    let place = place_of(bench.see("a.txt", evidence(1)));
    for _ in 0..2 {
        let refused = bench
            .catalog
            .write(Durability::Full, |w| {
                w.add_item(&new_item("a", None, "a.txt", place))
            })
            .unwrap_err();
        assert!(
            matches!(refused, CatalogError::NotMedia { .. }),
            "{refused}"
        );
        bench.probe(place, &ProbeRecord::NotMedia);
    }
}

#[test]
fn a_removed_item_stays_removed_until_it_is_wished_for() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    let id = bench.item(item).media_id;
    bench.told();
    bench.write(|w| w.remove(item));
    assert!(bench.told().iter().any(|change| matches!(
        change,
        Change::Item { row, removed: true, .. } if *row == item
    )));
    assert_eq!(bench.reader().item_by_id(&id).unwrap(), None);
    assert!(bench.place(place).present);
    bench.see("a.wav", evidence(11));
    assert_eq!(bench.probe(place, &sound_record()), None);
    // Under its own id again.
    let back = bench.write(|w| w.add_item(&new_item(id.as_str(), None, "a.wav", place)));
    assert_ne!(back, item, "numbers are not given twice");
    assert_eq!(bench.item(back).media_id, id);
    let gone = bench.catalog.write(Durability::Full, |w| w.remove(item));
    assert!(matches!(
        gone,
        Err(CatalogError::Unknown { what: "item", .. })
    ));
}

#[test]
fn by_id_prefers_the_focused_project_then_open_ones_then_the_library() {
    let bench = Bench::new();
    let closed = bench.project("Closed");
    let open = bench.project("Open");
    let focused = bench.project("Focused");
    let in_closed = bench.take(&closed, "1.wav", "1.wav", "same");
    let place = place_of(bench.see("l.wav", evidence(1)));
    let auto = bench.probe(place, &sound_record()).unwrap();
    bench.write(|w| w.remove(auto));
    let id: MediaId = "SAME".parse().unwrap();
    let leads = || bench.reader().item_by_id(&id).unwrap().unwrap().row;
    assert_eq!(leads(), in_closed);
    let in_library = bench.write(|w| w.add_item(&new_item("same", None, "l.wav", place)));
    assert_eq!(leads(), in_library);
    let in_open = bench.take(&open, "1.wav", "1.wav", "Same");
    let in_focused = bench.take(&focused, "1.wav", "1.wav", "sAme");
    bench.write(|w| w.set_active(open.row, true, false));
    assert_eq!(leads(), in_open);
    bench.told();
    bench.write(|w| w.set_active(focused.row, true, true));
    assert_eq!(leads(), in_focused);
    assert_eq!(swapped(&bench.told(), in_open), Some(true));
    bench.write(|w| w.set_active(open.row, true, true));
    assert_eq!(leads(), in_open);
    assert!(!bench.reader().base(focused.row).unwrap().unwrap().focused);
    assert_eq!(bench.reader().items_with_id(&id).unwrap().len(), 4);
}

#[test]
fn hashes_and_relinks_keep_the_generation_only_for_the_same_bytes() {
    let bench = Bench::new();
    let (old, item) = bench.sound("a.wav", evidence(10));
    bench.write(|w| w.record_hash(item, 1, ObjectHash([1; 32]), None));
    bench.gone(old);
    let (same, twin) = bench.sound("b.wav", evidence(11));
    bench.write(|w| w.record_hash(twin, 1, ObjectHash([1; 32]), None));
    bench.write(|w| w.relink(item, same));
    let row = bench.item(item);
    assert_eq!((row.generation, row.size, row.place), (1, 10, Some(same)));
    assert_eq!(row.availability, Availability::Local);
    let (other, _) = bench.sound("c.wav", evidence(12));
    bench.write(|w| w.relink(item, other));
    let row = bench.item(item);
    assert_eq!((row.generation, row.size), (2, 12));
    assert_eq!(bench.reader().blake3(item).unwrap(), None);
    // To something that is gone.
    bench.gone(other);
    bench.write(|w| w.relink(item, same));
    bench.gone(same);
    bench.write(|w| w.relink(item, other));
    assert_eq!(bench.item(item).availability, Availability::Missing);
}

#[test]
fn content_that_was_recorded_without_an_item_becomes_one_under_the_id_wished_for() {
    let bench = Bench::new();
    let place = place_of(bench.see("a.wav", evidence(1)));
    let item = bench.write(|w| {
        let recorded = w.record_content(place, 1, &sound_record())?;
        assert_eq!(recorded.map(|(row, _)| row.row), Some(place));
        assert!(w.reader().items_at(place)?.is_empty());
        w.add_item(&new_item("my-kick", None, "Kick.wav", place))
    });
    assert_eq!(bench.item(item).media_id.as_str(), "my-kick");
    assert_eq!(bench.probe(place, &sound_record()), Some(item));
    assert_eq!(
        bench.write(|w| w.record_content(place, 2, &sound_record())),
        None
    );
}

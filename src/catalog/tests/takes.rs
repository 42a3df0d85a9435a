//! Takes: items without a place until they are final.

use super::*;
use crate::model::Lifecycle;

fn new(id: &str, project: Option<BaseNo>, name: &str) -> NewTake {
    NewTake {
        media_id: id.parse().unwrap(),
        project,
        kind: Kind::Audio,
        name: name.to_owned(),
        origin: Origin::Recorded,
        base: project,
        file: format!("{id} {name}"),
        rate: 288_000,
        expected: Some(60),
        reserved: Nanoseconds(5),
        recovered: false,
    }
}

#[test]
fn a_take_has_a_name_of_its_own_and_an_id_that_nobody_else_gets() {
    let bench = Bench::new();
    let song = bench.project("Song");
    let first = bench.write(|w| w.reserve_take(&new("a", Some(song.row), "Lead.wav")));
    let second = bench.write(|w| w.reserve_take(&new("b", None, "LEAD.wav")));
    let reader = bench.reader();
    assert_eq!(reader.take(second).unwrap().unwrap().name, "LEAD (2).wav");
    let found = reader.take_named("lead.WAV").unwrap().unwrap();
    assert_eq!((found.item, found.expected), (first, Some(60)));
    assert_eq!(bench.item(first).lifecycle, Lifecycle::Pending);
    let shown = reader.shown(song.row, Section::Audio, "Lead.wav").unwrap();
    assert_eq!(shown.unwrap().row, first);
    assert_eq!(reader.unfinished(None).unwrap().len(), 2);
    assert_eq!(reader.unfinished(Some(None)).unwrap()[0].row, second);
    // Nobody hashes what has no place.
    assert!(reader.unhashed(0, 10).unwrap().is_empty());
    let taken = bench.catalog.write(Durability::Full, |w| {
        w.reserve_take(&new("A", Some(song.row), "x"))
    });
    assert!(matches!(taken, Err(CatalogError::IdTaken { .. })));
}

#[test]
fn a_take_is_given_up_taken_up_again_and_becomes_final() {
    let bench = Bench::new();
    let song = bench.project("Song");
    bench.write(|w| w.set_active(song.row, true, true));
    let take = bench.write(|w| w.reserve_take(&new("a", Some(song.row), "Lead.wav")));
    for unfinished in [
        bench.catalog.write(Durability::Full, |w| w.remove(take)),
        bench
            .catalog
            .write(Durability::Full, |w| w.relink(take, PlaceNo(1)).map(drop)),
    ] {
        assert!(matches!(unfinished, Err(CatalogError::Unfinished { .. })));
    }
    bench.write(|w| w.give_up_take(take, Some(Nanoseconds(9))));
    assert_eq!(bench.item(take).lifecycle, Lifecycle::Abandoned);
    assert!(
        bench.write(|w| w.recover_takes()).is_empty(),
        "it was given up"
    );
    bench.write(|w| w.give_up_take(take, None));
    assert_eq!(bench.write(|w| w.recover_takes()), [take]);
    let row = bench.reader().take(take).unwrap().unwrap();
    assert!(row.recovered && row.given_up.is_none());
    bench.write(|w| w.set_take_target(take, Some((Path::new("/srv/x"), u64::MAX))));
    let row = bench.reader().take(take).unwrap().unwrap();
    assert_eq!(row.target, Some(("/srv/x".into(), u64::MAX)));

    bench.told();
    let hash = crate::model::ObjectHash([3; 32]);
    bench.write(|w| {
        let seen = file(evidence(1000));
        let place = place_of(w.observe(song.top, OsStr::new("Lead.wav"), &seen)?);
        w.record_content(place, 1, &sound_record())?;
        w.finalise_take(take, place, Some(hash), false)
    });
    let item = bench.item(take);
    assert!(item.is_final() && item.size == 1000 && item.generation == 1);
    assert_eq!(bench.reader().blake3(take).unwrap(), Some(hash));
    let swapped =
        |change: &Change| matches!(change, Change::Item { row, swapped: true, .. } if *row == take);
    assert!(
        bench.told().iter().any(swapped),
        "what its names lead to is another node"
    );
    // It stays in `record/` until its project is closed.
    assert!(bench.reader().take_named("Lead.wav").unwrap().is_some());
    bench.write(|w| w.release_takes(None));
    assert!(bench.reader().take_named("Lead.wav").unwrap().is_some());
    // Or until its first file is gone, where it was copied.
    bench.write(|w| w.set_take_target(take, Some((Path::new("/srv/x"), 7))));
    bench.write(|w| w.set_active(song.row, false, false));
    assert!(bench.reader().take_named("Lead.wav").unwrap().is_some());
    bench.write(|w| w.set_take_target(take, None));
    bench.write(|w| w.release_takes(Some(song.row)));
    assert!(bench.reader().take_named("Lead.wav").unwrap().is_none());
    // As any other item.
    bench.write(|w| w.remove(take));
    assert!(bench.reader().item(take).unwrap().is_none());
}

//! Moves of files and folders.

use std::ffi::OsStr;

use super::*;
use crate::model::{Availability, Storage};

fn move_to(bench: &Bench, place: PlaceNo, name: &str, evidence: Evidence) -> Observed {
    bench.write(|w| w.move_place(place, bench.top(), OsStr::new(name), &evidence))
}

fn renamed(size: u64) -> Evidence {
    Evidence {
        changed: Nanoseconds(1_900_000_000_000_000_000),
        ..evidence(size)
    }
}

fn path_of(bench: &Bench, item: ItemNo) -> (Storage, Option<String>) {
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    (whole.storage, whole.resolved_path.map(with_slashes))
}

fn in_samples(path: &str) -> Storage {
    Storage::Reference {
        root: Some("Samples".to_owned()),
        path: path.to_owned(),
    }
}

#[test]
fn a_renamed_file_keeps_its_item_and_all_names() {
    let bench = Bench::new();
    let (place, item) = bench.sound("old.wav", evidence(10));
    bench.told();
    assert_eq!(
        move_to(&bench, place, "new.wav", renamed(10)),
        Observed::Unchanged(place)
    );
    let told = bench.told();
    for name in ["old.wav", "new.wav"] {
        assert!(told.contains(&Change::Name {
            folder: bench.top(),
            name: name.into()
        }));
    }
    let row = bench.item(item);
    assert_eq!((row.name.as_str(), row.generation), ("new.wav", 1));
    assert_eq!(bench.reader().names(item).unwrap(), ["new.wav", "old.wav"]);
    assert_eq!(
        path_of(&bench, item),
        (
            in_samples("new.wav"),
            Some("/srv/samples/new.wav".to_owned())
        )
    );
    assert_eq!(
        bench.see("new.wav", renamed(10)),
        Observed::Unchanged(place)
    );
    let old = bench
        .reader()
        .child_place(bench.top(), OsStr::new("old.wav"))
        .unwrap();
    assert_eq!(old, None);
    // A name that the user gave stays.
    bench.write(|w| w.rename(item, "Mine.wav"));
    move_to(&bench, place, "third.wav", renamed(10));
    assert_eq!(bench.item(item).name, "Mine.wav");
    assert_eq!(
        bench.reader().names(item).unwrap(),
        ["Mine.wav", "new.wav", "old.wav"]
    );
}

#[test]
fn a_move_with_another_content_is_a_change() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    assert_eq!(
        move_to(&bench, place, "b.wav", renamed(11)),
        Observed::Changed(place)
    );
    assert_eq!(bench.item(item).generation, 2);
    // "Moved" to where it is: the same rules.
    assert_eq!(
        move_to(&bench, place, "b.wav", renamed(12)),
        Observed::Changed(place)
    );
    assert_eq!(bench.item(item).generation, 3);
}

#[test]
fn a_gone_file_that_is_found_elsewhere_is_local_again() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    bench.gone(place);
    assert_eq!(bench.reader().gone_places_of_size(10).unwrap().len(), 1);
    let folder = bench.write(|w| w.folder(bench.top(), OsStr::new("Kicks"), Nanoseconds(1)));
    // The scan saw it as new first.
    let new = bench.write(|w| w.observe(folder, OsStr::new("a.wav"), &file(evidence(10))));
    assert!(matches!(new, Observed::New(_)));
    let observed = bench.write(|w| w.move_place(place, folder, OsStr::new("a.wav"), &evidence(10)));
    assert_eq!(observed, Observed::Returned(place));
    let row = bench.item(item);
    assert_eq!((row.generation, row.availability), (1, Availability::Local));
    assert_eq!(path_of(&bench, item).0, in_samples("Kicks/a.wav"));
    assert!(bench.reader().gone_places_of_size(10).unwrap().is_empty());
    assert_eq!(bench.reader().place(place_of(new)).unwrap(), None);
    assert_eq!(bench.reader().places_of_folder(folder).unwrap().len(), 1);
}

/// The item that the library shows at a name.
fn item_at(bench: &Bench, name: &str) -> Option<ItemNo> {
    let found = bench.reader().child_place(bench.top(), OsStr::new(name));
    found.unwrap()?.1.map(|item| item.row)
}

#[test]
fn a_known_sound_renamed_over_another_is_a_change_of_that_and_both_live() {
    let bench = Bench::new();
    let (one, first) = bench.sound("a.wav", evidence(10));
    let (two, second) = bench.sound("a-new.wav", evidence(20));
    assert_eq!(
        move_to(&bench, two, "a.wav", renamed(20)),
        Observed::Changed(one)
    );
    let row = bench.item(first);
    assert_eq!((row.generation, row.size), (2, 20));
    assert_eq!(row.availability, Availability::Local);
    assert_eq!(item_at(&bench, "a.wav"), Some(first));
    // The other one has its bytes from there, in the same generation; of record is where it was.
    let lent = bench.item(second);
    assert_eq!(
        (lent.generation, lent.availability),
        (1, Availability::Local)
    );
    assert_eq!((lent.place, lent.home), (Some(one), Some(two)));
    assert_eq!(
        path_of(&bench, second),
        (
            in_samples("a-new.wav"),
            Some("/srv/samples/a.wav".to_owned())
        )
    );
    let whole = bench.reader().media_item(second).unwrap().unwrap();
    assert_eq!(whole.alternatives, [in_samples("a.wav")]);
    // The next save in that manner.
    assert_eq!(bench.see("a-new.wav", evidence(30)), Observed::Changed(two));
    let row = bench.item(second);
    assert_eq!((row.generation, row.size, row.home), (2, 30, None));
    move_to(&bench, two, "a.wav", renamed(30));
    assert_eq!(bench.item(first).generation, 3);
    assert_eq!(bench.item(second).place, Some(one));
    assert_eq!(bench.reader().counts().unwrap().items, 2);
    // Written in place, the bytes of the other one are nowhere any more.
    bench.see("a.wav", evidence(40));
    let row = bench.item(second);
    assert_eq!((row.generation, row.size), (2, 30));
    assert_eq!(
        (row.availability, row.place, row.home),
        (Availability::Missing, Some(two), None)
    );
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_sound_that_was_renamed_over_another_and_back_is_at_home_again() {
    let bench = Bench::new();
    let (one, first) = bench.sound("kick.wav", evidence(10));
    let (two, second) = bench.sound("snare.wav", evidence(20));
    move_to(&bench, one, "snare.wav", renamed(10));
    assert_eq!(
        move_to(&bench, two, "kick.wav", renamed(10)),
        Observed::Returned(one)
    );
    let row = bench.item(first);
    assert_eq!((row.place, row.home), (Some(one), None));
    assert_eq!(row.availability, Availability::Local);
    assert_eq!(item_at(&bench, "kick.wav"), Some(first));
    assert_eq!(bench.item(second).availability, Availability::Local);
    assert_eq!(bench.reader().counts().unwrap().items, 2);
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_look_that_was_quicker_than_the_word_of_a_move_makes_no_other_sound() {
    let bench = Bench::new();
    let (old, item) = bench.sound("a.wav", evidence(10));
    let (_, quick) = bench.sound("b.wav", renamed(10));
    move_to(&bench, old, "b.wav", renamed(10));
    assert_eq!(item_at(&bench, "b.wav"), Some(item));
    let row = bench.item(item);
    assert_eq!((row.generation, row.place), (1, Some(old)));
    // An id that was given is never forgotten, nor where it was.
    assert_eq!(bench.item(quick).place, Some(old));
    assert_eq!(bench.item(quick).availability, Availability::Local);
    move_to(&bench, old, "c.wav", renamed(10));
    assert_eq!(
        path_of(&bench, quick),
        (in_samples("b.wav"), Some("/srv/samples/c.wav".to_owned()))
    );
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn removing_the_item_of_a_displaced_place_forgets_the_place() {
    let bench = Bench::new();
    let (old, _) = bench.sound("a.wav", evidence(10));
    let (quick, second) = bench.sound("b.wav", renamed(10));
    move_to(&bench, old, "b.wav", renamed(10));
    assert_eq!(bench.place(quick).folder, None);
    bench.write(|w| w.remove(second));
    assert_eq!(bench.reader().place(quick).unwrap(), None);
}

#[test]
fn a_sound_saved_anew_beside_its_backup_goes_on_at_its_name() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    move_to(&bench, place, "a.wav~", renamed(10));
    let new = place_of(bench.see("a.wav", evidence(20)));
    let probe = bench.write(|w| w.move_back(place, new));
    let backup = *probe.last().unwrap();
    assert_eq!(probe, [place, backup]);
    let row = bench.item(item);
    assert_eq!(
        (row.name.as_str(), row.generation, row.size, row.place),
        ("a.wav", 2, 20, Some(place))
    );
    let second = bench.probe(backup, &sound_record()).unwrap();
    assert_eq!(item_at(&bench, "a.wav~"), Some(second));
    // Where the backup went at once, nothing is made of it.
    let (place, item) = bench.sound("b.wav", evidence(11));
    move_to(&bench, place, "b.wav~", renamed(11));
    bench.gone(place);
    let new = place_of(bench.see("b.wav", evidence(21)));
    assert_eq!(bench.write(|w| w.move_back(place, new)), [place]);
    let row = bench.item(item);
    assert_eq!((row.generation, row.availability), (2, Availability::Local));
    assert_eq!(item_at(&bench, "b.wav"), Some(item));
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn saving_beside_and_renaming_over_is_a_change_of_the_sound() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(10));
    let beside = place_of(bench.see("a.wav.tmp", evidence(30)));
    assert_eq!(
        move_to(&bench, beside, "a.wav", renamed(30)),
        Observed::Changed(place)
    );
    let row = bench.item(item);
    assert_eq!((row.generation, row.size), (2, 30));
    assert_eq!(row.availability, Availability::Local);
    assert_eq!(bench.reader().place(beside).unwrap(), None);
}

/// `/Samples/<folder>/<name>` as a sound.
fn sound_in(bench: &Bench, folder: FolderNo, name: &str, size: u64) -> ItemNo {
    bench.write(|w| {
        let place = place_of(w.observe(folder, OsStr::new(name), &file(evidence(size)))?);
        Ok(w.record_probe(place, 1, &sound_record())?.unwrap())
    })
}

fn folder(bench: &Bench, parent: FolderNo, name: &str) -> FolderNo {
    bench.write(|w| w.folder(parent, OsStr::new(name), Nanoseconds(1)))
}

#[test]
fn a_moved_folder_takes_everything_along() {
    let bench = Bench::new();
    let drums = folder(&bench, bench.top(), "Drums");
    let kicks = folder(&bench, drums, "Kicks");
    let item = sound_in(&bench, kicks, "a.wav", 10);
    assert_eq!(path_of(&bench, item).0, in_samples("Drums/Kicks/a.wav"));
    bench.told();
    bench.write(|w| w.move_folder(drums, bench.top(), OsStr::new("Percussion")));
    let told = bench.told();
    assert_eq!(told.len(), 2, "{told:?}");
    // The paths that were remembered are forgotten.
    assert_eq!(
        path_of(&bench, item).0,
        in_samples("Percussion/Kicks/a.wav")
    );
    let reader = bench.reader();
    assert_eq!(
        reader
            .child_folder(bench.top(), OsStr::new("Drums"))
            .unwrap(),
        None
    );
    let found = reader
        .child_folder(bench.top(), OsStr::new("Percussion"))
        .unwrap();
    assert_eq!(found.unwrap().row, drums);
    assert_eq!(bench.item(item).generation, 1);
}

#[test]
fn a_folder_is_not_moved_into_itself() {
    let bench = Bench::new();
    let one = folder(&bench, bench.top(), "1");
    let two = folder(&bench, one, "2");
    for (moved, parent) in [(one, one), (one, two), (bench.top(), one)] {
        let refused = bench.catalog.write(Durability::Normal, |w| {
            w.move_folder(moved, parent, OsStr::new("x"))
        });
        assert!(matches!(refused, Err(CatalogError::IntoItself { .. })));
    }
}

#[test]
fn a_folder_moved_onto_a_gone_one_goes_on_with_its_missing_sounds() {
    let bench = Bench::new();
    let old = folder(&bench, bench.top(), "Kicks");
    let inner = folder(&bench, old, "Inner");
    let both = sound_in(&bench, old, "both.wav", 10);
    let only_old = sound_in(&bench, old, "old.wav", 11);
    let deep = sound_in(&bench, inner, "deep.wav", 12);
    bench.write(|w| w.folder_gone(old));
    assert!(
        bench
            .reader()
            .list_folders(bench.top(), 0, 10)
            .unwrap()
            .is_empty()
    );
    for item in [both, only_old, deep] {
        assert_eq!(bench.item(item).availability, Availability::Missing);
    }
    let new = folder(&bench, bench.top(), "Kicks 2");
    let new_inner = folder(&bench, new, "Inner");
    let new_both = sound_in(&bench, new, "both.wav", 20);
    let changed = bench.write(|w| w.move_folder(new, bench.top(), OsStr::new("Kicks")));

    let reader = bench.reader();
    let kicks = reader
        .child_folder(bench.top(), OsStr::new("Kicks"))
        .unwrap()
        .unwrap();
    assert_eq!(kicks.row, new);
    // What came is another content of the sound that had the name, and both live in it.
    assert_eq!(changed, [bench.item(both).place.unwrap()]);
    let row = bench.item(both);
    assert_eq!((row.generation, row.size), (2, 20));
    for item in [both, new_both] {
        assert_eq!(bench.item(item).availability, Availability::Local);
        let path = Some("/srv/samples/Kicks/both.wav".to_owned());
        assert_eq!(path_of(&bench, item).1, path);
    }
    // A sound that comes back to its old path is the old item.
    let back = bench.write(|w| w.observe(new, OsStr::new("old.wav"), &file(evidence(11))));
    assert_eq!(Some(place_of(back)), bench.item(only_old).place);
    assert!(matches!(back, Observed::Returned(_)));
    let back = bench.write(|w| w.observe(new_inner, OsStr::new("deep.wav"), &file(evidence(12))));
    assert_eq!(Some(place_of(back)), bench.item(deep).place);
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_folder_can_move_to_another_root() {
    let bench = Bench::new();
    let other = bench.write(|w| w.add_library("Other", Path::new("/srv/other")));
    let kicks = folder(&bench, bench.top(), "Kicks");
    let inner = folder(&bench, kicks, "Inner");
    let item = sound_in(&bench, inner, "a.wav", 10);
    bench.write(|w| w.move_folder(kicks, other.top, OsStr::new("Kicks")));
    assert_eq!(
        path_of(&bench, item).1,
        Some("/srv/other/Kicks/Inner/a.wav".to_owned())
    );
    assert_eq!(bench.catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_gone_folder_comes_back_with_what_is_seen_in_it() {
    let bench = Bench::new();
    let kicks = folder(&bench, bench.top(), "Kicks");
    let one = sound_in(&bench, kicks, "1.wav", 10);
    let two = sound_in(&bench, kicks, "2.wav", 11);
    bench.write(|w| w.folder_gone(kicks));
    assert_eq!(folder(&bench, bench.top(), "Kicks"), kicks);
    let back = bench.write(|w| w.observe(kicks, OsStr::new("1.wav"), &file(evidence(10))));
    assert!(matches!(back, Observed::Returned(_)));
    assert_eq!(bench.item(one).availability, Availability::Local);
    assert_eq!(bench.item(two).availability, Availability::Missing);
}

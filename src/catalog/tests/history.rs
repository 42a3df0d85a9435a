//! What history holds of files, and how it lets go of them.

use super::*;
use crate::catalog::history::{MOST_OPERATIONS, MOST_STEPS};
use crate::model::{ObjectHash, Tag};

fn operate<T>(
    bench: &Bench,
    kind: &'static str,
    work: impl FnOnce(&mut Writer) -> Result<T>,
) -> OperationNo {
    let mut draft = OperationDraft::new(kind, kind);
    bench.write(|w| w.operate(&mut draft, work));
    draft.recorded.expect("something changed").row
}

fn revert(bench: &Bench, operation: OperationNo) -> std::result::Result<Reverted, RevertError> {
    let which = ToRevert::Operation(operation);
    bench.catalog.write(Durability::Full, |w| {
        w.revert(&which, &OperationDraft::default())
    })
}

#[test]
fn a_removed_sound_keeps_its_silence_until_history_lets_go() {
    let bench = Bench::new();
    let (place, item) = bench.sound("a.wav", evidence(1));
    let removed = operate(&bench, "remove", |w| w.remove(item));
    // Its file goes, and another takes its name.
    bench.gone(place);
    let other = place_of(bench.see("other.wav", evidence(2)));
    bench.write(|w| w.move_place(other, bench.top(), OsStr::new("a.wav"), &evidence(2)));
    assert_eq!(bench.place(place).folder, None);
    assert!(bench.reader().place(place).unwrap().is_some());
    revert(&bench, removed).unwrap();
    let back = bench.item(item);
    assert_eq!(back.playable, crate::model::Playable::Silence);
    assert!(bench.reader().capsule(item).unwrap().is_some());

    let again = operate(&bench, "remove", |w| w.remove(item));
    bench.write(|w| w.let_go(1, MOST_STEPS));
    assert!(bench.reader().operation(removed).unwrap().is_none());
    // Its revert went with it; the newest stays whatever is said.
    let kept = bench.reader().operations(0, None, 100).unwrap();
    assert_eq!(kept.iter().map(|o| o.row).collect::<Vec<_>>(), [again]);
    assert!(bench.reader().place(place).unwrap().is_some());
    let (_, other) = bench.sound("b.wav", evidence(3));
    operate(&bench, "rename", |w| w.rename(other, "c.wav"));
    bench.write(|w| w.let_go(1, MOST_STEPS));
    assert!(bench.reader().place(place).unwrap().is_none());
    assert!(matches!(
        revert(&bench, again),
        Err(RevertError::Unknown { .. })
    ));
    assert!(bench.reader().inconsistencies().unwrap().is_empty());
}

#[test]
fn history_is_bounded_by_operations_and_by_steps() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    for n in 0..70 {
        operate(&bench, "rename", |w| w.rename(item, &format!("{n}.wav")));
    }
    bench.write(|w| w.let_go(50, MOST_STEPS));
    assert_eq!(bench.reader().operations(0, None, 1000).unwrap().len(), 50);
    bench.write(|w| w.let_go(MOST_OPERATIONS, 10));
    assert_eq!(bench.reader().operations(0, None, 1000).unwrap().len(), 10);
}

#[test]
fn a_long_operation_looks_for_old_ones_once() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    let fill = |from: u32, to: u32| {
        bench.write(|w| {
            w.run(
                "filling history",
                "WITH RECURSIVE n (number) AS (SELECT ?1 UNION ALL SELECT number + 1 FROM n WHERE number < ?2) \
                 INSERT INTO operation (number, kind, summary, at, project, applied) \
                 SELECT number, 'rename', '', 0, 0, number FROM n",
                (from, to),
            )
        })
    };
    fill(1, 63);
    let mut draft = OperationDraft::new("rename", "rename");
    bench.write(|w| w.operate(&mut draft, |w| w.rename(item, "b.wav")));
    let long = draft.recorded.clone().unwrap().row;
    assert_eq!(long, OperationNo(64));
    fill(65, 65 + u32::try_from(MOST_OPERATIONS).unwrap());
    bench.write(|w| w.operate(&mut draft, |w| w.rename(item, "c.wav")));
    assert!(bench.reader().operation(long).unwrap().is_some());
    assert!(bench.reader().operation(OperationNo(1)).unwrap().is_some());
}

#[test]
fn what_a_look_at_a_folder_made_meanwhile_gives_way() {
    let bench = Bench::new();
    let (left, item) = bench.sound("a.wav", evidence(1));
    let (there, twin) = bench.sound("b.wav", evidence(2));
    let hash = ObjectHash([1; 32]);
    bench.write(|w| w.record_hash(item, 1, hash, None));
    let relinked = operate(&bench, "relink", |w| w.relink(item, there));
    // The file that was left is one of its own now.
    let found = bench.probe(left, &sound_record()).unwrap();
    assert_ne!(found, item);
    revert(&bench, relinked).unwrap();
    assert_eq!(bench.item(item).place, Some(left));
    assert!(bench.reader().item(found).unwrap().is_none());
    assert_eq!(bench.item(twin).place, Some(there));
    // But not if somebody has made it theirs.
    let relinked = operate(&bench, "relink", |w| w.relink(item, there));
    let found = bench.probe(left, &sound_record()).unwrap();
    operate(&bench, "tag", |w| {
        w.tag(
            found,
            &Tag {
                name: "mine".to_owned(),
                source: crate::model::TagSource::User,
                confidence: crate::model::Confidence::CERTAIN,
            },
        )
    });
    revert(&bench, relinked).unwrap();
    assert!(bench.reader().item(found).unwrap().is_some());
    assert_eq!(bench.item(item).place, Some(left));
}

#[test]
fn a_failed_operation_leaves_nothing() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    let mut draft = OperationDraft::new("rename", "rename");
    let failed = bench.catalog.write(Durability::Full, |w| {
        w.operate(&mut draft, |w| {
            w.rename(item, "b.wav")?;
            w.rename(item, "")
        })
    });
    assert!(failed.is_err());
    assert!(draft.recorded.is_none());
    assert_eq!(bench.item(item).name, "a.wav");
    // Nor does what is written afterwards belong to it.
    bench.write(|w| w.rename(item, "c.wav"));
    assert!(bench.reader().operations(0, None, 10).unwrap().is_empty());
}

#[test]
fn what_was_done_to_a_sound_that_came_back_stands_in_the_way_of_its_removal() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    let removed = operate(&bench, "remove", |w| w.remove(item));
    let back = revert(&bench, removed).unwrap().operations[0].row;
    let usage = crate::model::Usage {
        project: "song".to_owned(),
        role: crate::model::UsageRole::Track,
        target: "Drums".to_owned(),
    };
    let used = operate(&bench, "usages", |w| w.add_usage(item, &usage));
    let Err(RevertError::Conflict(conflicts)) = revert(&bench, back) else {
        panic!("the usage is lost");
    };
    assert_eq!(conflicts[0].by.as_ref().unwrap().row, used);
    assert_eq!(bench.item(item).name, "a.wav");
    revert(&bench, used).unwrap();
    revert(&bench, back).unwrap();
    assert!(bench.reader().item(item).unwrap().is_none());
}

#[test]
fn what_was_undone_and_done_again_does_not_stand_in_the_way() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    operate(&bench, "rename", |w| w.rename(item, "b.wav"));
    operate(&bench, "rename", |w| w.rename(item, "c.wav"));
    operate(&bench, "remove", |w| w.remove(item));
    let go = |which: ToRevert| {
        bench
            .catalog
            .write(Durability::Full, |w| {
                w.revert(&which, &OperationDraft::default())
            })
            .unwrap()
    };
    for _ in 0..3 {
        for _ in 0..3 {
            go(ToRevert::Last(None));
        }
        assert_eq!(bench.item(item).name, "a.wav");
        for _ in 0..3 {
            go(ToRevert::Again(None));
        }
        assert!(bench.reader().item(item).unwrap().is_none());
    }
}

#[test]
fn where_a_sound_was_is_known_when_it_comes_back_after_its_name_was_taken() {
    let bench = Bench::new();
    let storage = |item: ItemNo| {
        let item = bench.reader().media_item(item).unwrap().unwrap();
        item.storage
    };
    let take_name = |of: PlaceNo, name: &str, size: u64| {
        bench.gone(of);
        let other = place_of(bench.see("other.wav", evidence(size)));
        bench.write(|w| w.move_place(other, bench.top(), OsStr::new(name), &evidence(size)));
        assert_eq!(bench.place(of).folder, None);
    };
    // One that was removed.
    let (place, item) = bench.sound("a.wav", evidence(1));
    let was = storage(item);
    assert_eq!(bench.reader().recorded_storage(item).unwrap(), None);
    let removed = operate(&bench, "remove", |w| w.remove(item));
    take_name(place, "a.wav", 2);
    revert(&bench, removed).unwrap();
    assert!(bench.reader().recorded_storage(item).unwrap().is_some());
    assert_eq!(storage(item), was);
    // One that was pointed elsewhere.
    let (place, item) = bench.sound("b.wav", evidence(3));
    let (there, _) = bench.sound("c.wav", evidence(4));
    let was = storage(item);
    let relinked = operate(&bench, "relink", |w| w.relink(item, there));
    take_name(place, "b.wav", 5);
    revert(&bench, relinked).unwrap();
    assert!(bench.reader().recorded_storage(item).unwrap().is_some());
    assert_eq!(storage(item), was);
    // What has its name still needs no record.
    let (_, item) = bench.sound("d.wav", evidence(6));
    let removed = operate(&bench, "remove", |w| w.remove(item));
    revert(&bench, removed).unwrap();
    assert_eq!(bench.reader().recorded_storage(item).unwrap(), None);
}

#[test]
fn pins_are_reverted_and_what_is_only_told_of_takes_no_room() {
    let bench = Bench::new();
    let (_, item) = bench.sound("a.wav", evidence(1));
    let pinned = operate(&bench, "pin", |w| w.pin(item, USER));
    let pins = || bench.reader().pins_of(item).unwrap();
    assert_eq!(pins(), [USER]);
    let done = revert(&bench, pinned).unwrap();
    assert_eq!(done.pins, [(item, USER.to_owned(), false)]);
    assert!(pins().is_empty());
    let again = revert(&bench, done.operations[0].row).unwrap();
    assert_eq!(again.pins, [(item, USER.to_owned(), true)]);
    let unpinned = operate(&bench, "unpin", |w| w.unpin(item, USER));
    // Something else has it now.
    assert!(matches!(
        revert(&bench, pinned),
        Err(RevertError::Conflict(_))
    ));
    revert(&bench, unpinned).unwrap();
    assert_eq!(pins(), [USER]);
    // Pinned already: nothing has changed.
    let mut draft = OperationDraft::new("pin", "pin");
    bench.write(|w| w.operate(&mut draft, |w| w.pin(item, USER)));
    assert!(draft.recorded.is_none());

    let mut last = None;
    for n in 0..2_100 {
        let mut draft = OperationDraft::new("project.save", n.to_string());
        bench.write(|w| w.tell_of(&mut draft, None));
        last = draft.recorded;
    }
    let last = last.unwrap();
    assert!(!last.revertible);
    let kept = bench.reader().operations(0, None, 10_000).unwrap();
    let told = kept.iter().filter(|row| !row.revertible).count();
    assert_eq!(told, 2_000);
    assert_eq!(kept[0].row, last.row);
    assert!(matches!(
        revert(&bench, last.row),
        Err(RevertError::Conflict(_))
    ));
    // What is left to undo is what was done to the sound.
    assert_eq!(bench.reader().to_undo(None).unwrap().unwrap().row, pinned);
}

//! A project saved as another one, with and without its media.

use std::sync::atomic::AtomicBool;

use mediafs::catalog::Durability;
use mediafs::library::{ImportMode, Progress};
use mediafs::model::{Availability, Lifecycle, Playable, Storage};
use mediafs::project::{self, Revision, SaveAs, SavedAs};

use crate::machine::{Machine, folder, manifest, put, slashes, wav};

fn save_as(
    machine: &Machine,
    base: &mediafs::catalog::BaseRow,
    to: &std::path::Path,
    collect: bool,
) -> Result<SavedAs, project::ProjectError> {
    let wish = SaveAs {
        to: to.to_owned(),
        name: None,
        collect,
        host: Revision::default(),
        focused: false,
    };
    let never = AtomicBool::new(false);
    project::save_as(
        &machine.library,
        base,
        &wish,
        &|_| None,
        &Progress::default(),
        &never,
    )
}

#[test]
fn collected_it_has_all_its_media_and_the_old_one_is_as_it_was() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let samples = at.join("Samples");
    put(&samples.join("pad.wav"), &wav(1, 50));
    put(&samples.join("used.wav"), &wav(2, 50));
    put(&at.join("loose/kick.wav"), &wav(3, 50));
    put(&at.join("loose/gone.wav"), &wav(4, 50));
    put(&at.join("take.wav"), &wav(5, 50));
    one.library.add_root(&samples).unwrap();
    one.scan();
    one.hash();
    let base = project::new(&one.library, &at.join("Song"), true)
        .unwrap()
        .base;
    let take = one.import(Some(&base), &at.join("take.wav"), ImportMode::Copy, None);
    let pad = one.import(
        Some(&base),
        &samples.join("pad.wav"),
        ImportMode::Reference,
        None,
    );
    let kick = one.import(
        Some(&base),
        &at.join("loose/kick.wav"),
        ImportMode::Reference,
        None,
    );
    let gone = one.import(
        Some(&base),
        &at.join("loose/gone.wav"),
        ImportMode::Reference,
        None,
    );
    let used = one.import(None, &samples.join("used.wav"), ImportMode::Reference, None);
    let row = one.reader().item_in_scope(&used, None).unwrap().unwrap();
    one.use_as(&base, &row, "kit", "pad 3");
    one.tag(&base, &kick, "Drum");
    one.save(&base, "1");
    std::fs::remove_file(at.join("loose/gone.wav")).unwrap();
    let text = manifest(&base.path);
    let to = at.join("Collected");
    one.scan();
    let done = save_as(&one, &base, &to, true).unwrap();
    assert_eq!(done.copied, 4);
    assert_eq!(done.bytes, 4 * 144);
    assert_eq!(done.left.len(), 1);
    assert_eq!(done.left[0].0, gone);
    assert_eq!(manifest(&base.path), text);
    let new = &done.opening.base;
    assert_ne!(new.project, base.project);
    for id in [&take, &pad, &kick, &used] {
        let item = one.whole(new, id);
        assert_eq!(
            (item.availability, item.playable),
            (Availability::Local, Playable::Bytes)
        );
        assert!(matches!(&item.storage, Storage::Project { path } if path.starts_with("Media/")));
        assert!(slashes(&item.resolved_path.unwrap()).contains("/Collected/Media/"));
    }
    let collected = one.whole(new, &kick);
    assert_eq!(collected.tags[0].name, "Drum");
    assert_eq!(collected.alternatives.len(), 1);
    assert_eq!(one.whole(new, &used).usages.len(), 1);
    assert!(one.whole(new, &gone).playable == Playable::Silence);
    // All of it is in the folder: on a machine that has nothing else it plays.
    let carried = at.join("carried/Collected");
    std::fs::create_dir(at.join("carried")).unwrap();
    std::fs::rename(&to, &carried).unwrap();
    for other in ["Samples", "loose", "Song"] {
        std::fs::remove_dir_all(at.join(other)).unwrap();
    }
    let two = Machine::new(&at.join("other home"));
    let opened = two.open(&carried);
    two.scan();
    for id in [&take, &pad, &kick, &used] {
        assert_eq!(two.whole(&opened.base, id).playable, Playable::Bytes);
    }
}

#[test]
fn not_collected_it_refers_to_what_is_in_the_old_one() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    put(&at.join("take.wav"), &wav(5, 50));
    let base = project::new(&one.library, &at.join("Song"), true)
        .unwrap()
        .base;
    let take = one.import(Some(&base), &at.join("take.wav"), ImportMode::Copy, None);
    one.save(&base, "1");
    let done = save_as(&one, &base, &at.join("Other"), false).unwrap();
    assert_eq!(done.copied, 0);
    let item = one.whole(&done.opening.base, &take);
    assert_eq!(item.playable, Playable::Bytes);
    assert!(
        matches!(&item.storage, Storage::Reference { root: None, path } if slashes(path).ends_with("/Song/Media/take.wav"))
    );
    // Not into a folder that has something in it.
    put(&at.join("Full/x.txt"), b"x");
    assert!(save_as(&one, &base, &at.join("Full"), true).is_err());
    assert!(!at.join("Full/media.json").exists());
    assert!(save_as(&one, &base, &at.join("Other"), true).is_err());
}

#[test]
fn an_attempt_that_was_stopped_is_taken_up() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    put(&at.join("take.wav"), &wav(5, 50));
    let base = project::new(&one.library, &at.join("Song"), true)
        .unwrap()
        .base;
    let take = one.import(Some(&base), &at.join("take.wav"), ImportMode::Copy, None);
    // Copies of an earlier try, one of them of other bytes.
    put(&at.join("To/Media/take.wav"), &wav(6, 50));
    put(&at.join("To/Media/take (2).wav"), &wav(5, 50));
    let done = save_as(&one, &base, &at.join("To"), true).unwrap();
    let item = one.whole(&done.opening.base, &take);
    assert_eq!(
        item.storage,
        Storage::Project {
            path: "Media/take (2).wav".to_owned()
        }
    );
    let files = std::fs::read_dir(at.join("To/Media")).unwrap().count();
    assert_eq!(files, 2);
}

#[test]
fn names_in_media_differ_by_more_than_case() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    let names = |folder: &std::path::Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder.join("Media")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    // As a letter and its accent, or as one.
    for (n, name) in ["Kick.wav", "kick.wav", "\u{c4}.wav", "a\u{308}.wav"]
        .into_iter()
        .enumerate()
    {
        let file = at.join(format!("{n}/{name}"));
        put(&file, &wav(n as i16, 50));
        one.import(Some(&base), &file, ImportMode::Copy, None);
    }
    let copied = ["Kick.wav", "a\u{308} (2).wav", "kick (2).wav", "\u{c4}.wav"];
    assert_eq!(names(&song), copied);
    // Brought together, those that are apart so far are told apart too.
    for (n, name) in ["Tom.wav", "tom.wav"].into_iter().enumerate() {
        let file = at.join(format!("refer {n}/{name}"));
        put(&file, &wav(10 + n as i16, 50));
        one.import(Some(&base), &file, ImportMode::Reference, None);
    }
    let collected = at.join("Collected");
    save_as(&one, &base, &collected, true).unwrap();
    let mut folded: Vec<String> = names(&collected)
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    assert_eq!(folded.len(), 6);
    folded.sort();
    folded.dedup();
    assert_eq!(folded.len(), 6, "{:?}", names(&collected));
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Wine 8 gives no final path that is longer than 260 units"
)]
fn a_long_name_that_is_taken_gets_a_number_and_stays_within_what_disks_allow() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let base = project::new(&one.library, &at.join("Song"), true)
        .unwrap()
        .base;
    let name = format!("{}.wav", "k".repeat(248));
    for n in 0..2 {
        let file = at.join(format!("{n}/{name}"));
        put(&file, &wav(n, 50));
        one.import(Some(&base), &file, ImportMode::Reference, None);
    }
    let collected = at.join("Collected");
    let done = save_as(&one, &base, &collected, true).unwrap();
    assert_eq!(done.copied, 2);
    let files = std::fs::read_dir(collected.join("Media")).unwrap();
    let mut lengths: Vec<usize> = files.map(|file| file.unwrap().file_name().len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [252, 255]);
}

#[test]
fn a_take_that_is_being_recorded_is_told_to_stay() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("Lead.wav"), &wav(1, 50));
    let take = one.import(Some(&base), &at.join("Lead.wav"), ImportMode::Copy, None);
    let item = one.item(&base, &take).unwrap().row;
    one.catalog
        .write(Durability::Full, |writer| {
            writer.set_lifecycle(item, Lifecycle::Pending)
        })
        .unwrap();
    for (to, collect) in [("Other", false), ("Collected", true)] {
        let saved = save_as(&one, &base, &at.join(to), collect).unwrap();
        let (id, name, why) = &saved.left[0];
        assert_eq!((id, name.as_str()), (&take, "Lead.wav"));
        assert_eq!(why, "it is still being recorded, and stays with Song");
    }
}

//! Folders that are moved, copied, synced; other machines; the library and projects.

use mediafs::library::ImportMode;
use mediafs::model::{Availability, MediaId, Playable, Storage};
use mediafs::project;

use crate::machine::{Machine, copy, folder, manifest, put, slashes, wav};

#[test]
fn a_copy_of_a_folder_is_a_project_of_its_own_with_the_same_ids() {
    let place = folder();
    let at = place.path();
    let mut one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.tag(&base, &kick, "Drum");
    one.save(&base, "r1");
    let copied = at.join("Song copy");
    copy(&song, &copied);
    let copy_base = one.open(&copied).base;
    assert_ne!(copy_base.row, base.row);
    assert_eq!(copy_base.project, base.project);
    assert_ne!(
        copy_base.name, base.name,
        "they are told apart on the drive"
    );
    // Neither takes the other's items.
    one.tag(&copy_base, &kick, "Copy");
    let words = |machine: &Machine, base| -> Vec<String> {
        let tags = machine.whole(base, &kick).tags;
        tags.into_iter().map(|tag| tag.name).collect()
    };
    assert_eq!(words(&one, &base), ["Drum"]);
    assert_eq!(words(&one, &copy_base), ["Copy", "Drum"]);
    let resolved = |base| slashes(&one.whole(base, &kick).resolved_path.unwrap());
    assert!(resolved(&base).contains("/Song/"));
    assert!(resolved(&copy_base).contains("/Song copy/"));
    // Each is found again by its place, whichever is opened first.
    one = one.again();
    assert_eq!(one.open(&copied).base.row, copy_base.row);
    assert_eq!(one.open(&song).base.row, base.row);
    // One that is moved is known: the folder where it was is no more.
    let moved = at.join("Moved");
    std::fs::rename(&copied, &moved).unwrap();
    let opened = one.open(&moved).base;
    assert_eq!(opened.row, copy_base.row);
    assert_eq!(words(&one, &opened), ["Copy", "Drum"]);
    // Nor when another project takes the place of its folder.
    std::fs::rename(&moved, at.join("Again")).unwrap();
    project::new(&one.library, &moved, false).unwrap();
    assert_eq!(one.open(&at.join("Again")).base.row, copy_base.row);
    assert_eq!(words(&one, &copy_base), ["Copy", "Drum"]);
}

#[test]
fn a_machine_with_the_same_pack_elsewhere_opens_it_wholly_available() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let pack = at.join("one/Samples");
    for n in 1..=5_i16 {
        put(&pack.join(format!("Drums/kick {n}.wav")), &wav(n, 50));
    }
    // Longer than what a fingerprint sees.
    put(&pack.join("long.wav"), &wav(9, 200_000));
    one.library.add_root(&pack).unwrap();
    one.scan();
    one.hash();
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    let mut ids: Vec<MediaId> = Vec::new();
    for n in 1..=5 {
        let file = pack.join(format!("Drums/kick {n}.wav"));
        ids.push(one.import(Some(&base), &file, ImportMode::Reference, None));
    }
    ids.push(one.import(
        Some(&base),
        &pack.join("long.wav"),
        ImportMode::Reference,
        None,
    ));
    one.save(&base, "r1");
    let text = manifest(&song);

    // Another machine: the pack lies elsewhere, under other names, and was scanned, but never hashed.
    let carried = at.join("two/Song");
    copy(&song, &carried);
    let theirs = at.join("two/packs/Kicks");
    for n in 1..=5_i16 {
        put(&theirs.join(format!("{n}/boom.wav")), &wav(n, 50));
    }
    put(&theirs.join("tail/other.wav"), &wav(9, 200_000));
    std::fs::remove_dir_all(at.join("one")).unwrap();
    let two = Machine::new(&at.join("other home"));
    two.library.add_root(&theirs).unwrap();
    two.scan();
    let opened = two.open(&carried);
    assert!(opened.held.is_empty());
    let missing = two.whole(&opened.base, &ids[0]);
    assert_eq!(
        (missing.availability, missing.playable),
        (Availability::Missing, Playable::Silence)
    );
    assert_eq!(
        project::find_elsewhere(&two.library, opened.base.row).unwrap(),
        6
    );
    for id in &ids {
        let item = two.whole(&opened.base, id);
        assert_eq!(
            (item.availability, item.playable),
            (Availability::Local, Playable::Bytes),
            "{id}"
        );
        assert!(slashes(&item.resolved_path.unwrap()).contains("/packs/Kicks/"));
        assert_eq!(item.alternatives.len(), 1);
        assert!(
            matches!(&item.storage, Storage::Reference { root: Some(root), .. } if root == "Samples"),
            "the descriptor stays"
        );
    }
    two.save(&opened.base, "r1");
    assert_eq!(manifest(&carried), text, "nor does a save change it");
    // Where a library of that name has the files at the same paths, they are those.
    let three = Machine::new(&at.join("third home"));
    let same = at.join("three/Samples");
    for n in 1..=5_i16 {
        put(&same.join(format!("Drums/kick {n}.wav")), &wav(n, 50));
    }
    put(&same.join("long.wav"), &wav(9, 200_000));
    three.library.add_root(&same).unwrap();
    three.scan();
    let opened = three.open(&carried);
    for id in &ids {
        assert_eq!(
            three.whole(&opened.base, id).availability,
            Availability::Local
        );
    }
}

#[test]
fn copies_of_sync_clients_are_merged_and_set_aside() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    put(&at.join("snare.wav"), &wav(2, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.tag(&base, &kick, "Drum");
    one.save(&base, "r1");

    let theirs = at.join("theirs/Song");
    copy(&song, &theirs);
    let two = Machine::new(&at.join("other home"));
    let their_base = two.open(&theirs).base;
    two.tag(&their_base, &kick, "Theirs");
    two.untag(&their_base, &kick, "Drum");
    two.rename(&their_base, &kick, "Boom.wav");
    let snare = two.import(
        Some(&their_base),
        &at.join("snare.wav"),
        ImportMode::Copy,
        None,
    );
    two.save(&their_base, "r2");
    one.tag(&base, &kick, "Ours");
    one.save(&base, "r2 too");
    // The sync client brings both, and the sound.
    let conflicted = "media (Ann's conflicted copy 2026-01-31).json";
    std::fs::copy(theirs.join("media.json"), song.join(conflicted)).unwrap();
    std::fs::copy(theirs.join("Media/snare.wav"), song.join("Media/snare.wav")).unwrap();
    put(&song.join("media (1).json"), b"{ something else");

    let opened = one.open(&song);
    assert_eq!(opened.merged.len(), 1);
    let merged = &opened.merged[0];
    assert_eq!(merged.file, conflicted);
    assert_eq!(merged.added, [snare.to_string()]);
    assert_eq!(merged.changed, [kick.to_string()]);
    assert_eq!(merged.set_aside.as_deref(), Some("media.json.merged.1"));
    assert!(!song.join(conflicted).exists());
    assert_eq!(
        std::fs::read(song.join("media.json.merged.1")).unwrap(),
        std::fs::read(theirs.join("media.json")).unwrap()
    );
    assert!(
        song.join("media (1).json").exists(),
        "what is no manifest is left alone"
    );
    one.scan();
    let item = one.whole(&base, &kick);
    let words: Vec<_> = item.tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(words, ["Ours", "Theirs"], "what either took off is off");
    assert_eq!(item.name, "Boom.wav", "only the other one has renamed it");
    let names = one
        .reader()
        .names(one.item(&base, &kick).unwrap().row)
        .unwrap();
    assert_eq!(names, ["Boom.wav", "kick.wav"]);
    assert_eq!(one.whole(&base, &snare).playable, Playable::Bytes);
    assert!(manifest(&song).contains("snare.wav"), "it is saved at once");
    assert!(one.open(&song).merged.is_empty());
}

#[test]
fn what_another_machine_saved_meanwhile_is_taken_over_by_a_save() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let two = Machine::new(&at.join("other home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.save(&base, "r1");
    let theirs = two.open(&song).base;
    two.tag(&theirs, &kick, "Theirs");
    two.save(&theirs, "r2");
    one.tag(&base, &kick, "Ours");
    let saved = one.save(&base, "r3");
    assert_eq!(saved.taken_over, [kick.to_string()]);
    let tags = one.whole(&base, &kick).tags.len();
    assert_eq!(tags, 2);
    assert!(manifest(&song).contains("Theirs"));
}

#[test]
fn the_same_id_in_two_projects_is_two_items() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    put(&at.join("a.wav"), &wav(1, 50));
    put(&at.join("b.wav"), &wav(2, 50));
    let mut bases = Vec::new();
    for (name, file) in [("A", "a.wav"), ("B", "b.wav")] {
        let base = project::new(&one.library, &at.join(name), false)
            .unwrap()
            .base;
        one.import(
            Some(&base),
            &at.join(file),
            ImportMode::Copy,
            Some("take-1"),
        );
        one.save(&base, "1");
        bases.push(base);
    }
    let id: MediaId = "TAKE-1".parse().unwrap();
    let two = Machine::new(&at.join("other home"));
    for (base, name) in bases.iter().zip(["a.wav", "b.wav"]) {
        let opened = two.open(&base.path).base;
        assert_eq!(two.whole(&opened, &id).name, name);
    }
}

#[test]
fn sounds_go_from_the_library_into_a_project_and_back_under_their_ids() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let samples = at.join("Samples");
    put(&samples.join("pad.wav"), &wav(1, 50));
    let root = one.library.add_root(&samples).unwrap();
    one.scan();
    let pad = one.import(None, &samples.join("pad.wav"), ImportMode::Reference, None);
    let library_item = one.reader().item_in_scope(&pad, None).unwrap().unwrap();
    let base = project::new(&one.library, &at.join("Song"), false)
        .unwrap()
        .base;
    let row = project::use_item(&one.library, &base, &library_item).unwrap();
    assert_eq!(
        project::use_item(&one.library, &base, &library_item).unwrap(),
        row
    );
    let used = one.whole(&base, &pad);
    assert_eq!(used.playable, Playable::Bytes);
    assert_eq!(
        used.storage,
        Storage::Reference {
            root: Some(root.name),
            path: "pad.wav".to_owned()
        }
    );
    one.tag(&base, &pad, "Mine");
    let of_library = one.reader().media_item(library_item.row).unwrap().unwrap();
    assert!(of_library.tags.is_empty(), "each scope has its own words");

    put(&at.join("take.wav"), &wav(2, 50));
    let take = one.import(
        Some(&base),
        &at.join("take.wav"),
        ImportMode::Copy,
        Some("take-1"),
    );
    one.tag(&base, &take, "Keeper");
    let item = one.item(&base, &take).unwrap();
    let row = project::promote(&one.library, &item).unwrap();
    let promoted = one.reader().media_item(row).unwrap().unwrap();
    assert_eq!(promoted.media_id, take);
    assert_eq!(promoted.tags[0].name, "Keeper");
    assert!(slashes(&promoted.resolved_path.unwrap()).contains("/home/Library/"));
    assert_eq!(project::promote(&one.library, &item).unwrap(), row);
}

#[test]
fn a_sound_of_the_library_that_is_only_used_goes_with_the_project() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let samples = at.join("Samples");
    put(&samples.join("pad.wav"), &wav(1, 50));
    one.library.add_root(&samples).unwrap();
    one.scan();
    one.hash();
    let pad = one.import(None, &samples.join("pad.wav"), ImportMode::Reference, None);
    let item = one.reader().item_in_scope(&pad, None).unwrap().unwrap();
    let base = project::new(&one.library, &at.join("Song"), false)
        .unwrap()
        .base;
    one.use_as(&base, &item, "kit", "pad 3");
    one.save(&base, "1");
    let text = manifest(&base.path);
    assert!(text.contains(r#""scope": "library""#), "{text}");
    // Where the library has it not, it is the project's, under the same id.
    let two = Machine::new(&at.join("other home"));
    let opened = two.open(&base.path).base;
    let there = two.whole(&opened, &pad);
    assert_eq!(there.usages.len(), 1);
    two.save(&opened, "1");
    assert_eq!(manifest(&base.path), text);
    // Nobody's manifest changes what the library says of its sounds.
    let tagged = text.replace(
        r#""usages": ["#,
        r#""tags": [{"name":"Theirs","source":"user","confidence":1}],"usages": [{"role":"clip","target":"c"},"#,
    );
    assert_ne!(tagged, text);
    std::fs::write(base.path.join("media.json"), tagged).unwrap();
    one.open(&base.path);
    let whole = one.reader().media_item(item.row).unwrap().unwrap();
    assert_eq!((whole.tags.len(), whole.usages.len()), (0, 2));
}

#[test]
fn of_two_projects_that_are_gone_the_one_whose_files_these_are_has_moved() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    put(&at.join("snare.wav"), &wav(2, 50));
    one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.save(&base, "r1");
    one.scan();
    let copied = at.join("Copy");
    copy(&song, &copied);
    let copy_base = one.open(&copied).base;
    one.scan();
    // Not saved.
    let snare = one.import(
        Some(&copy_base),
        &at.join("snare.wav"),
        ImportMode::Copy,
        None,
    );
    let moved = at.join("Moved");
    std::fs::rename(&copied, &moved).unwrap();
    std::fs::rename(&song, at.join("Put away")).unwrap();
    let opened = one.open(&moved).base;
    assert_eq!(opened.row, copy_base.row);
    one.save(&opened, "r2");
    assert!(manifest(&moved).contains(snare.as_str()));
    assert_eq!(one.whole(&opened, &snare).playable, Playable::Bytes);
    assert_eq!(one.open(&at.join("Put away")).base.row, base.row);
}

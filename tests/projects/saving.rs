//! Saved and opened again: here, after a crash, with a revision, with what a newer host wrote; copies at any moment.

#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering};

use mediafs::catalog::Durability;
use mediafs::library::ImportMode;
use mediafs::model::{Attribute, Confidence, Kind, Playable, Storage, TagSource};
use mediafs::project::{self, NewDraft, ProjectError, Revision, Wish};

#[cfg(unix)]
use crate::machine::copy;
use crate::machine::{Machine, folder, manifest, put, wav};

#[test]
fn what_was_saved_is_what_another_machine_opens() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(
        Some(&base),
        &at.join("kick.wav"),
        ImportMode::Copy,
        Some("Kick-1"),
    );
    one.tag(&base, &kick, "Drum");
    one.tag(&base, &kick, "Loud");
    one.untag(&base, &kick, "Loud");
    one.rename(&base, &kick, "Boom.wav");
    let row = one.item(&base, &kick).unwrap();
    one.use_as(&base, &row, "clip", "c-1");
    one.use_as(&base, &row, "hologram", "h-1");
    let bpm = Attribute {
        name: "bpm".to_owned(),
        value: serde_json::json!(174.5),
        source: TagSource::Analysis,
        confidence: Confidence::new(0.8),
    };
    one.catalog
        .write(Durability::Full, |w| w.set_attribute(row.row, &bpm))
        .unwrap();
    assert!(project::is_unsaved(&one.library, &base).unwrap());
    let saved = one.save(&base, "r1");
    assert!(saved.written);
    assert_eq!(saved.items, 1);
    assert!(!project::is_unsaved(&one.library, &base).unwrap());
    // Again, there is nothing to write.
    assert!(!one.save(&base, "r1").written);
    let text = manifest(&song);
    let mut before = one.whole(&base, &kick);
    // From where it came is so on that machine alone.
    before
        .attributes
        .retain(|attribute| attribute.name != "importedFrom");
    assert_eq!(before.attributes.len(), 1);
    assert_eq!(
        before.storage,
        Storage::Project {
            path: "Media/kick.wav".to_owned()
        }
    );

    let two = Machine::new(&at.join("other home"));
    let opened = two.open(&song);
    assert_eq!(opened.added, 1);
    assert_eq!(opened.state.revision.as_deref(), Some("r1"));
    two.scan();
    let after = two.whole(&opened.base, &kick);
    assert_eq!(after.playable, Playable::Bytes);
    assert_eq!(after.media_id.as_str(), "Kick-1");
    assert_eq!(after.name, "Boom.wav");
    assert_eq!(
        (
            &after.tags,
            &after.attributes,
            &after.usages,
            &after.storage,
            &after.format
        ),
        (
            &before.tags,
            &before.attributes,
            &before.usages,
            &before.storage,
            &before.format
        )
    );
    let names = two
        .reader()
        .names(two.item(&opened.base, &kick).unwrap().row)
        .unwrap();
    assert_eq!(names, ["Boom.wav", "kick.wav"]);
    // What the user took off stays off, and nothing of the text is another one.
    assert!(!two.save(&opened.base, "r1").written);
    assert_eq!(manifest(&song), text);
}

#[test]
fn what_a_newer_host_wrote_comes_back_to_the_letter() {
    let place = folder();
    let at = place.path();
    let song = at.join("Song");
    put(&song.join("Media/Kick.wav"), &wav(1, 50));
    let example = include_str!("../../src/project/document_example.json");
    put(&song.join("media.json"), example.as_bytes());
    let one = Machine::new(&at.join("home"));
    let opened = one.open(&song);
    assert_eq!(opened.added, 3);
    assert_eq!(opened.held.len(), 1);
    let kick = one.whole(&opened.base, &"kick-1".parse().unwrap());
    assert_eq!(kick.kind, Kind::Other("stem-bundle".to_owned()));
    // The catalog sorts some of what it knows; from then on the text stays.
    one.save(&opened.base, "41");
    let text = manifest(&song);
    for kept in [
        r#""shard": 7"#,
        r##""colour": "#f00""##,
        r#""gain": -3.50"#,
        r#"{"a": [1.50, 12345678901234567890123]}"#,
        r#"{"backend":"tape","reel":12}"#,
        r#"{"backend":"ether","path":"x"}"#,
        r#"{"container":"holo","codec":"x","float":false}"#,
        r#"{"mediaId":"../../x","name":"bad"}"#,
        r#""dither": "none""#,
        r#"{"b":2,   "a":1}"#,
        r#""kind": "stem-bundle""#,
        r#""origin": "resampled""#,
        r#""role": "hologram""#,
        r#"{"name":"Odd","source":"oracle","confidence":1}"#,
        r#""document": "Song.pulse""#,
    ] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
    one.scan();
    one.hash();
    one.save(&opened.base, "41");
    let scanned = manifest(&song);
    assert!(scanned.contains(r#""kind": "stem-bundle""#));
    let two = Machine::new(&at.join("other home"));
    let again = two.open(&song);
    two.save(&again.base, "41");
    assert_eq!(manifest(&song), scanned);
}

#[test]
fn what_was_not_saved_survives_a_crash_and_a_lost_manifest() {
    let place = folder();
    let at = place.path();
    let mut one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    one.save(&base, "r1");
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.tag(&base, &kick, "Drum");
    one = one.again();
    let base = one.open(&song).base;
    assert_eq!(one.whole(&base, &kick).tags[0].name, "Drum");
    one.save(&base, "r2");
    // A power cut that the file system did not survive well.
    put(&song.join("media.json"), b"");
    one = one.again();
    let opened = one.open(&song);
    assert!(opened.instead_of.is_some());
    assert!(project::is_unsaved(&one.library, &opened.base).unwrap());
    assert_eq!(one.whole(&opened.base, &kick).tags[0].name, "Drum");
    one.save(&opened.base, "r3");
    assert!(manifest(&song).contains("Drum"));
    assert_eq!(std::fs::read(song.join("media.json.damaged")).unwrap(), b"");
    std::fs::remove_file(song.join("media.json")).unwrap();
    one = one.again();
    let opened = one.open(&song);
    one.save(&opened.base, "r4");
    assert!(manifest(&song).contains("Drum"));
}

#[test]
fn a_revision_is_the_one_that_is_wanted_or_both_are_told() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    one.save(&base, "r1");
    one.save(&base, "r2");
    let wish = |revision: &str| Wish {
        revision: Some(revision.to_owned()),
        ..Wish::default()
    };
    one.try_open(&song, &wish("r2")).unwrap();
    let two = Machine::new(&at.join("other home"));
    let refused = two.try_open(&song, &wish("r1")).unwrap_err();
    let told = refused.to_string();
    assert!(
        matches!(&refused, ProjectError::Revision { found: Some(found), previous: Some(previous), .. }
            if found == "r2" && previous == "r1"),
        "{told}"
    );
    assert!(told.contains("r1 is the one before"), "{told}");
    assert!(
        two.reader().bases().unwrap().is_empty(),
        "nothing was opened"
    );
    let previous = Wish {
        previous: true,
        ..wish("r1")
    };
    let opened = two.try_open(&song, &previous).unwrap();
    assert_eq!(opened.state.revision.as_deref(), Some("r1"));
}

#[test]
fn going_back_without_a_save_takes_nothing_from_what_was_saved() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.save(&base, "r1");
    one.rename(&base, &kick, "Second.wav");
    one.save(&base, "r2");
    let name = || one.item(&base, &kick).unwrap().name;
    let back = Wish {
        previous: true,
        ..Wish::default()
    };
    let opened = one.try_open(&song, &back).unwrap();
    assert_eq!(opened.state.revision.as_deref(), Some("r1"));
    assert_eq!(name(), "kick.wav");
    // Nobody has saved that.
    let opened = one.open(&song);
    assert_eq!(opened.state.revision.as_deref(), Some("r2"));
    assert_eq!(name(), "Second.wav");
    one.save(&base, "r3");
    assert!(manifest(&song).contains("\"Second.wav\""));
    // Somebody has, here.
    one.rename(&base, &kick, "Third.wav");
    one.save(&base, "r4");
    one.try_open(&song, &back).unwrap();
    one.save(&base, "r5");
    let opened = one.open(&song);
    assert_eq!(opened.state.revision.as_deref(), Some("r5"));
    assert_eq!(name(), "Second.wav");
}

#[test]
fn nothing_that_another_machine_wrote_is_written_over() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    one.save(&base, "r1");
    let two = Machine::new(&at.join("other home"));
    let theirs = two.open(&song).base;
    let old = project::export(&two.library, &theirs)
        .unwrap()
        .text()
        .unwrap();
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.save(&base, "r2");
    let has_kick = || manifest(&song).contains(kick.as_str());
    // It goes back to the previous one, and saves upon that: twice, as the first save keeps the one before it.
    let previous = Wish {
        revision: Some("r1".to_owned()),
        previous: true,
        ..Wish::default()
    };
    two.try_open(&song, &previous).unwrap();
    for revision in ["r3", "r4"] {
        two.save(&theirs, revision);
        assert!(has_kick(), "{}", manifest(&song));
    }
    // A host's own document is older than what is there.
    let three = Machine::new(&at.join("third home"));
    project::load(&three.library, &song, &old, true).unwrap();
    assert!(has_kick(), "{}", manifest(&song));
    // What is damaged does not take the place of the one before it.
    std::fs::write(song.join("media.json"), "{").unwrap();
    project::load(&three.library, &song, &old, true).unwrap();
    assert!(has_kick(), "{}", manifest(&song));
}

#[test]
fn odd_usages_are_no_obstacle_and_stay() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.save(&base, "r1");
    let mut text: serde_json::Value = serde_json::from_str(&manifest(&song)).unwrap();
    let usages = serde_json::json!([
        {"role": "clip", "target": ""},
        {"role": "", "target": "c1"},
        {"role": "clip", "target": "x".repeat(2000)},
        {"role": "clip", "target": "c2"},
    ]);
    text["items"][0]["usages"] = usages.clone();
    std::fs::write(song.join("media.json"), text.to_string()).unwrap();
    let two = Machine::new(&at.join("other home"));
    let opened = two.open(&song);
    let used = two.whole(&opened.base, &kick).usages;
    assert_eq!(used.len(), 1, "{used:?}");
    two.save(&opened.base, "r2");
    let saved: serde_json::Value = serde_json::from_str(&manifest(&song)).unwrap();
    let mut kept = saved["items"][0]["usages"].as_array().unwrap().clone();
    let mut all = usages.as_array().unwrap().clone();
    for list in [&mut kept, &mut all] {
        list.sort_by_key(ToString::to_string);
    }
    assert_eq!(kept, all);
}

/// On Windows a file that somebody reads is replaced at once on NTFS alone, which no test is sure of.
#[cfg(unix)]
#[test]
fn a_copy_of_the_folder_at_any_moment_opens() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.save(&base, "0");
    let done = AtomicBool::new(false);
    let copies = std::thread::scope(|scope| {
        scope.spawn(|| {
            for revision in 1..=120 {
                one.tag(
                    &base,
                    &kick,
                    &format!("word {revision} {}", "x".repeat(200)),
                );
                one.save(&base, &revision.to_string());
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut copies = 0;
        while !done.load(Ordering::SeqCst) {
            copies += 1;
            let copied = at.join(format!("copies/{copies}"));
            copy(&song, &copied);
            let text = std::fs::read(copied.join("media.json")).unwrap();
            let document = project::Document::parse(&text).unwrap();
            assert_eq!(document.items.len(), 1);
        }
        copies
    });
    assert!(copies > 5, "only {copies} copies were made");
    let two = Machine::new(&at.join("other home"));
    let opened = two.open(&at.join(format!("copies/{copies}")));
    assert_eq!(two.whole(&opened.base, &kick).media_id, kick);
    let names: Vec<_> = std::fs::read_dir(&song)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn drafts_survive_and_are_forgotten_on_wish() {
    let place = folder();
    let at = place.path();
    let mut one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    one.save(&base, "r1");
    let draft = |name: &str, state: &str| NewDraft {
        name: name.to_owned(),
        state: state.to_owned(),
        revision: None,
    };
    project::save_draft(&one.catalog, &base, draft("pads", "{\"a\":1}")).unwrap();
    project::save_draft(&one.catalog, &base, draft("pads", "{\"a\":2}")).unwrap();
    project::save_draft(&one.catalog, &base, draft("work", "[]")).unwrap();
    assert!(project::save_draft(&one.catalog, &base, draft("", "[]")).is_err());
    one = one.again();
    let drafts = one.reader().drafts(base.row).unwrap();
    let told: Vec<_> = drafts
        .iter()
        .map(|d| (d.name.as_str(), d.bytes, d.revision.as_deref()))
        .collect();
    assert_eq!(told, [("pads", 7, Some("r1")), ("work", 2, Some("r1"))]);
    let state = |name: &str| {
        let draft = one.reader().draft(base.row, name).unwrap();
        draft.map(|draft| draft.state)
    };
    assert_eq!(state("pads").as_deref(), Some("{\"a\":2}"));
    assert_eq!(state("pad"), None);
    let gone = one
        .catalog
        .write(Durability::Full, |w| w.remove_draft(base.row, "pads"))
        .unwrap();
    assert!(gone);
    assert_eq!(one.reader().drafts(base.row).unwrap().len(), 1);
}

#[test]
fn a_host_that_embeds_the_document_gets_its_project_back() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.tag(&base, &kick, "Drum");
    let host = Revision {
        revision: Some("7".to_owned()),
        document: Some("Song.pulse".to_owned()),
    };
    project::save(&one.library, &base, &host).unwrap();
    let text = project::export(&one.library, &base)
        .unwrap()
        .text()
        .unwrap();
    assert_eq!(String::from_utf8(text.clone()).unwrap(), manifest(&song));
    let two = Machine::new(&at.join("other home"));
    let opened = project::load(&two.library, &at.join("Elsewhere"), &text, true).unwrap();
    assert_eq!(opened.base.project, base.project);
    assert_eq!(opened.state.document.as_deref(), Some("Song.pulse"));
    let item = two.whole(&opened.base, &kick);
    assert_eq!(
        (item.tags[0].name.as_str(), item.playable),
        ("Drum", Playable::Silence)
    );
    // Another project's folder is not taken.
    let other = project::new(&two.library, &at.join("Other"), false).unwrap();
    let refused = project::load(&two.library, &other.base.path, &text, true);
    assert!(matches!(refused, Err(ProjectError::Target { .. })));
    assert!(project::load(&two.library, &at.join("New"), b"{}", true).is_err());
}

/// How long it takes; for `cargo test --release -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn how_long_ten_thousand_items_take() {
    const ITEMS: usize = 10_000;
    let place = folder();
    let song = place.path().join("Song");
    let items: Vec<String> = (0..ITEMS)
        .map(|n| {
            format!(
                r#"{{"mediaId":"item-{n}","kind":"audio","name":"sound {n}.wav","size":144,"storage":{{"backend":"project","path":"Media/sound {n}.wav"}},"tags":[{{"name":"Drum","source":"user","confidence":1}}],"usages":[{{"role":"clip","target":"c-{n}"}}]}}"#
            )
        })
        .collect();
    let text = format!(
        r#"{{"format":"mediafs-project","version":2,"projectId":"p","name":"Song","items":[{}]}}"#,
        items.join(",")
    );
    for n in 0..ITEMS {
        put(&song.join(format!("Media/sound {n}.wav")), &wav(1, 50));
    }
    put(&song.join("media.json"), text.as_bytes());
    let one = Machine::new(&place.path().join("home"));
    let begun = std::time::Instant::now();
    let opened = one.open(&song);
    println!("opened for the first time: {:?}", begun.elapsed());
    assert_eq!(opened.added, ITEMS);
    let begun = std::time::Instant::now();
    one.save(&opened.base, "1");
    println!("saved: {:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    one.open(&song);
    println!("opened again: {:?}", begun.elapsed());
}

#[test]
fn a_manifest_that_an_editor_has_marked_as_text_is_whole() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    put(&at.join("kick.wav"), &wav(1, 50));
    let kick = one.import(Some(&base), &at.join("kick.wav"), ImportMode::Copy, None);
    one.save(&base, "r1");
    let marked = format!("\u{feff}{}", manifest(&song));
    std::fs::write(song.join("media.json"), marked).unwrap();
    let two = Machine::new(&at.join("other home"));
    let opened = two.open(&song);
    assert_eq!((opened.instead_of, opened.added), (None, 1));
    assert!(two.item(&opened.base, &kick).is_some());
    one.save(&base, "r2");
    assert!(manifest(&song).starts_with('{'));
    assert!(!song.join("media.json.damaged").exists());
}

#[test]
fn what_killed_saves_have_left_in_the_folder_goes() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    let base = project::new(&one.library, &song, true).unwrap().base;
    let left = song.join(".media.json.0192f0c1000070008000000000000001");
    std::fs::write(&left, "{").unwrap();
    one.save(&base, "r1");
    assert!(!left.exists());
    std::fs::write(&left, "{").unwrap();
    std::fs::write(song.join(".media.json.mine"), "{").unwrap();
    one.open(&song);
    assert!(!left.exists());
    assert!(song.join(".media.json.mine").exists());
}

//! Manifests of strangers: nothing outside is touched without consent, and no entry hides another.

#![cfg_attr(
    windows,
    allow(dead_code, unused_imports, reason = "for the tests with links")
)]

#[cfg(unix)]
use std::os::unix::fs::symlink;
use std::path::Path;

use mediafs::catalog::Hold;
use mediafs::model::{Availability, MediaId, Playable};
use mediafs::project::{self, ProjectError};

use proptest::prelude::*;

use crate::machine::{Machine, folder, manifest, put, wav};

fn with_items(items: &str) -> String {
    format!(
        r#"{{"format":"mediafs-project","version":2,"projectId":"stranger","name":"Song","items":[{items}]}}"#
    )
}

fn item(id: &str, storage: &str, size: usize) -> String {
    format!(
        r#"{{"mediaId":"{id}","kind":"audio","name":"{id}.wav","storage":{storage},"size":{size},"future":[1,{{"a":2}}]}}"#
    )
}

fn reference(path: &Path) -> String {
    format!(r#"{{"backend":"reference","path":"{}"}}"#, path.display())
}

#[cfg(unix)]
#[test]
fn what_leads_out_of_the_project_is_held_back_until_it_is_allowed() {
    let place = folder();
    let at = place.path();
    let song = at.join("Song");
    let secret = wav(7, 50);
    put(&at.join("secret.wav"), &secret);
    put(&at.join(".ssh/key.wav"), &secret);
    put(&at.join("outside/x.wav"), &secret);
    put(&song.join("Media/good.wav"), &wav(1, 50));
    symlink(at.join("secret.wav"), song.join("Media/link.wav")).unwrap();
    let size = secret.len();
    let items = [
        item(
            "good",
            r#"{"backend":"project","path":"Media/good.wav"}"#,
            144,
        ),
        item(
            "dots",
            r#"{"backend":"project","path":"Media/../../secret.wav"}"#,
            size,
        ),
        item(
            "absolute",
            &format!(
                r#"{{"backend":"project","path":"{}/secret.wav"}}"#,
                at.display()
            ),
            size,
        ),
        item(
            "shadow",
            r#"{"backend":"reference","path":"/etc/shadow"}"#,
            size,
        ),
        item("hidden", &reference(&at.join(".ssh/key.wav")), size),
        item("outside", &reference(&at.join("outside/x.wav")), size),
        item(
            "volume",
            r#"{"backend":"volume","volume":"v","path":"../../etc/shadow"}"#,
            size,
        ),
        item(
            "link",
            r#"{"backend":"project","path":"Media/link.wav"}"#,
            size,
        ),
    ];
    put(
        &song.join("media.json"),
        with_items(&items.join(",")).as_bytes(),
    );
    let one = Machine::new(&at.join("home"));
    let opened = one.open(&song);
    one.scan();
    let base = &opened.base;
    let id = |text: &str| text.parse::<MediaId>().unwrap();
    assert_eq!(one.whole(base, &id("good")).playable, Playable::Bytes);
    let hold = |name: &str| -> Hold {
        let found = opened
            .held
            .iter()
            .find(|hold| hold.media_id == Some(id(name)));
        found
            .cloned()
            .unwrap_or_else(|| panic!("{name} is not held back: {:?}", opened.held))
    };
    for name in ["dots", "absolute", "shadow", "hidden"] {
        assert!(hold(name).allowable, "{name}");
        assert!(one.item(base, &id(name)).is_none(), "{name}");
    }
    assert!(!hold("volume").allowable);
    // Of this there may be the same bytes in a library, so it is an item; its path is not gone to.
    assert!(hold("outside").allowable);
    for name in ["outside", "link"] {
        let item = one.whole(base, &id(name));
        assert_eq!(item.availability, Availability::Missing, "{name}");
        assert!(item.resolved_path.is_none());
    }
    // Whatever is held back is saved as it was.
    one.tag(base, &id("good"), "Drum");
    one.save(base, "1");
    let text = manifest(&song);
    for (at, item) in items.iter().enumerate() {
        let name = item.split('"').nth(3).unwrap();
        assert!(
            text.contains(&format!(r#""{name}""#)),
            "{at} {name} is lost: {text}"
        );
    }
    assert!(text.contains("/etc/shadow") && text.contains("Media/../../secret.wav"));
    let again = one.open(&song);
    assert_eq!(again.held.len(), opened.held.len());

    // With consent, and only then.
    let keys = ["dots", "outside", "hidden"].map(|name| {
        let hold = again
            .held
            .iter()
            .find(|hold| hold.media_id == Some(id(name)));
        hold.unwrap().key.clone()
    });
    let allowed = project::allow(&one.library, base, &keys).unwrap();
    assert_eq!(allowed.not_followed, Vec::<String>::new());
    for name in ["dots", "outside", "hidden"] {
        assert_eq!(
            one.whole(base, &id(name)).playable,
            Playable::Bytes,
            "{name}"
        );
    }
    assert!(one.item(base, &id("shadow")).is_none());
    one.save(base, "2");
    assert!(manifest(&song).contains("/etc/shadow"));
}

#[test]
fn a_manifest_that_is_a_link_or_no_manifest_is_left_alone() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let song = at.join("Song");
    std::fs::create_dir(&song).unwrap();
    put(&at.join("elsewhere.json"), with_items("").as_bytes());
    #[cfg(unix)]
    {
        symlink(at.join("elsewhere.json"), song.join("media.json")).unwrap();
        let refused = project::open(&one.library, &song, false)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("media.json"), "{refused}");
        std::fs::remove_file(song.join("media.json")).unwrap();
    }
    for text in [
        "{ broken".to_owned(),
        "[]".to_owned(),
        r#"{"format":"mediafs-project","version":99}"#.to_owned(),
        format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        put(&song.join("media.json"), text.as_bytes());
        let refused = project::open(&one.library, &song, false);
        assert!(
            matches!(refused, Err(ProjectError::Manifest(_))),
            "{text:.40}"
        );
        assert_eq!(manifest(&song), text);
    }
    let sparse = std::fs::File::create(song.join("media.json")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let refused = project::open(&one.library, &song, false)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("too long"), "{refused}");
    assert!(one.reader().bases().unwrap().is_empty());
}

#[test]
fn odd_items_neither_hide_others_nor_bring_anything_down() {
    let place = folder();
    let at = place.path();
    let song = at.join("Song");
    let storage = r#"{"backend":"project","path":"Media/a.wav"}"#;
    let long = "x".repeat(3000);
    let odd = [
        item("good", storage, 10),
        item("GOOD", storage, 10),
        item("huge", storage, usize::MAX),
        format!(r#"{{"mediaId":"name","kind":"audio","name":"{long}","storage":{storage},"size":1}}"#),
        r#"{"mediaId":"name2","kind":"audio","name":"../../x/\u0001\u202e.wav","storage":{"backend":"reference","path":"C:\\x\\y.wav"},"tags":[{"name":"","source":"user","confidence":1},{"name":"ok","source":"user","confidence":1e30}]}"#.to_owned(),
        r#"{"mediaId":"empty","kind":"audio","name":"a.wav","storage":{"backend":"project","path":""}}"#.to_owned(),
        r#"{"mediaId":"facts","kind":"audio","name":"a.wav","size":281474976710656,"storage":{"backend":"project","path":"Media/b.wav"},"format":{"container":"wav","codec":"pcm_s16le","sampleRate":4294967295,"channels":65535,"bitDepth":65535,"float":true,"frames":281474976710656,"durationSeconds":-1e308}}"#.to_owned(),
        "7".to_owned(),
    ];
    put(
        &song.join("media.json"),
        with_items(&odd.join(",")).as_bytes(),
    );
    let one = Machine::new(&at.join("home"));
    let opened = one.open(&song);
    one.scan();
    let ids: Vec<String> = one
        .reader()
        .list_project_items(opened.base.row, 0, 100)
        .unwrap()
        .into_iter()
        .map(|item| item.media_id.to_string())
        .collect();
    assert_eq!(ids, ["facts", "good", "name", "name2"]);
    // `C:\x\y.wav` leads out of the project where it is a path.
    let leads_out = opened.held.iter().filter(|hold| {
        hold.media_id
            .as_ref()
            .is_some_and(|id| id.as_str() == "name2")
    });
    assert_eq!(leads_out.count(), usize::from(cfg!(windows)));
    let held = if cfg!(windows) { 5 } else { 4 };
    assert_eq!(opened.held.len(), held);
    let tags = one.whole(&opened.base, &"name2".parse().unwrap()).tags;
    assert_eq!(tags.len(), 1);
    assert!(tags[0].confidence.value() <= 1.0);
    one.save(&opened.base, "1");
    assert_eq!(one.open(&song).held.len(), held);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever a manifest says, it is refused or opened; what was opened can be saved and opened again, and says the same.
    #[test]
    fn whatever_a_manifest_says_nothing_is_brought_down(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<Option<u8>>()), 0..4),
        words in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(WORDS)), 0..3),
    ) {
        let mut text = include_bytes!("../../src/project/document_example.json").to_vec();
        for (at, byte) in changes {
            let at = at.index(text.len());
            match byte {
                Some(byte) => text[at] = byte,
                None => {
                    text.remove(at);
                }
            }
        }
        for (at, word) in words {
            // A whole value is replaced, so that most of these are JSON still.
            let starts: Vec<usize> = (1..text.len()).filter(|at| text[at - 1] == b' ' && text[at - 2] == b':').collect();
            let Some(start) = starts.get(at.index(starts.len().max(1))) else { continue };
            let end = text[*start..].iter().position(|byte| matches!(byte, b',' | b'\n')).unwrap_or(0);
            text.splice(*start..start + end, word.bytes());
        }
        let place = folder();
        let song = place.path().join("Song");
        put(&song.join("media.json"), &text);
        let one = Machine::new(&place.path().join("home"));
        let Ok(opened) = one.try_open(&song, &mediafs::project::Wish::default()) else {
            prop_assert_eq!(std::fs::read(song.join("media.json")).unwrap(), text);
            return Ok(());
        };
        one.scan();
        one.save(&opened.base, "1");
        let saved = manifest(&song);
        let again = one.open(&song);
        prop_assert_eq!(again.held.len(), opened.held.len());
        one.save(&again.base, "1");
        prop_assert_eq!(manifest(&song), saved);
    }
}

const WORDS: &[&str] = &[
    "null",
    "-1",
    "1e308",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "\"../../etc/shadow\"",
    "\"/etc/shadow\"",
    "\"a\\u0000b\"",
    "[]",
    "{}",
    "[[[[[[[[]]]]]]]]",
    "true",
    "\"library\"",
    "\"kick-1\"",
];

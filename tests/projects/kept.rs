//! What only the manifest knows survives its items' going and coming; times of usages; what no manifest has; and a save
//! that would lose something is no save.

use std::path::Path;

use mediafs::catalog::{BaseRow, Durability, ItemRow, OperationDraft, ToRevert};
use mediafs::library::ImportMode;
use mediafs::model::{Attribute, Confidence, MediaId, TagSource, Usage, UsageRole};
use mediafs::project::{self, ManifestError, ProjectError, SaveAs};

use crate::machine::{Machine, folder, manifest, put, wav};

const NEWER: &str = r##"{
  "format": "mediafs-project", "version": 2, "projectId": "p-1", "name": "Song",
  "items": [
    {
      "mediaId": "kick-1", "kind": "audio", "name": "Kick.wav", "origin": "imported", "lifecycle": "final",
      "storage": { "backend": "project", "path": "Media/Kick.wav", "shard": 7 },
      "size": 144,
      "tags": [
        { "name": "Drum", "source": "user", "confidence": 1, "colour": "#f00" },
        { "name": "Odd", "source": "oracle", "confidence": 1 }
      ],
      "usages": [{ "role": "clip", "target": "c-1", "gain": -3.50 }],
      "analysis": [
        { "type": "peaks", "parameters": "", "producer": "x", "artefact": "ab7d9ab7d9ab7d9ab7d9ab7d9ab7d9ab7d9ab7d9ab7d9ab7d9ab7d9ab7d9abcd" }
      ],
      "dither": { "b": [1.50, 12345678901234567890123] }
    },
    {
      "mediaId": "plain-1", "kind": "audio", "name": "Plain.wav", "origin": "imported", "lifecycle": "final",
      "storage": { "backend": "project", "path": "Media/Plain.wav" }, "size": 146
    }
  ]
}"##;

/// What of [`NEWER`] only the manifest knows.
const ONLY_THERE: [&str; 5] = [
    r#""shard": 7"#,
    r##""colour": "#f00""##,
    r#"{ "name": "Odd", "source": "oracle", "confidence": 1 }"#,
    r#""dither": { "b": [1.50, 12345678901234567890123] }"#,
    r#""producer": "x""#,
];

fn newer(at: &Path) -> (Machine, BaseRow) {
    let song = at.join("Song");
    put(&song.join("Media/Kick.wav"), &wav(1, 50));
    put(&song.join("Media/Plain.wav"), &wav(2, 51));
    put(&song.join("media.json"), NEWER.as_bytes());
    let one = Machine::new(&at.join("home"));
    let base = one.open(&song).base;
    one.scan();
    (one, base)
}

fn operate(
    machine: &Machine,
    kind: &'static str,
    work: impl FnOnce(&mut mediafs::catalog::Writer) -> Result<(), mediafs::catalog::CatalogError>,
) {
    let mut draft = OperationDraft::new(kind, kind);
    machine
        .catalog
        .write(Durability::Full, |writer| writer.operate(&mut draft, work))
        .unwrap();
    assert!(draft.recorded.is_some(), "nothing was recorded of {kind}");
}

fn turn(machine: &Machine, which: &ToRevert) {
    machine
        .catalog
        .write(Durability::Full, |writer| {
            writer.revert(which, &OperationDraft::default())
        })
        .unwrap();
}

fn remove(machine: &Machine, item: &ItemRow) {
    operate(machine, "remove", |writer| writer.remove(item.row));
}

#[test]
fn an_item_that_comes_back_has_what_only_the_manifest_knew_of_it() {
    let place = folder();
    let (mut one, mut base) = newer(place.path());
    let song = base.path.clone();
    one.save(&base, "1");
    let whole = manifest(&song);
    for kept in ONLY_THERE.iter().chain([&r#""gain": -3.50"#]) {
        assert!(whole.contains(kept), "{kept} is not in {whole}");
    }
    let id: MediaId = "kick-1".parse().unwrap();
    for round in 0..2 {
        remove(&one, &one.item(&base, &id).unwrap());
        assert!(project::is_unsaved(&one.library, &base).unwrap());
        one.save(&base, "1");
        assert!(!manifest(&song).contains("Drum"));
        // Nothing of it is in memory, nor in the manifest before.
        one.save(&base, "2");
        one = one.again();
        base = one.open(&song).base;
        turn(&one, &ToRevert::Last(Some(base.row)));
        one.save(&base, "1");
        assert_eq!(manifest(&song), whole, "in round {round}");
        // Done again and undone again, by history alone.
        turn(&one, &ToRevert::Again(Some(base.row)));
        one.save(&base, "3");
        turn(&one, &ToRevert::Last(Some(base.row)));
        one.save(&base, "1");
        assert_eq!(manifest(&song), whole, "in round {round}");
    }
}

#[test]
fn what_only_the_manifest_knows_goes_along_into_the_library_and_another_project() {
    let place = folder();
    let (one, base) = newer(place.path());
    one.save(&base, "1");
    let id: MediaId = "kick-1".parse().unwrap();
    let in_library = project::promote(&one.library, &one.item(&base, &id).unwrap()).unwrap();
    let in_library = one.reader().item(in_library).unwrap().unwrap();
    let other = project::new(&one.library, &place.path().join("Other"), false)
        .unwrap()
        .base;
    project::use_item(&one.library, &other, &in_library).unwrap();
    one.save(&other, "1");
    let text = manifest(&other.path);
    for kept in [ONLY_THERE[1], ONLY_THERE[2], ONLY_THERE[3]] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
    assert!(!text.contains("c-1"), "usages stay with their project");
    // The same where the sound stays the library's.
    let third = project::new(&one.library, &place.path().join("Third"), false)
        .unwrap()
        .base;
    one.use_as(&third, &in_library, "clip", "c-9");
    one.save(&third, "1");
    let text = manifest(&third.path);
    assert!(text.contains(ONLY_THERE[3]), "{text}");
}

#[test]
fn what_only_the_manifest_knew_of_a_used_sound_of_the_library_comes_back_with_its_usage() {
    let place = folder();
    let at = place.path();
    let samples = at.join("samples");
    put(&samples.join("hat.wav"), &wav(3, 30));
    let one = Machine::new(&at.join("home"));
    let hat = one.import(None, &samples, ImportMode::Reference, None);
    let base = project::new(&one.library, &at.join("Song"), true)
        .unwrap()
        .base;
    let item = one.reader().item_in_scope(&hat, None).unwrap().unwrap();
    let usage = Usage {
        project: base.project.clone().unwrap().0,
        role: UsageRole::from("clip".to_owned()),
        target: "c".to_owned(),
    };
    operate(&one, "usages", |w| {
        w.add_usage(item.row, &usage).map(|_| ())
    });
    one.save(&base, "1");
    let text = manifest(&base.path).replace(r#""kind": "audio""#, r#""kind": "audio", "mood": 7"#);
    put(&base.path.join("media.json"), text.as_bytes());
    let base = one.open(&base.path).base;
    operate(&one, "usages", |w| {
        w.remove_usage(item.row, &usage).map(|_| ())
    });
    one.save(&base, "2");
    assert!(!manifest(&base.path).contains("mood"));
    turn(&one, &ToRevert::Last(None));
    one.save(&base, "3");
    assert!(manifest(&base.path).contains(r#""mood": 7"#));
}

#[test]
fn the_time_of_a_usage_goes_with_the_project() {
    let place = folder();
    let at = place.path();
    let (one, base) = newer(at);
    let id: MediaId = "kick-1".parse().unwrap();
    let project = base.project.clone().unwrap();
    let row = one.item(&base, &id).unwrap().row;
    let seen = |machine: &Machine| {
        let row = machine
            .reader()
            .items_with_id(&id)
            .unwrap()
            .pop()
            .unwrap()
            .row;
        let all = machine
            .reader()
            .list_usages(Some(row), None, None, 10)
            .unwrap();
        all.into_iter()
            .map(|used| (used.usage.target, used.at))
            .collect::<Vec<_>>()
    };
    // Nobody knows since when.
    assert_eq!(seen(&one), [("c-1".to_owned(), 0)]);
    one.save(&base, "1");
    assert!(!project::is_unsaved(&one.library, &base).unwrap());
    one.catalog
        .write(Durability::Full, |w| {
            w.observe_usage(row, &project, "drum machine", 5000)
        })
        .unwrap();
    assert!(
        !project::is_unsaved(&one.library, &base).unwrap(),
        "to play a sound changes nothing of a project"
    );
    one.use_as(
        &base,
        &one.item(&base, &"plain-1".parse().unwrap()).unwrap(),
        "clip",
        "c-2",
    );
    assert!(project::is_unsaved(&one.library, &base).unwrap());
    let saved = one.save(&base, "1");
    assert!(saved.written);
    assert!(manifest(&base.path).contains(r#""at": 5000"#));
    let two = Machine::new(&at.join("other home"));
    let there = two.open(&base.path).base;
    assert_eq!(
        seen(&two),
        [("c-1".to_owned(), 0), ("drum machine".to_owned(), 5000)]
    );
    assert!(!project::is_unsaved(&two.library, &there).unwrap());
    assert!(!two.save(&there, "1").written);
    // Seen again there, it is known here.
    let row = two.item(&there, &id).unwrap().row;
    two.catalog
        .write(Durability::Full, |w| {
            w.observe_usage(row, &project, "drum machine", 9000)
        })
        .unwrap();
    assert!(!project::is_unsaved(&two.library, &there).unwrap());
    assert!(two.save(&there, "1").written);
    one.open(&base.path);
    assert_eq!(seen(&one)[1], ("drum machine".to_owned(), 9000));
}

#[test]
fn from_where_a_copy_came_is_in_no_manifest() {
    let place = folder();
    let at = place.path();
    let one = Machine::new(&at.join("home"));
    let base = project::new(&one.library, &at.join("Song"), true)
        .unwrap()
        .base;
    let secret = at.join("secret client");
    put(&secret.join("kick.wav"), &wav(1, 50));
    let kick = one.import(
        Some(&base),
        &secret.join("kick.wav"),
        ImportMode::Copy,
        None,
    );
    one.save(&base, "1");
    let text = manifest(&base.path);
    assert!(!text.contains("secret"), "{text}");
    assert!(!text.contains("importedFrom"), "{text}");
    assert!(!project::is_unsaved(&one.library, &base).unwrap());
    // Here it is known: the same file gives the same item.
    let again = one.import(
        Some(&base),
        &secret.join("kick.wav"),
        ImportMode::Copy,
        None,
    );
    assert_eq!(again, kick);
    let to = SaveAs {
        to: at.join("As"),
        name: None,
        collect: true,
        host: project::Revision::default(),
        focused: false,
    };
    let never = std::sync::atomic::AtomicBool::new(false);
    let progress = mediafs::library::Progress::default();
    let other = project::save_as(&one.library, &base, &to, &|_| None, &progress, &never)
        .unwrap()
        .opening
        .base;
    assert!(!manifest(&other.path).contains("secret"));
    let again = one.import(
        Some(&other),
        &secret.join("kick.wav"),
        ImportMode::Copy,
        None,
    );
    assert_eq!(again, kick);
}

#[test]
fn a_manifest_of_an_earlier_version_that_tells_from_where_copies_came_is_read() {
    let place = folder();
    let at = place.path();
    let hash = "ab".repeat(32);
    let from = format!(
        r#"{{"name":"importedFrom","value":{{"path":"/home/ann/secret/kick.wav","pathHash":"x","size":144,"modifiedNanoseconds":1,"blake3":"{hash}"}},"source":"user","confidence":1.0}}"#
    );
    let own =
        r#"{"name":"importedFrom","value":"a tape of 1981","source":"user","confidence":1.0}"#;
    let text = |attribute: &str| {
        NEWER.replace(
            r#""mediaId": "plain-1","#,
            &format!(r#""mediaId": "plain-1", "attributes": [{attribute}],"#),
        )
    };
    for (n, attribute, stays) in [(1, from.as_str(), false), (2, own, true)] {
        let song = at.join(format!("Song {n}"));
        put(&song.join("Media/Plain.wav"), &wav(2, 51));
        put(&song.join("media.json"), text(attribute).as_bytes());
        let one = Machine::new(&at.join(format!("home {n}")));
        let opened = one.open(&song);
        assert_eq!((opened.added, opened.held.len()), (2, 0));
        let plain = one.whole(&opened.base, &"plain-1".parse().unwrap());
        assert_eq!(
            plain
                .attributes
                .iter()
                .any(|attribute| attribute.name == "importedFrom"),
            stays
        );
        one.save(&opened.base, "1");
        let saved = manifest(&song);
        assert_eq!(saved.contains("importedFrom"), stays, "{saved}");
        assert!(!saved.contains("secret"), "{saved}");
    }
}

#[test]
fn a_save_that_could_not_be_opened_again_is_refused_and_the_manifest_stays() {
    let place = folder();
    let (one, base) = newer(place.path());
    one.save(&base, "1");
    let before = manifest(&base.path);
    let id: MediaId = "kick-1".parse().unwrap();
    let item = one.item(&base, &id).unwrap().row;
    // Deeper than any manifest may be.
    let deep = "[".repeat(70) + &"]".repeat(70);
    let attribute = |value: &str| Attribute {
        name: "nest".to_owned(),
        value: serde_json::from_str(value).unwrap(),
        source: TagSource::User,
        confidence: Confidence::CERTAIN,
    };
    let set = |value: &str| {
        one.catalog
            .write(Durability::Full, |w| {
                w.set_attribute(item, &attribute(value))
            })
            .unwrap();
    };
    set(&deep);
    let host = project::Revision::default();
    let refused = project::save(&one.library, &base, &host).unwrap_err();
    assert!(
        matches!(
            refused,
            ProjectError::Manifest(ManifestError::NotTheSame { .. })
        ),
        "{refused}"
    );
    assert_eq!(manifest(&base.path), before);
    assert!(project::is_unsaved(&one.library, &base).unwrap());
    set("[1]");
    one.save(&base, "1");
    // An item that would be none.
    let name = "x".repeat(4097);
    let renamed = one
        .catalog
        .write(Durability::Full, |w| w.rename(item, &name));
    assert!(renamed.is_err(), "the catalog takes no such name");
    // More usages than a list may have.
    let project = base.project.clone().unwrap().0;
    one.catalog
        .write(Durability::Full, |w| {
            for n in 0..65_537 {
                let usage = Usage {
                    project: project.clone(),
                    role: UsageRole::from("clip".to_owned()),
                    target: n.to_string(),
                };
                w.add_usage(item, &usage)?;
            }
            Ok::<_, mediafs::catalog::CatalogError>(())
        })
        .unwrap();
    let before = manifest(&base.path);
    let refused = project::save(&one.library, &base, &host).unwrap_err();
    assert!(refused.to_string().contains("kick-1"), "{refused}");
    assert_eq!(manifest(&base.path), before);
}

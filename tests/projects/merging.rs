//! What two machines have changed without knowing of each other: names, usages, and what is told of it.

use std::path::{Path, PathBuf};

use mediafs::catalog::{BaseRow, Durability, Writer};
use mediafs::library::ImportMode;
use mediafs::model::{MediaId, Usage, UsageRole};
use mediafs::project;
use serde_json::{Value, json};

use crate::machine::{Machine, folder, manifest, put, wav};

const COPY: &str = "media (conflicted copy 2026-01-31 120000).json";

/// A saved project with the sound `a.wav`.
struct Song {
    machine: Machine,
    base: BaseRow,
    id: MediaId,
    folder: PathBuf,
}

impl Song {
    fn new(at: &Path) -> Self {
        let machine = Machine::new(&at.join("home"));
        let folder = at.join("Song");
        let base = project::new(&machine.library, &folder, true).unwrap().base;
        put(&at.join("a.wav"), &wav(1, 50));
        let id = machine.import(Some(&base), &at.join("a.wav"), ImportMode::Copy, None);
        machine.save(&base, "r1");
        Self {
            machine,
            base,
            id,
            folder,
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&manifest(&self.folder)).unwrap()
    }

    /// Another machine writes the manifest, by what was in it before.
    fn theirs(&self, mut before: Value, change: impl FnOnce(&mut Value)) {
        change(&mut before["items"][0]);
        put(
            &self.folder.join("media.json"),
            before.to_string().as_bytes(),
        );
    }

    fn rename(&self, name: &str) {
        self.machine.rename(&self.base, &self.id, name);
    }

    fn name(&self) -> String {
        self.machine.item(&self.base, &self.id).unwrap().name
    }

    fn again(self) -> Self {
        Self {
            machine: self.machine.again(),
            ..self
        }
    }
}

fn tag(item: &mut Value) {
    item["tags"] = json!([{ "name": "theirs", "source": "user", "confidence": 1.0 }]);
}

#[test]
fn a_rename_stands_against_manifests_of_who_has_not_touched_the_name() {
    let place = folder();
    let song = Song::new(place.path());
    let first = song.json();
    song.rename("Kick.wav");
    song.theirs(first.clone(), tag);
    let song = song.again();
    let saved = song.machine.save(&song.base, "r2");
    assert_eq!(saved.taken_over, [song.id.to_string()], "its tag");
    assert_eq!(song.name(), "Kick.wav");
    assert_eq!(song.json()["items"][0]["name"], "Kick.wav");
    assert_eq!(song.json()["items"][0]["tags"][0]["name"], "theirs");
    // It was saved, and a stale manifest arrives.
    song.theirs(first.clone(), |_| {});
    assert!(song.machine.open(&song.folder).merged.is_empty());
    song.machine.save(&song.base, "r3");
    assert_eq!(song.name(), "Kick.wav");
    assert_eq!(song.json()["items"][0]["name"], "Kick.wav");
    // The saved one is the copy of a stale one.
    put(&song.folder.join(COPY), manifest(&song.folder).as_bytes());
    song.theirs(first, |_| {});
    let opened = song.machine.open(&song.folder);
    assert!(opened.merged[0].changed.is_empty(), "{:?}", opened.merged);
    assert_eq!(song.name(), "Kick.wav");
    // A stale copy while another rename is not saved.
    put(&song.folder.join(COPY), manifest(&song.folder).as_bytes());
    song.rename("Boom.wav");
    let opened = song.machine.open(&song.folder);
    assert!(opened.merged[0].changed.is_empty(), "{:?}", opened.merged);
    assert_eq!(song.name(), "Boom.wav");
}

#[test]
fn a_rename_that_was_taken_back_stands_too() {
    let place = folder();
    let song = Song::new(place.path());
    song.rename("Kick.wav");
    song.machine.save(&song.base, "r2");
    song.rename("a.wav");
    song.theirs(song.json(), tag);
    song.machine.save(&song.base, "r3");
    assert_eq!(song.name(), "a.wav");
    // Where it is they who take it back, it is theirs.
    song.rename("Kick.wav");
    song.machine.save(&song.base, "r4");
    song.theirs(song.json(), |item| {
        item["name"] = json!("a.wav");
        item["formerNames"] = json!(["Kick.wav"]);
    });
    song.machine.save(&song.base, "r5");
    assert_eq!(song.name(), "a.wav");
}

#[test]
fn of_two_renames_the_one_of_the_file_stands_and_is_told() {
    let place = folder();
    let song = Song::new(place.path());
    let first = song.json();
    song.rename("Kick.wav");
    song.theirs(first.clone(), |item| {
        item["name"] = json!("Snare.wav");
        item["formerNames"] = json!(["a.wav"]);
    });
    let saved = song.machine.save(&song.base, "r2");
    assert_eq!(saved.taken_over, [song.id.to_string()]);
    assert_eq!(song.name(), "Snare.wav");
    let item = song.machine.item(&song.base, &song.id).unwrap().row;
    let names = song.machine.reader().names(item).unwrap();
    assert!(names.contains(&"Kick.wav".to_owned()), "{names:?}");
    // Of a copy, it goes on leading to the item.
    let mut theirs = first;
    theirs["items"][0]["name"] = json!("Tom.wav");
    theirs["items"][0]["formerNames"] = json!(["a.wav"]);
    put(&song.folder.join(COPY), theirs.to_string().as_bytes());
    let opened = song.machine.open(&song.folder);
    assert_eq!(opened.merged[0].changed, [song.id.to_string()]);
    assert_eq!(song.name(), "Snare.wav");
    let names = song.machine.reader().names(item).unwrap();
    assert!(names.contains(&"Tom.wav".to_owned()), "{names:?}");
}

impl Song {
    fn usage(target: &str) -> Usage {
        Usage {
            project: String::new(),
            role: UsageRole::Track,
            target: target.to_owned(),
        }
    }

    fn change(&self, target: &str, is_used: bool) {
        let item = self.machine.item(&self.base, &self.id).unwrap().row;
        let usage = Usage {
            project: self.base.project.clone().unwrap().0,
            ..Self::usage(target)
        };
        let change = |writer: &mut Writer| match is_used {
            true => writer.add_usage(item, &usage),
            false => writer.remove_usage(item, &usage),
        };
        let catalog = &self.machine.catalog;
        assert!(catalog.write(Durability::Full, change).unwrap());
    }

    fn used(&self) -> Vec<String> {
        let usages = self.machine.whole(&self.base, &self.id).usages;
        usages.into_iter().map(|used| used.target).collect()
    }
}

#[test]
fn a_usage_that_was_removed_stays_removed() {
    let place = folder();
    let song = Song::new(place.path());
    for track in ["Bass", "Drums", "Lead"] {
        song.change(track, true);
    }
    song.machine.save(&song.base, "r2");
    let stale = song.json();
    // One removal is saved, one is not.
    song.change("Drums", false);
    song.machine.save(&song.base, "r3");
    song.change("Lead", false);
    let song = song.again();
    put(&song.folder.join(COPY), stale.to_string().as_bytes());
    let opened = song.machine.open(&song.folder);
    assert!(opened.merged[0].changed.is_empty(), "{:?}", opened.merged);
    assert_eq!(song.used(), ["Bass"]);
    song.theirs(stale.clone(), tag);
    song.machine.save(&song.base, "r4");
    assert_eq!(song.used(), ["Bass"]);
    let item = song.json()["items"][0].clone();
    let targets = |list: &str| -> Vec<String> {
        let list = item[list].as_array().unwrap().iter();
        list.map(|used| used["target"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(targets("usages"), ["Bass"]);
    assert_eq!(targets("removedUsages"), ["Drums", "Lead"]);
    // Another machine knows of it by the manifest alone, and its stale copy is merged there.
    let two = Machine::new(&place.path().join("other home"));
    put(&song.folder.join(COPY), stale.to_string().as_bytes());
    let theirs = two.open(&song.folder);
    let used = two.whole(&theirs.base, &song.id).usages;
    assert_eq!(used.len(), 1, "{used:?}");
    assert!(theirs.merged[0].changed.is_empty(), "{:?}", theirs.merged);
    // Told again, it is there, though others still have the removal.
    let removed = song.json();
    song.change("Drums", true);
    song.theirs(removed, |_| {});
    song.machine.save(&song.base, "r5");
    assert_eq!(song.used(), ["Bass", "Drums"]);
    let item = song.json()["items"][0].clone();
    assert_eq!(item["removedUsages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_removal_by_another_machine_is_taken_over_and_told() {
    let place = folder();
    let song = Song::new(place.path());
    song.change("Bass", true);
    song.machine.save(&song.base, "r2");
    let mut theirs = song.json();
    let item = &mut theirs["items"][0];
    item["removedUsages"] = item["usages"].take();
    item.as_object_mut().unwrap().remove("usages");
    put(&song.folder.join(COPY), theirs.to_string().as_bytes());
    let opened = song.machine.open(&song.folder);
    assert_eq!(opened.merged[0].changed, [song.id.to_string()]);
    assert!(song.used().is_empty());
    assert!(song.json()["items"][0]["usages"].is_null());
}

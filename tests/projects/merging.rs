//! What two machines have changed without knowing of each other: names, usages, and what is told of it.

use std::path::{Path, PathBuf};

use mediafs::catalog::BaseRow;
use mediafs::library::ImportMode;
use mediafs::model::MediaId;
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

//! Random sequences of what is done to projects, with crashes, moves, copies and lost manifests between, against a model:
//! no id, word, usage, name or place that was acknowledged is ever lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mediafs::catalog::{BaseRow, Durability};
use mediafs::library::ImportMode;
use mediafs::model::{MediaId, Storage};
use mediafs::project::{self, Wish};
use proptest::prelude::*;

use crate::machine::{Machine, copy, folder, put, wav};

#[derive(Clone, Debug)]
enum Step {
    Import,
    Refer,
    Tag(usize, u8),
    Untag(usize, u8),
    Rename(usize, u8),
    Use(usize, u8),
    Remove(usize),
    Save,
    Crash,
    Move,
    Close,
    Scan,
    /// The manifest is cut short, as by a power cut.
    Damage,
    /// A copy of the folder is opened on another machine.
    Elsewhere,
    /// The other machine saves words of its own into the folder.
    Other(usize, u8),
    /// The same, and a sync client lays it beside.
    Conflict(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..8_usize;
    let word = 0..6_u8;
    prop_oneof![
        3 => Just(Step::Import),
        1 => Just(Step::Refer),
        4 => (which.clone(), word.clone()).prop_map(|(i, w)| Step::Tag(i, w)),
        2 => (which.clone(), word.clone()).prop_map(|(i, w)| Step::Untag(i, w)),
        2 => (which.clone(), word.clone()).prop_map(|(i, w)| Step::Rename(i, w)),
        3 => (which.clone(), word.clone()).prop_map(|(i, w)| Step::Use(i, w)),
        1 => which.clone().prop_map(Step::Remove),
        4 => Just(Step::Save),
        3 => Just(Step::Crash),
        2 => Just(Step::Move),
        1 => Just(Step::Close),
        2 => Just(Step::Scan),
        1 => Just(Step::Damage),
        2 => Just(Step::Elsewhere),
        2 => (which.clone(), word.clone()).prop_map(|(i, w)| Step::Other(i, w)),
        2 => (which, word).prop_map(|(i, w)| Step::Conflict(i, w)),
    ]
}

/// What is known to have been acknowledged of an item.
#[derive(Clone, Default, Debug, PartialEq)]
struct Known {
    words: BTreeSet<String>,
    taken_off: BTreeSet<String>,
    names: BTreeSet<String>,
    usages: BTreeSet<String>,
    storage: Option<Storage>,
}

struct World {
    at: PathBuf,
    machine: Option<Machine>,
    other: Option<Machine>,
    song: PathBuf,
    base: BaseRow,
    items: BTreeMap<String, Known>,
    /// What the manifest says, as of the last save.
    saved: BTreeMap<String, Known>,
    damaged: bool,
    count: u32,
}

impl World {
    fn new(at: &Path) -> Self {
        let machine = Machine::new(&at.join("home"));
        let song = at.join("Song");
        let base = project::new(&machine.library, &song, true).unwrap().base;
        Self {
            at: at.to_owned(),
            machine: Some(machine),
            other: Some(Machine::new(&at.join("other home"))),
            song,
            base,
            items: BTreeMap::new(),
            saved: BTreeMap::new(),
            damaged: false,
            count: 0,
        }
    }

    fn machine(&self) -> &Machine {
        self.machine.as_ref().unwrap()
    }

    fn pick(&self, which: usize) -> Option<MediaId> {
        let len = self.items.len();
        let id = self.items.keys().nth(which.checked_rem(len)?)?;
        Some(id.parse().unwrap())
    }

    fn open(&mut self) {
        let opened = self.machine().try_open(&self.song, &Wish::default());
        self.base = opened.unwrap_or_else(|error| panic!("{error}")).base;
    }

    fn save(&mut self) {
        let revision = self.count.to_string();
        self.machine().save(&self.base, &revision);
        self.saved = self.items.clone();
        self.damaged = false;
    }

    fn add(&mut self, mode: ImportMode) {
        self.count += 1;
        let name = format!("sound {}.wav", self.count);
        let file = self.at.join("sounds").join(&name);
        put(&file, &wav(i16::try_from(self.count).unwrap(), 20));
        let id = self.machine().import(Some(&self.base), &file, mode, None);
        let whole = self.machine().whole(&self.base, &id);
        let known = Known {
            names: [name].into(),
            storage: Some(whole.storage),
            ..Known::default()
        };
        self.items.insert(id.to_string(), known);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Import => self.add(ImportMode::Copy),
            Step::Refer => self.add(ImportMode::Reference),
            Step::Tag(which, word) => {
                let Some(id) = self.pick(*which) else { return };
                let word = format!("word {word}");
                self.machine().tag(&self.base, &id, &word);
                let known = self.items.get_mut(id.as_str()).unwrap();
                known.taken_off.remove(&word);
                known.words.insert(word);
            }
            Step::Untag(which, word) => {
                let Some(id) = self.pick(*which) else { return };
                let word = format!("word {word}");
                self.machine().untag(&self.base, &id, &word);
                let known = self.items.get_mut(id.as_str()).unwrap();
                if known.words.remove(&word) {
                    known.taken_off.insert(word);
                }
            }
            Step::Rename(which, word) => {
                let Some(id) = self.pick(*which) else { return };
                let name = format!("name {word}.wav");
                self.machine().rename(&self.base, &id, &name);
                self.items.get_mut(id.as_str()).unwrap().names.insert(name);
            }
            Step::Use(which, target) => {
                let Some(id) = self.pick(*which) else { return };
                let target = format!("clip {target}");
                let item = self.machine().item(&self.base, &id).unwrap();
                self.machine().use_as(&self.base, &item, "clip", &target);
                self.items
                    .get_mut(id.as_str())
                    .unwrap()
                    .usages
                    .insert(target);
            }
            Step::Remove(which) => {
                // A manifest that somebody else has written meanwhile brings it back; that is told elsewhere.
                self.save();
                let Some(id) = self.pick(*which) else { return };
                let item = self.machine().item(&self.base, &id).unwrap().row;
                self.machine()
                    .catalog
                    .write(Durability::Full, |writer| writer.remove(item))
                    .unwrap();
                self.items.remove(id.as_str());
                self.save();
            }
            Step::Save => self.save(),
            Step::Crash => {
                self.machine = self.machine.take().map(Machine::again);
                self.open();
            }
            Step::Move => {
                self.count += 1;
                let to = self.at.join(format!("Moved {}", self.count));
                std::fs::rename(&self.song, &to).unwrap();
                self.song = to;
                let row = self.base.row;
                self.open();
                assert_eq!(self.base.row, row, "it is the same project");
            }
            Step::Close => {
                project::close(&self.machine().library, self.base.row).unwrap();
                self.open();
            }
            Step::Scan => self.machine().scan(),
            Step::Damage => {
                // There is one before only from the second save on.
                if self.damaged || !self.song.join("media.json.previous").exists() {
                    return;
                }
                let file = self.song.join("media.json");
                let text = std::fs::read(&file).unwrap();
                std::fs::write(&file, &text[..text.len() / 2]).unwrap();
                self.damaged = true;
                self.open();
            }
            Step::Elsewhere => self.elsewhere(),
            Step::Other(which, word) => {
                if let Some((id, word)) = self.by_other(*which, *word, None) {
                    self.told_by_other(&id, word);
                }
            }
            Step::Conflict(which, word) => {
                self.count += 1;
                let aside = format!("media (conflicted copy {}).json", self.count);
                if let Some((id, word)) = self.by_other(*which, *word, Some(&aside)) {
                    self.told_by_other(&id, word);
                    self.open();
                }
            }
        }
    }

    fn told_by_other(&mut self, id: &MediaId, word: String) {
        let known = self.items.get_mut(id.as_str()).unwrap();
        // What is off in either stays off.
        if !known.taken_off.contains(&word) {
            known.words.insert(word);
        }
        self.saved = self.items.clone();
        self.open();
    }

    /// Another machine opens a copy of what was saved, adds a word and saves; its manifest is brought into the folder.
    fn by_other(
        &mut self,
        which: usize,
        word: u8,
        aside: Option<&str>,
    ) -> Option<(MediaId, String)> {
        if self.damaged {
            return None;
        }
        self.save();
        let id = self.pick(which)?;
        self.count += 1;
        let theirs = self.at.join(format!("theirs {}", self.count));
        copy(&self.song, &theirs);
        let other = self.other.as_ref().unwrap();
        let base = other.open(&theirs).base;
        let word = format!("their word {word}");
        other.tag(&base, &id, &word);
        other.save(&base, "theirs");
        let target = self.song.join(aside.unwrap_or("media.json"));
        std::fs::copy(theirs.join("media.json"), target).unwrap();
        Some((id, word))
    }

    /// What was saved is all there on a machine that never saw it.
    fn elsewhere(&mut self) {
        if self.damaged {
            return;
        }
        self.count += 1;
        let copied = self.at.join(format!("copy {}", self.count));
        copy(&self.song, &copied);
        let third = Machine::new(&self.at.join(format!("home {}", self.count)));
        let base = third.open(&copied).base;
        for (id, known) in &self.saved {
            check(&third, &base, id, known);
        }
    }

    fn check(&self) {
        for (id, known) in &self.items {
            check(self.machine(), &self.base, id, known);
        }
        let count = self
            .machine()
            .reader()
            .list_project_items(self.base.row, 0, 1000)
            .unwrap()
            .len();
        assert_eq!(count, self.items.len());
    }
}

fn check(machine: &Machine, base: &BaseRow, id: &str, known: &Known) {
    let id: MediaId = id.parse().unwrap();
    let row = machine
        .item(base, &id)
        .unwrap_or_else(|| panic!("{id} is lost"));
    let item = machine.reader().media_item(row.row).unwrap().unwrap();
    let words: BTreeSet<String> = item
        .tags
        .iter()
        .filter(|tag| tag.name.contains("word"))
        .map(|tag| tag.name.clone())
        .collect();
    assert_eq!(words, known.words, "words of {id}");
    let usages: BTreeSet<String> = item
        .usages
        .iter()
        .map(|usage| usage.target.clone())
        .collect();
    assert_eq!(usages, known.usages, "usages of {id}");
    let names: BTreeSet<String> = machine
        .reader()
        .names(row.row)
        .unwrap()
        .into_iter()
        .collect();
    assert!(
        names.is_superset(&known.names),
        "names of {id}: {names:?}, {:?}",
        known.names
    );
    assert_eq!(
        Some(&item.storage),
        known.storage.as_ref(),
        "the descriptor of {id}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_acknowledged_is_ever_lost(steps in prop::collection::vec(step(), 1..24)) {
        let place = folder();
        let mut world = World::new(place.path());
        for step in &steps {
            world.step(step);
            world.check();
        }
    }
}

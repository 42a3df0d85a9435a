//! Random sequences of what happens to files, against a simple model of what must come of it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;

use proptest::prelude::*;

use super::*;
use crate::model::{Availability, Confidence, Playable, Tag, TagSource};

const NAMES: [&str; 5] = ["a.wav", "b.wav", "A.wav", "c.wav", "ä.wav"];
const FOLDERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A file of this content is seen (and probed).
    See(usize, usize, u64),
    /// Whatever is there is gone.
    Gone(usize, usize),
    /// What is there is moved, with this content (0: its own).
    Move(usize, usize, usize, usize),
    /// The n-th item is renamed, tagged, untagged, removed.
    Rename(usize, u8),
    Tag(usize, u8),
    Untag(usize, u8),
    Remove(usize),
    /// The n-th folder is gone, with everything in it.
    FolderGone(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let folder = 0..FOLDERS;
    let name = 0..NAMES.len();
    let step = prop_oneof![
        6 => (folder.clone(), name.clone(), 1..4_u64).prop_map(|(f, n, c)| Step::See(f, n, c)),
        3 => (folder.clone(), name.clone()).prop_map(|(f, n)| Step::Gone(f, n)),
        4 => (folder.clone(), name.clone(), folder.clone(), name)
            .prop_map(|(f, n, g, m)| Step::Move(f, n, g, m)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(i, n)| Step::Rename(i, n % 4)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(i, n)| Step::Tag(i, n % 4)),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(i, n)| Step::Untag(i, n % 4)),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => folder.prop_map(Step::FolderGone),
    ];
    prop::collection::vec(step, 1..60)
}

/// What must be known of an item.
#[derive(Clone, Debug)]
struct Known {
    id: MediaId,
    generation: u32,
    names: Vec<String>,
    tags: HashSet<String>,
    content: u64,
    /// Where it is, or was last; `None` when another file took that name.
    at: Option<(usize, usize)>,
    present: bool,
}

/// The disk as it was last seen, and the items.
#[derive(Default)]
struct Model {
    items: BTreeMap<ItemNo, Known>,
    /// Names in folders at which the user removed an item.
    forgotten: HashSet<(usize, usize)>,
    removed: HashSet<String>,
}

impl Model {
    fn at(&self, at: (usize, usize)) -> Option<ItemNo> {
        let mut found = self.items.iter().filter(|(_, known)| known.at == Some(at));
        let item = found.next().map(|(item, _)| *item);
        assert!(found.next().is_none(), "two items at one place");
        item
    }

    fn pick(&self, n: usize) -> Option<ItemNo> {
        (!self.items.is_empty()).then(|| *self.items.keys().nth(n % self.items.len()).unwrap())
    }
}

struct Run {
    bench: Bench,
    folders: Vec<FolderNo>,
    model: Model,
}

impl Run {
    fn new() -> Self {
        let bench = Bench::new();
        let folders = (0..FOLDERS)
            .map(|n| {
                bench.write(|w| w.folder(bench.top(), OsStr::new(&n.to_string()), Nanoseconds(1)))
            })
            .collect();
        Self {
            bench,
            folders,
            model: Model::default(),
        }
    }

    fn content(content: u64) -> Evidence {
        evidence(content)
    }

    fn place(&self, at: (usize, usize)) -> Option<PlaceRow> {
        self.bench
            .reader()
            .place_named(self.folders[at.0], OsStr::new(NAMES[at.1]))
            .unwrap()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::See(folder, name, content) => self.see((folder, name), content),
            Step::Gone(folder, name) => {
                if let Some(place) = self.place((folder, name)) {
                    self.bench.gone(place.row);
                }
                if let Some(item) = self.model.at((folder, name)) {
                    self.model.items.get_mut(&item).unwrap().present = false;
                }
            }
            Step::Move(folder, name, to_folder, to_name) => {
                self.relocate((folder, name), (to_folder, to_name));
            }
            Step::Rename(n, name) => {
                let Some(item) = self.model.pick(n) else {
                    return;
                };
                let name = format!("name {name}.wav");
                self.bench.write(|w| w.rename(item, &name));
                let names = &mut self.model.items.get_mut(&item).unwrap().names;
                names.retain(|old| *old != name);
                names.insert(0, name);
            }
            Step::Tag(n, tag) => {
                let Some(item) = self.model.pick(n) else {
                    return;
                };
                let tag = Tag {
                    name: format!("tag {tag}"),
                    source: TagSource::User,
                    confidence: Confidence::CERTAIN,
                };
                self.bench.write(|w| w.tag(item, &tag));
                self.model
                    .items
                    .get_mut(&item)
                    .unwrap()
                    .tags
                    .insert(tag.name);
            }
            Step::Untag(n, tag) => {
                let Some(item) = self.model.pick(n) else {
                    return;
                };
                let tag = format!("tag {tag}");
                let had = self.bench.write(|w| w.untag(item, &tag.to_uppercase()));
                let known = self.model.items.get_mut(&item).unwrap();
                assert_eq!(had, known.tags.remove(&tag));
            }
            Step::Remove(n) => {
                let Some(item) = self.model.pick(n) else {
                    return;
                };
                self.bench.write(|w| w.remove(item));
                let known = self.model.items.remove(&item).unwrap();
                self.model.removed.insert(known.id.key());
                if let Some(at) = known.at {
                    self.model.forgotten.insert(at);
                }
            }
            Step::FolderGone(folder) => {
                let number = self.folders[folder];
                self.bench.write(|w| w.folder_gone(number));
                for known in self.model.items.values_mut() {
                    if known.at.is_some_and(|at| at.0 == folder) {
                        known.present = false;
                    }
                }
                let name = folder.to_string();
                let again = self
                    .bench
                    .write(|w| w.folder(self.bench.top(), OsStr::new(&name), Nanoseconds(1)));
                assert_eq!(again, number);
            }
        }
    }

    fn see(&mut self, at: (usize, usize), content: u64) {
        let folder = self.folders[at.0];
        let seen = file(Self::content(content));
        let observed = self
            .bench
            .write(|w| w.observe(folder, OsStr::new(NAMES[at.1]), &seen));
        let expected = self.model.at(at);
        if let Some(item) = expected {
            let known = self.model.items.get_mut(&item).unwrap();
            match observed {
                Observed::New(_) => panic!("a known place is not new"),
                Observed::Unchanged(_) => assert!(known.present && known.content == content),
                Observed::Returned(_) => assert!(!known.present && known.content == content),
                Observed::Changed(_) => assert_ne!(known.content, content),
            }
            if known.content != content {
                known.generation += 1;
                known.content = content;
            }
            known.present = true;
        }
        let item = self.bench.probe(place_of(observed), &sound_record());
        match (expected, item) {
            (Some(expected), Some(item)) => assert_eq!(expected, item),
            (Some(item), None) => panic!("{item:?} was lost"),
            (None, None) => assert!(self.model.forgotten.contains(&at), "{at:?} is no item"),
            (None, Some(item)) => {
                assert!(!self.model.forgotten.contains(&at));
                let row = self.bench.item(item);
                assert!(!self.model.removed.contains(&row.media_id.key()));
                let before = self.model.items.insert(
                    item,
                    Known {
                        id: row.media_id,
                        generation: 1,
                        names: vec![NAMES[at.1].to_owned()],
                        tags: HashSet::new(),
                        content,
                        at: Some(at),
                        present: true,
                    },
                );
                assert!(before.is_none(), "a number was given twice");
            }
        }
    }

    fn relocate(&mut self, from: (usize, usize), to: (usize, usize)) {
        let Some(place) = self.place(from) else {
            return;
        };
        let folder = self.folders[to.0];
        let evidence = Evidence {
            changed: Nanoseconds(place.evidence.changed.0 + 1),
            ..place.evidence
        };
        let observed = self
            .bench
            .write(|w| w.move_place(place.row, folder, OsStr::new(NAMES[to.1]), &evidence));
        let moved = self.model.at(from);
        let target = self.model.at(to);
        if from != to && moved.is_none() && self.place(from).is_some() {
            panic!("a moved file is at its old name still");
        }
        match (moved, target) {
            // Saved beside and renamed over: another content of what was there.
            (None, Some(target)) if from != to => {
                let known = self.model.items.get_mut(&target).unwrap();
                let same = known.content == place.evidence.size && !known.present;
                if same {
                    assert!(matches!(observed, Observed::Returned(_)));
                } else if known.content == place.evidence.size {
                    // The same size and times, but the inode's time tells.
                    assert!(matches!(observed, Observed::Changed(_)));
                }
                if !same {
                    known.generation += 1;
                }
                known.content = place.evidence.size;
                known.present = true;
            }
            _ => {
                if from != to
                    && let Some(target) = target
                {
                    let known = self.model.items.get_mut(&target).unwrap();
                    known.at = None;
                    known.present = false;
                }
                if let Some(moved) = moved {
                    let known = self.model.items.get_mut(&moved).unwrap();
                    if from != to && known.names[0] == NAMES[from.1] && from.1 != to.1 {
                        let name = NAMES[to.1].to_owned();
                        known.names.retain(|old| *old != name);
                        known.names.insert(0, name);
                    }
                    known.at = Some(to);
                    known.present = true;
                }
                if from != to {
                    // What the user removed stays with the file.
                    self.model.forgotten.remove(&to);
                    if self.model.forgotten.remove(&from) {
                        self.model.forgotten.insert(to);
                    }
                }
            }
        }
        if from != to && moved.is_none() && target.is_some() {
            self.model.forgotten.remove(&from);
        }
        // Contents keep the inode's time of the move; later sights must agree with it.
        let after = self.bench.place(place_of(observed));
        if after.evidence.changed != Self::content(0).changed {
            let back = Evidence {
                changed: Self::content(0).changed,
                ..after.evidence
            };
            let at = if place_of(observed) == place.row || from == to {
                to
            } else {
                to
            };
            let folder = self.folders[at.0];
            // As a rename back and forth: the same content with another time of the inode.
            self.bench
                .write(|w| w.move_place(after.row, folder, OsStr::new(NAMES[at.1]), &back));
        }
        let generation = self.bench.place(place_of(observed)).generation;
        let _ = self
            .bench
            .write(|w| w.record_probe(place_of(observed), generation, &sound_record()));
        if let Some(item) = self
            .bench
            .reader()
            .item_at(place_of(observed), None)
            .unwrap()
            && !self.model.items.contains_key(&item.row)
        {
            // A file that was no item before is one now.
            self.model.items.insert(
                item.row,
                Known {
                    id: item.media_id,
                    generation: 1,
                    names: vec![item.name],
                    tags: HashSet::new(),
                    content: item.size,
                    at: Some(to),
                    present: true,
                },
            );
        }
    }

    fn check(&self) {
        let reader = self.bench.reader();
        for (item, known) in &self.model.items {
            let row = reader.item(*item).unwrap().expect("an item was lost");
            assert_eq!(row.media_id, known.id);
            assert_eq!(row.generation, known.generation, "{item:?}");
            assert_eq!(row.size, known.content, "{item:?}");
            let state = if known.present {
                (Availability::Local, Playable::Bytes)
            } else {
                (Availability::Missing, Playable::Silence)
            };
            assert_eq!((row.availability, row.playable), state, "{item:?}");
            assert_eq!(reader.item_by_id(&known.id).unwrap().unwrap().row, *item);
            assert_eq!(reader.names(*item).unwrap(), known.names);
            let tags: HashSet<String> = reader
                .tags(*item)
                .unwrap()
                .into_iter()
                .map(|tag| tag.name)
                .collect();
            assert_eq!(tags, known.tags);
            let place = reader.place(row.place.unwrap()).unwrap().unwrap();
            assert_eq!(place.present, known.present);
            let at = known.at.map(|at| (self.folders[at.0], NAMES[at.1]));
            let is = place
                .folder
                .map(|folder| (folder, place.name.to_str().unwrap()));
            assert_eq!(is, at);
        }
        let listed = reader.search_numbers("", 0, u32::MAX).unwrap();
        assert_eq!(listed, self.model.items.keys().copied().collect::<Vec<_>>());
        for folder in &self.folders {
            let mut names = HashSet::new();
            for (place, _) in reader.list_places(*folder, 0, u32::MAX).unwrap() {
                assert!(names.insert(place.name), "two files of one name");
            }
        }
        assert_eq!(self.bench.catalog.check().unwrap(), Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_forgotten_whatever_happens_to_the_files(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
            run.check();
        }
    }
}

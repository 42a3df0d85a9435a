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
    /// What is, or was, there is moved.
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
    prop::collection::vec(step, 1..50)
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
    /// Where the file is in which it lives while its own is not there.
    lent: Option<(usize, usize)>,
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

    /// The file there is another one, or gone: who lived in it does not any more.
    fn evict(&mut self, at: (usize, usize)) {
        for known in self.items.values_mut() {
            if known.lent == Some(at) {
                known.lent = None;
            }
        }
    }

    fn pick(&self, n: usize) -> Option<ItemNo> {
        (!self.items.is_empty()).then(|| *self.items.keys().nth(n % self.items.len()).unwrap())
    }
}

struct Run {
    bench: Bench,
    folders: Vec<FolderNo>,
    model: Model,
    /// Every write and rename gets its own time of the inode.
    clock: i64,
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
            clock: 0,
        }
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
                self.model.evict((folder, name));
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
                // What comes to where nothing was any more is not what was removed.
                if let Some(at) = known.at.filter(|_| known.present) {
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
                    if known.lent.is_some_and(|at| at.0 == folder) {
                        known.lent = None;
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

    /// Evidence as a program leaves it that has just written this content, or renamed a file of it.
    fn fresh(&mut self, content: u64) -> Evidence {
        self.clock += 1;
        let written = evidence(content);
        Evidence {
            changed: Nanoseconds(written.changed.0 + self.clock),
            ..written
        }
    }

    fn see(&mut self, at: (usize, usize), content: u64) {
        let folder = self.folders[at.0];
        let seen = match self.place(at) {
            // Nobody has touched it.
            Some(place) if place.present && place.evidence.size == content => place.evidence,
            _ => self.fresh(content),
        };
        let observed = self
            .bench
            .write(|w| w.observe(folder, OsStr::new(NAMES[at.1]), &file(seen)));
        let expected = self.model.at(at);
        if matches!(observed, Observed::Changed(_)) {
            self.model.evict(at);
        }
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
            known.lent = None;
        }
        let item = self.bench.probe(place_of(observed), &sound_record());
        if expected.is_some() {
            assert_eq!(item, expected);
            return;
        }
        assert_eq!(item.is_none(), self.model.forgotten.contains(&at), "{at:?}");
        let Some(item) = item else { return };
        let row = self.bench.item(item);
        assert!(!self.model.removed.contains(&row.media_id.key()));
        let known = Known {
            id: row.media_id,
            generation: 1,
            names: vec![NAMES[at.1].to_owned()],
            tags: HashSet::new(),
            content,
            at: Some(at),
            present: true,
            lent: None,
        };
        let before = self.model.items.insert(item, known);
        assert!(before.is_none(), "a number was given twice");
    }

    /// What is, or was, at one name is found at another one.
    fn relocate(&mut self, from: (usize, usize), to: (usize, usize)) {
        let Some(place) = self.place(from) else {
            return;
        };
        let content = place.evidence.size;
        let seen = self.fresh(content);
        let folder = self.folders[to.0];
        let known_there = self.place(to);
        let observed = self
            .bench
            .write(|w| w.move_place(place.row, folder, OsStr::new(NAMES[to.1]), &seen));
        let (moved, target) = (self.model.at(from), self.model.at(to));
        // Of a place that has only ever had this very file, the items were made by a look that was quicker than the
        // word of the move.
        let quick = known_there.is_some_and(|there| {
            there.generation == 1 && there.evidence.same_bytes(&place.evidence)
        }) && moved.is_some()
            && moved < target;
        let saved_over = from != to && target.is_some() && !quick;
        if saved_over {
            // Another content of what was there, unless this looks the same (here: a link to the same file).
            let item = target.unwrap();
            if matches!(observed, Observed::Changed(_)) {
                self.model.evict(to);
            }
            // Who lived in the file that came lives on in it, under its new name.
            for known in self.model.items.values_mut() {
                if known.lent == Some(from) {
                    known.lent = place.present.then_some(to);
                }
            }
            if let Some(moved) = moved.filter(|_| place.present) {
                let known = self.model.items.get_mut(&moved).unwrap();
                known.present = false;
                known.lent = Some(to);
            }
            let known = self.model.items.get_mut(&item).unwrap();
            known.lent = None;
            if known.content != content {
                assert!(matches!(observed, Observed::Changed(_)));
                known.generation += 1;
            } else if known.present {
                assert!(matches!(observed, Observed::Unchanged(_)));
            } else {
                assert!(matches!(observed, Observed::Returned(_)));
            }
            known.content = content;
            known.present = true;
            if moved.is_none() {
                self.model.forgotten.remove(&from);
            }
            assert_eq!(
                self.bench.probe(place_of(observed), &sound_record()),
                target
            );
            return;
        }
        assert_eq!(place_of(observed), place.row);
        let is_back = match observed {
            Observed::Returned(_) => true,
            // Its item was removed while it was gone.
            Observed::New(_) => target.is_none(),
            _ => false,
        };
        // What came so is new until it is read.
        let is_unread = moved.is_none() && !self.model.forgotten.contains(&from);
        assert_eq!(is_back, !place.present || is_unread);
        if from != to {
            assert!(
                self.place(from).is_none(),
                "a moved file is at its old name still"
            );
            // What the user removed goes with the file.
            self.model.forgotten.remove(&to);
            if self.model.forgotten.remove(&from) {
                self.model.forgotten.insert(to);
            }
            self.model.evict(to);
            for known in self.model.items.values_mut() {
                if known.lent == Some(from) {
                    known.lent = Some(to);
                }
            }
            if let Some(target) = target {
                let known = self.model.items.get_mut(&target).unwrap();
                known.at = None;
                known.present = false;
                known.lent = known.lent.or(Some(to));
            }
        }
        if let Some(moved) = moved {
            let known = self.model.items.get_mut(&moved).unwrap();
            if from.1 != to.1 && known.names[0] == NAMES[from.1] {
                known.names.retain(|old| old != NAMES[to.1]);
                known.names.insert(0, NAMES[to.1].to_owned());
            }
            known.at = Some(to);
            known.present = true;
            known.lent = None;
        }
    }

    fn check(&self) {
        let reader = self.bench.reader();
        for (item, known) in &self.model.items {
            let row = reader.item(*item).unwrap().expect("an item was lost");
            assert_eq!(row.media_id, known.id);
            assert_eq!(row.generation, known.generation, "{item:?}");
            assert_eq!(row.size, known.content, "{item:?}");
            let state = if known.present || known.lent.is_some() {
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
            assert_eq!(row.home.is_some(), known.lent.is_some(), "{item:?}");
            let named = |place: Option<PlaceNo>| {
                let place = reader.place(place.unwrap()).unwrap().unwrap();
                let name = place.name.into_string().unwrap();
                (place.folder.map(|folder| (folder, name)), place.present)
            };
            let at = |at: (usize, usize)| (self.folders[at.0], NAMES[at.1].to_owned());
            let record = (known.at.map(at), known.present);
            assert_eq!(named(row.place_of_record()), record, "{item:?}");
            if known.lent.is_some() {
                assert_eq!(named(row.place), (known.lent.map(at), true), "{item:?}");
            }
        }
        let listed = reader.search_numbers("", 0, u32::MAX).unwrap();
        assert_eq!(listed, self.model.items.keys().copied().collect::<Vec<_>>());
        for folder in &self.folders {
            let mut names = HashSet::new();
            for (place, _) in reader.list_places(*folder, 0, u32::MAX).unwrap() {
                assert!(names.insert(place.name), "two files of one name");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_forgotten_whatever_happens_to_the_files(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
            run.check();
        }
        prop_assert_eq!(run.bench.catalog.check().unwrap(), Vec::<String>::new());
    }
}

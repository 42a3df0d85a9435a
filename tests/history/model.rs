//! Random operations and reverts in random order, with restarts between, against a model: what an operation changed, cell
//! by cell, is what its revert changes back; what conflicts changes nothing; and when everything is reverted that can be,
//! everything is as it was at the beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::desk::Desk;

/// Every cell of every item, as text.
type Cells = BTreeMap<String, String>;

#[derive(Clone, Debug)]
enum Step {
    Rename(usize, usize),
    Tag(usize, usize),
    Untag(usize, usize),
    Attribute(usize, usize, usize),
    Use(usize, usize),
    NoUse(usize, usize),
    Relink(usize, usize),
    Replace(usize, usize),
    Remove(usize),
    Import(usize),
    Copy(usize),
    Revert(usize),
    RevertGroup(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..12_usize;
    prop_oneof![
        3 => (n.clone(), 0..4_usize).prop_map(|(i, k)| Step::Rename(i, k)),
        2 => (n.clone(), 0..3_usize).prop_map(|(i, k)| Step::Tag(i, k)),
        2 => (n.clone(), 0..3_usize).prop_map(|(i, k)| Step::Untag(i, k)),
        2 => (n.clone(), 0..2_usize, 0..3_usize).prop_map(|(i, k, v)| Step::Attribute(i, k, v)),
        2 => (n.clone(), 0..3_usize).prop_map(|(i, k)| Step::Use(i, k)),
        1 => (n.clone(), 0..3_usize).prop_map(|(i, k)| Step::NoUse(i, k)),
        2 => (n.clone(), n.clone()).prop_map(|(i, k)| Step::Relink(i, k)),
        2 => (n.clone(), n.clone()).prop_map(|(i, k)| Step::Replace(i, k)),
        2 => n.clone().prop_map(Step::Remove),
        2 => n.clone().prop_map(Step::Import),
        1 => n.clone().prop_map(Step::Copy),
        8 => (0..64_usize).prop_map(Step::Revert),
        1 => (0..3_usize).prop_map(Step::RevertGroup),
        1 => Just(Step::Restart),
    ]
}

struct World {
    desk: Desk,
    files: Vec<PathBuf>,
    ids: Vec<String>,
    /// Of each operation: what it changed, before and after. Of a revert what that changed.
    done: BTreeMap<u64, Diff>,
    /// Those of them that are reverts.
    turns: BTreeSet<u64>,
    /// Items that are not there, as they were when they went: so they come back.
    gone: BTreeMap<String, Cells>,
    conflicts: usize,
    reverts: usize,
}

/// What changed: before and after.
type Diff = BTreeMap<String, (Option<String>, Option<String>)>;

impl World {
    fn new() -> Self {
        let desk = Desk::new();
        let files: Vec<PathBuf> = (0..12)
            // Half of them of the same length, so that they can be relinked to each other.
            .map(|n| {
                desk.sound(
                    &format!("s{n}.wav"),
                    if n % 2 == 0 { 100 } else { 100 + n },
                    n,
                )
            })
            .collect();
        let ids = files.iter().take(4).map(|file| desk.import(file)).collect();
        Self {
            desk,
            files,
            ids,
            done: BTreeMap::new(),
            turns: BTreeSet::new(),
            gone: BTreeMap::new(),
            conflicts: 0,
            reverts: 0,
        }
    }

    fn cells(&self) -> Cells {
        let mut cells = Cells::new();
        for item in self.desk.items() {
            let id = item["mediaId"].as_str().unwrap();
            let mut put = |cell: &str, value: String| {
                cells.insert(format!("{id} {cell}"), value);
            };
            put("there", String::new());
            put("name", item["name"].to_string());
            put("bytes", item["resolvedPath"].to_string());
            for tag in item["tags"].as_array().unwrap() {
                put(&format!("tag {}", tag["name"]), tag.to_string());
            }
            for value in item["attributes"].as_array().unwrap() {
                put(&format!("attribute {}", value["name"]), value.to_string());
            }
            for usage in item["usages"].as_array().unwrap() {
                put(&format!("usage {usage}"), String::new());
            }
        }
        cells
    }

    fn id(&self, n: usize) -> &str {
        &self.ids[n % self.ids.len()]
    }

    /// Does a step. Gives the operations that the answer names, and whether it was a revert of what.
    fn go(&mut self, step: &Step, group: Option<&str>) {
        let before = self.cells();
        let with = |mut params: Value| {
            if let Some(group) = group {
                params["group"] = json!(group);
            }
            params
        };
        let names = ["Kick.wav", "Boom.wav", "Snare.wav", "Hat.wav"];
        let words = ["drum", "loud", "Loop"];
        let (method, params) = match step {
            Step::Rename(i, k) => (
                "media.rename",
                with(json!({"mediaId": self.id(*i), "name": names[*k]})),
            ),
            Step::Tag(i, k) => (
                "media.tag",
                with(json!({"mediaId": self.id(*i), "tags": [words[*k]]})),
            ),
            Step::Untag(i, k) => (
                "media.untag",
                with(json!({"mediaId": self.id(*i), "tags": [words[*k]]})),
            ),
            Step::Attribute(i, k, v) => {
                let name = ["bpm", "key"][*k];
                let value = [json!(90.25), json!("A minor"), Value::Null][*v].clone();
                let params = json!({"mediaId": self.id(*i), "attribute": name, "value": value});
                ("media.setAttribute", with(params))
            }
            Step::Use(i, k) | Step::NoUse(i, k) => {
                let usage = json!({
                    "mediaId": self.id(*i),
                    "project": "p",
                    "role": "track",
                    "target": format!("track {k}"),
                });
                let method = match step {
                    Step::Use(..) => "usages.add",
                    _ => "usages.remove",
                };
                (method, with(json!({"usages": [usage]})))
            }
            Step::Relink(i, k) => (
                "media.relink",
                with(json!({"mediaId": self.id(*i), "to": self.files[*k]})),
            ),
            Step::Replace(i, k) => (
                "media.replace",
                with(json!({"mediaId": self.id(*i), "to": self.files[*k], "consent": true})),
            ),
            Step::Remove(i) => (
                "media.remove",
                with(json!({"mediaId": self.id(*i), "force": true})),
            ),
            Step::Import(k) => ("media.import", with(json!({"paths": [self.files[*k]]}))),
            Step::Copy(k) => (
                "media.import",
                with(json!({"paths": [self.files[*k]], "mode": "copy"})),
            ),
            Step::Revert(n) => {
                let Some(operation) = self.done.keys().nth(n % self.done.len().max(1)) else {
                    return;
                };
                let operation = *operation;
                self.revert(operation);
                return;
            }
            Step::RevertGroup(n) => {
                let group = format!("group {n}");
                let answer = self.desk.ask("history.revert", json!({"group": group}));
                self.settle(before, answer.ok(), None);
                return;
            }
            Step::Restart => {
                self.desk.restart();
                assert_eq!(self.cells(), before, "a restart changes nothing");
                return;
            }
        };
        // What is refused (a tag that is not there, another sound) changes nothing.
        let answer = self.desk.ask(method, params).ok();
        if let Some(items) = answer.as_ref().and_then(|a| a["items"].as_array()) {
            for item in items {
                let id = item["mediaId"].as_str().unwrap().to_owned();
                if !self.ids.contains(&id) {
                    self.ids.push(id);
                }
            }
        }
        let after = self.cells();
        let operation = answer.as_ref().and_then(|a| a["operation"]["id"].as_u64());
        match operation {
            Some(operation) => {
                let diff = diff(&before, &after);
                self.note_gone(&before, &diff);
                assert!(
                    !self.done.contains_key(&operation),
                    "{operation} was given twice"
                );
                self.done.insert(operation, diff);
            }
            None => assert_eq!(before, after, "{step:?} changed something in secret"),
        }
    }

    /// Gives whether it was reverted.
    fn revert(&mut self, operation: u64) -> bool {
        let before = self.cells();
        let stands = self.stands_in_the_way_of(operation);
        let answer = self
            .desk
            .call("history.revert", json!({"operation": operation}));
        let expected = self.done.get(&operation).cloned();
        let reverted = self.settle(before, Some(answer), expected);
        assert!(
            !(reverted && stands),
            "{operation} took a whole item back that something was done to since"
        );
        reverted
    }

    /// A revert is to be reverted that made an item come, or go, and something else that was done to it since is in effect.
    /// Where bytes are is left out: that changes by what is done to others too.
    fn stands_in_the_way_of(&self, operation: u64) -> bool {
        let Some(diff) = self.done.get(&operation) else {
            return false;
        };
        let whole: BTreeSet<&str> = diff
            .keys()
            .filter_map(|cell| cell.strip_suffix(" there"))
            .collect();
        if whole.is_empty() || !self.turns.contains(&operation) {
            return false;
        }
        let since = self.in_effect().into_iter().filter(|n| *n > operation);
        let mut cells = since.filter_map(|n| self.done.get(&n)).flat_map(Diff::keys);
        cells.any(|cell| {
            cell.split_once(' ')
                .is_some_and(|(id, cell)| whole.contains(id) && cell != "bytes")
        })
    }

    fn settle(&mut self, before: Cells, answer: Option<Value>, reverted: Option<Diff>) -> bool {
        let after = self.cells();
        let Some(answer) = answer else {
            assert_eq!(before, after);
            return false;
        };
        if answer["outcome"] == "conflict" {
            self.conflicts += 1;
            assert_eq!(before, after, "a conflict changes nothing: {answer}");
            assert!(answer["operation"].is_null(), "{answer}");
            let conflicts = answer["conflicts"].as_array().unwrap();
            assert!(!conflicts.is_empty(), "{answer}");
            assert!(
                conflicts
                    .iter()
                    .all(|c| !c["reason"].as_str().unwrap().is_empty())
            );
            return false;
        }
        self.reverts += 1;
        let changed = diff(&before, &after);
        self.note_gone(&before, &changed);
        if let Some(reverted) = reverted {
            let back = self.back(&before, reverted);
            assert_eq!(
                changed, back,
                "a revert changes back what was changed: {answer}"
            );
        }
        let operations = answer["operations"].as_array().unwrap();
        // Of a group nobody knows which part changed what; its parts are not reverted one by one.
        if let [one] = operations.as_slice() {
            let number = one["id"].as_u64().unwrap();
            self.done.insert(number, changed);
            self.turns.insert(number);
        }
        true
    }

    /// What the revert of this is to change: of an item that goes all that it has now, of one that comes all that it had.
    fn back(&self, before: &Cells, reverted: Diff) -> Diff {
        let mut back = Diff::new();
        let whole: BTreeSet<String> = reverted
            .keys()
            .filter_map(|cell| cell.strip_suffix(" there").map(str::to_owned))
            .collect();
        for (cell, (was, is)) in reverted {
            let id = cell.split(' ').next().unwrap();
            if !whole.contains(id) {
                back.insert(cell, (is, was));
            } else if cell.ends_with(" there") {
                let goes = is.is_some();
                let of_item = if goes { before } else { &self.gone[id] };
                for (cell, value) in of_item.iter().filter(|(cell, _)| cell.starts_with(id)) {
                    let value = Some(value.clone());
                    let ends = if goes { (value, None) } else { (None, value) };
                    back.insert(cell.clone(), ends);
                }
            }
        }
        back
    }

    fn note_gone(&mut self, before: &Cells, changed: &Diff) {
        for (cell, ends) in changed {
            if let Some(id) = cell.strip_suffix(" there")
                && ends.1.is_none()
            {
                let all = before.iter().filter(|(cell, _)| cell.starts_with(id));
                let all = all.map(|(cell, value)| (cell.clone(), value.clone()));
                self.gone.insert(id.to_owned(), all.collect());
            }
        }
    }

    /// Operations that are in effect, and no reverts.
    fn in_effect(&self) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        let mut before = 0;
        loop {
            let page = self
                .desk
                .call("history.list", json!({"before": before, "limit": 7}));
            for operation in page["operations"].as_array().unwrap() {
                if operation["reverts"].is_null() && operation["revertedBy"].is_null() {
                    found.insert(operation["id"].as_u64().unwrap());
                }
            }
            match page["next"].as_u64() {
                Some(next) => before = next,
                None => return found,
            }
        }
    }
}

fn diff(before: &Cells, after: &Cells) -> Diff {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            let ends = (before.get(key).cloned(), after.get(key).cloned());
            (key.clone(), ends)
        })
        .collect()
}

fn run(steps: &[(Step, Option<usize>)], order: &[usize]) -> (usize, usize) {
    let mut world = World::new();
    let imports = world.in_effect();
    let beginning = world.cells();
    for (step, group) in steps {
        let group = group.map(|n| format!("group {n}"));
        world.go(step, group.as_deref());
    }
    world.desk.restart();
    // In random order, until nothing more can be reverted.
    let mut order = order.iter().copied().cycle();
    loop {
        let mut left: Vec<u64> = world.in_effect().difference(&imports).copied().collect();
        let mut progress = false;
        while !left.is_empty() {
            let at = order.next().unwrap_or(0) % left.len();
            let operation = left.swap_remove(at);
            let before = world.cells();
            let answer = world
                .desk
                .call("history.revert", json!({"operation": operation}));
            progress |= world.settle(before, Some(answer), None);
        }
        if !progress {
            break;
        }
    }
    let left: Vec<u64> = world.in_effect().difference(&imports).copied().collect();
    assert_eq!(
        left,
        Vec::<u64>::new(),
        "everything can be reverted in some order"
    );
    assert_eq!(world.cells(), beginning);
    (world.conflicts, world.reverts)
}

#[test]
fn whatever_was_done_can_be_reverted_in_any_order_that_has_no_conflicts() {
    let seen = std::cell::Cell::new((0, 0));
    let cases = std::env::var("MEDIAFS_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(24);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec((step(), prop::option::weighted(0.15, 0..3_usize)), 1..50);
    let order = prop::collection::vec(
        any::<prop::sample::Index>().prop_map(|i| i.index(1 << 20)),
        16,
    );
    runner
        .run(&(steps, order), |(steps, order)| {
            let (conflicts, reverts) = run(&steps, &order);
            let (c, r) = seen.get();
            seen.set((c + conflicts, r + reverts));
            Ok(())
        })
        .unwrap();
    let (conflicts, reverts) = seen.get();
    // A test of conflicts that met none says nothing.
    assert!(conflicts > 20 && reverts > 100, "{conflicts} {reverts}");
}

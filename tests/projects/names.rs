//! Names that the drive shows go with a project: on another machine each leads to the sound that it led to, or to none.

use std::path::Path;

use mediafs::catalog::{BaseRow, Durability, Section};
use mediafs::library::ImportMode;
use mediafs::model::{MediaId, UsageRole};
use mediafs::project;
use proptest::prelude::*;

use crate::machine::{Machine, copy, folder, manifest, put, wav};

impl Machine {
    /// To which item a name in a project's `Audio/` leads.
    fn leads(&self, base: &BaseRow, name: &str) -> Option<String> {
        let found = self.reader().shown(base.row, Section::Audio, name).unwrap();
        found.map(|item| item.media_id.to_string())
    }

    /// What a project's `Audio/` lists, sorted.
    fn listed(&self, base: &BaseRow) -> Vec<(String, String)> {
        let listed = self
            .reader()
            .list_shown(base.row, Section::Audio, 0, 10_000)
            .unwrap();
        let mut listed: Vec<_> = listed
            .into_iter()
            .map(|(_, name, item)| (name, item.media_id.to_string()))
            .collect();
        listed.sort();
        listed
    }

    /// To which item a name in `by-track/<folder>` leads; `None` where there is no such folder.
    fn leads_in(&self, base: &BaseRow, folder: &str, name: &str) -> Option<Option<String>> {
        let project = base.project.clone().unwrap();
        let reader = self.reader();
        let folder = reader
            .usage_folder_named(&project, &UsageRole::Track, folder)
            .unwrap()?;
        let found = reader.used(folder, name).unwrap();
        Some(found.map(|item| item.media_id.to_string()))
    }

    fn add(&self, base: &BaseRow, at: &Path, value: i16, name: &str, id: &str) -> MediaId {
        let file = at.join(format!("sounds {value}")).join(name);
        put(&file, &wav(value, 40));
        self.import(Some(base), &file, ImportMode::Copy, Some(id))
    }

    fn remove(&self, base: &BaseRow, id: &str) {
        let item = self.item(base, &id.parse().unwrap()).unwrap().row;
        self.catalog
            .write(Durability::Full, |writer| writer.remove(item))
            .unwrap();
    }
}

fn new(at: &Path) -> (Machine, BaseRow) {
    let one = Machine::new(&at.join("home"));
    let base = project::new(&one.library, &at.join("Song"), true)
        .unwrap()
        .base;
    (one, base)
}

#[test]
fn a_name_leads_to_the_same_sound_on_another_machine_or_to_none() {
    let place = folder();
    let at = place.path();
    let (one, base) = new(at);
    // The ids are in the other order than the making.
    let boom = one.add(&base, at, 1, "Kick.wav", "z-first");
    one.rename(&base, &boom, "Boom.wav");
    one.add(&base, at, 2, "Kick.wav", "a-second");
    one.add(&base, at, 3, "Kick.wav", "m-gone");
    one.remove(&base, "m-gone");
    one.add(&base, at, 4, "Kick.wav", "b-last");
    let names = [
        ("Boom.wav", Some("z-first")),
        ("Kick.wav", Some("z-first")),
        ("Kick (2).wav", Some("a-second")),
        ("Kick (3).wav", None),
        ("Kick (4).wav", Some("b-last")),
    ];
    let check = |machine: &Machine, base: &BaseRow| {
        for (name, id) in names {
            assert_eq!(machine.leads(base, name).as_deref(), id, "{name}");
        }
    };
    check(&one, &base);
    one.save(&base, "1");
    let text = manifest(&base.path);
    let two = Machine::new(&at.join("other home"));
    let there = two.open(&base.path).base;
    check(&two, &there);
    assert_eq!(two.listed(&there), one.listed(&base));
    assert!(!two.save(&there, "1").written);
    assert_eq!(manifest(&base.path), text);
    // What comes to it there takes none of them.
    two.add(&there, at, 5, "Kick.wav", "c-new");
    check(&two, &there);
    two.save(&there, "1");
    let base = one.open(&base.path).base;
    check(&one, &base);
    assert_eq!(two.listed(&there), one.listed(&base));
    assert_eq!(one.leads(&base, "Kick (5).wav").as_deref(), Some("c-new"));
}

#[test]
fn a_manifest_says_nothing_of_names_that_follow() {
    let place = folder();
    let at = place.path();
    let (one, base) = new(at);
    let kick = one.add(&base, at, 1, "Kick.wav", "kick");
    one.use_as(&base, &one.item(&base, &kick).unwrap(), "track", "Drums");
    one.save(&base, "1");
    let text = manifest(&base.path);
    for word in ["shown", "retired", "folders"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    let two = Machine::new(&at.join("other home"));
    let there = two.open(&base.path).base;
    assert_eq!(
        two.leads_in(&there, "Drums", "Kick.wav"),
        Some(Some("kick".to_owned()))
    );
}

#[test]
fn names_of_tracks_and_in_them_go_along() {
    let place = folder();
    let at = place.path();
    let (one, base) = new(at);
    let uses = |id: &MediaId, track: &str| {
        one.use_as(&base, &one.item(&base, id).unwrap(), "track", track);
    };
    let first = one.add(&base, at, 1, "Kick.wav", "z-first");
    uses(&first, "t:ONE");
    one.rename(&base, &first, "Boom.wav");
    let second = one.add(&base, at, 2, "Kick.wav", "a-second");
    uses(&second, "t:ONE");
    // The same name for people, another track.
    uses(&second, "T:one");
    let gone = one.add(&base, at, 3, "Snare.wav", "m-gone");
    uses(&gone, "t:ONE");
    one.remove(&base, "m-gone");
    let other = one.add(&base, at, 4, "Snare.wav", "n-last");
    uses(&other, "t:ONE");
    let project = base.project.clone().unwrap();
    let folders = |machine: &Machine| {
        let listed = machine.reader().given_folders(&project).unwrap();
        let mut listed: Vec<_> = listed
            .into_iter()
            .map(|folder| (folder.target, folder.name))
            .collect();
        listed.sort();
        listed
    };
    let named = folders(&one);
    assert_eq!(named.len(), 2);
    let of_first = named.iter().find(|(target, _)| target == "t:ONE").unwrap();
    let folder = of_first.1.clone();
    let names = [
        ("Boom.wav", Some("z-first")),
        ("Kick.wav", Some("z-first")),
        ("Kick (2).wav", Some("a-second")),
        ("Snare.wav", None),
        ("Snare (2).wav", Some("n-last")),
    ];
    let check = |machine: &Machine, base: &BaseRow| {
        for (name, id) in names {
            let found = machine.leads_in(base, &folder, name).unwrap();
            assert_eq!(found.as_deref(), id, "{name}");
        }
    };
    check(&one, &base);
    one.save(&base, "1");
    let two = Machine::new(&at.join("other home"));
    let there = two.open(&base.path).base;
    assert_eq!(folders(&two), named);
    check(&two, &there);
    assert!(!two.save(&there, "1").written);
    // A sound that comes back under its id has its names again, though it is another item for this catalog.
    let again = two.add(&there, at, 3, "Snare.wav", "m-gone");
    two.use_as(&there, &two.item(&there, &again).unwrap(), "track", "t:ONE");
    let found = two.leads_in(&there, &folder, "Snare.wav").unwrap();
    assert_eq!(found.as_deref(), Some("m-gone"));
}

#[test]
fn a_used_sound_of_the_library_is_told_of_in_the_same_words_wherever_it_is() {
    let place = folder();
    let at = place.path();
    let (one, base) = new(at);
    put(&at.join("samples/Kick.wav"), &wav(9, 40));
    let hat = one.import(None, &at.join("samples"), ImportMode::Reference, None);
    let item = one.reader().item_in_scope(&hat, None).unwrap().unwrap();
    one.use_as(&base, &item, "track", "Drums");
    one.save(&base, "1");
    let two = Machine::new(&at.join("other home"));
    let there = two.open(&base.path).base;
    assert_eq!(two.leads(&there, "Kick.wav").as_deref(), Some(hat.as_str()));
    assert!(!two.save(&there, "1").written);
    // A word of theirs, so that it is gone through here.
    two.add(&there, at, 1, "Snare.wav", "snare");
    assert!(two.save(&there, "2").written);
    let base = one.open(&base.path).base;
    assert!(!project::is_unsaved(&one.library, &base).unwrap());
    assert!(!one.save(&base, "2").written);
    // Here the name is nobody else's either.
    one.add(&base, at, 2, "Kick.wav", "kick");
    assert_eq!(one.leads(&base, "Kick.wav"), None);
    assert_eq!(one.leads(&base, "Kick (2).wav").as_deref(), Some("kick"));
}

#[test]
fn a_removed_item_that_is_made_again_has_its_names_in_tracks_again() {
    let place = folder();
    let at = place.path();
    let (one, base) = new(at);
    let kick = one.add(&base, at, 1, "Kick.wav", "kick");
    let use_it = || one.use_as(&base, &one.item(&base, &kick).unwrap(), "track", "Drums");
    use_it();
    one.remove(&base, "kick");
    assert_eq!(one.leads_in(&base, "Drums", "Kick.wav"), Some(None));
    one.add(&base, at, 2, "Kick.wav", "kick");
    assert_eq!(
        one.leads_in(&base, "Drums", "Kick.wav"),
        Some(Some("kick".to_owned()))
    );
    use_it();
    let project = base.project.clone().unwrap();
    let reader = one.reader();
    let drums = reader
        .usage_folder_named(&project, &UsageRole::Track, "Drums")
        .unwrap()
        .unwrap();
    let listed = reader.list_used(drums, 0, 10).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].1, "Kick.wav");
}

#[test]
fn in_a_manifest_that_says_nothing_of_names_former_ones_come_first() {
    let place = folder();
    let song = place.path().join("Song");
    let item = |id: &str, name: &str, more: &str| {
        format!(
            r#"{{"mediaId":"{id}","kind":"audio","name":"{name}",{more}"storage":{{"backend":"project","path":"Media/{id}.wav"}}}}"#
        )
    };
    let text = format!(
        r#"{{"format":"mediafs-project","version":2,"projectId":"p","name":"S","items":[{},{}]}}"#,
        item("a", "Kick.wav", ""),
        item("b", "Boom.wav", r#""formerNames":["Kick.wav"],"#)
    );
    put(&song.join("media.json"), text.as_bytes());
    let one = Machine::new(&place.path().join("home"));
    let base = one.open(&song).base;
    assert_eq!(one.leads(&base, "Kick.wav").as_deref(), Some("b"));
    assert_eq!(one.leads(&base, "Kick (2).wav").as_deref(), Some("a"));
}

#[test]
fn names_that_no_folder_would_give_are_kept_and_not_gone_by() {
    let place = folder();
    let song = place.path().join("Song");
    let odd = [
        r#"{"in":"Audio","name":"../x.wav"}"#,
        r#"{"in":"Audio","target":"t","name":"x.wav"}"#,
        r#"{"in":"by-mood","target":"t","name":"x.wav"}"#,
        r#"{"in":"by-track","name":"x.wav"}"#,
    ];
    let text = format!(
        r#"{{"format":"mediafs-project","version":2,"projectId":"p","name":"S","retired":[7],"folders":"none","items":[{{"mediaId":"a","kind":"audio","name":"Kick.wav","storage":{{"backend":"project","path":"Media/a.wav"}},"shown":[{},{{"in":"Audio","name":"Other.wav"}}]}}]}}"#,
        odd.join(",")
    );
    put(&song.join("media.json"), text.as_bytes());
    let one = Machine::new(&place.path().join("home"));
    let base = one.open(&song).base;
    // It leads there, and is not how an item of this name is listed.
    assert_eq!(one.leads(&base, "Other.wav").as_deref(), Some("a"));
    assert_eq!(one.listed(&base), [("Kick.wav".to_owned(), "a".to_owned())]);
    one.save(&base, "1");
    let saved = manifest(&song);
    for odd in odd {
        assert!(saved.contains(odd), "{odd} is not in {saved}");
    }
    assert!(saved.contains(r#""folders": "none""#), "{saved}");
    let two = Machine::new(&place.path().join("other home"));
    let there = two.open(&song).base;
    assert!(!two.save(&there, "1").written);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8),
    Rename(usize, u8),
    Remove(usize),
    Use(usize, u8),
    /// The other machine goes on with it.
    Over,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..6_usize;
    prop_oneof![
        3 => (0..3_u8).prop_map(Step::Add),
        3 => (which.clone(), 0..3_u8).prop_map(|(i, n)| Step::Rename(i, n)),
        1 => which.clone().prop_map(Step::Remove),
        2 => (which, 0..2_u8).prop_map(|(i, t)| Step::Use(i, t)),
        2 => Just(Step::Over),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_name_ever_leads_to_another_sound_wherever_the_project_goes(steps in prop::collection::vec(step(), 1..24)) {
        let place = folder();
        let at = place.path();
        let (one, mut base) = new(at);
        let song = base.path.clone();
        let machines = [one, Machine::new(&at.join("other home"))];
        let (mut here, mut count, mut copies) = (0, 0_i16, 0);
        // Every name that was ever shown, and what it led to.
        let mut ever: std::collections::BTreeMap<(String, String), String> = Default::default();
        let project = base.project.clone().unwrap();
        for step in steps {
            let machine = &machines[here];
            let items = machine.reader().list_project_items(base.row, 0, 100).unwrap();
            let pick = |which: usize| items.get(which.checked_rem(items.len()).unwrap_or(0));
            match step {
                Step::Add(name) => {
                    count += 1;
                    // In no order.
                    let id = format!("{}-{count}", (count * 7) % 10);
                    machine.add(&base, at, count, &format!("name {name}.wav"), &id);
                }
                Step::Rename(which, name) => if let Some(item) = pick(which) {
                    machine.rename(&base, &item.media_id, &format!("name {name}.wav"));
                },
                Step::Remove(which) => if let Some(item) = pick(which) {
                    machine.remove(&base, item.media_id.as_str());
                },
                Step::Use(which, track) => if let Some(item) = pick(which) {
                    machine.use_as(&base, item, "track", ["T/1", "t/1"][usize::from(track)]);
                },
                Step::Over => {
                    machine.save(&base, "1");
                    let text = manifest(&song);
                    let listed = machine.listed(&base);
                    here = 1 - here;
                    base = machines[here].open(&song).base;
                    // What was removed on one machine only is there still.
                    let there = machines[here].listed(&base);
                    for one in &listed {
                        assert!(there.contains(one), "{one:?} is not among {there:?}");
                    }
                    // A machine that never saw it has the same, and tells it in the same words.
                    copies += 1;
                    let copied = at.join(format!("copy {copies}"));
                    copy(&song, &copied);
                    put(&copied.join("media.json"), text.as_bytes());
                    let fresh = Machine::new(&at.join(format!("home {copies}")));
                    let theirs = fresh.open(&copied).base;
                    assert_eq!(fresh.listed(&theirs), listed);
                    fresh.save(&theirs, "1");
                    assert!(manifest(&copied) == text, "{}\n{text}", manifest(&copied));
                }
            }
            let machine = &machines[here];
            let reader = machine.reader();
            let mut now: Vec<((String, String), String)> = machine
                .listed(&base)
                .into_iter()
                .map(|(name, id)| (("Audio".to_owned(), name), id))
                .collect();
            for (folder, folder_name) in reader.usage_folders(&project, &UsageRole::Track, 0, 10).unwrap() {
                let used = reader.list_used(folder, 0, 100).unwrap();
                now.extend(used.into_iter().map(|(_, name, item)| ((folder_name.clone(), name), item.media_id.to_string())));
            }
            for (name, id) in now {
                let before = ever.entry(name.clone()).or_insert_with(|| id.clone());
                assert_eq!(*before, id, "{name:?}");
            }
            for ((folder, name), id) in &ever {
                let leads = match folder.as_str() {
                    "Audio" => machine.leads(&base, name),
                    folder => machine.leads_in(&base, folder, name).flatten(),
                };
                assert!(leads.is_none() || leads.as_ref() == Some(id), "{folder}/{name}: {leads:?}, not {id}");
            }
        }
    }
}

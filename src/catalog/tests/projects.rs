//! Bases, and the names that projects show.

use super::*;
use crate::model::{Storage, path_text};

#[test]
fn the_same_path_is_the_same_library_and_a_taken_name_is_numbered() {
    let bench = Bench::new();
    let again = bench.write(|w| w.add_library("Whatever", Path::new("/srv/samples")));
    assert_eq!(again, bench.library);
    let twin = bench.write(|w| w.add_library("SAMPLES", Path::new("/mnt/samples")));
    assert_eq!(twin.name, "SAMPLES (2)");
    let odd = bench.write(|w| w.add_library("a:b", Path::new("/mnt/ab")));
    assert_eq!(odd.name, "a%3Ab");
    let reader = bench.reader();
    assert_eq!(reader.bases().unwrap().len(), 3);
    let named = reader.base_named(BaseKind::Library, "samples (2)").unwrap();
    assert_eq!(named, Some(twin.clone()));
    assert_eq!(
        reader.base_named(BaseKind::Project, "samples").unwrap(),
        None
    );
    bench.write(|w| w.set_active(twin.row, false, false));
    let back = bench.write(|w| w.add_library("x", Path::new("/mnt/samples")));
    assert_eq!(back, twin);
}

#[test]
fn a_project_is_known_by_its_id() {
    let bench = Bench::new();
    let id = ProjectId::new();
    let first = bench.write(|w| w.add_project(&id, "Song", Path::new("/a/Song")));
    assert!(!first.active);
    let moved = bench.write(|w| w.add_project(&id, "Hit", Path::new("/b/Hit")));
    assert_eq!((moved.row, moved.name.as_str()), (first.row, "Hit"));
    assert_eq!(moved.path, Path::new("/b/Hit"));
    // The old name leads to it still, and is nobody else's.
    let reader = bench.reader();
    for name in ["song", "HIT"] {
        let found = reader.base_named(BaseKind::Project, name).unwrap().unwrap();
        assert_eq!(found.row, first.row);
    }
    let other = bench.project("Song");
    assert_eq!(other.name, "Song (2)");
    let back = bench.write(|w| w.add_project(&id, "Song", Path::new("/b/Hit")));
    assert_eq!(back.name, "Song");
}

#[test]
fn there_is_one_computer() {
    let bench = Bench::new();
    let first = bench.write(|w| w.computer(Path::new("/opt/a.wav")));
    assert_eq!(bench.write(|w| w.computer(Path::new("/b.wav"))), first);
    assert_eq!(
        (first.kind, first.path.as_path()),
        (BaseKind::Computer, Path::new("/"))
    );
    let item = bench.write(|w| {
        let folder = w.folder(first.top, OsStr::new("opt"), Nanoseconds(1))?;
        let place = place_of(w.observe(folder, OsStr::new("a.wav"), &file(evidence(1)))?);
        // A file of the computer is no item by itself.
        assert_eq!(w.record_probe(place, 1, &sound_record())?, None);
        w.add_item(&new_item("a", None, "a.wav", place))
    });
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    assert_eq!(
        whole.storage,
        Storage::Reference {
            root: None,
            path: path_text(&Path::new("/").join("opt").join("a.wav"))
        }
    );
    assert_eq!(
        whole.resolved_path.clone().map(with_slashes).as_deref(),
        Some("/opt/a.wav")
    );
}

fn listed(bench: &Bench, project: &BaseRow) -> Vec<String> {
    let mut names = Vec::new();
    let mut after = 0;
    loop {
        let page = bench
            .reader()
            .list_shown(project.row, Section::Audio, after, 2)
            .unwrap();
        let Some(last) = page.last() else {
            return names;
        };
        after = last.0;
        names.extend(page.into_iter().map(|(_, name, _)| name));
    }
}

fn shown(bench: &Bench, project: &BaseRow, name: &str) -> Option<ItemNo> {
    bench
        .reader()
        .shown(project.row, Section::Audio, name)
        .unwrap()
        .map(|item| item.row)
}

#[test]
fn twins_in_a_project_are_numbered_for_good() {
    let bench = Bench::new();
    let song = bench.project("Song");
    let one = bench.take(&song, "1.wav", "Kick.wav", "one");
    let two = bench.take(&song, "2.wav", "KICK.wav", "two");
    let three = bench.take(&song, "3.wav", "Kick.wav", "three");
    assert_eq!(
        listed(&bench, &song),
        ["Kick.wav", "KICK (2).wav", "Kick (3).wav"]
    );
    bench.told();
    bench.write(|w| w.rename(one, "Boom.wav"));
    let told = bench.told();
    for name in ["Kick.wav", "Boom.wav"] {
        assert!(told.contains(&Change::Shown {
            project: song.row,
            section: Section::Audio,
            name: name.to_owned()
        }));
    }
    assert_eq!(
        listed(&bench, &song),
        ["KICK (2).wav", "Kick (3).wav", "Boom.wav"]
    );
    // The old name is not listed, leads on, and is not reused.
    assert_eq!(shown(&bench, &song, "kick.WAV"), Some(one));
    bench.write(|w| w.rename(two, "kick.wav"));
    assert_eq!(bench.item(two).name, "kick.wav");
    assert_eq!(
        bench.reader().shown_name(two).unwrap(),
        Some((Section::Audio, "kick (2).wav".to_owned()))
    );
    // Back to a name of its own.
    bench.write(|w| w.rename(one, "Kick.wav"));
    assert_eq!(
        bench.reader().shown_name(one).unwrap().unwrap().1,
        "Kick.wav"
    );
    assert_eq!(bench.reader().names(one).unwrap(), ["Kick.wav", "Boom.wav"]);
    assert_eq!(shown(&bench, &song, "Kick (3).wav"), Some(three));
    assert_eq!(shown(&bench, &song, "Boom.wav"), Some(one));
    assert_eq!(shown(&bench, &song, "Other.wav"), None);
}

#[test]
fn names_are_compared_in_one_composition() {
    let bench = Bench::new();
    let song = bench.project("Song");
    let one = bench.take(&song, "1.wav", "a\u{308}.wav", "one");
    bench.take(&song, "2.wav", "Ä.wav", "two");
    assert_eq!(shown(&bench, &song, "ä.wav"), Some(one));
    assert_eq!(listed(&bench, &song), ["a\u{308}.wav", "Ä (2).wav"]);
}

#[test]
fn a_removed_items_names_wait_for_it() {
    let bench = Bench::new();
    let song = bench.project("Song");
    let one = bench.take(&song, "1.wav", "Kick.wav", "one");
    bench.write(|w| w.remove(one));
    assert_eq!(shown(&bench, &song, "Kick.wav"), None);
    assert!(listed(&bench, &song).is_empty());
    let two = bench.take(&song, "2.wav", "Kick.wav", "two");
    assert_eq!(listed(&bench, &song), ["Kick (2).wav"]);
    let back = bench.take(&song, "1.wav", "Kick.wav", "ONE");
    assert_eq!(shown(&bench, &song, "Kick.wav"), Some(back));
    assert_eq!(shown(&bench, &song, "Kick (2).wav"), Some(two));
}

#[test]
fn open_projects_list_their_items_in_pages() {
    let bench = Bench::new();
    let songs = [bench.project("A"), bench.project("B"), bench.project("C")];
    let mut expected = Vec::new();
    for n in 0..9 {
        let song = &songs[n % 3];
        let item = bench.take(song, &format!("{n}.wav"), "x.wav", &format!("id{n}"));
        if n % 3 != 2 {
            expected.push(item);
        }
    }
    for song in &songs[..2] {
        bench.write(|w| w.set_active(song.row, true, false));
    }
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = bench.reader().list_open_items(after, 2).unwrap();
        let Some(last) = page.last() else { break };
        after = last.row.0;
        found.extend(page.into_iter().map(|item| item.row));
    }
    assert_eq!(found, expected);
    let of_b = bench
        .reader()
        .list_project_items(songs[1].row, 0, 10)
        .unwrap();
    assert_eq!(of_b.len(), 3);
}

#[test]
fn a_projects_own_file_is_recorded_relative_to_it() {
    let bench = Bench::new();
    let song = bench.project("Song");
    let item = bench.take(&song, "1.wav", "Kick?.wav", "One");
    let whole = bench.reader().media_item(item).unwrap().unwrap();
    assert_eq!(
        whole.storage,
        Storage::Project {
            path: "1.wav".to_owned()
        }
    );
    assert_eq!(whole.path, "by-id/One/Kick%3F.wav");
    assert_eq!(
        whole.scope,
        crate::model::Scope::Project(song.project.clone().unwrap())
    );
    assert_eq!(
        whole.resolved_path.clone().map(with_slashes).as_deref(),
        Some("/srv/projects/Song/1.wav")
    );
    let at = bench
        .reader()
        .child_place(song.top, OsStr::new("1.wav"))
        .unwrap();
    assert_eq!(at.unwrap().1.unwrap().row, item);
    let json = serde_json::to_value(&whole).unwrap();
    assert_eq!(json["mediaId"], "One");
    assert_eq!(json["storage"]["backend"], "project");
    assert_eq!(json["format"]["sampleRate"], 44_100);
    assert_eq!(json["availability"], "local");
}

#[test]
fn names_of_nothing_are_refused_before_anything_is_written() {
    let bench = Bench::new();
    let song = bench.project("Song");
    let one = bench.take(&song, "1.wav", "Kick.wav", "one");
    let outcome = bench.catalog.write(Durability::Full, |w| {
        assert!(matches!(
            w.rename(one, ""),
            Err(CatalogError::InvalidName { .. })
        ));
        w.rename(one, "Boom.wav")
    });
    outcome.unwrap();
    assert_eq!(bench.item(one).name, "Boom.wav");
}

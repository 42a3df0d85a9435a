//! What the system tells of a folder, and how records of Windows are read.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::records::{Records, may_be_short};
use super::{Event, Watcher};

const PATIENCE: Duration = Duration::from_secs(10);

fn watched(folder: &Path) -> (Watcher, Receiver<Event>) {
    let (tell, told) = mpsc::channel();
    let mut watcher = Watcher::new(move |event| {
        let _ = tell.send(event);
    })
    .unwrap();
    watcher.watch(folder).unwrap();
    (watcher, told)
}

/// Waits for an event that is meant.
fn until(told: &Receiver<Event>, mut meant: impl FnMut(&Event) -> bool) -> Event {
    let begun = Instant::now();
    loop {
        let event = told
            .recv_timeout(PATIENCE.saturating_sub(begun.elapsed()))
            .expect("the event did not come");
        if meant(&event) {
            return event;
        }
    }
}

fn is_at(event: &Event, path: &Path) -> bool {
    event.paths.first().is_some_and(|at| at == path)
}

#[test]
fn what_is_made_changed_and_removed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = crate::files::canonical(folder.path()).unwrap();
    let (_watcher, told) = watched(&root);
    let file = root.join("kick ä.wav");
    fs::write(&file, b"one").unwrap();
    until(&told, |event| event.kind.is_create() && is_at(event, &file));
    fs::write(&file, b"more").unwrap();
    until(&told, |event| event.kind.is_modify() && is_at(event, &file));
    fs::remove_file(&file).unwrap();
    until(&told, |event| event.kind.is_remove() && is_at(event, &file));
}

/// FSEvents does not tell which way a rename went.
#[cfg(not(target_os = "macos"))]
#[test]
fn both_halves_of_a_rename_are_known_to_be_one() {
    use notify::event::{EventKind, ModifyKind, RenameMode};

    let folder = tempfile::tempdir().unwrap();
    let root = crate::files::canonical(folder.path()).unwrap();
    let (old, new) = (root.join("old.wav"), root.join("new.wav"));
    fs::write(&old, b"one").unwrap();
    let (_watcher, told) = watched(&root);
    fs::rename(&old, &new).unwrap();
    let is = |mode, event: &Event| event.kind == EventKind::Modify(ModifyKind::Name(mode));
    let from = until(&told, |event| is(RenameMode::From, event));
    let to = until(&told, |event| is(RenameMode::To, event));
    assert!(is_at(&from, &old) && is_at(&to, &new), "{from:?} {to:?}");
    assert!(from.attrs.tracker().is_some());
    assert_eq!(from.attrs.tracker(), to.attrs.tracker());
}

#[test]
fn a_folder_that_took_the_place_of_another_is_watched_in_its_stead() {
    let folder = tempfile::tempdir().unwrap();
    let root = crate::files::canonical(folder.path()).unwrap().join("root");
    fs::create_dir(&root).unwrap();
    let (mut watcher, told) = watched(&root);
    fs::rename(&root, root.with_file_name("moved")).unwrap();
    fs::create_dir(&root).unwrap();
    watcher.watch(&root).unwrap();
    watcher.watch(&root).unwrap();
    let file = root.join("a.wav");
    fs::write(&file, b"one").unwrap();
    until(&told, |event| event.kind.is_create() && is_at(event, &file));
    // Watched once, told once.
    fs::remove_file(&file).unwrap();
    until(&told, |event| event.kind.is_remove() && is_at(event, &file));
    let last = root.join("last.wav");
    fs::write(&last, b"one").unwrap();
    until(&told, |event| {
        assert!(!event.kind.is_remove(), "told twice: {event:?}");
        event.kind.is_create() && is_at(event, &last)
    });
}

#[test]
fn what_is_not_watched_any_more_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = crate::files::canonical(folder.path()).unwrap();
    let (first, second) = (root.join("first"), root.join("second"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    let (mut watcher, told) = watched(&first);
    watcher.watch(&second).unwrap();
    watcher.forget(&first);
    watcher.forget(&first);
    fs::write(first.join("a.wav"), b"one").unwrap();
    let file = second.join("b.wav");
    fs::write(&file, b"one").unwrap();
    until(&told, |event| {
        assert!(
            !event.paths.iter().any(|at| at == &first.join("a.wav")),
            "{event:?}"
        );
        is_at(event, &file)
    });
}

#[test]
fn a_folder_that_is_not_there_is_not_watched() {
    let folder = tempfile::tempdir().unwrap();
    let mut watcher = Watcher::new(drop).unwrap();
    let error = watcher.watch(&folder.path().join("none")).unwrap_err();
    assert!(matches!(error, super::WatchError::Gone), "{error}");
}

/// Where a watch reaches to what is below, however much happens at once is told, or that some of it was lost.
#[cfg(any(windows, target_os = "macos"))]
#[test]
fn more_at_once_than_the_system_holds_is_told_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let root = crate::files::canonical(folder.path()).unwrap();
    let (tell, told) = mpsc::channel();
    let held = std::sync::Arc::new(std::sync::Mutex::new(()));
    let hold = held.lock().unwrap();
    let waits = std::sync::Arc::clone(&held);
    let mut watcher = Watcher::new(move |event| {
        drop(waits.lock());
        let _ = tell.send(event);
    })
    .unwrap();
    watcher.watch(&root).unwrap();
    let name = |n: usize| root.join(format!("{n:04} {}.wav", "long ".repeat(30)));
    for n in 0..2000 {
        fs::write(name(n), b"one").unwrap();
    }
    drop(hold);
    let mut missing: std::collections::BTreeSet<PathBuf> = (0..2000).map(name).collect();
    until(&told, |event| {
        for path in &event.paths {
            missing.remove(path);
        }
        event.need_rescan() || missing.is_empty()
    });
}

fn record(next: u32, action: u32, name: &str) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u32::try_from(name.len()).unwrap();
    let mut bytes = [next, action, length].map(u32::to_le_bytes).concat();
    bytes.extend(name);
    bytes.resize(bytes.len().max(next as usize), 0);
    bytes
}

fn plain(name: Vec<u16>) -> PathBuf {
    String::from_utf16_lossy(&name).into()
}

#[test]
fn records_become_events_and_halves_of_renames_belong_together_over_buffers() {
    let mut records = Records::default();
    let mut first = record(24, 1, "a.wav");
    first.extend(record(0, 4, "old.wav"));
    let first = records.events(Path::new("root"), &first, plain);
    let second = records.events(Path::new("root"), &record(0, 5, "new.wav"), plain);
    assert_eq!(first.len(), 2);
    assert!(first[0].kind.is_create() && is_at(&first[0], Path::new("root/a.wav")));
    assert!(is_at(&second[0], Path::new("root/new.wav")));
    assert_eq!(first[1].attrs.tracker(), second[0].attrs.tracker());
    let other = records.events(Path::new("root"), &record(0, 4, "other.wav"), plain);
    assert_ne!(other[0].attrs.tracker(), second[0].attrs.tracker());
}

#[test]
fn short_names_are_known_by_their_form() {
    let is = |name: &str| may_be_short(&name.encode_utf16().collect::<Vec<_>>());
    assert!(is("PROGRA~1") && is("KICKLO~1.WAV") && is("K~123456.W"));
    for long in [
        "~kick.wav",
        "kick~.wav",
        "kick 1.wav",
        "~",
        "1",
        "",
        "a~1.wave",
        "abcdefgh~1",
        "a~1.b.c",
    ] {
        assert!(!is(long), "{long}");
    }
}

#[test]
fn records_that_make_no_sense_are_told_as_lost() {
    for senseless in [
        record(4000, 1, "a.wav")[..20].to_vec(),
        record(0, 1, "a.wav")[..14].to_vec(),
        vec![0; 5],
        Vec::new(),
    ] {
        let events = Records::default().events(Path::new("root"), &senseless, plain);
        assert!(events.last().unwrap().need_rescan(), "{senseless:?}");
    }
}

proptest! {
    /// Bytes of any kind end, without a panic.
    #[test]
    fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let events = Records::default().events(Path::new("root"), &bytes, plain);
        prop_assert!(events.len() <= bytes.len() / 12 + 1);
    }
}

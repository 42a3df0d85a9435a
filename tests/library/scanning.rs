//! Scans of roots, and moves that nobody watched.

#[cfg(unix)]
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::AtomicBool;

#[cfg(unix)]
use mediafs::catalog::PlaceKind;
use mediafs::library::{LibraryError, Progress, Reconciled, Which};
use mediafs::model::{Availability, Playable};

#[cfg(unix)]
use crate::support::os;
use crate::support::{House, hydrogen, put, scan, wav};

#[test]
fn real_sounds_become_items_and_a_second_scan_changes_nothing() {
    let house = House::new();
    let library = house.quiet();
    let base = library.add_root(&hydrogen()).unwrap();
    let first = scan(&library).snapshot();
    let items = house.items(&base);
    assert!(items.len() > 40, "{}", items.len());
    assert!(first.seen >= first.done && first.done >= 40);
    // Every file is shown, media or not.
    let files = count_files(&hydrogen());
    assert_eq!(house.places(&base).len(), files);

    let second = scan(&library).snapshot();
    assert_eq!(second.seen, first.seen);
    assert_eq!(
        (second.expected, second.done),
        (0, 0),
        "nothing is read twice"
    );
    assert_eq!(house.items(&base), items);
}

fn count_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => count_files(&entry.path()),
            kind if kind.is_file() => 1,
            _ => 0,
        })
        .sum()
}

/// Windows has no such names.
#[cfg(unix)]
#[test]
fn odd_names_are_kept_byte_for_byte() {
    let house = House::new();
    let long = [b"x".repeat(251), b".wav".to_vec()].concat();
    let names: [&[u8]; 9] = [
        b"line\nbreak.wav",
        b"latin\xe9.wav",
        &long,
        "e\u{301}.wav".as_bytes(),
        "\u{e9}.wav".as_bytes(),
        b"con.wav",
        b"trailing. ",
        b"a:b?*.wav",
        b"-rf.wav",
    ];
    for (value, name) in (1..).zip(names) {
        put(&house.sounds().join(os(name)), &wav(value, 8));
    }
    let (library, base) = house.scanned();
    let places = house.places(&base);
    assert_eq!(places.len(), names.len());
    let mut known: Vec<_> = places.values().map(|(row, _)| row.name.clone()).collect();
    known.sort();
    let mut expected: Vec<_> = names.iter().map(|name| os(name).to_owned()).collect();
    expected.sort();
    assert_eq!(known, expected);
    assert!(places.values().all(|(_, item)| item.is_some()));
    assert_eq!(scan(&library).snapshot().expected, 0);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_listed_and_never_opened() {
    let house = House::new();
    let sounds = house.sounds();
    put(&sounds.join("kit/kick.wav"), &wav(1, 8));
    put(&house.folder.path().join("secret.wav"), &wav(2, 8));
    // Opening a pipe without a writer would hang.
    let made = std::process::Command::new("mkfifo")
        .arg(sounds.join("pipe.wav"))
        .status();
    assert!(made.unwrap().success());
    symlink("kit/kick.wav", sounds.join("inside.wav")).unwrap();
    symlink("../kit", sounds.join("kit/loop")).unwrap();
    symlink("../secret.wav", sounds.join("outside.wav")).unwrap();
    symlink("/etc/passwd", sounds.join("absolute.wav")).unwrap();
    symlink("self", sounds.join("self")).unwrap();
    let (library, base) = house.scanned();
    let places = house.places(&base);
    let names: Vec<_> = places.keys().map(String::as_str).collect();
    assert_eq!(names, ["inside.wav", "kit/kick.wav", "kit/loop", "self"]);
    assert_eq!(
        places["inside.wav"].0.kind,
        PlaceKind::Link("kit/kick.wav".into())
    );
    assert!(places["inside.wav"].1.is_none());
    assert!(places["kit/kick.wav"].1.is_some());
    let problems = library.problems(0, 100);
    let reason = |name: &str| {
        let found = problems.iter().find(|(path, _)| *path == sounds.join(name));
        found.map(|(_, reason)| reason.clone()).unwrap_or_default()
    };
    assert!(reason("pipe.wav").contains("pipe"));
    assert!(reason("outside.wav").contains("outside the library"));
    assert!(reason("absolute.wav").contains("absolute link"));
    assert_eq!(problems.len(), 3, "{problems:?}");

    std::fs::remove_file(sounds.join("pipe.wav")).unwrap();
    std::fs::remove_file(sounds.join("outside.wav")).unwrap();
    scan(&library);
    assert_eq!(
        library.problems(0, 100).len(),
        1,
        "what is cured is not listed any more"
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_left_a_link_in_its_place_goes_on_under_its_new_name() {
    let house = House::new();
    let sounds = house.sounds();
    put(&sounds.join("a.wav"), &wav(1, 80));
    put(&sounds.join("b.wav"), &wav(2, 90));
    let (library, base) = house.scanned();
    let before = house.items(&base);
    std::fs::create_dir(sounds.join("real")).unwrap();
    for name in ["a.wav", "b.wav"] {
        std::fs::rename(sounds.join(name), sounds.join("real").join(name)).unwrap();
    }
    symlink("real/a.wav", sounds.join("a.wav")).unwrap();
    symlink(sounds.join("real/b.wav"), sounds.join("b.wav")).unwrap();
    scan(&library);
    let places = house.places(&base);
    let names: Vec<_> = places.keys().map(String::as_str).collect();
    assert_eq!(names, ["a.wav", "real/a.wav", "real/b.wav"]);
    assert_eq!(places["a.wav"].0.kind, PlaceKind::Link("real/a.wav".into()));
    assert!(places["a.wav"].1.is_none());
    for (old, new) in [("a.wav", "real/a.wav"), ("b.wav", "real/b.wav")] {
        let (old, new) = (&before[old], places[new].1.as_ref().unwrap());
        assert_eq!((&old.media_id, old.size), (&new.media_id, new.size));
        assert_eq!((new.generation, new.playable), (1, Playable::Bytes));
    }
}

#[test]
fn what_promises_media_and_is_none_is_a_problem() {
    let house = House::new();
    put(&house.sounds().join("broken.wav"), b"RIFF....WAVEnonsense");
    put(&house.sounds().join("notes.txt"), b"hello");
    put(&house.sounds().join("empty.flac"), b"");
    let (_library, base) = house.scanned();
    let places = house.places(&base);
    assert!(places.values().all(|(_, item)| item.is_none()));
    assert!(places["broken.wav"].0.problem.is_some());
    assert!(places["notes.txt"].0.problem.is_none());
    let listed = house.reader().problems(0, 10).unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
}

#[test]
fn a_move_that_nobody_watched_keeps_the_id() {
    let house = House::new();
    let sounds = house.sounds();
    for n in 0..300_i16 {
        // All of one size: they are told apart by what the disk says.
        put(&sounds.join(format!("old/{}/{n}.wav", n % 7)), &wav(n, 16));
    }
    put(&sounds.join("a.wav"), &wav(1000, 99));
    let (library, base) = house.scanned();
    let before = house.items(&base);
    assert_eq!(before.len(), 301);

    std::fs::rename(sounds.join("old"), sounds.join("new")).unwrap();
    std::fs::rename(sounds.join("a.wav"), sounds.join("new/b.wav")).unwrap();
    scan(&library);
    let after = house.items(&base);
    assert_eq!(after.len(), 301);
    for (path, item) in before {
        let moved = match path.as_str() {
            "a.wav" => "new/b.wav".to_owned(),
            old => old.replacen("old", "new", 1),
        };
        assert_eq!(after[&moved].media_id, item.media_id, "{path}");
        assert_eq!(after[&moved].playable, Playable::Bytes);
        assert_eq!(
            after[&moved].generation, item.generation,
            "the content is the same"
        );
    }
}

#[test]
fn a_move_between_two_roots_keeps_the_id() {
    let house = House::new();
    let other = house.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    put(&house.sounds().join("a.wav"), &wav(5, 77));
    let (library, base) = house.scanned();
    let second = library.add_root(&other).unwrap();
    scan(&library);
    let id = house.items(&base)["a.wav"].media_id.clone();
    std::fs::rename(house.sounds().join("a.wav"), other.join("b.wav")).unwrap();
    scan(&library);
    assert_eq!(house.items(&second)["b.wav"].media_id, id);
    assert!(house.items(&base).is_empty());
}

#[test]
fn a_copy_that_replaces_its_original_is_known_by_its_hash() {
    let house = House::new();
    let sounds = house.sounds();
    put(&sounds.join("a.wav"), &wav(5, 77));
    put(&sounds.join("twin1.wav"), &wav(6, 78));
    put(&sounds.join("twin2.wav"), &wav(6, 78));
    let library = house.quiet();
    let base = library.add_root(&sounds).unwrap();
    scan(&library);
    let before = house.items(&base);
    library.hash_now(&AtomicBool::new(false)).unwrap();
    for item in before.values() {
        assert!(house.reader().blake3(item.row).unwrap().is_some());
    }
    for name in ["a", "twin1", "twin2"] {
        // Another inode, other times.
        std::fs::write(
            sounds.join(format!("{name}-copy.wav")),
            std::fs::read(sounds.join(format!("{name}.wav"))).unwrap(),
        )
        .unwrap();
        std::fs::remove_file(sounds.join(format!("{name}.wav"))).unwrap();
    }
    scan(&library);
    let after = house.items(&base);
    assert_eq!(after["a-copy.wav"].media_id, before["a.wav"].media_id);
    // Two candidates on each side: nobody can tell which is which.
    for name in ["twin1-copy.wav", "twin2-copy.wav"] {
        assert!(
            before
                .values()
                .all(|old| old.media_id != after[name].media_id)
        );
    }
    assert_eq!(
        house.item(&before["twin1.wav"].media_id).availability,
        Availability::Missing
    );
}

#[test]
fn deleted_is_missing_and_put_back_is_the_same() {
    let house = House::new();
    let path = house.sounds().join("kit/a.wav");
    put(&path, &wav(5, 77));
    let (library, base) = house.scanned();
    let item = house.items(&base)["kit/a.wav"].clone();
    std::fs::rename(house.sounds().join("kit"), house.folder.path().join("away")).unwrap();
    scan(&library);
    assert!(house.places(&base).is_empty());
    assert_eq!(
        house.item(&item.media_id).availability,
        Availability::Missing
    );
    assert_eq!(house.playable(&item.media_id), Playable::Silence);
    std::fs::rename(house.folder.path().join("away"), house.sounds().join("kit")).unwrap();
    scan(&library);
    let back = &house.items(&base)["kit/a.wav"];
    assert_eq!(
        (&back.media_id, back.generation),
        (&item.media_id, item.generation)
    );
    assert_eq!(back.playable, Playable::Bytes);
}

#[test]
fn overwritten_in_place_is_a_new_generation_of_the_same_item() {
    let house = House::new();
    let path = house.sounds().join("a.wav");
    put(&path, &wav(5, 77));
    let (library, base) = house.scanned();
    let item = house.items(&base)["a.wav"].clone();
    put(&path, &wav(6, 99));
    scan(&library);
    let now = &house.items(&base)["a.wav"];
    assert_eq!(now.media_id, item.media_id);
    assert!(now.generation > item.generation);
    let format = house.reader().format(now.row).unwrap().unwrap();
    assert_eq!(format.frames, Some(99));
}

#[test]
fn a_root_that_is_away_takes_its_items_with_it_and_brings_them_back() {
    let house = House::new();
    put(&house.sounds().join("kit/a.wav"), &wav(5, 77));
    let (library, base) = house.scanned();
    let id = house.items(&base)["kit/a.wav"].media_id.clone();
    let away = house.folder.path().join("away");
    std::fs::rename(house.sounds(), &away).unwrap();
    scan(&library);
    assert_eq!(house.playable(&id), Playable::Silence);
    assert_eq!(library.problems(0, 10).len(), 1);
    std::fs::rename(&away, house.sounds()).unwrap();
    scan(&library);
    assert_eq!(house.items(&base)["kit/a.wav"].media_id, id);
    assert_eq!(house.playable(&id), Playable::Bytes);
    assert!(library.problems(0, 10).is_empty());
}

#[test]
fn roots_do_not_lie_in_one_another_nor_in_the_home() {
    let house = House::new();
    let inner = house.sounds().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let (library, base) = house.scanned();
    assert_eq!(library.add_root(&house.sounds()).unwrap(), base);
    assert!(matches!(
        library.add_root(&inner),
        Err(LibraryError::Nested { .. })
    ));
    let above = library.add_root(house.folder.path());
    assert!(matches!(above, Err(LibraryError::Nested { .. })));
    let home = library.add_root(&house.home());
    assert!(matches!(home, Err(LibraryError::Excluded { .. })));
    let none = library.add_root(&house.folder.path().join("none"));
    assert!(matches!(none, Err(LibraryError::Folder { .. })));
    put(&house.folder.path().join("file"), b"x");
    let file = library.add_root(&house.folder.path().join("file"));
    assert!(matches!(file, Err(LibraryError::NotAFolder { .. })));
}

#[test]
fn roots_of_one_name_are_told_apart() {
    let house = House::new();
    let library = house.quiet();
    for parent in ["a", "b"] {
        std::fs::create_dir_all(house.folder.path().join(parent).join("Drums")).unwrap();
    }
    let one = library
        .add_root(&house.folder.path().join("a/Drums"))
        .unwrap();
    let two = library
        .add_root(&house.folder.path().join("b/Drums"))
        .unwrap();
    assert_eq!(
        (one.name.as_str(), two.name.as_str()),
        ("Drums", "Drums (2)")
    );
}

#[test]
fn a_cancelled_scan_ends_and_the_next_one_completes_it() {
    let house = House::new();
    for n in 0..50 {
        put(&house.sounds().join(format!("{n}.wav")), &wav(n, 8));
    }
    let library = house.quiet();
    let base = library.add_root(&house.sounds()).unwrap();
    let progress = Progress::default();
    library
        .scan_now(&Which::All, &progress, &AtomicBool::new(true))
        .unwrap();
    assert!(house.items(&base).is_empty());
    scan(&library);
    assert_eq!(house.items(&base).len(), 50);
}

#[test]
fn a_place_is_reconciled_at_once() {
    let house = House::new();
    let path = house.sounds().join("kit/a.wav");
    put(&path, &wav(5, 77));
    let (library, base) = house.scanned();
    let item = house.items(&base)["kit/a.wav"].clone();
    let place = item.place.unwrap();
    assert_eq!(library.reconcile_place(place).unwrap(), Reconciled::Same);
    put(&path, &wav(6, 99));
    assert_eq!(library.reconcile_place(place).unwrap(), Reconciled::Changed);
    assert!(house.item(&item.media_id).generation > item.generation);
    std::fs::rename(house.sounds().join("kit"), house.sounds().join("other")).unwrap();
    assert_eq!(library.reconcile_place(place).unwrap(), Reconciled::Gone);
    assert_eq!(
        house.item(&item.media_id).availability,
        Availability::Missing
    );
    std::fs::rename(house.sounds().join("other"), house.sounds().join("kit")).unwrap();
    assert_eq!(library.reconcile_place(place).unwrap(), Reconciled::Changed);
    assert_eq!(house.item(&item.media_id).availability, Availability::Local);
    std::fs::rename(house.sounds(), house.folder.path().join("away")).unwrap();
    assert_eq!(library.reconcile_place(place).unwrap(), Reconciled::Gone);
}

/// A file system mounted in a root, unmounted whatever happens.
#[cfg(target_os = "linux")]
struct Mounted(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Mounted {
    fn new(kind: &str, at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", kind, kind])
            .arg(at)
            .status();
        mount.unwrap().success().then(|| Self(at.to_owned()))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn storage_that_is_not_trusted_is_refused_and_never_entered() {
    let house = House::new();
    let (library, _) = house.scanned();
    let refused = library.add_root(Path::new("/proc/sys"));
    assert!(
        matches!(refused, Err(LibraryError::Untrusted { .. })),
        "{refused:?}"
    );
    let inner = house.sounds().join("kit/inner");
    let Some(_mounted) = Mounted::new("proc", &inner) else {
        eprintln!("not run: mounting needs root");
        return;
    };
    put(&house.sounds().join("kit/a.wav"), &wav(1, 8));
    scan(&library);
    let bases = house.reader().bases().unwrap();
    assert_eq!(
        house.places(&bases[0]).len(),
        1,
        "nothing of the other file system"
    );
    let problems = library.problems(0, 10);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].0, inner);
}

/// It is mounted as Linux does it.
#[cfg(target_os = "linux")]
#[test]
fn an_empty_mount_point_is_no_deletion() {
    let house = House::new();
    let disk = house.sounds().join("disk");
    let Some(mounted) = Mounted::new("tmpfs", &disk) else {
        eprintln!("not run: mounting needs root");
        return;
    };
    put(&disk.join("kit/a.wav"), &wav(1, 8));
    put(&house.sounds().join("b.wav"), &wav(2, 8));
    let (library, base) = house.scanned();
    let items = house.items(&base);
    assert_eq!(
        items.len(),
        2,
        "a trusted file system within a root is part of it"
    );
    drop(mounted);
    assert!(std::fs::read_dir(&disk).unwrap().next().is_none());
    std::thread::sleep(std::time::Duration::from_millis(1100));
    scan(&library);
    // What is known of it goes on being shown, and whoever asks is told the truth.
    let now = house.items(&base);
    assert_eq!(
        now.keys().collect::<Vec<_>>(),
        items.keys().collect::<Vec<_>>()
    );
    assert_eq!(now["b.wav"], items["b.wav"]);
    assert_eq!(
        now["disk/kit/a.wav"].availability,
        mediafs::model::Availability::Missing
    );
    assert_eq!(
        library.problems(0, 10).len(),
        1,
        "{:?}",
        library.problems(0, 10)
    );
    let place = items["disk/kit/a.wav"].place.unwrap();
    assert_eq!(library.reconcile_place(place).unwrap(), Reconciled::Away);
    assert_eq!(
        house.playable(&items["disk/kit/a.wav"].media_id),
        Playable::Silence
    );
    // Where the file system stayed, absence is believed.
    std::fs::remove_file(house.sounds().join("b.wav")).unwrap();
    scan(&library);
    assert!(!house.items(&base).contains_key("b.wav"));
}

/// Renames while nobody watches: what was where, by value, and what is where.
#[track_caller]
fn renamed_unseen(values: &[(&str, i16)], rename: impl Fn(&std::path::Path), now: &[(&str, i16)]) {
    let house = House::new();
    for (path, value) in values {
        put(&house.sounds().join(path), &wav(*value, 64));
    }
    let (library, base) = house.scanned();
    let before = house.items(&base);
    rename(&house.sounds());
    scan(&library);
    let after = house.items(&base);
    for (path, value) in now {
        assert_eq!(
            std::fs::read(house.sounds().join(path)).unwrap(),
            wav(*value, 64)
        );
        let was = values.iter().find(|(_, of)| of == value).unwrap().0;
        assert_eq!(
            after[*path].media_id, before[was].media_id,
            "{was} is {path} now"
        );
        assert_eq!(after[*path].generation, 1, "{path}");
    }
    assert_eq!(house.reader().counts().unwrap().items, before.len() as u64);
    scan(&library);
    assert_eq!(house.items(&base), after);
}

#[test]
fn ids_follow_files_that_take_each_others_names_unseen() {
    let mv = |folder: &std::path::Path, from: &str, to: &str| {
        std::fs::rename(folder.join(from), folder.join(to)).unwrap();
    };
    renamed_unseen(
        &[("x.wav", 1), ("y.wav", 2)],
        |at| {
            mv(at, "x.wav", "t");
            mv(at, "y.wav", "x.wav");
            mv(at, "t", "y.wav");
        },
        &[("x.wav", 2), ("y.wav", 1)],
    );
    renamed_unseen(
        &[("r1.wav", 1), ("r2.wav", 2), ("r3.wav", 3), ("r4.wav", 4)],
        |at| {
            for n in (1..=4).rev() {
                mv(at, &format!("r{n}.wav"), &format!("r{}.wav", n + 1));
            }
        },
        &[("r2.wav", 1), ("r3.wav", 2), ("r4.wav", 3), ("r5.wav", 4)],
    );
    // Over folders, and folders themselves.
    renamed_unseen(
        &[("A/a.wav", 1), ("A/b.wav", 2), ("B/a.wav", 3), ("c.wav", 4)],
        |at| {
            mv(at, "A", "A old");
            mv(at, "B", "A");
            mv(at, "c.wav", "t.wav");
            mv(at, "A old/b.wav", "c.wav");
        },
        &[
            ("A old/a.wav", 1),
            ("A/a.wav", 3),
            ("c.wav", 2),
            ("t.wav", 4),
        ],
    );
}

#[test]
fn a_sound_that_was_saved_unseen_keeps_its_id() {
    let house = House::new();
    for (number, name) in ["v", "w", "x"].into_iter().enumerate() {
        put(&house.sounds().join(format!("{name}.wav")), &wav(1, 60));
        let value = i16::try_from(number).unwrap() + 10;
        put(
            &house.sounds().join(format!("{name}.new.wav")),
            &wav(value, 64),
        );
    }
    let (library, base) = house.scanned();
    let before = house.items(&base);
    let mv = |from: &str, to: &str| {
        std::fs::rename(house.sounds().join(from), house.sounds().join(to)).unwrap();
    };
    mv("v.new.wav", "v.wav");
    mv("w.wav", "w.wav~");
    mv("w.new.wav", "w.wav");
    mv("x.wav", "x.wav~");
    put(&house.sounds().join("x.wav"), &wav(7, 64));
    std::fs::remove_file(house.sounds().join("x.wav~")).unwrap();
    scan(&library);
    let after = house.items(&base);
    for name in ["v.wav", "w.wav", "x.wav"] {
        assert_eq!(after[name].media_id, before[name].media_id, "{name}");
        assert_eq!(after[name].generation, 2, "{name}");
    }
}

#[test]
fn a_crash_between_the_steps_of_a_save_loses_no_id() {
    let house = House::new();
    put(&house.sounds().join("v.wav"), &wav(1, 60));
    let (library, base) = house.scanned();
    let id = house.items(&base)["v.wav"].media_id.clone();
    // The watcher's word of the first rename was written down, then the daemon died.
    std::fs::rename(house.sounds().join("v.wav"), house.sounds().join("v.wav~")).unwrap();
    scan(&library);
    assert_eq!(house.items(&base)["v.wav~"].media_id, id);
    put(&house.sounds().join("v.wav"), &wav(2, 64));
    std::fs::remove_file(house.sounds().join("v.wav~")).unwrap();
    scan(&library);
    assert_eq!(house.items(&base)["v.wav"].media_id, id);
    assert_eq!(house.item(&id).generation, 2);
    assert_eq!(house.item(&id).name, "v.wav");
}

//! Changes while the library is watched: on the drive within two seconds, and ids stay.

use std::path::{Path, PathBuf};

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use mediafs::model::{Availability, Playable};
use mediafs_platform::files;
use mediafs_platform::watch::{self, Reach};

use crate::support::{House, put, scan, wav};

#[test]
fn a_thousand_new_files_are_items_in_time() {
    let house = House::new();
    let (_library, base) = house.watching();
    let staging = house.folder.path().join("staging");
    for n in 0..1000_i16 {
        put(&staging.join(format!("{}/{n}.wav", n % 10)), &wav(n, 64));
    }
    std::fs::rename(&staging, house.sounds().join("kit")).unwrap();
    house.wait(|house| house.items(&base).len() == 1000);
}

#[test]
fn files_written_one_by_one_into_new_folders_are_not_missed() {
    let house = House::new();
    let (_library, base) = house.watching();
    for n in 0..300_i16 {
        // Folders and files come faster than anybody can watch them.
        put(
            &house
                .sounds()
                .join(format!("{}/deep/{}/{n}.wav", n % 9, n % 4)),
            &wav(n, 64),
        );
    }
    house.wait(|house| house.items(&base).len() == 300);
    put(&house.sounds().join("3/deep/1/later.wav"), &wav(7, 9));
    house.wait(|house| house.items(&base).contains_key("3/deep/1/later.wav"));
}

#[test]
fn renames_and_moves_keep_the_id() {
    let house = House::new();
    let sounds = house.sounds();
    for n in 0..40_i16 {
        put(&sounds.join(format!("kit/{n}.wav")), &wav(n, 64));
    }
    put(&sounds.join("x.wav"), &wav(100, 65));
    put(&sounds.join("y.wav"), &wav(101, 65));
    let (_library, base) = house.watching();
    house.wait(|house| house.items(&base).len() == 42);
    let before = house.items(&base);
    let rename =
        |from: &str, to: &str| std::fs::rename(sounds.join(from), sounds.join(to)).unwrap();

    rename("kit/1.wav", "kit/one.wav");
    rename("kit", "Kit 2");
    rename("Kit 2/2.wav", "two.wav");
    // A swap: only the system's own word can tell these two apart from two changed files.
    rename("x.wav", "tmp");
    rename("y.wav", "x.wav");
    rename("tmp", "y.wav");
    let moved = |path: &str| match path {
        "kit/1.wav" => "Kit 2/one.wav".to_owned(),
        "kit/2.wav" => "two.wav".to_owned(),
        "x.wav" => "y.wav".to_owned(),
        "y.wav" => "x.wav".to_owned(),
        other => other.replacen("kit", "Kit 2", 1),
    };
    house.wait(|house| {
        let after = house.items(&base);
        before.iter().all(|(path, item)| {
            after.get(&moved(path)).is_some_and(|now| {
                now.media_id == item.media_id && now.generation == item.generation
            })
        })
    });
    assert_eq!(house.items(&base).len(), 42);
    // The moved folder is watched under its new name.
    put(&sounds.join("Kit 2/new.wav"), &wav(9, 9));
    house.wait(|house| house.items(&base).contains_key("Kit 2/new.wav"));
}

#[test]
fn deleted_overwritten_and_put_back() {
    let house = House::new();
    let path = house.sounds().join("a.wav");
    put(&path, &wav(1, 64));
    let (_library, base) = house.watching();
    house.wait(|house| house.items(&base).contains_key("a.wav"));
    let item = house.items(&base)["a.wav"].clone();

    std::fs::rename(&path, house.folder.path().join("aside.wav")).unwrap();
    house.wait(|house| house.playable(&item.media_id) == Playable::Silence);
    std::fs::rename(house.folder.path().join("aside.wav"), &path).unwrap();
    house.wait(|house| house.playable(&item.media_id) == Playable::Bytes);
    assert_eq!(house.item(&item.media_id).generation, item.generation);

    put(&path, &wav(2, 99));
    house.wait(|house| {
        let now = house.item(&item.media_id);
        now.generation > item.generation
            && house
                .reader()
                .format(now.row)
                .unwrap()
                .is_some_and(|f| f.frames == Some(99))
    });
}

#[test]
fn a_file_saved_by_writing_beside_it_keeps_its_id() {
    let house = House::new();
    let path = house.sounds().join("a.wav");
    put(&path, &wav(1, 64));
    let (_library, base) = house.watching();
    house.wait(|house| house.items(&base).contains_key("a.wav"));
    let item = house.items(&base)["a.wav"].clone();
    put(&house.sounds().join(".a.wav.AbC123"), &wav(2, 99));
    std::fs::rename(house.sounds().join(".a.wav.AbC123"), &path).unwrap();
    house.wait(|house| house.item(&item.media_id).generation > item.generation);
    house.wait(|house| house.places(&base).len() == 1);
    assert_eq!(house.items(&base)["a.wav"].media_id, item.media_id);
}

#[test]
fn a_root_that_is_moved_away_and_back_is_noticed() {
    let house = House::new();
    put(&house.sounds().join("kit/a.wav"), &wav(1, 64));
    let (_library, base) = house.watching();
    house.wait(|house| house.items(&base).contains_key("kit/a.wav"));
    let id = house.items(&base)["kit/a.wav"].media_id.clone();
    let away = house.folder.path().join("away");
    std::fs::rename(house.sounds(), &away).unwrap();
    house.wait(|house| house.item(&id).availability == Availability::Missing);
    std::fs::rename(&away, house.sounds()).unwrap();
    house.wait(|house| house.item(&id).availability == Availability::Local);
    put(&house.sounds().join("kit/b.wav"), &wav(3, 3));
    house.wait(|house| house.items(&base).contains_key("kit/b.wav"));
}

#[test]
fn a_growing_file_is_taken_when_its_writer_is_done() {
    use std::io::Write;
    let house = House::new();
    let (_library, base) = house.watching();
    let bytes = wav(3, 4000);
    let mut file = std::fs::File::create(house.sounds().join("grows.wav")).unwrap();
    for part in bytes.chunks(1000) {
        file.write_all(part).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(60));
    }
    drop(file);
    house.wait(|house| house.items(&base).contains_key("grows.wav"));
    let item = house.items(&base)["grows.wav"].clone();
    assert_eq!(item.size, bytes.len() as u64);
    assert_eq!(
        item.generation, 1,
        "half a file was never taken for the whole"
    );
}

#[test]
fn two_roots_and_a_move_between_them() {
    let house = House::new();
    let other = house.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    put(&house.sounds().join("kit/a.wav"), &wav(5, 77));
    let (library, base) = house.watching();
    let second = library.add_root(&other).unwrap();
    put(&other.join("there.wav"), &wav(6, 6));
    house.wait(|house| house.items(&second).contains_key("there.wav"));
    let id = house.items(&base)["kit/a.wav"].media_id.clone();
    std::fs::rename(house.sounds().join("kit"), other.join("kit")).unwrap();
    house.wait(|house| house.items(&second).contains_key("kit/a.wav"));
    assert_eq!(house.items(&second)["kit/a.wav"].media_id, id);
    assert!(!Path::new(&house.sounds().join("kit")).exists());
}

#[test]
fn ids_survive_moves_while_scans_and_the_watcher_race() {
    const FILES: usize = 60;
    let house = House::new();
    let mut paths: Vec<_> = (0..FILES)
        .map(|n| house.sounds().join(format!("{}/{n}.wav", n % 6)))
        .collect();
    for (value, path) in (1..).zip(&paths) {
        put(path, &wav(value, 64));
    }
    let (library, base) = house.watching();
    house.wait(|house| house.items(&base).len() == FILES);
    let ids = |house: &House| -> BTreeSet<String> {
        let items = house.items(&base).into_values();
        items.map(|item| item.media_id.to_string()).collect()
    };
    let before = ids(&house);
    let moving = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while moving.load(Ordering::Relaxed) {
                scan(&library);
            }
        });
        // A fixed pseudo-random walk: files to new names in any of the folders, and folders to new names.
        let mut seed = 12345_usize;
        for step in 0..400 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let pick = (seed >> 33) % FILES;
            let folder = paths[(seed >> 40) % FILES].parent().unwrap().to_owned();
            if step % 20 == 0 {
                let moved = house.sounds().join(format!("folder {step}"));
                std::fs::rename(&folder, &moved).unwrap();
                for path in &mut paths {
                    if let Ok(name) = path.strip_prefix(&folder) {
                        *path = moved.join(name);
                    }
                }
            } else {
                let to = folder.join(format!("{pick}-{step}.wav"));
                std::fs::rename(&paths[pick], &to).unwrap();
                paths[pick] = to;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        moving.store(false, Ordering::Relaxed);
    });
    let there: BTreeSet<PathBuf> = paths
        .iter()
        .map(|path| path.strip_prefix(house.sounds()).unwrap().to_owned())
        .collect();
    house.wait(|house| {
        let known: BTreeSet<PathBuf> = house.items(&base).into_keys().map(Into::into).collect();
        known == there
    });
    assert_eq!(ids(&house), before);
    assert_eq!(
        house.reader().counts().unwrap().items,
        FILES as u64 + 1,
        "and the marker's"
    );
}

/// The id of the item that a base shows at a path.
fn id_at(house: &House, base: &mediafs::catalog::BaseRow, path: &str) -> Option<String> {
    let items = house.items(base);
    items.get(path).map(|item| item.media_id.to_string())
}

/// A way in which programs save: gets the file and the new content.
type Save = fn(&Path, &[u8]);

fn pause() {
    // Long enough for whatever lies about to be taken for a sound.
    std::thread::sleep(std::time::Duration::from_millis(1500));
}

/// Windows has no such thing.
#[cfg(unix)]
fn exchange(one: &Path, other: &Path) {
    use mediafs_platform::drive::Replacing;
    mediafs_platform::files::rename(one, other, Replacing::Exchange).unwrap();
}

fn beside(file: &Path, name: &str) -> std::path::PathBuf {
    file.with_file_name(name)
}

/// Removes a folder of a root with all that is in it.
///
/// In Wine a folder that was removed keeps its name until nobody has it open, and each folder that is watched is open there,
/// as a watch does not reach below it; on Windows only the root is. So it leaves the root there, which looks the same from within.
fn remove_folder(folder: &Path) {
    if cfg!(windows) && watch::reach() == Reach::Folder {
        let outside = folder.parent().unwrap().with_extension("removed");
        std::fs::rename(folder, &outside).unwrap();
        std::fs::remove_dir_all(outside).unwrap();
    } else {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

const SAVES: &[(&str, Save)] = &[
    ("over it", |file, bytes| put(file, bytes)),
    ("a known sound renamed over it", |file, bytes| {
        put(&beside(file, "v-new.wav"), bytes);
        pause();
        std::fs::rename(beside(file, "v-new.wav"), file).unwrap();
    }),
    ("a temporary file renamed over it at once", |file, bytes| {
        put(&beside(file, ".v.wav.tmp"), bytes);
        std::fs::rename(beside(file, ".v.wav.tmp"), file).unwrap();
    }),
    ("deleted, then renamed to it", |file, bytes| {
        put(&beside(file, "v-new.wav"), bytes);
        pause();
        std::fs::remove_file(file).unwrap();
        pause();
        std::fs::rename(beside(file, "v-new.wav"), file).unwrap();
    }),
    ("deleted, then written", |file, bytes| {
        std::fs::remove_file(file).unwrap();
        pause();
        put(file, bytes);
    }),
    (
        "set aside, written, and the old one deleted",
        |file, bytes| {
            std::fs::rename(file, beside(file, "v.wav~")).unwrap();
            put(file, bytes);
            std::fs::remove_file(beside(file, "v.wav~")).unwrap();
        },
    ),
    ("the same, slowly", |file, bytes| {
        std::fs::rename(file, beside(file, "v.bak")).unwrap();
        pause();
        put(file, bytes);
        pause();
        std::fs::remove_file(beside(file, "v.bak")).unwrap();
    }),
    (
        "set aside, and a known sound renamed to it",
        |file, bytes| {
            put(&beside(file, "v.tmp.wav"), bytes);
            pause();
            std::fs::rename(file, beside(file, "v.wav~")).unwrap();
            std::fs::rename(beside(file, "v.tmp.wav"), file).unwrap();
            std::fs::remove_file(beside(file, "v.wav~")).unwrap();
        },
    ),
    ("the same, and the old one kept", |file, bytes| {
        put(&beside(file, "v.tmp"), bytes);
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::fs::rename(file, beside(file, "v.bak")).unwrap();
        std::fs::rename(beside(file, "v.tmp"), file).unwrap();
    }),
    #[cfg(unix)]
    (
        "exchanged with a known sound that is deleted then",
        |file, bytes| {
            let other = beside(file, "v-new.wav");
            put(&other, bytes);
            pause();
            exchange(file, &other);
            std::fs::remove_file(other).unwrap();
        },
    ),
    ("set aside and written", |file, bytes| {
        std::fs::rename(file, beside(file, "v-old1.wav")).unwrap();
        put(file, bytes);
    }),
    ("a folder renamed over its like", |file, bytes| {
        let (folder, new) = (
            file.parent().unwrap(),
            file.parent().unwrap().with_extension("new"),
        );
        put(&new.join("v.wav"), bytes);
        pause();
        remove_folder(folder);
        std::fs::rename(new, folder).unwrap();
    }),
];

#[test]
fn a_saved_sound_is_a_new_content_of_the_same_item_however_it_is_saved() {
    let house = House::new();
    for n in 0..SAVES.len() {
        let value = i16::try_from(n).unwrap();
        put(&house.sounds().join(format!("{n}/v.wav")), &wav(value, 64));
    }
    let (library, base) = house.watching();
    house.wait(|house| house.items(&base).len() == SAVES.len());
    let before = house.items(&base);
    std::thread::scope(|scope| {
        for (n, (_, save)) in SAVES.iter().enumerate() {
            let file = house.sounds().join(format!("{n}/v.wav"));
            let value = i16::try_from(n).unwrap() + 100;
            scope.spawn(move || save(&file, &wav(value, 65)));
        }
    });
    for (n, (how, _)) in SAVES.iter().enumerate() {
        let path = format!("{n}/v.wav");
        let id = before[&path].media_id.clone();
        house.wait(|house| house.item(&id).size == 44 + 65 * 2);
        let now = house.item(&id);
        assert_eq!(now.generation, 2, "{how}");
        assert_eq!(now.availability, Availability::Local, "{how}");
        assert_eq!(now.name, "v.wav", "{how}");
        assert_eq!(id_at(&house, &base, &path), Some(id.to_string()), "{how}");
        let whole = house.reader().media_item(now.row).unwrap().unwrap();
        let resolved = files::canonical(&house.sounds()).unwrap().join(&path);
        let told = whole.resolved_path.as_deref().map(Path::new);
        assert_eq!(told, Some(&*resolved), "{how}");
    }
    // Nor does a scan say otherwise.
    let saved = |house: &House| {
        let mut items = house.items(&base);
        items.retain(|path, _| path.ends_with("/v.wav"));
        items
    };
    let known = saved(&house);
    assert_eq!(known.len(), SAVES.len());
    scan(&library);
    assert_eq!(saved(&house), known);
}

#[test]
fn a_set_that_is_moved_to_another_disk_lives_on_there_under_its_ids() {
    const SOUNDS: i16 = 60;
    let house = House::new();
    for n in 0..SOUNDS {
        put(&house.sounds().join(format!("set/{n}.wav")), &wav(n, 64));
    }
    let (library, base) = house.watching();
    let count = usize::try_from(SOUNDS).unwrap();
    house.wait(|house| house.items(&base).len() == count);
    let stop = AtomicBool::new(false);
    library.hash_now(&stop).unwrap();
    let before = house.items(&base);
    // As `mv` does it: all is copied, then all is deleted.
    for n in 0..SOUNDS {
        let copy = house.sounds().join(format!("there/{n}.wav"));
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(house.sounds().join(format!("set/{n}.wav")), copy).unwrap();
    }
    pause();
    remove_folder(&house.sounds().join("set"));
    house.wait(|house| !house.items(&base).contains_key("set/0.wav"));
    library.hash_now(&stop).unwrap();
    for (path, item) in &before {
        let now = house.item(&item.media_id);
        let state = (now.availability, now.playable, now.generation, now.modified);
        let own = (Availability::Local, Playable::Bytes, 1, item.modified);
        assert_eq!(state, own, "{path}");
        let whole = house.reader().media_item(now.row).unwrap().unwrap();
        let there = path.replace("set/", "there/");
        let resolved = whole.resolved_path.unwrap();
        assert!(Path::new(&resolved).ends_with(&there), "{path}");
        assert_eq!(whole.alternatives.len(), 1, "{path}");
    }
    // Back home: each at its own place.
    std::fs::rename(house.sounds().join("there"), house.sounds().join("set")).unwrap();
    house.wait(|house| house.items(&base).contains_key("set/0.wav"));
    for item in before.values() {
        house.wait(|house| house.item(&item.media_id).availability == Availability::Local);
    }
}

#[test]
fn a_root_that_is_not_there_is_shown_as_it_was_and_comes_back() {
    let house = House::new();
    put(&house.sounds().join("kit/a.wav"), &wav(1, 64));
    put(&house.sounds().join("kit/drumkit.xml"), b"<kit/>");
    let (library, base) = house.watching();
    house.wait(|house| house.items(&base).len() == 1);
    let id = house.items(&base)["kit/a.wav"].media_id.clone();
    let elsewhere = house.folder.path().join("elsewhere");
    std::fs::rename(house.sounds(), &elsewhere).unwrap();
    house.wait(|house| house.playable(&id) == Playable::Silence);
    let shown = house.places(&base);
    assert!(shown.contains_key("kit/a.wav") && shown.contains_key("kit/drumkit.xml"));
    assert!(shown.values().all(|(place, _)| !place.is_here()));
    assert_eq!(
        library.problems(0, 10).len(),
        1,
        "{:?}",
        library.problems(0, 10)
    );
    std::fs::rename(&elsewhere, house.sounds()).unwrap();
    house.wait(|house| house.playable(&id) == Playable::Bytes);
    assert!(
        house
            .places(&base)
            .values()
            .all(|(place, _)| place.is_here())
    );
    assert!(library.problems(0, 10).is_empty());
    // What is deleted in it while it is there goes from the view.
    std::fs::remove_file(house.sounds().join("kit/drumkit.xml")).unwrap();
    house.wait(|house| !house.places(&base).contains_key("kit/drumkit.xml"));
}

#[cfg(unix)]
#[test]
fn two_sounds_whose_names_are_exchanged_keep_their_ids() {
    let house = House::new();
    put(&house.sounds().join("p.wav"), &wav(1, 64));
    put(&house.sounds().join("q.wav"), &wav(2, 64));
    let (_library, base) = house.watching();
    house.wait(|house| house.items(&base).len() == 2);
    let before = house.items(&base);
    exchange(&house.sounds().join("p.wav"), &house.sounds().join("q.wav"));
    house.wait(|house| house.items(&base)["p.wav"].media_id == before["q.wav"].media_id);
    pause();
    let now = house.items(&base);
    for (name, other) in [("p.wav", "q.wav"), ("q.wav", "p.wav")] {
        assert_eq!(now[name].media_id, before[other].media_id);
        assert_eq!(now[name].generation, 1);
    }
    assert_eq!(
        house.reader().counts().unwrap().items,
        3,
        "with the marker's"
    );
}

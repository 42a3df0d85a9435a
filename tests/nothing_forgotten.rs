//! Promise 4: nothing is forgotten. No change of storage deletes an item, its id, its tags; only an explicit remove does.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use support::sounds::{tone, wav};
use support::{Home, SHOWN_WITHIN, path_of, wait_until};

fn id(item: &serde_json::Value) -> String {
    item["mediaId"].as_str().unwrap().to_owned()
}

#[test]
fn items_outlive_their_files() {
    let home = Home::new();
    for seed in 1..=20u32 {
        std::fs::write(
            home.library().join(format!("{seed}.wav")),
            wav(seed * 10, seed),
        )
        .unwrap();
    }
    let drive = home.mount();
    let items = home.wait_for_items(20);
    let ids: BTreeMap<String, String> = items
        .iter()
        .map(|item| (item["name"].as_str().unwrap().to_owned(), id(item)))
        .collect();
    home.run(["tag", &ids["7.wav"], "dusty", "loved"]);
    home.run(["rename", &ids["7.wav"], "Seven.wav"]);
    std::fs::remove_dir_all(home.library()).unwrap();
    wait_until(SHOWN_WITHIN, "all to be missing", || {
        home.items()
            .iter()
            .all(|item| item["availability"] == "missing")
    });
    drive.stop();

    // Not even without a daemon, nor with a new one whose library is gone.
    assert_eq!(home.items().len(), 20);
    let _drive = home.mount_with(&[]);
    assert_eq!(home.items().len(), 20);
    let seven = home.json(["show", &ids["7.wav"]]);
    let tags: Vec<_> = seven["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        (seven["name"].as_str().unwrap(), tags),
        ("Seven.wav", vec!["dusty", "loved"])
    );
    // Every name it ever had leads to it.
    for name in ["Seven.wav", "7.wav", "7"] {
        assert!(
            home.on_drive(format!("by-id/{}/{name}", ids["7.wav"]))
                .exists(),
            "{name}"
        );
    }
    // Only an explicit remove does.
    home.run(["remove", &ids["7.wav"]]);
    assert_eq!(home.items().len(), 19);
    support::settle();
    assert!(!home.on_drive(format!("by-id/{}", ids["7.wav"])).exists());
}

#[test]
fn moves_while_nobody_watches_keep_ids() {
    let home = Home::new();
    let library = home.library();
    std::fs::create_dir_all(library.join("kits/one")).unwrap();
    for seed in 1..=30u32 {
        std::fs::write(
            library.join(format!("kits/one/{seed}.wav")),
            wav(seed * 10, seed),
        )
        .unwrap();
    }
    let drive = home.mount();
    let before: BTreeMap<u64, String> = home
        .wait_for_items(30)
        .iter()
        .map(|item| (item["size"].as_u64().unwrap(), id(item)))
        .collect();
    drive.stop();
    // A folder renamed, some files renamed and moved apart.
    std::fs::rename(library.join("kits"), library.join("Drum Kits")).unwrap();
    std::fs::create_dir(library.join("favourites")).unwrap();
    for seed in 1..=5u32 {
        let from = library.join(format!("Drum Kits/one/{seed}.wav"));
        std::fs::rename(from, library.join(format!("favourites/best {seed}.wav"))).unwrap();
    }
    let _drive = home.mount();
    wait_until(SHOWN_WITHIN * 3, "all to be found again", || {
        let items = home.items();
        // Until the scan has begun the catalog knows of no change.
        let path = |item: &serde_json::Value| item["resolvedPath"].as_str().map(str::to_owned);
        let moved = |path: String| path.contains("Drum Kits") || path.contains("favourites");
        let found = |item| path(item).is_some_and(moved) && item["availability"] == "local";
        items.len() == 30 && items.iter().all(found)
    });
    let after: BTreeMap<u64, String> = home
        .items()
        .iter()
        .map(|item| (item["size"].as_u64().unwrap(), id(item)))
        .collect();
    assert_eq!(after, before);
    let best = home.item("favourites/best 3.wav");
    assert_eq!(
        std::fs::read(home.on_drive(path_of(&best))).unwrap(),
        wav(30, 3)
    );
}

#[test]
fn imports_are_idempotent_and_lose_nothing() {
    let home = Home::new();
    let from = home.path("from");
    std::fs::create_dir(&from).unwrap();
    for seed in 1..=5u32 {
        std::fs::write(from.join(format!("{seed}.wav")), wav(seed * 10, seed)).unwrap();
    }
    // The same bytes at another place.
    std::fs::copy(from.join("1.wav"), from.join("1 again.wav")).unwrap();
    std::fs::write(from.join("notes.txt"), "no sound").unwrap();
    let import = || home.json(["import".as_ref(), "--copy".as_ref(), from.as_os_str()]);
    let first = import();
    let imported: Vec<_> = first
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["outcome"] == "imported")
        .collect();
    assert_eq!(imported.len(), 6, "{first:#}");
    let second = import();
    let ids = |result: &serde_json::Value| {
        let all = result
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| !one["mediaId"].is_null());
        all.map(|one| {
            (
                one["source"].as_str().unwrap().to_owned(),
                one["mediaId"].clone().to_string(),
            )
        })
        .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        ids(&first),
        ids(&second),
        "importing again gives the same items"
    );
    assert_eq!(home.items().len(), 6);
    // The copies are ours: the sources may go.
    std::fs::remove_dir_all(&from).unwrap();
    let _drive = home.mount_with(&[]);
    for item in home.items() {
        assert_eq!(item["availability"], "local", "{item:#}");
        let copy = item["resolvedPath"].as_str().unwrap();
        assert!(Path::new(copy).starts_with(home.home()), "{copy}");
        assert_eq!(
            std::fs::read(home.on_drive(path_of(&item))).unwrap(),
            std::fs::read(copy).unwrap()
        );
    }
}

#[test]
fn a_project_holds_its_sounds() {
    let home = Home::new();
    let project = home.path("Song One");
    std::fs::create_dir(&project).unwrap();
    let (sound, other) = (wav(500, 1), wav(600, 2));
    let (one, two) = (home.path("kick.wav"), home.path("away/kick.wav"));
    std::fs::create_dir(home.path("away")).unwrap();
    std::fs::write(&one, &sound).unwrap();
    std::fs::write(&two, &other).unwrap();
    let _drive = home.mount_with(&["--project".as_ref(), project.as_os_str()]);
    let imported = home.json([
        "import".as_ref(),
        one.as_os_str(),
        two.as_os_str(),
        "--project".as_ref(),
        project.as_os_str(),
    ]);
    assert_eq!(imported.as_array().unwrap().len(), 2, "{imported:#}");
    std::fs::remove_file(&one).unwrap();
    let folder = home.on_drive("projects/Song One/Audio");
    assert_eq!(std::fs::read(folder.join("kick.wav")).unwrap(), sound);
    assert_eq!(
        std::fs::read(folder.join("kick (2).wav")).unwrap(),
        other,
        "a twin gets a name of its own"
    );
    let id = imported[0]["mediaId"].as_str().unwrap();
    home.run(["rename", id, "boom.wav"]);
    assert_eq!(std::fs::read(folder.join("boom.wav")).unwrap(), sound);
    assert_eq!(
        std::fs::read(folder.join("kick.wav")).unwrap(),
        sound,
        "a name once shown goes on"
    );
    let listed: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(
        std::fs::read_dir(project.join("Media")).unwrap().count() > 0,
        "copied into the project"
    );
    let ids: Vec<_> = std::fs::read_dir(home.on_drive("by-id"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(ids.len(), 2, "by-id lists the items of open projects");
    assert!(
        home.on_drive(format!("projects/Song One/by-id/{id}/boom.wav"))
            .exists()
    );
}

#[test]
fn placeholders_are_exact_again_after_the_loss_of_all_capsules() {
    let home = Home::new();
    let names = ["packed.mp3", "packed.ogg"];
    for (name, frequency) in names.iter().zip([440, 660]) {
        tone(&home.library().join(name), frequency);
    }
    let away = home.path("away");
    std::fs::create_dir(&away).unwrap();
    let silence = || {
        for name in names {
            std::fs::rename(home.library().join(name), away.join(name)).unwrap();
        }
        wait_until(SHOWN_WITHIN, "both to be missing", || {
            home.items().iter().all(|i| i["availability"] == "missing")
        });
        let read = home.items().into_iter().map(|item| {
            let path = home.on_drive(".as/player").join(path_of(&item));
            (id(&item), std::fs::read(path).unwrap())
        });
        let read: BTreeMap<String, Vec<u8>> = read.collect();
        for name in names {
            std::fs::rename(away.join(name), home.library().join(name)).unwrap();
        }
        wait_until(SHOWN_WITHIN, "both to be back", || {
            home.items().iter().all(|i| i["availability"] == "local")
        });
        read
    };
    let drive = home.mount();
    wait_until(SHOWN_WITHIN, "both to be hashed", || {
        let items = home.items();
        items.len() == 2 && items.iter().all(|item| !item["blake3"].is_null())
    });
    let exact = silence();
    for item in home.items() {
        assert_eq!(
            exact[&id(&item)].len() as u64,
            item["size"].as_u64().unwrap()
        );
    }
    drive.stop();

    for name in ["capsules.db", "capsules.db-wal", "capsules.db-shm"] {
        let _ = std::fs::remove_file(home.home().join(name));
    }
    let drive = home.mount();
    let database = home.home().join("capsules.db");
    wait_until(SHOWN_WITHIN, "both capsules to be made anew", || {
        let count = rusqlite::Connection::open(&database)
            .and_then(|c| c.query_row("SELECT count(*) FROM capsule", [], |row| row.get(0)));
        count == Ok(2)
    });
    assert!(silence() == exact, "the silence is another one");
    drive.stop();
}

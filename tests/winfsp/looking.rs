//! A library as Explorer and players see it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::host::{GENERIC_READ, OPEN, Wish};
use crate::program::{STATUS_END_OF_FILE, STATUS_FILE_IS_OFFLINE, STATUS_OBJECT_NAME_NOT_FOUND};
use crate::scene::{SOON, Scene, path_of};
use crate::support::sounds::wav;
use crate::support::{Home, wait_until};

const OFFLINE: u32 = 0x1000;

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_library_is_listed_and_read_byte_for_byte() {
    let home = Home::new();
    let long = "x".repeat(200) + ".wav";
    let deep = ["a long folder name of thirty"; 12].join("/");
    let mut sounds: BTreeMap<String, Vec<u8>> = [
        "Drums/Kick.wav",
        "Drums/\u{fc}ber \u{1f941}.wav",
        "Drums/ne\u{308}.wav",
        "two  spaces.wav",
        "%41 {curly}[square]'`$.wav",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([format!("Drums/{long}"), format!("{deep}/Deep.wav")])
    .zip(1..)
    .map(|(name, seed)| (name, wav(3000 + seed, seed)))
    .collect();
    sounds.insert(
        "Drums/kit.sfz".to_owned(),
        b"<region> sample=Kick.wav".to_vec(),
    );
    sounds.insert("Drums/empty.txt".to_owned(), Vec::new());
    for (name, bytes) in &sounds {
        put(&home.library().join(name), bytes);
    }
    for number in 0..300 {
        put(&home.library().join(format!("many/{number:03}.txt")), b"x");
    }
    let scene = Scene::mounted(home);
    let kick = scene.item("Drums/Kick.wav");
    scene.item("Deep.wav");
    let root = scene.names(r"\");
    for name in [
        "by-id",
        "import",
        "library",
        "projects",
        "record",
        "README.txt",
    ] {
        assert!(root.iter().any(|there| there == name), "{root:?}");
    }
    assert!(scene.bytes(r"\README.TXT").unwrap().starts_with(b""));
    wait_until(SOON, "all of the library", || {
        scene.is_there(r"\library\library\many\299.txt")
            && scene.names(r"\library\library\Drums").len() == 6
    });
    // Page by page, each once, and whatever fits.
    let small = scene.names_in(r"\LIBRARY\Library\MANY", 1024);
    let expected: Vec<(String, u32)> = (0..300).map(|n| (format!("{n:03}.txt"), 0x80)).collect();
    let mut sorted = small.clone();
    sorted.sort();
    assert_eq!(sorted, expected);
    assert_eq!(small, scene.names_in(r"\library\library\many", 1 << 20));
    for (name, bytes) in &sounds {
        let path = format!(r"\library\library\{}", name.replace('/', r"\"));
        for path in [path.clone(), path.to_uppercase(), path.to_lowercase()] {
            assert!(scene.bytes(&path).as_ref() == Ok(bytes), "{path}");
        }
        let file = scene.open(&path, GENERIC_READ).unwrap();
        assert_eq!(file.info.FileSize, bytes.len() as u64);
        assert_eq!(file.info.FileAttributes, 0x80, "{path}");
        let source = std::fs::metadata(scene.home.library().join(name)).unwrap();
        let written = std::os::windows::fs::MetadataExt::last_write_time(&source);
        assert_eq!(file.info.LastWriteTime, written, "{path}");
        for (offset, length) in [(0, 1), (1, 7), (43, 4097), (4099, 3333)] {
            let from = usize::min(offset, bytes.len());
            let to = usize::min(offset + length, bytes.len());
            let expected = match from == to {
                true => Err(STATUS_END_OF_FILE),
                false => Ok(bytes[from..to].to_vec()),
            };
            assert_eq!(scene.read(&file, offset as u64, length), expected, "{path}");
        }
        for past in [bytes.len() as u64, bytes.len() as u64 + 1, 1 << 40] {
            assert_eq!(
                scene.read(&file, past, 10),
                Err(STATUS_END_OF_FILE),
                "{path} {past}"
            );
        }
        scene.close(file);
    }
    // In its own case, whatever was asked for.
    assert_eq!(
        scene.own_path(r"\LIBRARY\library\DRUMS\KICK.WAV"),
        r"\library\library\Drums\Kick.wav"
    );
    let folder = scene.open(r"\library\library\drums", GENERIC_READ).unwrap();
    let found = scene.entry(&folder, "KICK.WAV");
    assert_eq!(found, Some(("Kick.wav".to_owned(), 0x80)));
    assert_eq!(scene.entry(&folder, "Kick.flac"), None);
    assert_eq!(scene.entry(&folder, "desktop.ini"), None);
    scene.close(folder);
    // The stored path, by any name, and what has no sound.
    let id = kick["mediaId"].as_str().unwrap();
    let bytes = &sounds["Drums/Kick.wav"];
    for path in [
        path_of(&kick),
        path_of(&kick).to_uppercase(),
        format!(r"\by-id\{id}\Kick"),
        format!(r"\by-id\{id}.wav"),
        format!(r"\.as\copier\by-id\{id}\Kick.wav"),
    ] {
        assert!(scene.bytes(&path).as_ref() == Ok(bytes), "{path}");
    }
    assert_eq!(
        scene.bytes(&format!(r"\by-id\{id}\Snare.wav")),
        Err(STATUS_OBJECT_NAME_NOT_FOUND)
    );
    assert_eq!(scene.names(&format!(r"\by-id\{id}")), ["Kick.wav"]);
}

#[test]
fn the_volume_has_a_name_and_the_room_of_the_homes_disk() {
    let scene = Scene::mounted(Home::new());
    let (total, free, label) = scene.volume();
    assert_eq!(label, "Loophole");
    assert!(free > 0 && free <= total, "{free} of {total}");
}

#[test]
fn what_is_away_is_silence_to_players_and_an_error_to_copiers() {
    let home = Home::new();
    let sound = wav(20_000, 1);
    put(&home.library().join("Kick.wav"), &sound);
    let scene = Scene::mounted(home);
    let id = scene.item("Kick.wav")["mediaId"]
        .as_str()
        .unwrap()
        .to_owned();
    let as_class = |class: &str| format!(r"\.as\{class}\by-id\{id}\Kick.wav");
    let here = scene.open(&as_class("player"), GENERIC_READ).unwrap();
    assert_eq!(
        (here.info.FileAttributes, here.info.FileSize),
        (0x80, sound.len() as u64)
    );
    scene.close(here);
    std::fs::remove_file(scene.home.library().join("Kick.wav")).unwrap();
    wait_until(SOON, "that it is missing", || {
        scene.home.json(["show", &id])["playable"] == "silence"
    });
    let file = scene.open(&as_class("player"), GENERIC_READ).unwrap();
    assert_eq!(
        (file.info.FileAttributes, file.info.FileSize),
        (OFFLINE, sound.len() as u64)
    );
    let silence = scene.read_whole(&file).unwrap();
    scene.close(file);
    assert_eq!(silence.len(), sound.len());
    assert_eq!(silence[..44], sound[..44], "the same header");
    assert!(silence[44..].iter().all(|byte| *byte == 0));
    let file = scene.open(&as_class("copier"), GENERIC_READ);
    let read = file.and_then(|file| {
        assert_eq!(
            (file.info.FileAttributes, file.info.FileSize),
            (OFFLINE, sound.len() as u64)
        );
        let read = scene.read(&file, 0, 100);
        scene.close(file);
        read
    });
    assert_eq!(read, Err(STATUS_FILE_IS_OFFLINE));
    let folder = format!(r"\.as\player\by-id\{id}");
    assert_eq!(
        scene.names_in(&folder, 4096),
        [("Kick.wav".to_owned(), OFFLINE)]
    );
    // And back.
    put(&scene.home.library().join("Kick.wav"), &sound);
    wait_until(SOON, "that it is back", || {
        scene
            .bytes(&as_class("player"))
            .is_ok_and(|bytes| bytes == sound)
    });
    assert!(
        scene
            .bytes(&as_class("copier"))
            .is_ok_and(|bytes| bytes == sound)
    );
}

/// Nobody would look again in a folder that is open.
#[test]
fn changes_of_the_library_reach_whoever_looks() {
    let home = Home::new();
    put(&home.library().join("Drums/Kick.wav"), &wav(1000, 1));
    let scene = Scene::mounted(home);
    scene.item("Drums/Kick.wav");
    let folder = scene.open(r"\library\library\drums", GENERIC_READ).unwrap();
    assert_eq!(
        scene.bytes(r"\library\library\drums\kick.wav").unwrap(),
        wav(1000, 1)
    );
    let drums = scene.home.library().join("Drums");
    put(&drums.join("Snare.wav"), &wav(1000, 2));
    assert_eq!(
        scene.notice_of(r"\library\library\Drums\Snare.wav"),
        1,
        "added"
    );
    put(&drums.join("Kick.wav"), &wav(2000, 3));
    assert_eq!(
        scene.notice_of(r"\library\library\Drums\Kick.wav"),
        3,
        "changed"
    );
    wait_until(SOON, "its new bytes", || {
        scene
            .bytes(r"\library\library\drums\KICK.wav")
            .is_ok_and(|bytes| bytes == wav(2000, 3))
    });
    std::fs::remove_file(drums.join("Kick.wav")).unwrap();
    assert_eq!(
        scene.notice_of(r"\library\library\Drums\Kick.wav"),
        2,
        "removed"
    );
    assert_eq!(
        scene
            .create(
                r"\library\library\drums\KICK.wav",
                Wish::new(GENERIC_READ, OPEN)
            )
            .err(),
        Some(STATUS_OBJECT_NAME_NOT_FOUND)
    );
    assert_eq!(scene.names(r"\library\library\Drums"), ["Snare.wav"]);
    scene.close(folder);
}

//! Takes of projects on disks that may be pulled: recorded on this computer, and then brought to their project.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bench::*;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, wait_until};

/// Reserves a take of the project, and writes it through the drive; gives its id.
fn record(home: &Home, song: &Path, name: &str, bytes: &[u8]) -> String {
    let words = [
        "reserve",
        "--name",
        name,
        "--project",
        song.to_str().unwrap(),
    ];
    let take = home.json(words);
    std::fs::write(take["file"].as_str().unwrap(), bytes).unwrap();
    take["mediaId"].as_str().unwrap().to_owned()
}

/// Files of sounds that the home itself keeps.
fn kept_here(home: &Home) -> Vec<PathBuf> {
    let found = walkdir(&home.home());
    let sounds = found
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "wav"));
    sounds.collect()
}

fn walkdir(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(walkdir(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

fn away(home: &Home) -> Vec<Value> {
    let all = home.json(["warnings"]);
    let all = all.as_array().unwrap().iter();
    let of_it = all.filter(|one| one["id"].as_str().unwrap().starts_with("takes.away"));
    of_it.cloned().collect()
}

fn is_at(home: &Home, id: &str, path: &Path) -> bool {
    home.json(["show", id])["resolvedPath"] == path.to_str().unwrap()
}

fn brought(kind: Kind) {
    let home = Home::new();
    let mut red = Volume::new(kind);
    let at = home.path("red");
    red.mount(&at);
    let song = at.join("Songs/Song");
    let mounted = home.mount();
    home.run(["project", "new", song.to_str().unwrap()]);
    let media = song.join("Media");
    let sound = wav(200_000, 5);
    let id = record(&home, &song, "Lead", &sound);
    let before = home.json(["finalise", &id]);
    assert_eq!(before["lifecycle"], "final");
    // It goes on being read under its first name meanwhile.
    let held = std::fs::File::open(home.on_drive("record/Lead.wav")).unwrap();
    wait_until(DONE, "it is with its project", || {
        is_at(&home, &id, &media.join("Lead.wav"))
    });
    assert_eq!(std::fs::read(media.join("Lead.wav")).unwrap(), sound);
    let mut bytes = vec![0; sound.len()];
    std::os::unix::fs::FileExt::read_exact_at(&held, &mut bytes, 0).unwrap();
    assert!(bytes == sound);
    drop(held);
    wait_until(DONE, "the file here goes", || kept_here(&home).is_empty());
    let item = home.json(["show", &id]);
    assert_eq!(item["storage"]["path"], "Media/Lead.wav", "{item:#}");
    for same in ["name", "size", "origin", "blake3", "path", "kind"] {
        assert_eq!(item[same], before[same], "{same}");
    }
    assert_eq!(copied(&home, &item).unwrap(), sound);
    assert_eq!(
        std::fs::read(home.on_drive(".as/copier/record/Lead.wav")).unwrap(),
        sound
    );
    assert_eq!(away(&home), Vec::<Value>::new());
    // It was kept here for who plays it.
    red.detach();
    wait_for_state(&home, "absent");
    assert_eq!(played(&home, &item).unwrap(), sound);
    red.mount(&at);
    wait_for_state(&home, "online");
    // No look at the volume makes something new of it.
    home.run(["scan"]);
    assert_eq!(home.items().len(), 1);

    // One more, of the same name, and saved at once: the manifest has both in the project.
    let second = record(&home, &song, "Lead", &wav(300, 6));
    home.run(["finalise", &second]);
    home.run(["project", "save", song.to_str().unwrap()]);
    let manifest = std::fs::read_to_string(song.join("media.json")).unwrap();
    for name in ["Media/Lead.wav", "Media/Lead (2).wav"] {
        assert!(manifest.contains(name), "{manifest}");
    }
    mounted.stop();

    // On another computer all is there.
    let other = Home::new();
    let mounted = other.mount_with(&["--project".as_ref(), song.as_os_str()]);
    for (id, bytes) in [(&id, sound), (&second, wav(300, 6))] {
        let item = wait_for_item(&other, id, "external-online", "bytes");
        assert_eq!(copied(&other, &item).unwrap(), bytes);
    }
    mounted.stop();
}

#[test]
fn a_take_is_brought_to_its_project_on_an_ext4_disk() {
    brought(Kind::Ext4);
}

#[test]
fn a_take_is_brought_to_its_project_on_an_ntfs_disk() {
    brought(Kind::Ntfs);
}

#[test]
fn a_take_that_cannot_be_brought_stays_and_is_told_until_it_can() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    let song = at.join("Song");
    let mounted = home.mount();
    home.run(["project", "new", song.to_str().unwrap()]);
    let (first, second) = (wav(400_000, 1), wav(500, 2));
    let full = record(&home, &song, "Full", &first);
    let filler = red.fill();
    let item = home.json(["finalise", &full]);
    assert_eq!(item["lifecycle"], "final");
    wait_until(DONE, "no room is told", || {
        away(&home).first().is_some_and(|one| {
            let text = one["text"].as_str().unwrap();
            text.contains("1 take of Song") && text.contains("No space left")
        })
    });
    assert_eq!(copied(&home, &item).unwrap(), first);
    let names = std::fs::read_dir(song.join("Media")).unwrap();
    assert_eq!(names.flatten().count(), 0, "a part of a copy is left");
    std::fs::remove_file(filler).unwrap();

    // Unplugged before the second is made final.
    let unplugged = record(&home, &song, "Unplugged", &second);
    red.detach();
    wait_for_state(&home, "absent");
    let item = home.json(["finalise", &unplugged]);
    wait_until(DONE, "both are told", || {
        away(&home).first().is_some_and(|one| one["count"] == 2)
    });
    assert_eq!(copied(&home, &item).unwrap(), second);
    assert_eq!(kept_here(&home).len(), 2);
    mounted.stop();

    // They are brought by a daemon that starts with the disk there.
    red.mount(&at);
    let mounted = home.mount();
    for (id, name, bytes) in [
        (&full, "Full.wav", first),
        (&unplugged, "Unplugged.wav", second),
    ] {
        let path = song.join("Media").join(name);
        wait_until(DONE, "it is with its project", || is_at(&home, id, &path));
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }
    wait_until(DONE, "nothing is left here", || {
        kept_here(&home).is_empty() && away(&home).is_empty()
    });
    mounted.stop();
}

#[test]
fn a_take_that_the_library_or_history_has_too_stays_there() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    let song = at.join("Song");
    let mounted = home.mount();
    home.run(["project", "new", song.to_str().unwrap()]);
    let sound = wav(3000, 3);
    let take = home.json(["reserve", "--name", "Lead"]);
    std::fs::write(take["file"].as_str().unwrap(), &sound).unwrap();
    let id = take["mediaId"].as_str().unwrap();
    home.run(["finalise", id]);
    home.run(["project", "use", song.to_str().unwrap(), id]);
    home.run(["project", "save", song.to_str().unwrap()]);
    let file = home.home().join("Library/Lead.wav");
    assert!(file.exists());
    assert!(!song.join("Media/Lead.wav").exists());
    // Only the project has it, and history wants it back.
    let of_library = || {
        home.items()
            .into_iter()
            .find(|item| item["scope"] == "library")
    };
    let path = home.on_drive("library/Imported/Lead.wav");
    assert!(path.exists() && of_library().is_some());
    home.run(["remove", "--force", path.to_str().unwrap()]);
    assert!(of_library().is_none());
    home.run(["project", "save", song.to_str().unwrap()]);
    assert_eq!(std::fs::read(song.join("Media/Lead.wav")).unwrap(), sound);
    assert_eq!(std::fs::read(&file).unwrap(), sound);
    home.run(["undo"]);
    let back = of_library().unwrap();
    assert_eq!(back["availability"], "local", "{back:#}");
    assert_eq!(copied(&home, &back).unwrap(), sound);
    mounted.stop();
}

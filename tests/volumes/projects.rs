//! Media of projects on storage that is not trusted: brought and pinned, so that unplugging is not heard.

use std::path::Path;
use std::time::Duration;

use crate::bench::*;
use crate::clouds::declare_at;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};
use crate::support::{Home, wait_until};

fn project(home: &Home) -> std::path::PathBuf {
    let project = home.path("song");
    std::fs::create_dir_all(&project).unwrap();
    project
}

fn import(home: &Home, project: &Path, path: &Path) -> String {
    let words = ["import", "--reference", "--project"];
    let mut words: Vec<&std::ffi::OsStr> = words.iter().map(AsRef::as_ref).collect();
    words.extend([project.as_os_str(), path.as_os_str()]);
    let found = home.json(words);
    found[0]["mediaId"].as_str().unwrap().to_owned()
}

#[test]
fn media_of_a_project_play_on_when_their_volume_is_unplugged() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 5000);
    let at = home.path("red");
    let song = project(&home);
    let mounted = home.mount_with(&["--project".as_ref(), song.as_os_str()]);
    let id = import(&home, &song, &samples(&at).join("1.wav"));
    let item = wait_for_item(&home, &id, "external-online", "bytes");
    let there = home.json(["whereis", &id]);
    let owner = there["pinnedFor"][0].as_str().unwrap_or_default();
    assert!(owner.starts_with("project:"), "{there:#}");
    home.run(["cache", "evict"]);
    red.detach();
    wait_for_state(&home, "absent");
    assert_eq!(played(&home, &item).unwrap(), wav(5001, 1));
    mounted.stop();
    // Also when it was away from the start.
    let mounted = home.mount_with(&["--project".as_ref(), song.as_os_str()]);
    assert_eq!(played(&home, &item).unwrap(), wav(5001, 1));
    mounted.stop();
}

#[test]
fn no_more_than_four_fifths_of_the_cache_are_taken() {
    const QUOTA: u64 = 1_000_000_000;
    let home = Home::new();
    std::fs::write(home.home().join("config.toml"), "[cache]\nquota_gb = 1\n").unwrap();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    std::fs::create_dir(samples(&at)).unwrap();
    let song = project(&home);
    let mounted = home.mount_with(&["--project".as_ref(), song.as_os_str()]);
    for number in 1..=4 {
        // Of 240 MB each, on a disk that has no room for one: nothing but holes.
        let path = samples(&at).join(format!("{number}.wav"));
        let frames = 60_000_000 + number;
        std::fs::write(&path, wav_head(frames)).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(44 + 4 * u64::from(frames)).unwrap();
        settle(&at);
        import(&home, &song, &path);
    }
    let cached = || {
        let items = home.items();
        items
            .iter()
            .filter(|item| item["playable"] == "bytes")
            .count()
    };
    wait_until(DONE, "some are kept", || cached() == 3);
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(cached(), 3);
    let stats = home.json(["cache", "stats"]);
    let pinned = stats["pinnedBytes"]
        .as_u64()
        .unwrap_or_else(|| panic!("{stats:#}"));
    assert!(pinned > 0 && pinned <= QUOTA / 5 * 4, "{stats:#}");
    mounted.stop();
}

fn wav_head(frames: u32) -> Vec<u8> {
    let mut head = wav(0, 0);
    let data = frames * 4;
    head[4..8].copy_from_slice(&(36 + data).to_le_bytes());
    head[40..44].copy_from_slice(&data.to_le_bytes());
    head
}

/// Everything of a project is on a disk that can be pulled: the sounds play on, and all of it is as it was when the disk is
/// back, elsewhere.
#[test]
fn a_project_on_a_volume_goes_and_comes_with_it() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    let song = at.join("song");
    std::fs::create_dir_all(song.join("Media/Drums")).unwrap();
    std::fs::write(song.join("Media/Drums/kick.wav"), wav(4000, 1)).unwrap();
    settle(&at);
    let with: [&std::ffi::OsStr; 2] = ["--project".as_ref(), song.as_os_str()];
    let mounted = home.mount_with(&with);
    assert!(song.join("media.json").is_file());
    let id = import(&home, &song, &song.join("Media/Drums/kick.wav"));
    // It is brought and pinned, as are all media of open projects that may go.
    let item = wait_for_item(&home, &id, "external-online", "bytes");
    assert_eq!(item["storage"]["backend"], "project", "{item:#}");
    assert_eq!(item["storage"]["path"], "Media/Drums/kick.wav", "{item:#}");
    let shown = home.on_drive("projects/song/Audio/kick.wav");
    assert_eq!(std::fs::read(&shown).unwrap(), wav(4000, 1));

    red.detach();
    wait_for_state(&home, "absent");
    assert_eq!(played(&home, &item).unwrap(), wav(4000, 1));
    mounted.stop();
    let mounted = home.mount_with(&with);
    wait_until(DONE, "the cache is open", || {
        std::fs::read(&shown).is_ok_and(|bytes| bytes == wav(4000, 1))
    });
    assert!(
        std::fs::read_dir(&at).unwrap().next().is_none(),
        "in its empty mount point"
    );

    let elsewhere = home.path("elsewhere");
    red.mount(&elsewhere);
    wait_for_state(&home, "online");
    let song = elsewhere.join("song");
    std::fs::write(song.join("Media/new.wav"), wav(500, 2)).unwrap();
    let new = import(&home, &song, &song.join("Media/new.wav"));
    assert_eq!(home.json(["show", &id])["availability"], "external-online");
    mounted.stop();
    // Named where it is now, it is the same project.
    let mounted = home.mount_with(&["--project".as_ref(), song.as_os_str()]);
    for (id, bytes) in [(&id, wav(4000, 1)), (&new, wav(500, 2))] {
        let item = wait_for_item(&home, id, "external-online", "bytes");
        assert_eq!(copied(&home, &item).unwrap(), bytes);
    }
    assert_eq!(home.items().len(), 2);
    mounted.stop();
}

/// The folder of a project lies in a folder of a sync client.
#[test]
fn a_project_in_a_cloud_folder_is_opened() {
    let home = Home::new();
    let cloud = home.path("cloud");
    let song = cloud.join("song");
    std::fs::create_dir_all(song.join("Media")).unwrap();
    std::fs::write(song.join("Media/kick.wav"), wav(4000, 1)).unwrap();
    declare_at(&home, &cloud, "dropbox");
    let mounted = home.mount_with(&["--project".as_ref(), song.as_os_str()]);
    let id = import(&home, &song, &song.join("Media/kick.wav"));
    let item = wait_for_item(&home, &id, "external-online", "bytes");
    assert_eq!(copied(&home, &item).unwrap(), wav(4000, 1));
    let there = home.json(["whereis", &id]);
    assert_eq!(there["volume"]["kind"], "cloud", "{there:#}");
    let manifest = std::fs::read_to_string(song.join("media.json")).unwrap();
    assert!(manifest.contains("mediafs-project"), "{manifest}");
    mounted.stop();
    // A manifest that is damaged is told, and left as it is.
    std::fs::write(song.join("media.json"), "{").unwrap();
    let mounted = home.mount_with(&["--project".as_ref(), song.as_os_str()]);
    let warnings = home.json(["warnings"]).to_string();
    assert!(warnings.contains("is damaged"), "{warnings}");
    assert_eq!(
        std::fs::read_to_string(song.join("media.json")).unwrap(),
        "{"
    );
    assert_eq!(home.items().len(), 1);
    mounted.stop();
}

/// Its manifest is written there by a courier, and another machine opens it with all that is known of its sounds. Made
/// ready, it plays without the disk.
#[test]
fn a_project_on_a_volume_is_saved_there_and_made_ready() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    let song = at.join("song");
    std::fs::create_dir_all(song.join("Media")).unwrap();
    std::fs::write(song.join("Media/kick.wav"), wav(4000, 1)).unwrap();
    settle(&at);
    let text = song.to_str().unwrap();
    let mounted = home.mount();
    home.json(["project", "new", text]);
    let id = import(&home, &song, &song.join("Media/kick.wav"));
    home.run(["tag", &id, "Drum"]);
    let saved = home.json(["project", "save", text, "--revision", "1"]);
    assert_eq!(saved["written"], true, "{saved:#}");
    home.run(["rename", &id, "Boom"]);
    home.json(["project", "save", text, "--revision", "2"]);
    let read = |name: &str| std::fs::read_to_string(song.join(name)).unwrap();
    assert!(read("media.json").contains("Boom.wav"));
    assert!(!read("media.json.previous").contains("Boom.wav"));
    assert!(read("media.json.previous").contains("Drum"));
    let names: Vec<_> = std::fs::read_dir(&song).unwrap().collect();
    assert_eq!(names.len(), 3, "{names:?}");
    // A sync client has been at it.
    let copy = read("media.json").replace("\"Drum\"", "\"Theirs\"");
    std::fs::write(song.join("media (1).json"), copy).unwrap();
    let opened = home.json(["project", "open", text]);
    assert_eq!(
        opened["merged"][0]["setAside"], "media.json.merged.1",
        "{opened:#}"
    );
    assert!(read("media.json").contains("Theirs") && read("media.json").contains("Drum"));

    let ready = home.json(["project", "ready", "--fetch", text]);
    assert_eq!(ready["ready"], true, "{ready:#}");
    let item = wait_for_item(&home, &id, "external-online", "bytes");
    home.run(["project", "close", text]);
    home.run(["cache", "evict"]);
    red.detach();
    wait_for_state(&home, "absent");
    assert_eq!(played(&home, &item).unwrap(), wav(4000, 1));
    let refused = home.command(["project", "save", text]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("all that was done is kept"), "{said}");
    mounted.stop();

    red.mount(&at);
    let two = Home::new();
    let mounted = two.mount();
    let opened = two.json(["project", "open", text, "--revision", "2"]);
    assert_eq!(opened["added"], 1, "{opened:#}");
    let item = wait_for_item(&two, &id, "external-online", "bytes");
    assert_eq!(item["name"], "Boom.wav");
    assert_eq!(item["tags"].as_array().unwrap().len(), 2, "{item:#}");
    assert_eq!(copied(&two, &item).unwrap(), wav(4000, 1));
    mounted.stop();
}

/// Copied there by its courier, and verified.
#[test]
fn sounds_are_copied_into_a_project_on_a_volume() {
    let home = Home::new();
    let mut red = Volume::new(Kind::Ext4);
    let at = home.path("red");
    red.mount(&at);
    let song = at.join("song");
    std::fs::create_dir_all(&song).unwrap();
    settle(&at);
    let text = song.to_str().unwrap();
    let sounds = home.path("sounds");
    std::fs::create_dir_all(sounds.join("Drums")).unwrap();
    // More than one part of a frame.
    let long = wav(700_000, 3);
    std::fs::write(sounds.join("Drums/kick.wav"), &long).unwrap();
    std::fs::write(sounds.join("pad.wav"), wav(400, 4)).unwrap();
    let mounted = home.mount();
    home.json(["project", "new", text]);
    let pad = sounds.join("pad.wav");
    let words = ["import", "--copy", "--project", text];
    let one = home.json(words.iter().chain(&[pad.to_str().unwrap()]));
    assert_eq!(one[0]["outcome"], "imported", "{one:#}");
    assert_eq!(one[0]["source"], pad.to_str().unwrap());
    let again = home.json(words.iter().chain(&[pad.to_str().unwrap()]));
    assert_eq!(again[0]["outcome"], "already", "{again:#}");
    assert_eq!(again[0]["mediaId"], one[0]["mediaId"]);
    let all = home.json(words.iter().chain(&[sounds.to_str().unwrap()]));
    assert_eq!(all.as_array().unwrap().len(), 2, "{all:#}");
    let media = song.join("Media");
    assert_eq!(std::fs::read(media.join("pad.wav")).unwrap(), wav(400, 4));
    assert_eq!(
        std::fs::read(media.join("sounds/Drums/kick.wav")).unwrap(),
        long
    );
    for entry in std::fs::read_dir(&media).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().starts_with('.'), "{name:?} is left");
    }
    let id = one[0]["mediaId"].as_str().unwrap();
    let item = wait_for_item(&home, id, "external-online", "bytes");
    assert_eq!(item["origin"], "imported", "{item:#}");
    assert_eq!(item["storage"]["path"], "Media/pad.wav", "{item:#}");
    // Another file of that name is another sound.
    std::fs::write(&pad, wav(500, 5)).unwrap();
    let other = home.json(words.iter().chain(&[pad.to_str().unwrap()]));
    assert_eq!(other[0]["outcome"], "imported", "{other:#}");
    assert_eq!(
        std::fs::read(media.join("pad (2).wav")).unwrap(),
        wav(500, 5)
    );
    // Nor is a link followed out of the project.
    let outside = home.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::rename(&media, song.join("Was Media")).unwrap();
    std::os::unix::fs::symlink(&outside, &media).unwrap();
    std::fs::write(&pad, wav(600, 6)).unwrap();
    let refused = home
        .command(words.iter().chain(&[pad.to_str().unwrap()]))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
    mounted.stop();
}

/// What is on a disk that may go is brought for it, and copied from the cache.
#[test]
fn a_project_is_collected_from_a_volume() {
    let home = Home::new();
    let mut red = red(&home, Kind::Ext4, 2, 5000);
    let at = home.path("red");
    let song = project(&home);
    let mounted = home.mount();
    home.json(["project", "new", song.to_str().unwrap()]);
    let id = import(&home, &song, &samples(&at).join("1.wav"));
    home.run(["project", "save", song.to_str().unwrap()]);
    // So that nobody pins it.
    home.run(["project", "close", song.to_str().unwrap()]);
    home.run(["cache", "evict"]);
    let to = home.path("collected");
    let words = ["project", "save-as", "--collect", song.to_str().unwrap()];
    let collected = home.json(words.iter().chain(&[to.to_str().unwrap()]));
    assert_eq!(collected["copied"], 1, "{collected:#}");
    assert!(std::fs::read(to.join("Media/1.wav")).unwrap() == wav(5001, 1));
    red.detach();
    wait_for_state(&home, "absent");
    let ready = home.json(["project", "ready", to.to_str().unwrap()]);
    assert_eq!(ready["ready"], true, "{ready:#}");
    let manifest = std::fs::read_to_string(to.join("media.json")).unwrap();
    assert!(manifest.contains(r#""backend": "volume""#), "{manifest}");
    let shown = home.on_drive("projects/collected/Audio/1.wav");
    assert!(std::fs::read(shown).unwrap() == wav(5001, 1));
    assert_eq!(
        home.json(["project", "status", song.to_str().unwrap()])["items"]["total"],
        1
    );
    assert!(!id.is_empty());
    mounted.stop();
}

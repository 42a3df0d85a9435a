//! Files beside sounds, as a kernel's client writes, replaces and removes them while programs have them open.

use std::fs;

use crate::client::{Client, Handle, Words};
use crate::support::Home;
use crate::support::sounds::wav;
use crate::{Exported, NO_SUCH, READ_ONLY, SOON, STALE, find};

const CREATE: u32 = 8;
const REMOVE: u32 = 12;
const RENAME: u32 = 14;

/// As Linux calls what it has removed, until it is closed.
const HIDDEN: &[u8] = b".nfs000000000000a1b200000001";

fn create(client: &mut Client, folder: &Handle, name: &[u8]) -> Handle {
    // Whether or not it is there; none of its attributes.
    let words = Words::default().bytes(folder).bytes(name).number(0);
    let words = (0..6).fold(words, |words, _| words.number(0));
    assert_eq!(client.change(CREATE, words), 0);
    client.look_up(folder, name).unwrap()
}

fn rename(client: &mut Client, folder: &Handle, from: &[u8], to: &[u8]) -> u32 {
    let from = Words::default().bytes(folder).bytes(from);
    client.change(RENAME, from.bytes(folder).bytes(to))
}

fn remove(client: &mut Client, folder: &Handle, name: &[u8]) -> u32 {
    client.change(REMOVE, Words::default().bytes(folder).bytes(name))
}

fn names(client: &mut Client, folder: &Handle) -> Vec<String> {
    let (part, is_last) = client.list(folder, 0, 1 << 20).unwrap();
    assert!(is_last);
    let names = part.into_iter().skip(2);
    let mut names: Vec<_> = names
        .map(|(name, _)| String::from_utf8(name).unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_removed_while_it_is_open_is_read_and_written_on() {
    let home = Home::new();
    fs::write(home.library().join("kick.wav"), wav(500, 1)).unwrap();
    let drive = Exported::of(&home);
    home.wait_for_items(1);
    let (mut client, root) = drive.client();
    let folder = find(&mut client, &root, "library/library").unwrap();
    let peaks = create(&mut client, &folder, b"kick.wav.pkf");
    assert_eq!(client.write(&peaks, 0, b"old"), Ok(3));
    let new = create(&mut client, &folder, b"kick.wav.new");
    assert_eq!(client.write(&new, 0, b"newer"), Ok(5));
    // Another is put in its place.
    assert_eq!(rename(&mut client, &folder, b"kick.wav.pkf", HIDDEN), 0);
    assert_eq!(
        rename(&mut client, &folder, b"kick.wav.new", b"kick.wav.pkf"),
        0
    );
    let replaced = client.look_up(&folder, b"kick.wav.pkf").unwrap();
    assert_eq!(client.read(&replaced, 0, 100).unwrap(), b"newer");
    assert_eq!(client.look_up(&folder, HIDDEN), Ok(peaks.clone()));
    // Longer than files stay open that nobody uses.
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(client.read(&peaks, 0, 100).unwrap(), b"old");
    assert_eq!(client.write(&peaks, 3, b"er"), Ok(2));
    assert_eq!(client.size(&peaks), Ok(5));
    assert_eq!(
        names(&mut client, &folder),
        ["kick.wav", "kick.wav.pkf"],
        "no such name is shown"
    );
    // It is closed.
    assert_eq!(remove(&mut client, &folder, HIDDEN), 0);
    assert_eq!(client.look_up(&folder, HIDDEN), Err(NO_SUCH));
    crate::support::wait_until(SOON, "it to be gone", || client.size(&peaks) == Err(STALE));
    // A sound is not removed so either.
    assert_eq!(rename(&mut client, &folder, b"kick.wav", HIDDEN), READ_ONLY);
    // What is gone already has no name to be taken from it.
    assert_eq!(rename(&mut client, &folder, b"none", HIDDEN), 0);
    assert_eq!(client.look_up(&folder, HIDDEN), Err(NO_SUCH));
    let sound = client.look_up(&folder, b"kick.wav").unwrap();
    assert_eq!(client.size(&sound), Ok(wav(500, 1).len() as u64));
}

#[test]
fn every_folder_that_shows_one_has_changed_when_it_is_made_or_gone() {
    let home = Home::new();
    fs::write(home.library().join("kick.wav"), wav(500, 1)).unwrap();
    let drive = Exported::of(&home);
    let item = home.wait_for_items(1).remove(0);
    let by_id = format!("by-id/{}", item["mediaId"].as_str().unwrap());
    let (mut client, root) = drive.client();
    let folders = ["library/library", &by_id].map(|path| find(&mut client, &root, path).unwrap());
    let times = |client: &mut Client| folders.clone().map(|folder| client.changed(&folder));
    let before = times(&mut client);
    create(&mut client, &folders[0], b"kick.wav.pkf");
    let with = times(&mut client);
    assert!(before[0] < with[0] && before[1] < with[1]);
    assert_eq!(remove(&mut client, &folders[1], b"kick.wav.pkf"), 0);
    let without = times(&mut client);
    assert!(with[0] < without[0] && with[1] < without[1]);
    assert_eq!(names(&mut client, &folders[0]), ["kick.wav"]);
}

#[test]
fn who_has_one_open_that_lies_on_disk_writes_into_its_copy() {
    let home = Home::new();
    let library = home.library();
    fs::write(library.join("kick.wav"), wav(500, 1)).unwrap();
    for name in ["kick.asd", "kick.gpk"] {
        fs::write(library.join(name), name).unwrap();
    }
    let drive = Exported::of(&home);
    home.wait_for_items(1);
    let (mut client, root) = drive.client();
    let folder = find(&mut client, &root, "library/library").unwrap();
    let file = client.look_up(&folder, b"kick.asd").unwrap();
    let inode = client.inode(&file);
    assert_eq!(client.read(&file, 0, 100).unwrap(), b"kick.asd");
    assert_eq!(client.write(&file, 5, b"DONE"), Ok(4));
    assert_eq!(client.read(&file, 0, 100).unwrap(), b"kick.DONE");
    assert_eq!(client.size(&file), Ok(9));
    assert_eq!(client.inode(&file), inode, "it is the same to clients");
    assert_eq!(client.look_up(&folder, b"kick.asd"), Ok(file.clone()));
    // Shortened at first, and written then.
    let other = client.look_up(&folder, b"kick.gpk").unwrap();
    let words = Words::default().bytes(&other).number(0).number(0).number(0);
    let words = words.number(1).long(4).number(0).number(0).number(0);
    assert_eq!(client.change(2, words), 0);
    assert_eq!(client.read(&other, 0, 100).unwrap(), b"kick");
    assert_eq!(client.write(&other, 4, b"!"), Ok(1));
    assert_eq!(client.read(&other, 0, 100).unwrap(), b"kick!");
    assert_eq!(
        names(&mut client, &folder),
        ["kick.asd", "kick.gpk", "kick.wav"],
        "each once"
    );
    // The user's folder is as it was; and what is removed stays away.
    for name in ["kick.asd", "kick.gpk"] {
        assert_eq!(fs::read_to_string(library.join(name)).unwrap(), name);
    }
    assert_eq!(remove(&mut client, &folder, b"kick.asd"), 0);
    assert_eq!(client.look_up(&folder, b"kick.asd"), Err(NO_SUCH));
    let new = create(&mut client, &folder, b"kick.asd");
    assert_ne!(new, file);
    assert_eq!(client.size(&new), Ok(0));
}

//! How it ends.

use std::rc::Rc;
use std::time::Duration;

use crate::host::GENERIC_READ;
use crate::program::STATUS_OBJECT_NAME_NOT_FOUND;
use crate::scene::Scene;
use crate::support::Home;
use crate::support::sounds::wav;

#[test]
fn it_ends_with_files_open_and_begins_again() {
    let home = Home::new();
    let sound = wav(3000, 1);
    std::fs::write(home.library().join("Kick.wav"), &sound).unwrap();
    let mut scene = Scene::mounted(home);
    let id = scene.item("Kick.wav")["mediaId"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!(r"\by-id\{id}\Kick.wav");
    let file = scene.open(&path, GENERIC_READ).unwrap();
    assert_eq!(scene.read(&file, 0, 4).unwrap(), b"RIFF");
    let took = scene.stop();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let note = scene.home.path("Loophole").join("NOT-MOUNTED.txt");
    assert!(note.exists());
    let mut scene = Scene::mounted(Rc::clone(&scene.home));
    assert!(!note.exists());
    assert!(scene.bytes(&path).unwrap() == sound);
    assert_eq!(
        scene.bytes(r"\by-id\none"),
        Err(STATUS_OBJECT_NAME_NOT_FOUND)
    );
    let took = scene.stop();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

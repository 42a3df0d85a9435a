//! Sidecars that are on disk beside the sounds' own files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use crate::scene::{SOON, Scene, fails, names, python, refuses_bytes};
use crate::support::wait_until;

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(long_ago).unwrap();
}

#[test]
fn they_are_shown_in_every_view_and_a_write_makes_a_copy() {
    let scene = Scene::new();
    let disk = scene.home.library().join("Drums");
    for name in ["kick.wav.reapeaks", "kick.asd", "kick.PKF", "kick.wav.gpk"] {
        put(&disk, name, name);
    }
    put(&disk, "kick.wav.txt", "a text");
    let mounted = scene.mounted(&[]);
    assert_eq!(scene.home.items().len(), 2, "none is an item");
    let (drums, id) = (scene.drums(), scene.id("kick.wav"));
    let by_id = scene.by_id(&id);
    let all = [
        "kick.PKF",
        "kick.asd",
        "kick.wav",
        "kick.wav.gpk",
        "kick.wav.reapeaks",
    ];
    assert_eq!(names(&by_id), all);
    assert_eq!(names(&drums).len(), all.len() + 2);
    for name in ["kick.wav.reapeaks", "kick.asd", "kick.PKF"] {
        assert_eq!(fs::read_to_string(by_id.join(name)).unwrap(), name);
        assert_eq!(
            fs::metadata(by_id.join(name)).unwrap().mtime(),
            1_000_000_000
        );
    }
    assert!(
        scene
            .told(&id)
            .contains(&("kick.asd".into(), 8, "disk".into()))
    );
    // Written to in one view and another, in each of the ways.
    python(
        &by_id,
        r"
f = open('kick.asd', 'r+b'); f.seek(5); f.write(b'DONE'); f.close()
assert open('kick.asd', 'rb').read() == b'kick.DONE', open('kick.asd', 'rb').read()
os.truncate('kick.PKF', 4); assert open('kick.PKF').read() == 'kick'
",
    );
    python(
        &drums,
        r"
assert open('kick.asd', 'rb').read() == b'kick.DONE'
open('kick.wav.reapeaks.tmp', 'w').write('new')
os.rename('kick.wav.reapeaks.tmp', 'kick.wav.reapeaks')
assert open('kick.wav.reapeaks').read() == 'new'
os.utime('kick.wav.gpk', (5, 7))
assert os.stat('kick.wav.gpk').st_mtime == 7
fails(errno.EEXIST, os.open, 'kick.asd', os.O_CREAT | os.O_EXCL)
",
    );
    assert_eq!(
        fs::read_to_string(by_id.join("kick.wav.reapeaks")).unwrap(),
        "new"
    );
    assert_eq!(
        fs::read_to_string(by_id.join("kick.wav.gpk")).unwrap(),
        "kick.wav.gpk"
    );
    assert_eq!(names(&by_id), all, "each once");
    // What is no sidecar of a program is the user's.
    refuses_bytes(fs::write(drums.join("kick.wav.txt"), "mine"));
    fails(fs::remove_file(drums.join("kick.wav.txt")), Errno::ROFS);
    // The user's folder is as it was.
    for name in ["kick.wav.reapeaks", "kick.asd", "kick.PKF", "kick.wav.gpk"] {
        assert_eq!(fs::read_to_string(disk.join(name)).unwrap(), name);
        assert_eq!(
            fs::metadata(disk.join(name)).unwrap().mtime(),
            1_000_000_000
        );
    }
    assert_eq!(names(&disk).len(), 7);
    mounted.stop();
}

#[test]
fn one_that_is_removed_stays_away() {
    let scene = Scene::new();
    let disk = scene.home.library().join("Drums");
    put(&disk, "kick.wav.asd", "old");
    put(&disk, "snare.asd", "old");
    let mounted = scene.mounted(&[]);
    let (drums, by_id) = (scene.drums(), scene.by_id(&scene.id("kick.wav")));
    assert!(by_id.join("kick.wav.asd").exists());
    fs::remove_file(drums.join("kick.wav.asd")).unwrap();
    // Renamed to one of another name; and written before it is removed.
    fs::rename(drums.join("snare.asd"), drums.join("snare.wav.bak")).unwrap();
    assert_eq!(
        fs::read_to_string(drums.join("snare.wav.bak")).unwrap(),
        "old"
    );
    let gone = || {
        assert!(!by_id.join("kick.wav.asd").exists());
        assert!(!drums.join("kick.wav.asd").exists());
        assert_eq!(names(&by_id), ["kick.wav"]);
        wait_until(SOON, "the names that are left", || {
            names(&drums) == ["kick.wav", "snare.wav", "snare.wav.bak"]
        });
    };
    gone();
    fails(fs::remove_file(drums.join("kick.wav.asd")), Errno::NOENT);
    mounted.stop();
    let mounted = scene.mount(&[]);
    gone();
    fs::write(by_id.join("kick.wav.asd"), "new").unwrap();
    assert_eq!(
        fs::read_to_string(drums.join("kick.wav.asd")).unwrap(),
        "new"
    );
    fs::remove_file(drums.join("kick.wav.asd")).unwrap();
    gone();
    assert_eq!(names(&disk).len(), 4, "the user's folder is as it was");
    mounted.stop();
}

#[test]
fn what_is_no_file_is_left_alone() {
    let scene = Scene::new();
    let disk = scene.home.library().join("Drums");
    std::os::unix::fs::symlink("snare.wav", disk.join("kick.wav.gpk")).unwrap();
    let mounted = scene.mounted(&[]);
    let (drums, id) = (scene.drums(), scene.id("kick.wav"));
    assert_eq!(names(&scene.by_id(&id)), ["kick.wav"]);
    fails(fs::remove_file(drums.join("kick.wav.gpk")), Errno::ROFS);
    refuses_bytes(fs::write(drums.join("kick.wav.gpk"), "x"));
    assert!(drums.join("kick.wav.gpk").is_symlink());
    assert_eq!(names(&drums), ["kick.wav", "kick.wav.gpk", "snare.wav"]);
    mounted.stop();
}

#[test]
fn a_projects_are_shown_too() {
    let scene = Scene::new();
    let mounted = scene.mounted(&[]);
    let id = scene.import("take.wav", 5);
    let item = scene.home.json(["show", &id]);
    let file = Path::new(item["resolvedPath"].as_str().unwrap()).to_owned();
    put(file.parent().unwrap(), "take.wav.reapeaks", "peaks");
    let audio = scene.home.on_drive("projects/Song/Audio");
    wait_until(SOON, "it to be seen", || {
        audio.join("take.wav.reapeaks").exists()
    });
    assert_eq!(names(&audio), ["take.wav", "take.wav.reapeaks"]);
    fs::write(audio.join("take.wav.reapeaks"), "new").unwrap();
    assert_eq!(
        fs::read_to_string(scene.by_id(&id).join("take.wav.reapeaks")).unwrap(),
        "new"
    );
    let disk = file.with_file_name("take.wav.reapeaks");
    assert_eq!(fs::read_to_string(disk).unwrap(), "peaks");
    mounted.stop();
}

#[test]
fn none_is_ever_an_item() {
    let scene = Scene::new();
    let disk = scene.home.library().join("Drums");
    // Whatever is in them.
    fs::copy(disk.join("kick.wav"), disk.join("kick.wav.asd")).unwrap();
    fs::copy(disk.join("kick.wav"), disk.join("lonely.reapeaks")).unwrap();
    let mounted = scene.mounted(&[]);
    fs::copy(disk.join("kick.wav"), disk.join("snare.pkf")).unwrap();
    let beside = scene.drums().join("snare.pkf");
    wait_until(SOON, "the scan to have seen it", || beside.exists());
    let output = scene
        .home
        .command(["import".as_ref(), disk.join("kick.wav.asd").as_os_str()]);
    let output = { output }.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let import = scene.home.on_drive("import");
    fs::copy(disk.join("kick.wav"), import.join("dropped.asd")).unwrap();
    wait_until(SOON, "it to be told of", || {
        scene.home.run(["warnings"]).contains("dropped.asd")
    });
    assert_eq!(scene.home.items().len(), 2);
    assert_eq!(scene.home.json(["search", "lonely"]), serde_json::json!([]));
    mounted.stop();
}

//! The drop box: what programs put there becomes items, and until then may be renamed and removed.

use crate::host::{DELETE, GENERIC_READ, GENERIC_WRITE, MAKE, Wish};
use crate::program::{
    STATUS_DIRECTORY_NOT_EMPTY, STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_NAME_NOT_FOUND,
};
use crate::scene::{SOON, Scene, path_of};
use crate::support::sounds::wav;
use crate::support::{Home, wait_until};

#[test]
fn what_is_copied_there_becomes_an_item() {
    let scene = Scene::mounted(Home::new());
    let sound = wav(20_000, 1);
    scene.make_folder(r"\import\Drums").unwrap();
    scene.put(r"\IMPORT\drums\Kick.wav", &sound).unwrap();
    let mut item = serde_json::Value::Null;
    wait_until(SOON, "an item of it", || {
        let items = scene.home.items();
        let found = items.iter().find(|item| item["name"] == "Kick.wav");
        item = found.cloned().unwrap_or_default();
        item["lifecycle"] == "final"
    });
    assert_eq!(item["origin"], "imported");
    assert!(scene.bytes(&path_of(&item)).unwrap() == sound);
    wait_until(SOON, "that it has gone from there", || {
        !scene.is_there(r"\import\Drums\Kick.wav")
    });
}

/// As Windows' own copying does it: the size first, then the bytes, then the times, with the file open all the while.
#[test]
fn what_is_still_being_written_waits() {
    let scene = Scene::mounted(Home::new());
    let sound = wav(20_000, 2);
    let path = r"\import\slow.wav";
    let wish = Wish::new(GENERIC_READ | GENERIC_WRITE | DELETE, MAKE);
    let file = scene.create(path, wish).unwrap();
    scene.set_end(&file, sound.len() as u64).unwrap();
    scene.write(&file, 0, &sound[..1000]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert!(scene.home.items().is_empty());
    scene.write(&file, 1000, &sound[1000..]).unwrap();
    let time = 133_000_000_000_000_000;
    assert_eq!(scene.set_written(&file, time).unwrap().LastWriteTime, time);
    scene.done_with(file, path);
    wait_until(SOON, "an item of it", || scene.home.items().len() == 1);
    let item = scene.home.items().remove(0);
    assert!(scene.bytes(&path_of(&item)).unwrap() == sound);
}

/// A name may have what stands for a separator, or for what leads to a stream: it is a name there all the same.
#[test]
fn no_name_leads_out_of_it() {
    let home = Home::new();
    let outside = home.home().join("outside.part");
    std::fs::write(&outside, "outside").unwrap();
    let scene = Scene::mounted(home);
    scene.put(r"\import\inside.part", b"inside").unwrap();
    for name in ["..\u{f05c}outside.part", "..\u{f02f}outside.part"] {
        let path = format!(r"\import\{name}");
        assert!(!scene.is_there(&path), "{name:?}");
        assert_eq!(scene.delete(&path), Err(STATUS_OBJECT_NAME_NOT_FOUND));
        scene.move_to(r"\import\inside.part", &path, true).unwrap();
        assert_eq!(scene.names(r"\import"), [name]);
        scene.move_to(&path, r"\import\inside.part", false).unwrap();
        assert_eq!(std::fs::read(&outside).unwrap(), b"outside");
    }
    assert!(!scene.is_there("\\import\\inside.part\u{f03a}stream"));
}

/// What a file `a.part` is called that was renamed to `A.part`: the disks of Wine do nothing then.
fn case_renamed() -> &'static str {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a.part"), "").unwrap();
    std::fs::rename(path("a.part"), path("A.part")).unwrap();
    let entry = std::fs::read_dir(folder.path()).unwrap().next();
    match entry.unwrap().unwrap().file_name() == "A.part" {
        true => "A.part",
        false => "a.part",
    }
}

#[test]
fn what_is_there_is_renamed_and_removed_as_on_any_disk() {
    let scene = Scene::mounted(Home::new());
    // No names of sounds: they stay.
    for name in ["a.part", "B.part"] {
        scene
            .put(&format!(r"\import\{name}"), name.as_bytes())
            .unwrap();
    }
    let names = || {
        let mut names = scene.names(r"\import");
        names.sort_by_key(|name| name.to_lowercase());
        names
    };
    assert_eq!(names(), ["a.part", "B.part"]);
    // In case alone.
    scene
        .move_to(r"\import\a.part", r"\import\A.part", false)
        .unwrap();
    assert_eq!(names(), [case_renamed(), "B.part"]);
    let taken = scene.move_to(r"\import\A.part", r"\import\b.PART", false);
    assert_eq!(taken, Err(STATUS_OBJECT_NAME_COLLISION));
    scene
        .move_to(r"\import\A.part", r"\import\b.PART", true)
        .unwrap();
    assert_eq!(names().len(), 1);
    assert_eq!(scene.bytes(r"\import\B.part").unwrap(), b"a.part");
    // Into a folder, with its file open all the while.
    scene.make_folder(r"\import\Pack").unwrap();
    let file = scene
        .open(r"\import\b.part", GENERIC_READ | DELETE)
        .unwrap();
    scene
        .rename(&file, r"\import\b.part", r"\import\Pack\c.part", false)
        .unwrap();
    assert_eq!(scene.read_whole(&file).unwrap(), b"a.part");
    scene.close(file);
    assert_eq!(
        scene.delete(r"\import\Pack"),
        Err(STATUS_DIRECTORY_NOT_EMPTY)
    );
    scene
        .move_to(r"\import\Pack", r"\import\pack 2", false)
        .unwrap();
    assert_eq!(scene.bytes(r"\import\PACK 2\C.part").unwrap(), b"a.part");
    // It is there, and readable, until whoever marked it to go has closed it.
    let path = r"\import\pack 2\c.part";
    let file = scene.open(path, GENERIC_READ | DELETE).unwrap();
    scene.mark_to_go(&file, path).unwrap();
    assert_eq!(scene.read(&file, 0, 10).unwrap(), b"a.part");
    assert!(scene.is_there(path));
    scene.cleanup(&file, path, true);
    scene.close(file);
    // Not all disks take a name away before the last handle has gone.
    wait_until(SOON, "that it has gone", || !scene.is_there(path));
    scene.delete(r"\import\Pack 2").unwrap();
    assert_eq!(names(), [""; 0]);
    assert_eq!(
        scene.delete(r"\import\gone.part"),
        Err(STATUS_OBJECT_NAME_NOT_FOUND)
    );
    // `FILE_DELETE_ON_CLOSE`: nobody asks before whether it may go.
    let wish = Wish {
        options: 0x1000,
        ..Wish::new(GENERIC_WRITE | DELETE, MAKE)
    };
    let file = scene.create(r"\import\moment.wav", wish).unwrap();
    scene.write(&file, 0, &wav(1000, 1)).unwrap();
    scene.cleanup(&file, r"\import\moment.wav", true);
    scene.close(file);
    std::thread::sleep(std::time::Duration::from_millis(2000));
    assert!(scene.home.items().is_empty(), "it was never meant to stay");
    assert_eq!(names(), [""; 0]);
}

//! A take becomes final on another file system than it was written on: a copy, and never two of it, wherever whoever made
//! it final was killed.

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::scene::{Reserved, Scene};
use crate::support::show;
use crate::support::sounds::wav;
use crate::support::volumes::{Kind, Volume};

/// Before each call of these whoever makes a take final is killed.
const STEPS: [&str; 8] = [
    "fsync",
    "fdatasync",
    "renameat2",
    "unlinkat",
    "copy_file_range",
    "sendfile",
    "fchmod",
    "utimensat",
];

/// Lets folders count as trusted storage that lie on an image.
fn trust(scene: &Scene, folders: &[&Path]) {
    let text = format!("[storage]\ntrusted = {folders:?}\n");
    std::fs::write(scene.home.home().join("config.toml"), text).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lost+found")
        .collect();
    names.sort();
    names
}

/// The files that takes are written to.
fn staged(take: &Reserved) -> Vec<String> {
    names(take.staging.parent().unwrap())
}

/// The one item of this name, without what tells twins apart.
fn only_item(scene: &Scene, name: &str) -> Value {
    let items = scene.home.items();
    let is_it = |item: &&Value| item["name"].as_str().unwrap().starts_with(name);
    let found: Vec<&Value> = items.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{name}: {items:#?}");
    found[0].clone()
}

fn check_final(scene: &Scene, item: &Value, file: &Path, sound: &[u8]) {
    assert_eq!(item["lifecycle"], "final");
    assert_eq!(Scene::resolved(item), file);
    assert!(std::fs::read(file).unwrap() == sound);
    let by_id = scene.home.on_drive(item["path"].as_str().unwrap());
    assert!(std::fs::read(by_id).unwrap() == sound);
    assert_eq!(
        item["blake3"].as_str().unwrap(),
        blake3::hash(sound).to_hex().as_str()
    );
}

/// Two takes of one name become final, then the daemon starts again.
fn moves_two(scene: &Scene, media: &Path, reserve: impl Fn() -> Reserved) {
    let drive = scene.mount(&[]);
    let mut expected = Vec::new();
    for (seed, name) in [(1, "Lead.wav"), (2, "Lead (2).wav")] {
        let sound = wav(70_000, seed);
        let take = reserve();
        std::fs::write(&take.file, &sound).unwrap();
        let written = std::fs::metadata(&take.staging).unwrap();
        let item = scene.finalise(&take);
        let file = media.join(name);
        check_final(scene, &item, &file, &sound);
        let moved = std::fs::metadata(&file).unwrap();
        assert_eq!(moved.modified().unwrap(), written.modified().unwrap());
        assert!(staged(&take).is_empty(), "{:?}", staged(&take));
        expected.push((file, sound, take));
    }
    assert_eq!(names(media), ["Lead (2).wav", "Lead.wav"]);
    drive.stop();
    let _drive = scene.mount(&[]);
    assert!(scene.takes().is_empty(), "{:?}", scene.takes());
    assert_eq!(scene.home.items().len(), 2, "{:#?}", scene.home.items());
    for (file, sound, take) in expected {
        let item = scene.home.json(["show", &take.id]);
        check_final(scene, &item, &file, &sound);
    }
}

#[test]
fn a_take_goes_to_a_media_folder_that_is_a_disk_of_its_own() {
    for kind in [Kind::Ext4, Kind::Xfs] {
        let scene = Scene::new();
        let mut volume = Volume::new(kind);
        let media = scene.project().canonicalize().unwrap().join("Media");
        trust(&scene, &[&media]);
        volume.mount(&media);
        moves_two(&scene, &media, || scene.reserve("Lead"));
    }
}

#[test]
fn a_take_goes_to_another_subvolume() {
    let scene = Scene::new();
    let mut volume = Volume::new(Kind::Btrfs);
    let song = scene.project().canonicalize().unwrap();
    trust(&scene, &[&song]);
    volume.mount(&song);
    let media = song.join("Media");
    let made = Command::new("btrfs")
        .args(["subvolume", "create"])
        .arg(&media)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", show(&made));
    moves_two(&scene, &media, || scene.reserve("Lead"));
}

#[test]
fn a_take_of_no_project_goes_to_a_library_that_is_a_disk_of_its_own() {
    let scene = Scene::new();
    let mut volume = Volume::new(Kind::Ext4);
    let library = scene.home.home().canonicalize().unwrap().join("Library");
    trust(&scene, &[&library]);
    volume.mount(&library);
    std::fs::remove_dir(library.join("lost+found")).unwrap();
    let reserve = || scene.reserve_with(&["--name", "Lead"].map(AsRef::as_ref));
    moves_two(&scene, &library, reserve);
}

#[test]
fn sounds_are_imported_into_a_media_folder_that_is_a_disk_of_its_own() {
    let scene = Scene::new();
    let mut volume = Volume::new(Kind::Ext4);
    let media = scene.project().canonicalize().unwrap().join("Media");
    trust(&scene, &[&media]);
    volume.mount(&media);
    let _drive = scene.mount(&[]);
    let (sound, source) = (wav(100, 3), scene.home.path("Kick.wav"));
    std::fs::write(&source, &sound).unwrap();
    let project = scene.project();
    scene.home.run([
        "import".as_ref(),
        source.as_os_str(),
        "--project".as_ref(),
        project.as_os_str(),
    ]);
    check_final(
        &scene,
        &only_item(&scene, "Kick"),
        &media.join("Kick.wav"),
        &sound,
    );
}

#[test]
fn storage_that_is_not_trusted_is_not_entered_for_a_take() {
    let scene = Scene::new();
    let mut volume = Volume::new(Kind::Ext4);
    let media = scene.project().canonicalize().unwrap().join("Media");
    volume.mount(&media);
    let _drive = scene.mount(&[]);
    let take = scene.reserve("Lead");
    let sound = wav(100, 1);
    std::fs::write(&take.file, &sound).unwrap();
    let why = scene.refused(&["finalise", &take.id]);
    assert!(why.contains("not trusted"), "{why}");
    assert!(names(&media).is_empty());
    assert_eq!(std::fs::read(&take.staging).unwrap(), sound);
    assert_eq!(scene.takes().len(), 1);
}

#[test]
fn a_take_that_does_not_fit_on_the_other_disk_stays_a_take() {
    let scene = Scene::new();
    let mut volume = Volume::new(Kind::Ext4);
    let media = scene.project().canonicalize().unwrap().join("Media");
    trust(&scene, &[&media]);
    volume.mount(&media);
    let _drive = scene.mount(&[]);
    let take = scene.reserve("Lead");
    let sound = wav(1_000_000, 1);
    std::fs::write(&take.file, &sound).unwrap();
    let filler = volume.fill();
    let why = scene.refused(&["finalise", &take.id]);
    assert!(why.contains(take.staging.to_str().unwrap()), "{why}");
    assert_eq!(names(&media), ["filler"]);
    std::fs::remove_file(filler).unwrap();
    assert!(std::fs::read(&take.file).unwrap() == sound);
    let item = scene.finalise(&take);
    check_final(&scene, &item, &media.join("Lead.wav"), &sound);
    assert_eq!(names(&media), ["Lead.wav"]);
}

/// Makes a take final without a daemon, killed before the `n`th call of this kind; whether it was.
fn killed_before(scene: &Scene, take: &Reserved, step: &str, n: u32) -> bool {
    let whole = scene.home.command(["finalise", &take.id]);
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(["-e", &format!("trace={step}")])
        .args(["-e", &format!("inject={step}:signal=KILL:when={n}")])
        .arg(whole.get_program())
        .args(whole.get_args())
        .stdin(Stdio::null())
        .output()
        .expect("strace is needed for this test; scripts/test installs it");
    let is_killed = output.status.signal() == Some(9) || output.status.code() == Some(137);
    assert!(is_killed || output.status.success(), "{}", show(&output));
    is_killed
}

/// What is left of a take's move.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Left {
    is_final: bool,
    staging: bool,
    copy: bool,
    named: bool,
}

fn left(scene: &Scene, take: &Reserved, media: &Path, name: &str) -> Left {
    let path = scene.home.home().join("catalog.db");
    let lifecycle: u8 = rusqlite::Connection::open(path)
        .unwrap()
        .query_row(
            "SELECT lifecycle FROM item WHERE media_id = ?1",
            [&take.id],
            |row| row.get(0),
        )
        .unwrap();
    let files = names(media);
    Left {
        is_final: lifecycle == 1,
        staging: take.staging.exists(),
        copy: files
            .iter()
            .any(|file| file.starts_with(".mediafs-import-")),
        named: files.iter().any(|file| file == name),
    }
}

#[test]
fn there_is_one_of_a_take_wherever_its_move_to_another_disk_was_cut_off() {
    let scene = Scene::new();
    let mut volume = Volume::new(Kind::Ext4);
    let media: PathBuf = scene.project().canonicalize().unwrap().join("Media");
    trust(&scene, &[&media]);
    volume.mount(&media);
    let mut seen = HashSet::new();
    let mut expected: Vec<String> = Vec::new();
    let mut drive = scene.mount(&[]);
    for step in STEPS {
        for n in 1.. {
            assert!(n < 100, "it never comes to its end");
            let word = format!("Lead {:03}", expected.len());
            let sound = wav(3000, u32::try_from(expected.len()).unwrap());
            let name = format!("{word}.wav");
            let take = scene.reserve(&word);
            std::fs::write(&take.file, &sound).unwrap();
            drive.stop();
            let is_killed = killed_before(&scene, &take, step, n);
            let state = left(&scene, &take, &media, &name);
            let case = format!("killed before {step} {n}: {state:?}");
            drive = scene.mount(&[]);
            let item = only_item(&scene, &word);
            assert_eq!(item["mediaId"], *take.id, "{case}");
            assert_eq!(item["lifecycle"] == "final", state.is_final, "{case}");
            if state.is_final {
                expected.push(name.clone());
                assert!(staged(&take).is_empty(), "{case}: {:?}", staged(&take));
            } else {
                assert!(std::fs::read(&take.staging).unwrap() == sound, "{case}");
                assert_eq!(staged(&take).len(), 1, "{case}");
            }
            assert_eq!(names(&media), expected, "{case}");
            let item = scene.finalise(&take);
            check_final(&scene, &item, &media.join(&name), &sound);
            assert!(staged(&take).is_empty(), "{case}");
            if !state.is_final {
                expected.push(name);
            }
            assert_eq!(names(&media), expected, "{case}");
            seen.insert(state);
            if !is_killed {
                break;
            }
        }
    }
    drive.stop();
    let _drive = scene.mount(&[]);
    assert!(scene.takes().is_empty());
    assert_eq!(scene.home.items().len(), expected.len());
    let state = |is_final, staging, copy, named| Left {
        is_final,
        staging,
        copy,
        named,
    };
    for exercised in [
        state(false, true, false, false),
        state(false, true, true, false),
        state(false, true, false, true),
        state(true, true, false, true),
        state(true, false, false, true),
    ] {
        assert!(seen.contains(&exercised), "{exercised:?}: only {seen:?}");
    }
}

//! Projects' folders: opened, closed, moved.

use mediafs::model::Playable;
use mediafs::project::{self, ProjectError};

use crate::support::{House, put, scan, wav};

#[test]
fn a_folder_becomes_a_project_once_and_keeps_its_id_when_it_moves() {
    let house = House::new();
    let library = house.quiet();
    let folder = house.folder.path().join("My Song");
    std::fs::create_dir(&folder).unwrap();
    let base = project::open(&library, &folder, true).unwrap();
    assert_eq!(base.name, "My Song");
    assert!(base.active && base.focused);
    assert!(folder.join("Media").is_dir());
    project::close(&library, base.row).unwrap();
    let moved = house.folder.path().join("Moved");
    std::fs::rename(&folder, &moved).unwrap();
    let again = project::open(&library, &moved, false).unwrap();
    assert_eq!((again.row, &again.project), (base.row, &base.project));
    assert_eq!(again.path, moved);
}

#[test]
fn files_in_media_are_seen_and_only_imports_are_items() {
    let house = House::new();
    let library = house.quiet();
    let folder = house.folder.path().join("Song");
    put(&folder.join("Media/take.wav"), &wav(1, 50));
    put(&folder.join("Export/mix.wav"), &wav(2, 50));
    let base = project::open(&library, &folder, true).unwrap();
    scan(&library);
    let places = house.places(&base);
    assert_eq!(places.keys().collect::<Vec<_>>(), ["Media/take.wav"]);
    assert!(places["Media/take.wav"].1.is_none());
}

#[test]
fn an_imported_copy_that_is_moved_within_media_keeps_its_id() {
    let house = House::new();
    let library = house.watched();
    let folder = house.folder.path().join("Song");
    std::fs::create_dir(&folder).unwrap();
    let base = project::open(&library, &folder, true).unwrap();
    let source = house.sounds().join("kick.wav");
    put(&source, &wav(1, 50));
    let options = mediafs::library::ImportOptions {
        project: Some(base.row),
        ..Default::default()
    };
    let never = std::sync::atomic::AtomicBool::new(false);
    let done = library
        .import(&[source], &options, &Default::default(), &never)
        .unwrap();
    let id = done[0].media_id.clone().unwrap();
    let media = folder.join("Media");
    // Watched, once a file of somebody else is seen.
    put(&media.join("other.wav"), &wav(2, 50));
    house.wait(|house| house.places(&base).contains_key("Media/other.wav"));
    std::fs::create_dir(media.join("Drums")).unwrap();
    std::fs::rename(media.join("kick.wav"), media.join("Drums/kick.wav")).unwrap();
    house.wait(|house| {
        house
            .items(&base)
            .get("Media/Drums/kick.wav")
            .is_some_and(|item| item.media_id == id)
    });
    assert_eq!(house.playable(&id), Playable::Bytes);
    std::fs::remove_file(media.join("Drums/kick.wav")).unwrap();
    house.wait(|house| house.playable(&id) == Playable::Silence);
}

#[test]
fn a_broken_manifest_is_refused_and_left_alone() {
    let house = House::new();
    let library = house.quiet();
    let folder = house.folder.path().join("Song");
    put(&folder.join("media.json"), b"{ not json");
    let refused = project::open(&library, &folder, true);
    assert!(matches!(refused, Err(ProjectError::Manifest(_))));
    assert_eq!(
        std::fs::read(folder.join("media.json")).unwrap(),
        b"{ not json"
    );
    assert!(house.reader().bases().unwrap().is_empty());
}

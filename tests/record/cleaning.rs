//! Takes that were given up go to the trash after thirty days, unless something names them.

use crate::scene::{Reserved, Scene};
use crate::support::show;
use crate::support::sounds::wav;

fn age(scene: &Scene, take: &Reserved, days: i64) {
    let path = scene.home.home().join("catalog.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    let changed = connection
        .execute(
            "UPDATE take SET given_up = given_up - ?1 WHERE item = (SELECT number FROM item WHERE media_id = ?2)",
            (days * 24 * 3600 * 1_000_000_000, &take.id),
        )
        .unwrap();
    assert_eq!(changed, 1);
}

/// Runs a cleanup with a trash of its own.
fn cleanup(scene: &Scene, more: &[&str]) -> Vec<serde_json::Value> {
    let data = scene.home.path("data");
    let output = scene
        .home
        .command([&["cleanup", "--json"], more].concat())
        .env("XDG_DATA_HOME", &data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", show(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    value.as_array().unwrap().clone()
}

#[test]
fn what_was_given_up_long_ago_goes_to_the_trash() {
    let scene = Scene::new();
    let drive = scene.mount(&[]);
    let sound = wav(300, 1);
    let names = ["old", "young", "used", "pending", "named", "tagged"];
    let takes = names.map(|name| scene.reserve_with(&["--name", name].map(AsRef::as_ref)));
    for take in &takes {
        std::fs::write(&take.file, &sound).unwrap();
    }
    let [old, young, used, pending, named, tagged] = &takes;
    scene.home.run(["tag", &tagged.id, "Lead"]);
    for take in [old, young, used, named, tagged] {
        scene.home.run(["abandon", &take.id]);
    }
    let draft = scene.project().join("media.draft.json");
    std::fs::write(&draft, format!("{{\"pads\": [\"{}\"]}}", named.id)).unwrap();
    drive.stop();
    for (take, days) in [
        (old, 31),
        (young, 29),
        (used, 31),
        (named, 31),
        (tagged, 31),
    ] {
        age(&scene, take, days);
    }
    let connection = rusqlite::Connection::open(scene.home.home().join("catalog.db")).unwrap();
    connection
        .execute(
            "INSERT INTO usage (item, project, role, target) SELECT number, 'song', 'clip', 'c1' FROM item WHERE media_id = ?1",
            [&used.id],
        )
        .unwrap();
    drop(connection);

    let of = |cleaned: &[serde_json::Value], take: &Reserved| {
        let found = cleaned.iter().find(|found| found["mediaId"] == *take.id);
        found.map(|found| found["kept"].is_null())
    };
    let dry = cleanup(&scene, &["--dry-run"]);
    assert_eq!(of(&dry, old), Some(true));
    assert!(takes.iter().all(|take| take.staging.exists()));
    let cleaned = cleanup(&scene, &[]);
    assert_eq!(of(&cleaned, old), Some(true));
    assert_eq!(
        [used, named, tagged].map(|take| of(&cleaned, take)),
        [Some(false); 3]
    );
    assert_eq!((of(&cleaned, young), of(&cleaned, pending)), (None, None));
    assert!(!old.staging.exists());
    for kept in [young, used, pending, named, tagged] {
        assert_eq!(std::fs::read(&kept.staging).unwrap(), sound);
    }
    // It can be taken back from there.
    let trash = scene.home.path("data").join("Trash");
    let file = trash.join("files").join(old.staging.file_name().unwrap());
    assert_eq!(std::fs::read(file).unwrap(), sound);
    assert_eq!(std::fs::read_dir(trash.join("info")).unwrap().count(), 1);
    assert!(
        cleanup(&scene, &[])
            .iter()
            .all(|left| left["mediaId"] != *old.id)
    );
    std::fs::remove_file(draft).unwrap();
    assert_eq!(of(&cleanup(&scene, &[]), named), Some(true));
}

/// A file that is not there may be on a disk that is away; then it is not forgotten.
#[test]
fn what_is_on_a_disk_that_is_away_is_kept() {
    let scene = Scene::new();
    let drive = scene.mount(&[]);
    let sound = wav(300, 1);
    let [away, gone] = ["away", "gone"].map(|name| scene.reserve(name));
    for take in [&away, &gone] {
        std::fs::write(&take.file, &sound).unwrap();
        scene.home.run(["abandon", &take.id]);
    }
    drive.stop();
    for take in [&away, &gone] {
        age(&scene, take, 31);
    }
    let of = |cleaned: &[serde_json::Value], take: &Reserved| {
        let found = cleaned.iter().find(|found| found["mediaId"] == *take.id);
        found.map(|found| found["kept"].is_null())
    };
    // Its folder for takes alone: a mount of its own, say.
    let folder = away.staging.parent().unwrap();
    let aside = scene.home.path("aside");
    std::fs::rename(folder, &aside).unwrap();
    let cleaned = cleanup(&scene, &[]);
    assert_eq!(
        (of(&cleaned, &away), of(&cleaned, &gone)),
        (Some(false), Some(false))
    );
    // The project with all that names it.
    std::fs::rename(&aside, folder).unwrap();
    let song = scene.home.path("aside");
    std::fs::rename(scene.project(), &song).unwrap();
    let cleaned = cleanup(&scene, &[]);
    assert_eq!(
        (of(&cleaned, &away), of(&cleaned, &gone)),
        (Some(false), Some(false))
    );
    std::fs::rename(&song, scene.project()).unwrap();
    // It is there, and one of the files is not: there is nothing left to keep.
    std::fs::remove_file(&gone.staging).unwrap();
    let cleaned = cleanup(&scene, &[]);
    assert_eq!(
        (of(&cleaned, &away), of(&cleaned, &gone)),
        (Some(true), Some(true))
    );
    assert!(scene.takes().is_empty());
    let trash = scene.home.path("data").join("Trash/files");
    let file = trash.join(away.staging.file_name().unwrap());
    assert_eq!(std::fs::read(file).unwrap(), sound);
}

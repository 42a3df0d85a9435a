//! States that a power cut may leave: none of them loses a take.

use std::path::Path;

use crate::scene::{Reserved, Scene};
use crate::support::sounds::wav;

/// A take with sound in it, whose daemon has ended.
fn left_behind(scene: &Scene, sound: &[u8]) -> Reserved {
    let drive = scene.mount(&[]);
    let take = scene.reserve("Lead Vox");
    std::fs::write(&take.file, sound).unwrap();
    drive.kill();
    take
}

fn catalog(scene: &Scene, sql: &str) {
    let path = scene.home.home().join("catalog.db");
    let changed = rusqlite::Connection::open(path)
        .unwrap()
        .execute(sql, [])
        .unwrap();
    assert!(changed > 0, "{sql}");
}

#[test]
fn a_file_without_a_row_is_a_take() {
    let scene = Scene::new();
    let sound = wav(500, 1);
    let take = left_behind(&scene, &sound);
    catalog(&scene, "DELETE FROM take");
    catalog(&scene, "DELETE FROM item");
    std::fs::write(take.staging.with_file_name("no take.txt"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", take.staging.with_file_name("evil x.wav")).unwrap();
    let _drive = scene.mount(&[]);
    let takes = scene.takes();
    let ours = takes
        .iter()
        .find(|found| found["mediaId"] == *take.id)
        .unwrap();
    assert_eq!(
        (&ours["name"], &ours["recovered"]),
        (&"Lead Vox.wav".into(), &true.into())
    );
    assert!(
        takes.iter().all(|found| found["mediaId"] != "evil"),
        "{takes:?}"
    );
    let item = scene.finalise(&take);
    assert_eq!(std::fs::read(Scene::resolved(&item)).unwrap(), sound);
    assert_eq!(item["storage"]["path"], "Media/Lead Vox.wav");
}

#[test]
fn a_row_without_a_file_is_told() {
    let scene = Scene::new();
    let take = left_behind(&scene, &wav(500, 1));
    let aside = scene.home.path("aside");
    std::fs::rename(&take.staging, &aside).unwrap();
    let drive = scene.mount(&[]);
    let found = &scene.takes()[0];
    assert!(
        found["size"].is_null() && found["recovered"] == true,
        "{found}"
    );
    let why = scene.refused(&["finalise", &take.id]);
    assert!(
        why.contains(take.staging.to_str().unwrap()) && why.contains("gone"),
        "{why}"
    );
    assert!(std::fs::read(&take.file).is_err());
    // Found again.
    std::fs::rename(&aside, &take.staging).unwrap();
    assert_eq!(scene.finalise(&take)["lifecycle"], "final");
    drop(drive);
    assert!(scene.home.run(["warnings"]).contains("all is well"));
}

#[test]
fn a_move_that_was_not_finished_is_undone() {
    use std::os::unix::fs::MetadataExt as _;
    for in_library in [false, true] {
        let scene = Scene::new();
        let sound = wav(500, 1);
        let drive = scene.mount(&[]);
        let take = if in_library {
            // Its folder is a library that is scanned: what is in it would become another sound.
            let first = scene.reserve_with(&["--name", "First"].map(AsRef::as_ref));
            std::fs::write(&first.file, wav(9, 9)).unwrap();
            scene.finalise(&first);
            scene.reserve_with(&["--name", "Lead"].map(AsRef::as_ref))
        } else {
            scene.reserve("Lead")
        };
        std::fs::write(&take.file, &sound).unwrap();
        drive.kill();
        let media = if in_library {
            scene.home.home().join("Library")
        } else {
            scene.project().join("Media")
        };
        let target = media.canonicalize().unwrap().join("Lead.wav");
        let inode = std::fs::metadata(&take.staging).unwrap().ino();
        catalog(
            &scene,
            &format!(
                "UPDATE take SET target_inode = {inode}, target = CAST('{}' AS BLOB) WHERE target IS NULL \
                 AND item = (SELECT max(item) FROM take)",
                target.display()
            ),
        );
        std::fs::rename(&take.staging, &target).unwrap();
        let _drive = scene.mount(&[]);
        assert_eq!(std::fs::read(&take.staging).unwrap(), sound);
        assert!(!target.exists());
        let item = scene.finalise(&take);
        assert_eq!(item["mediaId"], *take.id);
        assert_eq!(std::fs::read(&target).unwrap(), sound);
        let of_it = |item: &&serde_json::Value| item["name"] == "Lead.wav";
        assert_eq!(scene.home.items().iter().filter(of_it).count(), 1);
    }
}

/// Where the disk of its project is away, nobody can say yet what became of a move.
#[test]
fn a_move_that_was_not_finished_is_undone_when_its_disk_is_back() {
    use std::os::unix::fs::MetadataExt as _;
    let scene = Scene::new();
    let sound = wav(500, 1);
    let take = left_behind(&scene, &sound);
    let media = scene.project().canonicalize().unwrap().join("Media");
    std::fs::create_dir_all(&media).unwrap();
    let target = media.join("Lead Vox.wav");
    let inode = std::fs::metadata(&take.staging).unwrap().ino();
    catalog(
        &scene,
        &format!(
            "UPDATE take SET target_inode = {inode}, target = CAST('{}' AS BLOB)",
            target.display()
        ),
    );
    std::fs::rename(&take.staging, &target).unwrap();
    let away = scene.home.path("away");
    std::fs::rename(scene.project(), &away).unwrap();
    // Meanwhile others start and end, with the disk and without.
    scene.home.mount_with(&[]).stop();
    assert_eq!(scene.takes().len(), 1);
    std::fs::rename(&away, scene.project()).unwrap();
    let _drive = scene.mount(&[]);
    assert_eq!(std::fs::read(&take.staging).unwrap(), sound);
    assert!(!target.exists());
    let item = scene.finalise(&take);
    assert_eq!(std::fs::read(Scene::resolved(&item)).unwrap(), sound);
    assert_eq!(scene.home.items().len(), 1);
}

#[test]
fn a_take_goes_on_after_a_restart() {
    use std::io::Write as _;
    let scene = Scene::new();
    let sound = wav(2000, 5);
    let take = left_behind(&scene, &sound[..3000]);
    let _drive = scene.mount(&[]);
    let mut file = std::fs::File::options()
        .append(true)
        .open(&take.file)
        .unwrap();
    file.write_all(&sound[3000..]).unwrap();
    drop(file);
    let item = scene.finalise(&take);
    assert_eq!(std::fs::read(Scene::resolved(&item)).unwrap(), sound);
    assert!(!Path::new(&take.staging).exists());
}

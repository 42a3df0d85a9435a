//! Where sidecars are found: in every view of their item, whatever becomes of that.

use std::fs;
use std::path::PathBuf;

use rustix::io::Errno;
use serde_json::json;

use crate::scene::{SOON, Scene, fails, names};
use crate::support::{modes, settle, wait_until};

#[test]
fn what_is_written_in_one_view_is_found_in_all() {
    for mode in modes() {
        let scene = Scene::new();
        let mounted = scene.mounted(mode);
        let first = scene.import("kick.wav", 3);
        let id = scene.import("kick.wav", 4);
        let manifest = fs::read(scene.home.path("Song/media.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let usage = |id: &str| json!({"mediaId": id, "project": manifest["projectId"], "role": "track", "target": "Drums"});
        scene.call("usages.add", json!({"usages": [usage(&first), usage(&id)]}));
        let song = scene.home.on_drive("projects/Song");
        // The second of its name.
        let views: Vec<(PathBuf, &str)> = vec![
            (song.join("Audio"), "kick (2)"),
            (song.join("by-track/Drums"), "kick (2)"),
            (song.join("by-id").join(&id), "kick"),
            (scene.by_id(&id), "kick"),
            (
                scene.home.on_drive(".as/copier/projects/Song/Audio"),
                "kick (2)",
            ),
            (scene.home.on_drive(".as/player/by-id").join(&id), "kick"),
        ];
        for (at, (folder, stem)) in views.iter().enumerate() {
            let whole = format!(".view{at}");
            let known = format!(".asd.{at}");
            fs::write(
                folder.join(format!("{stem}.wav{whole}")),
                format!("whole {at}"),
            )
            .unwrap();
            fs::write(folder.join(format!("{stem}{known}")), format!("stem {at}")).unwrap();
            settle();
            for (folder, stem) in &views {
                let whole = folder.join(format!("{stem}.wav{whole}"));
                assert_eq!(fs::read_to_string(&whole).unwrap(), format!("whole {at}"));
                let known = folder.join(format!("{stem}{known}"));
                assert_eq!(fs::read_to_string(&known).unwrap(), format!("stem {at}"));
                let listed = names(folder);
                for path in [whole, known] {
                    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                    let times = listed.iter().filter(|listed| **listed == name).count();
                    assert_eq!(times, 1, "{name} in {}: {listed:?}", folder.display());
                }
            }
        }
        // Beside nobody else.
        assert_eq!(names(&scene.by_id(&first)), ["kick.wav"]);
        assert_eq!(scene.home.items().len(), 4, "none is an item");
        let told = scene.told(&id);
        assert_eq!(told.len(), 2 * views.len(), "{told:?}");
        assert!(told.contains(&("kick.wav.view0".to_owned(), 7, "home".to_owned())));
        // They stay over a restart.
        mounted.stop();
        let mounted = scene.mount(mode);
        for (folder, stem) in &views {
            let path = folder.join(format!("{stem}.wav.view3"));
            assert_eq!(fs::read_to_string(path).unwrap(), "whole 3");
        }
        // What is removed in one is gone from all.
        fs::remove_file(views[0].0.join("kick (2).wav.view3")).unwrap();
        settle();
        for (folder, stem) in &views {
            assert!(!folder.join(format!("{stem}.wav.view3")).exists());
        }
        mounted.stop();
    }
}

#[test]
fn the_library_shows_them_where_its_lists_are_kept() {
    let scene = Scene::new();
    let mounted = scene.mounted(&[]);
    let (drums, id) = (scene.drums(), scene.id("kick.wav"));
    assert_eq!(names(&drums), ["kick.wav", "snare.wav"]);
    fs::write(drums.join("kick.wav.reapeaks"), "one").unwrap();
    assert_eq!(
        names(&drums),
        ["kick.wav", "kick.wav.reapeaks", "snare.wav"]
    );
    // Through another view: the kernel is told a moment later.
    fs::write(scene.by_id(&id).join("kick.pkf"), "two").unwrap();
    assert_eq!(fs::read_to_string(drums.join("kick.pkf")).unwrap(), "two");
    wait_until(SOON, "the list with both", || names(&drums).len() == 4);
    fs::rename(
        scene.by_id(&id).join("kick.pkf"),
        scene.by_id(&id).join("kick.gpk"),
    )
    .unwrap();
    wait_until(SOON, "the new name", || {
        names(&drums).contains(&"kick.gpk".to_owned())
    });
    fs::remove_file(scene.by_id(&id).join("kick.gpk")).unwrap();
    wait_until(SOON, "one less", || names(&drums).len() == 3);
    let disk = names(&scene.home.library().join("Drums"));
    assert_eq!(disk, ["kick.wav", "snare.wav"], "nothing is written there");
    mounted.stop();
}

#[test]
fn a_sidecar_goes_with_its_item() {
    let scene = Scene::new();
    let mounted = scene.mounted(&[]);
    let (drums, id) = (scene.drums(), scene.id("kick.wav"));
    fs::write(drums.join("kick.wav.reapeaks"), "peaks").unwrap();
    // Under another name.
    scene.home.run(["rename", &id, "Boom"]);
    let renamed = scene.by_id(&id).join("Boom.wav.reapeaks");
    assert_eq!(fs::read_to_string(&renamed).unwrap(), "peaks");
    assert_eq!(names(&scene.by_id(&id)), ["Boom.wav", "Boom.wav.reapeaks"]);
    // By a name that a project has stored before, too.
    let old = scene.by_id(&id).join("kick.wav.reapeaks");
    assert_eq!(fs::read_to_string(old).unwrap(), "peaks");
    fs::write(scene.by_id(&id).join("kick.asd"), "warp").unwrap();
    assert_eq!(fs::read_to_string(drums.join("kick.asd")).unwrap(), "warp");
    // The file moves.
    let library = scene.home.library();
    fs::rename(library.join("Drums/kick.wav"), library.join("moved.wav")).unwrap();
    let moved = scene.home.on_drive("library/library/moved.wav.reapeaks");
    wait_until(SOON, "it to have moved along", || moved.exists());
    assert!(!drums.join("kick.wav.reapeaks").exists());
    // The item goes, and comes back.
    scene.home.run(["remove", &id]);
    wait_until(SOON, "it to be gone", || !moved.exists());
    assert!(!renamed.exists());
    let top = scene.home.on_drive("library/library");
    wait_until(SOON, "no such names", || {
        names(&top) == ["Drums", "moved.wav"]
    });
    fails(fs::write(&moved, "new"), Errno::ROFS);
    scene.home.run(["undo"]);
    wait_until(SOON, "it to be back", || moved.exists());
    assert_eq!(fs::read_to_string(&moved).unwrap(), "peaks");
    assert_eq!(fs::read_to_string(&renamed).unwrap(), "peaks");
    wait_until(SOON, "the list with it", || names(&top).len() == 4);
    mounted.stop();
}

#[test]
fn several_items_of_one_stem_keep_theirs_apart() {
    let scene = Scene::new();
    let library = scene.home.library();
    fs::copy(
        library.join("Drums/kick.wav"),
        library.join("Drums/kick.wave"),
    )
    .unwrap();
    let mounted = scene.mounted(&[]);
    scene.home.wait_for_items(3);
    let (wav, wave) = (scene.id("kick.wav"), scene.id("kick.wave"));
    let drums = scene.drums();
    fs::write(scene.by_id(&wav).join("kick.asd"), "wav").unwrap();
    fs::write(scene.by_id(&wave).join("kick.asd"), "wave").unwrap();
    let read = |id: &str| fs::read_to_string(scene.by_id(id).join("kick.asd")).unwrap();
    assert_eq!((read(&wav), read(&wave)), ("wav".into(), "wave".into()));
    // Where both are, the name leads to one, and is listed once.
    let shown = fs::read_to_string(drums.join("kick.asd")).unwrap();
    let is_one = |names: &[String]| names.iter().filter(|name| *name == "kick.asd").count() == 1;
    wait_until(SOON, "one of them", || is_one(&names(&drums)));
    fs::remove_file(drums.join("kick.asd")).unwrap();
    let other = fs::read_to_string(drums.join("kick.asd")).unwrap();
    assert_ne!(shown, other);
    // A name is that of the longest item that it begins with.
    fs::write(drums.join("kick.wave.gpk"), "long").unwrap();
    assert!(scene.by_id(&wave).join("kick.wave.gpk").exists());
    assert_eq!(
        names(&scene.by_id(&wav)).len(),
        1 + usize::from(other == "wav")
    );
    mounted.stop();
}

#[test]
fn many_are_listed_once_each_over_several_pages() {
    let scene = Scene::new();
    let library = scene.home.library();
    for number in 0..40 {
        let name = format!("Drums/sound with a rather long name {number}.wav");
        fs::write(
            library.join(name),
            crate::support::sounds::wav(300, 100 + number),
        )
        .unwrap();
    }
    let mounted = scene.mounted(&[]);
    scene.home.wait_for_items(42);
    let drums = scene.drums();
    let mut expected = names(&drums);
    for number in 0..40 {
        for at in 0..20 {
            let name = format!("sound with a rather long name {number}.wav.number {at}");
            fs::write(drums.join(&name), "x").unwrap();
            expected.push(name);
        }
    }
    expected.sort();
    assert_eq!(names(&drums), expected);
    let plain = scene.home.on_drive(".as/copier/library/library/Drums");
    assert_eq!(names(&plain), expected);
    mounted.stop();
}

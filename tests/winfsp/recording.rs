//! A take, from its reservation to the path that projects keep.

use crate::host::{GENERIC_READ, GENERIC_WRITE, MAKE, Wish};
use crate::program::{
    STATUS_ACCESS_DENIED, STATUS_MEDIA_WRITE_PROTECTED, STATUS_OBJECT_NAME_COLLISION,
};
use crate::scene::{Scene, path_of};
use crate::support::sounds::wav;
use crate::support::{Home, show};

#[test]
fn a_take_is_written_in_pieces_and_found_by_its_id_afterwards() {
    let scene = Scene::mounted(Home::new());
    let song = scene.home.path("Song");
    let arguments = [
        "reserve",
        "--name",
        "Lead",
        "--project",
        song.to_str().unwrap(),
    ];
    let take = scene.home.json(arguments);
    let id = take["mediaId"].as_str().unwrap();
    let path = path_of(&take);
    assert!(path.starts_with(r"\record\"), "{path}");
    let sound = wav(50_000, 1);
    let file = scene.open(&path, GENERIC_READ | GENERIC_WRITE).unwrap();
    assert_eq!(file.info.FileSize, 0);
    // Room first, as some do; the header last, as all do.
    let room = scene.set_room(&file, 1 << 20).unwrap();
    assert_eq!(room.FileSize, 0);
    let mut at = 44;
    for part in sound[44..].chunks(33_333) {
        at = scene.write(&file, at, part).unwrap();
        scene.flush(&file).unwrap();
        assert_eq!(scene.info(&file).FileSize, at);
    }
    scene.set_end(&file, at + 10_000).unwrap();
    assert_eq!(scene.set_end(&file, at).unwrap().FileSize, at);
    assert_eq!(scene.write(&file, 0, &sound[..44]), Ok(at));
    // Whoever looks meanwhile sees how far it is.
    let by_id = format!(r"\by-id\{id}\Lead.wav");
    let shown = scene.open(&by_id, GENERIC_READ).unwrap();
    assert_eq!(shown.info.FileSize, at);
    scene.close(shown);
    let early = scene.home.command(["finalise", id]).output().unwrap();
    let early = show(&early);
    assert!(early.contains("still being written"), "{early}");
    scene.done_with(file, &path);
    let item = scene.home.json(["finalise", id]);
    assert_eq!(item["format"]["frames"], 50_000);
    assert_eq!(
        std::fs::read(item["resolvedPath"].as_str().unwrap()).unwrap(),
        sound
    );
    assert_eq!(path_of(&item), by_id);
    for path in [&path, &by_id, &by_id.to_lowercase()] {
        assert!(scene.bytes(path).as_ref() == Ok(&sound), "{path}");
        let refused = scene.open(path, GENERIC_WRITE).err();
        assert_eq!(refused, Some(STATUS_MEDIA_WRITE_PROTECTED), "{path}");
    }
    assert!(
        scene
            .names(r"\projects\Song\Audio")
            .contains(&"Lead.wav".to_owned())
    );
}

/// `CREATE_ALWAYS`, the way of most programs that record.
#[test]
fn a_take_may_be_made_anew_and_nothing_else_may_be_made_there() {
    let scene = Scene::mounted(Home::new());
    let take = scene.home.json(["reserve", "--name", "Lead"]);
    let (id, path) = (take["mediaId"].as_str().unwrap(), path_of(&take));
    let sound = wav(3000, 2);
    scene.put(&path, &wav(5000, 3)).unwrap();
    scene.put(&path, &sound).unwrap();
    let made = scene.create(&path, Wish::new(GENERIC_WRITE, MAKE));
    assert_eq!(made.err(), Some(STATUS_OBJECT_NAME_COLLISION));
    assert_eq!(
        scene.put(r"\record\other.wav", &sound),
        Err(STATUS_MEDIA_WRITE_PROTECTED)
    );
    assert_eq!(
        scene.make_folder(r"\record\folder"),
        Err(STATUS_MEDIA_WRITE_PROTECTED)
    );
    for refused in [
        scene.delete(&path),
        scene.move_to(&path, r"\record\other.wav", false),
        scene.move_to(&path, r"\import\other.wav", false),
    ] {
        let status = refused.unwrap_err();
        assert!(
            [
                STATUS_MEDIA_WRITE_PROTECTED,
                STATUS_ACCESS_DENIED,
                0xc000_00d4
            ]
            .contains(&status),
            "{status:#x}"
        );
    }
    let item = scene.home.json(["finalise", id]);
    assert_eq!(item["format"]["frames"], 3000);
    assert!(scene.bytes(&path_of(&item)).unwrap() == sound);
}

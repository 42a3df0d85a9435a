//! Sounds, and the folders that show them, stay as they are.

use crate::host::{
    AS_MUCH_AS_ALLOWED, DELETE, GENERIC_READ, GENERIC_WRITE, OPEN, OVERWRITE_OR_MAKE, Wish,
};
use crate::program::{STATUS_ACCESS_DENIED, STATUS_MEDIA_WRITE_PROTECTED};
use crate::scene::{SOON, Scene, path_of};
use crate::support::sounds::wav;
use crate::support::{Home, wait_until};

#[test]
fn sounds_are_not_changed_and_who_tries_is_named() {
    let home = Home::new();
    let sound = wav(3000, 1);
    std::fs::write(home.library().join("Kick.wav"), &sound).unwrap();
    let scene = Scene::mounted(home);
    let item = scene.item("Kick.wav");
    let in_library = r"\library\library\Kick.wav";
    wait_until(SOON, "the sound", || scene.is_there(in_library));
    for path in [in_library, &path_of(&item), r"\README.txt"] {
        let refused = [
            scene.open(path, GENERIC_WRITE).err(),
            scene.open(path, GENERIC_READ | 0x4).err(),
            scene
                .create(path, Wish::new(GENERIC_READ, OVERWRITE_OR_MAKE))
                .err(),
            scene.delete(path).err(),
            scene.move_to(path, &format!("{path}.old"), true).err(),
        ];
        for (number, status) in refused.into_iter().enumerate() {
            // Windows itself denies who has no right to; the drive says why where it is asked.
            let status = status.unwrap_or_default();
            assert!(
                [STATUS_ACCESS_DENIED, STATUS_MEDIA_WRITE_PROTECTED].contains(&status),
                "{path} {number} {status:#x}"
            );
        }
        // Whoever asks for what it may have, may read.
        let wish = Wish::new(AS_MUCH_AS_ALLOWED, OPEN);
        let file = scene.create(path, wish).unwrap();
        assert_eq!(file.granted & (0x2 | 0x4), 0, "{path}");
        scene.close(file);
    }
    assert!(scene.bytes(in_library).unwrap() == sound);
    wait_until(SOON, "a warning that names the sound", || {
        scene
            .home
            .run(["warnings"])
            .contains("tried to write into Kick.wav")
    });
    for folder in [
        r"\",
        r"\by-id\",
        r"\library\",
        r"\library\library\",
        r"\projects\",
        r"\record\",
    ] {
        for made in [
            scene.put(&format!("{folder}new.wav"), b"x"),
            scene.make_folder(&format!("{folder}new")),
        ] {
            assert_eq!(made, Err(STATUS_MEDIA_WRITE_PROTECTED), "{folder}");
        }
        let path = folder.trim_end_matches('\\');
        if !path.is_empty() {
            let status = scene.delete(path).unwrap_err();
            assert!(
                [STATUS_ACCESS_DENIED, STATUS_MEDIA_WRITE_PROTECTED].contains(&status),
                "{folder} {status:#x}"
            );
        }
    }
    let file = scene.open(in_library, GENERIC_READ | DELETE);
    if let Ok(file) = file {
        scene.close(file);
    }
}

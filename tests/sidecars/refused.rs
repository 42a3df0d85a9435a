//! Sounds are not written to, and who tries is named.

use std::fs;
use std::process::Command;

use rustix::io::Errno;

use crate::scene::{SOON, Scene, fails, python};
use crate::support::{program, wait_until};

#[test]
fn who_would_write_into_a_sound_is_warned_of() {
    let scene = Scene::new();
    let mounted = scene.mounted(&[]);
    let before = fs::read(scene.drums().join("kick.wav")).unwrap();
    // Looking whether one could is no try.
    for argument in ["-w", "-r"] {
        let _ = program(
            "test",
            [
                argument.as_ref(),
                scene.drums().join("kick.wav").as_os_str(),
            ],
        );
    }
    let recorder = scene.home.path("Recorder");
    fs::copy("/bin/dd", &recorder).unwrap();
    let sound = |name: &str| format!("of={}", scene.drums().join(name).display());
    for name in ["kick.wav", "kick.wav", "snare.wav"] {
        let status = Command::new(&recorder)
            .args(["if=/dev/zero", "count=1", &sound(name)])
            .status();
        assert!(!status.unwrap().success());
    }
    let warned = |text: &str| scene.home.run(["warnings"]).contains(text);
    wait_until(SOON, "a warning", || {
        warned(
            "Recorder tried to write into kick.wav and another sound; the drive keeps sounds as they are",
        )
    });
    assert!(!warned("test tried"));
    let script = "
fails(errno.EROFS, os.open, 'kick.wav', os.O_RDWR)
fails(errno.EROFS, os.truncate, 'kick.wav', 0)
fails(errno.EROFS, os.unlink, 'kick.wav')
fails(errno.EROFS, os.rename, 'kick.wav', 'kick.wav.old')
open('kick.wav.new', 'w').close()
fails(errno.EROFS, os.rename, 'kick.wav.new', 'kick.wav')
fails(errno.EROFS, os.utime, 'kick.wav')
fails(errno.EROFS, os.chmod, 'kick.wav', 0o600)
os.unlink('kick.wav.new')
";
    python(&scene.drums(), script);
    python(&scene.by_id(&scene.id("kick.wav")), script);
    wait_until(SOON, "one more", || {
        warned("python3") && warned("tried to write into kick.wav;")
    });
    assert_eq!(fs::read(scene.drums().join("kick.wav")).unwrap(), before);
    mounted.stop();
}

#[test]
fn there_are_never_many_warnings() {
    let scene = Scene::new();
    let mounted = scene.mounted(&[]);
    for number in 0..40 {
        let copy = scene.home.path(format!("program {number}"));
        fs::copy("/bin/dd", &copy).unwrap();
        let of = format!("of={}", scene.drums().join("kick.wav").display());
        let _ = Command::new(&copy)
            .args(["if=/dev/null", &of])
            .output()
            .unwrap();
    }
    wait_until(SOON, "the last", || {
        scene.home.run(["warnings"]).contains("program 39 tried")
    });
    let warnings = scene.home.run(["warnings"]);
    assert_eq!(warnings.matches("tried to write").count(), 16, "{warnings}");
    mounted.stop();
}

#[test]
fn what_is_no_sidecar_is_not_made() {
    let scene = Scene::new();
    let mounted = scene.mounted(&[]);
    let id = scene.id("kick.wav");
    scene.import("kick.wav", 7);
    for folder in [
        scene.drums(),
        scene.by_id(&id),
        scene.home.on_drive("projects/Song/Audio"),
    ] {
        for name in [
            "hat.wav.asd",
            "hat.asd",
            "kic",
            "new.wav",
            ".DS_Store",
            "kick.txt",
            ".asd",
        ] {
            fails(fs::write(folder.join(name), "x"), Errno::ROFS);
        }
        let peaks = folder.join("kick.wav.gpk");
        fs::write(&peaks, "x").unwrap();
        fails(fs::rename(&peaks, folder.join("new.wav")), Errno::ROFS);
        fails(
            fs::rename(&peaks, scene.home.on_drive("import/x.gpk")),
            Errno::XDEV,
        );
        assert!(peaks.exists());
    }
    for folder in [
        "",
        "by-id",
        "library",
        "library/library",
        "projects",
        "projects/Song",
        "record",
    ] {
        let path = scene.home.on_drive(folder).join("kick.wav.asd");
        fails(fs::write(path, "x"), Errno::ROFS);
    }
    mounted.stop();
}

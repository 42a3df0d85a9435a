//! Tests of `beneath` on Windows.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;

use super::*;

struct Place {
    _home: tempfile::TempDir,
    root: PathBuf,
}

/// root/{kick.wav, sub/snare.wav}, and beside the root a secret.
fn place() -> Place {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(home.path().join("secret"), "secret").unwrap();
    fs::write(root.join("kick.wav"), "kick").unwrap();
    fs::write(root.join("sub/snare.wav"), "snare").unwrap();
    Place { _home: home, root }
}

fn root(place: &Place) -> Root {
    Root::open(&place.root, Links::Beneath).unwrap()
}

/// Links to another folder, as far as this system makes any: a symbolic link needs a right, a junction does not.
fn links(place: &Place, target: &Path) -> Vec<PathBuf> {
    let (symbolic, junction) = (place.root.join("symbolic"), place.root.join("junction"));
    let _ = std::os::windows::fs::symlink_dir(target, &symbolic);
    let _ = std::process::Command::new("cmd")
        .args(["/c", "mklink", "/j"])
        .args([&junction, target])
        .output();
    [symbolic, junction]
        .into_iter()
        .filter(|link| fs::symlink_metadata(link).is_ok_and(|meta| meta.is_symlink()))
        .collect()
}

#[test]
fn a_file_comes_with_its_evidence() {
    let place = place();
    let root = root(&place);
    for below in [
        "sub/snare.wav",
        r"sub\snare.wav",
        "./sub/./snare.wav",
        "SUB/Snare.WAV",
    ] {
        let (mut file, evidence) = root.open_file(Path::new(below)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "snare");
        let metadata = fs::metadata(place.root.join("sub/snare.wav")).unwrap();
        assert_eq!(evidence.size, 5);
        assert_eq!(evidence.modified, metadata.modified().unwrap());
        assert_eq!(evidence.born, metadata.created().ok());
        assert_eq!(root.look(Path::new(below)).unwrap(), (Kind::File, evidence));
        assert_eq!(evidence_of(&file).unwrap(), (Kind::File, evidence));
    }
    let kick = root.open_file(Path::new("kick.wav")).unwrap().1;
    let snare = root.open_file(Path::new("sub/snare.wav")).unwrap().1;
    assert_eq!(kick.device, snare.device);
    assert_ne!(kick.inode, snare.inode);
    assert_ne!(root.evidence().unwrap().inode, kick.inode);
    assert_eq!(
        root.look(Path::new("")).unwrap().1,
        root.evidence().unwrap()
    );
}

#[test]
fn a_file_keeps_its_number_under_another_name() {
    let place = place();
    let root = root(&place);
    let before = root.look(Path::new("kick.wav")).unwrap().1;
    fs::rename(
        place.root.join("kick.wav"),
        place.root.join("sub/other.wav"),
    )
    .unwrap();
    let after = root.look(Path::new("sub/other.wav")).unwrap().1;
    assert_eq!((before.device, before.inode), (after.device, after.inode));
}

#[test]
fn nothing_outside_the_root_is_opened() {
    let place = place();
    let root = root(&place);
    let absolute = place.root.with_file_name("secret");
    for below in [
        Path::new("../secret"),
        Path::new(r"..\secret"),
        Path::new("sub/../../secret"),
        Path::new(r"C:\windows\win.ini"),
        Path::new(r"C:secret"),
        Path::new(r"\windows\win.ini"),
        Path::new(r"\\server\share\secret"),
        &absolute,
    ] {
        let refused = root.open_file(below);
        assert!(
            matches!(refused, Err(BeneathError::Escapes { .. })),
            "{below:?}: {refused:?}"
        );
        assert!(root.look(below).is_err());
        assert!(root.list(below).is_err());
    }
}

#[test]
fn no_link_is_followed() {
    let place = place();
    let outside = place.root.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let found = links(&place, &outside);
    if found.is_empty() {
        // Said aloud: on such a system nothing was tried.
        eprintln!("SKIPPED: no link can be made here");
        return;
    }
    let root = root(&place);
    for link in found {
        let name = link.file_name().unwrap();
        assert!(fs::read(link.join("secret")).is_ok(), "it leads there");
        let refused = root.open_file(&Path::new(name).join("secret"));
        assert!(
            matches!(refused, Err(BeneathError::Escapes { .. })),
            "{refused:?}"
        );
        assert!(root.list(Path::new(name)).is_err());
        assert_eq!(root.look(Path::new(name)).unwrap().0, Kind::Symlink);
        let listed = root.list(Path::new("")).unwrap().map(Result::unwrap);
        let kinds: Vec<_> = listed.filter(|found| found.name == name).collect();
        assert_eq!(kinds[0].kind, Some(Kind::Symlink));
    }
}

#[test]
fn what_is_no_file_is_told_apart_and_no_name_is_a_device() {
    let place = place();
    let root = root(&place);
    for below in ["sub", "", "."] {
        let refused = root.open_file(Path::new(below));
        assert!(
            matches!(
                refused,
                Err(BeneathError::NotRegular {
                    kind: Kind::Folder,
                    ..
                })
            ),
            "{below}: {refused:?}"
        );
        assert_eq!(root.look(Path::new(below)).unwrap().0, Kind::Folder);
    }
    let long = "x".repeat(300);
    for below in [
        "none",
        "sub/none",
        "none/x",
        "kick.wav/x",
        "NUL",
        "sub/COM1",
        "kick.wav:stream",
        "kick.wav::$DATA",
        "a*b",
        "a\0b",
        &long,
    ] {
        let refused = root.open_file(Path::new(below));
        assert!(
            matches!(refused, Err(BeneathError::NotFound { .. })),
            "{below}: {refused:?}"
        );
    }
}

#[test]
fn folders_are_listed_without_dots() {
    let place = place();
    // More than the system tells at once.
    for number in 0..1000 {
        fs::write(place.root.join(format!("sub/{number:0100}.wav")), "x").unwrap();
    }
    fs::write(place.root.join("sub/größe 東京 🎹.wav"), "x").unwrap();
    let root = root(&place);
    let names: std::collections::BTreeSet<_> = root
        .list(Path::new("sub"))
        .unwrap()
        .map(|found| {
            let found = found.unwrap();
            assert_eq!(found.kind, Some(Kind::File));
            found.name
        })
        .collect();
    assert_eq!(names.len(), 1002);
    assert!(names.contains(OsStr::new("größe 東京 🎹.wav")));
    let mut top: Vec<_> = root
        .list(Path::new(""))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    top.sort_by(|a, b| a.name.cmp(&b.name));
    let found = |name: &str, kind| Found {
        name: OsString::from(name),
        kind: Some(kind),
    };
    assert_eq!(
        top,
        [found("kick.wav", Kind::File), found("sub", Kind::Folder)]
    );
    let refused = root.list(Path::new("kick.wav"));
    assert!(
        matches!(
            refused,
            Err(BeneathError::NotRegular {
                kind: Kind::File,
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(matches!(
        root.list(Path::new("none")),
        Err(BeneathError::NotFound { .. })
    ));
    fs::create_dir(place.root.join("empty")).unwrap();
    assert_eq!(root.list(Path::new("empty")).unwrap().count(), 0);
}

#[test]
fn a_root_stays_what_it_was_when_it_is_moved() {
    let place = place();
    let root = root(&place);
    let moved = place.root.with_file_name("moved");
    // Not every file system renames a folder that is open.
    if let Err(error) = fs::rename(&place.root, &moved) {
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    } else {
        fs::create_dir(&place.root).unwrap();
        fs::write(place.root.join("kick.wav"), "another").unwrap();
        // Wine finds nothing beneath it any more; but nobody finds what has taken its place.
        match root.open_file(Path::new("kick.wav")) {
            Ok((_, evidence)) => assert_eq!(evidence.size, 4),
            Err(BeneathError::Io { source, .. }) => {
                assert_eq!(source.raw_os_error(), Some(6), "{source}");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let folder = if moved.exists() { &moved } else { &place.root };
    assert!(matches!(
        Root::open(&folder.join("kick.wav"), Links::Never),
        Err(BeneathError::NotRegular { .. })
    ));
    assert!(matches!(
        Root::open(&folder.join("none"), Links::Never),
        Err(BeneathError::NotFound { .. })
    ));
}

#[test]
fn no_time_of_a_file_is_too_early_or_too_late() {
    assert!(system_time(0) < SystemTime::UNIX_EPOCH);
    assert!(system_time(i64::MIN) < SystemTime::UNIX_EPOCH);
    let _ = system_time(i64::MAX);
}

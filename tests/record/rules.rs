//! What may be done in `record/`, and what not.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;

use rustix::io::Errno;

use crate::scene::Scene;
use crate::support::sounds::wav;
use crate::support::{by_nfs, modes, settle};

fn is_read_only(result: io::Result<()>) -> bool {
    let told = result.err().and_then(|error| Errno::from_io_error(&error));
    // By NFS a client refuses by itself to open what the drive does not grant, with a word of its own.
    told == Some(Errno::ROFS) || (by_nfs() && told == Some(Errno::ACCESS))
}

#[test]
fn only_reserved_names_are_written_to() {
    for mode in modes() {
        let scene = Scene::new();
        let _drive = scene.mount(mode);
        let take = scene.reserve("Lead");
        let record = scene.home.on_drive("record");
        let other = record.join("other.wav");
        let refused = [
            ("create", File::create(&other).map(drop)),
            ("mkdir", std::fs::create_dir(record.join("folder"))),
            ("rename", std::fs::rename(&take.file, &other)),
            ("unlink", std::fs::remove_file(&take.file)),
            ("rmdir", std::fs::remove_dir(&record)),
            ("link", std::fs::hard_link(&take.file, &other)),
            ("symlink", std::os::unix::fs::symlink("x", &other)),
            (
                "mknod",
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &other,
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RWXU,
                    0,
                )
                .map_err(Into::into),
            ),
        ];
        for (what, result) in refused {
            assert!(is_read_only(result), "{what} {mode:?}");
        }
        let write = |path: &std::path::Path| OpenOptions::new().write(true).open(path).map(drop);
        write(&take.file).unwrap();
        // By its id as well.
        write(&record.join(format!("{}.wav", take.id))).unwrap();
        assert!(write(&record.join(format!("{}.mp3", take.id))).is_err());
        // Everywhere else a take is only read.
        for path in [
            format!("by-id/{}/Lead.wav", take.id),
            format!("by-id/{}.wav", take.id),
            "projects/Song/Audio/Lead.wav".to_owned(),
        ] {
            let path = scene.home.on_drive(path);
            File::open(&path).unwrap();
            assert!(is_read_only(write(&path)), "{} {mode:?}", path.display());
            let cut = rustix::fs::open(
                &path,
                rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::TRUNC,
                rustix::fs::Mode::empty(),
            );
            let cut = cut.map(drop).map_err(io::Error::from);
            assert!(is_read_only(cut), "{}", path.display());
        }
        let mode_of = std::fs::metadata(&take.file).unwrap().mode() & 0o777;
        assert_eq!(mode_of, 0o644);
        let stranger = std::fs::set_permissions(
            &take.file,
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        );
        assert!(stranger.is_err(), "the permissions are the drive's");
    }
}

#[test]
fn a_final_take_stays_where_it_was_and_is_only_read() {
    for mode in modes() {
        let scene = Scene::new();
        let _drive = scene.mount(mode);
        let take = scene.reserve("Lead");
        let sound = wav(5000, 3);
        std::fs::write(&take.file, &sound).unwrap();
        let reader = File::open(&take.file).unwrap();
        let item = scene.finalise(&take);
        assert_eq!(item["storage"]["path"], "Media/Lead.wav");
        assert!(!take.staging.exists());
        assert_eq!(std::fs::read(&take.file).unwrap(), sound);
        settle();
        assert!(is_read_only(
            OpenOptions::new().write(true).open(&take.file).map(drop)
        ));
        // Who reads it reads on, and is told what it is.
        let mut again = Vec::new();
        io::Read::read_to_end(&mut &reader, &mut again).unwrap();
        assert_eq!(again, sound);
        assert_eq!(reader.metadata().unwrap().len(), sound.len() as u64);
        // Once more changes nothing.
        let twice = scene.finalise(&take);
        assert_eq!(twice["storage"], item["storage"]);
        assert_eq!(twice["modifiedNanoseconds"], item["modifiedNanoseconds"]);
        let listed: Vec<_> = std::fs::read_dir(scene.home.on_drive("record"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(listed, ["Lead.wav"]);
    }
}

#[test]
fn names_may_be_anything() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let sound = wav(100, 1);
    let long = "ä".repeat(900);
    for name in [
        "a\nb",
        "../../etc/passwd",
        "CON",
        " . ",
        "x%E9",
        "-n",
        &long,
        "日本 🎤",
    ] {
        let take = scene.reserve_with(&[format!("--name={name}").as_ref()]);
        assert_eq!(take.file.parent(), Some(&*scene.home.on_drive("record")));
        std::fs::write(&take.file, &sound).unwrap();
        let item = scene.finalise(&take);
        assert_eq!(item["name"], format!("{name}.wav"));
        let file = Scene::resolved(&item);
        assert_eq!(
            file.parent(),
            Some(&*scene.home.home().join("Library")),
            "{name:?}"
        );
        assert_eq!(std::fs::read(file).unwrap(), sound);
    }
    for wrong in [
        &["reserve", "--name", "", "--ext", "wav"][..],
        &["reserve", "--name", "x", "--ext", "../x"],
        &[
            "reserve",
            "--name",
            "x",
            "--id",
            "a",
            "--project",
            "/nowhere/at/all",
        ],
    ] {
        scene.refused(wrong);
    }
    let id = "my-own-id";
    let own = scene.reserve_with(&["--name", "x", "--id", id].map(AsRef::as_ref));
    assert_eq!(own.id, id);
    let taken = scene.refused(&["reserve", "--name", "y", "--id", "MY-OWN-ID"]);
    assert!(taken.contains("taken"), "{taken}");
}

#[test]
fn a_take_is_no_sound_yet_to_other_commands() {
    let scene = Scene::new();
    let _drive = scene.mount(&[]);
    let take = scene.reserve("Lead");
    std::fs::write(&take.file, wav(100, 1)).unwrap();
    for command in [
        vec!["remove", &*take.id],
        vec!["relink", &take.id, take.staging.to_str().unwrap()],
    ] {
        let why = scene.refused(&command);
        assert!(!why.is_empty());
    }
    scene.home.run(["rename", &take.id, "Solo"]);
    scene.home.run(["tag", &take.id, "loud"]);
    let item = scene.finalise(&take);
    assert_eq!(item["storage"]["path"], "Media/Solo.wav");
    assert_eq!(item["tags"][0]["name"], "loud");
    scene.home.run(["remove", &take.id]);
}

//! The drive is plain files: every file of a library through the mount is its source, byte for byte, under its own name
//! and under its stable path, for the programs that musicians use.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use support::sounds::{tone, wav};
use support::{Home, ffprobe, path_of, program, show, succeed, wait_until};

/// Names that are hard on programs, in a folder of their own.
fn odd_names() -> Vec<OsString> {
    let long = "x".repeat(250) + ".wav";
    let mut names: Vec<OsString> = [
        "with space.wav",
        "quote'\"`.wav",
        "new\nline.wav",
        "tab\t.wav",
        "back\\slash.wav",
        "-dash.wav",
        "%41.wav",
        "100%.wav",
        "dot..wav",
        "trailing .wav ",
        "con.wav",
        "a:b*c?.wav",
        "nfc-\u{e9}.wav",
        "nfd-e\u{301}.wav",
        "🥁.wav",
        "noextension",
        ".hidden.wav",
        "UPPER.WAV",
        "upper.wav",
        "two.dots.wav",
        " leading.wav",
        "trailing dot.wav.",
        "..two dots.wav",
        "CON",
        "NUL.wav",
        "<pipes>|.wav",
        "colon:\"quoted\"?.wav",
        "\n.wav",
        "\x1b[31mred\x07\x7f.wav",
        "twin-\u{e9}.wav",
        "twin-e\u{301}.wav",
        "\u{202e}right to left.wav",
        "\u{feff}mark.wav",
        "by-id",
        "{curly}[square]$HOME`id`.wav",
    ]
    .iter()
    .map(OsString::from)
    .collect();
    names.push(OsString::from(long));
    // 255 bytes, in characters of two and of four.
    names.push(OsString::from("\u{fc}".repeat(125) + "y.wav"));
    names.push(OsString::from("\u{1f941}".repeat(62) + "abc.wav"));
    names.push(OsString::from_vec(b"latin-\xe9\xff.wav".to_vec()));
    names.push(OsString::from_vec(b"surrogate-\xed\xa0\x80.wav".to_vec()));
    names
}

fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_file_is_its_source() {
    let home = Home::new();
    let library = home.library();
    let odd = library.join("odd names");
    std::fs::create_dir_all(&odd).unwrap();
    let names = odd_names();
    for (seed, name) in (1u32..).zip(&names) {
        std::fs::write(odd.join(name), wav(100 + seed, seed)).unwrap();
    }
    let deep = library.join("a/b/c/d/e");
    std::fs::create_dir_all(&deep).unwrap();
    for name in [
        "tone.wav",
        "tone.aiff",
        "tone.flac",
        "tone.ogg",
        "tone.mp3",
        "tone.opus",
        "tone.m4a",
        "tone.caf",
    ] {
        tone(&deep.join(name), 440);
    }
    std::fs::write(deep.join("drumkit.xml"), "<kit/>").unwrap();
    std::fs::write(deep.join("empty.txt"), "").unwrap();
    std::fs::write(deep.join("broken.wav"), "RIFF????WAVE").unwrap();
    std::fs::create_dir(library.join("an empty folder")).unwrap();

    let drive = home.mount();
    let items = home.wait_for_items(names.len() + 8);
    let root = home.on_drive("library/library");

    // The whole tree, name for name.
    wait_until(
        support::SHOWN_WITHIN,
        "the same files on both sides",
        || files_below(&root) == files_below(&library),
    );
    for file in files_below(&library) {
        let (source, shown) = (library.join(&file), root.join(&file));
        assert_eq!(
            std::fs::read(&shown).unwrap(),
            std::fs::read(&source).unwrap(),
            "{file:?}"
        );
        let (source, shown) = (
            std::fs::metadata(&source).unwrap(),
            std::fs::metadata(&shown).unwrap(),
        );
        assert_eq!((shown.len(), shown.nlink()), (source.len(), 1), "{file:?}");
        assert_eq!(
            shown.modified().unwrap(),
            source.modified().unwrap(),
            "{file:?}"
        );
    }
    assert!(root.join("an empty folder").is_dir());

    // Each item under its stable path.
    for item in &items {
        let path = home.on_drive(path_of(item));
        let source = item["resolvedPath"].as_str().unwrap();
        if Path::new(source).exists() {
            assert_eq!(
                std::fs::read(&path).unwrap(),
                std::fs::read(source).unwrap(),
                "{source}"
            );
        }
        let folder = path.parent().unwrap();
        let listed: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(listed, [path.file_name().unwrap()]);
        // Without extension, with another known one, and without a folder.
        let id = item["mediaId"].as_str().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let stem = folder.join(path.file_stem().unwrap());
        assert_eq!(std::fs::read(&stem).unwrap(), bytes);
        assert_eq!(
            std::fs::read(stem.with_extension("flac"))
                .ok()
                .or(Some(bytes.clone())),
            Some(bytes.clone())
        );
        assert_eq!(
            std::fs::read(home.on_drive(format!("by-id/{id}.wav"))).unwrap(),
            bytes
        );
        assert!(!folder.join("another name.wav").exists());
    }
    drive.stop();
    assert!(home.mount_point().join("NOT-MOUNTED.txt").exists());
}

#[test]
fn facts_are_ffprobes() {
    let home = Home::new();
    let names = [
        "t.wav", "t.aiff", "t.flac", "t.ogg", "t.mp3", "t.opus", "t.m4a", "t.caf",
    ];
    for name in names {
        tone(&home.library().join(name), 330);
    }
    // What it is, not what it is called.
    std::fs::copy(
        home.library().join("t.flac"),
        home.library().join("liar.wav"),
    )
    .unwrap();
    let _drive = home.mount();
    for item in home.wait_for_items(names.len() + 1) {
        let path = home.on_drive(path_of(&item));
        let probed = ffprobe(&path);
        let format = &item["format"];
        assert_eq!(format["codec"], probed["codec_name"], "{path:?}");
        assert_eq!(
            format["sampleRate"].to_string(),
            probed["sample_rate"].as_str().unwrap(),
            "{path:?}"
        );
        assert_eq!(format["channels"], probed["channels"], "{path:?}");
        let seconds: f64 = probed["duration"].as_str().unwrap().parse().unwrap();
        let recorded = format["durationSeconds"].as_f64().unwrap();
        assert!(
            (seconds - recorded).abs() < 0.002,
            "{path:?}: ffprobe {seconds}, recorded {recorded}"
        );
    }
    let liar = home.item("liar.wav");
    assert_eq!(liar["format"]["container"], "flac");
    assert!(
        !liar["notes"].as_array().unwrap().is_empty(),
        "it is told that liar.wav is FLAC"
    );
}

#[test]
fn changes_on_disk_show() {
    let home = Home::new();
    std::fs::write(home.library().join("kept.wav"), wav(200, 1)).unwrap();
    let _drive = home.mount();
    let before = home.wait_for_items(1)[0].clone();
    let id = before["mediaId"].clone();
    let root = home.on_drive("library/library");

    std::fs::write(home.library().join("added.wav"), wav(300, 2)).unwrap();
    wait_until(support::SHOWN_WITHIN, "an added file", || {
        root.join("added.wav").exists()
    });
    assert_eq!(std::fs::read(root.join("added.wav")).unwrap(), wav(300, 2));

    // Renamed, then moved into a new folder: the same item.
    std::fs::rename(
        home.library().join("kept.wav"),
        home.library().join("renamed.wav"),
    )
    .unwrap();
    wait_until(support::SHOWN_WITHIN, "a renamed file", || {
        root.join("renamed.wav").exists() && !root.join("kept.wav").exists()
    });
    std::fs::create_dir(home.library().join("sub")).unwrap();
    std::fs::rename(
        home.library().join("renamed.wav"),
        home.library().join("sub/renamed.wav"),
    )
    .unwrap();
    wait_until(support::SHOWN_WITHIN, "a moved file", || {
        root.join("sub/renamed.wav").exists()
    });
    wait_until(support::SHOWN_WITHIN, "the moved file's item", || {
        home.item("sub/renamed.wav")["availability"] == "local"
    });
    assert_eq!(home.item("sub/renamed.wav")["mediaId"], id);

    // The folder is renamed: still the same item.
    std::fs::rename(home.library().join("sub"), home.library().join("sub2")).unwrap();
    wait_until(support::SHOWN_WITHIN, "a renamed folder", || {
        root.join("sub2/renamed.wav").exists() && !root.join("sub").exists()
    });
    assert_eq!(home.item("sub2/renamed.wav")["mediaId"], id);
    assert_eq!(
        std::fs::read(home.on_drive(path_of(&before))).unwrap(),
        wav(200, 1),
        "the stored path goes on"
    );

    // Overwritten in place: the new bytes, by the next open at the latest.
    std::fs::write(home.library().join("added.wav"), wav(500, 3)).unwrap();
    if support::by_nfs() {
        // Nobody opens there. Until the client asks again it has the old bytes, or is told that they are stale.
        wait_until(
            support::SHOWN_WITHIN,
            "the new bytes",
            || match std::fs::read(root.join("added.wav")) {
                Ok(bytes) if bytes == wav(300, 2) => false,
                Err(error) if error.kind() == std::io::ErrorKind::StaleNetworkFileHandle => false,
                read => read.unwrap() == wav(500, 3) || panic!("a mixture"),
            },
        );
    }
    assert_eq!(std::fs::read(root.join("added.wav")).unwrap(), wav(500, 3));
    wait_until(support::SHOWN_WITHIN, "the new size", || {
        std::fs::metadata(root.join("added.wav")).unwrap().len() == 2044
    });

    std::fs::remove_file(home.library().join("added.wav")).unwrap();
    wait_until(support::SHOWN_WITHIN, "a deleted file to leave", || {
        !root.join("added.wav").exists()
    });
}

#[test]
fn nothing_is_written() {
    use rustix::io::Errno;
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(200, 1)).unwrap();
    let _drive = home.mount();
    let item = home.wait_for_items(1)[0].clone();
    let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
    let readonly = Some(Errno::ROFS.raw_os_error());
    // By NFS a client refuses by itself to open what the drive does not grant, with a word of its own.
    let not_opened = match support::by_nfs() {
        true => Some(Errno::ACCESS.raw_os_error()),
        false => readonly,
    };
    for file in [
        home.on_drive("library/library/a.wav"),
        home.on_drive(path_of(&item)),
    ] {
        let folder = file.parent().unwrap();
        assert_eq!(
            errno(
                std::fs::OpenOptions::new()
                    .write(true)
                    .open(&file)
                    .map(drop)
            ),
            not_opened
        );
        assert_eq!(
            errno(
                std::fs::OpenOptions::new()
                    .append(true)
                    .open(&file)
                    .map(drop)
            ),
            not_opened
        );
        assert_eq!(errno(std::fs::remove_file(&file)), readonly);
        assert_eq!(
            errno(std::fs::rename(&file, folder.join("b.wav"))),
            readonly
        );
        assert_eq!(errno(std::fs::write(folder.join("new.txt"), "x")), readonly);
        assert_eq!(errno(std::fs::create_dir(folder.join("new"))), readonly);
        assert_eq!(
            errno(std::os::unix::fs::symlink("x", folder.join("l"))),
            readonly
        );
        assert_eq!(
            errno(std::fs::set_permissions(
                &file,
                std::os::unix::fs::PermissionsExt::from_mode(0o777)
            )),
            readonly
        );
    }
    assert_eq!(
        std::fs::read(home.library().join("a.wav")).unwrap(),
        wav(200, 1)
    );
}

#[test]
fn real_programs_read_it() {
    let home = Home::new();
    for name in ["GMRockKit", "TR808EmulationKit"] {
        let kit = Path::new("/usr/share/hydrogen/data/drumkits").join(name);
        assert!(
            kit.is_dir(),
            "the package hydrogen-data is needed; scripts/test installs it"
        );
        succeed(
            "cp",
            [
                OsStr::new("-r"),
                kit.as_os_str(),
                home.library().as_os_str(),
            ],
        );
    }
    let sounds = files_below(&home.library())
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "flac" || e == "wav"))
        .count();
    assert!(sounds > 30, "{sounds} sounds");
    let _drive = home.mount();
    home.wait_for_items(sounds);
    let root = home.on_drive("library/library");
    let copies = home.path("copies");
    std::fs::create_dir(&copies).unwrap();

    succeed(
        "diff",
        [
            OsStr::new("-r"),
            root.as_os_str(),
            home.library().as_os_str(),
        ],
    );
    succeed(
        "rsync",
        [OsStr::new("-a"), root.as_os_str(), copies.as_os_str()],
    );
    succeed(
        "diff",
        [
            OsStr::new("-r"),
            copies.join("library").as_os_str(),
            home.library().as_os_str(),
        ],
    );
    succeed(
        "cp",
        [
            OsStr::new("-a"),
            root.as_os_str(),
            copies.join("by cp").as_os_str(),
        ],
    );
    succeed(
        "diff",
        [
            OsStr::new("-r"),
            copies.join("by cp").as_os_str(),
            home.library().as_os_str(),
        ],
    );
    succeed(
        "tar",
        [
            "-C".as_ref(),
            root.as_os_str(),
            "-cf".as_ref(),
            copies.join("a.tar").as_os_str(),
            ".".as_ref(),
        ],
    );
    let listed = succeed(
        "tar",
        [OsStr::new("-tvf"), copies.join("a.tar").as_os_str()],
    );
    assert!(
        !listed.contains(" link to "),
        "nothing is stored as a hard link: {listed}"
    );
    succeed("ls", [OsStr::new("-lR"), home.mount_point().as_os_str()]);
    let found = succeed(
        "find",
        [
            home.mount_point().as_os_str(),
            OsStr::new("-type"),
            OsStr::new("f"),
        ],
    );
    assert!(found.lines().count() > sounds);
    let listed = succeed(
        "gio",
        [
            OsStr::new("list"),
            OsStr::new("-l"),
            root.join("GMRockKit").as_os_str(),
        ],
    );
    assert!(listed.lines().count() > 10, "{listed}");

    for file in files_below(&root)
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "flac"))
        .take(5)
    {
        let path = root.join(file);
        for (name, arguments) in [
            ("ffprobe", vec!["-v", "error"]),
            ("soxi", vec![]),
            ("sndfile-info", vec![]),
        ] {
            let output = program(
                name,
                arguments.iter().map(OsStr::new).chain([path.as_os_str()]),
            );
            assert!(
                output.status.success(),
                "{name} {path:?}: {}",
                show(&output)
            );
        }
    }
}

#[test]
fn a_sampler_may_hold_more_files_than_the_usual_limit() {
    let home = Home::new();
    let count = 1500;
    for seed in 1..=count {
        std::fs::write(home.library().join(format!("{seed}.wav")), wav(10, seed)).unwrap();
    }
    // The daemon is started as a desktop starts programs: with 1,024 open files, and the right to more.
    let _drive = home.mount_limited(1024);
    home.wait_for_items(count as usize);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let open: Vec<_> = (1..=count)
        .map(|seed| std::fs::File::open(home.on_drive(format!("library/library/{seed}.wav"))))
        .collect::<Result<_, _>>()
        .expect("each of them opens");
    assert_eq!(open.len(), count as usize);
}

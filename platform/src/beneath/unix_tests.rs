//! Tests of `beneath`, each by the kernel's resolution and by the walk that stands in for it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};

use super::*;

struct Place {
    _home: tempfile::TempDir,
    root: PathBuf,
}

/// root/{kick.wav, sub/snare.wav, in -> sub, out -> .., absolute -> /etc, loop -> loop, last -> kick.wav, fifo,
/// socket}, and beside the root a secret.
fn place() -> Place {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(home.path().join("secret"), "secret").unwrap();
    fs::write(root.join("kick.wav"), "kick").unwrap();
    fs::write(root.join("sub/snare.wav"), "snare").unwrap();
    symlink("sub", root.join("in")).unwrap();
    symlink("..", root.join("out")).unwrap();
    symlink("/etc", root.join("absolute")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("kick.wav", root.join("last")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("fifo"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
    Place { _home: home, root }
}

fn both_ways(place: &Place, links: Links, test: impl Fn(&Root, bool)) {
    for by_kernel in [true, false] {
        let root = Root::open(&place.root, links).unwrap();
        root.kernel_resolves.store(by_kernel, Ordering::Relaxed);
        test(&root, by_kernel);
        assert_eq!(
            root.kernel_resolves.load(Ordering::Relaxed),
            by_kernel,
            "the way has not changed unseen"
        );
    }
}

#[test]
fn a_file_comes_with_its_evidence() {
    let place = place();
    both_ways(&place, Links::Beneath, |root, _| {
        for below in ["sub/snare.wav", "./sub/./snare.wav", "sub//snare.wav"] {
            let (mut file, evidence) = root.open_file(Path::new(below)).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "snare");
            let metadata = fs::metadata(place.root.join("sub/snare.wav")).unwrap();
            assert_eq!(
                (evidence.device, evidence.inode, evidence.size),
                (metadata.dev(), metadata.ino(), 5)
            );
            assert_eq!(evidence.modified, metadata.modified().unwrap());
            assert_eq!(evidence.born, metadata.created().ok());
            assert_eq!(root.look(Path::new(below)).unwrap(), (Kind::File, evidence));
            assert_eq!(evidence_of(&file).unwrap(), (Kind::File, evidence));
        }
        assert_eq!(
            root.evidence().unwrap().inode,
            fs::metadata(&place.root).unwrap().ino()
        );
    });
}

#[test]
fn nothing_outside_the_root_is_opened() {
    let place = place();
    for links in [Links::Beneath, Links::Never] {
        both_ways(&place, links, |root, by_kernel| {
            for below in [
                "../secret",
                "out/secret",
                "absolute/passwd",
                "/etc/passwd",
                "sub/../../secret",
            ] {
                let refused = root.open_file(Path::new(below));
                assert!(
                    matches!(refused, Err(BeneathError::Escapes { .. })),
                    "{below} by {by_kernel}: {refused:?}"
                );
                assert!(root.look(Path::new(below)).is_err());
                assert!(root.list(Path::new(below)).is_err());
            }
        });
    }
}

#[test]
fn links_inside_are_followed_where_asked_for_and_the_last_never() {
    let place = place();
    both_ways(&place, Links::Beneath, |root, by_kernel| {
        let inside = root.open_file(Path::new("in/snare.wav"));
        if by_kernel {
            assert_eq!(inside.unwrap().1.size, 5);
        } else {
            assert!(
                matches!(inside, Err(BeneathError::Escapes { .. })),
                "{inside:?}"
            );
        }
    });
    both_ways(&place, Links::Never, |root, _| {
        let refused = root.open_file(Path::new("in/snare.wav"));
        assert!(
            matches!(refused, Err(BeneathError::Escapes { .. })),
            "{refused:?}"
        );
    });
    for links in [Links::Beneath, Links::Never] {
        both_ways(&place, links, |root, by_kernel| {
            for below in ["last", "loop"] {
                let refused = root.open_file(Path::new(below));
                assert!(
                    matches!(
                        refused,
                        Err(BeneathError::NotRegular {
                            kind: Kind::Symlink,
                            ..
                        })
                    ),
                    "{below} by {by_kernel}: {refused:?}"
                );
                assert_eq!(root.look(Path::new(below)).unwrap().0, Kind::Symlink);
            }
        });
    }
}

#[test]
fn what_is_no_regular_file_is_told_apart_and_nothing_hangs() {
    let place = place();
    both_ways(&place, Links::Beneath, |root, _| {
        for (below, expected) in [
            ("sub", Kind::Folder),
            ("", Kind::Folder),
            ("fifo", Kind::Fifo),
            ("socket", Kind::Socket),
        ] {
            match root.open_file(Path::new(below)) {
                Err(BeneathError::NotRegular { kind, .. }) => assert_eq!(kind, expected),
                other => panic!("{below}: {other:?}"),
            }
            assert_eq!(root.look(Path::new(below)).unwrap().0, expected);
        }
        for below in ["none", "sub/none", "none/x", "kick.wav/x"] {
            let refused = root.open_file(Path::new(below));
            assert!(
                matches!(refused, Err(BeneathError::NotFound { .. })),
                "{below}: {refused:?}"
            );
        }
        let long = "x".repeat(300);
        assert!(matches!(
            root.open_file(Path::new(&long)),
            Err(BeneathError::NotFound { .. })
        ));
        assert!(matches!(
            root.open_file(Path::new(OsStr::from_bytes(b"a\0b"))),
            Err(BeneathError::NotFound { .. })
        ));
    });
    let dev = Root::open(Path::new("/dev"), Links::Beneath).unwrap();
    assert!(matches!(
        dev.open_file(Path::new("null")),
        Err(BeneathError::NotRegular {
            kind: Kind::Device,
            ..
        })
    ));
}

#[test]
fn magic_links_are_not_followed() {
    let root = Root::open(Path::new("/proc/self"), Links::Beneath).unwrap();
    for below in ["root/etc/passwd", "cwd/Cargo.toml"] {
        let refused = root.open_file(Path::new(below));
        assert!(
            matches!(refused, Err(BeneathError::Escapes { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn folders_are_listed_with_odd_names_and_without_dots() {
    let place = place();
    let odd = OsStr::from_bytes(b"\xff\xfe odd");
    fs::write(place.root.join("sub").join(odd), "x").unwrap();
    both_ways(&place, Links::Beneath, |root, _| {
        let mut found: Vec<Found> = root
            .list(Path::new("sub"))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let file = |name: &OsStr| Found {
            name: name.to_owned(),
            kind: Some(Kind::File),
        };
        assert_eq!(found, [file(OsStr::new("snare.wav")), file(odd)]);
        assert_eq!(root.list(Path::new("")).unwrap().count(), 9);
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
    });
}

#[test]
fn a_root_stays_what_it_was_when_it_is_moved() {
    let place = place();
    let root = Root::open(&place.root, Links::Never).unwrap();
    let moved = place.root.with_file_name("moved");
    fs::rename(&place.root, &moved).unwrap();
    fs::create_dir(&place.root).unwrap();
    assert_eq!(root.open_file(Path::new("kick.wav")).unwrap().1.size, 4);
    assert!(matches!(
        Root::open(&moved.join("kick.wav"), Links::Never),
        Err(BeneathError::NotRegular { .. })
    ));
    assert!(matches!(
        Root::open(&moved.join("none"), Links::Never),
        Err(BeneathError::NotFound { .. })
    ));
}

#[test]
fn times_before_1970_and_beyond_the_clock_are_no_panic() {
    let half = system_time(-1, 500_000_000);
    assert_eq!(
        SystemTime::UNIX_EPOCH.duration_since(half).unwrap(),
        Duration::from_millis(500)
    );
    assert!(system_time(i64::MIN, 0) <= SystemTime::UNIX_EPOCH);
    let _ = system_time(i64::MAX, u64::MAX);
}

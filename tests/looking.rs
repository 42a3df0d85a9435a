//! Promise 5: looking does not touch. Listings, attributes and searches open no source.

// It mounts real drives, with FUSE, and watches with inotify.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::inotify;
use support::sounds::wav;
use support::{Home, SHOWN_WITHIN, path_of, succeed, wait_until};

/// Counts opens of files in a folder.
struct Opens {
    watch: rustix::fd::OwnedFd,
}

impl Opens {
    fn of(folder: &Path) -> Self {
        let watch =
            inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, folder, inotify::WatchFlags::OPEN).unwrap();
        Self { watch }
    }

    /// Files opened since the last call.
    fn count(&self) -> usize {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.watch, &mut buffer);
        let mut count = 0;
        while let Ok(event) = reader.next() {
            // Opens of the folder itself are listings by the daemon's own watcher.
            count += usize::from(event.file_name().is_some());
        }
        count
    }
}

#[test]
fn listing_opens_nothing() {
    let home = Home::new();
    for seed in 1..=50u32 {
        std::fs::write(
            home.library().join(format!("{seed}.ogg")),
            wav(seed * 10, seed),
        )
        .unwrap();
    }
    let _drive = home.mount();
    let items = home.wait_for_items(50);
    wait_until(SHOWN_WITHIN * 3, "all hashes", || {
        home.items().iter().all(|item| !item["blake3"].is_null())
    });
    let opens = Opens::of(&home.library());
    let path = home.on_drive(path_of(&items[0]));
    std::fs::read(&path).unwrap();
    assert!(
        opens.count() > 0,
        "a read is counted, so the counter counts"
    );

    let root = home.on_drive("library/library");
    succeed("ls", [OsStr::new("-lR"), home.mount_point().as_os_str()]);
    succeed(
        "find",
        [
            home.mount_point().as_os_str(),
            "-newer".as_ref(),
            OsStr::new("/"),
        ],
    );
    succeed("stat", [path.as_os_str()]);
    succeed(
        "gio",
        [
            "list".as_ref(),
            "-a".as_ref(),
            "standard::name,standard::size".as_ref(),
            root.as_os_str(),
        ],
    );
    succeed("getfattr", ["-d".as_ref(), path.as_os_str()]);
    home.run(["ls", "5"]);
    home.run(["status"]);
    assert_eq!(opens.count(), 0, "looking touched the sources");
}

/// Spotlight, Time Machine, fseventsd and the Finder, in what they ask of every volume.
#[test]
fn what_a_mac_looks_for_at_the_top_is_there_and_not_listed() {
    let home = Home::new();
    std::fs::write(home.library().join("Kick.wav"), wav(100, 1)).unwrap();
    let _drive = home.mount();
    home.wait_for_items(1);
    let names = |folder: &str| -> Vec<_> {
        let entries = std::fs::read_dir(home.on_drive(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    };
    let top = names("");
    assert!(top.contains(&"README.txt".to_owned()), "{top:?}");
    assert!(top.iter().all(|name| !name.starts_with('.')), "{top:?}");
    assert_eq!(names(".fseventsd"), ["no_log"]);
    for name in [
        ".metadata_never_index",
        ".com.apple.timemachine.donotpresent",
        ".fseventsd/no_log",
        ".as/player/.metadata_never_index",
    ] {
        let path = home.on_drive(name);
        let found = std::fs::symlink_metadata(&path).unwrap();
        assert!(found.is_file() && found.len() == 0, "{name}: {found:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"", "{name}");
    }
    let read_only = rustix::io::Errno::ROFS.raw_os_error();
    for name in [
        ".metadata_never_index",
        ".fseventsd/no_log",
        ".fseventsd/0000000000000001",
        ".DS_Store",
        "library/.DS_Store",
        "library/library/._Kick.wav",
        "by-id/._x",
    ] {
        let path = home.on_drive(name);
        let written = std::fs::write(&path, "x").unwrap_err();
        assert_eq!(written.raw_os_error(), Some(read_only), "{name}");
    }
    for name in [".DS_Store", "._.", "library/library/._Kick.wav", "no_log"] {
        let found = std::fs::symlink_metadata(home.on_drive(name));
        let error = found.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{name}");
    }
}

/// What the Finder keeps of a file on a volume without attributes, it writes beside it.
#[test]
fn what_the_finder_writes_beside_a_file_is_no_sound() {
    let home = Home::new();
    let _drive = home.mount();
    std::fs::write(home.on_drive("import/._Kick.wav"), [0, 5, 0x16, 7]).unwrap();
    std::fs::write(home.on_drive("import/Kick.wav"), wav(100, 1)).unwrap();
    std::fs::write(home.on_drive("import/.DS_Store"), "x").unwrap();
    let items = home.wait_for_items(1);
    assert_eq!(items[0]["name"], "Kick.wav");
    let beside = home.on_drive("import/._Kick.wav");
    assert_eq!(std::fs::read(&beside).unwrap(), [0, 5, 0x16, 7]);
    for name in ["import/._Kick.wav", "import/.DS_Store"] {
        std::fs::remove_file(home.on_drive(name)).unwrap();
    }
    assert_eq!(home.items().len(), 1);
}

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

//! Promise 5: looking does not touch. Listings, attributes and searches open no source; and promise 1, as far as trusted
//! storage goes: what could hold up a reader is not opened.

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

#[test]
fn nothing_in_a_library_holds_up_the_drive() {
    let home = Home::new();
    std::fs::write(home.library().join("a.wav"), wav(100, 1)).unwrap();
    succeed("mkfifo", [home.library().join("pipe.wav").as_os_str()]);
    std::os::unix::fs::symlink("/etc/passwd", home.library().join("out.wav")).unwrap();
    std::os::unix::fs::symlink("../../../../../etc", home.library().join("up")).unwrap();
    std::os::unix::fs::symlink(".", home.library().join("loop")).unwrap();
    std::os::unix::fs::symlink("a.wav", home.library().join("alias.wav")).unwrap();
    std::os::unix::net::UnixListener::bind(home.library().join("socket")).unwrap();
    let _drive = home.mount();
    let item = home.wait_for_items(1)[0].clone();
    let root = home.on_drive("library/library");
    assert_eq!(std::fs::read(root.join("a.wav")).unwrap(), wav(100, 1));
    for name in ["pipe.wav", "socket", "out.wav", "up"] {
        assert!(
            std::fs::symlink_metadata(root.join(name)).is_err(),
            "{name} is not shown"
        );
    }
    assert_eq!(
        std::fs::read(root.join("alias.wav")).unwrap(),
        wav(100, 1),
        "a link inside the library is one"
    );

    // A FIFO put where a sound was: the open comes back, with an error or silence.
    std::fs::remove_file(home.library().join("a.wav")).unwrap();
    succeed("mkfifo", [home.library().join("a.wav").as_os_str()]);
    let (send, answered) = std::sync::mpsc::channel();
    let stable = home.on_drive(path_of(&item));
    std::thread::spawn(move || send.send(std::fs::read(stable)));
    let answer = answered
        .recv_timeout(SHOWN_WITHIN)
        .expect("an open never hangs on a FIFO");
    if let Ok(bytes) = answer {
        assert!(
            bytes[44..].iter().all(|byte| *byte == 0),
            "a player gets silence"
        );
    }
    // A link put where a sound was does not lead out.
    std::fs::remove_file(home.library().join("a.wav")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", home.library().join("a.wav")).unwrap();
    let refused = support::program(
        "cp",
        [
            home.on_drive(path_of(&item)).as_os_str(),
            home.path("copy").as_os_str(),
        ],
    );
    assert!(!refused.status.success());
}

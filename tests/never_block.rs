//! Promise 1: never block a player. Trusted storage answers at once; what is tested here is that nothing else in a library
//! can hold a reader up: files that are none, and the daemon's own work.

// It mounts real drives, with FUSE.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use support::sounds::wav;
use support::{Home, SHOWN_WITHIN, by_nfs, path_of, slowness, succeed, wait_until};

/// The player deadline, and what a machine that compiles something beside the tests may take on top.
const DEADLINE: Duration = Duration::from_millis(20);
const SLACK: Duration = Duration::from_millis(480);

#[test]
fn silence_comes_within_the_deadline_while_a_library_is_taken_in() {
    let home = Home::new();
    for seed in 1..=20u32 {
        std::fs::write(
            home.library().join(format!("gone {seed}.wav")),
            wav(44_100, seed),
        )
        .unwrap();
    }
    let _drive = home.mount();
    let items = home.wait_for_items(20);
    for seed in 1..=20u32 {
        std::fs::remove_file(home.library().join(format!("gone {seed}.wav"))).unwrap();
    }
    wait_until(SHOWN_WITHIN, "all to be missing", || {
        home.items()
            .iter()
            .all(|item| item["availability"] == "missing")
    });
    // The scanner, the prober and the hasher get plenty to do.
    for seed in 0..4000u32 {
        std::fs::write(
            home.library().join(format!("new {seed}.wav")),
            wav(2_000, seed),
        )
        .unwrap();
    }
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        for item in &items {
            let path = home.on_drive(".as/player").join(path_of(item));
            let asked = Instant::now();
            let mut block = [1; 4096];
            std::fs::File::open(path)
                .unwrap()
                .read_exact(&mut block)
                .unwrap();
            longest = longest.max(asked.elapsed());
            assert!(block[44..].iter().all(|byte| *byte == 0));
        }
    }
    assert!(
        longest < DEADLINE + SLACK * slowness(),
        "a player waited {longest:?} for silence"
    );
    // It was not idle meanwhile: all of it is taken in.
    home.wait_for_items(4020);
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
        // A client of NFS may have kept what it read a moment ago.
        let is_kept = by_nfs() && bytes == wav(100, 1);
        assert!(
            is_kept || bytes[44..].iter().all(|byte| *byte == 0),
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
    let is_kept =
        || by_nfs() && std::fs::read(home.path("copy")).is_ok_and(|copy| copy == wav(100, 1));
    assert!(!refused.status.success() || is_kept());
}

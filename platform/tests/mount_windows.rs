//! A drive that is really mounted on Windows, seen through the system's own calls.
//!
//! It needs WinFsp with its driver, which no other system and no Wine has, so these tests are asked for by name:
//! `cargo test -p mediafs-platform --test mount_windows -- --ignored`.

#![cfg(windows)]
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::os::windows::fs::FileExt;
use std::time::Duration;

use mediafs_platform::drive::{DriveError, NodeId};
use mediafs_platform::mount::{Ended, NOTE_NAME, Unmounted};
use support::{Body, Rig, backing, errno, pattern};

const ERROR_FILE_OFFLINE: i32 = 4350;
const ERROR_ACCESS_DENIED: i32 = 5;

#[test]
#[ignore = "needs WinFsp's driver"]
fn files_are_read_and_listed_by_the_system() {
    let rig = Rig::new();
    let bytes = pattern(1 << 20, 7);
    let folder = rig.drive.folder(NodeId::ROOT, "Loops");
    rig.drive
        .add(folder, "Kick.wav", Body::File(backing(&bytes)));
    let slow = Body::Slow(bytes.clone().into(), Duration::from_millis(300));
    rig.drive.add(folder, "slow.wav", slow);
    assert_eq!(fs::read(rig.path("loops/KICK.WAV")).unwrap(), bytes);
    assert_eq!(fs::read(rig.path("Loops/slow.wav")).unwrap(), bytes);
    let file = File::open(rig.path("Loops/Kick.wav")).unwrap();
    let mut part = [0; 100];
    assert_eq!(file.seek_read(&mut part, 500_000).unwrap(), 100);
    assert_eq!(part, bytes[500_000..500_100]);
    let mut names: Vec<_> = fs::read_dir(rig.path("Loops"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["Kick.wav", "slow.wav"]);
    let own = fs::canonicalize(rig.path("LOOPS/kick.wav")).unwrap();
    assert!(own.ends_with("Loops/Kick.wav"), "{}", own.display());
}

#[test]
#[ignore = "needs WinFsp's driver"]
fn what_is_away_and_what_is_not_to_be_written_says_so() {
    let rig = Rig::new();
    let away = Body::Unreadable(DriveError::NoMedium);
    rig.drive.add(NodeId::ROOT, "away.wav", away);
    rig.drive
        .add(NodeId::ROOT, "kick.wav", Body::File(backing(b"boom")));
    let mut file = File::open(rig.path("away.wav")).unwrap();
    let read = file.read(&mut [0; 16]);
    assert_eq!(errno(read), Some(ERROR_FILE_OFFLINE));
    assert_eq!(
        errno(fs::copy(rig.path("away.wav"), rig.home.path().join("copy"))),
        Some(ERROR_FILE_OFFLINE)
    );
    let write = File::options().write(true).open(rig.path("kick.wav"));
    assert!(write.is_err());
    assert_eq!(
        errno(fs::remove_file(rig.path("kick.wav"))),
        Some(ERROR_ACCESS_DENIED)
    );
    assert_eq!(fs::read(rig.path("kick.wav")).unwrap(), b"boom");
}

#[test]
#[ignore = "needs WinFsp's driver"]
fn it_ends_whatever_is_open_and_leaves_a_note() {
    let rig = Rig::new();
    rig.drive.add(NodeId::ROOT, "hung.wav", Body::Hung);
    let path = rig.path("hung.wav");
    let waiting = std::thread::spawn(move || File::open(path)?.read(&mut [0; 16]));
    std::thread::sleep(Duration::from_millis(500));
    let point = rig.mounted().path().to_owned();
    let outcome = rig.mounted().unmount(Duration::from_millis(200));
    assert_eq!(outcome, Unmounted::Aborted);
    assert!(waiting.join().unwrap().is_err());
    assert_eq!(rig.mounted().has_ended(), Some(Ended::Unmounted));
    assert!(point.join(NOTE_NAME).exists());
}

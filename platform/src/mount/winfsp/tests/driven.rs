//! The whole adapter as Windows meets it: requests through WinFsp's own DLL, library and all, without its driver.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::descriptor::made;
use super::super::mounted::{check_with, mount_with};
use super::super::point::FILE_SYSTEM;
use super::drive::{Body, How, MemoryDrive};
use super::host::driver::{is_in_sight, with_driver};
use super::host::{
    AS_MUCH_AS_ALLOWED, DELETE, GENERIC_READ, GENERIC_WRITE, Host, MAKE, OPEN, OPEN_OR_MAKE,
    OVERWRITE_OR_MAKE, Wish, mount_with_driver, runtime,
};
use crate::drive::{Drive, DriveError, NodeId};
use crate::mount::{Ended, MountError, MountOptions, NOTE_NAME, Transport, Unmounted};

const OFFLINE: u32 = 0x1000;
const STATUS_END_OF_FILE: u32 = 0xc000_0011;
const STATUS_ACCESS_DENIED: u32 = 0xc000_0022;
const STATUS_INVALID_OWNER: u32 = 0xc000_005a;
const STATUS_OBJECT_NAME_NOT_FOUND: u32 = 0xc000_0034;
const STATUS_OBJECT_NAME_COLLISION: u32 = 0xc000_0035;
const STATUS_OBJECT_PATH_NOT_FOUND: u32 = 0xc000_003a;
const STATUS_FILE_IS_A_DIRECTORY: u32 = 0xc000_00ba;
const STATUS_NOT_A_DIRECTORY: u32 = 0xc000_0103;
const STATUS_DIRECTORY_NOT_EMPTY: u32 = 0xc000_0101;
const STATUS_CANNOT_DELETE: u32 = 0xc000_0121;
const STATUS_IO_DEVICE_ERROR: u32 = 0xc000_0185;
const STATUS_FILE_IS_OFFLINE: u32 = 0xc000_0267;
const STATUS_MEDIA_WRITE_PROTECTED: u32 = 0xc000_00a2;

/// A folder for mount points, and a drive mounted there.
fn driver(drive: &Arc<MemoryDrive>) -> (tempfile::TempDir, Host) {
    let home = tempfile::tempdir().unwrap();
    let options = MountOptions::new(home.path().join("Loophole"));
    let driver = Host::start(Arc::clone(drive) as Arc<dyn Drive>, &options);
    (home, driver)
}

fn drop_box(drive: &MemoryDrive) -> NodeId {
    let import = drive.folder(NodeId::ROOT, "import");
    drive.change(import, |node| node.is_writable = true);
    import
}

#[test]
fn files_are_found_and_read_in_any_case() {
    let drive = MemoryDrive::new();
    let folder = drive.folder(NodeId::ROOT, "Größe");
    let kick = drive.file(folder, "Kick.wav", b"boom boom");
    let (_home, driver) = driver(&drive);
    let file = driver.open(r"\gRÖßE\KICK.WAV", GENERIC_READ).unwrap();
    assert_eq!(file.info.FileSize, 9);
    assert_eq!(file.info.FileAttributes, 0x80);
    assert_eq!(file.info.IndexNumber, kick.0);
    assert_eq!(driver.own_path(r"\gRÖßE\KICK.WAV"), r"\Größe\Kick.wav");
    assert_eq!(driver.read(&file, 0, 4).unwrap(), b"boom");
    assert_eq!(driver.read(&file, 5, 100).unwrap(), b"boom");
    assert_eq!(driver.read(&file, 9, 4), Err(STATUS_END_OF_FILE));
    driver.close(file);
    assert_eq!(drive.open_handles(), 0);
    let refused = |path| driver.open(path, GENERIC_READ).err().unwrap();
    assert_eq!(refused(r"\Größe\none.wav"), STATUS_OBJECT_NAME_NOT_FOUND);
    assert_eq!(refused(r"\none\Kick.wav"), STATUS_OBJECT_PATH_NOT_FOUND);
}

/// The process is told when something is opened only; what it reads later is answered for it all the same.
#[test]
fn the_drive_hears_which_process_asks() {
    let drive = MemoryDrive::new();
    drive.file(NodeId::ROOT, "kick.wav", b"boom");
    let (_home, driver) = driver(&drive);
    let wish = Wish {
        process: 4711,
        ..Wish::new(GENERIC_READ, OPEN)
    };
    let file = driver.create(r"\kick.wav", wish).unwrap();
    driver.read(&file, 0, 4).unwrap();
    let requesters = std::mem::take(&mut drive.0.lock().requesters);
    assert!(requesters.len() >= 3, "look-up, open and read");
    assert!(
        requesters.iter().all(|asks| *asks == Some(4711)),
        "{requesters:?}"
    );
    driver.close(file);
}

#[test]
fn reads_that_wait_are_answered_later_and_keep_no_other() {
    let drive = MemoryDrive::new();
    let slow = drive.file(NodeId::ROOT, "slow.wav", b"slow");
    let disk = drive.file(NodeId::ROOT, "disk.wav", b"disk");
    let bad = drive.file(NodeId::ROOT, "bad.wav", b"bad!");
    let gone = drive.file(NodeId::ROOT, "gone.wav", b"gone");
    drive.change(slow, |node| {
        node.reading = How::Later(Duration::from_millis(300))
    });
    drive.change(disk, |node| node.reading = How::Work);
    drive.change(bad, |node| node.reading = How::Panicking);
    drive.change(gone, |node| {
        node.reading = How::Failing(DriveError::Unreachable)
    });
    let (_home, driver) = driver(&drive);
    let open = |path| driver.open(path, GENERIC_READ).unwrap();
    let files = [
        open(r"\slow.wav"),
        open(r"\disk.wav"),
        open(r"\bad.wav"),
        open(r"\gone.wav"),
    ];
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| driver.read(&files[0], 0, 4));
        assert_eq!(driver.read(&files[1], 0, 4).unwrap(), b"disk");
        assert_eq!(driver.read(&files[2], 0, 4), Err(STATUS_IO_DEVICE_ERROR));
        assert_eq!(driver.read(&files[3], 0, 4), Err(STATUS_FILE_IS_OFFLINE));
        assert_eq!(slow.join().unwrap().unwrap(), b"slow");
    });
    assert!(begun.elapsed() >= Duration::from_millis(300));
    for file in files {
        driver.close(file);
    }
}

/// While something is opened, nothing can be renamed or made.
#[test]
fn an_open_that_waits_lets_others_go_on() {
    let drive = MemoryDrive::new();
    drop_box(&drive);
    let slow = drive.file(NodeId::ROOT, "slow.wav", b"slow");
    drive.change(slow, |node| {
        node.opening = How::Later(Duration::from_millis(3000))
    });
    let (_home, driver) = driver(&drive);
    let begun = Instant::now();
    let file = driver
        .create(r"\slow.wav", Wish::new(GENERIC_READ, OPEN_OR_MAKE))
        .unwrap();
    let made = driver
        .create(r"\import\new.wav", Wish::new(GENERIC_WRITE, MAKE))
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(2800),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(driver.read(&file, 0, 4).unwrap(), b"slow");
    driver.close(file);
    driver.close(made);
}

#[test]
fn folders_are_listed_page_by_page_and_again() {
    let drive = MemoryDrive::new();
    let folder = drive.folder(NodeId::ROOT, "many");
    for number in 0..300 {
        drive.file(folder, &format!("{number:03}.wav"), b"");
    }
    let away = drive.file(folder, "away.wav", b"");
    drive.change(away, |node| node.is_away = true);
    drive.file(folder, "what?.wav", b"");
    let (_home, driver) = driver(&drive);
    let open = driver.open(r"\many", GENERIC_READ).unwrap();
    assert_eq!(open.info.FileAttributes, 0x10);
    let mut expected: BTreeMap<String, u32> = (0..300)
        .map(|number| (format!("{number:03}.wav"), 0x80))
        .collect();
    expected.insert("away.wav".to_owned(), OFFLINE);
    expected.insert("what\u{f03f}.wav".to_owned(), 0x80);
    expected.insert(".".to_owned(), 0x10);
    expected.insert("..".to_owned(), 0x10);
    for _ in 0..2 {
        let mut all = BTreeMap::new();
        let (mut marker, mut pages) = (None, 0);
        loop {
            let page = driver.list(&open, marker.as_deref(), 4096);
            let Some((last, _)) = page.last() else { break };
            marker = Some(last.clone());
            pages += 1;
            for (name, attributes) in page {
                assert_eq!(all.insert(name, attributes), None, "listed twice");
            }
        }
        assert!(pages > 5);
        assert_eq!(all, expected);
    }
    // Anew, it is what is there then.
    drive.file(folder, "zzz.wav", b"");
    assert_eq!(driver.list(&open, None, 1 << 20).len(), expected.len() + 1);
    // A page that another handle has begun.
    let other = driver.open(r"\many", GENERIC_READ).unwrap();
    assert_eq!(
        driver.list(&other, Some("what\u{f03f}.wav"), 4096),
        [("zzz.wav".to_owned(), 0x80)]
    );
    let lists = drive.0.lock().lists;
    assert_eq!(
        driver.entry(&other, "AWAY.wav"),
        Some(("away.wav".to_owned(), OFFLINE))
    );
    assert_eq!(
        driver.entry(&other, "007.wav"),
        Some(("007.wav".to_owned(), 0x80))
    );
    assert_eq!(drive.0.lock().lists, lists + 1, "only for the other case");
    assert_eq!(driver.entry(&other, "none.wav"), None);
    driver.close(open);
    driver.close(other);
    let root = driver.open(r"\", GENERIC_READ).unwrap();
    assert_eq!(driver.list(&root, None, 4096), [("many".to_owned(), 0x10)]);
    driver.close(root);
}

#[test]
fn rights_are_those_of_the_owner_and_checked_by_winfsp() {
    let drive = MemoryDrive::new();
    let import = drop_box(&drive);
    drive.file(import, "take.wav", b"x");
    let kick = drive.file(NodeId::ROOT, "kick.wav", b"boom");
    let (_home, driver) = driver(&drive);
    // As much as allowed is reading there, and nothing is opened for writing by it.
    let file = driver.open(r"\kick.wav", AS_MUCH_AS_ALLOWED).unwrap();
    assert_eq!(file.granted & 0x1, 0x1);
    assert_eq!(file.granted & (0x2 | 0x4), 0);
    assert_eq!(driver.read(&file, 0, 4).unwrap(), b"boom");
    assert!(!drive.log().iter().any(|line| line.starts_with("refused")));
    let descriptor = driver.security(&file);
    let user = crate::rights::User::of_this_process()
        .unwrap()
        .text()
        .unwrap();
    assert!(!user.is_empty() && descriptor.len() > 60, "{descriptor:?}");
    driver.close(file);
    drive.log();
    for access in [GENERIC_WRITE, GENERIC_READ | 0x2, GENERIC_READ | 0x4] {
        let refused = driver.open(r"\kick.wav", access);
        assert_eq!(refused.err(), Some(STATUS_ACCESS_DENIED));
        let log = drive.log();
        assert_eq!(
            log,
            [format!("refused {}", kick.0)],
            "the drive hears of it"
        );
    }
    let wish = Wish::new(GENERIC_READ, OVERWRITE_OR_MAKE);
    let refused = driver.create(r"\kick.wav", wish);
    assert_eq!(refused.err(), Some(STATUS_ACCESS_DENIED));
    // Wine, other than Windows, lets an owner delete whatever the descriptor says. Then the drive says no.
    if let Ok(file) = driver.open(r"\kick.wav", DELETE) {
        let refused = driver.mark_to_go(&file, r"\kick.wav");
        assert_eq!(refused, Err(STATUS_MEDIA_WRITE_PROTECTED));
        driver.close(file);
    }
    let wish = Wish {
        options: 0x1000,
        ..Wish::new(GENERIC_READ | DELETE, OPEN)
    };
    let refused = driver.create(r"\kick.wav", wish).err();
    assert!(
        matches!(refused, Some(STATUS_CANNOT_DELETE | STATUS_ACCESS_DENIED)),
        "to go when it is closed: {refused:x?}"
    );
    let take = driver
        .open(r"\import\take.wav", AS_MUCH_AS_ALLOWED)
        .unwrap();
    assert_eq!(take.granted & (0x3 | DELETE), 0x3 | DELETE);
    assert_ne!(driver.security(&take), descriptor);
    driver.close(take);
    // To make something anywhere may be tried; the drive says no.
    let made = driver.create(r"\new.wav", Wish::new(GENERIC_WRITE, MAKE));
    assert_eq!(made.err(), Some(STATUS_MEDIA_WRITE_PROTECTED));
}

/// `ReplaceFile` gives the new file the rights of the old one, and fails where it cannot.
#[test]
fn rights_may_be_given_to_what_may_be_written_and_stay_what_they_are() {
    const OWNER: u32 = 0x1;
    const ACCESS: u32 = 0x4;
    let drive = MemoryDrive::new();
    let import = drop_box(&drive);
    drive.file(import, "take.wav", b"x");
    drive.folder(import, "kit");
    drive.file(NodeId::ROOT, "kick.wav", b"boom");
    drive.folder(NodeId::ROOT, "Loops");
    let (_home, driver) = driver(&drive);
    let anothers = made("BA", 0x0012_00a9, true).unwrap();
    let rights_to_change = 0x0004_0000;
    for path in [r"\import\take.wav", r"\import\kit"] {
        let open = driver.open(path, GENERIC_READ | rights_to_change).unwrap();
        let own = driver.security(&open);
        let set =
            |information, descriptor: &[u8]| driver.set_security(&open, information, descriptor);
        assert_eq!(set(ACCESS, &own), Ok(()), "{path}");
        assert_eq!(set(ACCESS | OWNER, &own), Ok(()), "{path}");
        assert_eq!(set(ACCESS, &anothers), Ok(()), "{path}");
        assert_eq!(set(OWNER, &anothers), Err(STATUS_INVALID_OWNER), "{path}");
        assert_eq!(driver.security(&open), own, "{path}");
        driver.close(open);
    }
    for path in [r"\kick.wav", r"\Loops"] {
        let open = driver.open(path, GENERIC_READ).unwrap();
        let own = driver.security(&open);
        let refused = driver.set_security(&open, ACCESS, &own);
        assert_eq!(refused, Err(STATUS_ACCESS_DENIED), "{path}");
        driver.close(open);
    }
}

#[test]
fn kinds_are_insisted_on() {
    let drive = MemoryDrive::new();
    drive.folder(NodeId::ROOT, "folder");
    drive.file(NodeId::ROOT, "file", b"x");
    let (_home, driver) = driver(&drive);
    let open = |path, options| {
        let wish = Wish {
            options,
            ..Wish::new(GENERIC_READ, OPEN)
        };
        driver.create(path, wish).map(|open| driver.close(open))
    };
    assert_eq!(open(r"\folder", 0x1), Ok(()));
    assert_eq!(open(r"\file", 0x40), Ok(()));
    assert_eq!(open(r"\folder", 0x40), Err(STATUS_FILE_IS_A_DIRECTORY));
    assert_eq!(open(r"\file", 0x1), Err(STATUS_NOT_A_DIRECTORY));
}

#[test]
fn the_drop_box_is_written_to_as_programs_do_it() {
    let drive = MemoryDrive::new();
    let import = drop_box(&drive);
    let (_home, driver) = driver(&drive);
    let path = r"\import\Take 1.wav";
    let file = driver
        .create(path, Wish::new(GENERIC_READ | GENERIC_WRITE, MAKE))
        .unwrap();
    assert_eq!(file.how, 2, "made");
    assert_eq!(driver.write(&file, 0, b"one two"), Ok(7));
    assert_eq!(driver.write(&file, u64::MAX, b"!"), Ok(8), "at the end");
    assert_eq!(driver.read(&file, 4, 100).unwrap(), b"two!");
    assert_eq!(driver.set_end(&file, 3).unwrap().FileSize, 3);
    assert_eq!(driver.set_room(&file, 4096).unwrap().FileSize, 3);
    driver.flush(&file).unwrap();
    let time = 133_000_000_000_000_000;
    assert_eq!(driver.set_written(&file, time).unwrap().LastWriteTime, time);
    let info = driver.info(&file);
    assert_eq!((info.FileSize, info.LastWriteTime), (3, time));
    driver.cleanup(&file, path, false);
    driver.close(file);
    let node = drive.named(import, "Take 1.wav").unwrap();
    assert_eq!(drive.bytes(node).unwrap(), b"one");
    let log = drive.log();
    assert!(
        log.contains(&format!("closed {}", node.0)) && log.iter().any(|l| l.starts_with("sync"))
    );
    assert_eq!(drive.open_handles(), 0);
    // Again, in another case: it is that file, and it is emptied.
    let wish = Wish::new(GENERIC_WRITE, OVERWRITE_OR_MAKE);
    let file = driver.create(r"\IMPORT\take 1.wav", wish).unwrap();
    assert_eq!(file.how, 3, "overwritten");
    assert_eq!(driver.overwrite(&file).unwrap().FileSize, 0);
    driver.close(file);
    assert_eq!(drive.bytes(node).unwrap(), b"");
    let made = driver.create(r"\import\TAKE 1.wav", Wish::new(GENERIC_WRITE, MAKE));
    assert_eq!(made.err(), Some(STATUS_OBJECT_NAME_COLLISION));
    let wish = Wish {
        options: 0x1,
        ..Wish::new(GENERIC_READ, OPEN_OR_MAKE)
    };
    let kit = driver.create(r"\import\kit", wish).unwrap();
    assert_eq!((kit.how, kit.info.FileAttributes), (2, 0x10));
    driver.close(kit);
}

#[test]
fn things_are_renamed_and_removed() {
    let drive = MemoryDrive::new();
    let import = drop_box(&drive);
    drive.file(import, "kick.wav", b"kick");
    drive.file(import, "Snare.wav", b"snare");
    let kit = drive.folder(import, "kit");
    drive.file(kit, "hat.wav", b"hat");
    let (_home, driver) = driver(&drive);
    let path = r"\import\kick.wav";
    let file = driver.open(path, DELETE | GENERIC_READ).unwrap();
    driver
        .rename(&file, path, r"\import\KICK.wav", false)
        .unwrap();
    let taken = driver.rename(&file, path, r"\import\snare.wav", false);
    assert_eq!(taken, Err(STATUS_OBJECT_NAME_COLLISION));
    driver
        .rename(&file, path, r"\import\snare.wav", true)
        .unwrap();
    driver.close(file);
    let node = drive.named(import, "Snare.wav").unwrap();
    assert_eq!(drive.bytes(node).unwrap(), b"kick");
    assert!(drive.named(import, "KICK.wav").is_none());
    let folder = driver.open(r"\import\kit", DELETE).unwrap();
    let marked = driver.mark_to_go(&folder, r"\import\kit");
    assert_eq!(marked, Err(STATUS_DIRECTORY_NOT_EMPTY));
    let hat = driver.open(r"\import\kit\hat.wav", DELETE).unwrap();
    driver.mark_to_go(&hat, r"\import\kit\hat.wav").unwrap();
    assert!(drive.named(kit, "hat.wav").is_some());
    driver.cleanup(&hat, r"\import\kit\hat.wav", true);
    driver.close(hat);
    assert!(drive.named(kit, "hat.wav").is_none());
    driver.mark_to_go(&folder, r"\import\kit").unwrap();
    driver.cleanup(&folder, r"\import\kit", true);
    driver.close(folder);
    assert!(drive.named(import, "kit").is_none());
}

#[test]
fn what_has_changed_is_told_and_waits_for_renames() {
    let drive = MemoryDrive::new();
    let folder = drive.folder(NodeId::ROOT, "Loops");
    let (_home, driver) = driver(&drive);
    let open = driver.open(r"\loops", GENERIC_READ).unwrap();
    let kernel = drive.0.lock().kernel.clone().unwrap();
    drive.file(folder, "new.wav", b"");
    kernel.entry(folder, "new.wav".as_ref());
    assert_eq!(driver.notice_of(r"\Loops\new.wav"), 1, "added");
    kernel.entry(folder, "new.wav".as_ref());
    assert_eq!(driver.notice_of(r"\Loops\new.wav"), 3, "changed");
    kernel.entry(folder, "gone.wav".as_ref());
    assert_eq!(driver.notice_of(r"\Loops\gone.wav"), 2, "removed");
    let told = driver.notices();
    driver.rename_goes_on(true);
    kernel.listing(folder);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(driver.notices(), told);
    driver.rename_goes_on(false);
    assert_eq!(driver.notice_of(r"\Loops"), 3);
    driver.close(open);
}

/// The driver would wait for that with all renames behind it, and with all opens behind those.
#[test]
fn what_is_read_is_told_of_when_it_is_answered() {
    let drive = MemoryDrive::new();
    let slow = drive.file(NodeId::ROOT, "Slow.wav", b"slow");
    drive.file(NodeId::ROOT, "other.wav", b"other");
    drive.change(slow, |node| {
        node.reading = How::Later(Duration::from_millis(2000))
    });
    let (_home, driver) = driver(&drive);
    let file = driver.open(r"\slow.wav", GENERIC_READ).unwrap();
    let kernel = drive.0.lock().kernel.clone().unwrap();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| driver.read(&file, 0, 4));
        std::thread::sleep(Duration::from_millis(100));
        kernel.entry(NodeId::ROOT, "Slow.wav".as_ref());
        kernel.entry(NodeId::ROOT, "other.wav".as_ref());
        driver.notice_of(r"\other.wav");
        assert!(!read.is_finished(), "the read was to last longer than this");
        assert_eq!(driver.notices(), 0, "of what is read nothing is told yet");
        assert_eq!(read.join().unwrap().unwrap(), b"slow");
    });
    assert_eq!(driver.notice_of(r"\Slow.wav"), 3);
    driver.close(file);
}

#[test]
fn the_volume_says_its_name_and_its_room() {
    let drive = MemoryDrive::new();
    let (_home, driver) = driver(&drive);
    assert_eq!(driver.volume(), (1 << 40, 1 << 39, "Loophole".to_owned()));
    assert!(FILE_SYSTEM.len() <= 16, "more makes the library panic");
}

/// Programs take two volumes of one serial number for one.
#[test]
fn each_drive_is_a_volume_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let identity = |folder: &str, of: &str| {
        let options = MountOptions {
            identity: of.to_owned(),
            ..MountOptions::new(home.path().join(folder))
        };
        let mounted = mount_with_driver(MemoryDrive::new(), &options, &runtime);
        mounted.unwrap().1.identity()
    };
    let first = identity("Loophole", "home");
    assert_eq!(first, identity("Loophole", "home"), "mounted again");
    assert_ne!(first.0, identity("Sounds", "home").0);
    assert_ne!(first.0, identity("Loophole", "another home").0);
    let born = std::time::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    assert_eq!(first.1, crate::ticks::of(born), "as its root");
}

#[test]
fn the_folder_is_the_mounts_while_it_lives_and_has_a_note_after_it() {
    let drive = MemoryDrive::new();
    let kick = drive.file(NodeId::ROOT, "kick.wav", b"boom");
    let (home, driver) = driver(&drive);
    let point = home.path().join("Loophole");
    assert!(is_in_sight(&point) && !point.exists());
    assert_eq!(driver.mounted.path(), point);
    assert_eq!(driver.mounted.transport(), Transport::Fuse);
    assert_eq!(driver.mounted.has_ended(), None);
    let file = driver.open(r"\kick.wav", GENERIC_READ).unwrap();
    // A read that nobody answers does not keep the mount.
    drive.change(kick, |node| node.reading = How::Never);
    std::thread::scope(|scope| {
        let read = scope.spawn(|| driver.read(&file, 0, 4));
        std::thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        assert_eq!(
            driver.mounted.unmount(Duration::from_millis(300)),
            Unmounted::Aborted
        );
        assert!(begun.elapsed() >= Duration::from_millis(300));
        assert_eq!(read.join().unwrap(), Err(STATUS_IO_DEVICE_ERROR));
    });
    assert!(driver.was_taken_apart() && !is_in_sight(&point));
    assert_eq!(
        drive.open_handles(),
        0,
        "what programs had open is given back"
    );
    assert_eq!(driver.mounted.wait(), Ended::Unmounted);
    assert_eq!(driver.mounted.unmount(Duration::ZERO), Unmounted::Already);
    let note = std::fs::read_to_string(point.join(NOTE_NAME)).unwrap();
    assert!(note.contains("mediafs mount"));
    // And again at the same place.
    let options = MountOptions::new(&point);
    let again = Host::start(MemoryDrive::new(), &options);
    assert!(!point.exists());
    assert_eq!(
        again.mounted.unmount(Duration::from_secs(5)),
        Unmounted::Clean
    );
}

#[test]
fn a_letter_is_a_network_drive() {
    let options = MountOptions {
        name: "Sounds".to_owned(),
        ..MountOptions::new("q:")
    };
    let runtime = runtime();
    let (mounted, _) = mount_with_driver(MemoryDrive::new(), &options, &runtime).unwrap();
    assert_eq!(mounted.path(), Path::new(r"Q:\"));
    assert!(is_in_sight(Path::new("Q:")));
    let mount = |options: &MountOptions| mount_with_driver(MemoryDrive::new(), options, &runtime);
    // As in another session, where nothing else has the letter.
    let taken = mount(&options).unwrap_err();
    let MountError::NameTaken { name, .. } = &taken else {
        panic!("{taken:?}")
    };
    assert!(name.starts_with(r"\mediafs\Sounds-"), "{name}");
    let words = taken.to_string();
    assert!(words.contains(&format!(r"\{name}")), "{words}");
    let another = MountOptions {
        name: "Loops".to_owned(),
        ..options.clone()
    };
    let taken = mount(&another).unwrap_err();
    assert!(matches!(taken, MountError::Occupied { .. }), "{taken:?}");
    let beside = MountOptions {
        mountpoint: "r:".into(),
        ..options
    };
    let (beside, _) = mount(&beside).unwrap();
    drop(beside);
    drop(mounted);
    assert!(!is_in_sight(Path::new("Q:")));
}

/// Under Wine the DLL is the real one, and there is no driver.
#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let point = home.path().join("Loophole");
    let options = MountOptions::new(&point);
    let runtime = runtime();
    let mount = |keys: &[&str], options: &MountOptions| {
        let drive = MemoryDrive::new() as Arc<dyn Drive>;
        mount_with(keys, drive, options, runtime.handle().clone()).unwrap_err()
    };
    let not_installed = mount(&[r"SOFTWARE\mediafs has no such key"], &options);
    assert!(matches!(not_installed, MountError::NoFuse));
    let words = not_installed.to_string();
    assert!(words.contains("https://winfsp.dev/rel/"), "{words}");
    assert!(
        words.contains("Copyright (C) Bill Zissimopoulos"),
        "{words}"
    );
    let no_driver = mount(&super::super::library::KEYS, &options);
    let MountError::Refused { source, .. } = &no_driver else {
        panic!("{no_driver:?}")
    };
    assert!(
        source.to_string().contains("its driver does not run"),
        "{source}"
    );
    assert!(point.join(NOTE_NAME).exists());
    let by_nfs = MountOptions {
        transport: Transport::Nfs,
        ..options
    };
    assert!(
        mount(&super::super::library::KEYS, &by_nfs)
            .to_string()
            .contains("cannot mount")
    );
}

/// As `doctor` asks.
#[test]
fn what_there_is_of_it_is_told_without_a_mount() {
    let not_installed = check_with(&[r"SOFTWARE\mediafs has no such key"]).unwrap_err();
    assert!(
        not_installed.message.contains("is not installed"),
        "{not_installed}"
    );
    let no_driver = check_with(&super::super::library::KEYS).unwrap_err();
    assert!(
        no_driver
            .message
            .contains("its driver does not run (version 2."),
        "{no_driver}"
    );
    for lacking in [not_installed, no_driver] {
        let words = lacking.to_string();
        assert!(words.contains("https://winfsp.dev/rel/"), "{words}");
        assert!(
            words.contains(super::super::super::WINFSP_NOTICE),
            "{words}"
        );
    }
}

/// The DLL under test is of 2.1.
#[test]
fn of_an_old_driver_it_is_told_what_may_happen_and_what_to_install() {
    let present = with_driver(|| check_with(&super::super::library::KEYS)).unwrap();
    assert!(
        present.message.starts_with("WinFsp 2."),
        "{}",
        present.message
    );
    let flaw = present.flaw.unwrap().to_string();
    for told in [
        "may stop the whole drive",
        "2.2.26215",
        "https://winfsp.dev/rel/",
    ] {
        assert!(flaw.contains(told), "{flaw}");
    }
}

/// A panic may not go into code that is not Rust's.
#[test]
fn a_panic_is_an_error_of_its_request() {
    let drive = MemoryDrive::new();
    let file = drive.file(NodeId::ROOT, "kick.wav", b"boom");
    drive.add(NodeId::ROOT, "link", Body::Link("kick.wav".into()));
    drive.change(file, |node| node.opening = How::Panicking);
    let (_home, driver) = driver(&drive);
    assert_eq!(
        driver.open(r"\kick.wav", GENERIC_READ).err(),
        Some(STATUS_IO_DEVICE_ERROR)
    );
    assert_eq!(
        driver.open(r"\panic", GENERIC_READ).err(),
        Some(STATUS_IO_DEVICE_ERROR)
    );
    drive.change(file, |node| node.opening = How::Now);
    let link = driver.open(r"\link", GENERIC_READ).unwrap();
    assert_eq!(driver.read(&link, 0, 4).unwrap(), b"boom");
    driver.close(link);
}

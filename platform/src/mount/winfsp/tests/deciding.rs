//! What is found, opened, read and told, on every system.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::adapter::{Notice, requester};
use super::super::status::Status;
use super::drive::{Body, How, MemoryDrive};
use super::mount::{LOOK, Mount, READ, WRITE, wide};
use crate::drive::{Drive, DriveError, Invalidate, NodeId};

const OFFLINE: u32 = 0x1000;

#[test]
fn paths_are_walked_in_any_case_and_told_in_their_own() {
    let mount = Mount::new();
    let folder = mount.drive.folder(NodeId::ROOT, "Größe");
    mount.drive.file(folder, "Kick.wav", b"boom");
    let open = mount.open("\\gRÖßE\\KICK.WAV", READ).unwrap();
    assert_eq!(
        String::from_utf16(&open.path()).unwrap(),
        "\\Größe\\Kick.wav"
    );
    assert_eq!(mount.read(&open, 1, 100).unwrap(), b"oom");
    assert_eq!(mount.look("\\"), Ok(0x10));
    let status = |path: &str| mount.look(path).unwrap_err();
    assert_eq!(status("\\Größe\\snare.wav"), Status::OBJECT_NAME_NOT_FOUND);
    assert_eq!(status("\\nowhere\\kick.wav"), Status::OBJECT_PATH_NOT_FOUND);
    assert_eq!(
        status("\\Größe\\Kick.wav\\x"),
        Status::OBJECT_PATH_NOT_FOUND
    );
    let long = format!("\\Größe\\{}", "x".repeat(256));
    assert_eq!(status(&long), Status::NAME_TOO_LONG);
}

#[test]
fn paths_may_be_longer_than_programs_once_thought() {
    let mount = Mount::new();
    let (mut folder, mut path) = (NodeId::ROOT, String::new());
    for depth in 0..4 {
        let name = format!("{depth}{}", "x".repeat(199));
        folder = mount.drive.folder(folder, &name);
        path = format!("{path}\\{name}");
    }
    mount.drive.file(folder, "kick.wav", b"boom");
    let open = mount.open(&format!("{path}\\kick.wav"), READ).unwrap();
    assert_eq!(mount.read(&open, 0, 4).unwrap(), b"boom");
}

#[test]
fn an_exact_name_goes_before_one_in_another_case() {
    let mount = Mount::new();
    mount.drive.file(NodeId::ROOT, "KICK.wav", b"loud");
    mount.drive.file(NodeId::ROOT, "kick.wav", b"soft");
    let open = mount.open("\\kick.wav", READ).unwrap();
    assert_eq!(mount.read(&open, 0, 4).unwrap(), b"soft");
    let open = mount.open("\\KICK.wav", READ).unwrap();
    assert_eq!(mount.read(&open, 0, 4).unwrap(), b"loud");
    assert!(mount.look("\\Kick.wav").is_ok());
}

#[test]
fn names_that_windows_has_not_are_found_as_they_are_listed() {
    let mount = Mount::new();
    mount.drive.file(NodeId::ROOT, "what?.wav", b"yes");
    mount.drive.file(NodeId::ROOT, "aux.wav", b"no");
    assert_eq!(mount.names("\\"), ["\u{f061}ux.wav", "what\u{f03f}.wav"]);
    for (path, bytes) in [
        ("\\what\u{f03f}.WAV", b"yes" as &[u8]),
        ("\\\u{f061}ux.wav", b"no"),
    ] {
        let open = mount.open(path, READ).unwrap();
        assert_eq!(mount.read(&open, 0, 9).unwrap(), bytes);
    }
    // A name that has such a character itself.
    mount.drive.file(NodeId::ROOT, "odd\u{f03f}.wav", b"odd");
    let open = mount.open("\\odd\u{f03f}.wav", READ).unwrap();
    assert_eq!(mount.read(&open, 0, 9).unwrap(), b"odd");
}

/// macOS and Samba put characters of that range for a space or a dot at the end, which read as others here.
#[test]
fn names_that_other_systems_have_changed_lead_to_no_other_sound() {
    let mount = Mount::new();
    mount.drive.file(NodeId::ROOT, "Pad).wav", b"wrong");
    mount.drive.file(NodeId::ROOT, "Pad\u{f029}.wav", b"right");
    mount.drive.file(NodeId::ROOT, "a?\u{f028}.wav", b"both");
    mount.drive.file(NodeId::ROOT, "(loop.wav", b"wrong");
    mount.drive.file(NodeId::ROOT, "what?.wav", b"wrong");
    mount.drive.file(NodeId::ROOT, "what\u{f03f}.wav", b"right");
    for (path, bytes) in [
        ("\\Pad\u{f029}.wav", b"right" as &[u8]),
        ("\\pad\u{f029}.WAV", b"right"),
        ("\\Pad).wav", b"wrong"),
        ("\\a\u{f03f}\u{f028}.wav", b"both"),
        ("\\what\u{f03f}.wav", b"right"),
    ] {
        let open = mount.open(path, READ).unwrap();
        assert_eq!(mount.read(&open, 0, 9).unwrap(), bytes, "{path:?}");
    }
    assert_eq!(
        mount.look("\\\u{f028}loop.wav"),
        Err(Status::OBJECT_NAME_NOT_FOUND)
    );
}

/// A program that asks for many files that are not there must not have the folder listed each time.
#[test]
fn names_are_kept_while_nothing_changes() {
    let mount = Mount::new();
    let folder = mount.drive.folder(NodeId::ROOT, "loops");
    mount.drive.change(folder, |node| node.keeps_listing = true);
    mount.drive.file(folder, "a.wav", b"");
    let lists = || mount.drive.0.lock().lists;
    for name in ["b.wav", "c.wav", "d.wav"] {
        assert!(mount.look(&format!("\\loops\\{name}")).is_err());
    }
    assert_eq!(lists(), 1);
    mount.drive.file(folder, "B.wav", b"");
    mount.adapter.changes.entry(folder, OsStr::new("B.wav"));
    assert!(mount.look("\\loops\\b.wav").is_ok());
    assert_eq!(lists(), 2);
    // File managers ask every folder for these.
    assert!(mount.look("\\loops\\Desktop.ini").is_err());
    assert_eq!(lists(), 2);
    // Where changes are not told, they are kept for a moment.
    mount
        .drive
        .change(folder, |node| node.keeps_listing = false);
    mount.adapter.changes.listing(folder);
    for _ in 0..3 {
        assert!(mount.look("\\loops\\x.wav").is_err());
    }
    assert_eq!(lists(), 3);
    mount.drive.file(folder, "X.wav", b"");
    assert!(
        mount.look("\\loops\\X.wav").is_ok(),
        "what is asked for as it is"
    );
    let until = Instant::now() + Duration::from_secs(20);
    while mount.look("\\loops\\x.wav").is_err() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn links_lead_where_they_lead_and_no_further() {
    let mount = Mount::new();
    let folder = mount.drive.folder(NodeId::ROOT, "a");
    let deep = mount.drive.folder(folder, "deep");
    mount.drive.file(deep, "kick.wav", b"boom");
    let link = |parent, name: &str, to: &str| {
        mount.drive.add(parent, name, Body::Link(to.into()));
    };
    link(NodeId::ROOT, "there", "a/./deep");
    link(deep, "up", "../../a/deep/kick.wav");
    link(NodeId::ROOT, "round", "round");
    link(NodeId::ROOT, "out", "../etc");
    link(NodeId::ROOT, "absolute", "/etc");
    for path in ["\\there\\kick.wav", "\\there\\up"] {
        let open = mount.open(path, READ).unwrap();
        assert_eq!(mount.read(&open, 0, 9).unwrap(), b"boom");
        assert_eq!(String::from_utf16(&open.path()).unwrap(), path);
    }
    for nowhere in ["\\round", "\\out", "\\absolute"] {
        assert_eq!(mount.look(nowhere), Err(Status::OBJECT_NAME_NOT_FOUND));
    }
    assert_eq!(
        mount.list("\\"),
        [("a".to_owned(), 0x10), ("there".to_owned(), 0x10)],
        "links are what they lead to"
    );
}

#[test]
fn what_is_away_is_offline_and_says_so_when_read() {
    let mount = Mount::new();
    let away = mount.drive.file(NodeId::ROOT, "away.wav", b"0000");
    mount.drive.file(NodeId::ROOT, "here.wav", b"1111");
    mount.drive.change(away, |node| node.is_away = true);
    assert_eq!(
        mount.list("\\"),
        [
            ("away.wav".to_owned(), OFFLINE),
            ("here.wav".to_owned(), 0x80)
        ]
    );
    let open = mount.open("\\away.wav", READ).unwrap();
    assert_eq!(mount.adapter.info(&open).unwrap().attributes, OFFLINE);
    mount.drive.change(away, |node| {
        node.reading = How::Failing(DriveError::NoMedium);
    });
    assert_eq!(mount.read(&open, 0, 4), Err(Status::FILE_IS_OFFLINE));
    mount.drive.change(away, |node| {
        node.reading = How::Now;
        node.is_away = false;
    });
    assert_eq!(mount.adapter.info(&open).unwrap().attributes, 0x80);
    assert_eq!(mount.read(&open, 0, 4).unwrap(), b"0000");
    assert_eq!(mount.read(&open, 4, 4), Err(Status::END_OF_FILE));
}

#[test]
fn only_who_reads_opens_the_file_and_who_opened_it_reads_it() {
    let mount = Mount::new();
    let node = mount.drive.file(NodeId::ROOT, "kick.wav", b"boom");
    let looked = mount.open("\\kick.wav", LOOK).unwrap();
    assert!(mount.drive.log().is_empty());
    assert_eq!(mount.read(&looked, 0, 4), Err(Status::ACCESS_DENIED));
    let open = mount.open_as("\\kick.wav", READ, 42).unwrap();
    assert_eq!(mount.adapter.opens.files(), 1);
    mount.read(&open, 0, 4).unwrap();
    let last = mount.drive.0.lock().requesters.last().copied();
    assert_eq!(last, Some(Some(42)));
    for open in [&open, &looked, &open] {
        mount.adapter.close(open);
    }
    let expected = [format!("open {}", node.0), format!("release {}", node.0)];
    assert_eq!(mount.drive.log(), expected);
    assert_eq!(mount.adapter.opens.files(), 0);
}

/// A sampler's open may take ten seconds; no other program is to wait with it.
#[test]
fn a_slow_open_keeps_nobody_and_is_waited_for_by_who_reads() {
    let mount = Mount::new();
    let node = mount.drive.file(NodeId::ROOT, "slow.wav", b"boom");
    mount.drive.change(node, |node| {
        node.opening = How::Later(Duration::from_millis(2000))
    });
    let begun = Instant::now();
    let open = mount.open("\\slow.wav", READ).unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(1800),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(mount.read(&open, 0, 4).unwrap(), b"boom");
    assert!(begun.elapsed() >= Duration::from_millis(2000));
    mount.adapter.close(&open);
    // One that is closed before it came is released when it comes.
    let open = mount.open("\\slow.wav", READ).unwrap();
    mount.adapter.close(&open);
    let until = Instant::now() + Duration::from_secs(20);
    while mount
        .drive
        .log()
        .iter()
        .filter(|line| line.starts_with("release"))
        .count()
        < 1
        || mount.drive.open_handles() > 0
    {
        assert!(Instant::now() < until, "it was not released");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_refused_open_is_refused_at_once() {
    let mount = Mount::new();
    let node = mount.drive.file(NodeId::ROOT, "kick.wav", b"boom");
    mount
        .drive
        .change(node, |node| node.opening = How::Failing(DriveError::NotNow));
    assert_eq!(
        mount.open("\\kick.wav", READ).err(),
        Some(Status::FILE_IS_OFFLINE)
    );
    assert!(mount.open("\\kick.wav", LOOK).is_ok());
    mount
        .drive
        .change(node, |node| node.opening = How::Panicking);
    assert_eq!(
        mount.open("\\kick.wav", READ).err(),
        Some(Status::IO_DEVICE_ERROR)
    );
    assert_eq!(mount.look("\\panic"), Err(Status::IO_DEVICE_ERROR));
    assert_eq!(
        mount.open("\\kick.wav", WRITE).err(),
        Some(Status::ACCESS_DENIED)
    );
}

#[test]
fn what_has_become_stale_is_looked_up_again() {
    let mount = Mount::new();
    let old = mount.drive.file(NodeId::ROOT, "kick.wav", b"old");
    mount.drive.change(old, |node| node.is_stale = true);
    assert_eq!(
        mount.open("\\kick.wav", READ).err(),
        Some(Status::FILE_INVALID)
    );
    // It is another by the time it is opened.
    mount.drive.change(old, |node| node.is_stale = false);
    let new = (NodeId::ROOT, "kick.wav".into(), b"newer".to_vec());
    mount.drive.0.lock().taken_over.insert(old, new);
    let opened = mount
        .adapter
        .open(&wide("\\kick.wav"), 0, READ, requester(7));
    let (open, info) = opened.ok().unwrap();
    assert_eq!(info.size, 5, "what is opened, not what was found");
    assert_eq!(mount.read(&open, 0, 9).unwrap(), b"newer");
    assert_eq!(mount.adapter.info(&open).unwrap().size, 5);
}

#[test]
fn reads_may_come_late_or_never_and_end_with_the_mount() {
    let mount = Mount::new();
    let node = mount.drive.file(NodeId::ROOT, "kick.wav", b"boom");
    let open = mount.open("\\kick.wav", READ).unwrap();
    for how in [How::Later(Duration::from_millis(20)), How::Work] {
        mount.drive.change(node, |node| node.reading = how);
        assert_eq!(mount.read(&open, 0, 2).unwrap(), b"bo");
    }
    mount
        .drive
        .change(node, |node| node.reading = How::Panicking);
    assert_eq!(mount.read(&open, 0, 2), Err(Status::IO_DEVICE_ERROR));
    mount.drive.change(node, |node| node.reading = How::Never);
    let (adapter, reading) = (Arc::clone(&mount.adapter), Arc::clone(&open));
    let waiting = mount
        .runtime
        .spawn(async move { adapter.read(&reading, 0, 2).await.err() });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    mount.ending.send_replace(true);
    let ended = mount.runtime.block_on(waiting).unwrap();
    assert_eq!(ended, Some(Status::IO_DEVICE_ERROR));
    mount.adapter.close_all();
    assert_eq!(mount.drive.open_handles(), 0);
}

#[test]
fn large_folders_are_listed_whole_and_single_entries_without_a_list() {
    let mount = Mount::new();
    let folder = mount.drive.folder(NodeId::ROOT, "many");
    for number in 0..1500 {
        mount.drive.file(folder, &format!("{number:04}.wav"), b"");
    }
    let names = mount.names("\\many");
    assert_eq!(names.len(), 1502);
    assert_eq!((&*names[2], &*names[1501]), ("0000.wav", "1499.wav"));
    let lists = mount.drive.0.lock().lists;
    let open = mount.open("\\many", READ).unwrap();
    let (name, info) = mount.adapter.entry(&open, &wide("0042.wav")).unwrap();
    assert_eq!(
        (String::from_utf16(&name).unwrap(), info.attributes),
        ("0042.wav".to_owned(), 0x80)
    );
    assert_eq!(mount.drive.0.lock().lists, lists);
    let (name, _) = mount.adapter.entry(&open, &wide("0042.WAV")).unwrap();
    assert_eq!(String::from_utf16(&name).unwrap(), "0042.wav");
    let none = mount.adapter.entry(&open, &wide("none.wav"));
    assert_eq!(none.err(), Some(Status::OBJECT_NAME_NOT_FOUND));
}

#[test]
fn changes_are_told_with_their_paths() {
    let mount = Mount::new();
    let folder = mount.drive.folder(NodeId::ROOT, "Loops");
    let kick = mount.drive.file(folder, "kick?.wav", b"");
    let changes = &mount.adapter.changes;
    changes.entry(folder, OsStr::new("kick?.wav"));
    let told = mount.adapter.notices(changes.take());
    assert!(told.is_empty(), "nobody knows that folder");
    mount.open("\\loops", READ).unwrap();
    let tell = |name: &str| -> Notice {
        changes.entry(folder, OsStr::new(name));
        let mut told = mount.adapter.notices(changes.take());
        assert_eq!(told.len(), 1);
        told.remove(0)
    };
    let added = tell("kick?.wav");
    assert_eq!(added.path, wide("\\Loops\\kick\u{f03f}.wav"));
    assert_eq!((added.action, added.filter), (1, 0x1));
    // Known by now.
    assert_eq!(tell("kick?.wav").action, 3);
    assert_eq!(mount.drive.0.lock().known[&kick], 2);
    mount.drive.0.lock().nodes.remove(&kick);
    let gone = MemoryDrive::remove(
        &mount.drive,
        folder,
        OsStr::new("none"),
        false,
        &requester(0),
    );
    drop(gone);
    assert_eq!(tell("gone.wav").action, 2);
    changes.listing(folder);
    let told = mount.adapter.notices(changes.take());
    assert_eq!((told[0].path.clone(), told[0].action), (wide("\\Loops"), 3));
}

/// WinFsp would wait with it for the read, and everybody with WinFsp.
#[test]
fn what_is_being_read_is_told_of_once_that_is_answered() {
    let mount = Mount::new();
    let folder = mount.drive.folder(NodeId::ROOT, "Loops");
    let slow = mount.drive.file(folder, "Slow.wav", b"slow");
    mount.drive.file(folder, "other.wav", b"other");
    mount.drive.change(slow, |node| {
        node.reading = How::Later(Duration::from_millis(1000))
    });
    let open = mount.open(r"\loops\slow.WAV", READ).unwrap();
    let other = mount.open(r"\loops\other.wav", READ).unwrap();
    let (adapter, reading) = (Arc::clone(&mount.adapter), Arc::clone(&open));
    let read = mount
        .runtime
        .spawn(async move { adapter.read(&reading, 0, 4).await });
    let until = Instant::now() + Duration::from_secs(20);
    while mount.adapter.opens.busy().is_empty() {
        assert!(Instant::now() < until, "it is not read");
        std::thread::sleep(Duration::from_millis(1));
    }
    let changes = &mount.adapter.changes;
    let told = || {
        assert!(mount.adapter.has_news());
        let notices = mount.adapter.notices(changes.take());
        let paths = notices
            .iter()
            .map(|notice| String::from_utf16(&notice.path).unwrap());
        let mut paths: Vec<String> = paths.collect();
        paths.sort();
        paths
    };
    for name in ["Slow.wav", "other.wav"] {
        changes.entry(folder, OsStr::new(name));
    }
    changes.listing(folder);
    assert_eq!(told(), [r"\Loops", r"\Loops\other.wav"]);
    assert!(!mount.adapter.has_news(), "what waits is no news");
    changes.entry(folder, OsStr::new("Slow.wav"));
    assert_eq!(told(), [""; 0]);
    assert!(!read.is_finished(), "the read was to last longer than this");
    assert_eq!(mount.runtime.block_on(read).unwrap().unwrap(), b"slow"[..]);
    assert_eq!(told(), [r"\Loops\Slow.wav"]);
    assert!(!mount.adapter.has_news());
    for open in [&open, &other] {
        mount.adapter.close(open);
    }
}

/// Nodes are told to be forgotten, or the drive would keep each that was ever looked up.
#[test]
fn the_longest_unused_are_forgotten() {
    let mount = Mount::new();
    let folder = mount.drive.folder(NodeId::ROOT, "many");
    for number in 0..70_000 {
        mount.drive.file(folder, &format!("{number:05}.wav"), b"");
    }
    assert_eq!(mount.names("\\many").len(), 70_002);
    let state = mount.drive.0.lock();
    let known = state.known.values().filter(|count| **count > 0).count();
    assert_eq!(known, 65_536);
    assert!(
        state.known[&folder] > 0,
        "a folder that is listed is in use"
    );
}

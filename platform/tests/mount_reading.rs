//! Reading through real mounts: names, attributes, listings, and how the bytes of a handle come.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use std::time::Duration;

use mediafs_platform::drive::{DriveError, NodeId};
use mediafs_platform::mount::{FS_TYPE, Passthrough};
use mediafs_platform::volume::MountTable;
use support::{
    Body, LONG, Rig, backing, by_nfs, errno, eventually, fuse_available, pattern, settle,
};

#[test]
fn bytes_names_and_attributes_are_those_of_the_drive() {
    if !fuse_available() {
        return;
    }
    for passthrough in [true, false] {
        let rig = Rig::with(|options| options.passthrough = passthrough);
        let bytes = pattern(1_000_003, 7);
        let folder = rig.drive.folder(NodeId::ROOT, "drums");
        let node = rig
            .drive
            .add(folder, "kick.wav", Body::File(backing(&bytes)));
        rig.drive
            .add(folder, "link", Body::Symlink("kick.wav".into()));
        let path = rig.path("drums/kick.wav");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read(rig.path("drums/link")).unwrap(), bytes);
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.ino(), node.0);
        assert_eq!(metadata.len(), bytes.len() as u64);
        assert_eq!(
            (metadata.mtime(), metadata.mtime_nsec()),
            (1_600_000_000, 123_456_789)
        );
        assert_eq!(metadata.ctime(), 1_600_000_001);
        assert_eq!(metadata.nlink(), 1);
        assert_eq!(metadata.blocks(), (bytes.len() as u64).div_ceil(512));
        assert_eq!(
            errno(fs::metadata(rig.path("drums/snare.wav"))),
            Some(libc::ENOENT)
        );
        assert_eq!(
            errno(fs::metadata(rig.path("drums/kick.wav/x"))),
            Some(libc::ENOTDIR)
        );
        // The thread that asked is this one; by NFS it is not told.
        let this = rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .cast_unsigned();
        assert!(
            rig.drive
                .state
                .lock()
                .requesters
                .iter()
                .all(|by| by.thread == (!by_nfs()).then_some(this))
        );
    }
}

#[test]
fn the_mount_is_recognised_and_restricted() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::with(|options| options.name = "my,drive".to_owned());
    let table = MountTable::read().unwrap();
    let entry = table.at(rig.mounted().path()).unwrap();
    assert_eq!(entry.fs_type, FS_TYPE);
    assert_eq!(entry.source, "mydrive");
    let options = entry.options.to_str().unwrap();
    for option in ["nosuid", "nodev", "noexec"] {
        assert!(
            options.split(',').any(|have| have == option),
            "{option} is missing in {options}"
        );
    }
    assert_eq!(entry.super_option("allow_other"), None);
    let room = rustix::fs::statvfs(rig.mounted().path()).unwrap();
    assert_eq!(
        (room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize),
        (10 << 30, 4 << 30)
    );
    assert_eq!(room.f_namemax, 255);
}

#[test]
fn odd_names_pass_unchanged() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let odd: Vec<OsString> = vec![
        OsString::from_vec(vec![0xff, 0xfe, b'a']),
        OsString::from("new\nline"),
        OsString::from(" space "),
        OsString::from("*?:\"<>|\\"),
        OsString::from("é"),
        OsString::from("e\u{301}"),
        OsString::from("x".repeat(255)),
        OsString::from(".hidden"),
    ];
    for name in &odd {
        rig.drive.add(
            NodeId::ROOT,
            name.clone(),
            Body::Direct(bytes::Bytes::from_static(b"odd")),
        );
    }
    // Names that nobody could open would spoil the whole listing.
    rig.drive.add(
        NodeId::ROOT,
        "y".repeat(2000),
        Body::Direct(bytes::Bytes::new()),
    );
    rig.drive
        .add(NodeId::ROOT, "a/b", Body::Direct(bytes::Bytes::new()));
    let listed: BTreeSet<OsString> = fs::read_dir(rig.path(""))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(listed, odd.iter().cloned().collect());
    for name in &odd {
        assert_eq!(fs::read(rig.path(name)).unwrap(), b"odd", "{name:?}");
    }
    assert_eq!(
        errno(fs::metadata(rig.path("z".repeat(256)))),
        Some(libc::ENAMETOOLONG)
    );
}

/// (name, inode) of every entry in the order of the kernel, dots included.
fn raw_listing(path: &std::path::Path) -> Vec<(Vec<u8>, u64)> {
    let folder = rustix::fs::open(
        path,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    rustix::fs::Dir::read_from(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_bytes().to_vec(), entry.ino())
        })
        .collect()
}

#[test]
fn a_large_folder_is_listed_whole_and_once_whatever_its_entries_are() {
    if !fuse_available() {
        return;
    }
    // All with entries; none with; and the two mixed, so that parts of a listing change their way.
    for whole in [
        |_: u64| true,
        |_: u64| false,
        |index: u64| !index.is_multiple_of(3),
    ] {
        let rig = Rig::new();
        let folder = rig.drive.folder(NodeId::ROOT, "many");
        let mut expected = Vec::new();
        for index in 0..5_000_u64 {
            let name = format!("{index:05}-{}.wav", "n".repeat((index % 60) as usize));
            let node = rig.drive.add(
                folder,
                &name,
                Body::Direct(bytes::Bytes::from_static(b"abc")),
            );
            rig.drive.change(node, |node| {
                node.listed_whole = whole(index);
                if !node.listed_whole {
                    node.inode += 1_000_000;
                }
            });
            let inode = if whole(index) {
                node.0
            } else {
                node.0 + 1_000_000
            };
            expected.push((name.into_bytes(), inode));
        }
        let listed = raw_listing(&rig.path("many"));
        assert_eq!(
            listed[..2],
            [(b".".to_vec(), folder.0), (b"..".to_vec(), NodeId::ROOT.0)]
        );
        assert_eq!(listed[2..], expected);

        let lookups = rig.drive.count(|counts| &counts.lookups);
        for entry in fs::read_dir(rig.path("many")).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().ino(), entry.ino());
        }
        let looked_up = rig.drive.count(|counts| &counts.lookups) - lookups;
        let plain = (0..5_000).filter(|index| !whole(*index)).count() as u64;
        // By NFS it is the client that decides of which part of a listing it wants entries.
        assert!(
            looked_up == plain || (by_nfs() && looked_up > plain),
            "what is listed with its entry needs no look-up: {looked_up}, not {plain}"
        );
    }
}

#[test]
fn an_empty_folder_has_only_the_dots() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let folder = rig.drive.folder(NodeId::ROOT, "empty");
    assert_eq!(
        raw_listing(&rig.path("empty")),
        [(b".".to_vec(), folder.0), (b"..".to_vec(), 1)]
    );
    assert_eq!(raw_listing(&rig.path("")).len(), 3);
}

#[test]
fn look_ups_are_forgotten_as_often_as_they_were_counted() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let folder = rig.drive.folder(NodeId::ROOT, "f");
    let nodes: Vec<NodeId> = (0..300)
        .map(|i| {
            rig.drive
                .add(folder, format!("{i}"), Body::File(backing(b"x")))
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(raw_listing(&rig.path("f")).len(), 302);
        for index in 0..300 {
            fs::metadata(rig.path(format!("f/{index}"))).unwrap();
        }
    }
    assert!(nodes.iter().all(|node| rig.drive.known(*node) > 0));
    let kernel = rig.drive.kernel.lock().clone().unwrap();
    for index in 0..300 {
        kernel.entry(folder, format!("{index}").as_ref());
    }
    eventually("all are forgotten", || {
        nodes.iter().all(|node| rig.drive.known(*node) == 0)
    });
}

#[test]
fn faces_swap_under_one_inode_number_and_handles_keep_what_they_had() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let sound = pattern(300_000, 3);
    let silence = bytes::Bytes::from(vec![0; sound.len()]);
    let bytes_node = rig.drive.node(Body::File(backing(&sound)));
    let silence_node = rig.drive.node(Body::Direct(silence.clone()));
    for node in [bytes_node, silence_node] {
        rig.drive.change(node, |node| {
            node.inode = bytes_node.0;
            node.ttl = Duration::ZERO;
        });
    }
    let folder = rig.drive.folder(NodeId::ROOT, "by-id");
    rig.drive.link(folder, "a.wav", silence_node);
    let path = rig.path("by-id/a.wav");
    let inode = fs::metadata(&path).unwrap().ino();
    assert_eq!(
        inode, bytes_node.0,
        "the silence shows the number of the bytes"
    );
    let mut before = File::open(&path).unwrap();
    assert_eq!(before.metadata().unwrap().ino(), inode);
    let mut start = vec![1; 1000];
    before.read_exact(&mut start).unwrap();
    assert_eq!(start, vec![0; 1000]);

    rig.drive.link(folder, "a.wav", bytes_node);
    rig.drive.change(bytes_node, |node| node.ttl = LONG);
    rig.drive
        .kernel
        .lock()
        .as_ref()
        .unwrap()
        .entry(folder, "a.wav".as_ref());
    settle();
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(fs::read(&path).unwrap(), sound);
    let mut rest = Vec::new();
    before.read_to_end(&mut rest).unwrap();
    assert_eq!(
        rest,
        silence[1000..],
        "the old handle stays with what it has shown"
    );
    assert_eq!(before.metadata().unwrap().ino(), inode);
}

#[test]
fn an_open_of_a_stale_node_finds_the_new_one_unseen() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let old = rig
        .drive
        .add(NodeId::ROOT, "a.wav", Body::File(backing(b"old")));
    let path = rig.path("a.wav");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let new = rig
        .drive
        .add(NodeId::ROOT, "a.wav", Body::File(backing(b"newer")));
    rig.drive.change(old, |node| node.stale = true);
    // No invalidation: the kernel still believes in the old node.
    let opens = rig.drive.count(|counts| &counts.opens);
    assert_eq!(fs::read(&path).unwrap(), b"newer");
    assert_eq!(
        rig.drive.count(|counts| &counts.opens) - opens,
        2,
        "one stale, one good"
    );
    assert_eq!(fs::metadata(&path).unwrap().ino(), new.0);
    // Nothing newer: the error reaches the program.
    rig.drive.change(new, |node| node.stale = true);
    assert_eq!(errno(File::open(&path)), Some(libc::ESTALE));
}

#[test]
fn content_from_a_file_is_read_by_the_kernel_or_kept_by_it() {
    if !fuse_available() {
        return;
    }
    let bytes = pattern(500_000, 11);
    let rig = Rig::with(|options| options.passthrough = false);
    assert_eq!(rig.mounted().passthrough(), Passthrough::NotAsked);
    rig.drive
        .add(NodeId::ROOT, "cached", Body::File(backing(&bytes)));
    rig.drive
        .add(NodeId::ROOT, "direct", Body::Direct(bytes.clone().into()));
    assert_eq!(fs::read(rig.path("cached")).unwrap(), bytes);
    let reads = rig.drive.count(|counts| &counts.reads);
    assert!(reads > 0);
    assert_eq!(fs::read(rig.path("cached")).unwrap(), bytes);
    assert_eq!(
        rig.drive.count(|counts| &counts.reads),
        reads,
        "the second reader is served from the page cache"
    );
    assert_eq!(fs::read(rig.path("direct")).unwrap(), bytes);
    let reads = rig.drive.count(|counts| &counts.reads);
    assert_eq!(fs::read(rig.path("direct")).unwrap(), bytes);
    assert!(
        rig.drive.count(|counts| &counts.reads) > reads,
        "direct content is never cached"
    );
}

#[test]
fn passthrough_asks_the_drive_for_no_byte() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    if rig.mounted().passthrough() != Passthrough::InForce {
        assert!(
            std::env::var_os("MEDIAFS_TEST_WITHOUT_FUSE").is_some(),
            "{}",
            rig.mounted().passthrough()
        );
        eprintln!("NOT RUN: passthrough is {}", rig.mounted().passthrough());
        return;
    }
    let bytes = pattern(500_000, 13);
    rig.drive
        .add(NodeId::ROOT, "a", Body::File(backing(&bytes)));
    assert_eq!(fs::read(rig.path("a")).unwrap(), bytes);
    assert_eq!(rig.drive.count(|counts| &counts.reads), 0);
}

#[test]
fn one_way_of_serving_for_all_handles_of_a_node() {
    if !fuse_available() {
        return;
    }
    for passthrough in [true, false] {
        let rig = Rig::with(|options| options.passthrough = passthrough);
        let bytes = pattern(100_000, 17);
        let node = rig
            .drive
            .add(NodeId::ROOT, "a", Body::File(backing(&bytes)));
        let path = rig.path("a");
        let first = File::open(&path).unwrap();
        // Another descriptor of the same bytes must not become another backing id beside the first.
        rig.drive
            .change(node, |node| node.body = Body::File(backing(&bytes)));
        let second = File::open(&path).unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                let expected = bytes.clone();
                std::thread::spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(fs::read(&path).unwrap(), expected);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        for file in [&first, &second] {
            let mut part = [0; 100];
            file.read_exact_at(&mut part, 5_000).unwrap();
            assert_eq!(part, bytes[5_000..5_100]);
        }
        drop((first, second));
        eventually("all handles are released", || {
            rig.drive.state.lock().handles.is_empty()
        });
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_waiting_read_holds_up_nobody() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::with(|options| options.threads = 1);
    let bytes = pattern(10_000, 19);
    rig.drive
        .add(NodeId::ROOT, "fast", Body::Direct(bytes.clone().into()));
    rig.drive.add(
        NodeId::ROOT,
        "slow",
        Body::Slow(bytes.clone().into(), Duration::from_millis(300)),
    );
    for index in 0..20 {
        rig.drive
            .add(NodeId::ROOT, format!("hung{index}"), Body::Hung);
    }
    let hung: Vec<_> = (0..20)
        .map(|index| {
            let path = rig.path(format!("hung{index}"));
            std::thread::spawn(move || errno(fs::read(path)))
        })
        .collect();
    eventually("all twenty wait", || {
        rig.drive.count(|counts| &counts.reads) >= 20
    });
    assert_eq!(fs::read(rig.path("fast")).unwrap(), bytes);
    assert_eq!(fs::read(rig.path("slow")).unwrap(), bytes);
    assert_eq!(fs::read_dir(rig.path("")).unwrap().count(), 22);
    // The end of the mount answers those that wait.
    drop(rig);
    for thread in hung {
        assert!(thread.join().unwrap().is_some());
    }
}

#[test]
fn a_panic_of_the_drive_is_an_error_of_one_request() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    rig.drive
        .add(NodeId::ROOT, "panic", Body::Direct(bytes::Bytes::new()));
    rig.drive.add(NodeId::ROOT, "panicking", Body::Panicking);
    rig.drive.add(
        NodeId::ROOT,
        "good",
        Body::Direct(bytes::Bytes::from_static(b"good")),
    );
    for _ in 0..10 {
        assert_eq!(errno(fs::metadata(rig.path("panic"))), Some(libc::EIO));
        assert_eq!(errno(fs::read(rig.path("panicking"))), Some(libc::EIO));
    }
    assert_eq!(fs::read(rig.path("good")).unwrap(), b"good");
}

#[test]
fn every_error_of_the_drive_has_its_errno() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let table = [
        (DriveError::NotFound, libc::ENOENT),
        (DriveError::Missing, libc::ENODATA),
        (DriveError::NoMedium, libc::ENOMEDIUM),
        (DriveError::Unreachable, libc::ENETUNREACH),
        (DriveError::TimedOut, libc::ETIMEDOUT),
        (DriveError::NotNow, libc::EAGAIN),
        (DriveError::Busy, libc::EBUSY),
        (DriveError::Stale, libc::ESTALE),
        (DriveError::ReadOnly, libc::EROFS),
        (DriveError::NotPermitted, libc::EACCES),
        (DriveError::NotOwner, libc::EPERM),
        (DriveError::IsFolder, libc::EISDIR),
        (DriveError::NotFolder, libc::ENOTDIR),
        (DriveError::Invalid, libc::EINVAL),
        (DriveError::NoAttribute, libc::ENODATA),
        (DriveError::NotSupported, libc::ENOTSUP),
        (DriveError::NameTooLong, libc::ENAMETOOLONG),
        (DriveError::NoSpace, libc::ENOSPC),
        (DriveError::TooManyOpen, libc::EMFILE),
        (DriveError::Io, libc::EIO),
    ];
    for (error, expected) in table {
        let name = format!("{error:?}");
        rig.drive.add(NodeId::ROOT, &name, Body::Failing(error));
        assert_eq!(
            errno(File::open(rig.path(&name))),
            Some(expected),
            "open: {error:?}"
        );
        let name = format!("read-{error:?}");
        rig.drive.add(NodeId::ROOT, &name, Body::Unreadable(error));
        let file = File::open(rig.path(&name)).unwrap();
        assert_eq!(
            errno(file.read_at(&mut [0; 10], 0)),
            Some(expected),
            "read: {error:?}"
        );
    }
    // The standard library repeats a call that was interrupted, so ask the kernel itself.
    rig.drive.add(
        NodeId::ROOT,
        "interrupted",
        Body::Unreadable(DriveError::Interrupted),
    );
    let file = File::open(rig.path("interrupted")).unwrap();
    assert_eq!(
        rustix::io::pread(&file, &mut [0_u8; 10], 0),
        Err(rustix::io::Errno::INTR)
    );
}

#[test]
fn names_are_found_in_another_case_where_that_does_not_matter() {
    if !fuse_available() {
        return;
    }
    for any_case in [true, false] {
        let rig = Rig::with(|options| options.any_case = any_case);
        let folder = rig.drive.folder(NodeId::ROOT, "Drums");
        let add = |name: &str, text: &str| {
            let body = Body::Direct(text.as_bytes().to_vec().into());
            rig.drive.add(folder, name, body)
        };
        add("Kick \u{e9}.wav", "kick");
        add("kick", "lower");
        add("KICK", "upper");
        let read = |path: &str| fs::read_to_string(rig.path(path)).ok();
        let found = |text: &str| any_case.then(|| text.to_owned());
        assert_eq!(read("DRUMS/KICK \u{c9}.WAV"), found("kick"));
        assert_eq!(read("Drums/KICK E\u{301}.wav"), found("kick"));
        assert_eq!(read("Drums/kick").as_deref(), Some("lower"));
        assert_eq!(read("Drums/KICK").as_deref(), Some("upper"));
        assert_eq!(
            errno(fs::metadata(rig.path("Drums/other"))),
            Some(libc::ENOENT)
        );
        // What is new is found when the drive has told of it.
        add("Snare.wav", "snare");
        rig.drive.kernel.lock().as_ref().unwrap().listing(folder);
        assert_eq!(read("drums/SNARE.wav"), found("snare"));
    }
}

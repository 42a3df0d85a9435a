//! What would change the tree is refused, attributes are kept to `user.`, and what the drive has no answer for
//! the kernel does by itself.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::sync::Arc;

use mediafs_platform::drive::{DriveError, NodeId};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags,
};
use rustix::io::Errno;
use support::{Body, Rig, backing, by_nfs, errno, fuse_available};

#[test]
fn every_change_is_answered_with_the_refusal_of_the_drive() {
    if !fuse_available() {
        return;
    }
    for (refusal, expected) in [
        (DriveError::ReadOnly, Errno::ROFS),
        (DriveError::NotPermitted, Errno::ACCESS),
        (DriveError::NotOwner, Errno::PERM),
    ] {
        let rig = Rig::new();
        *rig.drive.refusal.lock() = refusal;
        rig.drive
            .add(NodeId::ROOT, "a.wav", Body::File(backing(b"sound")));
        rig.drive.folder(NodeId::ROOT, "folder");
        let file = rig.path("a.wav");
        let new = rig.path("new");
        let opened = File::open(&file).unwrap();
        let now = || Timespec {
            tv_sec: 5,
            tv_nsec: 0,
        };
        let leave = || Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        };
        let times = |access, modified| Timestamps {
            last_access: access,
            last_modification: modified,
        };
        let set_times = |times| rustix::fs::utimensat(CWD, &file, &times, AtFlags::empty());
        let open = |flags: OFlags| rustix::fs::open(&file, flags, Mode::empty()).map(drop);
        let outside = tempfile::NamedTempFile::new_in(rig.home.path()).unwrap();
        let answers: Vec<(&str, Result<(), Errno>)> = vec![
            (
                "creat",
                rustix::fs::open(&new, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).map(drop),
            ),
            ("mkdir", rustix::fs::mkdir(&new, Mode::RWXU)),
            (
                "mkfifo",
                rustix::fs::mknodat(CWD, &new, FileType::Fifo, Mode::RUSR, 0),
            ),
            (
                "mknod",
                rustix::fs::mknodat(CWD, &new, FileType::RegularFile, Mode::RUSR, 0),
            ),
            ("symlink", rustix::fs::symlink("x", &new)),
            ("link", rustix::fs::link(&file, &new)),
            ("rename", rustix::fs::rename(&file, &new)),
            (
                "rename to a folder",
                rustix::fs::rename(&file, rig.path("folder/a")),
            ),
            ("unlink", rustix::fs::unlink(&file)),
            ("rmdir", rustix::fs::rmdir(rig.path("folder"))),
            ("open to write", open(OFlags::WRONLY)),
            ("open to read and write", open(OFlags::RDWR)),
            ("open to append", open(OFlags::WRONLY | OFlags::APPEND)),
            ("open to empty", open(OFlags::RDONLY | OFlags::TRUNC)),
            (
                "open or create what is there",
                open(OFlags::RDWR | OFlags::CREATE),
            ),
            ("chmod", rustix::fs::chmod(&file, Mode::RWXU)),
            ("fchmod", rustix::fs::fchmod(&opened, Mode::RWXU)),
            (
                "chown",
                rustix::fs::chown(&file, Some(rustix::fs::Uid::ROOT), None),
            ),
            ("times", set_times(times(now(), now()))),
            ("time of access", set_times(times(now(), leave()))),
            ("time of change", set_times(times(leave(), now()))),
            (
                "setxattr",
                rustix::fs::setxattr(&file, "user.x", b"1", XattrFlags::empty()),
            ),
            (
                "setxattr beside user.",
                rustix::fs::setxattr(&file, "trusted.x", b"1", XattrFlags::empty()),
            ),
            ("removexattr", rustix::fs::removexattr(&file, "user.x")),
            (
                "access",
                rustix::fs::access(&file, rustix::fs::Access::WRITE_OK),
            ),
        ];
        // By NFS a client asks beforehand what is granted, and has a word of its own for what is not.
        let not_opened = match by_nfs() {
            true => Errno::ACCESS,
            false => expected,
        };
        for (call, answer) in answers {
            let expected = match call {
                // NFSv3 has no such attributes.
                "setxattr beside user." if by_nfs() => Errno::NOTSUP,
                "access" | "setxattr" | "removexattr" => not_opened,
                _ if call.starts_with("open") => not_opened,
                _ => expected,
            };
            assert_eq!(answer, Err(expected), "{call}");
        }
        assert_eq!(
            fs::OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&file)
                .err()
                .unwrap()
                .raw_os_error(),
            Some(not_opened.raw_os_error())
        );
        // What needs a writable handle fails before it reaches the drive.
        assert_eq!(rustix::io::write(&opened, b"x"), Err(Errno::BADF));
        assert!(rustix::fs::fallocate(&opened, FallocateFlags::empty(), 0, 10).is_err());
        assert!(rustix::fs::ftruncate(&opened, 1).is_err());
        assert!(
            io::copy(
                &mut File::open(outside.path()).unwrap(),
                &mut OpenOptions::new().read(true).open(&file).unwrap()
            )
            .is_ok_and(|n| n == 0)
        );
        assert_eq!(fs::read(&file).unwrap(), b"sound");
        assert_eq!(fs::read_dir(rig.path("")).unwrap().count(), 2);
        let asked = if by_nfs() { 10 } else { 20 };
        assert!(rig.drive.count(|counts| &counts.refusals) >= asked);
    }
}

#[test]
fn reading_is_accessible_and_syncing_is_harmless() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    rig.drive
        .add(NodeId::ROOT, "a.wav", Body::File(backing(b"sound")));
    let path = rig.path("a.wav");
    rustix::fs::access(&path, rustix::fs::Access::READ_OK).unwrap();
    rustix::fs::access(&path, rustix::fs::Access::EXISTS).unwrap();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOATIME)
        .open(&path)
        .unwrap();
    file.sync_all().unwrap();
    file.sync_data().unwrap();
    File::open(rig.path("")).unwrap().sync_all().unwrap();
    // Holes are told by the kernel itself: the whole file is data.
    assert_eq!(
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(0)),
        Ok(0)
    );
    assert_eq!(
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)),
        Ok(5)
    );
    assert_eq!(rustix::termios::tcgetattr(&file).err(), Some(Errno::NOTTY));
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockShared).unwrap();
    // Executing from the drive is off, whatever the mode says.
    assert_eq!(
        errno(std::process::Command::new(&path).spawn()),
        Some(libc::EACCES)
    );
}

#[test]
fn attributes_are_those_of_the_drive_and_others_never_reach_it() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let node = rig
        .drive
        .add(NodeId::ROOT, "a.wav", Body::File(backing(b"sound")));
    let large = vec![b'x'; 5_000];
    rig.drive.state.lock().xattrs.insert(
        node,
        [
            ("user.mediafs.id", b"abc".to_vec()),
            ("user.mediafs.large", large.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (OsString::from(name), value))
        .collect(),
    );
    let path = rig.path("a.wav");
    let get = |name: &str, room: usize| {
        let mut value = vec![0; room];
        rustix::fs::getxattr(&path, name, &mut value[..]).map(|length| {
            value.truncate(length);
            value
        })
    };
    assert_eq!(get("user.mediafs.id", 100), Ok(b"abc".to_vec()));
    assert_eq!(get("user.mediafs.id", 3), Ok(b"abc".to_vec()));
    assert_eq!(get("user.mediafs.id", 2), Err(Errno::RANGE));
    assert_eq!(get("user.mediafs.large", 5_000), Ok(large));
    assert_eq!(get("user.other", 100), Err(Errno::NODATA));
    let asked = rig.drive.count(|counts| &counts.xattrs);
    for name in [
        "security.selinux",
        "security.capability",
        "system.posix_acl_access",
        "trusted.overlay.x",
        "security.ima",
    ] {
        assert_eq!(get(name, 100), Err(Errno::OPNOTSUPP), "{name}");
    }
    assert_eq!(
        rig.drive.count(|counts| &counts.xattrs),
        asked,
        "the drive is not asked"
    );
    let mut names = vec![0; 1000];
    let length = rustix::fs::listxattr(&path, &mut names[..]).unwrap();
    assert_eq!(&names[..length], b"user.mediafs.id\0user.mediafs.large\0");
    assert_eq!(
        rustix::fs::listxattr(&path, &mut [0_u8; 5][..]),
        Err(Errno::RANGE)
    );
}

#[test]
fn the_mode_of_the_mount_point_is_that_of_the_drive() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let mode = fs::metadata(rig.path("")).unwrap().permissions();
    assert_eq!(mode, Permissions::from_mode(0o040_755));
    assert!(
        !rig.path(OsStr::new(mediafs_platform::mount::NOTE_NAME))
            .exists()
    );
    assert!(
        Arc::strong_count(&rig.drive) > 1,
        "the mount holds the drive"
    );
}

//! The end of a mount: wanted, by others, and by `kill -9`; and the start after it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs_platform::drive::NodeId;
use mediafs_platform::mount::{
    Ended, MountError, MountOptions, NOTE_NAME, Passthrough, Unmounted, mount,
};
use mediafs_platform::volume::MountTable;
use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::UnmountFlags;
use support::{
    Body, MemoryDrive, Rig, backing, errno, eventually, fuse_available, pattern, root_available,
};

/// The user that has no privileges anywhere.
const NOBODY: u32 = 65534;
/// What bounded unmounting may take beyond its grace.
const SLACK: Duration = Duration::from_secs(4);

/// The content of `sound.wav` in the mounts of other processes.
fn sound() -> Vec<u8> {
    pattern(3_000_000, 23)
}

fn is_mounted(path: &Path) -> bool {
    MountTable::read().unwrap().at(path).is_some()
}

/// Runs one of the ignored tests below in a process of its own.
fn start_other(role: &str, mountpoint: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "--nocapture", role])
        .env("MEDIAFS_TEST_MOUNTPOINT", mountpoint);
    command
}

/// Another process that has mounted. It is killed and its mount removed whatever the test does.
struct OtherDaemon {
    child: Child,
    mountpoint: PathBuf,
}

impl OtherDaemon {
    fn start(mountpoint: &Path) -> Self {
        let child = start_other("other_daemon", mountpoint)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut this = Self {
            child,
            mountpoint: mountpoint.to_owned(),
        };
        let lines = BufReader::new(this.child.stdout.take().unwrap()).lines();
        assert!(
            lines
                .map_while(Result::ok)
                .any(|line| line.contains("ready")),
            "the other daemon did not start"
        );
        this.mountpoint = fs::canonicalize(mountpoint).unwrap();
        this
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for OtherDaemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        while MountTable::read().is_ok_and(|table| table.at(&self.mountpoint).is_some()) {
            if rustix::mount::unmount(&self.mountpoint, UnmountFlags::DETACH).is_err() {
                break;
            }
        }
    }
}

#[test]
#[ignore = "run by other tests, in a process of its own"]
fn other_daemon() {
    let Some(mountpoint) = std::env::var_os("MEDIAFS_TEST_MOUNTPOINT") else {
        return;
    };
    let drive = MemoryDrive::new();
    drive.add(NodeId::ROOT, "sound.wav", Body::File(backing(&sound())));
    drive.add(NodeId::ROOT, "direct.wav", Body::Direct(sound().into()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mounted = mount(
        drive,
        &MountOptions::new(mountpoint),
        runtime.handle().clone(),
    )
    .unwrap();
    println!("ready");
    // The test ends this process.
    let _ = mounted.wait_for(Duration::from_secs(120));
}

#[test]
fn an_unused_mount_ends_cleanly_and_leaves_a_note() {
    if !fuse_available() {
        return;
    }
    let mut rig = Rig::new();
    rig.drive.add(NodeId::ROOT, "a", Body::File(backing(b"a")));
    assert_eq!(fs::read(rig.path("a")).unwrap(), b"a");
    let mounted = rig.mounted.take().unwrap();
    assert_eq!(mounted.has_ended(), None);
    assert_eq!(mounted.unmount(Duration::from_secs(5)), Unmounted::Clean);
    assert_eq!(mounted.has_ended(), Some(Ended::Unmounted));
    assert_eq!(mounted.wait(), Ended::Unmounted);
    assert_eq!(rig.runtime.block_on(mounted.ended()), Ended::Unmounted);
    assert_eq!(mounted.unmount(Duration::from_secs(5)), Unmounted::Already);
    let path = mounted.path();
    assert!(!is_mounted(path));
    assert_eq!(
        fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o555
    );
    assert!(
        fs::read_to_string(path.join(NOTE_NAME))
            .unwrap()
            .contains("mediafs mount")
    );
    eventually("the drive is let go", || {
        Arc::strong_count(&rig.drive) == 1 || rig.drive.kernel.lock().is_some()
    });
    // The same place again.
    let again = mount(
        rig.drive.clone(),
        &MountOptions::new(path),
        rig.runtime.handle().clone(),
    )
    .unwrap();
    assert_eq!(fs::read(again.path().join("a")).unwrap(), b"a");
}

#[test]
fn unmounting_waits_for_programs_within_its_grace() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    rig.drive.add(NodeId::ROOT, "a", Body::File(backing(b"a")));
    let file = File::open(rig.path("a")).unwrap();
    let closer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(file);
    });
    assert_eq!(
        rig.mounted().unmount(Duration::from_secs(20)),
        Unmounted::Clean
    );
    closer.join().unwrap();
}

#[test]
fn unmounting_is_bounded_with_reads_that_hang_and_files_that_stay_open() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    let bytes = pattern(2_000_000, 29);
    rig.drive.add(NodeId::ROOT, "hung", Body::Hung);
    rig.drive
        .add(NodeId::ROOT, "passed", Body::File(backing(&bytes)));
    rig.drive
        .add(NodeId::ROOT, "direct", Body::Direct(bytes.clone().into()));
    let hung = rig.path("hung");
    let reader = std::thread::spawn(move || errno(fs::read(hung)));
    let passed = File::open(rig.path("passed")).unwrap();
    let direct = File::open(rig.path("direct")).unwrap();
    eventually("the read hangs", || {
        rig.drive.count(|counts| &counts.reads) > 0
    });
    let grace = Duration::from_millis(300);
    let begun = Instant::now();
    let outcome = rig.mounted().unmount(grace);
    assert!(
        begun.elapsed() < grace + SLACK,
        "took {:?}",
        begun.elapsed()
    );
    assert_eq!(outcome, Unmounted::Aborted);
    assert!(
        reader.join().unwrap().is_some(),
        "the hung read got an error"
    );
    assert!(!is_mounted(rig.mounted().path()));
    let mut part = vec![0; 1000];
    assert!(direct.read_at(&mut part, 0).is_err());
    if rig.mounted().passthrough() == Passthrough::InForce {
        passed.read_exact_at(&mut part, 1_900_000).unwrap();
        assert_eq!(part, bytes[1_900_000..1_901_000], "passthrough reads on");
    }
}

#[test]
fn unmounting_from_outside_ends_the_wait() {
    if !fuse_available() {
        return;
    }
    for lazily in [false, true] {
        let rig = Rig::new();
        rig.drive.add(NodeId::ROOT, "a", Body::File(backing(b"a")));
        let path = rig.mounted().path().to_owned();
        let held = lazily.then(|| File::open(rig.path("a")).unwrap());
        assert_eq!(rig.mounted().wait_for(Duration::from_millis(50)), None);
        let status = Command::new("fusermount3")
            .arg(if lazily { "-uz" } else { "-u" })
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        if let Some(held) = held {
            assert_eq!(
                rig.mounted().wait_for(Duration::from_millis(100)),
                None,
                "a file is still open"
            );
            drop(held);
        }
        let waited = rig.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(10), rig.mounted().ended()).await
        });
        assert_eq!(waited.unwrap(), Ended::Unmounted);
        assert_eq!(rig.mounted().unmount(Duration::ZERO), Unmounted::Already);
    }
}

#[test]
fn a_connection_that_is_cut_from_outside_leaves_nothing_in_the_tree() {
    if !fuse_available() || !root_available() {
        return;
    }
    let rig = Rig::new();
    rig.drive.add(
        NodeId::ROOT,
        "a",
        Body::Direct(bytes::Bytes::from_static(b"a")),
    );
    let held = File::open(rig.path("a")).unwrap();
    let path = rig.mounted().path().to_owned();
    assert_eq!(
        rustix::mount::unmount(&path, UnmountFlags::FORCE),
        Err(rustix::io::Errno::BUSY)
    );
    assert_eq!(
        rig.mounted().wait_for(Duration::from_secs(10)),
        Some(Ended::Unmounted)
    );
    assert!(!is_mounted(&path));
    assert_eq!(errno(held.read_at(&mut [0; 1], 0)), Some(libc::ENOTCONN));
}

#[test]
fn a_mount_over_ours_is_not_taken_away() {
    if !fuse_available() || !root_available() {
        return;
    }
    let rig = Rig::new();
    let path = rig.mounted().path().to_owned();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("other", &path, "tmpfs", flags, None).unwrap();
    fs::write(path.join("theirs"), "x").unwrap();
    let outcome = rig.mounted().unmount(Duration::ZERO);
    let left = fs::read_to_string(path.join("theirs"));
    rustix::mount::unmount(&path, UnmountFlags::DETACH).unwrap();
    assert_eq!(left.unwrap(), "x", "{outcome:?}");
    if outcome == Unmounted::LeftBehind {
        assert_ne!(rig.mounted().unmount(Duration::ZERO), Unmounted::LeftBehind);
    }
    eventually("it ends", || rig.mounted().has_ended().is_some());
}

#[test]
fn a_living_mount_is_left_alone() {
    if !fuse_available() {
        return;
    }
    let rig = Rig::new();
    rig.drive.add(NodeId::ROOT, "a", Body::File(backing(b"a")));
    let second = mount(
        MemoryDrive::new(),
        &MountOptions::new(rig.path("")),
        rig.runtime.handle().clone(),
    );
    assert!(
        matches!(second, Err(MountError::AlreadyMounted { .. })),
        "{second:?}"
    );
    assert_eq!(fs::read(rig.path("a")).unwrap(), b"a");
}

#[test]
fn a_stopped_daemon_is_neither_replaced_nor_waited_for() {
    if !fuse_available() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mountpoint = home.path().join("Media");
    let other = OtherDaemon::start(&mountpoint);
    let pid = rustix::process::Pid::from_child(&other.child);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let threads = format!("/proc/{}/task", other.child.id());
    eventually("every thread of it has stopped", || {
        fs::read_dir(&threads).unwrap().all(|thread| {
            let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
            stat.rsplit(") ")
                .next()
                .is_some_and(|state| state.starts_with('T'))
        })
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let begun = Instant::now();
    let second = mount(
        MemoryDrive::new(),
        &MountOptions::new(&mountpoint),
        runtime.handle().clone(),
    );
    assert!(
        matches!(second, Err(MountError::NotAnswering { .. })),
        "{second:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
}

#[test]
fn after_kill_the_dead_mount_is_replaced_and_passthrough_reads_on() {
    if !fuse_available() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mountpoint = home.path().join("Media");
    let mut other = OtherDaemon::start(&mountpoint);
    let expected = sound();
    let held = File::open(mountpoint.join("sound.wav")).unwrap();
    let direct = File::open(mountpoint.join("direct.wav")).unwrap();
    let mut part = vec![0; 4096];
    held.read_exact_at(&mut part, 0).unwrap();
    assert_eq!(part, expected[..4096]);
    other.kill();
    assert_eq!(
        errno(fs::read_dir(&mountpoint)),
        Some(libc::ENOTCONN),
        "the mount is dead"
    );

    let drive = MemoryDrive::new();
    drive.add(NodeId::ROOT, "sound.wav", Body::File(backing(b"new")));
    let rig = Rig::of(drive, |options| options.mountpoint.clone_from(&mountpoint));
    assert_eq!(fs::read(mountpoint.join("sound.wav")).unwrap(), b"new");
    if rig.mounted().passthrough() == Passthrough::InForce {
        for offset in [2_999_000_u64, 4096, 1_234_567] {
            let mut part = vec![0; 1000];
            held.read_exact_at(&mut part, offset).unwrap();
            assert_eq!(part, expected[offset as usize..][..1000], "at {offset}");
        }
    }
    assert_eq!(errno(direct.read_at(&mut part, 0)), Some(libc::ENOTCONN));
    drop(rig);
    assert!(
        !is_mounted(&other.mountpoint),
        "nothing of the dead one is left beneath"
    );
}

#[test]
fn several_dead_mounts_upon_each_other_are_all_cleared() {
    if !fuse_available() || !root_available() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mountpoint = home.path().join("Media");
    let mut other = OtherDaemon::start(&mountpoint);
    // The same dead file system, bound upon itself twice.
    for _ in 0..2 {
        rustix::mount::mount_bind(&mountpoint, &mountpoint).unwrap();
    }
    other.kill();
    let rig = Rig::of(MemoryDrive::new(), |options| {
        options.mountpoint.clone_from(&mountpoint)
    });
    assert_eq!(fs::read_dir(&mountpoint).unwrap().count(), 0);
    let path = rig.mounted().path().to_owned();
    drop(rig);
    assert!(!is_mounted(&path));
    drop(other);
}

#[test]
#[ignore = "run by another test, as another user"]
fn unprivileged_daemon() {
    let Some(mountpoint) = std::env::var_os("MEDIAFS_TEST_MOUNTPOINT").map(PathBuf::from) else {
        return;
    };
    assert!(!rustix::process::geteuid().is_root());
    let drive = MemoryDrive::new();
    let expected = sound();
    drive.add(NodeId::ROOT, "sound.wav", Body::File(backing(&expected)));
    drive.add(NodeId::ROOT, "hung", Body::Hung);
    for index in 0..500 {
        let node = drive.add(
            NodeId::ROOT,
            format!("listed{index}"),
            Body::Direct(bytes::Bytes::new()),
        );
        drive.change(node, |node| node.listed_whole = index % 2 == 0);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for _ in 0..2 {
        let options = MountOptions::new(&mountpoint);
        let mounted = mount(drive.clone(), &options, runtime.handle().clone()).unwrap();
        assert_eq!(mounted.passthrough(), Passthrough::NotPermitted);
        assert_eq!(fs::read(mountpoint.join("sound.wav")).unwrap(), expected);
        assert_eq!(fs::read_dir(&mountpoint).unwrap().count(), 502);
        assert_eq!(mounted.unmount(Duration::from_secs(5)), Unmounted::Clean);
        assert_eq!(
            fs::metadata(&mountpoint).unwrap().permissions().mode() & 0o777,
            0o555
        );
        assert_eq!(
            errno(File::create(mountpoint.join("take.wav"))),
            Some(libc::EACCES)
        );
        assert!(mountpoint.join(NOTE_NAME).exists());
    }
    let mounted = mount(
        drive,
        &MountOptions::new(&mountpoint),
        runtime.handle().clone(),
    )
    .unwrap();
    let hung = mountpoint.join("hung");
    let held = File::open(mountpoint.join("sound.wav")).unwrap();
    let reader = std::thread::spawn(move || errno(fs::read(hung)));
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    // The kernel's control files let the owner of a mount cut it.
    assert_eq!(
        mounted.unmount(Duration::from_millis(200)),
        Unmounted::Aborted
    );
    assert!(begun.elapsed() < SLACK, "took {:?}", begun.elapsed());
    assert!(reader.join().unwrap().is_some());
    assert!(held.read_at(&mut [0; 10], 2_999_990).is_err());
    println!("all well");
}

#[test]
fn a_user_without_privileges_mounts_through_the_helper() {
    if !fuse_available() || !root_available() {
        return;
    }
    // Not in a folder that only root may enter.
    let home = tempfile::Builder::new()
        .prefix("mediafs-user")
        .tempdir_in("/tmp")
        .unwrap();
    chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mountpoint = home.path().join("Media");
    // Systems with udev let everybody use /dev/fuse; where it is for root alone, the child sees one of its own.
    let device = home.path().join("fuse");
    let everybody = Mode::from_raw_mode(0o666);
    let number = rustix::fs::makedev(10, 229);
    rustix::fs::mknodat(CWD, &device, FileType::CharacterDevice, everybody, number).unwrap();
    rustix::fs::chmod(&device, everybody).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(
            "mount --bind \"$1\" /dev/fuse && mount -t fusectl none /sys/fs/fuse/connections && exec setpriv --reuid \"$2\" --regid \"$2\" --clear-groups \"$3\" \
             --ignored --exact --nocapture unprivileged_daemon",
        )
        .arg("sh")
        .arg(&device)
        .arg(NOBODY.to_string())
        .arg(&program)
        .env("MEDIAFS_TEST_MOUNTPOINT", &mountpoint)
        .env("TMPDIR", home.path())
        .current_dir(home.path())
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("all well"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

//! Volumes as they are: file systems on loop devices, mounted, moved, copied and made anew.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mediafs_platform::volume::{
    Bus, Classifier, DeclaredTrusted, DeviceNumber, Identified, Likeness, MountEntry, MountTable,
    MountWatch, StorageSort, VolumeIdentity, identify, identity_from_table,
};
use support::{errno, eventually, root_available};

/// A kind of file system to test with.
struct Kind {
    fs_type: &'static str,
    make: &'static [&'static str],
    /// How it is named to `mount`.
    mount_type: &'static str,
    /// What a copy beside its original needs.
    beside: &'static str,
    mebibytes: u64,
}

const KINDS: &[Kind] = &[
    Kind {
        fs_type: "ext4",
        make: &["mkfs.ext4", "-q", "-F", "-L", "SOUNDS"],
        mount_type: "ext4",
        beside: "rw",
        mebibytes: 16,
    },
    Kind {
        fs_type: "xfs",
        make: &["mkfs.xfs", "-q", "-f", "-L", "SOUNDS"],
        mount_type: "xfs",
        beside: "nouuid",
        mebibytes: 320,
    },
    Kind {
        fs_type: "btrfs",
        make: &["mkfs.btrfs", "-q", "-f", "-L", "SOUNDS"],
        mount_type: "btrfs",
        beside: "rw",
        mebibytes: 128,
    },
    Kind {
        fs_type: "fuseblk",
        make: &["mkfs.ntfs", "-Q", "-q", "-F", "-L", "SOUNDS"],
        mount_type: "ntfs-3g",
        beside: "rw",
        mebibytes: 16,
    },
    Kind {
        fs_type: "vfat",
        make: &["mkfs.vfat", "-n", "SOUNDS"],
        mount_type: "vfat",
        beside: "rw",
        mebibytes: 16,
    },
    Kind {
        fs_type: "exfat",
        make: &["mkfs.exfat", "-L", "SOUNDS"],
        mount_type: "exfat",
        beside: "rw",
        mebibytes: 16,
    },
    Kind {
        fs_type: "f2fs",
        make: &["mkfs.f2fs", "-q", "-f", "-l", "SOUNDS"],
        mount_type: "f2fs",
        beside: "rw",
        mebibytes: 64,
    },
];

impl Kind {
    fn make(&self, image: &Path) {
        let file = File::options().create(true).append(true).open(image);
        file.unwrap().set_len(self.mebibytes << 20).unwrap();
        let [program, arguments @ ..] = self.make else {
            panic!("nothing makes {}", self.fs_type);
        };
        run(Command::new(program).args(arguments).arg(image));
    }

    /// Can it be mounted here? A kernel may lack it; then the device alone is looked at.
    fn mountable(&self) -> bool {
        let known = fs::read_to_string("/proc/filesystems").unwrap();
        let known = known
            .lines()
            .any(|line| line.split_whitespace().last() == Some(self.fs_type));
        if !known {
            eprintln!("NOT MOUNTED: this kernel has no {}", self.fs_type);
        }
        known
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A loop device, given back whatever happens.
struct Disk {
    device: PathBuf,
}

impl Disk {
    fn of(image: &Path) -> Self {
        Self::with(image, &[])
    }

    fn with(image: &Path, options: &[&str]) -> Self {
        let mut losetup = Command::new("losetup");
        let losetup = losetup.args(["--find", "--show"]).args(options);
        let device = run(losetup.arg(image));
        Self {
            device: PathBuf::from(device),
        }
    }

    fn number(&self) -> DeviceNumber {
        let number = fs::metadata(&self.device).unwrap().rdev();
        DeviceNumber {
            major: rustix::fs::major(number),
            minor: rustix::fs::minor(number),
        }
    }

    /// As if it were mounted, for a kernel that can't.
    fn as_if_mounted(&self, fs_type: &str, at: &Path) -> MountEntry {
        let table = MountTable::read().unwrap();
        let mut entry = table.holding(at).unwrap().clone();
        entry.device = self.number();
        entry.mount_point = at.to_owned();
        entry.fs_type = fs_type.to_owned();
        entry.source = OsString::from(&self.device);
        entry
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
    }
}

/// A mount, taken away whatever happens.
struct Mount {
    at: PathBuf,
}

impl Mount {
    fn new(kind: &str, options: &str, source: &Path, at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        run(mount.args(["-t", kind, "-o", options]).arg(source).arg(at));
        Self { at: at.to_owned() }
    }

    fn entry(&self) -> MountEntry {
        MountTable::read().unwrap().at(&self.at).unwrap().clone()
    }

    fn identify(&self) -> Identified {
        identify(&self.entry()).unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(&self.at).status();
        if !gone.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        }
    }
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(name)
    }
}

fn same(one: &VolumeIdentity, other: &VolumeIdentity) -> bool {
    let kept: VolumeIdentity = one.to_string().parse().unwrap();
    assert_eq!(&kept, one);
    kept.compare(other) == Likeness::Same
}

#[test]
fn a_volume_is_known_again_wherever_it_is_mounted() {
    if !root_available() {
        return;
    }
    for kind in KINDS {
        let bench = Bench::new();
        let (image, clone) = (bench.path("image"), bench.path("clone"));
        kind.make(&image);
        fs::copy(&image, &clone).unwrap();
        let name = kind.fs_type;
        let size = kind.mebibytes << 20;
        let first;
        if kind.mountable() {
            let disk = Disk::of(&image);
            let mount = Mount::new(kind.mount_type, "rw", &disk.device, &bench.path("one"));
            assert_eq!(mount.entry().fs_type, name);
            first = mount.identify();
            fs::write(mount.at.join("kick.wav"), "boom").unwrap();
            // A clone beside its original: the layer above has to tell them apart.
            let other = Disk::of(&clone);
            let beside = Mount::new(
                kind.mount_type,
                kind.beside,
                &other.device,
                &bench.path("clone of one"),
            );
            let twin = beside.identify();
            assert!(same(&first.identity, &twin.identity), "{name}: {twin:?}");
            drop((beside, other, mount));
            // Another device number, another place, read-only.
            let _in_between = Disk::of(&clone);
            drop(disk);
            let disk = Disk::of(&image);
            let mount = Mount::new(
                kind.mount_type,
                "ro",
                &disk.device,
                &bench.path("else where"),
            );
            let second = mount.identify();
            assert!(
                same(&first.identity, &second.identity),
                "{name}: {second:?}"
            );
            assert!(second.read_only, "{name}");
            assert_eq!(identity_from_table(&mount.entry()), None, "{name}");
        } else {
            let disk = Disk::of(&image);
            first = identify(&disk.as_if_mounted(name, &bench.path(""))).unwrap();
            let other = Disk::of(&clone);
            let twin = identify(&other.as_if_mounted(name, &bench.path(""))).unwrap();
            assert!(same(&first.identity, &twin.identity), "{name}: {twin:?}");
        }
        assert_eq!(first.label.as_deref(), Some("SOUNDS"), "{name}");
        assert_eq!((first.size, first.read_only), (size, false), "{name}");
        let VolumeIdentity::Disk(told) = &first.identity else {
            panic!("{name} is a disk");
        };
        let expected = run(Command::new("blkid")
            .args(["-p", "-o", "value", "-s", "UUID"])
            .arg(&image));
        assert_eq!(told.file_system.as_deref(), Some(&*expected), "{name}");

        if ["fuseblk", "vfat", "exfat"].contains(&name) {
            // Their numbers are made of the time, in seconds.
            std::thread::sleep(Duration::from_millis(1100));
        }
        kind.make(&image);
        let disk = Disk::of(&image);
        let again = if kind.mountable() {
            let mount = Mount::new(kind.mount_type, "rw", &disk.device, &bench.path("one"));
            mount.identify()
        } else {
            identify(&disk.as_if_mounted(name, &bench.path(""))).unwrap()
        };
        let likeness = first.identity.compare(&again.identity);
        assert_eq!(likeness, Likeness::Other, "{name}: {again:?}");
    }
}

#[test]
fn without_privilege_the_kernel_tells_or_the_identity_stays_open() {
    if !root_available() {
        return;
    }
    for kind in KINDS {
        let bench = Bench::new();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(bench.folder.path(), everybody).unwrap();
        let image = bench.path("image");
        kind.make(&image);
        let disk = Disk::of(&image);
        let mount = kind
            .mountable()
            .then(|| Mount::new(kind.mount_type, "rw", &disk.device, &bench.path("one")));
        let entry = match &mount {
            Some(mount) => mount.entry(),
            None => disk.as_if_mounted(kind.fs_type, &bench.path("")),
        };
        let by_root = identify(&entry).unwrap();
        // A thread of its own, which ends as the user that it has become.
        let told = std::thread::scope(|scope| {
            let as_somebody = || {
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65_533)).unwrap();
                assert!(
                    File::open(&disk.device).is_err(),
                    "the disk is closed to it"
                );
                identify(&entry).unwrap()
            };
            scope.spawn(as_somebody).join().unwrap()
        });
        let likeness = by_root.identity.compare(&told.identity);
        if mount.is_some() && ["ext4", "xfs", "btrfs"].contains(&kind.fs_type) {
            assert_eq!(told, by_root);
        } else {
            // Unless udev runs, which has noted it.
            let VolumeIdentity::Disk(disk) = &told.identity else {
                panic!("a disk");
            };
            match disk.file_system {
                Some(_) => assert_eq!(likeness, Likeness::Same),
                None => assert_eq!(likeness, Likeness::Perhaps),
            }
            assert_eq!(told.size, by_root.size);
        }
    }
}

#[test]
fn parts_of_a_volume_are_that_volume() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let image = bench.path("image");
    let kind = KINDS.iter().find(|kind| kind.fs_type == "btrfs").unwrap();
    kind.make(&image);
    let disk = Disk::of(&image);
    let whole = Mount::new("btrfs", "rw", &disk.device, &bench.path("whole"));
    run(Command::new("btrfs")
        .args(["-q", "subvolume", "create"])
        .arg(whole.at.join("takes")));
    fs::create_dir(whole.at.join("folder")).unwrap();
    let subvolume = Mount::new("btrfs", "subvol=takes", &disk.device, &bench.path("takes"));
    let at = bench.path("bound");
    fs::create_dir(&at).unwrap();
    run(Command::new("mount")
        .arg("--bind")
        .arg(whole.at.join("folder"))
        .arg(&at));
    let bound = Mount { at };
    for (part, root) in [(&subvolume, "/takes"), (&bound, "/folder")] {
        assert_eq!(part.entry().root, Path::new(root));
        let (part, whole) = (part.identify(), whole.identify());
        assert!(same(&part.identity, &whole.identity), "{part:?} {whole:?}");
    }
}

#[test]
fn a_partition_has_an_identity_of_its_own() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let image = bench.path("image");
    // A table as on most sticks: a number for the disk, and one partition from 1 MiB on.
    let mut table = [0_u8; 512];
    table[0x1b8..0x1bc].copy_from_slice(&0xcafe_0001_u32.to_le_bytes());
    table[0x1c2] = 0x83;
    table[0x1c6..0x1ca].copy_from_slice(&2048_u32.to_le_bytes());
    table[0x1ca..0x1ce].copy_from_slice(&65536_u32.to_le_bytes());
    table[0x1fe..].copy_from_slice(&[0x55, 0xaa]);
    let mut file = File::create(&image).unwrap();
    file.write_all(&table).unwrap();
    file.set_len(64 << 20).unwrap();
    let disk = Disk::with(&image, &["--partscan"]);
    let mut name = disk.device.clone().into_os_string();
    name.push("p1");
    let partition = PathBuf::from(name);
    if !partition.exists() {
        eprintln!(
            "NOT RUN: that the UUID of a partition is told; this kernel reads no partition tables"
        );
        let mut addpart = Command::new("addpart");
        run(addpart.arg(&disk.device).args(["1", "2048", "65536"]));
    }
    eventually("the partition is there", || partition.exists());
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&partition));
    let mount = Mount::new("ext4", "rw", &partition, &bench.path("part"));
    let identified = mount.identify();
    assert_eq!(identified.size, 32 << 20);
    assert_eq!(identified.label.as_deref(), Some("part"));
    let VolumeIdentity::Disk(told) = &identified.identity else {
        panic!("a disk");
    };
    // Linux tells it from 6.10 on; udev, which would before, can't be run by a test.
    let uevent = Path::new("/sys/class/block").join(partition.file_name().unwrap());
    let uevent = fs::read_to_string(uevent.join("uevent")).unwrap();
    if !uevent.contains("PARTUUID=") {
        eprintln!("NOT RUN: that the UUID of a partition is told; this kernel does not tell it");
        assert_eq!(told.partition, None);
        return;
    }
    assert_eq!(told.partition.as_deref(), Some("cafe0001-01"));
}

#[test]
fn another_mount_at_the_same_place_is_not_asked() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let image = bench.path("image");
    KINDS[0].make(&image);
    let disk = Disk::of(&image);
    let mount = Mount::new("ext4", "rw", &disk.device, &bench.path("one"));
    let entry = mount.entry();
    let cover = Mount::new("tmpfs", "rw", Path::new("none"), &mount.at);
    let error = identify(&entry).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    drop(cover);
    identify(&entry).unwrap();
    drop(mount);
    assert!(identify(&entry).is_err());
}

#[test]
fn an_image_is_removable_unless_it_is_declared_trusted() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let image = bench.path("image");
    KINDS[0].make(&image);
    let disk = Disk::of(&image);
    let mount = Mount::new("ext4", "rw", &disk.device, &bench.path("one"));
    let sort = |devices: Vec<PathBuf>| {
        let declared = DeclaredTrusted {
            devices,
            ..DeclaredTrusted::default()
        };
        Classifier::read(declared).unwrap().sort(&mount.entry())
    };
    assert_eq!(sort(Vec::new()), StorageSort::Removable(Bus::Loop));
    assert_eq!(sort(vec![disk.device.clone()]), StorageSort::Local);
}

#[test]
fn mounts_are_told_soon_and_once_until_the_watch_is_dropped() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let at = fs::canonicalize(bench.folder.path())
        .unwrap()
        .join("memory");
    let (send, told) = std::sync::mpsc::channel();
    let place = at.clone();
    let watch = MountWatch::start(move |table| {
        let _ = send.send((table.at(&place).is_some(), Instant::now()));
    })
    .unwrap();
    // Others may mount things while this runs, so calls that tell of nothing new are passed over.
    let next = |expected: bool| {
        let since = Instant::now();
        loop {
            let (there, when) = told.recv_timeout(Duration::from_secs(5)).unwrap();
            if there == expected {
                let late = when.saturating_duration_since(since);
                assert!(late < Duration::from_secs(2), "told after {late:?}");
                return;
            }
        }
    };
    let mount = Mount::new("tmpfs", "rw", Path::new("none"), &at);
    next(true);
    drop(mount);
    next(false);
    let before = Instant::now();
    drop(watch);
    assert!(before.elapsed() < Duration::from_secs(2), "ends promptly");
    let _again = Mount::new("tmpfs", "rw", Path::new("none"), &at);
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        !told.try_iter().any(|(there, _)| there),
        "told after its end"
    );
}

#[test]
fn changes_that_follow_each_other_are_told_together() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let home = fs::canonicalize(bench.folder.path()).unwrap();
    let (send, told) = std::sync::mpsc::channel();
    let watch = MountWatch::start(move |table| {
        let here = |entry: &&MountEntry| entry.mount_point.starts_with(&home);
        let _ = send.send(table.entries().iter().filter(here).count());
    })
    .unwrap();
    let begun = Instant::now();
    let mounts: Vec<Mount> = (0..20)
        .map(|number| {
            let at = bench.path(&number.to_string());
            fs::create_dir_all(&at).unwrap();
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount(c"none", &at, c"tmpfs", flags, None).unwrap();
            Mount { at }
        })
        .collect();
    let took = begun.elapsed();
    let mut calls = 0;
    while told.recv_timeout(Duration::from_secs(5)).unwrap() != mounts.len() {
        calls += 1;
    }
    // One call for each 150 ms at most, and some for what others mount meanwhile.
    let most = took.as_millis() / 25 + 10;
    assert!(calls < most.min(15), "{calls} calls in {took:?}");
    drop(watch);
}

#[test]
fn a_watch_can_be_dropped_by_its_own_call() {
    if !root_available() {
        return;
    }
    let bench = Bench::new();
    let kept: std::sync::Arc<parking_lot::Mutex<Option<MountWatch>>> = std::sync::Arc::default();
    let (send, ended) = std::sync::mpsc::channel();
    let inner = std::sync::Arc::clone(&kept);
    let mut slot = kept.lock();
    *slot = Some(
        MountWatch::start(move |_| {
            drop(inner.lock().take());
            let _ = send.send(());
        })
        .unwrap(),
    );
    drop(slot);
    let _mount = Mount::new("tmpfs", "rw", Path::new("none"), &bench.path("memory"));
    ended.recv_timeout(Duration::from_secs(5)).unwrap();
    // Nothing holds the other end any more once the thread has ended.
    eventually("the thread ends", || {
        matches!(
            ended.try_recv(),
            Err(std::sync::mpsc::TryRecvError::Disconnected)
        )
    });
    assert!(kept.lock().is_none());
}

#[test]
fn a_program_is_told_by_the_table_even_if_it_hangs() {
    if !support::fuse_available() {
        return;
    }
    let drive = support::MemoryDrive::new();
    let rig = support::Rig::of(drive, |options| options.name = "nas:/sounds".to_owned());
    let table = MountTable::read().unwrap();
    let mut entry = table.at(rig.mounted().path()).unwrap().clone();
    assert_eq!(identity_from_table(&entry), None, "our own drive");
    entry.fs_type = "fuse.sshfs".to_owned();
    let identity = identity_from_table(&entry).unwrap();
    assert_eq!(
        identity.to_string(),
        "mount:type=fuse.sshfs,source=nas:/sounds"
    );
    assert_eq!(errno(identify(&entry)), None, "refused without an errno");
}

//! Volumes as they are: file systems on loop devices, mounted, moved, copied and made anew.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mediafs_platform::volume::{
    Bus, Classifier, DeclaredTrusted, Likeness, MountTable, StorageSort, VolumeIdentity, identify,
    identity_from_table,
};
use support::disks::{Bench, Disk, Mount, run};
use support::{eventually, root_available};

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

/// A program's file system, ended and taken away whatever happens.
struct Program {
    child: std::process::Child,
    mount: Mount,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_programs_file_system_is_told_while_it_hangs() {
    if !support::fuse_available() || !root_available() {
        return;
    }
    let bench = Bench::new();
    let (own, shown) = (bench.path("own"), bench.path("shown"));
    fs::create_dir(&own).unwrap();
    fs::create_dir(&shown).unwrap();
    let mut bindfs = Command::new("bindfs");
    let program = Program {
        child: bindfs.arg("-f").arg(&own).arg(&shown).spawn().unwrap(),
        mount: Mount { at: shown },
    };
    let at = program.mount.at.clone();
    eventually("it is mounted", || {
        MountTable::read().unwrap().at(&at).is_some()
    });
    let process = rustix::process::Pid::from_child(&program.child);
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let entry = program.mount.entry();
    let (send, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let classifier = Classifier::read(DeclaredTrusted::default()).unwrap();
        let _ = send.send((identity_from_table(&entry), classifier.sort(&entry)));
    });
    let (identity, sort) = told.recv_timeout(Duration::from_secs(5)).unwrap();
    let expected = format!("source={}", own.display());
    assert!(identity.unwrap().to_string().ends_with(&expected));
    let StorageSort::Foreign { provider } = sort else {
        panic!("{sort:?}");
    };
    println!("served by {provider:?}");
}

#[test]
fn our_own_drive_is_no_volume() {
    if !support::fuse_available() {
        return;
    }
    let rig = support::Rig::new();
    let table = MountTable::read().unwrap();
    let entry = table.at(rig.mounted().path()).unwrap();
    assert_eq!(identity_from_table(entry), None);
    let error = identify(entry).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
}

//! Tests of `trust`: made-up mount tables over a made-up sysfs, and the machine they run on.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;

use super::super::reason::Bus;
use super::super::system::class::overlay_layers;
use super::super::system::device::tests::FakeSysfs;
use super::*;

/// A classifier over real folders: what the table calls `/x` lies in a temporary folder, as paths are followed
/// for real.
struct Machine {
    sysfs: FakeSysfs,
    home: tempfile::TempDir,
    lines: Vec<String>,
    declared: DeclaredTrusted,
}

impl Machine {
    fn new() -> Self {
        let sysfs = FakeSysfs::new();
        sysfs.device(
            "8:1",
            "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda",
        );
        sysfs.device(
            "8:16",
            "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host4/target4:0:0/4:0:0:0/block/sdb",
        );
        sysfs.device("7:0", "virtual/block/loop0");
        let lines = vec!["20 1 8:1 / / rw - ext4 /dev/sda rw".to_owned()];
        let home = tempfile::tempdir().unwrap();
        Self {
            sysfs,
            home,
            lines,
            declared: DeclaredTrusted::default(),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        fs::canonicalize(self.home.path()).unwrap().join(below)
    }

    /// Adds a mount at `below`, which is created.
    fn mount(&mut self, below: &str, device: &str, fs_type: &str, source: &str, options: &str) {
        let path = self.path(below);
        fs::create_dir_all(&path).unwrap();
        let id = 30 + self.lines.len();
        let path = path.to_str().unwrap().replace(' ', "\\040");
        self.lines.push(format!(
            "{id} 20 {device} / {path} rw - {fs_type} {source} {options}"
        ));
    }

    fn classifier(&self) -> Classifier {
        Classifier {
            table: MountTable::parse(self.lines.join("\n").as_bytes()),
            devices: Devices::new(self.sysfs.path()),
            clouds: Vec::new(),
            declared: self.declared.clone(),
        }
    }

    fn why(&self, below: &str) -> Option<String> {
        match self.classifier().trust(&self.path(below)) {
            Trust::Trusted => None,
            Trust::Untrusted(reason) => Some(reason.to_string()),
        }
    }
}

#[test]
fn the_kind_of_file_system_and_the_disk_decide() {
    let mut machine = Machine::new();
    machine.mount("usb", "8:16", "ext4", "/dev/sdb", "rw");
    machine.mount("camera", "8:16", "vfat", "/dev/sdb", "rw");
    machine.mount("boot", "8:1", "vfat", "/dev/sda", "rw");
    machine.mount("share", "0:50", "nfs4", "server:/x", "rw");
    machine.mount("rclone", "0:51", "fuse.rclone", "remote:", "rw");
    machine.mount("ours", "0:52", "fuse.mediafs", "mediafs", "rw");
    machine.mount("memory", "0:53", "tmpfs", "none", "rw");
    machine.mount("image", "7:0", "ext4", "/dev/loop0", "rw");
    machine.mount("new", "0:54", "newfs", "x", "rw");
    machine.mount("lost", "8:99", "xfs", "/dev/sdz", "rw");
    for (below, expected) in [
        ("sounds/kick.wav", None),
        ("memory/a", None),
        ("usb/a/b", Some("on a USB disk (sdb)")),
        ("camera/a", Some("on a USB disk (sdb)")),
        (
            "boot/a",
            Some("on a file system that is not trusted (vfat)"),
        ),
        ("share/a", Some("on a network share (nfs4)")),
        ("rclone/a", Some("served by a program (fuse.rclone)")),
        ("ours/by-id", Some("served by a program (fuse.mediafs)")),
        ("image/a", Some("in a disk image (loop0)")),
        (
            "new/a",
            Some("on a file system that is not trusted (newfs)"),
        ),
        (
            "lost/a",
            Some("on storage that cannot be told: the block device 8:99 is not in sysfs"),
        ),
    ] {
        assert_eq!(machine.why(below).as_deref(), expected, "{below}");
    }
    let relative = machine.classifier().trust(Path::new("a/b"));
    assert_eq!(relative, Trust::Untrusted(Reason::NotAbsolute));
}

#[test]
fn the_sort_of_a_mount_says_where_its_bytes_are() {
    let mut machine = Machine::new();
    machine.mount("usb", "8:16", "ext4", "/dev/sdb", "rw");
    machine.mount("camera", "8:16", "vfat", "/dev/sdb", "rw");
    machine.mount("windows", "8:1", "fuseblk", "/dev/sda", "rw");
    machine.mount("stick", "8:16", "fuseblk", "/dev/sdb", "rw");
    machine.mount("boot", "8:1", "vfat", "/dev/sda", "rw");
    machine.mount("share", "0:50", "cifs", "//nas/x", "rw");
    machine.mount("cloud", "0:51", "fuse.rclone", "remote:", "rw");
    machine.mount("program", "0:52", "fuse.newthing", "x", "rw");
    machine.mount("memory", "0:53", "tmpfs", "none", "rw");
    machine.mount("image", "7:0", "ext4", "/dev/loop0", "rw");
    machine.mount("new", "0:54", "newfs", "x", "rw");
    machine.mount("lost", "8:99", "xfs", "/dev/sdz", "rw");
    let layers = format!("rw,lowerdir={}", machine.path("usb").display());
    machine.mount("layers", "0:60", "overlay", "overlay", &layers);
    let removable = StorageSort::Removable;
    for (below, expected) in [
        ("usb", removable(Bus::Usb)),
        ("camera", removable(Bus::Usb)),
        ("windows", StorageSort::Local),
        ("stick", removable(Bus::Usb)),
        ("boot", StorageSort::Local),
        ("share", StorageSort::Network),
        ("program", StorageSort::Foreign { provider: None }),
        ("memory", StorageSort::Local),
        ("image", removable(Bus::Loop)),
        ("new", StorageSort::Foreign { provider: None }),
        ("lost", removable(Bus::Virtual)),
        ("layers", removable(Bus::Usb)),
    ] {
        let classifier = machine.classifier();
        let mount = classifier.table.at(&machine.path(below)).unwrap();
        assert_eq!(classifier.sort(mount), expected, "{below}");
    }
    let classifier = machine.classifier();
    let cloud = classifier.table.at(&machine.path("cloud")).unwrap();
    let StorageSort::Foreign {
        provider: Some(provider),
    } = classifier.sort(cloud)
    else {
        panic!("{:?}", classifier.sort(cloud));
    };
    assert_eq!(provider.name, "rclone");
    machine.declared.devices = vec![PathBuf::from("/dev/loop0")];
    let classifier = machine.classifier();
    let image = classifier.table.at(&machine.path("image")).unwrap();
    assert_eq!(classifier.sort(image), StorageSort::Local, "declared");
}

#[test]
fn links_and_dots_do_not_hide_where_a_path_leads() {
    let mut machine = Machine::new();
    machine.mount("usb", "8:16", "ext4", "/dev/sdb", "rw");
    fs::create_dir_all(machine.path("sounds/deep")).unwrap();
    symlink(machine.path("usb"), machine.path("sounds/absolute")).unwrap();
    symlink("../usb/drums", machine.path("sounds/relative")).unwrap();
    symlink("deep", machine.path("sounds/inside")).unwrap();
    symlink("circle", machine.path("sounds/circle")).unwrap();
    for below in [
        "sounds/absolute/a",
        "sounds/relative",
        "sounds/deep/../../usb/a",
        "sounds/inside/../relative/x",
    ] {
        assert_eq!(
            machine.why(below).as_deref(),
            Some("on a USB disk (sdb)"),
            "{below}"
        );
    }
    for below in ["sounds/inside/a", "usb/../sounds/a"] {
        // The second path passes the USB disk, which is not to be touched even so.
        let expected = below.starts_with("usb").then_some("on a USB disk (sdb)");
        assert_eq!(machine.why(below).as_deref(), expected, "{below}");
    }
    assert!(machine.why("sounds/circle").unwrap().contains("circle"));
    // Also by way of what does not exist.
    assert_eq!(
        machine.why("none/deep/../../usb/a").as_deref(),
        Some("on a USB disk (sdb)")
    );
}

#[test]
fn what_is_behind_a_foreign_mount_is_never_looked_at() {
    let mut machine = Machine::new();
    machine.mount("share", "0:50", "nfs4", "server:/x", "rw");
    // If the share were looked at, this link would lead to trusted storage.
    symlink(machine.path(""), machine.path("share/back")).unwrap();
    assert_eq!(
        machine.why("share/back/a").as_deref(),
        Some("on a network share (nfs4)")
    );
}

#[test]
fn an_overlay_is_what_its_layers_are() {
    let mut machine = Machine::new();
    machine.mount("usb", "8:16", "ext4", "/dev/sdb", "rw");
    let (low, up, usb) = (
        machine.path("low"),
        machine.path("up"),
        machine.path("usb/low"),
    );
    let (low, up, usb) = (low.display(), up.display(), usb.display());
    machine.mount(
        "good",
        "0:60",
        "overlay",
        "overlay",
        &format!("rw,lowerdir={low}/a:{low}/b,upperdir={up},workdir=/w"),
    );
    machine.mount(
        "bad",
        "0:61",
        "overlay",
        "overlay",
        &format!("rw,lowerdir={low}/a:{usb},upperdir={up}"),
    );
    machine.mount(
        "new",
        "0:62",
        "overlay",
        "overlay",
        &format!("rw,lowerdir+={low},lowerdir+={usb}"),
    );
    machine.mount("bare", "0:63", "overlay", "overlay", "rw");
    let own = machine.path("own");
    machine.mount(
        "own",
        "0:64",
        "overlay",
        "overlay",
        &format!("rw,lowerdir={}/x", own.display()),
    );
    assert_eq!(machine.why("good/a"), None);
    assert_eq!(machine.why("bad/a").as_deref(), Some("on a USB disk (sdb)"));
    assert_eq!(machine.why("new/a").as_deref(), Some("on a USB disk (sdb)"));
    for unseen in ["bare/a", "own/a"] {
        assert!(machine.why(unseen).unwrap().contains("overlay"), "{unseen}");
    }
    let escaped = overlay_layers(OsStr::new("rw,lowerdir=/a\\:b:/c,upperdir=/d:e,workdir=/w"));
    assert_eq!(
        escaped,
        [Path::new("/a:b"), Path::new("/c"), Path::new("/d:e")]
    );
}

#[test]
fn a_cloud_folder_is_found_above_the_path() {
    let mut machine = Machine::new();
    fs::create_dir_all(machine.path("Dropbox/Music")).unwrap();
    assert_eq!(machine.why("Dropbox/Music/a.wav"), None);
    fs::create_dir(machine.path("Dropbox/.dropbox.cache")).unwrap();
    let reason = machine.why("Dropbox/Music/a.wav").unwrap();
    assert!(reason.starts_with("in a Dropbox folder ("), "{reason}");
    assert!(reason.ends_with("/Dropbox)"), "{reason}");
    assert_eq!(machine.why("Music/a.wav"), None);
    let mut classifier = machine.classifier();
    classifier.clouds = vec![CloudRoot {
        provider: "Nextcloud",
        root: machine.path("Cloud"),
    }];
    assert!(!classifier.trust(&machine.path("Cloud/a")).is_trusted());
    assert!(classifier.trust(&machine.path("Clouds/a")).is_trusted());
    // The client was told of its folder by way of a link.
    fs::create_dir(machine.path("Real")).unwrap();
    std::os::unix::fs::symlink(machine.path("Real"), machine.path("Linked")).unwrap();
    let told = CloudRoot {
        provider: "Nextcloud",
        root: machine.path("Linked"),
    };
    classifier.clouds = classifier.with_real_roots(vec![told]);
    assert!(!classifier.trust(&machine.path("Real/a")).is_trusted());
    assert!(!classifier.trust(&machine.path("Linked/a")).is_trusted());
    // What is declared trusted as a path is so whatever it is.
    machine.declared.paths = vec![machine.path("Dropbox")];
    assert_eq!(machine.why("Dropbox/Music/a.wav"), None);
}

#[test]
fn a_device_or_a_path_can_be_declared_trusted() {
    let mut machine = Machine::new();
    machine.mount("image", "7:0", "ext4", "/dev/loop0", "rw");
    machine.mount("card", "7:0", "vfat", "/dev/loop0", "rw");
    machine.mount("usb", "8:16", "ext4", "/dev/sdb", "rw");
    machine.declared.devices = vec![PathBuf::from("/dev/loop0")];
    assert_eq!(machine.why("image/a"), None);
    assert!(
        machine.why("card/a").is_some(),
        "the kind of file system still counts"
    );
    assert!(machine.why("usb/a").is_some());
    fs::create_dir_all(machine.path("image/Cloud/.dropbox.cache")).unwrap();
    assert!(
        machine.why("image/Cloud/a").is_some(),
        "and so do cloud folders"
    );
    machine.declared.paths = vec![machine.path("usb/tests")];
    assert_eq!(machine.why("usb/tests/a"), None);
    assert!(machine.why("usb/tests/../a").is_some());
    assert!(machine.why("usb/testsuite").is_some());
}

#[test]
fn this_machine_can_be_judged() {
    let classifier = Classifier::read(DeclaredTrusted::default()).unwrap();
    assert!(!classifier.trust(Path::new("/proc/self")).is_trusted());
    let home = tempfile::tempdir().unwrap();
    // Whatever it is, it must be an answer, and one that a declaration overrules.
    let _ = classifier.trust(home.path());
    let declared = DeclaredTrusted {
        paths: vec![home.path().to_owned()],
        devices: Vec::new(),
    };
    assert!(
        Classifier::read(declared)
            .unwrap()
            .trust(&home.path().join("a"))
            .is_trusted()
    );
    let root = classifier.trust(Path::new("/"));
    println!("/ is {root:?}");
}

#[test]
fn where_names_fold_a_folder_is_known_in_whatever_case() {
    let beneath =
        |path: &str, folds| is_beneath(Path::new(path), Path::new("/Users/Ann/Dropbox"), folds);
    assert!(beneath("/users/ann/dropbox/a.wav", true));
    assert!(beneath("/Users/ANN/DROPBOX", true));
    assert!(!beneath("/users/ann/dropboxes/a.wav", true));
    assert!(!beneath("/users/ann", true));
    assert!(!beneath("/users/ann/dropbox/a.wav", false));
    assert!(beneath("/Users/Ann/Dropbox/a.wav", false));
}

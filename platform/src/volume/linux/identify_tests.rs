//! Tests of `identify`: made-up notes of the system. Real devices are in `tests/volumes.rs`.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use super::super::device::tests::FakeSysfs;
use super::*;
use crate::volume::MountTable;

const USB: &str = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host4/target4:0:0/4:0:0:0/block/sdb";
const NVME: &str = "pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1";

struct Machine {
    sysfs: FakeSysfs,
    home: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self {
            sysfs: FakeSysfs::new(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn notes(&self) -> Notes {
        Notes {
            sysfs: self.sysfs.path(),
            udev: self.home.path().join("udev"),
            by_uuid: self.home.path().join("by-uuid"),
        }
    }

    fn udev(&self, device: &str, lines: &str) {
        let folder = self.home.path().join("udev");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("b{device}")), lines).unwrap();
    }

    fn device(&self, number: &str, place: &str, files: &[(&str, &str)]) -> PathBuf {
        let device = self.sysfs.device(number, place);
        fs::write(device.join("dev"), format!("{number}\n")).unwrap();
        for (name, text) in files {
            let path = device.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        device
    }

    /// A mount of a made-up device at a real folder.
    fn identify(&self, device: &str, fs_type: &str, options: &str) -> (String, Identified) {
        let place = fs::canonicalize(self.home.path()).unwrap().join("MY DISK");
        fs::create_dir_all(&place).unwrap();
        let table = MountTable::read().unwrap();
        let id = table.holding(&place).unwrap().id.0;
        let place = place.to_str().unwrap().replace(' ', "\\040");
        let line = format!("{id} 20 {device} / {place} {options} - {fs_type} /dev/made-up rw");
        let table = MountTable::parse(line.as_bytes());
        let identified = self.notes().identify(&table.entries()[0]).unwrap();
        (identified.identity.to_string(), identified)
    }
}

#[test]
fn udev_and_sysfs_tell_without_privilege() {
    let machine = Machine::new();
    let disk = machine.device("8:16", USB, &[("removable", "0")]);
    let usb = disk
        .ancestors()
        .find(|above| above.ends_with("2-1"))
        .unwrap();
    fs::write(usb.join("idVendor"), "0781\n").unwrap();
    fs::write(usb.join("serial"), "4C53 0001\n").unwrap();
    let partition = format!("{USB}/sdb1");
    machine.device("8:17", &partition, &[("partition", "1"), ("size", "2048")]);
    let (text, identified) = machine.identify("8:17", "vfat", "rw");
    assert_eq!(text, "disk:size=1048576,serial=4C53%200001");
    assert_eq!(identified.label.as_deref(), Some("MY DISK"));
    assert_eq!((identified.size, identified.read_only), (1 << 20, false));

    machine.udev(
        "8:17",
        "S:disk/x\nE:ID_FS_UUID=12AB-34CD\nE:ID_FS_LABEL_ENC=Zoom\\x20H4\nE:ID_PART_ENTRY_UUID=c0ffee-01\n",
    );
    let (text, identified) = machine.identify("8:17", "vfat", "ro,nosuid");
    assert_eq!(
        text,
        "disk:uuid=12AB-34CD,size=1048576,part=c0ffee-01,serial=4C53%200001"
    );
    assert_eq!(identified.label.as_deref(), Some("Zoom H4"));
    assert!(identified.read_only);
}

#[test]
fn the_link_by_uuid_tells_where_the_notes_do_not() {
    let machine = Machine::new();
    machine.device("8:17", &format!("{USB}/sdb1"), &[("size", "1")]);
    let links = machine.home.path().join("by-uuid");
    fs::create_dir_all(&links).unwrap();
    symlink("../../sda1", links.join("0000-0000")).unwrap();
    symlink("../../sdb1", links.join("12AB\\x2f34CD")).unwrap();
    let (text, _) = machine.identify("8:17", "vfat", "rw");
    assert_eq!(text, "disk:uuid=12AB/34CD,size=512");
}

#[test]
fn an_encrypted_disk_has_the_partition_and_serial_of_what_it_lies_on() {
    let machine = Machine::new();
    machine.device(
        "259:0",
        NVME,
        &[("device/serial", "S4EV"), ("wwid", "eui.1")],
    );
    let files = [("partition", "2"), ("uevent", "DEVNAME=x\nPARTUUID=aa-bb")];
    let part = machine.device("259:2", &format!("{NVME}/nvme0n1p2"), &files);
    let mapped = machine.device("253:0", "virtual/block/dm-0", &[("size", "2")]);
    fs::create_dir_all(mapped.join("slaves")).unwrap();
    symlink(&part, mapped.join("slaves/nvme0n1p2")).unwrap();
    let (text, _) = machine.identify("253:0", "vfat", "rw");
    assert_eq!(text, "disk:size=1024,part=aa-bb,serial=S4EV");
}

#[test]
fn a_serial_is_looked_for_where_disks_have_it() {
    let machine = Machine::new();
    machine.device(
        "254:0",
        "virtio1/block/vda",
        &[("serial", "own"), ("size", "1")],
    );
    machine.device(
        "8:0",
        "ata1/block/sda",
        &[("device/wwid", "naa.5002"), ("size", "1")],
    );
    machine.device(
        "7:0",
        "virtual/block/loop0",
        &[("size", "1"), ("serial", "")],
    );
    for (device, expected) in [
        ("254:0", "disk:size=512,serial=own"),
        ("8:0", "disk:size=512,serial=naa.5002"),
        ("7:0", "disk:size=512"),
    ] {
        assert_eq!(machine.identify(device, "vfat", "rw").0, expected);
    }
}

#[test]
fn a_btrfs_is_all_of_its_disks() {
    let machine = Machine::new();
    let files = |serial| [("size", "8"), ("device/serial", serial)];
    let one = machine.device("8:0", "ata1/block/sda", &files("one"));
    let two = machine.device("8:16", "ata2/block/sdb", &files("two"));
    let uuid = "97b3eda1-7da2-4985-98d1-8e220af2d702";
    let folder = machine.sysfs.path().join("fs/btrfs").join(uuid);
    fs::create_dir_all(folder.join("devices")).unwrap();
    fs::write(folder.join("label"), "Pool\n").unwrap();
    symlink(&one, folder.join("devices/sda")).unwrap();
    let (text, identified) = machine.identify("8:0", "btrfs", "rw");
    assert_eq!(text, format!("disk:uuid={uuid},size=4096,serial=one"));
    assert_eq!(identified.label.as_deref(), Some("Pool"));
    symlink(&two, folder.join("devices/sdb")).unwrap();
    for device in ["8:0", "8:16"] {
        let (text, identified) = machine.identify(device, "btrfs", "rw");
        assert_eq!(text, format!("disk:uuid={uuid},size=8192"));
        assert_eq!(identified.size, 8192);
    }
    // A UUID that is lent for this mount says nothing.
    fs::write(folder.join("temp_fsid"), "1\n").unwrap();
    assert_eq!(machine.identify("8:0", "btrfs", "rw").0, "disk:size=8192");
}

#[test]
fn what_is_not_a_disk_is_refused() {
    let table = MountTable::read().unwrap();
    let proc = table.at(Path::new("/proc")).unwrap();
    let error = identify(proc).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    let mut other = table.at(Path::new("/")).unwrap().clone();
    other.mount_point = PathBuf::from("/proc");
    let error = identify(&other).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
}

#[test]
fn escapes_are_undone_where_they_are_some() {
    for (text, expected) in [
        ("a\\x20b", "a b"),
        ("\\xc3\\xa9", "é"),
        ("\\x2", "\\x2"),
        ("\\xzz", "\\xzz"),
        ("\\", "\\"),
        ("x20", "x20"),
    ] {
        assert_eq!(decode(text), expected);
    }
}

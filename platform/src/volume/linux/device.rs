//! How a block device is attached, from its place in sysfs.
//!
//! sysfs is text in the kernel's memory: no disk is touched. A partition leads to its disk, a mapped or joined
//! device (`dm`, `md`, bcache) to all it is made of.

use std::fs;
use std::path::{Path, PathBuf};

use super::reason::{Bus, Reason};
use super::table::{DeviceNumber, MountTable};

/// How deep devices may be made of devices.
const DEEPEST: usize = 16;

/// Block devices as one sysfs shows them.
#[derive(Clone, Debug)]
pub(crate) struct Devices {
    sysfs: PathBuf,
}

impl Devices {
    /// Those of this machine, whatever is mounted.
    pub(crate) fn of(_table: &MountTable) -> Self {
        Self::new(PathBuf::from("/sys"))
    }

    pub(crate) fn new(sysfs: PathBuf) -> Self {
        Self { sysfs }
    }

    /// Is every disk behind this device built in?
    pub(super) fn check(&self, device: DeviceNumber) -> Result<(), Reason> {
        let link = self.sysfs.join("dev/block").join(device.to_string());
        match fs::canonicalize(&link) {
            Ok(place) => self.check_place(&place, DEEPEST),
            Err(_) => Err(Reason::Unknown {
                what: format!("the block device {device} is not in sysfs"),
            }),
        }
    }

    /// The devices that a btrfs consists of, given one of them; all must be built in.
    pub(super) fn check_btrfs(&self, one: DeviceNumber) -> Result<(), Reason> {
        self.check(one)?;
        let one = fs::canonicalize(self.sysfs.join("dev/block").join(one.to_string())).ok();
        for file_system in entries(&self.sysfs.join("fs/btrfs")) {
            let members: Vec<PathBuf> = entries(&file_system.join("devices"))
                .iter()
                .filter_map(|member| fs::canonicalize(member).ok())
                .collect();
            if one.as_ref().is_some_and(|one| members.contains(one)) {
                return members
                    .iter()
                    .try_for_each(|member| self.check_place(member, DEEPEST));
            }
        }
        // Not listed there: the one device is all there is to see.
        Ok(())
    }

    fn check_place(&self, place: &Path, depth: usize) -> Result<(), Reason> {
        let name = place
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Reason::Unknown {
                what: format!("{name} is made of too many layers"),
            });
        };
        let disk = |bus| {
            Err(Reason::Disk {
                bus,
                name: name.clone(),
            })
        };
        if let Some(bus) = self.bus_of(place) {
            return disk(bus);
        }
        let whole = if place.join("partition").exists() {
            place.parent().unwrap_or(place)
        } else {
            place
        };
        if text(&whole.join("removable")).as_deref() == Some("1") {
            return disk(Bus::Removable);
        }
        let mut made_of: Vec<PathBuf> = entries(&place.join("slaves"));
        if whole != place {
            made_of.extend(entries(&whole.join("slaves")));
        }
        made_of.extend(paths_of_nvme(whole));
        for part in &made_of {
            match fs::canonicalize(part) {
                Ok(part) => self.check_place(&part, depth)?,
                Err(_) => {
                    return Err(Reason::Unknown {
                        what: format!("a part of {name} is not in sysfs"),
                    });
                }
            }
        }
        let by_software = self
            .components(place)
            .any(|component| component == "virtual");
        let in_memory = ["zram", "ram"].iter().any(|kind| numbered(&name, kind));
        if by_software && made_of.is_empty() && !in_memory {
            disk(Bus::Virtual)
        } else {
            Ok(())
        }
    }

    /// What the place in the tree of devices says.
    fn bus_of(&self, place: &Path) -> Option<Bus> {
        for component in self.components(place) {
            let bus = match component.as_str() {
                name if numbered(name, "usb") => Bus::Usb,
                name if numbered(name, "fw") => Bus::FireWire,
                name if name == "mmc_host" || numbered(name, "mmc") => Bus::Mmc,
                name if numbered(name, "loop") => Bus::Loop,
                name if numbered(name, "nbd") || name == "rbd" || numbered(name, "drbd") => {
                    Bus::Network
                }
                "nvme-fabrics" => Bus::Network,
                name if numbered(name, "session") => Bus::Iscsi,
                _ => continue,
            };
            return Some(bus);
        }
        // Ports that lead out of the machine mark what hangs on them.
        for ancestor in place
            .ancestors()
            .take_while(|ancestor| ancestor.starts_with(&self.sysfs))
        {
            if text(&ancestor.join("removable")).as_deref() == Some("removable") {
                return Some(Bus::Removable);
            }
            if text(&ancestor.join("transport")).is_some_and(|transport| transport != "pcie")
                && ancestor
                    .file_name()
                    .is_some_and(|name| numbered(&name.to_string_lossy(), "nvme"))
            {
                return Some(Bus::Network);
            }
        }
        None
    }

    fn components(&self, place: &Path) -> impl Iterator<Item = String> {
        let sysfs = fs::canonicalize(&self.sysfs).unwrap_or_else(|_| self.sysfs.clone());
        let below = place.strip_prefix(&sysfs).unwrap_or(place).to_owned();
        let names: Vec<String> = below
            .components()
            .map(|c| c.as_os_str().to_string_lossy().into_owned())
            .collect();
        names.into_iter()
    }
}

/// The controllers behind a disk that NVMe shows once for several ways to it.
fn paths_of_nvme(disk: &Path) -> Vec<PathBuf> {
    let Some(subsystem) = disk.parent() else {
        return Vec::new();
    };
    if !subsystem
        .file_name()
        .is_some_and(|name| numbered(&name.to_string_lossy(), "nvme-subsys"))
    {
        return Vec::new();
    }
    let controller = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| numbered(&name.to_string_lossy(), "nvme"))
    };
    entries(subsystem).into_iter().filter(controller).collect()
}

/// `kind` with a number behind it.
fn numbered(name: &str, kind: &str) -> bool {
    name.strip_prefix(kind)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(crate) fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    /// A sysfs of files, with the layout of a real one.
    pub(in crate::volume) struct FakeSysfs {
        home: tempfile::TempDir,
    }

    impl FakeSysfs {
        pub(in crate::volume) fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            fs::create_dir_all(home.path().join("dev/block")).unwrap();
            Self { home }
        }

        pub(in crate::volume) fn path(&self) -> PathBuf {
            fs::canonicalize(self.home.path()).unwrap()
        }

        /// A device at `place` beneath `devices/`.
        pub(in crate::volume) fn device(&self, number: &str, place: &str) -> PathBuf {
            let full = self.path().join("devices").join(place);
            fs::create_dir_all(&full).unwrap();
            symlink(&full, self.path().join("dev/block").join(number)).unwrap();
            full
        }

        fn made_of(&self, device: &Path, part: &Path) {
            let slaves = device.join("slaves");
            fs::create_dir_all(&slaves).unwrap();
            symlink(part, slaves.join(part.file_name().unwrap())).unwrap();
        }

        fn check(&self, number: &str) -> Result<(), String> {
            let (major, minor) = number.split_once(':').unwrap();
            let number = DeviceNumber {
                major: major.parse().unwrap(),
                minor: minor.parse().unwrap(),
            };
            Devices::new(self.path())
                .check(number)
                .map_err(|reason| reason.to_string())
        }
    }

    const SATA: &str = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda";
    const USB: &str =
        "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host4/target4:0:0/4:0:0:0/block/sdb";

    #[test]
    fn disks_are_told_by_their_place() {
        let sysfs = FakeSysfs::new();
        for (number, place, expected) in [
            ("8:0", SATA, None),
            ("8:16", USB, Some("on a USB disk (sdb)")),
            ("259:0", "pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1", None),
            (
                "179:0",
                "platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0",
                Some("on a memory card (mmcblk0)"),
            ),
            (
                "7:3",
                "virtual/block/loop3",
                Some("in a disk image (loop3)"),
            ),
            (
                "43:0",
                "virtual/block/nbd0",
                Some("on a disk of another machine (nbd0)"),
            ),
            (
                "8:32",
                "platform/host5/session1/target5:0:0/5:0:0:0/block/sdc",
                Some("on an iSCSI disk (sdc)"),
            ),
            (
                "8:48",
                "pci0000:00/0000:02:00.0/fw1/fw1.0/host6/target6:0:0/6:0:0:0/block/sdd",
                Some("on a FireWire disk (sdd)"),
            ),
            (
                "259:9",
                "virtual/nvme-fabrics/ctl/nvme9/nvme9n1",
                Some("on a disk of another machine (nvme9n1)"),
            ),
            ("252:0", "virtual/block/zram0", None),
            (
                "250:0",
                "virtual/block/thing0",
                Some("on a virtual disk (thing0)"),
            ),
            ("254:0", "pci0000:00/0000:00:03.0/virtio1/block/vda", None),
        ] {
            sysfs.device(number, place);
            assert_eq!(sysfs.check(number).err().as_deref(), expected, "{place}");
        }
        assert!(sysfs.check("99:99").unwrap_err().contains("99:99"));
    }

    #[test]
    fn partitions_and_layers_lead_to_their_disks() {
        let sysfs = FakeSysfs::new();
        let inner = sysfs.device("8:1", &format!("{SATA}/sda1"));
        fs::write(inner.join("partition"), "1\n").unwrap();
        let outer = sysfs.device("8:17", &format!("{USB}/sdb1"));
        fs::write(outer.join("partition"), "1\n").unwrap();
        assert_eq!(sysfs.check("8:1"), Ok(()));
        assert_eq!(sysfs.check("8:17"), Err("on a USB disk (sdb1)".to_owned()));

        let encrypted = sysfs.device("253:0", "virtual/block/dm-0");
        sysfs.made_of(&encrypted, &inner);
        assert_eq!(sysfs.check("253:0"), Ok(()));
        let joined = sysfs.device("9:0", "virtual/block/md0");
        sysfs.made_of(&joined, &encrypted);
        assert_eq!(sysfs.check("9:0"), Ok(()));
        let part_of_joined = sysfs.device("259:5", "virtual/block/md0/md0p1");
        fs::write(part_of_joined.join("partition"), "1\n").unwrap();
        assert_eq!(sysfs.check("259:5"), Ok(()));
        sysfs.made_of(&joined, &outer);
        assert_eq!(sysfs.check("9:0"), Err("on a USB disk (sdb1)".to_owned()));
        assert_eq!(sysfs.check("259:5"), Err("on a USB disk (sdb1)".to_owned()));
    }

    #[test]
    fn a_device_made_of_itself_ends() {
        let sysfs = FakeSysfs::new();
        let odd = sysfs.device("253:1", "virtual/block/dm-1");
        sysfs.made_of(&odd, &odd);
        assert!(
            sysfs
                .check("253:1")
                .unwrap_err()
                .contains("too many layers")
        );
    }

    #[test]
    fn what_the_system_calls_removable_is() {
        let sysfs = FakeSysfs::new();
        let card = sysfs.device(
            "8:64",
            "pci0000:00/0000:03:00.0/host7/target7:0:0/7:0:0:0/block/sde",
        );
        fs::write(card.join("removable"), "1\n").unwrap();
        assert_eq!(
            sysfs.check("8:64"),
            Err("on a removable disk (sde)".to_owned())
        );
        fs::write(card.join("removable"), "0\n").unwrap();
        assert_eq!(sysfs.check("8:64"), Ok(()));
        // A Thunderbolt enclosure is a plain PCI device behind a port that leads out.
        sysfs.device(
            "259:7",
            "pci0000:00/0000:00:1c.0/0000:05:00.0/nvme/nvme1/nvme1n1",
        );
        let enclosure = sysfs
            .path()
            .join("devices/pci0000:00/0000:00:1c.0/0000:05:00.0");
        fs::write(enclosure.join("removable"), "removable\n").unwrap();
        assert_eq!(
            sysfs.check("259:7"),
            Err("on a removable disk (nvme1n1)".to_owned())
        );
        fs::write(enclosure.join("removable"), "fixed\n").unwrap();
        assert_eq!(sysfs.check("259:7"), Ok(()));
    }

    #[test]
    fn an_nvme_disk_with_several_ways_is_told_by_them() {
        let sysfs = FakeSysfs::new();
        let disk = sysfs.device("259:1", "virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
        let controller = sysfs
            .path()
            .join("devices/pci0000:00/0000:01:00.0/nvme/nvme0");
        fs::create_dir_all(&controller).unwrap();
        fs::write(controller.join("transport"), "pcie\n").unwrap();
        symlink(&controller, disk.parent().unwrap().join("nvme0")).unwrap();
        assert_eq!(sysfs.check("259:1"), Ok(()));
        fs::write(controller.join("transport"), "tcp\n").unwrap();
        assert!(sysfs.check("259:1").is_err());
    }

    #[test]
    fn every_disk_of_a_btrfs_counts() {
        let sysfs = FakeSysfs::new();
        let inner = sysfs.device("8:0", SATA);
        let outer = sysfs.device("8:16", USB);
        let members = sysfs.path().join("fs/btrfs/0000-1111/devices");
        fs::create_dir_all(&members).unwrap();
        symlink(&inner, members.join("sda")).unwrap();
        let devices = Devices::new(sysfs.path());
        let one = DeviceNumber { major: 8, minor: 0 };
        assert_eq!(devices.check_btrfs(one), Ok(()));
        symlink(&outer, members.join("sdb")).unwrap();
        assert!(devices.check_btrfs(one).is_err());
    }
}

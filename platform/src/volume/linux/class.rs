//! What is thought of a mount of Linux: by its kind of file system, its disk in sysfs, and the layers of an overlay.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::reason::Reason;
use super::table::{DeviceNumber, MountEntry};
use super::trust::{Class, Classifier};

/// An overlay may lie on an overlay, to this depth.
const MOST_OVERLAYS: usize = 4;

impl Classifier {
    /// What is thought of a mount.
    pub(crate) fn class_of(&self, mount: &MountEntry) -> Class {
        self.class_of_layer(mount, MOST_OVERLAYS)
    }

    fn class_of_layer(&self, mount: &MountEntry, overlays_left: usize) -> Class {
        let fs_type = mount.fs_type.clone();
        let by_disk = |checked: Result<(), Reason>| match checked {
            Ok(()) => Class::Trusted,
            Err(reason) => Class::Foreign(reason),
        };
        let declared = self
            .declared
            .devices
            .iter()
            .any(|device| device.as_os_str() == mount.source);
        match fs_type.as_str() {
            "tmpfs" => Class::Trusted,
            "ext4" | "xfs" | "btrfs" | "f2fs" | "zfs" | "apfs" | "ntfs" | "ntfs3" if declared => {
                Class::Trusted
            }
            "ext4" | "xfs" | "f2fs" | "apfs" | "ntfs" | "ntfs3" => {
                by_disk(self.devices.check(mount.device))
            }
            "btrfs" => by_disk(match device_behind(&mount.source) {
                Some(device) => self.devices.check_btrfs(device),
                None => Err(Reason::Unknown {
                    what: "the disks of a btrfs".to_owned(),
                }),
            }),
            "zfs" => by_disk(self.check_pool(&mount.source)),
            "overlay" => self.class_of_overlay(mount, overlays_left),
            // Kept by the kernel itself, or read-only images of the system.
            "rootfs" | "ramfs" | "devtmpfs" | "proc" | "sysfs" | "devpts" | "cgroup"
            | "cgroup2" | "squashfs" | "erofs" | "securityfs" | "debugfs" | "tracefs"
            | "mqueue" | "hugetlbfs" | "bpf" | "configfs" | "nsfs" => {
                Class::Harmless(Reason::FileSystem { fs_type })
            }
            "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "virtiofs" | "ceph" | "afs"
            | "coda" | "ncpfs" | "glusterfs" | "lustre" | "gfs2" | "ocfs2" | "vboxsf"
            | "prl_fs" => Class::Foreign(Reason::Share { fs_type }),
            kind if kind == "fuse" || kind == "fuseblk" || kind.starts_with("fuse.") => {
                Class::Foreign(Reason::Program { fs_type })
            }
            _ => Class::Foreign(match self.devices.check(mount.device) {
                // That it is a USB disk says more than that it has a file system for cameras.
                Err(reason @ Reason::Disk { .. }) if mount.device.major != 0 => reason,
                _ => Reason::FileSystem { fs_type },
            }),
        }
    }

    /// An overlay is what its layers are. Layers that are not to be seen from here (in a container) say nothing.
    fn class_of_overlay(&self, mount: &MountEntry, left: usize) -> Class {
        let unseen = || {
            Class::Harmless(Reason::Unknown {
                what: "the layers of an overlay".to_owned(),
            })
        };
        let layers = overlay_layers(&mount.super_options);
        let Some(left) = left.checked_sub(1).filter(|_| !layers.is_empty()) else {
            return unseen();
        };
        for layer in layers {
            let Some(below) = self.table.holding(&layer) else {
                return unseen();
            };
            if below.id == mount.id {
                return unseen();
            }
            match self.class_of_layer(below, left) {
                Class::Trusted => {}
                Class::Harmless(reason) => return Class::Harmless(reason),
                Class::Foreign(reason) => return Class::Foreign(reason),
            }
        }
        Class::Trusted
    }

    /// The disks of a ZFS pool, which sysfs does not tell, as udev has labelled them.
    fn check_pool(&self, source: &OsStr) -> Result<(), Reason> {
        let unknown = || Reason::Unknown {
            what: "the disks of a ZFS pool".to_owned(),
        };
        let pool = source.to_string_lossy();
        let pool = pool.split('/').next().unwrap_or_default().to_owned();
        let mut found = false;
        for entry in std::fs::read_dir("/run/udev/data")
            .map_err(|_| unknown())?
            .flatten()
        {
            let name = entry.file_name();
            let Some(device) = name
                .to_str()
                .and_then(|name| parse_device(name.strip_prefix('b')?))
            else {
                continue;
            };
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let has = |line: &str| text.lines().any(|have| have == line);
            if has("E:ID_FS_TYPE=zfs_member") && has(&format!("E:ID_FS_LABEL={pool}")) {
                found = true;
                self.devices.check(device)?;
            }
        }
        if found { Ok(()) } else { Err(unknown()) }
    }
}

fn parse_device(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.split_once(':')?;
    Some(DeviceNumber {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

/// The number of the device at `/dev/…`. That is memory of the kernel, so looking is harmless.
fn device_behind(source: &OsStr) -> Option<DeviceNumber> {
    let path = Path::new(source);
    if !path.starts_with("/dev") {
        return None;
    }
    let device = rustix::fs::stat(path).ok()?.st_rdev;
    Some(DeviceNumber {
        major: rustix::fs::major(device),
        minor: rustix::fs::minor(device),
    })
}

/// The folders of an overlay. A colon in a name is written `\:`, and the table has its own escapes besides.
pub(crate) fn overlay_layers(options: &OsStr) -> Vec<PathBuf> {
    let mut layers = Vec::new();
    for option in options.as_bytes().split(|byte| *byte == b',') {
        let Some(equals) = option.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        let (name, value) = (&option[..equals], &option[equals + 1..]);
        if !matches!(name, b"lowerdir" | b"lowerdir+" | b"datadir+" | b"upperdir") {
            continue;
        }
        let mut layer = Vec::new();
        let mut bytes = value.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => layer.extend(bytes.next()),
                b':' if name != b"upperdir" => layers.push(std::mem::take(&mut layer)),
                byte => layer.push(byte),
            }
        }
        layers.push(layer);
    }
    layers.retain(|layer| !layer.is_empty());
    layers
        .into_iter()
        .map(|layer| PathBuf::from(OsStr::from_bytes(&layer)))
        .collect()
}

//! Is the storage behind a path trusted?
//!
//! The path is followed from the top, and before a step is taken the mount it leads onto is judged by the mount
//! table and sysfs alone. So nothing that could hang (a share, a program's file system, a USB disk) is ever
//! touched, not even by way of a symbolic link.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::cloud::{self, CloudRoot};
use super::device::Devices;
use super::kind::{self, StorageSort};
use super::reason::{Reason, Trust};
use super::table::{DeviceNumber, MountEntry, MountTable};

/// The kernel follows as many.
const MOST_LINKS: usize = 40;
/// An overlay may lie on an overlay, to this depth.
const MOST_OVERLAYS: usize = 4;

/// What a test (or a user who knows better) declares trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredTrusted {
    /// Everything beneath these absolute paths, whatever it lies on.
    pub paths: Vec<PathBuf>,
    /// File systems mounted from these devices (`/dev/loop3`), in place of the judgement of their disks. Kind
    /// of file system and cloud folders are judged as ever.
    pub devices: Vec<PathBuf>,
}

/// Judges paths by the mounts as they were when it was made.
#[derive(Clone, Debug)]
pub struct Classifier {
    table: MountTable,
    devices: Devices,
    clouds: Vec<CloudRoot>,
    declared: DeclaredTrusted,
}

/// What is thought of one mount.
enum Class {
    Trusted,
    /// Not trusted, but no harm comes of looking at it.
    Harmless(Reason),
    /// Not to be touched.
    Foreign(Reason),
}

impl Classifier {
    /// With the mounts and sync clients of now.
    ///
    /// # Errors
    /// When the mount table can't be read.
    pub fn read(declared: DeclaredTrusted) -> io::Result<Self> {
        let mut this = Self {
            table: MountTable::read()?,
            devices: Devices::new(PathBuf::from("/sys")),
            clouds: Vec::new(),
            declared,
        };
        // A home on a share is not looked into either.
        if let Some(home) = std::env::var_os("HOME").map(PathBuf::from)
            && this.storage_of(&home).is_ok()
        {
            this.clouds = cloud::configured(&home);
        }
        Ok(this)
    }

    /// Whether the mounts are still those that this was made by, so that its judgements stand.
    ///
    /// # Errors
    /// When the mount table can't be read.
    pub fn is_current(&self) -> io::Result<bool> {
        Ok(MountTable::read()? == self.table)
    }

    /// Is the storage behind `path` trusted? The path need not exist.
    #[must_use]
    pub fn trust(&self, path: &Path) -> Trust {
        match self.judge(path) {
            Ok(()) => Trust::Trusted,
            Err(reason) => Trust::Untrusted(reason),
        }
    }

    /// What sort of storage a mount is. Touches no storage.
    #[must_use]
    pub fn sort(&self, mount: &MountEntry) -> StorageSort {
        match self.class_of(mount, MOST_OVERLAYS) {
            Class::Trusted | Class::Harmless(_) => StorageSort::Local,
            Class::Foreign(reason) => kind::sort_of(mount, &reason, &self.devices),
        }
    }

    fn judge(&self, path: &Path) -> Result<(), Reason> {
        if self.declared_path(path) {
            return Ok(());
        }
        let settled = self.storage_of(path)?;
        if self.declared_path(&settled) {
            return Ok(());
        }
        match self.cloud_above(&settled) {
            Some(CloudRoot { provider, root }) => Err(Reason::Cloud { provider, root }),
            None => Ok(()),
        }
    }

    fn declared_path(&self, path: &Path) -> bool {
        let plain = path
            .components()
            .all(|component| component != Component::ParentDir);
        plain
            && self
                .declared
                .paths
                .iter()
                .any(|declared| path.starts_with(declared))
    }

    /// Follows the path to trusted storage; gives it without symbolic links.
    fn storage_of(&self, path: &Path) -> Result<PathBuf, Reason> {
        if !path.is_absolute() {
            return Err(Reason::NotAbsolute);
        }
        let mut settled = PathBuf::from("/");
        let mut left: VecDeque<OsString> = steps(path);
        let mut links = 0;
        let mut here = self.class_at(&settled)?;
        while let Some(step) = left.pop_front() {
            if step == ".." {
                settled.pop();
                here = self.class_at(&settled)?;
                continue;
            }
            let next = settled.join(step);
            // Before anything is touched.
            here = self.class_at(&next)?;
            if self.table.at(&next).is_some() {
                settled = next;
                continue;
            }
            match std::fs::read_link(&next) {
                Ok(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Reason::Unknown {
                            what: format!("{} is a circle of links", path.display()),
                        });
                    }
                    if target.is_absolute() {
                        settled = PathBuf::from("/");
                    }
                    let mut ahead = steps(&target);
                    ahead.append(&mut left);
                    left = ahead;
                    here = self.class_at(&settled)?;
                }
                // No link, or nothing yet: what does not exist would be created here.
                Err(_) => settled = next,
            }
        }
        match here {
            Class::Trusted => Ok(settled),
            Class::Harmless(reason) | Class::Foreign(reason) => Err(reason),
        }
    }

    /// The class of the mount that holds `path`; an error if it must not be touched.
    fn class_at(&self, path: &Path) -> Result<Class, Reason> {
        if self.declared_path(path) {
            return Ok(Class::Trusted);
        }
        let Some(mount) = self.table.holding(path) else {
            return Err(Reason::Unknown {
                what: format!("no mount holds {}", path.display()),
            });
        };
        match self.class_of(mount, MOST_OVERLAYS) {
            Class::Foreign(reason) => Err(reason),
            class => Ok(class),
        }
    }

    fn class_of(&self, mount: &MountEntry, overlays_left: usize) -> Class {
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
            match self.class_of(below, left) {
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

    fn cloud_above(&self, path: &Path) -> Option<CloudRoot> {
        if let Some(configured) = self
            .clouds
            .iter()
            .find(|cloud| path.starts_with(&cloud.root))
        {
            return Some(configured.clone());
        }
        path.ancestors().find_map(|root| {
            cloud::marked(root).map(|provider| CloudRoot {
                provider,
                root: root.to_owned(),
            })
        })
    }
}

fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect()
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
fn overlay_layers(options: &OsStr) -> Vec<PathBuf> {
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

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;

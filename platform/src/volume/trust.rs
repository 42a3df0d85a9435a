//! Is the storage behind a path trusted?
//!
//! The path is followed from the top, and before a step is taken the mount it leads onto is judged by the mount
//! table and what the system tells of disks. So nothing that could hang (a share, a program's file system, a USB disk) is ever
//! touched, not even by way of a symbolic link.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf, Prefix};

use super::kind::StorageSort;
use super::reason::{Reason, Trust};
use super::system::{self, Devices};
use super::table::{MountEntry, MountTable};
use crate::cloud::{self, CloudRoot};

/// The kernel follows as many.
const MOST_LINKS: usize = 40;

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
    pub(super) table: MountTable,
    pub(super) devices: Devices,
    clouds: Vec<CloudRoot>,
    pub(super) declared: DeclaredTrusted,
}

/// What is thought of one mount. Each system's `Classifier::class_of` tells.
pub(crate) enum Class {
    Trusted,
    /// Not trusted, but no harm comes of looking at it.
    #[cfg_attr(windows, allow(dead_code, reason = "there every mount is storage"))]
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
        let table = MountTable::read()?;
        let mut this = Self {
            devices: Devices::of(&table),
            table,
            clouds: Vec::new(),
            declared,
        };
        // A home on a share is not looked into either.
        if let Some(home) = std::env::home_dir()
            && this.storage_of(&home).is_ok()
        {
            this.clouds = this.with_real_roots(cloud::configured(&home));
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
        match self.class_of(mount) {
            Class::Trusted | Class::Harmless(_) => StorageSort::Local,
            Class::Foreign(reason) => system::sort_of(mount, &reason, &self.devices),
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
        let mut settled = top_of(path);
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
                        settled = top_of(&target);
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
            return Err(unlisted(path));
        };
        match self.class_of(mount) {
            Class::Foreign(reason) => Err(reason),
            class => Ok(class),
        }
    }

    /// Clients may have been told of their folders by way of links.
    fn with_real_roots(&self, clouds: Vec<CloudRoot>) -> Vec<CloudRoot> {
        let mut all = Vec::new();
        for cloud in clouds {
            // Where that can be told without touching what may hang.
            let real = self.storage_of(&cloud.root);
            let real = real.map(|root| crate::files::canonical(&root).unwrap_or(root));
            if let Ok(root) = real
                && root != cloud.root
            {
                let provider = cloud.provider;
                all.push(CloudRoot { provider, root });
            }
            all.push(cloud);
        }
        all
    }

    fn cloud_above(&self, path: &Path) -> Option<CloudRoot> {
        if let Some(configured) = self
            .clouds
            .iter()
            .find(|cloud| is_beneath(path, &cloud.root, NAMES_FOLD))
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

/// Whether the system takes names for one that differ in case only, as most disks of these do.
const NAMES_FOLD: bool = cfg!(any(windows, target_os = "macos"));

/// Is `path` the folder `root`, or below it?
fn is_beneath(path: &Path, root: &Path, folds: bool) -> bool {
    if !folds {
        return path.starts_with(root);
    }
    let folded = |path: &Path| -> Vec<String> {
        let names = top_of(path).join(path.components().filter(is_name).collect::<PathBuf>());
        let names = names.components();
        names
            .map(|name| name.as_os_str().to_string_lossy().to_lowercase())
            .collect()
    };
    folded(path).starts_with(&folded(root))
}

fn is_name(component: &Component<'_>) -> bool {
    matches!(component, Component::Normal(_) | Component::ParentDir)
}

/// Where an absolute path begins: `/`, or a drive's or share's own top, in the shorter of the two ways to write a drive.
fn top_of(path: &Path) -> PathBuf {
    let mut top = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Prefix(prefix) => match prefix.kind() {
                Prefix::VerbatimDisk(letter) => top.push(format!("{}:", char::from(letter))),
                _ => top.push(prefix.as_os_str()),
            },
            Component::RootDir => top.push(component),
            _ => break,
        }
    }
    top
}

/// Why nothing that no listed mount holds is touched. A share of Windows can be reached without being one.
fn unlisted(path: &Path) -> Reason {
    match path.components().next() {
        Some(Component::Prefix(prefix))
            if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)) =>
        {
            Reason::Share {
                fs_type: "cifs".to_owned(),
            }
        }
        _ => Reason::Unknown {
            what: format!("no mount holds {}", path.display()),
        },
    }
}

/// The steps of a path from its root on, those that lead upwards among them.
#[must_use]
pub fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
#[path = "trust_tests.rs"]
mod tests;

//! Whether the storage under a path is trusted. Before a folder is entered the system's mounts are looked at anew; for
//! single files in folders that were entered once a second is enough. What was judged stands while the mounts do.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mediafs_platform::volume::{Classifier, DeclaredTrusted, MountTable, Reason, Trust, steps};
use parking_lot::Mutex;

use crate::storage::SourceKey;

/// How long the mounts are believed to be what they were.
const FRESH: Duration = Duration::from_secs(1);
/// How long a folder is believed to be in no sync client's hands. Looking for its marks lists every folder above.
const JUDGED: Duration = Duration::from_secs(60);
/// The kernel follows as many links.
const MOST_LINKS: usize = 40;

/// Judges paths.
pub(super) struct Judge {
    declared: DeclaredTrusted,
    /// Folders that the user says a sync client manages.
    clouds: Vec<PathBuf>,
    tables: Mutex<Option<Tables>>,
}

/// The system's tables of one moment, and what was judged by them.
struct Tables {
    read: Instant,
    looked: Instant,
    classifier: Classifier,
    judged: HashMap<PathBuf, Option<Untrusted>>,
}

/// What is known of a path on storage that is not trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Untrusted {
    /// Why not, in words.
    pub(super) reason: String,
    /// The source that it hangs on.
    pub(super) source: SourceKey,
}

impl Tables {
    fn stand(&mut self) -> bool {
        if self.looked.elapsed() <= FRESH {
            return true;
        }
        self.looked = Instant::now();
        self.read.elapsed() <= JUDGED && self.classifier.is_current().unwrap_or(false)
    }
}

impl Judge {
    pub(super) fn new(declared: DeclaredTrusted, clouds: Vec<PathBuf>) -> Self {
        Self {
            declared,
            clouds,
            tables: Mutex::new(None),
        }
    }

    /// As [`Judge::untrusted`], by the tables as they are now.
    pub(super) fn untrusted_now(&self, path: &Path) -> Option<Untrusted> {
        let mut tables = self.tables.lock();
        let current = tables
            .as_ref()
            .is_some_and(|tables| tables.classifier.is_current().unwrap_or(false));
        if !current {
            *tables = None;
        }
        drop(tables);
        self.untrusted(path)
    }

    /// Why the storage that holds the absolute `path` is touched by couriers only, and on which source it is; `None`
    /// where it is trusted. Touches no storage that is not.
    pub(super) fn untrusted(&self, path: &Path) -> Option<Untrusted> {
        let clouds = self.clouds.iter().filter(|cloud| path.starts_with(cloud));
        if let Some(root) = clouds.max_by_key(|cloud| cloud.components().count()) {
            return Some(Untrusted {
                reason: format!("in a cloud folder ({})", root.display()),
                source: SourceKey::at(root.clone()),
            });
        }
        let mut tables = self.tables.lock();
        if !tables.as_mut().is_some_and(Tables::stand) {
            match Classifier::read(self.declared.clone()) {
                Ok(classifier) => {
                    *tables = Some(Tables {
                        read: Instant::now(),
                        looked: Instant::now(),
                        classifier,
                        judged: HashMap::new(),
                    });
                }
                Err(error) => {
                    return Some(Untrusted {
                        reason: format!("on unknown storage: {error}"),
                        source: SourceKey::holding(path),
                    });
                }
            }
        }
        let tables = tables.as_mut()?;
        if let Some(judged) = tables.judged.get(path) {
            return judged.clone();
        }
        let untrusted = match tables.classifier.trust(path) {
            Trust::Trusted => None,
            Trust::Untrusted(reason) => Some(Untrusted {
                source: source_of(&tables.classifier, path, &reason),
                reason: reason.to_string(),
            }),
        };
        tables.judged.insert(path.to_owned(), untrusted.clone());
        untrusted
    }
}

/// The source that holds `path`, which may lead there by links on trusted storage. Nothing else is followed.
fn source_of(classifier: &Classifier, path: &Path, reason: &Reason) -> SourceKey {
    if let Reason::Cloud { root, .. } = reason {
        return SourceKey::at(root.clone());
    }
    let table = MountTable::read().unwrap_or_default();
    let mut settled = root_of(path);
    let mut left: VecDeque<OsString> = steps(path);
    let mut links = 0;
    while let Some(step) = left.pop_front() {
        if step == ".." {
            settled.pop();
            continue;
        }
        let next = settled.join(step);
        if classifier.trust(&next).is_trusted() {
            settled = mediafs_platform::files::canonical(&next).unwrap_or(next);
            continue;
        }
        // What is no mount lies on the storage of its folder, so this is a link there, or that is the source.
        let here = classifier.trust(&settled).is_trusted() && table.at(&next).is_none();
        let link = (here && links < MOST_LINKS).then(|| std::fs::read_link(&next).ok());
        match link.flatten() {
            Some(target) => {
                links += 1;
                if target.is_absolute() {
                    settled = root_of(&target);
                }
                let mut ahead = steps(&target);
                ahead.append(&mut left);
                left = ahead;
            }
            None => {
                settled = next;
                settled.extend(left);
                break;
            }
        }
    }
    SourceKey::holding(&settled)
}

/// The root that an absolute path begins with.
fn root_of(path: &Path) -> PathBuf {
    path.ancestors().last().unwrap_or(path).to_owned()
}

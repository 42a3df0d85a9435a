//! Whether the storage under a path is trusted. Before a folder is entered the system's mounts are looked at anew; for
//! single files in folders that were entered once a second is enough. What was judged stands while the mounts do.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mediafs_platform::volume::{Classifier, DeclaredTrusted, Trust};
use parking_lot::Mutex;

/// How long the mounts are believed to be what they were.
const FRESH: Duration = Duration::from_secs(1);
/// How long a folder is believed to be in no sync client's hands. Looking for its marks lists every folder above.
const JUDGED: Duration = Duration::from_secs(60);

/// Judges paths.
pub(super) struct Judge {
    declared: DeclaredTrusted,
    tables: Mutex<Option<Tables>>,
}

/// The system's tables of one moment, and what was judged by them.
struct Tables {
    read: Instant,
    looked: Instant,
    classifier: Classifier,
    judged: HashMap<PathBuf, Option<String>>,
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
    pub(super) fn new(declared: DeclaredTrusted) -> Self {
        Self {
            declared,
            tables: Mutex::new(None),
        }
    }

    /// As [`Judge::reason`], by the tables as they are now.
    pub(super) fn reason_now(&self, path: &Path) -> Option<String> {
        let mut tables = self.tables.lock();
        let current = tables
            .as_ref()
            .is_some_and(|tables| tables.classifier.is_current().unwrap_or(false));
        if !current {
            *tables = None;
        }
        drop(tables);
        self.reason(path)
    }

    /// Why the storage that holds the absolute `path` is not served in this version; `None` where it is trusted.
    /// Touches no storage that is not.
    pub(super) fn reason(&self, path: &Path) -> Option<String> {
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
                Err(error) => return Some(format!("on unknown storage: {error}")),
            }
        }
        let tables = tables.as_mut()?;
        if let Some(judged) = tables.judged.get(path) {
            return judged.clone();
        }
        let reason = match tables.classifier.trust(path) {
            Trust::Trusted => None,
            Trust::Untrusted(reason) => Some(reason.to_string()),
        };
        tables.judged.insert(path.to_owned(), reason.clone());
        reason
    }

    /// As [`Judge::reason`], of the folder that holds a file.
    pub(super) fn reason_of_file(&self, file: &Path) -> Option<String> {
        self.reason(file.parent().unwrap_or(file))
    }
}

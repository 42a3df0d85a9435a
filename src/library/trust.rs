//! Whether the storage under a path is trusted. Before a folder is entered the system's tables are read anew; for
//! single files in folders that were entered once a second is enough.

use std::path::Path;
use std::time::{Duration, Instant};

use mediafs_platform::volume::{Classifier, DeclaredTrusted, Trust};
use parking_lot::Mutex;

/// How old the tables may be.
const FRESH: Duration = Duration::from_secs(1);

/// Judges paths.
pub(super) struct Judge {
    declared: DeclaredTrusted,
    tables: Mutex<Option<(Instant, Classifier)>>,
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
        *self.tables.lock() = None;
        self.reason(path)
    }

    /// Why the storage that holds the absolute `path` is not served in this version; `None` where it is trusted.
    /// Touches no storage that is not.
    pub(super) fn reason(&self, path: &Path) -> Option<String> {
        let mut tables = self.tables.lock();
        let old = tables
            .as_ref()
            .is_none_or(|(read, _)| read.elapsed() > FRESH);
        if old {
            match Classifier::read(self.declared.clone()) {
                Ok(classifier) => *tables = Some((Instant::now(), classifier)),
                Err(error) => return Some(format!("on unknown storage: {error}")),
            }
        }
        let (_, classifier) = tables.as_ref()?;
        match classifier.trust(path) {
            Trust::Trusted => None,
            Trust::Untrusted(reason) => Some(reason.to_string()),
        }
    }
}

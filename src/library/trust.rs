//! Whether the storage under a path is trusted, asked often: the system's tables are read once a second at most.

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

//! Where the daemon writes down what it does: a file in its home, or the terminal.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;

/// A log longer than this is put aside at the next start, in place of the one before, in bytes.
const LONGEST: u64 = 8 << 20;

/// The log file of a home.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log in this folder, for appending.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("mediafs.log");
        if std::fs::metadata(&path).is_ok_and(|log| log.len() > LONGEST) {
            std::fs::rename(&path, folder.join("mediafs.log.1"))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Self { path, file })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For a child process to write into.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn for_child(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }

    /// Writes everything from `level` on into this file. Only the first such call of a process counts.
    pub fn install(self, level: &str) {
        let to = Arc::new(self.file);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(filter(level))
            .with_writer(to)
            // To a stderr that is this same file: it would take the daemon along when the disk is full.
            .log_internal_errors(false)
            .finish();
        // Fails only if there is one already.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }

    /// Writes everything from `level` on to stderr instead.
    pub fn install_on_stderr(level: &str) {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(filter(level))
            .with_writer(std::io::stderr)
            .finish();
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

fn filter(level: &str) -> LevelFilter {
    level.parse().unwrap_or(LevelFilter::INFO)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = Log::open(dir.path()).unwrap().path().to_owned();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(LONGEST + 1).unwrap();
        Log::open(dir.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(
            std::fs::metadata(dir.path().join("mediafs.log.1"))
                .unwrap()
                .len(),
            LONGEST + 1
        );
    }
}

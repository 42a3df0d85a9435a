//! How far a scan or an import has come: counted by the thread that works, read by tasks and progress bars.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use serde::Serialize;

/// What is being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nothing.
    Idle,
    /// Folders are compared with the catalog.
    Looking,
    /// New files are matched with those that are gone.
    Matching,
    /// Files are read for their facts.
    Probing,
    /// Files are copied.
    Copying,
}

/// Counters of a running scan or import; all may be read at any time.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    seen: AtomicU64,
    expected: AtomicU64,
    done: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
}

/// [`Progress`] at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressSnapshot {
    /// What is being done.
    pub phase: Phase,
    /// Files seen on disk.
    pub seen: u64,
    /// Files known so far that are to be probed or imported.
    pub expected: u64,
    /// Files probed or imported.
    pub done: u64,
    /// Bytes of the files done.
    pub bytes: u64,
    /// Files that could not be read.
    pub failed: u64,
}

impl Progress {
    /// The numbers now.
    #[must_use]
    pub fn snapshot(&self) -> ProgressSnapshot {
        ProgressSnapshot {
            phase: match self.phase.load(Ordering::Relaxed) {
                1 => Phase::Looking,
                2 => Phase::Matching,
                3 => Phase::Probing,
                4 => Phase::Copying,
                _ => Phase::Idle,
            },
            seen: self.seen.load(Ordering::Relaxed),
            expected: self.expected.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let number = match phase {
            Phase::Idle => 0,
            Phase::Looking => 1,
            Phase::Matching => 2,
            Phase::Probing => 3,
            Phase::Copying => 4,
        };
        self.phase.store(number, Ordering::Relaxed);
    }

    /// Back to zero, for the next scan.
    pub(super) fn restart(&self) {
        for counter in [
            &self.seen,
            &self.expected,
            &self.done,
            &self.bytes,
            &self.failed,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn add_seen(&self, files: u64) {
        self.seen.fetch_add(files, Ordering::Relaxed);
    }

    pub(crate) fn add_expected(&self, files: u64) {
        self.expected.fetch_add(files, Ordering::Relaxed);
    }

    pub(crate) fn add_done(&self, bytes: u64) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

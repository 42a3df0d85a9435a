//! Why something is not brought.

use crate::model::ObjectHash;

/// Why bytes do not arrive, for a task or for somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HydrateError {
    /// The file is another one than was wanted: its size or what identifies it differs.
    #[error("the file has changed since it was seen; scan its folder again")]
    Changed,
    /// The file is no longer there.
    #[error("the file is gone from its source")]
    Gone,
    /// The source is away. The task goes on when it is back.
    #[error("the source is offline: {reason}")]
    Offline {
        /// What is away.
        reason: String,
    },
    /// The source does not answer. The task goes on when it does.
    #[error("the source does not answer")]
    Hung,
    /// Reading failed, for good or too often.
    #[error("the file can't be read: {reason}")]
    Failed {
        /// What failed last.
        reason: String,
    },
    /// All has arrived, but the bytes are not those that were expected. They were thrown away.
    #[error("the bytes that arrived are {actual}, not {expected} as recorded; scan the file again")]
    WrongBytes {
        /// The hash that was recorded.
        expected: ObjectHash,
        /// The hash that the bytes have.
        actual: ObjectHash,
    },
    /// The cache or its disk is full. Tried again only when it is asked for again.
    #[error("{reason}")]
    Full {
        /// What is full, and what to do about it.
        reason: String,
    },
    /// The cache itself failed.
    #[error("the cache failed: {reason}")]
    Cache {
        /// What failed.
        reason: String,
    },
    /// Somebody cancelled it, or nobody wants it any more.
    #[error("the hydration was cancelled")]
    Cancelled,
    /// The daemon ends.
    #[error("mediafs is shutting down")]
    ShutDown,
}

impl HydrateError {
    /// True if the task is not over, only its source: it goes on when that is back.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Offline { .. } | Self::Hung)
    }

    /// True if what arrived so far is worth nothing.
    pub(super) fn spoils(&self) -> bool {
        matches!(self, Self::Changed | Self::Gone | Self::WrongBytes { .. })
    }
}

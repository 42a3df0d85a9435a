//! What can go wrong in the cache, and what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::id::ObjectId;

/// Why the cache could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The system refused an operation on a file or folder of the cache, or on a file that was to be taken into it.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has this cache open.
    #[error("the cache {} is in use by {}; stop that process or choose another cache folder", path.display(),
        holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Locked {
        /// The folder of the cache.
        path: PathBuf,
        /// The process that has it, as it wrote itself into the lock file.
        holder: Option<u32>,
    },
    /// The folder holds something else than a cache. The cache deletes files in its folder, so it takes only
    /// an empty one or its own.
    #[error("{} is not empty and not a mediafs cache (no valid CACHEDIR.TAG in it); choose an empty folder", path.display())]
    NotACache {
        /// The folder.
        path: PathBuf,
    },
    /// The cache was written by a newer version of this program.
    #[error("{} was written by a newer version of mediafs; update mediafs or choose another cache folder", path.display())]
    Newer {
        /// The database that is newer.
        path: PathBuf,
    },
    /// The database could not do what it was asked.
    #[error("cannot {action} in {}", path.display())]
    Database {
        /// What was tried.
        action: &'static str,
        /// Which database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// One thing is larger than the whole quota. Nothing was evicted for it.
    #[error("{size} bytes do not fit into a cache of {quota} bytes; raise the cache's quota")]
    TooLarge {
        /// How many bytes were asked for.
        size: u64,
        /// How many the cache may hold.
        quota: u64,
    },
    /// The quota is used by what must stay. Nothing was evicted in vain.
    #[error(
        "the cache is full: {size} bytes are needed, and of its {quota} bytes {used} are used, too many of them by what is pinned, open or arriving; \
        unpin something or raise the cache's quota"
    )]
    QuotaFull {
        /// How many bytes were asked for.
        size: u64,
        /// How many the cache may hold.
        quota: u64,
        /// How many it holds.
        used: u64,
    },
    /// The disk would have less free space than must stay free.
    #[error("the disk of {} is full: {size} bytes are needed, {available} are free and {floor} must stay free; free some space", path.display())]
    DiskFull {
        /// The folder of the cache.
        path: PathBuf,
        /// How many bytes were asked for.
        size: u64,
        /// How many are free on the disk, less what is already promised to others.
        available: u64,
        /// How many must stay free.
        floor: u64,
    },
    /// The list of pins was lost, so nothing may be evicted until the pins are set anew.
    #[error("the list of pinned objects of the cache {} was lost; nothing is evicted until it is restored", path.display())]
    PinsLost {
        /// The folder of the cache.
        path: PathBuf,
    },
    /// The contents of the cache changed or failed again and again while they were counted.
    #[error("the contents of the cache {} can't be counted, so nothing can be added; check its disk", path.display())]
    Uncounted {
        /// The folder of the cache.
        path: PathBuf,
    },
    /// The bytes are not those that were promised. They were thrown away.
    #[error("the bytes that arrived are {actual}, not {expected} as expected; fetch them again")]
    WrongBytes {
        /// The name that was promised.
        expected: ObjectId,
        /// The name that the bytes have.
        actual: ObjectId,
    },
    /// A partial object was to be completed, but bytes are missing.
    #[error("only {arrived} of {size} bytes have arrived")]
    Incomplete {
        /// How many bytes have arrived.
        arrived: u64,
        /// How many there are.
        size: u64,
    },
    /// A range reaches beyond the end of a partial object.
    #[error("{length} bytes at {offset} reach beyond the end at {size}")]
    OutOfBounds {
        /// Where the range begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
        /// How long the partial object is, in bytes.
        size: u64,
    },
    /// The partial object is completed, completing or has failed: nothing more can arrive.
    #[error("nothing more can arrive for {key:?}: it is complete or was given up")]
    Closed {
        /// Its key.
        key: String,
    },
    /// Somebody is filling a partial object of the same key, with another size or for another object.
    #[error("{key:?} is arriving already, with another size or other bytes")]
    KeyInUse {
        /// The key.
        key: String,
    },
    /// A pin owner or the key of a partial object is empty or too long.
    #[error("a {what} must have 1 to {limit} bytes, not {length}")]
    BadName {
        /// What it was to name.
        what: &'static str,
        /// How long it may be, in bytes.
        limit: usize,
        /// How long it is, in bytes.
        length: usize,
    },
}

impl CacheError {
    /// True where the cache or its disk is full: the hydration ends with an error, nothing that is cached is harmed.
    pub fn is_full(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::QuotaFull { .. } | Self::DiskFull { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }
}

/// For those who write through [`std::io::Write`]; the whole error is inside.
impl From<CacheError> for io::Error {
    fn from(error: CacheError) -> Self {
        let kind = if error.is_full() {
            io::ErrorKind::StorageFull
        } else {
            io::ErrorKind::Other
        };
        Self::new(kind, error)
    }
}

/// Adds what was tried, and on what, to an error of the system.
pub(crate) trait IoContext<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, CacheError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, CacheError> {
        self.map_err(|source| CacheError::Io {
            action,
            path: path.to_owned(),
            source: source.into(),
        })
    }
}

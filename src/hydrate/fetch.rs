//! What hydration needs from outside: somebody who reads from sources, and somebody who is told.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::model::{ObjectHash, SourceNo};

use super::error::HydrateError;
use super::task::TaskState;
use super::wanted::Wanted;

/// Where bytes come from. Called on threads of the engine, several at once for each source, and may block, bounded by
/// its own patience. A call that never comes back keeps one of its source's threads, and harms no other source.
pub trait Fetch: Send + Sync + 'static {
    /// Reads `length` bytes at `offset`; fewer only where the file ends. `cancel` becomes true when nobody wants the
    /// bytes any more: then [`FetchError::Cancelled`] is a good answer.
    ///
    /// # Errors
    /// See [`FetchError`].
    fn read(
        &self,
        wanted: &Wanted,
        offset: u64,
        length: u32,
        cancel: &AtomicBool,
    ) -> Result<Vec<u8>, FetchError>;
}

/// Why no bytes came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The file there is another one than was wanted.
    Changed,
    /// There is no such file any more, and its source is there to say so.
    Gone,
    /// The source is away. Nothing is read from it until [`super::Hydrator::source_is_back`].
    Offline {
        /// What is away, and what a person can do.
        reason: String,
    },
    /// The source does not answer. Nothing is read from it for a time, then one read tries whether it answers again.
    Hung {
        /// When that is.
        again_in: Duration,
    },
    /// Reading failed.
    Failed {
        /// What failed.
        reason: String,
        /// Another try may go well.
        transient: bool,
    },
    /// It was told to stop.
    Cancelled,
}

/// Who is told of everything that happens. Called on a thread of its own, one call after the other and in the order in
/// which things happened, with no lock held: it may take its time, and may call the engine.
pub trait Told: Send + Sync + 'static {
    /// A task began, changed or ended. While it runs, at most four times a second; what is stale is left out.
    fn task(&self, task: &TaskState);
    /// All of it is an object of the cache now.
    fn arrived(&self, wanted: &Wanted, object: ObjectHash);
    /// A read from this source was answered.
    fn answered(&self, source: SourceNo);
    /// A task ended without bringing what was wanted, and not because somebody cancelled it.
    fn failed(&self, wanted: &Wanted, why: &HydrateError);
}

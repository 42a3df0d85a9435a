//! Who would have written into which sound: told to whoever warns of it, off the path of the request.

use std::sync::Arc;
use std::sync::OnceLock;

use mediafs_platform::process::Process;

use crate::catalog::ItemNo;

/// Told who would have written into which sound. Never waits.
pub(crate) type OnRefused = Box<dyn Fn(ItemNo, Arc<Process>) + Send + Sync>;

/// Passes it on.
#[derive(Default)]
pub(super) struct Refused {
    told: OnceLock<OnRefused>,
}

impl Refused {
    /// Only the first call counts.
    pub(super) fn tell(&self, told: OnRefused) {
        let _ = self.told.set(told);
    }

    /// The process is asked for at once, for it may be gone as soon as it is answered.
    pub(super) fn note(&self, item: ItemNo, process: impl FnOnce() -> Option<Arc<Process>>) {
        if let Some(told) = self.told.get()
            && let Some(process) = process()
        {
            told(item, process);
        }
    }
}

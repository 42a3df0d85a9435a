//! Requests to a handler in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::Lost;
use crate::control::methods::{Notification, TaskProgress};
use crate::control::{Caller, CallerGone, Handler};

/// A request that is worked on here.
pub(super) struct Here {
    cancelled: Arc<AtomicBool>,
}

impl Here {
    /// Begins it, on a thread that may block.
    pub(super) fn begin(
        handler: Arc<dyn Handler>,
        method: &'static str,
        params: Value,
        answer: oneshot::Sender<Result<Value, Lost>>,
        progress: mpsc::Sender<TaskProgress>,
    ) -> Self {
        let cancelled = Arc::<AtomicBool>::default();
        let mut caller = Listening {
            progress,
            cancelled: Arc::clone(&cancelled),
        };
        tokio::task::spawn_blocking(move || {
            let outcome = handler.handle(method, params, &mut caller);
            // With the last handle on a home its lock is given back: before the answer, as whoever waits for that may
            // ask for the lock next.
            drop((handler, caller));
            let _ = answer.send(outcome.map_err(Lost::Refused));
        });
        Self { cancelled }
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Who waits.
struct Listening {
    progress: mpsc::Sender<TaskProgress>,
    cancelled: Arc<AtomicBool>,
}

impl Caller for Listening {
    fn tell(&mut self, note: &Notification) -> Result<(), CallerGone> {
        let Notification::Progress(progress) = note;
        // Who does not look misses some.
        let _ = self.progress.try_send(progress.clone());
        if self.gone() { Err(CallerGone) } else { Ok(()) }
    }

    fn gone(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

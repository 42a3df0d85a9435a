//! Long work: imports, with their progress told to the caller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Service;
use crate::control::methods::*;
use crate::control::{Caller, Reason, RpcError};

/// How often a caller is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(100);

impl Service {
    pub(super) fn import(
        &self,
        _params: &ImportParams,
        _caller: &mut dyn Caller,
    ) -> Result<ImportAnswer, RpcError> {
        Err(RpcError::new(Reason::Internal, "JOINT"))
    }

    pub(super) fn relink(
        &self,
        _params: &RelinkParams,
    ) -> Result<crate::model::MediaItem, RpcError> {
        Err(RpcError::new(Reason::Internal, "JOINT"))
    }
}

/// Does `work` on a thread of its own, telling the caller how far it is, and asks it to stop when the caller leaves.
pub(super) fn watched<T: Send>(
    caller: &mut dyn Caller,
    progress: &mut dyn FnMut() -> TaskProgress,
    work: impl FnOnce(&AtomicBool) -> T + Send,
) -> Result<T, RpcError> {
    let cancel = AtomicBool::new(false);
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let working = std::thread::Builder::new()
            .name("mediafs-task".to_owned())
            .spawn_scoped(scope, || {
                let result = work(&cancel);
                // Wakes the one who waits below.
                drop(done);
                result
            })
            .map_err(|error| {
                RpcError::new(
                    Reason::Storage,
                    format!("the system gives no more threads: {error}"),
                )
            })?;
        while finished.recv_timeout(TELL_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            if caller.tell(&Notification::Progress(progress())).is_err() {
                cancel.store(true, Ordering::Relaxed);
            }
        }
        let _: &std::sync::mpsc::Receiver<()> = &finished;
        working.join().map_err(|_| {
            RpcError::new(
                Reason::Internal,
                "a fault of mediafs ended the task; its log says more",
            )
        })
    })
}

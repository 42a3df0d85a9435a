//! Ctrl-C in a command whose work has a state worth telling: it ends in order instead of at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a command that was ended so, as shells have it.
pub(super) const EXIT: u8 = 130;

/// Sets `flag` at the first interrupt; a second one ends the process at once.
pub(super) fn on_interrupt(flag: &Arc<AtomicBool>) {
    let flag = Arc::clone(flag);
    let watching = std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
            else {
                return;
            };
            runtime.block_on(async {
                if tokio::signal::ctrl_c().await.is_ok() {
                    flag.store(true, Ordering::Relaxed);
                }
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(EXIT.into());
                }
            });
        });
    if let Err(error) = watching {
        // Ctrl-C then ends the process at once; the catalog holds what was acknowledged.
        tracing::debug!(%error, "nobody waits for an interrupt");
    }
}

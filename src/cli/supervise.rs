//! The process above the daemon of `mount --background`: it does nothing but start the daemon again when that dies.
//!
//! A daemon that ends by itself, whether all is well or not, has said why; one that is ended by a signal (a crash, the
//! system out of memory, `kill -9`) has not, and the sounds that programs open under their paths are gone with it. The
//! new one replaces the dead mount, and every path is the same. Programs that hold a sound open under passthrough read on
//! all the while.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Done;

/// A daemon that lived for less than this did not live.
const LIVED: Duration = Duration::from_secs(10);
/// So many in a row that did not live are enough: what kills them will kill the next one.
const MOST_STILLBORN: u32 = 5;
/// Before the second attempt of those, and the later ones.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs `daemon`, and again whenever a signal has ended it, until it ends by itself or this process is told to. The
/// first one has our standard output, for its first word; `daemon` is told whether it is that.
pub(super) fn supervise(daemon: impl Fn(bool) -> Command) -> std::io::Result<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut told = Told {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let nowhere = std::fs::File::options().write(true).open("/dev/null")?;
        let mut child = tokio::process::Command::from(daemon(true))
            .stdout(Stdio::inherit())
            .spawn()?;
        // The first daemon alone holds the pipe of whoever waits for its word.
        rustix::stdio::dup2_stdout(nowhere)?;
        let mut stillborn = 0;
        loop {
            let begun = Instant::now();
            let mut stop = false;
            let ended = loop {
                tokio::select! {
                    ended = child.wait() => break ended?,
                    () = told.asked_to_end() => {
                        stop = true;
                        pass_on(&child);
                    }
                }
            };
            if stop || !was_killed(ended) {
                return Ok(if ended.success() || stop {
                    Done::Well
                } else {
                    Done::Badly
                });
            }
            stillborn = if begun.elapsed() < LIVED {
                stillborn + 1
            } else {
                0
            };
            tracing::error!(%ended, "the daemon died; it is started again");
            child = loop {
                if stillborn >= MOST_STILLBORN {
                    tracing::error!(
                        "the daemon died {stillborn} times in a row; it is not started again"
                    );
                    return Ok(Done::Badly);
                }
                if stillborn > 1 {
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = told.asked_to_end() => return Ok(Done::Well),
                    }
                }
                match tokio::process::Command::from(daemon(false))
                    .stdout(Stdio::null())
                    .spawn()
                {
                    Ok(child) => break child,
                    // What took the memory that killed it may have it still.
                    Err(error) => {
                        tracing::error!(%error, "the daemon cannot be started again now");
                        stillborn += 1;
                    }
                }
            };
        }
    })
}

/// The ways in which this process is told to end.
struct Told {
    terminate: Signal,
    interrupt: Signal,
}

impl Told {
    async fn asked_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The daemon takes its drive away in an orderly manner when it is told to.
fn pass_on(child: &tokio::process::Child) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may just have ended.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Ended from outside or by a fault, not by itself. (It takes TERM and INT for a wish to stop, and ends by itself.)
fn was_killed(ended: ExitStatus) -> bool {
    ended.signal().is_some()
}

//! The process above the daemon of `mount --background`: it does nothing but start the daemon again when that dies.
//!
//! A daemon that ends by itself, whether all is well or not, has said why; one that is ended by a signal (a crash, the
//! system out of memory, `kill -9`) has not, and the sounds that programs open under their paths are gone with it. The
//! new one replaces the dead mount, and every path is the same. Programs that hold a sound open under passthrough read on
//! all the while.
//!
//! Whether it lives is told by the system: it is the parent of a daemon that it started. What the system can't tell, that
//! it gave up, is in `supervisor.json` in the home, which is there as long as the supervisor and stays if it gave up.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mediafs_platform::process::{Process, ProcessId};
use mediafs_platform::this_process::{self, EndSignals, was_killed};
use serde::{Deserialize, Serialize};

use super::Done;
use crate::home::Home;

/// How the daemon and its supervisor are called by [`mount`](super::mount), before all else that they are told.
pub(super) const SUPERVISED: &str = "--supervised";
pub(super) const DETACHED: &str = "--detached";

/// A daemon that lived for less than this did not live.
const LIVED: Duration = Duration::from_secs(10);
/// So many in a row that did not live are enough: what kills them will kill the next one.
const MOST_STILLBORN: u32 = 5;
/// Before the second attempt of those, and the later ones.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs `daemon`, and again whenever a signal has ended it, until it ends by itself or this process is told to. The
/// first one has our standard output, for its first word; `daemon` is told whether it is that.
pub(super) fn supervise(
    home: &Home,
    daemon: impl Fn(bool) -> std::io::Result<Command>,
) -> std::io::Result<Done> {
    let note = Note::leave(home);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut told = EndSignals::listen(false)?;
        let mut child = tokio::process::Command::from(daemon(true)?)
            .stdout(Stdio::inherit())
            .spawn()?;
        // The first daemon alone holds the pipe of whoever waits for its word.
        this_process::silence_output()?;
        let mut stillborn = 0;
        loop {
            let begun = Instant::now();
            let mut stop = false;
            let ended = loop {
                tokio::select! {
                    ended = child.wait() => break ended?,
                    _ = told.next() => {
                        stop = true;
                        pass_on(&child);
                    }
                }
            };
            // It takes a wish to stop for one, and ends by itself.
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
                    note.gave_up();
                    return Ok(Done::Badly);
                }
                if stillborn > 1 {
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        _ = told.next() => return Ok(Done::Well),
                    }
                }
                let begun = daemon(false).and_then(|command| {
                    let mut command = tokio::process::Command::from(command);
                    command.stdout(Stdio::null()).spawn()
                });
                match begun {
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

/// The daemon takes its drive away in an orderly manner when it is told to.
fn pass_on(child: &tokio::process::Child) {
    if let Some(pid) = child.id() {
        // It may just have ended.
        let _ = this_process::ask_to_end(pid);
    }
}

/// Who starts the daemon of a home again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(super) enum Supervision {
    /// This process.
    Alive {
        /// Its number.
        pid: u32,
    },
    /// Nobody any more: what started the daemon was ended.
    Ended,
    /// Nobody any more: the daemon died too often.
    GaveUp,
    /// Nobody: the daemon was started in the foreground, or there is none.
    None,
}

impl Supervision {
    /// Of the daemon of this home, which is the process `daemon` if it runs.
    pub(super) fn of(home: &Home, daemon: Option<u32>) -> Self {
        let written = Written::read(home);
        if let Some(daemon) = daemon.and_then(|pid| Process::of(ProcessId(pid))) {
            return Self::above(&daemon, written);
        }
        match written {
            Some(written) if written.gave_up => Self::GaveUp,
            // Between two daemons.
            Some(written) if written.is_running() => Self::Alive { pid: written.pid },
            _ => Self::None,
        }
    }

    /// Of a daemon that runs.
    fn above(daemon: &Process, written: Option<Written>) -> Self {
        // Where the system tells no command lines, the supervisor's own word stands for them.
        if daemon.arguments.is_empty() {
            return match written {
                Some(written) if written.is_running() && written.is_parent_of(daemon) => {
                    Self::Alive { pid: written.pid }
                }
                // It takes this away as it ends by itself, and a daemon that is started by somebody does as well.
                Some(written) if !written.gave_up => Self::Ended,
                _ => Self::None,
            };
        }
        if !is_part(daemon, SUPERVISED) {
            return Self::None;
        }
        // An orphan has been given to another parent.
        let parent = daemon.parent.and_then(Process::of);
        match parent.filter(|parent| is_part(parent, DETACHED)) {
            Some(supervisor) => Self::Alive {
                pid: supervisor.id.0,
            },
            None => Self::Ended,
        }
    }

    /// For people; `None` where there is nothing to say.
    pub(super) fn line(self) -> Option<String> {
        match self {
            Self::Alive { pid } => Some(format!(
                "process {pid}: starts the daemon again should it die"
            )),
            Self::Ended => Some(
                "was ended: nobody starts the daemon again should it die; unmount, and mount again"
                    .to_owned(),
            ),
            Self::GaveUp => Some(format!(
                "gave up after the daemon died {MOST_STILLBORN} times in a row; the log in the home says of what"
            )),
            Self::None => None,
        }
    }
}

/// Was this process started as that part of `mount --background`?
fn is_part(process: &Process, part: &str) -> bool {
    let mut words = process.arguments.iter();
    words.any(|word| word == "mount") && words.next().is_some_and(|word| word == part)
}

/// A supervisor that gave up was that of an earlier drive: somebody has started this one.
pub(super) fn forget(home: &Home) {
    // Mostly there is none.
    let _ = std::fs::remove_file(file(home));
}

fn file(home: &Home) -> PathBuf {
    home.data().join("supervisor.json")
}

/// What is in `supervisor.json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    pid: u32,
    /// With the number it is the process.
    start_time: u64,
    gave_up: bool,
}

impl Written {
    fn read(home: &Home) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(file(home)).ok()?).ok()
    }

    fn is_parent_of(&self, process: &Process) -> bool {
        process.parent == Some(ProcessId(self.pid))
    }

    fn is_running(&self) -> bool {
        Process::of(ProcessId(self.pid)).is_some_and(|process| process.started.0 == self.start_time)
    }
}

/// The supervisor's own `supervisor.json`, gone with it if it does not give up.
struct Note {
    file: PathBuf,
    start_time: u64,
    stays: std::cell::Cell<bool>,
}

impl Note {
    fn leave(home: &Home) -> Self {
        let us = Process::of(ProcessId(std::process::id()));
        let note = Self {
            file: file(home),
            start_time: us.map_or(0, |us| us.started.0),
            stays: std::cell::Cell::new(false),
        };
        note.write(false);
        note
    }

    fn gave_up(&self) {
        self.write(true);
        self.stays.set(true);
    }

    /// A full disk keeps no drive away: then nobody is told.
    fn write(&self, gave_up: bool) {
        let written = Written {
            pid: std::process::id(),
            start_time: self.start_time,
            gave_up,
        };
        let next = self.file.with_extension("json.new");
        let outcome = std::fs::write(&next, serde_json::to_vec(&written).unwrap_or_default())
            .and_then(|()| std::fs::rename(&next, &self.file));
        if let Err(error) = outcome {
            let _ = std::fs::remove_file(&next);
            tracing::warn!(%error, "not said who the supervisor is");
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if !self.stays.get() {
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn where_no_command_lines_are_told_the_supervisor_speaks_for_itself() {
        let us = Process::of(ProcessId(std::process::id())).unwrap();
        let daemon = |parent: u32| Process {
            id: ProcessId(us.id.0 + 1),
            parent: Some(ProcessId(parent)),
            arguments: Vec::new(),
            ..us.clone()
        };
        let written = |start_time: u64, gave_up| {
            Some(Written {
                pid: us.id.0,
                start_time,
                gave_up,
            })
        };
        let started = us.started.0;
        let alive = Supervision::Alive { pid: us.id.0 };
        let of = |parent, written| Supervision::above(&daemon(parent), written);
        assert_eq!(of(us.id.0, written(started, false)), alive);
        assert_eq!(of(1, written(started, false)), Supervision::Ended);
        // Its number belongs to another process by now.
        let ended = of(us.id.0, written(started + 1, false));
        assert_eq!(ended, Supervision::Ended);
        assert_eq!(of(us.id.0, None), Supervision::None);
        assert_eq!(of(1, written(started, true)), Supervision::None);
    }
}

//! The warnings of processes that were stopped from bringing sounds: each lasts until the user lets the process go on, or
//! until it has ended.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mediafs_platform::process::Process;
use parking_lot::Mutex;

use crate::control::Service;
use crate::control::warnings::{Severity, Warning};

/// How often is looked whether those that were stopped still run.
const GLANCE: Duration = Duration::from_secs(1);

/// Processes that were stopped and still ran at the last look. A thread looks as long as there are any.
#[derive(Default)]
pub(super) struct Brakes(Arc<Mutex<Vec<Process>>>);

impl Brakes {
    /// A process was stopped.
    pub(super) fn warn(&self, service: &Arc<Service>, process: &Process) {
        let name = process.name.to_string_lossy();
        service.warnings().raise(
            Warning::new(
                warning_id(process),
                Severity::Warning,
                format!(
                    "{name} (process {}) fetches sounds by the hundred and was stopped",
                    process.id.0
                ),
            )
            .remedy(format!(
                "if it may go on: requesters.allow (pid: {})",
                process.id.0
            ))
            .command(format!("if it may go on: `mediafs allow {}`", process.id.0)),
        );
        let mut stopped = self.0.lock();
        let nobody_looks = stopped.is_empty();
        stopped.retain(|other| warning_id(other) != warning_id(process));
        stopped.push(process.clone());
        if !nobody_looks {
            return;
        }
        let (list, service) = (Arc::clone(&self.0), Arc::downgrade(service));
        let looking = std::thread::Builder::new()
            .name("mediafs-brakes".to_owned())
            .spawn(move || look(&list, &service));
        if let Err(error) = looking {
            tracing::warn!(%error, "a warning outlives the program that it is about");
            stopped.clear();
        }
    }
}

fn look(stopped: &Mutex<Vec<Process>>, service: &Weak<Service>) {
    loop {
        std::thread::sleep(GLANCE);
        let Some(service) = service.upgrade() else {
            return;
        };
        let mut stopped = stopped.lock();
        stopped.retain(|process| {
            let runs = process.is_running();
            if !runs {
                service.warnings().clear(&warning_id(process));
            }
            runs
        });
        if stopped.is_empty() {
            return;
        }
    }
}

/// The id of the warning of a process.
pub(crate) fn warning_id(process: &Process) -> String {
    format!("braked.{}.{}", process.id.0, process.started.0)
}

//! Long work: imports, with their progress told to the caller.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Service;
use crate::catalog::OperationDraft;
use crate::control::methods::*;
use crate::control::tasks::{Task, TaskState};
use crate::control::{Caller, Reason, RpcError, WirePath};
use crate::library::{self, ImportOptions, Outcome, Phase, Progress, ProgressSnapshot};

/// How often a caller is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(100);

impl Service {
    pub(super) fn import(
        &self,
        params: &ImportParams,
        caller: &mut dyn Caller,
    ) -> Result<ImportAnswer, RpcError> {
        let library = self.library()?;
        let paths: Vec<PathBuf> = params.paths.iter().map(|path| path.0.clone()).collect();
        if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
            return Err(RpcError::new(
                Reason::InvalidParameter,
                format!("{} is no absolute path", path.display()),
            ));
        }
        let project = match &params.project_path {
            Some(folder) => Some(crate::project::open(&library, &folder.0, false)?.row),
            None => None,
        };
        let options = ImportOptions {
            project,
            mode: match params.mode {
                None => library::ImportMode::Default,
                Some(ImportMode::Copy) => library::ImportMode::Copy,
                Some(ImportMode::Reference) => library::ImportMode::Reference,
            },
            id: params.media_id.clone(),
            name: params.name.clone(),
        };
        let progress = Progress::default();
        // In words once it is known how many there are.
        let mut draft = OperationDraft {
            kind: "import",
            summary: None,
            group: params.intent.group.clone(),
            who: params.intent.who.clone(),
            recorded: None,
        };
        let (items, is_cancelled) = watched(
            self.running.begin(TaskKind::Import),
            caller,
            &mut || import_progress(&progress.snapshot()),
            |cancel| library.import_noted(&paths, &options, &mut draft, &progress, cancel),
        )?;
        Ok(ImportAnswer {
            items: items.into_iter().map(wire).collect(),
            complete: !is_cancelled,
            operation: super::history::recorded(&draft),
        })
    }
}

fn import_progress(progress: &ProgressSnapshot) -> TaskProgress {
    TaskProgress {
        kind: TaskKind::Import,
        subject: "files".to_owned(),
        done: progress.done.saturating_add(progress.failed),
        total: (progress.phase != Phase::Looking).then_some(progress.expected),
    }
}

fn wire(file: library::Imported) -> Imported {
    let (outcome, reason) = match file.outcome {
        Outcome::Imported => (ImportOutcome::Imported, None),
        Outcome::Already => (ImportOutcome::Already, None),
        Outcome::Skipped(reason) => (ImportOutcome::Skipped, Some(reason)),
        Outcome::Failed(reason) => (ImportOutcome::Failed, Some(reason)),
    };
    Imported {
        media_id: file.media_id,
        source: WirePath(file.source),
        path: file.path,
        outcome,
        reason,
    }
}

/// Does `work` on a thread of its own, telling the caller and the subscribers how far it is, and asks it to stop when the
/// caller leaves or the task is cancelled; gives whether it was asked to.
pub(super) fn watched<T: Send, E: Into<RpcError> + Send>(
    mut task: Task<'_>,
    caller: &mut dyn Caller,
    progress: &mut dyn FnMut() -> TaskProgress,
    work: impl FnOnce(&AtomicBool) -> Result<T, E> + Send,
) -> Result<(T, bool), RpcError> {
    let cancel = Arc::clone(task.cancel());
    let (done, finished) = std::sync::mpsc::channel();
    let outcome = std::thread::scope(|scope| {
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
            let now = progress();
            task.progress(&now);
            if caller.tell(&Notification::Progress(now)).is_err() {
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
    });
    task.progress(&progress());
    let is_cancelled = task.is_cancelled();
    match outcome.and_then(|outcome| outcome.map_err(Into::into)) {
        Ok(value) if is_cancelled => {
            task.end(TaskState::Cancelled, None);
            Ok((value, true))
        }
        Ok(value) => {
            task.end(TaskState::Done, None);
            Ok((value, false))
        }
        Err(error) => {
            task.end(TaskState::Failed, Some(error.message.clone()));
            Err(error)
        }
    }
}

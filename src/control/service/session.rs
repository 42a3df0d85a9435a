//! What is wrong and what is going on: warnings and tasks.

use super::{Service, warnings};
use crate::control::methods::*;
use crate::control::tasks::TaskSource;
use crate::control::{Reason, RpcError, Severity, Warning};
use crate::library::LibraryError;
use crate::model::path_text;

/// Folders that are not watched, of which each is told by itself.
const UNWATCHED: usize = 20;

impl Service {
    /// Brings those warnings up to date that somebody must ask for.
    pub(super) fn look_for_warnings(&self) -> Result<(), LibraryError> {
        let notes = self.catalog.notes().into_iter();
        self.warnings.replace("catalog", notes.map(note).collect());
        // Nobody waits for a library here.
        let Some(library) = self.library.lock().clone() else {
            return Ok(());
        };
        let unwatched = library.unwatched()?;
        let beyond = unwatched.len().saturating_sub(UNWATCHED);
        let mut now: Vec<Warning> = unwatched
            .into_iter()
            .take(UNWATCHED)
            .map(|(path, reason)| {
                let path = path_text(&path);
                let id = warnings::id_of_text("watch", &path);
                let text = format!("{path} is not watched: {reason}");
                Warning::new(id, Severity::Info, text)
            })
            .collect();
        if beyond > 0 {
            let text = format!("{beyond} more folders are not watched");
            now.push(
                Warning::new("watch.more", Severity::Info, text)
                    .remedy("`mediafs doctor` lists them"),
            );
        }
        if library.lost_events() > 0 {
            let text = format!(
                "the system lost track of changes {} times; everything was scanned again",
                library.lost_events()
            );
            now.push(Warning::new("watch.lostEvents", Severity::Info, text));
        }
        self.warnings.replace("watch", now);
        Ok(())
    }

    pub(super) fn list_warnings(&self) -> Result<WarningList, RpcError> {
        self.look_for_warnings()?;
        Ok(WarningList {
            warnings: self.warnings.all(),
        })
    }

    pub(super) fn list_tasks(&self) -> TaskList {
        let mut tasks = self.running.tasks();
        if let Some(source) = self.task_source.get() {
            tasks.extend(source.tasks());
        }
        TaskList { tasks }
    }

    pub(super) fn cancel(&self, params: CancelParams) -> Result<Nothing, RpcError> {
        // Requests are cancelled by the connection they came on; here nothing is under way beside this one.
        let Some(task) = params.task else {
            return match params.request {
                Some(_) => Ok(Nothing {}),
                None => Err(RpcError::new(
                    Reason::InvalidParameter,
                    "name the task or the request that is to be cancelled",
                )),
            };
        };
        let by_source = || self.task_source.get().is_some_and(|own| own.cancel(&task));
        if self.running.cancel(&task) || by_source() {
            return Ok(Nothing {});
        }
        Err(RpcError::new(
            Reason::NotFound,
            format!("there is no task {task:?}; it may have ended"),
        )
        .remedy("`mediafs tasks` lists them"))
    }
}

/// What had to be done to the catalog's files.
fn note(text: String) -> Warning {
    Warning::new(
        warnings::id_of_text("catalog", &text),
        Severity::Warning,
        text,
    )
}

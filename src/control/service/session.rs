//! What is wrong and what is going on: warnings and tasks.

use super::{Service, warnings};
use crate::catalog::{BaseKind, CatalogError};
use crate::control::methods::*;
use crate::control::tasks::{ENDED_KEPT, TaskSource};
use crate::control::{Reason, RpcError, Severity, Warning};
use crate::library::LibraryError;
use crate::model::path_text;

/// The area of warnings of projects that lack sounds.
const LOST: &str = "project.missing";
/// So many missing sounds of a project are named.
const LOST_NAMED: u32 = 10;
/// Folders that are not watched, of which each is told by itself.
const UNWATCHED: usize = 20;

impl Service {
    /// Brings those warnings up to date that somebody must ask for.
    pub(super) fn look_for_warnings(&self) -> Result<(), LibraryError> {
        self.look_at_takes()?;
        let notes = self.catalog.notes().into_iter();
        self.warnings.replace("catalog", notes.map(note).collect());
        self.look_for_lost_items()?;
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
                    .remedy("drive.check lists them")
                    .command("`mediafs doctor` lists them"),
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

    /// Open projects that lack sounds, whether somebody plays them or not.
    fn look_for_lost_items(&self) -> Result<(), CatalogError> {
        let reader = self.catalog.reader()?;
        let mut now = Vec::new();
        for base in reader.bases()? {
            if base.kind != BaseKind::Project || !base.active {
                continue;
            }
            let (count, first) = reader.lost_items(base.row, LOST_NAMED)?;
            let sounds = match count {
                0 => continue,
                1 => "1 sound of it is".to_owned(),
                count => format!("{count} sounds of it are"),
            };
            let id = warnings::id_of_text(LOST, &path_text(&base.path));
            let text = format!("the project {} is not whole: {sounds} missing", base.name);
            now.push(
                Warning::new(id, Severity::Warning, text)
                    .remedy("put the files back, or look for them with media.relinkSearch")
                    .command(
                        "put the files back, or look for them: `mediafs relink --search FOLDER`",
                    )
                    .about(count, first),
            );
        }
        self.warnings.replace(LOST, now);
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
        let mut ended = self.running.ended();
        if let Some(source) = self.task_source.get() {
            tasks.extend(source.tasks());
            ended.extend(source.ended());
        }
        // Two lists, each in the order of time: by when they began is near enough.
        ended.sort_by_key(|task| std::cmp::Reverse(task.since));
        ended.truncate(ENDED_KEPT);
        TaskList { tasks, ended }
    }

    pub(super) fn task(&self, params: &TaskParams) -> TaskAnswer {
        let others = || self.task_source.get()?.task(&params.task);
        TaskAnswer {
            task: self.running.task(&params.task).or_else(others),
        }
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
        .remedy("session.tasks lists them")
        .command("`mediafs tasks` lists them"))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::Catalog;
    use crate::config::CacheConfig;
    use crate::control::events::{Event, Topics};
    use crate::control::service::LazyStore;
    use crate::control::tasks::{TaskInfo, TaskState};
    use crate::control::{BlockingClient as Client, Handler};
    use crate::home::Home;

    /// Has one task until that is cancelled.
    struct One(Mutex<Option<TaskInfo>>);

    impl TaskSource for One {
        fn tasks(&self) -> Vec<TaskInfo> {
            self.0.lock().clone().into_iter().collect()
        }

        fn cancel(&self, id: &str) -> bool {
            self.0.lock().take_if(|task| task.id == id).is_some()
        }
    }

    fn service() -> (tempfile::TempDir, Arc<Service>) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(folder.path())).unwrap();
        let catalog = Catalog::open(folder.path()).unwrap();
        let cache = LazyStore::new(&home, &CacheConfig::default());
        (folder, Arc::new(Service::new(&home, catalog, cache)))
    }

    #[test]
    fn tasks_of_others_are_listed_and_cancelled() {
        let (_folder, service) = service();
        let info: TaskInfo = serde_json::from_value(json!({
            "id": "fetch-1", "kind": "hydrate", "mediaId": "kick", "state": "queued", "bytes": 0,
            "total": 100, "rate": null, "since": 1, "priority": "player", "reason": null,
        }))
        .unwrap();
        service.set_task_source(Arc::new(One(Mutex::new(Some(info.clone())))));
        let own = service.running.begin(TaskKind::Verify);
        let mut told = service.events.subscribe(Topics::all(), None).unwrap();
        let mut client = Client::here(Arc::clone(&service) as Arc<dyn Handler>).unwrap();
        let tasks = client.call::<SessionTasks>(&Nothing {}).unwrap().tasks;
        assert_eq!((tasks.len(), &tasks[1]), (2, &info));
        let cancel = |client: &mut Client, id: &str| {
            client.call::<SessionCancel>(&CancelParams {
                task: Some(id.to_owned()),
                request: None,
            })
        };
        cancel(&mut client, "fetch-1").unwrap();
        assert!(cancel(&mut client, "fetch-1").is_err(), "it is gone");
        cancel(&mut client, &tasks[0].id).unwrap();
        assert!(own.is_cancelled());
        // As it would be after a panic.
        drop(own);
        let Event::TaskEnded(ended) = told.take().unwrap().event.clone() else {
            panic!("the end is not told");
        };
        assert_eq!(ended.state, TaskState::Failed);
        assert!(service.list_tasks().tasks.is_empty());
        let neither = service.handle("session.cancel", json!({}), &mut Nobody);
        assert_eq!(neither.unwrap_err().reason, Reason::InvalidParameter);
    }

    #[test]
    fn work_of_every_kind_is_cancelled_and_remembered_for_a_while() {
        use crate::control::tasks::ENDED_KEPT;
        let (_folder, service) = service();
        let mut client = Client::here(Arc::clone(&service) as Arc<dyn Handler>).unwrap();
        for kind in [TaskKind::Import, TaskKind::Scan, TaskKind::Verify] {
            let work = service.running.begin(kind);
            let list = client.call::<SessionTasks>(&Nothing {}).unwrap();
            let [task] = list.tasks.as_slice() else {
                panic!("{list:?}");
            };
            assert_eq!((task.kind, task.state), (kind, TaskState::Running));
            let params = CancelParams {
                task: Some(task.id.clone()),
                request: None,
            };
            client.call::<SessionCancel>(&params).unwrap();
            assert!(work.is_cancelled());
            work.end(TaskState::Cancelled, Some("as asked".to_owned()));
            let list = client.call::<SessionTasks>(&Nothing {}).unwrap();
            assert!(list.tasks.is_empty());
            let known = TaskParams {
                task: task.id.clone(),
            };
            let ended = client.call::<SessionTask>(&known).unwrap().task.unwrap();
            assert_eq!(ended.state, TaskState::Cancelled);
            assert!(list.ended.contains(&ended));
            assert!(client.call::<SessionCancel>(&params).is_err());
        }
        for _ in 0..2 * ENDED_KEPT {
            service
                .running
                .begin(TaskKind::Scan)
                .end(TaskState::Done, None);
        }
        let list = service.list_tasks();
        assert_eq!(list.ended.len(), ENDED_KEPT);
        assert!(list.ended.iter().all(|task| task.state == TaskState::Done));
    }

    #[test]
    fn a_warning_goes_to_status_and_list_until_it_is_cleared() {
        let (_folder, service) = service();
        let warning = Warning::new("volume.red", crate::control::Severity::Error, "RED is away")
            .remedy("plug it in");
        service.warnings().raise(warning);
        let status = service.status().unwrap();
        assert_eq!(status.warnings, ["RED is away; plug it in"]);
        assert_eq!(
            service.list_warnings().unwrap().warnings[0].id,
            "volume.red"
        );
        assert!(service.warnings().clear("volume.red"));
        assert!(service.status().unwrap().warnings.is_empty());
    }

    struct Nobody;

    impl crate::control::Caller for Nobody {
        fn tell(&mut self, _: &Notification) -> Result<(), crate::control::CallerGone> {
            Err(crate::control::CallerGone)
        }

        fn gone(&self) -> bool {
            true
        }
    }

    #[test]
    fn there_are_no_events_without_a_daemon() {
        let (_folder, service) = service();
        let refused = service.handle(
            "session.subscribe",
            Value::Object(Default::default()),
            &mut Nobody,
        );
        assert_eq!(refused.unwrap_err().reason, Reason::NoDaemon);
        assert!(Handler::events(service.as_ref()).is_none());
    }
}

//! Library roots: looked at again, and taken off.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Service, cancelled};
use crate::catalog::{BaseKind, BaseRow};
use crate::control::events::{Event, LibraryScanned};
use crate::control::methods::*;
use crate::control::tasks::{TELL_EVERY, TaskState};
use crate::control::{Caller, Reason, RpcError, WirePath};
use crate::library::{Library, Phase, ProgressSnapshot, Scan, ScanEnd};
use crate::model::path_text;

/// A scan in the background is listed when it lasts longer.
const LASTING: Duration = Duration::from_secs(1);

impl Service {
    pub(super) fn scan(
        &self,
        params: &ScanParams,
        caller: &mut dyn Caller,
    ) -> Result<ScanAnswer, RpcError> {
        use crate::library::Which as Roots;
        let library = self.library()?;
        let roots = match &params.path {
            None => Roots::All,
            Some(path) => {
                let base = library.base_at(&path.0)?.filter(|base| base.active);
                Roots::One(base.ok_or_else(|| self.no_root(path))?.row)
            }
        };
        let progress = crate::library::Progress::default();
        let (_, is_cancelled) = super::import::watched(
            self.running.begin(TaskKind::Scan),
            caller,
            &mut || scan_progress(&progress.snapshot()),
            |cancel| library.scan_now(&roots, &progress, cancel),
        )?;
        if is_cancelled || caller.gone() {
            return Err(cancelled());
        }
        let seen = progress.snapshot();
        self.events.publish(Event::LibraryScanned(LibraryScanned {
            path: params.path.clone(),
            files: seen.seen,
            read: seen.done,
            problems: seen.failed,
        }));
        Ok(ScanAnswer {
            files: seen.seen,
            read: seen.done,
            problems: seen.failed,
        })
    }

    pub(super) fn forget_library(
        &self,
        params: &ForgetLibraryParams,
    ) -> Result<ForgottenLibrary, RpcError> {
        let library = self.library()?;
        let named = match &params.name {
            Some(name) => self.catalog.reader()?.base_named(BaseKind::Library, name)?,
            None => None,
        };
        let base = match (named, &params.path) {
            (Some(base), _) => Some(base),
            (None, Some(path)) => library.base_at(&path.0)?,
            (None, None) => None,
        };
        let base = base
            .filter(|base| base.kind == BaseKind::Library && base.active)
            .ok_or_else(|| match (&params.name, &params.path) {
                (Some(name), _) => no_library(name),
                (None, Some(path)) => no_library(&path.to_string()),
                (None, None) => {
                    RpcError::new(Reason::InvalidParameter, "name a library by name or path")
                }
            })?;
        let summary = format!("took the library {} off", base.name);
        let mut draft = super::history::draft("forgetLibrary", summary, &params.intent);
        library.forget_noted(&base, &mut draft)?;
        Ok(ForgottenLibrary {
            base: BaseStatus::from(BaseRow {
                active: false,
                ..base
            }),
            operation: super::history::recorded(&draft),
        })
    }
}

impl Service {
    /// Scans in the background are tasks too, if they last.
    pub(super) fn follow_scans(self: &Arc<Self>, library: &Library) {
        let service = Arc::downgrade(self);
        library.tell_scans(move |scan| {
            let Some(service) = service.upgrade() else {
                return;
            };
            let following = std::thread::Builder::new()
                .name("mediafs-follow".to_owned())
                .spawn(move || service.follow_scan(&scan));
            if let Err(error) = following {
                tracing::warn!(%error, "a scan is not listed");
            }
        });
    }

    fn follow_scan(&self, scan: &Scan) {
        // Polls of a volume that has not changed are nobody's business.
        if scan.wait(LASTING).is_some() {
            return;
        }
        let name = scan.root().map(|root| self.volume_name(root));
        let mut task = self.running.begin_on(TaskKind::Scan, name);
        let end = loop {
            let end = scan.wait(TELL_EVERY);
            task.progress(&scan_progress(&scan.progress()));
            match end {
                Some(end) => break end,
                None if task.is_cancelled() => scan.cancel(),
                None => {}
            }
        };
        match end {
            ScanEnd::Done => task.end(TaskState::Done, None),
            ScanEnd::Cancelled => task.end(
                TaskState::Cancelled,
                Some("what it has not reached is looked at when a scan is asked for".to_owned()),
            ),
            ScanEnd::Failed => task.end(
                TaskState::Failed,
                Some("the catalog failed; the log says more".to_owned()),
            ),
        }
    }

    /// The name of the volume that is mounted there; the path, where it has none.
    fn volume_name(&self, root: &Path) -> String {
        let sources = self.catalog.reader().and_then(|reader| reader.sources());
        let mut sources = sources.unwrap_or_default().into_iter();
        let named = sources.find(|source| source.path == root);
        named.map_or_else(|| path_text(root), |source| source.name)
    }

    /// What to scan instead of a folder that is no root.
    fn no_root(&self, path: &WirePath) -> RpcError {
        let bases = self.catalog.reader().and_then(|reader| reader.bases());
        let above = bases.unwrap_or_default().into_iter().find(|base| {
            base.kind != BaseKind::Computer && base.active && path.0.starts_with(&base.path)
        });
        match above {
            Some(base) => RpcError::new(
                Reason::NotFound,
                format!("{path} is only a part of a library"),
            )
            .remedy(format!("scan the whole of it: {}", path_text(&base.path))),
            None => no_library(&path.to_string()),
        }
    }
}

fn no_library(what: &str) -> RpcError {
    RpcError::new(Reason::NotFound, format!("there is no library {what:?}"))
        .remedy("drive.status lists them, and media.import of a folder adds one")
        .command("`mediafs status` lists them, and `mediafs import FOLDER` adds one")
}

impl From<BaseRow> for BaseStatus {
    fn from(base: BaseRow) -> Self {
        Self {
            name: base.name,
            path: base.path.as_path().into(),
            active: base.active,
            problem: None,
        }
    }
}

/// How far a scan is, in the protocol's words.
pub(super) fn scan_progress(progress: &ProgressSnapshot) -> TaskProgress {
    let looking = matches!(progress.phase, Phase::Looking | Phase::Idle);
    TaskProgress {
        kind: TaskKind::Scan,
        subject: "library folders".to_owned(),
        done: if looking {
            progress.seen
        } else {
            progress.done
        },
        total: (!looking).then_some(progress.expected),
    }
}

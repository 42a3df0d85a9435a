//! Answers the methods of the control protocol for one home.
//!
//! One [`Service`] holds what a home has: catalog, library, cache, requesters. The daemon puts it behind the socket;
//! a command that finds no daemon asks it in its own process. What only a daemon can do says so there.

mod analysis;
mod away;
mod cache;
mod carrying;
mod changes;
mod drive;
mod drop_box;
mod errors;
mod find;
mod history;
#[cfg(test)]
mod hostile;
mod import;
mod libraries;
mod media;
mod projects;
mod ready;
mod relink;
mod resolve;
mod session;
mod sidecars;
mod stand_ins;
mod takes;
mod translate;
mod unused;
mod usages;
mod volumes;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use lru::LruCache;
use mediafs_platform::mount::Mounted;
use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use tokio::sync::watch;

use super::events::Events;
use super::methods::*;
use super::params;
use super::tasks::{Running, TaskSource};
use super::warnings::{self, Severity, Warning, Warnings};
use super::{Caller, Handler, Reason, RpcError, WirePath};
use crate::catalog::{Catalog, PlaceNo};
use crate::config::Config;
use crate::control::rpc::one_line;
use crate::daemon::Away;
use crate::home::{Home, HomeLock};
use crate::library::{ByFacts, Library, Suggest};
use crate::project::takes::Takes;
use crate::tree::MediaDrive;
use crate::tree::class::Requesters;

pub(crate) use away::{FULL, LATE};
pub use cache::LazyStore;
use carrying::Carrying;
use stand_ins::SilenceHashes;

/// How long a request waits for a library that is just being started.
const LIBRARY_PATIENCE: Duration = Duration::from_secs(30);

/// What brings sounds that are in a library elsewhere.
const FROM_ELSEWHERE: &str = "where that library is, save the project as another one that collects its sounds, or relink the \
                              item to another file";

/// The area of warnings of what could not be done at the start.
const START: &str = "start";

/// What a service has only in a daemon.
pub struct DaemonSide {
    /// Who is what to the drive.
    pub requesters: Arc<Requesters>,
    /// The drive, once it is mounted, as it was then.
    pub mount: Mutex<Option<MountStatus>>,
    /// The mount itself: how it is may change.
    pub mounted: OnceLock<Weak<Mounted>>,
    /// What the drive holds now.
    pub drive: OnceLock<Weak<MediaDrive>>,
    /// Set to end the daemon.
    pub shutdown: watch::Sender<bool>,
}

impl DaemonSide {
    fn mount_now(&self) -> Option<MountStatus> {
        let mut status = self.mount.lock().clone()?;
        if let Some(mounted) = self.mounted.get().and_then(Weak::upgrade) {
            let passthrough = mounted.passthrough();
            status.passthrough = passthrough.is_in_force();
            status.passthrough_note = passthrough.to_string();
        }
        if let Some(drive) = self.drive.get().and_then(Weak::upgrade) {
            let (handles, known) = drive.load();
            status.open_handles = u64::try_from(handles).unwrap_or(u64::MAX);
            status.known_files = u64::try_from(known).unwrap_or(u64::MAX);
        }
        Some(status)
    }
}

/// Answers for one home.
pub struct Service {
    home: Home,
    catalog: Arc<Catalog>,
    cache: LazyStore,
    library: Mutex<Option<Arc<Library>>>,
    library_came: Condvar,
    daemon: Option<DaemonSide>,
    /// What is not on trusted storage, of a daemon.
    away: OnceLock<Arc<Away>>,
    silence_hashes: SilenceHashes,
    takes: Arc<Takes>,
    take_sizes: Mutex<takes::Sizes>,
    /// Who can suggest files for items.
    suggesting: Vec<Box<dyn Suggest>>,
    events: Arc<Events>,
    warnings: Warnings,
    /// Work of the requests.
    running: Running,
    /// Takes that are to be brought to their projects.
    carrying: Carrying,
    /// Whoever else has tasks.
    task_source: OnceLock<Arc<dyn TaskSource>>,
    /// Kept by a command for as long as it works; a daemon keeps its own.
    _lock: Option<HomeLock>,
}

impl Service {
    /// For a command without a daemon, under the lock of the home.
    #[must_use]
    pub fn of_command(
        home: &Home,
        lock: HomeLock,
        config: &Config,
        catalog: Arc<Catalog>,
        library: Library,
    ) -> Self {
        let service = Self::new(home, catalog, LazyStore::new(home, &config.cache));
        Self {
            library: Mutex::new(Some(Arc::new(library))),
            _lock: Some(lock),
            ..service
        }
    }

    fn new(home: &Home, catalog: Arc<Catalog>, cache: LazyStore) -> Self {
        let events = Arc::<Events>::default();
        Self {
            home: home.clone(),
            catalog,
            cache,
            library: Mutex::new(None),
            library_came: Condvar::new(),
            daemon: None,
            away: OnceLock::new(),
            silence_hashes: Mutex::new(LruCache::new(stand_ins::REMEMBERED)),
            takes: Takes::new(&crate::home::real(home.data())),
            take_sizes: Mutex::default(),
            suggesting: vec![Box::new(ByFacts)],
            warnings: Warnings::new(Arc::clone(&events)),
            running: Running::new(Arc::clone(&events)),
            events,
            carrying: Carrying::default(),
            task_source: OnceLock::new(),
            _lock: None,
        }
    }

    /// For a daemon. Its library comes when the drive is mounted: [`Service::set_library`].
    #[must_use]
    pub fn of_daemon(
        home: &Home,
        catalog: Arc<Catalog>,
        cache: LazyStore,
        daemon: DaemonSide,
    ) -> Self {
        Self {
            daemon: Some(daemon),
            away: OnceLock::new(),
            silence_hashes: Mutex::new(LruCache::new(stand_ins::REMEMBERED)),
            ..Self::new(home, catalog, cache)
        }
    }

    /// The library has started; requests that wait for it go on.
    pub fn set_library(self: &Arc<Self>, library: Arc<Library>) {
        self.follow_scans(&library);
        *self.library.lock() = Some(Arc::clone(&library));
        self.start_carrying(&library);
        self.library_came.notify_all();
    }

    /// Sounds that are not on trusted storage are brought by this from now on. Only the first call counts.
    pub fn set_away(&self, away: &Arc<Away>) {
        let _ = self.away.set(Arc::clone(away));
        self.set_task_source(Arc::clone(away) as Arc<dyn TaskSource>);
    }

    /// A file is not what the catalog says: the library looks at it soon.
    pub fn look_at_place(&self, place: PlaceNo) {
        let library = self.library.lock().clone();
        if let Some(library) = library
            && let Err(error) = library.reconcile_place(place)
        {
            tracing::warn!(error = one_line(&error), "a file could not be looked at");
        }
    }

    /// Asks for a look at a base, where somebody looks.
    pub(crate) fn scan_base(&self, base: crate::catalog::BaseNo) {
        if let Some(library) = self.library.lock().clone() {
            library.scan(&crate::library::Which::One(base));
        }
    }

    /// A source is back: asks for a look at what is on it.
    pub(crate) fn look_at_source(&self, source: crate::model::SourceNo) {
        let Some(library) = self.library.lock().clone() else {
            return;
        };
        match self.catalog.reader().and_then(|reader| reader.bases()) {
            Ok(bases) => {
                for base in bases.iter().filter(|base| base.source == Some(source)) {
                    if base.active {
                        library.scan(&crate::library::Which::One(base.row));
                        self.carry_takes_soon(&library, base);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = one_line(&error), "what is back is not looked at");
            }
        }
    }

    /// The library has ended; later requests fail.
    pub fn take_library(&self) -> Option<Arc<Library>> {
        self.library.lock().take()
    }

    /// Something could not be done at the start: a warning for as long as the daemon runs.
    ///
    /// Gives its id.
    pub fn warn(&self, text: String) -> String {
        let id = warnings::id_of_text(START, &text);
        let warning = Warning::new(id.clone(), Severity::Warning, text);
        self.warnings.raise(warning);
        id
    }

    /// What is not as it should be; raise and clear at will.
    #[must_use]
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Where to publish what happens.
    #[must_use]
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Whoever has tasks beside this service. Set once.
    pub fn set_task_source(&self, source: Arc<dyn TaskSource>) {
        if self.task_source.set(source).is_err() {
            tracing::error!("a second source of tasks is not asked");
        }
    }

    /// What only a daemon has.
    #[must_use]
    pub fn daemon(&self) -> Option<&DaemonSide> {
        self.daemon.as_ref()
    }

    fn library(&self) -> Result<Arc<Library>, RpcError> {
        let mut library = self.library.lock();
        let _ = self.library_came.wait_while_for(
            &mut library,
            |library| library.is_none(),
            LIBRARY_PATIENCE,
        );
        library.clone().ok_or_else(|| {
            RpcError::new(Reason::Refused, "the daemon is starting or ending")
                .remedy("try again in a moment")
        })
    }

    fn daemon_needed(&self) -> Result<&DaemonSide, RpcError> {
        self.daemon.as_ref().ok_or_else(|| {
            RpcError::new(Reason::NoDaemon, "no drive is mounted from this home")
                .remedy("`mediafs ensure --json` starts it")
                .command("start it with `mediafs mount`")
        })
    }

    fn mount_point(&self) -> Option<PathBuf> {
        let mount = self.daemon.as_ref()?.mount.lock();
        mount.as_ref().map(|mount| mount.point.0.clone())
    }

    fn hello(&self, params: &HelloParams) -> Result<Hello, RpcError> {
        tracing::debug!(client = params.client.as_deref(), "a client says hello");
        Ok(Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: params.negotiate()?,
            oldest_protocol: OLDEST_PROTOCOL,
            pid: std::process::id(),
            instance: self.events.instance().to_owned(),
            mount: self.mount_point().map(WirePath),
        })
    }

    fn shutdown(&self) -> Result<Nothing, RpcError> {
        // Fails only if the daemon is ending already.
        let _ = self.daemon_needed()?.shutdown.send(true);
        Ok(Nothing {})
    }

    fn register(&self, params: &RegisterParams) -> Result<Nothing, RpcError> {
        self.daemon_needed()?.requesters.register(
            params.process(),
            params.started(),
            params.class,
            params.strict,
        )?;
        Ok(Nothing {})
    }

    fn set_mode(&self, params: &SetModeParams) -> Result<Nothing, RpcError> {
        self.daemon_needed()?.requesters.set_mode(
            params.process(),
            params.started(),
            params.strict,
        )?;
        Ok(Nothing {})
    }
}

/// Reads the parameters, does the work, writes the answer.
fn answer<M: Method>(
    params: Value,
    work: impl FnOnce(M::Params) -> Result<M::Answer, RpcError>,
) -> Result<Value, RpcError> {
    serde_json::to_value(work(params::read::<M>(params)?)?)
        .map_err(|error| RpcError::new(Reason::Internal, format!("{}: {error}", M::NAME)))
}

impl Handler for Service {
    fn handle(
        &self,
        method: &str,
        params: Value,
        caller: &mut dyn Caller,
    ) -> Result<Value, RpcError> {
        match method {
            SessionHello::NAME => answer::<SessionHello>(params, |params| self.hello(&params)),
            SessionCancel::NAME => answer::<SessionCancel>(params, |params| self.cancel(params)),
            // Connections answer these themselves: here nobody stays to be told.
            SessionSubscribe::NAME => answer::<SessionSubscribe>(params, |_| Err(nobody_stays())),
            SessionUnsubscribe::NAME => answer::<SessionUnsubscribe>(params, |_| Ok(Nothing {})),
            SessionWarnings::NAME => answer::<SessionWarnings>(params, |_| self.list_warnings()),
            SessionTask::NAME => answer::<SessionTask>(params, |params| Ok(self.task(&params))),
            SessionTasks::NAME => answer::<SessionTasks>(params, |_| Ok(self.list_tasks())),
            SessionShutdown::NAME => answer::<SessionShutdown>(params, |_| self.shutdown()),
            DriveStatus::NAME => answer::<DriveStatus>(params, |_| self.status()),
            DriveCheck::NAME => answer::<DriveCheck>(params, |_| self.check()),
            DriveProblems::NAME => answer::<DriveProblems>(params, |params| self.problems(params)),
            MediaGet::NAME => answer::<MediaGet>(params, |params| self.get(&params)),
            MediaSearch::NAME => answer::<MediaSearch>(params, |params| self.search(&params)),
            MediaImport::NAME => {
                answer::<MediaImport>(params, |params| self.import(&params, caller))
            }
            MediaScan::NAME => answer::<MediaScan>(params, |params| self.scan(&params, caller)),
            MediaForgetLibrary::NAME => {
                answer::<MediaForgetLibrary>(params, |params| self.forget_library(&params))
            }
            MediaResolve::NAME => answer::<MediaResolve>(params, |params| self.resolve(&params)),
            PathsTranslate::NAME => {
                answer::<PathsTranslate>(params, |params| self.translate(&params))
            }
            MediaRelink::NAME => answer::<MediaRelink>(params, |params| self.relink(&params)),
            MediaRename::NAME => answer::<MediaRename>(params, |params| self.rename(&params)),
            MediaRemove::NAME => answer::<MediaRemove>(params, |params| self.remove(&params)),
            MediaForgetUnused::NAME => {
                answer::<MediaForgetUnused>(params, |params| self.forget_unused(&params))
            }
            MediaTag::NAME => answer::<MediaTag>(params, |params| self.tag(&params)),
            MediaUntag::NAME => answer::<MediaUntag>(params, |params| self.untag(&params)),
            MediaReserve::NAME => answer::<MediaReserve>(params, |params| self.reserve(&params)),
            MediaFinalise::NAME => answer::<MediaFinalise>(params, |params| self.finalise(&params)),
            MediaAbandon::NAME => answer::<MediaAbandon>(params, |params| self.abandon(&params)),
            MediaTakes::NAME => answer::<MediaTakes>(params, |params| self.list_takes(&params)),
            MediaCleanup::NAME => answer::<MediaCleanup>(params, |params| self.cleanup(&params)),
            MediaSetAttribute::NAME => {
                answer::<MediaSetAttribute>(params, |params| self.set_attribute(&params))
            }
            MediaRelinkSearch::NAME => {
                answer::<MediaRelinkSearch>(params, |params| self.relink_search(&params, caller))
            }
            MediaCandidates::NAME => {
                answer::<MediaCandidates>(params, |params| self.candidates(&params))
            }
            MediaReplace::NAME => answer::<MediaReplace>(params, |params| self.replace(&params)),
            UsagesList::NAME => answer::<UsagesList>(params, |params| self.list_usages(&params)),
            UsagesAdd::NAME => {
                answer::<UsagesAdd>(params, |params| self.change_usages(&params, true))
            }
            UsagesRemove::NAME => {
                answer::<UsagesRemove>(params, |params| self.change_usages(&params, false))
            }
            UsagesSet::NAME => answer::<UsagesSet>(params, |params| self.set_usages(&params)),
            AnalysisWanted::NAME => {
                answer::<AnalysisWanted>(params, |params| self.analysis_wanted(&params))
            }
            AnalysisPut::NAME => answer::<AnalysisPut>(params, |params| self.analysis_put(&params)),
            AnalysisGet::NAME => answer::<AnalysisGet>(params, |params| self.analysis_get(&params)),
            HistoryList::NAME => answer::<HistoryList>(params, |params| self.history(&params)),
            HistoryRevert::NAME => answer::<HistoryRevert>(params, |params| self.revert(&params)),
            HistoryUndo::NAME => answer::<HistoryUndo>(params, |params| self.undo(&params)),
            HistoryRedo::NAME => answer::<HistoryRedo>(params, |params| self.redo(&params)),
            RequestersRegister::NAME => {
                answer::<RequestersRegister>(params, |params| self.register(&params))
            }
            RequestersSetMode::NAME => {
                answer::<RequestersSetMode>(params, |params| self.set_mode(&params))
            }
            MediaHydrate::NAME => answer::<MediaHydrate>(params, |params| self.hydrate(&params)),
            MediaPin::NAME => answer::<MediaPin>(params, |params| self.pin(&params, true)),
            MediaUnpin::NAME => answer::<MediaUnpin>(params, |params| self.pin(&params, false)),
            MediaWhereIs::NAME => answer::<MediaWhereIs>(params, |params| self.where_is(&params)),
            MediaSilences::NAME => answer::<MediaSilences>(params, |_| self.silences()),
            MediaStandIn::NAME => answer::<MediaStandIn>(params, |params| self.stand_in(&params)),
            MediaSilence::NAME => answer::<MediaSilence>(params, |params| self.silence(&params)),
            MediaPromote::NAME => answer::<MediaPromote>(params, |params| self.promote(&params)),
            ProjectNew::NAME => answer::<ProjectNew>(params, |params| self.project_new(&params)),
            ProjectOpen::NAME => answer::<ProjectOpen>(params, |params| self.project_open(&params)),
            ProjectSave::NAME => answer::<ProjectSave>(params, |params| self.project_save(&params)),
            ProjectSaveAs::NAME => {
                answer::<ProjectSaveAs>(params, |params| self.project_save_as(&params, caller))
            }
            ProjectSaveDraft::NAME => {
                answer::<ProjectSaveDraft>(params, |params| self.save_draft(&params))
            }
            ProjectDraft::NAME => answer::<ProjectDraft>(params, |params| self.draft(&params)),
            ProjectRemoveDraft::NAME => {
                answer::<ProjectRemoveDraft>(params, |params| self.remove_draft(&params))
            }
            ProjectClose::NAME => {
                answer::<ProjectClose>(params, |params| self.project_close(&params))
            }
            ProjectList::NAME => answer::<ProjectList>(params, |_| self.projects()),
            ProjectStatus::NAME => {
                answer::<ProjectStatus>(params, |params| self.project_status(&params))
            }
            ProjectAllow::NAME => {
                answer::<ProjectAllow>(params, |params| self.project_allow(&params))
            }
            ProjectExport::NAME => {
                answer::<ProjectExport>(params, |params| self.project_export(&params))
            }
            ProjectLoad::NAME => answer::<ProjectLoad>(params, |params| self.project_load(&params)),
            ProjectReady::NAME => {
                answer::<ProjectReady>(params, |params| self.project_ready(&params))
            }
            ProjectUse::NAME => answer::<ProjectUse>(params, |params| self.project_use(&params)),
            VolumeList::NAME => answer::<VolumeList>(params, |_| self.volumes()),
            VolumeEject::NAME => answer::<VolumeEject>(params, |params| self.eject(&params)),
            VolumeMark::NAME => answer::<VolumeMark>(params, |params| self.mark_volume(&params)),
            RequestersAllow::NAME => {
                answer::<RequestersAllow>(params, |params| self.allow(&params))
            }
            CacheStats::NAME => answer::<CacheStats>(params, |_| self.cache_stats()),
            CacheVerify::NAME => answer::<CacheVerify>(params, |_| self.cache_verify(caller)),
            CacheEvict::NAME => answer::<CacheEvict>(params, |params| self.cache_evict(params)),
            unknown => Err(RpcError::new(
                Reason::UnknownMethod,
                format!(
                    "there is no method {:?}; known are {}",
                    unknown.chars().take(80).collect::<String>(),
                    METHODS.join(", ")
                ),
            )),
        }
    }

    fn events(&self) -> Option<Arc<Events>> {
        self.daemon.is_some().then(|| Arc::clone(&self.events))
    }
}

fn nobody_stays() -> RpcError {
    RpcError::new(Reason::NoDaemon, "there are no events without a daemon")
        .remedy("`mediafs ensure --json` starts it")
        .command("start it with `mediafs mount`")
}

fn cancelled() -> RpcError {
    RpcError::new(
        Reason::Cancelled,
        "it was stopped; what was done until then stays",
    )
}

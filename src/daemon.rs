//! The daemon: puts the parts together, and takes them apart again.
//!
//! Start: lock the home, open the catalog, listen, mount, register the folders that were named, say `ready`; nothing of
//! that grows with the library. Only then libraries are scanned and watched, and the cache is opened. Stop, in an order that is bounded at
//! each step: unmount, end requests, end the library, close the catalog, give the home back.

mod away;
mod brakes;
mod ear;
mod folders;
mod keep;
mod log;
mod observing;
mod obstacle;
mod stand_ins;
mod written;

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::{Duration, SystemTime};

use mediafs_platform::cloud;
use mediafs_platform::endpoint::{EndpointError, Listener};
use mediafs_platform::limits;
use mediafs_platform::mount::{Ended, MountError, MountOptions, Mounted, Transport, mount};
use mediafs_platform::this_process::{self, EndSignals};
use mediafs_platform::volume::DeclaredTrusted;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::catalog::{Catalog, CatalogError, Nanoseconds, PlaceNo};
use crate::config::Config;
use crate::control::methods::MountStatus;
use crate::control::rpc::one_line;
use crate::control::service::{DaemonSide, LazyStore};
use crate::control::{Handler, Service, connections};
use crate::home::{Home, HomeError, HomeLock, Purpose};
use crate::library::drop_box::DropBox;
use crate::library::sidecars::Sidecars;
use crate::library::{Library, LibraryConfig, LibraryError};
use crate::model::path_text;
use crate::project::takes::{self, Takes};
use crate::storage::Outside;
use crate::tree::class::Requesters;
use crate::tree::{MediaDrive, Owner, Reconcile};

pub use away::Away;
pub(crate) use away::is_reached;
pub(crate) use brakes::warning_id as brake_warning;
pub use log::Log;
pub(crate) use obstacle::Obstacle;

/// How long a command at work on the home is waited for.
const HOME_PATIENCE: Duration = Duration::from_secs(5);

/// How long programs may go on with their open files after the drive is to be unmounted.
const GRACE: Duration = Duration::from_secs(2);

/// After this long the process ends, whatever still hangs.
const LONGEST_STOP: Duration = Duration::from_secs(15);

/// How long `ready` may wait for the cache to be opened.
const CACHE_BEFORE_READY: Duration = Duration::from_millis(500);
/// How long requests may still be answered when all else has ended.
const REQUESTS_END: Duration = Duration::from_secs(1);

/// Set in the environment, it makes the mount like one of systems other than Linux, which take one request at a time and read
/// nothing by themselves: for tests that nothing waits there.
const LIKE_ELSEWHERE: &str = "MEDIAFS_TEST_ONE_THREAD";

/// What a daemon is started with.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// Where its catalog is.
    pub home: Home,
    /// Its settings.
    pub config: Config,
    /// Where the drive is to appear.
    pub mountpoint: PathBuf,
    /// Folders to be registered as library roots, beside those that are.
    pub libraries: Vec<PathBuf>,
    /// Folders of projects to be opened.
    pub projects: Vec<PathBuf>,
    /// Let the kernel read trusted files itself where it can.
    pub passthrough: bool,
    /// How the drive gets to the system.
    pub transport: Transport,
}

/// Why the daemon could not start or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The home can't be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The catalog can't be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The library can't be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The control socket can't be had.
    #[error("the control socket cannot be used")]
    Endpoint(#[from] EndpointError),
    /// The drive can't be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A folder that was named is none, and never was one of ours.
    #[error(
        "{} was named as a library or project, but is no folder that can be used, so nothing was mounted; check its name",
        path_text(path)
    )]
    NoFolder {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The system gives no threads, signals or files.
    #[error("the daemon cannot start: {doing} failed")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The kernel took the mount away.
    #[error("the drive was cut off: {reason}; mount it again")]
    CutOff {
        /// Why.
        reason: String,
    },
}

fn system(doing: &'static str) -> impl FnOnce(io::Error) -> DaemonError {
    move |source| DaemonError::System { doing, source }
}

/// The service of a home for a command that found no daemon. It holds the lock as long as it lives.
///
/// # Errors
/// [`DaemonError`] if the catalog can't be opened.
pub fn service_without_daemon(
    home: &Home,
    lock: HomeLock,
    config: &Config,
) -> Result<Arc<dyn Handler>, DaemonError> {
    let catalog = Catalog::open(home.data())?;
    let outside = outside(config, &catalog);
    // A command sees the sources as they are now.
    outside.look();
    let library = Library::open(
        Arc::clone(&catalog),
        home.data(),
        library_config(config, None, &outside),
    );
    let may_touch = |folder: &Path| library.untrusted(folder).is_none();
    takes::settle_moves(&catalog, &Takes::new(home.data()), &may_touch)?;
    let service = Service::of_command(home, lock, config, Arc::clone(&catalog), library);
    Ok(Arc::new(service))
}

fn library_config(
    config: &Config,
    mount_point: Option<PathBuf>,
    outside: &Outside,
) -> LibraryConfig {
    LibraryConfig {
        mount_point,
        trusted: declared(config),
        outside: Some(outside.clone()),
        ..LibraryConfig::default()
    }
}

fn declared(config: &Config) -> DeclaredTrusted {
    DeclaredTrusted {
        paths: config.trusted.clone(),
        devices: Vec::new(),
    }
}

fn outside(config: &Config, catalog: &Arc<Catalog>) -> Outside {
    let catalog = Arc::clone(catalog);
    Outside::new(catalog, declared(config), config.clouds.clone(), None)
}

/// Runs the daemon until it is told to end, by the control protocol, a signal, or an unmount by others. `ready` is
/// called once when the drive is mounted and answers, with the folders that could not be registered and why.
///
/// # Errors
/// [`DaemonError`] if it could not start, or the mount failed; everything was taken apart again by then.
pub fn run(
    options: &DaemonOptions,
    ready: impl FnOnce(&Mounted, &[String]) -> io::Result<()>,
) -> Result<(), DaemonError> {
    let DaemonOptions { home, config, .. } = options;
    // Dropped last.
    let (_running, ended) = mpsc::channel();
    limits::share_memory_between_threads();
    limits::raise_open_files();
    if let Err(error) = cloud::never_fetch_in_this_process() {
        tracing::warn!(%error, "reading a file of a cloud's may wait for its provider");
    }
    let lock = home.lock(Purpose::Daemon, HOME_PATIENCE)?;
    let catalog = Catalog::open(home.data())?;
    let outside = outside(config, &catalog);
    if let Err(error) = outside.watch() {
        tracing::error!(
            error = one_line(&error),
            "nobody tells when volumes come and go"
        );
    }
    let library_at = |mount_point| {
        let config = library_config(config, mount_point, &outside);
        Library::open(Arc::clone(&catalog), home.data(), config)
    };
    let unmounted = library_at(None);
    folders::check(options, &unmounted)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("mediafs-runtime")
        .enable_all()
        .build()
        .map_err(system("starting threads"))?;
    // Reads that wait are answered by threads of their own: players have some milliseconds, whatever the protocol's
    // clients are up to.
    let answers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("mediafs-answers")
        .enable_all()
        .build()
        .map_err(system("starting threads"))?;
    let requesters = Arc::new(Requesters::new(&config.requesters));
    let who = Arc::clone(&requesters);
    let cache = LazyStore::new(home, &config.cache);
    let (stop, stopped) = watch::channel(false);
    let service = Arc::new(Service::of_daemon(
        home,
        Arc::clone(&catalog),
        cache.clone(),
        DaemonSide {
            requesters: Arc::clone(&requesters),
            mount: Mutex::new(None),
            mounted: OnceLock::new(),
            drive: OnceLock::new(),
            shutdown: stop.clone(),
        },
    ));
    let may_touch = |folder: &Path| unmounted.untrusted(folder).is_none();
    takes::settle_moves(&catalog, service.takes(), &may_touch)?;
    takes::begin(&catalog)?;
    service.tell_changes().map_err(system("starting threads"))?;
    listen_for_signals(&runtime, &stop)?;
    serve(&runtime, home, &service, &stopped)?;

    let library = Arc::new(LateLibrary {
        before: unmounted,
        started: OnceLock::new(),
    });
    let (uid, gid) = this_process::user();
    let drive = MediaDrive::new(
        Arc::clone(&catalog),
        requesters,
        Arc::clone(&library) as Arc<dyn Reconcile>,
        Owner { uid, gid },
        home.data().to_owned(),
    );
    observing::begin(&catalog, &who, &drive).map_err(system("starting threads"))?;
    let away = Away::begin(&catalog, &outside, &cache, config, &service, &drive);
    service.set_away(&away);
    drive.record(Arc::clone(service.takes()));
    take_dropped(home, &service, &drive);
    keep_sidecars(home, &service, &drive);
    written::begin(&catalog, &service, &drive).map_err(system("starting threads"))?;
    let cache_opened = open_cache(&cache, &away);
    let mut mount_options = MountOptions::new(&options.mountpoint);
    mount_options.passthrough = options.passthrough;
    mount_options.transport = options.transport;
    mount_options.identity = home.data().to_string_lossy().into_owned();
    if std::env::var_os(LIKE_ELSEWHERE).is_some() {
        mount_options.threads = 1;
        mount_options.passthrough = false;
    }
    if let Some(daemon) = service.daemon() {
        // It is set nowhere else.
        let _ = daemon.drive.set(Arc::downgrade(&drive));
    }
    let mounted = Arc::new(mount(drive, &mount_options, answers.handle().clone())?);
    home.announce_mount(&lock, mounted.path())?;
    if let Some(daemon) = service.daemon() {
        *daemon.mount.lock() = Some(mount_status(&mounted));
        let _ = daemon.mounted.set(Arc::downgrade(&mounted));
    }
    tracing::info!(point = %mounted.path().display(), passthrough = %mounted.passthrough(), "ready");
    if let Err(error) = outside.sources.assign_clouds() {
        tracing::error!(
            error = one_line(&error),
            "which folders are a cloud's is not known"
        );
    }
    let registering = Arc::new(library_at(Some(mounted.path().to_owned())));
    let warnings = folders::register(options, &registering, &service, &outside);
    // Whoever sees `ready` finds them; there are never more than a few.
    service.recover_all_takes(&registering);
    // Whoever sees `ready` hears what is in the cache. One on a disk that hangs, or that can't be opened, keeps nobody.
    let _ = cache_opened.recv_timeout(CACHE_BEFORE_READY);
    // Nobody who reads it may be left; the drive is there all the same.
    let _ = ready(&mounted, &warnings);

    away.keep();
    let begun = begin_library(options, &mounted, &service, &library, &cache, &away);
    let outcome = match begun {
        Ok(()) => runtime.block_on(wait_for_end(&mounted, stopped)),
        Err(error) => Err(error.into()),
    };
    bound_the_end(ended);
    take_apart(&stop, &mounted, &service, &cache, &away, [runtime, answers]);
    drop(lock);
    outcome
}

/// Threads that hang in storage can't be ended; the process can, unless whoever holds the other end of `ended` has come to an
/// end by then.
fn bound_the_end(ended: mpsc::Receiver<Infallible>) {
    let watchdog = std::thread::Builder::new()
        .name("mediafs-stop".to_owned())
        .spawn(move || {
            if ended.recv_timeout(LONGEST_STOP) == Err(mpsc::RecvTimeoutError::Timeout) {
                tracing::error!("something does not end; the process ends without it");
                std::process::exit(1);
            }
        });
    if let Err(error) = watchdog {
        tracing::warn!(%error, "nothing bounds the end");
    }
}

/// What is put into `import/` becomes items.
fn take_dropped(home: &Home, service: &Arc<Service>, drive: &MediaDrive) {
    let opened = DropBox::open(&crate::home::real(home.data()));
    let kept = opened.and_then(|drop_box| {
        service.keep_drop_box(Arc::clone(&drop_box))?;
        drive.take_dropped(drop_box);
        Ok(())
    });
    if let Err(error) = kept {
        let text = format!("nothing can be put into import/: {error}");
        tracing::error!(%error, "there is no drop box");
        service.warn(text);
    }
}

/// What programs write beside sounds is kept.
fn keep_sidecars(home: &Home, service: &Arc<Service>, drive: &MediaDrive) {
    match Sidecars::open(crate::home::real(home.data())) {
        Ok(sidecars) => drive.keep_sidecars(sidecars),
        Err(error) => {
            let text = format!("nothing can be written beside sounds: {error}");
            tracing::error!(%error, "there are no sidecars");
            service.warn(text);
        }
    }
}

/// The library for the drive: it starts only when the drive is ready, but the drive may ask for a second look before.
struct LateLibrary {
    /// Without threads.
    before: Library,
    started: OnceLock<Weak<Library>>,
}

impl Reconcile for LateLibrary {
    fn reconcile(&self, place: PlaceNo) {
        let started = self.started.get().and_then(Weak::upgrade);
        let library = started.as_deref().unwrap_or(&self.before);
        if let Err(error) = library.reconcile_place(place) {
            tracing::warn!(
                place = place.0,
                error = one_line(&error),
                "a second look failed"
            );
        }
    }

    fn is_trusted(&self, path: &Path) -> bool {
        let started = self.started.get().and_then(Weak::upgrade);
        let library = started.as_deref().unwrap_or(&self.before);
        library.untrusted(path).is_none()
    }

    fn in_use(&self) {
        if let Some(library) = self.started.get().and_then(Weak::upgrade) {
            library.note_use();
        }
    }
}

fn mount_status(mounted: &Mounted) -> MountStatus {
    let passthrough = mounted.passthrough();
    MountStatus {
        point: mounted.path().into(),
        passthrough: passthrough.is_in_force(),
        passthrough_note: passthrough.to_string(),
        transport: mounted.transport().word().to_owned(),
        url: mounted.url().map(str::to_owned),
        since: Nanoseconds::from(SystemTime::now()).millis(),
        open_handles: 0,
        known_files: 0,
    }
}

/// Any of the usual signals ends the daemon in order.
fn listen_for_signals(runtime: &Runtime, stop: &watch::Sender<bool>) -> Result<(), DaemonError> {
    let _inside = runtime.enter();
    let mut signals = EndSignals::listen(true).map_err(system("listening for signals"))?;
    let stop = stop.clone();
    runtime.spawn(async move {
        let signal = signals.next().await;
        tracing::info!(signal, "told to end");
        // Fails only when it is ending already.
        let _ = stop.send(true);
        // Until the end they don't end the process by themselves.
        std::future::pending::<()>().await;
    });
    Ok(())
}

/// Answers on the control socket until the end.
fn serve(
    runtime: &Runtime,
    home: &Home,
    service: &Arc<Service>,
    stopped: &watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    let listener = {
        let _inside = runtime.enter();
        Listener::bind(home.socket())?
    };
    let handler = Arc::clone(service) as Arc<dyn Handler>;
    runtime.spawn(connections::serve(listener, handler, stopped.clone()));
    Ok(())
}

/// What comes after `ready`: scans and watches, the cache.
fn begin_library(
    options: &DaemonOptions,
    mounted: &Mounted,
    service: &Arc<Service>,
    late: &LateLibrary,
    cache: &LazyStore,
    away: &Arc<Away>,
) -> Result<(), LibraryError> {
    let point = Some(mounted.path().to_owned());
    let config = library_config(&options.config, point, &away.outside);
    let library = Arc::new(Library::start(
        Arc::clone(away.catalog()),
        options.home.data(),
        config,
    )?);
    // It is set nowhere else.
    let _ = late.started.set(Arc::downgrade(&library));
    service.set_library(Arc::clone(&library));
    let (cache, away) = (cache.clone(), Arc::downgrade(away));
    let opening = std::thread::Builder::new()
        .name("mediafs-resume".to_owned())
        .spawn(move || {
            let reconciled = cache.get().and_then(|store| {
                if store.opening().needs_reconcile {
                    store.reconcile().map(|_| ())
                } else {
                    Ok(())
                }
            });
            match (reconciled, away.upgrade()) {
                (Err(error), _) => {
                    tracing::error!(error = one_line(&error), "the cache cannot be used");
                }
                (Ok(()), Some(away)) => away.resume(),
                (Ok(()), None) => {}
            }
        });
    if let Err(error) = opening {
        tracing::error!(%error, "what was begun is brought when it is asked for");
    }
    Ok(())
}

/// Opens the cache while the drive is mounted: what is on no source that is there is looked for in it. The answer ends
/// when that is over, well or not.
fn open_cache(cache: &LazyStore, away: &Arc<Away>) -> mpsc::Receiver<()> {
    let (cache, away) = (cache.clone(), Arc::downgrade(away));
    let (over, opened) = mpsc::channel();
    let opening = std::thread::Builder::new()
        .name("mediafs-cache".to_owned())
        .spawn(move || {
            let _over: mpsc::Sender<()> = over;
            match (cache.get(), away.upgrade()) {
                (Err(error), _) => {
                    tracing::error!(error = one_line(&error), "the cache cannot be used");
                }
                (Ok(_), Some(away)) => away.cache_is_open(),
                (Ok(_), None) => {}
            }
        });
    if let Err(error) = opening {
        tracing::error!(%error, "the cache is opened when something is brought");
    }
    opened
}

async fn wait_for_end(
    mounted: &Mounted,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => Ok(()),
        ended = mounted.ended() => match ended {
            Ended::Unmounted => {
                tracing::info!("somebody else unmounted the drive");
                Ok(())
            }
            Ended::Failed(reason) => Err(DaemonError::CutOff { reason }),
        },
    }
}

fn take_apart(
    stop: &watch::Sender<bool>,
    mounted: &Mounted,
    service: &Arc<Service>,
    cache: &LazyStore,
    away: &Away,
    runtimes: [Runtime; 2],
) {
    let _ = stop.send(true);
    mounted.unmount(GRACE);
    if let Some(library) = service.take_library() {
        library.stop();
    }
    away.end();
    if let Some(store) = cache.opened()
        && let Err(error) = store.flush()
    {
        tracing::warn!(
            error = one_line(&error),
            "the last uses of cached sounds are forgotten"
        );
    }
    for runtime in runtimes {
        runtime.shutdown_timeout(REQUESTS_END);
    }
    tracing::info!("ended");
}

//! [`Library`]: the threads that keep the catalog true, and what others may ask of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};
use mediafs_platform::volume::DeclaredTrusted;
use parking_lot::Mutex;

use crate::catalog::{BaseKind, BaseNo, BaseRow, Catalog, ItemRow, PlaceNo, PlaceRow};
use crate::storage::{Outside, SourceChange};

use super::engine::{Engine, WatchFolder};
use super::error::LibraryError;
use super::progress::{Phase, Progress, ProgressSnapshot};
use super::recorded::Recorded;
use super::residency::Residency;
use super::scan::{Job, scan};
use super::scans::Scan;
use super::watch::Watcher;
use super::watching::{WatchLoop, active_bases};
use super::{background, hash, scan as scanning};

/// How a library behaves.
#[derive(Clone, Debug)]
pub struct LibraryConfig {
    /// Where the drive is mounted: never scanned, and importing from it means the item.
    pub mount_point: Option<PathBuf>,
    /// What counts as trusted whatever it lies on.
    pub trusted: DeclaredTrusted,
    /// How often roots that can't be watched are scanned.
    pub poll_interval: Duration,
    /// Whether items are hashed, and lost capsules made anew, in the background.
    pub hash: bool,
    /// The program that is started to look at storage that is not trusted; this one itself where it is `None`.
    pub courier_program: Option<PathBuf>,
    /// The sources and couriers of this process; where it is `None`, the library has its own.
    pub outside: Option<Outside>,
}

impl Default for LibraryConfig {
    fn default() -> Self {
        Self {
            mount_point: None,
            trusted: DeclaredTrusted::default(),
            poll_interval: Duration::from_secs(60),
            hash: true,
            courier_program: None,
            outside: None,
        }
    }
}

/// Which bases are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// All registered roots, open projects, and referenced files.
    All,
    /// One.
    One(BaseNo),
}

/// The user's sounds on disk. Scans, watches and hashes in the background from [`Library::start`] until
/// [`Library::stop`] or until it is dropped.
pub struct Library {
    pub(super) engine: Arc<Engine>,
    progress: Arc<Progress>,
    watcher: Option<Arc<Watcher>>,
    jobs: Sender<Job>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Library {
    /// A library without threads of its own: for commands that run without a daemon. Only what is asked is done.
    #[must_use]
    pub fn open(catalog: Arc<Catalog>, home: &Path, config: LibraryConfig) -> Self {
        let (jobs, _) = unbounded();
        Self {
            engine: Arc::new(Engine::new(catalog, real(home), config)),
            progress: Arc::default(),
            watcher: None,
            jobs,
            threads: Mutex::default(),
        }
    }

    /// Starts to scan all active bases, to watch them from then on, and to hash. Returns at once.
    ///
    /// # Errors
    /// [`LibraryError::Thread`].
    pub fn start(
        catalog: Arc<Catalog>,
        home: &Path,
        config: LibraryConfig,
    ) -> Result<Self, LibraryError> {
        let hashes = config.hash;
        let engine = Arc::new(Engine::new(catalog, real(home), config));
        let told = Arc::downgrade(&engine);
        engine.couriers.on_change(move |source, change| {
            if let Some(engine) = told.upgrade()
                && change == SourceChange::Answers
            {
                engine.look_at_source(source);
            }
        });
        let watcher = Arc::new(Watcher::new());
        engine.set_watcher(Some(Arc::clone(&watcher) as Arc<dyn WatchFolder>));
        let progress = Arc::new(Progress::default());
        let (jobs, wanted) = unbounded();
        let library = Self {
            engine: Arc::clone(&engine),
            progress: Arc::clone(&progress),
            watcher: Some(Arc::clone(&watcher)),
            jobs: jobs.clone(),
            threads: Mutex::default(),
        };
        let (scanned, watched) = (Arc::clone(&engine), Arc::clone(&watcher));
        library.spawn("mediafs-scan", move || {
            scanning::run(&scanned, Some(&watched), &wanted, &progress);
        })?;
        let watch_loop = WatchLoop::new(Arc::clone(&engine), watcher, jobs);
        library.spawn("mediafs-watch", move || watch_loop.run())?;
        if hashes {
            library.spawn("mediafs-hash", move || background::run(&engine))?;
        }
        library.scan(&Which::All);
        Ok(library)
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LibraryError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map_err(LibraryError::Thread)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Scans one base here and now.
    pub(super) fn scan_base(
        &self,
        base: &BaseRow,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<(), LibraryError> {
        Ok(scan(
            &self.engine,
            std::slice::from_ref(base),
            progress,
            cancel,
        )?)
    }

    /// Asks for a scan in the background; [`Library::progress`] tells how far it is.
    pub fn scan(&self, which: &Which) {
        let job = match which {
            Which::All => Job::All,
            Which::One(base) => Job::Bases(vec![*base]),
        };
        // Without threads there is nobody to ask: see `scan_now`.
        let _ = self.jobs.send(job);
    }

    /// Scans here and now, and returns when all that was found is in the catalog, or when `cancel` says so.
    ///
    /// # Errors
    /// When the catalog fails. What is wrong with files is listed, see [`Library::problems`].
    pub fn scan_now(
        &self,
        which: &Which,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<(), LibraryError> {
        let mut bases = active_bases(&self.engine)?;
        if let Which::One(number) = which {
            bases.retain(|base| base.row == *number);
        }
        let scanned = scan(&self.engine, &bases, progress, cancel);
        self.end_couriers();
        Ok(scanned?)
    }

    /// Where no thread does it, couriers are ended as soon as they are not needed.
    pub(super) fn end_couriers(&self) {
        if self.watcher.is_none() {
            self.engine.couriers.end_idle();
        }
    }

    /// Hashes here and now what was not hashed yet; ends early when `cancel` says so. Returns how many items were.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn hash_now(&self, cancel: &AtomicBool) -> Result<u64, LibraryError> {
        Ok(hash::hash_all(&self.engine, cancel)?)
    }

    /// Hashes these items here and now, if they lie on trusted storage. Returns how many were.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn hash_items(&self, items: &[ItemRow]) -> Result<usize, LibraryError> {
        Ok(hash::hash_these(&self.engine, items)?)
    }

    /// Opens the file of an item, if it is on trusted storage, and what the catalog says.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn open_recorded(&self, item: &ItemRow) -> Result<Option<Recorded>, LibraryError> {
        let reader = self.engine.catalog.reader()?;
        let place = match item.place {
            Some(place) => reader.place(place)?.filter(PlaceRow::is_here),
            None => None,
        };
        let Some(place) = place else {
            return Ok(None);
        };
        let file = hash::open_as_recorded(&self.engine, &reader, &place)?;
        Ok(file.map(|file| Recorded::new(file, place.evidence)))
    }

    /// A program uses the drive now: work in the background gives way for a moment. Costs next to nothing.
    pub fn note_use(&self) {
        self.engine.note_use();
    }

    /// How far the scan in the background is.
    #[must_use]
    pub fn progress(&self) -> ProgressSnapshot {
        let here = self.progress.snapshot();
        match here.phase {
            Phase::Idle => self.engine.progress_apart().unwrap_or(here),
            _ => here,
        }
    }

    /// Tells of each scan in the background from now on, and of those that are under way. Who is told is not to hold it up.
    pub fn tell_scans(&self, told: impl Fn(Arc<Scan>) + Send + Sync + 'static) {
        self.engine.scans.tell(Box::new(told));
    }

    /// Where the bytes of a place were when it was last looked at: with a cloud provider only, or on the disk.
    #[must_use]
    pub fn residency(&self, place: PlaceNo) -> Residency {
        self.engine.residency(place)
    }

    /// Lets go of the source that holds the absolute `path`, so that it can be unmounted: what looks at it is broken off
    /// and its courier is ended, at once. The next question starts another one. `false` on trusted storage.
    pub fn release_source(&self, path: &Path) -> bool {
        let Some(source) = self.engine.source(path) else {
            return false;
        };
        self.engine.break_off(&source);
        self.engine.couriers.release(&source);
        true
    }

    /// What could not be taken in, beside the files that the catalog lists: path and reason, by path, without the first
    /// `known` ones.
    #[must_use]
    pub fn problems(&self, known: usize, limit: usize) -> Vec<(PathBuf, String)> {
        self.engine.problems.all(known, limit)
    }

    /// Why `path` could not be taken in, if [`Library::problems`] lists it.
    #[must_use]
    pub fn problem_at(&self, path: &Path) -> Option<String> {
        self.engine.problems.at(path)
    }

    /// How many of [`Library::problems`] there are.
    #[must_use]
    pub fn problem_count(&self) -> usize {
        self.engine.problems.count()
    }

    /// Why the storage under the absolute `path` is not trusted, if so. Touches no storage that is not trusted.
    #[must_use]
    pub fn untrusted(&self, path: &Path) -> Option<String> {
        self.engine
            .untrusted_now(path)
            .map(|untrusted| untrusted.reason)
    }

    /// The catalog that it keeps.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.engine.catalog
    }

    /// What `status` should say of watching: (path of the root, why it is only scanned from time to time), and what
    /// was lost.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn unwatched(&self) -> Result<Vec<(PathBuf, String)>, LibraryError> {
        let Some(watcher) = &self.watcher else {
            return Ok(Vec::new());
        };
        let bases = active_bases(&self.engine)?.into_iter();
        let notes = bases.filter_map(|base| {
            let untrusted = match base.kind {
                BaseKind::Computer | BaseKind::Source => None,
                BaseKind::Library | BaseKind::Project => self.engine.untrusted(&base.path),
            };
            let reason = untrusted.or_else(|| watcher.unwatched(base.row))?;
            let every = self.engine.config.poll_interval.as_secs();
            Some((
                base.path,
                format!("{reason}; scanned every {every} seconds"),
            ))
        });
        Ok(notes.collect())
    }

    /// How often the system lost events, so that everything was scanned again.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.engine.lost_events()
    }

    pub(super) fn watcher(&self) -> Option<&Watcher> {
        self.watcher.as_deref()
    }

    /// Ends all threads; what was found stays. Returns when they have ended.
    pub fn stop(&self) {
        self.engine.stopping.store(true, Ordering::SeqCst);
        self.engine.scan_anew.store(true, Ordering::SeqCst);
        let _ = self.jobs.send(Job::End);
        if let Some(watcher) = &self.watcher {
            watcher.wake();
        }
        self.engine.end_apart();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the library had failed");
            }
        }
        self.engine.set_watcher(None);
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The path without links, where it can be told.
pub(super) fn real(path: &Path) -> PathBuf {
    mediafs_platform::files::canonical(path).unwrap_or_else(|_| path.to_owned())
}

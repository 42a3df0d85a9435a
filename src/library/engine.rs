//! What scans, the watcher, the hasher and imports share: the catalog, where files may be looked for, and the places
//! where another look is refused.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::catalog::{
    BaseKind, BaseRow, Catalog, CatalogError, Durability, FolderNo, Nanoseconds, PlaceNo, Reader,
    Writer,
};

use super::apart::Apart;
use super::disk::{LocalFolder, LocalRoot, NoFolder};
use super::folder::Folder;
use super::owner::LibraryConfig;
use super::problems::Problems;
use super::residency::Residency;
use super::scans::Scans;
use super::trust::{Judge, Untrusted};
use crate::model::{Kind, SourceNo, split_extension};
use crate::storage::{Couriers, Outside, SourceKey, Sources};

/// Where the files of a project that came by copy are, below its folder.
pub(super) const MEDIA_FOLDER: &str = "Media";
/// Where the user's files that came by copy are, below the home.
pub(super) const COPIES_FOLDER: &str = "Library";
/// How the names of copies under way begin.
pub(crate) const TEMPORARY: &[u8] = b".mediafs-import-";
/// Most changes of one transaction, so that the writer's lock is held for milliseconds only.
pub(super) const BATCH: usize = 200;

/// Watches folders.
pub(super) trait WatchFolder: Send + Sync {
    /// Watches a folder of a base (not what is below it) from now on. Must be called before the folder is listed, so that
    /// nothing can slip between, and for the folders above it before it.
    fn watch(&self, base: &BaseRow, folder: &Path);
    /// Asks for a look at `path` soon: something overtook the one that was under way.
    fn look_soon(&self, path: &Path);
}

/// The shared part.
pub(super) struct Engine {
    pub(super) catalog: Arc<Catalog>,
    pub(super) home: PathBuf,
    pub(super) config: LibraryConfig,
    pub(super) problems: Problems,
    /// For storage that is not trusted.
    pub(super) couriers: Arc<Couriers>,
    /// Which such storage there is, and how it is.
    pub(super) sources: Arc<Sources>,
    /// Looks at such storage, each source by itself.
    pub(super) apart: Apart,
    judge: Judge,
    watcher: RwLock<Option<Arc<dyn WatchFolder>>>,
    /// Held while a temporary file is made or abandoned ones are removed.
    pub(super) temporary: Mutex<()>,
    /// Held while files that came are matched with files that went, so that two sweeps never give one id twice.
    pub(super) matching: Mutex<()>,
    /// (device of a file, device of its folder) that were seen to belong together; they differ on overlays.
    devices: Mutex<HashSet<(u64, u64)>>,
    /// Scans, watch batches and imports that run now; background hashing waits for them.
    busy: AtomicUsize,
    /// How many of them there were, and pages that were hashed.
    works: AtomicU64,
    /// Everything is to end.
    pub(super) stopping: AtomicBool,
    /// The scan under way is to end: other bases are to be scanned now.
    pub(super) scan_anew: Arc<AtomicBool>,
    /// What is scanned in the background.
    pub(super) scans: Scans,
    /// To be read by the watch loop.
    probes: Mutex<Vec<PlaceNo>>,
    lost_events: AtomicU64,
    began: Instant,
    /// When a program last used the drive, in milliseconds since `began`; 0: never.
    used: AtomicU64,
}

/// What was done until a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Activity {
    works: u64,
    used: u64,
}

/// While it lives, background hashing pauses.
pub(super) struct Busy<'e>(&'e Engine);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    pub(super) fn new(catalog: Arc<Catalog>, home: PathBuf, config: LibraryConfig) -> Self {
        let outside = config.outside.clone().unwrap_or_else(|| {
            Outside::new(
                Arc::clone(&catalog),
                config.trusted.clone(),
                Vec::new(),
                config.courier_program.clone(),
            )
        });
        Self {
            catalog,
            home,
            judge: Judge::new(config.trusted.clone(), outside.sources.cloud_folders()),
            couriers: Arc::clone(&outside.couriers),
            sources: Arc::clone(&outside.sources),
            config,
            problems: Problems::default(),
            apart: Apart::default(),
            watcher: RwLock::new(None),
            temporary: Mutex::new(()),
            matching: Mutex::new(()),
            devices: Mutex::new(HashSet::new()),
            busy: AtomicUsize::new(0),
            works: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            scan_anew: Arc::default(),
            scans: Scans::default(),
            probes: Mutex::new(Vec::new()),
            lost_events: AtomicU64::new(0),
            began: Instant::now(),
            used: AtomicU64::new(0),
        }
    }

    pub(super) fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.note_work();
        Busy(self)
    }

    /// Something was done that needed memory.
    pub(super) fn note_work(&self) {
        self.works.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    pub(super) fn note_use(&self) {
        self.used.store(self.now_millis(), Ordering::Relaxed);
    }

    /// Differs from what it was where something was done meanwhile.
    pub(super) fn activity(&self) -> Activity {
        Activity {
            works: self.works.load(Ordering::Relaxed),
            used: self.used.load(Ordering::Relaxed),
        }
    }

    /// Whether a program used the drive in the last `time`.
    pub(super) fn in_use_within(&self, time: Duration) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        used != 0 && u128::from(self.now_millis().saturating_sub(used)) < time.as_millis()
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Asks the watch loop to read a file.
    pub(super) fn probe_soon(&self, place: PlaceNo) {
        self.probes.lock().push(place);
    }

    pub(super) fn take_probes(&self) -> Vec<PlaceNo> {
        std::mem::take(&mut *self.probes.lock())
    }

    pub(super) fn note_lost_events(&self) {
        self.lost_events.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost_events(&self) -> u64 {
        self.lost_events.load(Ordering::Relaxed)
    }

    pub(super) fn set_watcher(&self, watcher: Option<Arc<dyn WatchFolder>>) {
        *self.watcher.write() = watcher;
    }

    pub(super) fn watch(&self, base: &BaseRow, folder: &Path) {
        let watcher = self.watcher.read().clone();
        if let Some(watcher) = watcher {
            watcher.watch(base, folder);
        }
    }

    /// Asks for a look at `path` soon, where somebody watches.
    pub(super) fn look_soon(&self, path: &Path) {
        let watcher = self.watcher.read().clone();
        if let Some(watcher) = watcher {
            watcher.look_soon(path);
        }
    }

    /// The folder of the user's copies.
    pub(super) fn copies(&self) -> PathBuf {
        self.home.join(COPIES_FOLDER)
    }

    /// Why `path` is never looked into, if so.
    pub(super) fn excluded(&self, path: &Path) -> Option<&'static str> {
        if path.starts_with(&self.home) && !path.starts_with(self.copies()) {
            return Some("the home of mediafs itself is not scanned");
        }
        let mount = self.config.mount_point.as_deref();
        if mount.is_some_and(|mount| path.starts_with(mount)) {
            return Some("the drive itself is not scanned");
        }
        None
    }

    /// Why only couriers touch the storage that holds `path`, if so.
    pub(super) fn untrusted(&self, path: &Path) -> Option<String> {
        self.judge.untrusted(path).map(|untrusted| untrusted.reason)
    }

    /// As [`Engine::untrusted`], of the folder that holds `file`.
    pub(super) fn untrusted_file(&self, file: &Path) -> Option<String> {
        self.untrusted(file.parent().unwrap_or(file))
    }

    /// As [`Engine::untrusted`], with the source, by the mounts of this moment: before a folder is entered for the first
    /// time.
    pub(super) fn untrusted_now(&self, path: &Path) -> Option<Untrusted> {
        self.judge.untrusted_now(path)
    }

    /// By what couriers know a source of the catalog.
    pub(super) fn source_key(&self, source: SourceNo) -> Result<Option<SourceKey>, CatalogError> {
        let row = self.catalog.reader()?.source(source)?;
        Ok(row.map(|row| SourceKey::at(row.path)))
    }

    /// The source that holds `path`, where only couriers touch it.
    pub(super) fn source(&self, path: &Path) -> Option<SourceKey> {
        self.judge.untrusted(path).map(|untrusted| untrusted.source)
    }

    /// Whose courier reads the files in `folder` (absolute), which is in this base; `None` where they are read here. A
    /// base on a source is its courier's, whatever is mounted at its path now.
    pub(super) fn reader_of(
        &self,
        base: &BaseRow,
        folder: &Path,
    ) -> Result<Option<SourceKey>, CatalogError> {
        match base.source {
            Some(source) => self.source_key(source),
            None => Ok(self.source(folder)),
        }
    }

    /// Whether what is at the path of a base now is that base, by the system's tables.
    pub(super) fn is_at_its_path(&self, base: &BaseRow) -> bool {
        match base.source {
            Some(source) => self.sources.stamp_over(source, &base.path).is_some(),
            None => self.untrusted_now(&base.path).is_none(),
        }
    }

    /// The root at `base`, from which to go to the file `relative`: an error where only couriers touch the folder that
    /// holds that. (Where a folder is trusted, all on the way to it may be touched.)
    pub(super) fn root_above(&self, base: &Path, relative: &Path) -> std::io::Result<LocalRoot> {
        match self.untrusted_file(&base.join(relative)) {
            Some(_) => Err(super::folder::not_here()),
            None => LocalRoot::open(base),
        }
    }

    /// The folder at the absolute path `path` on trusted storage: beside `vanish::open_root`, and [`Engine::root_above`]
    /// for what is below it, the one way from a path to a folder. `NotFound` where it is not there; an error on storage
    /// that only couriers touch.
    pub(super) fn root_here(&self, path: &Path) -> std::io::Result<LocalRoot> {
        match self.source(path) {
            Some(_) => Err(super::folder::not_here()),
            None => LocalRoot::open(path),
        }
    }

    /// The folder `below` of a root at `base`, made part by part where it is not there. Another file system that is mounted
    /// on the way is entered where it is trusted storage, too.
    pub(super) fn make_folders(
        &self,
        root: &LocalRoot,
        base: &Path,
        below: &Path,
    ) -> std::io::Result<LocalFolder> {
        let top = root.folder(Path::new(""));
        let mut folder = top.map_err(|_| std::io::ErrorKind::NotFound)?;
        let mut path = base.to_owned();
        for part in below {
            path.push(part);
            folder = folder.make_folder(part, || match self.untrusted_now(&path) {
                Some(_) => Err(super::folder::not_here()),
                None => Ok(()),
            })?;
        }
        Ok(folder)
    }

    /// Notes where the bytes of a place are: what is online only becomes an item by its name, and is not read. Says whether
    /// they were online-only and have come.
    pub(super) fn record_residency(&self, place: PlaceNo, residency: Residency) -> bool {
        self.write_residency(place, residency)
            .unwrap_or_else(|error| {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "where the bytes of a file are was not recorded"
                );
                false
            })
    }

    fn write_residency(&self, place: PlaceNo, residency: Residency) -> Result<bool, CatalogError> {
        let online_only = residency == Residency::OnlineOnly;
        let reader = self.catalog.reader()?;
        let Some(row) = reader.place(place)? else {
            return Ok(false);
        };
        let known = row.online_only == online_only;
        if known && !(online_only && reader.items_of(place)?.is_empty()) {
            return Ok(false);
        }
        let kind = kind_by_name(&row.name);
        self.write(Durability::Full, |writer| {
            writer.set_online_only(place, online_only)?;
            if online_only && let Some(kind) = &kind {
                writer.record_unread(place, kind)?;
            }
            Ok(!online_only)
        })
    }

    /// Where the bytes of a place were when it was last looked at.
    pub(super) fn residency(&self, place: PlaceNo) -> Residency {
        let found = self.catalog.reader().and_then(|reader| reader.place(place));
        match found {
            Ok(Some(row)) if row.online_only => Residency::OnlineOnly,
            _ => Residency::Here,
        }
    }

    /// Whether new names below `relative` of this base are taken in, or only known ones looked at.
    pub(super) fn takes_new(base: &BaseRow, relative: &Path) -> bool {
        match base.kind {
            BaseKind::Library => true,
            BaseKind::Project => relative.starts_with(MEDIA_FOLDER),
            BaseKind::Computer | BaseKind::Source => false,
        }
    }

    /// A file on `file` was found in a folder on `folder`.
    pub(super) fn met(&self, file: u64, folder: u64) {
        if file != folder {
            self.devices.lock().insert((file, folder));
        }
    }

    /// Whether a file that was last seen on `file` can be looked for in a folder that is on `folder` now: not where
    /// another file system lies over, or no more over, the folder.
    pub(super) fn comparable(&self, file: u64, folder: u64) -> bool {
        file == folder || self.devices.lock().contains(&(file, folder))
    }

    /// One transaction.
    pub(super) fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut Writer) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        self.catalog.write(durability, work)
    }

    /// The base of a place, and the path below it.
    pub(super) fn locate(
        &self,
        reader: &Reader,
        place: PlaceNo,
    ) -> Result<Option<(BaseRow, PathBuf)>, CatalogError> {
        let Some((base, relative)) = reader.place_path(place)? else {
            return Ok(None);
        };
        Ok(reader.base(base)?.map(|base| (base, relative)))
    }

    /// The known folder at `relative`.
    pub(super) fn find_folder(
        reader: &Reader,
        base: &BaseRow,
        relative: &Path,
    ) -> Result<Option<FolderNo>, CatalogError> {
        let mut at = base.top;
        for part in relative {
            match exact_child(reader, at, part)? {
                Some(child) => at = child,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The folder at `relative`, made known part by part where the disk has it.
    pub(super) fn ensure_folder(
        writer: &mut Writer,
        root: &LocalRoot,
        base: &BaseRow,
        relative: &Path,
    ) -> Result<Option<FolderNo>, CatalogError> {
        let mut at = base.top;
        let mut path = PathBuf::new();
        for part in relative {
            path.push(part);
            let modified = match root.folder(&path) {
                Ok(folder) => folder.evidence().map_or(Nanoseconds(0), |e| e.modified),
                Err(_) => return Ok(None),
            };
            at = writer.folder(at, part, modified)?;
        }
        Ok(Some(at))
    }
}

/// The present child folder of exactly these bytes.
pub(super) fn exact_child(
    reader: &Reader,
    parent: FolderNo,
    name: &OsStr,
) -> Result<Option<FolderNo>, CatalogError> {
    let found = reader.child_folder(parent, name)?;
    Ok(found.filter(|f| f.name == name).map(|f| f.row))
}

/// When the list of a folder was last changed; 1970 where even that can't be told.
pub(super) fn modified_of(folder: &Folder) -> Nanoseconds {
    folder.evidence().map_or(Nanoseconds(0), |e| e.modified)
}

/// A reason for people, from what stood in the way of a folder.
pub(super) fn no_folder_reason(reason: &NoFolder) -> String {
    match reason {
        NoFolder::Absent => "the folder is not there any more".to_owned(),
        NoFolder::NotAFolder => "not a folder any more".to_owned(),
        NoFolder::OtherFileSystem => "another file system is mounted here".to_owned(),
        NoFolder::Failed(error) => format!("the folder cannot be read: {error}"),
    }
}

/// What a file is by its name, where nobody may read it; `None` for what is no media.
fn kind_by_name(name: &OsStr) -> Option<Kind> {
    const AUDIO: [&str; 20] = [
        "wav", "wave", "rf64", "bwf", "aif", "aiff", "aifc", "caf", "flac", "mp3", "mp2", "ogg",
        "oga", "opus", "m4a", "aac", "mka", "w64", "wma", "mpga",
    ];
    const VIDEO: [&str; 7] = ["mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg"];
    let name = name.to_str()?;
    let extension = split_extension(name).1.to_ascii_lowercase();
    let is = |known: &[&str]| known.contains(&extension.as_str());
    if is(&AUDIO) {
        Some(Kind::Audio)
    } else if is(&VIDEO) {
        Some(Kind::Video)
    } else if is(&["mid", "midi", "smf"]) {
        Some(Kind::Midi)
    } else {
        None
    }
}

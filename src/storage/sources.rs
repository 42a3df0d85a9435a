//! Which sources are there: mounts are matched with what the catalog knows, and it is told how each source is.
//!
//! Goes by the system's mount table, which touches no storage; only a disk that is new is asked for its identity, by a
//! courier. A source is *online* while it is mounted, answers, reaches what it shows, and was not ejected. Where a source returns elsewhere, the
//! bases on it follow. The folder in which a source used to be mounted is nothing to it: an empty mount point is no
//! deletion.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use mediafs_platform::volume::{
    Classifier, DeclaredTrusted, Leaving, MountEntry, MountTable, MountWatch, StorageSort,
    VolumeIdentity, identity_from_table,
};
use parking_lot::Mutex;

use super::clouds;
use super::matching::{mount_of, recorded};
use super::mount_key::MountKey;
use crate::catalog::{Catalog, CatalogError, Durability, Nanoseconds, SourceRow};
use crate::config::CloudConfig;
use crate::model::{SourceKind, SourceNo, SourceState};

/// Asks, by a courier, what the disk of a mount is: its identity and its name for people.
pub(crate) type Identify =
    Box<dyn Fn(&MountEntry) -> Option<(VolumeIdentity, Option<String>)> + Send + Sync>;

/// Told that something else, or nothing, is mounted here from now on.
pub(crate) type Renew = Box<dyn Fn(&Path) + Send + Sync>;

/// After this a disk that could not tell what it is may be asked once more.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How long a command waits for disks to say what they are.
const ASKED: Duration = Duration::from_secs(1);

/// The sources of this machine.
pub(crate) struct Sources {
    pub(super) catalog: Arc<Catalog>,
    pub(super) declared: DeclaredTrusted,
    pub(super) clouds: Vec<CloudConfig>,
    pub(super) identify: Identify,
    renew: Renew,
    pub(super) known: Mutex<Known>,
    /// One look at the mounts after the other.
    looking: Mutex<()>,
    /// How a source is is found out and told by one after the other, so that what is told last is how it is.
    telling: Mutex<HashMap<SourceNo, Arc<Mutex<()>>>>,
    watch: Mutex<Option<MountWatch>>,
}

#[derive(Default)]
pub(super) struct Known {
    /// All that was mounted at the last look.
    there: HashSet<MountKey>,
    /// Disks that were asked for their identity.
    pub(super) disks: HashMap<MountKey, Asked>,
    /// Where each source is mounted.
    pub(super) mounted: HashMap<SourceNo, MountKey>,
    /// By which path couriers know each that is mounted.
    roots: HashMap<SourceNo, PathBuf>,
    pub(super) ejected: HashMap<SourceNo, MountKey>,
    /// Sources on what the system is about to unmount.
    pub(super) leaving: HashMap<SourceNo, MountKey>,
    suspended: HashSet<SourceNo>,
    /// Sources that answer but cannot reach what they show, each with the number of the time that this was found out.
    unreachable: HashMap<SourceNo, u64>,
    /// How often it was.
    episodes: u64,
}

impl Known {
    fn is_let_go(&self, source: SourceNo, at: &MountKey) -> bool {
        [&self.ejected, &self.leaving]
            .into_iter()
            .any(|let_go| let_go.get(&source) == Some(at))
    }
}

/// What a disk has answered.
pub(super) enum Asked {
    /// Nothing yet.
    Waiting,
    /// It could not be told, at this moment.
    Unknown(Instant),
    /// This.
    Disk(Disk),
}

impl Asked {
    pub(super) fn disk(&self) -> Option<Disk> {
        match self {
            Self::Disk(disk) => Some(disk.clone()),
            Self::Waiting | Self::Unknown(_) => None,
        }
    }
}

#[derive(Clone)]
pub(super) struct Disk {
    pub(super) identity: VolumeIdentity,
    pub(super) label: Option<String>,
}

/// What a path lies on, where that is not trusted storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OnSource {
    pub(crate) source: SourceRow,
    /// Below the root of the source.
    pub(crate) inside: PathBuf,
}

/// A mounted file system that is, or may be, a source; for `mediafs volumes`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MountedVolume {
    pub(crate) point: PathBuf,
    pub(crate) kind: SourceKind,
    pub(crate) name: String,
    pub(crate) identity: Option<String>,
    pub(crate) source: Option<SourceNo>,
    pub(crate) read_only: bool,
    pub(crate) fs_type: String,
}

/// Why a path cannot be told what it lies on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The system's tables can't be read.
    #[error("the mounts of this machine cannot be read")]
    Mounts(#[from] std::io::Error),
    /// The catalog can't be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Its disk does not answer.
    #[error(
        "the disk mounted at {} does not say what it is; is it plugged in and well?",
        .0.display()
    )]
    NoAnswer(PathBuf),
    /// It is on a share that no drive letter stands for, so it is not known when that comes and goes.
    #[error(
        "{} is on a share without a drive letter; map the share to one and use that path",
        .0.display()
    )]
    NoLetter(PathBuf),
    /// It is on a copy of a volume, and the volume is there.
    #[error(
        "what is mounted at {} is a copy of {name}, which is mounted at {}; unmount one of them",
        .copy.display(),
        .at.display()
    )]
    Copy {
        /// Where the copy is.
        copy: PathBuf,
        /// What it is a copy of.
        name: String,
        /// Where that is.
        at: PathBuf,
    },
}

impl Sources {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        declared: DeclaredTrusted,
        clouds: Vec<CloudConfig>,
        identify: Identify,
        renew: Renew,
    ) -> Arc<Self> {
        Arc::new(Self {
            catalog,
            declared,
            clouds,
            identify,
            renew,
            known: Mutex::default(),
            looking: Mutex::default(),
            telling: Mutex::default(),
            watch: Mutex::default(),
        })
    }

    /// Looks at the mounts now, and whenever they change from now on. Returns at once: a disk that hangs is waited for by
    /// a thread of its own. `leaving` is told what the system says of mounts that are about to go.
    ///
    /// # Errors
    /// When the system tells nothing of its mounts.
    pub(crate) fn start(
        self: &Arc<Self>,
        leaving: impl Fn(&Path, Leaving) + Send + Sync + 'static,
    ) -> Result<(), SourceError> {
        let sources: Weak<Self> = Arc::downgrade(self);
        let changed = move |table: &MountTable| {
            if let Some(sources) = sources.upgrade() {
                sources.look_at(table);
            }
        };
        let watch = MountWatch::start_asked(changed, leaving)?;
        *self.watch.lock() = Some(watch);
        self.look_at(&MountTable::read()?);
        Ok(())
    }

    /// Stops watching.
    pub(crate) fn stop(&self) {
        let watch = self.watch.lock().take();
        drop(watch);
    }

    /// Looks at the mounts now.
    pub(crate) fn look(self: &Arc<Self>) {
        match MountTable::read() {
            Ok(table) => self.look_at(&table),
            Err(error) => tracing::warn!(%error, "the mounts cannot be read"),
        }
    }

    /// Looks at the mounts, and waits a little for disks that have to be asked what they are.
    pub(crate) fn look_once(self: &Arc<Self>) {
        self.look();
        self.wait_for_disks(Instant::now() + ASKED);
    }

    /// Waits for disks that are asked what they are.
    pub(crate) fn wait_for_disks(&self, until: Instant) {
        while Instant::now() < until && self.is_waiting() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where nobody tells that mounts change: looks whether they have.
    pub(crate) fn look_unless_watched(self: &Arc<Self>) {
        if self.watch.lock().is_none() {
            self.look_once();
        }
    }

    fn is_waiting(&self) -> bool {
        let known = self.known.lock();
        let mut disks = known.disks.values();
        disks.any(|asked| matches!(asked, Asked::Waiting))
    }

    pub(super) fn look_at(self: &Arc<Self>, table: &MountTable) {
        let _one = self.looking.lock();
        if let Err(error) = self.compare(table) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "mounts could not be compared with the catalog"
            );
        }
    }

    fn compare(self: &Arc<Self>, table: &MountTable) -> Result<(), SourceError> {
        let there: HashSet<MountKey> = table.entries().iter().map(MountKey::of).collect();
        let points = |keys: std::collections::hash_set::Difference<'_, MountKey, _>| {
            keys.map(|key| key.point.clone()).collect()
        };
        let (gone, new): (HashSet<PathBuf>, HashSet<PathBuf>) = {
            let mut known = self.known.lock();
            known.disks.retain(|key, _| there.contains(key));
            known.ejected.retain(|_, key| there.contains(key));
            known.leaving.retain(|_, key| there.contains(key));
            let gone = points(known.there.difference(&there));
            let new = points(there.difference(&known.there));
            // At the first look nothing has come.
            let new = if known.there.is_empty() {
                HashSet::new()
            } else {
                new
            };
            known.there = there;
            (gone, new)
        };
        // A disk is not asked less because another one hung at its place before.
        for point in &new {
            (self.renew)(point);
        }
        self.match_mounts(table)?;
        // Who waits for what has gone is told by now that it has.
        for point in gone.difference(&new) {
            (self.renew)(point);
        }
        Ok(())
    }

    fn match_mounts(self: &Arc<Self>, table: &MountTable) -> Result<(), SourceError> {
        let rows = self.catalog.reader()?.sources()?;
        if rows.is_empty() {
            return Ok(());
        }
        let classifier = Classifier::read(self.declared.clone())?;
        let volumes = rows.iter().any(|row| row.kind == SourceKind::Volume);
        let mut found: Vec<(VolumeIdentity, &MountEntry)> = Vec::new();
        for entry in table.entries() {
            if is_ours(entry) || !is_seen(table, entry) {
                continue;
            }
            match sort(&classifier, entry) {
                Some(SourceKind::Volume) if volumes => {
                    found.extend(self.disk(entry).map(|disk| (disk.identity, entry)));
                }
                Some(SourceKind::Network) => {
                    found.extend(identity_from_table(entry).map(|identity| (identity, entry)));
                }
                _ => {}
            }
        }
        for row in &rows {
            let entry = match row.kind {
                SourceKind::Cloud => clouds::mount_of(row, table),
                _ => mount_of(row, &found),
            };
            if let Some(entry) = entry.filter(|_| row.kind == SourceKind::Cloud) {
                self.note_mount(row, entry, &classifier)?;
            }
            self.found(row, entry)?;
        }
        Ok(())
    }

    /// A source is at this mount now, or nowhere.
    pub(super) fn found(
        &self,
        row: &SourceRow,
        entry: Option<&MountEntry>,
    ) -> Result<(), SourceError> {
        let Some(entry) = entry else {
            let mut known = self.known.lock();
            known.mounted.remove(&row.row);
            known.roots.remove(&row.row);
            known.suspended.remove(&row.row);
            known.unreachable.remove(&row.row);
            drop(known);
            self.tell(row.row);
            return Ok(());
        };
        let key = MountKey::of(entry);
        let root = match row.kind {
            SourceKind::Cloud => row.path.clone(),
            _ => entry.mount_point.clone(),
        };
        let before = {
            let mut known = self.known.lock();
            let before = known.mounted.insert(row.row, key.clone());
            known.roots.insert(row.row, root.clone());
            if before.as_ref() != Some(&key) {
                known.suspended.remove(&row.row);
                known.unreachable.remove(&row.row);
            }
            before
        };
        let news = before.as_ref() != Some(&key);
        if news && before.is_some() {
            // It went, though nobody saw it go: whoever is at work on it begins anew.
            self.catalog.set_source_state(row.row, SourceState::Absent);
        }
        if news || root != row.path {
            self.catalog.write(Durability::Normal, |writer| {
                writer.source_seen(row.row, &root, now())
            })?;
        }
        self.tell(row.row);
        Ok(())
    }

    /// Tells the catalog how a source is.
    pub(super) fn tell(&self, source: SourceNo) {
        if !self.tell_state(source) {
            return;
        }
        // After the news, which waits for nobody.
        let noted = self.catalog.write(Durability::Normal, |writer| {
            writer.source_left(source, now())
        });
        if let Err(error) = noted {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "when a source was seen last is not recorded"
            );
        }
    }

    /// Says whether the source was online until now, and is not any more.
    fn tell_state(&self, source: SourceNo) -> bool {
        let telling = Arc::clone(self.telling.lock().entry(source).or_default());
        let _one = telling.lock();
        let state = {
            let known = self.known.lock();
            match known.mounted.get(&source).cloned() {
                None => SourceState::Absent,
                Some(key) if known.is_let_go(source, &key) => SourceState::Ejected,
                Some(_)
                    if known.suspended.contains(&source)
                        || known.unreachable.contains_key(&source) =>
                {
                    SourceState::Suspended
                }
                Some(_) => SourceState::Online,
            }
        };
        let before = self.catalog.source_state(source);
        self.catalog.set_source_state(source, state);
        before.is_online() && !state.is_online()
    }

    /// The disk of a mount, if that is known; else it is asked, and the mounts are looked at again when it has answered.
    fn disk(self: &Arc<Self>, entry: &MountEntry) -> Option<Disk> {
        let key = MountKey::of(entry);
        {
            let mut known = self.known.lock();
            match known.disks.get(&key) {
                Some(Asked::Unknown(asked)) if asked.elapsed() >= ASK_AGAIN => {}
                Some(asked) => return asked.disk(),
                None => {}
            }
            known.disks.insert(key.clone(), Asked::Waiting);
        }
        let (sources, entry) = (Arc::downgrade(self), entry.clone());
        let asking = std::thread::Builder::new()
            .name("identify".to_owned())
            .spawn(move || {
                let Some(sources) = sources.upgrade() else {
                    return;
                };
                if sources.ask_disk(&key, &entry).is_some() {
                    sources.look();
                }
            });
        if let Err(error) = asking {
            tracing::warn!(%error, "a disk could not be asked what it is");
        }
        None
    }

    pub(super) fn ask_disk(&self, key: &MountKey, entry: &MountEntry) -> Option<Disk> {
        let asked = match (self.identify)(entry) {
            Some((identity, label)) => Asked::Disk(Disk { identity, label }),
            None => Asked::Unknown(Instant::now()),
        };
        let disk = asked.disk();
        self.known.lock().disks.insert(key.clone(), asked);
        disk
    }

    /// A courier has found out that whatever hangs at `root` does not answer, or answers again. Which of the two it is by
    /// now `is_suspended` says: who found out first may tell last.
    pub(crate) fn heard_of(self: &Arc<Self>, root: &Path, is_suspended: impl Fn() -> bool) {
        if !is_suspended() && self.forget_unknown(root) {
            self.look();
        }
        let there = {
            let mut known = self.known.lock();
            let known = &mut *known;
            let at_root = known.roots.iter().filter(|(_, at)| *at == root);
            let there: Vec<SourceNo> = at_root.map(|(source, _)| *source).collect();
            let is_suspended = is_suspended();
            for source in &there {
                if is_suspended {
                    known.suspended.insert(*source);
                } else {
                    known.suspended.remove(source);
                }
            }
            there
        };
        for source in there {
            self.tell(source);
        }
    }

    /// What is mounted here could not be told before; true if so.
    fn forget_unknown(&self, point: &Path) -> bool {
        let mut known = self.known.lock();
        let before = known.disks.len();
        let unknown = |key: &MountKey, asked: &mut Asked| {
            key.point != point || !matches!(asked, Asked::Unknown(_))
        };
        known.disks.retain(unknown);
        known.disks.len() < before
    }

    /// Whether a source cannot be reached, as far as is known.
    pub(crate) fn is_unreachable(&self, source: SourceNo) -> bool {
        self.known.lock().unreachable.contains_key(&source)
    }

    /// Whether that is so since it was found out then.
    pub(super) fn is_unreachable_since(&self, source: SourceNo, episode: u64) -> bool {
        self.known.lock().unreachable.get(&source) == Some(&episode)
    }

    /// A source cannot be reached from now on, until [`Sources::reached`] or something else is mounted there. The number
    /// of this time, unless that was known already.
    pub(super) fn unreachable(&self, source: SourceNo) -> Option<u64> {
        let episode = {
            let mut known = self.known.lock();
            if known.unreachable.contains_key(&source) {
                return None;
            }
            known.episodes += 1;
            let episode = known.episodes;
            known.unreachable.insert(source, episode);
            episode
        };
        self.tell(source);
        Some(episode)
    }

    /// A source has given bytes.
    pub(crate) fn reached(&self, source: SourceNo) {
        let was = self.known.lock().unreachable.remove(&source);
        if was.is_some() {
            self.tell(source);
        }
    }

    /// Lets go of a source until it is mounted anew. False if it is not mounted.
    pub(crate) fn eject(&self, source: SourceNo) -> bool {
        {
            let mut known = self.known.lock();
            let Some(key) = known.mounted.get(&source).cloned() else {
                return false;
            };
            known.ejected.insert(source, key);
        }
        self.tell(source);
        true
    }

    /// All mounted file systems that are not trusted storage, for people.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(crate) fn mounted_volumes(self: &Arc<Self>) -> Result<Vec<MountedVolume>, SourceError> {
        let table = MountTable::read()?;
        // Who is told of changes may not have looked yet.
        self.look_at(&table);
        let classifier = Classifier::read(self.declared.clone())?;
        let mut volumes = Vec::new();
        for entry in table.entries() {
            if is_ours(entry) || !is_seen(&table, entry) {
                continue;
            }
            let Some(kind) = sort(&classifier, entry) else {
                continue;
            };
            let disk = match kind {
                SourceKind::Volume => self.disk(entry),
                _ => None,
            };
            let identity = match (&disk, kind) {
                (Some(disk), _) => Some(recorded(&disk.identity, entry)),
                (None, SourceKind::Volume) => None,
                (None, _) => identity_from_table(entry).map(|id| recorded(&id, entry)),
            };
            let key = MountKey::of(entry);
            let source = self
                .known
                .lock()
                .mounted
                .iter()
                .find(|(_, at)| **at == key)
                .map(|(source, _)| *source);
            volumes.push(MountedVolume {
                point: entry.mount_point.clone(),
                kind,
                name: name_of(entry, disk.and_then(|disk| disk.label)),
                identity,
                source,
                read_only: is_read_only(entry),
                fs_type: entry.fs_type.clone(),
            });
        }
        Ok(volumes)
    }
}

pub(super) fn now() -> Nanoseconds {
    Nanoseconds::from(SystemTime::now())
}

/// What sort of source a mount is; `None` where it is trusted, or the kernel's own.
pub(super) fn sort(classifier: &Classifier, entry: &MountEntry) -> Option<SourceKind> {
    match classifier.sort(entry) {
        StorageSort::Removable(_) => Some(SourceKind::Volume),
        StorageSort::Network | StorageSort::Foreign { .. } => Some(SourceKind::Network),
        StorageSort::Local => None,
    }
}

pub(super) fn is_ours(entry: &MountEntry) -> bool {
    entry.is_our_drive()
}

/// Nothing is mounted over it.
pub(super) fn is_seen(table: &MountTable, entry: &MountEntry) -> bool {
    table
        .at(&entry.mount_point)
        .is_some_and(|top| top.id == entry.id)
}

fn is_read_only(entry: &MountEntry) -> bool {
    [&entry.options, &entry.super_options]
        .into_iter()
        .any(|options| {
            let options = options.as_encoded_bytes();
            options.split(|b| *b == b',').any(|o| o == b"ro")
        })
}

pub(super) fn name_of(entry: &MountEntry, label: Option<String>) -> String {
    let last = || {
        let name = entry.mount_point.file_name();
        name.map(|name| name.to_string_lossy().into_owned())
    };
    label
        .filter(|label| !label.is_empty())
        .or_else(last)
        .unwrap_or_else(|| "volume".to_owned())
}

#[cfg(test)]
#[path = "sources_tests.rs"]
pub(super) mod tests;

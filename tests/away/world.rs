//! A drive without a kernel over a catalog, a cache, and sources that do as they are told.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use mediafs::catalog::{
    Catalog, Durability, Evidence, FolderNo, ItemNo, ItemRow, Nanoseconds, NewSource, Observation,
    PlaceKind, PlaceNo, ProbeRecord,
};
use mediafs::config::{Config, Deadlines};
use mediafs::hydrate::{Fetch, HydrateError, Hydrator, Limits, TaskState, Told, Wanted, Why};
use mediafs::library::probe::probe;
use mediafs::model::{Kind, MediaId, ObjectHash, SourceKind, SourceNo, SourceState};
use mediafs::silence::placeholder;
use mediafs::tree::class::Requesters;
use mediafs::tree::{Bringing, Heard, Listener, MediaDrive, Owner, Reconcile, Silence};
use mediafs_cache::{Eviction, ObjectId, Store, StoreOptions};
#[cfg(target_os = "linux")]
use mediafs_platform::beneath;
use mediafs_platform::process::ProcessId;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::courier::{Couriers, Manner};

/// Shorter than the real ones where nobody promised how long they are.
pub(crate) const DEADLINES: Deadlines = Deadlines {
    player: Duration::from_millis(20),
    loader: Duration::from_millis(250),
    copier: Duration::from_millis(500),
};

/// Nothing is looked for on a disk: there is none.
struct NoDisk;

impl Reconcile for NoDisk {
    fn reconcile(&self, _: PlaceNo) {}
}

/// Does what the daemon does.
struct Daemon {
    catalog: Arc<Catalog>,
    bringing: OnceLock<Weak<Bringing>>,
}

impl Told for Daemon {
    fn task(&self, _: &TaskState) {}

    fn arrived(&self, wanted: &Wanted, object: ObjectHash) {
        self.catalog
            .write(Durability::Full, |writer| {
                writer.record_arrival(wanted.place, wanted.generation, object, None)
            })
            .unwrap();
    }

    fn answered(&self, source: SourceNo) {
        if let Some(bringing) = self.bringing.get().and_then(Weak::upgrade) {
            bringing.answered(source);
        }
    }

    fn failed(&self, _: &Wanted, _: &HydrateError) {}
}

/// Hears what is told of silence.
#[derive(Default)]
pub(crate) struct Ears {
    pub(crate) silenced: Mutex<Vec<(ItemNo, Listener)>>,
    pub(crate) restored: Mutex<Vec<Silence>>,
}

impl Heard for Ears {
    fn silenced(&self, item: ItemNo, listener: &Listener) {
        self.silenced.lock().push((item, listener.clone()));
    }

    fn restored(&self, silence: &Silence) {
        self.restored.lock().push(silence.clone());
    }
}

/// A source with a library on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) source: SourceNo,
    pub(crate) top: FolderNo,
}

/// What is known of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    /// All that can be.
    Facts,
    /// That it is a sound.
    Name,
    /// That it is none.
    NoMedia,
}

/// A file on a source.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) at: Place,
    pub(crate) library: String,
    pub(crate) place: PlaceNo,
    pub(crate) item: Option<(ItemNo, MediaId)>,
    pub(crate) bytes: Vec<u8>,
}

impl File {
    pub(crate) fn hash(&self) -> ObjectHash {
        ObjectHash(*blake3::hash(&self.bytes).as_bytes())
    }

    pub(crate) fn item(&self) -> ItemNo {
        self.item.as_ref().unwrap().0
    }
}

pub(crate) struct World {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) store: Store,
    pub(crate) couriers: Arc<Couriers>,
    pub(crate) hydrator: Arc<Hydrator>,
    pub(crate) requesters: Arc<Requesters>,
    pub(crate) bringing: Arc<Bringing>,
    pub(crate) drive: Arc<MediaDrive>,
    pub(crate) ears: Arc<Ears>,
    pub(crate) braked: Arc<Mutex<Vec<ProcessId>>>,
    libraries: Mutex<HashMap<SourceNo, String>>,
    next: AtomicU64,
    pub(crate) folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.couriers.end();
        self.hydrator.shutdown();
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(DEADLINES, StoreOptions::default())
    }

    pub(crate) fn with(deadlines: Deadlines, options: StoreOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let store = Store::open(folder.path().join("cache"), options).unwrap();
        let catalog = Catalog::open(&home).unwrap();
        let asked = store.clone();
        catalog.set_cache(Box::new(move |hash| {
            asked.contains(&ObjectId::from_bytes(hash.0)).unwrap()
        }));
        let daemon = Arc::new(Daemon {
            catalog: Arc::clone(&catalog),
            bringing: OnceLock::new(),
        });
        let couriers = Arc::new(Couriers::default());
        let opened = store.clone();
        let hydrator = Arc::new(Hydrator::new(
            Arc::new(move || Ok(opened.clone())),
            Arc::clone(&couriers) as Arc<dyn Fetch>,
            Arc::clone(&daemon) as Arc<dyn Told>,
            Limits {
                first_pause: Duration::from_millis(20),
                ..Limits::default()
            },
        ));
        let ears = Arc::new(Ears::default());
        let braked = Arc::new(Mutex::new(Vec::new()));
        let (cached, told) = (store.clone(), Arc::clone(&braked));
        let bringing = Bringing::new(
            Arc::clone(&hydrator),
            Box::new(move |hash| cached.open_object(&ObjectId::from_bytes(hash.0)).unwrap()),
            deadlines,
            Arc::clone(&ears) as Arc<dyn Heard>,
            Box::new(move |process| told.lock().push(process.id)),
        );
        daemon.bringing.set(Arc::downgrade(&bringing)).unwrap();
        let requesters = Arc::new(Requesters::new(&Config::defaults().unwrap().requesters));
        let drive = MediaDrive::new(
            Arc::clone(&catalog),
            Arc::clone(&requesters),
            Arc::new(NoDisk),
            Owner { uid: 0, gid: 0 },
            home,
        );
        drive.bring(Arc::clone(&bringing));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        Self {
            runtime,
            catalog,
            store,
            couriers,
            hydrator,
            requesters,
            bringing,
            drive,
            ears,
            braked,
            libraries: Mutex::default(),
            next: AtomicU64::new(1),
            folder,
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A source that is online and answers, with a library on all of it.
    pub(crate) fn source(&self, kind: SourceKind) -> Place {
        let number = self.number();
        let root = self.folder.path().join(format!("source-{number}"));
        std::fs::create_dir(&root).unwrap();
        let name = format!("library-{number}");
        let (source, top) = self
            .catalog
            .write(Durability::Full, |writer| {
                let new = NewSource {
                    kind,
                    identity: format!("test:{number}"),
                    name: name.clone(),
                    provider: None,
                    path: root.clone(),
                };
                let source = writer.add_source(&new, Nanoseconds(0))?.row;
                let base = writer.add_library(&name, &root)?;
                writer.set_base_source(base.row, Some((source, Path::new(""))))?;
                Ok::<_, mediafs::catalog::CatalogError>((source, base.top))
            })
            .unwrap();
        self.libraries.lock().insert(source, name);
        self.catalog.set_source_state(source, SourceState::Online);
        Place { source, top }
    }

    /// A library on trusted storage.
    #[cfg(target_os = "linux")]
    pub(crate) fn trusted(&self) -> FolderNo {
        let number = self.number();
        let root = self.folder.path().join(format!("trusted-{number}"));
        std::fs::create_dir(&root).unwrap();
        self.catalog
            .write(Durability::Full, |writer| {
                writer.add_library(&format!("trusted-{number}"), &root)
            })
            .unwrap()
            .top
    }

    pub(crate) fn evidence(&self, size: usize) -> Evidence {
        let number = self.number();
        let time = Nanoseconds(i64::try_from(number).unwrap() * 1_000_000_000);
        Evidence {
            device: 1,
            inode: number,
            size: size as u64,
            modified: time,
            changed: time,
            born: None,
            permissions: 0o644,
        }
    }

    /// Makes the catalog know a file.
    fn seen(
        &self,
        top: FolderNo,
        name: &str,
        evidence: Evidence,
        bytes: &[u8],
        known: Known,
    ) -> PlaceNo {
        let record = match known {
            Known::NoMedia => Some(ProbeRecord::NotMedia),
            Known::Name => None,
            Known::Facts => {
                let found = probe(&mut Cursor::new(bytes), name.as_bytes()).unwrap();
                Some(ProbeRecord::Media {
                    kind: found.kind,
                    format: found.format,
                    attributes: found.attributes,
                    notes: found.notes,
                    capsule: found.capsule,
                    fingerprint: [0; 32],
                })
            }
        };
        self.catalog
            .write(Durability::Full, |writer| {
                let kind = PlaceKind::File;
                let seen = Observation { kind, evidence };
                let observed = writer.observe(top, OsStr::new(name), &seen)?;
                let place = observed.to_probe().expect("it is new");
                let generation = writer.reader().place(place)?.unwrap().generation;
                match &record {
                    Some(record) => drop(writer.record_probe(place, generation, record)?),
                    None => drop(writer.record_unread(place, &Kind::Audio)?),
                }
                Ok::<_, mediafs::catalog::CatalogError>(place)
            })
            .unwrap()
    }

    /// A file on a source, as a scan records it.
    pub(crate) fn put(&self, at: Place, name: &str, bytes: &[u8], known: Known) -> File {
        let place = self.seen(at.top, name, self.evidence(bytes.len()), bytes, known);
        self.has(place, bytes);
        let item = self
            .catalog
            .reader()
            .unwrap()
            .item_at(place, None)
            .unwrap()
            .map(|item| (item.row, item.media_id));
        assert_eq!(item.is_none(), known == Known::NoMedia);
        File {
            name: name.to_owned(),
            at,
            library: self.libraries.lock()[&at.source].clone(),
            place,
            item,
            bytes: bytes.to_vec(),
        }
    }

    /// The source has these bytes, as what the catalog knows.
    pub(crate) fn has(&self, place: PlaceNo, bytes: &[u8]) {
        let row = self.catalog.reader().unwrap().place(place).unwrap();
        self.couriers.has(place, row.unwrap().generation, bytes);
    }

    /// The file has another content from now on.
    pub(crate) fn replace(&self, file: &mut File, bytes: &[u8]) {
        let (evidence, known) = (self.evidence(bytes.len()), Known::Facts);
        self.seen(file.at.top, &file.name, evidence, bytes, known);
        self.has(file.place, bytes);
        file.bytes = bytes.to_vec();
    }

    /// A file with the same bytes on trusted storage.
    #[cfg(target_os = "linux")]
    pub(crate) fn twin(&self, file: &File) {
        let top = self.trusted();
        let reader = self.catalog.reader().unwrap();
        let folder = reader.bases().unwrap();
        let base = folder.iter().find(|base| base.top == top).unwrap();
        let path = base.path.join(&file.name);
        std::fs::write(&path, &file.bytes).unwrap();
        let (_, seen) = beneath::evidence_of(&std::fs::File::open(&path).unwrap()).unwrap();
        let evidence = Evidence {
            born: None,
            ..seen.into()
        };
        let place = self.seen(top, &file.name, evidence, &file.bytes, Known::Facts);
        let item = reader.item_at(place, None).unwrap().unwrap();
        self.hash(item.row, file.hash());
        self.know_hash(file);
    }

    fn hash(&self, item: ItemNo, hash: ObjectHash) {
        let row = self.catalog.reader().unwrap().item(item).unwrap().unwrap();
        self.catalog
            .write(Durability::Full, |writer| {
                writer.record_hash(item, row.generation, hash, None)
            })
            .unwrap();
    }

    /// The hash of the file's present bytes becomes known.
    pub(crate) fn know_hash(&self, file: &File) {
        self.hash(file.item(), file.hash());
    }

    pub(crate) fn set_online_only(&self, file: &File) {
        self.catalog
            .write(Durability::Full, |writer| {
                writer.set_online_only(file.place, true)
            })
            .unwrap();
    }

    pub(crate) fn gone(&self, file: &File) {
        self.catalog
            .write(Durability::Full, |writer| writer.place_gone(file.place))
            .unwrap();
    }

    /// A source changes its state, and hydration is told, as the daemon does.
    pub(crate) fn set_state(&self, at: Place, state: SourceState) {
        if !state.is_online() {
            self.hydrator.source_is_away(at.source, state.words());
        }
        self.catalog.set_source_state(at.source, state);
        if state.is_online() {
            self.hydrator.source_is_back(at.source);
        }
    }

    pub(crate) fn be(&self, at: Place, manner: Manner) {
        self.couriers.be(at.source, manner);
    }

    pub(crate) fn row(&self, file: &File) -> ItemRow {
        let reader = self.catalog.reader().unwrap();
        reader.item(file.item()).unwrap().unwrap()
    }

    pub(crate) fn wanted(&self, file: &File) -> Wanted {
        let reader = self.catalog.reader().unwrap();
        let place = reader.place(file.place).unwrap().unwrap();
        Wanted::of(&reader, &place).unwrap().unwrap()
    }

    /// Brings all of a file, as somebody who asks for it by hand, and waits until the catalog knows.
    pub(crate) fn bring(&self, file: &File) {
        let task = self.hydrator.ask(&self.wanted(file), Why::ByHand);
        self.runtime.block_on(self.hydrator.wait(task)).unwrap();
        self.settle(|| self.is_known_to_be_cached(file));
    }

    pub(crate) fn is_known_to_be_cached(&self, file: &File) -> bool {
        let reader = self.catalog.reader().unwrap();
        let hash = reader.hash_of_place(file.place).unwrap();
        hash.is_some_and(|hash| self.store.contains(&ObjectId::from_bytes(hash.0)).unwrap())
    }

    /// Takes an object out of the cache, if nobody has it open.
    pub(crate) fn evict(&self, hash: ObjectHash) -> Eviction {
        let evicted = self.store.evict(&ObjectId::from_bytes(hash.0)).unwrap();
        self.catalog.object_changed(hash).unwrap();
        evicted
    }

    /// As [`Self::evict`], when those who closed it have let go of it.
    pub(crate) fn evict_soon(&self, hash: ObjectHash) -> Eviction {
        let mut tries = 200;
        loop {
            tries -= 1;
            match self.evict(hash) {
                Eviction::InUse if tries > 0 => std::thread::sleep(Duration::from_millis(1)),
                evicted => return evicted,
            }
        }
    }

    /// Waits for what others do in the background.
    pub(crate) fn settle(&self, done: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < until, "it never comes");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What silence of an item is.
    pub(crate) fn silence(&self, file: &File) -> Vec<u8> {
        let reader = self.catalog.reader().unwrap();
        let format = reader.format(file.item()).unwrap().unwrap();
        let capsule = reader.capsule(file.item()).unwrap();
        let silence = placeholder(&format, file.bytes.len() as u64, capsule.as_ref()).unwrap();
        let mut bytes = vec![1; file.bytes.len()];
        assert_eq!(silence.read_at(0, &mut bytes), bytes.len());
        bytes
    }

    /// Nothing is left that somebody would have to give back.
    pub(crate) fn nothing_is_left(&self) {
        assert_eq!(self.drive.load().0, 0, "handles");
        self.settle(|| {
            let tasks = self.hydrator.tasks();
            let mut running = tasks.iter().filter(|task| !task.phase.is_over());
            running.all(|task| task.streams == 0 && task.waiting.is_empty())
        });
        self.settle(|| self.store.usage().unwrap().open_objects == 0);
    }
}

//! The drive against a model, without a kernel: random changes of the disk, scans, look-ups, opens and reads, checked after
//! every step.
//!
//! What must hold, whatever happens in whatever order:
//! - a node shows one content for ever, whoever opens it and when;
//! - a handle reads what it read before;
//! - a copier gets the bytes that are on the disk, or an error; never silence;
//! - a player gets the bytes, or silence of their size, once the sound was read; never an error;
//! - no item is ever lost, and its id stays at its place.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mediafs::catalog::{
    Catalog, Durability, Evidence, FolderNo, ItemNo, Nanoseconds, Observation, Observed, PlaceKind,
    PlaceNo, ProbeRecord,
};
use mediafs::config::Config;
use mediafs::library::probe::probe;
use mediafs::tree::class::{Class, Requesters};
use mediafs::tree::node::{Door, Node};
use mediafs::tree::{MediaDrive, Owner, Reconcile};
use mediafs_platform::beneath::{Links, Root};
use mediafs_platform::drive::{
    Answer, Drive, DriveError, Entry, HandleId, NodeId, OpenMode, Opened, Requester,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use support::sounds;

const FILES: usize = 4;
/// Nobody: behind `.as/` the path gives the class.
const NOBODY: Requester = Requester {
    thread: None,
    uid: 0,
    gid: 0,
};

#[derive(Clone, Debug)]
enum Step {
    /// New content, by a new file renamed into place.
    Replace(usize, u32),
    /// New content of the same length in the same file.
    Overwrite(usize, u32),
    Delete(usize),
    /// Moved out of the library.
    TakeAway(usize),
    PutBack(usize),
    /// The watcher sees one file.
    Watch(usize),
    Lookup(usize, Class),
    /// Opens what was looked up last by that class, however long ago.
    OpenOld(usize, Class),
    /// Looks up and opens as the kernel does, again after ESTALE.
    Open(usize, Class),
    ReadAgain(usize),
    Close(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop_oneof![
        Just(Class::Player),
        Just(Class::Loader),
        Just(Class::Copier),
        Just(Class::Indexer)
    ];
    let file = 0..FILES;
    prop_oneof![
        2 => (file.clone(), 1..50u32).prop_map(|(f, s)| Step::Replace(f, s)),
        1 => (file.clone(), 1..50u32).prop_map(|(f, s)| Step::Overwrite(f, s)),
        1 => file.clone().prop_map(Step::Delete),
        2 => file.clone().prop_map(Step::TakeAway),
        2 => file.clone().prop_map(Step::PutBack),
        4 => file.clone().prop_map(Step::Watch),
        2 => (file.clone(), class.clone()).prop_map(|(f, c)| Step::Lookup(f, c)),
        3 => (file.clone(), class.clone()).prop_map(|(f, c)| Step::OpenOld(f, c)),
        6 => (file, class).prop_map(|(f, c)| Step::Open(f, c)),
        4 => (0..20usize).prop_map(Step::ReadAgain),
        2 => (0..20usize).prop_map(Step::Close),
    ]
}

/// The library on disk and how it is looked at.
struct Disk {
    root: PathBuf,
    away: PathBuf,
    catalog: Arc<Catalog>,
    top: FolderNo,
}

fn name(file: usize) -> String {
    format!("{file}.wav")
}

impl Disk {
    fn path(&self, file: usize) -> PathBuf {
        self.root.join(name(file))
    }

    /// What a watcher does for one file.
    fn look(&self, file: usize) {
        let root = Root::open(&self.root, Links::Beneath).unwrap();
        let name = name(file);
        let opened = root.open_file(Path::new(&name)).ok();
        self.catalog
            .write(Durability::Full, |writer| {
                match opened {
                    Some((mut bytes, seen)) => {
                        let evidence = Evidence {
                            device: seen.device,
                            inode: seen.inode,
                            size: seen.size,
                            modified: Nanoseconds::from(seen.modified),
                            changed: Nanoseconds::from(seen.changed),
                            born: None,
                            permissions: 0o644,
                        };
                        let seen = Observation {
                            kind: PlaceKind::File,
                            evidence,
                        };
                        if let Observed::New(place) | Observed::Changed(place) =
                            writer.observe(self.top, OsStr::new(&name), &seen)?
                        {
                            let found = probe(&mut bytes, name.as_bytes())
                                .expect("our own sounds can be read");
                            let generation = writer
                                .reader()
                                .place(place)?
                                .expect("just observed")
                                .generation;
                            let record = ProbeRecord::Media {
                                kind: found.kind,
                                format: found.format,
                                attributes: found.attributes,
                                notes: found.notes,
                                capsule: found.capsule,
                                fingerprint: [0; 32],
                            };
                            writer.record_probe(place, generation, &record)?;
                        }
                    }
                    None => {
                        if let Some((place, _)) = self
                            .catalog
                            .reader()?
                            .child_place(self.top, OsStr::new(&name))?
                        {
                            writer.place_gone(place.row)?;
                        }
                    }
                }
                Ok::<_, mediafs::catalog::CatalogError>(())
            })
            .unwrap();
    }

    fn file_of(&self, place: PlaceNo) -> Option<usize> {
        let (_, path) = self.catalog.reader().unwrap().place_path(place).unwrap()?;
        path.file_stem()?.to_str()?.parse().ok()
    }
}

impl Reconcile for Disk {
    fn reconcile(&self, place: PlaceNo) {
        if let Some(file) = self.file_of(place) {
            self.look(file);
        }
    }
}

struct World {
    _folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    disk: Arc<Disk>,
    drive: Arc<MediaDrive>,
    items: HashMap<usize, (ItemNo, String)>,
    looked_up: HashMap<(usize, Class), Entry>,
    /// What each node has shown.
    shown: HashMap<NodeId, Vec<u8>>,
    handles: Vec<(HandleId, NodeId, Vec<u8>)>,
    /// How often each thing that matters has happened.
    exercised: HashMap<&'static str, usize>,
}

fn silence_of(size: usize) -> impl Fn(&[u8]) -> bool {
    move |bytes| bytes.len() == size && bytes[44..].iter().all(|byte| *byte == 0)
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, away, home) = (
            folder.path().join("library"),
            folder.path().join("away"),
            folder.path().join("home"),
        );
        for path in [&root, &away, &home] {
            std::fs::create_dir(path).unwrap();
        }
        let catalog = Catalog::open(&home).unwrap();
        let base = catalog
            .write(Durability::Full, |writer| {
                writer.add_library("library", &root)
            })
            .unwrap();
        let disk = Arc::new(Disk {
            root,
            away,
            catalog: Arc::clone(&catalog),
            top: base.top,
        });
        let requesters = Arc::new(Requesters::new(&Config::defaults().unwrap().requesters));
        let reconcile: Arc<dyn Reconcile> = Arc::clone(&disk) as _;
        let drive = MediaDrive::new(
            catalog,
            requesters,
            reconcile,
            Owner { uid: 0, gid: 0 },
            home,
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut world = Self {
            _folder: folder,
            runtime,
            disk,
            drive,
            items: HashMap::new(),
            looked_up: HashMap::new(),
            shown: HashMap::new(),
            handles: Vec::new(),
            exercised: HashMap::new(),
        };
        for file in 0..FILES {
            std::fs::write(
                world.disk.path(file),
                sounds::wav(100 + file as u32, file as u32 + 100),
            )
            .unwrap();
            world.disk.look(file);
            let reader = world.disk.catalog.reader().unwrap();
            let (_, item) = reader
                .child_place(world.disk.top, OsStr::new(&name(file)))
                .unwrap()
                .unwrap();
            let item = item.expect("a sound is an item");
            world
                .items
                .insert(file, (item.row, item.media_id.as_str().to_owned()));
        }
        world
    }

    fn happened(&mut self, what: &'static str) {
        *self.exercised.entry(what).or_default() += 1;
    }

    fn on_disk(&self, file: usize) -> Option<Vec<u8>> {
        std::fs::read(self.disk.path(file)).ok()
    }

    fn lookup(&mut self, file: usize, class: Class) -> Entry {
        let (item, id) = self.items[&file].clone();
        let (_, door) = Door::NAMED
            .into_iter()
            .find(|(_, door)| *door == Door::As(class))
            .unwrap();
        let folder = self
            .drive
            .lookup(Node::ById.id(door), OsStr::new(&id), &NOBODY)
            .unwrap();
        assert_eq!(folder.node, Node::ItemFolder(item).id(door));
        let entry = self
            .drive
            .lookup(folder.node, OsStr::new(&name(file)), &NOBODY)
            .unwrap();
        self.looked_up.insert((file, class), entry);
        entry
    }

    fn open(&self, node: NodeId) -> Result<Opened, DriveError> {
        match self.drive.open(
            node,
            OpenMode {
                read: true,
                ..OpenMode::default()
            },
            &NOBODY,
        ) {
            Answer::Now(result) => result,
            Answer::Later(answer) => self.runtime.block_on(answer),
            Answer::Work(work) => work(),
        }
    }

    fn read_all(&self, handle: HandleId) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let Answer::Now(Ok(part)) = self.drive.read(handle, bytes.len() as u64, 333, &NOBODY)
            else {
                panic!("what is open can be read")
            };
            if part.is_empty() {
                return bytes;
            }
            bytes.extend(&part);
        }
    }

    /// A handle was given: its node shows what it always showed.
    fn opened(&mut self, entry: Entry, opened: &Opened) -> Vec<u8> {
        let bytes = self.read_all(opened.handle);
        assert_eq!(
            bytes.len() as u64,
            entry.attributes.size,
            "as long as the look-up said"
        );
        let before = self
            .shown
            .entry(entry.node)
            .or_insert_with(|| bytes.clone());
        assert_eq!(*before, bytes, "a node shows one content for ever");
        self.handles
            .push((opened.handle, entry.node, bytes.clone()));
        bytes
    }

    fn open_fresh(&mut self, file: usize, class: Class) {
        let disk = self.on_disk(file);
        for _ in 0..3 {
            let entry = self.lookup(file, class);
            match self.open(entry.node) {
                Ok(opened) => {
                    let bytes = self.opened(entry, &opened);
                    match &disk {
                        Some(disk) if *disk == bytes => self.happened("bytes"),
                        _ => {
                            assert!(
                                matches!(class, Class::Player | Class::Loader),
                                "{class:?} was given other bytes"
                            );
                            assert!(
                                silence_of(bytes.len())(&bytes),
                                "neither the bytes nor silence"
                            );
                            self.happened("silence");
                        }
                    }
                    return;
                }
                Err(DriveError::Stale) => self.happened("stale"),
                Err(DriveError::Missing) => {
                    assert!(
                        matches!(class, Class::Copier | Class::Indexer),
                        "a player got an error"
                    );
                    self.happened("refused");
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("stale for ever");
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Replace(file, seed) => {
                let fresh = self.disk.away.join("fresh");
                std::fs::write(&fresh, sounds::wav(100 + seed, seed)).unwrap();
                let replace = mediafs_platform::drive::Replacing::Replace;
                mediafs_platform::files::rename(&fresh, &self.disk.path(file), replace).unwrap();
            }
            Step::Overwrite(file, seed) => {
                if let Some(bytes) = self.on_disk(file) {
                    // A file left in place that is overwritten in place shows through a handle open on it: documented.
                    let open: Vec<_> = std::mem::take(&mut self.handles);
                    for (handle, _, _) in open {
                        self.drive.release(handle);
                    }
                    let frames = (bytes.len() as u32 - 44) / 4;
                    std::fs::write(self.disk.path(file), sounds::wav(frames, seed)).unwrap();
                }
            }
            Step::Delete(file) => drop(std::fs::remove_file(self.disk.path(file))),
            Step::TakeAway(file) => drop(std::fs::rename(
                self.disk.path(file),
                self.disk.away.join(name(file)),
            )),
            Step::PutBack(file) => drop(std::fs::rename(
                self.disk.away.join(name(file)),
                self.disk.path(file),
            )),
            Step::Watch(file) => self.disk.look(file),
            Step::Lookup(file, class) => drop(self.lookup(file, class)),
            Step::OpenOld(file, class) => {
                if let Some(entry) = self.looked_up.get(&(file, class)).copied() {
                    match self.open(entry.node) {
                        Ok(opened) => {
                            self.opened(entry, &opened);
                            self.happened("old node opened");
                        }
                        Err(DriveError::Stale) => self.happened("old node stale"),
                        Err(DriveError::Missing) => self.happened("old node refused"),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            Step::Open(file, class) => self.open_fresh(file, class),
            Step::ReadAgain(at) => {
                if let Some((handle, node, bytes)) = self.handles.get(at) {
                    assert_eq!(
                        self.read_all(*handle),
                        *bytes,
                        "a handle reads what it read before"
                    );
                    let (attributes, _) = self
                        .drive
                        .attributes(*node)
                        .expect("what is open has attributes");
                    assert_eq!(attributes.size, bytes.len() as u64);
                }
            }
            Step::Close(at) => {
                if at < self.handles.len() {
                    let (handle, _, _) = self.handles.swap_remove(at);
                    self.drive.release(handle);
                }
            }
        }
        for (item, id) in self.items.values() {
            let reader = self.disk.catalog.reader().unwrap();
            let row = reader.item(*item).unwrap().expect("no item is ever lost");
            assert_eq!(row.media_id.as_str(), id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_drive_keeps_its_promises(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        for (handle, _, _) in std::mem::take(&mut world.handles) {
            world.drive.release(handle);
        }
        prop_assert_eq!(world.drive.load().0, 0, "every handle is given back");
    }
}

/// The model is worth nothing if it never gets to the cases that matter.
#[test]
fn the_model_gets_everywhere() {
    let mut world = World::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..600 {
        let step = step().new_tree(&mut runner).unwrap().current();
        world.run(&step);
    }
    for what in [
        "bytes",
        "silence",
        "stale",
        "refused",
        "old node opened",
        "old node stale",
    ] {
        assert!(
            world.exercised.get(what).copied().unwrap_or(0) > 3,
            "{what}: {:?}",
            world.exercised
        );
    }
}

#![doc = include_str!("SEMANTICS.md")]
//!
//! # The code
//!
//! [`MediaDrive`] implements [`Drive`]: requests come from the adapters of `mediafs-platform`, facts from the catalog,
//! bytes from files on trusted storage or from `silence`. It keeps no tree in memory: a node's number says what it is
//! ([`node`]), and what a name leads to is asked of the catalog at each look-up. It only remembers what the kernel was
//! told (`known`), open handles, and the roots of storage.

pub mod class;
pub mod node;
pub mod observed;

mod attributes;
mod away;
mod bringing;
mod deal;
mod drop_box;
mod handles;
mod known;
mod list;
mod lookup;
mod open;
mod refused;
mod sidecar_files;
mod sidecars;
mod silenced;
mod source;
mod stream;
mod takes;
mod texts;
mod used;
mod view;
mod xattr;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mediafs_platform::drive::{
    Allocation, Answer, AttributeChange, Attributes, Cursor, Drive, DriveError, Entry, HandleId,
    Invalidate, Listed, Making, NodeId, OpenMode, Opened, Replacing, Requester, Room,
};
use parking_lot::Mutex;
use tracing::warn;

pub use self::bringing::{Bringing, OnBrake, OpenCached};
use self::class::{Class, Requesters};
use self::handles::{Handles, Shown};
use self::known::{KnownTable, Subject};
use self::node::{Door, Node};
pub(crate) use self::refused::OnRefused;
use self::refused::Refused;
pub use self::silenced::{Heard, Listener, Silence};
use self::source::Roots;
use self::view::View;
use crate::catalog::{BaseNo, Catalog, CatalogError, Change, PlaceNo, Reader};
use crate::library::drop_box::DropBox;
use crate::library::sidecars::Sidecars;
use crate::project::takes::Takes;

/// How long the kernel may keep what only changes by a change that is pushed to it.
const PUSHED: Duration = Duration::from_secs(3600);

/// Looks again at a place whose file was not what the catalog says, and records what it finds, before it returns.
/// Called where waiting is allowed.
pub trait Reconcile: Send + Sync + 'static {
    /// Looks at the place now.
    fn reconcile(&self, place: PlaceNo);

    /// Whether the storage at an absolute path may be touched by the drive itself. Asked where that is not known already;
    /// answered by the system's tables, at once.
    fn is_trusted(&self, path: &Path) -> bool {
        let _ = path;
        true
    }

    /// A program looks something up, opens or reads it: who works in the background gives way. Called at each such
    /// request.
    fn in_use(&self) {}
}

/// Whose files the drive shows them as.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The media drive.
pub struct MediaDrive {
    /// For work that is done after the call that asks for it.
    this: Weak<Self>,
    catalog: Arc<Catalog>,
    requesters: Arc<Requesters>,
    reconcile: Arc<dyn Reconcile>,
    owner: Owner,
    /// A folder of the home, for `statfs`.
    home: PathBuf,
    started: SystemTime,
    known: KnownTable,
    handles: Arc<Handles>,
    observed: Arc<observed::Observed>,
    roots: Roots,
    /// For sounds that are not on trusted storage; without it they are as if their sources were away.
    bringing: OnceLock<Arc<Bringing>>,
    /// Who has which take open; without it nothing is recorded.
    takes: OnceLock<Arc<Takes>>,
    /// What is in `import/`; without it there is nothing.
    drop_box: OnceLock<Arc<DropBox>>,
    /// What programs wrote beside sounds; without it nothing is written there.
    sidecars: OnceLock<Arc<Sidecars>>,
    /// The folders in it of projects.
    scopes: Mutex<HashMap<BaseNo, Arc<str>>>,
    refused: Refused,
    kernel: OnceLock<Arc<dyn Invalidate>>,
    /// Counts the changes that were pushed. An answer during which it has moved may be older than the push, which then
    /// did not know of it: such an answer is not kept.
    pushes: AtomicU64,
    /// When the list of some folder that the kernel does not keep may have changed last.
    lists_changed: Arc<Mutex<SystemTime>>,
    /// Bit by door: was anything looked up behind it? Only those are told of changes.
    doors_used: AtomicU8,
}

impl MediaDrive {
    /// A drive over a catalog. It listens to the catalog's changes from now on.
    #[must_use]
    pub fn new(
        catalog: Arc<Catalog>,
        requesters: Arc<Requesters>,
        reconcile: Arc<dyn Reconcile>,
        owner: Owner,
        home: PathBuf,
    ) -> Arc<Self> {
        let drive = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            catalog: Arc::clone(&catalog),
            requesters,
            reconcile,
            owner,
            home,
            started: SystemTime::now(),
            known: KnownTable::default(),
            handles: Arc::default(),
            observed: Arc::default(),
            roots: Roots::default(),
            bringing: OnceLock::new(),
            takes: OnceLock::new(),
            drop_box: OnceLock::new(),
            sidecars: OnceLock::new(),
            scopes: Mutex::default(),
            refused: Refused::default(),
            kernel: OnceLock::new(),
            pushes: AtomicU64::new(0),
            lists_changed: Arc::new(Mutex::new(SystemTime::now())),
            doors_used: AtomicU8::new(1),
        });
        let listening = Arc::downgrade(&drive);
        catalog.listen(Box::new(move |changes| {
            if let Some(drive) = listening.upgrade() {
                drive.changed(changes);
            }
        }));
        drive
    }

    /// From now on sounds that are not on trusted storage are brought. Only the first call counts.
    pub fn bring(&self, bringing: Arc<Bringing>) {
        let _ = self.bringing.set(bringing);
    }

    /// From now on takes are written in `record/`. Only the first call counts.
    pub(crate) fn record(&self, takes: Arc<Takes>) {
        let _ = self.takes.set(takes);
    }

    /// From now on files are taken in `import/`. Only the first call counts.
    pub(crate) fn take_dropped(&self, drop_box: Arc<DropBox>) {
        let _ = self.drop_box.set(drop_box);
    }

    /// From now on sidecars are written beside sounds. Only the first call counts.
    pub(crate) fn keep_sidecars(&self, sidecars: Arc<Sidecars>) {
        let _ = self.sidecars.set(sidecars);
    }

    /// Who would write into a sound is told from now on. Only the first call counts.
    pub(crate) fn tell_of_refused(&self, told: OnRefused) {
        self.refused.tell(told);
    }

    /// Which sounds whom was given silence of, the longest silence first.
    #[must_use]
    pub fn silenced(&self) -> Vec<Silence> {
        let bringing = self.bringing.get();
        bringing.map_or_else(Vec::new, |bringing| bringing.silenced.all())
    }

    /// Open handles, and items and files whose nodes the kernel holds.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.handles.len(), self.known.len())
    }

    /// An answer for which a disk is asked that may take its time.
    fn work<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, DriveError> + Send + 'static,
    ) -> Answer<T> {
        match self.this.upgrade() {
            Some(drive) => Answer::work(move || work(&drive)),
            None => Answer::Now(Err(DriveError::Io)),
        }
    }

    fn reader(&self) -> Result<Reader, DriveError> {
        self.catalog.reader().map_err(failed)
    }

    fn pushes(&self) -> u64 {
        self.pushes.load(Ordering::SeqCst)
    }

    /// The class that decides for this requester behind this door.
    fn class(&self, door: Door, by: &Requester, players_door: bool) -> Class {
        match door {
            Door::As(class) => class,
            Door::Plain => self.requesters.class_of(by, players_door),
        }
    }

    fn mark_used(&self, door: Door) {
        let at = Door::ALL.iter().position(|d| *d == door).unwrap_or(0);
        let bit = 1u8 << at;
        if self.doors_used.load(Ordering::Relaxed) & bit == 0 {
            self.doors_used.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn used_doors(&self) -> impl Iterator<Item = Door> {
        let used = self.doors_used.load(Ordering::Relaxed);
        Door::ALL
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| used & 1 << at != 0)
            .map(|(_, door)| door)
    }

    fn forget_name(&self, node: Node, name: &OsStr) {
        if let Some(kernel) = self.kernel.get() {
            for door in self.used_doors() {
                kernel.entry(node.id(door), name);
            }
        }
    }

    fn forget_list(&self, node: Node) {
        if let Some(kernel) = self.kernel.get() {
            for door in self.used_doors() {
                kernel.listing(node.id(door));
            }
        }
    }

    fn forget_names_of(&self, subject: Subject) {
        let names = self.known.swapped(subject);
        if let Some(kernel) = self.kernel.get() {
            for (parent, name) in names {
                kernel.entry(parent, &name);
            }
        }
    }

    /// Pushes what a commit changed to the kernel.
    fn changed(&self, changes: &[Change]) {
        // Before anything is pushed: see `pushes`.
        self.pushes.fetch_add(1, Ordering::SeqCst);
        *self.lists_changed.lock() = SystemTime::now();
        for change in changes {
            match change {
                Change::Item {
                    row,
                    media_id,
                    swapped,
                    removed,
                } => {
                    if *swapped || *removed {
                        self.forget_names_of(Subject::Item(row.0));
                        self.look_whether_restored(*row);
                    }
                    if *removed {
                        self.forget_name(Node::ById, OsStr::new(media_id.as_str()));
                    }
                }
                Change::Name { folder, name } => {
                    self.forget_name(Node::Folder(*folder), name);
                    self.forget_list(Node::Folder(*folder));
                }
                Change::Shown {
                    project,
                    section,
                    name,
                } => {
                    self.forget_name(Node::Section(*project, *section), OsStr::new(name));
                    self.forget_list(Node::Section(*project, *section));
                }
                // What the kernel keeps is at hand whatever becomes of its source; all else is looked up each time.
                Change::Source { row, state } => self.source_changed(*row, *state),
                Change::Base { row } => {
                    self.roots.forget(*row);
                    self.scopes.lock().remove(row);
                    if let Ok(Some(base)) =
                        self.catalog.reader().and_then(|reader| reader.base(*row))
                    {
                        self.forget_name(Node::Library, OsStr::new(&base.name));
                        self.forget_name(Node::Projects, OsStr::new(&base.name));
                    }
                }
            }
        }
    }
}

/// What a failing catalog is to a program. Never `NotFound`: nobody is to believe that a sound is gone.
fn failed(error: CatalogError) -> DriveError {
    warn!(
        error = &error as &dyn std::error::Error,
        "the catalog did not answer a request of the drive"
    );
    DriveError::Io
}

fn decode(node: NodeId) -> Result<(Node, Door), DriveError> {
    Node::from_id(node).ok_or(DriveError::NotFound)
}

impl Drive for MediaDrive {
    fn mounted(&self, kernel: Arc<dyn Invalidate>) {
        if self.kernel.set(kernel).is_err() {
            warn!("the drive was mounted twice; only the first mount is told of changes");
        }
    }

    fn lookup(&self, parent: NodeId, name: &OsStr, by: &Requester) -> Result<Entry, DriveError> {
        let (node, door) = decode(parent)?;
        self.reconcile.in_use();
        let pushes = self.pushes();
        let mut entry = self.look_up(node, door, name, by)?;
        if self.pushes() != pushes {
            entry.entry_ttl = Duration::ZERO;
            entry.attribute_ttl = Duration::ZERO;
        }
        Ok(entry)
    }

    fn forget(&self, node: NodeId, count: u64) {
        match Node::from_id(node) {
            Some((Node::Dropped(number), _)) => {
                if let Some(drop_box) = self.drop_box.get() {
                    drop_box.forget(number, count);
                }
            }
            Some((Node::Sidecar(number), _)) => {
                if let Some(sidecars) = self.sidecars.get() {
                    sidecars.forget(number, count);
                }
            }
            Some((Node::Item { item, .. } | Node::Take { item, .. }, _)) => {
                self.known.forget(Subject::Item(item.0), node, count)
            }
            Some((Node::Place { place, .. } | Node::Link { place, .. }, _)) => {
                self.known.forget(Subject::Place(place.0), node, count);
            }
            _ => {}
        }
    }

    fn attributes(&self, node: NodeId) -> Result<(Attributes, Duration), DriveError> {
        let (node, door) = decode(node)?;
        self.attributes_of(node, door)
    }

    fn is_empty(&self, node: NodeId) -> Result<(), DriveError> {
        match decode(node)? {
            (Node::Take { item, .. }, _) => self.has_file(item),
            _ => Ok(()),
        }
    }

    fn read_link(&self, node: NodeId) -> Result<OsString, DriveError> {
        let (node, _) = decode(node)?;
        self.target_of(node)
    }

    fn list(
        &self,
        folder: NodeId,
        after: Cursor,
        entries: bool,
        _by: &Requester,
        sink: &mut dyn FnMut(Listed) -> bool,
    ) -> Result<(), DriveError> {
        let (node, door) = decode(folder)?;
        self.list_folder(node, door, after, entries, sink)
    }

    fn keeps_listing(&self, folder: NodeId) -> bool {
        // Each change of these is told by the catalog, name by name.
        matches!(Node::from_id(folder), Some((Node::Folder(_), _)))
    }

    fn lists_changed(&self) -> SystemTime {
        *self.lists_changed.lock()
    }

    fn parent(&self, folder: NodeId) -> Result<NodeId, DriveError> {
        let (node, door) = decode(folder)?;
        self.parent_of(node, door)
    }

    fn open(&self, node: NodeId, mode: OpenMode, by: &Requester) -> Answer<Opened> {
        if (mode.write || mode.truncate) && !self.may_write(node, by) {
            return Answer::Now(Err(self.refuse_write(node, by)));
        }
        self.reconcile.in_use();
        match decode(node) {
            Ok((node, door)) => {
                let answer = self.open_node(node, door, mode, by);
                if let Node::Item { item, .. } = node
                    && !matches!(answer, Answer::Now(Err(_)))
                {
                    self.observed.opened(item, door, by);
                }
                answer
            }
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn read(&self, handle: HandleId, offset: u64, length: u32, by: &Requester) -> Answer<Bytes> {
        self.reconcile.in_use();
        match self.handles.shown(handle) {
            Ok(shown) => self.read_shown(&shown, offset, length, by),
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn may_write(&self, node: NodeId, _by: &Requester) -> bool {
        match decode(node) {
            Ok((Node::Take { writable, .. }, _)) => writable && self.takes.get().is_some(),
            Ok((Node::DropBox | Node::Dropped(_), _)) => self.drop_box.get().is_some(),
            Ok((Node::Sidecar(_), _)) => self.sidecars.get().is_some(),
            Ok((Node::Place { place, generation }, _)) => self.may_take_over(place, generation),
            _ => false,
        }
    }

    fn copy_of(&self, node: NodeId) -> Option<NodeId> {
        match decode(node) {
            Ok((Node::Place { place, generation }, door)) => {
                self.taken_over(place, generation, door)
            }
            _ => None,
        }
    }

    /// The names of takes are those that were reserved; the drop box itself stays as well.
    fn may_remove(&self, node: NodeId, by: &Requester) -> bool {
        match decode(node) {
            Ok((Node::Take { .. } | Node::DropBox, _)) => false,
            _ => self.may_write(node, by),
        }
    }

    fn refuse_write(&self, node: NodeId, by: &Requester) -> DriveError {
        match decode(node) {
            Ok((Node::Item { item, .. }, _)) => self.refuse_into(item, by),
            _ => DriveError::ReadOnly,
        }
    }

    fn closed(&self, handle: HandleId, by: &Requester) {
        self.closed_dropped(handle, by);
    }

    fn create(
        &self,
        parent: NodeId,
        name: &OsStr,
        making: Making,
        by: &Requester,
    ) -> Answer<(Entry, Opened)> {
        let (node, door) = match decode(parent) {
            Ok(decoded) => decoded,
            Err(error) => return Answer::Now(Err(error)),
        };
        match View::of(node) {
            Some(view) => self.create_sidecar(view, door, name, making, by),
            None => self.create_dropped(node, door, name, making),
        }
    }

    fn make_folder(
        &self,
        parent: NodeId,
        name: &OsStr,
        permissions: u16,
        _by: &Requester,
    ) -> Answer<Entry> {
        match decode(parent) {
            Ok((node, door)) => self.make_dropped_folder(node, door, name, permissions),
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn remove(&self, parent: NodeId, name: &OsStr, folder: bool, by: &Requester) -> Answer<()> {
        let node = match decode(parent) {
            Ok((node, _)) => node,
            Err(error) => return Answer::Now(Err(error)),
        };
        match View::of(node) {
            Some(view) if !folder => self.remove_sidecar(view, name, by),
            _ => self.remove_dropped(node, name, folder),
        }
    }

    fn rename(
        &self,
        from: (NodeId, &OsStr),
        to: (NodeId, &OsStr),
        replacing: Replacing,
        by: &Requester,
    ) -> Answer<()> {
        let (old, new) = match (decode(from.0), decode(to.0)) {
            (Ok((old, _)), Ok((new, _))) => (old, new),
            (Err(error), _) | (_, Err(error)) => return Answer::Now(Err(error)),
        };
        match (View::of(old), View::of(new), new) {
            (Some(old), Some(new), _) => {
                self.rename_sidecar((old, from.1), (new, to.1), replacing, by)
            }
            (Some(old), None, Node::DropBox | Node::Dropped(_)) => {
                Answer::Now(Err(self.refuse_to_move(old, from.1, by)))
            }
            _ => self.rename_dropped((old, from.1), (new, to.1), replacing),
        }
    }

    fn write(&self, handle: HandleId, offset: u64, data: Bytes, _by: &Requester) -> Answer<u32> {
        self.reconcile.in_use();
        self.write_take(handle, offset, data)
    }

    fn set_attributes(
        &self,
        node: NodeId,
        handle: Option<HandleId>,
        change: AttributeChange,
        _by: &Requester,
    ) -> Answer<(Attributes, Duration)> {
        match decode(node) {
            Ok((
                Node::Take {
                    item,
                    writable: true,
                },
                door,
            )) => self.change_take(item, door, handle, change),
            Ok((Node::Dropped(number), door)) => self.change_dropped(number, door, handle, change),
            Ok((Node::Sidecar(number), door)) => self.change_sidecar(number, door, handle, change),
            Ok((Node::Place { place, generation }, _)) => self.take_over_place(place, generation),
            Ok(_) => Answer::Now(Err(DriveError::ReadOnly)),
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn allocate(&self, handle: HandleId, allocation: Allocation) -> Answer<()> {
        self.allocate_take(handle, allocation)
    }

    fn sync(&self, handle: HandleId, data_only: bool) -> Answer<()> {
        self.sync_take(handle, data_only)
    }

    fn sync_folder(&self, folder: NodeId) -> Answer<()> {
        match decode(folder) {
            Ok((node @ (Node::DropBox | Node::Dropped(_)), _)) => self.sync_dropped(node),
            Ok(_) => Answer::Now(Ok(())),
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn release(&self, handle: HandleId) -> Answer<()> {
        match self.handles.close(handle) {
            // A file that was written to is noted as whole, or goes for good if it has no name any more.
            Some(written @ (Shown::Take(_) | Shown::Dropped(_))) => Answer::work(move || {
                drop(written);
                Ok(())
            }),
            _ => Answer::Now(Ok(())),
        }
    }

    fn room(&self) -> Room {
        self.room_now()
    }

    fn xattr(&self, node: NodeId, name: &OsStr) -> Result<Vec<u8>, DriveError> {
        let (node, _) = decode(node)?;
        self.xattr_of(node, name)
    }

    fn xattrs(&self, node: NodeId) -> Result<Vec<OsString>, DriveError> {
        let (node, _) = decode(node)?;
        Ok(self.xattrs_of(node))
    }
}

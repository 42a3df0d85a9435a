//! Sidecars that programs wrote through the drive, kept per item.
//!
//! They lie as plain files in the home, `Sidecars/<scope>/<mediaId>/`, where the scope is `library` or the project's
//! (`project-<id>`). A file's name there is a letter and what the sidecar has behind the item's name: `n.reapeaks` behind
//! the whole name, `s.asd` behind the stem. `x.reapeaks` and `y.asd` are empty and say that the one beside the item's own
//! file was removed through the drive; `t…` are copies that were not whole when a daemon ended. The folders are the truth;
//! [`Sidecars`] knows what is in them, and which number of a node is which of them. The tree asks and tells it.
//!
//! A name is given by one rename on disk, which is on the disk when it is answered; what is in a file is so once it was
//! synced, with its name. They stay when their item is removed, as its id is given to nobody else, and are beside it again
//! when that is undone.

mod disk;
mod handle;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use mediafs_platform::drive::Replacing;
use mediafs_platform::files;
use parking_lot::Mutex;

use crate::model::{Behind, MediaId, ProjectId, SidecarName, safe_name};

use disk::Folder;
pub(crate) use disk::kept_of;
pub(crate) use handle::SidecarHandle;

/// The folder in the home.
const FOLDER: &str = "Sidecars";
/// Largest sidecar, in bytes.
pub(crate) const MOST_BYTES: u64 = 16 << 20;
/// Sidecars of an item.
pub(crate) const MOST: usize = 64;
/// Files without a name that are kept open for who has looked them up and may open them yet.
const MOST_GONE: usize = 64;

/// Of which item: the path of its folder.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ItemKey(Arc<str>);

impl ItemKey {
    /// Of an item of a project, or of the library.
    pub(crate) fn new(project: Option<&ProjectId>, id: &MediaId) -> Self {
        Self::in_scope(&scope_folder(project), id)
    }

    /// As [`ItemKey::new`], with what [`scope_folder`] gave.
    pub(crate) fn in_scope(scope: &str, id: &MediaId) -> Self {
        // Ids are the same without regard to case.
        Self(format!("{scope}/{}", id.as_str().to_ascii_lowercase()).into())
    }
}

/// The folder of a scope.
pub(crate) fn scope_folder(project: Option<&ProjectId>) -> String {
    /// Longer ones are not of our making.
    const LONGEST: usize = 200;
    match project.map(|project| safe_name(project.0.as_bytes())) {
        None => "library".to_owned(),
        Some(name) if name.len() <= LONGEST => format!("project-{name}"),
        Some(name) => format!("project-{}", blake3::hash(name.as_bytes()).to_hex()),
    }
}

/// What is known of a name beside an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// There is such a sidecar; the number of its node.
    Kept(u32),
    /// What is beside the item's file was removed through the drive.
    Hidden,
    /// Nothing was ever written under this name.
    Unknown,
}

/// The sidecars of a home.
pub(crate) struct Sidecars {
    top: PathBuf,
    table: Mutex<Table>,
    /// Held while names on disk change; the table is not, so that nobody who looks up waits for the disk.
    changing: Mutex<()>,
}

#[derive(Default)]
struct Table {
    last: u32,
    nodes: HashMap<u32, Node>,
    items: HashMap<ItemKey, Item>,
    /// How many sidecars have this suffix, behind names and behind stems.
    suffixes: [HashMap<Box<[u8]>, usize>; 2],
    /// Nodes that lost their names, the last one last.
    gone: VecDeque<u32>,
    /// All that is on disk is in the table.
    complete: bool,
}

#[derive(Default)]
struct Item {
    kept: BTreeMap<SidecarName, u32>,
    hidden: BTreeSet<SidecarName>,
}

/// A sidecar that has a name, or that the kernel knows.
struct Node {
    /// `None` once it was removed.
    name: Option<(ItemKey, SidecarName)>,
    lookups: u64,
    handles: usize,
    /// While a handle is open.
    file: Weak<File>,
    /// From just before it loses its name, so that who has looked it up opens it, and nothing else.
    gone: Option<Arc<File>>,
}

fn place_of(behind: Behind) -> usize {
    match behind {
        Behind::Name => 0,
        Behind::Stem => 1,
    }
}

impl Table {
    fn add(&mut self, key: &ItemKey, name: &SidecarName) -> u32 {
        self.last = self.last.wrapping_add(1).max(1);
        let number = self.last;
        let node = Node {
            name: None,
            lookups: 0,
            handles: 0,
            file: Weak::new(),
            gone: None,
        };
        self.nodes.insert(number, node);
        self.give_name(number, key, name);
        number
    }

    fn give_name(&mut self, number: u32, key: &ItemKey, name: &SidecarName) {
        let suffixes = &mut self.suffixes[place_of(name.behind)];
        *suffixes.entry(name.suffix.clone()).or_default() += 1;
        let item = self.items.entry(key.clone()).or_default();
        item.hidden.remove(name);
        item.kept.insert(name.clone(), number);
        if let Some(node) = self.nodes.get_mut(&number) {
            node.name = Some((key.clone(), name.clone()));
        }
    }

    /// Gives the number of what had the name.
    fn take_name(&mut self, key: &ItemKey, name: &SidecarName) -> Option<u32> {
        let number = self.items.get_mut(key)?.kept.remove(name)?;
        let suffixes = &mut self.suffixes[place_of(name.behind)];
        if let Some(count) = suffixes.get_mut(&name.suffix) {
            *count -= 1;
            if *count == 0 {
                suffixes.remove(&name.suffix);
            }
        }
        if let Some(node) = self.nodes.get_mut(&number) {
            node.name = None;
        }
        Some(number)
    }

    /// A node lost its name for good.
    fn lost(&mut self, number: u32) {
        self.gone.push_back(number);
        if self.gone.len() > MOST_GONE
            && let Some(oldest) = self.gone.pop_front()
            && let Some(node) = self.nodes.get_mut(&oldest)
        {
            node.gone = None;
        }
        self.drop_unused(number);
    }

    fn drop_unused(&mut self, number: u32) {
        let is_unused = self
            .nodes
            .get(&number)
            .is_some_and(|node| node.name.is_none() && node.lookups == 0 && node.handles == 0);
        if is_unused {
            self.nodes.remove(&number);
        }
    }
}

impl Sidecars {
    /// Of the home whose folder for data this is. What is there is read by a thread; until it has, whatever is asked of an
    /// item is looked for on the disk.
    ///
    /// # Errors
    /// When the folder can't be made, or the system gives no thread.
    pub(crate) fn open(home: PathBuf) -> io::Result<Arc<Self>> {
        let top = home.join(FOLDER);
        std::fs::create_dir_all(&top)?;
        let this = Arc::new(Self {
            top,
            table: Mutex::default(),
            changing: Mutex::default(),
        });
        let reading = Arc::downgrade(&this);
        std::thread::Builder::new()
            .name("mediafs-sidecars".to_owned())
            .spawn(move || read_all(&reading))?;
        Ok(this)
    }

    /// Whether any item may have a sidecar of this suffix.
    pub(crate) fn may_have(&self, behind: Behind, suffix: &[u8]) -> bool {
        let table = self.table.lock();
        !table.complete || table.suffixes[place_of(behind)].contains_key(suffix)
    }

    /// What is known of a name beside an item.
    pub(crate) fn state(&self, key: &ItemKey, name: &SidecarName) -> State {
        self.with_item(key, |item| match item.kept.get(name) {
            Some(number) => State::Kept(*number),
            None if item.hidden.contains(name) => State::Hidden,
            None => State::Unknown,
        })
        .unwrap_or(State::Unknown)
    }

    /// The sidecars of an item, by the numbers of their nodes, which only grow.
    pub(crate) fn of_item(&self, key: &ItemKey) -> Vec<(u32, SidecarName)> {
        let mut all = self
            .with_item(key, |item| {
                item.kept
                    .iter()
                    .map(|(name, number)| (*number, name.clone()))
                    .collect::<Vec<_>>()
            })
            .unwrap_or_default();
        all.sort_unstable_by_key(|(number, _)| *number);
        all
    }

    fn with_item<T>(&self, key: &ItemKey, read: impl Fn(&Item) -> T) -> Option<T> {
        let known = |table: &Table| table.items.get(key).map(&read);
        {
            let table = self.table.lock();
            if let Some(found) = known(&table) {
                return Some(found);
            }
            if table.complete {
                return None;
            }
        }
        let found = self.folder(key).read();
        let mut table = self.table.lock();
        table.know(key, found);
        known(&table)
    }

    fn folder(&self, key: &ItemKey) -> Folder {
        Folder::new(&self.top, &key.0)
    }

    /// Of which item a sidecar is, and its name beside it; `None` once it was removed.
    pub(crate) fn name_of(&self, number: u32) -> Option<(ItemKey, SidecarName)> {
        self.table.lock().nodes.get(&number)?.name.clone()
    }

    /// The path of a sidecar; `None` once it was removed.
    pub(crate) fn path_of(&self, number: u32) -> Option<PathBuf> {
        let (key, name) = self.name_of(number)?;
        Some(self.folder(&key).path(&name))
    }

    /// A file that is open, whether or not it has a name.
    pub(crate) fn opened(&self, number: u32) -> Option<Arc<File>> {
        let table = self.table.lock();
        let node = table.nodes.get(&number)?;
        node.gone.clone().or_else(|| node.file.upgrade())
    }

    /// A sidecar is about to lose its name: it is kept open. (Where too many files are open it is not, and who has looked
    /// it up looks once more.)
    fn keep_open(&self, state: State, path: &Path) {
        let State::Kept(number) = state else { return };
        let file = File::options().read(true).write(true).open(path);
        if let Some(node) = self.table.lock().nodes.get_mut(&number) {
            node.gone = file.ok().map(Arc::new);
        }
    }

    fn keeps_its_name(&self, state: State) {
        if let State::Kept(number) = state
            && let Some(node) = self.table.lock().nodes.get_mut(&number)
        {
            node.gone = None;
        }
    }

    /// A look-up of the node was answered.
    pub(crate) fn looked_up(&self, number: u32) {
        if let Some(node) = self.table.lock().nodes.get_mut(&number) {
            node.lookups += 1;
        }
    }

    /// The kernel has forgotten look-ups of a node.
    pub(crate) fn forget(&self, number: u32, count: u64) {
        let mut table = self.table.lock();
        if let Some(node) = table.nodes.get_mut(&number) {
            node.lookups = node.lookups.saturating_sub(count);
        }
        table.drop_unused(number);
    }

    fn room_for_one(&self, key: &ItemKey) -> io::Result<()> {
        let count = self.with_item(key, |item| item.kept.len());
        if count.is_some_and(|count| count >= MOST) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Takes a copy of a file that lies beside the item's own, with its times; one that was written meanwhile stays. To be
    /// called where waiting is allowed, as all that follows.
    pub(crate) fn adopt(&self, key: &ItemKey, name: &SidecarName, file: &File) -> io::Result<()> {
        let _changing = self.changing.lock();
        if !matches!(self.state(key, name), State::Unknown) {
            return Ok(());
        }
        self.room_for_one(key)?;
        self.folder(key).copy_in(name, file)?;
        self.table.lock().add(key, name);
        Ok(())
    }

    /// Gives a sidecar another name, maybe of another item. `hide`: there is one of the old name beside the item's file,
    /// which is hidden from now on.
    pub(crate) fn rename(
        &self,
        from: (&ItemKey, &SidecarName),
        to: (&ItemKey, &SidecarName),
        replace: bool,
        hide: bool,
    ) -> io::Result<()> {
        let _changing = self.changing.lock();
        if !matches!(self.state(from.0, from.1), State::Kept(_)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let target = self.state(to.0, to.1);
        if matches!(target, State::Kept(_)) && !replace {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if from == to {
            return Ok(());
        }
        if from.0 != to.0 && !matches!(target, State::Kept(_)) {
            self.room_for_one(to.0)?;
        }
        let (old, new) = (self.folder(from.0), self.folder(to.0));
        new.make()?;
        if target == State::Hidden {
            new.show(to.1)?;
        }
        let path = new.path(to.1);
        self.keep_open(target, &path);
        files::rename(&old.path(from.1), &path, Replacing::Replace)
            .inspect_err(|_| self.keeps_its_name(target))?;
        {
            let mut table = self.table.lock();
            if let Some(replaced) = table.take_name(to.0, to.1) {
                table.lost(replaced);
            }
            if let Some(number) = table.take_name(from.0, from.1) {
                table.give_name(number, to.0, to.1);
            }
        }
        if hide {
            old.hide(from.1)?;
            self.note_hidden(from.0, from.1);
        }
        new.sync()?;
        if from.0 != to.0 {
            old.sync()?;
        }
        Ok(())
    }

    /// Removes a sidecar. `hide`: there is one beside the item's file, which is hidden from now on.
    pub(crate) fn remove(&self, key: &ItemKey, name: &SidecarName, hide: bool) -> io::Result<()> {
        let _changing = self.changing.lock();
        let state = self.state(key, name);
        let is_kept = matches!(state, State::Kept(_));
        if !is_kept && !hide {
            return Err(io::ErrorKind::NotFound.into());
        }
        let folder = self.folder(key);
        if hide {
            folder.make()?;
            // First: where this is the last that is done, the other goes when the folder is read.
            folder.hide(name)?;
        }
        if is_kept {
            let path = folder.path(name);
            self.keep_open(state, &path);
            std::fs::remove_file(path).inspect_err(|_| self.keeps_its_name(state))?;
            let mut table = self.table.lock();
            if let Some(number) = table.take_name(key, name) {
                table.lost(number);
            }
        }
        if hide {
            self.note_hidden(key, name);
        }
        Ok(())
    }

    fn note_hidden(&self, key: &ItemKey, name: &SidecarName) {
        let mut table = self.table.lock();
        let item = table.items.entry(key.clone()).or_default();
        item.hidden.insert(name.clone());
    }
}

impl Table {
    /// Takes in what a folder was found to hold, unless it is known already.
    fn know(&mut self, key: &ItemKey, found: disk::Found) {
        if self.items.contains_key(key) {
            return;
        }
        let hidden = found.hidden.into_iter().collect();
        let item = Item {
            kept: BTreeMap::new(),
            hidden,
        };
        self.items.insert(key.clone(), item);
        for name in found.kept {
            self.add(key, &name);
        }
    }
}

/// Reads all that is there.
fn read_all(sidecars: &Weak<Sidecars>) {
    let Some(top) = sidecars.upgrade().map(|sidecars| sidecars.top.clone()) else {
        return;
    };
    for scope in disk::folders_in(&top) {
        for item in disk::folders_in(&top.join(&scope)) {
            // Not kept, so that it can end.
            let Some(sidecars) = sidecars.upgrade() else {
                return;
            };
            let key = ItemKey(format!("{scope}/{item}").into());
            let _changing = sidecars.changing.lock();
            if sidecars.table.lock().items.contains_key(&key) {
                continue;
            }
            let found = sidecars.folder(&key).tidy();
            sidecars.table.lock().know(&key, found);
        }
    }
    if let Some(sidecars) = sidecars.upgrade() {
        sidecars.table.lock().complete = true;
    }
}

#[cfg(test)]
mod tests;

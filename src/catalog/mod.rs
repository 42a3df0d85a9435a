//! The catalog: everything known of each sound, in SQLite. The only place with SQL.
//!
//! Written by import, scans, the watcher and the user's commands through one [`Writer`] at a time; read by the tree
//! on every look-up through pooled read-only connections ([`Reader`]). After each commit the listeners are told what
//! changed, so that the tree can invalidate and the control protocol can send events.
//!
//! Two files in the home: `catalog.db`, and `capsules.db`, which can be lost without losing what a user knows.

mod rows;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Availability, Format, MediaId, MediaItem, ObjectHash, Playable, ProjectId, Tag};
use crate::silence::Capsule;

pub use rows::{
    BaseKind, BaseNo, BaseRow, Change, Evidence, FolderNo, FolderRow, ItemNo, ItemRow, Listener, Nanoseconds, NewItem,
    Observation, Observed, PlaceKind, PlaceNo, PlaceRow, ProbeRecord, Section,
};

/// What went wrong with the catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// SQLite says no.
    #[error("the catalog {path} failed while {doing}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
}

/// How long a commit takes to be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// On disk before the call returns: whatever assigns ids or carries the user's intent.
    Full,
    /// Lost by a power cut at worst, as it can be found again by looking: scans, probes.
    Normal,
}

/// The catalog of a home.
pub struct Catalog;

/// A read-only connection with prepared statements, from the pool; given back when dropped. One snapshot per call.
pub struct Reader;

/// The one writing transaction.
pub struct Writer;

type Result<T> = std::result::Result<T, CatalogError>;

impl Catalog {
    /// Opens or makes the catalog in `home`. Refuses a newer version's. No work that grows with the number of items.
    pub fn open(home: &Path) -> Result<Arc<Self>>;
    /// Tells of commits from now on.
    pub fn listen(&self, listener: Listener);
    /// A reader from the pool.
    pub fn reader(&self) -> Result<Reader>;
    /// Runs `work` in one transaction; commits if it gives `Ok`, then tells the listeners. Waits for other writers.
    pub fn write<T, E: From<CatalogError>>(&self, durability: Durability, work: impl FnOnce(&mut Writer) -> std::result::Result<T, E>) -> std::result::Result<T, E>;
    /// Checks integrity of both files; rebuilds nothing.
    pub fn check(&self) -> Result<Vec<String>>;
}

impl Reader {
    pub fn bases(&self) -> Result<Vec<BaseRow>>;
    pub fn base(&self, base: BaseNo) -> Result<Option<BaseRow>>;
    /// By kind and shown name, without regard to case.
    pub fn base_named(&self, kind: BaseKind, name: &str) -> Result<Option<BaseRow>>;

    pub fn folder(&self, folder: FolderNo) -> Result<Option<FolderRow>>;
    /// A present child folder by its name: the same bytes, else the same NFC form.
    pub fn child_folder(&self, parent: FolderNo, name: &OsStr) -> Result<Option<FolderRow>>;
    /// A place by its name, present or gone, with its item in the library's scope (or the base's project's scope).
    pub fn child_place(&self, folder: FolderNo, name: &OsStr) -> Result<Option<(PlaceRow, Option<ItemRow>)>>;
    /// Present child folders with numbers above `after`, in order of their numbers.
    pub fn list_folders(&self, parent: FolderNo, after: u32, limit: u32) -> Result<Vec<FolderRow>>;
    /// Present places with numbers above `after`, in order of their numbers; `item` as in `child_place`.
    pub fn list_places(&self, folder: FolderNo, after: u32, limit: u32) -> Result<Vec<(PlaceRow, Option<ItemRow>)>>;
    /// Every place and folder below `folder`, as (path relative to it, …) – for the scanner to compare with the disk, one folder at a time.
    pub fn places_of_folder(&self, folder: FolderNo) -> Result<Vec<PlaceRow>>;
    pub fn place(&self, place: PlaceNo) -> Result<Option<PlaceRow>>;
    /// The base and the path below it of a folder / place (cached in memory).
    pub fn folder_path(&self, folder: FolderNo) -> Result<Option<(BaseNo, PathBuf)>>;
    pub fn place_path(&self, place: PlaceNo) -> Result<Option<(BaseNo, PathBuf)>>;
    /// Items that have this place.
    pub fn items_at(&self, place: PlaceNo) -> Result<Vec<ItemRow>>;

    pub fn item(&self, item: ItemNo) -> Result<Option<ItemRow>>;
    /// The item that `by-id/<id>` leads to: of the focused open project, other open ones, the library, closed ones.
    pub fn item_by_id(&self, id: &MediaId) -> Result<Option<ItemRow>>;
    pub fn items_with_id(&self, id: &MediaId) -> Result<Vec<ItemRow>>;
    /// Every name the item ever had, the present one first (not made safe).
    pub fn names(&self, item: ItemNo) -> Result<Vec<String>>;
    /// Items of open projects with numbers above `after`.
    pub fn list_open_items(&self, after: u32, limit: u32) -> Result<Vec<ItemRow>>;
    pub fn list_project_items(&self, project: BaseNo, after: u32, limit: u32) -> Result<Vec<ItemRow>>;
    /// A name ever shown in a project's section (safe name, NFC, without regard to case) → its item.
    pub fn shown(&self, project: BaseNo, section: Section, name: &str) -> Result<Option<ItemRow>>;
    /// Present shown names of a section: (cursor number, safe name, item), in order.
    pub fn list_shown(&self, project: BaseNo, section: Section, after: u32, limit: u32) -> Result<Vec<(u32, String, ItemRow)>>;

    /// What a placeholder is made of: facts, size, capsule (of the present generation).
    pub fn format(&self, item: ItemNo) -> Result<Option<Format>>;
    pub fn capsule(&self, item: ItemNo) -> Result<Option<Capsule>>;
    pub fn blake3(&self, item: ItemNo) -> Result<Option<ObjectHash>>;

    /// Everything known, in the protocol's shape (`resolved_path` filled when present).
    pub fn media_item(&self, item: ItemNo) -> Result<Option<MediaItem>>;
    /// Items whose name, tags, path or id hold every word of `query` (empty: all), with numbers above `after`.
    pub fn search(&self, query: &str, after: u32, limit: u32) -> Result<Vec<MediaItem>>;
    /// Files that could not be read, with the reason: (absolute path, reason).
    pub fn problems(&self, limit: u32) -> Result<Vec<(PathBuf, String)>>;
    /// Items whose content was not hashed yet and whose place is present.
    pub fn unhashed(&self, after: u32, limit: u32) -> Result<Vec<ItemRow>>;
    /// Candidates for a moved file: missing items' places with this size (and fingerprint), gone now.
    pub fn gone_places_of_size(&self, size: u64) -> Result<Vec<PlaceRow>>;
    /// Items by availability and playable, places and problems, for `status`.
    pub fn counts(&self) -> Result<Counts>;
}

impl Writer {
    // bases (Full)
    pub fn add_library(&mut self, name: &str, path: &Path) -> Result<BaseRow>;     // same path again: the same base; a name taken gets " (2)"
    pub fn add_project(&mut self, id: &ProjectId, name: &str, path: &Path) -> Result<BaseRow>; // path may have moved
    pub fn set_active(&mut self, base: BaseNo, active: bool, focused: bool) -> Result<()>;
    pub fn computer(&mut self) -> Result<BaseRow>;
    // what is on disk (Normal)
    pub fn folder(&mut self, parent: FolderNo, name: &OsStr, modified: Nanoseconds) -> Result<FolderNo>;  // makes or marks present
    pub fn observe(&mut self, folder: FolderNo, name: &OsStr, seen: &Observation) -> Result<Observed>;
    /// Gone; its items become missing (silence or error).
    pub fn place_gone(&mut self, place: PlaceNo) -> Result<()>;
    /// With everything below it.
    pub fn folder_gone(&mut self, folder: FolderNo) -> Result<()>;
    /// A file or folder was renamed or moved within its base: items keep their ids; a place that was there loses it.
    pub fn move_place(&mut self, place: PlaceNo, folder: FolderNo, name: &OsStr, evidence: &Evidence) -> Result<()>;
    pub fn move_folder(&mut self, moved: FolderNo, parent: FolderNo, name: &OsStr) -> Result<()>;
    // facts. A media file of a library base becomes an item at its first record (Full); of others only known items are updated (Normal).
    pub fn record_probe(&mut self, place: PlaceNo, generation: u32, record: &ProbeRecord) -> Result<Option<ItemNo>>;
    pub fn record_hash(&mut self, item: ItemNo, generation: u32, hash: ObjectHash, capsule: Option<&Capsule>) -> Result<()>;
    // what the user wants (Full)
    pub fn add_item(&mut self, new: &NewItem) -> Result<ItemNo>;  // IdTaken error when id exists in scope with another place; same place: same item
    pub fn rename(&mut self, item: ItemNo, name: &str) -> Result<()>;
    pub fn tag(&mut self, item: ItemNo, tag: &Tag) -> Result<()>;       // an automatic source never brings back what the user removed
    pub fn untag(&mut self, item: ItemNo, name: &str) -> Result<bool>;
    pub fn set_attribute(..); pub fn remove_attribute(..);
    pub fn relink(&mut self, item: ItemNo, place: PlaceNo) -> Result<()>;
    pub fn remove(&mut self, item: ItemNo) -> Result<()>;               // id is not given again; capsule, tags go
    pub fn add_alternative(..); pub fn add_usage(..); pub fn put_analysis(..)
    pub fn set_status(&mut self, item: ItemNo, status: Status) -> Result<()>;
}

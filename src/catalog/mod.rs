//! The catalog: everything known of each sound, in SQLite. The only place with SQL.
//!
//! Written by import, scans, the watcher and the user's commands through one [`Writer`] at a time; read by the tree
//! on every look-up through pooled read-only connections ([`Reader`]). After each commit the listeners are told what
//! changed, so that the tree can invalidate and the control protocol can send events.
//!
//! Two files in the home: `catalog.db`, and `capsules.db`, which can be lost without losing what a user knows.

mod adopted;
mod alternatives;
mod analyses;
mod assembled;
mod bases;
mod beside;
mod capsules;
mod convert;
mod db;
mod entries;
mod error;
mod facts;
mod given;
mod history;
mod items;
mod items_read;
mod labels;
mod lost;
mod merged;
mod moves;
mod on_source;
mod pins;
mod places;
mod places_read;
mod pool;
mod projects;
mod reader;
mod rows;
mod schema;
mod search;
mod shown;
mod sources;
mod stand_ins;
mod takes;
#[cfg(test)]
mod tests;
mod unused;
mod usages;
mod writer;

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

pub use adopted::{Adopted, At};
pub use alternatives::{Likeness, LookAlike};
pub(crate) use assembled::relative_text;
pub use error::CatalogError;
use error::Result;
pub use given::{GivenFolder, GivenName, NameIn};
pub use history::{
    Conflict, MOST_OPERATIONS, MOST_STEPS, OperationDraft, RevertError, Reverted, Which as ToRevert,
};
pub use merged::Label;
pub use pins::{ANALYSIS, USER};
pub use projects::{Draft, DraftRow, Hold, ProjectState};
pub use reader::Reader;
pub use rows::{
    AnalysisKey, BaseKind, BaseNo, BaseRow, Change, Counts, Evidence, FolderNo, FolderRow, ItemNo,
    ItemRow, Listener, LostCapsules, Nanoseconds, NewItem, NewSource, Observation, Observed,
    OperationNo, OperationRow, PlaceKind, PlaceNo, PlaceRow, ProbeRecord, Section, SourceRow,
    UsageFolderNo,
};
pub use shown::section_of;
pub use sources::{AtHand, HasObject};
pub use takes::{NewTake, TakeRow};
pub(crate) use usages::{LONGEST as LONGEST_USAGE, is_removed};
pub use usages::{UsageFolderRow, UsageRow};
pub use writer::Writer;

/// Name of the catalog's file in the home.
const CATALOG_FILE: &str = "catalog.db";
/// Name of the capsules' file in the home.
const CAPSULES_FILE: &str = "capsules.db";

/// How long a commit takes to be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// On disk before the call returns: whatever assigns ids or carries the user's intent.
    Full,
    /// Lost by a power cut at worst, as it can be found again by looking: scans, probes. Should such a transaction
    /// give ids all the same, it is on disk before the call returns, too.
    Normal,
}

/// The catalog of a home.
pub struct Catalog {
    writer: Mutex<Writer>,
    shared: Arc<pool::Shared>,
    listeners: RwLock<Vec<Listener>>,
}

impl Catalog {
    /// Opens or makes the catalog in `home`. No work that grows with the number of items.
    ///
    /// # Errors
    /// [`CatalogError::NewerVersion`], [`CatalogError::NotACatalog`] or [`CatalogError::Damaged`], the file being
    /// left as it is; when SQLite fails.
    pub fn open(home: &Path) -> Result<Arc<Self>> {
        let path: Arc<Path> = home.join(CATALOG_FILE).into();
        let db = db::Db::open_writer(&path)?;
        let capsules = capsules::Capsules::open(home.join(CAPSULES_FILE));
        let shared = Arc::new(pool::Shared::new(path, capsules));
        shared.sources.reload(&Reader::pooled(&shared)?)?;
        Ok(Arc::new(Self {
            writer: Mutex::new(Writer::new(db, &shared)),
            shared,
            listeners: RwLock::new(Vec::new()),
        }))
    }

    /// Tells of commits from now on. Not to be called by a listener.
    pub fn listen(&self, listener: Listener) {
        self.listeners.write().push(listener);
    }

    /// A reader from the pool.
    ///
    /// # Errors
    /// When another connection is needed and can't be opened.
    pub fn reader(&self) -> Result<Reader> {
        Reader::pooled(&self.shared)
    }

    /// Runs `work` in one transaction; commits if it gives `Ok`, then tells the listeners, in the order of the
    /// commits. Waits for other writers; so `work` must not call this again.
    ///
    /// # Errors
    /// What `work` gives, nothing being written then; when SQLite fails. The one failure after which the change may
    /// stand is that of making given ids durable under [`Durability::Normal`].
    pub fn write<T, E: From<CatalogError>>(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut Writer) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let mut writer = self.writer.lock();
        writer.begin(durability)?;
        let value = match work(&mut writer) {
            Ok(value) => value,
            Err(error) => {
                writer.undo();
                return Err(error);
            }
        };
        let changes = writer.commit()?;
        let durable = writer.make_durable();
        if !changes.is_empty() {
            for listener in self.listeners.read().iter() {
                listener(&changes);
            }
        }
        durable?;
        Ok(value)
    }

    /// Lets go of memory that only makes the next questions quicker; for when there are none.
    pub fn release_memory(&self) {
        self.shared.release_memory();
    }

    /// What had to be done to the capsules' file since the catalog was opened, for people; empty when all is well.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.shared.capsules.notes()
    }

    /// Checks both files whole, which takes time; rebuilds nothing in the catalog. Gives what is wrong, a line each.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub fn check(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> = self
            .reader()?
            .inconsistencies()?
            .into_iter()
            .map(|line| format!("{CATALOG_FILE}: {line}"))
            .collect();
        found.extend(
            self.shared
                .capsules
                .check()
                .into_iter()
                .map(|line| format!("{CAPSULES_FILE}: {line}")),
        );
        Ok(found)
    }
}

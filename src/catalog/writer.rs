//! The writing transaction: begin, commit, undo; and what it changed, for the listeners. What can be written is in
//! `bases`, `places`, `moves`, `facts`, `items`, `shown` and `labels`.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use rusqlite::Params;

use super::Durability;
use super::capsules::CapsuleChange;
use super::db::Db;
use super::error::{CatalogError, Result};
use super::pool::Shared;
use super::reader::Reader;
use super::rows::{BaseNo, Change, FolderNo, ItemNo, Section};
use crate::model::MediaId;

/// The one writing transaction.
///
/// A failure of SQLite inside it undoes the whole, even where the caller goes on; a refusal ([`CatalogError::IdTaken`]
/// and the like) comes before anything was written, and lets the caller go on.
pub struct Writer {
    reader: Reader,
    pub(super) changes: Changes,
    pub(super) capsules: Vec<CapsuleChange>,
    /// Ids were given, or the user's intent was written: on disk before it is acknowledged.
    pub(super) durable: bool,
    /// Folders have moved: remembered paths are wrong.
    pub(super) folders_moved: bool,
    /// Bases lie on other sources than before.
    pub(super) bases_changed: bool,
    /// What the operation under way has touched.
    pub(super) journal: Option<super::history::Journal>,
    /// A statement failed, so nothing of this can be committed.
    broken: bool,
    synchronous: &'static str,
}

impl Writer {
    /// For an open catalog.
    pub(super) fn new(db: Db, shared: &Arc<Shared>) -> Self {
        Self {
            reader: Reader::of_writer(db, shared),
            changes: Changes::default(),
            capsules: Vec::new(),
            durable: false,
            folders_moved: false,
            bases_changed: false,
            journal: None,
            broken: false,
            synchronous: "FULL",
        }
    }

    /// What the catalog looks like, with what this transaction has written already.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self, durability: Durability) -> Result<()> {
        if !self.db().idle() {
            // The work of an earlier transaction panicked.
            self.undo();
        }
        self.forget_changes();
        self.be_synchronous(match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        })?;
        self.db().command("beginning to write", "BEGIN IMMEDIATE")
    }

    /// Commits; or undoes it all and says why.
    pub(super) fn commit(&mut self) -> Result<Vec<Change>> {
        if self.broken || self.db().idle() {
            let path = self.db().path().to_path_buf();
            self.undo();
            return Err(CatalogError::Undone { path });
        }
        let (put, drop): (Vec<_>, Vec<_>) = std::mem::take(&mut self.capsules)
            .into_iter()
            .partition(|change| matches!(change, CapsuleChange::Put(..)));
        // New ones before, so that none is lost by a crash between the two; each says of which content it is, so
        // one whose content is undone is believed by nobody. Old ones go after, when nothing needs them any more.
        self.reader.shared().capsules.apply(&put);
        if let Err(error) = self.db().command("committing", "COMMIT") {
            self.undo();
            return Err(error);
        }
        self.reader.shared().capsules.apply(&drop);
        if self.folders_moved {
            self.reader.shared().paths.forget();
        }
        if self.bases_changed {
            self.reader.shared().sources.reload(&self.reader)?;
        }
        Ok(self.changes.take())
    }

    /// A commit that gave ids was made with less than full durability: bring the log to the disk, by a commit of
    /// nothing that waits for it.
    pub(super) fn make_durable(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.durable) || self.synchronous == "FULL" {
            return Ok(());
        }
        self.be_synchronous("FULL")?;
        self.db().command(
            "bringing ids to the disk",
            "UPDATE durable SET turn = turn + 1",
        )
    }

    /// Undoes what was written since the beginning.
    pub(super) fn undo(&mut self) {
        if !self.db().idle()
            && let Err(error) = self.db().command("undoing a change", "ROLLBACK")
        {
            tracing::error!(%error, "a change of the catalog could not be undone");
        }
        self.forget_changes();
    }

    fn forget_changes(&mut self) {
        self.changes = Changes::default();
        self.capsules.clear();
        self.durable = false;
        self.folders_moved = false;
        self.bases_changed = false;
        self.journal = None;
        self.broken = false;
    }

    fn be_synchronous(&mut self, word: &'static str) -> Result<()> {
        if self.synchronous != word {
            self.db().set_synchronous(word)?;
            self.synchronous = word;
        }
        Ok(())
    }

    fn db(&self) -> &Db {
        self.reader.db()
    }

    /// Changes rows; gives how many.
    pub(super) fn run(
        &mut self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<usize> {
        if self.broken || self.db().idle() {
            self.broken = true;
            return Err(CatalogError::Undone {
                path: self.db().path().to_path_buf(),
            });
        }
        let result = self.db().run(doing, sql, params);
        self.broken = result.is_err();
        result
    }

    /// Number of the row that was inserted last.
    pub(super) fn inserted(&self) -> Result<u32> {
        self.db().inserted()
    }
}

/// What a transaction changed, each thing once, in the order of its first change.
#[derive(Default)]
pub(super) struct Changes {
    list: Vec<Change>,
    items: HashMap<ItemNo, usize>,
    names: HashSet<(FolderNo, OsString)>,
    shown: HashSet<(BaseNo, Section, String)>,
}

impl Changes {
    /// An item came or changed; `swapped`: what its names lead to is another node now.
    pub(super) fn item(&mut self, item: ItemNo, id: &MediaId, swapped: bool) {
        self.add_item(item, id, swapped, false);
    }

    /// An item went.
    pub(super) fn removed(&mut self, item: ItemNo, id: &MediaId) {
        self.add_item(item, id, true, true);
    }

    fn add_item(&mut self, item: ItemNo, id: &MediaId, is_swapped: bool, is_removed: bool) {
        if let Some(Change::Item {
            swapped, removed, ..
        }) = self.items.get(&item).and_then(|at| self.list.get_mut(*at))
        {
            *swapped |= is_swapped;
            *removed |= is_removed;
            return;
        }
        self.items.insert(item, self.list.len());
        self.list.push(Change::Item {
            row: item,
            media_id: id.clone(),
            swapped: is_swapped,
            removed: is_removed,
        });
    }

    /// A name in a folder came, went or leads to something else.
    pub(super) fn name(&mut self, folder: FolderNo, name: &OsStr) {
        if self.names.insert((folder, name.to_owned())) {
            self.list.push(Change::Name {
                folder,
                name: name.to_owned(),
            });
        }
    }

    /// A name in a project's section came or leads to something else.
    pub(super) fn shown(&mut self, project: BaseNo, section: Section, name: &str) {
        if self.shown.insert((project, section, name.to_owned())) {
            self.list.push(Change::Shown {
                project,
                section,
                name: name.to_owned(),
            });
        }
    }

    /// A base came, went or is shown otherwise.
    pub(super) fn base(&mut self, row: BaseNo) {
        let change = Change::Base { row };
        if !self.list.contains(&change) {
            self.list.push(change);
        }
    }

    fn take(&mut self) -> Vec<Change> {
        std::mem::take(self).list
    }
}

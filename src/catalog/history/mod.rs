//! History: what the user's calls changed, so that each can be reverted.
//!
//! A call works inside [`Writer::operate`]. What it changes is noted cell by cell (an item's name, one of its tags, where
//! its bytes are, that it is there at all): the value before at the first touch, the value after at the end, in the same
//! transaction. Whatever changes by itself (scans, probes, moves on disk) is noted by nobody, and is no operation.
//!
//! An operation is *in effect* until it is reverted, and again when its revert is reverted. What holds of it is in its own
//! row: `reverted` names the revert, `applied` the operation that put it into effect last. Reverts have rows of their own,
//! which name their `root` and hold no steps.
//!
//! History lets go of the oldest operations beyond [`MOST_OPERATIONS`] or [`MOST_STEPS`]. Until then the places of items
//! that were removed or pointed elsewhere are kept, with the facts and the silence that were made of them.

mod cell;
mod put_back;
mod revert;

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Row;

pub(super) use cell::{Cell, Value};
pub use revert::{Conflict, RevertError, Reverted, Which};

use super::error::{CatalogError, Result, cut};
use super::reader::Reader;
use super::rows::{BaseNo, ItemNo, OperationNo, OperationRow, PlaceNo};
use super::writer::Writer;

/// Operations that are kept; a revert belongs to what it reverts.
pub const MOST_OPERATIONS: usize = 10_000;
/// Changed cells of all kept operations. The newest operation is kept whatever its size.
pub const MOST_STEPS: usize = 500_000;
/// Operations that history only tells of, as saves; they take no room from those that can be reverted.
const MOST_TOLD: u32 = 2_000;
/// How many operations come between two looks for those that are too many.
const LOOK_EVERY: u32 = 64;
/// Longest group, and longest name of who did it, in bytes.
const LONGEST_WORD: usize = 256;

/// What an operation is to be recorded as.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OperationDraft {
    /// In a word: `rename`, `import`, …
    pub kind: &'static str,
    /// For people; `None`: by its kind and how many items it is about, once that is known.
    pub summary: Option<String>,
    /// What it belongs to, in the host's words.
    pub group: Option<String>,
    /// Who did it, in its own words.
    pub who: Option<String>,
    /// As it was recorded; `None` until something has changed. Further transactions of the same draft add to it.
    pub recorded: Option<OperationRow>,
}

impl OperationDraft {
    /// Of a kind, with what is to be told of it.
    #[must_use]
    pub fn new(kind: &'static str, summary: impl Into<String>) -> Self {
        Self {
            kind,
            summary: Some(summary.into()),
            ..Self::default()
        }
    }

    fn check(&self) -> Result<()> {
        for word in [&self.group, &self.who].into_iter().flatten() {
            if word.is_empty() || word.len() > LONGEST_WORD {
                return Err(CatalogError::InvalidLabel { label: cut(word) });
            }
        }
        Ok(())
    }
}

/// What an operation has touched so far.
#[derive(Default)]
pub(super) struct Journal {
    touched: Vec<(ItemNo, Cell, Value)>,
    known: HashSet<(ItemNo, Cell)>,
    /// Places that somebody may want back.
    places: HashSet<PlaceNo>,
}

macro_rules! operation_columns {
    () => {
        "o.number, o.kind, o.summary, o.grouped, o.at, o.who, o.project, o.root, o.applied, o.reverted, o.revertible"
    };
}

fn operation_row(row: &Row<'_>) -> rusqlite::Result<OperationRow> {
    Ok(OperationRow {
        row: OperationNo(row.get(0)?),
        kind: row.get(1)?,
        summary: row.get(2)?,
        group: row.get(3)?,
        at: super::convert::unsigned(row, 4)?,
        who: row.get(5)?,
        project: match row.get(6)? {
            0 => None,
            base => Some(BaseNo(base)),
        },
        root: row.get::<_, Option<u32>>(7)?.map(OperationNo),
        applied: OperationNo(row.get(8)?),
        reverted: row.get::<_, Option<u32>>(9)?.map(OperationNo),
        revertible: row.get(10)?,
    })
}

impl Reader {
    /// An operation.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn operation(&self, operation: OperationNo) -> Result<Option<OperationRow>> {
        self.db().one(
            "reading an operation",
            concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operation o WHERE o.number = ?1"
            ),
            [operation.0],
            operation_row,
        )
    }

    /// The newest operation that changed an item.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn last_operation_on(&self, item: ItemNo) -> Result<Option<OperationRow>> {
        self.db().one(
            "looking for an item in history",
            concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operation o WHERE o.number = \
                 (SELECT max(operation) FROM operation_step WHERE item = ?1)"
            ),
            [item.0],
            operation_row,
        )
    }

    /// Operations with numbers below `before` (0: all), the newest first; of one project, or all.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn operations(
        &self,
        before: u32,
        project: Option<BaseNo>,
        limit: u32,
    ) -> Result<Vec<OperationRow>> {
        self.db().many(
            "listing operations",
            concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operation o WHERE (?1 = 0 OR o.number < ?1) AND (?2 = 0 OR o.project = ?2) \
                 ORDER BY o.number DESC LIMIT ?3"
            ),
            (before, project.map_or(0, |base| base.0), limit),
            operation_row,
        )
    }

    /// The operations of a group that are in effect, the one that was applied last first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn operations_of_group(&self, group: &str) -> Result<Vec<OperationRow>> {
        self.db().many(
            "listing the operations of a group",
            concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operation o WHERE o.grouped = ?1 AND o.root IS NULL AND o.reverted IS NULL AND o.revertible = 1 \
                 ORDER BY o.applied DESC"
            ),
            [group],
            operation_row,
        )
    }

    /// What `undo` reverts next: the operation in effect that was applied last; of one project, or of all.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn to_undo(&self, project: Option<BaseNo>) -> Result<Option<OperationRow>> {
        self.db().one(
            "looking for what to undo",
            concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operation o WHERE o.root IS NULL AND o.reverted IS NULL AND o.revertible = 1 \
                 AND (?1 = 0 OR o.project = ?1) \
                 ORDER BY o.applied DESC LIMIT 1"
            ),
            [project.map_or(0, |base| base.0)],
            operation_row,
        )
    }

    /// What `redo` does again next: the operation that was reverted last, unless something else was done since.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn to_redo(&self, project: Option<BaseNo>) -> Result<Option<OperationRow>> {
        self.db().one(
            "looking for what to do again",
            concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operation o WHERE o.root IS NULL AND o.reverted IS NOT NULL AND (?1 = 0 OR o.project = ?1) \
                 AND NOT EXISTS (SELECT 1 FROM operation n WHERE n.number > o.reverted AND n.root IS NULL AND n.revertible = 1 \
                 AND (?1 = 0 OR n.project = ?1)) ORDER BY o.reverted DESC LIMIT 1"
            ),
            [project.map_or(0, |base| base.0)],
            operation_row,
        )
    }

    /// Operations in effect that were reverted, or may yet be, of a group that was reverted by the same call as this one.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn reverted_with(&self, group: &str) -> Result<Vec<OperationRow>> {
        self.db().many(
            "listing the operations of a group",
            concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operation o WHERE o.grouped = ?1 AND o.root IS NULL AND o.reverted IS NOT NULL \
                 ORDER BY o.reverted DESC"
            ),
            [group],
            operation_row,
        )
    }

    /// The items that an operation is about, each once, in the order of its steps; at most `limit`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn items_of_operation(&self, operation: OperationNo, limit: u32) -> Result<Vec<ItemNo>> {
        self.db().many(
            "listing the items of an operation",
            "SELECT item FROM operation_step WHERE operation = ?1 AND item <> 0 GROUP BY item ORDER BY min(turn) LIMIT ?2",
            (operation.0, limit),
            |row| row.get(0).map(ItemNo),
        )
    }

    /// History may want the file at a place back.
    pub(super) fn is_held(&self, place: PlaceNo) -> Result<bool> {
        let found = self.db().one(
            "asking history for a file",
            "SELECT 1 FROM held_place WHERE place = ?1 LIMIT 1",
            [place.0],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }
}

impl Writer {
    /// Does `work` and records what it changed as an operation, in this transaction. Where nothing changed, there is none.
    ///
    /// # Errors
    /// What `work` gives; [`CatalogError::InvalidLabel`] for a group of nothing, or a long one; when SQLite fails.
    pub fn operate<T, E: From<CatalogError>>(
        &mut self,
        draft: &mut OperationDraft,
        work: impl FnOnce(&mut Self) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        draft.check()?;
        self.journal = Some(Journal::default());
        let done = work(self);
        let journal = self.journal.take();
        let value = done?;
        if let Some(journal) = journal {
            self.record_operation(draft, journal)?;
        }
        Ok(value)
    }

    /// Tells of something that was done and can't be reverted. Kept for as long as it is among the latest two thousand.
    ///
    /// # Errors
    /// [`CatalogError::InvalidLabel`] for a group of nothing, or a long one; when SQLite fails.
    pub fn tell_of(&mut self, draft: &mut OperationDraft, project: Option<BaseNo>) -> Result<()> {
        draft.check()?;
        let operation = self.insert_operation(draft, project, None)?;
        self.run(
            "recording an operation",
            "UPDATE operation SET revertible = 0 WHERE number = ?1",
            [operation.0],
        )?;
        self.run(
            "letting go of an operation",
            "DELETE FROM operation WHERE revertible = 0 AND number <= \
             (SELECT number FROM operation WHERE revertible = 0 ORDER BY number DESC LIMIT 1 OFFSET ?1)",
            [MOST_TOLD],
        )?;
        draft.recorded = self.reader().operation(operation)?;
        self.durable = true;
        Ok(())
    }

    /// A cell is about to change: what it holds is kept, if an operation is under way.
    pub(super) fn touch(&mut self, item: ItemNo, cell: Cell) -> Result<()> {
        let key = (item, cell);
        let is_new = self
            .journal
            .as_ref()
            .is_some_and(|journal| !journal.known.contains(&key));
        if !is_new {
            return Ok(());
        }
        let before = self.present(item, &key.1)?;
        self.note(key, before);
        Ok(())
    }

    /// An item was made.
    pub(super) fn touch_new(&mut self, item: ItemNo) {
        self.note((item, Cell::Exists), Value::None);
    }

    /// As [`Writer::touch`], of a cell whose value is known.
    pub(super) fn note(&mut self, key: (ItemNo, Cell), before: Value) {
        if let Some(journal) = &mut self.journal
            && journal.known.insert(key.clone())
        {
            journal.places.extend(before.places());
            journal.touched.push((key.0, key.1, before));
        }
    }

    /// History may want this file back, now or once this operation is recorded.
    pub(super) fn is_wanted_back(&self, place: PlaceNo) -> Result<bool> {
        let touched = self
            .journal
            .as_ref()
            .is_some_and(|journal| journal.places.contains(&place));
        Ok(touched || self.reader().is_held(place)?)
    }

    fn record_operation(&mut self, draft: &mut OperationDraft, journal: Journal) -> Result<()> {
        let mut whole: HashSet<ItemNo> = HashSet::new();
        whole.extend(
            journal
                .touched
                .iter()
                .filter(|(_, cell, _)| *cell == Cell::Exists)
                .map(|(item, ..)| *item),
        );
        let mut steps = Vec::new();
        let mut names: HashMap<ItemNo, String> = HashMap::new();
        let mut projects: HashSet<Option<BaseNo>> = HashSet::new();
        let mut places = HashSet::new();
        for (item, cell, before) in journal.touched {
            // Of an item that came or went the whole is kept.
            if cell != Cell::Exists && whole.contains(&item) {
                continue;
            }
            let after = match (self.present(item, &cell)?, &cell) {
                // What it is when it is removed again counts.
                (after, Cell::Exists) if !after.is_none() => Value::There,
                (after, _) => after,
            };
            if before.is_same(&after) {
                continue;
            }
            places.extend(before.places());
            let row = self.reader().item(item)?;
            let project = match &row {
                Some(row) => row.project,
                None => before.project(),
            };
            projects.insert(project);
            names.entry(item).or_insert_with(|| {
                row.map(|row| row.name)
                    .or_else(|| before.name())
                    .unwrap_or_default()
            });
            steps.push((item, cell, before, after));
        }
        if steps.is_empty() {
            return Ok(());
        }
        let project = match (projects.len(), projects.into_iter().next()) {
            (1, Some(project)) => project,
            _ => None,
        };
        let is_new = draft.recorded.is_none();
        let operation = match &draft.recorded {
            Some(recorded) => recorded.row,
            None => self.insert_operation(draft, project, None)?,
        };
        let first: u32 = self
            .reader()
            .db()
            .one(
                "recording an operation",
                "SELECT coalesce(max(turn), 0) FROM operation_step WHERE operation = ?1",
                [operation.0],
                |row| row.get(0),
            )?
            .unwrap_or(0);
        for (turn, (item, cell, before, after)) in (first + 1..).zip(&steps) {
            let name = names.get(item).map_or("", String::as_str);
            self.run(
                "recording an operation",
                "INSERT INTO operation_step (operation, turn, item, cell, before, after, name) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    operation.0,
                    turn,
                    item.0,
                    cell.text(),
                    before.text(),
                    after.text(),
                    name,
                ),
            )?;
        }
        self.hold(operation, &places)?;
        if draft.summary.is_none() {
            self.summarise(operation, draft.kind, &steps, &names)?;
        }
        draft.recorded = self.reader().operation(operation)?;
        self.durable = true;
        // Once, and not in each further transaction of a long import.
        if is_new && operation.0 % LOOK_EVERY == 0 {
            self.let_go(MOST_OPERATIONS, MOST_STEPS)?;
        }
        Ok(())
    }

    /// Keeps places for an operation.
    pub(super) fn hold(&mut self, operation: OperationNo, places: &HashSet<PlaceNo>) -> Result<()> {
        for place in places {
            self.run(
                "keeping a file for history",
                "INSERT OR IGNORE INTO held_place (place, operation) VALUES (?1, ?2)",
                (place.0, operation.0),
            )?;
        }
        Ok(())
    }

    fn insert_operation(
        &mut self,
        draft: &OperationDraft,
        project: Option<BaseNo>,
        root: Option<OperationNo>,
    ) -> Result<OperationNo> {
        self.run(
            "recording an operation",
            "INSERT INTO operation (kind, summary, grouped, at, who, project, root, applied) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
            (
                draft.kind,
                draft.summary.as_deref().unwrap_or(draft.kind),
                &draft.group,
                now_millis(),
                &draft.who,
                project.map_or(0, |base| base.0),
                root.map(|root| root.0),
            ),
        )?;
        let operation = OperationNo(self.inserted()?);
        self.run(
            "recording an operation",
            "UPDATE operation SET applied = number WHERE number = ?1",
            [operation.0],
        )?;
        Ok(operation)
    }

    /// `imported kick.wav`, `imported 12 sounds`.
    fn summarise(
        &mut self,
        operation: OperationNo,
        kind: &str,
        steps: &[(ItemNo, Cell, Value, Value)],
        names: &HashMap<ItemNo, String>,
    ) -> Result<()> {
        let count: u32 = self
            .reader()
            .db()
            .one(
                "counting the items of an operation",
                "SELECT count(DISTINCT item) FROM operation_step WHERE operation = ?1 AND item <> 0",
                [operation.0],
                |row| row.get(0),
            )?
            .unwrap_or(0);
        let only = steps.first().and_then(|step| names.get(&step.0));
        let done = match kind {
            "import" => "imported",
            "relink" => "relinked",
            "pin" => "pinned",
            "unpin" => "unpinned",
            other => other,
        };
        let text = match (count, only) {
            (0, _) => format!("{done} a folder"),
            (1, Some(name)) => format!("{done} {name}"),
            (count, _) => format!("{done} {count} sounds"),
        };
        self.run(
            "recording an operation",
            "UPDATE operation SET summary = ?2 WHERE number = ?1",
            (operation.0, text),
        )
        .map(|_| ())
    }

    /// Lets go of the oldest operations beyond so many, with their reverts, and of the files that only they held.
    pub(super) fn let_go(&mut self, most: usize, most_steps: usize) -> Result<()> {
        let kept = self.reader().db().many(
            "looking for old operations",
            "SELECT o.number, (SELECT count(*) FROM operation_step s WHERE s.operation = o.number) \
             FROM operation o WHERE o.root IS NULL AND o.revertible = 1 ORDER BY o.number DESC",
            [],
            |row| Ok((OperationNo(row.get(0)?), row.get::<_, u32>(1)?)),
        )?;
        let mut steps = 0_usize;
        for (at, (operation, size)) in kept.into_iter().enumerate() {
            steps = steps.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
            if at > 0 && (at >= most || steps > most_steps) {
                self.forget_operation(operation)?;
            }
        }
        Ok(())
    }

    fn forget_operation(&mut self, operation: OperationNo) -> Result<()> {
        let places = self.reader().db().many(
            "looking for files that history holds",
            "SELECT place FROM held_place WHERE operation = ?1",
            [operation.0],
            |row| row.get(0).map(PlaceNo),
        )?;
        for sql in [
            "DELETE FROM operation_step WHERE operation = ?1",
            "DELETE FROM held_place WHERE operation = ?1",
            "DELETE FROM operation WHERE number = ?1 OR root = ?1",
        ] {
            self.run("letting go of an operation", sql, [operation.0])?;
        }
        for place in places {
            self.release_place(place)?;
        }
        Ok(())
    }
}

fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

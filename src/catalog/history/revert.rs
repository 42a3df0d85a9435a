//! Reverting operations: in any order, or not at all, with what stands in the way.
//!
//! An operation can be reverted when each of its cells holds what the operation put there, and no later operation in effect
//! has touched it. A revert can be reverted in its turn while every cell still holds what the revert put there, and nothing
//! that came into effect since has touched it.

use std::collections::HashSet;

use super::cell::{Bytes, Cell, Label, Record, Value, is_source};
use super::{OperationDraft, Writer};
use crate::catalog::convert::{Coded, stored};
use crate::catalog::error::{CatalogError, Result};
use crate::catalog::rows::{BaseNo, ItemNo, OperationNo, OperationRow, PlaceNo, PlaceRow};
use crate::model::{
    Availability, Kind, MediaId, ObjectHash, Origin, Playable, TagSource, display_name,
};

/// Most of what stands in the way that is told.
const MOST_TOLD: usize = 20;

/// What to revert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// This operation, or revert.
    Operation(OperationNo),
    /// All of this group that are in effect.
    Group(String),
    /// What was done last, of a project or of all, with its group.
    Last(Option<BaseNo>),
    /// What was reverted last is done again, with its group.
    Again(Option<BaseNo>),
}

/// What was reverted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reverted {
    /// The operations that this made, in order.
    pub operations: Vec<OperationRow>,
    /// Files without an item, to be probed.
    pub probe: Vec<PlaceNo>,
    /// Items that were pinned or unpinned, for whom, and whether they are pinned now.
    pub pins: Vec<(ItemNo, String, bool)>,
    /// Library roots that were registered or taken off, and whether they are registered now.
    pub libraries: Vec<(BaseNo, bool)>,
}

/// Something that stands in the way of a revert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// Of which item.
    pub media_id: Option<MediaId>,
    /// What, for people.
    pub what: String,
    /// The operation that did it, if one did.
    pub by: Option<OperationRow>,
}

/// Why nothing was reverted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevertError {
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Something stands in the way.
    #[error("{}", .0.first().map_or("something stands in the way", |conflict| conflict.what.as_str()))]
    Conflict(Vec<Conflict>),
    /// There is no such operation, or not any more.
    #[error("history knows no {what}")]
    Unknown {
        /// Which.
        what: String,
    },
    /// Everything is reverted, or nothing is.
    #[error("there is nothing to {what}")]
    Nothing {
        /// `undo` or `redo`.
        what: &'static str,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Undo,
    Redo,
}

struct Step {
    turn: u32,
    item: ItemNo,
    cell: Cell,
    before: Value,
    after: Value,
    name: String,
}

impl Step {
    /// What the cell must hold, and what it is to hold.
    fn ends(&self, way: Way) -> (&Value, &Value) {
        match way {
            Way::Undo => (&self.after, &self.before),
            Way::Redo => (&self.before, &self.after),
        }
    }
}

impl Writer {
    /// Reverts in this transaction, which is to be given up where it fails. The draft says who does it, and for what.
    ///
    /// # Errors
    /// [`RevertError`].
    pub fn revert(
        &mut self,
        which: &Which,
        by: &OperationDraft,
    ) -> std::result::Result<Reverted, RevertError> {
        by.check()?;
        let targets = self.targets(which)?;
        let mut done = Reverted::default();
        for (root, way) in targets {
            // As those before it have left it.
            let root = self
                .reader()
                .operation(root.row)?
                .ok_or_else(|| unknown(root.row))?;
            self.turn(&root, way, by, &mut done)?;
        }
        self.durable = true;
        Ok(done)
    }

    fn targets(&self, which: &Which) -> std::result::Result<Vec<(OperationRow, Way)>, RevertError> {
        let reader = self.reader();
        let all = |rows: Vec<OperationRow>, way| rows.into_iter().map(|row| (row, way)).collect();
        Ok(match which {
            Which::Operation(number) => {
                let row = reader.operation(*number)?.ok_or_else(|| unknown(*number))?;
                if !row.revertible {
                    return Err(RevertError::Conflict(vec![Conflict {
                        media_id: None,
                        what: format!("this can't be reverted ({})", row.summary),
                        by: Some(row),
                    }]));
                }
                let root = match row.root {
                    None => row.clone(),
                    Some(root) => reader.operation(root)?.ok_or_else(|| unknown(root))?,
                };
                let way = match (row.root, root.reverted) {
                    (None, None) => Way::Undo,
                    (Some(_), Some(last)) if last == row.row => Way::Redo,
                    (Some(_), None) if root.applied == row.row => Way::Undo,
                    (_, last) => {
                        let by = last.unwrap_or(root.applied);
                        let what = match last {
                            Some(_) => format!("it is reverted already ({})", root.summary),
                            None => format!("it was done again since ({})", root.summary),
                        };
                        return Err(RevertError::Conflict(vec![Conflict {
                            media_id: None,
                            what,
                            by: reader.operation(by)?,
                        }]));
                    }
                };
                vec![(root, way)]
            }
            Which::Group(group) => {
                let rows = reader.operations_of_group(group)?;
                if rows.is_empty() {
                    return Err(RevertError::Unknown {
                        what: format!("operation in effect of the group {group:?}"),
                    });
                }
                all(rows, Way::Undo)
            }
            Which::Last(project) => {
                let last = reader.to_undo(*project)?;
                let last = last.ok_or(RevertError::Nothing { what: "undo" })?;
                match &last.group {
                    Some(group) => all(reader.operations_of_group(group)?, Way::Undo),
                    None => vec![(last, Way::Undo)],
                }
            }
            Which::Again(project) => {
                let last = reader.to_redo(*project)?;
                let last = last.ok_or(RevertError::Nothing { what: "redo" })?;
                match &last.group {
                    Some(group) => {
                        // Those that one call has reverted have numbers in a row.
                        let mut expected = last.reverted.map_or(0, |reverted| reverted.0);
                        let mut rows = reader.reverted_with(group)?;
                        rows.retain(|row| {
                            let follows = row.reverted.is_some_and(|by| by.0 == expected);
                            expected = expected.saturating_sub(u32::from(follows));
                            follows
                        });
                        all(rows, Way::Redo)
                    }
                    None => vec![(last, Way::Redo)],
                }
            }
        })
    }

    fn turn(
        &mut self,
        root: &OperationRow,
        way: Way,
        by: &OperationDraft,
        done: &mut Reverted,
    ) -> std::result::Result<(), RevertError> {
        let mut steps = self.steps(root.row)?;
        if way == Way::Undo {
            steps.reverse();
        }
        let mut conflicts = Vec::new();
        for step in &steps {
            if conflicts.len() >= MOST_TOLD {
                break;
            }
            conflicts.extend(self.in_the_way(root, step, way)?);
        }
        if !conflicts.is_empty() {
            return Err(RevertError::Conflict(conflicts));
        }
        for step in &steps {
            let present = self.present(step.item, &step.cell)?;
            let held: HashSet<PlaceNo> = present.places().into_iter().collect();
            self.hold(root.row, &held)?;
            if step.cell == Cell::Exists && !present.is_none() {
                self.keep_record(root.row, step, way, &present)?;
            }
            let (_, to) = step.ends(way);
            self.apply(root, step, to, done)?;
        }
        let draft = OperationDraft {
            kind: match way {
                Way::Undo => "undo",
                Way::Redo => "redo",
            },
            summary: Some(match way {
                Way::Undo => format!("undid: {}", root.summary),
                Way::Redo => format!("did again: {}", root.summary),
            }),
            group: by.group.clone(),
            who: by.who.clone(),
            recorded: None,
        };
        let number = self.insert_operation(&draft, root.project, Some(root.row))?;
        let sql = match way {
            Way::Undo => "UPDATE operation SET reverted = ?2 WHERE number = ?1",
            Way::Redo => "UPDATE operation SET reverted = NULL, applied = ?2 WHERE number = ?1",
        };
        self.run("recording a revert", sql, (root.row.0, number.0))?;
        done.operations.extend(self.reader().operation(number)?);
        Ok(())
    }

    fn steps(&self, operation: OperationNo) -> Result<Vec<Step>> {
        let found = self.reader().db().many(
            "reading the steps of an operation",
            "SELECT turn, item, cell, before, after, name FROM operation_step WHERE operation = ?1 ORDER BY turn",
            [operation.0],
            |row| {
                let (cell, before, after): (String, String, String) =
                    (row.get(2)?, row.get(3)?, row.get(4)?);
                let step = || {
                    Some(Step {
                        turn: row.get(0).ok()?,
                        item: ItemNo(row.get(1).ok()?),
                        cell: Cell::from_text(&cell)?,
                        before: Value::from_text(&before)?,
                        after: Value::from_text(&after)?,
                        name: row.get(5).ok()?,
                    })
                };
                step().ok_or_else(|| {
                    crate::catalog::convert::odd_column(2, std::io::Error::other(format!("{cell:.80} is no step")))
                })
            },
        )?;
        Ok(found)
    }

    /// What stands in the way of one step.
    fn in_the_way(&self, root: &OperationRow, step: &Step, way: Way) -> Result<Option<Conflict>> {
        let present = self.present(step.item, &step.cell)?;
        let (expected, _) = step.ends(way);
        let later = self.later(root, step, way)?;
        let stacked = later.is_some();
        let item = self.reader().item(step.item)?;
        let of_item = !matches!(step.cell, Cell::Exists | Cell::Library(_));
        let is_there = item.is_some() || !of_item;
        if !stacked && is_there && present.is_same(expected) {
            return Ok(None);
        }
        let name = item
            .as_ref()
            .map_or_else(|| step.name.clone(), |item| item.name.clone());
        let what = match (&item, &step.cell, &present) {
            (_, Cell::Library(_), _) => "the folder was added or taken off since".to_owned(),
            (None, ..) => format!("{name} was removed since"),
            (_, Cell::Exists, _) => format!("{name} was changed since"),
            (_, Cell::Name, _) => format!("{} was renamed again, to {name}", step.name),
            (_, Cell::Bytes, _) => format!("the bytes of {name} were replaced since"),
            (_, Cell::Tag(tag), _) => format!("the tag {tag:?} of {name} was changed since"),
            (_, Cell::Attribute(key), _) => format!("{key:?} of {name} was changed since"),
            (_, Cell::Pin(_), _) => format!("{name} was pinned or unpinned since"),
            (_, Cell::Usage(..), _) => format!("the usages of {name} were changed since"),
        };
        Ok(Some(Conflict {
            media_id: item.map(|item| item.media_id),
            what,
            by: later,
        }))
    }

    /// The last operation in effect, applied after this one was put into its present state, that has touched the same.
    fn later(&self, root: &OperationRow, step: &Step, way: Way) -> Result<Option<OperationRow>> {
        let since = match way {
            Way::Undo => root.applied,
            Way::Redo => root.reverted.unwrap_or(root.applied),
        };
        let found = self.reader().db().many(
            "looking for what stands in the way",
            "SELECT o.number, s.cell FROM operation_step s JOIN operation o ON o.number = s.operation \
             WHERE s.item = ?1 AND o.root IS NULL AND o.reverted IS NULL AND o.applied > ?2 AND o.number <> ?3 \
             ORDER BY o.applied DESC",
            (step.item.0, since.0, root.row.0),
            |row| Ok((OperationNo(row.get(0)?), row.get::<_, String>(1)?)),
        )?;
        for (number, cell) in found {
            let overlaps = Cell::from_text(&cell).is_some_and(|cell| {
                cell.overlaps(&step.cell) && (step.item.0 != 0 || cell == step.cell)
            });
            // What was undone too since, and done again before this one, is where it was when this one was undone.
            if overlaps && !(way == Way::Redo && self.was_in_effect(number, since)?) {
                return self.reader().operation(number);
            }
        }
        Ok(None)
    }

    /// Whether an operation was in effect when another one was recorded.
    fn was_in_effect(&self, operation: OperationNo, then: OperationNo) -> Result<bool> {
        if operation >= then {
            return Ok(false);
        }
        // The operation itself is in effect until it is reverted, and each turn changes that.
        let turns: Option<u32> = self.reader().db().one(
            "looking for what stands in the way",
            "SELECT count(*) FROM operation WHERE root = ?1 AND number < ?2",
            (operation.0, then.0),
            |row| row.get(0),
        )?;
        Ok(turns.unwrap_or(0).is_multiple_of(2))
    }

    /// An item is about to go: what it is now is what comes back.
    fn keep_record(
        &mut self,
        root: OperationNo,
        step: &Step,
        way: Way,
        present: &Value,
    ) -> Result<()> {
        let sql = match way {
            Way::Undo => "UPDATE operation_step SET after = ?3 WHERE operation = ?1 AND turn = ?2",
            Way::Redo => "UPDATE operation_step SET before = ?3 WHERE operation = ?1 AND turn = ?2",
        };
        self.run(
            "keeping a removed item",
            sql,
            (root.0, step.turn, present.text()),
        )
        .map(|_| ())
    }

    fn apply(
        &mut self,
        root: &OperationRow,
        step: &Step,
        to: &Value,
        done: &mut Reverted,
    ) -> std::result::Result<(), RevertError> {
        let item = step.item;
        match (&step.cell, to) {
            (Cell::Library(base), to) => {
                let active = !to.is_none();
                self.set_active(BaseNo(*base), active, false)?;
                done.libraries.push((BaseNo(*base), active));
            }
            (Cell::Exists, Value::Record(record)) => self.restore(root, item, record)?,
            (Cell::Exists, Value::None) => self.remove(item)?,
            (Cell::Name, Value::Text(name)) => {
                let row = self.known_item(item)?;
                self.set_name(&row, name)?;
            }
            (Cell::Bytes, Value::Bytes(bytes)) => {
                done.probe.extend(self.put_bytes(root, item, bytes)?);
            }
            (Cell::Tag(key), Value::Label(label)) => self.put_tag(item, key, label)?,
            (Cell::Tag(key), Value::None) => {
                self.drop_label("DELETE FROM tag WHERE item = ?1 AND key = ?2", item, key)?
            }
            (Cell::Attribute(key), Value::Label(label)) => {
                self.put_attribute_row(item, key, label)?;
            }
            (Cell::Attribute(key), Value::None) => self.drop_label(
                "DELETE FROM attribute WHERE item = ?1 AND key = ?2",
                item,
                key,
            )?,
            (Cell::Pin(owner), Value::There) => {
                self.pin(item, owner)?;
                done.pins.push((item, owner.clone(), true));
            }
            (Cell::Pin(owner), Value::None) => {
                self.unpin(item, owner)?;
                done.pins.push((item, owner.clone(), false));
            }
            (Cell::Usage(project, role, target), Value::Time(at)) => {
                self.put_usage(item, project, role, target, *at)?;
            }
            (Cell::Usage(project, role, target), Value::None) => {
                self.drop_usage(item, project, role, target)?;
            }
            _ => {
                return Err(RevertError::Conflict(vec![Conflict {
                    media_id: None,
                    what: format!("what {} was before is not known", step.name),
                    by: Some(root.clone()),
                }]));
            }
        }
        let changed = self.reader().item(item)?;
        if let Some(row) = changed {
            self.changes.item(item, &row.media_id, false);
        }
        Ok(())
    }

    fn put_tag(&mut self, item: ItemNo, key: &str, label: &Label) -> Result<()> {
        self.run(
            "tagging an item",
            "INSERT OR REPLACE INTO tag (item, key, name, source, confidence, removed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                item.0,
                key,
                &label.name,
                source(label),
                f32::from_bits(label.confidence),
                label.removed,
            ),
        )
        .map(|_| ())
    }

    fn put_attribute_row(&mut self, item: ItemNo, key: &str, label: &Label) -> Result<()> {
        self.run(
            "recording an attribute",
            "INSERT OR REPLACE INTO attribute (item, key, name, value, source, confidence, removed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                item.0,
                key,
                &label.name,
                &label.value,
                source(label),
                f32::from_bits(label.confidence),
                label.removed,
            ),
        )
        .map(|_| ())
    }

    fn drop_label(&mut self, sql: &str, item: ItemNo, key: &str) -> Result<()> {
        self.run("removing a tag or attribute", sql, (item.0, key))
            .map(|_| ())
    }

    /// An item that was removed is there again, with everything that was known of it.
    fn restore(
        &mut self,
        root: &OperationRow,
        item: ItemNo,
        record: &Record,
    ) -> std::result::Result<(), RevertError> {
        let odd = |what: String| {
            RevertError::Conflict(vec![Conflict {
                media_id: record.media_id.parse().ok(),
                what,
                by: None,
            }])
        };
        let id: MediaId = record
            .media_id
            .parse()
            .map_err(|_| odd(format!("{:?} is no id", record.media_id)))?;
        let project = (record.scope != 0).then_some(BaseNo(record.scope));
        if let Some(other) = self.reader().item_in_scope(&id, project)? {
            return Err(odd(format!("the id {id} is that of {} now", other.name)));
        }
        let place = match record.bytes.place {
            Some(place) => self.reader().place(PlaceNo(place))?,
            None => None,
        };
        if let Some(place) = &place {
            for other in self.reader().items_of(place.row)? {
                if other.project != project || self.drop_if_found(other.row)? {
                    continue;
                }
                // Made of the file since. Whoever was only pointed to it may stay.
                if self.was_made_since(other.row, root)? {
                    return Err(odd(format!(
                        "the file of {} is that of the sound {} ({}) now",
                        record.name, other.name, other.media_id
                    )));
                }
            }
        }
        let kind = Kind::from(record.bytes.kind.clone());
        let evidence = place.as_ref().map(|place| place.evidence);
        let (availability, playable) = match &place {
            Some(place) => self.recorded_here(place)?,
            None => (Availability::Missing, Playable::Error),
        };
        let hash = match &place {
            Some(place) => self.reader().hash_at(place.row)?,
            None => None,
        };
        self.run(
            "restoring an item",
            "INSERT INTO item (number, media_id, scope, kind, name, origin, lifecycle, generation, size, modified, born, \
             permissions, availability, playable, place, hashed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            rusqlite::params![
                item.0,
                id.as_str(),
                record.scope,
                kind.as_str(),
                &record.name,
                Origin::from(record.origin.clone()).as_str(),
                record.lifecycle,
                // What its old nodes showed may have changed since.
                record.generation.saturating_add(1),
                stored(evidence.map_or(record.bytes.size, |evidence| evidence.size)),
                evidence.map_or(record.bytes.modified, |evidence| evidence.modified.0),
                evidence.map_or(record.born, |evidence| evidence.born.map(|born| born.0)),
                evidence.map_or(record.permissions, |evidence| evidence.permissions),
                availability.code(),
                playable.code(),
                place.as_ref().map(|place| place.row.0),
                hash.is_some(),
            ],
        )?;
        if let Some(recorded) = record.bytes.to_record(place.as_ref()) {
            self.set_recorded(item, recorded)?;
        }
        self.restore_labels(item, record)?;
        if let Some(place) = &place {
            if project.is_none() {
                self.run(
                    "restoring an item",
                    "UPDATE place SET forgotten = 0 WHERE number = ?1 AND forgotten = 1",
                    [place.row.0],
                )?;
            }
            if !place.is_here() {
                self.items_are_missing(place)?;
            }
            if let Some(folder) = place.folder {
                self.changes.name(folder, &place.name);
            }
        }
        if let Some(project) = project {
            self.own_names(project, &id, Some(item))?;
            self.show(project, item, &id, &kind, &record.name)?;
        }
        self.own_used_names(item, &id, project)?;
        self.changes.item(item, &id, true);
        self.tell_twins(&id)?;
        Ok(())
    }

    fn was_made_since(&self, item: ItemNo, root: &OperationRow) -> Result<bool> {
        let found = self.reader().db().one(
            "looking for what stands in the way",
            "SELECT 1 FROM operation_step s JOIN operation o ON o.number = s.operation \
             WHERE s.item = ?1 AND s.cell = ?2 AND o.root IS NULL AND o.reverted IS NULL AND o.applied > ?3 LIMIT 1",
            (item.0, Cell::Exists.text(), root.applied.0),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    fn restore_labels(&mut self, item: ItemNo, record: &Record) -> Result<()> {
        for (key, label) in &record.tags {
            self.put_tag(item, key, label)?;
        }
        for (key, label) in &record.attributes {
            self.put_attribute_row(item, key, label)?;
        }
        for storage in &record.alternatives {
            self.run(
                "restoring an item",
                "INSERT OR IGNORE INTO alternative (item, storage) VALUES (?1, ?2)",
                (item.0, storage),
            )?;
        }
        for owner in &record.pins {
            self.run(
                "restoring an item",
                "INSERT OR IGNORE INTO pin (item, owner) VALUES (?1, ?2)",
                (item.0, owner),
            )?;
        }
        for (name, turn) in &record.former {
            self.run(
                "restoring an item",
                "INSERT OR IGNORE INTO former_name (item, name, turn) VALUES (?1, ?2, ?3)",
                (item.0, name, turn),
            )?;
        }
        for (base, entry) in &record.entries {
            let project = (*base != 0).then_some(BaseNo(*base));
            self.keep_entry(item, project, Some(entry))?;
        }
        for (project, role, target, at) in &record.usages {
            self.put_usage(item, project, role, target, *at)?;
        }
        for (project, role, target, at) in &record.removed_usages {
            self.mark_removed(item, project, role, target, *at)?;
        }
        Ok(())
    }

    fn set_recorded(&mut self, item: ItemNo, recorded: &str) -> Result<()> {
        self.run(
            "recording where an item is",
            "UPDATE item SET recorded = ?2 WHERE number = ?1",
            (item.0, recorded),
        )
        .map(|_| ())
    }

    /// An item has the bytes again that it had. Gives the place that was left, if there is a file without an item now.
    fn put_bytes(
        &mut self,
        root: &OperationRow,
        item: ItemNo,
        bytes: &Bytes,
    ) -> std::result::Result<Option<PlaceNo>, RevertError> {
        let row = self.known_item(item)?;
        let conflict = |what: String, by: Option<OperationRow>| {
            RevertError::Conflict(vec![Conflict {
                media_id: Some(row.media_id.clone()),
                what,
                by,
            }])
        };
        let place = match bytes.place {
            Some(place) => self.reader().place(PlaceNo(place))?,
            None => None,
        };
        let Some(place) = place else {
            let what = format!("the file that {} had is not known any more", row.name);
            return Err(conflict(what, Some(root.clone())));
        };
        if place.is_here() && !self.has_bytes(&place, bytes)? {
            let file = display_name(place.name.as_encoded_bytes());
            let what = format!("the file {file} that {} had was changed since", row.name);
            return Err(conflict(what, None));
        }
        // What a look at the folder made of the file meanwhile gives way.
        for other in self.reader().items_of(place.row)? {
            if other.project == row.project && other.row != item {
                self.drop_if_found(other.row)?;
            }
        }
        let left = self.point_to(item, &place)?;
        if let Some(recorded) = bytes.to_record(Some(&place)) {
            self.set_recorded(item, recorded)?;
        }
        Ok(left)
    }

    fn has_bytes(&self, place: &PlaceRow, bytes: &Bytes) -> Result<bool> {
        let now: Option<ObjectHash> = self.reader().hash_at(place.row)?;
        Ok(match (&now, &bytes.blake3) {
            (Some(now), Some(then)) => now.to_string() == *then,
            _ => place.evidence.size == bytes.size && place.evidence.modified.0 == bytes.modified,
        })
    }

    /// Removes an item of the library that a look at a folder has made, and nobody has touched since; gives whether it was
    /// one.
    fn drop_if_found(&mut self, item: ItemNo) -> Result<bool> {
        let is_untouched = self
            .reader()
            .db()
            .one(
                "asking whether an item was touched",
                "SELECT 1 FROM item i WHERE i.number = ?1 AND i.scope = 0 AND i.origin = 'reference' \
                 AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.item = i.number AND (t.source = ?2 OR t.removed = 1)) \
                 AND NOT EXISTS (SELECT 1 FROM attribute a WHERE a.item = i.number AND (a.source = ?2 OR a.removed = 1)) \
                 AND NOT EXISTS (SELECT 1 FROM usage u WHERE u.item = i.number) \
                 AND NOT EXISTS (SELECT 1 FROM pin n WHERE n.item = i.number) \
                 AND NOT EXISTS (SELECT 1 FROM operation_step s WHERE s.item = i.number)",
                (item.0, TagSource::User.code()),
                |_| Ok(()),
            )?
            .is_some();
        if !is_untouched {
            return Ok(false);
        }
        let place = self.known_item(item)?.place_of_record();
        self.remove(item)?;
        if let Some(place) = place {
            self.run(
                "restoring an item",
                "UPDATE place SET forgotten = 0 WHERE number = ?1",
                [place.0],
            )?;
        }
        Ok(true)
    }
}

fn source(label: &Label) -> i64 {
    if is_source(label.source) {
        label.source
    } else {
        TagSource::User.code()
    }
}

fn unknown(operation: OperationNo) -> RevertError {
    RevertError::Unknown {
        what: format!("operation {} (any more)", operation.0),
    }
}

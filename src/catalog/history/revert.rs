//! Reverting operations: in any order, or not at all, with what stands in the way.
//!
//! An operation can be reverted when each of its cells holds what the operation put there, and no later operation in effect
//! has touched it. A revert can be reverted in its turn while every cell still holds what the revert put there, and nothing
//! that came into effect since has touched it.

use std::collections::HashSet;

use super::cell::{Cell, Value};
use super::{OperationDraft, Writer};
use crate::catalog::error::{CatalogError, Result};
use crate::catalog::rows::{BaseNo, ItemNo, OperationNo, OperationRow, PlaceNo};
use crate::model::MediaId;

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

pub(super) struct Step {
    turn: u32,
    pub(super) item: ItemNo,
    pub(super) cell: Cell,
    before: Value,
    after: Value,
    pub(super) name: String,
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
}

fn unknown(operation: OperationNo) -> RevertError {
    RevertError::Unknown {
        what: format!("operation {} (any more)", operation.0),
    }
}

//! What was done, and its revert; and how every changing call becomes an operation.

use super::Service;
use crate::catalog::{
    BaseKind, BaseNo, BaseRow, Conflict, Durability, OperationDraft, OperationNo, OperationRow,
    Reader, RevertError, Reverted, ToRevert,
};
use crate::control::methods::*;
use crate::control::rpc::one_line;
use crate::control::{Reason, RpcError};

/// What a call is recorded as.
pub(super) fn draft(kind: &'static str, summary: String, intent: &Intent) -> OperationDraft {
    OperationDraft {
        group: intent.group.clone(),
        who: intent.who.clone(),
        ..OperationDraft::new(kind, summary)
    }
}

/// As the answer names it.
pub(super) fn recorded(draft: &OperationDraft) -> Option<Operation> {
    draft.recorded.as_ref().map(told)
}

fn told(row: &OperationRow) -> Operation {
    Operation {
        id: row.row.0,
        summary: row.summary.clone(),
    }
}

impl Service {
    /// Tells history of what was done and can't be reverted. It is done, so a failure of that is none of the call.
    pub(super) fn tell_history(
        &self,
        kind: &'static str,
        summary: String,
        intent: &Intent,
        project: Option<BaseNo>,
    ) -> Option<Operation> {
        let mut draft = draft(kind, summary, intent);
        let told = self.catalog.write(Durability::Full, |writer| {
            writer.tell_of(&mut draft, project)
        });
        if let Err(error) = told {
            tracing::warn!(
                error = one_line(&error),
                kind,
                "history does not know of it"
            );
        }
        recorded(&draft)
    }

    pub(super) fn history(&self, params: &HistoryListParams) -> Result<HistoryPage, RpcError> {
        let limit = params.limit.unwrap_or(100).clamp(1, HistoryPage::MOST);
        let reader = self.catalog.reader()?;
        let project = project_of(&reader, params.project.as_deref())?;
        let rows = reader.operations(params.before, project, limit)?;
        let next = rows
            .last()
            .filter(|_| u32::try_from(rows.len()).unwrap_or(limit) >= limit)
            .map(|row| row.row.0);
        let mut operations = Vec::with_capacity(rows.len());
        for row in rows {
            let about = row.root.unwrap_or(row.row);
            let mut items = Vec::new();
            for item in reader.items_of_operation(about, HistoryPage::MOST_ITEMS)? {
                items.extend(reader.item(item)?.map(|item| item.media_id));
            }
            let project = match row.project {
                Some(base) => reader.base(base)?.and_then(|base| base.project),
                None => None,
            };
            operations.push(OperationInfo {
                id: row.row.0,
                kind: row.kind,
                summary: row.summary,
                group: row.group,
                at: row.at,
                who: row.who,
                project: project.map(|project| project.0),
                reverts: row.root.map(|root| root.0),
                reverted_by: row.reverted.map(|by| by.0),
                items,
                revertible: row.revertible,
            });
        }
        Ok(HistoryPage { operations, next })
    }

    pub(super) fn revert(&self, params: &HistoryRevertParams) -> Result<RevertAnswer, RpcError> {
        let which = match (params.operation, &params.group) {
            (Some(number), None) => ToRevert::Operation(OperationNo(number)),
            (None, Some(group)) => ToRevert::Group(group.clone()),
            _ => {
                return Err(RpcError::new(
                    Reason::InvalidParameter,
                    "name either an operation or a group",
                ));
            }
        };
        self.turn(&which, params.who.clone())
    }

    pub(super) fn undo(&self, params: &HistoryUndoParams) -> Result<RevertAnswer, RpcError> {
        let reader = self.catalog.reader()?;
        let project = project_of(&reader, params.project.as_deref())?;
        if let Some(next) = reader.to_undo(project)? {
            let with_it = match &next.group {
                Some(group) => reader.operations_of_group(group)?,
                None => vec![next],
            };
            self.refuse_where_open(&reader, &with_it)?;
        }
        self.turn(&ToRevert::Last(project), params.who.clone())
    }

    pub(super) fn redo(&self, params: &HistoryUndoParams) -> Result<RevertAnswer, RpcError> {
        let reader = self.catalog.reader()?;
        let project = project_of(&reader, params.project.as_deref())?;
        if let Some(next) = reader.to_redo(project)? {
            self.refuse_where_open(&reader, &[next])?;
        }
        self.turn(&ToRevert::Again(project), params.who.clone())
    }

    /// The host owns the order in the projects that it has open. What belongs together is reverted together or not at all.
    fn refuse_where_open(&self, reader: &Reader, steps: &[OperationRow]) -> Result<(), RpcError> {
        if self.daemon.is_none() {
            return Ok(());
        }
        for step in steps {
            let Some(project) = step.project else {
                continue;
            };
            if let Some(base) = reader.base(project)?.filter(|base| base.active) {
                return Err(RpcError::new(
                    Reason::Refused,
                    format!(
                        "the next step ({}) is of the project {}, which is open",
                        step.summary, base.name
                    ),
                )
                .remedy(format!(
                    "the host that has it open owns the order: it names the operation to history.revert (operation: {})",
                    step.row.0
                ))
                .command("undo it there, or name the operation (`mediafs undo --operation ID`)"));
            }
        }
        Ok(())
    }

    fn turn(&self, which: &ToRevert, who: Option<String>) -> Result<RevertAnswer, RpcError> {
        let by = OperationDraft {
            who,
            ..OperationDraft::default()
        };
        let done = self
            .catalog
            .write(Durability::Full, |writer| writer.revert(which, &by));
        match done {
            Ok(done) => {
                self.follow(&done);
                let operations: Vec<Operation> = done.operations.iter().map(told).collect();
                Ok(RevertAnswer {
                    outcome: RevertOutcome::Reverted,
                    operation: operations.last().cloned(),
                    operations,
                    conflicts: Vec::new(),
                })
            }
            Err(RevertError::Conflict(conflicts)) => Ok(RevertAnswer {
                outcome: RevertOutcome::Conflict,
                conflicts: conflicts.into_iter().map(conflict).collect(),
                ..RevertAnswer::default()
            }),
            Err(RevertError::Catalog(error)) => Err(error.into()),
            Err(error) => Err(RpcError::from_error(Reason::NotFound, &error)
                .remedy("history.list lists what was done")
                .command("`mediafs history` lists what was done")),
        }
    }

    /// What was changed in the catalog is looked at on the disk.
    fn follow(&self, done: &Reverted) {
        self.follow_pins(&done.pins);
        let Ok(library) = self.library() else {
            // It looks at everything when it starts.
            return;
        };
        library.probe_left(&done.probe);
        for (base, active) in &done.libraries {
            if *active {
                self.scan_base(*base);
                continue;
            }
            let row = self
                .catalog
                .reader()
                .and_then(|reader| reader.base(*base))
                .ok()
                .flatten();
            if let Some(row) = row.filter(|row| row.kind == BaseKind::Library)
                && let Err(error) = library.root_is_off(&row)
            {
                tracing::warn!(error = one_line(&error), "a library is watched on");
            }
        }
    }
}

/// The project that is meant by an id. Copies of a folder share theirs: the focused one, else an open one.
pub(super) fn meant_by(reader: &Reader, id: &str) -> Result<Option<BaseRow>, RpcError> {
    let of_id = reader.bases()?.into_iter().filter(|base| {
        base.kind == BaseKind::Project
            && base.project.as_ref().is_some_and(|project| project.0 == id)
    });
    Ok(of_id.max_by_key(|base| (base.focused, base.active)))
}

/// As [`meant_by`], where one is named; it must be there.
fn project_of(reader: &Reader, id: Option<&str>) -> Result<Option<BaseNo>, RpcError> {
    let Some(id) = id else {
        return Ok(None);
    };
    match meant_by(reader, id)? {
        Some(base) => Ok(Some(base.row)),
        None => Err(RpcError::new(
            Reason::NotFound,
            format!(
                "there is no project {:?}",
                id.chars().take(80).collect::<String>()
            ),
        )
        .remedy("project.list lists the projects that are known")
        .command("`mediafs status` lists the projects that are known")),
    }
}

fn conflict(conflict: Conflict) -> RevertConflict {
    let reason = match &conflict.by {
        Some(by) => format!("{} (operation {}: {})", conflict.what, by.row.0, by.summary),
        None => conflict.what,
    };
    RevertConflict {
        media_id: conflict.media_id,
        reason,
        by: conflict.by.as_ref().map(told),
    }
}

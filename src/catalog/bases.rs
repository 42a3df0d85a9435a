//! Writing bases: library roots, projects' folders, the computer.

use std::path::Path;

use super::convert::{Coded, base_columns, base_row, bytes_of, folded};
use super::error::{CatalogError, Result};
use super::history::{Cell, Value};
use super::rows::{BaseKind, BaseNo, BaseRow, ItemNo};
use super::shown::numbered;
use super::writer::Writer;
use crate::model::{ProjectId, SourceNo, shown_name};

/// The name the computer's base has; it is shown nowhere.
const COMPUTER_NAME: &str = "computer";

impl Writer {
    /// Registers a library root. The same path again: the same base, registered again. A name that is taken gets
    /// ` (2)`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn add_library(&mut self, name: &str, path: &Path) -> Result<BaseRow> {
        self.add_library_on(name, path, None)
    }

    /// As [`Writer::add_library`], of a folder on a source, at `inside` below its root: that is the same one wherever the
    /// source is mounted, and another one than what was at its path on any other storage.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn add_library_on(
        &mut self,
        name: &str,
        path: &Path,
        source: Option<(SourceNo, &Path)>,
    ) -> Result<BaseRow> {
        let known = self.reader().bases()?.into_iter().find(|base| {
            let same = match source {
                Some((source, inside)) => base.source == Some(source) && base.inside == inside,
                None => base.source.is_none() && base.path == path,
            };
            base.kind == BaseKind::Library && same
        });
        if let Some(base) = known {
            if !base.active {
                self.set_active(base.row, true, false)?;
            }
            return self.known_base(base.row);
        }
        let base = self.insert_base(BaseKind::Library, name, path, None, true)?;
        match source {
            None => Ok(base),
            Some(_) => {
                self.set_base_source(base.row, source)?;
                self.known_base(base.row)
            }
        }
    }

    /// Makes a project known, not open yet. Its folder may have moved since it was known last, and its name may be
    /// another one now; old names go on leading to it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn add_project(&mut self, id: &ProjectId, name: &str, path: &Path) -> Result<BaseRow> {
        self.add_project_beside(id, name, path, &[])
    }

    /// As [`Writer::add_project`], where these known projects of the same id are in folders of their own still: a copy of
    /// a project's folder is another project, by its place. One that is known at this place is that one, whatever
    /// others there are.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn add_project_beside(
        &mut self,
        id: &ProjectId,
        name: &str,
        path: &Path,
        others: &[BaseNo],
    ) -> Result<BaseRow> {
        let mut known = self.reader().db().many(
            "looking for a project",
            concat!(
                "SELECT ",
                base_columns!(),
                " FROM base b WHERE b.project_id = ?1 ORDER BY b.active DESC, b.number"
            ),
            [&id.0],
            base_row,
        )?;
        let at = known.iter().position(|base| base.path == path);
        let moved = || known.iter().position(|base| !others.contains(&base.row));
        let Some(base) = at.or_else(moved).map(|at| known.swap_remove(at)) else {
            return self.insert_base(BaseKind::Project, name, path, Some(id), false);
        };
        if base.path != path {
            self.run(
                "moving a project",
                "UPDATE base SET path = ?2 WHERE number = ?1",
                (base.row.0, bytes_of(path.as_os_str())),
            )?;
            self.changes.base(base.row);
            self.durable = true;
        }
        if base.name != shown_name(name) {
            let name = self.claim_base_name(BaseKind::Project, name, Some(base.row))?;
            if name != base.name {
                self.run(
                    "renaming a project",
                    "UPDATE base SET name = ?2 WHERE number = ?1",
                    (base.row.0, name),
                )?;
                self.changes.base(base.row);
                self.durable = true;
            }
        }
        self.known_base(base.row)
    }

    /// Registers or forgets a library; opens or closes a project. A project that is focused takes the focus from
    /// the others.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`]; when SQLite fails.
    pub fn set_active(&mut self, base: BaseNo, active: bool, focused: bool) -> Result<()> {
        let row = self.known_base(base)?;
        let focused = focused && active && row.kind == BaseKind::Project;
        if focused {
            let others = self.reader().db().many(
                "looking for the focused project",
                "SELECT number FROM base WHERE focused = 1 AND number <> ?1",
                [base.0],
                |row| row.get(0).map(BaseNo),
            )?;
            for other in others {
                self.run(
                    "taking the focus from a project",
                    "UPDATE base SET focused = 0 WHERE number = ?1",
                    [other.0],
                )?;
                self.changes.base(other);
                self.tell_twins_of(other)?;
            }
        }
        if row.active == active && row.focused == focused {
            return Ok(());
        }
        if row.kind == BaseKind::Library {
            self.touch(ItemNo(0), Cell::Library(base.0))?;
        }
        self.run(
            "opening or closing a base",
            "UPDATE base SET active = ?2, focused = ?3 WHERE number = ?1",
            (base.0, active, focused),
        )?;
        self.changes.base(base);
        self.durable = true;
        if !active {
            self.release_takes(Some(base))?;
        }
        self.tell_twins_of(base)
    }

    /// The base of files that are referenced by absolute paths as this one; made at the first call.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn computer(&mut self, path: &Path) -> Result<BaseRow> {
        // Always absolute: one root on Unix, one for each drive and share on Windows.
        let path = path.ancestors().last().unwrap_or(path);
        match self.base_at(BaseKind::Computer, path)? {
            Some(base) => Ok(base),
            None => self.insert_base(BaseKind::Computer, COMPUTER_NAME, path, None, true),
        }
    }

    fn base_at(&self, kind: BaseKind, path: &Path) -> Result<Option<BaseRow>> {
        self.reader().db().one(
            "looking for a base",
            concat!(
                "SELECT ",
                base_columns!(),
                " FROM base b WHERE b.kind = ?1 AND b.path = ?2"
            ),
            (kind.code(), bytes_of(path.as_os_str())),
            base_row,
        )
    }

    fn known_base(&self, base: BaseNo) -> Result<BaseRow> {
        self.reader().base(base)?.ok_or(CatalogError::Unknown {
            what: "base",
            number: base.0,
        })
    }

    pub(super) fn insert_base(
        &mut self,
        kind: BaseKind,
        name: &str,
        path: &Path,
        project: Option<&ProjectId>,
        active: bool,
    ) -> Result<BaseRow> {
        let name = self.claim_base_name(kind, name, None)?;
        self.run(
            "adding a base",
            "INSERT INTO base (kind, name, path, top, project_id, active, focused) \
             VALUES (?1, ?2, ?3, 0, ?4, ?5, 0)",
            (
                kind.code(),
                &name,
                bytes_of(path.as_os_str()),
                project.map(|id| &id.0),
                active,
            ),
        )?;
        let base = self.inserted()?;
        self.run(
            "adding a base",
            "INSERT INTO base_name (kind, key, base) VALUES (?1, ?2, ?3)",
            (kind.code(), folded(&name), base),
        )?;
        self.run(
            "adding the top of a base",
            "INSERT INTO folder (base, parent, name, key, modified, present) VALUES (?1, NULL, x'', x'', 0, 1)",
            [base],
        )?;
        let top = self.inserted()?;
        self.run(
            "adding a base",
            "UPDATE base SET top = ?2 WHERE number = ?1",
            (base, top),
        )?;
        if kind == BaseKind::Library && active {
            self.note((ItemNo(0), Cell::Library(base)), Value::None);
        }
        self.changes.base(BaseNo(base));
        self.durable = true;
        self.known_base(BaseNo(base))
    }

    /// A safe name that no other base of this kind was ever shown by. For `owner` it is recorded as its own.
    fn claim_base_name(
        &mut self,
        kind: BaseKind,
        name: &str,
        owner: Option<BaseNo>,
    ) -> Result<String> {
        let mut taken = |candidate: &str| -> Result<bool> {
            let holder = self.reader().base_named(kind, candidate)?;
            Ok(holder.is_some_and(|base| Some(base.row) != owner))
        };
        let name = numbered(name, &mut taken)?;
        if let Some(owner) = owner {
            self.run(
                "naming a base",
                "INSERT OR IGNORE INTO base_name (kind, key, base) VALUES (?1, ?2, ?3)",
                (kind.code(), folded(&name), owner.0),
            )?;
        }
        Ok(name)
    }

    /// Items of this base's scope share their ids with items of other scopes: `by-id` may lead elsewhere now.
    fn tell_twins_of(&mut self, base: BaseNo) -> Result<()> {
        let ids = self.reader().db().many(
            "looking for ids of several scopes",
            "SELECT i.media_id FROM item i WHERE i.scope = ?1 AND i.scope <> 0 AND EXISTS \
             (SELECT 1 FROM item o WHERE o.media_id = i.media_id AND o.number <> i.number)",
            [base.0],
            |row| super::convert::id_column(row, 0),
        )?;
        for id in ids {
            self.tell_twins(&id)?;
        }
        Ok(())
    }
}

//! Who uses items, and the folders of a project that show it: `by-track/` and `by-plugin/`.
//!
//! Told by the host, or observed by the drive (which program opened what, when last). A folder's name, and a name in it,
//! once given, belong to their track or program, and to their item, for good: so nobody has to be told when they go.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Row;

use super::convert::{ITEM_WIDTH, folded, item_columns, item_row};
use super::error::{CatalogError, Result, cut};
use super::history::Cell;
use super::reader::Reader;
use super::rows::{ItemNo, ItemRow, UsageFolderNo};
use super::shown::{numbered, numbered_or_own};
use super::writer::Writer;
use crate::model::{MediaId, ProjectId, Usage, UsageRole};

/// Longest project, role or target, in bytes.
pub(crate) const LONGEST: usize = 1024;

/// A folder that shows who uses what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageFolderRow {
    /// Its number.
    pub row: UsageFolderNo,
    /// Of which project.
    pub project: ProjectId,
    /// As what items are used there.
    pub role: UsageRole,
    /// The name that it is shown by.
    pub name: String,
}

/// One use of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageRow {
    /// Which item.
    pub item: ItemNo,
    /// By whom, as what.
    pub usage: Usage,
    /// When it was told of, or seen last; in milliseconds since 1970, 0 where that is not known.
    pub at: u64,
}

/// Reads item, project, role, target, at.
fn usage_row(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    Ok(UsageRow {
        item: ItemNo(row.get(0)?),
        usage: Usage {
            project: row.get(1)?,
            role: row.get::<_, String>(2)?.into(),
            target: row.get(3)?,
        },
        at: super::convert::unsigned(row, 4)?,
    })
}

/// Whether a role has folders.
fn is_shown(role: &str) -> bool {
    role == UsageRole::Track.as_str() || role == UsageRole::Observed.as_str()
}

/// Which usages.
#[derive(Clone, Copy)]
enum Usages {
    There,
    Removed,
}

/// Whether a removal holds against a usage that is known since then. One told again after it is there again.
pub(crate) fn is_removed(removed: u64, since: u64) -> bool {
    removed == 0 || since == 0 || removed >= since
}

fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

impl Reader {
    /// Uses of one item, or of one project's items, or all; those after the given one, in the order of items.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn list_usages(
        &self,
        item: Option<ItemNo>,
        project: Option<&str>,
        after: Option<&UsageRow>,
        limit: u32,
    ) -> Result<Vec<UsageRow>> {
        let (from, from_project, from_role, from_target) = match after {
            None => (0, "", "", ""),
            Some(row) => (
                row.item.0,
                row.usage.project.as_str(),
                row.usage.role.as_str(),
                row.usage.target.as_str(),
            ),
        };
        self.db().many(
            "listing usages",
            "SELECT item, project, role, target, at FROM usage WHERE (?1 = 0 OR item = ?1) \
             AND (?2 IS NULL OR project = ?2) AND (item, project, role, target) > (?3, ?4, ?5, ?6) \
             ORDER BY item, project, role, target LIMIT ?7",
            (
                item.map_or(0, |item| item.0),
                project,
                from,
                from_project,
                from_role,
                from_target,
                limit,
            ),
            usage_row,
        )
    }

    /// How a project uses items (its own, and the library's), in the order of items, roles and targets.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn usages_by(&self, project: &ProjectId) -> Result<Vec<UsageRow>> {
        self.db().many(
            "listing usages",
            "SELECT item, project, role, target, at FROM usage WHERE project = ?1 ORDER BY item, role, target",
            [&project.0],
            usage_row,
        )
    }

    /// Usages of a project's items that were removed, and when; the latest first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn removed_usages_by(&self, project: &ProjectId) -> Result<Vec<UsageRow>> {
        self.db().many(
            "listing removed usages",
            "SELECT item, project, role, target, at FROM removed_usage WHERE project = ?1 \
             ORDER BY item, at DESC, role, target",
            [&project.0],
            usage_row,
        )
    }

    /// When a usage is known since, or was removed (by the table), in milliseconds since 1970.
    fn time_in(&self, table: Usages, item: ItemNo, usage: &Usage) -> Result<Option<i64>> {
        let sql = match table {
            Usages::There => {
                "SELECT at FROM usage WHERE item = ?1 AND project = ?2 AND role = ?3 AND target = ?4"
            }
            Usages::Removed => {
                "SELECT at FROM removed_usage WHERE item = ?1 AND project = ?2 AND role = ?3 AND target = ?4"
            }
        };
        let key = (item.0, &usage.project, usage.role.as_str(), &usage.target);
        self.db().one("reading a usage", sql, key, |row| row.get(0))
    }

    /// Folders of a project for a role, which hold something, with numbers above `after`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn usage_folders(
        &self,
        project: &ProjectId,
        role: &UsageRole,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(UsageFolderNo, String)>> {
        self.db().many(
            "listing folders of usages",
            "SELECT f.number, f.name FROM usage_folder f WHERE f.project = ?1 AND f.role = ?2 AND f.number > ?3 \
             AND EXISTS (SELECT 1 FROM usage_name n WHERE n.folder = f.number AND n.present = 1) \
             ORDER BY f.number LIMIT ?4",
            (&project.0, role.as_str(), after, limit),
            |row| Ok((UsageFolderNo(row.get(0)?), row.get(1)?)),
        )
    }

    /// A folder by the name that it is shown by, without regard to case.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn usage_folder_named(
        &self,
        project: &ProjectId,
        role: &UsageRole,
        name: &str,
    ) -> Result<Option<UsageFolderNo>> {
        self.db().one(
            "looking for a folder of usages",
            "SELECT number FROM usage_folder WHERE project = ?1 AND role = ?2 AND key = ?3",
            (&project.0, role.as_str(), folded(name)),
            |row| row.get(0).map(UsageFolderNo),
        )
    }

    /// A folder.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn usage_folder(&self, folder: UsageFolderNo) -> Result<Option<UsageFolderRow>> {
        self.db().one(
            "reading a folder of usages",
            "SELECT project, role, name FROM usage_folder WHERE number = ?1",
            [folder.0],
            |row| {
                Ok(UsageFolderRow {
                    row: folder,
                    project: ProjectId(row.get(0)?),
                    role: row.get::<_, String>(1)?.into(),
                    name: row.get(2)?,
                })
            },
        )
    }

    /// The item of a name that a folder ever showed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn used(&self, folder: UsageFolderNo, name: &str) -> Result<Option<ItemRow>> {
        let found = self.db().one(
            "looking for a used item",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM usage_name n JOIN item i ON i.number = n.item WHERE n.folder = ?1 AND n.key = ?2"
            ),
            (folder.0, folded(name)),
            item_row,
        )?;
        self.one_as_it_is(found)
    }

    /// Names in a folder that begin with `stem` and a dot (as in [`Reader::used`]), with their items.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn used_of_stem(
        &self,
        folder: UsageFolderNo,
        stem: &str,
        limit: u32,
    ) -> Result<Vec<(String, ItemRow)>> {
        let stem = folded(stem);
        let found = self.db().many(
            "looking for used items",
            concat!(
                "SELECT ",
                item_columns!(),
                ", n.name FROM usage_name n JOIN item i ON i.number = n.item \
                 WHERE n.folder = ?1 AND n.key >= ?2 AND n.key < ?3 ORDER BY n.key LIMIT ?4"
            ),
            (folder.0, format!("{stem}."), format!("{stem}/"), limit),
            |row| Ok((row.get(ITEM_WIDTH)?, item_row(row)?)),
        )?;
        found
            .into_iter()
            .map(|(name, item)| Ok((name, self.as_it_is(item)?)))
            .collect()
    }

    /// What a folder shows, with numbers above `after`: number, name, item.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn list_used(
        &self,
        folder: UsageFolderNo,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(u32, String, ItemRow)>> {
        let found = self.db().many(
            "listing used items",
            concat!(
                "SELECT ",
                item_columns!(),
                ", n.number, n.name FROM usage_name n JOIN item i ON i.number = n.item \
                 WHERE n.folder = ?1 AND n.present = 1 AND n.number > ?2 ORDER BY n.number LIMIT ?3"
            ),
            (folder.0, after, limit),
            |row| {
                Ok((
                    row.get::<_, u32>(ITEM_WIDTH)?,
                    row.get::<_, String>(ITEM_WIDTH + 1)?,
                    item_row(row)?,
                ))
            },
        )?;
        let (places, items): (Vec<_>, Vec<_>) = found
            .into_iter()
            .map(|(number, name, item)| ((number, name), item))
            .unzip();
        let items = self.all_as_they_are(items)?;
        Ok(places
            .into_iter()
            .zip(items)
            .map(|((number, name), item)| (number, name, item))
            .collect())
    }
}

impl Writer {
    /// A project uses an item; gives whether that was new.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item, [`CatalogError::InvalidLabel`]; when SQLite fails.
    pub fn add_usage(&mut self, item: ItemNo, usage: &Usage) -> Result<bool> {
        // Told again, it is newer than its removal, also where that is by another machine's clock.
        let removed = self.reader().time_in(Usages::Removed, item, usage)?;
        let after = removed.map_or(0, |removed| removed.saturating_add(1));
        self.add_usage_at(item, usage, now_millis().max(after))
    }

    /// As [`Writer::add_usage`], told of by a manifest, with the time that it states. Where it is known the earlier time
    /// stands; of what was observed, the later one. One that was removed since stays removed.
    ///
    /// # Errors
    /// As there.
    pub fn merge_usage(&mut self, item: ItemNo, usage: &Usage, at: Option<u64>) -> Result<bool> {
        let at = i64::try_from(at.unwrap_or(0)).unwrap_or(i64::MAX);
        let removed = self.reader().time_in(Usages::Removed, item, usage)?;
        if removed.is_some_and(|removed| is_removed(removed.unsigned_abs(), at.unsigned_abs())) {
            return Ok(false);
        }
        let is_new = self.add_usage_at(item, usage, at)?;
        if !is_new && at != 0 {
            let is_later = i64::from(usage.role == UsageRole::Observed);
            self.run(
                "recording since when an item is used",
                "UPDATE usage SET at = CASE WHEN at = 0 THEN ?5 WHEN ?6 THEN max(at, ?5) ELSE min(at, ?5) END \
                 WHERE item = ?1 AND project = ?2 AND role = ?3 AND target = ?4",
                (
                    item.0,
                    &usage.project,
                    usage.role.as_str(),
                    &usage.target,
                    at,
                    is_later,
                ),
            )?;
        }
        Ok(is_new)
    }

    /// A manifest tells that a project uses an item no more, since the time that it states. Gives whether it did here, and
    /// had not been told again since.
    ///
    /// # Errors
    /// As there.
    pub fn merge_removed_usage(
        &mut self,
        item: ItemNo,
        usage: &Usage,
        at: Option<u64>,
    ) -> Result<bool> {
        let at = i64::try_from(at.unwrap_or(0)).unwrap_or(i64::MAX);
        let since = self.reader().time_in(Usages::There, item, usage)?;
        if since.is_some_and(|since| !is_removed(at.unsigned_abs(), since.unsigned_abs())) {
            return Ok(false);
        }
        let did = since.is_some() && self.remove_usage(item, usage)?;
        self.mark_removed(item, &usage.project, usage.role.as_str(), &usage.target, at)?;
        self.durable = true;
        Ok(did)
    }

    /// Keeps that a usage was removed; of several times the last one.
    pub(super) fn mark_removed(
        &mut self,
        item: ItemNo,
        project: &str,
        role: &str,
        target: &str,
        at: i64,
    ) -> Result<()> {
        self.run(
            "keeping that a usage was removed",
            "INSERT INTO removed_usage (item, project, role, target, at) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET at = max(at, ?5)",
            (item.0, project, role, target, at),
        )
        .map(|_| ())
    }

    fn add_usage_at(&mut self, item: ItemNo, usage: &Usage, at: i64) -> Result<bool> {
        let row = self.known_item(item)?;
        for word in [&usage.project, usage.role.as_str(), &usage.target] {
            if word.is_empty() || word.len() > LONGEST {
                return Err(CatalogError::InvalidLabel { label: cut(word) });
            }
        }
        self.touch(item, cell(usage))?;
        let is_new =
            self.put_usage(item, &usage.project, usage.role.as_str(), &usage.target, at)?;
        if is_new {
            self.changes.item(item, &row.media_id, false);
            self.durable = true;
        }
        Ok(is_new)
    }

    /// A project uses an item no more; gives whether it did.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item; when SQLite fails.
    pub fn remove_usage(&mut self, item: ItemNo, usage: &Usage) -> Result<bool> {
        let row = self.known_item(item)?;
        self.touch(item, cell(usage))?;
        let did = self.drop_usage(item, &usage.project, usage.role.as_str(), &usage.target)?;
        if did {
            self.changes.item(item, &row.media_id, false);
            self.durable = true;
        }
        Ok(did)
    }

    /// A program opened an item while a project was open; of several times the last counts. Items that are not there any
    /// more are passed over. Gives whether that was new.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn observe_usage(
        &mut self,
        item: ItemNo,
        project: &ProjectId,
        program: &str,
        at: u64,
    ) -> Result<bool> {
        let Some(row) = self.reader().item(item)? else {
            return Ok(false);
        };
        let role = UsageRole::Observed;
        let program = cut(program);
        if program.is_empty() {
            return Ok(false);
        }
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        let is_new = self.put_usage(item, &project.0, role.as_str(), &program, at)?;
        if is_new {
            self.changes.item(item, &row.media_id, false);
        } else {
            self.run(
                "recording when an item was opened",
                "UPDATE usage SET at = ?5 WHERE item = ?1 AND project = ?2 AND role = ?3 AND target = ?4 AND at < ?5",
                (item.0, &project.0, role.as_str(), &program, at),
            )?;
        }
        Ok(is_new)
    }

    pub(super) fn put_usage(
        &mut self,
        item: ItemNo,
        project: &str,
        role: &str,
        target: &str,
        at: i64,
    ) -> Result<bool> {
        let changed = self.run(
            "recording a usage",
            "INSERT OR IGNORE INTO usage (item, project, role, target, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            (item.0, project, role, target, at),
        )?;
        if changed > 0 {
            self.run(
                "keeping that a usage is there again",
                "DELETE FROM removed_usage WHERE item = ?1 AND project = ?2 AND role = ?3 AND target = ?4",
                (item.0, project, role, target),
            )?;
        }
        if changed > 0 && is_shown(role) {
            let row = self.known_item(item)?;
            let folder = self.usage_folder_for(project, role, target)?;
            self.show_in(folder, item, &row.media_id, &row.name)?;
        }
        Ok(changed > 0)
    }

    pub(super) fn drop_usage(
        &mut self,
        item: ItemNo,
        project: &str,
        role: &str,
        target: &str,
    ) -> Result<bool> {
        let changed = self.run(
            "taking a usage off",
            "DELETE FROM usage WHERE item = ?1 AND project = ?2 AND role = ?3 AND target = ?4",
            (item.0, project, role, target),
        )?;
        if changed > 0 {
            self.mark_removed(item, project, role, target, now_millis())?;
        }
        if changed > 0 && is_shown(role) {
            self.run(
                "taking a used item from the list",
                "UPDATE usage_name SET present = 0 WHERE item = ?1 AND folder = \
                 (SELECT number FROM usage_folder WHERE project = ?2 AND role = ?3 AND target = ?4)",
                (item.0, project, role, target),
            )?;
        }
        Ok(changed > 0)
    }

    /// An item has another name now.
    pub(super) fn show_used(&mut self, item: ItemNo, id: &MediaId, name: &str) -> Result<()> {
        let folders = self.reader().db().many(
            "looking for the folders of a used item",
            "SELECT folder FROM usage_name WHERE item = ?1 AND present = 1",
            [item.0],
            |row| row.get(0).map(UsageFolderNo),
        )?;
        for folder in folders {
            self.show_in(folder, item, id, name)?;
        }
        Ok(())
    }

    /// An item goes.
    pub(super) fn hide_used(&mut self, item: ItemNo) -> Result<()> {
        self.run(
            "taking a used item from the list",
            "UPDATE usage_name SET present = 0 WHERE item = ?1 AND present = 1",
            [item.0],
        )
        .map(|_| ())
    }

    pub(super) fn usage_folder_for(
        &mut self,
        project: &str,
        role: &str,
        target: &str,
    ) -> Result<UsageFolderNo> {
        let known = self.reader().db().one(
            "looking for a folder of usages",
            "SELECT number FROM usage_folder WHERE project = ?1 AND role = ?2 AND target = ?3",
            (project, role, target),
            |row| row.get(0).map(UsageFolderNo),
        )?;
        if let Some(known) = known {
            return Ok(known);
        }
        let name = {
            let reader = self.reader();
            numbered(target, &mut |candidate| {
                let taken = reader.db().one(
                    "looking for a folder of usages",
                    "SELECT 1 FROM usage_folder WHERE project = ?1 AND role = ?2 AND key = ?3",
                    (project, role, folded(candidate)),
                    |_| Ok(()),
                )?;
                Ok(taken.is_some())
            })?
        };
        self.run(
            "making a folder of usages",
            "INSERT INTO usage_folder (project, role, target, key, name) VALUES (?1, ?2, ?3, ?4, ?5)",
            (project, role, target, folded(&name), &name),
        )?;
        self.inserted().map(UsageFolderNo)
    }

    /// A name is kept by the item's id: one that was removed and comes back under its id has its names again. Of two that
    /// are there (of a project and of the library) each has its own.
    fn show_in(
        &mut self,
        folder: UsageFolderNo,
        item: ItemNo,
        id: &MediaId,
        name: &str,
    ) -> Result<()> {
        let chosen = {
            let reader = self.reader();
            let mut taken = |candidate: &str| {
                let is_other: Option<bool> = reader.db().one(
                    "looking for a name of a used item",
                    "SELECT n.item <> ?3 AND (n.media_id <> ?4 OR i.number IS NOT NULL) FROM usage_name n \
                     LEFT JOIN item i ON i.number = n.item WHERE n.folder = ?1 AND n.key = ?2",
                    (folder.0, folded(candidate), item.0, id.as_str()),
                    |row| row.get(0),
                )?;
                Ok(is_other.unwrap_or(false))
            };
            let mut own = || {
                reader.db().many(
                    "looking for the names of a used item",
                    "SELECT name FROM usage_name WHERE media_id = ?1 AND folder = ?2 AND item = ?3 \
                     ORDER BY present DESC, number",
                    (id.as_str(), folder.0, item.0),
                    |row| row.get(0),
                )
            };
            numbered_or_own(name, &mut taken, &mut own)?
        };
        self.run(
            "showing a used item",
            "UPDATE usage_name SET present = 0 WHERE folder = ?1 AND item = ?2 AND present = 1",
            (folder.0, item.0),
        )?;
        self.run(
            "showing a used item",
            "INSERT INTO usage_name (folder, key, name, item, media_id, present) VALUES (?1, ?2, ?3, ?4, ?5, 1) \
             ON CONFLICT (folder, key) DO UPDATE SET name = ?3, item = ?4, media_id = ?5, present = 1",
            (
                folder.0,
                folded(&chosen),
                &chosen,
                item.0,
                id.as_str(),
            ),
        )
        .map(|_| ())
    }
}

fn cell(usage: &Usage) -> Cell {
    Cell::Usage(
        usage.project.clone(),
        usage.role.as_str().to_owned(),
        usage.target.clone(),
    )
}

//! The names that a project's folders on the drive have given to items, to be carried to other machines: a name that a
//! project has stored leads to the same item everywhere, or to none.
//!
//! A manifest tells of them. They are *claimed* before its items are made, so that no other item is shown by one of them.

use rusqlite::Row;

use super::convert::{Coded, folded, id_column};
use super::error::Result;
use super::reader::Reader;
use super::rows::{BaseNo, ItemNo, Section, UsageFolderNo};
use super::shown::{is_form_of, section_of};
use super::writer::Writer;
use crate::model::{MediaId, ProjectId, UsageRole};

/// A folder of a project that shows items.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum NameIn {
    /// Of a kind: `Audio/` and the like.
    Section(Section),
    /// Of what somebody uses: the role, and the host's name for who.
    Used(UsageRole, String),
}

/// A name that a folder has given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenName {
    /// To which item.
    pub media_id: MediaId,
    /// Which folder.
    pub shown_in: NameIn,
    /// The name.
    pub name: String,
    /// It is listed; else it only goes on leading there.
    pub present: bool,
    /// The item is there.
    pub has_item: bool,
}

/// The name of a folder of usages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenFolder {
    /// As what items are used there.
    pub role: UsageRole,
    /// By whom, in the host's words.
    pub target: String,
    /// How it is shown.
    pub name: String,
}

/// Reads id, name, present, whether there is an item; and the folder.
fn given(
    row: &Row<'_>,
    shown_in: impl FnOnce(&Row<'_>) -> rusqlite::Result<NameIn>,
) -> rusqlite::Result<GivenName> {
    Ok(GivenName {
        media_id: id_column(row, 0)?,
        name: row.get(1)?,
        present: row.get(2)?,
        has_item: row.get(3)?,
        shown_in: shown_in(row)?,
    })
}

impl Reader {
    /// All names that a project's folders ever gave, in the order in which they did.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn given_names(&self, base: BaseNo, project: &ProjectId) -> Result<Vec<GivenName>> {
        let mut names = self.db().many(
            "listing the names that a project gave",
            "SELECT media_id, name, present, item IS NOT NULL, section FROM shown WHERE project = ?1 ORDER BY number",
            [base.0],
            |row| given(row, |row| Ok(NameIn::Section(Section::column(row, 4)?))),
        )?;
        names.extend(self.db().many(
            "listing the names that a project gave",
            "SELECT n.media_id, n.name, n.present, i.number IS NOT NULL, f.role, f.target \
             FROM usage_folder f JOIN usage_name n ON n.folder = f.number LEFT JOIN item i ON i.number = n.item \
             WHERE f.project = ?1 AND n.media_id <> '' AND (i.number IS NULL OR i.scope IN (0, ?2)) ORDER BY n.number",
            (&project.0, base.0),
            |row| {
                given(row, |row| {
                    Ok(NameIn::Used(row.get::<_, String>(4)?.into(), row.get(5)?))
                })
            },
        )?);
        Ok(names)
    }

    /// All folders of usages that a project ever showed, in the order in which they were made.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn given_folders(&self, project: &ProjectId) -> Result<Vec<GivenFolder>> {
        self.db().many(
            "listing folders of usages",
            "SELECT role, target, name FROM usage_folder WHERE project = ?1 ORDER BY number",
            [&project.0],
            |row| {
                Ok(GivenFolder {
                    role: row.get::<_, String>(0)?.into(),
                    target: row.get(1)?,
                    name: row.get(2)?,
                })
            },
        )
    }
}

impl Writer {
    /// A name in a project's folder is this id's for good, whether there is such an item yet or not; unless it is another
    /// one's here already.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn claim_name(
        &mut self,
        base: BaseNo,
        project: &ProjectId,
        id: &MediaId,
        shown_in: &NameIn,
        name: &str,
    ) -> Result<()> {
        match shown_in {
            NameIn::Section(section) => {
                let claimed = self.run(
                    "keeping a name for an item",
                    "INSERT OR IGNORE INTO shown (project, section, key, name, media_id, item, present) VALUES \
                     (?1, ?2, ?3, ?4, ?5, (SELECT number FROM item WHERE media_id = ?5 AND scope = ?1), 0)",
                    (base.0, section.code(), folded(name), name, id.as_str()),
                )?;
                if claimed > 0 {
                    self.changes.shown(base, *section, name);
                }
            }
            NameIn::Used(role, target) => {
                let folder = self.usage_folder_for(&project.0, role.as_str(), target)?;
                self.run(
                    "keeping a name for an item",
                    "INSERT OR IGNORE INTO usage_name (folder, key, name, item, media_id, present) VALUES (?1, ?2, ?3, \
                     coalesce((SELECT number FROM item WHERE media_id = ?4 AND scope IN (0, ?5) ORDER BY scope DESC LIMIT 1), 0), \
                     ?4, 0)",
                    (folder.0, folded(name), name, id.as_str(), base.0),
                )?;
            }
        }
        self.durable = true;
        Ok(())
    }

    /// The folder of what somebody uses has this name for good, unless it has one, or another folder has this one.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn claim_folder(&mut self, project: &ProjectId, folder: &GivenFolder) -> Result<()> {
        self.run(
            "keeping the name of a folder of usages",
            "INSERT OR IGNORE INTO usage_folder (project, role, target, key, name) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                &project.0,
                folder.role.as_str(),
                &folder.target,
                folded(&folder.name),
                &folder.name,
            ),
        )?;
        self.durable = true;
        Ok(())
    }

    /// An item is shown by this one of its names in a project's folder, where it is shown there, the name is its own and
    /// one that it can have by what it is called.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn show_by(
        &mut self,
        base: BaseNo,
        project: &ProjectId,
        item: ItemNo,
        shown_in: &NameIn,
        name: &str,
    ) -> Result<()> {
        let Some(row) = self.reader().item(item)? else {
            return Ok(());
        };
        if !is_form_of(name, &row.name) {
            return Ok(());
        }
        match shown_in {
            NameIn::Section(section) => {
                let is_listed = row.project == Some(base) && section_of(&row.kind) == *section;
                let is_own = is_listed
                    && self.asks(
                        "SELECT 1 FROM shown WHERE project = ?1 AND section = ?2 AND key = ?3 AND media_id = ?4 \
                         AND present = 0",
                        (base.0, section.code(), folded(name), row.media_id.as_str()),
                    )?;
                if !is_own {
                    return Ok(());
                }
                self.hide(base, &row.media_id)?;
                self.run(
                    "showing a name in a project",
                    "UPDATE shown SET present = 1, item = ?4, name = ?5 WHERE project = ?1 AND section = ?2 AND key = ?3",
                    (base.0, section.code(), folded(name), item.0, name),
                )?;
                self.changes.shown(base, *section, name);
            }
            NameIn::Used(role, target) => {
                let folder: Option<UsageFolderNo> = self.reader().db().one(
                    "looking for a folder of usages",
                    "SELECT f.number FROM usage_folder f JOIN usage_name n ON n.folder = f.number \
                     WHERE f.project = ?1 AND f.role = ?2 AND f.target = ?3 AND n.key = ?4 AND n.item = ?5 \
                     AND n.present = 0 AND EXISTS (SELECT 1 FROM usage_name l WHERE l.folder = f.number \
                     AND l.item = ?5 AND l.present = 1)",
                    (&project.0, role.as_str(), target, folded(name), item.0),
                    |row| row.get(0).map(UsageFolderNo),
                )?;
                let Some(folder) = folder else {
                    return Ok(());
                };
                self.run(
                    "showing a used item",
                    "UPDATE usage_name SET present = (key = ?3) WHERE folder = ?1 AND item = ?2",
                    (folder.0, item.0, folded(name)),
                )?;
            }
        }
        self.durable = true;
        Ok(())
    }

    /// The names that folders of usages ever gave to this id lead to this item, where they lead to none.
    pub(super) fn own_used_names(
        &mut self,
        item: ItemNo,
        id: &MediaId,
        project: Option<BaseNo>,
    ) -> Result<()> {
        self.run(
            "giving an item its names in folders of usages",
            "UPDATE usage_name SET item = ?1 WHERE media_id = ?2 AND item <> ?1 \
             AND NOT EXISTS (SELECT 1 FROM item i WHERE i.number = usage_name.item) AND (?3 = 0 OR folder IN \
             (SELECT f.number FROM usage_folder f JOIN base b ON b.project_id = f.project WHERE b.number = ?3))",
            (item.0, id.as_str(), project.map_or(0, |base| base.0)),
        )
        .map(|_| ())
    }

    fn asks(&self, sql: &str, params: impl rusqlite::Params) -> Result<bool> {
        let found = self
            .reader()
            .db()
            .one("asking for a name", sql, params, |_| Ok(()))?;
        Ok(found.is_some())
    }
}

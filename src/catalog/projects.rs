//! Projects: what was saved last of each, what is held back of its manifest, its drafts, and what its next manifest is made
//! of.

use std::collections::HashSet;

use super::convert::{ITEM_WIDTH, item_columns, item_row};
use super::error::Result;
use super::reader::Reader;
use super::rows::{BaseNo, ItemNo, ItemRow, Nanoseconds};
use super::writer::Writer;
use crate::model::{MediaId, ObjectHash, ProjectId, Storage};

/// What was read or saved last of a project.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProjectState {
    /// The host's revision.
    pub revision: Option<String>,
    /// Where the host has its document.
    pub document: Option<String>,
    /// Hash of the manifest's text.
    pub manifest: Option<ObjectHash>,
    /// Hash of the text that was there before it.
    pub previous: Option<ObjectHash>,
}

impl ProjectState {
    /// Whether all that this text says is known.
    #[must_use]
    pub fn knows(&self, text: ObjectHash) -> bool {
        [self.manifest, self.previous].contains(&Some(text))
    }
}

/// An entry of a manifest that is held back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Names it in its project.
    pub key: String,
    /// The item's id, where it has one.
    pub media_id: Option<MediaId>,
    /// As it was written.
    pub entry: String,
    /// Why, for people.
    pub reason: String,
    /// The user may allow it.
    pub allowable: bool,
}

/// A state that the host wants to have again, beside what was saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// Names it in its project.
    pub name: String,
    /// When it was kept.
    pub at: Nanoseconds,
    /// The revision that it was made upon.
    pub revision: Option<String>,
    /// The host's own words.
    pub state: String,
    /// The items that were pending then, as JSON.
    pub items: String,
}

/// A draft without its state, which may be long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DraftRow {
    /// Names it in its project.
    pub name: String,
    /// When it was kept.
    pub at: Nanoseconds,
    /// The revision that it was made upon.
    pub revision: Option<String>,
    /// Length of the state, in bytes.
    pub bytes: u64,
    /// The items that were pending then, as JSON.
    pub items: String,
}

impl Reader {
    /// What was read or saved last of a project.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn project_state(&self, project: BaseNo) -> Result<ProjectState> {
        let found = self.db().one(
            "reading the state of a project",
            "SELECT revision, document, manifest, previous FROM project WHERE base = ?1",
            [project.0],
            |row| {
                Ok(ProjectState {
                    revision: row.get(0)?,
                    document: row.get(1)?,
                    manifest: row.get::<_, Option<[u8; 32]>>(2)?.map(ObjectHash),
                    previous: row.get::<_, Option<[u8; 32]>>(3)?.map(ObjectHash),
                })
            },
        )?;
        Ok(found.unwrap_or_default())
    }

    /// What is held back of a project's manifest.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn held(&self, project: BaseNo) -> Result<Vec<Hold>> {
        self.db().many(
            "listing what is held back of a project",
            "SELECT key, media_id, entry, reason, allowable FROM held WHERE base = ?1 ORDER BY key",
            [project.0],
            |row| {
                Ok(Hold {
                    key: row.get(0)?,
                    media_id: row
                        .get::<_, Option<String>>(1)?
                        .and_then(|id| id.parse().ok()),
                    entry: row.get(2)?,
                    reason: row.get(3)?,
                    allowable: row.get(4)?,
                })
            },
        )
    }

    /// The keys of entries that the user allows.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn allowed(&self, project: BaseNo) -> Result<HashSet<String>> {
        let keys = self.db().many(
            "listing what is allowed of a project",
            "SELECT key FROM allowed WHERE base = ?1",
            [project.0],
            |row| row.get(0),
        )?;
        Ok(keys.into_iter().collect())
    }

    /// A project's drafts, by name.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn drafts(&self, project: BaseNo) -> Result<Vec<DraftRow>> {
        self.db().many(
            "listing the drafts of a project",
            "SELECT name, at, revision, octet_length(state), items FROM draft WHERE base = ?1 ORDER BY name",
            [project.0],
            |row| {
                Ok(DraftRow {
                    name: row.get(0)?,
                    at: Nanoseconds(row.get(1)?),
                    revision: row.get(2)?,
                    bytes: row.get::<_, i64>(3)?.unsigned_abs(),
                    items: row.get(4)?,
                })
            },
        )
    }

    /// One draft, with its state.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn draft(&self, project: BaseNo, name: &str) -> Result<Option<Draft>> {
        self.db().one(
            "reading a draft",
            "SELECT name, at, revision, state, items FROM draft WHERE base = ?1 AND name = ?2",
            (project.0, name),
            |row| {
                Ok(Draft {
                    name: row.get(0)?,
                    at: Nanoseconds(row.get(1)?),
                    revision: row.get(2)?,
                    state: row.get(3)?,
                    items: row.get(4)?,
                })
            },
        )
    }

    /// The text of an item's storage of record, where that does not follow from its place.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn recorded_storage(&self, item: ItemNo) -> Result<Option<String>> {
        let found = self.db().one(
            "reading the storage of an item",
            "SELECT recorded FROM item WHERE number = ?1",
            [item.0],
            |row| row.get(0),
        )?;
        Ok(found.flatten())
    }

    /// Alternatives of an item as they are recorded, without files that happen to have the same bytes.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn recorded_alternatives(&self, item: ItemNo) -> Result<Vec<Storage>> {
        let texts = self.alternative_texts(item)?;
        let read = |text: &String| serde_json::from_str(text).ok();
        Ok(texts.iter().filter_map(read).collect())
    }

    /// The same, as they are written.
    pub(super) fn alternative_texts(&self, item: ItemNo) -> Result<Vec<String>> {
        self.db().many(
            "reading the alternatives of an item",
            "SELECT storage FROM alternative WHERE item = ?1 ORDER BY storage",
            [item.0],
            |row| row.get(0),
        )
    }

    /// Items of the library that a project uses, in order of their numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn library_items_used(&self, project: &ProjectId) -> Result<Vec<ItemRow>> {
        let found = self.db().many(
            "listing what a project uses of the library",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.scope = 0 AND i.number IN (SELECT item FROM usage WHERE project = ?1) \
                 ORDER BY i.number"
            ),
            [&project.0],
            item_row,
        )?;
        self.all_as_they_are(found)
    }

    /// Files on trusted storage that are there and have one of these fingerprints, but no hash yet. Goes through all files.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unhashed_with(&self, wanted: &HashSet<[u8; 32]>) -> Result<Vec<ItemRow>> {
        let mut found = Vec::new();
        self.db().each(
            "looking for files by their fingerprints",
            concat!(
                "SELECT ",
                item_columns!(),
                ", c.fingerprint FROM content c JOIN place p ON p.number = c.place AND p.generation = c.generation \
                 JOIN base b ON b.number = p.base JOIN item i ON i.place = p.number \
                 WHERE c.fingerprint IS NOT NULL AND i.hashed = 0 AND p.present = 1 AND p.away = 0 AND b.source IS NULL"
            ),
            [],
            |row| {
                let failed = |e| self.db().failed("looking for files by their fingerprints", e);
                let fingerprint: [u8; 32] = row.get(ITEM_WIDTH).map_err(failed)?;
                if wanted.contains(&fingerprint) {
                    found.push(item_row(row).map_err(failed)?);
                }
                Ok(true)
            },
        )?;
        Ok(found)
    }

    /// The fingerprints of a project's items that are missing, and of which it is known by what hash they would be found.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn missing_fingerprints(&self, project: BaseNo) -> Result<HashSet<[u8; 32]>> {
        let found = self.db().many(
            "listing the fingerprints of missing items",
            "SELECT c.fingerprint FROM item i JOIN content c ON c.place = i.place JOIN place p ON p.number = i.place \
             WHERE i.scope = ?1 AND (p.present = 0 OR p.away = 1) AND c.fingerprint IS NOT NULL AND c.blake3 IS NOT NULL",
            [project.0],
            |row| row.get(0),
        )?;
        Ok(found.into_iter().collect())
    }
}

impl Writer {
    /// What was read or saved last of a project.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_project_state(&mut self, project: BaseNo, state: &ProjectState) -> Result<()> {
        self.run(
            "recording the state of a project",
            "INSERT OR REPLACE INTO project (base, revision, document, manifest, previous) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                project.0,
                &state.revision,
                &state.document,
                state.manifest.map(|hash| hash.0),
                state.previous.map(|hash| hash.0),
            ),
        )?;
        self.durable = true;
        Ok(())
    }

    /// What is held back of a project's manifest from now on.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_held(&mut self, project: BaseNo, held: &[Hold]) -> Result<()> {
        self.run(
            "recording what is held back of a project",
            "DELETE FROM held WHERE base = ?1",
            [project.0],
        )?;
        for hold in held {
            self.run(
                "recording what is held back of a project",
                "INSERT OR REPLACE INTO held (base, key, media_id, entry, reason, allowable) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    project.0,
                    &hold.key,
                    hold.media_id.as_ref().map(MediaId::as_str),
                    &hold.entry,
                    &hold.reason,
                    hold.allowable,
                ),
            )?;
        }
        self.durable = true;
        Ok(())
    }

    /// The user allows an entry of a project's manifest.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn allow(&mut self, project: BaseNo, key: &str) -> Result<()> {
        self.run(
            "recording what is allowed of a project",
            "INSERT OR IGNORE INTO allowed (base, key) VALUES (?1, ?2)",
            (project.0, key),
        )?;
        self.run(
            "recording what is allowed of a project",
            "DELETE FROM held WHERE base = ?1 AND key = ?2",
            (project.0, key),
        )?;
        self.durable = true;
        Ok(())
    }

    /// Keeps a draft; one of the same name is replaced.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put_draft(&mut self, project: BaseNo, draft: &Draft) -> Result<()> {
        self.run(
            "keeping a draft",
            "INSERT OR REPLACE INTO draft (base, name, at, revision, state, items) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                project.0,
                &draft.name,
                draft.at.0,
                &draft.revision,
                &draft.state,
                &draft.items,
            ),
        )?;
        self.durable = true;
        Ok(())
    }

    /// Forgets a draft; gives whether there was one.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn remove_draft(&mut self, project: BaseNo, name: &str) -> Result<bool> {
        let removed = self.run(
            "forgetting a draft",
            "DELETE FROM draft WHERE base = ?1 AND name = ?2",
            (project.0, name),
        )?;
        self.durable = true;
        Ok(removed > 0)
    }
}

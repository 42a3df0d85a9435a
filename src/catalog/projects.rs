//! Projects: items that a manifest tells of, what was saved last, what is held back, and drafts.
//!
//! An item of a manifest needs no file: it has a place that is gone, with the facts that the manifest states. So it has
//! its silence, it is found again by its hash wherever the same bytes are, and a look at its folder finds its file.

use std::collections::HashSet;
use std::ffi::OsString;

use rusqlite::Row;

use super::convert::{Coded, bytes_of, container_word, folded, item_columns, item_row, stored};
use super::error::Result;
use super::items::Fresh;
use super::reader::Reader;
use super::rows::{BaseNo, FolderNo, ItemNo, ItemRow, Nanoseconds, PlaceNo};
use super::writer::Writer;
use crate::model::{
    Attribute, Confidence, Format, Kind, Lifecycle, MediaId, ObjectHash, Origin, ProjectId,
    Storage, Tag, TagSource, compared,
};

/// Permissions of an item whose file nobody has seen.
const PERMISSIONS: u16 = 0o644;

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

/// Where the bytes of an item of a manifest are to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum At {
    /// A file that is known.
    Known(PlaceNo),
    /// In this base, at this path below it; it will be looked for there.
    Within(BaseNo, Vec<OsString>),
    /// Nobody knows; of this name.
    Nowhere(BaseNo, OsString),
}

/// An item that a manifest tells of.
#[derive(Clone, PartialEq, Debug)]
pub struct Adopted {
    /// Its id.
    pub media_id: MediaId,
    /// Its project.
    pub project: BaseNo,
    /// What sort of thing.
    pub kind: Kind,
    /// With extension.
    pub name: String,
    /// How it came to be.
    pub origin: Origin,
    /// How far it has come.
    pub lifecycle: Lifecycle,
    /// In bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: Nanoseconds,
    /// Facts.
    pub format: Option<Format>,
    /// Of the whole content.
    pub blake3: Option<ObjectHash>,
    /// Of size and ends.
    pub fingerprint: Option<[u8; 32]>,
    /// Where its bytes are to be.
    pub at: At,
    /// The storage of record, where that does not follow from its place.
    pub recorded: Option<String>,
}

/// A tag or attribute as it is kept, also where the user took it away.
#[derive(Clone, PartialEq, Debug)]
pub struct Label<T> {
    /// What.
    pub label: T,
    /// The user took it away.
    pub removed: bool,
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

    /// The tags of an item, also those that the user took off.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn all_tags(&self, item: ItemNo) -> Result<Vec<Label<Tag>>> {
        self.db().many(
            "reading the tags of an item",
            "SELECT name, source, confidence, removed FROM tag WHERE item = ?1 ORDER BY key",
            [item.0],
            tag_row,
        )
    }

    /// The attributes of an item, also those that the user took away.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn all_attributes(&self, item: ItemNo) -> Result<Vec<Label<Attribute>>> {
        self.db().many(
            "reading the attributes of an item",
            "SELECT name, value, source, confidence, removed FROM attribute WHERE item = ?1 ORDER BY key",
            [item.0],
            attribute_row,
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

    /// The name of an item in the manifest that was read or written last, where that is known.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn told_name(&self, item: ItemNo) -> Result<Option<String>> {
        let found = self.db().one(
            "reading the name that a manifest tells of",
            "SELECT told FROM item WHERE number = ?1",
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
        let texts = self.db().many(
            "reading the alternatives of an item",
            "SELECT storage FROM alternative WHERE item = ?1 ORDER BY storage",
            [item.0],
            |row| row.get::<_, String>(0),
        )?;
        let read = |text: &String| serde_json::from_str(text).ok();
        Ok(texts.iter().filter_map(read).collect())
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
                let fingerprint: [u8; 32] = row.get(super::convert::ITEM_WIDTH).map_err(failed)?;
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

    /// Makes an item that a manifest tells of. Its project has none of this id.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn adopt(&mut self, adopted: &Adopted) -> Result<ItemNo> {
        let place = self.place_for(adopted)?;
        let Some(row) = self.reader().place(place)? else {
            return Err(super::error::CatalogError::Unknown {
                what: "place",
                number: place.0,
            });
        };
        let item = self.insert_item(
            &row,
            &Fresh {
                media_id: adopted.media_id.clone(),
                project: Some(adopted.project),
                kind: adopted.kind.clone(),
                name: adopted.name.clone(),
                origin: adopted.origin.clone(),
            },
        )?;
        self.run(
            "making an item",
            "UPDATE item SET lifecycle = ?2, recorded = ?3, \
             permissions = CASE WHEN permissions = 0 THEN ?4 ELSE permissions END WHERE number = ?1",
            (
                item.0,
                adopted.lifecycle.code(),
                &adopted.recorded,
                PERMISSIONS,
            ),
        )?;
        Ok(item)
    }

    /// An item of a manifest that is missing is to be elsewhere from now on.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn rebind(&mut self, item: ItemNo, adopted: &Adopted) -> Result<()> {
        let row = self.known_item(item)?;
        let place = self.place_for(adopted)?;
        self.run(
            "pointing an item elsewhere",
            "UPDATE item SET place = ?2, home = NULL, recorded = ?3, generation = generation + 1, \
             size = (SELECT size FROM place WHERE number = ?2), \
             hashed = EXISTS (SELECT 1 FROM content WHERE place = ?2 AND blake3 IS NOT NULL) WHERE number = ?1",
            (item.0, place.0, &adopted.recorded),
        )?;
        if let Some(there) = self.reader().place(place)? {
            if there.is_here() {
                self.items_are_here(&there)?;
            } else {
                self.items_are_missing(&there)?;
            }
        }
        self.changes.item(item, &row.media_id, true);
        self.durable = true;
        Ok(())
    }

    fn place_for(&mut self, adopted: &Adopted) -> Result<PlaceNo> {
        match &adopted.at {
            At::Known(place) => Ok(*place),
            At::Nowhere(base, name) => self.told_place(*base, None, name, adopted),
            At::Within(base, path) => {
                let Some(row) = self.reader().base(*base)? else {
                    return Err(super::error::CatalogError::Unknown {
                        what: "base",
                        number: base.0,
                    });
                };
                let mut at = row.top;
                let (name, folders) = match path.split_last() {
                    Some((name, folders)) => (name.clone(), folders),
                    None => (OsString::from(&adopted.name), &[][..]),
                };
                for part in folders {
                    at = match self.reader().child_folder(at, part)? {
                        Some(known) if known.name == *part => known.row,
                        _ => self.folder(at, part, Nanoseconds(0))?,
                    };
                }
                match self.reader().place_named(at, &name)? {
                    Some(known) => Ok(known.row),
                    None => self.told_place(*base, Some(at), &name, adopted),
                }
            }
        }
    }

    /// A file that nobody has seen yet, with what the manifest says of it.
    fn told_place(
        &mut self,
        base: BaseNo,
        folder: Option<FolderNo>,
        name: &std::ffi::OsStr,
        adopted: &Adopted,
    ) -> Result<PlaceNo> {
        let bytes = bytes_of(name);
        self.run(
            "adding a file that a manifest tells of",
            "INSERT INTO place (base, folder, name, key, link, device, inode, size, modified, changed, born, \
             permissions, generation, present) VALUES (?1, ?2, ?3, ?4, NULL, 0, 0, ?5, ?6, 0, NULL, 0, 1, 0)",
            (
                base.0,
                folder.map(|folder| folder.0),
                bytes,
                compared(bytes),
                stored(adopted.size),
                adopted.modified.0,
            ),
        )?;
        let place = PlaceNo(self.inserted()?);
        let format = adopted.format.as_ref();
        self.run(
            "adding what a manifest says of a file",
            "INSERT INTO content (place, generation, kind, container, codec, sample_rate, channels, bit_depth, \
             float, frames, duration, fingerprint, blake3) \
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            (
                place.0,
                format.map(|_| adopted.kind.as_str()),
                format.map(|format| container_word(format.container)),
                format
                    .and_then(|format| format.codec.as_ref())
                    .map(|codec| &codec.0),
                format.and_then(|format| format.sample_rate),
                format.and_then(|format| format.channels),
                format.and_then(|format| format.bit_depth),
                format.map(|format| format.float),
                format.and_then(|format| format.frames).map(stored),
                format.and_then(|format| format.duration_seconds),
                adopted.fingerprint,
                adopted.blake3.map(|hash| hash.0),
            ),
        )?;
        Ok(place)
    }

    /// A tag as another copy of the project has it. What either has is there; what the user took off in either is off.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn merge_tag(&mut self, item: ItemNo, tag: &Label<Tag>) -> Result<()> {
        let Label {
            label:
                Tag {
                    name,
                    source,
                    confidence,
                },
            removed,
        } = tag;
        let key = folded(name);
        let old = self.reader().db().one(
            "reading a tag",
            "SELECT name, source, confidence, removed FROM tag WHERE item = ?1 AND key = ?2",
            (item.0, &key),
            tag_row,
        )?;
        let removed = *removed || old.as_ref().is_some_and(|old| old.removed);
        let stays = old.as_ref().filter(|old| {
            stands_above(old.label.source, old.label.confidence, *source, *confidence)
        });
        let (name, source, confidence) = match stays {
            Some(old) => (&old.label.name, old.label.source, old.label.confidence),
            None => (name, *source, *confidence),
        };
        self.run(
            "merging a tag",
            "INSERT OR REPLACE INTO tag (item, key, name, source, confidence, removed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (item.0, key, name, source.code(), confidence.value(), removed),
        )?;
        self.tell_details(item)
    }

    /// An attribute as another copy of the project has it: as [`Writer::merge_tag`].
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn merge_attribute(&mut self, item: ItemNo, attribute: &Label<Attribute>) -> Result<()> {
        let new = &attribute.label;
        let key = folded(&new.name);
        let old = self.reader().db().one(
            "reading an attribute",
            "SELECT name, value, source, confidence, removed FROM attribute WHERE item = ?1 AND key = ?2",
            (item.0, &key),
            attribute_row,
        )?;
        let removed = attribute.removed || old.as_ref().is_some_and(|old| old.removed);
        let stays = old.as_ref().filter(|old| {
            let (source, confidence) = (old.label.source, old.label.confidence);
            stands_above(source, confidence, new.source, new.confidence)
        });
        let kept = stays.map_or(new, |old| &old.label);
        self.run(
            "merging an attribute",
            "INSERT OR REPLACE INTO attribute (item, key, name, value, source, confidence, removed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                item.0,
                key,
                &kept.name,
                kept.value.to_string(),
                kept.source.code(),
                kept.confidence.value(),
                removed,
            ),
        )?;
        self.tell_details(item)
    }

    /// A name that an item had before in another copy of the project goes on leading to it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn add_former_name(&mut self, item: ItemNo, name: &str) -> Result<()> {
        self.run(
            "keeping an old name of an item",
            "INSERT OR IGNORE INTO former_name (item, name, turn) SELECT ?1, ?2, \
             1 + (SELECT coalesce(max(turn), 0) FROM former_name WHERE item = ?1) \
             WHERE NOT EXISTS (SELECT 1 FROM item WHERE number = ?1 AND name = ?2)",
            (item.0, name),
        )?;
        self.tell_details(item)
    }

    /// The manifest of a project that was read or written last tells of its item by this name.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_told_name(&mut self, project: BaseNo, id: &MediaId, name: &str) -> Result<()> {
        self.run(
            "recording the name that a manifest tells of",
            "UPDATE item SET told = ?3 WHERE media_id = ?1 AND scope = ?2 AND told IS NOT ?3",
            (id.as_str(), project.0, name),
        )
        .map(|_| ())
    }

    /// How far an item has come.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_lifecycle(&mut self, item: ItemNo, lifecycle: Lifecycle) -> Result<()> {
        self.run(
            "recording how far an item has come",
            "UPDATE item SET lifecycle = ?2 WHERE number = ?1",
            (item.0, lifecycle.code()),
        )?;
        self.tell_details(item)
    }

    fn tell_details(&mut self, item: ItemNo) -> Result<()> {
        let row = self.known_item(item)?;
        self.changes.item(item, &row.media_id, false);
        self.durable = true;
        Ok(())
    }
}

/// Of two words for the same the user's stays, else the surer one; of two that are as good, the one that is there.
fn stands_above(
    old: TagSource,
    old_confidence: Confidence,
    new: TagSource,
    confidence: Confidence,
) -> bool {
    match (old, new) {
        (TagSource::User, _) => true,
        (_, TagSource::User) => false,
        _ => old_confidence >= confidence,
    }
}

/// Reads name, source, confidence, removed.
fn tag_row(row: &Row<'_>) -> rusqlite::Result<Label<Tag>> {
    Ok(Label {
        label: Tag {
            name: row.get(0)?,
            source: TagSource::column(row, 1)?,
            confidence: Confidence::new(row.get(2)?),
        },
        removed: row.get(3)?,
    })
}

/// Reads name, value, source, confidence, removed.
fn attribute_row(row: &Row<'_>) -> rusqlite::Result<Label<Attribute>> {
    Ok(Label {
        label: Attribute {
            name: row.get(0)?,
            value: serde_json::from_str(row.get_ref(1)?.as_str()?)
                .map_err(|e| super::convert::odd_column(1, e))?,
            source: TagSource::column(row, 2)?,
            confidence: Confidence::new(row.get(3)?),
        },
        removed: row.get(4)?,
    })
}

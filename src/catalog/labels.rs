//! Writing tags, attributes, alternatives and analyses.
//!
//! A word or value of the user's stands above all others; of the others the surer one stays. What the user removed
//! is remembered, and no other source brings it back; the user can.

use super::convert::{Coded, folded};
use super::error::{CatalogError, Result, cut};
use super::history::Cell;
use super::rows::{AnalysisKey, ItemNo};
use super::writer::Writer;
use crate::model::{Attribute, ObjectHash, Storage, Tag, TagSource};

/// Longest tag or name of an attribute, in bytes.
const LONGEST_LABEL: usize = 1024;

/// What is recorded under a tag's or attribute's name.
struct Standing {
    source: TagSource,
    confidence: f32,
    removed: bool,
}

impl Standing {
    /// Gives way to what this source says with this confidence.
    fn gives_way(&self, source: TagSource, confidence: f32) -> bool {
        if source == TagSource::User {
            return true;
        }
        !self.removed
            && self.source != TagSource::User
            && (self.source == source || confidence >= self.confidence)
    }
}

const ADD_ALTERNATIVE: &str = "INSERT OR IGNORE INTO alternative (item, storage) VALUES (?1, ?2)";

/// What tags and attributes have in common, as it is written.
pub(super) struct LabelRow<'l> {
    pub(super) name: &'l str,
    pub(super) source: i64,
    pub(super) confidence: f32,
    pub(super) removed: bool,
}

impl Writer {
    /// Tags an item, unless the user has said otherwise, or a surer source has.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item, [`CatalogError::InvalidLabel`]; when SQLite fails.
    pub fn tag(&mut self, item: ItemNo, tag: &Tag) -> Result<()> {
        check_label(&tag.name)?;
        let row = self.known_item(item)?;
        let key = folded(&tag.name);
        let standing = self.standing(
            "SELECT source, confidence, removed FROM tag WHERE item = ?1 AND key = ?2",
            item,
            &key,
        )?;
        if standing.is_some_and(|old| !old.gives_way(tag.source, tag.confidence.value())) {
            return Ok(());
        }
        self.touch(item, Cell::Tag(key.clone()))?;
        let row_of_tag = LabelRow {
            name: &tag.name,
            source: tag.source.code(),
            confidence: tag.confidence.value(),
            removed: false,
        };
        self.put_tag(item, &key, &row_of_tag)?;
        self.changes.item(item, &row.media_id, false);
        self.durable |= tag.source == TagSource::User;
        Ok(())
    }

    /// The user takes a tag away, and it stays away; gives whether the item had it.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item; when SQLite fails.
    pub fn untag(&mut self, item: ItemNo, name: &str) -> Result<bool> {
        let row = self.known_item(item)?;
        let key = folded(name);
        self.touch(item, Cell::Tag(key.clone()))?;
        let changed = self.run(
            "untagging an item",
            "UPDATE tag SET removed = 1 WHERE item = ?1 AND key = ?2 AND removed = 0",
            (item.0, key),
        )?;
        if changed > 0 {
            self.changes.item(item, &row.media_id, false);
            self.durable = true;
        }
        Ok(changed > 0)
    }

    /// Gives an item a value, unless the user has said otherwise, or a surer source has.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item, [`CatalogError::InvalidLabel`]; when SQLite fails.
    pub fn set_attribute(&mut self, item: ItemNo, attribute: &Attribute) -> Result<()> {
        let row = self.known_item(item)?;
        if self.put_attribute(item, attribute)? {
            self.changes.item(item, &row.media_id, false);
            self.durable |= attribute.source == TagSource::User;
        }
        Ok(())
    }

    /// Writes a value, if what is recorded gives way.
    pub(super) fn put_attribute(&mut self, item: ItemNo, attribute: &Attribute) -> Result<bool> {
        check_label(&attribute.name)?;
        let key = folded(&attribute.name);
        let confidence = attribute.confidence.value();
        let standing = self.standing(
            "SELECT source, confidence, removed FROM attribute WHERE item = ?1 AND key = ?2",
            item,
            &key,
        )?;
        if standing.is_some_and(|old| !old.gives_way(attribute.source, confidence)) {
            return Ok(false);
        }
        if attribute.source == TagSource::User {
            self.touch(item, Cell::Attribute(key.clone()))?;
        }
        let row = LabelRow {
            name: &attribute.name,
            source: attribute.source.code(),
            confidence,
            removed: false,
        };
        self.put_attribute_row(item, &key, &attribute.value.to_string(), &row)?;
        Ok(true)
    }

    /// The user takes a value away, and it stays away; gives whether the item had it.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item; when SQLite fails.
    pub fn remove_attribute(&mut self, item: ItemNo, name: &str) -> Result<bool> {
        let row = self.known_item(item)?;
        let key = folded(name);
        self.touch(item, Cell::Attribute(key.clone()))?;
        let changed = self.run(
            "removing an attribute",
            "UPDATE attribute SET removed = 1 WHERE item = ?1 AND key = ?2 AND removed = 0",
            (item.0, key),
        )?;
        if changed > 0 {
            self.changes.item(item, &row.media_id, false);
            self.durable = true;
        }
        Ok(changed > 0)
    }

    fn standing(&self, sql: &str, item: ItemNo, key: &str) -> Result<Option<Standing>> {
        self.reader()
            .db()
            .one("reading a tag or attribute", sql, (item.0, key), |row| {
                Ok(Standing {
                    source: TagSource::column(row, 0)?,
                    confidence: row.get(1)?,
                    removed: row.get(2)?,
                })
            })
    }

    /// The same bytes are there too; gives whether that was new.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item; when SQLite fails.
    pub fn add_alternative(&mut self, item: ItemNo, storage: &Storage) -> Result<bool> {
        self.alternative(item, storage, ADD_ALTERNATIVE)
    }

    /// The bytes are not there any more; gives whether they were recorded there.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item; when SQLite fails.
    pub fn remove_alternative(&mut self, item: ItemNo, storage: &Storage) -> Result<bool> {
        self.alternative(
            item,
            storage,
            "DELETE FROM alternative WHERE item = ?1 AND storage = ?2",
        )
    }

    /// Of an item that is known, as it is written.
    pub(super) fn put_alternative(&mut self, item: ItemNo, storage: &str) -> Result<()> {
        self.run(
            "recording an alternative",
            ADD_ALTERNATIVE,
            (item.0, storage),
        )
        .map(drop)
    }

    /// Writes a tag over the one that the item has by this key, whatever that is.
    pub(super) fn put_tag(&mut self, item: ItemNo, key: &str, tag: &LabelRow<'_>) -> Result<()> {
        self.run(
            "tagging an item",
            "INSERT OR REPLACE INTO tag (item, key, name, source, confidence, removed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                item.0,
                key,
                tag.name,
                tag.source,
                tag.confidence,
                tag.removed,
            ),
        )
        .map(drop)
    }

    /// As [`Writer::put_tag`], of an attribute with its value as JSON.
    pub(super) fn put_attribute_row(
        &mut self,
        item: ItemNo,
        key: &str,
        value: &str,
        attribute: &LabelRow<'_>,
    ) -> Result<()> {
        self.run(
            "recording an attribute",
            "INSERT OR REPLACE INTO attribute (item, key, name, value, source, confidence, removed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                item.0,
                key,
                attribute.name,
                value,
                attribute.source,
                attribute.confidence,
                attribute.removed,
            ),
        )
        .map(drop)
    }

    fn alternative(&mut self, item: ItemNo, storage: &Storage, sql: &str) -> Result<bool> {
        let row = self.known_item(item)?;
        let Ok(text) = serde_json::to_string(storage) else {
            return Ok(false);
        };
        let changed = self.run("recording an alternative", sql, (item.0, text))?;
        if changed > 0 {
            self.changes.item(item, &row.media_id, false);
        }
        Ok(changed > 0)
    }

    /// What an analysis made of some bytes: an object of the cache. Replaces what the same analysis made before.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn put_analysis(&mut self, key: &AnalysisKey, artefact: ObjectHash) -> Result<()> {
        self.run(
            "recording an analysis",
            "INSERT OR REPLACE INTO analysis (object, type, parameters, producer, artefact) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                key.object.0,
                &key.kind,
                &key.parameters,
                &key.producer,
                artefact.0,
            ),
        )
        .map(|_| ())
    }
}

fn check_label(label: &str) -> Result<()> {
    if label.trim().is_empty() || label.len() > LONGEST_LABEL {
        return Err(CatalogError::InvalidLabel { label: cut(label) });
    }
    Ok(())
}

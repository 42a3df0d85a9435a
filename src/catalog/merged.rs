//! What another copy of a project says of an item, brought together with what is known of it here.
//!
//! Nothing is lost by it: what either has is there, and what the user took away in either stays away.

use rusqlite::Row;

use super::convert::{Coded, folded, odd_column};
use super::error::Result;
use super::labels::LabelRow;
use super::reader::Reader;
use super::rows::ItemNo;
use super::writer::Writer;
use crate::model::{Attribute, Confidence, Lifecycle, Tag, TagSource};

/// A tag or attribute as it is kept, also where the user took it away.
#[derive(Clone, PartialEq, Debug)]
pub struct Label<T> {
    /// What.
    pub label: T,
    /// The user took it away.
    pub removed: bool,
}

impl Reader {
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
}

impl Writer {
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
        let row = LabelRow {
            name,
            source: source.code(),
            confidence: confidence.value(),
            removed,
        };
        self.put_tag(item, &key, &row)?;
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
        let row = LabelRow {
            name: &kept.name,
            source: kept.source.code(),
            confidence: kept.confidence.value(),
            removed,
        };
        self.put_attribute_row(item, &key, &kept.value.to_string(), &row)?;
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
            value: serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|e| odd_column(1, e))?,
            source: TagSource::column(row, 2)?,
            confidence: Confidence::new(row.get(3)?),
        },
        removed: row.get(4)?,
    })
}

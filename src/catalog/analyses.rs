//! Which items lack which analyses. What analyses made is kept by the bytes they read: see `labels` and `assembled`.

use super::convert::{ITEM_WIDTH, hash_column, item_columns, item_row};
use super::error::Result;
use super::reader::Reader;
use super::rows::{AnalysisKey, ItemNo, ItemRow};
use super::writer::Writer;
use crate::model::ObjectHash;

impl Reader {
    /// Items whose bytes are known by their hash, with numbers above `after`, in order of their numbers: of open projects,
    /// or all others.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn hashed_items(
        &self,
        open: bool,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(ItemRow, ObjectHash)>> {
        let found = self.db().many(
            "listing items to be analysed",
            concat!(
                "SELECT ",
                item_columns!(),
                ", c.blake3 FROM item i JOIN content c ON c.place = i.place \
                 WHERE i.number > ?2 AND c.blake3 IS NOT NULL AND i.hashed = 1 AND ?1 = EXISTS \
                 (SELECT 1 FROM base b WHERE b.number = i.scope AND b.kind = 1 AND b.active = 1) \
                 ORDER BY i.number LIMIT ?3"
            ),
            (open, after, limit),
            |row| Ok((item_row(row)?, hash_column(row, ITEM_WIDTH)?)),
        )?;
        let mut items = Vec::with_capacity(found.len());
        for (item, hash) in found {
            if let (Some(item), Some(hash)) = (self.one_as_it_is(Some(item))?, hash) {
                items.push((item, hash));
            }
        }
        Ok(items)
    }

    /// The hash of the bytes that an item has now, if nothing makes it doubtful.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn sure_hash(&self, item: ItemNo) -> Result<Option<ObjectHash>> {
        let found = self.db().one(
            "reading the hash of an item",
            "SELECT c.blake3 FROM item i JOIN content c ON c.place = i.place WHERE i.number = ?1 AND i.hashed = 1",
            [item.0],
            |row| hash_column(row, 0),
        )?;
        Ok(found.flatten())
    }

    /// All objects that analyses made.
    pub(super) fn artefacts(&self) -> Result<Vec<ObjectHash>> {
        self.db().many(
            "listing what analyses made",
            "SELECT DISTINCT artefact FROM analysis",
            [],
            |row| row.get(0).map(ObjectHash),
        )
    }
}

impl Writer {
    /// What an analysis made is lost; gives whether it was known.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn drop_analysis(&mut self, key: &AnalysisKey) -> Result<bool> {
        let changed = self.run(
            "forgetting an analysis",
            "DELETE FROM analysis WHERE object = ?1 AND type = ?2 AND parameters = ?3 AND producer = ?4",
            (key.object.0, &key.kind, &key.parameters, &key.producer),
        )?;
        Ok(changed > 0)
    }
}

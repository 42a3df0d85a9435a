//! Pins: items whose bytes are to stay in the cache, and for whom. They are wishes: the bytes may not have come yet, and
//! may become others. What is pinned in the cache follows from them.

use super::convert::{hash_column, id_column};
use super::error::Result;
use super::history::Cell;
use super::reader::Reader;
use super::rows::{BaseNo, ItemNo, ItemRow};
use super::writer::Writer;
use crate::model::ObjectHash;

/// The user, as who pins by hand.
pub const USER: &str = "user";

/// Who pins what analyses made, for as long as the catalog names it.
pub const ANALYSIS: &str = "analysis";

impl Reader {
    /// For whom an item is pinned.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn pins_of(&self, item: ItemNo) -> Result<Vec<String>> {
        self.db().many(
            "reading the pins of an item",
            "SELECT owner FROM pin WHERE item = ?1 ORDER BY owner",
            [item.0],
            |row| row.get(0),
        )
    }

    /// Items pinned for anybody, with numbers above `after`, in order of their numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn pinned(&self, after: u32, limit: u32) -> Result<Vec<ItemRow>> {
        let items = self.db().many(
            "listing pinned items",
            "SELECT DISTINCT item FROM pin WHERE item > ?1 ORDER BY item LIMIT ?2",
            (after, limit),
            |row| row.get(0).map(ItemNo),
        )?;
        let rows = items.into_iter().map(|item| self.item(item));
        rows.filter_map(Result::transpose).collect()
    }

    /// For whom objects with these bytes are pinned: every owner of a pinned item that has them now.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn owners_of_bytes(&self, hash: ObjectHash) -> Result<Vec<String>> {
        self.db().many(
            "reading the pins of an object",
            "SELECT DISTINCT n.owner FROM content c JOIN item i ON i.place = c.place JOIN pin n ON n.item = i.number \
             WHERE c.blake3 = ?1 ORDER BY n.owner",
            [hash.0],
            |row| row.get(0),
        )
    }

    /// The hashes of all items that an owner pins, as far as they are known.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn pinned_hashes(&self, owner: &str) -> Result<Vec<ObjectHash>> {
        if owner == ANALYSIS {
            return self.artefacts();
        }
        let found = self.db().many(
            "reading the pins of an owner",
            "SELECT DISTINCT c.blake3 FROM pin n JOIN item i ON i.number = n.item JOIN content c ON c.place = i.place \
             WHERE n.owner = ?1 AND c.blake3 IS NOT NULL",
            [owner],
            |row| hash_column(row, 0),
        )?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether anything is pinned for an owner.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn has_pins(&self, owner: &str) -> Result<bool> {
        let found = self.db().one(
            "looking for pins",
            "SELECT 1 FROM pin WHERE owner = ?1 LIMIT 1",
            [owner],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// All owners of pins.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn pin_owners(&self) -> Result<Vec<String>> {
        self.db().many(
            "listing the owners of pins",
            "SELECT DISTINCT owner FROM pin UNION SELECT ?1 WHERE EXISTS (SELECT 1 FROM analysis) ORDER BY 1",
            [ANALYSIS],
            |row| row.get(0),
        )
    }

    /// Items of a project that are not on trusted storage: numbers above `after`, in order of their numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn project_items_away(
        &self,
        project: BaseNo,
        after: u32,
        limit: u32,
    ) -> Result<Vec<ItemRow>> {
        let items = self.db().many(
            "listing a project's items on sources",
            "SELECT i.number FROM item i WHERE i.scope = ?1 AND i.scope <> 0 AND i.availability <> 0 AND i.number > ?2 \
             ORDER BY i.number LIMIT ?3",
            (project.0, after, limit),
            |row| row.get(0).map(ItemNo),
        )?;
        let rows = items.into_iter().map(|item| self.item(item));
        rows.filter_map(Result::transpose).collect()
    }
}

impl Writer {
    /// An item's bytes are to stay in the cache for somebody. False if they are already.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn pin(&mut self, item: ItemNo, owner: &str) -> Result<bool> {
        self.touch(item, Cell::Pin(owner.to_owned()))?;
        let added = self.run(
            "pinning an item",
            "INSERT OR IGNORE INTO pin (item, owner) SELECT number, ?2 FROM item WHERE number = ?1",
            (item.0, owner),
        )?;
        self.pins_changed(item, added)
    }

    /// They need not stay for that one any more. False if they did not have to.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unpin(&mut self, item: ItemNo, owner: &str) -> Result<bool> {
        self.touch(item, Cell::Pin(owner.to_owned()))?;
        let removed = self.run(
            "unpinning an item",
            "DELETE FROM pin WHERE item = ?1 AND owner = ?2",
            (item.0, owner),
        )?;
        self.pins_changed(item, removed)
    }

    /// Nothing is pinned for that one any more.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unpin_all(&mut self, owner: &str) -> Result<()> {
        self.run(
            "unpinning all of an owner",
            "DELETE FROM pin WHERE owner = ?1",
            [owner],
        )?;
        self.durable = true;
        Ok(())
    }

    fn pins_changed(&mut self, item: ItemNo, changed: usize) -> Result<bool> {
        if changed == 0 {
            return Ok(false);
        }
        self.durable = true;
        let id = self.reader().db().one(
            "reading an item",
            "SELECT media_id FROM item WHERE number = ?1",
            [item.0],
            |row| id_column(row, 0),
        )?;
        if let Some(id) = id {
            self.changes.item(item, &id, false);
        }
        Ok(true)
    }
}

//! Stand-ins: the silence that was given in the place of sounds, by its hash. A copy of it that somebody made is known by
//! that for what it is, whatever has become of the sound.

use super::convert::stored;
use super::error::Result;
use super::reader::Reader;
use super::rows::{ItemNo, ItemRow};
use super::writer::Writer;
use crate::model::ObjectHash;

/// Items of one size that are looked at.
const MOST_OF_A_SIZE: u32 = 2000;

impl Reader {
    /// The item in whose place silence with this hash was given.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn stand_in(&self, hash: ObjectHash) -> Result<Option<ItemRow>> {
        let found = self.db().one(
            "looking for a stand-in",
            "SELECT item FROM stand_in WHERE hash = ?1",
            [hash.0],
            |row| row.get(0).map(ItemNo),
        )?;
        match found {
            Some(item) => self.item(item),
            None => Ok(None),
        }
    }

    /// Items of this size, in the order of their numbers; not all of them where there are very many.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn items_of_size(&self, size: u64) -> Result<Vec<ItemNo>> {
        self.db().many(
            "looking for items of a size",
            "SELECT number FROM item WHERE size = ?1 ORDER BY number LIMIT ?2",
            (stored(size), MOST_OF_A_SIZE),
            |row| row.get(0).map(ItemNo),
        )
    }
}

impl Writer {
    /// Silence with this hash, of so many bytes, is given in the place of an item.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn note_stand_in(&mut self, item: ItemNo, hash: ObjectHash, size: u64) -> Result<()> {
        self.run(
            "noting a stand-in",
            "INSERT OR IGNORE INTO stand_in (hash, item, size) VALUES (?1, ?2, ?3)",
            (hash.0, item.0, stored(size)),
        )?;
        self.durable = true;
        Ok(())
    }
}

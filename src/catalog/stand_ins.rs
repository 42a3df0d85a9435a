//! Stand-ins: the silence that was given in the place of sounds, by its hash. A copy of it that somebody made is known by
//! that for what it is, whatever has become of the sound.

use super::convert::stored;
use super::error::Result;
use super::reader::Reader;
use super::rows::ItemNo;
use super::writer::Writer;
use crate::model::ObjectHash;

/// Items of one size that are looked at.
const MOST_OF_A_SIZE: u32 = 2000;

impl Reader {
    /// The items in whose place silence with this hash was given: sounds of one format, length and size have the same.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn stand_ins(&self, hash: ObjectHash) -> Result<Vec<ItemNo>> {
        self.db().many(
            "looking for a stand-in",
            "SELECT item FROM stand_in WHERE hash = ?1 ORDER BY item LIMIT ?2",
            (hash.0, MOST_OF_A_SIZE),
            |row| row.get(0).map(ItemNo),
        )
    }

    /// Some sound has these very bytes.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn is_a_sound(&self, hash: ObjectHash) -> Result<bool> {
        let found = self.db().one(
            "looking for a sound",
            "SELECT 1 FROM content c JOIN item i ON i.place = c.place WHERE c.blake3 = ?1 LIMIT 1",
            [hash.0],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
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

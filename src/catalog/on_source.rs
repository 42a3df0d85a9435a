//! What lies on a source: its bases and items.

use super::convert::{Coded, hash_column, item_columns, item_row};
use super::error::Result;
use super::reader::Reader;
use super::rows::{BaseNo, ItemRow};
use crate::model::{Availability, SourceNo};

impl Reader {
    /// The first items whose files are on a source and whose state depends on how that is, `most` of them.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn some_items_on(&self, source: SourceNo, most: usize) -> Result<Vec<ItemRow>> {
        let items = self.db().many(
            "listing the items of a source",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM base b JOIN place p ON p.base = b.number JOIN item i ON i.place = p.number \
                 WHERE b.source = ?1 AND i.availability <> ?2 LIMIT ?3"
            ),
            (
                source.0,
                Availability::Missing.code(),
                i64::try_from(most).unwrap_or(i64::MAX),
            ),
            item_row,
        )?;
        self.all_as_they_are(items)
    }

    /// How many there are of them.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn count_items_on(&self, source: SourceNo) -> Result<u64> {
        let count = self.db().one(
            "counting the items of a source",
            "SELECT count(*) FROM base b JOIN place p ON p.base = b.number JOIN item i ON i.place = p.number \
             WHERE b.source = ?1 AND i.availability <> ?2",
            (source.0, Availability::Missing.code()),
            |row| super::convert::unsigned(row, 0),
        )?;
        Ok(count.unwrap_or_default())
    }

    /// The bases that lie on a source.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn bases_on(&self, source: SourceNo) -> Result<Vec<BaseNo>> {
        self.db().many(
            "listing what lies on a source",
            "SELECT number FROM base WHERE source = ?1 ORDER BY number",
            [source.0],
            |row| row.get(0).map(BaseNo),
        )
    }

    /// How many items live on a source: in all, and those whose bytes are nowhere else at hand.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn items_on(&self, source: SourceNo) -> Result<(u64, u64)> {
        let (mut all, mut only_there) = (0, 0);
        self.db().each(
            "counting the items of a source",
            "SELECT c.blake3 FROM base b JOIN place p ON p.base = b.number JOIN item i ON i.place = p.number \
             LEFT JOIN content c ON c.place = p.number WHERE b.source = ?1",
            [source.0],
            |row| {
                let hash = hash_column(row, 0)
                    .map_err(|e| self.db().failed("counting the items of a source", e))?;
                all += 1;
                only_there += u64::from(!hash.is_some_and(|hash| self.has_object(hash)));
                Ok(true)
            },
        )?;
        Ok((all, only_there))
    }
}

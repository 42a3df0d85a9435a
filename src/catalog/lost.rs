//! What a project lacks: items whose originals are gone, and of which nothing else is at hand.

use super::convert::{Coded, id_column, unsigned};
use super::error::Result;
use super::reader::Reader;
use super::rows::BaseNo;
use crate::model::{Availability, MediaId};

/// The number of [`Availability::Missing`] is written out, as the index is for it alone.
const LOST: &str = "FROM item i WHERE i.scope = ?1 AND i.availability = 5 AND i.lifecycle = 1 AND i.playable <> 0 \
                    AND NOT EXISTS (SELECT 1 FROM held h WHERE h.base = i.scope AND h.media_id = i.media_id COLLATE NOCASE \
                    AND h.entry = '')";

impl Reader {
    /// Lost items of a project: how many, and the ids of the first `limit`. Not those that are held back.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn lost_items(&self, project: BaseNo, limit: u32) -> Result<(u64, Vec<MediaId>)> {
        debug_assert_eq!(Availability::Missing.code(), 5);
        self.snapshot(|reader| {
            let first = reader.db().many(
                "listing lost items",
                &format!("SELECT i.media_id {LOST} ORDER BY i.number LIMIT ?2"),
                (project.0, limit),
                |row| id_column(row, 0),
            )?;
            let count = reader.db().one(
                "counting lost items",
                &format!("SELECT count(*) {LOST}"),
                [project.0],
                |row| unsigned(row, 0),
            )?;
            Ok((count.unwrap_or_default(), first))
        })
    }
}

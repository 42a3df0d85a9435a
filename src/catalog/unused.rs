//! Items that nobody would miss: their file is gone for good, and nothing and nobody knows of them.

use super::convert::Coded;
use super::error::Result;
use super::reader::Reader;
use super::rows::{ItemNo, ItemRow};
use crate::model::{Availability, Lifecycle, TagSource};

/// Missing items of the library whose file is gone from a folder that is looked at, on trusted storage. Binds `?1`
/// (missing) and `?2` (final).
const GONE: &str = "FROM item i JOIN place p ON p.number = coalesce(i.home, i.place) JOIN base b ON b.number = p.base \
     WHERE i.availability = ?1 AND i.scope = 0 AND i.lifecycle = ?2 AND p.present = 0 AND p.away = 0 \
     AND b.source IS NULL AND (b.active = 1 OR b.kind = 2)";

/// That something is known of an item, or uses it. Binds `?3` (the user, as who tags).
const KNOWN: &str = "(EXISTS (SELECT 1 FROM usage u WHERE u.item = i.number) \
     OR EXISTS (SELECT 1 FROM pin n WHERE n.item = i.number) \
     OR EXISTS (SELECT 1 FROM entry e WHERE e.item = i.number) \
     OR i.name <> CAST(p.name AS TEXT) \
     OR EXISTS (SELECT 1 FROM tag t WHERE t.item = i.number AND t.source = ?3) \
     OR EXISTS (SELECT 1 FROM attribute a WHERE a.item = i.number AND a.source = ?3) \
     OR EXISTS (SELECT 1 FROM item o WHERE o.media_id = i.media_id AND o.scope <> 0))";

impl Reader {
    /// Items of the library whose file is gone for good, that nothing uses, and of which the user has told nothing:
    /// no tag, value, name or pin. With numbers above `after`, in order of their numbers. What lies on a volume, a
    /// share or in a cloud is none of them, as it may come back with it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unused_items(&self, after: u32, limit: u32) -> Result<Vec<ItemRow>> {
        let found = self.db().many(
            "listing unused items",
            &format!("SELECT i.number {GONE} AND NOT {KNOWN} AND i.number > ?4 ORDER BY i.number LIMIT ?5"),
            (
                Availability::Missing.code(),
                Lifecycle::Final.code(),
                TagSource::User.code(),
                after,
                limit,
            ),
            |row| row.get(0).map(ItemNo),
        )?;
        let rows = found.into_iter().map(|item| self.item(item));
        rows.filter_map(Result::transpose).collect()
    }

    /// How many items whose file is gone for good are not [unused](Self::unused_items).
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn count_gone_and_known(&self) -> Result<u64> {
        let count = self.db().one(
            "counting missing items",
            &format!("SELECT count(*) {GONE} AND {KNOWN}"),
            (
                Availability::Missing.code(),
                Lifecycle::Final.code(),
                TagSource::User.code(),
            ),
            |row| row.get::<_, u32>(0),
        )?;
        Ok(count.map_or(0, u64::from))
    }
}

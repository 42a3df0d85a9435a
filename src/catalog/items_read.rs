//! Reading items: by id, by number, by the names that a project shows; their facts and capsules.

use rusqlite::Row;

use super::capsules::Content;
use super::convert::{
    Coded, ITEM_WIDTH, container_of, folded, hash_column, item_columns, item_row, item_row_at,
    unsigned,
};
use super::error::{CatalogError, Result};
use super::reader::Reader;
use super::rows::{BaseNo, ItemNo, ItemRow, Nanoseconds, PlaceNo, Section};
use crate::model::{Availability, Codec, Format, MediaId, ObjectHash};
use crate::silence::Capsule;

/// Columns of [`format_row`].
macro_rules! format_columns {
    () => {
        "c.container, c.codec, c.sample_rate, c.channels, c.bit_depth, c.float, c.frames, c.duration"
    };
}
pub(super) use format_columns;

/// Reads [`format_columns`] that begin at column 0; `None` where there are no facts.
pub(super) fn format_row(row: &Row<'_>) -> rusqlite::Result<Option<Format>> {
    let container = match row.get_ref(0)?.as_str_or_null()? {
        None => return Ok(None),
        Some(word) => match container_of(word) {
            Some(container) => container,
            None => return Ok(None),
        },
    };
    Ok(Some(Format {
        container,
        codec: row.get::<_, Option<String>>(1)?.map(Codec),
        sample_rate: row.get(2)?,
        channels: row.get(3)?,
        bit_depth: row.get(4)?,
        float: row.get::<_, Option<bool>>(5)?.unwrap_or(false),
        frames: match row.get::<_, Option<i64>>(6)? {
            None => None,
            Some(_) => Some(unsigned(row, 6)?),
        },
        duration_seconds: row.get(7)?,
    }))
}

impl Reader {
    /// An item.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn item(&self, item: ItemNo) -> Result<Option<ItemRow>> {
        let found = self.db().one(
            "reading an item",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.number = ?1"
            ),
            [item.0],
            item_row,
        )?;
        self.one_as_it_is(found)
    }

    /// The item that `by-id/<id>` leads to: of the focused open project, other open ones, the library, closed ones.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn item_by_id(&self, id: &MediaId) -> Result<Option<ItemRow>> {
        let found = self.db().one(
            "looking for an item",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i LEFT JOIN base b ON b.number = i.scope WHERE i.media_id = ?1 \
                 ORDER BY CASE WHEN b.active AND b.focused THEN 0 WHEN b.active THEN 1 WHEN i.scope = 0 THEN 2 \
                 ELSE 3 END, i.number LIMIT 1"
            ),
            [id.as_str()],
            item_row,
        )?;
        self.one_as_it_is(found)
    }

    /// The items of all scopes that have this id, oldest first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn items_with_id(&self, id: &MediaId) -> Result<Vec<ItemRow>> {
        let found = self.db().many(
            "looking for items",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.media_id = ?1 ORDER BY i.number"
            ),
            [id.as_str()],
            item_row,
        )?;
        self.all_as_they_are(found)
    }

    /// The item of one scope (`None`: the library) that has this id.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn item_in_scope(&self, id: &MediaId, project: Option<BaseNo>) -> Result<Option<ItemRow>> {
        let found = self.db().one(
            "looking for an item",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.media_id = ?1 AND i.scope = ?2"
            ),
            (id.as_str(), project.map_or(0, |base| base.0)),
            item_row,
        )?;
        self.one_as_it_is(found)
    }

    /// The oldest item of one scope (`None`: the library) that has this place of record, and its bytes from there.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn item_at(&self, place: PlaceNo, project: Option<BaseNo>) -> Result<Option<ItemRow>> {
        let found = self.db().one(
            "looking for the item of a file",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.place = ?1 AND i.scope = ?2 AND i.home IS NULL ORDER BY i.number LIMIT 1"
            ),
            (place.0, project.map_or(0, |base| base.0)),
            item_row,
        )?;
        self.one_as_it_is(found)
    }

    /// Every name the item ever had, the present one first, then the latest (not made safe).
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn names(&self, item: ItemNo) -> Result<Vec<String>> {
        self.db().many(
            "reading the names of an item",
            "SELECT name, 9223372036854775807 AS turn FROM item WHERE number = ?1 \
             UNION ALL SELECT name, turn FROM former_name WHERE item = ?1 ORDER BY turn DESC",
            [item.0],
            |row| row.get(0),
        )
    }

    /// Items of open projects with numbers above `after`, in order of their numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn list_open_items(&self, after: u32, limit: u32) -> Result<Vec<ItemRow>> {
        self.snapshot(|reader| {
            let open = reader.db().many(
                "listing open projects",
                "SELECT number FROM base WHERE kind = 1 AND active = 1",
                [],
                |row| row.get(0).map(BaseNo),
            )?;
            let mut items = Vec::new();
            for project in open {
                items.append(&mut reader.list_project_items(project, after, limit)?);
            }
            items.sort_unstable_by_key(|item| item.row);
            items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(items)
        })
    }

    /// Items that are missing, with numbers above `after`, in order of their numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn missing_items(&self, after: u32, limit: u32) -> Result<Vec<ItemNo>> {
        self.db().many(
            "listing missing items",
            "SELECT number FROM item WHERE availability = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
            (Availability::Missing.code(), after, limit),
            |row| row.get(0).map(ItemNo),
        )
    }

    /// Gives `each` all items of a project, in order of their numbers, read by the page.
    ///
    /// # Errors
    /// When SQLite fails, and those of `each`, at the first one.
    pub(crate) fn each_project_item<E: From<CatalogError>>(
        &self,
        project: BaseNo,
        mut each: impl FnMut(ItemRow) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        const PAGE: u32 = 500;
        let mut after = 0;
        loop {
            let page = self.list_project_items(project, after, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.row.0;
            page.into_iter().try_for_each(&mut each)?;
        }
    }

    /// Items of a project with numbers above `after`, in order of their numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn list_project_items(
        &self,
        project: BaseNo,
        after: u32,
        limit: u32,
    ) -> Result<Vec<ItemRow>> {
        let found = self.db().many(
            "listing a project's items",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.scope = ?1 AND i.scope <> 0 AND i.number > ?2 ORDER BY i.number LIMIT ?3"
            ),
            (project.0, after, limit),
            item_row,
        )?;
        self.all_as_they_are(found)
    }

    /// A name ever shown in a project's section (safe name, NFC, without regard to case), and the item it belongs
    /// to for good.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn shown(&self, project: BaseNo, section: Section, name: &str) -> Result<Option<ItemRow>> {
        let found = self.db().one(
            "looking for a project's item",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM shown s JOIN item i ON i.number = s.item \
                 WHERE s.project = ?1 AND s.section = ?2 AND s.key = ?3"
            ),
            (project.0, section.code(), folded(name)),
            item_row,
        )?;
        self.one_as_it_is(found)
    }

    /// Names ever shown in a project's section that begin with `stem` and a dot (as in [`Reader::shown`]), with the items
    /// they belong to.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn shown_of_stem(
        &self,
        project: BaseNo,
        section: Section,
        stem: &str,
        limit: u32,
    ) -> Result<Vec<(String, ItemRow)>> {
        let stem = folded(stem);
        let found = self.db().many(
            "looking for a project's items",
            concat!(
                "SELECT ",
                item_columns!(),
                ", s.name FROM shown s JOIN item i ON i.number = s.item \
                 WHERE s.project = ?1 AND s.section = ?2 AND s.key >= ?3 AND s.key < ?4 ORDER BY s.key LIMIT ?5"
            ),
            (
                project.0,
                section.code(),
                format!("{stem}."),
                // The character behind the dot.
                format!("{stem}/"),
                limit,
            ),
            |row| Ok((row.get(ITEM_WIDTH)?, item_row_at(row, 0)?)),
        )?;
        found
            .into_iter()
            .map(|(name, item)| Ok((name, self.as_it_is(item)?)))
            .collect()
    }

    /// Present shown names of a section: (number for `after`, safe name, item), in order of the numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn list_shown(
        &self,
        project: BaseNo,
        section: Section,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(u32, String, ItemRow)>> {
        let found = self.db().many(
            "listing a project's section",
            concat!(
                "SELECT ",
                item_columns!(),
                ", s.number, s.name FROM shown s CROSS JOIN item i ON i.number = s.item \
                 WHERE s.project = ?1 AND s.section = ?2 AND s.present = 1 AND s.number > ?3 \
                 ORDER BY s.number LIMIT ?4"
            ),
            (project.0, section.code(), after, limit),
            |row| {
                let (number, name) = (row.get(ITEM_WIDTH)?, row.get(ITEM_WIDTH + 1)?);
                Ok((number, name, item_row_at(row, 0)?))
            },
        )?;
        found
            .into_iter()
            .map(|(number, name, item)| Ok((number, name, self.as_it_is(item)?)))
            .collect()
    }

    /// Where a project shows an item at present: section and safe name. `None` for items of the library.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn shown_name(&self, item: ItemNo) -> Result<Option<(Section, String)>> {
        self.db().one(
            "reading how a project shows an item",
            "SELECT s.section, s.name FROM item i JOIN shown s ON s.project = i.scope AND s.media_id = i.media_id \
             WHERE i.number = ?1 AND s.present = 1",
            [item.0],
            |row| Ok((Section::column(row, 0)?, row.get(1)?)),
        )
    }

    /// The facts of the present content; what a placeholder is made of. `None` where this content was not read yet.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn format(&self, item: ItemNo) -> Result<Option<Format>> {
        let found = self.db().one(
            "reading the facts of an item",
            concat!(
                "SELECT ",
                format_columns!(),
                " FROM item i JOIN place p ON p.number = i.place \
                 JOIN content c ON c.place = p.number AND c.generation = p.generation WHERE i.number = ?1"
            ),
            [item.0],
            format_row,
        )?;
        Ok(found.flatten())
    }

    /// The capsule of the present content, if there is one.
    ///
    /// # Errors
    /// When SQLite fails on the catalog. A capsule that can't be read is as none.
    pub fn capsule(&self, item: ItemNo) -> Result<Option<Capsule>> {
        let content = self.present_content(item)?;
        Ok(content.and_then(|content| self.shared().capsules.get(content)))
    }

    /// There is a capsule of the item's present content.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn has_capsule(&self, item: ItemNo) -> Result<bool> {
        let content = self.present_content(item)?;
        Ok(content.is_some_and(|content| self.shared().capsules.has(content)))
    }

    fn present_content(&self, item: ItemNo) -> Result<Option<Content>> {
        self.db().one(
            "reading the place of an item",
            "SELECT p.number, p.generation, p.size, p.modified FROM item i JOIN place p ON p.number = i.place \
             WHERE i.number = ?1",
            [item.0],
            content_row,
        )
    }

    /// The hash of the present content, once it was computed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn blake3(&self, item: ItemNo) -> Result<Option<ObjectHash>> {
        let found = self.db().one(
            "reading the hash of an item",
            "SELECT c.blake3 FROM item i JOIN content c ON c.place = i.place WHERE i.number = ?1",
            [item.0],
            |row| hash_column(row, 0),
        )?;
        Ok(found.flatten())
    }

    /// The facts of a place's present content, once it was read.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn format_of_place(&self, place: PlaceNo) -> Result<Option<Format>> {
        self.format_at(place)
    }

    /// The facts of a place's present content.
    pub(super) fn format_at(&self, place: PlaceNo) -> Result<Option<Format>> {
        let found = self.db().one(
            "reading the facts of a file",
            concat!(
                "SELECT ",
                format_columns!(),
                " FROM place p JOIN content c ON c.place = p.number AND c.generation = p.generation \
                 WHERE p.number = ?1"
            ),
            [place.0],
            format_row,
        )?;
        Ok(found.flatten())
    }
}

fn content_row(row: &Row<'_>) -> rusqlite::Result<Content> {
    Ok(Content {
        place: PlaceNo(row.get(0)?),
        generation: row.get(1)?,
        size: unsigned(row, 2)?,
        modified: Nanoseconds(row.get(3)?),
    })
}

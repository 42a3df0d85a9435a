//! Takes: items that are being recorded, from when they are reserved until they are final and their project is closed.
//!
//! A take is an item of lifecycle `pending` (or `abandoned`) without a place; its bytes are in a file of its own until it
//! is final. That file is named in the row, so that a take is found again whatever happened to whoever wrote it.

use std::path::{Path, PathBuf};

use rusqlite::Row;

use super::convert::{Coded, bytes_of, folded, item_columns, item_row, name_of, stored, unsigned};
use super::error::{CatalogError, Result};
use super::items::check_name;
use super::reader::Reader;
use super::rows::{BaseNo, ItemNo, ItemRow, Nanoseconds, PlaceNo};
use super::shown::numbered;
use super::writer::Writer;
use crate::model::{Availability, Kind, Lifecycle, MediaId, ObjectHash, Origin, Playable};

/// A take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TakeRow {
    /// Its item.
    pub item: ItemNo,
    /// Its safe name in `record/`, unique there without regard to case.
    pub name: String,
    /// The project in whose folder its file is; `None`: in the home.
    pub base: Option<BaseNo>,
    /// The name of its file in the folder for takes.
    pub file: String,
    /// Where the file, or its copy of this inode, was about to be when it became final. Of one that is final: its copy,
    /// whose first file is still to go.
    pub target: Option<(PathBuf, u64)>,
    /// Bytes a second that were expected.
    pub rate: u64,
    /// Seconds that were expected.
    pub expected: Option<u64>,
    /// When it was reserved.
    pub reserved: Nanoseconds,
    /// When it was abandoned, if it was.
    pub given_up: Option<Nanoseconds>,
    /// An earlier daemon had not seen the end of it.
    pub recovered: bool,
}

/// What a take is reserved with.
#[derive(Clone, PartialEq, Debug)]
pub struct NewTake {
    /// The host's own id, or a new one.
    pub media_id: MediaId,
    /// `None`: the library.
    pub project: Option<BaseNo>,
    /// What it is to be.
    pub kind: Kind,
    /// With extension.
    pub name: String,
    /// How it comes to be.
    pub origin: Origin,
    /// As in [`TakeRow`].
    pub base: Option<BaseNo>,
    /// As in [`TakeRow`].
    pub file: String,
    /// As in [`TakeRow`].
    pub rate: u64,
    /// As in [`TakeRow`].
    pub expected: Option<u64>,
    /// When.
    pub reserved: Nanoseconds,
    /// As in [`TakeRow`].
    pub recovered: bool,
}

macro_rules! take_columns {
    () => {
        "t.item, t.name, t.base, t.file, t.target, t.target_inode, t.rate, t.expected, t.reserved, t.given_up, \
         t.recovered"
    };
}

fn take_row(row: &Row<'_>) -> rusqlite::Result<TakeRow> {
    let target = row.get::<_, Option<Vec<u8>>>(4)?;
    let inode = row.get::<_, Option<i64>>(5)?;
    Ok(TakeRow {
        item: ItemNo(row.get(0)?),
        name: row.get(1)?,
        base: row.get::<_, Option<u32>>(2)?.map(BaseNo),
        file: row.get(3)?,
        target: target.zip(inode).map(|(path, inode)| {
            (
                name_of(path).into(),
                u64::from_ne_bytes(inode.to_ne_bytes()),
            )
        }),
        rate: unsigned(row, 6)?,
        expected: match row.get::<_, Option<i64>>(7)? {
            None => None,
            Some(_) => Some(unsigned(row, 7)?),
        },
        reserved: Nanoseconds(row.get(8)?),
        given_up: row.get::<_, Option<i64>>(9)?.map(Nanoseconds),
        recovered: row.get(10)?,
    })
}

impl Reader {
    /// Final takes of a project whose files are in `base`, and are no items of the library.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn takes_elsewhere(&self, project: BaseNo, base: BaseNo) -> Result<Vec<ItemNo>> {
        self.db().many(
            "listing takes that are not with their project",
            "SELECT i.number FROM item i JOIN place p ON p.number = i.place \
             WHERE i.scope = ?1 AND i.lifecycle = ?2 AND i.origin = ?3 AND p.base = ?4 AND NOT EXISTS \
             (SELECT 1 FROM item o WHERE o.place = p.number AND o.scope = 0) ORDER BY i.number",
            (
                project.0,
                Lifecycle::Final.code(),
                Origin::Recorded.as_str(),
                base.0,
            ),
            |row| row.get(0).map(ItemNo),
        )
    }

    /// The take that an item is, or was until its project is closed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn take(&self, item: ItemNo) -> Result<Option<TakeRow>> {
        self.db().one(
            "reading a take",
            concat!("SELECT ", take_columns!(), " FROM take t WHERE t.item = ?1"),
            [item.0],
            take_row,
        )
    }

    /// The take that has this name in `record/`, without regard to case.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn take_named(&self, name: &str) -> Result<Option<TakeRow>> {
        self.db().one(
            "looking for a take",
            concat!("SELECT ", take_columns!(), " FROM take t WHERE t.key = ?1"),
            [folded(name)],
            take_row,
        )
    }

    /// Takes with item numbers above `after`, in the order of these numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn list_takes(&self, after: u32, limit: u32) -> Result<Vec<TakeRow>> {
        self.db().many(
            "listing takes",
            concat!(
                "SELECT ",
                take_columns!(),
                " FROM take t WHERE t.item > ?1 ORDER BY t.item LIMIT ?2"
            ),
            (after, limit),
            take_row,
        )
    }

    /// Items that are not final, of one scope (`None`: the library), or of all.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unfinished(&self, scope: Option<Option<BaseNo>>) -> Result<Vec<ItemRow>> {
        self.db().many(
            "listing takes",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.lifecycle <> 1 AND (?1 IS NULL OR i.scope = ?1) ORDER BY i.number"
            ),
            [scope.map(|scope| scope.map_or(0, |base| base.0))],
            item_row,
        )
    }
}

impl Writer {
    /// Makes an item that is about to be recorded.
    ///
    /// # Errors
    /// [`CatalogError::IdTaken`], [`CatalogError::InvalidName`], [`CatalogError::Unknown`] project; when SQLite fails.
    pub fn reserve_take(&mut self, new: &NewTake) -> Result<ItemNo> {
        if let Some(same) = self.reader().item_in_scope(&new.media_id, new.project)? {
            return Err(CatalogError::IdTaken {
                media_id: new.media_id.clone(),
                name: same.name,
            });
        }
        check_name(&new.name)?;
        if let Some(project) = new.project {
            self.check_project(project)?;
        }
        self.run(
            "reserving a take",
            "INSERT INTO item (media_id, scope, kind, name, origin, lifecycle, generation, size, modified, born, \
             permissions, availability, playable, place, hashed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, 0, ?7, ?7, 420, ?8, ?9, NULL, 1)",
            (
                new.media_id.as_str(),
                new.project.map_or(0, |base| base.0),
                new.kind.as_str(),
                &new.name,
                new.origin.as_str(),
                Lifecycle::Pending.code(),
                new.reserved.0,
                Availability::Local.code(),
                Playable::Bytes.code(),
            ),
        )?;
        let item = ItemNo(self.inserted()?);
        self.durable = true;
        let name = {
            let reader = self.reader();
            numbered(&new.name, &mut |name| {
                Ok(reader.take_named(name)?.is_some())
            })?
        };
        self.run(
            "reserving a take",
            "INSERT INTO take (item, key, name, base, file, rate, expected, reserved, recovered) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                item.0,
                folded(&name),
                &name,
                new.base.map(|base| base.0),
                &new.file,
                stored(new.rate),
                new.expected.map(stored),
                new.reserved.0,
                new.recovered,
            ),
        )?;
        if let Some(project) = new.project {
            self.own_names(project, &new.media_id, Some(item))?;
            self.show(project, item, &new.media_id, &new.kind, &new.name)?;
        }
        self.own_used_names(item, &new.media_id, new.project)?;
        self.changes.item(item, &new.media_id, true);
        self.tell_twins(&new.media_id)?;
        Ok(item)
    }

    /// Notes where the file of a take, or its copy of this inode, is about to be; `None`: it is where it was first, or
    /// nothing is left there.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_take_target(&mut self, item: ItemNo, target: Option<(&Path, u64)>) -> Result<()> {
        self.durable = true;
        self.run(
            "noting where a take is moved",
            "UPDATE take SET target = ?2, target_inode = ?3 WHERE item = ?1",
            (
                item.0,
                target.map(|(path, _)| bytes_of(path.as_os_str())),
                target.map(|(_, inode)| stored(inode)),
            ),
        )
        .map(|_| ())
    }

    /// A take is whole, and its bytes are at this place, which was probed as media. Where that `is_copy`, what was noted of
    /// it stands until its first file is gone.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item or place, [`CatalogError::NotMedia`]; when SQLite fails.
    pub fn finalise_take(
        &mut self,
        item: ItemNo,
        place: PlaceNo,
        blake3: Option<ObjectHash>,
        is_copy: bool,
    ) -> Result<()> {
        if let Some(hash) = blake3 {
            self.put_hash(place, hash)?;
        }
        let row = self.known_item(item)?;
        let unknown = CatalogError::Unknown {
            what: "place",
            number: place.0,
        };
        let place = self.reader().place(place)?.ok_or(unknown)?;
        let (kind, attributes) = self.media_at(&place)?;
        let hashed = self.is_hashed(place.row)?;
        let (availability, playable) = self.recorded_here(&place)?;
        let evidence = &place.evidence;
        self.run(
            "making a take final",
            "UPDATE item SET lifecycle = ?2, place = ?3, kind = ?4, size = ?5, modified = ?6, born = ?7, \
             permissions = ?8, availability = ?9, playable = ?10, hashed = ?11 WHERE number = ?1",
            (
                item.0,
                Lifecycle::Final.code(),
                place.row.0,
                kind.as_str(),
                stored(evidence.size),
                evidence.modified.0,
                evidence.born.map(|born| born.0),
                evidence.permissions,
                availability.code(),
                playable.code(),
                hashed,
            ),
        )?;
        self.run(
            "making a take final",
            "UPDATE take SET given_up = NULL, recovered = 0 WHERE item = ?1",
            [item.0],
        )?;
        if !is_copy {
            self.set_take_target(item, None)?;
        }
        if kind != row.kind
            && let Some(project) = row.project
        {
            self.show(project, item, &row.media_id, &kind, &row.name)?;
        }
        self.sync_file_attributes(item, &attributes)?;
        self.changes.item(item, &row.media_id, true);
        if let Some(folder) = place.folder {
            self.changes.name(folder, &place.name);
        }
        self.durable = true;
        Ok(())
    }

    /// The file of a final item was copied to where its project is, byte by byte: the item is at that place from now on,
    /// and is the same for everybody. Says whether nobody needs the first file any more: no item has it or stands in with it,
    /// and history does not want it back. Then it becomes no item of its own.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item or place, [`CatalogError::NotMedia`]; when SQLite fails.
    pub fn carry_item(&mut self, item: ItemNo, place: PlaceNo, hash: ObjectHash) -> Result<bool> {
        let row = self.known_item(item)?;
        for place in row.place.into_iter().chain([place]) {
            self.put_hash(place, hash)?;
        }
        let unknown = CatalogError::Unknown {
            what: "place",
            number: place.0,
        };
        let new = self.reader().place(place)?.ok_or(unknown)?;
        let Some(left) = self.point_to(item, &new)? else {
            return Ok(false);
        };
        // Also items whose own file is gone, and that stand in with this one.
        let has_item = self.reader().db().one(
            "asking who has the file of a take",
            "SELECT 1 FROM item WHERE place = ?1 OR home = ?1 LIMIT 1",
            [left.0],
            |_| Ok(()),
        )?;
        if has_item.is_some() || self.reader().is_held(left)? {
            return Ok(false);
        }
        self.run(
            "leaving the file of a take",
            "UPDATE place SET forgotten = 1 WHERE number = ?1",
            [left.0],
        )?;
        Ok(true)
    }

    /// A take is given up, or taken up again (`None`). Its file stays.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item; when SQLite fails.
    pub fn give_up_take(&mut self, item: ItemNo, when: Option<Nanoseconds>) -> Result<()> {
        let row = self.known_item(item)?;
        let lifecycle = match when {
            Some(_) => Lifecycle::Abandoned,
            None => Lifecycle::Pending,
        };
        if row.is_final() || row.lifecycle == lifecycle {
            return Ok(());
        }
        self.run(
            "giving up a take",
            "UPDATE item SET lifecycle = ?2 WHERE number = ?1",
            (item.0, lifecycle.code()),
        )?;
        self.run(
            "giving up a take",
            "UPDATE take SET given_up = ?2 WHERE item = ?1",
            (item.0, when.map(|when| when.0)),
        )?;
        self.changes.item(item, &row.media_id, true);
        self.durable = true;
        Ok(())
    }

    /// Removes a take that is not final: its file is the caller's to deal with.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item; when SQLite fails.
    pub fn drop_take(&mut self, item: ItemNo) -> Result<()> {
        let row = self.known_item(item)?;
        if row.is_final() {
            return Ok(());
        }
        self.remove_row(&row)
    }

    /// All takes that are not final have outlived their daemon; gives those.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn recover_takes(&mut self) -> Result<Vec<ItemNo>> {
        let pending = self.reader().db().many(
            "looking for takes",
            "SELECT t.item FROM take t JOIN item i ON i.number = t.item WHERE i.lifecycle = 0 ORDER BY t.item",
            [],
            |row| row.get(0).map(ItemNo),
        )?;
        for item in &pending {
            self.run(
                "recovering a take",
                "UPDATE take SET recovered = 1 WHERE item = ?1 AND recovered = 0",
                [item.0],
            )?;
        }
        Ok(pending)
    }

    /// Final takes of one scope (`None`: the library) are in `record/` no more, but for those whose first file is still to
    /// go: without its row it would seem to be a take that was lost.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn release_takes(&mut self, scope: Option<BaseNo>) -> Result<()> {
        self.run(
            "taking takes from record/",
            "DELETE FROM take WHERE target IS NULL \
             AND item IN (SELECT number FROM item WHERE scope = ?1 AND lifecycle = 1)",
            [scope.map_or(0, |base| base.0)],
        )
        .map(|_| ())
    }
}

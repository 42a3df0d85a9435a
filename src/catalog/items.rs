//! Writing items: made, renamed, relinked, removed.

use super::convert::{Coded, stored};
use super::error::{CatalogError, Result, cut};
use super::history::Cell;
use super::rows::{BaseKind, BaseNo, ItemNo, ItemRow, NewItem, PlaceNo, PlaceRow};
use super::writer::Writer;
use crate::model::{Kind, Lifecycle, MediaId, Origin, Status};

/// Longest name of an item, in bytes. Views shorten names further where a system needs it.
const LONGEST_NAME: usize = 4096;

/// An item that is about to be made.
pub(super) struct Fresh {
    pub(super) media_id: MediaId,
    pub(super) project: Option<BaseNo>,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) origin: Origin,
}

impl Writer {
    /// Makes an item of a file that was probed as media. The same place in the same scope again: the item that it
    /// has, whatever id was wished for (compare [`NewItem::media_id`] with the item's).
    ///
    /// # Errors
    /// [`CatalogError::IdTaken`] where the id belongs to another item of the scope, [`CatalogError::NotMedia`],
    /// [`CatalogError::InvalidName`], [`CatalogError::Unknown`] place or project; when SQLite fails.
    pub fn add_item(&mut self, new: &NewItem) -> Result<ItemNo> {
        let place = self.known_place(new.place)?;
        if let Some(same) = self.reader().item_in_scope(&new.media_id, new.project)? {
            return if same.place_of_record() == Some(new.place) {
                Ok(same.row)
            } else {
                Err(CatalogError::IdTaken {
                    media_id: new.media_id.clone(),
                    name: same.name,
                })
            };
        }
        if let Some(same) = self.reader().item_at(new.place, new.project)? {
            return Ok(same.row);
        }
        if let Some(project) = new.project {
            self.check_project(project)?;
        }
        check_name(&new.name)?;
        let (kind, _) = self.media_at(&place)?;
        if let Some(hash) = new.blake3 {
            self.put_hash(place.row, hash)?;
        }
        if new.project.is_none() {
            self.run(
                "making an item",
                "UPDATE place SET forgotten = 0 WHERE number = ?1 AND forgotten = 1",
                [place.row.0],
            )?;
        }
        self.insert_item(
            &place,
            &Fresh {
                media_id: new.media_id.clone(),
                project: new.project,
                kind,
                name: new.name.clone(),
                origin: new.origin.clone(),
            },
        )
    }

    /// Writes a new item, and whatever follows from its being there.
    pub(super) fn insert_item(&mut self, place: &PlaceRow, fresh: &Fresh) -> Result<ItemNo> {
        let evidence = &place.evidence;
        let hashed = self.is_hashed(place.row)?;
        let (availability, playable) = self.recorded_here(place)?;
        self.run(
            "making an item",
            "INSERT INTO item (media_id, scope, kind, name, origin, lifecycle, generation, size, modified, born, \
             permissions, availability, playable, place, hashed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            (
                fresh.media_id.as_str(),
                fresh.project.map_or(0, |base| base.0),
                fresh.kind.as_str(),
                &fresh.name,
                fresh.origin.as_str(),
                Lifecycle::Final.code(),
                stored(evidence.size),
                evidence.modified.0,
                evidence.born.map(|born| born.0),
                evidence.permissions,
                availability.code(),
                playable.code(),
                place.row.0,
                hashed,
            ),
        )?;
        let item = ItemNo(self.inserted()?);
        self.touch_new(item);
        self.durable = true;
        if !place.is_here() {
            self.items_are_missing(place)?;
        }
        if let Some(project) = fresh.project {
            self.own_names(project, &fresh.media_id, Some(item))?;
            self.show(project, item, &fresh.media_id, &fresh.kind, &fresh.name)?;
        }
        self.own_used_names(item, &fresh.media_id, fresh.project)?;
        match self.media_at(place) {
            Ok((_, attributes)) => self.sync_file_attributes(item, &attributes)?,
            // Online only: nobody has read it.
            Err(CatalogError::NotMedia { .. }) => {}
            Err(error) => return Err(error),
        }
        self.changes.item(item, &fresh.media_id, true);
        if let Some(folder) = place.folder {
            self.changes.name(folder, &place.name);
        }
        self.tell_twins(&fresh.media_id)?;
        Ok(item)
    }

    /// Another name for views; the old one goes on leading to the item. No file is renamed.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item, [`CatalogError::InvalidName`]; when SQLite fails.
    pub fn rename(&mut self, item: ItemNo, name: &str) -> Result<()> {
        check_name(name)?;
        let row = self.known_item(item)?;
        if row.name == name {
            return Ok(());
        }
        self.touch(item, Cell::Name)?;
        self.set_name(&row, name)
    }

    /// Writes another name of an item.
    pub(super) fn set_name(&mut self, item: &ItemRow, name: &str) -> Result<()> {
        self.run(
            "keeping the old name of an item",
            "INSERT OR REPLACE INTO former_name (item, name, turn) VALUES \
             (?1, ?2, 1 + (SELECT coalesce(max(turn), 0) FROM former_name WHERE item = ?1))",
            (item.row.0, &item.name),
        )?;
        // A name that it had before is its present one again.
        self.run(
            "renaming an item",
            "DELETE FROM former_name WHERE item = ?1 AND name = ?2",
            (item.row.0, name),
        )?;
        self.run(
            "renaming an item",
            "UPDATE item SET name = ?2 WHERE number = ?1",
            (item.row.0, name),
        )?;
        if let Some(project) = item.project {
            self.show(project, item.row, &item.media_id, &item.kind, name)?;
        }
        self.show_used(item.row, &item.media_id, name)?;
        self.changes.item(item.row, &item.media_id, false);
        self.durable = true;
        Ok(())
    }

    /// The bytes of an item are at another place from now on. Where both are known to be the same bytes, the item
    /// keeps its generation, size and times; else it shows another content. Gives the place that was left, if there is
    /// a file without an item now: to be probed.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item or place, [`CatalogError::NotMedia`]; when SQLite fails.
    pub fn relink(&mut self, item: ItemNo, place: PlaceNo) -> Result<Option<PlaceNo>> {
        self.finished_item(item)?;
        let new = self.known_place(place)?;
        self.media_at(&new)?;
        self.touch(item, Cell::Bytes)?;
        self.point_to(item, &new)
    }

    /// As [`Writer::relink`], also to a file of which nobody knows what it is.
    pub(super) fn point_to(&mut self, item: ItemNo, new: &PlaceRow) -> Result<Option<PlaceNo>> {
        let row = self.known_item(item)?;
        let place = new.row;
        let (kind, attributes) = match self.media_at(new) {
            Ok(media) => media,
            Err(CatalogError::NotMedia { .. }) => (row.kind.clone(), Vec::new()),
            Err(error) => return Err(error),
        };
        let left = row.place_of_record();
        if left == Some(place) {
            return Ok(None);
        }
        let old_hash = self.reader().blake3(item)?;
        let hashed = self.is_hashed(place)?;
        self.run(
            "relinking an item",
            "UPDATE item SET place = ?2, home = NULL, recorded = NULL, hashed = ?3, kind = ?4 WHERE number = ?1",
            (item.0, place.0, hashed, kind.as_str()),
        )?;
        let same_bytes = hashed && self.reader().blake3(item)? == old_hash;
        if !same_bytes {
            let evidence = &new.evidence;
            self.run(
                "relinking an item",
                "UPDATE item SET generation = generation + 1, size = ?2, modified = ?3, born = ?4, permissions = ?5 \
                 WHERE number = ?1",
                (
                    item.0,
                    stored(evidence.size),
                    evidence.modified.0,
                    evidence.born.map(|born| born.0),
                    evidence.permissions,
                ),
            )?;
        }
        if new.is_here() {
            let (availability, playable) = self.recorded_here(new)?;
            self.run(
                "relinking an item",
                "UPDATE item SET availability = ?2, playable = ?3 WHERE number = ?1",
                (item.0, availability.code(), playable.code()),
            )?;
        } else {
            self.items_are_missing(new)?;
        }
        if kind != row.kind
            && let Some(project) = row.project
        {
            self.show(project, item, &row.media_id, &kind, &row.name)?;
        }
        self.sync_file_attributes(item, &attributes)?;
        self.changes.item(item, &row.media_id, true);
        self.durable = true;
        // In the library's folders another item may stand for both files now.
        if let Some(folder) = new.folder {
            self.changes.name(folder, &new.name);
        }
        match left.map(|left| self.reader().place(left)).transpose()? {
            Some(Some(left)) => self.leave(&left),
            _ => Ok(None),
        }
    }

    /// An item does not stand for this place any more. Where no other does, its file is as one that was never seen,
    /// should it be there, or come back; gives the place if it is there.
    fn leave(&mut self, left: &PlaceRow) -> Result<Option<PlaceNo>> {
        if let Some(folder) = left.folder {
            self.changes.name(folder, &left.name);
        }
        if !self.reader().items_of(left.row)?.is_empty() {
            return Ok(None);
        }
        if !left.present {
            if !self.is_wanted_back(left.row)? {
                self.forget_place(left)?;
            }
            return Ok(None);
        }
        self.run(
            "leaving a file",
            "UPDATE place SET probed = 0 WHERE number = ?1",
            [left.row.0],
        )?;
        Ok(Some(left.row))
    }

    /// Removes an item with its tags, attributes, usages and capsule. Its file is not touched, its id is not given
    /// again but on wish, and no scan makes another item of an unchanged or changed file there.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item, [`CatalogError::Unfinished`]; when SQLite fails.
    pub fn remove(&mut self, item: ItemNo) -> Result<()> {
        let row = self.finished_item(item)?;
        self.touch(item, Cell::Exists)?;
        self.hide_used(item)?;
        self.remove_row(&row)
    }

    /// Removes an item, whatever its lifecycle.
    pub(super) fn remove_row(&mut self, row: &ItemRow) -> Result<()> {
        let item = row.row;
        for sql in [
            "DELETE FROM take WHERE item = ?1",
            "DELETE FROM tag WHERE item = ?1",
            "DELETE FROM attribute WHERE item = ?1",
            "DELETE FROM alternative WHERE item = ?1",
            "DELETE FROM usage WHERE item = ?1",
            "DELETE FROM removed_usage WHERE item = ?1",
            "DELETE FROM pin WHERE item = ?1",
            "DELETE FROM former_name WHERE item = ?1",
            "DELETE FROM entry WHERE item = ?1",
            "DELETE FROM item WHERE number = ?1",
        ] {
            self.run("removing an item", sql, [item.0])?;
        }
        if let Some(project) = row.project {
            self.hide(project, &row.media_id)?;
            self.own_names(project, &row.media_id, None)?;
        }
        self.changes.removed(item, &row.media_id);
        self.tell_twins(&row.media_id)?;
        self.durable = true;
        let Some(place) = row.place_of_record() else {
            return Ok(());
        };
        let Some(place) = self.reader().place(place)? else {
            return Ok(());
        };
        if row.project.is_none() {
            // Where its file is gone already, what may come there one day is not what was removed: it is read anew.
            let sql = match place.present {
                true => "UPDATE place SET forgotten = 1 WHERE number = ?1",
                false => "UPDATE place SET probed = 0 WHERE number = ?1",
            };
            self.run("remembering that an item was removed", sql, [place.row.0])?;
        }
        if let Some(folder) = place.folder {
            self.changes.name(folder, &place.name);
        }
        if self.is_wanted_back(place.row)? {
            return Ok(());
        }
        if self.reader().items_of(place.row)?.is_empty() {
            self.capsules
                .push(super::capsules::CapsuleChange::Drop(place.row));
        }
        self.forget_if_unused(&place)
    }

    /// History wants a file back no more: what was kept of it goes, unless somebody has it.
    pub(super) fn release_place(&mut self, place: PlaceNo) -> Result<()> {
        if self.reader().is_held(place)? {
            return Ok(());
        }
        let Some(row) = self.reader().place(place)? else {
            return Ok(());
        };
        if !self.reader().items_of(place)?.is_empty() {
            return Ok(());
        }
        if row.present {
            self.capsules
                .push(super::capsules::CapsuleChange::Drop(place));
            Ok(())
        } else {
            self.forget_place(&row)
        }
    }

    /// Where an item's original is, and what a player gets.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] item; when SQLite fails.
    pub fn set_status(&mut self, item: ItemNo, status: Status) -> Result<()> {
        let row = self.known_item(item)?;
        if row.availability == status.availability() && row.playable == status.playable() {
            return Ok(());
        }
        self.run(
            "recording the state of an item",
            "UPDATE item SET availability = ?2, playable = ?3 WHERE number = ?1",
            (
                item.0,
                status.availability().code(),
                status.playable().code(),
            ),
        )?;
        self.changes.item(item, &row.media_id, true);
        Ok(())
    }

    /// `by-id/<id>` may lead to another one of the items that share this id.
    pub(super) fn tell_twins(&mut self, id: &MediaId) -> Result<()> {
        let twins = self.reader().items_with_id(id)?;
        for twin in twins {
            self.changes.item(twin.row, &twin.media_id, true);
        }
        Ok(())
    }

    /// Forgets a place that lost its name, once no item is left that was there.
    fn forget_if_unused(&mut self, place: &PlaceRow) -> Result<()> {
        if place.folder.is_none() && self.reader().items_of(place.row)?.is_empty() {
            self.forget_place(place)?;
        }
        Ok(())
    }

    /// Forgets a place that no item has.
    pub(super) fn forget_place(&mut self, place: &PlaceRow) -> Result<()> {
        if self.is_wanted_back(place.row)? {
            // It loses its name, which another file may be about to take, and nothing else.
            self.run(
                "keeping a file for history",
                "UPDATE place SET folder = NULL, present = 0 WHERE number = ?1",
                [place.row.0],
            )?;
            if let Some(folder) = place.folder {
                self.changes.name(folder, &place.name);
            }
            return Ok(());
        }
        self.run(
            "forgetting a file",
            "DELETE FROM content WHERE place = ?1",
            [place.row.0],
        )?;
        self.run(
            "forgetting a file",
            "DELETE FROM place WHERE number = ?1",
            [place.row.0],
        )?;
        self.capsules
            .push(super::capsules::CapsuleChange::Drop(place.row));
        if let Some(folder) = place.folder {
            self.changes.name(folder, &place.name);
        }
        Ok(())
    }

    pub(super) fn is_hashed(&self, place: PlaceNo) -> Result<bool> {
        let found = self.reader().db().one(
            "reading a hash",
            "SELECT blake3 IS NOT NULL FROM content WHERE place = ?1",
            [place.0],
            |row| row.get(0),
        )?;
        Ok(found.unwrap_or(false))
    }

    /// A project that must be there.
    pub(super) fn check_project(&self, base: BaseNo) -> Result<()> {
        let row = self.reader().base(base)?;
        if row.is_some_and(|row| row.kind == BaseKind::Project) {
            return Ok(());
        }
        Err(CatalogError::Unknown {
            what: "project",
            number: base.0,
        })
    }

    /// An item that must be there.
    pub(super) fn known_item(&self, item: ItemNo) -> Result<ItemRow> {
        self.reader().item(item)?.ok_or(CatalogError::Unknown {
            what: "item",
            number: item.0,
        })
    }

    /// An item that must be there, and no take that is not final: its bytes are nowhere else yet.
    fn finished_item(&self, item: ItemNo) -> Result<ItemRow> {
        let row = self.known_item(item)?;
        if row.is_final() {
            Ok(row)
        } else {
            Err(CatalogError::Unfinished { name: row.name })
        }
    }

    fn known_place(&self, place: PlaceNo) -> Result<PlaceRow> {
        self.reader().place(place)?.ok_or(CatalogError::Unknown {
            what: "place",
            number: place.0,
        })
    }
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(CatalogError::InvalidName { name: cut(name) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_length() {
        assert!(check_name("a").is_ok());
        assert!(check_name("").is_err());
        assert!(check_name(&"a".repeat(LONGEST_NAME + 1)).is_err());
    }
}

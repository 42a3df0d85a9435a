//! Writing moves: a file or folder has another name now, and its items keep their ids.

use std::ffi::OsStr;

use super::convert::bytes_of;
use super::error::{CatalogError, Result};
use super::places::Look;
use super::rows::{Evidence, FolderNo, Observation, Observed, PlaceNo, PlaceRow};
use super::writer::Writer;
use crate::model::{compared, display_name};

/// Folders deeper than this are not followed: the numbers of a damaged catalog could go round.
const DEEPEST: usize = 4096;

impl Writer {
    /// A file was renamed or moved: its items keep their ids, and items of the library that were named after the
    /// file are named after it again.
    ///
    /// But where items stand for the place that has this name already, it stays, and has another content: a program
    /// has saved a sound by writing beside it and renaming over it. Should the file that came have items too, they live
    /// on in it, though it is not their place. (Items that were made of the very file that came, by a look that was
    /// quicker than the word of the move, give way in the same manner.)
    ///
    /// Says what to do next, as [`Writer::observe`] does, and of which place.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] place or folder; when SQLite fails.
    pub fn move_place(
        &mut self,
        place: PlaceNo,
        folder: FolderNo,
        name: &OsStr,
        evidence: &Evidence,
    ) -> Result<Observed> {
        let Some(row) = self.reader().place(place)? else {
            return Err(CatalogError::Unknown {
                what: "place",
                number: place.0,
            });
        };
        let base = self.base_of(folder)?;
        let seen = Observation {
            kind: row.kind.clone(),
            evidence: *evidence,
        };
        if row.folder == Some(folder) && row.name == name {
            return self.see(&row, &seen, Look::Move);
        }
        let target = self.reader().place_named(folder, name)?;
        if let Some(target) = &target {
            if self.keeps_its_name(target, &row, evidence)? {
                return self.save_over(&row, target, &seen);
            }
            self.displace(target)?;
        }
        // Its file is there, so its items are.
        self.bring_home(place)?;
        let bytes = bytes_of(name);
        self.run(
            "moving a file",
            "UPDATE place SET base = ?2, folder = ?3, name = ?4, key = ?5 WHERE number = ?1",
            (place.0, base, folder.0, bytes, compared(bytes)),
        )?;
        if let Some(folder) = row.folder {
            self.changes.name(folder, &row.name);
        }
        self.changes.name(folder, name);
        // Its storage follows from its place again.
        self.run(
            "moving an item",
            "UPDATE item SET recorded = NULL WHERE place = ?1 AND home IS NULL AND recorded IS NOT NULL",
            [place.0],
        )?;
        self.tell_items_at(place, false)?;
        self.follow_file_name(&row, name)?;
        let moved = PlaceRow {
            base: super::rows::BaseNo(base),
            folder: Some(folder),
            name: name.to_owned(),
            ..row
        };
        let observed = self.see(&moved, &seen, Look::Move)?;
        if let Some(target) = target {
            self.lend_to(target.row, place)?;
        }
        Ok(observed)
    }

    /// Whether the items that stand for a place go on doing so, with the content of the file that takes its name now.
    /// Not if they were made of that very file, as it was seen under its new name before the move was told, and the file
    /// has older ones; nor if it is a link that came.
    fn keeps_its_name(
        &self,
        place: &PlaceRow,
        came: &PlaceRow,
        evidence: &Evidence,
    ) -> Result<bool> {
        if place.is_replaced_by_link(&came.kind) {
            return Ok(false);
        }
        let items = self.reader().items_of(place.row)?;
        let Some(first) = items.first() else {
            return Ok(false);
        };
        let seen_quickly = place.generation == 1 && place.evidence.same_bytes(evidence);
        let older = self.reader().items_of(came.row)?;
        Ok(!(seen_quickly && older.first().is_some_and(|older| older.row < first.row)))
    }

    /// The file of one place is the content of another place now.
    fn save_over(
        &mut self,
        came: &PlaceRow,
        target: &PlaceRow,
        seen: &Observation,
    ) -> Result<Observed> {
        let mut living = self.reader().homes_in(came.row)?;
        living.push(came.row);
        self.place_gone(came.row)?;
        let observed = self.see(target, seen, Look::Scan)?;
        if came.is_here() && came.evidence.same_bytes(&seen.evidence) {
            for home in living {
                self.lend_to(home, target.row)?;
            }
        }
        if self.reader().items_of(came.row)?.is_empty() {
            self.forget_place(came)?;
        }
        Ok(observed)
    }

    /// A program saved a file by renaming it out of the way and writing a new one, `new`, under its name: what stood
    /// for the file stands for the new one, and the old one, if it is still there, is a file of its own. Gives the
    /// places that are to be probed; none where the new file has items already.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn move_back(&mut self, place: PlaceNo, new: PlaceNo) -> Result<Vec<PlaceNo>> {
        let (Some(old), Some(new)) = (self.reader().place(place)?, self.reader().place(new)?)
        else {
            return Ok(Vec::new());
        };
        let Some(folder) = new.folder.filter(|_| new.is_here()) else {
            return Ok(Vec::new());
        };
        if old.row == new.row || !self.reader().items_of(new.row)?.is_empty() {
            return Ok(Vec::new());
        }
        // Whoever lives in it has to leave first.
        self.place_gone(new.row)?;
        self.forget_place(&new)?;
        self.move_place(old.row, folder, &new.name, &new.evidence)?;
        let mut probe = vec![old.row];
        probe.append(&mut self.see_aside(old)?);
        Ok(probe)
    }

    /// A file that was set aside, at `place`, and whose old name another file is about to take: what stood for it gets
    /// its old name back, and the file that was set aside is one of its own. Gives what is to be probed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn undo_set_aside(
        &mut self,
        place: PlaceNo,
        folder: FolderNo,
        name: &OsStr,
    ) -> Result<Vec<PlaceNo>> {
        let Some(old) = self.reader().place(place)? else {
            return Ok(Vec::new());
        };
        let taken = match self.reader().place_named(folder, name)? {
            Some(taken) => !self.reader().items_of(taken.row)?.is_empty(),
            None => false,
        };
        if taken {
            return Ok(Vec::new());
        }
        self.move_place(old.row, folder, name, &old.evidence)?;
        if !old.is_here() {
            self.place_gone(old.row)?;
        }
        self.see_aside(old)
    }

    /// The file that was set aside is seen as one of its own, if it is there.
    fn see_aside(&mut self, old: PlaceRow) -> Result<Vec<PlaceNo>> {
        let Some(aside) = old.folder.filter(|_| old.is_here()) else {
            return Ok(Vec::new());
        };
        let seen = Observation {
            kind: old.kind,
            evidence: old.evidence,
        };
        let probe = self.observe(aside, &old.name, &seen)?.to_probe();
        Ok(probe.into_iter().collect())
    }

    /// Two files have each other's name now: the items go with the files.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn exchange(
        &mut self,
        one: PlaceNo,
        one_is: &Evidence,
        other: PlaceNo,
        other_is: &Evidence,
    ) -> Result<()> {
        let (Some(one), Some(other)) = (self.reader().place(one)?, self.reader().place(other)?)
        else {
            return Ok(());
        };
        let (Some(one_at), Some(other_at)) = (one.folder, other.folder) else {
            return Ok(());
        };
        self.without_names(&[one.row])?;
        self.move_place(other.row, one_at, &one.name, other_is)?;
        self.move_place(one.row, other_at, &other.name, one_is)
            .map(drop)
    }

    /// Files have no names for the moment, because each takes another one's in the same transaction.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn without_names(&mut self, places: &[PlaceNo]) -> Result<()> {
        for place in places {
            if let Some(row) = self.reader().place(*place)? {
                self.take_name(&row)?;
            }
        }
        Ok(())
    }

    fn take_name(&mut self, row: &PlaceRow) -> Result<()> {
        self.run(
            "taking its name from a file",
            "UPDATE place SET folder = NULL WHERE number = ?1",
            [row.row.0],
        )?;
        if let Some(folder) = row.folder {
            self.changes.name(folder, &row.name);
        }
        Ok(())
    }

    /// Items of the library that had the file's old name get its new one.
    fn follow_file_name(&mut self, old: &PlaceRow, name: &OsStr) -> Result<()> {
        let before = display_name(bytes_of(&old.name));
        let after = display_name(bytes_of(name));
        if before == after {
            return Ok(());
        }
        for item in self.reader().items_of(old.row)? {
            if item.project.is_none() && item.name == before {
                self.set_name(&item, &after)?;
            }
        }
        Ok(())
    }

    /// Another file takes the name of this place. Its items become missing, and what was recorded of where they
    /// were stays; a place without items is forgotten.
    pub(super) fn displace(&mut self, row: &PlaceRow) -> Result<()> {
        let items = self.reader().items_of(row.row)?;
        for item in &items {
            if let Some((storage, _)) = self.reader().storage_of(item, row)?
                && let Ok(text) = serde_json::to_string(&storage)
            {
                self.run(
                    "keeping where an item was",
                    "UPDATE item SET recorded = ?2 WHERE number = ?1 AND recorded IS NULL",
                    (item.row.0, text),
                )?;
            }
        }
        self.place_gone(row.row)?;
        if items.is_empty() {
            return self.forget_place(row);
        }
        self.take_name(row)?;
        self.tell_items_at(row.row, true)
    }

    /// A folder was renamed or moved, with everything below it. What the catalog knew under its new name goes on as
    /// gone files of the moved folder; where names meet, what came is another content of the items that stood for the
    /// name, as for [`Writer::move_place`]. Gives the places whose content is to be probed.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] folder, [`CatalogError::IntoItself`]; when SQLite fails.
    pub fn move_folder(
        &mut self,
        moved: FolderNo,
        parent: FolderNo,
        name: &OsStr,
    ) -> Result<Vec<PlaceNo>> {
        let unknown = |folder: FolderNo| CatalogError::Unknown {
            what: "folder",
            number: folder.0,
        };
        let row = self.reader().folder(moved)?.ok_or_else(|| unknown(moved))?;
        let base = self.base_of(parent)?;
        // The top of a base has no name to change.
        let old_parent = row
            .parent
            .ok_or(CatalogError::IntoItself { folder: moved.0 })?;
        let mut above = Some(parent);
        for _ in 0..DEEPEST {
            match above {
                Some(folder) if folder == moved => {
                    return Err(CatalogError::IntoItself { folder: moved.0 });
                }
                Some(folder) => {
                    above = self
                        .reader()
                        .folder(folder)?
                        .ok_or_else(|| unknown(folder))?
                        .parent;
                }
                None => break,
            }
        }
        let mut changed = Vec::new();
        if let Some((target, _)) = self.reader().folder_named(parent, name)?
            && target.row != moved
        {
            self.folder_gone(target.row)?;
            changed = self.merge(target.row, moved)?;
        }
        let bytes = bytes_of(name);
        self.run(
            "moving a folder",
            "UPDATE folder SET parent = ?2, name = ?3, key = ?4, present = 1 WHERE number = ?1",
            (moved.0, parent.0, bytes, compared(bytes)),
        )?;
        if row.base.0 != base {
            self.change_base(moved, base)?;
        }
        self.folders_moved = true;
        self.changes.name(old_parent, &row.name);
        self.changes.name(parent, name);
        Ok(changed)
    }

    /// Hands what a gone folder held to another folder, and forgets it.
    fn merge(&mut self, from: FolderNo, into: FolderNo) -> Result<Vec<PlaceNo>> {
        let mut changed = Vec::new();
        let mut waiting = vec![(from, into)];
        while let Some((from, into)) = waiting.pop() {
            for place in self.reader().places_of_folder(from)? {
                changed.extend(self.merge_place(&place, into)?);
            }
            let children = self.reader().db().many(
                "listing folders",
                "SELECT number, name FROM folder WHERE parent = ?1",
                [from.0],
                |row| Ok((FolderNo(row.get(0)?), super::convert::name_of(row.get(1)?))),
            )?;
            for (child, name) in children {
                match self.reader().folder_named(into, &name)? {
                    Some((same, _)) => waiting.push((child, same.row)),
                    None => {
                        self.run(
                            "moving a folder that is gone",
                            "UPDATE folder SET parent = ?2 WHERE number = ?1",
                            (child.0, into.0),
                        )?;
                        let base = self.base_of(into)?;
                        if self.base_of(child)? != base {
                            self.change_base(child, base)?;
                        }
                    }
                }
            }
            self.run(
                "forgetting a folder",
                "DELETE FROM folder WHERE number = ?1",
                [from.0],
            )?;
        }
        self.folders_moved = true;
        Ok(changed)
    }

    /// Hands a file that is gone to another folder; if a file that came has its name there, gives the place that has
    /// another content for it.
    fn merge_place(&mut self, gone: &PlaceRow, into: FolderNo) -> Result<Option<PlaceNo>> {
        let came = self.reader().place_named(into, &gone.name)?;
        if let Some(came) = &came {
            if !self.keeps_its_name(gone, came, &came.evidence)? {
                self.displace(gone)?;
                if came.is_here() {
                    self.lend_to(gone.row, came.row)?;
                }
                return Ok(None);
            }
            self.displace(came)?;
        }
        self.run(
            "moving a file that is gone",
            "UPDATE place SET folder = ?2, base = (SELECT base FROM folder WHERE number = ?2) WHERE number = ?1",
            (gone.row.0, into.0),
        )?;
        let Some(came) = came.filter(PlaceRow::is_here) else {
            return Ok(None);
        };
        let moved = PlaceRow {
            folder: Some(into),
            ..gone.clone()
        };
        let seen = Observation {
            kind: came.kind.clone(),
            evidence: came.evidence,
        };
        let observed = self.see(&moved, &seen, Look::Scan)?;
        self.lend_to(came.row, gone.row)?;
        Ok(observed.to_probe())
    }

    /// A folder and everything below it belongs to another base now.
    fn change_base(&mut self, folder: FolderNo, base: u32) -> Result<()> {
        const BELOW: &str = "WITH RECURSIVE below (number) AS \
            (SELECT ?1 UNION SELECT f.number FROM folder f JOIN below ON f.parent = below.number)";
        self.run(
            "moving files to another base",
            &format!("{BELOW} UPDATE place SET base = ?2 WHERE folder IN below"),
            (folder.0, base),
        )?;
        self.run(
            "moving folders to another base",
            &format!("{BELOW} UPDATE folder SET base = ?2 WHERE number IN below"),
            (folder.0, base),
        )
        .map(|_| ())
    }
}

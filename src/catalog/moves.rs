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
    /// file are named after it again. A place that was there loses its name; its items become missing.
    ///
    /// But where the file has no items and the place that was there has some, a program has saved a sound by writing
    /// beside it and renaming over it: then the place that was there stays, with another content.
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
        if let Some(target) = self.reader().place_named(folder, name)? {
            let saved_over = self.reader().items_at(place)?.is_empty()
                && !self.reader().items_at(target.row)?.is_empty();
            if saved_over {
                self.displace(&row)?;
                return self.see(&target, &seen, Look::Scan);
            }
            self.displace(&target)?;
        }
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
            "UPDATE item SET recorded = NULL WHERE place = ?1 AND recorded IS NOT NULL",
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
        self.see(&moved, &seen, Look::Move)
    }

    /// Items of the library that had the file's old name get its new one.
    fn follow_file_name(&mut self, old: &PlaceRow, name: &OsStr) -> Result<()> {
        let before = display_name(bytes_of(&old.name));
        let after = display_name(bytes_of(name));
        if before == after {
            return Ok(());
        }
        for item in self.reader().items_at(old.row)? {
            if item.project.is_none() && item.name == before {
                self.set_name(&item, &after)?;
            }
        }
        Ok(())
    }

    /// Another file takes the name of this place. Its items become missing, and what was recorded of where they
    /// were stays; a place without items is forgotten.
    pub(super) fn displace(&mut self, row: &PlaceRow) -> Result<()> {
        let items = self.reader().items_at(row.row)?;
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
        self.run(
            "taking its name from a file",
            "UPDATE place SET folder = NULL WHERE number = ?1",
            [row.row.0],
        )?;
        if let Some(folder) = row.folder {
            self.changes.name(folder, &row.name);
        }
        self.tell_items_at(row.row, true)
    }

    /// A folder was renamed or moved, with everything below it. What the catalog knew under its new name goes on as
    /// gone files of the moved folder, except where names meet: those places lose theirs.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`] folder, [`CatalogError::IntoItself`]; when SQLite fails.
    pub fn move_folder(&mut self, moved: FolderNo, parent: FolderNo, name: &OsStr) -> Result<()> {
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
        if let Some((target, _)) = self.reader().folder_named(parent, name)?
            && target.row != moved
        {
            self.folder_gone(target.row)?;
            self.merge(target.row, moved)?;
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
        Ok(())
    }

    /// Hands what a gone folder held to another folder, and forgets it.
    fn merge(&mut self, from: FolderNo, into: FolderNo) -> Result<()> {
        let mut waiting = vec![(from, into)];
        while let Some((from, into)) = waiting.pop() {
            for place in self.reader().places_of_folder(from)? {
                if self.reader().place_named(into, &place.name)?.is_some() {
                    self.displace(&place)?;
                } else {
                    self.run(
                        "moving a file that is gone",
                        "UPDATE place SET folder = ?2, base = (SELECT base FROM folder WHERE number = ?2) \
                         WHERE number = ?1",
                        (place.row.0, into.0),
                    )?;
                }
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
        Ok(())
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

//! Reading folders and places: what the tree asks on every look-up, and the scanner for every folder.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::convert::{
    bytes_of, folder_columns, folder_row, item_columns, item_row, place_columns, place_row,
    place_with_item, stored,
};
use super::error::Result;
use super::pool::path_from;
use super::reader::Reader;
use super::rows::{BaseNo, FolderNo, FolderRow, ItemRow, PlaceNo, PlaceRow};
use crate::model::compared;

/// Folders deeper than this are not followed: the numbers of a damaged catalog could go round.
const DEEPEST: usize = 4096;

/// The scope whose item a folder shows at a place: the project's in a project's base, else the library's.
macro_rules! scope_of_folder {
    () => {
        "(SELECT CASE b.kind WHEN 1 THEN b.number ELSE 0 END \
          FROM folder f JOIN base b ON b.number = f.base WHERE f.number = ?1)"
    };
}

/// A place's item in that scope; the oldest, should there be several. One that lives elsewhere, as its own file is not
/// there, counts where the file goes on being shown.
macro_rules! item_at_place {
    () => {
        concat!(
            "LEFT JOIN item i ON i.number = coalesce(\
             (SELECT o.number FROM item o WHERE o.place = p.number AND o.home IS NULL AND o.scope = ",
            scope_of_folder!(),
            " ORDER BY o.number LIMIT 1), \
             CASE WHEN p.away THEN (SELECT o.number FROM item o WHERE o.home = p.number AND o.scope = ",
            scope_of_folder!(),
            " ORDER BY o.number LIMIT 1) END)"
        )
    };
}

impl Reader {
    /// A folder, present or not.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn folder(&self, folder: FolderNo) -> Result<Option<FolderRow>> {
        self.db().one(
            "reading a folder",
            concat!(
                "SELECT ",
                folder_columns!(),
                " FROM folder f WHERE f.number = ?1"
            ),
            [folder.0],
            folder_row,
        )
    }

    /// A present child folder by its name: the same bytes, else the same NFC form.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn child_folder(&self, parent: FolderNo, name: &OsStr) -> Result<Option<FolderRow>> {
        let name = bytes_of(name);
        self.db().one(
            "looking for a folder",
            concat!(
                "SELECT ",
                folder_columns!(),
                " FROM folder f WHERE f.parent = ?1 AND f.key = ?2 AND f.present = 1 \
                 ORDER BY f.name = ?3 DESC LIMIT 1"
            ),
            (parent.0, compared(name), name),
            folder_row,
        )
    }

    /// A place by its name, with its item in the library's scope (or the base's project's scope). Of several whose
    /// names are the same in NFC, a present one first, then the one of the same bytes; so it may be gone.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn child_place(
        &self,
        folder: FolderNo,
        name: &OsStr,
    ) -> Result<Option<(PlaceRow, Option<ItemRow>)>> {
        let name = bytes_of(name);
        let found = self.db().one(
            "looking for a file",
            concat!(
                "SELECT ",
                place_columns!(),
                ", ",
                item_columns!(),
                " FROM place p ",
                item_at_place!(),
                " WHERE p.folder = ?1 AND p.key = ?2 ORDER BY p.present DESC, p.name = ?3 DESC LIMIT 1"
            ),
            (folder.0, compared(name), name),
            place_with_item,
        )?;
        found.map(|found| self.place_as_it_is(found)).transpose()
    }

    /// Files of a base that were seen on its disk, with their paths below it and inodes; the first `limit` of them. They need not
    /// be there any more.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn inodes_in(&self, base: BaseNo, limit: u32) -> Result<Vec<(PathBuf, u64)>> {
        let places = self.db().many(
            "listing the files of a project",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM place p WHERE p.base = ?1 AND p.folder IS NOT NULL AND p.inode <> 0 \
                 ORDER BY p.number LIMIT ?2"
            ),
            (base.0, limit),
            place_row,
        )?;
        let mut found = Vec::new();
        for place in places {
            if let Some((_, path)) = self.path_of(&place)? {
                found.push((path, place.evidence.inode));
            }
        }
        Ok(found)
    }

    /// The place of exactly these bytes.
    pub(super) fn place_named(&self, folder: FolderNo, name: &OsStr) -> Result<Option<PlaceRow>> {
        let name = bytes_of(name);
        self.db().one(
            "looking for a file",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM place p WHERE p.folder = ?1 AND p.key = ?2 AND p.name = ?3"
            ),
            (folder.0, compared(name), name),
            place_row,
        )
    }

    /// The folder of exactly these bytes, present or not.
    pub(super) fn folder_named(
        &self,
        parent: FolderNo,
        name: &OsStr,
    ) -> Result<Option<(FolderRow, bool)>> {
        let name = bytes_of(name);
        self.db().one(
            "looking for a folder",
            concat!(
                "SELECT ",
                folder_columns!(),
                ", f.present FROM folder f WHERE f.parent = ?1 AND f.key = ?2 AND f.name = ?3"
            ),
            (parent.0, compared(name), name),
            |row| Ok((folder_row(row)?, row.get(5)?)),
        )
    }

    /// Present child folders with numbers above `after`, in order of their numbers.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn list_folders(&self, parent: FolderNo, after: u32, limit: u32) -> Result<Vec<FolderRow>> {
        self.db().many(
            "listing folders",
            concat!(
                "SELECT ",
                folder_columns!(),
                " FROM folder f WHERE f.parent = ?1 AND f.present = 1 AND f.number > ?2 \
                 ORDER BY f.number LIMIT ?3"
            ),
            (parent.0, after, limit),
            folder_row,
        )
    }

    /// Present places with numbers above `after`, in order of their numbers; `item` as in
    /// [`Reader::child_place`].
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn list_places(
        &self,
        folder: FolderNo,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(PlaceRow, Option<ItemRow>)>> {
        let found = self.db().many(
            "listing files",
            concat!(
                "SELECT ",
                place_columns!(),
                ", ",
                item_columns!(),
                " FROM place p ",
                item_at_place!(),
                " WHERE p.folder = ?1 AND p.present = 1 AND p.number > ?2 ORDER BY p.number LIMIT ?3"
            ),
            (folder.0, after, limit),
            place_with_item,
        )?;
        found
            .into_iter()
            .map(|found| self.place_as_it_is(found))
            .collect()
    }

    /// Present places of a folder whose names begin with `stem` and a dot, in order of their names; `item` as in
    /// [`Reader::child_place`].
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn places_of_stem(
        &self,
        folder: FolderNo,
        stem: &[u8],
        limit: u32,
    ) -> Result<Vec<(PlaceRow, Option<ItemRow>)>> {
        let stem = compared(stem);
        let found = self.db().many(
            "looking for files",
            concat!(
                "SELECT ",
                place_columns!(),
                ", ",
                item_columns!(),
                " FROM place p ",
                item_at_place!(),
                " WHERE p.folder = ?1 AND p.key >= ?2 AND p.key < ?3 AND p.present = 1 ORDER BY p.key LIMIT ?4"
            ),
            (
                folder.0,
                [&stem[..], b"."].concat(),
                // The byte behind the dot.
                [&stem[..], b"/"].concat(),
                limit,
            ),
            place_with_item,
        )?;
        found
            .into_iter()
            .map(|found| self.place_as_it_is(found))
            .collect()
    }

    /// Every place of one folder, present or gone, for the scanner to compare with the disk.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn places_of_folder(&self, folder: FolderNo) -> Result<Vec<PlaceRow>> {
        self.db().many(
            "listing files",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM place p WHERE p.folder = ?1 ORDER BY p.number"
            ),
            [folder.0],
            place_row,
        )
    }

    /// A place.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn place(&self, place: PlaceNo) -> Result<Option<PlaceRow>> {
        self.db().one(
            "reading a place",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM place p WHERE p.number = ?1"
            ),
            [place.0],
            place_row,
        )
    }

    /// The base of a folder, and the path below it (empty for the top). Remembered in memory.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn folder_path(&self, folder: FolderNo) -> Result<Option<(BaseNo, PathBuf)>> {
        if !self.sees_commits_only() {
            return self.climb(folder);
        }
        let turn = match self.shared().paths.get(folder) {
            Ok(known) => return Ok(Some(known)),
            Err(turn) => turn,
        };
        let found = self.snapshot(|reader| reader.climb(folder))?;
        if let Some((base, path)) = &found {
            self.shared().paths.remember(turn, folder, *base, path);
        }
        Ok(found)
    }

    fn climb(&self, folder: FolderNo) -> Result<Option<(BaseNo, PathBuf)>> {
        let mut names = Vec::new();
        let mut at = folder;
        let mut base = None;
        for _ in 0..DEEPEST {
            let Some(row) = self.folder(at)? else {
                return Ok(None);
            };
            base = base.or(Some(row.base));
            match row.parent {
                Some(parent) => {
                    names.push(row.name);
                    at = parent;
                }
                None => return Ok(base.map(|base| (base, path_from(names)))),
            }
        }
        Ok(None)
    }

    /// The base of a place, and the path below it; `None` also where another file has taken its name.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn place_path(&self, place: PlaceNo) -> Result<Option<(BaseNo, PathBuf)>> {
        let Some(row) = self.place(place)? else {
            return Ok(None);
        };
        self.path_of(&row)
    }

    /// As [`Reader::place_path`], of a row that was read already.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn path_of(&self, place: &PlaceRow) -> Result<Option<(BaseNo, PathBuf)>> {
        let Some(folder) = place.folder else {
            return Ok(None);
        };
        Ok(self.folder_path(folder)?.map(|(base, mut path)| {
            path.push(&place.name);
            (base, path)
        }))
    }

    /// Items whose bytes are, or were last, at this place, of all scopes, oldest first: those of which it is the place
    /// of record, and those that live in it as their own file is not there.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn items_at(&self, place: PlaceNo) -> Result<Vec<ItemRow>> {
        let found = self.db().many(
            "listing the items of a file",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.place = ?1 ORDER BY i.number"
            ),
            [place.0],
            item_row,
        )?;
        self.all_as_they_are(found)
    }

    /// Candidates for a moved file: places of this size that are gone. Not those that only a manifest tells of, of which
    /// nobody knows where they would be: see [`super::At::Nowhere`].
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn gone_places_of_size(&self, size: u64) -> Result<Vec<PlaceRow>> {
        self.db().many(
            "looking for a moved file",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM place p WHERE p.present = 0 AND p.size = ?1 AND (p.folder IS NOT NULL OR p.changed <> 0) \
                 ORDER BY p.number"
            ),
            [stored(size)],
            place_row,
        )
    }

    /// Candidates for a moved file: places, present or gone, at which this inode was seen last. Of all devices.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn places_of_inode(&self, inode: u64) -> Result<Vec<PlaceRow>> {
        self.db().many(
            "looking for a moved file",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM place p WHERE p.inode = ?1 ORDER BY p.number"
            ),
            [stored(inode)],
            place_row,
        )
    }

    /// The fingerprint of a place's present content, once it was probed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn fingerprint(&self, place: PlaceNo) -> Result<Option<[u8; 32]>> {
        let found = self.db().one(
            "reading a fingerprint",
            "SELECT c.fingerprint FROM content c JOIN place p ON p.number = c.place \
             WHERE c.place = ?1 AND c.generation = p.generation",
            [place.0],
            |row| row.get::<_, Option<[u8; 32]>>(0),
        )?;
        Ok(found.flatten())
    }
}

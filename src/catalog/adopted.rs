//! Items that a manifest tells of, taken in from it.
//!
//! Such an item needs no file: it has a place that is gone, with the facts that the manifest states. So it has its
//! silence, it is found again by its hash wherever the same bytes are, and a look at its folder finds its file.

use std::ffi::{OsStr, OsString};

use super::convert::{Coded, bytes_of, container_word, stored};
use super::error::{CatalogError, Result};
use super::items::Fresh;
use super::reader::Reader;
use super::rows::{BaseNo, FolderNo, ItemNo, Nanoseconds, PlaceNo};
use super::writer::Writer;
use crate::model::{Format, Kind, Lifecycle, MediaId, ObjectHash, Origin, compared};

/// Permissions of an item whose file nobody has seen.
const PERMISSIONS: u16 = 0o644;

/// Where the bytes of an item of a manifest are to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum At {
    /// A file that is known.
    Known(PlaceNo),
    /// In this base, at this path below it; it will be looked for there.
    Within(BaseNo, Vec<OsString>),
    /// Nobody knows; of this name.
    Nowhere(BaseNo, OsString),
}

/// An item that a manifest tells of.
#[derive(Clone, PartialEq, Debug)]
pub struct Adopted {
    /// Its id.
    pub media_id: MediaId,
    /// Its project.
    pub project: BaseNo,
    /// What sort of thing.
    pub kind: Kind,
    /// With extension.
    pub name: String,
    /// How it came to be.
    pub origin: Origin,
    /// How far it has come.
    pub lifecycle: Lifecycle,
    /// In bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: Nanoseconds,
    /// Facts.
    pub format: Option<Format>,
    /// Of the whole content.
    pub blake3: Option<ObjectHash>,
    /// Of size and ends.
    pub fingerprint: Option<[u8; 32]>,
    /// Where its bytes are to be.
    pub at: At,
    /// The storage of record, where that does not follow from its place.
    pub recorded: Option<String>,
}

impl Reader {
    /// The name of an item in the manifest that was read or written last, where that is known.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn told_name(&self, item: ItemNo) -> Result<Option<String>> {
        let found = self.db().one(
            "reading the name that a manifest tells of",
            "SELECT told FROM item WHERE number = ?1",
            [item.0],
            |row| row.get(0),
        )?;
        Ok(found.flatten())
    }
}

impl Writer {
    /// Makes an item that a manifest tells of. Its project has none of this id.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn adopt(&mut self, adopted: &Adopted) -> Result<ItemNo> {
        let place = self.place_for(adopted)?;
        let Some(row) = self.reader().place(place)? else {
            return Err(CatalogError::Unknown {
                what: "place",
                number: place.0,
            });
        };
        let item = self.insert_item(
            &row,
            &Fresh {
                media_id: adopted.media_id.clone(),
                project: Some(adopted.project),
                kind: adopted.kind.clone(),
                name: adopted.name.clone(),
                origin: adopted.origin.clone(),
            },
        )?;
        self.run(
            "making an item",
            "UPDATE item SET lifecycle = ?2, recorded = ?3, \
             permissions = CASE WHEN permissions = 0 THEN ?4 ELSE permissions END WHERE number = ?1",
            (
                item.0,
                adopted.lifecycle.code(),
                &adopted.recorded,
                PERMISSIONS,
            ),
        )?;
        Ok(item)
    }

    /// An item of a manifest that is missing is to be elsewhere from now on.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn rebind(&mut self, item: ItemNo, adopted: &Adopted) -> Result<()> {
        let row = self.known_item(item)?;
        let place = self.place_for(adopted)?;
        self.run(
            "pointing an item elsewhere",
            "UPDATE item SET place = ?2, home = NULL, recorded = ?3, generation = generation + 1, \
             size = (SELECT size FROM place WHERE number = ?2), \
             hashed = EXISTS (SELECT 1 FROM content WHERE place = ?2 AND blake3 IS NOT NULL) WHERE number = ?1",
            (item.0, place.0, &adopted.recorded),
        )?;
        if let Some(there) = self.reader().place(place)? {
            if there.is_here() {
                self.items_are_here(&there)?;
            } else {
                self.items_are_missing(&there)?;
            }
        }
        self.changes.item(item, &row.media_id, true);
        self.durable = true;
        Ok(())
    }

    /// The manifest of a project that was read or written last tells of its item by this name.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_told_name(&mut self, project: BaseNo, id: &MediaId, name: &str) -> Result<()> {
        self.run(
            "recording the name that a manifest tells of",
            "UPDATE item SET told = ?3 WHERE media_id = ?1 AND scope = ?2 AND told IS NOT ?3",
            (id.as_str(), project.0, name),
        )
        .map(|_| ())
    }

    fn place_for(&mut self, adopted: &Adopted) -> Result<PlaceNo> {
        match &adopted.at {
            At::Known(place) => Ok(*place),
            At::Nowhere(base, name) => self.told_place(*base, None, name, adopted),
            At::Within(base, path) => {
                let Some(row) = self.reader().base(*base)? else {
                    return Err(CatalogError::Unknown {
                        what: "base",
                        number: base.0,
                    });
                };
                let mut at = row.top;
                let (name, folders) = match path.split_last() {
                    Some((name, folders)) => (name.clone(), folders),
                    None => (OsString::from(&adopted.name), &[][..]),
                };
                for part in folders {
                    at = match self.reader().child_folder(at, part)? {
                        Some(known) if known.name == *part => known.row,
                        _ => self.folder(at, part, Nanoseconds(0))?,
                    };
                }
                match self.reader().place_named(at, &name)? {
                    Some(known) => Ok(known.row),
                    None => self.told_place(*base, Some(at), &name, adopted),
                }
            }
        }
    }

    /// A file that nobody has seen yet, with what the manifest says of it.
    fn told_place(
        &mut self,
        base: BaseNo,
        folder: Option<FolderNo>,
        name: &OsStr,
        adopted: &Adopted,
    ) -> Result<PlaceNo> {
        let bytes = bytes_of(name);
        self.run(
            "adding a file that a manifest tells of",
            "INSERT INTO place (base, folder, name, key, link, device, inode, size, modified, changed, born, \
             permissions, generation, present) VALUES (?1, ?2, ?3, ?4, NULL, 0, 0, ?5, ?6, 0, NULL, 0, 1, 0)",
            (
                base.0,
                folder.map(|folder| folder.0),
                bytes,
                compared(bytes),
                stored(adopted.size),
                adopted.modified.0,
            ),
        )?;
        let place = PlaceNo(self.inserted()?);
        let format = adopted.format.as_ref();
        self.run(
            "adding what a manifest says of a file",
            "INSERT INTO content (place, generation, kind, container, codec, sample_rate, channels, bit_depth, \
             float, frames, duration, fingerprint, blake3) \
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            (
                place.0,
                format.map(|_| adopted.kind.as_str()),
                format.map(|format| container_word(format.container)),
                format
                    .and_then(|format| format.codec.as_ref())
                    .map(|codec| &codec.0),
                format.and_then(|format| format.sample_rate),
                format.and_then(|format| format.channels),
                format.and_then(|format| format.bit_depth),
                format.map(|format| format.float),
                format.and_then(|format| format.frames).map(stored),
                format.and_then(|format| format.duration_seconds),
                adopted.fingerprint,
                adopted.blake3.map(|hash| hash.0),
            ),
        )?;
        Ok(place)
    }
}

//! Items whose own file is not there live on in another file of the same bytes, for as long as that is there.
//!
//! The place of record stays what it was (`item.home`): the item goes back to it when its file is back, and also when
//! the other file is changed or goes, which makes it missing unless there is a third one. So a set that was moved to
//! another disk, or a sound saved over another one, plays on under all its ids, and nothing is ever taken for the same
//! that is not: two contents are the same if their hashes are, or if the system itself said that one file became the
//! other.

use super::convert::{Coded, item_columns, item_row, place_columns, place_row, stored};
use super::error::Result;
use super::reader::Reader;
use super::rows::{ItemRow, PlaceNo, PlaceRow};
use super::writer::Writer;
use crate::model::{Availability, ObjectHash, compared};

/// Most alternatives that are told of one item.
const MOST_TOLD: u32 = 100;
/// Most candidates.
const MOST_CANDIDATES: u32 = 20;

/// In which way a file is like an item; the surest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Likeness {
    /// The same bytes.
    Bytes,
    /// The same size, and the same bytes at both ends.
    Ends,
    /// The same frames, rate, channels and name.
    FactsAndName,
    /// The same name.
    Name,
    /// The same frames, rate and channels.
    Facts,
}

/// A file that is like an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookAlike {
    /// The item that it is, if it is one.
    pub item: Option<ItemRow>,
    /// Absolute, as text.
    pub path: String,
    /// In which way.
    pub likeness: Likeness,
}

impl Reader {
    /// Items whose place of record this is, wherever their bytes are now.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn items_of(&self, place: PlaceNo) -> Result<Vec<ItemRow>> {
        let found = self.db().many(
            "listing the items of a file",
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE i.place = ?1 AND i.home IS NULL UNION ALL SELECT ",
                item_columns!(),
                " FROM item i WHERE i.home = ?1 ORDER BY 1"
            ),
            [place.0],
            item_row,
        )?;
        self.all_as_they_are(found)
    }

    /// Files that are there and have these bytes, other than `but`.
    pub(super) fn places_with(
        &self,
        hash: ObjectHash,
        but: PlaceNo,
        limit: u32,
    ) -> Result<Vec<PlaceRow>> {
        self.db().many(
            "looking for the same bytes elsewhere",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM content c JOIN place p ON p.number = c.place JOIN base b ON b.number = p.base \
                 WHERE c.blake3 = ?1 AND p.number <> ?2 AND p.present = 1 AND p.away = 0 AND p.link IS NULL \
                 AND p.folder IS NOT NULL AND NOT EXISTS \
                 (SELECT 1 FROM item i WHERE i.place = p.number AND i.hashed = 0) ORDER BY b.source IS NOT NULL, b.active DESC, p.number LIMIT ?3"
            ),
            (hash.0, but.0, limit),
            place_row,
        )
    }

    /// Files, other than the one of record, that have an item's bytes.
    pub(super) fn twins_of(&self, item: &ItemRow) -> Result<Vec<PlaceRow>> {
        let Some(record) = item.place_of_record() else {
            return Ok(Vec::new());
        };
        let mut twins = match self.blake3(item.row)? {
            Some(hash) => self.places_with(hash, record, MOST_TOLD)?,
            None => Vec::new(),
        };
        // Known for the same without a hash.
        if item.home.is_some()
            && let Some(place) = item.place
            && !twins.iter().any(|twin| twin.row == place)
        {
            twins.extend(self.place(place)?);
        }
        Ok(twins)
    }

    /// Files that are there and may be an item that is missing, as absolute paths: those with the same size and the same
    /// ends first, then those of its file's name. Goes through all files.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn candidates(&self, item: &ItemRow) -> Result<Vec<String>> {
        let place = match item.place_of_record() {
            Some(place) if item.availability == Availability::Missing => self.place(place)?,
            _ => None,
        };
        let Some(place) = place else {
            return Ok(Vec::new());
        };
        let found = self.db().many(
            "looking for what may be a missing item",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM place p JOIN content c ON c.place = p.number AND c.generation = p.generation \
                 LEFT JOIN content o ON o.place = ?1 WHERE p.number <> ?1 AND p.present = 1 AND p.away = 0 \
                 AND c.kind = ?2 AND ((p.size = ?3 AND c.fingerprint = o.fingerprint) OR p.key = ?4) \
                 ORDER BY c.fingerprint = o.fingerprint DESC, p.number LIMIT ?5"
            ),
            (
                place.row.0,
                item.kind.as_str(),
                stored(item.size),
                compared(place.name.as_encoded_bytes()),
                MOST_CANDIDATES,
            ),
            place_row,
        )?;
        let mut paths = Vec::with_capacity(found.len());
        for place in found {
            paths.extend(self.storage_of(item, &place)?.map(|(_, path)| path));
        }
        Ok(paths)
    }

    /// Files that are there and are like an item, other than its own: those with the same bytes first, then those with the
    /// same ends, the same facts and name, the name alone, the facts alone. Goes through all files.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn look_alikes(&self, item: &ItemRow, limit: u32) -> Result<Vec<LookAlike>> {
        let own = item.place_of_record().map_or(0, |place| place.0);
        let name = self
            .place(PlaceNo(own))?
            .map_or_else(|| item.name.clone().into(), |place| place.name);
        let found = self.db().many(
            "looking for files like an item",
            concat!(
                "SELECT ",
                place_columns!(),
                ", CASE WHEN c.blake3 IS NOT NULL AND c.blake3 = o.blake3 THEN 0                  WHEN p.size = ?3 AND c.fingerprint = o.fingerprint THEN 1                  WHEN c.frames = o.frames AND c.sample_rate = o.sample_rate AND c.channels = o.channels                  THEN CASE WHEN p.key = ?4 THEN 2 ELSE 4 END                  WHEN p.key = ?4 THEN 3 ELSE 9 END AS likeness                  FROM place p JOIN content c ON c.place = p.number AND c.generation = p.generation                  LEFT JOIN content o ON o.place = ?1 WHERE p.number <> ?1 AND p.present = 1 AND p.away = 0                  AND p.folder IS NOT NULL AND c.kind = ?2 AND likeness < 9 ORDER BY likeness, p.number LIMIT ?5"
            ),
            (
                own,
                item.kind.as_str(),
                stored(item.size),
                compared(name.as_encoded_bytes()),
                limit,
            ),
            |row| {
                let likeness = match row.get::<_, i64>(super::convert::PLACE_WIDTH)? {
                    0 => Likeness::Bytes,
                    1 => Likeness::Ends,
                    2 => Likeness::FactsAndName,
                    3 => Likeness::Name,
                    _ => Likeness::Facts,
                };
                Ok((place_row(row)?, likeness))
            },
        )?;
        let mut alike = Vec::with_capacity(found.len());
        for (place, likeness) in found {
            if let Some((_, path)) = self.storage_of(item, &place)? {
                alike.push(LookAlike {
                    item: self.items_of(place.row)?.into_iter().next(),
                    path,
                    likeness,
                });
            }
        }
        Ok(alike)
    }

    /// The places of record of items that live in the file at this place, though it is not theirs.
    pub(super) fn homes_in(&self, place: PlaceNo) -> Result<Vec<PlaceNo>> {
        self.db().many(
            "listing the items that live in a file",
            "SELECT DISTINCT home FROM item WHERE place = ?1 AND home IS NOT NULL",
            [place.0],
            |row| row.get(0).map(PlaceNo),
        )
    }

    /// The hash of a place's content, if nothing makes it doubtful.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn hash_of_place(&self, place: PlaceNo) -> Result<Option<ObjectHash>> {
        self.hash_at(place)
    }

    /// As [`Reader::hash_of_place`].
    pub(super) fn hash_at(&self, place: PlaceNo) -> Result<Option<ObjectHash>> {
        self.db().one(
            "reading a hash",
            "SELECT blake3 FROM content WHERE place = ?1 AND blake3 IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM item i WHERE i.place = ?1 AND i.hashed = 0)",
            [place.0],
            |row| row.get(0).map(ObjectHash),
        )
    }
}

impl Writer {
    /// The items of a place that is not there: they live on where the same bytes are, if they are anywhere.
    pub(super) fn lend(&mut self, home: PlaceNo) -> Result<()> {
        let Some(hash) = self.reader().hash_at(home)? else {
            return Ok(());
        };
        match self.reader().places_with(hash, home, 1)?.first() {
            Some(there) => self.lend_to(home, there.row),
            None => Ok(()),
        }
    }

    /// The items of a place that is not there live on in the file at `there`, which has the same bytes.
    pub(super) fn lend_to(&mut self, home: PlaceNo, there: PlaceNo) -> Result<()> {
        // A file that came back to its own name by way of another one's.
        if home == there {
            return Ok(());
        }
        // A hash that is in doubt must not be believed when the item is back.
        self.run(
            "forgetting a doubtful hash",
            "UPDATE content SET blake3 = NULL WHERE place = ?1 AND blake3 IS NOT NULL \
             AND EXISTS (SELECT 1 FROM item WHERE place = ?1 AND hashed = 0)",
            [home.0],
        )?;
        let Some(lender) = self.reader().place(there)? else {
            return Ok(());
        };
        let (availability, playable) = self.recorded_here(&lender)?;
        let lent = self.run(
            "lending a file to an item",
            "UPDATE item SET place = ?2, home = ?1, availability = ?3, playable = ?4, \
             hashed = EXISTS (SELECT 1 FROM content WHERE place = ?2 AND blake3 IS NOT NULL) \
             WHERE place = ?1 AND home IS NULL",
            (home.0, there.0, availability.code(), playable.code()),
        )?;
        if lent > 0 {
            self.tell_items_at(there, true)?;
        }
        Ok(())
    }

    /// The items of a place go back to it from wherever they live: its file is there again.
    pub(super) fn bring_home(&mut self, home: PlaceNo) -> Result<()> {
        self.run(
            "taking an item back to its file",
            "UPDATE item SET place = home, home = NULL, \
             hashed = EXISTS (SELECT 1 FROM content WHERE place = ?1 AND blake3 IS NOT NULL) WHERE home = ?1",
            [home.0],
        )
        .map(|_| ())
    }

    /// The file at `there` is about to be another one, or went: items of other places that live in it go back to
    /// their own, which are not there, and from there to where the same bytes are, if they are anywhere.
    pub(super) fn send_home(&mut self, there: PlaceNo) -> Result<()> {
        for home in self.reader().homes_in(there)? {
            self.bring_home(home)?;
            if let Some(row) = self.reader().place(home)? {
                self.items_are_missing(&row)?;
            }
        }
        Ok(())
    }

    /// The bytes at `there` are known by their hash now: missing items that have the same live on in them.
    pub(super) fn heal(&mut self, there: PlaceNo, hash: ObjectHash) -> Result<()> {
        let Some(row) = self.reader().place(there)? else {
            return Ok(());
        };
        if !row.is_here() || row.folder.is_none() {
            return Ok(());
        }
        let homes = self.reader().db().many(
            "looking for missing items with the same bytes",
            "SELECT c.place FROM content c JOIN place p ON p.number = c.place \
             WHERE c.blake3 = ?1 AND p.size = ?2 AND (p.present = 0 OR p.away = 1) AND p.number <> ?3 \
             AND EXISTS (SELECT 1 FROM item i WHERE i.place = p.number AND i.home IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM item i WHERE i.place = p.number AND i.hashed = 0)",
            (hash.0, stored(row.evidence.size), there.0),
            |row| row.get(0).map(PlaceNo),
        )?;
        for home in homes {
            self.lend_to(home, there)?;
        }
        Ok(())
    }
}

//! Sources, which bases lie on them, and what is true of items on them now.
//!
//! Which sources there are is in the database; how they are, in memory: it is told by who watches mounts and asks
//! couriers ([`Catalog::set_source_state`]), and holds as long as the process. So a disk of a hundred thousand sounds
//! goes and comes in no time, and no crash leaves it in a state that it is not in.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rusqlite::Row;

use super::Catalog;
use super::convert::{Coded, bytes_of, hash_column, name_of, place_columns, place_row};
use super::error::{CatalogError, Result};
use super::reader::Reader;
use super::rows::{
    BaseKind, BaseNo, BaseRow, Change, ItemNo, ItemRow, Nanoseconds, NewSource, PlaceNo, PlaceRow,
    SourceRow,
};
use super::writer::Writer;
use crate::model::{
    Availability, ObjectHash, Playable, SourceKind, SourceNo, SourceState, Status, Storage,
};

/// Tells whether an object is in the cache. Called at look-ups, so it must be quick, and never wait.
pub type HasObject = Box<dyn Fn(ObjectHash) -> bool + Send + Sync>;

/// How the sources are.
#[derive(Default)]
pub(super) struct Sources {
    states: RwLock<HashMap<SourceNo, SourceState>>,
    /// The source of each base that lies on one.
    bases: RwLock<HashMap<BaseNo, SourceNo>>,
    cache: RwLock<Option<Arc<HasObject>>>,
    /// Of each source one change after the other, so that listeners are told in order.
    telling: Mutex<HashMap<SourceNo, Arc<Mutex<()>>>>,
}

impl Sources {
    fn is_online(&self, source: SourceNo) -> bool {
        let state = self.states.read().get(&source).copied();
        state.unwrap_or_default().is_online()
    }

    fn has_object(&self, hash: ObjectHash) -> bool {
        let cache = self.cache.read().clone();
        cache.is_some_and(|cache| cache(hash))
    }

    /// Reads anew which bases lie on which sources.
    pub(super) fn reload(&self, reader: &Reader) -> Result<()> {
        let found = reader.db().many(
            "listing what lies on sources",
            "SELECT number, source FROM base WHERE source IS NOT NULL",
            [],
            |row| Ok((BaseNo(row.get(0)?), SourceNo(row.get(1)?))),
        )?;
        *self.bases.write() = found.into_iter().collect();
        Ok(())
    }
}

/// Where the bytes of an item that is not on trusted storage can be had from all the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AtHand {
    /// In the cache.
    Object(ObjectHash),
    /// In this file on trusted storage, which has the same bytes.
    Twin(Box<PlaceRow>),
}

macro_rules! source_columns {
    () => {
        "s.number, s.kind, s.identity, s.name, s.provider, s.path, s.seen"
    };
}

fn source_row(row: &Row<'_>) -> rusqlite::Result<SourceRow> {
    Ok(SourceRow {
        row: SourceNo(row.get(0)?),
        kind: SourceKind::column(row, 1)?,
        identity: row.get(2)?,
        name: row.get(3)?,
        provider: row.get(4)?,
        path: name_of(row.get(5)?).into(),
        seen: Nanoseconds(row.get(6)?),
    })
}

impl Catalog {
    /// A source is like this from now on. Tells the listeners, if that is news; of several sources at once, where changes
    /// come together, as telling of one that has many items takes its time.
    pub fn set_source_state(&self, source: SourceNo, state: SourceState) {
        let sources = &self.shared.sources;
        let telling = Arc::clone(sources.telling.lock().entry(source).or_default());
        let _one = telling.lock();
        let before = sources.states.write().insert(source, state);
        if before.unwrap_or_default() == state {
            return;
        }
        let change = [Change::Source { row: source, state }];
        for listener in self.listeners.read().iter() {
            listener(&change);
        }
    }

    /// How a source is.
    #[must_use]
    pub fn source_state(&self, source: SourceNo) -> SourceState {
        let states = self.shared.sources.states.read();
        states.get(&source).copied().unwrap_or_default()
    }

    /// Who is asked whether an object is in the cache, from now on.
    pub fn set_cache(&self, has: HasObject) {
        *self.shared.sources.cache.write() = Some(Arc::new(has));
    }

    /// Objects came into the cache or went from it: the listeners are told of the items that have these bytes.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn object_changed(&self, hash: ObjectHash) -> Result<()> {
        let items = self.reader()?.items_of_bytes(hash)?;
        let changes: Vec<Change> = items
            .into_iter()
            .map(|item| Change::Item {
                row: item.row,
                media_id: item.media_id,
                swapped: true,
                removed: false,
            })
            .collect();
        if !changes.is_empty() {
            for listener in self.listeners.read().iter() {
                listener(&changes);
            }
        }
        Ok(())
    }
}

impl Reader {
    /// All sources, in the order they became known.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn sources(&self) -> Result<Vec<SourceRow>> {
        self.db().many(
            "listing sources",
            concat!(
                "SELECT ",
                source_columns!(),
                " FROM source s ORDER BY s.number"
            ),
            [],
            source_row,
        )
    }

    /// A source.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn source(&self, source: SourceNo) -> Result<Option<SourceRow>> {
        self.db().one(
            "reading a source",
            concat!(
                "SELECT ",
                source_columns!(),
                " FROM source s WHERE s.number = ?1"
            ),
            [source.0],
            source_row,
        )
    }

    /// The source of a base; `None` where it lies on trusted storage. From memory.
    #[must_use]
    pub fn source_of(&self, base: BaseNo) -> Option<SourceNo> {
        self.shared().sources.bases.read().get(&base).copied()
    }

    /// How a source is. From memory.
    #[must_use]
    pub fn source_state(&self, source: SourceNo) -> SourceState {
        let states = self.shared().sources.states.read();
        states.get(&source).copied().unwrap_or_default()
    }

    /// Items whose bytes these are.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn items_of_bytes(&self, hash: ObjectHash) -> Result<Vec<ItemRow>> {
        let items = self.db().many(
            "looking for items with the same bytes",
            "SELECT i.number FROM content c JOIN item i ON i.place = c.place WHERE c.blake3 = ?1 ORDER BY i.number",
            [hash.0],
            |row| row.get(0).map(ItemNo),
        )?;
        let rows = items.into_iter().map(|item| self.item(item));
        rows.filter_map(Result::transpose).collect()
    }

    /// Where an item's bytes can be had from, where its own file is not on trusted storage or not there.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn at_hand(&self, item: &ItemRow) -> Result<Option<AtHand>> {
        match item.place {
            Some(place) => self.place_at_hand(place),
            None => Ok(None),
        }
    }

    /// As [`Reader::at_hand`], of the present content of a place.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn place_at_hand(&self, place: PlaceNo) -> Result<Option<AtHand>> {
        let Some(hash) = self.hash_at(place)? else {
            return Ok(None);
        };
        if self.shared().sources.has_object(hash) {
            return Ok(Some(AtHand::Object(hash)));
        }
        let twin = self.db().one(
            "looking for the same bytes on trusted storage",
            concat!(
                "SELECT ",
                place_columns!(),
                " FROM content c JOIN place p ON p.number = c.place JOIN base b ON b.number = p.base \
                 WHERE c.blake3 = ?1 AND p.number <> ?2 AND b.source IS NULL AND p.present = 1 AND p.away = 0 \
                 AND p.link IS NULL AND p.folder IS NOT NULL AND NOT EXISTS \
                 (SELECT 1 FROM item i WHERE i.place = p.number AND i.hashed = 0) LIMIT 1"
            ),
            (hash.0, place.0),
            place_row,
        )?;
        Ok(twin.map(|twin| AtHand::Twin(Box::new(twin))))
    }

    /// Why an item is not on trusted storage, or not there, for people; `None` where it is.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn cause_of(&self, item: &ItemRow) -> Result<Option<String>> {
        if item.availability == Availability::Local {
            return Ok(None);
        }
        if let Some(reason) = self.held_back(item)? {
            return Ok(Some(format!("it is held back: {reason}")));
        }
        if let Some(root) = self.library_elsewhere(item)? {
            return Ok(Some(format!(
                "it is in the library {root} where its project was saved, and no file with its bytes is here"
            )));
        }
        let base = match item.place {
            Some(place) => self.place(place)?.map(|place| place.base),
            None => None,
        };
        let source = base.and_then(|base| self.source_of(base));
        let Some(source) = source else {
            return Ok(Some("its file is not there".to_owned()));
        };
        let state = self.source_state(source);
        let name = self.source(source)?.map(|row| row.name).unwrap_or_default();
        Ok(Some(if item.availability == Availability::Missing {
            format!("its file is not on {name} any more")
        } else {
            format!("{name} is {}", state.words())
        }))
    }

    /// Why a missing item of a project is held back, if it is: its manifest names a file that needs the user's consent.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn held_back(&self, item: &ItemRow) -> Result<Option<String>> {
        let Some(project) = item
            .project
            .filter(|_| item.availability == Availability::Missing)
        else {
            return Ok(None);
        };
        self.db().one(
            "asking whether an item is held back",
            "SELECT reason FROM held WHERE base = ?1 AND media_id = ?2 COLLATE NOCASE AND entry = '' LIMIT 1",
            (project.0, item.media_id.as_str()),
            |row| row.get(0),
        )
    }

    /// The library that a missing item is in where its project was saved, as the manifest tells: none that is here has it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn library_elsewhere(&self, item: &ItemRow) -> Result<Option<String>> {
        if item.availability != Availability::Missing {
            return Ok(None);
        }
        let recorded = self.recorded_storage(item.row)?;
        let storage = recorded.and_then(|text| serde_json::from_str(&text).ok());
        Ok(match storage {
            Some(Storage::Reference { root, .. }) => root,
            _ => None,
        })
    }

    /// An item as it is now: see [`Status::now`].
    pub(super) fn as_it_is(&self, mut item: ItemRow) -> Result<ItemRow> {
        let online = match item.availability {
            Availability::ExternalOnline | Availability::RemoteFetching => {
                self.is_online(item.place)?
            }
            Availability::Missing => false,
            _ => return Ok(item),
        };
        let at_hand = self.at_hand(&item)?.is_some();
        let now = Status::now((item.availability, item.playable), online, at_hand);
        (item.availability, item.playable) = (now.availability(), now.playable());
        Ok(item)
    }

    /// As [`Reader::as_it_is`], of one that may not be there.
    pub(super) fn one_as_it_is(&self, item: Option<ItemRow>) -> Result<Option<ItemRow>> {
        item.map(|item| self.as_it_is(item)).transpose()
    }

    /// As [`Reader::as_it_is`], of several.
    pub(super) fn all_as_they_are(&self, items: Vec<ItemRow>) -> Result<Vec<ItemRow>> {
        items.into_iter().map(|item| self.as_it_is(item)).collect()
    }

    /// As [`Reader::as_it_is`], of a file's.
    pub(super) fn place_as_it_is(
        &self,
        (place, item): (PlaceRow, Option<ItemRow>),
    ) -> Result<(PlaceRow, Option<ItemRow>)> {
        Ok((place, self.one_as_it_is(item)?))
    }

    fn is_online(&self, place: Option<PlaceNo>) -> Result<bool> {
        let sources = &self.shared().sources;
        let base = match place {
            None => None,
            Some(place) => self.db().one(
                "reading the base of a file",
                "SELECT base FROM place WHERE number = ?1",
                [place.0],
                |row| row.get(0).map(BaseNo),
            )?,
        };
        let source = base.and_then(|base| sources.bases.read().get(&base).copied());
        Ok(source.is_some_and(|source| sources.is_online(source)))
    }

    /// How many items there are of each state. Goes through all items that are not on trusted storage.
    pub(super) fn states(&self) -> Result<Vec<(Availability, Playable, u64)>> {
        let mut counts: BTreeMap<(i64, i64), (Availability, Playable, u64)> = BTreeMap::new();
        let mut count = |availability: Availability, playable: Playable, more: u64| {
            let entry = counts
                .entry((availability.code(), playable.code()))
                .or_insert((availability, playable, 0));
            entry.2 += more;
        };
        let local = self.db().one(
            "counting items",
            "SELECT count(*) FROM item WHERE availability = 0",
            [],
            |row| super::convert::unsigned(row, 0),
        )?;
        if let Some(local) = local.filter(|local| *local > 0) {
            count(Availability::Local, Playable::Bytes, local);
        }
        let failed = |e| self.db().failed("counting items", e);
        let sources = &self.shared().sources;
        self.db().each(
            "counting items",
            "SELECT i.availability, i.playable, b.source, c.blake3 FROM item i LEFT JOIN place p ON p.number = i.place \
             LEFT JOIN base b ON b.number = p.base LEFT JOIN content c ON c.place = i.place WHERE i.availability <> 0",
            [],
            |row| {
                let recorded = (
                    Availability::column(row, 0).map_err(failed)?,
                    Playable::column(row, 1).map_err(failed)?,
                );
                let source = row.get::<_, Option<u32>>(2).map_err(failed)?;
                let hash = hash_column(row, 3).map_err(failed)?;
                let online = source.is_some_and(|source| sources.is_online(SourceNo(source)));
                let at_hand = hash.is_some_and(|hash| sources.has_object(hash));
                let now = Status::now(recorded, online, at_hand);
                count(now.availability(), now.playable(), 1);
                Ok(true)
            },
        )?;
        Ok(counts.into_values().collect())
    }

    /// Whether an object is in the cache.
    pub(super) fn has_object(&self, hash: ObjectHash) -> bool {
        self.shared().sources.has_object(hash)
    }
}

impl Writer {
    /// Makes a source known, or says again what is known of it; gives it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn add_source(&mut self, new: &NewSource, seen: Nanoseconds) -> Result<SourceRow> {
        let known = self.reader().db().one(
            "looking for a source",
            concat!(
                "SELECT ",
                source_columns!(),
                " FROM source s WHERE s.identity = ?1"
            ),
            [&new.identity],
            source_row,
        )?;
        let number = match known {
            Some(known) => {
                self.source_seen(known.row, &new.path, seen)?;
                known.row
            }
            None => {
                self.run(
                    "adding a source",
                    "INSERT INTO source (kind, identity, name, provider, path, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    (
                        new.kind.code(),
                        &new.identity,
                        &new.name,
                        &new.provider,
                        bytes_of(new.path.as_os_str()),
                        seen.0,
                    ),
                )?;
                self.durable = true;
                SourceNo(self.inserted()?)
            }
        };
        self.known_source(number)
    }

    /// A source is known by this from now on.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn identify_source(&mut self, source: SourceNo, identity: &str) -> Result<()> {
        self.run(
            "recording what a source is",
            "UPDATE source SET identity = ?2 WHERE number = ?1",
            (source.0, identity),
        )?;
        self.durable = true;
        Ok(())
    }

    /// A source was seen: its root is at `path`. Bases on it follow.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`]; when SQLite fails.
    pub fn source_seen(&mut self, source: SourceNo, path: &Path, seen: Nanoseconds) -> Result<()> {
        let known = self.known_source(source)?;
        self.run(
            "recording where a source is",
            "UPDATE source SET path = ?2, seen = ?3 WHERE number = ?1",
            (source.0, bytes_of(path.as_os_str()), seen.0),
        )?;
        if known.path == path {
            return Ok(());
        }
        for base in self.reader().bases()? {
            if base.source == Some(source) {
                let path = joined(path, &base.inside);
                self.run(
                    "moving what lies on a source",
                    "UPDATE base SET path = ?2 WHERE number = ?1",
                    (base.row.0, bytes_of(path.as_os_str())),
                )?;
                self.changes.base(base.row);
            }
        }
        Ok(())
    }

    /// A source was there until now.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn source_left(&mut self, source: SourceNo, seen: Nanoseconds) -> Result<()> {
        self.run(
            "recording when a source was seen last",
            "UPDATE source SET seen = ?2 WHERE number = ?1",
            (source.0, seen.0),
        )
        .map(|_| ())
    }

    /// A base lies on a source, at `inside` below its root; or on trusted storage.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_base_source(
        &mut self,
        base: BaseNo,
        source: Option<(SourceNo, &Path)>,
    ) -> Result<()> {
        self.run(
            "recording what a base lies on",
            "UPDATE base SET source = ?2, inside = ?3 WHERE number = ?1",
            (
                base.0,
                source.map(|(source, _)| source.0),
                source.map(|(_, inside)| bytes_of(inside.as_os_str())),
            ),
        )?;
        self.changes.base(base);
        self.bases_changed = true;
        self.durable = true;
        // What is recorded of its items follows.
        let places = self.reader().db().many(
            "listing the files of a base",
            "SELECT number FROM place WHERE base = ?1 AND EXISTS (SELECT 1 FROM item i WHERE i.place = place.number)",
            [base.0],
            |row| row.get(0).map(PlaceNo),
        )?;
        for place in places {
            if let Some(row) = self.reader().place(place)?.filter(PlaceRow::is_here) {
                self.items_are_here(&row)?;
            }
        }
        Ok(())
    }

    /// The base of files that are referenced on a source; made at the first call.
    ///
    /// # Errors
    /// [`CatalogError::Unknown`]; when SQLite fails.
    pub fn base_of_source(&mut self, source: SourceNo) -> Result<BaseRow> {
        let bases = self.reader().bases()?.into_iter();
        let known = bases
            .filter(|base| base.kind == BaseKind::Source)
            .find(|base| base.source == Some(source));
        if let Some(known) = known {
            return Ok(known);
        }
        let row = self.known_source(source)?;
        let base = self.insert_base(BaseKind::Source, &row.name, &row.path, None, true)?;
        self.set_base_source(base.row, Some((source, Path::new(""))))?;
        self.reader().base(base.row)?.ok_or(CatalogError::Unknown {
            what: "base",
            number: base.row.0,
        })
    }

    /// A file's bytes are, or are not, on this machine only with its provider.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_online_only(&mut self, place: PlaceNo, online_only: bool) -> Result<()> {
        let Some(row) = self.reader().place(place)? else {
            return Ok(());
        };
        if row.online_only == online_only {
            return Ok(());
        }
        self.run(
            "recording where the bytes of a file are",
            // What has come can be read.
            "UPDATE place SET online_only = ?2, probed = CASE WHEN ?2 THEN probed ELSE 0 END WHERE number = ?1",
            (place.0, online_only),
        )?;
        if let Some(row) = self.reader().place(place)?.filter(PlaceRow::is_here) {
            self.items_are_here(&row)?;
        }
        Ok(())
    }

    /// Of items whose file is there: what is recorded of their state, by what it lies on.
    pub(super) fn items_are_here(&mut self, row: &PlaceRow) -> Result<()> {
        let (availability, playable) = self.recorded_here(row)?;
        let changed = self.run(
            "recording how an item is",
            "UPDATE item SET availability = ?2, playable = ?3 \
             WHERE place = ?1 AND (availability <> ?2 OR playable <> ?3)",
            (row.row.0, availability.code(), playable.code()),
        )?;
        if changed > 0 {
            self.tell_items_at(row.row, true)?;
        }
        Ok(())
    }

    /// What is recorded of items whose file is there.
    pub(super) fn recorded_here(&self, row: &PlaceRow) -> Result<(Availability, Playable)> {
        // Asked of the database, as this transaction may have changed it.
        let kind = self.reader().db().one(
            "reading what a base lies on",
            "SELECT s.kind FROM base b JOIN source s ON s.number = b.source WHERE b.number = ?1",
            [row.base.0],
            |row| SourceKind::column(row, 0),
        )?;
        let Some(kind) = kind else {
            return Ok((Availability::Local, Playable::Bytes));
        };
        let format = self.reader().format_at(row.row)?;
        let capsule = self.will_have_capsule(super::capsules::Content::of(row));
        let playable =
            super::places::playable_when_missing(format.as_ref(), row.evidence.size, capsule);
        if row.online_only && kind == SourceKind::Cloud {
            return Ok((Availability::RemoteFetching, playable));
        }
        let in_part = playable == Playable::Silence
            && format.is_some_and(|format| crate::silence::shares_layout(&format, capsule));
        let playable = if in_part { Playable::Partial } else { playable };
        Ok((Availability::ExternalOnline, playable))
    }

    fn known_source(&self, source: SourceNo) -> Result<SourceRow> {
        self.reader().source(source)?.ok_or(CatalogError::Unknown {
            what: "source",
            number: source.0,
        })
    }
}

fn joined(root: &Path, inside: &Path) -> std::path::PathBuf {
    if inside.as_os_str().is_empty() {
        root.to_owned()
    } else {
        root.join(inside)
    }
}

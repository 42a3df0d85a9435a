//! The cells that operations change, and what they hold: read, compared, written as text.

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::catalog::convert::Coded;
use crate::catalog::error::Result;
use crate::catalog::reader::Reader;
use crate::catalog::rows::{BaseNo, ItemNo, PlaceNo, PlaceRow};
use crate::catalog::writer::Writer;

/// One thing of an item that can change by itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::catalog) enum Cell {
    /// That it is there at all, with everything of it.
    Exists,
    /// Its name.
    Name,
    /// Where its bytes are.
    Bytes,
    /// A tag, by its key.
    Tag(String),
    /// An attribute, by its key.
    Attribute(String),
    /// Who uses it: project, role, target.
    Usage(String, String, String),
    /// Its bytes are to stay in the cache, for whom.
    Pin(String),
    /// A library root is registered; of no item.
    Library(u32),
}

impl Cell {
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// A change of one can stand in the way of a change of the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self == other || *self == Self::Exists || *other == Self::Exists
    }
}

/// A tag or attribute as it is recorded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::catalog) struct Label {
    pub(super) name: String,
    /// Of an attribute, as JSON.
    #[serde(default)]
    pub(super) value: String,
    pub(super) source: i64,
    /// The bits of the number, so that it is the same when it is read again.
    pub(super) confidence: u32,
    pub(super) removed: bool,
}

/// Where the bytes of an item are, and what they were.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::catalog) struct Bytes {
    /// The place of record.
    pub(super) place: Option<u32>,
    pub(super) kind: String,
    pub(super) size: u64,
    pub(super) modified: i64,
    /// In hexadecimal digits.
    pub(super) blake3: Option<String>,
    pub(super) recorded: Option<String>,
    /// Its storage by the place's name then, as JSON: the place may lose its name to another file.
    #[serde(default)]
    pub(super) storage: Option<String>,
}

impl Bytes {
    /// What is to be recorded of where the item is, now that it is at this place again.
    pub(super) fn to_record(&self, place: Option<&PlaceRow>) -> Option<&str> {
        let is_named = place.is_some_and(|place| place.folder.is_some());
        let storage = self.storage.as_deref().filter(|_| !is_named);
        self.recorded.as_deref().or(storage)
    }
}

/// A whole item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::catalog) struct Record {
    pub(super) media_id: String,
    /// The project's base, or 0.
    pub(super) scope: u32,
    pub(super) name: String,
    pub(super) origin: String,
    pub(super) lifecycle: i64,
    pub(super) generation: u32,
    pub(super) born: Option<i64>,
    pub(super) permissions: u16,
    pub(super) bytes: Bytes,
    pub(super) tags: Vec<(String, Label)>,
    pub(super) attributes: Vec<(String, Label)>,
    pub(super) alternatives: Vec<String>,
    /// Project, role, target, when.
    pub(super) usages: Vec<(String, String, String, i64)>,
    /// Those that were removed, likewise.
    #[serde(default)]
    pub(super) removed_usages: Vec<(String, String, String, i64)>,
    pub(super) pins: Vec<String>,
    pub(super) former: Vec<(String, i64)>,
    /// What only a project's manifest knew of it: base (0: none) and text.
    #[serde(default)]
    pub(super) entries: Vec<(u32, String)>,
}

/// What a cell holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::catalog) enum Value {
    /// Nothing.
    None,
    /// Something, of which the rest is not kept here.
    There,
    /// A name.
    Text(String),
    /// A tag or attribute.
    Label(Label),
    /// Since when a usage is known, in milliseconds since 1970.
    Time(i64),
    /// Where bytes are.
    Bytes(Bytes),
    /// A whole item.
    Record(Box<Record>),
}

impl Value {
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// For history the same: of an item only that it is there, of bytes which file they are.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Record(_) | Self::There, Self::Record(_) | Self::There)
            | (Self::Time(_), Self::Time(_)) => true,
            (Self::Bytes(one), Self::Bytes(other)) => one.place == other.place,
            _ => self == other,
        }
    }

    /// The places that are named.
    pub(super) fn places(&self) -> Option<PlaceNo> {
        match self {
            Self::Bytes(bytes) => bytes.place,
            Self::Record(record) => record.bytes.place,
            _ => None,
        }
        .map(PlaceNo)
    }

    pub(super) fn project(&self) -> Option<BaseNo> {
        match self {
            Self::Record(record) if record.scope != 0 => Some(BaseNo(record.scope)),
            _ => None,
        }
    }

    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Record(record) => Some(record.name.clone()),
            _ => None,
        }
    }
}

fn label(row: &Row<'_>, first: usize) -> rusqlite::Result<Label> {
    Ok(Label {
        name: row.get(first)?,
        value: row.get(first + 1)?,
        source: row.get(first + 2)?,
        confidence: row.get::<_, f32>(first + 3)?.to_bits(),
        removed: row.get(first + 4)?,
    })
}

const TAG: &str = "SELECT key, name, '', source, confidence, removed FROM tag WHERE item = ?1 AND (?2 IS NULL OR key = ?2) ORDER BY key";
const ATTRIBUTE: &str = "SELECT key, name, value, source, confidence, removed FROM attribute WHERE item = ?1 \
                         AND (?2 IS NULL OR key = ?2) ORDER BY key";

impl Reader {
    fn labels(&self, sql: &str, item: ItemNo, key: Option<&str>) -> Result<Vec<(String, Label)>> {
        self.db()
            .many("reading tags or attributes", sql, (item.0, key), |row| {
                Ok((row.get(0)?, label(row, 1)?))
            })
    }

    fn bytes_of_item(&self, item: ItemNo) -> Result<Option<Bytes>> {
        let found = self.db().one(
            "reading where an item's bytes are",
            "SELECT coalesce(i.home, i.place), i.kind, i.size, i.modified, i.recorded, c.blake3 \
             FROM item i LEFT JOIN content c ON c.place = i.place WHERE i.number = ?1",
            [item.0],
            |row| {
                Ok(Bytes {
                    place: row.get(0)?,
                    kind: row.get(1)?,
                    size: crate::catalog::convert::unsigned(row, 2)?,
                    modified: row.get(3)?,
                    recorded: row.get(4)?,
                    storage: None,
                    blake3: crate::catalog::convert::hash_column(row, 5)?
                        .map(|hash| hash.to_string()),
                })
            },
        )?;
        let Some(mut bytes) = found else {
            return Ok(None);
        };
        if bytes.recorded.is_none()
            && let Some(place) = bytes.place
            && let Some(place) = self.place(PlaceNo(place))?
            && let Some(row) = self.item(item)?
            && let Some((storage, _)) = self.storage_of(&row, &place)?
        {
            bytes.storage = serde_json::to_string(&storage).ok();
        }
        Ok(Some(bytes))
    }

    fn record(&self, item: ItemNo) -> Result<Option<Record>> {
        let Some(bytes) = self.bytes_of_item(item)? else {
            return Ok(None);
        };
        let one = self.db().one(
            "reading an item",
            "SELECT media_id, scope, name, origin, lifecycle, generation, born, permissions FROM item WHERE number = ?1",
            [item.0],
            |row| {
                Ok(Record {
                    media_id: row.get(0)?,
                    scope: row.get(1)?,
                    name: row.get(2)?,
                    origin: row.get(3)?,
                    lifecycle: row.get(4)?,
                    generation: row.get(5)?,
                    born: row.get(6)?,
                    permissions: row.get(7)?,
                    bytes,
                    tags: Vec::new(),
                    attributes: Vec::new(),
                    alternatives: Vec::new(),
                    usages: Vec::new(),
                    removed_usages: Vec::new(),
                    pins: Vec::new(),
                    former: Vec::new(),
                    entries: Vec::new(),
                })
            },
        )?;
        let Some(mut record) = one else {
            return Ok(None);
        };
        record.tags = self.labels(TAG, item, None)?;
        record.attributes = self.labels(ATTRIBUTE, item, None)?;
        record.alternatives = self.alternative_texts(item)?;
        record.usages = self.db().many(
            "reading the usages of an item",
            "SELECT project, role, target, at FROM usage WHERE item = ?1 ORDER BY project, role, target",
            [item.0],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        record.removed_usages = self.db().many(
            "reading the removed usages of an item",
            "SELECT project, role, target, at FROM removed_usage WHERE item = ?1 ORDER BY project, role, target",
            [item.0],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        record.pins = self.pins_of(item)?;
        record.former = self.db().many(
            "reading the names of an item",
            "SELECT name, turn FROM former_name WHERE item = ?1 ORDER BY turn",
            [item.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        record.entries = self.db().many(
            "reading what only manifests know",
            "SELECT base, entry FROM entry WHERE item = ?1 ORDER BY base",
            [item.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(Some(record))
    }
}

impl Writer {
    /// What a cell holds now.
    pub(super) fn present(&self, item: ItemNo, cell: &Cell) -> Result<Value> {
        let reader = self.reader();
        let first =
            |labels: Vec<(String, Label)>| labels.into_iter().next().map(|(_, label)| label);
        Ok(match cell {
            Cell::Exists => reader
                .record(item)?
                .map_or(Value::None, |record| Value::Record(Box::new(record))),
            Cell::Name => reader
                .item(item)?
                .map_or(Value::None, |item| Value::Text(item.name)),
            Cell::Bytes => reader
                .bytes_of_item(item)?
                .map_or(Value::None, Value::Bytes),
            Cell::Tag(key) => {
                first(reader.labels(TAG, item, Some(key))?).map_or(Value::None, Value::Label)
            }
            Cell::Attribute(key) => {
                first(reader.labels(ATTRIBUTE, item, Some(key))?).map_or(Value::None, Value::Label)
            }
            Cell::Usage(project, role, target) => reader
                .db()
                .one(
                    "reading a usage",
                    "SELECT at FROM usage WHERE item = ?1 AND project = ?2 AND role = ?3 AND target = ?4",
                    (item.0, project, role, target),
                    |row| row.get(0),
                )?
                .map_or(Value::None, Value::Time),
            Cell::Pin(owner) => match reader.pins_of(item)?.contains(owner) {
                true => Value::There,
                false => Value::None,
            },
            Cell::Library(base) => {
                let base = reader.base(BaseNo(*base))?;
                match base.is_some_and(|base| base.active) {
                    true => Value::There,
                    false => Value::None,
                }
            }
        })
    }
}

/// So that a label's source is one that is known.
pub(super) fn is_source(code: i64) -> bool {
    usize::try_from(code).is_ok_and(|code| code < crate::model::TagSource::WORDS.len())
}

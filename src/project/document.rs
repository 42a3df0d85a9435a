//! What `media.json` says, as types, and back to text.
//!
//! The text may come from a stranger. It is read up to a size and a depth; an entry that can't be an item is held back
//! with the reason, and is written back as it was, so that one bad entry neither hides the others nor loses its own
//! text. The order of what is written is fixed: items by id, fields as here, unknown fields after them by name.

use std::collections::{HashMap, HashSet};

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::fields::{Bounded, Fields, Kept, Known, List, Raw};
use super::names::{self, Folder, Retired, Shown};
use crate::catalog::LONGEST_USAGE;
use crate::library::is_of_this_machine;
use crate::model::{
    Confidence, Format, Kind, Lifecycle, MediaId, ObjectHash, Origin, ProjectId, Storage,
    TagSource, UsageRole,
};

/// What `format` says.
pub(super) const FORMAT: &str = "mediafs-project";
/// The newest version that is known here.
pub(super) const VERSION: u64 = 2;
/// The fields that tell by which names the drive shows items.
const SHOWN: &str = "shown";
const RETIRED: &str = "retired";
const FOLDERS: &str = "folders";
/// A list of its own: who does not know it would take what is in it for usages that are there.
const REMOVED_USAGES: &str = "removedUsages";
/// Longer manifests are not read, in bytes: room for as many items as there may be, at a thousand bytes each.
pub(super) const LONGEST: u64 = 256 << 20;
/// Objects and lists within one another.
const DEEPEST: usize = 64;
/// Most items.
const MOST_ITEMS: usize = 250_000;
/// Longest name of a project, in bytes.
const LONGEST_NAME: usize = 1024;
/// Longest name of an item, in bytes.
const LONGEST_ITEM_NAME: usize = 4096;
/// Most names that an item had before, the latest of them.
pub(super) const MOST_FORMER: usize = 100;
/// Most removed usages of an item, the latest of them.
pub(super) const MOST_REMOVED: usize = 1000;
/// Longest word of a kind, an origin or a role, in bytes.
const LONGEST_WORD: usize = 64;
/// Sizes and lengths beyond this are nonsense.
const LARGEST: u64 = 1 << 48;

/// Why a text is no manifest that can be gone by.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Longer than any.
    #[error("it is too long for a project's manifest ({0} bytes)")]
    TooLong(u64),
    /// Not JSON, or not of this shape.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Something else.
    #[error("it is no manifest of a project: {0}")]
    NotAManifest(String),
    /// A newer mediafs wrote it.
    #[error("it is of version {0}, this mediafs knows versions up to {VERSION}")]
    Newer(u64),
}

/// A manifest.
#[derive(Clone, Debug)]
pub struct Document {
    /// The project's id.
    pub project_id: ProjectId,
    /// Its name.
    pub name: String,
    /// The host's revision that it belongs to.
    pub revision: Option<String>,
    /// Where the host has its own document, in its words.
    pub document: Option<String>,
    /// The items, by id.
    pub items: Vec<Item>,
    /// Entries that are no items, as they were.
    pub held: Vec<Held>,
    /// Names of items that are gone.
    pub retired: List<Retired>,
    /// Names of folders that show who uses what, where they do not follow.
    pub folders: List<Folder>,
    /// What else was there.
    pub rest: Fields,
}

/// An entry that is held back.
#[derive(Clone, Debug)]
pub struct Held {
    /// As it was.
    pub entry: Raw,
    /// Why, for people.
    pub reason: String,
}

/// Where an item's bytes live.
#[derive(Clone, Debug)]
pub enum Where {
    /// In one of the ways that are known here.
    Known(Kept<Storage>),
    /// In a newer host's way.
    Unknown(Raw),
}

/// An item of a manifest.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its id.
    pub media_id: MediaId,
    /// It is the library's, and only used here.
    pub of_library: bool,
    /// What sort of thing.
    pub kind: Kind,
    /// With extension.
    pub name: String,
    /// Names that it had before, the latest first.
    pub former_names: Vec<String>,
    /// How it came to be.
    pub origin: Origin,
    /// How far it has come.
    pub lifecycle: Lifecycle,
    /// Where its bytes live.
    pub storage: Where,
    /// The same bytes elsewhere.
    pub alternatives: List<Storage>,
    /// Facts.
    pub format: Option<Kept<Format>>,
    /// In bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub modified: Option<i64>,
    /// Of the whole content.
    pub blake3: Option<ObjectHash>,
    /// Of size and ends.
    pub fingerprint: Option<ObjectHash>,
    /// Words.
    pub tags: List<Word>,
    /// Values.
    pub attributes: List<Value>,
    /// How the project uses it.
    pub usages: List<Use>,
    /// How it did, and does no more, by when that was.
    pub removed_usages: List<Use>,
    /// The names by which the drive shows it, where they do not follow.
    pub shown: List<Shown>,
    /// What analyses made of it.
    pub analysis: List<Analysed>,
    /// What else was there.
    pub rest: Fields,
}

/// A tag, also one that the user took off.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Word {
    /// The word.
    pub name: String,
    /// Who says so.
    pub source: TagSource,
    /// How sure.
    pub confidence: f64,
    /// The user took it off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

/// An attribute, also one that the user took away.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Who says so.
    pub source: TagSource,
    /// How sure.
    pub confidence: f64,
    /// The user took it away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

/// How the project uses an item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// As what.
    #[serde(deserialize_with = "role")]
    pub role: UsageRole,
    /// The host's name for the place.
    #[serde(deserialize_with = "word")]
    pub target: String,
    /// Since when, or when it was seen last, or removed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// By what a usage in a list is known again.
pub(super) fn usage_key(used: &Use) -> (UsageRole, String) {
    (used.role.clone(), used.target.clone())
}

/// What the catalog does not take is no usage that is known here, and kept as it is.
fn word<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if (1..=LONGEST_USAGE).contains(&text.len()) {
        Ok(text)
    } else {
        Err(serde::de::Error::custom("not 1 to 1,024 bytes long"))
    }
}

fn role<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<UsageRole, D::Error> {
    use serde::de::IntoDeserializer as _;
    UsageRole::deserialize(word(deserializer)?.into_deserializer())
}

/// What an analysis made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysed {
    /// What was looked for.
    #[serde(rename = "type")]
    pub kind: String,
    /// How.
    pub parameters: String,
    /// By which program.
    pub producer: String,
    /// The object that was made.
    pub artefact: ObjectHash,
}

impl Known for Storage {
    const FIELDS: &'static [&'static str] =
        &["backend", "root", "volume", "path", "remoteId", "remoteUrl"];
}
impl Known for Format {
    const FIELDS: &'static [&'static str] = &[
        "container",
        "codec",
        "sampleRate",
        "channels",
        "bitDepth",
        "float",
        "frames",
        "durationSeconds",
    ];
}
impl Known for Word {
    const FIELDS: &'static [&'static str] = &["name", "source", "confidence", "removed"];
}
impl Known for Value {
    const FIELDS: &'static [&'static str] = &["name", "value", "source", "confidence", "removed"];
}
impl Known for Use {
    const FIELDS: &'static [&'static str] = &["role", "target", "at"];
}
impl Known for Analysed {
    const FIELDS: &'static [&'static str] = &["type", "parameters", "producer", "artefact"];
}

/// A confidence as it is written: as short as it can be told.
pub(super) fn confidence_text(confidence: Confidence) -> f64 {
    confidence.value().to_string().parse().unwrap_or(1.0)
}

/// Can be the id of a project.
pub(crate) fn is_id(id: &str) -> bool {
    id.parse::<MediaId>().is_ok()
}

/// Can be the name of a project.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
}

impl Document {
    /// Of a project that has no items yet.
    #[must_use]
    pub fn new(project_id: ProjectId, name: &str) -> Self {
        Self {
            project_id,
            name: name.to_owned(),
            revision: None,
            document: None,
            items: Vec::new(),
            held: Vec::new(),
            retired: List::default(),
            folders: List::default(),
            rest: Fields::default(),
        }
    }

    /// All but the items, and what is held back.
    pub(super) fn clone_without_items(&self) -> Self {
        Self {
            revision: self.revision.clone(),
            document: self.document.clone(),
            retired: self.retired.clone(),
            folders: self.folders.clone(),
            rest: self.rest.clone(),
            ..Self::new(self.project_id.clone(), &self.name)
        }
    }

    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if size > LONGEST {
            return Err(Fault::TooLong(size));
        }
        if is_deeper_than(text, DEEPEST) {
            let why = format!("more than {DEEPEST} lists and objects lie in one another");
            return Err(Fault::Damaged(why));
        }
        // Editors on Windows write one; it says nothing.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let damaged = |error: serde_json::Error| Fault::Damaged(error.to_string());
        let not = |why: &str| Fault::NotAManifest(why.to_owned());
        let raw: &RawValue = serde_json::from_slice(text).map_err(damaged)?;
        if !raw.get().starts_with('{') {
            return Err(not("it is no object"));
        }
        let mut fields: Fields = serde_json::from_str(raw.get()).map_err(damaged)?;
        if fields.take::<String>("format").as_deref() != Some(FORMAT) {
            return Err(not("its format is not \"mediafs-project\""));
        }
        match fields.take::<u64>("version") {
            Some(found) if found > VERSION => return Err(Fault::Newer(found)),
            Some(1..) => {}
            _ => return Err(not("its version is no number from 1")),
        }
        let project_id: String = fields.need("projectId").map_err(Fault::Damaged)?;
        let name: String = fields.need("name").map_err(Fault::Damaged)?;
        if !is_id(&project_id) {
            return Err(not(
                "its projectId is not 1 to 64 letters, digits, '_' or '-'",
            ));
        }
        if !is_name(&name) {
            return Err(not("its name is not 1 to 1,024 bytes long"));
        }
        let list = fields.take_raw("items");
        // Not copied: there may be many.
        let Bounded(entries): Bounded<MOST_ITEMS, &RawValue> = match &list {
            None => Bounded(Vec::new()),
            Some(list) => serde_json::from_str(list.get()).map_err(damaged)?,
        };
        let mut document = Self {
            revision: fields.may("revision").map_err(Fault::Damaged)?,
            document: fields.may("document").map_err(Fault::Damaged)?,
            retired: names::take(&mut fields, RETIRED),
            folders: names::take(&mut fields, FOLDERS),
            ..Self::new(ProjectId(project_id), &name)
        };
        document.rest = fields;
        document.take_entries(entries);
        Ok(document)
    }

    fn take_entries(&mut self, entries: Vec<&RawValue>) {
        let mut seen = HashSet::new();
        for entry in entries {
            let item = Item::parse(entry).and_then(|item| {
                if seen.insert(item.media_id.key()) {
                    Ok(item)
                } else {
                    Err(format!(
                        "the id {} is there twice, in upper or lower case",
                        item.media_id
                    ))
                }
            });
            match item {
                Ok(item) => self.items.push(item),
                Err(reason) => self.held.push(Held {
                    entry: entry.to_owned(),
                    reason,
                }),
            }
        }
        self.items.sort_by_cached_key(|item| item.media_id.key());
    }

    /// The item of this id.
    #[must_use]
    pub fn item(&self, id: &MediaId) -> Option<&Item> {
        self.items.iter().find(|item| item.media_id == *id)
    }

    /// Whether a text, read again, is this document; else what it has lost.
    pub(super) fn check(&self, text: &[u8]) -> Result<(), String> {
        let read = Self::parse(text).map_err(|fault| fault.to_string())?;
        let mut by_id: HashMap<String, &Item> = read
            .items
            .iter()
            .map(|item| (item.media_id.key(), item))
            .collect();
        for item in &self.items {
            let Some(again) = by_id.remove(&item.media_id.key()) else {
                return Err(format!("the item {} would be none", item.media_id));
            };
            if !item.is_same(again) {
                return Err(format!(
                    "a part of the item {} would be lost",
                    item.media_id
                ));
            }
        }
        // What is held back as it leads elsewhere is an item to whoever only reads it.
        if by_id.len() + read.held.len() != self.held.len() {
            return Err("what is held back would be lost".to_owned());
        }
        let head = |document: &Self| document.clone_without_items().text().ok();
        let odd = |document: &Self| document.retired.odd.len() + document.folders.odd.len();
        if head(self) != head(&read) || odd(self) != odd(&read) {
            return Err("what is said of the project itself would be lost".to_owned());
        }
        Ok(())
    }

    /// As text, with a line's end at its end.
    ///
    /// # Errors
    /// When something in it can't be written as JSON.
    pub fn text(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

impl Item {
    /// The same in every part, and as much of it understood.
    fn is_same(&self, other: &Self) -> bool {
        self.shape() == other.shape()
            && serde_json::to_string(self).ok() == serde_json::to_string(other).ok()
    }

    /// What was understood of it, and what was not: as text the two are the same.
    fn shape(&self) -> [usize; 17] {
        fn of<T>(list: &List<T>) -> [usize; 2] {
            [list.known.len(), list.odd.len()]
        }
        let [alternatives, odd_alternatives] = of(&self.alternatives);
        let [tags, odd_tags] = of(&self.tags);
        let [attributes, odd_attributes] = of(&self.attributes);
        let [usages, odd_usages] = of(&self.usages);
        let [removed, odd_removed] = of(&self.removed_usages);
        let [shown, odd_shown] = of(&self.shown);
        let [analysis, odd_analysis] = of(&self.analysis);
        [
            alternatives,
            odd_alternatives,
            tags,
            odd_tags,
            attributes,
            odd_attributes,
            usages,
            odd_usages,
            removed,
            odd_removed,
            shown,
            odd_shown,
            analysis,
            odd_analysis,
            usize::from(matches!(self.storage, Where::Known(_))),
            usize::from(self.format.is_some()),
            self.former_names.len(),
        ]
    }

    pub(super) fn parse(raw: &RawValue) -> Result<Self, String> {
        let mut fields: Fields =
            serde_json::from_str(raw.get()).map_err(|error| format!("it is no item: {error}"))?;
        let media_id: MediaId = fields.need("mediaId")?;
        let name: String = fields.need("name")?;
        if name.is_empty() || name.len() > LONGEST_ITEM_NAME || name.contains('\0') {
            return Err(format!(
                "its name is {} bytes long or has a NUL in it; 1 to 4,096 bytes are expected",
                name.len()
            ));
        }
        let kind: Kind = fields.need("kind")?;
        let origin = fields.may("origin")?.unwrap_or(Origin::Imported);
        for word in [kind.as_str(), origin.as_str()] {
            if word.is_empty() || word.len() > LONGEST_WORD {
                return Err("its kind or origin is not 1 to 64 bytes long".to_owned());
            }
        }
        let storage = match fields.take::<Raw>("storage") {
            None => return Err("it has no storage".to_owned()),
            Some(raw) => match Kept::parse(&raw) {
                Ok(storage) => Where::Known(storage),
                Err(_) if raw.get().starts_with('{') => Where::Unknown(raw),
                Err(error) => return Err(format!("its storage cannot be so: {error}")),
            },
        };
        let size: u64 = fields.may("size")?.unwrap_or(0);
        let format = fields
            .get("format")
            .and_then(|text| serde_json::from_str::<Raw>(text).ok())
            .and_then(|raw| Kept::<Format>::parse(&raw).ok());
        if format.is_some() {
            fields.remove("format");
        }
        let frames = format.as_ref().and_then(|format| format.value.frames);
        if size > LARGEST || frames.is_some_and(|frames| frames > LARGEST) {
            return Err("its size or length is beyond all measure".to_owned());
        }
        let scope: Option<String> = fields.may("scope")?;
        let mut attributes: List<Value> = List::take(&mut fields, "attributes")?;
        // Earlier versions wrote it.
        attributes
            .known
            .retain(|kept| !is_of_this_machine(&kept.value.name, &kept.value.value));
        Ok(Self {
            media_id,
            of_library: scope.as_deref() == Some("library"),
            kind,
            name,
            former_names: fields
                .may::<Vec<String>>("formerNames")?
                .unwrap_or_default()
                .into_iter()
                .filter(|name| (1..=LONGEST_ITEM_NAME).contains(&name.len()))
                .take(MOST_FORMER)
                .collect(),
            origin,
            lifecycle: fields.may("lifecycle")?.unwrap_or(Lifecycle::Final),
            storage,
            alternatives: List::take(&mut fields, "alternatives")?,
            format,
            size,
            modified: fields.may("modified")?,
            blake3: fields.may("blake3")?,
            fingerprint: fields.may("fingerprint")?,
            tags: List::take(&mut fields, "tags")?,
            attributes,
            usages: List::take(&mut fields, "usages")?,
            removed_usages: names::take(&mut fields, REMOVED_USAGES),
            shown: names::take(&mut fields, SHOWN),
            analysis: List::take(&mut fields, "analysis")?,
            rest: fields,
        })
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Items, and what is held back after them.
        struct Entries<'d>(&'d Document);
        impl Serialize for Entries<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Document { items, held, .. } = self.0;
                let mut list = serializer.serialize_seq(Some(items.len() + held.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                for held in held {
                    list.serialize_element(&held.entry)?;
                }
                list.end()
            }
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("format", FORMAT)?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("projectId", &self.project_id)?;
        map.serialize_entry("name", &self.name)?;
        optional(&mut map, "revision", self.revision.as_ref())?;
        optional(&mut map, "document", self.document.as_ref())?;
        map.serialize_entry("items", &Entries(self))?;
        names_of(&mut map, RETIRED, &self.retired, &self.rest)?;
        names_of(&mut map, FOLDERS, &self.folders, &self.rest)?;
        self.rest.write(&mut map)?;
        map.end()
    }
}

impl Serialize for Where {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(kept) => kept.serialize(serializer),
            Self::Unknown(raw) => raw.serialize(serializer),
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mediaId", &self.media_id)?;
        optional(
            &mut map,
            "scope",
            self.of_library.then_some("library").as_ref(),
        )?;
        map.serialize_entry("kind", &self.kind)?;
        map.serialize_entry("name", &self.name)?;
        let former = Some(&self.former_names).filter(|names| !names.is_empty());
        optional(&mut map, "formerNames", former)?;
        map.serialize_entry("origin", &self.origin)?;
        map.serialize_entry("lifecycle", &self.lifecycle)?;
        map.serialize_entry("storage", &self.storage)?;
        list(&mut map, "alternatives", &self.alternatives)?;
        optional(&mut map, "format", self.format.as_ref())?;
        map.serialize_entry("size", &self.size)?;
        optional(&mut map, "modified", self.modified.as_ref())?;
        optional(&mut map, "blake3", self.blake3.as_ref())?;
        optional(&mut map, "fingerprint", self.fingerprint.as_ref())?;
        list(&mut map, "tags", &self.tags)?;
        list(&mut map, "attributes", &self.attributes)?;
        list(&mut map, "usages", &self.usages)?;
        names_of(&mut map, REMOVED_USAGES, &self.removed_usages, &self.rest)?;
        names_of(&mut map, SHOWN, &self.shown, &self.rest)?;
        list(&mut map, "analysis", &self.analysis)?;
        self.rest.write(&mut map)?;
        map.end()
    }
}

fn optional<M: SerializeMap, T: Serialize + ?Sized>(
    map: &mut M,
    name: &str,
    value: Option<&T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, value),
        None => Ok(()),
    }
}

fn list<M: SerializeMap, T: Known>(
    map: &mut M,
    name: &str,
    list: &List<T>,
) -> Result<(), M::Error> {
    optional(map, name, Some(list).filter(|list| !list.is_empty()))
}

/// Where a newer host has something else under this name, that stands.
fn names_of<M: SerializeMap, T: Known>(
    map: &mut M,
    name: &str,
    names: &List<T>,
    rest: &Fields,
) -> Result<(), M::Error> {
    match rest.get(name) {
        Some(_) => Ok(()),
        None => list(map, name, names),
    }
}

/// Whether lists and objects lie deeper in one another, told without going in.
fn is_deeper_than(text: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;

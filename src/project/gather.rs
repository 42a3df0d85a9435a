//! From the catalog into a manifest: what is known of a project's items, with what only the manifest before knew.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::document::{
    Analysed, Document, Held, Item, MOST_FORMER, MOST_REMOVED, Use, Value, Where, Word,
    confidence_text, usage_key,
};
use super::entry;
use super::fields::{Fields, Kept, Known, List};
use super::names::Names;
use crate::catalog::{BaseRow, CatalogError, ItemNo, ItemRow, Label, Reader, UsageRow};
use crate::library::is_of_this_machine;
use crate::model::{Kind, Lifecycle, MediaId, MediaItem, ObjectHash, Storage};

/// What was gathered.
pub(super) struct Gathered {
    /// The manifest.
    pub(super) document: Document,
    /// What only it knows of items, where the catalog has not kept that yet.
    pub(super) entries: Vec<(ItemNo, String)>,
}

/// What is read of all items at once.
struct All<'r> {
    reader: &'r Reader,
    names: Names,
    usages: HashMap<ItemNo, Vec<Use>>,
    removed: HashMap<ItemNo, Vec<Use>>,
    /// By id, what the manifest before said.
    before: HashMap<String, &'r Item>,
    /// What is kept of manifests, and of items of the library what they brought along.
    entries: HashMap<ItemNo, String>,
    brought: HashMap<ItemNo, String>,
}

/// The manifest of a project as the catalog knows it now, at one moment. `before` is the one that was read or written last.
pub(super) fn gather(
    reader: &Reader,
    base: &BaseRow,
    before: &Document,
) -> Result<Gathered, CatalogError> {
    reader.snapshot(|reader| gather_all(reader, base, before))
}

fn gather_all(
    reader: &Reader,
    base: &BaseRow,
    before: &Document,
) -> Result<Gathered, CatalogError> {
    let mut document = before.clone_without_items();
    let mut removed = by_item(reader.removed_usages_by(&before.project_id)?);
    for removed in removed.values_mut() {
        removed.truncate(MOST_REMOVED);
        removed.sort_by_cached_key(|used| (used.role.as_str().to_owned(), used.target.clone()));
    }
    let mut all = All {
        reader,
        names: Names::read(reader, base)?,
        usages: by_item(reader.usages_by(&before.project_id)?),
        removed,
        before: before
            .items
            .iter()
            .map(|item| (item.media_id.key(), item))
            .collect(),
        entries: reader.entries(Some(base.row))?,
        brought: reader.entries(None)?,
    };
    let mut entries = Vec::new();
    let mut own = HashSet::new();
    reader.each_project_item(base.row, |row| {
        own.insert(row.media_id.key());
        document.items.extend(all.item(row, &mut entries)?);
        Ok::<_, CatalogError>(())
    })?;
    for row in reader.library_items_used(&before.project_id)? {
        // One of the project's own may have the id.
        if !own.contains(&row.media_id.key()) {
            document.items.extend(all.item(row, &mut entries)?);
        }
    }
    document
        .items
        .sort_by_cached_key(|item| item.media_id.key());
    let written: HashSet<String> = document
        .items
        .iter()
        .map(|item| item.media_id.key())
        .collect();
    let mut held_ids = HashSet::new();
    for hold in reader.held(base.row)? {
        // What is an item is written as that.
        let id = hold.media_id.as_ref().map(MediaId::key);
        if hold.entry.is_empty() || id.as_ref().is_some_and(|id| written.contains(id)) {
            continue;
        }
        held_ids.extend(id);
        // It was read as JSON.
        if let Ok(entry) = RawValue::from_string(hold.entry) {
            document.held.push(Held {
                entry,
                reason: hold.reason,
            });
        }
    }
    all.names.finish(&mut document, &held_ids);
    Ok(Gathered { document, entries })
}

fn by_item(rows: Vec<UsageRow>) -> HashMap<ItemNo, Vec<Use>> {
    let mut usages: HashMap<ItemNo, Vec<Use>> = HashMap::new();
    for used in rows {
        usages.entry(used.item).or_default().push(Use {
            role: used.usage.role,
            target: used.usage.target,
            at: (used.at != 0).then_some(used.at),
        });
    }
    usages
}

impl All<'_> {
    /// An item as it is to be written; `None` for one that is no stable state. Tells what is to be kept of it.
    fn item(
        &mut self,
        row: ItemRow,
        entries: &mut Vec<(ItemNo, String)>,
    ) -> Result<Option<Item>, CatalogError> {
        let (number, is_librarys) = (row.row, row.project.is_none());
        let kept = self.entries.remove(&number);
        let read;
        let before = match self.before.get(&row.media_id.key()) {
            Some(before) => Some(*before),
            None => {
                let brought = self.brought.remove(&number);
                read = kept.clone().or(brought).and_then(entry::read);
                read.as_ref()
            }
        };
        let usages = self.usages.remove(&number).unwrap_or_default();
        let removed = self.removed.remove(&number).unwrap_or_default();
        let Some(mut item) = item(self.reader, row, before, (usages, removed))? else {
            return Ok(None);
        };
        self.names.take(&mut item);
        if let Some(entry) = entry::of(&item, is_librarys)
            && kept.as_ref() != Some(&entry)
        {
            entries.push((number, entry));
        }
        Ok(Some(item))
    }
}

/// An item as it is to be written; `None` for one that is no stable state.
fn item(
    reader: &Reader,
    row: ItemRow,
    before: Option<&Item>,
    (usages, removed): (Vec<Use>, Vec<Use>),
) -> Result<Option<Item>, CatalogError> {
    let names = reader.names(row.row)?;
    let recorded = reader.recorded_storage(row.row)?;
    let tags = reader.all_tags(row.row)?;
    let attributes = reader.all_attributes(row.row)?;
    let alternatives = reader.recorded_alternatives(row.row)?;
    let seen = match row.place {
        Some(place) => reader.fingerprint(place)?.map(ObjectHash),
        None => None,
    };
    let item: MediaItem = reader.assemble_bare(row.clone())?;
    if item.lifecycle != Lifecycle::Final && before.is_none() {
        return Ok(None);
    }
    // What is not known at the moment is what it was, unless the content is another one.
    let as_before = before.filter(|before| {
        let other = |one: Option<ObjectHash>, other: Option<ObjectHash>| {
            one.zip(other).is_some_and(|(one, other)| one != other)
        };
        before.size == item.size
            && !other(before.fingerprint, seen)
            && !other(before.blake3, item.blake3)
    });
    let blake3 = item.blake3.or(as_before.and_then(|before| before.blake3));
    let analysed = match item.blake3 {
        Some(hash) => reader.analyses_of(hash)?,
        None => Vec::new(),
    };
    let lists = before.cloned().unwrap_or_else(|| empty(&item));
    let rest = before.map_or_else(Fields::default, |before| before.rest.clone());
    // The facts of a newer host stand as they are.
    let format = match rest.get("format") {
        Some(_) => None,
        None => match item.format {
            Some(format) => Some(with_rest(
                format,
                before.and_then(|before| before.format.as_ref()),
            )),
            None => as_before.and_then(|before| before.format.clone()),
        },
    };
    let mut analysis = lists.analysis.with(
        analysed
            .into_iter()
            .map(|(key, artefact)| Analysed {
                kind: key.kind,
                parameters: key.parameters,
                producer: key.producer,
                artefact,
            })
            .collect(),
        analysis_key,
    );
    if as_before.is_some() {
        analysis.absorb(&lists.analysis, analysis_key);
    }
    Ok(Some(Item {
        // Where the library has it not, it is the project's here, and the library's where it was made.
        of_library: row.project.is_none() || before.is_some_and(|before| before.of_library),
        kind: match before.map(|before| &before.kind) {
            Some(kind @ Kind::Other(_)) => kind.clone(),
            _ => item.kind,
        },
        former_names: names.into_iter().skip(1).take(MOST_FORMER).collect(),
        origin: item.origin,
        lifecycle: item.lifecycle,
        storage: storage(item.storage, recorded, before),
        alternatives: lists.alternatives.with(alternatives, Clone::clone),
        format,
        size: item.size,
        modified: as_before
            .and_then(|before| before.modified)
            .or(Some(item.modified_nanoseconds)),
        blake3,
        fingerprint: seen.or(as_before.and_then(|before| before.fingerprint)),
        tags: lists.tags.with(
            tags.into_iter()
                .map(|tag| Word {
                    confidence: confidence_text(tag.label.confidence),
                    name: tag.label.name,
                    source: tag.label.source,
                    removed: tag.removed,
                })
                .collect(),
            |word| word.name.to_lowercase(),
        ),
        attributes: lists.attributes.with(
            attributes
                .into_iter()
                .filter(|Label { label, .. }| !is_of_this_machine(&label.name, &label.value))
                .map(|attribute| Value {
                    confidence: confidence_text(attribute.label.confidence),
                    name: attribute.label.name,
                    value: attribute.label.value,
                    source: attribute.label.source,
                    removed: attribute.removed,
                })
                .collect(),
            |value| value.name.to_lowercase(),
        ),
        usages: lists.usages.with(usages, usage_key),
        removed_usages: lists.removed_usages.with(removed, usage_key),
        shown: lists.shown,
        analysis,
        rest,
        media_id: item.media_id,
        name: item.name,
    }))
}

fn analysis_key(analysed: &Analysed) -> (String, String, String) {
    (
        analysed.kind.clone(),
        analysed.parameters.clone(),
        analysed.producer.clone(),
    )
}

fn storage(now: Storage, recorded: Option<String>, before: Option<&Item>) -> Where {
    if let Some(text) = recorded
        && serde_json::from_str::<Storage>(&text).is_err()
        && let Ok(raw) = RawValue::from_string(text)
    {
        return Where::Unknown(raw);
    }
    let kept = match before.map(|before| &before.storage) {
        Some(Where::Known(kept)) => Some(kept),
        _ => None,
    };
    Where::Known(with_rest(now, kept))
}

/// What was beside the same value is beside it again.
fn with_rest<T: Known + PartialEq>(value: T, before: Option<&Kept<T>>) -> Kept<T> {
    match before.filter(|before| before.value == value) {
        Some(before) => before.clone(),
        None => value.into(),
    }
}

fn empty(item: &MediaItem) -> Item {
    Item {
        media_id: item.media_id.clone(),
        of_library: false,
        kind: item.kind.clone(),
        name: item.name.clone(),
        former_names: Vec::new(),
        origin: item.origin.clone(),
        lifecycle: item.lifecycle,
        storage: Where::Known(item.storage.clone().into()),
        alternatives: List::default(),
        format: None,
        size: 0,
        modified: None,
        blake3: None,
        fingerprint: None,
        tags: List::default(),
        attributes: List::default(),
        usages: List::default(),
        removed_usages: List::default(),
        shown: List::default(),
        analysis: List::default(),
        rest: Fields::default(),
    }
}

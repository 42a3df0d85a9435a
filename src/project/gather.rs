//! From the catalog into a manifest: what is known of a project's items, with what only the manifest before knew.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::document::{Analysed, Document, Held, Item, Use, Value, Where, Word, confidence_text};
use super::fields::{Fields, Kept, Known, List};
use crate::catalog::{BaseRow, CatalogError, ItemRow, Reader};
use crate::model::{Kind, Lifecycle, MediaItem, ObjectHash, Storage};

/// Items of a page.
const PAGE: u32 = 500;

/// The manifest of a project as the catalog knows it now. `before` is the one that was read or written last.
pub(super) fn gather(
    reader: &Reader,
    base: &BaseRow,
    before: &Document,
) -> Result<Document, CatalogError> {
    let known: HashMap<String, &Item> = before
        .items
        .iter()
        .map(|item| (item.media_id.key(), item))
        .collect();
    let mut document = Document {
        items: Vec::new(),
        held: Vec::new(),
        ..before.clone()
    };
    let mut after = 0;
    loop {
        let page = reader.list_project_items(base.row, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.row.0;
        for row in page {
            let before = known.get(&row.media_id.key()).copied();
            document
                .items
                .extend(item(reader, row, before, document_id(&document))?);
        }
    }
    for row in reader.library_items_used(&before.project_id)? {
        let before = known.get(&row.media_id.key()).copied();
        // One of the project's own has the id.
        if document
            .items
            .iter()
            .any(|item| item.media_id == row.media_id)
        {
            continue;
        }
        document
            .items
            .extend(item(reader, row, before, document_id(&document))?);
    }
    document
        .items
        .sort_by_cached_key(|item| item.media_id.key());
    for hold in reader.held(base.row)? {
        // What is an item is written as that.
        let is_item = |item: &Item| Some(&item.media_id) == hold.media_id.as_ref();
        if hold.entry.is_empty() || document.items.iter().any(is_item) {
            continue;
        }
        // It was read as JSON.
        if let Ok(entry) = RawValue::from_string(hold.entry) {
            document.held.push(Held {
                entry,
                reason: hold.reason,
            });
        }
    }
    Ok(document)
}

fn document_id(document: &Document) -> String {
    document.project_id.0.clone()
}

/// An item as it is to be written; `None` for one that is no stable state.
fn item(
    reader: &Reader,
    row: ItemRow,
    before: Option<&Item>,
    project: String,
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
    let item: MediaItem = reader.assemble(row.clone())?;
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
        former_names: names.into_iter().skip(1).collect(),
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
        usages: lists.usages.with(
            item.usages
                .into_iter()
                .filter(|usage| usage.project == project)
                .map(|usage| Use {
                    role: usage.role,
                    target: usage.target,
                })
                .collect(),
            Clone::clone,
        ),
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
        analysis: List::default(),
        rest: Fields::default(),
    }
}

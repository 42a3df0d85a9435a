//! What only a manifest knows of an item, to be kept in the catalog: so that it is not lost while the manifest does not
//! name the item, because it was removed (and may come back), or has become one of the library or of another project.

use serde_json::value::RawValue;

use super::document::{Document, Item, Where};
use super::fields::{Kept, Known, List};
use crate::catalog::{BaseRow, CatalogError, Durability};
use crate::library::Library;
use crate::model::Kind;

/// An item's entry as text, if it says more than the catalog has a place for; without what the catalog has. Of an item that
/// is the library's here, that it is so is known.
pub(super) fn of(item: &Item, is_librarys: bool) -> Option<String> {
    fn only_more<T: Known>(list: &List<T>) -> List<T> {
        let known = list.known.iter().filter(|kept| !kept.rest.is_empty());
        List {
            known: known.cloned().collect(),
            odd: list.odd.clone(),
        }
    }
    fn says_more<T>(kept: Option<&Kept<T>>) -> bool {
        kept.is_some_and(|kept| !kept.rest.is_empty())
    }
    let more = Item {
        alternatives: only_more(&item.alternatives),
        tags: only_more(&item.tags),
        attributes: only_more(&item.attributes),
        usages: only_more(&item.usages),
        removed_usages: only_more(&item.removed_usages),
        shown: only_more(&item.shown),
        former_names: Vec::new(),
        ..item.clone()
    };
    let storage = match &more.storage {
        Where::Known(kept) => Some(kept),
        // The catalog has its text.
        Where::Unknown(_) => None,
    };
    let is_more = !more.rest.is_empty()
        || says_more(storage)
        || says_more(more.format.as_ref())
        || !(more.alternatives.is_empty()
            && more.tags.is_empty()
            && more.attributes.is_empty()
            && more.usages.is_empty()
            && more.removed_usages.is_empty()
            && more.shown.is_empty()
            && more.analysis.is_empty())
        || matches!(more.kind, Kind::Other(_))
        || (more.of_library && !is_librarys);
    if !is_more {
        return None;
    }
    serde_json::to_string(&more).ok()
}

/// Such a text, as an item.
pub(super) fn read(text: String) -> Option<Item> {
    let raw = RawValue::from_string(text).ok()?;
    Item::parse(&raw).ok()
}

/// What of it goes along into another scope: how the item is used, and shown, stays where it was.
pub(super) fn elsewhere(text: String) -> Option<String> {
    let item = read(text)?;
    let item = Item {
        usages: List::default(),
        removed_usages: List::default(),
        shown: List::default(),
        of_library: false,
        ..item
    };
    of(&item, false)
}

/// Keeps it of a manifest whose items are known.
pub(super) fn keep(
    library: &Library,
    base: &BaseRow,
    document: &Document,
) -> Result<(), CatalogError> {
    let entries: Vec<&Item> = document
        .items
        .iter()
        .filter(|item| of(item, false).is_some())
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    library.catalog().write(Durability::Full, |writer| {
        for item in entries {
            let mut known = writer
                .reader()
                .item_in_scope(&item.media_id, Some(base.row))?;
            if known.is_none() && item.of_library {
                known = writer.reader().item_in_scope(&item.media_id, None)?;
            }
            if let Some(known) = known {
                let entry = of(item, known.project.is_none());
                writer.keep_entry(known.row, Some(base.row), entry.as_deref())?;
            }
        }
        Ok(())
    })
}

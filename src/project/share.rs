//! Between a project and the library: an item of one becomes one of the other, too, under the same id. Ids are unique
//! within their scope, so whatever stores the path by the id finds the sound whether the project is open or not.

use std::sync::atomic::AtomicBool;

use super::{ProjectError, entry};
use crate::catalog::{
    Adopted, At, BaseRow, CatalogError, Durability, ItemNo, ItemRow, Label, Nanoseconds,
    OperationDraft, Writer,
};
use crate::library::{ImportMode, ImportOptions, Library, Outcome, Progress};
use crate::model::{Storage, path_from_text};

/// Makes an item of the library one of a project, too: the same file, left where it is. An item that the project has
/// already stays as it is.
///
/// # Errors
/// [`CatalogError::IdTaken`] where the project has another item of this id; when the catalog fails.
pub fn use_item(library: &Library, base: &BaseRow, item: &ItemRow) -> Result<ItemNo, ProjectError> {
    use_item_noted(library, base, item, &mut OperationDraft::new("use", "use"))
}

/// As [`use_item`], as an operation that the caller has drafted.
///
/// # Errors
/// As there.
pub fn use_item_noted(
    library: &Library,
    base: &BaseRow,
    item: &ItemRow,
    draft: &mut OperationDraft,
) -> Result<ItemNo, ProjectError> {
    let catalog = library.catalog();
    let work = |writer: &mut Writer| {
        let known = writer
            .reader()
            .item_in_scope(&item.media_id, Some(base.row))?;
        if let Some(known) = known {
            return if known.place_of_record() == item.place_of_record() {
                Ok(known.row)
            } else {
                Err(CatalogError::IdTaken {
                    media_id: known.media_id,
                    name: known.name,
                })
            };
        }
        let Some(place) = item.place_of_record() else {
            return Err(CatalogError::NotMedia {
                name: item.name.clone(),
            });
        };
        let Some(whole) = writer.reader().media_item(item.row)? else {
            return Err(CatalogError::Unknown {
                what: "item",
                number: item.row.0,
            });
        };
        let recorded = writer.reader().recorded_storage(item.row)?;
        let row = writer.adopt(&Adopted {
            media_id: item.media_id.clone(),
            project: base.row,
            kind: item.kind.clone(),
            name: item.name.clone(),
            origin: whole.origin.clone(),
            lifecycle: whole.lifecycle,
            size: item.size,
            modified: Nanoseconds(whole.modified_nanoseconds),
            format: whole.format.clone(),
            blake3: whole.blake3,
            fingerprint: None,
            at: At::Known(place),
            recorded,
        })?;
        labels(writer, item.row, row)?;
        Ok(row)
    };
    let made = catalog.write(Durability::Full, |writer| writer.operate(draft, work))?;
    Ok(made)
}

/// Copies an item of a project into the library, under the same id. One that the library has already stays as it is.
///
/// # Errors
/// [`ProjectError::Copy`] where its bytes can't be copied; when the catalog fails.
pub fn promote(library: &Library, item: &ItemRow) -> Result<ItemNo, ProjectError> {
    promote_noted(
        library,
        item,
        &mut OperationDraft::new("promote", "promote"),
    )
}

/// As [`promote`], as an operation that the caller has drafted.
///
/// # Errors
/// As there.
pub fn promote_noted(
    library: &Library,
    item: &ItemRow,
    draft: &mut OperationDraft,
) -> Result<ItemNo, ProjectError> {
    let catalog = library.catalog();
    let reader = catalog.reader()?;
    if let Some(known) = reader.item_in_scope(&item.media_id, None)? {
        return Ok(known.row);
    }
    let whole = reader.assemble(item.clone())?;
    drop(reader);
    let failed = |reason: String| ProjectError::Copy {
        name: item.name.clone(),
        path: "the library".into(),
        reason,
    };
    let path = whole
        .resolved_path
        .as_deref()
        .and_then(|path| path_from_text(path).ok())
        .ok_or_else(|| failed("its file is not there".to_owned()))?;
    let options = ImportOptions {
        project: None,
        mode: ImportMode::Copy,
        id: Some(item.media_id.clone()),
        name: Some(item.name.clone()),
    };
    let never = AtomicBool::new(false);
    let done = library.import_noted(&[path], &options, draft, &Progress::default(), &never)?;
    if let Some(Outcome::Failed(reason) | Outcome::Skipped(reason)) =
        done.first().map(|done| &done.outcome)
    {
        return Err(failed(reason.clone()));
    }
    let made = catalog
        .reader()?
        .item_in_scope(&item.media_id, None)?
        .ok_or_else(|| failed("it is no item of the library".to_owned()))?;
    catalog.write(Durability::Full, |writer| {
        writer.operate(draft, |writer| labels(writer, item.row, made.row))
    })?;
    Ok(made.row)
}

/// What is known of one is known of the other. What says where bytes are in a project's folder stays with the project.
fn labels(writer: &mut Writer, from: ItemNo, to: ItemNo) -> Result<(), CatalogError> {
    for tag in writer.reader().all_tags(from)? {
        writer.merge_tag(to, &tag)?;
    }
    for attribute in writer.reader().all_attributes(from)? {
        let Label { label, removed } = attribute;
        writer.merge_attribute(to, &Label { label, removed })?;
    }
    for storage in writer.reader().recorded_alternatives(from)? {
        if !matches!(storage, Storage::Project { .. }) {
            writer.add_alternative(to, &storage)?;
        }
    }
    for name in writer.reader().names(from)?.iter().skip(1).rev() {
        writer.add_former_name(to, name)?;
    }
    // What only the manifest of a project knows goes along, and on to the next project.
    let scope = |writer: &Writer, item| -> Result<_, CatalogError> {
        Ok(writer.reader().item(item)?.and_then(|row| row.project))
    };
    let (was_in, is_in) = (scope(writer, from)?, scope(writer, to)?);
    let entry = writer.reader().entry(from, was_in)?;
    if let Some(entry) = entry.and_then(entry::elsewhere) {
        writer.keep_entry(to, is_in, Some(&entry))?;
    }
    Ok(())
}

//! From a manifest into the catalog: items that are not known are made, known ones get what they have not.
//!
//! Nothing that the catalog knows is lost by it. Words, values, usages and old names of both are there afterwards; what
//! the user took off in either is off; of two names the newer one is the present one, and the other goes on leading to the
//! item; of two places the catalog's stays, unless nothing is there, and the other is an alternative.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::check::{Objection, objection, parts, path_of};
use super::document::{Document, Item, Use, Where};
use super::merge::Named;
use super::{entry, names};
use crate::catalog::{
    Adopted, At, BaseKind, BaseNo, BaseRow, CatalogError, Durability, Hold, ItemNo, ItemRow, Label,
    Nanoseconds, PlaceNo, PlaceRow, Reader, Writer,
};
use crate::library::Library;
use crate::model::{
    Attribute, Availability, Confidence, Lifecycle, ObjectHash, SourceKind, Storage, Tag, Usage,
};

/// Items of one transaction, so that others get their turn.
const TOGETHER: usize = 200;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Applied {
    /// Items that were made.
    pub(super) added: Vec<String>,
    /// Items that were known and have got something.
    pub(super) changed: Vec<String>,
    /// Their files in the project's folder, which nobody has seen yet.
    pub(super) told: Vec<PlaceNo>,
    /// Items whose files are to be looked for where they say, as the user allows it.
    pub(super) follow: Vec<(ItemNo, PathBuf)>,
}

/// Where an item's bytes are to be, by its storage.
struct Resolved {
    at: At,
    recorded: Option<String>,
    /// An absolute path outside of all that is known.
    outside: Option<PathBuf>,
}

/// Names an entry that is held back in its project.
fn key_of(entry: &str) -> String {
    let hash = blake3::hash(entry.as_bytes()).to_hex();
    hash.as_str()[..16].to_owned()
}

/// As [`key_of`], of an item: what is allowed is that it leads there, whatever else is said of it.
fn key_of_item(item: &Item) -> String {
    let place = match &item.storage {
        Where::Known(kept) => serde_json::to_string(&kept.value).unwrap_or_default(),
        Where::Unknown(raw) => raw.get().to_owned(),
    };
    key_of(&format!("{} {place}", item.media_id.key()))
}

/// Brings what a manifest says into the catalog. `is_older_on_wish`: the user has gone back to it, so its names count.
pub(super) fn apply(
    library: &Library,
    base: &BaseRow,
    document: &Document,
    is_older_on_wish: bool,
) -> Result<Applied, CatalogError> {
    let catalog = library.catalog();
    let allowed = catalog.reader()?.allowed(base.row)?;
    let mut done = Applied::default();
    let mut held: Vec<Hold> = document
        .held
        .iter()
        .map(|held| Hold {
            key: key_of(held.entry.get()),
            media_id: None,
            entry: held.entry.get().to_owned(),
            reason: held.reason.clone(),
            allowable: false,
        })
        .collect();
    names::claim(library, base, document)?;
    for items in document.items.chunks(TOGETHER) {
        catalog.write(Durability::Full, |writer| {
            for item in items {
                let entry = serde_json::to_string(item).unwrap_or_default();
                let key = key_of_item(item);
                let one = Applying {
                    base,
                    document,
                    item,
                    is_allowed: allowed.contains(&key),
                    is_older_on_wish,
                };
                let hold = one.apply(writer, &mut done)?;
                held.extend(hold.map(|(objection, has_item)| Hold {
                    key,
                    media_id: Some(item.media_id.clone()),
                    // What is an item is written as that.
                    entry: if has_item { String::new() } else { entry },
                    reason: objection.reason,
                    allowable: objection.leads_to.is_some(),
                }));
            }
            Ok::<_, CatalogError>(())
        })?;
    }
    catalog.write(Durability::Full, |writer| writer.set_held(base.row, &held))?;
    Ok(done)
}

struct Applying<'a> {
    base: &'a BaseRow,
    document: &'a Document,
    item: &'a Item,
    is_allowed: bool,
    is_older_on_wish: bool,
}

impl Applying<'_> {
    /// Gives what stands against it, and whether it is an item all the same.
    fn apply(
        &self,
        writer: &mut Writer,
        done: &mut Applied,
    ) -> Result<Option<(Objection, bool)>, CatalogError> {
        let Self { base, item, .. } = self;
        let mut known = writer
            .reader()
            .item_in_scope(&item.media_id, Some(base.row))?;
        if known.is_none() && item.of_library {
            known = writer.reader().item_in_scope(&item.media_id, None)?;
        }
        let objection = match &item.storage {
            Where::Known(storage) => objection(&storage.value, &base.path),
            Where::Unknown(_) => None,
        };
        let mut follow = None;
        if let Some(objection) = objection {
            // What was made of it here is the user's own.
            let is_own = known
                .as_ref()
                .is_some_and(|known| self.is_as_known(writer.reader(), known));
            let leads_to = objection.leads_to.clone();
            match leads_to.filter(|_| self.is_allowed) {
                _ if is_own => {}
                Some(leads_to) => follow = Some(leads_to),
                None => return Ok(Some((objection, false))),
            }
        }
        let resolved = self.resolve(writer, follow.as_deref())?;
        let outside = resolved.outside.clone();
        let is_within = matches!(resolved.at, At::Within(..));
        let row = match known {
            Some(known) => {
                if self.merge(writer, &known, resolved)? {
                    done.changed.push(item.media_id.to_string());
                }
                known.row
            }
            None => {
                let row = writer.adopt(&self.adopted(resolved))?;
                for name in item.former_names.iter().rev() {
                    writer.add_former_name(row, name)?;
                }
                self.labels(writer, row)?;
                done.added.push(item.media_id.to_string());
                row
            }
        };
        writer.set_told_name(base.row, &item.media_id, &item.name)?;
        names::show(writer, base, self.document, item, row)?;
        let now = writer.reader().item(row)?;
        let is_librarys = now.as_ref().is_some_and(|now| now.project.is_none());
        let entry = entry::of(item, is_librarys);
        writer.keep_entry(row, Some(base.row), entry.as_deref())?;
        if is_within && let Some(now) = &now {
            done.told.extend(now.place_of_record());
        }
        let is_missing = now.is_some_and(|now| now.availability == Availability::Missing);
        match outside.filter(|_| is_missing) {
            None => Ok(None),
            Some(path) if self.is_allowed => {
                done.follow.push((row, path));
                Ok(None)
            }
            Some(path) => Ok(Some((
                Objection {
                    reason: format!(
                        "it lies outside of the project and of all libraries: {}",
                        path.display()
                    ),
                    leads_to: Some(path),
                },
                true,
            ))),
        }
    }

    /// The catalog has the item in the very place that the manifest tells of.
    fn is_as_known(&self, reader: &Reader, known: &ItemRow) -> bool {
        let Where::Known(storage) = &self.item.storage else {
            return false;
        };
        let whole = reader.assemble(known.clone());
        whole.is_ok_and(|whole| whole.storage == storage.value)
    }

    fn adopted(&self, resolved: Resolved) -> Adopted {
        let item = self.item;
        Adopted {
            media_id: item.media_id.clone(),
            project: self.base.row,
            kind: item.kind.clone(),
            name: item.name.clone(),
            origin: item.origin.clone(),
            lifecycle: item.lifecycle,
            size: item.size,
            modified: Nanoseconds(item.modified.unwrap_or(0)),
            format: item.format.as_ref().map(|format| format.value.clone()),
            blake3: item.blake3,
            fingerprint: item.fingerprint.map(|fingerprint| fingerprint.0),
            at: resolved.at,
            recorded: resolved.recorded,
        }
    }

    /// A known item gets what it has not. Whether there was anything.
    fn merge(
        &self,
        writer: &mut Writer,
        known: &ItemRow,
        resolved: Resolved,
    ) -> Result<bool, CatalogError> {
        let item = self.item;
        if known.project.is_none() {
            // A project says how it uses a sound of the library, and nothing else of it.
            return self.usages(writer, known.row);
        }
        let Some(before) = writer.reader().media_item(known.row)? else {
            return Ok(false);
        };
        let labels_before = (
            writer.reader().all_tags(known.row)?,
            writer.reader().all_attributes(known.row)?,
            writer.reader().names(known.row)?,
        );
        self.names(writer, known)?;
        if before.lifecycle == Lifecycle::Pending && item.lifecycle == Lifecycle::Final {
            writer.set_lifecycle(known.row, Lifecycle::Final)?;
        }
        let recorded = writer.reader().recorded_storage(known.row)?;
        let same = match &item.storage {
            Where::Known(storage) => storage.value == before.storage,
            Where::Unknown(raw) => recorded.as_deref() == Some(raw.get()),
        };
        if !same {
            if before.availability == Availability::Missing {
                writer.rebind(known.row, &self.adopted(resolved))?;
                writer.add_alternative(known.row, &before.storage)?;
            } else if let Where::Known(storage) = &item.storage {
                writer.add_alternative(known.row, &storage.value)?;
            }
        }
        self.labels(writer, known.row)?;
        let labels_after = (
            writer.reader().all_tags(known.row)?,
            writer.reader().all_attributes(known.row)?,
            writer.reader().names(known.row)?,
        );
        let after = writer.reader().media_item(known.row)?;
        Ok(labels_before != labels_after || after.as_ref() != Some(&before))
    }

    /// All names of either lead to the item. Whoever has renamed it since both had the same name has the present one; where
    /// both have, the manifest's is.
    fn names(&self, writer: &mut Writer, known: &ItemRow) -> Result<(), CatalogError> {
        let item = self.item;
        for name in item.former_names.iter().rev() {
            writer.add_former_name(known.row, name)?;
        }
        if item.name == known.name {
            return Ok(());
        }
        let former: Vec<String> = writer.reader().names(known.row)?.split_off(1);
        let (ours, theirs) = (Named(&known.name, &former), item.named());
        let told = writer.reader().told_name(known.row)?;
        let stays = !self.is_older_on_wish
            && (theirs.is_older_than(&ours)
                || (told.as_ref() == Some(&item.name) && !ours.is_older_than(&theirs)));
        if stays {
            writer.add_former_name(known.row, &item.name)
        } else {
            writer.rename(known.row, &item.name)
        }
    }

    /// Words, values, usages and alternatives.
    fn labels(&self, writer: &mut Writer, row: ItemNo) -> Result<(), CatalogError> {
        let item = self.item;
        for word in item.tags.known.iter().map(|kept| &kept.value) {
            let tag = Tag {
                name: word.name.clone(),
                source: word.source,
                confidence: confidence(word.confidence),
            };
            if is_label(&tag.name) {
                let removed = word.removed;
                writer.merge_tag(
                    row,
                    &Label {
                        label: tag,
                        removed,
                    },
                )?;
            }
        }
        for value in item.attributes.known.iter().map(|kept| &kept.value) {
            let attribute = Attribute {
                name: value.name.clone(),
                value: value.value.clone(),
                source: value.source,
                confidence: confidence(value.confidence),
            };
            if is_label(&attribute.name) {
                let removed = value.removed;
                let label = attribute;
                writer.merge_attribute(row, &Label { label, removed })?;
            }
        }
        self.usages(writer, row)?;
        for storage in item.alternatives.known.iter().map(|kept| &kept.value) {
            if objection(storage, &self.base.path).is_none() {
                writer.add_alternative(row, storage)?;
            }
        }
        Ok(())
    }

    /// Whether any was new, or is no more.
    fn usages(&self, writer: &mut Writer, row: ItemNo) -> Result<bool, CatalogError> {
        let mut is_new = false;
        let usage = |used: &Use| Usage {
            project: self.document.project_id.0.clone(),
            role: used.role.clone(),
            target: used.target.clone(),
        };
        for used in self.item.usages.known.iter().map(|kept| &kept.value) {
            is_new |= writer.merge_usage(row, &usage(used), used.at)?;
        }
        for used in &self.item.removed_usages.known {
            let used = &used.value;
            is_new |= writer.merge_removed_usage(row, &usage(used), used.at)?;
        }
        Ok(is_new)
    }

    fn resolve(
        &self,
        writer: &mut Writer,
        follow: Option<&Path>,
    ) -> Result<Resolved, CatalogError> {
        let item = self.item;
        let name = || OsString::from(item.name.replace('/', "_"));
        let nowhere = |recorded: Option<String>| Resolved {
            at: At::Nowhere(self.base.row, name()),
            recorded,
            outside: None,
        };
        let storage = match &item.storage {
            Where::Unknown(raw) => return Ok(nowhere(Some(raw.get().to_owned()))),
            Where::Known(storage) => &storage.value,
        };
        let text = serde_json::to_string(storage).ok();
        if let Some(path) = follow {
            return Ok(Resolved {
                outside: Some(path.to_owned()),
                ..nowhere(text)
            });
        }
        let reader = writer.reader();
        let place = match storage {
            Storage::Project { path } => {
                let at = At::Within(self.base.row, parts(path).unwrap_or_default());
                return Ok(Resolved {
                    at,
                    recorded: None,
                    outside: None,
                });
            }
            Storage::Reference {
                root: Some(root),
                path,
            } => match reader.base_named(BaseKind::Library, root)? {
                Some(base) if base.active => self.known_at(reader, &base, path)?,
                _ => None,
            },
            Storage::Reference { root: None, path } => {
                let path = path_of(path);
                let place = self.known_absolute(reader, &path)?;
                if place.is_none() && path.is_absolute() {
                    return Ok(Resolved {
                        outside: Some(path),
                        ..nowhere(text)
                    });
                }
                place
            }
            Storage::Volume { volume, path } => {
                let sources = reader.sources()?.into_iter();
                let mut sources = sources.filter(|source| source.identity == *volume);
                match sources.next() {
                    Some(source) => return self.on_source(writer, source.row, path, text),
                    None => None,
                }
            }
            Storage::Cloud { root, path, .. } => {
                let sources = reader.sources()?.into_iter();
                let mut sources = sources
                    .filter(|source| source.kind == SourceKind::Cloud && source.name == *root);
                match sources.next() {
                    Some(source) => return self.on_source(writer, source.row, path, text),
                    None => None,
                }
            }
        };
        Ok(match place {
            Some(place) => Resolved {
                at: At::Known(place.row),
                recorded: text,
                outside: None,
            },
            None => nowhere(text),
        })
    }

    /// On a source that is known: the file that is known there, else it is looked for there.
    fn on_source(
        &self,
        writer: &mut Writer,
        source: crate::model::SourceNo,
        path: &str,
        text: Option<String>,
    ) -> Result<Resolved, CatalogError> {
        let whole = path_of(path);
        for base in writer.reader().bases()? {
            if base.source == Some(source)
                && let Ok(relative) = whole.strip_prefix(&base.inside)
                && let Some(place) = place_at(writer.reader(), &base, relative)?
                && self.may_be(writer.reader(), &place)?
            {
                return Ok(Resolved {
                    at: At::Known(place.row),
                    recorded: text,
                    outside: None,
                });
            }
        }
        let base = writer.base_of_source(source)?.row;
        Ok(Resolved {
            at: At::Within(base, parts(path).unwrap_or_default()),
            recorded: text,
            outside: None,
        })
    }

    fn known_at(
        &self,
        reader: &Reader,
        base: &BaseRow,
        path: &str,
    ) -> Result<Option<PlaceRow>, CatalogError> {
        let Some(parts) = parts(path) else {
            return Ok(None);
        };
        let place = place_at(reader, base, &parts.iter().collect::<PathBuf>())?;
        match place {
            Some(place) if self.may_be(reader, &place)? => Ok(Some(place)),
            _ => Ok(None),
        }
    }

    /// A file in a library, or one that somebody has made an item of here.
    fn known_absolute(
        &self,
        reader: &Reader,
        path: &Path,
    ) -> Result<Option<PlaceRow>, CatalogError> {
        for base in reader.bases()? {
            let Ok(relative) = path.strip_prefix(&base.path) else {
                continue;
            };
            if let Some(place) = place_at(reader, &base, relative)?
                && self.may_be(reader, &place)?
                && ((base.kind == BaseKind::Library && base.active)
                    || !reader.items_of(place.row)?.is_empty())
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// By all that is known of it, the file can be what the manifest means. Its size alone says little: takes of one length
    /// have the same.
    fn may_be(&self, reader: &Reader, place: &PlaceRow) -> Result<bool, CatalogError> {
        if place.online_only {
            return Ok(true);
        }
        let differ = |one: Option<ObjectHash>, other: Option<ObjectHash>| {
            one.zip(other).is_some_and(|(one, other)| one != other)
        };
        let fingerprint = reader.fingerprint(place.row)?.map(ObjectHash);
        Ok(place.evidence.size == self.item.size
            && !differ(fingerprint, self.item.fingerprint)
            && !differ(reader.hash_of_place(place.row)?, self.item.blake3))
    }
}

/// The file at a path below a base, as far as it is known.
fn place_at(
    reader: &Reader,
    base: &BaseRow,
    relative: &Path,
) -> Result<Option<PlaceRow>, CatalogError> {
    let (Some(parent), Some(name)) = (relative.parent(), relative.file_name()) else {
        return Ok(None);
    };
    let mut at = base.top;
    for part in parent {
        match reader.child_folder(at, part)? {
            Some(folder) => at = folder.row,
            None => return Ok(None),
        }
    }
    Ok(reader.child_place(at, name)?.map(|(place, _)| place))
}

fn confidence(value: f64) -> Confidence {
    #[allow(clippy::cast_possible_truncation)] // It is clamped to 0 to 1, and need not be exact.
    Confidence::new(value as f32)
}

/// Can be a tag, or the name of an attribute.
fn is_label(label: &str) -> bool {
    !label.trim().is_empty() && label.len() <= 1024
}

/// Allows an entry that is held back: what it leads to may be looked at from now on.
pub(super) fn allow(library: &Library, base: BaseNo, keys: &[String]) -> Result<(), CatalogError> {
    library.catalog().write(Durability::Full, |writer| {
        for key in keys {
            writer.allow(base, key)?;
        }
        Ok(())
    })
}

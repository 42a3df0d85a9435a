//! The folders in which items are listed, and the items that are shown there by a name, or by names of one stem.

use mediafs_platform::drive::DriveError;
use mediafs_platform::names;

use super::failed;
use super::lookup::{folded, is_media_extension};
use super::node::Node;
use crate::catalog::{
    BaseNo, CatalogError, FolderNo, ItemNo, ItemRow, Reader, Section, UsageFolderNo,
};
use crate::model::{shown_name, split_extension, stem_of};

/// Items of one stem that are looked at.
const MOST_OF_A_STEM: u32 = 256;

/// A folder in which items are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Of a library.
    Folder(FolderNo),
    /// Of a project.
    Section(BaseNo, Section),
    /// Of a track, or a program.
    Used(UsageFolderNo),
    /// An item's own.
    Item(ItemNo),
}

impl View {
    pub(super) fn of(node: Node) -> Option<Self> {
        match node {
            Node::Folder(folder) => Some(Self::Folder(folder)),
            Node::Section(project, section) => Some(Self::Section(project, section)),
            Node::UsageFolder(folder) => Some(Self::Used(folder)),
            Node::ItemFolder(item) | Node::ProjectItemFolder(item) => Some(Self::Item(item)),
            _ => None,
        }
    }

    /// The item that is shown by this name.
    pub(super) fn named(self, reader: &Reader, name: &[u8]) -> Result<Option<ItemRow>, DriveError> {
        let text = || std::str::from_utf8(name).ok();
        match self {
            Self::Folder(folder) => {
                let Some(name) = names::of(name) else {
                    return Ok(None);
                };
                let child = reader.child_place(folder, name).map_err(failed)?;
                let child = child.filter(|(place, _)| place.present);
                Ok(child.and_then(|(_, item)| item))
            }
            Self::Section(project, section) => match text() {
                Some(text) => reader.shown(project, section, text).map_err(failed),
                None => Ok(None),
            },
            Self::Used(folder) => match text() {
                Some(text) => reader.used(folder, text).map_err(failed),
                None => Ok(None),
            },
            Self::Item(item) => match text() {
                Some(text) => own(reader, item, |known| is_whole_name(known, text)),
                None => Ok(None),
            },
        }
    }

    /// The items that are shown by names of this stem, oldest first.
    pub(super) fn of_stem(self, reader: &Reader, stem: &[u8]) -> Result<Vec<ItemRow>, DriveError> {
        let text = || std::str::from_utf8(stem).ok();
        let mut items: Vec<ItemRow> = match self {
            Self::Folder(folder) => {
                let found = reader.places_of_stem(folder, stem, MOST_OF_A_STEM);
                found
                    .map_err(failed)?
                    .into_iter()
                    .filter(|(place, _)| stem_of(place.name.as_encoded_bytes()).len() == stem.len())
                    .filter_map(|(_, item)| item)
                    .collect()
            }
            Self::Section(project, section) => match text() {
                Some(text) => of_this_stem(
                    reader.shown_of_stem(project, section, text, MOST_OF_A_STEM),
                    text,
                )?,
                None => Vec::new(),
            },
            Self::Used(folder) => match text() {
                Some(text) => {
                    of_this_stem(reader.used_of_stem(folder, text, MOST_OF_A_STEM), text)?
                }
                None => Vec::new(),
            },
            Self::Item(item) => match text().map(folded) {
                Some(stem) => {
                    let has = |known: &str| folded(split_extension(known).0) == stem;
                    own(reader, item, has)?.into_iter().collect()
                }
                None => Vec::new(),
            },
        };
        items.sort_unstable_by_key(|item| item.row);
        items.dedup_by_key(|item| item.row);
        Ok(items)
    }
}

fn of_this_stem(
    found: Result<Vec<(String, ItemRow)>, CatalogError>,
    stem: &str,
) -> Result<Vec<ItemRow>, DriveError> {
    let stem = folded(stem);
    let found = found.map_err(failed)?.into_iter();
    let found = found.filter(|(name, _)| folded(split_extension(name).0) == stem);
    Ok(found.map(|(_, item)| item).collect())
}

/// An item by its own folder, if any of its names will do.
fn own(
    reader: &Reader,
    item: ItemNo,
    will_do: impl Fn(&str) -> bool,
) -> Result<Option<ItemRow>, DriveError> {
    let Some(row) = reader.item(item).map_err(failed)? else {
        return Ok(None);
    };
    if will_do(&shown_name(&row.name)) {
        return Ok(Some(row));
    }
    let names = reader.names(item).map_err(failed)?;
    let has = names.iter().any(|name| will_do(&shown_name(name)));
    Ok(has.then_some(row))
}

/// It is the name, or one with another extension that leads to the same item. Not the stem alone, behind which the
/// sidecar would be another one.
fn is_whole_name(known: &str, asked: &str) -> bool {
    if folded(known) == folded(asked) {
        return true;
    }
    let (stem, extension) = split_extension(asked);
    is_media_extension(extension) && folded(split_extension(known).0) == folded(stem)
}

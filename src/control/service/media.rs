//! What is done with items one at a time: get, search, tag, rename, remove.

use super::Service;
use crate::catalog::{CatalogError, Durability, ItemNo, Reader};
use crate::control::methods::*;
use crate::control::{Reason, RpcError};
use crate::model::{Confidence, MediaItem, Tag, TagSource, split_extension};

impl Service {
    pub(super) fn get(&self, which: &Which) -> Result<MediaItem, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, which)?;
        let mut whole = whole(&reader, item.row)?;
        whole.candidates = reader.candidates(&item)?;
        if !item.is_final() {
            self.show_take(&reader, &item, &mut whole)?;
        }
        Ok(whole)
    }

    pub(super) fn search(&self, params: &SearchParams) -> Result<SearchPage, RpcError> {
        let limit = params
            .limit
            .unwrap_or(SearchParams::MOST)
            .clamp(1, SearchParams::MOST);
        let reader = self.catalog.reader()?;
        let numbers = reader.search_numbers(&params.query, params.after, limit)?;
        let next = numbers
            .last()
            .filter(|_| u32::try_from(numbers.len()).unwrap_or(limit) >= limit)
            .map(|number| number.0);
        let mut items = Vec::with_capacity(numbers.len());
        for number in numbers {
            // One that was removed meanwhile is left out.
            items.extend(reader.media_item(number)?);
        }
        Ok(SearchPage { items, next })
    }

    /// Finds an item, changes it in one transaction that is on disk before the answer, and gives it as it is then.
    pub(super) fn change(
        &self,
        which: &Which,
        change: impl FnOnce(&mut crate::catalog::Writer, ItemNo) -> Result<(), RpcError>,
    ) -> Result<MediaItem, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, which)?.row;
        self.catalog
            .write(Durability::Full, |writer| change(writer, item))?;
        whole(&reader, item)
    }

    pub(super) fn tag(&self, params: &TagParams) -> Result<MediaItem, RpcError> {
        if params.tags.is_empty() {
            return Err(RpcError::new(
                Reason::InvalidParameter,
                "name at least one tag",
            ));
        }
        self.change(&params.item, |writer, item| {
            for name in &params.tags {
                writer.tag(
                    item,
                    &Tag {
                        name: name.clone(),
                        source: TagSource::User,
                        confidence: Confidence::CERTAIN,
                    },
                )?;
            }
            Ok(())
        })
    }

    pub(super) fn untag(&self, params: &TagParams) -> Result<MediaItem, RpcError> {
        self.change(&params.item, |writer, item| {
            for name in &params.tags {
                if !writer.untag(item, name)? {
                    return Err(RpcError::new(
                        Reason::NotFound,
                        format!("it has no tag {name:?}, so nothing was taken off"),
                    )
                    .remedy("`mediafs show ID` lists its tags"));
                }
            }
            Ok(())
        })
    }

    pub(super) fn rename(&self, params: &RenameParams) -> Result<MediaItem, RpcError> {
        self.change(&params.item, |writer, item| {
            let old = writer
                .reader()
                .item(item)?
                .ok_or(CatalogError::Unknown {
                    what: "item",
                    number: item.0,
                })?
                .name;
            Ok(writer.rename(item, &with_extension(&params.name, &old))?)
        })
    }

    pub(super) fn remove(&self, which: &Which) -> Result<Removed, RpcError> {
        let item = self.find(&self.catalog.reader()?, which)?;
        self.catalog
            .write(Durability::Full, |writer| -> Result<(), RpcError> {
                Ok(writer.remove(item.row)?)
            })?;
        Ok(Removed {
            media_id: item.media_id,
            name: item.name,
        })
    }
}

pub(super) fn whole(reader: &Reader, item: ItemNo) -> Result<MediaItem, RpcError> {
    reader
        .media_item(item)?
        .ok_or_else(|| RpcError::new(Reason::NotFound, "the sound was removed meanwhile"))
}

/// The new name with the extension of the old one, unless it has that already.
fn with_extension(name: &str, old: &str) -> String {
    let (_, extension) = split_extension(old);
    let (_, given) = split_extension(name);
    if extension.is_empty() || given.eq_ignore_ascii_case(extension) || name.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{extension}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_keeps_the_extension() {
        assert_eq!(with_extension("Boom", "kick.wav"), "Boom.wav");
        assert_eq!(with_extension("Boom.WAV", "kick.wav"), "Boom.WAV");
        assert_eq!(with_extension("Boom 2.0", "kick.wav"), "Boom 2.0.wav");
        assert_eq!(with_extension("Boom.flac", "kick.wav"), "Boom.flac.wav");
        assert_eq!(with_extension("Boom", "kick"), "Boom");
        assert_eq!(with_extension("", "kick.wav"), "");
    }
}

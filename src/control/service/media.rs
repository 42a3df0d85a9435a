//! What is done with items one at a time: get, search, tag, rename, remove.

use super::Service;
use super::history::{draft, recorded};
use crate::catalog::{CatalogError, Durability, ItemNo, ItemRow, Reader, Writer};
use crate::control::methods::*;
use crate::control::{Reason, RpcError};
use crate::model::{Attribute, Confidence, MediaItem, Tag, TagSource, split_extension};

impl Service {
    pub(super) fn get(&self, which: &Which) -> Result<MediaItem, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, which)?;
        let mut whole = whole(&reader, item.row)?;
        whole.candidates = reader.candidates(&item)?;
        whole.sidecars = self.sidecars_of(&reader, &item)?;
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
        kind: &'static str,
        intent: &Intent,
        summary: impl FnOnce(&ItemRow) -> String,
        change: impl FnOnce(&mut Writer, ItemNo) -> Result<(), RpcError>,
    ) -> Result<Changed, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, which)?;
        let mut draft = draft(kind, summary(&item), intent);
        self.catalog.write(Durability::Full, |writer| {
            writer.operate(&mut draft, |writer| change(writer, item.row))
        })?;
        Ok(Changed {
            item: whole(&reader, item.row)?,
            operation: recorded(&draft),
        })
    }

    pub(super) fn tag(&self, params: &TagParams) -> Result<Changed, RpcError> {
        if params.tags.is_empty() {
            return Err(RpcError::new(
                Reason::InvalidParameter,
                "name at least one tag",
            ));
        }
        let summary = |item: &ItemRow| format!("tagged {} {}", item.name, params.tags.join(", "));
        let work = |writer: &mut Writer, item: ItemNo| {
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
        };
        self.change(&params.item, "tag", &params.intent, summary, work)
    }

    pub(super) fn untag(&self, params: &TagParams) -> Result<Changed, RpcError> {
        let summary = |item: &ItemRow| format!("took {} off {}", params.tags.join(", "), item.name);
        let work = |writer: &mut Writer, item: ItemNo| {
            for name in &params.tags {
                if !writer.untag(item, name)? {
                    return Err(RpcError::new(
                        Reason::NotFound,
                        format!("it has no tag {name:?}, so nothing was taken off"),
                    )
                    .remedy("media.get lists its tags")
                    .command("`mediafs show ID` lists its tags"));
                }
            }
            Ok(())
        };
        self.change(&params.item, "untag", &params.intent, summary, work)
    }

    pub(super) fn set_attribute(&self, params: &SetAttributeParams) -> Result<Changed, RpcError> {
        let name = &params.attribute;
        let summary = |item: &ItemRow| match params.value.is_null() {
            true => format!("took {name} off {}", item.name),
            false => format!("set {name} of {} to {}", item.name, params.value),
        };
        let work = |writer: &mut Writer, item: ItemNo| {
            if params.value.is_null() {
                if !writer.remove_attribute(item, name)? {
                    return Err(RpcError::new(
                        Reason::NotFound,
                        format!("it has no {name:?}, so nothing was taken off"),
                    ));
                }
                return Ok(());
            }
            let attribute = Attribute {
                name: name.clone(),
                value: params.value.clone(),
                source: TagSource::User,
                confidence: Confidence::CERTAIN,
            };
            Ok(writer.set_attribute(item, &attribute)?)
        };
        self.change(&params.item, "attribute", &params.intent, summary, work)
    }

    pub(super) fn rename(&self, params: &RenameParams) -> Result<Changed, RpcError> {
        let summary = |item: &ItemRow| {
            let name = with_extension(&params.name, &item.name);
            format!("renamed {} to {name}", item.name)
        };
        let work = |writer: &mut Writer, item: ItemNo| {
            let old = writer
                .reader()
                .item(item)?
                .ok_or(CatalogError::Unknown {
                    what: "item",
                    number: item.0,
                })?
                .name;
            Ok(writer.rename(item, &with_extension(&params.name, &old))?)
        };
        self.change(&params.item, "rename", &params.intent, summary, work)
    }

    pub(super) fn remove(&self, params: &RemoveParams) -> Result<Removed, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, &params.item)?;
        let mut draft = draft("remove", format!("removed {}", item.name), &params.intent);
        self.catalog
            .write(Durability::Full, |writer| -> Result<(), RpcError> {
                if !params.force {
                    // In the transaction: a usage that comes meanwhile counts.
                    self.refuse_used(writer.reader(), &item)?;
                }
                writer.operate(&mut draft, |writer| Ok(writer.remove(item.row)?))
            })?;
        Ok(Removed {
            media_id: item.media_id,
            name: item.name,
            operation: recorded(&draft),
        })
    }

    fn refuse_used(&self, reader: &Reader, item: &ItemRow) -> Result<(), RpcError> {
        let usages = self.usages_of(reader, item.row, super::usages::PROTECTING)?;
        if usages.is_empty() {
            return Ok(());
        }
        let who = super::usages::in_words(reader, &usages)?;
        Err(RpcError::new(
            Reason::Refused,
            format!("{} is used by {who}, so it was not removed", item.name),
        )
        .remedy("remove it all the same with `force: true`; history.revert brings it back")
        .command(
            "remove it all the same with `mediafs remove --force`; `mediafs undo` brings it back",
        ))
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

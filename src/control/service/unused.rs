//! Removing, in one go, what is gone for good and nobody would miss.

use std::path::PathBuf;

use super::Service;
use super::history::{draft, recorded};
use crate::catalog::{CatalogError, Durability, ItemRow, Reader};
use crate::control::methods::*;
use crate::control::{RpcError, WirePath};

/// Most items of one page, so that a catalog of many does not keep others waiting.
const PAGE: u32 = 1000;

impl Service {
    pub(super) fn forget_unused(
        &self,
        params: &ForgetUnusedParams,
    ) -> Result<ForgottenUnused, RpcError> {
        let reader = self.catalog.reader()?;
        let page = reader.unused_items(params.after, PAGE)?;
        let is_last = u32::try_from(page.len()).is_ok_and(|length| length < PAGE);
        let next = page.last().filter(|_| !is_last).map(|item| item.row.0);
        let mut gone = Vec::with_capacity(page.len());
        for item in page {
            let was_at = was_at(&reader, &item)?;
            // The file may have come back, and nobody has looked since.
            let is_gone = |path: &PathBuf| path.symlink_metadata().is_err();
            if was_at.as_ref().is_none_or(is_gone) {
                gone.push((item, was_at));
            }
        }
        let mut operation = None;
        if !params.dry_run && !gone.is_empty() {
            let count = gone.len();
            let summary = match gone.as_slice() {
                [(item, _)] => format!("removed {}, which is gone and unused", item.name),
                _ => format!("removed {count} sounds that are gone and unused"),
            };
            let mut draft = draft("forgetUnused", summary, &params.intent);
            self.catalog
                .write(Durability::Full, |writer| -> Result<(), RpcError> {
                    // In the transaction: what is used or tagged meanwhile stays.
                    let still = writer.reader().unused_items(params.after, PAGE)?;
                    gone.retain(|(item, _)| still.iter().any(|other| other.row == item.row));
                    writer.operate(&mut draft, |writer| {
                        gone.iter()
                            .try_for_each(|(item, _)| writer.remove(item.row))
                            .map_err(RpcError::from)
                    })
                })?;
            operation = recorded(&draft);
        }
        Ok(ForgottenUnused {
            items: gone
                .into_iter()
                .map(|(item, was_at)| UnusedItem {
                    media_id: item.media_id,
                    name: item.name,
                    was_at: was_at.map(WirePath),
                })
                .collect(),
            next,
            kept: reader.count_gone_and_known()?,
            operation,
        })
    }
}

/// Where an item's file was; on trusted storage, so that looking there cannot hang.
fn was_at(reader: &Reader, item: &ItemRow) -> Result<Option<PathBuf>, CatalogError> {
    let place = match item.place_of_record() {
        Some(place) => reader.place(place)?,
        None => None,
    };
    match place {
        Some(place) => reader.absolute_path(&place),
        None => Ok(None),
    }
}

//! Whether a project plays with every cable and network off, and what it needs for that.

use super::Service;
use super::away::{done_for, obstacle};
use crate::catalog::{AtHand, ItemRow, Reader, USER};
use crate::control::RpcError;
use crate::control::methods::*;
use crate::hydrate::Why;
use crate::model::{Availability, Lifecycle, SourceNo};

/// An item that is not ready, and what has it.
struct Lacking {
    item: ItemRow,
    told: ReadyItem,
    source: Option<SourceNo>,
}

impl Service {
    pub(super) fn project_ready(&self, params: &ReadyParams) -> Result<ReadyAnswer, RpcError> {
        let base = self.project(&params.project)?;
        let reader = self.catalog.reader()?;
        let all = self.items_of(&reader, &base)?;
        let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
        let mut lacking = Vec::new();
        for item in all {
            lacking.extend(lacks(&reader, item)?);
        }
        let mut fetching = Vec::new();
        if params.fetch && !lacking.is_empty() {
            let away = self.away()?;
            for lack in &lacking {
                if !matches!(lack.told.state, NotReady::Unpinned | NotReady::ToBring) {
                    continue;
                }
                away.pin(&lack.item, USER)?;
                let task = match obstacle(&reader, &lack.item)? {
                    Some(_) => None,
                    None => away.hydrate(&reader, &lack.item, Why::Pinned)?,
                };
                fetching.push(done_for(&reader, away, &lack.item, task)?);
            }
            // What only had to be pinned is ready now.
            lacking.retain(|lack| lack.told.state != NotReady::Unpinned);
        }
        let (mut bytes, mut seconds) = (0_u64, Some(0_u64));
        for lack in &lacking {
            if lack.told.state != NotReady::ToBring {
                continue;
            }
            bytes = bytes.saturating_add(lack.told.size);
            let rate = lack.source.and_then(|source| self.rate_of(source));
            seconds = seconds
                .zip(rate)
                .map(|(sum, rate)| sum.saturating_add(lack.told.size.div_ceil(rate.max(1))));
        }
        let mut items: Vec<ReadyItem> = lacking.into_iter().map(|lack| lack.told).collect();
        for hold in reader.held(base.row)? {
            // One that is an item is listed as that.
            if hold.media_id.is_some() && hold.entry.is_empty() {
                continue;
            }
            items.push(ReadyItem {
                media_id: hold.media_id,
                name: String::new(),
                size: 0,
                state: NotReady::Held,
                source: None,
                reason: Some(hold.reason),
            });
        }
        Ok(ReadyAnswer {
            ready: items.is_empty(),
            total,
            items,
            bytes,
            seconds,
            fetching,
        })
    }

    /// How fast bytes of a source came last.
    fn rate_of(&self, source: SourceNo) -> Option<u64> {
        self.away.get()?.rates.lock().get(&source).copied()
    }
}

/// What an item lacks; `None` if its bytes are on trusted storage, or in the cache for good.
fn lacks(reader: &Reader, item: ItemRow) -> Result<Option<Lacking>, RpcError> {
    let whole = reader.assemble_bare(item.clone())?;
    let place = match item.place {
        Some(place) => reader.place(place)?,
        None => None,
    };
    let source = place
        .as_ref()
        .and_then(|place| reader.source_of(place.base));
    let at_hand = reader.at_hand(&item)?;
    let state = match (&at_hand, item.availability) {
        _ if whole.lifecycle == Lifecycle::Pending => NotReady::Pending,
        (Some(AtHand::Twin(_)), _) => return Ok(None),
        (_, Availability::Local) if source.is_none() => return Ok(None),
        (Some(AtHand::Object(_)), _) if !reader.pins_of(item.row)?.is_empty() => return Ok(None),
        (Some(AtHand::Object(_)), _) => NotReady::Unpinned,
        (None, Availability::Missing) if reader.held_back(&item)?.is_some() => NotReady::Held,
        (None, Availability::Missing) => NotReady::Missing,
        (None, Availability::ExternalOffline | Availability::RemoteOffline) => NotReady::Away,
        (None, _) => NotReady::ToBring,
    };
    let named = match source {
        Some(source) => reader.source(source)?.map(|row| row.name),
        None => None,
    };
    let told = ReadyItem {
        media_id: Some(item.media_id.clone()),
        name: item.name.clone(),
        size: item.size,
        state,
        source: named,
        reason: reader.cause_of(&item)?,
    };
    Ok(Some(Lacking { item, told, source }))
}

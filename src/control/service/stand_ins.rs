//! Files that are silence in the place of sounds: told by their hash, and the silence itself, to compare with.

use std::fmt::Write;
use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

use super::Service;
use crate::catalog::{ItemNo, ItemRow, Reader};
use crate::control::methods::*;
use crate::control::{Reason, RpcError};
use crate::model::{ObjectHash, shown_name};
use crate::silence::{Placeholder, hash_of, placeholder};

/// Silences whose hashes are remembered.
pub(super) const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);

/// Hashes of silences, by item and generation, and whether there was a capsule; `None` where there is no silence.
pub(super) type SilenceHashes = Mutex<LruCache<(ItemNo, u32, bool), Option<ObjectHash>>>;

impl Service {
    pub(super) fn stand_in(&self, params: &StandInParams) -> Result<StandInAnswer, RpcError> {
        let reader = self.catalog.reader()?;
        let mut answer = StandInAnswer::default();
        // Music has silence in it, too.
        if reader.is_a_sound(params.blake3)? {
            return Ok(answer);
        }
        // What was given once is known, whatever has become of the sound.
        let mut silent = reader.stand_ins(params.blake3)?;
        for number in reader.items_of_size(params.size)? {
            let Some(item) = reader.item(number)? else {
                continue;
            };
            if self.silence_hash(&reader, &item)? == Some(params.blake3) {
                silent.push(number);
                continue;
            }
            let named = params
                .name
                .as_ref()
                .is_some_and(|name| shown_name(&item.name).eq_ignore_ascii_case(&shown_name(name)));
            if named {
                answer.suspects.push(described(&reader, &item)?);
            }
        }
        silent.sort_unstable();
        silent.dedup();
        for number in silent {
            if let Some(item) = reader.item(number)? {
                answer.silence_of.push(described(&reader, &item)?);
            }
        }
        if !answer.silence_of.is_empty() {
            answer.suspects.clear();
        }
        Ok(answer)
    }

    /// The hash of an item's silence, which takes time to work out and is asked for again with the next file.
    fn silence_hash(
        &self,
        reader: &Reader,
        item: &ItemRow,
    ) -> Result<Option<ObjectHash>, RpcError> {
        let key = (item.row, item.generation, reader.has_capsule(item.row)?);
        if let Some(known) = self.silence_hashes.lock().get(&key) {
            return Ok(*known);
        }
        let hash = silence_of(reader, item)?.map(|silence| hash_of(&*silence));
        self.silence_hashes.lock().put(key, hash);
        Ok(hash)
    }

    pub(super) fn silence(&self, params: &SilenceParams) -> Result<SilenceBytes, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, &params.item)?;
        let Some(silence) = silence_of(&reader, &item)? else {
            return Err(RpcError::new(
                Reason::NotFound,
                format!("nothing is known to make silence of {} from", item.name),
            ));
        };
        let length = params.length.min(SilenceParams::MOST);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let filled = silence.read_at(params.offset, &mut bytes);
        let mut hex = String::with_capacity(filled * 2);
        for byte in bytes.iter().take(filled) {
            // Writing to a text does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Ok(SilenceBytes { hex })
    }
}

fn silence_of(reader: &Reader, item: &ItemRow) -> Result<Option<Box<dyn Placeholder>>, RpcError> {
    let Some(format) = reader.format(item.row)? else {
        return Ok(None);
    };
    let capsule = reader.capsule(item.row)?;
    Ok(placeholder(&format, item.size, capsule.as_ref()).ok())
}

fn described(reader: &Reader, item: &ItemRow) -> Result<StandIn, RpcError> {
    let blake3: Option<ObjectHash> = reader.blake3(item.row)?;
    Ok(StandIn {
        media_id: item.media_id.clone(),
        name: item.name.clone(),
        path: reader.path_of_item(item)?,
        playable: item.playable,
        blake3,
    })
}

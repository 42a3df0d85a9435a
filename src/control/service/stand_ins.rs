//! Files that are silence in the place of sounds: told by their hash, and the silence itself, to compare with.

use std::fmt::Write;

use super::Service;
use crate::catalog::{ItemRow, Reader};
use crate::control::methods::*;
use crate::control::{Reason, RpcError};
use crate::model::{ObjectHash, shown_name};
use crate::silence::{Placeholder, hash_of, placeholder};

impl Service {
    pub(super) fn stand_in(&self, params: &StandInParams) -> Result<StandInAnswer, RpcError> {
        let reader = self.catalog.reader()?;
        // What was given once is known, whatever has become of the sound.
        if let Some(item) = reader.stand_in(params.blake3)? {
            return Ok(StandInAnswer {
                silence_of: Some(described(&reader, &item)?),
                suspects: Vec::new(),
            });
        }
        let mut suspects = Vec::new();
        for number in reader.items_of_size(params.size)? {
            let Some(item) = reader.item(number)? else {
                continue;
            };
            if let Some(silence) = silence_of(&reader, &item)?
                && hash_of(&*silence) == params.blake3
            {
                return Ok(StandInAnswer {
                    silence_of: Some(described(&reader, &item)?),
                    suspects: Vec::new(),
                });
            }
            let named = params
                .name
                .as_ref()
                .is_some_and(|name| shown_name(&item.name).eq_ignore_ascii_case(&shown_name(name)));
            let other = reader.blake3(item.row)? != Some(params.blake3);
            if named && other {
                suspects.push(described(&reader, &item)?);
            }
        }
        Ok(StandInAnswer {
            silence_of: None,
            suspects,
        })
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
        path: format!("by-id/{}/{}", item.media_id, shown_name(&item.name)),
        playable: item.playable,
        blake3,
    })
}

//! Where the bytes of items can be read without the drive.

use std::path::{Path, PathBuf};

use mediafs_cache::ObjectId;

use super::Service;
use crate::catalog::{AtHand, ItemRow, Reader};
use crate::control::methods::*;
use crate::control::{RpcError, WirePath};
use crate::model::{Availability, MediaItem, path_from_text};

impl Service {
    pub(super) fn resolve(&self, params: &ResolveParams) -> Result<ResolveAnswer, RpcError> {
        let reader = self.catalog.reader()?;
        let items = params.items.iter();
        Ok(ResolveAnswer {
            items: items
                .map(|which| self.resolve_one(&reader, which))
                .collect::<Result<_, _>>()?,
        })
    }

    fn resolve_one(&self, reader: &Reader, which: &Which) -> Result<Resolved, RpcError> {
        let item = match self.find(reader, which) {
            Ok(item) => item,
            // The others are answered all the same.
            Err(error) => {
                return Ok(Resolved {
                    reason: Some(error.message),
                    remedy: error.remedy,
                    ..Resolved::default()
                });
            }
        };
        let whole = reader.assemble(item.clone())?;
        let found = self.at_hand(reader, &item, &whole)?;
        let (path, from) = match found {
            Some((path, from)) => (Some(WirePath(path)), Some(from)),
            None => (None, None),
        };
        let (reason, remedy) = if path.is_some() {
            (None, None)
        } else {
            let cause = reader.cause_of(&item)?;
            let remedy = match item.availability {
                Availability::Local => "a scan (`media.scan`) looks at it again",
                Availability::Missing if reader.library_elsewhere(&item)?.is_some() => {
                    super::FROM_ELSEWHERE
                }
                Availability::Missing => "put the file back, or relink the item to another one",
                _ => "hydrate it to bring it here, once it can be reached",
            };
            let reason = cause.unwrap_or_else(|| {
                match item.availability {
                    Availability::Local => "its file is not as it was when it was last looked at",
                    _ => "its bytes are not on this machine's trusted storage",
                }
                .to_owned()
            });
            (Some(reason), Some(remedy.to_owned()))
        };
        Ok(Resolved {
            path,
            from,
            item: Some(ResolvedItem {
                media_id: item.media_id,
                name: item.name,
                storage: whole.storage,
                alternatives: whole.alternatives,
                size: item.size,
                blake3: whole.blake3,
                availability: item.availability,
                playable: item.playable,
                drive_path: whole.path,
            }),
            reason,
            remedy,
        })
    }

    fn at_hand(
        &self,
        reader: &Reader,
        item: &ItemRow,
        whole: &MediaItem,
    ) -> Result<Option<(PathBuf, ResolvedFrom)>, RpcError> {
        if item.availability == Availability::Local
            && let Some(text) = &whole.resolved_path
            && let Ok(path) = path_from_text(text)
            && is_file_of(&path, item.size)
        {
            let from = if item.home.is_some() {
                ResolvedFrom::Twin
            } else {
                ResolvedFrom::Original
            };
            return Ok(Some((path, from)));
        }
        // Nothing is brought for this, and no cache is made for it.
        if let Some(hash) = whole.blake3
            && self.home.cache().exists()
        {
            let store = self.cache.get()?;
            let object = ObjectId::from_bytes(hash.0);
            if store.contains(&object)? {
                let path = store.object_path(&object);
                return Ok(is_file_of(&path, item.size).then_some((path, ResolvedFrom::Cache)));
            }
        }
        if let Some(AtHand::Twin(twin)) = reader.at_hand(item)?
            && let Some((base, below)) = reader.path_of(&twin)?
            && let Some(base) = reader.base(base)?
        {
            let path = base.path.join(below);
            return Ok(is_file_of(&path, item.size).then_some((path, ResolvedFrom::Twin)));
        }
        Ok(None)
    }
}

/// On trusted storage, which answers.
fn is_file_of(path: &Path, size: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

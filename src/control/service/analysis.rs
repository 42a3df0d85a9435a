//! What others have found out about sounds: which items lack it, put, got.
//!
//! An artefact is an object of the cache, pinned there for as long as the catalog names it, and belongs to the bytes that
//! it was made of. So it goes with them under every name, and nobody sees it for other bytes.

use std::fs::File;
use std::io::{Read, Seek};

use mediafs_cache::{CacheError, ObjectId, OpenObject, PinOwner};

use mediafs_platform::files::Opening;

use super::Service;
use crate::catalog::{ANALYSIS, AnalysisKey, Durability, ItemRow, Reader};
use crate::control::methods::*;
use crate::control::{Reason, RpcError, WirePath};
use crate::model::{ObjectHash, Playable};

/// Longest type, parameters or producer, in bytes.
const LONGEST_WORD: usize = 1024;
/// Items that are looked at for one page at most: an answer comes soon, with a `next` to go on.
const LOOK_AT: u32 = 20_000;

impl Service {
    pub(super) fn analysis_wanted(
        &self,
        params: &AnalysisWantedParams,
    ) -> Result<AnalysisWantedPage, RpcError> {
        if params.types.is_empty() || params.types.len() > AnalysisWantedPage::MOST_TYPES {
            return Err(RpcError::new(
                Reason::InvalidParameter,
                format!("name 1 to {} types", AnalysisWantedPage::MOST_TYPES),
            ));
        }
        params.types.iter().try_for_each(check)?;
        let limit = params
            .limit
            .unwrap_or(100)
            .clamp(1, AnalysisWantedPage::MOST);
        let reader = self.catalog.reader()?;
        let mut at = params.after.unwrap_or(AnalysisAfter {
            open_done: false,
            item: 0,
        });
        let mut page = AnalysisWantedPage::default();
        let mut looked = 0;
        loop {
            let items = reader.hashed_items(!at.open_done, at.item, AnalysisWantedPage::MOST)?;
            if items.is_empty() {
                if at.open_done {
                    return Ok(page);
                }
                at = AnalysisAfter {
                    open_done: true,
                    item: 0,
                };
                continue;
            }
            for (item, hash) in items {
                at.item = item.row.0;
                looked += 1;
                let mut types = Vec::new();
                for wanted in &params.types {
                    if reader.analysis(&key(hash, wanted))?.is_none() {
                        types.push(wanted.clone());
                    }
                }
                if !types.is_empty() {
                    page.items.push(AnalysisWantedItem {
                        path: reader.path_of_item(&item)?,
                        media_id: item.media_id,
                        name: item.name,
                        blake3: hash,
                        at_hand: item.playable == Playable::Bytes,
                        types,
                    });
                }
                if page.items.len() >= usize::try_from(limit).unwrap_or(usize::MAX)
                    || looked >= LOOK_AT
                {
                    page.next = Some(at);
                    return Ok(page);
                }
            }
        }
    }

    pub(super) fn analysis_put(
        &self,
        params: &AnalysisPutParams,
    ) -> Result<AnalysisStored, RpcError> {
        check(&params.analysis)?;
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, &params.item)?;
        self.refuse_untrue(&reader, &item, params)?;
        let artefact = self.artefact(params)?;
        let store = self.cache.get()?;
        let stored = match artefact {
            Artefact::Text(text) => {
                let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
                store.put(text.as_bytes(), Some(size), None)
            }
            Artefact::File(file, size) => {
                store.put(file.take(AnalysisPutParams::LONGEST), Some(size), None)
            }
        };
        let stored = stored.map_err(no_room)?;
        let object = stored.id();
        store.pin(&owner()?, &[object])?;
        let analysis = key(params.blake3, &params.analysis);
        self.catalog
            .write(Durability::Full, |writer| -> Result<(), RpcError> {
                // It may have changed while the artefact was written.
                match writer.reader().sure_hash(item.row)? {
                    Some(now) if now == params.blake3 => {}
                    now => return Err(other_bytes(&item, now)),
                }
                Ok(writer.put_analysis(&analysis, ObjectHash(*object.as_bytes()))?)
            })?;
        Ok(AnalysisStored {
            media_id: item.media_id,
            size: stored.size(),
        })
    }

    /// Only what was made of the item's true bytes is taken.
    fn refuse_untrue(
        &self,
        reader: &Reader,
        item: &ItemRow,
        params: &AnalysisPutParams,
    ) -> Result<(), RpcError> {
        match reader.sure_hash(item.row)? {
            Some(now) if now == params.blake3 => {}
            now => return Err(other_bytes(item, now)),
        }
        let drive = self
            .daemon
            .as_ref()
            .and_then(|daemon| daemon.drive.get())
            .and_then(std::sync::Weak::upgrade);
        let silent = drive.is_some_and(|drive| {
            drive.silenced().iter().any(|silence| {
                silence.item == item.row
                    && silence
                        .listeners
                        .iter()
                        .any(|listener| listener.process.0 == params.process)
            })
        });
        if silent {
            return Err(RpcError::new(
                Reason::Refused,
                format!(
                    "process {} was given silence in place of {}, so what it found is not of that sound",
                    params.process, item.name
                ),
            )
            .remedy("open it again in strict mode (requesters.setMode), and analyse it anew"));
        }
        Ok(())
    }

    fn artefact(&self, params: &AnalysisPutParams) -> Result<Artefact, RpcError> {
        let bad = |message: String| RpcError::new(Reason::InvalidParameter, message);
        let too_long = |size: u64| {
            bad(format!(
                "an artefact of {size} bytes is too long; {} are the most",
                AnalysisPutParams::LONGEST
            ))
        };
        match (&params.artefact, &params.artefact_path) {
            (Some(text), None) => {
                let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
                if size > AnalysisPutParams::LONGEST {
                    return Err(too_long(size));
                }
                Ok(Artefact::Text(text.clone()))
            }
            (None, Some(path)) => {
                if !path.0.is_absolute() {
                    return Err(bad(format!("{path} is no absolute path")));
                }
                let untrusted = self.library()?.untrusted(&path.0);
                if let Some(reason) = untrusted {
                    return Err(bad(format!("{path} is {reason}; write it to a local disk")));
                }
                let file = open_plain(&path.0).map_err(|error| {
                    bad(format!("{path} cannot be read as an artefact: {error}"))
                })?;
                let size = file.1;
                if size > AnalysisPutParams::LONGEST {
                    return Err(too_long(size));
                }
                Ok(Artefact::File(file.0, size))
            }
            _ => Err(bad("give either artefact or artefactPath".to_owned())),
        }
    }

    pub(super) fn analysis_get(
        &self,
        params: &AnalysisGetParams,
    ) -> Result<AnalysisArtefact, RpcError> {
        check(&params.analysis)?;
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, &params.item)?;
        let none = || {
            RpcError::new(
                Reason::NotFound,
                format!(
                    "there is no {} of {} by {} with these parameters",
                    params.analysis.kind, item.name, params.analysis.producer
                ),
            )
            .remedy("`analysis.wanted` lists what is to be made")
        };
        let hash = reader.sure_hash(item.row)?.ok_or_else(none)?;
        let analysis = key(hash, &params.analysis);
        let artefact = reader.analysis(&analysis)?.ok_or_else(none)?;
        let object = ObjectId::from_bytes(artefact.0);
        let store = self.cache.get()?;
        let Some(open) = store.open_object(&object)? else {
            // So that it is wanted again.
            self.catalog
                .write(Durability::Normal, |writer| -> Result<bool, RpcError> {
                    Ok(writer.drop_analysis(&analysis)?)
                })?;
            return Err(none());
        };
        Ok(AnalysisArtefact {
            media_id: item.media_id,
            analysis: params.analysis.clone(),
            blake3: hash,
            size: open.size(),
            artefact_path: WirePath(store.object_path(&object)),
            artefact: text_of(&open),
        })
    }
}

enum Artefact {
    Text(String),
    File(File, u64),
}

fn text_of(object: &OpenObject) -> Option<String> {
    if object.size() > AnalysisArtefact::INLINE {
        return None;
    }
    let mut file = object.file().try_clone().ok()?;
    file.rewind().ok()?;
    let mut bytes = Vec::new();
    file.take(AnalysisArtefact::INLINE)
        .read_to_end(&mut bytes)
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// Opens a regular file, without waiting for what only looks like one.
fn open_plain(path: &std::path::Path) -> std::io::Result<(File, u64)> {
    let file = Opening::default().open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "not a file",
        ));
    }
    Ok((file, found.len()))
}

fn owner() -> Result<PinOwner, RpcError> {
    Ok(PinOwner::new(ANALYSIS)?)
}

fn key(object: ObjectHash, analysis: &AnalysisType) -> AnalysisKey {
    AnalysisKey {
        object,
        kind: analysis.kind.clone(),
        parameters: analysis.parameters.clone(),
        producer: analysis.producer.clone(),
    }
}

fn check(analysis: &AnalysisType) -> Result<(), RpcError> {
    let fits = |word: &str| (1..=LONGEST_WORD).contains(&word.len());
    if fits(&analysis.kind) && fits(&analysis.producer) && analysis.parameters.len() <= LONGEST_WORD
    {
        return Ok(());
    }
    Err(RpcError::new(
        Reason::InvalidParameter,
        format!("type and producer have 1 to {LONGEST_WORD} bytes, parameters at most as many"),
    ))
}

fn other_bytes(item: &ItemRow, now: Option<ObjectHash>) -> RpcError {
    match now {
        Some(now) => RpcError::new(
            Reason::Refused,
            format!(
                "{} has other bytes now (BLAKE3 {now}), so this is not of that sound",
                item.name
            ),
        )
        .remedy("analyse it anew"),
        None => RpcError::new(
            Reason::Refused,
            format!("the bytes of {} are not known by their hash yet", item.name),
        )
        .remedy("ask `analysis.wanted` which are, and try again later"),
    }
}

fn no_room(error: CacheError) -> RpcError {
    let is_full = error.is_full();
    let error = RpcError::from(error);
    if is_full {
        error.remedy("give the cache more room, or unpin something")
    } else {
        error
    }
}

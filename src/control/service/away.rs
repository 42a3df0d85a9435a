//! Sounds that are not on trusted storage: hydration, pins, volumes, silence.

use std::time::UNIX_EPOCH;

use super::Service;
use super::history::{draft, recorded};
use crate::catalog::{
    CatalogError, Durability, ItemNo, ItemRow, OperationDraft, PlaceNo, Reader, USER,
};
use crate::control::events::ProcessName;
use crate::control::methods::*;
use crate::control::rpc::one_line;
use crate::control::{Reason, RpcError, WirePath};
use crate::daemon::{Away, brake_warning, is_reached};
use crate::hydrate::{HydrateError, TaskPhase, Why};
use crate::model::{Availability, Playable, path_from_text};

/// Why a sound is silent though its source is there.
pub(crate) const LATE: &str = "they come too late";
/// The same, where what came found no room.
pub(crate) const FULL: &str = "the cache is full";

impl Service {
    /// Why players get silence of an item, for people.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn cause_of_silence(
        &self,
        reader: &Reader,
        item: &ItemRow,
    ) -> Result<String, CatalogError> {
        // Where its source is there and answers, that is none.
        let cause = reader.cause_of(item)?;
        if let Some(cause) = cause.filter(|_| !is_reached(item)) {
            return Ok(cause);
        }
        let is_full = item.place.is_some_and(|place| self.found_no_room(place));
        Ok(if is_full { FULL } else { LATE }.to_owned())
    }

    fn found_no_room(&self, place: PlaceNo) -> bool {
        let tasks = self.away.get().map(|away| away.hydrator.tasks());
        let mut of_it = tasks.into_iter().flatten();
        let last = of_it.rfind(|task| task.wanted.place == place);
        last.is_some_and(|task| {
            matches!(
                task.phase,
                TaskPhase::Failed {
                    reason: HydrateError::Full { .. }
                }
            )
        })
    }

    pub(super) fn away(&self) -> Result<&Away, RpcError> {
        self.daemon_needed()?;
        self.away.get().map(AsRef::as_ref).ok_or_else(|| {
            RpcError::new(Reason::Refused, "the daemon is starting").remedy("try again in a moment")
        })
    }

    pub(super) fn hydrate(&self, params: &ItemsParams) -> Result<HydrateAnswer, RpcError> {
        let away = self.away()?;
        let items = self.items(params)?;
        let reader = self.catalog.reader()?;
        let items = items.iter().map(|item| {
            let task = match obstacle(&reader, item)? {
                Some(_) => None,
                None => away.hydrate(&reader, item, Why::ByHand)?,
            };
            done_for(&reader, away, item, task)
        });
        Ok(HydrateAnswer {
            items: items.collect::<Result<_, _>>()?,
            operation: None,
        })
    }

    pub(super) fn pin(&self, params: &ItemsParams, pin: bool) -> Result<HydrateAnswer, RpcError> {
        let away = self.away()?;
        let items = self.items(params)?;
        let kind = if pin { "pin" } else { "unpin" };
        // In words once it is known what changes.
        let mut draft = OperationDraft {
            summary: None,
            ..draft(kind, String::new(), &params.intent)
        };
        self.catalog
            .write(Durability::Full, |writer| -> Result<(), CatalogError> {
                writer.operate(&mut draft, |writer| {
                    for item in &items {
                        match pin {
                            true => writer.pin(item.row, USER)?,
                            false => writer.unpin(item.row, USER)?,
                        };
                    }
                    Ok(())
                })
            })?;
        let reader = self.catalog.reader()?;
        let items = items.iter().map(|item| {
            let task = if pin {
                away.pin(item, USER)?;
                away.hydrate(&reader, item, Why::Pinned)?
            } else {
                away.unpin(item.row, USER)?;
                None
            };
            done_for(&reader, away, item, task)
        });
        Ok(HydrateAnswer {
            items: items.collect::<Result<_, _>>()?,
            operation: recorded(&draft),
        })
    }

    /// What was reverted of pins is done to the cache.
    pub(super) fn follow_pins(&self, pins: &[(ItemNo, String, bool)]) {
        // Without a daemon it is done when one starts.
        let Some(away) = self.away.get() else {
            return;
        };
        for (item, owner, is_pinned) in pins {
            let item = self.catalog.reader().and_then(|reader| reader.item(*item));
            let done = match (item, is_pinned) {
                (Ok(Some(item)), true) => away.pin(&item, owner),
                (Ok(Some(item)), false) => away.unpin(item.row, owner).map(|_| ()),
                (Ok(None), _) => Ok(()),
                (Err(error), _) => Err(error),
            };
            if let Err(error) = done {
                tracing::warn!(error = one_line(&error), "a pin is not as history has it");
            }
        }
    }

    /// All of them, or none: who names one that is not there is told before anything is done.
    fn items(&self, params: &ItemsParams) -> Result<Vec<ItemRow>, RpcError> {
        let reader = self.catalog.reader()?;
        let items = params.items.iter();
        items.map(|which| self.find(&reader, which)).collect()
    }

    pub(super) fn where_is(&self, which: &Which) -> Result<WhereIs, RpcError> {
        let reader = self.catalog.reader()?;
        let item = self.find(&reader, which)?;
        let whole = reader.assemble(item.clone())?;
        let cause = reader.cause_of(&item)?;
        let is_elsewhere = reader.library_elsewhere(&item)?.is_some();
        let source = match item.place.filter(|_| !is_elsewhere) {
            Some(place) => reader.place(place)?.and_then(|p| reader.source_of(p.base)),
            None => None,
        };
        let volume = match source {
            Some(source) => reader
                .source(source)?
                .map(|row| self.known_volume(&reader, row))
                .transpose()?,
            None => None,
        };
        let cached = matches!(
            reader.at_hand(&item)?,
            Some(crate::catalog::AtHand::Object(_))
        );
        let remedy = match (&item.availability, &volume) {
            _ if item.playable == Playable::Bytes => None,
            (Availability::ExternalOffline, Some(volume)) if volume.state == "suspended" => {
                Some(format!(
                    "{} does not answer; check its cable or connection",
                    volume.name
                ))
            }
            (Availability::ExternalOffline, Some(volume)) => Some(format!(
                "plug in {} to get {} back",
                volume.name,
                counted(volume.only_there)
            )),
            (Availability::RemoteOffline, Some(volume)) => Some(format!(
                "connect to the network of {} to get {} back",
                volume.name,
                counted(volume.only_there)
            )),
            (Availability::Missing, _) if reader.held_back(&item)?.is_some() => Some(
                "let it in with project.allow (`mediafs project allow`), or relink it".to_owned(),
            ),
            (Availability::Missing, _) if is_elsewhere => Some(super::FROM_ELSEWHERE.to_owned()),
            (Availability::Missing, _) => {
                Some("put the file back, or relink the item to another one".to_owned())
            }
            _ => Some("hydrate it to bring it here".to_owned()),
        };
        Ok(WhereIs {
            media_id: item.media_id,
            name: item.name,
            availability: item.availability,
            playable: item.playable,
            cause,
            storage: whole.storage,
            // It is written as `path_text` does.
            path: whole
                .resolved_path
                .and_then(|path| path_from_text(&path).ok())
                .map(WirePath),
            volume,
            cached,
            pinned_for: reader.pins_of(item.row)?,
            alternatives: whole.alternatives,
            remedy,
        })
    }

    pub(super) fn silences(&self) -> Result<SilenceList, RpcError> {
        let drive = self.daemon_needed()?.drive.get();
        let silences = drive
            .and_then(std::sync::Weak::upgrade)
            .map(|drive| drive.silenced());
        let reader = self.catalog.reader()?;
        let mut list = Vec::new();
        for silence in silences.unwrap_or_default() {
            let Some(item) = reader.item(silence.item)? else {
                continue;
            };
            let cause = self.cause_of_silence(&reader, &item)?;
            list.push(SilenceInfo {
                media_id: item.media_id,
                name: item.name,
                cause,
                processes: silence
                    .listeners
                    .into_iter()
                    .map(|listener| SilenceOf {
                        process: ProcessName {
                            pid: listener.process.0,
                            name: listener.name,
                        },
                        bytes: listener.bytes,
                        since: listener
                            .since
                            .duration_since(UNIX_EPOCH)
                            .ok()
                            .and_then(|since| u64::try_from(since.as_millis()).ok())
                            .unwrap_or(0),
                    })
                    .collect(),
            });
        }
        Ok(SilenceList { silences: list })
    }

    pub(super) fn allow(&self, params: &AllowParams) -> Result<Nothing, RpcError> {
        let away = self.away()?;
        let process = mediafs_platform::process::Process::of(mediafs_platform::process::ProcessId(
            params.pid,
        ));
        let process = process.ok_or_else(|| {
            RpcError::new(
                Reason::NotFound,
                format!("there is no process {}", params.pid),
            )
        })?;
        away.bringing.allow(&process);
        self.warnings().clear(&brake_warning(&process));
        Ok(Nothing {})
    }
}

fn counted(items: u64) -> String {
    match items {
        1 => "1 sound".to_owned(),
        more => format!("{more} sounds"),
    }
}

/// Why an item can't be brought now, if so.
pub(super) fn obstacle(reader: &Reader, item: &ItemRow) -> Result<Option<String>, RpcError> {
    let away = matches!(
        item.availability,
        Availability::Missing | Availability::ExternalOffline | Availability::RemoteOffline
    );
    if item.playable == Playable::Bytes || !away {
        return Ok(None);
    }
    Ok(reader.cause_of(item)?)
}

pub(super) fn done_for(
    reader: &Reader,
    away: &Away,
    item: &ItemRow,
    task: Option<crate::hydrate::TaskId>,
) -> Result<HydrateItem, RpcError> {
    // The task first: one that is done has brought the item, so the item is looked at after it.
    let task = task.and_then(|task| away.state_of(task));
    let now = reader.item(item.row)?.unwrap_or_else(|| item.clone());
    Ok(HydrateItem {
        media_id: now.media_id.clone(),
        name: now.name.clone(),
        at_hand: now.playable == Playable::Bytes,
        task,
        reason: obstacle(reader, &now)?,
        pinned: !reader.pins_of(now.row)?.is_empty(),
    })
}

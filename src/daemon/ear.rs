//! What is told of silence: its events, its warnings, and the hashes by which copies of it are known.
//!
//! The drive tells while a player waits for its answer, so there it is only noted; a thread does the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::stand_ins::StandIns;
use crate::catalog::{Catalog, CatalogError, ItemNo, ItemRow};
use crate::control::Service;
use crate::control::events::{Event, MediaRestored, MediaSilenced, ProcessName};
use crate::control::rpc::one_line;
use crate::control::service::{FULL, LATE};
use crate::control::warnings::{Severity, Warning, id_of_text};
use crate::model::Availability;
use crate::tree::{Heard, Listener, MediaDrive, Silence};

/// The area of the warnings of silence.
const SILENT: &str = "silent";
/// How long news gather before the warnings are made of them.
const GATHER: Duration = Duration::from_millis(200);

enum News {
    Silenced(ItemNo, Listener),
    Restored(Silence),
}

/// Hears of silence.
pub(super) struct Ear {
    news: Sender<News>,
}

struct Teller {
    catalog: Arc<Catalog>,
    service: Weak<Service>,
    drive: Weak<MediaDrive>,
    stand_ins: StandIns,
}

impl Ear {
    /// Starts the thread that tells. It ends when this is dropped.
    pub(super) fn begin(
        catalog: &Arc<Catalog>,
        service: &Arc<Service>,
        drive: &Arc<MediaDrive>,
    ) -> Self {
        let (news, came) = unbounded();
        let teller = Teller {
            catalog: Arc::clone(catalog),
            service: Arc::downgrade(service),
            drive: Arc::downgrade(drive),
            stand_ins: StandIns::begin(Arc::clone(catalog)),
        };
        let telling = std::thread::Builder::new()
            .name("mediafs-ear".to_owned())
            .spawn(move || teller.tell(&came));
        if let Err(error) = telling {
            tracing::error!(%error, "nobody is told of silence");
        }
        Self { news }
    }
}

impl Heard for Ear {
    fn silenced(&self, item: ItemNo, listener: &Listener) {
        // Without the thread nobody is told.
        let _ = self.news.send(News::Silenced(item, listener.clone()));
    }

    fn restored(&self, silence: &Silence) {
        let _ = self.news.send(News::Restored(silence.clone()));
    }
}

impl Teller {
    fn tell(&self, came: &Receiver<News>) {
        loop {
            let Ok(first) = came.recv() else { return };
            self.event(first);
            // What follows closely makes one warning.
            let ended = loop {
                match came.recv_timeout(GATHER) {
                    Ok(news) => self.event(news),
                    Err(RecvTimeoutError::Timeout) => break false,
                    Err(RecvTimeoutError::Disconnected) => break true,
                }
                if came.is_empty() {
                    break false;
                }
            };
            self.warn();
            if ended {
                return;
            }
        }
    }

    fn event(&self, news: News) {
        let told = match news {
            News::Silenced(item, listener) => self.silenced(item, &listener),
            News::Restored(silence) => self.restored(&silence),
        };
        match (told, self.service.upgrade()) {
            (Ok(Some(event)), Some(service)) => service.events().publish(event),
            (Err(error), _) => {
                tracing::warn!(error = one_line(&error), "silence could not be told");
            }
            _ => {}
        }
    }

    fn silenced(&self, item: ItemNo, listener: &Listener) -> Result<Option<Event>, CatalogError> {
        let reader = self.catalog.reader()?;
        let Some(row) = reader.item(item)? else {
            return Ok(None);
        };
        let Some(service) = self.service.upgrade() else {
            return Ok(None);
        };
        let cause = service.cause_of_silence(&reader, &row)?;
        self.stand_ins.given(item, row.generation);
        Ok(Some(Event::MediaSilenced(MediaSilenced {
            media_id: row.media_id,
            process: process_name(listener),
            bytes: listener.bytes,
            since: millis(listener.since),
            cause,
        })))
    }

    fn restored(&self, silence: &Silence) -> Result<Option<Event>, CatalogError> {
        let row = self.catalog.reader()?.item(silence.item)?;
        Ok(row.map(|row| {
            Event::MediaRestored(MediaRestored {
                media_id: row.media_id,
                processes: silence.listeners.iter().map(process_name).collect(),
            })
        }))
    }

    /// The warnings of all that is silent now, by why it is.
    fn warn(&self) {
        let (Some(service), Some(drive)) = (self.service.upgrade(), self.drive.upgrade()) else {
            return;
        };
        match self.causes(&service, &drive) {
            Ok(causes) => {
                let warnings = causes
                    .into_iter()
                    .map(|(cause, silent)| warning(&cause, silent));
                service.warnings().replace(SILENT, warnings.collect());
            }
            Err(error) => {
                tracing::warn!(error = one_line(&error), "silence could not be told");
            }
        }
    }

    fn causes(
        &self,
        service: &Service,
        drive: &MediaDrive,
    ) -> Result<BTreeMap<String, Silent>, CatalogError> {
        let reader = self.catalog.reader()?;
        let mut causes: BTreeMap<String, Silent> = BTreeMap::new();
        for silence in drive.silenced() {
            let Some(item) = reader.item(silence.item)? else {
                continue;
            };
            let cause = service.cause_of_silence(&reader, &item)?;
            let silent = causes.entry(cause).or_default();
            silent.away |= item.availability != Availability::Missing
                || match item.place {
                    Some(place) => reader.place(place)?.is_some_and(|place| place.away),
                    None => false,
                };
            silent.items.push(item);
        }
        Ok(causes)
    }
}

/// What is silent for one reason.
#[derive(Default)]
struct Silent {
    items: Vec<ItemRow>,
    /// Storage is not there; else files are gone from storage that may well be there.
    away: bool,
}

fn warning(cause: &str, Silent { items, away }: Silent) -> Warning {
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let sounds = match count {
        1 => "1 sound is".to_owned(),
        more => format!("{more} sounds are"),
    };
    let remedy = match cause {
        LATE => "hydrate or pin them to bring them here",
        FULL => {
            "unpin what is not needed, or give the cache more room: `quota_gb` in config.toml, or on its disk"
        }
        _ if away => "connect it again; media.whereIs (`mediafs whereis`) says where each is",
        _ => "put the file back, or relink each to another one",
    };
    let why = match count {
        1 => cause.to_owned(),
        _ => cause.replace("its file is", "their files are"),
    };
    Warning::new(
        id_of_text(SILENT, cause),
        Severity::Error,
        format!("{sounds} silent because {why}"),
    )
    .remedy(remedy)
    .about(count, items.into_iter().map(|item| item.media_id))
}

fn process_name(listener: &Listener) -> ProcessName {
    ProcessName {
        pid: listener.process.0,
        name: listener.name.clone(),
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

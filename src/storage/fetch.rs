//! Where hydration has its bytes from: a file of a source, read by the source's courier.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::asking::PATIENCE;
use super::courier::CourierError;
use super::giving_back::Fetched;
use super::message::{Question, Reply};
use super::outside::Outside;
use super::reaching::Reaching;
use super::source_key::SourceKey;
use super::standing::SourceChange;
use crate::catalog::{Catalog, CatalogError, Evidence, PlaceNo};
use crate::hydrate::{Fetch, FetchError, Wanted};
use crate::model::{SourceNo, SourceState};

/// When a source that has not answered is tried again, where nobody says.
const AGAIN: Duration = Duration::from_secs(5);
/// What is asked for at a time. More would take a slow source so long that it seemed to hang.
pub(crate) const PART: u32 = 128 << 10;

/// How long one read may take while its source answers other questions. Some providers fetch the whole of a file first.
const LONGEST_READ: Duration = PATIENCE;
pub(super) const LONGEST_FETCH: Duration = Duration::from_secs(3600);

/// So often in a row may reading a file hang, while its source answers, before it is left alone.
const MOST_HANGS: u32 = 2;
/// For how long it is then.
const LEFT_ALONE: Duration = Duration::from_secs(120);

/// Reads through couriers.
pub(crate) struct CourierFetch {
    catalog: Arc<Catalog>,
    pub(super) outside: Outside,
    /// Files of which a read was not answered: how often, and when last. Each time takes a process that can't be ended.
    hanging: Arc<Mutex<HashMap<(PlaceNo, u32), Hangs>>>,
    reaching: Reaching,
    pub(super) fetched: Fetched,
}

/// How often reading a file hung while its source answered.
struct Hangs {
    source: SourceKey,
    times: u32,
    last: Instant,
}

/// A source did not answer anything for a while, and answers: its files may be read as before.
fn answers_again(hanging: &Mutex<HashMap<(PlaceNo, u32), Hangs>>, source: &SourceKey) {
    hanging.lock().retain(|_, hangs| hangs.source != *source);
}

/// A file of a source, as the catalog has it now.
pub(super) struct At {
    pub(super) path: PathBuf,
    pub(super) evidence: Evidence,
    pub(super) source: SourceKey,
    /// How long one read may take.
    longest: Duration,
}

impl CourierFetch {
    pub(crate) fn new(catalog: Arc<Catalog>, outside: Outside) -> Self {
        let hanging = Arc::default();
        let known = Arc::downgrade(&hanging);
        outside.couriers.on_change(move |source, change| {
            if let (SourceChange::Answers, Some(hanging)) = (change, known.upgrade()) {
                answers_again(&hanging, source);
            }
        });
        Self {
            catalog,
            outside,
            hanging,
            reaching: Reaching::default(),
            fetched: Fetched::default(),
        }
    }

    fn is_left_alone(&self, wanted: &Wanted) -> bool {
        let mut hanging = self.hanging.lock();
        hanging.retain(|_, hangs| hangs.last.elapsed() < LEFT_ALONE);
        let hangs = hanging.get(&(wanted.place, wanted.generation));
        hangs.is_some_and(|hangs| hangs.times >= MOST_HANGS)
    }

    /// A read has ended, with an answer, or without though its source answers.
    fn note(&self, wanted: &Wanted, at: &At, answered: bool) {
        let key = (wanted.place, wanted.generation);
        let mut hanging = self.hanging.lock();
        if answered {
            hanging.remove(&key);
            return;
        }
        let hangs = hanging.entry(key).or_insert_with(|| Hangs {
            source: at.source.clone(),
            times: 0,
            last: Instant::now(),
        });
        // Several parts that hung at the same time did so once.
        if hangs.times == 0 || hangs.last.elapsed() >= AGAIN {
            hangs.times += 1;
            hangs.last = Instant::now();
        }
    }

    pub(super) fn locate(&self, wanted: &Wanted) -> Result<At, FetchError> {
        let failed = |error: CatalogError| FetchError::Failed {
            reason: error.to_string(),
            transient: true,
        };
        let reader = self.catalog.reader().map_err(failed)?;
        let row = reader.place(wanted.place).map_err(failed)?;
        let row = row
            .filter(|row| wanted.is_of(row))
            .ok_or(FetchError::Changed)?;
        if !row.present {
            return Err(FetchError::Gone);
        }
        let source = reader.source(wanted.source).map_err(failed)?;
        let source = source.ok_or(FetchError::Gone)?;
        match reader.source_state(wanted.source) {
            SourceState::Online => {}
            // Whether a disk answers again its courier finds out; whether what a source shows can be reached again somebody
            // is finding out.
            SourceState::Suspended if !self.outside.sources.is_unreachable(wanted.source) => {}
            state @ (SourceState::Suspended | SourceState::Ejected | SourceState::Absent) => {
                return Err(self.away(
                    wanted.source,
                    format!("{} is {}", source.name, state.words()),
                ));
            }
        }
        let (base, relative) = reader
            .path_of(&row)
            .map_err(failed)?
            .ok_or(FetchError::Changed)?;
        let base = reader.base(base).map_err(failed)?;
        let base = base.ok_or(FetchError::Gone)?;
        Ok(At {
            path: base.path.join(relative),
            evidence: row.evidence,
            source: SourceKey::at(source.path),
            longest: if row.online_only {
                LONGEST_FETCH
            } else {
                LONGEST_READ
            },
        })
    }

    /// It is not there; but is its source? An empty mount point is no deletion.
    fn gone(&self, source: SourceNo) -> FetchError {
        match self.outside.sources.stamp(source) {
            Some(_) => FetchError::Gone,
            None => self.away(source, "its storage has just gone".to_owned()),
        }
    }

    /// Its source is away, as has been found out just now. Where that is no news, because meanwhile it was found to be
    /// back, nobody will say once more that it is: then it is to be tried again.
    fn away(&self, source: SourceNo, reason: String) -> FetchError {
        if self.catalog.source_state(source).is_online() {
            return FetchError::Failed {
                reason,
                transient: true,
            };
        }
        FetchError::Offline { reason }
    }
}

impl Fetch for CourierFetch {
    fn read(
        &self,
        wanted: &Wanted,
        offset: u64,
        length: u32,
        cancel: &AtomicBool,
    ) -> Result<Vec<u8>, FetchError> {
        let at = self.locate(wanted)?;
        if self.is_left_alone(wanted) {
            return Err(FetchError::Failed {
                reason: "its storage answers, but never for this file".to_owned(),
                transient: false,
            });
        }
        let length = length as usize;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let left = u32::try_from(length - bytes.len()).unwrap_or(u32::MAX);
            let next = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            let part = self.read_part(wanted, &at, next, left.min(PART), cancel)?;
            bytes.extend_from_slice(&part);
            if part.len() < left.min(PART) as usize {
                break;
            }
        }
        Ok(bytes)
    }
}

impl CourierFetch {
    fn read_part(
        &self,
        wanted: &Wanted,
        at: &At,
        offset: u64,
        length: u32,
        cancel: &AtomicBool,
    ) -> Result<Vec<u8>, FetchError> {
        let question = Question::Read {
            file: at.path.as_path().into(),
            evidence: at.evidence.into(),
            offset,
            length,
            fetch: true,
        };
        let asked = self
            .outside
            .couriers
            .ask_patiently(&at.source, &question, at.longest, cancel);
        match &asked {
            Ok(_) => self.note(wanted, at, true),
            Err(CourierError::TooLong) => self.note(wanted, at, false),
            Err(_) => {}
        }
        match asked {
            Ok((Reply::Bytes { fetched }, bytes)) => {
                if fetched {
                    self.fetched.note(wanted);
                }
                self.outside.sources.reached(wanted.source);
                Ok(bytes)
            }
            Ok((Reply::Changed, _)) => Err(FetchError::Changed),
            Ok((Reply::NotFound, _)) => Err(self.gone(wanted.source)),
            Ok((Reply::Unreachable(why), _)) => {
                // Of whatever kind: who says so is left alone but for finding out whether that is still so.
                self.reaching.lost(
                    &self.outside,
                    wanted.source,
                    &at.source,
                    &question,
                    at.longest,
                );
                Err(self.away(wanted.source, why))
            }
            Ok((Reply::OnlineOnly, _)) => Err(FetchError::Failed {
                reason: "its provider's client has to fetch it; mark it there as available offline"
                    .to_owned(),
                transient: false,
            }),
            Ok((Reply::Failed(reason), _)) => Err(FetchError::Failed {
                reason,
                transient: true,
            }),
            Ok(_) => Err(FetchError::Failed {
                reason: "what its storage says makes no sense".to_owned(),
                transient: true,
            }),
            Err(CourierError::Cancelled) => Err(FetchError::Cancelled),
            Err(CourierError::Suspended(again_in)) => Err(FetchError::Hung { again_in }),
            Err(CourierError::Silent) => Err(FetchError::Hung { again_in: AGAIN }),
            // Why is known by now.
            Err(CourierError::Released) => Err(match self.locate(wanted) {
                Err(why) => why,
                Ok(_) => self.away(wanted.source, "its storage was let go of".to_owned()),
            }),
            Err(
                error @ (CourierError::Ended | CourierError::NotStarted(_) | CourierError::TooLong),
            ) => Err(FetchError::Failed {
                reason: error.to_string(),
                transient: true,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mediafs_platform::volume::DeclaredTrusted;

    use super::*;

    #[test]
    fn what_nobody_will_say_is_back_is_tried_again() {
        let home = tempfile::tempdir().unwrap();
        let catalog = Arc::new(Catalog::open(home.path()).unwrap());
        let outside = Outside::new(
            Arc::clone(&catalog),
            DeclaredTrusted::default(),
            Vec::new(),
            None,
        );
        let fetch = CourierFetch::new(Arc::clone(&catalog), outside);
        let source = SourceNo(1);
        let away = || fetch.away(source, "no network".to_owned());
        let reason = "no network".to_owned();
        catalog.set_source_state(source, SourceState::Suspended);
        assert_eq!(
            away(),
            FetchError::Offline {
                reason: reason.clone()
            }
        );
        // Another read has got through, before anybody was told of anything.
        catalog.set_source_state(source, SourceState::Online);
        let transient = true;
        assert_eq!(away(), FetchError::Failed { reason, transient });
    }

    #[test]
    fn a_source_that_answers_again_may_be_asked_for_its_files() {
        let source = |at: &str| SourceKey::at(PathBuf::from(at));
        let hangs = |at| Hangs {
            source: source(at),
            times: MOST_HANGS,
            last: Instant::now(),
        };
        let hanging = Mutex::new(HashMap::from([
            ((PlaceNo(1), 1), hangs("/mnt/a")),
            ((PlaceNo(2), 1), hangs("/mnt/b")),
        ]));
        answers_again(&hanging, &source("/mnt/a"));
        let left: Vec<_> = hanging.lock().keys().copied().collect();
        assert_eq!(left, [(PlaceNo(2), 1)]);
    }
}

//! What a cloud's provider fetched because we read it is given back once its bytes are an object of the cache: it would take the
//! room twice. Only a file that was online-only when we came for it, that is still what it was then, and that nobody has open; a
//! user who wants it kept has it kept. The courier looks at that just before. Whether it can be done concerns no reader.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use super::fetch::{At, CourierFetch, LONGEST_FETCH};
use super::message::{Question, Reply};
use crate::catalog::PlaceNo;
use crate::hydrate::Wanted;

/// Files that providers have fetched for us since this process began. What is not known here stays where it is.
#[derive(Default)]
pub(super) struct Fetched(Mutex<HashSet<(PlaceNo, u32)>>);

impl Fetched {
    /// It was fetched for a read of ours.
    pub(super) fn note(&self, wanted: &Wanted) {
        self.0.lock().insert((wanted.place, wanted.generation));
    }

    /// Whether it was.
    fn has(&self, wanted: &Wanted) -> bool {
        self.0.lock().contains(&(wanted.place, wanted.generation))
    }

    /// Whether it was, asked for the last time.
    fn take(&self, wanted: &Wanted) -> bool {
        self.0.lock().remove(&(wanted.place, wanted.generation))
    }
}

impl CourierFetch {
    /// Whether there is anything to be given back once all of it is an object of the cache. Waits for nobody.
    pub(crate) fn gives_back(&self, wanted: &Wanted) -> bool {
        self.fetched.has(wanted)
    }

    /// All of it is an object of the cache. Waits for the provider.
    pub(crate) fn give_back(&self, wanted: &Wanted) {
        let Some((at, question)) = self.to_be_given_back(wanted) else {
            return;
        };
        let never = AtomicBool::new(false);
        let couriers = &self.outside.couriers;
        match couriers.ask_patiently(&at.source, &question, LONGEST_FETCH, &never) {
            Ok((Reply::Done, _)) => {}
            Ok((reply, _)) => {
                tracing::debug!(file = %at.path.display(), ?reply, "what was fetched stays on the disk");
            }
            Err(error) => {
                tracing::debug!(file = %at.path.display(), %error, "what was fetched stays on the disk");
            }
        }
    }

    /// What a courier is to be asked, if it is to be given back.
    fn to_be_given_back(&self, wanted: &Wanted) -> Option<(At, Question)> {
        if !self.fetched.take(wanted) {
            return None;
        }
        let at = self.locate(wanted).ok()?;
        let question = Question::GiveBack {
            file: at.path.as_path().into(),
            evidence: at.evidence.into(),
        };
        Some((at, question))
    }
}

#[cfg(test)]
#[path = "giving_back_tests.rs"]
mod tests;

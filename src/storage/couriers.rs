//! The couriers of all sources: started when needed, ended when idle, refused while their source is suspended.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mediafs_platform::volume::MountTable;
use parking_lot::Mutex;

use super::courier::{Courier, CourierError};
use super::message::{Question, Reply};

/// How long one answer may take before its source counts as hung. A disk that wakes up needs some ten seconds.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long a source that was silent is left alone: the first time, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// All couriers of a process.
#[derive(Default)]
pub(crate) struct Couriers {
    sources: Mutex<HashMap<PathBuf, Source>>,
}

/// One source, by the place where it is mounted.
#[derive(Default)]
struct Source {
    courier: Option<Arc<Courier>>,
    suspended: Option<Suspended>,
}

#[derive(Clone, Copy)]
struct Suspended {
    until: Instant,
    pause: Duration,
}

impl Couriers {
    /// Asks the courier of the source that holds `path` a question with one answer. A source that does not answer in
    /// time is suspended: until its pause is over, everybody is told so at once.
    pub(crate) fn ask(
        &self,
        path: &Path,
        question: &Question,
        cancel: &AtomicBool,
    ) -> Result<(Reply, Vec<u8>), CourierError> {
        self.with(path, |courier| courier.ask_once(question, PATIENCE, cancel))
    }

    /// As [`Couriers::ask`], of a question with several answers; `last` says of each whether it is the last one.
    pub(crate) fn ask_all(
        &self,
        path: &Path,
        question: &Question,
        cancel: &AtomicBool,
        mut last: impl FnMut(Reply) -> bool,
    ) -> Result<(), CourierError> {
        self.with(path, |courier| {
            let answers = courier.ask(question)?;
            while !last(answers.next(PATIENCE, cancel)?.0) {}
            Ok(())
        })
    }

    /// Ends the couriers that nobody asks anything now.
    pub(crate) fn end_idle(&self) {
        for source in self.sources.lock().values_mut() {
            source
                .courier
                .take_if(|courier| Arc::strong_count(courier) == 1);
        }
    }

    fn with<T>(
        &self,
        path: &Path,
        ask: impl FnOnce(&Courier) -> Result<T, CourierError>,
    ) -> Result<T, CourierError> {
        let source = source_of(path);
        let courier = self.courier(&source)?;
        let answer = ask(&courier);
        drop(courier);
        match &answer {
            Ok(_) => {
                if let Some(source) = self.sources.lock().get_mut(&source) {
                    source.suspended = None;
                }
            }
            Err(CourierError::Silent) => self.suspend(&source),
            Err(CourierError::Ended) => {
                if let Some(source) = self.sources.lock().get_mut(&source) {
                    source.courier = None;
                }
            }
            Err(_) => {}
        }
        answer
    }

    fn courier(&self, source: &Path) -> Result<Arc<Courier>, CourierError> {
        let mut sources = self.sources.lock();
        let source = sources.entry(source.to_owned()).or_default();
        if let Some(suspended) = source.suspended {
            let left = suspended.until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Err(CourierError::Suspended(left));
            }
        }
        if let Some(courier) = &source.courier {
            return Ok(Arc::clone(courier));
        }
        let courier = Arc::new(Courier::start()?);
        source.courier = Some(Arc::clone(&courier));
        Ok(courier)
    }

    fn suspend(&self, source: &Path) {
        let mut sources = self.sources.lock();
        let source = sources.entry(source.to_owned()).or_default();
        let pause = source
            .suspended
            .map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
        source.suspended = Some(Suspended {
            until: Instant::now() + pause,
            pause,
        });
        // It is left behind.
        source.courier = None;
    }
}

/// The place where the file system that holds `path` is mounted, by the system's table: no storage is touched.
fn source_of(path: &Path) -> PathBuf {
    let table = MountTable::read().ok();
    let mount = table.as_ref().and_then(|table| table.holding(path));
    mount.map_or_else(|| PathBuf::from("/"), |mount| mount.mount_point.clone())
}

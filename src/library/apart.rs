//! Looks at storage that is not trusted: each source by a thread of its own, so that one that hangs holds up no other.
//!
//! Whole bases and single paths are asked for by the scan thread, the watch loop and opens that found nothing; a source's
//! thread is there while something is wanted of it. Whoever looks at a source, here or on behalf of a command, has its
//! gate: two looks never overtake one another.
//!
//! Bases there can't be watched, so they are polled. A poll must not wake a sleeping disk: a disk that this computer has
//! mounted changes through this computer alone, so one whose counters of reads and writes, kept by the kernel, stand
//! where they stood after the last look is left alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mediafs_platform::volume::MountTable;
use parking_lot::{Mutex, MutexGuard};

use crate::catalog::{BaseKind, BaseNo, BaseRow, CatalogError};
use crate::storage::SourceKey;

use super::disk::lower_priority;
use super::engine::Engine;
use super::progress::{Phase, Progress, ProgressSnapshot};
use super::scan::{scan_source, settle};
use super::sweep::Sweep;
use super::vanish::{Root, open_root};
use super::watching::{Paths, active_bases, by_folder};

/// How soon whoever waits for a source's gate sees that it is not to wait any more.
const GLANCE: Duration = Duration::from_millis(20);

/// What is wanted of all sources.
#[derive(Default)]
pub(super) struct Apart {
    workers: Mutex<HashMap<SourceKey, Worker>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    gates: Mutex<HashMap<SourceKey, Arc<Mutex<()>>>>,
    looked: Mutex<HashMap<(SourceKey, BaseNo), Looked>>,
}

/// What is wanted of one source.
struct Worker {
    whole: BTreeSet<BaseNo>,
    paths: BTreeMap<BaseNo, Paths>,
    /// What its thread looks at is not wanted any more.
    cancel: Arc<AtomicBool>,
    progress: Arc<Progress>,
}

/// A look at a base.
#[derive(Clone, Copy)]
struct Looked {
    at: Instant,
    /// What its disk had done by its end; `None` where that says nothing of what is to be looked at.
    activity: Option<u64>,
    /// Somebody has ended it by hand: it is not taken up again until another one is asked for.
    given_up: bool,
}

impl Engine {
    /// Asks for a look at a whole base on a source.
    pub(super) fn scan_apart(self: &Arc<Self>, source: &SourceKey, base: BaseNo) {
        self.want(source, |worker| {
            worker.whole.insert(base);
        });
    }

    /// Asks for a look at some paths below a base on a source.
    pub(super) fn look_apart(self: &Arc<Self>, source: &SourceKey, base: BaseNo, paths: Paths) {
        self.want(source, |worker| {
            let wanted = worker.paths.entry(base).or_default();
            for (path, whole) in paths {
                *wanted.entry(path).or_default() |= whole;
            }
        });
    }

    /// Asks for a look at all that is on a source.
    pub(super) fn look_at_source(self: &Arc<Self>, source: &SourceKey) {
        match active_bases(self) {
            Ok(bases) => {
                for base in bases {
                    if base.kind == BaseKind::Computer
                        || self.source(&base.path).as_ref() == Some(source)
                    {
                        self.scan_apart(source, base.row);
                    }
                }
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "a source that answers again is not looked at"
            ),
        }
    }

    fn want(self: &Arc<Self>, source: &SourceKey, add: impl FnOnce(&mut Worker)) {
        let mut workers = self.apart.workers.lock();
        if self.stopping() {
            return;
        }
        if let Some(worker) = workers.get_mut(source) {
            return add(worker);
        }
        let mut worker = Worker {
            whole: BTreeSet::new(),
            paths: BTreeMap::new(),
            cancel: Arc::default(),
            progress: Arc::default(),
        };
        add(&mut worker);
        let engine = Arc::clone(self);
        let (key, cancel) = (source.clone(), Arc::clone(&worker.cancel));
        let progress = Arc::clone(&worker.progress);
        let thread = std::thread::Builder::new()
            .name("mediafs-source".to_owned())
            .spawn(move || work(&engine, &key, &cancel, &progress));
        match thread {
            Ok(thread) => {
                workers.insert(source.clone(), worker);
                let mut threads = self.apart.threads.lock();
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
            }
            // The next poll tries again.
            Err(error) => tracing::error!(%error, "a source is not looked at"),
        }
    }

    /// What whoever looks at a source holds meanwhile; see [`pass`].
    pub(super) fn gate(&self, source: &SourceKey) -> Arc<Mutex<()>> {
        Arc::clone(self.apart.gates.lock().entry(source.clone()).or_default())
    }

    /// Whether a base on a source is to be polled now; whoever is told so does it. The first look at a base is asked for
    /// by others.
    pub(super) fn is_poll_due(&self, source: &SourceKey, base: BaseNo) -> bool {
        if self.couriers.is_suspended(source) {
            return false;
        }
        let key = (source.clone(), base);
        let asked = Looked {
            at: Instant::now(),
            activity: None,
            given_up: false,
        };
        let mut looked = self.apart.looked.lock();
        let last = looked.entry(key).or_insert(asked);
        if last.given_up || last.at.elapsed() < self.config.poll_interval {
            return false;
        }
        last.at = asked.at;
        last.activity.is_none() || last.activity != activity(source)
    }

    /// A base on a source was looked at, all of it if `whole`.
    pub(super) fn note_looked(&self, source: &SourceKey, base: BaseNo, whole: bool) {
        let looked = Looked {
            at: Instant::now(),
            activity: whole.then(|| activity(source)).flatten(),
            given_up: false,
        };
        let key = (source.clone(), base);
        self.apart.looked.lock().insert(key, looked);
    }

    /// A look at these bases on a source was ended by hand: what was asked for until now is done with.
    fn give_up(&self, source: &SourceKey, bases: impl Iterator<Item = BaseNo>) {
        if let Some(worker) = self.apart.workers.lock().get_mut(source) {
            worker.whole.clear();
        }
        let mut looked = self.apart.looked.lock();
        for base in bases {
            let key = (source.clone(), base);
            let looked = looked.entry(key).or_insert_with(|| Looked {
                at: Instant::now(),
                activity: None,
                given_up: true,
            });
            looked.given_up = true;
        }
    }

    /// What was known of a base's disk counts no more: it may be another one.
    pub(super) fn forget_looked(&self, base: BaseNo) {
        self.apart.looked.lock().retain(|(_, of), _| *of != base);
    }

    /// How far the looks at sources are; `None` where there are none.
    pub(super) fn progress_apart(&self) -> Option<ProgressSnapshot> {
        let workers = self.apart.workers.lock();
        let mut each = workers.values().map(|worker| worker.progress.snapshot());
        each.find(|progress| progress.phase != Phase::Idle)
    }

    /// Breaks off the look at a source.
    pub(super) fn break_off(&self, source: &SourceKey) {
        if let Some(worker) = self.apart.workers.lock().get(source) {
            worker.cancel.store(true, Ordering::SeqCst);
        }
    }

    /// Breaks off looks at sources: bases are to be looked at anew.
    pub(super) fn break_off_apart(&self) {
        for worker in self.apart.workers.lock().values() {
            worker.cancel.store(true, Ordering::SeqCst);
        }
    }

    /// Ends all looks; `stopping` must be set.
    pub(super) fn end_apart(&self) {
        self.break_off_apart();
        let threads = std::mem::take(&mut *self.apart.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that looks at a source had failed");
            }
        }
        self.couriers.end_idle();
    }
}

/// Waits for a gate; `None` where `cancel` says so first.
pub(super) fn pass<'g>(gate: &'g Mutex<()>, cancel: &AtomicBool) -> Option<MutexGuard<'g, ()>> {
    while !cancel.load(Ordering::Relaxed) {
        if let Some(held) = gate.try_lock_for(GLANCE) {
            return Some(held);
        }
    }
    None
}

fn work(
    engine: &Arc<Engine>,
    source: &SourceKey,
    cancel: &Arc<AtomicBool>,
    progress: &Arc<Progress>,
) {
    lower_priority();
    loop {
        let (whole, mut paths) = {
            let mut workers = engine.apart.workers.lock();
            let Some(worker) = workers.get_mut(source) else {
                return;
            };
            let nothing = worker.whole.is_empty() && worker.paths.is_empty();
            if nothing || engine.stopping() {
                workers.remove(source);
                return;
            }
            cancel.store(false, Ordering::SeqCst);
            (
                std::mem::take(&mut worker.whole),
                std::mem::take(&mut worker.paths),
            )
        };
        paths.retain(|base, _| !whole.contains(base));
        let looked = active_bases(engine).and_then(|bases| {
            let of = |number: &BaseNo| bases.iter().find(|base| base.row == *number);
            let whole: Vec<BaseRow> = whole.iter().filter_map(of).cloned().collect();
            if !whole.is_empty() {
                progress.restart();
                let mut under_way = engine.scans.begin(Some(source.root()), progress, cancel);
                let scanned = scan_source(engine, source, &whole, progress, cancel);
                if under_way.is_over(scanned.is_ok()) {
                    engine.give_up(source, whole.iter().map(|base| base.row));
                    return Ok(());
                }
                scanned?;
            }
            for (number, paths) in paths {
                if let Some(base) = of(&number) {
                    look_at(engine, source, base, paths, cancel)?;
                }
            }
            Ok(())
        });
        progress.enter(Phase::Idle);
        if let Err(error) = looked {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a look at a source ended early"
            );
        }
    }
}

/// Looks at some paths below a base.
fn look_at(
    engine: &Engine,
    source: &SourceKey,
    base: &BaseRow,
    paths: Paths,
    cancel: &AtomicBool,
) -> Result<(), CatalogError> {
    let gate = engine.gate(source);
    let Some(_alone) = pass(&gate, cancel) else {
        return Ok(());
    };
    let _busy = engine.busy();
    let progress = Progress::default();
    let Root::There(root) = open_root(engine, base, Some(source), cancel)? else {
        return Ok(());
    };
    let mut sweep = Sweep::new(engine, base.clone(), root, &progress, cancel);
    let folders: BTreeMap<PathBuf, Vec<(OsString, bool)>> = by_folder(paths);
    for (folder, names) in folders {
        sweep.names(&folder, &names)?;
    }
    if sweep.cancelled() {
        return Ok(());
    }
    let mut unread = std::mem::take(&mut sweep.appeared);
    unread.append(&mut settle(engine, vec![sweep], &unread, cancel)?);
    super::probing::probe_places(engine, &unread, true, &progress, cancel)
}

/// Reads and writes that the disk of a source has done, as the kernel counts them; `None` where it is no disk of this
/// computer. Touches no disk.
fn activity(source: &SourceKey) -> Option<u64> {
    let table = MountTable::read().ok()?;
    let mount = table.holding(source.root())?;
    mediafs_platform::activity::of_device(mount.source.as_ref())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::owner::LibraryConfig;
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn a_poll_is_due_until_a_look_was_given_up_and_after_the_next_whole_one() {
        let home = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(home.path()).unwrap();
        let config = LibraryConfig {
            poll_interval: Duration::ZERO,
            ..LibraryConfig::default()
        };
        let engine = Engine::new(catalog, home.path().to_owned(), config);
        let base = BaseNo(7);
        let source = SourceKey::at(home.path().join("red"));
        let is_due = || engine.is_poll_due(&source, base);
        assert!(is_due());
        engine.give_up(&source, [base].into_iter());
        assert!(!is_due());
        // Somebody asked for one.
        engine.note_looked(&source, base, false);
        assert!(is_due());
        // Another disk is there.
        engine.give_up(&source, [base].into_iter());
        engine.forget_looked(base);
        assert!(is_due());
    }
}

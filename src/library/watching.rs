//! The watch loop: from what the system told to what the catalog knows, within two seconds.
//!
//! Each batch goes one way: renames are applied as the system told them (so that the items keep their ids), the paths
//! that were touched are looked at, what is gone is settled, what came is matched with what went, and what is new is
//! probed. Roots are looked at every second, for what happens above them tells nobody; roots that can't be watched
//! are scanned every minute.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use mediafs_platform::volume::{MountEntry, MountTable};

use crate::catalog::{BaseKind, BaseNo, BaseRow, CatalogError, PlaceNo};
use crate::storage::SourceKey;

use super::dirty::Ready;
use super::engine::Engine;
use super::probing::probe_places;
use super::progress::Progress;
use super::renames::Renames;
use super::scan::{Job, referenced, settle};
use super::sweep::Sweep;
use super::vanish::{Root, open_root};
use super::watch::Watcher;

/// How long the loop sleeps while changes wait for their writers.
const NAP: Duration = Duration::from_millis(25);
/// More files are read by a scan, not by the loop itself.
const MOST_AT_ONCE: usize = 2000;
/// How often roots are looked at.
const ROUND: Duration = Duration::from_secs(1);

/// What the loop remembers.
pub(super) struct WatchLoop {
    pub(super) engine: Arc<Engine>,
    pub(super) watcher: Arc<Watcher>,
    pub(super) jobs: Sender<Job>,
    /// Each root when it was last looked at.
    roots: HashMap<BaseNo, RootNow>,
    polled: HashMap<BaseNo, Instant>,
    renames: Renames,
}

impl WatchLoop {
    pub(super) fn new(engine: Arc<Engine>, watcher: Arc<Watcher>, jobs: Sender<Job>) -> Self {
        Self {
            engine,
            watcher,
            jobs,
            roots: HashMap::new(),
            polled: HashMap::new(),
            renames: Renames::default(),
        }
    }

    /// Runs until everything is to end.
    pub(super) fn run(mut self) {
        self.engine.couriers.have_prober();
        let mut round = Instant::now();
        while !self.engine.stopping() {
            let ready = self.watcher.ready(ROUND);
            let probes = self.engine.take_probes();
            if let Err(error) = self.batch(&ready, probes) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "changes were not taken in; everything is looked at again"
                );
                self.scan_everything();
                std::thread::sleep(ROUND);
            }
            if round.elapsed() >= ROUND {
                round = Instant::now();
                if let Err(error) = self.round() {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "roots could not be looked at"
                    );
                }
            }
            if ready.is_empty() && self.watcher.waits() {
                std::thread::sleep(NAP);
            }
        }
    }

    fn scan_everything(&self) {
        // A scan thread that has ended needs none.
        let _ = self.jobs.send(Job::All);
    }

    fn batch(&mut self, ready: &Ready, mut probes: Vec<PlaceNo>) -> Result<(), CatalogError> {
        if ready.is_empty() && probes.is_empty() {
            return Ok(());
        }
        let engine = Arc::clone(&self.engine);
        let engine = &*engine;
        let _busy = engine.busy();
        let bases = active_bases(engine)?;
        for rename in &ready.renames {
            probes.append(&mut self.renames.apply(engine, &bases, rename)?);
        }
        if ready.lost {
            engine.note_lost_events();
            self.scan_everything();
        }
        let progress = Progress::default();
        let (mut appeared, mut sweeps) = (Vec::new(), Vec::new());
        for (number, paths) in by_base(&bases, &ready.paths) {
            let Some(base) = bases.iter().find(|base| base.row == number) else {
                continue;
            };
            let mut paths = self.look_apart(base, paths);
            if paths.is_empty() {
                continue;
            }
            let Root::There(root) = open_root(engine, base, None, &engine.stopping)? else {
                continue;
            };
            let mut sweep = Sweep::new(engine, base.clone(), root, &progress, &engine.stopping);
            if paths.contains_key(Path::new("")) {
                sweep.tree(Path::new(""), base.top)?;
                paths.clear();
            }
            for (folder, names) in by_folder(paths) {
                sweep.names(&folder, &names)?;
            }
            appeared.append(&mut sweep.appeared);
            sweeps.push(sweep);
        }
        probes.append(&mut settle(engine, sweeps, &appeared, &engine.stopping)?);
        probes.append(&mut self.renames.undo_set_aside(engine)?);
        probes.append(&mut appeared);
        if probes.len() > MOST_AT_ONCE {
            // A library was copied in. Reading it is a scan's work, so that other changes need not wait for it.
            for base in &bases {
                let _ = self.jobs.send(Job::Bases(vec![base.row]));
            }
            return Ok(());
        }
        self.leave_apart(&mut probes)?;
        probe_places(engine, &probes, false, &progress, &engine.stopping)
    }

    /// Takes out the paths that couriers have to look at: nobody waits for them here.
    fn look_apart(&self, base: &BaseRow, paths: Paths) -> Paths {
        let engine = &self.engine;
        if base.kind != BaseKind::Computer {
            return match engine.source(&base.path) {
                Some(source) => {
                    engine.look_apart(&source, base.row, paths);
                    Paths::new()
                }
                None => paths,
            };
        }
        let mut here = Paths::new();
        for (path, whole) in paths {
            let absolute = base.path.join(&path);
            match engine.source(absolute.parent().unwrap_or(&absolute)) {
                Some(source) => engine.look_apart(&source, base.row, [(path, whole)].into()),
                None => {
                    here.insert(path, whole);
                }
            }
        }
        here
    }

    /// Takes out the files that couriers have to read: a look at their base does that.
    fn leave_apart(&self, probes: &mut Vec<PlaceNo>) -> Result<(), CatalogError> {
        let reader = self.engine.catalog.reader()?;
        let mut here = Vec::with_capacity(probes.len());
        for place in probes.drain(..) {
            if let Some((base, path)) = self.engine.locate(&reader, place)?
                && let Some(source) = self.engine.reader_of(&base, &base.path.join(path))?
            {
                self.engine.scan_apart(&source, base.row);
            } else {
                here.push(place);
            }
        }
        *probes = here;
        Ok(())
    }

    /// Looks at roots, and asks for the scans that are due.
    fn round(&mut self) -> Result<(), CatalogError> {
        self.engine.couriers.end_idle_for(ROUND);
        self.bring_back();
        for base in active_bases(&self.engine)? {
            if base.kind == BaseKind::Computer {
                self.poll_referenced(&base)?;
                continue;
            }
            let now = match self.engine.source(&base.path) {
                Some(source) => {
                    let mounted = mounted_at(source.root());
                    RootNow::There(source, mounted)
                }
                None => RootNow::Here(
                    self.engine
                        .root_here(&base.path)
                        .and_then(|root| root.evidence())
                        .ok()
                        .map(|e| (e.device, e.inode)),
                ),
            };
            let before = self.roots.insert(base.row, now.clone());
            // One that went before the first look would not be told from one that never was there.
            let other = match before {
                Some(before) => before != now,
                None => now == RootNow::Here(None),
            };
            if let RootNow::There(source, _) = &now {
                if other {
                    self.engine.forget_looked(base.row);
                }
                // What is not trusted can't be watched. (The first look is the start's own.)
                if other || self.engine.is_poll_due(source, base.row) {
                    self.engine.scan_apart(source, base.row);
                }
                self.polled.remove(&base.row);
                continue;
            }
            if other {
                self.watcher.touch(&base.path);
            }
            if self.watcher.unwatched(base.row).is_none() {
                self.polled.remove(&base.row);
                continue;
            }
            if self.is_due(base.row) {
                let _ = self.jobs.send(Job::Bases(vec![base.row]));
            }
        }
        Ok(())
    }

    /// Whether a base that is looked at from time to time is to be now.
    fn is_due(&mut self, base: BaseNo) -> bool {
        let last = self.polled.entry(base).or_insert_with(Instant::now);
        let due = last.elapsed() >= self.engine.config.poll_interval;
        if due {
            *last = Instant::now();
        }
        due
    }

    /// Asks for looks at files that are referenced on storage that is not trusted, and at all where they are not watched.
    fn poll_referenced(&mut self, computer: &BaseRow) -> Result<(), CatalogError> {
        if self.is_due(computer.row) {
            if self.watcher.unwatched(computer.row).is_some() {
                let _ = self.jobs.send(Job::Bases(vec![computer.row]));
            }
            for (source, _) in referenced(&self.engine, computer)? {
                if self.engine.is_poll_due(&source, computer.row) {
                    self.engine.scan_apart(&source, computer.row);
                }
            }
        }
        Ok(())
    }

    /// Finds out whether sources that did not answer do again. Whoever listens to that has them looked at.
    fn bring_back(&self) {
        for source in self.engine.couriers.to_be_probed() {
            let engine = Arc::clone(&self.engine);
            let probing = std::thread::Builder::new()
                .name("mediafs-back".to_owned())
                .spawn(move || {
                    if let Err(error) = engine.couriers.probe(&source, &engine.stopping) {
                        tracing::debug!(source = %source.root().display(), %error, "no answer yet");
                    }
                });
            if let Err(error) = probing {
                tracing::warn!(%error, "a source is not tried again");
            }
        }
    }
}

/// What a root was when it was last looked at.
#[derive(Clone, PartialEq, Eq)]
enum RootNow {
    /// Device and inode, on trusted storage.
    Here(Option<(u64, u64)>),
    /// A source that is not trusted, and what is mounted there. Nobody has touched it.
    There(SourceKey, Option<Box<MountEntry>>),
}

fn mounted_at(source: &Path) -> Option<Box<MountEntry>> {
    let table = MountTable::read().ok()?;
    table.holding(source).cloned().map(Box::new)
}

/// Bases whose files are looked at.
pub(super) fn active_bases(engine: &Engine) -> Result<Vec<BaseRow>, CatalogError> {
    let bases = engine.catalog.reader()?.bases()?.into_iter();
    Ok(bases
        .filter(|base| base.active || base.kind == BaseKind::Computer)
        .collect())
}

/// The base that holds `path`, and the path below it; the deepest where several do.
pub(super) fn base_of<'b>(bases: &'b [BaseRow], path: &Path) -> Option<(&'b BaseRow, PathBuf)> {
    bases
        .iter()
        .filter_map(|base| {
            let relative = path.strip_prefix(&base.path).ok()?;
            Some((base, relative.to_owned()))
        })
        .max_by_key(|(base, _)| base.path.components().count())
}

/// Paths below a base, each with whether all that is below it is meant.
pub(super) type Paths = BTreeMap<PathBuf, bool>;

fn by_base(bases: &[BaseRow], paths: &[(PathBuf, bool)]) -> BTreeMap<BaseNo, Paths> {
    let mut grouped: BTreeMap<BaseNo, Paths> = BTreeMap::new();
    for (path, whole) in paths {
        let Some((base, relative)) = base_of(bases, path) else {
            continue;
        };
        let group = grouped.entry(base.row).or_default();
        *group.entry(relative).or_default() |= whole;
        // A file may be referenced by its absolute path too.
        let mut computers = bases
            .iter()
            .filter(|other| other.kind == BaseKind::Computer && other.row != base.row);
        let below = computers.find_map(|computer| {
            let relative = path.strip_prefix(&computer.path).ok()?;
            Some((computer, relative))
        });
        if let Some((computer, relative)) = below {
            let group = grouped.entry(computer.row).or_default();
            *group.entry(relative.to_owned()).or_default() |= whole;
        }
    }
    grouped
}

pub(super) fn by_folder(paths: Paths) -> BTreeMap<PathBuf, Vec<(OsString, bool)>> {
    let mut folders: BTreeMap<PathBuf, Vec<(OsString, bool)>> = BTreeMap::new();
    let mut above: Option<PathBuf> = None;
    for (path, whole) in paths {
        // What lies below a folder that is looked at whole needs no look of its own. (A path sorts directly before
        // what is below it.)
        if above.as_ref().is_some_and(|above| path.starts_with(above)) {
            continue;
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let names = folders.entry(folder.to_owned()).or_default();
        names.push((name.to_owned(), whole));
        above = whole.then_some(path);
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_whole_folder_are_covered() {
        let paths: Paths = [("a", true), ("a/b", false), ("a b", false), ("c/d", false)]
            .map(|(path, whole)| (PathBuf::from(path), whole))
            .into();
        let folders = by_folder(paths);
        let names: Vec<_> = folders.values().flatten().map(|(n, _)| n.clone()).collect();
        assert_eq!(names, ["a", "a b", "d"]);
    }
}

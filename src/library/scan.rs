//! Scanning bases whole: at the start, on request, and where the watcher can't be relied on.
//!
//! All bases are walked first (every file is seen in the library from then on), then what came is matched with what
//! went, so that a file that moved from one base to another keeps its item, and only then are files read, and become
//! items batch by batch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;

use crate::catalog::{BaseKind, BaseNo, BaseRow, CatalogError, PlaceNo};
use crate::storage::SourceKey;

use super::apart::pass;
use super::disk::lower_priority;
use super::engine::Engine;
use super::identity::{By, match_moved};
use super::probing::probe_places;
use super::progress::{Phase, Progress};
use super::rearranged::{rearrange, undo_lost};
use super::residency::Residency;
use super::sweep::{Next, Sweep, below, known_folders};
use super::vanish::{Root, open_root};
use super::watch::Watcher;
use super::watching::active_bases;

/// What the scan thread is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Job {
    /// All active bases.
    All,
    /// Some.
    Bases(Vec<BaseNo>),
    /// Nothing more.
    End,
}

/// Scans what it is asked for, until the end.
pub(super) fn run(
    engine: &Arc<Engine>,
    watcher: Option<&Arc<Watcher>>,
    jobs: &Receiver<Job>,
    progress: &Arc<Progress>,
) {
    lower_priority();
    while let Ok(job) = jobs.recv() {
        // Several requests at once are one.
        let mut wanted = job;
        for next in jobs.try_iter() {
            wanted = match (wanted, next) {
                (Job::End, _) | (_, Job::End) => Job::End,
                (Job::All, _) | (_, Job::All) => Job::All,
                (Job::Bases(mut one), Job::Bases(other)) => {
                    one.extend(other);
                    Job::Bases(one)
                }
            };
        }
        if wanted == Job::End {
            return;
        }
        engine.scan_anew.store(false, Ordering::SeqCst);
        if engine.stopping() {
            return;
        }
        engine.sources.look_unless_watched();
        let scanned = active_bases(engine).and_then(|mut bases| {
            if let Job::Bases(numbers) = &wanted {
                bases.retain(|base| numbers.contains(&base.row));
            }
            let (here, there) = by_source(engine, bases)?;
            for (source, bases) in &there {
                for base in bases {
                    engine.scan_apart(source, base.row);
                }
            }
            for base in &here {
                if let Some(watcher) = watcher {
                    watcher.try_again(base.row);
                }
            }
            progress.restart();
            let mut under_way = engine.scans.begin(None, progress, &engine.scan_anew);
            let scanned = scan_group(engine, None, &here, progress, &engine.scan_anew);
            under_way.is_over(scanned.is_ok());
            scanned.map(drop)
        });
        progress.enter(Phase::Idle);
        if let Err(error) = scanned {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a scan ended early"
            );
        }
    }
}

type BySource = (Vec<BaseRow>, BTreeMap<SourceKey, Vec<BaseRow>>);

/// Bases on trusted storage, and those of each source that is not.
fn by_source(engine: &Engine, bases: Vec<BaseRow>) -> Result<BySource, CatalogError> {
    let mut here = Vec::new();
    let mut there: BTreeMap<SourceKey, Vec<BaseRow>> = BTreeMap::new();
    for base in bases {
        // The computer's base is no storage of its own: each of its folders is judged by itself.
        let on = base
            .source
            .map(|source| engine.source_key(source))
            .transpose()?
            .flatten();
        let source = match base.kind {
            _ if base.source.is_some() => on,
            BaseKind::Source => None,
            BaseKind::Computer => {
                for (source, _) in referenced(engine, &base)? {
                    there.entry(source).or_default().push(base.clone());
                }
                None
            }
            BaseKind::Library | BaseKind::Project => engine
                .untrusted_now(&base.path)
                .map(|untrusted| untrusted.source),
        };
        match source {
            Some(source) => there.entry(source).or_default().push(base),
            None => here.push(base),
        }
    }
    Ok((here, there))
}

/// Folders of the computer's base that are the topmost ones on a source, by the source.
pub(super) fn referenced(
    engine: &Engine,
    base: &BaseRow,
) -> Result<BTreeMap<SourceKey, Vec<Next>>, CatalogError> {
    let reader = engine.catalog.reader()?;
    let mut found: BTreeMap<SourceKey, Vec<Next>> = BTreeMap::new();
    let mut stack = vec![Next {
        path: PathBuf::new(),
        folder: base.top,
    }];
    while let Some(next) = stack.pop() {
        let absolute = below(&base.path, &next.path);
        let source = engine.source(&absolute);
        if let Some(source) = source.filter(|source| absolute.starts_with(source.root())) {
            // Its own root is where the way to it ends; what only leads there may be a system's that is not known.
            if source.root() != base.path {
                found.entry(source).or_default().push(next);
                continue;
            }
        }
        for (name, row) in known_folders(&reader, next.folder)? {
            stack.push(Next {
                path: next.path.join(name),
                folder: row.row,
            });
        }
    }
    Ok(found)
}

/// Scans `bases`, those on trusted storage one after the other and those of each other source at the same time; ends
/// early, and keeps what it has, when `cancel` says so.
pub(super) fn scan(
    engine: &Engine,
    bases: &[BaseRow],
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<(), CatalogError> {
    progress.restart();
    engine.sources.look_unless_watched();
    let (here, there) = by_source(engine, bases.to_vec())?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = there
            .iter()
            .map(|(source, bases)| {
                scope.spawn(move || scan_source(engine, source, bases, progress, cancel))
            })
            .collect();
        let mut scanned = scan_group(engine, None, &here, progress, cancel).map(drop);
        for thread in threads {
            // A thread that failed has said so.
            if let Ok(Err(error)) = thread.join() {
                scanned = Err(error);
            }
        }
        scanned
    })
}

/// Scans bases of one source that is not trusted. When the source does not answer any more, what is known stays as it
/// is.
pub(super) fn scan_source(
    engine: &Engine,
    source: &SourceKey,
    bases: &[BaseRow],
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<(), CatalogError> {
    let gate = engine.gate(source);
    let Some(_alone) = pass(&gate, cancel) else {
        return Ok(());
    };
    let scanned = scan_group(engine, Some(source), bases, progress, cancel);
    let whole = matches!(&scanned, Ok(true));
    for base in bases {
        engine.note_looked(source, base.row, whole);
    }
    scanned.map(drop)
}

/// Scans bases one after the other; says whether all of them were.
fn scan_group(
    engine: &Engine,
    source: Option<&SourceKey>,
    bases: &[BaseRow],
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<bool, CatalogError> {
    let _busy = engine.busy();
    progress.enter(Phase::Looking);
    let (mut sweeps, mut there) = (Vec::new(), Vec::new());
    let mut whole = true;
    for base in bases {
        let Root::There(root) = open_root(engine, base, source, cancel)? else {
            whole = false;
            continue;
        };
        there.push(base);
        let mut sweep = Sweep::new(engine, base.clone(), root, progress, cancel);
        match source.filter(|_| base.kind == BaseKind::Computer) {
            None => sweep.tree(Path::new(""), base.top)?,
            Some(source) => {
                let tops = referenced(engine, base)?.remove(source);
                for top in tops.unwrap_or_default() {
                    sweep.tree(&top.path, top.folder)?;
                }
            }
        }
        if sweep.cancelled() {
            return Ok(false);
        }
        sweeps.push(sweep);
    }
    progress.enter(Phase::Matching);
    // Whatever is about to get an id is matched first: also what an earlier scan, or the watcher at this moment, found.
    // What is at the path of a base that is away is not what was found there.
    let mut unread = Vec::new();
    for base in there {
        let mut of_base = unprobed(engine, base.row)?;
        if base.kind == BaseKind::Computer {
            of_base = only_of(engine, source, of_base)?;
        }
        unread.append(&mut of_base);
    }
    unread.append(&mut settle(engine, sweeps, &unread, cancel)?);
    unread.sort_unstable();
    unread.dedup();
    unread.retain(|place| engine.residency(*place) == Residency::Here);
    progress.enter(Phase::Probing);
    progress.add_expected(u64::try_from(unread.len()).unwrap_or(u64::MAX));
    probe_places(engine, &unread, true, progress, cancel)?;
    Ok(whole && !cancel.load(Ordering::Relaxed))
}

/// Ends sweeps: what came and what went are put together. Moves first, so that what moved is never missing or taken for
/// another content; then what is gone; and then once more, now by content too. On storage that is not trusted what is
/// gone comes first, as nobody can look again when a move is written. Gives what is to be read beside what came.
pub(super) fn settle(
    engine: &Engine,
    mut sweeps: Vec<Sweep<'_>>,
    came: &[PlaceNo],
    cancel: &AtomicBool,
) -> Result<Vec<PlaceNo>, CatalogError> {
    let mut probe = rearrange(engine, &mut sweeps, came)?;
    for sweep in &mut sweeps {
        sweep.record_replaced()?;
        probe.append(&mut sweep.changed);
    }
    let mut more = false;
    let (there, here): (Vec<_>, Vec<_>) = sweeps.into_iter().partition(|s| s.root.is_there());
    for mut sweep in there {
        more |= !sweep.vanished.is_empty();
        sweep.settle()?;
    }
    more |= match_moved(engine, came, By::Disk, cancel)?;
    for mut sweep in here {
        more |= !sweep.vanished.is_empty();
        sweep.settle()?;
    }
    if more {
        match_moved(engine, came, By::DiskOrContent, cancel)?;
    }
    probe.append(&mut undo_lost(engine, came, cancel)?);
    Ok(probe)
}

/// Those of some places that are on a source, or on trusted storage.
fn only_of(
    engine: &Engine,
    source: Option<&SourceKey>,
    places: Vec<PlaceNo>,
) -> Result<Vec<PlaceNo>, CatalogError> {
    let reader = engine.catalog.reader()?;
    let mut only = Vec::new();
    for place in places {
        if let Some((base, path)) = engine.locate(&reader, place)? {
            let path = base.path.join(path);
            let of = engine.source(path.parent().unwrap_or(&path));
            if of.filter(|of| of.root() != base.path).as_ref() == source {
                only.push(place);
            }
        }
    }
    Ok(only)
}

/// Files of a base whose present content was not read yet, of this scan or of one that was cut short.
fn unprobed(engine: &Engine, base: BaseNo) -> Result<Vec<PlaceNo>, CatalogError> {
    const PAGE: u32 = 10_000;
    let reader = engine.catalog.reader()?;
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |place: &PlaceNo| place.0);
        let page = reader.unprobed(base, after, PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

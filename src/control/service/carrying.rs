//! Takes of projects on storage that is not trusted are brought there: after each that is made final, before a save, and
//! when the project is opened or its storage is back. What can't be brought yet is a warning.
//!
//! In a daemon one thread does it, whom nobody waits for but a save, and that not for long: a manifest that is late is worse
//! than one that still tells of a take on this computer.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use mediafs_cache::ObjectId;
use parking_lot::{Condvar, Mutex};

use super::Service;
use crate::catalog::{BaseKind, BaseNo, BaseRow, CatalogError};
use crate::control::rpc::one_line;
use crate::control::warnings::{self, Severity, Warning};
use crate::library::{Carried, Library};
use crate::model::{ObjectHash, path_text};

/// The area of warnings of projects whose takes are not with them.
const AREA: &str = "takes.away";
/// A save waits so long for takes to be brought.
const SAVE_WAITS: Duration = Duration::from_secs(20);

/// What is wanted of the thread that brings takes.
#[derive(Default)]
pub(super) struct Carrying {
    wanted: OnceLock<Sender<BaseNo>>,
    /// How often it was asked for each project and has not been there.
    pending: Mutex<HashMap<BaseNo, u32>>,
    done: Condvar,
}

impl Service {
    fn carry_takes(&self, library: &Library, base: &BaseRow) {
        if let Err(error) = self.carry(library, base) {
            tracing::error!(
                error = one_line(&error),
                "takes could not be brought to their project"
            );
        }
    }

    fn carry(&self, library: &Library, base: &BaseRow) -> Result<(), CatalogError> {
        let id = warnings::id_of_text(AREA, &path_text(&base.path));
        let mut takes = library.takes_to_carry(base)?.into_iter();
        if takes.len() > 0 {
            library.clear_abandoned_copies(base);
        }
        let mut left = Vec::new();
        let mut why = String::new();
        for take in takes.by_ref() {
            let keep = |file: &Path, hash| self.keep_bytes(file, hash);
            // When the daemon ends its couriers do, too.
            match library.carry_take(base, &take, &keep, &AtomicBool::new(false))? {
                Carried::Done(hash) => self.catalog.object_changed(hash)?,
                Carried::Gone => {}
                Carried::Left(reason) => {
                    left.push(take.media_id);
                    why = reason;
                    // It is the same with the others, and each may cost minutes.
                    break;
                }
            }
        }
        left.extend(takes.map(|take| take.media_id));
        let count = u64::try_from(left.len()).unwrap_or(u64::MAX);
        let takes = match count {
            0 => {
                self.warnings.clear(&id);
                return Ok(());
            }
            1 => "1 take".to_owned(),
            count => format!("{count} takes"),
        };
        let text = format!(
            "{takes} of {} are on this computer only, not with the project: {why}",
            base.name
        );
        let warning = Warning::new(id, Severity::Warning, text)
            .remedy("connect the disk of the project and see that there is room; they are brought with the next save")
            .about(count, left);
        self.warnings.raise(warning);
        Ok(())
    }

    /// Keeps what is about to be on a disk that may be pulled, so that whoever plays it hears nothing of that. Without room it
    /// is streamed from there, as all else.
    fn keep_bytes(&self, file: &Path, hash: ObjectHash) {
        let kept = || -> Result<(), Box<dyn std::error::Error>> {
            let file = std::fs::File::open(file)?;
            let size = file.metadata()?.len();
            let id = ObjectId::from_bytes(hash.0);
            self.cache.get()?.put(file, Some(size), Some(&id))?;
            Ok(())
        };
        if let Err(error) = kept() {
            tracing::debug!(%error, "a take is not kept in the cache");
        }
    }

    /// Brings them, by a thread of its own in a daemon; a command does it here and now, as it ends soon.
    pub(super) fn carry_takes_soon(&self, library: &Library, base: &BaseRow) {
        if base.kind != BaseKind::Project || base.source.is_none() {
            return;
        }
        let Some(wanted) = self.carrying.wanted.get() else {
            return self.carry_takes(library, base);
        };
        *self.carrying.pending.lock().entry(base.row).or_default() += 1;
        // The thread ends with this service alone.
        let _ = wanted.send(base.row);
    }

    /// The same, before the project is saved: what is saved is to be with it, if that does not take long.
    pub(super) fn carry_takes_first(
        &self,
        library: &Library,
        base: &BaseRow,
    ) -> Result<(), CatalogError> {
        if library.takes_to_carry(base)?.is_empty() {
            return Ok(());
        }
        self.carry_takes_soon(library, base);
        let until = Instant::now() + SAVE_WAITS;
        let mut pending = self.carrying.pending.lock();
        while pending.contains_key(&base.row)
            && !self
                .carrying
                .done
                .wait_until(&mut pending, until)
                .timed_out()
        {}
        Ok(())
    }

    /// Starts that thread; what an earlier daemon has left is brought first.
    pub(super) fn start_carrying(self: &Arc<Self>, library: &Library) {
        let (wanted, projects) = crossbeam_channel::unbounded::<BaseNo>();
        let service = Arc::downgrade(self);
        let carrying = std::thread::Builder::new()
            .name("mediafs-carry".to_owned())
            .spawn(move || {
                for project in projects {
                    let Some(service) = service.upgrade() else {
                        return;
                    };
                    let library = service.library.lock().clone();
                    let base = service
                        .catalog
                        .reader()
                        .and_then(|reader| reader.base(project));
                    if let (Some(library), Ok(Some(base))) = (library, base) {
                        service.carry_takes(&library, &base);
                    }
                    let mut pending = service.carrying.pending.lock();
                    if let Some(count) = pending.get_mut(&project) {
                        *count -= 1;
                        if *count == 0 {
                            pending.remove(&project);
                        }
                    }
                    service.carrying.done.notify_all();
                }
            });
        match carrying {
            Ok(_) => drop(self.carrying.wanted.set(wanted)),
            Err(error) => {
                tracing::warn!(%error, "takes are brought to their projects by who makes them final");
            }
        }
        let bases = self.catalog.reader().and_then(|reader| reader.bases());
        for base in bases.unwrap_or_default().iter().filter(|base| base.active) {
            self.carry_takes_soon(library, base);
        }
    }
}

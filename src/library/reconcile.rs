//! One place, looked at right now: asked for by an open that did not find what the catalog says.

use std::path::Path;

use crate::catalog::{
    BaseRow, Durability, FolderNo, Observation, Observed, PlaceKind, PlaceNo, PlaceRow,
};
use crate::model::{Availability, Playable, Status};

use super::disk::{Entry, NoFolder, RootFolder};
use super::engine::Engine;
use super::error::LibraryError;
use super::owner::Library;
use super::vanish::{Root, open_root};

/// What a second look gave. The catalog says the same when this is returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reconciled {
    /// It is as the catalog says.
    Same,
    /// It is there, with another content, or again: items have a new generation or are available again.
    Changed,
    /// It is gone; its items are missing.
    Gone,
    /// Its storage is not there, or can't be read now; its items are offline.
    Away,
}

impl Library {
    /// Looks at one place and records what is there; what is new is probed soon. Blocks for a few system calls and a
    /// write to the catalog.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn reconcile_place(&self, place: PlaceNo) -> Result<Reconciled, LibraryError> {
        let engine = &*self.engine;
        let reader = engine.catalog.reader()?;
        let Some(row) = reader.place(place)? else {
            return Ok(Reconciled::Gone);
        };
        let located = engine.locate(&reader, place)?;
        drop(reader);
        let (Some(folder), Some((base, relative))) = (row.folder, located) else {
            return Ok(Reconciled::Gone);
        };
        let result = match open_root(engine, &base)? {
            Root::There(root) => self.look(&root, &base, &relative, folder, &row)?,
            Root::Away => {
                // It may just have been marked as gone, with all of its base.
                let now = engine.catalog.reader()?.place(place)?;
                if now.is_some_and(|row| row.present) {
                    offline(engine, place)?;
                    Reconciled::Away
                } else {
                    Reconciled::Gone
                }
            }
        };
        if let Some(watcher) = self.watcher()
            && result != Reconciled::Same
        {
            // Where it went, and what came with it, is found out by the watch loop.
            watcher.touch(&base.path.join(&relative));
        }
        Ok(result)
    }

    fn look(
        &self,
        root: &RootFolder,
        base: &BaseRow,
        relative: &Path,
        folder: FolderNo,
        row: &PlaceRow,
    ) -> Result<Reconciled, LibraryError> {
        let engine = &*self.engine;
        let parent = relative.parent().unwrap_or_else(|| Path::new(""));
        let opened = match root.folder(parent) {
            Ok(opened) => Some(opened),
            Err(NoFolder::Absent | NoFolder::NotAFolder) => None,
            Err(_) => {
                offline(engine, row.row)?;
                return Ok(Reconciled::Away);
            }
        };
        // Where the folder itself is gone, the nearest one above it tells on which file system it should be.
        let device = match &opened {
            Some(opened) => opened.evidence().ok(),
            None => parent.ancestors().skip(1).find_map(|above| {
                let folder = root.folder(above).ok()?;
                folder.evidence().ok()
            }),
        };
        let observed = engine.write(Durability::Normal, |writer, _| {
            let seen = match opened.as_ref().map(|opened| opened.look(&row.name)) {
                Some(Err(_)) => return Ok(None),
                Some(Ok(seen)) => seen.filter(|seen| seen.entry == Entry::File),
                None => None,
            };
            let Some(seen) = seen else {
                let certain = device
                    .is_some_and(|now| engine.comparable(row.evidence.device, now.device));
                if certain {
                    writer.place_gone(row.row)?;
                    return Ok(Some(Reconciled::Gone));
                }
                return Ok(None);
            };
            let seen = Observation {
                kind: PlaceKind::File,
                evidence: seen.evidence,
            };
            Ok(Some(match writer.observe(folder, &row.name, &seen)? {
                Observed::Unchanged(_) => Reconciled::Same,
                Observed::Returned(_) => Reconciled::Changed,
                Observed::New(place) | Observed::Changed(place) => {
                    engine.probe_soon(place);
                    Reconciled::Changed
                }
            }))
        })?;
        if let Some(result) = observed {
            if let (Some(watcher), Reconciled::Changed) = (self.watcher(), result) {
                watcher.wake();
            }
            return Ok(result);
        }
        tracing::debug!(path = %base.path.join(relative).display(), "can't be reached now");
        offline(engine, row.row)?;
        Ok(Reconciled::Away)
    }
}

/// Marks the items of a place whose storage is not there.
fn offline(engine: &Engine, place: PlaceNo) -> Result<(), LibraryError> {
    engine.write(Durability::Normal, |writer, reader| {
        for item in reader.items_at(place)? {
            let playable = match reader.format(item.row)? {
                Some(_) => Playable::Silence,
                None => Playable::Error,
            };
            if let Some(status) = Status::new(Availability::ExternalOffline, playable) {
                writer.set_status(item.row, status)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

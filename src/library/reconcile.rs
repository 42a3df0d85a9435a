//! One place, looked at right now: asked for by an open that did not find what the catalog says.

use crate::catalog::{CatalogError, Durability, Observation, Observed, PlaceKind, PlaceNo};

use super::error::LibraryError;
use super::identity::was_known;
use super::owner::{Library, Which};
use super::vanish::{Presence, presence};

/// What a second look gave. The catalog says the same when this is returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reconciled {
    /// It is as the catalog says.
    Same,
    /// It is there, with another content, or again: items have a new generation or are available again.
    Changed,
    /// It is gone; its items are missing.
    Gone,
    /// Its storage is not there, or can't be read now; its items are missing until a look finds them again.
    Away,
    /// It is on storage that is not trusted, which nobody waits for: it is looked at soon, and the catalog says what it
    /// said.
    Later,
    /// Another known file has its name; its items are missing until a scan, which has begun, finds them again.
    Elsewhere,
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
        if row.kind != PlaceKind::File {
            return Ok(Reconciled::Same);
        }
        let located = engine.locate(&reader, place)?;
        drop(reader);
        let (Some(folder), Some((base, relative))) = (row.folder, located) else {
            return Ok(Reconciled::Gone);
        };
        if engine.source(&base.path.join(&relative)).is_some() {
            engine.look_soon(&base.path.join(&relative));
            return Ok(Reconciled::Later);
        }
        // Looked at under the writer's lock, so that no other look is overtaken.
        let result = engine.write(Durability::Normal, |writer| {
            let now = writer.reader().place(place)?;
            if now.is_none_or(|now| now.folder != Some(folder) || now.name != row.name) {
                // Moved meanwhile: whoever asked looks it up again.
                return Ok(Reconciled::Changed);
            }
            Ok::<_, CatalogError>(
                match presence(engine, &base, &relative, row.evidence.device) {
                    // The file of another known name. Which has moved where is for a look at everything to say.
                    Presence::There(evidence)
                        if evidence.inode != row.evidence.inode
                            && was_known(engine, writer.reader(), place, &evidence)? =>
                    {
                        writer.place_gone(place)?;
                        Reconciled::Elsewhere
                    }
                    Presence::There(evidence) => {
                        let seen = Observation {
                            kind: PlaceKind::File,
                            evidence,
                        };
                        match writer.observe(folder, &row.name, &seen)? {
                            Observed::Unchanged(_) => Reconciled::Same,
                            Observed::Returned(_) => Reconciled::Changed,
                            Observed::New(place) | Observed::Changed(place) => {
                                engine.probe_soon(place);
                                Reconciled::Changed
                            }
                        }
                    }
                    Presence::Gone => {
                        writer.place_gone(place)?;
                        Reconciled::Gone
                    }
                    Presence::Unreachable => {
                        writer.place_away(place)?;
                        Reconciled::Away
                    }
                },
            )
        })?;
        if result == Reconciled::Elsewhere {
            self.scan(&Which::All);
            return Ok(result);
        }
        if let Some(watcher) = self.watcher()
            && result != Reconciled::Same
        {
            // Where it went, and what came with it, is found out by the watch loop.
            watcher.touch(&base.path.join(&relative));
        }
        Ok(result)
    }

    /// Looks at places on trusted storage that only a manifest tells of, together: their files are known from then on, and
    /// probed soon. Those that lie elsewhere are for a scan to find.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn look_at_told(&self, places: &[PlaceNo]) -> Result<(), LibraryError> {
        /// So that others get their turn.
        const TOGETHER: usize = 100;
        let engine = &*self.engine;
        for some in places.chunks(TOGETHER) {
            engine.write(Durability::Normal, |writer| {
                for place in some {
                    let told = writer
                        .reader()
                        .place(*place)?
                        .filter(|row| row.is_told_of());
                    let Some(row) = told else { continue };
                    let located = engine.locate(writer.reader(), *place)?;
                    let (Some(folder), Some((base, relative))) = (row.folder, located) else {
                        continue;
                    };
                    // Asked of its folder, which many share.
                    if engine.untrusted_file(&base.path.join(&relative)).is_some() {
                        continue;
                    }
                    let there = presence(engine, &base, &relative, row.evidence.device);
                    let Presence::There(evidence) = there else {
                        continue;
                    };
                    if was_known(engine, writer.reader(), *place, &evidence)? {
                        continue;
                    }
                    let seen = Observation {
                        kind: PlaceKind::File,
                        evidence,
                    };
                    if let Some(place) = writer.observe(folder, &row.name, &seen)?.to_probe() {
                        engine.probe_soon(place);
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

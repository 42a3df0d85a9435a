//! Tells subscribers what changes in the catalog, and looks for warnings from time to time.
//!
//! The catalog tells of each commit under its lock; there it is only noted. A thread of its own publishes what
//! gathered: item by item, or as one `library.changed` where a scan or a big import is at work. Where a source comes or
//! goes, what is on it does too: told in the same ways.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Service;
use crate::catalog::{BaseNo, CatalogError, Change, FolderNo, ItemNo, ItemRow, Reader, SourceRow};
use crate::control::events::{
    Event, LibraryChanged, MediaChange, MediaChanged, StatusChanged, VolumeChanged,
};
use crate::control::rpc::one_line;
use crate::model::{MediaId, Scope, SourceNo, SourceState};

/// How long changes gather.
const GATHER: Duration = Duration::from_millis(100);

/// How long while much goes on.
const GATHER_MANY: Duration = Duration::from_secs(1);

/// Events at a time that are not much.
const FEW: usize = 8;

/// Items that are told of one by one, of those that gathered.
const ONE_BY_ONE: usize = 64;

/// How often warnings are looked for that nobody raises.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What changed since it was told last.
#[derive(Default)]
struct Gathered {
    items: BTreeMap<ItemNo, (MediaId, MediaChange)>,
    /// Beside the first [`ONE_BY_ONE`], only that they changed.
    more: HashSet<ItemNo>,
    /// Folders in which something came, went or changed.
    folders: HashSet<FolderNo>,
    bases: HashSet<BaseNo>,
    /// As they were last.
    sources: BTreeMap<SourceNo, SourceState>,
}

impl Gathered {
    fn add(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Item {
                    row,
                    media_id,
                    swapped,
                    removed,
                } => {
                    let what = match (removed, swapped) {
                        (true, _) => MediaChange::Removed,
                        (_, true) => MediaChange::Content,
                        _ => MediaChange::Details,
                    };
                    self.item(*row, media_id, what);
                }
                Change::Name { folder, .. } => {
                    self.folders.insert(*folder);
                }
                Change::Shown { project, .. } => {
                    self.bases.insert(*project);
                }
                Change::Base { row } => {
                    self.bases.insert(*row);
                }
                Change::Source { row, state } => {
                    self.sources.insert(*row, *state);
                }
            }
        }
    }

    fn item(&mut self, row: ItemNo, media_id: &MediaId, what: MediaChange) {
        if let Some((_, before)) = self.items.get_mut(&row) {
            *before = match (*before, what) {
                (MediaChange::Details, now) => now,
                (_, MediaChange::Removed) => MediaChange::Removed,
                (before, _) => before,
            };
        } else if self.items.len() < ONE_BY_ONE {
            self.items.insert(row, (media_id.clone(), what));
        } else {
            self.more.insert(row);
        }
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty()
            && self.folders.is_empty()
            && self.bases.is_empty()
            && self.sources.is_empty()
    }

    /// As events, and whether there were too many for one each.
    fn events(self, reader: &Reader) -> Result<(Vec<Event>, bool), CatalogError> {
        let mut events = Vec::new();
        let mut on_sources = Vec::new();
        let mut more_on_sources = 0;
        let mut bases = self.bases;
        let is_base_change = !bases.is_empty();
        for (row, state) in &self.sources {
            if let Some(source) = reader.source(*row)? {
                events.push(volume_changed(source, *state));
            }
            // With it, what is on it.
            let items = reader.some_items_on(*row, ONE_BY_ONE + 1)?;
            if items.len() > ONE_BY_ONE {
                more_on_sources += reader.count_items_on(*row)?;
                bases.extend(reader.bases_on(*row)?);
            } else {
                on_sources.extend(items);
            }
        }
        let is_many = !self.more.is_empty() || more_on_sources > 0;
        for item in on_sources {
            let is_told = matches!(self.items.get(&item.row), Some((_, MediaChange::Content)));
            if is_many || !is_told {
                events.push(status_changed(reader, item)?);
            }
        }
        if is_many {
            for folder in &self.folders {
                bases.extend(reader.folder(*folder)?.map(|folder| folder.base));
            }
        } else {
            for (row, (media_id, what)) in &self.items {
                events.push(Event::MediaChanged(MediaChanged {
                    media_id: media_id.clone(),
                    scope: scope(reader, *row)?,
                    what: *what,
                }));
                if *what == MediaChange::Content
                    && let Some(item) = reader.item(*row)?
                {
                    events.push(status_changed(reader, item)?);
                }
            }
        }
        if is_many || is_base_change {
            let mut names = Vec::new();
            for base in bases {
                names.extend(reader.base(base)?.map(|base| base.name));
            }
            names.sort_unstable();
            names.dedup();
            let count = if is_many {
                (self.items.len() + self.more.len()) as u64 + more_on_sources
            } else {
                0
            };
            events.push(Event::LibraryChanged(LibraryChanged {
                bases: names,
                count,
            }));
        }
        Ok((events, is_many))
    }
}

/// How an item is, for those who show it.
fn status_changed(reader: &Reader, item: ItemRow) -> Result<Event, CatalogError> {
    Ok(Event::StatusChanged(StatusChanged {
        availability: item.availability,
        playable: item.playable,
        cause: reader.cause_of(&item)?,
        media_id: item.media_id,
    }))
}

/// How a source is, for those who show it.
fn volume_changed(source: SourceRow, state: SourceState) -> Event {
    let online = state.is_online();
    Event::VolumeChanged(VolumeChanged {
        id: source.identity,
        name: source.name,
        state,
        path: online.then(|| source.path.as_path().into()),
    })
}

/// Where the id of an item is unique.
fn scope(reader: &Reader, row: ItemNo) -> Result<Option<Scope>, CatalogError> {
    let Some(item) = reader.item(row)? else {
        return Ok(None);
    };
    let project = match item.project {
        Some(base) => reader.base(base)?.and_then(|base| base.project),
        None => None,
    };
    Ok(Some(project.map_or(Scope::Library, Scope::Project)))
}

/// Between the catalog and the thread.
#[derive(Default)]
struct Shared {
    gathered: Mutex<Gathered>,
    came: Condvar,
}

impl Service {
    /// From now on changes of the catalog are told, and warnings looked for, until the service is dropped. Called once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn tell_changes(self: &Arc<Self>) -> std::io::Result<()> {
        let shared = Arc::<Shared>::default();
        let service = Arc::downgrade(self);
        let noted = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("mediafs-events".to_owned())
            .spawn(move || tell(&service, &shared))?;
        self.catalog.listen(Box::new(move |changes| {
            noted.gathered.lock().add(changes);
            noted.came.notify_one();
        }));
        Ok(())
    }
}

fn tell(service: &Weak<Service>, shared: &Shared) {
    let mut look_at = Instant::now() + LOOK_EVERY;
    let mut gather = GATHER;
    loop {
        let has_news = {
            let mut gathered = shared.gathered.lock();
            if gathered.is_empty() {
                shared.came.wait_until(&mut gathered, look_at);
            }
            !gathered.is_empty()
        };
        if has_news {
            std::thread::sleep(gather);
        }
        // Not kept while nothing is done, so that it can end.
        let Some(service) = service.upgrade() else {
            return;
        };
        if Instant::now() >= look_at {
            look_at = Instant::now() + LOOK_EVERY;
            if let Err(error) = service.look_for_warnings() {
                tracing::debug!(error = one_line(&error), "warnings could not be looked for");
            }
        }
        let gathered = std::mem::take(&mut *shared.gathered.lock());
        gather = if service.publish_changes(gathered) {
            GATHER_MANY
        } else {
            GATHER
        };
    }
}

impl Service {
    /// Gives whether much goes on.
    fn publish_changes(&self, gathered: Gathered) -> bool {
        if gathered.is_empty() {
            return false;
        }
        let reader = self.catalog.reader();
        let (events, is_many) = match reader.and_then(|reader| gathered.events(&reader)) {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(error = one_line(&error), "changes could not be read");
                // Whoever keeps a copy must know that it is old.
                let unknown = LibraryChanged::default();
                (vec![Event::LibraryChanged(unknown)], true)
            }
        };
        let is_much = is_many || events.len() > FEW;
        for event in events {
            self.events.publish(event);
        }
        is_much
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn item(row: u32, swapped: bool, removed: bool) -> Change {
        Change::Item {
            row: ItemNo(row),
            media_id: format!("item-{row}").parse().unwrap(),
            swapped,
            removed,
        }
    }

    fn told(changes: &[Change]) -> Vec<Event> {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(folder.path()).unwrap();
        let mut gathered = Gathered::default();
        for change in changes {
            gathered.add(std::slice::from_ref(change));
        }
        let reader = catalog.reader().unwrap();
        gathered.events(&reader).unwrap().0
    }

    #[test]
    fn what_happened_to_an_item_is_told_once() {
        let events = told(&[
            item(2, false, false),
            item(1, false, false),
            item(1, true, false),
            item(1, false, false),
            item(3, true, false),
            item(3, true, true),
        ]);
        let expected = [
            ("item-1", MediaChange::Content),
            ("item-2", MediaChange::Details),
            ("item-3", MediaChange::Removed),
        ];
        let expected = expected.map(|(media_id, what)| {
            Event::MediaChanged(MediaChanged {
                media_id: media_id.parse().unwrap(),
                scope: None,
                what,
            })
        });
        assert_eq!(events, expected);
    }

    #[test]
    fn many_items_are_one_event() {
        let many: Vec<Change> = (0..10_000)
            .chain(0..100)
            .map(|row| item(row, true, false))
            .collect();
        let expected = LibraryChanged {
            bases: Vec::new(),
            count: 10_000,
        };
        assert_eq!(told(&many), [Event::LibraryChanged(expected)]);
    }
}

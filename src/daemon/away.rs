//! Sounds that are not on trusted storage: puts sources, couriers, hydration, cache, drive, catalog and events together.
//!
//! What arrives goes into the catalog, which tells the drive; what is silent, comes back, or is at work is told to
//! subscribers; media of open projects are brought and pinned.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use mediafs_cache::{ObjectId, PinOwner, Store};
use mediafs_platform::process::Process;
use parking_lot::Mutex;

use super::brakes::Brakes;
use super::ear::Ear;
use crate::catalog::{Catalog, CatalogError, ItemNo, ItemRow, Reader};
use crate::config::Config;
use crate::control::Service;
use crate::control::events::Event;
use crate::control::methods::TaskKind;
use crate::control::rpc::one_line;
use crate::control::service::LazyStore;
use crate::control::tasks::{ENDED_KEPT, TaskInfo, TaskSource, TaskState as Shown};
use crate::hydrate::{
    HydrateError, Hydrator, Limits, OpenStore, Priority, TaskId, TaskPhase, TaskState, Told,
    Wanted, Why,
};
use crate::library::take_in;
use crate::model::{Availability, ObjectHash, Playable, SourceNo};
use crate::storage::{CourierFetch, Outside};
use crate::tree::{Bringing, MediaDrive};

/// What is not on trusted storage, of a running daemon.
pub struct Away {
    catalog: Arc<Catalog>,
    pub(crate) outside: Outside,
    pub(crate) hydrator: Arc<Hydrator>,
    pub(crate) bringing: Arc<Bringing>,
    pub(super) cache: LazyStore,
    /// How fast bytes of each source came last, in bytes a second.
    pub(crate) rates: Rates,
}

/// Rates by source.
pub(crate) type Rates = Arc<Mutex<HashMap<SourceNo, u64>>>;

/// Where news go. Set when the parts that hear them are there.
struct News {
    catalog: Arc<Catalog>,
    outside: Outside,
    cache: LazyStore,
    service: Weak<Service>,
    bringing: Mutex<Weak<Bringing>>,
    fetch: Arc<CourierFetch>,
    brakes: Brakes,
    rates: Rates,
}

impl Away {
    /// Starts it all: from now on the drive brings what is not on trusted storage.
    pub(super) fn begin(
        catalog: &Arc<Catalog>,
        outside: &Outside,
        cache: &LazyStore,
        config: &Config,
        service: &Arc<Service>,
        drive: &Arc<MediaDrive>,
    ) -> Arc<Self> {
        let fetch = Arc::new(CourierFetch::new(Arc::clone(catalog), outside.clone()));
        let news = Arc::new(News {
            catalog: Arc::clone(catalog),
            outside: outside.clone(),
            cache: cache.clone(),
            service: Arc::downgrade(service),
            bringing: Mutex::default(),
            fetch: Arc::clone(&fetch),
            brakes: Brakes::default(),
            rates: Rates::default(),
        });
        let opened = cache.clone();
        let store: OpenStore = Arc::new(move || opened.get());
        let hydrator = Arc::new(Hydrator::new(
            store,
            fetch,
            Arc::clone(&news) as Arc<dyn Told>,
            Limits::default(),
        ));
        let cached = cache.clone();
        let braked = Arc::clone(&news);
        let bringing = Bringing::new(
            Arc::clone(&hydrator),
            Box::new(move |hash| open_cached(&cached, hash)),
            config.deadlines,
            Arc::new(Ear::begin(catalog, service, drive)),
            Box::new(move |process| braked.braked(process)),
        );
        *news.bringing.lock() = Arc::downgrade(&bringing);
        let asked = cache.clone();
        catalog.set_cache(Box::new(move |hash| is_cached(&asked, hash)));
        tell_of_evictions(catalog, cache);
        drive.bring(Arc::clone(&bringing));
        let (listening, looking) = (Arc::downgrade(&hydrator), Arc::downgrade(service));
        let names = Arc::downgrade(catalog);
        catalog.listen(Box::new(move |changes| {
            if let (Some(hydrator), Some(catalog)) = (listening.upgrade(), names.upgrade()) {
                source_changes(&hydrator, &catalog, &looking, changes);
            }
        }));
        Arc::new(Self {
            catalog: Arc::clone(catalog),
            outside: outside.clone(),
            hydrator,
            bringing,
            cache: cache.clone(),
            rates: Arc::clone(&news.rates),
        })
    }

    /// An item's bytes are to stay in the cache for somebody, and are brought if they are not there.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn pin(&self, item: &ItemRow, owner: &str) -> Result<(), CatalogError> {
        self.catalog
            .write(crate::catalog::Durability::Full, |writer| {
                writer.pin(item.row, owner)
            })?;
        let reader = self.catalog.reader()?;
        match reader
            .blake3(item.row)?
            .filter(|_| item.playable == Playable::Bytes)
        {
            Some(hash) => self.pin_object(hash, owner),
            None => {
                self.hydrate(&reader, item, Why::Pinned)?;
            }
        }
        Ok(())
    }

    fn pin_object(&self, hash: ObjectHash, owner: &str) {
        if let Some(store) = self.cache.opened() {
            pin_object(&store, hash, owner);
        }
    }

    /// They need not stay for that one any more.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn unpin(&self, item: ItemNo, owner: &str) -> Result<bool, CatalogError> {
        let reader = self.catalog.reader()?;
        let hash = reader.blake3(item)?;
        let was = self
            .catalog
            .write(crate::catalog::Durability::Full, |writer| {
                writer.unpin(item, owner)
            })?;
        if let (Some(store), Some(hash)) = (self.cache.opened(), hash)
            && !reader.pinned_hashes(owner)?.contains(&hash)
            && let Ok(owner) = PinOwner::new(owner)
            && let Err(error) = store.unpin(&owner, &[ObjectId::from_bytes(hash.0)])
        {
            tracing::warn!(
                error = one_line(&error),
                "a sound stays pinned in the cache"
            );
        }
        Ok(was)
    }

    pub(super) fn unpin_all(&self, owner: &str) -> Result<(), CatalogError> {
        self.catalog
            .write(crate::catalog::Durability::Full, |writer| {
                writer.unpin_all(owner)
            })?;
        if let Some(store) = self.cache.opened()
            && let Ok(owner) = PinOwner::new(owner)
            && let Err(error) = store.unpin_all(&owner)
        {
            tracing::warn!(error = one_line(&error), "sounds stay pinned in the cache");
        }
        Ok(())
    }

    /// Has an item brought into the cache. `None` where its bytes are at hand, or it is on no source.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) fn hydrate(
        &self,
        reader: &Reader,
        item: &ItemRow,
        why: Why,
    ) -> Result<Option<TaskId>, CatalogError> {
        if item.playable == Playable::Bytes {
            return Ok(None);
        }
        let Some(place) = item.place else {
            return Ok(None);
        };
        let wanted = match reader.place(place)? {
            Some(place) => Wanted::of(reader, &place)?,
            None => None,
        };
        Ok(wanted.map(|wanted| self.hydrator.ask(&wanted, why)))
    }

    /// Lets go of a source within a second: no courier touches it any more until it is mounted anew.
    pub(crate) fn eject(&self, source: SourceNo) -> Result<bool, CatalogError> {
        let Some(row) = self.catalog.reader()?.source(source)? else {
            return Ok(false);
        };
        if !self.outside.sources.eject(source) {
            return Ok(false);
        }
        self.outside
            .couriers
            .let_go(&crate::storage::SourceKey::at(row.path));
        Ok(true)
    }

    /// Goes on, in the background, with what an earlier run has begun to bring, where it is still wanted.
    pub(super) fn resume(&self) {
        let still = |wanted: &Wanted| {
            let place = self.catalog.reader().and_then(|r| r.place(wanted.place));
            place.is_ok_and(|place| place.is_some_and(|row| row.present && wanted.is_of(&row)))
        };
        if let Err(error) = self.hydrator.resume(still) {
            tracing::warn!(
                error = one_line(&error),
                "what was begun to be brought before is not gone on with"
            );
        }
    }

    pub(super) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The cache was opened: what was silent until then may have been in it.
    pub(super) fn cache_is_open(&self) {
        self.bringing.look_again(&self.catalog);
    }

    /// Ends what it can, and waits for none that hangs.
    pub(super) fn end(&self) {
        self.outside.stop();
        self.hydrator.shutdown();
    }
}

fn pin_object(store: &Store, hash: ObjectHash, owner: &str) {
    let pinned = PinOwner::new(owner)
        .and_then(|owner| store.pin(&owner, &[ObjectId::from_bytes(hash.0)]).map(drop));
    if let Err(error) = pinned {
        tracing::warn!(
            error = one_line(&error),
            "a sound could not be pinned in the cache"
        );
    }
}

fn open_cached(cache: &LazyStore, hash: ObjectHash) -> Option<mediafs_cache::OpenObject> {
    // Not the drive's threads are those that open it.
    let store = cache.opened()?;
    let object = store.open_object(&ObjectId::from_bytes(hash.0));
    object.unwrap_or_else(|error| {
        tracing::warn!(
            error = one_line(&error),
            "an object of the cache could not be opened"
        );
        None
    })
}

/// Items whose bytes are evicted are another thing to players from then on, and who shows them is told so.
fn tell_of_evictions(catalog: &Arc<Catalog>, cache: &LazyStore) {
    let (sender, evicted) = crossbeam_channel::unbounded::<ObjectId>();
    let catalog = Arc::downgrade(catalog);
    let telling = std::thread::Builder::new()
        .name("mediafs-evicted".to_owned())
        .spawn(move || {
            for id in evicted {
                let Some(catalog) = catalog.upgrade() else {
                    return;
                };
                if let Err(error) = catalog.object_changed(ObjectHash(*id.as_bytes())) {
                    tracing::warn!(error = one_line(&error), "an eviction is not told");
                }
            }
        });
    match telling {
        Ok(_) => cache.on_evicted(Arc::new(move |id| {
            let _ = sender.send(id);
        })),
        Err(error) => tracing::error!(%error, "evictions are not told"),
    }
}

fn is_cached(cache: &LazyStore, hash: ObjectHash) -> bool {
    let store = cache.opened();
    store.is_some_and(|store| {
        store
            .contains(&ObjectId::from_bytes(hash.0))
            .unwrap_or(false)
    })
}

/// Hydration goes on with a source that is back, and waits for one that went. What is back may have changed elsewhere.
fn source_changes(
    hydrator: &Hydrator,
    catalog: &Catalog,
    service: &Weak<Service>,
    changes: &[crate::catalog::Change],
) {
    for change in changes {
        if let crate::catalog::Change::Source { row, state } = change {
            if state.is_online() {
                hydrator.source_is_back(*row);
                if let Some(service) = service.upgrade() {
                    service.look_at_source(*row);
                }
            } else {
                let name = catalog.reader().and_then(|reader| reader.source(*row));
                let name = name.ok().flatten().map_or_else(String::new, |row| row.name);
                hydrator.source_is_away(*row, format!("{name} is {}", state.words()));
            }
        }
    }
}

impl Told for News {
    fn task(&self, task: &TaskState) {
        if task.rate > 0 {
            self.rates.lock().insert(task.wanted.source, task.rate);
        }
        let Some(service) = self.service.upgrade() else {
            return;
        };
        let item = item_of(&self.catalog, &task.wanted);
        let info = task_info(task, item);
        service.events().publish(if task.phase.is_over() {
            Event::TaskEnded(info)
        } else {
            Event::TaskProgress(info)
        });
    }

    fn arrived(&self, wanted: &Wanted, object: ObjectHash) {
        let taken = self.take_in(wanted, object);
        if let Err(error) = taken {
            tracing::error!(
                error = one_line(&*error),
                place = wanted.place.0,
                "what has arrived could not be taken in"
            );
        }
    }

    fn answered(&self, source: SourceNo) {
        if let Some(bringing) = self.bringing.lock().upgrade() {
            bringing.answered(source);
        }
        self.outside.sources.reached(source);
    }

    fn failed(&self, wanted: &Wanted, why: &HydrateError) {
        tracing::warn!(place = wanted.place.0, %why, "a sound was not brought");
        // The library finds out what became of it.
        if let (
            HydrateError::Changed | HydrateError::Gone | HydrateError::WrongBytes { .. },
            Some(service),
        ) = (why, self.service.upgrade())
        {
            service.look_at_place(wanted.place);
        }
    }
}

impl News {
    fn take_in(
        &self,
        wanted: &Wanted,
        object: ObjectHash,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let store = self.cache.get()?;
        let Some(opened) = store.open_object(&ObjectId::from_bytes(object.0))? else {
            return Ok(());
        };
        let file = opened.file().try_clone()?;
        if !take_in(&self.catalog, wanted, object, file)? {
            if let Some(service) = self.service.upgrade() {
                service.look_at_place(wanted.place);
            }
            return Ok(());
        }
        for owner in self.catalog.reader()?.owners_of_bytes(object)? {
            pin_object(&store, object, &owner);
        }
        self.give_back(wanted);
        Ok(())
    }

    /// Its provider need not keep on the disk what is in the cache. Waits for nobody.
    fn give_back(&self, wanted: &Wanted) {
        if !self.fetch.gives_back(wanted) {
            return;
        }
        let (fetch, wanted) = (Arc::clone(&self.fetch), wanted.clone());
        let giving = std::thread::Builder::new()
            .name("give-back".to_owned())
            .spawn(move || fetch.give_back(&wanted));
        if let Err(error) = giving {
            tracing::debug!(%error, "what was fetched stays on the disk");
        }
    }

    fn braked(&self, process: &Process) {
        if let Some(service) = self.service.upgrade() {
            self.brakes.warn(&service, process);
        }
    }
}

/// Its source is there and answers, as far as anybody knows.
pub(crate) fn is_reached(item: &ItemRow) -> bool {
    matches!(
        item.availability,
        Availability::ExternalOnline | Availability::RemoteFetching
    )
}

fn item_of(catalog: &Catalog, wanted: &Wanted) -> Option<ItemRow> {
    let items = catalog.reader().and_then(|r| r.items_at(wanted.place));
    items.ok()?.into_iter().next()
}

/// The prefix of the ids of these tasks.
const TASK: &str = "hydrate-";

fn task_id(id: &str) -> Option<TaskId> {
    id.strip_prefix(TASK)?.parse().ok().map(TaskId)
}

fn task_info(task: &TaskState, item: Option<ItemRow>) -> TaskInfo {
    let (media_id, name) = item.map(|item| (item.media_id, item.name)).unzip();
    let (state, reason) = match &task.phase {
        TaskPhase::Queued => (Shown::Queued, None),
        TaskPhase::Running => (Shown::Running, None),
        TaskPhase::Passing { why } => (Shown::Running, Some(format!("played, not kept: {why}"))),
        TaskPhase::Retrying { why, .. } => (Shown::Waiting, Some(why.to_string())),
        TaskPhase::Done { .. } => (Shown::Done, None),
        TaskPhase::Failed { reason } => (Shown::Failed, Some(reason.to_string())),
        TaskPhase::Cancelled => (Shown::Cancelled, None),
    };
    let priority = match task.priority {
        Priority::Background => "background",
        Priority::ByHand => "asked",
        Priority::Pinned => "pinned",
        Priority::Streamed => "streamed",
        Priority::Copier => "copier",
        Priority::Player => "player",
    };
    TaskInfo {
        id: format!("{TASK}{}", task.id.0),
        kind: TaskKind::Hydrate,
        media_id,
        name,
        state,
        bytes: task.arrived,
        total: Some(task.total),
        files: None,
        rate: Some(task.rate),
        since: 0,
        priority: Some(priority.to_owned()),
        reason,
    }
}

impl Away {
    /// A task of hydration, by its id in the protocol; also one that has ended not long ago.
    pub(crate) fn state_of(&self, id: TaskId) -> Option<TaskInfo> {
        let task = self.hydrator.task(id)?;
        let item = item_of(&self.catalog, &task.wanted);
        Some(task_info(&task, item))
    }
}

impl TaskSource for Away {
    fn tasks(&self) -> Vec<TaskInfo> {
        let tasks = self.hydrator.tasks().into_iter();
        tasks
            .filter(|task| !task.phase.is_over())
            .map(|task| task_info(&task, item_of(&self.catalog, &task.wanted)))
            .collect()
    }

    fn ended(&self) -> Vec<TaskInfo> {
        let tasks = self.hydrator.tasks();
        let over = tasks.iter().filter(|task| task.phase.is_over());
        // The newest are the last.
        let mut newest: Vec<_> = over.rev().take(ENDED_KEPT).collect();
        newest.reverse();
        newest
            .into_iter()
            .map(|task| task_info(task, item_of(&self.catalog, &task.wanted)))
            .collect()
    }

    fn task(&self, id: &str) -> Option<TaskInfo> {
        self.state_of(task_id(id)?)
    }

    fn cancel(&self, id: &str) -> bool {
        task_id(id).is_some_and(|id| self.hydrator.cancel(id))
    }
}

//! What is to stay in the cache: media of open projects on storage that is not trusted are pinned by themselves, and what
//! is pinned, by whomever, is brought whenever its bytes are others or are not there.
//!
//! Pins are wishes in the catalog. What is pinned in the cache is made to follow them here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mediafs_cache::{CacheError, ObjectId, PinOwner, Store};

use super::away::Away;
use crate::catalog::{BaseKind, BaseNo, CatalogError, Durability, ItemNo, ItemRow, Reader};
use crate::control::rpc::one_line;
use crate::hydrate::Why;
use crate::model::{Availability, Playable};

/// How often is looked whether something has changed.
const GLANCE: Duration = Duration::from_secs(1);
/// How often everything is looked through where nothing has changed.
const ROUND: Duration = Duration::from_secs(60);
/// The part of the cache that media of projects may be pinned in: four fifths.
const PROJECTS_PART: (u64, u64) = (4, 5);
/// Items of a page.
const PAGE: u32 = 500;

/// Contents that were asked for, and when: what could not be brought is not asked for all the time.
type Asked = HashMap<ItemNo, (u32, Instant)>;

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Away {
    /// Keeps what is to stay in the cache there, until this is dropped.
    pub(super) fn keep(self: &Arc<Self>) {
        let changed = Arc::new(AtomicBool::new(true));
        let told = Arc::clone(&changed);
        self.catalog()
            .listen(Box::new(move |_| told.store(true, Ordering::Relaxed)));
        let away = Arc::downgrade(self);
        let keeping = std::thread::Builder::new()
            .name("mediafs-keep".to_owned())
            .spawn(move || {
                let (mut asked, mut restored) = (Asked::new(), false);
                let mut last: Option<Instant> = None;
                while let Some(away) = away.upgrade() {
                    let due = last.is_none_or(|last| last.elapsed() >= ROUND);
                    // Before the cache is open, nothing can be kept.
                    if let Some(store) = away.cache.opened()
                        && (changed.swap(false, Ordering::Relaxed) || due)
                    {
                        last = Some(Instant::now());
                        let kept = away.look_through(&store, &mut asked, &mut restored);
                        if let Err(error) = kept {
                            tracing::warn!(error = one_line(&error), "what is pinned is not kept");
                        }
                    }
                    drop(away);
                    std::thread::sleep(GLANCE);
                }
            });
        if let Err(error) = keeping {
            tracing::error!(%error, "media of projects are not kept in the cache");
        }
    }

    fn look_through(
        &self,
        store: &Store,
        asked: &mut Asked,
        restored: &mut bool,
    ) -> Result<(), KeepError> {
        let reader = self.catalog().reader()?;
        let open = self.open_projects(&reader)?;
        let usage = store.usage()?;
        let mut coming = Vec::new();
        let mut after = 0;
        loop {
            let page = reader.pinned(after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.row.0;
            coming.extend(
                page.into_iter()
                    .filter(|item| item.playable != Playable::Bytes),
            );
        }
        let promised: u64 = coming.iter().map(|item| item.size).sum();
        let most = usage.quota / PROJECTS_PART.1 * PROJECTS_PART.0;
        let taken = usage.pinned_bytes.saturating_add(promised);
        let mut room = most.saturating_sub(taken);
        for (project, owner) in open {
            self.pin_project(&reader, project, &owner, &mut room, &mut coming)?;
        }
        let free = usage.quota.saturating_sub(usage.pinned_bytes);
        for item in coming.iter().filter(|item| item.size <= free) {
            self.bring(&reader, item, asked)?;
        }
        follow(&reader, store)?;
        if !*restored {
            store.pins_restored()?;
            *restored = true;
        }
        Ok(())
    }

    /// Those that are open, and who pins for each. Nobody pins any more for the others.
    fn open_projects(&self, reader: &Reader) -> Result<Vec<(BaseNo, String)>, CatalogError> {
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for base in reader.bases()? {
            let (BaseKind::Project, Some(id)) = (base.kind, &base.project) else {
                continue;
            };
            let owner = format!("project:{}", id.0);
            if base.active {
                open.push((base.row, owner));
            } else {
                closed.push(owner);
            }
        }
        for owner in closed {
            // A copy of its folder may be open.
            let is_open = open.iter().any(|(_, open)| *open == owner);
            if !is_open && reader.has_pins(&owner)? {
                self.unpin_all(&owner)?;
            }
        }
        Ok(open)
    }

    fn pin_project(
        &self,
        reader: &Reader,
        project: BaseNo,
        owner: &str,
        room: &mut u64,
        coming: &mut Vec<ItemRow>,
    ) -> Result<(), CatalogError> {
        let mut after = 0;
        loop {
            let page = reader.project_items_away(project, after, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.row.0;
            for item in page {
                let pins = reader.pins_of(item.row)?;
                if pins.iter().any(|pin| pin == owner) {
                    continue;
                }
                // What somebody pins takes no more room.
                let more = if pins.is_empty() { item.size } else { 0 };
                let Some(left) = room.checked_sub(more) else {
                    continue;
                };
                *room = left;
                self.catalog()
                    .write(Durability::Full, |writer| writer.pin(item.row, owner))?;
                if item.playable != Playable::Bytes && pins.is_empty() {
                    coming.push(item);
                }
            }
        }
    }

    fn bring(
        &self,
        reader: &Reader,
        item: &ItemRow,
        asked: &mut Asked,
    ) -> Result<(), CatalogError> {
        let online = matches!(
            item.availability,
            Availability::ExternalOnline | Availability::RemoteFetching
        );
        let again = asked
            .get(&item.row)
            .is_none_or(|(generation, at)| *generation != item.generation || at.elapsed() >= ROUND);
        if online && again {
            asked.insert(item.row, (item.generation, Instant::now()));
            self.hydrate(reader, item, Why::Pinned)?;
        }
        Ok(())
    }
}

/// Pins in the cache what is wished for, and nothing else.
fn follow(reader: &Reader, store: &Store) -> Result<(), KeepError> {
    let mut owners: BTreeSet<String> = reader.pin_owners()?.into_iter().collect();
    owners.extend(
        store
            .pin_owners()?
            .iter()
            .map(|owner| owner.as_str().to_owned()),
    );
    for name in owners {
        let owner = PinOwner::new(&name)?;
        let wished = reader.pinned_hashes(&name)?.into_iter();
        let wished: HashSet<ObjectId> = wished.map(|hash| ObjectId::from_bytes(hash.0)).collect();
        let pinned: HashSet<ObjectId> = store.pins_of(&owner)?.into_iter().collect();
        let missing: Vec<ObjectId> = wished.difference(&pinned).copied().collect();
        let left: Vec<ObjectId> = pinned.difference(&wished).copied().collect();
        if !missing.is_empty() {
            // Those that have not come are pinned when they do.
            store.pin(&owner, &missing)?;
        }
        if !left.is_empty() {
            store.unpin(&owner, &left)?;
        }
    }
    Ok(())
}

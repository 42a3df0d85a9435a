//! Counting the disk: makes the index agree with the files, whatever happened to either.
//!
//! Run in the background after the cache was opened. It lists all folders, which opening never does. It is safe beside
//! everything else; each object is compared once more while nobody else changes it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{self, AtPlace};
use crate::error::{CacheError, IoContext};
use crate::evict::regular_files;
use crate::handles::TEMP_PREFIX;
use crate::id::{ObjectId, from_hex};
use crate::index::ObjectInfo;
use crate::partial_map::{self, PartialMap};
use crate::store::{Inner, Store};
use crate::verify::Damaged;

/// What reconciling found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconciled {
    /// How many objects there are on the disk.
    pub objects: u64,
    /// Objects that the index did not have. It has them now.
    pub found: Vec<ObjectId>,
    /// Objects that the index had but the disk did not. They are no longer in the index; their bytes are lost.
    pub vanished: Vec<ObjectId>,
    /// Objects that have another size than when they were stored, or are no regular files. They were set aside.
    pub damaged: Vec<Damaged>,
    /// How many temporary files of an earlier run were removed.
    pub temps_removed: u64,
    /// How many partial objects of an earlier run were not whole (data without map or the reverse). What they had
    /// reserved was given back.
    pub partials_removed: u64,
    /// How many bytes of dead reservations were given back.
    pub bytes_released: u64,
    /// What lies in the cache's folders but is not the cache's. It is neither touched nor counted.
    pub strangers: Vec<PathBuf>,
}

impl Store {
    /// Makes index and disk agree. Run it in the background after opening; where [`crate::Opening::needs_reconcile`]
    /// says so, soon.
    ///
    /// # Errors
    /// The disk or the database fails. What was done by then is kept.
    pub fn reconcile(&self) -> Result<Reconciled, CacheError> {
        let _one = self.inner.reconciling.lock();
        self.inner.reconcile()
    }
}

impl Inner {
    pub(crate) fn reconcile_if_doubted(&self) -> Result<(), CacheError> {
        let _one = self.reconciling.lock();
        if self.index.ledger.is_doubted() {
            let report = self.reconcile()?;
            tracing::info!(?report, "counted the cache");
        }
        Ok(())
    }

    fn reconcile(&self) -> Result<Reconciled, CacheError> {
        let doubts = self.index.ledger.doubts();
        self.index.set_counted(false)?;
        if self.index.ledger.is_doubted() {
            // Nothing is reserved while in doubt, and nothing leaves under upkeep, so the sums stand still here.
            let _upkeep = self.upkeep.lock();
            self.index.reset_ledger()?;
            self.reset_dormant()?;
        }
        let mut report = Reconciled::default();
        self.remove_temps(&mut report)?;
        for first in 0..=u8::MAX {
            self.reconcile_shard(first, &mut report)?;
        }
        self.find_strangers(&mut report)?;
        self.reconcile_partials(&mut report)?;
        self.recount_damaged()?;
        self.index.ledger.dispel(doubts);
        self.evict_excess()?;
        Ok(report)
    }

    fn remove_temps(&self, report: &mut Reconciled) -> Result<(), CacheError> {
        let folder = self.disk.folder("temp");
        for (path, name, is_file) in list(&folder)? {
            if !is_file || !name.is_some_and(|name| name.starts_with(TEMP_PREFIX)) {
                report.strangers.push(path);
            } else if !self.is_live_temp(&path) {
                disk::remove_file(&path)?;
                report.temps_removed += 1;
            }
        }
        Ok(())
    }

    fn reconcile_shard(&self, first: u8, report: &mut Reconciled) -> Result<(), CacheError> {
        let shard = self.disk.shard(first);
        let mut on_disk = BTreeSet::new();
        // A symlink or file in place of the folder is a stranger; nothing behind it is ours.
        if fs::symlink_metadata(&shard).is_ok_and(|meta| meta.is_dir()) {
            for (path, ..) in list(&shard)? {
                match path
                    .file_name()
                    .and_then(|name| disk::object_of_name(first, name))
                {
                    Some(id) => _ = on_disk.insert(id),
                    None => report.strangers.push(path),
                }
            }
        }
        let mut in_index = self.index.shard(first)?;
        let pinned = self.pins.in_shard(first)?;
        let mut wrong_pins = Vec::new();
        for id in on_disk {
            let info = in_index.remove(&id);
            match &info {
                Some(info) if self.disk.at_place(&id)? == AtPlace::File(info.size) => {
                    report.objects += 1;
                    if info.pinned != pinned.contains(&id) {
                        wrong_pins.push(id);
                    }
                }
                _ => self.reconcile_object(&id, report)?,
            }
        }
        for id in in_index.into_keys() {
            if self.forget_vanished(&id)? {
                tracing::warn!(object = %id, "an object of the cache has vanished from the disk");
                report.vanished.push(id);
            }
        }
        wrong_pins.iter().try_for_each(|id| self.mirror_pin(id))
    }

    /// Compares one object again, while nobody else changes it, and corrects the index or sets it aside.
    fn reconcile_object(&self, id: &ObjectId, report: &mut Reconciled) -> Result<(), CacheError> {
        let exclusive = self.holds.coming(id);
        let row = self.index.object(id)?;
        match (self.disk.at_place(id)?, row) {
            // Evicted since it was listed.
            (AtPlace::Nothing, _) => {}
            (AtPlace::File(size), None) => {
                let info = ObjectInfo {
                    id: *id,
                    size,
                    last_use: self.tick(),
                    pinned: self.pins.is_pinned(id)?,
                };
                self.index.add_object(&info, None)?;
                report.found.push(*id);
                report.objects += 1;
            }
            (AtPlace::File(size), Some(info)) if size == info.size => report.objects += 1,
            (AtPlace::File(_) | AtPlace::Stranger, _) => {
                if let Some(set_aside) = self.set_aside_object(id, &exclusive)? {
                    report.damaged.push(Damaged {
                        id: *id,
                        set_aside,
                        actual: None,
                    });
                }
            }
        }
        Ok(())
    }

    /// What lies in `objects/` itself and is not one of its folders.
    fn find_strangers(&self, report: &mut Reconciled) -> Result<(), CacheError> {
        for (path, name, _) in list(&self.disk.folder("objects"))? {
            let shard = name
                .as_ref()
                .filter(|name| name.len() == 2)
                .and_then(|name| u8::from_str_radix(name, 16).ok());
            let is_ours = shard.is_some_and(|first| self.disk.shard(first) == path)
                && fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
            if !is_ours {
                report.strangers.push(path);
            }
        }
        Ok(())
    }

    fn reconcile_partials(&self, report: &mut Reconciled) -> Result<(), CacheError> {
        let rows = self.index.partials()?;
        let mut names: BTreeSet<[u8; 32]> = rows.iter().map(|(name, ..)| *name).collect();
        for (path, name, is_file) in list(&self.disk.folder("partial"))? {
            let stem = name.as_deref().and_then(|name| {
                name.strip_suffix(".data")
                    .or_else(|| name.strip_suffix(".map"))
            });
            match stem.and_then(from_hex) {
                Some(name) if is_file => _ = names.insert(name),
                _ => report.strangers.push(path),
            }
        }
        for name in names {
            // Somebody fills, resumes or drops it: then it is in order, and in the ledger by its reservation.
            let Some(_claim) = self.registry.try_claim(&name) else {
                continue;
            };
            let row = self.index.partial(&name)?;
            let map = self.load_partial(&name)?;
            match (map, row) {
                (Some(map), Some(size)) if map.size == size => {}
                (Some(map), None) => {
                    self.index.add_partial((name, map.size, self.tick()))?;
                    self.index.ledger.change(|account| {
                        account.dormant = account.dormant.saturating_add(map.size)
                    });
                }
                (_, row) => {
                    self.remove_partial_files(&name)?;
                    self.index.remove_partial(&name)?;
                    let size = row.unwrap_or(0);
                    self.index
                        .ledger
                        .change(|account| account.dormant = account.dormant.saturating_sub(size));
                    report.bytes_released += size;
                    report.partials_removed += 1;
                }
            }
        }
        Ok(())
    }

    /// The map of a partial object that nobody fills, if its data are there too.
    pub(crate) fn load_partial(&self, name: &[u8; 32]) -> Result<Option<PartialMap>, CacheError> {
        let path = self.disk.partial_map(name);
        let Some(map) = partial_map::load(&path)? else {
            return Ok(None);
        };
        let data = self.disk.partial_data(name);
        match fs::symlink_metadata(&data) {
            Ok(meta) if meta.is_file() && meta.len() == map.size => Ok(Some(map)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("look at", &data),
        }
    }

    pub(crate) fn remove_partial_files(&self, name: &[u8; 32]) -> Result<(), CacheError> {
        for path in [self.disk.partial_data(name), self.disk.partial_map(name)] {
            // A folder in place of a file is nothing that we made; it must not be in our way for ever.
            if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                self.disk.set_aside(&path, "partial")?;
            } else {
                self.remove_open_file(&path)?;
            }
        }
        Ok(())
    }

    /// Before a count in doubt: dormant is what the index has, less what is being filled. What is between the two just
    /// now counts here, so that the sum is never too small.
    fn reset_dormant(&self) -> Result<(), CacheError> {
        let rows = self.index.partials()?;
        let dormant = rows
            .iter()
            .filter(|(name, ..)| !self.registry.is_live(name))
            .map(|(_, size, _)| size)
            .sum();
        self.index
            .ledger
            .change(|account| account.dormant = dormant);
        Ok(())
    }

    fn recount_damaged(&self) -> Result<(), CacheError> {
        let _upkeep = self.upkeep.lock();
        let sum = regular_files(&self.disk.folder("damaged"))?
            .iter()
            .map(|(_, size)| size)
            .sum();
        self.index.change_damaged(|_| sum)
    }
}

/// What a folder holds: path, name if it is text, and whether it is a regular file.
fn list(folder: &Path) -> Result<Vec<(PathBuf, Option<String>, bool)>, CacheError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        let entry = entry.at("list", folder)?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        entries.push((
            entry.path(),
            entry.file_name().to_str().map(str::to_owned),
            is_file,
        ));
    }
    Ok(entries)
}

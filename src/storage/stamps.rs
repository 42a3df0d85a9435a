//! Proof of where a source is: taken before its storage is looked at and compared afterwards, so that nothing is believed of
//! what hangs at its path instead. By the system's tables of that moment; no storage is touched.

use std::path::Path;
use std::sync::Arc;

use mediafs_platform::volume::{Classifier, MountTable};

use super::mount_key::MountKey;
use super::sources::{Asked, Sources, is_seen, sort};
use crate::model::{SourceKind, SourceNo};

/// Proof that a source is still what it was when this was taken: compared before absence is believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(MountKey);

impl Sources {
    /// Proof that a source is where it is, taken from the system's table of this moment.
    pub(crate) fn stamp(self: &Arc<Self>, source: SourceNo) -> Option<Stamp> {
        self.stamp_now(source).map(|(stamp, _)| stamp)
    }

    /// As [`Sources::stamp`], where what is at `path` is the source's: nothing else is mounted over it, nor the source
    /// elsewhere by now.
    pub(crate) fn stamp_over(self: &Arc<Self>, source: SourceNo, path: &Path) -> Option<Stamp> {
        let (stamp, table) = self.stamp_now(source)?;
        let holds = table.holding(path).is_some_and(|at| at.id == stamp.0.id);
        (holds || self.is_in_cloud(source, path)).then_some(stamp)
    }

    /// A cloud is all that its folder shows, on whatever mounts.
    fn is_in_cloud(&self, source: SourceNo, path: &Path) -> bool {
        let row = self
            .catalog
            .reader()
            .and_then(|reader| reader.source(source));
        row.ok()
            .flatten()
            .is_some_and(|row| row.kind == SourceKind::Cloud && path.starts_with(&row.path))
    }

    /// Whether something that is known to be no part of the source is mounted where `path` is. What has not said yet what
    /// it is may be the source.
    pub(crate) fn is_another(self: &Arc<Self>, source: SourceNo, path: &Path) -> bool {
        if self.stamp_over(source, path).is_some() {
            return false;
        }
        let (Ok(table), Ok(classifier)) =
            (MountTable::read(), Classifier::read(self.declared.clone()))
        else {
            return false;
        };
        let Some(entry) = table.holding(path) else {
            return false;
        };
        match sort(&classifier, entry) {
            None => false,
            Some(SourceKind::Volume) => {
                let known = self.known.lock();
                let asked = known.disks.get(&MountKey::of(entry));
                asked.and_then(Asked::disk).is_some()
            }
            Some(_) => true,
        }
    }

    fn stamp_now(self: &Arc<Self>, source: SourceNo) -> Option<(Stamp, MountTable)> {
        let table = MountTable::read().ok()?;
        let stamp = self.stamp_in(&table, source).or_else(|| {
            // Who is told of changes may not have looked yet.
            self.look_at(&table);
            self.stamp_in(&table, source)
        });
        Some((stamp?, table))
    }

    fn stamp_in(&self, table: &MountTable, source: SourceNo) -> Option<Stamp> {
        let key = {
            let known = self.known.lock();
            let key = known.mounted.get(&source).cloned()?;
            if known.ejected.get(&source) == Some(&key) {
                return None;
            }
            key
        };
        let entry = table.by_id(key.id)?;
        (MountKey::of(entry) == key && is_seen(table, entry)).then_some(Stamp(key))
    }
}

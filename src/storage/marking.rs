//! Marks on volumes: a courier writes one, and the volume is known by it from then on.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mediafs_platform::volume::{Classifier, MountTable};

use super::matching::recorded;
use super::message::{Question, Reply};
use super::mount_key::MountKey;
use super::outside::Outside;
use super::source_key::SourceKey;
use super::sources::{Asked, Disk, SourceError, is_ours, is_seen, sort};
use crate::catalog::Durability;
use crate::model::SourceKind;

/// Why a volume gets no mark.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MarkError {
    /// Nothing is mounted there.
    #[error("nothing is mounted at {}", .0.display())]
    NotMounted(PathBuf),
    /// It is trusted storage.
    #[error("{} is a disk of this computer itself, which is never taken for another", .0.display())]
    Trusted(PathBuf),
    /// It is none of those that have one.
    #[error("{} is a share or another program's file system, which is known by its address", .0.display())]
    NoDisk(PathBuf),
    /// The disk says no, or nothing.
    #[error("{} cannot be marked: {why}", .point.display())]
    Disk {
        /// Where it is mounted.
        point: PathBuf,
        /// The reason.
        why: String,
    },
    /// The mounts or the catalog fail.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Outside {
    /// Puts a mark on the volume that is mounted at `point`, unless it has one. Waits for the disk.
    ///
    /// # Errors
    /// [`MarkError`].
    pub(crate) fn mark(&self, point: &Path) -> Result<(), MarkError> {
        let sources = &self.sources;
        let table = MountTable::read().map_err(SourceError::Mounts)?;
        sources.look_at(&table);
        let entry = table
            .at(point)
            .filter(|entry| entry.mount_point == point && !is_ours(entry) && is_seen(&table, entry))
            .ok_or_else(|| MarkError::NotMounted(point.to_owned()))?;
        let classifier = Classifier::read(sources.declared.clone()).map_err(SourceError::Mounts)?;
        match sort(&classifier, entry) {
            Some(SourceKind::Volume) => {}
            Some(_) => return Err(MarkError::NoDisk(point.to_owned())),
            None => return Err(MarkError::Trusted(point.to_owned())),
        }
        let question = Question::Mark {
            mount: entry.id.0,
            point: point.into(),
            mark: uuid::Uuid::now_v7().to_string(),
        };
        let refused = |why: String| MarkError::Disk {
            point: point.to_owned(),
            why,
        };
        let source = SourceKey::at(point.to_owned());
        let (reply, _) = self
            .couriers
            .ask(&source, &question, &AtomicBool::new(false))
            .map_err(|error| refused(error.to_string()))?;
        let disk = match reply {
            Reply::Identified { identity, label } => Disk {
                identity: identity
                    .parse()
                    .map_err(|error| refused(format!("{error}")))?,
                label,
            },
            Reply::Failed(why) | Reply::Unreachable(why) => return Err(refused(why)),
            _ => return Err(refused("it is gone".to_owned())),
        };
        let key = MountKey::of(entry);
        let identity = recorded(&disk.identity, entry);
        let source = {
            let mut known = sources.known.lock();
            known.disks.insert(key.clone(), Asked::Disk(disk));
            let mut mounted = known.mounted.iter();
            mounted.find(|(_, at)| **at == key).map(|(row, _)| *row)
        };
        if let Some(source) = source {
            sources
                .catalog
                .write(Durability::Full, |writer| {
                    writer.identify_source(source, &identity)
                })
                .map_err(SourceError::Catalog)?;
        }
        sources.look();
        Ok(())
    }
}

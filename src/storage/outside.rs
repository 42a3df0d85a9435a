//! Storage that is not trusted, as one process knows it: its sources, and their couriers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mediafs_platform::volume::{DeclaredTrusted, MountEntry, VolumeIdentity};

use super::couriers::Couriers;
use super::leaving::Leaving;
use super::message::{Question, Reply};
use super::source_key::SourceKey;
use super::sources::{SourceError, Sources};
use crate::catalog::Catalog;
use crate::config::CloudConfig;

/// Sources and couriers. Clones are the same.
#[derive(Clone)]
pub struct Outside {
    pub(crate) couriers: Arc<Couriers>,
    pub(crate) sources: Arc<Sources>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

impl Outside {
    /// Of this process. `courier_program` is what couriers are, this program where it is `None`; `clouds` are folders that
    /// the user has named. Nothing is looked at before it is needed, or it is told to watch.
    #[must_use]
    pub fn new(
        catalog: Arc<Catalog>,
        trusted: DeclaredTrusted,
        clouds: Vec<CloudConfig>,
        courier_program: Option<PathBuf>,
    ) -> Self {
        let couriers = Arc::new(match courier_program {
            Some(program) => Couriers::of_program(program),
            None => Couriers::default(),
        });
        let asked = Arc::clone(&couriers);
        let identify = Box::new(move |entry: &MountEntry| identify(&asked, entry));
        let renewed = Arc::clone(&couriers);
        let renew = Box::new(move |point: &Path| renewed.renew(&SourceKey::at(point.to_owned())));
        let sources = Sources::new(catalog, trusted, clouds, identify, renew);
        hear_of_changes(&couriers, &sources);
        Self { couriers, sources }
    }

    /// Knows from now on when sources come and go, and lets go of those that are to be unmounted, where the system says so.
    ///
    /// # Errors
    /// When the system tells nothing of its mounts.
    pub(crate) fn watch(&self) -> Result<(), SourceError> {
        let leaving = Leaving::new(&self.sources, &self.couriers);
        self.sources
            .start(move |point, what| leaving.told(point, what))
    }

    /// Looks once at which sources are there, for a while at those that have to be asked what they are.
    pub(crate) fn look(&self) {
        self.sources.look_once();
    }

    /// Looks at nothing any more.
    pub(crate) fn stop(&self) {
        self.sources.stop();
    }
}

/// From now on it is known which sources are suspended.
fn hear_of_changes(couriers: &Arc<Couriers>, sources: &Arc<Sources>) {
    let (asked, told) = (Arc::downgrade(couriers), Arc::downgrade(sources));
    couriers.on_change(move |source, _| {
        if let (Some(couriers), Some(sources)) = (asked.upgrade(), told.upgrade()) {
            sources.heard_of(source.root(), || couriers.is_suspended(source));
        }
    });
}

/// Asks a courier what the disk of a mount is.
fn identify(couriers: &Couriers, entry: &MountEntry) -> Option<(VolumeIdentity, Option<String>)> {
    let source = SourceKey::at(entry.mount_point.clone());
    let question = Question::Identify {
        mount: entry.id.0,
        point: entry.mount_point.as_path().into(),
    };
    match couriers.ask(&source, &question, &AtomicBool::new(false)) {
        Ok((Reply::Identified { identity, label }, _)) => match identity.parse() {
            Ok(identity) => Some((identity, label)),
            Err(error) => {
                tracing::warn!(%error, "a disk has an odd identity");
                None
            }
        },
        Ok((Reply::Failed(why), _)) => {
            tracing::warn!(point = %entry.mount_point.display(), why, "a disk does not tell what it is");
            None
        }
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(point = %entry.mount_point.display(), %error, "a disk could not be asked what it is");
            None
        }
    }
}

// Only Unix has programs for what is in a courier's place here.
#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Barrier;

    use mediafs_platform::volume::MountTable;

    use super::super::courier::{Courier, CourierError};
    use super::super::sources::tests::sources_of;
    use super::super::standing::SourceChange;
    use super::*;
    use crate::catalog::{Durability, Nanoseconds, NewSource};
    use crate::model::{SourceKind, SourceState};

    #[test]
    fn a_source_that_answers_again_while_it_is_told_that_it_did_not_is_online() {
        let home = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(home.path()).unwrap();
        let couriers = Arc::new(Couriers::of_program(PathBuf::from("/bin/grep")));
        let sources = sources_of(&catalog);
        let point = PathBuf::from("/media/red");
        let new = NewSource {
            kind: SourceKind::Volume,
            identity: "red".to_owned(),
            name: "red".to_owned(),
            provider: None,
            path: point.clone(),
        };
        let row = catalog
            .write(Durability::Normal, |writer| {
                writer.add_source(&new, Nanoseconds(0))
            })
            .unwrap();
        let table = MountTable::read().unwrap();
        let entry = MountEntry {
            mount_point: point.clone(),
            ..table.entries().first().unwrap().clone()
        };
        sources.found(&row, Some(&entry)).unwrap();

        // Who hears first that it is suspended waits until it has answered, and that is known.
        let barrier = Arc::new(Barrier::new(2));
        let held = Arc::clone(&barrier);
        couriers.on_change(move |_, change| {
            if change == SourceChange::Suspended {
                held.wait();
                held.wait();
            }
        });
        hear_of_changes(&couriers, &sources);
        let key = SourceKey::at(point);
        let asked = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let answers = couriers.with(&key, |_: &Courier| {
                    asked.wait();
                    barrier.wait();
                    Ok(())
                });
                answers.unwrap();
                barrier.wait();
            });
            asked.wait();
            let silent = |_: &Courier| Err::<(), _>(CourierError::Silent);
            assert!(couriers.with(&key, silent).is_err());
        });
        assert!(!couriers.is_suspended(&key));
        assert_eq!(catalog.source_state(row.row), SourceState::Online);
        sources.heard_of(key.root(), || true);
        assert_eq!(catalog.source_state(row.row), SourceState::Suspended);
    }
}

//! Tests of the catalog's rules through its public face, on real files.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alternatives;
mod files;
mod history;
mod identity;
mod labels;
mod lists;
mod model;
mod moves;
mod projects;
mod sources;
mod takes;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use crate::model::{Codec, Container, Format, Kind, MediaId, Origin, ProjectId};
use crate::silence::Capsule;

/// As Unix writes it, so that what is expected is the same on every system.
pub(super) fn with_slashes(path: String) -> String {
    if cfg!(windows) {
        path.replace('\\', "/")
    } else {
        path
    }
}

/// A home with an open catalog and one library root, and everything its listeners were told.
pub(super) struct Bench {
    pub(super) home: TempDir,
    pub(super) catalog: Arc<Catalog>,
    pub(super) library: BaseRow,
    told: Arc<Mutex<Vec<Change>>>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let home = TempDir::new().unwrap();
        let catalog = Catalog::open(home.path()).unwrap();
        let library = write(&catalog, |w| {
            w.add_library("Samples", Path::new("/srv/samples"))
        });
        let told = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&told);
        catalog.listen(Box::new(move |changes| {
            ear.lock().extend_from_slice(changes)
        }));
        Self {
            home,
            catalog,
            library,
            told,
        }
    }

    pub(super) fn reader(&self) -> Reader {
        self.catalog.reader().unwrap()
    }

    pub(super) fn write<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T>) -> T {
        write(&self.catalog, work)
    }

    /// What was told since the last call.
    pub(super) fn told(&self) -> Vec<Change> {
        std::mem::take(&mut self.told.lock())
    }

    pub(super) fn top(&self) -> FolderNo {
        self.library.top
    }

    /// A file of the library is seen.
    pub(super) fn see(&self, name: &str, evidence: Evidence) -> Observed {
        self.write(|w| w.observe(self.top(), OsStr::new(name), &file(evidence)))
    }

    /// A file of the library is seen and probed as a sound.
    pub(super) fn sound(&self, name: &str, evidence: Evidence) -> (PlaceNo, ItemNo) {
        let place = place_of(self.see(name, evidence));
        (place, self.probe(place, &sound_record()).unwrap())
    }

    /// A place is probed in its present generation.
    pub(super) fn probe(&self, place: PlaceNo, record: &ProbeRecord) -> Option<ItemNo> {
        self.write(|w| {
            let generation = w.reader().place(place)?.unwrap().generation;
            w.record_probe(place, generation, record)
        })
    }

    pub(super) fn gone(&self, place: PlaceNo) {
        self.write(|w| w.place_gone(place));
    }

    pub(super) fn item(&self, item: ItemNo) -> ItemRow {
        self.reader().item(item).unwrap().unwrap()
    }

    pub(super) fn place(&self, place: PlaceNo) -> PlaceRow {
        self.reader().place(place).unwrap().unwrap()
    }

    pub(super) fn project(&self, name: &str) -> BaseRow {
        self.write(|w| {
            w.add_project(
                &ProjectId::new(),
                name,
                &Path::new("/srv/projects").join(name),
            )
        })
    }

    /// A sound of a project's own folder becomes its item.
    pub(super) fn take(&self, project: &BaseRow, file_name: &str, name: &str, id: &str) -> ItemNo {
        self.write(|w| {
            let seen = file(evidence(1000));
            let place = place_of(w.observe(project.top, OsStr::new(file_name), &seen)?);
            let generation = w.reader().place(place)?.unwrap().generation;
            w.record_probe(place, generation, &sound_record())?;
            w.add_item(&new_item(id, Some(project.row), name, place))
        })
    }
}

pub(super) fn write<T>(catalog: &Catalog, work: impl FnOnce(&mut Writer) -> Result<T>) -> T {
    catalog.write(Durability::Normal, work).unwrap()
}

pub(super) fn new_item(id: &str, project: Option<BaseNo>, name: &str, place: PlaceNo) -> NewItem {
    NewItem {
        media_id: id.parse::<MediaId>().unwrap(),
        project,
        name: name.to_owned(),
        origin: Origin::Imported,
        place,
        blake3: None,
    }
}

pub(super) fn place_of(observed: Observed) -> PlaceNo {
    match observed {
        Observed::New(place)
        | Observed::Unchanged(place)
        | Observed::Changed(place)
        | Observed::Returned(place) => place,
    }
}

/// Evidence of a file of so many bytes; its inode follows from the size, so that other sizes are other files.
pub(super) fn evidence(size: u64) -> Evidence {
    Evidence {
        device: 7,
        inode: 100_000 + size,
        size,
        modified: Nanoseconds(1_700_000_000_000_000_000),
        changed: Nanoseconds(1_700_000_000_000_000_001),
        born: Some(Nanoseconds(1_600_000_000_000_000_000)),
        permissions: 0o644,
    }
}

pub(super) fn file(evidence: Evidence) -> Observation {
    Observation {
        kind: PlaceKind::File,
        evidence,
    }
}

pub(super) fn format() -> Format {
    Format {
        container: Container::Wav,
        codec: Some(Codec("pcm_s16le".to_owned())),
        sample_rate: Some(44_100),
        channels: Some(2),
        bit_depth: Some(16),
        float: false,
        frames: Some(12_345),
        duration_seconds: Some(0.28),
    }
}

pub(super) fn record_with(format: Format, capsule: Option<&[u8]>) -> ProbeRecord {
    ProbeRecord::Media {
        kind: Kind::Audio,
        format,
        attributes: Vec::new(),
        notes: Vec::new(),
        capsule: capsule.map(|bytes| Capsule {
            bytes: bytes.to_vec(),
        }),
        fingerprint: [9; 32],
    }
}

pub(super) fn sound_record() -> ProbeRecord {
    record_with(format(), Some(b"what silence is made from"))
}

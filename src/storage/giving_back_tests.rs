//! Which files are given back.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use mediafs_platform::volume::DeclaredTrusted;

use super::super::outside::Outside;
use super::*;
use crate::catalog::{
    Catalog, Durability, Evidence, Nanoseconds, NewSource, Observation, PlaceKind,
};
use crate::model::{SourceKind, SourceNo, SourceState};

struct Bench {
    catalog: Arc<Catalog>,
    fetch: CourierFetch,
    source: SourceNo,
    top: crate::catalog::FolderNo,
    _home: tempfile::TempDir,
}

fn evidence(size: u64) -> Evidence {
    Evidence {
        device: 1,
        inode: 2,
        size,
        modified: Nanoseconds(3),
        changed: Nanoseconds(4),
        born: None,
        permissions: 0o644,
    }
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(home.path()).unwrap();
        let (source, top) = catalog
            .write(Durability::Full, |writer| {
                let new = NewSource {
                    kind: SourceKind::Cloud,
                    identity: "cloud".to_owned(),
                    name: "cloud".to_owned(),
                    provider: None,
                    path: "/cloud".into(),
                };
                let source = writer.add_source(&new, Nanoseconds(0))?.row;
                let base = writer.add_library("cloud", Path::new("/cloud"))?;
                writer.set_base_source(base.row, Some((source, Path::new(""))))?;
                Ok::<_, crate::catalog::CatalogError>((source, base.top))
            })
            .unwrap();
        catalog.set_source_state(source, SourceState::Online);
        let outside = Outside::new(
            Arc::clone(&catalog),
            DeclaredTrusted::default(),
            Vec::new(),
            None,
        );
        Self {
            fetch: CourierFetch::new(Arc::clone(&catalog), outside),
            catalog,
            source,
            top,
            _home: home,
        }
    }

    /// The file is seen on its source; what is to be brought of it then.
    fn seen(&self, size: u64) -> Wanted {
        let place = self
            .catalog
            .write(Durability::Full, |writer| {
                let seen = Observation {
                    kind: PlaceKind::File,
                    evidence: evidence(size),
                };
                let name = OsStr::new("kick.wav");
                let observed = writer.observe(self.top, name, &seen)?;
                Ok::<_, crate::catalog::CatalogError>(observed.to_probe().unwrap())
            })
            .unwrap();
        let reader = self.catalog.reader().unwrap();
        let row = reader.place(place).unwrap().unwrap();
        Wanted::of(&reader, &row).unwrap().unwrap()
    }

    fn asked(&self, wanted: &Wanted) -> Option<Question> {
        let asked = self.fetch.to_be_given_back(wanted);
        asked.map(|(_, question)| question)
    }
}

#[test]
fn what_was_fetched_for_us_is_given_back_once() {
    let bench = Bench::new();
    let wanted = bench.seen(10);
    assert_eq!(bench.asked(&wanted), None, "it was on the disk before");
    assert!(!bench.fetch.gives_back(&wanted));
    bench.fetch.fetched.note(&wanted);
    assert!(bench.fetch.gives_back(&wanted));
    // Several reads of it had to wait.
    bench.fetch.fetched.note(&wanted);
    let question = Question::GiveBack {
        file: Path::new("/cloud").join("kick.wav").as_path().into(),
        evidence: evidence(10).into(),
    };
    assert_eq!(bench.asked(&wanted), Some(question));
    assert_eq!(bench.asked(&wanted), None);
    assert!(!bench.fetch.gives_back(&wanted));
}

#[test]
fn what_is_another_file_by_now_or_cannot_be_reached_is_not() {
    let bench = Bench::new();
    let wanted = bench.seen(10);
    bench.fetch.fetched.note(&wanted);
    let changed = bench.seen(11);
    assert_eq!(bench.asked(&wanted), None);
    bench.fetch.fetched.note(&changed);
    bench
        .catalog
        .set_source_state(bench.source, SourceState::Absent);
    assert_eq!(bench.asked(&changed), None);
}

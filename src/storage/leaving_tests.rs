//! What becomes of couriers and sources when the system wants to unmount what they are on.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mediafs_platform::volume::{MountEntry, MountTable};

use super::super::courier::CourierError;
use super::super::message::Question;
use super::super::source_key::SourceKey;
use super::super::sources::tests::sources_of;
use super::*;
use crate::catalog::{Catalog, Durability, NewSource};
use crate::model::{SourceKind, SourceState};

/// In a courier's place: reads all that it is asked, says nothing, and ends with whoever asks.
const NEVER_ANSWERS: &str = "/bin/grep";
const POINT: &str = "/media/red";

struct Bench {
    catalog: Arc<Catalog>,
    sources: Arc<Sources>,
    couriers: Arc<Couriers>,
    leaving: Arc<Leaving>,
    /// On `POINT`.
    red: SourceNo,
    entry: MountEntry,
    _home: tempfile::TempDir,
}

impl Bench {
    fn new(going: Duration) -> Self {
        let home = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(home.path()).unwrap();
        let couriers = Arc::new(Couriers::of_program(PathBuf::from(NEVER_ANSWERS)));
        let sources = sources_of(&catalog);
        let new = NewSource {
            kind: SourceKind::Volume,
            identity: "red".to_owned(),
            name: "red".to_owned(),
            provider: None,
            path: POINT.into(),
        };
        let row = catalog
            .write(Durability::Normal, |w| {
                w.add_source(&new, crate::catalog::Nanoseconds(0))
            })
            .unwrap();
        let table = MountTable::read().unwrap();
        let entry = MountEntry {
            mount_point: POINT.into(),
            ..table.entries().first().unwrap().clone()
        };
        sources.found(&row, Some(&entry)).unwrap();
        let leaving = Leaving::within(going, &sources, &couriers);
        let red = row.row;
        assert_eq!(catalog.source_state(red), SourceState::Online);
        Self {
            catalog,
            sources,
            couriers,
            leaving,
            red,
            entry,
            _home: home,
        }
    }

    /// Whether the courier of what hangs at `root` is sent when it is to look.
    fn is_asked(&self, root: &str) -> bool {
        let source = SourceKey::at(PathBuf::from(root));
        let question = Question::Look(Path::new("/nothing").into());
        let asked = self
            .couriers
            .ask(&source, &question, &AtomicBool::new(true));
        match asked {
            Err(CourierError::Cancelled) => true,
            Err(CourierError::Released) => false,
            other => panic!("{other:?}"),
        }
    }

    fn state(&self) -> SourceState {
        self.catalog.source_state(self.red)
    }
}

const LONG: Duration = Duration::from_secs(3600);
const BELOW: &str = "/media/red/cloud";

#[test]
fn all_on_it_is_let_go_of_and_nothing_else() {
    let bench = Bench::new(LONG);
    for root in [POINT, BELOW, "/media/reddish"] {
        assert!(bench.is_asked(root), "{root}");
    }
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let source = SourceKey::at(PathBuf::from(BELOW));
            let question = Question::Look(Path::new("/nothing").into());
            let asked = bench
                .couriers
                .ask(&source, &question, &AtomicBool::new(false));
            (asked.map(drop), Instant::now())
        });
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        bench
            .leaving
            .told(Path::new(POINT), volume::Leaving::Wanted);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        waiting.join().unwrap()
    });
    assert!(matches!(waiting.0, Err(CourierError::Released)));
    assert_eq!(bench.state(), SourceState::Ejected);
    assert!(!bench.is_asked(POINT) && !bench.is_asked(BELOW));
    assert!(bench.is_asked("/media/reddish"));
}

#[test]
fn nobody_is_sent_to_what_was_never_asked() {
    let bench = Bench::new(LONG);
    bench
        .leaving
        .told(Path::new(POINT), volume::Leaving::Wanted);
    assert!(!bench.is_asked(POINT));
}

#[test]
fn what_stays_is_taken_up_again() {
    let bench = Bench::new(LONG);
    assert!(bench.is_asked(BELOW));
    let point = Path::new(POINT);
    bench.leaving.told(point, volume::Leaving::Wanted);
    bench.leaving.told(point, volume::Leaving::Refused);
    assert_eq!(bench.state(), SourceState::Online);
    assert!(bench.is_asked(POINT) && bench.is_asked(BELOW));
    // A word about nothing.
    bench.leaving.told(point, volume::Leaving::Refused);
    assert!(bench.is_asked(POINT));
}

#[test]
fn what_the_user_ejects_meanwhile_is_not_taken_up() {
    let bench = Bench::new(LONG);
    let point = Path::new(POINT);
    bench.leaving.told(point, volume::Leaving::Wanted);
    assert!(bench.sources.eject(bench.red));
    bench.couriers.let_go(&SourceKey::at(POINT.into()));
    bench.leaving.told(point, volume::Leaving::Refused);
    assert_eq!(bench.state(), SourceState::Ejected);
    assert!(!bench.is_asked(POINT));
}

#[test]
fn what_is_still_there_after_a_while_is_taken_up_though_nobody_says_so() {
    let going = Duration::from_millis(600);
    let bench = Bench::new(going);
    let point = Path::new(POINT);
    bench.leaving.told(point, volume::Leaving::Wanted);
    std::thread::sleep(going * 2 / 3);
    // Somebody tries again: the first time counts no more.
    bench.leaving.told(point, volume::Leaving::Wanted);
    std::thread::sleep(going * 2 / 3);
    assert_eq!(bench.state(), SourceState::Ejected);
    let since = Instant::now();
    while bench.state() != SourceState::Online {
        assert!(since.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(bench.is_asked(POINT));
}

#[test]
fn what_is_mounted_anew_is_there_at_once() {
    let bench = Bench::new(LONG);
    bench
        .leaving
        .told(Path::new(POINT), volume::Leaving::Wanted);
    let row = bench.catalog.reader().unwrap().source(bench.red);
    let row = row.unwrap().unwrap();
    bench.sources.found(&row, None).unwrap();
    assert_eq!(bench.state(), SourceState::Absent);
    let anew = MountEntry {
        id: volume::MountId(bench.entry.id.0 + 1_000_000),
        ..bench.entry.clone()
    };
    bench.sources.found(&row, Some(&anew)).unwrap();
    bench.couriers.renew(&SourceKey::at(POINT.into()));
    assert_eq!(bench.state(), SourceState::Online);
    assert!(bench.is_asked(POINT));
}

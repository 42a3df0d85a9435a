//! Sources that fail or tell lies, a cache that is full, and the end of all.

use std::time::Instant;

use super::*;

fn failed(reason: &str, transient: bool) -> Way {
    Way::Fail(FetchError::Failed {
        reason: reason.to_owned(),
        transient,
    })
}

#[tokio::test]
async fn what_may_pass_is_tried_again_ever_later() {
    let house = House::with(
        Limits {
            reads: 1,
            ..Limits::default()
        },
        1 << 30,
    );
    house.fake.source(USB, failed("a cable is loose", true));
    let id = house.hydrator.ask(&wanted(1, USB, MIB), Why::ByHand);
    let mut pauses = Vec::new();
    for tries in 1..8 {
        house
            .wants("a try", |h| {
                let phase = h.hydrator.task(id).unwrap().phase;
                h.fake.log().len() == tries && matches!(phase, TaskPhase::Retrying { .. })
            })
            .await;
        let TaskPhase::Retrying {
            again_in: Some(again_in),
            why,
        } = house.hydrator.task(id).unwrap().phase
        else {
            panic!("it is tried again");
        };
        assert_eq!(why.to_string(), "the file can't be read: a cable is loose");
        house.clock.advance(again_in - Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(house.fake.log().len(), tries, "not before its time");
        house.clock.advance(Duration::from_millis(1));
        pauses.push(again_in);
    }
    assert!(
        pauses.windows(2).all(|pair| pair[0] < pair[1]),
        "{pauses:?}"
    );
    assert!(pauses[0] < Duration::from_secs(1) && pauses[6] > Duration::from_secs(20));
    // The eighth try was the last.
    let reason = HydrateError::Failed {
        reason: "a cable is loose".to_owned(),
    };
    assert_eq!(
        house.outcome(id).await,
        TaskPhase::Failed {
            reason: reason.clone()
        }
    );
    assert_eq!(house.fake.log().len(), 8);
    house
        .wants("telling", |h| !h.heard.failed.lock().is_empty())
        .await;
    assert_eq!(*house.heard.failed.lock(), [(wanted(1, USB, MIB), reason)]);
    house.ends_clean();
}

#[tokio::test]
async fn a_task_that_waits_for_its_next_try_is_tried_at_once_when_asked_for_again() {
    let house = House::new();
    house.fake.source(USB, failed("a cable is loose", true));
    let item = wanted(1, USB, MIB);
    let stream = house.stream(&item);
    let waiting = stream.wait(0..MIB, Priority::Copier);
    house
        .wants("a pause", |h| {
            let phase = h.hydrator.task(stream.task()).unwrap().phase;
            matches!(phase, TaskPhase::Retrying { .. })
        })
        .await;
    house.fake.source(USB, Way::Well);
    house.hydrator.ask(&item, Why::ByHand);
    assert_eq!(soon(waiting).await, Arrival::Arrived);
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn what_can_not_pass_ends_a_task() {
    let house = House::new();
    for (place, way, reason) in [
        (1, Way::Short(MIB - 1), HydrateError::Changed),
        (2, Way::Short(0), HydrateError::Changed),
        (3, Way::Fail(FetchError::Changed), HydrateError::Changed),
        (4, Way::Fail(FetchError::Gone), HydrateError::Gone),
        (
            5,
            failed("no such sector", false),
            HydrateError::Failed {
                reason: "no such sector".to_owned(),
            },
        ),
        (
            6,
            Way::Panic,
            HydrateError::Failed {
                reason: "the reader failed".to_owned(),
            },
        ),
    ] {
        house.fake.place(place, way);
        let stream = house.stream(&wanted(place, USB, MIB));
        let waiting = stream.wait(0..MIB, Priority::Copier);
        assert_eq!(soon(waiting).await, Arrival::Ended(reason.clone()));
        assert_eq!(
            house.outcome(stream.task()).await,
            TaskPhase::Failed { reason }
        );
    }
    // Of a file that is another one nothing is kept.
    house
        .wants("letting go", |h| {
            let places = h.store.dormant_partials().unwrap();
            let mut places = places.iter().filter_map(Wanted::of_spec);
            places.all(|wanted| wanted.place.0 > 4) && h.reserved() <= 2 * MIB
        })
        .await;
    house.ends_clean();
}

#[tokio::test]
async fn wrong_bytes_are_thrown_away_and_told() {
    let house = House::new();
    house.fake.source(USB, Way::Lie);
    let mut item = wanted(1, USB, MIB);
    let expected = ObjectHash(*true_object(&item).as_bytes());
    item.expected = Some(expected);
    let stream = house.stream(&item);
    let phase = house.outcome(stream.task()).await;
    let TaskPhase::Failed { reason } = phase else {
        panic!("{phase:?}");
    };
    assert!(
        matches!(&reason, HydrateError::WrongBytes { expected: e, actual } if *e == expected && actual != e)
    );
    assert_eq!(
        at_once(stream.wait(0..10, Priority::Player)),
        Some(Arrival::Ended(reason.clone()))
    );
    assert_eq!(read(&stream, 0..10), None);
    house
        .wants("telling", |h| !h.heard.failed.lock().is_empty())
        .await;
    assert_eq!(*house.heard.failed.lock(), [(item.clone(), reason)]);
    assert_eq!(house.store.usage().unwrap().used(), 0);
    drop(stream);
    // Later it tells the truth.
    house.fake.source(USB, Way::Well);
    let id = house.hydrator.ask(&item, Why::ByHand);
    assert_eq!(
        house.outcome(id).await,
        TaskPhase::Done { object: expected }
    );
    house.ends_clean();
}

#[tokio::test]
async fn a_full_cache_is_said_and_what_is_wanted_is_tried_when_asked_for_again() {
    let house = House::with(Limits::default(), 2 * MIB);
    house.fake.source(CLOUD, Way::Hang);
    let holder = house.stream(&wanted(1, CLOUD, MIB + 1));
    house.wants("the first", |h| h.reserved() == MIB + 1).await;
    let item = wanted(2, USB, MIB);
    let stream = house.stream(&item);
    let Arrival::Ended(why) = soon(stream.wait(0..10, Priority::Copier)).await else {
        panic!("there is no room");
    };
    assert!(matches!(&why, HydrateError::Full { .. }));
    let text = why.to_string();
    assert!(text.starts_with("the cache is full: "), "{text}");
    assert!(text.contains("raise the cache's quota"), "{text}");
    assert_eq!(
        house.outcome(stream.task()).await,
        TaskPhase::Failed { reason: why }
    );
    house.hydrator.cancel(holder.task());
    drop(holder);
    house.wants("room", |h| h.reserved() == 0).await;
    house.clock.advance(Duration::from_secs(3600));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(house.fake.reads_of(2), []);
    let id = house.hydrator.ask(&item, Why::ByHand);
    assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn a_cache_that_can_not_be_opened_fails_the_task() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no-folder");
    std::fs::write(&file, "x").unwrap();
    let hydrator = Hydrator::new(
        Arc::new(move || Store::open(&file, StoreOptions::default())),
        Arc::<Fake>::default(),
        Arc::<Heard>::default(),
        Limits::default(),
    );
    let id = hydrator.ask(&wanted(1, USB, MIB), Why::ByHand);
    let phase = soon(hydrator.wait(id)).await.unwrap().phase;
    assert!(
        matches!(
            &phase,
            TaskPhase::Failed {
                reason: HydrateError::Cache { .. }
            }
        ),
        "{phase:?}"
    );
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_source_and_lets_go_of_the_cache() {
    let limits = Limits {
        shutdown_patience: Duration::from_millis(50),
        ..Limits::default()
    };
    let house = House::with(limits, 1 << 30);
    house.fake.source(USB, Way::Hang);
    let item = wanted(1, USB, MIB);
    let stream = house.stream(&item);
    let waiting = stream.wait(0..10, Priority::Copier);
    house.wants("a read", |h| !h.fake.log().is_empty()).await;
    let asked = house.hydrator.wait(stream.task());
    let began = Instant::now();
    assert!(!house.hydrator.shutdown());
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(
        at_once(waiting),
        Some(Arrival::Ended(HydrateError::ShutDown))
    );
    let reason = HydrateError::ShutDown;
    let failed = TaskPhase::Failed { reason };
    assert_eq!(soon(asked).await.unwrap().phase, failed);
    assert_eq!(
        at_once(stream.wait(0..10, Priority::Copier)),
        Some(Arrival::Ended(HydrateError::ShutDown))
    );
    // Whoever comes later is told so.
    let late = house
        .hydrator
        .stream(&item, who("late"), WhenLeft::GoOn, IfFull::Fail);
    assert_eq!(late.err(), Some(HydrateError::ShutDown));
    let late = house.hydrator.ask(&item, Why::ByHand);
    assert_eq!(house.outcome(late).await, failed);
    drop(stream);
    // The read hangs still, and yet the cache can be opened by another.
    let House {
        hydrator,
        fake,
        store,
        folder,
        ..
    } = house;
    drop((hydrator, store));
    let options = StoreOptions {
        quota: Some(MIB),
        floor: Some(0),
        ..StoreOptions::default()
    };
    let store = Store::open(folder.path().join("cache"), options).unwrap();
    assert_eq!(store.usage().unwrap().used(), 0);
    fake.source(USB, Way::Well);
}

#[tokio::test]
async fn a_part_that_can_not_be_read_does_not_hold_up_those_who_wait_for_others() {
    let house = House::new();
    let bad = 2 * MIB;
    house.fake.place(1, Way::Sore(bad));
    let item = wanted(1, USB, 4 * MIB);
    let stream = house.stream(&item);
    let waits = stream.wait(bad..bad + 10, Priority::Copier);
    house
        .wants("a pause", |h| {
            let phase = h.hydrator.task(stream.task()).unwrap().phase;
            matches!(phase, TaskPhase::Retrying { .. })
        })
        .await;
    let elsewhere = 3 * MIB..4 * MIB;
    let other = stream.wait(elsewhere.clone(), Priority::Copier);
    assert_eq!(soon(other).await, Arrival::Arrived);
    assert!(read(&stream, elsewhere.clone()).unwrap() == truth(1, elsewhere));
    // That went well, and yet the other part is not tried before its time.
    let tries = |h: &House| {
        let reads = h.fake.reads_of(1);
        reads.iter().filter(|range| range.contains(&bad)).count()
    };
    assert_eq!(tries(&house), 1);
    while !house.hydrator.task(stream.task()).unwrap().phase.is_over() {
        house.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(matches!(
        soon(waits).await,
        Arrival::Ended(HydrateError::Failed { .. })
    ));
    assert_eq!(tries(&house), 8);
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn who_waits_for_what_fails_again_and_again_is_told_so_while_it_is_tried_further() {
    let house = House::with(
        Limits {
            reads: 1,
            ..Limits::default()
        },
        1 << 30,
    );
    house.fake.source(USB, failed("a cable is loose", true));
    let item = wanted(1, USB, MIB);
    let stream = house.stream(&item);
    let mut waiting = Box::pin(stream.wait(0..10, Priority::Copier));
    let mut passed = Duration::ZERO;
    for tries in 1..=3 {
        house
            .wants("a try", |h| {
                let phase = h.hydrator.task(stream.task()).unwrap().phase;
                h.fake.log().len() == tries && matches!(phase, TaskPhase::Retrying { .. })
            })
            .await;
        if tries < 3 {
            let early = tokio::time::timeout(Duration::from_millis(20), &mut waiting).await;
            assert!(early.is_err(), "it may pass");
            house.clock.advance(Duration::from_secs(1));
            passed += Duration::from_secs(1);
        }
    }
    let ended = Arrival::Ended(HydrateError::Failed {
        reason: "a cable is loose".to_owned(),
    });
    assert_eq!(soon(waiting).await, ended);
    assert!(passed < Duration::from_secs(4));
    // So is who reads it again before the next try, and nothing more is read for that.
    let again = stream.wait(0..10, Priority::Copier);
    assert_eq!(at_once(again), Some(ended));
    assert_eq!(house.fake.log().len(), 3);
    house.fake.source(USB, Way::Well);
    house.clock.advance(Duration::from_secs(2));
    let later = stream.wait(0..10, Priority::Copier);
    assert_eq!(soon(later).await, Arrival::Arrived);
    assert!(matches!(
        house.outcome(stream.task()).await,
        TaskPhase::Done { .. }
    ));
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn a_cache_that_panics_fails_the_task_and_costs_no_thread() {
    let hydrator = Hydrator::new(
        Arc::new(|| panic!("as the test wants it")),
        Arc::<Fake>::default(),
        Arc::<Heard>::default(),
        Limits::default(),
    );
    // More than there are threads at the desk.
    for place in 0..8 {
        let id = hydrator.ask(&wanted(place, USB, MIB), Why::ByHand);
        let phase = soon(hydrator.wait(id)).await.unwrap().phase;
        let TaskPhase::Failed {
            reason: HydrateError::Cache { reason },
        } = phase
        else {
            panic!("{phase:?}");
        };
        assert_eq!(reason, "it has failed at its work");
    }
    assert!(hydrator.shutdown());
}

fn passing(house: &House, wanted: &Wanted) -> Stream {
    house
        .hydrator
        .stream(wanted, who("player"), WhenLeft::GoOn, IfFull::Pass)
        .unwrap()
}

#[tokio::test]
async fn what_a_full_cache_does_not_take_is_played_all_the_same() {
    let house = House::with(Limits::default(), MIB);
    let size = 64 * MIB;
    let item = wanted(1, USB, size);
    let stream = passing(&house, &item);
    let part = 128 << 10;
    for start in (0..size).step_by(part) {
        let range = start..start + part as u64;
        let arrived = soon(stream.wait(range.clone(), Priority::Player)).await;
        assert_eq!(arrived, Arrival::Arrived);
        assert_eq!(read(&stream, range.clone()), Some(truth(1, range)));
    }
    assert!(stream.arrived_bytes() <= 8 * MIB);
    // Far ahead of who plays it nothing was read, and nothing twice.
    let reads = house.fake.reads_of(1);
    assert_eq!(read_twice(&reads), 0);
    assert_eq!(house.store.usage().unwrap().used(), 0);
    // What is gone is read again.
    assert_eq!(read(&stream, 0..10), None);
    let back = soon(stream.wait(0..10, Priority::Player)).await;
    assert_eq!(back, Arrival::Arrived);
    assert_eq!(read(&stream, 0..10), Some(truth(1, 0..10)));
    // Nobody can have all of it at once.
    let all = soon(stream.wait(0..size, Priority::Player)).await;
    assert!(matches!(&all, Arrival::Ended(HydrateError::Full { .. })));
    let task = house.hydrator.task(stream.task()).unwrap();
    assert!(matches!(task.phase, TaskPhase::Passing { .. }));
    let before = house.fake.reads_of(1).len();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(house.fake.reads_of(1).len() <= before + 8, "it reads on");
    let id = stream.task();
    drop(stream);
    let full = |phase: &TaskPhase| {
        matches!(
            phase,
            TaskPhase::Failed {
                reason: HydrateError::Full { .. }
            }
        )
    };
    assert!(full(&house.outcome(id).await));
    house.ends_clean();
}

#[tokio::test]
async fn what_passes_is_neither_joined_nor_in_the_way() {
    let house = House::with(Limits::default(), MIB);
    let item = wanted(1, USB, 2 * MIB);
    let stream = passing(&house, &item);
    let first = soon(stream.wait(0..10, Priority::Player)).await;
    assert_eq!(first, Arrival::Arrived);
    assert_eq!(house.hydrator.task_of(&item), None);
    // Who wants to have it kept, or true as a whole, is told that there is no room.
    let asked = house.hydrator.ask(&item, Why::ByHand);
    assert!(matches!(
        house.outcome(asked).await,
        TaskPhase::Failed {
            reason: HydrateError::Full { .. }
        }
    ));
    let copier = house.stream(&item);
    assert_ne!(copier.task(), stream.task());
    let refused = soon(copier.wait(0..10, Priority::Copier)).await;
    assert!(matches!(refused, Arrival::Ended(HydrateError::Full { .. })));
    let second = passing(&house, &item);
    let arrived = soon(second.wait(MIB..MIB + 10, Priority::Player)).await;
    assert_eq!(arrived, Arrival::Arrived);
    // When the source goes, who waits is told, and what is here can be read.
    house.hydrator.source_is_away(USB, "RED is unplugged");
    let gone = soon(stream.wait(MIB..MIB + 10, Priority::Player)).await;
    assert!(matches!(gone, Arrival::Ended(HydrateError::Offline { .. })));
    assert_eq!(read(&stream, 0..10), Some(truth(1, 0..10)));
    drop((stream, second, copier));
    house.ends_clean();
}

#[tokio::test]
async fn a_failure_of_what_passes_is_tried_again() {
    let house = House::with(Limits::default(), MIB);
    let item = wanted(1, USB, 32 * MIB);
    let failed = FetchError::Failed {
        reason: "EIO".to_owned(),
        transient: true,
    };
    house.fake.source(USB, Way::Fail(failed));
    let stream = passing(&house, &item);
    let waiting = stream.wait(0..10, Priority::Player);
    let id = stream.task();
    let pauses = |house: &House| {
        let task = house.hydrator.task(id);
        matches!(
            task.map(|task| task.phase),
            Some(TaskPhase::Retrying { .. })
        )
    };
    house.wants("a pause", pauses).await;
    house.fake.source(USB, Way::Well);
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(soon(waiting).await, Arrival::Arrived);
    // What becomes another file is an error to who goes on with it.
    house.fake.source(USB, Way::Fail(FetchError::Changed));
    let changed = soon(stream.wait(32 * MIB - 10..32 * MIB, Priority::Player)).await;
    assert_eq!(changed, Arrival::Ended(HydrateError::Changed));
    assert_eq!(stream.ended(), Some(Err(HydrateError::Changed)));
    drop(stream);
    house.ends_clean();
}

//! Sources that hang or are away, and tasks that are cancelled.

use std::time::Instant;

use super::*;

fn offline() -> HydrateError {
    HydrateError::Offline {
        reason: "no network".to_owned(),
    }
}

#[tokio::test]
async fn cancelling_answers_everybody_at_once_though_the_source_hangs() {
    let house = House::new();
    house.fake.source(USB, Way::Hang);
    let stream = house.stream(&wanted(1, USB, MIB));
    let waiting: Vec<_> = (0..10)
        .map(|n| stream.wait(n * 1000..n * 1000 + 1000, Priority::Player))
        .collect();
    house.wants("a read", |h| !h.fake.log().is_empty()).await;
    let began = Instant::now();
    assert!(house.hydrator.cancel(stream.task()));
    for waiting in waiting {
        // Not even another poll is needed.
        let ended = Arrival::Ended(HydrateError::Cancelled);
        assert_eq!(at_once(waiting), Some(ended));
    }
    assert!(began.elapsed() < Duration::from_millis(100));
    assert!(!house.hydrator.cancel(stream.task()));
    let again = stream.wait(0..10, Priority::Player);
    assert_eq!(
        at_once(again),
        Some(Arrival::Ended(HydrateError::Cancelled))
    );
    assert_eq!(house.outcome(stream.task()).await, TaskPhase::Cancelled);
    // Nothing had arrived, so nothing is kept, though the read still hangs.
    drop(stream);
    house.wants("giving back", |h| h.reserved() == 0).await;
    assert_eq!(house.store.dormant_partials().unwrap(), []);
    house.ends_clean();
}

#[tokio::test]
async fn what_was_cancelled_is_gone_on_with() {
    let house = House::new();
    let item = wanted(1, USB, 4 * MIB);
    house.fake.source(USB, Way::Hang);
    let stream = house.stream(&item);
    let part = stream.wait(MIB..MIB + 10, Priority::Copier);
    house.wants("reads", |h| h.fake.log().len() == 3).await;
    house.fake.source(USB, Way::Well);
    soon(part).await;
    house.fake.source(USB, Way::Hang);
    house.hydrator.cancel(stream.task());
    assert_eq!(stream.ended(), Some(Err(HydrateError::Cancelled)));
    // What the handle has shown stays.
    assert_eq!(
        read(&stream, MIB..MIB + 10).unwrap(),
        truth(1, MIB..MIB + 10)
    );
    house.fake.source(USB, Way::Well);
    let again = house.hydrator.ask(&item, Why::ByHand);
    assert_ne!(again, stream.task());
    assert!(matches!(house.outcome(again).await, TaskPhase::Done { .. }));
    assert!(read(&stream, 0..4 * MIB).unwrap() == truth(1, 0..4 * MIB));
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn a_source_that_hangs_delays_no_other() {
    let house = House::with(
        Limits {
            threads: 4,
            ..Limits::default()
        },
        1 << 30,
    );
    house.fake.source(USB, Way::Hang);
    let hung = house.stream(&wanted(1, USB, 8 * MIB));
    let hangs = hung.wait(0..8 * MIB, Priority::Player);
    // All threads that there may be.
    house.wants("four reads", |h| h.fake.log().len() == 4).await;
    let stream = house.stream(&wanted(2, CLOUD, MIB));
    soon(stream.wait(0..MIB, Priority::Copier)).await;
    assert!(read(&stream, 0..MIB).unwrap() == truth(2, 0..MIB));
    assert_eq!(at_once(hangs), None);
    drop((stream, hung));
    house.ends_clean();
}

#[tokio::test]
async fn a_thousand_streams_of_what_hangs_need_no_more_threads() {
    let house = House::new();
    house.fake.source(USB, Way::Hang);
    let streams: Vec<_> = (0..1000)
        .map(|n| house.stream(&wanted(n % 64, USB, MIB)))
        .collect();
    let waiting: Vec<_> = streams
        .iter()
        .map(|stream| stream.wait(0..MIB, Priority::Copier))
        .collect();
    house
        .wants("opening", |h| {
            !h.hydrator.is_opening() && h.fake.log().len() == 4
        })
        .await;
    // Four that read, three at the desk, one that tells.
    assert!(house.hydrator.threads() <= 8);
    assert_eq!(house.hydrator.tasks().len(), 64);
    for task in house.hydrator.tasks() {
        house.hydrator.cancel(task.id);
    }
    for waiting in waiting {
        let ended = Arrival::Ended(HydrateError::Cancelled);
        assert_eq!(at_once(waiting), Some(ended));
    }
    drop(streams);
    house.wants("giving back", |h| h.reserved() == 0).await;
    house.ends_clean();
}

#[tokio::test]
async fn while_a_source_does_not_answer_everybody_is_told_so() {
    let house = House::new();
    let again_in = Duration::from_secs(5);
    house
        .fake
        .source(USB, Way::Fail(FetchError::Hung { again_in }));
    let stream = house.stream(&wanted(1, USB, MIB));
    let ended = Arrival::Ended(HydrateError::Hung);
    let waiting = stream.wait(0..10, Priority::Copier);
    assert_eq!(soon(waiting).await, ended);
    house
        .wants("all reads to end", |h| h.hydrator.reads() == 0)
        .await;
    let queued = house.hydrator.ask(&wanted(2, USB, MIB), Why::ByHand);
    let before = house.fake.log().len();
    assert_eq!(at_once(stream.wait(0..10, Priority::Copier)), Some(ended));
    assert_eq!(
        house.hydrator.task(stream.task()).unwrap().phase,
        TaskPhase::Retrying {
            again_in: Some(again_in),
            why: HydrateError::Hung
        }
    );
    house.clock.advance(Duration::from_millis(4900));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(house.fake.log().len(), before, "it is left alone");

    // Then one read alone tries.
    house.fake.source(USB, Way::Hang);
    house.clock.advance(Duration::from_millis(100));
    let waiting = stream.wait(0..MIB, Priority::Copier);
    house
        .wants("a try", |h| h.fake.log().len() == before + 1)
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(house.fake.log().len(), before + 1, "only one");
    house.fake.source(USB, Way::Well);
    assert_eq!(soon(waiting).await, Arrival::Arrived);
    for id in [stream.task(), queued] {
        assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    }
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn what_was_only_asked_for_begins_when_a_source_answers_again() {
    let house = House::new();
    let again_in = Duration::from_secs(5);
    house
        .fake
        .source(USB, Way::Fail(FetchError::Hung { again_in }));
    let first = house.hydrator.ask(&wanted(1, USB, MIB), Why::ByHand);
    house
        .wants("the source to hang", |h| {
            let phase = h.hydrator.task(first).unwrap().phase;
            matches!(phase, TaskPhase::Retrying { .. }) && h.hydrator.reads() == 0
        })
        .await;
    house.hydrator.cancel(first);
    let queued = house.hydrator.ask(&wanted(2, USB, MIB), Why::ByHand);
    house.fake.source(USB, Way::Well);
    house.clock.advance(again_in);
    assert!(matches!(
        house.outcome(queued).await,
        TaskPhase::Done { .. }
    ));
    house.ends_clean();
}

#[tokio::test]
async fn what_a_source_has_waits_until_it_is_back() {
    let house = House::new();
    let reason = "no network".to_owned();
    house
        .fake
        .source(USB, Way::Fail(FetchError::Offline { reason }));
    let item = wanted(1, USB, MIB);
    let stream = house.stream(&item);
    let ended = Arrival::Ended(offline());
    assert_eq!(soon(stream.wait(0..10, Priority::Copier)).await, ended);
    let other = house.stream(&wanted(2, USB, MIB));
    assert_eq!(soon(other.wait(0..10, Priority::Copier)).await, ended);
    assert!(offline().passes());
    let phase = || house.hydrator.task(stream.task()).unwrap().phase;
    let retrying = TaskPhase::Retrying {
        again_in: None,
        why: offline(),
    };
    assert_eq!(phase(), retrying);
    house.fake.source(USB, Way::Well);
    house.clock.advance(Duration::from_secs(3600));
    let queued = house.hydrator.ask(&wanted(3, USB, MIB), Why::ByHand);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(phase(), retrying);
    house.hydrator.source_is_back(USB);
    for id in [stream.task(), other.task(), queued] {
        assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    }
    assert_eq!(
        at_once(stream.wait(0..MIB, Priority::Copier)),
        Some(Arrival::Arrived)
    );
    drop((stream, other));
    house.ends_clean();
}

#[tokio::test]
async fn what_arrived_before_a_source_went_away_can_be_read() {
    let mut house = House::new();
    let item = wanted(1, USB, 4 * MIB);
    house.fake.source(USB, Way::Hang);
    let stream = house.stream(&item);
    let part = stream.wait(0..10, Priority::Copier);
    house.wants("reads", |h| h.fake.log().len() == 3).await;
    let rest = stream.wait(4 * MIB - 10..4 * MIB, Priority::Copier);
    house.hydrator.source_is_away(USB, "no network".to_owned());
    // Nobody waits for what hangs there now.
    let ended = Arrival::Ended(offline());
    assert_eq!(
        (at_once(part), at_once(rest)),
        (Some(ended.clone()), Some(ended.clone()))
    );
    house.fake.source(USB, Way::Well);
    house
        .wants("what was under way", |_| stream.has_arrived(0..10))
        .await;
    drop(stream);
    house.restart();
    house.hydrator.source_is_away(USB, "no network");
    let stream = house.stream(&item);
    assert_eq!(
        soon(stream.wait(0..10, Priority::Player)).await,
        Arrival::Arrived
    );
    assert_eq!(read(&stream, 0..10).unwrap(), truth(1, 0..10));
    let missing = stream.wait(0..4 * MIB, Priority::Player);
    assert_eq!(soon(missing).await, ended);
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn what_a_source_says_that_was_away_since_is_stale() {
    let house = House::new();
    house.fake.source(USB, Way::Hang);
    let stream = house.stream(&wanted(1, USB, MIB));
    let waiting = stream.wait(0..MIB, Priority::Copier);
    house.wants("four reads", |h| h.fake.log().len() == 4).await;
    house.hydrator.source_is_back(USB);
    let reason = "no network".to_owned();
    // The four say so when nobody believes it any more; another read would be believed.
    house
        .fake
        .place(1, Way::Fail(FetchError::Offline { reason }));
    assert_eq!(soon(waiting).await, Arrival::Ended(offline()));
    assert!(house.fake.log().len() > 4);
    drop(stream);
    house.ends_clean();
}

/// The bytes that a read brought for the first task are perhaps being stored when the second one wants them.
#[tokio::test]
async fn what_is_cancelled_and_asked_for_again_arrives_whenever_that_is() {
    let house = House::new();
    for place in 0..200 {
        let item = wanted(place, USB, 256 << 10);
        let first = house.hydrator.ask(&item, Why::ByHand);
        house
            .wants("the read", |h| {
                h.hydrator.reads() > 0 || h.hydrator.task(first).unwrap().phase.is_over()
            })
            .await;
        let stream = house.stream(&item);
        std::thread::sleep(Duration::from_micros(u64::from(place) * 37 % 2500));
        house.hydrator.cancel(first);
        let second = house.hydrator.ask(&item, Why::ByHand);
        let object = ObjectHash(*true_object(&item).as_bytes());
        assert_eq!(house.outcome(second).await, TaskPhase::Done { object });
        drop(stream);
    }
    house.ends_clean();
}

/// Players open many sounds of a disk that is pulled, and close them.
#[tokio::test]
async fn what_nobody_has_open_holds_no_room_while_its_source_is_away() {
    let house = House::with(Limits::default(), 8 * MIB);
    house.fake.source(USB, Way::Hang);
    let items: Vec<_> = (1..=4).map(|place| wanted(place, USB, 2 * MIB)).collect();
    let mut streams: Vec<_> = items.iter().map(|item| house.stream(item)).collect();
    house
        .wants("opening", |h| {
            h.reserved() == 8 * MIB && h.fake.log().len() == 2
        })
        .await;
    // One was closed before it was pulled, one has come in part, the last stays open.
    streams.remove(0);
    let part = streams[0].wait(0..10, Priority::Copier);
    house.fake.place(2, Way::Well);
    assert_eq!(soon(part).await, Arrival::Arrived);
    house.fake.place(2, Way::Hang);
    house.hydrator.source_is_away(USB, "no network");
    let last = streams.pop().unwrap();
    drop(streams);
    house
        .wants("giving back", |h| {
            h.reserved() == 4 * MIB && h.store.dormant_partials().unwrap().len() == 1
        })
        .await;
    // What had come in part goes for it.
    let other = house.hydrator.ask(&wanted(9, CLOUD, 6 * MIB), Why::ByHand);
    assert!(matches!(house.outcome(other).await, TaskPhase::Done { .. }));
    let ids: Vec<_> = items
        .iter()
        .map(|item| house.hydrator.task_of(item).unwrap())
        .collect();
    let phases: Vec<_> = ids
        .iter()
        .map(|id| house.hydrator.task(*id).unwrap().phase)
        .collect();
    let retrying = TaskPhase::Retrying {
        again_in: None,
        why: offline(),
    };
    assert_eq!(phases, vec![retrying; 4]);
    assert_eq!(house.reserved(), 2 * MIB);
    for place in 1..=4 {
        house.fake.place(place, Way::Well);
    }
    house.hydrator.source_is_back(USB);
    for id in ids {
        assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    }
    drop(last);
    house.ends_clean();
}

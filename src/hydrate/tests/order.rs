//! What is read first, and how much at once.

use super::*;

fn one_at_a_time() -> Limits {
    Limits {
        reads: 1,
        ..Limits::default()
    }
}

/// A house whose source hangs in a read for place 9, so that what comes after it is chosen with all else known.
async fn held_up(limits: Limits) -> (House, TaskId) {
    let house = House::with(limits, 1 << 30);
    house.fake.source(USB, Way::Hang);
    let id = house
        .hydrator
        .ask(&wanted(9, USB, 4 * MIB), Why::Background);
    house
        .wants("the read that hangs", |h| !h.fake.log().is_empty())
        .await;
    house.fake.forget_log();
    (house, id)
}

#[tokio::test]
async fn players_go_before_copiers_and_both_before_all_that_nobody_waits_for() {
    let (house, background) = held_up(one_at_a_time()).await;
    let (pinned, by_hand) = (wanted(7, USB, MIB), wanted(8, USB, MIB));
    let by_hand = house.hydrator.ask(&by_hand, Why::ByHand);
    let pinned = house.hydrator.ask(&pinned, Why::Pinned);
    let streams: Vec<_> = (1..=4)
        .map(|place| house.stream(&wanted(place, USB, MIB)))
        .collect();
    house.wants("opening", |h| !h.hydrator.is_opening()).await;
    let at = 512 << 10;
    let range = at..at + 4096;
    let copiers = [
        streams[0].wait(range.clone(), Priority::Copier),
        streams[1].wait(range.clone(), Priority::Copier),
    ];
    let players = [
        streams[2].wait(range.clone(), Priority::Player),
        streams[3].wait(range.clone(), Priority::Player),
    ];
    house.fake.source(USB, Way::Well);
    for waiting in copiers.into_iter().chain(players) {
        assert_eq!(soon(waiting).await, Arrival::Arrived);
    }
    for id in [background, by_hand, pinned] {
        assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    }
    let log = house.fake.log();
    let firsts: Vec<_> = log.iter().map(|asked| asked.place).take(4).collect();
    assert_eq!(firsts, [3, 4, 1, 2]);
    assert!(log[..4].iter().all(|asked| asked.range.start == at));
    // Then the rest: what is open, what is pinned, what was asked for by hand, and the background.
    let mut order: Vec<_> = log[4..].iter().map(|asked| asked.place).collect();
    order.dedup();
    assert_eq!(order, [1, 2, 3, 4, 7, 8, 9]);
    drop(streams);
    house.ends_clean();
}

#[tokio::test]
async fn the_range_that_somebody_waits_for_comes_first() {
    let (house, _) = held_up(one_at_a_time()).await;
    let stream = house.stream(&wanted(1, USB, 16 * MIB));
    let waiting = stream.wait(9 * MIB + 5..9 * MIB + 100, Priority::Copier);
    house.wants("opening", |h| !h.hydrator.is_opening()).await;
    house.fake.source(USB, Way::Well);
    assert_eq!(soon(waiting).await, Arrival::Arrived);
    let first = house.fake.log().into_iter().next().unwrap();
    assert_eq!((first.place, first.range.start), (1, 9 * MIB + 5));
    let length = first.range.end - first.range.start;
    assert!((64 << 10..=256 << 10).contains(&length), "{length}");
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn a_long_range_is_read_in_parts_by_several_at_once() {
    let house = House::new();
    house.fake.source(USB, Way::Hang);
    let stream = house.stream(&wanted(1, USB, 16 * MIB));
    let waiting = stream.wait(0..8 * MIB, Priority::Copier);
    house.wants("four reads", |h| h.fake.log().len() == 4).await;
    house.fake.source(USB, Way::Well);
    assert_eq!(soon(waiting).await, Arrival::Arrived);
    assert_eq!(house.fake.most_at_once(), 4);
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn what_nobody_waits_for_leaves_room_for_those_who_wait() {
    let house = House::new();
    house.fake.source(USB, Way::Hang);
    house.hydrator.ask(&wanted(1, USB, 16 * MIB), Why::ByHand);
    house.hydrator.ask(&wanted(2, USB, 16 * MIB), Why::Pinned);
    house.wants("two reads", |h| h.fake.log().len() == 2).await;
    let stream = house.stream(&wanted(3, USB, 16 * MIB));
    let waiting = stream.wait(0..10, Priority::Copier);
    house
        .wants("the third read", |h| h.fake.log().len() == 3)
        .await;
    assert_eq!(house.fake.log()[2].place, 3);
    house.fake.source(USB, Way::Well);
    assert_eq!(soon(waiting).await, Arrival::Arrived);
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn a_priority_goes_with_those_who_have_it() {
    let house = House::new();
    house.fake.source(USB, Way::Hang);
    let item = wanted(1, USB, MIB);
    let stream = house.stream(&item);
    let priority = || house.hydrator.task(stream.task()).unwrap().priority;
    assert_eq!(priority(), Priority::Streamed);
    let copier = stream.wait(0..10, Priority::Copier);
    assert_eq!(priority(), Priority::Copier);
    let player = stream.wait_as(0..10, Priority::Player, who("Signal"));
    assert_eq!(priority(), Priority::Player);
    let waiting = house.hydrator.task(stream.task()).unwrap().waiting;
    assert_eq!(waiting, [who("test"), who("Signal")]);
    drop(player);
    assert_eq!(priority(), Priority::Copier);
    drop(copier);
    assert_eq!(priority(), Priority::Streamed);
    let id = house.hydrator.ask(&item, Why::Pinned);
    house.hydrator.ask(&item, Why::ByHand);
    assert_eq!(id, stream.task());
    drop(stream);
    let priority = || house.hydrator.task(id).unwrap().priority;
    assert_eq!(priority(), Priority::Pinned);
    house.hydrator.unask(id);
    assert_eq!(priority(), Priority::Background);
    house.ends_clean();
}

#[tokio::test]
async fn all_else_on_a_source_pauses_while_a_player_waits() {
    let house = House::new();
    house.fake.place(1, Way::Hang);
    house.fake.place(2, Way::Hang);
    let id = house.hydrator.ask(&wanted(2, USB, 8 * MIB), Why::Pinned);
    house
        .wants("background reads", |h| h.fake.reads_of(2).len() == 2)
        .await;
    let stream = house.stream(&wanted(1, USB, MIB));
    let player = stream.wait(0..10, Priority::Player);
    house
        .wants("the player's read", |h| !h.fake.reads_of(1).is_empty())
        .await;
    // Those that were under way end, and no other begins.
    house.fake.place(2, Way::Well);
    let both = 2 * (256 << 10);
    house
        .wants("two parts", |h| {
            h.hydrator.task(id).unwrap().arrived == both
        })
        .await;
    // Another source goes on, and while it does nothing is read here.
    let other = house
        .hydrator
        .ask(&wanted(3, CLOUD, 4 * MIB), Why::Background);
    assert!(matches!(house.outcome(other).await, TaskPhase::Done { .. }));
    assert_eq!(house.fake.reads_of(2).len(), 2);
    drop(player);
    assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    house.fake.place(1, Way::Well);
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn what_is_queued_holds_no_room_in_the_cache() {
    let (house, _) = held_up(Limits::default()).await;
    let ids: Vec<_> = (10..200)
        .map(|place| {
            house
                .hydrator
                .ask(&wanted(place, USB, MIB), Why::Background)
        })
        .collect();
    house.wants("the second", |h| h.reserved() >= 5 * MIB).await;
    assert_eq!(house.reserved(), 5 * MIB);
    let queued = |h: &House| {
        let tasks = h.hydrator.tasks();
        let queued = tasks.iter().filter(|task| task.phase == TaskPhase::Queued);
        queued.count()
    };
    assert!(queued(&house) >= 189);
    house.fake.source(USB, Way::Well);
    for id in ids {
        assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    }
    assert_eq!(house.reserved(), 0);
    house.ends_clean();
}

#[tokio::test]
async fn what_is_queued_begins_by_priority_and_then_by_age() {
    let limits = Limits {
        begun: 1,
        ..one_at_a_time()
    };
    let (house, hangs) = held_up(limits).await;
    let small = |place| wanted(place, USB, 1000);
    let ask = |place, why| house.hydrator.ask(&small(place), why);
    let mut ids = vec![
        ask(1, Why::Background),
        ask(2, Why::Background),
        ask(3, Why::ByHand),
        ask(4, Why::ByHand),
        ask(5, Why::Pinned),
        ask(6, Why::Pinned),
        ask(7, Why::Pinned),
    ];
    // Asked for again for a better reason, and no longer asked for.
    ask(2, Why::Pinned);
    house.hydrator.unask(ids[6]);
    house.wants("opening", |h| !h.hydrator.is_opening()).await;
    house.fake.source(USB, Way::Well);
    ids.push(hangs);
    for id in ids {
        assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    }
    let mut order: Vec<_> = house.fake.log().iter().map(|asked| asked.place).collect();
    // These two were begun before others of a higher priority came.
    order.retain(|place| *place != 9 && *place != 3);
    assert_eq!(order, [5, 2, 6, 4, 1, 7]);
    house.ends_clean();
}

#[tokio::test]
async fn tens_of_thousands_can_be_asked_for() {
    let (house, _) = held_up(Limits::default()).await;
    for place in 10..20_010 {
        house.hydrator.ask(&wanted(place, USB, 10), Why::Background);
    }
    house
        .wants("the second", |h| !h.hydrator.is_opening())
        .await;
    assert_eq!(house.hydrator.tasks().len(), 20_001);
    assert_eq!(house.reserved(), 4 * MIB + 10);
    assert!(house.hydrator.threads() <= 8);
    house.ends_clean();
}

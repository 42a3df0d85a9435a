//! Streams and tasks of sources that answer.

use std::collections::HashSet;

use mediafs_cache::Eviction;

use super::*;

#[tokio::test]
async fn what_is_streamed_becomes_an_object() {
    let house = House::new();
    let item = wanted(1, USB, 3 * MIB + 17);
    let stream = house.stream(&item);
    let all = 0..item.size;
    assert_eq!(
        soon(stream.wait(all.clone(), Priority::Copier)).await,
        Arrival::Arrived
    );
    assert_eq!(read(&stream, all.clone()).unwrap(), truth(1, all));
    let object = true_object(&item);
    let hash = ObjectHash(*object.as_bytes());
    assert_eq!(
        house.outcome(stream.task()).await,
        TaskPhase::Done { object: hash }
    );
    house
        .wants("telling", |h| !h.heard.arrived.lock().is_empty())
        .await;
    assert_eq!(*house.heard.arrived.lock(), [(item.clone(), hash)]);
    assert_eq!(*house.heard.failed.lock(), []);
    assert!(house.heard.answered.lock().contains(&USB));
    let last = house.heard.tasks.lock().last().cloned().unwrap();
    assert_eq!(last.phase, TaskPhase::Done { object: hash });
    assert_eq!((last.arrived, last.total), (item.size, item.size));
    assert!(house.store.contains(&object).unwrap());
    assert_eq!(house.reserved(), 0);
    assert_eq!(stream.ended(), Some(Ok(())));
    assert_eq!(house.store.evict(&object).unwrap(), Eviction::InUse);
    assert_eq!(read(&stream, 5..50).unwrap(), truth(1, 5..50));
    drop(stream);
    house
        .wants("letting go", |h| h.store.usage().unwrap().open_objects == 0)
        .await;
    house.ends_clean();
}

#[tokio::test]
async fn however_many_want_it_each_byte_is_read_once() {
    let house = House::new();
    house.fake.source(USB, Way::Hang);
    let item = wanted(1, USB, 5 * MIB);
    let streams: Vec<_> = (0..50).map(|_| house.stream(&item)).collect();
    let asked: HashSet<_> = [Why::Pinned, Why::ByHand, Why::Background]
        .map(|why| house.hydrator.ask(&item, why))
        .into();
    assert_eq!(asked.len(), 1);
    assert!(streams.iter().all(|stream| asked.contains(&stream.task())));
    let waiting: Vec<_> = streams
        .iter()
        .zip(0u64..)
        .flat_map(|(stream, n)| {
            let at = n * 100_003 % (4 * MIB);
            let ranges = [at..at + 70_000, 0..5 * MIB];
            ranges.map(|range| (stream, range.clone(), stream.wait(range, Priority::Copier)))
        })
        .collect();
    house.fake.source(USB, Way::Well);
    for (stream, range, waiting) in waiting {
        assert_eq!(soon(waiting).await, Arrival::Arrived);
        assert!(read(stream, range.clone()).unwrap() == truth(1, range));
    }
    for id in asked {
        house.outcome(id).await;
    }
    let reads = house.fake.reads_of(1);
    assert_eq!(read_twice(&reads), 0);
    assert_eq!(
        reads.iter().map(|read| read.end - read.start).sum::<u64>(),
        item.size
    );
    drop(streams);
    house.ends_clean();
}

#[tokio::test]
async fn what_has_not_arrived_is_not_read() {
    let house = House::with(
        Limits {
            reads: 1,
            ..Limits::default()
        },
        1 << 30,
    );
    let item = wanted(1, USB, MIB);
    house.fake.source(USB, Way::Hang);
    let stream = house.stream(&item);
    let first = stream.wait(0..10, Priority::Copier);
    house.wants("a read", |h| !h.fake.log().is_empty()).await;
    assert_eq!(read(&stream, 0..10), None);
    assert!(!stream.has_arrived(0..10));
    assert_eq!(
        (stream.last_progress(), stream.progressing_since()),
        (None, None)
    );
    // At the end there is nothing, and that is known.
    assert_eq!(read(&stream, MIB..MIB + 10), Some(vec![]));
    assert_eq!(
        at_once(stream.wait(2 * MIB..3 * MIB, Priority::Copier)),
        Some(Arrival::Arrived)
    );
    house.fake.source(USB, Way::Well);
    soon(first).await;
    assert!(stream.last_progress().is_some());
    assert_eq!(
        stream.progressing_since(),
        Some(stream.last_progress().unwrap())
    );
    soon(stream.wait(0..MIB, Priority::Copier)).await;
    let end = MIB - 3..MIB + 100;
    assert_eq!(read(&stream, end).unwrap(), truth(1, MIB - 3..MIB));
    house.clock.advance(Duration::from_secs(11));
    assert_eq!(stream.progressing_since(), None);
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn an_empty_file_is_an_object_at_once() {
    let house = House::new();
    let item = wanted(1, USB, 0);
    let id = house.hydrator.ask(&item, Why::ByHand);
    let object = ObjectHash(*ObjectId::of(b"").as_bytes());
    assert_eq!(house.outcome(id).await, TaskPhase::Done { object });
    assert_eq!(house.fake.log(), []);
    house.ends_clean();
}

#[tokio::test]
async fn what_the_cache_has_is_not_read_again() {
    let house = House::new();
    let mut item = wanted(1, USB, MIB);
    let bytes = truth(1, 0..MIB);
    let object = house.store.put(&bytes[..], None, None).unwrap().id();
    item.expected = Some(ObjectHash(*object.as_bytes()));
    let stream = house.stream(&item);
    soon(stream.wait(0..MIB, Priority::Player)).await;
    assert!(read(&stream, 0..MIB).unwrap() == bytes);
    assert!(matches!(
        house.outcome(stream.task()).await,
        TaskPhase::Done { .. }
    ));
    assert_eq!(house.fake.log(), []);
    drop(stream);
    house.ends_clean();
}

#[tokio::test]
async fn what_nobody_streams_any_more_goes_on_unless_it_is_to_stop() {
    let mut house = House::with(
        Limits {
            reads: 1,
            ..Limits::default()
        },
        1 << 30,
    );
    let (goes_on, stops) = (wanted(1, USB, 2 * MIB), wanted(2, USB, 2 * MIB));
    let part = 0..64 << 10;
    house.fake.source(USB, Way::Hang);
    let left = house.stream(&goes_on);
    let stopped = house
        .hydrator
        .stream(&stops, who("test"), WhenLeft::Stop, IfFull::Fail)
        .unwrap();
    let waits = [
        left.wait(part.clone(), Priority::Copier),
        stopped.wait(part.clone(), Priority::Copier),
    ];
    house.fake.source(USB, Way::Well);
    for waiting in waits {
        soon(waiting).await;
    }
    house.fake.source(USB, Way::Hang);
    let ids = (left.task(), stopped.task());
    drop((left, stopped));
    assert_eq!(house.outcome(ids.1).await, TaskPhase::Cancelled);
    house.fake.source(USB, Way::Well);
    assert!(matches!(house.outcome(ids.0).await, TaskPhase::Done { .. }));

    // What had arrived of the other is not read again, not even after a new start.
    house
        .wants("letting go", |h| {
            h.store.dormant_partials().unwrap().len() == 1
        })
        .await;
    let arrived = house.fake.reads_of(2);
    house.restart();
    assert_eq!(house.hydrator.resume(|_| false).unwrap(), []);
    let resumed = house.hydrator.resume(|wanted| *wanted == stops).unwrap();
    assert_eq!(resumed.len(), 1);
    assert!(matches!(
        house.outcome(resumed[0]).await,
        TaskPhase::Done { .. }
    ));
    let again = &house.fake.reads_of(2)[arrived.len()..];
    assert!(again.iter().all(|range| range.start >= part.end));
    assert!(house.store.contains(&true_object(&stops)).unwrap());
    house.ends_clean();
}

#[tokio::test]
async fn a_stream_that_is_to_stop_does_not_stop_what_others_want() {
    let house = House::new();
    house.fake.source(USB, Way::Hang);
    let item = wanted(1, USB, MIB);
    let open = || {
        house
            .hydrator
            .stream(&item, who("test"), WhenLeft::Stop, IfFull::Fail)
            .unwrap()
    };
    let (first, second) = (open(), open());
    let id = first.task();
    drop(first);
    assert!(!house.hydrator.task(id).unwrap().phase.is_over());
    house.hydrator.ask(&item, Why::ByHand);
    drop(second);
    assert!(!house.hydrator.task(id).unwrap().phase.is_over());
    house.fake.source(USB, Way::Well);
    assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
    house.ends_clean();
}

#[tokio::test]
async fn tasks_that_are_over_are_remembered_for_a_while() {
    let house = House::with(
        Limits {
            remembered: 3,
            ..Limits::default()
        },
        1 << 30,
    );
    let mut ids = Vec::new();
    for place in 1..=5 {
        let id = house.hydrator.ask(&wanted(place, USB, 10), Why::ByHand);
        house.outcome(id).await;
        ids.push(id);
    }
    let known: Vec<_> = house.hydrator.tasks().iter().map(|task| task.id).collect();
    assert_eq!(known, ids[2..]);
    assert!(soon(house.hydrator.wait(ids[0])).await.is_none());
    assert!(soon(house.hydrator.wait(ids[4])).await.is_some());
    house.ends_clean();
}

#[tokio::test]
async fn whoever_is_told_may_take_its_time_and_fail() {
    struct Slow(Arc<Mutex<()>>);
    impl Told for Slow {
        fn task(&self, _: &TaskState) {
            drop(self.0.lock());
            panic!("as the test wants it");
        }
        fn arrived(&self, _: &Wanted, _: ObjectHash) {}
        fn answered(&self, _: SourceNo) {}
        fn failed(&self, _: &Wanted, _: &HydrateError) {}
    }
    let house = House::new();
    let held = Arc::new(Mutex::new(()));
    let store = house.store.clone();
    let hydrator = Hydrator::new(
        Arc::new(move || Ok(store.clone())),
        Arc::clone(&house.fake) as Arc<dyn Fetch>,
        Arc::new(Slow(Arc::clone(&held))),
        Limits::default(),
    );
    let lock = held.lock();
    let ids: Vec<_> = (1..=20)
        .map(|place| hydrator.ask(&wanted(place, USB, MIB), Why::ByHand))
        .collect();
    let mut waits = Vec::new();
    for id in ids {
        waits.push(hydrator.wait(id));
    }
    // Bound to this thread, so nothing is awaited while it is held.
    let over = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let mut over = 0;
                    for wait in waits {
                        over += usize::from(soon(wait).await.unwrap().phase.is_over());
                    }
                    over
                })
            })
            .join()
            .unwrap()
    });
    assert_eq!(over, 20);
    drop(lock);
    assert!(hydrator.shutdown());
    house.ends_clean();
}

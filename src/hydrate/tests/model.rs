//! Random waits, cancels, asks, and sources that change their ways, with these rules checked: every waiter is answered,
//! bytes that are read are the true ones, what was said to have arrived can be read, what a handle has shown stays,
//! and in the end nothing is reserved and nothing runs.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

const SIZE: u64 = 600 << 10;
const PLACES: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Stream {
        place: u32,
        stop: bool,
    },
    Close {
        stream: usize,
    },
    Wait {
        stream: usize,
        at: u64,
        length: u64,
        player: bool,
    },
    Leave {
        wait: usize,
    },
    Read {
        stream: usize,
        at: u64,
        length: u64,
    },
    Ask {
        place: u32,
    },
    Cancel {
        place: u32,
    },
    Way {
        source: bool,
        way: usize,
    },
    Back {
        source: bool,
    },
    Away {
        source: bool,
    },
    Time {
        millis: u64,
    },
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let at = || (0..SIZE + 100, 1..300_000u64);
    prop_oneof![
        4 => (0..PLACES, any::<bool>()).prop_map(|(place, stop)| Step::Stream { place, stop }),
        2 => any::<usize>().prop_map(|stream| Step::Close { stream }),
        8 => (any::<usize>(), at(), any::<bool>())
            .prop_map(|(stream, (at, length), player)| Step::Wait { stream, at, length, player }),
        3 => any::<usize>().prop_map(|wait| Step::Leave { wait }),
        4 => (any::<usize>(), at()).prop_map(|(stream, (at, length))| Step::Read { stream, at, length }),
        2 => (0..PLACES).prop_map(|place| Step::Ask { place }),
        1 => (0..PLACES).prop_map(|place| Step::Cancel { place }),
        4 => (any::<bool>(), 0..6usize).prop_map(|(source, way)| Step::Way { source, way }),
        1 => any::<bool>().prop_map(|source| Step::Back { source }),
        1 => any::<bool>().prop_map(|source| Step::Away { source }),
        2 => (0..8000u64).prop_map(|millis| Step::Time { millis }),
        2 => Just(Step::Settle),
    ]
}

fn source_of(place: u32) -> SourceNo {
    if place.is_multiple_of(2) { USB } else { CLOUD }
}

fn item(place: u32) -> Wanted {
    wanted(place, source_of(place), SIZE)
}

fn way(number: usize) -> Way {
    match number {
        0 => Way::Hang,
        1 => Way::Fail(FetchError::Hung {
            again_in: Duration::from_secs(1),
        }),
        2 => Way::Fail(FetchError::Offline {
            reason: "away".to_owned(),
        }),
        3 => Way::Fail(FetchError::Failed {
            reason: "a loose cable".to_owned(),
            transient: true,
        }),
        _ => Way::Well,
    }
}

/// A stream, and the ranges that it has shown or said to have.
struct Open {
    stream: Stream,
    has: Vec<Range<u64>>,
}

impl Open {
    /// What is there is true, and what was there still is.
    fn check(&mut self, range: Range<u64>) {
        let place = self.stream.wanted().place.0;
        if let Some(bytes) = read(&self.stream, range.clone()) {
            let end = range.end.min(SIZE);
            let start = range.start.min(end);
            assert!(
                bytes == truth(place, start..end),
                "other bytes than the true"
            );
            self.has.push(range);
        }
        for range in &self.has {
            assert!(
                read(&self.stream, range.clone()).is_some(),
                "{range:?} was there"
            );
        }
    }
}

struct Pending {
    stream: usize,
    range: Range<u64>,
    waiting: Waiting,
}

async fn play(steps: Vec<Step>, exercised: &AtomicUsize) {
    let house = House::new();
    let mut streams: Vec<Option<Open>> = Vec::new();
    let mut waits: Vec<Pending> = Vec::new();
    let source = |first| if first { USB } else { CLOUD };
    for step in steps {
        match step {
            Step::Stream { place, stop } => {
                let left = if stop { WhenLeft::Stop } else { WhenLeft::GoOn };
                let stream = house
                    .hydrator
                    .stream(&item(place), who("model"), left, IfFull::Pass)
                    .unwrap();
                let has = Vec::new();
                streams.push(Some(Open { stream, has }));
            }
            Step::Close { stream } if !streams.is_empty() => {
                let index = stream % streams.len();
                streams[index] = None;
            }
            Step::Wait {
                stream,
                at,
                length,
                player,
            } if !streams.is_empty() => {
                let index = stream % streams.len();
                if let Some(open) = &streams[index] {
                    let priority = if player {
                        Priority::Player
                    } else {
                        Priority::Copier
                    };
                    let range = at..at + length;
                    waits.push(Pending {
                        stream: index,
                        range: range.clone(),
                        waiting: open.stream.wait(range, priority),
                    });
                }
            }
            Step::Leave { wait } if !waits.is_empty() => {
                let index = wait % waits.len();
                waits.swap_remove(index);
            }
            Step::Read { stream, at, length } if !streams.is_empty() => {
                let index = stream % streams.len();
                if let Some(open) = &mut streams[index] {
                    open.check(at..at + length);
                }
            }
            Step::Ask { place } => {
                house.hydrator.ask(&item(place), Why::ByHand);
            }
            Step::Cancel { place } => {
                if let Some(id) = house.hydrator.task_of(&item(place)) {
                    house.hydrator.cancel(id);
                }
            }
            Step::Way {
                source: first,
                way: number,
            } => {
                house.fake.source(source(first), way(number));
            }
            Step::Back { source: first } => house.hydrator.source_is_back(source(first)),
            Step::Away { source: first } => house.hydrator.source_is_away(source(first), "away"),
            Step::Time { millis } => house.clock.advance(Duration::from_millis(millis)),
            Step::Settle => tokio::time::sleep(Duration::from_millis(3)).await,
            Step::Close { .. } | Step::Wait { .. } | Step::Leave { .. } | Step::Read { .. } => {}
        }
    }

    // In the end everything goes well, and everybody is answered.
    for source in [USB, CLOUD] {
        house.fake.source(source, Way::Well);
        house.hydrator.source_is_back(source);
    }
    let clock = Arc::clone(&house.clock);
    let ticking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            clock.advance(Duration::from_secs(1));
        }
    });
    for pending in waits {
        let answer = soon(pending.waiting).await;
        if let (Arrival::Arrived, Some(open)) = (answer, &mut streams[pending.stream]) {
            assert!(
                open.stream.has_arrived(pending.range.clone()),
                "it was said to have arrived"
            );
            open.check(pending.range);
            exercised.fetch_add(1, Ordering::Relaxed);
        }
    }
    let places: Vec<_> = (0..PLACES).map(item).collect();
    for wanted in &places {
        let id = house.hydrator.ask(wanted, Why::Pinned);
        assert!(matches!(house.outcome(id).await, TaskPhase::Done { .. }));
        assert!(house.store.contains(&true_object(wanted)).unwrap());
    }
    ticking.abort();
    for open in streams.iter_mut().flatten() {
        open.check(0..10);
    }
    streams.clear();
    house
        .wants("giving back", |h| {
            h.reserved() == 0 && h.store.usage().unwrap().open_objects == 0
        })
        .await;
    let running = |task: &TaskState| !task.phase.is_over();
    assert!(!house.hydrator.tasks().iter().any(running));
    house.ends_clean();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_everybody_is_answered_with_the_truth(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(steps, &AtomicUsize::new(0)));
    }
}

/// The model can't pass by doing nothing.
#[tokio::test]
async fn the_model_sees_arrivals() {
    let exercised = AtomicUsize::new(0);
    let wait = |at| Step::Wait {
        stream: 0,
        at,
        length: 1000,
        player: true,
    };
    let open = Step::Stream {
        place: 0,
        stop: false,
    };
    let hang = Step::Way {
        source: true,
        way: 0,
    };
    play(vec![hang, open, wait(0), wait(SIZE / 2)], &exercised).await;
    assert_eq!(exercised.load(Ordering::Relaxed), 2);
}

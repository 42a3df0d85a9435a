//! Random changes of sources, arrivals, evictions, opens and reads against a simple model.
//!
//! What must hold, whatever happens in whatever order:
//! - a copier gets the true bytes or an error;
//! - a byte of a node is never shown in two ways, whoever reads it when;
//! - a player never gets an error of what facts are known of;
//! - every open and read is answered within its deadline;
//! - in the end nobody holds anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs::config::Deadlines;
use mediafs::hydrate::Why;
use mediafs::model::{SourceKind, SourceState};
use mediafs::tree::class::Class;
use mediafs::tree::node::Face;
use mediafs_cache::{Eviction, StoreOptions};
use mediafs_platform::drive::{DriveError, Entry, NodeId};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::courier::Manner;
use super::noise::wav;
use super::programs::{Handle, NOBODY};
use super::world::{File, Known, Place, World};

const SHORT: Deadlines = Deadlines {
    player: Duration::from_millis(20),
    loader: Duration::from_millis(60),
    copier: Duration::from_millis(80),
};
/// On a machine that is busy with other tests.
const SLACK: Duration = Duration::from_millis(400);

const FILES: usize = 5;
const SOURCES: usize = 2;
const SIZE: u32 = 600_000;

#[derive(Clone, Debug)]
enum Step {
    State(usize, SourceState),
    Manner(usize, Manner),
    Ask(usize),
    Evict(usize),
    Replace(usize, u64),
    Open(usize, Class),
    /// What was looked up last by that class, however long ago.
    OpenOld(usize, Class),
    Read(usize, u32, u32),
    Close(usize),
    Nap(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop_oneof![
        3 => Just(Class::Player),
        1 => Just(Class::Loader),
        2 => Just(Class::Copier),
        1 => Just(Class::Indexer)
    ];
    let state = prop_oneof![
        4 => Just(SourceState::Online),
        1 => Just(SourceState::Suspended),
        1 => Just(SourceState::Ejected),
        1 => Just(SourceState::Absent),
    ];
    let manner = prop_oneof![
        3 => Just(Manner::Answers),
        2 => (5..60u64).prop_map(|ms| Manner::Slow(Duration::from_millis(ms))),
        1 => Just(Manner::Hangs),
        4 => (1..u64::from(SIZE)).prop_map(Manner::AnswersTo),
        1 => Just(Manner::Offline),
        1 => Just(Manner::Hung),
        1 => Just(Manner::Short),
        1 => Just(Manner::Gone),
    ];
    let file = 0..FILES;
    prop_oneof![
        2 => (0..SOURCES, state).prop_map(|(s, state)| Step::State(s, state)),
        3 => (0..SOURCES, manner).prop_map(|(s, manner)| Step::Manner(s, manner)),
        1 => file.clone().prop_map(Step::Ask),
        2 => file.clone().prop_map(Step::Evict),
        1 => (file.clone(), 1..50u64).prop_map(|(f, seed)| Step::Replace(f, seed)),
        8 => (file.clone(), class.clone()).prop_map(|(f, c)| Step::Open(f, c)),
        3 => (file, class).prop_map(|(f, c)| Step::OpenOld(f, c)),
        16 => (0..20usize, 0..SIZE + 1000, 1..300_000u32).prop_map(|(h, o, l)| Step::Read(h, o, l)),
        4 => (0..20usize).prop_map(Step::Close),
        3 => (0..20u64).prop_map(Step::Nap),
    ]
}

/// What there is of a generation of a file.
struct Truth {
    bytes: Vec<u8>,
    /// `None` where there are no facts.
    silence: Option<Vec<u8>>,
}

struct Held {
    handle: Handle,
    file: usize,
    class: Class,
    truth: Arc<Truth>,
}

/// What a node has shown while it was open.
#[derive(Default)]
struct Node {
    handles: usize,
    shown: Vec<Option<u8>>,
}

struct Model {
    world: World,
    places: Vec<Place>,
    files: Vec<(File, Known, Arc<Truth>)>,
    /// Of the generation that it was then.
    looked_up: HashMap<(usize, Class), (Entry, Arc<Truth>)>,
    handles: Vec<Held>,
    nodes: HashMap<NodeId, Node>,
    exercised: HashMap<&'static str, usize>,
}

fn truth(world: &World, file: &File, known: Known) -> Arc<Truth> {
    Arc::new(Truth {
        bytes: file.bytes.clone(),
        silence: (known == Known::Facts).then(|| world.silence(file)),
    })
}

fn longest(class: Class) -> Duration {
    match class {
        Class::Player => SHORT.player,
        Class::Loader => SHORT.loader,
        _ => SHORT.copier,
    }
}

fn plays(class: Class) -> bool {
    matches!(class, Class::Player | Class::Loader)
}

impl Model {
    fn new() -> Self {
        let world = World::with(SHORT, StoreOptions::default());
        let volume = world.source(SourceKind::Volume);
        let cloud = world.source(SourceKind::Cloud);
        let places = vec![volume, cloud];
        let text = vec![b'x'; 30_000];
        let files = [
            (volume, "0.wav", wav(16, SIZE, 100), Known::Facts),
            (cloud, "1.wav", wav(8, SIZE, 101), Known::Facts),
            (volume, "2.wav", wav(16, SIZE, 102), Known::Name),
            (volume, "3.sfz", text, Known::NoMedia),
            (cloud, "4.wav", wav(16, SIZE, 104), Known::Facts),
        ];
        let files: Vec<_> = files
            .into_iter()
            .map(|(at, name, bytes, known)| {
                let file = world.put(at, name, &bytes, known);
                let truth = truth(&world, &file, known);
                (file, known, truth)
            })
            .collect();
        world.set_online_only(&files[1].0);
        world.know_hash(&files[4].0);
        Self {
            world,
            places,
            files,
            looked_up: HashMap::new(),
            handles: Vec::new(),
            nodes: HashMap::new(),
            exercised: HashMap::new(),
        }
    }

    fn happened(&mut self, what: &'static str) {
        *self.exercised.entry(what).or_default() += 1;
    }

    fn opened(&mut self, file: usize, handle: Handle, class: Class, truth: Arc<Truth>) {
        assert_eq!(
            handle.entry.attributes.size,
            truth.bytes.len() as u64,
            "as long as the look-up said"
        );
        match handle.face() {
            Some(Face::Bytes) => self.happened("bytes"),
            Some(Face::Silence) => self.happened("silence"),
            Some(Face::Stream) => self.happened("stream"),
            Some(Face::Withheld) | None => self.happened("waits"),
        }
        if matches!(handle.face(), Some(Face::Silence | Face::Stream)) {
            assert!(plays(class), "{class:?} was given silence");
        }
        let node = self.nodes.entry(handle.entry.node).or_default();
        node.handles += 1;
        node.shown.resize(truth.bytes.len(), None);
        self.handles.push(Held {
            handle,
            file,
            class,
            truth,
        });
    }

    fn refused(&mut self, class: Class, known: Known, error: DriveError) {
        assert!(
            !(plays(class) && known == Known::Facts),
            "a {class:?} got {error:?}"
        );
        match error {
            DriveError::NotNow => assert_eq!(class, Class::Indexer),
            DriveError::Missing => assert!(class == Class::Player && known == Known::Name),
            DriveError::NoMedium | DriveError::Unreachable => {}
            other => panic!("a {class:?} got {other:?}"),
        }
        self.happened("refused");
    }

    fn open(&mut self, file: usize, class: Class) {
        let (of, known, truth) = &self.files[file];
        let (known, truth) = (*known, Arc::clone(truth));
        let entry = self.world.lookup_as(of, class).unwrap();
        let begun = Instant::now();
        let opened = self.world.open(of, class);
        let took = begun.elapsed();
        // Twice, if it was another node meanwhile.
        assert!(took < longest(class) * 2 + SLACK, "{class:?} {took:?}");
        self.looked_up
            .insert((file, class), (entry, Arc::clone(&truth)));
        match opened {
            Ok(handle) => self.opened(file, handle, class, truth),
            Err(error) => self.refused(class, known, error),
        }
    }

    fn open_old(&mut self, file: usize, class: Class) {
        let Some((entry, truth)) = self.looked_up.get(&(file, class)).cloned() else {
            return;
        };
        match self.world.open_node(entry, &NOBODY) {
            Ok(handle) => {
                self.happened("old node opened");
                self.opened(file, handle, class, truth);
            }
            Err(DriveError::Stale) => self.happened("stale"),
            Err(error) => {
                let known = self.files[file].1;
                self.refused(class, known, error);
            }
        }
    }

    fn read(&mut self, at: usize, offset: u32, length: u32) {
        let Some(held) = self.handles.get(at) else {
            return;
        };
        let (class, truth, face) = (held.class, Arc::clone(&held.truth), held.handle.face());
        let begun = Instant::now();
        let read = self.world.read(&held.handle, u64::from(offset), length);
        let took = begun.elapsed();
        assert!(took < longest(class) + SLACK, "{class:?} {took:?}");
        let start = (offset as usize).min(truth.bytes.len());
        let end = (start + length as usize).min(truth.bytes.len());
        let true_bytes = &truth.bytes[start..end];
        let node = held.handle.entry.node;
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                assert!(
                    matches!(face, Some(Face::Withheld) | None),
                    "{class:?} of {face:?} got {error:?}"
                );
                let fits = matches!(
                    error,
                    DriveError::TimedOut
                        | DriveError::NoMedium
                        | DriveError::Unreachable
                        | DriveError::Missing
                        | DriveError::Io
                );
                assert!(fits, "{class:?} got {error:?}");
                return self.happened("failed to read");
            }
        };
        assert_eq!(bytes.len(), true_bytes.len(), "no read is short");
        match (face, &truth.silence) {
            (Some(Face::Bytes), _) => assert!(bytes == true_bytes),
            (Some(Face::Withheld) | None, _) => {
                assert!(bytes == true_bytes, "not what is there");
                self.happened("waited for");
            }
            (Some(Face::Silence), Some(silence)) => assert!(bytes == silence[start..end]),
            (Some(Face::Stream), Some(silence)) => {
                let silence = &silence[start..end];
                let mut both = bytes.iter().zip(true_bytes).zip(silence);
                let fits = both.all(|((byte, sound), silence)| byte == sound || byte == silence);
                assert!(fits, "neither sound nor silence");
                if bytes == true_bytes {
                    self.happened("sound");
                } else if bytes == silence {
                    self.happened("late");
                } else {
                    self.happened("partly late");
                }
            }
            (face, None) => panic!("{face:?} of what no facts are known of"),
        }
        let shown = &mut self.nodes.get_mut(&node).unwrap().shown;
        for (known, byte) in shown[start..end].iter_mut().zip(&bytes) {
            assert_eq!(*known.get_or_insert(*byte), *byte, "shown in two ways");
        }
    }

    fn close(&mut self, at: usize) {
        if at >= self.handles.len() {
            return;
        }
        let held = self.handles.swap_remove(at);
        let node = held.handle.entry.node;
        self.world.close(held.handle);
        if let Some(known) = self.nodes.get_mut(&node) {
            known.handles -= 1;
            if known.handles == 0 {
                self.nodes.remove(&node);
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::State(source, state) => self.world.set_state(self.places[*source], *state),
            Step::Manner(source, manner) => self.world.be(self.places[*source], manner.clone()),
            Step::Ask(file) => {
                let wanted = self.world.wanted(&self.files[*file].0);
                self.world.hydrator.ask(&wanted, Why::Background);
            }
            Step::Evict(file) => {
                // What is open stays.
                while let Some(at) = self.handles.iter().position(|held| held.file == *file) {
                    self.close(at);
                }
                let hash = self.files[*file].0.hash();
                if self.world.evict_soon(hash) == Eviction::Evicted {
                    self.happened("evicted");
                }
            }
            Step::Replace(file, seed) => {
                let (of, known, _) = &mut self.files[*file];
                if *known == Known::Facts {
                    self.world.replace(of, &wav(16, SIZE - 100, *seed));
                    self.files[*file].2 = truth(&self.world, &self.files[*file].0, Known::Facts);
                }
            }
            Step::Open(file, class) => self.open(*file, *class),
            Step::OpenOld(file, class) => self.open_old(*file, *class),
            Step::Read(at, offset, length) => self.read(*at, *offset, *length),
            Step::Close(at) => self.close(*at),
            Step::Nap(ms) => std::thread::sleep(Duration::from_millis(*ms)),
        }
    }

    fn end(&mut self) {
        while !self.handles.is_empty() {
            self.close(0);
        }
        self.world.nothing_is_left();
        self.world.couriers.end();
        assert!(self.world.hydrator.shutdown(), "every thread has ended");
        self.world.store.evict_bytes(u64::MAX).unwrap();
        assert_eq!(self.world.store.usage().unwrap().used(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_away_keeps_the_promises(steps in prop::collection::vec(step(), 1..80)) {
        let mut model = Model::new();
        for step in &steps {
            model.run(step);
        }
        model.end();
    }
}

/// The model is worth nothing if it never gets to the cases that matter.
#[test]
fn the_model_gets_everywhere() {
    let mut model = Model::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..2000 {
        let step = step().new_tree(&mut runner).unwrap().current();
        model.run(&step);
    }
    model.end();
    for what in [
        "bytes",
        "silence",
        "stream",
        "waits",
        "refused",
        "stale",
        "old node opened",
        "failed to read",
        "waited for",
        "sound",
        "late",
        "evicted",
    ] {
        let often = model.exercised.get(what).copied().unwrap_or(0);
        assert!(often > 1, "{what}: {:?}", model.exercised);
    }
}

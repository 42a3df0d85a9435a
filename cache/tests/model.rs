//! The store against a plain reference: random operations, also a crash, and after each of them what the ledger says,
//! what lies on the disk and what the reference says must be the same.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use mediafs_cache::{
    CacheError, Eviction, ObjectId, OpenObject, Partial, PinOwner, Staged, Store, Verified,
};
use proptest::prelude::*;
use support::reference::{Arriving, OWNERS, Reference, content, size};
use support::*;

#[derive(Clone, Debug)]
enum Op {
    Put(usize),
    Stage(usize, bool),
    StagedEnd(bool),
    Open(usize),
    Close(usize),
    Pin(usize, usize),
    Unpin(usize, usize),
    Evict(usize),
    EvictBytes(u64),
    SetQuota(u64),
    Begin(usize),
    Resume(usize),
    Write(usize, u8, u8),
    Checkpoint(usize),
    Keep(usize),
    DropPartial(usize),
    Discard(usize),
    Complete(usize),
    Damage(usize),
    Reconcile,
    Reopen,
    Crash { lose_index: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let number = 0..8usize;
    let owner = 0..OWNERS.len();
    prop_oneof![
        6 => number.clone().prop_map(Op::Put),
        1 => (number.clone(), any::<bool>()).prop_map(|(n, known)| Op::Stage(n, known)),
        1 => any::<bool>().prop_map(Op::StagedEnd),
        4 => number.clone().prop_map(Op::Open),
        3 => (0..4usize).prop_map(Op::Close),
        2 => (owner.clone(), number.clone()).prop_map(|(o, n)| Op::Pin(o, n)),
        2 => (owner, number.clone()).prop_map(|(o, n)| Op::Unpin(o, n)),
        2 => number.clone().prop_map(Op::Evict),
        1 => (0..300u64).prop_map(Op::EvictBytes),
        1 => (100..600u64).prop_map(Op::SetQuota),
        4 => number.clone().prop_map(Op::Begin),
        3 => number.clone().prop_map(Op::Resume),
        5 => (number.clone(), any::<u8>(), any::<u8>()).prop_map(|(n, a, b)| Op::Write(n, a, b)),
        2 => number.clone().prop_map(Op::Checkpoint),
        2 => number.clone().prop_map(Op::Keep),
        2 => number.clone().prop_map(Op::DropPartial),
        1 => number.clone().prop_map(Op::Discard),
        4 => number.clone().prop_map(Op::Complete),
        1 => number.prop_map(Op::Damage),
        1 => Just(Op::Reconcile),
        1 => Just(Op::Reopen),
        1 => (0..4u8).prop_map(|n| Op::Crash { lose_index: n == 0 }),
    ]
}

/// The real thing, beside the reference.
struct World {
    _folder: tempfile::TempDir,
    root: PathBuf,
    caches: u32,
    store: Option<Store>,
    open: Vec<(usize, OpenObject)>,
    staged: Option<(usize, Staged)>,
    partials: BTreeMap<usize, Partial>,
    reference: Reference,
    /// The quota was lowered below what must stay: then it is exceeded until that goes.
    may_exceed: bool,
}

fn key(number: usize) -> String {
    format!("sound {number}")
}

impl World {
    fn new(quota: u64) -> Self {
        // In memory where there is such a folder: this is about sums, not about power cuts.
        let shm = Path::new("/dev/shm");
        let folder = if shm.is_dir() {
            tempfile::tempdir_in(shm)
        } else {
            tempfile::tempdir()
        }
        .unwrap();
        let root = folder.path().join("0");
        let store = Some(Store::open(&root, options(quota)).unwrap());
        let reference = Reference {
            quota,
            ..Reference::default()
        };
        Self {
            _folder: folder,
            root,
            caches: 0,
            store,
            open: Vec::new(),
            staged: None,
            partials: BTreeMap::new(),
            reference,
            may_exceed: false,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn expect_full<T: std::fmt::Debug>(answer: Result<T, CacheError>) {
        let error = answer.unwrap_err();
        assert!(error.is_full(), "{error:?}");
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Put(n) => {
                let bytes = content(n);
                let answer = self.store().put(&bytes[..], Some(bytes.len() as u64), None);
                if self.reference.reserve(bytes.len() as u64) {
                    assert_eq!(answer.unwrap().id(), ObjectId::of(&bytes));
                    self.reference.arrives(n);
                } else {
                    Self::expect_full(answer.map(|_| ()));
                }
            }
            Op::Stage(n, known) => {
                self.end_staged(false);
                let (bytes, whole) = (content(n), size(n) as u64);
                let answer = self
                    .store()
                    .stage(known.then_some(whole))
                    .and_then(|mut staged| staged.append(&bytes).map(|()| staged));
                if self.reference.reserve(whole) {
                    self.staged = Some((n, answer.unwrap()));
                    self.reference.staged = whole;
                } else {
                    Self::expect_full(answer);
                }
            }
            Op::StagedEnd(commit) => self.end_staged(commit),
            Op::Open(n) => {
                let object = self
                    .store()
                    .open_object(&ObjectId::of(&content(n)))
                    .unwrap();
                assert_eq!(
                    object.is_some(),
                    self.reference.objects.contains_key(&n),
                    "sound {n}"
                );
                if let Some(object) = object {
                    self.reference.arrives(n);
                    self.reference.open.push(n);
                    self.open.push((n, object));
                }
            }
            Op::Close(at) if at < self.open.len() => {
                let (n, object) = self.open.remove(at);
                drop(object);
                self.reference.open.remove(at);
                let used = self.reference.tick();
                self.reference
                    .objects
                    .entry(n)
                    .and_modify(|last| *last = used);
            }
            Op::Pin(owner, n) => {
                let absent = self
                    .store()
                    .pin(
                        &PinOwner::new(OWNERS[owner]).unwrap(),
                        &[ObjectId::of(&content(n))],
                    )
                    .unwrap();
                assert_eq!(absent.is_empty(), self.reference.objects.contains_key(&n));
                self.reference.pins.insert((owner, n));
            }
            Op::Unpin(owner, n) => {
                self.store()
                    .unpin(
                        &PinOwner::new(OWNERS[owner]).unwrap(),
                        &[ObjectId::of(&content(n))],
                    )
                    .unwrap();
                self.reference.pins.remove(&(owner, n));
            }
            Op::Evict(n) => {
                let eviction = self.store().evict(&ObjectId::of(&content(n))).unwrap();
                let expected = match self.reference.objects.contains_key(&n) {
                    false => Eviction::Absent,
                    true if self.reference.open.contains(&n) => Eviction::InUse,
                    true if self.reference.is_pinned(n) => Eviction::Pinned,
                    true => Eviction::Evicted,
                };
                assert_eq!(eviction, expected);
                if eviction == Eviction::Evicted {
                    self.reference.objects.remove(&n);
                }
            }
            Op::EvictBytes(bytes) => {
                let freed = self.store().evict_bytes(bytes).unwrap();
                assert_eq!(freed, self.reference.make_room(bytes, true));
            }
            Op::SetQuota(quota) => {
                self.store().set_quota(quota).unwrap();
                self.reference.quota = quota;
                self.evict_excess();
            }
            Op::Begin(n) => {
                let answer = self.store().begin_partial(spec(&key(n), &content(n)));
                if let Some(arriving) = self.reference.partials.get_mut(&n) {
                    // Going on needs no new room.
                    arriving.live = true;
                    let partial = answer.unwrap();
                    assert_eq!(partial.arrived_bytes(), arriving.arrived.len() as u64);
                    self.partials.insert(n, partial);
                } else if self.reference.reserve(size(n) as u64) {
                    self.partials.insert(n, answer.unwrap());
                    let used = self.reference.tick();
                    let none = BTreeSet::new();
                    self.reference.partials.insert(
                        n,
                        Arriving {
                            arrived: none.clone(),
                            checkpointed: none,
                            live: true,
                            keep: false,
                            used,
                        },
                    );
                } else {
                    Self::expect_full(answer);
                }
            }
            Op::Resume(at) => {
                let mut dormant = self
                    .reference
                    .partials
                    .iter()
                    .filter(|(_, arriving)| !arriving.live);
                let chosen = dormant.nth(at % dormant.clone().count().max(1));
                if let Some(n) = chosen.map(|(&n, _)| n) {
                    self.apply(Op::Begin(n));
                }
            }
            Op::Write(at, a, b) => {
                let Some(n) = self.arriving(at) else { return };
                let Some(partial) = self.partials.get(&n) else {
                    return;
                };
                let range = part(size(n), a, b);
                partial
                    .write_at(range.start as u64, &content(n)[range.clone()])
                    .unwrap();
                let arriving = self.reference.partials.get_mut(&n).unwrap();
                arriving.arrived.extend(range.map(|at| at as u64));
            }
            Op::Checkpoint(at) => {
                let Some(n) = self.arriving(at) else { return };
                let Some(partial) = self.partials.get(&n) else {
                    return;
                };
                partial.checkpoint().unwrap();
                let arriving = self.reference.partials.get_mut(&n).unwrap();
                arriving.checkpointed = arriving.arrived.clone();
            }
            Op::Keep(at) => {
                let Some(n) = self.arriving(at) else { return };
                let Some(partial) = self.partials.get(&n) else {
                    return;
                };
                partial.keep();
                self.reference.partials.get_mut(&n).unwrap().keep = true;
            }
            Op::DropPartial(at) => {
                let Some(n) = self.arriving(at) else { return };
                self.drop_partial(n);
            }
            Op::Discard(at) => {
                let Some(n) = self.arriving(at) else { return };
                let Some(partial) = self.partials.remove(&n) else {
                    return;
                };
                partial.discard().unwrap();
                self.reference.partials.remove(&n);
            }
            Op::Complete(at) => {
                let Some(n) = self.arriving(at) else { return };
                let Some(partial) = self.partials.get(&n) else {
                    return;
                };
                let answer = partial.complete();
                if self.reference.partials[&n].arrived.len() < size(n) {
                    assert!(
                        matches!(answer, Err(CacheError::Incomplete { .. })),
                        "{answer:?}"
                    );
                } else {
                    assert_eq!(answer.unwrap().id(), ObjectId::of(&content(n)));
                    self.partials.remove(&n);
                    self.reference.partials.remove(&n);
                    self.reference.arrives(n);
                }
            }
            Op::Damage(n) => {
                let id = ObjectId::of(&content(n));
                if size(n) == 0 || !self.reference.objects.contains_key(&n) {
                    return;
                }
                let path = self.store().object_path(&id);
                replace_object(&path, &sound(999, size(n)));
                assert!(matches!(
                    self.store().verify(&id).unwrap(),
                    Verified::Damaged(_)
                ));
                self.reference.objects.remove(&n);
                self.reference.damaged += size(n) as u64;
            }
            Op::Reconcile => {
                let report = self.store().reconcile().unwrap();
                assert!(
                    report.found.is_empty()
                        && report.vanished.is_empty()
                        && report.damaged.is_empty()
                        && report.strangers.is_empty(),
                    "{report:?}"
                );
                assert_eq!((report.temps_removed, report.partials_removed), (0, 0));
                self.evict_excess();
            }
            Op::Reopen => {
                self.close();
                self.store = None;
                self.store = Some(Store::open(&self.root, options(self.reference.quota)).unwrap());
                assert!(!self.store().opening().needs_reconcile);
            }
            Op::Crash { lose_index } => self.crash(lose_index),
            Op::Close(_) => {}
        }
    }

    /// One of those that are being filled, or few operations would ever meet one.
    fn arriving(&self, at: usize) -> Option<usize> {
        self.partials
            .keys()
            .nth(at % self.partials.len().max(1))
            .copied()
    }

    fn end_staged(&mut self, commit: bool) {
        let Some((n, staged)) = self.staged.take() else {
            return;
        };
        self.reference.staged = 0;
        if commit {
            assert_eq!(staged.commit(None).unwrap().id(), ObjectId::of(&content(n)));
            self.reference.arrives(n);
        }
    }

    fn drop_partial(&mut self, n: usize) {
        if self.partials.remove(&n).is_none() {
            return;
        }
        let used = self.reference.tick();
        let arriving = self.reference.partials.get_mut(&n).unwrap();
        if arriving.keep {
            *arriving = Arriving {
                checkpointed: arriving.arrived.clone(),
                live: false,
                keep: false,
                used,
                ..arriving.clone()
            };
        } else {
            self.reference.partials.remove(&n);
        }
    }

    fn evict_excess(&mut self) {
        let excess = self.reference.used().saturating_sub(self.reference.quota);
        if excess > 0 {
            self.reference.make_room(excess, true);
        }
        self.may_exceed = self.reference.used() > self.reference.quota;
    }

    /// Lets go of all handles, in an order that both sides know.
    fn close(&mut self) {
        self.end_staged(false);
        while !self.open.is_empty() {
            self.apply(Op::Close(0));
        }
        for n in self.partials.keys().copied().collect::<Vec<_>>() {
            self.drop_partial(n);
        }
    }

    /// As if the process had been killed: what lies on the disk at this moment is all that the next one has.
    fn crash(&mut self, lose_index: bool) {
        self.store().flush().unwrap();
        self.caches += 1;
        let next = self.root.with_file_name(self.caches.to_string());
        copy(&self.root, &next);
        self.open.clear();
        self.staged = None;
        self.partials.clear();
        self.store = None;
        remove_all(&self.root);
        if lose_index {
            for suffix in ["", "-wal"] {
                let _ = fs::remove_file(next.join(format!("index.sqlite{suffix}")));
            }
        }
        self.root = next;
        self.store = Some(Store::open(&self.root, options(self.reference.quota)).unwrap());
        let reference = &mut self.reference;
        reference.open.clear();
        reference.staged = 0;
        for arriving in reference.partials.values_mut() {
            *arriving = Arriving {
                arrived: arriving.checkpointed.clone(),
                live: false,
                keep: false,
                ..arriving.clone()
            };
        }
        let report = self.store().reconcile().unwrap();
        assert!(
            report.vanished.is_empty() && report.damaged.is_empty() && report.partials_removed == 0,
            "{report:?}"
        );
        if lose_index {
            // The order of last uses is what is lost. It becomes the order of names, objects first.
            assert_eq!(report.found.len(), self.reference.objects.len());
            for n in report.found.iter().map(number_of).collect::<Vec<_>>() {
                self.reference.arrives(n);
            }
            let mut partials: Vec<_> = self.reference.partials.keys().copied().collect();
            partials.sort_by_key(|&n| *blake3::hash(key(n).as_bytes()).as_bytes());
            for n in partials {
                let used = self.reference.tick();
                self.reference.partials.get_mut(&n).unwrap().used = used;
            }
        }
        self.evict_excess();
    }

    fn check(&self) {
        let (store, reference) = (self.store(), &self.reference);
        let usage = store.usage().unwrap();
        assert_eq!(usage.used(), reference.used(), "{usage:?}");
        assert!(usage.counted);
        assert!(
            self.may_exceed || usage.used() <= usage.quota,
            "above the quota: {usage:?}"
        );
        assert_eq!(usage.damaged_bytes, reference.damaged);
        let cache = store.folder();
        assert_eq!(usage.object_bytes, bytes_beneath(&cache.join("objects")));
        assert_eq!(usage.damaged_bytes, bytes_beneath(&cache.join("damaged")));
        assert_eq!(
            usage.reserved_bytes,
            partial_bytes(cache) + bytes_beneath(&cache.join("temp"))
        );
        let pinned: usize = reference
            .objects
            .keys()
            .filter(|&&n| reference.is_pinned(n))
            .map(|&n| size(n))
            .sum();
        assert_eq!(usage.pinned_bytes, pinned as u64);
        assert_eq!(usage.objects, reference.objects.len() as u64);
        for n in 0..8 {
            let there = store.contains(&ObjectId::of(&content(n))).unwrap();
            assert_eq!(there, reference.objects.contains_key(&n), "sound {n}");
        }
        // Looked at through handles that are open already: opening would be a use.
        for (n, object) in &self.open {
            let mut bytes = vec![0; size(*n)];
            assert_eq!(object.read_at(&mut bytes, 0).unwrap(), size(*n));
            assert!(bytes == content(*n), "an open object has other bytes");
        }
        for (n, partial) in &self.partials {
            let arrived: BTreeSet<u64> = partial.arrived().iter().flatten().collect();
            assert_eq!(arrived, reference.partials[n].arrived);
            for range in partial.arrived().iter() {
                let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
                assert_eq!(
                    partial.read_at(&mut bytes, range.start).unwrap(),
                    Some(bytes.len())
                );
                assert!(
                    bytes == content(*n)[usize::try_from(range.start).unwrap()..][..bytes.len()]
                );
            }
        }
    }
}

fn number_of(id: &ObjectId) -> usize {
    (0..8).find(|&n| ObjectId::of(&content(n)) == *id).unwrap()
}

/// A part of a sound, by two numbers between 0 and 255.
fn part(size: usize, a: u8, b: u8) -> Range<usize> {
    let (a, b) = (size * usize::from(a) / 255, size * usize::from(b) / 255);
    // Every now and then all of it, or few would ever be complete.
    if a > b { 0..size } else { a..b }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            _ = fs::copy(&path, &target).unwrap()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_reference_says(quota in 250..600u64, ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::new(quota);
        for op in ops {
            world.apply(op);
            world.check();
        }
        world.close();
        world.check();
    }
}

/// Uses in the same millisecond get times that lie ahead of the clock. What comes after a crash must still be later.
#[test]
fn uses_after_a_crash_are_later_than_all_before() {
    let mut world = World::new(600);
    world.apply(Op::Put(1));
    for _ in 0..500 {
        world.apply(Op::Open(1));
        world.apply(Op::Close(0));
    }
    for n in 2..6 {
        world.apply(Op::Begin(n));
    }
    world.apply(Op::Crash { lose_index: false });
    world.apply(Op::Put(1));
    world.apply(Op::Put(0));
    for _ in 0..4 {
        world.apply(Op::EvictBytes(1));
        world.check();
    }
    assert!(world.reference.objects.contains_key(&1));
}

//! What a store must do, by the plainest rules: a list of what is there and a rule of what goes first. It knows nothing of
//! files or databases.
#![allow(unreachable_pub, dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use super::sound;

pub const OWNERS: [&str; 2] = ["project:1", "user"];

/// The sounds there are: number and size. Some are too large for the quota.
pub fn size(number: usize) -> usize {
    [0, 1, 40, 90, 100, 160, 250, 700][number]
}

pub fn content(number: usize) -> Vec<u8> {
    sound(number as u64, size(number))
}

/// A partial object of the reference.
#[derive(Clone, Debug)]
pub struct Arriving {
    pub arrived: BTreeSet<u64>,
    pub checkpointed: BTreeSet<u64>,
    pub live: bool,
    pub keep: bool,
    pub used: u64,
}

/// What must be true, by the plainest rules.
#[derive(Default)]
pub struct Reference {
    pub quota: u64,
    /// Number of the sound, last use.
    pub objects: BTreeMap<usize, u64>,
    pub partials: BTreeMap<usize, Arriving>,
    pub pins: BTreeSet<(usize, usize)>,
    pub open: Vec<usize>,
    pub staged: u64,
    pub damaged: u64,
    pub clock: u64,
}

impl Reference {
    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub fn used(&self) -> u64 {
        let objects: usize = self.objects.keys().map(|&n| size(n)).sum();
        let partials: usize = self.partials.keys().map(|&n| size(n)).sum();
        (objects + partials) as u64 + self.staged + self.damaged
    }

    pub fn stays(&self, number: usize) -> bool {
        self.open.contains(&number) || self.is_pinned(number)
    }

    pub fn is_pinned(&self, number: usize) -> bool {
        self.pins.iter().any(|(_, pinned)| *pinned == number)
    }

    /// Makes room for `bytes` more than there is. False, and nothing changed, if that can't be.
    pub fn reserve(&mut self, bytes: u64) -> bool {
        if bytes == 0 {
            // Nothing needs no room, even above a quota that was lowered.
            return true;
        }
        if bytes > self.quota {
            return false;
        }
        let excess = (self.used() + bytes).saturating_sub(self.quota);
        excess == 0 || self.make_room(excess, false) >= excess
    }

    pub fn make_room(&mut self, bytes: u64, even_if_less: bool) -> u64 {
        let mut freed = self.damaged;
        let mut order: Vec<(u64, bool, usize)> = Vec::new();
        order.extend(
            self.objects
                .iter()
                .filter(|(n, _)| !self.stays(**n))
                .map(|(&n, &used)| (used, true, n)),
        );
        order.extend(
            self.partials
                .iter()
                .filter(|(_, p)| !p.live)
                .map(|(&n, p)| (p.used, false, n)),
        );
        order.sort_unstable();
        let mut going = Vec::new();
        for (_, is_object, number) in order {
            if freed >= bytes {
                break;
            }
            freed += size(number) as u64;
            going.push((is_object, number));
        }
        if freed < bytes && !even_if_less {
            return 0;
        }
        if bytes > 0 {
            self.damaged = 0;
        } else {
            freed -= self.damaged;
        }
        for (is_object, number) in going {
            if is_object {
                self.objects.remove(&number);
            } else {
                self.partials.remove(&number);
            }
        }
        freed
    }

    pub fn arrives(&mut self, number: usize) {
        let used = self.tick();
        self.objects.insert(number, used);
    }
}

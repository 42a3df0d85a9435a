//! A set of byte ranges: which parts of a partial object have arrived.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of bytes, kept as disjoint ranges that do not touch. Empty ranges are never in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// Start of each range, and its end (exclusive).
    ranges: BTreeMap<u64, u64>,
    total: u64,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes are in the set.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many separate ranges the set has.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// True if no byte is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    /// Adds all bytes of `range`. Returns how many were not in the set before.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (mut start, mut end) = (range.start, range.end);
        let mut swallowed = 0;
        // From the right, each range that begins at or before our end and reaches our start melts into ours.
        while let Some((&s, &e)) = self.ranges.range(..=end).next_back() {
            if e < start {
                break;
            }
            self.ranges.remove(&s);
            swallowed += e - s;
            start = start.min(s);
            end = end.max(e);
        }
        self.ranges.insert(start, end);
        let added = (end - start) - swallowed;
        self.total += added;
        added
    }

    /// Takes all bytes of `range` out. Returns how many were in the set before.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        let mut removed = 0;
        while !range.is_empty() {
            let Some((&s, &e)) = self.ranges.range(..range.end).next_back() else {
                break;
            };
            if e <= range.start {
                break;
            }
            self.ranges.remove(&s);
            if e > range.end {
                self.ranges.insert(range.end, e);
            }
            if s < range.start {
                self.ranges.insert(s, range.start);
            }
            removed += e.min(range.end) - s.max(range.start);
        }
        self.total -= removed;
        removed
    }

    /// True if every byte of `range` is in the set; so it is for an empty range.
    pub fn contains(&self, range: Range<u64>) -> bool {
        range.is_empty()
            || self
                .run_from(range.start)
                .is_some_and(|end| end >= range.end)
    }

    /// The end (exclusive) of the unbroken run that holds the byte at `offset`, if that byte is in the set.
    pub fn run_from(&self, offset: u64) -> Option<u64> {
        let (_, &end) = self.ranges.range(..=offset).next_back()?;
        (end > offset).then_some(end)
    }

    /// The parts of `range` that are not in the set, in ascending order.
    pub fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        while at < range.end {
            if let Some(end) = self.run_from(at) {
                at = end;
                continue;
            }
            let next = self
                .ranges
                .range(at..)
                .next()
                .map_or(range.end, |(&start, _)| start.min(range.end));
            gaps.push(at..next);
            at = next;
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_melt_together() {
        let mut set = RangeSet::new();
        assert_eq!(set.insert(0..10), 10);
        assert_eq!(set.insert(20..30), 10);
        assert_eq!(set.insert(10..20), 10);
        assert_eq!(set.iter().collect::<Vec<_>>(), vec![0..30]);
        assert_eq!(set.insert(5..25), 0);
        assert_eq!(set.gaps(25..40), vec![30..40]);
    }

    #[test]
    fn the_end_of_the_number_range_is_no_trap() {
        let mut set = RangeSet::new();
        assert_eq!(set.insert(u64::MAX - 1..u64::MAX), 1);
        assert_eq!(set.insert(0..u64::MAX), u64::MAX - 1);
        assert_eq!(set.gaps(0..u64::MAX), Vec::<Range<u64>>::new());
        assert_eq!(set.remove(0..u64::MAX), u64::MAX);
        assert!(set.is_empty());
    }

    proptest! {
        /// Against the plainest model there is: a set of single bytes.
        #[test]
        fn behaves_like_a_set_of_bytes(ops in proptest::collection::vec((any::<bool>(), 0u64..64, 0u64..24), 1..40)) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for (add, start, length) in ops {
                let range = start..start + length;
                let before = model.len() as u64;
                if add {
                    model.extend(range.clone());
                    prop_assert_eq!(set.insert(range.clone()), model.len() as u64 - before);
                } else {
                    model.retain(|byte| !range.contains(byte));
                    prop_assert_eq!(set.remove(range.clone()), before - model.len() as u64);
                }
                prop_assert_eq!(set.total(), model.len() as u64);
                prop_assert_eq!(set.iter().flatten().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.gaps(0..100).into_iter().flatten().collect::<Vec<_>>(),
                    (0..100).filter(|byte| !model.contains(byte)).collect::<Vec<_>>());
                prop_assert_eq!(set.contains(range.clone()), range.clone().all(|byte| model.contains(&byte)));
                let ranges: Vec<_> = set.iter().collect();
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "touching ranges: {:?}", ranges);
            }
        }
    }
}

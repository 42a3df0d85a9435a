//! What is streamed where the cache has no room: the bytes pass through memory and nothing is kept.
//!
//! A [`Passing`] holds what was read or arrived last, up to its share of what all of them may hold ([`Room`]). What it no
//! longer holds counts as not arrived, and is read again if somebody wants it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mediafs_cache::RangeSet;
use parking_lot::Mutex;

/// How many there may be; with the least share of each, 128 MiB.
const MOST: usize = 64;
/// What one may hold at least, in bytes: twice what the kernel asks for in one read.
const LEAST_SHARE: u64 = 2 << 20;
const LARGEST_SHARE: u64 = 8 << 20;

/// How many there are.
#[derive(Default)]
pub(super) struct Room(AtomicUsize);

impl Room {
    /// Another one; `None` if there are as many as may be.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Passing> {
        let enter = |there: usize| (there < MOST).then_some(there + 1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter)
            .ok()?;
        Some(Passing {
            room: Arc::clone(self),
            held: Mutex::default(),
        })
    }

    /// How many bytes each may hold.
    fn share(&self) -> u64 {
        let all = LEAST_SHARE * MOST as u64;
        let there = self.0.load(Ordering::Relaxed).max(1) as u64;
        (all / there).clamp(LEAST_SHARE, LARGEST_SHARE)
    }
}

/// A part of a file in memory that moves on with whoever reads it.
pub(super) struct Passing {
    room: Arc<Room>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// By where they begin; none overlap.
    pieces: BTreeMap<u64, Piece>,
    bytes: u64,
    /// Counts what happens.
    time: u64,
    /// Where the last read ended.
    read_up_to: Option<u64>,
}

struct Piece {
    bytes: Vec<u8>,
    /// When it arrived or was read last.
    used: u64,
}

impl Piece {
    fn range(&self, start: u64) -> Range<u64> {
        start..start + self.bytes.len() as u64
    }
}

impl Held {
    fn there(&self) -> RangeSet {
        let mut there = RangeSet::new();
        for (start, piece) in &self.pieces {
            there.insert(piece.range(*start));
        }
        there
    }

    /// Lets go of what was not used for longest, but of nothing that was used now.
    fn shrink_to(&mut self, share: u64) {
        while self.bytes > share {
            let oldest = self.pieces.iter().min_by_key(|(_, piece)| piece.used);
            let Some(start) = oldest
                .filter(|(_, piece)| piece.used < self.time)
                .map(|(start, _)| *start)
            else {
                return;
            };
            if let Some(piece) = self.pieces.remove(&start) {
                self.bytes -= piece.bytes.len() as u64;
            }
        }
    }
}

impl Passing {
    /// The longest range that anybody can wait for all of, in bytes.
    pub(super) const LONGEST: u64 = LEAST_SHARE / 2;

    /// The parts of `range` that are not here.
    pub(super) fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        self.held.lock().there().gaps(range)
    }

    /// How many bytes are here.
    pub(super) fn bytes(&self) -> u64 {
        self.held.lock().bytes
    }

    /// What is likely to be read next, of a file of this size: what follows the last read, as far as there is room.
    pub(super) fn ahead(&self, size: u64) -> Range<u64> {
        let start = self.held.lock().read_up_to.unwrap_or(size).min(size);
        start..start.saturating_add(self.room.share() / 2).min(size)
    }

    /// Adds what has arrived at `offset`, where it is not here yet.
    pub(super) fn add(&self, offset: u64, bytes: &[u8]) {
        let mut held = self.held.lock();
        held.time += 1;
        let used = held.time;
        let gaps = held
            .there()
            .gaps(offset..offset.saturating_add(bytes.len() as u64));
        for gap in gaps {
            let Some(part) = part(bytes, offset, &gap) else {
                continue;
            };
            held.bytes += part.len() as u64;
            let piece = Piece {
                bytes: part.to_vec(),
                used,
            };
            held.pieces.insert(gap.start, piece);
        }
        let share = self.room.share();
        held.shrink_to(share);
    }

    /// Fills all of `buffer` from `offset`, if that is here.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let mut held = self.held.lock();
        let range = offset..offset.saturating_add(buffer.len() as u64);
        if !held.there().gaps(range.clone()).is_empty() {
            return false;
        }
        held.time += 1;
        held.read_up_to = Some(range.end);
        let used = held.time;
        let first = held
            .pieces
            .range(..=range.start)
            .next_back()
            .map_or(range.start, |(start, _)| *start);
        for (start, piece) in held.pieces.range_mut(first..range.end) {
            let whole = piece.range(*start);
            let shared = whole.start.max(range.start)..whole.end.min(range.end);
            let Ok(at) = usize::try_from(shared.start.saturating_sub(range.start)) else {
                return false;
            };
            if let Some(from) = part(&piece.bytes, *start, &shared)
                && let Some(to) = buffer.get_mut(at..at + from.len())
            {
                to.copy_from_slice(from);
                piece.used = used;
            }
        }
        true
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.room.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The part of `bytes`, which begin at `offset` of the file, that is for `range` of the file.
fn part<'b>(bytes: &'b [u8], offset: u64, range: &Range<u64>) -> Option<&'b [u8]> {
    let start = usize::try_from(range.start.checked_sub(offset)?).ok()?;
    let end = usize::try_from(range.end.checked_sub(offset)?).ok()?;
    bytes.get(start..end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    fn truth(range: Range<u64>) -> Vec<u8> {
        range.map(|at| (at % 251) as u8).collect()
    }

    fn read(passing: &Passing, range: Range<u64>) -> Option<Vec<u8>> {
        let mut buffer = vec![0xEE; usize::try_from(range.end - range.start).ok()?];
        passing.read(range.start, &mut buffer).then_some(buffer)
    }

    #[test]
    fn what_came_in_parts_is_read_as_one() {
        let passing = Arc::new(Room::default()).enter().unwrap();
        passing.add(100, &truth(100..200));
        assert_eq!(read(&passing, 50..150), None);
        passing.add(300, &truth(300..400));
        passing.add(150, &truth(150..350));
        assert_eq!(passing.bytes(), 300);
        assert_eq!(read(&passing, 100..400), Some(truth(100..400)));
        assert_eq!(read(&passing, 120..121), Some(truth(120..121)));
        assert_eq!(read(&passing, 199..301), Some(truth(199..301)));
        assert_eq!(read(&passing, 399..401), None);
        assert_eq!(passing.missing(0..500), [0..100, 400..500]);
        assert_eq!(read(&passing, 400..400), Some(Vec::new()));
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let passing = Arc::new(Room::default()).enter().unwrap();
        assert_eq!(passing.ahead(LARGEST_SHARE), LARGEST_SHARE..LARGEST_SHARE);
        let piece = 1 << 20;
        for n in 0..8 {
            passing.add(n * piece, &truth(n * piece..(n + 1) * piece));
        }
        assert!(read(&passing, 0..10).is_some());
        passing.add(8 * piece, &truth(8 * piece..9 * piece));
        assert_eq!(passing.bytes(), LARGEST_SHARE);
        assert_eq!(
            passing.missing(0..9 * piece),
            std::slice::from_ref(&(piece..2 * piece))
        );
        assert_eq!(passing.ahead(100 * piece), 10..10 + 4 * piece);
        assert_eq!(passing.ahead(12), 10..12);
    }

    #[test]
    fn all_of_them_together_hold_no_more_than_they_may() {
        let room = Arc::new(Room::default());
        let all: Vec<_> = (0..MOST).map(|_| room.enter().unwrap()).collect();
        assert!(room.enter().is_none());
        for passing in &all {
            for n in 0..12 {
                passing.add(n << 18, &truth(0..1 << 18));
            }
        }
        let held: u64 = all.iter().map(Passing::bytes).sum();
        assert!(held <= LEAST_SHARE * MOST as u64, "{held}");
        drop(all);
        assert!(room.enter().is_some());
    }

    #[test]
    fn one_read_is_held_whole_however_small_the_share_is() {
        let room = Arc::new(Room::default());
        let passing = room.enter().unwrap();
        let whole = LARGEST_SHARE + 1000;
        passing.add(0, &truth(0..whole));
        assert_eq!(passing.bytes(), whole);
        passing.add(whole, &truth(0..10));
        assert_eq!(passing.bytes(), 10);
    }
}

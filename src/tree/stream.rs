//! Streams: what has arrived of a sound, with silence where it came too late.
//!
//! One [`StreamNode`] is what all handles of a `stream` node share. A byte that was shown as silence stays silence, and
//! one that was sound stays sound, for all of them: so who decides does so under the node's lock. Once any of it was
//! silence, the item's next opens get another node ([`Epochs`]), which begins anew with what has arrived by then.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mediafs_cache::RangeSet;
use mediafs_platform::drive::DriveError;
use mediafs_platform::limits::shrink_sparse;
use parking_lot::Mutex;

use super::deal::{Cut, wait};
use crate::catalog::ItemNo;
use crate::hydrate::{Arrival, HydrateError, Priority, Stream, Wanted};
use crate::silence::Placeholder;

/// The content of a `stream` node.
pub(super) struct StreamNode {
    /// Nothing arrives without it: so it is for a process that is braked, until another opens the node.
    stream: Mutex<Option<Begun>>,
    silence: Arc<dyn Placeholder>,
    shown: Mutex<Shown>,
}

/// What brings a node's bytes.
struct Begun {
    stream: Arc<Stream>,
    at: Instant,
}

/// How long what failed is left alone, before a read of who still has the node open begins it anew.
const REST: Duration = Duration::from_secs(1);

/// What anybody was shown, in ranges of bytes.
#[derive(Default)]
struct Shown {
    silent: RangeSet,
    sound: RangeSet,
}

/// What a read gives.
pub(super) struct Heard {
    /// How many bytes were filled.
    pub(super) filled: usize,
    /// How many of them are silence.
    pub(super) silent: u64,
}

impl StreamNode {
    pub(super) fn new(silence: Arc<dyn Placeholder>) -> Self {
        Self {
            stream: Mutex::default(),
            silence,
            shown: Mutex::default(),
        }
    }

    /// Sees to it that something arrives, if `begin` can: of a node that has nothing that brings it, or that had
    /// something which failed.
    pub(super) fn begin<E>(&self, begin: impl FnOnce() -> Result<Stream, E>) {
        if self
            .stream()
            .is_none_or(|stream| may_be_begun_anew(&stream))
            && let Ok(stream) = begin()
        {
            let begun = Begun {
                stream: Arc::new(stream),
                at: Instant::now(),
            };
            let mut present = self.stream.lock();
            // Another may have begun it meanwhile: then this one is let go of, and what it joined goes on.
            let stands = present
                .as_ref()
                .is_some_and(|present| !may_be_begun_anew(&present.stream));
            let let_go = if stands {
                Some(begun)
            } else {
                present.replace(begun)
            };
            // Letting go of a stream may end its task.
            drop(present);
            drop(let_go);
        }
    }

    /// Begins anew what failed some time ago, for who goes on reading it.
    pub(super) fn renew<E>(&self, begin: impl FnOnce(&Wanted) -> Result<Stream, E>) {
        let failed = self.stream.lock().as_mut().and_then(|begun| {
            let is_due = begun.at.elapsed() >= REST && may_be_begun_anew(&begun.stream);
            is_due.then(|| {
                begun.at = Instant::now();
                Arc::clone(&begun.stream)
            })
        });
        if let Some(failed) = failed {
            self.begin(|| begin(failed.wanted()));
        }
    }

    fn stream(&self) -> Option<Arc<Stream>> {
        let begun = self.stream.lock();
        begun.as_ref().map(|begun| Arc::clone(&begun.stream))
    }

    /// Fills `buffer` with what has arrived at `offset`, if all of it has.
    fn arrived(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let stream = self.stream();
        stream.is_some_and(|stream| stream.read_arrived(offset, buffer) == Some(buffer.len()))
    }

    /// `range` in pieces that have arrived and pieces that have not; each with whether it has not.
    fn late(&self, range: Range<u64>) -> Vec<(Range<u64>, bool)> {
        let Some(stream) = self.stream() else {
            return vec![(range, true)];
        };
        let mut missing = RangeSet::new();
        for gap in stream.missing(range.clone()) {
            missing.insert(gap);
        }
        pieces(&missing, range)
    }

    /// Fills `buffer` with what is to be shown at `offset`, if all of that was decided or has arrived. With `last`, what
    /// has not arrived is silence from now on.
    ///
    /// # Errors
    /// [`DriveError::Io`] where sound that was shown before is lost.
    pub(super) fn show(
        &self,
        offset: u64,
        buffer: &mut [u8],
        last: bool,
    ) -> Result<Option<Heard>, DriveError> {
        let size = self.silence.size();
        let length = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let end = offset.saturating_add(length).min(size);
        if offset >= end {
            return Ok(Some(Heard {
                filled: 0,
                silent: 0,
            }));
        }
        let mut shown = self.shown.lock();
        let mut silent = 0;
        let mut decided = Vec::new();
        for (piece, was_silent) in pieces(&shown.silent, offset..end) {
            let part = part(buffer, offset, &piece).ok_or(DriveError::Invalid)?;
            if was_silent {
                silent += piece.end - piece.start;
                self.silence.read_at(piece.start, part);
            } else if self.arrived(piece.start, part) {
                decided.push((piece, false));
            } else if !last {
                return Ok(None);
            } else {
                for (piece, is_late) in self.late(piece) {
                    let part = self::part(buffer, offset, &piece).ok_or(DriveError::Invalid)?;
                    if !is_late && self.arrived(piece.start, part) {
                        decided.push((piece, false));
                    } else if shown.sound.gaps(piece.clone()) != [piece.clone()] {
                        // Some of it was shown as sound before.
                        return Err(DriveError::Io);
                    } else {
                        silent += piece.end - piece.start;
                        self.silence.read_at(piece.start, part);
                        decided.push((piece, true));
                    }
                }
            }
        }
        for (piece, is_silent) in decided {
            if is_silent {
                shown.silent.insert(piece);
            } else {
                shown.sound.insert(piece);
            }
        }
        Ok(Some(Heard {
            filled: usize::try_from(end - offset).unwrap_or(usize::MAX),
            silent,
        }))
    }

    /// Waits until what `range` needs has arrived, or it is known not to come; says why not.
    pub(super) async fn arrives(
        &self,
        range: Range<u64>,
        priority: Priority,
        patience: Duration,
        thread: Option<u32>,
    ) -> Result<(), NotArrived> {
        let missing: Vec<Range<u64>> = pieces(&self.shown.lock().silent, range)
            .into_iter()
            .filter(|(_, silent)| !silent)
            .map(|(piece, _)| piece)
            .collect();
        match self.stream() {
            Some(stream) => arrives(&stream, missing, priority, patience, thread).await,
            None => Err(NotArrived::Ended(HydrateError::Cancelled)),
        }
    }
}

/// What has ended without its bytes, for a reason that may have gone by now. A file that became another, or is not there
/// any more, has not: the catalog learns that, and the next open gets something else.
pub(super) fn may_be_begun_anew(stream: &Stream) -> bool {
    matches!(
        stream.ended(),
        Some(Err(HydrateError::Offline { .. }
            | HydrateError::Hung
            | HydrateError::Cancelled
            | HydrateError::Failed { .. }
            | HydrateError::Full { .. }
            | HydrateError::Cache { .. }))
    )
}

/// Why bytes have not arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NotArrived {
    /// Who waited has stopped waiting.
    Cut(Cut),
    /// They do not come.
    Ended(HydrateError),
}

/// Waits for ranges of a stream, one after the other, for `patience` in all.
pub(super) async fn arrives(
    stream: &Stream,
    ranges: Vec<Range<u64>>,
    priority: Priority,
    patience: Duration,
    thread: Option<u32>,
) -> Result<(), NotArrived> {
    let all = async {
        for range in ranges {
            if let Arrival::Ended(why) = stream.wait(range, priority).await {
                return Err(NotArrived::Ended(why));
            }
        }
        Ok(())
    };
    match wait(all, patience, thread).await {
        Ok(outcome) => outcome,
        Err(cut) => Err(NotArrived::Cut(cut)),
    }
}

/// `range` in pieces that are wholly inside or outside of `set`, in order; each with whether it is inside.
fn pieces(set: &RangeSet, range: Range<u64>) -> Vec<(Range<u64>, bool)> {
    let mut pieces = Vec::new();
    let mut at = range.start;
    for gap in set.gaps(range.clone()) {
        if gap.start > at {
            pieces.push((at..gap.start, true));
        }
        at = gap.end;
        pieces.push((gap, false));
    }
    if at < range.end {
        pieces.push((at..range.end, true));
    }
    pieces
}

/// The part of a buffer, which begins at `offset` of the file, that is for `piece` of the file.
fn part<'b>(buffer: &'b mut [u8], offset: u64, piece: &Range<u64>) -> Option<&'b mut [u8]> {
    let start = usize::try_from(piece.start.checked_sub(offset)?).ok()?;
    let end = usize::try_from(piece.end.checked_sub(offset)?).ok()?;
    buffer.get_mut(start..end)
}

/// The stream nodes that are open, and which of them an item's opens get now.
///
/// While a handle of a number is open, all opens of that number get its node, whether or not it is the present one: a
/// name may have been looked up just before. When all are closed, the number may be given anew: the kernel drops what it
/// keeps of a node when that is opened.
///
/// Loaders have numbers and nodes of their own: the kernel lets whoever maps a node wait for others that wait for a page
/// of it, and no player is to wait for a loader.
#[derive(Default)]
pub(super) struct Epochs {
    items: Mutex<HashMap<(ItemNo, u16, bool), Epoch>>,
}

#[derive(Default)]
struct Epoch {
    current: u8,
    open: Vec<(u8, Weak<StreamNode>)>,
}

impl Epoch {
    fn node(&self, number: u8) -> Option<Arc<StreamNode>> {
        let mut open = self.open.iter();
        open.find_map(|(known, node)| (*known == number).then(|| node.upgrade()).flatten())
    }

    fn is_open(&self) -> bool {
        self.open.iter().any(|(_, node)| node.strong_count() > 0)
    }
}

/// The bit of loaders' numbers, the last one that node numbers hold.
const LOADS: u8 = 0x40;
/// Of the rest.
const LAST_EPOCH: u8 = 0x3F;
/// Items whose present number is remembered when all is closed.
const REMEMBERED: usize = 4096;

impl Epochs {
    /// The number that opens of players get now, or of loaders.
    pub(super) fn current(&self, item: ItemNo, generation: u16, loads: bool) -> u8 {
        let items = self.items.lock();
        let current = items
            .get(&(item, generation, loads))
            .map_or(0, |epoch| epoch.current);
        current | if loads { LOADS } else { 0 }
    }

    /// Whether a number is one of loaders.
    pub(super) fn loads(number: u8) -> bool {
        number & LOADS != 0
    }

    /// The node of a number; a new one with this silence if nobody has it open.
    pub(super) fn node(
        &self,
        item: ItemNo,
        generation: u16,
        number: u8,
        silence: Arc<dyn Placeholder>,
    ) -> Arc<StreamNode> {
        let mut items = self.items.lock();
        if items.len() > REMEMBERED {
            items.retain(|_, epoch| epoch.is_open());
            shrink_sparse(&mut items);
        }
        let (number, loads) = (number & LAST_EPOCH, Self::loads(number));
        let epoch = items.entry((item, generation, loads)).or_default();
        epoch.open.retain(|(_, node)| node.strong_count() > 0);
        if let Some(node) = epoch.node(number) {
            return node;
        }
        let node = Arc::new(StreamNode::new(silence));
        epoch.open.push((number, Arc::downgrade(&node)));
        node
    }

    /// A node was shown as silence in part: if it is the present one, the item's next opens get another.
    pub(super) fn spoiled(
        &self,
        item: ItemNo,
        generation: u16,
        loads: bool,
        node: &Arc<StreamNode>,
    ) {
        let mut items = self.items.lock();
        let Some(epoch) = items.get_mut(&(item, generation, loads)) else {
            return;
        };
        let is_current = epoch
            .node(epoch.current)
            .is_some_and(|current| Arc::ptr_eq(&current, node));
        if is_current {
            let next = |by: u8| epoch.current.wrapping_add(by) & LAST_EPOCH;
            // Not one that an old handle still shows; were all of them open, the next one would have to do.
            let free = (1..=LAST_EPOCH)
                .map(next)
                .find(|number| epoch.node(*number).is_none())
                .unwrap_or_else(|| next(1));
            epoch.current = free;
        }
    }
}

//! Streams: what has arrived of a sound, with silence where it came too late.
//!
//! One [`StreamNode`] is what all handles of a `stream` node share. A byte that was shown as silence stays silence, and
//! one that was sound stays sound, for all of them: so who decides does so under the node's lock. Once any of it was
//! silence, the item's next opens get another node ([`Epochs`]), which begins anew with what has arrived by then.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mediafs_cache::RangeSet;
use mediafs_platform::drive::DriveError;
use mediafs_platform::limits::shrink_sparse;
use parking_lot::Mutex;

use super::deal::{Cut, wait};
use crate::catalog::ItemNo;
use crate::hydrate::{Arrival, HydrateError, Priority, Stream};
use crate::silence::Placeholder;

/// The content of a `stream` node.
pub(super) struct StreamNode {
    stream: Stream,
    silence: Arc<dyn Placeholder>,
    shown: Mutex<Shown>,
}

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
    pub(super) fn new(stream: Stream, silence: Arc<dyn Placeholder>) -> Self {
        Self {
            stream,
            silence,
            shown: Mutex::default(),
        }
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
            } else if self.stream.read_arrived(piece.start, part) == Some(part.len()) {
                decided.push((piece, false));
            } else if !last {
                return Ok(None);
            } else {
                // Of this piece some may have been shown as sound before.
                for (piece, was_sound) in pieces(&shown.sound, piece) {
                    let part = self::part(buffer, offset, &piece).ok_or(DriveError::Invalid)?;
                    if self.stream.read_arrived(piece.start, part) == Some(part.len()) {
                        decided.push((piece, false));
                    } else if was_sound {
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

    /// Some of it was shown as silence.
    pub(super) fn is_spoiled(&self) -> bool {
        !self.shown.lock().silent.is_empty()
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
        arrives(&self.stream, missing, priority, patience, thread).await
    }
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

/// Which stream node the opens of an item get now. Its number is kept when all handles of a node are closed, for the
/// kernel may have pages of it; but not for ever: 127 spoiled nodes later it comes again.
#[derive(Default)]
pub(super) struct Epochs {
    items: Mutex<HashMap<(ItemNo, u16), Epoch>>,
}

#[derive(Default)]
struct Epoch {
    number: u8,
    node: Weak<StreamNode>,
}

/// As node numbers hold it.
const LAST_EPOCH: u8 = 0x7F;
/// Items whose unspoiled, closed nodes are remembered.
const REMEMBERED: usize = 4096;

impl Epochs {
    /// The number that opens get now.
    pub(super) fn current(&self, item: ItemNo, generation: u16) -> u8 {
        self.items
            .lock()
            .get(&(item, generation))
            .map_or(0, |epoch| epoch.number)
    }

    /// The node of an epoch, if that is the present one; made by `make` if nobody has it open.
    pub(super) fn node(
        &self,
        item: ItemNo,
        generation: u16,
        number: u8,
        make: impl FnOnce() -> Result<StreamNode, DriveError>,
    ) -> Result<Arc<StreamNode>, DriveError> {
        let key = (item, generation);
        {
            let mut items = self.items.lock();
            if items.len() > REMEMBERED {
                items.retain(|_, epoch| epoch.number > 0 || epoch.node.strong_count() > 0);
                shrink_sparse(&mut items);
            }
            let epoch = items.entry(key).or_default();
            if epoch.number != number {
                return Err(DriveError::Stale);
            }
            if let Some(node) = epoch.node.upgrade() {
                return Ok(node);
            }
        }
        // Making one may take a look at the catalog and the cache, and others need not wait for that.
        let made = Arc::new(make()?);
        let mut items = self.items.lock();
        let epoch = items.entry(key).or_default();
        if epoch.number != number {
            return Err(DriveError::Stale);
        }
        if let Some(node) = epoch.node.upgrade() {
            return Ok(node);
        }
        epoch.node = Arc::downgrade(&made);
        Ok(made)
    }

    /// A node was shown as silence in part: the item's next opens get another one.
    pub(super) fn spoiled(&self, item: ItemNo, generation: u16, node: &Arc<StreamNode>) {
        let mut items = self.items.lock();
        if let Some(epoch) = items.get_mut(&(item, generation))
            && std::ptr::eq(epoch.node.as_ptr(), Arc::as_ptr(node))
        {
            epoch.number = (epoch.number + 1) & LAST_EPOCH;
            epoch.node = Weak::new();
        }
    }
}

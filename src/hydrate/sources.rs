//! What is known of a source: how it stands, who works for it, and how fast it is.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Condvar;

use super::error::HydrateError;
use super::task::{Priority, TaskId};

/// A read that somebody waits for, in bytes.
const AWAITED: std::ops::RangeInclusive<u64> = 64 << 10..=256 << 10;
/// A read that nobody waits for.
const UNAWAITED: std::ops::RangeInclusive<u64> = 256 << 10..=1 << 20;
/// How long a read should take, so that what is wanted more has its turn soon.
const AWAITED_TIME: Duration = Duration::from_millis(100);
const UNAWAITED_TIME: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(super) struct Source {
    /// Tasks that have a partial object, or get one.
    pub(super) active: BTreeSet<TaskId>,
    /// Tasks that hold no room in the cache, in the order in which they get it.
    pub(super) queued: BTreeSet<(Reverse<Priority>, TaskId)>,
    pub(super) standing: Standing,
    /// Counts how often somebody said that it is back or away. What a read says that began before is stale.
    pub(super) epoch: u64,
    /// Its threads; those that have nothing to do; what the others read.
    pub(super) threads: usize,
    pub(super) idle: usize,
    pub(super) reads: usize,
    pub(super) unawaited: usize,
    /// There may be something to read.
    pub(super) work: Arc<Condvar>,
    /// That it answered is in the news already.
    pub(super) in_news: bool,
    /// Bytes in a second that one read brings.
    speed: Option<f64>,
}

#[derive(Clone, Default, PartialEq, Debug)]
pub(super) enum Standing {
    #[default]
    Answers,
    /// It did not answer. Nothing is read until then; then one read at a time.
    Hung { until: Instant, probing: bool },
    /// It is away until somebody says that it is back.
    Away { why: HydrateError },
}

impl Standing {
    /// Why nothing is read from it, and until when.
    pub(super) fn refuses(&self, now: Instant) -> Option<(HydrateError, Option<Instant>)> {
        match self {
            Self::Away { why } => Some((why.clone(), None)),
            Self::Hung { until, .. } if now < *until => Some((HydrateError::Hung, Some(*until))),
            Self::Answers | Self::Hung { .. } => None,
        }
    }
}

impl Source {
    /// How large a read should be.
    pub(super) fn chunk(&self, awaited: bool) -> u64 {
        let (sizes, time) = if awaited {
            (AWAITED, AWAITED_TIME)
        } else {
            (UNAWAITED, UNAWAITED_TIME)
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let fitting = self
            .speed
            .map_or(0, |speed| (speed * time.as_secs_f64()) as u64);
        // In whole pages.
        (fitting & !4095).clamp(*sizes.start(), *sizes.end())
    }

    /// A read brought so much in that time.
    pub(super) fn brought(&mut self, bytes: u64, took: Duration) {
        #[allow(clippy::cast_precision_loss)]
        let now = bytes as f64 / took.as_secs_f64().max(1e-4);
        self.speed = Some(self.speed.map_or(now, |speed| speed * 0.7 + now * 0.3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_small_where_somebody_waits_or_the_source_is_slow() {
        let mut source = Source::default();
        assert_eq!(
            (source.chunk(true), source.chunk(false)),
            (64 << 10, 256 << 10)
        );
        for _ in 0..50 {
            source.brought(1 << 20, Duration::from_millis(10));
        }
        assert_eq!(
            (source.chunk(true), source.chunk(false)),
            (256 << 10, 1 << 20)
        );
        for _ in 0..50 {
            source.brought(64 << 10, Duration::from_secs(1));
        }
        assert_eq!(
            (source.chunk(true), source.chunk(false)),
            (64 << 10, 256 << 10)
        );
    }
}

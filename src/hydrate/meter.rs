//! How fast bytes come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What came longer ago does not count.
const WINDOW: Duration = Duration::from_secs(5);
/// What came within so long is one entry.
const GRAIN: Duration = Duration::from_millis(100);
/// Bytes that come so far apart do not come one after the other.
const BREAK: Duration = Duration::from_secs(10);

/// Counts the bytes of a task as they come.
#[derive(Debug, Default)]
pub(super) struct Meter {
    lately: VecDeque<(Instant, u64)>,
    /// Since when bytes come without a break, and when the last came.
    spell: Option<(Instant, Instant)>,
}

impl Meter {
    pub(super) fn add(&mut self, bytes: u64, now: Instant) {
        self.spell = match self.progressing_since(now) {
            Some(since) => Some((since, now)),
            None => Some((now, now)),
        };
        match self.lately.back_mut() {
            Some((time, sum)) if now.saturating_duration_since(*time) < GRAIN => *sum += bytes,
            _ => self.lately.push_back((now, bytes)),
        }
        while let Some((time, _)) = self.lately.front()
            && now.saturating_duration_since(*time) > WINDOW
        {
            self.lately.pop_front();
        }
    }

    /// Bytes in a second.
    pub(super) fn rate(&self, now: Instant) -> u64 {
        let mut recent = self
            .lately
            .iter()
            .filter(|(time, _)| now.saturating_duration_since(*time) <= WINDOW);
        let Some((first, mut sum)) = recent.next().copied() else {
            return 0;
        };
        sum += recent.map(|(_, bytes)| bytes).sum::<u64>();
        // The first bytes took some time to come as well.
        let time = now
            .saturating_duration_since(first)
            .max(Duration::from_secs(1));
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        sum.saturating_mul(1000) / millis
    }

    pub(super) fn last(&self) -> Option<Instant> {
        self.spell.map(|(_, last)| last)
    }

    /// Since when bytes come without a break; `None` if they do not.
    pub(super) fn progressing_since(&self, now: Instant) -> Option<Instant> {
        self.spell
            .filter(|(_, last)| now.saturating_duration_since(*last) < BREAK)
            .map(|(since, _)| since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(meter.rate(start), 0);
        for step in 0..=40 {
            meter.add(500, start + Duration::from_millis(500) * step);
        }
        let now = start + Duration::from_secs(20);
        assert!(
            (1000..=1100).contains(&meter.rate(now)),
            "{}",
            meter.rate(now)
        );
        assert_eq!(meter.rate(now + Duration::from_secs(6)), 0);
        assert!(meter.lately.len() <= 11);
    }

    #[test]
    fn a_break_ends_a_spell() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::default();
        assert_eq!((meter.last(), meter.progressing_since(start)), (None, None));
        meter.add(1, start);
        meter.add(1, after(9));
        assert_eq!(meter.progressing_since(after(10)), Some(start));
        assert_eq!(meter.progressing_since(after(19)), None);
        assert_eq!(meter.last(), Some(after(9)));
        meter.add(1, after(30));
        assert_eq!(meter.progressing_since(after(31)), Some(after(30)));
    }
}

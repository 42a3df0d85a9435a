//! Sources that answer, but say that they cannot reach what they show, as a cloud's folder does without a network: the
//! listing they keep tells nothing of that, only a read does. So what could not be read is asked for again, one byte of it,
//! until it comes; meanwhile nobody else asks, and the source counts as not answering ([`Sources::unreachable`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::courier::CourierError;
use super::couriers::Couriers;
use super::message::{Question, Reply};
use super::outside::Outside;
use super::source_key::SourceKey;
use super::sources::Sources;
use crate::model::SourceNo;

/// How long it is left alone in between: `status` is to be true two seconds after any change.
const PAUSE: Duration = Duration::from_secs(1);
/// At most, where there is no answer at all: each time may leave a courier behind.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Tries sources again for as long as it is there.
#[derive(Default)]
pub(super) struct Reaching {
    stop: Arc<AtomicBool>,
}

impl Drop for Reaching {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Reaching {
    /// From now on the source cannot be reached, as reading this file has shown, and is tried again until it can.
    pub(super) fn lost(
        &self,
        outside: &Outside,
        source: SourceNo,
        key: &SourceKey,
        question: &Question,
        longest: Duration,
    ) {
        let Some(episode) = outside.sources.unreachable(source) else {
            // Somebody has found out before, and is at it.
            return;
        };
        let mut again = Again {
            sources: Arc::downgrade(&outside.sources),
            couriers: Arc::downgrade(&outside.couriers),
            stop: Arc::clone(&self.stop),
            source,
            episode,
            key: key.clone(),
            question: of_one_byte(question),
            longest,
            pause: PAUSE,
        };
        let trying = std::thread::Builder::new()
            .name("reaching".to_owned())
            .spawn(move || while again.is_needed() {});
        if let Err(error) = trying {
            // Whoever wants something of it is to find out, then.
            tracing::warn!(%error, "a source that cannot be reached is not tried again by itself");
            outside.sources.reached(source);
        }
    }
}

fn of_one_byte(question: &Question) -> Question {
    let mut question = question.clone();
    if let Question::Read { length, .. } = &mut question {
        *length = 1;
    }
    question
}

/// A source that is tried again.
struct Again {
    sources: Weak<Sources>,
    couriers: Weak<Couriers>,
    stop: Arc<AtomicBool>,
    source: SourceNo,
    /// Since when it cannot be reached, as [`Sources::unreachable`] named it.
    episode: u64,
    key: SourceKey,
    question: Question,
    longest: Duration,
    /// How long it is left alone now.
    pause: Duration,
}

impl Again {
    /// Waits, and tries once. Whether it is to be tried again.
    fn is_needed(&mut self) -> bool {
        let until = Instant::now() + self.pause;
        while Instant::now() < until {
            std::thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
        }
        let (Some(sources), Some(couriers)) = (self.sources.upgrade(), self.couriers.upgrade())
        else {
            return false;
        };
        if !sources.is_unreachable_since(self.source, self.episode) {
            return false;
        }
        let asked = couriers.ask_patiently(&self.key, &self.question, self.longest, &self.stop);
        match asked {
            Ok((Reply::Unreachable(_), _)) => {
                self.pause = PAUSE;
                true
            }
            // Whatever else it says, that is no longer why nothing comes.
            Ok(_) => {
                sources.reached(self.source);
                false
            }
            Err(error) => {
                tracing::debug!(source = %self.key.root().display(), %error, "cannot be reached yet");
                self.pause = pause_after(&error, self.pause);
                true
            }
        }
    }
}

/// How long a source is left alone after it gave no answer, where that was so long before.
fn pause_after(error: &CourierError, pause: Duration) -> Duration {
    match error {
        // Nobody was sent.
        CourierError::Suspended(_) | CourierError::Released => PAUSE,
        _ => (pause * 2).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_no_answer_is_left_alone_for_longer_and_longer() {
        let mut pauses = vec![PAUSE];
        for _ in 0..8 {
            let last = pauses.last().copied().unwrap_or_default();
            pauses.push(pause_after(&CourierError::TooLong, last));
        }
        let seconds: Vec<u64> = pauses.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let suspended = CourierError::Suspended(PAUSE);
        assert_eq!(pause_after(&suspended, LONGEST_PAUSE), PAUSE);
    }
}

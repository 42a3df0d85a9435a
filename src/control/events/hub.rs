//! Where events are published and from where subscribers take them.
//!
//! There is one log of the newest events, and each subscriber is a place in it. So to publish costs the same however
//! many subscribe; one that does not read holds nothing, and finds on its return that its place is gone. Progress
//! leaves the log when newer progress of the same task comes, so that the slow get the newest, and events of other
//! kinds are not pushed out by it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Event, EventKey, Missed, Told, now_millis};

/// Events that are kept for slow subscribers and for `since`.
const KEPT: usize = 2048;

/// Subscribers at a time.
const MOST_SUBSCRIBERS: usize = 1000;

/// A topic that is neither the name of an event nor its area.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no topic {topic:?}; known are {}", Event::NAMES.join(", "))]
pub struct UnknownTopic {
    /// What was asked for.
    pub topic: String,
}

/// As many subscribe as may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{MOST_SUBSCRIBERS} clients are told of events already; end some of them")]
pub struct TooManySubscribers;

/// The events that a subscriber wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topics(Option<Vec<&'static str>>);

impl Topics {
    /// Every event, of a newer version too.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// By names of events (`media.changed`) or of areas (`media`).
    ///
    /// # Errors
    /// [`UnknownTopic`].
    pub fn named<S: AsRef<str>>(topics: &[S]) -> Result<Self, UnknownTopic> {
        let mut wanted = Vec::new();
        for topic in topics.iter().map(AsRef::as_ref) {
            let before = wanted.len();
            let is_it = |name: &&&'static str| {
                **name == topic || name.split('.').next().is_some_and(|area| area == topic)
            };
            wanted.extend(Event::NAMES.iter().filter(is_it).copied());
            if wanted.len() == before {
                return Err(UnknownTopic {
                    topic: topic.chars().take(80).collect(),
                });
            }
            wanted.sort_unstable();
            wanted.dedup();
        }
        Ok(Self(Some(wanted)))
    }

    fn hold(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|wanted| wanted.contains(&name))
    }
}

/// All events of a daemon: published by whoever knows of them, taken by subscribers.
pub struct Events {
    log: Mutex<Log>,
    /// Wakes those who wait.
    news: watch::Sender<()>,
}

struct Log {
    /// The number of the first event of this daemon.
    first: u64,
    /// The number of the next.
    next: u64,
    kept: BTreeMap<u64, Arc<Told>>,
    /// The newest kept event of each key.
    newest: HashMap<EventKey, u64>,
    /// By the event's name, the newest that is not kept any more, other than those that were overtaken.
    gone: HashMap<&'static str, u64>,
}

impl Default for Events {
    fn default() -> Self {
        // A daemon before, which began to count at its own start, did not tell a thousand events each millisecond. So
        // no number is given twice, and what a client has of that daemon is known as such.
        Self::counting_from(now_millis().saturating_mul(1000).max(1))
    }
}

impl Events {
    fn counting_from(first: u64) -> Self {
        let log = Log {
            first,
            next: first,
            kept: BTreeMap::new(),
            newest: HashMap::new(),
            gone: HashMap::new(),
        };
        Self {
            log: Mutex::new(log),
            news: watch::Sender::new(()),
        }
    }

    /// Tells all subscribers. Waits for none of them, and may be called anywhere, under locks too.
    pub fn publish(&self, event: Event) {
        self.log.lock().add(event, now_millis());
        self.news.send_replace(());
    }

    /// A subscriber to what comes from now on, or after the event numbered `since`.
    ///
    /// # Errors
    /// [`TooManySubscribers`].
    pub fn subscribe(
        self: &Arc<Self>,
        topics: Topics,
        since: Option<u64>,
    ) -> Result<Subscription, TooManySubscribers> {
        let wake = self.news.subscribe();
        if self.news.receiver_count() > MOST_SUBSCRIBERS {
            return Err(TooManySubscribers);
        }
        let log = self.log.lock();
        let last = log.next - 1;
        let of_this_daemon = |seq: &u64| (log.first - 1..=last).contains(seq);
        Ok(Subscription {
            after: since.filter(of_this_daemon).unwrap_or(last),
            is_lost: since.is_some_and(|since| !of_this_daemon(&since)),
            events: Arc::clone(self),
            wake,
            topics,
        })
    }

    /// How many subscribe now.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.news.receiver_count()
    }
}

impl Log {
    fn add(&mut self, event: Event, at: u64) {
        let seq = self.next;
        self.next += 1;
        if let Some(key) = event.key()
            && let Some(overtaken) = self.newest.insert(key, seq)
        {
            self.kept.remove(&overtaken);
        }
        self.kept.insert(seq, Arc::new(Told::new(seq, at, event)));
        while self.kept.len() > KEPT
            && let Some((seq, told)) = self.kept.pop_first()
        {
            self.gone.insert(told.event.name(), seq);
            if let Some(key) = told.event.key() {
                self.newest.remove(&key);
            }
        }
    }
}

/// A place in the log.
pub struct Subscription {
    events: Arc<Events>,
    wake: watch::Receiver<()>,
    topics: Topics,
    /// The number of the event it had last.
    after: u64,
    /// It knows the numbers of another daemon.
    is_lost: bool,
}

impl Subscription {
    /// The number after which events are told.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.after
    }

    /// The next event, if there is one.
    pub fn take(&mut self) -> Option<Arc<Told>> {
        let log = self.events.log.lock();
        if std::mem::take(&mut self.is_lost) {
            return Some(missed(None, self.after, self.after));
        }
        let wanted = |(name, _): &(&&str, &u64)| self.topics.hold(name);
        let gone = log.gone.iter().filter(wanted).map(|(_, seq)| *seq).max();
        if let Some(to) = gone.filter(|to| *to > self.after) {
            let from = self.after + 1;
            self.after = to;
            return Some(missed(Some(to - from + 1), from, to));
        }
        let mut waiting = log.kept.range(self.after + 1..).map(|(_, told)| told);
        let told = waiting
            .find(|told| self.topics.hold(told.event.name()))
            .cloned();
        self.after = told.as_ref().map_or(log.next - 1, |told| told.seq);
        told
    }

    /// The next event, once there is one. May be given up at any time without losing one.
    pub async fn next(&mut self) -> Arc<Told> {
        loop {
            self.wake.borrow_and_update();
            if let Some(told) = self.take() {
                return told;
            }
            // The sender lives as long as `events`.
            let _ = self.wake.changed().await;
        }
    }
}

fn missed(count: Option<u64>, from: u64, to: u64) -> Arc<Told> {
    let event = Event::Missed(Missed { count, from, to });
    Arc::new(Told::new(to, now_millis(), event))
}

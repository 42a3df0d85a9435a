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
    /// Names this run of the daemon.
    instance: String,
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
            instance: uuid::Uuid::now_v7().to_string(),
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

    /// Names this run of the daemon, whose numbers its events have.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
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

    /// It knows an event of another run of the daemon: all since then is missed.
    #[must_use]
    pub fn lost(mut self) -> Self {
        let log = self.events.log.lock();
        self.is_lost = true;
        self.after = log.next - 1;
        drop(log);
        self
    }

    /// Nothing that it wants is missing after the event it had last.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.is_lost && self.gone_up_to(&self.events.log.lock()).is_none()
    }

    /// The number up to which something that it wants is not kept any more.
    fn gone_up_to(&self, log: &Log) -> Option<u64> {
        let wanted = |(name, _): &(&&str, &u64)| self.topics.hold(name);
        let gone = log.gone.iter().filter(wanted).map(|(_, seq)| *seq).max();
        gone.filter(|to| *to > self.after)
    }

    /// The next event, if there is one.
    pub fn take(&mut self) -> Option<Arc<Told>> {
        let log = self.events.log.lock();
        if std::mem::take(&mut self.is_lost) {
            return Some(missed(None, None, self.after));
        }
        if let Some(to) = self.gone_up_to(&log) {
            let from = self.after + 1;
            self.after = to;
            return Some(missed(Some(to - from + 1), Some(from), to));
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

fn missed(count: Option<u64>, from: Option<u64>, to: u64) -> Arc<Told> {
    let event = Event::Missed(Missed { count, from, to });
    Arc::new(Told::new(to, now_millis(), event))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::control::events::LibraryChanged;
    use crate::control::methods::TaskKind;
    use crate::control::tasks::{TaskInfo, TaskState};
    use crate::control::{Severity, Warning};

    fn events() -> Arc<Events> {
        Arc::new(Events::counting_from(1))
    }

    fn all(events: &Arc<Events>, since: Option<u64>) -> Subscription {
        events.subscribe(Topics::all(), since).unwrap()
    }

    fn changed(count: u64) -> Event {
        let bases = Vec::new();
        Event::LibraryChanged(LibraryChanged { bases, count })
    }

    fn progress(id: &str, bytes: u64) -> Event {
        Event::TaskProgress(TaskInfo {
            id: id.to_owned(),
            kind: TaskKind::Hydrate,
            media_id: None,
            name: None,
            state: TaskState::Running,
            bytes,
            total: None,
            files: None,
            rate: None,
            since: 0,
            priority: None,
            reason: None,
        })
    }

    fn numbers(subscription: &mut Subscription) -> Vec<u64> {
        std::iter::from_fn(|| subscription.take())
            .map(|told| told.seq)
            .collect()
    }

    #[test]
    fn numbers_have_no_gaps_whoever_publishes() {
        let events = events();
        let mut told = all(&events, None);
        events.publish(changed(0));
        let one = told.take().unwrap().seq;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|count| events.publish(changed(count))));
            }
        });
        let expected: Vec<u64> = (one + 1..=one + 400).collect();
        assert_eq!(numbers(&mut told), expected);
    }

    #[test]
    fn the_slow_are_told_what_they_missed_and_nothing_grows() {
        let events = events();
        let mut slow = all(&events, None);
        let mut fast = all(&events, None);
        let more = 500;
        for count in 0..(KEPT + more) as u64 {
            events.publish(changed(count));
            assert!(fast.take().is_some());
        }
        assert!(fast.take().is_none());
        assert_eq!(events.log.lock().kept.len(), KEPT);
        let missed = slow.take().unwrap();
        let expected = Missed {
            count: Some(more as u64),
            from: Some(1),
            to: more as u64,
        };
        assert_eq!(missed.event, Event::Missed(expected));
        assert_eq!(missed.seq, expected.to);
        let rest = numbers(&mut slow);
        assert_eq!(rest.len(), KEPT);
        assert_eq!(rest[0], expected.to + 1);
    }

    #[test]
    fn progress_is_overtaken_by_newer_and_pushes_nothing_out() {
        let events = events();
        let mut slow = all(&events, None);
        events.publish(changed(7));
        for bytes in 0..3 * KEPT as u64 {
            events.publish(progress("a", bytes));
            events.publish(progress("b", bytes));
        }
        assert_eq!(slow.take().unwrap().event, changed(7));
        let newest = 3 * KEPT as u64 - 1;
        assert_eq!(slow.take().unwrap().event, progress("a", newest));
        assert_eq!(slow.take().unwrap().event, progress("b", newest));
        assert!(slow.take().is_none());
        assert_eq!(events.log.lock().newest.len(), 2);
    }

    #[test]
    fn the_end_of_a_task_overtakes_its_progress() {
        let events = events();
        let mut slow = all(&events, None);
        events.publish(progress("a", 1));
        let Event::TaskProgress(task) = progress("a", 2) else {
            unreachable!()
        };
        events.publish(Event::TaskEnded(task));
        assert_eq!(slow.take().unwrap().event.name(), "task.ended");
        assert!(slow.take().is_none());
    }

    #[test]
    fn since_is_answered_from_what_is_kept() {
        let events = events();
        for count in 1..=5 {
            events.publish(changed(count));
        }
        assert_eq!(numbers(&mut all(&events, Some(3))), [4, 5]);
        assert_eq!(numbers(&mut all(&events, Some(0))), [1, 2, 3, 4, 5]);
        assert!(numbers(&mut all(&events, Some(5))).is_empty());
        assert!(numbers(&mut all(&events, None)).is_empty());
    }

    #[test]
    fn numbers_of_another_daemon_are_known_as_such() {
        let before = Arc::new(Events::default());
        before.publish(changed(1));
        let last = before.log.lock().next - 1;
        std::thread::sleep(std::time::Duration::from_millis(5));
        let events = Arc::new(Events::default());
        for since in [last, u64::MAX, 0] {
            let mut told = all(&events, Some(since));
            let Event::Missed(missed) = told.take().unwrap().event else {
                panic!("{since} is no number of this daemon");
            };
            assert_eq!(missed.count, None);
            assert!(told.take().is_none());
            events.publish(changed(2));
            assert_eq!(told.take().unwrap().seq, missed.to + 1);
        }
    }

    #[test]
    fn who_subscribes_is_told_whether_all_is_kept() {
        let events = events();
        for count in 0..KEPT as u64 + 10 {
            events.publish(changed(count));
        }
        assert!(all(&events, Some(10)).is_complete());
        assert!(!all(&events, Some(9)).is_complete());
        assert!(!all(&events, Some(1 << 60)).is_complete());
        assert!(all(&events, None).is_complete());
        let mut lost = all(&events, Some(100)).lost();
        assert!(!lost.is_complete());
        let Event::Missed(missed) = lost.take().unwrap().event else {
            panic!("what another daemon told is missed");
        };
        assert_eq!((missed.count, missed.to), (None, KEPT as u64 + 10));
        assert!(lost.take().is_none());
        assert_ne!(events.instance(), self::events().instance());
    }

    #[test]
    fn a_million_events_cost_a_sleeper_nothing() {
        let events = events();
        let mut asleep = all(&events, None);
        for count in 0..1_000_000 {
            events.publish(changed(count));
        }
        let log = events.log.lock();
        assert_eq!(log.kept.len(), KEPT);
        assert!(log.gone.len() <= Event::NAMES.len());
        drop(log);
        let Event::Missed(missed) = asleep.take().unwrap().event else {
            panic!("it has missed most of them");
        };
        assert_eq!(missed.count, Some(1_000_000 - KEPT as u64));
        assert_eq!(numbers(&mut asleep).len(), KEPT);
    }

    #[test]
    fn topics_are_names_or_areas() {
        let events = events();
        let topics = Topics::named(&["library.changed", "warning"]).unwrap();
        let mut told = events.subscribe(topics, None).unwrap();
        events.publish(progress("a", 1));
        events.publish(changed(1));
        events.publish(Event::WarningRaised(Warning::new("w", Severity::Info, "")));
        assert_eq!(numbers(&mut told), [2, 3]);
        let unknown = Topics::named(&["media", "nothing"]).unwrap_err();
        assert!(unknown.to_string().contains("\"nothing\""), "{unknown}");
        // Nothing of what it wants is missing.
        for count in 0..KEPT as u64 + 100 {
            events.publish(progress(&count.to_string(), 1));
        }
        assert!(told.take().is_none());
    }

    #[test]
    fn there_are_only_so_many_subscribers() {
        let events = events();
        let many: Vec<Subscription> = (0..MOST_SUBSCRIBERS).map(|_| all(&events, None)).collect();
        assert_eq!(events.subscribers(), MOST_SUBSCRIBERS);
        assert!(events.subscribe(Topics::all(), None).is_err());
        assert_eq!(events.subscribers(), MOST_SUBSCRIBERS);
        drop(many);
        assert_eq!(events.subscribers(), 0);
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let events = events();
        let mut told = all(&events, None);
        let publishing = Arc::clone(&events);
        let publisher = std::thread::spawn(move || {
            for count in 0..100 {
                publishing.publish(changed(count));
                std::thread::yield_now();
            }
        });
        for seq in 1..=100 {
            assert_eq!(told.next().await.seq, seq);
        }
        publisher.join().unwrap();
    }

    #[test]
    fn a_line_is_a_notification_that_reads_back() {
        let told = Told::new(7, 9, progress("a", 1));
        let line: serde_json::Value = serde_json::from_slice(told.line()).unwrap();
        assert_eq!(line["jsonrpc"], "2.0");
        assert_eq!(line["method"], "task.progress");
        assert_eq!(
            (&line["params"]["seq"], &line["params"]["at"]),
            (&7.into(), &9.into())
        );
        let back = Told::from_notification("task.progress", &line["params"]).unwrap();
        assert_eq!((back.seq, back.at, back.event), (7, 9, told.event));
    }
}

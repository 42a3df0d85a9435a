//! Events as a client hears them.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::ClientError;
use super::connection::{Connection, Lost};
use crate::control::events::{Event, Missed, Told};
use crate::control::methods::{Method, SessionSubscribe, Subscribed};

/// Events that wait for a program that does not take them; of those before them it hears that it missed them.
const KEPT: usize = 4096;

/// An event as it came.
#[derive(Clone, PartialEq, Debug)]
pub struct Received {
    /// Its number.
    pub seq: u64,
    /// When it was, in milliseconds since 1970.
    pub at: u64,
    /// Its name.
    pub method: String,
    /// As the daemon sent it.
    pub params: Value,
    /// What happened; `None` for an event that is not known here, as a newer daemon may have.
    pub event: Option<Event>,
}

/// Events that were subscribed to, in their order. Dropped, the daemon is told that nobody listens.
pub struct EventStream {
    subscribed: Subscribed,
    inbox: Arc<Inbox>,
    connection: Option<Arc<Connection>>,
}

impl EventStream {
    pub(super) fn new(
        subscribed: Subscribed,
        inbox: Arc<Inbox>,
        connection: Option<Arc<Connection>>,
    ) -> Self {
        Self {
            subscribed,
            inbox,
            connection,
        }
    }

    /// What the daemon said: from which event on, and whether some are missing before.
    #[must_use]
    pub fn subscribed(&self) -> &Subscribed {
        &self.subscribed
    }

    /// The next event, once there is one. May be given up at any time without losing one.
    ///
    /// # Errors
    /// [`ClientError::Gone`] when the daemon has ended, or another subscription has taken the place of this one.
    pub async fn next(&mut self) -> Result<Received, ClientError> {
        loop {
            let news = self.inbox.news.notified();
            if let Some(next) = self.inbox.take() {
                return next.map_err(|lost| ClientError::lost(SessionSubscribe::NAME, lost));
            }
            news.await;
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.leave(&self.inbox);
        }
    }
}

/// Where events wait.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Received>,
    /// Those for which there was no room.
    missed: Option<Missed>,
    end: Option<Lost>,
}

impl Inbox {
    pub(super) fn put(&self, method: String, params: Value) {
        let number = |name| params.get(name).and_then(Value::as_u64).unwrap_or(0);
        let received = Received {
            seq: number("seq"),
            at: number("at"),
            event: Told::from_notification(&method, &params).map(|told| told.event),
            method,
            params,
        };
        let mut state = self.state.lock();
        if state.waiting.len() == KEPT
            && let Some(oldest) = state.waiting.pop_front()
        {
            state.miss(&oldest);
        }
        state.waiting.push_back(received);
        drop(state);
        self.news.notify_one();
    }

    pub(super) fn end(&self, end: Lost) {
        self.state.lock().end = Some(end);
        self.news.notify_one();
    }

    fn take(&self) -> Option<Result<Received, Lost>> {
        let mut state = self.state.lock();
        if let Some(missed) = state.missed.take() {
            return Some(Ok(as_received(missed)));
        }
        if let Some(next) = state.waiting.pop_front() {
            return Some(Ok(next));
        }
        // Told once; whoever asks again has no connection to ask.
        let end = state.end.take()?;
        state.end = Some(Lost::Gone(None));
        Some(Err(end))
    }
}

impl State {
    fn miss(&mut self, event: &Received) {
        // It may itself say that some are missing.
        let (from, count) = match &event.event {
            Some(Event::Missed(missed)) => (missed.from, missed.count),
            _ => (Some(event.seq), Some(1)),
        };
        let before = self.missed.unwrap_or(Missed {
            count: Some(0),
            from,
            to: event.seq,
        });
        self.missed = Some(Missed {
            count: before.count.zip(count).map(|(a, b)| a.saturating_add(b)),
            from: before.from.filter(|_| from.is_some()),
            to: event.seq,
        });
    }
}

fn as_received(missed: Missed) -> Received {
    let event = Event::Missed(missed);
    let mut params = serde_json::to_value(missed).unwrap_or_default();
    let at = crate::control::events::now_millis();
    params["seq"] = missed.to.into();
    params["at"] = at.into();
    Received {
        seq: missed.to,
        at,
        method: event.name().to_owned(),
        params,
        event: Some(event),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(seq: u64) -> Value {
        json!({"seq": seq, "at": 1, "bases": [], "count": 1})
    }

    #[test]
    fn who_does_not_take_them_hears_how_many_were_missed() {
        let inbox = Inbox::default();
        let more = 3;
        for seq in 1..=KEPT as u64 + more {
            inbox.put("library.changed".to_owned(), event(seq));
        }
        let missed = inbox.take().unwrap().unwrap();
        let expected = Missed {
            count: Some(more),
            from: Some(1),
            to: more,
        };
        assert_eq!(missed.event, Some(Event::Missed(expected)));
        assert_eq!(missed.params["to"], more);
        for seq in more + 1..=KEPT as u64 + more {
            assert_eq!(inbox.take().unwrap().unwrap().seq, seq);
        }
        assert!(inbox.take().is_none());
        inbox.put("of.aNewerDaemon".to_owned(), event(9));
        assert_eq!(inbox.take().unwrap().unwrap().event, None);
        inbox.end(Lost::Babble);
        assert!(matches!(inbox.take(), Some(Err(Lost::Babble))));
        assert!(matches!(inbox.take(), Some(Err(Lost::Gone(None)))));
    }
}

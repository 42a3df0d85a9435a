//! Takes the connections of the control socket, and keeps them few.
//!
//! Where there are too many connections, the one that has asked nothing for the longest time is closed for a new one. One
//! with a request under way never is; nor is, before there are twice as many, one that has just come or just had an
//! answer, as it may be about to ask; nor is one that is told of events, of which there may be as many as [`Events`](super::Events) has room for.
//! Where that makes no room, those who come wait a moment for an answer to another one, and only then are turned away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs_platform::endpoint::{Listener, Stream};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::server::converse;
use super::{Handler, Reason, RpcError, rpc};

/// Connections that are kept, whether they ask something or not.
pub(super) const KEPT: usize = 64;

/// Connections at a time, should more than [`KEPT`] have asked something lately.
pub(super) const MOST: usize = 2 * KEPT;

/// Beyond [`KEPT`], one that has asked nothing for so long is closed for a new one.
const IDLE: Duration = Duration::from_secs(30);

/// What came before a connection was closed for a new one is read so long.
const LAST_READ: Duration = Duration::from_millis(20);

/// How long those who come are kept waiting for room when there was none: requests are answered in a moment, mostly.
const ROOM_WITHIN: Duration = Duration::from_millis(500);

/// How often it is looked for meanwhile.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(2);

/// Pause after the system could not give a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// What a connection is doing.
#[derive(Debug)]
pub struct Activity {
    state: Mutex<State>,
    closing: Notify,
}

#[derive(Debug)]
struct State {
    under_way: usize,
    since: Instant,
    /// It is told of events, and listens without asking.
    is_subscribed: bool,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                under_way: 0,
                since: Instant::now(),
                is_subscribed: false,
            }),
            closing: Notify::new(),
        }
    }
}

impl Activity {
    /// A request is under way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.state.lock().under_way += 1;
        UnderWay(Arc::clone(self))
    }

    /// It is told of events from now on, or no more.
    pub(super) fn subscribed(&self, is_subscribed: bool) {
        let mut state = self.state.lock();
        state.is_subscribed = is_subscribed;
        state.since = Instant::now();
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.state.lock().is_subscribed
    }

    /// Nothing is read any more, but what has come already.
    fn close(&self) {
        self.closing.notify_one();
    }

    /// Waits for the end of reading.
    pub(super) async fn closed(&self) {
        self.closing.notified().await;
        tokio::time::sleep(LAST_READ).await;
    }

    /// Since when nothing is under way, if so.
    fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (state.under_way == 0).then_some(state.since)
    }
}

/// A request that is under way.
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.under_way -= 1;
        state.since = Instant::now();
    }
}

struct Connection {
    activity: Arc<Activity>,
    task: JoinHandle<()>,
}

/// Takes connections until `stop` becomes true.
pub async fn serve(listener: Listener, handler: Arc<dyn Handler>, mut stop: watch::Receiver<bool>) {
    let stopped = stop.clone();
    let take_all = async {
        let mut open: Vec<Connection> = Vec::new();
        // Since when there is no room. Who comes later than that and finds none is not kept waiting once more.
        let mut full: Option<Instant> = None;
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be taken now");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let mut has_room = make_room(&mut open);
            while !has_room && full.get_or_insert_with(Instant::now).elapsed() < ROOM_WITHIN {
                tokio::time::sleep(LOOK_FOR_ROOM).await;
                has_room = make_room(&mut open);
            }
            if !has_room {
                tracing::warn!("a connection is refused: too many have requests under way");
                turn_away(&stream);
                continue;
            }
            full = None;
            let activity = Arc::new(Activity::default());
            let talk = converse(
                stream,
                Arc::clone(&handler),
                stopped.clone(),
                Arc::clone(&activity),
            );
            open.push(Connection {
                activity,
                task: tokio::spawn(talk),
            });
        }
    };
    tokio::select! {
        () = take_all => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Says why nobody answers there, if that can be said at once.
fn turn_away(stream: &Stream) {
    let error = RpcError::new(
        Reason::TooMany,
        format!("{MOST} connections have requests under way; this one is closed"),
    );
    let _ = stream.try_write(&rpc::error_line(error.remedy("try again in a moment")));
}

/// Closes the connection that was idle for the longest time if there are too many; false if there is no room for
/// another one.
fn make_room(open: &mut Vec<Connection>) -> bool {
    open.retain(|connection| !connection.task.is_finished());
    let asking = |connection: &&Connection| !connection.activity.is_subscribed();
    let count = open.iter().filter(asking).count();
    if count < KEPT {
        return true;
    }
    let longest_idle = open
        .iter()
        .enumerate()
        .filter(|(_, connection)| asking(connection))
        .filter_map(|(at, connection)| Some((connection.activity.idle_since()?, at)))
        .min();
    match longest_idle {
        // Should it have asked something just now, that is still answered.
        Some((since, at)) if count >= MOST || since.elapsed() >= IDLE => {
            open.swap_remove(at).activity.close();
        }
        _ => return count < MOST,
    }
    true
}

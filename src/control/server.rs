//! Serves the control protocol to connections: lines in, lines out.
//!
//! Requests come from a stream that [`mediafs_platform::endpoint`] accepted (its peer is the owner of the home), and
//! are answered by a [`Handler`] on blocking threads, several at a time. A client that does not read is never waited
//! for by anything but its own requests. One task writes all lines of a connection, answers before events.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};

use super::connections::Activity;
use super::events::{Subscription, Told, Topics};
use super::methods::{
    HelloParams, Method, Nothing, Notification, SessionCancel, SessionHello, SessionShutdown,
    SessionSubscribe, SessionUnsubscribe, Subscribed,
};
use super::params;
use super::rpc::{self, BadRequest, LONGEST_REQUEST, Reason, Request, RpcError};
use super::{Caller, CallerGone, Handler};

/// Requests of one connection that are worked on at a time; further ones wait in the socket.
pub(super) const AT_A_TIME: usize = 16;

/// Lines that wait for a client to read them.
const WAITING_LINES: usize = 16;

/// Messages that a connection may send in one go, and a second in the long run. Further ones are read later: they wait
/// in the socket, and nothing of them is lost.
pub(super) const MOST_A_SECOND: u32 = 5000;

/// A message of more bytes is a long one.
const LONG: usize = 64 * 1024;

/// Long messages that all connections together may have under way, in whole or in part: what is kept of them is bounded
/// however many connections there are.
pub(super) const MOST_LONG: usize = 64;

/// Room for those.
static LONG_MESSAGES: Semaphore = Semaphore::const_new(MOST_LONG);

/// Messages in a row that are no requests, after which a connection is closed: what talks there is no client.
pub(super) const MOST_GARBAGE: u32 = 1000;

/// The requests of a connection that can be cancelled: by their ids, as JSON writes them.
type Cancels = Arc<Mutex<HashMap<String, Arc<AtomicBool>>>>;

/// Talks to one client until it leaves or `stop` becomes true; notes in `activity` whether it waits for answers.
pub async fn converse<S>(
    stream: S,
    handler: Arc<dyn Handler>,
    mut stop: watch::Receiver<bool>,
    activity: Arc<Activity>,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let (lines, waiting) = mpsc::channel::<Outgoing>(WAITING_LINES);

    let mut stop_writing = stop.clone();
    let writing = tokio::spawn(async move {
        tokio::select! {
            () = write_all(writer, waiting) => {}
            // What is answered already (to the request that stops the daemon, say) is still sent.
            () = async { let _ = stop_writing.wait_for(|stop| *stop).await; tokio::time::sleep(LAST_WORDS).await } => {}
        }
    });

    let mut reader = BufReader::with_capacity(16 * 1024, reader);
    let slots = Arc::new(Semaphore::new(AT_A_TIME));
    let cancels = Cancels::default();
    // False if there is nothing more to be done on this connection.
    let begin = async |request: Request, room: Option<SemaphorePermit<'static>>| {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return false;
        };
        let handler = Arc::clone(&handler);
        let mut caller = Connected {
            request: request.id.clone().unwrap_or(Value::Null),
            lines: lines.clone(),
            stop: stop.clone(),
            cancelled: Arc::default(),
        };
        let under_way = activity.begin();
        let cancels = Arc::clone(&cancels);
        let key = request.id.as_ref().and_then(key);
        if let Some(key) = &key {
            let cancelled = Arc::clone(&caller.cancelled);
            cancels.lock().insert(key.clone(), cancelled);
        }
        let lines = lines.clone();
        tokio::spawn(async move {
            let Request { id, method, params } = request;
            let work = move || handle(handler.as_ref(), &method, params, &mut caller);
            let answer = tokio::task::spawn_blocking(work).await;
            if let Some(key) = key {
                cancels.lock().remove(&key);
            }
            // No answer: the daemon ends. A client that does not read holds no thread.
            if let (Some(id), Ok(answer)) = (id, answer) {
                // A client that has left needs no answer.
                let _ = lines
                    .send(Outgoing::Line(rpc::answer_line(&id, answer)))
                    .await;
            }
            drop((slot, under_way, room));
        });
        true
    };
    let read_all = async {
        let mut pace = Pace::new(MOST_A_SECOND);
        let mut garbage = 0;
        // Why the two cannot understand each other, if so.
        let mut refused: Option<RpcError> = None;
        while let Some(line) = next_line(&mut reader).await {
            pace.step().await;
            let (request, room) = match line {
                Line::Whole(bytes, _) if bytes.trim_ascii().is_empty() => continue,
                Line::Whole(bytes, room) => (Request::parse(&bytes), room),
                Line::TooLong => (Err(BadRequest::too_long()), None),
                Line::NoRoom => {
                    if lines.send(Outgoing::Line(no_room())).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let request = request.and_then(|request| match &request.id {
                Some(id) if key(id).is_some_and(|key| cancels.lock().contains_key(&key)) => {
                    Err(BadRequest::id_in_use(id.clone()))
                }
                _ => Ok(request),
            });
            let request = match request {
                Ok(request) => request,
                Err(bad) => {
                    if lines.send(Outgoing::Line(bad.line())).await.is_err() {
                        return;
                    }
                    garbage += 1;
                    if garbage >= MOST_GARBAGE {
                        let _ = lines.send(Outgoing::Line(no_client())).await;
                        return;
                    }
                    continue;
                }
            };
            garbage = 0;
            if request.method == SessionHello::NAME {
                refused = refusal(&request.params);
            }
            let own = match (request.method.as_str(), &refused) {
                // Said again, or the one who cannot talk to the daemon ends it.
                (SessionHello::NAME | SessionShutdown::NAME, _) | (_, None) => None,
                (_, Some(error)) => Some(error.clone()),
            };
            if let Some(error) = own {
                if let Some(id) = request.id
                    && lines
                        .send(Outgoing::Line(rpc::answer_line(&id, Err(error))))
                        .await
                        .is_err()
                {
                    return;
                }
                continue;
            }
            let own = match request.method.as_str() {
                // Whoever has all slots in use must be able to free one. Tasks are the handler's.
                SessionCancel::NAME if request.params.get("request").is_some() => {
                    cancel(&cancels, request).map(Outgoing::Line)
                }
                SessionSubscribe::NAME => subscribe(handler.as_ref(), &activity, request),
                SessionUnsubscribe::NAME => {
                    activity.subscribed(false);
                    Some(Outgoing::Subscription(None, unsubscribed(request)))
                }
                _ => {
                    if !begin(request, room).await {
                        return;
                    }
                    continue;
                }
            };
            if let Some(own) = own
                && lines.send(own).await.is_err()
            {
                return;
            }
        }
    };
    let mut stopped = stop.clone();
    tokio::select! {
        // What has come by the end of the others is read.
        biased;
        () = read_all => {}
        () = activity.closed() => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    // Who does not listen for answers any more is told of no events either.
    activity.subscribed(false);
    // Requests under way keep their own senders: the writer ends after the last answer.
    drop(lines);
    let _ = stop.borrow_and_update();
    let _ = writing.await;
}

/// What names a request among those under way; `None` for one without a name of its own.
fn key(id: &Value) -> Option<String> {
    (!id.is_null()).then(|| id.to_string())
}

/// Why a hello is refused, if it is.
fn refusal(params: &Value) -> Option<RpcError> {
    // One that cannot be read is answered as such.
    let params: HelloParams = serde_json::from_value(params.clone()).ok()?;
    params.negotiate().err()
}

/// The last that is told to what sends only garbage.
fn no_client() -> Vec<u8> {
    rpc::error_line(
        RpcError::new(
            Reason::TooMany,
            format!("{MOST_GARBAGE} messages in a row were no requests; the connection is closed"),
        )
        .remedy("`mediafs schema` says what a request is"),
    )
}

/// For a long message where too many others have such ones under way.
fn no_room() -> Vec<u8> {
    rpc::error_line(
        RpcError::new(
            Reason::TooMany,
            format!(
                "{MOST_LONG} messages of more than {LONG} bytes are under way; this one was not read"
            ),
        )
        .remedy("ask again in a moment, or in parts"),
    )
}

/// Keeps a connection from sending more than so much a second, by reading it later.
struct Pace {
    most: u32,
    left: f64,
    at: tokio::time::Instant,
}

impl Pace {
    fn new(most: u32) -> Self {
        Self {
            most,
            left: most.into(),
            at: tokio::time::Instant::now(),
        }
    }

    /// Waits until another message may be taken.
    async fn step(&mut self) {
        let now = tokio::time::Instant::now();
        let earned = (now - self.at).as_secs_f64() * f64::from(self.most);
        self.left = (self.left + earned).min(self.most.into()) - 1.0;
        self.at = now;
        if self.left < 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// Stops the request that is named; gives the answer, if one is wanted.
fn cancel(cancels: &Cancels, request: Request) -> Option<Vec<u8>> {
    let answer = match params::read::<SessionCancel>(request.params) {
        Ok(params) => {
            let named = params.request.unwrap_or(Value::Null).to_string();
            match cancels.lock().get(&named) {
                Some(cancelled) => {
                    cancelled.store(true, Ordering::Relaxed);
                    Ok(Value::Object(serde_json::Map::new()))
                }
                None => Err(RpcError::new(
                    Reason::NotFound,
                    format!("no request {named} is under way"),
                )),
            }
        }
        Err(error) => Err(error),
    };
    Some(rpc::answer_line(&request.id?, answer))
}

/// Subscribes the connection; gives the answer, from which on the events are told.
fn subscribe(handler: &dyn Handler, activity: &Activity, request: Request) -> Option<Outgoing> {
    let Request { id, params, .. } = request;
    match subscription(handler, params) {
        Ok((subscription, instance)) => {
            activity.subscribed(true);
            let told = Subscribed {
                seq: subscription.after(),
                instance,
                complete: subscription.is_complete(),
            };
            let line = id.map(|id| rpc::answer_line(&id, answer(&told)));
            Some(Outgoing::Subscription(Some(subscription), line))
        }
        Err(error) => Some(Outgoing::Line(rpc::answer_line(&id?, Err(error)))),
    }
}

/// The subscription, and the run of the daemon that its numbers belong to.
fn subscription(handler: &dyn Handler, params: Value) -> Result<(Subscription, String), RpcError> {
    let invalid = |error: &dyn std::fmt::Display| {
        RpcError::new(
            Reason::InvalidParameter,
            format!("{}: {error}", SessionSubscribe::NAME),
        )
    };
    let params = params::read::<SessionSubscribe>(params)?;
    let topics = match &params.topics {
        Some(topics) => Topics::named(topics).map_err(|error| invalid(&error))?,
        None => Topics::all(),
    };
    let events = handler
        .events()
        .ok_or_else(|| RpcError::new(Reason::NoDaemon, "there are no events without a daemon"))?;
    let subscription = events
        .subscribe(topics, params.since)
        .map_err(|error| RpcError::new(Reason::TooMany, error.to_string()))?;
    let instance = events.instance().to_owned();
    let is_of_another = params.instance.is_some_and(|of| of != instance);
    let subscription = if is_of_another {
        subscription.lost()
    } else {
        subscription
    };
    Ok((subscription, instance))
}

fn unsubscribed(request: Request) -> Option<Vec<u8>> {
    Some(rpc::answer_line(&request.id?, answer(&Nothing {})))
}

fn answer<T: serde::Serialize>(value: &T) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(|error| RpcError::new(Reason::Internal, error.to_string()))
}

/// What a connection is sent.
enum Outgoing {
    /// A line as it is.
    Line(Vec<u8>),
    /// This answer, if one is wanted, and from then on what this subscription tells instead of the one before.
    Subscription(Option<Subscription>, Option<Vec<u8>>),
}

/// Writes whole lines until nobody can send another one, or the client has gone. Events wait for answers, which are as
/// many as the client asks for.
async fn write_all(mut writer: impl AsyncWrite + Unpin, mut waiting: mpsc::Receiver<Outgoing>) {
    let mut subscription: Option<Subscription> = None;
    loop {
        let outgoing = tokio::select! {
            biased;
            outgoing = waiting.recv() => outgoing,
            told = next_event(&mut subscription) => {
                if writer.write_all(told.line()).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let line = match outgoing {
            None => break,
            Some(Outgoing::Line(line)) => Some(line),
            Some(Outgoing::Subscription(new, answer)) => {
                subscription = new;
                answer
            }
        };
        if let Some(line) = line
            && writer.write_all(&line).await.is_err()
        {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

/// The next event of the connection, if it is told of any.
async fn next_event(subscription: &mut Option<Subscription>) -> Arc<Told> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

/// How long answers may still be sent when the daemon ends.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(200);

/// A fault in a handler is answered as such, and takes nobody else along.
fn handle(
    handler: &dyn Handler,
    method: &str,
    params: Value,
    caller: &mut dyn Caller,
) -> Result<Value, RpcError> {
    let work = std::panic::AssertUnwindSafe(|| handler.handle(method, params, caller));
    std::panic::catch_unwind(work).unwrap_or_else(|_| {
        tracing::error!(method, "a request made its handler panic");
        Err(RpcError::new(
            Reason::Internal,
            format!("{method} failed by a fault of mediafs; its log says more"),
        ))
    })
}

/// The client of a connection.
struct Connected {
    /// The id of its request.
    request: Value,
    lines: mpsc::Sender<Outgoing>,
    stop: watch::Receiver<bool>,
    /// It wants the answer, but soon.
    cancelled: Arc<AtomicBool>,
}

impl Caller for Connected {
    fn tell(&mut self, note: &Notification) -> Result<(), CallerGone> {
        if self.gone() {
            return Err(CallerGone);
        }
        let Ok(Value::Object(mut message)) = serde_json::to_value(note) else {
            return Ok(());
        };
        let mut params = message.remove("params").unwrap_or(Value::Null);
        if let Value::Object(params) = &mut params {
            params.insert("request".to_owned(), self.request.clone());
        }
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            return Ok(());
        };
        let line = rpc::notification_line(method, &params);
        match note {
            // A slow client misses some.
            Notification::Progress(_) => match self.lines.try_send(Outgoing::Line(line)) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
                Err(mpsc::error::TrySendError::Closed(_)) => Err(CallerGone),
            },
        }
    }

    fn gone(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.lines.is_closed() || *self.stop.borrow()
    }
}

/// One line of a connection.
enum Line {
    /// With its room, if it is a long one.
    Whole(Vec<u8>, Option<SemaphorePermit<'static>>),
    /// Longer than any may be.
    TooLong,
    /// A long one for which there is no room.
    NoRoom,
}

/// The next line without its end; `None` at the end of the stream or when it breaks. Never keeps more than
/// [`LONGEST_REQUEST`] bytes, nor more than [`LONG`] without room for it.
async fn next_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<Line> {
    let mut line = Vec::new();
    let mut room = None;
    // Why the line is not kept, if so.
    let mut left_out: Option<Line> = None;
    loop {
        let available = match reader.fill_buf().await {
            Ok([]) | Err(_) => {
                // A last line without an end counts.
                return (!line.is_empty() && left_out.is_none()).then_some(Line::Whole(line, room));
            }
            Ok(available) => available,
        };
        let end = available.iter().position(|&byte| byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        let length = line.len() + part.len();
        if left_out.is_none() && length > LONGEST_REQUEST {
            left_out = Some(Line::TooLong);
        } else if left_out.is_none() && length > LONG && room.is_none() {
            room = LONG_MESSAGES.try_acquire().ok();
            left_out = room.is_none().then_some(Line::NoRoom);
        }
        if left_out.is_none() {
            line.extend_from_slice(part);
        } else {
            (line, room) = (Vec::new(), None);
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Some(left_out.unwrap_or(Line::Whole(line, room)));
        }
    }
}

#[cfg(test)]
mod tests;

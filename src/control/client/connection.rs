//! One connection to a daemon: a task that writes lines, one that reads them and gives each to whoever waits for it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::ClientError;
use super::events::Inbox;
use crate::control::methods::{
    Method, Nothing, Notification, SessionCancel, SessionUnsubscribe, TaskProgress,
};
use crate::control::rpc::{self, Incoming, LONGEST_REQUEST, RpcError};

/// The longest line a daemon may send, in bytes.
const LONGEST_ANSWER: u64 = 256 << 20;

/// Requests that wait for the daemon to read them; whoever has more waits.
const WAITING_LINES: usize = 64;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// The daemon has gone.
    Gone(Option<io::Error>),
    /// It said no, to this or to the whole connection.
    Refused(RpcError),
    /// What it says is no JSON-RPC.
    Babble,
}

impl Lost {
    /// For one of many who wait.
    fn again(&self) -> Self {
        match self {
            Self::Gone(source) => Self::Gone(
                source
                    .as_ref()
                    .map(|error| io::Error::new(error.kind(), error.to_string())),
            ),
            Self::Refused(error) => Self::Refused(error.clone()),
            Self::Babble => Self::Babble,
        }
    }
}

/// Who waits for an answer.
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Result<Value, Lost>>,
    pub(super) progress: mpsc::Sender<TaskProgress>,
    /// Of a subscription: where events go from the answer on.
    pub(super) inbox: Option<Arc<Inbox>>,
}

pub(super) struct Connection {
    lines: mpsc::Sender<Vec<u8>>,
    state: Arc<Mutex<State>>,
    tasks: [AbortHandle; 2],
}

#[derive(Default)]
struct State {
    last_id: u64,
    waiting: HashMap<u64, Waiting>,
    /// Where events go.
    inbox: Option<Arc<Inbox>>,
    /// That of the subscription that was asked for last.
    asked: Option<Arc<Inbox>>,
    /// Nothing is read any more.
    end: Option<Lost>,
}

impl Connection {
    pub(super) fn over<S>(stream: S) -> Arc<Self>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reader, mut writer) = tokio::io::split(stream);
        let (lines, mut waiting) = mpsc::channel::<Vec<u8>>(WAITING_LINES);
        let state = Arc::<Mutex<State>>::default();
        let ending = Arc::clone(&state);
        let writing = tokio::spawn(async move {
            while let Some(line) = waiting.recv().await {
                if let Err(error) = writer.write_all(&line).await {
                    // What it said before that may still be read; then the reader ends too.
                    tracing::debug!(%error, "a daemon does not listen any more");
                    return;
                }
            }
            let _ = writer.shutdown().await;
        });
        let reading = tokio::spawn(async move {
            let end = read_all(reader, &ending).await;
            ending.lock().end(end);
        });
        Arc::new(Self {
            lines,
            state,
            tasks: [writing.abort_handle(), reading.abort_handle()],
        })
    }

    /// Sends a request; gives its id.
    pub(super) async fn send(
        &self,
        method: &'static str,
        params: &Value,
        waiting: Waiting,
    ) -> Result<u64, ClientError> {
        let id = {
            let mut state = self.state.lock();
            if let Some(end) = &state.end {
                return Err(ClientError::lost(method, end.again()));
            }
            state.last_id += 1;
            state.last_id
        };
        let line = rpc::request_line(id, method, params);
        if line.len() > LONGEST_REQUEST + 1 {
            return Err(ClientError::TooLong {
                method,
                bytes: line.len(),
            });
        }
        {
            let mut state = self.state.lock();
            if let Some(inbox) = &waiting.inbox {
                state.asked = Some(Arc::clone(inbox));
            }
            state.waiting.insert(id, waiting);
        }
        // Given up while it waits for room, it is no request: nobody waits for it either.
        let forget = Forget {
            state: &self.state,
            id,
        };
        if self.lines.send(line).await.is_err() {
            // The writer has gone; the reader says why, if it can, and the answer is that.
            tracing::debug!(method, "a request was not sent");
        }
        std::mem::forget(forget);
        // It may have ended between the two looks.
        let mut state = self.state.lock();
        if let Some(end) = state.end.as_ref().map(Lost::again)
            && let Some(waiting) = state.waiting.remove(&id)
        {
            let _ = waiting.answer.send(Err(end));
        }
        Ok(id)
    }

    /// Asks for the end of a request.
    pub(super) async fn cancel(&self, request: u64) {
        let _ = self.lines.send(cancel_line(request)).await;
    }

    /// The same, and nobody waits for it any more.
    pub(super) fn abandon(&self, request: u64) {
        let left = self.state.lock().waiting.remove(&request);
        if left.is_some() {
            // Where there is no room it goes on to its end.
            let _ = self.lines.try_send(cancel_line(request));
        }
    }

    /// Nobody hears the events of that subscription any more.
    pub(super) fn leave(&self, inbox: &Arc<Inbox>) {
        let mut state = self.state.lock();
        let is = |other: &Option<Arc<Inbox>>| other.as_ref().is_some_and(|o| Arc::ptr_eq(o, inbox));
        if is(&state.inbox) {
            state.inbox = None;
        }
        // Another subscription may have taken its place.
        if is(&state.asked) {
            state.asked = None;
            let params = serde_json::to_value(Nothing {}).unwrap_or_default();
            let line = rpc::notification_line(SessionUnsubscribe::NAME, &params);
            let _ = self.lines.try_send(line);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Takes the entry of a request back, unless it is forgotten itself.
struct Forget<'a> {
    state: &'a Mutex<State>,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.state.lock().waiting.remove(&self.id);
    }
}

fn cancel_line(request: u64) -> Vec<u8> {
    rpc::notification_line(SessionCancel::NAME, &json!({"request": request}))
}

impl State {
    fn end(&mut self, end: Lost) {
        for (_, waiting) in self.waiting.drain() {
            let _ = waiting.answer.send(Err(end.again()));
        }
        if let Some(inbox) = self.inbox.take() {
            inbox.end(end.again());
        }
        self.end = Some(end);
    }

    fn answered(&mut self, id: u64, answer: Result<Value, RpcError>) {
        // Some are not waited for any more.
        let Some(waiting) = self.waiting.remove(&id) else {
            return;
        };
        if answer.is_ok()
            && let Some(inbox) = waiting.inbox
            && let Some(before) = self.inbox.replace(inbox)
        {
            before.end(Lost::Gone(None));
        }
        let _ = waiting.answer.send(answer.map_err(Lost::Refused));
    }

    fn told(&mut self, method: String, params: Value) {
        let request = params.get("request").and_then(Value::as_u64);
        if let Some(waiting) = request.and_then(|id| self.waiting.get(&id)) {
            // What a newer daemon tells beyond what is known here is left out.
            let note = serde_json::from_value(json!({"method": method, "params": params}));
            if let Ok(Notification::Progress(progress)) = note {
                // Who does not look misses some.
                let _ = waiting.progress.try_send(progress);
                return;
            }
        }
        if let Some(inbox) = &self.inbox
            && params.get("seq").is_some()
        {
            inbox.put(method, params);
        }
    }
}

/// Reads until the end, and gives why it is that.
async fn read_all(reader: impl AsyncRead + Unpin, state: &Mutex<State>) -> Lost {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader)
            .take(LONGEST_ANSWER)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) => return Lost::Gone(None),
            Ok(_) => {}
            Err(error) => return Lost::Gone(Some(error)),
        }
        match Incoming::parse(&line) {
            Some(Incoming::Answer(Some(id), answer)) => state.lock().answered(id, answer),
            // To no request in particular: it will not talk on.
            Some(Incoming::Answer(None, Err(error))) => return Lost::Refused(error),
            Some(Incoming::Answer(None, Ok(_))) => {}
            Some(Incoming::Notification { method, params }) => state.lock().told(method, params),
            None => return Lost::Babble,
        }
        // One long answer is not kept for good.
        line.shrink_to(64 * 1024);
    }
}

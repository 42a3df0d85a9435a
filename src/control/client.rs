//! Calls methods of the control protocol, over the socket of a daemon or on a handler in this process.
//!
//! Blocking, for commands. The commands have no other way to the media drive.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mediafs_platform::endpoint::EndpointError;
use serde_json::{Value, json};

use super::methods::{
    Hello, HelloParams, Method, Notification, SessionCancel, SessionHello, SessionSubscribe,
};
use super::rpc::{self, Incoming, RpcError};
use super::{Caller, CallerGone, Handler};

/// The longest line a daemon may send, in bytes.
const LONGEST_ANSWER: u64 = 256 << 20;

/// How long a daemon may take to say hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);

/// How often a call that waits looks up: has it been cancelled?
const LOOK_UP_EVERY: Duration = Duration::from_millis(100);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The service says no.
    #[error(transparent)]
    Refused(#[from] RpcError),
    /// The socket can't be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The daemon ended, or closed the connection.
    #[error("the daemon went away during {method}; its log says why")]
    Gone {
        /// What was called.
        method: &'static str,
        /// The cause, if the system told.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The daemon is there, but says nothing.
    #[error(
        "the daemon does not answer at {path}; if that stays so, end it with `mediafs unmount`"
    )]
    Silent {
        /// Its socket.
        path: std::path::PathBuf,
    },
    /// The daemon speaks another language.
    #[error("the daemon gave no valid answer to {method}; is it another version of mediafs?")]
    NotUnderstood {
        /// What was called.
        method: &'static str,
        /// The cause, if the message was JSON.
        #[source]
        source: Option<serde_json::Error>,
    },
}

/// A connection to a daemon, or a handler in this process.
pub struct Client {
    way: Way,
}

enum Way {
    Socket {
        stream: BufReader<UnixStream>,
        last_id: u64,
        patience: Option<Duration>,
        cancelled: Arc<AtomicBool>,
        /// What came of a line that has not ended yet, of those that nobody asked for.
        unfinished: Vec<u8>,
    },
    Here {
        handler: Arc<dyn Handler>,
        cancelled: Arc<AtomicBool>,
    },
}

impl Client {
    /// The daemon that listens at `socket`, and what it says of itself (it may be of another version); `None` if none
    /// does.
    ///
    /// # Errors
    /// [`ClientError`] if it does not answer, or not as it should.
    pub fn connect(socket: &Path) -> Result<Option<(Self, Hello)>, ClientError> {
        let stream = match reach(socket) {
            Ok(stream) => stream,
            Err(EndpointError::NotRunning { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut client = Self::over(stream);
        client.answer_within(Some(HELLO_PATIENCE));
        let hello = match client.call::<SessionHello>(&HelloParams {
            client: Some(format!("mediafs {}", env!("CARGO_PKG_VERSION"))),
        }) {
            Ok(hello) => hello,
            Err(ClientError::Gone {
                source: Some(error),
                ..
            }) if is_timeout(&error) => {
                return Err(ClientError::Silent {
                    path: socket.to_owned(),
                });
            }
            Err(error) => return Err(error),
        };
        client.answer_within(None);
        Ok(Some((client, hello)))
    }

    /// Over a connected socket.
    #[must_use]
    pub fn over(stream: UnixStream) -> Self {
        Self {
            way: Way::Socket {
                stream: BufReader::new(stream),
                last_id: 0,
                patience: None,
                cancelled: Arc::default(),
                unfinished: Vec::new(),
            },
        }
    }

    fn answer_within(&mut self, limit: Option<Duration>) {
        if let Way::Socket { patience, .. } = &mut self.way {
            *patience = limit;
        }
    }

    /// Long methods end soon, with an answer, once `flag` is set.
    pub fn cancel_by(&mut self, flag: &Arc<AtomicBool>) {
        match &mut self.way {
            Way::Socket { cancelled, .. } | Way::Here { cancelled, .. } => {
                *cancelled = Arc::clone(flag);
            }
        }
    }

    /// In this process.
    #[must_use]
    pub fn here(handler: Arc<dyn Handler>) -> Self {
        Self {
            way: Way::Here {
                handler,
                cancelled: Arc::default(),
            },
        }
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Answer, ClientError> {
        self.call_telling::<M>(params, &mut |_| {})
    }

    /// Calls a method, gives what it tells meanwhile to `listen`, and waits for its answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn call_telling<M: Method>(
        &mut self,
        params: &M::Params,
        listen: &mut (dyn FnMut(Notification) + Send),
    ) -> Result<M::Answer, ClientError> {
        let not_understood = |source| ClientError::NotUnderstood {
            method: M::NAME,
            source: Some(source),
        };
        let params = serde_json::to_value(params).map_err(not_understood)?;
        let answer = match &mut self.way {
            Way::Here { handler, cancelled } => {
                let mut caller = Listening { listen, cancelled };
                handler.handle(M::NAME, params, &mut caller)?
            }
            Way::Socket {
                stream,
                last_id,
                patience,
                cancelled,
                unfinished,
            } => {
                // The cancellation, should there be one, has the next.
                *last_id += 2;
                let waiting = Waiting {
                    id: *last_id,
                    method: M::NAME,
                    until: patience.map(|patience| Instant::now() + patience),
                    cancelled,
                };
                waiting.exchange(stream, &params, std::mem::take(unfinished), listen)?
            }
        };
        serde_json::from_value(answer).map_err(not_understood)
    }

    /// What the daemon tells next without being asked, as [`SessionSubscribe`] made it: method and parameters. `None`
    /// if nothing came for `patience`, or in this process, where nobody tells anything.
    ///
    /// # Errors
    /// [`ClientError::Gone`] at the end of the daemon; [`ClientError::NotUnderstood`].
    pub fn next_notification(
        &mut self,
        patience: Duration,
    ) -> Result<Option<(String, Value)>, ClientError> {
        let Way::Socket {
            stream, unfinished, ..
        } = &mut self.way
        else {
            return Ok(None);
        };
        let method = SessionSubscribe::NAME;
        let gone = |source| ClientError::Gone { method, source };
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // Zero would be for ever.
            let _ = stream
                .get_ref()
                .set_read_timeout(Some(left.max(Duration::from_millis(1))));
            match read_line(stream, unfinished) {
                Ok(0) => return Err(gone(None)),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) => return Err(gone(Some(error))),
            }
            let line = std::mem::take(unfinished);
            match Incoming::parse(&line) {
                Some(Incoming::Notification { method, params }) => {
                    return Ok(Some((method, params)));
                }
                Some(Incoming::Answer(None, Err(error))) => return Err(error.into()),
                Some(Incoming::Answer(..)) => {}
                None => {
                    return Err(ClientError::NotUnderstood {
                        method,
                        source: None,
                    });
                }
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }
}

/// Reads on to the end of a line. What came of it until an error stays in `line`.
fn read_line(stream: &mut BufReader<UnixStream>, line: &mut Vec<u8>) -> std::io::Result<usize> {
    stream
        .by_ref()
        .take(LONGEST_ANSWER.saturating_sub(line.len() as u64))
        .read_until(b'\n', line)
}

/// A stream that blocks.
fn reach(socket: &Path) -> Result<UnixStream, EndpointError> {
    let failed = |source| EndpointError::Io {
        action: "connect to",
        path: socket.to_owned(),
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    let stream = runtime
        .block_on(mediafs_platform::endpoint::connect(socket))?
        .into_std()
        .map_err(failed)?;
    stream.set_nonblocking(false).map_err(failed)?;
    Ok(stream)
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

/// A request and the wait for its answer.
struct Waiting<'a> {
    id: u64,
    method: &'static str,
    until: Option<Instant>,
    cancelled: &'a AtomicBool,
}

impl Waiting<'_> {
    fn gone(&self, source: Option<std::io::Error>) -> ClientError {
        ClientError::Gone {
            method: self.method,
            source,
        }
    }

    fn send(&self, stream: &mut BufReader<UnixStream>, line: &[u8]) -> Result<(), ClientError> {
        stream
            .get_mut()
            .write_all(line)
            .map_err(|error| self.gone(Some(error)))
    }

    fn exchange(
        &self,
        stream: &mut BufReader<UnixStream>,
        params: &Value,
        mut line: Vec<u8>,
        listen: &mut (dyn FnMut(Notification) + Send),
    ) -> Result<Value, ClientError> {
        self.send(stream, &rpc::request_line(self.id, self.method, params))?;
        // Fails only for a time of zero.
        let _ = stream.get_ref().set_read_timeout(Some(LOOK_UP_EVERY));
        let mut told = false;
        loop {
            if self.cancelled.load(Ordering::Relaxed) && !told {
                told = true;
                let params = json!({"request": self.id});
                let line = rpc::request_line(self.id + 1, SessionCancel::NAME, &params);
                self.send(stream, &line)?;
            }
            match read_line(stream, &mut line) {
                Ok(0) => return Err(self.gone(None)),
                Ok(_) => {}
                // What came of the line until now stays in it.
                Err(error) if is_timeout(&error) => {
                    if self.until.is_some_and(|until| Instant::now() >= until) {
                        return Err(self.gone(Some(error)));
                    }
                    continue;
                }
                Err(error) => return Err(self.gone(Some(error))),
            }
            match Incoming::parse(&line) {
                Some(Incoming::Answer(Some(of), answer)) if of == self.id => return Ok(answer?),
                // An error without an id: the daemon could not read what was sent last.
                Some(Incoming::Answer(None, Err(error))) => return Err(error.into()),
                Some(Incoming::Answer(..)) => {}
                Some(Incoming::Notification { method, params }) => {
                    // What a newer daemon tells beyond what is known here is left out.
                    if let Ok(note) =
                        serde_json::from_value(json!({"method": method, "params": params}))
                    {
                        listen(note);
                    }
                }
                None => {
                    return Err(ClientError::NotUnderstood {
                        method: self.method,
                        source: None,
                    });
                }
            }
            line.clear();
        }
    }
}

/// The caller in this process.
struct Listening<'a> {
    listen: &'a mut (dyn FnMut(Notification) + Send),
    cancelled: &'a AtomicBool,
}

impl Caller for Listening<'_> {
    fn tell(&mut self, note: &Notification) -> Result<(), CallerGone> {
        (self.listen)(note.clone());
        if self.gone() { Err(CallerGone) } else { Ok(()) }
    }

    fn gone(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    /// A daemon that says this, whatever it is asked, and leaves.
    fn client(answer: &str) -> Client {
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(answer.as_bytes()).unwrap();
        there.shutdown(std::net::Shutdown::Write).unwrap();
        // Kept open so that the request can be sent.
        std::mem::forget(there);
        Client::over(here)
    }

    fn hello(answer: &str) -> Result<Hello, ClientError> {
        client(answer).call::<SessionHello>(&HelloParams::default())
    }

    #[test]
    fn where_nobody_listens_there_is_no_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(Client::connect(&path).unwrap().is_none());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(Client::connect(&path).unwrap().is_none());
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(Client::connect(&dir.path().join("file")).unwrap().is_none());
    }

    #[test]
    fn answers_are_found_between_what_is_told() {
        let text = concat!(
            r#"{"jsonrpc":"2.0","method":"of.aNewerDaemon","params":{}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":2,"result":{"version":"9","protocol":1,"pid":4}}"#,
            "\n"
        );
        assert_eq!(hello(text).unwrap().version, "9");
    }

    #[test]
    fn a_daemon_that_goes_or_babbles_is_an_error() {
        assert!(matches!(hello(""), Err(ClientError::Gone { .. })));
        assert!(matches!(
            hello("HTTP/1.1 400\n"),
            Err(ClientError::NotUnderstood { .. })
        ));
        assert!(matches!(
            hello("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":7}\n"),
            Err(ClientError::NotUnderstood { .. })
        ));
        assert!(matches!(
            hello(
                "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"no\"}}\n"
            ),
            Err(ClientError::Refused(_))
        ));
    }
}

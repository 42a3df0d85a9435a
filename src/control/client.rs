//! Calls methods of the control protocol, over the socket of a daemon or on a handler in this process.
//!
//! Blocking, for commands. The commands have no other way to the media drive.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::methods::{Method, Notification};
use super::rpc::{self, Incoming, RpcError};
use super::{Caller, CallerGone, Handler};

/// The longest line a daemon may send, in bytes.
const LONGEST_ANSWER: u64 = 256 << 20;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The service says no.
    #[error(transparent)]
    Refused(#[from] RpcError),
    /// The daemon ended, or closed the connection.
    #[error("the daemon went away during {method}; its log says why")]
    Gone {
        /// What was called.
        method: &'static str,
        /// The cause, if the system told.
        #[source]
        source: Option<std::io::Error>,
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
        reader: BufReader<Box<dyn Read + Send>>,
        writer: Box<dyn Write + Send>,
        last_id: u64,
    },
    Here {
        handler: Arc<dyn Handler>,
        cancelled: Arc<AtomicBool>,
    },
}

impl Client {
    /// Over a connected socket, by its two halves.
    #[must_use]
    pub fn over(reader: Box<dyn Read + Send>, writer: Box<dyn Write + Send>) -> Self {
        Self {
            way: Way::Socket {
                reader: BufReader::new(reader),
                writer,
                last_id: 0,
            },
        }
    }

    /// In this process. Long methods end soon once `cancelled` is set.
    #[must_use]
    pub fn here(handler: Arc<dyn Handler>, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            way: Way::Here { handler, cancelled },
        }
    }

    /// Is a daemon at the other end?
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self.way, Way::Socket { .. })
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
                reader,
                writer,
                last_id,
            } => {
                *last_id += 1;
                exchange(reader, writer, *last_id, M::NAME, &params, listen)?
            }
        };
        serde_json::from_value(answer).map_err(not_understood)
    }
}

fn exchange(
    reader: &mut BufReader<Box<dyn Read + Send>>,
    writer: &mut Box<dyn Write + Send>,
    id: u64,
    method: &'static str,
    params: &Value,
    listen: &mut (dyn FnMut(Notification) + Send),
) -> Result<Value, ClientError> {
    let gone = |source| ClientError::Gone { method, source };
    writer
        .write_all(&rpc::request_line(id, method, params))
        .and_then(|()| writer.flush())
        .map_err(|error| gone(Some(error)))?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .by_ref()
            .take(LONGEST_ANSWER)
            .read_until(b'\n', &mut line)
            .map_err(|error| gone(Some(error)))?;
        if read == 0 {
            return Err(gone(None));
        }
        match Incoming::parse(&line) {
            Some(Incoming::Answer(Some(of), answer)) if of == id => return Ok(answer?),
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
                    method,
                    source: None,
                });
            }
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
    use crate::control::methods::{Hello, HelloParams, SessionHello};

    fn client(answer: &str) -> Client {
        Client::over(
            Box::new(std::io::Cursor::new(answer.to_owned().into_bytes())),
            Box::new(std::io::sink()),
        )
    }

    fn hello(answer: &str) -> Result<Hello, ClientError> {
        client(answer).call::<SessionHello>(&HelloParams::default())
    }

    #[test]
    fn answers_are_found_between_what_is_told() {
        let text = concat!(
            r#"{"jsonrpc":"2.0","method":"of.aNewerDaemon","params":{}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":1,"result":{"version":"9","protocol":1,"pid":4}}"#,
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
            hello("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":7}\n"),
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

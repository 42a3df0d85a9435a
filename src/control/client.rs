//! Calls methods of the control protocol and hears its events: over the socket of a daemon, or on a handler in this
//! process, in the same way.
//!
//! Many requests may be under way on one [`Client`] at a time; clones of it share the connection. It ends with the last
//! of them. What happens then, and when the daemon ends, is the caller's to say: connect again, and subscribe
//! with the number of the last event that was heard.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use mediafs::control::Client;
//! use mediafs::control::events::Event;
//! use mediafs::control::methods::{ImportParams, MediaImport, SubscribeParams};
//! use mediafs::control::WirePath;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // `mediafs ensure --json` says where it is.
//! let socket = Path::new("/run/user/1000/mediafs/socket");
//! let Some((client, hello)) = Client::connect(socket, "my host 1.0").await? else {
//!     return Err("no daemon runs".into());
//! };
//! println!("mediafs {}, the drive is at {:?}", hello.version, hello.mount);
//!
//! let mut events = client.subscribe(&SubscribeParams::default()).await?;
//! tokio::spawn(async move {
//!     while let Ok(received) = events.next().await {
//!         if let Some(Event::MediaChanged(changed)) = received.event {
//!             println!("{} changed", changed.media_id);
//!         }
//!     }
//! });
//!
//! let mut import = client
//!     .start::<MediaImport>(&ImportParams {
//!         paths: vec![WirePath("/home/ann/Kick.wav".into())],
//!         ..ImportParams::default()
//!     })
//!     .await?;
//! while let Some(progress) = import.progress().await {
//!     println!("{} of {:?}", progress.done, progress.total);
//! }
//! for file in import.answer().await?.items {
//!     println!("{:?} is {:?}", file.source, file.path);
//! }
//! # Ok(())
//! # }
//! ```

pub mod blocking;
mod connection;
mod events;
mod here;

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mediafs_platform::endpoint::{self, EndpointError};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::Handler;
use super::methods::{
    Hello, HelloParams, Method, OLDEST_PROTOCOL, PROTOCOL, SessionHello, SessionSubscribe,
    SubscribeParams, TaskProgress,
};
use super::rpc::{LONGEST_REQUEST, Reason, RpcError};
use connection::{Connection, Lost};
use here::Here;

pub use events::{EventStream, Received};

/// How long a daemon may take to say hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);

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
    /// The request is longer than a daemon takes.
    #[error(
        "{method} was given so much that it makes {bytes} bytes, and a request may have {LONGEST_REQUEST}; ask in parts"
    )]
    TooLong {
        /// What was called.
        method: &'static str,
        /// Of the request.
        bytes: usize,
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

impl ClientError {
    fn lost(method: &'static str, lost: Lost) -> Self {
        match lost {
            Lost::Gone(source) => Self::Gone { method, source },
            Lost::Refused(error) => Self::Refused(error),
            Lost::Babble => Self::NotUnderstood {
                method,
                source: None,
            },
        }
    }
}

/// A connection to a daemon, or a handler in this process. To be used within a tokio runtime.
#[derive(Clone)]
pub struct Client {
    way: Way,
}

#[derive(Clone)]
enum Way {
    Socket(Arc<Connection>),
    Here(Arc<dyn Handler>),
}

impl Client {
    /// The daemon that listens at `socket`, and what it says of itself; `None` if none does. `name` is who calls, for its
    /// log.
    ///
    /// # Errors
    /// [`ClientError`] if it does not answer, or not as it should; [`Reason::DaemonTooOld`] or
    /// [`Reason::ClientTooOld`] if the two have no version of the protocol in common.
    pub async fn connect(socket: &Path, name: &str) -> Result<Option<(Self, Hello)>, ClientError> {
        let Some(client) = Self::reach(socket).await? else {
            return Ok(None);
        };
        let params = HelloParams::of_this_library(name);
        let hello = client.say_hello(socket, &params).await?;
        // One that knows of no negotiation.
        let reason = match hello.protocol {
            OLDEST_PROTOCOL..=PROTOCOL => return Ok(Some((client, hello))),
            ..OLDEST_PROTOCOL => Reason::DaemonTooOld,
            _ => Reason::ClientTooOld,
        };
        let text = format!(
            "the running daemon is mediafs {} and speaks protocol {}, this is {PROTOCOL}",
            hello.version, hello.protocol
        );
        Err(RpcError::new(reason, text)
            .remedy("end it with `mediafs unmount`, and mount again")
            .into())
    }

    /// A connection to the daemon that listens at `socket`, of whichever version, without a word.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`].
    pub async fn reach(socket: &Path) -> Result<Option<Self>, ClientError> {
        match endpoint::connect(socket).await {
            Ok(stream) => Ok(Some(Self::over(stream))),
            Err(EndpointError::NotRunning { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a daemon says of itself that should answer at once.
    async fn say_hello(&self, socket: &Path, params: &HelloParams) -> Result<Hello, ClientError> {
        match tokio::time::timeout(HELLO_PATIENCE, self.call::<SessionHello>(params)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Silent {
                path: socket.to_owned(),
            }),
        }
    }

    /// Over a connected stream.
    #[must_use]
    pub fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        Self {
            way: Way::Socket(Connection::over(stream)),
        }
    }

    /// In this process.
    #[must_use]
    pub fn here(handler: Arc<dyn Handler>) -> Self {
        Self {
            way: Way::Here(handler),
        }
    }

    /// Calls a method and waits for its answer. Given up before that, the daemon is told to stop.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call<M: Method>(&self, params: &M::Params) -> Result<M::Answer, ClientError> {
        self.start::<M>(params).await?.answer().await
    }

    /// Calls a method whose progress is wanted, or that may have to be cancelled.
    ///
    /// # Errors
    /// [`ClientError`] if it can't be sent.
    pub async fn start<M: Method>(&self, params: &M::Params) -> Result<Call<M>, ClientError> {
        self.begin(params, None).await
    }

    async fn begin<M: Method>(
        &self,
        params: &M::Params,
        inbox: Option<Arc<events::Inbox>>,
    ) -> Result<Call<M>, ClientError> {
        let params = serde_json::to_value(params).map_err(|error| ClientError::NotUnderstood {
            method: M::NAME,
            source: Some(error),
        })?;
        let (answer, answered) = oneshot::channel();
        let (progress, progresses) = mpsc::channel(PROGRESSES);
        let canceller = match &self.way {
            Way::Socket(connection) => {
                let waiting = connection::Waiting {
                    answer,
                    progress,
                    inbox,
                };
                let request = connection.send(M::NAME, &params, waiting).await?;
                Canceller::Socket {
                    connection: Arc::clone(connection),
                    request,
                }
            }
            Way::Here(handler) => {
                let handler = Arc::clone(handler);
                Canceller::Here(Here::begin(handler, M::NAME, params, answer, progress))
            }
        };
        Ok(Call {
            answer: answered,
            progress: progresses,
            canceller,
            is_answered: false,
            method: PhantomData,
        })
    }

    /// From now on hears of events, instead of those that were subscribed to before on this connection.
    ///
    /// # Errors
    /// [`ClientError`]; there are none without a daemon.
    pub async fn subscribe(&self, params: &SubscribeParams) -> Result<EventStream, ClientError> {
        let inbox = Arc::<events::Inbox>::default();
        let call = self.begin::<SessionSubscribe>(params, Some(Arc::clone(&inbox)));
        let subscribed = call.await?.answer().await?;
        let connection = match &self.way {
            Way::Socket(connection) => Some(Arc::clone(connection)),
            Way::Here(_) => None,
        };
        Ok(EventStream::new(subscribed, inbox, connection))
    }
}

/// How much progress may wait for a caller that does not look; further one is left out.
const PROGRESSES: usize = 16;

/// A request that is under way. Dropped before its answer, the daemon is told to stop.
pub struct Call<M: Method> {
    answer: oneshot::Receiver<Result<Value, Lost>>,
    progress: mpsc::Receiver<TaskProgress>,
    canceller: Canceller,
    is_answered: bool,
    method: PhantomData<fn() -> M>,
}

impl<M: Method> Call<M> {
    /// How far it is, when there is news; `None` when there will be none, as the answer is there. May be given up at
    /// any time.
    pub async fn progress(&mut self) -> Option<TaskProgress> {
        self.progress.recv().await
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn answer(mut self) -> Result<M::Answer, ClientError> {
        let answer = (&mut self.answer).await;
        self.is_answered = true;
        let answer = answer
            .unwrap_or(Err(Lost::Gone(None)))
            .map_err(|lost| ClientError::lost(M::NAME, lost))?;
        serde_json::from_value(answer).map_err(|error| ClientError::NotUnderstood {
            method: M::NAME,
            source: Some(error),
        })
    }

    /// Asks for its end: the answer comes soon, with what was done until then.
    pub async fn cancel(&self) {
        self.canceller.cancel().await;
    }
}

impl<M: Method> Drop for Call<M> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.canceller.abandon();
        }
    }
}

enum Canceller {
    Socket {
        connection: Arc<Connection>,
        request: u64,
    },
    Here(Here),
}

impl Canceller {
    async fn cancel(&self) {
        match self {
            Self::Socket {
                connection,
                request,
            } => connection.cancel(*request).await,
            Self::Here(here) => here.cancel(),
        }
    }

    /// The same, where nobody waits any more.
    fn abandon(&self) {
        match self {
            Self::Socket {
                connection,
                request,
            } => connection.abandon(*request),
            Self::Here(here) => here.cancel(),
        }
    }
}

#[cfg(test)]
mod tests;

//! The [`Client`](super::Client) for programs that wait: the commands have this one, and no other way to the media
//! drive.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mediafs_platform::endpoint::EndpointError;
use tokio::runtime::Runtime;

use super::{ClientError, EventStream, Received};
use crate::control::Handler;
use crate::control::methods::{Hello, HelloParams, Method, Notification, SubscribeParams};

/// How often a call that waits looks up: has it been cancelled?
const LOOK_UP_EVERY: Duration = Duration::from_millis(100);

/// A connection to a daemon, or a handler in this process. Not to be used within a runtime of tokio.
pub struct Client {
    // Before the runtime in which its tasks are.
    events: Option<EventStream>,
    client: super::Client,
    cancelled: Arc<AtomicBool>,
    runtime: Runtime,
}

fn runtime(socket: &Path) -> Result<Runtime, ClientError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| {
            ClientError::Endpoint(EndpointError::Io {
                action: "connect to",
                path: socket.to_owned(),
                source,
            })
        })
}

impl Client {
    fn new(client: super::Client, runtime: Runtime) -> Self {
        Self {
            events: None,
            client,
            cancelled: Arc::default(),
            runtime,
        }
    }

    /// As [`Client::connect`](super::Client::connect), as this program.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(socket: &Path) -> Result<Option<(Self, Hello)>, ClientError> {
        let runtime = runtime(socket)?;
        let name = concat!("mediafs ", env!("CARGO_PKG_VERSION"));
        let found = runtime.block_on(super::Client::connect(socket, name))?;
        Ok(found.map(|(client, hello)| (Self::new(client, runtime), hello)))
    }

    /// The daemon that listens at `socket`, of whichever version, and what it says of itself: to end it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect_to_any(socket: &Path) -> Result<Option<(Self, Hello)>, ClientError> {
        let runtime = runtime(socket)?;
        let found = runtime.block_on(async {
            let Some(client) = super::Client::reach(socket).await? else {
                return Ok::<_, ClientError>(None);
            };
            let hello = client.say_hello(socket, &HelloParams::default()).await?;
            Ok(Some((client, hello)))
        })?;
        Ok(found.map(|(client, hello)| (Self::new(client, runtime), hello)))
    }

    /// In this process.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] if the system gives no runtime.
    pub fn here(handler: Arc<dyn Handler>) -> Result<Self, ClientError> {
        let runtime = runtime(Path::new("this process"))?;
        Ok(Self::new(super::Client::here(handler), runtime))
    }

    /// Long methods end soon, with an answer, once `flag` is set.
    pub fn cancel_by(&mut self, flag: &Arc<AtomicBool>) {
        self.cancelled = Arc::clone(flag);
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
        let cancelled = &self.cancelled;
        self.runtime.block_on(async {
            let mut call = self.client.start::<M>(params).await?;
            let mut told = false;
            loop {
                tokio::select! {
                    progress = call.progress() => match progress {
                        Some(progress) => listen(Notification::Progress(progress)),
                        None => return call.answer().await,
                    },
                    () = tokio::time::sleep(LOOK_UP_EVERY), if !told => {
                        if cancelled.load(Ordering::Relaxed) {
                            told = true;
                            call.cancel().await;
                        }
                    }
                }
            }
        })
    }

    /// From now on hears of events: [`Client::next_event`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn subscribe(&mut self, params: &SubscribeParams) -> Result<(), ClientError> {
        self.events = Some(self.runtime.block_on(self.client.subscribe(params))?);
        Ok(())
    }

    /// The next event; `None` if none came for `patience`, or nothing was subscribed to.
    ///
    /// # Errors
    /// [`ClientError::Gone`] at the end of the daemon.
    pub fn next_event(&mut self, patience: Duration) -> Result<Option<Received>, ClientError> {
        let Some(events) = &mut self.events else {
            return Ok(None);
        };
        self.runtime.block_on(async {
            match tokio::time::timeout(patience, events.next()).await {
                Ok(next) => next.map(Some),
                Err(_) => Ok(None),
            }
        })
    }
}

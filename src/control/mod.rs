//! The control protocol: JSON-RPC 2.0, one message a line, over the socket of a home.
//!
//! Pulse and the command line are its clients. [`methods`] says what can be asked; a [`Handler`] answers, in the
//! daemon behind the socket ([`connections`], [`server`]), or inside a command where no
//! daemon runs; a [`Client`] hides which. What happens without being asked for is told as [`events`].

pub mod client;
pub mod connections;
pub mod ensure;
pub mod events;
pub mod methods;
mod params;
pub mod rpc;
pub mod schema;
pub mod server;
pub mod service;
pub mod tasks;
pub mod warnings;
mod wire_path;

use std::sync::Arc;

use serde_json::Value;

pub use client::blocking::Client as BlockingClient;
pub use client::{Client, ClientError};
pub use events::{Event, Events};
pub use rpc::{Reason, RpcError};
pub use service::Service;
pub use tasks::{TaskInfo, TaskSource};
pub use warnings::{Severity, Warning, Warnings};
pub use wire_path::WirePath;

use methods::Notification;

/// Answers requests. Called on threads that may block.
pub trait Handler: Send + Sync + 'static {
    /// Does what `method` says.
    ///
    /// # Errors
    /// What the caller is answered with.
    fn handle(
        &self,
        method: &str,
        params: Value,
        caller: &mut dyn Caller,
    ) -> Result<Value, RpcError>;

    /// What can be subscribed to; `None`: nothing, as nobody would stay to be told.
    fn events(&self) -> Option<Arc<Events>> {
        None
    }
}

/// Who waits for the answer of a long method.
pub trait Caller: Send {
    /// Tells it something meanwhile.
    ///
    /// # Errors
    /// [`CallerGone`]: nobody wants the answer any more; stop soon.
    fn tell(&mut self, note: &Notification) -> Result<(), CallerGone>;

    /// Does nobody want the answer any more?
    fn gone(&self) -> bool;
}

/// The caller has left, or the daemon ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the caller has gone")]
pub struct CallerGone;

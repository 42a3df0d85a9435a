//! The drive as an NFSv3 export on the loopback interface, for systems without FUSE.
//!
//! [`NfsExport`] listens; the system's own NFS client, or a program that speaks NFS, reads and writes through it. Requests
//! flow [`export`] → [`Drive`]. NFS knows no `open`, no `close` and no program that asks, so
//!
//! - everybody is a copier, but for what lies below `.as/`: nobody is told apart by process, and copies never lie;
//! - files are opened when they are first read or written, and closed when nobody has used them for a while ([`handles`]);
//! - what the client keeps is not told to go. It asks again after a second (see [`kernel`]), and is told then by the times of
//!   folders what has changed ([`told`]).
//!
//! Whoever is on this machine can connect to the port. To see anything they need the name of the export, which is a secret
//! that the first mount uses up where this process mounts by itself; and every file handle holds another.
//!
//! [`Drive`]: crate::drive::Drive

mod convert;
mod export;
mod handles;
mod kernel;
mod known;
mod mounted;
mod secret;
mod told;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use nfsserve::tcp::{NFSTcp, NFSTcpListener};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(super) use mounted::{NfsMounted, mount};

use super::EXPORT_NAME;
use super::asking::Asking;
use crate::drive::Drive;
use export::Export;
use secret::Secret;
use told::Told;

/// How often an export may be mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mounts {
    /// Once: its name is of no use to whoever reads it in the mount table.
    Once,
    /// By whoever knows its name.
    Many,
}

/// A drive that is exported. Ends when it is dropped.
struct NfsExport {
    port: u16,
    path: String,
    ending: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl NfsExport {
    /// Exports `drive` on a free port of the loopback interface. `runtime` is where requests are answered.
    ///
    /// # Errors
    /// Where no port can be had, no thread started, or the system gives no secret.
    fn start(drive: Arc<dyn Drive>, mounts: Mounts, runtime: &Handle) -> io::Result<Self> {
        let (ending, watched) = watch::channel(false);
        let asking = Asking::new(Arc::clone(&drive), runtime.clone(), watched)?;
        let name = Secret::new()?;
        let path = format!("/{EXPORT_NAME}{}", name.as_hex());
        let told = Arc::new(Told::new());
        let key = Secret::new()?;
        drive.mounted(Arc::<Told>::clone(&told));
        let export = Export::new(asking, told, name, key, mounts);
        let sweeping = runtime.spawn(export.sweep());
        let address = format!("{}:0", Ipv4Addr::LOCALHOST);
        // Bound on a thread of its own: this may be called from one of the runtime's.
        let bound = std::thread::scope(|scope| {
            scope
                .spawn(|| runtime.block_on(NFSTcpListener::bind(&address, export)))
                .join()
        });
        let listener = match bound {
            Ok(Ok(listener)) => listener,
            failed => {
                sweeping.abort();
                let error = failed.map(|bound| bound.err());
                return Err(error
                    .ok()
                    .flatten()
                    .unwrap_or_else(|| io::ErrorKind::Other.into()));
            }
        };
        let port = listener.get_listen_port();
        let serving = runtime.spawn(async move {
            if let Err(error) = listener.handle_forever().await {
                tracing::error!(%error, "the NFS export has ended");
            }
        });
        Ok(Self {
            port,
            path,
            ending,
            tasks: vec![sweeping, serving],
        })
    }

    /// The port on the loopback interface, for NFS and for the mount protocol.
    fn port(&self) -> u16 {
        self.port
    }

    /// The name of the export, as the mount protocol wants it: a slash and a secret.
    fn path(&self) -> &str {
        &self.path
    }

    /// Where a program that speaks NFS finds the drive, as libnfs writes it.
    fn url(&self) -> String {
        let Self { port, path, .. } = self;
        format!(
            "nfs://{}{path}/?version=3&nfsport={port}&mountport={port}",
            Ipv4Addr::LOCALHOST
        )
    }
}

impl Drop for NfsExport {
    fn drop(&mut self) {
        // Whoever waits for an answer gets an error.
        let _ = self.ending.send(true);
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl std::fmt::Debug for NfsExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the secret.
        f.debug_struct("NfsExport")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

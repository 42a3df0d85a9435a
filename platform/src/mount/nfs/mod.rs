//! The drive as an NFSv3 export on the loopback interface, for systems without FUSE.
//!
//! [`NfsExport`] listens; the system's own NFS client, or a program that speaks NFS, reads and writes through it. Requests
//! flow [`server`] → [`procedures`] → [`export`], with [`contents`] and [`names`] → [`Drive`]. NFS knows no `open`, no `close` and no program that asks, so
//!
//! - everybody is a copier, but for what lies below `.as/`: nobody is told apart by process, and copies never lie;
//! - files are opened when they are first read or written, and closed when nobody has used them for a while ([`handles`]);
//! - what is removed while a program has it open is kept here for as long as it has ([`hidden`]), and what writing makes a copy
//!   of is that copy from then on ([`copies`]);
//! - what the client keeps is not told to go. It asks again after a second (see [`kernel`]), and is told then by the times of
//!   folders what has changed ([`told`]).
//!
//! Whoever is on this machine can connect to the port. To see anything they need the name of the export, which is a secret
//! that the first mount uses up where this process mounts by itself; and every file handle holds another.
//!
//! [`Drive`]: crate::drive::Drive

mod answered;
mod contents;
mod convert;
mod copies;
mod export;
mod handles;
mod hidden;
mod kernel;
mod known;
mod listing;
mod mounted;
mod mounting;
mod names;
mod procedures;
mod rpc;
mod secret;
mod server;
mod told;
mod xdr;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(super) use mounted::{NfsMounted, mount};

use super::EXPORT_NAME;
use super::asking::Asking;
use super::cases::{Cases, Kept};
use crate::drive::Drive;
use export::{Export, Secrets};
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

/// Whom an export answers, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sharing {
    mounts: Mounts,
    /// Other users get answers as well, through what is mounted.
    with_others: bool,
    /// Names are found in another case too.
    any_case: bool,
}

/// A drive that is exported. Ends when it is dropped.
struct NfsExport {
    port: u16,
    path: String,
    ending: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl NfsExport {
    /// Exports `drive` on a free port of the loopback interface. `runtime` is where requests are answered.
    ///
    /// # Errors
    /// Where no port can be had, no thread started, or the system gives no secret.
    fn start(drive: Arc<dyn Drive>, sharing: Sharing, runtime: &Handle) -> io::Result<Self> {
        let (ending, watched) = watch::channel(false);
        let asking = Asking::new(Arc::clone(&drive), runtime.clone(), watched)?;
        let name = Secret::new()?;
        let path = format!("/{EXPORT_NAME}{}", name.as_hex());
        let told = Arc::new(Told::new());
        let cases = sharing.any_case.then(|| Arc::new(Mutex::new(Cases::new())));
        match &cases {
            None => drive.mounted(Arc::<Told>::clone(&told)),
            Some(cases) => drive.mounted(Arc::new(Kept {
                cases: Arc::clone(cases),
                next: Arc::<Told>::clone(&told),
            })),
        }
        let secrets = Secrets {
            name,
            key: Secret::new()?,
        };
        let export = Arc::new(Export::new(asking, told, cases, secrets, sharing));
        // Bound beforehand, so that it fails here.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        // It ends by itself, when all is closed.
        runtime.spawn(Arc::clone(&export).sweep());
        let serving = runtime.spawn(server::serve(listener, export));
        Ok(Self {
            port,
            path,
            ending,
            serving,
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
        self.serving.abort();
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

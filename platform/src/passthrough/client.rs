//! The daemon's side of the helper: finds it, starts it, asks it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::protocol::{Asked, receive_reply, send_request};

/// The name of the program.
pub const PROGRAM: &str = "mediafs-passthrough";
/// Where it is installed, if not beside this program.
const PLACES: &[&str] = &["/usr/lib/mediafs", "/usr/local/lib/mediafs"];
/// It answers within microseconds. One that is stopped must not stop the drive: after this it is given up for good.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked whether a killed one has ended, and how long in between.
const ENDS_IN_STEPS: u32 = 100;
const STEP: Duration = Duration::from_millis(1);

/// The installed helper: beside this program, else in `/usr/lib/mediafs` or `/usr/local/lib/mediafs`.
#[must_use]
pub fn find() -> Option<PathBuf> {
    let here = std::env::current_exe().ok();
    let beside = here.as_deref().and_then(Path::parent).map(Path::to_owned);
    let fit: Vec<PathBuf> = beside
        .into_iter()
        .chain(PLACES.iter().map(PathBuf::from))
        .map(|folder| folder.join(PROGRAM))
        .filter(|program| is_fit(program))
        .collect();
    // One that was only built lies beside this program; another may have been installed, with its capability.
    let able = fit.iter().find(|program| has_capabilities(program));
    able.or(fit.first()).cloned()
}

fn has_capabilities(program: &Path) -> bool {
    // Only whether there are any; 20 bytes hold the present version, and a longer one is there too.
    let mut value = [0; 64];
    rustix::fs::lgetxattr(program, "security.capability", &mut value).is_ok_and(|length| length > 0)
}

/// Is this a program that belongs to root and that nobody else can write to? Whether it has its capability is seen
/// when it is started.
#[must_use]
pub fn is_fit(program: &Path) -> bool {
    fs::symlink_metadata(program).is_ok_and(|found| {
        let mode = found.mode();
        found.is_file() && found.uid() == 0 && mode & 0o022 == 0 && mode & 0o111 != 0
    })
}

/// A helper that runs, for one mount. It ends when this is dropped, and when this process ends.
#[derive(Debug)]
pub struct Helper {
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    socket: OwnedFd,
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It would end by itself as the socket is closed; one that is stopped would not, and holds the connection.
        let _ = self.child.kill();
        for _ in 0..ENDS_IN_STEPS {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(STEP);
        }
        // A file on a disk that hangs can keep it from ending. It is left behind, and stays listed as a dead child.
        tracing::warn!(
            process = self.child.id(),
            "the passthrough helper does not end"
        );
    }
}

impl Helper {
    /// Starts `program` for the connection behind `device`, which must be a descriptor of `/dev/fuse`.
    ///
    /// # Errors
    /// If it can't be started or does not answer. Whether it has its capability is told by the first
    /// [`Helper::open`]: `EPERM` if not.
    pub fn start(program: &Path, device: BorrowedFd<'_>) -> io::Result<Arc<Self>> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        for side in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&ours, side, Some(PATIENCE))?;
        }
        // In a group of its own, so that Ctrl-C in a terminal is left to the daemon.
        let child = Command::new(std::path::absolute(program)?)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let running = Running {
            socket: ours,
            child,
        };
        let helper = Self {
            running: Mutex::new(Some(running)),
        };
        helper.ask(Asked::Device(device))?;
        Ok(Arc::new(helper))
    }

    /// Registers `file` with the connection.
    ///
    /// # Errors
    /// `EACCES` if the helper does not let this file through, `EPERM` if it may not register, or as the kernel
    /// tells; anything once [`Helper::is_running`] is false.
    pub fn open(self: &Arc<Self>, file: impl AsFd) -> io::Result<Lent> {
        let id = self.ask(Asked::Open(file.as_fd()))?;
        Ok(Lent {
            helper: Arc::clone(self),
            id,
        })
    }

    /// Can it still be asked?
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.lock().is_some()
    }

    /// The number of its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        Some(self.running.lock().as_ref()?.child.id())
    }

    /// Ends it. What it has registered stays until the mount ends.
    pub fn stop(&self) {
        self.running.lock().take();
    }

    fn ask(&self, asked: Asked<'_>) -> io::Result<u32> {
        let mut running = self.running.lock();
        let Some(Running { socket, .. }) = running.as_ref() else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let replied = send_request(socket, asked).and_then(|()| receive_reply(socket));
        match replied {
            Ok(reply) => reply.map_err(io::Error::from_raw_os_error),
            Err(error) => {
                // A reply that comes late would be taken for that of the next request.
                *running = None;
                Err(error)
            }
        }
    }
}

/// A registered file. The registration is taken back when this is dropped.
#[derive(Debug)]
pub struct Lent {
    helper: Arc<Helper>,
    id: u32,
}

impl Lent {
    /// The number by which the kernel knows it, within its connection.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Err(error) = self.helper.ask(Asked::Close(self.id)) {
            tracing::debug!(%error, id = self.id, "a registration stays until the mount ends");
        }
    }
}

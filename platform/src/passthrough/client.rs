//! The daemon's side of the helper: finds it, starts it, asks it; and starts another one where it was ended or did not
//! answer.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::protocol::{Asked, receive_reply, send_request};

/// The name of the program.
pub const PROGRAM: &str = "mediafs-passthrough";
/// Where it is installed, if not beside this program.
const PLACES: &[&str] = &["/usr/lib/mediafs", "/usr/local/lib/mediafs"];
/// How long it may take to start.
const STARTS: Duration = Duration::from_millis(500);
/// Then it answers within microseconds. One that is stopped must not stop the drive: after this it is given up.
const PATIENCE: Duration = Duration::from_millis(50);
/// One that was given up after at least so long has another one started in its place: the machine was held up. One that
/// does not last so long is not worth it.
const LASTS: Duration = Duration::from_secs(60);
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
    program: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    running: Option<Running>,
    /// To start another one for the same connection; `None` once it is stopped.
    device: Option<Arc<OwnedFd>>,
    /// When the last one was started in the place of another.
    again: Option<Instant>,
    /// Another one is being started.
    starting: bool,
}

#[derive(Debug)]
struct Running {
    socket: OwnedFd,
    child: Child,
}

impl Running {
    fn start(program: &Path, device: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        // In a group of its own, so that Ctrl-C in a terminal is left to the daemon.
        let child = Command::new(program)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let running = Self {
            socket: ours,
            child,
        };
        running.be_patient_for(STARTS)?;
        running
            .ask(Asked::Device(device))?
            .map_err(io::Error::from_raw_os_error)?;
        Ok(running)
    }

    fn be_patient_for(&self, time: Duration) -> io::Result<()> {
        for side in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&self.socket, side, Some(time))?;
        }
        Ok(())
    }

    fn ask(&self, asked: Asked<'_>) -> io::Result<Result<u32, i32>> {
        send_request(&self.socket, asked).and_then(|()| receive_reply(&self.socket))
    }
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
    /// Starts `program` for the connection behind `device`, which must be a descriptor of `/dev/fuse`. It is patient with
    /// it until [`Helper::hurry`].
    ///
    /// # Errors
    /// If it can't be started or does not answer. Whether it has its capability is told by the first
    /// [`Helper::open`]: `EPERM` if not.
    pub fn start(program: &Path, device: BorrowedFd<'_>) -> io::Result<Arc<Self>> {
        let program = std::path::absolute(program)?;
        let running = Running::start(&program, device)?;
        let state = State {
            running: Some(running),
            device: Some(Arc::new(device.try_clone_to_owned()?)),
            again: None,
            starting: false,
        };
        Ok(Arc::new(Self {
            program,
            state: Mutex::new(state),
        }))
    }

    /// From now on the drive waits for it: it is given up where it does not answer soon.
    ///
    /// # Errors
    /// If the system does not let its socket have a time limit.
    pub fn hurry(&self) -> io::Result<()> {
        match &self.state.lock().running {
            Some(running) => running.be_patient_for(PATIENCE),
            None => Ok(()),
        }
    }

    /// Registers `file` with the connection.
    ///
    /// # Errors
    /// `EACCES` if the helper does not let this file through, `EPERM` if it may not register, or as the kernel
    /// tells; anything while [`Helper::is_running`] is false.
    pub fn open(self: &Arc<Self>, file: impl AsFd) -> io::Result<Lent> {
        let id = self.ask(Asked::Open(file.as_fd()))?;
        Ok(Lent {
            helper: Arc::clone(self),
            id,
        })
    }

    /// Can it be asked now?
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state.lock().running.is_some()
    }

    /// It can't be asked any more, and nor will another one be started.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let state = self.state.lock();
        state.running.is_none() && !state.starting
    }

    /// The number of its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        Some(self.state.lock().running.as_ref()?.child.id())
    }

    /// Ends it. What it has registered stays until the mount ends.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        let last = (state.running.take(), state.device.take());
        drop(state);
        drop(last);
    }

    fn ask(self: &Arc<Self>, asked: Asked<'_>) -> io::Result<u32> {
        let mut state = self.state.lock();
        let Some(running) = &state.running else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        match running.ask(asked) {
            Ok(reply) => reply.map_err(io::Error::from_raw_os_error),
            Err(error) => {
                // A reply that comes late would be taken for that of the next request.
                let given_up = state.running.take();
                let lasted = state.again.is_none_or(|again| again.elapsed() >= LASTS);
                let device = state.device.clone().filter(|_| lasted);
                state.starting = device.is_some();
                drop(state);
                self.replace(given_up, device);
                Err(error)
            }
        }
    }

    /// Ends one that was given up and starts another, on a thread of its own: whoever opens a file waits for neither.
    fn replace(self: &Arc<Self>, given_up: Option<Running>, device: Option<Arc<OwnedFd>>) {
        let (helper, program) = (Arc::downgrade(self), self.program.clone());
        let replacing = move || {
            drop(given_up);
            if let Some(device) = device {
                let started = Running::start(&program, device.as_fd());
                let started =
                    started.and_then(|running| running.be_patient_for(PATIENCE).map(|()| running));
                drop(device);
                Self::replaced(&helper, started);
            }
        };
        let thread = std::thread::Builder::new().name("passthrough".to_owned());
        if let Err(error) = thread.spawn(replacing) {
            tracing::warn!(%error, "no other passthrough helper is started");
            self.state.lock().starting = false;
        }
    }

    fn replaced(helper: &Weak<Self>, started: io::Result<Running>) {
        let Some(helper) = helper.upgrade() else {
            return;
        };
        let mut state = helper.state.lock();
        state.starting = false;
        state.again = Some(Instant::now());
        match started {
            Ok(running) if state.device.is_some() => {
                tracing::warn!("the passthrough helper did not answer; another one was started");
                state.running = Some(running);
            }
            // Nobody needs it any more.
            Ok(running) => {
                drop(state);
                drop(running);
            }
            Err(error) => {
                tracing::warn!(%error, "the passthrough helper did not answer, and no other can be started");
            }
        }
    }
}

/// A registered file. The registration is taken back when this is dropped, if the helper that made it still runs.
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

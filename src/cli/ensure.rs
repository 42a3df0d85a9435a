//! `mediafs ensure`: the one call that a host makes at the start of a session.
//!
//! It finds the daemon of the home, or starts one as `mount --background` does. Two at a time are kept apart by a lock, so
//! that one of them starts it and both find it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mediafs_platform::lock::{LockError, LockedFile};

use mediafs_platform::mount::Transport;

use super::mount::{NotStarted, Start};
use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::ensure::{EnsureState, Ensured};
use crate::control::methods::Hello;
use crate::control::{BlockingClient as Client, ClientError, Reason};
use crate::daemon::Obstacle;
use crate::model::path_text;

/// How long a daemon that somebody else starts or ends is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked for.
const AGAIN: Duration = Duration::from_millis(25);

/// Find the drive, or start it; prints where it is
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where it is to appear, should it not be mounted yet [default: /media/loophole if there is one, else ~/Loophole]
    mountpoint: Option<PathBuf>,
    /// Should a daemon run that is older than this mediafs, end it in order and start this one
    #[arg(long)]
    replace: bool,
    /// Do not let the kernel read files by itself, should it be started
    #[arg(long)]
    no_passthrough: bool,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let ensured = match ensure(arguments, context) {
        Ok(ensured) => ensured,
        Err(CliError::Failed(message)) => Ensured {
            message: Some(message),
            ..nothing(context, EnsureState::Failed)
        },
        Err(error) => return Err(error),
    };
    let is_ready = ensured.state == EnsureState::Ready;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&ensured)?;
    } else if is_ready {
        let mount = ensured.mount.map(|mount| mount.to_string());
        out.line(&format!("ready {}", plain(&mount.unwrap_or_default())))?;
    } else {
        return Err(CliError::new(ensured.message.unwrap_or_default()));
    }
    out.flush()?;
    Ok(if is_ready { Done::Well } else { Done::Badly })
}

fn nothing(context: &Context, state: EnsureState) -> Ensured {
    Ensured {
        state,
        socket: context.home.daemon_socket().as_path().into(),
        mount: None,
        protocol: None,
        version: None,
        pid: None,
        instance: None,
        started: false,
        message: None,
    }
}

fn of_daemon(context: &Context, state: EnsureState, hello: &Hello) -> Ensured {
    Ensured {
        mount: hello.mount.clone(),
        protocol: Some(hello.protocol),
        version: Some(hello.version.clone()),
        pid: Some(hello.pid),
        instance: Some(hello.instance.clone()).filter(|instance| !instance.is_empty()),
        ..nothing(context, state)
    }
}

/// Who runs.
enum Found {
    Nobody,
    /// We understand each other.
    Daemon(Hello),
    /// Older than this program, or than what it understands.
    Old(Client, Hello),
    /// Newer than what this program understands.
    New(Hello),
}

fn find(context: &Context) -> Result<Found, CliError> {
    let socket = context.home.daemon_socket();
    let too_new = match Client::connect(&socket) {
        Ok(None) => return Ok(Found::Nobody),
        Ok(Some((client, hello))) => {
            return Ok(if is_older(&hello.version, env!("CARGO_PKG_VERSION")) {
                Found::Old(client, hello)
            } else {
                Found::Daemon(hello)
            });
        }
        Err(ClientError::Refused(error)) if error.reason == Reason::DaemonTooOld => false,
        Err(ClientError::Refused(error)) if error.reason == Reason::ClientTooOld => true,
        // It ended while it was asked.
        Err(ClientError::Gone { .. }) => return Ok(Found::Nobody),
        Err(error) => return Err(error.into()),
    };
    Ok(match Client::connect_to_any(&socket)? {
        None => Found::Nobody,
        Some((_, hello)) if too_new => Found::New(hello),
        Some((client, hello)) => Found::Old(client, hello),
    })
}

fn ensure(arguments: &Arguments, context: &Context) -> Result<Ensured, CliError> {
    let until = Instant::now() + PATIENCE;
    let wanted = arguments.mountpoint.as_deref();
    let wanted = wanted.map(super::absolute).transpose()?.map(|path| path.0);
    let mut point = wanted.clone();
    let mut started = false;
    let mut alone: Option<LockedFile> = None;
    while Instant::now() < until {
        match find(context)? {
            Found::Daemon(hello) => {
                if let Some(ensured) = ready(context, &hello, wanted.as_deref(), started)? {
                    return Ok(ensured);
                }
            }
            Found::New(hello) => {
                return Ok(Ensured {
                    message: Some(format!(
                        "the running daemon is mediafs {}, this is {}, and they have no version of the protocol in common; update this one",
                        hello.version,
                        env!("CARGO_PKG_VERSION")
                    )),
                    ..of_daemon(context, EnsureState::TooNew, &hello)
                });
            }
            Found::Old(client, hello) => {
                if !arguments.replace {
                    return Ok(Ensured {
                        message: Some(format!(
                            "the running daemon is mediafs {}, this is {}; `mediafs ensure --replace` puts this one in its place",
                            hello.version,
                            env!("CARGO_PKG_VERSION")
                        )),
                        ..of_daemon(context, EnsureState::TooOld, &hello)
                    });
                }
                if alone.is_none() {
                    alone = lock(context)?;
                    if alone.is_none() {
                        std::thread::sleep(AGAIN);
                        continue;
                    }
                }
                // Where programs know the drive.
                let was_at = hello.mount.as_ref().map(|mount| mount.0.clone());
                point = point.or(was_at).or_else(|| context.home.announced_mount());
                super::unmount::end(client, hello.pid, context)?;
                continue;
            }
            Found::Nobody if alone.is_none() => {
                // Looked for again with the lock: who had it before has just started one.
                alone = lock(context)?;
                if alone.is_some() {
                    continue;
                }
            }
            Found::Nobody => {
                let start = Start {
                    mountpoint: point.clone(),
                    libraries: Vec::new(),
                    projects: Vec::new(),
                    passthrough: !arguments.no_passthrough,
                    transport: Transport::of_this_system(),
                };
                match start.in_background(context) {
                    Ok(_) => {
                        started = true;
                        continue;
                    }
                    // By a daemon that somebody else has started, or by a command.
                    Err(NotStarted {
                        obstacle: Obstacle::Held,
                        ..
                    }) => {}
                    Err(failure) => return Ok(refused(context, failure)),
                }
            }
        }
        std::thread::sleep(AGAIN);
    }
    Err(CliError::new(format!(
        "no daemon got ready in {} s; the log in {} says why",
        PATIENCE.as_secs(),
        context.home.log().display()
    )))
}

/// The answer for a daemon that we understand; `None` while it has no drive yet.
fn ready(
    context: &Context,
    hello: &Hello,
    wanted: Option<&Path>,
    started: bool,
) -> Result<Option<Ensured>, CliError> {
    let Some(mount) = &hello.mount else {
        return Ok(None);
    };
    if let Some(wanted) = wanted
        && !super::unmount::same(wanted, &mount.0)
    {
        return Err(CliError::new(format!(
            "the drive of this home is mounted at {mount}, not at {}; `mediafs unmount` takes it away from there",
            path_text(wanted)
        )));
    }
    Ok(Some(Ensured {
        started,
        ..of_daemon(context, EnsureState::Ready, hello)
    }))
}

fn refused(context: &Context, failure: NotStarted) -> Ensured {
    let state = match failure.obstacle {
        Obstacle::NotInstalled => EnsureState::NotInstalled,
        Obstacle::DriverBlocked => EnsureState::DriverBlocked,
        Obstacle::PointTaken => EnsureState::PointTaken,
        Obstacle::Held | Obstacle::Other => EnsureState::Failed,
    };
    Ensured {
        message: Some(failure.message),
        ..nothing(context, state)
    }
}

/// The right to start a daemon; `None` while somebody else has it.
fn lock(context: &Context) -> Result<Option<LockedFile>, CliError> {
    let config = crate::config::Config::load(context.home.config_file())?;
    context.home.prepare(&config.trusted)?;
    match LockedFile::acquire(&context.home.data().join("ensure.lock")) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held { .. }) => Ok(None),
        Err(error) => Err(CliError::new(crate::control::rpc::one_line(&error))),
    }
}

/// Is a version before another one? Not where that can't be told.
fn is_older(version: &str, than: &str) -> bool {
    match (numbers(version), numbers(than)) {
        (Some(version), Some(than)) => version < than,
        _ => false,
    }
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    let plain = version.split(['-', '+']).next()?;
    plain.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_older("0.1.0", "0.2.0"));
        assert!(is_older("0.9.12", "0.10.0"));
        assert!(!is_older("0.10.0", "0.9.12"));
        assert!(!is_older("1.0.0", "1.0.0-rc1"));
        assert!(!is_older("unknown", "1.0.0"));
    }
}

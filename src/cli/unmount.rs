//! `mediafs unmount`: end the drive.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mediafs_platform::files::canonical;

use super::output::{Out, plain};
use super::{CliError, Context, Done};
use crate::control::methods::{Nothing, SessionShutdown};
use crate::control::rpc::one_line;
use crate::control::{BlockingClient as Client, ClientError};
use mediafs_platform::mount::{Clear, MountError, clear};

/// How long the daemon may take to end. It bounds itself to less.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked at.
const AGAIN: Duration = Duration::from_millis(25);

/// Unmount the drive and end its daemon
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where it is mounted; the drive of this home if left out
    mountpoint: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let wanted = arguments
        .mountpoint
        .as_deref()
        .map(super::absolute)
        .transpose()?
        .map(|path| path.0);
    let announced = context.home.announced_mount();
    let point = || {
        wanted
            .clone()
            .or_else(|| announced.clone())
            .unwrap_or_else(crate::home::default_mount_point)
    };
    let (client, daemon) = match Client::connect_to_any(&context.home.daemon_socket()) {
        Ok(Some(found)) => found,
        Ok(None) => return without_daemon(&point(), Clear::Dead, context),
        Err(ClientError::Silent { .. }) => return without_daemon(&point(), Clear::Silent, context),
        Err(error) => return Err(error.into()),
    };
    if let (Some(wanted), Some(announced)) = (&wanted, &announced)
        && !same(wanted, announced)
    {
        return Err(CliError::new(format!(
            "the drive of this home is mounted at {}, not at {}; name that one, or the other home with --home",
            announced.display(),
            wanted.display()
        )));
    }
    end(client, daemon.pid, context)?;
    tell(announced.as_deref())?;
    Ok(Done::Well)
}

/// Asks the daemon to end, and waits until it has.
pub(super) fn end(mut client: Client, pid: u32, context: &Context) -> Result<(), CliError> {
    client.call::<SessionShutdown>(&Nothing {})?;
    drop(client);
    let start = Instant::now();
    while context.home.is_held_by(pid) {
        if start.elapsed() > PATIENCE {
            return Err(CliError::new(format!(
                "the daemon (process {pid}) does not end; its log in {} says why",
                context.home.log().display()
            )));
        }
        std::thread::sleep(AGAIN);
    }
    Ok(())
}

fn tell(point: Option<&Path>) -> Result<(), CliError> {
    let mut out = Out::new();
    match point {
        Some(point) => out.line(&format!("unmounted {}", plain(&point.to_string_lossy())))?,
        None => out.line("the daemon has ended")?,
    }
    Ok(out.flush()?)
}

/// The daemon's path has no symbolic links; the given one may. A mount that hangs is never asked.
pub(super) fn same(wanted: &Path, point: &Path) -> bool {
    let resolved = wanted.parent().and_then(|parent| canonical(parent).ok());
    let resolved = resolved
        .zip(wanted.file_name())
        .map(|(parent, name)| parent.join(name));
    wanted == point
        || resolved.as_deref() == Some(point)
        || std::fs::read_link(wanted).is_ok_and(|target| target == point)
}

/// Takes away what a daemon has left.
fn without_daemon(point: &Path, what: Clear, context: &Context) -> Result<Done, CliError> {
    match clear(point, what) {
        Ok(true) => {
            tell(Some(point))?;
            Ok(Done::Well)
        }
        // Its drive is gone as seen from here, or can't be taken from it; it has the home all the same.
        Ok(false) if what == Clear::Silent => {
            Err(CliError::new(still_there(context.home.holder())))
        }
        Ok(false) => Err(CliError::new(format!(
            "no drive is mounted from {}, and none is at {}; name the home of the drive with --home",
            context.home.data().display(),
            point.display()
        ))),
        Err(MountError::AlreadyMounted { path }) => Err(CliError::new(format!(
            "the drive at {} belongs to another home; name that one with --home",
            path.display()
        ))),
        Err(error) => Err(CliError::new(one_line(&error))),
    }
}

/// Of a daemon that hangs, and that only the user can end.
fn still_there(daemon: Option<u32>) -> String {
    match daemon {
        Some(pid) if cfg!(windows) => {
            format!("the daemon (process {pid}) does not answer; end it with `taskkill /F /PID {pid}`")
        }
        Some(pid) => {
            format!("the daemon (process {pid}) does not answer; end it with `kill -9 {pid}`")
        }
        None => "the daemon does not answer, and has not said which process it is; end the process `mediafs`"
            .to_owned(),
    }
}

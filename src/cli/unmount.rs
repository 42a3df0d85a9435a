//! `mediafs unmount`: end the drive.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::output::{Out, plain};
use super::{CliError, Context, Done};
use crate::control::methods::{DriveStatus, Nothing, SessionShutdown};
use crate::home::Purpose;

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
    let wanted = arguments.mountpoint.as_deref().map(super::absolute).transpose()?.map(|path| path.0);
    let Some(mut client) = context.daemon()? else {
        return without_daemon(&wanted.unwrap_or_else(super::mount::default_mountpoint), context);
    };
    let status = client.call::<DriveStatus>(&Nothing {})?;
    let point = status.mount.map(|mount| mount.point.0);
    if let (Some(wanted), Some(point)) = (&wanted, &point)
        && !same(wanted, point)
    {
        return Err(CliError::new(format!(
            "the drive of this home is mounted at {}, not at {}; name that one, or the other home with --home",
            point.display(),
            wanted.display()
        )));
    }
    client.call::<SessionShutdown>(&Nothing {})?;
    drop(client);
    let start = Instant::now();
    while matches!(context.home.holder(), Some((pid, Purpose::Daemon)) if pid == status.pid) {
        if start.elapsed() > PATIENCE {
            return Err(CliError::new(format!(
                "the daemon (process {}) does not end; its log in {} says why",
                status.pid,
                context.home.log().display()
            )));
        }
        std::thread::sleep(AGAIN);
    }
    tell(point.as_deref())?;
    Ok(Done::Well)
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
fn same(wanted: &Path, point: &Path) -> bool {
    let resolved = wanted.parent().and_then(|parent| parent.canonicalize().ok());
    let resolved = resolved.zip(wanted.file_name()).map(|(parent, name)| parent.join(name));
    wanted == point
        || resolved.as_deref() == Some(point)
        || std::fs::read_link(wanted).is_ok_and(|target| target == point)
}

fn without_daemon(point: &Path, context: &Context) -> Result<Done, CliError> {
    use mediafs_platform::mount::{Cleared, clear_dead};
    match clear_dead(point) {
        Ok(Cleared::Dead) => {
            tell(Some(point))?;
            Ok(Done::Well)
        }
        Ok(Cleared::Nothing) => Err(CliError::new(format!(
            "no drive is mounted from {} or at {}",
            context.home.data().display(),
            point.display()
        ))),
        Err(error) => Err(CliError::new(crate::control::rpc::one_line(&error))),
    }
}

//! `mediafs eject`: a volume is let go of, so that it can be unmounted.

use std::ffi::OsString;
use std::path::Path;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{EjectParams, VolumeEject};

/// Let go of a volume within a second, so that it can be unmounted and unplugged; what is in the cache plays on
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its name, or the folder where it is mounted
    #[arg(value_name = "VOLUME")]
    volume: OsString,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let named = arguments.volume.to_string_lossy();
    let params = EjectParams {
        volume: named.clone().into_owned(),
        // What has a separator may be a path; the daemon's folder is another one.
        path: super::looks_like_path(&arguments.volume)
            .then(|| super::absolute(Path::new(&arguments.volume)))
            .transpose()?,
    };
    let volume = context.daemon_needed()?.call::<VolumeEject>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&volume)?;
    } else {
        out.line(&format!(
            "nothing of mediafs touches {} any more; unmount it at {} now",
            plain(&volume.name),
            plain(&volume.path.to_string())
        ))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

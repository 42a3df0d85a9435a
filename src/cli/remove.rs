//! `mediafs remove`: forget a sound.

use std::ffi::OsString;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::MediaRemove;

/// Take a sound off the drive, with its id, tags and usages; its file stays where it is
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let which = super::which(&arguments.item)?;
    let removed = context.client()?.call::<MediaRemove>(&which)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&removed)?;
    } else {
        out.line(&format!(
            "{} is off the drive; its file was not touched",
            plain(&removed.name)
        ))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

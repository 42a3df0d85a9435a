//! `mediafs remove`: forget a sound.

use std::ffi::OsString;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{MediaRemove, RemoveParams};

/// Take a sound off the drive, with its id, tags and usages; its file stays where it is
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    /// Also if a project uses it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = RemoveParams {
        item: super::which(&arguments.item)?,
        force: arguments.force,
        intent: super::history::by_hand(),
    };
    let removed = context.client()?.call::<MediaRemove>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&removed)?;
    } else {
        out.line(&format!(
            "{} is off the drive; its file was not touched, and `mediafs undo` brings it back",
            plain(&removed.name)
        ))?;
    }
    out.flush()?;
    Ok(Done::Well)
}
